//! The signer's memory outside PostgreSQL: the last checkpoint this log key signed.
//!
//! One file per log key, advanced durably before a signature leaves, by compare-and-swap, under a lock that only one
//! process can hold. A database restored from before it can then never be signed over, and two signers never fork.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::tree::empty_root;
use serde::{Deserialize, Serialize};

const MARK_SCHEMA: &str = "chopmark.mark/v1";

/// What the mark says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    schema: String,
    /// Origin of the log.
    pub origin: String,
    /// Size of the last signed checkpoint; 0 when none was signed yet.
    pub size: u64,
    /// Its root.
    pub root: Sha256Digest,
}

/// Why a mark can't be used.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    /// Somebody else holds the lock.
    #[error("another process holds {}: only one may sign with a log key; stop it, or let this one use another data directory", path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
    },
    /// There is no mark.
    #[error(
        "{} is missing: without it nobody knows what this log key has signed, so nothing more is signed; \
         restore it from a backup (it is made once, when the registry is founded)",
        path.display()
    )]
    Missing {
        /// The mark file.
        path: PathBuf,
    },
    /// There is a mark where a new one was to be made.
    #[error("{} already exists: this log key belongs to a registry", path.display())]
    Exists {
        /// The mark file.
        path: PathBuf,
    },
    /// The file is not a mark of this log.
    #[error("{} is not the mark of {origin}: {reason}", path.display())]
    Foreign {
        /// The mark file.
        path: PathBuf,
        /// Origin of the log.
        origin: String,
        /// What does not fit.
        reason: String,
    },
    /// The mark moved under our feet although we hold its lock.
    #[error("{} says size {found}, this process last wrote {expected}: somebody else writes it; nothing is signed", path.display())]
    Moved {
        /// The mark file.
        path: PathBuf,
        /// What this process wrote.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// The disk failed.
    #[error("{}: {error}", path.display())]
    Io {
        /// File or directory.
        path: PathBuf,
        /// The failure.
        error: io::Error,
    },
}

/// The mark of one log key, locked for this process.
#[derive(Debug)]
pub struct Mark {
    path: PathBuf,
    signed: Signed,
    /// What a write that failed half-way may have left in the file all the same. Nothing was signed for it.
    attempted: Option<Signed>,
    /// Held open for its lock.
    _lock: File,
}

impl Mark {
    /// Makes the mark of a registry about to be founded: nothing signed yet.
    ///
    /// # Errors
    /// [`MarkError::Exists`] when there is one, [`MarkError::Held`] when another process is making one.
    pub fn create(path: &Path, origin: &str) -> Result<Self, MarkError> {
        let lock = lock(path)?;
        if path.exists() {
            return Err(MarkError::Exists { path: path.to_owned() });
        }
        let signed = Signed { schema: MARK_SCHEMA.to_owned(), origin: origin.to_owned(), size: 0, root: empty_root() };
        let mark = Self { path: path.to_owned(), signed, attempted: None, _lock: lock };
        mark.create_file(&mark.signed)?;
        Ok(mark)
    }

    /// Opens the mark of an existing registry.
    ///
    /// # Errors
    /// A [`MarkError`] that says what to do.
    pub fn open(path: &Path, origin: &str) -> Result<Self, MarkError> {
        let lock = lock(path)?;
        let (signed, _) = read(path, Some(origin))?;
        Ok(Self { path: path.to_owned(), signed, attempted: None, _lock: lock })
    }

