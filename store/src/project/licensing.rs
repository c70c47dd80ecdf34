//! Licensing as admission looks it up: terms, offers, licences with their latest event.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chopmark_core::admission::{
    Change, DatedEvent, LicenceChange, LicenceEventRecord, LicenceRecord, LicensingReads, OfferRecord, TermsRecord,
    View, keeps_others_out,
};
use chopmark_core::licensing::{GrantClaim, OfferClaim};
use chopmark_core::statement::StatementId;
use chopmark_core::terms::vocabulary::Vocabulary;
use chopmark_core::terms::{Terms, TermsId};
use chopmark_core::time::Timestamp;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use super::{from_json, json, statement_id};
use crate::error::{StoreError, bigint, count};
use crate::fixed::fixed;
use crate::schema::{licence, licence_artefact, licence_event, offer, offer_artefact, terms};

/// What a licence is before anything happens to it.
pub(crate) const GRANTED: &str = "granted";

/// Rows in one statement.
const ROWS_MAX: usize = 1_000;

/// A row of `view.terms`.
#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = terms)]
pub(crate) struct TermsRow {
    id: Vec<u8>,
    issuer: Vec<u8>,
    statement: Vec<u8>,
    idx: i64,
    body: Vec<u8>,
}

impl TermsRow {
    fn of(record: &TermsRecord) -> Result<Self, StoreError> {
        let body = record.terms.to_canonical().map_err(|error| StoreError::damaged("terms to be written", error))?;
        Ok(Self {
            id: record.id.as_bytes().to_vec(),
            issuer: record.issuer.as_bytes().to_vec(),
            statement: record.statement.as_bytes().to_vec(),
            idx: bigint(record.index),
            body,
        })
    }

    pub(crate) fn record(self) -> Result<TermsRecord, StoreError> {
        let place = format!("view.terms of entry {}", self.idx);
        let damaged = |reason: &str| StoreError::damaged(place.clone(), reason);
        let document = Terms::parse(&self.body).map_err(|error| damaged(&error.to_string()))?;
        Ok(TermsRecord {
            id: TermsId::from_slice(&self.id).ok_or_else(|| damaged("id"))?,
            index: count(self.idx, &place)?,
            statement: statement_id(&self.statement, &place)?,
            issuer: statement_id(&self.issuer, &place)?,
            terms: Arc::new(document),
        })
    }
}

/// A row of `view.offer`.
#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = offer)]
pub(crate) struct OfferRow {
    id: Vec<u8>,
    idx: i64,
    licensor: Vec<u8>,
    licensee: Option<Vec<u8>>,
    issued_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    claim: Value,
}

impl OfferRow {
    fn of(record: &OfferRecord) -> Result<Self, StoreError> {
        Ok(Self {
            id: record.id.as_bytes().to_vec(),
            idx: bigint(record.index),
            licensor: record.licensor.as_bytes().to_vec(),
            licensee: record.claim.licensee.map(|id| id.as_bytes().to_vec()),
            issued_at: record.issued_at.to_utc(),
            expires_at: record.claim.expires_at.to_utc(),
            claim: json(&record.claim)?,
        })
    }

    pub(crate) fn record(self) -> Result<OfferRecord, StoreError> {
        let place = format!("view.offer of entry {}", self.idx);
        Ok(OfferRecord {
            id: statement_id(&self.id, &place)?,
            index: count(self.idx, &place)?,
            issued_at: Timestamp::from(self.issued_at),
            licensor: statement_id(&self.licensor, &place)?,
            claim: from_json::<OfferClaim>(self.claim, &place)?,
        })
    }
}

/// A row of `view.licence`.
#[derive(Queryable, Selectable, Insertable, Clone)]
#[diesel(table_name = licence)]
pub(crate) struct LicenceRow {
    pub(crate) id: Vec<u8>,
    pub(crate) idx: i64,
    offer: Option<Vec<u8>>,
    licensor: Vec<u8>,
    licensee: Vec<u8>,
    starts_on: String,
    ends_on: Option<String>,
    is_exclusive: bool,
    claim: Value,
    status: String,
    since: String,
    event_seq: i64,
    event_head: Vec<u8>,
}

