//! Sums kept beside the read tables: what a report on everything of a taxpayer adds up to. A jurisdiction's summary is the sum
//! of them; those of taxpayers about whom there is anything new are computed again, by the engine that computes reports.
//!
//! They are encrypted like everything in the vault, and nothing is lost with them. Those that went into a summary stay in
//! memory, each as long as its row is there and the same: a summary reads only what has changed since the last one.

mod kept;
mod news;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chopmark_core::access::{Action, Refused, Resource, authorize};
use chopmark_core::code::Jurisdiction;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::Evidence;
use chopmark_core::expenditure::report::{Query, Summary, compute};
use chopmark_core::statement::StatementId;
use chopmark_core::tax::RuleSet;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text};
use diesel_async::{AsyncConnection as _, RunQueryDsl as _};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rayon::prelude::*;
use tokio::task::spawn_blocking;

use self::kept::SumRow;
pub(super) use self::kept::{forget, hold_all, rewrap_some};
use self::news::News;
use super::reports::{admit, is_whole, open, select};
use super::{Acting, Reading, Vault, act, readings};
use crate::Store;
use crate::error::{StoreError, bigint, count};
use crate::fixed::fixed;
use crate::project::statement_id;

/// Where sums are kept, in errors.
const PLACE: &str = "vault.report_sum";

/// Taxpayers computed at a time for each core: while one waits for the database, another computes.
const AT_ONCE_PER_CORE: usize = 2;

/// Entries that kept sums may lie behind before it is written down that they still hold: what is looked through for news is
/// never much more.
const BEHIND_MAX: u64 = 8_192;

/// Most taxpayers whose sums stay in memory, one or two kilobytes each. Those of others are decrypted every time.
const REMEMBERED_MAX: usize = 50_000;

/// Computed taxpayers between two lines of the service's log.
const TOLD_EVERY: usize = 1_000;

/// What a row is known by: the nonce it was encrypted with, which is random. Queries take its 24 bytes, [`super::seal::NONCE_BYTES`].
type Version = Vec<u8>;

/// Sums in memory.
#[derive(Default)]
pub(super) struct Remembered(HashMap<StatementId, (Version, Summary)>);

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

/// A taxpayer, and where its kept sums stand.
#[derive(QueryableByName)]
struct StandingRow {
    #[diesel(sql_type = Binary)]
    party: Vec<u8>,
    #[diesel(sql_type = Nullable<BigInt>)]
    size: Option<i64>,
    #[diesel(sql_type = Nullable<Binary>)]
    version: Option<Vec<u8>>,
}

/// Sums that were read, and taxpayers whose row is no longer what it was.
struct ReadSums {
    sums: Vec<(StatementId, (Version, Summary))>,
    gone: Vec<StatementId>,
}

#[derive(QueryableByName)]
struct PartyRow {
    #[diesel(sql_type = Binary)]
    party: Vec<u8>,
}

