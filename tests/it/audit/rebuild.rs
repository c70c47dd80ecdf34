//! `chopmark db rebuild`: the read tables come out byte for byte the same, whatever was done to them.

use std::collections::BTreeMap;

use super::{Audited, assert_found, audited};
use crate::shared;

/// Every row of every read table, as text, in one order.
fn dump(audited: &Audited) -> BTreeMap<String, String> {
    let tables = audited.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'view'");
    let rows = |table: &str| {
        let query = format!("SELECT string_agg(t::text, E'\\n' ORDER BY t::text COLLATE \"C\") FROM view.{table} t");
        audited.sql(&query)
    };
    tables.lines().map(|table| (table.to_owned(), rows(table))).collect()
}

#[test]
fn the_read_tables_come_out_the_same_beside_a_running_service() {
    let mut audited = audited();
    let before = dump(&audited);
    assert!(before.values().filter(|rows| !rows.is_empty()).count() >= 15, "{:?}", before.keys());
    let document = audited.rebuild();
    assert_eq!((&document["entries"], &document["mended"]), (&audited.size.into(), &0.into()), "{document}");
    assert_eq!(document["tables"].as_array().unwrap().len(), before.len());
    assert_eq!(dump(&audited), before);

    let damage = "TRUNCATE view.artefact_digest, view.following, view.nonce; DELETE FROM view.party WHERE idx = 0; \
         UPDATE view.key SET role = 'signing'; UPDATE view.artefact_page SET claim = '{}', terms = '{x}'; \
         INSERT INTO view.verified_name SELECT 'nobody', id FROM view.party; UPDATE view.artefact_parent SET parent = NULL";
    audited.sql(damage);
    assert_ne!(dump(&audited), before);
    assert_found(&audited.audit(&[]), "view.", None, "read tables in ruins");
    let document = audited.rebuild();
    let mended = |table: &str| {
        let tables = document["tables"].as_array().unwrap();
        tables.iter().find(|rebuilt| rebuilt["table"] == table).unwrap()["mended"].as_u64().unwrap()
    };
    assert_eq!(mended("party"), 1, "{document}");
    assert_eq!(mended("policy"), 0, "{document}");
    assert_eq!(mended("nonce"), audited.size, "{document}");
    assert!(document["mended"].as_u64().unwrap() > 1_000, "{document}");
    assert_eq!(dump(&audited), before);
    audited.assert_clean();

    // A number that SQL takes for the same is none.
    audited.sql("UPDATE view.artefact_page SET claim = jsonb_set(claim, '{manifest,files}', (claim #>> '{manifest,files}' || '.0')::jsonb) WHERE idx = 45");
    assert_ne!(dump(&audited), before);
    let document = audited.rebuild();
    assert_eq!(document["mended"], 2, "one row that was there, one that was not: {document}");
    assert_eq!(dump(&audited), before);

    // The service goes on with them.
    let log_key = shared::registry(&audited.service).1;
    let index = shared::enter(&audited.service, &audited.author.artefact("after the rebuild"), &log_key);
    assert_eq!(index, audited.size);
    audited.size += 1;
    audited.wait_until_applied();
    audited.assert_clean();
}

#[test]
fn a_log_that_cannot_be_read_is_not_folded() {
    let audited = audited();
    let before = dump(&audited);
    audited.change(
        "CREATE TABLE public.kept AS SELECT * FROM log.entry WHERE idx = 60; DELETE FROM log.entry WHERE idx = 60",
    );
    let directory = audited.service.directory.to_str().unwrap();
    let (code, document) = audited.home.json(&["db", "rebuild", "--data-dir", directory]);
    assert_eq!((code, document["error"]["code"].as_str()), (6, Some("ledger_damaged")), "{document}");
    assert!(document["error"]["message"].as_str().unwrap().contains("log.entry 60"), "{document}");
    assert_eq!(dump(&audited), before, "nothing was changed");
    audited.change("INSERT INTO log.entry SELECT * FROM public.kept; DROP TABLE public.kept");
    audited.assert_clean();
}
