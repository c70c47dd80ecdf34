//! `chopmark licence accept`: the licensee signs what was offered, word for word, and holds the licence.

use chopmark_core::kind::Claim;
use chopmark_core::licensing::{GrantClaim, OfferClaim};
use chopmark_core::statement::{Statement, StatementId};
use chopmark_core::terms::Terms;
use chopmark_core::terms::period::Date;
use chopmark_core::time::Timestamp;
use serde_json::json;

use super::{published_terms, summarised};
use crate::arguments::LicenceAcceptArguments;
use crate::client::Client;
use crate::commands::Context;
use crate::commands::say::{Saying, Speaker, say};
use crate::exit::{Exit, Failure};

/// Accepts an offer.
///
/// # Errors
/// `offer_expired` when it is over; otherwise as the registry or the person answers; see `submit`.
pub(super) fn run(context: &Context<'_>, arguments: LicenceAcceptArguments) -> Result<Exit, Failure> {
    let LicenceAcceptArguments { offer, lang, say: said } = arguments;
    let mut speaker = Speaker::own(context, said, None)?;
    let client = &speaker.client;
    let statement = client.statement(&offer)?;
    let Claim::Offer(offered) = &statement.claim else {
        return Err(Failure::usage(format!("{offer} is no offer but a statement of kind {}", statement.claim.name())));
    };
    let shown = statement.id.shown("off");
    let now = Timestamp::from(chrono::Utc::now());
    if offered.expires_at <= now {
        let message = format!("the offer {shown} ended at {}; ask for a new one", offered.expires_at);
        return Err(Failure::new(Exit::Conflict, "offer_expired", message));
    }
    let terms = terms(client, &statement, offered)?;
    let licensor = client.party(&statement.issuer().to_string())?;
    let claim = GrantClaim {
        offer: Some(statement.id),
        licensor: statement.issuer(),
        licensee: speaker.party.party_id,
        artefacts: offered.artefacts.clone(),
        terms: offered.terms,
        starts_on: terms.term.start.unwrap_or_else(|| Date::in_hong_kong(now)),
        under: offered.under.clone(),
    };
    let ends_on = claim.ends_on(&terms);
    let until = ends_on.map_or("without end".to_owned(), |day| format!("until {day}"));
    let mut named: Vec<StatementId> = vec![statement.id, licensor.party_id];
    named.extend(&offered.artefacts);
    let saying = Saying {
        subject_name: &format!("licence under {shown}"),
        said: format!("we accept {shown} of {} (self-declared), {until}", licensor.name.display()),
        named: &named,
        report: summarised(&terms, lang)?
            .row("licensor", format!("{} (self-declared)", licensor.name.display()))
            .row("from", claim.starts_on.to_string())
            .row("until", &until)
            .next("chopmark licence file lic_… --out lic.chop, for machines without a network"),
        members: json!({
            "offer_id": statement.id,
            "terms_id": claim.terms,
            "licensor": claim.licensor,
            "artefacts": claim.artefacts,
            "starts_on": claim.starts_on,
            "ends_on": ends_on,
        }),
        claim: Claim::Grant(claim),
    };
    speaker.until = Some(offered.expires_at);
    say(context, &speaker, saying)
}

/// The terms offered, as the licensor published them.
fn terms(client: &Client, offer: &Statement, offered: &OfferClaim) -> Result<Terms, Failure> {
    let missing = || Failure::proof(format!("the service does not show the terms {} of the offer", offered.terms));
    let published = client.terms(&offered.terms.to_string())?.ok_or_else(missing)?;
    let by = published.published_by.iter().find(|by| by.party == offer.issuer()).ok_or_else(missing)?;
    published_terms(client, &by.statement_id, &offered.terms)
}
