//! Measuring a directory or a file of unknown origin: from a path to a manifest, each byte read once.
//!
//! Here is what is asked and what is answered; the reading itself is in `job.rs`.

use core::mem;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use blake3::hazmat::ChainingValue;
use chopmark_core::manifest::{ExclusionProfile, FileEntry, FilePath, MANIFEST_SIZE_BYTES_MAX, Manifest};
use chopmark_core::verify::UnreadableWeights;

use crate::cache::CachedRepository;
use crate::digests::{DigestSelection, FileDigests, HashedFile};
use crate::error::MeasureError;
use crate::hasher::Hasher;
use crate::job::{Caller, Outcome, Tensors, read_all, sum_size_bytes};
use crate::memory::Memory;
use crate::open::Root;
use crate::pass::Plan;
use crate::pickle::{self, FileNote};
use crate::progress::Progress;
use crate::verity::FsverityDigest;
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
    /// Which digests to compute. [`measure()`] computes those of a manifest in any case.
    pub digests: DigestSelection,
    /// Whether to keep the BLAKE3 chaining values of each file's subtrees: 32 bytes for each MiB.
    pub keep_subtrees: bool,
    /// What is remembered of the files from an earlier run. For a verification nothing ever is.
    pub memory: Option<&'a dyn Memory>,
    /// Set by the caller, from any thread, to stop with [`MeasureError::Interrupted`] after the current window.
    pub interrupted: &'a AtomicBool,
}

/// What was found: a manifest, and beside it what a manifest has no place for.
#[derive(Debug)]
pub struct Measured {
    /// The files, with their digests.
    pub manifest: Manifest,
    /// The fs-verity digest of each file, if asked for.
    pub fsverity: BTreeMap<FilePath, FsverityDigest>,
    /// The BLAKE3 chaining values of each file's subtrees of [`crate::SUBTREE_SIZE_BYTES`], in order, if they were to be
    /// kept; none for a file of one subtree or none.
    pub subtrees: BTreeMap<FilePath, Vec<ChainingValue>>,
    /// Weight files whose header is malformed; always empty for [`Purpose::Register`].
    pub unreadable: Vec<UnreadableWeights>,
    /// Files and directories that the exclusion profile left out: nothing is known about them.
    pub excluded: Vec<FilePath>,
    /// The commit of the snapshot, for a repository in the Hugging Face cache.
    pub revision: Option<String>,
    /// Files of the manifest whose bytes were not read: blobs of a container image, known by digest.
    pub not_read: Vec<FilePath>,
    /// What else there is to know about files, such as which run code when they are loaded.
    pub notes: Vec<FileNote>,
}

/// Files as bytes, with the digests asked for and no others.
#[derive(Debug)]
pub struct Hashed {
    /// The files, by path.
    pub files: Vec<HashedFile>,
    /// The rule by which files were left out.
    pub exclusions: ExclusionProfile,
    /// Files and directories that the exclusion profile left out: nothing is known about them.
    pub excluded: Vec<FilePath>,
    /// The commit of the snapshot, for a repository in the Hugging Face cache.
    pub revision: Option<String>,
    /// What else there is to know about files.
    pub notes: Vec<FileNote>,
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
    let options = MeasureOptions { digests: options.digests.with_manifest(), ..*options };
    let tensors = match options.purpose {
        Purpose::Register => Tensors::Required,
        Purpose::Verify | Purpose::Attest => Tensors::Noted,
    };
    let (outcomes, listed) = hash_all(path, &options, tensors, progress, hasher)?;
    let (mut fsverity, mut subtrees) = (BTreeMap::new(), BTreeMap::new());
    let mut entries = Vec::with_capacity(outcomes.len());
    let (mut unreadable, notes) = (Vec::new(), notes(&outcomes));
    for Outcome { mut file, note, .. } in outcomes {
        unreadable.extend(note);
        fsverity.extend(file.digests.fsverity.map(|digest| (file.path.clone(), digest)));
        if options.keep_subtrees {
            subtrees.insert(file.path.clone(), mem::take(&mut file.subtrees));
        }
        entries.extend(entry(file));
    }
    unreadable.sort_by(|a, b| a.path.cmp(&b.path));
    let manifest = Manifest::new(listed.exclusions, entries)
        .map_err(|fault| MeasureError::Manifest { path: path.to_owned(), fault })?;
    if options.purpose == Purpose::Register {
        let size_bytes = manifest.to_canonical_bytes().len();
        if size_bytes > MANIFEST_SIZE_BYTES_MAX {
            return Err(MeasureError::ManifestTooLarge { path: path.to_owned(), size_bytes });
        }
    }
    let (revision, excluded) = (listed.revision(), listed.excluded);
    Ok(Measured { manifest, fsverity, subtrees, unreadable, excluded, revision, not_read: Vec::new(), notes })
}

