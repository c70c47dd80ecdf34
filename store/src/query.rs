//! Reading the ledger: entries, tiles, checkpoints, documents, and the right edge of the tree at any size.
//!
//! What is read is not trusted: lengths are checked here, hashes by whoever uses them (the publisher before it signs,
//! `audit` at any time, every client through proofs).

use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::edge::Edge;
use chopmark_core::ledger::tile::{TILE_WIDTH, TileCoordinate, decode_hashes, full_tiles, partial_width};
use chopmark_core::ledger::tree::perfect_root;
use chopmark_core::statement::{IdReference, StatementId};
use chopmark_core::time::Timestamp;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::error::{StoreError, bigint, count};
use crate::fixed::fixed;
use crate::schema::{checkpoint, document, entry, log_state, tile};

/// An entry as it is stored.
#[derive(Debug, Clone)]
pub struct StoredEntry {
    /// Position in the log.
    pub index: u64,
    /// SHA-256 of the payload.
    pub statement_id: StatementId,
    /// Leaf hash as stored; not recomputed.
    pub leaf_hash: Sha256Digest,
    /// The operator's clock when it was appended.
    pub recorded_at: Timestamp,
    /// The envelope.
    pub body: Vec<u8>,
}

/// An entry's place in the tree: what a proof of it starts from.
#[derive(Debug, Clone)]
pub struct StoredLeaf {
    /// Position in the log.
    pub index: u64,
    /// SHA-256 of the payload.
    pub statement_id: StatementId,
    /// Leaf hash as stored; not recomputed.
    pub leaf_hash: Sha256Digest,
    /// Short name of the kind.
    pub kind: String,
    /// The operator's clock when it was appended.
    pub recorded_at: Timestamp,
    /// The hashes of its tile, if that is full: one question fewer.
    pub tile: Option<Vec<Sha256Digest>>,
}

/// A signed checkpoint as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// Entries it covers.
    pub size: u64,
    /// Root over them.
    pub root: Sha256Digest,
    /// The signed note.
    pub note: String,
}

type EntryColumns = (i64, Vec<u8>, Vec<u8>, DateTime<Utc>, Vec<u8>);

const ENTRY_COLUMNS: (entry::idx, entry::statement_id, entry::leaf_hash, entry::recorded_at, entry::body) =
    (entry::idx, entry::statement_id, entry::leaf_hash, entry::recorded_at, entry::body);

fn stored_entry((index, id, leaf, recorded_at, body): EntryColumns) -> Result<StoredEntry, StoreError> {
    let place = format!("log.entry {index}");
    Ok(StoredEntry {
        index: count(index, &place)?,
        statement_id: StatementId::from_slice(&id).ok_or_else(|| StoreError::damaged(&place, "statement_id"))?,
        leaf_hash: hash(&leaf, &place)?,
        recorded_at: Timestamp::from(recorded_at),
        body,
    })
}

/// A stored hash.
pub(crate) fn hash(bytes: &[u8], place: &str) -> Result<Sha256Digest, StoreError> {
    Sha256Digest::from_slice(bytes).ok_or_else(|| StoreError::damaged(place, "a hash is not 32 bytes long"))
}

/// Size and root of the log as committed.
pub(crate) async fn log_state(connection: &mut AsyncPgConnection) -> Result<(u64, Sha256Digest), StoreError> {
    let (size, root): (i64, Vec<u8>) =
        log_state::table.select((log_state::size, log_state::root)).first(connection).await?;
    Ok((count(size, "log.log_state")?, hash(&root, "log.log_state")?))
}

/// What there is to sign, and what is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Entries in the log as committed.
    pub size: u64,
    /// Root over them.
    pub root: Sha256Digest,
    /// Entries that the newest stored checkpoint covers; 0 without one.
    pub newest: u64,
}

/// Size, root and newest checkpoint.
pub(crate) async fn head(connection: &mut AsyncPgConnection) -> Result<Head, StoreError> {
    let newest = checkpoint::table.select(diesel::dsl::max(checkpoint::size)).single_value();
    let (size, root, newest): (i64, Vec<u8>, Option<i64>) =
        log_state::table.select((log_state::size, log_state::root, newest)).first(connection).await?;
    Ok(Head {
        size: count(size, "log.log_state")?,
        root: hash(&root, "log.log_state")?,
        newest: count(newest.unwrap_or_default(), "log.checkpoint")?,
    })
}

