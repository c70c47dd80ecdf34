//! Tiles of the access log, and proofs over it. Full tiles are stored as they fill up; the rest is computed from leaf
//! hashes and the tiles below, so that a proof reads a few rows however long the log is.

use std::sync::Arc;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::tile::{Tile, TileCoordinate, TileNodes, TileSet, decode_hashes, encode_hashes, full_tiles};
use chopmark_core::ledger::tree::{ProofPlan, perfect_root, verify_consistency};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, SmallInt};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};

use super::accesses::{AccessHead, head};
use super::{Acting, act};
use crate::Store;
use crate::error::{StoreError, bigint};
use crate::fixed::fixed;
use crate::query::{dense, hash};

/// What it is called in errors.
const TILES: &str = "vault.access_tile";

#[derive(QueryableByName)]
struct Numbered {
    #[diesel(sql_type = BigInt)]
    number: i64,
    #[diesel(sql_type = Binary)]
    bytes: Vec<u8>,
}

/// How many rows there are.
#[derive(QueryableByName)]
pub(super) struct Number {
    #[diesel(sql_type = BigInt)]
    pub(super) number: i64,
}

fn malformed(error: impl core::fmt::Display) -> StoreError {
    StoreError::damaged(TILES, error)
}

/// Keeps tiles that are full; those that are kept already stay as they are.
pub(super) async fn insert(connection: &AsyncPgConnection, tiles: &[Tile]) -> Result<(), StoreError> {
    if tiles.is_empty() {
        return Ok(());
    }
    let (mut levels, mut numbers, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
    for tile in tiles {
        levels.push(i16::from(tile.coordinate.level()));
        numbers.push(bigint(tile.coordinate.n()));
        hashes.push(encode_hashes(&tile.hashes));
    }
    fixed(
        "INSERT INTO vault.access_tile (level, n, hashes) SELECT * FROM unnest($1, $2, $3)
         ON CONFLICT (level, n) DO NOTHING",
    )
    .bind::<Array<SmallInt>, _>(levels)
    .bind::<Array<BigInt>, _>(numbers)
    .bind::<Array<Binary>, _>(hashes)
    .execute(&mut &*connection)
    .await?;
    Ok(())
}

/// Checks that tiles are kept as they are computed.
///
/// # Errors
/// [`StoreError::Damaged`] for the first that is not.
pub(super) async fn compare(connection: &AsyncPgConnection, tiles: &[Tile]) -> Result<(), StoreError> {
    for Tile { coordinate, hashes } in tiles {
        let stored = stored(connection, coordinate.level(), coordinate.n(), 1).await?;
        if stored.as_slice().first().is_none_or(|stored| *stored != encode_hashes(hashes)) {
            let place = format!("{TILES} level {} number {}", coordinate.level(), coordinate.n());
            return Err(StoreError::damaged(place, "holds other hashes than the records have"));
        }
    }
    Ok(())
}

/// Checks that no tile is there that a log of `size` records does not have.
///
/// # Errors
/// [`StoreError::Damaged`] when there are too many.
pub(super) async fn check_number(connection: &AsyncPgConnection, size: u64) -> Result<(), StoreError> {
    let Number { number } =
        fixed("SELECT count(*) AS number FROM vault.access_tile").get_result(&mut &*connection).await?;
    let expected: u64 = (0..8).map(|level| full_tiles(level, size)).sum();
    if bigint(expected) == number {
        return Ok(());
    }
    Err(StoreError::damaged(TILES, format!("{number} rows, {size} records have {expected} full tiles")))
}

/// Exactly `number` full tiles of a level, from `first` on.
async fn stored(
    connection: &AsyncPgConnection,
    level: u8,
    first: u64,
    number: u64,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let rows: Vec<Numbered> = fixed(
        "SELECT n AS number, hashes AS bytes FROM vault.access_tile WHERE level = $1 AND n >= $2 AND n < $3 ORDER BY n",
    )
    .bind::<SmallInt, _>(i16::from(level))
    .bind::<BigInt, _>(bigint(first))
    .bind::<BigInt, _>(bigint(first.saturating_add(number)))
    .load(&mut &*connection)
    .await?;
    exactly(rows, first, number, &format!("{TILES} level {level} number"))
}

async fn leaves(connection: &AsyncPgConnection, first: u64, number: u64) -> Result<Vec<Vec<u8>>, StoreError> {
    let rows: Vec<Numbered> = fixed(
        "SELECT idx AS number, leaf_hash AS bytes FROM vault.access_leaf WHERE idx >= $1 AND idx < $2 ORDER BY idx",
    )
    .bind::<BigInt, _>(bigint(first))
    .bind::<BigInt, _>(bigint(first.saturating_add(number)))
    .load(&mut &*connection)
    .await?;
    exactly(rows, first, number, "vault.access_leaf")
}

fn exactly(rows: Vec<Numbered>, first: u64, number: u64, place: &str) -> Result<Vec<Vec<u8>>, StoreError> {
    dense(rows.into_iter().map(|row| (row.number, row.bytes)).collect(), first, number, place)
}

/// The hashes of a tile that a log of `size` records has.
async fn hashes(
    connection: &AsyncPgConnection,
    coordinate: TileCoordinate,
    size: u64,
) -> Result<Vec<Sha256Digest>, StoreError> {
    let (level, width) = (coordinate.level(), coordinate.width());
    let full = TileCoordinate::full(level, coordinate.n()).map_err(malformed)?;
    if full.is_covered_by(size) {
        let stored = stored(connection, level, coordinate.n(), 1).await?;
        let stored = stored.as_slice().first().map(Vec::as_slice).unwrap_or_default();
        let mut hashes = decode_hashes(full, stored).map_err(malformed)?;
        hashes.truncate(usize::from(width));
        return Ok(hashes);
    }
    let first = coordinate.positions().start;
    let Some(below) = level.checked_sub(1) else {
        let leaves = leaves(connection, first, u64::from(width)).await?;
        return leaves.iter().map(|bytes| hash(bytes, "vault.access_leaf")).collect();
    };
    let mut roots = Vec::with_capacity(usize::from(width));
    for (n, bytes) in (first..).zip(stored(connection, below, first, u64::from(width)).await?) {
        let tile = TileCoordinate::full(below, n).map_err(malformed)?;
        roots.push(perfect_root(&decode_hashes(tile, &bytes).map_err(malformed)?));
    }
    Ok(roots)
}

impl Store {
    /// Whether the access log with this head begins with the one that had the head `signed`.
    ///
    /// # Errors
    /// As [`Store::prove_access`].
    pub async fn access_log_extends(&self, head: AccessHead, signed: AccessHead) -> Result<bool, StoreError> {
        let Ok(plan) = ProofPlan::consistency(signed.size, head.size) else { return Ok(false) };
        let path = self.prove_access(&plan).await?;
        let proves =
            |path: Vec<Sha256Digest>| verify_consistency(signed.size, signed.root, head.size, head.root, &path).is_ok();
        Ok(path.is_some_and(proves))
    }

    /// The hashes of a proof over the access log; `None` when it does not have so many records.
    ///
    /// # Errors
    /// When the database can't be read; [`StoreError::Damaged`] when rows are missing.
    pub async fn prove_access(&self, plan: &ProofPlan) -> Result<Option<Vec<Sha256Digest>>, StoreError> {
        let mut connection = self.inner.pool.get().await?;
        connection
            .transaction(async |connection| {
                act(connection, Acting::Service).await?;
                let size = head(connection).await?.size;
                if plan.size() > size {
                    return Ok(None);
                }
                let mut tiles = TileSet::default();
                for coordinate in plan.tiles() {
                    let hashes = hashes(connection, coordinate, size).await?;
                    tiles.insert(coordinate, Arc::new(TileNodes::new(hashes))).map_err(malformed)?;
                }
                plan.resolve(|node| tiles.node(node)).map(Some).map_err(malformed)
            })
            .await
    }
}
