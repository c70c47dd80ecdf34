//! Statements about licences in plain words.

use chopmark_core::licensing::{GrantClaim, LicenceEvent, LicenceStatusClaim, OfferClaim, TermsClaim};
use chopmark_core::statement::StatementId;
use chopmark_core::terms::vocabulary::{Language, Vocabulary as _};
use chopmark_core::terms::{Terms, TermsId};

use super::{Row, party_words, subject_words};
use crate::statement_file::StatementFile;

pub(super) fn terms(claim: &TermsClaim, language: Language, rows: &mut Vec<Row>) {
    rows.push(("says", "we license on these terms".to_owned()));
    rows.extend(claim.id().map(|id| ("terms", id.to_string())));
    summary(&claim.0, language, rows);
}

fn summary(terms: &Terms, language: Language, rows: &mut Vec<Row>) {
    if let Ok(summary) = terms.summary(language) {
        rows.extend(summary.to_string().lines().map(|line| ("", line.to_owned())));
    }
}

pub(super) fn offer(file: &StatementFile, claim: &OfferClaim, language: Language, rows: &mut Vec<Row>) {
    rows.push(("says", "whoever accepts this in time has a licence of ours".to_owned()));
    let to = claim.licensee.as_ref().map_or("anybody".to_owned(), |party| party_words(file, party));
    rows.push(("offered to", to));
    rows.push(("open until", claim.expires_at.to_string()));
    about(file, (&claim.artefacts, claim.terms, &claim.under), language, rows);
}

pub(super) fn grant(file: &StatementFile, claim: &GrantClaim, language: Language, rows: &mut Vec<Row>) {
    rows.push(("says", "this licence is granted".to_owned()));
    rows.push(("licensor", party_words(file, &claim.licensor)));
    rows.push(("licensee", party_words(file, &claim.licensee)));
    rows.extend(claim.offer.map(|offer| ("accepts", format!("the offer {offer}"))));
    rows.push(("from", claim.starts_on.to_string()));
    about(file, (&claim.artefacts, claim.terms, &claim.under), language, rows);
}

/// What is licensed, on which terms, resting on what.
fn about(
    file: &StatementFile,
    (artefacts, terms, under): (&[StatementId], TermsId, &[StatementId]),
    language: Language,
    rows: &mut Vec<Row>,
) {
    for artefact in artefacts {
        rows.push(("artefact", artefact.to_string()));
        rows.extend(file.named(artefact).map(|statement| ("", subject_words(&statement.claim))));
    }
    rows.push(("terms", terms.to_string()));
    if let Some(terms) = file.terms(&terms) {
        summary(terms, language, rows);
    }
    rows.extend(under.iter().map(|licence| ("rests on", format!("the licence {licence}"))));
}

pub(super) fn status(claim: &LicenceStatusClaim, rows: &mut Vec<Row>) {
    let says = match claim.status {
        LicenceEvent::Suspended => "this licence may not be used for now",
        LicenceEvent::Reinstated => "this licence may be used again",
        LicenceEvent::Terminated => "this licence is over",
    };
    rows.push(("says", says.to_owned()));
    rows.push(("licence", claim.licence.to_string()));
    rows.extend(claim.reason.map(|reason| ("reason", reason.as_str().to_owned())));
    rows.push(("event", format!("number {} after {}", claim.seq, claim.prev)));
}

/// One line about what a claim does.
pub(super) fn licence_words(claim: &GrantClaim) -> String {
    format!("a licence of {} for {}", claim.licensor.shown("pty"), claim.licensee.shown("pty"))
}
