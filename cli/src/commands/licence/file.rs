//! `chopmark licence file` and `status-list`: what proves licences on machines without a network. Checked before it is
//! written, exactly as such a machine will.

use std::path::Path;

use chopmark_core::licensing::{Judgement, StatusList};
use chopmark_core::terms::period::Date;
use chopmark_core::time::Timestamp;
use serde_json::json;

use crate::arguments::{LicenceFileArguments, StatusListArguments};
use crate::client::Client;
use crate::commands::{Context, bundle};
use crate::config::Overrides;
use crate::exit::{Exit, Failure};
use crate::files::{self, Access};
use crate::printer::{Report, Tone};
use crate::trust::Contact;

/// Writes an offline licence.
///
/// # Errors
/// A network or service failure; a proof failure when what the service sends does not hold.
pub(super) fn run(context: &Context<'_>, arguments: &LicenceFileArguments) -> Result<Exit, Failure> {
    if let Some(path) = &arguments.out {
        bundle::check_replaceable(path)?;
    }
    let settings = context.settings(Overrides { party: None, trust: arguments.trust.clone() })?;
    let client = Client::of(&settings)?;
    let contact = Contact::meet(&settings, &client)?;
    let artefact = arguments.artefact.as_deref().map(|id| client.artefact(id)).transpose()?;
    let id = client.statement(&arguments.licence)?.id;
    let artefact = artefact.map(|artefact| artefact.artefact_id);
    let bytes = client.licence_file(&id, artefact.as_ref(), &arguments.ttl.to_string())?;
    let proven = bundle::prove(&bytes, &contact.trust)?;
    let wrong = || Failure::proof(format!("asked for the file of the licence {id}, the service sent another"));
    let licence = proven.licence.as_ref().filter(|licence| licence.id == id).ok_or_else(wrong)?;
    contact.pin(&settings.directories, context.printer)?;
    let Some(path) = &arguments.out else { return context.printer.text(Some(context.command), &text(bytes)?) };
    write(path, &bytes)?;
    let today = Date::in_hong_kong(Timestamp::from(chrono::Utc::now()));
    let Judgement { standing, .. } = licence.judge(today, u32::MAX);
    let report = Report::default()
        .row("licence", id.to_string())
        .row("artefact", format!("{} {}", proven.artefact.name.display(), proven.artefact.version))
        .row("status", format!("as of size {}, signed at {}", licence.status.size, licence.status.signed_at))
        .row("good until", licence.status.not_after.to_string())
        .next(format!("chopmark verify PATH --bundle {} --offline", bundle::shell_word(path)))
        .headline(Tone::Good, format!("WRITTEN: {}; the licence is {standing}", path.display()));
    let members = json!({
        "path": path.to_string_lossy(),
        "licence_id": id,
        "artefact_id": proven.statement.id,
        "standing": standing,
        "status": { "size": licence.status.size, "signed_at": licence.status.signed_at, "not_after": licence.status.not_after },
    });
    context.done(members, &report)
}

/// Writes the status list.
///
/// # Errors
/// A network or service failure; a proof failure when the list is not signed by the log key.
pub(super) fn status_list(context: &Context<'_>, arguments: &StatusListArguments) -> Result<Exit, Failure> {
    let settings = context.settings(Overrides { party: None, trust: arguments.trust.clone() })?;
    let client = Client::of(&settings)?;
    let contact = Contact::meet(&settings, &client)?;
    let bytes = client.status_list(&arguments.ttl.to_string())?;
    let text = text(bytes)?;
    let list = StatusList::open(&text, &contact.log_key).map_err(|error| Failure::proof(error.to_string()))?;
    contact.pin(&settings.directories, context.printer)?;
    let Some(path) = &arguments.out else { return context.printer.text(Some(context.command), &text) };
    if path.exists() && !files::read(path, text.len().max(1 << 20)).is_ok_and(|old| is_list(&old)) {
        let message = format!("{} exists and is not a status list; choose another file with --out", path.display());
        return Err(Failure::usage(message));
    }
    write(path, text.as_bytes())?;
    let report = Report::default()
        .row("listed", list.events().to_string())
        .row("good until", list.not_after.to_string())
        .headline(Tone::Good, format!("WRITTEN: {}, as of size {} at {}", path.display(), list.size, list.signed_at));
    let members = json!({
        "path": path.to_string_lossy(),
        "size": list.size,
        "signed_at": list.signed_at,
        "not_after": list.not_after,
        "listed": list.events(),
    });
    context.done(members, &report)
}

fn is_list(bytes: &[u8]) -> bool {
    String::from_utf8_lossy(bytes).contains(chopmark_core::licensing::status_list::STATUS_LIST_HEADER)
}

fn text(bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|_| Failure::proof("what the service sent is no text"))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    files::replace(path, bytes, Access::Shared).map_err(|error| Failure::file("write", path, &error))
}
