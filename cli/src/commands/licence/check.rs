//! `chopmark licence check`: may these terms be given to something that was made from that?

use std::path::Path;

use chopmark_core::compatibility::{Derivation, Edge, Finding, Inputs, Licence, Node, Outcome, Verdict, known};
use chopmark_core::licence::DeclaredLicence;
use chopmark_core::statement::{IdReference, StatementId};
use chopmark_core::strict;
use chopmark_core::terms::period::Date;
use chopmark_core::terms::vocabulary::{Language, Vocabulary as _};
use chopmark_core::terms::words::Words;
use chopmark_core::time::Timestamp;
use chrono::Utc;
use serde_json::{Value, json};

use super::read;
use crate::arguments::LicenceCheckArguments;
use crate::client::{AncestryDescription, Client};
use crate::commands::Context;
use crate::config::Overrides;
use crate::exit::{Exit, Failure};
use crate::printer::{Report, Tone};
use crate::units;

/// Checks terms against those of the parents.
///
/// # Errors
/// A usage failure for what is neither a file, a licence nor an expression, or when relations don't match parents; a
/// network or service failure where an artefact is among the parents.
pub(super) fn run(context: &Context<'_>, arguments: &LicenceCheckArguments) -> Result<Exit, Failure> {
    let relations = relations(arguments)?;
    let is_given_twice =
        |(at, parent): (usize, &String)| arguments.parents.iter().take(at).any(|other| other == parent);
    if let Some((_, again)) = arguments.parents.iter().enumerate().find(|pair| is_given_twice(*pair)) {
        return Err(Failure::usage(format!("the parent {again} is given twice")));
    }
    let is_registered = |parent: &String| !Path::new(parent).is_file() && parent.parse::<IdReference>().is_ok();
    let asks = arguments.holder.is_some() || arguments.parents.iter().any(is_registered);
    let client = if asks { Some(Client::of(&context.settings(Overrides::default())?)?) } else { None };
    let holder = match (&client, &arguments.holder) {
        (Some(client), Some(holder)) => Some(client.party(holder)?.party_id),
        _ => None,
    };
    let on = arguments.on.unwrap_or_else(today);
    let mut steps = Vec::new();
    for (parent, derivation) in arguments.parents.iter().zip(relations) {
        let source = match &client {
            Some(client) if is_registered(parent) => Source::Registered(client.artefact(parent)?.artefact_id),
            _ => Source::Licensed(parent.clone(), licence(parent)?),
        };
        steps.push((derivation, source));
    }
    // The same licence for both is no circle.
    let is_taken = arguments.parents.contains(&arguments.terms);
    let child = if is_taken { format!("{} (given to it)", arguments.terms) } else { arguments.terms.clone() };
    let inputs = ancestry(client.as_ref(), &child, licence(&arguments.terms)?, &steps, (holder, on))?;
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

/// What something was made from.
pub(in crate::commands) enum Source {
    /// An artefact of the registry, with its ancestry.
    Registered(StatementId),
    /// Something of which only the licence is known, and what it is called.
    Licensed(String, Licence),
    /// Something nothing is known of, and what it is called.
    Unknown(String),
}

/// What a judgement rests on: the parents, and for those that are registered all that they were made from.
///
/// # Errors
/// A network or service failure.
pub(in crate::commands) fn ancestry(
    client: Option<&Client>,
    child: &str,
    licence: Licence,
    steps: &[(Derivation, Source)],
    (holder, on): (Option<StatementId>, Date),
) -> Result<Inputs, Failure> {
    let mut inputs = Inputs::of_parents(child, licence, Vec::new());
    inputs.on = Some(on);
    for (derivation, source) in steps {
        let parent = match source {
            Source::Registered(id) => {
                let holder = holder.map(|holder| format!("&holder={holder}")).unwrap_or_default();
                let client = client.ok_or_else(|| Failure::internal("no client to ask for an artefact"))?;
                let AncestryDescription { ancestors, grants } = client.ancestry(id, &format!("?on={on}{holder}"))?;
                inputs.ancestors.extend(ancestors);
                let new = grants.into_iter().filter(|grant| !inputs.grants.contains(grant)).collect::<Vec<_>>();
                inputs.grants.extend(new);
                id.to_hex()
            }
            Source::Licensed(name, licence) => {
                inputs.ancestors.insert(name.clone(), Node::licensed(Some(licence.clone())));
                name.clone()
            }
            Source::Unknown(name) => name.clone(),
        };
        inputs.node.parents.push(Edge { derivation: *derivation, parent });
    }
    Ok(inputs.in_order())
}

/// The conflicts of a verdict in words, at most so many.
pub(in crate::commands) fn conflicts(verdict: &Verdict, max: usize) -> Vec<String> {
    let words = Words::of(Language::English);
    let line = |finding: &Finding| format!("{} {}", finding.code.as_str(), said(finding, &words));
    verdict.conflicts.iter().take(max).map(line).collect()
}

/// A finding in words, with artefacts called as people call them.
fn said(finding: &Finding, words: &Words) -> String {
    let text = finding.words(words);
    match finding.parent.parse::<StatementId>() {
        Ok(id) => text.replace(&finding.parent, &id.shown("art").to_string()),
        Err(_) => text,
    }
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

/// The day it is, in Hong Kong.
fn today() -> Date {
    Date::in_hong_kong(Timestamp::from(Utc::now()))
}

fn report(verdict: &Verdict, arguments: &LicenceCheckArguments) -> Report {
    let words = Words::of(arguments.lang);
    let line =
        |kind: &str, finding: &Finding| format!("  {kind:<8}  {:<14} {}", finding.code.as_str(), said(finding, &words));
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
                members.insert("message".to_owned(), self::said(finding, &words).into());
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
