//! Audits: every way a superuser can change the ledger is found, named, and ends in exit code 6.
//!
//! Each change is made past all guards, audited, and undone; an audit in between finds nothing.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use crate::harness::{Home, Service, place};
use crate::repeat::at_once;
use crate::shared;
use crate::tamper::UNGUARDED;

/// Entries: genesis, the party and these fill one tile and begin another.
const ENTRIES: usize = 262;

struct Audited {
    service: Service,
    home: Home,
}

impl Audited {
    fn audit(&self, more: &[&str]) -> (i32, Value) {
        let directory = self.service.directory.to_str().unwrap();
        self.home.json(&[&["audit", "--data-dir", directory], more].concat())
    }

    /// As an outsider: no keys and no mark, only the database and what was kept.
    fn audit_from_outside(&self, more: &[&str]) -> (i32, Value) {
        let nowhere = self.home.file("nowhere");
        let url = self.service.database_url();
        let arguments = ["audit", "--data-dir", nowhere.to_str().unwrap(), "--database-url", &url];
        self.home.json(&[&arguments, more].concat())
    }

    fn change(&self, statements: &str) {
        self.service.sql(&format!("{UNGUARDED} {statements}")).unwrap();
    }

    fn assert_clean(&self) {
        let (code, document) = self.audit(&[]);
        assert_eq!((code, document["state"].as_str()), (0, Some("clean")), "{document}");
        assert_eq!(document["entries"], 3 + ENTRIES, "{document}");
        assert_eq!(document["tiles"], 1, "{document}");
        assert_eq!(document["outside_roots"], 1, "{document}");
    }
}

#[track_caller]
fn assert_found(found: &(i32, Value), object: &str, index: Option<u64>, what: &str) {
    let (code, document) = found;
    assert_eq!((*code, document["state"].as_str()), (6, Some("damaged")), "{what}: {document}");
    let finding = &document["finding"];
    assert!(finding["object"].as_str().unwrap().contains(object), "{what}: expected {object}: {finding}");
    if let Some(index) = index {
        assert_eq!(finding["index"], index, "{what}: {finding}");
    }
    assert!(!finding["reason"].as_str().unwrap().is_empty());
}

/// One change by a superuser.
struct Change {
    what: &'static str,
    statements: String,
    /// How it is undone; nothing where doing it again undoes it.
    undo: &'static str,
    /// What must be named.
    object: String,
    /// The first index that must be named, where it can be known.
    index: Option<u64>,
}

fn change(
    what: &'static str,
    statements: impl Into<String>,
    undo: &'static str,
    object: impl Into<String>,
    index: impl Into<Option<u64>>,
) -> Change {
    Change { what, statements: statements.into(), undo, object: object.into(), index: index.into() }
}

fn flip(column: &str, byte: u64) -> String {
    format!("{column} = set_byte({column}, {byte}, get_byte({column}, {byte}) # 1)")
}

fn changes_to_entries() -> Vec<Change> {
    let entry = |column: &str, byte: u64, index: u64| {
        format!("UPDATE log.entry SET {} WHERE idx = {index}", flip(column, byte))
    };
    vec![
        change("a body", entry("body", 200, 100), "", "log.entry 100", 100),
        change("a leaf hash", entry("leaf_hash", 0, 101), "", "log.entry 101", 101),
        change("a statement id", entry("statement_id", 31, 102), "", "log.entry 102", 102),
        change(
            "a body with the leaf hash that fits it",
            "CREATE TABLE public.kept AS SELECT * FROM log.entry WHERE idx = 260; UPDATE log.entry SET body = \
             convert_to(replace(convert_from(body, 'UTF8'), '\"sig\":\"', '\"sig\":\"AA'), 'UTF8') WHERE idx = 260; \
             UPDATE log.entry SET leaf_hash = sha256('\\x00'::bytea || body) WHERE idx = 260",
            "UPDATE log.entry e SET body = k.body, leaf_hash = k.leaf_hash FROM public.kept k WHERE e.idx = k.idx; \
             DROP TABLE public.kept",
            "log.",
            None,
        ),
        change(
            "two entries exchanged",
            "UPDATE log.entry SET idx = 9999 WHERE idx = 7; UPDATE log.entry SET idx = 7 WHERE idx = 8; \
             UPDATE log.entry SET idx = 8 WHERE idx = 9999",
            "",
            "log.",
            None,
        ),
        change(
            "an entry in the middle gone",
            "CREATE TABLE public.kept AS SELECT * FROM log.entry WHERE idx = 77; DELETE FROM log.entry WHERE idx = 77",
            "INSERT INTO log.entry SELECT * FROM public.kept; DROP TABLE public.kept",
            "log.entry 77",
            None,
        ),
        change(
            "an entry beyond the log",
            "INSERT INTO log.entry SELECT 265, sha256('x'), leaf_hash, kind, issuer, recorded_at, body FROM log.entry \
             WHERE idx = 264",
            "DELETE FROM log.entry WHERE idx = 265",
            "log.entry 265",
            None,
        ),
    ]
}

