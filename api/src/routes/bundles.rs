//! Offline bundles: of a registration, and of a licence in it.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::http::header;
use actix_web::{HttpResponse, get, web};
use chopmark_core::admission::LicenceRecord;
use chopmark_core::bundle::{BUNDLE_SCHEMA, Bundle, Closure, KeyChain, ProvenEntry, signing_parties};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::kind::Claim;
use chopmark_core::licensing::{HISTORY_MAX, LicenceProof};
use chopmark_core::statement::{IdReference, StatementId};
use chopmark_store::{FoundLicence, StoreError, StoredEntry, TermsReference};
use data_encoding::BASE64;
use serde::Deserialize;
use utoipa::IntoParams;

use super::statements::{entry_of, parse_entry, published_entry, resolve};
use super::{page, status_list};
use crate::problem::{ApiError, BadParameter, Missing, NotNow, internal};
use crate::publisher::Published;
use crate::service::Service;

/// Everything needed to verify a registration offline.
#[utoipa::path(
    operation_id = "getBundle",
    tag = "statements",
    params(("id" = String, Path, pattern = "^([0-9a-f]{64}|[a-z]{2,4}_[a-z2-7]{20})$",
        description = "64 hexadecimal characters, or a shown id such as `art_…`")),
    responses(
        (status = 200, description = "The bundle", body = Object, content_type = "application/json"),
        BadParameter,
        Missing,
        NotNow,
    )
)]
#[get("/v1/statements/{id}/bundle")]
pub async fn show(service: web::Data<Service>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let (entry, published) = published_entry(&service, &id).await?;
    answer(&bundle(&service, &published, &entry, None).await?)
}

/// How long a licence file is good for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FileParameters {
    /// For how long its status list may be relied on: an ISO 8601 length up to a year; `P90D` when left out.
    #[param(pattern = "^P[0-9YMWD]{2,12}$")]
    ttl: Option<String>,
    /// Which of the licensed artefacts the file is for; may be left out where there is one.
    #[param(pattern = "^([0-9a-f]{64}|[a-z]{2,4}_[a-z2-7]{20})$")]
    artefact: Option<String>,
}

/// How long a licence file is good for unless somebody says otherwise, in days.
const FILE_DAYS: u16 = 90;

/// Everything needed to verify a licence and its artefact offline: an offline licence.
#[utoipa::path(
    operation_id = "getLicenceFile",
    tag = "licences",
    params(("id" = String, Path, pattern = "^([0-9a-f]{64}|[a-z]{2,4}_[a-z2-7]{20})$",
        description = "64 hexadecimal characters, or a shown id such as `lic_…`"), FileParameters),
    responses(
        (status = 200, description = "The bundle of the artefact, with the licence", body = Object,
            content_type = "application/json"),
        BadParameter,
        Missing,
        NotNow,
    )
)]
#[get("/v1/licences/{id}/file")]
pub async fn show_licence(
    service: web::Data<Service>,
    id: web::Path<String>,
    query: Result<web::Query<FileParameters>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let query = query.map_err(page::malformed)?;
    let days = status_list::days(query.ttl.as_deref(), FILE_DAYS)?;
    let id = resolve(&service, &id).await?;
    let published = service.published()?;
    let found = service.store.licence(&id, published.size).await?;
    let found = found.ok_or_else(|| ApiError::not_found("no licence has this id"))?;
    let artefacts = &found.record.claim.artefacts;
    let artefact = match (&query.artefact, artefacts.as_slice()) {
        (Some(asked), _) => resolve(&service, asked).await?,
        (None, [only]) => *only,
        (None, several) => {
            let detail = format!("the licence is in {} artefacts; say which one the file is for", several.len());
            return Err(ApiError::bad_parameter("query", "artefact", detail));
        }
    };
    if !artefacts.contains(&artefact) {
        return Err(ApiError::bad_parameter("query", "artefact", "the licence is not in this artefact"));
    }
    let proof = LicenceProof {
        licence: id,
        history: history(&service, &published, &found).await?,
        status_list: status_list::signed(&service, &published, days).await?.to_string(),
    };
    let entry = entry_of(&service, &IdReference::Full(artefact)).await?;
    answer(&bundle(&service, &published, &entry, Some(proof)).await?)
}

fn answer(bundle: &Bundle) -> Result<HttpResponse, ApiError> {
    let body = bundle.to_bytes().map_err(|error| internal(&error))?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body))
}

