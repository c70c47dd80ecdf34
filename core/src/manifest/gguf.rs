//! The header of a GGUF file, read strictly: from bytes of unknown origin to the exact place of every tensor.
//!
//! Format (ggml, `docs/gguf.md`): magic, version, counts; metadata entries; one record per tensor; padding; tensor data,
//! each tensor at a multiple of `general.alignment`. The header does not say how long it is. Never panics.

use std::collections::HashSet;

use super::TENSORS_MAX;
use super::dtype::Dtype;
use super::header::{Header, HeaderError, TensorLayout, check_tiling};
use super::path::{check_tensor_name, printable};
use crate::strict::INTEGER_MAX;

/// Bytes of magic, version and the two counts.
pub const PREFIX_SIZE_BYTES: u64 = 24;
/// Longest header accepted: vocabularies with their merges, the bulk of it, take up to 20 MB in published models.
pub const HEADER_SIZE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Largest alignment accepted; 32 is usual, and no page of memory is larger.
pub const ALIGNMENT_BYTES_MAX: u64 = 65_536;
/// Most metadata entries; published models have fewer than a hundred.
pub const ENTRIES_MAX: u64 = 65_536;
/// Longest key of a metadata entry in bytes (the format's own limit).
pub const KEY_SIZE_BYTES_MAX: usize = 65_535;
/// Deepest nesting of arrays in arrays; published models have none.
pub const DEPTH_MAX: usize = 4;
/// Most dimensions of a tensor (`GGML_MAX_DIMS`).
pub const DIMENSIONS_MAX: u32 = 4;

const MAGIC: &[u8; 4] = b"GGUF";
const ALIGNMENT_KEY: &[u8] = b"general.alignment";
const ALIGNMENT_BYTES_DEFAULT: u64 = 32;

/// Types of metadata values (`enum gguf_type`).
const UINT32: u32 = 4;
const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// Reads the header of a file of `file_size_bytes` from its first bytes; `None` when more of them are needed.
///
/// # Errors
/// The first [`HeaderError`] found.
pub fn parse_header(bytes: &[u8], file_size_bytes: u64) -> Result<Option<Header>, HeaderError> {
    match (Reader { bytes, at: 0, file_size_bytes }).header() {
        Ok(header) => Ok(Some(header)),
        Err(Stop::More) => Ok(None),
        Err(Stop::Fault(fault)) => Err(fault),
    }
}

/// Why reading stopped.
enum Stop {
    /// At the end of the bytes at hand, which is not that of the file.
    More,
    Fault(HeaderError),
}

impl From<HeaderError> for Stop {
    fn from(fault: HeaderError) -> Self {
        Self::Fault(fault)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: u64,
    file_size_bytes: u64,
}

/// A tensor's record as written; offsets count from the start of the tensor data.
struct Record<'a> {
    name: &'a [u8],
    shape: Vec<u64>,
    ggml_type: u32,
    offset: u64,
}

impl<'a> Reader<'a> {
    fn header(&mut self) -> Result<Header, Stop> {
        if self.take(4)? != MAGIC {
            return Err(HeaderError::Magic.into());
        }
        match self.u32()? {
            2 | 3 => {}
            version if version.trailing_zeros() >= 16 && version != 0 => return Err(HeaderError::BigEndian.into()),
            version => return Err(HeaderError::Version { version }.into()),
        }
        let (tensors, entries) = (self.u64()?, self.u64()?);
        if tensors > u64::try_from(TENSORS_MAX).unwrap_or(u64::MAX) {
            return Err(HeaderError::TooManyTensors.into());
        }
        if entries > ENTRIES_MAX {
            return Err(self.malformed("more than 65,536 entries"));
        }
        let alignment_bytes = self.entries(entries)?;
        let mut records = Vec::new();
        for _ in 0..tensors {
            records.push(self.record()?);
        }
        let size_bytes = self.padding(alignment_bytes)?;
        let begin = self.at.checked_next_multiple_of(alignment_bytes).unwrap_or(u64::MAX);

        let mut names = HashSet::with_capacity(records.len());
        let mut placed = Vec::with_capacity(records.len());
        for record in records {
            let tensor = place(&record, begin)?;
            if !names.insert(record.name) {
                return Err(HeaderError::DuplicateName { name: printable(&tensor.name) }.into());
            }
            placed.push(tensor);
        }
        placed.sort_by(|a, b| (a.begin, a.end, &a.name).cmp(&(b.begin, b.end, &b.name)));
        check_tiling(size_bytes..self.file_size_bytes, alignment_bytes, placed.iter().map(TensorLayout::place))?;
        Ok(Header { size_bytes, alignment_bytes: Some(alignment_bytes), tensors: placed })
    }

    /// Passes over the metadata and returns the alignment it asks for.
    fn entries(&mut self, entries: u64) -> Result<u64, Stop> {
        let mut keys = HashSet::new();
        let mut alignment_bytes = ALIGNMENT_BYTES_DEFAULT;
        for _ in 0..entries {
            let key = self.string()?;
            if key.is_empty() || key.len() > KEY_SIZE_BYTES_MAX {
                return Err(self.malformed("a key is empty or longer than 65,535 bytes"));
            }
            if !keys.insert(key) {
                return Err(HeaderError::DuplicateName { name: printable(&String::from_utf8_lossy(key)) }.into());
            }
            let kind = self.u32()?;
            if key != ALIGNMENT_KEY {
                self.value(kind, 0)?;
                continue;
            }
            if kind != UINT32 {
                return Err(HeaderError::Alignment.into());
            }
            alignment_bytes = u64::from(self.u32()?);
            if !alignment_bytes.is_power_of_two() || alignment_bytes > ALIGNMENT_BYTES_MAX {
                return Err(HeaderError::Alignment.into());
            }
        }
        Ok(alignment_bytes)
    }

