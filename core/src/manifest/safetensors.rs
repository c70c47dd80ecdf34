//! The header of a safetensors file, read strictly: from bytes of unknown origin to the exact place of every tensor.
//!
//! Format: 8 bytes little-endian length, that many bytes of UTF-8 JSON, then tensor data which the offsets tile without
//! hole or overlap to the last byte of the file (huggingface/safetensors, "Format"). Never panics, whatever the bytes.

use core::fmt;
use std::collections::HashSet;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

use super::TENSORS_MAX;
use super::dtype::Dtype;
use super::header::{DIMENSIONS_MAX, Header, HeaderError, TensorLayout, check_tiling};
use super::path::{check_tensor_name, printable};
use crate::strict::INTEGER_MAX;

/// Bytes of the length field in front of the JSON.
pub const PREFIX_SIZE_BYTES: u64 = 8;
/// Longest JSON accepted. The format allows 100,000,000; a header above 16 MiB could not be described by a manifest
/// within the manifest's own limit.
pub const JSON_SIZE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The one member of the JSON that is not a tensor: texts about the file.
const METADATA: &str = "__metadata__";

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
    check_tiling(size_bytes..file_size_bytes, 1, tensors.iter().map(TensorLayout::place))?;
    Ok(Header { size_bytes, alignment_bytes: None, tensors })
}

/// One tensor of the JSON with its name, type, shape and offsets checked, offsets made absolute.
fn place(name: String, raw: RawTensor, header_size_bytes: u64) -> Result<TensorLayout, HeaderError> {
    check_tensor_name(&name).map_err(|fault| HeaderError::Name { name: printable(&name), fault })?;
    let shown = || printable(&name);
    if raw.shape.len() > DIMENSIONS_MAX {
        return Err(HeaderError::TooManyDimensions { name: shown() });
    }
    let dtype = Dtype::from_safetensors_name(&raw.dtype)
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
