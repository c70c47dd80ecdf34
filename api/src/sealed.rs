//! Openings that come with a statement: complete, right, and of a zone that is served here.

use chopmark_core::admission::{Code, Rejection};
use chopmark_core::statement::IdReference;
use chopmark_core::strict::StrictError;
use chopmark_core::submission::Submission;
use chopmark_store::Vault;

use crate::problem::ApiError;
use crate::service::Service;

/// Checks the openings of a statement's sealed fields.
///
/// # Errors
/// 422 that names the field, or the zone that is not served.
pub async fn check(service: &Service, submission: &Submission) -> Result<(), ApiError> {
    match submission.check_openings() {
        Ok(()) => {}
        // Whoever sends again what is public has no openings, and needs none.
        Err(refused) if submission.openings.is_none() => {
            let id = IdReference::Full(submission.statement.id);
            return match service.store.entry_by_id(&id).await? {
                Some(_) => Ok(()),
                None => Err(refused.into()),
            };
        }
        Err(refused) => return Err(refused.into()),
    }
    let Some(openings) = &submission.openings else { return Ok(()) };
    let refuse = |code, pointer: &str, reason: String| -> Result<(), ApiError> {
        Err(Rejection::in_request(code, StrictError::new(pointer, reason)).into())
    };
    let vault = service.store.vault();
    let zone = openings.zone.as_str();
    match (vault.is_some_and(|vault| vault.serves(openings.zone)), openings.fields.is_empty()) {
        (false, false) => {
            let zones = vault.map_or_else(|| "no zone".to_owned(), Vault::zones);
            let reason = format!(
                "the vault here serves {zones}, not {zone}; send the openings to a vault of that zone, and the statement \
                 here without them"
            );
            refuse(Code::ZoneNotServed, "/openings/zone", reason)
        }
        (true, true) if !submission.statement.claim.kind().sealed_fields().is_empty() => {
            let reason = format!("the vault here serves {zone}: send the opening of every sealed field");
            refuse(Code::OpeningMissing, "/openings/fields", reason)
        }
        _ => Ok(()),
    }
}
