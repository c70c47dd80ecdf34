//! Sums over all taxpayers of a jurisdiction, for its officers and for auditors who may see them.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, get, web};
use chopmark_core::access::{Scope, Who};
use chopmark_core::artefact::IpType;
use chopmark_core::code::Jurisdiction;
use chopmark_core::expenditure::report::Totals;
use chopmark_core::tax;
use chopmark_core::tax::year::Year;
use chopmark_core::time::Timestamp;
use chopmark_store::{Reading, SummedUp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::reason::reason;
use super::super::{current, page};
use crate::authenticate::authenticate;
use crate::problem::{ApiError, BadParameter, Missing, NotAuthenticated, NotNow, internal};
use crate::reports::kept::TotalsView;
use crate::reports::{missing, record_id, refused, rules, summaries};
use crate::service::Service;

/// Sums over a jurisdiction.
#[derive(Serialize, ToSchema)]
pub struct SummaryView {
    /// Where the taxpayers are established.
    pub jurisdiction: String,
    /// Entries of the log that are taken into account.
    pub size: u64,
    /// Digest of the rules.
    pub rules_digest: String,
    /// How many taxpayers are in the sums.
    pub taxpayers: u64,
    /// Those that are not, because no report can be computed on them.
    pub left_out: Vec<LeftOutView>,
    /// Sums of all cells shown.
    pub totals: TotalsView,
    /// Sums by year, type of right and section, ascending.
    pub cells: Vec<CellView>,
}

/// A taxpayer that is not in the sums.
#[derive(Serialize, ToSchema)]
pub struct LeftOutView {
    /// The party, 64 hexadecimal characters.
    pub party: String,
    /// Why not.
    pub reason: String,
}

/// One sum.
#[derive(Serialize, ToSchema)]
pub struct CellView {
    /// The year of assessment.
    pub year: String,
    /// The type of right, where lines say one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_type: Option<&'static str>,
    /// The section of the law.
    pub section: String,
    /// The sums.
    pub totals: TotalsView,
}

/// Which sums, and why.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SummaryQuery {
    /// The case, and for auditors whatever names their work.
    #[param(max_length = 200)]
    case_reference: Option<String>,
    /// What for.
    #[param(max_length = 200)]
    purpose: Option<String>,
    /// Where the taxpayers are established; an officer's own where it is left out.
    #[param(pattern = "^[A-Z]{2}$")]
    jurisdiction: Option<String>,
    /// A year of assessment such as `2026/27`.
    #[param(pattern = "^20[0-9]{2}/[0-9]{2}$")]
    year: Option<String>,
}

/// Sums over all taxpayers of a jurisdiction. Reading them is recorded.
#[utoipa::path(
    operation_id = "getExpenditureSummary",
    tag = "reports",
    security(("token" = [])),
    params(SummaryQuery),
    responses(
        (status = 200, description = "The sums", body = SummaryView),
        BadParameter,
        NotAuthenticated,
        Missing,
        NotNow,
    )
)]
#[get("/v1/reports/ip-expenditure/summary")]
pub async fn show(
    service: web::Data<Service>,
    request: HttpRequest,
    query: Result<web::Query<SummaryQuery>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let principal = authenticate(&service, &request, Scope::Summaries).await?;
    let query = query.map_err(page::malformed)?;
    let reason = reason(query.case_reference.as_deref(), query.purpose.as_deref(), "query")?;
    let year = query.year.as_deref().map(str::parse::<Year>).transpose();
    let year = year.map_err(|error| ApiError::bad_parameter("query", "year", error))?;
    let place = match (&query.jurisdiction, &principal.who) {
        (Some(code), _) => {
            Jurisdiction::new(code).map_err(|reason| ApiError::bad_parameter("query", "jurisdiction", reason))?
        }
        (None, Who::Officer(own)) => own.clone(),
        (None, _) => return Err(ApiError::bad_parameter("query", "jurisdiction", "say which")),
    };
    // Where there are no rules there is nothing to add up.
    if tax::jurisdiction(&place.as_str().to_ascii_lowercase()).is_none() {
        return Err(missing());
    }
    let fields = [format!("/summary/{}", place.as_str())];
    let reading = Reading {
        principal: &principal,
        statement: &service.registry.operator,
        fields: &fields,
        reason: reason.as_ref(),
        now: Timestamp::from(chrono::Utc::now()),
        id: record_id()?,
    };
    service.store.record_summary(reading, &place).await?.map_err(|why| refused(why, "query"))?;
    service.recorded.notify_one();
    let size = service.published()?.size;
    let summed = summaries::summary(&service, &place, size).await?;
    current(&view(&place, size, year, &summed)?)
}

fn view(place: &Jurisdiction, size: u64, year: Option<Year>, summed: &Arc<SummedUp>) -> Result<SummaryView, ApiError> {
    let mut totals = Totals::default();
    let mut cells = Vec::new();
    for (cell, sum) in summed.summary.cells() {
        if year.is_none_or(|year| year == cell.year) {
            totals = totals.plus(*sum).map_err(|error| internal(&error))?;
            cells.push(CellView {
                year: cell.year.to_string(),
                ip_type: cell.ip_type.map(IpType::as_str),
                section: cell.section.clone(),
                totals: (*sum).into(),
            });
        }
    }
    let left_out = summed.left_out.iter();
    Ok(SummaryView {
        jurisdiction: place.as_str().to_owned(),
        size,
        rules_digest: rules()?.digest().to_string(),
        taxpayers: summed.taxpayers,
        left_out: left_out.map(|out| LeftOutView { party: out.party.to_hex(), reason: out.reason.clone() }).collect(),
        totals: totals.into(),
        cells,
    })
}
