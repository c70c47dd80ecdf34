//! Openings that come with a statement: complete, right, and of a zone that is served here.

use chopmark_core::admission::{Code, Rejection};
use chopmark_core::expenditure::Evidence;
use chopmark_core::expenditure::retention::{Holding, assets_of, holding};
use chopmark_core::kind::Claim;
use chopmark_core::statement::IdReference;
use chopmark_core::strict::StrictError;
use chopmark_core::submission::Submission;
use chopmark_core::time::Timestamp;
use chopmark_store::Vault;
use chrono::{DateTime, Utc};

use crate::problem::{ApiError, internal};
use crate::routes::statements::parse_entry;
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
                "the vault here serves {zones}, not {zone}; send the statement with its openings to a vault of that zone, \
                 and here without them (\"fields\": [])"
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

/// The vault of this process.
///
/// # Errors
/// 503 `no_master_key`, which says what the process does not do without one.
pub fn vault<'a>(service: &'a Service, does_not: &str) -> Result<&'a Vault, ApiError> {
    let detail = || format!("this process has no master key and {does_not}; ask one that has");
    service.store.vault().ok_or_else(|| ApiError::unavailable("no_master_key", detail()))
}

/// What is said of an asset is kept while that is held, and for the years that records have to be kept from its disposal or from
/// what was said of it last. The log alone says so; how many years, the vault does.
///
/// # Errors
/// 409 `retention_running`; 503 `no_master_key` where there is no vault, and so no such rule.
pub async fn check_erasure(service: &Service, submission: &Submission) -> Result<(), ApiError> {
    let Claim::Erased(claim) = &submission.statement.claim else { return Ok(()) };
    let retention = vault(service, "erases nothing")?.retention();
    if retention.is_zero() {
        return Ok(());
    }
    let Some(entry) = service.store.entry_by_id(&IdReference::Full(claim.statement)).await? else { return Ok(()) };
    let erased = parse_entry(&entry)?.statement;
    let by = submission.statement.issuer();
    // Whoever may not have it erased is told so when the statement is judged.
    if by != erased.issuer() && by != service.registry.operator {
        return Ok(());
    }
    let size = service.searchable_size().await?;
    for asset in assets_of(&erased.claim) {
        let Some((owner, gathered)) = service.store.evidence_on(&asset, size).await? else { continue };
        let holding = match gathered {
            Ok(gathered) => {
                let holding = move || Evidence::gather(owner, size, &gathered.items).map(|all| holding(&all, asset));
                let holding = tokio::task::spawn_blocking(holding).await.map_err(|error| internal(&error))?;
                holding.map_err(|error| internal(&error))?
            }
            // More than anybody looks through: nothing shows that it is no longer held.
            Err(_) => Holding::Still,
        };
        let reason = match holding {
            Holding::Still => format!("the asset {asset} is held, as far as the log says; ask again once it is not"),
            Holding::Left(None) => continue,
            Holding::Left(Some(day)) => {
                // The day ends in Hong Kong eight hours before it does in UTC.
                let end = format!("{day}T16:00:00Z").parse::<DateTime<Utc>>().map_err(|error| internal(&error))?;
                let until = Timestamp::from(end + retention);
                if until <= service.clock.now() {
                    continue;
                }
                format!("what was said of the asset {asset} has to be kept until {until}; ask again then")
            }
        };
        let place = StrictError::new("/predicate/claim/statement", reason);
        return Err(Rejection::in_payload(Code::RetentionRunning, place).into());
    }
    Ok(())
}
