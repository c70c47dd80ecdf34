//! Kind `grant`: a licence comes into being. The licensee accepts an offer that the licensor signed, or both sign.
//!
//! A grant says everything that was agreed, and where it accepts an offer, exactly what the offer says. It begins between
//! the day of the offer and the day the offer ends, so neither side can move it where it likes.

use serde::{Deserialize, Serialize};

use super::title::Deal;
use super::{ARTEFACTS_MAX, UNDER_MAX, validate_ids};
use crate::admission::{Change, Code, Entry, LicenceRecord, OfferRecord, Reads, Rejection, View};
use crate::kind::{Kind, NewReader, OpeningsOf};
use crate::statement::{Issuer, Statement, StatementId};
use crate::strict::{StrictError, present};
use crate::terms::period::Date;
use crate::terms::vocabulary::RenewalMode;
use crate::terms::{Terms, TermsId};

/// What a `grant` statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantClaim {
    /// The offer that is accepted; without one, licensor and licensee both sign.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub offer: Option<StatementId>,
    /// Who grants.
    pub licensor: StatementId,
    /// Who may use what is licensed.
    pub licensee: StatementId,
    /// What is licensed. Ascending, none twice.
    pub artefacts: Vec<StatementId>,
    /// On which terms.
    pub terms: TermsId,
    /// First day, in Hong Kong.
    pub starts_on: Date,
    /// Licences of the licensor on which this one rests: it ends with them as their terms say. Ascending, none twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub under: Vec<StatementId>,
}

impl GrantClaim {
    /// Predicate type of this kind.
    pub const PREDICATE_TYPE: &'static str = "urn:chopmark:predicate:grant:v1";

    /// The last day under these terms; `None` when they are perpetual, and when they renew themselves.
    pub fn ends_on(&self, terms: &Terms) -> Option<Date> {
        ends_on(terms, self.starts_on)
    }

    fn deal(&self) -> Deal<'_> {
        let Self { licensor, artefacts, terms, under, starts_on, .. } = self;
        Deal { licensor: *licensor, artefacts, terms: *terms, under, on: *starts_on }
    }

    /// Whether this is what was offered, to this party, in time.
    fn admit_acceptance(&self, statement: &Statement, offer: &OfferRecord) -> Result<(), Rejection> {
        let offered = &offer.claim;
        let differs = |member: &str| {
            let reason = format!("not what the offer {} says", offer.id.shown("off"));
            refuse(Code::OfferDiffers, &format!("/claim/{member}"), reason)
        };
        if statement.issuer() != self.licensee {
            return Err(refuse(Code::NotAuthorised, "/issuer", "an offer is accepted by the licensee".to_owned()));
        }
        if offered.licensee.is_some_and(|named| named != self.licensee) {
            return Err(refuse(
                Code::NotAuthorised,
                "/claim/licensee",
                "the offer was made to another party".to_owned(),
            ));
        }
        if self.licensor != offer.licensor {
            return Err(differs("licensor"));
        }
        if self.artefacts != offered.artefacts {
            return Err(differs("artefacts"));
        }
        if self.terms != offered.terms {
            return Err(differs("terms"));
        }
        if self.under != offered.under {
            return Err(differs("under"));
        }
        if statement.header.issued_at < offer.issued_at {
            let reason = format!("the offer was made at {}; what is accepted was offered before", offer.issued_at);
            return Err(refuse(Code::OfferDiffers, "/issued_at", reason));
        }
        if statement.header.not_after > offered.expires_at {
            let reason = format!("the offer ends at {}; nothing accepts it later", offered.expires_at);
            return Err(refuse(Code::OfferExpired, "/not_after", reason));
        }
        Ok(())
    }

    /// Whether the other side signs as well.
    fn admit_agreement(&self, statement: &Statement, view: &View) -> Result<(), Rejection> {
        let sides = [self.licensor, self.licensee];
        if !sides.contains(&statement.issuer()) {
            let reason = "a grant is issued by its licensor or its licensee".to_owned();
            return Err(refuse(Code::NotAuthorised, "/issuer", reason));
        }
        for side in sides {
            let signs = statement.header.signers.iter().any(|group| group.party == Issuer::Party(side));
            if !signs {
                let reason = format!("without an offer both sides sign; party {side} does not");
                return Err(refuse(Code::ThresholdNotMet, "/signers", reason));
            }
            if view.party(&side).is_none() {
                return Err(refuse(Code::UnknownParty, "/signers", format!("no party {side} is registered here")));
            }
        }
        Ok(())
    }

    /// Whether it begins when it has to, and ends on a day that can be written, unless it has no end.
    fn admit_term(&self, statement: &Statement, terms: &Terms) -> Result<(), Rejection> {
        if terms.term.duration.is_some_and(|duration| self.starts_on.last_day_of(duration).is_none()) {
            let reason = "it would end after the year 9999; begin earlier, or take terms that are perpetual".to_owned();
            return Err(refuse(Code::InvalidStatement, "/claim/starts_on", reason));
        }
        let day = Date::in_hong_kong(statement.header.issued_at);
        let expected = match (terms.term.start, self.offer) {
            (Some(start), _) => start,
            (None, Some(_)) => day,
            // Both sign it, so they may agree on any day.
            (None, None) => return Ok(()),
        };
        if self.starts_on == expected {
            return Ok(());
        }
        let reason = format!("under these terms it starts on {expected}");
        Err(refuse(Code::OfferDiffers, "/claim/starts_on", reason))
    }
}

