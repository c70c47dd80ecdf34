//! `chopmark pay`: what was paid for intellectual property. Figures are sealed here, documents are hashed here and stay.

mod confirm;
mod correct;
mod import;
mod lookup;
mod order;
mod record;

use chopmark_core::admission::Code;
use chopmark_core::kind::Claim;
use chopmark_core::sealed::{self, Opening, Place};
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
    let fields = statement.claim.kind().sealed_fields();
    if fields.is_empty() {
        return Ok(Vec::new());
    }
    let gone = || {
        let shown = statement.id.shown(statement.claim.id_prefix());
        Failure::new(Exit::CouldNotCheck, "not_opened", format!("a figure of {shown} can't be opened"))
    };
    let openings = speaker.openings(&statement.id)?.ok_or_else(gone)?;
    let place = Place::of(&statement.header, statement.claim.predicate_type());
    match sealed::check_fields(&place, &fields, &openings) {
        Ok(()) => Ok(openings),
        Err(rejection) if rejection.code == Code::OpeningMissing => Err(gone()),
        Err(rejection) => Err(Failure::proof(rejection.detail)),
    }
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