/// The right edge of the tree over the first `size` entries, from leaf hashes and full tiles.
pub(crate) async fn edge_at(connection: &mut AsyncPgConnection, size: u64) -> Result<Edge, StoreError> {
    let mut partials = Vec::new();
    for level in Edge::levels(size) {
        let width = partial_width(level, size);
        let first = full_tiles(level, size) << 8;
        partials.push(match level.checked_sub(1) {
            None => leaf_hashes(connection, first, u64::from(width)).await?,
            Some(below) => tile_roots(connection, below, first, u64::from(width)).await?,
        });
    }
    Edge::rebuild(size, partials).map_err(|error| StoreError::damaged(format!("log size {size}"), error))
}

/// Leaf hashes of exactly `number` entries from `first` on.
pub(crate) async fn leaf_hashes(
    connection: &mut AsyncPgConnection,
    first: u64,
    number: u64,
) -> Result<Vec<Sha256Digest>, StoreError> {
    let rows: Vec<(i64, Vec<u8>)> = entry::table
        .filter(entry::idx.ge(bigint(first)).and(entry::idx.lt(bigint(first + number))))
        .order(entry::idx)
        .select((entry::idx, entry::leaf_hash))
        .load(connection)
        .await?;
    dense(rows, first, number, "log.entry")?.iter().map(|bytes| hash(bytes, "log.entry")).collect()
}

/// Roots of full tiles: the hashes one level above them.
async fn tile_roots(
    connection: &mut AsyncPgConnection,
    level: u8,
    first: u64,
    number: u64,
) -> Result<Vec<Sha256Digest>, StoreError> {
    let rows: Vec<(i64, Vec<u8>)> = tile::table
        .filter(tile::level.eq(i16::from(level)))
        .filter(tile::n.ge(bigint(first)).and(tile::n.lt(bigint(first + number))))
        .order(tile::n)
        .select((tile::n, tile::hashes))
        .load(connection)
        .await?;
    let place = format!("log.tile level {level}");
    let mut roots = Vec::new();
    for (n, bytes) in (first..).zip(dense(rows, first, number, &place)?) {
        let coordinate = TileCoordinate::full(level, n).map_err(|error| StoreError::damaged(&place, error))?;
        let hashes = decode_hashes(coordinate, &bytes).map_err(|error| StoreError::damaged(&place, error))?;
        roots.push(perfect_root(&hashes));
    }
    Ok(roots)
}

/// Checks that rows are exactly `first..first + number`, and drops their numbers.
pub(crate) fn dense(
    rows: Vec<(i64, Vec<u8>)>,
    first: u64,
    number: u64,
    place: &str,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut expected = first;
    let mut values = Vec::with_capacity(rows.len());
    for (index, value) in rows {
        if count(index, place)? != expected {
            return Err(StoreError::damaged(format!("{place} {expected}"), "the row is missing"));
        }
        expected += 1;
        values.push(value);
    }
    if expected == first + number {
        Ok(values)
    } else {
        Err(StoreError::damaged(format!("{place} {expected}"), "the row is missing"))
    }
}

/// Entries `first` up to at most `number` of them, in order and without gaps.
pub(crate) async fn entries(
    connection: &mut AsyncPgConnection,
    first: u64,
    number: u64,
) -> Result<Vec<StoredEntry>, StoreError> {
    let rows: Vec<EntryColumns> = entry::table
        .filter(entry::idx.ge(bigint(first)).and(entry::idx.lt(bigint(first.saturating_add(number)))))
        .order(entry::idx)
        .select(ENTRY_COLUMNS)
        .load(connection)
        .await?;
    let entries: Vec<StoredEntry> = rows.into_iter().map(stored_entry).collect::<Result<_, _>>()?;
    match (first..).zip(&entries).find(|(expected, entry)| *expected != entry.index) {
        Some((missing, _)) => Err(StoreError::damaged(format!("log.entry {missing}"), "the row is missing")),
        None => Ok(entries),
    }
}

