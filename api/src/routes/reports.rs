//! Reports on expenditure: made, signed and kept; and shown to the taxpayer and to officers of its place.

pub mod evidence;
pub mod export;
pub mod lines;
pub mod summary;

use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use chopmark_core::access::{Principal, Scope};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::report::Query;
use chopmark_core::strict;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::fallback::{Paths, fallback};
use super::page;
use super::reason::reason;
use crate::authenticate::authenticate;
use crate::bodies::Body;
use crate::guard::Guard;
use crate::problem::{ApiError, BadParameter, Erased, Missing, NotAuthenticated, NotNow, Problem};
use crate::reports::jobs::Standing;
use crate::reports::kept::{Kept, TotalsView};
use crate::reports::{Asked, Made, not_signing, taxpayer, unprocessable};
use crate::service::Service;

/// Most bytes of a request: lists of years and rules, and two names.
const REQUEST_BYTES_MAX: usize = 64 << 10;

/// The last part of the path where reports are made.
const MAKING: &str = "ip-expenditure";

/// How long an answer waits for the report, unless it is asked not to.
const WAIT: Duration = Duration::from_secs(10);

/// Seconds after which to ask again.
const RETRY_AFTER_S: &str = "1";

/// What is asked of a report.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportRequest {
    /// Whose expenditure, which years, and which lines to show.
    #[schema(value_type = ReportQuery)]
    query: Value,
    /// Entries of the log to look at; all that are published where it is left out.
    #[serde(default)]
    size: Option<u64>,
    /// Officers only, and always: the case in the authority's files.
    #[serde(default)]
    #[schema(max_length = 200)]
    case_reference: Option<String>,
    /// Officers only, and always: what for.
    #[serde(default)]
    #[schema(max_length = 200)]
    purpose: Option<String>,
}

/// A query. What is left out lets everything through; what is there holds together.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes requests; they are read by the core")]
pub struct ReportQuery {
    /// 64 hexadecimal characters, a shown id such as `pty_…`, or a Business Registration Number of 8 digits.
    #[schema(pattern = "^([0-9a-f]{64}|[a-z]{2,4}_[a-z2-7]{20}|[0-9]{8})$")]
    taxpayer: String,
    /// Years of assessment such as `2026/27`, ascending, none twice.
    #[schema(required = false, max_items = 100)]
    years: Vec<String>,
    /// Proposed rules to apply, by name, ascending, none twice.
    #[schema(required = false, max_items = 100)]
    proposed_rules: Vec<String>,
    /// Only what this side paid: `{"party": id}` or `{"outside": {"name", "jurisdiction"}}`.
    #[schema(value_type = Option<Object>)]
    payer: Option<Value>,
    /// Only what this side was paid.
    #[schema(value_type = Option<Object>)]
    payee: Option<Value>,
    /// Only rights of this type.
    #[schema(required = false)]
    ip_type: String,
    /// Only payments of this nature.
    #[schema(required = false)]
    nature: String,
    /// Only rights registered in this place, or payments with somebody resident there.
    #[schema(required = false)]
    place: String,
    /// Only payments with associates, or only others.
    #[schema(required = false)]
    associate: bool,
    /// Only payments of at least this many Hong Kong dollars.
    #[schema(required = false)]
    amount_min: String,
    /// Only payments of at most this many.
    #[schema(required = false)]
    amount_max: String,
    /// Only lines of which this is flagged.
    #[schema(required = false)]
    flag: String,
    /// Only what is `active`, `corrected` or `reversed`.
    #[schema(required = false)]
    status: String,
}

/// A report that is there.
#[derive(Serialize, ToSchema)]
pub struct ReportView {
    /// SHA-256 of its bytes, 64 hexadecimal characters.
    pub id: String,
    /// Whose report it is, 64 hexadecimal characters.
    pub taxpayer: String,
    /// Entries of the log that it looks at.
    pub size: u64,
    /// The taxing jurisdiction.
    pub jurisdiction: String,
    /// Digest of the rules.
    pub rules_digest: String,
    /// Digest of the openings that were read.
    pub openings_digest: String,
    /// How many lines it shows.
    pub lines: usize,
    /// How many flags.
    pub flags: usize,
    /// Entries of the evidence.
    pub entries: usize,
    /// How many of them were not taken in.
    pub set_aside: usize,
    /// How many bytes it has.
    pub size_bytes: usize,
    /// Sums of the lines shown.
    pub totals: TotalsView,
}

impl From<&Made> for ReportView {
    fn from(made: &Made) -> Self {
        let report = &made.report;
        Self {
            id: made.id.to_string(),
            taxpayer: report.query.taxpayer.to_hex(),
            size: report.size,
            jurisdiction: report.jurisdiction.clone(),
            rules_digest: report.rules_digest.to_string(),
            openings_digest: report.openings_digest.to_string(),
            lines: report.lines.len(),
            flags: report.flags.len(),
            entries: made.entries,
            set_aside: report.set_aside.len(),
            size_bytes: made.size_bytes,
            totals: report.breakdown.totals.into(),
        }
    }
}

/// A report in the making.
#[derive(Serialize, ToSchema)]
pub struct ReportProgress {
    /// `gathering`, `computing`, `proving` or `keeping`.
    pub stage: &'static str,
    /// Entries of the evidence, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<usize>,
    /// Entries of the log that it looks at.
    pub size: u64,
}

