//! Licensing as it is read: terms, offers and licences by id and by filters, in order of entry, a page at a time.

use std::collections::{BTreeMap, BTreeSet};

use chopmark_core::admission::{DatedEvent, LicenceEventRecord, LicenceRecord, OfferRecord, TermsRecord};
use chopmark_core::licensing::standing;
use chopmark_core::statement::StatementId;
use chopmark_core::terms::TermsId;
use chopmark_core::terms::period::Date;
use chopmark_core::time::Timestamp;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use crate::error::{StoreError, bigint, count};
use crate::find::Page;
use crate::project::{
    GRANTED, LicenceRow, OfferRow, TermsRow, all_events, from_json, records, statement_id, with_all_under,
};
use crate::schema::{licence, licence_artefact, licence_event, offer, offer_artefact, terms};

/// Which offers are asked for; what is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct OfferFilter {
    /// An artefact they are about.
    pub artefact: Option<StatementId>,
    /// Who offers.
    pub licensor: Option<StatementId>,
    /// To whom; offers to anybody are not among them.
    pub licensee: Option<StatementId>,
    /// Not over at this moment.
    pub open_at: Option<Timestamp>,
}

/// Which licences are asked for.
#[derive(Debug, Clone, Default)]
pub struct LicenceFilter {
    /// An artefact that is licensed.
    pub artefact: Option<StatementId>,
    /// Who granted them.
    pub licensor: Option<StatementId>,
    /// Who holds them.
    pub licensee: Option<StatementId>,
    /// What happened to them last: `granted` when nothing did, or a [`chopmark_core::licensing::LicenceEvent`].
    pub status: Option<String>,
    /// In force on this day.
    pub in_force_on: Option<Date>,
}

/// Licences that fit, of those that a page looked at.
#[derive(Debug, Clone)]
pub struct FoundLicences {
    /// The licences, in order of entry.
    pub licences: Vec<LicenceRecord>,
    /// How many were looked at: at most the page's limit.
    pub looked_at: usize,
    /// The entry of the last of those.
    pub last: Option<u64>,
}

/// A licence with all that it rests on and what happened to it.
#[derive(Debug, Clone)]
pub struct FoundLicence {
    /// The licence.
    pub record: LicenceRecord,
    /// Licences it rests on, directly or through others.
    pub under: Vec<LicenceRecord>,
    /// Its events in order, at most [`EVENTS_MAX`].
    pub events: Vec<LicenceEventRecord>,
}

/// Most events shown of one licence, the first ones.
pub const EVENTS_MAX: usize = 100;

/// Publications of terms, first published first.
pub(crate) async fn terms(
    connection: &mut AsyncPgConnection,
    id: &TermsReference,
    below: u64,
) -> Result<Vec<TermsRecord>, StoreError> {
    let query = terms::table.filter(terms::idx.lt(bigint(below))).order(terms::idx).select(TermsRow::as_select());
    let rows: Vec<TermsRow> = match id {
        TermsReference::Full(id) => query.filter(terms::id.eq(id.as_bytes().as_slice())).load(connection).await?,
        TermsReference::Shown { low, high } => {
            query
                .filter(terms::id.between(low.as_bytes().as_slice(), high.as_bytes().as_slice()))
                .load(connection)
                .await?
        }
    };
    let records = rows.into_iter().map(TermsRow::record).collect::<Result<Vec<_>, _>>()?;
    let is_one = records.windows(2).all(|pair| pair.first().map(|one| one.id) == pair.last().map(|one| one.id));
    Ok(if is_one { records } else { Vec::new() })
}

/// An id of terms, whole or shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TermsReference {
    /// The whole id.
    Full(TermsId),
    /// Every id between the two, inclusive.
    Shown {
        /// Smallest.
        low: StatementId,
        /// Largest.
        high: StatementId,
    },
}

/// An offer by id.
pub(crate) async fn offer(
    connection: &mut AsyncPgConnection,
    id: &StatementId,
    below: u64,
) -> Result<Option<OfferRecord>, StoreError> {
    let row: Option<OfferRow> = offer::table
        .filter(offer::id.eq(id.as_bytes().as_slice()))
        .filter(offer::idx.lt(bigint(below)))
        .select(OfferRow::as_select())
        .first(connection)
        .await
        .optional()?;
    row.map(OfferRow::record).transpose()
}

/// Offers that fit.
pub(crate) async fn offers(
    connection: &mut AsyncPgConnection,
    filter: &OfferFilter,
    page: Page,
) -> Result<Vec<OfferRecord>, StoreError> {
    let mut query = offer::table
        .filter(offer::idx.ge(bigint(page.from)).and(offer::idx.lt(bigint(page.below))))
        .order(offer::idx)
        .limit(i64::from(page.limit))
        .select(OfferRow::as_select())
        .into_boxed();
    if let Some(artefact) = &filter.artefact {
        let about = offer_artefact::table
            .filter(offer_artefact::artefact.eq(artefact.as_bytes().to_vec()))
            .select(offer_artefact::idx);
        query = query.filter(offer::idx.eq_any(about));
    }
    if let Some(licensor) = &filter.licensor {
        query = query.filter(offer::licensor.eq(licensor.as_bytes().to_vec()));
    }
    if let Some(licensee) = &filter.licensee {
        query = query.filter(offer::licensee.eq(licensee.as_bytes().to_vec()));
    }
    if let Some(moment) = filter.open_at {
        query = query.filter(offer::expires_at.ge(moment.to_utc()));
    }
    let rows: Vec<OfferRow> = query.load(connection).await?;
    rows.into_iter().map(OfferRow::record).collect()
}

