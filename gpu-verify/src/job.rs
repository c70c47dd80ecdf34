//! Reading many files at once: which thread takes what, and what becomes of errors.
//!
//! Large files come first. Where SHA-256 is asked for, each is a chain: with files enough for all threads, each thread takes
//! two (`pair.rs`); with fewer, a thread takes one and leaves all but the chain to others (`pass.rs`). Where it is not asked
//! for, all threads take parts of one file (`part.rs`). Small files come last, in batches (`batch.rs`).
//!
//! Memory: two windows for each thread that reads (rayon: at most 64 × 2 × 1 MiB), one header of at most 32 MiB for each
//! weight file in flight, and what is found out about each file.

mod batch;
mod pair;
mod part;
mod reading;
mod recall;

use core::mem;
use core::ops::Range;
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use chopmark_core::manifest::TENSORS_MAX;
use chopmark_core::verify::UnreadableWeights;

use self::batch::BATCH_FILES_MAX;
use self::part::Shared;
pub(crate) use self::reading::BETWEEN_LOOKS;
use self::reading::{At, Reading};
use self::recall::{is_due, recall_whole};
use crate::digests::HashedFile;
use crate::error::MeasureError;
use crate::hasher::{Hasher, SUBTREE_SIZE_BYTES};
use crate::identity::Identity;
use crate::memory::Memory;
use crate::open::Root;
use crate::pass::{Buffers, PassError, PassState, Plan, read_once, read_some};
use crate::pickle;
use crate::progress::Progress;
use crate::scan::WeightScan;
use crate::walk::Listed;

/// Above this, an engine waits for a device: then SHA-256 goes on beside it, rather than on the same thread.
const PAIR_WINDOW_SIZE_BYTES_MAX: usize = 4 << 20;

/// Bytes of a piece; second-level caches hold 256 KiB or more.
const PIECE_SIZE_BYTES: usize = 128 << 10;

/// What came of a file that was read.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) file: HashedFile,
    /// What it was from the first byte to the last.
    pub(crate) identity: Identity,
    /// Why its tensors are not known although its name says that it has some.
    pub(crate) note: Option<UnreadableWeights>,
    /// Whether loading it runs code.
    pub(crate) is_pickle: bool,
}

/// What to do about the tensors of weight files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tensors {
    /// A malformed weight file is an error.
    Required,
    /// A malformed weight file is noted.
    Noted,
    /// Weight files are bytes like any.
    Ignored,
}

/// Who asked, and wants to hear how it goes.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'a> {
    /// Set to stop after the current window.
    pub(crate) interrupted: &'a AtomicBool,
    /// Told what is read.
    pub(crate) progress: &'a dyn Progress,
    /// Asked about files before they are read, and told what became of them.
    pub(crate) memory: Option<&'a dyn Memory>,
}

/// Bytes of files that were listed.
pub(crate) fn sum_size_bytes(files: &[Listed]) -> u64 {
    files.iter().map(|file| file.size_bytes).fold(0, u64::saturating_add)
}

/// Reads files that were listed; of what there is to do, the caller has told.
pub(crate) fn read_all(
    root: &Root,
    mut files: Vec<Listed>,
    plan: Plan,
    tensors: Tensors,
    caller: Caller<'_>,
    hasher: &dyn Hasher,
) -> Result<Vec<Outcome>, MeasureError> {
    let size_bytes = sum_size_bytes(&files);
    let mut outcomes = recall_whole(root, &mut files, plan, tensors, caller)?;
    let recalled_tensors = outcomes.iter().filter_map(|outcome| outcome.file.weights.as_ref());
    let recalled_tensors: usize = recalled_tensors.map(|index| index.tensors.len()).sum();
    // Largest first, so that no thread is left alone with a large file at the end.
    files.sort_by(|a, b| b.size_bytes.cmp(&a.size_bytes).then_with(|| a.path.cmp(&b.path)));
    let small_size_bytes_max = u64::try_from(SUBTREE_SIZE_BYTES).unwrap_or(u64::MAX);
    let large = files.partition_point(|file| file.size_bytes > small_size_bytes_max);
    let threads = hasher.files_in_parallel().max(1);
    let job = Job {
        root,
        files: &files,
        plan,
        tensors,
        caller,
        hasher,
        small_size_bytes_max,
        large,
        is_paired: plan.digests.sha256
            && hasher.window_size_bytes() <= PAIR_WINDOW_SIZE_BYTES_MAX
            && large >= threads.saturating_mul(2),
        queue: Mutex::new(Queue { next: 0, shared: None }),
        failed: AtomicBool::new(false),
        tensors_left: AtomicUsize::new(TENSORS_MAX.saturating_sub(recalled_tensors)),
    };
    outcomes.extend(job.run(threads, size_bytes)?);
    hasher.health().map_err(MeasureError::Engine)?;
    Ok(outcomes)
}

