//! The ledger in PostgreSQL: schema, appending, reading, and the private cluster for those who have no server.
//!
//! [`Store`] is concrete and tested against a real PostgreSQL. It trusts nothing it reads for integrity: proofs and
//! audits recompute everything from the rows.

mod about;
mod append;
pub mod audit;
pub mod cluster;
mod compatibility;
mod connect;
mod error;
mod expenditure;
mod find;
mod fixed;
mod follow;
mod licensing;
mod lineage;
mod news;
mod party;
mod project;
mod query;
mod rebuild;
mod schema;
mod vault;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chopmark_core::admission::{AttestationRecord, DatedEvent, EndorsementRecord, KeyRecord, OfferRecord, TermsRecord};
use chopmark_core::compatibility::{Inputs, Verdict};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::key::KeyId;
use chopmark_core::ledger::edge::Edge;
use chopmark_core::ledger::tile::TileCoordinate;
use chopmark_core::statement::{IdReference, StatementId};
use chopmark_core::submission::Submission;
use chopmark_core::terms::period::Date;
use chopmark_core::time::Timestamp;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use tokio::runtime::Handle;

pub use about::{ABOUT_MAX, About};
pub use append::{Appender, BATCH_MAX, Batch, Outcome, Registry};
pub use compatibility::Candidate;
pub use error::StoreError;
pub use expenditure::{Gathered, TooMany};
pub use find::{ArtefactFilter, Conflict, FoundArtefact, Page, PartyFilter};
pub use follow::{Applied, Follower};
pub use licensing::{EVENTS_MAX, FoundLicence, FoundLicences, LicenceFilter, OfferFilter, TermsReference};
pub use lineage::{
    LINEAGE_DEPTH_MAX, LINEAGE_EDGES_MAX, LINEAGE_NODES_MAX, Lineage, LineageEdge, LineageNode, LineageParent,
    LineageQuery,
};
pub use news::{News, NewsLine};
pub use party::FoundParty;
pub use project::KnownPayment;
pub use query::{Head, StoredCheckpoint, StoredEntry, StoredLeaf};
pub use rebuild::Rebuilt;
pub use vault::{
    AccessHead, AccessLog, KeptOpening, LeftOut, ListedAccess, MASTER_KEY_FORMAT, MASTER_KEY_RETIRED, MasterKeys,
    NotGathered, Reading, Rotated, StoredReport, StoredToken, SummedUp, Vault, VaultConfig,
};

use connect::ReadPool;

/// A database that holds, or will hold, one registry.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    url: String,
    runtime: Handle,
    pool: ReadPool,
    vault: Option<Arc<Vault>>,
}

impl Store {
    /// Connects, with at most `connections` for reading, and brings the schema up to date. Must run on the
    /// multi-threaded runtime that will live as long as the store.
    ///
    /// # Errors
    /// When the database can't be reached, is too old, or refuses the schema; [`StoreError::NotDurable`] when a power cut
    /// could take from it what it has acknowledged.
    pub async fn open(url: &str, connections: usize) -> Result<Self, StoreError> {
        connect::migrate(url, &Handle::current()).await?;
        Self::attach(url, connections)
    }

    /// As [`Store::open`], for a database that has the ledger's tables already: a missing one is never made here.
    ///
    /// # Errors
    /// [`StoreError::NotFounded`] when the tables are missing; otherwise as [`Store::open`].
    pub async fn open_existing(url: &str, connections: usize) -> Result<Self, StoreError> {
        if connect::has_ledger(url, &Handle::current()).await? {
            Self::open(url, connections).await
        } else {
            Err(StoreError::NotFounded)
        }
    }

    /// As [`Store::open`], but leaves the schema as it is: for reading a ledger that somebody else keeps.
    ///
    /// # Errors
    /// When the URL is not one.
    pub fn attach(url: &str, connections: usize) -> Result<Self, StoreError> {
        let runtime = Handle::current();
        let pool = connect::pool(url, connections, connect::STATEMENT_TIME_MAX, &runtime)?;
        Ok(Self { inner: Arc::new(Inner { url: url.to_owned(), runtime, pool, vault: None }) })
    }

