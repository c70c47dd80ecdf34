//! Sealing the figures of terms, and opening them again.
//!
//! A consideration is sealed as a whole: each of its four figures has a commitment, whether it has a value or not.

use serde_json::Value;

use super::consideration::{Figures, SealedFigures};
use super::{Consideration, Terms};
use crate::sealed::{Commitment, Field, Opening, Place, Salt, SealedField};
use crate::strict::{self, StrictError};

/// The figures of a consideration, in schema order.
const FIGURES: [&str; 4] = ["amount", "rate", "tiers", "ceiling"];

fn field(position: usize, figure: &str) -> Result<Field, StrictError> {
    let pointer = format!("/consideration/{position}/{figure}");
    pointer.parse().map_err(|reason: String| StrictError::new(pointer, reason))
}

impl SealedFigures {
    fn commitments(&self) -> [Commitment; 4] {
        [self.amount, self.rate, self.tiers, self.ceiling]
    }
}

impl Terms {
    /// The sealed figures, in schema order.
    pub fn sealed_fields(&self) -> Vec<SealedField> {
        let sealed = self.consideration.iter().enumerate().filter_map(|(at, one)| Some((at, one.sealed.as_ref()?)));
        sealed
            .flat_map(|(at, sealed)| FIGURES.into_iter().zip(sealed.commitments()).map(move |pair| (at, pair)))
            .filter_map(|(at, (figure, commitment))| Some(SealedField { field: field(at, figure).ok()?, commitment }))
            .collect()
    }

    /// The same terms with all figures sealed, for the statement with this place; `salt` gives 32 random bytes each time.
    ///
    /// # Errors
    /// None in practice: see [`strict::to_canonical`].
    pub fn seal(&self, place: &Place, mut salt: impl FnMut() -> [u8; 32]) -> Result<(Self, Vec<Opening>), StrictError> {
        let mut terms = self.clone();
        let mut openings = Vec::new();
        for (at, consideration) in terms.consideration.iter_mut().enumerate() {
            let Some(figures) = consideration.figures.take() else { continue };
            let values = strict::to_value(&figures)?;
            let mut commit = |figure: &str| {
                let salt = Salt::from_random(salt());
                let opening = Opening::new(field(at, figure)?, salt, values.get(figure))?;
                let commitment = opening.commitment(place);
                openings.push(opening);
                Ok::<_, StrictError>(commitment)
            };
            consideration.sealed = Some(SealedFigures {
                amount: commit("amount")?,
                rate: commit("rate")?,
                tiers: commit("tiers")?,
                ceiling: commit("ceiling")?,
            });
        }
        Ok((terms, openings))
    }

    /// The terms with the figures that these openings open in place of the commitments, checked as open ones are: what
    /// would not be accepted openly must not be sealed either.
    ///
    /// # Errors
    /// A [`StrictError`] with a pointer into the terms.
    pub fn opened(&self, openings: &[Opening]) -> Result<Self, StrictError> {
        let mut terms = self.clone();
        for (at, consideration) in terms.consideration.iter_mut().enumerate() {
            if consideration.sealed.is_none() {
                continue;
            }
            open(at, consideration, openings)?;
        }
        terms.validate()?;
        Ok(terms)
    }
}

fn open(at: usize, consideration: &mut Consideration, openings: &[Opening]) -> Result<(), StrictError> {
    let mut figures = serde_json::Map::new();
    for figure in FIGURES {
        let name = field(at, figure)?;
        let Some(opening) = openings.iter().find(|opening| opening.field == name) else { return Ok(()) };
        if let Some(value) = opening.value() {
            figures.insert(figure.to_owned(), strict::value_from_slice(value)?);
        }
    }
    let figures: Figures =
        strict::decode(&Value::Object(figures)).map_err(|error| error.under(&format!("/consideration/{at}")))?;
    (consideration.figures, consideration.sealed) = (Some(figures), None);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed::{Openings, check};
    use crate::terms::Preset;

    #[test]
    fn sealed_terms_open_to_the_same_terms() {
        let place = Place {
            registry: "r 00".to_owned(),
            predicate_type: "urn:chopmark:predicate:terms:v1".to_owned(),
            issuer: "ab".to_owned(),
            nonce: "cd".to_owned(),
        };
        let terms = Preset::CommercialRevenueShare.terms().unwrap();
        let mut last = 0;
        let (sealed, openings) = terms
            .seal(&place, || {
                last += 1;
                [last; 32]
            })
            .unwrap();
        assert!(sealed.is_sealed() && sealed.validate().is_ok());
        let fields = sealed.sealed_fields();
        assert_eq!(fields.len(), 4 * terms.consideration.len());
        let zone = crate::code::ResidencyZone::HongKong;
        let sent = Openings { zone, fields: openings.clone() };
        assert_eq!(check(&place, &fields, Some(&sent)), Ok(()));
        assert_eq!(sealed.opened(&openings).unwrap(), terms);
        // Tiers without members are as absent as no tiers.
        assert!(openings.iter().any(|opening| opening.value().is_none()));

        // What would not be accepted openly: a share of more than all, in the place of the rate.
        let mut wrong = openings;
        let at = wrong.iter().position(|opening| opening.field.is_called("rate") && opening.value().is_some()).unwrap();
        let salt = Salt::from_random([99; 32]);
        wrong[at] = Opening::new(wrong[at].field.clone(), salt, Some(&"1.5".into())).unwrap();
        assert!(sealed.opened(&wrong).unwrap_err().pointer.starts_with("/consideration/"));
    }
}
