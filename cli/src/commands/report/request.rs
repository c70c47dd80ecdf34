//! `chopmark report ip-expenditure`: asks for a report, checks it as a stranger would, and only then writes it.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::report::{self, ExportNote, Totals, Verified};
use chopmark_core::tax::year::Year;
use serde_json::{Map, Value, json};

use super::{ASSERTED, PROVEN, signed};
use crate::arguments::{IpExpenditureArguments, ReasonArguments};
use crate::client::{Asked, Client, Made, ReportRequest};
use crate::commands::search::encode;
use crate::commands::{Context, bundle, token};
use crate::config::Overrides;
use crate::exit::{Exit, Failure};
use crate::files::{self, Access};
use crate::printer::{Printer, Report, Tone};
use crate::trust::Contact;
use crate::units;

/// What a report can be written as.
const FORMATS: [&str; 5] = ["json", "csv", "xlsx", "pdf", "parquet"];

/// Has a report made, and writes it.
///
/// # Errors
/// A usage failure when something is in the way; a proof failure when what comes does not hold; otherwise as the registry
/// answers.
pub(super) fn run(context: &Context<'_>, arguments: &IpExpenditureArguments) -> Result<Exit, Failure> {
    let settings =
        context.settings(Overrides { party: arguments.login.party.clone(), trust: arguments.trust.clone() })?;
    let formats = formats(&arguments.format)?;
    if arguments.bom && !formats.contains(&"csv") {
        return Err(Failure::usage("--bom: only CSV begins with a byte order mark; add csv to --format"));
    }
    let base = arguments.out.join(format!("ip-{}", name(&arguments.years)));
    let paths: Vec<PathBuf> = formats.iter().map(|format| base.with_added_extension(format)).collect();
    for path in paths.iter().flat_map(|path| [path.clone(), signed::path_of(path)]) {
        if path.symlink_metadata().is_ok() {
            let message =
                format!("{} exists and is left as it is; choose another directory with --out", path.display());
            return Err(Failure::usage(message));
        }
    }
    let client = Client::of(&settings)?;
    let contact = Contact::meet(&settings, &client)?;
    contact.pin(&settings.directories, context.printer)?;
    let taxpayer = match &arguments.taxpayer {
        Some(taxpayer) => taxpayer.clone(),
        None => token::own_party(&settings, &contact.registry)?,
    };
    let request = ReportRequest {
        query: query(&client, arguments, &taxpayer)?,
        size: arguments.as_of,
        case_reference: arguments.reason.case_reference.clone(),
        purpose: arguments.reason.purpose.clone(),
    };
    let token = token::at_hand(&settings, &client, &contact)?;
    let made = make(&client, &request, &token, context.printer)?;
    let bytes = client.report_bytes(&made.id, &reason(&arguments.reason, '?'), &token)?;
    if Sha256Digest::of(&bytes) != made.id {
        return Err(Failure::proof("the report that came is not the one that was made"));
    }
    // As whoever is given the file will check it.
    let verified = report::verify(&bytes, &contact.trust.policy)?;
    let mut written = vec![(base.with_added_extension("json"), bytes)];
    for format in formats.iter().filter(|format| **format != "json") {
        let bom = arguments.bom && *format == "csv";
        let (lang, more) = (arguments.lang.tag(), if bom { "&bom=true" } else { "" });
        let query = format!("?format={format}&lang={lang}{more}{}", reason(&arguments.reason, '&'));
        let export = client.report_bytes(&made.id, &format!("/export{query}"), &token)?;
        let note = client.export_signature(&made.id, &query, &token)?;
        let expected = ExportNote {
            origin: contact.registry.origin.clone(),
            report: made.id,
            size: verified.head.size,
            root: verified.head.root,
            form: format!("{format}{} {lang}", if bom { "+bom" } else { "" }),
            digest: Sha256Digest::of(&export),
        };
        check_signature(&contact, &expected, &note)?;
        let path = base.with_added_extension(format);
        written.push((signed::path_of(&path), note));
        written.push((path, export));
    }
    std::fs::create_dir_all(&arguments.out).map_err(|error| Failure::file("make", &arguments.out, &error))?;
    for (path, bytes) in &written {
        // Amounts are for those who asked.
        files::create(path, bytes, Access::Private).map_err(|error| Failure::file("write", path, &error))?;
    }
    let files: Vec<String> = written.iter().map(|(path, _)| files::text(path).into_owned()).collect();
    let mut members = members(&verified)?;
    members.insert("id".to_owned(), json!(made.id));
    members.insert("files".to_owned(), json!(files));
    let report = described(&verified)
        .row("files", files.join(", "))
        .headline(Tone::Good, format!("REPORTED: {}", lines(&verified)))
        .next(format!("chopmark report verify {}", bundle::shell_word(&base.with_added_extension("json"))));
    context.done(Value::Object(members), &report)
}

