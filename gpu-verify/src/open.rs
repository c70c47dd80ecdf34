//! Opening what lies beneath a directory, and nothing else: no link is followed on the way.
//!
//! Linux decides in one step (`openat2`, Linux 5.6); elsewhere every step of the path is opened by itself.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::error::MeasureError;

/// A directory that bounds everything opened through it.
#[derive(Debug)]
pub(crate) struct Root {
    directory: OwnedFd,
    shown: PathBuf,
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// `NONBLOCK` so that opening a FIFO put in a file's place returns, `NOCTTY` so that a terminal is not adopted.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

impl Root {
    /// Opens the directory that the user named; a link there is the user's own choice and is followed.
    pub(crate) fn open(path: &Path) -> Result<Self, MeasureError> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        match openat(CWD, path, DIRECTORY, Mode::empty()) {
            Ok(directory) => Ok(Self { directory, shown: path.to_owned() }),
            Err(Errno::NOENT) => Err(MeasureError::NotFound { path: path.to_owned() }),
            Err(errno) => Err(MeasureError::Unreadable { path: path.to_owned(), source: errno.into() }),
        }
    }

    /// How to show the place `below` to the user.
    pub(crate) fn shown(&self, below: impl AsRef<OsStr>) -> PathBuf {
        self.shown.join(Path::new(below.as_ref()))
    }

    /// The directory as the user named it.
    pub(crate) fn path(&self) -> &Path {
        &self.shown
    }

    /// Opens the directory `below`; empty for the root itself.
    pub(crate) fn open_directory(&self, below: &Path) -> Result<OwnedFd, MeasureError> {
        let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
        open_beneath(self.directory.as_fd(), below, DIRECTORY).map_err(|errno| self.fault(below, errno))
    }

    /// Opens the file `below` for reading. What kind of file it is remains to be seen.
    pub(crate) fn open_file(&self, below: &Path) -> Result<OwnedFd, MeasureError> {
        open_beneath(self.directory.as_fd(), below, FILE).map_err(|errno| self.fault(below, errno))
    }

    /// Why something that was listed a moment ago cannot be opened.
    fn fault(&self, below: &Path, errno: Errno) -> MeasureError {
        let path = self.shown(below);
        match errno {
            Errno::LOOP | Errno::MLINK => MeasureError::SymbolicLink { path },
            Errno::NXIO => MeasureError::NotRegular { path, kind: "a socket or device" },
            Errno::NOENT => MeasureError::FileChanged { path, how: "it vanished" },
            Errno::NOTDIR => MeasureError::FileChanged { path, how: "a directory on its path was replaced" },
            errno => MeasureError::Unreadable { path, source: errno.into() },
        }
    }
}

#[cfg(target_os = "linux")]
fn open_beneath(root: BorrowedFd<'_>, below: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    use rustix::fs::{ResolveFlags, openat2};

    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(root, below, flags, Mode::empty(), resolve) {
        // An older kernel, or a sandbox that does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => open_step_by_step(root, below, flags),
        result => result,
    }
}

#[cfg(not(target_os = "linux"))]
fn open_beneath(root: BorrowedFd<'_>, below: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    open_step_by_step(root, below, flags)
}

fn open_step_by_step(root: BorrowedFd<'_>, below: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut reached: Option<OwnedFd> = None;
    let mut steps = below.components().peekable();
    while let Some(step) = steps.next() {
        let name = match step {
            Component::Normal(name) => name,
            Component::CurDir => OsStr::new("."),
            _ => return Err(Errno::XDEV),
        };
        let flags = if steps.peek().is_none() { flags } else { DIRECTORY };
        let from = reached.as_ref().map_or(root, AsFd::as_fd);
        let next = openat(from, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
        reached = Some(next);
    }
    reached.ok_or(Errno::NOENT)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    type Open = fn(BorrowedFd<'_>, &Path, OFlags) -> Result<OwnedFd, Errno>;

    #[test]
    fn both_ways_of_opening_agree_and_never_leave_the_root() {
        let directory = tempfile::tempdir().unwrap();
        let model = directory.path().join("model");
        fs::create_dir_all(model.join("sub")).unwrap();
        fs::write(directory.path().join("outside"), "secret").unwrap();
        fs::write(model.join("sub/file"), "content").unwrap();
        symlink("sub/file", model.join("link")).unwrap();
        symlink("sub", model.join("linked_directory")).unwrap();
        symlink("../outside", model.join("escape")).unwrap();
        let root = Root::open(&model).unwrap();

        let ways: [Open; 2] = [open_beneath, open_step_by_step];
        for open in ways {
            let try_open = |path: &str| open(root.directory.as_fd(), Path::new(path), FILE);
            let mut content = String::new();
            fs::File::from(try_open("sub/file").unwrap()).read_to_string(&mut content).unwrap();
            assert_eq!(content, "content");
            for closed in ["link", "escape", "linked_directory/file", "../outside", "/etc/passwd", "sub/../../outside"]
            {
                let errno = try_open(closed).expect_err(closed);
                assert!([Errno::LOOP, Errno::MLINK, Errno::NOTDIR, Errno::XDEV].contains(&errno), "{closed}: {errno}");
            }
            assert_eq!(try_open("absent").err(), Some(Errno::NOENT));
        }
        assert_eq!(root.open_file(Path::new("link")).unwrap_err().code(), "symbolic_link");
        assert_eq!(root.open_file(Path::new("absent")).unwrap_err().code(), "file_changed");
        assert_eq!(Root::open(&model.join("absent")).unwrap_err().code(), "not_found");
    }
}
