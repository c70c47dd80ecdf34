//! The audit of sealed values: who may read them, that their openings are here, and that these open what stands in the log.
//!
//! The log says which fields are sealed, who may read them and what was destroyed; not whether the openings came to this
//! vault or to one of another zone. So a statement has all of them here or none, and how many have none is said. That a
//! row opens the very commitment can only be told with the master keys.

use std::collections::BTreeMap;

use chopmark_core::kind::{Claim, NewReader, OpeningsOf};
use chopmark_core::sealed::Place;
use chopmark_core::statement::StatementId;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};

use super::readers::signers;
use super::readings::{KeptOpening, OpeningRow, open};
use super::{Acting, Vault, act};
use crate::audit::{Finding, JudgedEntry, Stop};
use crate::error::{StoreError, bigint};
use crate::fixed::fixed;

/// Terms, their publisher, the party, and the entry that makes it a reader.
type TermsReader = (Vec<u8>, Vec<u8>, Vec<u8>, i64);

/// What a piece of the log says of sealed values.
#[derive(Default)]
pub(crate) struct Told {
    /// Sealed fields.
    fields: Vec<(Vec<u8>, String, i64)>,
    /// Readers of statements: statement, party, entry, and whether only where the openings are here.
    readers: Vec<(Vec<u8>, Vec<u8>, i64, bool)>,
    /// Readers of terms.
    terms_readers: Vec<TermsReader>,
    /// Destroyed openings.
    erased: Vec<(Vec<u8>, String, i64)>,
}

impl Told {
    /// What these entries say.
    pub(crate) fn by(entries: &[JudgedEntry]) -> Self {
        let mut told = Self::default();
        for JudgedEntry { index, statement, .. } in entries {
            let (id, index, kind) = (statement.id.as_bytes().to_vec(), bigint(*index), statement.claim.kind());
            let sealed = kind.sealed_fields();
            if !sealed.is_empty() {
                let readers = signers(statement).into_iter();
                told.readers.extend(readers.map(|party| (id.clone(), party.as_bytes().to_vec(), index, true)));
            }
            told.fields.extend(sealed.into_iter().map(|sealed| (id.clone(), sealed.field.to_string(), index)));
            for NewReader { party, of } in kind.new_readers(statement) {
                let party = party.as_bytes().to_vec();
                match of {
                    OpeningsOf::Statement(of) => told.readers.push((of.as_bytes().to_vec(), party, index, false)),
                    OpeningsOf::Terms { id, publisher } => {
                        let (terms, publisher) = (id.as_bytes().to_vec(), publisher.as_bytes().to_vec());
                        told.terms_readers.push((terms, publisher, party, index));
                    }
                }
            }
            if let Claim::Erased(claim) = &statement.claim {
                let of = claim.statement.as_bytes();
                told.erased.extend(claim.fields.iter().map(|field| (of.to_vec(), field.to_string(), index)));
            }
        }
        told
    }

    /// Puts it beside what earlier entries said, and what these made of the read tables, which tell the statement by
    /// which terms were published.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn keep(self, connection: &AsyncPgConnection) -> Result<(), StoreError> {
        if !self.fields.is_empty() {
            let (statements, fields, indices) = columns(self.fields);
            fixed("INSERT INTO sealed_field (statement, field, idx) SELECT * FROM unnest($1, $2, $3)")
                .bind::<Array<Binary>, _>(statements)
                .bind::<Array<Text>, _>(fields)
                .bind::<Array<BigInt>, _>(indices)
                .execute(&mut &*connection)
                .await?;
        }
        if !self.readers.is_empty() {
            let (statements, (parties, (indices, where_kept))): (Vec<_>, (Vec<_>, (Vec<_>, Vec<_>))) =
                self.readers.into_iter().map(|(of, party, index, kept)| (of, (party, (index, kept)))).unzip();
            fixed("INSERT INTO sealed_reader (statement, party, idx, where_kept) SELECT * FROM unnest($1, $2, $3, $4)")
                .bind::<Array<Binary>, _>(statements)
                .bind::<Array<Binary>, _>(parties)
                .bind::<Array<BigInt>, _>(indices)
                .bind::<Array<Bool>, _>(where_kept)
                .execute(&mut &*connection)
                .await?;
        }
        if !self.terms_readers.is_empty() {
            let (terms, (publishers, (parties, indices))): (Vec<_>, (Vec<_>, (Vec<_>, Vec<_>))) =
                self.terms_readers.into_iter().map(|(id, by, party, index)| (id, (by, (party, index)))).unzip();
            fixed(
                "INSERT INTO sealed_reader (statement, party, idx, where_kept)
                 SELECT terms.statement, new.party, new.idx, true
                 FROM unnest($1, $2, $3, $4) AS new (terms, publisher, party, idx)
                 JOIN terms ON terms.id = new.terms AND terms.issuer = new.publisher",
            )
            .bind::<Array<Binary>, _>(terms)
            .bind::<Array<Binary>, _>(publishers)
            .bind::<Array<Binary>, _>(parties)
            .bind::<Array<BigInt>, _>(indices)
            .execute(&mut &*connection)
            .await?;
        }
        if !self.erased.is_empty() {
            let (statements, fields, indices) = columns(self.erased);
            fixed(
                "UPDATE sealed_field SET erased_by = new.idx FROM unnest($1, $2, $3) AS new (statement, field, idx)
                 WHERE (sealed_field.statement, sealed_field.field) = (new.statement, new.field)
                 AND sealed_field.erased_by IS NULL",
            )
            .bind::<Array<Binary>, _>(statements)
            .bind::<Array<Text>, _>(fields)
            .bind::<Array<BigInt>, _>(indices)
            .execute(&mut &*connection)
            .await?;
        }
        Ok(())
    }
}

