//! The tensors of a weight file, digested while the file streams by.
//!
//! Fed the file's bytes in order, in pieces of any size. Holds the header (at most 16 MiB for safetensors; for GGUF, whose
//! header does not say how long it is, at most a few more bytes than 32 MiB) and one running BLAKE3 state.

use std::vec::IntoIter;

use chopmark_core::digest::Blake3Digest;
use chopmark_core::manifest::header::{Header, HeaderError, TensorLayout};
use chopmark_core::manifest::{TensorEntry, WeightFormat, WeightIndex, gguf, safetensors};

use crate::hasher::Hasher;
use crate::portable::Portable;

/// Bytes that are read at a time when a scan goes on.
const PIECE_SIZE_BYTES: u64 = 4 << 20;

/// Fills a buffer from a place in a file.
type ReadAt<'a, E> = dyn FnMut(&mut [u8], u64) -> Result<(), E> + 'a;

/// A weight file part way through.
#[derive(Debug)]
pub(crate) struct WeightScan {
    format: WeightFormat,
    file_size_bytes: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Collecting the header; what is collected is looked at when it has grown to `wanted` bytes.
    Header { collected: Vec<u8>, wanted: u64 },
    /// The header was fine.
    Tensors(Box<Tensors>),
    /// The header was not, or padding was not zero; the rest of the file is of no interest here.
    Refused(HeaderError),
}

#[derive(Debug)]
struct Tensors {
    header_size_bytes: u64,
    header_blake3: Blake3Digest,
    alignment_bytes: Option<u64>,
    /// Bytes of the file seen so far.
    at: u64,
    current: Option<(TensorLayout, blake3::Hasher)>,
    coming: IntoIter<TensorLayout>,
    done: Vec<TensorEntry>,
}

impl WeightScan {
    /// A scan of a file of this format and size.
    pub(crate) fn new(format: WeightFormat, file_size_bytes: u64) -> Self {
        let wanted = match format {
            WeightFormat::Safetensors => safetensors::PREFIX_SIZE_BYTES,
            WeightFormat::Gguf => gguf::PREFIX_SIZE_BYTES,
        };
        let state = State::Header { collected: Vec::new(), wanted: wanted.min(file_size_bytes) };
        Self { format, file_size_bytes, state }
    }

    /// Takes the next bytes of the file.
    pub(crate) fn feed(&mut self, hasher: &dyn Hasher, mut bytes: &[u8]) {
        let mut ahead = Vec::new();
        while let State::Header { collected, wanted } = &mut self.state {
            move_until(collected, &mut bytes, *wanted);
            if crate::size_bytes(collected) < *wanted {
                return;
            }
            match examine(self.format, collected, self.file_size_bytes) {
                Ok(Examined::More { wanted: more }) => *wanted = more,
                Ok(Examined::Whole(header)) => {
                    let size_bytes = usize::try_from(header.size_bytes).unwrap_or(usize::MAX);
                    ahead = collected.split_off(size_bytes.min(collected.len()));
                    self.state = State::Tensors(Box::new(Tensors::after(header, collected)));
                }
                Err(fault) => self.state = State::Refused(fault),
            }
        }
        for bytes in [ahead.as_slice(), bytes] {
            if let State::Tensors(tensors) = &mut self.state
                && let Err(fault) = tensors.feed(hasher, bytes)
            {
                self.state = State::Refused(fault);
            }
        }
    }

    /// A scan of a file of which `offset_bytes` were read before, when the tensors with the digests `done` were whole.
    /// Reads the header again, and what followed the last whole tensor.
    ///
    /// `None` when the file does not have so many whole tensors before that place.
    pub(crate) fn resume<E>(
        format: WeightFormat,
        file_size_bytes: u64,
        (offset_bytes, done): (u64, &[Blake3Digest]),
        hasher: &dyn Hasher,
        read_at: &mut ReadAt<'_, E>,
    ) -> Result<Option<Self>, E> {
        let mut scan = Self::new(format, file_size_bytes);
        let (mut at, mut piece) = (0, Vec::new());
        while at < offset_bytes {
            let mut wanted = PIECE_SIZE_BYTES.min(offset_bytes.saturating_sub(at));
            if let State::Header { collected, wanted: header } = &scan.state {
                wanted = wanted.min(header.saturating_sub(crate::size_bytes(collected)));
            }
            piece.resize(usize::try_from(wanted).unwrap_or_default(), 0);
            read_at(&mut piece, at)?;
            at = at.saturating_add(wanted);
            let was_header = matches!(scan.state, State::Header { .. });
            scan.feed(hasher, &piece);
            if let State::Tensors(tensors) = &mut scan.state
                && was_header
            {
                let Some(end) = tensors.recall(done) else { return Ok(None) };
                at = end;
            }
        }
        let is_there = at == offset_bytes && scan.whole_tensors().is_some_and(|tensors| tensors == done);
        Ok(is_there.then_some(scan))
    }

