//! Measuring a directory or a file of unknown origin: from a path to a manifest, each byte read once.
//!
//! Memory: two windows per file in flight (rayon: at most 16 files × 2 × 4 MiB), one header of at most 32 MiB per weight
//! file in flight, and the entries of the manifest itself.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use chopmark_core::manifest::{
    ExclusionProfile, FileEntry, FilePath, MANIFEST_SIZE_BYTES_MAX, Manifest, TENSORS_MAX, WeightFormat,
};
use chopmark_core::verify::UnreadableWeights;

use crate::cache::CachedRepository;
use crate::error::{FILE_SIZE_BYTES_MAX, MeasureError};
use crate::hasher::Hasher;
use crate::open::Root;
use crate::pass::{Buffers, PassError, read_once};
use crate::progress::Progress;
use crate::scan::WeightScan;
use crate::walk::{Listed, Listing, list_directory, list_file};

/// What the measurement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be signed: a malformed weight file, an empty directory and a manifest above its limit are errors, and what a
    /// GPU computed is computed again on the CPU ([`Hasher::fully_checked`]).
    Register,
    /// To be compared, and signed for if all is equal: as [`Purpose::Verify`], with digests checked as for
    /// [`Purpose::Register`].
    Attest,
    /// To be compared: a malformed weight file is noted, so that the difference can still be shown.
    Verify,
}

/// How to measure.
#[derive(Debug, Clone, Copy)]
pub struct MeasureOptions<'a> {
    /// Which files of a directory do not count; a verifier takes it from the manifest. A single file always counts.
    pub exclusions: ExclusionProfile,
    /// What the measurement is for.
    pub purpose: Purpose,
    /// The name a single file is to have in the manifest; its own if `None`. A verifier takes it from
    /// [`Manifest::only_file`], so that a renamed file is recognised by its content.
    pub file_name: Option<&'a FilePath>,
    /// Which revision of a repository in the Hugging Face cache: a commit, or a name in its `refs`.
    pub revision: Option<&'a str>,
    /// Set by the caller, from any thread, to stop with [`MeasureError::Interrupted`] after the current window.
    pub interrupted: &'a AtomicBool,
}

/// What was found.
#[derive(Debug)]
pub struct Measured {
    /// The files, with their digests.
    pub manifest: Manifest,
    /// Weight files whose header is malformed; always empty for [`Purpose::Register`].
    pub unreadable: Vec<UnreadableWeights>,
    /// Files and directories that the exclusion profile left out: nothing is known about them.
    pub excluded: Vec<FilePath>,
    /// The commit of the snapshot, for a repository in the Hugging Face cache.
    pub revision: Option<String>,
    /// Files of the manifest whose bytes were not read: blobs of a container image, known by digest.
    pub not_read: Vec<FilePath>,
}

/// Measures the directory or the regular file at `path`.
///
/// # Errors
/// A [`MeasureError`] naming the file and what to do. Nothing that lies at `path` makes this hang or panic.
pub fn measure(
    path: &Path,
    options: &MeasureOptions<'_>,
    progress: &dyn Progress,
    hasher: &dyn Hasher,
) -> Result<Measured, MeasureError> {
    let hasher = match options.purpose {
        Purpose::Register | Purpose::Attest => hasher.fully_checked().unwrap_or(hasher),
        Purpose::Verify => hasher,
    };
    let is_interrupted = || options.interrupted.load(Ordering::Relaxed);
    let place = place(path, options.revision)?;
    let (listing, exclusions) = match &place {
        Place::Directory(root) => {
            (list_directory(root, None, options.exclusions, &is_interrupted)?, options.exclusions)
        }
        Place::Snapshot(root, commit) => {
            let snapshot = Path::new("snapshots").join(commit);
            (list_directory(root, Some(&snapshot), options.exclusions, &is_interrupted)?, options.exclusions)
        }
        Place::File(root, name) => (list_file(root, name, options.file_name)?, ExclusionProfile::None),
    };
    let Listing { files, excluded } = listing;
    if files.is_empty() && options.purpose == Purpose::Register {
        return Err(MeasureError::NoFiles { path: path.to_owned() });
    }
    let mut entries = Vec::with_capacity(files.len());
    let mut unreadable = Vec::new();
    for (entry, note) in read_all(place.root(), files, options, progress, hasher)? {
        entries.push(entry);
        unreadable.extend(note);
    }
    unreadable.sort_by(|a, b| a.path.cmp(&b.path));
    let manifest =
        Manifest::new(exclusions, entries).map_err(|fault| MeasureError::Manifest { path: path.to_owned(), fault })?;
    if options.purpose == Purpose::Register {
        let size_bytes = manifest.to_canonical_bytes().len();
        if size_bytes > MANIFEST_SIZE_BYTES_MAX {
            return Err(MeasureError::ManifestTooLarge { path: path.to_owned(), size_bytes });
        }
    }
    Ok(Measured { manifest, unreadable, excluded, revision: place.into_revision(), not_read: Vec::new() })
}

