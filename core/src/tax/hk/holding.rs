//! What is held of an asset, year after year: deductions while it is held, and what is taken back when it is sold.
//!
//! Every purchase of the asset is a lot of its own, with its own years. A sale takes the same part of every lot.

use super::history::History;
use super::purchase::{self, Bought, Treatment};
use super::{Draft, IMPOSSIBLE, claimant_of, sale};
use crate::money::{Amount, Decimal, FRACTION_DECIMALS_MAX, Fraction};
use crate::tax::TaxError;
use crate::tax::facts::{Event, Nature};
use crate::tax::lines::{Claimant, Kind, Line, Reason, Slice};
use crate::tax::rules::{At, Rule, Status, Topic};
use crate::tax::steps::{Operation, Step, Working};
use crate::tax::year::Year;

/// One purchase, and what became of it so far.
#[derive(Debug)]
pub(super) struct Lot<'a> {
    /// The purchase.
    pub event: &'a Event,
    /// The share of the asset that is still held, in parts per 10^8.
    pub parts: u32,
    /// What of the cost belongs to it.
    pub cost: Amount,
    /// How the cost was computed.
    pub steps: Vec<Step>,
    /// Slices to date.
    pub sliced: Amount,
    /// Deductions to date.
    pub allowed: Amount,
    /// How it is deducted; nothing where it is denied altogether.
    pub treatment: Option<(Treatment, &'a Rule)>,
    /// The section of that.
    pub section: &'a str,
    /// The rule that denies it from the year in which somebody holds a licence.
    pub denied_if_licensed: Option<&'a Rule>,
    /// The proposed rule without which less would have been allowed.
    pub proposal: Option<&'a Rule>,
}

/// Computes the lines of an asset's purchases and sales.
pub(super) fn compute<'a>(draft: &mut Draft<'a>, history: &History<'a>) -> Result<(), TaxError> {
    sale::unknown(draft, history)?;
    let mut lots = Vec::new();
    for (event, purchase) in &history.purchases {
        let bought = purchase::decide(draft, history, event, purchase)?;
        let mut lot = Lot::denied(event, purchase.share.parts());
        if let Some(Bought { treatment, rule, section, denied_if_licensed, cost, steps }) = bought {
            (lot.cost, lot.steps, lot.treatment, lot.section) = (cost, steps, Some((treatment, rule)), section);
            lot.denied_if_licensed = denied_if_licensed;
            lot.proposal = Some(rule).filter(|rule| rule.status == Status::Proposed);
        }
        if let Some((Treatment::AtOnce, rule)) = lot.treatment {
            at_once(draft, history, &mut lot, rule, purchase.intended_use)?;
        }
        lots.push(lot);
    }
    let Some(first) = lots.iter().map(|lot| lot.event.year).min() else { return Ok(()) };
    let last = lots.iter().map(Lot::last_year).chain(history.sales.iter().map(|sale| sale.year)).max();
    let mut sales = history.sales.iter().peekable();
    let mut year = first;
    while last.is_some_and(|last| year <= last) {
        let mut sold = Vec::new();
        while let Some(event) = sales.next_if(|event| event.year <= year) {
            sell(draft, history, &mut lots, event)?;
            sold.push(*event);
        }
        for lot in &mut lots {
            if let Some((Treatment::Slices(of), rule)) = lot.treatment
                && let Some(place) = year.years_since(lot.event.year).filter(|place| *place < of)
            {
                slice(draft, history, lot, rule, Slice { number: place.saturating_add(1), of }, year, &sold)?;
            }
        }
        year = year.plus(1);
    }
    Ok(())
}

impl<'a> Lot<'a> {
    /// One for which nothing is deducted.
    const fn denied(event: &'a Event, parts: u32) -> Self {
        Self {
            event,
            parts,
            cost: Amount::ZERO,
            steps: Vec::new(),
            sliced: Amount::ZERO,
            allowed: Amount::ZERO,
            treatment: None,
            section: "",
            denied_if_licensed: None,
            proposal: None,
        }
    }

    fn last_year(&self) -> Year {
        match self.treatment {
            Some((Treatment::Slices(slices), _)) => self.event.year.plus(slices.saturating_sub(1)),
            _ => self.event.year,
        }
    }
}

