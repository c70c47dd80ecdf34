//! The schema itself: tables, guards, functions, owners and grants, compared with what the migrations make.
//!
//! What they make is a file beside this one, written by `scripts/catalogue.sh` and compared with a fresh database in the
//! tests. Guards that are gone damage nothing by themselves; they say that somebody meant to.

use std::collections::BTreeMap;

use diesel::sql_types::{Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};

use super::{Finding, Surroundings};
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

/// How event triggers are.
const EVENT_TRIGGER: &str = "event trigger ";

/// How memberships are.
const MEMBERSHIP: &str = "membership of role ";

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
pub(super) async fn check(store: &Store, surroundings: &Surroundings) -> Result<Option<Finding>, StoreError> {
    let Inner { url, runtime, .. } = &*store.inner;
    let mut connection = connect::plain(url, runtime).await?;
    compare(EXPECTED, read(&mut connection).await?, surroundings)
}

/// The first object that is not as expected, where the schema is of this version.
fn compare(expected: &str, mut found: Catalogue, surroundings: &Surroundings) -> Result<Option<Finding>, StoreError> {
    let mut expected: Catalogue = expected
        .lines()
        .filter_map(|line| line.split_once(SEPARATOR))
        .map(|(object, description)| (object.to_owned(), description.to_owned()))
        .collect();
    if surroundings.without_event_triggers {
        expected.retain(|object, _| !object.starts_with(EVENT_TRIGGER) || found.contains_key(object));
    }
    found.retain(|object, _| !is_known_member(object, &surroundings.database_users));
    let steps = different_steps(&mut expected, &mut found);
    match (first_difference(&expected, &found), steps) {
        (finding, None) => Ok(finding),
        // A step that has left no trace was none.
        (None, Some((step, reason))) => {
            let reason = format!("{reason}, and everything else in the schema is as this program's own steps make it");
            Ok(Some(Finding::new(format!("{STEP}{step}"), None, reason)))
        }
        (Some(_), Some((step, reason))) => Err(StoreError::Migrate(format!("step {step} {reason}"))),
    }
}

/// Whether this is the membership of one of these users.
fn is_known_member(object: &str, users: &[String]) -> bool {
    let member = object.strip_prefix(MEMBERSHIP).and_then(|membership| membership.rsplit_once(" in "));
    member.is_some_and(|(member, _)| users.iter().any(|user| user == member))
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

async fn exists(connection: &mut AsyncPgConnection, query: &str) -> Result<bool, StoreError> {
    #[derive(diesel::QueryableByName)]
    struct Answer {
        #[diesel(sql_type = Bool)]
        there: bool,
    }
    let Answer { there } = diesel::sql_query(query).get_result(connection).await?;
    Ok(there)
}

/// The first step that is applied in one of the two only, with what is to be done; all steps are taken out. A schema of
/// another version is no damage: it has to be brought up to date, or to be audited by a newer program.
fn different_steps(expected: &mut Catalogue, found: &mut Catalogue) -> Option<(String, &'static str)> {
    let steps = |catalogue: &mut Catalogue| -> Vec<String> {
        let objects = catalogue.extract_if(.., |object, _| object.starts_with(STEP)).map(|(object, _)| object);
        objects.filter_map(|object| object.strip_prefix(STEP).map(str::to_owned)).collect()
    };
    let (expected, found) = (steps(expected), steps(found));
    let missing = expected.iter().find(|step| !found.contains(step));
    let newer = found.iter().find(|step| !expected.contains(step));
    missing
        .map(|step| (step.clone(), "is missing; start the service of this version once, then audit"))
        .or_else(|| newer.map(|step| (step.clone(), "is newer than this program; audit with a newer one")))
}

fn first_difference(expected: &Catalogue, found: &Catalogue) -> Option<Finding> {
    let finding = |object: &str, reason: String| Finding { object: object.to_owned(), index: None, reason };
    let gone_or_changed = expected.iter().find_map(|(object, expected)| match found.get(object) {
        None => Some(finding(object, format!("is gone; the schema has one: {expected}{}", hint(object)))),
        Some(found) if found != expected => Some(finding(object, format!("is {found}; it should be {expected}"))),
        Some(_) => None,
    });
    gone_or_changed.or_else(|| {
        let extra = found.iter().find(|(object, _)| !expected.contains_key(*object));
        extra.map(|(object, found)| finding(object, format!("is no part of the schema: {found}{}", hint(object))))
    })
}

/// How to say that it is as it should be, where only whoever audits can know.
fn hint(object: &str) -> &'static str {
    if object.starts_with("event trigger chopmark") {
        "; say --without-event-triggers if the user that founded the registry here is no superuser"
    } else if object.starts_with(MEMBERSHIP) {
        "; say --database-user if the registry works as this user"
    } else {
        ""
    }
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
    fn another_version_is_no_damage_and_a_step_without_a_trace_is() {
        let expected = "schema step 1\tapplied\nschema step 2\tapplied\ntable a\tx\n";
        let compare = |found: &[(&str, &str)]| compare(expected, catalogue(found), &Surroundings::default());
        let (first, second, third) =
            (("schema step 1", "applied"), ("schema step 2", "applied"), ("schema step 3", "applied"));
        assert_eq!(compare(&[first, second, ("table a", "x")]).unwrap(), None);
        let older = compare(&[first, ("table a", "w")]).unwrap_err();
        assert!(older.to_string().contains("step 2 is missing"), "{older}");
        let newer = compare(&[first, second, third, ("table a", "x"), ("table b", "y")]).unwrap_err();
        assert!(newer.to_string().contains("step 3 is newer"), "{newer}");
        for (found, object) in [(&[first][..], "schema step 2"), (&[first, second, third], "schema step 3")] {
            let found = [found, &[("table a", "x")]].concat();
            assert_eq!(compare(&found).unwrap().unwrap().object, object);
        }
    }

    #[test]
    fn what_only_the_auditor_knows_is_said() {
        let expected = "event trigger chopmark\tx\ntable a\tx\n";
        let table = ("table a", "x");
        let compare = |found: &[(&str, &str)], surroundings: &Surroundings| {
            compare(expected, catalogue(found), surroundings).unwrap()
        };
        let none = Surroundings::default();
        let said = Surroundings { without_event_triggers: true, database_users: vec!["registry".to_owned()] };
        let gone = compare(&[table], &none).unwrap();
        assert!(
            gone.object == "event trigger chopmark" && gone.reason.contains("--without-event-triggers"),
            "{gone:?}"
        );
        assert_eq!(compare(&[table], &said), None);
        // Those that are there have to be the right ones all the same, and all the others are named.
        assert!(compare(&[table, ("event trigger chopmark", "y")], &said).is_some());
        assert!(compare(&[table, ("event trigger other", "x")], &said).is_some());
        let member = ("membership of role registry in chopmark_owner", "it may");
        let founded = [("event trigger chopmark", "x"), table, member];
        assert!(compare(&founded, &none).unwrap().reason.contains("--database-user"));
        assert_eq!(compare(&founded, &said), None);
        assert!(compare(&[table, ("membership of role mallory in chopmark_owner", "it may")], &said).is_some());
    }

    #[test]
    fn the_expected_schema_is_there() {
        assert!(EXPECTED.lines().count() > 100);
        assert!(EXPECTED.lines().all(|line| line.contains(SEPARATOR)));
    }
}
