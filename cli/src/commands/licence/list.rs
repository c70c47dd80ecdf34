//! `chopmark licence list`: licences that are granted, as the service shows them.

use serde_json::{Value, json};

use crate::arguments::LicenceListArguments;
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
    let mut query = vec![format!("limit={}", arguments.limit)];
    if let Some(artefact) = &arguments.artefact {
        query.push(format!("artefact={}", client.artefact(artefact)?.artefact_id));
    }
    for (name, party) in [("licensor", &arguments.licensor), ("licensee", &arguments.licensee)] {
        if let Some(party) = party {
            query.push(format!("{name}={}", client.party(party)?.party_id));
        }
    }
    query.extend(arguments.status.as_ref().map(|status| format!("status={status}")));
    query.extend(arguments.in_force_on.map(|day| format!("in_force_on={day}")));
    query.extend(arguments.cursor.as_ref().map(|cursor| format!("cursor={cursor}")));
    let page = client.licences(&query.join("&"))?;
    let word = |licence: &Value, name: &str| licence.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
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
    let report = match &page.next {
        Some(next) => report.next(format!("the same with --cursor {next}")),
        None => report,
    };
    context.done(json!({ "applied_size": page.applied_size, "licences": page.licences, "next": page.next }), &report)
}
