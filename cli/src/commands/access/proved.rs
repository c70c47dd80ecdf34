//! That records are in the access log: what is shown is hashed again, and proved under a signed checkpoint.

use std::time::{Duration, Instant};

use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::checkpoint::{Checkpoint, open_checkpoint};
use chopmark_core::ledger::note::{NOTE_BYTES_MAX, VerifierKey};
use chopmark_core::ledger::tree::{leaf_hash, verify_inclusion};
use chopmark_core::strict;

use super::{Access, Listed};
use crate::client::Client;
use crate::exit::Failure;

/// How long a checkpoint over everything that is listed is waited for: records are signed within a second.
const CHECKPOINT_WAIT: Duration = Duration::from_secs(5);

/// Pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The checkpoint that the records are under, and its note; none while nothing is signed.
pub(super) struct Proved {
    pub(super) checkpoint: Option<(Checkpoint, String)>,
    records: usize,
    covered: usize,
}

impl Proved {
    /// Proves every record that is under the newest checkpoint. Those that are known were proved before, under a checkpoint that
    /// is proved to be the beginning of this one.
    ///
    /// # Errors
    /// A proof failure for the first that is not what the log has in its place.
    pub(super) fn check(
        client: &Client,
        key: &VerifierKey,
        listed: &Listed,
        is_known: impl Fn(u64) -> bool,
    ) -> Result<Self, Failure> {
        let needed = listed.accesses.back().map_or(0, |last| last.index.saturating_add(1));
        let checkpoint = newest(client, key, needed)?;
        let mut proved = Self { checkpoint, records: listed.accesses.len(), covered: 0 };
        for access in &listed.accesses {
            let leaf = leaf_of(access)?;
            let Some((checkpoint, _)) = proved.checkpoint.as_ref().filter(|(signed, _)| access.index < signed.size())
            else {
                continue;
            };
            proved.covered += 1;
            if is_known(access.index) {
                continue;
            }
            let (size, root) = (checkpoint.size(), checkpoint.root());
            let path = client.access_inclusion(size, access.index)?;
            verify_inclusion(leaf, access.index, size, &path, root).map_err(|error| {
                let index = access.index;
                Failure::proof(format!(
                    "the access log is not the one that was signed over {size} records: the proof of record {index} \
                     does not hold: {error}"
                ))
            })?;
        }
        Ok(proved)
    }

    /// Whether a record is under the checkpoint.
    pub(super) fn covers(&self, index: u64) -> bool {
        self.checkpoint.as_ref().is_some_and(|(checkpoint, _)| index < checkpoint.size())
    }

    /// For the headline.
    pub(super) fn words(&self) -> String {
        match &self.checkpoint {
            Some((checkpoint, _)) if self.covered == self.records => {
                format!("all of them PROVED in the access log, signed over {} records", checkpoint.size())
            }
            Some((checkpoint, _)) => format!(
                "{} PROVED in the access log, signed over {} records; {} not signed yet",
                self.covered,
                checkpoint.size(),
                self.records - self.covered
            ),
            None => "NOT PROVED: the access log is not signed before it has two records".to_owned(),
        }
    }
}

/// The leaf hash of a record as it is shown.
///
/// # Errors
/// A proof failure when it is another than stated.
pub(super) fn leaf_of(access: &Access) -> Result<Sha256Digest, Failure> {
    let index = access.index;
    let record = access.shown.get("record").map(strict::to_canonical);
    let record = record.and_then(Result::ok);
    let record = record.ok_or_else(|| Failure::proof(format!("record {index} is no record")))?;
    let leaf = leaf_hash(&record);
    match access.shown.get("leaf_hash").and_then(|stated| stated.as_str()) {
        Some(stated) if stated == leaf.to_hex() => Ok(leaf),
        _ => Err(Failure::proof(format!("record {index} was altered: its leaf hash is {leaf}, not the one listed"))),
    }
}

/// The newest checkpoint; one over `needed` records where that comes in time.
fn newest(client: &Client, key: &VerifierKey, needed: u64) -> Result<Option<(Checkpoint, String)>, Failure> {
    let begun = Instant::now();
    loop {
        let note = client.file("/v1/accesses/checkpoint", NOTE_BYTES_MAX)?;
        let note = note.map(String::from_utf8).transpose().map_err(Failure::proof_of)?;
        let signed = match note {
            None => None,
            Some(note) => {
                let opened = open_checkpoint(&note, core::slice::from_ref(key)).map_err(Failure::proof_of)?;
                Some((opened, note))
            }
        };
        let is_enough = signed.as_ref().is_some_and(|(checkpoint, _)| checkpoint.size() >= needed);
        // A log of one record is not signed.
        if is_enough || needed < 2 || begun.elapsed() > CHECKPOINT_WAIT {
            return Ok(signed);
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}
