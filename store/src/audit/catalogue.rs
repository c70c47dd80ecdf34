//! The schema itself: tables, guards, functions, owners and grants, compared with what the migrations make.
//!
//! What they make is a file beside this one, written by `scripts/catalogue.sh` and compared with a fresh database in the
//! tests. Guards that are gone damage nothing by themselves; they say that somebody meant to.

use std::collections::BTreeMap;

use diesel::sql_types::{Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};

use super::Finding;
use crate::connect;
use crate::error::StoreError;
use crate::{Inner, Store};

/// Reads the catalogue.
const QUERY: &str = include_str!("catalogue.sql");

/// What the migrations make of an empty database.
const EXPECTED: &str = include_str!("catalogue.txt");

/// Between an object and its description in [`EXPECTED`].
const SEPARATOR: &str = "\t";

/// How schema steps are listed among the objects.
const STEP: &str = "schema step ";

/// Objects with their descriptions.
type Catalogue = BTreeMap<String, String>;

#[derive(diesel::QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    object: String,
    #[diesel(sql_type = Text)]
    description: String,
}

impl Store {
    /// The schema as the database has it, in the form that an audit compares: one object a line, ascending.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn catalogue(&self) -> Result<String, StoreError> {
        let Inner { url, runtime, .. } = &*self.inner;
        let mut connection = connect::plain(url, runtime).await?;
        let line = |(object, description): (&String, &String)| format!("{object}{SEPARATOR}{description}\n");
        Ok(read(&mut connection).await?.iter().map(line).collect())
    }
}

/// The first object that is not as the migrations make it.
///
/// # Errors
/// When the database can't be read, or its schema is of another version.
pub(super) async fn check(store: &Store) -> Result<Option<Finding>, StoreError> {
    let Inner { url, runtime, .. } = &*store.inner;
    let mut connection = connect::plain(url, runtime).await?;
    let found = read(&mut connection).await?;
    let mut expected: Catalogue = EXPECTED
        .lines()
        .filter_map(|line| line.split_once(SEPARATOR))
        .map(|(object, description)| (object.to_owned(), description.to_owned()))
        .collect();
    if !made_by_superuser(&mut connection).await? {
        expected.retain(|object, _| !object.starts_with("event trigger ") || found.contains_key(object));
    }
    same_version(&expected, &found)?;
    Ok(first_difference(&expected, &found))
}

async fn read(connection: &mut AsyncPgConnection) -> Result<Catalogue, StoreError> {
    // With nothing else on the path every name is written with its schema.
    connection.batch_execute("SET search_path = pg_catalog").await?;
    let mut rows: Vec<Row> = diesel::sql_query(QUERY).load(connection).await?;
    if exists(connection, "SELECT to_regclass('public.__diesel_schema_migrations') IS NOT NULL AS there").await? {
        let steps = format!(
            "SELECT '{STEP}' || version AS object, 'applied' AS description FROM public.__diesel_schema_migrations"
        );
        rows.extend(diesel::sql_query(steps).load::<Row>(connection).await?);
    }
    Ok(rows.into_iter().map(|Row { object, description }| (object, description)).collect())
}

/// Only a superuser can make event triggers; where the schema was made by somebody else there are none.
async fn made_by_superuser(connection: &mut AsyncPgConnection) -> Result<bool, StoreError> {
    let ordinary = "SELECT EXISTS (SELECT FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner
                    WHERE p.proname = 'chopmark_guard_log' AND NOT r.rolsuper) AS there";
    Ok(!exists(connection, ordinary).await?)
}

async fn exists(connection: &mut AsyncPgConnection, query: &str) -> Result<bool, StoreError> {
    #[derive(diesel::QueryableByName)]
    struct Answer {
        #[diesel(sql_type = Bool)]
        there: bool,
    }
    let Answer { there } = diesel::sql_query(query).get_result(connection).await?;
    Ok(there)
}

/// A schema of another version is no damage: it has to be brought up to date, or to be audited by a newer program.
fn same_version(expected: &Catalogue, found: &Catalogue) -> Result<(), StoreError> {
    let steps = |catalogue: &Catalogue| -> Vec<String> {
        catalogue.keys().filter_map(|object| object.strip_prefix(STEP)).map(str::to_owned).collect()
    };
    let (expected, found) = (steps(expected), steps(found));
    let other = |step: Option<&String>, reason: &str| match step {
        Some(step) => Err(StoreError::Migrate(format!("step {step} {reason}"))),
        None => Ok(()),
    };
    other(
        expected.iter().find(|step| !found.contains(step)),
        "is missing; start the service of this version once, then audit",
    )?;
    other(found.iter().find(|step| !expected.contains(step)), "is newer than this program; audit with a newer one")
}

fn first_difference(expected: &Catalogue, found: &Catalogue) -> Option<Finding> {
    let finding = |object: &str, reason: String| Finding { object: object.to_owned(), index: None, reason };
    let gone_or_changed = expected.iter().find_map(|(object, expected)| match found.get(object) {
        None => Some(finding(object, format!("is gone; the schema has one: {expected}"))),
        Some(found) if found != expected => Some(finding(object, format!("is {found}; it should be {expected}"))),
        Some(_) => None,
    });
    gone_or_changed.or_else(|| {
        let extra = found.iter().find(|(object, _)| !expected.contains_key(*object));
        extra.map(|(object, found)| finding(object, format!("is no part of the schema: {found}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue(objects: &[(&str, &str)]) -> Catalogue {
        objects.iter().map(|(object, description)| ((*object).to_owned(), (*description).to_owned())).collect()
    }

    #[test]
    fn what_is_gone_changed_or_extra_is_named() {
        let expected = catalogue(&[("table a", "x"), ("table b", "y")]);
        assert_eq!(first_difference(&expected, &expected), None);
        for (found, object, words) in [
            (catalogue(&[("table a", "x")]), "table b", "is gone"),
            (catalogue(&[("table a", "x"), ("table b", "z")]), "table b", "is z; it should be y"),
            (catalogue(&[("table a", "x"), ("table b", "y"), ("rule c", "w")]), "rule c", "no part"),
        ] {
            let finding = first_difference(&expected, &found).unwrap();
            assert!(finding.object == object && finding.reason.contains(words), "{finding:?}");
        }
    }

    #[test]
    fn another_version_is_no_damage() {
        let expected = catalogue(&[("schema step 1", "applied"), ("schema step 2", "applied")]);
        assert!(same_version(&expected, &expected).is_ok());
        let older = same_version(&expected, &catalogue(&[("schema step 1", "applied")])).unwrap_err();
        assert!(older.to_string().contains("step 2 is missing"), "{older}");
        let newer = same_version(&catalogue(&[("schema step 1", "applied")]), &expected).unwrap_err();
        assert!(newer.to_string().contains("newer"), "{newer}");
    }

    #[test]
    fn the_expected_schema_is_there() {
        assert!(EXPECTED.lines().count() > 100);
        assert!(EXPECTED.lines().all(|line| line.contains(SEPARATOR)));
    }
}
