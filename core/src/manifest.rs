//! The manifest: which bytes an artefact consists of, file by file and tensor by tensor.
//!
//! Its canonical bytes (RFC 8785) are what a statement names by SHA-256; they travel beside the envelope. A [`Manifest`]
//! is valid by construction: sorted, unique, within every limit, tensors covering their file exactly once.

mod container;
mod dtype;
mod exclusion;
pub mod gguf;
pub mod header;
mod path;
pub mod safetensors;
mod weights;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_path_to_error::Segment;

pub use self::container::ImageIdentity;
pub(crate) use self::container::by_digest;
pub use self::dtype::Dtype;
pub use self::exclusion::ExclusionProfile;
use self::path::printable;
pub use self::path::{
    FilePath, NameFault, PATH_SIZE_BYTES_MAX, SEGMENT_SIZE_BYTES_MAX, SEGMENTS_MAX, TENSOR_NAME_SIZE_BYTES_MAX,
    check_tensor_name,
};
pub use self::weights::{TensorEntry, WeightFormat, WeightIndex};
use crate::digest::{Blake3Digest, Sha256Digest};
use crate::image::{ImageName, ImageTree};
use crate::strict::{INTEGER_MAX, StrictError, pointer_token, present};

/// Most bytes of a manifest: it is held in memory by clients, the service and offline verifiers. The largest published
/// models have some 92,000 tensors, which take 20 MB; so many as [`TENSORS_MAX`] still fit.
pub const MANIFEST_SIZE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most files in a manifest; at 200 bytes or more each, the byte limit is near as well.
pub const FILES_MAX: usize = 100_000;
/// Most tensors over all files; at 200 bytes or more each, the byte limit is near as well.
pub const TENSORS_MAX: usize = 131_072;

/// The only schema there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Schema {
    #[serde(rename = "chopmark.manifest/v1")]
    V1,
}

/// A valid manifest. Files are in the order of their paths' UTF-8 bytes.
///
/// This and everything in it has its members in the order of their names, so that what serde writes is canonical as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manifest {
    exclusions: ExclusionProfile,
    files: Vec<FileEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<ImageIdentity>,
    schema: Schema,
}

/// One file: its place, size and digests. Each digest is a claim of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// BLAKE3 of the whole file; absent for the blobs of a container image, and for nothing else.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub blake3: Option<Blake3Digest>,
    /// Where the file lies below the artefact's root.
    pub path: FilePath,
    /// SHA-256 of the whole file.
    pub sha256: Sha256Digest,
    /// Size in bytes, at most [`INTEGER_MAX`].
    pub size_bytes: u64,
    /// The tensors, for files of a [`WeightFormat`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<WeightIndex>,
}

impl Manifest {
    /// A manifest of `files`, given in any order. No file at all is allowed here, because a measured directory may be
    /// empty; such a manifest compares but is refused by [`Manifest::parse`].
    ///
    /// # Errors
    /// [`StrictError`] for a repeated path, a file excluded by its own profile, a weight index that does not cover
    /// its file, or any limit of this module except that on bytes.
    pub fn new(exclusions: ExclusionProfile, mut files: Vec<FileEntry>) -> Result<Self, StrictError> {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let manifest = Self { schema: Schema::V1, exclusions, files, image: None };
        manifest.check()?;
        Ok(manifest)
    }

    /// The manifest of a container image: its root, and what that names itself, each by SHA-256 and size. The same
    /// whether or not more of the image is at hand.
    ///
    /// # Errors
    /// As [`Manifest::new`], which no image that could be read causes.
    pub fn of_image(name: ImageName, tree: &ImageTree) -> Result<Self, StrictError> {
        let (image, mut files) = ImageIdentity::of(name, tree)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let manifest = Self { schema: Schema::V1, exclusions: ExclusionProfile::None, files, image: Some(image) };
        manifest.check()?;
        Ok(manifest)
    }

    /// Reads a manifest from its canonical bytes and nothing else: what parses is byte for byte what would be written.
    ///
    /// # Errors
    /// [`StrictError`] with a JSON pointer for anything that is not strict JSON of the schema (unknown or repeated
    /// members, floats), for every rule of [`Manifest::new`], for an empty list of files, for more than
    /// [`MANIFEST_SIZE_BYTES_MAX`] bytes and for bytes in another than the canonical form.
    pub fn parse(bytes: &[u8]) -> Result<Self, StrictError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Document {
            schema: Schema,
            exclusions: ExclusionProfile,
            files: Vec<FileEntry>,
            #[serde(default, deserialize_with = "present")]
            image: Option<ImageIdentity>,
        }

