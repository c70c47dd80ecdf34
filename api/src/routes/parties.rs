//! Parties by id, by filters and by words.

use actix_web::{HttpRequest, HttpResponse, get, web};
use chopmark_core::code::Jurisdiction;
use chopmark_core::statement::StatementId;
use chopmark_store::{FoundParty, PartyFilter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::about::{AboutView, about};
use super::statements::resolve;
use super::{listed, page, revalidated};
use crate::problem::{ApiError, BadParameter, Missing, NotNow, Unchanged, internal};
use crate::service::Service;

/// A party as the registry knows it: by id as it is now, in a list as of the list's `applied_size`. Names and identifiers
/// are what the party says of itself.
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
    /// Entry by which the operator verified who it is, while that stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified_from: Option<u64>,
    /// Other parties whose names can't be told from its own (UTS 39), 64 hexadecimal characters each, at most 100.
    pub look_alikes: Vec<String>,
    /// Its keys, at most 100 – of one party asked for by id, all that may sign: first those that may sign, root keys before
    /// others, then those that ended last; in order of validity.
    pub keys: Vec<KeyView>,
    /// Whether it has, or had, more keys.
    pub more_keys: bool,
    /// What others say about it: the operator's verifications among them.
    pub about: AboutView,
}

/// Parties found.
#[derive(Debug, Serialize, ToSchema)]
pub struct PartyList {
    /// Entries of the log that the answer takes into account; the same on every page of one list.
    pub applied_size: u64,
    /// First registered first, at most 100.
    pub parties: Vec<PartyView>,
    /// Cursor of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// How to find parties. All that is given must fit.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PartyQuery {
    /// Words of its names; Traditional and Simplified Chinese find each other.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Where it is established: ISO 3166-1 alpha-2.
    #[param(pattern = "^[A-Z]{2}$")]
    jurisdiction: Option<String>,
    /// A Hong Kong Business Registration Number that they say is theirs: 8 digits.
    #[param(pattern = "^[0-9]{8}$")]
    brn: Option<String>,
    /// Registered at this moment or later: RFC 3339, UTC, with milliseconds.
    #[param(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$")]
    since: Option<String>,
    /// Where the next page begins, from the answer before.
    #[param(pattern = "^[0-9]+\\.[0-9]+$")]
    cursor: Option<String>,
    /// Most parties in the answer.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
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
    let found = service.store.party(&id, service.searchable_size().await?).await?;
    let found = found.ok_or_else(|| ApiError::not_found("no party has this id"))?;
    service.published_beyond(found.record.index).await?;
    revalidated(&view(&found)?)
}

/// Parties that fit.
#[utoipa::path(
    operation_id = "findParties",
    tag = "parties",
    params(PartyQuery),
    responses(
        (status = 200, description = "Those found; none is an empty list", body = PartyList,
            headers(("Link" = String, description = "The next page, `rel=\"next\"`"))),
        Unchanged,
        BadParameter,
        NotNow,
    )
)]
#[get("/v1/parties")]
pub async fn find(
    service: web::Data<Service>,
    request: HttpRequest,
    query: Result<web::Query<PartyQuery>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let query = query.map_err(page::malformed)?;
    let filter = PartyFilter {
        jurisdiction: page::word::<Jurisdiction>("jurisdiction", query.jurisdiction.as_deref())?,
        brn: query.brn.as_deref().map(brn).transpose()?,
        since: page::moment("since", query.since.as_deref())?,
        terms: page::terms(query.q.as_deref())?,
    };
    let size = service.searchable_size().await?;
    let page = page::of_log(&service, query.cursor.as_deref(), query.limit, size).await?;
    let found = service.store.parties(&filter, page).await?;
    let parties = found.iter().map(view).collect::<Result<Vec<_>, _>>()?;
    let next = page::next(page, found.len(), found.last().map(|party| party.record.index));
    listed(&request, &PartyList { applied_size: page.below, parties, next: next.clone() }, next.as_deref())
}

/// A Business Registration Number, as it is compared.
fn brn(text: &str) -> Result<String, ApiError> {
    let is_one = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_one {
        Ok(text.to_owned())
    } else {
        Err(ApiError::bad_parameter("query", "brn", "a Business Registration Number has 8 digits"))
    }
}

fn view(found: &FoundParty) -> Result<PartyView, ApiError> {
    let party = &found.record;
    Ok(PartyView {
        party_id: party.id.to_hex(),
        id: party.id.shown("pty").to_string(),
        name: serde_json::to_value(&party.name).map_err(|error| internal(&error))?,
        identifiers: serde_json::to_value(&party.identifiers).map_err(|error| internal(&error))?,
        jurisdiction: party.jurisdiction.as_ref().map(|code| code.as_str().to_owned()),
        threshold: party.threshold,
        key_head: party.key_head.to_hex(),
        key_seq: party.key_seq,
        index: party.index,
        verified_from: party.verified_from,
        look_alikes: found.look_alikes.iter().map(StatementId::to_hex).collect(),
        keys: found
            .keys
            .iter()
            .map(|key| KeyView {
                key_id: key.id.to_string(),
                public_key: key.public_key.to_string(),
                role: key.role.as_str().to_owned(),
                valid_from: key.valid_from,
                valid_until: key.valid_until,
            })
            .collect(),
        more_keys: found.more_keys,
        about: about(&found.about)?,
    })
}