impl LicenceRow {
    fn of(change: &LicenceChange, terms: &Terms) -> Result<Self, StoreError> {
        let claim = &change.claim;
        let bytes = |id: &StatementId| id.as_bytes().to_vec();
        Ok(Self {
            id: bytes(&change.id),
            idx: bigint(change.index),
            offer: claim.offer.as_ref().map(bytes),
            licensor: bytes(&claim.licensor),
            licensee: bytes(&claim.licensee),
            starts_on: claim.starts_on.to_string(),
            ends_on: claim.ends_on(terms).map(|day| day.to_string()),
            is_exclusive: keeps_others_out(terms),
            claim: json(claim)?,
            status: GRANTED.to_owned(),
            since: claim.starts_on.to_string(),
            event_seq: 0,
            event_head: bytes(&change.id),
        })
    }

    fn place(&self) -> String {
        format!("view.licence of entry {}", self.idx)
    }

    pub(crate) fn claim(&self) -> Result<GrantClaim, StoreError> {
        from_json(self.claim.clone(), &self.place())
    }

    fn record(&self, terms: &Arc<Terms>, events: &[EventRow]) -> Result<LicenceRecord, StoreError> {
        let place = self.place();
        let change = LicenceChange {
            id: statement_id(&self.id, &place)?,
            index: count(self.idx, &place)?,
            claim: self.claim()?,
        };
        let mut record = LicenceRecord::new(&change, Arc::clone(terms));
        for event in events {
            record.happened(event.read()?);
            record.event_seq = count(event.seq, EVENTS)?;
            record.event_head = statement_id(&event.id, EVENTS)?;
        }
        Ok(record)
    }
}

/// Where events are.
const EVENTS: &str = "view.licence_event";

/// An event of a licence, the last of its day.
#[derive(QueryableByName)]
struct EventRow {
    #[diesel(sql_type = Binary)]
    licence: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Binary)]
    id: Vec<u8>,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = Text)]
    since: String,
}

impl EventRow {
    fn read(&self) -> Result<DatedEvent, StoreError> {
        let status = from_json(Value::String(self.status.clone()), EVENTS)?;
        let since = self.since.parse().map_err(|error: String| StoreError::damaged(EVENTS, error))?;
        Ok(DatedEvent { status, since })
    }
}

/// What happened to every licence, as the first `below` entries have it.
pub(crate) async fn all_events(
    connection: &AsyncPgConnection,
    below: i64,
) -> Result<BTreeMap<StatementId, Vec<DatedEvent>>, StoreError> {
    let rows: Vec<EventRow> = fixed(
        "SELECT DISTINCT ON (licence, since) licence, seq, id, status, since FROM licence_event
         WHERE idx < $1 ORDER BY licence, since, seq DESC",
    )
    .bind::<BigInt, _>(below)
    .load(&mut &*connection)
    .await?;
    let mut events: BTreeMap<StatementId, Vec<DatedEvent>> = BTreeMap::new();
    for row in rows {
        events.entry(statement_id(&row.licence, EVENTS)?).or_default().push(row.read()?);
    }
    Ok(events)
}

/// What happened to these licences, by their ids, as the first `below` entries have it.
async fn events(
    connection: &AsyncPgConnection,
    licences: Vec<Vec<u8>>,
    below: i64,
) -> Result<BTreeMap<Vec<u8>, Vec<EventRow>>, StoreError> {
    let mut events: BTreeMap<Vec<u8>, Vec<EventRow>> = BTreeMap::new();
    if licences.is_empty() {
        return Ok(events);
    }
    let rows: Vec<EventRow> = fixed(
        "SELECT DISTINCT ON (licence, since) licence, seq, id, status, since FROM licence_event
         WHERE licence = ANY ($1) AND idx < $2 ORDER BY licence, since, seq DESC",
    )
    .bind::<Array<Binary>, _>(licences)
    .bind::<BigInt, _>(below)
    .load(&mut &*connection)
    .await?;
    for row in rows {
        events.entry(row.licence.clone()).or_default().push(row);
    }
    Ok(events)
}

