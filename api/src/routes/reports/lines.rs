//! Lines of a kept report, by filters, a page at a time.

use actix_web::{HttpRequest, HttpResponse, get, web};
use chopmark_core::access::Scope;
use chopmark_core::artefact::IpType;
use chopmark_core::expenditure::report::Totals;
use chopmark_core::expenditure::{Nature, Status};
use chopmark_core::money::Amount;
use chopmark_core::tax::lines::{FlagCode, Kind};
use chopmark_core::tax::year::Year;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::super::reason::reason;
use super::super::{current, page};
use crate::authenticate::authenticate;
use crate::exports;
use crate::problem::{ApiError, BadParameter, Erased, Missing, NotAuthenticated, NotNow, internal};
use crate::reports::kept::{Kept, TotalsView};
use crate::service::Service;

/// Lines of a report.
#[derive(Serialize, ToSchema)]
pub struct LineList {
    /// The report, 64 hexadecimal characters.
    pub report: String,
    /// Entries of the log that it looks at.
    pub size: u64,
    /// How many lines fit, on all pages.
    pub number: usize,
    /// Their sums.
    pub totals: TotalsView,
    /// The lines of this page as the report has them, in its order.
    #[schema(value_type = Vec<Object>)]
    pub lines: Vec<Value>,
    /// Cursor of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Which lines. All that is given must fit.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LineQuery {
    /// Officers only, and always: the case in the authority's files.
    #[param(max_length = 200)]
    case_reference: Option<String>,
    /// Officers only, and always: what for.
    #[param(max_length = 200)]
    purpose: Option<String>,
    /// A year of assessment such as `2026/27`.
    #[param(pattern = "^20[0-9]{2}/[0-9]{2}$")]
    year: Option<String>,
    /// `deduction`, `receipt`, `denied`, `withholding` or `concession`.
    #[param(pattern = "^(deduction|receipt|denied|withholding|concession)$")]
    kind: Option<String>,
    /// A section of the law, as the line has it.
    #[param(max_length = 100)]
    section: Option<String>,
    /// A type of right.
    #[param(max_length = 40)]
    ip_type: Option<String>,
    /// The nature of the payment it stands under.
    #[param(max_length = 40)]
    nature: Option<String>,
    /// An asset: 64 hexadecimal characters.
    #[param(pattern = "^[0-9a-f]{64}$")]
    asset: Option<String>,
    /// Ledger index of the payment it stands under.
    payment: Option<u64>,
    /// Whether that was with an associate.
    associate: Option<bool>,
    /// What became of it: `active`, `corrected` or `reversed`.
    #[param(pattern = "^(active|corrected|reversed)$")]
    status: Option<String>,
    /// What is flagged about it.
    #[param(max_length = 60)]
    flag: Option<String>,
    /// Whether facts are missing.
    needs_review: Option<bool>,
    /// At least so many Hong Kong dollars, such as `1000.00`.
    #[param(max_length = 40)]
    amount_min: Option<String>,
    /// At most so many.
    #[param(max_length = 40)]
    amount_max: Option<String>,
    /// Most lines, 100 at most.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Where to go on: `next` of the page before.
    #[param(max_length = 50)]
    cursor: Option<String>,
}

/// A query, read.
struct Filter {
    /// Members of a line with the values they must have.
    texts: Vec<(&'static str, String)>,
    payment: Option<u64>,
    associate: Option<bool>,
    flag: Option<String>,
    needs_review: Option<bool>,
    amount_min: Option<Amount>,
    amount_max: Option<Amount>,
}

impl Filter {
    fn of(query: &LineQuery) -> Result<Self, ApiError> {
        let amount = |name: &str, text: &Option<String>| {
            let parsed = text.as_deref().map(Amount::parse).transpose();
            parsed.map_err(|reason| ApiError::bad_parameter("query", name, reason))
        };
        let year = query.year.as_deref().map(str::parse::<Year>).transpose();
        let year = year.map_err(|error| ApiError::bad_parameter("query", "year", error))?;
        let kind = match &query.kind {
            Some(kind) if !Kind::ALL.iter().any(|known| known.as_str() == kind) => {
                return Err(ApiError::bad_parameter("query", "kind", "there is no such kind of line"));
            }
            kind => kind.clone(),
        };
        let texts = [
            ("/year", year.map(|year| year.to_string())),
            ("/kind", kind),
            ("/section", query.section.clone()),
            ("/ip_type", page::word::<IpType>("ip_type", query.ip_type.as_deref())?),
            ("/payment/nature", page::word::<Nature>("nature", query.nature.as_deref())?),
            ("/asset/id", page::id("asset", query.asset.as_deref())?.map(|id| id.to_hex())),
            ("/status", page::word::<Status>("status", query.status.as_deref())?),
        ];
        Ok(Self {
            texts: texts.into_iter().filter_map(|(pointer, text)| Some((pointer, text?))).collect(),
            payment: query.payment,
            associate: query.associate,
            flag: page::word::<FlagCode>("flag", query.flag.as_deref())?,
            needs_review: query.needs_review,
            amount_min: amount("amount_min", &query.amount_min)?,
            amount_max: amount("amount_max", &query.amount_max)?,
        })
    }

