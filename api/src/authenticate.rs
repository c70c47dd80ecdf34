//! Who asks: a token in `Authorization: Bearer`, looked up by its id and compared in constant time.
//!
//! Whatever is wrong with it, the work done and the answer are the same: parse, hash, look up, compare, answer 401.

use actix_web::HttpRequest;
use actix_web::http::header;
use chopmark_core::access::{Principal, Scope};
use chopmark_core::time::Timestamp;
use chopmark_core::token::{Token, TokenHash, TokenId};

use crate::problem::ApiError;
use crate::service::Service;

/// Longest header that is looked at, in bytes; a token is much shorter.
const HEADER_BYTES_MAX: usize = 512;

/// Whoever shows a good token for this scope.
///
/// # Errors
/// 401, the same for everything that may be wrong.
pub async fn authenticate(service: &Service, request: &HttpRequest, scope: Scope) -> Result<Principal, ApiError> {
    let now = Timestamp::from(chrono::Utc::now());
    let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.filter(|shown| shown.len() <= HEADER_BYTES_MAX).and_then(|shown| {
        let (scheme, token) = shown.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    });
    let token = shown.and_then(Token::parse);
    // Nobody's: ids are random.
    let nobody = || (TokenId::from_random([0; 10]), TokenHash::of(shown.unwrap_or_default()));
    let (id, hash) = token.as_ref().map_or_else(nobody, |token| (token.id().clone(), token.hash()));
    let stored = service.store.token(&id).await?;
    let expected = stored.as_ref().map_or(TokenHash::of(""), |stored| stored.hash);
    let is_same = hash.is(&expected);
    let good = stored.filter(|stored| {
        let is_good = is_same && token.is_some() && stored.expires_at > now && stored.revoked_at.is_none();
        is_good && stored.scopes.contains(&scope) && stored.who.scopes().contains(&scope)
    });
    let good = good.ok_or_else(ApiError::not_authenticated)?;
    Ok(Principal { who: good.who, token: good.id, scopes: good.scopes })
}