/// Make a report on a taxpayer's expenditure, or find it. The same request again asks how far it is. Reading the values it rests
/// on is recorded.
#[utoipa::path(
    operation_id = "createExpenditureReport",
    tag = "reports",
    security(("token" = [])),
    request_body(content = ReportRequest, content_type = "application/json"),
    params(("Prefer" = Option<String>, Header, description = "`respond-async`: don't wait for it")),
    responses(
        (status = 201, description = "It is there; `Location` says where", body = ReportView,
            headers(("Location" = String, description = "Where the report is"))),
        (status = 202, description = "It is being made; ask the same again", body = ReportProgress),
        (status = 400, description = "Not readable, or without a reason that is needed", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The request took too long to arrive", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "No query, or nothing can be computed", body = Problem, content_type = "application/problem+json"),
        NotAuthenticated,
        Missing,
        Erased,
        NotNow,
    )
)]
#[post("/v1/reports/ip-expenditure")]
pub async fn create(
    service: web::Data<Service>,
    guard: web::Data<Guard>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let principal = authenticate(&service, &request, Scope::Openings).await?;
    let Body { bytes, .. } = guard.bodies.read(&request, payload, REQUEST_BYTES_MAX).await?;
    service.list_signer().ok_or_else(not_signing)?;
    let name = (principal.token.to_string(), Sha256Digest::of(&bytes));
    let asked = parse(&service, principal, &bytes).await?;
    let prefer = request.headers().get("prefer").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let wait = if prefer.split(',').any(|word| word.trim() == "respond-async") { Duration::ZERO } else { WAIT };
    let (outcome, is_first) = match service.jobs.run(&service, name, asked.clone(), wait).await? {
        Standing::Running { size, progress } => {
            let (stage, entries) = (progress.stage.as_str(), progress.entries);
            return Ok(HttpResponse::Accepted()
                .insert_header((header::CACHE_CONTROL, "no-store"))
                .insert_header((header::RETRY_AFTER, RETRY_AFTER_S))
                .json(ReportProgress { stage, entries, size }));
        }
        Standing::Ended { outcome, is_first } => (outcome, is_first),
    };
    let made = match &*outcome {
        Ok(made) => made,
        Err(error) => return Err(error.clone()),
    };
    // What was read to make it is recorded, and shown once. Whoever is shown it beside reads it, too.
    if is_first {
        Kept::refuse_erased(&service, &made.id).await?;
    } else {
        Kept::read(&service, &asked.principal, &made.id.to_string(), asked.reason.as_ref()).await?;
    }
    Ok(HttpResponse::Created()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::LOCATION, format!("/v1/reports/{}", made.id)))
        .json(ReportView::from(made)))
}

async fn parse(service: &Service, principal: Principal, bytes: &[u8]) -> Result<Asked, ApiError> {
    let asked: ReportRequest = strict::from_slice(bytes).map_err(|error| {
        ApiError::new(StatusCode::BAD_REQUEST, "malformed_request", "request", &error.pointer, error.reason)
    })?;
    let reason = reason(asked.case_reference.as_deref(), asked.purpose.as_deref(), "request")?;
    let published = service.published()?.size;
    let size = asked.size.unwrap_or(published);
    if size == 0 || size > published {
        let detail = format!("{published} entries are published");
        return Err(unprocessable("size_beyond_log", "/size", detail));
    }
    let mut query = asked.query;
    let Some(whose) = query.get_mut("taxpayer") else {
        return Err(unprocessable("invalid_query", "/query/taxpayer", "whose report?"));
    };
    if let Some(text) = whose.as_str() {
        *whose = taxpayer(service, &principal, text).await?.to_hex().into();
    }
    let invalid =
        |error: strict::StrictError| unprocessable("invalid_query", &format!("/query{}", error.pointer), error.reason);
    let query: Query = strict::decode(&query).map_err(invalid)?;
    query.validate().map_err(invalid)?;
    Ok(Asked { principal, query, size, reason })
}

/// Why it is read.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReasonQuery {
    /// Officers only, and always: the case in the authority's files.
    #[param(max_length = 200)]
    case_reference: Option<String>,
    /// Officers only, and always: what for.
    #[param(max_length = 200)]
    purpose: Option<String>,
}

/// A report, the same bytes for ever. Reading it is recorded.
#[utoipa::path(
    operation_id = "getReport",
    tag = "reports",
    security(("token" = [])),
    params(("id" = String, Path, pattern = "^[0-9a-f]{64}$", description = "SHA-256 of the report"), ReasonQuery),
    responses(
        (status = 200, description = "The report: `chopmark.report.ip-expenditure/v1`", body = Object,
            content_type = "application/json"),
        BadParameter,
        NotAuthenticated,
        Missing,
        Erased,
        NotNow,
    )
)]
#[get("/v1/reports/{id}")]
pub async fn show(
    service: web::Data<Service>,
    request: HttpRequest,
    paths: web::Data<Paths>,
    id: web::Path<String>,
    query: Result<web::Query<ReasonQuery>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    // The page of this name makes reports, and is none.
    if *id == MAKING {
        return Ok(fallback(request, paths).await);
    }
    let principal = authenticate(&service, &request, Scope::Openings).await?;
    let query = query.map_err(page::malformed)?;
    let reason = reason(query.case_reference.as_deref(), query.purpose.as_deref(), "query")?;
    let kept = Kept::read(&service, &principal, &id, reason.as_ref()).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(kept.file.to_vec()))
}
