//! The access log: records of who has read what, put into one order, hashed into a tree, and shown to those concerned.

use chopmark_core::access::Principal;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::edge::Edge;
use chopmark_core::ledger::tree::leaf_hash;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Text};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};

use super::access_columns::Columns;
use super::{Acting, access_tiles, act};
use crate::error::{StoreError, bigint, count};
use crate::fixed::fixed;
use crate::query::{StoredCheckpoint, hash};
use crate::{Page, Store};

/// What the state is called in errors.
const STATE: &str = "vault.access_state";

/// Records taken in at a time.
const RECORDS_AT_A_TIME: i64 = 1_000;

/// Size and root of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessHead {
    /// Records in it.
    pub size: u64,
    /// Root over them.
    pub root: Sha256Digest,
}

/// A record, in its place.
#[derive(Debug, Clone)]
pub struct ListedAccess {
    /// Position in the access log, from 0.
    pub index: u64,
    /// Leaf hash (RFC 6962) of the record's bytes.
    pub leaf_hash: Sha256Digest,
    /// The record in canonical JSON.
    pub body: Vec<u8>,
}

#[derive(QueryableByName)]
struct StateRow {
    #[diesel(sql_type = BigInt)]
    size: i64,
    #[diesel(sql_type = Binary)]
    root: Vec<u8>,
}

#[derive(QueryableByName)]
struct PendingRow {
    #[diesel(sql_type = Binary)]
    id: Vec<u8>,
    #[diesel(sql_type = Binary)]
    body: Vec<u8>,
}

#[derive(QueryableByName)]
struct LeafRow {
    #[diesel(sql_type = BigInt)]
    idx: i64,
    #[diesel(sql_type = Binary)]
    leaf_hash: Vec<u8>,
    #[diesel(sql_type = Binary)]
    body: Vec<u8>,
}

#[derive(QueryableByName)]
struct RecordRow {
    #[diesel(embed)]
    leaf: LeafRow,
    #[diesel(embed)]
    columns: Columns,
}

/// A leaf with its record, and what stands beside that.
pub(super) struct Leaf {
    pub(super) hash: Sha256Digest,
    body: Vec<u8>,
    columns: Columns,
}

#[derive(QueryableByName)]
struct CheckpointRow {
    #[diesel(sql_type = BigInt)]
    size: i64,
    #[diesel(sql_type = Binary)]
    root: Vec<u8>,
    #[diesel(sql_type = Text)]
    note: String,
}

impl StateRow {
    fn head(&self) -> Result<AccessHead, StoreError> {
        Ok(AccessHead { size: count(self.size, STATE)?, root: hash(&self.root, STATE)? })
    }
}

/// Size and root as committed.
pub(super) async fn head(connection: &AsyncPgConnection) -> Result<AccessHead, StoreError> {
    let row: StateRow = fixed("SELECT size, root FROM vault.access_state").get_result(&mut &*connection).await?;
    row.head()
}

/// The same, to be changed in this transaction and by nobody else meanwhile.
async fn locked_head(connection: &AsyncPgConnection) -> Result<AccessHead, StoreError> {
    let row: StateRow =
        fixed("SELECT size, root FROM vault.access_state FOR UPDATE").get_result(&mut &*connection).await?;
    row.head()
}

/// What becomes of tiles that fill up while records are hashed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// They are kept.
    Keep,
    /// They have to be kept already.
    Compare,
}

/// Leaves from `first` on, at most [`RECORDS_AT_A_TIME`], with their records, in order and without gaps.
pub(super) async fn leaves(connection: &AsyncPgConnection, first: u64) -> Result<Vec<Leaf>, StoreError> {
    let rows: Vec<RecordRow> = fixed(
        "SELECT idx, leaf_hash, body, id, statement, role, bound_to, token,
             CASE WHEN shown_from BETWEEN '0001-01-01' AND '9999-12-31' THEN shown_from END AS shown_from
         FROM vault.access_leaf JOIN vault.access ON access.id = access_leaf.access
         WHERE idx >= $1 ORDER BY idx LIMIT $2",
    )
    .bind::<BigInt, _>(bigint(first))
    .bind::<BigInt, _>(RECORDS_AT_A_TIME)
    .load(&mut &*connection)
    .await?;
    let mut leaves = Vec::with_capacity(rows.len());
    for (expected, RecordRow { leaf, columns }) in (first..).zip(rows) {
        let place = format!("vault.access_leaf {expected}");
        if count(leaf.idx, &place)? != expected {
            return Err(StoreError::damaged(place, "the row is missing"));
        }
        leaves.push(Leaf { hash: hash(&leaf.leaf_hash, &place)?, body: leaf.body, columns });
    }
    Ok(leaves)
}

