//! `chopmark licence`: terms on this machine (`new`, `show`, `check`), and licences at a registry, one module for each step.

mod accept;
mod check;
mod event;
mod file;
mod grant;
mod list;
mod offer;

use std::io::ErrorKind;
use std::path::Path;

use chopmark_core::compatibility::Licence;
use chopmark_core::kind::Claim;
use chopmark_core::licence::DeclaredLicence;
use chopmark_core::statement::{Statement, StatementId};
use chopmark_core::strict::StrictError;
use chopmark_core::terms::vocabulary::{Language, Vocabulary as _};
use chopmark_core::terms::{LICENCE_REF_PREFIX, Summary, TERMS_SIZE_BYTES_MAX, Terms, TermsId};
use serde_json::{Map, Value, json};

use super::Context;
pub(super) use check::{Source, ancestry, conflicts};

use crate::arguments::{LicenceCommand, LicenceNewArguments, LicenceShowArguments};
use crate::client::Client;
use crate::config::Overrides;
use crate::exit::{Exit, Failure};
use crate::files::{self, Access};
use crate::printer::{Report, Tone};

/// Runs a command about licences.
///
/// # Errors
/// The command's own.
pub(crate) fn run(context: &Context<'_>, command: LicenceCommand) -> Result<Exit, Failure> {
    match command {
        LicenceCommand::New(arguments) => new(context, &arguments),
        LicenceCommand::Show(arguments) => show(context, &arguments),
        LicenceCommand::Check(arguments) => check::run(context, &arguments),
        LicenceCommand::Publish(arguments) => offer::publish(context, arguments),
        LicenceCommand::Offer(arguments) => offer::run(context, arguments),
        LicenceCommand::Offers(arguments) => list::offers(context, &arguments),
        LicenceCommand::Accept(arguments) => accept::run(context, arguments),
        LicenceCommand::Grant(arguments) => grant::run(context, arguments),
        LicenceCommand::List(arguments) => list::run(context, &arguments),
        LicenceCommand::File(arguments) => file::run(context, &arguments),
        LicenceCommand::StatusList(arguments) => file::status_list(context, &arguments),
        LicenceCommand::Suspend(arguments) => event::suspend(context, arguments),
        LicenceCommand::Reinstate(arguments) => event::reinstate(context, arguments),
        LicenceCommand::Revoke(arguments) => event::revoke(context, arguments),
    }
}

/// Writes a preset where nothing is yet, or prints it.
///
/// # Errors
/// A usage failure when the file exists; an internal one when it can't be written.
fn new(context: &Context<'_>, arguments: &LicenceNewArguments) -> Result<Exit, Failure> {
    let terms = arguments.preset.terms().map_err(|error| Failure::internal(format!("the preset: {error}")))?;
    let text = format!("{terms}\n");
    let Some(path) = &arguments.out else {
        return if context.printer.is_json() {
            let members = members(&terms)?;
            context.done(Value::Object(members), &Report::default())
        } else {
            context.printer.text(Some(context.command), &text)
        };
    };
    files::create(path, text.as_bytes(), Access::Shared).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Failure::usage(format!("{} exists and is left as it is; choose another with --out FILE", path.display()))
        }
        _ => Failure::file("write", path, &error),
    })?;
    let mut members = members(&terms)?;
    members.insert("path".to_owned(), json!(files::text(path)));
    let report = summarised(&terms, arguments.lang)?
        .headline(
            Tone::Good,
            format!("terms {} are in {}; change what has to be otherwise", id(&terms)?, path.display()),
        )
        .next(format!("chopmark licence show {}", super::bundle::shell_word(path)));
    context.done(Value::Object(members), &report)
}

/// Shows a terms document in words, or terms that are published.
///
/// # Errors
/// A usage failure that names the place in the document when it is none; a network or service failure for terms that are
/// published, or are said to be.
fn show(context: &Context<'_>, arguments: &LicenceShowArguments) -> Result<Exit, Failure> {
    let terms = match published_id(&arguments.terms) {
        Some(id) => published(&Client::of(&context.settings(Overrides::default())?)?, id)?,
        None => read(&arguments.terms)?,
    };
    let report = summarised(&terms, arguments.lang)?
        .headline(Tone::Neutral, format!("{} is terms {}", arguments.terms.display(), id(&terms)?));
    context.done(Value::Object(members(&terms)?), &report)
}

