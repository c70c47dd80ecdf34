//! A database that does not keep what it was given, and people who change it: the publisher signs nothing over damage,
//! and the guards stand where they should.

use std::fs;
use std::path::Path;

use crate::admission::expect;
use crate::harness::{Service, place};
use crate::metrics::Scrape;
use crate::repeat::at_once;
use crate::shared;

/// What a superuser says first to get past the guards.
pub const UNGUARDED: &str = "SET chopmark.migrating = 'on'; \
    ALTER TABLE log.entry DISABLE TRIGGER USER; ALTER TABLE log.tile DISABLE TRIGGER USER; \
    ALTER TABLE log.checkpoint DISABLE TRIGGER USER; ALTER TABLE log.document DISABLE TRIGGER USER; \
    ALTER TABLE log.log_state DISABLE TRIGGER USER; ";

/// A failing disk: from now on one column of what is written to a table has one bit flipped.
fn flip_on_write(service: &Service, table: &str, event: &str, column: &str, byte: u32) {
    let statements = format!(
        "{UNGUARDED} CREATE FUNCTION public.flip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         NEW.{column} := set_byte(NEW.{column}, {byte}, get_byte(NEW.{column}, {byte}) # 1); RETURN NEW; END $$; \
         CREATE TRIGGER flip BEFORE {event} ON log.{table} FOR EACH ROW EXECUTE FUNCTION public.flip();"
    );
    service.sql(&statements).unwrap();
}

/// A service that shows its metrics.
fn watched(place: &Path) -> Service {
    Service::try_start(place, "data", &["--metrics-listen", "127.0.0.1:0"]).unwrap()
}

/// What operators are told to have an alert on.
fn raises_alarm(service: &Service) -> bool {
    Scrape::of(service).get("chopmark_halted") > 0.5
}

/// Fills a log, breaks the disk, writes once more: the last write must not be signed, and the reason must say where.
fn assert_not_signed(label: &str, entries_before: usize, break_disk: impl Fn(&Service), words: &[&str]) {
    let place = place();
    let service = watched(place.path());
    let (_, log_key) = shared::registry(&service);
    let author = shared::author(&service, label);
    let before: Vec<_> = (0..entries_before).map(|number| author.artefact(&format!("{label} {number}"))).collect();
    let requests: Vec<_> = before.iter().map(chopmark_core::submission::Submission::to_request).collect();
    at_once(&service, &requests, |_, answer| assert_eq!(answer.status, 201, "{}", answer.text()));
    let (mark, checkpoint) = (fs::read(service.directory.join("log.mark")).unwrap(), service.get("/checkpoint"));
    let largest = service.sql("SELECT max(size) FROM log.checkpoint").unwrap();

    break_disk(&service);
    let last = author.artefact(&format!("{label}, flipped"));
    let answer = service.post(&last.to_request());
    assert_eq!(answer.status, 503, "{}", answer.text());
    answer.problem();
    assert!(raises_alarm(&service), "halted, and nobody is told");
    let problem = expect(&service.get("/readyz"), "503 read_only request ");
    let detail = problem["detail"].as_str().unwrap();
    for words in words {
        assert!(detail.contains(words), "{words:?} is missing: {detail}");
    }
    assert_eq!(service.sql("SELECT max(size) FROM log.checkpoint").unwrap(), largest, "a checkpoint was stored");
    assert_eq!(service.get("/checkpoint").text(), checkpoint.text(), "a checkpoint was shown");
    assert_eq!(fs::read(service.directory.join("log.mark")).unwrap(), mark, "the mark moved");
    expect(&service.post(&author.artefact("afterwards").to_request()), "503 read_only request ");
    // What was signed before stays provable.
    if let Some(first) = before.first() {
        let receipt = service.get(&format!("/v1/statements/{}/receipt", first.statement.id));
        shared::check_receipt(&receipt, &first.entry, &log_key);
    }
    service.stop();
    // A new start does not sign it either.
    let service = watched(place.path());
    assert_eq!(service.get("/readyz").status, 503, "after a restart it signs");
    assert!(raises_alarm(&service), "halted since the start, and nobody is told");
    assert_eq!(fs::read(service.directory.join("log.mark")).unwrap(), mark);
    service.stop();
}

#[test]
fn a_flipped_bit_in_an_entry_is_not_signed() {
    let flip = |service: &Service| flip_on_write(service, "entry", "INSERT", "body", 300);
    assert_not_signed("body", 3, flip, &["entry 6 hashes to", "but the stored leaf hash is"]);
}

#[test]
fn a_flipped_bit_in_a_leaf_hash_is_not_signed() {
    let flip = |service: &Service| flip_on_write(service, "entry", "INSERT", "leaf_hash", 31);
    assert_not_signed("leaf hash", 3, flip, &["entry 6 hashes to", "but the stored leaf hash is"]);
}

#[test]
fn a_flipped_bit_in_a_tile_is_not_signed() {
    // Genesis, the party and 252 others: the next entry fills the first tile.
    let flip = |service: &Service| flip_on_write(service, "tile", "INSERT", "hashes", 8_000);
    assert_not_signed("tile", 252, flip, &["the stored tile 0 of level 0 differs"]);
}

#[test]
fn a_flipped_bit_in_the_root_is_not_signed() {
    let flip = |service: &Service| flip_on_write(service, "log_state", "UPDATE", "root", 0);
    assert_not_signed("root", 3, flip, &["read back have the root", "log.log_state says"]);
}

