//! Payments, assets and corrections as a report shows them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Asset, Correction, Counterparty, Payment, Role};
use crate::expenditure::evidence::{Evidence, Status, Version, Versions};
use crate::expenditure::facts::{Figures, Mapped, UsedRate};
use crate::expenditure::opened;
use crate::expenditure::payment::{ExpenditureClaim, Nature};
use crate::expenditure::side::Side;
use crate::money::{Amount, Decimal, RATE_DECIMALS_MAX};
use crate::sealed::Opening;
use crate::statement::StatementId;
use crate::tax::facts::Taxpayer;
use crate::tax::fx::Rate;

/// Every payment of the evidence, by the statement that entered it.
pub(super) fn payments(evidence: &Evidence, mapped: &Mapped) -> BTreeMap<StatementId, Payment> {
    let rows = evidence.payments.values().filter_map(|versions| {
        let row = payment(evidence, versions, mapped.figures.get(&versions.id), &mapped.facts.taxpayer)?;
        Some((versions.id, row))
    });
    rows.collect()
}

fn payment(
    evidence: &Evidence,
    versions: &Versions<ExpenditureClaim>,
    figures: Option<&Figures>,
    taxpayer: &Taxpayer,
) -> Option<Payment> {
    let (version, claim) = versions.said()?;
    let role = if claim.payer.is(evidence.taxpayer) { Role::Payer } else { Role::Payee };
    let other = if role == Role::Payer { &claim.payee } else { &claim.payer };
    let (name, residence) = evidence.describe(other);
    let asset = match (claim.nature, role) {
        (Nature::Purchase, Role::Payee) | (Nature::Disposal, Role::Payer) => claim.counter_asset,
        _ => claim.asset,
    };
    let typed = asset.or(claim.asset).and_then(|id| evidence.assets.get(&id)).and_then(Versions::said);
    let shown = |name: &str| opened_text(&version.openings, name);
    Some(Payment {
        index: versions.latest()?.index,
        entry: versions.id,
        entered_at: versions.all.first()?.index,
        nature: claim.nature,
        role,
        date: claim.on,
        year: taxpayer.year_of(claim.on),
        counterparty: Counterparty {
            party: other.party(),
            name,
            residence,
            associate: evidence.are_associates(&Side::Party(evidence.taxpayer), other, claim.on),
        },
        asset,
        ip_type: typed.map(|(_, asset)| asset.ip_type).or(claim.ip_type),
        licence: claim.licence,
        artefact: claim.artefact,
        credits: claim.credits,
        document: claim.document.clone(),
        file: claim.file,
        gross: figures.map(|figures| figures.amount.to_string()).or_else(|| shown("/amount")),
        currency: figures.map(|figures| figures.currency.to_string()).or_else(|| shown("/currency")),
        credited: figures.filter(|figures| figures.credited.mantissa > 0).map(|figures| figures.credited.to_string()),
        rate: figures.and_then(|figures| figures.rate.clone()),
        hkd: figures.and_then(in_hong_kong_dollars),
        withheld: figures.and_then(|figures| figures.withheld).map(|withheld| withheld.to_string()),
        attested_by: Evidence::attested_by(version, claim),
        status: versions.status(),
    })
}

fn opened_text(openings: &[Opening], name: &str) -> Option<String> {
    opened(openings, name, |text| Ok(text.to_owned())).ok().flatten()
}

/// What is left of a payment in Hong Kong dollars, converted as the engine converts.
fn in_hong_kong_dollars(figures: &Figures) -> Option<Amount> {
    let net = figures.net();
    let Some(used) = &figures.rate else { return Some(Amount::from_cents(net.mantissa)) };
    rate(used)?.convert(net.mantissa, figures.currency).ok().map(|(amount, _)| amount)
}

fn rate(used: &UsedRate) -> Option<Rate> {
    let number = |text: &str| Decimal::parse(text, RATE_DECIMALS_MAX).ok().map(Decimal::trimmed);
    Some(Rate {
        from: used.from.clone(),
        units: number(&used.units)?,
        to: used.to.clone(),
        rate: number(&used.rate)?,
        source: used.source.clone(),
        date: used.date,
        since: None,
    })
}

/// An asset as it stands, or stood before it was reversed.
pub(super) fn asset(evidence: &Evidence, id: StatementId) -> Option<Asset> {
    let (_, claim) = evidence.assets.get(&id)?.said()?;
    Some(Asset {
        id,
        title: claim.title.clone(),
        ip_type: claim.ip_type,
        jurisdiction: claim.jurisdiction.as_str().to_owned(),
        registration_number: claim.registration_number.clone(),
        registered_on: claim.registered_on,
        protection_ends: claim.protection_ends,
    })
}

/// Every correction, in the order of the log.
pub(super) fn corrections(evidence: &Evidence) -> Vec<Correction> {
    let assets = evidence.assets.values().flat_map(|asset| pairs(asset, "asset"));
    let uses = evidence.uses.values().flat_map(|used| pairs(used, "use"));
    let payments = evidence.payments.values().flat_map(|payment| pairs(payment, "expenditure"));
    let mut all: Vec<Correction> = assets.chain(uses).chain(payments).collect();
    all.sort_by_key(|correction| correction.after);
    all
}

/// Each version with the one that took its place.
fn pairs<'a, T: Serialize>(
    versions: &'a Versions<T>,
    kind: &'static str,
) -> impl Iterator<Item = Correction> + use<'a, T> {
    versions.all.iter().zip(versions.all.iter().skip(1)).filter_map(move |(before, after)| {
        let shown = |version: &Version<T>, name: &str| {
            version.claim.as_ref()?;
            opened_text(&version.openings, name)
        };
        let (amount, currency, fraction) = ("/amount", "/currency", "/fraction");
        Some(Correction {
            entry: versions.id,
            kind,
            before: before.index,
            after: after.index,
            correction: after.id,
            reason: after.reason?,
            status: if after.claim.is_some() { Status::Corrected } else { Status::Reversed },
            changed: changed(before, after),
            amount_before: shown(before, amount),
            currency_before: shown(before, currency),
            amount_after: shown(after, amount),
            currency_after: shown(after, currency),
            fraction_before: shown(before, fraction),
            fraction_after: shown(after, fraction),
        })
    })
}

/// What one version says otherwise than the one before; commitments differ always, and say nothing.
fn changed<T: Serialize>(before: &Version<T>, after: &Version<T>) -> BTreeSet<String> {
    let members = |version: &Version<T>| match serde_json::to_value(version.claim.as_ref()) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    };
    let (was, is) = (members(before), members(after));
    if was.is_empty() || is.is_empty() {
        return BTreeSet::new();
    }
    let names = was.keys().chain(is.keys()).filter(|name| *name != "sealed" && was.get(*name) != is.get(*name));
    let fields = before
        .openings
        .iter()
        .flat_map(|was| after.openings.iter().filter(move |is| is.field == was.field && is.value() != was.value()));
    let fields = fields.map(|opening| opening.field.as_str().trim_start_matches('/').to_owned());
    names.cloned().chain(fields).collect()
}
