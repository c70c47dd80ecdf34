//! Research and development: what is deducted (section 16B, Schedule 45), and the sale of the rights it generated.

use std::collections::BTreeMap;

use super::history::History;
use super::{Draft, accrual_year, claimant_of};
use crate::money::{Amount, Fraction};
use crate::tax::TaxError;
use crate::tax::facts::{Event, Nature, PerformedBy, Research};
use crate::tax::lines::{Claimant, FlagCode, Kind, Line, Reason};
use crate::tax::rules::{Rule, Topic};
use crate::tax::steps::{Operation, Working};
use crate::tax::year::{Date, Year};

/// What Schedule 45 makes subject to its denials from 1 April 2018 (sections 9(b), 11), in the rules' words, and all else.
const INTERIM: &str = "interim";
const OTHER: &str = "other";

/// What was spent on one asset's rights and deducted for it, event by event.
#[derive(Debug, Clone, Copy)]
struct Outlay {
    day: Option<Date>,
    is_type_b: bool,
    spent: Amount,
    deducted: Amount,
}

/// Sums of one type of expenditure.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    spent: Amount,
    deducted: Amount,
}

/// Computes the lines of research, and of the sale of what came out of it.
pub(super) fn compute<'a>(draft: &mut Draft<'a>, histories: &[History<'a>]) -> Result<(), TaxError> {
    let facts = draft.facts;
    // The higher rate is used up by person and year (Schedule 45, section 13(1)(b)).
    let mut used_up: BTreeMap<(Claimant, Year), Amount> = BTreeMap::new();
    let mut spent: BTreeMap<usize, Vec<Outlay>> = BTreeMap::new();
    for event in &facts.events {
        let Nature::Research(research) = &event.nature else { continue };
        let succession = event.asset.and_then(|asset| histories.get(asset)).and_then(|history| history.succession);
        let claimant = claimant_of(event, succession);
        let before = used_up.entry((claimant, event.year)).or_default();
        let Some(outlay) = deduct(draft, event, research, claimant, *before)? else { continue };
        if outlay.is_type_b {
            *before = before.plus(outlay.spent)?;
        }
        if let Some(asset) = event.asset {
            spent.entry(asset).or_default().push(outlay);
        }
    }
    for (asset, history) in histories.iter().enumerate() {
        let spent = spent.get(&asset).map_or(&[][..], Vec::as_slice);
        if history.purchases.is_empty() && !history.research.is_empty() {
            sales(draft, history, spent)?;
        } else if !spent.is_empty() && !history.sales.is_empty() {
            // What was bought and what was added to it are sold for one price; nothing says which part is whose.
            let events = history.sales.iter().map(|sale| sale.id.as_str()).collect();
            draft.flag(FlagCode::NeedsReview, None, Some(&history.asset.id), events);
        }
    }
    Ok(())
}

/// One payment; gives what it counts for and what is deducted, unless it is denied.
fn deduct<'a>(
    draft: &mut Draft<'a>,
    event: &'a Event,
    research: &Research,
    claimant: Claimant,
    used_up: Amount,
) -> Result<Option<Outlay>, TaxError> {
    let (asset, _) = draft.asset(event);
    // There is no type B of what was spent before the law knew it (DIPN 55 ¶53).
    let type_b_rule = if research.is_type_b { draft.law(Topic::ResearchB, "", event) } else { None };
    let is_type_b = type_b_rule.is_some();
    let events = vec![event.id.as_str()];
    let mut working = Working::default();
    working.extend(research.spent.conversion.as_ref().map(|conversion| conversion.step.clone()));
    let mut net = research.spent.amount;
    if !research.met_by_others.amount.is_zero() {
        // Only what the taxpayer bears in the end qualifies (DIPN 55 ¶99).
        working.extend(research.met_by_others.step());
        net = working.minus(net, research.met_by_others.amount)?;
    }
    let refusals = [
        (research.is_avoidance, Reason::Avoidance),
        (research.performed_by == PerformedBy::Other, Reason::PerformedByOther),
        (!research.is_vested, Reason::NotVested),
        (research.is_for_another, Reason::ForAnother),
    ];
    let refusal = refusals.into_iter().find(|(happened, _)| *happened);
    let is_interim = is_type_b || research.performed_by == PerformedBy::DesignatedInstitution;
    let denial = draft.law(Topic::ResearchDenied, if is_interim { INTERIM } else { OTHER }, event);
    if let (Some((_, reason)), Some(rule)) = (refusal, denial) {
        let mut line = Line::under(rule, event.year, asset).denied(reason, events);
        line.claimant = claimant;
        draft.lines.push(line);
        return Ok(None);
    }
    let rule = type_b_rule.map_or_else(|| draft.standing(Topic::ResearchA, "", event), Ok)?;
    let deducted = if is_type_b {
        type_b(&mut working, rule, net, used_up)?
    } else {
        let rate = rule.rate("rate")?;
        let mut rest = vec![(Operation::Times, rate)];
        if research.proportion != Fraction::ONE {
            rest.push((Operation::Times, research.proportion.decimal()));
        }
        working.amount(net.decimal(), &rest)?
    };
    let mut line = Line::under(rule, event.year, asset);
    line.claimant = claimant;
    if refusal.is_some() {
        // What section 16B itself denied before Schedule 45 did is not in the rules.
        line.needs_review = true;
        draft.flag(FlagCode::NeedsReview, Some(event.year), asset, events.clone());
    }
    let is_met = net.is_zero() && !research.met_by_others.amount.is_zero();
    let otherwise = if is_met { Reason::MetByOthers } else { Reason::NoAmount };
    draft.lines.push(line.figure(Kind::Deduction, deducted, working.into_steps(), events, otherwise));
    Ok(Some(Outlay { day: event.day, is_type_b, spent: net, deducted }))
}

