//! Royalties: deducted by the payer, and taxed in the payer's hands where the payee is a non-resident (sections 15(1),
//! 20B, 21A).
//!
//! Tax is of a person and a year: payments to one payee share the first profits of the two-tiered rates, the one-off
//! reduction and the treaty's limit. A line is what a payment adds to the tax on the payments before it.

use std::collections::BTreeMap;

use super::Draft;
use super::payments::as_it_is;
use crate::money::{Amount, Decimal};
use crate::tax::TaxError;
use crate::tax::facts::{Entity, Event, IpType, Nature, Payee, Royalty, TreatyCap};
use crate::tax::lines::{FlagCode, Kind, Line, Reason};
use crate::tax::rules::{At, Rule, RuleSet, Topic};
use crate::tax::steps::{Operation, Working};
use crate::tax::year::Year;

/// The place whose residents are not taxed here.
const HOME: &str = "HK";

/// Whose tax of which year. Without a name, whoever is described alike is the same person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Person<'a> {
    year: Year,
    name: Option<&'a str>,
    described: Option<(bool, Option<&'a str>, Entity, bool)>,
}

/// What a payee was paid in a year so far.
#[derive(Debug, Clone, Default)]
struct SoFar {
    /// Assessable profits.
    profits: Amount,
    /// Tax on them after the reduction.
    net: Amount,
    /// By treaty cap.
    capped: BTreeMap<(i128, u32), Capped>,
}

/// Payments under one cap so far.
#[derive(Debug, Clone, Copy, Default)]
struct Capped {
    gross: Amount,
    net: Amount,
    due: Amount,
}

/// The treaty's part.
#[derive(Debug, Clone, Copy)]
struct Cap {
    rate: Option<Decimal>,
    needs_review: bool,
}

/// Computes the lines of royalties.
pub(super) fn compute(draft: &mut Draft<'_>) -> Result<(), TaxError> {
    let facts = draft.facts;
    let mut so_far: BTreeMap<Person<'_>, SoFar> = BTreeMap::new();
    for event in &facts.events {
        let Nature::Royalty(royalty) = &event.nature else { continue };
        let (asset, ip_type) = draft.asset(event);
        let rule = draft.standing(Topic::RevenueFee, "", event)?;
        let line = Line::under(rule, event.year, asset);
        let (amount, steps) = (royalty.gross.amount, as_it_is(&royalty.gross));
        draft.lines.push(line.figure(Kind::Deduction, amount, steps, vec![&event.id], Reason::NoAmount));
        let Some(payee) = &royalty.payee else {
            // Whether tax is to be withheld depends on who receives it.
            draft.flag(FlagCode::NeedsReview, Some(event.year), asset, vec![&event.id]);
            continue;
        };
        if payee.residence.as_deref() == Some(HOME) {
            continue;
        }
        let person = Person::of(event.year, payee);
        withholding(draft, event, royalty, payee, ip_type, so_far.entry(person).or_default())?;
    }
    Ok(())
}

impl<'a> Person<'a> {
    fn of(year: Year, payee: &'a Payee) -> Self {
        let Payee { name, is_associate, residence, entity, is_two_tier, .. } = payee;
        let described = name.is_none().then_some((*is_associate, residence.as_deref(), *entity, *is_two_tier));
        Self { year, name: name.as_deref(), described }
    }
}

/// One payment to a non-resident.
fn withholding<'a>(
    draft: &mut Draft<'a>,
    event: &'a Event,
    royalty: &'a Royalty,
    payee: &Payee,
    ip_type: Option<IpType>,
    so_far: &mut SoFar,
) -> Result<(), TaxError> {
    let (asset, _) = draft.asset(event);
    // A royalty that names no right is for one that has been covered from the start.
    let covered = ip_type.unwrap_or(IpType::PatentRight).as_str();
    let deemed = draft.law(Topic::DeemedProfits, covered, event);
    let profits_tax = draft.law(Topic::ProfitsTax, payee.entity.as_str(), event);
    let (Some(deemed), Some(profits_tax)) = (deemed, profits_tax) else {
        draft.flag(FlagCode::NeedsReview, Some(event.year), asset, vec![&event.id]);
        return Ok(());
    };
    let is_whole = is_whole(payee);
    let cap = cap(draft.rules, event, payee, is_whole)?;
    let mut working = Working::default();
    working.extend(royalty.gross.step());
    let gross = royalty.gross.amount;
    let rate = deemed.rate(if is_whole { "associate_rate" } else { "rate" })?;
    let mut profits = working.times(gross, rate)?;
    if !so_far.profits.is_zero() {
        profits = working.plus(so_far.profits, profits)?;
    }
    let tax = tax(draft, &mut working, event, payee, profits_tax, profits)?;
    let reduction = draft.law_in(Topic::Reduction, "", event.year);
    let net = reduction.map_or(Ok(tax), |reduction| reduced(&mut working, reduction, tax))?;
    let due = so_far.add(&mut working, profits, net, gross, cap.rate)?;
    let mut line = Line::under(deemed, event.year, asset).figure(
        Kind::Withholding,
        due,
        working.into_steps(),
        vec![&event.id],
        Reason::NoTaxDue,
    );
    // Films too are covered by (a) only where they are shown in Hong Kong (DIPN 22 ¶11, ¶15).
    line.section = match (royalty.is_used_abroad, royalty.is_film) {
        (true, _) => "15(1)(ba), 21A",
        (false, true) => "15(1)(a), 21A",
        (false, false) => "15(1)(b), 21A",
    };
    // Where nobody says who once owned it, or where the payee lives, the basis may be another. A reduction is voted for
    // each year, mostly after its end: where the rules have none, there may be one all the same.
    let is_unsure = (payee.is_associate && payee.ever_hk_owned.is_none()) || payee.residence.is_none();
    line.needs_review = cap.needs_review || is_unsure || reduction.is_none();
    if line.needs_review {
        draft.flag(FlagCode::NeedsReview, Some(event.year), asset, vec![&event.id]);
    }
    draft.lines.push(line);
    if !due.is_zero() && royalty.withheld.is_zero() {
        draft.flag(FlagCode::NoWithholding, Some(event.year), asset, vec![&event.id]);
    } else if is_whole && royalty.withheld < due {
        draft.flag(FlagCode::Deemed100, Some(event.year), asset, vec![&event.id]);
    }
    Ok(())
}

