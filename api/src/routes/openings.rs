//! Openings of a statement's sealed fields, for those who may read them; every reading is recorded.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, web};
use chopmark_core::access::{Refused, Scope};
use chopmark_store::{KeptOpening, Reading};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::reason::{needed, reason};
use super::statements::resolve;
use super::{current, page};
use crate::authenticate::authenticate;
use crate::problem::{ApiError, BadParameter, Missing, NotAuthenticated, NotNow, internal};
use crate::service::Service;

/// Sealed fields of a statement, opened.
#[derive(Serialize, ToSchema)]
pub struct OpeningsView {
    /// The statement, 64 hexadecimal characters.
    pub statement_id: String,
    /// In schema order.
    pub fields: Vec<OpeningView>,
}

/// One sealed field, opened; or erased.
#[derive(Serialize, ToSchema)]
pub struct OpeningView {
    /// JSON pointer, such as `/consideration/0/amount`.
    pub field: String,
    /// 32 bytes in padded base64; absent once erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// Its value; absent when the field is, and once erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    pub value: Option<Value>,
    /// The entry that says that it was destroyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erased_by: Option<u64>,
}

/// Why, and what of it.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OpeningsQuery {
    /// Officers only, and always: the case in the authority's files.
    #[param(max_length = 200)]
    case_reference: Option<String>,
    /// Officers only, and always: what for.
    #[param(max_length = 200)]
    purpose: Option<String>,
    /// One field, by its whole name or the last part of it; all fields otherwise.
    #[param(max_length = 200)]
    field: Option<String>,
}

/// The openings of a statement's sealed fields. Reading them is recorded.
#[utoipa::path(
    operation_id = "readOpenings",
    tag = "sealed",
    security(("token" = [])),
    params(("id" = String, Path, pattern = "^([0-9a-f]{64}|[a-z]{2,4}_[a-z2-7]{20})$",
        description = "64 hexadecimal characters, or a shown id such as `trm_…`"), OpeningsQuery),
    responses(
        (status = 200, description = "The openings", body = OpeningsView),
        BadParameter,
        NotAuthenticated,
        Missing,
        NotNow,
    )
)]
#[get("/v1/statements/{id}/openings")]
pub async fn show(
    service: web::Data<Service>,
    request: HttpRequest,
    id: web::Path<String>,
    query: Result<web::Query<OpeningsQuery>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let principal = authenticate(&service, &request, Scope::Openings).await?;
    let query = query.map_err(page::malformed)?;
    let reason = reason(query.case_reference.as_deref(), query.purpose.as_deref(), "query")?;
    let missing = || ApiError::not_found("there are no openings here that this token may read");
    let statement = match resolve(&service, &id).await {
        Err(error) if error.0.status == StatusCode::NOT_FOUND.as_u16() => return Err(missing()),
        resolved => resolved?,
    };
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| internal(&error))?;
    let fields: Vec<String> = query.field.iter().cloned().collect();
    let reading = Reading {
        principal: &principal,
        statement: &statement,
        fields: &fields,
        reason: reason.as_ref(),
        now: service.clock.now(),
        id: random,
    };
    let read = service.store.read_openings(reading).await?;
    let openings = match read {
        Ok(openings) => openings,
        Err(Refused::ReasonNeeded) => return Err(needed("query", "case_reference")),
        Err(Refused::Scope) => return Err(ApiError::not_authenticated()),
        Err(Refused::NotTheirs) => return Err(missing()),
    };
    service.recorded.notify_one();
    if openings.is_empty() {
        return Err(missing());
    }
    let fields = openings.iter().map(view).collect::<Result<_, _>>()?;
    current(&OpeningsView { statement_id: statement.to_hex(), fields })
}

fn view(kept: &KeptOpening) -> Result<OpeningView, ApiError> {
    let field = kept.field().to_string();
    let opening = match kept {
        KeptOpening::Erased { index, .. } => {
            return Ok(OpeningView { field, salt: None, value: None, erased_by: Some(*index) });
        }
        KeptOpening::Kept(opening) => opening,
    };
    let value = opening.value().map(serde_json::from_slice).transpose().map_err(|error| internal(&error))?;
    let salt = Some(data_encoding::BASE64.encode(opening.salt.as_bytes()));
    Ok(OpeningView { field, salt, value, erased_by: None })
}
