//! Container images: what an image manifest or index of unknown origin names, blob by blob.
//!
//! An image is known by the SHA-256 of its manifest; its configuration and layers are known to whoever has no more than
//! that document only by the digests in it. Rules are those of the OCI Image Specification 1.1 and of Docker's image
//! manifest version 2, schema 2.

mod document;
mod reference;
mod tree;

pub(crate) use document::check_platform;
pub use document::{ImageDocument, ImageMediaType, NamedBlob};
pub use reference::{ImageName, ImageReference};
pub use tree::{BlobPlace, ImageTree};

use crate::digest::Sha256Digest;
use crate::manifest::{FilePath, NameFault};

/// Most bytes of an image manifest or index: what every registry has to accept (OCI Distribution Specification 1.1).
pub const IMAGE_DOCUMENT_SIZE_BYTES_MAX: usize = 4 << 20;

/// Most blobs of an image; container engines stop at 127 layers, and an index has some tens of platforms.
pub const IMAGE_BLOBS_MAX: usize = 4_096;

/// Where a blob lies in an image layout, and how a manifest names it.
///
/// # Errors
/// None in practice: what is built here is a path.
pub fn blob_path(digest: &Sha256Digest) -> Result<FilePath, NameFault> {
    FilePath::parse(&format!("blobs/sha256/{digest}"))
}

#[cfg(test)]
mod tests;
