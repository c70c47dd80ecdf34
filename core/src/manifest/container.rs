//! The image that a manifest describes: by digest, since whoever registers an image need not have its layers.
//!
//! Its files are the blobs that the image's manifest or index names, where an OCI image layout keeps them, and that
//! document itself. Each is known by SHA-256 and size alone, and its path says the SHA-256 again.

use serde::{Deserialize, Serialize};

use super::{ExclusionProfile, FileEntry};
use crate::digest::Sha256Digest;
use crate::image::{BlobPlace, IMAGE_BLOBS_MAX, ImageMediaType, ImageName, ImageTree, blob_path, check_platform};
use crate::strict::StrictError;

/// Which image it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageIdentity {
    /// What the document that it is pulled by is.
    pub media_type: ImageMediaType,
    /// Where it is published.
    pub name: ImageName,
    /// For an index, the platforms it names; ascending, none twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    /// SHA-256 of its manifest or index: the digest it is pulled by.
    pub sha256: Sha256Digest,
}

impl ImageIdentity {
    /// What a manifest says of the image: which one it is, and its files.
    pub(super) fn of(name: ImageName, tree: &ImageTree) -> Result<(Self, Vec<FileEntry>), StrictError> {
        let document = tree.document();
        let image =
            Self { sha256: tree.root(), media_type: document.media_type, name, platforms: document.platforms.clone() };
        let named = tree.blobs().filter(|(_, _, place)| *place != BlobPlace::Below);
        let files = named.map(|(sha256, size_bytes, _)| by_digest(sha256, size_bytes)).collect::<Result<_, _>>()?;
        Ok((image, files))
    }

    pub(super) fn check(&self, exclusions: ExclusionProfile, files: &[FileEntry]) -> Result<(), StrictError> {
        if exclusions != ExclusionProfile::None {
            return Err(StrictError::new("/exclusions", "nothing is left out of an image"));
        }
        // The root itself comes on top.
        if files.len() > IMAGE_BLOBS_MAX + 1 {
            return Err(StrictError::new("/files", format!("more than {IMAGE_BLOBS_MAX} blobs")));
        }
        for (index, file) in files.iter().enumerate() {
            let at = format!("/files/{index}");
            if file.blake3.is_some() {
                return Err(StrictError::new(at + "/blake3", "blobs of an image are known by SHA-256 alone"));
            }
            if blob_path(&file.sha256).as_ref() != Ok(&file.path) {
                return Err(StrictError::new(at + "/path", "must be blobs/sha256/ and the blob's SHA-256"));
            }
        }
        if !files.iter().any(|file| file.sha256 == self.sha256) {
            return Err(StrictError::new("/image/sha256", "is not among the files"));
        }
        if !self.media_type.is_index() && !self.platforms.is_empty() {
            return Err(StrictError::new("/image/platforms", "only an index names platforms"));
        }
        let mut previous: Option<&String> = None;
        for (index, platform) in self.platforms.iter().enumerate() {
            let at = format!("/image/platforms/{index}");
            check_platform(platform).map_err(|reason| StrictError::new(at.clone(), reason))?;
            if previous.replace(platform).is_some_and(|previous| previous >= platform) {
                return Err(StrictError::new(at, "platforms must be unique and in the order of their bytes"));
            }
        }
        Ok(())
    }
}

/// The entry of a blob whose bytes nobody had to read.
pub(crate) fn by_digest(sha256: Sha256Digest, size_bytes: u64) -> Result<FileEntry, StrictError> {
    let path = blob_path(&sha256).map_err(|fault| StrictError::new("", fault.to_string()))?;
    Ok(FileEntry { path, size_bytes, sha256, blake3: None, weights: None })
}
