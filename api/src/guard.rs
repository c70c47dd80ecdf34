//! Around every request: a time limit, HEAD wherever there is GET, and one shape for errors the framework itself makes.

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError as _};

use crate::problem::ApiError;

/// Longest time from the head of a request to the head of its answer: reading a large body, a commit, a checkpoint.
const REQUEST_TIME_MAX: Duration = Duration::from_mins(1);

/// Gives up on requests that take too long, and turns framework errors into problem documents.
pub async fn guard(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if request.method() == Method::HEAD {
        // Routed like a GET; the connection knows that it was a HEAD and sends the head alone.
        request.head_mut().method = Method::GET;
    }
    let Ok(response) = tokio::time::timeout(REQUEST_TIME_MAX, next.call(request)).await else {
        return Err(ApiError::unavailable("request_timeout", "the answer took too long; try again").into());
    };
    let response = response?.map_into_boxed_body();
    let status = response.status();
    let is_problem = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/problem+json"));
    if is_problem || !(status.is_client_error() || status.is_server_error()) {
        return Ok(response);
    }
    let code = match status {
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        _ => "bad_request",
    };
    let (request, _) = response.into_parts();
    let detail = format!("{} {}: {status}", request.method(), request.path());
    let error = ApiError::new(status, code, "request", "", detail);
    Ok(ServiceResponse::new(request, error.error_response()))
}
