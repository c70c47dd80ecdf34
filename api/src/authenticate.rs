//! Who asks: a token in `Authorization: Bearer`, looked up by its id and compared in constant time.
//!
//! Whatever is wrong with it, the work done and the answer are the same: parse, hash, look up, compare, answer 401.

use actix_web::HttpRequest;
use actix_web::http::header;
use chopmark_core::access::{Principal, Scope};
use chopmark_core::time::Timestamp;

use crate::problem::ApiError;
use crate::service::Service;

/// Longest header that is looked at, in bytes; a token is much shorter.
const HEADER_BYTES_MAX: usize = 512;

/// Whoever shows a good token for this scope.
///
/// # Errors
/// 401, the same for everything that may be wrong. 503 for what is sealed, while the access log is not what was signed.
pub async fn authenticate(service: &Service, request: &HttpRequest, scope: Scope) -> Result<Principal, ApiError> {
    let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.filter(|shown| shown.len() <= HEADER_BYTES_MAX).and_then(|shown| {
        let (scheme, token) = shown.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    });
    let found = service.store.principal(shown, scope, Timestamp::from(chrono::Utc::now())).await?;
    let principal = found.ok_or_else(ApiError::not_authenticated)?;
    if matches!(scope, Scope::Openings | Scope::Summaries) {
        service.refuse_when_accesses_contradict().await?;
    }
    Ok(principal)
}
