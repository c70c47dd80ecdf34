//! Small files of the user: read up to a limit, written whole or not at all.
//!
//! A write goes to a temporary name beside the target, reaches the disk, and is renamed; an interrupted one leaves
//! nothing behind, and one that is killed a temporary file, which [`sweep`] removes.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data_encoding::HEXLOWER;

/// Held while a file is being written.
static WRITING: Mutex<()> = Mutex::new(());

/// Age from which a temporary file is one that nobody will rename any more.
const ABANDONED_AFTER: Duration = Duration::from_hours(24);

/// Who may read a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Whoever the user's umask lets.
    Shared,
    /// The user alone (0600).
    Private,
}

impl Access {
    const fn mode(self) -> u32 {
        match self {
            Self::Shared => 0o666,
            Self::Private => 0o600,
        }
    }
}

/// A path as text for JSON: itself where it is UTF-8. Elsewhere a byte that belongs to no character becomes U+FFFD and its
/// two hexadecimal digits, so that two paths remain two.
pub(crate) fn text(path: &Path) -> Cow<'_, str> {
    if let Some(text) = path.to_str() {
        return Cow::Borrowed(text);
    }
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("\u{FFFD}{byte:02x}")));
    }
    Cow::Owned(text)
}

/// Waits for a write in progress, and keeps others from starting.
pub(crate) fn hold() -> MutexGuard<'static, ()> {
    WRITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads a whole file of at most `limit_bytes`.
///
/// # Errors
/// The system's, and [`ErrorKind::FileTooLarge`].
pub(crate) fn read(path: &Path, limit_bytes: usize) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(limit_bytes).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > limit_bytes {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("larger than {limit_bytes} bytes")));
    }
    Ok(bytes)
}

/// Writes a file whole, in place of any file of that name.
///
/// # Errors
/// The system's; the target is then as it was.
pub(crate) fn replace(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let _guard = hold();
    let temporary = temporary_beside(path)?;
    let written = write_new(&temporary, bytes, access).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written?;
    sync_directory_of(path);
    Ok(())
}

/// Removes from a directory what writes that were killed left in it: temporary files as old as no write takes.
///
/// What can't be removed stays; it is in nobody's way.
pub(crate) fn sweep(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.filter_map(Result::ok) {
        let age = entry.metadata().and_then(|found| found.modified()).ok().and_then(|at| at.elapsed().ok());
        if is_temporary(&entry.file_name()) && age.is_some_and(|age| age > ABANDONED_AFTER) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Writes a file that must not exist yet.
///
/// # Errors
/// The system's, [`ErrorKind::AlreadyExists`] among them.
pub(crate) fn create(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let _guard = hold();
    let created = write_new(path, bytes, access);
    match &created {
        Ok(()) => sync_directory_of(path),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(_) => {
            let _ = fs::remove_file(path);
        }
    }
    created
}

/// Makes a directory, and those above it, for the user alone.
///
/// # Errors
/// The system's.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn write_new(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(access.mode()).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "the path names no file"))?);
    name.push(format!(".{}", HEXLOWER.encode(&random)));
    Ok(path.with_file_name(name))
}

/// Whether a name is of the form that [`temporary_beside`] gives.
fn is_temporary(name: &OsStr) -> bool {
    let parts = name.to_str().filter(|name| name.starts_with('.')).and_then(|name| name.rsplit_once('.'));
    parts.is_some_and(|(of, random)| {
        of.len() > 1 && random.len() == 16 && random.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// A rename is durable once its directory is. Some file systems can't sync a directory; the file is there all the same.
fn sync_directory_of(path: &Path) {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(directory) = File::open(parent) {
        let _ = directory.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn replacing_leaves_one_whole_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        replace(&path, b"one", Access::Private).unwrap();
        replace(&path, b"two", Access::Private).unwrap();
        assert_eq!(read(&path, 3).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert_eq!(read(&path, 2).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("d");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("x"), "x").unwrap();
        assert!(replace(&target, b"one", Access::Shared).is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert!(replace(Path::new("/"), b"one", Access::Shared).is_err());
    }

    #[test]
    fn only_what_was_abandoned_long_ago_is_swept() {
        let directory = tempfile::tempdir().unwrap();
        let old = std::time::SystemTime::now() - 2 * ABANDONED_AFTER;
        let make = |path: &Path, at: Option<std::time::SystemTime>| {
            let file = File::create(path).unwrap();
            if let Some(at) = at {
                file.set_modified(at).unwrap();
            }
        };
        let abandoned = temporary_beside(&directory.path().join("a.json")).unwrap();
        let being_written = temporary_beside(&directory.path().join("a.json")).unwrap();
        let others = ["a.json", ".hidden", "..0123456789abcdef", ".a.0123456789ABCDEF"];
        make(&abandoned, Some(old));
        make(&being_written, None);
        for name in others {
            make(&directory.path().join(name), Some(old));
        }
        sweep(directory.path());
        assert!(!abandoned.exists() && being_written.exists());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1 + others.len());
        sweep(&directory.path().join("missing"));
    }

    #[test]
    fn creating_never_overwrites() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        create(&path, b"one", Access::Private).unwrap();
        assert_eq!(create(&path, b"two", Access::Private).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(read(&path, 3).unwrap(), b"one");
    }

    #[test]
    fn directories_are_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b");
        create_directory(&path).unwrap();
        create_directory(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
