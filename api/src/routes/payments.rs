//! Which payments are on record, for whoever is about to record many: a payment is once there, whoever says it.

use actix_web::{HttpResponse, get, web};
use chopmark_core::digest::Sha256Digest;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{page, revalidated};
use crate::problem::{ApiError, BadParameter, NotNow, Unchanged};
use crate::service::Service;

/// Most payments asked about at a time: their digests fit a line that every proxy takes.
const SUBJECTS_MAX: usize = 100;

/// A payment that is on record.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaymentView {
    /// Digest of its subject, as asked.
    pub subject: String,
    /// The statement that entered it, 64 hexadecimal characters.
    pub statement_id: String,
    /// Its latest correction, or itself, 64 hexadecimal characters.
    pub head: String,
}

/// Those of the payments asked about that are on record.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaymentList {
    /// In the order of the log.
    pub payments: Vec<PaymentView>,
}

/// Which payments.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PaymentQuery {
    /// SHA-256 over the canonical JSON of what makes each a payment of its own –
    /// `{"payment":{"document":…,"payee":…,"payer":…}}` – in hexadecimal, with commas between; at most 100.
    #[param(pattern = "^[0-9a-f]{64}(,[0-9a-f]{64}){0,99}$")]
    subject: Option<String>,
}

/// Payments that are on record, by payer, payee and document.
#[utoipa::path(
    operation_id = "findPayments",
    tag = "statements",
    params(PaymentQuery),
    responses(
        (status = 200, description = "Those on record; none is an empty list", body = PaymentList),
        Unchanged,
        BadParameter,
        NotNow,
    )
)]
#[get("/v1/payments")]
pub async fn find(
    service: web::Data<Service>,
    query: Result<web::Query<PaymentQuery>, actix_web::Error>,
) -> Result<HttpResponse, ApiError> {
    let query = query.map_err(page::malformed)?;
    let refuse = |reason: String| ApiError::bad_parameter("query", "subject", reason);
    let subjects: Vec<&str> =
        query.subject.as_deref().map(|subjects| subjects.split(',').collect()).unwrap_or_default();
    if subjects.len() > SUBJECTS_MAX {
        return Err(refuse(format!("at most {SUBJECTS_MAX}")));
    }
    let subjects: Result<Vec<Sha256Digest>, _> = subjects.into_iter().map(str::parse).collect();
    let subjects = subjects.map_err(|error| refuse(format!("{error}")))?;
    let payments = service.store.payments(&subjects).await?.into_iter().map(|payment| PaymentView {
        subject: payment.subject.to_string(),
        statement_id: payment.id.to_hex(),
        head: payment.head.to_hex(),
    });
    revalidated(&PaymentList { payments: payments.collect() })
}
