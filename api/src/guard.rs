//! Around every request: a time limit, and one shape for errors that the framework itself makes.

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError as _};

use crate::problem::ApiError;

/// Longest time from the head of a request to the head of its answer: reading a large body, a commit, a checkpoint.
const REQUEST_TIME_MAX: Duration = Duration::from_mins(1);

/// Gives up on requests that take too long, and turns framework errors into problem documents.
pub async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let (http_request, payload) = request.into_parts();
    let request = ServiceRequest::from_parts(http_request.clone(), payload);
    let response = match tokio::time::timeout(REQUEST_TIME_MAX, next.call(request)).await {
        Ok(Ok(response)) => response.map_into_boxed_body(),
        Ok(Err(error)) => {
            let response = error.error_response();
            ServiceResponse::new(http_request.clone(), response)
        }
        Err(_) => {
            let error = ApiError::unavailable("request_timeout", "the answer took too long; try again");
            ServiceResponse::new(http_request.clone(), error.error_response())
        }
    };
    let status = response.status();
    let is_problem = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/problem+json"));
    if (status.is_client_error() || status.is_server_error()) && !is_problem {
        let code = match status {
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
            _ => "bad_request",
        };
        let detail = format!("{} {}: {status}", http_request.method(), http_request.path());
        let error = ApiError::new(status, code, "request", "", detail);
        return Ok(ServiceResponse::new(http_request, error.error_response()));
    }
    Ok(response)
}
