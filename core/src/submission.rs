//! A submission: one signed statement with the documents that travel beside it, as it is sent to a registry.
//!
//! `POST /v1/statements` takes exactly this document; the client writes it, the service and offline tools read it.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::admission::{Code, Document, Rejection};
use crate::base64;
use crate::digest::Sha256Digest;
use crate::key::{KeyId, VerifyingKey};
use crate::manifest::{MANIFEST_SIZE_BYTES_MAX, Manifest};
use crate::sealed::{self, OPENINGS_MAX, Openings, Place};
use crate::statement::{ENTRY_BYTES_MAX, Envelope, Statement, WireEnvelope};
use crate::strict::{self, StrictError, present};

/// Most bytes of one attached document, decoded: the largest manifest.
pub const DOCUMENT_BYTES_MAX: usize = MANIFEST_SIZE_BYTES_MAX;

/// Most attached documents.
pub const DOCUMENTS_MAX: usize = 4;

/// Most bytes of a whole request: documents in base64 (4/3 of 32 MiB), the envelope, and some white space.
pub const REQUEST_BYTES_MAX: usize = DOCUMENT_BYTES_MAX / 3 * 4 + (1 << 20);

/// A statement that is well formed, with its documents; signatures are checked by [`Submission::verify`].
#[derive(Debug, Clone)]
pub struct Submission {
    /// The envelope as sent.
    pub envelope: Envelope,
    /// The bytes that would become the log entry.
    pub entry: Vec<u8>,
    /// What the payload says.
    pub statement: Statement,
    /// Documents at hand, by SHA-256.
    pub documents: BTreeMap<Sha256Digest, Vec<u8>>,
    /// Those of them that are manifests, parsed.
    pub manifests: BTreeMap<Sha256Digest, Manifest>,
    /// Openings of its sealed fields, where they were sent along.
    pub openings: Option<Openings>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSubmission {
    envelope: Value,
    #[serde(default)]
    documents: Vec<String>,
    #[serde(default, deserialize_with = "present")]
    openings: Option<Openings>,
}

/// The same, read in one go.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireRequest {
    envelope: WireEnvelope,
    #[serde(default)]
    documents: Vec<String>,
    #[serde(default, deserialize_with = "present")]
    openings: Option<Openings>,
}

impl Submission {
    /// Reads a request body.
    ///
    /// # Errors
    /// A [`Rejection`] that names the document and the place in it.
    pub fn parse(body: &[u8]) -> Result<Self, Rejection> {
        if body.len() > REQUEST_BYTES_MAX {
            let reason = format!("the request has more than {REQUEST_BYTES_MAX} bytes");
            return Err(Rejection::in_request(Code::DocumentsTooLarge, StrictError::new("", reason)));
        }
        if let Some(WireRequest { envelope, documents, openings }) = strict::quick(body)
            && let Ok(envelope) = Envelope::try_from(envelope)
            && documents.len() <= DOCUMENTS_MAX
            && let Some(documents) =
                documents.iter().map(|text| base64::decode(&BASE64, text).ok()).collect::<Option<Vec<Vec<u8>>>>()
        {
            return Self::assemble(envelope, documents)?.with_openings(openings);
        }
        // Something is wrong: what, and where.
        let malformed = |error| Rejection::in_request(Code::MalformedRequest, error);
        let wire: WireSubmission = strict::from_slice(body).map_err(malformed)?;
        if wire.documents.len() > DOCUMENTS_MAX {
            return Err(malformed(StrictError::new("/documents", format!("at most {DOCUMENTS_MAX} documents"))));
        }
        let envelope = Envelope::from_value(&wire.envelope)
            .map_err(|error| Rejection::in_request(Code::MalformedEnvelope, error.under("/envelope")))?;
        let mut documents = Vec::with_capacity(wire.documents.len());
        for (position, text) in wire.documents.iter().enumerate() {
            let place = format!("/documents/{position}");
            let bytes = base64::decode(&BASE64, text)
                .map_err(|error| malformed(StrictError::new(place.clone(), format!("not padded base64: {error}"))))?;
            documents.push(bytes);
        }
        Self::assemble(envelope, documents)?.with_openings(wire.openings)
    }

    /// Adds the openings of its sealed fields. Whether they are that is for [`Submission::check_openings`].
    ///
    /// # Errors
    /// A [`Rejection`] when there are more than [`OPENINGS_MAX`].
    pub fn with_openings(self, openings: Option<Openings>) -> Result<Self, Rejection> {
        if openings.as_ref().is_some_and(|openings| openings.fields.len() > OPENINGS_MAX) {
            let reason = format!("at most {OPENINGS_MAX} openings");
            return Err(Rejection::in_request(Code::MalformedRequest, StrictError::new("/openings/fields", reason)));
        }
        Ok(Self { openings, ..self })
    }

