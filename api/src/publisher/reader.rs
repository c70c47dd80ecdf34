//! What somebody else signed: the newest stored checkpoint, believed only as far as the log key and the stored hashes bear
//! it out, and never behind what was shown before.

use chopmark_core::ledger::checkpoint::open_checkpoint;
use chopmark_core::ledger::edge::Edge;
use chopmark_core::ledger::note::VerifierKey;
use chopmark_store::Store;

use super::{PublishError, Published};

/// Leaf hashes read at a time, 32 bytes each.
const HASHES_AT_A_TIME: u64 = 16_384;

/// The newest stored checkpoint, if it is newer than what is known.
///
/// # Errors
/// [`PublishError::Halt`] when it is older than what is known, not signed with the log key, or not over the stored entries
/// and what is known.
pub(super) async fn newest(
    store: &Store,
    log_key: &VerifierKey,
    known: Option<&Published>,
) -> Result<Option<Published>, PublishError> {
    let shown = known.map_or(0, |known| known.size);
    let Some(latest) = store.latest_checkpoint().await? else {
        return if shown == 0 { Ok(None) } else { Err(behind(0, shown)) };
    };
    let size = latest.size;
    if size < shown {
        return Err(behind(size, shown));
    }
    if known.is_some_and(|known| known.note == latest.note) {
        return Ok(None);
    }
    let signed = open_checkpoint(&latest.note, core::slice::from_ref(log_key));
    if !signed.is_ok_and(|checkpoint| checkpoint.size() == size && checkpoint.root() == latest.root) {
        let reason = format!("the stored checkpoint over {size} entries does not say so, or not under the log key");
        return Err(PublishError::Halt(reason));
    }
    let edge = match known {
        // From what was shown, so that both are one history.
        Some(known) => extended(store, known.edge.clone(), size).await?,
        None => store.edge_at(size).await?,
    };
    if edge.root() != latest.root {
        let (root, signed) = (edge.root(), latest.root);
        let reason = format!(
            "the {size} entries of which the first {shown} were shown before have the root {root}, but {signed} was \
             signed: the log was rewritten. Run `chopmark audit` and restore the database from a backup"
        );
        return Err(PublishError::Halt(reason));
    }
    Ok(Some(Published::new(size, latest.note, edge)))
}

fn behind(size: u64, shown: u64) -> PublishError {
    PublishError::Halt(format!(
        "the newest checkpoint in the database is over {size} entries, but one over {shown} was shown already: it was \
         restored from before that checkpoint. Restore a newer backup"
    ))
}

async fn extended(store: &Store, mut edge: Edge, size: u64) -> Result<Edge, PublishError> {
    while edge.size() < size {
        let number = HASHES_AT_A_TIME.min(size - edge.size());
        for leaf in store.leaf_hashes(edge.size(), number).await? {
            edge.append(leaf);
        }
    }
    Ok(edge)
}
