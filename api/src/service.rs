//! What every handler works with: the store, the queue, the published state, and proofs over it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::key::{KeyId, VerifyingKey};
use chopmark_core::ledger::note::NoteSigner;
use chopmark_core::ledger::proof::TlogProof;
use chopmark_core::ledger::tile::{TILE_WIDTH, TileCoordinate, TileNodes, TileSet};
use chopmark_core::ledger::tree::ProofPlan;
use chopmark_core::statement::IdReference;
use chopmark_core::submission::Submission;
use chopmark_core::time::Timestamp;
use chopmark_store::{Registry, Store, StoreError, StoredLeaf};
use tokio::sync::{Notify, watch};

use crate::access_log::{Accesses, Standing};
use crate::clock::Clock;
use crate::exports::Press;
use crate::known_keys::KnownKeys;
use crate::problem::ApiError;
use crate::publisher::{Published, Status};
use crate::reports::jobs::Jobs;
use crate::reports::summaries::Summaries;
use crate::sequencer::Queue;

/// How long an answer waits for the checkpoint that covers its entry.
const CHECKPOINT_WAIT: Duration = Duration::from_secs(10);

/// How long a search waits for the tables it reads.
const APPLIED_WAIT: Duration = Duration::from_secs(3);

/// Full tiles kept in memory, 16 KiB each with the nodes over their hashes: those of a million entries.
const TILES_KEPT_MAX: usize = 4_096;

/// How old a status list may be that is given out, in milliseconds.
const LIST_AGE_MAX_MS: i64 = 60_000;

/// Status lists kept in memory, one for each length of time asked for.
const LISTS_KEPT_MAX: usize = 16;

type TileCache = Mutex<HashMap<(u8, u64), Arc<TileNodes>>>;

fn place(coordinate: TileCoordinate) -> (u8, u64) {
    (coordinate.level(), coordinate.n())
}

/// Shared by all handlers.
pub struct Service {
    /// The ledger.
    pub store: Store,
    /// Whose ledger it is.
    pub registry: Registry,
    /// The log's verifier key, as text.
    pub log_key: String,
    /// The way to the sequencer.
    pub queue: Queue,
    /// Wakes the access log after something was recorded for it.
    pub recorded: Arc<Notify>,
    /// The time of what is signed and recorded.
    pub clock: Clock,
    /// Reports in the making.
    pub jobs: Jobs,
    /// Summaries of jurisdictions at the size they were last asked for.
    pub summaries: Summaries,
    /// What PDFs are written with.
    pub press: Press,
    status: watch::Receiver<Status>,
    applied: watch::Receiver<u64>,
    accesses: watch::Receiver<Standing>,
    tiles: TileCache,
    keys: KnownKeys,
    list_signer: Option<NoteSigner>,
    lists: Mutex<HashMap<u16, KeptList>>,
}

/// A signed status list.
struct KeptList {
    size: u64,
    signed_at: Timestamp,
    text: Arc<str>,
}

/// What the service follows that goes on beside it.
pub struct Followed {
    /// What is published.
    pub status: watch::Receiver<Status>,
    /// Entries that searches know of.
    pub applied: watch::Receiver<u64>,
    /// The access log.
    pub accesses: Accesses,
}

impl Service {
    /// Puts the parts together.
    pub fn new(
        store: Store,
        (registry, log_key): (Registry, String),
        press: Press,
        list_signer: Option<NoteSigner>,
        clock: Clock,
        queue: Queue,
        followed: Followed,
    ) -> Self {
        let (tiles, keys, lists) = (TileCache::default(), KnownKeys::default(), Mutex::default());
        let Followed { status, applied, accesses: Accesses { recorded, standing: accesses } } = followed;
        let (jobs, summaries) = (Jobs::default(), Summaries::default());
        Self {
            store,
            registry,
            log_key,
            queue,
            recorded,
            clock,
            jobs,
            summaries,
            press,
            status,
            applied,
            accesses,
            tiles,
            keys,
            list_signer,
            lists,
        }
    }

    /// What status lists are signed with, where this process has the log key.
    pub fn list_signer(&self) -> Option<&NoteSigner> {
        self.list_signer.as_ref()
    }

    /// A status list that was signed a moment ago for this very size.
    pub fn kept_list(&self, size: u64, days: u16) -> Option<Arc<str>> {
        let lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = lists.get(&days).filter(|kept| kept.size == size)?;
        let age_ms = self.clock.now().unix_ms().saturating_sub(kept.signed_at.unix_ms());
        (0..LIST_AGE_MAX_MS).contains(&age_ms).then(|| Arc::clone(&kept.text))
    }

    /// Keeps a status list.
    pub fn keep_list(&self, size: u64, days: u16, signed_at: Timestamp, text: &Arc<str>) {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if lists.len() >= LISTS_KEPT_MAX {
            lists.clear();
        }
        lists.insert(days, KeptList { size, signed_at, text: Arc::clone(text) });
    }

