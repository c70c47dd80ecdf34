//! Every report of a jurisdiction, computed anew by the engine: to compare with the sums that are kept, and to be written as a
//! dataset for programs that add up millions of lines.
//!
//! Whoever asks is an officer of the place, with a case and a purpose, and each taxpayer's evidence is read with a record of
//! its own, as for a report.

#[cfg(feature = "parquet")]
mod partitions;

use std::path::{Path, PathBuf};

use chopmark_core::access::{Principal, Reason, Refused};
use chopmark_core::code::Jurisdiction;
use chopmark_core::expenditure::Evidence;
use chopmark_core::expenditure::report::{Query, Report, Summary, compute};
use chopmark_core::ledger::note::NoteSigner;
use chopmark_core::money::Overflow;
use chopmark_core::statement::StatementId;
use chopmark_core::time::Timestamp;
use chopmark_store::{LeftOut, NotGathered, Reading, Registry, Store, StoreError, StoredCheckpoint, SummedUp};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::reports::{READ_FIELD, record_id, rules};

/// Taxpayers worked on at a time for each core: while one waits for the database, another computes.
const AT_ONCE_PER_CORE: usize = 2;

/// What is asked, by whom, and why.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Who: an officer of the place.
    pub principal: &'a Principal,
    /// Why.
    pub reason: Option<&'a Reason>,
    /// Whose taxpayers.
    pub place: &'a Jurisdiction,
    /// The registry.
    pub registry: &'a Registry,
    /// The signed tree to look at.
    pub checkpoint: &'a StoredCheckpoint,
    /// The log key, where it is at hand: the dataset is signed with it.
    pub signer: Option<&'a NoteSigner>,
}

/// What came of it.
#[derive(Debug)]
pub struct Recomputed {
    /// As the engine computes it now.
    pub computed: SummedUp,
    /// As it is kept.
    pub kept: SummedUp,
    /// Entries that the reports rest on; one that two rest on counts twice.
    pub entries: u64,
    /// Lines of all reports.
    pub lines: u64,
    /// Files that were written, relative to the dataset's directory, ascending.
    pub files: Vec<PathBuf>,
}

impl Recomputed {
    /// Whether the kept sums are those of the lines.
    pub fn is_equal(&self) -> bool {
        self.computed.summary == self.kept.summary && self.computed.taxpayers == self.kept.taxpayers
    }
}

/// Why there is no dataset.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// Whoever asks may not, or gave no reason.
    #[error("{}", match .0 {
        Refused::Scope => "the token is not good for this",
        Refused::NotTheirs => "only officers of the place read the figures of its taxpayers",
        Refused::ReasonNeeded => "an officer reads with a case reference and a purpose",
    })]
    Refused(Refused),
    /// The database or the vault failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A sum is too large.
    #[error(transparent)]
    Overflow(#[from] Overflow),
    /// The rules or the machine failed.
    #[error("{0}")]
    Internal(String),
    /// The dataset can't be written.
    #[error("{}: {reason}", .path.display())]
    Write {
        /// What.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// This build does not write Parquet.
    #[error("this program was built without Parquet; build it with --features parquet")]
    NotBuilt,
}

/// A taxpayer's report, or why there is none.
struct Computed {
    party: StatementId,
    entries: usize,
    report: Result<Report, String>,
}

/// Computes the report on everything of every taxpayer of a place, and compares with what is kept. With a directory, which
/// must not be there yet, their lines are written to it: `jurisdiction=HK/year_of_assessment=2026-27/lines.parquet`, each
/// ascending by taxpayer, and `dataset.json`, which says what they are of and lists them with their digests, with the log
/// key's signature in `dataset.json.sig`. Nothing is there when it fails.
///
/// # Errors
/// [`DatasetError`].
pub async fn recompute(
    store: &Store,
    asked: Asked<'_>,
    directory: Option<&Path>,
    mut progress: impl FnMut(usize, usize),
) -> Result<Recomputed, DatasetError> {
    let rules = rules().map_err(|error| DatasetError::Internal(error.0.detail))?;
    let mut sink = Sink::begin(directory)?;
    let fields = [format!("/summary/{}", asked.place.as_str())];
    let recorded = store.record_summary(reading(asked, &asked.registry.operator, &fields)?, asked.place).await?;
    recorded.map_err(DatasetError::Refused)?;
    let taxpayers = store.taxpayers(asked.place, asked.checkpoint.size).await?;
    let number = taxpayers.len();
    let mut computed = SummedUp { summary: Summary::default(), taxpayers: 0, left_out: Vec::new() };
    let (mut entries, mut lines, mut done) = (0_u64, 0_u64, 0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // In order, so that the lines of every file ascend by taxpayer.
    let mut reports =
        stream::iter(taxpayers).map(|party| one(store, asked, party)).buffered(cores.saturating_mul(AT_ONCE_PER_CORE));
    while let Some(Computed { party, entries: under, report }) = reports.try_next().await? {
        entries = entries.saturating_add(u64::try_from(under).unwrap_or(u64::MAX));
        match report {
            Ok(report) => {
                lines = lines.saturating_add(u64::try_from(report.lines.len()).unwrap_or(u64::MAX));
                computed.summary.add(&report)?;
                computed.taxpayers += 1;
                sink.put(&report)?;
            }
            Err(reason) => computed.left_out.push(LeftOut { party, reason }),
        }
        done += 1;
        progress(done, number);
    }
    let kept = store.summary(asked.place, &asked.registry.operator, asked.checkpoint.size, rules).await?;
    let files = sink.finish(asked, &computed.left_out)?;
    Ok(Recomputed { computed, kept, entries, lines, files })
}

fn reading<'a>(
    asked: Asked<'a>,
    statement: &'a StatementId,
    fields: &'a [String],
) -> Result<Reading<'a>, DatasetError> {
    Ok(Reading {
        principal: asked.principal,
        statement,
        fields,
        reason: asked.reason,
        now: Timestamp::from(chrono::Utc::now()),
        id: record_id().map_err(|error| DatasetError::Internal(error.0.detail))?,
    })
}

