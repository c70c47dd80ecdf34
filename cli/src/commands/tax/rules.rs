//! `chopmark tax rules`: the rule set as a table.

use chopmark_core::tax::rules::{Rule, Status};
use chopmark_core::tax::words::{Group, Language, say};
use serde_json::{Value, json};

use super::super::Context;
use super::rules_of;
use crate::arguments::TaxRulesArguments;
use crate::exit::{Exit, Failure};
use crate::printer::{Report, Tone};
use crate::units;

/// Lists rules.
///
/// # Errors
/// A usage failure for a jurisdiction without rules.
pub(super) fn run(context: &Context<'_>, arguments: &TaxRulesArguments) -> Result<Exit, Failure> {
    let language = arguments.jurisdiction.lang;
    let (_, rules) = rules_of(&arguments.jurisdiction)?;
    let wanted = |rule: &&Rule| {
        let is_wanted = rule.status == Status::Enacted || arguments.proposed;
        let is_proposed = rule.status == Status::Proposed;
        is_wanted && (is_proposed || arguments.as_of.is_none_or(|day| rule.in_force(day)))
    };
    let listed: Vec<&Rule> = rules.rules().iter().filter(wanted).collect();
    let report = listed.iter().fold(Report::default(), |report, rule| rows(report, rule, language));
    let number = units::count(units::length(listed.len()), "rule");
    let members = json!({
        "rules": listed,
        "as_of": arguments.as_of.map(|day| day.to_string()),
        "rules_digest": rules.digest(),
    });
    context.done(members, &report.headline(Tone::Neutral, format!("{number}; the whole set is {}", rules.digest())))
}

fn rows(report: Report, rule: &Rule, language: Language) -> Report {
    let to = rule.period.to_text().unwrap_or_default();
    let enacted = rule.enacted.map(|enacted| format!(" ({enacted})")).unwrap_or_default();
    let period = format!("{}–{to}{enacted}", rule.period.from_text());
    let what = say(Group::Section, &rule.section, language);
    let status = match rule.status {
        Status::Enacted => String::new(),
        Status::Proposed => format!("  [{}]", say(Group::Status, rule.status.as_str(), language)),
    };
    let mut report = report
        .line(format!("{}  {}  {period}{status}", rule.id, rule.section))
        .line(format!("    {what}: {}", rule.citation));
    if !rule.applies_to.is_empty() {
        let things = rule.applies_to.iter().map(|thing| say(Group::IpType, thing, language));
        report = report.line(format!("    {}", things.collect::<Vec<_>>().join(", ")));
    }
    let figures: Vec<String> = rule
        .parameters
        .iter()
        .map(|(name, value)| match serde_json::to_value(value) {
            Ok(Value::String(text)) => format!("{name} {text}"),
            Ok(value) => format!("{name} {value}"),
            Err(_) => name.clone(),
        })
        .collect();
    if figures.is_empty() { report } else { report.line(format!("    {}", figures.join(", "))) }
}
