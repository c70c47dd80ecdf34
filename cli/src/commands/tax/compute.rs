//! `chopmark tax compute`: the schedule, year by year and right by right.

use chopmark_core::tax::Report as TaxReport;
use chopmark_core::tax::lines::{Kind, Line};
use chopmark_core::tax::rules::Status;
use chopmark_core::tax::steps::Step;
use chopmark_core::tax::words::{Group, Language, flag_sentence, say, sentence};
use serde_json::{Value, json};

use super::super::Context;
use super::{facts_of, failure, rules_of};
use crate::arguments::TaxComputeArguments;
use crate::exit::{Exit, Failure};
use crate::printer::{Report, Tone};
use crate::units;

/// Computes and shows a report.
///
/// # Errors
/// A usage failure naming the place in the facts by JSON pointer.
pub(super) fn run(context: &Context<'_>, arguments: &TaxComputeArguments) -> Result<Exit, Failure> {
    let language = arguments.jurisdiction.lang;
    let (jurisdiction, rules) = rules_of(&arguments.jurisdiction)?;
    let facts = facts_of(&arguments.input)?;
    let computed = jurisdiction.compute(&facts, &rules).map_err(|error| failure(&arguments.input, error))?;
    let members = members(&computed, jurisdiction.code(), language)?;
    let shown = schedule(&facts.taxpayer.name, &computed, language);
    context.done(members, &shown)
}

/// The document: the report as the core has it, with what is said in the language asked for.
fn members(computed: &TaxReport<'_>, code: &str, language: Language) -> Result<Value, Failure> {
    let mut members = serde_json::to_value(computed).map_err(|error| Failure::internal(error.to_string()))?;
    add_text(&mut members, "lines", computed.lines.iter().map(|line| sentence(line, language)));
    add_text(&mut members, "flags", computed.flags.iter().map(|flag| flag_sentence(flag, language)));
    if let Value::Object(members) = &mut members {
        members.insert("rules".to_owned(), code.into());
        members.insert("language".to_owned(), language.tag().into());
        members.insert("notice".to_owned(), say(Group::Sentence, "indicative", language).into());
    }
    Ok(members)
}

fn add_text(members: &mut Value, list: &str, texts: impl Iterator<Item = String>) {
    let entries = members.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
    for (entry, text) in entries.zip(texts) {
        if let Value::Object(entry) = entry {
            entry.insert("text".to_owned(), json!(text));
        }
    }
}

fn schedule(name: &str, computed: &TaxReport<'_>, language: Language) -> Report {
    let mut report = Report::default().line(name);
    let label = |code: &str| say(Group::Label, code, language);
    for total in &computed.totals {
        report = report.line(String::new()).line(format!("{} {}", label("year"), total.year));
        for line in computed.lines.iter().filter(|line| line.year == total.year) {
            report = rows(report, line, language);
        }
        let sums = [
            (Kind::Deduction, total.deduction),
            (Kind::Receipt, total.receipt),
            (Kind::Withholding, total.withholding),
            (Kind::Concession, total.concession),
        ];
        let sums = sums.into_iter().filter(|(kind, sum)| !sum.is_zero() || *kind == Kind::Deduction);
        let sums: Vec<String> =
            sums.map(|(kind, sum)| format!("{} {sum}", say(Group::Kind, kind.as_str(), language))).collect();
        report = report.line(format!("     {}: {}", label("total"), sums.join(", ")));
    }
    if !computed.flags.is_empty() {
        report = report.line(String::new());
    }
    for flag in &computed.flags {
        let events = if flag.events.is_empty() { String::new() } else { format!(" [{}]", flag.events.join(", ")) };
        let text = flag_sentence(flag, language);
        report = report.line(format!("{} {}: {text}{events}", label("flag"), flag.code.as_str()));
    }
    let lines = units::count(units::length(computed.lines.len()), "line");
    report
        .line(format!("{} {}", label("rules"), computed.rules_digest))
        .line(say(Group::Sentence, "indicative", language))
        .headline(
            Tone::Neutral,
            format!("COMPUTED: {lines}, {}", units::count(units::length(computed.flags.len()), "flag")),
        )
}

/// A line: what and how much, then why, where it is written, and the arithmetic.
fn rows(report: Report, line: &Line<'_>, language: Language) -> Report {
    let proposed = if line.status == Status::Proposed {
        format!("  [{}]", say(Group::Status, line.status.as_str(), language))
    } else {
        String::new()
    };
    let review = if line.needs_review { "  [needs_review]" } else { "" };
    let kind = say(Group::Kind, line.kind.as_str(), language);
    let asset = line.asset.unwrap_or("–");
    let report =
        report.line(format!("{:>3}  {asset}  {kind}  {}  {}{proposed}{review}", line.line, line.section, line.amount));
    let report = match line.reason {
        Some(reason) => {
            report.line(format!("     {}: {}", reason.as_str(), say(Group::Reason, reason.as_str(), language)))
        }
        None => report,
    };
    let report = report.line(format!("     {}", line.citation));
    line.steps.iter().map(Step::to_string).fold(report, |report, step| report.line(format!("     {step}")))
}
