//! Figures that are sealed: their salts are made here, and what goes into the public record is a commitment to each.

use chopmark_core::code::ResidencyZone;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::sealed::{Commitment, Opening, Openings, Place, Salt};
use chopmark_core::statement::Nonce;
use chopmark_core::strict::StrictError;
use serde_json::Value;

use super::submit::random;
use crate::exit::Failure;

/// The sealed fields of a statement that is still to be made.
#[derive(Debug, Clone)]
pub(crate) struct SealedFigures {
    /// The nonce they were made for.
    pub(crate) nonce: Nonce,
    /// What opens them.
    pub(crate) openings: Openings,
    /// Digest of what is said with open figures: the same whenever the same is said.
    pub(crate) meaning: Sha256Digest,
}

/// A field and its value as text; nothing where it has none.
pub(super) type Figure<'a> = (&'static str, Option<&'a str>);

/// Openings of fields with these salts.
fn openings(
    figures: &[Figure<'_>],
    mut salt: impl FnMut() -> Result<[u8; 32], Failure>,
) -> Result<Vec<Opening>, Failure> {
    let internal = |error: StrictError| Failure::internal(error.to_string());
    let mut fields = Vec::with_capacity(figures.len());
    for (name, value) in figures {
        let field = format!("/{name}").parse().map_err(|reason: String| Failure::internal(reason))?;
        let value = value.map(|text| Value::String(text.to_owned()));
        fields.push(Opening::new(field, Salt::from_random(salt()?), value.as_ref()).map_err(internal)?);
    }
    Ok(fields)
}

/// Openings that seal nothing: for checking figures before anything is made.
///
/// # Errors
/// When a figure is longer than a sealed value can be.
pub(super) fn unsealed(figures: &[Figure<'_>]) -> Result<Vec<Opening>, Failure> {
    openings(figures, || Ok([0; 32]))
}

/// Seals figures for a place: what opens them, and the commitment to each in the same order.
///
/// # Errors
/// When the operating system gives no randomness.
pub(super) fn seal(
    place: &Place,
    zone: ResidencyZone,
    figures: &[Figure<'_>],
) -> Result<(Openings, Vec<Commitment>), Failure> {
    let fields = openings(figures, random)?;
    let commitments = fields.iter().map(|opening| opening.commitment(place)).collect();
    Ok((Openings { zone, fields }, commitments))
}
