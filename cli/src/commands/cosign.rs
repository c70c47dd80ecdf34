//! `--sign-only`: a statement signed with the keys at hand goes into a file for others to sign, and nowhere else.

use std::collections::BTreeMap;
use std::path::Path;

use chopmark_core::key::PublicKey;
use chopmark_core::sealed::Opening;
use chopmark_core::statement::{Issuer, StatementId};
use serde_json::{Value, json};

use super::Context;
use super::bundle::shell_word;
use super::submit::Draft;
use crate::arguments::CosignArguments;
use crate::client::Client;
use crate::config::Directories;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::printer::{Report, Tone};
use crate::statement_file::{self, STATEMENTS_MAX, StatementFile};
use crate::units;

/// Checks, before slow work begins, that the file can be written.
///
/// # Errors
/// A usage failure when there is something already.
pub(super) fn check(arguments: &CosignArguments) -> Result<(), Failure> {
    match &arguments.sign_only {
        Some(path) if path.symlink_metadata().is_ok() => Err(statement_file::exists(path)),
        _ => Ok(()),
    }
}

/// Signs a draft and writes it to a file, with what its signers need to understand and check it.
///
/// # Errors
/// A network failure when that can't be fetched; when the file can't be written.
pub(super) fn write(
    context: &Context<'_>,
    draft: &Draft<'_>,
    path: &Path,
    (client, directories): (&Client, &Directories),
    keys: Vec<PublicKey>,
    named: &[StatementId],
) -> Result<Exit, Failure> {
    write_opened(context, draft, path, (client, directories), keys, (named, BTreeMap::new()))
}

/// As [`write()`], with openings of sealed fields of statements that it names.
///
/// # Errors
/// As [`write()`].
pub(super) fn write_opened(
    context: &Context<'_>,
    draft: &Draft<'_>,
    path: &Path,
    (client, directories): (&Client, &Directories),
    keys: Vec<PublicKey>,
    (named, opened): (&[StatementId], BTreeMap<StatementId, Vec<Opening>>),
) -> Result<Exit, Failure> {
    let issuer = match draft.signers.party {
        Issuer::Own => None,
        Issuer::Party(party) => Some(party),
    };
    let mut payloads = Vec::new();
    for id in issuer.iter().chain(named).take(STATEMENTS_MAX) {
        payloads.push(client.payload(id)?);
    }
    draft.contact.pin(directories, context.printer)?;
    let file = StatementFile::new(draft.sign()?, keys, payloads, opened)?;
    file.create(path)?;
    let mut report = Report::default().row("statement", file.statement().id.to_string());
    if file.openings().next().is_some() {
        report = report.row("confidential", "the file holds the openings of sealed values: give it to signers only");
    }
    let report = next_step(report, path, &file);
    context.done(members(path, &file), &report)
}

/// How far a statement is and what comes next.
pub(super) fn next_step(report: Report, path: &Path, file: &StatementFile) -> Report {
    let signatures = units::count(units::length(file.signed()), "signature");
    let word = shell_word(path);
    if file.missing() == 0 {
        return report
            .headline(Tone::Good, format!("SIGNED: {} has all it needs ({signatures})", path.display()))
            .next(format!("chopmark submit {word}"));
    }
    let open: Vec<String> = file.unsigned_keys().iter().map(ToString::to_string).collect();
    report
        .row("may sign", open.join(", "))
        .row("until", file.statement().header.not_after.to_string())
        .headline(
            Tone::Good,
            format!("SIGNED: {} has {signatures} and needs {} more; nothing was sent", path.display(), file.missing()),
        )
        .next(format!("chopmark sign {word} --key FILE, where one of these keys is"))
}

/// The same for programs.
pub(super) fn members(path: &Path, file: &StatementFile) -> Value {
    let statement = file.statement();
    json!({
        "file": files::text(path),
        "kind": statement.claim.name(),
        "id": statement.id.shown(statement.claim.id_prefix()),
        "statement_id": statement.id,
        "registry": statement.header.registry,
        "not_after": statement.header.not_after,
        "signatures": file.signed(),
        "missing": file.missing(),
        "unsigned_keys": file.unsigned_keys(),
        "complete": file.missing() == 0,
    })
}