fn refuse(code: Code, pointer: &str, reason: String) -> Rejection {
    Rejection::in_payload(code, StrictError::new(format!("/predicate{pointer}"), reason))
}

/// The last day of a licence under these terms that starts on a day.
pub(super) fn ends_on(terms: &Terms, starts_on: Date) -> Option<Date> {
    let renews = terms.term.renewal.as_ref().is_some_and(|renewal| renewal.mode == RenewalMode::Automatic);
    if renews { None } else { terms.term.duration.and_then(|duration| starts_on.last_day_of(duration)) }
}

impl Kind for GrantClaim {
    fn validate(&self) -> Result<(), StrictError> {
        if self.artefacts.is_empty() {
            return Err(StrictError::new("/artefacts", "a grant is about at least one artefact"));
        }
        if self.licensor == self.licensee {
            return Err(StrictError::new("/licensee", "nobody licenses itself"));
        }
        validate_ids(&self.artefacts, ARTEFACTS_MAX, "artefacts")?;
        validate_ids(&self.under, UNDER_MAX, "under")
    }

    fn new_readers(&self, _: &Statement) -> Vec<NewReader> {
        let of = OpeningsOf::Terms { id: self.terms, publisher: self.licensor };
        vec![NewReader { party: self.licensee, of }]
    }

    fn reads(&self, _: &Statement, reads: &mut Reads) {
        self.deal().reads(reads);
        reads.parties.extend([self.licensor, self.licensee]);
        reads.licensing.acceptances.extend(self.offer.map(|offer| (offer, self.licensee)));
        reads
            .licensing
            .licences_of
            .extend(self.artefacts.iter().map(|artefact| (*artefact, self.licensor, self.terms)));
    }

    fn admit(&self, statement: &Statement, view: &View) -> Result<(), Rejection> {
        let licensing = view.licensing();
        match self.offer {
            Some(id) => {
                let Some(offer) = licensing.offer(&id) else {
                    return Err(refuse(Code::UnknownOffer, "/claim/offer", format!("no offer {id} is made here")));
                };
                self.admit_acceptance(statement, offer)?;
                if let Some(earlier) = licensing.acceptance(&id, &self.licensee) {
                    let reason = "this party has accepted the offer already".to_owned();
                    return Err(refuse(Code::AlreadyRegistered, "/claim/offer", reason).with_existing(earlier));
                }
            }
            None => self.admit_agreement(statement, view)?,
        }
        let terms = self.deal().admit(view)?;
        self.admit_term(statement, terms)?;
        if let Some((position, existing)) = licensing.collision(self, terms) {
            let reason = format!(
                "licence {} and these terms can't both stand: one of them is exclusive, and they share a right, a place, \
                 an activity and a day",
                existing.shown("lic")
            );
            let place = format!("/claim/artefacts/{position}");
            return Err(refuse(Code::ExclusiveOverlap, &place, reason).with_existing(existing));
        }
        Ok(())
    }

    fn apply(&self, entry: &Entry<'_>) -> Vec<Change> {
        vec![Change::Licence(crate::admission::LicenceChange {
            id: entry.statement.id,
            index: entry.index,
            claim: self.clone(),
        })]
    }
}

impl LicenceRecord {
    /// A grant that nothing has happened to yet.
    pub fn new(change: &crate::admission::LicenceChange, terms: std::sync::Arc<Terms>) -> Self {
        let ends_on = change.claim.ends_on(&terms);
        Self {
            id: change.id,
            index: change.index,
            claim: change.claim.clone(),
            terms,
            ends_on,
            events: Vec::new(),
            event_seq: 0,
            event_head: change.id,
        }
    }
}
