//! Parties as they are shown: with their keys, the parties whose names look like theirs, and what others say about them.
//!
//! However many are shown, there is one query per table.

use core::cmp::Reverse;
use std::collections::BTreeMap;

use chopmark_core::admission::{KeyRecord, PartyRecord};
use chopmark_core::party::{KeyRole, Scheme};
use chopmark_core::statement::StatementId;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Nullable};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};

use crate::about::About;
use crate::error::{StoreError, bigint, count};
use crate::project::{KeyRow, PartyRow, statement_id};
use crate::schema::party;

/// Most keys shown of one party.
const KEYS_MAX: i64 = 100;

/// Most look-alikes shown of one party; the first registered come first.
const LOOK_ALIKES_MAX: i64 = 100;

/// What the identifiers of a party with this Business Registration Number contain.
pub(crate) fn with_brn(brn: &str) -> Value {
    json!([{ "scheme": Scheme::HkBrn, "value": brn }])
}

/// A party that was found.
#[derive(Debug, Clone)]
pub struct FoundParty {
    /// What is known of it.
    pub record: PartyRecord,
    /// Its keys in order of validity, at most 100 unless more may sign: first of all those that may, then those that ended
    /// last.
    pub keys: Vec<KeyRecord>,
    /// Whether it has, or had, more keys.
    pub more_keys: bool,
    /// Parties whose names can't be told from one of its own (UTS 39), first registered first.
    pub look_alikes: Vec<StatementId>,
    /// What others say about it.
    pub about: About,
}

/// Which state of parties is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stand {
    /// That of the first entries, this many, as everything else that a list says.
    Of(u64),
    /// The newest, with every key that may sign: who signs next needs it, published or not.
    Newest,
}

/// The parties with these ids, in their order, and what entries below `below` say about them.
pub(crate) async fn found(
    connection: &mut AsyncPgConnection,
    ids: &[StatementId],
    stand: Stand,
    below: u64,
) -> Result<Vec<FoundParty>, StoreError> {
    let bytes: Vec<Vec<u8>> = ids.iter().map(|id| id.as_bytes().to_vec()).collect();
    let rows: Vec<PartyRow> =
        party::table.filter(party::id.eq_any(&bytes)).select(PartyRow::as_select()).load(connection).await?;
    let mut keys = keys_of(connection, &bytes, stand).await?;
    let is_root = |key: &&KeyRecord| key.role == KeyRole::Root && key.valid_until.is_none();
    let root_keys = keys
        .iter()
        .map(|(party, keys)| {
            let roots = keys.iter().filter(is_root).count();
            (party.as_bytes().to_vec(), u32::try_from(roots).unwrap_or(u32::MAX))
        })
        .collect();
    let mut records = BTreeMap::new();
    for row in rows {
        let record = row.record(&root_keys)?;
        records.insert(record.id, record);
    }
    if let Stand::Of(size) = stand {
        take_back(connection, &mut records, &bytes, size).await?;
    }
    let mut look_alikes = look_alikes(connection, bytes, below).await?;
    let said = About::load(connection, ids, About::page(below)).await?;
    let found = ids.iter().zip(said).filter_map(|(id, about)| {
        let mut keys = keys.remove(id).unwrap_or_default();
        let more_keys = shorten(&mut keys, stand);
        Some(FoundParty {
            record: records.remove(id)?,
            keys,
            more_keys,
            look_alikes: look_alikes.remove(id).unwrap_or_default(),
            about,
        })
    });
    Ok(found.collect())
}

/// Gives parties the key events and the verification that they had in the first `size` entries.
async fn take_back(
    connection: &mut AsyncPgConnection,
    records: &mut BTreeMap<StatementId, PartyRecord>,
    parties: &[Vec<u8>],
    size: u64,
) -> Result<(), StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Binary)]
        party: Vec<u8>,
        #[diesel(sql_type = Nullable<Binary>)]
        event: Option<Vec<u8>>,
        #[diesel(sql_type = Nullable<BigInt>)]
        seq: Option<i64>,
        #[diesel(sql_type = Nullable<BigInt>)]
        verified_from: Option<i64>,
    }
    // Of a party, attestations say only whether it is verified.
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT asked.party, latest.event, latest.seq, said.idx AS verified_from
         FROM unnest($1) AS asked (party)
         LEFT JOIN LATERAL (
             SELECT event, seq FROM key_event
             WHERE key_event.party = asked.party AND idx < $2
             ORDER BY seq DESC LIMIT 1
         ) AS latest ON true
         LEFT JOIN LATERAL (
             SELECT idx, claim ? 'party_verified' AS is_verified FROM attestation
             WHERE about = asked.party AND idx < $2
             ORDER BY idx DESC LIMIT 1
         ) AS said ON said.is_verified",
    )
    .bind::<Array<Binary>, _>(parties)
    .bind::<BigInt, _>(bigint(size))
    .load(connection)
    .await?;
    for row in rows {
        let Some(record) = records.get_mut(&statement_id(&row.party, "view.party")?) else { continue };
        let event = row.event.map(|event| statement_id(&event, "view.key_event")).transpose()?;
        record.key_head = event.unwrap_or(record.id);
        record.key_seq = row.seq.map_or(Ok(0), |seq| count(seq, "view.key_event"))?;
        record.verified_from = row.verified_from.map(|index| count(index, "view.attestation")).transpose()?;
    }
    Ok(())
}