/// The entry of a statement; `None` when no statement, or more than one, fits the reference.
pub(crate) async fn entry_by_id(
    connection: &mut AsyncPgConnection,
    id: &IdReference,
) -> Result<Option<StoredEntry>, StoreError> {
    // Equality and a range are two statements: a plan that serves any range is so poor that PostgreSQL would plan anew for
    // every id, which takes longer than reading the row.
    let rows: Vec<EntryColumns> = match id {
        IdReference::Full(id) => {
            let is_it = entry::statement_id.eq(id.as_bytes().as_slice());
            entry::table.filter(is_it).select(ENTRY_COLUMNS).limit(2).load(connection).await?
        }
        IdReference::Shown { low, high } => {
            let may_be_it = entry::statement_id.between(low.as_bytes().as_slice(), high.as_bytes().as_slice());
            entry::table.filter(may_be_it).select(ENTRY_COLUMNS).limit(2).load(connection).await?
        }
    };
    match <[EntryColumns; 1]>::try_from(rows) {
        Ok([row]) => stored_entry(row).map(Some),
        Err(_) => Ok(None),
    }
}

/// The leaf of a statement, with its tile; `None` when no statement, or more than one, fits the reference.
pub(crate) async fn leaf_by_id(
    connection: &mut AsyncPgConnection,
    id: &IdReference,
) -> Result<Option<StoredLeaf>, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        idx: i64,
        #[diesel(sql_type = Binary)]
        statement_id: Vec<u8>,
        #[diesel(sql_type = Binary)]
        leaf_hash: Vec<u8>,
        #[diesel(sql_type = Text)]
        kind: String,
        #[diesel(sql_type = Timestamptz)]
        recorded_at: DateTime<Utc>,
        #[diesel(sql_type = Nullable<Binary>)]
        hashes: Option<Vec<u8>>,
    }
    // Two statements, as in `entry_by_id`.
    let rows: Vec<Row> = match id {
        IdReference::Full(id) => {
            fixed(
                "SELECT e.idx, e.statement_id, e.leaf_hash, e.kind, e.recorded_at, t.hashes
                 FROM log.entry e LEFT JOIN log.tile t ON t.level = 0 AND t.n = e.idx >> 8
                 WHERE e.statement_id = $1 LIMIT 2",
            )
            .bind::<Binary, _>(id.as_bytes().as_slice())
            .load(connection)
            .await?
        }
        IdReference::Shown { low, high } => {
            fixed(
                "SELECT e.idx, e.statement_id, e.leaf_hash, e.kind, e.recorded_at, t.hashes
                 FROM log.entry e LEFT JOIN log.tile t ON t.level = 0 AND t.n = e.idx >> 8
                 WHERE e.statement_id BETWEEN $1 AND $2 LIMIT 2",
            )
            .bind::<Binary, _>(low.as_bytes().as_slice())
            .bind::<Binary, _>(high.as_bytes().as_slice())
            .load(connection)
            .await?
        }
    };
    let Ok([row]) = <[Row; 1]>::try_from(rows) else { return Ok(None) };
    let place = format!("log.entry {}", row.idx);
    let index = count(row.idx, &place)?;
    let tile = row.hashes.map(|bytes| tile_hashes(leaf_tile(index)?, &bytes)).transpose()?;
    Ok(Some(StoredLeaf {
        index,
        statement_id: StatementId::from_slice(&row.statement_id)
            .ok_or_else(|| StoreError::damaged(&place, "statement_id"))?,
        leaf_hash: hash(&row.leaf_hash, &place)?,
        kind: row.kind,
        recorded_at: Timestamp::from(row.recorded_at),
        tile,
    }))
}

/// The level-0 tile that an entry's leaf hash lies in once it is full.
fn leaf_tile(index: u64) -> Result<TileCoordinate, StoreError> {
    TileCoordinate::full(0, index / u64::from(TILE_WIDTH))
        .map_err(|error| StoreError::damaged(format!("log.entry {index}"), error))
}

