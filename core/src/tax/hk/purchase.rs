//! A purchase: what it cost, and whether anything may be deducted for it at all (sections 16E, 16EA, 16EC).

use super::Draft;
use super::history::History;
use crate::money::{Amount, Fraction};
use crate::strict::StrictError;
use crate::tax::TaxError;
use crate::tax::facts::{Event, IpType, Purchase};
use crate::tax::lines::{FlagCode, Line, Reason};
use crate::tax::rules::{Rule, Topic};
use crate::tax::steps::{Operation, Step, Working};

/// How the cost of a purchase is deducted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Treatment {
    /// At once (section 16E).
    AtOnce,
    /// In so many slices (section 16EA).
    Slices(u32),
}

/// A purchase for which something may be deducted.
#[derive(Debug)]
pub(super) struct Bought<'a> {
    /// How.
    pub treatment: Treatment,
    /// The rule of it.
    pub rule: &'a Rule,
    /// The section of it, which a proposed rule leaves as it is.
    pub section: &'a str,
    /// The rule that denies it as soon as somebody holds a licence, where it was bought with non-recourse debt.
    pub denied_if_licensed: Option<&'a Rule>,
    /// The expenditure.
    pub cost: Amount,
    /// How it was computed.
    pub steps: Vec<Step>,
}

/// What a refusal says.
struct Refusal<'a> {
    rule: &'a Rule,
    section: Option<&'static str>,
    reason: Reason,
}

/// Whether the cost of rights of this type is deducted at once.
pub(super) const fn is_at_once(ip_type: IpType) -> bool {
    matches!(ip_type, IpType::PatentRight | IpType::KnowHow)
}

/// Decides over a purchase; a denied one gives its line and nothing else.
pub(super) fn decide<'a>(
    draft: &mut Draft<'a>,
    history: &History<'a>,
    event: &'a Event,
    purchase: &'a Purchase,
) -> Result<Option<Bought<'a>>, TaxError> {
    let asset = history.asset;
    flags(draft, history, event, purchase);
    let topic = if is_at_once(asset.ip_type) { Topic::OneOff } else { Topic::EqualSlices };
    let law = draft.law(topic, asset.ip_type.as_str(), event);
    let proposal =
        purchase.seller.is_associate.then(|| draft.proposal(Topic::DenyAssociate, asset.ip_type.as_str(), event));
    let proposal = proposal.flatten();
    let rule = match (refusal(draft, history, event, purchase, law, proposal)?, law) {
        (None, Some(rule)) => rule,
        (refusal, _) => {
            let capital = draft.standing(Topic::Capital, "", event)?;
            let Refusal { rule, section, reason } =
                refusal.unwrap_or(Refusal { rule: capital, section: None, reason: Reason::NotInForce });
            let mut line = Line::under(rule, event.year, Some(&asset.id)).denied(reason, vec![&event.id]);
            line.section = section.unwrap_or(line.section);
            line.claimant = super::claimant_of(event, history.succession);
            draft.lines.push(line);
            return Ok(None);
        }
    };
    let leveraged = draft.law(Topic::DenyLeveraged, asset.ip_type.as_str(), event);
    let denied_if_licensed = leveraged.filter(|_| purchase.is_non_recourse);
    if denied_if_licensed.is_some() {
        // A licence at any time while it is owned denies the deduction (DIPN 49 ¶86); use tells of those that were used.
        draft.flag(FlagCode::NeedsReview, None, Some(&asset.id), vec![&event.id]);
    }
    let mut working = Working::default();
    let mut cost = cost(&mut working, purchase)?;
    if proposal.is_some() {
        cost = proposed_cost(&mut working, event, purchase, cost)?;
    }
    let (treatment, rule) = treatment(draft, history, event, rule)?;
    let (rule, section) = (proposal.unwrap_or(rule), rule.section.as_str());
    Ok(Some(Bought { treatment, rule, section, denied_if_licensed, cost, steps: working.into_steps() }))
}

/// The taxpayer's own expenditure: its share of the price and its legal and valuation fees (16E(1A), 16EA(11)).
fn cost(working: &mut Working, purchase: &Purchase) -> Result<Amount, TaxError> {
    let mut steps = Working::default();
    let mut cost = purchase.price.amount;
    if purchase.share != Fraction::ONE {
        cost = steps.times(cost, purchase.share.decimal())?;
    }
    if !purchase.fees.amount.is_zero() {
        steps.extend(purchase.fees.step());
        cost = steps.plus(cost, purchase.fees.amount)?;
    }
    working.extend(purchase.price.conversion.as_ref().map(|conversion| conversion.step.clone()));
    working.extend(steps.into_steps());
    Ok(cost)
}

/// The cost that the proposed rule on associates allows.
fn proposed_cost(working: &mut Working, event: &Event, purchase: &Purchase, cost: Amount) -> Result<Amount, TaxError> {
    let at = |member: &str| format!("/events/{}/{member}", event.place);
    match purchase.seller.residence.as_deref() {
        None => {
            let reason = "the proposed rule needs to know where the associate is resident";
            Err(StrictError::new(at("counterparty/residence"), reason).into())
        }
        Some("HK") => {
            let reason = "the proposed rule needs the seller's deductible cost and its research expenditure";
            let seller_cost = purchase.seller_cost.as_ref();
            let seller_cost = seller_cost.ok_or_else(|| StrictError::new(at("seller_cost"), reason))?;
            working.extend(seller_cost.step());
            Ok(working.least(cost, seller_cost.amount))
        }
        Some(_) => Ok(cost),
    }
}

