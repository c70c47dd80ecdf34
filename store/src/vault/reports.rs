//! Reports: their evidence opened for somebody, and the reports themselves, kept encrypted. As with openings, the record of it
//! is written in the transaction that reads, first; it is about the taxpayer's party.

use std::collections::BTreeMap;

use chopmark_core::access::{Action, Reader, Refused, Resource, Who, authorize};
use chopmark_core::code::Jurisdiction;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::sealed::{Field, Opening};
use chopmark_core::statement::StatementId;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};
use zeroize::Zeroizing;

use super::openings::usable_keys;
use super::readings::{self, OpeningRow};
use super::rotation::rewrap_row;
use super::seal::{self, SealedOpening};
use super::{Acting, KeptOpening, MasterKeys, Reading, Vault, act, readers};
use crate::Store;
use crate::error::{StoreError, bigint, count};
use crate::expenditure::{Gathered, Selection, TooMany};
use crate::fixed::fixed;

/// Why there is no evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotGathered {
    /// Whoever asks may not.
    Refused(Refused),
    /// There is more than one report rests on.
    TooMany(TooMany),
}

/// A report as the vault has it.
#[derive(Debug)]
pub enum StoredReport {
    /// It is here: the file, byte for byte.
    Kept(Zeroizing<Vec<u8>>),
    /// A value in it was destroyed, and it with it.
    Erased {
        /// The entry that says so.
        index: u64,
    },
}

#[derive(QueryableByName)]
struct TaxpayerRow {
    #[diesel(sql_type = BigInt)]
    idx: i64,
    #[diesel(sql_type = Nullable<Text>)]
    jurisdiction: Option<String>,
}

#[derive(QueryableByName)]
struct OpenedRow {
    #[diesel(sql_type = Binary)]
    statement: Vec<u8>,
    #[diesel(embed)]
    row: OpeningRow,
}

#[derive(QueryableByName)]
struct ReportRow {
    #[diesel(sql_type = Binary)]
    id: Vec<u8>,
    #[diesel(sql_type = Binary)]
    party: Vec<u8>,
    #[diesel(sql_type = Nullable<Text>)]
    key_id: Option<String>,
    #[diesel(sql_type = Nullable<Binary>)]
    wrapped_key: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Binary>)]
    sealed: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<BigInt>)]
    erased_by: Option<i64>,
}

#[derive(QueryableByName)]
struct PartyRow {
    #[diesel(sql_type = Binary)]
    party: Vec<u8>,
}

#[derive(QueryableByName)]
struct ErasedRow {
    #[diesel(sql_type = Nullable<BigInt>)]
    erased_by: Option<i64>,
}

#[derive(QueryableByName)]
struct FieldRow {
    #[diesel(sql_type = Text)]
    #[expect(dead_code, reason = "rows are counted")]
    field: String,
}

/// What a kept report is bound to beside its taxpayer.
fn name(id: &Sha256Digest) -> Result<Field, StoreError> {
    format!("/report/{id}").parse().map_err(|reason: String| StoreError::damaged("vault.report", reason))
}

/// What is selected of a taxpayer, with the rows that open it.
pub(super) type Opened = (Selection, Vec<(StatementId, OpeningRow)>);

