//! `chopmark licence publish` and `offer`: terms become part of the record, and somebody may have them.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use chopmark_core::code::ResidencyZone;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::kind::Claim;
use chopmark_core::licensing::{OfferClaim, TermsClaim};
use chopmark_core::sealed::Openings;
use chopmark_core::statement::StatementId;
use chopmark_core::terms::{Terms, TermsId};
use chopmark_core::time::Timestamp;
use serde_json::json;

use super::{id, read, unwritable};
use crate::arguments::{LicenceOfferArguments, LicencePublishArguments, Sealing};
use crate::commands::Context;
use crate::commands::say::{Confidential, Saying, Speaker, say, say_with};
use crate::commands::sealing::SealedFigures;
use crate::commands::submit::random;
use crate::exit::{Exit, Failure};
use crate::files::{self, Access};
use crate::printer::Report;

/// Publishes terms.
///
/// # Errors
/// As the registry or the person answers; see `submit`.
pub(super) fn publish(context: &Context<'_>, arguments: LicencePublishArguments) -> Result<Exit, Failure> {
    let LicencePublishArguments { terms: path, seal, out, say: said } = arguments;
    let mut terms = read(&path)?;
    if let Some(out) = out.as_deref().filter(|out| out.symlink_metadata().is_ok()) {
        return Err(exists(out));
    }
    let speaker = Speaker::own(context, said, None)?;
    let mut confidential = Confidential::default();
    if let Some(Sealing::Amount) = seal.seal {
        let (sealed, openings) = sealed(&speaker, &terms, seal.vault_zone)?;
        (terms, confidential.sealed) = (sealed, Some(openings));
    }
    let (shown, whole) = (id(&terms)?, terms.id().map_err(|error| unwritable(&error))?);
    let written = out.as_deref().filter(|_| !speaker.is_dry_run());
    if let Some(out) = written {
        files::create(out, format!("{terms}\n").as_bytes(), Access::Shared).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => exists(out),
            _ => Failure::file("write", out, &error),
        })?;
    }
    let what = if confidential.sealed.is_some() { "terms of ours, with sealed figures" } else { "terms of ours" };
    let document = out.as_deref().unwrap_or(&path).display();
    let saying = Saying {
        subject_name: &format!("terms {shown}"),
        claim: Claim::Terms(TermsClaim(Box::new(terms))),
        said: format!("these are {what}: {shown}"),
        named: &[],
        report: Report::default()
            .row("terms", whole.to_string())
            .row("in an expression", whole.licence_ref())
            .next(format!("chopmark licence offer --artefact art_… --terms {document}")),
        members: json!({ "terms_id": whole, "shown_terms_id": shown, "licence_ref": whole.licence_ref() }),
    };
    let said = say_with(context, &speaker, saying, confidential);
    if let (Some(out), true) = (written, said.is_err()) {
        // Terms that were not published are nobody's.
        let _ = std::fs::remove_file(out);
    }
    said
}

fn exists(out: &Path) -> Failure {
    Failure::usage(format!("{} exists and is left as it is; choose another with --out", out.display()))
}

