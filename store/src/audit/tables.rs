//! The read tables made anew: folded by the very code that writes them, into temporary tables of the same names.
//!
//! Names in that code carry no schema and a session looks for temporary tables first, so nothing has to be written twice.
//! An audit compares the two, a rebuild swaps them in.

use chopmark_core::admission::Change;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection as _};

use super::Finding;
use crate::error::{StoreError, bigint, count};
use crate::project::{self, Fold, Followed};
use crate::schema::following;

/// Columns that say to which entry a row belongs, the best first; tables without one have rows of no single entry.
const INDEX_COLUMNS: [&str; 6] = ["idx", "later", "child", "valid_from", "verified_from", "applied_size"];

/// Longest row shown in a finding, in characters.
const ROW_CHARACTERS_MAX: i32 = 400;

/// Temporary tables beside all of schema `view`, in one session.
pub(crate) struct Tables {
    names: Vec<String>,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

async fn names(connection: &mut AsyncPgConnection, query: &str) -> Result<Vec<String>, StoreError> {
    let rows: Vec<Name> = diesel::sql_query(query).load(connection).await?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}

/// As SQL writes a name whatever it holds.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Tables {
    /// Makes the tables, empty. Indexes that only searches use are left out.
    pub(crate) async fn make(connection: &mut AsyncPgConnection) -> Result<Self, StoreError> {
        let listed =
            "SELECT relname::text AS name FROM pg_class WHERE relnamespace = 'view'::regnamespace AND relkind = 'r'
                      ORDER BY relname";
        let names = names(connection, listed).await?;
        for name in names.iter().map(|name| quoted(name)) {
            let make = format!(
                "CREATE TEMPORARY TABLE {name} (LIKE view.{name} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)"
            );
            connection.batch_execute(&make).await?;
        }
        let searching = "SELECT i.relname::text AS name FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
                         JOIN pg_class t ON t.oid = x.indrelid JOIN pg_am m ON m.oid = i.relam
                         WHERE t.relnamespace = pg_my_temp_schema() AND m.amname <> 'btree'";
        for name in self::names(connection, searching).await? {
            connection.batch_execute(&format!("DROP INDEX pg_temp.{}", quoted(&name))).await?;
        }
        connection.batch_execute("INSERT INTO following (id, applied_size) VALUES (1, 0)").await?;
        Ok(Self { names })
    }

    /// How many there are.
    pub(crate) fn number(&self) -> u64 {
        u64::try_from(self.names.len()).unwrap_or(u64::MAX)
    }

    /// Folds the next entries; those that `applied_size` covers also into the tables that follow.
    pub(crate) async fn fold(
        connection: &mut AsyncPgConnection,
        entries: Vec<Fold>,
        applied_size: u64,
    ) -> Result<(), StoreError> {
        project::insert_nonces(connection, entries.iter().map(|entry| (entry.issuer, &entry.nonce))).await?;
        let changes: Vec<&Change> = entries.iter().flat_map(|entry| &entry.followed.changes).collect();
        project::write(connection, &changes).await?;
        let followed: Vec<Followed> =
            entries.into_iter().map(|entry| entry.followed).filter(|entry| entry.index < applied_size).collect();
        let Some(last) = followed.last().map(|entry| entry.index) else { return Ok(()) };
        project::follow(connection, &followed).await?;
        diesel::update(following::table).set(following::applied_size.eq(bigint(last + 1))).execute(connection).await?;
        Ok(())
    }

