//! Finding: lists of artefacts and parties by filters and words, in order of registration, a page at a time.

use std::collections::BTreeMap;

use chopmark_core::admission::ArtefactRecord;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::statement::StatementId;
use chopmark_core::time::Timestamp;
use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use crate::about::About;
use crate::error::{StoreError, bigint, count};
use crate::party::with_brn;
use crate::project::{from_json, statement_id};
use crate::schema::{artefact_digest, artefact_page, evidence_party, following, party, party_page};

/// Which artefacts are asked for; what is `None` or empty does not matter.
#[derive(Debug, Clone, Default)]
pub struct ArtefactFilter {
    /// The party that registered them.
    pub owner: Option<StatementId>,
    /// `model`, `software` or `dataset`.
    pub kind: Option<String>,
    /// An SPDX identifier that their declared licence names.
    pub licence: Option<String>,
    /// ISO 3166-1 alpha-2 code of where their authors are.
    pub jurisdiction: Option<String>,
    /// Where their bytes may be kept.
    pub residency_zone: Option<String>,
    /// The manifest's digest, or any file's.
    pub digest: Option<Sha256Digest>,
    /// Recorded at this moment or later.
    pub since: Option<Timestamp>,
    /// Search terms, all of which must be there (`chopmark_core::text::search`).
    pub terms: Vec<String>,
}

/// Which parties are asked for.
#[derive(Debug, Clone, Default)]
pub struct PartyFilter {
    /// ISO 3166-1 alpha-2 code of where they are established.
    pub jurisdiction: Option<String>,
    /// A Hong Kong Business Registration Number that they say is theirs.
    pub brn: Option<String>,
    /// Recorded at this moment or later.
    pub since: Option<Timestamp>,
    /// Search terms, all of which must be there.
    pub terms: Vec<String>,
}

/// A piece of a list: entries from index `from` on and below `below`, at most `limit` of them.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// First entry that counts.
    pub from: u64,
    /// First entry that does not.
    pub below: u64,
    /// Most rows.
    pub limit: u32,
}

/// An artefact that was found.
#[derive(Debug, Clone)]
pub struct FoundArtefact {
    /// What was registered.
    pub record: ArtefactRecord,
    /// The operator's clock when it was.
    pub recorded_at: Timestamp,
    /// Artefacts of other parties that share a file with it.
    pub conflicts: Vec<Conflict>,
    /// Later versions of the same owner that take its place, first registered first, at most 100.
    pub superseded_by: Vec<StatementId>,
    /// Whether there are more of them.
    pub more_superseded_by: bool,
    /// What others say about it.
    pub about: About,
}

/// Two parties have registered a file of the same content: order is evidence of when, never of title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The other artefact.
    pub other: StatementId,
    /// Its entry.
    pub other_index: u64,
    /// Files that both hold.
    pub files: u64,
    /// Bytes of those files.
    pub size_bytes: u64,
}

/// Entries that the tables searched take into account.
pub(crate) async fn applied_size(connection: &mut AsyncPgConnection) -> Result<u64, StoreError> {
    let size: i64 = following::table.select(following::applied_size).first(connection).await?;
    count(size, "view.following")
}

type ArtefactColumns = (i64, Vec<u8>, Vec<u8>, DateTime<Utc>, Value);

const ARTEFACT_COLUMNS: (
    artefact_page::idx,
    artefact_page::id,
    artefact_page::owner,
    artefact_page::recorded_at,
    artefact_page::claim,
) = (artefact_page::idx, artefact_page::id, artefact_page::owner, artefact_page::recorded_at, artefact_page::claim);

/// Entries looked through in order first: a millisecond's work, and a sample of how frequent the words are.
const LOOKED_THROUGH: u64 = 1_024;

/// How many times as many are looked through where the sample makes a full page likely in half of that.
///
/// What is frequent fills a page so; what is not is rare enough to be collected through its index and sorted. So neither
/// way depends on what the planner believes about words it has no statistics of.
const LOOKED_FURTHER: u32 = 32;

/// Artefacts in order of registration.
pub(crate) async fn artefacts(
    connection: &mut AsyncPgConnection,
    filter: &ArtefactFilter,
    page: Page,
) -> Result<Vec<FoundArtefact>, StoreError> {
    let mut looked = Page { below: page.below.min(page.from.saturating_add(LOOKED_THROUGH)), ..page };
    let mut indices = look_through(connection, filter, looked).await?;
    let in_sample = u32::try_from(indices.len()).unwrap_or(u32::MAX);
    if in_sample < page.limit && in_sample.saturating_mul(LOOKED_FURTHER / 2) >= page.limit {
        let further = LOOKED_THROUGH.saturating_mul(u64::from(LOOKED_FURTHER));
        looked.below = page.below.min(page.from.saturating_add(further));
        indices = look_through(connection, filter, looked).await?;
    }
    let is_full = u32::try_from(indices.len()).is_ok_and(|found| found == page.limit);
    if !is_full && looked.below < page.below {
        // As a sum the index is nothing that the primary key is in the order of: the planner has to use the other ones.
        let index = || sql::<BigInt>("artefact_page.idx + 0");
        indices = filtered(filter)
            .filter(index().ge(bigint(page.from)).and(index().lt(bigint(page.below))))
            .order(index())
            .limit(i64::from(page.limit))
            .load(connection)
            .await?;
    }
    let rows = artefact_page::table
        .filter(artefact_page::idx.eq_any(indices))
        .order(artefact_page::idx)
        .select(ARTEFACT_COLUMNS)
        .load(connection)
        .await?;
    found(connection, rows, page.below).await
}

