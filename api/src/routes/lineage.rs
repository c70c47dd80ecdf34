//! Lineage of an artefact: what it was made from and what was made from it, a bounded number of steps each way.

use actix_web::{HttpResponse, get, web};
use chopmark_core::statement::StatementId;
use chopmark_store::{LINEAGE_DEPTH_MAX, Lineage, LineageEdge, LineageNode, LineageParent, LineageQuery};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::statements::resolve;
use super::{page, revalidated};
use crate::problem::{ApiError, BadParameter, Missing, NotNow, Unchanged, internal};
use crate::service::Service;

/// Steps each way unless more are asked for.
const DEPTH_DEFAULT: u32 = 4;

/// How much of a lineage.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LineageParameters {
    /// `up` (what it was made from), `down` (what was made from it) or `both`; `both` when left out.
    #[param(pattern = "^(up|down|both)$")]
    direction: Option<String>,
    /// Steps each way; 4 when left out.
    #[param(minimum = 1, maximum = 16)]
    depth: Option<u32>,
}

/// An artefact and its relatives, as their owners declared them.
#[derive(Debug, Serialize, ToSchema)]
pub struct LineageView {
    /// Entries of the log that the answer takes into account.
    pub applied_size: u64,
    /// The artefact asked about, 64 hexadecimal characters.
    pub artefact_id: String,
    /// `up`, `down` or `both`.
    pub direction: &'static str,
    /// Steps each way.
    pub depth: u32,
    /// The artefact and its relatives, each once, nearest first; at most 250.
    pub nodes: Vec<LineageNodeView>,
    /// Their relations, by child and position among its parents; at most 1,000.
    pub edges: Vec<LineageEdgeView>,
    /// Whether there is more within these steps than one answer holds.
    pub truncated: bool,
}

/// One artefact of a lineage.
#[derive(Debug, Serialize, ToSchema)]
pub struct LineageNodeView {
    /// 64 hexadecimal characters.
    pub artefact_id: String,
    /// The same, short, for people.
    pub id: String,
    /// Entry that registered it.
    pub index: u64,
    /// The party that registered it, 64 hexadecimal characters.
    pub owner: String,
    /// Names by language: `en`, `zh-Hant`, `zh-Hans`.
    #[schema(value_type = Object)]
    pub name: Value,
    /// Version, as its owner counts.
    pub version: String,
    /// `model`, `software` or `dataset`.
    #[schema(value_type = String)]
    pub kind: Value,
    /// Steps up from the artefact asked about; absent where it is not met that way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub up: Option<u32>,
    /// Steps down; absent where it is not met that way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down: Option<u32>,
    /// The artefact that it takes the place of, 64 hexadecimal characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supersedes: Option<String>,
    /// Artefacts of the same owner that take its place, 64 hexadecimal characters each, at most 100.
    pub superseded_by: Vec<String>,
}

/// One relation. Its parent is an artefact among the nodes, or a leaf: a digest nobody has registered, or an artefact of
/// another registry.
#[derive(Debug, Serialize, ToSchema)]
pub struct LineageEdgeView {
    /// The artefact that was made, 64 hexadecimal characters.
    pub child: String,
    /// Position among its parents.
    pub position: u64,
    /// `finetune`, `adapter`, `merge`, `quantized` or `derived`.
    pub relation: String,
    /// The parent, when it is registered here: 64 hexadecimal characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The SHA-256 that its child names it by, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// An artefact of another registry, unverified here: `origin` and `artefact`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub foreign: Option<Value>,
}

/// What an artefact was made from, and what was made from it.
#[utoipa::path(
    operation_id = "getLineage",
    tag = "artefacts",
    params(("id" = String, Path, pattern = "^([0-9a-f]{64}|[a-z]{2,4}_[a-z2-7]{20})$",
        description = "64 hexadecimal characters, or a shown id such as `art_…`"), LineageParameters),
    responses(
        (status = 200, description = "The artefact and its relatives", body = LineageView),
        Unchanged,
        BadParameter,
        Missing,
        NotNow,
    )
)]
#[get("/v1/artefacts/{id}/lineage")]
pub async fn show(
    service: web::Data<Service>,
    id: web::Path<String>,
    query: Result<web::Query<LineageParameters>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let query = query.map_err(page::malformed)?;
    let depth = query.depth.unwrap_or(DEPTH_DEFAULT);
    if depth == 0 || depth > LINEAGE_DEPTH_MAX {
        return Err(ApiError::bad_parameter("query", "depth", format!("between 1 and {LINEAGE_DEPTH_MAX}")));
    }
    let (direction, up, down) = match query.direction.as_deref() {
        None | Some("both") => ("both", depth, depth),
        Some("up") => ("up", depth, 0),
        Some("down") => ("down", 0, depth),
        Some(_) => return Err(ApiError::bad_parameter("query", "direction", "one of up, down, both")),
    };
    let id = resolve(&service, &id).await?;
    let below = service.searchable_size().await?;
    let lineage = service.store.lineage(&id, LineageQuery { up, down, below }).await?;
    let Lineage { nodes, edges, truncated } = lineage.ok_or_else(|| ApiError::not_found("no artefact has this id"))?;
    revalidated(&LineageView {
        applied_size: below,
        artefact_id: id.to_hex(),
        direction,
        depth,
        nodes: nodes.iter().map(node).collect::<Result<_, _>>()?,
        edges: edges.iter().map(edge).collect::<Result<_, _>>()?,
        truncated,
    })
}

fn node(node: &LineageNode) -> Result<LineageNodeView, ApiError> {
    let LineageNode { record, up, down, superseded_by } = node;
    Ok(LineageNodeView {
        artefact_id: record.id.to_hex(),
        id: record.id.shown("art").to_string(),
        index: record.index,
        owner: record.owner.to_hex(),
        name: serde_json::to_value(&record.claim.name).map_err(|error| internal(&error))?,
        version: record.claim.version.clone(),
        kind: serde_json::to_value(record.claim.kind).map_err(|error| internal(&error))?,
        up: *up,
        down: *down,
        supersedes: record.claim.supersedes.map(|id| id.to_hex()),
        superseded_by: superseded_by.iter().map(StatementId::to_hex).collect(),
    })
}

fn edge(edge: &LineageEdge) -> Result<LineageEdgeView, ApiError> {
    let mut view = LineageEdgeView {
        child: edge.child.to_hex(),
        position: edge.position,
        relation: edge.relation.clone(),
        parent: None,
        digest: None,
        foreign: None,
    };
    match &edge.parent {
        LineageParent::Artefact(id, digest) => {
            view.parent = Some(id.to_hex());
            view.digest = digest.map(|digest| digest.to_hex());
        }
        LineageParent::Digest(digest) => view.digest = Some(digest.to_hex()),
        LineageParent::Foreign(foreign) => {
            view.foreign = Some(serde_json::to_value(foreign).map_err(|error| internal(&error))?);
        }
    }
    Ok(view)
}
