//! Appending: one transaction per batch, dense indices, every statement judged in order over one view.
//!
//! The row lock on `log.log_state` serialises writers and the guarded update at the end is the fence; indices never
//! come from a sequence. Nothing is acknowledged here: that is the publisher's, after the commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use chopmark_core::admission::{Change, Class, Reads, Rejection, View};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::kind::Claim;
use chopmark_core::ledger::edge::Edge;
use chopmark_core::ledger::tile::{Tile, encode_hashes};
use chopmark_core::ledger::tree::leaf_hash;
use chopmark_core::policy::PolicyClaim;
use chopmark_core::statement::{RegistryRef, Statement, StatementId};
use chopmark_core::submission::Submission;
use chopmark_core::time::Timestamp;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, SmallInt, Text, Timestamptz};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl};
use tokio::runtime::Handle;

use crate::connect;
use crate::error::{StoreError, bigint, count};
use crate::fixed::fixed;
use crate::project;
use crate::query;
use crate::schema::{document, entry, log_state};
use crate::vault::{self, Vault};

/// Most statements in one transaction: beyond this, larger batches gain nothing and only make the first wait.
pub const BATCH_MAX: usize = 512;

/// What a probe writes, which can't be compressed: more than the free space that a table usually has inside.
const PROBE_BYTES: usize = 64 << 10;

/// What became of one statement of a batch.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It is a new entry.
    Appended {
        /// Position in the log.
        index: u64,
        /// When it was entered, by the registry's clock.
        recorded_at: Timestamp,
    },
    /// The log holds this statement already; nothing was written, but openings that it came without before.
    Existing {
        /// Position in the log.
        index: u64,
        /// Whether the stored envelope carries other signatures than the one sent.
        signatures_differ: bool,
    },
    /// It was refused; nothing was written.
    Rejected(Rejection),
}

/// A committed batch.
#[derive(Debug)]
pub struct Batch {
    /// One outcome per statement, in order.
    pub outcomes: Vec<Outcome>,
    /// Entries in the log after the commit.
    pub size: u64,
}

/// The identity of the registry an appender writes for.
#[derive(Debug, Clone)]
pub struct Registry {
    /// Origin and genesis.
    pub reference: RegistryRef,
    /// The operator's party.
    pub operator: StatementId,
    /// Verifier key of the log, as entry 0 names it.
    pub log_key: String,
}

impl Registry {
    /// The registry that entry 0 founds.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the statement founds none.
    pub(crate) fn founded_by(entry: &[u8], statement: &Statement) -> Result<Self, StoreError> {
        let Claim::Policy(PolicyClaim::Descriptor(descriptor)) = &statement.claim else {
            return Err(StoreError::damaged("log.entry 0", "does not found a registry"));
        };
        let reference = RegistryRef { origin: descriptor.origin.clone(), genesis: leaf_hash(entry) };
        Ok(Self { reference, operator: statement.id, log_key: descriptor.log_key.clone() })
    }
}

/// The writing side of the ledger: one connection, and what it remembers of the tree between batches.
pub struct Appender {
    url: String,
    runtime: Handle,
    registry: Option<Registry>,
    vault: Option<Arc<Vault>>,
    session: Option<Session>,
}

struct Session {
    connection: AsyncPgConnection,
    head: Head,
}

/// What the next batch continues from.
#[derive(Clone)]
struct Head {
    edge: Edge,
    recorded_at: DateTime<Utc>,
}

/// What one transaction did; becomes true only if it commits.
struct Effects {
    head: Head,
    outcomes: Vec<Outcome>,
}

impl Appender {
    pub(crate) fn new(url: String, runtime: Handle, registry: Option<Registry>, vault: Option<Arc<Vault>>) -> Self {
        Self { url, runtime, registry, vault, session: None }
    }

