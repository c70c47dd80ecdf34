//! `chopmark audit`: recomputes the whole ledger and names the first thing that does not hold.
//!
//! In the database, or over HTTP where `--url` is given; what judges is the same (`chopmark_store::audit`).

mod local;
mod remote;
mod report;
mod resolve;

use std::path::Path;

use chopmark_core::ledger::checkpoint::open_checkpoint;
use chopmark_core::ledger::note::{NOTE_BYTES_MAX, VerifierKey};
use chopmark_core::ledger::proof::{TLOG_PROOF_BYTES_MAX, TlogProof};
use chopmark_store::audit::{KnownRoot, Verdict};

use super::{Context, block_on};
use crate::arguments::AuditArguments;
use crate::exit::{Exit, Failure};
use crate::files;

/// What was audited, for the report.
struct Audited {
    /// Origin of the log, where it is known.
    origin: Option<String>,
    /// The root that everything before was taken as verified up to.
    from: Option<KnownRoot>,
    /// Roots from outside that were compared.
    outside_roots: usize,
    /// Sentences that say what was left out.
    not_repeated: Vec<&'static str>,
    verdict: Verdict,
}

/// Runs `audit`.
///
/// # Errors
/// When the database or the service can't be read. Damage is a result, with exit code 6.
pub(crate) fn run(context: &Context<'_>, arguments: &AuditArguments) -> Result<Exit, Failure> {
    let audited = match &context.global.url {
        Some(_) => remote::audit(context, arguments)?,
        None => block_on(local::audit(context, arguments))?,
    };
    report::report(context, arguments, &audited)
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
        is_published: true,
    })
}
