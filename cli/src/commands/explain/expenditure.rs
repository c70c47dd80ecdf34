//! Statements about expenditure in plain words.

use chopmark_core::expenditure::{
    AssetClaim, CorrectionClaim, ExpenditureClaim, Replacement, Side, TaxProfileClaim, UseClaim,
};
use chopmark_core::kind::Claim;
use serde::Serialize;
use serde_json::Value;

use super::{Row, all_names, party_words, word};
use crate::statement_file::StatementFile;

/// Every member of a claim of these kinds.
pub(super) fn explain(file: &StatementFile, claim: &Claim, rows: &mut Vec<Row>) {
    match claim {
        Claim::Asset(claim) => {
            rows.push(("says", "we have this right".to_owned()));
            asset(file, claim, rows);
        }
        Claim::Expenditure(claim) => {
            rows.push(("says", format!("{} was paid on {}; the figures are sealed", word(claim.nature), claim.on)));
            payment(file, claim, rows);
        }
        Claim::Use(claim) => {
            rows.push(("says", "we used this right; how much of it is sealed".to_owned()));
            used(claim, rows);
        }
        Claim::Relation(claim) => {
            rows.push(("says", format!("we are associates: {}", word(claim.relation))));
            rows.push(("with", side(file, &claim.other)));
            rows.push(("from", claim.from.to_string()));
            rows.extend(claim.until.map(|until| ("until", format!("{until}, that day not included"))));
        }
        Claim::TaxProfile(claim) => profile(claim, rows),
        Claim::FxRate(claim) => {
            let (units, from, rate, to) = (&claim.units, claim.from, &claim.rate, claim.to);
            rows.push(("says", format!("{units} {from} are {rate} {to}")));
            rows.push(("source", claim.source.clone()));
            rows.push(("date", claim.date.to_string()));
        }
        Claim::Correction(claim) => correction(file, claim, rows),
        _ => {}
    }
    figures(file, rows);
}

/// The sealed figures, where the file opens them: whoever signs sees what is sealed.
fn figures(file: &StatementFile, rows: &mut Vec<Row>) {
    let openings = file.submission.openings.iter().flat_map(|openings| &openings.fields);
    for opening in openings {
        let Some(value) = opening.value().and_then(|value| serde_json::from_slice::<Value>(value).ok()) else {
            continue;
        };
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        rows.push(("sealed", format!("{} {text}", opening.field.as_str().trim_start_matches('/'))));
    }
}

/// One line about what a claim of these kinds does.
pub(super) fn words(claim: &Claim) -> String {
    match claim {
        Claim::Expenditure(claim) => format!("{} is paid under {}", word(claim.nature), claim.document),
        Claim::Asset(claim) => format!("the right {} in {}", claim.title.display(), claim.jurisdiction.as_str()),
        Claim::Use(claim) => format!("use in {}", claim.year),
        Claim::Relation(_) => "associates are named".to_owned(),
        Claim::TaxProfile(claim) => format!("how a party is assessed from {} on", claim.from),
        Claim::FxRate(claim) => format!("a rate from {} to {} on {}", claim.from, claim.to, claim.date),
        Claim::Correction(claim) => format!("{} is corrected", claim.entry),
        _ => String::new(),
    }
}

fn side(file: &StatementFile, side: &Side) -> String {
    match side {
        Side::Party(party) => party_words(file, party),
        Side::Outside(outside) => format!("{} in {} (not registered)", outside.name, outside.jurisdiction.as_str()),
    }
}

fn asset(file: &StatementFile, claim: &AssetClaim, rows: &mut Vec<Row>) {
    rows.push(("title", all_names(&claim.title)));
    rows.push(("type", word(claim.ip_type)));
    rows.push(("in", claim.jurisdiction.as_str().to_owned()));
    rows.push(("registered", if claim.registered { "yes" } else { "no" }.to_owned()));
    rows.extend(claim.registration_number.clone().map(|number| ("number", number)));
    rows.extend(claim.registered_on.map(|day| ("since", day.to_string())));
    rows.extend(claim.protection_ends.map(|day| ("protected until", day.to_string())));
    rows.extend(claim.software.map(|is| ("software", is.to_string())));
    rows.extend(claim.artefacts.iter().map(|artefact| ("covers", artefact.to_string())));
    rows.extend(claim.lapse.as_ref().map(|lapse| ("ended", format!("{}: {}", lapse.on, word(lapse.cause)))));
    if let Some(left) = &claim.title_left {
        rows.push(("title left", format!("{}, to {}", left.on, side(file, &left.to))));
    }
    if let Some(succession) = &claim.succession {
        let from = side(file, &succession.predecessor);
        let year_end = succession.year_end.map_or(String::new(), |day| format!(", whose year ended on {day}"));
        rows.push(("came from", format!("{from} on {}{year_end}", succession.on)));
    }
}

fn payment(file: &StatementFile, claim: &ExpenditureClaim, rows: &mut Vec<Row>) {
    rows.push(("payer", side(file, &claim.payer)));
    rows.push(("payee", side(file, &claim.payee)));
    rows.push(("document", claim.document.clone()));
    rows.extend(claim.file.map(|digest| ("its SHA-256", digest.to_string())));
    for (label, id) in [
        ("for the asset", claim.asset),
        ("the other side's", claim.counter_asset),
        ("under the licence", claim.licence),
        ("artefact", claim.artefact),
        ("credits", claim.credits),
    ] {
        rows.extend(id.map(|id| (label, id.to_string())));
    }
    rows.extend(claim.ip_type.map(|ip_type| ("for a", word(ip_type))));
    members(&claim.details, rows);
}

fn used(claim: &UseClaim, rows: &mut Vec<Row>) {
    rows.push(("asset", claim.asset.to_string()));
    rows.push(("in", claim.year.to_string()));
    rows.push(("by", word(claim.by)));
    rows.extend(claim.taxed_in_hk.map(|is| ("taxed in HK", is.to_string())));
}

fn profile(claim: &TaxProfileClaim, rows: &mut Vec<Row>) {
    rows.push(("says", format!("how we are assessed from {} on", claim.from)));
    members(claim, rows);
}

/// Members that are facts of their own, as `name value`.
fn members<T: Serialize>(value: &T, rows: &mut Vec<Row>) {
    let Ok(Value::Object(members)) = serde_json::to_value(value) else { return };
    for (name, value) in members {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        rows.push(("fact", format!("{name}: {text}")));
    }
}

fn correction(file: &StatementFile, claim: &CorrectionClaim, rows: &mut Vec<Row>) {
    let says = if claim.replacement.is_some() { "another version stands in its place" } else { "it is reversed" };
    rows.push(("says", format!("{says}: {}", word(claim.reason))));
    rows.push(("entry", claim.entry.to_string()));
    rows.push(("follows", claim.prev.to_string()));
    match &claim.replacement {
        Some(Replacement::Asset(claim)) => asset(file, claim, rows),
        Some(Replacement::Expenditure(claim)) => {
            rows.push(("is", format!("{} on {}; the figures are sealed", word(claim.nature), claim.on)));
            payment(file, claim, rows);
        }
        Some(Replacement::Use(claim)) => used(claim, rows),
        None => {}
    }
}