    /// Whether the header of a file is the one that `index` was made of: its bytes, and where it puts which tensor. Reads
    /// nothing but the header, and so says nothing of what is in the tensors.
    pub(crate) fn has_header<E>(
        index: &WeightIndex,
        file_size_bytes: u64,
        read_at: &mut ReadAt<'_, E>,
    ) -> Result<bool, E> {
        let mut scan = Self::new(index.format, file_size_bytes);
        let (mut at, mut piece) = (0_u64, Vec::new());
        while let State::Header { collected, wanted } = &scan.state {
            let missing = wanted.saturating_sub(crate::size_bytes(collected));
            piece.resize(usize::try_from(missing).unwrap_or_default(), 0);
            read_at(&mut piece, at)?;
            at = at.saturating_add(missing);
            scan.feed(&Portable, &piece);
        }
        let State::Tensors(tensors) = scan.state else { return Ok(false) };
        Ok(tensors.is_laid_out_as(index))
    }

    /// The digests of the tensors that were read whole; `None` once the file is refused.
    pub(crate) fn whole_tensors(&self) -> Option<Vec<Blake3Digest>> {
        match &self.state {
            State::Refused(_) => None,
            State::Header { .. } => Some(Vec::new()),
            State::Tensors(tensors) => Some(tensors.done.iter().map(|tensor| tensor.blake3).collect()),
        }
    }

    /// What is wrong with the file, once that is known.
    pub(crate) fn fault(&self) -> Option<&HeaderError> {
        match &self.state {
            State::Refused(fault) => Some(fault),
            State::Header { .. } | State::Tensors(_) => None,
        }
    }

    /// The index, after the last byte.
    pub(crate) fn finish(self) -> Result<WeightIndex, HeaderError> {
        let truncated = HeaderError::Truncated { size_bytes: self.file_size_bytes };
        match self.state {
            State::Refused(fault) => Err(fault),
            // An empty file was never fed.
            State::Header { collected, .. } => match examine(self.format, &collected, self.file_size_bytes) {
                Err(fault) => Err(fault),
                Ok(_) => Err(truncated),
            },
            State::Tensors(tensors) if tensors.current.is_some() || tensors.coming.len() > 0 => Err(truncated),
            State::Tensors(tensors) => Ok(WeightIndex {
                format: self.format,
                header_size_bytes: tensors.header_size_bytes,
                header_blake3: tensors.header_blake3,
                alignment_bytes: tensors.alignment_bytes,
                tensors: tensors.done,
            }),
        }
    }
}

/// What the bytes collected so far come to.
enum Examined {
    /// The header goes on; look again when there are `wanted` bytes.
    More { wanted: u64 },
    /// The header is there, perhaps with some of what follows.
    Whole(Header),
}

