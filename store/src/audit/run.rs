//! The audit of a database: one connection, one snapshot, one pass.
//!
//! While every core judges a piece, the documents of the piece before it are checked and the next one is read. What a superuser hid from the service's role shows in the
//! schema; rows that are wrong are named before guards that are gone.

use chopmark_core::access::access_log_origin;
use chopmark_core::ledger::note::VerifierKey;
use chopmark_core::time::Timestamp;
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};

use super::tables::Tables;
use super::{
    Clean, Examined, Examiner, Finding, JudgedEntry, Options, Progress, Source, Stop, Surroundings, Verdict, found,
};
use super::{beyond, catalogue, documents, rows};
use crate::Store;
use crate::connect;
use crate::error::{StoreError, count};
use crate::follow::{self, Contents};
use crate::project::{Fold, Followed};
use crate::vault::{self, Told, Vault};

/// Recomputes the whole ledger and names the first thing that does not hold. The database is audited as it is at one
/// moment, whatever is appended meanwhile; nothing is changed.
///
/// # Errors
/// When the database can't be read; damage is not an error but a [`Verdict::Found`].
pub async fn audit(
    store: &Store,
    options: Options,
    mut progress: impl FnMut(Progress) + Send,
) -> Result<Verdict, StoreError> {
    let schema = check_schema(store, &options.surroundings).await;
    match (run(store, options, &mut progress).await, schema) {
        (Err(Stop::Found(finding)), Err(StoreError::Migrate(other))) => {
            Ok(Verdict::Found(Finding { reason: format!("{} ({other})", finding.reason), ..finding }))
        }
        (Err(Stop::Found(finding)), _) | (_, Ok(Some(finding))) => Ok(Verdict::Found(finding)),
        (_, Err(error)) | (Err(Stop::Store(error)), Ok(None)) => Err(error),
        (Ok(clean), Ok(None)) => Ok(Verdict::Clean(Box::new(clean))),
    }
}

/// The first object of the schema that is not as the migrations make it.
///
/// # Errors
/// When the database can't be read, or its schema is of another version than this program's.
pub async fn check_schema(store: &Store, surroundings: &Surroundings) -> Result<Option<Finding>, StoreError> {
    catalogue::check(store, surroundings).await
}

async fn run(store: &Store, options: Options, progress: &mut (impl FnMut(Progress) + Send)) -> Result<Clean, Stop> {
    connect::with_driven(&store.inner.url, connect::AUDIT_STATEMENT_TIME_MAX, async |connection| {
        on(connection, store.vault(), options, progress).await
    })
    .await
}

async fn on(
    connection: &mut AsyncPgConnection,
    vault: Option<&Vault>,
    options: Options,
    progress: &mut (impl FnMut(Progress) + Send),
) -> Result<Clean, Stop> {
    let tables = if options.tables { Some(Tables::make(connection).await?) } else { None };
    if tables.is_some() {
        vault::make_told(connection).await?;
    }
    // Temporary tables may be written all the same.
    connection.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(StoreError::from)?;
    let (size, root) = rows::log_state(connection).await?;
    if let Some(ahead) = options.known.iter().find(|known| known.size > size) {
        let reason = format!("covers {} entries, the database holds {size}: entries are missing", ahead.size);
        return Err(found(ahead.source.clone(), size, reason));
    }
    let applied_size = if tables.is_some() { applied_size(connection, size).await? } else { 0 };
    let clean = Clean {
        entries: size,
        judged: size.saturating_sub(options.verified_size),
        tiles: 0,
        checkpoints: 0,
        documents: 0,
        accesses: None,
        openings: vault.filter(|_| options.tables).map(|_| 0),
        kept_elsewhere: None,
        tables: tables.as_ref().map_or(0, Tables::number),
        root,
        newest: None,
    };
    let mut audit = Audit {
        connection,
        vault,
        applied_size,
        folds: tables.is_some(),
        documents: options.documents || tables.is_some(),
        clean,
    };
    let known = options.known.clone();
    let access_key = access_log_key(&options.log_key);
    let examiner =
        Examiner::new(Source::Database, options.log_key, options.known, options.verified_size, options.signatures);
    let examiner = audit.entries(examiner, size, progress).await?;
    if examiner.edge().root() != root {
        let reason = format!("the entries have the root {}, log.log_state says {root}", examiner.edge().root());
        return Err(found("log.log_state", size, reason));
    }
    let Audit { connection, mut clean, .. } = audit;
    beyond::check(connection, size, &known).await?;
    if options.documents {
        beyond::check_documents(connection).await?;
    }
    let accesses = vault::check_accesses(connection, access_key.as_ref(), &options.known_accesses).await?;
    clean.accesses = Some(accesses);
    if let Some(tables) = tables {
        let of = tables.number();
        if let Some(finding) = tables.compare(connection, |done| progress(Progress::Tables { done, of })).await? {
            return Err(Stop::Found(finding));
        }
        clean.kept_elsewhere = Some(vault::compare_openings(connection).await?);
    }
    Ok(clean)
}

