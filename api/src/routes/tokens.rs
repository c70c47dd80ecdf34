//! Logging in: a party key signs a challenge of this registry and gets a token for a quarter of an hour.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, post, web};
use chopmark_core::access::Who;
use chopmark_core::base64;
use chopmark_core::key::{KeyId, PublicKey};
use chopmark_core::statement::StatementId;
use chopmark_core::strict;
use chopmark_core::time::Timestamp;
use chopmark_core::token::{Token, login_message};
use chopmark_store::{StoredToken, Vault};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::bodies::Body;
use crate::guard::Guard;
use crate::login;
use crate::problem::{ApiError, NotAuthenticated, NotNow, Problem, internal};
use crate::service::Service;

/// How long a challenge may wait for its answer, in seconds.
const CHALLENGE_LIFE_S: i64 = 300;

/// How long a party's token is good, in seconds.
const LOGIN_LIFE_S: i64 = 900;

/// Largest login request, in bytes.
const LOGIN_BYTES_MAX: usize = 4 << 10;

/// The base point of the curve: verified against when there is no such key, so that this takes as long.
const NO_KEY: &str = "WGZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmY=";

/// What a party key signs: `chopmark.login/v1`, origin, genesis, party id, challenge and expiry, each with a line end.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChallengeView {
    /// Good once: 64 hexadecimal characters.
    pub challenge: String,
    /// Origin of the registry, which the signature is bound to.
    pub origin: String,
    /// Until when it is good: RFC 3339, UTC, with milliseconds.
    pub expires_at: String,
}

/// A signed challenge.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// The party to act for, 64 hexadecimal characters.
    #[schema(value_type = String)]
    party: StatementId,
    /// The challenge.
    challenge: String,
    /// Which of its keys has signed, 64 hexadecimal characters.
    #[schema(value_type = String)]
    key_id: KeyId,
    /// Ed25519 over the lines that the challenge describes, in padded base64.
    signature: String,
}

/// A new token; it is shown once.
#[derive(Serialize, ToSchema)]
pub struct TokenView {
    /// To be sent as `Authorization: Bearer …`.
    pub token: String,
    /// What it is found by; no secret.
    pub id: String,
    /// Until when it is good: RFC 3339, UTC, with milliseconds.
    pub expires_at: String,
    /// What it is good for: `openings`, `accesses`.
    pub scopes: Vec<String>,
}

fn after(now: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(now.unix_ms() + seconds * 1_000).unwrap_or(now)
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, ApiError> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).map_err(|error| internal(&error))?;
    Ok(bytes)
}

fn vault(service: &Service) -> Result<&Vault, ApiError> {
    crate::sealed::vault(service, "knows no tokens")
}

/// Ask for a challenge to sign.
#[utoipa::path(
    operation_id = "createChallenge",
    tag = "sealed",
    responses(
        (status = 201, description = "The challenge", body = ChallengeView),
        NotNow,
    )
)]
#[post("/v1/challenges")]
pub async fn challenge(service: web::Data<Service>) -> Result<HttpResponse, ApiError> {
    let now = Timestamp::from(chrono::Utc::now());
    let expires_at = after(now, CHALLENGE_LIFE_S);
    let challenge = vault(&service)?.challenge(*random()?, expires_at)?;
    Ok(HttpResponse::Created().insert_header(("Cache-Control", "no-store")).json(ChallengeView {
        challenge,
        origin: service.registry.reference.origin.clone(),
        expires_at: expires_at.to_string(),
    }))
}

/// Log in as a party.
#[utoipa::path(
    operation_id = "createToken",
    tag = "sealed",
    request_body(content = LoginRequest, content_type = "application/json"),
    responses(
        (status = 201, description = "The token", body = TokenView),
        (status = 400, description = "Not readable", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The request took too long to arrive", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = Problem, content_type = "application/problem+json"),
        NotAuthenticated,
        NotNow,
    )
)]
#[post("/v1/tokens")]
pub async fn log_in(
    service: web::Data<Service>,
    guard: web::Data<Guard>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let Body { bytes, .. } = guard.bodies.read(&request, payload, LOGIN_BYTES_MAX).await?;
    let asked: LoginRequest = strict::from_slice(&bytes).map_err(|error| {
        ApiError::new(StatusCode::BAD_REQUEST, "malformed_request", "request", &error.pointer, error.reason)
    })?;
    let now = Timestamp::from(chrono::Utc::now());
    let expiry = vault(&service)?.challenge_expiry(&asked.challenge, now);
    let key = service.store.key(&asked.key_id).await?;
    let nobody = NO_KEY.parse::<PublicKey>().map_err(|error| internal(&error))?;
    let public_key = key.as_ref().map_or(nobody, |key| key.public_key);
    let reference = &service.registry.reference;
    let message = login_message(
        &reference.origin,
        &reference.genesis,
        &asked.party.to_hex(),
        &asked.challenge,
        &expiry.unwrap_or(now).to_string(),
    );
    let signature = base64::decode(&BASE64, &asked.signature).unwrap_or_default();
    let signature = <[u8; 64]>::try_from(signature.as_slice()).unwrap_or([0; 64]);
    let is_signed = public_key.verify(&message, &signature).is_ok();
    let may_sign = key.is_some_and(|key| key.party == asked.party && key.valid_until.is_none());
    let is_right =
        is_signed && may_sign && expiry.is_some() && login::has_key(&service, asked.party, &asked.key_id).await?;
    if !service.store.use_challenge(&asked.challenge, is_right, now, expiry.unwrap_or(now)).await? {
        return Err(ApiError::not_authenticated());
    }
    let (id, secret) = (random::<10>()?, random::<32>()?);
    let token = Token::from_random(*id, &secret);
    let who = Who::Party(asked.party);
    let stored = StoredToken {
        id: token.id().clone(),
        hash: token.hash(),
        scopes: who.scopes().to_vec(),
        who,
        name: "login".to_owned(),
        made_at: now,
        expires_at: after(now, LOGIN_LIFE_S),
        revoked_at: None,
        signing_key: Some(asked.key_id),
    };
    service.store.insert_token(&stored).await?;
    Ok(HttpResponse::Created().insert_header(("Cache-Control", "no-store")).json(TokenView {
        token: token.expose().to_owned(),
        id: stored.id.to_string(),
        expires_at: stored.expires_at.to_string(),
        scopes: stored.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
    }))
}