/// The first so many dollars of a year at one rate, the rest at another (DIPN 55 ¶78).
fn type_b(working: &mut Working, rule: &Rule, net: Amount, used_up: Amount) -> Result<Amount, TaxError> {
    let (limit, first_rate) = (rule.amount("first_amount")?, rule.rate("first_rate")?);
    let room = if used_up >= limit {
        Amount::ZERO
    } else if used_up.is_zero() {
        limit
    } else {
        working.minus(limit, used_up)?
    };
    let further_rate = rule.rate("further_rate")?;
    if net <= room {
        return Ok(working.times(net, first_rate)?);
    }
    if room.is_zero() {
        return Ok(working.times(net, further_rate)?);
    }
    let rest = working.minus(net, room)?;
    let first = working.times(room, first_rate)?;
    let further = working.times(rest, further_rate)?;
    Ok(working.plus(first, further)?)
}

/// Schedule 45, section 17: every sale in turn; what was taken back before is not taken back again.
fn sales<'a>(draft: &mut Draft<'a>, history: &History<'a>, spent: &[Outlay]) -> Result<(), TaxError> {
    let mut taken_back = [Amount::ZERO; 2];
    for event in &history.sales {
        let Nature::Disposal(proceeds, _) = &event.nature else { continue };
        let mut sums = [Sums::default(); 2];
        for part in spent.iter().filter(|part| part.day <= event.day) {
            let [a, b] = &mut sums;
            let sum = if part.is_type_b { b } else { a };
            *sum = Sums { spent: sum.spent.plus(part.spent)?, deducted: sum.deducted.plus(part.deducted)? };
        }
        let rule = draft.standing(Topic::ResearchSale, "", event)?;
        let mut line = Line::under(rule, accrual_year(draft, event), Some(&history.asset.id));
        line.claimant = claimant_of(event, history.succession);
        let events: Vec<&str> = history
            .research
            .iter()
            .filter(|spent| spent.day <= event.day)
            .chain([event])
            .map(|event| event.id.as_str())
            .collect();
        if sums.iter().all(|sum| sum.deducted.is_zero()) {
            draft.lines.push(line.denied(Reason::NothingAllowed, events));
            continue;
        }
        let mut working = Working::default();
        working.extend(proceeds.conversion.as_ref().map(|conversion| conversion.step.clone()));
        let amount = receipt(&mut working, sums, &mut taken_back, proceeds.amount)?;
        draft.lines.push(line.figure(Kind::Receipt, amount, working.into_steps(), events, Reason::NoProceeds));
    }
    Ok(())
}

/// The four steps of DIPN 55 ¶109, with the adjustment of ¶110 for type A expenditure that was not deducted in full.
fn receipt(
    working: &mut Working,
    [a, b]: [Sums; 2],
    [back_a, back_b]: &mut [Amount; 2],
    proceeds: Amount,
) -> Result<Amount, TaxError> {
    let whole = a.spent.plus(b.spent)?;
    let (of_a, of_b) = if b.spent.is_zero() {
        (proceeds, Amount::ZERO)
    } else if a.spent.is_zero() {
        (Amount::ZERO, proceeds)
    } else {
        let of_a = working.part(proceeds, a.spent, whole)?;
        (of_a, working.minus(proceeds, of_a)?)
    };
    let mut of_a = of_a;
    if a.deducted < a.spent {
        of_a = working.part(of_a, a.deducted, a.spent)?;
    }
    let mut sum: Option<Amount> = None;
    for (of, sums, back) in [(of_a, a, back_a), (of_b, b, back_b)] {
        if sums.spent.is_zero() {
            continue;
        }
        let left = if back.is_zero() { sums.deducted } else { working.minus(sums.deducted, *back)? };
        let amount = working.least(left, of);
        *back = back.plus(amount)?;
        sum = Some(match sum {
            Some(before) => working.plus(before, amount)?,
            None => amount,
        });
    }
    Ok(sum.unwrap_or_default())
}