        if bytes.len() > MANIFEST_SIZE_BYTES_MAX {
            return Err(StrictError::new("", format!("longer than {MANIFEST_SIZE_BYTES_MAX} bytes")));
        }
        // Remembering the place costs more than reading, so that is done once something is known to be wrong.
        let document = if let Ok(document) = serde_json::from_slice(bytes) {
            document
        } else {
            let mut reader = serde_json::Deserializer::from_slice(bytes);
            let document = serde_path_to_error::deserialize(&mut reader)
                .map_err(|fault| StrictError::new(pointer(fault.path()), printable(&fault.inner().to_string())))?;
            reader.end().map_err(|fault| StrictError::new("", printable(&fault.to_string())))?;
            document
        };
        let Document { schema, exclusions, files, image } = document;
        let manifest = Self { exclusions, files, image, schema };
        if manifest.files.is_empty() {
            return Err(StrictError::new("/files", "names no file"));
        }
        manifest.check()?;
        let canonical = manifest.to_canonical_bytes();
        if canonical != bytes {
            let at = canonical.iter().zip(bytes).take_while(|(ours, theirs)| ours == theirs).count();
            return Err(StrictError::new("", format!("not in canonical form (RFC 8785) from byte {at} on")));
        }
        Ok(manifest)
    }

    /// The canonical bytes: RFC 8785.
    pub fn to_canonical_bytes(&self) -> Vec<u8> {
        // Writing texts, integers up to 2^53 and lists into memory has no way to fail; an empty result would fail every
        // digest. With members in order serde_json has RFC 8785's form: it escapes the same characters in the same way.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The manifest's digest: SHA-256 of its canonical bytes, the subject of the statement that registers it.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(&self.to_canonical_bytes())
    }

    /// The rule by which files were left out.
    pub fn exclusions(&self) -> ExclusionProfile {
        self.exclusions
    }

    /// The container image it describes, if it describes one.
    pub fn image(&self) -> Option<&ImageIdentity> {
        self.image.as_ref()
    }

    /// The files, by path.
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// The file at `path`.
    pub fn file(&self, path: &FilePath) -> Option<&FileEntry> {
        self.files.binary_search_by(|entry| entry.path.cmp(path)).ok().and_then(|index| self.files.get(index))
    }

    /// The only file, where there is just one: it may be verified under another name.
    pub fn only_file(&self) -> Option<&FileEntry> {
        match self.files.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Size of all files together in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).fold(0, u64::saturating_add)
    }

    fn check(&self) -> Result<(), StrictError> {
        if self.files.len() > FILES_MAX {
            return Err(StrictError::new("/files", format!("more than {FILES_MAX} files")));
        }
        if let Some(image) = &self.image {
            image.check(self.exclusions, &self.files)?;
        }
        let mut tensors_left = TENSORS_MAX;
        let mut paths = HashSet::with_capacity(self.files.len());
        let mut previous: Option<&FilePath> = None;
        for (index, file) in self.files.iter().enumerate() {
            let at = format!("/files/{index}");
            if previous.is_some_and(|previous| *previous >= file.path) {
                return Err(StrictError::new(at + "/path", "paths must be unique and in the order of their bytes"));
            }
            if self.exclusions.excludes(file.path.as_str()) {
                return Err(StrictError::new(at + "/path", format!("left out by `{}`", self.exclusions.id())));
            }
            if file.path.ancestors().any(|directory| paths.contains(directory)) {
                return Err(StrictError::new(at + "/path", "lies below another path that is a file"));
            }
            paths.insert(file.path.as_str());
            previous = Some(&file.path);
            if file.blake3.is_none() && self.image.is_none() {
                return Err(StrictError::new(at + "/blake3", "only blobs of a container image have none"));
            }
            file.check(&at, &mut tensors_left)?;
        }
        Ok(())
    }
}

impl FileEntry {
    fn check(&self, at: &str, tensors_left: &mut usize) -> Result<(), StrictError> {
        if self.size_bytes > INTEGER_MAX {
            return Err(StrictError::new(format!("{at}/size_bytes"), "more than 2^53 − 1"));
        }
        match &self.weights {
            Some(weights) => weights.check(self, &format!("{at}/weights"), tensors_left),
            None => Ok(()),
        }
    }
}

/// The path as an RFC 6901 pointer; unknown member names are whatever was sent, so they are made printable.
fn pointer(path: &serde_path_to_error::Path) -> String {
    path.iter().fold(String::new(), |mut pointer, segment| {
        let step = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => pointer_token(key),
            Segment::Enum { .. } | Segment::Unknown => return pointer,
        };
        pointer.push('/');
        pointer.push_str(&printable(&step));
        pointer
    })
}

#[cfg(test)]
mod tests;
