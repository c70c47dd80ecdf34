//! `chopmark audit`: recomputes the whole ledger and names the first thing that does not hold.

use std::path::Path;

use chopmark_core::ledger::checkpoint::open_checkpoint;
use chopmark_core::ledger::note::{NOTE_BYTES_MAX, VerifierKey};
use chopmark_core::ledger::proof::{TLOG_PROOF_BYTES_MAX, TlogProof};
use chopmark_store::audit::{Clean, Finding, KnownRoot, Verdict};
use chopmark_store::{Registry, Store};
use serde_json::json;

use super::{Context, block_on};
use crate::arguments::AuditArguments;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::printer::{Report, Tone};
use crate::registry::{self, DataDirectory};

/// Below this many entries an audit is over before anybody would read how far it is.
const PROGRESS_ENTRIES_MIN: u64 = 10_000;

/// Runs `audit`.
///
/// # Errors
/// When the database can't be read. Damage is a result, with exit code 6.
pub(crate) fn run(context: &Context<'_>, arguments: &AuditArguments) -> Result<Exit, Failure> {
    block_on(open_and_check(context, arguments))
}

async fn open_and_check(context: &Context<'_>, arguments: &AuditArguments) -> Result<Exit, Failure> {
    let directory = DataDirectory::of(&arguments.store)?;
    let (store, database) = registry::open_for_reading(&directory, &arguments.store).await?;
    let end = check(context, arguments, &directory, &store).await;
    database.stop().await?;
    end
}

async fn check(
    context: &Context<'_>,
    arguments: &AuditArguments,
    directory: &DataDirectory,
    store: &Store,
) -> Result<Exit, Failure> {
    let registry = store.registry().await?;
    let key = log_key(context, arguments, directory, &registry)?;
    let mut known = Vec::new();
    if let Some(path) = &arguments.against {
        known.push(kept_checkpoint(path, &key)?);
    }
    if let Some(signed) = directory.peek_mark()?.filter(|signed| signed.origin == registry.reference.origin) {
        let source = format!("the signer's mark {}", directory.mark().display());
        known.push(KnownRoot { source, size: signed.size, root: signed.root });
    }
    let compared = known.len();
    let mut tenths_said = 0;
    let verdict = chopmark_store::audit::audit(store, &key, known, |done, of| {
        let tenths = done * 10 / of.max(1);
        if tenths > tenths_said && of >= PROGRESS_ENTRIES_MIN {
            tenths_said = tenths;
            context.printer.note(format!("checked {done} of {of} entries"));
        }
    })
    .await?;
    match verdict {
        Verdict::Clean(clean) => report_clean(context, &registry, &clean, compared),
        Verdict::Found(finding) => report_damage(context, &registry, &finding),
    }
}

fn report_clean(context: &Context<'_>, registry: &Registry, clean: &Clean, compared: usize) -> Result<Exit, Failure> {
    let members = json!({
        "state": "clean",
        "origin": registry.reference.origin,
        "entries": clean.entries,
        "tiles": clean.tiles,
        "checkpoints": clean.checkpoints,
        "outside_roots": compared,
        "root": clean.root,
    });
    let report = Report::default()
        .row("Registry", &registry.reference.origin)
        .row("Entries", clean.entries.to_string())
        .row("Full tiles", clean.tiles.to_string())
        .row("Checkpoints", clean.checkpoints.to_string())
        .row("Outside roots", compared.to_string())
        .row("Root", clean.root.to_hex())
        .headline(Tone::Good, "CLEAN: every entry, tile, root and checkpoint holds");
    context.done(members, &report)
}

fn report_damage(context: &Context<'_>, registry: &Registry, finding: &Finding) -> Result<Exit, Failure> {
    let members = json!({
        "state": "damaged",
        "origin": registry.reference.origin,
        "finding": { "object": finding.object, "index": finding.index, "reason": finding.reason },
    });
    let mut report = Report::default().row("Registry", &registry.reference.origin);
    if let Some(index) = finding.index {
        report = report.row("First entry", index.to_string());
    }
    let report = report.headline(Tone::Bad, format!("DAMAGED: {}: {}", finding.object, finding.reason));
    context.printer.result(context.command, Exit::ProofInvalid, members, &report)
}

/// The key checkpoints must be signed with: given, or the operator's own, or, said aloud, what the database claims.
fn log_key(
    context: &Context<'_>,
    arguments: &AuditArguments,
    directory: &DataDirectory,
    registry: &Registry,
) -> Result<VerifierKey, Failure> {
    if let Some(key) = &arguments.log_key {
        return Ok(key.clone());
    }
    if directory.has_log_key() {
        return Ok(directory.signer(&registry.reference.origin)?.verifier_key().clone());
    }
    context.printer.note("the log key is taken from the database itself; give the one you trust with --log-key");
    let key = registry.log_key.parse();
    key.map_err(|error| Failure::proof(format!("entry 0 names a log key that is none: {error}")))
}

/// A checkpoint kept outside: a signed note, or a .tlog-proof that ends in one.
fn kept_checkpoint(path: &Path, key: &VerifierKey) -> Result<KnownRoot, Failure> {
    let limit = NOTE_BYTES_MAX.max(TLOG_PROOF_BYTES_MAX);
    let bytes = files::read(path, limit).map_err(|error| Failure::file("read", path, &error))?;
    let refuse = |reason: &dyn std::fmt::Display| Failure::proof(format!("{}: {reason}", path.display()));
    let text = String::from_utf8(bytes).map_err(|error| refuse(&error))?;
    let note = text.parse::<TlogProof>().map_or_else(|_| text.clone(), |proof| proof.checkpoint_note().to_owned());
    let checkpoint = open_checkpoint(&note, core::slice::from_ref(key)).map_err(|error| refuse(&error))?;
    Ok(KnownRoot {
        source: format!("the kept checkpoint {}", path.display()),
        size: checkpoint.size(),
        root: checkpoint.root(),
    })
}
