//! Container images on disk: an OCI image layout (`oci-layout`, `index.json`, `blobs/sha256/…`), or the image's manifest
//! alone, as registries serve it.
//!
//! Nothing is fetched and no layer is unpacked. Documents are read up to a limit and believed as far as their SHA-256
//! goes; blobs are read like any file of unknown origin.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use chopmark_core::digest::{Blake3Digest, Sha256Digest};
use chopmark_core::image::{IMAGE_DOCUMENT_SIZE_BYTES_MAX, ImageDocument, ImageReference, ImageTree, blob_path};
use chopmark_core::manifest::{ExclusionProfile, FileEntry, FilePath, Manifest};
use chopmark_core::strict::{self, StrictError};
use chopmark_core::verify::FoundImage;

use crate::error::MeasureError;
use crate::hasher::Hasher;
use crate::identity::Identity;
use crate::measure::{Measured, read_files};
use crate::open::Root;
use crate::progress::Progress;
use crate::walk::list_named;

/// Whether `path` is an OCI image layout, by the file that every layout has.
pub fn is_image_layout(path: &Path) -> bool {
    path.is_dir() && path.join("oci-layout").is_file()
}

/// The images that the index of a layout names, in its order.
///
/// # Errors
/// A [`MeasureError`] when the layout can't be read or is of another version.
pub fn images_in_layout(path: &Path) -> Result<Vec<Sha256Digest>, MeasureError> {
    Layout::open(path)?.images()
}

/// Prepares an image for registration, from its layout or its manifest alone: a manifest by SHA-256 and size.
///
/// What is in a layout is read and has to be what its name says; what is not there is registered by the digest and size
/// that the image's manifest gives, and listed as not read.
///
/// # Errors
/// A [`MeasureError`]: what can't be read, is malformed, or is not of the digest that was asked for.
pub fn measure_image(
    path: &Path,
    reference: &ImageReference,
    interrupted: &AtomicBool,
    progress: &dyn Progress,
    hasher: &dyn Hasher,
) -> Result<Measured, MeasureError> {
    let fault = |fault| MeasureError::Image { path: path.to_owned(), fault };
    let (tree, read) = if path.is_dir() {
        let layout = Layout::open(path)?;
        let root = match reference.sha256 {
            Some(digest) => digest,
            None => layout.only_image()?,
        };
        let Some(bytes) = layout.document(&root)? else {
            let reason = format!("holds no image manifest sha256:{root}");
            return Err(MeasureError::ImageLayout { path: path.to_owned(), reason });
        };
        same(&layout.shown(&root), &root, &Sha256Digest::of(&bytes))?;
        let mut tree = ImageTree::new(&bytes).map_err(fault)?;
        layout.grow(&mut tree)?;
        let found = layout.read(tree.blobs().map(|(digest, ..)| digest), interrupted, progress, hasher)?;
        for file in found.files() {
            let Some(named) = named(&file.path) else { continue };
            same(&layout.shown(&named), &named, &file.sha256)?;
            if tree.blobs().any(|(digest, size_bytes, _)| digest == named && size_bytes != file.size_bytes) {
                let reason = format!("the blob sha256:{named} is not of the size that a manifest gives");
                return Err(fault(StrictError::new("", reason)));
            }
        }
        (tree, found.files().iter().map(|file| file.path.clone()).collect())
    } else {
        let bytes = read_document(path)?;
        let actual = Sha256Digest::of(&bytes);
        let Some(digest) = reference.sha256 else {
            let reason = format!("says nothing of which image it is: name it {}@sha256:{actual}", reference.name);
            return Err(MeasureError::ImageLayout { path: path.to_owned(), reason });
        };
        same(path, &digest, &actual)?;
        let tree = ImageTree::new(&bytes).map_err(fault)?;
        let root = path_of(&tree.root())?;
        (tree, BTreeSet::from([root]))
    };
    let manifest = Manifest::of_image(reference.name.clone(), &tree).map_err(fault)?;
    let not_read = manifest.files().iter().map(|file| file.path.clone()).filter(|path| !read.contains(path)).collect();
    Ok(Measured {
        manifest,
        fsverity: BTreeMap::new(),
        subtrees: BTreeMap::new(),
        unreadable: Vec::new(),
        excluded: Vec::new(),
        revision: None,
        not_read,
        notes: Vec::new(),
    })
}

