//! `chopmark search`: artefacts and parties by words and filters, page after page, as the service lists them.

use std::fmt::Write as _;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::time::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::Context;
use super::measuring::{Aim, Measuring, image_digests, place, require};
use crate::arguments::SearchArguments;
use crate::client::Client;
use crate::config::Overrides;
use crate::exit::{Exit, Failure};
use crate::interrupt;
use crate::printer::{Report, Tone};
use crate::units;

/// Most rows of one page, as the service has it.
const PAGE_ROWS_MAX: u32 = 100;

/// Searches, and shows what is found.
///
/// # Errors
/// A usage failure when a filter is not of its form; a network or service failure. Nothing found is no failure.
pub(crate) fn run(context: &Context<'_>, arguments: &SearchArguments) -> Result<Exit, Failure> {
    let settings = context.settings(Overrides::default())?;
    interrupt::install(context.printer, context.command)?;
    let client = Client::of(&settings)?;
    let query = query(context, &client, arguments)?;
    let resource = if arguments.parties { "parties" } else { "artefacts" };
    let mut found: Vec<Value> = Vec::new();
    let (mut cursor, mut applied_size) = (None::<String>, 0);
    loop {
        let left = arguments.limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
        let mut path = format!("/v1/{resource}?limit={}{query}", left.min(PAGE_ROWS_MAX));
        if let Some(cursor) = &cursor {
            let _ = write!(path, "&cursor={}", encode(cursor));
        }
        let page = client.search(&path)?;
        applied_size = page.applied_size.max(applied_size);
        let rows = if arguments.parties { page.parties } else { page.artefacts };
        let is_empty = rows.is_empty();
        found.extend(rows.into_iter().take(usize::try_from(left).unwrap_or(usize::MAX)));
        cursor = page.next;
        let is_full = units::length(found.len()) >= u64::from(arguments.limit);
        if cursor.is_none() || is_full || is_empty {
            break;
        }
    }
    let report = found.iter().fold(Report::default(), |report, row| {
        report.line(if arguments.parties { party_line(row) } else { artefact_line(row) })
    });
    let thing = if arguments.parties { "party" } else { "artefact" };
    let number = match (units::length(found.len()), arguments.parties) {
        (1, _) => format!("1 {thing}"),
        (number, true) => format!("{number} parties"),
        (number, false) => format!("{number} artefacts"),
    };
    let more = if cursor.is_some() { ", and there may be more (--limit)" } else { "" };
    let report = report.headline(
        Tone::Neutral,
        format!("{number} found in the first {applied_size} entries of {}{more}", client.url()),
    );
    let members = json!({ resource: found, "applied_size": applied_size, "more": cursor.is_some() });
    context.done(members, &report)
}

/// The filters as a query, each with a leading `&`.
fn query(context: &Context<'_>, client: &Client, arguments: &SearchArguments) -> Result<String, Failure> {
    let SearchArguments { words, digest, owner, kind, licence, jurisdiction, brn, zone, since, file, .. } = arguments;
    let digest = match file {
        Some(_) => Some(measured_digest(context, arguments)?.to_string()),
        None => digest.as_ref().map(|digest| digest.strip_prefix("sha256:").unwrap_or(digest).to_owned()),
    };
    let owner = match owner {
        // The service takes whole ids here; a shown one has to be looked up.
        Some(owner) if owner.parse::<chopmark_core::statement::StatementId>().is_err() => {
            Some(client.party(owner)?.party_id.to_string())
        }
        owner => owner.clone(),
    };
    let since = since.as_deref().map(moment).transpose()?;
    let words = (!words.is_empty()).then(|| words.join(" "));
    let filters = [
        ("q", words),
        ("digest", digest),
        ("owner", owner),
        ("kind", kind.map(word)),
        ("licence", licence.clone()),
        ("jurisdiction", jurisdiction.as_ref().map(|code| code.as_str().to_owned())),
        ("brn", brn.clone()),
        ("zone", zone.map(word)),
        ("since", since.map(|since| since.to_string())),
    ];
    let given = filters.into_iter().filter_map(|(name, value)| Some(format!("&{name}={}", encode(&value?))));
    Ok(given.collect())
}

