//! `chopmark submit`: sends a statement that everybody needed has signed, and checks the receipt.
//!
//! The signatures may lie in several copies of the file. Sending it again is harmless.

use std::path::PathBuf;

use chopmark_core::kind::Claim;
use chopmark_core::statement::{Issuer, Statement};
use chopmark_core::terms::vocabulary::Language;
use serde_json::{Map, Value, json};

use super::consent::Consent;
use super::submit::Signed;
use super::{Context, bundle, cosign, dry_run, explain};
use crate::arguments::SubmitArguments;
use crate::client::{Client, check_receipt};
use crate::config::Overrides;
use crate::exit::{Exit, Failure};
use crate::files::{self, Access};
use crate::interrupt;
use crate::parties::{self, KnownParty};
use crate::printer::{Report, Tone};
use crate::statement_file::StatementFile;
use crate::trust::Contact;

/// Sends the statement in the files.
///
/// # Errors
/// An authorisation failure while signatures are missing; otherwise as the registry or the person answers.
pub(crate) fn run(context: &Context<'_>, arguments: &SubmitArguments) -> Result<Exit, Failure> {
    let printer = context.printer;
    let settings = context.settings(Overrides::default())?;
    interrupt::install(printer, context.command)?;
    let file = read(&arguments.files)?;
    if file.missing() > 0 {
        let message = format!(
            "{} more signatures are needed; keys that may still sign: {}",
            file.missing(),
            file.unsigned_keys().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        );
        return Err(Failure::new(Exit::NotAuthorised, "threshold_not_met", message));
    }
    let out = bundle_path(arguments, file.statement());
    let consent = Consent::find(arguments.consent, &settings.url, printer)?;
    if let Some(out) = out.as_deref().filter(|_| consent != Consent::NotNeeded) {
        bundle::check_replaceable(out)?;
    }
    let rows = explain::rows(&file, Language::English)?;
    let client = Client::of(&settings)?;
    let contact = Contact::meet(&settings, &client)?;
    if file.statement().header.registry.as_ref() != Some(&contact.registry) {
        let message = format!(
            "the statement is for another registry than {}, which {} is",
            contact.registry.origin,
            client.url()
        );
        return Err(Failure::new(Exit::Usage, "wrong_registry", message));
    }
    if consent == Consent::NotNeeded {
        let signed = Signed { submission: file.submission, is_resumed: false };
        return dry_run::print(context, &signed, &contact.registry, &[]);
    }
    let lines: Vec<String> = rows.iter().map(|(label, value)| format!("{label:<14}{value}")).collect();
    consent.obtain(printer, &contact.registry.origin, &lines)?;
    contact.pin(&settings.directories, printer)?;
    let receipt = client.submit(&file.submission)?;
    let proved = check_receipt(&client, &receipt, &file.submission.envelope, &contact.log_key)?;

    let statement = file.statement();
    let mut extra = Map::new();
    let mut report = Report::default();
    match &statement.claim {
        Claim::Artefact(_) => {
            let (bytes, _) = bundle::fetch(&client, &statement.id, &contact.trust)?;
            if let Some(out) = &out {
                files::replace(out, &bytes, Access::Shared).map_err(|error| Failure::file("write", out, &error))?;
                report = report.row("bundle", out.display().to_string());
                extra.insert("bundle".to_owned(), json!(files::text(out)));
            }
        }
        Claim::Party(_) | Claim::Key(_) => {
            let known = known_party(&file, &contact);
            parties::remember(&settings.directories, &known)?;
            extra.insert("party_id".to_owned(), json!(known.party));
            if let Some(path) = &arguments.party_file {
                parties::write_file(path, &known)?;
                extra.insert("party_file".to_owned(), json!(files::text(path)));
            }
        }
        _ => {}
    }
    let shown = statement.id.shown(statement.claim.id_prefix());
    let origin = &contact.registry.origin;
    let report = report
        .row("statement", statement.id.to_string())
        .row("index", format!("{} in a log of {}, proved", proved.index, proved.checkpoint.size()))
        .headline(Tone::Good, format!("ENTERED: {} {shown} at {origin}", statement.claim.name()));
    let mut members = json!({
        "index": proved.index,
        "size": proved.checkpoint.size(),
        "recorded_at": receipt.recorded_at,
        "proof": proved.proof,
    });
    if let (Some(members), Value::Object(file)) = (members.as_object_mut(), first_members(arguments, &file)) {
        members.extend(file);
        members.extend(extra);
    }
    context.done(members, &report)
}

fn first_members(arguments: &SubmitArguments, file: &StatementFile) -> Value {
    arguments.files.first().map(|path| cosign::members(path, file)).unwrap_or_default()
}

/// Reads the files, which are copies of one, and puts their signatures together.
fn read(paths: &[PathBuf]) -> Result<StatementFile, Failure> {
    let mut files = paths.iter().map(|path| StatementFile::read(path));
    let first = files.next().unwrap_or_else(|| Err(Failure::usage("name the file of a statement")))?;
    files.try_fold(first, |whole, file| whole.merge(file?))
}

/// Where the bundle goes, for a statement that has one.
fn bundle_path(arguments: &SubmitArguments, statement: &Statement) -> Option<PathBuf> {
    let is_artefact = matches!(statement.claim, Claim::Artefact(_));
    let beside = || arguments.files.first().map(|path| path.with_extension("chop"));
    arguments.out.clone().or_else(beside).filter(|_| is_artefact)
}

/// The party whose keys the statement says something about.
fn known_party(file: &StatementFile, contact: &Contact) -> KnownParty {
    let statement = file.statement();
    let name = match &statement.claim {
        Claim::Party(claim) => claim.name.display().to_owned(),
        _ => file.names_of(&statement.issuer()).map(|names| names.display().to_owned()).unwrap_or_default(),
    };
    let own = statement.header.signers.iter().filter(|group| match group.party {
        Issuer::Own => true,
        Issuer::Party(party) => party == statement.issuer(),
    });
    KnownParty {
        party: statement.issuer(),
        name,
        origin: contact.registry.origin.clone(),
        genesis: contact.registry.genesis,
        keys: own.flat_map(|group| &group.keys).copied().collect(),
    }
}
