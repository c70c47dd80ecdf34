//! Changes to schema `log`: entries, tiles, checkpoints, documents, and the row that says how much there is.

use std::fs;

use chopmark_core::key::PublicKey;
use chopmark_core::ledger::checkpoint::{Checkpoint, sign_checkpoint};
use chopmark_core::ledger::edge::Edge;
use chopmark_core::ledger::note::NoteSigner;
use chopmark_core::ledger::tree::leaf_hash;
use chopmark_core::party::{KeyEvent, KeyRole};
use chopmark_core::submission::Submission;
use data_encoding::HEXLOWER;

use super::{Audited, Change, assert_found, audited, change, flip, registry_key, replaced};
use crate::attest::key_event;
use crate::make::{Author, key};
use crate::shared;
use crate::signers::registration;

fn changes_to_entries(size: u64) -> Vec<Change> {
    let entry = |column: &str, byte: u64, index: u64| {
        format!("UPDATE log.entry SET {} WHERE idx = {index}", flip(column, byte))
    };
    let column = |what, set: &str, index: u64| {
        let statements = format!("UPDATE log.entry SET {set} WHERE idx = {index}");
        replaced(what, "log.entry", &statements, format!("log.entry {index}"), index)
    };
    vec![
        change("a body", entry("body", 200, 100), "", "log.entry 100", 100),
        change("a leaf hash", entry("leaf_hash", 0, 101), "", "log.entry 101", 101),
        change("a statement id", entry("statement_id", 31, 102), "", "log.entry 102", 102),
        change("an issuer", entry("issuer", 5, 103), "", "log.entry 103", 103),
        column("a kind", "kind = 'party'", 104),
        column("a moment before the one before", "recorded_at = recorded_at - interval '1 day'", 105),
        column("a moment after which nothing was admitted", "recorded_at = recorded_at + interval '3 days'", size - 1),
        replaced(
            "a body with the leaf hash that fits it",
            "log.entry",
            "UPDATE log.entry SET body = convert_to(replace(convert_from(body, 'UTF8'), '\"sig\":\"', '\"sig\":\"AA'), \
             'UTF8') WHERE idx = 260; UPDATE log.entry SET leaf_hash = sha256('\\x00'::bytea || body) WHERE idx = 260",
            "log.entry 260",
            260,
        ),
        change(
            "two entries exchanged",
            "UPDATE log.entry SET idx = 9999 WHERE idx = 7; UPDATE log.entry SET idx = 7 WHERE idx = 8; \
             UPDATE log.entry SET idx = 8 WHERE idx = 9999",
            "",
            "log.",
            None,
        ),
        replaced(
            "an entry in the middle gone",
            "log.entry",
            "DELETE FROM log.entry WHERE idx = 77",
            "log.entry 77",
            77,
        ),
        change(
            "an entry beyond the log",
            format!(
                "INSERT INTO log.entry SELECT {size}, sha256('x'), leaf_hash, kind, issuer, recorded_at, body \
                 FROM log.entry WHERE idx = {size} - 1"
            ),
            format!("DELETE FROM log.entry WHERE idx = {size}"),
            format!("log.entry {size}"),
            None,
        ),
        change(
            "an entry before the log",
            "ALTER TABLE log.entry DROP CONSTRAINT entry_idx_check; INSERT INTO log.entry SELECT -1, sha256('x'), \
             leaf_hash, kind, issuer, recorded_at, body FROM log.entry WHERE idx = 0",
            "DELETE FROM log.entry WHERE idx = -1; ALTER TABLE log.entry ADD CONSTRAINT entry_idx_check CHECK (idx >= 0)",
            "log.entry -1",
            None,
        ),
        replaced("every entry", "log.entry", "TRUNCATE log.entry", "log.entry 0", 0),
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
        replaced("a tile gone", "log.tile", "DELETE FROM log.tile", "log.tile level 0 number 0", 0),
        replaced("every tile", "log.tile", "TRUNCATE log.tile", "log.tile level 0 number 0", 0),
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
        replaced("the state", "log.log_state", "DELETE FROM log.log_state", "log.log_state", 0),
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
        replaced(
            "a note of another size",
            "log.checkpoint",
            &format!(
                "UPDATE log.checkpoint c SET note = k.note FROM public.kept k WHERE c.size = {checkpoint} AND k.size = {size}"
            ),
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
        replaced("every checkpoint", "log.checkpoint", "TRUNCATE log.checkpoint", "log.checkpoint", None),
        replaced(
            "a manifest",
            "log.document",
            "UPDATE log.document SET body = body || ' ' WHERE sha256 = (SELECT manifest FROM view.artefact WHERE idx = 33)",
            "log.document",
            33,
        ),
        replaced(
            "a manifest gone",
            "log.document",
            "DELETE FROM log.document WHERE sha256 = (SELECT manifest FROM view.artefact WHERE idx = 34)",
            "log.document",
            34,
        ),
        replaced("every document", "log.document", "TRUNCATE log.document", "log.document", 3),
        change(
            "a document that nobody named, and that is not what its key says",
            "INSERT INTO log.document VALUES (sha256('a'), 'b')",
            "DELETE FROM log.document WHERE sha256 = sha256('a')",
            "log.document",
            None,
        ),
    ]
}

#[test]
fn every_change_to_the_ledger_is_found_and_named() {
    let audited = audited();
    let size = audited.size;
    audited.try_all(&changes_to_entries(size));
    let before = audited.sql(&format!("SELECT max(size) FROM log.checkpoint WHERE size < {size}")).parse().unwrap();
    audited.try_all(&changes_to_the_rest(before, size));
    cut_tail(&audited);
}

/// The end of the log cut off so well that the database agrees with itself: only what is kept outside knows better.
fn cut_tail(audited: &Audited) {
    let kept = audited.kept.to_str().unwrap();
    // One entry before the checkpoint that is kept, however much came after it.
    let size: u64 = fs::read_to_string(&audited.kept).unwrap().lines().nth(1).unwrap().parse().unwrap();
    let cut = size - 1;
    let older = format!(
        "CREATE TABLE public.kept_entry AS SELECT * FROM log.entry WHERE idx >= {cut}; DELETE FROM log.entry WHERE idx >= {cut}; \
         CREATE TABLE public.kept_checkpoint AS SELECT * FROM log.checkpoint WHERE size > {cut}; DELETE FROM log.checkpoint WHERE size > {cut}; \
         CREATE TABLE public.kept_state AS SELECT * FROM log.log_state; \
         UPDATE log.log_state SET size = {cut}, root = (SELECT root FROM log.checkpoint WHERE size = {cut})"
    );
    let honest = ["--against", kept, "--log-key", &audited.log_key];
    assert_eq!(audited.audit_from_outside(&honest).0, 0);
    audited.change(&older);
    assert_found(&audited.audit(&[]), "the signer's mark", Some(cut), "the tail cut off");
    // Whoever keeps nothing outside can still see that the read tables know more than the log.
    let key = ["--log-key", audited.log_key.as_str()];
    assert_found(&audited.audit_from_outside(&key), "view.", None, "the tail cut off, read tables left");
    assert_found(&audited.audit_from_outside(&honest), "kept.txt", Some(cut), "the tail cut off");
    audited.rebuild();
    let (code, document) = audited.audit_from_outside(&key);
    assert_eq!(code, 0, "without anything kept outside nobody can know: {document}");
    audited.change(
        "INSERT INTO log.entry SELECT * FROM public.kept_entry; INSERT INTO log.checkpoint SELECT * FROM public.kept_checkpoint; \
         UPDATE log.log_state s SET size = k.size, root = k.root FROM public.kept_state k; \
         DROP TABLE public.kept_entry, public.kept_checkpoint, public.kept_state",
    );
    audited.rebuild();
    audited.assert_clean();
}

/// Whoever holds the log key, and forges so well that every hash and signature over the tree fits, still can't forge
/// what admission asks of an entry.
#[test]
fn an_entry_that_was_never_to_be_admitted_is_named_however_well_it_is_entered() {
    let mut audited = audited();
    let (registry, log_key) = shared::registry(&audited.service);
    let careful = shared::author_with(&audited.service, "two keys and a machine", 2, 2);
    let (root, machine) = (&careful.keys[0], &key("two keys and a machine, machine"));
    let add = KeyEvent::Add { public_key: PublicKey::from(machine), role: KeyRole::Signing };
    let add = key_event(&careful, 1, add, &[root, &careful.keys[1], machine], "two keys and a machine, key event");
    shared::enter(&audited.service, &add, &log_key);
    let one_of_two = registration(&careful, ("by one of two", add.statement.id), (&[root, machine], 1), &[root]);
    // And what honest clients make of the same keys stays as good as it was.
    let both = registration(&careful, ("by both", add.statement.id), (&[root, machine], 1), &[root, machine]);
    shared::enter(&audited.service, &both, &log_key);
    assert_eq!(audited.service.post(&one_of_two.to_request()).status, 403);
    audited.size += 3;
    audited.wait_until_applied();
    let (stranger, _) = Author::new(&registry, "a stranger whose party is not registered", 1, 1);
    let unknown = stranger.artefact("by a stranger");
    let repeated = audited.author.artefact("audited 9");
    let unsigned = audited.author.artefact("with a signature by somebody else's key");
    let text = String::from_utf8(unsigned.entry.clone()).unwrap();
    let at = text.find("\"sig\":\"").unwrap() + "\"sig\":\"".len();
    let other = if &text[at..=at] == "A" { "B" } else { "A" };
    let badly_signed = format!("{}{other}{}", &text[..at], &text[at + 1..]).into_bytes();
    let index = audited.size;
    for (what, submission, body, words) in [
        ("a stranger's", &unknown, unknown.entry.clone(), "no party"),
        ("a repeated nonce", &repeated, repeated.entry.clone(), "nonce"),
        ("a forged signature", &unsigned, badly_signed, "not a valid signature"),
        ("one root key's", &one_of_two, one_of_two.entry.clone(), "need 2 signatures by root keys"),
    ] {
        forge(&audited, submission, &body);
        let found = audited.audit_from_outside(&["--log-key", &audited.log_key]);
        assert_found(&found, &format!("log.entry {index}"), Some(index), what);
        let reason = found.1["finding"]["reason"].as_str().unwrap();
        assert!(reason.contains("never have been admitted") && reason.contains(words), "{what}: {reason}");
        audited.change(&format!(
            "DELETE FROM log.entry WHERE idx = {index}; DELETE FROM log.checkpoint WHERE size > {index}; \
             DELETE FROM log.document d USING public.forged f WHERE d.sha256 = f.sha256; DROP TABLE public.forged; \
             UPDATE log.log_state s SET size = {index}, root = c.root FROM log.checkpoint c WHERE c.size = {index}"
        ));
        // The service has followed what it was shown.
        audited.rebuild();
    }
    audited.assert_clean();
}

/// Appends an entry with everything that belongs to it, signed with the log key.
fn forge(audited: &Audited, submission: &Submission, body: &[u8]) {
    let hex = |bytes: &[u8]| format!("'\\x{}'::bytea", HEXLOWER.encode(bytes));
    let leaves = audited.sql("SELECT encode(leaf_hash, 'hex') FROM log.entry ORDER BY idx");
    let mut edge = Edge::new();
    for leaf in leaves.lines() {
        edge.append(leaf.parse().unwrap());
    }
    edge.append(leaf_hash(body));
    let size = edge.size();
    let key = registry_key(&audited.service, "log.key");
    let origin = shared::registry(&audited.service).0.origin;
    let signer = NoteSigner::new(origin.as_str(), key).unwrap();
    let note = sign_checkpoint(&Checkpoint::new(origin, size, edge.root()).unwrap(), &[signer]).unwrap();
    let (digest, document) = submission.documents.iter().next().unwrap();
    let statement = &submission.statement;
    audited.change(&format!(
        "INSERT INTO log.entry SELECT {size} - 1, {id}, {leaf}, 'artefact', {issuer}, max(recorded_at), {body} FROM log.entry; \
         CREATE TABLE public.forged AS SELECT {digest} AS sha256, {document} AS body \
             WHERE NOT EXISTS (SELECT FROM log.document WHERE sha256 = {digest}); \
         INSERT INTO log.document SELECT * FROM public.forged; \
         UPDATE log.log_state SET size = {size}, root = {root}; \
         INSERT INTO log.checkpoint VALUES ({size}, {root}, $note${note}$note$)",
        id = if statement_exists(audited, statement.id.as_bytes()) { hex(&[7; 32]) } else { hex(statement.id.as_bytes()) },
        leaf = hex(leaf_hash(body).as_bytes()),
        issuer = hex(statement.issuer().as_bytes()),
        body = hex(body),
        digest = hex(digest.as_bytes()),
        document = hex(document),
        root = hex(edge.root().as_bytes()),
    ));
}

fn statement_exists(audited: &Audited, id: &[u8]) -> bool {
    let query = format!("SELECT count(*) FROM log.entry WHERE statement_id = '\\x{}'", HEXLOWER.encode(id));
    audited.sql(&query) != "0"
}

#[test]
fn an_emptied_database_is_damaged_and_not_merely_unfounded() {
    let audited = audited();
    let empty = "CREATE TABLE public.kept AS SELECT * FROM log.entry; TRUNCATE log.entry; \
         CREATE TABLE public.kept_checkpoint AS SELECT * FROM log.checkpoint; TRUNCATE log.checkpoint; \
         CREATE TABLE public.kept_state AS SELECT * FROM log.log_state; \
         UPDATE log.log_state SET size = 0, root = sha256('')";
    let restore = "INSERT INTO log.entry SELECT * FROM public.kept; INSERT INTO log.checkpoint SELECT * FROM public.kept_checkpoint; \
         UPDATE log.log_state s SET size = k.size, root = k.root FROM public.kept_state k; \
         DROP TABLE public.kept, public.kept_checkpoint, public.kept_state";
    audited.change(empty);
    assert_found(&audited.audit(&[]), "log.entry 0", Some(0), "everything gone, the mark left");
    let kept = ["--against", audited.kept.to_str().unwrap(), "--log-key", &audited.log_key];
    assert_found(&audited.audit_from_outside(&kept), "log.entry 0", Some(0), "everything gone, a checkpoint kept");
    audited.change(restore);
    audited.assert_clean();
}
