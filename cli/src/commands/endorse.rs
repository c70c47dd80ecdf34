//! `chopmark endorse`: a party signs a statement of another one too, after it was entered.

use chopmark_core::endorsement::EndorsementClaim;
use chopmark_core::kind::Claim;
use serde_json::json;

use super::say::{Saying, Speaker, prepare, say};
use super::{Context, signers};
use crate::arguments::EndorseArguments;
use crate::client::Client;
use crate::config::Overrides;
use crate::exit::{Exit, Failure};
use crate::interrupt;
use crate::keys;
use crate::printer::Report;
use crate::trust::Contact;

/// Endorses a statement.
///
/// # Errors
/// As the registry or the person answers; see `submit`.
pub(crate) fn run(context: &Context<'_>, arguments: EndorseArguments) -> Result<Exit, Failure> {
    let EndorseArguments { statement, say: said } = arguments;
    let settings = context.settings(Overrides { party: said.party, ..Overrides::default() })?;
    interrupt::install(context.printer, context.command)?;
    let consent = prepare(context, &settings, said.consent, &said.cosign)?;
    let keys = keys::load_all(&settings.keys)?;
    let client = Client::new(&settings.url)?;
    let contact = Contact::meet(&settings, &client)?;
    let (party, signers) = signers::signing_party(&client, &settings, &contact.registry, &keys, &said.cosign)?;
    let endorsed = client.statement(&statement)?;
    let (id, kind) = (endorsed.id, endorsed.claim.name());
    let shown = id.shown(endorsed.claim.id_prefix());
    let issuer = client.party(&endorsed.issuer().to_string())?;
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
    let speaker = Speaker {
        settings: &settings,
        client: &client,
        contact: &contact,
        keys: &keys,
        party: &party,
        signers: &signers,
        consent,
        cosign: &said.cosign,
    };
    say(context, &speaker, saying)
}