async fn bundle(
    service: &Service,
    published: &Published,
    entry: &StoredEntry,
    licence: Option<LicenceProof>,
) -> Result<Bundle, ApiError> {
    let submission = parse_entry(entry)?;
    let claim = &submission.statement.claim;
    if !matches!(claim, Claim::Artefact(_)) && claim.kind().sealed_fields().is_empty() {
        return Err(ApiError::not_found(
            "only a statement that registers an artefact, or has sealed fields, has a bundle",
        ));
    }
    let mut documents = BTreeMap::new();
    for digest in submission.statement.documents() {
        documents.insert(digest, document(service, &digest).await?);
    }
    let documents = documents.values().map(|bytes| BASE64.encode(bytes)).collect();
    let mut key_chains = Vec::new();
    for party in signing_parties(&submission.statement) {
        key_chains.push(key_chain(service, published, party, entry.index).await?);
    }
    let genesis = entry_of(service, &IdReference::Full(service.registry.operator)).await?;
    Ok(Bundle {
        schema: BUNDLE_SCHEMA.to_owned(),
        registry: service.registry.reference.clone(),
        closure: Closure::RegistryAsserted,
        statement: proven(service, published, entry).await?,
        documents,
        genesis: proven(service, published, &genesis).await?,
        key_chains,
        licence,
    })
}

/// Every key event of a party before `index`. The operator's chain begins at genesis, which every bundle holds anyway.
async fn key_chain(
    service: &Service,
    published: &Published,
    party: StatementId,
    index: u64,
) -> Result<KeyChain, ApiError> {
    let mut entries = Vec::new();
    for entry in party_entries(service, party, index).await? {
        entries.push(proven(service, published, &entry).await?);
    }
    Ok(KeyChain { party, entries })
}

/// The entries that made a party what it was at `index`, but for the founding one.
///
/// # Errors
/// When there is no such party, or the store fails.
pub async fn party_entries(service: &Service, party: StatementId, index: u64) -> Result<Vec<StoredEntry>, ApiError> {
    let mut entries = Vec::new();
    if party != service.registry.operator {
        entries.push(entry_of(service, &IdReference::Full(party)).await?);
    }
    for event in service.store.key_events(&party, index).await? {
        let event = service.store.entries(event, 1).await?.into_iter().next();
        entries.push(event.ok_or_else(|| internal(&"a key event has no entry"))?);
    }
    Ok(entries)
}

/// Everything a licence rests on and the grant itself, in the order of the log.
async fn history(service: &Service, published: &Published, found: &FoundLicence) -> Result<Vec<ProvenEntry>, ApiError> {
    let grant = &found.record;
    let mut entries: BTreeMap<u64, StoredEntry> = BTreeMap::new();
    let mut parties = BTreeSet::new();
    for licence in found.under.iter().chain([grant]) {
        for id in rests_on(service, licence, published.size).await? {
            let entry = entry_of(service, &IdReference::Full(id)).await?;
            parties.extend(signing_parties(&parse_entry(&entry)?.statement));
            entries.insert(entry.index, entry);
        }
        parties.extend([licence.claim.licensor, licence.claim.licensee]);
    }
    for party in parties {
        for entry in party_entries(service, party, grant.index).await? {
            entries.insert(entry.index, entry);
        }
    }
    if entries.len() > HISTORY_MAX {
        let detail = format!("the licence rests on more than {HISTORY_MAX} entries, more than an offline file holds");
        return Err(ApiError::not_found(detail));
    }
    let mut history = Vec::with_capacity(entries.len());
    for entry in entries.values() {
        history.push(proven(service, published, entry).await?);
    }
    Ok(history)
}

/// Statements that a licence names: artefacts, terms, the offer, and itself.
async fn rests_on(service: &Service, licence: &LicenceRecord, size: u64) -> Result<Vec<StatementId>, ApiError> {
    let claim = &licence.claim;
    let published = service.store.terms(&TermsReference::Full(claim.terms), size).await?;
    let terms = published.into_iter().find(|record| record.issuer == claim.licensor);
    let terms = terms.ok_or_else(|| internal(&"a licence without terms"))?;
    let mut ids = claim.artefacts.clone();
    ids.extend([terms.statement, licence.id]);
    ids.extend(claim.offer);
    Ok(ids)
}

async fn document(service: &Service, digest: &Sha256Digest) -> Result<Vec<u8>, ApiError> {
    let missing = || StoreError::Damaged { place: format!("log.document {digest}"), reason: "missing".to_owned() };
    Ok(service.store.document(digest).await?.ok_or_else(missing)?)
}

async fn proven(service: &Service, published: &Published, entry: &StoredEntry) -> Result<ProvenEntry, ApiError> {
    Ok(ProvenEntry {
        envelope: serde_json::from_slice(&entry.body).map_err(|error| internal(&error))?,
        proof: service.receipt(published, entry.index).await?.to_string(),
    })
}
