//! Whether a licence is in force on a day: its own term and events, and those of every licence it rests on.

use core::fmt;
use std::collections::BTreeSet;

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
    let mut seen = BTreeSet::new();
    of(&find, id, on, &mut seen)
}

fn of<'r>(
    find: &impl Fn(&StatementId) -> Option<&'r LicenceRecord>,
    id: &StatementId,
    on: Date,
    seen: &mut BTreeSet<StatementId>,
) -> Standing {
    let Some(licence) = find(id) else { return Standing::Unknown { licence: *id } };
    // What was said later than that day changes nothing about it.
    match licence.event.filter(|event| event.since <= on) {
        Some(event) if event.status == LicenceEvent::Terminated => {
            return Standing::Terminated { on: event.since, licence: *id };
        }
        Some(event) if event.status == LicenceEvent::Suspended => {
            return Standing::Suspended { since: event.since, licence: *id };
        }
        _ => {}
    }
    if licence.claim.starts_on > on {
        return Standing::NotYet { from: licence.claim.starts_on };
    }
    if let Some(end) = licence.ends_on.filter(|end| *end < on) {
        return Standing::Expired { on: end, licence: *id };
    }
    let mut until = licence.ends_on;
    for head in &licence.claim.under {
        // A licence rests on earlier ones only, so there is no circle; several ways to one are judged once.
        if !seen.insert(*head) {
            continue;
        }
        match (of(find, head, on, seen), find(head)) {
            (Standing::InForce { until: heads }, Some(head)) => {
                let ends_with_it = effect(licence, head).0 == EndEffect::Terminate;
                if ends_with_it {
                    until = [until, heads].into_iter().flatten().min();
                }
            }
            (ended @ (Standing::Terminated { on: day, .. } | Standing::Expired { on: day, .. }), Some(head)) => {
                match effect(licence, head) {
                    (EndEffect::Survive, _) => {}
                    (EndEffect::WindDown, Some(period)) => {
                        let end = day.last_day_of(period).unwrap_or(day);
                        if end < on {
                            return ended;
                        }
                        until = [until, Some(end)].into_iter().flatten().min();
                    }
                    (EndEffect::WindDown, None) | (EndEffect::Terminate, _) => return ended,
                }
            }
            (other, _) => return other,
        }
    }
    Standing::InForce { until }
}

/// What the end of `head` does to `licence`, by the terms of `head`.
fn effect(licence: &LicenceRecord, head: &LicenceRecord) -> (EndEffect, Option<crate::terms::period::Duration>) {
    let is_sublicence = licence.claim.artefacts.iter().any(|artefact| head.claim.artefacts.contains(artefact));
    let termination = &head.terms.termination;
    let ending = if is_sublicence { &termination.sublicences } else { &termination.derivatives };
    (ending.effect, ending.period)
}
