//! What the service answers, as far as this client reads it. Members it does not know are left alone, so that an older
//! client works with a newer service; nothing here is believed until it is proved (`crate::client::check`).

use std::collections::BTreeMap;

use chopmark_core::code::Jurisdiction;
use chopmark_core::compatibility::{LiveGrant, Node};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::key::{KeyId, PublicKey};
use chopmark_core::party::KeyRole;
use chopmark_core::statement::StatementId;
use chopmark_core::text::Names;
use serde::Deserialize;
use serde_json::Value;

/// `GET /v1/registry`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RegistryDescription {
    /// Origin of the log.
    pub(crate) origin: String,
    /// Leaf hash of entry 0.
    pub(crate) genesis: Sha256Digest,
    /// Verifier key of the log.
    pub(crate) log_key: String,
    /// The operator's party.
    #[serde(default)]
    pub(crate) operator: Option<StatementId>,
}

/// `GET /v1/parties/{id}`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PartyDescription {
    /// Whole id.
    pub(crate) party_id: StatementId,
    /// Self-declared names.
    pub(crate) name: Names,
    /// Where it is established; the operator's party states none.
    #[serde(default)]
    pub(crate) jurisdiction: Option<Jurisdiction>,
    /// How many keys must sign together.
    pub(crate) threshold: u32,
    /// Latest event of the key chain.
    pub(crate) key_head: StatementId,
    /// Number of that event.
    pub(crate) key_seq: u64,
    /// Entry by which the operator verified who it is, while that stands.
    #[serde(default)]
    pub(crate) verified_from: Option<u64>,
    /// Its keys, those that may no longer sign among them.
    pub(crate) keys: Vec<PartyKey>,
}

/// One key of a party.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PartyKey {
    /// SHA-256 of the public key.
    pub(crate) key_id: KeyId,
    /// The key.
    pub(crate) public_key: PublicKey,
    /// What it may sign.
    pub(crate) role: KeyRole,
    /// Entry from which on it may no longer sign.
    #[serde(default)]
    pub(crate) valid_until: Option<u64>,
}

/// The operator, in `GET /v1/registry`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct OperatorDescription {
    /// The operator's party.
    pub(crate) operator: StatementId,
}

/// What others say about an artefact, in `GET /v1/artefacts/{id}`; an older service says nothing.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct ArtefactSaid {
    /// Attestations and endorsements.
    #[serde(default)]
    pub(crate) about: AboutDescription,
}

/// The first of what others say about something, as far as it is counted here.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct AboutDescription {
    /// What somebody checked.
    pub(crate) attestations: Vec<Value>,
    /// Whether there are more.
    pub(crate) more_attestations: bool,
    /// Who signs it too.
    pub(crate) endorsements: Vec<Value>,
    /// Whether there are more.
    pub(crate) more_endorsements: bool,
}

/// `GET /v1/terms/{id}`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TermsDescription {
    /// Who published them.
    pub(crate) published_by: Vec<PublicationDescription>,
}

/// A publication of terms.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PublicationDescription {
    /// The party.
    pub(crate) party: StatementId,
    /// The statement.
    pub(crate) statement_id: StatementId,
}

/// `GET /v1/licences/{id}`, as far as a next event needs it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LicenceDescription {
    /// How many events it has.
    pub(crate) event_seq: u64,
    /// The latest, or the grant.
    pub(crate) event_head: StatementId,
    /// What happened to it, in order.
    pub(crate) events: Vec<EventDescription>,
}

/// Something that happened to a licence.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct EventDescription {
    /// The statement.
    pub(crate) statement_id: StatementId,
}

/// `GET /v1/licences`, as far as which there are.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LicenceIds {
    /// Licences.
    pub(crate) licences: Vec<LicenceId>,
    /// Cursor of the next page.
    #[serde(default)]
    pub(crate) next: Option<String>,
}

/// A licence, as far as which it is.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LicenceId {
    /// Whole id.
    pub(crate) licence_id: StatementId,
}

/// `GET /v1/licences`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LicencePage {
    /// Entries that the list takes into account.
    pub(crate) applied_size: u64,
    /// Licences, as the service describes them.
    pub(crate) licences: Vec<Value>,
    /// Cursor of the next page.
    #[serde(default)]
    pub(crate) next: Option<String>,
}

/// `GET /v1/offers`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct OfferPage {
    /// Entries that the list takes into account.
    pub(crate) applied_size: u64,
    /// Offers, as the service describes them.
    pub(crate) offers: Vec<Value>,
    /// Cursor of the next page.
    #[serde(default)]
    pub(crate) next: Option<String>,
}

/// `GET /v1/artefacts/{id}/ancestry`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AncestryDescription {
    /// The artefact and its ancestors by id.
    pub(crate) ancestors: BTreeMap<String, Node>,
    /// Grants that keep others out.
    pub(crate) grants: Vec<LiveGrant>,
}

