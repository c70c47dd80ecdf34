//! The sides of a payment: parties of the registry, and others that are only named.
//!
//! At least one side, the issuer's, is registered. Others – a registry office, a seller abroad, own staff as one sum – have
//! a name and a place, and nobody signs for them. They are organisations: an entry never names a natural person.

use serde::{Deserialize, Serialize};

use crate::code::Jurisdiction;
use crate::statement::StatementId;
use crate::strict::StrictError;
use crate::text::validate_name;

/// One side of a payment or a relation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// A party of the registry.
    Party(StatementId),
    /// Somebody who is not.
    Outside(Outside),
}

/// An organisation that is not registered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outside {
    /// What it is called.
    pub name: String,
    /// Where it is resident.
    pub jurisdiction: Jurisdiction,
}

impl Side {
    /// The party, where it is one.
    pub const fn party(&self) -> Option<StatementId> {
        match self {
            Self::Party(id) => Some(*id),
            Self::Outside(_) => None,
        }
    }

    /// Whether it is this party.
    pub fn is(&self, party: StatementId) -> bool {
        self.party() == Some(party)
    }

    /// Checks the name of one that is not registered.
    ///
    /// # Errors
    /// A [`StrictError`] under `pointer`.
    pub(super) fn validate(&self, pointer: &str) -> Result<(), StrictError> {
        match self {
            Self::Party(_) => Ok(()),
            Self::Outside(outside) => validate_name(&outside.name)
                .map_err(|reason| StrictError::new(format!("{pointer}/outside/name"), reason)),
        }
    }
}
