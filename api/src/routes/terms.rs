//! Terms by id: the document, and what it says in the reader's language.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, get, web};
use chopmark_core::statement::IdReference;
use chopmark_core::terms::TermsId;
use chopmark_core::terms::vocabulary::{Language, Vocabulary as _};
use chopmark_store::TermsReference;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{id_in_path, revalidated};
use crate::problem::{ApiError, BadParameter, Missing, NotNow, Unchanged, internal};
use crate::service::Service;

/// A terms document.
#[derive(Debug, Serialize, ToSchema)]
pub struct TermsView {
    /// SHA-256 of the canonical JSON of the document, 64 hexadecimal characters.
    pub terms_id: String,
    /// The same, short, for people.
    pub id: String,
    /// The name of these terms in an SPDX expression.
    pub licence_ref: String,
    /// The document.
    #[schema(value_type = Object)]
    pub terms: Value,
    /// Language of the summary: `en`, `zh-Hant` or `zh-Hans`, by `Accept-Language`.
    pub language: &'static str,
    /// What the document says, a line for each clause.
    pub summary: String,
    /// Who published it, first published first.
    pub published_by: Vec<PublicationView>,
}

/// A publication of terms.
#[derive(Debug, Serialize, ToSchema)]
pub struct PublicationView {
    /// The party, 64 hexadecimal characters.
    pub party: String,
    /// The statement, 64 hexadecimal characters.
    pub statement_id: String,
    /// Its entry.
    pub index: u64,
}

/// Terms by id.
#[utoipa::path(
    operation_id = "getTerms",
    tag = "licences",
    params(("id" = String, Path, pattern = "^([0-9a-f]{64}|[a-z]{2,4}_[a-z2-7]{20})$",
        description = "64 hexadecimal characters, or a shown id such as `trm_…`")),
    responses(
        (status = 200, description = "The document, with a summary in the language asked for", body = TermsView,
            headers(("Content-Language" = String, description = "Language of the summary"))),
        Unchanged,
        BadParameter,
        Missing,
        NotNow,
    )
)]
#[get("/v1/terms/{id}")]
pub async fn show(
    service: web::Data<Service>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let reference = match id_in_path(&id)? {
        IdReference::Full(id) => TermsReference::Full(TermsId::from_bytes(*id.as_bytes())),
        IdReference::Shown { low, high } => TermsReference::Shown { low, high },
    };
    let published = service.store.terms(&reference, service.published()?.size).await?;
    let Some(first) = published.first() else { return Err(ApiError::not_found("no terms of this id are published")) };
    let language = language(&request);
    let summary = first.terms.summary(language).map_err(|error| internal(&error))?;
    let mut response = revalidated(&TermsView {
        terms_id: first.id.to_hex(),
        id: first.id.shown().to_string(),
        licence_ref: first.id.licence_ref(),
        terms: serde_json::to_value(&*first.terms).map_err(|error| internal(&error))?,
        language: language.as_str(),
        summary: summary.to_string(),
        published_by: published
            .iter()
            .map(|record| PublicationView {
                party: record.issuer.to_hex(),
                statement_id: record.statement.to_hex(),
                index: record.index,
            })
            .collect(),
    })?;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(language.as_str()));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Language"));
    Ok(response)
}

/// The language a reader likes best of those there are (RFC 9110, section 12.5.4); English where none is liked.
fn language(request: &HttpRequest) -> Language {
    let header = request.headers().get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    preferred(header.unwrap_or_default())
}

fn preferred(header: &str) -> Language {
    let mut best: Option<(f32, Language)> = None;
    for range in header.split(',') {
        let (tag, weight) = match range.split_once(';') {
            Some((tag, parameter)) => (tag, weight(parameter)),
            None => (range, 1.0),
        };
        let tag = tag.trim().to_ascii_lowercase();
        let mut parts = tag.split('-');
        let language = match (parts.next(), parts.next()) {
            (Some("en"), _) => Language::English,
            (Some("zh"), Some("hant" | "hk" | "tw" | "mo")) => Language::TraditionalChinese,
            (Some("zh"), _) => Language::SimplifiedChinese,
            _ => continue,
        };
        if weight > 0.0 && best.is_none_or(|(known, _)| weight > known) {
            best = Some((weight, language));
        }
    }
    best.map_or(Language::English, |(_, language)| language)
}

/// The number of a weight, `q=0.9`, with space around it (RFC 9110, section 12.4.2); 0 where it is none.
fn weight(text: &str) -> f32 {
    let text = text.trim();
    let number = text.strip_prefix("q=").or_else(|| text.strip_prefix("Q="));
    number.and_then(|number| number.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_liked_best_is_chosen() {
        for (header, language) in [
            ("", Language::English),
            ("fr", Language::English),
            ("zh-HK", Language::TraditionalChinese),
            ("zh-Hant-TW, en;q=0.5", Language::TraditionalChinese),
            ("en;q=0.5, zh-CN;q=0.9", Language::SimplifiedChinese),
            ("zh", Language::SimplifiedChinese),
            ("zh;q=0, en-GB", Language::English),
            ("zh;q=x, en;q=0.1", Language::English),
            ("zh-HK; q=0.9", Language::TraditionalChinese),
            ("en; q=0.5, zh-CN; q=0.9", Language::SimplifiedChinese),
            ("en ;\tQ=0.5 , zh-MO ; q=0.9", Language::TraditionalChinese),
        ] {
            assert_eq!(preferred(header), language, "{header:?}");
        }
    }
}
