//! What only those may ask who show a token: openings, and who has read them.

use chopmark_core::digest::Sha256Digest;
use chopmark_core::key::KeyId;
use chopmark_core::statement::StatementId;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use ureq::Body;
use ureq::http::Response;
use zeroize::Zeroizing;

use super::Client;
use crate::exit::Failure;

/// `POST /v1/challenges`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Challenge {
    /// To be signed.
    pub(crate) challenge: String,
    /// Until when.
    pub(crate) expires_at: String,
}

/// A signed challenge.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Login {
    /// The party to act for.
    pub(crate) party: StatementId,
    /// The challenge.
    pub(crate) challenge: String,
    /// The key that has signed.
    pub(crate) key_id: KeyId,
    /// Its signature, base64.
    pub(crate) signature: String,
}

/// `POST /v1/tokens`.
#[derive(Clone, Deserialize)]
pub(crate) struct LoggedIn {
    /// The token.
    #[serde(deserialize_with = "secret")]
    pub(crate) token: Zeroizing<String>,
    /// Its id.
    pub(crate) id: String,
    /// Until when it is good.
    pub(crate) expires_at: String,
    /// What for.
    pub(crate) scopes: Vec<String>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(deserializer).map(Zeroizing::new)
}

/// What a token is shown in.
pub(super) fn bearer(token: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("Bearer {token}"))
}

/// `GET /v1/statements/{id}/openings`.
#[derive(Clone, Deserialize)]
pub(crate) struct OpeningsRecord {
    /// The statement.
    pub(crate) statement_id: StatementId,
    /// Its sealed fields, opened or erased.
    pub(crate) fields: Vec<Value>,
}

/// `GET /v1/accesses`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AccessPage {
    /// Records in the log.
    pub(crate) size: u64,
    /// Those shown: `index`, `leaf_hash`, `record`.
    pub(crate) accesses: Vec<Value>,
    /// Cursor of the next page.
    #[serde(default)]
    pub(crate) next: Option<String>,
}

/// `GET /v1/accesses/inclusion/…` and `/consistency/…`.
#[derive(Debug, Clone, Deserialize)]
struct AccessProof {
    /// The hashes.
    path: Vec<Sha256Digest>,
}

impl Client {
    /// A challenge to sign.
    ///
    /// # Errors
    /// A network or service failure; a usage failure where the token could be read on its way back.
    pub(crate) fn challenge(&self) -> Result<Challenge, Failure> {
        self.check_confidential("a login")?;
        let url = format!("{}/v1/challenges", self.base);
        let response = self.patiently(|| self.agent.post(&url).send_empty())?;
        self.read_json(response)
    }

    /// A token for a signed challenge.
    ///
    /// # Errors
    /// An authorisation failure; a network or service failure.
    pub(crate) fn log_in(&self, login: &Login) -> Result<LoggedIn, Failure> {
        self.check_confidential("a login")?;
        let url = format!("{}/v1/tokens", self.base);
        let body = serde_json::to_vec(login).map_err(|error| Failure::internal(error.to_string()))?;
        let response =
            self.patiently(|| self.agent.post(&url).content_type("application/json").send(body.as_slice()))?;
        self.read_json(response)
    }

    /// The openings of a statement's sealed fields; the registry records that they were read.
    ///
    /// # Errors
    /// An authorisation failure; a network or service failure.
    pub(crate) fn openings(&self, id: &StatementId, query: &str, token: &str) -> Result<OpeningsRecord, Failure> {
        let openings: OpeningsRecord = self.get_as(&format!("/v1/statements/{id}/openings{query}"), token)?;
        super::same(&chopmark_core::statement::IdReference::Full(*id), openings.statement_id)?;
        Ok(openings)
    }

    /// One page of the access log.
    ///
    /// # Errors
    /// An authorisation failure; a network or service failure.
    pub(crate) fn accesses(&self, query: &str, token: &str) -> Result<AccessPage, Failure> {
        self.get_as(&format!("/v1/accesses{query}"), token)
    }

    /// The hashes that prove a record in an access log of `size` records.
    ///
    /// # Errors
    /// A network or service failure.
    pub(crate) fn access_inclusion(&self, size: u64, index: u64) -> Result<Vec<Sha256Digest>, Failure> {
        let proof: AccessProof = self.get_json(&format!("/v1/accesses/inclusion/{size}/{index}"))?;
        Ok(proof.path)
    }

    /// The hashes that prove that an access log of `new` records begins with one of `old`.
    ///
    /// # Errors
    /// A network or service failure.
    pub(crate) fn access_consistency(&self, old: u64, new: u64) -> Result<Vec<Sha256Digest>, Failure> {
        let proof: AccessProof = self.get_json(&format!("/v1/accesses/consistency/{old}/{new}"))?;
        Ok(proof.path)
    }

    fn get_as<T: serde::de::DeserializeOwned>(&self, path: &str, token: &str) -> Result<T, Failure> {
        let response = self.get_with(path, token)?;
        self.read_json(response)
    }

    /// Asks for what a token opens.
    pub(super) fn get_with(&self, path: &str, token: &str) -> Result<Response<Body>, Failure> {
        self.check_confidential("a token")?;
        let (url, bearer) = (format!("{}{path}", self.base), bearer(token));
        self.patiently(|| self.agent.get(&url).header("Authorization", bearer.as_str()).call())
    }
}
