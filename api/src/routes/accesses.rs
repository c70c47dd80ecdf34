//! The access log: who has read which sealed values, for those concerned; its checkpoint and proofs, for everybody.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, web};
use chopmark_core::access::{Action, Resource, Scope, Who, authorize};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::tree::ProofPlan;
use chopmark_store::ListedAccess;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::about::PageQuery;
use super::{FOR_EVER, current, page, tagged};
use crate::authenticate::authenticate;
use crate::problem::{ApiError, BadParameter, Missing, NotAuthenticated, NotNow, Unchanged, internal};
use crate::service::Service;

/// Records of readings.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccessList {
    /// Records in the access log; the same on every page of one list.
    pub size: u64,
    /// Those that the token's owner may see, first recorded first, at most 100.
    pub accesses: Vec<AccessView>,
    /// Cursor of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A record, in its place.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccessView {
    /// Position in the access log, from 0.
    pub index: u64,
    /// RFC 6962 leaf hash of the record's canonical JSON, hexadecimal.
    pub leaf_hash: String,
    /// When, who, what and why: `chopmark.access/v1`.
    #[schema(value_type = Object)]
    pub record: Value,
}

/// Who has read what: of a party's own values for a party, everything for auditors and the operator.
#[utoipa::path(
    operation_id = "listAccesses",
    tag = "sealed",
    security(("token" = [])),
    params(PageQuery),
    responses(
        (status = 200, description = "The records; none is an empty list", body = AccessList,
            headers(("Link" = String, description = "The next page, `rel=\"next\"`"))),
        BadParameter,
        NotAuthenticated,
        Missing,
        NotNow,
    )
)]
#[get("/v1/accesses")]
pub async fn list(
    service: web::Data<Service>,
    request: HttpRequest,
    query: Result<web::Query<PageQuery>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let principal = authenticate(&service, &request, Scope::Accesses).await?;
    let query = query.map_err(page::malformed)?;
    let resource = match &principal.who {
        Who::Party(party) => Resource::AccessesOf(party),
        _ => Resource::Accesses,
    };
    authorize(&principal, Action::ListAccesses, resource)
        .map_err(|_| ApiError::not_found("there are no records here that this token may read"))?;
    let size = service.store.access_head().await?.size;
    let page = page::parse(query.cursor.as_deref(), query.limit, size)?;
    let found = service.store.accesses(&principal, page).await?;
    let next = page::next(page, found.len(), found.last().map(|access| access.index));
    let accesses = found.iter().map(view).collect::<Result<_, _>>()?;
    let mut response = current(&AccessList { size: page.below, accesses, next: next.clone() })?;
    page::link(&mut response, request.path(), request.query_string(), next.as_deref());
    Ok(response)
}

fn view(access: &ListedAccess) -> Result<AccessView, ApiError> {
    Ok(AccessView {
        index: access.index,
        leaf_hash: access.leaf_hash.to_hex(),
        record: serde_json::from_slice(&access.body).map_err(|error| internal(&error))?,
    })
}

/// The newest checkpoint of the access log, signed by the log key under the origin `<origin>/access`.
#[utoipa::path(
    operation_id = "getAccessCheckpoint",
    tag = "sealed",
    responses(
        (status = 200, description = "The signed note", body = String, content_type = "text/plain"),
        Missing,
        NotNow,
    )
)]
#[get("/v1/accesses/checkpoint")]
pub async fn checkpoint(service: web::Data<Service>) -> Result<HttpResponse, ApiError> {
    let newest = service.store.access_checkpoint().await?;
    let newest =
        newest.ok_or_else(|| ApiError::not_found("the access log has no checkpoint yet: fewer than two records"))?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(newest.note))
}

/// That a record is in the access log.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccessInclusion {
    /// Records in the log that the proof is for.
    pub size: u64,
    /// Position of the record, from 0.
    pub index: u64,
    /// Hashes from the leaf's sibling upwards (RFC 6962, 2.1.1), hexadecimal.
    pub path: Vec<String>,
}

/// That the access log only grew.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccessConsistency {
    /// Records before.
    pub old: u64,
    /// Records later.
    pub new: u64,
    /// Hashes of the proof (RFC 6962, 2.1.2), hexadecimal; none when both are the same.
    pub path: Vec<String>,
}

/// The proof that a record is in the access log of a size: to be checked against a checkpoint of that size, with the
/// leaf hash of the record. It shows nothing of any record.
#[utoipa::path(
    operation_id = "getAccessInclusion",
    tag = "sealed",
    params(
        ("size" = u64, Path, description = "Records in the log, as a checkpoint says"),
        ("index" = u64, Path, description = "Position of the record, from 0"),
    ),
    responses(
        (status = 200, description = "The proof", body = AccessInclusion),
        Unchanged,
        BadParameter,
        Missing,
        NotNow,
    )
)]
#[get("/v1/accesses/inclusion/{size}/{index}")]
pub async fn inclusion(
    service: web::Data<Service>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (size, index) = path.into_inner();
    let (size, index) = (number("size", &size)?, number("index", &index)?);
    let plan = ProofPlan::inclusion(index, size).map_err(|error| ApiError::not_found(error.to_string()))?;
    let path = proved(&service, &plan).await?;
    for_ever(&AccessInclusion { size, index, path })
}

/// The proof that the access log of one size begins with that of an earlier one.
#[utoipa::path(
    operation_id = "getAccessConsistency",
    tag = "sealed",
    params(
        ("old" = u64, Path, description = "Records before"),
        ("new" = u64, Path, description = "Records later"),
    ),
    responses(
        (status = 200, description = "The proof", body = AccessConsistency),
        Unchanged,
        BadParameter,
        Missing,
        NotNow,
    )
)]
#[get("/v1/accesses/consistency/{old}/{new}")]
pub async fn consistency(
    service: web::Data<Service>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (old, new) = path.into_inner();
    let (old, new) = (number("old", &old)?, number("new", &new)?);
    let plan = ProofPlan::consistency(old, new).map_err(|error| ApiError::not_found(error.to_string()))?;
    let path = proved(&service, &plan).await?;
    for_ever(&AccessConsistency { old, new, path })
}

/// A number in a path, in its one spelling: digits without a leading zero, no more than any log has entries.
fn number(name: &str, text: &str) -> Result<u64, ApiError> {
    let number = text.parse().ok().filter(|number: &u64| i64::try_from(*number).is_ok() && number.to_string() == text);
    number.ok_or_else(|| ApiError::bad_parameter("path", name, "a number of records, in plain digits"))
}

async fn proved(service: &Service, plan: &ProofPlan) -> Result<Vec<String>, ApiError> {
    let path = service.store.prove_access(plan).await?;
    let path = path.ok_or_else(|| ApiError::not_found("the access log does not have so many records"))?;
    Ok(path.iter().map(Sha256Digest::to_hex).collect())
}

fn for_ever<T: Serialize>(proof: &T) -> Result<HttpResponse, ApiError> {
    let body = serde_json::to_vec(proof).map_err(|error| internal(&error))?;
    Ok(tagged("application/json", FOR_EVER, body))
}
