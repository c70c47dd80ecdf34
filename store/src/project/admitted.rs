//! What admission looks up: loaded for a batch in one query per table, written in the batch's own transaction.

use std::collections::{BTreeMap, BTreeSet};

use chopmark_core::admission::{
    ArtefactHead, ArtefactRecord, Change, EndorsementRecord, KeyRecord, PartyRecord, PolicyRecord, Reads, VersionKey,
    View,
};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::key::{KeyId, PublicKey};
use chopmark_core::statement::{Nonce, StatementId};
use chopmark_core::text::{Names, skeleton};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use super::{expenditure, from_json, json, licensing, statement_id};
use crate::error::{StoreError, bigint, count};
use crate::fixed::fixed;
use crate::schema::{artefact, endorsement, entry, key, key_event, party, policy, verified_name};

/// A row of `view.party`.
#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = party)]
pub(crate) struct PartyRow {
    id: Vec<u8>,
    idx: i64,
    name: Value,
    identifiers: Value,
    jurisdiction: Option<String>,
    threshold: i64,
    key_head: Vec<u8>,
    key_seq: i64,
    verified_from: Option<i64>,
}

impl PartyRow {
    fn of(party: &PartyRecord) -> Result<Self, StoreError> {
        Ok(Self {
            id: party.id.as_bytes().to_vec(),
            idx: bigint(party.index),
            name: json(&party.name)?,
            identifiers: json(&party.identifiers)?,
            jurisdiction: party.jurisdiction.as_ref().map(|code| code.as_str().to_owned()),
            threshold: i64::from(party.threshold),
            key_head: party.key_head.as_bytes().to_vec(),
            key_seq: bigint(party.key_seq),
            verified_from: party.verified_from.map(bigint),
        })
    }

    /// The record; `root_keys` is what [`root_keys`] counted.
    pub(crate) fn record(self, root_keys: &BTreeMap<Vec<u8>, u32>) -> Result<PartyRecord, StoreError> {
        let place = format!("view.party of entry {}", self.idx);
        let damaged = |reason: &str| StoreError::damaged(place.clone(), reason);
        Ok(PartyRecord {
            id: StatementId::from_slice(&self.id).ok_or_else(|| damaged("id"))?,
            index: count(self.idx, &place)?,
            name: from_json(self.name, &place)?,
            identifiers: from_json(self.identifiers, &place)?,
            jurisdiction: self.jurisdiction.map(|code| from_json(Value::String(code), &place)).transpose()?,
            threshold: u32::try_from(self.threshold).map_err(|_| damaged("threshold"))?,
            key_head: StatementId::from_slice(&self.key_head).ok_or_else(|| damaged("key_head"))?,
            key_seq: count(self.key_seq, &place)?,
            root_keys: root_keys.get(&self.id).copied().unwrap_or_default(),
            verified_from: self.verified_from.map(|index| count(index, &place)).transpose()?,
        })
    }
}

/// A row of `view.key`.
#[derive(Queryable, QueryableByName, Selectable)]
#[diesel(table_name = key)]
pub(crate) struct KeyRow {
    id: Vec<u8>,
    public_key: Vec<u8>,
    party: Vec<u8>,
    role: String,
    valid_from: i64,
    valid_until: Option<i64>,
}

impl KeyRow {
    pub(crate) fn record(&self) -> Result<KeyRecord, StoreError> {
        let place = format!("view.key valid from entry {}", self.valid_from);
        let damaged = |reason: &str| StoreError::damaged(place.clone(), reason);
        let bytes = self.public_key.as_slice().try_into().map_err(|_| damaged("public_key"))?;
        let public_key = PublicKey::admit(bytes).map_err(|error| damaged(&error.to_string()))?;
        let id = Sha256Digest::from_slice(&self.id).map(KeyId::from_digest).ok_or_else(|| damaged("id"))?;
        if public_key.id() != id {
            return Err(damaged("the id is not the digest of the key"));
        }
        Ok(KeyRecord {
            id,
            public_key,
            party: StatementId::from_slice(&self.party).ok_or_else(|| damaged("party"))?,
            role: from_json(Value::String(self.role.clone()), &place)?,
            valid_from: count(self.valid_from, &place)?,
            valid_until: self.valid_until.map(|index| count(index, &place)).transpose()?,
        })
    }
}

