//! Damaged documents for parsers. The unit tests of other crates use this file, too, for parsers that nobody outside can call.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Feeds damaged seeds to a parser that has to accept the seeds themselves, and of ten thousand inputs at least so many: one that
/// refuses everything would pass otherwise. `parse` checks all else that has to hold.
pub fn feed(name: &str, inputs: usize, seeds: &[Vec<u8>], accepted_min: usize, parse: impl Fn(&[u8]) -> bool) {
    let mut random = Random::new(u64::try_from(name.len()).unwrap());
    for seed in seeds {
        assert!(parse(seed), "{name}: an honest input is refused: {:?}", String::from_utf8_lossy(seed));
    }
    let mut accepted = 0;
    for round in 0..inputs {
        let mut input = seeds[round % seeds.len()].clone();
        for _ in 0..=random.below(3) {
            if !input.is_empty() {
                input = random.damage(&input).1;
            }
        }
        let Ok(is_accepted) = catch_unwind(AssertUnwindSafe(|| parse(&input))) else {
            panic!("{name} fails on {:?}", String::from_utf8_lossy(&input));
        };
        accepted += usize::from(is_accepted);
    }
    println!("{name}: {inputs} damaged inputs, {accepted} accepted");
    assert!(accepted * 10_000 >= accepted_min * inputs, "{name}: only {accepted} of {inputs} are accepted");
    assert!(accepted < inputs, "{name}: nothing is refused");
}

/// A small seeded generator (`SplitMix64`), so that every run tries the same mutations.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    /// Bytes with one small thing changed at a place, and what that was. There must be some bytes.
    pub fn damage(&mut self, bytes: &[u8]) -> (String, Vec<u8>) {
        const CHARACTERS: &[u8] = b"\"\\{}[]:,0-+.eE \0\n\x7f\xff\xc0/=_";
        let mut changed = bytes.to_vec();
        let place = self.below(bytes.len());
        let what = match self.below(6) {
            0 => {
                changed[place] ^= 1 << self.below(8);
                "a bit flipped"
            }
            1 => {
                changed[place] = CHARACTERS[self.below(CHARACTERS.len())];
                "a byte replaced"
            }
            2 => {
                changed.insert(place, CHARACTERS[self.below(CHARACTERS.len())]);
                "a byte added"
            }
            3 => {
                changed.remove(place);
                "a byte gone"
            }
            4 => {
                let end = (place + 1 + self.below(40)).min(bytes.len());
                changed.extend_from_within(place..end);
                changed[place..].rotate_right(end - place);
                "a stretch twice"
            }
            _ => {
                changed.truncate(place);
                "cut short"
            }
        };
        (format!("{what} at {place}"), changed)
    }
}
