//! Rebuilding the read tables from the entries: folded beside the old ones, then swapped in within one transaction.
//!
//! A service may run meanwhile. Only for the last entries and the swap do writers wait, for the row lock that every batch
//! takes; readers see the old rows until the commit. Entries are believed here: an audit is what judges them.

use diesel::prelude::*;
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl};

use crate::Store;
use crate::audit::tables::Tables;
use crate::connect;
use crate::error::{StoreError, count};
use crate::follow;
use crate::project::Fold;
use crate::query;
use crate::schema::log_state;

/// Entries folded at a time.
const ENTRIES_AT_A_TIME: u64 = 512;

/// Entries that may be left for when writers wait.
const ENTRIES_BEHIND_LOCK_MAX: u64 = 512;

/// A table that was rebuilt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// Its name in schema `view`.
    pub table: String,
    /// Rows it has.
    pub rows: u64,
    /// Rows that it did not have before, and rows that it had and should not: 0 where nothing was wrong.
    pub mended: u64,
}

impl Store {
    /// Refolds the log into all read tables; `progress` is told how many entries are done, of how many. The tables, and
    /// the entries they take into account.
    ///
    /// # Errors
    /// A [`StoreError`] when nothing was changed; [`StoreError::Damaged`] when an entry or its document can't be read.
    pub async fn rebuild(&self, mut progress: impl FnMut(u64, u64) + Send) -> Result<(Vec<Rebuilt>, u64), StoreError> {
        connect::with_driven(&self.inner.url, connect::AUDIT_STATEMENT_TIME_MAX, async |connection| {
            on(connection, &mut progress).await
        })
        .await
    }
}

async fn on(
    connection: &mut AsyncPgConnection,
    progress: &mut (impl FnMut(u64, u64) + Send),
) -> Result<(Vec<Rebuilt>, u64), StoreError> {
    let tables = Tables::make(connection).await?;
    let mut done = 0;
    loop {
        let (size, _) = query::log_state(connection).await?;
        if size.saturating_sub(done) <= ENTRIES_BEHIND_LOCK_MAX {
            break;
        }
        done = fold(connection, done, size, progress).await?;
    }
    connection
        .transaction(async move |connection| {
            let size: i64 = log_state::table.select(log_state::size).for_update().first(connection).await?;
            let size = count(size, "log.log_state")?;
            // The temporary table of this name hides the one that followers lock.
            diesel::sql_query("SELECT FROM view.following FOR UPDATE").execute(connection).await?;
            fold(connection, done, size, progress).await?;
            let counts = tables.swap_in(connection).await?;
            let rebuilt = counts.into_iter().map(|(table, rows, mended)| Rebuilt { table, rows, mended });
            Ok((rebuilt.collect(), size))
        })
        .await
}

/// Folds entries `from` up to `size`.
async fn fold(
    connection: &mut AsyncPgConnection,
    mut from: u64,
    size: u64,
    progress: &mut (impl FnMut(u64, u64) + Send),
) -> Result<u64, StoreError> {
    while from < size {
        let number = ENTRIES_AT_A_TIME.min(size - from);
        let entries = query::entries(connection, from, number).await?;
        if u64::try_from(entries.len()) != Ok(number) {
            let missing = from + u64::try_from(entries.len()).unwrap_or_default();
            return Err(StoreError::damaged(format!("log.entry {missing}"), "the row is missing"));
        }
        let folds: Vec<Fold> = follow::read(connection, &entries).await?;
        from += u64::try_from(folds.len()).unwrap_or_default();
        Tables::fold(connection, folds, size).await?;
        progress(from, size);
    }
    Ok(from)
}
