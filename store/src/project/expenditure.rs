//! Assets, payments and uses as admission looks them up: one row for each, with its latest version.

use std::collections::BTreeSet;

use chopmark_core::admission::{EvidenceChange, EvidenceKind, EvidenceReads, EvidenceRecord, Subject, View};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::{ExpenditureClaim, Replacement, Side};
use chopmark_core::kind::Claim;
use chopmark_core::statement::StatementId;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use super::{from_json, json, statement_id};
use crate::error::{StoreError, bigint, count};
use crate::schema::{evidence, evidence_party, evidence_version};

/// Rows in one statement; each has nine parameters, of which 65,535 are possible.
const ROWS_MAX: usize = 1_000;

/// A row of `view.evidence`.
#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = evidence)]
struct EvidenceRow {
    id: Vec<u8>,
    idx: i64,
    kind: String,
    issuer: Vec<u8>,
    signers: Value,
    subject: Value,
    subject_sha256: Vec<u8>,
    head: Vec<u8>,
    is_reversed: bool,
}

const fn word(kind: EvidenceKind) -> &'static str {
    match kind {
        EvidenceKind::Asset => "asset",
        EvidenceKind::Expenditure => "expenditure",
        EvidenceKind::Use => "use",
    }
}

fn digest(subject: &Subject) -> Result<Vec<u8>, StoreError> {
    let digest = subject.digest().map_err(|error| StoreError::damaged("a subject", error))?;
    Ok(digest.as_bytes().to_vec())
}

impl EvidenceRow {
    fn of(record: &EvidenceRecord) -> Result<Self, StoreError> {
        Ok(Self {
            id: record.id.as_bytes().to_vec(),
            idx: bigint(record.index),
            kind: word(record.subject.kind()).to_owned(),
            issuer: record.issuer.as_bytes().to_vec(),
            signers: json(&record.signers)?,
            subject: json(&record.subject)?,
            subject_sha256: digest(&record.subject)?,
            head: record.head.as_bytes().to_vec(),
            is_reversed: record.is_reversed,
        })
    }

    fn record(self) -> Result<EvidenceRecord, StoreError> {
        let place = format!("view.evidence of entry {}", self.idx);
        Ok(EvidenceRecord {
            id: statement_id(&self.id, &place)?,
            index: count(self.idx, &place)?,
            issuer: statement_id(&self.issuer, &place)?,
            signers: from_json(self.signers, &place)?,
            subject: from_json(self.subject, &place)?,
            head: statement_id(&self.head, &place)?,
            is_reversed: self.is_reversed,
        })
    }
}

/// Looks up what a batch reads, and takes it into the view.
pub(super) async fn load(
    connection: &AsyncPgConnection,
    reads: &EvidenceReads,
    view: &mut View,
) -> Result<(), StoreError> {
    if reads.is_empty() {
        return Ok(());
    }
    let ids: BTreeSet<&StatementId> = reads.ids.iter().collect();
    let ids: Vec<Vec<u8>> = ids.into_iter().map(|id| id.as_bytes().to_vec()).collect();
    let subjects: BTreeSet<&Subject> = reads.subjects.iter().collect();
    let subjects = subjects.into_iter().map(digest).collect::<Result<Vec<_>, _>>()?;
    let (by_id, by_subject) = tokio::try_join!(
        async {
            let query = evidence::table.filter(evidence::id.eq_any(ids)).select(EvidenceRow::as_select());
            query.load::<EvidenceRow>(&mut &*connection).await
        },
        async {
            let query =
                evidence::table.filter(evidence::subject_sha256.eq_any(subjects)).select(EvidenceRow::as_select());
            query.load::<EvidenceRow>(&mut &*connection).await
        },
    )?;
    for row in by_id.into_iter().chain(by_subject) {
        view.evidence_mut().load(row.record()?);
    }
    Ok(())
}

/// A payment that is on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownPayment {
    /// Digest of what makes it this payment: payer, payee and document.
    pub subject: Sha256Digest,
    /// The statement that entered it.
    pub id: StatementId,
    /// Its latest correction, or itself.
    pub head: StatementId,
}

/// Which of these payments are on record, in the order of the log.
pub(crate) async fn payments(
    connection: &mut AsyncPgConnection,
    subjects: &[Sha256Digest],
) -> Result<Vec<KnownPayment>, StoreError> {
    let subjects: Vec<Vec<u8>> = subjects.iter().map(|subject| subject.as_bytes().to_vec()).collect();
    let query = evidence::table
        .filter(evidence::subject_sha256.eq_any(subjects).and(evidence::kind.eq(word(EvidenceKind::Expenditure))))
        .order(evidence::idx)
        .select((evidence::subject_sha256, evidence::id, evidence::head));
    let rows: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> = query.load(connection).await?;
    let known = rows.into_iter().map(|(subject, id, head)| {
        let place = "view.evidence";
        let subject = Sha256Digest::from_slice(&subject);
        let subject = subject.ok_or_else(|| StoreError::damaged(place, "a digest of another length"))?;
        Ok(KnownPayment { subject, id: statement_id(&id, place)?, head: statement_id(&head, place)? })
    });
    known.collect()
}