    /// Passes over one value. Every element takes at least one byte, so the limit on the header bounds the work.
    fn value(&mut self, kind: u32, depth: usize) -> Result<(), Stop> {
        match kind {
            BOOL => self.bools(1),
            STRING => self.string().map(|_| ()),
            ARRAY if depth >= DEPTH_MAX => Err(self.malformed("arrays are nested deeper than 4 levels")),
            ARRAY => {
                let (kind, count) = (self.u32()?, self.u64()?);
                match (kind, scalar_size_bytes(kind)) {
                    (BOOL, _) => self.bools(count),
                    (_, Some(size_bytes)) => {
                        let size_bytes = count.checked_mul(size_bytes).ok_or(HeaderError::TooLong)?;
                        self.take(size_bytes).map(|_| ())
                    }
                    (STRING | ARRAY, None) => (0..count).try_for_each(|_| self.value(kind, depth.saturating_add(1))),
                    _ => Err(self.malformed("an array of an unknown type")),
                }
            }
            _ => match scalar_size_bytes(kind) {
                Some(size_bytes) => self.take(size_bytes).map(|_| ()),
                None => Err(self.malformed("a value of an unknown type")),
            },
        }
    }

    fn bools(&mut self, count: u64) -> Result<(), Stop> {
        if self.take(count)?.iter().all(|&byte| byte <= 1) {
            Ok(())
        } else {
            Err(self.malformed("a truth value is neither 0 nor 1"))
        }
    }

    fn record(&mut self) -> Result<Record<'a>, Stop> {
        let name = self.string()?;
        let dimensions = self.u32()?;
        if dimensions > DIMENSIONS_MAX {
            return Err(HeaderError::TooManyDimensions { name: printable(&String::from_utf8_lossy(name)) }.into());
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(self.u64()?);
        }
        // The file has the innermost dimension first.
        shape.reverse();
        Ok(Record { name, shape, ggml_type: self.u32()?, offset: self.u64()? })
    }

    /// Checks the zero bytes between the records and the tensor data; a file without tensor data may end before that.
    /// Returns the size of the header with its padding, and leaves the place where it is.
    fn padding(&mut self, alignment_bytes: u64) -> Result<u64, Stop> {
        let end = self.at;
        let padded = end.checked_next_multiple_of(alignment_bytes).unwrap_or(u64::MAX).min(self.file_size_bytes);
        let padding = self.take(padded.saturating_sub(end))?;
        self.at = end;
        match (end..).zip(padding).find(|(_, byte)| **byte != 0) {
            Some((at, _)) => Err(HeaderError::Padding { at }.into()),
            None => Ok(padded),
        }
    }

    fn string(&mut self) -> Result<&'a [u8], Stop> {
        let size_bytes = self.u64()?;
        self.take(size_bytes)
    }

    fn u32(&mut self) -> Result<u32, Stop> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().unwrap_or_default()))
    }

    fn u64(&mut self) -> Result<u64, Stop> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().unwrap_or_default()))
    }

    /// The next bytes. What is declared is compared with the limit and the file before anything is waited for.
    fn take(&mut self, size_bytes: u64) -> Result<&'a [u8], Stop> {
        let end = self.at.checked_add(size_bytes).filter(|end| *end <= HEADER_SIZE_BYTES_MAX);
        let end = end.ok_or(HeaderError::TooLong)?;
        if end > self.file_size_bytes {
            return Err(HeaderError::Incomplete { size_bytes: self.file_size_bytes }.into());
        }
        let range = usize::try_from(self.at).unwrap_or(usize::MAX)..usize::try_from(end).unwrap_or(usize::MAX);
        let bytes = self.bytes.get(range).ok_or(Stop::More)?;
        self.at = end;
        Ok(bytes)
    }

    fn malformed(&self, reason: &'static str) -> Stop {
        HeaderError::Metadata { at: self.at, reason }.into()
    }
}

/// Size of a value of a fixed-size type other than `bool`.
const fn scalar_size_bytes(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 => Some(1),
        2 | 3 => Some(2),
        UINT32 | 5 | 6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// One tensor with its name, type, shape and offset checked, and offsets made absolute.
fn place(record: &Record<'_>, begin: u64) -> Result<TensorLayout, HeaderError> {
    let shown = || printable(&String::from_utf8_lossy(record.name));
    let name = core::str::from_utf8(record.name).map_err(|_| HeaderError::NameNotUtf8 { name: shown() })?;
    check_tensor_name(name).map_err(|fault| HeaderError::Name { name: shown(), fault })?;
    let id = record.ggml_type;
    let dtype = Dtype::from_ggml_id(id).ok_or_else(|| match Dtype::removed_from_ggml(id) {
        Some(dtype) => HeaderError::RemovedDtype { name: shown(), dtype },
        None => HeaderError::UnknownDtype { name: shown(), dtype: format!("number {id}") },
    })?;
    let is_exact = record.shape.iter().all(|&dimension| dimension <= INTEGER_MAX);
    let size_bytes = dtype
        .tensor_size_bytes(&record.shape)
        .filter(|_| is_exact)
        .ok_or_else(|| HeaderError::Shape { name: shown() })?;
    let past_end = || HeaderError::TensorPastEnd { name: shown() };
    let begin = begin.checked_add(record.offset).ok_or_else(past_end)?;
    let end = begin.checked_add(size_bytes).ok_or_else(past_end)?;
    Ok(TensorLayout { name: name.to_owned(), dtype, shape: record.shape.clone(), begin, end })
}

#[cfg(test)]
mod tests;