/// Hashes the records anew that follow those of `edge`, and compares what stands beside them; the edge of the tree over all.
pub(super) async fn rebuild(
    connection: &AsyncPgConnection,
    mut edge: Edge,
    head: AccessHead,
    filled: Filled,
) -> Result<Edge, StoreError> {
    if edge.size() > head.size {
        let reason = format!("says {} records, there were {} before", head.size, edge.size());
        return Err(StoreError::damaged(STATE, reason));
    }
    loop {
        let leaves = leaves(connection, edge.size()).await?;
        if leaves.is_empty() {
            break;
        }
        let mut full = Vec::new();
        for Leaf { hash: stored, body, columns } in leaves {
            let leaf = leaf_hash(&body);
            if leaf != stored {
                let place = format!("vault.access_leaf {}", edge.size());
                return Err(StoreError::damaged(place, format!("the record hashes to {leaf}, the row says {stored}")));
            }
            columns.check(&body)?;
            full.extend(edge.append(leaf));
        }
        match filled {
            Filled::Keep => access_tiles::insert(connection, &full).await?,
            Filled::Compare => access_tiles::compare(connection, &full).await?,
        }
    }
    if (edge.size(), edge.root()) == (head.size, head.root) {
        return Ok(edge);
    }
    let found = format!("{} records with the root {}", edge.size(), edge.root());
    let reason = format!("there are {found}, it says {} with {}", head.size, head.root);
    Err(StoreError::damaged(STATE, reason))
}

/// Whoever puts records into the access log.
pub struct AccessLog {
    store: Store,
    edge: Edge,
}

impl AccessLog {
    /// Over this store's vault.
    pub fn new(store: Store) -> Self {
        Self { store, edge: Edge::new() }
    }

    /// Takes in what was recorded since; the head of the log then. It goes on from what this process knows of the log: one that
    /// does not begin with that is refused.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the log is not what was put into it; otherwise when the database fails.
    pub async fn advance(&mut self) -> Result<AccessHead, StoreError> {
        let known = self.edge.clone();
        let mut connection = self.store.inner.pool.get().await?;
        self.edge = connection
            .transaction(async |connection| {
                act(connection, Acting::Service).await?;
                let head = locked_head(connection).await?;
                let mut edge = if (known.size(), known.root()) == (head.size, head.root) {
                    known
                } else {
                    rebuild(connection, known, head, Filled::Keep).await?
                };
                let pending: Vec<PendingRow> = fixed(
                    "SELECT access.id, access.body FROM vault.access_pending JOIN vault.access ON access.id = access_pending.access
                     ORDER BY access.transaction, access.id LIMIT $1",
                )
                .bind::<BigInt, _>(RECORDS_AT_A_TIME)
                .load(connection)
                .await?;
                if !pending.is_empty() {
                    append(connection, &mut edge, pending).await?;
                }
                Ok::<_, StoreError>(edge)
            })
            .await?;
        Ok(AccessHead { size: self.edge.size(), root: self.edge.root() })
    }
}

