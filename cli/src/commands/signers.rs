//! Who signs: the group of a party's keys that a statement lists, with keys at hand and keys elsewhere.
//!
//! Whatever is chosen here the registry decides; this only refuses early what it would refuse.

use chopmark_core::key::{KeyId, PublicKey};
use chopmark_core::party::{KeyEvent, KeyRole};
use chopmark_core::statement::{Issuer, RegistryRef, SignerGroup};

use crate::arguments::CosignArguments;
use crate::client::{Client, PartyDescription, PartyKey};
use crate::config::Settings;
use crate::exit::{Exit, Failure};
use crate::keys::Key;
use crate::parties;

/// The party to speak for, and the group of its keys that signs.
///
/// With `--sign-only` any of the party's root keys may be among those who sign, unless the cosigners are named; without
/// it only keys at hand are listed.
///
/// # Errors
/// An authorisation failure when the keys at hand can't sign for the party; a usage failure when cosigners don't fit.
pub(super) fn signing_party(
    client: &Client,
    settings: &Settings,
    registry: &RegistryRef,
    keys: &[Key],
    cosign: &CosignArguments,
) -> Result<(PartyDescription, SignerGroup), Failure> {
    let at_hand: Vec<_> = keys.iter().map(Key::id).collect();
    let id = parties::resolve(settings.party.as_deref(), &settings.directories, registry, &at_hand)?;
    let party = client.party(&id)?;
    let signers = statement_signers(&party, keys, cosign)?;
    Ok((party, signers))
}

/// The group of this party's keys that signs.
///
/// # Errors
/// As [`signing_party`].
pub(super) fn statement_signers(
    party: &PartyDescription,
    keys: &[Key],
    cosign: &CosignArguments,
) -> Result<SignerGroup, Failure> {
    let name = party.name.display();
    if let Some(key) = keys.iter().find(|key| current(party, &key.id()).is_none()) {
        let message =
            format!("the key in {} is not a key of {name} ({}), or no longer", key.path.display(), party.party_id);
        return Err(Failure::new(Exit::NotAuthorised, "not_authorised", message));
    }
    let mut listed: Vec<_> = keys.iter().map(Key::id).collect();
    let is_signing = |id: &KeyId| current(party, id).is_some_and(|key| key.role == KeyRole::Signing);
    let signs_alone = listed.iter().any(is_signing);
    let threshold = if signs_alone { 1 } else { party.threshold };
    if signs_alone {
        // Root keys sign together or not at all: one that is at hand as well adds nothing.
        listed.retain(is_signing);
    }
    if signs_alone && !cosign.cosigners.is_empty() {
        return Err(Failure::usage("a signing key signs alone: leave --cosigner out, or sign with a root key"));
    }
    if cosign.sign_only.is_some() && !signs_alone {
        listed = if cosign.cosigners.is_empty() {
            root_keys(party).collect()
        } else {
            with_cosigners(party, listed, &cosign.cosigners)?
        };
    }
    if listed.len() < usize::try_from(threshold).unwrap_or(usize::MAX) {
        let message = if cosign.sign_only.is_some() {
            format!("statements of {name} need {threshold} signatures; name that many keys, those at hand included")
        } else {
            format!(
                "statements of {name} need {threshold} signatures; give that many keys, each with --key, or collect \
                 signatures of keys elsewhere with --sign-only FILE"
            )
        };
        return Err(Failure::new(Exit::NotAuthorised, "threshold_not_met", message));
    }
    Ok(group(party, listed, threshold))
}

/// The group of a party whose keys are all elsewhere.
pub(super) fn all_root_keys(party: &PartyDescription) -> SignerGroup {
    group(party, root_keys(party).collect(), party.threshold)
}

/// The group that signs a key event: every listed key must, so it is exactly as many root keys as needed, and the new key.
///
/// # Errors
/// As [`signing_party`], and a usage failure when the other signers have to be named.
pub(super) fn event_signers(
    party: &PartyDescription,
    keys: &[Key],
    event: &KeyEvent,
    cosign: &CosignArguments,
) -> Result<SignerGroup, Failure> {
    let mut listed: Vec<_> = keys.iter().map(Key::id).collect();
    let goes = match event {
        KeyEvent::Add { .. } => None,
        KeyEvent::Rotate { replaced: key, .. } | KeyEvent::Revoke { key, .. } => Some(*key),
    };
    let gives_itself_up =
        matches!(event, KeyEvent::Revoke { key, .. } if listed == [*key]) && cosign.cosigners.is_empty();
    if cosign.sign_only.is_some() && !gives_itself_up {
        listed = with_cosigners(party, listed, &cosign.cosigners)?;
        let signing = root_keys(party).filter(|root| listed.contains(root)).count();
        let missing = usize::try_from(party.threshold).unwrap_or(usize::MAX).saturating_sub(signing);
        // A key that goes is as a rule one that nobody has, or nobody should use.
        let others: Vec<_> = root_keys(party).filter(|root| !listed.contains(root) && goes != Some(*root)).collect();
        if missing > 0 && others.len() != missing {
            let others: Vec<_> = others.iter().map(ToString::to_string).collect();
            return Err(Failure::usage(format!(
                "{} root keys must sign a key event of {}, and every key that is listed must: name {missing} more with \
                 --cosigner, of {}",
                party.threshold,
                party.name.display(),
                if others.is_empty() { "which the party has none".to_owned() } else { others.join(", ") }
            )));
        }
        if missing > 0 {
            listed.extend(others);
        }
    }
    listed.extend(introduced(event).map(PublicKey::id));
    let threshold = u32::try_from(listed.len()).unwrap_or(u32::MAX);
    Ok(group(party, listed, threshold))
}

/// Public keys of those who sign, to check their signatures by.
pub(super) fn public_keys(party: &PartyDescription, signers: &SignerGroup) -> Vec<PublicKey> {
    party.keys.iter().filter(|key| signers.keys.contains(&key.key_id)).map(|key| key.public_key).collect()
}

fn introduced(event: &KeyEvent) -> Option<&PublicKey> {
    match event {
        KeyEvent::Add { public_key, .. } | KeyEvent::Rotate { public_key, .. } => Some(public_key),
        KeyEvent::Revoke { .. } => None,
    }
}

fn group(party: &PartyDescription, mut keys: Vec<KeyId>, threshold: u32) -> SignerGroup {
    keys.sort_unstable();
    keys.dedup();
    SignerGroup { party: Issuer::Party(party.party_id), key_head: Some(party.key_head), keys, threshold }
}

fn with_cosigners(
    party: &PartyDescription,
    mut listed: Vec<KeyId>,
    cosigners: &[KeyId],
) -> Result<Vec<KeyId>, Failure> {
    for key in cosigners {
        if !root_keys(party).any(|root| root == *key) {
            let message = format!("--cosigner {key} is not a root key of {}, or no longer", party.name.display());
            return Err(Failure::new(Exit::NotAuthorised, "not_authorised", message));
        }
        if !listed.contains(key) {
            listed.push(*key);
        }
    }
    Ok(listed)
}

/// A key of the party that may sign now.
fn current<'p>(party: &'p PartyDescription, id: &KeyId) -> Option<&'p PartyKey> {
    party.keys.iter().find(|key| key.key_id == *id && key.valid_until.is_none())
}

fn root_keys(party: &PartyDescription) -> impl Iterator<Item = KeyId> {
    party.keys.iter().filter(|key| key.role == KeyRole::Root && key.valid_until.is_none()).map(|key| key.key_id)
}
