//! One progress for many measurements that run at the same time.

use std::sync::atomic::{AtomicU64, Ordering};

use chopmark_gpu_verify::Progress;

use super::HashProgress;
use crate::printer::Printer;

/// Shows how far a batch has come; what lies ahead is estimated first and corrected as each part begins.
pub(crate) struct BatchProgress<'a> {
    whole: HashProgress<'a>,
}

/// The progress of one part of a batch.
pub(crate) struct PartProgress<'a> {
    whole: &'a HashProgress<'a>,
    name: String,
    /// What of the estimate for this part is not corrected yet: its files and their size in bytes.
    estimate: (AtomicU64, AtomicU64),
}

impl<'a> BatchProgress<'a> {
    /// Starts the clock; `files` of `size_bytes` in all lie ahead as far as is known.
    pub(crate) fn start(printer: &'a Printer, files: u64, size_bytes: u64) -> Self {
        let whole = HashProgress::start(printer, false);
        whole.total(files, size_bytes);
        Self { whole }
    }

    /// A part that was estimated at `files` of `size_bytes`.
    pub(crate) fn part(&self, name: String, files: u64, size_bytes: u64) -> PartProgress<'_> {
        PartProgress { whole: &self.whole, name, estimate: (AtomicU64::new(files), AtomicU64::new(size_bytes)) }
    }

    /// Clears the bar and says what was done.
    pub(crate) fn finish(&self) {
        self.whole.finish();
    }
}

impl Progress for PartProgress<'_> {
    fn total(&self, files: u64, size_bytes: u64) {
        let (estimated_files, estimated_size_bytes) = &self.estimate;
        correct(&self.whole.files, files, estimated_files.swap(0, Ordering::Relaxed));
        let estimated = estimated_size_bytes.swap(0, Ordering::Relaxed);
        let total = correct(&self.whole.total_size_bytes, size_bytes, estimated);
        if let Some(bar) = &self.whole.bar {
            bar.set_length(total);
        }
    }

    fn file(&self, path: &str) {
        self.whole.file(&format!("{}: {path}", self.name));
    }

    fn bytes(&self, size_bytes: u64) {
        self.whole.bytes(size_bytes);
    }

    fn recalled(&self, size_bytes: u64) {
        self.whole.recalled(size_bytes);
    }
}

/// Puts what is known in place of what was estimated, and returns the sum.
fn correct(sum: &AtomicU64, known: u64, estimated: u64) -> u64 {
    let corrected = |sum: u64| sum.saturating_add(known).saturating_sub(estimated);
    let before = sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |sum| Some(corrected(sum)));
    before.map_or(known, corrected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_to_what_is_really_read() {
        let printer = Printer::before_arguments().quieted();
        let batch = BatchProgress::start(&printer, 5, 100);
        let (first, second) = (batch.part("a".to_owned(), 2, 40), batch.part("b".to_owned(), 3, 60));
        first.total(2, 50);
        second.total(1, 10);
        // Read once more, by other rules.
        second.total(1, 10);
        for part in [&first, &second] {
            part.file("w");
            part.bytes(5);
        }
        assert_eq!(batch.whole.files.load(Ordering::Relaxed), 4);
        assert_eq!(batch.whole.total_size_bytes.load(Ordering::Relaxed), 70);
        assert_eq!(batch.whole.done_size_bytes.load(Ordering::Relaxed), 10);
        batch.finish();
    }
}
