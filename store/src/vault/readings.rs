//! Reading openings: the record of it is written in the same transaction, first, and nothing leaves before its commit.

use core::time::Duration;

use chopmark_core::access::{ACCESS_SCHEMA, AccessRecord, Action, Principal, Reason, Refused, Resource, authorize};
use chopmark_core::sealed::{Field, Opening};
use chopmark_core::statement::StatementId;
use chopmark_core::strict;
use chopmark_core::time::Timestamp;
use data_encoding::HEXLOWER;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text, Timestamptz};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};

use super::seal::{self, SealedOpening};
use super::{Acting, Vault, act, readers};
use crate::Store;
use crate::error::{StoreError, count};
use crate::fixed::fixed;

/// Somebody reads openings.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// Who.
    pub principal: &'a Principal,
    /// Of which statement.
    pub statement: &'a StatementId,
    /// Which fields, by whole name or last part; all when empty.
    pub fields: &'a [String],
    /// Why.
    pub reason: Option<&'a Reason>,
    /// Now, by the registry's clock.
    pub now: Timestamp,
    /// 16 random bytes that name the record.
    pub id: [u8; 16],
}

/// A sealed field as the vault has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptOpening {
    /// It is here.
    Kept(Opening),
    /// It was destroyed.
    Erased {
        /// Which field.
        field: Field,
        /// The entry that says so.
        index: u64,
    },
}

impl KeptOpening {
    /// Which field.
    pub fn field(&self) -> &Field {
        match self {
            Self::Kept(opening) => &opening.field,
            Self::Erased { field, .. } => field,
        }
    }
}

#[derive(QueryableByName)]
pub(super) struct OpeningRow {
    #[diesel(sql_type = Text)]
    pub(super) field: String,
    #[diesel(sql_type = Nullable<Text>)]
    key_id: Option<String>,
    #[diesel(sql_type = Nullable<Binary>)]
    wrapped_key: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Binary>)]
    sealed: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<BigInt>)]
    erased_by: Option<i64>,
}

impl Store {
    /// Reads openings for somebody, and records that.
    ///
    /// # Errors
    /// When the record can't be written, or the openings can't be read: nothing is known of them then.
    pub async fn read_openings(&self, reading: Reading<'_>) -> Result<Result<Vec<KeptOpening>, Refused>, StoreError> {
        let Some(vault) = self.vault() else { return Ok(Err(Refused::NotTheirs)) };
        let mut connection = self.inner.pool.get().await?;
        let read = connection.transaction(async |connection| {
            act(connection, Acting::Principal(reading.principal)).await?;
            let readers = readers::of(connection, vault, reading.statement).await?;
            let action = Action::ReadOpenings(reading.reason);
            if let Err(refused) = authorize(reading.principal, action, Resource::Openings(&readers)) {
                return Ok(Err(refused));
            }
            record(connection, vault, reading).await?;
            Ok::<_, StoreError>(Ok(rows(connection, vault, reading.statement).await?))
        });
        // Only what is recorded for good is decrypted.
        let rows = match read.await? {
            Ok(rows) => rows,
            Err(refused) => return Ok(Err(refused)),
        };
        let mut openings = Vec::with_capacity(rows.len());
        for row in rows {
            let opening = open(vault, reading.statement, row)?;
            if reading.fields.is_empty() || reading.fields.iter().any(|field| opening.field().is_called(field)) {
                openings.push(opening);
            }
        }
        Ok(Ok(openings))
    }
}

/// Writes down that somebody reads.
pub(super) async fn record(
    connection: &AsyncPgConnection,
    vault: &Vault,
    reading: Reading<'_>,
) -> Result<(), StoreError> {
    let Reading { principal, statement, fields, reason, now, id } = reading;
    let delay = if principal.who.role() == "officer" { vault.config.officers_shown_after } else { Duration::ZERO };
    let record = AccessRecord {
        schema: ACCESS_SCHEMA.to_owned(),
        id: HEXLOWER.encode(&id),
        at: now,
        statement: *statement,
        fields: fields.to_vec(),
        role: principal.who.role().to_owned(),
        bound_to: principal.who.bound_to(),
        token: principal.token.to_string(),
        reason: reason.cloned(),
        shown_from: (!delay.is_zero()).then(|| Timestamp::from(now.to_utc() + delay)),
    };
    let body = strict::to_canonical(&record).map_err(|error| StoreError::damaged("vault.access", error))?;
    fixed(
        "INSERT INTO vault.access (id, statement, role, bound_to, token, body, shown_from)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind::<Binary, _>(id.to_vec())
    .bind::<Binary, _>(statement.as_bytes().to_vec())
    .bind::<Text, _>(record.role.clone())
    .bind::<Text, _>(record.bound_to.clone())
    .bind::<Text, _>(record.token.clone())
    .bind::<Binary, _>(body)
    .bind::<Timestamptz, _>(record.visible_from().to_utc())
    .execute(&mut &*connection)
    .await?;
    fixed("INSERT INTO vault.access_pending (access) VALUES ($1)")
        .bind::<Binary, _>(id.to_vec())
        .execute(&mut &*connection)
        .await?;
    Ok(())
}

/// The openings of a statement, where this vault serves their zone.
async fn rows(
    connection: &AsyncPgConnection,
    vault: &Vault,
    statement: &StatementId,
) -> Result<Vec<OpeningRow>, StoreError> {
    let query = fixed(
        "SELECT field, key_id, wrapped_key, sealed, erased_by FROM vault.opening
         WHERE statement = $1 AND zone = ANY ($2) ORDER BY position",
    );
    let query = query.bind::<Binary, _>(statement.as_bytes().to_vec());
    Ok(query.bind::<Array<Text>, _>(vault.zone_names()).load(&mut &*connection).await?)
}

/// Decrypts a row.
pub(super) fn open(vault: &Vault, statement: &StatementId, row: OpeningRow) -> Result<KeptOpening, StoreError> {
    let damaged = |reason: String| StoreError::damaged(format!("vault.opening {statement}"), reason);
    let field: Field = row.field.parse().map_err(damaged)?;
    let OpeningRow { key_id: Some(key_id), wrapped_key: Some(wrapped_key), sealed: Some(sealed), .. } = row else {
        let index = row.erased_by.ok_or_else(|| damaged(format!("{field} is neither kept nor erased")))?;
        return Ok(KeptOpening::Erased { field, index: count(index, "vault.opening")? });
    };
    let keys = vault.keys_with(&key_id)?;
    let stored = SealedOpening { key_id, wrapped_key, sealed };
    Ok(KeptOpening::Kept(seal::open(&keys, &stored, statement, &field)?))
}