async fn append(connection: &AsyncPgConnection, edge: &mut Edge, pending: Vec<PendingRow>) -> Result<(), StoreError> {
    let (mut indices, mut ids, mut hashes, mut full) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for PendingRow { id, body } in pending {
        let leaf = leaf_hash(&body);
        indices.push(bigint(edge.size()));
        ids.push(id);
        hashes.push(leaf.as_bytes().to_vec());
        full.extend(edge.append(leaf));
    }
    access_tiles::insert(connection, &full).await?;
    fixed("INSERT INTO vault.access_leaf (idx, access, leaf_hash) SELECT * FROM unnest($1, $2, $3)")
        .bind::<Array<BigInt>, _>(indices)
        .bind::<Array<Binary>, _>(ids.clone())
        .bind::<Array<Binary>, _>(hashes)
        .execute(&mut &*connection)
        .await?;
    fixed("DELETE FROM vault.access_pending WHERE access = ANY ($1)")
        .bind::<Array<Binary>, _>(ids)
        .execute(&mut &*connection)
        .await?;
    fixed("UPDATE vault.access_state SET size = $1, root = $2")
        .bind::<BigInt, _>(bigint(edge.size()))
        .bind::<Binary, _>(edge.root().as_bytes().to_vec())
        .execute(&mut &*connection)
        .await?;
    Ok(())
}

impl Store {
    /// Keeps a signed checkpoint of the access log.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when another root is kept of that size; when the database can't be written.
    pub async fn insert_access_checkpoint(&self, signed: &StoredCheckpoint) -> Result<(), StoreError> {
        let query = fixed(
            "INSERT INTO vault.access_checkpoint (size, root, note) VALUES ($1, $2, $3) ON CONFLICT (size) DO NOTHING",
        )
        .bind::<BigInt, _>(bigint(signed.size))
        .bind::<Binary, _>(signed.root.as_bytes().to_vec())
        .bind::<Text, _>(signed.note.clone());
        if self.execute_as(Acting::Service, query).await? == 1 {
            return Ok(());
        }
        let kept: CheckpointRow = fixed("SELECT size, root, note FROM vault.access_checkpoint WHERE size = $1")
            .bind::<BigInt, _>(bigint(signed.size))
            .get_result(&mut *self.inner.pool.get().await?)
            .await?;
        let StoredCheckpoint { size, root, .. } = checkpoint(kept)?;
        if root == signed.root {
            return Ok(());
        }
        let reason = format!("says the root {root}, the records have {}", signed.root);
        Err(StoreError::damaged(format!("vault.access_checkpoint {size}"), reason))
    }

    /// The newest checkpoint of the access log.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn access_checkpoint(&self) -> Result<Option<StoredCheckpoint>, StoreError> {
        let rows: Vec<CheckpointRow> =
            fixed("SELECT size, root, note FROM vault.access_checkpoint ORDER BY size DESC LIMIT 1")
                .load(&mut *self.inner.pool.get().await?)
                .await?;
        rows.into_iter().next().map(checkpoint).transpose()
    }

    /// Records that this principal may see, in order; row security leaves out all others.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn accesses(&self, principal: &Principal, page: Page) -> Result<Vec<ListedAccess>, StoreError> {
        let query = fixed(
            "SELECT idx, leaf_hash, body FROM vault.access_leaf JOIN vault.access ON access.id = access_leaf.access
             WHERE idx >= $1 AND idx < $2 ORDER BY idx LIMIT $3",
        )
        .bind::<BigInt, _>(bigint(page.from))
        .bind::<BigInt, _>(bigint(page.below))
        .bind::<BigInt, _>(i64::from(page.limit));
        let rows: Vec<LeafRow> = self.load_as(Acting::Principal(principal), query).await?;
        let listed = |row: LeafRow| {
            let place = "vault.access_leaf";
            Ok(ListedAccess { index: count(row.idx, place)?, leaf_hash: hash(&row.leaf_hash, place)?, body: row.body })
        };
        rows.into_iter().map(listed).collect()
    }

    /// Size and root of the access log.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn access_head(&self) -> Result<AccessHead, StoreError> {
        head(&*self.inner.pool.get().await?).await
    }
}

/// All signed checkpoints, ascending.
pub(super) async fn all_checkpoints(connection: &AsyncPgConnection) -> Result<Vec<StoredCheckpoint>, StoreError> {
    let rows: Vec<CheckpointRow> =
        fixed("SELECT size, root, note FROM vault.access_checkpoint ORDER BY size").load(&mut &*connection).await?;
    rows.into_iter().map(checkpoint).collect()
}

fn checkpoint(row: CheckpointRow) -> Result<StoredCheckpoint, StoreError> {
    let place = "vault.access_checkpoint";
    Ok(StoredCheckpoint { size: count(row.size, place)?, root: hash(&row.root, place)?, note: row.note })
}
