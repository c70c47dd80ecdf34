//! Which files there are: a list of a directory, or of one file, made before any byte is read.
//!
//! One directory is open at a time, however deep the tree. Whatever is neither a regular file nor a directory is an
//! error, never skipped: a link or device in a model is a question the owner has to answer.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use chopmark_core::manifest::{ExclusionProfile, FILES_MAX, FilePath};
use rustix::fs::{AtFlags, Dir, FileType, statat};

use crate::cache;
use crate::error::{FILE_SIZE_BYTES_MAX, MeasureError};
use crate::identity::Identity;
use crate::open::Root;

/// A file to be read.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    /// Its place in the manifest.
    pub(crate) path: FilePath,
    /// Where to open it, below the root.
    pub(crate) below: PathBuf,
    /// Where it was found, below the root: elsewhere, for a link in a cache.
    pub(crate) found: PathBuf,
    /// Its size when listed; checked again when opened.
    pub(crate) size_bytes: u64,
    /// What it was when it was read before, and still has to be; `None` where it was not.
    pub(crate) seen: Option<Identity>,
}

/// Everything to be read, and what was left out.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) files: Vec<Listed>,
    pub(crate) excluded: Vec<FilePath>,
}

/// Lists the directory `root`, or the snapshot at `snapshot` below the root of a cached repository: then links to its
/// blobs count as the files they lead to.
pub(crate) fn list_directory(
    root: &Root,
    snapshot: Option<&Path>,
    exclusions: ExclusionProfile,
    is_interrupted: &dyn Fn() -> bool,
) -> Result<Listing, MeasureError> {
    let mut listing = Listing::default();
    let start = snapshot.unwrap_or(Path::new(""));
    let mut open: Vec<PathBuf> = vec![start.to_owned()];
    let mut entries_left = 2 * FILES_MAX;
    while let Some(below) = open.pop() {
        let unreadable =
            |errno: rustix::io::Errno| MeasureError::Unreadable { path: root.shown(&below), source: errno.into() };
        let directory = root.open_directory(&below)?;
        for entry in Dir::read_from(&directory).map_err(unreadable)? {
            if is_interrupted() {
                return Err(MeasureError::Interrupted);
            }
            let entry = entry.map_err(unreadable)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            entries_left = entries_left
                .checked_sub(1)
                .ok_or_else(|| MeasureError::TooManyFiles { path: root.path().to_owned() })?;
            let below = below.join(name);
            let path = manifest_path(root, start, &below)?;
            // Listed a moment ago, and gone.
            let found = stat(root, &directory, &below).map_err(|fault| match fault {
                MeasureError::NotFound { path } => MeasureError::FileChanged { path, how: "it vanished" },
                fault => fault,
            })?;
            match found {
                Found::Directory if exclusions.excludes_directory(path.as_str()) => listing.excluded.push(path),
                Found::Directory => open.push(below),
                _ if exclusions.excludes(path.as_str()) => listing.excluded.push(path),
                Found::File { size_bytes } => {
                    check_size(root, &below, size_bytes)?;
                    listing.files.push(Listed { path, found: below.clone(), below, size_bytes, seen: None });
                }
                Found::Other(FileType::Symlink) if snapshot.is_some() => {
                    listing.files.push(linked(root, &directory, path, below)?);
                }
                Found::Other(kind) => return Err(refuse(root, &below, kind)),
            }
        }
        if listing.files.len() > FILES_MAX {
            return Err(MeasureError::TooManyFiles { path: root.path().to_owned() });
        }
    }
    listing.excluded.sort();
    Ok(listing)
}

/// Lists the single file `name` in `root`, to stand in the manifest as `called` (or by its own name).
pub(crate) fn list_file(root: &Root, name: &OsStr, called: Option<&FilePath>) -> Result<Listing, MeasureError> {
    let below = PathBuf::from(name);
    let path = match called {
        Some(path) => path.clone(),
        None => manifest_path(root, Path::new(""), &below)?,
    };
    let directory = root.open_directory(Path::new(""))?;
    match stat(root, &directory, &below)? {
        Found::File { size_bytes } => {
            check_size(root, &below, size_bytes)?;
            let listed = Listed { path, found: below.clone(), below, size_bytes, seen: None };
            Ok(Listing { files: vec![listed], excluded: Vec::new() })
        }
        Found::Directory => Err(refuse(root, &below, FileType::Directory)),
        Found::Other(kind) => Err(refuse(root, &below, kind)),
    }
}