/// Looks up everything in `reads` and takes it into the view; one query per table, sent without waiting for one another.
pub(crate) async fn load(connection: &AsyncPgConnection, reads: &Reads, view: &mut View) -> Result<(), StoreError> {
    let ids = |ids: &[StatementId]| {
        ids.iter().collect::<BTreeSet<_>>().into_iter().map(|id| id.as_bytes().to_vec()).collect::<Vec<_>>()
    };
    let wanted = ids(&reads.parties);
    let (parties, root_keys, keys, heads, versions, nonces) = tokio::try_join!(
        async {
            let query = party::table.filter(party::id.eq_any(&wanted)).select(PartyRow::as_select());
            Ok(query.load::<PartyRow>(&mut &*connection).await?)
        },
        root_keys(connection, &wanted),
        load_keys(connection, reads),
        load_heads(connection, ids(&reads.artefacts)),
        load_versions(connection, reads),
        load_nonces(connection, reads),
    )?;
    for row in parties {
        view.load_party(row.record(&root_keys)?);
    }
    for row in keys {
        view.load_key(row.record()?);
    }
    for (id, head) in heads {
        view.load_artefact(id, head);
    }
    for (version, id) in versions {
        view.load_version(version, id);
    }
    for (issuer, nonce) in nonces {
        view.load_nonce(issuer, nonce);
    }
    load_endorsements(connection, reads, view).await?;
    expenditure::load(connection, &reads.evidence, view).await?;
    licensing::load(connection, &reads.licensing, view).await?;
    load_verified_names(connection, reads, view).await
}

async fn load_keys(connection: &AsyncPgConnection, reads: &Reads) -> Result<Vec<KeyRow>, StoreError> {
    let wanted: BTreeSet<_> = reads.keys.iter().collect();
    let wanted: Vec<Vec<u8>> = wanted.into_iter().map(|id| id.digest().as_bytes().to_vec()).collect();
    Ok(key::table.filter(key::id.eq_any(wanted)).select(KeyRow::as_select()).load(&mut &*connection).await?)
}

async fn load_heads(
    connection: &AsyncPgConnection,
    wanted: Vec<Vec<u8>>,
) -> Result<Vec<(StatementId, ArtefactHead)>, StoreError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let found: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> = artefact::table
        .filter(artefact::id.eq_any(wanted))
        .select((artefact::id, artefact::owner, artefact::manifest))
        .load(&mut &*connection)
        .await?;
    let heads = found.into_iter().map(|(id, owner, manifest)| {
        let place = "view.artefact";
        let manifest = Sha256Digest::from_slice(&manifest).ok_or_else(|| StoreError::damaged(place, "manifest"))?;
        Ok((statement_id(&id, place)?, ArtefactHead { owner: statement_id(&owner, place)?, manifest }))
    });
    heads.collect()
}

/// Statements to be endorsed, among the entries the view stands on, and who endorsed them already.
async fn load_endorsements(connection: &AsyncPgConnection, reads: &Reads, view: &mut View) -> Result<(), StoreError> {
    if reads.statements.is_empty() {
        return Ok(());
    }
    let wanted: Vec<&[u8]> = reads.statements.iter().map(|id| id.as_bytes().as_slice()).collect();
    let statements: Vec<(Vec<u8>, Vec<u8>)> = entry::table
        .filter(entry::statement_id.eq_any(&wanted))
        .filter(entry::idx.lt(bigint(view.size())))
        .select((entry::statement_id, entry::issuer))
        .load(&mut &*connection)
        .await?;
    for (id, issuer) in statements {
        view.load_statement(statement_id(&id, "log.entry")?, statement_id(&issuer, "log.entry")?);
    }
    let endorsements: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> = endorsement::table
        .filter(endorsement::statement.eq_any(&wanted))
        .select((endorsement::statement, endorsement::issuer, endorsement::id))
        .load(&mut &*connection)
        .await?;
    for (statement, issuer, id) in endorsements {
        let place = "view.endorsement";
        view.load_endorsement(
            statement_id(&statement, place)?,
            statement_id(&issuer, place)?,
            statement_id(&id, place)?,
        );
    }
    Ok(())
}

