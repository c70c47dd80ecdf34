//! From the document to [`Facts`]: everything that can be said wrong is found here, with its place.

use std::collections::{BTreeMap, BTreeSet};

use super::event::Reader;
use super::history;
use super::wire::{RawAsset, RawEvent, RawFacts, RawNature, RawRate, RawTaxpayer};
use super::{Assessed, Asset, Facts, SCHEMA, Taxpayer, Trade};
use crate::money::{Currency, Decimal, Fraction, RATE_DECIMALS_MAX};
use crate::strict::{self, StrictError};
use crate::tax::fx::{HKD, Rate};
use crate::tax::year::{Year, YearEnd};

/// Largest document: 100,000 events of the usual length, and less than what keeps a small machine busy for long.
pub const FACTS_BYTES_MAX: usize = 9 << 20;

/// Most events, so that computing takes about a second.
pub const EVENTS_MAX: usize = 100_000;

/// Most assets.
pub const ASSETS_MAX: usize = 100_000;

/// Longest name of an asset, an event or a party, in bytes.
const NAME_BYTES_MAX: usize = 200;

/// Most entries of the other lists.
const LIST_MAX: usize = 1_000;

impl Facts {
    /// Reads a document.
    ///
    /// # Errors
    /// A [`StrictError`] at the first thing that is not as the format says; nothing is computed then.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, StrictError> {
        if bytes.len() > FACTS_BYTES_MAX {
            let reason = format!("more than {FACTS_BYTES_MAX} bytes; split the facts by asset");
            return Err(StrictError::new("/events", reason));
        }
        let raw: RawFacts = strict::from_slice(bytes)?;
        if raw.schema != SCHEMA {
            return Err(StrictError::new("/schema", format!("{:?} is not {SCHEMA:?}", raw.schema)));
        }
        for (name, length, limit) in [
            ("/events", raw.events.len(), EVENTS_MAX),
            ("/assets", raw.assets.len(), ASSETS_MAX),
            ("/years", raw.years.as_deref().unwrap_or_default().len(), LIST_MAX),
            ("/proposed_rules", raw.proposed_rules.as_deref().unwrap_or_default().len(), LIST_MAX),
            ("/rates", raw.rates.as_deref().unwrap_or_default().len(), LIST_MAX),
        ] {
            if length > limit {
                return Err(StrictError::new(name, format!("more than {limit} entries")));
            }
        }
        let taxpayer = taxpayer(&raw.taxpayer)?;
        let assets = raw.assets.iter().enumerate().map(|(place, asset)| read_asset(place, asset));
        let assets = assets.collect::<Result<Vec<_>, _>>()?;
        let asset_places = places("/assets", assets.iter().map(|asset| asset.id.as_str()))?;
        let event_places = places("/events", raw.events.iter().map(|event| event.id.as_str()))?;
        let rates = raw.rates.iter().flatten().enumerate();
        let rates = rates.map(|(place, raw)| rate(&format!("/rates/{place}"), raw)).collect::<Result<Vec<_>, _>>()?;
        let left_out = corrections(&raw.events, &event_places)?;
        let reader = Reader::new(&taxpayer, &asset_places, &rates, &raw.events, &left_out)?;
        let mut events = Vec::with_capacity(raw.events.len());
        for (place, event) in raw.events.iter().enumerate() {
            // What was corrected must be well formed too.
            let read = reader.event(place, event)?;
            events.extend(read.filter(|_| !left_out.contains(&place)));
        }
        events.sort_by(|left, right| (left.day, left.year, &left.id).cmp(&(right.day, right.year, &right.id)));
        history::check(&assets, &events)?;
        Ok(Self {
            taxpayer,
            assets,
            events,
            years: years(raw.years.as_deref().unwrap_or_default())?,
            proposed_rules: raw.proposed_rules.unwrap_or_default(),
        })
    }
}

