//! Documents by digest: the bytes behind a statement.

use actix_web::{HttpResponse, get, web};
use chopmark_core::digest::Sha256Digest;

use super::{FOR_EVER, tagged_as};
use crate::problem::{ApiError, BadParameter, Missing, NotNow, Unchanged};
use crate::service::Service;

/// A document by the SHA-256 of its bytes.
#[utoipa::path(
    operation_id = "getDocument",
    tag = "documents",
    params(("sha256" = String, Path, pattern = "^[0-9a-f]{64}$", description = "64 hexadecimal characters")),
    responses(
        (status = 200, description = "The document, byte for byte", body = Object, content_type = "application/json"),
        Unchanged,
        BadParameter,
        Missing,
        NotNow,
    )
)]
#[get("/v1/documents/{sha256}")]
pub async fn show(service: web::Data<Service>, sha256: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let digest: Sha256Digest =
        sha256.parse().map_err(|error| ApiError::bad_parameter("path", "sha256", format!("{error}")))?;
    let body = service.store.document(&digest).await?;
    let body = body.ok_or_else(|| ApiError::not_found("the registry keeps no document with this digest"))?;
    // The store has just compared the bytes with the digest, so that it tags them.
    Ok(tagged_as(&format!("\"{digest}\""), "application/json", FOR_EVER, body.into()))
}
