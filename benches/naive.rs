//! The peers: the same handler and the same checks as the service's own way in, up to where they part.
//!
//! *Naive* is the ledger most people would write: one transaction per statement, which locks the head row, chains a hash
//! and inserts. *Ceiling* stops before the sequencer: parse, documents, key and signature, and nothing kept.

use std::sync::{Arc, OnceLock};

use actix_web::{HttpRequest, HttpResponse, web};
use chopmark_api::way_in::{ApiError, Guard, Service, admissible};
use chopmark_core::admission::{KeyRecord, PartyRecord, View};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::key::PublicKey;
use chopmark_core::ledger::tree::leaf_hash;
use chopmark_core::party::KeyRole;
use chopmark_core::statement::StatementId;
use chopmark_core::submission::Submission;
use chopmark_core::text::Names;
use chopmark_core::time::Timestamp;
use tokio::sync::{Mutex, Semaphore};
use tokio_postgres::{Client, Row, Statement};

use crate::Failure;
use crate::registry::connect;

/// Where the naive ledger is.
pub(crate) const NAIVE: &str = "/peer/naive";

/// Where the ceiling is.
pub(crate) const CEILING: &str = "/peer/ceiling";

/// Connections of the naive ledger: as many as the service has for reading.
const CONNECTIONS: usize = 16;

/// The same columns as ours, and the constraints that do the checks.
const TABLES: &str = "CREATE SCHEMA naive;
CREATE TABLE naive.head (id smallint PRIMARY KEY, size bigint NOT NULL, hash bytea NOT NULL);
INSERT INTO naive.head VALUES (1, 0, sha256(''));
CREATE TABLE naive.entry (idx bigint PRIMARY KEY, statement_id bytea NOT NULL UNIQUE, hash bytea NOT NULL,
    kind text NOT NULL, issuer bytea NOT NULL, recorded_at timestamptz NOT NULL, body bytea NOT NULL);
CREATE TABLE naive.nonce (issuer bytea NOT NULL, nonce bytea NOT NULL, PRIMARY KEY (issuer, nonce));
CREATE TABLE naive.document (sha256 bytea PRIMARY KEY, body bytea NOT NULL);
CREATE TABLE naive.artefact (id bytea PRIMARY KEY, idx bigint NOT NULL, owner bytea NOT NULL, manifest bytea NOT NULL,
    version text NOT NULL, UNIQUE (owner, manifest, version));";

/// What admission has to know of a signer.
const KEYS: &str = "SELECT k.public_key, p.key_head, p.threshold, p.idx, k.valid_from
    FROM view.key k JOIN view.party p ON p.id = k.party WHERE k.id = $1 AND k.valid_until IS NULL AND k.role = 'root'";

const LOCK: &str = "SELECT size, hash FROM naive.head WHERE id = 1 FOR UPDATE";

/// Everything an entry brings, in one statement: a careful author would save the round trips.
const INSERT: &str = "WITH
    entry AS (INSERT INTO naive.entry VALUES ($1, $2, $3, $4, $5, now(), $6)),
    nonce AS (INSERT INTO naive.nonce VALUES ($5, $7)),
    document AS (INSERT INTO naive.document VALUES ($8, $9) ON CONFLICT DO NOTHING)
    INSERT INTO naive.artefact VALUES ($2, $1, $5, $8, $10)";

const ADVANCE: &str = "UPDATE naive.head SET size = $1, hash = $2 WHERE id = 1";

/// One connection with its prepared statements.
struct Session {
    client: Client,
    keys: Statement,
    lock: Statement,
    insert: Statement,
    advance: Statement,
}

/// The naive ledger: connections, and a place in line for each.
struct Pool {
    sessions: Vec<Mutex<Session>>,
    free: Semaphore,
}

static POOL: OnceLock<Arc<Pool>> = OnceLock::new();

/// Makes the tables and the connections, which live on the runtime this is called on.
pub(crate) async fn prepare(url: &str) -> Result<(), Failure> {
    connect(url).await?.batch_execute(TABLES).await?;
    let mut sessions = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = connect(url).await?;
        client.batch_execute("SET synchronous_commit = on").await?;
        let (lock, insert) = (client.prepare(LOCK).await?, client.prepare(INSERT).await?);
        let (advance, keys) = (client.prepare(ADVANCE).await?, client.prepare(KEYS).await?);
        sessions.push(Mutex::new(Session { client, keys, lock, insert, advance }));
    }
    let pool = Arc::new(Pool { free: Semaphore::new(sessions.len()), sessions });
    POOL.set(pool).map_err(|_| "the naive ledger is there already".into())
}

