//! `chopmark party verify` and `unverify`: the operator's word on who a party is, which protects the party's name.

use chopmark_core::attestation::AttestationClaim;
use chopmark_core::kind::Claim;
use chopmark_core::statement::StatementId;
use serde_json::json;

use super::Context;
use super::say::{Saying, Speaker, say};
use crate::arguments::{ConsentArguments, CosignArguments, PartyUnverifyArguments, PartyVerifyArguments};
use crate::exit::{Exit, Failure};
use crate::printer::Report;

/// Runs `party verify`.
///
/// # Errors
/// As the registry or the person answers; see `submit`.
pub(crate) fn verify(context: &Context<'_>, arguments: PartyVerifyArguments) -> Result<Exit, Failure> {
    let PartyVerifyArguments { verified, mut identifiers, cosign, consent } = arguments;
    identifiers.sort_unstable();
    identifiers.dedup();
    let claim = |party| AttestationClaim::PartyVerified { party, identifiers };
    run(context, &verified, (consent, cosign), "as the operator, we verified who", claim)
}

/// Runs `party unverify`.
///
/// # Errors
/// As the registry or the person answers; see `submit`.
pub(crate) fn unverify(context: &Context<'_>, arguments: PartyUnverifyArguments) -> Result<Exit, Failure> {
    let PartyUnverifyArguments { verified, cosign, consent } = arguments;
    let claim = |party| AttestationClaim::PartyUnverified { party };
    run(context, &verified, (consent, cosign), "as the operator, we take back that we verified who", claim)
}

fn run(
    context: &Context<'_>,
    verified: &str,
    (consent, cosign): (ConsentArguments, CosignArguments),
    words: &str,
    claim: impl FnOnce(StatementId) -> AttestationClaim,
) -> Result<Exit, Failure> {
    let speaker = Speaker::operator(context, consent, cosign)?;
    let party = speaker.client.party(verified)?;
    let (id, name) = (party.party_id, party.name.display());
    let saying = Saying {
        subject_name: &format!("identity of {name}"),
        claim: Claim::Attestation(claim(id)),
        said: format!("{words} {name} ({}) is", id.shown("pty")),
        named: &[id],
        report: Report::default().row("party", format!("{name}, {id}")),
        members: json!({ "about": id, "name": party.name }),
    };
    say(context, &speaker, saying)
}