fn examine(format: WeightFormat, collected: &[u8], file_size_bytes: u64) -> Result<Examined, HeaderError> {
    let size_bytes = crate::size_bytes(collected);
    match format {
        WeightFormat::Safetensors => {
            let truncated = HeaderError::Truncated { size_bytes: file_size_bytes };
            let prefix = collected.first_chunk::<8>().ok_or(truncated)?;
            match safetensors::header_size_bytes(*prefix, file_size_bytes)? {
                wanted if size_bytes < wanted => Ok(Examined::More { wanted }),
                _ => safetensors::parse_header(collected, file_size_bytes).map(Examined::Whole),
            }
        }
        WeightFormat::Gguf => Ok(match gguf::parse_header(collected, file_size_bytes)? {
            Some(header) => Examined::Whole(header),
            // Twice as much each time, so that reading again from the start costs no more than reading once more.
            None => Examined::More {
                wanted: size_bytes.saturating_mul(2).clamp(1, gguf::HEADER_SIZE_BYTES_MAX).min(file_size_bytes),
            },
        }),
    }
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
    fn after(header: Header, bytes: &[u8]) -> Self {
        let mut tensors = Self {
            header_size_bytes: header.size_bytes,
            header_blake3: Blake3Digest::of(bytes),
            alignment_bytes: header.alignment_bytes,
            at: header.size_bytes,
            current: None,
            done: Vec::with_capacity(header.tensors.len()),
            coming: header.tensors.into_iter(),
        };
        tensors.start_next();
        tensors
    }

    /// Goes on past the last byte as long as tensors end there, so that empty ones are closed as well.
    fn feed(&mut self, hasher: &dyn Hasher, mut bytes: &[u8]) -> Result<(), HeaderError> {
        while let Some((tensor, state)) = &mut self.current {
            let (padding, rest) = split_at_most(bytes, tensor.begin.saturating_sub(self.at));
            self.at = pass_padding(self.at, padding)?;
            let (now, rest) = split_at_most(rest, tensor.end.saturating_sub(self.at.max(tensor.begin)));
            hasher.extend(state, now);
            self.at = self.at.saturating_add(crate::size_bytes(now));
            bytes = rest;
            if self.at < tensor.end {
                return Ok(());
            }
            self.start_next();
        }
        self.at = pass_padding(self.at, bytes)?;
        Ok(())
    }

    /// Closes the current tensor, if any, and opens the next.
    fn start_next(&mut self) {
        if let Some((tensor, state)) = self.current.take() {
            self.close(tensor, Blake3Digest::from_bytes(*state.finalize().as_bytes()));
        }
        self.current = self.coming.next().map(|tensor| (tensor, blake3::Hasher::new()));
    }

    fn close(&mut self, tensor: TensorLayout, blake3: Blake3Digest) {
        let TensorLayout { name, dtype, shape, begin, end } = tensor;
        self.done.push(TensorEntry { name, dtype, shape, begin, end, blake3 });
    }

    /// Whether the header is the one of an index, whatever the digests of the tensors.
    fn is_laid_out_as(&self, index: &WeightIndex) -> bool {
        let WeightIndex { header_size_bytes, header_blake3, alignment_bytes, tensors, .. } = index;
        // Empty tensors at the start are closed already.
        let closed =
            self.done.iter().map(|tensor| (&*tensor.name, tensor.dtype, &*tensor.shape, tensor.begin, tensor.end));
        let coming = self.current.iter().map(|(tensor, _)| tensor).chain(self.coming.as_slice());
        let coming = coming.map(|tensor| (&*tensor.name, tensor.dtype, &*tensor.shape, tensor.begin, tensor.end));
        let registered =
            tensors.iter().map(|tensor| (&*tensor.name, tensor.dtype, &*tensor.shape, tensor.begin, tensor.end));
        (self.header_size_bytes, self.header_blake3, self.alignment_bytes)
            == (*header_size_bytes, *header_blake3, *alignment_bytes)
            && closed.chain(coming).eq(registered)
    }

    /// Takes tensors for whole that were read before, and returns where in the file to go on; `None` when there are not
    /// so many.
    fn recall(&mut self, digests: &[Blake3Digest]) -> Option<u64> {
        for blake3 in digests.iter().skip(self.done.len()) {
            let (tensor, _) = self.current.take()?;
            self.at = tensor.end;
            self.close(tensor, *blake3);
            self.start_next();
        }
        Some(self.at)
    }
}

