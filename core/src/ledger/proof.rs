//! C2SP tlog-proof: one text file that proves, offline, that an entry is in a log.
//!
//! It carries an index, an inclusion path and a signed checkpoint, never the entry and never the trust: the caller
//! hashes the entry itself and brings the log's keys. Relies on [`super::checkpoint`] and [`super::tree`].

use core::fmt;
use core::str::FromStr;

use data_encoding::BASE64;

use super::checkpoint::{Checkpoint, CheckpointError, open_checkpoint};
use super::note::{NOTE_BYTES_MAX, Note, VerifierKey};
use super::tree::{ProofError, verify_inclusion};
use super::{format_hash, parse_decimal, parse_hash};
use crate::base64;
use crate::digest::Sha256Digest;

/// First line of every proof.
const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// Most hashes in an inclusion path: the height of a tree of 2^64 entries.
pub const PATH_HASHES_MAX: usize = 64;
/// Largest `extra` in bytes: as much as an entry, which is what it may help to rebuild.
pub const EXTRA_BYTES_MAX: usize = 65_535;
/// Largest proof read, in bytes: a note, an `extra` in base64, the path, and room for the fixed words.
pub const TLOG_PROOF_BYTES_MAX: usize = NOTE_BYTES_MAX + EXTRA_BYTES_MAX.div_ceil(3) * 4 + PATH_HASHES_MAX * 45 + 128;

/// Why a proof is malformed or does not prove the entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    /// Larger than [`TLOG_PROOF_BYTES_MAX`].
    #[error("the proof has {found} bytes, at most {TLOG_PROOF_BYTES_MAX} are read")]
    TooLarge {
        /// Size of the proof in bytes.
        found: usize,
    },
    /// A line is missing or not in its one possible spelling.
    #[error("line {line} of the proof must be {expected}")]
    Line {
        /// Line, from 1.
        line: usize,
        /// What belongs there.
        expected: &'static str,
    },
    /// The checkpoint in the proof is malformed or not trusted.
    #[error("the checkpoint in the proof: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The path does not lead from the entry to the checkpoint's root.
    #[error(transparent)]
    Inclusion(#[from] ProofError),
}

/// A parsed proof; well-formed, and no more than that until [`TlogProof::verify`].
///
/// Displaying it gives back exactly the bytes that were parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    index: u64,
    extra: Option<Vec<u8>>,
    path: Vec<Sha256Digest>,
    checkpoint_note: String,
}

impl TlogProof {
    /// Puts a proof together from the index of an entry, its inclusion path and a signed checkpoint.
    ///
    /// # Errors
    ///
    /// [`TlogProofError`] when the path is longer than any path, or `checkpoint_note` is not a signed checkpoint.
    /// Whether the three belong together shows in [`TlogProof::verify`].
    pub fn new(
        index: u64,
        path: Vec<Sha256Digest>,
        checkpoint_note: impl Into<String>,
    ) -> Result<Self, TlogProofError> {
        if path.len() > PATH_HASHES_MAX {
            return Err(TlogProofError::Line { line: 3 + PATH_HASHES_MAX, expected: "empty: no path is that long" });
        }
        let checkpoint_note = checkpoint_note.into();
        let note = Note::parse(&checkpoint_note).map_err(CheckpointError::Note)?;
        Checkpoint::parse(note.text())?;
        Ok(Self { index, extra: None, path, checkpoint_note })
    }

    /// Index of the entry in the log.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Data an application put beside the proof. **Nothing authenticates it.** Chopmark writes none.
    pub fn extra(&self) -> Option<&[u8]> {
        self.extra.as_deref()
    }

    /// The inclusion path, sibling of the leaf first.
    pub fn path(&self) -> &[Sha256Digest] {
        &self.path
    }

    /// The signed checkpoint, byte for byte.
    pub fn checkpoint_note(&self) -> &str {
        &self.checkpoint_note
    }

    /// Checks that the entry hashed to `leaf_hash` is in a log whose checkpoint one of its keys in `keys` signed.
    ///
    /// Not covered by any signature, and so free to change without being noticed: `extra`, and signature lines by
    /// keys outside `keys`.
    ///
    /// # Errors
    ///
    /// [`TlogProofError`] when the checkpoint is not trusted or the path does not lead to its root.
    pub fn verify(&self, leaf_hash: Sha256Digest, keys: &[VerifierKey]) -> Result<Checkpoint, TlogProofError> {
        let checkpoint = open_checkpoint(&self.checkpoint_note, keys)?;
        verify_inclusion(leaf_hash, self.index, checkpoint.size(), &self.path, checkpoint.root())?;
        Ok(checkpoint)
    }
}

/// Writes the proof, header to checkpoint; the content of a `.tlog-proof` file.
impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", BASE64.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", format_hash(hash)))?;
        write!(f, "\n{}", self.checkpoint_note)
    }
}

impl FromStr for TlogProof {
    type Err = TlogProofError;

    fn from_str(proof: &str) -> Result<Self, Self::Err> {
        if proof.len() > TLOG_PROOF_BYTES_MAX {
            return Err(TlogProofError::TooLarge { found: proof.len() });
        }
        let wrong = |line, expected| TlogProofError::Line { line, expected };
        // The first empty line ends the proof's own part: none of its lines is empty.
        let (head, checkpoint_note) =
            proof.split_once("\n\n").ok_or(wrong(1, "followed by an index, a path, an empty line and a checkpoint"))?;
        let mut lines = head.split('\n').zip(1_usize..).peekable();
        if lines.next().is_none_or(|(first, _)| first != HEADER) {
            return Err(wrong(1, "c2sp.org/tlog-proof@v1"));
        }
        let extra = match lines.next_if(|(line, _)| line.starts_with("extra ")) {
            Some((line, at)) => Some(parse_extra(line).ok_or(wrong(at, "extra and 1 to 65,535 bytes in base64"))?),
            None => None,
        };
        let after_header = if extra.is_some() { 3 } else { 2 };
        let index = lines
            .next()
            .and_then(|(line, _)| parse_decimal(line.strip_prefix("index ")?))
            .ok_or(wrong(after_header, "index and a decimal without leading zeroes"))?;
        let path = lines
            .map(|(line, at)| parse_hash(line).ok_or(wrong(at, "a hash, 44 characters of base64")))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { extra, ..Self::new(index, path, checkpoint_note)? })
    }
}

fn parse_extra(line: &str) -> Option<Vec<u8>> {
    let bytes = base64::decode(&BASE64, line.strip_prefix("extra ")?).ok()?;
    (1..=EXTRA_BYTES_MAX).contains(&bytes.len()).then_some(bytes)
}

#[cfg(test)]
mod tests;
