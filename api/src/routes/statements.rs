//! Statements: the one way in, and what is known of one that is in.

use std::sync::Arc;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use chopmark_core::admission::{Code, Rejection, View};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::kind::Claim;
use chopmark_core::ledger::proof::TlogProof;
use chopmark_core::ledger::tree::leaf_hash;
use chopmark_core::statement::{Envelope, IdReference, StatementId};
use chopmark_core::strict::StrictError;
use chopmark_core::submission::{REQUEST_BYTES_MAX, Submission};
use chopmark_core::terms::period::Date;
use chopmark_core::terms::vocabulary::{Language, Vocabulary as _};
use chopmark_core::terms::words::Words;
use chopmark_core::time::Timestamp;
use chopmark_store::{Candidate, Outcome, Registry, StoreError, StoredEntry, StoredLeaf};
use data_encoding::BASE64;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::{current, id_in_path, revalidated};
use crate::bodies::Body;
use crate::guard::Guard;
use crate::limits::Allowance;
use crate::problem::{ApiError, BadParameter, Missing, NotNow, Problem, Unchanged, internal};
use crate::publisher::Published;
use crate::sequencer::Held;
use crate::service::Service;

/// Requests up to this size are parsed where they arrive; larger ones would hold up the worker's other clients.
const PARSE_INLINE_BYTES_MAX: usize = 64 << 10;

/// Proof that the log holds a statement.
#[derive(Debug, Serialize, ToSchema)]
pub struct Receipt {
    /// SHA-256 of the signed payload, 64 hexadecimal characters.
    pub statement_id: String,
    /// The same, short, for people.
    pub id: String,
    /// Kind of statement.
    pub kind: String,
    /// Position in the log, from 0.
    pub index: u64,
    /// The operator's clock when the entry was made (a claim, not evidence of time).
    pub recorded_at: String,
    /// RFC 6962 leaf hash of the stored envelope, hexadecimal.
    pub leaf_hash: String,
    /// Entries covered by the checkpoint.
    pub size: u64,
    /// Inclusion path, sibling of the leaf first, padded base64.
    pub path: Vec<String>,
    /// Signed checkpoint (C2SP signed-note).
    pub checkpoint: String,
    /// The whole proof as a C2SP tlog-proof text.
    pub proof: String,
    /// Whether the log holds this statement with other signatures than the ones just sent.
    pub signatures_differ: bool,
}

/// A statement in the log.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatementView {
    /// SHA-256 of the signed payload, 64 hexadecimal characters.
    pub statement_id: String,
    /// The same, short, for people.
    pub id: String,
    /// Kind of statement.
    pub kind: String,
    /// The party that made it, 64 hexadecimal characters.
    pub issuer: String,
    /// Position in the log, from 0.
    pub index: u64,
    /// The operator's clock when the entry was made.
    pub recorded_at: String,
    /// The DSSE envelope exactly as the log holds it.
    #[schema(value_type = Object)]
    pub envelope: Value,
    /// The signed payload, decoded: an in-toto Statement v1.
    #[schema(value_type = Object)]
    pub statement: Value,
    /// Of an asset, a payment or a use: its latest correction, or itself; 64 hexadecimal characters. A correction follows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
}

/// What is sent to register anything: one signed statement and the documents it names.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the request for the OpenAPI document; chopmark-core parses it")]
pub struct SubmissionRequest {
    /// DSSE envelope; payload type `application/vnd.in-toto+json`.
    envelope: EnvelopeSchema,
    /// Documents the statement names (manifests), each in padded base64, 32 MiB at most.
    #[schema(required = false, max_items = 4)]
    documents: Vec<String>,
    /// Openings of its sealed fields, one for each; they never enter the log.
    #[schema(required = false)]
    openings: OpeningsSchema,
}