/// Selects evidence, and the rows of its openings that the taxpayer may read; for an officer, those that it may read where it is
/// established in the officer's place. Openings of zones that are not served here count as not kept.
pub(super) async fn select(
    connection: &AsyncPgConnection,
    vault: &Vault,
    (taxpayer, officer_of): (StatementId, Option<&Jurisdiction>),
    size: u64,
) -> Result<Result<Opened, TooMany>, StoreError> {
    let selection = match Selection::open(connection, taxpayer, size).await? {
        Ok(selection) => selection,
        Err(many) => return Ok(Err(many)),
    };
    let sealed: Vec<Vec<u8>> = selection.sealed().iter().map(|id| id.as_bytes().to_vec()).collect();
    let mut readable = Vec::with_capacity(sealed.len());
    for row in readers::of_party(connection, sealed, &taxpayer).await? {
        let is_of_place = |reader: &Reader| officer_of.is_none_or(|place| reader.jurisdiction.as_ref() == Some(place));
        if row.reader(vault)?.as_ref().is_some_and(is_of_place) {
            readable.push(row.statement()?.as_bytes().to_vec());
        }
    }
    let rows: Vec<OpenedRow> = fixed(
        "SELECT statement, field, key_id, wrapped_key, sealed, erased_by FROM vault.opening
         WHERE statement = ANY ($1) AND zone = ANY ($2) ORDER BY statement, position",
    )
    .bind::<Array<Binary>, _>(readable)
    .bind::<Array<Text>, _>(vault.zone_names())
    .load(&mut &*connection)
    .await?;
    let rows = rows.into_iter().map(|OpenedRow { statement, row }| {
        let id = StatementId::from_slice(&statement);
        Ok((id.ok_or_else(|| StoreError::damaged("vault.opening", "statement"))?, row))
    });
    Ok(Ok((selection, rows.collect::<Result<_, StoreError>>()?)))
}

/// Decrypts those that were not erased, in the order of the fields.
pub(super) fn open(
    vault: &Vault,
    rows: Vec<(StatementId, OpeningRow)>,
) -> Result<BTreeMap<StatementId, Vec<Opening>>, StoreError> {
    let mut openings: BTreeMap<StatementId, Vec<Opening>> = BTreeMap::new();
    for (statement, row) in rows {
        if let KeptOpening::Kept(opening) = readings::open(vault, &statement, row)? {
            openings.entry(statement).or_default().push(opening);
        }
    }
    Ok(openings)
}

impl Store {
    /// Gathers the evidence of a taxpayer below a size, opened for somebody, and records that. The statement of the reading
    /// is the taxpayer's party.
    ///
    /// # Errors
    /// When the record can't be written, or the evidence can't be read: nothing is known of it then.
    pub async fn report_evidence(
        &self,
        reading: Reading<'_>,
        size: u64,
    ) -> Result<Result<Gathered, NotGathered>, StoreError> {
        let refused = |refused| Ok(Err(NotGathered::Refused(refused)));
        let Some(vault) = self.vault() else { return refused(Refused::NotTheirs) };
        let mut connection = self.inner.pool.get().await?;
        let read = connection.transaction(async |connection| {
            act(connection, Acting::Principal(reading.principal)).await?;
            if let Err(why) = admit(connection, vault, reading, size).await? {
                return Ok(Err(NotGathered::Refused(why)));
            }
            let officer_of = match &reading.principal.who {
                Who::Officer(place) => Some(place),
                _ => None,
            };
            let selected = select(connection, vault, (*reading.statement, officer_of), size).await?;
            Ok::<_, StoreError>(selected.map_err(NotGathered::TooMany))
        });
        // Only what is recorded for good is decrypted.
        let (selection, rows) = match read.await? {
            Ok(selected) => selected,
            Err(why) => return Ok(Err(why)),
        };
        let gathered = selection.close(&connection, open(vault, rows)?).await?;
        Ok(gathered.map_err(NotGathered::TooMany))
    }

    /// Keeps a report, encrypted; its id. `None` when something it shows was erased meanwhile: it has to be made anew.
    ///
    /// # Errors
    /// When there is no vault, or it can't be written.
    pub async fn keep_report(
        &self,
        taxpayer: &StatementId,
        gathered: &Gathered,
        file: &[u8],
    ) -> Result<Option<Sha256Digest>, StoreError> {
        let vault = self.vault().ok_or_else(|| StoreError::Vault("there is no vault".to_owned()))?;
        let id = Sha256Digest::of(file);
        let mut connection = self.inner.pool.get().await?;
        let kept = connection.transaction(async |connection| {
            act(connection, Acting::Service).await?;
            if !is_whole(connection, gathered).await? {
                return Ok(None);
            }
            let keys = usable_keys(connection, vault).await?;
            let SealedOpening { key_id, wrapped_key, sealed } = seal::seal_secret(&keys, taxpayer, &name(&id)?, file)?;
            fixed(
                "INSERT INTO vault.report (id, party, statements, key_id, wrapped_key, sealed)
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING",
            )
            .bind::<Binary, _>(id.as_bytes().to_vec())
            .bind::<Binary, _>(taxpayer.as_bytes().to_vec())
            .bind::<Array<Binary>, _>(opened(gathered))
            .bind::<Text, _>(key_id)
            .bind::<Binary, _>(wrapped_key)
            .bind::<Binary, _>(sealed)
            .execute(connection)
            .await?;
            Ok::<_, StoreError>(Some(id))
        });
        kept.await
    }

