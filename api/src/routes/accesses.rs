//! The access log: who has read which sealed values, for those concerned; and its checkpoint, for everybody.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, web};
use chopmark_core::access::{Action, Resource, Scope, Who, authorize};
use chopmark_store::ListedAccess;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::about::PageQuery;
use super::{current, page};
use crate::authenticate::authenticate;
use crate::problem::{ApiError, BadParameter, Missing, NotAuthenticated, NotNow, internal};
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
    let size = service.store.access_log_size().await?;
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
