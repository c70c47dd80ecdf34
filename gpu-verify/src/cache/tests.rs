//! Repositories laid out as the hub's client does, and links that try to lead elsewhere.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::AtomicBool;

use chopmark_core::manifest::ExclusionProfile;
use tempfile::TempDir;

use super::*;
use crate::digests::DigestSelection;
use crate::measure::{MeasureOptions, Measured, Purpose, measure};
use crate::portable::Portable;
use crate::progress::Silent;

const MAIN: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const OLDER: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn measured(path: &Path, revision: Option<&str>) -> Result<Measured, MeasureError> {
    let interrupted = AtomicBool::new(false);
    let (exclusions, purpose) = (ExclusionProfile::V1, Purpose::Register);
    let options = MeasureOptions {
        exclusions,
        purpose,
        file_name: None,
        revision,
        digests: DigestSelection::MANIFEST,
        keep_subtrees: false,
        memory: None,
        interrupted: &interrupted,
    };
    measure(path, &options, &Silent, &Portable)
}

/// A repository with two snapshots; `main` is the first.
fn repository() -> (TempDir, PathBuf) {
    let keep = tempfile::tempdir().unwrap();
    let path = keep.path().join("hub/models--lam--tiny-7b");
    for directory in ["blobs", "refs/refs/pr", "snapshots"] {
        fs::create_dir_all(path.join(directory)).unwrap();
    }
    for (etag, content) in [("c0", "{}"), ("c1", "weights"), ("c2", "{ }")] {
        fs::write(path.join("blobs").join(etag), content).unwrap();
    }
    fs::write(path.join("blobs/c3.incomplete"), "half").unwrap();
    for (commit, config) in [(MAIN, "c0"), (OLDER, "c2")] {
        let snapshot = path.join("snapshots").join(commit);
        fs::create_dir_all(snapshot.join("onnx/deep")).unwrap();
        symlink(format!("../../blobs/{config}"), snapshot.join("config.json")).unwrap();
        symlink("../../../../blobs/c1", snapshot.join("onnx/deep/model.onnx")).unwrap();
        // Where links can't be made, the client copies.
        fs::write(snapshot.join("README.md"), "copied").unwrap();
    }
    fs::write(path.join("refs/main"), MAIN).unwrap();
    fs::write(path.join("refs/refs/pr/1"), format!("{OLDER}\n")).unwrap();
    (keep, path)
}

fn plain(keep: &TempDir) -> PathBuf {
    let path = keep.path().join("plain");
    fs::create_dir_all(path.join("onnx/deep")).unwrap();
    fs::write(path.join("config.json"), "{}").unwrap();
    fs::write(path.join("onnx/deep/model.onnx"), "weights").unwrap();
    fs::write(path.join("README.md"), "copied").unwrap();
    path
}

#[test]
fn a_repository_and_its_snapshot_come_out_like_the_plain_directory() {
    let (keep, path) = repository();
    let expected = measured(&plain(&keep), None).unwrap();
    assert_eq!(expected.revision, None);
    let snapshot = path.join("snapshots").join(MAIN);
    for (path, revision) in
        [(&path, None), (&path, Some("main")), (&path, Some(MAIN)), (&snapshot, None), (&snapshot, Some("main"))]
    {
        let found = measured(path, revision).unwrap();
        assert_eq!(found.manifest, expected.manifest, "{path:?} {revision:?}");
        assert_eq!(found.revision.as_deref(), Some(MAIN));
    }
    let link = keep.path().join("link");
    symlink(&path, &link).unwrap();
    assert_eq!(measured(&link, None).unwrap().manifest, expected.manifest);
}

#[test]
fn other_revisions_are_chosen_by_name_or_commit() {
    let (_keep, path) = repository();
    let older = measured(&path, Some(OLDER)).unwrap();
    assert_eq!(older.revision.as_deref(), Some(OLDER));
    assert_eq!(measured(&path, Some("refs/pr/1")).unwrap().manifest, older.manifest);
    assert_ne!(measured(&path, None).unwrap().manifest, older.manifest);
    fs::remove_file(path.join("refs/main")).unwrap();
    assert!(measured(&path, None).unwrap_err().to_string().contains("--revision"));
    fs::remove_dir_all(path.join("snapshots").join(MAIN)).unwrap();
    assert_eq!(measured(&path, None).unwrap().manifest, older.manifest, "the only one");
    fs::write(path.join("refs/main"), MAIN).unwrap();
    assert!(measured(&path, None).unwrap_err().to_string().contains("download it again"));
}

