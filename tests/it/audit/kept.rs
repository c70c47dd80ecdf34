//! Checkpoints kept from one audit to the next (`--save`, `--from`), and those that are not what they should be.

use std::fs;

use super::{Audited, assert_found, audited, flip};
use crate::shared;

/// Enters one more artefact.
fn enter(audited: &mut Audited, label: &str) {
    let log_key = shared::registry(&audited.service).1;
    shared::enter(&audited.service, &audited.author.artefact(label), &log_key);
    audited.size += 1;
    audited.wait_until_applied();
}

#[test]
fn an_audit_goes_on_from_where_an_earlier_one_was_clean() {
    let mut audited = audited();
    let file = audited.home.file("audited.checkpoint");
    let path = file.to_str().unwrap();
    let (code, document) = audited.audit(&["--save", path]);
    assert_eq!((code, document["saved"].as_str()), (0, Some(path)), "{document}");
    assert_eq!(document["not_repeated"], serde_json::json!([]));
    assert_eq!(fs::read(&file).unwrap(), audited.service.get("/checkpoint").body);

    let from = audited.size;
    enter(&mut audited, "after the first audit");
    enter(&mut audited, "after the first audit, too");
    let (code, document) = audited.audit(&["--from", path, "--save", path]);
    assert_eq!(code, 0, "{document}");
    for (member, number) in [("entries", from + 2), ("judged", 2), ("tables", 0), ("outside_roots", 2)] {
        assert_eq!(document[member], number, "{member}: {document}");
    }
    assert_eq!(document["from"]["size"], from, "{document}");
    assert_eq!(document["not_repeated"].as_array().unwrap().len(), 4, "{document}");

    // From the newest checkpoint on there is nothing to judge, and still every byte is read.
    let (code, document) = audited.audit(&["--from", path]);
    assert_eq!((code, &document["judged"]), (0, &0.into()), "{document}");
    for (what, column, index) in
        [("an old body", "body", 20), ("a new body", "body", from + 1), ("an issuer", "issuer", 21)]
    {
        let flip = format!("UPDATE log.entry SET {} WHERE idx = {index}", flip(column, 9));
        audited.change(&flip);
        assert_found(&audited.audit(&["--from", path]), &format!("log.entry {index}"), Some(index), what);
        audited.change(&flip);
    }
    audited.change(
        "CREATE TABLE public.kept AS SELECT d.* FROM log.document d JOIN view.artefact a ON a.manifest = d.sha256 \
         WHERE a.idx = 13; DELETE FROM log.document d USING public.kept k WHERE k.sha256 = d.sha256",
    );
    assert_found(&audited.audit(&["--from", path]), "log.document", Some(13), "a document that an old entry names");
    audited.change("INSERT INTO log.document SELECT * FROM public.kept; DROP TABLE public.kept");
    // What it says it leaves out, it leaves out; an audit from the beginning does not.
    let slipped = "INSERT INTO view.verified_name VALUES ('slipped in', '\\x00')";
    audited.change(slipped);
    assert_eq!(audited.audit(&["--from", path]).0, 0);
    assert_found(&audited.audit(&[]), "view.verified_name", None, "a row slipped in");
    audited.change("DELETE FROM view.verified_name WHERE skeleton = 'slipped in'");
    audited.assert_clean();
}

#[test]
fn a_damaged_log_leaves_no_checkpoint_to_go_on_from() {
    let audited = audited();
    let file = audited.home.file("never.checkpoint");
    let flip = format!("UPDATE log.entry SET {} WHERE idx = 30", flip("body", 9));
    audited.change(&flip);
    assert_found(&audited.audit(&["--save", file.to_str().unwrap()]), "log.entry 30", Some(30), "a body");
    audited.change(&flip);
    assert!(!file.exists());
}

#[test]
fn a_kept_checkpoint_must_be_this_logs_and_must_still_be_in_the_database() {
    let audited = audited();
    let kept = fs::read_to_string(&audited.kept).unwrap();
    let size: u64 = kept.lines().nth(1).unwrap().parse().unwrap();
    let path = audited.kept.to_str().unwrap();
    assert_eq!(audited.audit(&["--against", path]).0, 0);
    audited.change(&format!(
        "CREATE TABLE public.kept AS SELECT * FROM log.checkpoint WHERE size = {size}; DELETE FROM log.checkpoint WHERE size = {size}"
    ));
    assert_found(
        &audited.audit(&["--against", path]),
        &format!("log.checkpoint {size}"),
        Some(size),
        "a checkpoint gone",
    );
    audited.change("INSERT INTO log.checkpoint SELECT * FROM public.kept; DROP TABLE public.kept");

    for (what, other) in [("size", kept.replacen(&format!("\n{size}\n"), "\n2\n", 1)), ("nothing", String::new())] {
        fs::write(&audited.kept, other).unwrap();
        for flag in ["--against", "--from"] {
            let (code, document) = audited.audit(&[flag, path]);
            assert_eq!(code, 6, "{what}: {document}");
        }
    }
    fs::write(&audited.kept, kept).unwrap();
    audited.assert_clean();
}