/// Indices of the first artefacts of a page, found by looking at every one from its start.
async fn look_through(
    connection: &mut AsyncPgConnection,
    filter: &ArtefactFilter,
    page: Page,
) -> Result<Vec<i64>, StoreError> {
    let indices = filtered(filter)
        .filter(artefact_page::idx.ge(bigint(page.from)).and(artefact_page::idx.lt(bigint(page.below))))
        .order(artefact_page::idx)
        .limit(i64::from(page.limit))
        .load(connection)
        .await?;
    Ok(indices)
}

/// Indices of the artefacts that fit a filter.
fn filtered(filter: &ArtefactFilter) -> artefact_page::BoxedQuery<'static, diesel::pg::Pg, BigInt> {
    let mut query = artefact_page::table.select(artefact_page::idx).into_boxed();
    if let Some(owner) = &filter.owner {
        query = query.filter(artefact_page::owner.eq(owner.as_bytes().to_vec()));
    }
    if let Some(kind) = &filter.kind {
        query = query.filter(artefact_page::kind.eq(kind.clone()));
    }
    if let Some(licence) = &filter.licence {
        query = query.filter(artefact_page::licences.contains(vec![licence.clone()]));
    }
    if let Some(jurisdiction) = &filter.jurisdiction {
        query = query.filter(artefact_page::jurisdiction.eq(jurisdiction.clone()));
    }
    if let Some(zone) = &filter.residency_zone {
        query = query.filter(artefact_page::residency_zone.eq(zone.clone()));
    }
    if let Some(digest) = &filter.digest {
        let holding = artefact_digest::table
            .filter(artefact_digest::digest.eq(digest.as_bytes().to_vec()))
            .select(artefact_digest::idx);
        query = query.filter(artefact_page::idx.eq_any(holding));
    }
    if let Some(since) = filter.since.map(Timestamp::to_utc) {
        query = query.filter(artefact_page::recorded_at.ge(since));
    }
    if !filter.terms.is_empty() {
        query = query.filter(artefact_page::terms.contains(filter.terms.clone()));
    }
    query
}

/// The artefact with this id, if its entry is below `below`.
pub(crate) async fn artefact(
    connection: &mut AsyncPgConnection,
    id: &StatementId,
    below: u64,
) -> Result<Option<FoundArtefact>, StoreError> {
    let rows = artefact_page::table
        .filter(artefact_page::id.eq(id.as_bytes().as_slice()).and(artefact_page::idx.lt(bigint(below))))
        .select(ARTEFACT_COLUMNS)
        .load(connection)
        .await?;
    Ok(found(connection, rows, below).await?.pop())
}

/// Completes rows with what other entries below `below` say about them, one query per table.
async fn found(
    connection: &mut AsyncPgConnection,
    rows: Vec<ArtefactColumns>,
    below: u64,
) -> Result<Vec<FoundArtefact>, StoreError> {
    let place = "view.artefact_page";
    let mut found = Vec::with_capacity(rows.len());
    for (idx, id, owner, recorded_at, claim) in rows {
        found.push(FoundArtefact {
            record: ArtefactRecord {
                id: statement_id(&id, place)?,
                index: count(idx, place)?,
                owner: statement_id(&owner, place)?,
                claim: from_json(claim, place)?,
            },
            recorded_at: Timestamp::from(recorded_at),
            conflicts: Vec::new(),
            superseded_by: Vec::new(),
            more_superseded_by: false,
            about: About::default(),
        });
    }
    let indices: Vec<i64> = found.iter().map(|artefact| bigint(artefact.record.index)).collect();
    for (own, conflict) in conflicts(connection, indices, below).await? {
        if let Some(artefact) = found.iter_mut().find(|artefact| bigint(artefact.record.index) == own) {
            artefact.conflicts.push(conflict);
        }
    }
    let ids: Vec<StatementId> = found.iter().map(|artefact| artefact.record.id).collect();
    let mut successors = successors(connection, &ids, below).await?;
    for artefact in &mut found {
        let Successors { ids, are_more } = successors.remove(&artefact.record.id).unwrap_or_default();
        (artefact.superseded_by, artefact.more_superseded_by) = (ids, are_more);
    }
    for (artefact, about) in found.iter_mut().zip(About::load(connection, &ids, About::page(below)).await?) {
        artefact.about = about;
    }
    Ok(found)
}

/// Most later versions shown of one artefact; the first registered come first.
pub(crate) const SUCCESSORS_MAX: usize = 100;

/// Later versions that take the place of one artefact.
#[derive(Debug, Default)]
pub(crate) struct Successors {
    /// In order of registration, at most [`SUCCESSORS_MAX`].
    pub(crate) ids: Vec<StatementId>,
    /// Whether there are more.
    pub(crate) are_more: bool,
}

