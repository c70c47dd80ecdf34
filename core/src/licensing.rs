//! Licensing: terms that are published, offered and granted, and what becomes of a grant.
//!
//! Four kinds of statement. Every one is whole by itself: a grant repeats what the offer said, so whoever reads it needs
//! no other document to know what was agreed. Whether a grant is in force on a day is computed, never awaited
//! ([`mod@standing`]); whether nothing ended it since is said by a signed [`status_list`].

pub mod grant;
pub mod offer;
pub mod proof;
pub mod publication;
pub mod standing;
pub mod status;
pub mod status_list;
mod title;

#[cfg(test)]
mod tests;

pub use grant::GrantClaim;
pub use offer::OfferClaim;
pub use proof::{HISTORY_MAX, Judgement, LicenceProof, ProvenLicence};
pub use publication::TermsClaim;
pub use standing::{Standing, last_day, standing};
pub use status::{LicenceEvent, LicenceStatusClaim, StatusReason};
pub use status_list::{StatusList, StatusListError};

use crate::statement::StatementId;
use crate::strict::StrictError;

/// Most artefacts that one offer or grant is about.
pub const ARTEFACTS_MAX: usize = 64;

/// Most licences that an offer or grant rests on.
pub const UNDER_MAX: usize = 8;

/// Ids in ascending order, none twice, at most so many.
fn validate_ids(ids: &[StatementId], max: usize, member: &str) -> Result<(), StrictError> {
    if ids.len() > max {
        return Err(StrictError::new(format!("/{member}"), format!("at most {max} ids")));
    }
    match ids.windows(2).position(|pair| pair.first() >= pair.last()) {
        Some(position) => {
            let reason = "ids stand in ascending order, none twice";
            Err(StrictError::new(format!("/{member}/{}", position + 1), reason))
        }
        None => Ok(()),
    }
}
