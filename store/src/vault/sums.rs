//! Sums kept beside the read tables: what a report on everything of a taxpayer adds up to. A jurisdiction's summary is the sum
//! of them; those of taxpayers about whom there is anything new are computed again, by the engine that computes reports.
//!
//! They are encrypted like everything in the vault, and nothing is lost with them.

use std::collections::{BTreeMap, BTreeSet};

use chopmark_core::access::{Action, Refused, Resource, authorize};
use chopmark_core::artefact::IpType;
use chopmark_core::code::Jurisdiction;
use chopmark_core::expenditure::Evidence;
use chopmark_core::expenditure::report::{Cell, Query, Summary, Totals, compute};
use chopmark_core::money::Amount;
use chopmark_core::sealed::Field;
use chopmark_core::statement::StatementId;
use chopmark_core::tax::RuleSet;
use chopmark_core::tax::year::Year;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Text};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};
use serde::{Deserialize, Serialize};

use super::openings::usable_keys;
use super::reports::{admit, is_whole, open, select};
use super::seal::{self, SealedOpening};
use super::{Acting, Reading, Vault, act, readings};
use crate::Store;
use crate::error::{StoreError, bigint, count};
use crate::fixed::fixed;
use crate::project::statement_id;

/// Where sums are kept, in errors.
const PLACE: &str = "vault.report_sum";

/// What a jurisdiction's taxpayers add up to.
#[derive(Debug, Clone)]
pub struct SummedUp {
    /// The sums.
    pub summary: Summary,
    /// How many taxpayers are in them.
    pub taxpayers: u64,
    /// Those that are not.
    pub left_out: Vec<LeftOut>,
}

/// A taxpayer that no report can be computed on.
#[derive(Debug, Clone)]
pub struct LeftOut {
    /// The party.
    pub party: StatementId,
    /// Why not.
    pub reason: String,
}

#[derive(Serialize, Deserialize)]
struct KeptCell {
    jurisdiction: String,
    year: Year,
    ip_type: Option<IpType>,
    section: String,
    /// Deduction, receipt, withholding, concession, in cents.
    cents: [String; 4],
}

#[derive(QueryableByName)]
struct SumRow {
    #[diesel(sql_type = Binary)]
    party: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    size: i64,
    #[diesel(sql_type = Text)]
    key_id: String,
    #[diesel(sql_type = Binary)]
    wrapped_key: Vec<u8>,
    #[diesel(sql_type = Binary)]
    sealed: Vec<u8>,
}

#[derive(QueryableByName)]
struct PartyRow {
    #[diesel(sql_type = Binary)]
    party: Vec<u8>,
}

#[derive(QueryableByName)]
struct LatestRow {
    #[diesel(sql_type = Binary)]
    party: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    idx: i64,
}

#[derive(QueryableByName)]
struct PairRow {
    #[diesel(sql_type = Binary)]
    party: Vec<u8>,
    #[diesel(sql_type = Binary)]
    other: Vec<u8>,
}

fn name() -> Result<Field, StoreError> {
    "/report-sum".parse().map_err(|reason: String| StoreError::damaged(PLACE, reason))
}

fn to_bytes(summary: &Summary) -> Result<Vec<u8>, StoreError> {
    let cell = |(cell, totals): (&Cell, &Totals)| KeptCell {
        jurisdiction: cell.jurisdiction.clone(),
        year: cell.year,
        ip_type: cell.ip_type,
        section: cell.section.clone(),
        cents: [totals.deduction, totals.receipt, totals.withholding, totals.concession]
            .map(|amount| amount.cents().to_string()),
    };
    serde_json::to_vec(&summary.cells().map(cell).collect::<Vec<_>>())
        .map_err(|error| StoreError::damaged(PLACE, error))
}

fn from_bytes(bytes: &[u8]) -> Result<Summary, StoreError> {
    let damaged = |reason: String| StoreError::damaged(PLACE, reason);
    let cells: Vec<KeptCell> = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    let mut summary = Summary::default();
    for KeptCell { jurisdiction, year, ip_type, section, cents } in cells {
        let amount = |text: &String| text.parse().map(Amount::from_cents).map_err(|_| damaged(format!("{text:?}")));
        let [deduction, receipt, withholding, concession] = &cents;
        let totals = Totals {
            deduction: amount(deduction)?,
            receipt: amount(receipt)?,
            withholding: amount(withholding)?,
            concession: amount(concession)?,
        };
        let put = summary.put(Cell { jurisdiction, year, ip_type, section }, totals);
        put.map_err(|error| damaged(error.to_string()))?;
    }
    Ok(summary)
}

