//! What others say about a statement: attestations about what it created, and endorsements of it.

use actix_web::{HttpRequest, HttpResponse, get, web};
use chopmark_core::admission::{AttestationRecord, EndorsementRecord};
use chopmark_core::statement::StatementId;
use chopmark_store::{ABOUT_MAX, About};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::statements::resolve;
use super::{listed, page};
use crate::problem::{ApiError, BadParameter, Missing, NotNow, Unchanged, internal};
use crate::service::Service;

/// An attestation: its issuer's word, provably given, and when.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttestationView {
    /// Id of the statement, 64 hexadecimal characters.
    pub statement_id: String,
    /// The same, short, for people.
    pub id: String,
    /// The party whose word it is, 64 hexadecimal characters.
    pub issuer: String,
    /// Its entry.
    pub index: u64,
    /// What is said: `party_verified`, `party_unverified` (by the operator) or `bytes_match` (by anybody).
    #[schema(value_type = Object)]
    pub claim: Value,
}

/// An endorsement: a party signs a statement too, after it was entered.
#[derive(Debug, Serialize, ToSchema)]
pub struct EndorsementView {
    /// Id of the endorsement, 64 hexadecimal characters.
    pub statement_id: String,
    /// The same, short, for people.
    pub id: String,
    /// The party that endorses, 64 hexadecimal characters.
    pub issuer: String,
    /// Its entry.
    pub index: u64,
}

/// What others say, in order of entry: the first 20 of each sort.
#[derive(Debug, Serialize, ToSchema)]
pub struct AboutView {
    /// What somebody checked.
    pub attestations: Vec<AttestationView>,
    /// Whether there are more: `/v1/statements/{id}/attestations` has all.
    pub more_attestations: bool,
    /// Who signs it too.
    pub endorsements: Vec<EndorsementView>,
    /// Whether there are more: `/v1/statements/{id}/endorsements` has all.
    pub more_endorsements: bool,
}

/// Attestations about the party or artefact that a statement created.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttestationList {
    /// Entries of the log that the answer takes into account; the same on every page of one list.
    pub applied_size: u64,
    /// First entered first, at most 100.
    pub attestations: Vec<AttestationView>,
    /// Cursor of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Endorsements of a statement.
#[derive(Debug, Serialize, ToSchema)]
pub struct EndorsementList {
    /// Entries of the log that the answer takes into account; the same on every page of one list.
    pub applied_size: u64,
    /// First entered first, at most 100.
    pub endorsements: Vec<EndorsementView>,
    /// Cursor of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Where the next page begins, from the answer before.
    pub cursor: Option<String>,
    /// Most rows in the answer.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
}

/// What comes along with a party or an artefact.
pub fn about(about: &About) -> Result<AboutView, ApiError> {
    let shown = usize::try_from(ABOUT_MAX).unwrap_or(usize::MAX);
    let attestations = about.attestations.iter().take(shown).map(attestation).collect::<Result<_, _>>()?;
    Ok(AboutView {
        attestations,
        more_attestations: about.attestations.len() > shown,
        endorsements: about.endorsements.iter().take(shown).map(endorsement).collect(),
        more_endorsements: about.endorsements.len() > shown,
    })
}

fn attestation(record: &AttestationRecord) -> Result<AttestationView, ApiError> {
    Ok(AttestationView {
        statement_id: record.id.to_hex(),
        id: record.id.shown("att").to_string(),
        issuer: record.issuer.to_hex(),
        index: record.index,
        claim: serde_json::to_value(&record.claim).map_err(|error| internal(&error))?,
    })
}

fn endorsement(record: &EndorsementRecord) -> EndorsementView {
    EndorsementView {
        statement_id: record.id.to_hex(),
        id: record.id.shown("end").to_string(),
        issuer: record.issuer.to_hex(),
        index: record.index,
    }
}

/// The statement a path names, which the log holds, and the page asked for.
async fn asked(
    service: &Service,
    id: &str,
    query: Result<web::Query<PageQuery>, actix_web::Error>,
) -> Result<(StatementId, chopmark_store::Page), ApiError> {
    let query = query.map_err(page::malformed)?;
    let id = resolve(service, id).await?;
    let size = service.searchable_size().await?;
    let page = page::of_log(service, query.cursor.as_deref(), query.limit, size).await?;
    let entry = service.store.entry_by_id(&chopmark_core::statement::IdReference::Full(id)).await?;
    match entry.filter(|entry| entry.index < page.below) {
        Some(_) => Ok((id, page)),
        None => Err(ApiError::not_found("the log holds no statement with this id")),
    }
}

/// What somebody checked about the party or artefact that a statement created.
#[utoipa::path(
    operation_id = "listAttestations",
    tag = "statements",
    params(("id" = String, Path, pattern = "^([0-9a-f]{64}|[a-z]{2,4}_[a-z2-7]{20})$",
        description = "The party or artefact: 64 hexadecimal characters, or a shown id such as `art_…`"), PageQuery),
    responses(
        (status = 200, description = "The attestations; none is an empty list", body = AttestationList,
            headers(("Link" = String, description = "The next page, `rel=\"next\"`"))),
        Unchanged,
        BadParameter,
        Missing,
        NotNow,
    )
)]
#[get("/v1/statements/{id}/attestations")]
pub async fn list_attestations(
    service: web::Data<Service>,
    request: HttpRequest,
    id: web::Path<String>,
    query: Result<web::Query<PageQuery>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let (id, page) = asked(&service, &id, query).await?;
    let found = service.store.attestations(&id, page).await?;
    let next = page::next(page, found.len(), found.last().map(|record| record.index));
    let attestations = found.iter().map(attestation).collect::<Result<_, _>>()?;
    listed(&request, &AttestationList { applied_size: page.below, attestations, next: next.clone() }, next.as_deref())
}

/// Who signs a statement too.
#[utoipa::path(
    operation_id = "listEndorsements",
    tag = "statements",
    params(("id" = String, Path, pattern = "^([0-9a-f]{64}|[a-z]{2,4}_[a-z2-7]{20})$",
        description = "64 hexadecimal characters, or a shown id such as `art_…`"), PageQuery),
    responses(
        (status = 200, description = "The endorsements; none is an empty list", body = EndorsementList,
            headers(("Link" = String, description = "The next page, `rel=\"next\"`"))),
        Unchanged,
        BadParameter,
        Missing,
        NotNow,
    )
)]
#[get("/v1/statements/{id}/endorsements")]
pub async fn list_endorsements(
    service: web::Data<Service>,
    request: HttpRequest,
    id: web::Path<String>,
    query: Result<web::Query<PageQuery>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let (id, page) = asked(&service, &id, query).await?;
    let found = service.store.endorsements(&id, page).await?;
    let next = page::next(page, found.len(), found.last().map(|record| record.index));
    let endorsements = found.iter().map(endorsement).collect();
    listed(&request, &EndorsementList { applied_size: page.below, endorsements, next: next.clone() }, next.as_deref())
}
