//! Pages of a list: where one begins, where it ends, and the cursor that leads to the next.

use std::fmt::Display;
use std::str::FromStr;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, LINK};
use chopmark_core::statement::StatementId;
use chopmark_core::terms::period::Date;
use chopmark_core::text::search::query_terms;
use chopmark_core::time::Timestamp;
use chopmark_store::Page;
use serde::de::DeserializeOwned;
use serde::de::value::StrDeserializer;

use crate::problem::ApiError;
use crate::service::Service;

/// Most rows in one answer, and how many there are unless fewer are asked for.
pub const ROWS_MAX: u32 = 100;

/// What a list is asked for: a first page of what is known now, or the next one of what was known then.
///
/// A cursor is `<log size>.<index>`: the size all pages of one list are of, and the entry the next one begins at.
pub fn parse(cursor: Option<&str>, limit: Option<u32>, applied_size: u64) -> Result<Page, ApiError> {
    let limit = limit.unwrap_or(ROWS_MAX);
    if limit == 0 || limit > ROWS_MAX {
        return Err(ApiError::bad_parameter("query", "limit", format!("between 1 and {ROWS_MAX}")));
    }
    let Some(cursor) = cursor else { return Ok(Page { from: 0, below: applied_size, limit }) };
    match read(cursor) {
        Some((below, from)) if below <= applied_size => Ok(Page { from, below, limit }),
        _ => Err(ApiError::bad_parameter("query", "cursor", "not a cursor that this list gave; begin without one")),
    }
}

/// The same for a list of what the log holds, of which this replica can show `size` entries now. Another one may have been
/// ahead when it gave the cursor: then this one catches up first.
///
/// # Errors
/// Those of [`parse`], and 503 where it does not catch up in time.
pub async fn of_log(service: &Service, cursor: Option<&str>, limit: Option<u32>, size: u64) -> Result<Page, ApiError> {
    match cursor.and_then(read) {
        // No replica shows more than the log holds.
        Some((below, _)) if below > size && below <= service.store.log_state().await?.0 => {
            service.catch_up(below).await?;
            parse(cursor, limit, below)
        }
        _ => parse(cursor, limit, size),
    }
}

/// Size and entry of a cursor that is as [`next`] writes it, in no other spelling.
fn read(cursor: &str) -> Option<(u64, u64)> {
    let (below, from) = cursor.split_once('.')?;
    let (below, from) = (below.parse().ok()?, from.parse().ok()?);
    (from <= below && cursor == format!("{below}.{from}")).then_some((below, from))
}

/// The error for a query that is not of its form.
#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
pub fn malformed(error: actix_web::Error) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "bad_parameter", "query", "", error.to_string())
}

/// Search terms of a query.
pub fn terms(query: Option<&str>) -> Result<Vec<String>, ApiError> {
    match query {
        None => Ok(Vec::new()),
        Some(query) => query_terms(query).map_err(|error| ApiError::bad_parameter("query", "q", error.to_string())),
    }
}

/// A filter that takes the words of a type.
pub fn word<T: DeserializeOwned>(name: &str, text: Option<&str>) -> Result<Option<String>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    match T::deserialize(StrDeserializer::<serde::de::value::Error>::new(text)) {
        Ok(_) => Ok(Some(text.to_owned())),
        Err(error) => Err(ApiError::bad_parameter("query", name, error.to_string())),
    }
}

/// A moment in a query.
pub fn moment(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, ApiError> {
    parsed(name, text)
}

/// A day in a query.
pub fn day(name: &str, text: Option<&str>) -> Result<Option<Date>, ApiError> {
    parsed(name, text)
}

/// The whole id of a statement in a query.
pub fn id(name: &str, text: Option<&str>) -> Result<Option<StatementId>, ApiError> {
    parsed(name, text)
}

fn parsed<T: FromStr<Err: Display>>(name: &str, text: Option<&str>) -> Result<Option<T>, ApiError> {
    text.map(|text| text.parse().map_err(|error| ApiError::bad_parameter("query", name, format!("{error}"))))
        .transpose()
}

/// The cursor of the next page, when this one is full.
pub fn next(page: Page, rows: usize, last_index: Option<u64>) -> Option<String> {
    let full = usize::try_from(page.limit).is_ok_and(|limit| rows >= limit);
    last_index.filter(|_| full).map(|last| format!("{}.{}", page.below, last + 1))
}

/// Adds `Link: <…>; rel="next"` (RFC 8288): this request again, with the next cursor.
pub fn link(response: &mut HttpResponse, path: &str, query: &str, next: Option<&str>) {
    let Some(next) = next else { return };
    let kept = query.split('&').filter(|part| !part.is_empty() && !part.starts_with("cursor="));
    let query: Vec<String> = kept.map(str::to_owned).chain([format!("cursor={next}")]).collect();
    if let Ok(value) = HeaderValue::from_str(&format!("<{path}?{}>; rel=\"next\"", query.join("&"))) {
        response.headers_mut().insert(LINK, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_on_in_the_list_it_is_from() {
        let first = parse(None, Some(2), 10).unwrap();
        assert_eq!((first.from, first.below, first.limit), (0, 10, 2));
        let cursor = next(first, 2, Some(4)).unwrap();
        let second = parse(Some(&cursor), None, 99).unwrap();
        assert_eq!((second.from, second.below, second.limit), (5, 10, ROWS_MAX));
        assert_eq!(next(second, 3, Some(9)), None);
        for bad in ["", "5", "5.6", "x.1", "100.1", "-1.0", "10.1.2", "+10.1", "10.01", "10.1 ", "１0.1", "9.\0"] {
            assert!(parse(Some(bad), None, 99).is_err(), "{bad}");
        }
        assert!(parse(None, Some(0), 1).is_err() && parse(None, Some(101), 1).is_err());
    }

    #[test]
    fn a_cursor_that_is_read_is_written_the_same() {
        let mut texts = vec![String::new()];
        let mut read = 0;
        for _ in 0..5 {
            let longer = |text: &String| ["0", "1", "9", ".", "+", "-", " ", "\0"].map(|next| format!("{text}{next}"));
            texts = texts.iter().flat_map(longer).collect();
            for text in &texts {
                if let Ok(page) = parse(Some(text), None, 100) {
                    assert_eq!(format!("{}.{}", page.below, page.from), *text);
                    read += 1;
                }
            }
        }
        assert!(read > 10, "{read}");
    }
}
