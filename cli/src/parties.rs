//! Which party this user's keys speak for at which registry, remembered when the party is registered.
//!
//! Public facts only. A party file, to carry to another machine, has the same form.

use std::fmt::Write as _;
use std::path::Path;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::key::KeyId;
use chopmark_core::statement::{RegistryRef, StatementId};
use serde::{Deserialize, Serialize};

use crate::config::Directories;
use crate::exit::{Exit, Failure};
use crate::trust::{lock, read_toml, write_toml};

/// Name of the file in the user's configuration directory.
const FILE: &str = "parties.toml";

/// Largest file, in bytes: thousands of parties.
const FILE_BYTES_MAX: usize = 1 << 20;

/// First line of the file.
const HEADER: &str = "# Parties registered from here: public facts, no secrets.\n\n";

/// A party, where it is registered, and the keys it was registered with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KnownParty {
    /// Its id.
    pub(crate) party: StatementId,
    /// Its name, for the reader of the file.
    pub(crate) name: String,
    /// Origin of its registry.
    pub(crate) origin: String,
    /// Genesis of its registry.
    pub(crate) genesis: Sha256Digest,
    /// Its keys, then and since.
    pub(crate) keys: Vec<KeyId>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartiesFile {
    #[serde(default, rename = "party")]
    parties: Vec<KnownParty>,
}

/// Remembers a party.
///
/// # Errors
/// When the file can't be read or written.
pub(crate) fn remember(directories: &Directories, party: &KnownParty) -> Result<(), Failure> {
    let directory = directories.config()?;
    let path = directory.join(FILE);
    let _lock = lock(directory)?;
    let mut file: PartiesFile = read_toml(&path, FILE_BYTES_MAX)?.unwrap_or_default();
    let is_same = |known: &&mut KnownParty| known.party == party.party && known.genesis == party.genesis;
    match file.parties.iter_mut().find(is_same) {
        // Old keys stay: which of them may still sign is the registry's to say.
        Some(known) => {
            known.keys.extend(&party.keys);
            known.keys.sort_unstable();
            known.keys.dedup();
        }
        None => file.parties.push(party.clone()),
    }
    write_toml(&path, HEADER, &file)
}

/// Writes a party file.
///
/// # Errors
/// When the file can't be written.
pub(crate) fn write_file(path: &Path, party: &KnownParty) -> Result<(), Failure> {
    write_toml(path, HEADER, &PartiesFile { parties: vec![party.clone()] })
}

/// The party that signs with `keys` at `registry`: the one asked for, or else the one remembered.
///
/// What was asked for is an id, as it is, or a party file.
///
/// # Errors
/// A usage failure when a file can't be read or the choice is not clear; an authorisation failure when no party is known.
pub(crate) fn resolve(
    asked: Option<&str>,
    directories: &Directories,
    registry: &RegistryRef,
    keys: &[KeyId],
) -> Result<String, Failure> {
    match asked {
        Some(asked) if Path::new(asked).is_file() => {
            let path = Path::new(asked);
            let file: PartiesFile = read_toml(path, FILE_BYTES_MAX)?.unwrap_or_default();
            choose(&file, registry, None, asked)
        }
        Some(id) => Ok(id.to_owned()),
        None => {
            let path = directories.config()?.join(FILE);
            let file: PartiesFile = read_toml(&path, FILE_BYTES_MAX)?.unwrap_or_default();
            choose(&file, registry, Some(keys), &path.display().to_string())
        }
    }
}

fn choose(file: &PartiesFile, registry: &RegistryRef, keys: Option<&[KeyId]>, place: &str) -> Result<String, Failure> {
    let fits = |party: &&KnownParty| {
        party.genesis == registry.genesis && keys.is_none_or(|keys| keys.iter().all(|key| party.keys.contains(key)))
    };
    let found: Vec<&KnownParty> = file.parties.iter().filter(fits).collect();
    match found.as_slice() {
        [only] => Ok(only.party.to_string()),
        [] => {
            let message = format!(
                "{place} names no party of the registry {} for this key; register one with `chopmark party register`, \
                 or name it with --party",
                registry.origin
            );
            Err(Failure::new(Exit::NotAuthorised, "no_party", message))
        }
        several => {
            let mut message = format!("{place} names several parties for this key; choose one with --party:");
            for party in several {
                let _ = write!(message, "\n  {}  {}", party.party, party.name);
            }
            Err(Failure::usage(message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(name: &str, genesis: &[u8], keys: &[&[u8]]) -> KnownParty {
        KnownParty {
            party: StatementId::of(name.as_bytes()),
            name: name.to_owned(),
            origin: "a.example/log".to_owned(),
            genesis: Sha256Digest::of(genesis),
            keys: keys.iter().map(|key| KeyId::from_digest(Sha256Digest::of(key))).collect(),
        }
    }

    fn registry(genesis: &[u8]) -> RegistryRef {
        RegistryRef { origin: "a.example/log".to_owned(), genesis: Sha256Digest::of(genesis) }
    }

    #[test]
    fn a_remembered_party_is_found_by_registry_and_key() {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().as_os_str().to_owned();
        let directories = Directories::of(&|name| (name == "HOME").then(|| home.clone()));
        let (here, there) = (party("here", b"1", &[b"a", b"b"]), party("there", b"2", &[b"a"]));
        for known in [&here, &there, &here] {
            remember(&directories, known).unwrap();
        }
        let find = |genesis: &[u8], keys: &[KeyId]| resolve(None, &directories, &registry(genesis), keys);
        assert_eq!(find(b"1", &here.keys[..1]).unwrap(), here.party.to_string());
        assert_eq!(find(b"1", &here.keys).unwrap(), here.party.to_string());
        assert_eq!(find(b"2", &there.keys).unwrap(), there.party.to_string());
        assert_eq!(find(b"2", &here.keys).unwrap_err().code, "no_party");
        assert_eq!(find(b"3", &here.keys).unwrap_err().exit, Exit::NotAuthorised);

        remember(&directories, &party("twin", b"2", &[b"a"])).unwrap();
        let unclear = find(b"2", &there.keys).unwrap_err();
        assert_eq!(unclear.exit, Exit::Usage);
        assert!(unclear.message.contains("twin"));
    }

    #[test]
    fn a_party_can_be_named_by_id_or_by_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("p.toml");
        let known = party("here", b"1", &[b"a"]);
        write_file(&path, &known).unwrap();
        let nowhere = Directories::default();
        let named = |asked: &str, genesis: &[u8]| resolve(Some(asked), &nowhere, &registry(genesis), &[]);
        assert_eq!(named(path.to_str().unwrap(), b"1").unwrap(), known.party.to_string());
        assert_eq!(named(path.to_str().unwrap(), b"2").unwrap_err().code, "no_party");
        assert_eq!(named("pty_aaaaaaaaaaaaaaaaaaaa", b"1").unwrap(), "pty_aaaaaaaaaaaaaaaaaaaa");
    }
}
