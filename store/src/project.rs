//! The read tables: what admission looks up, and how changes are written.
//!
//! Rows are a pure fold of entries (`chopmark_core::admission::Change`); nothing here decides anything.

use std::collections::BTreeMap;

use chopmark_core::admission::{ArtefactRecord, Change, KeyRecord, PartyRecord, PolicyRecord, Reads, VersionKey, View};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::key::{KeyId, PublicKey};
use chopmark_core::statement::{Nonce, StatementId};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{StoreError, bigint, count};
use crate::schema::{artefact, artefact_digest, key, key_event, party, policy};

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
        })
    }
}

/// A row of `view.key`.
#[derive(Queryable, Selectable)]
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

/// A row of `view.artefact`.
#[derive(Queryable, Selectable)]
#[diesel(table_name = artefact)]
pub(crate) struct ArtefactRow {
    id: Vec<u8>,
    idx: i64,
    owner: Vec<u8>,
    claim: Value,
}

impl ArtefactRow {
    /// The record without its digests, which only writing needs.
    pub(crate) fn record(self) -> Result<ArtefactRecord, StoreError> {
        let place = format!("view.artefact of entry {}", self.idx);
        let damaged = |reason: &str| StoreError::damaged(place.clone(), reason);
        Ok(ArtefactRecord {
            id: StatementId::from_slice(&self.id).ok_or_else(|| damaged("id"))?,
            index: count(self.idx, &place)?,
            owner: StatementId::from_slice(&self.owner).ok_or_else(|| damaged("owner"))?,
            claim: from_json(self.claim, &place)?,
            digests: Vec::new(),
        })
    }
}

fn json<T: Serialize>(value: &T) -> Result<Value, StoreError> {
    serde_json::to_value(value).map_err(|error| StoreError::damaged("a row to be written", error))
}

fn from_json<T: DeserializeOwned>(value: Value, place: &str) -> Result<T, StoreError> {
    serde_json::from_value(value).map_err(|error| StoreError::damaged(place, error))
}

/// Looks up everything in `reads` and takes it into the view; one query per table.
pub(crate) async fn load(connection: &mut AsyncPgConnection, reads: &Reads, view: &mut View) -> Result<(), StoreError> {
    let ids = |ids: &[StatementId]| ids.iter().map(|id| id.as_bytes().to_vec()).collect::<Vec<_>>();
    let parties: Vec<PartyRow> = party::table
        .filter(party::id.eq_any(ids(&reads.parties)))
        .select(PartyRow::as_select())
        .load(connection)
        .await?;
    let root_keys = root_keys(connection, &ids(&reads.parties)).await?;
    for row in parties {
        view.load_party(row.record(&root_keys)?);
    }
    let keys: Vec<Vec<u8>> = reads.keys.iter().map(|id| id.digest().as_bytes().to_vec()).collect();
    let keys: Vec<KeyRow> =
        key::table.filter(key::id.eq_any(keys)).select(KeyRow::as_select()).load(connection).await?;
    for row in keys {
        view.load_key(row.record()?);
    }
    if !reads.artefacts.is_empty() {
        let found: Vec<Vec<u8>> = artefact::table
            .filter(artefact::id.eq_any(ids(&reads.artefacts)))
            .select(artefact::id)
            .load(connection)
            .await?;
        for id in found {
            view.load_artefact(statement_id(&id, "view.artefact")?);
        }
    }
    load_versions(connection, reads, view).await?;
    load_nonces(connection, reads, view).await
}

/// How many root keys may sign now, by party.
pub(crate) async fn root_keys(
    connection: &mut AsyncPgConnection,
    parties: &[Vec<u8>],
) -> Result<BTreeMap<Vec<u8>, u32>, StoreError> {
    let rows: Vec<(Vec<u8>, i64)> = key::table
        .filter(key::party.eq_any(parties))
        .filter(key::role.eq("root").and(key::valid_until.is_null()))
        .group_by(key::party)
        .select((key::party, diesel::dsl::count_star()))
        .load(connection)
        .await?;
    rows.into_iter()
        .map(|(party, keys)| Ok((party, u32::try_from(keys).map_err(|error| StoreError::damaged("view.key", error))?)))
        .collect()
}

