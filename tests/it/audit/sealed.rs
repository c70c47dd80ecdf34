//! Changes to schema `vault`: who may read sealed values, and the values themselves.

use super::{Change, assert_found, audited, change, replaced};

/// A statement with an opening of this field.
fn sealing(audited: &super::Audited, field: &str) -> String {
    let query =
        format!("SELECT encode(statement, 'hex') FROM vault.opening WHERE field = '{field}' ORDER BY 1 LIMIT 1");
    audited.sql(&query)
}

fn changes_to_readers(payment: &str) -> Vec<Change> {
    let named = format!("vault.reader {payment}");
    let one = format!(
        "(statement, party) IN (SELECT statement, party FROM vault.reader WHERE statement = '\\x{payment}' LIMIT 1)"
    );
    vec![
        replaced(
            "a reader slipped in",
            "vault.reader",
            &format!(
                "CREATE TEMPORARY TABLE one AS SELECT * FROM vault.reader WHERE {one}; \
                 UPDATE one SET party = (SELECT id FROM view.party WHERE id NOT IN (SELECT party FROM vault.reader) LIMIT 1); \
                 INSERT INTO vault.reader SELECT * FROM one"
            ),
            named.clone(),
            None,
        ),
        replaced(
            "a reader gone",
            "vault.reader",
            &format!("DELETE FROM vault.reader WHERE {one}"),
            named.clone(),
            None,
        ),
        replaced(
            "officers of another place",
            "vault.reader",
            &format!("UPDATE vault.reader SET jurisdiction = 'SG' WHERE {one}"),
            named,
            None,
        ),
    ]
}

fn changes_to_openings(payment: &str, used: &str) -> Vec<Change> {
    let named = format!("vault.opening {payment} /amount");
    let row = format!("statement = '\\x{payment}' AND field = '/amount'");
    let opening = |what, statements: &str| replaced(what, "vault.opening", statements, named.clone(), None);
    let unknown_key = opening(
        "a key that nobody has",
        &format!(
            "INSERT INTO vault.wrapping_key (id) VALUES ('nobody'); UPDATE vault.opening SET key_id = 'nobody' WHERE {row}"
        ),
    );
    let undo = format!("{}; DELETE FROM vault.wrapping_key WHERE id = 'nobody'", unknown_key.undo);
    vec![
        opening("an opening gone", &format!("DELETE FROM vault.opening WHERE {row}")),
        opening(
            "an opening of something else",
            &format!(
                "UPDATE vault.opening SET (wrapped_key, sealed) = (SELECT wrapped_key, sealed FROM vault.opening AS other \
                 WHERE field = '/amount' AND statement <> '\\x{payment}' LIMIT 1) WHERE {row}"
            ),
        ),
        opening(
            "an opening destroyed without an entry",
            &format!(
                "UPDATE vault.opening SET erased_by = 3, key_id = NULL, wrapped_key = NULL, sealed = NULL WHERE {row}"
            ),
        ),
        change(unknown_key.what, unknown_key.statements, undo, unknown_key.object, None),
        replaced(
            "an opening of what is not sealed",
            "vault.opening",
            &format!(
                "UPDATE vault.opening SET field = '/slipped' WHERE statement = '\\x{payment}' AND field = '/fees'"
            ),
            format!("vault.opening {payment} /"),
            None,
        ),
        replaced(
            "the only opening of a statement",
            "vault.opening",
            &format!("DELETE FROM vault.opening WHERE statement = '\\x{used}'"),
            format!("vault.reader {used}"),
            None,
        ),
    ]
}

#[test]
fn every_change_to_readers_and_openings_is_found_and_named() {
    let audited = audited();
    let (payment, used) = (sealing(&audited, "/amount"), sealing(&audited, "/fraction"));
    audited.try_all(&changes_to_readers(&payment));
    audited.try_all(&changes_to_openings(&payment, &used));

    // Without the master keys nothing is opened, and that is said.
    let (code, document) = audited.audit_from_outside(&["--log-key", &audited.log_key]);
    assert_eq!((code, document["openings"].is_null()), (0, true), "{document}");
    assert!(document["not_repeated"][0].as_str().unwrap().contains("no master key"), "{document}");
    let gone = replaced(
        "",
        "vault.opening",
        &format!("DELETE FROM vault.opening WHERE field = '/fees' AND statement = '\\x{payment}'"),
        "",
        None,
    );
    audited.change(&gone.statements);
    let found = audited.audit_from_outside(&["--log-key", &audited.log_key]);
    audited.change(&gone.undo);
    assert_found(&found, &format!("vault.opening {payment} /fees"), None, "an opening gone, without the keys");
}

/// The log does not tell in which zone the openings of a payment are kept: those that have none here are counted.
#[test]
fn payments_whose_openings_are_elsewhere_are_counted() {
    let audited = audited();
    let (code, document) = audited.audit(&[]);
    assert_eq!((code, &document["kept_elsewhere"]), (0, &1.into()), "{document}");
    assert!(document["openings"].as_u64().unwrap() >= 13, "{document}");
    let payment = sealing(&audited, "/amount");
    let all =
        replaced("", "vault.opening", &format!("DELETE FROM vault.opening WHERE statement = '\\x{payment}'"), "", None);
    audited.change(&all.statements);
    let (code, fewer) = audited.audit(&[]);
    audited.change(&all.undo);
    assert_eq!((code, &fewer["kept_elsewhere"]), (0, &2.into()), "{fewer}");
    audited.assert_clean();
}
