//! `chopmark party register`: an organisation and the keys that speak for it.

use chopmark_core::key::PublicKey;
use chopmark_core::kind::Claim;
use chopmark_core::party::{Identifier, KeySet, PartyClaim, Scheme};
use chopmark_core::statement::{Issuer, SignerGroup};
use chopmark_core::text::{Names, validate_name};
use serde_json::json;

use super::consent::Consent;
use super::submit::Draft;
use super::{Context, cosign, dry_run};
use crate::arguments::PartyRegisterArguments;
use crate::client::Client;
use crate::config::Overrides;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::interrupt;
use crate::keys::{self, Key};
use crate::parties::{self, KnownParty};
use crate::printer::{Report, Tone};
use crate::trust::Contact;

/// Registers the party and remembers it.
///
/// # Errors
/// As the registry or the person answers; see `submit`.
pub(crate) fn register(context: &Context<'_>, arguments: PartyRegisterArguments) -> Result<Exit, Failure> {
    let printer = context.printer;
    let settings = context.settings(Overrides::default())?;
    interrupt::install(printer, context.command)?;
    let cosigning = arguments.cosign.clone();
    if !cosigning.cosigners.is_empty() {
        return Err(Failure::usage("name the other root keys of a new party with --root-key PUBLIC_KEY"));
    }
    cosign::check(&cosigning)?;
    let consent = Consent::find(arguments.consent, &settings.url, printer)?;
    let party_file = arguments.party_file.clone();
    let keys = keys::load_all(&settings.keys)?;
    let claim = claim(arguments, &keys)?;

    let client = Client::of(&settings)?;
    let contact = Contact::meet(&settings, &client)?;
    let public = what_becomes_public(&claim);
    // Every root key signs: nobody registers a party with a key that is not theirs.
    let key_ids: Vec<_> = claim.root_keys.keys.iter().map(PublicKey::id).collect();
    let threshold = u32::try_from(key_ids.len()).unwrap_or(u32::MAX);
    let signers = SignerGroup { party: Issuer::Own, key_head: None, keys: key_ids.clone(), threshold };
    let name = claim.name.display().to_owned();
    let needed = claim.root_keys.threshold;
    let claim = Claim::Party(claim);
    let draft = Draft {
        contact: &contact,
        signers: &signers,
        beside: &[],
        keys: &keys,
        subject_name: &name,
        claim: &claim,
        document: None,
        until: None,
        sealed: None,
    };
    if let Some(path) = cosigning.sign_only.as_deref().filter(|_| consent != Consent::NotNeeded) {
        consent.obtain(printer, &contact.registry.origin, &public)?;
        return cosign::write(context, &draft, path, (&client, &settings.directories), Vec::new(), &[]);
    }
    let signed = draft.signed(&settings.directories)?;
    if consent == Consent::NotNeeded {
        return dry_run::print(context, &signed, &contact.registry, &[]);
    }
    consent.obtain(printer, &contact.registry.origin, &public)?;
    contact.pin(&settings.directories, printer)?;
    let registered = draft.send(signed, &client, &settings.directories, printer)?;

    let party = registered.statement().id;
    let known = KnownParty {
        party,
        name: name.clone(),
        origin: contact.registry.origin.clone(),
        genesis: contact.registry.genesis,
        keys: key_ids,
    };
    parties::remember(&settings.directories, &known)?;
    if let Some(path) = &party_file {
        parties::write_file(path, &known)?;
    }

    let shown = party.shown("pty");
    let proved = &registered.proved;
    let origin = &contact.registry.origin;
    let report = Report::default()
        .row("name", format!("{name} (self-declared)"))
        .row("party id", party.to_string())
        .row("index", format!("{} in a log of {}, proved", proved.index, proved.checkpoint.size()))
        .row("keys", format!("{}, of which {needed} must sign", known.keys.len()))
        .headline(Tone::Good, format!("REGISTERED: {name} is {shown} at {origin}"))
        .next("chopmark register PATH --licence EXPRESSION");
    let members = json!({
        "id": shown,
        "party_id": party,
        "index": proved.index,
        "size": proved.checkpoint.size(),
        "recorded_at": registered.recorded_at,
        "registry": { "origin": origin, "genesis": contact.registry.genesis, "log_key": contact.log_key },
        "keys": known.keys,
        "threshold": needed,
        "proof": proved.proof,
        "party_file": party_file.as_deref().map(files::text),
        "resumed": registered.is_resumed,
    });
    registered.forget();
    context.done(members, &report)
}

fn claim(arguments: PartyRegisterArguments, keys: &[Key]) -> Result<PartyClaim, Failure> {
    let PartyRegisterArguments { names, jurisdiction, brn, uscc, lei, threshold, root_keys: elsewhere, .. } = arguments;
    let name = Names::from(names);
    name.validate(validate_name).map_err(|error| Failure::usage(format!("--name-…: {}", error.reason)))?;
    let mut identifiers = Vec::new();
    for (scheme, value) in [(Scheme::HkBrn, brn), (Scheme::CnUscc, uscc), (Scheme::Lei, lei)] {
        if let Some(value) = value {
            let identifier = Identifier { scheme, value };
            identifier.validate().map_err(Failure::usage)?;
            identifiers.push(identifier);
        }
    }
    let mut root_keys: Vec<PublicKey> = keys.iter().map(Key::public).collect();
    root_keys.extend(elsewhere);
    let threshold = match (threshold, root_keys.as_slice()) {
        (Some(threshold), _) => threshold,
        (None, [_]) => 1,
        (None, _) => {
            let message = format!("say with --threshold how many of the {} keys must sign together", root_keys.len());
            return Err(Failure::usage(message));
        }
    };
    let root_keys = KeySet::new(root_keys, threshold);
    root_keys.validate().map_err(|error| Failure::usage(format!("keys: {error}")))?;
    Ok(PartyClaim { name, identifiers, jurisdiction, root_keys })
}

fn what_becomes_public(claim: &PartyClaim) -> Vec<String> {
    let names = claim.name.iter().map(|(language, name)| format!("name ({language})  {name}"));
    let identifiers = claim.identifiers.iter().map(|identifier| format!("number     {}", identifier.value));
    let keys = claim.root_keys.keys.iter().map(|key| format!("public key {key}"));
    let place = format!("place      {}", claim.jurisdiction.as_str());
    names.chain(identifiers).chain([place]).chain(keys).collect()
}
