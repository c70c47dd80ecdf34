//! A sale of what was deducted: the receipt, or the last deduction (sections 16E(3), 16EB).

use super::history::History;
use super::holding::Lot;
use super::purchase::is_at_once;
use super::{Draft, accrual_year, claimant_of};
use crate::money::Amount;
use crate::tax::TaxError;
use crate::tax::facts::Event;
use crate::tax::lines::{Kind, Line, Reason};
use crate::tax::rules::Topic;
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
    let (topic, applies_to) =
        if is_at_once { (Topic::SaleOneOff, asset.ip_type.as_str()) } else { (Topic::SaleExcess, "") };
    let year = accrual_year(draft, event);
    let events = vec![sold.event.id.as_str(), event.id.as_str()];
    let rule = match draft.law(topic, applies_to, event) {
        Some(rule) if !sold.allowed.is_zero() => rule,
        _ => {
            // Only what was deducted is taken back (DIPN 49 ¶64, ¶65).
            let rule =
                draft.law(topic, applies_to, event).map_or_else(|| draft.standing(Topic::Capital, "", event), Ok)?;
            let mut line = Line::under(rule, year, Some(&asset.id)).denied(Reason::NothingAllowed, events);
            line.section = if is_at_once { "16E(3)" } else { "16EB(2)" };
            line.claimant = claimant_of(event, history.succession);
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
    let steps: Vec<Step> = working.into_steps();
    let mut line = Line::under(rule, year, Some(&asset.id)).figure(kind, amount, steps, events, otherwise);
    line.claimant = claimant_of(event, history.succession);
    draft.lines.push(line);
    Ok(())
}

/// An amount to the extent to which deductions were allowed: Σ allowed ÷ Σ slices to date (16EB(3), DIPN 49 ¶67–69).
fn to_extent(working: &mut Working, amount: Amount, allowed: Amount, of: Amount) -> Result<Amount, TaxError> {
    if allowed == of {
        return Ok(amount);
    }
    Ok(working.part(amount, allowed, of)?)
}
