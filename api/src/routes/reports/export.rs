//! Exports of a kept report, and the log key's signature over their bytes.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, web};
use chopmark_core::access::Scope;
use chopmark_core::tax::words::Language;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::page;
use super::super::reason::reason;
use crate::authenticate::authenticate;
use crate::exports::{self, Export, Format};
use crate::problem::{ApiError, BadParameter, Erased, Missing, NotAuthenticated, NotNow, Problem, internal};
use crate::reports::kept::Kept;
use crate::reports::not_signing;
use crate::service::Service;

/// As what, and why.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// Officers only, and always: the case in the authority's files.
    #[param(max_length = 200)]
    case_reference: Option<String>,
    /// Officers only, and always: what for.
    #[param(max_length = 200)]
    purpose: Option<String>,
    /// `csv`, `xlsx`, `pdf`, `parquet` or `json`; `csv` where nothing is said. Not every build of the service writes `pdf` and
    /// `parquet`.
    #[param(pattern = "^(csv|xlsx|pdf|parquet|json)$")]
    format: Option<String>,
    /// `en`, `zh-Hant` or `zh-Hans`; English where nothing is said.
    #[param(pattern = "^(en|zh-Hant|zh-Hans)$")]
    lang: Option<String>,
    /// Whether a CSV file begins with a byte order mark, by which some programs know UTF-8.
    bom: Option<bool>,
}

impl ExportQuery {
    fn format(&self) -> Result<Format, ApiError> {
        let bom = self.bom.unwrap_or_default();
        let refuse = |detail: &str| Err(ApiError::bad_parameter("query", "format", detail));
        let format = match self.format.as_deref().unwrap_or("csv") {
            "csv" => Format::Csv { bom },
            "xlsx" => Format::Xlsx,
            "pdf" => Format::Pdf,
            "parquet" => Format::Parquet,
            "json" => Format::Json,
            _ => return refuse("csv, xlsx, pdf, parquet or json"),
        };
        if bom && !matches!(format, Format::Csv { .. }) {
            return Err(ApiError::bad_parameter("query", "bom", "only CSV begins with a byte order mark"));
        }
        if format.is_built() { Ok(format) } else { Err(format.not_built()) }
    }

    fn language(&self) -> Result<Language, ApiError> {
        let language = self.lang.as_deref().map(str::parse).transpose();
        let language = language.map_err(|reason: String| ApiError::bad_parameter("query", "lang", reason))?;
        Ok(language.unwrap_or_default())
    }
}

/// The problem of a report that is too long for a format.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "describes answers; they are made by ApiError")]
enum TooLong {
    /// The report is too long to be written so
    #[response(status = 422, content_type = "application/problem+json")]
    TooLong(Problem),
}

async fn export(
    service: &Service,
    request: &HttpRequest,
    id: &str,
    query: Result<web::Query<ExportQuery>, actix_web::Error>,
) -> Result<Export, ApiError> {
    let principal = authenticate(service, request, Scope::Openings).await?;
    let query = query.map_err(page::malformed)?;
    let reason = reason(query.case_reference.as_deref(), query.purpose.as_deref(), "query")?;
    let (format, language) = (query.format()?, query.language()?);
    // Before the report is read, which is recorded.
    let turn = if format == Format::Pdf { Some(service.press.turn().await?) } else { None };
    let kept = Kept::read(service, &principal, id, reason.as_ref()).await?;
    let written = web::block(move || exports::write(&kept, format, language, turn.as_ref())).await;
    written.map_err(|error| internal(&error))?
}

/// A report as a table, a workbook or pages. Reading it is recorded.
#[utoipa::path(
    operation_id = "exportReport",
    tag = "reports",
    security(("token" = [])),
    params(("id" = String, Path, pattern = "^[0-9a-f]{64}$", description = "SHA-256 of the report"), ExportQuery),
    responses(
        (status = 200, description = "The file", content(
            (String = "text/csv"),
            (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
            (Vec<u8> = "application/vnd.apache.parquet"),
            (Vec<u8> = "application/pdf"),
            (Object = "application/json"),
        )),
        BadParameter,
        NotAuthenticated,
        Missing,
        Erased,
        TooLong,
        NotNow,
    )
)]
#[get("/v1/reports/{id}/export")]
pub async fn show(
    service: web::Data<Service>,
    request: HttpRequest,
    id: web::Path<String>,
    query: Result<web::Query<ExportQuery>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let export = export(&service, &request, &id, query).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, export.format.content_type()))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", export.file_name())))
        .body(export.bytes))
}

/// The log key's signature over an export: a signed note. Reading it is recorded, for the bytes are made for it.
#[utoipa::path(
    operation_id = "getExportSignature",
    tag = "reports",
    security(("token" = [])),
    params(("id" = String, Path, pattern = "^[0-9a-f]{64}$", description = "SHA-256 of the report"), ExportQuery),
    responses(
        (status = 200, description = "A C2SP signed note", body = String, content_type = "text/plain"),
        BadParameter,
        NotAuthenticated,
        Missing,
        Erased,
        TooLong,
        NotNow,
    )
)]
#[get("/v1/reports/{id}/export/signature")]
pub async fn show_signature(
    service: web::Data<Service>,
    request: HttpRequest,
    id: web::Path<String>,
    query: Result<web::Query<ExportQuery>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let export = export(&service, &request, &id, query).await?;
    let signer = service.list_signer().ok_or_else(not_signing)?;
    let note = export.sign(&service.registry.reference.origin, signer).map_err(|error| internal(&error))?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(note.to_string()))
}
