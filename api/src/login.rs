//! Whose a key is, by the log itself: the tables it is found in could be made to say anything, and whoever logs in as a party is
//! shown what is sealed.

use chopmark_core::admission::View;
use chopmark_core::key::KeyId;
use chopmark_core::ledger::tree::{ProofPlan, leaf_hash, verify_inclusion};
use chopmark_core::statement::{IdReference, StatementId};

use crate::problem::ApiError;
use crate::publisher::Published;
use crate::routes::bundles::party_entries;
use crate::routes::statements::{entry_of, parse_entry};
use crate::service::Service;

/// Whether the party has this key now: its creation and its key events are replayed, each of them proved to be in the log that
/// was published last.
///
/// # Errors
/// 503 before the first checkpoint; when the store fails.
pub async fn has_key(service: &Service, party: StatementId, key: &KeyId) -> Result<bool, ApiError> {
    let published = service.published()?;
    let (reference, operator) = (service.registry.reference.clone(), service.registry.operator);
    let mut entries = party_entries(service, party, published.size).await?;
    let mut view = if party == operator {
        entries.insert(0, entry_of(service, &IdReference::Full(operator)).await?);
        View::new(0, None, None)
    } else {
        View::new(0, Some(reference.clone()), Some(operator))
    };
    for entry in entries {
        let submission = parse_entry(&entry)?;
        if submission.statement.issuer() != party || !is_in(service, &published, entry.index, &entry.body).await? {
            return Ok(false);
        }
        if view.replay(entry.index, &submission.statement, &submission.envelope).is_err() {
            return Ok(false);
        }
        if entry.index == 0 {
            view.found(reference.clone(), operator);
        }
    }
    Ok(view.key(key).is_some_and(|record| record.party == party && record.valid_until.is_none()))
}

/// Whether the published log holds these bytes at this index.
async fn is_in(service: &Service, published: &Published, index: u64, body: &[u8]) -> Result<bool, ApiError> {
    let Ok(plan) = ProofPlan::inclusion(index, published.size) else { return Ok(false) };
    let path = service.prove(published, &plan).await?;
    Ok(verify_inclusion(leaf_hash(body), index, published.size, &path, published.edge.root()).is_ok())
}
