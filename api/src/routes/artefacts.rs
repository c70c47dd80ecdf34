//! Artefacts by id, by the digest of anything in them, by filters and by words.

use actix_web::{HttpRequest, HttpResponse, get, web};
use chopmark_core::artefact::ArtefactKind;
use chopmark_core::code::{Jurisdiction, ResidencyZone};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::licence::canonical_word;
use chopmark_core::statement::StatementId;
use chopmark_store::{ArtefactFilter, FoundArtefact};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::about::{AboutView, about};
use super::statements::resolve;
use super::{listed, page, revalidated};
use crate::problem::{ApiError, BadParameter, Missing, NotNow, Unchanged, internal};
use crate::service::Service;

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
    /// The operator's clock when it was registered.
    pub recorded_at: String,
    /// The claim: names, version, kind, licence, manifest, parents.
    #[schema(value_type = Object)]
    pub claim: Value,
    /// Artefacts of other parties that hold a file of the same content, in order of registration, at most 100.
    pub conflicts: Vec<ConflictView>,
    /// Artefacts of the same owner that take its place, in order of registration, at most 100: 64 hexadecimal characters
    /// each.
    pub superseded_by: Vec<String>,
    /// Whether there are more of them.
    pub more_superseded_by: bool,
    /// Whether its licence goes with those of what it was made from, as the entries before it had them: `verdict` is
    /// `compatible`, `needs_review` or `conflict`, with what was found. Only for one artefact, and only where it was
    /// made from something.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub compatibility: Option<Value>,
    /// What others say about it.
    pub about: AboutView,
}

/// Another party has registered a file of the same content. The order is evidence of when, never of title.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConflictView {
    /// The other artefact, 64 hexadecimal characters.
    pub artefact_id: String,
    /// Its entry.
    pub index: u64,
    /// `earlier` or `later` than this one.
    pub order: &'static str,
    /// Files that both hold.
    pub files: u64,
    /// Bytes of those files.
    pub size_bytes: u64,
}

/// Artefacts found.
#[derive(Debug, Serialize, ToSchema)]
pub struct ArtefactList {
    /// Entries of the log that the answer takes into account; the same on every page of one list.
    pub applied_size: u64,
    /// First registered first, at most 100.
    pub artefacts: Vec<ArtefactView>,
    /// Cursor of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// How to find artefacts. All that is given must fit.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ArtefactQuery {
    /// SHA-256 of the manifest, or SHA-256 or BLAKE3 of any file in it: 64 hexadecimal characters.
    #[param(pattern = "^[0-9a-f]{64}$")]
    digest: Option<String>,
    /// Words of its names, of its owner's names or of its version; Traditional and Simplified Chinese find each other.
    #[param(max_length = 200)]
    q: Option<String>,
    /// The party that registered it: 64 hexadecimal characters.
    #[param(pattern = "^[0-9a-f]{64}$")]
    owner: Option<String>,
    /// `model`, `software` or `dataset`.
    #[param(pattern = "^(model|software|dataset)$")]
    kind: Option<String>,
    /// An SPDX identifier in its declared licence, such as `Apache-2.0`, in capitals or not.
    #[param(pattern = "^[A-Za-z0-9.:+-]{1,100}$")]
    licence: Option<String>,
    /// Where its authors are: ISO 3166-1 alpha-2.
    #[param(pattern = "^[A-Z]{2}$")]
    jurisdiction: Option<String>,
    /// Where its bytes may be kept: `HK`, `CN-GBA`, `CN` or `WORLD`.
    #[param(pattern = "^(HK|CN-GBA|CN|WORLD)$")]
    zone: Option<String>,
    /// Registered at this moment or later: RFC 3339, UTC, with milliseconds.
    #[param(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z$")]
    since: Option<String>,
    /// Where the next page begins, from the answer before.
    #[param(pattern = "^[0-9]+\\.[0-9]+$")]
    cursor: Option<String>,
    /// Most artefacts in the answer.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

/// Longest licence identifier that is looked for; the longest on the SPDX list has 36 characters.
const LICENCE_BYTES_MAX: usize = 100;

impl ArtefactQuery {
    /// The licence as registrations spell it, when it could be an SPDX identifier or a reference to a document.
    fn licence(&self) -> Result<Option<String>, ApiError> {
        let Some(licence) = &self.licence else { return Ok(None) };
        let is_identifier = |byte: u8| byte.is_ascii_alphanumeric() || b".:+-".contains(&byte);
        if (1..=LICENCE_BYTES_MAX).contains(&licence.len()) && licence.bytes().all(is_identifier) {
            return Ok(Some(canonical_word(licence)));
        }
        Err(ApiError::bad_parameter("query", "licence", "not one SPDX identifier, such as Apache-2.0"))
    }