    /// What the mark at `path` says, without taking its lock; `None` when there is no mark.
    ///
    /// # Errors
    /// When there is something else.
    pub fn peek(path: &Path) -> Result<Option<Signed>, MarkError> {
        match read(path, None) {
            Ok((signed, _)) => Ok(Some(signed)),
            Err(MarkError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What was last signed.
    pub fn signed(&self) -> &Signed {
        &self.signed
    }

    /// Moves the mark to a larger checkpoint, durably, before its signature leaves. Blocks on the disk.
    ///
    /// # Errors
    /// [`MarkError::Moved`] when the file no longer says what this process wrote; then nothing is written. After
    /// [`MarkError::Io`], which a full disk is, nothing may be signed, and the same again, or a larger checkpoint, may be
    /// tried.
    pub fn advance(&mut self, size: u64, root: Sha256Digest) -> Result<(), MarkError> {
        let (found, slot) = read(&self.path, Some(&self.signed.origin))?;
        let is_ours = found == self.signed || Some(&found) == self.attempted.as_ref();
        if !is_ours || size < found.size || (size == found.size && root != found.root) {
            return Err(MarkError::Moved { path: self.path.clone(), expected: self.signed.size, found: found.size });
        }
        let next = Signed { size, root, ..found.clone() };
        self.attempted = Some(next.clone());
        match slot {
            // Nothing new, but perhaps nobody has waited for the disk.
            Some(_) if next == found => self.flush()?,
            Some(slot) => self.write(&next, 1 - slot)?,
            None => self.create_file(&next)?,
        }
        self.signed = next;
        Ok(())
    }

    /// Makes the file: writes beside, syncs, renames, syncs the directory. After a crash it is the old one or the new one.
    fn create_file(&self, signed: &Signed) -> Result<(), MarkError> {
        let io = |error| MarkError::Io { path: self.path.clone(), error };
        let beside = self.path.with_extension("tmp");
        let slot = slot_of(signed).map_err(io)?;
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside).map_err(io)?;
        file.write_all(&[slot, EMPTY_SLOT].concat()).and_then(|()| file.sync_all()).map_err(io)?;
        fs::rename(&beside, &self.path).map_err(io)?;
        let directory = self.path.parent().unwrap_or(Path::new("."));
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(io)
    }

    fn flush(&self) -> Result<(), MarkError> {
        let flushed = OpenOptions::new().write(true).open(&self.path).and_then(|file| file.sync_data());
        flushed.map_err(|error| MarkError::Io { path: self.path.clone(), error })
    }

    /// Writes over the slot that does not hold the newest, and waits for the disk: one flush, no room needed, and whatever
    /// becomes of it, the other slot is as it was.
    fn write(&self, signed: &Signed, slot: usize) -> Result<(), MarkError> {
        let write = || {
            let file = OpenOptions::new().write(true).open(&self.path)?;
            let offset = u64::try_from(slot * SLOT_BYTES).map_err(io::Error::other)?;
            file.write_all_at(&slot_of(signed)?, offset)?;
            file.sync_data()
        };
        write().map_err(|error| MarkError::Io { path: self.path.clone(), error })
    }
}

/// Bytes of a slot: a page, so that a write that a power cut tears damages no other.
const SLOT_BYTES: usize = 4_096;

/// A slot that nothing was written to.
const EMPTY_SLOT: [u8; SLOT_BYTES] = {
    let mut slot = [b' '; SLOT_BYTES];
    slot[SLOT_BYTES - 1] = b'\n';
    slot
};

/// One line: what was signed, the SHA-256 of that, spaces up to the size of a slot.
fn slot_of(signed: &Signed) -> io::Result<[u8; SLOT_BYTES]> {
    let json = serde_json::to_vec(signed).map_err(io::Error::other)?;
    let line = [json.as_slice(), b" ", Sha256Digest::of(&json).to_hex().as_bytes()].concat();
    let mut slot = EMPTY_SLOT;
    let place = slot.get_mut(..line.len()).filter(|place| place.len() < SLOT_BYTES);
    place.ok_or_else(|| io::Error::other("the origin is too long for a mark"))?.copy_from_slice(&line);
    Ok(slot)
}

/// What a slot says; `None` for an empty one and for one that was written in part.
fn read_slot(slot: &[u8]) -> Option<Signed> {
    let (json, digest) = str::from_utf8(slot).ok()?.trim_ascii_end().rsplit_once(' ')?;
    if Sha256Digest::of(json.as_bytes()).to_hex() != digest {
        return None;
    }
    chopmark_core::strict::from_slice(json.as_bytes()).ok()
}

/// Reads a mark and, where an origin is given, checks that it is of that log. The second value is the slot it is in;
/// `None` for a file of a version that had no slots.
fn read(path: &Path, origin: Option<&str>) -> Result<(Signed, Option<usize>), MarkError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(MarkError::Missing { path: path.to_owned() });
        }
        Err(error) => return Err(MarkError::Io { path: path.to_owned(), error }),
    };
    let foreign = |reason: String| {
        let origin = origin.unwrap_or("a log").to_owned();
        MarkError::Foreign { path: path.to_owned(), origin, reason }
    };
    let (signed, slot) = if bytes.len() == 2 * SLOT_BYTES {
        let slots =
            bytes.chunks(SLOT_BYTES).enumerate().filter_map(|(slot, text)| Some((read_slot(text)?, Some(slot))));
        // What was signed only grows, so the larger one is the newer one.
        let newest = slots.max_by_key(|(signed, _)| signed.size);
        newest.ok_or_else(|| foreign("neither of its two slots is whole".to_owned()))?
    } else {
        (chopmark_core::strict::from_slice::<Signed>(&bytes).map_err(|error| foreign(error.to_string()))?, None)
    };
    if signed.schema != MARK_SCHEMA {
        return Err(foreign(format!("its schema is {}", signed.schema)));
    }
    if origin.is_some_and(|origin| signed.origin != origin) {
        return Err(foreign(format!("it is of {}", signed.origin)));
    }
    Ok((signed, slot))
}

