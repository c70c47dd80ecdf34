//! What the header of a weight file says, whatever its format: where each tensor lies, or why that can't be known.
//!
//! The formats' own modules read the bytes; the rule that tensors cover their file exactly once is here.

use core::ops::Range;

use super::TENSORS_MAX;
use super::dtype::Dtype;
use super::gguf::{ALIGNMENT_BYTES_MAX, HEADER_SIZE_BYTES_MAX};
use super::path::{NameFault, printable};
use super::safetensors::JSON_SIZE_BYTES_MAX;

/// Most dimensions of a tensor; `PyTorch` stops at 64.
pub const DIMENSIONS_MAX: usize = 64;

/// Where one tensor lies. Offsets count from the start of the *file* (the header's own count from its end).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorLayout {
    /// Name in the header.
    pub name: String,
    /// Type of the elements.
    pub dtype: Dtype,
    /// Dimensions, outermost first; empty for a scalar.
    pub shape: Vec<u64>,
    /// First byte in the file.
    pub begin: u64,
    /// One past the last byte in the file.
    pub end: u64,
}

/// A header whose tensors cover the rest of the file exactly once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Bytes in front of the tensor data, padding included.
    pub size_bytes: u64,
    /// What offsets of tensors are multiples of, where the format pads tensors.
    pub alignment_bytes: Option<u64>,
    /// Tensors by offset, then by name (only empty tensors share an offset).
    pub tensors: Vec<TensorLayout>,
}

impl TensorLayout {
    /// What [`check_tiling`] looks at: name, begin, end.
    pub(crate) fn place(&self) -> (&str, u64, u64) {
        (&self.name, self.begin, self.end)
    }
}

/// Why a file is not a well-formed weight file. Names from the file are escaped and cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Fewer than 8 bytes.
    #[error("the file is {size_bytes} bytes long, too short for the 8-byte header length")]
    Truncated {
        /// Size of the file in bytes.
        size_bytes: u64,
    },
    /// The declared length passes [`JSON_SIZE_BYTES_MAX`].
    #[error("the header declares {declared_bytes} bytes; at most {JSON_SIZE_BYTES_MAX} are accepted")]
    TooLarge {
        /// Declared length of the JSON in bytes.
        declared_bytes: u64,
    },
    /// The declared length passes the end of the file.
    #[error("the header declares {declared_bytes} bytes, past the end of the file of {size_bytes} bytes")]
    PastEnd {
        /// Declared length of the JSON in bytes.
        declared_bytes: u64,
        /// Size of the file in bytes.
        size_bytes: u64,
    },
    /// A header whose size is not declared goes on past [`HEADER_SIZE_BYTES_MAX`].
    #[error("the header is longer than {HEADER_SIZE_BYTES_MAX} bytes")]
    TooLong,
    /// The file ends within its header.
    #[error("the file of {size_bytes} bytes ends within its header; it is truncated")]
    Incomplete {
        /// Size of the file in bytes.
        size_bytes: u64,
    },
    /// The file does not begin with the four bytes `GGUF`.
    #[error("the file does not begin with `GGUF`")]
    Magic,
    /// A version of GGUF that is not read here.
    #[error("GGUF version {version} is not read, only 2 and 3; convert the model again with a current tool")]
    Version {
        /// The version as written.
        version: u32,
    },
    /// Numbers are written with the most significant byte first.
    #[error("this GGUF file is big-endian; only little-endian files are read")]
    BigEndian,
    /// A metadata entry of GGUF that no reader could make sense of.
    #[error("the metadata is malformed at byte {at}: {reason}")]
    Metadata {
        /// Offset in the file.
        at: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// `general.alignment` is no usable alignment.
    #[error("`general.alignment` must be a 32-bit power of two, at most {ALIGNMENT_BYTES_MAX}")]
    Alignment,
    /// A byte that only fills up to the alignment is not zero: nothing may hide there.
    #[error("byte {at} belongs to no tensor and is not zero as padding must be")]
    Padding {
        /// Offset in the file.
        at: u64,
    },
    /// The JSON is not UTF-8.
    #[error("the header is not UTF-8 (first fault at byte {at})")]
    NotUtf8 {
        /// Offset of the first bad byte in the JSON.
        at: usize,
    },
    /// The JSON does not begin with `{`, or something other than spaces follows its `}`.
    #[error("the header must begin with `{{` and end with `}}`, padded with spaces only")]
    NotObject,
    /// The JSON does not parse, nests, or has members the format does not know.
    #[error("the header's JSON is malformed: {0}")]
    Json(String),
    /// Two tensors, or two metadata entries, of one name: readers disagree about which counts.
    #[error("the header names `{name}` twice")]
    DuplicateName {
        /// The repeated name.
        name: String,
    },
    /// A name that could not be shown faithfully.
    #[error("the tensor name `{name}` is not acceptable: {fault}")]
    Name {
        /// The name, escaped.
        name: String,
        /// What is wrong with it.
        fault: NameFault,
    },
    /// A name that is no text.
    #[error("the tensor name `{name}` is not UTF-8")]
    NameNotUtf8 {
        /// The name, as far as it can be shown.
        name: String,
    },
    /// More than [`TENSORS_MAX`] tensors.
    #[error("the header names more than {TENSORS_MAX} tensors; split the file")]
    TooManyTensors,
    /// More than [`DIMENSIONS_MAX`] dimensions.
    #[error("the tensor `{name}` has more than {DIMENSIONS_MAX} dimensions")]
    TooManyDimensions {
        /// The tensor.
        name: String,
    },
    /// An element type outside the table of [`Dtype`].
    #[error("the tensor `{name}` has the unknown element type `{dtype}`")]
    UnknownDtype {
        /// The tensor.
        name: String,
        /// The type as written.
        dtype: String,
    },
    /// An element type that ggml has given up: no current reader agrees on what its bytes mean.
    #[error("the tensor `{name}` has the element type {dtype}, which ggml has removed; convert the model again")]
    RemovedDtype {
        /// The tensor.
        name: String,
        /// The type's name when it had one.
        dtype: &'static str,
    },
    /// A dimension passes [`INTEGER_MAX`](crate::strict::INTEGER_MAX), or shape × element size passes 64 bits or does
    /// not fill whole bytes or blocks.
    #[error("the shape of tensor `{name}` does not come to whole bytes or blocks, or is too large to be exact")]
    Shape {
        /// The tensor.
        name: String,
    },
    /// Offsets and shape disagree.
    #[error("the tensor `{name}` takes {expected_bytes} bytes by its shape but its offsets span {actual_bytes}")]
    Size {
        /// The tensor.
        name: String,
        /// Shape × element size in bytes.
        expected_bytes: u64,
        /// Distance of the offsets in bytes.
        actual_bytes: u64,
    },
    /// The end lies before the beginning.
    #[error("the offsets of tensor `{name}` are reversed")]
    Reversed {
        /// The tensor.
        name: String,
    },
    /// Bytes between two tensors belong to nothing.
    #[error("bytes before tensor `{name}` belong to no tensor")]
    Hole {
        /// The tensor after the hole.
        name: String,
    },
    /// A tensor does not begin where the alignment puts it.
    #[error("the tensor `{name}` does not begin at a multiple of the alignment")]
    Misaligned {
        /// The tensor.
        name: String,
    },
    /// Two tensors claim the same bytes.
    #[error("the tensor `{name}` overlaps the one before it")]
    Overlap {
        /// The second of the two.
        name: String,
    },
    /// A tensor ends after the file.
    #[error("the tensor `{name}` ends past the end of the file; the file is truncated")]
    TensorPastEnd {
        /// The tensor.
        name: String,
    },
    /// Bytes after the last tensor belong to nothing.
    #[error("{size_bytes} bytes after the last tensor belong to no tensor")]
    Trailing {
        /// How many.
        size_bytes: u64,
    },
}