/// The formats asked for, the report itself first and none twice.
fn formats(asked: &[String]) -> Result<Vec<&'static str>, Failure> {
    let mut formats = vec!["json"];
    for format in asked {
        let Some(known) = FORMATS.iter().find(|known| *known == format) else {
            return Err(Failure::usage(format!("--format {format}: there are {}", FORMATS.join(", "))));
        };
        if !formats.contains(known) {
            formats.push(known);
        }
    }
    Ok(formats)
}

/// What the files are called after: `2026-27`, `2024-25-to-2026-27`, `all`.
fn name(years: &[Year]) -> String {
    let word = |year: &Year| year.to_string().replace('/', "-");
    match (years.iter().min(), years.iter().max()) {
        (Some(first), Some(last)) if first == last => word(first),
        (Some(first), Some(last)) => format!("{}-to-{}", word(first), word(last)),
        _ => "all".to_owned(),
    }
}

/// The query as the registry takes it.
fn query(client: &Client, arguments: &IpExpenditureArguments, taxpayer: &str) -> Result<Value, Failure> {
    let mut query = Map::new();
    let mut put = |name: &str, value: Value| {
        let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        if !is_empty {
            query.insert(name.to_owned(), value);
        }
    };
    let (mut years, mut rules) = (arguments.years.clone(), arguments.proposed_rules.clone());
    years.sort_unstable();
    years.dedup();
    rules.sort_unstable();
    rules.dedup();
    let side = |id: Option<&String>| -> Result<Value, Failure> {
        match id {
            Some(id) => Ok(json!({ "party": client.party(id)?.party_id })),
            None => Ok(Value::Null),
        }
    };
    put("taxpayer", json!(taxpayer));
    put("years", json!(years));
    put("proposed_rules", json!(rules));
    put("payer", side(arguments.payer.as_ref())?);
    put("payee", side(arguments.payee.as_ref())?);
    put("ip_type", json!(arguments.ip_type));
    put("nature", json!(arguments.nature));
    put("place", json!(arguments.place.as_ref().map(chopmark_core::code::Jurisdiction::as_str)));
    put("associate", json!(arguments.associate));
    put("amount_min", json!(arguments.amount_min));
    put("amount_max", json!(arguments.amount_max));
    put("flag", json!(arguments.flag));
    put("status", json!(arguments.status));
    Ok(Value::Object(query))
}

/// Asks until it is there.
///
/// # Errors
/// As the registry answers.
pub(super) fn make(client: &Client, request: &ReportRequest, token: &str, printer: &Printer) -> Result<Made, Failure> {
    loop {
        match client.ask_for_report(request, token)? {
            Asked::Made(made) => return Ok(made),
            Asked::Working(working, seconds) => {
                let entries = working.entries.map_or_else(String::new, |entries| {
                    format!(
                        ", which rests on {}",
                        if entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") }
                    )
                });
                printer.note(format!("the registry is {} the report{entries}", working.stage));
                thread::sleep(Duration::from_secs(seconds));
            }
        }
    }
}