/// The latest correction of an asset, a payment or a use, or itself.
pub(crate) async fn head(
    connection: &mut AsyncPgConnection,
    id: &StatementId,
) -> Result<Option<StatementId>, StoreError> {
    let query = evidence::table.find(id.as_bytes().as_slice()).select(evidence::head);
    let head: Option<Vec<u8>> = query.first(connection).await.optional()?;
    head.map(|head| statement_id(&head, "view.evidence")).transpose()
}

/// Writes what entries say, in their order: first what is new, then what corrects it.
pub(super) async fn write(connection: &AsyncPgConnection, changes: &[&EvidenceChange]) -> Result<(), StoreError> {
    let records: Vec<EvidenceRecord> = changes.iter().filter_map(|change| change.record()).collect();
    for records in records.chunks(ROWS_MAX) {
        let rows = records.iter().map(EvidenceRow::of).collect::<Result<Vec<_>, _>>()?;
        diesel::insert_into(evidence::table).values(rows).execute(&mut &*connection).await?;
    }
    write_versions(connection, changes).await?;
    write_parties(connection, changes).await?;
    for change in changes {
        let Some(correction) = change.correction() else { continue };
        diesel::update(evidence::table.find(correction.entry.as_bytes().as_slice()))
            .set((
                evidence::head.eq(change.id.as_bytes().as_slice()),
                evidence::is_reversed.eq(correction.replacement.is_none()),
            ))
            .execute(&mut &*connection)
            .await?;
    }
    Ok(())
}

/// Every version of an asset, a payment or a use.
async fn write_versions(connection: &AsyncPgConnection, changes: &[&EvidenceChange]) -> Result<(), StoreError> {
    let version = |change: &EvidenceChange| {
        let entry = match (change.correction(), change.record()) {
            (Some(correction), _) => correction.entry,
            (None, Some(record)) => record.id,
            (None, None) => return None,
        };
        Some((
            evidence_version::idx.eq(bigint(change.index)),
            evidence_version::id.eq(change.id.as_bytes().to_vec()),
            evidence_version::entry.eq(entry.as_bytes().to_vec()),
            evidence_version::assets.eq(assets(change)),
        ))
    };
    let rows: Vec<_> = changes.iter().filter_map(|change| version(change)).collect();
    for rows in rows.chunks(ROWS_MAX) {
        diesel::insert_into(evidence_version::table).values(rows).execute(&mut &*connection).await?;
    }
    Ok(())
}

/// Every entry by the parties that say it or are named in it.
async fn write_parties(connection: &AsyncPgConnection, changes: &[&EvidenceChange]) -> Result<(), StoreError> {
    let rows: Vec<_> = changes
        .iter()
        .flat_map(|change| {
            let (currency, brn) = match &change.claim {
                Claim::FxRate(claim) => (Some(claim.foreign().as_str().to_owned()), None),
                Claim::TaxProfile(claim) => (None, claim.brn.clone()),
                _ => (None, None),
            };
            parties(change).into_iter().map(move |party| {
                (
                    evidence_party::party.eq(party.as_bytes().to_vec()),
                    evidence_party::idx.eq(bigint(change.index)),
                    evidence_party::kind.eq(change.claim.name()),
                    evidence_party::currency.eq(currency.clone()),
                    evidence_party::brn.eq(brn.clone()),
                    evidence_party::signs.eq(change.signers.contains(&party)),
                )
            })
        })
        .collect();
    for rows in rows.chunks(ROWS_MAX) {
        diesel::insert_into(evidence_party::table).values(rows).execute(&mut &*connection).await?;
    }
    Ok(())
}

/// What a version of a payment says.
fn payment(change: &EvidenceChange) -> Option<&ExpenditureClaim> {
    match &change.claim {
        Claim::Expenditure(claim) => Some(claim),
        Claim::Correction(claim) => match &claim.replacement {
            Some(Replacement::Expenditure(claim)) => Some(claim),
            _ => None,
        },
        _ => None,
    }
}

/// The assets that a version of a payment names.
fn assets(change: &EvidenceChange) -> Option<Vec<Vec<u8>>> {
    let claim = payment(change)?;
    let assets: Vec<Vec<u8>> =
        [claim.asset, claim.counter_asset].into_iter().flatten().map(|asset| asset.as_bytes().to_vec()).collect();
    (!assets.is_empty()).then_some(assets)
}

/// Whose entry it is, and for a payment or a relation between whom; of a correction, whoever signs it.
fn parties(change: &EvidenceChange) -> BTreeSet<StatementId> {
    let mut parties = BTreeSet::from([change.issuer]);
    match &change.claim {
        Claim::Correction(_) => parties.extend(&change.signers),
        Claim::Relation(claim) => parties.extend(claim.other.party()),
        _ => {}
    }
    parties.extend(payment(change).into_iter().flat_map(|claim| [&claim.payer, &claim.payee]).filter_map(Side::party));
    parties
}
