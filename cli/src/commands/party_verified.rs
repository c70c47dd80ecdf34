//! `chopmark party verify` and `unverify`: the operator's word on who a party is, which protects the party's name.

use chopmark_core::attestation::AttestationClaim;
use chopmark_core::kind::Claim;
use chopmark_core::statement::StatementId;
use serde_json::json;

use super::say::{Saying, Speaker, prepare, say};
use super::{Context, signers};
use crate::arguments::{ConsentArguments, CosignArguments, PartyUnverifyArguments, PartyVerifyArguments};
use crate::client::{Client, PartyDescription};
use crate::config::Overrides;
use crate::exit::{Exit, Failure};
use crate::interrupt;
use crate::keys;
use crate::printer::Report;
use crate::trust::Contact;

/// Runs `party verify`.
///
/// # Errors
/// As the registry or the person answers; see `submit`.
pub(crate) fn verify(context: &Context<'_>, arguments: PartyVerifyArguments) -> Result<Exit, Failure> {
    let PartyVerifyArguments { verified, mut identifiers, cosign, consent } = arguments;
    identifiers.sort_unstable();
    identifiers.dedup();
    let claim = |party| AttestationClaim::PartyVerified { party, identifiers };
    run(context, &verified, (consent, &cosign), "as the operator, we verified who", claim)
}

/// Runs `party unverify`.
///
/// # Errors
/// As the registry or the person answers; see `submit`.
pub(crate) fn unverify(context: &Context<'_>, arguments: PartyUnverifyArguments) -> Result<Exit, Failure> {
    let PartyUnverifyArguments { verified, cosign, consent } = arguments;
    let claim = |party| AttestationClaim::PartyUnverified { party };
    run(context, &verified, (consent, &cosign), "as the operator, we take back that we verified who", claim)
}

fn run(
    context: &Context<'_>,
    verified: &str,
    (consent, cosign): (ConsentArguments, &CosignArguments),
    words: &str,
    claim: impl FnOnce(StatementId) -> AttestationClaim,
) -> Result<Exit, Failure> {
    let settings = context.settings(Overrides::default())?;
    interrupt::install(context.printer, context.command)?;
    let consent = prepare(context, &settings, consent, cosign)?;
    let keys = keys::load_all(&settings.keys)?;
    let client = Client::new(&settings.url)?;
    let contact = Contact::meet(&settings, &client)?;
    let operator = client.party(&client.operator()?.to_string())?;
    let signers = signers::statement_signers(&operator, &keys, cosign)?;
    let party: PartyDescription = client.party(verified)?;
    let (id, name) = (party.party_id, party.name.display());
    let saying = Saying {
        subject_name: &format!("identity of {name}"),
        claim: Claim::Attestation(claim(id)),
        said: format!("{words} {name} ({}) is", id.shown("pty")),
        named: &[id],
        report: Report::default().row("party", format!("{name}, {id}")),
        members: json!({ "about": id, "name": party.name }),
    };
    let speaker = Speaker {
        settings: &settings,
        client: &client,
        contact: &contact,
        keys: &keys,
        party: &operator,
        signers: &signers,
        consent,
        cosign,
    };
    say(context, &speaker, saying)
}
