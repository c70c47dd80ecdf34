//! What comes out: lines that each say what, why, where it is written and how it was computed; flags; totals.

use serde::{Serialize, Serializer};

use super::rules::{Rule, Status};
use super::steps::Step;
use super::year::Year;
use crate::digest::Sha256Digest;
use crate::money::{Amount, Decimal, Fraction, Overflow};

pub use super::reasons::{FlagCode, Reason};

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Deducted from profits.
    Deduction,
    /// Added to profits.
    Receipt,
    /// Nothing, for a reason.
    Denied,
    /// Tax of a non-resident, to be withheld by the payer.
    Withholding,
    /// Profits taxed at a lower rate.
    Concession,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Deduction, Self::Receipt, Self::Denied, Self::Withholding, Self::Concession];

    /// The word in lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deduction => "deduction",
            Self::Receipt => "receipt",
            Self::Denied => "denied",
            Self::Withholding => "withholding",
            Self::Concession => "concession",
        }
    }
}

/// Whose line it is, when the asset passed from one company to another by amalgamation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Claimant {
    /// The taxpayer's.
    Taxpayer,
    /// The company's it succeeded to.
    Predecessor,
}

impl Claimant {
    /// The word in lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Taxpayer => "taxpayer",
            Self::Predecessor => "predecessor",
        }
    }
}

/// Which slice of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Its number, from 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

impl Serialize for Slice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}/{}", self.number, self.of))
    }
}

/// What a portion taxed at a lower rate means for the tax on the whole profit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Concession {
    /// The part of the profit that is taxed at the lower rate, cut off after eight decimals.
    #[serde(serialize_with = "as_text")]
    pub fraction: Decimal,
    /// The profit that is taxed as usual.
    pub ordinary: Amount,
    /// The tax on both together, to the last decimal.
    #[serde(serialize_with = "as_text")]
    pub tax: Decimal,
}

fn as_text<S: Serializer>(number: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

/// One figure of a report, or one nil with its reason.
#[derive(Debug, Clone, Serialize)]
pub struct Line<'a> {
    /// Its number in the report, from 1.
    pub line: usize,
    /// The year of assessment.
    pub year: Year,
    /// The asset, where it is about one.
    pub asset: Option<&'a str>,
    /// What it is.
    pub kind: Kind,
    /// The section of the law.
    pub section: &'a str,
    /// How much, in Hong Kong dollars.
    pub amount: Amount,
    /// The rule applied.
    pub rule: &'a str,
    /// Where the rule is written.
    pub citation: &'a str,
    /// Whether the rule is law.
    pub status: Status,
    /// Why it is nothing.
    pub reason: Option<Reason>,
    /// The events it comes from, by name, as they happened.
    pub events: Vec<&'a str>,
    /// The arithmetic; the last step's result is the amount.
    pub steps: Vec<Step>,
    /// Whose it is.
    pub claimant: Claimant,
    /// Whether facts, or a rule of the year, are missing that could change it.
    pub needs_review: bool,
    /// Which slice.
    pub slice: Option<Slice>,
    /// Which part of the use counts.
    pub use_fraction: Option<Fraction>,
    /// What a concession means for the tax.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concession: Option<Concession>,
}

impl<'a> Line<'a> {
    /// A line under a rule, with nothing in it yet.
    pub(super) fn under(rule: &'a Rule, year: Year, asset: Option<&'a str>) -> Self {
        Self {
            line: 0,
            year,
            asset,
            kind: Kind::Denied,
            section: &rule.section,
            amount: Amount::ZERO,
            rule: &rule.id,
            citation: &rule.citation,
            status: rule.status,
            reason: None,
            events: Vec::new(),
            steps: Vec::new(),
            claimant: Claimant::Taxpayer,
            needs_review: false,
            slice: None,
            use_fraction: None,
            concession: None,
        }
    }

    /// Rests it on a proposed rule, where there is one, under whatever section it stands.
    pub(super) fn resting_on(mut self, proposal: Option<&'a Rule>) -> Self {
        if let Some(rule) = proposal {
            (self.rule, self.citation, self.status) = (&rule.id, &rule.citation, rule.status);
        }
        self
    }