/// A licence by id.
pub(crate) async fn licence(
    connection: &mut AsyncPgConnection,
    id: &StatementId,
    below: u64,
) -> Result<Option<FoundLicence>, StoreError> {
    let rows = with_all_under(connection, vec![id.as_bytes().to_vec()]).await?;
    let mut known = records(connection, rows, bigint(below)).await?;
    let Some(position) = known.iter().position(|record| record.id == *id && record.index < below) else {
        return Ok(None);
    };
    let record = known.swap_remove(position);
    let events = events(connection, id, below).await?;
    Ok(Some(FoundLicence { record, under: known, events }))
}

async fn events(
    connection: &mut AsyncPgConnection,
    id: &StatementId,
    below: u64,
) -> Result<Vec<LicenceEventRecord>, StoreError> {
    type Row = (i64, Vec<u8>, i64, Vec<u8>, String, Option<String>, String);
    let rows: Vec<Row> = licence_event::table
        .filter(licence_event::licence.eq(id.as_bytes().as_slice()))
        .filter(licence_event::idx.lt(bigint(below)))
        .order(licence_event::seq)
        .limit(i64::try_from(EVENTS_MAX).unwrap_or(i64::MAX))
        .select((
            licence_event::seq,
            licence_event::id,
            licence_event::idx,
            licence_event::issuer,
            licence_event::status,
            licence_event::reason,
            licence_event::since,
        ))
        .load(connection)
        .await?;
    let place = "view.licence_event";
    let event = |(seq, event, idx, issuer, status, reason, since): Row| {
        Ok(LicenceEventRecord {
            id: statement_id(&event, place)?,
            index: count(idx, place)?,
            issuer: statement_id(&issuer, place)?,
            licence: *id,
            seq: count(seq, place)?,
            status: from_json(Value::String(status), place)?,
            reason: reason.map(|reason| from_json(Value::String(reason), place)).transpose()?,
            since: since.parse().map_err(|error: String| StoreError::damaged(place, error))?,
        })
    };
    rows.into_iter().map(event).collect()
}

/// Licences that fit, as the entries below the page's end have them.
///
/// Whether one is in force depends on those that it rests on, so that is no part of the query: of a page of licences
/// whose own term has the day, those are left out that are not.
pub(crate) async fn licences(
    connection: &mut AsyncPgConnection,
    filter: &LicenceFilter,
    page: Page,
) -> Result<FoundLicences, StoreError> {
    let below = bigint(page.below);
    let mut query = licence::table
        .filter(licence::idx.ge(bigint(page.from)).and(licence::idx.lt(below)))
        .order(licence::idx)
        .limit(i64::from(page.limit))
        .select(LicenceRow::as_select())
        .into_boxed();
    if let Some(artefact) = &filter.artefact {
        let about = licence_artefact::table
            .filter(licence_artefact::artefact.eq(artefact.as_bytes().to_vec()))
            .select(licence_artefact::idx);
        query = query.filter(licence::idx.eq_any(about));
    }
    if let Some(licensor) = &filter.licensor {
        query = query.filter(licence::licensor.eq(licensor.as_bytes().to_vec()));
    }
    if let Some(licensee) = &filter.licensee {
        query = query.filter(licence::licensee.eq(licensee.as_bytes().to_vec()));
    }
    if let Some(status) = &filter.status {
        let latest = licence_event::table
            .filter(licence_event::licence.eq(licence::id))
            .filter(licence_event::idx.lt(below))
            .order(licence_event::seq.desc())
            .select(licence_event::status)
            .single_value();
        query = match status.as_str() {
            GRANTED => query.filter(latest.is_null()),
            _ => query.filter(latest.eq(status.clone())),
        };
    }
    if let Some(day) = filter.in_force_on {
        let day = day.to_string();
        query = query
            .filter(licence::starts_on.le(day.clone()))
            .filter(licence::ends_on.is_null().or(licence::ends_on.ge(day)));
    }
    let rows: Vec<LicenceRow> = query.load(connection).await?;
    let looked_at = rows.len();
    let last = rows.last().map(|row| count(row.idx, "view.licence")).transpose()?;
    let mut licences = match filter.in_force_on {
        Some(day) => in_force(connection, rows, day, below).await?,
        None => records(connection, rows, below).await?,
    };
    licences.sort_by_key(|record| record.index);
    Ok(FoundLicences { licences, looked_at, last })
}

/// Those of some licences that are in force on a day.
async fn in_force(
    connection: &mut AsyncPgConnection,
    rows: Vec<LicenceRow>,
    day: Date,
    below: i64,
) -> Result<Vec<LicenceRecord>, StoreError> {
    let asked: BTreeSet<Vec<u8>> = rows.into_iter().map(|row| row.id).collect();
    let rows = with_all_under(connection, asked.iter().cloned().collect()).await?;
    let known = records(connection, rows, below).await?.into_iter().map(|record| (record.id, record));
    let known: BTreeMap<StatementId, LicenceRecord> = known.collect();
    let is_in_force = |record: &&LicenceRecord| {
        asked.contains(record.id.as_bytes().as_slice()) && standing(|id| known.get(id), &record.id, day).is_in_force()
    };
    Ok(known.values().filter(is_in_force).cloned().collect())
}

/// What happened to licences, as the first `below` entries have it.
pub(crate) async fn status(
    connection: &mut AsyncPgConnection,
    below: u64,
) -> Result<BTreeMap<StatementId, Vec<DatedEvent>>, StoreError> {
    all_events(connection, bigint(below)).await
}