    fn filter(&self) -> Result<ArtefactFilter, ApiError> {
        let digest = self.digest.as_deref().map(str::parse::<Sha256Digest>).transpose();
        let digest = digest.map_err(|error| ApiError::bad_parameter("query", "digest", error.to_string()))?;
        let owner = page::id("owner", self.owner.as_deref())?;
        Ok(ArtefactFilter {
            owner,
            kind: page::word::<ArtefactKind>("kind", self.kind.as_deref())?,
            licence: self.licence()?,
            jurisdiction: page::word::<Jurisdiction>("jurisdiction", self.jurisdiction.as_deref())?,
            residency_zone: page::word::<ResidencyZone>("zone", self.zone.as_deref())?,
            digest,
            since: page::moment("since", self.since.as_deref())?,
            terms: page::terms(self.q.as_deref())?,
        })
    }
}

fn view(found: &FoundArtefact) -> Result<ArtefactView, ApiError> {
    let artefact = &found.record;
    let conflicts = found.conflicts.iter().map(|conflict| ConflictView {
        artefact_id: conflict.other.to_hex(),
        index: conflict.other_index,
        order: if conflict.other_index < artefact.index { "earlier" } else { "later" },
        files: conflict.files,
        size_bytes: conflict.size_bytes,
    });
    Ok(ArtefactView {
        artefact_id: artefact.id.to_hex(),
        id: artefact.id.shown("art").to_string(),
        owner: artefact.owner.to_hex(),
        index: artefact.index,
        recorded_at: found.recorded_at.to_string(),
        claim: serde_json::to_value(&artefact.claim).map_err(|error| internal(&error))?,
        conflicts: conflicts.collect(),
        superseded_by: found.superseded_by.iter().map(StatementId::to_hex).collect(),
        more_superseded_by: found.more_superseded_by,
        compatibility: None,
        about: about(&found.about)?,
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
    let artefact = service.store.artefact(&id, service.searchable_size().await?).await?;
    let artefact = artefact.ok_or_else(|| ApiError::not_found("no artefact has this id"))?;
    let mut view = view(&artefact)?;
    let verdict = service.store.verdict(artefact.record.index).await?;
    view.compatibility = verdict.map(serde_json::to_value).transpose().map_err(|error| internal(&error))?;
    revalidated(&view)
}

/// Artefacts that fit.
#[utoipa::path(
    operation_id = "findArtefacts",
    tag = "artefacts",
    params(ArtefactQuery),
    responses(
        (status = 200, description = "Those found; none is an empty list", body = ArtefactList,
            headers(("Link" = String, description = "The next page, `rel=\"next\"`"))),
        Unchanged,
        BadParameter,
        NotNow,
    )
)]
#[get("/v1/artefacts")]
pub async fn find(
    service: web::Data<Service>,
    request: HttpRequest,
    query: Result<web::Query<ArtefactQuery>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let query = query.map_err(page::malformed)?;
    let filter = query.filter()?;
    let size = service.searchable_size().await?;
    let page = page::of_log(&service, query.cursor.as_deref(), query.limit, size).await?;
    let found = service.store.artefacts(&filter, page).await?;
    let artefacts = found.iter().map(view).collect::<Result<Vec<_>, _>>()?;
    let next = page::next(page, artefacts.len(), artefacts.last().map(|artefact| artefact.index));
    listed(&request, &ArtefactList { applied_size: page.below, artefacts, next: next.clone() }, next.as_deref())
}