/// A name that people and other documents can use.
pub(super) fn name(pointer: &str, text: &str) -> Result<(), StrictError> {
    if text.is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
        let reason = format!("a name of 1 to {NAME_BYTES_MAX} bytes without control characters is expected");
        return Err(StrictError::new(pointer, reason));
    }
    Ok(())
}

/// Where each name stands; none twice.
fn places<'n>(list: &str, names: impl Iterator<Item = &'n str>) -> Result<BTreeMap<&'n str, usize>, StrictError> {
    let mut places = BTreeMap::new();
    for (place, id) in names.enumerate() {
        name(&format!("{list}/{place}/id"), id)?;
        if let Some(first) = places.insert(id, place) {
            let reason = format!("{id:?} is also the name of {list}/{first}");
            return Err(StrictError::new(format!("{list}/{place}/id"), reason));
        }
    }
    Ok(places)
}

/// Reads a member with a pointer for what is wrong.
pub(super) fn parsed<T>(pointer: impl Into<String>, read: Result<T, String>) -> Result<T, StrictError> {
    read.map_err(|reason| StrictError::new(pointer, reason))
}

fn taxpayer(raw: &RawTaxpayer) -> Result<Taxpayer, StrictError> {
    name("/taxpayer/name", &raw.name)?;
    if let Some(brn) = &raw.brn
        && !(brn.len() == 8 && brn.bytes().all(|byte| byte.is_ascii_digit()))
    {
        let reason = format!("{brn:?} is not a business registration number of eight digits");
        return Err(StrictError::new("/taxpayer/brn", reason));
    }
    let day = |member: &str, text: &Option<String>| {
        parsed(format!("/taxpayer/{member}"), text.as_deref().map(str::parse).transpose())
    };
    let mut changes: Vec<(Year, Assessed)> = Vec::new();
    for (place, change) in raw.changes.iter().flatten().enumerate() {
        let at = format!("/taxpayer/changes/{place}");
        let from = parsed(format!("{at}/from"), change.from.parse())?;
        if changes.last().is_some_and(|(before, _)| from <= *before) {
            return Err(StrictError::new(format!("{at}/from"), "changes are in ascending order, one for each year"));
        }
        changes.push((from, assessed(&at, change.year_end.as_deref(), change.trade, change.hk_proportion.as_deref())?));
    }
    Ok(Taxpayer {
        name: raw.name.clone(),
        brn: raw.brn.clone(),
        entity: raw.entity.unwrap_or_default(),
        first: assessed("/taxpayer", raw.year_end.as_deref(), raw.trade, raw.hk_proportion.as_deref())?,
        changes,
        commenced: day("commenced", &raw.commenced)?,
        ceased: day("ceased", &raw.ceased)?,
    })
}

fn assessed(
    at: &str,
    year_end: Option<&str>,
    trade: Option<Trade>,
    hk_proportion: Option<&str>,
) -> Result<Assessed, StrictError> {
    Ok(Assessed {
        year_end: parsed(format!("{at}/year_end"), year_end.map(str::parse).transpose())?.unwrap_or(YearEnd::MARCH),
        trade: trade.unwrap_or_default(),
        hk_proportion: parsed(format!("{at}/hk_proportion"), hk_proportion.map(Fraction::parse).transpose())?,
    })
}

fn read_asset(place: usize, raw: &RawAsset) -> Result<Asset, StrictError> {
    let jurisdiction = raw.jurisdiction.clone().unwrap_or_else(|| "HK".to_owned());
    name(&format!("/assets/{place}/jurisdiction"), &jurisdiction)?;
    if let Some(number) = &raw.registration_number {
        name(&format!("/assets/{place}/registration_number"), number)?;
    }
    let protection_ends = raw.protection_ends.as_deref().map(str::parse).transpose();
    Ok(Asset {
        id: raw.id.clone(),
        ip_type: raw.ip_type,
        jurisdiction,
        is_registered: raw.registered.unwrap_or(true),
        registration_number: raw.registration_number.clone(),
        protection_ends: parsed(format!("/assets/{place}/protection_ends"), protection_ends)?,
        is_software: raw.software.unwrap_or(true),
    })
}

