//! Exclusivity: what a grant keeps others out of, and whether two grants get in each other's way.
//!
//! Two scopes overlap when they share a right, a place, an activity and a day. A sequencer asks the same question when it
//! admits a grant, so the answer is here once.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::clauses::{Clauses, End};
use crate::strict::present;
use crate::terms::Terms;
use crate::terms::field::Activities;
use crate::terms::period::Date;
use crate::terms::place::Area;
use crate::terms::vocabulary::{ExclusivityKind, Right, Vocabulary as _};

/// A grant in force. One that the licensor of the thing holds itself does not stand against it; leave it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiveGrant {
    /// Its id, or whatever the caller calls it.
    pub grant: String,
    /// The thing that it is a grant in: the child's or an ancestor's name.
    pub artefact: String,
    /// Its terms.
    pub terms: Box<Terms>,
    /// Its first day, where that is known.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub from: Option<Date>,
    /// Its last day; none when absent.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
}

/// Rights × territory × field × time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    rights: BTreeSet<Right>,
    area: Area,
    field: Activities,
    from: Option<Date>,
    until: Option<Date>,
}

impl Scope {
    /// All that terms grant from a day (open towards the past when absent) to a day (open towards the future).
    pub fn granted(terms: &Terms, from: Option<Date>, until: Option<Date>) -> Self {
        Self {
            rights: terms.grant.rights.iter().copied().collect(),
            area: terms.area(),
            field: Activities::of(&terms.field),
            from,
            until,
        }
    }

    /// The part of it that is exclusive or sole; none for non-exclusive terms.
    pub fn exclusive(terms: &Terms, from: Option<Date>, until: Option<Date>) -> Option<Self> {
        if terms.exclusivity.kind == ExclusivityKind::NonExclusive {
            return None;
        }
        let mut scope = Self::granted(terms, from, until);
        let Some(part) = &terms.exclusivity.scope else { return Some(scope) };
        if let Some(rights) = &part.rights {
            scope.rights = rights.iter().copied().collect();
        }
        if let Some(territory) = &part.territory {
            scope.area = territory.area();
        }
        if let Some(field) = &part.field {
            scope.field = Activities::of(field);
        }
        if let (Some(from), Some(duration)) = (from, part.duration) {
            let end = from.last_day_of(duration);
            scope.until = [scope.until, end].into_iter().flatten().min();
        }
        Some(scope)
    }

    /// Whether the two share a right, a place, an activity and a day.
    pub fn overlaps(&self, other: &Self) -> bool {
        let starts_in_time = |a: Option<Date>, b: Option<Date>| a.zip(b).is_none_or(|(from, until)| from <= until);
        !self.rights.is_disjoint(&other.rights)
            && !self.area.within(other.area).is_empty()
            && !self.field.within(&other.field).is_empty()
            && starts_in_time(self.from, other.until)
            && starts_in_time(other.from, self.until)
    }

    /// What of this lies outside another scope, in words; none when it lies within. First days are not compared.
    pub fn beyond(&self, other: &Self) -> Option<String> {
        if let Some(right) = self.rights.difference(&other.rights).next() {
            return Some(format!("it does not grant {}", right.as_str()));
        }
        let places = self.area.without(other.area);
        if !places.is_empty() {
            let codes = places.codes();
            return Some(format!("it is not for {}", codes.first().unwrap_or(&"these places")));
        }
        if let Some(activity) = self.field.beyond(&other.field).first() {
            return Some(format!("it is not for the activity {activity}"));
        }
        let end = other.until.filter(|end| self.until.is_none_or(|own| own > *end));
        end.map(|end| format!("it ends on {end}"))
    }

    /// What some clauses grant from a day on.
    pub(super) fn of_clauses(clauses: &Clauses, from: Option<Date>) -> Self {
        let until = match clauses.end {
            End::On(end) => Some(end),
            End::Never | End::Sometime => None,
        };
        Self {
            rights: clauses.rights.clone(),
            area: clauses.area,
            field: Activities::clone(&clauses.field),
            from,
            until,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::Preset;
    use crate::terms::place::Place;
    use crate::terms::vocabulary::Codes;

    #[test]
    fn scopes_overlap_only_when_they_share_everything() {
        let day = |text: &str| -> Option<Date> { Some(text.parse().unwrap()) };
        // Exclusive: distribute, make available and host, in the Greater Bay Area.
        let terms = Preset::ExclusiveTerritorial.terms().unwrap();
        let kept = Scope::exclusive(&terms, day("2027-01-01"), day("2031-12-31")).unwrap();
        let change = |edit: &dyn Fn(&mut Terms)| {
            let mut other = terms.clone();
            edit(&mut other);
            Scope::granted(&other, day("2027-06-01"), None)
        };
        assert!(kept.overlaps(&change(&|_| {})));
        assert!(!kept.overlaps(&change(&|other| other.grant.rights = Codes::new(vec![Right::Use]).unwrap())));
        let only = |code: &str| Codes::new(vec![Place::new(code).unwrap()]).unwrap();
        assert!(!kept.overlaps(&change(&|other| other.territory.include = only("SG"))));
        assert!(kept.overlaps(&change(&|other| other.territory.include = only("CN"))), "nine cities are in CN");
        let government = crate::terms::field::Activity::new("84").unwrap();
        let to_government = change(&|other| {
            other.field.include = Codes::new(vec![government.clone()]).unwrap();
            other.field.exclude = Codes::default();
        });
        assert!(!kept.overlaps(&to_government), "the exclusive licence is not for public administration");
        let later = Scope::granted(&terms, day("2032-01-01"), None);
        let earlier = Scope::granted(&terms, None, day("2026-12-31"));
        let touching = Scope::granted(&terms, day("2031-12-31"), None);
        assert_eq!([later, earlier, touching].map(|other| kept.overlaps(&other)), [false, false, true]);
        assert!(Scope::exclusive(&Preset::CommercialPerSeat.terms().unwrap(), None, None).is_none());
    }
}
