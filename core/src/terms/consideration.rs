//! Consideration: what is paid for a licence, when, and of what; openly or as commitments.

use serde::{Deserialize, Serialize};

use super::figures::{Amount, Count, Rate};
use super::period::{Date, Duration};
use super::vocabulary::{ConsiderationKind, MetricKind, Milestone, RevenueBase};
use crate::money::Currency;
use crate::sealed::Commitment;
use crate::strict::{StrictError, present};

/// Most tiers of one share of revenue or unit price.
pub const TIERS_MAX: usize = 32;

/// One thing that is paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consideration {
    /// What for.
    pub kind: ConsiderationKind,
    /// In which currency.
    pub currency: Currency,
    /// How much, openly. Exactly one of `figures` and `sealed` is there.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
    /// How much, as commitments.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub sealed: Option<SealedFigures>,
    /// When it is due.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// For a share of revenue: of what.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub base: Option<RevenueBase>,
    /// For a unit price: the unit, one of the metrics of these terms.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub unit: Option<MetricKind>,
    /// Whether it is set off against royalties that become due later.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub recoupable: Option<bool>,
}

/// How much is paid. Which members a kind has is checked by [`Consideration::validate`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// A sum, or the price of one unit.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
    /// A share of revenue.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// Other shares or prices from certain thresholds on; ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
    /// The most that this consideration comes to over the whole term.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<Amount>,
}

/// From a threshold on, another share or price applies to what is above it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Revenue of a year, for a share.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub above_amount: Option<Amount>,
    /// Units of a year, for a unit price.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub above_units: Option<Count>,
    /// The share there.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// The price there.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
}

/// The same figures as commitments: every field has one, whether it is there or not, so that nothing shows by absence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedFigures {
    /// Commitment to `amount`.
    pub amount: Commitment,
    /// Commitment to `rate`.
    pub rate: Commitment,
    /// Commitment to `tiers`.
    pub tiers: Commitment,
    /// Commitment to `ceiling`.
    pub ceiling: Commitment,
}

/// When something is due. Which member a kind has is checked by [`Consideration::validate`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// On a day.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub on: Option<Date>,
    /// When something has been reached.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub milestone: Option<Milestone>,
    /// Once in each such period.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub every: Option<Duration>,
    /// How long after that.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub within: Option<Duration>,
}

/// Which members a kind of consideration has: `true` needed, `false` refused, `None` as the author likes.
struct Needs {
    amount: Option<bool>,
    rate: Option<bool>,
    ceiling: Option<bool>,
    every: Option<bool>,
    milestone: Option<bool>,
    base: Option<bool>,
    unit: Option<bool>,
    recoupable: Option<bool>,
}

const YES: Option<bool> = Some(true);
const NO: Option<bool> = Some(false);
const MAY: Option<bool> = None;

impl Needs {
    const fn of(kind: ConsiderationKind) -> Self {
        let once =
            Self { amount: YES, rate: NO, ceiling: NO, every: NO, milestone: NO, base: NO, unit: NO, recoupable: MAY };
        match kind {
            ConsiderationKind::UpfrontLumpSum => once,
            ConsiderationKind::IpPurchase => Self { recoupable: NO, ..once },
            ConsiderationKind::Milestone => Self { milestone: YES, ..once },
            ConsiderationKind::Recurring => Self { every: YES, ceiling: MAY, ..once },
            ConsiderationKind::MinGuarantee => Self { every: YES, ..once },
            ConsiderationKind::RevShare => {
                Self { amount: NO, rate: YES, ceiling: MAY, every: YES, base: YES, recoupable: NO, ..once }
            }
            ConsiderationKind::PerUnit => Self { ceiling: MAY, every: YES, unit: YES, recoupable: NO, ..once },
        }
    }
}

fn check(needed: Option<bool>, is_there: bool, pointer: &str, kind: ConsiderationKind) -> Result<(), StrictError> {
    use super::vocabulary::Vocabulary as _;
    match (needed, is_there) {
        (Some(true), false) => Err(StrictError::new(pointer, format!("{} needs this member", kind.as_str()))),
        (Some(false), true) => Err(StrictError::new(pointer, format!("{} has no such member", kind.as_str()))),
        _ => Ok(()),
    }
}

impl Consideration {
    /// The largest share of revenue at any tier, in parts of [`super::figures::RATE_WHOLE`]; `None` when it is sealed,
    /// zero when this is no share of revenue.
    pub fn share_parts(&self) -> Option<u64> {
        if self.kind != ConsiderationKind::RevShare {
            return Some(0);
        }
        let figures = self.figures.as_ref()?;
        let tiers = figures.tiers.iter().filter_map(|tier| tier.rate.as_ref());
        Some(figures.rate.iter().chain(tiers).map(Rate::parts).max().unwrap_or(0))
    }

