//! Why an officer reads: the case and the purpose, in a query or in a body.

use actix_web::http::StatusCode;
use chopmark_core::access::Reason;

use crate::problem::ApiError;

/// Both, or neither.
///
/// # Errors
/// 400 when one is missing, or says nothing, or something invisible; `document` is where they stand.
pub fn reason(case_reference: Option<&str>, purpose: Option<&str>, document: &str) -> Result<Option<Reason>, ApiError> {
    let (case_reference, purpose) = match (case_reference, purpose) {
        (None, None) => return Ok(None),
        (Some(case_reference), Some(purpose)) => (case_reference.to_owned(), purpose.to_owned()),
        (None, Some(_)) => return Err(needed(document, "case_reference")),
        (Some(_), None) => return Err(needed(document, "purpose")),
    };
    let reason = Reason { case_reference, purpose };
    let name = |pointer: &str| pointer.trim_start_matches('/').to_owned();
    reason.validate().map_err(|error| ApiError::bad_parameter(document, &name(&error.pointer), error.reason))?;
    Ok(Some(reason))
}

/// The error for an officer who does not say why.
pub fn needed(document: &str, name: &str) -> ApiError {
    let detail = "an officer names the case and the purpose: case_reference and purpose";
    ApiError::new(StatusCode::BAD_REQUEST, "reason_needed", document, &format!("/{name}"), detail)
}
