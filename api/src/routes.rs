//! The routes, one file per resource. A handler reads top to bottom: parse, limit, one call, encode.

pub mod artefacts;
pub mod documents;
pub mod fallback;
pub mod log;
pub mod operations;
pub mod parties;
pub mod statements;

use actix_web::HttpResponse;
use actix_web::http::header;
use chopmark_core::statement::IdReference;

use crate::problem::{ApiError, internal};

/// Reads an id from a path.
fn id_in_path(text: &str) -> Result<IdReference, ApiError> {
    text.parse().map_err(|reason: String| ApiError::bad_parameter("path", "id", reason))
}

/// An answer that is the same for ever: the name contains the digest of what it names.
fn immutable(content_type: &str, body: impl Into<actix_web::web::Bytes>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(body.into())
}

/// An answer that depends on how far the log is.
fn current<T: serde::Serialize>(value: &T) -> Result<HttpResponse, ApiError> {
    let body = serde_json::to_vec(value).map_err(|error| internal(&error))?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body))
}
