//! A sale of what was deducted: the receipt, or the last deduction (sections 16E(3), 16EB).

use super::history::History;
use super::holding::Lot;
use super::purchase::is_at_once;
use super::{Draft, accrual_year, claimant_of};
use crate::money::Amount;
use crate::tax::TaxError;
use crate::tax::facts::Event;
use crate::tax::lines::{FlagCode, Kind, Line, Reason};
use crate::tax::rules::{Rule, Topic};
use crate::tax::steps::{Step, Working};

/// Settles the sale of one lot, or the part of it that was sold.
pub(super) fn settle<'a>(
    draft: &mut Draft<'a>,
    history: &History<'a>,
    event: &'a Event,
    sold: &Lot<'a>,
    proceeds: Amount,
    mut working: Working,
) -> Result<(), TaxError> {
    let asset = history.asset;
    let is_at_once = is_at_once(asset.ip_type);
    let events = vec![sold.event.id.as_str(), event.id.as_str()];
    let rule = match law(draft, history, event) {
        Some(rule) if !sold.allowed.is_zero() => rule,
        _ => {
            let line = nothing(draft, history, event, events)?.resting_on(sold.proposal);
            draft.lines.push(line);
            return Ok(());
        }
    };
    let (rule, kind, amount, otherwise) = if is_at_once {
        let relevant = to_extent(&mut working, proceeds, sold.allowed, sold.cost)?;
        (rule, Kind::Receipt, working.least(relevant, sold.allowed), Reason::NoProceeds)
    } else {
        let relevant = to_extent(&mut working, proceeds, sold.allowed, sold.sliced)?;
        if sold.cost == sold.sliced {
            let spent = draft.standing(Topic::SaleSpent, "", event)?;
            (spent, Kind::Receipt, working.least(relevant, sold.allowed), Reason::NoProceeds)
        } else {
            let remaining = working.minus(sold.cost, sold.sliced)?;
            let unallowed = to_extent(&mut working, remaining, sold.allowed, sold.sliced)?;
            if unallowed > relevant {
                let shortfall = draft.standing(Topic::SaleShortfall, "", event)?;
                (shortfall, Kind::Deduction, working.minus(unallowed, relevant)?, Reason::NoAmount)
            } else {
                let excess = working.minus(relevant, unallowed)?;
                (rule, Kind::Receipt, working.least(excess, sold.allowed), Reason::NoExcess)
            }
        }
    };
    // Only a receipt is moved to before the end of the business, a deduction is not (DIPN 49 ¶65(a), ¶66).
    let year = if rule.topic == Topic::SaleShortfall { event.year } else { accrual_year(draft, event) };
    let steps: Vec<Step> = working.into_steps();
    let line = Line::under(rule, year, Some(&asset.id)).figure(kind, amount, steps, events, otherwise);
    let mut line = line.resting_on(sold.proposal);
    line.claimant = claimant_of(event, history.succession);
    // A year after the end of the business has no profits from which to deduct.
    line.needs_review = sold.proposal.is_some() || sold.denied_if_licensed.is_some() || draft.is_over_before(year);
    draft.lines.push(line);
    Ok(())
}

/// The rule on sales of rights of this type.
fn law<'a>(draft: &Draft<'a>, history: &History<'a>, event: &Event) -> Option<&'a Rule> {
    let ip_type = history.asset.ip_type;
    let (topic, applies_to) =
        if is_at_once(ip_type) { (Topic::SaleOneOff, ip_type.as_str()) } else { (Topic::SaleExcess, "") };
    draft.law(topic, applies_to, event)
}

/// The line of a sale by which nothing is taken back, because nothing was deducted (DIPN 49 ¶64, ¶65).
fn nothing<'a>(
    draft: &Draft<'a>,
    history: &History<'a>,
    event: &'a Event,
    events: Vec<&'a str>,
) -> Result<Line<'a>, TaxError> {
    let asset = history.asset;
    let rule = law(draft, history, event).map_or_else(|| draft.standing(Topic::Capital, "", event), Ok)?;
    let line = Line::under(rule, accrual_year(draft, event), Some(&asset.id));
    let mut line = line.denied(Reason::NothingAllowed, events);
    line.section = if is_at_once(asset.ip_type) { "16E(3)" } else { "16EB(2)" };
    line.claimant = claimant_of(event, history.succession);
    Ok(line)
}

/// Sales after a succession before which nothing is known: the successor answers for what its predecessor deducted (DIPN 63
/// ¶36, ¶38, ¶40(d)), whatever that was.
pub(super) fn unknown<'a>(draft: &mut Draft<'a>, history: &History<'a>) -> Result<(), TaxError> {
    let Some(succession) = history.succession else { return Ok(()) };
    let bought = history.purchases.iter().map(|(event, _)| *event);
    let mut spent = bought.chain(history.research.iter().copied()).peekable();
    let is_alone = spent.peek().is_none();
    if spent.any(|event| event.day <= succession.day) {
        return Ok(());
    }
    for event in &history.sales {
        let events = vec![succession.id.as_str(), event.id.as_str()];
        if is_alone {
            let mut line = nothing(draft, history, event, events.clone())?;
            line.needs_review = true;
            draft.lines.push(line);
        }
        let year = accrual_year(draft, event);
        draft.flag(FlagCode::NeedsReview, Some(year), Some(&history.asset.id), events);
    }
    Ok(())
}

/// An amount to the extent to which deductions were allowed: Σ allowed ÷ Σ slices to date (16EB(3), DIPN 49 ¶67–69).
fn to_extent(working: &mut Working, amount: Amount, allowed: Amount, of: Amount) -> Result<Amount, TaxError> {
    if allowed == of {
        return Ok(amount);
    }
    Ok(working.part(amount, allowed, of)?)
}
