//! The status list: what suspended, reinstated or terminated licences, signed, for verifiers without a network.

use actix_web::http::header;
use actix_web::{HttpResponse, get, web};
use chopmark_core::licensing::StatusList;
use chopmark_core::terms::period::Duration;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{page, tagged};
use crate::problem::{ApiError, BadParameter, NotNow, Unchanged, internal};
use crate::publisher::Published;
use crate::service::Service;

/// How long a list may be relied on unless somebody says otherwise, in days.
const LIST_DAYS: u16 = 7;

/// Longest that a list may be relied on, in days.
const DAYS_MAX: u16 = 366;

/// How long a list may be kept without asking again: a revocation is seen a minute later.
const CACHE_CONTROL: &str = "public, max-age=60";

/// For how long.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StatusListParameters {
    /// For how long it may be relied on: an ISO 8601 length up to a year; `P7D` when left out.
    #[param(pattern = "^P[0-9YMWD]{2,12}$")]
    ttl: Option<String>,
}

/// What suspended, reinstated or terminated licences, signed by the log key and bound to a checkpoint.
#[utoipa::path(
    operation_id = "getStatusList",
    tag = "licences",
    params(StatusListParameters),
    responses(
        (status = 200, description = "The list: lines of licences, then a C2SP signed note", body = String,
            content_type = "text/plain"),
        Unchanged,
        BadParameter,
        NotNow,
    )
)]
#[get("/v1/status-list")]
pub async fn show(
    service: web::Data<Service>,
    query: Result<web::Query<StatusListParameters>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let days = days(query.map_err(page::malformed)?.ttl.as_deref(), LIST_DAYS)?;
    let published = service.published()?;
    let list = signed(&service, &published, days).await?;
    let mut response = tagged("text/plain; charset=utf-8", CACHE_CONTROL, list.to_string());
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    Ok(response)
}

/// A length of time in a query, in days.
pub fn days(ttl: Option<&str>, default: u16) -> Result<u16, ApiError> {
    let Some(ttl) = ttl else { return Ok(default) };
    let bad = |reason: String| ApiError::bad_parameter("query", "ttl", reason);
    let duration: Duration = ttl.parse().map_err(bad)?;
    let days = u16::try_from(duration.days_max()).ok().filter(|days| *days <= DAYS_MAX);
    days.ok_or_else(|| bad(format!("at most {DAYS_MAX} days")))
}

/// The list of a published state.
///
/// # Errors
/// 503 `not_signing` where this process has no log key.
pub async fn signed(service: &Service, published: &Published, days: u16) -> Result<std::sync::Arc<str>, ApiError> {
    if let Some(kept) = service.kept_list(published.size, days) {
        return Ok(kept);
    }
    let Some(signer) = service.list_signer() else {
        let detail = "this process has no log key and signs no status lists; ask the one that does";
        return Err(ApiError::unavailable("not_signing", detail));
    };
    let signed_at = service.clock.now();
    let list = StatusList {
        origin: service.registry.reference.origin.clone(),
        size: published.size,
        root: published.edge.root(),
        signed_at,
        not_after: signed_at.plus_days(days),
        listed: service.store.licence_status(published.size).await?,
    };
    let text: std::sync::Arc<str> = list.sign(signer).map_err(|error| internal(&error))?.into();
    service.keep_list(published.size, days, signed_at, &text);
    Ok(text)
}