/// What sums are made by, and kept for as their `rules`: the rules, and the zones whose values are in them.
fn basis(vault: &Vault, rules: &RuleSet) -> Vec<u8> {
    let mut zones = vault.zone_names();
    zones.sort_unstable();
    Sha256Digest::of_parts(&[rules.digest().as_bytes(), zones.join(" ").as_bytes()]).as_bytes().to_vec()
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

    /// What the taxpayers of a jurisdiction add up to at a size, under rules. One at a time: whoever asks meanwhile finds most
    /// of the work done.
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
        let vault = self.inner.vault.as_ref().ok_or_else(|| StoreError::Vault("there is no vault".to_owned()))?;
        let mut remembered = vault.sums.lock().await;
        let standing = self.standing(place, size, basis(vault, rules)).await?;
        let oldest = standing.values().flatten().map(|(from, _)| *from).min().unwrap_or(size);
        let news = News::since(&*self.inner.pool.get().await?, operator, oldest, size, None).await?;

        let (mut good, mut unread, mut missing, mut behind) = (BTreeMap::new(), Vec::new(), Vec::new(), Vec::new());
        for (party, kept) in standing {
            let in_memory = remembered.0.remove(&party);
            let kept = kept.filter(|(from, _)| !news.is_of(&party, *from));
            let Some((from, version)) = kept else {
                missing.push(party);
                continue;
            };
            if size - from > BEHIND_MAX {
                behind.push(party);
            }
            match in_memory {
                Some((known, summary)) if known == version => drop(good.insert(party, (version, summary))),
                _ => unread.push((party, version)),
            }
        }
        let read = self.read_sums(vault, unread, size, rules).await?;
        missing.extend(read.gone);
        good.extend(read.sums);

        let mut summed = SummedUp { summary: Summary::default(), taxpayers: 0, left_out: Vec::new() };
        let mut take = |party: StatementId, own: Result<&Summary, String>| match own
            .and_then(|own| summed.summary.merge(own).map_err(|error| error.to_string()))
        {
            Ok(()) => summed.taxpayers += 1,
            Err(reason) => summed.left_out.push(LeftOut { party, reason }),
        };
        for (party, (_, own)) in &good {
            take(*party, Ok(own));
        }
        let number = missing.len();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut computed = stream::iter(missing)
            .map(async |party| Ok::<_, StoreError>((party, self.sum_up(vault, party, size, rules).await?)))
            .buffer_unordered(cores.saturating_mul(AT_ONCE_PER_CORE));
        let mut done = 0_usize;
        while let Some((party, own)) = computed.try_next().await? {
            take(party, own.as_ref().map_err(Clone::clone));
            done += 1;
            if done.is_multiple_of(TOLD_EVERY) {
                tracing::info!(done, of = number, "computing sums of taxpayers");
            }
        }
        drop(computed);
        summed.left_out.sort_unstable_by_key(|left_out| left_out.party);
        self.move_on(&behind, size).await?;
        // Those just computed are read from their rows by the next one, as this does not know what they were kept as.
        let room = REMEMBERED_MAX.saturating_sub(remembered.0.len());
        remembered.0.extend(good.into_iter().take(room));
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
        self.sums_of(vault, party, operator, size, rules).await.map(Ok)
    }

    /// The same for whoever holds the database and the master keys, such as the benchmark beside another database: nobody is
    /// asked who asks, and nothing is recorded.
    ///
    /// # Errors
    /// When the vault can't be read.
    pub async fn unrecorded_taxpayer_summary(
        &self,
        party: StatementId,
        operator: &StatementId,
        size: u64,
        rules: &RuleSet,
    ) -> Result<Result<Summary, String>, StoreError> {
        let vault = self.vault().ok_or_else(|| StoreError::Vault("there is no vault".to_owned()))?;
        self.sums_of(vault, party, operator, size, rules).await
    }

    async fn sums_of(
        &self,
        vault: &Vault,
        party: StatementId,
        operator: &StatementId,
        size: u64,
        rules: &RuleSet,
    ) -> Result<Result<Summary, String>, StoreError> {
        let rows: Vec<SumRow> = self.load_as(Acting::Service, kept::rows(&[party], size, basis(vault, rules))).await?;
        if let Some(row) = rows.into_iter().next() {
            let from = count(row.size, PLACE)?;
            let news = News::since(&*self.inner.pool.get().await?, operator, from, size, Some(&party)).await?;
            if !news.is_of(&party, from) {
                if size - from > BEHIND_MAX {
                    self.move_on(&[party], size).await?;
                }
                return Ok(Ok(row.open(vault)?.1));
            }
        }
        self.sum_up(vault, party, size, rules).await
    }

    /// Parties of a place that pay or are paid below a size, ascending.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn taxpayers(&self, place: &Jurisdiction, size: u64) -> Result<Vec<StatementId>, StoreError> {
        let query = fixed(
            "SELECT id AS party FROM party WHERE jurisdiction = $1 AND EXISTS (
                 SELECT FROM evidence_party WHERE evidence_party.party = party.id AND kind = 'expenditure' AND evidence_party.idx < $2
             ) ORDER BY id",
        )
        .bind::<Text, _>(place.as_str().to_owned())
        .bind::<BigInt, _>(bigint(size));
        let rows: Vec<PartyRow> = query.load(&mut *self.inner.pool.get().await?).await?;
        rows.into_iter().map(|row| statement_id(&row.party, "view.party")).collect()
    }

    /// The taxpayers of a place, and of those whose sums are kept, the size they hold at and the version of their row.
    async fn standing(
        &self,
        place: &Jurisdiction,
        size: u64,
        basis: Vec<u8>,
    ) -> Result<BTreeMap<StatementId, Option<(u64, Version)>>, StoreError> {
        let query = fixed(
            "WITH asked (place, size, rules) AS (VALUES ($1::text, $2::bigint, $3::bytea))
             SELECT party.id AS party, kept.size, substring(kept.sealed FOR 24) AS version
             FROM asked JOIN party ON party.jurisdiction = asked.place
                 LEFT JOIN vault.report_sum AS kept
                     ON kept.party = party.id AND kept.rules = asked.rules AND kept.size <= asked.size
             WHERE EXISTS (
                 SELECT FROM evidence_party
                 WHERE evidence_party.party = party.id AND kind = 'expenditure' AND evidence_party.idx < asked.size
             )",
        )
        .bind::<Text, _>(place.as_str().to_owned())
        .bind::<BigInt, _>(bigint(size))
        .bind::<Binary, _>(basis);
        let rows: Vec<StandingRow> = self.load_as(Acting::Service, query).await?;
        let standing = |StandingRow { party, size, version }: StandingRow| {
            let kept = size.zip(version).map(|(size, version)| Ok::<_, StoreError>((count(size, PLACE)?, version)));
            Ok((statement_id(&party, "view.party")?, kept.transpose()?))
        };
        rows.into_iter().map(standing).collect()
    }

    /// Reads and decrypts sums.
    async fn read_sums(
        &self,
        vault: &Arc<Vault>,
        wanted: Vec<(StatementId, Version)>,
        size: u64,
        rules: &RuleSet,
    ) -> Result<ReadSums, StoreError> {
        let mut read = ReadSums { sums: Vec::with_capacity(wanted.len()), gone: Vec::new() };
        if wanted.is_empty() {
            return Ok(read);
        }
        let parties: Vec<StatementId> = wanted.iter().map(|(party, _)| *party).collect();
        let rows: Vec<SumRow> = self.load_as(Acting::Service, kept::rows(&parties, size, basis(vault, rules))).await?;
        let vault = Arc::clone(vault);
        let opening = spawn_blocking(move || {
            let open = |row: SumRow| {
                let version = row.version();
                row.open(&vault).map(|(party, summary)| (party, (version, summary)))
            };
            rows.into_par_iter().map(open).collect::<Result<HashMap<_, _>, StoreError>>()
        });
        let mut opened = opening.await.map_err(|error| StoreError::damaged("decryption", error))??;
        for (party, version) in wanted {
            // Another one was put in its place meanwhile, or it was erased: this may not know what the other takes into account.
            match opened.remove(&party) {
                Some((known, summary)) if known == version => read.sums.push((party, (version, summary))),
                _ => read.gone.push(party),
            }
        }
        Ok(read)
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
            select(connection, vault, (party, None), size).await
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
        let computed = spawn_blocking(move || {
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
            kept::hold(connection).await?;
            if is_whole(connection, &gathered).await?
                && !kept::is_more_there(connection, vault, party, &gathered).await?
            {
                kept::keep(connection, vault, (party, size, basis(vault, rules)), &summary).await?;
            }
            Ok::<_, StoreError>(())
        });
        kept.await?;
        Ok(Ok(summary))
    }

    /// Says of sums that they hold at a larger size, too.
    async fn move_on(&self, parties: &[StatementId], size: u64) -> Result<(), StoreError> {
        if parties.is_empty() {
            return Ok(());
        }
        let query = fixed("UPDATE vault.report_sum SET size = greatest(size, $1) WHERE party = ANY ($2)")
            .bind::<BigInt, _>(bigint(size))
            .bind::<Array<Binary>, _>(parties.iter().map(|id| id.as_bytes().to_vec()).collect::<Vec<_>>());
        self.execute_as(Acting::Service, query).await?;
        Ok(())
    }
}
