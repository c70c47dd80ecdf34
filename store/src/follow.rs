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

/// Bytes of manifests in one piece, unless a single entry's are more: some hundred thousand files. What is parsed, kept in
/// memory and written grows with them.
const DOCUMENT_BYTES_MAX: u64 = 32 << 20;

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
    /// Entries in the next piece: after one that failed half as many, down to one, so that no piece is too heavy for ever;
    /// after one that did not, twice as many.
    entries_max: u64,
}

impl Follower {
    pub(crate) fn new(url: String, runtime: Handle) -> Self {
        Self { url, runtime, session: None, entries_max: ENTRIES_MAX }
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
        if let Ok(Applied { applied_size, size }) = applied
            && applied_size < size
        {
            let number = self.entries_max.min(size - applied_size);
            applied = connection.transaction(async move |connection| step(connection, number).await).await;
            let next = if applied.is_ok() { self.entries_max * 2 } else { number / 2 };
            self.entries_max = next.clamp(1, ENTRIES_MAX);
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

async fn step(connection: &mut AsyncPgConnection, entries_max: u64) -> Result<Applied, StoreError> {
    let from: i64 = following::table.select(following::applied_size).for_update().first(connection).await?;
    let from = count(from, "view.following")?;
    let size: i64 = log_state::table.select(log_state::size).first(connection).await?;
    let size = count(size, "log.log_state")?;
    let number = entries_max.min(size.saturating_sub(from));
    if number == 0 {
        return Ok(Applied { applied_size: from, size });
    }
    let entries = query::entries(connection, from, number).await?;
    let folds = read(connection, &entries).await?;
    let followed: Vec<Followed> = folds.into_iter().map(|fold| fold.followed).collect();
    project::follow(connection, &followed).await?;
    let applied_size = from + u64::try_from(followed.len()).unwrap_or_default();
    diesel::update(following::table).set(following::applied_size.eq(bigint(applied_size))).execute(connection).await?;
    Ok(Applied { applied_size, size })
}

/// What the first of these entries mean to the read tables, with the documents they name: as many as go [`together`].
pub(crate) async fn read(connection: &mut AsyncPgConnection, entries: &[StoredEntry]) -> Result<Vec<Fold>, StoreError> {
    let mut statements = Vec::with_capacity(entries.len());
    for entry in entries {
        let damaged = |reason: String| StoreError::damaged(format!("log.entry {}", entry.index), reason);
        let envelope = Envelope::parse(&entry.body).map_err(|error| damaged(error.to_string()))?;
        statements.push(Statement::parse(envelope.payload()).map_err(|error| damaged(error.to_string()))?);
    }
    statements.truncate(together(connection, statements.iter()).await?);
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

/// Reads the manifests of these statements.
async fn contents(
    connection: &mut AsyncPgConnection,
    statements: impl Iterator<Item = &Statement>,
) -> Result<Contents, StoreError> {
    let wanted: BTreeSet<Sha256Digest> = statements.filter_map(manifest_of).collect();
    let mut contents = Contents::new();
    for (digest, body) in documents(connection, wanted.iter()).await? {
        let damaged = |reason: String| StoreError::damaged(format!("log.document {digest}"), reason);
        if Sha256Digest::of(&body) != digest {
            return Err(damaged("its bytes have another digest".to_owned()));
        }
        let manifest = Manifest::parse(&body).map_err(|error| damaged(error.to_string()))?;
        contents.insert(digest, Arc::new(Content::of(&manifest)));
    }
    match wanted.iter().find(|digest| !contents.contains_key(digest)) {
        Some(missing) => Err(StoreError::damaged(format!("log.document {missing}"), "the row is missing")),
        None => Ok(contents),
    }
}

/// How many of these statements, from the first on, are taken in together: at least one, and so many that their documents
/// are of a bounded size. What is read, kept and written for a piece grows with them.
pub(crate) async fn together<'s>(
    connection: &mut AsyncPgConnection,
    statements: impl Iterator<Item = &'s Statement>,
) -> Result<usize, StoreError> {
    #[derive(QueryableByName)]
    struct Size {
        #[diesel(sql_type = Binary)]
        sha256: Vec<u8>,
        #[diesel(sql_type = Integer)]
        size_bytes: i32,
    }
    let named: Vec<Vec<Sha256Digest>> = statements.map(Statement::documents).collect();
    let wanted: BTreeSet<Vec<u8>> = named.iter().flatten().map(|digest| digest.as_bytes().to_vec()).collect();
    if wanted.is_empty() {
        return Ok(named.len());
    }
    let sizes: Vec<Size> =
        diesel::sql_query("SELECT sha256, octet_length(body) AS size_bytes FROM log.document WHERE sha256 = ANY ($1)")
            .bind::<diesel::sql_types::Array<Binary>, _>(wanted.into_iter().collect::<Vec<_>>())
            .load(connection)
            .await?;
    let sizes: BTreeMap<Vec<u8>, u64> =
        sizes.into_iter().map(|row| (row.sha256, u64::try_from(row.size_bytes).unwrap_or_default())).collect();
    let size = |digest: &Sha256Digest| sizes.get(digest.as_bytes().as_slice()).copied().unwrap_or_default();
    Ok(within_bounds(named.iter().map(|documents| documents.iter().map(size).sum())))
}

/// How many of these sizes, from the first on, are at most [`DOCUMENT_BYTES_MAX`] together; at least one, if there is one.
fn within_bounds(sizes: impl Iterator<Item = u64>) -> usize {
    let mut sum = 0_u64;
    let fits = |(position, size): &(usize, u64)| {
        sum = sum.saturating_add(*size);
        *position == 0 || sum <= DOCUMENT_BYTES_MAX
    };
    sizes.enumerate().take_while(fits).count()
}

/// The documents with these digests that are stored, under the digests they are stored by.
pub(crate) async fn documents(
    connection: &mut AsyncPgConnection,
    wanted: impl Iterator<Item = &Sha256Digest>,
) -> Result<Vec<(Sha256Digest, Vec<u8>)>, StoreError> {
    let wanted: Vec<&[u8]> = wanted.map(|digest| digest.as_bytes().as_slice()).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(Vec<u8>, Vec<u8>)> = document::table
        .filter(document::sha256.eq_any(wanted))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_ends_before_its_documents_are_too_many_bytes_and_is_never_empty() {
        let whole = DOCUMENT_BYTES_MAX;
        for (sizes, taken) in [
            (&[][..], 0),
            (&[0, 0, 0], 3),
            (&[whole], 1),
            (&[whole + 1], 1),
            (&[whole, 1], 1),
            (&[whole, 0, 0, 1], 3),
            (&[1, whole - 1, 1], 2),
            (&[1, whole], 1),
            (&[u64::MAX, u64::MAX], 1),
        ] {
            assert_eq!(within_bounds(sizes.iter().copied()), taken, "{sizes:?}");
        }
    }
}