/// On what the tax of a payment's receiver was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Basis {
    /// The part of the gross that is deemed to be profit.
    pub deemed_rate: Decimal,
    /// The treaty's cap, where one applies.
    pub treaty_cap: Option<Decimal>,
}

/// The basis of a withholding line under the rule of this name; nothing where the event is no royalty with a receiver.
pub(crate) fn basis(rules: &RuleSet, rule: &str, event: &Event) -> Result<Option<Basis>, TaxError> {
    let Nature::Royalty(royalty) = &event.nature else { return Ok(None) };
    let Some((payee, rule)) = royalty.payee.as_ref().zip(rules.named(rule)) else { return Ok(None) };
    let is_whole = is_whole(payee);
    let deemed_rate = rule.rate(if is_whole { "associate_rate" } else { "rate" })?;
    let treaty_cap = cap(rules, event, payee, is_whole)?.rate;
    Ok(Some(Basis { deemed_rate, treaty_cap }))
}

/// Whether all of it is deemed to be profit: where an associate is paid, unless the Commissioner is satisfied that nobody in
/// business here ever owned the right (proviso to section 21A(1)(a), DIPN 22 ¶27–31). Where nothing is said, nobody is.
fn is_whole(payee: &Payee) -> bool {
    payee.is_associate && payee.ever_hk_owned != Some(false)
}

/// The cap that applies: none on the 100% basis (DIPN 22 ¶37); the highest, to be reviewed, where a treaty has several.
fn cap(rules: &RuleSet, event: &Event, payee: &Payee, is_whole: bool) -> Result<Cap, TaxError> {
    let none = Cap { rate: None, needs_review: false };
    if is_whole {
        return Ok(none);
    }
    match payee.treaty {
        TreatyCap::Unavailable => Ok(none),
        TreatyCap::Of(rate) => Ok(Cap { rate: Some(rate), needs_review: false }),
        TreatyCap::ByResidence => {
            let at = At { year: event.year, day: event.day };
            let treaty = payee.residence.as_deref().and_then(|place| rules.law(Topic::Treaty, place, at));
            let Some(treaty) = treaty else { return Ok(none) };
            Ok(Cap { rate: Some(treaty.rate("rate")?), needs_review: treaty.has("lowest_rate") })
        }
    }
}

/// Tax on all profits so far, the first of them at the lower of two-tiered rates.
fn tax(
    draft: &Draft<'_>,
    working: &mut Working,
    event: &Event,
    payee: &Payee,
    profits_tax: &Rule,
    profits: Amount,
) -> Result<Amount, TaxError> {
    let rate = profits_tax.rate("rate")?;
    let two_tier = payee.is_two_tier.then(|| draft.law(Topic::TwoTier, payee.entity.as_str(), event)).flatten();
    let Some(two_tier) = two_tier else { return Ok(working.times(profits, rate)?) };
    let (limit, lower_rate) = (two_tier.amount("first_amount")?, two_tier.rate("rate")?);
    if profits <= limit {
        return Ok(working.times(profits, lower_rate)?);
    }
    let first = working.times(limit, lower_rate)?;
    let further = working.minus(profits, limit)?;
    let further = working.times(further, rate)?;
    Ok(working.plus(first, further)?)
}

/// Tax after the one-off reduction of its year.
fn reduced(working: &mut Working, reduction: &Rule, tax: Amount) -> Result<Amount, TaxError> {
    let (cap, share) = (reduction.amount("cap")?, reduction.rate("share")?);
    let most = if share == Decimal::whole(1) { tax } else { working.times(tax, share)? };
    let by = working.least(most, cap);
    Ok(working.minus(tax, by)?)
}

impl SoFar {
    /// Adds a payment, and gives what it adds to the tax due.
    fn add(
        &mut self,
        working: &mut Working,
        profits: Amount,
        net: Amount,
        gross: Amount,
        cap: Option<Decimal>,
    ) -> Result<Amount, TaxError> {
        let mut added = net;
        if !self.net.is_zero() {
            added = working.minus(net, self.net)?;
        }
        (self.profits, self.net) = (profits, net);
        let Some(rate) = cap else { return Ok(added) };
        let before = self.capped.entry((rate.mantissa, rate.decimals)).or_default();
        let mut now = Capped { gross: before.gross.plus(gross)?, net: added, due: Amount::ZERO };
        if !before.net.is_zero() {
            now.net = working.plus(before.net, added)?;
        }
        if !before.gross.is_zero() {
            working.plus(before.gross, gross)?;
        }
        let limit = working.amount(now.gross.decimal(), &[(Operation::Times, rate)])?;
        now.due = working.least(now.net, limit);
        let mut due = now.due;
        if !before.due.is_zero() {
            due = working.minus(now.due, before.due)?;
        }
        *before = now;
        Ok(due)
    }
}
