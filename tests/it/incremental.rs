//! Registering again: files that did not change are not read again, and nothing else is taken for unchanged.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::Home;
use crate::register::{copy_of, registered};
use crate::resume::{SIZE_BYTES, settle, sparse, stopped};

fn home_with(label: &str) -> Home {
    let home = registered().another_home();
    fs::create_dir_all(home.file("m/sub")).unwrap();
    for name in ["a.bin", "sub/b.bin", "c.bin"] {
        fs::write(home.file("m").join(name), format!("{label} {name}").repeat(1_000)).unwrap();
    }
    settle(&home.file("m/c.bin"));
    home
}

/// Registers `m` as a version.
fn register(home: &Home, version: &str, more: &[&str]) -> Value {
    let url = registered().url.as_str();
    let arguments = ["register", "m", "--licence", "mit", "--url", url, "--version", version];
    let (code, answer) = home.json(&[&arguments, more].concat());
    assert_eq!(code, 0, "{answer}");
    answer
}

/// What a run without any memory finds.
fn manifest(home: &Home) -> Value {
    home.json(&["hash", "m"]).1["manifest_sha256"].clone()
}

#[track_caller]
fn assert_recalled(answer: &Value, files: u64, changed: &[&str]) {
    assert_eq!(answer["recalled"], json!({ "files": files, "parts": 0, "changed": changed }), "{answer}");
}

fn documents(home: &Home) -> Vec<PathBuf> {
    let directory = home.work().parent().unwrap().join(".cache/chopmark/digests");
    fs::read_dir(directory).map(|entries| entries.map(|entry| entry.unwrap().path()).collect()).unwrap_or_default()
}

fn rewrite(path: &Path, content: &[u8]) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(content, 0).unwrap();
    file.set_modified(modified).unwrap();
}

#[test]
fn unchanged_files_are_not_read_again_and_changed_ones_are() {
    let home = home_with("unchanged");
    let first = register(&home, "1", &[]);
    assert_recalled(&first, 0, &[]);
    assert_eq!(first["read_size_bytes"], first["content_size_bytes"]);
    let [document]: [PathBuf; 1] = documents(&home).try_into().unwrap();
    assert_eq!(fs::metadata(&document).unwrap().mode() & 0o777, 0o600);

    let again = register(&home, "2", &[]);
    assert_recalled(&again, 3, &[]);
    assert_eq!((&again["read_size_bytes"], &again["manifest_sha256"]), (&json!(0), &first["manifest_sha256"]));
    let url = registered().url.as_str();
    let ran = home.run(&["register", "m", "--licence", "mit", "--url", url, "--version", "2a"]);
    assert!(ran.stdout.contains("3 files, unchanged and not read again"), "{ran:?}");
    assert!(ran.stderr.contains("3 of 3 files unchanged") && ran.stderr.contains("--no-cache"), "{ran:?}");

    // Asked to, it reads everything; and `hash` and `verify` always do.
    let all = register(&home, "3", &["--no-cache"]);
    assert_recalled(&all, 0, &[]);
    assert_eq!(all["read_size_bytes"], all["content_size_bytes"]);
    let hashed = home.json(&["hash", "m"]).1;
    assert_eq!(hashed["read_size_bytes"], hashed["content_size_bytes"]);

    // Another content of the same size with the old modification time: the change time tells.
    rewrite(&home.file("m/a.bin"), b"X");
    let changed = register(&home, "4", &[]);
    assert_recalled(&changed, 2, &["a.bin"]);
    assert_eq!(changed["manifest_sha256"], manifest(&home));
    assert_ne!(changed["manifest_sha256"], first["manifest_sha256"]);

    // Another file put in its place, one more, one less.
    fs::copy(home.file("m/c.bin"), home.file("d")).unwrap();
    fs::rename(home.file("d"), home.file("m/c.bin")).unwrap();
    fs::write(home.file("m/new.bin"), "new").unwrap();
    fs::remove_file(home.file("m/sub/b.bin")).unwrap();
    let changed = register(&home, "5", &[]);
    assert_eq!(changed["recalled"]["changed"], json!(["c.bin"]), "{changed}");
    assert_eq!(changed["manifest_sha256"], manifest(&home));

    // The same bytes elsewhere are other files.
    copy_of(&home.file("m"), &home.file("copy/m"));
    let (code, elsewhere) = home.json(&["register", "copy/m", "--licence", "mit", "--url", url, "--version", "6"]);
    assert_eq!((code, &elsewhere["manifest_sha256"]), (0, &changed["manifest_sha256"]), "{elsewhere}");
    assert_recalled(&elsewhere, 0, &[]);
}

