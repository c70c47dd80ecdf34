//! What needs no history: recurrent fees' capital cousins, costs of registration, and the patent box.

use super::Draft;
use crate::money::{Amount, Decimal, Exact, FRACTION_DECIMALS_MAX, HKD_DECIMALS};
use crate::strict::StrictError;
use crate::tax::TaxError;
use crate::tax::facts::{Event, IpType, Money, Nature, PatentBox};
use crate::tax::lines::{Concession, Kind, Line, Reason, Slice};
use crate::tax::rules::Topic;
use crate::tax::steps::{Operation, Step, Working};

/// Computes the lines of fees, registrations and the patent box.
pub(super) fn compute(draft: &mut Draft<'_>) -> Result<(), TaxError> {
    let facts = draft.facts;
    for event in &facts.events {
        match &event.nature {
            Nature::UpfrontFee(fee, term_years) => upfront_fee(draft, event, fee, *term_years)?,
            Nature::Registration(cost) => registration(draft, event, cost)?,
            Nature::PatentBox(profits) => patent_box(draft, event, profits)?,
            _ => {}
        }
        draft.stays_small()?;
    }
    Ok(())
}

/// The steps of an amount that is taken as it is.
pub(super) fn as_it_is(money: &Money) -> Vec<Step> {
    let amount = money.amount.decimal();
    vec![money.step().unwrap_or_else(|| Step::Chain { first: amount, rest: Vec::new(), result: amount })]
}

/// A capital fee for a licence: nothing (DIPN 49 ¶46–48), or evenly over its term where the proposed rule is asked for.
fn upfront_fee<'a>(
    draft: &mut Draft<'a>,
    event: &'a Event,
    fee: &Money,
    term_years: Option<u32>,
) -> Result<(), TaxError> {
    let (asset, _) = draft.asset(event);
    let events = vec![event.id.as_str()];
    let Some(proposal) = draft.proposal(Topic::UpfrontFee, "", event) else {
        let rule = draft.standing(Topic::UpfrontFee, "", event)?;
        draft.lines.push(Line::under(rule, event.year, asset).denied(Reason::CapitalFee, events));
        return Ok(());
    };
    let Some(term) = term_years else {
        let reason = "the proposed rule spreads the fee over the term of the licence, which is missing";
        return Err(StrictError::new(format!("/events/{}/term_years", event.place), reason).into());
    };
    for place in 0..term {
        let mut working = Working::default();
        working.extend(fee.step());
        let amount = super::purchase::slice(&mut working, fee.amount, place, term)?;
        let mut line = Line::under(proposal, event.year.plus(place), asset);
        line.slice = Some(Slice { number: place.saturating_add(1), of: term });
        let steps = working.into_steps();
        draft.lines.push(line.figure(Kind::Deduction, amount, steps, events.clone(), Reason::NoAmount));
    }
    Ok(())
}

/// Section 16(1)(g).
fn registration<'a>(draft: &mut Draft<'a>, event: &'a Event, cost: &Money) -> Result<(), TaxError> {
    let (asset, ip_type) = draft.asset(event);
    let events = vec![event.id.as_str()];
    let Some(rule) = ip_type.and_then(|ip_type| draft.law(Topic::Registration, ip_type.as_str(), event)) else {
        let rule = draft.standing(Topic::Capital, "", event)?;
        draft.lines.push(Line::under(rule, event.year, asset).denied(Reason::RegistrationNotCovered, events));
        return Ok(());
    };
    let line = Line::under(rule, event.year, asset);
    draft.lines.push(line.figure(Kind::Deduction, cost.amount, as_it_is(cost), events, Reason::NoAmount));
    Ok(())
}

/// Schedule 17FD: the portion of the profit that is taxed at the lower rate.
fn patent_box<'a>(draft: &mut Draft<'a>, event: &'a Event, profits: &PatentBox) -> Result<(), TaxError> {
    let events = vec![event.id.as_str()];
    let asset = event.asset.and_then(|place| draft.facts.assets.get(place));
    let id = asset.map(|asset| asset.id.as_str());
    let eligible_asset = asset.filter(|asset| asset.ip_type != IpType::Copyright || asset.is_software);
    let Some(rule) = eligible_asset.and_then(|asset| draft.law(Topic::PatentBox, asset.ip_type.as_str(), event)) else {
        let rule = draft.standing(Topic::Capital, "", event)?;
        let mut line = Line::under(rule, event.year, id).denied(Reason::NotEligible, events);
        line.section = "Sch 17FD";
        draft.lines.push(line);
        return Ok(());
    };
    let line = Line::under(rule, event.year, id);
    if !profits.is_elected {
        draft.lines.push(line.denied(Reason::NotElected, events));
        return Ok(());
    }
    let uplift = rule.rate("uplift")?;
    let mut working = Working::default();
    let money = [&profits.profit, &profits.eligible, &profits.other];
    working.extend(money.into_iter().filter_map(Money::step));
    let [profit, eligible, other] = money.map(|money| money.amount);
    let spent = working.plus(eligible, other)?;
    let decimals = HKD_DECIMALS.saturating_add(uplift.decimals);
    let uplifted = working.chain(eligible.decimal(), &[(Operation::Times, uplift)], decimals)?;
    let is_whole = uplifted.exact().minus(spent.decimal().exact())?.floor(0)?.mantissa >= 0;
    let amount = if is_whole {
        // The fraction is at most the whole.
        working.amount(profit.decimal(), &[(Operation::Times, Decimal::whole(1))])?
    } else {
        let rest = [(Operation::Times, uplifted), (Operation::Over, spent.decimal())];
        working.amount(profit.decimal(), &rest)?
    };
    let mut line = line.figure(Kind::Concession, amount, working.into_steps(), events, Reason::NoAmount);
    let profits_tax = draft.standing(Topic::ProfitsTax, draft.facts.taxpayer.entity.as_str(), event)?;
    let ordinary = profit.minus(amount)?;
    let fraction = if is_whole {
        Decimal::whole(1)
    } else {
        uplifted.exact().divided_by(spent.decimal().exact())?.floor(FRACTION_DECIMALS_MAX)?
    };
    line.concession = Some(Concession {
        fraction: fraction.trimmed(),
        ordinary,
        tax: taxed([(amount, rule.rate("rate")?), (ordinary, profits_tax.rate("rate")?)])?,
    });
    draft.lines.push(line);
    Ok(())
}

/// The tax on amounts at their rates, to the last decimal.
fn taxed(parts: [(Amount, Decimal); 2]) -> Result<Decimal, TaxError> {
    let mut sum: Option<Exact> = None;
    let mut decimals = 0;
    for (amount, rate) in parts {
        let tax = amount.decimal().exact().times(rate.exact())?;
        sum = Some(sum.map_or(Ok(tax), |sum| sum.plus(tax))?);
        decimals = decimals.max(HKD_DECIMALS.saturating_add(rate.decimals));
    }
    Ok(sum.map_or(Ok(Decimal::whole(0)), |sum| sum.floor(decimals))?.trimmed())
}