    /// The newest published state.
    ///
    /// # Errors
    /// 503 before the first checkpoint.
    pub fn published(&self) -> Result<Arc<Published>, ApiError> {
        let published = self.status.borrow().published.clone();
        published.ok_or_else(|| ApiError::unavailable("checkpoint_pending", "no checkpoint is published yet"))
    }

    /// Why the service is read-only, if it is.
    pub fn halted(&self) -> Option<Arc<str>> {
        self.status.borrow().halted.clone()
    }

    /// Whether this process signs, or shows what another one does.
    pub fn signs(&self) -> bool {
        self.status.borrow().signs
    }

    /// The error for whoever asks whether statements can be taken, while none is taken or signed.
    ///
    /// # Errors
    /// 503 with the reason; it ends by itself.
    pub fn refuse_when_stalled(&self) -> Result<(), ApiError> {
        if let Some(trouble) = self.queue.trouble() {
            return Err(trouble.error());
        }
        match &self.status.borrow().stalled {
            Some(reason) => Err(ApiError::unavailable("checkpoint_pending", &**reason)),
            None => Ok(()),
        }
    }

    /// The error for writes while the service is read-only.
    ///
    /// # Errors
    /// `read_only`, with the reason, while it is.
    pub fn refuse_when_halted(&self) -> Result<(), ApiError> {
        match self.halted() {
            Some(reason) => Err(ApiError::unavailable("read_only", format!("nothing is admitted: {reason}"))),
            None => Ok(()),
        }
    }

    /// The error for whoever wants to read what is sealed, while the access log is not what was signed, or was not yet
    /// compared with that.
    ///
    /// # Errors
    /// 503 `access_log_damaged`, until somebody puts it right; `access_log_pending`.
    pub async fn refuse_when_accesses_contradict(&self) -> Result<(), ApiError> {
        let mut accesses = self.accesses.clone();
        let waited = tokio::time::timeout(CHECKPOINT_WAIT, accesses.wait_for(|standing| standing.is_compared)).await;
        let Ok(Ok(standing)) = waited else {
            let detail = "the access log was not compared with what was signed yet; try again";
            return Err(ApiError::unavailable("access_log_pending", detail));
        };
        if standing.contradiction.is_some() {
            let detail =
                "the access log is not what was signed: nothing sealed is shown until the operator puts it right";
            return Err(ApiError::unavailable("access_log_damaged", detail));
        }
        Ok(())
    }

    /// Waits until a published state covers `index`.
    ///
    /// # Errors
    /// 503 `checkpoint_pending` when that takes too long; the entry is committed, and the same statement again is
    /// answered with it. 503 `read_only` when signing has stopped.
    pub async fn published_beyond(&self, index: u64) -> Result<Arc<Published>, ApiError> {
        match self.wait_beyond(index).await {
            Ok(published) => Ok(published),
            Err(why) => {
                self.refuse_when_halted()?;
                let entered = "the statement is entered, its checkpoint is not signed yet";
                let detail = format!("{entered}{why}; send the same statement again");
                Err(ApiError::unavailable("checkpoint_pending", detail))
            }
        }
    }

    /// Waits until this replica shows `size` entries in published states and in searches: as many as another one, which
    /// was ahead, said a list is of.
    ///
    /// # Errors
    /// 503 `checkpoint_pending` when that takes too long.
    pub async fn catch_up(&self, size: u64) -> Result<(), ApiError> {
        let behind = |why: String| {
            let detail =
                format!("the list is of {size} entries, and not all of them can be shown here yet{why}; try again");
            ApiError::unavailable("checkpoint_pending", detail)
        };
        self.wait_beyond(size.saturating_sub(1)).await.map_err(behind)?;
        let mut applied = self.applied.clone();
        match tokio::time::timeout(APPLIED_WAIT, applied.wait_for(|applied| *applied >= size)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(behind(String::new())),
        }
    }

    /// A published state that covers `index`, or why none came in time: nothing, or the reason in parentheses.
    async fn wait_beyond(&self, index: u64) -> Result<Arc<Published>, String> {
        let covers = |status: &Status| status.published.as_ref().is_some_and(|published| published.size > index);
        let mut status = self.status.clone();
        let is_over = |status: &Status| covers(status) || status.halted.is_some() || status.stalled.is_some();
        let waited = tokio::time::timeout(CHECKPOINT_WAIT, status.wait_for(is_over));
        let stalled = match waited.await {
            Ok(Ok(status)) => match status.published.clone().filter(|published| published.size > index) {
                Some(published) => return Ok(published),
                None => status.stalled.clone(),
            },
            _ => None,
        };
        Err(stalled.map(|reason| format!(" ({reason})")).unwrap_or_default())
    }

