//! Kind `relation`: the issuer says that somebody is, or was, its associate (section 16EC(8) of the Inland Revenue Ordinance).
//!
//! Either side may say it, and one is enough. Said anew with the same other side, sort and first day, the latest counts: so
//! an end is added, or a mistake taken back (`until` before `from` is refused; a relation that never was ends on the day it
//! began).

use serde::{Deserialize, Serialize};

use super::side::Side;
use super::{changes, refuse};
use crate::admission::{Change, Code, Entry, Reads, Rejection, View};
use crate::kind::Kind;
use crate::statement::Statement;
use crate::strict::{StrictError, present};
use crate::tax::year::Date;

/// How they are related.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationKind {
    /// The issuer controls the other.
    Controls,
    /// The other controls the issuer.
    ControlledBy,
    /// The same person controls both.
    CommonControl,
    /// They are partners, or one is a partnership in which the other is a partner.
    Partner,
    /// They are trustee and trust, or a corporation controlled by it.
    Trust,
}

impl RelationKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Controls, Self::ControlledBy, Self::CommonControl, Self::Partner, Self::Trust];
}

/// What a `relation` statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelationClaim {
    /// The other side.
    pub other: Side,
    /// How they are related.
    pub relation: RelationKind,
    /// From which day on.
    pub from: Date,
    /// Until which day, that day not included; still, where nothing is said.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
}

impl RelationClaim {
    /// Predicate type of this kind.
    pub const PREDICATE_TYPE: &'static str = "urn:chopmark:predicate:relation:v1";

    /// Whether they are related on a day.
    pub fn holds_on(&self, day: Date) -> bool {
        self.from <= day && self.until.is_none_or(|until| day < until)
    }
}

impl Kind for RelationClaim {
    fn validate(&self) -> Result<(), StrictError> {
        self.other.validate("/other")?;
        if self.until.is_some_and(|until| until < self.from) {
            return Err(StrictError::new("/until", "before it began"));
        }
        Ok(())
    }

    fn reads(&self, _: &Statement, reads: &mut Reads) {
        reads.parties.extend(self.other.party());
    }

    fn admit(&self, statement: &Statement, view: &View) -> Result<(), Rejection> {
        if self.other.is(statement.issuer()) {
            return Err(refuse(Code::NotAuthorised, "/claim/other", "nobody is its own associate"));
        }
        match self.other.party().filter(|party| view.party(party).is_none()) {
            Some(party) => {
                let reason = format!("no party {party} is registered here");
                Err(refuse(Code::UnknownParty, "/claim/other", reason))
            }
            None => Ok(()),
        }
    }

    fn apply(&self, entry: &Entry<'_>) -> Vec<Change> {
        changes(entry)
    }
}
