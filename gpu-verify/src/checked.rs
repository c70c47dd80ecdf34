//! An engine whose results are not trusted blindly, because GPUs corrupt silently: a known-answer test at the start, a share
//! of all results computed again on the CPU, and every one of them before a signature.
//!
//! Once something was wrong, [`Hasher::health`] says so for ever and everything comes from the CPU.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use blake3::hazmat::ChainingValue;
use chopmark_core::digest::{Blake3Digest, Sha256Digest};

use crate::hasher::{EngineFault, Hasher, SUBTREE_SIZE_BYTES, VERITY_LEAF_SIZE_BYTES, Window};
use crate::known_answers::known_answers;

/// One result in this many is computed again on the CPU. A result stands for at most 1 MiB, so at 50 GB/s from the GPU this
/// takes a quarter of one CPU core at 7 GB/s.
pub const CHECKED_ONE_IN: u32 = 32;

/// A GPU engine behind its checks.
pub struct Checked<E> {
    shared: Arc<Shared<E>>,
    /// What checks everything; `None` where this does.
    full: Option<Box<Self>>,
}

struct Shared<E> {
    engine: E,
    cpu: Arc<dyn Hasher + Send>,
    /// Decides which results are checked: not to be known by whatever makes results wrong.
    seed: u64,
    /// Results so far.
    results: AtomicU64,
    fault: OnceLock<EngineFault>,
}

impl<E: Hasher> core::fmt::Debug for Checked<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Shared { engine, results, fault, .. } = &*self.shared;
        f.debug_struct("Checked")
            .field("engine", &engine.name())
            .field("results", results)
            .field("fault", fault)
            .finish_non_exhaustive()
    }
}

impl<E: Hasher + Send> Checked<E> {
    /// Puts `engine` behind checks by `cpu`, after a known-answer test.
    ///
    /// # Errors
    /// An [`EngineFault`] when the engine fails that test.
    pub fn start(engine: E, cpu: Arc<dyn Hasher + Send>) -> Result<Self, EngineFault> {
        known_answers(&engine)?;
        Ok(Self::with_seed(engine, cpu, seed()))
    }

    fn with_seed(engine: E, cpu: Arc<dyn Hasher + Send>, seed: u64) -> Self {
        let shared = Shared { engine, cpu, seed, results: AtomicU64::new(0), fault: OnceLock::new() };
        let shared = Arc::new(shared);
        let full = Self { shared: Arc::clone(&shared), full: None };
        Self { shared, full: Some(Box::new(full)) }
    }

    /// Lets an engine compute `count` results and checks them; `ours` computes all of them on the CPU, `one` a single one.
    fn check<T: PartialEq + Send>(
        &self,
        what: &str,
        count: usize,
        theirs: impl Fn() -> Vec<T> + Sync,
        ours: impl Fn() -> Vec<T> + Sync,
        one: impl Fn(usize) -> Option<T>,
    ) -> Vec<T> {
        let shared = &*self.shared;
        if shared.fault.get().is_some() {
            return ours();
        }
        let (mut found, mut expected) = (Vec::new(), None);
        if self.full.is_some() {
            found = theirs();
        } else {
            shared.cpu.both(&mut || found = theirs(), &mut || expected = Some(ours()));
        }
        if let Err(fault) = shared.engine.health() {
            shared.fault.get_or_init(|| fault);
            return expected.unwrap_or_else(ours);
        }
        if found.len() != count {
            shared.noticed(format!("it gave {} {what}s where there are {count}", found.len()));
            return expected.unwrap_or_else(ours);
        }
        if let Some(expected) = expected {
            if let Some(index) = found.iter().zip(&expected).position(|(found, expected)| found != expected) {
                shared.noticed(format!("{what} {index} of {count} is not what the CPU computes"));
            }
            return expected;
        }
        let first = shared.results.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
        for (number, (index, found)) in (first..).zip(found.iter().enumerate()) {
            if is_drawn(shared.seed, number) && one(index).as_ref() != Some(found) {
                shared.noticed(format!("{what} {index} of {count} is not what the CPU computes"));
                return ours();
            }
        }
        found
    }
}

