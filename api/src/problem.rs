//! Errors as they leave the service: RFC 9457 problem documents with a stable `code` and a pointer.
//!
//! Every use-case error is mapped here and nowhere else.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder};
use chopmark_core::admission::{Class, Rejection};
use chopmark_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Media type of every problem.
pub const PROBLEM_CONTENT_TYPE: &str = "application/problem+json";

/// Where a request's id stands in its answer.
pub const REQUEST_ID_HEADER: header::HeaderName = header::HeaderName::from_static("x-request-id");

/// What a request's id stands behind in a problem.
const REQUEST_URN: &str = "urn:chopmark:request:";

/// Seconds a client is asked to wait before it tries again, unless more is known.
const RETRY_AFTER_S: u64 = 1;

/// An RFC 9457 problem document.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:chopmark:problem:<code>`.
    #[serde(rename = "type")]
    pub problem_type: String,
    /// The HTTP status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong and what to do, for a person.
    pub detail: String,
    /// Stable code for programs.
    pub code: String,
    /// The document `pointer` leads into: `request`, `payload` (inside the envelope), `documents/<n>`, `path` or `query`.
    pub document: String,
    /// JSON pointer (RFC 6901) to the offending value; empty for the whole document.
    pub pointer: String,
    /// Statement that stands in the way (64 hexadecimal characters), where one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub existing: Option<String>,
    /// `urn:chopmark:request:<id>`: the request, as the operator's log names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// What the header `Retry-After` says.
    #[serde(skip)]
    #[schema(ignore)]
    pub retry_after_s: Option<u64>,
}

/// The problem of every page that needs the database or a checkpoint, for the OpenAPI document.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "describes answers; they are made by ApiError")]
pub enum NotNow {
    /// Not now: no checkpoint yet, or the database does not answer; `Retry-After` says when to try again
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// The answer of a page with an entity tag to who has it already, for the OpenAPI document.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "describes answers; they are made by the guard")]
pub enum Unchanged {
    /// `If-None-Match` names the answer as it is
    #[response(status = 304)]
    Unchanged,
}

/// The problem of a page that takes a parameter.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "describes answers; they are made by ApiError")]
pub enum BadParameter {
    /// The path or the query is not of the form it must have
    #[response(status = 400, content_type = "application/problem+json")]
    BadParameter(Problem),
}

/// The problem of a page that is about one thing.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "describes answers; they are made by ApiError")]
pub enum Missing {
    /// Nothing here has that name
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
}

/// The problem of a page that shows nothing without a token.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "describes answers; they are made by ApiError")]
pub enum NotAuthenticated {
    /// No token, or none that is good for this
    #[response(status = 401, content_type = "application/problem+json")]
    NotAuthenticated(Problem),
}

/// The problem of a report in which something was erased.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "describes answers; they are made by ApiError")]
pub enum Erased {
    /// A value in it was erased, and it with it
    #[response(status = 410, content_type = "application/problem+json")]
    Erased(Problem),
}

/// A problem on its way out; boxed, because most results carry none.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}: {}", .0.code, .0.detail)]
pub struct ApiError(pub Box<Problem>);

impl ApiError {
    /// A problem at a place.
    pub fn new(status: StatusCode, code: &str, document: &str, pointer: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem {
            problem_type: format!("urn:chopmark:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.to_owned(),
            document: document.to_owned(),
            pointer: pointer.to_owned(),
            existing: None,
            instance: None,
            retry_after_s: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER_S),
        }))
    }

    /// Names the request that it answers.
    #[must_use]
    pub fn with_request(mut self, id: &str) -> Self {
        self.0.instance = Some(format!("{REQUEST_URN}{id}"));
        self
    }

    /// Nothing here has that name.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "path", "", detail)
    }

    /// The path or query is not what it should be.
    pub fn bad_parameter(document: &str, name: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_parameter", document, &format!("/{name}"), detail)
    }

    /// No token, or none that is good for this. One answer for all of it, so that nothing shows which.
    pub fn not_authenticated() -> Self {
        let detail = "the token or signature is not good for this: it may be missing, unknown, expired, revoked, used, of \
                      another registry, or made for something else; log in with `chopmark token login`, or ask the \
                      operator for a token";
        Self::new(StatusCode::UNAUTHORIZED, "not_authenticated", "request", "", detail)
    }

    /// The service can't do this now, but may soon.
    pub fn unavailable(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, "request", "", detail)
    }

    /// Somebody comes too often, and may come again after `wait`.
    pub fn rate_limited(detail: &str, wait: Duration) -> Self {
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "request", "", detail);
        // Whole seconds, rounded up: earlier would be too early.
        error.0.retry_after_s = Some(wait.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX));
        error
    }
}

/// A mistake of ours: the cause goes to the log, not to the client.
pub fn internal(error: &dyn std::fmt::Display) -> ApiError {
    tracing::error!(error = %error, "an answer could not be written");
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "request",
        "",
        "the service made a mistake; it is in the operator's log",
    )
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        let status = match rejection.code.class() {
            Class::Malformed => StatusCode::BAD_REQUEST,
            Class::Forbidden => StatusCode::FORBIDDEN,
            Class::Conflict => StatusCode::CONFLICT,
            Class::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Class::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
        };
        let document = rejection.document.name();
        let mut error = Self::new(status, rejection.code.as_str(), &document, &rejection.pointer, rejection.detail);
        error.0.existing = rejection.existing.map(|id| id.to_hex());
        error
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        // The text names rows and causes, which are the operator's business, not a client's.
        tracing::error!(error = %error, "the store failed");
        match error {
            StoreError::Damaged { .. } => {
                Self::unavailable("ledger_damaged", "the ledger fails its own checks; the operator has to look")
            }
            _ => Self::unavailable("database_unavailable", "the database does not answer; try again"),
        }
    }
}

impl actix_web::ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponseBuilder::new(self.status_code());
        response.insert_header((header::CONTENT_TYPE, PROBLEM_CONTENT_TYPE));
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if self.status_code() == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(seconds) = self.0.retry_after_s {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if let Some(id) = self.0.instance.as_deref().and_then(|urn| urn.strip_prefix(REQUEST_URN)) {
            response.insert_header((REQUEST_ID_HEADER, id));
        }
        if let Some(existing) = &self.0.existing {
            response.insert_header((header::LOCATION, format!("/v1/statements/{existing}")));
        }
        response.body(serde_json::to_vec(&self.0).unwrap_or_default())
    }
}