/// Bits that flip long after they were signed: the next start finds that the tree is no longer the signed one.
#[test]
fn what_was_signed_and_changed_since_is_noticed_at_the_next_start() {
    let place = place();
    let service = watched(place.path());
    let author = shared::author(&service, "at rest");
    let requests: Vec<_> = (0..260).map(|number| author.artefact(&format!("at rest {number}")).to_request()).collect();
    at_once(&service, &requests, |_, answer| assert_eq!(answer.status, 201, "{}", answer.text()));
    let mark = fs::read(service.directory.join("log.mark")).unwrap();
    let flip =
        |column: &str, byte: u32| format!("{column} = set_byte({column}, {byte}, get_byte({column}, {byte}) # 1)");
    let changes = [
        format!("UPDATE log.entry SET {} WHERE idx = 258", flip("leaf_hash", 5)),
        format!("UPDATE log.tile SET {} WHERE level = 0 AND n = 0", flip("hashes", 77)),
    ];
    let mut service = Some(service);
    for change in changes {
        // Twice: the second time undoes the first.
        let running = service.take().unwrap_or_else(|| watched(place.path()));
        assert!(!raises_alarm(&running), "{change}");
        running.sql(&format!("{UNGUARDED} {change}")).unwrap();
        running.stop();
        let halted = watched(place.path());
        assert!(raises_alarm(&halted), "{change}");
        let problem = expect(&halted.get("/readyz"), "503 read_only request ");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("was rewritten") && detail.contains("chopmark audit"), "{change}: {detail}");
        expect(&halted.get("/checkpoint"), "503 checkpoint_pending request ");
        halted.sql(&format!("{UNGUARDED} {change}")).unwrap();
        halted.stop();
        let healed = watched(place.path());
        assert_eq!(healed.get("/readyz").status, 200, "{change}");
        assert!(!raises_alarm(&healed), "{change}");
        service = Some(healed);
    }
    assert_eq!(fs::read(place.path().join("data/log.mark")).unwrap(), mark);
}

#[test]
fn the_guards_stand_for_the_service_and_for_superusers() {
    let service = shared::service();
    let author = shared::author(service, "guards");
    assert_eq!(service.post(&author.artefact("guards").to_request()).status, 201);
    let refuse = |statement: &str, words: &str| {
        let objection = service.sql(statement).expect_err(statement);
        assert!(objection.contains(words), "{statement}: {objection}");
    };
    let roles = service.sql(
        "SELECT string_agg(rolname, ' ' ORDER BY rolname) FROM pg_roles \
         WHERE rolname LIKE 'chopmark_%' AND NOT rolcanlogin AND NOT rolsuper AND NOT rolbypassrls",
    );
    assert_eq!(roles.unwrap(), "chopmark_app chopmark_log chopmark_owner chopmark_vault chopmark_view");

    for table in ["entry", "tile", "checkpoint", "document"] {
        for statement in [
            format!("UPDATE log.{table} SET {} = NULL", first_column(table)),
            format!("DELETE FROM log.{table}"),
            format!("TRUNCATE log.{table}"),
        ] {
            refuse(&format!("SET ROLE chopmark_app; {statement}"), "permission denied");
            // Tiles may be empty on a young log; row triggers speak only where there are rows.
            if table != "tile" || statement.starts_with("TRUNCATE") {
                refuse(&statement, "append-only");
                refuse(&format!("SET session_replication_role = replica; {statement}"), "append-only");
            }
        }
        refuse(&format!("DROP TABLE log.{table} CASCADE"), "part of the append-only ledger");
        refuse(&format!("ALTER TABLE log.{table} DISABLE TRIGGER ALL"), "part of the append-only ledger");
        refuse(
            &format!("SET session_replication_role = replica; DROP TABLE log.{table} CASCADE"),
            "part of the append-only ledger",
        );
    }
    refuse("SET ROLE chopmark_app; DELETE FROM log.log_state", "permission denied");
    refuse("SET ROLE chopmark_app; INSERT INTO log.log_state VALUES (2, 0, '')", "permission denied");
    refuse("SET ROLE chopmark_app; UPDATE log.log_state SET size = size - 1", "only grows");
    refuse("SET ROLE chopmark_app; UPDATE log.log_state SET id = 2", "permission denied");
    refuse("SET ROLE chopmark_app; CREATE TABLE log.more (a int)", "permission denied");
    refuse("SET ROLE chopmark_app; ALTER TABLE log.entry DISABLE TRIGGER ALL", "must be owner");
    refuse("SET ROLE chopmark_view; SELECT body FROM log.entry", "permission denied");
    refuse("UPDATE log.log_state SET root = root", "only grows");
    refuse("SET session_replication_role = replica; UPDATE log.log_state SET size = 0", "only grows");
    for statement in [
        "DROP SCHEMA log CASCADE",
        "DROP TRIGGER append_only_rows ON log.entry",
        "DROP FUNCTION log.refuse_change() CASCADE",
        "ALTER TABLE log.entry RENAME TO gone",
        "ALTER TABLE log.entry ALTER COLUMN body TYPE text USING ''",
        "CREATE OR REPLACE FUNCTION log.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "ALTER SCHEMA log RENAME TO gone",
        "ALTER TABLE log.entry SET SCHEMA public",
        "ALTER TABLE log.log_state RENAME TO gone",
    ] {
        refuse(statement, "part of the append-only ledger");
    }
    // The service's own sessions have no more rights than that role.
    let sessions = service.sql(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = 'chopmark' AND backend_type = 'client backend' \
         AND pid <> pg_backend_pid()",
    );
    assert_ne!(sessions.unwrap(), "0");
    assert_eq!(service.post(&author.artefact("guards stand").to_request()).status, 201);
}

fn first_column(table: &str) -> &'static str {
    match table {
        "entry" => "kind",
        "tile" => "hashes",
        "checkpoint" => "note",
        _ => "body",
    }
}
