//! A kept report as it is shown: read for somebody, which is recorded, and looked into.

use actix_web::http::StatusCode;
use chopmark_core::access::{Principal, Reason};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::report::Totals;
use chopmark_core::money::Amount;
use chopmark_core::strict;
use chopmark_store::{Reading, StoredReport};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::{record_id, refused};
use crate::problem::{ApiError, internal};
use crate::service::Service;

/// A report, read.
pub struct Kept {
    /// SHA-256 of its bytes.
    pub id: Sha256Digest,
    /// The file.
    pub file: Zeroizing<Vec<u8>>,
}

/// Its two parts, decoded.
pub struct Content {
    /// What it says.
    pub report: Value,
    /// The signature.
    pub note: String,
}

impl Kept {
    /// Reads a report for somebody.
    ///
    /// # Errors
    /// 404 where there is none that they may read, 410 once a value in it was erased, 400 where a reason is needed.
    pub async fn read(
        service: &Service,
        principal: &Principal,
        id: &str,
        reason: Option<&Reason>,
    ) -> Result<Self, ApiError> {
        let id: Sha256Digest = id.parse().map_err(|_| {
            ApiError::bad_parameter("path", "id", "the id of a report is 64 hexadecimal characters in lower case")
        })?;
        let fields = [format!("/report/{id}")];
        let reading = Reading {
            principal,
            // The record is about the taxpayer, whoever that is.
            statement: &service.registry.operator,
            fields: &fields,
            reason,
            now: service.clock.now(),
            id: record_id()?,
        };
        let read = service.store.report(&id, reading).await?;
        match read {
            Ok(StoredReport::Kept(file)) => {
                service.recorded.notify_one();
                Ok(Self { id, file })
            }
            Ok(StoredReport::Erased { index }) => Err(erased(index)),
            Err(why) => Err(refused(why, "query")),
        }
    }

    /// Refuses a report that was made before a value in it was erased, for whoever is shown it from memory.
    ///
    /// # Errors
    /// 410.
    pub async fn refuse_erased(service: &Service, id: &Sha256Digest) -> Result<(), ApiError> {
        service.store.report_erased_by(id).await?.map_or(Ok(()), |index| Err(erased(index)))
    }

    /// The parts of the file.
    ///
    /// # Errors
    /// When it is none, which is a mistake of ours.
    pub fn content(&self) -> Result<Content, ApiError> {
        let damaged = || internal(&format!("report {} is not as reports are written", self.id));
        let value = strict::value_from_slice(&self.file).map_err(|_| damaged())?;
        let Value::Object(mut members) = value else { return Err(damaged()) };
        match (members.remove("report"), members.remove("note")) {
            (Some(report @ Value::Object(_)), Some(Value::String(note))) => Ok(Content { report, note }),
            _ => Err(damaged()),
        }
    }
}

fn erased(index: u64) -> ApiError {
    let detail = format!("a value in this report was erased by entry {index}, and the report with it; ask anew");
    ApiError::new(StatusCode::GONE, "report_erased", "path", "/id", detail)
}

impl Content {
    /// A list of the report; empty where there is none.
    pub fn list(&self, name: &str) -> &[Value] {
        self.report.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The size of the log that it is of.
    pub fn size(&self) -> u64 {
        self.report.get("size").and_then(Value::as_u64).unwrap_or_default()
    }
}

/// Sums of lines of each kind, in Hong Kong dollars.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TotalsView {
    /// Of all deductions.
    pub deduction: String,
    /// Of all receipts.
    pub receipt: String,
    /// Of all tax to be withheld.
    pub withholding: String,
    /// Of all profits taxed at a lower rate.
    pub concession: String,
}

impl From<Totals> for TotalsView {
    fn from(totals: Totals) -> Self {
        let Totals { deduction, receipt, withholding, concession } = totals;
        let [deduction, receipt, withholding, concession] =
            [deduction, receipt, withholding, concession].map(|amount: Amount| amount.to_string());
        Self { deduction, receipt, withholding, concession }
    }
}
