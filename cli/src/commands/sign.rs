//! `chopmark sign`: puts one's signature under a statement that others sign too. Needs no network.
//!
//! What is signed is shown first, in words; documents are hashed again, and the signatures that are there must hold.

use chopmark_core::statement::RegistryRef;
use chopmark_core::time::Timestamp;
use serde_json::json;

use super::consent::Consent;
use super::{Context, cosign, explain};
use crate::arguments::SignArguments;
use crate::config::{Overrides, Settings};
use crate::exit::{Exit, Failure};
use crate::interrupt;
use crate::keys::{self, Key};
use crate::printer::{Report, Tone};
use crate::statement_file::StatementFile;
use crate::trust::Trust;

/// Signs the statement in a file.
///
/// # Errors
/// A usage failure when the statement is not understood, has expired or is signed by the key already; an authorisation
/// failure when it does not ask for the key; a proof failure when what is there does not hold.
pub(crate) fn run(context: &Context<'_>, arguments: &SignArguments) -> Result<Exit, Failure> {
    let printer = context.printer;
    let settings = context.settings(Overrides::default())?;
    interrupt::install(printer, context.command)?;
    let path = &arguments.file;
    let file = StatementFile::read(path)?;
    let keys = keys::load_all(&settings.keys)?;
    check_keys(&file, &keys)?;
    let header = &file.statement().header;
    if Timestamp::from(chrono::Utc::now()) > header.not_after {
        let message = format!("the statement was valid until {}; have a new one made", header.not_after);
        return Err(Failure::new(Exit::Usage, "expired", message));
    }
    let known = registry_words(&settings, header.registry.as_ref())?;
    let mut rows = explain::rows(&file, arguments.lang)?;
    rows.push(("", known));

    // Where it will be sent is not known here, so it counts as public.
    let consent = Consent::find(arguments.consent, "", printer)?;
    let explained = || rows.iter().fold(Report::default(), |report, (label, value)| report.row(label, value));
    if consent == Consent::NotNeeded {
        let report = explained().headline(Tone::Neutral, format!("DRY RUN: {} is not signed", path.display()));
        let mut members = cosign::members(path, &file);
        add(&mut members, &rows, &[], true);
        return context.done(members, &report);
    }
    let lines: Vec<String> = rows.iter().map(|(label, value)| format!("{label:<14}{value}")).collect();
    if consent == Consent::Given {
        printer.note(lines.join("\n"));
    }
    let origin = header.registry.as_ref().map_or("", |registry| registry.origin.as_str()).to_owned();
    consent.obtain(printer, &origin, &lines)?;

    let secrets: Vec<_> = keys.iter().map(Key::secret).collect();
    let file = file.sign(&secrets)?;
    file.replace(path)?;
    let report = cosign::next_step(Report::default().row("statement", file.statement().id.to_string()), path, &file);
    let mut members = cosign::members(path, &file);
    add(&mut members, &rows, &keys, false);
    context.done(members, &report)
}

fn add(members: &mut serde_json::Value, rows: &[explain::Row], keys: &[Key], dry_run: bool) {
    let explained: Vec<_> = rows.iter().map(|(label, value)| json!({ "label": label, "text": value })).collect();
    if let Some(members) = members.as_object_mut() {
        members.insert("signed_by".to_owned(), keys.iter().map(|key| key.id().to_string()).collect());
        members.insert("explained".to_owned(), explained.into());
        members.insert("dry_run".to_owned(), dry_run.into());
    }
}

fn check_keys(file: &StatementFile, keys: &[Key]) -> Result<(), Failure> {
    for key in keys {
        let (id, path) = (key.id(), key.path.display());
        if !file.lists(&id) {
            let message = format!("the statement does not ask for the key in {path} ({id})");
            return Err(Failure::new(Exit::NotAuthorised, "signer_not_listed", message));
        }
        if file.has_signed(&id) {
            let message = format!("the key in {path} ({id}) has signed this statement already");
            return Err(Failure::new(Exit::Usage, "already_signed", message));
        }
    }
    Ok(())
}

/// Whether the registry is one this user knows; another one of the same name is refused.
fn registry_words(settings: &Settings, registry: Option<&RegistryRef>) -> Result<String, Failure> {
    let Some(registry) = registry else { return Ok("for no registry".to_owned()) };
    let origin = &registry.origin;
    match Trust::known(settings, registry)? {
        Some(source) => Ok(format!("the registry {origin} is the one in {source}")),
        None => Ok(format!("this machine has not met the registry {origin}: compare its genesis with what you know")),
    }
}
