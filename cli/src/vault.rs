//! Master keys of the vault on the operator's machine: a file for its owner alone, or lines in the environment.

use std::env;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chopmark_core::code::ResidencyZone;
use chopmark_store::{MASTER_KEY_FORMAT, MASTER_KEY_RETIRED, MasterKeys, Store, StoreError, Vault, VaultConfig};
use zeroize::Zeroizing;

use crate::arguments::{VaultArguments, VaultKeyArguments};
use crate::exit::{Exit, Failure};
use crate::files::{self, Access};
use crate::registry::DataDirectory;

/// The lines of a key file, in the environment.
const VARIABLE: &str = "CHOPMARK_VAULT_KEY";

/// Largest key file, in bytes.
const FILE_BYTES_MAX: usize = 16 << 10;

/// First lines of a key file.
const HEADER: &str = "# Master keys of the vault, the one in use first. Secret. Without them no sealed value can be opened.\n\
                      # Keep a copy in a safe place, apart from the database and its backups.\n";

const DAY: Duration = Duration::from_hours(24);

/// Where master keys are.
#[derive(Clone)]
pub(crate) enum MasterKeySource {
    /// In the environment.
    Environment(Zeroizing<String>),
    /// In a file.
    File(PathBuf),
}

/// What becomes of the keys behind the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Older {
    /// They stay, and say that a rotation has done with them.
    Retire,
    /// They go.
    Destroy,
    /// Those go that say so already.
    DestroyRetired,
}

impl MasterKeySource {
    /// The file that was named, the environment, or the file in the data directory.
    pub(crate) fn of(directory: &DataDirectory, arguments: &VaultKeyArguments) -> Self {
        if let Some(path) = &arguments.vault_key {
            return Self::File(path.clone());
        }
        match env::var(VARIABLE) {
            Ok(lines) if lines.starts_with(MASTER_KEY_FORMAT) => Self::Environment(Zeroizing::new(lines)),
            _ => Self::File(directory.vault_key()),
        }
    }

