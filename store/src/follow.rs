//! Following: brings the tables that admission does not read up to the log, a bounded piece at a time.
//!
//! Any replica may do it; the row lock on `view.following` lets one at a time. A piece and the size it brings the tables
//! to commit together, so nothing is applied twice or left out, whoever dies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chopmark_core::admission::Entry;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::kind::Claim;
use chopmark_core::manifest::Manifest;
use chopmark_core::statement::{Envelope, Statement};
use diesel::prelude::*;
use diesel::sql_types::{Binary, Integer};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl};
use tokio::runtime::Handle;

use crate::connect;
use crate::error::{StoreError, bigint, count};
use crate::find;
use crate::project::{self, Content, Fold, Followed};
use crate::query::{self, StoredEntry};
use crate::schema::{document, following, log_state};

/// Entries in one piece.
const ENTRIES_MAX: u64 = 512;

/// Bytes of manifests read at a time, unless a single one is larger.
const DOCUMENT_BYTES_AT_A_TIME: usize = 32 << 20;

/// How far the tables are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// Entries they take into account.
    pub applied_size: u64,
    /// Entries in the log.
    pub size: u64,
}

/// The one that follows: a connection of its own.
pub struct Follower {
    url: String,
    runtime: Handle,
    session: Option<AsyncPgConnection>,
}

impl Follower {
    pub(crate) fn new(url: String, runtime: Handle) -> Self {
        Self { url, runtime, session: None }
    }

    /// Takes the next entries in, if there are any.
    ///
    /// # Errors
    /// A [`StoreError`] when nothing was written; [`StoreError::Damaged`] when an entry or its document can't be read.
    pub async fn advance(&mut self) -> Result<Applied, StoreError> {
        // Taken out, so that an error on any path drops the connection.
        let mut connection = match self.session.take() {
            Some(session) => session,
            None => self.connect().await?,
        };
        let mut applied = look(&mut connection).await;
        if applied.as_ref().is_ok_and(|applied| applied.applied_size < applied.size) {
            applied = connection.transaction(async move |connection| step(connection).await).await;
        }
        if applied.is_ok() {
            self.session = Some(connection);
        }
        applied
    }

    /// A session that does not wait for the disk. Rows and the size they belong to are one commit, so what a crash takes
    /// back is applied again; nothing is acknowledged on the strength of these tables.
    async fn connect(&self) -> Result<AsyncPgConnection, StoreError> {
        let mut connection = connect::writer(&self.url, connect::FOLLOW_IDLE_MAX, &self.runtime).await?;
        diesel::sql_query("SET synchronous_commit = off").execute(&mut connection).await?;
        Ok(connection)
    }
}

/// How far the tables are, read without a lock: to look costs no write.
async fn look(connection: &mut AsyncPgConnection) -> Result<Applied, StoreError> {
    let applied_size = find::applied_size(connection).await?;
    let (size, _) = query::log_state(connection).await?;
    Ok(Applied { applied_size, size })
}

async fn step(connection: &mut AsyncPgConnection) -> Result<Applied, StoreError> {
    let from: i64 = following::table.select(following::applied_size).for_update().first(connection).await?;
    let from = count(from, "view.following")?;
    let size: i64 = log_state::table.select(log_state::size).first(connection).await?;
    let size = count(size, "log.log_state")?;
    let number = ENTRIES_MAX.min(size.saturating_sub(from));
    if number == 0 {
        return Ok(Applied { applied_size: from, size });
    }
    let entries = query::entries(connection, from, number).await?;
    let folds = read(connection, &entries).await?;
    let followed: Vec<Followed> = folds.into_iter().map(|fold| fold.followed).collect();
    project::follow(connection, &followed).await?;
    let applied_size = from + number;
    diesel::update(following::table).set(following::applied_size.eq(bigint(applied_size))).execute(connection).await?;
    Ok(Applied { applied_size, size })
}

