//! Rotation of the master key: every data key is wrapped anew by the one in use, MACs follow, and the others wrap nothing more.
//!
//! Nothing has to be stopped. Most rows are done while writers go on; for the last ones writers wait, because each of them
//! holds the row of the key that it wraps with.

use chopmark_core::sealed::Field;
use chopmark_core::statement::StatementId;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Text};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};

use super::mac::Renewed;
use super::seal::{SealedOpening, rewrap};
use super::{Acting, MasterKeys, act, readers, tokens};
use crate::error::StoreError;
use crate::fixed::fixed;
use crate::{Inner, Store, connect};

/// Rows wrapped anew in one transaction.
const ROWS_AT_A_TIME: i64 = 500;

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// Data keys that were wrapped anew.
    pub rewrapped: u64,
    /// Master keys that wrap nothing any more.
    pub retired: Vec<String>,
    /// Tokens and readers whose MAC is under the new key.
    pub authenticated: u64,
    /// Tokens and readers that this registry has not made: their rows have no MAC now, and are not believed.
    pub refused: u64,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Binary)]
    statement: Vec<u8>,
    #[diesel(sql_type = Text)]
    field: String,
    #[diesel(sql_type = Text)]
    key_id: String,
    #[diesel(sql_type = Binary)]
    wrapped_key: Vec<u8>,
}

/// A master key's row.
#[derive(QueryableByName)]
pub(super) struct KeyRow {
    #[diesel(sql_type = Text)]
    id: String,
}

impl Store {
    /// Master keys that may wrap, the newest first: one, or several while a rotation goes on. At least one of them is among those
    /// at hand; none is in use where nothing was ever kept.
    ///
    /// # Errors
    /// [`StoreError::Vault`], with the ids, when none of them is at hand; when the database can't be read.
    pub async fn keys_in_use(&self, at_hand: &MasterKeys) -> Result<Vec<String>, StoreError> {
        let query = fixed("SELECT id FROM vault.wrapping_key WHERE retired_at IS NULL ORDER BY made_at DESC, id");
        let rows: Vec<KeyRow> = self.load_as(Acting::Service, query).await?;
        let used: Vec<String> = rows.into_iter().map(|row| row.id).collect();
        if used.is_empty() || used.iter().any(|id| at_hand.find(id).is_some()) {
            return Ok(used);
        }
        let (others, used) = (at_hand.ids().collect::<Vec<_>>().join(", "), used.join(", "));
        let reason = format!(
            "the master key {used} is in use here, and not among those at hand ({others}): without it no sealed value can be \
             opened; restore it from your copy"
        );
        Err(StoreError::Vault(reason))
    }

    /// Whether no opening was ever kept here, and no master key used.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn is_vault_new(&self) -> Result<bool, StoreError> {
        let rows: Vec<KeyRow> =
            self.load_as(Acting::Service, fixed("SELECT id FROM vault.wrapping_key LIMIT 1")).await?;
        Ok(rows.is_empty())
    }

    /// Wraps every data key by the first of these master keys, and retires the others.
    ///
    /// # Errors
    /// [`StoreError::Vault`] when a master key that is needed is not among them. What was wrapped anew stays so.
    pub async fn rotate(&self, keys: &MasterKeys) -> Result<Rotated, StoreError> {
        let Inner { url, runtime, .. } = &*self.inner;
        let session = connect::session(url, connect::STATEMENT_TIME_MAX, runtime).await;
        let mut connection = session.map_err(|error| StoreError::Connect(error.to_string()))?;
        let mut rewrapped = 0;
        let mut renewed = connection
            .transaction(async |connection| {
                act(connection, Acting::Service).await?;
                forget_retired(connection, keys).await
            })
            .await?;
        loop {
            let (data_keys, macs) = connection
                .transaction(async |connection| {
                    act(connection, Acting::Service).await?;
                    rewrap_some(connection, keys).await
                })
                .await?;
            rewrapped += data_keys;
            renewed.add(macs);
            if data_keys + macs.rows == 0 {
                break;
            }
        }
        connection
            .transaction(async |connection| {
                act(connection, Acting::Service).await?;
                fixed("INSERT INTO vault.wrapping_key (id) VALUES ($1) ON CONFLICT (id) DO NOTHING")
                    .bind::<Text, _>(keys.current_id().to_owned())
                    .execute(connection)
                    .await?;
                // Waits for every writer that wraps with one of them; later ones wait for the end of this.
                let others: Vec<KeyRow> =
                    fixed("SELECT id FROM vault.wrapping_key WHERE id <> $1 AND retired_at IS NULL FOR UPDATE")
                        .bind::<Text, _>(keys.current_id().to_owned())
                        .load(connection)
                        .await?;
                loop {
                    let (data_keys, macs) = rewrap_some(connection, keys).await?;
                    rewrapped += data_keys;
                    renewed.add(macs);
                    if data_keys + macs.rows == 0 {
                        break;
                    }
                }
                fixed("UPDATE vault.wrapping_key SET retired_at = now() WHERE id <> $1 AND retired_at IS NULL")
                    .bind::<Text, _>(keys.current_id().to_owned())
                    .execute(connection)
                    .await?;
                let retired = others.into_iter().map(|row| row.id).collect();
                let Renewed { rows, refused } = renewed;
                Ok(Rotated { rewrapped, retired, authenticated: rows - refused, refused })
            })
            .await
    }
}

