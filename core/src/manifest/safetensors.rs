//! The header of a safetensors file, read strictly: from bytes of unknown origin to the exact place of every tensor.
//!
//! Format: 8 bytes little-endian length, that many bytes of UTF-8 JSON, then tensor data which the offsets tile without
//! hole or overlap to the last byte of the file (huggingface/safetensors, "Format"). Never panics, whatever the bytes.

use core::fmt;
use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};

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
    let raw: RawHeader<'_> =
        serde_json::from_str(object).map_err(|fault| HeaderError::Json(printable(&fault.to_string())))?;
    if raw.metadata_objects > 1 {
        return Err(HeaderError::DuplicateName { name: METADATA.to_owned() });
    }
    if raw.tensors.len() > TENSORS_MAX {
        return Err(HeaderError::TooManyTensors);
    }
    refuse_duplicates(raw.metadata_names)?;
    refuse_duplicates(raw.tensors.iter().map(|(name, _)| Cow::Borrowed(name.as_str())).collect())?;
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
    let RawTensor { dtype: raw_dtype, shape: Shape(shape), data_offsets } = raw;
    if shape.len() > DIMENSIONS_MAX {
        return Err(HeaderError::TooManyDimensions { name: shown() });
    }
    let dtype = Dtype::from_safetensors_name(&raw_dtype)
        .ok_or_else(|| HeaderError::UnknownDtype { name: shown(), dtype: printable(&raw_dtype) })?;
    let is_exact = shape.iter().all(|&dimension| dimension <= INTEGER_MAX);
    let expected_bytes =
        dtype.tensor_size_bytes(&shape).filter(|_| is_exact).ok_or_else(|| HeaderError::Shape { name: shown() })?;
    let (begin, end) = data_offsets;
    let actual_bytes = end.checked_sub(begin).ok_or_else(|| HeaderError::Reversed { name: shown() })?;
    if expected_bytes != actual_bytes {
        return Err(HeaderError::Size { name: shown(), expected_bytes, actual_bytes });
    }
    let past_end = || HeaderError::TensorPastEnd { name: shown() };
    let begin = header_size_bytes.checked_add(begin).ok_or_else(past_end)?;
    let end = header_size_bytes.checked_add(end).ok_or_else(past_end)?;
    Ok(TensorLayout { name, dtype, shape, begin, end })
}

/// Sorted where they are: a header of nothing but names has two million of them.
fn refuse_duplicates(mut names: Vec<Cow<'_, str>>) -> Result<(), HeaderError> {
    names.sort_unstable();
    let twice = names.windows(2).find_map(|pair| match pair {
        [one, other] if one == other => Some(printable(one)),
        _ => None,
    });
    twice.map_or(Ok(()), |name| Err(HeaderError::DuplicateName { name }))
}

/// The JSON as written: repeated names are kept so that they can be refused by name. What is too much is not kept, but for
/// one that shows it: a header takes no more than some five times its own size to be read.
struct RawHeader<'de> {
    tensors: Vec<(String, RawTensor)>,
    metadata_names: Vec<Cow<'de, str>>,
    metadata_objects: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTensor {
    dtype: String,
    shape: Shape,
    data_offsets: (u64, u64),
}

/// At most one dimension more than a tensor may have.
struct Shape(Vec<u64>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ShapeVisitor;

        impl<'de> Visitor<'de> for ShapeVisitor {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of dimensions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Shape, A::Error> {
                let mut shape = Vec::new();
                while let Some(dimension) = elements.next_element()? {
                    if shape.len() <= DIMENSIONS_MAX {
                        shape.push(dimension);
                    }
                }
                Ok(Shape(shape))
            }
        }

        deserializer.deserialize_seq(ShapeVisitor)
    }
}

/// A text as it stands in the JSON, where nothing in it is escaped.
#[derive(Deserialize)]
struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for RawHeader<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;

        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = RawHeader<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader<'de>, A::Error> {
                let mut header = RawHeader { tensors: Vec::new(), metadata_names: Vec::new(), metadata_objects: 0 };
                while let Some(name) = map.next_key::<String>()? {
                    if name != METADATA {
                        if header.tensors.len() <= TENSORS_MAX {
                            header.tensors.push((name, map.next_value()?));
                        } else {
                            map.next_value::<IgnoredAny>()?;
                        }
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
struct TextNames<'de>(Vec<Cow<'de, str>>);

impl<'de> Deserialize<'de> for TextNames<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamesVisitor;

        impl<'de> Visitor<'de> for NamesVisitor {
            type Value = TextNames<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TextNames<'de>, A::Error> {
                let mut names = Vec::new();
                while let Some((Borrowed(name), Borrowed(_))) = map.next_entry()? {
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
