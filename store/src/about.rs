//! What others say about statements: attestations and endorsements, in the order they were entered.

use chopmark_core::admission::{AttestationRecord, EndorsementRecord};
use chopmark_core::statement::StatementId;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
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

/// What is said about each of some statements, in order of entry; at most `page.limit` of each. `said` selects from a table
/// what is about `asked.about`, without an end.
fn about_each<'q>(said: &str, ids: &'q [StatementId], page: Page) -> BoxedSqlQuery<'q, Pg, SqlQuery> {
    let bytes: Vec<&[u8]> = ids.iter().map(|id| id.as_bytes().as_slice()).collect();
    diesel::sql_query(format!(
        "SELECT said.* FROM unnest($1) AS asked (about)
         CROSS JOIN LATERAL ({said} AND idx >= $2 AND idx < $3 ORDER BY idx LIMIT $4) AS said
         ORDER BY said.idx"
    ))
    .into_boxed()
    .bind::<Array<Binary>, _>(bytes)
    .bind::<BigInt, _>(bigint(page.from))
    .bind::<BigInt, _>(bigint(page.below))
    .bind::<BigInt, _>(i64::from(page.limit))
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
    let said = "SELECT idx, id, issuer, claim FROM attestation WHERE attestation.about = asked.about";
    let rows: Vec<Row> = about_each(said, ids, page).load(connection).await?;
    let place = "view.attestation";
    let record = |row: Row| {
        Ok(AttestationRecord {
            id: statement_id(&row.id, place)?,
            index: count(row.idx, place)?,
            issuer: statement_id(&row.issuer, place)?,
            claim: from_json(row.claim, place)?,
        })
    };
    rows.into_iter().map(record).collect()
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
    let said = "SELECT idx, id, statement, issuer FROM endorsement WHERE endorsement.statement = asked.about";
    let rows: Vec<Row> = about_each(said, ids, page).load(connection).await?;
    let place = "view.endorsement";
    let record = |row: Row| {
        Ok(EndorsementRecord {
            id: statement_id(&row.id, place)?,
            index: count(row.idx, place)?,
            statement: statement_id(&row.statement, place)?,
            issuer: statement_id(&row.issuer, place)?,
        })
    };
    rows.into_iter().map(record).collect()
}
