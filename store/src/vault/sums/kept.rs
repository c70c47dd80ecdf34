//! Sums of one taxpayer as the vault has them: encrypted, with the size of the log they hold at.

use chopmark_core::artefact::IpType;
use chopmark_core::expenditure::report::{Cell, Summary, Totals};
use chopmark_core::money::Amount;
use chopmark_core::sealed::Field;
use chopmark_core::statement::StatementId;
use chopmark_core::tax::year::Year;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use serde::{Deserialize, Serialize};

use super::super::openings::usable_keys;
use super::super::rotation::rewrap_row;
use super::super::seal::{self, SealedOpening};
use super::super::{MasterKeys, Vault};
use super::PLACE;
use crate::error::{StoreError, bigint};
use crate::expenditure::Gathered;
use crate::fixed::{Fixed, fixed};
use crate::project::statement_id;

#[derive(Serialize, Deserialize)]
struct KeptCell {
    jurisdiction: String,
    year: Year,
    ip_type: Option<IpType>,
    section: String,
    /// Deduction, receipt, withholding, concession, in cents.
    cents: [String; 4],
}

/// A taxpayer's row.
#[derive(QueryableByName)]
pub(super) struct SumRow {
    #[diesel(sql_type = Binary)]
    pub(super) party: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    pub(super) size: i64,
    #[diesel(sql_type = Text)]
    key_id: String,
    #[diesel(sql_type = Binary)]
    wrapped_key: Vec<u8>,
    #[diesel(sql_type = Binary)]
    sealed: Vec<u8>,
}

/// The rows of these taxpayers that were computed on this basis at a size or before.
pub(super) fn rows<'a>(taxpayers: &[StatementId], size: u64, basis: Vec<u8>) -> Fixed<'a> {
    fixed(
        "SELECT party, size, key_id, wrapped_key, sealed FROM vault.report_sum
         WHERE party = ANY ($1) AND rules = $2 AND size <= $3",
    )
    .bind::<Array<Binary>, _>(taxpayers.iter().map(|id| id.as_bytes().to_vec()).collect::<Vec<_>>())
    .bind::<Binary, _>(basis)
    .bind::<BigInt, _>(bigint(size))
}

impl SumRow {
    /// What tells it from every other row: the nonce, which stands first.
    pub(super) fn version(&self) -> Vec<u8> {
        self.sealed.iter().take(seal::NONCE_BYTES).copied().collect()
    }

    /// Whose it is, and what it says.
    pub(super) fn open(self, vault: &Vault) -> Result<(StatementId, Summary), StoreError> {
        let party = statement_id(&self.party, PLACE)?;
        let keys = vault.keys_with(&self.key_id)?;
        let row = SealedOpening { key_id: self.key_id, wrapped_key: self.wrapped_key, sealed: self.sealed };
        Ok((party, from_bytes(&seal::open_secret(&keys, &row, &party, &name()?)?)?))
    }
}

fn name() -> Result<Field, StoreError> {
    "/report-sum".parse().map_err(|reason: String| StoreError::damaged(PLACE, reason))
}

fn to_bytes(summary: &Summary) -> Result<Vec<u8>, StoreError> {
    let cell = |(cell, totals): (&Cell, &Totals)| KeptCell {
        jurisdiction: cell.jurisdiction.clone(),
        year: cell.year,
        ip_type: cell.ip_type,
        section: cell.section.clone(),
        cents: [totals.deduction, totals.receipt, totals.withholding, totals.concession]
            .map(|amount| amount.cents().to_string()),
    };
    serde_json::to_vec(&summary.cells().map(cell).collect::<Vec<_>>())
        .map_err(|error| StoreError::damaged(PLACE, error))
}

fn from_bytes(bytes: &[u8]) -> Result<Summary, StoreError> {
    let damaged = |reason: String| StoreError::damaged(PLACE, reason);
    let cells: Vec<KeptCell> = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    let mut summary = Summary::default();
    for KeptCell { jurisdiction, year, ip_type, section, cents } in cells {
        let amount = |text: &String| text.parse().map(Amount::from_cents).map_err(|_| damaged(format!("{text:?}")));
        let [deduction, receipt, withholding, concession] = &cents;
        let totals = Totals {
            deduction: amount(deduction)?,
            receipt: amount(receipt)?,
            withholding: amount(withholding)?,
            concession: amount(concession)?,
        };
        let put = summary.put(Cell { jurisdiction, year, ip_type, section }, totals);
        put.map_err(|error| damaged(error.to_string()))?;
    }
    Ok(summary)
}

