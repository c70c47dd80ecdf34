//! Rules as data: each with its dates, its status, where it is written, and its figures.
//!
//! A rule set is read from TOML files and refused as a whole when a rule has no citation, a figure that its topic does not
//! know, or dates that overlap or leave a gap. The digest over the canonical form (RFC 8785) of all rules names the set: a
//! report that carries it can be computed again for ever.

mod load;
mod topic;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::TaxError;
use super::year::{Date, Year, YearEnd};
use crate::digest::Sha256Digest;
use crate::money::{Amount, Decimal};

pub use load::RuleError;
pub use topic::{ParameterKind, Topic};

/// Whether a rule is law.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It is.
    Enacted,
    /// It is not; it applies only where a report names it.
    Proposed,
}

impl Status {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enacted => "enacted",
            Self::Proposed => "proposed",
        }
    }
}

/// From when to when a rule holds, both ends included; a rule without an end still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// For years of assessment.
    Years {
        /// The first one.
        from: Year,
        /// The last one.
        to: Option<Year>,
    },
    /// For what happens on a day.
    Days {
        /// The first one.
        from: Date,
        /// The last one.
        to: Option<Date>,
    },
}

impl Period {
    /// Whether something falls in it that happened on this day and is assessed in this year.
    pub fn holds(&self, at: At) -> bool {
        match self {
            Self::Years { from, to } => *from <= at.year && to.is_none_or(|to| at.year <= to),
            Self::Days { from, to } => {
                let Some(day) = at.day.or_else(|| at.year.first_day()) else { return false };
                *from <= day && to.is_none_or(|to| day <= to)
            }
        }
    }

    /// The first year or day, as written.
    pub fn from_text(&self) -> String {
        match self {
            Self::Years { from, .. } => from.to_string(),
            Self::Days { from, .. } => from.to_string(),
        }
    }

    /// The last year or day, as written.
    pub fn to_text(&self) -> Option<String> {
        match self {
            Self::Years { to, .. } => to.map(|to| to.to_string()),
            Self::Days { to, .. } => to.map(|to| to.to_string()),
        }
    }
}

/// When something happened: rules hold for years of assessment or for days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// The year of assessment.
    pub year: Year,
    /// The day, where there is one.
    pub day: Option<Date>,
}

/// A figure of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parameter {
    /// A rate or a multiple, such as 0.165 or 3.
    Rate(Decimal),
    /// An amount in Hong Kong dollars.
    Amount(Amount),
    /// A number of years or slices.
    Count(u32),
    /// Yes or no.
    Flag(bool),
    /// A day.
    Day(Date),
    /// A name.
    Text(String),
}

impl Serialize for Parameter {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Rate(rate) => serializer.collect_str(rate),
            Self::Amount(amount) => amount.serialize(serializer),
            Self::Count(count) => serializer.serialize_u32(*count),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Day(day) => day.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

/// One version of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name; a new version has another.
    pub id: String,
    /// What it decides.
    pub topic: Topic,
    /// The section of the law.
    pub section: String,
    /// For which IP types, entities or places it holds; empty where that makes no difference.
    pub applies_to: Vec<String>,
    /// When it holds.
    pub period: Period,
    /// The day on which the law came into operation, where that is later than the period says.
    pub enacted: Option<Date>,
    /// Whether it is law.
    pub status: Status,
    /// Where it is written.
    pub citation: String,
    /// Its figures.
    pub parameters: BTreeMap<String, Parameter>,
}

impl Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("topic", &self.topic)?;
        map.serialize_entry("section", &self.section)?;
        map.serialize_entry("applies_to", &self.applies_to)?;
        map.serialize_entry("from", &self.period.from_text())?;
        map.serialize_entry("to", &self.period.to_text())?;
        map.serialize_entry("enacted", &self.enacted)?;
        map.serialize_entry("status", &self.status)?;
        map.serialize_entry("citation", &self.citation)?;
        map.serialize_entry("parameters", &self.parameters)?;
        map.end()
    }
}

impl Rule {
    fn missing(&self, name: &str) -> TaxError {
        TaxError::Rule { id: self.id.clone(), parameter: name.to_owned() }
    }

