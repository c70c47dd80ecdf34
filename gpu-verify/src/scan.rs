//! The tensors of a safetensors file, digested while the file streams by.
//!
//! Fed the file's bytes in order, in pieces of any size. Holds the header (at most 16 MiB) and one running BLAKE3 state.

use std::vec::IntoIter;

use chopmark_core::digest::Blake3Digest;
use chopmark_core::manifest::safetensors::{HeaderError, TensorLayout, header_size_bytes, parse_header};
use chopmark_core::manifest::{TensorEntry, WeightFormat, WeightIndex};

use crate::hasher::Hasher;

/// A weight file part way through.
#[derive(Debug)]
pub(crate) struct WeightScan {
    file_size_bytes: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Collecting the header.
    Header(Vec<u8>),
    /// The header was fine.
    Tensors(Box<Tensors>),
    /// It was not; the rest of the file is of no interest here.
    Refused(HeaderError),
}

#[derive(Debug)]
struct Tensors {
    header_size_bytes: u64,
    header_blake3: Blake3Digest,
    /// Bytes of the file seen so far.
    at: u64,
    current: Option<(TensorLayout, blake3::Hasher)>,
    coming: IntoIter<TensorLayout>,
    done: Vec<TensorEntry>,
}

impl WeightScan {
    /// A scan of a file of this size.
    pub(crate) fn new(file_size_bytes: u64) -> Self {
        Self { file_size_bytes, state: State::Header(Vec::new()) }
    }

    /// Takes the next bytes of the file.
    pub(crate) fn feed(&mut self, hasher: &dyn Hasher, mut bytes: &[u8]) {
        if let State::Header(header) = &mut self.state {
            match collect_header(header, &mut bytes, self.file_size_bytes) {
                Ok(None) => return,
                Ok(Some(tensors)) => self.state = State::Tensors(Box::new(tensors)),
                Err(fault) => self.state = State::Refused(fault),
            }
        }
        if let State::Tensors(tensors) = &mut self.state {
            tensors.feed(hasher, bytes);
        }
    }

    /// What is wrong with the header, once that is known.
    pub(crate) fn fault(&self) -> Option<&HeaderError> {
        match &self.state {
            State::Refused(fault) => Some(fault),
            State::Header(_) | State::Tensors(_) => None,
        }
    }

    /// The index, after the last byte.
    pub(crate) fn finish(self) -> Result<WeightIndex, HeaderError> {
        let truncated = HeaderError::Truncated { size_bytes: self.file_size_bytes };
        match self.state {
            State::Header(_) => Err(truncated),
            State::Refused(fault) => Err(fault),
            State::Tensors(tensors) if tensors.current.is_some() || tensors.coming.len() > 0 => Err(truncated),
            State::Tensors(tensors) => Ok(WeightIndex {
                format: WeightFormat::Safetensors,
                header_size_bytes: tensors.header_size_bytes,
                header_blake3: tensors.header_blake3,
                tensors: tensors.done,
            }),
        }
    }
}

/// Moves bytes into `header` until it is whole, and parses it then.
fn collect_header(header: &mut Vec<u8>, bytes: &mut &[u8], size_bytes: u64) -> Result<Option<Tensors>, HeaderError> {
    move_until(header, bytes, 8);
    let Some(prefix) = header.first_chunk::<8>() else { return Ok(None) };
    let whole = header_size_bytes(*prefix, size_bytes)?;
    move_until(header, bytes, whole);
    if crate::size_bytes(header) < whole {
        return Ok(None);
    }
    let parsed = parse_header(header, size_bytes)?;
    let mut tensors = Tensors {
        header_size_bytes: parsed.size_bytes,
        header_blake3: Blake3Digest::of(header),
        at: parsed.size_bytes,
        current: None,
        done: Vec::with_capacity(parsed.tensors.len()),
        coming: parsed.tensors.into_iter(),
    };
    tensors.start_next();
    Ok(Some(tensors))
}