    /// Whether the keys can be written.
    pub(crate) const fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    fn is_missing(&self) -> bool {
        matches!(self, Self::File(path) if !path.exists())
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// A sentence naming the file, and never what is in it.
    pub(crate) fn read(&self) -> Result<MasterKeys, String> {
        let path = match self {
            Self::Environment(lines) => {
                return MasterKeys::parse(lines).map_err(|reason| format!("{VARIABLE}: {reason}"));
            }
            Self::File(path) => path,
        };
        MasterKeys::parse(&text(path)?).map_err(|reason| format!("{}: {reason}", path.display()))
    }

    /// Puts a new key before the others.
    ///
    /// # Errors
    /// A usage failure for keys in the environment, and where the file would hold too many; when it can't be written.
    pub(crate) fn add_key(&self) -> Result<(), Failure> {
        let Self::File(path) = self else {
            let message = format!("put the line of a new master key first in {VARIABLE}, and run this again");
            return Err(Failure::usage(message));
        };
        let old = match text(path) {
            Ok(old) => old,
            Err(_) if !path.exists() => Zeroizing::new(HEADER.to_owned()),
            Err(reason) => return Err(Failure::usage(reason)),
        };
        let lines = old.split_inclusive('\n').take_while(|line| line.starts_with('#'));
        let (comments, rest) = old.split_at_checked(lines.map(str::len).sum()).unwrap_or_default();
        let (mut id, mut key) = ([0; 10], Zeroizing::new([0; 32]));
        let random = getrandom::fill(&mut id).and_then(|()| getrandom::fill(&mut *key));
        random.map_err(|error| Failure::internal(format!("the operating system gives no randomness: {error}")))?;
        let line = MasterKeys::line(id, &key);
        let mut new = Zeroizing::new(String::with_capacity(old.len() + line.len() + 1));
        let end = if comments.is_empty() || comments.ends_with('\n') { "" } else { "\n" };
        for part in [comments, end, &line, rest] {
            new.push_str(part);
        }
        // Whatever is written has to be read again.
        let full = |reason: String| {
            let path = path.display();
            let way_out = "rotate with --destroy-old, or keep older lines elsewhere and remove them here";
            Failure::usage(format!("{path} takes no further key ({reason}): {way_out}"))
        };
        MasterKeys::parse(&new).map_err(full)?;
        if new.len() > FILE_BYTES_MAX {
            return Err(full(format!("it would be larger than {FILE_BYTES_MAX} bytes")));
        }
        files::replace(path, new.as_bytes(), Access::Private).map_err(|error| Failure::file("write", path, &error))
    }

    /// Says of the keys behind the first that they are done with, or removes them.
    ///
    /// # Errors
    /// A usage failure for keys in the environment; when the file can't be written.
    pub(crate) fn settle(&self, older: Older) -> Result<(), Failure> {
        let Self::File(path) = self else {
            return Err(Failure::usage(format!("change the old lines in {VARIABLE} by hand")));
        };
        let old = text(path).map_err(Failure::usage)?;
        // Room for all that may be added, so that no copy of the keys is left behind.
        let room = old.lines().count() * (MASTER_KEY_RETIRED.len() + 1);
        let mut kept = Zeroizing::new(String::with_capacity(old.len() + room + 1));
        let mut is_first = true;
        for line in old.lines() {
            let is_key = line.trim().starts_with(MASTER_KEY_FORMAT);
            let is_older = is_key && !std::mem::take(&mut is_first);
            let is_retired = line.split_ascii_whitespace().next_back() == Some(MASTER_KEY_RETIRED);
            match older {
                Older::Destroy if is_older => continue,
                Older::DestroyRetired if is_older && is_retired => continue,
                Older::Retire if is_older && !is_retired => {
                    for part in [line.trim_end(), " ", MASTER_KEY_RETIRED] {
                        kept.push_str(part);
                    }
                }
                _ => kept.push_str(line),
            }
            kept.push('\n');
        }
        files::replace(path, kept.as_bytes(), Access::Private).map_err(|error| Failure::file("write", path, &error))
    }
}

/// The text of a key file that nobody else can read.
fn text(path: &Path) -> Result<Zeroizing<String>, String> {
    let refuse = |reason: String| format!("the master key file {}: {reason}", path.display());
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => refuse("does not exist".to_owned()),
        _ => refuse(error.to_string()),
    })?;
    let metadata = file.metadata().map_err(|error| refuse(error.to_string()))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(refuse("others can read it; close it with chmod 600".to_owned()));
    }
    // Room for the whole file from the start, and to see its end: growing would leave copies of the keys behind.
    let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX + 64));
    let limit = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX);
    file.take(limit.saturating_add(1)).read_to_string(&mut text).map_err(|error| refuse(error.to_string()))?;
    if text.len() > FILE_BYTES_MAX {
        return Err(refuse(format!("is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// The store with its vault. A private registry that never kept an opening gets a master key; one that has lost its keys, or
/// has those of another, is not served.
///
/// # Errors
/// A failure that says which key is missing.
pub(crate) async fn attach(
    store: Store,
    directory: &DataDirectory,
    arguments: &VaultArguments,
    is_private: bool,
) -> Result<Store, Failure> {
    let source = MasterKeySource::of(directory, &arguments.key);
    if source.is_missing() {
        if !is_private {
            tracing::warn!("there is no master key: no opening is kept or shown by this process");
            return Ok(store);
        }
        make_first(&source, &store).await?;
    }
    store.keys_in_use(&source.read().map_err(StoreError::Vault)?).await?;
    let config = VaultConfig {
        keys: Box::new(move || source.read()),
        zones: arguments.zones.zones.clone(),
        retention: DAY * u32::from(arguments.retention_days),
        officers_shown_after: DAY * u32::from(arguments.officers_shown_after_days),
    };
    let store = store.with_vault(Vault::open(config)?)?;
    let left = store.authenticate_readers().await?;
    if left > 0 {
        tracing::warn!(rows = left, "readers that the log says nothing of are not believed");
    }
    Ok(store)
}

/// Makes a master key where none was ever used.
async fn make_first(source: &MasterKeySource, store: &Store) -> Result<(), Failure> {
    if store.is_vault_new().await? {
        return source.add_key();
    }
    let reason = source.read().err().unwrap_or_default();
    let message = format!("{reason}; without it no sealed value can be opened: restore it from your copy");
    Err(Failure::new(Exit::CouldNotCheck, "vault", message))
}

/// The store with its vault, for making and taking back tokens: a private registry whose vault is new gets its master key.
///
/// # Errors
/// When the keys can't be read, or are another registry's.
pub(crate) async fn attach_for_tokens(
    store: &Store,
    directory: &DataDirectory,
    (arguments, is_private): (&VaultKeyArguments, bool),
) -> Result<Store, Failure> {
    let source = MasterKeySource::of(directory, arguments);
    if source.is_missing() && is_private {
        make_first(&source, store).await?;
    }
    store.keys_in_use(&source.read().map_err(Failure::usage)?).await?;
    attach_for_reading(store, directory, arguments, &[])
}

/// The store with its vault where its keys are at hand, and without it elsewhere.
///
/// # Errors
/// When the keys are there, or should be, and can't be read.
pub(crate) fn attach_where_keys_are(
    store: &Store,
    directory: &DataDirectory,
    arguments: &VaultKeyArguments,
) -> Result<Store, Failure> {
    if arguments.vault_key.is_none() && MasterKeySource::of(directory, arguments).is_missing() {
        return Ok(store.clone());
    }
    attach_for_reading(store, directory, arguments, &[])
}

/// The store with its vault, for reading what is in it: openings of these zones, for whoever asks for them.
///
/// # Errors
/// When the keys can't be read.
pub(crate) fn attach_for_reading(
    store: &Store,
    directory: &DataDirectory,
    arguments: &VaultKeyArguments,
    zones: &[ResidencyZone],
) -> Result<Store, Failure> {
    let source = MasterKeySource::of(directory, arguments);
    source.read().map_err(Failure::usage)?;
    let config = VaultConfig {
        keys: Box::new(move || source.read()),
        zones: zones.to_vec(),
        retention: Duration::MAX,
        officers_shown_after: Duration::ZERO,
    };
    Ok(store.with_vault(Vault::open(config)?)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_key_file_is_for_its_owner_alone_and_small() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vault.key");
        assert!(text(&path).unwrap_err().contains("does not exist"));
        let close = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        for (size, is_read) in [(0, true), (FILE_BYTES_MAX, true), (FILE_BYTES_MAX + 1, false)] {
            fs::write(&path, "k".repeat(size)).unwrap();
            close(0o600);
            assert_eq!(text(&path).is_ok_and(|text| text.len() == size), is_read, "{size}");
        }
        fs::write(&path, "k").unwrap();
        for mode in [0o640, 0o604, 0o660] {
            close(mode);
            assert!(text(&path).unwrap_err().contains("chmod 600"), "{mode:o}");
        }
    }

    #[test]
    fn a_new_key_stands_before_the_others_and_under_the_comments() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vault.key");
        let source = MasterKeySource::File(path.clone());
        source.add_key().unwrap();
        let first = fs::read_to_string(&path).unwrap();
        let key = first.strip_prefix(HEADER).unwrap();
        assert!(key.starts_with(MASTER_KEY_FORMAT) && key.lines().count() == 1, "one line below the comments");
        source.add_key().unwrap();
        let second = fs::read_to_string(&path).unwrap();
        assert!(second.starts_with(HEADER) && second.ends_with(key) && second.lines().count() == 4);
        source.settle(Older::Retire).unwrap();
        source.settle(Older::Retire).unwrap();
        let retired = fs::read_to_string(&path).unwrap();
        assert_eq!(retired, format!("{} retired\n", second.trim_end()), "said once, of the older one");
        assert_eq!(source.read().unwrap().ids().count(), 2);
        source.settle(Older::Destroy).unwrap();
        let kept = fs::read_to_string(&path).unwrap();
        assert_eq!(kept.len(), first.len());
        assert!(second.starts_with(&kept));
        source.read().unwrap();
        files::replace(&path, b"# no key yet", Access::Private).unwrap();
        source.add_key().unwrap();
        assert!(fs::read_to_string(&path).unwrap().starts_with("# no key yet\nchopmark-"));
        source.read().unwrap();
    }

    #[test]
    fn a_file_takes_no_more_keys_than_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vault.key");
        let source = MasterKeySource::File(path.clone());
        let refusal = (0..100).find_map(|_| source.add_key().err()).unwrap();
        assert!(refusal.message.contains("--destroy-old"), "{}", refusal.message);
        let number = source.read().unwrap().ids().count();
        assert!(number > 2, "{number}");
        // Those that a rotation has done with make room.
        source.settle(Older::Retire).unwrap();
        source.settle(Older::DestroyRetired).unwrap();
        assert_eq!(source.read().unwrap().ids().count(), 1);
        for after in 2..=number {
            source.add_key().unwrap();
            source.settle(Older::DestroyRetired).unwrap();
            assert_eq!(source.read().unwrap().ids().count(), after, "only what says so goes");
        }
        let full = fs::read_to_string(&path).unwrap();
        let rest: String =
            full.split_inclusive('\n').filter(|line| line.starts_with(MASTER_KEY_FORMAT)).skip(1).collect();
        let comments = "#".repeat(FILE_BYTES_MAX - rest.len() - 1);
        files::replace(&path, format!("{comments}\n{rest}").as_bytes(), Access::Private).unwrap();
        source.read().unwrap();
        assert!(source.add_key().is_err(), "too large a file");
        source.read().unwrap();
    }
}