    /// Checks which members stand together, digits of amounts, and tiers.
    ///
    /// # Errors
    /// A [`StrictError`] with a pointer relative to this object.
    pub fn validate(&self) -> Result<(), StrictError> {
        let needs = Needs::of(self.kind);
        let schedule = self.schedule.as_ref();
        check(needs.every, schedule.is_some_and(|when| when.every.is_some()), "/schedule/every", self.kind)?;
        check(
            needs.milestone,
            schedule.is_some_and(|when| when.milestone.is_some()),
            "/schedule/milestone",
            self.kind,
        )?;
        check(needs.base, self.base.is_some(), "/base", self.kind)?;
        check(needs.unit, self.unit.is_some(), "/unit", self.kind)?;
        check(needs.recoupable, self.recoupable.is_some(), "/recoupable", self.kind)?;
        if let Some(Schedule { on: None, milestone: None, every: None, within: None }) = schedule {
            return Err(StrictError::new("/schedule", "a schedule says when"));
        }
        if let Some(Schedule { on: Some(_), milestone, every, .. }) = schedule
            && (milestone.is_some() || every.is_some())
        {
            return Err(StrictError::new("/schedule/on", "a day, a milestone and a period exclude each other"));
        }
        match (&self.figures, &self.sealed) {
            (Some(figures), None) => self.validate_figures(figures, &needs).map_err(|error| error.under("/figures")),
            (None, Some(_)) => Ok(()),
            _ => Err(StrictError::new("", "exactly one of figures and sealed is needed")),
        }
    }

    fn validate_figures(&self, figures: &Figures, needs: &Needs) -> Result<(), StrictError> {
        check(needs.amount, figures.amount.is_some(), "/amount", self.kind)?;
        check(needs.rate, figures.rate.is_some(), "/rate", self.kind)?;
        check(needs.ceiling, figures.ceiling.is_some(), "/ceiling", self.kind)?;
        for (pointer, amount) in [("/amount", &figures.amount), ("/ceiling", &figures.ceiling)] {
            self.check_digits(amount.as_ref(), pointer)?;
        }
        let is_share = self.kind == ConsiderationKind::RevShare;
        if !figures.tiers.is_empty() && !is_share && self.kind != ConsiderationKind::PerUnit {
            return check(NO, true, "/tiers", self.kind);
        }
        if figures.tiers.len() > TIERS_MAX {
            return Err(StrictError::new("/tiers", format!("at most {TIERS_MAX} tiers")));
        }
        let mut last = None;
        for (position, tier) in figures.tiers.iter().enumerate() {
            let place = |member: &str| format!("/tiers/{position}{member}");
            let threshold = if is_share {
                check(NO, tier.above_units.is_some(), &place("/above_units"), self.kind)?;
                check(NO, tier.amount.is_some(), &place("/amount"), self.kind)?;
                check(YES, tier.rate.is_some(), &place("/rate"), self.kind)?;
                self.check_digits(tier.above_amount.as_ref(), &place("/above_amount"))?;
                tier.above_amount.as_ref().and_then(|amount| amount.minor_units(self.currency).ok())
            } else {
                check(NO, tier.above_amount.is_some(), &place("/above_amount"), self.kind)?;
                check(NO, tier.rate.is_some(), &place("/rate"), self.kind)?;
                check(YES, tier.amount.is_some(), &place("/amount"), self.kind)?;
                self.check_digits(tier.amount.as_ref(), &place("/amount"))?;
                tier.above_units.map(|units| i128::from(units.get()))
            };
            let member = if is_share { "/above_amount" } else { "/above_units" };
            check(YES, threshold.is_some(), &place(member), self.kind)?;
            if last >= threshold {
                return Err(StrictError::new(place(member), "tiers ascend; this one does not start above the last"));
            }
            last = threshold;
        }
        if self.share_parts().is_some_and(|parts| parts > super::figures::RATE_WHOLE) {
            return Err(StrictError::new("/rate", "a share of revenue is at most \"1\", which is all of it"));
        }
        Ok(())
    }

    fn check_digits(&self, amount: Option<&Amount>, pointer: &str) -> Result<(), StrictError> {
        let units = amount.map(|amount| amount.minor_units(self.currency));
        units.transpose().map(|_| ()).map_err(|reason| StrictError::new(pointer, reason))
    }
}