/// Section 16E: everything in the year of purchase, whether or not it is used in it already (DIPN 49 ¶28), but only the
/// part of the use that produces chargeable profits (16E(2), ¶62).
fn at_once<'a>(
    draft: &mut Draft<'a>,
    history: &History<'a>,
    lot: &mut Lot<'a>,
    rule: &'a Rule,
    intended: Option<Fraction>,
) -> Result<(), TaxError> {
    let year = lot.event.year;
    let mut line = Line::under(rule, year, Some(&history.asset.id));
    line.claimant = claimant_of(lot.event, history.succession);
    line.section = lot.section;
    line.needs_review = lot.denied_if_licensed.is_some() || rule.status == Status::Proposed;
    let mut events = vec![lot.event.id.as_str()];
    let at = At { year, day: lot.event.day };
    let fraction = match usable(draft, history, at) {
        Usable::Not(denial) => {
            events.extend(&history.uses.get(&year).map(|used| used.events.clone()).unwrap_or_default());
            draft.lines.push(line.moved_to(denial).denied(Reason::ForeignUse, events));
            return Ok(());
        }
        Usable::Unsaid => intended.unwrap_or(Fraction::ONE),
        Usable::Part(fraction, proposal) => {
            (line, lot.proposal) = (line.resting_on(proposal), proposal.or(lot.proposal));
            events.extend(&history.uses.get(&year).map(|used| used.events.clone()).unwrap_or_default());
            fraction
        }
    };
    let mut working = Working::default();
    working.extend(lot.steps.clone());
    let amount = used_part(&mut working, lot.cost, fraction)?;
    (lot.sliced, lot.allowed) = (lot.cost, amount);
    line.use_fraction = Some(fraction);
    let otherwise = if fraction == Fraction::ZERO { Reason::NotUsed } else { Reason::NoAmount };
    draft.lines.push(line.figure(Kind::Deduction, amount, working.into_steps(), events, otherwise));
    Ok(())
}

/// Section 16EA: one slice of one year, which stands or falls by itself (DIPN 49 ¶56). What is nil is lost.
fn slice<'a>(
    draft: &mut Draft<'a>,
    history: &History<'a>,
    lot: &mut Lot<'a>,
    rule: &'a Rule,
    number: Slice,
    year: Year,
    sold: &[&'a Event],
) -> Result<(), TaxError> {
    let mut line = Line::under(rule, year, Some(&history.asset.id));
    line.slice = Some(number);
    line.claimant = match history.succession {
        Some(succession) if year <= succession.year => Claimant::Predecessor,
        _ => Claimant::Taxpayer,
    };
    line.section = lot.section;
    line.needs_review = lot.denied_if_licensed.is_some() || rule.status == Status::Proposed;
    let mut events = vec![lot.event.id.as_str()];
    if lot.parts == 0 {
        // Not sold by the end of the basis period is a condition (¶55(c)); after the year of the sale there is nothing.
        if !sold.is_empty() {
            line.section = "16EA(5)";
            events.extend(sold.iter().map(|sale| sale.id.as_str()));
            draft.lines.push(line.denied(Reason::Sold, events));
        }
        return Ok(());
    }
    if draft.is_over_before(year) {
        // Without a basis period nothing can be deducted, and what was left when the business ended stays unallowed (¶69).
        line.section = "16EA(6)";
        draft.lines.push(line.denied(Reason::NotUsed, events));
        return Ok(());
    }
    let mut working = Working::default();
    working.extend(lot.steps.clone());
    let whole = purchase::slice(&mut working, lot.cost, number.number.saturating_sub(1), number.of)?;
    lot.sliced = lot.sliced.plus(whole)?;
    let first_day = draft.facts.taxpayer.basis_period(year).map(|(first, _)| first);
    if let Some(lapse) = history.lapsed_by(first_day) {
        line.section = "16EA(6)";
        events.push(&lapse.id);
        draft.lines.push(line.denied(Reason::RightLapsed, events));
        return Ok(());
    }
    if let Some(used) = history.uses.get(&year) {
        events.extend(&used.events);
    }
    if let Some(denial) = lot.denied_if_licensed.filter(|_| history.is_licensed(lot.event.year..=year)) {
        draft.lines.push(line.moved_to(denial).denied(Reason::NonRecourse, events));
        return Ok(());
    }
    let fraction = match usable(draft, history, At { year, day: None }) {
        Usable::Part(fraction, proposal) if fraction != Fraction::ZERO => {
            (line, lot.proposal) = (line.resting_on(proposal), proposal.or(lot.proposal));
            fraction
        }
        Usable::Not(denial) => {
            draft.lines.push(line.moved_to(denial).denied(Reason::ForeignUse, events));
            return Ok(());
        }
        Usable::Part(..) | Usable::Unsaid => {
            line.section = "16EA(6)";
            draft.lines.push(line.denied(Reason::NotUsed, events));
            return Ok(());
        }
    };
    let amount = used_part(&mut working, whole, fraction)?;
    lot.allowed = lot.allowed.plus(amount)?;
    line.use_fraction = Some(fraction);
    draft.lines.push(line.figure(Kind::Deduction, amount, working.into_steps(), events, Reason::NoAmount));
    Ok(())
}