/// Over how many years the cost is spread: fewer when protection ends within them (section 16EA(4)).
fn treatment<'a>(
    draft: &Draft<'a>,
    history: &History<'a>,
    event: &Event,
    rule: &'a Rule,
) -> Result<(Treatment, &'a Rule), TaxError> {
    let asset = history.asset;
    if is_at_once(asset.ip_type) {
        return Ok((Treatment::AtOnce, rule));
    }
    let slices = rule.count("slices")?;
    // The registration of a trade mark can be renewed for ever: it has no maximum period of protection (DIPN 49 ¶38).
    let ends = asset.protection_ends.filter(|_| asset.ip_type != IpType::RegisteredTradeMark);
    let taxpayer = &draft.facts.taxpayer;
    let last_day = taxpayer.basis_period(event.year.plus(slices.saturating_sub(1))).map(|(_, last)| last);
    let Some(ends) = ends.filter(|ends| last_day.is_some_and(|last| *ends < last)) else {
        return Ok((Treatment::Slices(slices), rule));
    };
    let years = taxpayer.year_of(ends).years_since(event.year).map_or(1, |years| years.saturating_add(1));
    let short = draft.standing(Topic::ShortProtection, asset.ip_type.as_str(), event)?;
    Ok((Treatment::Slices(years.min(slices)), short))
}

/// Why nothing may be deducted, in the order in which the practice note asks.
fn refusal<'a>(
    draft: &Draft<'a>,
    history: &History<'a>,
    event: &'a Event,
    purchase: &Purchase,
    law: Option<&'a Rule>,
    proposal: Option<&'a Rule>,
) -> Result<Option<Refusal<'a>>, TaxError> {
    let asset = history.asset;
    let ip_type = asset.ip_type.as_str();
    if purchase.is_licence {
        let rule = draft.standing(Topic::DenyLicence, ip_type, event)?;
        return Ok(Some(Refusal { rule, section: None, reason: Reason::LicenceOnly }));
    }
    let plain = Some(if is_at_once(asset.ip_type) { "16E(1)" } else { "16EA(2)" });
    let Some(rule) = law else {
        let rule = draft.standing(Topic::Capital, "", event)?;
        return Ok(Some(Refusal { rule, section: plain, reason: Reason::NotInForce }));
    };
    let needs_registration = match draft.law(Topic::IpType, ip_type, event) {
        Some(rule) => rule.flag("needs_registration")?,
        None => false,
    };
    if needs_registration && !asset.is_registered {
        return Ok(Some(Refusal { rule, section: plain, reason: Reason::NotRegistered }));
    }
    let is_over = asset.protection_ends.is_some_and(|ends| event.day.is_some_and(|day| ends < day));
    if is_over || history.lapsed_by(event.day).is_some() {
        return Ok(Some(Refusal { rule, section: plain, reason: Reason::RightLapsed }));
    }
    // Non-recourse debt denies where somebody else holds a licence as well (DIPN 49 ¶86).
    let is_licensed = purchase.is_licensed_back || history.is_licensed(event.year..=event.year);
    let denials = [
        (Topic::DenyAssociate, purchase.seller.is_associate && proposal.is_none(), Reason::AssociateSeller),
        (Topic::DenyLicenceBack, purchase.is_licensed_back, Reason::LicenceBack),
        (Topic::DenyEarlyTermination, purchase.is_early_termination, Reason::EarlyTermination),
        (Topic::DenyLeveraged, purchase.is_non_recourse && is_licensed, Reason::NonRecourse),
    ];
    for (topic, happened, reason) in denials {
        if !happened {
            continue;
        }
        let Some(rule) = draft.law(topic, ip_type, event) else { continue };
        if topic == Topic::DenyLicenceBack && is_financing(rule, purchase)? {
            continue;
        }
        return Ok(Some(Refusal { rule, section: None, reason }));
    }
    Ok(None)
}

/// Section 16EC(5): the end user bought it after the law began, deducted nothing, and got no more than it had paid.
fn is_financing(rule: &Rule, purchase: &Purchase) -> Result<bool, TaxError> {
    let from = rule.day("exception_from")?;
    Ok(purchase.end_user.as_ref().is_some_and(|end_user| {
        end_user.purchased >= from && !end_user.deducted && purchase.price.amount <= end_user.price
    }))
}

fn flags<'a>(draft: &mut Draft<'a>, history: &History<'a>, event: &'a Event, purchase: &Purchase) {
    let asset = history.asset;
    let is_over = asset.protection_ends.is_some_and(|ends| event.day.is_some_and(|day| ends < day));
    for (code, happened) in [
        (FlagCode::AssociateSeller, purchase.seller.is_associate),
        (FlagCode::SaleAndLicenceBack, purchase.is_licensed_back),
        (FlagCode::LicenceAsPurchase, purchase.is_licence),
        (FlagCode::RightLapsed, is_over),
    ] {
        if happened {
            draft.flag(code, None, Some(&asset.id), vec![&event.id]);
        }
    }
}

/// One slice of a cost: slices are cut so that the first k of n together are the cost × k ÷ n, cut off at the cent.
pub(super) fn slice(working: &mut Working, cost: Amount, place: u32, of: u32) -> Result<Amount, TaxError> {
    use crate::money::Decimal;
    let n = Decimal::whole(of);
    if place == 0 || cost.cents().rem_euclid(i128::from(of)) == 0 {
        return Ok(working.amount(cost.decimal(), &[(Operation::Over, n)])?);
    }
    let upto = |working: &mut Working, k: u32| {
        working.amount(cost.decimal(), &[(Operation::Times, Decimal::whole(k)), (Operation::Over, n)])
    };
    let to_date = upto(working, place.saturating_add(1))?;
    let before = upto(working, place)?;
    Ok(working.minus(to_date, before)?)
}