/// Lists those of the files at `paths` that are there.
pub(crate) fn list_named(root: &Root, paths: impl IntoIterator<Item = FilePath>) -> Result<Vec<Listed>, MeasureError> {
    let mut files = Vec::new();
    for path in paths {
        let below = PathBuf::from(path.as_str());
        let directory = match root.open_directory(below.parent().unwrap_or(Path::new(""))) {
            Ok(directory) => directory,
            // How an absent directory looks to what expects one.
            Err(MeasureError::FileChanged { .. }) => continue,
            Err(fault) => return Err(fault),
        };
        match stat(root, &directory, &below) {
            Ok(Found::File { size_bytes }) => {
                check_size(root, &below, size_bytes)?;
                files.push(Listed { path, found: below.clone(), below, size_bytes, seen: None });
            }
            Ok(Found::Directory) => return Err(refuse(root, &below, FileType::Directory)),
            Ok(Found::Other(kind)) => return Err(refuse(root, &below, kind)),
            Err(MeasureError::NotFound { .. }) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(files)
}

/// What an entry is.
enum Found {
    Directory,
    File { size_bytes: u64 },
    Other(FileType),
}

fn stat(root: &Root, directory: impl AsFd, below: &Path) -> Result<Found, MeasureError> {
    let name = below.file_name().unwrap_or(OsStr::new("."));
    let found = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|errno| match errno {
        rustix::io::Errno::NOENT => MeasureError::NotFound { path: root.shown(below) },
        errno => MeasureError::Unreadable { path: root.shown(below), source: errno.into() },
    })?;
    Ok(match FileType::from_raw_mode(found.st_mode) {
        FileType::Directory => Found::Directory,
        FileType::RegularFile => Found::File { size_bytes: u64::try_from(found.st_size).unwrap_or(u64::MAX) },
        kind => Found::Other(kind),
    })
}

/// The file that a link of a snapshot stands for.
fn linked(root: &Root, directory: impl AsFd, path: FilePath, found: PathBuf) -> Result<Listed, MeasureError> {
    let below = cache::blob(root, directory, &found)?;
    let blobs = root.open_directory(below.parent().unwrap_or(Path::new("")))?;
    let refused = |reason| MeasureError::CacheLink { path: root.shown(&found), reason };
    match stat(root, &blobs, &below) {
        Ok(Found::File { size_bytes }) => {
            check_size(root, &found, size_bytes)?;
            Ok(Listed { path, below, found, size_bytes, seen: None })
        }
        Ok(_) => Err(refused("leads to something that is no regular file")),
        Err(MeasureError::NotFound { .. }) => Err(refused("leads to a blob that is not there")),
        Err(fault) => Err(fault),
    }
}

fn manifest_path(root: &Root, start: &Path, below: &Path) -> Result<FilePath, MeasureError> {
    let inside = below.strip_prefix(start).unwrap_or(below);
    let text = inside.to_str().ok_or_else(|| MeasureError::NameNotUtf8 { path: root.shown(below) })?;
    FilePath::parse(text).map_err(|fault| MeasureError::Name { path: root.shown(below), fault })
}

fn check_size(root: &Root, below: &Path, size_bytes: u64) -> Result<(), MeasureError> {
    if size_bytes > FILE_SIZE_BYTES_MAX {
        return Err(MeasureError::TooLarge { path: root.shown(below), size_bytes });
    }
    Ok(())
}

fn refuse(root: &Root, below: &Path, kind: FileType) -> MeasureError {
    let path = root.shown(below);
    let kind = match kind {
        FileType::Symlink => return MeasureError::SymbolicLink { path },
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO (named pipe)",
        FileType::Socket => "a socket",
        FileType::CharacterDevice => "a character device",
        FileType::BlockDevice => "a block device",
        _ => "of an unknown kind",
    };
    MeasureError::NotRegular { path, kind }
}