    /// The entry that had a report destroyed; `None` while it is there.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn report_erased_by(&self, id: &Sha256Digest) -> Result<Option<u64>, StoreError> {
        let query = fixed("SELECT erased_by FROM vault.report WHERE id = $1").bind::<Binary, _>(id.as_bytes().to_vec());
        let rows: Vec<ErasedRow> = self.load_as(Acting::Service, query).await?;
        let erased_by = rows.into_iter().find_map(|row| row.erased_by);
        erased_by.map(|index| count(index, "vault.report")).transpose()
    }

    /// A kept report, for somebody, and records that. What the reading says of a statement does not matter: the record is
    /// about the taxpayer's party.
    ///
    /// # Errors
    /// When the record can't be written, or the report can't be read: nothing is known of it then.
    pub async fn report(
        &self,
        id: &Sha256Digest,
        reading: Reading<'_>,
    ) -> Result<Result<StoredReport, Refused>, StoreError> {
        let Some(vault) = self.vault() else { return Ok(Err(Refused::NotTheirs)) };
        // One that another process made, with values of a zone that is not served here, is not here.
        let of = fixed(
            "SELECT party FROM vault.report WHERE id = $1 AND NOT EXISTS (
                 SELECT FROM vault.opening WHERE statement = ANY (report.statements) AND zone <> ALL ($2))",
        )
        .bind::<Binary, _>(id.as_bytes().to_vec())
        .bind::<Array<Text>, _>(vault.zone_names());
        let of: Vec<PartyRow> = self.load_as(Acting::Service, of).await?;
        let Some(PartyRow { party }) = of.into_iter().next() else { return Ok(Err(Refused::NotTheirs)) };
        let damaged = |reason: &str| StoreError::damaged(format!("vault.report {id}"), reason);
        let party = StatementId::from_slice(&party).ok_or_else(|| damaged("party"))?;
        let reading = Reading { statement: &party, ..reading };
        let mut connection = self.inner.pool.get().await?;
        let read = connection.transaction(async |connection| {
            act(connection, Acting::Principal(reading.principal)).await?;
            if let Err(why) = admit(connection, vault, reading, u64::MAX).await? {
                return Ok(Err(why));
            }
            let row: ReportRow =
                fixed("SELECT id, party, key_id, wrapped_key, sealed, erased_by FROM vault.report WHERE id = $1")
                    .bind::<Binary, _>(id.as_bytes().to_vec())
                    .get_result(connection)
                    .await?;
            Ok::<_, StoreError>(Ok(row))
        });
        let row = match read.await? {
            Ok(row) => row,
            Err(why) => return Ok(Err(why)),
        };
        let ReportRow { key_id: Some(key_id), wrapped_key: Some(wrapped_key), sealed: Some(sealed), .. } = row else {
            let index = row.erased_by.ok_or_else(|| damaged("is neither kept nor erased"))?;
            return Ok(Ok(StoredReport::Erased { index: count(index, "vault.report")? }));
        };
        let keys = vault.keys_with(&key_id)?;
        let file = seal::open_secret(&keys, &SealedOpening { key_id, wrapped_key, sealed }, &party, &name(id)?)?;
        if Sha256Digest::of(&file) == *id {
            Ok(Ok(StoredReport::Kept(file)))
        } else {
            Err(damaged("has another digest"))
        }
    }
}

