//! `chopmark report recompute`: on the operator's machine, every report of a jurisdiction computed anew by the engine, compared
//! with the sums that are kept beside the tables, and written as a dataset.

use chopmark_api::dataset::{Asked, DatasetError, Recomputed, recompute};
use chopmark_core::access::{Reason, Refused, Scope, Who};
use chopmark_core::code::Jurisdiction;
use chopmark_core::expenditure::report::{Cell, Totals};
use chopmark_core::time::Timestamp;
use chopmark_store::{AccessHead, Store};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::arguments::ReportRecomputeArguments;
use crate::commands::{Context, block_on, token};
use crate::exit::{Exit, Failure};
use crate::printer::{Report, Tone};
use crate::progress::Steps;
use crate::registry::{self, DataDirectory};
use crate::{files, units, vault};

/// Recomputes.
///
/// # Errors
/// An authorisation failure without an officer's token; when the database can't be read or the directory not be written.
/// Sums that differ are a proof failure that names the first, and so is an access log that is not what was signed.
pub(super) fn run(context: &Context<'_>, arguments: &ReportRecomputeArguments) -> Result<Exit, Failure> {
    let reason = Reason { case_reference: arguments.case_reference.clone(), purpose: arguments.purpose.clone() };
    reason.validate().map_err(|error| Failure::usage(format!("{}: {}", error.pointer, error.reason)))?;
    let shown = token::in_environment().ok_or_else(|| {
        let message = "put an officer's token into CHOPMARK_TOKEN; chopmark token new makes one";
        Failure::new(Exit::NotAuthorised, "not_authorised", message)
    })?;
    let (place, recomputed) = block_on(async {
        let directory = DataDirectory::of(&arguments.store)?;
        let (store, database) = registry::open_for_reading(&directory, &arguments.store).await?;
        let done = work(context, arguments, &reason, &shown, &directory, &store).await;
        database.stop().await?;
        done
    })?;
    let Recomputed { computed, entries, lines, files, .. } = &recomputed;
    let files: Vec<String> = files.iter().map(|path| files::text(path).into_owned()).collect();
    if let Some(first) = differing(&recomputed) {
        return Err(Failure::new(Exit::ProofInvalid, "sums_differ", first));
    }
    let left_out: Vec<Value> =
        computed.left_out.iter().map(|out| json!({ "party": out.party, "reason": out.reason })).collect();
    let members = json!({
        "jurisdiction": place.as_str(),
        "taxpayers": computed.taxpayers,
        "left_out": left_out,
        "entries": entries,
        "lines": lines,
        "equal": true,
        "directory": arguments.parquet.as_ref().map(|path| files::text(path).into_owned()),
        "files": files,
    });
    let mut report = Report::default()
        .row("taxpayers", units::count(computed.taxpayers, "taxpayer"))
        .row("rest on", if *entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") })
        .row("lines", units::count(*lines, "line"));
    for out in &computed.left_out {
        report = report.row("left out", format!("{}: {}", out.party.shown("pty"), out.reason));
    }
    if !files.is_empty() {
        report = report.row("files", files.join(", "));
    }
    let headline = format!("EQUAL: the sums kept for {} are those of the lines", place.as_str());
    context.done(members, &report.headline(Tone::Good, headline))
}

async fn work(
    context: &Context<'_>,
    arguments: &ReportRecomputeArguments,
    reason: &Reason,
    shown: &Zeroizing<String>,
    directory: &DataDirectory,
    store: &Store,
) -> Result<(Jurisdiction, Recomputed), Failure> {
    let store = vault::attach_for_reading(store, directory, &arguments.key, &arguments.zones.zones)?;
    let now = Timestamp::from(chrono::Utc::now());
    let refused = || Failure::new(Exit::NotAuthorised, "not_authorised", "CHOPMARK_TOKEN is no officer's token here");
    let principal = store.principal(Some(shown), Scope::Openings, now).await?.ok_or_else(refused)?;
    let Who::Officer(place) = principal.who.clone() else { return Err(refused()) };
    let registry = store.registry().await?;
    refuse_other_accesses(&store, directory, &registry.reference.origin).await?;
    let checkpoint = store.latest_checkpoint().await?.ok_or_else(|| {
        Failure::new(Exit::CouldNotCheck, "no_checkpoint", "nothing of this log is published yet; start chopmark serve")
    })?;
    let signer = if directory.has_log_key() { Some(directory.signer(&registry.reference.origin)?) } else { None };
    let asked = Asked {
        principal: &principal,
        reason: Some(reason),
        place: &place,
        registry: &registry,
        checkpoint: &checkpoint,
        signer: signer.as_ref(),
    };
    let mut steps = Steps::start(context.printer);
    let recomputed = recompute(&store, asked, arguments.parquet.as_deref(), |done, of| {
        steps.show("computing", "taxpayers", units::length(done), units::length(of));
    });
    let recomputed = recomputed.await;
    steps.finish();
    Ok((place.clone(), recomputed?))
}

/// As the service does, reads nothing while the access log is not what was signed: what is recorded now would be put behind
/// records that are others, and cover that up.
async fn refuse_other_accesses(store: &Store, directory: &DataDirectory, origin: &str) -> Result<(), Failure> {
    // First, so that what a service signs meanwhile is not missed in the log.
    let Some(signed) = directory.peek_access_mark(origin)? else { return Ok(()) };
    let signed = AccessHead { size: signed.size, root: signed.root };
    if store.access_log_extends(store.access_head().await?, signed).await? {
        return Ok(());
    }
    let message = format!(
        "the access log does not begin with the {} records that {} says were signed: nothing sealed is read until they are \
         put back; chopmark audit says what is wrong",
        signed.size,
        directory.access_mark().display()
    );
    Err(Failure::new(Exit::ProofInvalid, "access_log_damaged", message))
}

/// The first sum that is kept otherwise than it is computed, in a sentence.
fn differing(recomputed: &Recomputed) -> Option<String> {
    if recomputed.is_equal() {
        return None;
    }
    let (computed, kept) = (&recomputed.computed, &recomputed.kept);
    let describe = |(cell, totals): (&Cell, &Totals)| {
        let ip_type = cell.ip_type.map_or("no type", chopmark_core::artefact::IpType::as_str);
        format!(
            "{} {} section {}: deductions {}, receipts {}, withholding {}, concessions {}",
            cell.year, ip_type, cell.section, totals.deduction, totals.receipt, totals.withholding, totals.concession
        )
    };
    let only = |one: &chopmark_store::SummedUp, other: &chopmark_store::SummedUp| {
        let others: Vec<_> = other.summary.cells().collect();
        one.summary.cells().find(|sum| !others.contains(sum)).map(describe)
    };
    let said = match (only(computed, kept), only(kept, computed)) {
        (Some(computed), Some(kept)) => format!("computed {computed}; kept {kept}"),
        (Some(computed), None) => format!("computed {computed}; nothing is kept of it"),
        (None, Some(kept)) => format!("kept {kept}; nothing is computed of it"),
        (None, None) => format!("computed of {} taxpayers, kept of {}", computed.taxpayers, kept.taxpayers),
    };
    Some(format!("the sums that are kept are not those of the lines: {said}"))
}

impl From<DatasetError> for Failure {
    fn from(error: DatasetError) -> Self {
        match error {
            DatasetError::Store(error) => error.into(),
            DatasetError::Refused(Refused::ReasonNeeded) | DatasetError::NotBuilt => Self::usage(error.to_string()),
            DatasetError::Refused(_) => Self::new(Exit::NotAuthorised, "not_authorised", error.to_string()),
            DatasetError::Write { .. } => Self::usage(format!("cannot write the dataset: {error}")),
            DatasetError::Overflow(_) | DatasetError::Internal(_) => Self::internal(error.to_string()),
        }
    }
}