    /// Moves it to the section of a rule that denies it. What rests on a proposed rule goes on resting on that.
    pub(super) fn moved_to(mut self, denial: &'a Rule) -> Self {
        self.section = &denial.section;
        if self.status == Status::Enacted {
            (self.rule, self.citation) = (&denial.id, &denial.citation);
        }
        self
    }

    /// Nothing, for this reason.
    pub(super) fn denied(mut self, reason: Reason, events: Vec<&'a str>) -> Self {
        (self.kind, self.reason, self.events) = (Kind::Denied, Some(reason), events);
        self
    }

    /// A figure and how it was computed; a figure of nothing is a nil for `otherwise`.
    pub(super) fn figure(
        mut self,
        kind: Kind,
        amount: Amount,
        steps: Vec<Step>,
        events: Vec<&'a str>,
        otherwise: Reason,
    ) -> Self {
        (self.amount, self.steps, self.events) = (amount, steps, events);
        self.kind = if amount.is_zero() && kind != Kind::Withholding { Kind::Denied } else { kind };
        self.reason = amount.is_zero().then_some(otherwise);
        self
    }
}

/// Something an officer wants to look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Flag<'a> {
    /// What it is.
    pub code: FlagCode,
    /// The year, where it is about one.
    pub year: Option<Year>,
    /// The asset, where it is about one.
    pub asset: Option<&'a str>,
    /// The events that raise it.
    pub events: Vec<&'a str>,
}

/// The sums of a year.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// The year of assessment.
    pub year: Year,
    /// Of all deductions.
    pub deduction: Amount,
    /// Of all receipts.
    pub receipt: Amount,
    /// Of all tax to be withheld.
    pub withholding: Amount,
    /// Of all profits taxed at a lower rate.
    pub concession: Amount,
}

/// Everything computed from facts under a set of rules.
#[derive(Debug, Clone, Serialize)]
pub struct Report<'a> {
    /// The lines, by year, asset, section and kind.
    pub lines: Vec<Line<'a>>,
    /// The flags, by code.
    pub flags: Vec<Flag<'a>>,
    /// The sums of every year asked for.
    pub totals: Vec<Totals>,
    /// The set of rules.
    pub rules_digest: Sha256Digest,
}

impl<'a> Report<'a> {
    /// Puts lines in order, keeps the years asked for, and adds up.
    ///
    /// # Errors
    /// [`Overflow`].
    pub(super) fn new(
        mut lines: Vec<Line<'a>>,
        mut flags: Vec<Flag<'a>>,
        years: &[Year],
        rules_digest: Sha256Digest,
    ) -> Result<Self, Overflow> {
        if !years.is_empty() {
            lines.retain(|line| years.binary_search(&line.year).is_ok());
            flags.retain(|flag| flag.year.is_none_or(|year| years.binary_search(&year).is_ok()));
        }
        lines.sort_by(|left, right| {
            let key = |line: &Line<'a>| (line.year, line.asset, line.section, line.kind, line.claimant);
            key(left).cmp(&key(right)).then_with(|| left.events.cmp(&right.events))
        });
        for (number, line) in (1..).zip(&mut lines) {
            line.line = number;
        }
        flags.sort();
        flags.dedup();
        let mut years = years.to_vec();
        if years.is_empty() {
            years = lines.iter().map(|line| line.year).collect();
            years.dedup();
        }
        let mut totals: Vec<Totals> = years.into_iter().map(Totals::nothing).collect();
        for line in &lines {
            let found = totals.binary_search_by(|total| total.year.cmp(&line.year)).ok();
            if let Some(total) = found.and_then(|place| totals.get_mut(place)) {
                total.add(line)?;
            }
        }
        Ok(Self { lines, flags, totals, rules_digest })
    }
}

impl Totals {
    const fn nothing(year: Year) -> Self {
        let zero = Amount::ZERO;
        Self { year, deduction: zero, receipt: zero, withholding: zero, concession: zero }
    }

    fn add(&mut self, line: &Line<'_>) -> Result<(), Overflow> {
        let sum = match line.kind {
            Kind::Deduction => &mut self.deduction,
            Kind::Receipt => &mut self.receipt,
            Kind::Withholding => &mut self.withholding,
            Kind::Concession => &mut self.concession,
            Kind::Denied => return Ok(()),
        };
        *sum = sum.plus(line.amount)?;
        Ok(())
    }
}