fn columns(rows: Vec<(Vec<u8>, String, i64)>) -> (Vec<Vec<u8>>, Vec<String>, Vec<i64>) {
    let (statements, (fields, indices)): (Vec<_>, (Vec<_>, Vec<_>)) =
        rows.into_iter().map(|(statement, field, index)| (statement, (field, index))).unzip();
    (statements, fields, indices)
}

/// Makes the temporary tables that [`Told::keep`] fills.
///
/// # Errors
/// When the database fails.
pub(crate) async fn make(connection: &mut AsyncPgConnection) -> Result<(), StoreError> {
    let tables =
        "CREATE TEMPORARY TABLE sealed_field (statement bytea NOT NULL, field text NOT NULL, idx bigint NOT NULL,
                      erased_by bigint, PRIMARY KEY (statement, field));
                  CREATE TEMPORARY TABLE sealed_reader (statement bytea NOT NULL, party bytea NOT NULL,
                      idx bigint NOT NULL, where_kept boolean NOT NULL)";
    Ok(connection.batch_execute(tables).await?)
}

#[derive(QueryableByName)]
struct LiveRow {
    #[diesel(sql_type = Binary)]
    statement: Vec<u8>,
    #[diesel(embed)]
    opening: OpeningRow,
}

/// Opens what is kept of these entries' sealed fields, and compares it with the commitments. How many.
///
/// # Errors
/// The first opening that is not the one of the log.
pub(crate) async fn check_openings(
    connection: &AsyncPgConnection,
    vault: &Vault,
    entries: &[JudgedEntry],
) -> Result<u64, Stop> {
    let sealing = entries.iter().filter(|entry| !entry.statement.claim.kind().sealed_fields().is_empty());
    let sealing: BTreeMap<StatementId, &JudgedEntry> = sealing.map(|entry| (entry.statement.id, entry)).collect();
    if sealing.is_empty() {
        return Ok(0);
    }
    act(connection, Acting::Service).await?;
    let rows: Vec<LiveRow> = fixed(
        "SELECT statement, field, key_id, wrapped_key, sealed, erased_by FROM vault.opening
         WHERE statement = ANY ($1) AND erased_by IS NULL ORDER BY statement, position",
    )
    .bind::<Array<Binary>, _>(sealing.keys().map(|id| id.as_bytes().to_vec()).collect::<Vec<_>>())
    .load(&mut &*connection)
    .await?;
    let mut opened = 0;
    for LiveRow { statement, opening } in rows {
        let entry = StatementId::from_slice(&statement).and_then(|id| sealing.get(&id));
        let Some(JudgedEntry { index, statement, .. }) = entry else { continue };
        let object = place(&statement.id.to_hex(), &opening.field);
        let found = |reason: String| Stop::Found(Finding::new(object, *index, reason));
        let sealed = statement.claim.kind().sealed_fields();
        // What the log does not seal is named with all the others that are too many.
        let Some(sealed) = sealed.iter().find(|sealed| sealed.field.as_str() == opening.field) else { continue };
        let bound_to = Place::of(&statement.header, statement.claim.predicate_type());
        match open(vault, &statement.id, opening) {
            Ok(KeptOpening::Kept(opening)) if opening.commitment(&bound_to) == sealed.commitment => opened += 1,
            Ok(_) => return Err(found("opens something else than the log's commitment".to_owned())),
            Err(StoreError::Damaged { reason, .. } | StoreError::Vault(reason)) => return Err(found(reason)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(opened)
}

fn place(statement: &str, field: &str) -> String {
    format!("vault.opening {statement} {field}")
}

/// Compares openings and readers with what the whole log says. How many statements with sealed values have no opening here.
///
/// # Errors
/// The first row that is missing, too much or different.
pub(crate) async fn compare(connection: &AsyncPgConnection) -> Result<u64, Stop> {
    #[derive(QueryableByName)]
    struct Number {
        #[diesel(sql_type = BigInt)]
        number: i64,
    }
    act(connection, Acting::Service).await?;
    if let Some(finding) = different_opening(connection).await? {
        return Err(finding.into());
    }
    if let Some(finding) = different_reader(connection).await? {
        return Err(finding.into());
    }
    let Number { number } = fixed(
        "SELECT count(DISTINCT statement) AS number FROM sealed_field
         WHERE NOT EXISTS (SELECT FROM vault.opening WHERE opening.statement = sealed_field.statement)",
    )
    .get_result(&mut &*connection)
    .await?;
    Ok(crate::error::count(number, "vault.opening")?)
}

async fn different_opening(connection: &AsyncPgConnection) -> Result<Option<Finding>, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        statement: String,
        #[diesel(sql_type = Text)]
        field: String,
        #[diesel(sql_type = Nullable<BigInt>)]
        idx: Option<i64>,
        #[diesel(sql_type = Bool)]
        is_there: bool,
        #[diesel(sql_type = Nullable<BigInt>)]
        erased_by: Option<i64>,
        #[diesel(sql_type = Nullable<BigInt>)]
        told: Option<i64>,
    }
    let row: Option<Row> = fixed(
        "SELECT encode(statement, 'hex') AS statement, field, told.idx, kept.position IS NOT NULL AS is_there,
             kept.erased_by, told.erased_by AS told
         FROM vault.opening AS kept FULL JOIN sealed_field AS told USING (statement, field)
         WHERE told.idx IS NULL
             OR (kept.position IS NOT NULL AND kept.erased_by IS DISTINCT FROM told.erased_by)
             OR (kept.position IS NULL AND (told.erased_by IS NOT NULL
                 OR EXISTS (SELECT FROM vault.opening AS other WHERE other.statement = told.statement)))
         ORDER BY told.idx NULLS LAST, 1, field LIMIT 1",
    )
    .get_result(&mut &*connection)
    .await
    .optional()?;
    Ok(row.map(|Row { statement, field, idx, is_there, erased_by, told }| {
        let reason = match (idx, erased_by, told) {
            (None, ..) => "is there, and no entry seals it".to_owned(),
            (Some(index), ..) if !is_there => format!("the row is missing, entry {index} seals the field"),
            (_, Some(by), None) => format!("is said to have been destroyed by entry {by}, which did not"),
            (_, Some(by), Some(told)) => format!("is said to have been destroyed by entry {by}, it was entry {told}"),
            (_, None, told) => format!("is there, entry {} says that it was destroyed", told.unwrap_or_default()),
        };
        Finding::new(place(&statement, &field), idx.and_then(|index| u64::try_from(index).ok()), reason)
    }))
}

async fn different_reader(connection: &AsyncPgConnection) -> Result<Option<Finding>, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        statement: String,
        #[diesel(sql_type = Text)]
        party: String,
        #[diesel(sql_type = Nullable<BigInt>)]
        idx: Option<i64>,
        #[diesel(sql_type = Bool)]
        is_there: bool,
        #[diesel(sql_type = Nullable<Text>)]
        jurisdiction: Option<String>,
        #[diesel(sql_type = Nullable<Text>)]
        told: Option<String>,
    }
    // The table of parties is the one that the entries make.
    let row: Option<Row> = fixed(
        "WITH told AS (
             SELECT statement, party, min(idx) AS idx, (SELECT party.jurisdiction FROM party WHERE party.id = said.party)
             FROM sealed_reader AS said
             WHERE NOT where_kept OR EXISTS (SELECT FROM vault.opening WHERE opening.statement = said.statement)
             GROUP BY statement, party
         ), kept AS (SELECT statement, party, jurisdiction, true AS is_there FROM vault.reader)
         SELECT encode(statement, 'hex') AS statement, encode(party, 'hex') AS party, told.idx,
             kept.is_there IS NOT NULL AS is_there, kept.jurisdiction, told.jurisdiction AS told
         FROM kept FULL JOIN told USING (statement, party)
         WHERE told.idx IS NULL OR kept.is_there IS NULL OR kept.jurisdiction IS DISTINCT FROM told.jurisdiction
         ORDER BY told.idx NULLS LAST, 1, 2 LIMIT 1",
    )
    .get_result(&mut &*connection)
    .await
    .optional()?;
    Ok(row.map(|Row { statement, party, idx, is_there, jurisdiction, told }| {
        let nowhere = || "no place".to_owned();
        let reason = match idx {
            None => format!("lets party {party} read, and no entry does"),
            Some(index) if !is_there => format!("does not let party {party} read, entry {index} does"),
            Some(_) => format!(
                "says that party {party} is of {}, it is of {}",
                jurisdiction.unwrap_or_else(nowhere),
                told.unwrap_or_else(nowhere)
            ),
        };
        let index = idx.and_then(|index| u64::try_from(index).ok());
        Finding::new(format!("vault.reader {statement}"), index, reason)
    }))
}
