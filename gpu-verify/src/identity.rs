//! Which file it is, and when it last changed: what tells an unchanged file from another one at the same path.
//!
//! The change time is there because the modification time can be set back, which no user can do with the change time; it
//! also moves on a rename or chmod, which is reason enough to look again.

use core::fmt;
use core::str::FromStr;
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{FILE_SIZE_BYTES_MAX, MeasureError};

/// Coarsest time stamps of file systems in use: FAT counts in steps of two seconds.
const GRANULARITY: Duration = Duration::from_secs(2);

/// A point in time as file systems keep it: seconds since 1970 and nanoseconds.
pub type FileTime = (i64, i64);

/// A file as it was when it was opened. Another file, or the same after a change, has another identity, but for changes
/// within the granularity of time stamps; see [`Identity::is_settled`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Size in bytes.
    pub size_bytes: u64,
    /// The file system it is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// When its content last changed, or what somebody set this to.
    pub modified: FileTime,
    /// When anything about it last changed.
    pub changed: FileTime,
}

impl Identity {
    /// Looks at an open file; refuses what is not a regular file of an acceptable size.
    pub(crate) fn of(file: &File, path: impl Fn() -> PathBuf) -> Result<Self, MeasureError> {
        let found: Metadata = file.metadata().map_err(|source| MeasureError::Unreadable { path: path(), source })?;
        if !found.is_file() {
            return Err(MeasureError::NotRegular { path: path(), kind: "something that took a file's place" });
        }
        if found.size() > FILE_SIZE_BYTES_MAX {
            return Err(MeasureError::TooLarge { path: path(), size_bytes: found.size() });
        }
        Ok(Self {
            size_bytes: found.size(),
            device: found.dev(),
            inode: found.ino(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }

    /// Whether every change after `at` gives the file another identity. A file that changed a moment before could change
    /// again and keep its time stamps, as git knows ("racy git"); such a file must not be recognised later.
    pub fn is_settled(&self, at: SystemTime) -> bool {
        let is_before = |(seconds, nanoseconds): FileTime| {
            let time = u64::try_from(seconds).ok().zip(u32::try_from(nanoseconds).ok());
            let time = time.and_then(|(seconds, nanoseconds)| {
                UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds))?.checked_add(GRANULARITY)
            });
            time.is_some_and(|time| time < at)
        };
        is_before(self.modified) && is_before(self.changed)
    }
}

/// Everything in it, for a comparison with what was written down earlier.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size_bytes, device, inode, modified, changed } = self;
        write!(f, "{size_bytes} bytes, {device}:{inode}")?;
        write!(f, ", modified {}.{:09}, changed {}.{:09}", modified.0, modified.1, changed.0, changed.1)
    }
}

/// As it was written down; `None` of any other text.
impl FromStr for Identity {
    type Err = NotAnIdentity;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut numbers =
            text.split(|letter: char| !letter.is_ascii_digit() && letter != '-').filter(|part| !part.is_empty());
        let mut whole = || numbers.next().and_then(|number| number.parse().ok()).ok_or(NotAnIdentity);
        let (size_bytes, device, inode) = (whole()?, whole()?, whole()?);
        let mut time = || numbers.next().and_then(|number| number.parse().ok()).ok_or(NotAnIdentity);
        let identity = Self { size_bytes, device, inode, modified: (time()?, time()?), changed: (time()?, time()?) };
        if identity.to_string() == text { Ok(identity) } else { Err(NotAnIdentity) }
    }
}

/// A text that is not an [`Identity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the identity of a file as it is written down")]
pub struct NotAnIdentity;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_been_left_alone_for_a_while_is_settled() {
        let identity = |modified, changed| Identity { size_bytes: 1, device: 1, inode: 1, modified, changed };
        let at = |seconds, nanoseconds| UNIX_EPOCH + Duration::new(seconds, nanoseconds);
        let (old, new) = ((100, 0), (200, 500));
        assert!(identity(old, old).is_settled(at(102, 1)));
        assert!(!identity(old, old).is_settled(at(102, 0)));
        assert!(!identity(old, old).is_settled(at(100, 0)));
        assert!(!identity(old, old).is_settled(at(99, 0)), "a clock that went back");
        for one_is_new in [identity(old, new), identity(new, old)] {
            assert!(!one_is_new.is_settled(at(202, 500)));
            assert!(one_is_new.is_settled(at(202, 501)));
        }
        assert!(!identity((-1, 0), old).is_settled(at(200, 0)), "before 1970 nothing is certain");
    }

    #[test]
    fn what_is_written_down_is_read_again_and_nothing_else() {
        let identity =
            Identity { size_bytes: 7, device: u64::MAX, inode: 3, modified: (-2, 5), changed: (9, 999_999_999) };
        let text = identity.to_string();
        assert_eq!(text.parse(), Ok(identity));
        for other in ["", "7 bytes", &text[1..], &text.replace("7 bytes", "07 bytes"), &format!("{text} ")] {
            assert_eq!(other.parse::<Identity>(), Err(NotAnIdentity), "{other}");
        }
    }
}
