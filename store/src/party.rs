//! Parties as they are shown: with their keys, the parties whose names look like theirs, and what others say about them.
//!
//! However many are shown, there is one query per table.

use std::collections::BTreeMap;

use chopmark_core::admission::{KeyRecord, PartyRecord};
use chopmark_core::party::{KeyRole, Scheme};
use chopmark_core::statement::StatementId;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};

use crate::about::About;
use crate::error::{StoreError, bigint};
use crate::project::{KeyRow, PartyRow, statement_id};
use crate::schema::{key, party};

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
    /// Its keys in order of validity, those that may no longer sign among them.
    pub keys: Vec<KeyRecord>,
    /// Parties whose names can't be told from one of its own (UTS 39), first registered first.
    pub look_alikes: Vec<StatementId>,
    /// What others say about it.
    pub about: About,
}

/// The parties with these ids, in their order, and what entries below `below` say about them.
pub(crate) async fn found(
    connection: &mut AsyncPgConnection,
    ids: &[StatementId],
    below: u64,
) -> Result<Vec<FoundParty>, StoreError> {
    let bytes: Vec<Vec<u8>> = ids.iter().map(|id| id.as_bytes().to_vec()).collect();
    let rows: Vec<PartyRow> =
        party::table.filter(party::id.eq_any(&bytes)).select(PartyRow::as_select()).load(connection).await?;
    let mut keys = keys_of(connection, &bytes).await?;
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
    let mut look_alikes = look_alikes(connection, bytes, below).await?;
    let said = About::load(connection, ids, About::page(below)).await?;
    let found = ids.iter().zip(said).filter_map(|(id, about)| {
        Some(FoundParty {
            record: records.remove(id)?,
            keys: keys.remove(id).unwrap_or_default(),
            look_alikes: look_alikes.remove(id).unwrap_or_default(),
            about,
        })
    });
    Ok(found.collect())
}

async fn keys_of(
    connection: &mut AsyncPgConnection,
    parties: &[Vec<u8>],
) -> Result<BTreeMap<StatementId, Vec<KeyRecord>>, StoreError> {
    let rows: Vec<KeyRow> = key::table
        .filter(key::party.eq_any(parties))
        .order((key::valid_from, key::id))
        .select(KeyRow::as_select())
        .load(connection)
        .await?;
    let mut keys: BTreeMap<StatementId, Vec<KeyRecord>> = BTreeMap::new();
    for row in rows {
        let key = row.record()?;
        keys.entry(key.party).or_default().push(key);
    }
    Ok(keys)
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
