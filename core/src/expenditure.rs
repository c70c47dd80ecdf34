//! Expenditure on intellectual property: evidence in, provable reports out.
//!
//! Seven kinds of statement say what happened and between whom; figures are sealed, documents stay with the parties. Nothing
//! here says how anything is taxed: [`crate::tax`] does, from facts that are a pure function of the evidence.
//!
//! An asset, a payment and a use are entries that can be put right: a [`correction`] reverses one or puts another in its
//! place, and the first one stays where it is. The other kinds are said anew, and the latest counts.

pub mod asset;
pub mod correction;
pub mod details;
pub mod evidence;
pub mod facts;
pub mod payment;
pub mod profile;
pub mod rate;
pub mod relation;
pub mod report;
pub mod retention;
pub mod side;
pub mod used;

pub use asset::{AssetClaim, Lapse, Succession, TitleLeft};
pub use correction::{CorrectionClaim, CorrectionReason, Replacement};
pub use details::Details;
pub use evidence::{Evidence, EvidenceError, Item, Said, Status, Version, Versions};
pub use payment::{ExpenditureClaim, Nature, SealedPayment};
pub use profile::TaxProfileClaim;
pub use rate::FxRateClaim;
pub use relation::{RelationClaim, RelationKind};
pub use side::{Outside, Side};
pub use used::{SealedUse, UseClaim};

use crate::admission::{Change, Code, Entry, EvidenceChange, Rejection};
use crate::money::Decimal;
use crate::sealed::{Commitment, Opening, SealedField};
use crate::strict::{self, StrictError};

/// A refusal at a member of the predicate.
fn refuse(code: Code, pointer: &str, reason: impl Into<String>) -> Rejection {
    Rejection::in_payload(code, StrictError::new(format!("/predicate{pointer}"), reason))
}

/// The change an entry of one of these kinds makes: all it says, for whoever keeps a table of it.
fn changes(entry: &Entry<'_>) -> Vec<Change> {
    let statement = entry.statement;
    vec![Change::Evidence(Box::new(EvidenceChange {
        id: statement.id,
        index: entry.index,
        issuer: statement.issuer(),
        signers: crate::bundle::signing_parties(statement),
        claim: statement.claim.clone(),
    }))]
}

/// Sealed fields by name and commitment, in schema order.
fn sealed_fields(fields: impl IntoIterator<Item = (&'static str, Commitment)>) -> Vec<SealedField> {
    let fields = fields.into_iter();
    fields.filter_map(|(name, commitment)| Some(SealedField { field: name.parse().ok()?, commitment })).collect()
}

/// A sealed value as the type it has to be; `None` when it is absent.
pub(crate) fn opened<T>(
    openings: &[Opening],
    name: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, StrictError> {
    let opening = openings.iter().find(|opening| opening.field.as_str() == name);
    let Some(value) = opening.and_then(Opening::value) else { return Ok(None) };
    let text: String = strict::from_slice(value).map_err(|error| error.under(name))?;
    parse(&text).map(Some).map_err(|reason| StrictError::new(name, reason))
}

/// A decimal number of more than nothing.
fn positive(pointer: &str, text: &str, decimals_max: u32) -> Result<Decimal, StrictError> {
    let read = Decimal::parse(text, decimals_max).map_err(|reason| StrictError::new(pointer, reason))?;
    if read.mantissa > 0 { Ok(read) } else { Err(StrictError::new(pointer, "a rate is more than nothing")) }
}

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;
