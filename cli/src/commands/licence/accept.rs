//! `chopmark licence accept`: the licensee signs what was offered, word for word, and holds the licence.

use chopmark_core::admission::Code;
use chopmark_core::kind::Claim;
use chopmark_core::licensing::{GrantClaim, OfferClaim};
use chopmark_core::sealed::{self, Place};
use chopmark_core::statement::{Statement, StatementId};
use chopmark_core::terms::Terms;
use chopmark_core::terms::period::Date;
use chopmark_core::terms::vocabulary::Language;
use chopmark_core::time::Timestamp;
use serde_json::json;

use super::{publication, summary};
use crate::arguments::LicenceAcceptArguments;
use crate::client::Client;
use crate::commands::Context;
use crate::commands::say::{Saying, Speaker, say};
use crate::exit::{Exit, Failure};
use crate::printer::Report;

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
    let (publication, terms) = terms(client, &statement, offered)?;
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
    let facts = [
        ("licensor", format!("{} (self-declared)", licensor.name.display())),
        ("from", claim.starts_on.to_string()),
        ("until", until.clone()),
    ];
    let row = |label: &str, value: &dyn core::fmt::Display| format!("{label:<14}{value}");
    let mut agreed: Vec<String> = facts.iter().map(|(label, value)| row(label, value)).collect();
    agreed.extend(claim.artefacts.iter().map(|id| row("artefact", &id.shown("art"))));
    agreed.extend(claim.under.iter().map(|id| row("rests on", &id.shown("lic"))));
    agreed.extend(words(&speaker, &publication, &terms, lang)?);
    let mut named: Vec<StatementId> = vec![statement.id, licensor.party_id];
    named.extend(&offered.artefacts);
    let saying = Saying {
        subject_name: &format!("licence under {shown}"),
        said: format!("we accept {shown} of {} (self-declared), {until}", licensor.name.display()),
        named: &named,
        report: facts
            .iter()
            .fold(Report::default(), |report, (label, value)| report.row(label, value))
            .next("chopmark licence file lic_… --out lic.chop, for machines without a network"),
        members: json!({
            "offer_id": statement.id,
            "terms_id": claim.terms,
            "licensor": claim.licensor,
            "artefacts": claim.artefacts,
            "starts_on": claim.starts_on,
            "ends_on": ends_on,
            "agreed": agreed,
        }),
        claim: Claim::Grant(claim),
    };
    (speaker.until, speaker.agreed) = (Some(offered.expires_at), agreed);
    say(context, &speaker, saying)
}

/// What the terms say, with the figures that are sealed, where the registry opens them to this party.
fn words(
    speaker: &Speaker,
    publication: &Statement,
    terms: &Terms,
    language: Language,
) -> Result<Vec<String>, Failure> {
    let mut words = summary(terms, language)?;
    let mut closed = None;
    if terms.is_sealed() {
        match opened(speaker, publication, terms)? {
            // They are called what the record calls them.
            Some(opened) => words.sections = summary(&opened, language)?.sections,
            None => {
                closed =
                    Some("what has to be paid is sealed, and not opened to you: ask the licensor before you accept");
            }
        }
    }
    Ok(words.to_string().lines().chain(closed).map(str::to_owned).collect())
}

/// The terms with their figures, each compared with its commitment; none where this party can't have them. The registry
/// records that they were read.
fn opened(speaker: &Speaker, publication: &Statement, terms: &Terms) -> Result<Option<Terms>, Failure> {
    let openings = match speaker.openings(&publication.id) {
        Err(failure) if failure.exit == Exit::NotAuthorised => return Ok(None),
        openings => openings?,
    };
    let Some(openings) = openings else { return Ok(None) };
    let place = Place::of(&publication.header, publication.claim.predicate_type());
    match sealed::check_fields(&place, &terms.sealed_fields(), &openings) {
        Ok(()) => terms.opened(&openings).map(Some).map_err(Failure::proof_of),
        Err(rejection) if rejection.code == Code::OpeningMissing => Ok(None),
        Err(rejection) => Err(Failure::proof(rejection.detail)),
    }
}

/// The terms offered, and the statement by which the licensor published them.
fn terms(client: &Client, offer: &Statement, offered: &OfferClaim) -> Result<(Statement, Terms), Failure> {
    let missing = || Failure::proof(format!("the service does not show the terms {} of the offer", offered.terms));
    let published = client.terms(&offered.terms.to_string())?.ok_or_else(missing)?;
    let by = published.published_by.iter().find(|by| by.party == offer.issuer()).ok_or_else(missing)?;
    publication(client, &by.statement_id, &offered.terms.to_string())
}