/// Finds what a layout, or a file that may be the image's manifest, holds of a registered image.
///
/// # Errors
/// A [`MeasureError`] for what can't be read, or a document that is the registered one and malformed all the same.
pub fn find_image(
    path: &Path,
    registered: &Manifest,
    interrupted: &AtomicBool,
    progress: &dyn Progress,
    hasher: &dyn Hasher,
) -> Result<FoundImage, MeasureError> {
    let fault = |fault| MeasureError::Image { path: path.to_owned(), fault };
    let Some(image) = registered.image() else {
        return Err(fault(StrictError::new("", "what is registered is not an image")));
    };
    if path.is_dir() {
        let layout = Layout::open(path)?;
        let document = layout.document(&image.sha256)?.filter(|bytes| Sha256Digest::of(bytes) == image.sha256);
        let mut tree = document.map(|bytes| ImageTree::new(&bytes)).transpose().map_err(fault)?;
        let mut digests: BTreeSet<Sha256Digest> = registered.files().iter().map(|file| file.sha256).collect();
        if let Some(tree) = &mut tree {
            layout.grow(tree)?;
            digests.extend(tree.blobs().map(|(digest, ..)| digest));
        }
        let files = layout.read(digests, interrupted, progress, hasher)?;
        return Ok(FoundImage { files, tree, is_document_only: false });
    }
    let bytes = read_document(path)?;
    let sha256 = Sha256Digest::of(&bytes);
    let tree = (sha256 == image.sha256).then(|| ImageTree::new(&bytes)).transpose().map_err(fault)?;
    let file = FileEntry {
        path: path_of(&image.sha256)?,
        size_bytes: crate::size_bytes(&bytes),
        sha256,
        blake3: Some(Blake3Digest::of(&bytes)),
        weights: None,
    };
    let files = Manifest::new(ExclusionProfile::None, vec![file]).map_err(fault)?;
    Ok(FoundImage { files, tree, is_document_only: true })
}

fn path_of(digest: &Sha256Digest) -> Result<FilePath, MeasureError> {
    blob_path(digest).map_err(|fault| MeasureError::Name { path: PathBuf::from(digest.to_hex()), fault })
}

/// The digest that a blob's path names.
fn named(path: &FilePath) -> Option<Sha256Digest> {
    path.file_name().parse().ok()
}

fn same(path: &Path, expected: &Sha256Digest, found: &Sha256Digest) -> Result<(), MeasureError> {
    if expected == found {
        return Ok(());
    }
    Err(MeasureError::ImageDigest { path: path.to_owned(), expected: *expected, found: *found })
}

/// Reads a file that should be an image's manifest or index.
fn read_document(path: &Path) -> Result<Vec<u8>, MeasureError> {
    let (parent, name) = match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => (parent, Path::new(name)),
        _ => return Err(MeasureError::NotFound { path: path.to_owned() }),
    };
    let root = Root::open(parent)?;
    read_below(&root, name)
}

fn read_below(root: &Root, below: &Path) -> Result<Vec<u8>, MeasureError> {
    let file = File::from(root.open_file(below)?);
    let shown = || root.shown(below);
    if Identity::of(&file, shown)?.size_bytes > limit_bytes() {
        let reason = format!("larger than {IMAGE_DOCUMENT_SIZE_BYTES_MAX} bytes, which no image manifest is");
        return Err(MeasureError::Image { path: shown(), fault: StrictError::new("", reason) });
    }
    let mut bytes = Vec::new();
    file.take(limit_bytes().saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| MeasureError::Unreadable { path: shown(), source })?;
    Ok(bytes)
}

