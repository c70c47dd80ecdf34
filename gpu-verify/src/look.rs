//! Verifying in two looks: BLAKE3 of every file, which is enough to accept it; then all digests and tensors of those files
//! that differ, to name what differs in them. A strict verifier skips the first look.
//!
//! No digest stands in for another: [`Looked::by_blake3`] names the files of which nothing else was computed.

use core::mem;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use blake3::hazmat::ChainingValue;
use chopmark_core::digest::Blake3Digest;
use chopmark_core::manifest::{FileEntry, FilePath, Manifest, WeightIndex};
use chopmark_core::verify::{Difference, compare};

use crate::digests::DigestSelection;
use crate::error::MeasureError;
use crate::hasher::{EngineFault, Hasher};
use crate::identity::Identity;
use crate::job::{BETWEEN_LOOKS, Caller, Outcome, Tensors, read_all, sum_size_bytes};
use crate::measure::{MeasureOptions, entry, find};
use crate::open::Root;
use crate::pass::Plan;
use crate::pickle::{self, FileNote};
use crate::progress::Progress;
use crate::scan::WeightScan;
use crate::walk::Listed;

/// What was read of the files at one path: so that they are read at most twice, however many manifests they are compared
/// with.
#[derive(Debug, Default)]
pub struct Seen(BTreeMap<FilePath, SeenFile>);

#[derive(Debug)]
struct SeenFile {
    identity: Identity,
    /// From the first look.
    blake3: Option<Blake3Digest>,
    /// From the second.
    whole: Option<Outcome>,
    is_pickle: bool,
}

/// How what lies at a path differs from a manifest.
#[derive(Debug)]
pub struct Looked {
    /// What differs.
    pub difference: Difference,
    /// Files that are as registered by size, BLAKE3 and, of weight files, header; nothing else of them was computed.
    pub by_blake3: BTreeSet<FilePath>,
    /// As [`crate::Measured::subtrees`], of files that differ.
    pub subtrees: BTreeMap<FilePath, Vec<ChainingValue>>,
    /// Files and directories that the exclusion profile left out: nothing is known about them.
    pub excluded: Vec<FilePath>,
    /// The commit of the snapshot, for a repository in the Hugging Face cache.
    pub revision: Option<String>,
    /// What else there is to know about files.
    pub notes: Vec<FileNote>,
}

/// Compares the directory or the regular file at `path` with what was registered. Files that were not registered are named
/// and not read. What was read for an earlier manifest is taken from `seen`. With SHA-256 among the `digests` of the options,
/// everything is computed of every file, and has to be as registered; `purpose` and `memory` are of no importance.
///
/// # Errors
/// As [`crate::measure()`]; [`MeasureError::FileChanged`] when a file is another one at the second look.
pub fn look(
    path: &Path,
    registered: &Manifest,
    options: &MeasureOptions<'_>,
    seen: &mut Seen,
    progress: &dyn Progress,
    hasher: &dyn Hasher,
) -> Result<Looked, MeasureError> {
    let found = find(path, options)?;
    let mut look = Looking { root: found.root(), options, seen, progress, hasher };
    let (mut known, mut extra) = (Vec::new(), Vec::new());
    for file in &found.files {
        match registered.file(&file.path) {
            Some(entry) => known.push((file, entry)),
            None => extra.push(file.clone()),
        }
    }
    if !options.digests.sha256 {
        look.first(&known)?;
    }
    let mut by_blake3 = BTreeSet::new();
    let mut differing = Vec::new();
    for (file, entry) in known {
        if look.accepts(file, entry)? {
            by_blake3.insert(file.path.clone());
        } else {
            differing.push(file);
        }
    }
    look.second(&differing)?;
    let (mut entries, mut unreadable, mut subtrees) = (Vec::new(), Vec::new(), BTreeMap::new());
    for Listed { path, .. } in differing {
        if let Some(Outcome { mut file, note, .. }) = look.seen.0.get(path).and_then(|seen| seen.whole.clone()) {
            subtrees.insert(path.clone(), mem::take(&mut file.subtrees));
            unreadable.extend(note);
            entries.extend(entry(file));
        }
    }
    let fault = |fault| MeasureError::Manifest { path: path.to_owned(), fault };
    let rest = registered.files().iter().filter(|file| !by_blake3.contains(&file.path)).cloned().collect();
    let rest = Manifest::new(registered.exclusions(), rest).map_err(fault)?;
    let differing = Manifest::new(found.exclusions, entries).map_err(fault)?;
    let mut pickles = pickle::find(found.root(), &extra);
    let is_pickle = |path: &&FilePath| look.seen.0.get(*path).is_some_and(|seen| seen.is_pickle);
    pickles.extend(registered.files().iter().map(|file| &file.path).filter(is_pickle).cloned());
    let mut extra: Vec<FilePath> = extra.into_iter().map(|file| file.path).collect();
    extra.sort();
    let difference = Difference { extra, ..compare(&rest, &differing, &unreadable) };
    let revision = found.revision();
    Ok(Looked { difference, by_blake3, subtrees, excluded: found.excluded, revision, notes: pickle::notes(pickles) })
}

