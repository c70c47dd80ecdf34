//! Why a path could not be measured: which file, what is wrong with it, what to do.

use std::io;
use std::path::PathBuf;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::manifest::header::HeaderError;
use chopmark_core::manifest::{FILES_MAX, NameFault, TENSORS_MAX, WeightFormat};
use chopmark_core::strict::StrictError;

use crate::hasher::EngineFault;

/// Largest file accepted, in bytes: 8 TiB, far above any published weight file and below what a sparse file can claim.
pub const FILE_SIZE_BYTES_MAX: u64 = 8 << 40;

/// Why there is no measurement. Names from the disk are shown escaped.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// Nothing at this path.
    #[error("{path:?} does not exist; check the path")]
    NotFound {
        /// The path.
        path: PathBuf,
    },
    /// The operating system refused to list, open or read.
    #[error("{path:?} cannot be read: {source}; check its permissions and the disk")]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A symbolic link: what it points at may lie anywhere and change unseen.
    #[error("{path:?} is a symbolic link; replace it by the file it points at (`cp -L`), or take it out")]
    SymbolicLink {
        /// The path.
        path: PathBuf,
    },
    /// A link in a repository of the Hugging Face cache that is none of those the cache is made of.
    #[error("{path:?} is a symbolic link that {reason}; take it out, or download the repository again")]
    CacheLink {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Which snapshot of a repository is meant can't be told, or it is not there.
    #[error("{path:?}: {reason}")]
    Revision {
        /// The repository.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// A FIFO, socket, device or anything else that has no fixed bytes.
    #[error("{path:?} is {kind}, not a regular file; take it out")]
    NotRegular {
        /// The path.
        path: PathBuf,
        /// What it is, with its article.
        kind: &'static str,
    },
    /// A size above [`FILE_SIZE_BYTES_MAX`].
    #[error(
        "{path:?} claims {size_bytes} bytes; at most {FILE_SIZE_BYTES_MAX} are accepted (a sparse file?); split it"
    )]
    TooLarge {
        /// The path.
        path: PathBuf,
        /// The size it claims, in bytes.
        size_bytes: u64,
    },
    /// A name that cannot stand in a manifest.
    #[error("{path:?} cannot be named in a manifest: {fault}")]
    Name {
        /// The path.
        path: PathBuf,
        /// The rule it breaks.
        fault: NameFault,
    },
    /// A name that is not UTF-8.
    #[error("{path:?} is not named in UTF-8; rename it")]
    NameNotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// Size, time or identity changed between opening and the last byte.
    #[error("{path:?} changed while it was read ({how}); stop whatever writes to it and try again")]
    FileChanged {
        /// The path.
        path: PathBuf,
        /// What was noticed.
        how: &'static str,
    },
    /// A weight file, by its name, that is not one.
    #[error(
        "{path:?} is not a well-formed {} file: {fault}; repair it, or rename it if it is something else",
        format.name()
    )]
    Weights {
        /// The path.
        path: PathBuf,
        /// What its name says it is.
        format: WeightFormat,
        /// What is wrong with it.
        fault: HeaderError,
    },
    /// More files, directories or excluded entries than a manifest could hold.
    #[error("{path:?} holds more than {FILES_MAX} files or directories; register its parts one by one")]
    TooManyFiles {
        /// The directory.
        path: PathBuf,
    },
    /// More tensors over all files than a manifest could hold.
    #[error("{path:?} brings the tensors above {TENSORS_MAX}; register its parts one by one")]
    TooManyTensors {
        /// The file at which the limit was passed.
        path: PathBuf,
    },
    /// A directory without a single file that counts.
    #[error("{path:?} holds no file to register; check the path")]
    NoFiles {
        /// The directory.
        path: PathBuf,
    },
    /// More bytes than a manifest may have.
    #[error(
        "the manifest of {path:?} would take {size_bytes} bytes, more than the limit; register its parts one by one"
    )]
    ManifestTooLarge {
        /// The directory or file.
        path: PathBuf,
        /// Size of the canonical form in bytes.
        size_bytes: usize,
    },
    /// The entries found do not form a manifest.
    #[error("{path:?}: {fault}")]
    Manifest {
        /// The directory or file.
        path: PathBuf,
        /// The rule that is broken.
        fault: StrictError,
    },
    /// An image manifest or index of a container image that is not one.
    #[error("{path:?} is not the manifest or index of a container image: {fault}")]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        fault: StrictError,
    },
    /// A blob of a container image that is not what its digest says.
    #[error(
        "{path:?} is sha256:{found}, not sha256:{expected}; fetch it again, and keep it byte for byte as it was served"
    )]
    ImageDigest {
        /// The file.
        path: PathBuf,
        /// The digest it was to have.
        expected: Sha256Digest,
        /// The digest it has.
        found: Sha256Digest,
    },
    /// A directory or file that does not hold the image asked for.
    #[error("{path:?} {reason}")]
    ImageLayout {
        /// The directory or file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// The hashing engine gave a wrong result or stopped working.
    #[error(transparent)]
    Engine(EngineFault),
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl MeasureError {
    /// Stable name of the error for scripts; for a malformed weight file that of its fault.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::Unreadable { .. } => "unreadable",
            Self::SymbolicLink { .. } | Self::CacheLink { .. } => "symbolic_link",
            Self::Revision { .. } => "revision",
            Self::NotRegular { .. } => "not_regular_file",
            Self::TooLarge { .. } => "file_too_large",
            Self::Name { .. } => "file_name",
            Self::NameNotUtf8 { .. } => "file_name_not_utf8",
            Self::FileChanged { .. } => "file_changed",
            Self::Weights { fault, .. } => fault.code(),
            Self::TooManyFiles { .. } => "too_many_files",
            Self::TooManyTensors { .. } => "too_many_tensors",
            Self::NoFiles { .. } => "no_files",
            Self::ManifestTooLarge { .. } => "manifest_too_large",
            Self::Manifest { .. } => "manifest",
            Self::Image { .. } => "image",
            Self::ImageDigest { .. } => "image_digest",
            Self::ImageLayout { .. } => "image_layout",
            Self::Engine(_) => "engine_fault",
            Self::Interrupted => "interrupted",
        }
    }
}