/// Openings of sealed fields.
#[derive(Debug, ToSchema)]
#[schema(as = Openings)]
#[expect(dead_code, reason = "describes the request for the OpenAPI document; chopmark-core parses it")]
pub struct OpeningsSchema {
    /// Where they may be kept: `HK`, `CN-GBA`, `CN` or `WORLD`.
    zone: String,
    /// None when the vault of that zone keeps them, and this one does not serve it.
    #[schema(max_items = 512)]
    fields: Vec<OpeningSchema>,
}

/// One sealed field, opened.
#[derive(Debug, ToSchema)]
#[schema(as = Opening)]
#[expect(dead_code, reason = "describes the request for the OpenAPI document; chopmark-core parses it")]
pub struct OpeningSchema {
    /// JSON pointer, such as `/consideration/0/amount`.
    field: String,
    /// 32 random bytes in padded base64.
    salt: String,
    /// Its value; absent when the field is.
    #[schema(required = false, value_type = Value)]
    value: Value,
}

/// A DSSE envelope.
#[derive(Debug, ToSchema)]
#[schema(as = Envelope)]
#[expect(dead_code, reason = "describes the request for the OpenAPI document; chopmark-core parses it")]
pub struct EnvelopeSchema {
    /// `application/vnd.in-toto+json`.
    #[schema(rename = "payloadType")]
    payload_type: String,
    /// The signed bytes, base64.
    payload: String,
    /// 1 to 64 signatures.
    #[schema(min_items = 1, max_items = 64)]
    signatures: Vec<SignatureSchema>,
}

/// One signature.
#[derive(Debug, ToSchema)]
#[schema(as = Signature)]
#[expect(dead_code, reason = "describes the request for the OpenAPI document; chopmark-core parses it")]
pub struct SignatureSchema {
    /// SHA-256 of the public key, 64 hexadecimal characters.
    keyid: String,
    /// Ed25519 over the DSSE pre-authentication encoding, base64.
    sig: String,
}

/// Enter a statement into the log.
#[utoipa::path(
    operation_id = "submitStatement",
    tag = "statements",
    request_body(content = SubmissionRequest, content_type = "application/json"),
    responses(
        (status = 201, description = "Entered; the proof is complete", body = Receipt,
            headers(("Location" = String, description = "The statement"))),
        (status = 200, description = "The log already holds this very statement", body = Receipt,
            headers(("Location" = String, description = "The statement"))),
        (status = 400, description = "Not readable", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "Not signed by whoever must sign", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The request took too long to arrive", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Contradicts what is registered", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Not a statement this registry admits", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Overloaded, read-only or stopping", body = Problem, content_type = "application/problem+json"),
    )
)]
#[post("/v1/statements")]
pub async fn submit(
    service: web::Data<Service>,
    guard: web::Data<Guard>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (submission, held) = admissible(&service, &guard, &request, payload).await?;
    refuse_conflict(&service, &submission).await?;
    if cfg!(feature = "control-acknowledge-before-commit") {
        return Ok(control_acknowledgement(&service, submission, held));
    }

    let id = submission.statement.id;
    let (prefix, kind) = (submission.statement.claim.id_prefix(), submission.statement.claim.name());
    let leaf_hash = leaf_hash(&submission.entry);
    let has_openings = submission.openings.as_ref().is_some_and(|openings| !openings.fields.is_empty());
    let (status, entered, signatures_differ) = match service.queue.submit(submission, held).await? {
        Outcome::Appended { index, recorded_at } => {
            (StatusCode::CREATED, Entered { statement_id: id, index, recorded_at, leaf_hash }, false)
        }
        Outcome::Existing { signatures_differ, .. } => {
            if has_openings {
                service.summaries.forget();
            }
            let leaf = service.leaf(&IdReference::Full(id)).await?.ok_or_else(no_statement)?;
            (StatusCode::OK, Entered::from(&leaf), signatures_differ)
        }
        Outcome::Rejected(rejection) => return Err(rejection.into()),
    };
    let published = service.published_beyond(entered.index).await?;
    let proof = service.receipt(&published, entered.index).await?;
    let receipt = receipt(&entered, prefix, kind, &published, &proof, signatures_differ);
    Ok(HttpResponse::build(status)
        .insert_header((header::LOCATION, format!("/v1/statements/{id}")))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(receipt))
}