/// What is kept of one taxpayer.
struct Kept {
    size: u64,
    row: SealedOpening,
}

/// The last entry from some size on that is of a party, by party, and the last rate of the operator.
struct Latest {
    by_party: BTreeMap<StatementId, u64>,
    partners: BTreeMap<StatementId, BTreeSet<StatementId>>,
    rate: Option<u64>,
}

impl Latest {
    /// Whether there may be anything new about a taxpayer from entry `from` on: of itself, of anybody it has a payment or
    /// relation with, or a rate.
    fn is_newer(&self, taxpayer: &StatementId, from: u64) -> bool {
        let partners = self.partners.get(taxpayer).into_iter().flatten();
        let parties = partners.chain([taxpayer]).filter_map(|party| self.by_party.get(party));
        parties.chain(&self.rate).any(|index| *index >= from)
    }
}

impl Store {
    /// Whether somebody may see a jurisdiction's summary, and the record that they do.
    ///
    /// # Errors
    /// When the record can't be written.
    pub async fn record_summary(
        &self,
        reading: Reading<'_>,
        place: &Jurisdiction,
    ) -> Result<Result<(), Refused>, StoreError> {
        let decided = authorize(reading.principal, Action::ReadReport(reading.reason), Resource::SummaryOf(place));
        let Some(vault) = self.vault() else { return Ok(Err(Refused::NotTheirs)) };
        if decided.is_err() {
            return Ok(decided);
        }
        let mut connection = self.inner.pool.get().await?;
        let recorded = connection.transaction(async |connection| {
            act(connection, Acting::Principal(reading.principal)).await?;
            readings::record(connection, vault, reading).await
        });
        recorded.await.map(Ok)
    }

    /// What the taxpayers of a jurisdiction add up to at a size, under rules.
    ///
    /// # Errors
    /// When the vault can't be read or written.
    pub async fn summary(
        &self,
        place: &Jurisdiction,
        operator: &StatementId,
        size: u64,
        rules: &RuleSet,
    ) -> Result<SummedUp, StoreError> {
        let vault = self.vault().ok_or_else(|| StoreError::Vault("there is no vault".to_owned()))?;
        let taxpayers = self.taxpayers(place, size).await?;
        let kept = self.kept_sums(&taxpayers, size, rules).await?;
        let latest = match kept.values().map(|kept| kept.size).min() {
            Some(from) => self.latest(operator, from, size).await?,
            None => Latest { by_party: BTreeMap::new(), partners: BTreeMap::new(), rate: None },
        };
        let mut summed = SummedUp { summary: Summary::default(), taxpayers: 0, left_out: Vec::new() };
        let mut still_good = Vec::new();
        for party in taxpayers {
            let good = kept.get(&party).filter(|kept| !latest.is_newer(&party, kept.size));
            let own = match good {
                Some(Kept { row, .. }) => {
                    still_good.push(party);
                    let keys = vault.keys_with(&row.key_id)?;
                    Ok(from_bytes(&seal::open_secret(&keys, row, &party, &name()?)?)?)
                }
                None => self.sum_up(vault, party, size, rules).await?,
            };
            match own.and_then(|own| summed.summary.merge(&own).map_err(|error| error.to_string())) {
                Ok(()) => summed.taxpayers += 1,
                Err(reason) => summed.left_out.push(LeftOut { party, reason }),
            }
        }
        self.move_on(&still_good, size).await?;
        Ok(summed)
    }

    /// What one taxpayer adds up to at a size, under rules, for somebody who may have reports on it; recorded like a report. The
    /// statement of the reading is the taxpayer's party. A reason where nothing can be computed on it.
    ///
    /// # Errors
    /// When the record can't be written, or the vault can't be read.
    pub async fn taxpayer_summary(
        &self,
        reading: Reading<'_>,
        operator: &StatementId,
        size: u64,
        rules: &RuleSet,
    ) -> Result<Result<Result<Summary, String>, Refused>, StoreError> {
        let Some(vault) = self.vault() else { return Ok(Err(Refused::NotTheirs)) };
        let party = *reading.statement;
        let mut connection = self.inner.pool.get().await?;
        let admitted = connection.transaction(async |connection| {
            act(connection, Acting::Principal(reading.principal)).await?;
            admit(connection, vault, reading, size).await
        });
        if let Err(why) = admitted.await? {
            return Ok(Err(why));
        }
        drop(connection);
        if let Some(Kept { size: from, row }) = self.kept_sums(&[party], size, rules).await?.remove(&party)
            && (from == size || !self.has_news(&party, operator, from, size).await?)
        {
            let keys = vault.keys_with(&row.key_id)?;
            return Ok(Ok(Ok(from_bytes(&seal::open_secret(&keys, &row, &party, &name()?)?)?)));
        }
        Ok(Ok(self.sum_up(vault, party, size, rules).await?))
    }

