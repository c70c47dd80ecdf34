//! The routes, one file per resource. A handler reads top to bottom: parse, limit, one call, encode.

pub mod about;
pub mod accesses;
pub mod ancestry;
pub mod artefacts;
pub mod bundles;
pub mod docs;
pub mod documents;
pub mod fallback;
pub mod licences;
pub mod lineage;
pub mod log;
pub mod offers;
pub mod openings;
pub mod operations;
mod page;
pub mod parties;
pub mod payments;
pub mod reason;
pub mod reports;
pub mod statements;
pub mod status_list;
pub mod terms;
pub mod tokens;

use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::statement::IdReference;
use data_encoding::HEXLOWER;

use crate::problem::{ApiError, internal};

/// Reads an id from a path.
fn id_in_path(text: &str) -> Result<IdReference, ApiError> {
    text.parse().map_err(|reason: String| ApiError::bad_parameter("path", "id", reason))
}

/// A strong entity tag: other bytes, another tag (RFC 9110, 8.8.3). Half of a SHA-256 tells answers apart.
fn etag(body: &[u8]) -> String {
    let digest = Sha256Digest::of(body);
    let half = digest.as_bytes().first_chunk::<16>().map(|half| HEXLOWER.encode(half));
    format!("\"{}\"", half.unwrap_or_default())
}

/// What may be said of an answer that is the same for ever: what its path names can't change.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// An answer that may be kept as `cache_control` says; whoever has it already is told that it is the same.
fn tagged(content_type: &'static str, cache_control: &'static str, body: impl Into<Bytes>) -> HttpResponse {
    let body = body.into();
    tagged_as(&etag(&body), content_type, cache_control, body)
}

/// As [`tagged`], with the entity tag at hand.
fn tagged_as(etag: &str, content_type: &'static str, cache_control: &'static str, body: Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::CACHE_CONTROL, cache_control))
        .insert_header((header::ETAG, etag))
        .body(body)
}

/// An answer that may change: to be asked for again each time, and sent again only when it did.
fn revalidated<T: serde::Serialize>(value: &T) -> Result<HttpResponse, ApiError> {
    let body = serde_json::to_vec(value).map_err(|error| internal(&error))?;
    Ok(tagged("application/json", "no-cache", body))
}

/// One page of a list, with a link to the next.
fn listed<T: serde::Serialize>(request: &HttpRequest, list: &T, next: Option<&str>) -> Result<HttpResponse, ApiError> {
    let mut response = revalidated(list)?;
    page::link(&mut response, request.path(), request.query_string(), next);
    Ok(response)
}

/// An answer of one moment, not to be kept.
fn current<T: serde::Serialize>(value: &T) -> Result<HttpResponse, ApiError> {
    let body = serde_json::to_vec(value).map_err(|error| internal(&error))?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body))
}
