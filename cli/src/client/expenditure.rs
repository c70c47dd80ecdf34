//! What expenditure needs of a service: who has a number, which version is the latest, and reports, for which a token is needed.

use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::report::REPORT_BYTES_MAX;
use chopmark_core::statement::StatementId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Client;
use super::sealed::bearer;
use super::wire::{PartyIds, PaymentRecord, PaymentRecords, StatementRecord};
use crate::exit::{Exit, Failure};
use crate::units;

/// How long a service is left alone that is at work and does not say how long it needs, in seconds.
const WAIT_SECONDS: u64 = 1;

/// Longest such pause, in seconds.
const WAIT_SECONDS_MAX: u64 = 15;

/// Most payments that a service is asked about at a time.
const PAYMENTS_MAX: usize = 100;

/// Largest signature over an export, in bytes.
const SIGNATURE_BYTES_MAX: u64 = 64 << 10;

/// `POST /v1/reports/ip-expenditure`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ReportRequest {
    /// What is asked.
    pub(crate) query: Value,
    /// Of which size of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
    /// Why an officer asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) case_reference: Option<String>,
    /// And what for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) purpose: Option<String>,
}

/// A report that is there.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Made {
    /// SHA-256 of its bytes.
    pub(crate) id: Sha256Digest,
    /// Entries of the log it is of.
    pub(crate) size: u64,
    /// Digest of the openings it read.
    pub(crate) openings_digest: Sha256Digest,
}

/// How far a report is.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Working {
    /// What is being done.
    pub(crate) stage: String,
    /// Entries it rests on, once that is known.
    #[serde(default)]
    pub(crate) entries: Option<u64>,
}

/// What comes of asking.
#[derive(Debug)]
pub(crate) enum Asked {
    /// It is there.
    Made(Made),
    /// It is being made; to be asked again after so many seconds.
    Working(Working, u64),
}

impl Client {
    /// The party that says this Business Registration Number is its own.
    ///
    /// # Errors
    /// A failure when there is none, or more than one; a network or service failure.
    pub(crate) fn party_with_brn(&self, brn: &str) -> Result<StatementId, Failure> {
        let found: PartyIds = self.get_json(&format!("/v1/parties?brn={brn}"))?;
        match found.parties.as_slice() {
            [only] => Ok(only.party_id),
            [] => {
                let message = format!("no party here says that {brn} is its Business Registration Number");
                Err(Failure::new(Exit::NotRegistered, "not_found", message))
            }
            several => {
                let ids: Vec<String> = several.iter().map(|party| party.party_id.shown("pty").to_string()).collect();
                let message = format!("{brn} is claimed by several parties; name one by its id: {}", ids.join(", "));
                Err(Failure::new(Exit::Usage, "taxpayer_ambiguous", message))
            }
        }
    }

    /// Which of these payments are on record.
    ///
    /// # Errors
    /// A network or service failure.
    pub(crate) fn payments(&self, subjects: &[Sha256Digest]) -> Result<Vec<PaymentRecord>, Failure> {
        let mut found = Vec::new();
        for subjects in subjects.chunks(PAYMENTS_MAX) {
            let subjects: Vec<String> = subjects.iter().map(ToString::to_string).collect();
            let records: PaymentRecords = self.get_json(&format!("/v1/payments?subject={}", subjects.join(",")))?;
            found.extend(records.payments);
        }
        Ok(found)
    }

    /// The latest correction of an asset, a payment or a use, or itself.
    ///
    /// # Errors
    /// A network or service failure; a usage failure when it is something else.
    pub(crate) fn correction_head(&self, id: &StatementId) -> Result<StatementId, Failure> {
        let record: StatementRecord = self.get_json(&format!("/v1/statements/{id}"))?;
        record.head.ok_or_else(|| Failure::usage(format!("{id} is no asset, payment or use that can be corrected")))
    }

    /// Asks for a report. The same question again asks how far it is.
    ///
    /// # Errors
    /// A network or service failure.
    pub(crate) fn ask_for_report(&self, request: &ReportRequest, token: &str) -> Result<Asked, Failure> {
        self.check_confidential("a token")?;
        let body = serde_json::to_vec(request).map_err(|error| Failure::internal(error.to_string()))?;
        let (url, bearer) = (format!("{}/v1/reports/ip-expenditure", self.base), bearer(token));
        let response = self.patiently(|| {
            let request = self.agent.post(&url).header("Authorization", bearer.as_str());
            request.content_type("application/json").send(body.as_slice())
        })?;
        if response.status().as_u16() != 202 {
            return self.read_json(response).map(Asked::Made);
        }
        let wait = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let wait: u64 = wait.unwrap_or(WAIT_SECONDS);
        Ok(Asked::Working(self.read_json(response)?, wait.clamp(WAIT_SECONDS, WAIT_SECONDS_MAX)))
    }

    /// The bytes of a report, or of something that belongs to it; `rest` begins after its id.
    ///
    /// # Errors
    /// A network or service failure.
    pub(crate) fn report_bytes(&self, id: &Sha256Digest, rest: &str, token: &str) -> Result<Vec<u8>, Failure> {
        self.bytes_as(&format!("/v1/reports/{id}{rest}"), token, units::length(REPORT_BYTES_MAX))
    }

    /// The signature over an export.
    ///
    /// # Errors
    /// A network or service failure.
    pub(crate) fn export_signature(&self, id: &Sha256Digest, query: &str, token: &str) -> Result<Vec<u8>, Failure> {
        self.bytes_as(&format!("/v1/reports/{id}/export/signature{query}"), token, SIGNATURE_BYTES_MAX)
    }

    fn bytes_as(&self, path: &str, token: &str, limit_bytes: u64) -> Result<Vec<u8>, Failure> {
        let response = self.get_with(path, token)?;
        self.read(response, limit_bytes)
    }
}
