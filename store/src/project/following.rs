//! What is searched and shown: written behind the log, entry by entry in its order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chopmark_core::admission::{ArtefactRecord, AttestationRecord, Change, PartyRecord};
use chopmark_core::artefact::ParentSource;
use chopmark_core::manifest::Manifest;
use chopmark_core::statement::StatementId;
use chopmark_core::terms::period::Date;
use chopmark_core::text::search::search_terms;
use chopmark_core::text::{Names, skeleton};
use chopmark_core::time::Timestamp;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use serde_json::Value;

use super::{from_json, json, statement_id};
use crate::compatibility::{self, Candidate};
use crate::error::{StoreError, bigint};
use crate::fixed::fixed;
use crate::lineage::ParentRow;
use crate::schema::{artefact, artefact_page, artefact_parent, artefact_verdict, attestation, party, party_page};

/// Rows in one statement; each has up to 11 parameters, of which 65,535 are possible.
const ROWS_MAX: usize = 1_000;

/// Rows of digests and files in one statement, which come as arrays: some seconds of work on a slow disk, far from the
/// longest that a statement may take.
const ARRAY_ROWS_MAX: usize = 50_000;

/// An entry to be followed.
pub(crate) struct Followed {
    pub(crate) index: u64,
    pub(crate) recorded_at: DateTime<Utc>,
    /// What it changes.
    pub(crate) changes: Vec<Change>,
    /// What the artefact it registers consists of, if it registers one.
    pub(crate) content: Option<Arc<Content>>,
}

/// What of a manifest the read tables keep.
pub(crate) struct Content {
    /// Everything the artefact is found by.
    digests: Vec<[u8; 32]>,
    /// SHA-256 and size of each file that is not empty; ascending, none twice.
    files: BTreeMap<[u8; 32], u64>,
}

impl Content {
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let files = manifest.files().iter().filter(|file| file.size_bytes > 0);
        Self {
            digests: chopmark_core::artefact::digests(manifest),
            files: files.map(|file| (*file.sha256.as_bytes(), file.size_bytes)).collect(),
        }
    }
}

/// Writes what these entries, the next of the log in its order, mean to the tables that follow.
pub(crate) async fn follow(connection: &mut AsyncPgConnection, entries: &[Followed]) -> Result<(), StoreError> {
    let mut artefacts = Vec::new();
    let mut parties = Vec::new();
    let mut attestations = Vec::new();
    for entry in entries {
        for change in &entry.changes {
            match change {
                Change::Artefact(record) => artefacts.push((entry, record)),
                Change::Party(record) => parties.push(party_row(entry, record)),
                Change::Attestation(record) => attestations.push(attestation_row(record)?),
                Change::Policy(_)
                | Change::Key(_)
                | Change::KeyEnded { .. }
                | Change::KeyEvent(_)
                | Change::PartyVerified { .. }
                | Change::Endorsement(_)
                | Change::Evidence(_)
                | Change::Terms(_)
                | Change::Offer(_)
                | Change::Licence(_)
                | Change::LicenceEvent(_) => {}
            }
        }
    }
    for rows in parties.chunks(ROWS_MAX) {
        diesel::insert_into(party_page::table).values(rows).execute(connection).await?;
    }
    for rows in attestations.chunks(ROWS_MAX) {
        diesel::insert_into(attestation::table).values(rows).execute(connection).await?;
    }
    if artefacts.is_empty() {
        return Ok(());
    }
    write_pages(connection, &artefacts).await?;
    write_digests(connection, &artefacts).await?;
    write_conflicts(connection, &artefacts).await?;
    write_parents(connection, &artefacts).await?;
    write_verdicts(connection, &artefacts).await
}

#[derive(Insertable)]
#[diesel(table_name = party_page)]
struct PartyPage {
    idx: i64,
    id: Vec<u8>,
    jurisdiction: Option<String>,
    recorded_at: DateTime<Utc>,
    terms: Vec<String>,
    skeletons: Vec<String>,
}

fn party_row(entry: &Followed, record: &PartyRecord) -> PartyPage {
    PartyPage {
        idx: bigint(entry.index),
        id: record.id.as_bytes().to_vec(),
        jurisdiction: record.jurisdiction.as_ref().map(|code| code.as_str().to_owned()),
        recorded_at: entry.recorded_at,
        terms: terms(record.name.iter().map(|(_, name)| name)),
        skeletons: record.name.iter().map(|(_, name)| skeleton(name)).collect::<BTreeSet<_>>().into_iter().collect(),
    }
}

fn terms<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    texts.flat_map(search_terms).collect::<BTreeSet<_>>().into_iter().collect()
}

#[derive(Insertable)]
#[diesel(table_name = attestation)]
struct AttestationRow {
    idx: i64,
    id: Vec<u8>,
    issuer: Vec<u8>,
    about: Vec<u8>,
    claim: Value,
}

