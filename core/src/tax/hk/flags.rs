//! What an officer wants to look at, beyond what single lines say.

use std::collections::{BTreeMap, BTreeSet};

use super::Draft;
use super::history::History;
use crate::money::Fraction;
use crate::tax::facts::{AttestedBy, Event, Nature};
use crate::tax::lines::{FlagCode, Kind, Reason};
use crate::tax::year::Year;

/// Raises the flags that need the whole history, or the lines.
pub(super) fn raise<'a>(draft: &mut Draft<'a>, histories: &[History<'a>]) {
    payments(draft);
    for history in histories {
        holding(draft, history);
    }
    registrations(draft, histories);
    claims(draft, histories);
}

/// Payments that only one side attested, and conversions that nobody can look up.
fn payments(draft: &mut Draft<'_>) {
    let facts = draft.facts;
    for event in &facts.events {
        let (asset, _) = draft.asset(event);
        let is_one_sided = matches!(event.attested_by, Some(AttestedBy::Payer | AttestedBy::Payee));
        let conversion = event.nature.money().and_then(|money| money.conversion.as_ref());
        let is_unsourced = conversion.is_some_and(|conversion| conversion.rate.source.is_none());
        for (code, happened) in [(FlagCode::Unconfirmed, is_one_sided), (FlagCode::FxUnsourced, is_unsourced)] {
            if happened {
                draft.flag(code, Some(event.year), asset, vec![&event.id]);
            }
        }
    }
}

fn holding<'a>(draft: &mut Draft<'a>, history: &History<'a>) {
    let asset = Some(history.asset.id.as_str());
    let lapses: Vec<&str> = history.lapses.iter().map(|(event, _)| event.id.as_str()).collect();
    if !lapses.is_empty() {
        draft.flag(FlagCode::RightLapsed, None, asset, lapses);
    }
    if !history.purchases.is_empty() {
        for (year, used) in history.uses.iter().filter(|(_, used)| used.abroad.is_some()) {
            draft.flag(FlagCode::ForeignUseByLicensee, Some(*year), asset, used.events.clone());
        }
    }
    let left = left_unsold(history);
    if !left.is_empty() {
        draft.flag(FlagCode::DisposalWithoutClawback, None, asset, left);
    }
    // Shares held at one time are parts of one whole (DIPN 49 ¶49–50). What was sold may be bought again.
    let mut parts = 0_u64;
    let mut is_over = false;
    let purchases = history.purchases.iter().map(|(event, _)| *event);
    let mut moves: Vec<&Event> = purchases.chain(history.sales.iter().copied()).collect();
    moves.sort_by_key(|event| (event.day, matches!(event.nature, Nature::Disposal(..))));
    for event in moves {
        parts = held_after(parts, event);
        is_over |= parts > u64::from(Fraction::PARTS);
    }
    if is_over {
        let events = history.purchases.iter().map(|(event, _)| event.id.as_str()).collect();
        draft.flag(FlagCode::DuplicateClaim, None, asset, events);
    }
}

/// Events by which the title left while something of the right was held, and which no sale on that day or later explains.
fn left_unsold<'a>(history: &History<'a>) -> Vec<&'a str> {
    let bought = history.purchases.iter().map(|(event, _)| event.day).min();
    let made = history.research.iter().copied().chain(history.succession).map(|event| event.day).min();
    // What was not bought first is the taxpayer's own work, or came to it whole.
    let is_bought = bought.is_some_and(|bought| made.is_none_or(|made| bought <= made));
    let mut parts = if is_bought { 0 } else { u64::from(Fraction::PARTS) };
    let last_sale = history.sales.iter().filter_map(|sale| sale.day).max();
    let purchases = history.purchases.iter().map(|(event, _)| *event);
    let mut moves: Vec<&'a Event> = purchases.chain(history.titles_left.iter().copied()).collect();
    moves.extend(&history.sales);
    moves.sort_by_key(|event| event.day);
    let mut left = Vec::new();
    for event in moves {
        if matches!(event.nature, Nature::TitleLeft) && parts > 0 && last_sale < event.day {
            left.push(event.id.as_str());
        }
        parts = held_after(parts, event);
    }
    left
}

/// What is held after a purchase or sale, in parts per 10^8; a sale that names no share is of everything.
fn held_after(parts: u64, event: &Event) -> u64 {
    match &event.nature {
        Nature::Purchase(purchase) => parts.saturating_add(u64::from(purchase.share.parts())),
        Nature::Disposal(_, share) => parts.saturating_sub(share.map_or(parts, |share| u64::from(share.parts()))),
        _ => parts,
    }
}

/// One registration under two names.
fn registrations<'a>(draft: &mut Draft<'a>, histories: &[History<'a>]) {
    // How many assets, and the purchases of them.
    let mut known: BTreeMap<(&str, &str, &str), (usize, Vec<&'a str>)> = BTreeMap::new();
    for history in histories.iter().filter(|history| !history.purchases.is_empty()) {
        let asset = history.asset;
        if let Some(number) = &asset.registration_number {
            let place = (asset.ip_type.as_str(), asset.jurisdiction.as_str(), number.as_str());
            let (assets, events) = known.entry(place).or_default();
            *assets = assets.saturating_add(1);
            events.extend(history.purchases.iter().map(|(event, _)| event.id.as_str()));
        }
    }
    for (_, (assets, events)) in known {
        if assets > 1 {
            draft.flag(FlagCode::DuplicateClaim, None, None, events);
        }
    }
}

/// Claims made twice, and for years in which nothing could be deducted.
fn claims<'a>(draft: &mut Draft<'a>, histories: &[History<'a>]) {
    let mut nil: BTreeSet<(&str, Year)> = BTreeSet::new();
    let mut deducted: BTreeSet<(&str, Year)> = BTreeSet::new();
    if histories.iter().all(|history| history.claims.is_empty()) {
        return;
    }
    for line in &draft.lines {
        let Some(asset) = line.asset else { continue };
        if matches!(line.reason, Some(Reason::NotUsed | Reason::Sold)) {
            nil.insert((asset, line.year));
        } else if line.kind == Kind::Deduction && line.slice.is_some() {
            deducted.insert((asset, line.year));
        }
    }
    for history in histories {
        let asset = history.asset.id.as_str();
        let mut by_year: BTreeMap<Year, Vec<&'a str>> = BTreeMap::new();
        for claim in &history.claims {
            by_year.entry(claim.year).or_default().push(&claim.id);
        }
        for (year, events) in by_year {
            if events.len() > 1 {
                draft.flag(FlagCode::DuplicateClaim, Some(year), Some(&history.asset.id), events.clone());
            }
            if nil.contains(&(asset, year)) && !deducted.contains(&(asset, year)) {
                draft.flag(FlagCode::SliceWhenUnused, Some(year), Some(&history.asset.id), events);
            }
        }
    }
}
