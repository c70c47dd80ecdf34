//! `chopmark pay correct`: another version in the place of a payment, or nothing in the place of a payment, asset or use.
//!
//! What is not said otherwise stays as it is, figures included: they are opened, changed where that is asked, and sealed
//! anew. What was said first stays in the record.

use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::{CorrectionClaim, CorrectionReason, Replacement};
use chopmark_core::kind::Claim;
use chopmark_core::statement::{Statement, StatementId};
use serde_json::{Value, json};

use super::lookup::Lookup;
use super::order::{Beside, Figures, Order, without};
use super::{opened, other_kind, record};
use crate::arguments::{CorrectionArguments, PayCorrectArguments};
use crate::commands::Context;
use crate::commands::say::{Confidential, Saying, Speaker, say_with};
use crate::commands::sealing::SealedFigures;
use crate::exit::{Exit, Failure};
use crate::printer::Report;

/// The latest correction of an entry, or the entry itself.
///
/// # Errors
/// As the registry answers.
pub(in crate::commands) fn head_of(speaker: &Speaker, entry: &StatementId) -> Result<StatementId, Failure> {
    speaker.client.correction_head(entry)
}

/// A correction that is about to be made.
pub(in crate::commands) struct Correcting {
    /// The entry, as it was first made.
    pub(in crate::commands) entry: Statement,
    /// Its latest version.
    pub(in crate::commands) head: Statement,
    reason: CorrectionReason,
}

impl Correcting {
    /// Finds what is to be corrected.
    ///
    /// # Errors
    /// As the registry answers; a usage failure when it can't be corrected, or has another version than `follows`.
    pub(in crate::commands) fn find(
        speaker: &Speaker,
        id: &str,
        arguments: &CorrectionArguments,
    ) -> Result<Self, Failure> {
        let client = &speaker.client;
        let named = client.statement(id)?;
        let entry = match &named.claim {
            Claim::Asset(_) | Claim::Expenditure(_) | Claim::Use(_) => named,
            Claim::Correction(claim) => client.statement(&claim.entry.to_string())?,
            other => return Err(other_kind(id, "asset, payment or use", other)),
        };
        let head = client.correction_head(&entry.id)?;
        if let Some(follows) = &arguments.follows {
            let follows = client.statement(follows)?.id;
            if follows != head {
                let message = format!("the latest version is {head}; look at it, and correct that one");
                return Err(Failure::new(Exit::Conflict, "already_corrected", message));
            }
        }
        let head = if head == entry.id { entry.clone() } else { client.statement(&head.to_string())? };
        Ok(Self { entry, head, reason: arguments.reason })
    }

    /// Says it.
    ///
    /// # Errors
    /// As the registry or the person answers.
    pub(in crate::commands) fn say(
        self,
        context: &Context<'_>,
        speaker: &Speaker,
        replacement: Option<Replacement>,
        sealing: Option<SealedFigures>,
        (report, mut members): (Report, Value),
    ) -> Result<Exit, Failure> {
        let shown = self.entry.id.shown(self.entry.claim.id_prefix());
        let reason = serde_json::to_value(self.reason).map_err(|error| Failure::internal(error.to_string()))?;
        let words = reason.as_str().unwrap_or_default().replace('_', " ");
        let said = match &replacement {
            Some(_) => format!("another version stands in the place of {shown}: {words}"),
            None => format!("{shown} is reversed: {words}"),
        };
        let sealing = sealing.map(|sealing| {
            let place = format!("{}\n{}\n{words}\n", self.entry.id, self.head.id);
            let meaning = Sha256Digest::of_parts(&[place.as_bytes(), sealing.meaning.as_bytes()]);
            SealedFigures { meaning, ..sealing }
        });
        let claim = CorrectionClaim { entry: self.entry.id, prev: self.head.id, reason: self.reason, replacement };
        if let Value::Object(members) = &mut members {
            members.insert("entry".to_owned(), json!(claim.entry));
            members.insert("follows".to_owned(), json!(claim.prev));
            members.insert("reason".to_owned(), reason);
            members.insert("reversed".to_owned(), claim.replacement.is_none().into());
        }
        let saying = Saying {
            subject_name: &format!("correction of {shown}"),
            named: &[claim.entry, claim.prev],
            claim: Claim::Correction(claim),
            said,
            report: report.row("entry", self.entry.id.to_string()),
            members,
        };
        let confidential = Confidential { sealed: sealing, ..Confidential::default() };
        say_with(context, speaker, saying, confidential)
    }
}

/// Corrects a payment, or reverses an entry.
///
/// # Errors
/// A usage failure that names the option, before anything is signed; otherwise as the registry or the person answers.
pub(super) fn run(context: &Context<'_>, arguments: PayCorrectArguments) -> Result<Exit, Failure> {
    let PayCorrectArguments { entry, correction, reverse, without: options, payment, vault, say: said } = arguments;
    let speaker = Speaker::own(context, said, None)?;
    let correcting = Correcting::find(&speaker, &entry, &correction)?;
    if reverse {
        return correcting.say(context, &speaker, None, None, (Report::default(), json!({})));
    }
    let claim = match (&correcting.entry.claim, &correcting.head.claim) {
        (Claim::Expenditure(_), Claim::Expenditure(claim)) => claim.clone(),
        (Claim::Expenditure(first), Claim::Correction(claim)) => match &claim.replacement {
            Some(Replacement::Expenditure(claim)) => (**claim).clone(),
            // What is reversed comes back as it was first said, and as the options say.
            _ => first.clone(),
        },
        _ => {
            let message = "only a payment is corrected here: `chopmark asset correct` and `chopmark tax use --corrects` \
                           are for the others; --reverse is for all";
            return Err(Failure::usage(message));
        }
    };
    let is_reversed = matches!(&correcting.head.claim, Claim::Correction(claim) if claim.replacement.is_none());
    let source = if is_reversed { &correcting.entry } else { &correcting.head };
    let figures = Figures::of(&opened(&speaker, source)?);
    let before = figures.words();
    let mut was = Order::bare(claim, figures);
    for option in &options {
        without(&mut was, option)?;
    }
    let lookup = Lookup::new(&speaker.client);
    let order = Order::new(&payment, Beside::default(), speaker.party.party_id, &lookup, Some(was))?;
    let (place, nonce) = speaker.place(CorrectionClaim::PREDICATE_TYPE)?;
    let (claim, sealing) = order.sealed((&place, nonce), vault.vault_zone)?;
    let report = Report::default()
        .row("is now", record::described(&speaker, &claim)?)
        .row("sealed", order.figures.words())
        .row("was", before);
    let members = json!({
        "payer": claim.payer,
        "payee": claim.payee,
        "document": claim.document,
        "file": claim.file,
        "vault_zone": vault.vault_zone,
    });
    let replacement = Some(Replacement::Expenditure(Box::new(claim)));
    correcting.say(context, &speaker, replacement, Some(sealing), (report, members))
}
