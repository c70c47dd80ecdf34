//! SHA-256 as a chain of blocks (FIPS 180-4, section 6.2) that can be stopped, kept and gone on with, two at a time.
//!
//! One chain alone goes through `sha2`, which uses the instructions of the CPU where there are any. Two of them go through
//! [`shani`] where it can be had, and one after the other elsewhere.

#[cfg(target_arch = "x86_64")]
mod shani;

use chopmark_core::digest::Sha256Digest;
use sha2::block_api::compress256;

use crate::hasher::{VERITY_LEAF_SIZE_BYTES, verity_leaf};

/// Bytes of one block.
pub(crate) const BLOCK_SIZE_BYTES: usize = 64;

/// The initial value: FIPS 180-4, section 5.3.3.
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The last block of a message of [`VERITY_LEAF_SIZE_BYTES`]: nothing but padding (FIPS 180-4, section 5.1.1).
const LEAF_PADDING: [u8; BLOCK_SIZE_BYTES] = {
    let mut block = [0; BLOCK_SIZE_BYTES];
    let [.., high, low] = (VERITY_LEAF_SIZE_BYTES * 8).to_be_bytes();
    (block[0], block[BLOCK_SIZE_BYTES - 2], block[BLOCK_SIZE_BYTES - 1]) = (0x80, high, low);
    block
};

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
    pub(crate) fn from_value(value: [u32; 8], size_bytes: u64) -> Self {
        Self { value, size_bytes, rest: Vec::new() }
    }

    /// The value between two blocks; `None` within one.
    pub(crate) fn value(&self) -> Option<[u32; 8]> {
        self.rest.is_empty().then_some(self.value)
    }

    /// Takes the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let bytes = self.fill_rest(bytes);
        self.size_bytes = self.size_bytes.wrapping_add(crate::size_bytes(bytes));
        let (blocks, rest) = bytes.as_chunks::<BLOCK_SIZE_BYTES>();
        compress256(&mut self.value, blocks);
        self.rest.extend_from_slice(rest);
    }

    /// Feeds two chains at once, the shorter to its end with the longer beside it.
    pub(crate) fn update_two(first: (&mut Self, &[u8]), second: (&mut Self, &[u8])) {
        let [(first, first_bytes), (second, second_bytes)] = [first, second].map(|(chain, bytes)| {
            let bytes = chain.fill_rest(bytes);
            (chain, bytes)
        });
        let whole = |bytes: &[u8]| bytes.len() - bytes.len() % BLOCK_SIZE_BYTES;
        let together = whole(first_bytes).min(whole(second_bytes));
        let (first_now, first_later) = first_bytes.split_at_checked(together).unwrap_or_default();
        let (second_now, second_later) = second_bytes.split_at_checked(together).unwrap_or_default();
        compress_two([&mut first.value, &mut second.value], [first_now, second_now].map(|now| now.as_chunks().0));
        for (chain, now, later) in [(first, first_now, first_later), (second, second_now, second_later)] {
            chain.size_bytes = chain.size_bytes.wrapping_add(crate::size_bytes(now));
            chain.update(later);
        }
    }

    /// Moves bytes to what is left of a block until that is whole and compressed; returns those after it.
    fn fill_rest<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if self.rest.is_empty() {
            return bytes;
        }
        let missing = BLOCK_SIZE_BYTES.saturating_sub(self.rest.len());
        let (now, later) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
        self.size_bytes = self.size_bytes.wrapping_add(crate::size_bytes(now));
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

/// Feeds two chains as many blocks each.
fn compress_two(mut values: [&mut [u32; 8]; 2], blocks: [&[[u8; BLOCK_SIZE_BYTES]]; 2]) {
    #[cfg(target_arch = "x86_64")]
    if shani::compress(values.each_mut().map(|value| &mut **value), blocks) {
        return;
    }
    for (value, blocks) in values.iter_mut().zip(blocks) {
        compress256(value, blocks);
    }
}

