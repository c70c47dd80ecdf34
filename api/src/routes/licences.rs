//! Licences: who may use what, on which terms, and whether that is in force.

use actix_web::{HttpRequest, HttpResponse, get, web};
use chopmark_core::admission::{LicenceEventRecord, LicenceRecord};
use chopmark_core::licensing::{LicenceEvent, standing};
use chopmark_core::statement::StatementId;
use chopmark_core::terms::period::Date;
use chopmark_core::terms::vocabulary::Vocabulary;
use chopmark_core::time::Timestamp;
use chopmark_store::{FoundLicence, LicenceFilter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::statements::resolve;
use super::{listed, page, revalidated};
use crate::problem::{ApiError, BadParameter, Missing, NotNow, Unchanged, internal};
use crate::service::Service;

/// A licence.
#[derive(Debug, Serialize, ToSchema)]
pub struct LicenceView {
    /// Id of the statement that granted it, 64 hexadecimal characters.
    pub licence_id: String,
    /// The same, short, for people.
    pub id: String,
    /// Its entry.
    pub index: u64,
    /// The offer that was accepted; absent where both sides signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer: Option<String>,
    /// Who granted it, 64 hexadecimal characters.
    pub licensor: String,
    /// Who holds it, 64 hexadecimal characters.
    pub licensee: String,
    /// What is licensed, 64 hexadecimal characters each.
    pub artefacts: Vec<String>,
    /// On which terms, 64 hexadecimal characters.
    pub terms_id: String,
    /// Licences on which it rests.
    pub under: Vec<String>,
    /// Its first day, in Hong Kong.
    pub starts_on: String,
    /// Its last day; absent for one without end and for one that renews itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_on: Option<String>,
    /// What happened to it last: `granted`, `suspended`, `reinstated` or `terminated`.
    pub status: &'static str,
    /// The day on which that was said.
    pub since: String,
    /// How many events it has; the next one says this number and one more.
    pub event_seq: u64,
    /// Its latest event, or the grant; the next one names it.
    pub event_head: String,
}

/// A licence with what it rests on.
#[derive(Debug, Serialize, ToSchema)]
pub struct LicencePage {
    /// The licence.
    #[serde(flatten)]
    pub licence: LicenceView,
    /// The day for which the standing is computed, in Hong Kong.
    pub on: String,
    /// How it stands on that day: `standing` is `in_force`, `not_yet`, `expired`, `suspended`, `terminated` or
    /// `unknown`; `licence` names the one that decided, where another did.
    #[schema(value_type = Object)]
    pub standing: Value,
    /// What happened to it, in order; at most 100.
    pub events: Vec<LicenceEventView>,
}

/// Something that happened to a licence.
#[derive(Debug, Serialize, ToSchema)]
pub struct LicenceEventView {
    /// The statement, 64 hexadecimal characters.
    pub statement_id: String,
    /// Its entry.
    pub index: u64,
    /// Who said it.
    pub issuer: String,
    /// `suspended`, `reinstated` or `terminated`.
    pub status: &'static str,
    /// The ground of the terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The day, in Hong Kong.
    pub since: String,
}

/// Licences found.
#[derive(Debug, Serialize, ToSchema)]
pub struct LicenceList {
    /// Entries of the log that the answer takes into account; the same on every page of one list.
    pub applied_size: u64,
    /// First granted first, at most 100.
    pub licences: Vec<LicenceView>,
    /// Cursor of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// How to find licences. All that is given must fit.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LicenceQuery {
    /// An artefact that is licensed: 64 hexadecimal characters.
    #[param(pattern = "^[0-9a-f]{64}$")]
    artefact: Option<String>,
    /// Who granted it: 64 hexadecimal characters.
    #[param(pattern = "^[0-9a-f]{64}$")]
    licensor: Option<String>,
    /// Who holds it: 64 hexadecimal characters.
    #[param(pattern = "^[0-9a-f]{64}$")]
    licensee: Option<String>,
    /// What happened to it last: `granted`, `suspended`, `reinstated` or `terminated`.
    #[param(pattern = "^(granted|suspended|reinstated|terminated)$")]
    status: Option<String>,
    /// In force on this day, such as 2027-01-31, as is everything it rests on. Then a page that is not the last may have
    /// fewer licences than the limit.
    #[param(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    in_force_on: Option<String>,
    /// Where the next page begins, from the answer before.
    #[param(pattern = "^[0-9]+\\.[0-9]+$")]
    cursor: Option<String>,
    /// Most licences in the answer.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

/// What a licence is before anything happens to it.
const GRANTED: &str = "granted";

impl LicenceQuery {
    fn filter(&self) -> Result<LicenceFilter, ApiError> {
        let status = self.status.as_deref().filter(|status| *status != GRANTED);
        page::word::<LicenceEvent>("status", status)?;
        Ok(LicenceFilter {
            artefact: page::id("artefact", self.artefact.as_deref())?,
            licensor: page::id("licensor", self.licensor.as_deref())?,
            licensee: page::id("licensee", self.licensee.as_deref())?,
            status: self.status.clone(),
            in_force_on: page::day("in_force_on", self.in_force_on.as_deref())?,
        })
    }
}

fn view(record: &LicenceRecord) -> LicenceView {
    let claim = &record.claim;
    let (status, since) = match record.latest() {
        Some(event) => (event.status.as_str(), event.since),
        None => (GRANTED, claim.starts_on),
    };
    LicenceView {
        licence_id: record.id.to_hex(),
        id: record.id.shown("lic").to_string(),
        index: record.index,
        offer: claim.offer.map(|offer| offer.to_hex()),
        licensor: claim.licensor.to_hex(),
        licensee: claim.licensee.to_hex(),
        artefacts: claim.artefacts.iter().map(StatementId::to_hex).collect(),
        terms_id: claim.terms.to_hex(),
        under: claim.under.iter().map(StatementId::to_hex).collect(),
        starts_on: claim.starts_on.to_string(),
        ends_on: record.ends_on.map(|day| day.to_string()),
        status,
        since: since.to_string(),
        event_seq: record.event_seq,
        event_head: record.event_head.to_hex(),
    }
}

fn event(event: &LicenceEventRecord) -> LicenceEventView {
    LicenceEventView {
        statement_id: event.id.to_hex(),
        index: event.index,
        issuer: event.issuer.to_hex(),
        status: event.status.as_str(),
        reason: event.reason.map(Vocabulary::as_str),
        since: event.since.to_string(),
    }
}

/// For which day.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StandingParameters {
    /// The day for which the standing is computed, such as 2027-01-31; today in Hong Kong when left out.
    #[param(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    on: Option<String>,
}

/// A licence by id.
#[utoipa::path(
    operation_id = "getLicence",
    tag = "licences",
    params(("id" = String, Path, pattern = "^([0-9a-f]{64}|[a-z]{2,4}_[a-z2-7]{20})$",
        description = "64 hexadecimal characters, or a shown id such as `lic_…`"), StandingParameters),
    responses(
        (status = 200, description = "The licence", body = LicencePage),
        Unchanged,
        BadParameter,
        Missing,
        NotNow,
    )
)]
#[get("/v1/licences/{id}")]
pub async fn show(
    service: web::Data<Service>,
    id: web::Path<String>,
    query: Result<web::Query<StandingParameters>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let query = query.map_err(page::malformed)?;
    let on = page::day("on", query.on.as_deref())?;
    let on = on.unwrap_or_else(|| Date::in_hong_kong(Timestamp::from(chrono::Utc::now())));
    let id = resolve(&service, &id).await?;
    let found = service.store.licence(&id, service.published()?.size).await?;
    let found = found.ok_or_else(|| ApiError::not_found("no licence has this id"))?;
    let FoundLicence { record, under, events } = &found;
    let known = |id: &StatementId| under.iter().chain([record]).find(|licence| licence.id == *id);
    revalidated(&LicencePage {
        licence: view(record),
        on: on.to_string(),
        standing: serde_json::to_value(standing(known, &id, on)).map_err(|error| internal(&error))?,
        events: events.iter().map(event).collect(),
    })
}