/// Changes to everything else; `checkpoint` is a stored checkpoint before the newest, which has `size`.
fn changes_to_the_rest(checkpoint: u64, size: u64) -> Vec<Change> {
    let named = format!("log.checkpoint {checkpoint}");
    vec![
        change(
            "a tile",
            format!("UPDATE log.tile SET {} WHERE level = 0", flip("hashes", 8_191)),
            "",
            "log.tile level 0 number 0",
            0,
        ),
        change(
            "a tile gone",
            "CREATE TABLE public.kept AS SELECT * FROM log.tile; DELETE FROM log.tile",
            "INSERT INTO log.tile SELECT * FROM public.kept; DROP TABLE public.kept",
            "tile",
            None,
        ),
        change(
            "a tile too many",
            "INSERT INTO log.tile SELECT 5, 0, hashes FROM log.tile",
            "DELETE FROM log.tile WHERE level = 5",
            "log.tile",
            None,
        ),
        change("the root", format!("UPDATE log.log_state SET {}", flip("root", 3)), "", "log.log_state", size),
        change(
            "the size",
            "UPDATE log.log_state SET size = size - 1",
            "UPDATE log.log_state SET size = size + 1",
            "the signer's mark",
            size - 1,
        ),
        change(
            "a checkpoint's root",
            format!("UPDATE log.checkpoint SET {} WHERE size = {checkpoint}", flip("root", 1)),
            "",
            &named,
            checkpoint,
        ),
        change(
            "a checkpoint's note",
            format!("UPDATE log.checkpoint SET note = translate(note, 'AB', 'BA') WHERE size = {checkpoint}"),
            "",
            &named,
            checkpoint,
        ),
        change(
            "a note of another size",
            format!(
                "CREATE TABLE public.kept AS SELECT * FROM log.checkpoint; UPDATE log.checkpoint c SET note = k.note \
                 FROM public.kept k WHERE c.size = {checkpoint} AND k.size = {size}"
            ),
            "UPDATE log.checkpoint c SET note = k.note FROM public.kept k WHERE c.size = k.size; DROP TABLE public.kept",
            &named,
            checkpoint,
        ),
        change(
            "a checkpoint beyond the log",
            "INSERT INTO log.checkpoint SELECT 9999, root, note FROM log.checkpoint LIMIT 1",
            "DELETE FROM log.checkpoint WHERE size = 9999",
            "log.checkpoint 9999",
            None,
        ),
        change(
            "a manifest",
            "CREATE TABLE public.kept AS SELECT * FROM log.document LIMIT 1; \
             UPDATE log.document d SET body = d.body || ' ' FROM public.kept k WHERE d.sha256 = k.sha256",
            "UPDATE log.document d SET body = k.body FROM public.kept k WHERE d.sha256 = k.sha256; \
             DROP TABLE public.kept",
            "log.document",
            None,
        ),
    ]
}

#[test]
fn every_change_to_the_ledger_is_found_and_named() {
    let place = place();
    let service = Service::start(place.path());
    let author = shared::author(&service, "audited");
    let requests: Vec<_> =
        (0..ENTRIES).map(|number| author.artefact(&format!("audited {number}")).to_request()).collect();
    let (early, late) = requests.split_at(ENTRIES - 5);
    at_once(&service, early, |_, answer| assert_eq!(answer.status, 201, "{}", answer.text()));
    for request in late {
        assert_eq!(service.post(request).status, 201);
    }
    let size = u64::try_from(3 + ENTRIES).unwrap();
    let kept = place.path().join("kept.txt");
    fs::write(&kept, service.get("/checkpoint").body).unwrap();
    let log_key = shared::registry(&service).1.to_string();
    let audited = Audited { service, home: Home::new() };
    audited.assert_clean();

    let before = format!("SELECT max(size) FROM log.checkpoint WHERE size < {size}");
    let before = audited.service.sql(&before).unwrap().parse().unwrap();
    let changes: Vec<_> = changes_to_entries().into_iter().chain(changes_to_the_rest(before, size)).collect();
    for Change { what, statements, undo, object, index } in &changes {
        audited.change(statements);
        assert_found(&audited.audit(&[]), object, *index, what);
        audited.change(if undo.is_empty() { statements } else { undo });
    }
    audited.assert_clean();
    println!("{} changes by a superuser, each found and named", changes.len());
    cut_tail(&audited, &kept, &log_key, size);
    audited.service.stop();
}

