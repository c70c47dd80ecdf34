//! The tensors of a weight file as a manifest lists them, and what makes such a list valid.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::dtype::Dtype;
use super::gguf::{self, ALIGNMENT_BYTES_MAX};
use super::header::{DIMENSIONS_MAX, check_tiling};
use super::path::check_tensor_name;
use super::{FileEntry, TENSORS_MAX, safetensors};
use crate::digest::Blake3Digest;
use crate::strict::{self, INTEGER_MAX, StrictError};

/// What a weight file holds. Header, tensors and the zero bytes that pad them cover every byte of the file exactly once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightIndex {
    /// What each tensor's `begin` is a multiple of, in bytes; for [`WeightFormat::Gguf`] and no other.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "strict::present")]
    pub alignment_bytes: Option<u64>,
    /// How the file is laid out.
    pub format: WeightFormat,
    /// BLAKE3 of the bytes in front of the tensor data: names, types, shapes, offsets and metadata as written.
    pub header_blake3: Blake3Digest,
    /// Bytes in front of the tensor data, padding included.
    pub header_size_bytes: u64,
    /// The tensors by `begin`, then `end`, then name.
    pub tensors: Vec<TensorEntry>,
}

/// Layouts of weight files that are indexed by tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WeightFormat {
    /// The safetensors format.
    #[serde(rename = "safetensors")]
    Safetensors,
    /// GGUF, versions 2 and 3.
    #[serde(rename = "gguf")]
    Gguf,
}

impl WeightFormat {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Safetensors, Self::Gguf];

    /// The format of the files that end like this path.
    pub fn of(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| path.ends_with(format.ending()))
    }

    /// How its files' names end.
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Safetensors => ".safetensors",
            Self::Gguf => ".gguf",
        }
    }

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::Gguf => "GGUF",
        }
    }

    const fn header_size_bytes_min(self) -> u64 {
        match self {
            Self::Safetensors => safetensors::PREFIX_SIZE_BYTES,
            Self::Gguf => gguf::PREFIX_SIZE_BYTES,
        }
    }

    fn has(self, dtype: Dtype) -> bool {
        match self {
            Self::Safetensors => dtype.is_safetensors(),
            Self::Gguf => dtype.is_ggml(),
        }
    }

    fn is_alignment(self, alignment_bytes: Option<u64>) -> bool {
        match (self, alignment_bytes) {
            (Self::Safetensors, None) => true,
            (Self::Gguf, Some(bytes)) => bytes.is_power_of_two() && bytes <= ALIGNMENT_BYTES_MAX,
            _ => false,
        }
    }
}

/// One tensor: the bytes `[begin, end)` of the file and what they mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorEntry {
    /// First byte, counted from the start of the file (not, as in the header, from its end).
    pub begin: u64,
    /// BLAKE3 of the tensor's bytes.
    pub blake3: Blake3Digest,
    /// Type of the elements.
    pub dtype: Dtype,
    /// One past the last byte, counted from the start of the file.
    pub end: u64,
    /// Name in the header.
    pub name: String,
    /// Dimensions, outermost first; empty for a scalar.
    pub shape: Vec<u64>,
}

impl WeightIndex {
    /// Checks the index of `file`, whose weights are at the pointer `at`, and takes its tensors off what is left.
    ///
    /// # Errors
    /// [`StrictError`] for an index that does not cover its file or breaks any other rule of its format.
    pub(super) fn check(&self, file: &FileEntry, at: &str, tensors_left: &mut usize) -> Result<(), StrictError> {
        if WeightFormat::of(file.path.as_str()) != Some(self.format) {
            let reason = format!("only files ending in `{}` are of this format", self.format.ending());
            return Err(StrictError::new(at, reason));
        }
        *tensors_left = tensors_left
            .checked_sub(self.tensors.len())
            .ok_or_else(|| StrictError::new(format!("{at}/tensors"), format!("more than {TENSORS_MAX} tensors")))?;
        let header_size_bytes_min = self.format.header_size_bytes_min();
        if self.header_size_bytes < header_size_bytes_min || self.header_size_bytes > file.size_bytes {
            let reason = format!("not between {header_size_bytes_min} and the file's size");
            return Err(StrictError::new(format!("{at}/header_size_bytes"), reason));
        }
        if !self.format.is_alignment(self.alignment_bytes) {
            let reason = format!("a power of two up to {ALIGNMENT_BYTES_MAX} for gguf, absent otherwise");
            return Err(StrictError::new(format!("{at}/alignment_bytes"), reason));
        }
        let mut names = HashSet::with_capacity(self.tensors.len());
        let mut previous = None;
        for (index, tensor) in self.tensors.iter().enumerate() {
            let fault = |member, reason: &str| StrictError::new(format!("{at}/tensors/{index}{member}"), reason);
            check_tensor_name(&tensor.name).map_err(|reason| fault("/name", &reason.to_string()))?;
            if !names.insert(tensor.name.as_str()) {
                return Err(fault("/name", "named twice"));
            }
            let place = (tensor.begin, tensor.end, tensor.name.as_str());
            if previous.replace(place).is_some_and(|previous| previous >= place) {
                return Err(fault("", "tensors must be in the order of begin, end, name"));
            }
            if !self.format.has(tensor.dtype) {
                return Err(fault("/dtype", "this format has no such type"));
            }
            if tensor.shape.len() > DIMENSIONS_MAX || tensor.shape.iter().any(|&dimension| dimension > INTEGER_MAX) {
                return Err(fault("/shape", "at most 64 dimensions, none above 2^53 − 1"));
            }
            let size_bytes = tensor.end.checked_sub(tensor.begin);
            if size_bytes.is_none() || size_bytes != tensor.dtype.tensor_size_bytes(&tensor.shape) {
                return Err(fault("", "shape and type do not come to end − begin bytes"));
            }
        }
        let places = self.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor.begin, tensor.end));
        check_tiling(self.header_size_bytes..file.size_bytes, self.alignment_bytes.unwrap_or(1), places)
            .map_err(|reason| StrictError::new(format!("{at}/tensors"), reason.to_string()))
    }
}
