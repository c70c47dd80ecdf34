//! Artefacts in the forms people have them, through the real binary: registered in one, verified in another.

use std::fs;
use std::os::unix::fs::symlink;

use chopmark_core::digest::Sha256Digest;
use serde_json::{Value, json};

use crate::harness::Home;
use crate::register::registered;
use crate::shared;

/// Registers what is at `path` in the home's work directory, under a version of its own.
fn register(home: &Home, path: &str, version: &str, more: &[&str]) -> Value {
    let common = ["--licence", "mit", "--version", version, "--url", &registered().url, "--accept-public-record"];
    let (code, answer) = home.json(&[&["register", path], more, &common].concat());
    assert_eq!(code, 0, "{answer}");
    answer
}

fn verify(home: &Home, path: &str, bundle: &str, more: &[&str]) -> (i32, Value) {
    home.json(&[&["verify", path, "--bundle", bundle, "--offline"], more].concat())
}

fn found_by(digest: &Sha256Digest) -> Vec<Value> {
    let found = shared::service().get(&format!("/v1/artefacts?digest={digest}")).json();
    found["artefacts"].as_array().unwrap().iter().map(|artefact| artefact["artefact_id"].clone()).collect()
}

#[test]
fn a_repository_in_the_hugging_face_cache_is_the_plain_directory() {
    const COMMIT: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";
    let home = registered().another_home();
    let repository = home.file("hub/datasets--lam--tiny-set");
    let snapshot = repository.join("snapshots").join(COMMIT);
    for directory in [repository.join("blobs"), repository.join("refs"), snapshot.join("data"), home.file("plain/data")]
    {
        fs::create_dir_all(directory).unwrap();
    }
    fs::write(repository.join("blobs/e1"), "one").unwrap();
    fs::write(repository.join("blobs/e2"), "two").unwrap();
    symlink("../../blobs/e1", snapshot.join("README.md")).unwrap();
    symlink("../../../blobs/e2", snapshot.join("data/train.csv")).unwrap();
    fs::write(repository.join("refs/main"), COMMIT).unwrap();
    fs::write(home.file("plain/README.md"), "one").unwrap();
    fs::write(home.file("plain/data/train.csv"), "two").unwrap();

    let answer = register(&home, "hub/datasets--lam--tiny-set", "1", &[]);
    assert_eq!((&answer["revision"], &answer["artefact"]["name"]["en"]), (&json!(COMMIT), &json!("tiny-set")));
    assert_eq!((&answer["bundle"], &answer["artefact"]["kind"]), (&json!("tiny-set.chop"), &json!("dataset")));
    for path in ["plain", "hub/datasets--lam--tiny-set", snapshot.to_str().unwrap()] {
        let (code, verdict) = verify(&home, path, "tiny-set.chop", &[]);
        assert_eq!((code, verdict["state"].as_str()), (0, Some("verified")), "{verdict}");
    }
    let (code, verdict) = verify(&home, "hub/datasets--lam--tiny-set", "tiny-set.chop", &["--revision", COMMIT]);
    assert_eq!((code, &verdict["revision"]), (0, &json!(COMMIT)), "{verdict}");
    let (code, refused) = verify(&home, "hub/datasets--lam--tiny-set", "tiny-set.chop", &["--revision", "v2"]);
    assert_eq!((code, &refused["error"]["code"]), (2, &json!("revision")), "{refused}");
    // The blob is what was registered, under whatever name; one changed byte is found through the link.
    fs::write(repository.join("blobs/e2"), "tw0").unwrap();
    let (code, verdict) = verify(&home, "hub/datasets--lam--tiny-set", "tiny-set.chop", &[]);
    assert_eq!((code, &verdict["difference"]["changed"][0]["path"]), (3, &json!("data/train.csv")), "{verdict}");
    fs::write(home.file("secret"), "two").unwrap();
    fs::remove_file(snapshot.join("data/train.csv")).unwrap();
    symlink(home.file("secret"), snapshot.join("data/train.csv")).unwrap();
    let (code, refused) = verify(&home, "hub/datasets--lam--tiny-set", "tiny-set.chop", &[]);
    assert_eq!((code, &refused["error"]["code"]), (9, &json!("symbolic_link")), "{refused}");
}

