//! Kind `policy`: the rules of the registry itself, from the operator.
//!
//! Entry 0 is the descriptor: it founds the registry, creates the operator's party and names the log key; its leaf hash
//! is the registry's identity. Entry 1 states the first trust anchors. Later entries replace the anchors.

mod founding;

pub use founding::Founding;

use serde::{Deserialize, Serialize};

use crate::admission::{Change, Code, Entry, PartyRecord, PolicyRecord, Reads, Rejection, View};
use crate::key::PublicKey;
use crate::kind::Kind;
use crate::ledger::note::VerifierKey;
use crate::party::KeySet;
use crate::statement::Statement;
use crate::strict::StrictError;
use crate::text::{Names, validate_name};

/// Longest origin, in bytes.
pub const ORIGIN_BYTES_MAX: usize = 200;

/// Most witnesses.
pub const WITNESSES_MAX: usize = 32;

/// What a `policy` statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyClaim {
    /// Founds the registry; entry 0 only.
    Descriptor(Descriptor),
    /// Whom readers may rely on besides the log key.
    TrustAnchors(TrustAnchors),
}

/// The founding facts of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Descriptor {
    /// First line of every checkpoint: a schema-less URL without a trailing slash (C2SP tlog-checkpoint).
    pub origin: String,
    /// Verifier key of the log (C2SP signed-note): whoever holds its other half signs checkpoints.
    pub log_key: String,
    /// Names of the operator.
    pub operator_name: Names,
    /// Keys that speak for the operator, and how many must agree.
    pub operator_keys: KeySet,
    /// Who may register a party.
    pub party_registration: PartyRegistration,
}

/// Who may register a party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartyRegistration {
    /// Anyone; what a party says of itself is self-declared until somebody attests it.
    Open,
}

/// Witnesses, and how many of them a reader should ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustAnchors {
    /// Verifier keys of witnesses (C2SP tlog-cosignature), ascending.
    pub witnesses: Vec<String>,
    /// How many of them must have cosigned a checkpoint for it to be trusted.
    pub quorum: u32,
}

impl PolicyClaim {
    /// Predicate type of this kind.
    pub const PREDICATE_TYPE: &'static str = "urn:chopmark:predicate:policy:v1";
}

/// Checks an origin: printable ASCII without spaces or `+`, so that it can stand in a verifier key and a checkpoint.
///
/// # Errors
/// A sentence saying what an origin looks like.
pub fn validate_origin(origin: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte);
    let well_formed = !origin.is_empty()
        && origin.len() <= ORIGIN_BYTES_MAX
        && origin.bytes().all(allowed)
        && !origin.starts_with('/')
        && !origin.ends_with('/')
        && !origin.contains("://");
    if well_formed {
        Ok(())
    } else {
        Err(format!(
            "{origin:?} is not an origin: expected a host and path without scheme, such as registry.example.hk/log"
        ))
    }
}

impl Descriptor {
    fn validate(&self) -> Result<(), StrictError> {
        validate_origin(&self.origin).map_err(|reason| StrictError::new("/origin", reason))?;
        let key: VerifierKey = self
            .log_key
            .parse()
            .map_err(|error| StrictError::new("/log_key", format!("not a verifier key: {error}")))?;
        if key.name() != self.origin {
            return Err(StrictError::new("/log_key", "the name in the verifier key must be the origin"));
        }
        self.operator_name.validate(validate_name).map_err(|error| error.under("/operator_name"))?;
        self.operator_keys.validate().map_err(|error| error.under("/operator_keys"))
    }
}

impl TrustAnchors {
    fn validate(&self) -> Result<(), StrictError> {
        if self.witnesses.len() > WITNESSES_MAX {
            return Err(StrictError::new("/witnesses", format!("at most {WITNESSES_MAX} witnesses")));
        }
        for (position, witness) in self.witnesses.iter().enumerate() {
            if let Err(error) = witness.parse::<VerifierKey>() {
                return Err(StrictError::new(format!("/witnesses/{position}"), format!("not a verifier key: {error}")));
            }
        }
        if !self.witnesses.is_sorted_by(|a, b| a < b) {
            return Err(StrictError::new("/witnesses", "witnesses stand in ascending order, none twice"));
        }
        if usize::try_from(self.quorum).map_or(true, |quorum| quorum > self.witnesses.len()) {
            return Err(StrictError::new("/quorum", "can't be more than the number of witnesses"));
        }
        Ok(())
    }
}

impl Kind for PolicyClaim {
    fn validate(&self) -> Result<(), StrictError> {
        match self {
            Self::Descriptor(descriptor) => descriptor.validate().map_err(|error| error.under("/descriptor")),
            Self::TrustAnchors(anchors) => anchors.validate().map_err(|error| error.under("/trust_anchors")),
        }
    }

    fn own_keys(&self) -> &[PublicKey] {
        match self {
            Self::Descriptor(descriptor) => &descriptor.operator_keys.keys,
            Self::TrustAnchors(_) => &[],
        }
    }

    fn reads(&self, _: &Statement, reads: &mut Reads) {
        if let Self::Descriptor(descriptor) = self {
            descriptor.operator_keys.reads(reads);
        }
    }

    fn admit(&self, statement: &Statement, view: &View) -> Result<(), Rejection> {
        match self {
            Self::Descriptor(_) if view.size() != 0 => Err(Rejection::in_payload(
                Code::WrongRegistry,
                StrictError::new("/predicate/claim/descriptor", "this registry is already founded"),
            )),
            Self::Descriptor(descriptor) => {
                let pointer = "/predicate/claim/descriptor/operator_keys";
                descriptor.operator_keys.admit(statement, view, pointer)
            }
            Self::TrustAnchors(_) if view.operator() == Some(statement.issuer()) => Ok(()),
            Self::TrustAnchors(_) => Err(Rejection::in_payload(
                Code::NotAuthorised,
                StrictError::new("/predicate/issuer", "only the operator of this registry states its policy"),
            )),
        }
    }

    fn apply(&self, entry: &Entry<'_>) -> Vec<Change> {
        match self {
            Self::Descriptor(descriptor) => {
                let operator = PartyRecord {
                    id: entry.statement.id,
                    index: entry.index,
                    name: descriptor.operator_name.clone(),
                    identifiers: Vec::new(),
                    jurisdiction: None,
                    threshold: descriptor.operator_keys.threshold,
                    key_head: entry.statement.id,
                    key_seq: 0,
                    root_keys: 0,
                    verified_from: None,
                };
                descriptor.operator_keys.apply(entry, operator)
            }
            Self::TrustAnchors(anchors) => vec![Change::Policy(PolicyRecord {
                index: entry.index,
                statement: entry.statement.id,
                anchors: anchors.clone(),
            })],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_schemeless() {
        for good in ["chopmark.local/0a1b2c3d", "registry.example.hk/log", "localhost:8080"] {
            assert_eq!(validate_origin(good), Ok(()), "{good}");
        }
        for bad in ["", "https://registry.example.hk", "registry.example.hk/", "/log", "a b", "a+b", "登記.hk", "a\nb"]
        {
            assert!(validate_origin(bad).is_err(), "{bad:?}");
        }
    }
}