    /// The same database through as many connections of its own, on which no statement may take longer than this: for
    /// what strangers ask for, apart from what the service itself needs.
    ///
    /// # Errors
    /// When the URL is not one.
    pub fn with_statement_limit(&self, statement_time_max: Duration) -> Result<Self, StoreError> {
        let Inner { url, runtime, pool, vault } = &*self.inner;
        let (pool, vault) = (connect::pool(url, pool.status().max_size, statement_time_max, runtime)?, vault.clone());
        Ok(Self { inner: Arc::new(Inner { url: url.clone(), runtime: runtime.clone(), pool, vault }) })
    }

    /// The same database with a vault: without one, no opening is kept and none is read.
    ///
    /// # Errors
    /// When the URL is not one.
    pub fn with_vault(&self, vault: Vault) -> Result<Self, StoreError> {
        let Inner { url, runtime, pool, .. } = &*self.inner;
        let pool = connect::pool(url, pool.status().max_size, connect::STATEMENT_TIME_MAX, runtime)?;
        let vault = Some(Arc::new(vault));
        Ok(Self { inner: Arc::new(Inner { url: url.clone(), runtime: runtime.clone(), pool, vault }) })
    }

    /// The vault, where there is one.
    pub fn vault(&self) -> Option<&Vault> {
        self.inner.vault.as_deref()
    }

    /// The runtime that connections live on.
    pub fn runtime(&self) -> &Handle {
        &self.inner.runtime
    }

    /// Whether the database would notice a page that its disk gives back changed (`initdb --data-checksums`).
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn has_checksums(&self) -> Result<bool, StoreError> {
        connect::has_checksums(&mut *self.inner.pool.get().await?).await
    }

    /// Reading connections in use now.
    pub fn connections_in_use(&self) -> usize {
        let status = self.inner.pool.status();
        status.size.saturating_sub(status.available)
    }

    /// The writing side, for an existing registry.
    pub fn appender(&self, registry: Registry) -> Appender {
        Appender::new(self.inner.url.clone(), self.inner.runtime.clone(), Some(registry), self.inner.vault.clone())
    }

    /// Writes the founding entries into an empty ledger, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::AlreadyFounded`] when there are entries; a refused statement is an internal mistake and is
    /// reported as [`StoreError::Damaged`].
    pub async fn found(&self, founding: &[Submission; 2], now: Timestamp) -> Result<Registry, StoreError> {
        let (size, _) = self.log_state().await?;
        if size != 0 {
            return Err(StoreError::AlreadyFounded { size });
        }
        let [descriptor, anchors] = founding;
        let mut appender = Appender::new(self.inner.url.clone(), self.inner.runtime.clone(), None, None);
        let batch = appender.append(&[descriptor, anchors], now).await?;
        match batch.outcomes.as_slice() {
            [Outcome::Appended { index: 0, .. }, Outcome::Appended { index: 1, .. }] => {
                Registry::founded_by(&descriptor.entry, &descriptor.statement)
            }
            other => Err(StoreError::damaged("founding", format!("{other:?}"))),
        }
    }

    /// The registry in this database, from its entry 0.
    ///
    /// # Errors
    /// [`StoreError::NotFounded`] when there is none, [`StoreError::Damaged`] when entry 0 does not found one.
    pub async fn registry(&self) -> Result<Registry, StoreError> {
        let entries = self.entries(0, 1).await?;
        let genesis = entries.as_slice().first().ok_or(StoreError::NotFounded)?;
        let submission = chopmark_core::statement::Envelope::parse(&genesis.body)
            .map_err(|error| StoreError::damaged("log.entry 0", error))
            .and_then(|envelope| {
                Submission::assemble(envelope, Vec::new()).map_err(|error| StoreError::damaged("log.entry 0", error))
            })?;
        Registry::founded_by(&genesis.body, &submission.statement)
    }

    /// Size and root of the log as committed (which may be ahead of what is published).
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn log_state(&self) -> Result<(u64, Sha256Digest), StoreError> {
        query::log_state(&mut *self.inner.pool.get().await?).await
    }