/// Keys of parties, those that may sign and those that no longer may; of each sort one more than is shown, which tells
/// whether there are more.
async fn keys_of(
    connection: &mut AsyncPgConnection,
    parties: &[Vec<u8>],
    stand: Stand,
) -> Result<BTreeMap<StatementId, Vec<KeyRecord>>, StoreError> {
    let (size, valid_max) = match stand {
        Stand::Of(size) => (bigint(size), Some(KEYS_MAX + 1)),
        Stand::Newest => (i64::MAX, None),
    };
    let rows: Vec<KeyRow> = diesel::sql_query(
        "SELECT shown.* FROM unnest($1) AS asked (party)
         CROSS JOIN LATERAL (
             (SELECT id, public_key, party, role, valid_from, NULL::bigint AS valid_until FROM key
              WHERE key.party = asked.party AND valid_from < $2 AND (valid_until IS NULL OR valid_until >= $2)
              ORDER BY role, valid_from, id LIMIT $3)
             UNION ALL
             (SELECT id, public_key, party, role, valid_from, valid_until FROM key
              WHERE key.party = asked.party AND valid_until < $2
              ORDER BY valid_until DESC, role, valid_from, id LIMIT $4)
         ) AS shown",
    )
    .bind::<Array<Binary>, _>(parties)
    .bind::<BigInt, _>(size)
    .bind::<Nullable<BigInt>, _>(valid_max)
    .bind::<BigInt, _>(KEYS_MAX + 1)
    .load(connection)
    .await?;
    let mut keys: BTreeMap<StatementId, Vec<KeyRecord>> = BTreeMap::new();
    for row in rows {
        let key = row.record()?;
        keys.entry(key.party).or_default().push(key);
    }
    Ok(keys)
}

/// Leaves the keys that are shown – those that may sign, root keys first, then those that ended last – in order of
/// validity; whether there are more.
fn shorten(keys: &mut Vec<KeyRecord>, stand: Stand) -> bool {
    let valid = match stand {
        Stand::Of(_) => 0,
        Stand::Newest => keys.iter().filter(|key| key.valid_until.is_none()).count(),
    };
    let shown = usize::try_from(KEYS_MAX).unwrap_or(usize::MAX).max(valid);
    let are_more = keys.len() > shown;
    keys.sort_by_key(|key| {
        (Reverse(key.valid_until.unwrap_or(u64::MAX)), key.role == KeyRole::Signing, key.valid_from, key.id)
    });
    keys.truncate(shown);
    keys.sort_by_key(|key| (key.valid_from, key.id));
    are_more
}

async fn look_alikes(
    connection: &mut AsyncPgConnection,
    parties: Vec<Vec<u8>>,
    below: u64,
) -> Result<BTreeMap<StatementId, Vec<StatementId>>, StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Binary)]
        own: Vec<u8>,
        #[diesel(sql_type = Binary)]
        other: Vec<u8>,
    }
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT own.id AS own, alike.id AS other
         FROM party_page AS own
         CROSS JOIN LATERAL (
             SELECT id, idx FROM party_page
             WHERE party_page.skeletons && own.skeletons AND party_page.id <> own.id AND idx < $2
             ORDER BY idx LIMIT $3
         ) AS alike
         WHERE own.id = ANY ($1)
         ORDER BY own.idx, alike.idx",
    )
    .bind::<Array<Binary>, _>(parties)
    .bind::<BigInt, _>(bigint(below))
    .bind::<BigInt, _>(LOOK_ALIKES_MAX)
    .load(connection)
    .await?;
    let place = "view.party_page";
    let mut alike: BTreeMap<StatementId, Vec<StatementId>> = BTreeMap::new();
    for row in rows {
        alike.entry(statement_id(&row.own, place)?).or_default().push(statement_id(&row.other, place)?);
    }
    Ok(alike)
}
