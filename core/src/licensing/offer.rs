//! Kind `offer`: a licensor offers terms for artefacts, to one party or to anybody, until a moment.

use serde::{Deserialize, Serialize};

use super::title::Deal;
use super::{ARTEFACTS_MAX, UNDER_MAX, validate_ids};
use crate::admission::{Change, Code, Entry, OfferRecord, Reads, Rejection, View};
use crate::kind::{Kind, NewReader, OpeningsOf};
use crate::statement::{Statement, StatementId};
use crate::strict::{StrictError, present};
use crate::terms::TermsId;
use crate::terms::period::Date;
use crate::time::Timestamp;

/// What an `offer` statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfferClaim {
    /// What is offered: artefacts of the issuer, or ones that it may license further. Ascending, none twice.
    pub artefacts: Vec<StatementId>,
    /// On which terms; the issuer has published them.
    pub terms: TermsId,
    /// To whom; to anybody when absent.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub licensee: Option<StatementId>,
    /// Until when it may be accepted.
    pub expires_at: Timestamp,
    /// Licences the issuer holds and on which those granted rest: they end with these. Ascending, none twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub under: Vec<StatementId>,
}

impl OfferClaim {
    /// Predicate type of this kind.
    pub const PREDICATE_TYPE: &'static str = "urn:chopmark:predicate:offer:v1";

    fn deal(&self, statement: &Statement) -> Deal<'_> {
        Deal {
            licensor: statement.issuer(),
            artefacts: &self.artefacts,
            terms: self.terms,
            under: &self.under,
            on: Date::in_hong_kong(statement.header.issued_at),
        }
    }
}

impl Kind for OfferClaim {
    fn validate(&self) -> Result<(), StrictError> {
        if self.artefacts.is_empty() {
            return Err(StrictError::new("/artefacts", "an offer is about at least one artefact"));
        }
        validate_ids(&self.artefacts, ARTEFACTS_MAX, "artefacts")?;
        validate_ids(&self.under, UNDER_MAX, "under")
    }

    fn new_readers(&self, statement: &Statement) -> Vec<NewReader> {
        let of = OpeningsOf::Terms { id: self.terms, publisher: statement.issuer() };
        self.licensee.map(|party| NewReader { party, of }).into_iter().collect()
    }

    fn reads(&self, statement: &Statement, reads: &mut Reads) {
        self.deal(statement).reads(reads);
        reads.parties.extend(self.licensee);
    }

    fn admit(&self, statement: &Statement, view: &View) -> Result<(), Rejection> {
        let refuse = |code, member: &str, reason: String| {
            Rejection::in_payload(code, StrictError::new(format!("/predicate/claim/{member}"), reason))
        };
        if self.expires_at <= statement.header.issued_at {
            return Err(refuse(Code::OfferExpired, "expires_at", "an offer ends after it is made".to_owned()));
        }
        if let Some(licensee) = self.licensee {
            if licensee == statement.issuer() {
                return Err(refuse(Code::NotAuthorised, "licensee", "nobody licenses itself".to_owned()));
            }
            if view.party(&licensee).is_none() {
                return Err(refuse(Code::UnknownParty, "licensee", format!("no party {licensee} is registered here")));
            }
        }
        self.deal(statement).admit(view).map(|_| ())
    }

    fn apply(&self, entry: &Entry<'_>) -> Vec<Change> {
        vec![Change::Offer(OfferRecord {
            id: entry.statement.id,
            index: entry.index,
            issued_at: entry.statement.header.issued_at,
            licensor: entry.statement.issuer(),
            claim: self.clone(),
        })]
    }
}