    /// The first row of a table that the fold does not make, or that it makes and the table does not hold.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn compare(
        &self,
        connection: &mut AsyncPgConnection,
        mut progress: impl FnMut(u64),
    ) -> Result<Option<Finding>, StoreError> {
        for (done, name) in (1..).zip(&self.names) {
            let index = index_column(connection, name).await?;
            let stored = format!("view.{}", quoted(name));
            let folded = format!("pg_temp.{}", quoted(name));
            let extra = first_difference(connection, &stored, &folded, index).await?;
            let missing = first_difference(connection, &folded, &stored, index).await?;
            let object = format!("view.{name}");
            let finding = |row: &Difference, reason: String| Finding::new(object.clone(), row.entry(), reason);
            match (extra, missing) {
                (None, None) => progress(done),
                (Some(row), None) => {
                    return Ok(Some(finding(&row, format!("holds {}, which the entries do not make", row.text))));
                }
                (None, Some(row)) => {
                    return Ok(Some(finding(&row, format!("lacks {}, which the entries make", row.text))));
                }
                (Some(extra), Some(missing)) => {
                    let first = if extra.index <= missing.index { &extra } else { &missing };
                    let reason = format!("holds {}, the entries make {}", extra.text, missing.text);
                    return Ok(Some(finding(first, reason)));
                }
            }
        }
        Ok(None)
    }

    /// Puts the folded rows in the place of the stored ones; how many rows each table then has, and how many of them it
    /// did not have before. Readers see the old rows until the transaction around this commits.
    pub(crate) async fn swap_in(
        &self,
        connection: &mut AsyncPgConnection,
    ) -> Result<Vec<(String, u64, u64)>, StoreError> {
        #[derive(QueryableByName)]
        struct Number {
            #[diesel(sql_type = BigInt)]
            number: i64,
        }
        let mut counts = Vec::with_capacity(self.names.len());
        for name in &self.names {
            let (stored, folded) = (format!("view.{}", quoted(name)), format!("pg_temp.{}", quoted(name)));
            let mended = format!(
                "SELECT (SELECT count(*) FROM ({}) AS missing) + (SELECT count(*) FROM ({}) AS extra) AS number",
                rows_missing(&folded, &stored, "NULL"),
                rows_missing(&stored, &folded, "NULL")
            );
            let Number { number: mended } = diesel::sql_query(mended).get_result(connection).await?;
            let mut fill = format!("INSERT INTO {stored} SELECT * FROM {folded}");
            if name == "following" {
                // Followers wait for this very row.
                fill.push_str(" ON CONFLICT (id) DO UPDATE SET applied_size = excluded.applied_size");
            } else {
                diesel::sql_query(format!("DELETE FROM {stored}")).execute(connection).await?;
            }
            let rows = diesel::sql_query(fill).execute(connection).await?;
            counts.push((name.clone(), u64::try_from(rows).unwrap_or(u64::MAX), count(mended, name)?));
        }
        Ok(counts)
    }
}

#[derive(QueryableByName)]
struct Difference {
    #[diesel(sql_type = Nullable<BigInt>)]
    index: Option<i64>,
    #[diesel(sql_type = Text)]
    text: String,
}

impl Difference {
    fn entry(&self) -> Option<u64> {
        self.index.and_then(|index| u64::try_from(index).ok())
    }
}

async fn index_column(connection: &mut AsyncPgConnection, table: &str) -> Result<Option<&'static str>, StoreError> {
    let columns = diesel::sql_query(
        "SELECT attname::text AS name FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
         WHERE relnamespace = 'view'::regnamespace AND relname = $1 AND attnum > 0 AND NOT attisdropped",
    );
    let columns: Vec<Name> = columns.bind::<Text, _>(table).load(connection).await?;
    Ok(INDEX_COLUMNS.into_iter().find(|wanted| columns.iter().any(|column| column.name == *wanted)))
}

/// The rows of one table that another does not hold, as text, with their index. As text, because to SQL 1 and 1.0 are
/// equal, in JSON too, while whoever reads the row tells them apart.
fn rows_missing(table: &str, other: &str, index: &str) -> String {
    let rows =
        |table| format!("SELECT ({index})::bigint AS index, row_::text COLLATE \"C\" AS exact FROM {table} AS row_");
    format!("{} EXCEPT ALL {}", rows(table), rows(other))
}

/// The first row, by the entry it belongs to, of one table that another does not hold.
async fn first_difference(
    connection: &mut AsyncPgConnection,
    table: &str,
    other: &str,
    index: Option<&str>,
) -> Result<Option<Difference>, StoreError> {
    let index = index.map_or_else(|| "NULL".to_owned(), |column| format!("row_.{column}"));
    let missing = rows_missing(table, other, &index);
    let query = format!(
        "SELECT index, (SELECT left(row_to_json(row_)::text, {ROW_CHARACTERS_MAX}) FROM {table} AS row_
                        WHERE row_::text COLLATE \"C\" = exact LIMIT 1) AS text
         FROM (SELECT * FROM ({missing}) AS missing ORDER BY index NULLS LAST, exact LIMIT 1) AS first"
    );
    Ok(diesel::sql_query(query).get_result(connection).await.optional()?)
}