/// The digest of a file, of the manifest of a directory, or of a container image.
fn measured_digest(context: &Context<'_>, arguments: &SearchArguments) -> Result<Sha256Digest, Failure> {
    let path = arguments.file.as_deref().unwrap_or(std::path::Path::new("."));
    require(path, &arguments.form)?;
    match image_digests(path, &arguments.form)?.as_slice() {
        [] => {}
        [image] => return Ok(*image),
        several => {
            let images: Vec<String> = several.iter().map(|image| format!("sha256:{image}")).collect();
            let (path, images) = (place(path, &arguments.form).display(), images.join(", "));
            return Err(Failure::usage(format!("{path} holds several images; name one with --digest: {images}")));
        }
    }
    let measuring = Measuring::start(arguments.engine, context.printer)?;
    let manifest = measuring.measure(path, Aim::verify(&arguments.form))?.manifest;
    Ok(manifest
        .only_file()
        .filter(|_| place(path, &arguments.form).is_file())
        .map_or_else(|| manifest.digest(), |file| file.sha256))
}

/// A day, which begins at midnight UTC, or a moment as the service takes it.
fn moment(text: &str) -> Result<Timestamp, Failure> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00.000Z") } else { text.to_owned() };
    whole.parse().map_err(|error| Failure::usage(format!("--since {text}: {error}, or a day like 2026-05-02")))
}

/// The word that the service uses for a value.
fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

/// Percent-encodes a value of a query (RFC 3986, unreserved characters stay).
pub(super) fn encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

/// The text of a member, or a dash.
fn text<'v>(row: &'v Value, pointer: &str) -> &'v str {
    row.pointer(pointer).and_then(Value::as_str).unwrap_or("–")
}

/// The first name of an object of names.
pub(super) fn first_name<'v>(row: &'v Value, pointer: &str) -> &'v str {
    let names = row.pointer(pointer).and_then(Value::as_object);
    ["en", "zh-Hant", "zh-Hans"].iter().find_map(|language| names?.get(*language)?.as_str()).unwrap_or("–")
}

fn artefact_line(row: &Value) -> String {
    let mut line = format!(
        "{}  {} {}  {}  {}  {}",
        text(row, "/id"),
        first_name(row, "/claim/name"),
        text(row, "/claim/version"),
        text(row, "/claim/kind"),
        text(row, "/claim/licence/expression"),
        text(row, "/recorded_at").get(..10).unwrap_or("–"),
    );
    let length = |pointer: &str| row.pointer(pointer).and_then(Value::as_array).map_or(0, Vec::len);
    for (pointer, words) in [
        ("/superseded_by", "superseded"),
        ("/conflicts", "shares files with another party's"),
        ("/about/attestations", "attested"),
        ("/about/endorsements", "endorsed"),
    ] {
        if length(pointer) > 0 {
            let _ = write!(line, "  [{words}]");
        }
    }
    line
}

fn party_line(row: &Value) -> String {
    let verified = match row.pointer("/verified_from").and_then(Value::as_u64) {
        Some(index) => format!("verified by the operator at entry {index}"),
        None => "self-declared".to_owned(),
    };
    let alike = row.pointer("/look_alikes").and_then(Value::as_array).map_or(0, Vec::len);
    let alike =
        if alike > 0 { format!("  [{}]", units::count(units::length(alike), "look-alike")) } else { String::new() };
    format!("{}  {}  {}  {verified}{alike}", text(row, "/id"), first_name(row, "/name"), text(row, "/jurisdiction"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_encoded_and_days_are_moments() {
        assert_eq!(encode("Lam 7B&x=1/語"), "Lam%207B%26x%3D1%2F%E8%AA%9E");
        assert_eq!(moment("2026-05-02").unwrap().to_string(), "2026-05-02T00:00:00.000Z");
        assert_eq!(moment("2026-05-02T08:30:00.000Z").unwrap().to_string(), "2026-05-02T08:30:00.000Z");
        for bad in ["yesterday", "2026-13-01", "2026-05-02T08:30"] {
            assert_eq!(moment(bad).unwrap_err().exit, Exit::Usage, "{bad}");
        }
    }
}
