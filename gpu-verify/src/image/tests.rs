//! Image layouts, honest and hostile.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::Silent;
use crate::portable::Portable;
use chopmark_core::verify::compare_image;

/// A layout with the blobs given, and an index that names the first.
fn layout(blobs: &[&[u8]]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("blobs/sha256")).unwrap();
    fs::write(directory.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let index = json!({ "schemaVersion": 2, "manifests": [descriptor(MANIFEST, blobs[0])] });
    fs::write(directory.path().join("index.json"), index.to_string()).unwrap();
    for blob in blobs {
        fs::write(place(&directory, blob), blob).unwrap();
    }
    directory
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn place(directory: &TempDir, blob: &[u8]) -> PathBuf {
    directory.path().join(below(&Sha256Digest::of(blob)))
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": format!("sha256:{}", Sha256Digest::of(content)), "size": content.len() })
}

fn image() -> Vec<u8> {
    let (config, layer) = (descriptor("c", b"{}"), descriptor("l", b"layer"));
    json!({ "schemaVersion": 2, "config": config, "layers": [layer] }).to_string().into_bytes()
}

fn measured(path: &Path, reference: &str) -> Result<Measured, MeasureError> {
    measure_image(path, &reference.parse().unwrap(), &AtomicBool::new(false), &Silent, &Portable)
}

fn code(path: &Path, reference: &str) -> &'static str {
    measured(path, reference).unwrap_err().code()
}

fn verified(path: &Path, registered: &Manifest) -> (usize, usize, usize, usize) {
    let found = find_image(path, registered, &AtomicBool::new(false), &Silent, &Portable).unwrap();
    let (difference, unread) = compare_image(registered, &found);
    (difference.changed.len(), difference.missing.len(), difference.extra.len(), unread.len())
}

#[test]
fn a_layout_and_its_manifest_alone_are_the_same_image() {
    let image = image();
    let directory = layout(&[&image, b"{}", b"layer", b"of another image"]);
    let digest = Sha256Digest::of(&image);
    let whole = measured(directory.path(), "registry.example/lam/chat").unwrap();
    assert_eq!(whole.manifest.files().len(), 3);
    assert_eq!(whole.not_read, []);
    let file = directory.path().join("image.json");
    fs::write(&file, &image).unwrap();
    let alone = measured(&file, &format!("registry.example/lam/chat@sha256:{digest}")).unwrap();
    assert_eq!(alone.manifest.to_canonical_bytes(), whole.manifest.to_canonical_bytes());
    assert_eq!(alone.not_read.len(), 2);
    assert_eq!(verified(directory.path(), &whole.manifest), (0, 0, 0, 0));
    assert_eq!(verified(&file, &whole.manifest), (0, 0, 0, 2), "layers were not read");

    fs::write(place(&directory, b"layer"), "lay3r").unwrap();
    assert_eq!(verified(directory.path(), &whole.manifest), (1, 0, 0, 0));
    assert_eq!(code(directory.path(), "registry.example/lam/chat"), "image_digest");
    fs::remove_file(place(&directory, b"layer")).unwrap();
    assert_eq!(verified(directory.path(), &whole.manifest), (0, 1, 0, 0));
    assert_eq!(measured(directory.path(), "registry.example/lam/chat").unwrap().not_read.len(), 1);
    fs::write(&file, [&image[..], b"\n"].concat()).unwrap();
    assert_eq!(verified(&file, &whole.manifest).0, 1, "one byte more is another document");
    assert_eq!(code(&file, &format!("registry.example/lam/chat@sha256:{digest}")), "image_digest");
}

#[test]
fn hostile_layouts_end_in_a_named_error() {
    let image = image();
    let directory = layout(&[&image, b"{}"]);
    let name = "registry.example/lam/chat";
    assert_eq!(code(&directory.path().join("image.json"), name), "file_changed");
    assert_eq!(code(directory.path(), &format!("{name}@sha256:{}", Sha256Digest::of(b"x"))), "image_layout");
    fs::write(directory.path().join("secret"), "layer").unwrap();
    symlink("../../secret", place(&directory, b"layer")).unwrap();
    assert_eq!(code(directory.path(), name), "symbolic_link");
    fs::remove_file(place(&directory, b"layer")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        place(&directory, b"layer"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    assert_eq!(code(directory.path(), name), "not_regular_file");
    fs::remove_file(place(&directory, b"layer")).unwrap();
    let sparse = File::create(directory.path().join("image.json")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    assert_eq!(
        code(&directory.path().join("image.json"), &format!("{name}@sha256:{}", Sha256Digest::of(b"x"))),
        "image"
    );
    for (file, content, expected) in [
        ("index.json", r#"{"schemaVersion":2,"manifests":[]}"#, "image_layout"),
        ("index.json", r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#, "image"),
        ("oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#, "image_layout"),
        ("oci-layout", "[", "image_layout"),
    ] {
        fs::write(directory.path().join(file), content).unwrap();
        assert_eq!(code(directory.path(), name), expected, "{content}");
    }
    fs::remove_file(directory.path().join("oci-layout")).unwrap();
    assert_eq!(code(directory.path(), name), "image_layout");
    assert!(!is_image_layout(directory.path()));
}