/// What entries mean to the read tables, with the documents they name.
pub(crate) async fn read(connection: &mut AsyncPgConnection, entries: &[StoredEntry]) -> Result<Vec<Fold>, StoreError> {
    let mut statements = Vec::with_capacity(entries.len());
    for entry in entries {
        let damaged = |reason: String| StoreError::damaged(format!("log.entry {}", entry.index), reason);
        let envelope = Envelope::parse(&entry.body).map_err(|error| damaged(error.to_string()))?;
        statements.push(Statement::parse(envelope.payload()).map_err(|error| damaged(error.to_string()))?);
    }
    let content = contents(connection, statements.iter()).await?;
    let folds = entries.iter().zip(statements).map(|(entry, statement)| Fold {
        issuer: statement.issuer(),
        followed: Followed {
            index: entry.index,
            recorded_at: entry.recorded_at.to_utc(),
            changes: Entry { index: entry.index, statement: &statement }.apply(),
            content: manifest_of(&statement).and_then(|digest| content.get(&digest)).cloned(),
        },
        nonce: statement.header.nonce,
    });
    Ok(folds.collect())
}

/// What the tables keep of manifests, by digest.
pub(crate) type Contents = BTreeMap<Sha256Digest, Arc<Content>>;

fn manifest_of(statement: &Statement) -> Option<Sha256Digest> {
    match &statement.claim {
        Claim::Artefact(claim) => Some(claim.manifest.sha256),
        _ => None,
    }
}

/// Reads the manifests of these statements, a bounded number of bytes at a time.
async fn contents(
    connection: &mut AsyncPgConnection,
    statements: impl Iterator<Item = &Statement>,
) -> Result<Contents, StoreError> {
    let wanted: BTreeSet<Sha256Digest> = statements.filter_map(manifest_of).collect();
    let mut contents = Contents::new();
    for group in document_groups(connection, wanted.iter().copied()).await? {
        for (digest, body) in documents(connection, group).await? {
            let damaged = |reason: String| StoreError::damaged(format!("log.document {digest}"), reason);
            if Sha256Digest::of(&body) != digest {
                return Err(damaged("its bytes have another digest".to_owned()));
            }
            let manifest = Manifest::parse(&body).map_err(|error| damaged(error.to_string()))?;
            contents.insert(digest, Arc::new(Content::of(&manifest)));
        }
    }
    match wanted.iter().find(|digest| !contents.contains_key(digest)) {
        Some(missing) => Err(StoreError::damaged(format!("log.document {missing}"), "the row is missing")),
        None => Ok(contents),
    }
}

/// Those of these documents that are stored, in groups of a bounded size.
pub(crate) async fn document_groups(
    connection: &mut AsyncPgConnection,
    wanted: impl Iterator<Item = Sha256Digest>,
) -> Result<Vec<Vec<Vec<u8>>>, StoreError> {
    #[derive(QueryableByName)]
    struct Size {
        #[diesel(sql_type = Binary)]
        sha256: Vec<u8>,
        #[diesel(sql_type = Integer)]
        size_bytes: i32,
    }
    let wanted: Vec<Vec<u8>> = wanted.map(|digest| digest.as_bytes().to_vec()).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let sizes: Vec<Size> = diesel::sql_query(
        "SELECT sha256, octet_length(body) AS size_bytes FROM log.document WHERE sha256 = ANY ($1) ORDER BY sha256",
    )
    .bind::<diesel::sql_types::Array<Binary>, _>(wanted)
    .load(connection)
    .await?;
    let mut groups: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut group_bytes = 0_usize;
    for Size { sha256, size_bytes } in sizes {
        let size_bytes = usize::try_from(size_bytes).unwrap_or(usize::MAX);
        group_bytes = group_bytes.saturating_add(size_bytes);
        match groups.last_mut() {
            Some(group) if group_bytes <= DOCUMENT_BYTES_AT_A_TIME => group.push(sha256),
            _ => {
                groups.push(vec![sha256]);
                group_bytes = size_bytes;
            }
        }
    }
    Ok(groups)
}

/// The documents of one group as they are stored, under the digests they are stored by.
pub(crate) async fn documents(
    connection: &mut AsyncPgConnection,
    group: Vec<Vec<u8>>,
) -> Result<Vec<(Sha256Digest, Vec<u8>)>, StoreError> {
    let rows: Vec<(Vec<u8>, Vec<u8>)> = document::table
        .filter(document::sha256.eq_any(group))
        .select((document::sha256, document::body))
        .load(connection)
        .await?;
    rows.into_iter()
        .map(|(digest, body)| {
            let digest = Sha256Digest::from_slice(&digest);
            Ok((digest.ok_or_else(|| StoreError::damaged("log.document", "sha256 is no hash"))?, body))
        })
        .collect()
}
