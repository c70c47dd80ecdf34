//! Reading the ledger's rows a bounded piece at a time: entries, and all that is stored about the tree over them.

use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::edge::Edge;
use chopmark_core::ledger::tile::{Tile, TileCoordinate, decode_hashes, full_tiles};
use chopmark_core::time::Timestamp;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{Columns, FoundEntry, Piece, Source, Stop, found};
use crate::error::{StoreError, bigint, count};
use crate::query;
use crate::schema::{entry, log_state, tile};

/// Entries read at a time: at most 64 MiB of envelopes, usually well below two.
const ENTRIES_AT_A_TIME: u64 = 1_024;

/// Most checkpoints within a piece: one per entry.
const CHECKPOINTS_AT_A_TIME: u32 = 1_024;

/// Size and root as the one row says.
pub(super) async fn log_state(connection: &mut AsyncPgConnection) -> Result<(u64, Sha256Digest), Stop> {
    let rows: Vec<(i64, Vec<u8>)> =
        log_state::table.select((log_state::size, log_state::root)).load(connection).await?;
    let place = "log.log_state";
    match rows.as_slice() {
        [(size, root)] => {
            let root = Sha256Digest::from_slice(root).ok_or_else(|| found(place, None, "root is no hash"))?;
            Ok((count(*size, place)?, root))
        }
        rows => Err(found(place, 0, format!("there are {} rows instead of one", rows.len()))),
    }
}

/// The next piece from entry `first` on, in a log of `size` entries; empty at its end.
pub(super) async fn piece(connection: &mut AsyncPgConnection, first: u64, size: u64) -> Result<Piece, Stop> {
    let next = size.min(first + ENTRIES_AT_A_TIME);
    if first >= next {
        return Ok(Piece::default());
    }
    let entries = entries(connection, first, next).await?;
    let mut tiles = Vec::new();
    for level in Edge::levels(next) {
        tiles.extend(full_tiles_between(connection, level, full_tiles(level, first), full_tiles(level, next)).await?);
    }
    let mut checkpoints = query::checkpoints(connection, first + 1, CHECKPOINTS_AT_A_TIME).await?;
    checkpoints.retain(|checkpoint| checkpoint.size <= next);
    Ok(Piece { entries, tiles, checkpoints })
}

type EntryRow = (i64, Vec<u8>, Vec<u8>, String, Vec<u8>, DateTime<Utc>, Vec<u8>);

async fn entries(connection: &mut AsyncPgConnection, first: u64, next: u64) -> Result<Vec<FoundEntry>, Stop> {
    let rows: Vec<EntryRow> = entry::table
        .filter(entry::idx.ge(bigint(first)).and(entry::idx.lt(bigint(next))))
        .order(entry::idx)
        .select((
            entry::idx,
            entry::statement_id,
            entry::leaf_hash,
            entry::kind,
            entry::issuer,
            entry::recorded_at,
            entry::body,
        ))
        .load(connection)
        .await?;
    let mut entries = Vec::with_capacity(rows.len());
    let mut expected = first;
    for (index, statement_id, leaf_hash, kind, issuer, recorded_at, body) in rows {
        if index != bigint(expected) {
            break;
        }
        let leaf_hash = Sha256Digest::from_slice(&leaf_hash)
            .ok_or_else(|| found(Source::Database.entry(expected), expected, "leaf_hash is no hash"))?;
        let columns = Columns { statement_id, kind, issuer, recorded_at: Timestamp::from(recorded_at) };
        entries.push(FoundEntry { body, leaf_hash, columns: Some(columns) });
        expected += 1;
    }
    if expected < next {
        return Err(found(Source::Database.entry(expected), expected, "the row is missing"));
    }
    Ok(entries)
}

/// Stored tiles of a level with numbers from `first` to below `end`; those that are missing are left out.
async fn full_tiles_between(
    connection: &mut AsyncPgConnection,
    level: u8,
    first: u64,
    end: u64,
) -> Result<Vec<Tile>, StoreError> {
    if first >= end {
        return Ok(Vec::new());
    }
    let rows: Vec<(i64, Vec<u8>)> = tile::table
        .filter(tile::level.eq(i16::from(level)))
        .filter(tile::n.ge(bigint(first)).and(tile::n.lt(bigint(end))))
        .select((tile::n, tile::hashes))
        .load(connection)
        .await?;
    rows.into_iter()
        .map(|(n, bytes)| {
            let place = format!("log.tile level {level} number {n}");
            let coordinate = TileCoordinate::full(level, count(n, &place)?);
            let coordinate = coordinate.map_err(|error| StoreError::damaged(&place, error))?;
            let hashes = decode_hashes(coordinate, &bytes).map_err(|error| StoreError::damaged(&place, error))?;
            Ok(Tile { coordinate, hashes })
        })
        .collect()
}