    /// Appends a batch of at most [`BATCH_MAX`] statements whose signatures are verified and whose documents are at hand.
    ///
    /// # Errors
    /// A [`StoreError`] when nothing was committed, or when it is not known whether anything was; the next call starts
    /// from what the database then holds, so a retried statement is either new or found.
    pub async fn append(&mut self, batch: &[&Submission], now: Timestamp) -> Result<Batch, StoreError> {
        // Taken out, so that an error on any path drops the connection and the memory that goes with it.
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.connect().await?,
        };
        let (registry, vault) = (self.registry.as_ref(), self.vault.as_deref());
        let head = session.head.clone();
        let effects = session
            .connection
            .transaction(async move |connection| transact(connection, (registry, vault), head, batch, now).await)
            .await?;
        let size = effects.head.edge.size();
        session.head = effects.head;
        self.session = Some(session);
        Ok(Batch { outcomes: effects.outcomes, size })
    }

    /// Whether the database takes entries, after it did not: locks the head of the log, writes as much as a small batch,
    /// and takes it back.
    ///
    /// # Errors
    /// What a batch would have failed with.
    pub async fn probe(&mut self) -> Result<(), StoreError> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.connect().await?,
        };
        let written = session.connection.transaction(async move |connection| write_in_vain(connection).await).await;
        match written {
            Err(StoreError::Query(diesel::result::Error::RollbackTransaction)) => {
                self.session = Some(session);
                Ok(())
            }
            Err(error) => Err(error),
            Ok(never) => match never {},
        }
    }

    async fn connect(&self) -> Result<Session, StoreError> {
        let mut connection = connect::writer(&self.url, connect::APPEND_IDLE_MAX, &self.runtime).await?;
        let head = load_head(&mut connection).await?;
        Ok(Session { connection, head })
    }
}

/// Fails in any case, and so leaves nothing; with `RollbackTransaction` where everything could be written.
async fn write_in_vain(connection: &mut AsyncPgConnection) -> Result<core::convert::Infallible, StoreError> {
    let _: i64 = log_state::table.select(log_state::size).for_update().first(connection).await?;
    let mut digest = Sha256Digest::of(b"a probe");
    let mut body = Vec::with_capacity(PROBE_BYTES);
    while body.len() < PROBE_BYTES {
        digest = Sha256Digest::of(digest.as_bytes());
        body.extend_from_slice(digest.as_bytes());
    }
    let digest = Sha256Digest::of(&body);
    diesel::insert_into(document::table)
        .values((document::sha256.eq(digest.as_bytes().as_slice()), document::body.eq(body)))
        .execute(connection)
        .await?;
    Err(diesel::result::Error::RollbackTransaction.into())
}

/// Reads the head of the log: the right edge of the tree and the last recorded time.
async fn load_head(connection: &mut AsyncPgConnection) -> Result<Head, StoreError> {
    let (size, root) = query::log_state(connection).await?;
    let edge = query::edge_at(connection, size).await?;
    if edge.root() != root {
        let reason = format!("entries and tiles hash to the root {}, log.log_state says {root}", edge.root());
        return Err(StoreError::damaged(format!("log size {size}"), reason));
    }
    let recorded_at: Option<DateTime<Utc>> =
        entry::table.select(entry::recorded_at).order(entry::idx.desc()).first(connection).await.optional()?;
    Ok(Head { edge, recorded_at: recorded_at.unwrap_or(DateTime::UNIX_EPOCH) })
}

async fn transact(
    connection: &mut AsyncPgConnection,
    (registry, vault): (Option<&Registry>, Option<&Vault>),
    mut head: Head,
    batch: &[&Submission],
    now: Timestamp,
) -> Result<Effects, StoreError> {
    let locked: i64 = log_state::table.select(log_state::size).for_update().first(connection).await?;
    let locked = count(locked, "log.log_state")?;
    if locked != head.edge.size() {
        // Another replica appended since.
        head = load_head(connection).await?;
    }
    let before = head.edge.size();
    let mut known = existing(connection, batch).await?;
    let mut view = load_view(connection, (before, now), registry, batch, &known).await?;

    let mut outcomes = Vec::with_capacity(batch.len());
    let mut rows = EntryRows::default();
    let mut tiles = Vec::new();
    let mut changes = Vec::new();
    let (mut appended, mut again) = (Vec::new(), Vec::new());
    head.recorded_at = head.recorded_at.max(now.to_utc());
    let recorded_at = Timestamp::from(head.recorded_at);
    for submission in batch {
        let leaf = leaf_hash(&submission.entry);
        let id = submission.statement.id;
        if let Some((index, stored)) = known.get(&id) {
            outcomes.push(Outcome::Existing { index: *index, signatures_differ: *stored != leaf });
            again.push(*submission);
            continue;
        }
        match view.admit(&submission.statement, &submission.envelope, now) {
            Err(rejection) => outcomes.push(Outcome::Rejected(rejection)),
            Ok(made) => {
                let index = head.edge.size();
                known.insert(id, (index, leaf));
                if submission.statement.claim.founds_registry() {
                    let founded = Registry::founded_by(&submission.entry, &submission.statement)?;
                    view.found(founded.reference, founded.operator);
                }
                tiles.extend(head.edge.append(leaf));
                rows.push(index, submission, leaf, head.recorded_at);
                appended.push((index, *submission));
                changes.push((submission.statement.issuer(), &submission.statement.header.nonce, made));
                outcomes.push(Outcome::Appended { index, recorded_at });
            }
        }
    }
    if head.edge.size() > before {
        // Sent without waiting for one another; each is checked.
        let connection = &*connection;
        let nonces = changes.iter().map(|(issuer, nonce, _)| (*issuer, *nonce));
        let made: Vec<&Change> = changes.iter().flat_map(|(_, _, made)| made).collect();
        let written = tokio::join!(
            rows.insert(connection),
            insert_documents(connection, batch, &outcomes),
            insert_tiles(connection, &tiles),
            project::insert_nonces(connection, nonces),
            project::write(connection, &made),
            advance(connection, before, &head.edge),
        );
        first_failure([written.0, written.1, written.2, written.3, written.4, written.5])?;
    }
    vault::insert(connection, vault, (&appended, &again), recorded_at).await?;
    Ok(Effects { head, outcomes })
}

