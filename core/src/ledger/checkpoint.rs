//! C2SP checkpoints: a log's origin, size and root as the text of a signed note.
//!
//! [`open_checkpoint`] is the only way from a note to a [`Checkpoint`] worth believing; [`sign_checkpoint`] is the last
//! step of publishing and checks form only: that the tree extends what was signed before is the signer's own duty.

use core::fmt;

use super::note::{Note, NoteError, NoteSigner, VerifierKey};
use super::tree::empty_root;
use super::{format_hash, parse_decimal, parse_hash};
use crate::digest::Sha256Digest;

/// Smallest log a checkpoint is signed for, in entries: the two of genesis, so that every inclusion path is non-empty.
pub const SIGNED_SIZE_MIN: u64 = 2;

/// Why a checkpoint is malformed, not trusted, or not to be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note around it failed.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A line of the text is missing, empty or not as demanded.
    #[error("line {line} of the checkpoint must be {expected}")]
    Line {
        /// Line, from 1.
        line: usize,
        /// What belongs there.
        expected: &'static str,
    },
    /// The empty tree has exactly one root.
    #[error("a checkpoint of size 0 must carry the root of the empty tree")]
    EmptyRoot,
    /// Known keys signed, but none of them is the log's own.
    #[error("the checkpoint of {origin} is not signed by a trusted key of that name: add the log's verifier key")]
    OriginNotSigned {
        /// Origin the checkpoint claims.
        origin: String,
    },
    /// The log key is named after the origin it signs for.
    #[error("the key {name} cannot sign for the log {origin}: name the log key as its origin")]
    SignerName {
        /// Name of the signing key.
        name: String,
        /// Origin of the checkpoint.
        origin: String,
    },
    /// Smaller than [`SIGNED_SIZE_MIN`].
    #[error("a log of {size} entries is not signed: genesis has {SIGNED_SIZE_MIN}")]
    BeforeGenesis {
        /// Size of the log in entries.
        size: u64,
    },
}

/// What a log commits to: its first `size` entries, in order, hash to `root`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Sha256Digest,
    extensions: Vec<String>,
}

impl Checkpoint {
    /// Describes a tree of the log `origin`, without extension lines.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] when the origin is empty or holds a control character, or the root of an empty tree is not
    /// the empty root.
    pub fn new(origin: impl Into<String>, size: u64, root: Sha256Digest) -> Result<Self, CheckpointError> {
        let origin = origin.into();
        if origin.is_empty() || origin.bytes().any(|byte| byte < 0x20) {
            return Err(CheckpointError::Line { line: 1, expected: "the log's origin, without control characters" });
        }
        if size == 0 && root != empty_root() {
            return Err(CheckpointError::EmptyRoot);
        }
        Ok(Self { origin, size, root, extensions: Vec::new() })
    }

    /// Reads the text of a note. What it says is believed only through [`open_checkpoint`].
    ///
    /// # Errors
    ///
    /// [`CheckpointError`] naming the line that is not in its one possible spelling.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let line = |line, expected| CheckpointError::Line { line, expected };
        let body = text.strip_suffix('\n').ok_or(CheckpointError::Note(NoteError::Text))?;
        let mut lines = body.split('\n');
        let origin = lines.next().unwrap_or_default();
        let size = lines.next().and_then(parse_decimal).ok_or(line(2, "the size, a decimal without leading zeroes"))?;
        let root = lines.next().and_then(parse_hash).ok_or(line(3, "the root hash, 44 characters of base64"))?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if let Some(empty) = extensions.iter().position(String::is_empty) {
            return Err(line(4 + empty, "an extension line, which is not empty"));
        }
        Ok(Self { extensions, ..Self::new(origin, size, root)? })
    }

    /// The log's identity, usually a URL without its scheme.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Number of entries.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree over them.
    pub fn root(&self) -> Sha256Digest {
        self.root
    }

    /// Opaque further lines. Chopmark writes none and gives them no meaning.
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }
}

/// The note text, which is what gets signed.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, format_hash(&self.root))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Signs a checkpoint and returns the note, with one line for each of the log's keys (at least one), in order.
///
/// # Errors
///
/// [`CheckpointError`] when the log is smaller than genesis, a key is not named after the origin, or there is no key.
pub fn sign_checkpoint(checkpoint: &Checkpoint, signers: &[NoteSigner]) -> Result<String, CheckpointError> {
    if checkpoint.size < SIGNED_SIZE_MIN {
        return Err(CheckpointError::BeforeGenesis { size: checkpoint.size });
    }
    let foreign = signers.iter().map(|signer| signer.verifier_key().name()).find(|name| *name != checkpoint.origin);
    if let Some(name) = foreign {
        return Err(CheckpointError::SignerName { name: name.to_owned(), origin: checkpoint.origin.clone() });
    }
    Ok(Note::sign(checkpoint.to_string(), signers)?.to_string())
}

/// Opens a signed checkpoint: every signature by one of `keys` verifies, and one of them is by the log itself, that is
/// by a key named after the origin. A trusted key of another log, or a witness, cannot speak for this one.
///
/// # Errors
///
/// [`CheckpointError`] when the note or the checkpoint is malformed or not signed as it must be.
pub fn open_checkpoint(note: &str, keys: &[VerifierKey]) -> Result<Checkpoint, CheckpointError> {
    let note = Note::parse(note)?;
    let signed_by = note.verify(keys)?;
    let checkpoint = Checkpoint::parse(note.text())?;
    if signed_by.iter().any(|key| key.name() == checkpoint.origin) {
        Ok(checkpoint)
    } else {
        Err(CheckpointError::OriginNotSigned { origin: checkpoint.origin })
    }
}

#[cfg(test)]
mod tests;