    fn admits(&self, line: &Value) -> bool {
        let is = |pointer: &str, wanted: Value| line.pointer(pointer) == Some(&wanted);
        let amount = line.get("amount").and_then(Value::as_str).and_then(exports::amount);
        let flags = line.get("flags").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        self.texts.iter().all(|(pointer, text)| is(pointer, text.as_str().into()))
            && self.payment.is_none_or(|index| is("/payment/index", index.into()))
            && self.associate.is_none_or(|associate| is("/payment/counterparty/associate", associate.into()))
            && self.needs_review.is_none_or(|needs| is("/needs_review", needs.into()))
            && self.amount_min.is_none_or(|min| amount.is_some_and(|amount| amount >= min))
            && self.amount_max.is_none_or(|max| amount.is_some_and(|amount| amount <= max))
            && self.flag.as_deref().is_none_or(|code| flags.iter().any(|flag| flag.as_str() == Some(code)))
    }
}

fn totals(lines: &[&Value]) -> Result<Totals, ApiError> {
    let mut totals = Totals::default();
    for line in lines {
        let text = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default();
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == text("kind"));
        let kind = kind.ok_or_else(|| internal(&"a line of no kind"))?;
        let amount = exports::amount(text("amount")).ok_or_else(|| internal(&"a line of no amount"))?;
        totals.add(kind, amount).map_err(|error| internal(&error))?;
    }
    Ok(totals)
}

/// A line's own number.
pub fn number(line: &Value) -> u64 {
    line.get("line").and_then(Value::as_u64).unwrap_or_default()
}

/// Lines of a report. Reading them is recorded.
#[utoipa::path(
    operation_id = "listReportLines",
    tag = "reports",
    security(("token" = [])),
    params(("id" = String, Path, pattern = "^[0-9a-f]{64}$", description = "SHA-256 of the report"), LineQuery),
    responses(
        (status = 200, description = "The lines", body = LineList),
        BadParameter,
        NotAuthenticated,
        Missing,
        Erased,
        NotNow,
    )
)]
#[get("/v1/reports/{id}/lines")]
pub async fn list(
    service: web::Data<Service>,
    request: HttpRequest,
    id: web::Path<String>,
    query: Result<web::Query<LineQuery>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let principal = authenticate(&service, &request, Scope::Openings).await?;
    let query = query.map_err(page::malformed)?;
    let reason = reason(query.case_reference.as_deref(), query.purpose.as_deref(), "query")?;
    let filter = Filter::of(&query)?;
    // Everything is checked that can be before anything is read.
    page::parse(query.cursor.as_deref(), query.limit, u64::MAX)?;
    let kept = Kept::read(&service, &principal, &id, reason.as_ref()).await?;
    // A report may have many megabytes.
    let list = web::block(move || select(&kept, &filter, &query)).await.map_err(|error| internal(&error))??;
    let mut response = current(&list)?;
    page::link(&mut response, request.path(), request.query_string(), list.next.as_deref());
    Ok(response)
}

fn select(kept: &Kept, filter: &Filter, query: &LineQuery) -> Result<LineList, ApiError> {
    let content = kept.content()?;
    // The lines of a report never change, so their last number serves as the size of the list.
    let end = content.list("lines").last().map_or(0, number) + 1;
    let page = page::parse(query.cursor.as_deref(), query.limit, end)?;
    let fitting: Vec<&Value> = content.list("lines").iter().filter(|line| filter.admits(line)).collect();
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let shown: Vec<&Value> = fitting.iter().copied().filter(|line| number(line) >= page.from).take(limit).collect();
    Ok(LineList {
        report: kept.id.to_string(),
        size: content.size(),
        number: fitting.len(),
        totals: totals(&fitting)?.into(),
        next: page::next(page, shown.len(), shown.last().copied().map(number)),
        lines: shown.into_iter().cloned().collect(),
    })
}