    /// Entries that a search may show: published, and taken into account by the tables it reads. Those are given a
    /// moment to catch up with what is published now, so that who was told of an entry also finds it.
    ///
    /// # Errors
    /// 503 before the first checkpoint.
    pub async fn searchable_size(&self) -> Result<u64, ApiError> {
        let published = self.published()?.size;
        let mut applied = self.applied.clone();
        let _ = tokio::time::timeout(APPLIED_WAIT, applied.wait_for(|applied| *applied >= published)).await;
        let applied = *self.applied.borrow();
        Ok(applied.min(published))
    }

    /// A full tile, kept in memory once read.
    async fn full_tile(&self, coordinate: TileCoordinate) -> Result<Arc<TileNodes>, StoreError> {
        let kept = self.tiles.lock().unwrap_or_else(PoisonError::into_inner).get(&place(coordinate)).cloned();
        if let Some(nodes) = kept {
            return Ok(nodes);
        }
        let hashes = self.store.full_tile(coordinate).await?;
        Ok(self.keep_tile(coordinate, hashes))
    }

    fn keep_tile(&self, coordinate: TileCoordinate, hashes: Vec<Sha256Digest>) -> Arc<TileNodes> {
        let nodes = Arc::new(TileNodes::new(hashes));
        let mut tiles = self.tiles.lock().unwrap_or_else(PoisonError::into_inner);
        if tiles.len() >= TILES_KEPT_MAX {
            tiles.clear();
        }
        tiles.insert(place(coordinate), Arc::clone(&nodes));
        nodes
    }

    /// A statement's leaf; its tile, if that is full, is kept for the proof that will be asked for next.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn leaf(&self, id: &IdReference) -> Result<Option<StoredLeaf>, StoreError> {
        let mut leaf = self.store.leaf_by_id(id).await?;
        if let Some(StoredLeaf { index, tile, .. }) = &mut leaf
            && let Some(hashes) = tile.take()
            && let Ok(coordinate) = TileCoordinate::full(0, *index / u64::from(TILE_WIDTH))
            && !self.tiles.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&place(coordinate))
        {
            self.keep_tile(coordinate, hashes);
        }
        Ok(leaf)
    }

    /// Any tile that the published state covers, or a wider one; a partial tile is a prefix of a full one or of the edge.
    ///
    /// # Errors
    /// When a full tile can't be read.
    pub async fn tile(
        &self,
        published: &Published,
        coordinate: TileCoordinate,
    ) -> Result<Option<Arc<TileNodes>>, StoreError> {
        if !coordinate.is_covered_by(published.size) {
            return Ok(None);
        }
        let full = TileCoordinate::full(coordinate.level(), coordinate.n()).map_err(|error| StoreError::Damaged {
            place: "a tile coordinate".to_owned(),
            reason: error.to_string(),
        })?;
        if full.is_covered_by(published.size) {
            return self.full_tile(full).await.map(Some);
        }
        Ok(published.partial(coordinate.level()))
    }

    /// Computes a proof from tiles.
    ///
    /// # Errors
    /// When a tile can't be read or does not hold what the plan asks for.
    pub async fn prove(&self, published: &Published, plan: &ProofPlan) -> Result<Vec<Sha256Digest>, StoreError> {
        let damaged = |reason: String| StoreError::Damaged { place: "tiles".to_owned(), reason };
        let mut tiles = TileSet::default();
        for coordinate in plan.tiles() {
            let nodes = self.tile(published, coordinate).await?;
            let nodes = nodes.ok_or_else(|| damaged(format!("{coordinate:?} is not there")))?;
            tiles.insert(coordinate, nodes).map_err(|error| damaged(error.to_string()))?;
        }
        plan.resolve(|node| tiles.node(node)).map_err(|error| damaged(error.to_string()))
    }

    /// The offline proof of an entry.
    ///
    /// # Errors
    /// When tiles can't be read.
    pub async fn receipt(&self, published: &Published, index: u64) -> Result<TlogProof, ApiError> {
        let internal = |error: String| StoreError::Damaged { place: format!("proof of entry {index}"), reason: error };
        let plan = ProofPlan::inclusion(index, published.size).map_err(|error| internal(error.to_string()))?;
        let path = self.prove(published, &plan).await?;
        TlogProof::new(index, path, published.note.clone()).map_err(|error| internal(error.to_string()).into())
    }

    /// Public keys for the signatures of a submission, from memory or the store; unknown ones are left out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keys_for(&self, submission: &Submission) -> Result<BTreeMap<KeyId, VerifyingKey>, StoreError> {
        let mut found = BTreeMap::new();
        for signature in submission.envelope.signatures() {
            let id = signature.key_id;
            let known = match self.keys.use_once(&id) {
                Some(known) => Some(known),
                None => self.store.key(&id).await?.map(|record| self.keys.keep(&record)),
            };
            found.extend(known.map(|known| (id, known)));
        }
        Ok(found)
    }
}
