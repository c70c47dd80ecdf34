//! Everything that an image consists of, as far as its documents are at hand: from the root down, each blob once.
//!
//! A document can only name what existed before it, so there are no circles; the number of blobs bounds the work.

use std::collections::BTreeMap;

use super::{IMAGE_BLOBS_MAX, ImageDocument};
use crate::digest::Sha256Digest;
use crate::strict::StrictError;

/// How a blob belongs to the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlobPlace {
    /// It is the image's manifest or index.
    Root,
    /// The root names it.
    Named,
    /// A manifest that an index names does.
    Below,
}

/// An image's blobs.
#[derive(Debug, Clone)]
pub struct ImageTree {
    root: Sha256Digest,
    document: ImageDocument,
    blobs: BTreeMap<Sha256Digest, (u64, BlobPlace)>,
    unread: Vec<Sha256Digest>,
}

impl ImageTree {
    /// The tree of the image whose manifest or index these bytes are, down to what that names itself.
    ///
    /// # Errors
    /// As [`ImageDocument::parse`].
    pub fn new(bytes: &[u8]) -> Result<Self, StrictError> {
        let document = ImageDocument::parse(bytes)?;
        let root = Sha256Digest::of(bytes);
        let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let mut tree = Self { root, blobs: BTreeMap::new(), unread: Vec::new(), document: document.clone() };
        tree.blobs.insert(root, (size_bytes, BlobPlace::Root));
        tree.add(&document, BlobPlace::Named)?;
        Ok(tree)
    }

    /// SHA-256 of the root.
    pub fn root(&self) -> Sha256Digest {
        self.root
    }

    /// The root as it reads.
    pub fn document(&self) -> &ImageDocument {
        &self.document
    }

    /// Every blob known so far: digest, size in bytes, place; ascending.
    pub fn blobs(&self) -> impl Iterator<Item = (Sha256Digest, u64, BlobPlace)> {
        self.blobs.iter().map(|(digest, (size_bytes, place))| (*digest, *size_bytes, *place))
    }

    /// How this blob belongs to the image, if it does.
    pub fn place(&self, digest: &Sha256Digest) -> Option<BlobPlace> {
        self.blobs.get(digest).map(|(_, place)| *place)
    }

    /// A document below the root that nobody has looked for yet, with its size; each comes once.
    pub fn next_document(&mut self) -> Option<(Sha256Digest, u64)> {
        let digest = self.unread.pop()?;
        self.blobs.get(&digest).map(|(size_bytes, _)| (digest, *size_bytes))
    }

    /// Adds what a document below the root names.
    ///
    /// # Errors
    /// As [`ImageDocument::parse`]; and for a size that contradicts another document, or more than
    /// [`IMAGE_BLOBS_MAX`] blobs.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), StrictError> {
        self.add(&ImageDocument::parse(bytes)?, BlobPlace::Below)
    }

    fn add(&mut self, document: &ImageDocument, place: BlobPlace) -> Result<(), StrictError> {
        for blob in &document.blobs {
            match self.blobs.get(&blob.sha256) {
                Some((size_bytes, _)) if *size_bytes == blob.size_bytes => continue,
                Some(_) => {
                    let reason = format!("the blob sha256:{} has two sizes", blob.sha256);
                    return Err(StrictError::new("", reason));
                }
                None => self.blobs.insert(blob.sha256, (blob.size_bytes, place)),
            };
            if blob.is_document {
                self.unread.push(blob.sha256);
            }
            if self.blobs.len() > IMAGE_BLOBS_MAX {
                return Err(StrictError::new("", format!("the image has more than {IMAGE_BLOBS_MAX} blobs")));
            }
        }
        Ok(())
    }
}
