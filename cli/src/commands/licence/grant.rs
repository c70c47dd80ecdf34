//! `chopmark licence grant`: a licence without an offer, which licensor and licensee both sign.

use chopmark_core::kind::Claim;
use chopmark_core::licensing::GrantClaim;
use chopmark_core::terms::period::Date;
use chopmark_core::time::Timestamp;
use serde_json::json;

use super::offer::ids;
use super::{read, unwritable};
use crate::arguments::LicenceGrantArguments;
use crate::commands::Context;
use crate::commands::say::{Confidential, Saying, Speaker, say_with};
use crate::exit::{Exit, Failure};
use crate::printer::Report;

/// Signs a grant for the licensor, and leaves it to be signed by the licensee.
///
/// # Errors
/// A usage failure when the terms are not published, or say another first day; otherwise as the registry or the person
/// answers; see `submit`.
pub(super) fn run(context: &Context<'_>, arguments: LicenceGrantArguments) -> Result<Exit, Failure> {
    let LicenceGrantArguments { artefacts, terms: path, licensee, starts_on, under, say: said } = arguments;
    let terms = read(&path)?;
    let starts_on = match (terms.term.start, starts_on) {
        (Some(start), Some(day)) if start != day => {
            return Err(Failure::usage(format!("under {} it starts on {start} (/term/start)", path.display())));
        }
        (start, day) => start.or(day).unwrap_or_else(|| Date::in_hong_kong(Timestamp::from(chrono::Utc::now()))),
    };
    let mut speaker = Speaker::own(context, said, None)?;
    let licensee = speaker.client.party(&licensee)?;
    speaker.signs_with(&licensee)?;
    let client = &speaker.client;
    let terms_id = terms.id().map_err(|error| unwritable(&error))?;
    let ours = client.terms(&terms_id.to_string())?.into_iter().flat_map(|published| published.published_by);
    let publication = ours.into_iter().find(|by| by.party == speaker.party.party_id).ok_or_else(|| {
        Failure::usage(format!("publish the terms first: chopmark licence publish {}", path.display()))
    })?;
    let claim = GrantClaim {
        offer: None,
        licensor: speaker.party.party_id,
        licensee: licensee.party_id,
        artefacts: ids(&artefacts, |id| Ok(client.artefact(id)?.artefact_id))?,
        terms: terms_id,
        starts_on,
        under: ids(&under, |id| client.statement(id).map(|statement| statement.id))?,
    };
    let mut confidential = Confidential::default();
    if terms.is_sealed() && !speaker.is_dry_run() {
        // The licensee will not sign what it can't read.
        match speaker.openings(&publication.statement_id)? {
            Some(openings) => {
                confidential.opened.insert(publication.statement_id, openings);
            }
            None => context.printer.note("the figures of the terms are not kept here: the file can't show them"),
        }
    }
    let to = format!("{} (self-declared)", licensee.name.display());
    let mut named = vec![licensee.party_id, publication.statement_id];
    named.extend(&claim.artefacts);
    named.extend(&claim.under);
    let saying = Saying {
        subject_name: &format!("licence under {}", terms_id.shown()),
        said: format!("we license {} under terms {} to {to}, from {starts_on}", artefacts.join(", "), terms_id.shown()),
        named: &named,
        report: Report::default(),
        members: json!({}),
        claim: Claim::Grant(claim),
    };
    say_with(context, &speaker, saying, confidential)
}