/// The leaf hashes of an fs-verity tree, like [`verity_leaf`] for each [`VERITY_LEAF_SIZE_BYTES`], two at a time.
pub(crate) fn verity_leaves(bytes: &[u8]) -> Vec<Sha256Digest> {
    let (leaves, part) = bytes.as_chunks::<VERITY_LEAF_SIZE_BYTES>();
    let mut hashes = Vec::with_capacity(leaves.len() + 1);
    let (pairs, odd) = leaves.as_chunks::<2>();
    for pair in pairs {
        let mut values = [INITIAL; 2];
        compress_two(values.each_mut(), pair.each_ref().map(|leaf| leaf.as_chunks().0));
        compress_two(values.each_mut(), [&[LEAF_PADDING]; 2]);
        hashes.extend(values.iter().map(digest));
    }
    hashes.extend(odd.iter().map(|leaf| verity_leaf(leaf)));
    if !part.is_empty() {
        hashes.push(verity_leaf(part));
    }
    hashes
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

    proptest! {
        #[test]
        fn two_chains_at_once_give_the_digests_of_each(
            first in proptest::collection::vec(any::<u8>(), 0..2000),
            second in proptest::collection::vec(any::<u8>(), 0..2000),
            cuts in proptest::array::uniform2(any::<proptest::sample::Index>()),
        ) {
            let mut chains = [Chain::new(), Chain::new()];
            let [cut_first, cut_second] = [cuts[0].index(first.len() + 1), cuts[1].index(second.len() + 1)];
            let [one, two] = &mut chains;
            Chain::update_two((one, &first[..cut_first]), (two, &second[..cut_second]));
            Chain::update_two((one, &first[cut_first..]), (two, &second[cut_second..]));
            prop_assert_eq!(chains.map(Chain::finish), [&first, &second].map(|bytes| Sha256Digest::of(bytes)));
        }

        #[test]
        fn lanes_of_any_number_give_what_each_would_alone(bytes in proptest::collection::vec(any::<u8>(), 64 * 12)) {
            let (blocks, _) = bytes.as_chunks::<BLOCK_SIZE_BYTES>();
            let expected: Vec<[u32; 8]> = blocks.chunks(3).map(|blocks| {
                let mut value = INITIAL;
                compress256(&mut value, blocks);
                value
            }).collect();
            let mut values = [INITIAL; 4];
            #[cfg(target_arch = "x86_64")]
            if shani::compress(values.each_mut(), [0, 3, 6, 9].map(|at| &blocks[at..at + 3])) {
                prop_assert_eq!(&values[..], &expected[..]);
                let mut one = INITIAL;
                assert!(shani::compress([&mut one], [&blocks[..3]]));
                prop_assert_eq!(one, expected[0]);
            }
            values = [INITIAL; 4];
            let [first, second, ..] = &mut values;
            compress_two([first, second], [&blocks[..3], &blocks[3..6]]);
            prop_assert_eq!(&values[..2], &expected[..2]);
        }
    }

    #[test]
    fn every_count_of_leaves_gives_the_leaves_one_by_one() {
        let bytes: Vec<u8> = (0..=250).cycle().take(5 * VERITY_LEAF_SIZE_BYTES).collect();
        for length in [0, 1, 4095, 4096, 4097, 8191, 8192, 8193, 12_288, 16_384, 16_385, 20_479, 20_480] {
            let expected: Vec<Sha256Digest> = bytes[..length].chunks(VERITY_LEAF_SIZE_BYTES).map(verity_leaf).collect();
            assert_eq!(verity_leaves(&bytes[..length]), expected, "{length}");
        }
    }

    #[test]
    fn both_streams_are_right_at_every_place_of_the_padding() {
        let bytes = [7; 300];
        for length in 0..=130 {
            for other in [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 299] {
                let [mut first, mut second] = [Chain::new(), Chain::new()];
                Chain::update_two((&mut first, &bytes[..length]), (&mut second, &bytes[..other]));
                assert_eq!(first.finish(), Sha256Digest::of(&bytes[..length]), "{length} beside {other}");
                assert_eq!(second.finish(), Sha256Digest::of(&bytes[..other]), "{other} beside {length}");
            }
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