/// Statements of the batch that the log holds already, with their index and leaf hash.
async fn existing(
    connection: &mut AsyncPgConnection,
    batch: &[&Submission],
) -> Result<BTreeMap<StatementId, (u64, Sha256Digest)>, StoreError> {
    let ids: Vec<&[u8]> = batch.iter().map(|submission| submission.statement.id.as_bytes().as_slice()).collect();
    let rows: Vec<(i64, Vec<u8>, Vec<u8>)> = entry::table
        .filter(entry::statement_id.eq_any(ids))
        .select((entry::idx, entry::statement_id, entry::leaf_hash))
        .load(connection)
        .await?;
    rows.into_iter()
        .map(|(index, id, leaf)| {
            let place = || format!("log.entry {index}");
            let id = StatementId::from_slice(&id).ok_or_else(|| StoreError::damaged(place(), "statement_id"))?;
            let leaf = Sha256Digest::from_slice(&leaf).ok_or_else(|| StoreError::damaged(place(), "leaf_hash"))?;
            Ok((id, (count(index, "log.entry")?, leaf)))
        })
        .collect()
}

/// Loads what judging the batch needs, one query per table; for grants, one more of the licences in their way.
async fn load_view(
    connection: &mut AsyncPgConnection,
    (size, now): (u64, Timestamp),
    registry: Option<&Registry>,
    batch: &[&Submission],
    known: &BTreeMap<StatementId, (u64, Sha256Digest)>,
) -> Result<View, StoreError> {
    let mut view = View::new(
        size,
        registry.map(|registry| registry.reference.clone()),
        registry.map(|registry| registry.operator),
    );
    let mut reads = Reads::default();
    for submission in batch {
        if !known.contains_key(&submission.statement.id) {
            reads.add(&submission.statement);
        }
    }
    project::load(connection, &reads, &mut view).await?;
    view.load_openings(vault::kept(connection, &reads.openings, now).await?);
    if !reads.licensing.licences_of.is_empty() {
        let new = batch.iter().copied();
        let new = new.filter(|submission| !known.contains_key(&submission.statement.id));
        let (reads, after) = possible(&view, new, now);
        project::load_in_the_way(connection, &reads.licensing, &after, &mut view).await?;
    }
    Ok(view)
}

/// What is read by statements that may be admitted when nothing is in the way of a grant, and the view with those that
/// were. Others are not worth a look at all licences of what they are about. A refusal by which one statement is in the
/// way of another is not final: without the first, the second may be admitted.
fn possible<'a>(view: &View, batch: impl Iterator<Item = &'a Submission>, now: Timestamp) -> (Reads, View) {
    let (mut reads, mut view) = (Reads::default(), view.clone());
    for submission in batch {
        match view.admit(&submission.statement, &submission.envelope, now) {
            Err(rejection) if rejection.code.class() != Class::Conflict => {}
            Ok(_) | Err(_) => reads.add(&submission.statement),
        }
    }
    (reads, view)
}

/// Columns of new entries, for one `unnest`.
#[derive(Default)]
struct EntryRows<'a> {
    indices: Vec<i64>,
    ids: Vec<Vec<u8>>,
    leaves: Vec<Vec<u8>>,
    kinds: Vec<&'static str>,
    issuers: Vec<Vec<u8>>,
    recorded_at: Vec<DateTime<Utc>>,
    bodies: Vec<&'a [u8]>,
}

impl<'a> EntryRows<'a> {
    fn push(&mut self, index: u64, submission: &'a Submission, leaf: Sha256Digest, recorded_at: DateTime<Utc>) {
        let statement = &submission.statement;
        self.indices.push(bigint(index));
        self.ids.push(statement.id.as_bytes().to_vec());
        self.leaves.push(leaf.as_bytes().to_vec());
        self.kinds.push(statement.claim.name());
        self.issuers.push(statement.issuer().as_bytes().to_vec());
        self.recorded_at.push(recorded_at);
        self.bodies.push(&submission.entry);
    }