/// Reads a rate.
pub(super) fn rate(pointer: &str, raw: &RawRate) -> Result<Rate, StrictError> {
    for (member, currency) in [("from", &raw.from), ("to", &raw.to)] {
        parsed(format!("{pointer}/{member}"), currency.parse::<Currency>())?;
    }
    if (raw.from == HKD) == (raw.to == HKD) {
        return Err(StrictError::new(format!("{pointer}/to"), "one of the two currencies is HKD"));
    }
    let positive = |member: &str, text: &str| {
        let read = parsed(format!("{pointer}/{member}"), Decimal::parse(text, RATE_DECIMALS_MAX))?;
        if read.mantissa > 0 {
            return Ok(read.trimmed());
        }
        Err(StrictError::new(format!("{pointer}/{member}"), "a rate is more than nothing"))
    };
    let day = |member: &str, text: &Option<String>| {
        parsed(format!("{pointer}/{member}"), text.as_deref().map(str::parse).transpose())
    };
    let (date, since) = (day("date", &raw.date)?, day("since", &raw.since)?);
    if since.is_some() && since > date {
        let reason = "the average of a period has a `date` too, its last day, which is no earlier";
        return Err(StrictError::new(format!("{pointer}/since"), reason));
    }
    let source = raw.source.as_deref().map(str::trim).filter(|source| !source.is_empty());
    Ok(Rate {
        from: raw.from.clone(),
        units: positive("units", raw.units.as_deref().unwrap_or("1"))?,
        to: raw.to.clone(),
        rate: positive("rate", &raw.rate)?,
        source: source.map(str::to_owned),
        date,
        since,
    })
}

fn years(texts: &[String]) -> Result<Vec<Year>, StrictError> {
    let mut years = BTreeSet::new();
    for (place, text) in texts.iter().enumerate() {
        let year: Year = parsed(format!("/years/{place}"), text.parse())?;
        if !years.insert(year) {
            return Err(StrictError::new(format!("/years/{place}"), format!("{year} is there twice")));
        }
    }
    Ok(years.into_iter().collect())
}

/// The places of events that others correct or reverse.
fn corrections(events: &[RawEvent], places: &BTreeMap<&str, usize>) -> Result<BTreeSet<usize>, StrictError> {
    let mut left_out = BTreeSet::new();
    // What each event corrects, to find those that correct each other.
    let mut earlier: BTreeMap<usize, usize> = BTreeMap::new();
    for (place, event) in events.iter().enumerate() {
        let (member, target) = match (&event.corrects, &event.reverses) {
            (Some(target), _) => ("corrects", target),
            (None, Some(target)) => ("reverses", target),
            (None, None) => continue,
        };
        let wrong = |reason: String| StrictError::new(format!("/events/{place}/{member}"), reason);
        let found = places.get(target.as_str()).copied();
        let found = found.ok_or_else(|| wrong(format!("there is no event {target:?}")))?;
        let other = events.get(found).map(|other| other.nature);
        if found == place || (member == "corrects" && other != Some(event.nature)) {
            return Err(wrong(format!("{target:?} is not another event of the same nature")));
        }
        if member == "reverses" && other == Some(RawNature::Reversal) {
            return Err(wrong(format!("{target:?} is a reversal itself; enter the event again instead")));
        }
        if !left_out.insert(found) {
            return Err(wrong(format!("{target:?} is corrected or reversed already; name the newest one")));
        }
        earlier.insert(place, found);
    }
    for (place, first) in &earlier {
        let mut at = *first;
        while let Some(next) = earlier.get(&at) {
            if next == place {
                let reason = "these events correct each other in a circle";
                return Err(StrictError::new(format!("/events/{place}/corrects"), reason));
            }
            if *next == at {
                break;
            }
            at = *next;
        }
    }
    Ok(left_out)
}
