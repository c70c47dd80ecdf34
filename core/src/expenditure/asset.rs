//! Kind `asset`: an intellectual property right, by registration, in the hands of the party that says so.
//!
//! The same mark in two places is two assets, and the same mark in two hands too. It is evidence that its owner said so,
//! never of title. What becomes of it later – a lapse, a title that left – is said by a correction that has a new version in
//! place of the old one; its id stays.

use serde::{Deserialize, Serialize};

use super::side::Side;
use super::{changes, refuse};
use crate::admission::{Change, Code, Entry, Reads, Rejection, View};
use crate::artefact::IpType;
use crate::code::Jurisdiction;
use crate::kind::Kind;
use crate::statement::{Statement, StatementId};
use crate::strict::{StrictError, present};
use crate::tax::facts::LapseCause;
use crate::tax::year::{Date, YearEnd};
use crate::text::{Names, validate_name};

/// Most artefacts one right covers.
pub const COVERED_MAX: usize = 64;

/// What an `asset` statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssetClaim {
    /// The right's title, as registered.
    pub title: Names,
    /// What it is.
    pub ip_type: IpType,
    /// Where it is registered, or subsists.
    pub jurisdiction: Jurisdiction,
    /// Whether it was registered or granted when it was acquired, where it has to be.
    pub registered: bool,
    /// Its number in the register.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub registration_number: Option<String>,
    /// When it was registered.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub registered_on: Option<Date>,
    /// The last day of the longest protection possible.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub protection_ends: Option<Date>,
    /// Whether a copyright is in software; it is where nothing is said.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub software: Option<bool>,
    /// Artefacts it covers. Ascending, none twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artefacts: Vec<StatementId>,
    /// How the registration ended, once it has.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub lapse: Option<Lapse>,
    /// How the title left its owner, once it has; a sale is a payment beside.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub title_left: Option<TitleLeft>,
    /// From whom its owner has it by amalgamation, if so.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub succession: Option<Succession>,
}

/// The end of a registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lapse {
    /// The day.
    pub on: Date,
    /// Why.
    pub cause: LapseCause,
}

/// A title that went to somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TitleLeft {
    /// The day.
    pub on: Date,
    /// To whom.
    pub to: Side,
}

/// A right that came by amalgamation (Schedule 17J).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Succession {
    /// The day.
    pub on: Date,
    /// Who had it before.
    pub predecessor: Side,
    /// When that one closed its accounts; as its successor where nothing is said.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub year_end: Option<YearEnd>,
}

impl AssetClaim {
    /// Predicate type of this kind.
    pub const PREDICATE_TYPE: &'static str = "urn:chopmark:predicate:asset:v1";

    pub(super) fn validate_alone(&self) -> Result<(), StrictError> {
        self.title.validate(validate_name).map_err(|error| error.under("/title"))?;
        if let Some(number) = &self.registration_number {
            validate_name(number).map_err(|reason| StrictError::new("/registration_number", reason))?;
        }
        if self.software.is_some() && self.ip_type != IpType::Copyright {
            return Err(StrictError::new("/software", "only a copyright is in software or not"));
        }
        if self.registered_on.zip(self.protection_ends).is_some_and(|(from, to)| to < from) {
            return Err(StrictError::new("/protection_ends", "before it was registered"));
        }
        if self.artefacts.len() > COVERED_MAX || !self.artefacts.is_sorted_by(|a, b| a < b) {
            let reason = format!("at most {COVERED_MAX} ids in ascending order, none twice");
            return Err(StrictError::new("/artefacts", reason));
        }
        if let Some(left) = &self.title_left {
            left.to.validate("/title_left/to")?;
        }
        self.succession.iter().try_for_each(|succession| succession.predecessor.validate("/succession/predecessor"))
    }

    pub(super) fn needs(&self, reads: &mut Reads) {
        reads.artefacts.extend(&self.artefacts);
        let sides = self.title_left.iter().map(|left| &left.to);
        let sides = sides.chain(self.succession.iter().map(|succession| &succession.predecessor));
        reads.parties.extend(sides.filter_map(Side::party));
    }

    pub(super) fn admit_at(&self, at: &str, view: &View) -> Result<(), Rejection> {
        for (position, id) in self.artefacts.iter().enumerate() {
            if view.artefact(id).is_none() {
                let reason = format!("no artefact {id} is registered here");
                return Err(refuse(Code::UnknownArtefact, &format!("{at}/artefacts/{position}"), reason));
            }
        }
        let left = self.title_left.as_ref().map(|left| ("title_left/to", &left.to));
        let had = self.succession.as_ref().map(|succession| ("succession/predecessor", &succession.predecessor));
        for (member, side) in [left, had].into_iter().flatten() {
            if let Some(party) = side.party().filter(|party| view.party(party).is_none()) {
                let reason = format!("no party {party} is registered here");
                return Err(refuse(Code::UnknownParty, &format!("{at}/{member}"), reason));
            }
        }
        Ok(())
    }
}

impl Kind for AssetClaim {
    fn validate(&self) -> Result<(), StrictError> {
        self.validate_alone()
    }

    fn reads(&self, _: &Statement, reads: &mut Reads) {
        self.needs(reads);
    }

    fn admit(&self, _: &Statement, view: &View) -> Result<(), Rejection> {
        self.admit_at("/claim", view)
    }

    fn apply(&self, entry: &Entry<'_>) -> Vec<Change> {
        changes(entry)
    }
}
