//! For whoever runs the service: is it alive, is it ready, what does its interface look like.

use actix_web::{HttpResponse, get, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{current, immutable};
use crate::problem::{ApiError, Problem};
use crate::service::Service;

/// The committed OpenAPI document, as bytes.
pub struct OpenApiDocument(pub Vec<u8>);

/// Whether the service can take statements.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Always true in a 200.
    pub ready: bool,
    /// Entries published.
    pub size: u64,
}

/// The process is alive.
#[utoipa::path(
    operation_id = "isAlive",tag = "operations", responses((status = 200, description = "Alive", body = String, content_type = "text/plain")))]
#[get("/healthz")]
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(("Cache-Control", "no-store"))
        .content_type("text/plain; charset=utf-8")
        .body("ok\n")
}

/// The service can take statements.
#[utoipa::path(
    operation_id = "isReady",
    tag = "operations",
    responses(
        (status = 200, description = "Ready", body = Readiness),
        (status = 503, description = "Read-only or without its database; the detail says why", body = Problem, content_type = "application/problem+json"),
    )
)]
#[get("/readyz")]
pub async fn readyz(service: web::Data<Service>) -> Result<HttpResponse, ApiError> {
    service.refuse_when_halted()?;
    let published = service.published()?;
    service.store.log_state().await?;
    current(&Readiness { ready: true, size: published.size })
}

/// This interface as an OpenAPI 3.1 document.
#[utoipa::path(
    operation_id = "getOpenApi",tag = "operations", responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json")))]
#[get("/openapi.json")]
pub async fn openapi(document: web::Data<OpenApiDocument>) -> HttpResponse {
    let mut response = immutable("application/json", document.0.clone());
    response
        .headers_mut()
        .insert(actix_web::http::header::CACHE_CONTROL, actix_web::http::header::HeaderValue::from_static("no-cache"));
    response
}
