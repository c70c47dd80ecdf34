//! What this user was shown of the access log before: a record that was there once has to be there for ever, and the log
//! signed then has to be the beginning of the log signed now.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::checkpoint::open_checkpoint;
use chopmark_core::ledger::note::VerifierKey;
use chopmark_core::ledger::tree::verify_consistency;
use chopmark_core::statement::StatementId;
use chopmark_core::strict;
use serde::{Deserialize, Serialize};

use super::Listed;
use super::proved::{Proved, leaf_of};
use crate::client::Client;
use crate::config::Directories;
use crate::exit::Failure;
use crate::files::{self, Access as Permissions};

/// Directory of these files below the user's state directory.
const DIRECTORY: &str = "accesses";

/// Schema name of the document.
const SCHEMA: &str = "chopmark.accesses/v1";

/// Most records that are remembered: as many as are ever shown at once, the newest.
const RECORDS_MAX: usize = 10_000;

/// Largest document, in bytes: so many indices and hashes, and a note.
const FILE_BYTES_MAX: usize = 2 << 20;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: String,
    /// The newest checkpoint that was shown.
    checkpoint: String,
    /// Leaf hashes by index.
    records: BTreeMap<u64, Sha256Digest>,
}

/// What a party was shown at a registry.
pub(super) struct Seen {
    path: PathBuf,
    document: Option<Document>,
}

impl Seen {
    /// What is remembered.
    ///
    /// # Errors
    /// When it is there and can't be read: then it can't be compared.
    pub(super) fn open(
        directories: &Directories,
        genesis: &Sha256Digest,
        party: &StatementId,
    ) -> Result<Self, Failure> {
        let path = directories.state()?.join(DIRECTORY).join(format!("{genesis}-{party}.json"));
        let document = match files::read(&path, FILE_BYTES_MAX) {
            Ok(bytes) => {
                let unreadable = |reason: String| {
                    let path = path.display();
                    Failure::usage(format!(
                        "{path} is not what this program wrote ({reason}); remove it to forget what was shown before"
                    ))
                };
                let document: Document = strict::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
                if document.schema != SCHEMA {
                    return Err(unreadable(format!("its schema is {:?}", document.schema)));
                }
                Some(document)
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => None,
            Err(error) => return Err(Failure::file("read", &path, &error)),
        };
        Ok(Self { path, document })
    }

    /// The records that have to be there again: their leaf hashes by index.
    pub(super) fn expected(&self) -> BTreeMap<u64, Sha256Digest> {
        self.document.as_ref().map(|document| document.records.clone()).unwrap_or_default()
    }

    /// Whether a record was proved before.
    pub(super) fn holds(&self, index: u64) -> bool {
        self.document.as_ref().is_some_and(|document| document.records.contains_key(&index))
    }

    /// Remembers what was proved now, once the log signed then is proved to be the beginning of the log signed now.
    ///
    /// # Errors
    /// A proof failure when it is not; when the file can't be written.
    pub(super) fn extend(
        &mut self,
        client: &Client,
        key: &VerifierKey,
        listed: &Listed,
        proved: &Proved,
    ) -> Result<(), Failure> {
        let mut document = self.document.take().unwrap_or_default();
        if !document.checkpoint.is_empty() {
            let old = open_checkpoint(&document.checkpoint, core::slice::from_ref(key)).map_err(Failure::proof_of)?;
            let shrunk = |now: u64| {
                let then = old.size();
                Failure::proof(format!("the access log was signed over {then} records before, and over {now} now"))
            };
            let Some((new, _)) = &proved.checkpoint else { return Err(shrunk(0)) };
            if new.size() < old.size() {
                return Err(shrunk(new.size()));
            }
            let path = client.access_consistency(old.size(), new.size())?;
            verify_consistency(old.size(), old.root(), new.size(), new.root(), &path).map_err(|error| {
                let (then, now) = (old.size(), new.size());
                Failure::proof(format!(
                    "the access log over {now} records is not the one that was signed over {then} before: {error}"
                ))
            })?;
        }
        let Some((_, note)) = &proved.checkpoint else { return Ok(()) };
        for access in listed.accesses.iter().filter(|access| proved.covers(access.index)) {
            remember(&mut document.records, access.index, leaf_of(access)?);
        }
        SCHEMA.clone_into(&mut document.schema);
        document.checkpoint.clone_from(note);
        let failed = |error| Failure::file("write", &self.path, &error);
        let mut bytes = strict::to_canonical(&document).map_err(|error| Failure::internal(error.to_string()))?;
        bytes.push(b'\n');
        if let Some(directory) = self.path.parent() {
            files::create_directory(directory).map_err(failed)?;
            files::sweep(directory);
        }
        files::replace(&self.path, &bytes, Permissions::Private).map_err(failed)
    }
}

/// Remembers a record, in the place of the oldest where there are too many.
fn remember(records: &mut BTreeMap<u64, Sha256Digest>, index: u64, leaf: Sha256Digest) {
    records.insert(index, leaf);
    if records.len() > RECORDS_MAX {
        records.pop_first();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_records_are_remembered() {
        let mut records = BTreeMap::new();
        for index in 0..12_000 {
            remember(&mut records, index, Sha256Digest::of(b"leaf"));
        }
        assert_eq!((records.len(), records.first_key_value().unwrap().0), (RECORDS_MAX, &2_000));
        remember(&mut records, 1_000, Sha256Digest::of(b"leaf"));
        assert!(!records.contains_key(&1_000), "older than all that are remembered");
    }
}
