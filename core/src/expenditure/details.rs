//! What is said openly of a payment beside its nature: the facts on which its treatment turns, as parties know them.
//!
//! Each member is a member of the engine's event of the same name (`docs/formats/tax-facts.md`). Which may stand with which
//! nature is one table here; whether an associate is paid, and where it resides, is never said but derived.

use serde::{Deserialize, Serialize};

use super::payment::Nature;
use crate::money::Fraction;
use crate::strict::{StrictError, present};
use crate::tax::facts::{Acquires, Funding, NOT_DESIGNATED, PerformedBy, ResearchPlace, UsedIn, read_treaty_cap};

/// Longest term of a licence, in years: longer than any right lasts.
const TERM_YEARS_MAX: u32 = 100;

/// Longest text of a treaty's cap: a percentage with eight decimals.
const TREATY_CAP_BYTES_MAX: usize = 16;

/// Defines the members once: their types, and the natures that have them.
macro_rules! details {
    ($($(#[$doc:meta])* $name:ident: $type:ty, $($nature:ident)|+;)*) => {
        /// Facts of a payment; each is absent where nothing is said.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Details {
            $(
                $(#[$doc])*
                #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
                pub $name: Option<$type>,
            )*
        }

        impl Details {
            /// The first member that payments of this nature do not have.
            fn stray(&self, nature: Nature) -> Option<&'static str> {
                $(
                    if self.$name.is_some() && !matches!(nature, $(Nature::$nature)|+) {
                        return Some(stringify!($name));
                    }
                )*
                None
            }

            /// Whether nothing is said.
            pub fn is_empty(&self) -> bool {
                *self == Self::default()
            }
        }
    };
}

details! {
    /// The share of the whole right that is bought or sold; the whole where nothing is said.
    share: Fraction, Purchase | Disposal;
    /// How a purchase was paid for.
    funding: Funding, Purchase;
    /// Whether the seller became the licensee.
    licensed_back: bool, Purchase;
    /// What was acquired; the right itself where nothing is said.
    acquires: Acquires, Purchase;
    /// The part of the use intended for chargeable profits, of a patent or know-how.
    fraction: Fraction, Purchase;
    /// Whether a licence was ended early for the purchase.
    early_termination: bool, Purchase;
    /// Term of the licence, in years.
    term_years: u32, UpfrontFee;
    /// Where the right is used; in Hong Kong where nothing is said.
    used_in: UsedIn, Royalty;
    /// Whether it is for the exhibition of films.
    film: bool, Royalty;
    /// Whether somebody in business in Hong Kong ever owned the right.
    ever_hk_owned: bool, Royalty;
    /// The treaty's cap that is relied on: a fraction (`0.03`), a percentage (`3%`), or `none`.
    treaty_cap: String, Royalty;
    /// Where research was done; in Hong Kong where nothing is said.
    place: ResearchPlace, RndTypeA;
    /// The deductible part of overseas research of a trade partly outside Hong Kong.
    proportion: Fraction, RndTypeA;
    /// Whether all rights are vested in the payer; true where nothing is said.
    vested: bool, RndTypeA | RndTypeB;
    /// Whether it was done for somebody else.
    for_another: bool, RndTypeA | RndTypeB;
    /// Who did it; the payer where nothing is said. Type B is not paid to an institution that is not designated.
    performed_by: PerformedBy, RndTypeA | RndTypeB;
    /// Whether a main purpose was a deduction that would not be due.
    avoidance: bool, RndTypeA | RndTypeB;
}

impl Details {
    /// Checks that every member is one that payments of this nature have, with a value they can have.
    ///
    /// # Errors
    /// A [`StrictError`] with a pointer relative to this object.
    pub(super) fn validate(&self, nature: Nature) -> Result<(), StrictError> {
        if let Some(stray) = self.stray(nature) {
            let reason = format!("a payment of the nature {} has no such member", nature.as_str());
            return Err(StrictError::new(format!("/{stray}"), reason));
        }
        if nature == Nature::RndTypeB && self.performed_by == Some(PerformedBy::RdInstitution) {
            return Err(StrictError::new("/performed_by", NOT_DESIGNATED));
        }
        if self.share == Some(Fraction::ZERO) {
            return Err(StrictError::new("/share", "a share is more than nothing"));
        }
        if self.term_years.is_some_and(|years| !(1..=TERM_YEARS_MAX).contains(&years)) {
            return Err(StrictError::new("/term_years", format!("a term of 1 to {TERM_YEARS_MAX} years is expected")));
        }
        if let Some(cap) = &self.treaty_cap {
            if cap.len() > TREATY_CAP_BYTES_MAX {
                return Err(StrictError::new("/treaty_cap", format!("longer than {TREATY_CAP_BYTES_MAX} bytes")));
            }
            read_treaty_cap("/treaty_cap", Some(cap))?;
        }
        Ok(())
    }
}
