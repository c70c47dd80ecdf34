//! SQL whose text never changes, prepared once per connection.
//!
//! `diesel::sql_query` can't know that and has PostgreSQL parse and plan it every time, which in a small batch takes
//! longer than running it.

use diesel::expression::AsExpression;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{SingleValue, SqlType, Untyped};

/// A statement with its parameters.
pub(crate) struct Fixed<'a> {
    sql: &'static str,
    binds: Vec<Box<dyn QueryFragment<Pg> + Send + 'a>>,
}

/// A statement with parameters `$1`, `$2`, …, each once and in this order.
pub(crate) fn fixed<'a>(sql: &'static str) -> Fixed<'a> {
    Fixed { sql, binds: Vec::new() }
}

impl<'a> Fixed<'a> {
    /// The next parameter.
    pub(crate) fn bind<ST, V>(mut self, value: V) -> Self
    where
        ST: SqlType + SingleValue,
        V: AsExpression<ST>,
        V::Expression: QueryFragment<Pg> + Send + 'a,
    {
        self.binds.push(Box::new(value.as_expression()));
        self
    }
}

impl QueryFragment<Pg> for Fixed<'_> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut pieces = self.sql.split('$');
        pass.push_sql(pieces.next().unwrap_or_default());
        for (piece, bind) in pieces.zip(&self.binds) {
            bind.walk_ast(pass.reborrow())?;
            pass.push_sql(piece.trim_start_matches(|character: char| character.is_ascii_digit()));
        }
        Ok(())
    }
}

// No static id: the text is the key that the prepared statement is kept under.
impl QueryId for Fixed<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Fixed<'_> {
    type SqlType = Untyped;
}
