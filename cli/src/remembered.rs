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

use chopmark_core::digest::Sha256Digest;
use chopmark_core::manifest::FilePath;
use chopmark_gpu_verify::{HashedFile, Identity, Known, Memory, SUBTREE_SIZE_BYTES, StoppedFile};

use self::seal::Seal;
use crate::config::Directories;
use crate::exit::Failure;
use crate::units;

/// Largest document, in bytes: the entries of the largest manifest, or the values of eight terabytes in base64.
const DOCUMENT_SIZE_BYTES_MAX: usize = 400 << 20;

/// Most documents of one kind; each is of one directory or file that was registered or hashed.
const DOCUMENTS_MAX: usize = 4_096;

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
    /// [`Identity`] as text.
    identity: String,
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
    /// Whether every subtree's value is needed, so that a file without them is not known.
    keep_subtrees: bool,
    known: BTreeMap<FilePath, Item>,
    run: Mutex<Run>,
}

/// What this run did.
#[derive(Debug, Default)]
struct Run {
    items: BTreeMap<FilePath, Item>,
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
    pub(crate) fn open(
        kind: Kind,
        directories: &Directories,
        root: &Path,
        is_recalled: bool,
        keep_subtrees: bool,
    ) -> Result<Self, Failure> {
        let root = root.canonicalize().map_err(|error| Failure::file("find", root, &error))?;
        let directory = match kind {
            Kind::Cache => directories.cache()?.join("digests"),
            Kind::Checkpoint => directories.state()?.join("checkpoints"),
        };
        let name = Sha256Digest::of(root.as_os_str().as_bytes());
        let document = directory.join(format!("{name}.json"));
        let mut known = BTreeMap::new();
        if is_recalled {
            let content = Seal::open(directories)?.read(&document, DOCUMENT_SIZE_BYTES_MAX);
            known = content.and_then(|content| wire::read(&content)).unwrap_or_default();
        }
        let directories = directories.clone();
        Ok(Self { document, root, directories, keep_subtrees, known, run: Mutex::default() })
    }

    /// Whether anything was recalled that files can be compared with.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// What did not have to be read so far.
    pub(crate) fn recalled(&self) -> Recalled {
        self.run().recalled.clone()
    }

    /// Writes what this run found out. When it was cut short, what was known before and not come to stays.
    ///
    /// Returns how many whole files and parts are kept; none when it can't be written, since nothing depends on it.
    pub(crate) fn keep(&self, is_complete: bool) -> (u64, u64) {
        let mut items = if is_complete { BTreeMap::new() } else { self.known.clone() };
        let run = self.run();
        // What changed is not what was known.
        items.retain(|path, _| !run.recalled.changed.contains(path));
        items.extend(run.items.iter().map(|(path, item)| (path.clone(), item.clone())));
        let parts = items.values().filter(|item| matches!(item.content, Content::Part(_))).count();
        let (parts, whole) = (units::length(parts), units::length(items.len() - parts));
        if items.is_empty() {
            return (0, 0);
        }
        let content = wire::write(self.root.to_string_lossy().into_owned(), &items);
        let content = content.filter(|content| content.len() <= DOCUMENT_SIZE_BYTES_MAX);
        let write = |content: Vec<u8>| Seal::open(&self.directories).ok()?.write(&self.document, &content).ok();
        let is_written = content.and_then(write).is_some();
        if let Some(directory) = self.document.parent() {
            seal::bound(directory, DOCUMENTS_MAX, DOCUMENTS_SIZE_BYTES_MAX);
        }
        if is_written { (whole, parts) } else { (0, 0) }
    }

    /// Removes what is remembered: the work it saved is done.
    pub(crate) fn forget(&self) {
        let _ = fs::remove_file(&self.document);
    }

    fn run(&self) -> MutexGuard<'_, Run> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_sufficient(&self, content: &Content) -> bool {
        match content {
            _ if !self.keep_subtrees => true,
            Content::Whole(file) => {
                let is_one_subtree =
                    usize::try_from(file.size_bytes).is_ok_and(|size_bytes| size_bytes <= SUBTREE_SIZE_BYTES);
                is_one_subtree || !file.subtrees.is_empty()
            }
            Content::Part(part) => part.subtrees.is_some(),
        }
    }
}

impl Memory for Remembered {
    fn known(&self, path: &FilePath, identity: &Identity) -> Known {
        let Some(item) = self.known.get(path).filter(|item| self.is_sufficient(&item.content)) else {
            return Known::Nothing;
        };
        let mut run = self.run();
        if item.identity != identity.to_string() {
            run.recalled.changed.insert(path.clone());
            return Known::Nothing;
        }
        match &item.content {
            Content::Whole(file) => {
                run.recalled.files += 1;
                run.items.insert(path.clone(), item.clone());
                Known::Whole(file.clone())
            }
            Content::Part(part) => {
                run.recalled.parts.insert(path.clone());
                Known::Part(part.clone())
            }
        }
    }

    fn finished(&self, identity: &Identity, file: &HashedFile) {
        let item = Item { identity: identity.to_string(), content: Content::Whole(file.clone()) };
        self.run().items.insert(file.path.clone(), item);
    }

    fn stopped(&self, path: &FilePath, identity: &Identity, part: StoppedFile) {
        let item = Item { identity: identity.to_string(), content: Content::Part(part) };
        self.run().items.insert(path.clone(), item);
    }
}