/// Reads a terms document.
fn read(path: &Path) -> Result<Terms, Failure> {
    let bytes = files::read(path, TERMS_SIZE_BYTES_MAX).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::usage(format!("there is no file {}", path.display())),
        _ => Failure::file("read", path, &error),
    })?;
    let malformed = |error| Failure::new(Exit::Usage, "terms_malformed", format!("{}, {error}", path.display()));
    Terms::parse(&bytes).map_err(malformed)
}

/// The id of terms, where one was given in the place of a document.
fn published_id(given: &Path) -> Option<&str> {
    let text = given.to_str().filter(|_| !given.exists())?;
    (text.starts_with("trm_") || text.parse::<TermsId>().is_ok()).then_some(text)
}

/// Terms that a registry has, by their id, whole or shown.
fn published(client: &Client, id: &str) -> Result<Terms, Failure> {
    let unknown = || Failure::new(Exit::NotRegistered, "not_registered", format!("no terms {id} are published here"));
    let known = client.terms(id)?.ok_or_else(unknown)?;
    let by = known.published_by.first().ok_or_else(unknown)?;
    Ok(publication(client, &by.statement_id, id)?.1)
}

fn id(terms: &Terms) -> Result<String, Failure> {
    Ok(terms.id().map_err(|error| unwritable(&error))?.shown().to_string())
}

fn summary(terms: &Terms, language: Language) -> Result<Summary, Failure> {
    terms.summary(language).map_err(|error| unwritable(&error))
}

fn unwritable(error: &StrictError) -> Failure {
    Failure::internal(format!("the terms can't be written: {error}"))
}

/// The summary, line by line.
fn summarised(terms: &Terms, language: Language) -> Result<Report, Failure> {
    let text = summary(terms, language)?.to_string();
    Ok(text.lines().fold(Report::default(), Report::line))
}

/// The members of a JSON document about terms, with the summary in every language.
fn members(terms: &Terms) -> Result<Map<String, Value>, Failure> {
    let mut summaries = Map::new();
    for language in Language::ALL {
        summaries.insert(language.as_str().to_owned(), summary(terms, *language)?.to_string().into());
    }
    let id = terms.id().map_err(|error| unwritable(&error))?;
    let mut members = Map::new();
    members.insert("id".to_owned(), json!(id.shown()));
    members.insert("terms_id".to_owned(), json!(id));
    members.insert("licence_ref".to_owned(), json!(id.licence_ref()));
    members.insert("terms".to_owned(), json!(terms));
    members.insert("summary".to_owned(), Value::Object(summaries));
    Ok(members)
}

/// The licence that an expression means: a terms document where it is a reference to one that is published here.
///
/// # Errors
/// A network or service failure; a proof failure when the service shows other terms.
pub(super) fn declared(client: &Client, declared: &DeclaredLicence) -> Result<Licence, Failure> {
    let expression = || Ok(Licence::Expression(declared.clone()));
    let Some(id) = declared.expression.strip_prefix(LICENCE_REF_PREFIX).and_then(|id| id.parse::<TermsId>().ok())
    else {
        return expression();
    };
    let Some(published) = client.terms(&id.to_string())? else { return expression() };
    let Some(by) = published.published_by.first() else { return expression() };
    Ok(Licence::Terms(Box::new(publication(client, &by.statement_id, &id.to_string())?.1)))
}

/// The statement that published terms, and the terms: their id, whole or shown, is the digest of what they say.
fn publication(client: &Client, statement: &StatementId, id: &str) -> Result<(Statement, Terms), Failure> {
    let found = client.statement(&statement.to_string())?;
    let is_asked_for = |published: TermsId| published.to_string() == id || published.shown().to_string() == id;
    let terms = match &found.claim {
        Claim::Terms(claim) if claim.id().is_ok_and(is_asked_for) => Terms::clone(&claim.0),
        _ => return Err(Failure::proof(format!("the statement {statement} does not publish the terms {id}"))),
    };
    Ok((found, terms))
}