/// Looks up what a batch reads, and takes it into the view; but for what is in the way of its grants.
pub(super) async fn load(
    connection: &AsyncPgConnection,
    reads: &LicensingReads,
    view: &mut View,
) -> Result<(), StoreError> {
    if reads.is_empty() {
        return Ok(());
    }
    load_terms(connection, reads.terms.iter().copied(), view).await?;
    let offers: BTreeSet<&[u8]> = reads.acceptances.iter().map(|(offer, _)| offer.as_bytes().as_slice()).collect();
    let offers: Vec<&[u8]> = offers.into_iter().collect();
    if !offers.is_empty() {
        let rows: Vec<OfferRow> = offer::table
            .filter(offer::id.eq_any(&offers))
            .select(OfferRow::as_select())
            .load(&mut &*connection)
            .await?;
        for row in rows {
            view.licensing_mut().load_offer(row.record()?);
        }
    }
    let wanted: Vec<Vec<u8>> = reads.licences.iter().map(|id| id.as_bytes().to_vec()).collect();
    let mut rows = with_all_under(connection, wanted).await?;
    rows.extend(accepted(connection, reads).await?);
    load_licences(connection, rows, view).await
}

async fn load_terms(
    connection: &AsyncPgConnection,
    wanted: impl Iterator<Item = (StatementId, TermsId)>,
    view: &mut View,
) -> Result<(), StoreError> {
    let wanted: BTreeSet<(StatementId, TermsId)> =
        wanted.filter(|(issuer, id)| view.licensing().publication(issuer, id).is_none()).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    for row in published(connection, &wanted).await? {
        view.licensing_mut().load_terms(row.record()?);
    }
    Ok(())
}

async fn published(
    connection: &AsyncPgConnection,
    wanted: &BTreeSet<(StatementId, TermsId)>,
) -> Result<Vec<TermsRow>, StoreError> {
    let ids: Vec<&[u8]> = wanted.iter().map(|(_, id)| id.as_bytes().as_slice()).collect();
    let issuers: Vec<&[u8]> = wanted.iter().map(|(issuer, _)| issuer.as_bytes().as_slice()).collect();
    let rows: Vec<TermsRow> = terms::table
        .filter(terms::id.eq_any(ids))
        .filter(terms::issuer.eq_any(issuers))
        .select(TermsRow::as_select())
        .load(&mut &*connection)
        .await?;
    Ok(rows)
}

/// Terms by who published them.
async fn documents(
    connection: &AsyncPgConnection,
    wanted: &BTreeSet<(StatementId, TermsId)>,
) -> Result<BTreeMap<(StatementId, TermsId), Arc<Terms>>, StoreError> {
    let rows = published(connection, wanted).await?.into_iter();
    let records = rows.map(TermsRow::record).collect::<Result<Vec<_>, _>>()?;
    Ok(records.into_iter().map(|record| ((record.issuer, record.id), record.terms)).collect())
}

/// Licences by id with all that they rest on, level by level: each rests on earlier ones.
pub(crate) async fn with_all_under(
    connection: &AsyncPgConnection,
    mut wanted: Vec<Vec<u8>>,
) -> Result<Vec<LicenceRow>, StoreError> {
    let mut found = BTreeMap::new();
    while !wanted.is_empty() {
        let rows: Vec<LicenceRow> = licence::table
            .filter(licence::id.eq_any(&wanted))
            .select(LicenceRow::as_select())
            .load(&mut &*connection)
            .await?;
        wanted.clear();
        for row in rows {
            for under in row.claim()?.under {
                let id = under.as_bytes().to_vec();
                if !found.contains_key(&id) {
                    wanted.push(id);
                }
            }
            found.insert(row.id.clone(), row);
        }
        wanted.retain(|id| !found.contains_key(id));
    }
    Ok(found.into_values().collect())
}

