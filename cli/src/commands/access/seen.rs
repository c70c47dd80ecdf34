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

use super::proved::{Proved, leaf_of};
use super::{Access, Listed};
use crate::client::Client;
use crate::config::Directories;
use crate::exit::Failure;
use crate::files::{self, Access as Permissions};

/// Directory of these files below the user's state directory.
const DIRECTORY: &str = "accesses";

/// Schema name of the document.
const SCHEMA: &str = "chopmark.accesses/v1";

/// Most records that are remembered: as many as are ever shown at once.
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

    /// Whether everything that was shown before is shown again, as far as the list goes.
    ///
    /// # Errors
    /// A proof failure for the first record that is gone, or another.
    pub(super) fn check(&self, listed: &Listed) -> Result<(), Failure> {
        let Some(document) = &self.document else { return Ok(()) };
        let last = listed.accesses.last().map(|last| last.index);
        for (index, leaf) in &document.records {
            if !listed.is_complete && last.is_none_or(|last| *index > last) {
                break;
            }
            let same = |access: &&Access| access.index == *index;
            let Some(access) = listed.accesses.iter().find(same) else {
                return Err(Failure::proof(format!("record {index} was shown before, and is gone")));
            };
            if leaf_of(access)? != *leaf {
                return Err(Failure::proof(format!("record {index} is another than was shown before")));
            }
        }
        Ok(())
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
            if document.records.len() < RECORDS_MAX {
                document.records.insert(access.index, leaf_of(access)?);
            }
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
