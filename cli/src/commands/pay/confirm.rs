//! `chopmark pay confirm`: the other side sees the figures, and signs too. Then both attest the payment.

use chopmark_core::endorsement::EndorsementClaim;
use chopmark_core::expenditure::{ExpenditureClaim, Replacement, Side};
use chopmark_core::kind::Claim;
use chopmark_core::statement::Statement;
use serde_json::json;

use super::order::{Figures, document_digest};
use super::record::{described, document};
use super::{head_of, opened, other_kind};
use crate::arguments::PayConfirmArguments;
use crate::commands::Context;
use crate::commands::say::{Saying, Speaker, say};
use crate::exit::{Exit, Failure};
use crate::printer::Report;

/// Confirms a payment.
///
/// # Errors
/// [`Exit::BytesDiffer`] when the document is another one; [`Exit::Conflict`] when the payment was corrected; otherwise as
/// the registry or the person answers.
pub(super) fn run(context: &Context<'_>, arguments: PayConfirmArguments) -> Result<Exit, Failure> {
    let PayConfirmArguments { payment, file, say: said } = arguments;
    let speaker = Speaker::own(context, said, None)?;
    let statement = speaker.client.statement(&payment)?;
    let claim = claim_of(&payment, &statement)?;
    let own = Side::Party(speaker.party.party_id);
    if ![&claim.payer, &claim.payee].contains(&&own) {
        let message = "you are neither payer nor payee of this payment";
        return Err(Failure::new(Exit::NotAuthorised, "not_authorised", message));
    }
    if statement.issuer() == speaker.party.party_id {
        return Err(Failure::usage("you recorded this payment yourself; the other side confirms it"));
    }
    let entry = match &statement.claim {
        Claim::Correction(correction) => correction.entry,
        _ => statement.id,
    };
    let head = head_of(&speaker, &entry)?;
    if head != statement.id {
        let message =
            format!("it was corrected; confirm the latest version: chopmark pay confirm {}", head.shown("cor"));
        return Err(Failure::new(Exit::Conflict, "already_corrected", message));
    }
    if let Some(path) = &file {
        let found = document_digest(path)?;
        if claim.file != Some(found) {
            let recorded = claim.file.map_or("none".to_owned(), |digest| digest.to_string());
            let message = format!(
                "{} is not the document of this payment: its SHA-256 is {found}, recorded is {recorded}",
                path.display()
            );
            return Err(Failure::new(Exit::BytesDiffer, "document_differs", message));
        }
    }
    let figures = Figures::of(&opened(&speaker, &statement)?);
    let what = described(&speaker, claim)?;
    let printer = context.printer;
    printer.note(&what);
    printer.note(format!("figures   {}", figures.words()));
    printer.note(format!("document  {}", document(claim)));
    let shown = statement.id.shown(statement.claim.id_prefix());
    let saying = Saying {
        subject_name: &format!("confirmation of {shown}"),
        claim: Claim::Endorsement(EndorsementClaim { statement: statement.id }),
        // Also where notes are not wanted: nobody signs figures unseen.
        said: format!("we confirm {shown}: {what}, {}, which stays sealed", figures.words()),
        named: &[statement.id, statement.issuer()],
        report: Report::default()
            .row("payment", statement.id.to_string())
            .row("figures", figures.words())
            .row("document", document(claim))
            .row("attested by", "both sides"),
        members: json!({
            "confirmed": statement.id,
            "entry": entry,
            "payer": claim.payer,
            "payee": claim.payee,
            "document": claim.document,
            "file": claim.file,
            "amount": figures.amount,
            "currency": figures.currency,
            "withheld": figures.withheld,
            "fx_rate": figures.fx_rate,
            "fees": figures.fees,
            "met_by_others": figures.met_by_others,
        }),
    };
    say(context, &speaker, saying)
}

/// The payment that a statement records, or puts in the place of another.
fn claim_of<'a>(asked: &str, statement: &'a Statement) -> Result<&'a ExpenditureClaim, Failure> {
    match &statement.claim {
        Claim::Expenditure(claim) => Ok(claim),
        Claim::Correction(correction) => match &correction.replacement {
            Some(Replacement::Expenditure(claim)) => Ok(claim),
            _ => Err(Failure::usage(format!("{asked} puts no payment in the place of another"))),
        },
        other => Err(other_kind(asked, "payment", other)),
    }
}
