//! `chopmark disclose`: one sealed field, opened, in a file that proves it offline; and the check of such a file.

use std::path::Path;

use chopmark_core::bundle::Bundle;
use chopmark_core::sealed::{DISCLOSURE_BYTES_MAX, DISCLOSURE_SCHEMA, Disclosed, Disclosure, Opening};
use chopmark_core::strict;
use serde_json::{Value, json};

use super::search::encode;
use super::{Context, token};
use crate::arguments::DiscloseArguments;
use crate::client::Client;
use crate::config::Overrides;
use crate::exit::{Exit, Failure};
use crate::files::{self, Access};
use crate::printer::{Report, Tone};
use crate::trust::{Contact, Trust};

/// Opens a field, or checks a disclosure.
///
/// # Errors
/// As the registry answers; a proof failure when something does not hold.
pub(crate) fn run(context: &Context<'_>, arguments: DiscloseArguments) -> Result<Exit, Failure> {
    match &arguments.check {
        Some(path) => check(context, &arguments, path),
        None => open(context, arguments),
    }
}

fn open(context: &Context<'_>, arguments: DiscloseArguments) -> Result<Exit, Failure> {
    let DiscloseArguments { statement, field, out, trust, login, reason, .. } = arguments;
    let (Some(statement), Some(field)) = (statement, field) else {
        return Err(Failure::usage("name a statement and --field, or --check a file"));
    };
    if out.is_none() && context.printer.is_json() {
        return Err(Failure::usage("the disclosure is one JSON document and the result another: name --out FILE"));
    }
    let settings = context.settings(Overrides { party: login.party, trust })?;
    let client = Client::of(&settings)?;
    let contact = Contact::meet(&settings, &client)?;
    contact.pin(&settings.directories, context.printer)?;
    let statement = client.statement(&statement)?.id;
    let token = token::at_hand(&settings, &client, &contact)?;
    let mut query = format!("?field={}", encode(&field));
    if let (Some(case_reference), Some(purpose)) = (&reason.case_reference, &reason.purpose) {
        query.extend(["&case_reference=", &encode(case_reference), "&purpose=", &encode(purpose)]);
    }
    let opened = client.openings(&statement, &query, &token)?;
    let opening = match opened.fields.as_slice() {
        [only] => only,
        several => {
            let names: Vec<&str> = several.iter().filter_map(|field| field.get("field")?.as_str()).collect();
            return Err(Failure::usage(format!("{field} may be {}; name one of them", names.join(" or "))));
        }
    };
    if let Some(index) = opening.get("erased_by") {
        let message = format!("{field} was erased, as entry {index} says; nothing opens it any more");
        return Err(Failure::new(Exit::CouldNotCheck, "erased", message));
    }
    let opening: Opening = strict::decode(opening).map_err(|error| Failure::proof(error.to_string()))?;
    let bundle = Bundle::parse(&client.bundle(&statement)?)?;
    let disclosure = Disclosure { schema: DISCLOSURE_SCHEMA.to_owned(), bundle, opening };
    // As whoever is given the file will check it.
    let disclosed = disclosure.verify(&contact.trust.policy)?;
    let bytes = disclosure.to_bytes().map_err(|error| Failure::internal(error.to_string()))?;
    let Some(path) = out else { return context.printer.bytes(&bytes) };
    files::create(&path, &bytes, Access::Private).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::usage(format!("{} exists and is left as it is; choose another with --out", path.display()))
        }
        _ => Failure::file("write", &path, &error),
    })?;
    let report = described(&disclosed).headline(Tone::Good, format!("DISCLOSED in {}", path.display()));
    let mut members = members(&disclosed);
    if let Value::Object(members) = &mut members {
        members.insert("path".to_owned(), json!(path));
    }
    context.done(members, &report)
}

fn check(context: &Context<'_>, arguments: &DiscloseArguments, path: &Path) -> Result<Exit, Failure> {
    let settings = context.settings(Overrides { party: None, trust: arguments.trust.clone() })?;
    let trust = Trust::for_verifying(&settings, path, context.printer)?;
    let bytes = files::read(path, DISCLOSURE_BYTES_MAX).map_err(|error| match error.kind() {
        std::io::ErrorKind::FileTooLarge => Failure::proof(format!("{} is {error}", path.display())),
        _ => Failure::usage(format!("cannot read the disclosure {}: {error}", path.display())),
    })?;
    let disclosed = Disclosure::parse(&bytes)?.verify(&trust.policy)?;
    let report = described(&disclosed).headline(Tone::Good, format!("VERIFIED: {}", value_words(&disclosed)));
    let mut members = members(&disclosed);
    if let Value::Object(members) = &mut members {
        members.insert("trust".to_owned(), json!({ "source": trust.source.kind(), "path": trust.source.path() }));
    }
    context.done(members, &report)
}

fn value_words(disclosed: &Disclosed) -> String {
    match &disclosed.value {
        Some(value) => format!("{} is {value}", disclosed.field),
        None => format!("{} has no value", disclosed.field),
    }
}

fn described(disclosed: &Disclosed) -> Report {
    let statement = &disclosed.statement;
    let id = statement.id.shown(statement.claim.id_prefix());
    Report::default()
        .row("statement", format!("{id} ({}), by {}", statement.claim.name(), statement.issuer().shown("pty")))
        .row("index", format!("{} in a log of {}, proved", disclosed.index, disclosed.checkpoint.size()))
        .row("field", disclosed.field.as_str())
        .row("value", disclosed.value.as_ref().map_or_else(|| "none".to_owned(), Value::to_string))
}

fn members(disclosed: &Disclosed) -> Value {
    json!({
        "statement_id": disclosed.statement.id,
        "kind": disclosed.statement.claim.name(),
        "issuer": disclosed.statement.issuer(),
        "index": disclosed.index,
        "size": disclosed.checkpoint.size(),
        "field": disclosed.field,
        "is_present": disclosed.value.is_some(),
        "value": disclosed.value,
    })
}
