//! Auditing: recompute everything from the rows and name the first thing that does not hold.
//!
//! Leaf, tile, root, checkpoint, document, in that order. Triggers and grants only slow an administrator down; this is
//! what finds them out, together with a checkpoint that was kept outside the database.

use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::checkpoint::open_checkpoint;
use chopmark_core::ledger::edge::Edge;
use chopmark_core::ledger::note::VerifierKey;
use chopmark_core::ledger::tile::full_tiles;
use chopmark_core::ledger::tree::leaf_hash;
use chopmark_core::statement::Envelope;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};
use diesel_async::RunQueryDsl;

use crate::Store;
use crate::error::{StoreError, bigint, count};
use crate::query::{self, StoredCheckpoint, StoredEntry};

/// Entries read at a time.
const ENTRIES_AT_A_TIME: u64 = 4_096;

/// Checkpoints read at a time.
const CHECKPOINTS_AT_A_TIME: u32 = 4_096;

/// A root known from outside the database: a kept checkpoint, or the signer's mark.
#[derive(Debug, Clone)]
pub struct KnownRoot {
    /// Where it is from, for the report.
    pub source: String,
    /// Entries it covers.
    pub size: u64,
    /// Root over them.
    pub root: Sha256Digest,
}

/// What was found to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clean {
    /// Entries checked.
    pub entries: u64,
    /// Full tiles checked.
    pub tiles: u64,
    /// Signed checkpoints checked.
    pub checkpoints: u64,
    /// Root over all entries.
    pub root: Sha256Digest,
}

/// The first thing that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Table and row, or the outside source.
    pub object: String,
    /// First entry concerned.
    pub index: Option<u64>,
    /// What does not hold.
    pub reason: String,
}

/// The outcome of an audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Everything holds.
    Clean(Clean),
    /// Something does not.
    Found(Finding),
}

/// How a check ended early: with a finding, or because the database failed.
enum Stop {
    Found(Finding),
    Store(StoreError),
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
    Stop::Found(Finding { object: object.into(), index: index.into(), reason: reason.into() })
}

/// Recomputes the whole ledger. `known` are roots kept outside; `progress` is told how many entries are done, of how many.
///
/// # Errors
/// When the database can't be read; damage is not an error but a [`Verdict::Found`].
pub async fn audit(
    store: &Store,
    log_key: &VerifierKey,
    known: Vec<KnownRoot>,
    progress: impl FnMut(u64, u64) + Send,
) -> Result<Verdict, StoreError> {
    match Audit::run(store, log_key, known, progress).await {
        Ok(clean) => Ok(Verdict::Clean(clean)),
        Err(Stop::Found(finding)) => Ok(Verdict::Found(finding)),
        Err(Stop::Store(error)) => Err(error),
    }
}

struct Audit<'a> {
    store: &'a Store,
    log_key: &'a VerifierKey,
    /// Outside roots not reached yet, largest first.
    known: Vec<KnownRoot>,
    /// Stored checkpoints not reached yet, largest first.
    checkpoints: Vec<StoredCheckpoint>,
    edge: Edge,
    clean: Clean,
}