type Results = Vec<(usize, Result<Outcome, MeasureError>)>;

/// What the threads that read files share.
struct Job<'a> {
    root: &'a Root,
    files: &'a [Listed],
    plan: Plan,
    tensors: Tensors,
    caller: Caller<'a>,
    hasher: &'a dyn Hasher,
    /// Largest size of a small file: one subtree.
    small_size_bytes_max: u64,
    /// How many files, from the first, are large.
    large: usize,
    /// Whether a thread takes large files two at a time.
    is_paired: bool,
    queue: Mutex<Queue<'a>>,
    /// Some thread has met an error; the others stop.
    failed: AtomicBool,
    tensors_left: AtomicUsize,
}

/// What nobody has taken.
struct Queue<'a> {
    /// Index of the next file.
    next: usize,
    /// The file that several threads read, and where its next part starts.
    shared: Option<(Arc<Shared<'a>>, u64)>,
}

/// What a thread takes.
enum Task<'a> {
    /// A large file, alone.
    Alone(usize),
    /// A file that was opened.
    Rest(Box<Reading<'a>>, File),
    /// A large file, with another beside it.
    Paired(usize),
    /// A part of a large file.
    Part(Arc<Shared<'a>>, u64),
    /// Small files.
    Batch(Range<usize>),
    /// A file that could not be opened.
    Failed(usize, MeasureError),
}

impl<'a> Job<'a> {
    /// Measures every file; the first error in the order of files wins over later ones and over the stop it caused.
    fn run(&self, threads: usize, size_bytes: u64) -> Result<Vec<Outcome>, MeasureError> {
        // No more threads than there are windows to read or, of empty files, batches.
        let windows = size_bytes / u64::try_from(self.hasher.window_size_bytes()).unwrap_or(u64::MAX).max(1);
        let helpers = usize::try_from(windows).unwrap_or(usize::MAX).min(threads.saturating_sub(1));
        let results = thread::scope(|scope| {
            // Fewer threads than wanted are no reason to fail: this one does all the work if it must.
            let helpers: Vec<_> = (0..helpers)
                .filter_map(|_| thread::Builder::new().name("read".to_owned()).spawn_scoped(scope, || self.work()).ok())
                .collect();
            let mut results = self.work();
            for helper in helpers {
                match helper.join() {
                    Ok(more) => results.extend(more),
                    Err(panicked) => std::panic::resume_unwind(panicked),
                }
            }
            results
        });
        let mut outcomes = Vec::with_capacity(self.files.len());
        let mut error: Option<(bool, usize, MeasureError)> = None;
        for (index, result) in results {
            match result {
                Ok(outcome) => outcomes.push(outcome),
                Err(fault) => {
                    let is_stop = matches!(fault, MeasureError::Interrupted);
                    if error.as_ref().is_none_or(|first| (is_stop, index) < (first.0, first.1)) {
                        error = Some((is_stop, index, fault));
                    }
                }
            }
        }
        error.map_or(Ok(outcomes), |(_, _, fault)| Err(fault))
    }

    /// Takes what there is until nothing is left or something fails.
    fn work(&self) -> Results {
        let mut buffers = Buffers::default();
        let mut results = Vec::new();
        while let Some(task) = self.take() {
            match task {
                Task::Alone(index) => {
                    let result = self.alone(index, &mut buffers);
                    self.put(index, result, &mut results);
                }
                Task::Rest(reading, file) => {
                    let index = reading.index;
                    let result = self.rest(*reading, &file, &mut buffers);
                    self.put(index, result, &mut results);
                }
                Task::Paired(first) => self.pairs(first, &mut buffers, &mut results),
                Task::Part(shared, offset_bytes) => {
                    self.part(&shared, offset_bytes, &mut buffers.current, &mut results);
                }
                Task::Batch(places) => self.batch(places, &mut buffers, &mut results),
                Task::Failed(index, fault) => self.fail(index, fault, &mut results),
            }
            if self.failed.load(Ordering::Relaxed) {
                break;
            }
        }
        results
    }

    fn take(&self) -> Option<Task<'a>> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((shared, next_bytes)) = &mut queue.shared
            && *next_bytes < shared.size_bytes
        {
            let part = Task::Part(Arc::clone(shared), *next_bytes);
            *next_bytes = self.part_end_bytes(*next_bytes);
            return Some(part);
        }
        queue.shared = None;
        let index = queue.next;
        let listed = self.files.get(index)?;
        if self.is_stopped() {
            queue.next = self.files.len();
            return Some(Task::Failed(index, MeasureError::Interrupted));
        }
        if index >= self.large {
            queue.next = self.batch_end(index);
            return Some(Task::Batch(index..queue.next));
        }
        queue.next = index.saturating_add(1);
        if self.is_paired {
            return Some(Task::Paired(index));
        }
        // Tensors are read in order as well.
        if self.plan.digests.sha256 || self.tensors != Tensors::Ignored {
            return Some(Task::Alone(index));
        }
        Some(match self.open(index, listed) {
            Err(fault) => Task::Failed(index, fault),
            // It is no longer large.
            Ok((reading, file)) if reading.before.size_bytes <= self.small_size_bytes_max => {
                Task::Rest(Box::new(reading), file)
            }
            Ok((reading, file)) => {
                let offset_bytes = reading.state.offset_bytes;
                let shared = Shared::new(reading, file);
                queue.shared = Some((Arc::clone(&shared), self.part_end_bytes(offset_bytes)));
                Task::Part(shared, offset_bytes)
            }
        })
    }

    /// The next large file, for a thread that has one already.
    fn take_large(&self) -> Option<usize> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let index = queue.next;
        (index < self.large && !self.is_stopped()).then(|| {
            queue.next = index.saturating_add(1);
            index
        })
    }

    /// How far a batch from `start` on goes: no further than what is read stays in the cache until it is hashed.
    fn batch_end(&self, start: usize) -> usize {
        let mut left_bytes = u64::try_from(self.piece_size_bytes()).unwrap_or(u64::MAX);
        let rest = self.files.get(start..).unwrap_or_default();
        let fits = |file: &&Listed| match left_bytes.checked_sub(self.room_size_bytes(file.size_bytes)) {
            Some(left) => {
                left_bytes = left;
                true
            }
            None => false,
        };
        start.saturating_add(rest.iter().take(BATCH_FILES_MAX).take_while(fits).count().max(1))
    }

    /// Bytes to read at a time where one thread reads and hashes: little enough to stay in the cache of its core in
    /// between, unless the engine takes larger windows than a subtree.
    fn piece_size_bytes(&self) -> usize {
        match self.hasher.window_size_bytes() {
            SUBTREE_SIZE_BYTES => PIECE_SIZE_BYTES,
            larger => larger,
        }
    }

    fn is_stopped(&self) -> bool {
        self.caller.interrupted.load(Ordering::Relaxed) || self.failed.load(Ordering::Relaxed)
    }

    fn put(&self, index: usize, result: Result<Outcome, MeasureError>, results: &mut Results) {
        if result.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        results.push((index, result));
    }

    fn fail(&self, index: usize, fault: MeasureError, results: &mut Results) {
        self.put(index, Err(fault), results);
    }

    /// Reads one file from start to end.
    fn alone(&self, index: usize, buffers: &mut Buffers) -> Result<Outcome, MeasureError> {
        let listed = self.files.get(index).ok_or(MeasureError::Interrupted)?;
        let (reading, file) = self.open(index, listed)?;
        self.rest(reading, &file, buffers)
    }

    /// Reads what is left of a file, its SHA-256 chain on one thread and the rest on another.
    fn rest(&self, mut reading: Reading<'_>, file: &File, buffers: &mut Buffers) -> Result<Outcome, MeasureError> {
        let (format, listed, identity) = (reading.format(), reading.listed, (reading.before, reading.is_settled));
        let remembered = reading.remembered.clone();
        let on_window = |size_bytes: u64, state: &PassState, scan: Option<&WeightScan>| {
            let end = self.after_window(format, size_bytes, scan.and_then(WeightScan::fault));
            if matches!(end, Err(PassError::Interrupted)) || end.is_ok() && is_due(&remembered) {
                self.remember(listed, (&identity.0, identity.1), state, scan);
            }
            end
        };
        let mut reader = At { file, offset_bytes: reading.state.offset_bytes };
        let size_bytes = reading.before.size_bytes;
        let start = mem::replace(&mut reading.state, PassState::new(self.plan));
        reading.state =
            read_once(&mut reader, size_bytes, self.hasher, buffers, start, reading.scan.as_mut(), &on_window)
                .map_err(|stop| self.stopped(reading.listed, stop))?;
        self.end(reading, file)
    }

    /// After the last byte.
    fn end(&self, reading: Reading<'_>, file: &File) -> Result<Outcome, MeasureError> {
        let mut beyond = At { file, offset_bytes: reading.before.size_bytes };
        match read_some(&mut beyond, &mut [0]) {
            Ok(0) => {}
            Ok(_) => return Err(self.stopped(reading.listed, PassError::Grew)),
            Err(stop) => return Err(self.stopped(reading.listed, stop)),
        }
        self.check_unchanged(reading.listed, &reading.before, file)?;
        let is_pickle = pickle::of_file(&reading.listed.path, file);
        self.outcome(reading, is_pickle)
    }
}

#[cfg(test)]
mod tests;