impl<E: Hasher> Shared<E> {
    fn noticed(&self, reason: String) {
        self.fault.get_or_init(|| EngineFault { engine: self.engine.name(), reason });
    }
}

/// What the checks promise, in words for `--verbose`.
pub fn promise() -> String {
    format!(
        "1 result in {CHECKED_ONE_IN} is computed again on the CPU, so that {}; before a signature all are",
        chances()
    )
}

/// With which probability the sample catches wrong results, in words.
pub fn chances() -> String {
    let percent = |wrong: i32| 100.0 * (1.0 - (1.0 - 1.0 / f64::from(CHECKED_ONE_IN)).powi(wrong));
    let (one, some, many) = (percent(1), percent(32), percent(256));
    format!(
        "a single wrong one is caught with probability {one:.1} %, one of 32 with {some:.1} %, one of 256 with {many:.2} %"
    )
}

/// What decides which results are checked, from the one source of unpredictable numbers in the standard library; nothing
/// secret depends on it.
pub(crate) fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Whether a result is checked: a mixture of the seed and its number (`SplitMix64`), evenly spread.
pub(crate) fn is_drawn(seed: u64, number: u64) -> bool {
    let mut mixed = seed.wrapping_add(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed ^ (mixed >> 31)).is_multiple_of(u64::from(CHECKED_ONE_IN))
}

impl<E: Hasher + Send> Hasher for Checked<E> {
    fn name(&self) -> &'static str {
        self.shared.engine.name()
    }

    fn window_size_bytes(&self) -> usize {
        self.shared.engine.window_size_bytes()
    }

    fn files_in_parallel(&self) -> usize {
        self.shared.engine.files_in_parallel()
    }

    fn subtrees(&self, window: Window<'_>) -> Vec<ChainingValue> {
        let Shared { engine, cpu, .. } = &*self.shared;
        let one = |index: usize| {
            let before_bytes = u64::try_from(index.checked_mul(SUBTREE_SIZE_BYTES)?).ok()?;
            let bytes = window.bytes().chunks(SUBTREE_SIZE_BYTES).nth(index)?;
            cpu.subtrees(Window::new(window.offset_bytes().checked_add(before_bytes)?, bytes)?).pop()
        };
        let count = window.bytes().len().div_ceil(SUBTREE_SIZE_BYTES);
        self.check("chaining value", count, || engine.subtrees(window), || cpu.subtrees(window), one)
    }

    fn roots(&self, files: &[&[u8]]) -> Vec<Blake3Digest> {
        let Shared { engine, cpu, .. } = &*self.shared;
        let one = |index: usize| files.get(index).map(|bytes| Blake3Digest::of(bytes));
        self.check("digest", files.len(), || engine.roots(files), || cpu.roots(files), one)
    }

    fn verity_leaves(&self, bytes: &[u8]) -> Vec<Sha256Digest> {
        let Shared { engine, cpu, .. } = &*self.shared;
        let one = |index: usize| {
            bytes.chunks(VERITY_LEAF_SIZE_BYTES).nth(index).and_then(|leaf| cpu.verity_leaves(leaf).pop())
        };
        let count = bytes.len().div_ceil(VERITY_LEAF_SIZE_BYTES);
        self.check("fs-verity leaf", count, || engine.verity_leaves(bytes), || cpu.verity_leaves(bytes), one)
    }

    fn extend(&self, state: &mut blake3::Hasher, bytes: &[u8]) {
        self.shared.cpu.extend(state, bytes);
    }

    fn both(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        self.shared.cpu.both(first, second);
    }

    fn upload(&self, bytes: &[u8]) -> bool {
        self.shared.engine.upload(bytes)
    }

    fn health(&self) -> Result<(), EngineFault> {
        self.shared.fault.get().map_or_else(|| self.shared.engine.health(), |fault| Err(fault.clone()))
    }

    fn fully_checked(&self) -> Option<&dyn Hasher> {
        self.full.as_deref().map(|full| -> &dyn Hasher { full })
    }
}

#[cfg(test)]
mod tests;
