//! Container images through the real binary: registered by digest, found and verified by what is at hand of them.

use std::fs;
use std::path::Path;

use chopmark_core::digest::Sha256Digest;
use serde_json::{Value, json};

use crate::harness::Home;
use crate::register::{NOWHERE, registered};
use crate::shared;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const NAME: &str = "oci:registry.example/lam/chat";

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": format!("sha256:{}", Sha256Digest::of(content)), "size": content.len() })
}

/// An image of one layer, told from others by what is in it.
pub fn image(layer: &str) -> String {
    let config = descriptor("application/vnd.oci.image.config.v1+json", format!("config of {layer}").as_bytes());
    let layer = descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer.as_bytes());
    json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] }).to_string()
}

pub fn index(images: &[(&str, &str)]) -> String {
    let manifests: Vec<_> = images
        .iter()
        .map(|(image, architecture)| {
            let mut manifest = descriptor(MANIFEST, image.as_bytes());
            manifest["platform"] = json!({ "os": "linux", "architecture": architecture });
            manifest
        })
        .collect();
    json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests })
        .to_string()
}

fn blob(layout: &Path, content: &str) -> std::path::PathBuf {
    layout.join(format!("blobs/sha256/{}", Sha256Digest::of(content.as_bytes())))
}

fn layout(at: &Path, root: &str, blobs: &[&str]) {
    fs::create_dir_all(at.join("blobs/sha256")).unwrap();
    fs::write(at.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let index = json!({ "schemaVersion": 2, "manifests": [descriptor(MANIFEST, root.as_bytes())] });
    fs::write(at.join("index.json"), index.to_string()).unwrap();
    for content in blobs.iter().chain([&root]) {
        fs::write(blob(at, content), content).unwrap();
    }
}

fn register(home: &Home, reference: &str, manifest: &str, more: &[&str]) -> (i32, Value) {
    let common = ["--licence", "mit", "--url", &registered().url, "--accept-public-record"];
    home.json(&[&["register", reference, "--manifest", manifest], more, &common].concat())
}

fn verify(home: &Home, path: &str, bundle: &str) -> (i32, Value) {
    home.json(&["verify", path, "--bundle", bundle, "--offline", "--url", NOWHERE])
}

#[test]
fn an_image_is_registered_by_its_manifest_and_verified_by_its_layout() {
    let home = registered().another_home();
    let root = image("layer one");
    let digest = Sha256Digest::of(root.as_bytes());
    fs::write(home.file("image.json"), &root).unwrap();
    layout(&home.file("layout"), &root, &["layer one", "config of layer one"]);

    let wrong = format!("{NAME}@sha256:{}", Sha256Digest::of(b"another"));
    let (code, refused) = register(&home, &wrong, "image.json", &[]);
    assert_eq!((code, &refused["error"]["code"]), (3, &json!("image_digest")), "{refused}");
    assert_eq!(register(&home, NAME, "image.json", &[]).0, 9, "a manifest alone has to be named by its digest");
    let (code, refused) = home.json(&["register", &format!("{NAME}@sha256:{digest}"), "--licence", "mit"]);
    assert_eq!(code, 2, "nothing is fetched: {refused}");

    let reference = format!("{NAME}:1.2@sha256:{digest}");
    let (code, dry) = register(&home, &reference, "image.json", &["--dry-run"]);
    let document = dry["documents"][0]["content"].as_str().unwrap();
    assert_eq!(code, 0);
    assert!(document.contains("\"name\":\"registry.example/lam/chat\"") && !document.contains("blake3"), "{document}");
    let (code, answer) = register(&home, &reference, "image.json", &[]);
    assert_eq!(code, 0, "{answer}");
    assert_eq!((&answer["files"], answer["not_read"].as_array().unwrap().len()), (&json!(3), 2), "{answer}");
    let claim = &answer["artefact"];
    let said = (&claim["name"]["en"], &claim["version"], &claim["kind"]);
    assert_eq!(said, (&json!("chat"), &json!("1.2"), &json!("software")), "taken from the reference");

    // The layout is the same image, and the registry knows it by the digest of any blob.
    let (code, again) = register(&home, &format!("{NAME}:1.2"), "layout", &["--out", "again.chop"]);
    assert_eq!((code, &again["error"]["code"]), (10, &json!("already_registered")), "{again}");
    for content in [root.as_bytes(), b"layer one", b"config of layer one"] {
        let found = shared::service().get(&format!("/v1/artefacts?digest={}", Sha256Digest::of(content))).json();
        assert_eq!(found["artefacts"][0]["artefact_id"], answer["artefact_id"], "{found}");
    }
    let (code, verdict) = verify(&home, "layout", "chat.chop");
    assert_eq!((code, &verdict["state"]), (0, &json!("verified")), "{verdict}");
    assert_eq!(verdict["claims"], json!({ "sha256": 3, "blake3": 0, "headers": 0, "tensors": 0 }), "{verdict}");
    assert_eq!(verdict["not_read"], json!([]));
    let (code, verdict) = verify(&home, "image.json", "chat.chop");
    assert_eq!((code, &verdict["claims"]["sha256"]), (0, &json!(1)), "{verdict}");
    assert_eq!(verdict["not_read"].as_array().unwrap().len(), 2, "what was not read is not said to be checked");
    let words = home.run(&["verify", "image.json", "--bundle", "chat.chop", "--offline"]);
    assert!(
        words.stdout.lines().last().unwrap().contains("2 blobs that it names by digest were not read"),
        "{words:?}"
    );
    for path in ["layout", "image.json"] {
        let (code, verdict) = home.json(&["verify", path, "--url", &registered().url]);
        assert_eq!((code, &verdict["artefact"]["artefact_id"]), (0, &answer["artefact_id"]), "{path}: {verdict}");
    }
    for file in [
        ["--file", "layout"].as_slice(),
        &["--file", "image.json"],
        &["--file", &reference, "--manifest", "image.json"],
        &["--file", NAME, "--manifest", "image.json"],
        &["--file", NAME, "--manifest", "layout"],
    ] {
        let found = shared::done(&home, &[&["search"], file].concat());
        assert_eq!(found["artefacts"][0]["artefact_id"], answer["artefact_id"], "{file:?}: {found}");
    }

    fs::write(blob(&home.file("layout"), "layer one"), "layer 0ne").unwrap();
    let (code, verdict) = verify(&home, "layout", "chat.chop");
    let change = &verdict["difference"]["changed"][0];
    assert_eq!((code, &change["expected"]["sha256"]), (3, &json!(Sha256Digest::of(b"layer one"))), "{verdict}");
    assert_eq!(change["actual"]["sha256"], json!(Sha256Digest::of(b"layer 0ne")));
    fs::write(home.file("image.json"), image("layer two")).unwrap();
    assert_eq!(verify(&home, "image.json", "chat.chop").0, 3);
    fs::create_dir(home.file("empty")).unwrap();
    assert_eq!(verify(&home, "empty", "chat.chop").1["error"]["code"], "image_layout");
}

#[test]
fn an_index_names_its_platforms_and_what_lies_below_is_checked_too() {
    let home = registered().another_home();
    let (amd, arm) = (image("index amd"), image("index arm"));
    let root = index(&[(&amd, "amd64"), (&arm, "arm64")]);
    let all = [amd.as_str(), &arm, "index amd", "config of index amd", "index arm", "config of index arm"];
    layout(&home.file("layout"), &root, &all);
    let (code, answer) = register(&home, NAME, "layout", &["--version", "3", "--name-en", "Chat"]);
    assert_eq!((code, &answer["files"]), (0, &json!(3)), "{answer}");
    let manifest = answer["manifest_sha256"].as_str().unwrap();
    let manifest = shared::service().get(&format!("/v1/documents/{manifest}")).json();
    assert_eq!(manifest["image"]["platforms"], json!(["linux/amd64", "linux/arm64"]));
    assert_eq!(manifest["image"]["sha256"], json!(Sha256Digest::of(root.as_bytes())));
    assert_eq!(verify(&home, "layout", "chat.chop").0, 0);
    let (code, verdict) = home.json(&["verify", "layout", "--url", &registered().url]);
    assert_eq!((code, &verdict["artefact"]["artefact_id"]), (0, &answer["artefact_id"]), "{verdict}");
    fs::write(blob(&home.file("layout"), "index arm"), "index 4rm").unwrap();
    let (code, verdict) = verify(&home, "layout", "chat.chop");
    assert_eq!((code, verdict["difference"]["changed"].as_array().unwrap().len()), (3, 1), "{verdict}");
    fs::remove_file(blob(&home.file("layout"), "index arm")).unwrap();
    let (code, verdict) = verify(&home, "layout", "chat.chop");
    assert_eq!((code, verdict["difference"]["missing"].as_array().unwrap().len()), (3, 1), "{verdict}");
}

/// Which of several images is meant has to be said.
#[test]
fn a_layout_of_several_images_is_searched_for_by_naming_one() {
    let home = registered().another_home();
    let (one, two) = (image("several, one"), image("several, two"));
    layout(&home.file("layout"), &one, &[&two]);
    let descriptors = [&one, &two].map(|image| descriptor(MANIFEST, image.as_bytes()));
    let index = json!({ "schemaVersion": 2, "manifests": descriptors }).to_string();
    fs::write(home.file("layout/index.json"), index).unwrap();
    let error = shared::refused(&home, &["search", "--file", "layout"], 2, "usage");
    let digest = Sha256Digest::of(two.as_bytes());
    assert!(error["message"].as_str().unwrap().contains(&format!("sha256:{digest}")), "{error}");
    let reference = format!("{NAME}@sha256:{digest}");
    let found = shared::done(&home, &["search", "--file", &reference, "--manifest", "layout"]);
    assert_eq!(found["artefacts"], json!([]));
}

#[test]
fn hostile_image_documents_are_refused_with_their_place() {
    let home = registered().another_home();
    let honest = image("hostile");
    for (document, pointer) in [
        (honest.replacen("\"schemaVersion\":2", "\"schemaVersion\":2,\"schemaVersion\":2", 1), "/schemaVersion"),
        (honest.replacen("\"size\":", "\"size\":-", 1), "/config/size"),
        (honest.replacen("sha256:", "sha512:", 1), "/config/digest"),
        (honest.replacen('{', "{\"manifests\":[],", 1), "the document root"),
        ("[".repeat(1 << 20), "nested deeper"),
    ] {
        fs::write(home.file("hostile.json"), &document).unwrap();
        let reference = format!("{NAME}@sha256:{}", Sha256Digest::of(document.as_bytes()));
        let (code, refused) = register(&home, &reference, "hostile.json", &[]);
        assert_eq!((code, &refused["error"]["code"]), (9, &json!("image")), "{refused}");
        assert!(refused["error"]["message"].as_str().unwrap().contains(pointer), "{pointer}: {refused}");
    }
    assert_eq!(home.pending(), 0);
}
