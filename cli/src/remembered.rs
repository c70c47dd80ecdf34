//! What is remembered of files between runs: the digests of unchanged ones (cache), and how far a stopped run came
//! (checkpoint). Both save reading; neither is needed for anything, and no verification ever looks at them.
//!
//! A file is recognised by its size, device, inode, modification and change time together. What changed within the
//! granularity of time stamps before it was read is not remembered. Both are sealed (`seal`), so that only what this
//! program wrote for this user is believed.

mod seal;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chopmark_core::digest::Sha256Digest;
use chopmark_core::manifest::FilePath;
use chopmark_gpu_verify::{HashedFile, Identity, Known, Memory, StoppedFile};

use self::seal::Seal;
use crate::config::Directories;
use crate::exit::Failure;
use crate::units;

/// Largest document, in bytes: the entries of the largest manifest, or the values of eight terabytes in base64.
const DOCUMENT_SIZE_BYTES_MAX: usize = 400 << 20;

/// Most documents of one kind; each is of one directory or file that was registered or hashed.
const DOCUMENTS_MAX: usize = 4_096;

/// How often a document is written while files are read: what a killed run loses.
const SAVED_EVERY: Duration = Duration::from_secs(1);

/// At most one part in so many of the time is spent on that: a document can be large.
const SAVED_ONE_IN: u32 = 50;

/// Most bytes of all documents of one kind together.
const DOCUMENTS_SIZE_BYTES_MAX: u64 = 512 << 20;

/// What is remembered, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Digests of whole files, for `register`: below the cache directory.
    Cache,
    /// How far `hash` came: below the state directory.
    Checkpoint,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    identity: Identity,
    /// Whether a GPU computed it of whose values only some were computed again on the CPU.
    is_sampled: bool,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Whole(HashedFile),
    Part(StoppedFile),
}

/// What is remembered of the files at one path.
#[derive(Debug)]
pub(crate) struct Remembered {
    document: PathBuf,
    root: PathBuf,
    directories: Directories,
    wants: Wants,
    known: BTreeMap<FilePath, Item>,
    run: Mutex<Run>,
    saved: Mutex<Saved>,
}

/// What a run needs of what is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wants {
    /// Whether anything is to be recalled.
    pub(crate) recalled: bool,
    /// Whether this run itself is content with a GPU's values of which only some are computed again. To any other, what
    /// such a run found out is unknown.
    pub(crate) sampled: bool,
}

/// When the document was last written.
#[derive(Debug)]
struct Saved {
    at: Instant,
    /// How long from then on it is not written again.
    pause: Duration,
}

/// What this run did.
#[derive(Debug, Default)]
struct Run {
    /// Files read to the end, each once. In no order: of ten thousand small ones, most runs end before anybody asks.
    whole: Vec<(FilePath, Item)>,
    /// How far the others came.
    parts: BTreeMap<FilePath, Item>,
    recalled: Recalled,
}

/// What did not have to be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Recalled {
    /// Files that were not read at all.
    pub(crate) files: u64,
    /// Files whose reading went on from where it had stopped.
    pub(crate) parts: BTreeSet<FilePath>,
    /// Files that were known and are not the same any more: they were read from the start.
    pub(crate) changed: BTreeSet<FilePath>,
}

impl Remembered {
    /// What is remembered of the files at `root`; nothing, unless it is to be recalled.
    ///
    /// # Errors
    /// When there is no place for it, or no key to seal it with.
    pub(crate) fn open(kind: Kind, directories: &Directories, root: &Path, wants: Wants) -> Result<Self, Failure> {
        let root = root.canonicalize().map_err(|error| Failure::file("find", root, &error))?;
        let directory = match kind {
            Kind::Cache => directories.cache()?.join("digests"),
            Kind::Checkpoint => directories.state()?.join("checkpoints"),
        };
        let name = Sha256Digest::of(root.as_os_str().as_bytes());
        let document = directory.join(format!("{name}.json"));
        let mut known = BTreeMap::new();
        if wants.recalled {
            let content = Seal::open(directories)?.read(&document, DOCUMENT_SIZE_BYTES_MAX);
            known = content.and_then(|content| wire::read(&content)).unwrap_or_default();
        }
        let directories = directories.clone();
        let saved = Mutex::new(Saved { at: Instant::now(), pause: SAVED_EVERY });
        Ok(Self { document, root, directories, wants, known, run: Mutex::default(), saved })
    }

    /// What did not have to be read so far.
    pub(crate) fn recalled(&self) -> Recalled {
        self.run().recalled.clone()
    }

    /// Writes what this run found out. When it was cut short, what was known before and not come to stays.
    ///
    /// Returns how many whole files and parts are kept; none when it can't be written, since nothing depends on it.
    pub(crate) fn keep(&self, is_complete: bool) -> (u64, u64) {
        // Whoever is writing it meanwhile comes to an end first.
        let _saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = self.save(is_complete);
        if let Some(directory) = self.document.parent() {
            seal::bound(directory, DOCUMENTS_MAX, DOCUMENTS_SIZE_BYTES_MAX);
        }
        kept
    }