/// Why it is read, for a query.
pub(super) fn reason(reason: &ReasonArguments, begin: char) -> String {
    match (&reason.case_reference, &reason.purpose) {
        (Some(case_reference), Some(purpose)) => {
            format!("{begin}case_reference={}&purpose={}", encode(case_reference), encode(purpose))
        }
        _ => String::new(),
    }
}

/// Whether the log's key signed just these bytes as just this export of just this report.
fn check_signature(contact: &Contact, expected: &ExportNote, note: &[u8]) -> Result<(), Failure> {
    let wrong = |reason: &str| Failure::proof(format!("the signature over the export does not hold: {reason}"));
    let note = core::str::from_utf8(note).map_err(|_| wrong("it is no text"))?;
    let text = report::open_note(note, &contact.log_key).map_err(|error| wrong(&error.to_string()))?;
    if text == expected.text() { Ok(()) } else { Err(wrong("it is of something else")) }
}

/// How much there is in a report.
pub(super) fn lines(verified: &Verified) -> String {
    let lines = units::count(units::length(verified.report.lines.len()), "line");
    format!("{lines}, {}", units::count(units::length(verified.report.flags.len()), "flag"))
}

/// What a report says, in a few rows.
pub(super) fn described(verified: &Verified) -> Report {
    let (report, head) = (&verified.report, &verified.head);
    let brn = report.taxpayer.brn.as_deref().map_or_else(String::new, |brn| format!(", {brn}"));
    let years: Vec<String> = report.query.years.iter().map(ToString::to_string).collect();
    let years = if years.is_empty() { "all years".to_owned() } else { years.join(", ") };
    let mut described = Report::default()
        .row("taxpayer", format!("{}{brn} (self-declared)", report.taxpayer.name.display()))
        .row("years", years)
        .row("registry", format!("{} at {} entries", head.registry.origin, head.size))
        .row(
            "rests on",
            format!("{} entries, {} rules {}", verified.items.len(), report.jurisdiction, report.rules_digest),
        );
    for (label, amount) in sums(&report.breakdown.totals) {
        if !amount.is_zero() {
            described = described.row(label, format!("{amount} HKD"));
        }
    }
    let codes: Vec<&str> = report.flags.iter().map(|flag| flag.code.as_str()).collect();
    if !codes.is_empty() {
        described = described.row("flags", codes.join(", "));
    }
    for set_aside in &report.set_aside {
        described = described.row("set aside", format!("entry {}: {}", set_aside.index, set_aside.reason));
    }
    if report.left_out > 0 {
        let left_out =
            format!("{} of entries, which others alone say of the taxpayer: there are too many", report.left_out);
        described = described.row("left out", left_out);
    }
    described.row("proven", PROVEN).row("its word", ASSERTED)
}

const fn sums(totals: &Totals) -> [(&'static str, chopmark_core::money::Amount); 4] {
    [
        ("deductions", totals.deduction),
        ("receipts", totals.receipt),
        ("withholding", totals.withholding),
        ("concessions", totals.concession),
    ]
}

/// The same for programs.
///
/// # Errors
/// When it can't be written, which none causes.
pub(super) fn members(verified: &Verified) -> Result<Map<String, Value>, Failure> {
    let (report, head) = (&verified.report, &verified.head);
    let value = json!({
        "taxpayer": report.taxpayer,
        "years": report.query.years,
        "registry": head.registry,
        "size": head.size,
        "root": head.root,
        "jurisdiction": report.jurisdiction,
        "rules_digest": report.rules_digest,
        "openings_digest": report.openings_digest,
        "lines": report.lines.len(),
        "flags": report.flags,
        "set_aside": report.set_aside,
        "left_out": report.left_out,
        "totals": report.breakdown.totals,
        "entries": verified.items.len(),
        "proven": PROVEN,
        "asserted": ASSERTED,
    });
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(Failure::internal("the facts about a report are no object")),
    }
}