#[test]
fn revisions_that_are_not_there_are_refused() {
    let (keep, path) = repository();
    fs::write(path.join("refs/odd"), "../../../etc").unwrap();
    fs::write(keep.path().join("outside"), OLDER).unwrap();
    symlink(keep.path().join("outside"), path.join("refs/linked")).unwrap();
    let snapshot = path.join("snapshots").join(MAIN);
    for (path, revision) in [
        (&path, "none"),
        (&path, "odd"),
        (&path, ""),
        (&path, "/etc/passwd"),
        (&path, "../../../outside"),
        (&path, "../snapshots"),
        (&path, "cccccccccccccccccccccccccccccccccccccccc"),
        (&snapshot, OLDER),
        (&plain(&keep), "main"),
    ] {
        assert_eq!(measured(path, Some(revision)).unwrap_err().code(), "revision", "{revision}");
    }
    assert_eq!(measured(&path, Some("linked")).unwrap_err().code(), "symbolic_link");
}

#[test]
fn no_link_leads_anywhere_but_into_the_repositorys_own_blobs() {
    let outside = "../../../../plain/config.json";
    let other = "../../../models--lam--other/blobs/c0";
    for target in [
        "/etc/passwd",
        outside,
        other,
        "../../blobs",
        "../../blobs/",
        "../../blobs/c0/x",
        "../../blobs/../refs/main",
        "../../refs/main",
        "../../../blobs/c0",
        "../blobs/c0",
        "config.json",
        "../../blobs/sub/c0",
        "../../blobs/gone",
        "../../blobs/linked",
        "../../blobs/sub",
    ] {
        let (keep, path) = repository();
        plain(&keep);
        fs::create_dir_all(keep.path().join("hub/models--lam--other/blobs")).unwrap();
        fs::write(keep.path().join("hub/models--lam--other/blobs/c0"), "{}").unwrap();
        fs::create_dir(path.join("blobs/sub")).unwrap();
        fs::write(path.join("blobs/sub/c0"), "{}").unwrap();
        symlink("/etc/passwd", path.join("blobs/linked")).unwrap();
        let link = path.join("snapshots").join(MAIN).join("evil.json");
        symlink(target, &link).unwrap();
        let error = measured(&path, None).unwrap_err();
        assert_eq!(error.code(), "symbolic_link", "{target}: {error}");
        assert!(error.to_string().contains("evil.json"), "{error}");
    }
    // A linked directory, and blobs that are elsewhere.
    let (_keep, path) = repository();
    symlink("onnx", path.join("snapshots").join(MAIN).join("linked")).unwrap();
    assert_eq!(measured(&path, None).unwrap_err().code(), "symbolic_link");
    let (keep, path) = repository();
    fs::rename(path.join("blobs"), keep.path().join("blobs")).unwrap();
    symlink(keep.path().join("blobs"), path.join("blobs")).unwrap();
    assert_eq!(measured(&path, None).unwrap_err().code(), "symbolic_link");
    // The same links in any other directory are refused, blobs or not.
    let (keep, path) = repository();
    let renamed = keep.path().join("hub/tiny-7b");
    fs::rename(&path, &renamed).unwrap();
    assert_eq!(measured(&renamed, None).unwrap_err().code(), "symbolic_link");
    assert_eq!(measured(&renamed.join("snapshots").join(MAIN), None).unwrap_err().code(), "symbolic_link");
}

#[test]
fn names_and_kinds_come_from_the_directory() {
    let keep = tempfile::tempdir().unwrap();
    for (directory, expected) in [
        ("models--lam--tiny-7b", Some((RepositoryKind::Model, "tiny-7b"))),
        ("models--gpt2", Some((RepositoryKind::Model, "gpt2"))),
        ("datasets--lam--corpus", Some((RepositoryKind::Dataset, "corpus"))),
        ("spaces--lam--demo", None),
        ("models--", None),
        ("models", None),
    ] {
        let path = keep.path().join(directory);
        fs::create_dir_all(path.join("blobs")).unwrap();
        fs::create_dir_all(path.join("snapshots")).unwrap();
        let found = CachedRepository::at(&path);
        assert_eq!(found.as_ref().map(|found| (found.kind, found.name.as_str())), expected, "{directory}");
    }
}