/// Reads files that were listed already, as nothing but bytes.
pub(crate) fn read_files(
    root: &Root,
    files: Vec<Listed>,
    interrupted: &AtomicBool,
    progress: &dyn Progress,
    hasher: &dyn Hasher,
) -> Result<Vec<FileEntry>, MeasureError> {
    let options = MeasureOptions {
        exclusions: ExclusionProfile::None,
        purpose: Purpose::Verify,
        file_name: None,
        revision: None,
        interrupted,
    };
    let read = read_all(root, files, &options, progress, hasher)?;
    Ok(read.into_iter().map(|(entry, _)| entry).collect())
}

fn read_all(
    root: &Root,
    mut files: Vec<Listed>,
    options: &MeasureOptions<'_>,
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
        options,
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

enum Place<'a> {
    Directory(Root),
    /// A repository in the cache, and the commit that counts.
    Snapshot(Root, String),
    File(Root, &'a OsStr),
}

impl Place<'_> {
    fn root(&self) -> &Root {
        match self {
            Self::Directory(root) | Self::Snapshot(root, _) | Self::File(root, _) => root,
        }
    }

    fn into_revision(self) -> Option<String> {
        match self {
            Self::Snapshot(_, commit) => Some(commit),
            Self::Directory(_) | Self::File(..) => None,
        }
    }
}

/// A directory is opened as the user named it; a file is looked up in its directory, so that a link is seen as one.
fn place<'a>(path: &'a Path, revision: Option<&str>) -> Result<Place<'a>, MeasureError> {
    if let Some(repository) = CachedRepository::at(path) {
        return repository.open(revision).map(|(root, commit)| Place::Snapshot(root, commit));
    }
    if revision.is_some() {
        let reason = "only a repository in a Hugging Face cache (models--…, datasets--…) has revisions".to_owned();
        return Err(MeasureError::Revision { path: path.to_owned(), reason });
    }
    if path.is_dir() {
        return Root::open(path).map(Place::Directory);
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Root::open(parent).map(|root| Place::File(root, name)),
        _ => Err(MeasureError::NotFound { path: path.to_owned() }),
    }
}

type Outcome = (FileEntry, Option<UnreadableWeights>);

/// What the threads that read files share.
struct Job<'a> {
    root: &'a Root,
    files: &'a [Listed],
    options: &'a MeasureOptions<'a>,
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
        self.options.interrupted.load(Ordering::Relaxed) || self.failed.load(Ordering::Relaxed)
    }

    fn file(&self, listed: &Listed, buffers: &mut Buffers) -> Result<Outcome, MeasureError> {
        self.progress.file(listed.path.as_str());
        let path = || self.root.shown(&listed.found);
        let mut file = File::from(self.root.open_file(&listed.below)?);
        let before = examine(&file, path)?;
        let format = WeightFormat::of(listed.path.as_str());
        let mut scan = format.map(|format| WeightScan::new(format, before.size_bytes));
        let is_strict = self.options.purpose == Purpose::Register;
        let digests =
            read_once(&mut file, before.size_bytes, self.hasher, buffers, scan.as_mut(), &|size_bytes, fault| {
                self.progress.bytes(size_bytes);
                match (format, fault) {
                    (Some(format), Some(fault)) if is_strict => Err(PassError::Malformed(format, fault.clone())),
                    _ if self.is_stopped() => Err(PassError::Interrupted),
                    _ => Ok(()),
                }
            })
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
        let entry = FileEntry {
            path: listed.path.clone(),
            size_bytes: before.size_bytes,
            sha256: digests.sha256,
            blake3: Some(digests.blake3),
            weights,
        };
        Ok((entry, note))
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
