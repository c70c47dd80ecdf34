//! `chopmark endorse`: a party signs a statement of another one too, after it was entered.

use chopmark_core::endorsement::EndorsementClaim;
use chopmark_core::kind::Claim;
use serde_json::json;

use super::Context;
use super::say::{Saying, Speaker, say};
use crate::arguments::EndorseArguments;
use crate::exit::{Exit, Failure};
use crate::printer::Report;

/// Endorses a statement.
///
/// # Errors
/// As the registry or the person answers; see `submit`.
pub(crate) fn run(context: &Context<'_>, arguments: EndorseArguments) -> Result<Exit, Failure> {
    let EndorseArguments { statement, say: said } = arguments;
    let speaker = Speaker::own(context, said, None)?;
    let endorsed = speaker.client.statement(&statement)?;
    let (id, kind) = (endorsed.id, endorsed.claim.name());
    let shown = id.shown(endorsed.claim.id_prefix());
    let issuer = speaker.client.party(&endorsed.issuer().to_string())?;
    let saying = Saying {
        subject_name: &format!("endorsement of {shown}"),
        claim: Claim::Endorsement(EndorsementClaim { statement: id }),
        said: format!("we sign {shown} ({kind}, by {}) too", issuer.name.display()),
        named: &[id, issuer.party_id],
        report: Report::default()
            .row("statement", format!("{id} ({kind})"))
            .row("issued by", format!("{} (self-declared)", issuer.name.display())),
        members: json!({ "endorsed": id, "endorsed_kind": kind }),
    };
    say(context, &speaker, saying)
}
