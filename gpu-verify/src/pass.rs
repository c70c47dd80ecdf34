//! One pass over one file: read once, feed SHA-256, BLAKE3 and the tensors from the same buffer.
//!
//! Two windows per file are in memory: while one thread runs the SHA-256 chain over the current one, another does the
//! BLAKE3 work and reads the next.

use core::mem;
use std::io::{self, Read};

use chopmark_core::digest::{Blake3Digest, Sha256Digest};
use chopmark_core::manifest::WeightFormat;
use chopmark_core::manifest::header::HeaderError;
use sha2::{Digest as _, Sha256};

use crate::hasher::{EngineFault, Hasher, SUBTREE_SIZE_BYTES, Window};
use crate::scan::WeightScan;
use crate::tree::Tree;

/// Below this, handing work to another thread costs more than it saves.
const TOGETHER_SIZE_BYTES_MIN: usize = 64 << 10;

/// The two windows of one reader, kept from file to file.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    current: Vec<u8>,
    next: Vec<u8>,
}

/// The digests of a whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digests {
    pub(crate) sha256: Sha256Digest,
    pub(crate) blake3: Blake3Digest,
}

/// Why a pass stopped.
#[derive(Debug)]
pub(crate) enum PassError {
    Read(io::Error),
    /// Fewer bytes than announced.
    Shrank,
    /// More bytes than announced.
    Grew,
    /// The weight file is malformed and the caller wants none of that.
    Malformed(WeightFormat, HeaderError),
    /// The engine gave a wrong result or stopped working.
    Engine(EngineFault),
    Interrupted,
}

/// Told the size of each window in bytes and what is known to be wrong with the weights; may stop the pass.
pub(crate) type OnWindow<'a> = dyn Fn(u64, Option<&HeaderError>) -> Result<(), PassError> + 'a;

/// Reads exactly `size_bytes` from `reader`, calling `on_window` after each window.
pub(crate) fn read_once(
    reader: &mut (dyn Read + Send),
    size_bytes: u64,
    hasher: &dyn Hasher,
    buffers: &mut Buffers,
    mut scan: Option<&mut WeightScan>,
    on_window: &OnWindow<'_>,
) -> Result<Digests, PassError> {
    let Buffers { current, next } = buffers;
    let window_size_bytes = hasher.window_size_bytes();
    let is_one_subtree = usize::try_from(size_bytes).is_ok_and(|size_bytes| size_bytes <= SUBTREE_SIZE_BYTES);
    let mut sha256 = Sha256::new();
    let mut tree = Tree::default();
    let mut only_root = None;
    let mut offset_bytes = 0;

    fill(reader, current, window_size_bytes, size_bytes)?;
    while !current.is_empty() {
        let window = Window::new(offset_bytes, current)
            .ok_or_else(|| PassError::Read(io::Error::other("the engine's windows are not aligned")))?;
        offset_bytes = offset_bytes.saturating_add(crate::size_bytes(current));
        let mut read = Ok(());
        let mut serial = || sha256.update(window.bytes());
        let mut others = || {
            if is_one_subtree {
                only_root = hasher.roots(&[window.bytes()]).pop();
            } else {
                hasher.subtrees(window).into_iter().for_each(|value| tree.push(value));
            }
            if let Some(scan) = scan.as_deref_mut() {
                scan.feed(hasher, window.bytes());
            }
            read = fill(reader, next, window_size_bytes, size_bytes.saturating_sub(offset_bytes));
        };
        if window.bytes().len() < TOGETHER_SIZE_BYTES_MIN {
            serial();
            others();
        } else {
            hasher.both(&mut serial, &mut others);
        }
        hasher.health().map_err(PassError::Engine)?;
        on_window(crate::size_bytes(current), scan.as_deref().and_then(WeightScan::fault))?;
        read?;
        mem::swap(current, next);
    }
    if read_some(reader, &mut [0])? > 0 {
        return Err(PassError::Grew);
    }
    let blake3 = only_root.or_else(|| tree.root()).unwrap_or_else(|| Blake3Digest::of(&[]));
    Ok(Digests { sha256: Sha256Digest::from_bytes(sha256.finalize().into()), blake3 })
}

/// Reads one window, or what is left of the file, whichever is less.
fn fill(
    reader: &mut (dyn Read + Send),
    buffer: &mut Vec<u8>,
    window_size_bytes: usize,
    left_bytes: u64,
) -> Result<(), PassError> {
    let wanted = usize::try_from(left_bytes).map_or(window_size_bytes, |left_bytes| left_bytes.min(window_size_bytes));
    buffer.resize(wanted, 0);
    let mut unfilled = buffer.as_mut_slice();
    while !unfilled.is_empty() {
        let count = read_some(reader, unfilled)?;
        if count == 0 {
            return Err(PassError::Shrank);
        }
        unfilled = unfilled.split_at_mut_checked(count).map_or(&mut [], |(_, rest)| rest);
    }
    Ok(())
}

fn read_some(reader: &mut (dyn Read + Send), buffer: &mut [u8]) -> Result<usize, PassError> {
    loop {
        match reader.read(buffer) {
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map_err(PassError::Read),
        }
    }
}
