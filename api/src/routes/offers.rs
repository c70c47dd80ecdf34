//! Offers: terms that a licensor will grant artefacts on.

use actix_web::{HttpRequest, HttpResponse, get, web};
use chopmark_core::admission::OfferRecord;
use chopmark_core::statement::StatementId;
use chopmark_store::OfferFilter;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::statements::resolve;
use super::{listed, page, revalidated};
use crate::problem::{ApiError, BadParameter, Missing, NotNow, Unchanged};
use crate::service::Service;

/// An offer.
#[derive(Debug, Serialize, ToSchema)]
pub struct OfferView {
    /// Id of the statement, 64 hexadecimal characters.
    pub offer_id: String,
    /// The same, short, for people.
    pub id: String,
    /// Its entry.
    pub index: u64,
    /// Who offers, 64 hexadecimal characters.
    pub licensor: String,
    /// To whom, 64 hexadecimal characters; to anybody when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub licensee: Option<String>,
    /// What is offered, 64 hexadecimal characters each.
    pub artefacts: Vec<String>,
    /// On which terms, 64 hexadecimal characters.
    pub terms_id: String,
    /// Licences of the licensor on which licences granted under it rest.
    pub under: Vec<String>,
    /// When its licensor says it was made.
    pub issued_at: String,
    /// Until when it may be accepted.
    pub expires_at: String,
}

/// Offers found.
#[derive(Debug, Serialize, ToSchema)]
pub struct OfferList {
    /// Entries of the log that the answer takes into account; the same on every page of one list.
    pub applied_size: u64,
    /// First made first, at most 100.
    pub offers: Vec<OfferView>,
    /// Cursor of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// How to find offers. All that is given must fit.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OfferQuery {
    /// An artefact they are about: 64 hexadecimal characters.
    #[param(pattern = "^[0-9a-f]{64}$")]
    artefact: Option<String>,
    /// Who offers: 64 hexadecimal characters.
    #[param(pattern = "^[0-9a-f]{64}$")]
    licensor: Option<String>,
    /// To whom: 64 hexadecimal characters; offers to anybody are not among them.
    #[param(pattern = "^[0-9a-f]{64}$")]
    licensee: Option<String>,
    /// Not over at this moment: RFC 3339, UTC, with milliseconds.
    #[param(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$")]
    open_at: Option<String>,
    /// Where the next page begins, from the answer before.
    #[param(pattern = "^[0-9]+\\.[0-9]+$")]
    cursor: Option<String>,
    /// Most offers in the answer.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

fn view(record: &OfferRecord) -> OfferView {
    let claim = &record.claim;
    OfferView {
        offer_id: record.id.to_hex(),
        id: record.id.shown("off").to_string(),
        index: record.index,
        licensor: record.licensor.to_hex(),
        licensee: claim.licensee.map(|id| id.to_hex()),
        artefacts: claim.artefacts.iter().map(StatementId::to_hex).collect(),
        terms_id: claim.terms.to_hex(),
        under: claim.under.iter().map(StatementId::to_hex).collect(),
        issued_at: record.issued_at.to_string(),
        expires_at: claim.expires_at.to_string(),
    }
}

/// An offer by id.
#[utoipa::path(
    operation_id = "getOffer",
    tag = "licences",
    params(("id" = String, Path, pattern = "^([0-9a-f]{64}|[a-z]{2,4}_[a-z2-7]{20})$",
        description = "64 hexadecimal characters, or a shown id such as `off_…`")),
    responses(
        (status = 200, description = "The offer", body = OfferView),
        Unchanged,
        BadParameter,
        Missing,
        NotNow,
    )
)]
#[get("/v1/offers/{id}")]
pub async fn show(service: web::Data<Service>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let id = resolve(&service, &id).await?;
    let found = service.store.offer(&id, service.published()?.size).await?;
    revalidated(&view(&found.ok_or_else(|| ApiError::not_found("no offer has this id"))?))
}

/// Offers that fit.
#[utoipa::path(
    operation_id = "findOffers",
    tag = "licences",
    params(OfferQuery),
    responses(
        (status = 200, description = "Those found; none is an empty list", body = OfferList,
            headers(("Link" = String, description = "The next page, `rel=\"next\"`"))),
        Unchanged,
        BadParameter,
        NotNow,
    )
)]
#[get("/v1/offers")]
pub async fn find(
    service: web::Data<Service>,
    request: HttpRequest,
    query: Result<web::Query<OfferQuery>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let query = query.map_err(page::malformed)?;
    let filter = OfferFilter {
        artefact: page::id("artefact", query.artefact.as_deref())?,
        licensor: page::id("licensor", query.licensor.as_deref())?,
        licensee: page::id("licensee", query.licensee.as_deref())?,
        open_at: page::moment("open_at", query.open_at.as_deref())?,
    };
    let size = service.published()?.size;
    let page = page::of_log(&service, query.cursor.as_deref(), query.limit, size).await?;
    let offers: Vec<OfferView> = service.store.offers(&filter, page).await?.iter().map(view).collect();
    let next = page::next(page, offers.len(), offers.last().map(|offer| offer.index));
    listed(&request, &OfferList { applied_size: page.below, offers, next: next.clone() }, next.as_deref())
}
