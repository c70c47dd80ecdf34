//! `chopmark key add`, `rotate` and `revoke`: which keys speak for a party, from the next entry on.
//!
//! Every key given signs the event, the new one included; the registry and every verifier check the chain.

use std::path::Path;

use chopmark_core::key::{KeyId, PublicKey};
use chopmark_core::kind::Claim;
use chopmark_core::party::{KeyClaim, KeyEvent};
use serde_json::json;

use super::consent::Consent;
use super::submit::Draft;
use super::{Context, cosign, dry_run, say, signers};
use crate::arguments::{KeyAddArguments, KeyEventArguments, KeyRevokeArguments, KeyRotateArguments};
use crate::client::{Client, PartyDescription};
use crate::config::Overrides;
use crate::exit::{Exit, Failure};
use crate::interrupt;
use crate::keys::{self, Key};
use crate::parties::{self, KnownParty};
use crate::printer::Report;
use crate::trust::Contact;

/// Runs `key add`.
///
/// # Errors
/// As the registry or the person answers; see `submit`.
pub(crate) fn add(context: &Context<'_>, arguments: KeyAddArguments) -> Result<Exit, Failure> {
    let (new, public_key) = new_key(&arguments.new, &arguments.event)?;
    let role = arguments.role;
    let said = format!("key {} may sign from here on ({})", public_key.id(), role.as_str());
    let event = |_: &PartyDescription| Ok(KeyEvent::Add { public_key, role });
    submit(context, arguments.event, new, &said, event)
}

/// Runs `key rotate`.
///
/// # Errors
/// A usage failure when the party has no such key; otherwise as the registry or the person answers.
pub(crate) fn rotate(context: &Context<'_>, arguments: KeyRotateArguments) -> Result<Exit, Failure> {
    let (new, public_key) = new_key(&arguments.new, &arguments.event)?;
    let replaced = arguments.replaced;
    let said = format!("key {} takes the place of {replaced} from here on", public_key.id());
    let event = |party: &PartyDescription| {
        let current = party.keys.iter().find(|key| key.key_id == replaced && key.valid_until.is_none());
        let role =
            current.ok_or_else(|| Failure::usage(format!("key {replaced} is not a valid key of this party")))?.role;
        Ok(KeyEvent::Rotate { replaced, public_key, role })
    };
    submit(context, arguments.event, new, &said, event)
}

/// Runs `key revoke`.
///
/// # Errors
/// As the registry or the person answers; see `submit`.
pub(crate) fn revoke(context: &Context<'_>, arguments: KeyRevokeArguments) -> Result<Exit, Failure> {
    let (key, reason) = (arguments.key, arguments.reason);
    let said = format!("key {key} may no longer sign from here on; what it signed before stays valid");
    submit(context, arguments.event, None, &said, |_| Ok(KeyEvent::Revoke { key, reason }))
}

/// The new key: the file of it, or its public half, while the rest of it signs elsewhere.
fn new_key(named: &Path, arguments: &KeyEventArguments) -> Result<(Option<Key>, PublicKey), Failure> {
    let public = named.to_str().and_then(|text| text.parse::<PublicKey>().ok()).filter(|_| !named.exists());
    match public {
        Some(public) if arguments.cosign.sign_only.is_some() => Ok((None, public)),
        Some(_) => Err(Failure::usage(
            "the new key signs too, to show that somebody has it: give its file, or collect its signature with \
             --sign-only FILE",
        )),
        None => {
            let key = Key::load(named)?;
            let public = key.public();
            Ok((Some(key), public))
        }
    }
}

fn submit(
    context: &Context<'_>,
    arguments: KeyEventArguments,
    new: Option<Key>,
    said: &str,
    event: impl FnOnce(&PartyDescription) -> Result<KeyEvent, Failure>,
) -> Result<Exit, Failure> {
    let printer = context.printer;
    let settings = context.settings(Overrides { party: arguments.party, ..Overrides::default() })?;
    interrupt::install(printer, context.command)?;
    cosign::check(&arguments.cosign)?;
    let consent = Consent::find(arguments.consent, &settings.url, printer)?;
    let mut keys = keys::load_all(&settings.keys)?;
    let known_ids: Vec<KeyId> = keys.iter().map(Key::id).collect();
    let client = Client::of(&settings)?;
    let contact = Contact::meet(&settings, &client)?;
    let id = parties::resolve(settings.party.as_deref(), &settings.directories, &contact.registry, &known_ids)?;
    let party = client.party(&id)?;

    let event = event(&party)?;
    let signers = signers::event_signers(&party, &keys, &event, &arguments.cosign)?;
    keys.extend(new);
    keys.sort_by_key(Key::id);
    let claim = Claim::Key(KeyClaim { seq: party.key_seq + 1, prev: party.key_head, event });
    let name = party.name.display().to_owned();
    let subject_name = format!("key event {} of {name}", party.key_seq + 1);
    let draft = Draft {
        contact: &contact,
        signers: &signers,
        beside: &[],
        keys: &keys,
        subject_name: &subject_name,
        claim: &claim,
        document: None,
        until: None,
        sealed: None,
    };
    if let Some(path) = arguments.cosign.sign_only.as_deref().filter(|_| consent != Consent::NotNeeded) {
        consent.obtain(printer, &contact.registry.origin, &[format!("{name}: {said}")])?;
        let keys = signers::public_keys(&party, &signers);
        return cosign::write(context, &draft, path, (&client, &settings.directories), keys, &[]);
    }
    let signed = draft.signed(&settings.directories)?;
    if consent == Consent::NotNeeded {
        return dry_run::print(context, &signed, &contact.registry, &[]);
    }
    consent.obtain(printer, &contact.registry.origin, &[format!("{name}: {said}")])?;
    contact.pin(&settings.directories, printer)?;
    let registered = draft.send(signed, &client, &settings.directories, printer)?;
    let known = KnownParty {
        party: party.party_id,
        name: name.clone(),
        origin: contact.registry.origin.clone(),
        genesis: contact.registry.genesis,
        keys: signers.keys.clone(),
    };
    parties::remember(&settings.directories, &known)?;

    let report = Report::default().row("party", format!("{name} ({})", party.party_id.shown("pty")));
    say::recorded(context, registered, &party, report, said, json!({ "seq": party.key_seq + 1 }))
}
