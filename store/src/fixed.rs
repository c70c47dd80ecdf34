//! SQL whose text never changes, prepared once per connection.
//!
//! `diesel::sql_query` can't know that and has PostgreSQL parse and plan it every time, which in a small batch takes
//! longer than running it.

use diesel::expression::AsExpression;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::{Error, QueryResult};
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
        let refuse = |why: String| Error::QueryBuilderError(format!("{why}: {}", self.sql).into());
        // A text with more places than parameters would lose its end below.
        if self.sql.matches('$').count() != self.binds.len() {
            return Err(refuse(format!("{} parameters", self.binds.len())));
        }
        let mut pieces = self.sql.split('$');
        pass.push_sql(pieces.next().unwrap_or_default());
        for (number, (piece, bind)) in (1..).zip(pieces.zip(&self.binds)) {
            let after = piece.trim_start_matches(|character: char| character.is_ascii_digit());
            // Parameters are numbered as they come, whatever number stands in the text.
            if piece.strip_suffix(after) != Some(u32::to_string(&number).as_str()) {
                return Err(refuse(format!("parameter ${number} is not the next")));
            }
            bind.walk_ast(pass.reborrow())?;
            pass.push_sql(after);
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

#[cfg(test)]
mod tests {
    use diesel::debug_query;
    use diesel::sql_types::{BigInt, Text};

    use super::*;

    #[test]
    fn every_place_has_its_parameter() {
        let query = || fixed("SELECT $1 FROM x WHERE y = $2 AND z").bind::<BigInt, _>(7);
        let shown = debug_query::<Pg, _>(&query().bind::<Text, _>("why")).to_string();
        assert_eq!(shown, "SELECT $1 FROM x WHERE y = $2 AND z -- binds: [7, \"why\"]");
        let text = |query: &Fixed<'_>| {
            let mut builder = diesel::pg::PgQueryBuilder::default();
            query.to_sql(&mut builder, &Pg)
        };
        assert!(text(&query().bind::<Text, _>("why")).is_ok());
        assert!(text(&query()).is_err(), "one too few");
        assert!(text(&query().bind::<Text, _>("why").bind::<Text, _>("not")).is_err(), "one too many");
    }
}