    /// Whether there may be anything new about a taxpayer since some size, as [`Latest::is_newer`] says it of many.
    async fn has_news(
        &self,
        party: &StatementId,
        operator: &StatementId,
        from: u64,
        size: u64,
    ) -> Result<bool, StoreError> {
        let query = fixed(
            "SELECT party, idx FROM (
                 SELECT party, idx FROM evidence_party UNION ALL SELECT issuer, idx FROM endorsement
             ) AS said WHERE idx >= $1 AND idx < $2 AND (party = $3 OR party = $4 OR party IN (
                 SELECT two.party FROM evidence_party AS one JOIN evidence_party AS two USING (idx) WHERE one.party = $4
             )) LIMIT 1",
        )
        .bind::<BigInt, _>(bigint(from))
        .bind::<BigInt, _>(bigint(size))
        .bind::<Binary, _>(operator.as_bytes().to_vec())
        .bind::<Binary, _>(party.as_bytes().to_vec());
        let found: Vec<LatestRow> = query.load(&mut *self.inner.pool.get().await?).await?;
        Ok(!found.is_empty())
    }

    /// Parties of a place that pay or are paid below a size, ascending.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn taxpayers(&self, place: &Jurisdiction, size: u64) -> Result<Vec<StatementId>, StoreError> {
        let query = fixed(
            "SELECT DISTINCT party.id AS party FROM party JOIN evidence_party ON evidence_party.party = party.id
             WHERE jurisdiction = $1 AND kind = 'expenditure' AND evidence_party.idx < $2 ORDER BY party.id",
        )
        .bind::<Text, _>(place.as_str().to_owned())
        .bind::<BigInt, _>(bigint(size));
        let rows: Vec<PartyRow> = query.load(&mut *self.inner.pool.get().await?).await?;
        rows.into_iter().map(|row| statement_id(&row.party, "view.party")).collect()
    }

    async fn kept_sums(
        &self,
        taxpayers: &[StatementId],
        size: u64,
        rules: &RuleSet,
    ) -> Result<BTreeMap<StatementId, Kept>, StoreError> {
        let query = fixed(
            "SELECT party, size, key_id, wrapped_key, sealed FROM vault.report_sum
             WHERE party = ANY ($1) AND rules = $2 AND size <= $3",
        )
        .bind::<Array<Binary>, _>(taxpayers.iter().map(|id| id.as_bytes().to_vec()).collect::<Vec<_>>())
        .bind::<Binary, _>(rules.digest().as_bytes().to_vec())
        .bind::<BigInt, _>(bigint(size));
        let rows: Vec<SumRow> = self.load_as(Acting::Service, query).await?;
        let kept = |SumRow { party, size, key_id, wrapped_key, sealed }: SumRow| {
            let row = SealedOpening { key_id, wrapped_key, sealed };
            Ok((statement_id(&party, PLACE)?, Kept { size: count(size, PLACE)?, row }))
        };
        rows.into_iter().map(kept).collect()
    }

    async fn latest(&self, operator: &StatementId, from: u64, size: u64) -> Result<Latest, StoreError> {
        let connection = &mut *self.inner.pool.get().await?;
        let rows: Vec<LatestRow> = fixed(
            "SELECT party, max(idx) AS idx FROM (
                 SELECT party, idx FROM evidence_party UNION ALL SELECT issuer, idx FROM endorsement
             ) AS said WHERE idx >= $1 AND idx < $2 GROUP BY party",
        )
        .bind::<BigInt, _>(bigint(from))
        .bind::<BigInt, _>(bigint(size))
        .load(connection)
        .await?;
        let place = "view.evidence_party";
        let mut latest = Latest { by_party: BTreeMap::new(), partners: BTreeMap::new(), rate: None };
        for LatestRow { party, idx } in rows {
            latest.by_party.insert(statement_id(&party, place)?, count(idx, place)?);
        }
        // A rate of the operator counts for everybody.
        latest.rate = latest.by_party.get(operator).copied();
        let pairs: Vec<PairRow> = fixed(
            "SELECT DISTINCT one.party, two.party AS other FROM evidence_party AS one JOIN evidence_party AS two USING (idx)
             WHERE two.party = ANY ($1) AND one.party <> two.party",
        )
        .bind::<Array<Binary>, _>(latest.by_party.keys().map(|id| id.as_bytes().to_vec()).collect::<Vec<_>>())
        .load(connection)
        .await?;
        for PairRow { party, other } in pairs {
            latest.partners.entry(statement_id(&party, place)?).or_default().insert(statement_id(&other, place)?);
        }
        Ok(latest)
    }

    /// Computes and keeps the sums of a taxpayer.
    async fn sum_up(
        &self,
        vault: &Vault,
        party: StatementId,
        size: u64,
        rules: &RuleSet,
    ) -> Result<Result<Summary, String>, StoreError> {
        let mut connection = self.inner.pool.get().await?;
        let selected = connection.transaction(async |connection| {
            act(connection, Acting::Service).await?;
            select(connection, party, size).await
        });
        let gathered = match selected.await? {
            Ok((selection, rows)) => selection.close(&connection, open(vault, rows)?).await?,
            Err(many) => Err(many),
        };
        let gathered = match gathered {
            Ok(gathered) => gathered,
            Err(many) => return Ok(Err(format!("a report would rest on {} entries or more", many.found))),
        };
        let (items, rules_) = (gathered.items.clone(), rules.clone());
        let computed = tokio::task::spawn_blocking(move || {
            let evidence = Evidence::gather(party, size, &items).map_err(|error| error.to_string())?;
            let mut summary = Summary::default();
            for jurisdiction in chopmark_core::tax::JURISDICTIONS {
                let report = compute(&evidence, &Query::all(party), jurisdiction, &rules_);
                summary.add(&report.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
            }
            Ok(summary)
        });
        let summary = match computed.await.map_err(|error| StoreError::damaged("the engine", error))? {
            Ok(summary) => summary,
            Err(reason) => return Ok(Err(reason)),
        };
        let kept = connection.transaction(async |connection| {
            act(connection, Acting::Service).await?;
            if is_whole(connection, &gathered).await? {
                keep(connection, vault, (party, size, rules), &summary).await?;
            }
            Ok::<_, StoreError>(())
        });
        kept.await?;
        Ok(Ok(summary))
    }

    /// Says of sums that they hold at a larger size, too.
    async fn move_on(&self, parties: &[StatementId], size: u64) -> Result<(), StoreError> {
        let query = fixed("UPDATE vault.report_sum SET size = greatest(size, $1) WHERE party = ANY ($2)")
            .bind::<BigInt, _>(bigint(size))
            .bind::<Array<Binary>, _>(parties.iter().map(|id| id.as_bytes().to_vec()).collect::<Vec<_>>());
        self.execute_as(Acting::Service, query).await?;
        Ok(())
    }
}

async fn keep(
    connection: &AsyncPgConnection,
    vault: &Vault,
    (party, size, rules): (StatementId, u64, &RuleSet),
    summary: &Summary,
) -> Result<(), StoreError> {
    let keys = usable_keys(connection, vault).await?;
    let SealedOpening { key_id, wrapped_key, sealed } =
        seal::seal_secret(&keys, &party, &name()?, &to_bytes(summary)?)?;
    fixed(
        "INSERT INTO vault.report_sum AS known (party, size, rules, key_id, wrapped_key, sealed)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (party) DO UPDATE SET size = excluded.size, rules = excluded.rules, key_id = excluded.key_id,
             wrapped_key = excluded.wrapped_key, sealed = excluded.sealed
         WHERE known.size <= excluded.size",
    )
    .bind::<Binary, _>(party.as_bytes().to_vec())
    .bind::<BigInt, _>(bigint(size))
    .bind::<Binary, _>(rules.digest().as_bytes().to_vec())
    .bind::<Text, _>(key_id)
    .bind::<Binary, _>(wrapped_key)
    .bind::<Binary, _>(sealed)
    .execute(&mut &*connection)
    .await?;
    Ok(())
}