/// Later versions of artefacts, as far as their entries are below `below`.
pub(crate) async fn successors(
    connection: &mut AsyncPgConnection,
    artefacts: &[StatementId],
    below: u64,
) -> Result<BTreeMap<StatementId, Successors>, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Binary)]
        earlier: Vec<u8>,
        #[diesel(sql_type = Binary)]
        id: Vec<u8>,
    }
    let artefacts: Vec<&[u8]> = artefacts.iter().map(|id| id.as_bytes().as_slice()).collect();
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT asked.earlier, later.id FROM unnest($1) AS asked (earlier)
         CROSS JOIN LATERAL (
             SELECT id, idx FROM artefact_page WHERE supersedes = asked.earlier AND idx < $2 ORDER BY idx LIMIT $3
         ) AS later
         ORDER BY later.idx",
    )
    .bind::<Array<Binary>, _>(artefacts)
    .bind::<BigInt, _>(bigint(below))
    .bind::<BigInt, _>(i64::try_from(SUCCESSORS_MAX + 1).unwrap_or(i64::MAX))
    .load(connection)
    .await?;
    let place = "view.artefact_page";
    let mut successors: BTreeMap<StatementId, Successors> = BTreeMap::new();
    for row in rows {
        let later = successors.entry(statement_id(&row.earlier, place)?).or_default();
        if later.ids.len() < SUCCESSORS_MAX {
            later.ids.push(statement_id(&row.id, place)?);
        } else {
            later.are_more = true;
        }
    }
    Ok(successors)
}

/// Most conflicts shown of one artefact; the first registered come first.
const CONFLICTS_MAX: i64 = 100;

async fn conflicts(
    connection: &mut AsyncPgConnection,
    indices: Vec<i64>,
    below: u64,
) -> Result<Vec<(i64, Conflict)>, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        own: i64,
        #[diesel(sql_type = BigInt)]
        other: i64,
        #[diesel(sql_type = Binary)]
        id: Vec<u8>,
        #[diesel(sql_type = BigInt)]
        files: i64,
        #[diesel(sql_type = Text)]
        size_bytes: String,
    }
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT asked.own, shared.other, page.id, shared.files, shared.size_bytes::text AS size_bytes
         FROM unnest($1) AS asked (own)
         CROSS JOIN LATERAL (
             (SELECT earlier AS other, files, size_bytes FROM artefact_conflict WHERE later = asked.own)
             UNION ALL
             (SELECT later, files, size_bytes FROM artefact_conflict WHERE earlier = asked.own AND later < $3)
             ORDER BY other LIMIT $2
         ) AS shared
         JOIN artefact_page AS page ON page.idx = shared.other
         ORDER BY asked.own, shared.other",
    )
    .bind::<Array<BigInt>, _>(indices)
    .bind::<BigInt, _>(CONFLICTS_MAX)
    .bind::<BigInt, _>(bigint(below))
    .load(connection)
    .await?;
    let place = "view.artefact_conflict";
    rows.into_iter()
        .map(|row| {
            let conflict = Conflict {
                other: statement_id(&row.id, place)?,
                other_index: count(row.other, place)?,
                files: count(row.files, place)?,
                size_bytes: row.size_bytes.parse().map_err(|error| StoreError::damaged(place, error))?,
            };
            Ok((row.own, conflict))
        })
        .collect()
}

/// Ids of parties in order of registration, each with its entry.
pub(crate) async fn parties(
    connection: &mut AsyncPgConnection,
    filter: &PartyFilter,
    page: Page,
) -> Result<Vec<(u64, StatementId)>, StoreError> {
    let mut query = party_page::table
        .filter(party_page::idx.ge(bigint(page.from)).and(party_page::idx.lt(bigint(page.below))))
        .order(party_page::idx)
        .limit(i64::from(page.limit))
        .select((party_page::idx, party_page::id))
        .into_boxed();
    if let Some(jurisdiction) = &filter.jurisdiction {
        query = query.filter(party_page::jurisdiction.eq(jurisdiction.clone()));
    }
    if let Some(brn) = &filter.brn {
        let registered = party::table.filter(party::identifiers.contains(with_brn(brn))).select(party::id);
        let profiled = evidence_party::table
            .filter(evidence_party::brn.eq(brn.clone()))
            .filter(evidence_party::idx.lt(bigint(page.below)));
        let profiled = profiled.select(evidence_party::party);
        query = query.filter(party_page::id.eq_any(registered.union(profiled)));
    }
    if let Some(since) = filter.since.map(Timestamp::to_utc) {
        query = query.filter(party_page::recorded_at.ge(since));
    }
    if !filter.terms.is_empty() {
        query = query.filter(party_page::terms.contains(filter.terms.clone()));
    }
    let rows: Vec<(i64, Vec<u8>)> = query.load(connection).await?;
    let place = "view.party_page";
    rows.into_iter().map(|(idx, id)| Ok((count(idx, place)?, statement_id(&id, place)?))).collect()
}
