//! Image documents that read, hostile ones that must not, and names.

use serde_json::{Value, json};

use super::*;

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": format!("sha256:{}", Sha256Digest::of(content)), "size": content.len() })
}

fn manifest() -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": ImageMediaType::OciManifest.name(),
        "config": descriptor("application/vnd.oci.image.config.v1+json", b"{}"),
        "layers": [
            descriptor("application/vnd.oci.image.layer.v1.tar+gzip", b"one"),
            descriptor("application/vnd.oci.image.layer.v1.tar+gzip", b"second"),
            descriptor("application/vnd.oci.image.layer.v1.tar+gzip", b"one"),
        ],
        "annotations": { "org.opencontainers.image.title": "chat" },
    })
}

fn index() -> Value {
    let platform = |descriptor: Value, os: &str, architecture: &str, variant: Option<&str>| {
        let mut descriptor = descriptor;
        descriptor["platform"] = json!({ "os": os, "architecture": architecture });
        if let Some(variant) = variant {
            descriptor["platform"]["variant"] = variant.into();
        }
        descriptor
    };
    let of = ImageMediaType::OciManifest.name();
    json!({
        "schemaVersion": 2,
        "manifests": [
            platform(descriptor(of, b"arm"), "linux", "arm64", Some("v8")),
            platform(descriptor(of, b"amd"), "linux", "amd64", None),
        ],
    })
}

fn refused(document: &Value) -> String {
    ImageDocument::parse(document.to_string().as_bytes()).unwrap_err().pointer
}

fn edited(edit: impl FnOnce(&mut Value)) -> String {
    let mut document = manifest();
    edit(&mut document);
    refused(&document)
}

#[test]
fn a_manifest_names_its_configuration_and_layers_each_once() {
    let read = ImageDocument::parse(manifest().to_string().as_bytes()).unwrap();
    assert_eq!((read.media_type, read.platforms.len()), (ImageMediaType::OciManifest, 0));
    let named: Vec<_> = read.blobs.iter().map(|blob| (blob.sha256, blob.size_bytes, blob.is_document)).collect();
    let expected = [&b"{}"[..], b"one", b"second"]
        .map(|content| (Sha256Digest::of(content), u64::try_from(content.len()).unwrap(), false));
    assert_eq!(named, expected);
}

#[test]
fn an_index_names_manifests_and_platforms() {
    let read = ImageDocument::parse(index().to_string().as_bytes()).unwrap();
    assert_eq!(read.media_type, ImageMediaType::OciIndex);
    assert_eq!(read.platforms, ["linux/amd64", "linux/arm64/v8"]);
    assert!(read.blobs.iter().all(|blob| blob.is_document));
    let mut docker = index();
    docker["mediaType"] = ImageMediaType::DockerList.name().into();
    assert_eq!(ImageDocument::parse(docker.to_string().as_bytes()).unwrap().media_type, ImageMediaType::DockerList);
}