#[test]
fn a_changed_byte_of_a_gguf_file_names_its_tensor() {
    let home = registered().another_home();
    let whole: &[u8] = include_bytes!("../../gpu-verify/testdata/every_type.gguf");
    let said: Value = serde_json::from_str(include_str!("../../gpu-verify/testdata/every_type.json")).unwrap();
    fs::write(home.file("tiny.gguf"), whole).unwrap();
    let answer = register(&home, "tiny.gguf", "1", &[]);
    assert_eq!(found_by(&Sha256Digest::of(whole)), [answer["artefact_id"].clone()]);
    let tensor = said["tensors"].as_array().unwrap().iter().find(|tensor| tensor["dtype"] == "Q4_K").unwrap();
    let mut changed = whole.to_vec();
    changed[usize::try_from(tensor["begin"].as_u64().unwrap()).unwrap()] ^= 1;
    fs::write(home.file("tiny.gguf"), changed).unwrap();
    let (code, verdict) = verify(&home, "tiny.gguf", "tiny.gguf.chop", &[]);
    let change = &verdict["difference"]["changed"][0];
    assert_eq!((code, change["tensors"].as_array().unwrap().len()), (3, 1), "{verdict}");
    assert_eq!((&change["tensors"][0]["name"], &change["header_changed"]), (&tensor["name"], &json!(false)));
    let words = home.run(&["verify", "tiny.gguf", "--bundle", "tiny.gguf.chop", "--offline"]);
    assert!(words.stdout.contains("(Q4_K ["), "{words:?}");
}

#[test]
fn packages_say_their_name_and_version_and_options_win() {
    let home = registered().another_home();
    for (file, name, version) in [
        ("lam_tools-1.4.0-py3-none-any.whl", "lam_tools", "1.4.0"),
        ("lam-tools-0.3.1.crate", "lam-tools", "0.3.1"),
        ("lam-tools-2.0rc1.tar.gz", "lam-tools", "2.0rc1"),
    ] {
        // The content is never looked into: a name is enough, and no archive is unpacked.
        fs::write(home.file(file), format!("no archive at all: {file}")).unwrap();
        let common = ["--licence", "mit", "--url", &registered().url, "--accept-public-record"];
        let ran = home.run(&[&["register", file], common.as_slice()].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.stderr.contains(&format!("{name}, version {version}, software")), "it says so: {ran:?}");
        let (code, verdict) = verify(&home, file, &format!("{file}.chop"), &[]);
        let claim = &verdict["artefact"]["claim"];
        let said = (&claim["name"]["en"], &claim["version"], &claim["kind"]);
        assert_eq!((code, said), (0, (&json!(name), &json!(version), &json!("software"))), "{verdict}");
    }
    let answer = register(&home, "lam-tools-0.3.1.crate", "9", &["--name-en", "Tools", "--kind", "dataset"]);
    let claim = &answer["artefact"];
    let said = (&claim["name"]["en"], &claim["version"], &claim["kind"]);
    assert_eq!(said, (&json!("Tools"), &json!("9"), &json!("dataset")));
}

#[test]
fn a_dataset_is_a_directory_or_a_file_like_any_other() {
    let home = registered().another_home();
    fs::create_dir_all(home.file("corpus/train")).unwrap();
    fs::write(home.file("corpus/train/0001.jsonl"), "{\"text\":\"一\"}\n").unwrap();
    fs::write(home.file("corpus/README.md"), "a corpus").unwrap();
    fs::write(home.file("rates.csv"), "year,rate\n2026,8.25\n").unwrap();
    for (path, bundle) in [("corpus", "corpus.chop"), ("rates.csv", "rates.csv.chop")] {
        let answer = register(&home, path, "1", &["--kind", "dataset"]);
        assert_eq!(answer["artefact"]["kind"], "dataset");
        let found = shared::service().get("/v1/artefacts?kind=dataset&limit=100").json();
        let ids = found["artefacts"].as_array().unwrap().iter().map(|artefact| &artefact["artefact_id"]);
        assert!(ids.into_iter().any(|id| *id == answer["artefact_id"]), "{found}");
        assert_eq!(verify(&home, path, bundle, &[]).0, 0);
    }
    fs::write(home.file("corpus/train/0001.jsonl"), "{\"text\":\"二\"}\n").unwrap();
    assert_eq!(verify(&home, "corpus", "corpus.chop", &[]).0, 3);
}
