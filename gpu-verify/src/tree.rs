//! Merging the chaining values of a file's subtrees, all of one size, into its BLAKE3 root.
//!
//! Holds one value per level (BLAKE3 paper, section 5.1.2), so a file of any size needs at most 64 × 32 bytes.

use blake3::hazmat::{ChainingValue, Mode, merge_subtrees_non_root, merge_subtrees_root};
use chopmark_core::digest::Blake3Digest;

/// The subtrees of one file so far, merged as far as they can be before the end is known.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// From left to right, each larger than the next.
    pending: Vec<ChainingValue>,
    pushed: u64,
}

impl Tree {
    /// The tree after `pushed` subtrees that came to `pending`, as [`Tree::pending`] gave them; `None` when so many
    /// subtrees never come to so many values.
    pub fn resume(pending: Vec<ChainingValue>, pushed: u64) -> Option<Self> {
        let values = match pushed.checked_sub(1) {
            None => 0,
            Some(before_the_last) => before_the_last.count_ones().saturating_add(1),
        };
        (usize::try_from(values) == Ok(pending.len())).then_some(Self { pending, pushed })
    }

    /// The subtrees so far, merged as far as they can be, from left to right.
    pub fn pending(&self) -> &[ChainingValue] {
        &self.pending
    }

    /// Adds the next subtree. All before it must have been full, of one size.
    pub fn push(&mut self, value: ChainingValue) {
        // Only now is it certain that the earlier subtrees do not end the file, so that none of their merges is the root.
        // n complete subtrees form one subtree for each 1 bit of n.
        while self.pending.len() > usize::try_from(self.pushed.count_ones()).unwrap_or(usize::MAX) {
            let (Some(right), Some(left)) = (self.pending.pop(), self.pending.pop()) else { break };
            self.pending.push(merge_subtrees_non_root(&left, &right, Mode::Hash));
        }
        self.pending.push(value);
        self.pushed += 1;
    }

    /// The chaining value over all subtrees so far, which are not a whole file. `None` of none.
    pub fn chaining_value(mut self) -> Option<ChainingValue> {
        let mut value = self.pending.pop()?;
        while let Some(left) = self.pending.pop() {
            value = merge_subtrees_non_root(&left, &value, Mode::Hash);
        }
        Some(value)
    }

    /// The root, after the last subtree.
    ///
    /// `None` below two: such a file is finalised as a root by the engine, since a chaining value is not one.
    pub fn root(mut self) -> Option<Blake3Digest> {
        let mut right = self.pending.pop()?;
        let mut left = self.pending.pop()?;
        while let Some(next) = self.pending.pop() {
            right = merge_subtrees_non_root(&left, &right, Mode::Hash);
            left = next;
        }
        Some(Blake3Digest::from_bytes(*merge_subtrees_root(&left, &right, Mode::Hash).as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use blake3::hazmat::HasherExt as _;
    use proptest::prelude::*;

    use super::*;

    fn root_by_windows(bytes: &[u8], window_size_bytes: usize) -> Option<Blake3Digest> {
        let mut tree = Tree::default();
        for (index, window) in bytes.chunks(window_size_bytes).enumerate() {
            let offset = u64::try_from(index * window_size_bytes).unwrap();
            tree.push(blake3::Hasher::new().set_input_offset(offset).update(window).finalize_non_root());
        }
        tree.root()
    }

    #[test]
    fn every_count_of_windows_merges_to_the_crates_root() {
        let bytes: Vec<u8> = (0..=250).cycle().take(70 * 1024).collect();
        for length in (1025..bytes.len()).step_by(511) {
            assert_eq!(root_by_windows(&bytes[..length], 1024), Some(Blake3Digest::of(&bytes[..length])), "{length}");
        }
    }

    #[test]
    fn pieces_merge_to_the_value_of_the_subtree_they_make_up() {
        let bytes: Vec<u8> = (0..=250).cycle().take(16 * 1024).collect();
        for length in (1..=bytes.len()).step_by(311) {
            let mut tree = Tree::default();
            for (index, piece) in bytes[..length].chunks(1024).enumerate() {
                let offset = (1 << 20) + u64::try_from(index * 1024).unwrap();
                tree.push(blake3::Hasher::new().set_input_offset(offset).update(piece).finalize_non_root());
            }
            let whole = blake3::Hasher::new().set_input_offset(1 << 20).update(&bytes[..length]).finalize_non_root();
            assert_eq!(tree.chaining_value(), Some(whole), "{length}");
        }
        assert_eq!(Tree::default().chaining_value(), None);
    }

    #[test]
    fn fewer_than_two_windows_have_no_root_here() {
        assert_eq!(Tree::default().root(), None);
        assert_eq!(root_by_windows(b"one", 1024), None);
    }

    #[test]
    fn a_tree_goes_on_from_any_place_and_from_no_impossible_one() {
        let values: Vec<ChainingValue> = (0..70_u8).map(|index| [index; 32]).collect();
        let root = |values: &[ChainingValue], mut tree: Tree| {
            for value in values {
                tree.push(*value);
            }
            tree.root()
        };
        for at in 0..=values.len() {
            let mut tree = Tree::default();
            values.iter().take(at).for_each(|value| tree.push(*value));
            let (pending, pushed) = (tree.pending().to_vec(), u64::try_from(at).unwrap());
            let resumed = Tree::resume(pending.clone(), pushed).unwrap();
            assert_eq!(root(&values[at..], resumed), root(&values, Tree::default()), "{at}");
            assert!(Tree::resume([pending.as_slice(), &[[0; 32]]].concat(), pushed).is_none());
            assert!(Tree::resume(pending[..pending.len().saturating_sub(1)].to_vec(), pushed).is_none() || at == 0);
        }
    }

    proptest! {
        #[test]
        fn any_window_size_gives_the_same_root(bytes in proptest::collection::vec(any::<u8>(), 0..40_000), log in 10u32..14) {
            let window_size_bytes = 1 << log;
            let expected = (bytes.len() > window_size_bytes).then(|| Blake3Digest::of(&bytes));
            prop_assert_eq!(root_by_windows(&bytes, window_size_bytes), expected);
        }
    }
}
