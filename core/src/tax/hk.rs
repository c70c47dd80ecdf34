//! Hong Kong: Inland Revenue Ordinance (Cap. 112), sections 15 to 16EC, 20B, 21A, Schedules 17FD, 17J and 45.
//!
//! One file per group of sections. What a section says is read from the rules; what is written here is only how its parts
//! fit together, with the paragraph of the practice note beside it.

mod flags;
mod history;
mod holding;
mod payments;
mod purchase;
mod research;
mod royalty;
mod sale;

pub(crate) use royalty::basis as withholding_basis;

use std::collections::BTreeMap;

use super::facts::{Event, Facts, IpType};
use super::lines::{Claimant, Flag, FlagCode, Line, Report};
use super::rules::{At, Rule, RuleError, RuleSet, Status, Topic};
use super::year::Year;
use super::{Jurisdiction, TaxError};
use crate::money::Overflow;
use crate::strict::StrictError;

/// The rules as shipped.
const RULES: [(&str, &str); 8] = [
    ("core/rules/hk/ip-types.toml", include_str!("../../rules/hk/ip-types.toml")),
    ("core/rules/hk/deductions.toml", include_str!("../../rules/hk/deductions.toml")),
    ("core/rules/hk/denials.toml", include_str!("../../rules/hk/denials.toml")),
    ("core/rules/hk/research.toml", include_str!("../../rules/hk/research.toml")),
    ("core/rules/hk/withholding.toml", include_str!("../../rules/hk/withholding.toml")),
    ("core/rules/hk/treaties.toml", include_str!("../../rules/hk/treaties.toml")),
    ("core/rules/hk/patent-box.toml", include_str!("../../rules/hk/patent-box.toml")),
    ("core/rules/hk/proposed.toml", include_str!("../../rules/hk/proposed.toml")),
];

/// Most lines of a report: several for every event there may be, and what still fits into memory.
const LINES_MAX: usize = 1_000_000;

/// Hong Kong.
#[derive(Debug, Clone, Copy)]
pub struct HongKong;

impl Jurisdiction for HongKong {
    fn code(&self) -> &'static str {
        "hk"
    }

    fn rules(&self) -> Result<RuleSet, RuleError> {
        RuleSet::load(&RULES)
    }

    fn compute<'a>(&self, facts: &'a Facts, rules: &'a RuleSet) -> Result<Report<'a>, TaxError> {
        for (place, id) in facts.proposed_rules.iter().enumerate() {
            if rules.named(id).is_none_or(|rule| rule.status != Status::Proposed) {
                let reason = format!("{id:?} is not the name of a proposed rule; `tax rules --proposed` lists them");
                return Err(StrictError::new(format!("/proposed_rules/{place}"), reason).into());
            }
        }
        let mut draft = Draft { facts, rules, lines: Vec::new(), flags: Vec::new() };
        let histories = history::of(facts);
        for history in &histories {
            holding::compute(&mut draft, history)?;
            draft.stays_small()?;
        }
        research::compute(&mut draft, &histories)?;
        royalty::compute(&mut draft)?;
        payments::compute(&mut draft)?;
        draft.review_moved_accounts();
        flags::raise(&mut draft, &histories);
        Ok(Report::new(draft.lines, draft.flags, &facts.years, rules.digest())?)
    }
}

/// A report on its way.
struct Draft<'a> {
    facts: &'a Facts,
    rules: &'a RuleSet,
    lines: Vec<Line<'a>>,
    flags: Vec<Flag<'a>>,
}

impl<'a> Draft<'a> {
    /// The rule that is law when an event happened.
    fn law(&self, topic: Topic, applies_to: &str, event: &Event) -> Option<&'a Rule> {
        self.rules.law(topic, applies_to, At { year: event.year, day: event.day })
    }

    /// The rule that is law in a year.
    fn law_in(&self, topic: Topic, applies_to: &str, year: Year) -> Option<&'a Rule> {
        self.rules.law(topic, applies_to, At { year, day: None })
    }

    /// The rule of a section that has been there as long as anybody can ask for.
    fn standing(&self, topic: Topic, applies_to: &str, event: &Event) -> Result<&'a Rule, TaxError> {
        let missing = || TaxError::Rule { id: format!("{topic:?} {applies_to}"), parameter: event.year.to_string() };
        self.law(topic, applies_to, event).ok_or_else(missing)
    }

    /// The proposed rule of a topic, where the facts ask for it.
    fn proposal(&self, topic: Topic, applies_to: &str, event: &Event) -> Option<&'a Rule> {
        let at = At { year: event.year, day: event.day };
        self.rules.proposal(topic, applies_to, at, &self.facts.proposed_rules)
    }

    /// Checks that there are not more lines than anybody can read.
    fn stays_small(&self) -> Result<(), TaxError> {
        if self.lines.len() <= LINES_MAX {
            return Ok(());
        }
        Err(StrictError::new("/events", format!("they give more than {LINES_MAX} lines; split the facts by asset"))
            .into())
    }

    /// Whether the business had ended before a year, which then has no basis period.
    fn is_over_before(&self, year: Year) -> bool {
        let taxpayer = &self.facts.taxpayer;
        taxpayer.ceased.is_some_and(|ceased| taxpayer.year_of(ceased) < year)
    }

    /// Marks the lines of years whose basis period is for the Commissioner to say (section 18E).
    fn review_moved_accounts(&mut self) {
        let taxpayer = &self.facts.taxpayer;
        let mut moved: BTreeMap<Year, Vec<&'a str>> = BTreeMap::new();
        for line in self.lines.iter_mut().filter(|line| taxpayer.moves_accounts(line.year)) {
            line.needs_review = true;
            moved.entry(line.year).or_default().extend(&line.events);
        }
        for (year, events) in moved {
            self.flag(FlagCode::NeedsReview, Some(year), None, events);
        }
    }

    /// Raises a flag over events.
    fn flag(&mut self, code: FlagCode, year: Option<Year>, asset: Option<&'a str>, mut events: Vec<&'a str>) {
        events.sort_unstable();
        events.dedup();
        self.flags.push(Flag { code, year, asset, events });
    }

    /// The name and type of the asset an event is about.
    fn asset(&self, event: &Event) -> (Option<&'a str>, Option<IpType>) {
        let asset = event.asset.and_then(|place| self.facts.assets.get(place));
        (asset.map(|asset| asset.id.as_str()), asset.map(|asset| asset.ip_type))
    }
}

/// Whose an event of a day is: what happened up to the succession is the predecessor's (Schedule 17J).
fn claimant_of(event: &Event, succession: Option<&Event>) -> Claimant {
    match succession {
        Some(succession) if event.day <= succession.day => Claimant::Predecessor,
        _ => Claimant::Taxpayer,
    }
}

/// The year in which a receipt accrues: from a sale after the end of the business immediately before it (16E(3), 16EB(2),
/// Schedule 45 section 17, DIPN 49 ¶66, DIPN 55 ¶107).
fn accrual_year(draft: &Draft<'_>, sale: &Event) -> Year {
    let taxpayer = &draft.facts.taxpayer;
    let ceased = taxpayer.ceased.filter(|ceased| sale.day.is_some_and(|day| *ceased < day));
    ceased.map_or(sale.year, |ceased| taxpayer.year_of(ceased))
}

/// A fault of arithmetic that callers have made impossible.
const IMPOSSIBLE: Overflow = Overflow;

#[cfg(test)]
mod tests;
