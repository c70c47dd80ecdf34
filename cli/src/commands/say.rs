//! A statement about something else: what `attest`, `endorse` and `party verify` have in common once they know what to say.

use chopmark_core::kind::Claim;
use chopmark_core::statement::{SignerGroup, StatementId};
use serde_json::json;

use super::consent::Consent;
use super::submit::Draft;
use super::{Context, cosign, dry_run, signers};
use crate::arguments::{ConsentArguments, CosignArguments};
use crate::client::{Client, PartyDescription};
use crate::config::Settings;
use crate::exit::{Exit, Failure};
use crate::keys::Key;
use crate::printer::{Report, Tone};
use crate::trust::Contact;

/// What is needed to say something.
pub(super) struct Speaker<'a> {
    /// The settings of this run.
    pub(super) settings: &'a Settings,
    /// The service.
    pub(super) client: &'a Client,
    /// The registry.
    pub(super) contact: &'a Contact,
    /// The keys at hand.
    pub(super) keys: &'a [Key],
    /// The party that says it.
    pub(super) party: &'a PartyDescription,
    /// Its keys that sign.
    pub(super) signers: &'a SignerGroup,
    /// Whether and where to.
    pub(super) consent: Consent,
    /// Who else signs.
    pub(super) cosign: &'a CosignArguments,
}

/// What is to be said.
pub(super) struct Saying<'a> {
    /// A label for the subject.
    pub(super) subject_name: &'a str,
    /// The claim.
    pub(super) claim: Claim,
    /// The same in words.
    pub(super) said: String,
    /// The statements it names.
    pub(super) named: &'a [StatementId],
    /// Facts for the result.
    pub(super) report: Report,
    /// The same for programs.
    pub(super) members: serde_json::Value,
}

/// How the run begins: what can be refused early, and whether consent is given.
///
/// # Errors
/// A usage failure when a file is in the way or there is nobody to ask.
pub(super) fn prepare(
    context: &Context<'_>,
    settings: &Settings,
    consent: ConsentArguments,
    cosign: &CosignArguments,
) -> Result<Consent, Failure> {
    cosign::check(cosign)?;
    Consent::find(consent, &settings.url, context.printer)
}

/// Says it: shows, asks, signs, sends, and checks the receipt.
///
/// # Errors
/// As the registry or the person answers; see `submit`.
pub(super) fn say(context: &Context<'_>, speaker: &Speaker<'_>, saying: Saying<'_>) -> Result<Exit, Failure> {
    let Speaker { settings, client, contact, keys, party, signers, consent, cosign } = *speaker;
    let printer = context.printer;
    let Saying { subject_name, claim, said, named, report, members } = saying;
    let draft = Draft { contact, signers, keys, subject_name, claim: &claim, document: None };
    let name = party.name.display();
    if consent == Consent::NotNeeded {
        return dry_run::print(context, &draft.signed(&settings.directories)?, &contact.registry);
    }
    consent.obtain(printer, &contact.registry.origin, &[format!("{name}: {said}")])?;
    if let Some(path) = &cosign.sign_only {
        let keys = signers::public_keys(party, signers);
        return cosign::write(context, &draft, path, (client, &settings.directories), keys, named);
    }
    let signed = draft.signed(&settings.directories)?;
    contact.pin(&settings.directories, printer)?;
    let registered = draft.send(signed, client, &settings.directories, printer)?;
    let statement = registered.statement().id;
    let proved = &registered.proved;
    let report = report
        .row("said by", format!("{name} ({})", party.party_id.shown("pty")))
        .row("index", format!("{} in a log of {}, proved", proved.index, proved.checkpoint.size()))
        .headline(Tone::Good, format!("RECORDED: {said}"));
    let mut all = json!({
        "id": statement.shown(claim.id_prefix()),
        "statement_id": statement,
        "party_id": party.party_id,
        "index": proved.index,
        "size": proved.checkpoint.size(),
        "recorded_at": registered.recorded_at,
        "registry": { "origin": contact.registry.origin, "genesis": contact.registry.genesis },
        "proof": proved.proof,
        "resumed": registered.is_resumed,
    });
    if let (Some(all), serde_json::Value::Object(members)) = (all.as_object_mut(), members) {
        all.extend(members);
    }
    registered.forget();
    context.done(all, &report)
}