/// Verified parties whose names look like those asked about, or like the names of the parties asked about.
async fn load_verified_names(connection: &AsyncPgConnection, reads: &Reads, view: &mut View) -> Result<(), StoreError> {
    let parties = reads.verified_names_like.iter().filter_map(|id| view.party(id));
    let mut skeletons: Vec<String> = parties.flat_map(|party| skeletons(&party.name)).collect();
    skeletons.extend_from_slice(&reads.skeletons);
    if skeletons.is_empty() {
        return Ok(());
    }
    let found: Vec<(String, Vec<u8>)> = verified_name::table
        .filter(verified_name::skeleton.eq_any(skeletons))
        .select((verified_name::skeleton, verified_name::party))
        .load(&mut &*connection)
        .await?;
    for (skeleton, party) in found {
        view.load_verified_name(skeleton, statement_id(&party, "view.verified_name")?);
    }
    Ok(())
}

fn skeletons(names: &Names) -> Vec<String> {
    names.iter().map(|(_, name)| skeleton(name)).collect()
}

/// How many root keys may sign now, by party.
async fn root_keys(connection: &AsyncPgConnection, parties: &[Vec<u8>]) -> Result<BTreeMap<Vec<u8>, u32>, StoreError> {
    let rows: Vec<(Vec<u8>, i64)> = key::table
        .filter(key::party.eq_any(parties))
        .filter(key::role.eq("root").and(key::valid_until.is_null()))
        .group_by(key::party)
        .select((key::party, diesel::dsl::count_star()))
        .load(&mut &*connection)
        .await?;
    rows.into_iter()
        .map(|(party, keys)| Ok((party, u32::try_from(keys).map_err(|error| StoreError::damaged("view.key", error))?)))
        .collect()
}

async fn load_versions(
    connection: &AsyncPgConnection,
    reads: &Reads,
) -> Result<Vec<(VersionKey, StatementId)>, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        position: i64,
        #[diesel(sql_type = Binary)]
        id: Vec<u8>,
    }
    if reads.versions.is_empty() {
        return Ok(Vec::new());
    }
    let owners: Vec<&[u8]> = reads.versions.iter().map(|version| version.owner.as_bytes().as_slice()).collect();
    let manifests: Vec<&[u8]> = reads.versions.iter().map(|version| version.manifest.as_bytes().as_slice()).collect();
    let versions: Vec<&str> = reads.versions.iter().map(|version| version.version.as_str()).collect();
    let rows: Vec<Row> = fixed(
        "SELECT wanted.position, a.id FROM unnest($1, $2, $3) WITH ORDINALITY AS wanted (owner, manifest, version, position)
         JOIN artefact a USING (owner, manifest, version)",
    )
    .bind::<Array<Binary>, _>(owners)
    .bind::<Array<Binary>, _>(manifests)
    .bind::<Array<Text>, _>(versions)
    .load(&mut &*connection)
    .await?;
    let found = rows.into_iter().map(|row| {
        let wanted = usize::try_from(row.position - 1).ok().and_then(|position| reads.versions.get(position));
        let wanted: &VersionKey = wanted.ok_or_else(|| StoreError::damaged("view.artefact", "an unasked row"))?;
        Ok((wanted.clone(), statement_id(&row.id, "view.artefact")?))
    });
    found.collect()
}

async fn load_nonces(connection: &AsyncPgConnection, reads: &Reads) -> Result<Vec<(StatementId, Nonce)>, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        position: i64,
    }
    let (issuers, nonces) = nonce_columns(reads.nonces.iter().map(|(issuer, nonce)| (*issuer, nonce)));
    let rows: Vec<Row> = fixed(
        "SELECT wanted.position FROM unnest($1, $2) WITH ORDINALITY AS wanted (issuer, nonce, position)
         JOIN nonce USING (issuer, nonce)",
    )
    .bind::<Array<Binary>, _>(issuers)
    .bind::<Array<Binary>, _>(nonces)
    .load(&mut &*connection)
    .await?;
    let used = rows.into_iter().filter_map(|row| {
        let position = usize::try_from(row.position - 1).ok()?;
        reads.nonces.get(position).cloned()
    });
    Ok(used.collect())
}

