//! Ancestry: what a judgement on the licence of something made from an artefact rests on.

use actix_web::{HttpResponse, get, web};
use chopmark_core::artefact::{Parent, ParentSource, Relation};
use chopmark_core::compatibility::Inputs;
use chopmark_core::terms::period::Date;
use chopmark_core::time::Timestamp;
use chopmark_store::Candidate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::statements::resolve;
use super::{page, revalidated};
use crate::problem::{ApiError, BadParameter, Missing, NotNow, Unchanged, internal};
use crate::service::Service;

/// For whom, and for which day.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AncestryParameters {
    /// Who makes something from it, 64 hexadecimal characters: licences this party holds, and artefacts it owns, count.
    #[param(pattern = "^[0-9a-f]{64}$")]
    holder: Option<String>,
    /// The day for which grants are in force, such as 2027-01-31; today in Hong Kong when left out.
    #[param(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    on: Option<String>,
}

/// An artefact and all that it was made from, with their licences.
#[derive(Debug, Serialize, ToSchema)]
pub struct AncestryView {
    /// Entries of the log that the answer takes into account.
    pub applied_size: u64,
    /// The artefact, 64 hexadecimal characters.
    pub artefact_id: String,
    /// The day for which grants are in force, in Hong Kong.
    pub on: String,
    /// The artefact and its ancestors by id: what each is licensed under and was made from, as `chopmark licence check`
    /// takes them.
    #[schema(value_type = Object)]
    pub ancestors: Value,
    /// Grants of others in force in them that keep somebody out.
    #[schema(value_type = Vec<Object>)]
    pub grants: Value,
}

/// An artefact and all that it was made from, with what they are licensed under.
#[utoipa::path(
    operation_id = "getAncestry",
    tag = "licences",
    params(("id" = String, Path, pattern = "^([0-9a-f]{64}|[a-z]{2,4}_[a-z2-7]{20})$",
        description = "64 hexadecimal characters, or a shown id such as `art_…`"), AncestryParameters),
    responses(
        (status = 200, description = "What a judgement rests on", body = AncestryView),
        Unchanged,
        BadParameter,
        Missing,
        NotNow,
    )
)]
#[get("/v1/artefacts/{id}/ancestry")]
pub async fn show(
    service: web::Data<Service>,
    id: web::Path<String>,
    query: Result<web::Query<AncestryParameters>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let query = query.map_err(page::malformed)?;
    let holder = page::id("holder", query.holder.as_deref())?;
    let on = page::day("on", query.on.as_deref())?;
    let on = on.unwrap_or_else(|| Date::in_hong_kong(Timestamp::from(chrono::Utc::now())));
    let id = resolve(&service, &id).await?;
    let below = service.searchable_size().await?;
    let artefact = service.store.artefact(&id, below).await?;
    let artefact = artefact.ok_or_else(|| ApiError::not_found("no artefact has this id"))?.record;
    // The artefact is taken as the only parent of something, so that it is an ancestor like the others.
    let parent = Parent { relation: Relation::Derived, source: ParentSource::Artefact(id) };
    let candidate = Candidate {
        name: String::new(),
        licence: &artefact.claim.licence,
        parents: core::slice::from_ref(&parent),
        holder,
    };
    let Inputs { ancestors, grants, .. } = service.store.inputs(&candidate, below, on).await?;
    revalidated(&AncestryView {
        applied_size: below,
        artefact_id: id.to_hex(),
        on: on.to_string(),
        ancestors: serde_json::to_value(ancestors).map_err(|error| internal(&error))?,
        grants: serde_json::to_value(grants).map_err(|error| internal(&error))?,
    })
}