impl HeaderError {
    /// Stable name of the fault for scripts.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "header_truncated",
            Self::TooLarge { .. } | Self::TooLong => "header_too_large",
            Self::PastEnd { .. } | Self::Incomplete { .. } => "header_past_end",
            Self::Magic => "header_magic",
            Self::Version { .. } => "header_version",
            Self::BigEndian => "header_big_endian",
            Self::Metadata { .. } => "header_metadata",
            Self::Alignment => "header_alignment",
            Self::Padding { .. } => "padding_not_zero",
            Self::NotUtf8 { .. } => "header_not_utf8",
            Self::NotObject => "header_not_object",
            Self::Json(_) => "header_json",
            Self::DuplicateName { .. } => "duplicate_name",
            Self::Name { .. } | Self::NameNotUtf8 { .. } => "tensor_name",
            Self::TooManyTensors => "too_many_tensors",
            Self::TooManyDimensions { .. } => "too_many_dimensions",
            Self::UnknownDtype { .. } => "unknown_dtype",
            Self::RemovedDtype { .. } => "removed_dtype",
            Self::Shape { .. } => "tensor_shape",
            Self::Size { .. } => "tensor_size",
            Self::Reversed { .. } => "offsets_reversed",
            Self::Hole { .. } => "tensor_hole",
            Self::Misaligned { .. } => "tensor_misaligned",
            Self::Overlap { .. } => "tensor_overlap",
            Self::TensorPastEnd { .. } => "tensor_past_end",
            Self::Trailing { .. } => "trailing_bytes",
        }
    }
}

/// Checks that `tensors` — (name, begin, end) in order — cover the bytes of the file in `range` exactly once, each of
/// them and the end of the file padded to a multiple of `alignment_bytes` at most.
///
/// # Errors
/// [`HeaderError::Hole`], [`HeaderError::Misaligned`], [`HeaderError::Overlap`], [`HeaderError::TensorPastEnd`] or
/// [`HeaderError::Trailing`].
pub(crate) fn check_tiling<'a>(
    range: Range<u64>,
    alignment_bytes: u64,
    tensors: impl Iterator<Item = (&'a str, u64, u64)>,
) -> Result<(), HeaderError> {
    let aligned = |at: u64| at.checked_next_multiple_of(alignment_bytes).unwrap_or(u64::MAX);
    let mut covered = range.start;
    for (name, tensor_begin, tensor_end) in tensors {
        let name = || printable(name);
        if tensor_end > range.end {
            return Err(HeaderError::TensorPastEnd { name: name() });
        }
        if tensor_begin > aligned(covered) {
            return Err(HeaderError::Hole { name: name() });
        }
        if tensor_begin < covered {
            return Err(HeaderError::Overlap { name: name() });
        }
        if tensor_begin != aligned(covered) {
            return Err(HeaderError::Misaligned { name: name() });
        }
        covered = tensor_end;
    }
    if range.end > aligned(covered) {
        return Err(HeaderError::Trailing { size_bytes: range.end.saturating_sub(covered) });
    }
    Ok(())
}