fn nonce_columns<'a>(nonces: impl Iterator<Item = (StatementId, &'a Nonce)>) -> (Vec<Vec<u8>>, Vec<&'a [u8]>) {
    nonces.map(|(issuer, nonce)| (issuer.as_bytes().to_vec(), nonce.as_bytes())).unzip()
}

/// Remembers the nonces of new entries.
pub(crate) async fn insert_nonces<'a>(
    connection: &AsyncPgConnection,
    nonces: impl Iterator<Item = (StatementId, &'a Nonce)>,
) -> Result<(), StoreError> {
    let (issuers, nonces) = nonce_columns(nonces);
    fixed("INSERT INTO nonce (issuer, nonce) SELECT * FROM unnest($1, $2)")
        .bind::<Array<Binary>, _>(issuers)
        .bind::<Array<Binary>, _>(nonces)
        .execute(&mut &*connection)
        .await?;
    Ok(())
}

/// Writes changes in their order.
pub(crate) async fn write(connection: &AsyncPgConnection, changes: &[&Change]) -> Result<(), StoreError> {
    let mut parties = Vec::new();
    let mut keys = Vec::new();
    let mut artefacts = Vec::new();
    let mut updates = Vec::new();
    let mut licensed = Vec::new();
    let mut evidence = Vec::new();
    for change in changes {
        match change {
            Change::Party(record) => parties.push(PartyRow::of(record)?),
            Change::Key(record) => keys.push((
                key::id.eq(record.id.digest().as_bytes().to_vec()),
                key::public_key.eq(record.public_key.as_bytes().to_vec()),
                key::party.eq(record.party.as_bytes().to_vec()),
                key::role.eq(record.role.as_str()),
                key::valid_from.eq(bigint(record.valid_from)),
                key::valid_until.eq(record.valid_until.map(bigint)),
            )),
            Change::Artefact(record) => artefacts.push(record),
            Change::Terms(_) | Change::Offer(_) | Change::Licence(_) | Change::LicenceEvent(_) => {
                licensed.push(*change);
            }
            Change::Evidence(change) => evidence.push(&**change),
            other => updates.push(*other),
        }
    }
    // In pieces, because a statement has at most 65,535 parameters.
    for parties in pieces(parties) {
        diesel::insert_into(party::table).values(parties).execute(&mut &*connection).await?;
    }
    for keys in pieces(keys) {
        diesel::insert_into(key::table).values(keys).execute(&mut &*connection).await?;
    }
    // The others are rare, and may concern a key or a party of this very batch: after the inserts, in order.
    for change in updates {
        update(connection, change).await?;
    }
    licensing::write(connection, &licensed).await?;
    expenditure::write(connection, &evidence).await?;
    write_artefacts(connection, &artefacts).await
}

/// Rows in one statement.
const ROWS_MAX: usize = 1_000;

fn pieces<T>(mut rows: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    core::iter::from_fn(move || {
        let rest = rows.split_off(rows.len().min(ROWS_MAX));
        let piece = core::mem::replace(&mut rows, rest);
        (!piece.is_empty()).then_some(piece)
    })
}