/// A comparison on its way.
struct Looking<'a> {
    root: &'a Root,
    options: &'a MeasureOptions<'a>,
    seen: &'a mut Seen,
    progress: &'a dyn Progress,
    hasher: &'a dyn Hasher,
}

impl Looking<'_> {
    /// Computes BLAKE3 of the files that may be the registered ones, as far as their size goes.
    fn first(&mut self, known: &[(&Listed, &FileEntry)]) -> Result<(), MeasureError> {
        let is_comparable = |(file, entry): &&(&Listed, &FileEntry)| {
            entry.blake3.is_some() && entry.size_bytes == file.size_bytes && !self.seen.0.contains_key(&file.path)
        };
        let files: Vec<Listed> = known.iter().filter(is_comparable).map(|(file, _)| (*file).clone()).collect();
        self.progress.total(u64::try_from(known.len()).unwrap_or(u64::MAX), sum_size_bytes(&files));
        for Outcome { file, identity, is_pickle, .. } in self.read(files, BLAKE3, Tensors::Ignored)? {
            let blake3 = file.digests.blake3;
            self.seen.0.insert(file.path, SeenFile { identity, blake3, whole: None, is_pickle });
        }
        Ok(())
    }

    /// Whether the first look is enough.
    fn accepts(&self, listed: &Listed, entry: &FileEntry) -> Result<bool, MeasureError> {
        let Some(seen) = self.seen.0.get(&listed.path) else { return Ok(false) };
        if seen.blake3.is_none() || (seen.identity.size_bytes, seen.blake3) != (entry.size_bytes, entry.blake3) {
            return Ok(false);
        }
        entry.weights.as_ref().map_or(Ok(true), |index| self.has_header(listed, seen.identity, index))
    }

    /// Whether a file that was read has the header of an index.
    fn has_header(&self, listed: &Listed, identity: Identity, index: &WeightIndex) -> Result<bool, MeasureError> {
        let path = || self.root.shown(&listed.found);
        let file = File::from(self.root.open_file(&listed.below)?);
        let mut read_at = |bytes: &mut [u8], at: u64| {
            file.read_exact_at(bytes, at).map_err(|source| match source.kind() {
                ErrorKind::UnexpectedEof => MeasureError::FileChanged { path: path(), how: BETWEEN_LOOKS },
                _ => MeasureError::Unreadable { path: path(), source },
            })
        };
        let has_header = WeightScan::has_header(index, identity.size_bytes, &mut read_at)?;
        if Identity::of(&file, path)? == identity {
            return Ok(has_header);
        }
        Err(MeasureError::FileChanged { path: path(), how: BETWEEN_LOOKS })
    }

    /// Computes everything of the files that differ. They have to be what the first look saw.
    fn second(&mut self, differing: &[&Listed]) -> Result<(), MeasureError> {
        let mut files = Vec::new();
        for listed in differing {
            let seen = self.seen.0.get(&listed.path);
            if seen.is_none_or(|seen| seen.whole.is_none()) {
                files.push(Listed { seen: seen.map(|seen| seen.identity), ..(*listed).clone() });
            }
        }
        if files.is_empty() {
            return Ok(());
        }
        self.progress.total(0, sum_size_bytes(&files));
        let found: BTreeMap<FilePath, _> = files.iter().map(|file| (file.path.clone(), file.found.clone())).collect();
        let plan = Plan { digests: DigestSelection::MANIFEST, keep_subtrees: self.options.keep_subtrees };
        for outcome in self.read(files, plan, Tensors::Noted)? {
            let path = outcome.file.path.clone();
            let blake3 = self.seen.0.get(&path).and_then(|seen| seen.blake3);
            // Time stamps are too coarse to tell every change.
            if blake3.is_some() && blake3 != outcome.file.digests.blake3 {
                // The file is the same by size, times and inode; of two digests of it one is the engine's mistake.
                if self.hasher.fully_checked().is_some() {
                    let reason = format!("its BLAKE3 of {path} was another one a moment before");
                    return Err(MeasureError::Engine(EngineFault { engine: self.hasher.name(), reason }));
                }
                let path = self.root.shown(found.get(&path).map_or(Path::new(path.as_str()), |found| found));
                return Err(MeasureError::FileChanged { path, how: BETWEEN_LOOKS });
            }
            let Outcome { identity, is_pickle, .. } = outcome;
            self.seen.0.insert(path, SeenFile { identity, blake3, whole: Some(outcome), is_pickle });
        }
        Ok(())
    }

    fn read(&self, files: Vec<Listed>, plan: Plan, tensors: Tensors) -> Result<Vec<Outcome>, MeasureError> {
        let caller = Caller { interrupted: self.options.interrupted, progress: self.progress, memory: None };
        read_all(self.root, files, plan, tensors, caller, self.hasher)
    }
}

/// The first look.
const BLAKE3: Plan =
    Plan { digests: DigestSelection { sha256: false, blake3: true, fsverity: false }, keep_subtrees: false };

#[cfg(test)]
mod tests;