async fn one(store: &Store, asked: Asked<'_>, party: StatementId) -> Result<Computed, DatasetError> {
    let fields = [READ_FIELD.to_owned()];
    let gathered = match store.report_evidence(reading(asked, &party, &fields)?, asked.checkpoint.size).await? {
        Ok(gathered) => gathered,
        Err(NotGathered::Refused(why)) => return Err(DatasetError::Refused(why)),
        Err(NotGathered::TooMany(many)) => {
            let reason = format!("a report would rest on {} entries or more", many.found);
            return Ok(Computed { party, entries: many.found, report: Err(reason) });
        }
    };
    let (size, entries) = (asked.checkpoint.size, gathered.items.len());
    let computing = tokio::task::spawn_blocking(move || {
        let rules = rules().map_err(|error| error.0.detail)?;
        let law = crate::reports::jurisdiction()?;
        let evidence = Evidence::gather(party, size, &gathered.items).map_err(|error| error.to_string())?;
        compute(&evidence, &Query::all(party), law, rules).map_err(|error| error.to_string())
    });
    let report = computing.await.map_err(|error| DatasetError::Internal(error.to_string()))?;
    Ok(Computed { party, entries, report })
}

/// Where lines go.
struct Sink {
    #[cfg(feature = "parquet")]
    partitions: Option<partitions::Partitions>,
}

impl Sink {
    #[cfg(feature = "parquet")]
    fn begin(directory: Option<&Path>) -> Result<Self, DatasetError> {
        Ok(Self { partitions: directory.map(partitions::Partitions::begin).transpose()? })
    }

    #[cfg(not(feature = "parquet"))]
    const fn begin(directory: Option<&Path>) -> Result<Self, DatasetError> {
        if directory.is_some() { Err(DatasetError::NotBuilt) } else { Ok(Self {}) }
    }

    #[cfg(feature = "parquet")]
    fn put(&mut self, report: &Report) -> Result<(), DatasetError> {
        self.partitions.as_mut().map_or(Ok(()), |partitions| partitions.put(report))
    }

    #[cfg(not(feature = "parquet"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as where there is one")]
    const fn put(&mut self, _: &Report) -> Result<(), DatasetError> {
        Ok(())
    }

    #[cfg(feature = "parquet")]
    fn finish(self, asked: Asked<'_>, left_out: &[LeftOut]) -> Result<Vec<PathBuf>, DatasetError> {
        self.partitions.map_or_else(|| Ok(Vec::new()), |partitions| partitions.finish(asked, left_out))
    }

    #[cfg(not(feature = "parquet"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as where there is one")]
    const fn finish(self, _: Asked<'_>, _: &[LeftOut]) -> Result<Vec<PathBuf>, DatasetError> {
        Ok(Vec::new())
    }
}