/// Reads a request and checks all that the state of the registry does not decide. What comes with the statement is to be held
/// until it is judged.
///
/// # Errors
/// An [`ApiError`] that says what is wrong with the request, or that there is no room for it now.
pub async fn admissible(
    service: &Service,
    guard: &Guard,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(Submission, Held), ApiError> {
    let body = guard.bodies.read(request, payload, REQUEST_BYTES_MAX).await?;
    let (mut submission, share) = parse(body).await?;
    service.refuse_when_halted()?;
    let stored = submission.missing_documents();
    for digest in &stored {
        if let Some(bytes) = service.store.document(digest).await? {
            submission.attach(0, bytes)?;
        }
    }
    submission.check_documents()?;
    crate::sealed::check(service, &submission).await?;
    let keys = service.keys_for(&submission).await?;
    submission.verify(|id| keys.get(id).cloned())?;
    let allowance = count_keys(service, guard, &submission).await?;
    crate::sealed::check_erasure(service, &submission).await?;
    // What the log holds needs not wait along, in memory that no body has a share of.
    for digest in &stored {
        submission.documents.remove(digest);
        submission.manifests.remove(digest);
    }
    Ok((submission, Held { share, allowance }))
}

/// What was made from other things under a licence that conflicts with theirs is entered only if its owner says that it
/// is to be. The verdict itself is recorded when the entry is followed. What is entered already is not judged by what has
/// been registered since: the same statement again is answered with its entry.
async fn refuse_conflict(service: &Service, submission: &Submission) -> Result<(), ApiError> {
    let Claim::Artefact(claim) = &submission.statement.claim else { return Ok(()) };
    if claim.parents.is_empty() || claim.accepts_conflict {
        return Ok(());
    }
    let candidate = Candidate::of(&submission.statement.id, submission.statement.issuer(), claim);
    let today = Date::in_hong_kong(Timestamp::from(chrono::Utc::now()));
    let verdict = service.store.inputs(&candidate, service.searchable_size().await?, today).await?.judge();
    let Some(first) = verdict.conflicts.first() else { return Ok(()) };
    if service.store.entry_by_id(&IdReference::Full(submission.statement.id)).await?.is_some() {
        return Ok(());
    }
    let words = Words::of(Language::English);
    let reason = format!(
        "{} of {}: {} (one of {} in all); license it otherwise, or state that you accept the conflict",
        first.code.as_str(),
        first.parent,
        first.words(&words),
        verdict.conflicts.len()
    );
    let place = StrictError::new("/predicate/claim/licence", reason);
    Err(Rejection::in_payload(Code::LicenceConflict, place).into())
}

/// Counts what is new against the keys that have signed it. What is for another registry, or too late, anybody may have
/// found anywhere: it is refused here, before it counts.
async fn count_keys(service: &Service, guard: &Guard, submission: &Submission) -> Result<Option<Allowance>, ApiError> {
    let id = IdReference::Full(submission.statement.id);
    if !guard.limits.counts_keys() || service.store.entry_by_id(&id).await?.is_some() {
        return Ok(None);
    }
    let Registry { reference, operator, .. } = &service.registry;
    let view = View::new(0, Some(reference.clone()), Some(*operator));
    view.check_place_and_time(&submission.statement, Timestamp::from(chrono::Utc::now()))?;
    let keys: Vec<_> = submission.envelope.signatures().iter().map(|signature| signature.key_id).collect();
    guard.limits.count_keys(&keys)
}

/// What the fault harness must find out: an acknowledgement of what is not committed, and so can't be proved.
fn control_acknowledgement(service: &Service, submission: Submission, held: Held) -> HttpResponse {
    let (queue, id) = (service.queue.clone(), submission.statement.id);
    tokio::spawn(async move { queue.submit(submission, held).await.is_ok() });
    HttpResponse::Created().json(serde_json::json!({ "statement_id": id.to_hex() }))
}

/// Parses a body. Its share stays with whatever is made of it, for the client may go while that takes memory.
async fn parse(Body { bytes, share }: Body) -> Result<(Submission, Option<OwnedSemaphorePermit>), ApiError> {
    if bytes.len() <= PARSE_INLINE_BYTES_MAX {
        return Ok((Submission::parse(&bytes)?, share));
    }
    let (answer, parsed) = tokio::sync::oneshot::channel();
    rayon::spawn(move || {
        // The client may be gone; then nobody waits for this.
        let _ = answer.send((Submission::parse(&bytes), share));
    });
    let (submission, share) = parsed.await.map_err(|error| internal(&error))?;
    Ok((submission?, share))
}

/// The entry of a statement.
///
/// # Errors
/// 404 when the log holds none.
pub async fn entry_of(service: &Service, id: &IdReference) -> Result<StoredEntry, ApiError> {
    let entry = service.store.entry_by_id(id).await?;
    entry.ok_or_else(no_statement)
}

fn no_statement() -> ApiError {
    ApiError::not_found("the log holds no statement with this id")
}

/// The entry a path names and a published state that covers it.
pub(super) async fn published_entry(service: &Service, id: &str) -> Result<(StoredEntry, Arc<Published>), ApiError> {
    let entry = entry_of(service, &id_in_path(id)?).await?;
    let published = covering(service, entry.index).await?;
    Ok((entry, published))
}

/// The leaf of the statement a path names, and a published state that covers it.
async fn published_leaf(service: &Service, id: &str) -> Result<(StoredLeaf, Arc<Published>), ApiError> {
    let leaf = service.leaf(&id_in_path(id)?).await?.ok_or_else(no_statement)?;
    let published = covering(service, leaf.index).await?;
    Ok((leaf, published))
}

async fn covering(service: &Service, index: u64) -> Result<Arc<Published>, ApiError> {
    let published = service.published()?;
    if index < published.size { Ok(published) } else { service.published_beyond(index).await }
}

/// A stored entry, read.
///
/// # Errors
/// When it is none.
pub fn parse_entry(entry: &StoredEntry) -> Result<Submission, ApiError> {
    let damaged = |reason: String| StoreError::Damaged { place: format!("log.entry {}", entry.index), reason };
    let envelope = Envelope::parse(&entry.body).map_err(|error| damaged(error.to_string()))?;
    Ok(Submission::assemble(envelope, Vec::new()).map_err(|error| damaged(error.to_string()))?)
}

/// What a receipt says of an entry.
struct Entered {
    statement_id: StatementId,
    index: u64,
    recorded_at: Timestamp,
    leaf_hash: Sha256Digest,
}

impl From<&StoredLeaf> for Entered {
    fn from(leaf: &StoredLeaf) -> Self {
        Self {
            statement_id: leaf.statement_id,
            index: leaf.index,
            recorded_at: leaf.recorded_at,
            leaf_hash: leaf.leaf_hash,
        }
    }
}

fn receipt(
    entry: &Entered,
    prefix: &str,
    kind: &str,
    published: &Published,
    proof: &TlogProof,
    signatures_differ: bool,
) -> Receipt {
    Receipt {
        statement_id: entry.statement_id.to_hex(),
        id: entry.statement_id.shown(prefix).to_string(),
        kind: kind.to_owned(),
        index: entry.index,
        recorded_at: entry.recorded_at.to_string(),
        leaf_hash: entry.leaf_hash.to_hex(),
        size: published.size,
        path: proof.path().iter().map(|hash| BASE64.encode(hash.as_bytes())).collect(),
        checkpoint: published.note.clone(),
        proof: proof.to_string(),
        signatures_differ,
    }
}

/// A statement by id.
#[utoipa::path(
    operation_id = "getStatement",
    tag = "statements",
    params(("id" = String, Path, pattern = "^([0-9a-f]{64}|[a-z]{2,4}_[a-z2-7]{20})$",
        description = "64 hexadecimal characters, or a shown id such as `art_…`")),
    responses(
        (status = 200, description = "The statement", body = StatementView),
        Unchanged,
        BadParameter,
        Missing,
        NotNow,
    )
)]
#[get("/v1/statements/{id}")]
pub async fn show(service: web::Data<Service>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let (entry, _) = published_entry(&service, &id).await?;
    let submission = parse_entry(&entry)?;
    let statement = &submission.statement;
    let head = match &statement.claim {
        Claim::Asset(_) | Claim::Expenditure(_) | Claim::Use(_) => service.store.correction_head(&statement.id).await?,
        _ => None,
    };
    revalidated(&StatementView {
        statement_id: statement.id.to_hex(),
        id: statement.id.shown(statement.claim.id_prefix()).to_string(),
        kind: statement.claim.name().to_owned(),
        issuer: statement.issuer().to_hex(),
        index: entry.index,
        recorded_at: entry.recorded_at.to_string(),
        envelope: serde_json::from_slice(&entry.body).map_err(|error| internal(&error))?,
        statement: serde_json::from_slice(submission.envelope.payload()).map_err(|error| internal(&error))?,
        head: head.map(|head| head.to_hex()),
    })
}

