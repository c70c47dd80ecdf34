//! For whoever runs the service: is it alive, is it ready, what does its interface look like.

use std::sync::atomic::Ordering;

use actix_web::{HttpResponse, get, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{current, tagged};
use crate::guard::Guard;
use crate::problem::{ApiError, Problem, Unchanged};
use crate::service::Service;

/// The committed OpenAPI document, as bytes.
pub struct OpenApiDocument(pub web::Bytes);

/// Whether the service can take statements.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Always true in a 200.
    pub ready: bool,
    /// Entries published.
    pub size: u64,
    /// Whether this process signs; another one does otherwise.
    pub signs: bool,
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
        (status = 503, description = "Read-only, stopping, without its database or without a signer; the detail says why", body = Problem, content_type = "application/problem+json"),
    )
)]
#[get("/readyz")]
pub async fn readyz(service: web::Data<Service>, guard: web::Data<Guard>) -> Result<HttpResponse, ApiError> {
    if guard.stopping.load(Ordering::Relaxed) {
        return Err(ApiError::unavailable("stopping", "the service is stopping; ask another one"));
    }
    service.refuse_when_halted()?;
    let published = service.published()?;
    service.store.log_state().await?;
    service.refuse_when_stalled()?;
    current(&Readiness { ready: true, size: published.size, signs: service.signs() })
}

/// This interface as an OpenAPI 3.1 document.
#[utoipa::path(
    operation_id = "getOpenApi",tag = "operations", responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json"), Unchanged))]
#[get("/openapi.json")]
pub async fn openapi(document: web::Data<OpenApiDocument>) -> HttpResponse {
    tagged("application/json", "no-cache", document.0.clone())
}