/// Takes their MACs from rows under a key that was retired before. All of this registry's were moved then, so somebody else has
/// put these there; the key itself may be gone.
async fn forget_retired(connection: &AsyncPgConnection, keys: &MasterKeys) -> Result<Renewed, StoreError> {
    let current = fixed("SELECT id FROM vault.wrapping_key WHERE id = $1 AND retired_at IS NOT NULL");
    let current: Vec<KeyRow> = current.bind::<Text, _>(keys.current_id().to_owned()).load(&mut &*connection).await?;
    if let Some(KeyRow { id }) = current.into_iter().next() {
        return Err(StoreError::Vault(format!(
            "the master key {id} was retired; put a newer one first in the key file"
        )));
    }
    let mut forgotten = Renewed::default();
    for update in [
        "UPDATE vault.token SET mac_key = NULL, mac = NULL
         WHERE mac_key IN (SELECT id FROM vault.wrapping_key WHERE retired_at IS NOT NULL)",
        "UPDATE vault.reader SET mac_key = NULL, mac = NULL
         WHERE mac_key IN (SELECT id FROM vault.wrapping_key WHERE retired_at IS NOT NULL)",
    ] {
        for _ in 0..fixed(update).execute(&mut &*connection).await? {
            forgotten.count(false);
        }
    }
    Ok(forgotten)
}

/// Wraps the data keys of some rows anew, and puts MACs of others under the key in use; how many.
async fn rewrap_some(connection: &AsyncPgConnection, keys: &MasterKeys) -> Result<(u64, Renewed), StoreError> {
    let mut data_keys = rewrap_openings(connection, keys).await?;
    if data_keys == 0 {
        data_keys = super::reports::rewrap_some(connection, keys, ROWS_AT_A_TIME).await?;
    }
    if data_keys == 0 {
        data_keys = super::sums::rewrap_some(connection, keys, ROWS_AT_A_TIME).await?;
    }
    let mut macs = tokens::renew_macs(connection, keys, ROWS_AT_A_TIME).await?;
    macs.add(readers::renew_macs(connection, keys, ROWS_AT_A_TIME).await?);
    Ok((data_keys, macs))
}

/// Wraps the data key of one row anew. The statement that keeps it takes the master key's id, the wrapped key, and what the row
/// is found by.
pub(super) async fn rewrap_row(
    connection: &AsyncPgConnection,
    keys: &MasterKeys,
    stored: &SealedOpening,
    (party, name): (&StatementId, &Field),
    (update, row): (&'static str, Vec<u8>),
) -> Result<(), StoreError> {
    let wrapped = rewrap(keys, stored, party, name)?;
    fixed(update)
        .bind::<Text, _>(keys.current_id().to_owned())
        .bind::<Binary, _>(wrapped)
        .bind::<Binary, _>(row)
        .execute(&mut &*connection)
        .await?;
    Ok(())
}

async fn rewrap_openings(connection: &AsyncPgConnection, keys: &MasterKeys) -> Result<u64, StoreError> {
    let rows: Vec<Row> =
        fixed("SELECT statement, field, key_id, wrapped_key FROM vault.opening WHERE key_id <> $1 LIMIT $2 FOR UPDATE")
            .bind::<Text, _>(keys.current_id().to_owned())
            .bind::<BigInt, _>(ROWS_AT_A_TIME)
            .load(&mut &*connection)
            .await?;
    // The referenced key has to be there before the first row is moved to it.
    fixed("INSERT INTO vault.wrapping_key (id) VALUES ($1) ON CONFLICT (id) DO NOTHING")
        .bind::<Text, _>(keys.current_id().to_owned())
        .execute(&mut &*connection)
        .await?;
    let mut done = 0;
    for row in rows {
        let damaged = |reason: String| StoreError::damaged("vault.opening", reason);
        let statement = StatementId::from_slice(&row.statement).ok_or_else(|| damaged("statement".to_owned()))?;
        let field: Field = row.field.parse().map_err(damaged)?;
        let stored = SealedOpening { key_id: row.key_id, wrapped_key: row.wrapped_key, sealed: Vec::new() };
        let wrapped = rewrap(keys, &stored, &statement, &field)?;
        fixed("UPDATE vault.opening SET key_id = $1, wrapped_key = $2 WHERE statement = $3 AND field = $4")
            .bind::<Text, _>(keys.current_id().to_owned())
            .bind::<Binary, _>(wrapped)
            .bind::<Binary, _>(row.statement)
            .bind::<Text, _>(row.field)
            .execute(&mut &*connection)
            .await?;
        done += 1;
    }
    Ok(done)
}