fn attestation_row(record: &AttestationRecord) -> Result<AttestationRow, StoreError> {
    Ok(AttestationRow {
        idx: bigint(record.index),
        id: record.id.as_bytes().to_vec(),
        issuer: record.issuer.as_bytes().to_vec(),
        about: record.claim.about().as_bytes().to_vec(),
        claim: json(&record.claim)?,
    })
}

type Registered<'a> = (&'a Followed, &'a ArtefactRecord);

#[derive(Insertable)]
#[diesel(table_name = artefact_page)]
struct ArtefactPage {
    idx: i64,
    id: Vec<u8>,
    owner: Vec<u8>,
    kind: String,
    jurisdiction: String,
    residency_zone: String,
    licences: Vec<String>,
    supersedes: Option<Vec<u8>>,
    recorded_at: DateTime<Utc>,
    terms: Vec<String>,
    claim: Value,
}

/// The word statements use for a value of a closed vocabulary.
fn word<T: Serialize>(value: &T) -> Result<String, StoreError> {
    from_json(json(value)?, "a word of a claim")
}

async fn write_pages(connection: &mut AsyncPgConnection, artefacts: &[Registered<'_>]) -> Result<(), StoreError> {
    let names = owner_names(connection, artefacts).await?;
    let mut rows = Vec::with_capacity(artefacts.len());
    for (entry, record) in artefacts {
        let claim = &record.claim;
        let own = claim.name.iter().chain(names.get(&record.owner).into_iter().flat_map(Names::iter));
        rows.push(ArtefactPage {
            idx: bigint(entry.index),
            id: record.id.as_bytes().to_vec(),
            owner: record.owner.as_bytes().to_vec(),
            kind: word(&claim.kind)?,
            jurisdiction: claim.author_jurisdiction.as_str().to_owned(),
            residency_zone: word(&claim.residency_zone)?,
            licences: claim.licence.identifiers(),
            supersedes: claim.supersedes.map(|id| id.as_bytes().to_vec()),
            recorded_at: entry.recorded_at,
            terms: terms(own.map(|(_, name)| name).chain([claim.version.as_str()])),
            claim: json(claim)?,
        });
    }
    for rows in rows.chunks(ROWS_MAX) {
        diesel::insert_into(artefact_page::table).values(rows).execute(connection).await?;
    }
    Ok(())
}

/// Names of the owners: artefacts are searched by who made them, too. A party's names never change.
async fn owner_names(
    connection: &mut AsyncPgConnection,
    artefacts: &[Registered<'_>],
) -> Result<BTreeMap<StatementId, Names>, StoreError> {
    let owners: BTreeSet<&[u8]> = artefacts.iter().map(|(_, record)| record.owner.as_bytes().as_slice()).collect();
    let rows: Vec<(Vec<u8>, Value)> = party::table
        .filter(party::id.eq_any(owners.into_iter().collect::<Vec<_>>()))
        .select((party::id, party::name))
        .load(connection)
        .await?;
    let place = "view.party";
    rows.into_iter().map(|(id, name)| Ok((statement_id(&id, place)?, from_json(name, place)?))).collect()
}

async fn write_digests(connection: &mut AsyncPgConnection, artefacts: &[Registered<'_>]) -> Result<(), StoreError> {
    let mut digests: Vec<&[u8]> = Vec::new();
    let mut indices = Vec::new();
    for (entry, _) in artefacts {
        for digest in entry.content.iter().flat_map(|content| &content.digests) {
            digests.push(digest);
            indices.push(bigint(entry.index));
        }
    }
    for (digests, indices) in digests.chunks(ARRAY_ROWS_MAX).zip(indices.chunks(ARRAY_ROWS_MAX)) {
        fixed("INSERT INTO artefact_digest (digest, idx) SELECT * FROM unnest($1, $2)")
            .bind::<Array<Binary>, _>(digests)
            .bind::<Array<BigInt>, _>(indices)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// A file that another party registered first is a conflict of order between the two, whatever else differs.
async fn write_conflicts(connection: &mut AsyncPgConnection, artefacts: &[Registered<'_>]) -> Result<(), StoreError> {
    let mut files = Files::default();
    for (entry, _) in artefacts {
        for (digest, size_bytes) in entry.content.iter().flat_map(|content| &content.files) {
            files.digests.push(digest);
            files.indices.push(bigint(entry.index));
            files.sizes.push(bigint(*size_bytes));
        }
        // All files of an entry together, for they are counted together.
        if files.digests.len() >= ARRAY_ROWS_MAX {
            write_conflicts_of(connection, core::mem::take(&mut files)).await?;
        }
    }
    write_conflicts_of(connection, files).await
}

/// Files by digest, the entries that register them, and their sizes.
#[derive(Default)]
struct Files<'a> {
    digests: Vec<&'a [u8]>,
    indices: Vec<i64>,
    sizes: Vec<i64>,
}

async fn write_conflicts_of(connection: &mut AsyncPgConnection, files: Files<'_>) -> Result<(), StoreError> {
    fixed(
        "INSERT INTO artefact_conflict (earlier, later, files, size_bytes)
         SELECT earlier.idx, later.idx, count(*), sum(mine.size_bytes)
         FROM unnest($1, $2, $3) AS mine (digest, idx, size_bytes)
         CROSS JOIN LATERAL (
             SELECT artefact_digest.idx FROM artefact_digest WHERE artefact_digest.digest = mine.digest
             ORDER BY artefact_digest.idx LIMIT 1
         ) AS first
         JOIN artefact_page AS earlier ON earlier.idx = first.idx
         JOIN artefact_page AS later ON later.idx = mine.idx
         WHERE earlier.idx < later.idx AND earlier.owner <> later.owner
         GROUP BY earlier.idx, later.idx",
    )
    .bind::<Array<Binary>, _>(files.digests)
    .bind::<Array<BigInt>, _>(files.indices)
    .bind::<Array<BigInt>, _>(files.sizes)
    .execute(connection)
    .await?;
    Ok(())
}

/// A parent that is known by digest is whichever artefact held it first, once one does: before its child, or after.
async fn write_parents(connection: &mut AsyncPgConnection, artefacts: &[Registered<'_>]) -> Result<(), StoreError> {
    let named: Vec<&[u8]> = artefacts
        .iter()
        .flat_map(|(_, record)| &record.claim.parents)
        .filter_map(|parent| match &parent.source {
            ParentSource::Artefact(id) => Some(id.as_bytes().as_slice()),
            ParentSource::Digest(_) | ParentSource::Foreign(_) => None,
        })
        .collect();
    let indices: BTreeMap<Vec<u8>, i64> = artefact::table
        .filter(artefact::id.eq_any(named))
        .select((artefact::id, artefact::idx))
        .load::<(Vec<u8>, i64)>(connection)
        .await?
        .into_iter()
        .collect();
    let mut rows = Vec::new();
    for (entry, record) in artefacts {
        for (position, parent) in (0..).zip(&record.claim.parents) {
            let mut row = ParentRow {
                child: bigint(entry.index),
                position,
                relation: word(&parent.relation)?,
                parent: None,
                digest: None,
                origin: None,
                foreign_artefact: None,
            };
            match &parent.source {
                ParentSource::Artefact(id) => row.parent = indices.get(id.as_bytes().as_slice()).copied(),
                ParentSource::Digest(digest) => row.digest = Some(digest.as_bytes().to_vec()),
                ParentSource::Foreign(foreign) => {
                    row.origin = Some(foreign.origin.clone());
                    row.foreign_artefact = Some(foreign.artefact.as_bytes().to_vec());
                }
            }
            rows.push(row);
        }
    }
    for rows in rows.chunks(ROWS_MAX) {
        diesel::insert_into(artefact_parent::table).values(rows).execute(connection).await?;
    }
    let children: Vec<i64> = rows.iter().filter(|row| row.digest.is_some()).map(|row| row.child).collect();
    let new: Vec<&[u8]> = artefacts
        .iter()
        .flat_map(|(entry, _)| entry.content.iter().flat_map(|content| &content.digests))
        .map(<[u8; 32]>::as_slice)
        .collect();
    if !children.is_empty() {
        find_parents(connection, &children, &[]).await?;
    }
    for new in new.chunks(ARRAY_ROWS_MAX) {
        find_parents(connection, &[], new).await?;
    }
    Ok(())
}

/// Finds the parents that these children name by digest, and those that anybody names by one of these digests.
async fn find_parents(
    connection: &mut AsyncPgConnection,
    children: &[i64],
    digests: &[&[u8]],
) -> Result<(), StoreError> {
    fixed(
        "UPDATE artefact_parent SET parent = (
             SELECT min(held.idx) FROM artefact_digest AS held
             WHERE held.digest = artefact_parent.digest AND held.idx <> artefact_parent.child
         ) WHERE parent IS NULL AND digest IS NOT NULL AND (child = ANY ($1) OR digest = ANY ($2))",
    )
    .bind::<Array<BigInt>, _>(children)
    .bind::<Array<Binary>, _>(digests)
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether the licence of what was made from something goes with its parents', as the entries before it had them.
async fn write_verdicts(connection: &mut AsyncPgConnection, artefacts: &[Registered<'_>]) -> Result<(), StoreError> {
    let made = artefacts.iter().filter(|(_, record)| !record.claim.parents.is_empty());
    for (entry, record) in made {
        let candidate = Candidate::of(&record.id, record.owner, &record.claim);
        let on = Date::in_hong_kong(Timestamp::from(entry.recorded_at));
        let verdict = compatibility::inputs(connection, &candidate, entry.index, on).await?.judge();
        diesel::insert_into(artefact_verdict::table)
            .values((artefact_verdict::idx.eq(bigint(entry.index)), artefact_verdict::verdict.eq(json(&verdict)?)))
            .execute(connection)
            .await?;
    }
    Ok(())
}
