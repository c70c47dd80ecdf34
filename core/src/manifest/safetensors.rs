//! The header of a safetensors file, read strictly: from bytes of unknown origin to the exact place of every tensor.
//!
//! Format: 8 bytes little-endian length, that many bytes of UTF-8 JSON, then tensor data which the offsets tile without
//! hole or overlap to the last byte of the file (huggingface/safetensors, "Format"). Never panics, whatever the bytes.

use core::fmt;
use std::collections::HashSet;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use super::dtype::Dtype;
use super::path::{NameFault, check_tensor_name, printable};
use crate::strict::INTEGER_MAX;

/// Bytes of the length field in front of the JSON.
pub const PREFIX_SIZE_BYTES: u64 = 8;
/// Longest JSON accepted. The format allows 100,000,000; a header above 16 MiB could not be described by a manifest
/// within the manifest's own limit.
pub const JSON_SIZE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most dimensions of a tensor; `PyTorch` stops at 64.
pub const DIMENSIONS_MAX: usize = 64;
/// Most tensors in one file; the largest published models have fewer than this over all their files.
pub const TENSORS_MAX: usize = 131_072;

/// The one member of the JSON that is not a tensor: texts about the file.
const METADATA: &str = "__metadata__";

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
    /// Bytes in front of the tensor data: length field and JSON, padding included.
    pub size_bytes: u64,
    /// Tensors by offset, then by name (only empty tensors share an offset).
    pub tensors: Vec<TensorLayout>,
}

/// Why a file is not a well-formed safetensors file. Names from the file are escaped and cut.
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
    /// A dimension passes [`INTEGER_MAX`], or shape × element size passes 64 bits or does not fill whole bytes.
    #[error("the shape of tensor `{name}` does not come to a whole number of bytes, or is too large to be exact")]
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
            Self::TooLarge { .. } => "header_too_large",
            Self::PastEnd { .. } => "header_past_end",
            Self::NotUtf8 { .. } => "header_not_utf8",
            Self::NotObject => "header_not_object",
            Self::Json(_) => "header_json",
            Self::DuplicateName { .. } => "duplicate_name",
            Self::Name { .. } => "tensor_name",
            Self::TooManyTensors => "too_many_tensors",
            Self::TooManyDimensions { .. } => "too_many_dimensions",
            Self::UnknownDtype { .. } => "unknown_dtype",
            Self::Shape { .. } => "tensor_shape",
            Self::Size { .. } => "tensor_size",
            Self::Reversed { .. } => "offsets_reversed",
            Self::Hole { .. } => "tensor_hole",
            Self::Overlap { .. } => "tensor_overlap",
            Self::TensorPastEnd { .. } => "tensor_past_end",
            Self::Trailing { .. } => "trailing_bytes",
        }
    }
}

/// Bytes in front of the tensor data (length field and JSON), from the length field and the size of the file.
///
/// # Errors
/// [`HeaderError::TooLarge`] or [`HeaderError::PastEnd`], before anything of that size is allocated.
pub fn header_size_bytes(prefix: [u8; 8], file_size_bytes: u64) -> Result<u64, HeaderError> {
    let declared_bytes = u64::from_le_bytes(prefix);
    if declared_bytes > JSON_SIZE_BYTES_MAX {
        return Err(HeaderError::TooLarge { declared_bytes });
    }
    let size_bytes = PREFIX_SIZE_BYTES.saturating_add(declared_bytes);
    if size_bytes > file_size_bytes {
        return Err(HeaderError::PastEnd { declared_bytes, size_bytes: file_size_bytes });
    }
    Ok(size_bytes)
}

/// Reads the header of a file of `file_size_bytes` from its first bytes (at least the whole header).
///
/// # Errors
/// The first [`HeaderError`] found.
pub fn parse_header(bytes: &[u8], file_size_bytes: u64) -> Result<Header, HeaderError> {
    let (prefix, rest) =
        bytes.split_first_chunk::<8>().ok_or(HeaderError::Truncated { size_bytes: file_size_bytes })?;
    let size_bytes = header_size_bytes(*prefix, file_size_bytes)?;
    let json = usize::try_from(size_bytes.saturating_sub(PREFIX_SIZE_BYTES))
        .ok()
        .and_then(|length| rest.get(..length))
        .ok_or(HeaderError::Truncated { size_bytes: file_size_bytes })?;
    let text = core::str::from_utf8(json).map_err(|fault| HeaderError::NotUtf8 { at: fault.valid_up_to() })?;
    let object = text.trim_end_matches(' ');
    if !object.starts_with('{') || !object.ends_with('}') {
        return Err(HeaderError::NotObject);
    }
    let raw: RawHeader =
        serde_json::from_str(object).map_err(|fault| HeaderError::Json(printable(&fault.to_string())))?;
    if raw.metadata_objects > 1 {
        return Err(HeaderError::DuplicateName { name: METADATA.to_owned() });
    }
    refuse_duplicates(raw.metadata_names.iter().map(String::as_str))?;
    refuse_duplicates(raw.tensors.iter().map(|(name, _)| name.as_str()))?;
    if raw.tensors.len() > TENSORS_MAX {
        return Err(HeaderError::TooManyTensors);
    }
    let mut tensors =
        raw.tensors.into_iter().map(|(name, raw)| place(name, raw, size_bytes)).collect::<Result<Vec<_>, _>>()?;
    tensors.sort_by(|a, b| (a.begin, a.end, &a.name).cmp(&(b.begin, b.end, &b.name)));
    check_tiling(size_bytes, file_size_bytes, tensors.iter().map(|tensor| (&*tensor.name, tensor.begin, tensor.end)))?;
    Ok(Header { size_bytes, tensors })
}

