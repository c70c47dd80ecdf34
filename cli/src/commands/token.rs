//! `chopmark token`: log in as a party; on the operator's machine, make, list and take back the tokens of others.

use chopmark_core::access::{Scope, Who};
use chopmark_core::statement::{RegistryRef, StatementId};
use chopmark_core::text::validate_name;
use chopmark_core::time::Timestamp;
use chopmark_core::token::{Token, login_message};
use chopmark_store::{Store, StoredToken};
use data_encoding::BASE64;
use ed25519_dalek::Signer as _;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Context, block_on};
use crate::arguments::{
    LoginArguments, StoreArguments, TokenListArguments, TokenNewArguments, TokenRevokeArguments, TokenRole,
    VaultKeyArguments,
};
use crate::client::{Client, LoggedIn, Login};
use crate::config::{Overrides, Settings};
use crate::exit::{Exit, Failure};
use crate::keys;
use crate::parties;
use crate::printer::{Report, Tone};
use crate::registry::{self, DataDirectory};
use crate::trust::Contact;
use crate::vault;

/// Where a token is taken from, rather than logging in.
const VARIABLE: &str = "CHOPMARK_TOKEN";

/// Logs in, and prints the token.
///
/// # Errors
/// An authorisation failure when no key at hand speaks for the party; a network or service failure.
pub(crate) fn login(context: &Context<'_>, arguments: LoginArguments) -> Result<Exit, Failure> {
    let settings = context.settings(Overrides { party: arguments.party, ..Overrides::default() })?;
    let client = Client::of(&settings)?;
    let contact = Contact::meet(&settings, &client)?;
    contact.pin(&settings.directories, context.printer)?;
    let (party, logged_in) = log_in(&settings, &client, &contact)?;
    let LoggedIn { token, id, expires_at, scopes } = logged_in;
    let members = json!({
        "token": *token,
        "token_id": id,
        "party_id": party,
        "expires_at": expires_at,
        "scopes": scopes,
        "registry": { "origin": contact.registry.origin, "genesis": contact.registry.genesis },
    });
    let report = Report::default()
        .row("party", party.shown("pty").to_string())
        .row("good for", scopes.join(", "))
        .row("token", token.as_str())
        .headline(Tone::Good, format!("LOGGED IN until {expires_at}"))
        .next(format!("export {VARIABLE}=TOKEN"));
    context.done(members, &report)
}

/// The token to show: the one in the environment, or else that of a login with the key at hand.
///
/// # Errors
/// As [`login`].
pub(super) fn at_hand(settings: &Settings, client: &Client, contact: &Contact) -> Result<Zeroizing<String>, Failure> {
    match in_environment() {
        Some(token) => Ok(token),
        None => Ok(of_key(settings, client, contact)?.1),
    }
}

/// The token in the environment, where there is one.
pub(super) fn in_environment() -> Option<Zeroizing<String>> {
    std::env::var(VARIABLE).ok().filter(|token| !token.is_empty()).map(Zeroizing::new)
}

/// The token of a login with the key at hand, and the party it is of.
///
/// # Errors
/// As [`login`].
pub(super) fn of_key(
    settings: &Settings,
    client: &Client,
    contact: &Contact,
) -> Result<(StatementId, Zeroizing<String>), Failure> {
    let (party, logged_in) = log_in(settings, client, contact)?;
    Ok((party, logged_in.token))
}

/// The id of the party to act for: the one that is named, or goes with the keys at hand.
///
/// # Errors
/// A usage failure when there is none, or no key can be read.
pub(super) fn own_party(settings: &Settings, registry: &RegistryRef) -> Result<String, Failure> {
    let at_hand: Vec<_> = keys::load_all(&settings.keys)?.iter().map(keys::Key::id).collect();
    parties::resolve(settings.party.as_deref(), &settings.directories, registry, &at_hand)
}

fn log_in(settings: &Settings, client: &Client, contact: &Contact) -> Result<(StatementId, LoggedIn), Failure> {
    let keys = keys::load_all(&settings.keys)?;
    let registry = &contact.registry;
    let party = client.party(&own_party(settings, registry)?)?;
    let is_current =
        |key: &&keys::Key| party.keys.iter().any(|known| known.key_id == key.id() && known.valid_until.is_none());
    let key = keys.iter().find(is_current).ok_or_else(|| {
        let message = format!("no key at hand speaks for {} now", party.name.display());
        Failure::new(Exit::NotAuthorised, "not_authorised", message)
    })?;
    let challenge = client.challenge()?;
    // The registry that is known here, not the one that the service says it is.
    let message = login_message(
        &registry.origin,
        &registry.genesis,
        &party.party_id.to_hex(),
        &challenge.challenge,
        &challenge.expires_at,
    );
    let signature = BASE64.encode(&key.secret().sign(&message).to_bytes());
    let login = Login { party: party.party_id, challenge: challenge.challenge, key_id: key.id(), signature };
    Ok((party.party_id, client.log_in(&login)?))
}