fn limit_bytes() -> u64 {
    u64::try_from(IMAGE_DOCUMENT_SIZE_BYTES_MAX).unwrap_or(u64::MAX)
}

/// An OCI image layout, version 1.
struct Layout {
    root: Root,
}

impl Layout {
    fn open(path: &Path) -> Result<Self, MeasureError> {
        let refuse = |reason: String| MeasureError::ImageLayout { path: path.to_owned(), reason };
        if !is_image_layout(path) {
            return Err(refuse("is not an OCI image layout: it has no file oci-layout".to_owned()));
        }
        let root = Root::open(path)?;
        let mark = strict::value_from_slice(&read_below(&root, Path::new("oci-layout"))?)
            .map_err(|fault| refuse(format!("has no proper oci-layout file: {fault}")))?;
        let version = mark.get("imageLayoutVersion").and_then(|version| version.as_str()).unwrap_or_default();
        if !version.starts_with("1.") {
            return Err(refuse(format!("is an image layout of version {version:?}; only 1.0 is read")));
        }
        Ok(Self { root })
    }

    fn shown(&self, digest: &Sha256Digest) -> PathBuf {
        self.root.shown(below(digest))
    }

    fn images(&self) -> Result<Vec<Sha256Digest>, MeasureError> {
        let index = Path::new("index.json");
        let fault = |fault| MeasureError::Image { path: self.root.shown(index), fault };
        let document = ImageDocument::parse(&read_below(&self.root, index)?).map_err(fault)?;
        Ok(document.blobs.iter().map(|blob| blob.sha256).collect())
    }

    fn only_image(&self) -> Result<Sha256Digest, MeasureError> {
        let images = self.images()?;
        if let [only] = images.as_slice() {
            return Ok(*only);
        }
        let reason = format!("holds {} images; name one by its digest, …@sha256:…", images.len());
        Err(MeasureError::ImageLayout { path: self.root.path().to_owned(), reason })
    }

    /// The bytes of a manifest or index, if it is there.
    fn document(&self, digest: &Sha256Digest) -> Result<Option<Vec<u8>>, MeasureError> {
        if list_named(&self.root, [path_of(digest)?])?.is_empty() {
            return Ok(None);
        }
        read_below(&self.root, &below(digest)).map(Some)
    }

    /// Reads the documents below the root that are there and are what their names say.
    fn grow(&self, tree: &mut ImageTree) -> Result<(), MeasureError> {
        while let Some((digest, _)) = tree.next_document() {
            let Some(bytes) = self.document(&digest)?.filter(|bytes| Sha256Digest::of(bytes) == digest) else {
                continue;
            };
            tree.read(&bytes).map_err(|fault| MeasureError::Image { path: self.shown(&digest), fault })?;
        }
        Ok(())
    }

    /// Hashes those blobs that are there, each under the path that its digest gives it.
    fn read(
        &self,
        digests: impl IntoIterator<Item = Sha256Digest>,
        interrupted: &AtomicBool,
        progress: &dyn Progress,
        hasher: &dyn Hasher,
    ) -> Result<Manifest, MeasureError> {
        let paths: Vec<FilePath> = digests.into_iter().map(|digest| path_of(&digest)).collect::<Result<_, _>>()?;
        let files = list_named(&self.root, paths)?;
        let read = read_files(&self.root, files, interrupted, progress, hasher)?;
        Manifest::new(ExclusionProfile::None, read)
            .map_err(|fault| MeasureError::Manifest { path: self.root.path().to_owned(), fault })
    }
}

fn below(digest: &Sha256Digest) -> PathBuf {
    Path::new("blobs/sha256").join(digest.to_hex())
}

#[cfg(test)]
mod tests;
