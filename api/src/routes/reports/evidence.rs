//! What one line of a kept report rests on: entries, documents, signatures, corrections.

use std::collections::BTreeSet;

use actix_web::{HttpRequest, HttpResponse, get, web};
use chopmark_core::access::Scope;
use chopmark_core::bundle::signing_parties;
use chopmark_core::expenditure::{ExpenditureClaim, Replacement};
use chopmark_core::kind::Claim;
use chopmark_core::statement::{Envelope, Statement, StatementId};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::super::reason::reason;
use super::super::{current, page};
use super::ReasonQuery;
use super::lines::number;
use crate::authenticate::authenticate;
use crate::problem::{ApiError, BadParameter, Erased, Missing, NotAuthenticated, NotNow, internal};
use crate::reports::kept::{Content, Kept};
use crate::service::Service;

/// A line and what it rests on.
#[derive(Serialize, ToSchema)]
pub struct LineEvidence {
    /// The report, 64 hexadecimal characters.
    pub report: String,
    /// Entries of the log that it looks at.
    pub size: u64,
    /// The line as the report has it.
    #[schema(value_type = Object)]
    pub line: Value,
    /// Corrections that have an entry of the line on either side, as the report has them.
    #[schema(value_type = Vec<Object>)]
    pub corrections: Vec<Value>,
    /// The entries, ascending.
    pub entries: Vec<EvidenceEntry>,
}

/// An entry that a line rests on.
#[derive(Serialize, ToSchema)]
pub struct EvidenceEntry {
    /// Its place in the log.
    pub index: u64,
    /// The statement, 64 hexadecimal characters.
    pub statement_id: String,
    /// Its kind.
    pub kind: &'static str,
    /// Who said it, 64 hexadecimal characters.
    pub issuer: String,
    /// Everybody who signed it.
    pub signers: Vec<String>,
    /// Who endorsed it since.
    pub endorsed_by: Vec<String>,
    /// Number of the document, of a payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// SHA-256 of the document, of a payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The envelope as stored.
    #[schema(value_type = Object)]
    pub envelope: Value,
    /// Inclusion path at the report's size, hexadecimal, sibling of the leaf first.
    pub path: Vec<String>,
    /// Openings of its sealed fields.
    #[schema(value_type = Vec<Object>)]
    pub openings: Vec<Value>,
}

/// What a line of a report rests on. Reading it is recorded.
#[utoipa::path(
    operation_id = "getReportLineEvidence",
    tag = "reports",
    security(("token" = [])),
    params(
        ("id" = String, Path, pattern = "^[0-9a-f]{64}$", description = "SHA-256 of the report"),
        ("n" = u64, Path, description = "The line's own number"),
        ReasonQuery
    ),
    responses(
        (status = 200, description = "The line and its entries", body = LineEvidence),
        BadParameter,
        NotAuthenticated,
        Missing,
        Erased,
        NotNow,
    )
)]
#[get("/v1/reports/{id}/lines/{n}/evidence")]
pub async fn show(
    service: web::Data<Service>,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    query: Result<web::Query<ReasonQuery>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let principal = authenticate(&service, &request, Scope::Openings).await?;
    let query = query.map_err(page::malformed)?;
    let reason = reason(query.case_reference.as_deref(), query.purpose.as_deref(), "query")?;
    let (id, line) = path.into_inner();
    let wanted: u64 = line.parse().map_err(|_| ApiError::bad_parameter("path", "n", "the number of a line"))?;
    let kept = Kept::read(&service, &principal, &id, reason.as_ref()).await?;
    // A report may have many megabytes.
    let evidence = web::block(move || evidence(&kept, wanted)).await.map_err(|error| internal(&error))??;
    current(&evidence)
}

fn evidence(kept: &Kept, wanted: u64) -> Result<LineEvidence, ApiError> {
    let content = kept.content()?;
    let line = content.list("lines").iter().find(|line| number(line) == wanted);
    let line = line.ok_or_else(|| ApiError::not_found("the report shows no line of this number"))?;
    let indices: BTreeSet<u64> =
        line.get("entries").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_u64).collect();
    let rests_on = |correction: &&Value| {
        let side = |name: &str| correction.get(name).and_then(Value::as_u64);
        [side("before"), side("after")].into_iter().flatten().any(|index| indices.contains(&index))
    };
    Ok(LineEvidence {
        report: kept.id.to_string(),
        size: content.size(),
        line: line.clone(),
        corrections: content.list("corrections").iter().filter(rests_on).cloned().collect(),
        entries: entries(&content, &indices)?,
    })
}

/// A statement of the evidence.
fn statement(item: &Value) -> Result<Statement, ApiError> {
    let envelope = item.get("envelope").ok_or_else(|| internal(&"evidence without an envelope"))?;
    let bytes = serde_json::to_vec(envelope).map_err(|error| internal(&error))?;
    let envelope = Envelope::parse(&bytes).map_err(|error| internal(&error))?;
    Statement::parse(envelope.payload()).map_err(|error| internal(&error))
}

fn entries(content: &Content, indices: &BTreeSet<u64>) -> Result<Vec<EvidenceEntry>, ApiError> {
    let mut endorsements: Vec<(StatementId, StatementId)> = Vec::new();
    let mut entries = Vec::new();
    for item in content.list("evidence") {
        let index = item.get("index").and_then(Value::as_u64).unwrap_or_default();
        let statement = statement(item)?;
        if let Claim::Endorsement(claim) = &statement.claim {
            endorsements.push((claim.statement, statement.issuer()));
        }
        if !indices.contains(&index) {
            continue;
        }
        let list = |name: &str| item.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let payment = payment(&statement);
        let entry = EvidenceEntry {
            index,
            statement_id: statement.id.to_hex(),
            kind: statement.claim.name(),
            issuer: statement.issuer().to_hex(),
            signers: signing_parties(&statement).iter().map(StatementId::to_hex).collect(),
            endorsed_by: Vec::new(),
            document: payment.map(|claim| claim.document.clone()),
            file: payment.and_then(|claim| claim.file).map(|digest| digest.to_string()),
            envelope: item.get("envelope").cloned().unwrap_or_default(),
            path: list("path").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            openings: list("openings"),
        };
        entries.push((statement.id, entry));
    }
    let endorsed = |(id, mut entry): (StatementId, EvidenceEntry)| {
        let by = endorsements.iter().filter(|(endorsed, _)| *endorsed == id);
        entry.endorsed_by = by.map(|(_, issuer)| issuer.to_hex()).collect();
        entry
    };
    Ok(entries.into_iter().map(endorsed).collect())
}

fn payment(statement: &Statement) -> Option<&ExpenditureClaim> {
    match &statement.claim {
        Claim::Expenditure(claim) => Some(claim),
        Claim::Correction(claim) => match &claim.replacement {
            Some(Replacement::Expenditure(claim)) => Some(claim),
            _ => None,
        },
        _ => None,
    }
}