#[test]
fn hostile_documents_are_refused_where_they_are_wrong() {
    assert_eq!(edited(|v| v["schemaVersion"] = json!(1)), "/schemaVersion");
    assert_eq!(edited(|v| v["mediaType"] = json!("text/html")), "/mediaType");
    assert_eq!(edited(|v| v["mediaType"] = ImageMediaType::OciIndex.name().into()), "/mediaType");
    assert_eq!(edited(|v| v["mediaType"] = Value::Null), "/mediaType");
    assert_eq!(edited(|v| v["manifests"] = index()["manifests"].clone()), "", "both at once: CVE-2021-41190");
    assert_eq!(edited(|v| drop(v.as_object_mut().unwrap().remove("config"))), "");
    assert_eq!(edited(|v| drop(v.as_object_mut().unwrap().remove("layers"))), "");
    assert_eq!(edited(|v| v["layers"] = json!({})), "/layers");
    assert_eq!(edited(|v| v["config"]["digest"] = json!("sha256:AB")), "/config/digest");
    assert_eq!(edited(|v| v["config"]["digest"] = json!(format!("sha512:{}", "0".repeat(128)))), "/config/digest");
    assert_eq!(edited(|v| v["layers"][1]["digest"] = json!("../../etc/passwd")), "/layers/1/digest");
    assert_eq!(edited(|v| v["layers"][1]["size"] = json!(-1)), "/layers/1/size");
    assert_eq!(edited(|v| v["layers"][1]["size"] = json!(1.5)), "/layers/1/size");
    assert_eq!(edited(|v| v["layers"][1]["size"] = json!(u64::MAX)), "/layers/1/size");
    assert_eq!(edited(|v| v["layers"][2]["size"] = json!(4)), "/layers/2/size", "one blob with two sizes");
    let mut platform = index();
    platform["manifests"][0]["platform"]["os"] = json!("linux\u{202e}");
    assert_eq!(refused(&platform), "/manifests/0/platform");
    let text = manifest().to_string();
    let twice = text.replacen("\"schemaVersion\":2", "\"schemaVersion\":2,\"schemaVersion\":2", 1);
    assert_eq!(ImageDocument::parse(twice.as_bytes()).unwrap_err().pointer, "/schemaVersion");
    let layers: Vec<_> = (0..=IMAGE_BLOBS_MAX).map(|n| descriptor("x", &n.to_be_bytes())).collect();
    assert_eq!(edited(|v| v["layers"] = layers.into()), format!("/layers/{}", IMAGE_BLOBS_MAX - 1));
    assert!(ImageDocument::parse(&vec![b' '; IMAGE_DOCUMENT_SIZE_BYTES_MAX + 1]).is_err());
    for cut in 0..text.len() {
        assert!(ImageDocument::parse(&text.as_bytes()[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn a_tree_grows_from_the_root_and_holds_each_blob_once() {
    let below = manifest().to_string();
    let root = json!({ "schemaVersion": 2, "manifests": [
        descriptor(ImageMediaType::OciManifest.name(), below.as_bytes()),
        descriptor("application/octet-stream", b"one"),
    ] });
    let root = root.to_string();
    let mut tree = ImageTree::new(root.as_bytes()).unwrap();
    assert_eq!(tree.root(), Sha256Digest::of(root.as_bytes()));
    assert_eq!(tree.blobs().count(), 3);
    let (digest, size_bytes) = tree.next_document().unwrap();
    assert_eq!((digest, size_bytes), (Sha256Digest::of(below.as_bytes()), u64::try_from(below.len()).unwrap()));
    tree.read(below.as_bytes()).unwrap();
    assert!(tree.next_document().is_none());
    assert_eq!(tree.place(&Sha256Digest::of(b"one")), Some(BlobPlace::Named));
    assert_eq!(tree.place(&Sha256Digest::of(b"second")), Some(BlobPlace::Below));
    assert_eq!(tree.place(&Sha256Digest::of(b"third")), None);
    let mut lying = manifest();
    lying["layers"][1]["size"] = json!(99);
    assert!(tree.read(lying.to_string().as_bytes()).is_err(), "a blob has one size");
}

#[test]
fn references_have_one_spelling() {
    let digest = Sha256Digest::of(b"x");
    let full: ImageReference = format!("registry.example:5000/lam/chat:1.2-rc1@sha256:{digest}").parse().unwrap();
    assert_eq!((full.name.as_str(), full.name.last()), ("registry.example:5000/lam/chat", "chat"));
    assert_eq!((full.tag.as_deref(), full.sha256), (Some("1.2-rc1"), Some(digest)));
    let short: ImageReference = "localhost/a".parse().unwrap();
    assert_eq!((short.tag, short.sha256), (None, None));
    let port: ImageReference = "registry.example:5000/a__b/c.d/e--f".parse().unwrap();
    assert_eq!(port.tag, None);
    for bad in [
        "",
        "alpine",
        "library/alpine",
        "docker.io/",
        "docker.io/Alpine",
        "Docker.io/alpine",
        "docker.io/a//b",
        "docker.io/a._b",
        "docker.io/-a",
        "docker.io/a:",
        "docker.io/a:-b",
        "docker.io/a:b c",
        "docker.io/a@sha256:12",
        "docker.io/a@sha512:12",
        "docker.io:port/a",
        "docker.io/a\u{202e}",
        "docker.io/é",
    ] {
        assert!(bad.parse::<ImageReference>().is_err(), "{bad:?}");
    }
    let long = format!("docker.io/{}", "a".repeat(NAME_LIMIT));
    assert!(long.parse::<ImageReference>().is_err());
}

const NAME_LIMIT: usize = 255;
