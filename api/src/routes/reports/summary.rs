//! Sums over all taxpayers of a jurisdiction, for its officers and for auditors who may see them; and those of one taxpayer, for
//! whoever may have reports on it.

use actix_web::{HttpRequest, HttpResponse, get, web};
use chopmark_core::access::{Principal, Reason, Scope, Who};
use chopmark_core::artefact::IpType;
use chopmark_core::code::Jurisdiction;
use chopmark_core::expenditure::report::{Summary, Totals};
use chopmark_core::statement::StatementId;
use chopmark_core::tax;
use chopmark_core::tax::year::Year;
use chopmark_store::{LeftOut, Reading};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::reason::reason;
use super::super::{current, page};
use crate::authenticate::authenticate;
use crate::problem::{ApiError, BadParameter, Missing, NotAuthenticated, NotNow, Problem, internal};
use crate::reports::kept::TotalsView;
use crate::reports::{READ_FIELD, missing, record_id, refused, rules, summaries, taxpayer, unprocessable};
use crate::service::Service;

/// Sums over a jurisdiction, or of one taxpayer.
#[derive(Serialize, ToSchema)]
pub struct SummaryView {
    /// Where the taxpayers are established; left out for one taxpayer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
    /// The taxpayer's party, 64 hexadecimal characters, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taxpayer: Option<String>,
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
    /// One taxpayer alone, as when a report is asked for: a party's id or a Business Registration Number.
    #[param(max_length = 80)]
    taxpayer: Option<String>,
    /// A year of assessment such as `2026/27`.
    #[param(pattern = "^20[0-9]{2}/[0-9]{2}$")]
    year: Option<String>,
}

/// Sums over all taxpayers of a jurisdiction, or of one taxpayer. Reading them is recorded.
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
        (status = 422, description = "No report can be computed on this taxpayer", body = Problem,
            content_type = "application/problem+json"),
        NotNow,
    )
)]
#[get("/v1/reports/ip-expenditure/summary")]
pub async fn show(
    service: web::Data<Service>,
    request: HttpRequest,
    query: Result<web::Query<SummaryQuery>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    // One taxpayer's sums are what its report says; those of all are a right of their own.
    let is_of_one = query.as_ref().is_ok_and(|query| query.taxpayer.is_some());
    let scope = if is_of_one { Scope::Openings } else { Scope::Summaries };
    let principal = authenticate(&service, &request, scope).await?;
    let query = query.map_err(page::malformed)?;
    let reason = reason(query.case_reference.as_deref(), query.purpose.as_deref(), "query")?;
    let year = query.year.as_deref().map(str::parse::<Year>).transpose();
    let year = year.map_err(|error| ApiError::bad_parameter("query", "year", error))?;
    let view = match &query.taxpayer {
        Some(text) => of_one(&service, &principal, reason.as_ref(), &query, text).await?,
        None => of_all(&service, &principal, reason.as_ref(), &query).await?,
    };
    current(&view.of_year(year)?)
}

/// The sums of a jurisdiction.
async fn of_all(
    service: &Service,
    principal: &Principal,
    reason: Option<&Reason>,
    query: &SummaryQuery,
) -> Result<Sums, ApiError> {
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
    let reading = reading(service, principal, &service.registry.operator, &fields, reason)?;
    service.store.record_summary(reading, &place).await?.map_err(|why| refused(why, "query"))?;
    service.recorded.notify_one();
    let size = service.published()?.size;
    let summed = summaries::summary(service, &place, size).await?;
    Ok(Sums {
        of: Of::All(place),
        size,
        summary: summed.summary.clone(),
        taxpayers: summed.taxpayers,
        left_out: summed.left_out.clone(),
    })
}

/// The sums of a taxpayer.
async fn of_one(
    service: &Service,
    principal: &Principal,
    reason: Option<&Reason>,
    query: &SummaryQuery,
    text: &str,
) -> Result<Sums, ApiError> {
    if query.jurisdiction.is_some() {
        return Err(ApiError::bad_parameter("query", "jurisdiction", "one taxpayer is asked for; leave it out"));
    }
    let in_query = |mut error: ApiError| {
        if error.0.pointer == "/query/taxpayer" {
            (error.0.document, error.0.pointer) = ("query".to_owned(), "/taxpayer".to_owned());
        }
        error
    };
    let party = taxpayer(service, principal, text).await.map_err(in_query)?;
    let fields = [READ_FIELD.to_owned()];
    let reading = reading(service, principal, &party, &fields, reason)?;
    let size = service.published()?.size;
    let summed = service.store.taxpayer_summary(reading, &service.registry.operator, size, rules()?).await?;
    service.recorded.notify_one();
    let summary = summed.map_err(|why| refused(why, "query"))?;
    let not_computed = |reason| unprocessable("report_not_computed", "/query/taxpayer", reason);
    let summary = summary.map_err(|reason| in_query(not_computed(reason)))?;
    Ok(Sums { of: Of::One(party), size, summary, taxpayers: 1, left_out: Vec::new() })
}

fn reading<'a>(
    service: &Service,
    principal: &'a Principal,
    statement: &'a StatementId,
    fields: &'a [String],
    reason: Option<&'a Reason>,
) -> Result<Reading<'a>, ApiError> {
    Ok(Reading { principal, statement, fields, reason, now: service.clock.now(), id: record_id()? })
}

/// Whose sums.
enum Of {
    All(Jurisdiction),
    One(StatementId),
}

/// Sums, as they were added up.
struct Sums {
    of: Of,
    size: u64,
    summary: Summary,
    taxpayers: u64,
    left_out: Vec<LeftOut>,
}

impl Sums {
    /// As they are shown: those of a year, or all.
    fn of_year(self, year: Option<Year>) -> Result<SummaryView, ApiError> {
        let mut totals = Totals::default();
        let mut cells = Vec::new();
        for (cell, sum) in self.summary.cells() {
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
        let (jurisdiction, taxpayer) = match self.of {
            Of::All(place) => (Some(place.as_str().to_owned()), None),
            Of::One(party) => (None, Some(party.to_hex())),
        };
        let left_out = self.left_out.into_iter();
        Ok(SummaryView {
            jurisdiction,
            taxpayer,
            size: self.size,
            rules_digest: rules()?.digest().to_string(),
            taxpayers: self.taxpayers,
            left_out: left_out.map(|out| LeftOutView { party: out.party.to_hex(), reason: out.reason }).collect(),
            totals: totals.into(),
            cells,
        })
    }
}
