//! What of a list is on record already: the same payer, payee and document is one payment, whoever says it. A row that says
//! something else of it can't be recorded, and is found out before anything is sent.

use std::collections::BTreeMap;
use std::path::Path;

use chopmark_core::admission::Subject;
use chopmark_core::code::ResidencyZone;
use chopmark_core::digest::Sha256Digest;

use super::row::Fault;
use super::{Item, is_no_answer, work};
use crate::commands::journal::Journal;
use crate::commands::say::Speaker;
use crate::exit::Failure;

/// Marks the items that are on record, and names those that say something else there. Rows that the journal has were compared
/// when they were finished.
///
/// # Errors
/// When the registry can't be asked, or the journal not be read.
pub(super) fn faults(
    speaker: &Speaker,
    items: &mut [Item],
    zone: ResidencyZone,
    journal: &Path,
) -> Result<Vec<Fault>, Failure> {
    let subject = |item: &Item| Subject::Payment(item.order.claim.key()).digest().map_err(Failure::proof_of);
    let subjects = items.iter().map(subject).collect::<Result<Vec<Sha256Digest>, _>>()?;
    let known: BTreeMap<Sha256Digest, _> =
        speaker.client.payments(&subjects)?.into_iter().map(|payment| (payment.subject, payment)).collect();
    let finished = Journal::known(journal)?;
    let ids: Vec<_> = subjects.iter().map(|subject| known.get(subject).map(|payment| payment.statement_id)).collect();
    let mut faults = Vec::new();
    for (item, subject) in items.iter_mut().zip(&subjects) {
        let Some(payment) = known.get(subject) else { continue };
        item.is_known = true;
        let mut order = item.order.clone();
        if let Some(at) = item.credits {
            order.claim.credits = ids.get(at).copied().flatten();
        }
        if finished.contains_key(&work::key(speaker, &order, zone)?) {
            continue;
        }
        let shown = payment.statement_id.shown("exp");
        let fault = |reason: String| Fault { line: item.line, column: "document".to_owned(), reason };
        match work::is_said(speaker, &order, payment.head) {
            Ok(Some(true)) => {}
            Ok(Some(false)) => faults.push(fault(format!(
                "{shown} is recorded with this payer, payee and document, and says something else; correct it with pay correct"
            ))),
            Ok(None) => faults.push(fault(format!("{shown} is recorded with this payer, payee and document, and was reversed"))),
            Err(failure) if is_no_answer(&failure) => return Err(failure),
            Err(failure) => faults.push(fault(format!(
                "{shown} is recorded with this payer, payee and document, and can't be compared: {}",
                failure.message
            ))),
        }
    }
    Ok(faults)
}