    /// A rate of this rule.
    ///
    /// # Errors
    /// [`TaxError::Rule`], which the loader makes impossible for what its topic requires.
    pub fn rate(&self, name: &str) -> Result<Decimal, TaxError> {
        match self.parameters.get(name) {
            Some(Parameter::Rate(rate)) => Ok(*rate),
            _ => Err(self.missing(name)),
        }
    }

    /// An amount of this rule.
    ///
    /// # Errors
    /// As [`Rule::rate`].
    pub fn amount(&self, name: &str) -> Result<Amount, TaxError> {
        match self.parameters.get(name) {
            Some(Parameter::Amount(amount)) => Ok(*amount),
            _ => Err(self.missing(name)),
        }
    }

    /// A number of this rule.
    ///
    /// # Errors
    /// As [`Rule::rate`].
    pub fn count(&self, name: &str) -> Result<u32, TaxError> {
        match self.parameters.get(name) {
            Some(Parameter::Count(count)) => Ok(*count),
            _ => Err(self.missing(name)),
        }
    }

    /// A yes or no of this rule.
    ///
    /// # Errors
    /// As [`Rule::rate`].
    pub fn flag(&self, name: &str) -> Result<bool, TaxError> {
        match self.parameters.get(name) {
            Some(Parameter::Flag(flag)) => Ok(*flag),
            _ => Err(self.missing(name)),
        }
    }

    /// A day of this rule.
    ///
    /// # Errors
    /// As [`Rule::rate`].
    pub fn day(&self, name: &str) -> Result<Date, TaxError> {
        match self.parameters.get(name) {
            Some(Parameter::Day(day)) => Ok(*day),
            _ => Err(self.missing(name)),
        }
    }

    /// Whether the rule has this figure.
    pub fn has(&self, name: &str) -> bool {
        self.parameters.contains_key(name)
    }

    /// Whether it was in force on a day: its period had begun and not ended, and the law was in operation.
    pub fn in_force(&self, day: Date) -> bool {
        let at = At { year: YearEnd::MARCH.year_of(day), day: Some(day) };
        self.period.holds(at) && self.enacted.is_none_or(|enacted| enacted <= day)
    }
}

/// All rules of a jurisdiction.
#[derive(Debug, Clone)]
pub struct RuleSet {
    /// Ascending by id.
    rules: Vec<Rule>,
    /// Places in `rules` by topic and by what a rule applies to, ascending by first day.
    places: BTreeMap<Topic, BTreeMap<String, Vec<usize>>>,
    digest: Sha256Digest,
}

impl RuleSet {
    /// Every rule, ascending by id.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// SHA-256 over the canonical JSON of [`RuleSet::rules`].
    pub const fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// The rule of a topic that is law for this thing at this time.
    pub fn law(&self, topic: Topic, applies_to: &str, at: At) -> Option<&Rule> {
        let places = self.places.get(&topic)?.get(applies_to)?;
        let mut rules = places.iter().filter_map(|place| self.rules.get(*place));
        rules.find(|rule| rule.status == Status::Enacted && rule.period.holds(at))
    }

    /// The rule of a topic that is proposed for this thing, when its name is among those asked for.
    pub fn proposal(&self, topic: Topic, applies_to: &str, at: At, named: &[String]) -> Option<&Rule> {
        let places = self.places.get(&topic)?.get(applies_to)?;
        let mut rules = places.iter().filter_map(|place| self.rules.get(*place));
        rules.find(|rule| rule.status == Status::Proposed && named.contains(&rule.id) && rule.period.holds(at))
    }

    /// The rule of this name.
    pub fn named(&self, id: &str) -> Option<&Rule> {
        let place = self.rules.binary_search_by(|rule| rule.id.as_str().cmp(id)).ok()?;
        self.rules.get(place)
    }

    /// What a topic has rules for, such as the places there are treaties with.
    pub fn known(&self, topic: Topic) -> impl Iterator<Item = &str> {
        self.places.get(&topic).into_iter().flat_map(|places| places.keys().map(String::as_str))
    }
}