/// Offers terms for artefacts.
///
/// # Errors
/// As the registry or the person answers; see `submit`.
pub(super) fn run(context: &Context<'_>, arguments: LicenceOfferArguments) -> Result<Exit, Failure> {
    let LicenceOfferArguments { artefacts, terms: path, licensee, open, under, seal, say: said } = arguments;
    let terms = read(&path)?;
    let now = Timestamp::from(chrono::Utc::now());
    let days = u16::try_from(open.days_max()).map_err(|_| Failure::usage("--open is longer than a lifetime"))?;
    let speaker = Speaker::own(context, said, None)?;
    let client = &speaker.client;
    let artefact_ids = ids(&artefacts, |id| Ok(client.artefact(id)?.artefact_id))?;
    let under = ids(&under, |id| client.statement(id).map(|statement| statement.id))?;
    let licensee = licensee.map(|id| client.party(&id)).transpose()?;
    let terms_id = match seal.seal {
        Some(Sealing::Amount) => publish_sealed(context, &speaker, &terms, seal.vault_zone)?,
        None => publish_once(context, &speaker, &terms)?,
    };
    let claim = OfferClaim {
        artefacts: artefact_ids.clone(),
        terms: terms_id,
        licensee: licensee.as_ref().map(|party| party.party_id),
        expires_at: now.plus_days(days),
        under: under.clone(),
    };
    let to =
        licensee.as_ref().map_or("anybody".to_owned(), |party| format!("{} (self-declared)", party.name.display()));
    let mut named = artefact_ids;
    named.extend(under);
    named.extend(licensee.as_ref().map(|party| party.party_id));
    let saying = Saying {
        subject_name: &format!("offer of {}", terms_id.shown()),
        said: format!(
            "we offer {} under terms {} to {to}, until {}",
            artefacts.join(", "),
            terms_id.shown(),
            claim.expires_at
        ),
        named: &named,
        report: Report::default()
            .row("terms", terms_id.to_string())
            .row("offered to", &to)
            .row("open until", claim.expires_at.to_string())
            .next("chopmark licence accept off_…, by whoever wants the licence"),
        members: json!({
            "terms_id": terms_id,
            "artefacts": claim.artefacts,
            "licensee": claim.licensee,
            "expires_at": claim.expires_at,
            "under": claim.under,
        }),
        claim: Claim::Offer(claim),
    };
    say(context, &speaker, saying)
}

/// Publishes the terms that an offer refers to, unless this party has done so.
fn publish_once(context: &Context<'_>, speaker: &Speaker, terms: &Terms) -> Result<TermsId, Failure> {
    let id = terms.id().map_err(|error| unwritable(&error))?;
    let published = speaker.client.terms(&id.to_string())?;
    let is_ours = published.is_some_and(|terms| terms.published_by.iter().any(|by| by.party == speaker.party.party_id));
    if is_ours {
        return Ok(id);
    }
    let claim = Claim::Terms(TermsClaim(Box::new(terms.clone())));
    speaker.enter(
        context,
        &format!("terms {}", id.shown()),
        &claim,
        &format!("these are terms of ours: {}", id.shown()),
    )?;
    Ok(id)
}

/// Publishes the terms with sealed figures.
fn publish_sealed(
    context: &Context<'_>,
    speaker: &Speaker,
    terms: &Terms,
    zone: ResidencyZone,
) -> Result<TermsId, Failure> {
    let (sealed, openings) = sealed(speaker, terms, zone)?;
    let id = sealed.id().map_err(|error| unwritable(&error))?;
    let claim = Claim::Terms(TermsClaim(Box::new(sealed)));
    let said = format!("these are terms of ours, with sealed figures: {}", id.shown());
    speaker.enter_sealed(context, (&format!("terms {}", id.shown()), &claim, &said), Some(&openings))?;
    Ok(id)
}

/// The terms with commitments in the place of their figures, whose openings go to the registry's vault beside the
/// statement. Each time they are other terms: their commitments are made for this one statement.
fn sealed(speaker: &Speaker, terms: &Terms, zone: ResidencyZone) -> Result<(Terms, SealedFigures), Failure> {
    if terms.is_sealed() || terms.consideration.is_empty() {
        return Err(Failure::usage("there is nothing to seal: the terms have no open figures (/consideration)"));
    }
    let (place, nonce) = speaker.place(TermsClaim::PREDICATE_TYPE)?;
    // One salt for each of the four figures of each consideration.
    let salts: Vec<[u8; 32]> = (0..4 * terms.consideration.len()).map(|_| random()).collect::<Result<_, _>>()?;
    let mut salts = salts.into_iter();
    let sealed = terms.seal(&place, || salts.next().unwrap_or_default());
    let (sealed, fields) = sealed.map_err(|error| unwritable(&error))?;
    let meaning = Sha256Digest::of(format!("{zone:?}\n{terms}").as_bytes());
    Ok((sealed, SealedFigures { nonce, openings: Openings { zone, fields }, meaning }))
}

/// Whole ids, ascending, none twice.
pub(super) fn ids(
    given: &[String],
    find: impl Fn(&str) -> Result<StatementId, Failure>,
) -> Result<Vec<StatementId>, Failure> {
    let found: BTreeSet<StatementId> = given.iter().map(|id| find(id)).collect::<Result<_, _>>()?;
    Ok(found.into_iter().collect())
}
