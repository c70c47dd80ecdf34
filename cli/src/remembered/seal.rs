//! Files that this program wrote for itself, told from those that anybody else wrote or changed.
//!
//! A sealed file begins with a keyed BLAKE3 hash of the rest. The key is made once for each user and stays in the state
//! directory: what comes with a restored cache, a shared machine or an unpacked archive does not bear its seal.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use crate::config::Directories;
use crate::exit::Failure;
use crate::files::{self, Access};

/// Name of the key's file below the user's state directory.
const KEY_FILE: &str = "seal.key";

/// Bytes of the hash in hexadecimal, and of the line end after it.
const SEAL_SIZE_BYTES: usize = 65;

/// The key of one user.
pub(super) struct Seal {
    key: [u8; 32],
}

impl Seal {
    /// The user's key, made if there is none.
    ///
    /// # Errors
    /// When it can't be read or made, or others can read it.
    pub(super) fn open(directories: &Directories) -> Result<Self, Failure> {
        let path = directories.state()?.join(KEY_FILE);
        let failed = |doing: &str, error: &io::Error| Failure::file(doing, &path, error);
        files::create_directory(path.parent().unwrap_or(Path::new("."))).map_err(|error| failed("write", &error))?;
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| failed("write", &io::Error::other(error)))?;
        match files::create(&path, HEXLOWER.encode(&key).as_bytes(), Access::Private) {
            Ok(()) => return Ok(Self { key }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("write", &error)),
        }
        let mode = fs::metadata(&path).map_err(|error| failed("read", &error))?.permissions().mode();
        let is_shared = mode & 0o077 != 0;
        let text = files::read(&path, SEAL_SIZE_BYTES).map_err(|error| failed("read", &error))?;
        let key = HEXLOWER.decode(&text).ok().and_then(|key| <[u8; 32]>::try_from(key).ok());
        match key {
            Some(key) if !is_shared => Ok(Self { key }),
            _ => {
                let reason = io::Error::other("it is damaged, or others may read it; remove it");
                Err(failed("use", &reason))
            }
        }
    }

    /// What is in a sealed file of at most `limit_bytes`; `None` where there is none, or none with this seal.
    pub(super) fn read(&self, path: &Path, limit_bytes: usize) -> Option<Vec<u8>> {
        let mut bytes = files::read(path, limit_bytes.saturating_add(SEAL_SIZE_BYTES)).ok()?;
        let content = bytes.split_off(SEAL_SIZE_BYTES.min(bytes.len()));
        // Comparing digests of this crate takes the same time whatever differs.
        let expected = blake3::keyed_hash(&self.key, &content);
        let found = blake3::Hash::from_hex(bytes.strip_suffix(b"\n")?).ok()?;
        (found == expected).then_some(content)
    }

    /// Writes a sealed file, for the user alone.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut bytes = blake3::keyed_hash(&self.key, content).to_hex().to_string().into_bytes();
        bytes.push(b'\n');
        bytes.extend_from_slice(content);
        let directory = path.parent().unwrap_or(Path::new("."));
        files::create_directory(directory)?;
        files::sweep(directory);
        files::replace(path, &bytes, Access::Private)
    }
}

/// The key stays out of whatever is printed.
impl core::fmt::Debug for Seal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Seal")
    }
}

/// Removes the oldest sealed files of a directory until so many files and bytes are left at most.
pub(super) fn bound(directory: &Path, files_max: usize, size_bytes_max: u64) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let sealed = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "json");
    let mut found: Vec<_> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(sealed)
        .filter_map(|path| {
            let metadata = File::open(&path).and_then(|file| file.metadata()).ok()?;
            Some((metadata.modified().ok()?, metadata.len(), path))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    let mut size_bytes = 0_u64;
    for (place, (_, len, path)) in found.into_iter().enumerate() {
        size_bytes = size_bytes.saturating_add(len);
        if place >= files_max || size_bytes > size_bytes_max {
            // What can't be removed is in nobody's way.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directories(home: &Path) -> Directories {
        let home = home.as_os_str().to_owned();
        Directories::of(&|name| (name == "HOME").then(|| home.clone()))
    }

    #[test]
    fn only_what_this_user_sealed_is_read() {
        let home = tempfile::tempdir().unwrap();
        let (ours, again) =
            (Seal::open(&directories(home.path())).unwrap(), Seal::open(&directories(home.path())).unwrap());
        let key = directories(home.path()).state().unwrap().join(KEY_FILE);
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let path = home.path().join("d/f.json");
        ours.write(&path, b"content").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(again.read(&path, 7).unwrap(), b"content");
        assert_eq!(ours.read(&path, 6), None, "above the limit");
        assert_eq!(ours.read(&home.path().join("absent"), 9), None);

        let other = tempfile::tempdir().unwrap();
        let theirs = Seal::open(&directories(other.path())).unwrap();
        assert_eq!(theirs.read(&path, 9), None);
        let honest = fs::read(&path).unwrap();
        for at in 0..honest.len() {
            let mut changed = honest.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            assert_eq!(ours.read(&path, 9), None, "{at}");
            fs::write(&path, &honest[..at]).unwrap();
            assert_eq!(ours.read(&path, 9), None, "{at}");
        }

        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Seal::open(&directories(home.path())).is_err());
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&key, "short").unwrap();
        assert!(Seal::open(&directories(home.path())).is_err());
    }

    #[test]
    fn the_oldest_go_first() {
        let directory = tempfile::tempdir().unwrap();
        let now = std::time::SystemTime::now();
        for age in 0..6_u64 {
            let file = File::create(directory.path().join(format!("{age}.json"))).unwrap();
            file.set_len(10).unwrap();
            file.set_modified(now - std::time::Duration::from_secs(age)).unwrap();
        }
        fs::write(directory.path().join("other"), [0; 99]).unwrap();
        let left = || {
            let names = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
            let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names.join(" ")
        };
        bound(directory.path(), 5, 1_000);
        assert_eq!(left(), "0.json 1.json 2.json 3.json 4.json other");
        bound(directory.path(), 5, 25);
        assert_eq!(left(), "0.json 1.json other");
        bound(&directory.path().join("missing"), 0, 0);
    }
}