/// Makes a token, and prints it this once.
///
/// # Errors
/// A usage failure when role, jurisdiction or scopes don't fit; when the database can't be reached.
pub(crate) fn new(context: &Context<'_>, arguments: &TokenNewArguments) -> Result<Exit, Failure> {
    let TokenNewArguments { role, jurisdiction, name, days, scopes, store, key } = arguments;
    validate_name(name).map_err(|reason| Failure::usage(format!("--name: {reason}")))?;
    let who = match (role, jurisdiction) {
        (TokenRole::Officer, Some(jurisdiction)) => Who::Officer(jurisdiction.clone()),
        (TokenRole::Auditor, None) => Who::Auditor,
        (TokenRole::Operator, None) => Who::Operator,
        _ => return Err(Failure::usage("officers are bound to a --jurisdiction, others are not")),
    };
    let mut scopes: Vec<Scope> = if scopes.is_empty() { who.usual_scopes() } else { scopes.clone() };
    scopes.sort_unstable();
    scopes.dedup();
    if let Some(scope) = scopes.iter().find(|scope| !who.scopes().contains(scope)) {
        return Err(Failure::usage(format!("tokens of this role are never good for {}", scope.as_str())));
    }
    let now = Timestamp::from(chrono::Utc::now());
    let (mut id, mut secret) = ([0; 10], Zeroizing::new([0; 32]));
    let random = getrandom::fill(&mut id).and_then(|()| getrandom::fill(&mut *secret));
    random.map_err(|error| Failure::internal(format!("the operating system gives no randomness: {error}")))?;
    let token = Token::from_random(id, &secret);
    let stored = StoredToken {
        id: token.id().clone(),
        hash: token.hash(),
        who,
        scopes,
        name: name.clone(),
        made_at: now,
        expires_at: now.plus_days(*days),
        revoked_at: None,
        signing_key: None,
    };
    with_tokens(store, key, async |store| Ok(store.insert_token(&stored).await?))?;
    let mut members = described(&stored, true);
    if let Value::Object(members) = &mut members {
        members.insert("token".to_owned(), token.expose().into());
    }
    let report = Report::default()
        .row("token id", stored.id.as_str())
        .row("role", format!("{} {}", stored.who.role(), stored.who.bound_to()).trim_end())
        .row("good for", scope_words(&stored))
        .row("until", stored.expires_at.to_string())
        .row("token", token.expose())
        .headline(Tone::Good, "MADE: hand it over now, it is not shown again");
    context.done(members, &report)
}

/// Does something with the registry's tokens, whose rows need the master key.
fn with_tokens<T>(
    arguments: &StoreArguments,
    key: &VaultKeyArguments,
    work: impl AsyncFnOnce(Store) -> Result<T, Failure>,
) -> Result<T, Failure> {
    block_on(async {
        let directory = DataDirectory::of(arguments)?;
        let (store, database) = registry::open_for_reading(&directory, arguments).await?;
        let is_private = arguments.database_url.is_none();
        let done = match vault::attach_for_tokens(&store, &directory, (key, is_private)).await {
            Ok(store) => work(store).await,
            Err(failure) => Err(failure),
        };
        database.stop().await?;
        done
    })
}

fn scope_words(token: &StoredToken) -> String {
    token.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", ")
}

fn described(token: &StoredToken, is_authentic: bool) -> Value {
    json!({
        "token_id": token.id.as_str(),
        "role": token.who.role(),
        "bound_to": token.who.bound_to(),
        "scopes": token.scopes,
        "name": token.name,
        "made_at": token.made_at,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
        "is_authentic": is_authentic,
    })
}

/// Lists the tokens that were made by hand.
///
/// # Errors
/// When the database can't be reached.
pub(crate) fn list(context: &Context<'_>, arguments: &TokenListArguments) -> Result<Exit, Failure> {
    let tokens = with_tokens(&arguments.store, &arguments.key, async |store| Ok(store.tokens().await?))?;
    let now = Timestamp::from(chrono::Utc::now());
    let mut report = Report::default();
    for (token, is_ours) in &tokens {
        let state = match token.revoked_at {
            _ if !is_ours => "not made by this registry: opens nothing".to_owned(),
            Some(at) => format!("revoked {at}"),
            None if token.expires_at <= now => format!("expired {}", token.expires_at),
            None => format!("until {}", token.expires_at),
        };
        let role = format!("{} {}", token.who.role(), token.who.bound_to());
        report = report.line(format!("{}  {role:<12}{:<22}{state}  {}", token.id, scope_words(token), token.name));
    }
    let number = crate::units::count(crate::units::length(tokens.len()), "token");
    let members: Vec<Value> = tokens.iter().map(|(token, is_ours)| described(token, *is_ours)).collect();
    context.done(json!({ "tokens": members }), &report.headline(Tone::Neutral, number))
}

/// Takes a token back.
///
/// # Errors
/// When there is none with this id; when the database can't be reached.
pub(crate) fn revoke(context: &Context<'_>, arguments: &TokenRevokeArguments) -> Result<Exit, Failure> {
    let now = Timestamp::from(chrono::Utc::now());
    let is_there = with_tokens(&arguments.store, &arguments.key, async |store| {
        Ok(store.revoke_token(&arguments.id, now).await?)
    })?;
    if !is_there {
        return Err(Failure::new(Exit::NotRegistered, "not_found", format!("there is no token {}", arguments.id)));
    }
    let report = Report::default().headline(Tone::Good, format!("REVOKED: {} opens nothing any more", arguments.id));
    context.done(json!({ "token_id": arguments.id.as_str() }), &report)
}