/// Licences that fit.
#[utoipa::path(
    operation_id = "findLicences",
    tag = "licences",
    params(LicenceQuery),
    responses(
        (status = 200, description = "Those found; none is an empty list", body = LicenceList,
            headers(("Link" = String, description = "The next page, `rel=\"next\"`"))),
        Unchanged,
        BadParameter,
        NotNow,
    )
)]
#[get("/v1/licences")]
pub async fn find(
    service: web::Data<Service>,
    request: HttpRequest,
    query: Result<web::Query<LicenceQuery>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let query = query.map_err(page::malformed)?;
    list(&service, &request, query.filter()?, query.cursor.as_deref(), query.limit).await
}

/// A page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageParameters {
    /// Where the next page begins, from the answer before.
    #[param(pattern = "^[0-9]+\\.[0-9]+$")]
    cursor: Option<String>,
    /// Most rows in the answer.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

/// Licences in an artefact.
#[utoipa::path(
    operation_id = "findLicencesInArtefact",
    tag = "licences",
    params(("id" = String, Path, pattern = "^([0-9a-f]{64}|[a-z]{2,4}_[a-z2-7]{20})$",
        description = "64 hexadecimal characters, or a shown id such as `art_…`"), PageParameters),
    responses(
        (status = 200, description = "Those found; none is an empty list", body = LicenceList,
            headers(("Link" = String, description = "The next page, `rel=\"next\"`"))),
        Unchanged,
        BadParameter,
        Missing,
        NotNow,
    )
)]
#[get("/v1/artefacts/{id}/licences")]
pub async fn find_in_artefact(
    service: web::Data<Service>,
    request: HttpRequest,
    id: web::Path<String>,
    query: Result<web::Query<PageParameters>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let query = query.map_err(page::malformed)?;
    let artefact = resolve(&service, &id).await?;
    let found = service.store.artefact(&artefact, service.searchable_size().await?).await?;
    found.ok_or_else(|| ApiError::not_found("no artefact has this id"))?;
    let filter = LicenceFilter { artefact: Some(artefact), ..LicenceFilter::default() };
    list(&service, &request, filter, query.cursor.as_deref(), query.limit).await
}

async fn list(
    service: &Service,
    request: &HttpRequest,
    filter: LicenceFilter,
    cursor: Option<&str>,
    limit: Option<u32>,
) -> Result<HttpResponse, ApiError> {
    let page = page::of_log(service, cursor, limit, service.published()?.size).await?;
    let found = service.store.licences(&filter, page).await?;
    let licences: Vec<LicenceView> = found.licences.iter().map(view).collect();
    let next = page::next(page, found.looked_at, found.last);
    listed(request, &LicenceList { applied_size: page.below, licences, next: next.clone() }, next.as_deref())
}