async fn accepted(connection: &AsyncPgConnection, reads: &LicensingReads) -> Result<Vec<LicenceRow>, StoreError> {
    if reads.acceptances.is_empty() {
        return Ok(Vec::new());
    }
    let (offers, licensees): (Vec<&[u8]>, Vec<&[u8]>) = reads
        .acceptances
        .iter()
        .map(|(offer, licensee)| (offer.as_bytes().as_slice(), licensee.as_bytes().as_slice()))
        .unzip();
    let rows: Vec<LicenceRow> = licence::table
        .filter(licence::offer.eq_any(offers))
        .filter(licence::licensee.eq_any(licensees))
        .select(LicenceRow::as_select())
        .load(&mut &*connection)
        .await?;
    Ok(rows)
}

/// Looks up licences that new ones may collide with, and takes them into the view: those that keep others out; and all of
/// them where a new one does. `published` knows the terms of the new ones.
pub(crate) async fn load_in_the_way(
    connection: &AsyncPgConnection,
    reads: &LicensingReads,
    published: &View,
    view: &mut View,
) -> Result<(), StoreError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Binary)]
        id: Vec<u8>,
    }
    if reads.licences_of.is_empty() {
        return Ok(());
    }
    let (mut some, mut all) = (Vec::new(), Vec::new());
    for (artefact, licensor, id) in &reads.licences_of {
        // Under unknown terms nothing is granted.
        let Some(record) = published.licensing().publication(licensor, id) else { continue };
        let list = if keeps_others_out(&record.terms) { &mut all } else { &mut some };
        list.push(artefact.as_bytes().to_vec());
    }
    let rows: Vec<Row> = fixed(
        "SELECT licence.id FROM licence_artefact AS held JOIN licence ON licence.idx = held.idx
         WHERE held.artefact = ANY ($1) AND licence.is_exclusive AND licence.status <> 'terminated'
         UNION
         SELECT licence.id FROM licence_artefact AS held JOIN licence ON licence.idx = held.idx
         WHERE held.artefact = ANY ($2) AND licence.status <> 'terminated'",
    )
    .bind::<Array<Binary>, _>(some)
    .bind::<Array<Binary>, _>(all)
    .load(&mut &*connection)
    .await?;
    let rows = with_all_under(connection, rows.into_iter().map(|row| row.id).collect()).await?;
    load_licences(connection, rows, view).await
}

/// Takes licences in, with their terms.
async fn load_licences(
    connection: &AsyncPgConnection,
    rows: Vec<LicenceRow>,
    view: &mut View,
) -> Result<(), StoreError> {
    for record in records(connection, rows, bigint(view.size())).await? {
        view.licensing_mut().load_licence(record);
    }
    Ok(())
}

/// Rows of licences with their terms, which their licensors published, and with what happened to them in the first `below`
/// entries.
pub(crate) async fn records(
    connection: &AsyncPgConnection,
    rows: Vec<LicenceRow>,
    below: i64,
) -> Result<Vec<LicenceRecord>, StoreError> {
    let eventful = rows.iter().filter(|row| row.event_seq > 0).map(|row| row.id.clone()).collect();
    let events = events(connection, eventful, below).await?;
    let mut claims = Vec::with_capacity(rows.len());
    for row in rows {
        let claim = row.claim()?;
        claims.push(((claim.licensor, claim.terms), row));
    }
    let wanted: BTreeSet<_> = claims.iter().map(|(key, _)| *key).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let documents = documents(connection, &wanted).await?;
    let record = |(key, row): ((StatementId, TermsId), LicenceRow)| {
        let terms = documents.get(&key).ok_or_else(|| StoreError::damaged(row.place(), "its terms are missing"))?;
        row.record(terms, events.get(&row.id).map(Vec::as_slice).unwrap_or_default())
    };
    claims.into_iter().map(record).collect()
}