/// Whether whoever acts may read reports on the taxpayer that the reading names, as of a size; recorded if so.
pub(super) async fn admit(
    connection: &AsyncPgConnection,
    vault: &Vault,
    reading: Reading<'_>,
    size: u64,
) -> Result<Result<(), Refused>, StoreError> {
    let row: Option<TaxpayerRow> = fixed("SELECT idx, jurisdiction FROM party WHERE id = $1")
        .bind::<Binary, _>(reading.statement.as_bytes().to_vec())
        .get_result(&mut &*connection)
        .await
        .optional()?;
    let Some(TaxpayerRow { idx, jurisdiction }) = row else { return Ok(Err(Refused::NotTheirs)) };
    let jurisdiction = jurisdiction.as_deref().map(Jurisdiction::new).transpose();
    let jurisdiction = jurisdiction.map_err(|reason| StoreError::damaged("view.party", reason))?;
    let reader = Reader { party: *reading.statement, jurisdiction };
    let decided = authorize(reading.principal, Action::ReadReport(reading.reason), Resource::ReportOn(&reader));
    if decided.is_ok() {
        // Before it was there, there is nothing to be read.
        if count(idx, "view.party")? >= size {
            return Ok(Err(Refused::NotTheirs));
        }
        readings::record(connection, vault, reading).await?;
    }
    Ok(decided)
}

fn opened(gathered: &Gathered) -> Vec<Vec<u8>> {
    gathered.opened.iter().map(|id| id.as_bytes().to_vec()).collect()
}

/// Whether everything that was opened is still there; until the end of the transaction nothing of it is erased.
pub(super) async fn is_whole(connection: &AsyncPgConnection, gathered: &Gathered) -> Result<bool, StoreError> {
    let there: Vec<FieldRow> = fixed(
        "SELECT field FROM vault.opening WHERE statement = ANY ($1) AND erased_by IS NULL
         ORDER BY statement, field FOR SHARE",
    )
    .bind::<Array<Binary>, _>(opened(gathered))
    .load(&mut &*connection)
    .await?;
    Ok(there.len() == gathered.items.iter().map(|item| item.openings.len()).sum::<usize>())
}

/// Destroys everything that shows values of this statement.
pub(super) async fn erase(
    connection: &AsyncPgConnection,
    statement: &StatementId,
    index: u64,
) -> Result<(), StoreError> {
    fixed(
        "UPDATE vault.report SET erased_by = $1, key_id = NULL, wrapped_key = NULL, sealed = NULL
         WHERE statements @> ARRAY[$2] AND erased_by IS NULL",
    )
    .bind::<BigInt, _>(bigint(index))
    .bind::<Binary, _>(statement.as_bytes().to_vec())
    .execute(&mut &*connection)
    .await?;
    super::sums::forget(connection, statement).await
}

/// Wraps the data keys of some reports anew; how many.
pub(super) async fn rewrap_some(
    connection: &AsyncPgConnection,
    keys: &MasterKeys,
    limit: i64,
) -> Result<u64, StoreError> {
    let rows: Vec<ReportRow> = fixed(
        "SELECT id, party, key_id, wrapped_key, ''::bytea AS sealed, erased_by FROM vault.report
         WHERE key_id <> $1 LIMIT $2 FOR UPDATE",
    )
    .bind::<Text, _>(keys.current_id().to_owned())
    .bind::<BigInt, _>(limit)
    .load(&mut &*connection)
    .await?;
    let mut done = 0;
    for row in rows {
        let damaged = |reason: &str| StoreError::damaged("vault.report", reason);
        let id = Sha256Digest::from_slice(&row.id).ok_or_else(|| damaged("id"))?;
        let party = StatementId::from_slice(&row.party).ok_or_else(|| damaged("party"))?;
        let (Some(key_id), Some(wrapped_key)) = (row.key_id, row.wrapped_key) else { continue };
        let stored = SealedOpening { key_id, wrapped_key, sealed: Vec::new() };
        let update = ("UPDATE vault.report SET key_id = $1, wrapped_key = $2 WHERE id = $3", row.id);
        rewrap_row(connection, keys, &stored, (&party, &name(&id)?), update).await?;
        done += 1;
    }
    Ok(done)
}