fn tile_place(coordinate: TileCoordinate) -> String {
    format!("log.tile level {} number {}", coordinate.level(), coordinate.n())
}

fn tile_hashes(coordinate: TileCoordinate, bytes: &[u8]) -> Result<Vec<Sha256Digest>, StoreError> {
    decode_hashes(coordinate, bytes).map_err(|error| StoreError::damaged(tile_place(coordinate), error))
}

/// Hashes of a full tile.
pub(crate) async fn full_tile(
    connection: &mut AsyncPgConnection,
    coordinate: TileCoordinate,
) -> Result<Vec<Sha256Digest>, StoreError> {
    let bytes: Option<Vec<u8>> = tile::table
        .find((i16::from(coordinate.level()), bigint(coordinate.n())))
        .select(tile::hashes)
        .first(connection)
        .await
        .optional()?;
    let bytes = bytes.ok_or_else(|| StoreError::damaged(tile_place(coordinate), "the row is missing"))?;
    tile_hashes(coordinate, &bytes)
}

/// The checkpoint with the largest size.
pub(crate) async fn latest_checkpoint(
    connection: &mut AsyncPgConnection,
) -> Result<Option<StoredCheckpoint>, StoreError> {
    let row: Option<(i64, Vec<u8>, String)> = checkpoint::table
        .select((checkpoint::size, checkpoint::root, checkpoint::note))
        .order(checkpoint::size.desc())
        .first(connection)
        .await
        .optional()?;
    row.map(stored_checkpoint).transpose()
}

/// Checkpoints from size `from` on, ascending, at most `number`.
pub(crate) async fn checkpoints(
    connection: &mut AsyncPgConnection,
    from: u64,
    number: u32,
) -> Result<Vec<StoredCheckpoint>, StoreError> {
    let rows: Vec<(i64, Vec<u8>, String)> = checkpoint::table
        .filter(checkpoint::size.ge(bigint(from)))
        .select((checkpoint::size, checkpoint::root, checkpoint::note))
        .order(checkpoint::size)
        .limit(i64::from(number))
        .load(connection)
        .await?;
    rows.into_iter().map(stored_checkpoint).collect()
}

fn stored_checkpoint((size, root, note): (i64, Vec<u8>, String)) -> Result<StoredCheckpoint, StoreError> {
    let place = format!("log.checkpoint {size}");
    Ok(StoredCheckpoint { size: count(size, &place)?, root: hash(&root, &place)?, note })
}

/// Keeps a signed checkpoint; the same one again changes nothing, another root at its size is refused by the key.
pub(crate) async fn insert_checkpoint(
    connection: &mut AsyncPgConnection,
    signed: &StoredCheckpoint,
) -> Result<(), StoreError> {
    let inserted = diesel::insert_into(checkpoint::table)
        .values((
            checkpoint::size.eq(bigint(signed.size)),
            checkpoint::root.eq(signed.root.as_bytes().as_slice()),
            checkpoint::note.eq(&signed.note),
        ))
        .on_conflict_do_nothing()
        .execute(connection)
        .await?;
    if inserted == 0 {
        let kept = checkpoints(connection, signed.size, 1).await?;
        if kept.as_slice().first().is_none_or(|kept| kept.size != signed.size || kept.root != signed.root) {
            let place = format!("log.checkpoint {}", signed.size);
            return Err(StoreError::damaged(place, format!("holds another root than {}", signed.root)));
        }
    }
    Ok(())
}

/// A document by digest. Its bytes are re-hashed before they are returned.
pub(crate) async fn document(
    connection: &mut AsyncPgConnection,
    digest: &Sha256Digest,
) -> Result<Option<Vec<u8>>, StoreError> {
    let body: Option<Vec<u8>> =
        document::table.find(digest.as_bytes().as_slice()).select(document::body).first(connection).await.optional()?;
    match body {
        Some(body) if Sha256Digest::of(&body) != *digest => {
            Err(StoreError::damaged(format!("log.document {digest}"), "the bytes have another digest"))
        }
        body => Ok(body),
    }
}
