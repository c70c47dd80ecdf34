//! `chopmark key new` and `chopmark key show`.

use std::io::ErrorKind;

use serde_json::json;

use super::Context;
use crate::arguments::KeyNewArguments;
use crate::config::Overrides;
use crate::exit::{Exit, Failure};
use crate::files::{self, Access};
use crate::keys::{self, Key};
use crate::printer::{Report, Tone};

/// Makes a key and writes it where nothing is yet.
///
/// # Errors
/// A usage failure when the file exists; an internal one when it can't be written.
pub(crate) fn new(context: &Context<'_>, arguments: KeyNewArguments) -> Result<Exit, Failure> {
    let settings = context.settings(Overrides::default())?;
    let is_default = arguments.out.is_none();
    let path = if let Some(path) = arguments.out {
        path
    } else {
        let directory = settings.directories.config()?;
        files::create_directory(directory).map_err(|error| Failure::file("make", directory, &error))?;
        directory.join("key")
    };
    let key = Key::generate(path)?;
    let path = key.path.as_path();
    files::create(path, key.render().as_bytes(), Access::Private).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Failure::usage(format!("{} exists and is left as it is; choose another with --out FILE", path.display()))
        }
        _ => Failure::file("write", path, &error),
    })?;
    let members = json!({ "key_id": key.id(), "public_key": key.public(), "path": files::text(path) });
    let with_key = if is_default { String::new() } else { format!(" --key {}", super::bundle::shell_word(path)) };
    let report = Report::default()
        .row("key id", key.id().to_string())
        .row("public key", key.public().to_string())
        .line("Keep a copy in a safe place: without it nobody can sign for your party any more.")
        .headline(Tone::Good, format!("new key in {}", path.display()))
        .next(format!("chopmark party register --name-en NAME --jurisdiction CODE{with_key}"));
    context.done(members, &report)
}

/// Shows the public side of the keys in use.
///
/// # Errors
/// An authorisation failure when a key can't be used.
pub(crate) fn show(context: &Context<'_>) -> Result<Exit, Failure> {
    let settings = context.settings(Overrides::default())?;
    let keys = keys::load_all(&settings.keys)?;
    let mut report = Report::default();
    for key in &keys {
        report = report
            .row("key id", key.id().to_string())
            .row("public key", key.public().to_string())
            .row("file", key.path.display().to_string());
    }
    let shown = keys.iter().map(|key| {
        let path = files::text(&key.path);
        json!({ "key_id": key.id(), "public_key": key.public(), "path": path })
    });
    let shown: Vec<_> = shown.collect();
    context.done(json!({ "keys": shown }), &report)
}