/// Moves bytes from the front of `from` to the end of `to` until `to` holds `size_bytes`, or none are left.
fn move_until(to: &mut Vec<u8>, from: &mut &[u8], size_bytes: u64) {
    let wanted = size_bytes.saturating_sub(crate::size_bytes(to));
    let (moved, rest) = split_at_most(from, wanted);
    to.extend_from_slice(moved);
    *from = rest;
}

fn split_at_most(bytes: &[u8], size_bytes: u64) -> (&[u8], &[u8]) {
    let at = usize::try_from(size_bytes).unwrap_or(usize::MAX);
    bytes.split_at_checked(at).unwrap_or((bytes, &[]))
}

impl Tensors {
    /// Goes on past the last byte as long as tensors end there, so that empty ones are closed as well.
    fn feed(&mut self, hasher: &dyn Hasher, mut bytes: &[u8]) {
        while let Some((tensor, state)) = &mut self.current {
            let (now, rest) = split_at_most(bytes, tensor.end.saturating_sub(self.at));
            hasher.extend(state, now);
            self.at = self.at.saturating_add(crate::size_bytes(now));
            bytes = rest;
            if self.at < tensor.end {
                return;
            }
            self.start_next();
        }
    }

    /// Closes the current tensor, if any, and opens the next.
    fn start_next(&mut self) {
        if let Some((tensor, state)) = self.current.take() {
            let TensorLayout { name, dtype, shape, begin, end } = tensor;
            let blake3 = Blake3Digest::from_bytes(*state.finalize().as_bytes());
            self.done.push(TensorEntry { name, dtype, shape, begin, end, blake3 });
        }
        self.current = self.coming.next().map(|tensor| (tensor, blake3::Hasher::new()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::portable::Portable;

    /// A file of U8 tensors named by index, and its header's size.
    fn file(sizes: &[usize]) -> (Vec<u8>, usize) {
        let mut at = 0;
        let members: Vec<String> = sizes
            .iter()
            .enumerate()
            .map(|(index, size)| {
                at += size;
                format!(r#""{index:03}":{{"dtype":"U8","shape":[{size}],"data_offsets":[{},{at}]}}"#, at - size)
            })
            .collect();
        let json = format!("{{{}}}", members.join(","));
        let mut bytes = u64::try_from(json.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend_from_slice(json.as_bytes());
        let header_size_bytes = bytes.len();
        bytes.extend((0..at).map(|index| u8::try_from(index % 251).unwrap()));
        (bytes, header_size_bytes)
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_each_tensors_own_digest(
            sizes in proptest::collection::vec(0usize..300, 0..8),
            pieces in proptest::collection::vec(1usize..200, 1..5),
        ) {
            let (bytes, header_size_bytes) = file(&sizes);
            let mut scan = WeightScan::new(crate::size_bytes(&bytes));
            let mut rest = bytes.as_slice();
            for piece in pieces.iter().cycle() {
                let (now, later) = rest.split_at((*piece).min(rest.len()));
                scan.feed(&Portable, now);
                rest = later;
                if rest.is_empty() { break }
            }
            let index = scan.finish().unwrap();
            prop_assert_eq!(index.header_blake3, Blake3Digest::of(&bytes[..header_size_bytes]));
            prop_assert_eq!(index.tensors.len(), sizes.len());
            for tensor in &index.tensors {
                let range = usize::try_from(tensor.begin).unwrap()..usize::try_from(tensor.end).unwrap();
                prop_assert_eq!(tensor.blake3, Blake3Digest::of(&bytes[range]));
            }
        }

        #[test]
        fn arbitrary_bytes_end_in_a_fault_or_an_index(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut scan = WeightScan::new(crate::size_bytes(&bytes));
            scan.feed(&Portable, &bytes);
            let _ = scan.finish();
        }
    }

    #[test]
    fn a_file_cut_off_at_any_byte_is_refused() {
        let (bytes, _) = file(&[10, 0, 5]);
        for length in 0..bytes.len() {
            let mut scan = WeightScan::new(u64::try_from(length).unwrap());
            scan.feed(&Portable, &bytes[..length]);
            assert!(scan.finish().is_err(), "{length}");
        }
    }
}
