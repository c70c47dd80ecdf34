//! Changes to the read tables: each is compared with the fold of the log.

use super::{Change, audited, change, flip, replaced};

fn changes() -> Vec<Change> {
    let flipped = |what, table: &str, column: &str, condition: &str, index: Option<u64>| {
        let statements = format!("UPDATE view.{table} SET {} WHERE {condition}", flip(column, 3));
        change(what, statements.clone(), statements, format!("view.{table}"), index)
    };
    vec![
        change(
            "a key slipped in",
            "INSERT INTO view.key SELECT sha256('x'), public_key, party, role, valid_from, valid_until FROM view.key \
             WHERE valid_from = 2",
            "DELETE FROM view.key WHERE id = sha256('x')",
            "view.key",
            2,
        ),
        change(
            "a revoked key alive, or a living one revoked",
            "UPDATE view.key SET valid_until = 9 WHERE valid_from = 2",
            "UPDATE view.key SET valid_until = NULL WHERE valid_from = 2",
            "view.key",
            2,
        ),
        flipped("an artefact's owner", "artefact", "owner", "idx = 40", Some(40)),
        flipped("a page's owner", "artefact_page", "owner", "idx = 41", Some(41)),
        flipped("a party's key head", "party", "key_head", "idx = 2", Some(2)),
        replaced(
            "a digest",
            "view.artefact_digest",
            &format!(
                "UPDATE view.artefact_digest SET {} WHERE digest = (SELECT digest FROM view.artefact_digest WHERE idx = 42 LIMIT 1) \
                 AND idx = 42",
                flip("digest", 3)
            ),
            "view.artefact_digest",
            42,
        ),
        replaced(
            "a search term",
            "view.artefact_page",
            "UPDATE view.artefact_page SET terms = terms || 'free'::text WHERE idx = 43",
            "view.artefact_page",
            43,
        ),
        replaced(
            "a claim",
            "view.artefact_page",
            "UPDATE view.artefact_page SET claim = jsonb_set(claim, '{version}', '\"9\"') WHERE idx = 44",
            "view.artefact_page",
            44,
        ),
        replaced(
            "a number that SQL takes for the same, and that no reader of claims takes for one",
            "view.artefact_page",
            "UPDATE view.artefact_page SET claim = jsonb_set(claim, '{manifest,files}', (claim #>> '{manifest,files}' || '.0')::jsonb) WHERE idx = 45",
            "view.artefact_page",
            45,
        ),
        change(
            "more applied than there is",
            "UPDATE view.following SET applied_size = applied_size + 1000",
            "UPDATE view.following SET applied_size = applied_size - 1000",
            "view.following",
            None,
        ),
        change(
            "a nonce forgotten",
            "CREATE TABLE public.kept AS SELECT * FROM view.nonce LIMIT 1; \
             DELETE FROM view.nonce n USING public.kept k WHERE (n.issuer, n.nonce) = (k.issuer, k.nonce)",
            "INSERT INTO view.nonce SELECT * FROM public.kept; DROP TABLE public.kept",
            "view.nonce",
            None,
        ),
    ]
}

/// Tables that are known to be told apart by the entry of their first row.
const FIRST: [(&str, u64); 7] = [
    ("artefact", 3),
    ("artefact_digest", 3),
    ("artefact_page", 3),
    ("key", 0),
    ("party", 0),
    ("party_page", 0),
    ("policy", 1),
];

#[test]
fn every_change_to_a_read_table_is_found_and_named() {
    let audited = audited();
    let tables = audited.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'view' ORDER BY 1");
    let filled = |table: &&str| audited.sql(&format!("SELECT EXISTS (SELECT FROM view.{table})")) == "t";
    let filled: Vec<_> = tables.lines().filter(filled).collect();
    assert!(filled.len() >= 15, "a table without rows tests nothing: {filled:?}");
    let emptied = filled.iter().map(|table| {
        let index = FIRST.iter().find(|(name, _)| name == table).map(|(_, index)| *index);
        let statements = format!("TRUNCATE view.{table}");
        replaced("every row of a read table", &format!("view.{table}"), &statements, format!("view.{table}"), index)
    });
    audited.try_all(&emptied.chain(changes()).collect::<Vec<_>>());
}