impl Audit<'_> {
    async fn run(
        store: &Store,
        log_key: &VerifierKey,
        mut known: Vec<KnownRoot>,
        mut progress: impl FnMut(u64, u64) + Send,
    ) -> Result<Clean, Stop> {
        let (size, root) = store.log_state().await?;
        known.sort_by_key(|known| core::cmp::Reverse(known.size));
        if let Some(ahead) = known.iter().find(|known| known.size > size) {
            let reason = format!("covers {} entries, the database holds {size}: entries are missing", ahead.size);
            return Err(found(ahead.source.clone(), size, reason));
        }
        let clean = Clean { entries: 0, tiles: 0, checkpoints: 0, root };
        let mut audit = Audit { store, log_key, known, checkpoints: Vec::new(), edge: Edge::new(), clean };
        audit.load_checkpoints(0).await?;
        audit.reach().await?;
        while audit.edge.size() < size {
            let first = audit.edge.size();
            let entries = store.entries(first, ENTRIES_AT_A_TIME.min(size - first)).await?;
            if entries.is_empty() {
                return Err(found(format!("log.entry {first}"), first, "the row is missing"));
            }
            for entry in entries {
                audit.check_entry(&entry).await?;
            }
            progress(audit.edge.size(), size);
        }
        if audit.edge.root() != root {
            let reason = format!("the entries have the root {}, log.log_state says {root}", audit.edge.root());
            return Err(found("log.log_state", size, reason));
        }
        audit.check_nothing_beyond().await?;
        audit.check_documents().await?;
        audit.clean.entries = size;
        Ok(audit.clean)
    }

    async fn check_entry(&mut self, entry: &StoredEntry) -> Result<(), Stop> {
        let index = entry.index;
        let object = || format!("log.entry {index}");
        let leaf = leaf_hash(&entry.body);
        if leaf != entry.leaf_hash {
            let reason = format!("the body hashes to {leaf}, leaf_hash says {}", entry.leaf_hash);
            return Err(found(object(), index, reason));
        }
        let envelope = Envelope::parse(&entry.body).map_err(|error| found(object(), index, error.to_string()))?;
        if envelope.statement_id() != entry.statement_id {
            let reason =
                format!("the payload is statement {}, the row says {}", envelope.statement_id(), entry.statement_id);
            return Err(found(object(), index, reason));
        }
        for tile in self.edge.append(leaf) {
            let (level, n) = (tile.coordinate.level(), tile.coordinate.n());
            if self.store.full_tile(tile.coordinate).await? != tile.hashes {
                let first = n << (8 * (u32::from(level) + 1)).min(63);
                let reason = "its hashes are not those of the entries it covers";
                return Err(found(format!("log.tile level {level} number {n}"), first, reason));
            }
            self.clean.tiles += 1;
        }
        self.reach().await
    }

    /// Compares every checkpoint and outside root of exactly the present size.
    async fn reach(&mut self) -> Result<(), Stop> {
        let size = self.edge.size();
        while let Some(stored) = self.checkpoints.pop_if(|stored| stored.size == size) {
            let object = format!("log.checkpoint {size}");
            if stored.root != self.edge.root() {
                let reason = format!("says root {}, the entries have {}", stored.root, self.edge.root());
                return Err(found(object, size, reason));
            }
            let signed = open_checkpoint(&stored.note, core::slice::from_ref(self.log_key))
                .map_err(|error| found(object.clone(), size, error.to_string()))?;
            if signed.size() != size || signed.root() != stored.root || signed.origin() != self.log_key.name() {
                return Err(found(object, size, "its note is over another size, root or origin"));
            }
            self.clean.checkpoints += 1;
            if self.checkpoints.is_empty() {
                self.load_checkpoints(size + 1).await?;
            }
        }
        while let Some(known) = self.known.pop_if(|known| known.size == size) {
            if known.root != self.edge.root() {
                let reason = format!("says root {} at size {size}, the entries have {}", known.root, self.edge.root());
                return Err(found(known.source, size, reason));
            }
        }
        Ok(())
    }

    async fn load_checkpoints(&mut self, from: u64) -> Result<(), Stop> {
        self.checkpoints = self.store.checkpoints(from, CHECKPOINTS_AT_A_TIME).await?;
        self.checkpoints.reverse();
        Ok(())
    }

    /// Rows that belong to no entry of the committed log. A running service goes on appending while it is audited, so
    /// they are judged by the size at the moment they are looked for: one statement sees one moment.
    async fn check_nothing_beyond(&self) -> Result<(), Stop> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = BigInt)]
            size: i64,
            #[diesel(sql_type = Nullable<BigInt>)]
            entry: Option<i64>,
            #[diesel(sql_type = Nullable<BigInt>)]
            checkpoint: Option<i64>,
            #[diesel(sql_type = BigInt)]
            tiles: i64,
        }
        let connection = &mut *self.store.reading().await?;
        let Row { size, entry, checkpoint, tiles } = diesel::sql_query(
            "SELECT state.size,
                    (SELECT min(idx) FROM log.entry WHERE idx >= state.size) AS entry,
                    (SELECT min(signed.size) FROM log.checkpoint signed WHERE signed.size > state.size) AS checkpoint,
                    (SELECT count(*) FROM log.tile) AS tiles
             FROM log.log_state state",
        )
        .get_result(connection)
        .await?;
        let size = count(size, "log.log_state")?;
        if let Some(index) = entry {
            return Err(found(format!("log.entry {index}"), size, format!("lies beyond the log's {size} entries")));
        }
        if let Some(covered) = checkpoint {
            let reason = format!("covers more than the log's {size} entries");
            return Err(found(format!("log.checkpoint {covered}"), size, reason));
        }
        let expected: u64 = (0..8).map(|level| full_tiles(level, size)).sum();
        if bigint(expected) != tiles {
            return Err(found("log.tile", size, format!("{tiles} rows, {size} entries have {expected} full tiles")));
        }
        Ok(())
    }

    async fn check_documents(&self) -> Result<(), Stop> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::Text)]
            digest: String,
        }
        let connection = &mut *self.store.reading().await?;
        let damaged: Option<Row> = diesel::sql_query(
            "SELECT encode(sha256, 'hex') AS digest FROM log.document WHERE sha256(body) <> sha256 LIMIT 1",
        )
        .get_result(connection)
        .await
        .optional()?;
        match damaged {
            Some(Row { digest }) => Err(found(format!("log.document {digest}"), None, "its bytes have another digest")),
            None => Ok(()),
        }
    }
}

impl Store {
    /// A reading connection.
    async fn reading(&self) -> Result<query::ReadConnection, StoreError> {
        Ok(self.inner.pool.get().await?)
    }
}
