//! Artefacts by id, and by the digest of anything in them.

use actix_web::{HttpResponse, get, web};
use chopmark_core::admission::ArtefactRecord;
use chopmark_core::digest::Sha256Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::revalidated;
use super::statements::resolve;
use crate::problem::{ApiError, BadParameter, Missing, NotNow, Unchanged, internal};
use crate::service::Service;

/// Most artefacts in one answer.
const ARTEFACTS_MAX: u32 = 100;

/// An artefact as the registry knows it: what its owner declared.
#[derive(Debug, Serialize, ToSchema)]
pub struct ArtefactView {
    /// Id of the statement that registered it, 64 hexadecimal characters.
    pub artefact_id: String,
    /// The same, short, for people.
    pub id: String,
    /// The party that registered it, 64 hexadecimal characters.
    pub owner: String,
    /// Entry that registered it. Earlier entries come first; registration is evidence of when, never of title.
    pub index: u64,
    /// The claim: names, version, kind, licence, manifest, parents.
    #[schema(value_type = Object)]
    pub claim: Value,
}

/// Artefacts found.
#[derive(Debug, Serialize, ToSchema)]
pub struct ArtefactList {
    /// Entries of the log that the answer takes into account.
    pub size: u64,
    /// First registered first, at most 100.
    pub artefacts: Vec<ArtefactView>,
}

/// How to find artefacts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ArtefactQuery {
    /// SHA-256 of the manifest, or SHA-256 or BLAKE3 of any file in it: 64 hexadecimal characters.
    #[param(pattern = "^[0-9a-f]{64}$")]
    digest: String,
}

fn view(artefact: &ArtefactRecord) -> Result<ArtefactView, ApiError> {
    Ok(ArtefactView {
        artefact_id: artefact.id.to_hex(),
        id: artefact.id.shown("art").to_string(),
        owner: artefact.owner.to_hex(),
        index: artefact.index,
        claim: serde_json::to_value(&artefact.claim).map_err(|error| internal(&error))?,
    })
}

/// An artefact by id.
#[utoipa::path(
    operation_id = "getArtefact",
    tag = "artefacts",
    params(("id" = String, Path, pattern = "^([0-9a-f]{64}|[a-z]{2,4}_[a-z2-7]{20})$",
        description = "64 hexadecimal characters, or a shown id such as `art_…`")),
    responses(
        (status = 200, description = "The artefact", body = ArtefactView),
        Unchanged,
        BadParameter,
        Missing,
        NotNow,
    )
)]
#[get("/v1/artefacts/{id}")]
pub async fn show(service: web::Data<Service>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let id = resolve(&service, &id).await?;
    let artefact = service.store.artefact(&id).await?;
    let artefact = artefact.ok_or_else(|| ApiError::not_found("no artefact has this id"))?;
    service.published_beyond(artefact.index).await?;
    revalidated(&view(&artefact)?)
}

/// Artefacts that contain something with this digest.
#[utoipa::path(
    operation_id = "findArtefacts",
    tag = "artefacts",
    params(ArtefactQuery),
    responses(
        (status = 200, description = "Those found; none is an empty list", body = ArtefactList),
        Unchanged,
        BadParameter,
        NotNow,
    )
)]
#[get("/v1/artefacts")]
pub async fn find(
    service: web::Data<Service>,
    query: Result<web::Query<ArtefactQuery>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let query = query.map_err(|error| ApiError::bad_parameter("query", "digest", error.to_string()))?;
    let digest: Sha256Digest =
        query.digest.parse().map_err(|error| ApiError::bad_parameter("query", "digest", format!("{error}")))?;
    let published = service.published()?;
    let found = service.store.artefacts_with_digest(digest.as_bytes(), ARTEFACTS_MAX).await?;
    let shown: Result<Vec<_>, _> = found.iter().filter(|artefact| artefact.index < published.size).map(view).collect();
    revalidated(&ArtefactList { size: published.size, artefacts: shown? })
}
