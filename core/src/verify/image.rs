//! Comparing a container image with what was registered of it: by SHA-256 and size, from its root down.

use super::{Difference, compare};
use crate::image::{BlobPlace, ImageTree, blob_path};
use crate::manifest::{FilePath, Manifest};

/// What was found of an image.
#[derive(Debug, Clone)]
pub struct FoundImage {
    /// The blobs that were read, where an image layout keeps them, each under the digest that it should have.
    pub files: Manifest,
    /// What the documents among them name; absent when the root is not there or not the registered one.
    pub tree: Option<ImageTree>,
    /// Only the image's manifest or index was given: what it names is not at hand, and not missing.
    pub is_document_only: bool,
}

/// Compares an image with a registered one, and lists the blobs that nobody read.
///
/// Everything that was registered has to be there, and what the image's manifest names has to be just that. What
/// manifests below an index name was not registered itself, but follows from what was, and has to be there as well.
pub fn compare_image(registered: &Manifest, found: &FoundImage) -> (Difference, Vec<FilePath>) {
    let mut difference = compare(registered, &found.files, &[]);
    let Some(tree) = &found.tree else { return (difference, Vec::new()) };
    difference.extra.clear();
    for (sha256, size_bytes, place) in tree.blobs() {
        let Ok(path) = blob_path(&sha256) else { continue };
        let is_registered = registered.file(&path).is_some_and(|file| file.size_bytes == size_bytes);
        if place != BlobPlace::Below && !is_registered {
            difference.extra.push(path);
        } else if place == BlobPlace::Below {
            match found.files.file(&path) {
                Some(actual) if actual.sha256 == sha256 && actual.size_bytes == size_bytes => {}
                Some(actual) => difference.changed.extend(super::changed_blob(sha256, size_bytes, actual)),
                None => difference.missing.push(path),
            }
        }
    }
    let mut unread = Vec::new();
    if found.is_document_only {
        // Named by the document in hand, with the registered digest and size: not missing, only not looked at.
        let is_named = |path: &FilePath| {
            let file = registered.file(path);
            file.is_some_and(|file| tree.place(&file.sha256).is_some())
        };
        let (named, missing) = difference.missing.into_iter().partition(is_named);
        (unread, difference.missing) = (named, missing);
    }
    difference.changed.sort_by(|a, b| a.path.cmp(&b.path));
    difference.missing.sort();
    (difference, unread)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::digest::{Blake3Digest, Sha256Digest};
    use crate::image::{ImageMediaType, ImageName};
    use crate::manifest::{ExclusionProfile, FileEntry};

    fn descriptor(media_type: &str, content: &[u8]) -> Value {
        json!({ "mediaType": media_type, "digest": format!("sha256:{}", Sha256Digest::of(content)), "size": content.len() })
    }

    fn image() -> String {
        let (config, layers) = (descriptor("c", b"{}"), [descriptor("l", b"one"), descriptor("l", b"two")]);
        json!({ "schemaVersion": 2, "config": config, "layers": layers }).to_string()
    }

    fn index() -> String {
        let manifest = descriptor(ImageMediaType::OciManifest.name(), image().as_bytes());
        json!({ "schemaVersion": 2, "manifests": [manifest] }).to_string()
    }

    fn blob(named: &[u8], content: &[u8]) -> FileEntry {
        FileEntry {
            path: blob_path(&Sha256Digest::of(named)).unwrap(),
            size_bytes: u64::try_from(content.len()).unwrap(),
            sha256: Sha256Digest::of(content),
            blake3: Some(Blake3Digest::of(content)),
            weights: None,
        }
    }

    fn found(files: &[(&[u8], &[u8])], tree: &ImageTree) -> FoundImage {
        let files = files.iter().map(|(named, content)| blob(named, content)).collect();
        let files = Manifest::new(ExclusionProfile::None, files).unwrap();
        FoundImage { files, tree: Some(tree.clone()), is_document_only: false }
    }

    fn registered(tree: &ImageTree) -> Manifest {
        Manifest::of_image(ImageName::parse("registry.example/lam/chat").unwrap(), tree).unwrap()
    }

    #[test]
    fn every_blob_has_to_be_the_registered_one() {
        let root = image();
        let tree = ImageTree::new(root.as_bytes()).unwrap();
        let registered = registered(&tree);
        let root = root.as_bytes();
        let whole: [(&[u8], &[u8]); 4] = [(root, root), (b"{}", b"{}"), (b"one", b"one"), (b"two", b"two")];
        let (difference, unread) = compare_image(&registered, &found(&whole, &tree));
        assert!(difference.is_empty() && unread.is_empty(), "{difference:?}");
        let (difference, _) = compare_image(&registered, &found(&whole[..3], &tree));
        assert_eq!(difference.missing, [blob_path(&Sha256Digest::of(b"two")).unwrap()]);
        let mut changed = whole;
        changed[3].1 = b"tw0";
        let (difference, _) = compare_image(&registered, &found(&changed, &tree));
        let [change] = difference.changed.as_slice() else { panic!("{difference:?}") };
        assert_eq!((change.actual.sha256, change.expected.blake3), (Sha256Digest::of(b"tw0"), None));
    }

    #[test]
    fn a_document_alone_says_what_it_names_and_not_what_was_read() {
        let root = image();
        let tree = ImageTree::new(root.as_bytes()).unwrap();
        let alone = |root: &[u8]| FoundImage { is_document_only: true, ..found(&[(root, root)], &tree) };
        let (difference, unread) = compare_image(&registered(&tree), &alone(root.as_bytes()));
        assert!(difference.is_empty());
        assert_eq!(unread.len(), 3);
        // A registration that lists another layer than its own image manifest names is caught.
        let mut value: Value = serde_json::from_slice(&registered(&tree).to_canonical_bytes()).unwrap();
        let at = value["files"].as_array().unwrap().iter().position(|file| file["size_bytes"] == 3).unwrap();
        let bogus = Sha256Digest::of(b"bogus");
        value["files"][at]["sha256"] = bogus.to_hex().into();
        value["files"][at]["path"] = format!("blobs/sha256/{bogus}").into();
        value["files"].as_array_mut().unwrap().sort_by_key(|file| file["path"].as_str().unwrap().to_owned());
        let lying = Manifest::parse(&serde_json_canonicalizer::to_vec(&value).unwrap()).unwrap();
        let (difference, _) = compare_image(&lying, &alone(root.as_bytes()));
        assert_eq!((difference.missing.len(), difference.extra.len()), (1, 1));
    }

    #[test]
    fn what_lies_below_an_index_has_to_be_whole_too() {
        let (root, below) = (index(), image());
        let mut tree = ImageTree::new(root.as_bytes()).unwrap();
        let registered = registered(&tree);
        assert_eq!(registered.files().len(), 2, "an index registers its manifests by digest");
        tree.read(below.as_bytes()).unwrap();
        let (root, below) = (root.as_bytes(), below.as_bytes());
        let whole: [(&[u8], &[u8]); 5] =
            [(root, root), (below, below), (b"{}", b"{}"), (b"one", b"one"), (b"two", b"two")];
        assert!(compare_image(&registered, &found(&whole, &tree)).0.is_empty());
        let (difference, _) = compare_image(&registered, &found(&whole[..4], &tree));
        assert_eq!(difference.missing.len(), 1);
        let mut changed = whole;
        changed[4].1 = b"2";
        assert_eq!(compare_image(&registered, &found(&changed, &tree)).0.changed.len(), 1);
    }
}
