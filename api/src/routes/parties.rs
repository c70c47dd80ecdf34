//! Parties by id.

use actix_web::{HttpResponse, get, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::revalidated;
use super::statements::resolve;
use crate::problem::{ApiError, BadParameter, Missing, NotNow, Unchanged, internal};
use crate::service::Service;

/// A party as the registry knows it. Names and identifiers are what the party says of itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct PartyView {
    /// Id of the statement that created it, 64 hexadecimal characters.
    pub party_id: String,
    /// The same, short, for people.
    pub id: String,
    /// Names by language: `en`, `zh-Hant`, `zh-Hans`.
    #[schema(value_type = Object)]
    pub name: Value,
    /// Numbers in public registers: `scheme` and `value`.
    #[schema(value_type = Vec<Object>)]
    pub identifiers: Value,
    /// ISO 3166-1 alpha-2; the operator's party has none.
    pub jurisdiction: Option<String>,
    /// Signatures its statements need.
    pub threshold: u32,
    /// Latest event of its key chain; statements name it in `key_head`.
    pub key_head: String,
    /// Number of that event; the party's creation is 0.
    pub key_seq: u64,
    /// Entry that created it.
    pub index: u64,
    /// Its keys.
    pub keys: Vec<KeyView>,
}

/// A key of a party.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyView {
    /// SHA-256 of the public key.
    pub key_id: String,
    /// Ed25519 public key, padded base64.
    pub public_key: String,
    /// `root` (together with others) or `signing` (alone, but no key events).
    pub role: String,
    /// Entry from which on it may sign.
    pub valid_from: u64,
    /// Entry from which on it may no longer sign; absent while it may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<u64>,
}

/// A party by id.
#[utoipa::path(
    operation_id = "getParty",
    tag = "parties",
    params(("id" = String, Path, pattern = "^([0-9a-f]{64}|[a-z]{2,4}_[a-z2-7]{20})$",
        description = "64 hexadecimal characters, or a shown id such as `pty_…`")),
    responses(
        (status = 200, description = "The party", body = PartyView),
        Unchanged,
        BadParameter,
        Missing,
        NotNow,
    )
)]
#[get("/v1/parties/{id}")]
pub async fn show(service: web::Data<Service>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let id = resolve(&service, &id).await?;
    let found = service.store.party(&id).await?;
    let (party, keys) = found.ok_or_else(|| ApiError::not_found("no party has this id"))?;
    service.published_beyond(party.index).await?;
    revalidated(&PartyView {
        party_id: party.id.to_hex(),
        id: party.id.shown("pty").to_string(),
        name: serde_json::to_value(&party.name).map_err(|error| internal(&error))?,
        identifiers: serde_json::to_value(&party.identifiers).map_err(|error| internal(&error))?,
        jurisdiction: party.jurisdiction.map(|code| code.as_str().to_owned()),
        threshold: party.threshold,
        key_head: party.key_head.to_hex(),
        key_seq: party.key_seq,
        index: party.index,
        keys: keys
            .iter()
            .map(|key| KeyView {
                key_id: key.id.to_string(),
                public_key: key.public_key.to_string(),
                role: key.role.as_str().to_owned(),
                valid_from: key.valid_from,
                valid_until: key.valid_until,
            })
            .collect(),
    })
}