/// Computes the digests asked for of the directory or the regular file at `path`, and no others: weight files are bytes
/// like any.
///
/// # Errors
/// As [`measure()`].
pub fn hash_files(
    path: &Path,
    options: &MeasureOptions<'_>,
    progress: &dyn Progress,
    hasher: &dyn Hasher,
) -> Result<Hashed, MeasureError> {
    let (outcomes, listed) = hash_all(path, options, Tensors::Ignored, progress, hasher)?;
    let notes = notes(&outcomes);
    let mut files: Vec<HashedFile> = outcomes.into_iter().map(|outcome| outcome.file).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let (revision, Found { exclusions, excluded, .. }) = (listed.revision(), listed);
    Ok(Hashed { files, exclusions, excluded, revision, notes })
}

/// What else there is to know about files that were read.
fn notes(outcomes: &[Outcome]) -> Vec<FileNote> {
    pickle::notes(outcomes.iter().filter(|outcome| outcome.is_pickle).map(|outcome| outcome.file.path.clone()))
}

/// Reads files that were listed already, as nothing but bytes.
pub(crate) fn read_files(
    root: &Root,
    files: Vec<Listed>,
    interrupted: &AtomicBool,
    progress: &dyn Progress,
    hasher: &dyn Hasher,
) -> Result<Vec<FileEntry>, MeasureError> {
    let plan = Plan { digests: DigestSelection::MANIFEST, keep_subtrees: false };
    progress.total(u64::try_from(files.len()).unwrap_or(u64::MAX), sum_size_bytes(&files));
    let read = read_all(root, files, plan, Tensors::Noted, Caller { interrupted, progress, memory: None }, hasher)?;
    Ok(read.into_iter().filter_map(|outcome| entry(outcome.file)).collect())
}

/// A line of a manifest; `None` without a SHA-256.
pub(crate) fn entry(file: HashedFile) -> Option<FileEntry> {
    let HashedFile { path, size_bytes, digests: FileDigests { sha256, blake3, fsverity: _ }, weights, .. } = file;
    sha256.map(|sha256| FileEntry { path, size_bytes, sha256, blake3, weights })
}

/// What lies at a path, before any file is read.
pub(crate) struct Found<'a> {
    place: Place<'a>,
    pub(crate) files: Vec<Listed>,
    pub(crate) exclusions: ExclusionProfile,
    pub(crate) excluded: Vec<FilePath>,
}

impl Found<'_> {
    /// What bounds everything that is opened.
    pub(crate) fn root(&self) -> &Root {
        match &self.place {
            Place::Directory(root) | Place::Snapshot(root, _) | Place::File(root, _) => root,
        }
    }

    /// The commit, for a repository in the Hugging Face cache.
    pub(crate) fn revision(&self) -> Option<String> {
        match &self.place {
            Place::Snapshot(_, commit) => Some(commit.clone()),
            Place::Directory(_) | Place::File(..) => None,
        }
    }
}

/// Lists what lies at `path`.
pub(crate) fn find<'a>(path: &'a Path, options: &MeasureOptions<'_>) -> Result<Found<'a>, MeasureError> {
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
    Ok(Found { place, files, exclusions, excluded })
}

/// Lists what lies at `path` and reads it.
fn hash_all<'a>(
    path: &'a Path,
    options: &MeasureOptions<'_>,
    tensors: Tensors,
    progress: &dyn Progress,
    hasher: &dyn Hasher,
) -> Result<(Vec<Outcome>, Found<'a>), MeasureError> {
    let hasher = match options.purpose {
        Purpose::Register | Purpose::Attest => hasher.fully_checked().unwrap_or(hasher),
        Purpose::Verify => hasher,
    };
    let mut found = find(path, options)?;
    let files = mem::take(&mut found.files);
    if files.is_empty() && options.purpose == Purpose::Register {
        return Err(MeasureError::NoFiles { path: path.to_owned() });
    }
    progress.total(u64::try_from(files.len()).unwrap_or(u64::MAX), sum_size_bytes(&files));
    let plan = Plan { digests: options.digests, keep_subtrees: options.keep_subtrees };
    let caller = Caller { interrupted: options.interrupted, progress, memory: options.memory };
    let outcomes = read_all(found.root(), files, plan, tensors, caller, hasher)?;
    Ok((outcomes, found))
}

enum Place<'a> {
    Directory(Root),
    /// A repository in the cache, and the commit that counts.
    Snapshot(Root, String),
    File(Root, &'a OsStr),
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
