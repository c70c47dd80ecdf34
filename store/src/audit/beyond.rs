//! Rows that belong to no entry of the log, and rows that ought to be there whatever the entries are.

use chopmark_core::ledger::tile::full_tiles;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::{KnownRoot, Stop, found};
use crate::error::bigint;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Nullable<BigInt>)]
    entry: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    checkpoint: Option<i64>,
    #[diesel(sql_type = BigInt)]
    checkpoints: i64,
    #[diesel(sql_type = BigInt)]
    tiles: i64,
}

/// Whether tables hold exactly as much as a log of `size` entries needs. One snapshot is read throughout, so a service
/// may go on appending.
pub(super) async fn check(connection: &mut AsyncPgConnection, size: u64, known: &[KnownRoot]) -> Result<(), Stop> {
    let Row { entry, checkpoint, checkpoints, tiles } = diesel::sql_query(
        "SELECT (SELECT min(idx) FROM log.entry WHERE idx NOT BETWEEN 0 AND $1 - 1) AS entry,
                (SELECT min(size) FROM log.checkpoint WHERE size NOT BETWEEN 2 AND $1) AS checkpoint,
                (SELECT count(*) FROM log.checkpoint) AS checkpoints,
                (SELECT count(*) FROM log.tile) AS tiles",
    )
    .bind::<BigInt, _>(bigint(size))
    .get_result(connection)
    .await?;
    if let Some(index) = entry {
        return Err(found(format!("log.entry {index}"), size, format!("lies beyond the log's {size} entries")));
    }
    if let Some(covered) = checkpoint {
        let reason = format!("covers more than the log's {size} entries, or less than the founding ones");
        return Err(found(format!("log.checkpoint {covered}"), size, reason));
    }
    let expected: u64 = (0..8).map(|level| full_tiles(level, size)).sum();
    if bigint(expected) != tiles {
        return Err(found("log.tile", size, format!("{tiles} rows, {size} entries have {expected} full tiles")));
    }
    match known.iter().find(|known| known.size > 0) {
        Some(signed) if checkpoints == 0 => {
            let reason =
                format!("there is none, although {} says that {} entries were signed", signed.source, signed.size);
            Err(found("log.checkpoint", 0, reason))
        }
        _ => Ok(()),
    }
}

/// Documents that no entry named, too, are what their key says. Read in pieces, so that no statement takes long.
pub(super) async fn check_documents(connection: &mut AsyncPgConnection) -> Result<(), Stop> {
    #[derive(QueryableByName)]
    struct Document {
        #[diesel(sql_type = Text)]
        digest: String,
    }
    for first in 0..=u8::MAX {
        let damaged: Option<Document> = diesel::sql_query(
            "SELECT encode(sha256, 'hex') AS digest FROM log.document
             WHERE sha256 >= $1 AND ($2 IS NULL OR sha256 < $2) AND sha256(body) <> sha256 ORDER BY sha256 LIMIT 1",
        )
        .bind::<diesel::sql_types::Binary, _>(vec![first])
        .bind::<Nullable<diesel::sql_types::Binary>, _>(first.checked_add(1).map(|next| vec![next]))
        .get_result(connection)
        .await
        .optional()?;
        if let Some(Document { digest }) = damaged {
            return Err(found(format!("log.document {digest}"), None, "its bytes have another digest"));
        }
    }
    Ok(())
}
