//! `chopmark licence list` and `offers`: licences that are granted, and what is offered, as the service shows them.

use chopmark_core::statement::StatementId;
use chopmark_core::terms::TermsId;
use chopmark_core::time::Timestamp;
use serde_json::{Value, json};

use crate::arguments::{LicenceListArguments, LicenceOffersArguments, LicensingListArguments};
use crate::client::Client;
use crate::commands::Context;
use crate::config::Overrides;
use crate::exit::{Exit, Failure};
use crate::printer::{Report, Tone};
use crate::units;

/// Lists licences.
///
/// # Errors
/// A network or service failure.
pub(super) fn run(context: &Context<'_>, arguments: &LicenceListArguments) -> Result<Exit, Failure> {
    let settings = context.settings(Overrides::default())?;
    let client = Client::of(&settings)?;
    let mut query = query(&client, &arguments.list)?;
    query.extend(arguments.status.as_ref().map(|status| format!("status={status}")));
    query.extend(arguments.in_force_on.map(|day| format!("in_force_on={day}")));
    let page = client.licences(&query.join("&"))?;
    let report = page.licences.iter().fold(Report::default(), |report, licence| {
        let until = licence
            .get("ends_on")
            .and_then(Value::as_str)
            .map_or("without end".to_owned(), |day| format!("until {day}"));
        let line = format!(
            "{}  {:<10}  from {} {until}  {}",
            word(licence, "id"),
            word(licence, "status"),
            word(licence, "starts_on"),
            word(licence, "terms_id"),
        );
        report.line(line)
    });
    let count = units::count(units::length(page.licences.len()), "licence");
    let report = report.headline(Tone::Neutral, format!("{count}, as {} shows them", client.url()));
    let report = and_more(report, page.next.as_deref());
    context.done(json!({ "applied_size": page.applied_size, "licences": page.licences, "next": page.next }), &report)
}

/// Lists offers.
///
/// # Errors
/// A network or service failure.
pub(super) fn offers(context: &Context<'_>, arguments: &LicenceOffersArguments) -> Result<Exit, Failure> {
    let settings = context.settings(Overrides::default())?;
    let client = Client::of(&settings)?;
    let mut query = query(&client, &arguments.list)?;
    if !arguments.all {
        query.push(format!("open_at={}", Timestamp::from(chrono::Utc::now())));
    }
    let page = client.offers(&query.join("&"))?;
    let shown =
        |id: &str, prefix: &str| id.parse::<StatementId>().map_or(id.to_owned(), |id| id.shown(prefix).to_string());
    let report = page.offers.iter().fold(Report::default(), |report, offer| {
        let artefacts = offer.get("artefacts").and_then(Value::as_array);
        let artefacts = artefacts.into_iter().flatten().filter_map(Value::as_str).map(|id| shown(id, "art"));
        let to = offer.get("licensee").and_then(Value::as_str).map_or("anybody".to_owned(), |id| shown(id, "pty"));
        let terms = word(offer, "terms_id");
        let line = format!(
            "{}  until {}  by {}  to {to}  {}  {}",
            word(offer, "id"),
            word(offer, "expires_at"),
            shown(&word(offer, "licensor"), "pty"),
            terms.parse::<TermsId>().map_or(terms, |id| id.shown().to_string()),
            artefacts.collect::<Vec<_>>().join(" "),
        );
        report.line(line)
    });
    let count = units::count(units::length(page.offers.len()), "offer");
    let report = report.headline(Tone::Neutral, format!("{count}, as {} shows them", client.url()));
    let report = if page.offers.is_empty() { report } else { report.next("chopmark licence accept OFFER") };
    let report = and_more(report, page.next.as_deref());
    context.done(json!({ "applied_size": page.applied_size, "offers": page.offers, "next": page.next }), &report)
}

/// What both lists are asked by.
fn query(client: &Client, list: &LicensingListArguments) -> Result<Vec<String>, Failure> {
    let LicensingListArguments { artefact, licensor, licensee, limit, cursor } = list;
    let mut query = vec![format!("limit={limit}")];
    if let Some(artefact) = artefact {
        query.push(format!("artefact={}", client.artefact(artefact)?.artefact_id));
    }
    for (name, party) in [("licensor", licensor), ("licensee", licensee)] {
        if let Some(party) = party {
            query.push(format!("{name}={}", client.party(party)?.party_id));
        }
    }
    query.extend(cursor.as_ref().map(|cursor| format!("cursor={cursor}")));
    Ok(query)
}

fn word(described: &Value, name: &str) -> String {
    described.get(name).and_then(Value::as_str).unwrap_or("-").to_owned()
}

/// How to see the rest.
fn and_more(report: Report, next: Option<&str>) -> Report {
    match next {
        Some(next) => report.next(format!("the same with --cursor {next}")),
        None => report,
    }
}
