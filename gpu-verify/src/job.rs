//! Reading many files at once: which thread takes which file, and what becomes of errors.
//!
//! Memory: two windows per file in flight (rayon: at most 16 files × 2 × 4 MiB), one header of at most 32 MiB per weight
//! file in flight, and what is found out about each file.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use chopmark_core::manifest::header::HeaderError;
use chopmark_core::manifest::{TENSORS_MAX, WeightFormat};
use chopmark_core::verify::UnreadableWeights;

use crate::digests::HashedFile;
use crate::error::{FILE_SIZE_BYTES_MAX, MeasureError};
use crate::hasher::Hasher;
use crate::open::Root;
use crate::pass::{Buffers, PassError, PassState, Plan, read_once};
use crate::progress::Progress;
use crate::scan::WeightScan;
use crate::walk::Listed;

/// A file, and why its tensors are not known although its name says that it has some.
pub(crate) type Outcome = (HashedFile, Option<UnreadableWeights>);

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

/// Reads files that were listed.
pub(crate) fn read_all(
    root: &Root,
    mut files: Vec<Listed>,
    plan: Plan,
    tensors: Tensors,
    interrupted: &AtomicBool,
    progress: &dyn Progress,
    hasher: &dyn Hasher,
) -> Result<Vec<Outcome>, MeasureError> {
    let size_bytes = files.iter().map(|file| file.size_bytes).fold(0, u64::saturating_add);
    progress.total(u64::try_from(files.len()).unwrap_or(u64::MAX), size_bytes);
    // Largest first, so that no thread is left alone with a large file at the end.
    files.sort_by(|a, b| b.size_bytes.cmp(&a.size_bytes).then_with(|| a.path.cmp(&b.path)));
    let job = Job {
        root,
        files: &files,
        plan,
        tensors,
        interrupted,
        progress,
        hasher,
        next: AtomicUsize::new(0),
        failed: AtomicBool::new(false),
        tensors_left: AtomicUsize::new(TENSORS_MAX),
    };
    let outcomes = job.run()?;
    hasher.health().map_err(MeasureError::Engine)?;
    Ok(outcomes)
}

/// What the threads that read files share.
struct Job<'a> {
    root: &'a Root,
    files: &'a [Listed],
    plan: Plan,
    tensors: Tensors,
    interrupted: &'a AtomicBool,
    progress: &'a dyn Progress,
    hasher: &'a dyn Hasher,
    /// Index of the next file that nobody has taken.
    next: AtomicUsize,
    /// Some thread has met an error; the others stop.
    failed: AtomicBool,
    tensors_left: AtomicUsize,
}

impl Job<'_> {
    /// Measures every file; the first error in the order of files wins over later ones and over the stop it caused.
    fn run(&self) -> Result<Vec<Outcome>, MeasureError> {
        let helpers = self.hasher.files_in_parallel().min(self.files.len()).saturating_sub(1);
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

    /// Takes files until none is left or something fails.
    fn work(&self) -> Vec<(usize, Result<Outcome, MeasureError>)> {
        let mut buffers = Buffers::default();
        let mut results = Vec::new();
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(listed) = self.files.get(index) else { return results };
            let result =
                if self.is_stopped() { Err(MeasureError::Interrupted) } else { self.file(listed, &mut buffers) };
            let is_error = result.is_err();
            results.push((index, result));
            if is_error {
                self.failed.store(true, Ordering::Relaxed);
                return results;
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed) || self.failed.load(Ordering::Relaxed)
    }

    fn file(&self, listed: &Listed, buffers: &mut Buffers) -> Result<Outcome, MeasureError> {
        self.progress.file(listed.path.as_str());
        let path = || self.root.shown(&listed.found);
        let mut file = File::from(self.root.open_file(&listed.below)?);
        let before = examine(&file, path)?;
        let format = match self.tensors {
            Tensors::Ignored => None,
            Tensors::Required | Tensors::Noted => WeightFormat::of(listed.path.as_str()),
        };
        let mut scan = format.map(|format| WeightScan::new(format, before.size_bytes));
        let is_strict = self.tensors == Tensors::Required;
        let on_window = |size_bytes: u64, _: &PassState, fault: Option<&HeaderError>| {
            self.progress.bytes(size_bytes);
            match (format, fault) {
                (Some(format), Some(fault)) if is_strict => Err(PassError::Malformed(format, fault.clone())),
                _ if self.is_stopped() => Err(PassError::Interrupted),
                _ => Ok(()),
            }
        };
        let start = PassState::new(self.plan);
        let end = read_once(&mut file, before.size_bytes, self.hasher, buffers, start, scan.as_mut(), &on_window)
            .map_err(|stop| match stop {
                PassError::Read(source) => MeasureError::Unreadable { path: path(), source },
                PassError::Shrank => MeasureError::FileChanged { path: path(), how: "it became shorter" },
                PassError::Grew => MeasureError::FileChanged { path: path(), how: "it became longer" },
                PassError::Malformed(format, fault) => MeasureError::Weights { path: path(), format, fault },
                PassError::Engine(fault) => MeasureError::Engine(fault),
                PassError::Interrupted => MeasureError::Interrupted,
            })?;
        if examine(&file, path)? != before {
            return Err(MeasureError::FileChanged { path: path(), how: "its size or time changed" });
        }
        let mut note = None;
        let weights = match format.zip(scan.map(WeightScan::finish)) {
            None => None,
            Some((_, Ok(index))) => Some(index),
            Some((format, Err(fault))) if is_strict => {
                return Err(MeasureError::Weights { path: path(), format, fault });
            }
            Some((_, Err(fault))) => {
                let reason = format!("{}: {fault}", fault.code());
                note = Some(UnreadableWeights { path: listed.path.clone(), reason });
                None
            }
        };
        let tensors = weights.as_ref().map_or(0, |index| index.tensors.len());
        self.tensors_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(tensors))
            .map_err(|_| MeasureError::TooManyTensors { path: path() })?;
        let (digests, subtrees) = end.finish();
        let (path, size_bytes) = (listed.path.clone(), before.size_bytes);
        Ok((HashedFile { path, size_bytes, digests, subtrees, weights }, note))
    }
}

/// What must be the same before and after reading. The change time is there because the modification time can be set
/// back; it also moves on a rename or chmod, which while hashing is reason enough to ask again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) size_bytes: u64,
    device: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Looks at an open file; refuses what is not a regular file of an acceptable size.
pub(crate) fn examine(file: &File, path: impl Fn() -> PathBuf) -> Result<Identity, MeasureError> {
    let found: Metadata = file.metadata().map_err(|source| MeasureError::Unreadable { path: path(), source })?;
    if !found.is_file() {
        return Err(MeasureError::NotRegular { path: path(), kind: "something that took a file's place" });
    }
    if found.size() > FILE_SIZE_BYTES_MAX {
        return Err(MeasureError::TooLarge { path: path(), size_bytes: found.size() });
    }
    Ok(Identity {
        size_bytes: found.size(),
        device: found.dev(),
        inode: found.ino(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}
