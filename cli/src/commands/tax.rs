//! `chopmark tax`: what happened, the rules, and every figure with its arithmetic. `compute`, `explain` and `rules` send
//! nothing anywhere; the others put facts on record.

mod compute;
mod explain;
mod rules;
mod said;

use std::path::Path;

use chopmark_core::strict::StrictError;
use chopmark_core::tax::facts::FACTS_BYTES_MAX;
use chopmark_core::tax::{Facts, JURISDICTIONS, Jurisdiction, RuleSet, TaxError, jurisdiction};

use super::Context;
use crate::arguments::{JurisdictionArguments, TaxCommand};
use crate::exit::{Exit, Failure};
use crate::files;

/// Runs a command about tax.
///
/// # Errors
/// A usage failure naming the place in the facts by JSON pointer; nothing is computed then.
pub(crate) fn run(context: &Context<'_>, command: TaxCommand) -> Result<Exit, Failure> {
    match command {
        TaxCommand::Compute(arguments) => compute::run(context, &arguments),
        TaxCommand::Explain(arguments) => explain::run(context, &arguments),
        TaxCommand::Rules(arguments) => rules::run(context, &arguments),
        TaxCommand::Use(arguments) => said::used(context, *arguments),
        TaxCommand::Profile(arguments) => said::profile(context, *arguments),
        TaxCommand::Relation(arguments) => said::relation(context, *arguments),
        TaxCommand::Rate(arguments) => said::rate(context, *arguments),
    }
}

/// The jurisdiction asked for, and its rules.
fn rules_of(arguments: &JurisdictionArguments) -> Result<(&'static (dyn Jurisdiction + Sync), RuleSet), Failure> {
    let code = &arguments.code;
    let Some(found) = jurisdiction(code) else {
        let known: Vec<&str> = JURISDICTIONS.iter().map(|known| known.code()).collect();
        return Err(Failure::usage(format!("--rules {code}: there are rules for {}", known.join(", "))));
    };
    let rules = found.rules().map_err(|error| Failure::internal(error.to_string()))?;
    Ok((found, rules))
}

/// Reads facts.
fn facts_of(path: &Path) -> Result<Facts, Failure> {
    // One byte more than the limit is enough to know that it is too much; the reader says so with a pointer.
    let bytes = match files::read(path, FACTS_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
            let reason = format!("more than {FACTS_BYTES_MAX} bytes; split the facts by asset");
            return Err(bad_facts(path, StrictError::new("/events", reason)));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Failure::usage(format!("there is no file {}", path.display())));
        }
        Err(error) => return Err(Failure::file("read", path, &error)),
    };
    Facts::from_slice(&bytes).map_err(|error| bad_facts(path, error))
}

/// Facts that can't be computed from.
fn bad_facts(path: &Path, error: StrictError) -> Failure {
    let message = format!("{}: {error}", path.display());
    Failure::new(Exit::Usage, "bad_facts", message).at(error.pointer)
}

/// A computation that did not work out.
fn failure(path: &Path, error: TaxError) -> Failure {
    match error {
        TaxError::Facts(error) => bad_facts(path, error),
        TaxError::Overflow(error) => bad_facts(path, StrictError::new("/events", error.to_string())),
        TaxError::Rule { .. } => Failure::internal(error.to_string()),
    }
}