    async fn insert(self, connection: &AsyncPgConnection) -> Result<(), StoreError> {
        fixed(
            "INSERT INTO log.entry (idx, statement_id, leaf_hash, kind, issuer, recorded_at, body)
             SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind::<Array<BigInt>, _>(self.indices)
        .bind::<Array<Binary>, _>(self.ids)
        .bind::<Array<Binary>, _>(self.leaves)
        .bind::<Array<Text>, _>(self.kinds)
        .bind::<Array<Binary>, _>(self.issuers)
        .bind::<Array<Timestamptz>, _>(self.recorded_at)
        .bind::<Array<Binary>, _>(self.bodies)
        .execute(&mut &*connection)
        .await?;
        Ok(())
    }
}

/// Bytes of documents in one statement, unless a single one is larger: what is sent is copied on its way.
const DOCUMENT_BYTES_AT_A_TIME: usize = 4 << 20;

/// Keeps the documents of appended statements, each once.
async fn insert_documents(
    connection: &AsyncPgConnection,
    batch: &[&Submission],
    outcomes: &[Outcome],
) -> Result<(), StoreError> {
    let appended = batch.iter().zip(outcomes).filter(|(_, outcome)| matches!(outcome, Outcome::Appended { .. }));
    let kept: BTreeMap<&Sha256Digest, &Vec<u8>> = appended.flat_map(|(submission, _)| &submission.documents).collect();
    let (mut digests, mut bodies, mut bytes) = (Vec::new(), Vec::new(), 0);
    for (digest, body) in kept {
        digests.push(digest.as_bytes().as_slice());
        bodies.push(body.as_slice());
        bytes += body.len();
        if bytes >= DOCUMENT_BYTES_AT_A_TIME {
            insert_document_rows(connection, core::mem::take(&mut digests), core::mem::take(&mut bodies)).await?;
            bytes = 0;
        }
    }
    if digests.is_empty() {
        return Ok(());
    }
    insert_document_rows(connection, digests, bodies).await
}

async fn insert_document_rows(
    connection: &AsyncPgConnection,
    digests: Vec<&[u8]>,
    bodies: Vec<&[u8]>,
) -> Result<(), StoreError> {
    fixed("INSERT INTO log.document (sha256, body) SELECT * FROM unnest($1, $2) ON CONFLICT (sha256) DO NOTHING")
        .bind::<Array<Binary>, _>(digests)
        .bind::<Array<Binary>, _>(bodies)
        .execute(&mut &*connection)
        .await?;
    Ok(())
}

async fn insert_tiles(connection: &AsyncPgConnection, tiles: &[Tile]) -> Result<(), StoreError> {
    if tiles.is_empty() {
        return Ok(());
    }
    let levels: Vec<i16> = tiles.iter().map(|tile| i16::from(tile.coordinate.level())).collect();
    let numbers: Vec<i64> = tiles.iter().map(|tile| bigint(tile.coordinate.n())).collect();
    let hashes: Vec<Vec<u8>> = tiles.iter().map(|tile| encode_hashes(&tile.hashes)).collect();
    fixed("INSERT INTO log.tile (level, n, hashes) SELECT * FROM unnest($1, $2, $3)")
        .bind::<Array<SmallInt>, _>(levels)
        .bind::<Array<BigInt>, _>(numbers)
        .bind::<Array<Binary>, _>(hashes)
        .execute(&mut &*connection)
        .await?;
    Ok(())
}

/// The failure that says most: in a transaction that has failed, whatever comes after the cause fails, too.
fn first_failure(written: [Result<(), StoreError>; 6]) -> Result<(), StoreError> {
    let says_why = |error: &StoreError| error.is_refusal() || error.is_disk_full();
    let failures = written.into_iter().filter_map(Result::err);
    failures.reduce(|one, other| if says_why(&other) && !says_why(&one) { other } else { one }).map_or(Ok(()), Err)
}

/// Moves the head; the condition on the old size is the fence against a writer that did not take the lock.
async fn advance(connection: &AsyncPgConnection, before: u64, edge: &Edge) -> Result<(), StoreError> {
    let moved = diesel::update(log_state::table.filter(log_state::size.eq(bigint(before))))
        .set((log_state::size.eq(bigint(edge.size())), log_state::root.eq(edge.root().as_bytes().as_slice())))
        .execute(&mut &*connection)
        .await?;
    if moved == 1 {
        Ok(())
    } else {
        Err(StoreError::damaged("log.log_state", format!("its size is not {before} although the row was locked")))
    }
}
