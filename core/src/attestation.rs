//! Kind `attestation`: somebody checked something and says so.
//!
//! The operator says that it verified who a party is, which protects the party's name; anybody says that they hashed an
//! artefact's bytes somewhere and found them to match. An attestation is its issuer's word, provably given and when.

use serde::{Deserialize, Serialize};

use crate::admission::{AttestationRecord, Change, Code, Entry, Reads, Rejection, View};
use crate::code::ResidencyZone;
use crate::digest::Sha256Digest;
use crate::kind::Kind;
use crate::party::Scheme;
use crate::statement::{Statement, StatementId};
use crate::strict::StrictError;
use crate::text::validate_name;

/// What an `attestation` statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AttestationClaim {
    /// The operator verified who this party is.
    PartyVerified {
        /// The party.
        party: StatementId,
        /// Which of its identifiers were looked up in their registers, ascending.
        identifiers: Vec<Scheme>,
    },
    /// The operator takes its verification back.
    PartyUnverified {
        /// The party.
        party: StatementId,
    },
    /// The issuer hashed bytes of this artefact and they match its manifest.
    BytesMatch {
        /// The artefact.
        artefact: StatementId,
        /// SHA-256 of the manifest they match: the artefact's own.
        manifest: Sha256Digest,
        /// Where the bytes lie.
        zone: ResidencyZone,
        /// What hashed them, name and version.
        tool: String,
    },
}

impl AttestationClaim {
    /// Predicate type of this kind.
    pub const PREDICATE_TYPE: &'static str = "urn:chopmark:predicate:attestation:v1";

    /// The party or artefact it is about.
    pub fn about(&self) -> StatementId {
        match self {
            Self::PartyVerified { party, .. } | Self::PartyUnverified { party } => *party,
            Self::BytesMatch { artefact, .. } => *artefact,
        }
    }

    fn admit_about_party(&self, id: StatementId, statement: &Statement, view: &View) -> Result<(), Rejection> {
        let refuse = |code, place: &str, reason: String| {
            Rejection::in_payload(code, StrictError::new(format!("/predicate{place}"), reason))
        };
        if view.operator() != Some(statement.issuer()) {
            let reason = "only the operator says who a party is".to_owned();
            return Err(refuse(Code::NotAuthorised, "/issuer", reason));
        }
        let Some(party) = view.party(&id) else {
            return Err(refuse(Code::UnknownParty, "/claim", format!("no party {id} is registered here")));
        };
        let Self::PartyVerified { identifiers, .. } = self else {
            return match party.verified_from {
                Some(_) => Ok(()),
                None => Err(refuse(Code::UnknownParty, "/claim", format!("party {id} is not verified"))),
            };
        };
        for (position, scheme) in identifiers.iter().enumerate() {
            if !party.identifiers.iter().any(|stated| stated.scheme == *scheme) {
                let place = format!("/claim/party_verified/identifiers/{position}");
                return Err(refuse(Code::NotAuthorised, &place, "the party states no such identifier".to_owned()));
            }
        }
        match view.look_alike(&party.name, Some(id)) {
            Some(other) => {
                let reason = format!("the verified party {other} has a name that can't be told from this one's");
                Err(refuse(Code::NameConfusable, "/claim/party_verified/party", reason).with_existing(other))
            }
            None => Ok(()),
        }
    }
}

impl Kind for AttestationClaim {
    fn validate(&self) -> Result<(), StrictError> {
        match self {
            Self::PartyVerified { identifiers, .. } if !identifiers.is_sorted_by(|a, b| a < b) => {
                Err(StrictError::new("/party_verified/identifiers", "schemes stand in ascending order, none twice"))
            }
            Self::BytesMatch { tool, .. } => {
                validate_name(tool).map_err(|reason| StrictError::new("/bytes_match/tool", reason))
            }
            Self::PartyVerified { .. } | Self::PartyUnverified { .. } => Ok(()),
        }
    }

    fn reads(&self, _: &Statement, reads: &mut Reads) {
        match self {
            Self::PartyVerified { party, .. } => {
                reads.parties.push(*party);
                reads.verified_names_like.push(*party);
            }
            Self::PartyUnverified { party } => reads.parties.push(*party),
            Self::BytesMatch { artefact, .. } => reads.artefacts.push(*artefact),
        }
    }

    fn admit(&self, statement: &Statement, view: &View) -> Result<(), Rejection> {
        let Self::BytesMatch { artefact, manifest, .. } = self else {
            return self.admit_about_party(self.about(), statement, view);
        };
        let refuse = |code, member: &str, reason: String| {
            Rejection::in_payload(code, StrictError::new(format!("/predicate/claim/bytes_match/{member}"), reason))
        };
        match view.artefact(artefact) {
            Some(record) if record.manifest == *manifest => Ok(()),
            Some(record) => Err(refuse(
                Code::DocumentInvalid,
                "manifest",
                format!("the artefact's manifest is {}; what does not match is not attested", record.manifest),
            )),
            None => {
                Err(refuse(Code::UnknownArtefact, "artefact", format!("no artefact {artefact} is registered here")))
            }
        }
    }

    fn apply(&self, entry: &Entry<'_>) -> Vec<Change> {
        let record = Change::Attestation(AttestationRecord {
            id: entry.statement.id,
            index: entry.index,
            issuer: entry.statement.issuer(),
            claim: self.clone(),
        });
        let verified_from = match self {
            Self::PartyVerified { .. } => Some(entry.index),
            Self::PartyUnverified { .. } => None,
            Self::BytesMatch { .. } => return vec![record],
        };
        vec![Change::PartyVerified { party: self.about(), verified_from }, record]
    }
}