    /// Writes, if it is time, what there is so far: what a killed run leaves.
    fn save_if_due(&self) {
        // Another thread writes it already.
        let Ok(mut saved) = self.saved.try_lock() else { return };
        if saved.at.elapsed() < saved.pause {
            return;
        }
        let began = Instant::now();
        self.save(false);
        *saved = Saved { at: Instant::now(), pause: SAVED_EVERY.max(began.elapsed().saturating_mul(SAVED_ONE_IN)) };
    }

    fn save(&self, is_complete: bool) -> (u64, u64) {
        let mut items = if is_complete { BTreeMap::new() } else { self.known.clone() };
        let run = self.run();
        // What changed is not what was known.
        items.retain(|path, _| !run.recalled.changed.contains(path));
        items.extend(run.parts.iter().map(|(path, item)| (path.clone(), item.clone())));
        items.extend(run.whole.iter().cloned());
        drop(run);
        let parts = items.values().filter(|item| matches!(item.content, Content::Part(_))).count();
        let (parts, whole) = (units::length(parts), units::length(items.len() - parts));
        if items.is_empty() {
            return (0, 0);
        }
        let content = wire::write(self.root.to_string_lossy().into_owned(), &items);
        let content = content.filter(|content| content.len() <= DOCUMENT_SIZE_BYTES_MAX);
        let write = |content: Vec<u8>| Seal::open(&self.directories).ok()?.write(&self.document, &content).ok();
        let is_written = content.and_then(write).is_some();
        if is_written { (whole, parts) } else { (0, 0) }
    }

    /// Removes what is remembered: the work it saved is done.
    pub(crate) fn forget(&self) {
        let _ = fs::remove_file(&self.document);
    }

    fn run(&self) -> MutexGuard<'_, Run> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory for Remembered {
    fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn known(&self, path: &FilePath, identity: &Identity) -> Known {
        let is_checked = |item: &&Item| !item.is_sampled || self.wants.sampled;
        let Some(item) = self.known.get(path).filter(is_checked) else { return Known::Nothing };
        if item.identity != *identity {
            self.run().recalled.changed.insert(path.clone());
            return Known::Nothing;
        }
        match &item.content {
            Content::Whole(file) => Known::Whole(file.clone()),
            Content::Part(part) => Known::Part(part.clone()),
        }
    }

    fn used(&self, path: &FilePath) {
        let mut run = self.run();
        match self.known.get(path) {
            Some(item) if matches!(item.content, Content::Whole(_)) => {
                run.recalled.files += 1;
                run.whole.push((path.clone(), item.clone()));
            }
            _ => {
                run.recalled.parts.insert(path.clone());
            }
        }
    }

    fn finished(&self, identity: &Identity, file: &HashedFile) {
        let (identity, is_sampled) = (*identity, self.wants.sampled);
        let item = Item { identity, is_sampled, content: Content::Whole(file.clone()) };
        self.run().whole.push((file.path.clone(), item));
        self.save_if_due();
    }

    fn stopped(&self, path: &FilePath, identity: &Identity, part: StoppedFile) {
        let (identity, is_sampled) = (*identity, self.wants.sampled);
        let item = Item { identity, is_sampled, content: Content::Part(part) };
        self.run().parts.insert(path.clone(), item);
        self.save_if_due();
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use chopmark_core::digest::Blake3Digest;
    use chopmark_gpu_verify::FileDigests;

    use super::*;

    /// What a GPU computed and only a sample confirmed is worth nothing to a run that would not have been content with it.
    #[test]
    fn what_was_sampled_is_unknown_to_those_who_check_everything() {
        let home = tempfile::tempdir().unwrap();
        let text = home.path().as_os_str().to_owned();
        let directories = Directories::of(&|name| (name == "HOME").then(|| text.clone()));
        File::create(home.path().join("f")).unwrap();
        let open = |sampled| {
            let wants = Wants { recalled: true, sampled };
            Remembered::open(Kind::Checkpoint, &directories, &home.path().join("f"), wants).unwrap()
        };
        let path = FilePath::parse("f").unwrap();
        let identity = Identity { size_bytes: 0, device: 1, inode: 2, modified: (3, 4), changed: (5, 6) };
        let digests = FileDigests { blake3: Some(Blake3Digest::of(b"")), ..FileDigests::default() };
        let file = HashedFile { path: path.clone(), size_bytes: 0, digests, subtrees: Vec::new(), weights: None };
        for (by_sample, to_sample, to_others) in [(true, true, false), (false, true, true)] {
            let run = open(by_sample);
            run.finished(&identity, &file);
            assert_eq!(run.keep(true), (1, 0));
            let is_known = |sampled| open(sampled).known(&path, &identity) != Known::Nothing;
            assert_eq!((is_known(true), is_known(false)), (to_sample, to_others), "{by_sample}");
        }
        // Kept by another run, it is still what it was.
        let run = open(true);
        run.used(&path);
        assert_eq!(run.recalled().files, 1);
    }
}
