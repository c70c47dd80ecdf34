//! SHA-256 blocks with the SHA instructions of x86-64, several independent chains at once.
//!
//! `sha256rnds2` takes four cycles and another may start after two, so that one chain alone leaves half of the unit idle;
//! two chains side by side fill it. Each lane is FIPS 180-4, section 6.2.2, four rounds at a time, as in Intel's "New
//! Instructions Supporting the Secure Hash Algorithm", 2013. Nothing here reads or writes through a pointer: the one
//! unsafe step is the promise that the CPU has the instructions.

use core::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x, _mm_sha256msg1_epu32,
    _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32,
};

use super::BLOCK_SIZE_BYTES;

/// The round constants: FIPS 180-4, section 4.2.2; four to a group of rounds.
#[rustfmt::skip]
const CONSTANTS: [[u32; 4]; 16] = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5], [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
    [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3], [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc], [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
    [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7], [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13], [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
    [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3], [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5], [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
    [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208], [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];

/// Feeds each chain its blocks; all must be given the same number. Returns false, and does nothing, where the CPU lacks
/// the instructions.
pub(super) fn compress<const LANES: usize>(
    values: [&mut [u32; 8]; LANES],
    blocks: [&[[u8; BLOCK_SIZE_BYTES]]; LANES],
) -> bool {
    let has_instructions = std::arch::is_x86_feature_detected!("sha")
        && std::arch::is_x86_feature_detected!("sse4.1")
        && std::arch::is_x86_feature_detected!("ssse3");
    if has_instructions {
        #[expect(unsafe_code, reason = "calling a function whose instructions the CPU was just asked for")]
        // SAFETY: `compress_lanes` needs exactly the features that were detected above, and nothing else.
        unsafe {
            compress_lanes(values, blocks);
        }
    }
    has_instructions
}

/// One chain between two groups of rounds, in the order that the instructions want.
#[derive(Clone, Copy)]
struct Lane {
    abef: __m128i,
    cdgh: __m128i,
    /// The last sixteen words of the message schedule.
    words: [__m128i; 4],
}

#[expect(clippy::many_single_char_names, reason = "the working variables are called so in FIPS 180-4, section 6.2.2")]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn compress_lanes<const LANES: usize>(values: [&mut [u32; 8]; LANES], blocks: [&[[u8; BLOCK_SIZE_BYTES]]; LANES]) {
    let mut lanes = [Lane { abef: zero(), cdgh: zero(), words: [zero(); 4] }; LANES];
    for (lane, value) in lanes.iter_mut().zip(&values) {
        let [a, b, c, d, e, f, g, h] = **value;
        (lane.abef, lane.cdgh) = (four([f, e, b, a]), four([h, g, d, c]));
    }
    let count = blocks.iter().map(|blocks| blocks.len()).min().unwrap_or_default();
    let mut rest = blocks;
    for _ in 0..count {
        let before = lanes;
        for (lane, rest) in lanes.iter_mut().zip(&mut rest) {
            if let Some((block, later)) = rest.split_first() {
                lane.words = load(block);
                *rest = later;
            }
        }
        for (quarter, constants) in CONSTANTS.as_chunks::<4>().0.iter().enumerate() {
            for lane in &mut lanes {
                sixteen_rounds(lane, constants, quarter > 0);
            }
        }
        for (lane, before) in lanes.iter_mut().zip(before) {
            lane.abef = _mm_add_epi32(lane.abef, before.abef);
            lane.cdgh = _mm_add_epi32(lane.cdgh, before.cdgh);
        }
    }
    for (lane, value) in lanes.iter().zip(values) {
        let [f, e, b, a] = words_of(lane.abef);
        let [h, g, d, c] = words_of(lane.cdgh);
        *value = [a, b, c, d, e, f, g, h];
    }
}

/// Sixteen rounds, before each four of which the schedule is extended, unless its words are the block's own.
#[target_feature(enable = "sha,sse2,ssse3")]
fn sixteen_rounds(lane: &mut Lane, constants: &[[u32; 4]; 4], is_extended: bool) {
    let [mut first, mut second, mut third, mut fourth] = lane.words;
    let [one, two, three, four] = constants;
    if is_extended {
        first = extended([first, second, third, fourth]);
    }
    rounds(lane, first, one);
    if is_extended {
        second = extended([second, third, fourth, first]);
    }
    rounds(lane, second, two);
    if is_extended {
        third = extended([third, fourth, first, second]);
    }
    rounds(lane, third, three);
    if is_extended {
        fourth = extended([fourth, first, second, third]);
    }
    rounds(lane, fourth, four);
    lane.words = [first, second, third, fourth];
}

/// Four words of the message schedule from the sixteen before them: FIPS 180-4, section 6.2.2, step 1.
#[target_feature(enable = "sha,ssse3")]
fn extended([first, second, third, fourth]: [__m128i; 4]) -> __m128i {
    let sum = _mm_add_epi32(_mm_sha256msg1_epu32(first, second), _mm_alignr_epi8::<4>(fourth, third));
    _mm_sha256msg2_epu32(sum, fourth)
}

/// Four rounds: FIPS 180-4, section 6.2.2, step 3.
#[target_feature(enable = "sha,sse2")]
fn rounds(lane: &mut Lane, words: __m128i, constants: &[u32; 4]) {
    let sum = _mm_add_epi32(words, four(*constants));
    lane.cdgh = _mm_sha256rnds2_epu32(lane.cdgh, lane.abef, sum);
    let upper = _mm_shuffle_epi32::<0b00_00_11_10>(sum);
    lane.abef = _mm_sha256rnds2_epu32(lane.abef, lane.cdgh, upper);
}

/// A block's sixteen words, which it holds in big-endian order.
#[target_feature(enable = "ssse3")]
fn load(block: &[u8; BLOCK_SIZE_BYTES]) -> [__m128i; 4] {
    let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let mut words = [zero(); 4];
    for (words, bytes) in words.iter_mut().zip(block.as_chunks::<16>().0) {
        let mut plain = [0; 4];
        for (word, bytes) in plain.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        *words = _mm_shuffle_epi8(four(plain), swap);
    }
    words
}

/// Four words, the first in the lowest place.
#[target_feature(enable = "sse2")]
fn four([first, second, third, fourth]: [u32; 4]) -> __m128i {
    _mm_set_epi32(fourth.cast_signed(), third.cast_signed(), second.cast_signed(), first.cast_signed())
}

#[target_feature(enable = "sse2")]
fn zero() -> __m128i {
    four([0; 4])
}

/// The four words of a register, the lowest first.
#[target_feature(enable = "sse4.1")]
fn words_of(register: __m128i) -> [u32; 4] {
    [
        _mm_extract_epi32::<0>(register).cast_unsigned(),
        _mm_extract_epi32::<1>(register).cast_unsigned(),
        _mm_extract_epi32::<2>(register).cast_unsigned(),
        _mm_extract_epi32::<3>(register).cast_unsigned(),
    ]
}
