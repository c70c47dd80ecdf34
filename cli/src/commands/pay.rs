//! `chopmark pay`: what was paid for intellectual property. Figures are sealed here, documents are hashed here and stay.

mod confirm;
mod correct;
mod import;
mod lookup;
mod order;
mod record;

use chopmark_core::kind::Claim;
use chopmark_core::sealed::{Opening, Place};
use chopmark_core::statement::Statement;
use chopmark_core::strict;

pub(super) use correct::{Correcting, head_of};
pub(super) use lookup::Lookup;
pub(super) use order::{Given, side};

use super::Context;
use super::say::Speaker;
use crate::arguments::PayCommand;
use crate::exit::{Exit, Failure};

/// Runs a command about payments.
///
/// # Errors
/// The command's own.
pub(crate) fn run(context: &Context<'_>, command: PayCommand) -> Result<Exit, Failure> {
    match command {
        PayCommand::Record(arguments) => record::run(context, *arguments),
        PayCommand::Confirm(arguments) => confirm::run(context, arguments),
        PayCommand::Correct(arguments) => correct::run(context, *arguments),
        PayCommand::Import(arguments) => import::run(context, &arguments),
    }
}

/// What opens a statement's sealed fields, each compared with its commitment; the registry records that it was read.
///
/// # Errors
/// An authorisation failure; a proof failure when an opening is not that of the commitment; [`Exit::CouldNotCheck`] when a
/// figure was erased or lies in another zone's vault.
fn opened(speaker: &Speaker, statement: &Statement) -> Result<Vec<Opening>, Failure> {
    let sealed = statement.claim.kind().sealed_fields();
    if sealed.is_empty() {
        return Ok(Vec::new());
    }
    let token = speaker.token()?;
    let record = speaker.client.openings(&statement.id, "", &token)?;
    let place = Place::of(&statement.header, statement.claim.predicate_type());
    let gone = |what: &str| {
        let shown = statement.id.shown(statement.claim.id_prefix());
        Failure::new(Exit::CouldNotCheck, "not_opened", format!("{what} of {shown} can't be opened"))
    };
    let mut openings = Vec::with_capacity(sealed.len());
    for field in &record.fields {
        if field.get("erased_by").is_some() {
            return Err(gone("an erased figure"));
        }
        let opening: Opening = strict::decode(field).map_err(|error| Failure::proof(error.to_string()))?;
        let is_committed =
            sealed.iter().any(|there| there.field == opening.field && there.commitment == opening.commitment(&place));
        if !is_committed {
            return Err(Failure::proof(format!("{} is not what the statement commits to", opening.field)));
        }
        openings.push(opening);
    }
    if openings.len() == sealed.len() { Ok(openings) } else { Err(gone("a figure")) }
}

/// A figure as text, where it has a value.
fn figure(openings: &[Opening], name: &str) -> Option<String> {
    let opening = openings.iter().find(|opening| opening.field.is_called(name))?;
    strict::from_slice(opening.value()?).ok()
}

/// The sentence for a statement of another kind.
fn other_kind(asked: &str, wanted: &str, claim: &Claim) -> Failure {
    Failure::usage(format!("{asked} is no {wanted} but a statement of kind {}", claim.name()))
}
