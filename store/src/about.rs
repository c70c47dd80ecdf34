//! What others say about statements: attestations and endorsements, in the order they were entered.

use chopmark_core::admission::{AttestationRecord, EndorsementRecord};
use chopmark_core::statement::StatementId;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Jsonb};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use crate::error::{StoreError, bigint, count};
use crate::find::Page;
use crate::project::{from_json, statement_id};

/// What is said about one statement: the party it created, the artefact it registered, or the statement itself.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// What somebody checked.
    pub attestations: Vec<AttestationRecord>,
    /// Who signs it too.
    pub endorsements: Vec<EndorsementRecord>,
}

/// Most of each sort that come along with what is shown; a list of its own has the rest.
pub const ABOUT_MAX: u32 = 20;

impl About {
    /// What comes along with something shown: one more than is shown, which tells whether there are more.
    pub(crate) fn page(below: u64) -> Page {
        Page { from: 0, below, limit: ABOUT_MAX + 1 }
    }

    /// What is said about each of these statements, in their order; at most `page.limit` of each sort.
    pub(crate) async fn load(
        connection: &mut AsyncPgConnection,
        ids: &[StatementId],
        page: Page,
    ) -> Result<Vec<Self>, StoreError> {
        let mut about = vec![Self::default(); ids.len()];
        if ids.is_empty() {
            return Ok(about);
        }
        let place = |id: &StatementId| ids.iter().position(|other| other == id);
        for record in attestations(connection, ids, page).await? {
            if let Some(about) = place(&record.claim.about()).and_then(|at| about.get_mut(at)) {
                about.attestations.push(record);
            }
        }
        for record in endorsements(connection, ids, page).await? {
            if let Some(about) = place(&record.statement).and_then(|at| about.get_mut(at)) {
                about.endorsements.push(record);
            }
        }
        Ok(about)
    }
}

fn bytes(ids: &[StatementId]) -> Vec<&[u8]> {
    ids.iter().map(|id| id.as_bytes().as_slice()).collect()
}

/// Attestations about these parties and artefacts, at most `page.limit` of each.
pub(crate) async fn attestations(
    connection: &mut AsyncPgConnection,
    ids: &[StatementId],
    page: Page,
) -> Result<Vec<AttestationRecord>, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        idx: i64,
        #[diesel(sql_type = Binary)]
        id: Vec<u8>,
        #[diesel(sql_type = Binary)]
        issuer: Vec<u8>,
        #[diesel(sql_type = Jsonb)]
        claim: Value,
    }
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT said.idx, said.id, said.issuer, said.claim
         FROM unnest($1) AS asked (about)
         CROSS JOIN LATERAL (
             SELECT idx, id, issuer, claim FROM attestation
             WHERE attestation.about = asked.about AND idx >= $2 AND idx < $3
             ORDER BY idx LIMIT $4
         ) AS said
         ORDER BY said.idx",
    )
    .bind::<Array<Binary>, _>(bytes(ids))
    .bind::<BigInt, _>(bigint(page.from))
    .bind::<BigInt, _>(bigint(page.below))
    .bind::<BigInt, _>(i64::from(page.limit))
    .load(connection)
    .await?;
    let place = "view.attestation";
    rows.into_iter()
        .map(|row| {
            Ok(AttestationRecord {
                id: statement_id(&row.id, place)?,
                index: count(row.idx, place)?,
                issuer: statement_id(&row.issuer, place)?,
                claim: from_json(row.claim, place)?,
            })
        })
        .collect()
}

/// Endorsements of these statements, at most `page.limit` of each.
pub(crate) async fn endorsements(
    connection: &mut AsyncPgConnection,
    ids: &[StatementId],
    page: Page,
) -> Result<Vec<EndorsementRecord>, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        idx: i64,
        #[diesel(sql_type = Binary)]
        id: Vec<u8>,
        #[diesel(sql_type = Binary)]
        statement: Vec<u8>,
        #[diesel(sql_type = Binary)]
        issuer: Vec<u8>,
    }
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT said.idx, said.id, asked.statement, said.issuer
         FROM unnest($1) AS asked (statement)
         CROSS JOIN LATERAL (
             SELECT idx, id, issuer FROM endorsement
             WHERE endorsement.statement = asked.statement AND idx >= $2 AND idx < $3
             ORDER BY idx LIMIT $4
         ) AS said
         ORDER BY said.idx",
    )
    .bind::<Array<Binary>, _>(bytes(ids))
    .bind::<BigInt, _>(bigint(page.from))
    .bind::<BigInt, _>(bigint(page.below))
    .bind::<BigInt, _>(i64::from(page.limit))
    .load(connection)
    .await?;
    let place = "view.endorsement";
    rows.into_iter()
        .map(|row| {
            Ok(EndorsementRecord {
                id: statement_id(&row.id, place)?,
                index: count(row.idx, place)?,
                statement: statement_id(&row.statement, place)?,
                issuer: statement_id(&row.issuer, place)?,
            })
        })
        .collect()
}