    /// Size, root and newest checkpoint, in one look.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn head(&self) -> Result<Head, StoreError> {
        query::head(&mut *self.inner.pool.get().await?).await
    }

    /// The right edge of the tree over the first `size` entries.
    ///
    /// # Errors
    /// When rows are missing or can't be read.
    pub async fn edge_at(&self, size: u64) -> Result<Edge, StoreError> {
        query::edge_at(&mut *self.inner.pool.get().await?, size).await
    }

    /// Leaf hashes of `number` entries from `first` on, as stored; not recomputed.
    ///
    /// # Errors
    /// When a row is missing or can't be read.
    pub async fn leaf_hashes(&self, first: u64, number: u64) -> Result<Vec<Sha256Digest>, StoreError> {
        query::leaf_hashes(&mut *self.inner.pool.get().await?, first, number).await
    }

    /// Entries from `first` on, at most `number`, without gaps.
    ///
    /// # Errors
    /// When a row is missing or can't be read.
    pub async fn entries(&self, first: u64, number: u64) -> Result<Vec<StoredEntry>, StoreError> {
        query::entries(&mut *self.inner.pool.get().await?, first, number).await
    }

    /// The entry of a statement; `None` when none, or more than one, fits the reference.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn entry_by_id(&self, id: &IdReference) -> Result<Option<StoredEntry>, StoreError> {
        query::entry_by_id(&mut *self.inner.pool.get().await?, id).await
    }

    /// The leaf of a statement, with its tile; `None` when none, or more than one, fits the reference.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn leaf_by_id(&self, id: &IdReference) -> Result<Option<StoredLeaf>, StoreError> {
        query::leaf_by_id(&mut *self.inner.pool.get().await?, id).await
    }

    /// The 256 hashes of a full tile.
    ///
    /// # Errors
    /// When the tile is missing or can't be read.
    pub async fn full_tile(&self, coordinate: TileCoordinate) -> Result<Vec<Sha256Digest>, StoreError> {
        query::full_tile(&mut *self.inner.pool.get().await?, coordinate).await
    }

    /// The checkpoint with the largest size.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn latest_checkpoint(&self) -> Result<Option<StoredCheckpoint>, StoreError> {
        query::latest_checkpoint(&mut *self.inner.pool.get().await?).await
    }

    /// Checkpoints from size `from` on, ascending, at most `number`.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn checkpoints(&self, from: u64, number: u32) -> Result<Vec<StoredCheckpoint>, StoreError> {
        query::checkpoints(&mut *self.inner.pool.get().await?, from, number).await
    }

    /// Keeps a signed checkpoint.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when another root is kept for its size.
    pub async fn insert_checkpoint(&self, signed: &StoredCheckpoint) -> Result<(), StoreError> {
        query::insert_checkpoint(&mut *self.inner.pool.get().await?, signed).await
    }

    /// A document by digest.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when its bytes have another digest.
    pub async fn document(&self, digest: &Sha256Digest) -> Result<Option<Vec<u8>>, StoreError> {
        query::document(&mut *self.inner.pool.get().await?, digest).await
    }

    /// A key by id.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn key(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        let row: Option<project::KeyRow> = schema::key::table
            .find(id.digest().as_bytes().as_slice())
            .select(project::KeyRow::as_select())
            .first(&mut *self.inner.pool.get().await?)
            .await
            .optional()?;
        row.map(|row| row.record()).transpose()
    }

    /// Indices of a party's key events below `index`, in order; its creation is not among them.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn key_events(&self, party: &StatementId, index: u64) -> Result<Vec<u64>, StoreError> {
        let indices: Vec<i64> = schema::key_event::table
            .filter(schema::key_event::party.eq(party.as_bytes().as_slice()))
            .filter(schema::key_event::idx.lt(error::bigint(index)))
            .order(schema::key_event::seq)
            .select(schema::key_event::idx)
            .load(&mut *self.inner.pool.get().await?)
            .await?;
        indices.into_iter().map(|index| error::count(index, "view.key_event")).collect()
    }

    /// A line to the other replicas.
    ///
    /// # Errors
    /// When the database can't be reached.
    pub async fn news_line(&self) -> Result<NewsLine, StoreError> {
        NewsLine::open(&self.inner.url, &self.inner.runtime).await
    }

    /// Whoever brings the tables that are searched up to the log.
    pub fn follower(&self) -> Follower {
        Follower::new(self.inner.url.clone(), self.inner.runtime.clone())
    }

    /// Entries that searches take into account.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn applied_size(&self) -> Result<u64, StoreError> {
        find::applied_size(&mut *self.inner.pool.get().await?).await
    }

    /// The latest correction of an asset, a payment or a use, or itself.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn correction_head(&self, id: &StatementId) -> Result<Option<StatementId>, StoreError> {
        project::correction_head(&mut *self.inner.pool.get().await?, id).await
    }

    /// Which of these payments – digests of their subjects – are on record, in the order of the log.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn payments(&self, subjects: &[Sha256Digest]) -> Result<Vec<KnownPayment>, StoreError> {
        project::payments(&mut *self.inner.pool.get().await?, subjects).await
    }

    /// An artefact by id, as the first `below` entries of the log have it.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn artefact(&self, id: &StatementId, below: u64) -> Result<Option<FoundArtefact>, StoreError> {
        find::artefact(&mut *self.inner.pool.get().await?, id, below).await
    }

    /// Artefacts that fit a filter, first registered first.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn artefacts(&self, filter: &ArtefactFilter, page: Page) -> Result<Vec<FoundArtefact>, StoreError> {
        find::artefacts(&mut *self.inner.pool.get().await?, filter, page).await
    }

    /// An artefact and its relatives; `None` when there is no such artefact.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn lineage(&self, id: &StatementId, query: LineageQuery) -> Result<Option<Lineage>, StoreError> {
        lineage::lineage(&mut *self.inner.pool.get().await?, id, query).await
    }

    /// A party by id as it is now, with what the first `below` entries of the log say about it.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn party(&self, id: &StatementId, below: u64) -> Result<Option<FoundParty>, StoreError> {
        let connection = &mut *self.inner.pool.get().await?;
        Ok(party::found(connection, core::slice::from_ref(id), party::Stand::Newest, below).await?.pop())
    }

    /// Parties that fit a filter, first registered first, as they were in the first `page.below` entries.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn parties(&self, filter: &PartyFilter, page: Page) -> Result<Vec<FoundParty>, StoreError> {
        let connection = &mut *self.inner.pool.get().await?;
        let ids: Vec<StatementId> =
            find::parties(connection, filter, page).await?.into_iter().map(|(_, id)| id).collect();
        party::found(connection, &ids, party::Stand::Of(page.below), page.below).await
    }

    /// Attestations about a party or an artefact, in order of entry.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn attestations(&self, about: &StatementId, page: Page) -> Result<Vec<AttestationRecord>, StoreError> {
        about::attestations(&mut *self.inner.pool.get().await?, core::slice::from_ref(about), page).await
    }

    /// Endorsements of a statement, in order of entry.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn endorsements(&self, of: &StatementId, page: Page) -> Result<Vec<EndorsementRecord>, StoreError> {
        about::endorsements(&mut *self.inner.pool.get().await?, core::slice::from_ref(of), page).await
    }

    /// Publications of terms as the first `below` entries have them, first published first; none when no terms, or more
    /// than one, fit the reference.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn terms(&self, id: &TermsReference, below: u64) -> Result<Vec<TermsRecord>, StoreError> {
        licensing::terms(&mut *self.inner.pool.get().await?, id, below).await
    }

    /// An offer by id.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn offer(&self, id: &StatementId, below: u64) -> Result<Option<OfferRecord>, StoreError> {
        licensing::offer(&mut *self.inner.pool.get().await?, id, below).await
    }

    /// Offers that fit a filter, in order of entry.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn offers(&self, filter: &OfferFilter, page: Page) -> Result<Vec<OfferRecord>, StoreError> {
        licensing::offers(&mut *self.inner.pool.get().await?, filter, page).await
    }

    /// A licence by id, with those it rests on and what happened to it.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn licence(&self, id: &StatementId, below: u64) -> Result<Option<FoundLicence>, StoreError> {
        licensing::licence(&mut *self.inner.pool.get().await?, id, below).await
    }

    /// Licences that fit a filter, in order of entry; each with what happened to it.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn licences(&self, filter: &LicenceFilter, page: Page) -> Result<FoundLicences, StoreError> {
        licensing::licences(&mut *self.inner.pool.get().await?, filter, page).await
    }

    /// What happened to every licence to which anything did, as the first `below` entries have it; of one day, the last.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn licence_status(&self, below: u64) -> Result<BTreeMap<StatementId, Vec<DatedEvent>>, StoreError> {
        licensing::status(&mut *self.inner.pool.get().await?, below).await
    }

    /// What judging the licence of something made from other things rests on, as the first `below` entries have it.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn inputs(&self, candidate: &Candidate<'_>, below: u64, on: Date) -> Result<Inputs, StoreError> {
        compatibility::inputs(&mut *self.inner.pool.get().await?, candidate, below, on).await
    }

    /// The verdict that was recorded when an artefact was registered; none for one that was made from nothing.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn verdict(&self, artefact: u64) -> Result<Option<Verdict>, StoreError> {
        compatibility::verdict(&mut *self.inner.pool.get().await?, artefact).await
    }
}