/// Proof that the log holds a statement, at the newest checkpoint.
#[utoipa::path(
    operation_id = "getReceipt",
    tag = "statements",
    params(("id" = String, Path, pattern = "^([0-9a-f]{64}|[a-z]{2,4}_[a-z2-7]{20})$",
        description = "64 hexadecimal characters, or a shown id such as `art_…`")),
    responses(
        (status = 200, description = "The proof", body = Receipt),
        BadParameter,
        Missing,
        NotNow,
    )
)]
#[get("/v1/statements/{id}/receipt")]
pub async fn show_receipt(service: web::Data<Service>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let (leaf, published) = published_leaf(&service, &id).await?;
    let prefix = Claim::id_prefix_of(&leaf.kind).ok_or_else(|| StoreError::Damaged {
        place: format!("log.entry {}", leaf.index),
        reason: format!("kind is {:?}", leaf.kind),
    })?;
    let proof = service.receipt(&published, leaf.index).await?;
    current(&receipt(&Entered::from(&leaf), prefix, &leaf.kind, &published, &proof, false))
}

/// The same proof as a C2SP tlog-proof file.
#[utoipa::path(
    operation_id = "getTlogProof",
    tag = "statements",
    params(("id" = String, Path, pattern = "^([0-9a-f]{64}|[a-z]{2,4}_[a-z2-7]{20})$",
        description = "64 hexadecimal characters, or a shown id such as `art_…`")),
    responses(
        (status = 200, description = "The proof", body = String, content_type = "text/plain"),
        BadParameter,
        Missing,
        NotNow,
    )
)]
#[get("/v1/statements/{id}/receipt.tlog-proof")]
pub async fn show_tlog_proof(service: web::Data<Service>, id: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let (leaf, published) = published_leaf(&service, &id).await?;
    let proof = service.receipt(&published, leaf.index).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(proof.to_string()))
}

/// The statement behind an id of either form, when there is exactly one.
pub async fn resolve(service: &Service, id: &str) -> Result<StatementId, ApiError> {
    match id_in_path(id)? {
        IdReference::Full(id) => Ok(id),
        shown @ IdReference::Shown { .. } => Ok(entry_of(service, &shown).await?.statement_id),
    }
}