async fn update(connection: &AsyncPgConnection, change: &Change) -> Result<(), StoreError> {
    match change {
        Change::Policy(record) => write_policy(connection, record).await,
        Change::KeyEnded { key, index } => {
            diesel::update(key::table.find(key.digest().as_bytes().as_slice()))
                .set(key::valid_until.eq(bigint(*index)))
                .execute(&mut &*connection)
                .await?;
            Ok(())
        }
        Change::KeyEvent(record) => {
            diesel::update(party::table.find(record.party.as_bytes().as_slice()))
                .set((party::key_head.eq(record.event.as_bytes().as_slice()), party::key_seq.eq(bigint(record.seq))))
                .execute(&mut &*connection)
                .await?;
            diesel::insert_into(key_event::table)
                .values((
                    key_event::party.eq(record.party.as_bytes().as_slice()),
                    key_event::seq.eq(bigint(record.seq)),
                    key_event::event.eq(record.event.as_bytes().as_slice()),
                    key_event::idx.eq(bigint(record.index)),
                ))
                .execute(&mut &*connection)
                .await?;
            Ok(())
        }
        Change::PartyVerified { party, verified_from } => write_verified(connection, party, *verified_from).await,
        Change::Endorsement(record) => write_endorsement(connection, record).await,
        // Written above, or by the follower.
        Change::Party(_)
        | Change::Key(_)
        | Change::Artefact(_)
        | Change::Attestation(_)
        | Change::Terms(_)
        | Change::Offer(_)
        | Change::Licence(_)
        | Change::LicenceEvent(_)
        | Change::Evidence(_) => Ok(()),
    }
}

/// A verified party's names are protected as long as the verification stands.
async fn write_verified(
    connection: &AsyncPgConnection,
    id: &StatementId,
    verified_from: Option<u64>,
) -> Result<(), StoreError> {
    let id = id.as_bytes().as_slice();
    diesel::update(party::table.find(id))
        .set(party::verified_from.eq(verified_from.map(bigint)))
        .execute(&mut &*connection)
        .await?;
    if verified_from.is_none() {
        diesel::delete(verified_name::table.filter(verified_name::party.eq(id))).execute(&mut &*connection).await?;
        return Ok(());
    }
    let name: Value = party::table.find(id).select(party::name).first(&mut &*connection).await?;
    let rows: Vec<_> = skeletons(&from_json::<Names>(name, "view.party")?)
        .into_iter()
        .map(|skeleton| (verified_name::skeleton.eq(skeleton), verified_name::party.eq(id)))
        .collect();
    diesel::insert_into(verified_name::table).values(rows).on_conflict_do_nothing().execute(&mut &*connection).await?;
    Ok(())
}

async fn write_policy(connection: &AsyncPgConnection, record: &PolicyRecord) -> Result<(), StoreError> {
    diesel::insert_into(policy::table)
        .values((
            policy::idx.eq(bigint(record.index)),
            policy::statement_id.eq(record.statement.as_bytes().as_slice()),
            policy::anchors.eq(json(&record.anchors)?),
        ))
        .execute(&mut &*connection)
        .await?;
    Ok(())
}

async fn write_endorsement(connection: &AsyncPgConnection, record: &EndorsementRecord) -> Result<(), StoreError> {
    diesel::insert_into(endorsement::table)
        .values((
            endorsement::statement.eq(record.statement.as_bytes().as_slice()),
            endorsement::issuer.eq(record.issuer.as_bytes().as_slice()),
            endorsement::id.eq(record.id.as_bytes().as_slice()),
            endorsement::idx.eq(bigint(record.index)),
        ))
        .execute(&mut &*connection)
        .await?;
    Ok(())
}

async fn write_artefacts(connection: &AsyncPgConnection, records: &[&ArtefactRecord]) -> Result<(), StoreError> {
    if records.is_empty() {
        return Ok(());
    }
    let ids: Vec<&[u8]> = records.iter().map(|record| record.id.as_bytes().as_slice()).collect();
    let indices: Vec<i64> = records.iter().map(|record| bigint(record.index)).collect();
    let owners: Vec<&[u8]> = records.iter().map(|record| record.owner.as_bytes().as_slice()).collect();
    let manifests: Vec<&[u8]> =
        records.iter().map(|record| record.claim.manifest.sha256.as_bytes().as_slice()).collect();
    let versions: Vec<&str> = records.iter().map(|record| record.claim.version.as_str()).collect();
    fixed("INSERT INTO artefact (id, idx, owner, manifest, version) SELECT * FROM unnest($1, $2, $3, $4, $5)")
        .bind::<Array<Binary>, _>(ids)
        .bind::<Array<BigInt>, _>(indices)
        .bind::<Array<Binary>, _>(owners)
        .bind::<Array<Binary>, _>(manifests)
        .bind::<Array<Text>, _>(versions)
        .execute(&mut &*connection)
        .await?;
    Ok(())
}
