//! `chopmark pay record`: one side says that something was paid; the figures are sealed before anything is signed.

use chopmark_core::expenditure::{ExpenditureClaim, Side};
use chopmark_core::kind::Claim;
use chopmark_core::statement::StatementId;
use serde_json::json;

use super::lookup::Lookup;
use super::order::{Beside, Order, nature_words};
use crate::arguments::PayRecordArguments;
use crate::commands::Context;
use crate::commands::say::{Confidential, Saying, Speaker, say_with};
use crate::exit::{Exit, Failure};
use crate::printer::Report;

/// Records a payment.
///
/// # Errors
/// A usage failure that names the option, before anything is signed; otherwise as the registry or the person answers.
pub(super) fn run(context: &Context<'_>, arguments: PayRecordArguments) -> Result<Exit, Failure> {
    let PayRecordArguments { payment, vault, say: said } = arguments;
    let speaker = Speaker::own(context, said, None)?;
    let lookup = Lookup::new(&speaker.client);
    let order = Order::new(&payment, Beside::default(), speaker.party.party_id, &lookup, None)?;
    let (place, nonce) = speaker.place(ExpenditureClaim::PREDICATE_TYPE)?;
    let (claim, sealing) = order.sealed((&place, nonce), vault.vault_zone)?;
    let what = described(&speaker, &claim)?;
    let saying = Saying {
        subject_name: &format!("payment under {}", claim.document),
        said: format!("{what}; its figures are sealed"),
        named: &named(&claim),
        report: Report::default()
            .row("sealed", order.figures.words())
            .row("kept in", vault.vault_zone.as_str())
            .row("document", document(&claim))
            .next(next(&claim, speaker.party.party_id)),
        members: json!({
            "payer": claim.payer,
            "payee": claim.payee,
            "document": claim.document,
            "file": claim.file,
            "vault_zone": vault.vault_zone,
        }),
        claim: Claim::Expenditure(claim.clone()),
    };
    say_with(context, &speaker, saying, Confidential::sealed(sealing))
}

/// What a payment is, in a sentence.
///
/// # Errors
/// As the registry answers about its parties.
pub(super) fn described(speaker: &Speaker, claim: &ExpenditureClaim) -> Result<String, Failure> {
    let (payer, payee) = (side_words(speaker, &claim.payer)?, side_words(speaker, &claim.payee)?);
    let nature = nature_words(claim.nature);
    Ok(format!("{payer} paid {payee} on {} under {}: {nature}", claim.on, claim.document))
}

fn side_words(speaker: &Speaker, side: &Side) -> Result<String, Failure> {
    match side {
        Side::Party(id) if *id == speaker.party.party_id => Ok(speaker.party.name.display().to_owned()),
        Side::Party(id) => Ok(format!("{} (self-declared)", speaker.client.party(&id.to_string())?.name.display())),
        Side::Outside(outside) => Ok(format!("{} in {} (not registered)", outside.name, outside.jurisdiction.as_str())),
    }
}

/// The document and its digest.
pub(super) fn document(claim: &ExpenditureClaim) -> String {
    match claim.file {
        Some(digest) => format!("{}, SHA-256 {digest}; it stays here", claim.document),
        None => format!("{}, without a digest", claim.document),
    }
}

/// Statements that a payment names.
pub(super) fn named(claim: &ExpenditureClaim) -> Vec<StatementId> {
    let sides = [&claim.payer, &claim.payee].into_iter().filter_map(Side::party);
    let others = [claim.asset, claim.counter_asset, claim.licence, claim.artefact, claim.credits];
    sides.chain(others.into_iter().flatten()).collect()
}

fn next(claim: &ExpenditureClaim, own: StatementId) -> String {
    let other = [&claim.payer, &claim.payee].into_iter().filter_map(Side::party).any(|party| party != own);
    if other { "chopmark pay confirm exp_…, by the other side" } else { "chopmark report ip-expenditure" }.to_owned()
}