/// Checks bytes that belong to no tensor, and returns the place after them.
fn pass_padding(at: u64, bytes: &[u8]) -> Result<u64, HeaderError> {
    match (at..).zip(bytes).find(|(_, byte)| **byte != 0) {
        Some((at, _)) => Err(HeaderError::Padding { at }),
        None => Ok(at.saturating_add(crate::size_bytes(bytes))),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;

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
            let mut scan = WeightScan::new(WeightFormat::Safetensors, crate::size_bytes(&bytes));
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
        fn a_scan_that_goes_on_reads_little_again_and_ends_like_one_that_never_stopped(
            sizes in proptest::collection::vec(0usize..300, 0..8),
            at in any::<proptest::sample::Index>(),
        ) {
            let (bytes, header_size_bytes) = file(&sizes);
            let size_bytes = crate::size_bytes(&bytes);
            let mut whole = WeightScan::new(WeightFormat::Safetensors, size_bytes);
            whole.feed(&Portable, &bytes);
            let whole = whole.finish().unwrap();
            let at = at.index(bytes.len() + 1);
            let mut stopped = WeightScan::new(WeightFormat::Safetensors, size_bytes);
            stopped.feed(&Portable, &bytes[..at]);
            let done = stopped.whole_tensors().unwrap();

            let read = Cell::new(0);
            let resume = |done: &[Blake3Digest]| {
                let place = (u64::try_from(at).unwrap(), done);
                WeightScan::resume(WeightFormat::Safetensors, size_bytes, place, &Portable, &mut |piece, from| {
                    let from = usize::try_from(from).unwrap();
                    piece.copy_from_slice(&bytes[from..from + piece.len()]);
                    read.set(read.get() + piece.len());
                    Ok::<_, ()>(())
                })
            };
            let mut scan = resume(&done).unwrap().unwrap();
            scan.feed(&Portable, &bytes[at..]);
            prop_assert_eq!(scan.finish().unwrap(), whole);
            let again = header_size_bytes + sizes.iter().max().copied().unwrap_or(0);
            prop_assert!(read.get() <= again, "{} bytes again", read.get());
            let one_more = [done.as_slice(), &[Blake3Digest::of(b"")]].concat();
            prop_assert!(resume(&one_more).unwrap().is_none());
        }

        #[test]
        fn arbitrary_bytes_end_in_a_fault_or_an_index(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut scan = WeightScan::new(WeightFormat::Safetensors, crate::size_bytes(&bytes));
            scan.feed(&Portable, &bytes);
            let _ = scan.finish();
        }
    }

    #[test]
    fn a_header_is_known_by_its_bytes_and_what_they_say_and_no_tensor_is_read() {
        let (bytes, header_size_bytes) = file(&[0, 10, 0, 5]);
        let size_bytes = crate::size_bytes(&bytes);
        let mut scan = WeightScan::new(WeightFormat::Safetensors, size_bytes);
        scan.feed(&Portable, &bytes);
        let index = scan.finish().unwrap();
        let has = |index: &WeightIndex| {
            let header = &bytes[..header_size_bytes];
            WeightScan::has_header(index, size_bytes, &mut |piece, from| {
                let from = usize::try_from(from).unwrap();
                piece.copy_from_slice(header.get(from..from + piece.len()).ok_or(())?);
                Ok::<_, ()>(())
            })
        };
        assert_eq!(has(&index), Ok(true));
        let lies: [fn(&mut WeightIndex); 7] = [
            |index| index.header_blake3 = Blake3Digest::of(b""),
            |index| index.header_size_bytes += 1,
            |index| index.tensors[1].name.push('x'),
            |index| index.tensors[3].shape = vec![1, 5],
            |index| index.tensors[3].begin += 1,
            |index| drop(index.tensors.pop()),
            |index| index.tensors.insert(0, index.tensors[0].clone()),
        ];
        for (number, lie) in lies.iter().enumerate() {
            let mut lying = index.clone();
            lie(&mut lying);
            assert_eq!(has(&lying), Ok(false), "{number}");
        }
        let mut of_another = index.clone();
        of_another.tensors[1].blake3 = Blake3Digest::of(b"");
        assert_eq!(has(&of_another), Ok(true), "content is no part of the header");
    }

    #[test]
    fn a_file_cut_off_at_any_byte_is_refused() {
        let (bytes, _) = file(&[10, 0, 5]);
        for length in 0..bytes.len() {
            let mut scan = WeightScan::new(WeightFormat::Safetensors, u64::try_from(length).unwrap());
            scan.feed(&Portable, &bytes[..length]);
            assert!(scan.finish().is_err(), "{length}");
        }
    }
}