/// The end of the log cut off so well that the database agrees with itself: only what is kept outside knows better.
fn cut_tail(audited: &Audited, kept: &std::path::Path, log_key: &str, size: u64) {
    let kept = kept.to_str().unwrap();
    let cut = size - 3;
    let older = format!(
        "CREATE TABLE public.kept_entry AS SELECT * FROM log.entry WHERE idx >= {cut}; DELETE FROM log.entry WHERE idx >= {cut}; \
         CREATE TABLE public.kept_checkpoint AS SELECT * FROM log.checkpoint WHERE size > {cut}; DELETE FROM log.checkpoint WHERE size > {cut}; \
         CREATE TABLE public.kept_state AS SELECT * FROM log.log_state; \
         UPDATE log.log_state SET size = {cut}, root = (SELECT root FROM log.checkpoint WHERE size = {cut})"
    );
    let honest = ["--against", kept, "--log-key", log_key];
    assert_eq!(audited.audit_from_outside(&honest).0, 0);
    audited.change(&older);
    assert_found(&audited.audit(&[]), "the signer's mark", Some(cut), "the tail cut off");
    let (code, document) = audited.audit_from_outside(&["--log-key", log_key]);
    assert_eq!(code, 0, "without anything kept outside nobody can know: {document}");
    assert_found(&audited.audit_from_outside(&honest), "kept.txt", Some(cut), "the tail cut off");
    audited.change(
        "INSERT INTO log.entry SELECT * FROM public.kept_entry; INSERT INTO log.checkpoint SELECT * FROM public.kept_checkpoint; \
         UPDATE log.log_state s SET size = k.size, root = k.root FROM public.kept_state k; \
         DROP TABLE public.kept_entry, public.kept_checkpoint, public.kept_state",
    );
    audited.assert_clean();

    // A kept checkpoint that is not this log's, or not signed at all.
    let text = fs::read_to_string(kept).unwrap();
    for (what, other) in [("size", text.replacen(&format!("\n{size}\n"), "\n2\n", 1)), ("nothing", String::new())] {
        fs::write(kept, other).unwrap();
        let (code, document) = audited.audit(&["--against", kept]);
        assert_eq!(code, 6, "{what}: {document}");
    }
}

/// An alarm that rings while the registry does its work is soon switched off.
#[test]
fn an_audit_beside_a_busy_service_finds_nothing() {
    let place = place();
    let service = Service::start(place.path());
    let author = shared::author(&service, "busy");
    let requests: Vec<_> = (0..400).map(|number| author.artefact(&format!("busy {number}")).to_request()).collect();
    let directory = service.directory.to_str().unwrap();
    let audit = || Home::new().json(&["audit", "--data-dir", directory]);
    let is_done = AtomicBool::new(false);
    let audits = thread::scope(|scope| {
        let auditor = scope.spawn(|| {
            let mut audits = Vec::new();
            while !is_done.load(Ordering::SeqCst) {
                audits.push(audit());
            }
            audits
        });
        for some in requests.chunks(20) {
            at_once(&service, some, |_, answer| assert_eq!(answer.status, 201, "{}", answer.text()));
        }
        is_done.store(true, Ordering::SeqCst);
        auditor.join().unwrap()
    });
    for (code, document) in &audits {
        assert_eq!((*code, document["state"].as_str()), (0, Some("clean")), "{document}");
    }
    println!("{} audits while 400 statements came in", audits.len());
    assert!(!audits.is_empty());
    service.stop();
}

#[test]
fn a_stopped_registry_can_be_audited_and_a_missing_one_is_not_made() {
    let place = place();
    let service = Service::start(place.path());
    let directory = service.directory.clone();
    service.stop();
    let home = Home::new();
    let (code, document) = home.json(&["audit", "--data-dir", directory.to_str().unwrap()]);
    assert_eq!((code, &document["entries"]), (0, &Value::from(2)), "{document}");
    assert!(!directory.join("postgres/data/postmaster.pid").exists(), "PostgreSQL was left running");
    let nowhere = place.path().join("nowhere");
    let (code, document) = home.json(&["audit", "--data-dir", nowhere.to_str().unwrap()]);
    assert!(code != 0 && document["error"]["message"].is_string(), "{document}");
    assert!(!nowhere.exists());
}
