//! The audit of the access log: everything is computed anew from the records.

use std::collections::VecDeque;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::checkpoint::open_checkpoint;
use chopmark_core::ledger::edge::Edge;
use chopmark_core::ledger::note::VerifierKey;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};

use super::accesses::{Filled, all_checkpoints, head, leaves, rebuild};
use super::{Acting, access_tiles, act};
use crate::audit::KnownRoot;
use crate::error::StoreError;
use crate::fixed::fixed;
use crate::query::StoredCheckpoint;

/// Checks the whole access log: records, hashes, tiles, state, checkpoints by `key` where it is known, and roots known
/// from outside. How many records.
///
/// # Errors
/// [`StoreError::Damaged`] for the first thing that does not hold.
pub(crate) async fn check(
    connection: &AsyncPgConnection,
    key: Option<&VerifierKey>,
    known: &[KnownRoot],
) -> Result<u64, StoreError> {
    act(connection, Acting::Service).await?;
    let head = head(connection).await?;
    rebuild(connection, Edge::new(), head, Filled::Compare).await?;
    access_tiles::check_number(connection, head.size).await?;
    check_none_left_out(connection).await?;

    let mut roots: Vec<(String, u64, Sha256Digest)> = known
        .iter()
        .filter(|known| known.size > 0)
        .map(|known| (known.source.clone(), known.size, known.root))
        .collect();
    for signed in all_checkpoints(connection).await? {
        let place = format!("vault.access_checkpoint {}", signed.size);
        if let Some(key) = key {
            check_note(&place, &signed, key)?;
        }
        roots.push((place, signed.size, signed.root));
    }
    roots.sort_by_key(|(_, size, _)| *size);
    check_roots(connection, roots, head.size).await?;
    Ok(head.size)
}

fn check_note(place: &str, signed: &StoredCheckpoint, key: &VerifierKey) -> Result<(), StoreError> {
    let opened = open_checkpoint(&signed.note, core::slice::from_ref(key));
    let opened = opened.map_err(|error| StoreError::damaged(place, error))?;
    if (opened.size(), opened.root()) == (signed.size, signed.root) {
        return Ok(());
    }
    Err(StoreError::damaged(place, "the note says something else than the row"))
}

/// Roots at the sizes they are of, ascending.
async fn check_roots(
    connection: &AsyncPgConnection,
    roots: Vec<(String, u64, Sha256Digest)>,
    size: u64,
) -> Result<(), StoreError> {
    let (mut edge, mut read, mut waiting) = (Edge::new(), 0, VecDeque::new());
    for (place, covered, root) in roots {
        if covered > size {
            let reason = format!("covers {covered} records, there are only {size}: records are missing");
            return Err(StoreError::damaged(place, reason));
        }
        while edge.size() < covered {
            if waiting.is_empty() {
                let more = leaves(connection, read).await?;
                read += u64::try_from(more.len()).unwrap_or(u64::MAX);
                waiting.extend(more.into_iter().map(|leaf| leaf.hash));
            }
            let leaf = waiting.pop_front();
            edge.append(leaf.ok_or_else(|| StoreError::damaged("vault.access_leaf", "rows are missing"))?);
        }
        if edge.root() != root {
            let reason = format!("says the root {root} over {covered} records, they have {}", edge.root());
            return Err(StoreError::damaged(place, reason));
        }
    }
    Ok(())
}

/// Every record is in its place or waits for one.
async fn check_none_left_out(connection: &AsyncPgConnection) -> Result<(), StoreError> {
    #[derive(QueryableByName)]
    struct Record {
        #[diesel(sql_type = Text)]
        id: String,
    }
    let left_out: Option<Record> = fixed(
        "SELECT encode(id, 'hex') AS id FROM vault.access
         WHERE NOT EXISTS (SELECT FROM vault.access_leaf WHERE access_leaf.access = access.id)
         AND NOT EXISTS (SELECT FROM vault.access_pending WHERE access_pending.access = access.id) ORDER BY id LIMIT 1",
    )
    .get_result(&mut &*connection)
    .await
    .optional()?;
    match left_out {
        None => Ok(()),
        Some(Record { id }) => {
            Err(StoreError::damaged(format!("vault.access {id}"), "is neither in the access log nor waiting for it"))
        }
    }
}
