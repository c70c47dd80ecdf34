//! SHA-256 as a chain of blocks (FIPS 180-4, section 6.2) that can be stopped, kept and gone on with.
//!
//! The compression function is that of `sha2`, which uses the instructions of the CPU where there are any.

use chopmark_core::digest::Sha256Digest;
use sha2::block_api::compress256;

/// Bytes of one block.
pub(crate) const BLOCK_SIZE_BYTES: usize = 64;

/// The initial value: FIPS 180-4, section 5.3.3.
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The chain over the bytes so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    value: [u32; 8],
    size_bytes: u64,
    /// What came after the last whole block: fewer than [`BLOCK_SIZE_BYTES`].
    rest: Vec<u8>,
}

impl Chain {
    /// The chain over nothing.
    pub(crate) fn new() -> Self {
        Self { value: INITIAL, size_bytes: 0, rest: Vec::new() }
    }

    /// The chain over `size_bytes`, a multiple of [`BLOCK_SIZE_BYTES`], that came to `value`: for a pass that goes on.
    #[cfg_attr(not(test), expect(dead_code, reason = "what goes on with a pass comes with the checkpoint"))]
    pub(crate) fn from_value(value: [u32; 8], size_bytes: u64) -> Self {
        Self { value, size_bytes, rest: Vec::new() }
    }

    /// The value between two blocks; `None` within one.
    #[cfg_attr(not(test), expect(dead_code, reason = "what goes on with a pass comes with the checkpoint"))]
    pub(crate) fn value(&self) -> Option<[u32; 8]> {
        self.rest.is_empty().then_some(self.value)
    }

    /// Takes the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.size_bytes = self.size_bytes.wrapping_add(crate::size_bytes(bytes));
        let bytes = self.fill_rest(bytes);
        let (blocks, rest) = bytes.as_chunks::<BLOCK_SIZE_BYTES>();
        compress256(&mut self.value, blocks);
        self.rest.extend_from_slice(rest);
    }

    /// Moves bytes to what is left of a block until that is whole and compressed; returns those after it.
    fn fill_rest<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if self.rest.is_empty() {
            return bytes;
        }
        let missing = BLOCK_SIZE_BYTES.saturating_sub(self.rest.len());
        let (now, later) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
        self.rest.extend_from_slice(now);
        let (block, _) = self.rest.as_chunks::<BLOCK_SIZE_BYTES>();
        if !block.is_empty() {
            compress256(&mut self.value, block);
            self.rest.clear();
        }
        later
    }

    /// The digest, after the last byte (FIPS 180-4, section 5.1.1).
    pub(crate) fn finish(mut self) -> Sha256Digest {
        self.rest.push(0x80);
        let length_size_bytes = 8;
        while self.rest.len() % BLOCK_SIZE_BYTES != BLOCK_SIZE_BYTES - length_size_bytes {
            self.rest.push(0);
        }
        self.rest.extend_from_slice(&self.size_bytes.wrapping_mul(8).to_be_bytes());
        let (blocks, _) = self.rest.as_chunks::<BLOCK_SIZE_BYTES>();
        compress256(&mut self.value, blocks);
        digest(&self.value)
    }
}

/// A final value as bytes.
fn digest(value: &[u32; 8]) -> Sha256Digest {
    let mut bytes = [0; 32];
    for (word, place) in value.iter().zip(bytes.as_chunks_mut::<4>().0) {
        *place = word.to_be_bytes();
    }
    Sha256Digest::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_digest_of_the_whole(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..6),
        ) {
            let mut chain = Chain::new();
            for piece in &pieces {
                chain.update(piece);
                if let Some(value) = chain.value() {
                    chain = Chain::from_value(value, chain.size_bytes);
                }
            }
            prop_assert_eq!(chain.finish(), Sha256Digest::of(&pieces.concat()));
        }
    }

    #[test]
    fn every_place_of_the_padding_is_right() {
        let bytes = [7; 300];
        for length in 0..bytes.len() {
            let mut chain = Chain::new();
            chain.update(&bytes[..length]);
            assert_eq!(chain.finish(), Sha256Digest::of(&bytes[..length]), "{length}");
        }
    }
}
