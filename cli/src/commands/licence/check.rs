//! `chopmark licence check`: may these terms be given to something that was made from that?

use std::path::Path;

use chopmark_core::compatibility::{Derivation, Finding, Inputs, Licence, Outcome, Verdict, known};
use chopmark_core::licence::DeclaredLicence;
use chopmark_core::strict;
use chopmark_core::terms::period::Date;
use chopmark_core::terms::vocabulary::{Language, Vocabulary as _};
use chopmark_core::terms::words::Words;
use chrono::Utc;
use serde_json::{Value, json};

use super::read;
use crate::arguments::LicenceCheckArguments;
use crate::commands::Context;
use crate::exit::{Exit, Failure};
use crate::printer::{Report, Tone};
use crate::units;

/// Checks terms against those of the parents.
///
/// # Errors
/// A usage failure for what is neither a file, a licence nor an expression, or when relations don't match parents.
pub(crate) fn run(context: &Context<'_>, arguments: &LicenceCheckArguments) -> Result<Exit, Failure> {
    let relations = relations(arguments)?;
    let mut parents = Vec::new();
    for (parent, relation) in arguments.parents.iter().zip(relations) {
        parents.push((parent.clone(), relation, Some(licence(parent)?)));
    }
    if let Some((_, (again, ..))) = parents
        .iter()
        .enumerate()
        .find(|(at, (parent, ..))| parents.iter().take(*at).any(|(other, ..)| other == parent))
    {
        return Err(Failure::usage(format!("the parent {again} is given twice")));
    }
    // The same licence for both is no circle.
    let is_taken = arguments.parents.contains(&arguments.terms);
    let child = if is_taken { format!("{} (given to it)", arguments.terms) } else { arguments.terms.clone() };
    let mut inputs = Inputs::of_parents(&child, licence(&arguments.terms)?, parents);
    inputs.on = Some(arguments.on.map_or_else(today, Ok)?);
    let verdict = inputs.judge();
    let exit = match verdict.verdict {
        Outcome::Compatible => Exit::Done,
        Outcome::NeedsReview => Exit::CouldNotCheck,
        Outcome::Conflict => Exit::Conflict,
    };
    let report = report(&verdict, arguments);
    let members = members(&verdict, &inputs)?;
    context.printer.result(context.command, exit, members, &report)
}

/// One relation for each parent.
fn relations(arguments: &LicenceCheckArguments) -> Result<Vec<Derivation>, Failure> {
    let (parents, relations) = (arguments.parents.len(), &arguments.relations);
    match relations.as_slice() {
        [one] => Ok(vec![*one; parents]),
        several if several.len() == parents => Ok(several.to_vec()),
        several => {
            let (parents, relations) = (units::length(parents), units::length(several.len()));
            Err(Failure::usage(format!(
                "{} for {}: give --relation once, or once for each --parent",
                units::count(relations, "relation"),
                units::count(parents, "parent")
            )))
        }
    }
}

/// What somebody means by the name of a licence: a file, a name on a model card, an SPDX expression.
fn licence(text: &str) -> Result<Licence, Failure> {
    let path = Path::new(text);
    if path.is_file() {
        return Ok(Licence::Terms(Box::new(read(path)?)));
    }
    if let Some(known) = known::by_alias(text) {
        return DeclaredLicence::parse(known).map(Licence::Expression).map_err(Failure::internal);
    }
    DeclaredLicence::parse(text).map(Licence::Expression).map_err(|reason| {
        Failure::usage(format!("there is no file {text}, and as a licence it is not known: {reason}"))
    })
}

/// The day it is, in UTC.
fn today() -> Result<Date, Failure> {
    let day = Utc::now().format("%Y-%m-%d").to_string();
    day.parse().map_err(|error| Failure::internal(format!("the clock: {error}")))
}

fn report(verdict: &Verdict, arguments: &LicenceCheckArguments) -> Report {
    let words = Words::of(arguments.lang);
    let line =
        |kind: &str, finding: &Finding| format!("  {kind:<8}  {:<14} {}", finding.code.as_str(), finding.words(&words));
    let conflicts = verdict.conflicts.iter().map(|finding| line("conflict", finding));
    let reviews = verdict.reviews.iter().map(|finding| line("review", finding));
    let report = conflicts.chain(reviews).fold(Report::default(), Report::line);
    let terms = &arguments.terms;
    let (tone, headline) = match verdict.verdict {
        Outcome::Compatible => (Tone::Good, format!("COMPATIBLE: nothing stands against {terms}")),
        Outcome::NeedsReview => {
            let count = units::count(units::length(verdict.reviews.len()), "point");
            (Tone::Neutral, format!("NEEDS REVIEW: {count} to be decided by a person before {terms} is given to it"))
        }
        Outcome::Conflict => {
            let count = units::count(units::length(verdict.conflicts.len()), "conflict");
            (Tone::Bad, format!("CONFLICT: {count} with {terms}"))
        }
    };
    report.headline(tone, headline)
}

/// The verdict with the findings in words, and the inputs, from which anybody can make it again.
fn members(verdict: &Verdict, inputs: &Inputs) -> Result<Value, Failure> {
    let unwritable = |error| Failure::internal(format!("the verdict can't be written: {error}"));
    let mut members = strict::to_value(verdict).map_err(unwritable)?;
    let words = Words::of(Language::English);
    let said = |findings: &[Finding]| -> Result<Value, Failure> {
        let mut list = Vec::new();
        for finding in findings {
            let mut value = strict::to_value(finding).map_err(unwritable)?;
            if let Value::Object(members) = &mut value {
                members.insert("message".to_owned(), finding.words(&words).into());
            }
            list.push(value);
        }
        Ok(Value::Array(list))
    };
    if let Value::Object(members) = &mut members {
        members.insert("conflicts".to_owned(), said(&verdict.conflicts)?);
        members.insert("reviews".to_owned(), said(&verdict.reviews)?);
        members.insert("inputs".to_owned(), json!(inputs.in_order()));
    }
    Ok(members)
}