/// Takes the lock beside the mark, which may be replaced by a newer one and so can't carry one.
fn lock(path: &Path) -> Result<File, MarkError> {
    let path = path.with_extension("lock");
    let io = |error| MarkError::Io { path: path.clone(), error };
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(io)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(error) if error == rustix::io::Errno::WOULDBLOCK => Err(MarkError::Held { path }),
        Err(error) => Err(io(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.mark");
        (directory, path)
    }

    #[test]
    fn advances_durably_and_never_backwards() {
        let (_directory, path) = place();
        let (old, new) = (Sha256Digest::of(b"old"), Sha256Digest::of(b"new"));
        let mut mark = Mark::create(&path, "log").unwrap();
        mark.advance(2, old).unwrap();
        mark.advance(2, old).unwrap();
        assert!(matches!(mark.advance(2, new), Err(MarkError::Moved { .. })), "another root at the same size");
        assert!(matches!(mark.advance(1, new), Err(MarkError::Moved { .. })), "a smaller size");
        mark.advance(3, new).unwrap();
        drop(mark);
        let mark = Mark::open(&path, "log").unwrap();
        assert_eq!((mark.signed().size, mark.signed().root), (3, new));
    }

    #[test]
    fn a_second_holder_a_missing_and_a_foreign_mark_are_refused() {
        let (_directory, path) = place();
        assert!(matches!(Mark::open(&path, "log"), Err(MarkError::Missing { .. })));
        let mark = Mark::create(&path, "log").unwrap();
        assert!(matches!(Mark::open(&path, "log"), Err(MarkError::Held { .. })));
        drop(mark);
        assert!(matches!(Mark::create(&path, "log"), Err(MarkError::Exists { .. })));
        assert!(matches!(Mark::open(&path, "other"), Err(MarkError::Foreign { .. })));
        fs::write(&path, "{}").unwrap();
        assert!(matches!(Mark::open(&path, "log"), Err(MarkError::Foreign { .. })));
    }

    /// As a failing disk does it: nothing is written; a part is; or all is, and only then something fails.
    #[test]
    fn a_write_that_failed_is_tried_again() {
        let (directory, path) = place();
        let root = |size: u64| Sha256Digest::of(&size.to_be_bytes());
        let mut mark = Mark::create(&path, "log").unwrap();
        mark.advance(2, root(2)).unwrap();
        mark.advance(3, root(3)).unwrap();
        let aside = directory.path().join("aside");
        fs::rename(&path, &aside).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(mark.advance(5, root(5)), Err(MarkError::Io { .. })));
        fs::remove_dir(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
        assert_eq!((mark.signed().size, Mark::peek(&path).unwrap().unwrap().size), (3, 3));

        let slot = read(&path, None).unwrap().1.unwrap();
        let next = Signed { size: 6, root: root(6), ..mark.signed().clone() };
        let whole = fs::read(&path).unwrap();
        for torn in [1, 40, 100] {
            let mut bytes = whole.clone();
            let place = (1 - slot) * SLOT_BYTES;
            bytes[place..place + torn].copy_from_slice(&slot_of(&next).unwrap()[..torn]);
            fs::write(&path, bytes).unwrap();
            assert_eq!(Mark::peek(&path).unwrap().unwrap().size, 3, "{torn} bytes of the new one");
        }
        mark.attempted = Some(next.clone());
        mark.write(&next, 1 - slot).unwrap();
        assert!(matches!(mark.advance(5, root(5)), Err(MarkError::Moved { .. })), "never back");
        assert!(matches!(mark.advance(6, root(7)), Err(MarkError::Moved { .. })), "never another root");
        mark.advance(7, root(7)).unwrap();
        assert_eq!((mark.signed().size, Mark::peek(&path).unwrap().unwrap().size), (7, 7));
    }

    #[test]
    fn a_mark_without_slots_is_read_and_gets_them() {
        let (_directory, path) = place();
        let mut mark = Mark::create(&path, "log").unwrap();
        fs::write(&path, serde_json::to_vec(mark.signed()).unwrap()).unwrap();
        assert_eq!(read(&path, Some("log")).unwrap().1, None);
        mark.advance(2, Sha256Digest::of(b"2")).unwrap();
        mark.advance(3, Sha256Digest::of(b"3")).unwrap();
        assert_eq!(fs::read(&path).unwrap().len(), 2 * SLOT_BYTES);
        assert_eq!(Mark::peek(&path).unwrap().unwrap().size, 3);
    }

    #[test]
    fn a_mark_with_no_whole_slot_is_refused() {
        let (_directory, path) = place();
        drop(Mark::create(&path, "log").unwrap());
        let bytes = fs::read(&path).unwrap();
        let mut damaged = bytes.clone();
        damaged[20] ^= 1;
        for bytes in [damaged, bytes[..SLOT_BYTES].to_vec(), [EMPTY_SLOT, EMPTY_SLOT].concat()] {
            fs::write(&path, bytes).unwrap();
            assert!(matches!(Mark::open(&path, "log"), Err(MarkError::Foreign { .. })));
        }
    }

    #[test]
    fn a_mark_that_somebody_else_moved_stops_the_signer() {
        let (_directory, path) = place();
        let mut mark = Mark::create(&path, "log").unwrap();
        let elsewhere = Signed { size: 9, ..mark.signed().clone() };
        fs::write(&path, [slot_of(&elsewhere).unwrap(), EMPTY_SLOT].concat()).unwrap();
        assert!(matches!(mark.advance(2, empty_root()), Err(MarkError::Moved { expected: 0, found: 9, .. })));
    }
}