/// One page of a search: `GET /v1/artefacts` or `/v1/parties`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct SearchPage {
    /// Entries that the search takes into account.
    pub(crate) applied_size: u64,
    /// Artefacts, as the service describes them.
    #[serde(default)]
    pub(crate) artefacts: Vec<Value>,
    /// Parties, likewise.
    #[serde(default)]
    pub(crate) parties: Vec<Value>,
    /// Cursor of the next page.
    #[serde(default)]
    pub(crate) next: Option<String>,
}

/// Answer to a submission: where the statement is, and the proof.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Receipt {
    /// Whole id.
    pub(crate) statement_id: StatementId,
    /// Position in the log.
    pub(crate) index: u64,
    /// When the service says it took the statement in.
    pub(crate) recorded_at: String,
    /// Leaf hash of the entry.
    pub(crate) leaf_hash: Sha256Digest,
    /// Size of the log in the checkpoint.
    pub(crate) size: u64,
    /// Inclusion path, each hash in base64.
    pub(crate) path: Vec<String>,
    /// The signed checkpoint.
    pub(crate) checkpoint: String,
    /// The same as a C2SP tlog-proof.
    pub(crate) proof: String,
    /// The statement was there before, with other signatures.
    #[serde(default)]
    pub(crate) signatures_differ: bool,
}

/// `GET /v1/statements/{id}`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct StatementRecord {
    /// The stored envelope.
    pub(crate) envelope: Value,
    /// Of an asset, a payment or a use: its latest correction, or itself.
    #[serde(default)]
    pub(crate) head: Option<StatementId>,
}

/// `GET /v1/payments`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PaymentRecords {
    /// Those on record.
    pub(crate) payments: Vec<PaymentRecord>,
}

/// A payment that is on record.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct PaymentRecord {
    /// Digest of payer, payee and document.
    pub(crate) subject: Sha256Digest,
    /// The statement that entered it.
    pub(crate) statement_id: StatementId,
    /// Its latest correction, or itself.
    pub(crate) head: StatementId,
}

/// `GET /v1/parties?brn=`, as far as which they are.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PartyIds {
    /// Those found.
    pub(crate) parties: Vec<PartyDescription>,
}

/// One artefact that the service knows.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ArtefactDescription {
    /// Whole id.
    pub(crate) artefact_id: StatementId,
    /// Position in the log.
    pub(crate) index: u64,
}

/// `GET /v1/artefacts?digest=`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ArtefactList {
    /// Those that hold the digest.
    pub(crate) artefacts: Vec<ArtefactDescription>,
}

/// A problem document (RFC 9457) with this service's extensions. Read leniently: it explains a failure, and a proxy
/// may have written it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Problem {
    /// HTTP status.
    pub(crate) status: u16,
    /// Stable code.
    pub(crate) code: Option<String>,
    /// What is wrong.
    pub(crate) detail: Option<String>,
    /// Document the pointer leads into.
    pub(crate) document: Option<String>,
    /// JSON pointer.
    pub(crate) pointer: Option<String>,
    /// The statement that stands in the way.
    pub(crate) existing: Option<String>,
}

impl Problem {
    /// Reads what a body offers.
    pub(crate) fn read(status: u16, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let member = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            status,
            code: member("code"),
            detail: member("detail").or_else(|| member("title")),
            document: member("document"),
            pointer: member("pointer").filter(|pointer| !pointer.is_empty()),
            existing: member("existing"),
        }
    }

    /// One sentence with everything a person needs to find the fault.
    pub(crate) fn message(&self) -> String {
        let detail = self.detail.as_deref().unwrap_or("the service gave no reason");
        let place = match (&self.document, &self.pointer) {
            (Some(document), Some(pointer)) => format!(" (at {pointer} of the {document})"),
            (Some(document), None) => format!(" (in the {document})"),
            (None, Some(pointer)) => format!(" (at {pointer})"),
            (None, None) => String::new(),
        };
        let existing = self.existing.as_ref().map(|id| format!("; it is {id}")).unwrap_or_default();
        format!("the service refused ({}): {detail}{place}{existing}", self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_shows_code_document_and_pointer() {
        let body =
            br#"{"type":"about:blank","title":"Conflict","status":409,"detail":"was there","code":"already_registered",
            "document":"payload","pointer":"/predicate/claim/version","existing":"ab"}"#;
        let problem = Problem::read(409, body);
        assert_eq!(problem.code.as_deref(), Some("already_registered"));
        assert_eq!(
            problem.message(),
            "the service refused (409): was there (at /predicate/claim/version of the payload); it is ab"
        );
    }

    #[test]
    fn any_other_body_is_no_obstacle() {
        for body in [&b"<html>"[..], b"", b"[1]", br#"{"code":3}"#] {
            let problem = Problem::read(502, body);
            assert_eq!((problem.status, problem.code.as_deref()), (502, None));
            assert!(problem.message().contains("502"));
        }
    }
}
