//! Whether a licence is in force on a day: its own term and events, and those of every licence it rests on.

use core::fmt;
use std::collections::BTreeMap;

use serde::Serialize;

use super::status::LicenceEvent;
use crate::admission::LicenceRecord;
use crate::statement::StatementId;
use crate::terms::period::Date;
use crate::terms::vocabulary::EndEffect;

/// How a licence stands on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// It may be used.
    InForce {
        /// Its last day as far as is known; none for one without end, or one that renews itself.
        until: Option<Date>,
    },
    /// It begins later.
    NotYet {
        /// Its first day.
        from: Date,
    },
    /// Its term is over.
    Expired {
        /// Its last day.
        on: Date,
        /// The licence whose end that was: this one, or one it rested on.
        licence: StatementId,
    },
    /// It may not be used for now.
    Suspended {
        /// Since when.
        since: Date,
        /// The licence that is suspended: this one, or one it rests on.
        licence: StatementId,
    },
    /// It was terminated.
    Terminated {
        /// The day on which that was said.
        on: Date,
        /// The licence that was: this one, or one it rested on.
        licence: StatementId,
    },
    /// A licence it rests on is not known here.
    Unknown {
        /// Which.
        licence: StatementId,
    },
}

impl Standing {
    /// Whether it may be used.
    pub fn is_in_force(&self) -> bool {
        matches!(self, Self::InForce { .. })
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InForce { until: Some(until) } => write!(f, "in force until {until}"),
            Self::InForce { until: None } => f.write_str("in force without end"),
            Self::NotYet { from } => write!(f, "not in force before {from}"),
            Self::Expired { on, .. } => write!(f, "expired on {on}"),
            Self::Suspended { since, .. } => write!(f, "suspended since {since}"),
            Self::Terminated { on, .. } => write!(f, "terminated on {on}"),
            Self::Unknown { licence } => write!(f, "resting on licence {licence}, which is not known here"),
        }
    }
}

/// How a licence stands on a day; `find` gives licences by id.
///
/// What becomes of a licence when one it rests on ends is said by the terms of that one: for the same artefact by
/// `/termination/sublicences`, for another by `/termination/derivatives`.
pub fn standing<'r>(find: impl Fn(&StatementId) -> Option<&'r LicenceRecord>, id: &StatementId, on: Date) -> Standing {
    let mut ends = BTreeMap::new();
    let mut stands = BTreeMap::new();
    for licence in earliest_first(&find, id) {
        let end = end(&find, &ends, licence);
        ends.insert(licence.id, end);
        stands.insert(licence.id, stand(licence, end, &stands, on));
    }
    stands.get(id).copied().unwrap_or(Standing::Unknown { licence: *id })
}

/// The last day on which a licence may be in force, by all that is known of it and of those it rests on; none when it has
/// no end.
pub fn last_day<'r>(find: impl Fn(&StatementId) -> Option<&'r LicenceRecord>, id: &StatementId) -> Option<Date> {
    let mut ends = BTreeMap::new();
    for licence in earliest_first(&find, id) {
        let end = end(&find, &ends, licence);
        ends.insert(licence.id, end);
    }
    ends.remove(id).flatten().map(|end| end.last)
}

/// The end of a licence.
#[derive(Clone, Copy)]
struct End {
    /// The last day on which it may be in force.
    last: Date,
    /// How it stands after that.
    then: Standing,
}

/// A licence and all that it rests on, in the order of the log: each rests on earlier ones only.
fn earliest_first<'r>(
    find: &impl Fn(&StatementId) -> Option<&'r LicenceRecord>,
    id: &StatementId,
) -> impl Iterator<Item = &'r LicenceRecord> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![*id];
    while let Some(id) = waiting.pop() {
        let Some(licence) = find(&id) else { continue };
        if found.insert((licence.index, licence.id), licence).is_none() {
            waiting.extend(&licence.claim.under);
        }
    }
    found.into_values()
}

/// When a licence ends: by its own term, by what happened to it, and with each of those it rests on.
fn end<'r>(
    find: &impl Fn(&StatementId) -> Option<&'r LicenceRecord>,
    ends: &BTreeMap<StatementId, Option<End>>,
    licence: &LicenceRecord,
) -> Option<End> {
    let terminated = licence.latest().filter(|event| event.status == LicenceEvent::Terminated).map(|event| {
        let then = Standing::Terminated { on: event.since, licence: licence.id };
        End { last: event.since.day_before(), then }
    });
    let expired = licence.ends_on.map(|on| End { last: on, then: Standing::Expired { on, licence: licence.id } });
    let with_heads = licence.claim.under.iter().filter_map(|id| {
        let end = ends.get(id).copied().flatten()?;
        let head = find(id)?;
        let last = match effect(licence, head) {
            (EndEffect::Survive, _) => return None,
            (EndEffect::WindDown, Some(period)) => end.last.day_after()?.last_day_of(period)?,
            (EndEffect::WindDown, None) | (EndEffect::Terminate, _) => end.last,
        };
        Some(End { last, ..end })
    });
    terminated.into_iter().chain(expired).chain(with_heads).min_by_key(|end| end.last)
}

/// How a licence stands on a day, when it is known how those it rests on do.
fn stand(licence: &LicenceRecord, end: Option<End>, stands: &BTreeMap<StatementId, Standing>, on: Date) -> Standing {
    if let Some(end) = end.filter(|end| end.last < on) {
        return end.then;
    }
    if licence.claim.starts_on > on {
        return Standing::NotYet { from: licence.claim.starts_on };
    }
    // What was said later than that day changes nothing about it.
    if let Some(event) = licence.event_on(on).filter(|event| event.status == LicenceEvent::Suspended) {
        return Standing::Suspended { since: event.since, licence: licence.id };
    }
    for head in &licence.claim.under {
        match stands.get(head) {
            // Its end is taken into account above.
            Some(Standing::InForce { .. } | Standing::Expired { .. } | Standing::Terminated { .. }) => {}
            Some(other) => return *other,
            None => return Standing::Unknown { licence: *head },
        }
    }
    Standing::InForce { until: end.map(|end| end.last) }
}

/// What the end of `head` does to `licence`, by the terms of `head`.
fn effect(licence: &LicenceRecord, head: &LicenceRecord) -> (EndEffect, Option<crate::terms::period::Duration>) {
    let is_sublicence = licence.claim.artefacts.iter().any(|artefact| head.claim.artefacts.contains(artefact));
    let termination = &head.terms.termination;
    let ending = if is_sublicence { &termination.sublicences } else { &termination.derivatives };
    (ending.effect, ending.period)
}