/// How many statements the naive ledger holds.
pub(crate) async fn size(url: &str) -> Result<i64, Failure> {
    Ok(connect(url).await?.query_one("SELECT count(*) FROM naive.entry", &[]).await?.get(0))
}

/// The routes.
pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.route(NAIVE, web::post().to(naive)).route(CEILING, web::post().to(ceiling));
}

async fn ceiling(
    service: web::Data<Service>,
    guard: web::Data<Guard>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (submission, _held) = admissible(&service, &guard, &request, payload).await?;
    let id = submission.statement.id.to_hex();
    Ok(HttpResponse::Ok().json(serde_json::json!({ "statement_id": id })))
}

async fn naive(
    service: web::Data<Service>,
    guard: web::Data<Guard>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (submission, _held) = admissible(&service, &guard, &request, payload).await?;
    let pool = POOL.get().ok_or_else(|| broken("pool"))?;
    let view = View::new(0, Some(service.registry.reference.clone()), Some(service.registry.operator));
    let (index, hash) = enter(pool, &submission, view).await.map_err(|error| broken(&error.to_string()))?;
    let id = submission.statement.id.to_hex();
    Ok(HttpResponse::Created().json(serde_json::json!({ "statement_id": id, "index": index, "hash": hash.to_hex() })))
}

async fn enter(pool: &Pool, submission: &Submission, mut view: View) -> Result<(i64, Sha256Digest), Failure> {
    let _place = pool.free.acquire().await?;
    let free = pool.sessions.iter().find_map(|session| session.try_lock().ok());
    let mut session = free.ok_or("no connection is free")?;
    let Session { client, keys, lock, insert, advance } = &mut *session;
    let statement = &submission.statement;
    let (id, issuer) = (statement.id, statement.issuer());
    for signature in submission.envelope.signatures() {
        let row = client.query_one(&*keys, &[&signature.key_id.digest().as_bytes().as_slice()]).await?;
        load(&mut view, issuer, &row)?;
    }
    view.admit(statement, &submission.envelope, Timestamp::from(chrono::Utc::now()))?;
    let (manifest, document) = submission.documents.first_key_value().ok_or("no manifest")?;
    let transaction = client.transaction().await?;
    let head = transaction.query_one(&*lock, &[]).await?;
    let (index, previous): (i64, Vec<u8>) = (head.get(0), head.get(1));
    let hash = Sha256Digest::of(&[previous.as_slice(), leaf_hash(&submission.entry).as_bytes()].concat());
    transaction
        .execute(
            &*insert,
            &[
                &index,
                &id.as_bytes().as_slice(),
                &hash.as_bytes().as_slice(),
                &statement.claim.name(),
                &issuer.as_bytes().as_slice(),
                &submission.entry,
                &statement.header.nonce.as_bytes(),
                &manifest.as_bytes().as_slice(),
                document,
                &"1.0",
            ],
        )
        .await?;
    transaction.execute(&*advance, &[&(index + 1), &hash.as_bytes().as_slice()]).await?;
    transaction.commit().await?;
    Ok((index, hash))
}

/// Takes the key and its party into the view that admission judges over.
fn load(view: &mut View, party: StatementId, row: &Row) -> Result<(), Failure> {
    let (key, head): (Vec<u8>, Vec<u8>) = (row.get(0), row.get(1));
    let (threshold, index, valid_from): (i64, i64, i64) = (row.get(2), row.get(3), row.get(4));
    let key = PublicKey::admit(key.as_slice().try_into()?)?;
    view.load_key(KeyRecord::new(key, party, KeyRole::Root, u64::try_from(valid_from)?));
    view.load_party(PartyRecord {
        id: party,
        index: u64::try_from(index)?,
        name: Names::default(),
        identifiers: Vec::new(),
        jurisdiction: None,
        threshold: u32::try_from(threshold)?,
        key_head: StatementId::from_slice(&head).ok_or("a key head is not 32 bytes long")?,
        key_seq: 0,
        root_keys: 1,
        verified_from: None,
    });
    Ok(())
}

fn broken(what: &str) -> ApiError {
    ApiError::unavailable("naive", what.to_owned())
}