    /// Puts an envelope and its documents together.
    ///
    /// # Errors
    /// A [`Rejection`] that names the document and the place in it.
    pub fn assemble(envelope: Envelope, documents: Vec<Vec<u8>>) -> Result<Self, Rejection> {
        let entry = envelope.to_bytes();
        if entry.len() > ENTRY_BYTES_MAX {
            let reason = format!("the stored envelope would have {} bytes; at most {ENTRY_BYTES_MAX} fit", entry.len());
            return Err(Rejection::in_request(Code::EntryTooLarge, StrictError::new("/envelope", reason)));
        }
        let statement = Statement::parse(envelope.payload())?;
        let mut submission =
            Self { envelope, entry, statement, documents: BTreeMap::new(), manifests: BTreeMap::new(), openings: None };
        for (position, bytes) in documents.into_iter().enumerate() {
            submission.attach(position, bytes)?;
        }
        Ok(submission)
    }

    /// Adds a document that the statement names.
    ///
    /// # Errors
    /// A [`Rejection`] when it is too large, not named, or not what its place asks for.
    pub fn attach(&mut self, position: usize, bytes: Vec<u8>) -> Result<(), Rejection> {
        let refuse = |code, error| Rejection::new(code, Document::Attached(position), error);
        if bytes.len() > DOCUMENT_BYTES_MAX {
            let reason = format!("a document has at most {DOCUMENT_BYTES_MAX} bytes");
            return Err(refuse(Code::DocumentsTooLarge, StrictError::new("", reason)));
        }
        let digest = Sha256Digest::of(&bytes);
        if !self.statement.documents().contains(&digest) {
            let reason = format!("no part of the statement names a document with SHA-256 {digest}");
            return Err(refuse(Code::DocumentUnreferenced, StrictError::new("", reason)));
        }
        let manifest = Manifest::parse(&bytes).map_err(|error| refuse(Code::DocumentInvalid, error))?;
        self.manifests.insert(digest, manifest);
        self.documents.insert(digest, bytes);
        Ok(())
    }

    /// Digests of documents the statement names that are not at hand yet.
    pub fn missing_documents(&self) -> Vec<Sha256Digest> {
        self.statement.documents().into_iter().filter(|digest| !self.documents.contains_key(digest)).collect()
    }

    /// Checks that all documents are at hand and are what the claim says of them.
    ///
    /// # Errors
    /// A [`Rejection`] naming the digest or the place in the claim.
    pub fn check_documents(&self) -> Result<(), Rejection> {
        if let Some(digest) = self.missing_documents().first() {
            let reason = format!("the document with SHA-256 {digest} is needed; send it in base64 beside the envelope");
            return Err(Rejection::in_request(Code::DocumentMissing, StrictError::new("/documents", reason)));
        }
        self.statement
            .claim
            .kind()
            .check_documents(&self.manifests)
            .map_err(|error| Rejection::in_payload(Code::DocumentInvalid, error.under("/predicate/claim")))
    }

    /// Computes every commitment anew from the openings that came along: a value that nobody can open must not enter.
    ///
    /// # Errors
    /// A [`Rejection`] that names the opening and its field.
    pub fn check_openings(&self) -> Result<(), Rejection> {
        let (claim, kind) = (&self.statement.claim, self.statement.claim.kind());
        let place = Place::of(&self.statement.header, claim.predicate_type());
        sealed::check(&place, &kind.sealed_fields(), self.openings.as_ref())?;
        let Some(openings) = self.openings.as_ref().filter(|openings| !openings.fields.is_empty()) else {
            return Ok(());
        };
        let opened = kind.check_opened(&openings.fields);
        opened.map_err(|error| {
            let reason = format!("opened, the sealed values are not acceptable at {}: {}", error.pointer, error.reason);
            Rejection::in_request(Code::InvalidStatement, StrictError::new("/openings/fields", reason))
        })
    }

    /// Checks every signature; `find` gives the public key behind an id that the claim itself does not introduce.
    ///
    /// # Errors
    /// A [`Rejection`] naming the signature or the group of signers.
    pub fn verify<K: Into<VerifyingKey>>(&self, find: impl Fn(&KeyId) -> Option<K>) -> Result<(), Rejection> {
        self.envelope.verify(&self.statement.header, |id| self.own_key(id).or_else(|| find(id).map(Into::into)))
    }

    /// As [`Submission::verify`], while signatures may still be missing.
    ///
    /// # Errors
    /// A [`Rejection`] naming the signature.
    pub fn verify_signatures<K: Into<VerifyingKey>>(
        &self,
        find: impl Fn(&KeyId) -> Option<K>,
    ) -> Result<(), Rejection> {
        self.envelope
            .verify_signatures(&self.statement.header, |id| self.own_key(id).or_else(|| find(id).map(Into::into)))
    }

    fn own_key(&self, id: &KeyId) -> Option<VerifyingKey> {
        self.statement.claim.kind().own_keys().iter().find(|key| key.id() == *id).map(Into::into)
    }

    /// The request body to send.
    pub fn to_request(&self) -> Vec<u8> {
        let documents: Vec<String> =
            self.documents.values().map(|bytes| format!("\"{}\"", BASE64.encode(bytes))).collect();
        let mut body = b"{\"envelope\":".to_vec();
        body.extend_from_slice(&self.entry);
        body.extend_from_slice(format!(",\"documents\":[{}]", documents.join(",")).as_bytes());
        if let Some(openings) = self.openings.as_ref().and_then(|openings| strict::to_canonical(openings).ok()) {
            body.extend_from_slice(b",\"openings\":");
            body.extend_from_slice(&openings);
        }
        body.push(b'}');
        body
    }
}
