//! Auditing: recompute everything from the entries and name the first thing that does not hold.
//!
//! Leaf, tile, root, checkpoint, columns, admission, signatures, documents, read tables, schema. Triggers and grants only
//! slow an administrator down; this is what finds them out, together with a checkpoint kept outside the database.
//! [`Examiner`] is what judges, and knows nothing of where entries come from; [`audit`] feeds it from the database.

mod beyond;
mod catalogue;
mod documents;
mod examiner;
mod rows;
mod run;
pub(crate) mod tables;

pub use examiner::{Columns, Examined, Examiner, FoundEntry, JudgedEntry, Piece, Source};
pub use run::{audit, check_schema};

use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::note::VerifierKey;

use crate::error::StoreError;
use crate::query::StoredCheckpoint;

/// A root known from outside the database: a kept checkpoint, or the signer's mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRoot {
    /// Where it is from, for the report.
    pub source: String,
    /// Entries it covers.
    pub size: u64,
    /// Root over them.
    pub root: Sha256Digest,
    /// Whether readers were shown it: then the database keeps it.
    pub is_published: bool,
}

/// What to audit, and against what.
#[derive(Debug, Clone)]
pub struct Options {
    /// The key that checkpoints must be signed with.
    pub log_key: VerifierKey,
    /// Roots kept outside.
    pub known: Vec<KnownRoot>,
    /// The same of the access log.
    pub known_accesses: Vec<KnownRoot>,
    /// Entries that an earlier audit found good, up to a root that must be among [`Options::known`]: they are hashed and
    /// taken in, but not judged again, and the read tables are not compared.
    pub verified_size: u64,
    /// Whether to check signatures.
    pub signatures: bool,
    /// Whether to read the documents that entries name.
    pub documents: bool,
    /// Whether to fold the entries into tables and compare those with the read tables, and with who may read sealed values.
    pub tables: bool,
    /// What the schema, which is compared with what the migrations make, has around it.
    pub surroundings: Surroundings,
}

/// What only whoever audits can know of the database: nothing in it may tell, because a superuser could change that.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Whether the schema was made by a user who is no superuser, and so without event triggers.
    pub without_event_triggers: bool,
    /// Users that may act as the registry's roles, beside superusers and the one that the audit connects as.
    pub database_users: Vec<String>,
}

impl Options {
    /// Everything, from the first entry on.
    pub fn everything(log_key: VerifierKey) -> Self {
        Self {
            log_key,
            known: Vec::new(),
            known_accesses: Vec::new(),
            verified_size: 0,
            signatures: true,
            documents: true,
            tables: true,
            surroundings: Surroundings::default(),
        }
    }

    /// Continues from a root up to which everything was found good.
    #[must_use]
    pub fn starting_from(mut self, verified: KnownRoot) -> Self {
        self.verified_size = verified.size;
        self.tables &= verified.size == 0;
        self.known.push(verified);
        self
    }
}

/// How far an audit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Entries are read and judged.
    Entries {
        /// Entries done.
        done: u64,
        /// Of so many.
        of: u64,
    },
    /// Read tables are compared with the fold.
    Tables {
        /// Tables done.
        done: u64,
        /// Of so many.
        of: u64,
    },
}

/// What was found to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clean {
    /// Entries checked.
    pub entries: u64,
    /// Those of them that were judged and whose signatures were checked; the others were hashed only.
    pub judged: u64,
    /// Full tiles checked.
    pub tiles: u64,
    /// Signed checkpoints checked.
    pub checkpoints: u64,
    /// Times that a document was read for an entry that names it.
    pub documents: u64,
    /// Records of the access log checked, where it is audited as well.
    pub accesses: Option<u64>,
    /// Openings of sealed values that open the log's commitments, where they were looked at and the master keys are at hand.
    pub openings: Option<u64>,
    /// Statements with sealed values none of whose openings is here, where that was looked at.
    pub kept_elsewhere: Option<u64>,
    /// Read tables compared.
    pub tables: u64,
    /// Root over all entries.
    pub root: Sha256Digest,
    /// The newest signed checkpoint among those checked.
    pub newest: Option<StoredCheckpoint>,
}

/// The first thing that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Table and row, tile, schema object, or the outside source.
    pub object: String,
    /// First entry concerned.
    pub index: Option<u64>,
    /// What does not hold.
    pub reason: String,
}

impl Finding {
    /// A finding about an object, from an entry on where one can be named.
    pub fn new(object: impl Into<String>, index: impl Into<Option<u64>>, reason: impl Into<String>) -> Self {
        Self { object: object.into(), index: index.into(), reason: reason.into() }
    }
}

/// The outcome of an audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Everything holds.
    Clean(Box<Clean>),
    /// Something does not.
    Found(Finding),
}

/// How a check ended early: with a finding, or because the database failed.
pub(crate) enum Stop {
    Found(Finding),
    Store(StoreError),
}

impl From<Finding> for Stop {
    fn from(finding: Finding) -> Self {
        Self::Found(finding)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged { place, reason } => Self::Found(Finding { object: place, index: None, reason }),
            other => Self::Store(other),
        }
    }
}

impl From<diesel::result::Error> for Stop {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

fn found(object: impl Into<String>, index: impl Into<Option<u64>>, reason: impl Into<String>) -> Stop {
    Stop::Found(Finding::new(object, index, reason))
}