/// Written within the granularity of time stamps before it was read: it could change and look the same.
#[test]
fn what_changed_a_moment_ago_is_not_remembered() {
    let home = home_with("racy");
    fs::write(home.file("m/a.bin"), "just now").unwrap();
    register(&home, "1", &[]);
    rewrite(&home.file("m/a.bin"), b"JUST");
    let again = register(&home, "2", &[]);
    assert_recalled(&again, 2, &[]);
    assert_eq!(again["manifest_sha256"], manifest(&home));
    settle(&home.file("m/a.bin"));
    assert_recalled(&register(&home, "3", &[]), 2, &[]);
    assert_recalled(&register(&home, "4", &[]), 3, &[]);
}

#[test]
fn a_registration_that_was_cut_short_goes_on() {
    let home = home_with("cut short");
    sparse(&home.file("m/weights.bin"), SIZE_BYTES);
    settle(&home.file("m/weights.bin"));
    let url = registered().url.as_str();
    let ran = stopped(&home, &["register", "m", "--licence", "mit", "--url", url], Signal::INT);
    assert_eq!((ran.code, home.pending()), (130, 0), "{ran:?}");
    let message = ran.document()["error"]["message"].to_string();
    assert!(message.contains("is kept, run it again to go on"), "{message}");

    let answer = register(&home, "1", &[]);
    assert_eq!((&answer["recalled"]["parts"], &answer["recalled"]["changed"]), (&json!(1), &json!([])), "{answer}");
    assert!(answer["read_size_bytes"].as_u64() < answer["content_size_bytes"].as_u64(), "{answer}");
    assert_eq!(answer["manifest_sha256"], manifest(&home));
    assert_recalled(&register(&home, "2", &[]), 4, &[]);
}

/// Digests that somebody else wrote into the cache are never signed.
#[test]
fn a_poisoned_cache_is_not_believed() {
    let home = home_with("poisoned");
    let first = register(&home, "1", &[]);
    let [document]: [PathBuf; 1] = documents(&home).try_into().unwrap();
    let honest = fs::read_to_string(&document).unwrap();
    let sha256 = honest.split_once("\"sha256\":\"").unwrap().1[..64].to_owned();
    let forged = honest.replace(&sha256, &"ab".repeat(32));
    let (_, body) = honest.split_once('\n').unwrap();
    let state = home.work().parent().unwrap().join("state/chopmark/seal.key");
    let key = fs::read(&state).unwrap();

    // Changed, cut, without a seal, and with somebody else's.
    let stranger = home_with("stranger");
    register(&stranger, "1", &[]);
    let [theirs]: [PathBuf; 1] = documents(&stranger).try_into().unwrap();
    let foreign = fs::read_to_string(theirs).unwrap();
    for (number, poison) in
        [forged.as_str(), &honest[..honest.len() - 1], body, foreign.as_str(), ""].iter().enumerate()
    {
        fs::write(&document, poison).unwrap();
        let answer = register(&home, &format!("2.{number}"), &[]);
        assert_recalled(&answer, 0, &[]);
        assert_eq!(answer["manifest_sha256"], first["manifest_sha256"]);
        // What it found out itself, it believes again.
        assert_recalled(&register(&home, &format!("3.{number}"), &[]), 3, &[]);
    }
    // A new key: what was sealed with the old one is worth nothing.
    fs::remove_file(&state).unwrap();
    assert_recalled(&register(&home, "4", &[]), 0, &[]);
    assert_ne!(fs::read(&state).unwrap(), key);

    // A verification never asks: bytes that differ differ, whatever was remembered.
    fs::write(home.file("m/a.bin"), "other bytes").unwrap();
    let (code, verdict) = home.json(&["verify", "m", "--bundle", "m.chop", "--offline"]);
    assert_eq!((code, verdict["state"].as_str()), (3, Some("bytes_differ")), "{verdict}");
}
