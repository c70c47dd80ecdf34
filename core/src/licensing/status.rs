//! Kind `licence_status`: a licence is suspended, taken up again, or terminated, for a reason that its terms know.
//!
//! Events of one licence form a chain (`seq`, `prev`), so that none is made in ignorance of the one before. Who is right
//! is not decided here: the registry records who said it, when, and that the terms have such a ground.
//!
//! An event counts from the day on which its issuer says that it was made, so that day is neither to come
//! ([`View::check_place_and_time`]), nor long ago, nor before that of the event before it.

use serde::{Deserialize, Serialize};

use crate::admission::{Change, Code, DatedEvent, Entry, LicenceEventRecord, LicenceRecord, Reads, Rejection, View};
use crate::kind::Kind;
use crate::statement::{Issuer, Statement, StatementId};
use crate::strict::{StrictError, present};
use crate::terms::period::Date;
use crate::terms::vocabulary::{Ground, Vocabulary as _, vocabulary};

vocabulary! {
    /// What happens to a licence.
    LicenceEvent("status") {
        /// It may not be used for now.
        Suspended = "suspended",
        /// It may be used again.
        Reinstated = "reinstated",
        /// It is over.
        Terminated = "terminated",
    }
}

/// Why: a ground of the terms.
pub type StatusReason = Ground;

/// What a `licence_status` statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LicenceStatusClaim {
    /// The licence: the statement that granted it.
    pub licence: StatementId,
    /// Position in the licence's chain of events, from 1.
    pub seq: u64,
    /// The event before this one, or the grant.
    pub prev: StatementId,
    /// What happens.
    pub status: LicenceEvent,
    /// Why; a licence is taken up again without saying why.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub reason: Option<StatusReason>,
}

/// Grounds on which a licensee may end a licence, where the terms have them.
const LICENSEES: [Ground; 4] = [Ground::Breach, Ground::Insolvency, Ground::Illegality, Ground::LicenseeConvenience];

/// How many days after it is made an event may still be admitted.
const ADMISSION_DAYS_MAX: u16 = 7;

impl LicenceStatusClaim {
    /// Predicate type of this kind.
    pub const PREDICATE_TYPE: &'static str = "urn:chopmark:predicate:licence_status:v1";

    /// Whether this side may say so; together, the sides may end a licence for any reason.
    fn admit_side(&self, statement: &Statement, licence: &LicenceRecord) -> Result<(), Rejection> {
        let claim = &licence.claim;
        let issuer = statement.issuer();
        let signs = |side| statement.header.signers.iter().any(|group| group.party == Issuer::Party(side));
        if issuer != claim.licensor && issuer != claim.licensee {
            let reason = "only its licensor and its licensee say what becomes of a licence".to_owned();
            return Err(refuse(Code::NotAuthorised, "/issuer", reason));
        }
        if signs(claim.licensor) && signs(claim.licensee) {
            return Ok(());
        }
        let is_licensor = issuer == claim.licensor;
        let Some(reason) = self.reason else {
            return if is_licensor {
                Ok(())
            } else {
                Err(refuse(Code::NotAuthorised, "/issuer", "the licensor reinstates a licence".to_owned()))
            };
        };
        let is_theirs = match self.status {
            LicenceEvent::Suspended | LicenceEvent::Reinstated => is_licensor,
            LicenceEvent::Terminated if is_licensor => reason != Ground::LicenseeConvenience,
            LicenceEvent::Terminated => LICENSEES.contains(&reason),
        };
        if !is_theirs {
            let reason = "the other side would have to say so; or both sign".to_owned();
            return Err(refuse(Code::NotAuthorised, "/claim/reason", reason));
        }
        if licence.terms.termination.grounds.contains(&reason) {
            return Ok(());
        }
        let grounds: Vec<&str> = licence.terms.termination.grounds.iter().map(|ground| ground.as_str()).collect();
        let known = if grounds.is_empty() { "none".to_owned() } else { grounds.join(", ") };
        let reason = format!("the terms have no such ground; they have: {known} (or both sides sign)");
        Err(refuse(Code::NotAuthorised, "/claim/reason", reason))
    }
}

/// Whether the day from which an event counts is none long ago, nor before that of the event before it.
fn admit_day(statement: &Statement, latest: Option<DatedEvent>) -> Result<(), Rejection> {
    let header = &statement.header;
    if header.not_after > header.issued_at.plus_days(ADMISSION_DAYS_MAX) {
        let reason = format!("an event of a licence is admitted within {ADMISSION_DAYS_MAX} days of issued_at");
        return Err(refuse(Code::InvalidStatement, "/not_after", reason));
    }
    match latest {
        Some(DatedEvent { since, .. }) if Date::in_hong_kong(header.issued_at) < since => {
            let reason = format!("the licence's latest event is of {since}; what follows it was not made before");
            Err(refuse(Code::StaleStatusHead, "/issued_at", reason))
        }
        _ => Ok(()),
    }
}

fn refuse(code: Code, pointer: &str, reason: String) -> Rejection {
    Rejection::in_payload(code, StrictError::new(format!("/predicate{pointer}"), reason))
}

impl Kind for LicenceStatusClaim {
    fn validate(&self) -> Result<(), StrictError> {
        match (self.status, self.reason) {
            (LicenceEvent::Reinstated, Some(_)) => {
                Err(StrictError::new("/reason", "a licence is reinstated without a ground for ending it"))
            }
            (LicenceEvent::Suspended | LicenceEvent::Terminated, None) => {
                Err(StrictError::new("/reason", "missing field `reason`"))
            }
            _ => Ok(()),
        }
    }

    fn reads(&self, _: &Statement, reads: &mut Reads) {
        reads.licensing.licences.push(self.licence);
    }

    fn admit(&self, statement: &Statement, view: &View) -> Result<(), Rejection> {
        let Some(licence) = view.licensing().licence(&self.licence) else {
            let reason = format!("no licence {} is granted here", self.licence);
            return Err(refuse(Code::UnknownLicence, "/claim/licence", reason));
        };
        if (self.prev, self.seq) != (licence.event_head, licence.event_seq + 1) {
            let (head, seq) = (licence.event_head, licence.event_seq + 1);
            let reason = format!("the licence's latest event is {head}; say {seq} after that one");
            return Err(refuse(Code::StaleStatusHead, "/claim/prev", reason));
        }
        self.admit_side(statement, licence)?;
        let latest = licence.latest();
        admit_day(statement, latest)?;
        let now = latest.map(|event| event.status);
        let follows = match self.status {
            LicenceEvent::Suspended => matches!(now, None | Some(LicenceEvent::Reinstated)),
            LicenceEvent::Reinstated => now == Some(LicenceEvent::Suspended),
            LicenceEvent::Terminated => now != Some(LicenceEvent::Terminated),
        };
        if follows {
            return Ok(());
        }
        let now = now.map_or("granted", LicenceEvent::as_str);
        let reason = format!("a licence that is {now} is not {}", self.status.as_str());
        Err(refuse(Code::LicenceNotInForce, "/claim/status", reason))
    }

    fn apply(&self, entry: &Entry<'_>) -> Vec<Change> {
        vec![Change::LicenceEvent(LicenceEventRecord {
            id: entry.statement.id,
            index: entry.index,
            issuer: entry.statement.issuer(),
            licence: self.licence,
            seq: self.seq,
            status: self.status,
            reason: self.reason,
            since: Date::in_hong_kong(entry.statement.header.issued_at),
        })]
    }
}
