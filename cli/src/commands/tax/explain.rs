//! `chopmark tax explain`: one line as a tax officer would want it explained.

use chopmark_core::tax::steps::Step;
use chopmark_core::tax::words::{Group, say, sentence};
use serde_json::json;

use super::super::Context;
use super::{facts_of, failure, rules_of};
use crate::arguments::TaxExplainArguments;
use crate::exit::{Exit, Failure};
use crate::printer::{Report, Tone};

/// Explains a line.
///
/// # Errors
/// A usage failure when the facts can't be computed from, or have no such line.
pub(super) fn run(context: &Context<'_>, arguments: &TaxExplainArguments) -> Result<Exit, Failure> {
    let language = arguments.jurisdiction.lang;
    let (jurisdiction, rules) = rules_of(&arguments.jurisdiction)?;
    let facts = facts_of(&arguments.input)?;
    let computed = jurisdiction.compute(&facts, &rules).map_err(|error| failure(&arguments.input, error))?;
    let Some(line) = computed.lines.iter().find(|line| line.line == arguments.line) else {
        let message = format!("--line {}: the report has the lines 1 to {}", arguments.line, computed.lines.len());
        return Err(Failure::usage(message));
    };
    let label = |code: &str| say(Group::Label, code, language);
    let text = sentence(line, language);
    let mut report = Report::default()
        .row(&label("rule"), line.rule)
        .row(&label("source"), line.citation)
        .row(&label("status"), say(Group::Status, line.status.as_str(), language))
        .row(&label("claimant"), say(Group::Claimant, line.claimant.as_str(), language))
        .row(&label("events"), line.events.join(", "));
    if let Some(slice) = line.slice {
        report = report.row(&label("slice"), format!("{}/{}", slice.number, slice.of));
    }
    for (place, step) in line.steps.iter().map(Step::to_string).enumerate() {
        report = report.row(&if place == 0 { label("arithmetic") } else { String::new() }, step);
    }
    if line.needs_review {
        report = report.line(say(Group::Sentence, "needs_review", language));
    }
    let report = report.line(say(Group::Sentence, "indicative", language)).headline(Tone::Neutral, &text);
    let members = json!({
        "text": text,
        "line": line,
        "rule": rules.named(line.rule),
        "language": language.tag(),
        "notice": say(Group::Sentence, "indicative", language),
        "rules_digest": computed.rules_digest,
    });
    context.done(members, &report)
}
