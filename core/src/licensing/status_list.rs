//! The status list: what happened to the licences of a registry, as of a size, signed by the log key.
//!
//! What a certificate revocation list is to certificates (RFC 5280, section 5): a verifier without a network learns from
//! it that a licence was not ended, as of a moment. It names the size and root it is of, so a list that leaves out an
//! event the log holds below that size is a signed lie that anybody with the log can show. A suspension that is over is in
//! it as well, so it answers for any day.
//!
//! The document has three parts with a blank line between: one line for each event, `<id> <status> <day>`, ascending by the
//! id of the licence and then by day, of one day the last; the text of a C2SP signed note; its signatures. Lines of the
//! text: `chopmark/status-list/v1`; the origin; the size; the root in base64; when it was signed; until when it may be
//! relied on; how many lines there are; SHA-256 of the lines in base64. No checkpoint has such a first line, so neither
//! can be taken for the other.

use std::collections::BTreeMap;

use super::status::LicenceEvent;
use crate::admission::DatedEvent;
use crate::digest::Sha256Digest;
use crate::ledger::note::{Note, NoteError, NoteSigner, VerifierKey};
use crate::ledger::{format_hash, parse_decimal, parse_hash};
use crate::statement::StatementId;
use crate::terms::vocabulary::Vocabulary as _;
use crate::time::Timestamp;

/// First line of the text.
pub const STATUS_LIST_HEADER: &str = "chopmark/status-list/v1";

/// Most bytes of a list: some 300,000 events.
pub const STATUS_LIST_BYTES_MAX: usize = 32 << 20;

/// Why a text is no status list, or not one to rely on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatusListError {
    /// The note around it failed.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A line of the text is not as demanded.
    #[error("line {line} of the status list must be {expected}")]
    Line {
        /// Line, from 1.
        line: usize,
        /// What belongs there.
        expected: &'static str,
    },
    /// A line about a licence is not `<id> <status> <day>`, or not in ascending order of ids and days.
    #[error("{text:?} is not the id of a licence with its status and a day, after the one before")]
    Listed {
        /// The line.
        text: String,
    },
    /// No key of that name signed it.
    #[error("the status list of {origin} is not signed by the log's own key")]
    NotSigned {
        /// The origin it claims.
        origin: String,
    },
}

/// A status list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusList {
    /// The registry's origin.
    pub origin: String,
    /// Entries of the log that it takes into account.
    pub size: u64,
    /// Root of the tree of that size.
    pub root: Sha256Digest,
    /// When it was signed.
    pub signed_at: Timestamp,
    /// Until when it may be relied on.
    pub not_after: Timestamp,
    /// What happened to licences, in order; of one day, the last. Terms that are over by themselves are not listed.
    pub listed: BTreeMap<StatementId, Vec<DatedEvent>>,
}

impl StatusList {
    /// How many events it lists.
    pub fn events(&self) -> usize {
        self.listed.values().map(Vec::len).sum()
    }

    /// One line for each event.
    fn lines(&self) -> String {
        let events = self.listed.iter().flat_map(|(id, events)| events.iter().map(move |event| (id, event)));
        let line = |(id, DatedEvent { status, since }): (&StatementId, &DatedEvent)| {
            format!("{id} {} {since}\n", status.as_str())
        };
        events.map(line).collect()
    }

    /// Signs it.
    ///
    /// # Errors
    /// When the text can't be a note's, which no origin of a log causes.
    pub fn sign(&self, signer: &NoteSigner) -> Result<String, StatusListError> {
        let Self { origin, size, root, signed_at, not_after, listed: _ } = self;
        let lines = self.lines();
        let (root, digest) = (format_hash(root), format_hash(&Sha256Digest::of(lines.as_bytes())));
        let text = format!(
            "{STATUS_LIST_HEADER}\n{origin}\n{size}\n{root}\n{signed_at}\n{not_after}\n{}\n{digest}\n",
            self.events()
        );
        Ok(format!("{lines}\n{}", Note::sign(text, [signer])?))
    }

    /// Opens a document: only a list that the log key signed comes out.
    ///
    /// # Errors
    /// A [`StatusListError`] naming the line, or the signature that is missing.
    pub fn open(document: &str, key: &VerifierKey) -> Result<Self, StatusListError> {
        let (rest, signatures) = document.rsplit_once("\n\n").ok_or(NoteError::Unsigned)?;
        let (lines, text) = match rest.rsplit_once("\n\n") {
            Some((lines, text)) => (format!("{lines}\n"), text),
            None => (String::new(), rest.strip_prefix('\n').ok_or(NoteError::Text)?),
        };
        let note = Note::parse(&format!("{text}\n\n{signatures}"))?;
        let list = Self::parse(text, &lines)?;
        let signed = note.verify(core::slice::from_ref(key))?;
        // One list has one spelling: other signatures, white space or numbers would be another document.
        let is_only = note.signatures().len() == 1;
        if list.origin == key.name() && !signed.is_empty() && is_only {
            Ok(list)
        } else {
            Err(StatusListError::NotSigned { origin: list.origin })
        }
    }

    fn parse(text: &str, lines: &str) -> Result<Self, StatusListError> {
        let wrong = |line, expected| StatusListError::Line { line, expected };
        let [header, origin, size, root, signed_at, not_after, count, digest] =
            <[&str; 8]>::try_from(text.split('\n').collect::<Vec<_>>()).map_err(|_| wrong(9, "the last of eight"))?;
        if header != STATUS_LIST_HEADER {
            return Err(wrong(1, STATUS_LIST_HEADER));
        }
        let size = parse_decimal(size).ok_or_else(|| wrong(3, "a decimal size"))?;
        let root = parse_hash(root).ok_or_else(|| wrong(4, "a root in base64"))?;
        let signed_at = signed_at.parse().map_err(|_| wrong(5, "a time"))?;
        let not_after = not_after.parse().map_err(|_| wrong(6, "a time"))?;
        let listed = Self::parse_lines(lines)?;
        if parse_decimal(count) != u64::try_from(lines.lines().count()).ok() {
            return Err(wrong(7, "the number of lines above"));
        }
        if parse_hash(digest) != Some(Sha256Digest::of(lines.as_bytes())) {
            return Err(wrong(8, "the SHA-256 of the lines above"));
        }
        Ok(Self { origin: origin.to_owned(), size, root, signed_at, not_after, listed })
    }

    fn parse_lines(lines: &str) -> Result<BTreeMap<StatementId, Vec<DatedEvent>>, StatusListError> {
        let mut listed: BTreeMap<StatementId, Vec<DatedEvent>> = BTreeMap::new();
        for text in lines.lines() {
            let parsed = (|| {
                let (id, rest) = text.split_once(' ')?;
                let (status, since) = rest.split_once(' ')?;
                let status = LicenceEvent::ALL.iter().copied().find(|known| known.as_str() == status)?;
                Some((id.parse::<StatementId>().ok()?, DatedEvent { status, since: since.parse().ok()? }))
            })();
            let (id, event) = parsed.ok_or_else(|| StatusListError::Listed { text: text.to_owned() })?;
            let last = listed.last_key_value().and_then(|(id, events)| Some((*id, events.last()?.since)));
            if last.is_some_and(|last| last >= (id, event.since)) {
                return Err(StatusListError::Listed { text: text.to_owned() });
            }
            listed.entry(id).or_default().push(event);
        }
        Ok(listed)
    }
}
