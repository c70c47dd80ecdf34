//! Licensing as it is read: terms, offers and licences by id and by filters, in order of entry, a page at a time.

use chopmark_core::admission::{LatestEvent, LicenceEventRecord, LicenceRecord, OfferRecord, TermsRecord};
use chopmark_core::statement::StatementId;
use chopmark_core::terms::TermsId;
use chopmark_core::terms::period::Date;
use chopmark_core::time::Timestamp;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use crate::error::{StoreError, bigint, count};
use crate::find::Page;
use crate::fixed::fixed;
use crate::project::{
    GRANTED, LatestRow, LicenceRow, OfferRow, TermsRow, from_json, records, statement_id, with_all_under,
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
    /// Neither suspended nor terminated, and within their own term on this day.
    pub in_force_on: Option<Date>,
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
    let mut known = records(connection, rows).await?;
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

/// Licences that fit.
pub(crate) async fn licences(
    connection: &mut AsyncPgConnection,
    filter: &LicenceFilter,
    page: Page,
) -> Result<Vec<LicenceRecord>, StoreError> {
    let mut query = licence::table
        .filter(licence::idx.ge(bigint(page.from)).and(licence::idx.lt(bigint(page.below))))
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
        query = query.filter(licence::status.eq(status.clone()));
    }
    if let Some(day) = filter.in_force_on {
        let day = day.to_string();
        query = query
            .filter(licence::status.eq_any([GRANTED, "reinstated"]))
            .filter(licence::starts_on.le(day.clone()))
            .filter(licence::ends_on.is_null().or(licence::ends_on.ge(day)));
    }
    let rows: Vec<LicenceRow> = query.load(connection).await?;
    let mut found = records(connection, rows).await?;
    found.sort_by_key(|record| record.index);
    Ok(found)
}

/// Every licence that is suspended or terminated, as the first `below` entries have it.
pub(crate) async fn not_in_force(
    connection: &mut AsyncPgConnection,
    below: u64,
) -> Result<Vec<(StatementId, LatestEvent)>, StoreError> {
    let rows: Vec<LatestRow> = fixed(
        "SELECT licence, status, since FROM (
             SELECT DISTINCT ON (licence) licence, status, since FROM licence_event
             WHERE idx < $1 ORDER BY licence, seq DESC
         ) AS latest WHERE status <> 'reinstated'",
    )
    .bind::<BigInt, _>(bigint(below))
    .load(connection)
    .await?;
    rows.into_iter().map(LatestRow::read).collect()
}