/// Until this transaction ends, no opening comes that an entry of the log came without.
pub(super) async fn hold(connection: &AsyncPgConnection) -> Result<(), StoreError> {
    fixed("LOCK TABLE vault.report_sum IN ROW EXCLUSIVE MODE").execute(&mut &*connection).await?;
    Ok(())
}

/// Until this transaction ends, which brings such openings, no sums are kept: they would lack what it brings.
pub(in crate::vault) async fn hold_all(connection: &AsyncPgConnection) -> Result<(), StoreError> {
    fixed("LOCK TABLE vault.report_sum IN SHARE ROW EXCLUSIVE MODE").execute(&mut &*connection).await?;
    Ok(())
}

/// Whether openings came that were not there when this was gathered.
pub(super) async fn is_more_there(
    connection: &AsyncPgConnection,
    vault: &Vault,
    taxpayer: StatementId,
    gathered: &Gathered,
) -> Result<bool, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        is_there: bool,
    }
    let unopened = gathered.items.iter().filter(|item| item.openings.is_empty());
    let unopened = unopened.map(|item| StatementId::of(item.envelope.payload()).as_bytes().to_vec());
    let row: Row = fixed(
        "SELECT EXISTS (SELECT FROM vault.opening JOIN vault.reader USING (statement)
             WHERE statement = ANY ($1) AND zone = ANY ($2) AND erased_by IS NULL
             AND party = $3 AND mac IS NOT NULL) AS is_there",
    )
    .bind::<Array<Binary>, _>(unopened.collect::<Vec<_>>())
    .bind::<Array<Text>, _>(vault.zone_names())
    .bind::<Binary, _>(taxpayer.as_bytes().to_vec())
    .get_result(&mut &*connection)
    .await?;
    Ok(row.is_there)
}

/// Destroys the sums that count values of this statement, or lack them.
pub(in crate::vault) async fn forget(
    connection: &AsyncPgConnection,
    statement: &StatementId,
) -> Result<(), StoreError> {
    fixed("DELETE FROM vault.report_sum WHERE party IN (SELECT party FROM vault.reader WHERE statement = $1)")
        .bind::<Binary, _>(statement.as_bytes().to_vec())
        .execute(&mut &*connection)
        .await?;
    Ok(())
}

/// Keeps the sums of a taxpayer, unless there are some of a larger size.
pub(super) async fn keep(
    connection: &AsyncPgConnection,
    vault: &Vault,
    (party, size, basis): (StatementId, u64, Vec<u8>),
    summary: &Summary,
) -> Result<(), StoreError> {
    let keys = usable_keys(connection, vault).await?;
    let SealedOpening { key_id, wrapped_key, sealed } =
        seal::seal_secret(&keys, &party, &name()?, &to_bytes(summary)?)?;
    fixed(
        "INSERT INTO vault.report_sum AS known (party, size, rules, key_id, wrapped_key, sealed)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (party) DO UPDATE SET size = excluded.size, rules = excluded.rules, key_id = excluded.key_id,
             wrapped_key = excluded.wrapped_key, sealed = excluded.sealed
         WHERE known.size <= excluded.size",
    )
    .bind::<Binary, _>(party.as_bytes().to_vec())
    .bind::<BigInt, _>(bigint(size))
    .bind::<Binary, _>(basis)
    .bind::<Text, _>(key_id)
    .bind::<Binary, _>(wrapped_key)
    .bind::<Binary, _>(sealed)
    .execute(&mut &*connection)
    .await?;
    Ok(())
}

/// Wraps the data keys of some sums anew; how many.
pub(in crate::vault) async fn rewrap_some(
    connection: &AsyncPgConnection,
    keys: &MasterKeys,
    limit: i64,
) -> Result<u64, StoreError> {
    let rows: Vec<SumRow> = fixed(
        "SELECT party, size, key_id, wrapped_key, ''::bytea AS sealed FROM vault.report_sum
         WHERE key_id <> $1 LIMIT $2 FOR UPDATE",
    )
    .bind::<Text, _>(keys.current_id().to_owned())
    .bind::<BigInt, _>(limit)
    .load(&mut &*connection)
    .await?;
    let mut done = 0;
    for SumRow { party, key_id, wrapped_key, sealed, .. } in rows {
        let stored = SealedOpening { key_id, wrapped_key, sealed };
        let whose = statement_id(&party, PLACE)?;
        let update = ("UPDATE vault.report_sum SET key_id = $1, wrapped_key = $2 WHERE party = $3", party);
        rewrap_row(connection, keys, &stored, (&whose, &name()?), update).await?;
        done += 1;
    }
    Ok(done)
}