/// Writes what entries change about licensing, in their order.
pub(super) async fn write(connection: &AsyncPgConnection, changes: &[&Change]) -> Result<(), StoreError> {
    let (mut documents, mut offers, mut licences, mut events) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for change in changes {
        match change {
            Change::Terms(record) => documents.push(TermsRow::of(record)?),
            Change::Offer(record) => offers.push(record),
            Change::Licence(change) => licences.push(change),
            Change::LicenceEvent(event) => events.push(event),
            _ => {}
        }
    }
    for rows in documents.chunks(ROWS_MAX) {
        diesel::insert_into(terms::table).values(rows).execute(&mut &*connection).await?;
    }
    write_offers(connection, &offers).await?;
    write_licences(connection, &licences).await?;
    for event in events {
        write_event(connection, event).await?;
    }
    Ok(())
}

async fn write_offers(connection: &AsyncPgConnection, offers: &[&OfferRecord]) -> Result<(), StoreError> {
    for records in offers.chunks(ROWS_MAX) {
        let rows = records.iter().map(|record| OfferRow::of(record)).collect::<Result<Vec<_>, _>>()?;
        diesel::insert_into(offer::table).values(rows).execute(&mut &*connection).await?;
        let held: Vec<_> = records.iter().flat_map(|record| about(&record.claim.artefacts, record.index)).collect();
        for held in held.chunks(ROWS_MAX) {
            let rows: Vec<_> = held
                .iter()
                .map(|(artefact, index)| (offer_artefact::artefact.eq(artefact), offer_artefact::idx.eq(index)))
                .collect();
            diesel::insert_into(offer_artefact::table).values(rows).execute(&mut &*connection).await?;
        }
    }
    Ok(())
}

fn about(artefacts: &[StatementId], index: u64) -> impl Iterator<Item = (Vec<u8>, i64)> {
    artefacts.iter().map(move |artefact| (artefact.as_bytes().to_vec(), bigint(index)))
}

async fn write_licences(connection: &AsyncPgConnection, licences: &[&LicenceChange]) -> Result<(), StoreError> {
    if licences.is_empty() {
        return Ok(());
    }
    let wanted: BTreeSet<_> = licences.iter().map(|change| (change.claim.licensor, change.claim.terms)).collect();
    let documents = documents(connection, &wanted).await?;
    for changes in licences.chunks(ROWS_MAX) {
        let mut rows = Vec::with_capacity(changes.len());
        for change in changes {
            let terms = documents.get(&(change.claim.licensor, change.claim.terms));
            let place = || format!("view.terms for the licence of entry {}", change.index);
            rows.push(LicenceRow::of(change, terms.ok_or_else(|| StoreError::damaged(place(), "missing"))?)?);
        }
        diesel::insert_into(licence::table).values(rows).execute(&mut &*connection).await?;
        let held: Vec<_> = changes.iter().flat_map(|change| about(&change.claim.artefacts, change.index)).collect();
        for held in held.chunks(ROWS_MAX) {
            let rows: Vec<_> = held
                .iter()
                .map(|(artefact, index)| (licence_artefact::artefact.eq(artefact), licence_artefact::idx.eq(index)))
                .collect();
            diesel::insert_into(licence_artefact::table).values(rows).execute(&mut &*connection).await?;
        }
    }
    Ok(())
}

async fn write_event(connection: &AsyncPgConnection, event: &LicenceEventRecord) -> Result<(), StoreError> {
    let status = event.status.as_str();
    let since = event.since.to_string();
    diesel::insert_into(licence_event::table)
        .values((
            licence_event::licence.eq(event.licence.as_bytes().as_slice()),
            licence_event::seq.eq(bigint(event.seq)),
            licence_event::id.eq(event.id.as_bytes().as_slice()),
            licence_event::idx.eq(bigint(event.index)),
            licence_event::issuer.eq(event.issuer.as_bytes().as_slice()),
            licence_event::status.eq(status),
            licence_event::reason.eq(event.reason.map(Vocabulary::as_str)),
            licence_event::since.eq(&since),
        ))
        .execute(&mut &*connection)
        .await?;
    diesel::update(licence::table.find(event.licence.as_bytes().as_slice()))
        .set((
            licence::status.eq(status),
            licence::since.eq(&since),
            licence::event_seq.eq(bigint(event.seq)),
            licence::event_head.eq(event.id.as_bytes().as_slice()),
        ))
        .execute(&mut &*connection)
        .await?;
    Ok(())
}