/// Which part of a year's use counts.
enum Usable<'a> {
    /// No event says anything about the year.
    Unsaid,
    /// This part, by the law or by a proposed rule.
    Part(Fraction, Option<&'a Rule>),
    /// None, by the rule on use abroad by a licensee.
    Not(&'a Rule),
}

/// The part of the use in a year that counts, by the law of that time; what a licensee uses abroad does not (section
/// 16EC(4)(b), DIPN 49 Examples 15 to 20), unless the proposed rule is asked for and the income is taxed here.
fn usable<'a>(draft: &Draft<'a>, history: &History<'a>, at: At) -> Usable<'a> {
    let Some(used) = history.uses.get(&at.year) else { return Usable::Unsaid };
    let Some(abroad) = used.abroad else { return Usable::Part(used.own.unwrap_or(Fraction::ZERO), None) };
    let ip_type = history.asset.ip_type.as_str();
    let proposal = draft.rules.proposal(Topic::DenyForeignUse, ip_type, at, &draft.facts.proposed_rules);
    if let Some(proposal) = proposal.filter(|_| abroad.is_taxed_here) {
        let own = used.own.unwrap_or(Fraction::ZERO);
        return Usable::Part(own.plus(abroad.fraction).unwrap_or(Fraction::ONE), Some(proposal));
    }
    match (used.own, draft.rules.law(Topic::DenyForeignUse, ip_type, at)) {
        (Some(own), _) => Usable::Part(own, None),
        (None, Some(denial)) => Usable::Not(denial),
        (None, None) => Usable::Part(abroad.fraction, None),
    }
}

fn used_part(working: &mut Working, whole: Amount, fraction: Fraction) -> Result<Amount, TaxError> {
    if fraction == Fraction::ONE {
        if working.is_empty() {
            working.extend([Step::Chain { first: whole.decimal(), rest: Vec::new(), result: whole.decimal() }]);
        }
        return Ok(whole);
    }
    Ok(working.times(whole, fraction.decimal())?)
}

/// Takes what is sold from every lot, and settles it.
fn sell<'a>(
    draft: &mut Draft<'a>,
    history: &History<'a>,
    lots: &mut [Lot<'a>],
    event: &'a Event,
) -> Result<(), TaxError> {
    let Nature::Disposal(proceeds, share) = &event.nature else { return Ok(()) };
    // What is bought on the day of a sale is held; what is bought later is not.
    let mut held: Vec<&mut Lot<'a>> =
        lots.iter_mut().filter(|lot| lot.parts > 0 && lot.event.day <= event.day).collect();
    let total: u64 = held.iter().map(|lot| u64::from(lot.parts)).sum();
    let wanted = share.map_or(total, |share| u64::from(share.parts())).min(total);
    let (mut left_wanted, mut left_total) = (wanted, total);
    for lot in &mut held {
        let parts = u64::from(lot.parts);
        // The rest goes to the last lot, so that the parts sold add up.
        let taken = scaled(i128::from(left_wanted), i128::from(parts), i128::from(left_total))?;
        let taken = u32::try_from(taken).map_err(|_| IMPOSSIBLE)?;
        left_wanted = left_wanted.saturating_sub(u64::from(taken));
        left_total = left_total.saturating_sub(parts);
        if taken == 0 {
            continue;
        }
        let mut working = Working::default();
        working.extend(proceeds.conversion.as_ref().map(|conversion| conversion.step.clone()));
        let mut received = proceeds.amount;
        if u64::from(taken) != wanted {
            received = part(&mut working, received, u64::from(taken), wanted)?;
        }
        let sold = lot.take(taken, &mut working)?;
        sale::settle(draft, history, event, &sold, received, working)?;
    }
    Ok(())
}

fn scaled(amount: i128, numerator: i128, denominator: i128) -> Result<i128, TaxError> {
    let product = amount.checked_mul(numerator).ok_or(IMPOSSIBLE)?;
    Ok(product.checked_div(denominator).ok_or(IMPOSSIBLE)?)
}

fn parts_of(parts: u64) -> Decimal {
    Decimal { mantissa: i128::from(parts), decimals: FRACTION_DECIMALS_MAX }.trimmed()
}

/// An amount times a share over another.
fn part(working: &mut Working, amount: Amount, share: u64, of: u64) -> Result<Amount, TaxError> {
    let rest = [(Operation::Times, parts_of(share)), (Operation::Over, parts_of(of))];
    Ok(working.amount(amount.decimal(), &rest)?)
}

impl Lot<'_> {
    /// Takes a share out of the lot; the amounts that belong to it go with it.
    fn take(&mut self, taken: u32, working: &mut Working) -> Result<Self, TaxError> {
        let (share, of) = (u64::from(taken), u64::from(self.parts));
        let mut sold = Self { event: self.event, parts: taken, steps: Vec::new(), ..*self };
        if taken != self.parts {
            sold.cost = if self.cost.is_zero() { Amount::ZERO } else { part(working, self.cost, share, of)? };
            sold.sliced = if self.sliced.is_zero() { Amount::ZERO } else { part(working, self.sliced, share, of)? };
            sold.allowed = if self.allowed.is_zero() { Amount::ZERO } else { part(working, self.allowed, share, of)? };
        }
        self.parts = self.parts.saturating_sub(taken);
        if self.parts > 0 {
            let mut kept = Working::default();
            kept.extend(self.steps.clone());
            let cost = kept.minus(self.cost, sold.cost)?;
            (self.cost, self.steps) = (cost, kept.into_steps());
        } else {
            self.cost = Amount::ZERO;
        }
        self.sliced = self.sliced.minus(sold.sliced)?;
        self.allowed = self.allowed.minus(sold.allowed)?;
        Ok(sold)
    }
}