/// The key of the access log: the log's own, under the access log's name.
fn access_log_key(log_key: &VerifierKey) -> Option<VerifierKey> {
    VerifierKey::new(access_log_origin(log_key.name()), *log_key.public_key()).ok()
}

/// How far the tables that follow say they are.
async fn applied_size(connection: &mut AsyncPgConnection, size: u64) -> Result<u64, Stop> {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        applied_size: i64,
    }
    // With its schema: the temporary table of that name is still at 0.
    let rows: Vec<Row> = diesel::sql_query("SELECT applied_size FROM view.following").load(connection).await?;
    match rows.as_slice() {
        [Row { applied_size }] => {
            let applied_size = count(*applied_size, "view.following")?;
            if applied_size > size {
                let reason = format!("says that {applied_size} entries are applied, the log has {size}");
                return Err(found("view.following", size, reason));
            }
            Ok(applied_size)
        }
        rows => Err(found("view.following", 0, format!("there are {} rows instead of one", rows.len()))),
    }
}

struct Audit<'a> {
    connection: &'a mut AsyncPgConnection,
    vault: Option<&'a Vault>,
    applied_size: u64,
    folds: bool,
    documents: bool,
    clean: Clean,
}

impl Audit<'_> {
    async fn entries(
        &mut self,
        mut examiner: Examiner,
        size: u64,
        progress: &mut (impl FnMut(Progress) + Send),
    ) -> Result<Examiner, Stop> {
        let mut piece = rows::piece(self.connection, 0, size).await?;
        let mut held = Examined::default();
        // Also where there is no entry, for what may be known of an empty log.
        loop {
            let number = u64::try_from(piece.entries.len()).unwrap_or(u64::MAX);
            let next = examiner.edge().size() + number;
            let judging = tokio::task::spawn_blocking(move || {
                let result = examiner.examine(piece);
                (examiner, result)
            });
            // The connection's work on the piece before and the one after takes as long as judging this one.
            let around = async {
                self.take_in(held).await?;
                Ok(rows::piece(self.connection, next, size).await)
            };
            let (judged, around): (_, Result<_, Stop>) = tokio::join!(judging, around);
            // What is wrong with an earlier piece is named before what is wrong with a later one.
            let following = around?;
            let (back, result) =
                judged.map_err(|error| StoreError::Connect(format!("the audit's own thread failed: {error}")))?;
            examiner = back;
            held = result?;
            progress(Progress::Entries { done: next, of: size });
            piece = following?;
            if piece.entries.is_empty() {
                self.take_in(held).await?;
                return Ok(examiner);
            }
        }
    }

    async fn take_in(&mut self, examined: Examined) -> Result<(), Stop> {
        self.clean.tiles += examined.tiles;
        self.clean.checkpoints += examined.checkpoints;
        self.clean.newest = examined.newest.or(self.clean.newest.take());
        if !self.documents && !self.folds {
            return Ok(());
        }
        if self.documents {
            documents::check_there(self.connection, &examined.named_before).await?;
        }
        let mut entries = examined.entries;
        while !entries.is_empty() {
            let number = follow::together(self.connection, entries.iter().map(|entry| &entry.statement)).await?;
            let rest = entries.split_off(number.min(entries.len()));
            self.take_in_documents(core::mem::replace(&mut entries, rest)).await?;
        }
        Ok(())
    }

    /// Takes in entries whose documents have a bounded size.
    async fn take_in_documents(&mut self, entries: Vec<JudgedEntry>) -> Result<(), Stop> {
        let mut contents = Contents::new();
        if self.documents {
            let (read, number) = documents::check(self.connection, &entries).await?;
            contents = read;
            self.clean.documents += number;
        }
        if self.folds {
            if let (Some(vault), Some(openings)) = (self.vault, &mut self.clean.openings) {
                *openings += vault::check_openings(self.connection, vault, &entries).await?;
            }
            let told = Told::by(&entries);
            let folds = entries.into_iter().map(|entry| fold(entry, &contents)).collect();
            Tables::fold(self.connection, folds, self.applied_size).await?;
            told.keep(self.connection).await?;
        }
        Ok(())
    }
}

/// An entry as the read tables take it.
fn fold(entry: JudgedEntry, contents: &Contents) -> Fold {
    let documents = entry.statement.documents();
    Fold {
        issuer: entry.statement.issuer(),
        nonce: entry.statement.header.nonce,
        followed: Followed {
            index: entry.index,
            recorded_at: entry.recorded_at.map(Timestamp::to_utc).unwrap_or_default(),
            changes: entry.changes,
            content: documents.iter().find_map(|digest| contents.get(digest)).cloned(),
        },
    }
}