async fn load_versions(connection: &mut AsyncPgConnection, reads: &Reads, view: &mut View) -> Result<(), StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        position: i64,
        #[diesel(sql_type = Binary)]
        id: Vec<u8>,
    }
    if reads.versions.is_empty() {
        return Ok(());
    }
    let owners: Vec<&[u8]> = reads.versions.iter().map(|version| version.owner.as_bytes().as_slice()).collect();
    let manifests: Vec<&[u8]> = reads.versions.iter().map(|version| version.manifest.as_bytes().as_slice()).collect();
    let versions: Vec<&str> = reads.versions.iter().map(|version| version.version.as_str()).collect();
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT wanted.position, a.id FROM unnest($1, $2, $3) WITH ORDINALITY AS wanted (owner, manifest, version, position)
         JOIN view.artefact a USING (owner, manifest, version)",
    )
    .bind::<Array<Binary>, _>(owners)
    .bind::<Array<Binary>, _>(manifests)
    .bind::<Array<Text>, _>(versions)
    .load(connection)
    .await?;
    for row in rows {
        let wanted = usize::try_from(row.position - 1).ok().and_then(|position| reads.versions.get(position));
        let wanted: &VersionKey = wanted.ok_or_else(|| StoreError::damaged("view.artefact", "an unasked row"))?;
        view.load_version(wanted.clone(), statement_id(&row.id, "view.artefact")?);
    }
    Ok(())
}

async fn load_nonces(connection: &mut AsyncPgConnection, reads: &Reads, view: &mut View) -> Result<(), StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        position: i64,
    }
    let (issuers, nonces) = nonce_columns(reads.nonces.iter().map(|(issuer, nonce)| (*issuer, nonce)));
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT wanted.position FROM unnest($1, $2) WITH ORDINALITY AS wanted (issuer, nonce, position)
         JOIN view.nonce USING (issuer, nonce)",
    )
    .bind::<Array<Binary>, _>(issuers)
    .bind::<Array<Binary>, _>(nonces)
    .load(connection)
    .await?;
    for row in rows {
        if let Some((issuer, nonce)) =
            usize::try_from(row.position - 1).ok().and_then(|position| reads.nonces.get(position))
        {
            view.load_nonce(*issuer, nonce.clone());
        }
    }
    Ok(())
}

fn nonce_columns<'a>(nonces: impl Iterator<Item = (StatementId, &'a Nonce)>) -> (Vec<Vec<u8>>, Vec<&'a [u8]>) {
    nonces.map(|(issuer, nonce)| (issuer.as_bytes().to_vec(), nonce.as_bytes())).unzip()
}

fn statement_id(bytes: &[u8], place: &str) -> Result<StatementId, StoreError> {
    StatementId::from_slice(bytes).ok_or_else(|| StoreError::damaged(place, "an id is not 32 bytes long"))
}