/// Checks that `tensors` — (name, begin, end) in order — cover `[begin, end)` of the file exactly once.
///
/// # Errors
/// [`HeaderError::Hole`], [`HeaderError::Overlap`], [`HeaderError::TensorPastEnd`] or [`HeaderError::Trailing`].
pub(crate) fn check_tiling<'a>(
    begin: u64,
    end: u64,
    tensors: impl Iterator<Item = (&'a str, u64, u64)>,
) -> Result<(), HeaderError> {
    let mut covered = begin;
    for (name, tensor_begin, tensor_end) in tensors {
        let name = || printable(name);
        if tensor_end > end {
            return Err(HeaderError::TensorPastEnd { name: name() });
        }
        if tensor_begin > covered {
            return Err(HeaderError::Hole { name: name() });
        }
        if tensor_begin < covered {
            return Err(HeaderError::Overlap { name: name() });
        }
        covered = tensor_end;
    }
    match end.saturating_sub(covered) {
        0 => Ok(()),
        size_bytes => Err(HeaderError::Trailing { size_bytes }),
    }
}

/// One tensor of the JSON with its name, type, shape and offsets checked, offsets made absolute.
fn place(name: String, raw: RawTensor, header_size_bytes: u64) -> Result<TensorLayout, HeaderError> {
    check_tensor_name(&name).map_err(|fault| HeaderError::Name { name: printable(&name), fault })?;
    let shown = || printable(&name);
    if raw.shape.len() > DIMENSIONS_MAX {
        return Err(HeaderError::TooManyDimensions { name: shown() });
    }
    let dtype = Dtype::from_name(&raw.dtype)
        .ok_or_else(|| HeaderError::UnknownDtype { name: shown(), dtype: printable(&raw.dtype) })?;
    let is_exact = raw.shape.iter().all(|&dimension| dimension <= INTEGER_MAX);
    let expected_bytes =
        dtype.tensor_size_bytes(&raw.shape).filter(|_| is_exact).ok_or_else(|| HeaderError::Shape { name: shown() })?;
    let (begin, end) = raw.data_offsets;
    let actual_bytes = end.checked_sub(begin).ok_or_else(|| HeaderError::Reversed { name: shown() })?;
    if expected_bytes != actual_bytes {
        return Err(HeaderError::Size { name: shown(), expected_bytes, actual_bytes });
    }
    let past_end = || HeaderError::TensorPastEnd { name: shown() };
    let begin = header_size_bytes.checked_add(begin).ok_or_else(past_end)?;
    let end = header_size_bytes.checked_add(end).ok_or_else(past_end)?;
    Ok(TensorLayout { name, dtype, shape: raw.shape, begin, end })
}

fn refuse_duplicates<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), HeaderError> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(HeaderError::DuplicateName { name: printable(name) });
        }
    }
    Ok(())
}

/// The JSON as written: repeated names are kept so that they can be refused by name.
struct RawHeader {
    tensors: Vec<(String, RawTensor)>,
    metadata_names: Vec<String>,
    metadata_objects: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;

        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = RawHeader;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
                let mut header = RawHeader { tensors: Vec::new(), metadata_names: Vec::new(), metadata_objects: 0 };
                while let Some(name) = map.next_key::<String>()? {
                    if name != METADATA {
                        header.tensors.push((name, map.next_value()?));
                        continue;
                    }
                    let TextNames(names) = map.next_value()?;
                    header.metadata_names.extend(names);
                    header.metadata_objects += 1;
                }
                Ok(header)
            }
        }

        deserializer.deserialize_map(HeaderVisitor)
    }
}

/// The member names of `__metadata__`, whose values must be texts.
struct TextNames(Vec<String>);

impl<'de> Deserialize<'de> for TextNames {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamesVisitor;

        impl<'de> Visitor<'de> for NamesVisitor {
            type Value = TextNames;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TextNames, A::Error> {
                let mut names = Vec::new();
                while let Some((name, _)) = map.next_entry::<String, String>()? {
                    names.push(name);
                }
                Ok(TextNames(names))
            }
        }

        deserializer.deserialize_map(NamesVisitor)
    }
}

#[cfg(test)]
mod tests;