/// Remembers the nonces of new entries.
pub(crate) async fn insert_nonces<'a>(
    connection: &mut AsyncPgConnection,
    nonces: impl Iterator<Item = (StatementId, &'a Nonce)>,
) -> Result<(), StoreError> {
    let (issuers, nonces) = nonce_columns(nonces);
    diesel::sql_query("INSERT INTO view.nonce (issuer, nonce) SELECT * FROM unnest($1, $2)")
        .bind::<Array<Binary>, _>(issuers)
        .bind::<Array<Binary>, _>(nonces)
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes changes in their order.
pub(crate) async fn write(connection: &mut AsyncPgConnection, changes: &[&Change]) -> Result<(), StoreError> {
    let mut parties = Vec::new();
    let mut keys = Vec::new();
    let mut artefacts = Vec::new();
    for change in changes {
        match change {
            Change::Policy(record) => write_policy(connection, record).await?,
            Change::Party(record) => parties.push(PartyRow::of(record)?),
            Change::Key(record) => keys.push((
                key::id.eq(record.id.digest().as_bytes().to_vec()),
                key::public_key.eq(record.public_key.as_bytes().to_vec()),
                key::party.eq(record.party.as_bytes().to_vec()),
                key::role.eq(record.role.as_str()),
                key::valid_from.eq(bigint(record.valid_from)),
                key::valid_until.eq(record.valid_until.map(bigint)),
            )),
            Change::KeyEnded { .. } | Change::KeyEvent(_) => {}
            Change::Artefact(record) => artefacts.push(record),
        }
    }
    if !parties.is_empty() {
        diesel::insert_into(party::table).values(parties).execute(connection).await?;
    }
    if !keys.is_empty() {
        diesel::insert_into(key::table).values(keys).execute(connection).await?;
    }
    // Key events are rare, and may concern a key or a party of this very batch: after the inserts, in order.
    for change in changes {
        write_key_event(connection, change).await?;
    }
    write_artefacts(connection, &artefacts).await
}

async fn write_key_event(connection: &mut AsyncPgConnection, change: &Change) -> Result<(), StoreError> {
    match change {
        Change::KeyEnded { key, index } => {
            diesel::update(key::table.find(key.digest().as_bytes().as_slice()))
                .set(key::valid_until.eq(bigint(*index)))
                .execute(connection)
                .await?;
        }
        Change::KeyEvent(record) => {
            diesel::update(party::table.find(record.party.as_bytes().as_slice()))
                .set((party::key_head.eq(record.event.as_bytes().as_slice()), party::key_seq.eq(bigint(record.seq))))
                .execute(connection)
                .await?;
            diesel::insert_into(key_event::table)
                .values((
                    key_event::party.eq(record.party.as_bytes().as_slice()),
                    key_event::seq.eq(bigint(record.seq)),
                    key_event::event.eq(record.event.as_bytes().as_slice()),
                    key_event::idx.eq(bigint(record.index)),
                ))
                .execute(connection)
                .await?;
        }
        Change::Policy(_) | Change::Party(_) | Change::Key(_) | Change::Artefact(_) => {}
    }
    Ok(())
}

async fn write_policy(connection: &mut AsyncPgConnection, record: &PolicyRecord) -> Result<(), StoreError> {
    diesel::insert_into(policy::table)
        .values((
            policy::idx.eq(bigint(record.index)),
            policy::statement_id.eq(record.statement.as_bytes().as_slice()),
            policy::anchors.eq(json(&record.anchors)?),
        ))
        .execute(connection)
        .await?;
    Ok(())
}

async fn write_artefacts(connection: &mut AsyncPgConnection, records: &[&ArtefactRecord]) -> Result<(), StoreError> {
    if records.is_empty() {
        return Ok(());
    }
    let rows: Result<Vec<_>, StoreError> = records
        .iter()
        .map(|record| {
            Ok((
                artefact::id.eq(record.id.as_bytes().to_vec()),
                artefact::idx.eq(bigint(record.index)),
                artefact::owner.eq(record.owner.as_bytes().to_vec()),
                artefact::manifest.eq(record.claim.manifest.sha256.as_bytes().to_vec()),
                artefact::version.eq(record.claim.version.clone()),
                artefact::claim.eq(json(&record.claim)?),
            ))
        })
        .collect();
    diesel::insert_into(artefact::table).values(rows?).execute(connection).await?;
    let mut digests: Vec<&[u8]> = Vec::new();
    let mut indices = Vec::new();
    let mut ids: Vec<&[u8]> = Vec::new();
    for record in records {
        for digest in &record.digests {
            digests.push(digest);
            indices.push(bigint(record.index));
            ids.push(record.id.as_bytes());
        }
    }
    diesel::sql_query("INSERT INTO view.artefact_digest (digest, idx, artefact) SELECT * FROM unnest($1, $2, $3)")
        .bind::<Array<Binary>, _>(digests)
        .bind::<Array<BigInt>, _>(indices)
        .bind::<Array<Binary>, _>(ids)
        .execute(connection)
        .await?;
    Ok(())
}

/// Artefacts that hold a file with this digest, or whose manifest has it, in order of registration.
pub(crate) async fn artefacts_with_digest(
    connection: &mut AsyncPgConnection,
    digest: &[u8; 32],
    limit: u32,
) -> Result<Vec<ArtefactRow>, StoreError> {
    let ids: Vec<Vec<u8>> = artefact_digest::table
        .filter(artefact_digest::digest.eq(digest.as_slice()))
        .order(artefact_digest::idx)
        .limit(i64::from(limit))
        .select(artefact_digest::artefact)
        .load(connection)
        .await?;
    let rows = artefact::table
        .filter(artefact::id.eq_any(ids))
        .order(artefact::idx)
        .select(ArtefactRow::as_select())
        .load(connection)
        .await?;
    Ok(rows)
}
