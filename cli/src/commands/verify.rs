//! `chopmark verify`: are these bytes exactly those that somebody registered, and what proves it?
//!
//! With a bundle no network is used. Without one the service is asked by digest, and its answer is verified just as a
//! bundle from anywhere would be. Whatever is not certain is not `verified`.

mod lookup;
mod places;
mod said;
mod verdict;

use std::path::Path;

use chopmark_core::bundle::Proven;
use chopmark_core::manifest::FilePath;
use chopmark_core::verify::{compare, compare_image};
use chopmark_gpu_verify::Measured;
use serde_json::json;

use super::measuring::{Aim, Measuring, place, require};
use super::{Context, bundle};
use crate::arguments::VerifyArguments;
use crate::config::Overrides;
use crate::exit::{Exit, Failure};
use crate::interrupt;
use crate::printer::{Report, Tone};
use crate::trust::Trust;
use places::Places;
pub(super) use verdict::state_words;
use verdict::{Compared, Verdict};

/// Verifies what is at a path, and always ends in one of the result states.
///
/// # Errors
/// Only what is no answer about the bytes: a wrong command line, a fault of this machine, Ctrl-C.
pub(crate) fn run(context: &Context<'_>, arguments: &VerifyArguments) -> Result<Exit, Failure> {
    match check(context, arguments) {
        Ok(verdict) => verdict.print(context),
        Err(failure) => {
            let is_answer = !matches!(failure.exit, Exit::Usage | Exit::Internal | Exit::Interrupted);
            if !is_answer && !context.printer.is_json() {
                return Err(failure);
            }
            let members = json!({
                "state": failure.exit.state(),
                "message": failure.message,
                "path": arguments.path,
                "artefact": null,
                "difference": null,
                "error": failure.to_json(),
            });
            let words = verdict::state_words(failure.exit.state());
            let report = Report::default().headline(Tone::Bad, format!("{words}: {failure}"));
            context.printer.result(context.command, failure.exit, members, &report)
        }
    }
}

fn check<'a>(context: &Context<'_>, arguments: &'a VerifyArguments) -> Result<Verdict<'a>, Failure> {
    let printer = context.printer;
    let overrides = Overrides { party: None, trust: arguments.trust.clone() };
    let settings = context.settings(overrides)?;
    interrupt::install(printer, context.command)?;
    if arguments.offline && arguments.bundle.is_none() {
        return Err(Failure::usage("--offline needs the proof at hand: give the bundle with --bundle FILE"));
    }
    require(&arguments.path, &arguments.form)?;
    let trust = Trust::for_verifying(&settings, place(&arguments.path, &arguments.form), printer)?;
    let places = Places::find(arguments, printer)?;
    let measuring = Measuring::start(arguments.engine, printer)?.keeping_subtrees(places.is_some());

    let (proven, measured, also_registered) = if let Some(path) = &arguments.bundle {
        (bundle::open(path, &trust)?, None, Vec::new())
    } else {
        let found = lookup::find(&settings, &trust, &measuring, &arguments.path, &arguments.form)?;
        (found.proven, Some(found.measured), found.others)
    };
    let compared = if proven.manifest.image().is_some() {
        let found = measuring.find_image(&arguments.path, &arguments.form, &proven.manifest)?;
        let (difference, not_read) = compare_image(&proven.manifest, &found);
        Compared { difference, not_read, ..Compared::default() }
    } else {
        let measured = match measured {
            Some(measured) if is_measured_as(&proven, &measured, &arguments.path) => measured,
            _ => measure_as(&proven, &measuring, arguments)?,
        };
        let mut difference = compare(&proven.manifest, &measured.manifest, &measured.unreadable);
        if arguments.strict {
            difference.extra.extend(measured.excluded.iter().cloned());
            difference.extra.sort();
        }
        let Measured { excluded, revision, subtrees, .. } = measured;
        let damages = places.map(|places| places.locate(&proven.manifest, &difference, &subtrees));
        Compared { difference, excluded, revision, not_read: Vec::new(), damages }
    };
    let said = match &arguments.bundle {
        Some(_) => None,
        None => Some(said::Said::ask(&settings, &proven)?),
    };
    Ok(Verdict { arguments, proven, compared, trust, also_registered, said })
}

/// Measures the path by the rules that the registered manifest records.
fn measure_as(proven: &Proven, measuring: &Measuring<'_>, arguments: &VerifyArguments) -> Result<Measured, Failure> {
    let (exclusions, file_name) = (proven.manifest.exclusions(), registered_name(proven));
    measuring.measure(&arguments.path, Aim { exclusions, file_name, ..Aim::verify(&arguments.form) })
}

/// Whether a measurement made before the registration was known follows its rules all the same.
fn is_measured_as(proven: &Proven, measured: &Measured, path: &Path) -> bool {
    if path.is_dir() {
        return measured.manifest.exclusions() == proven.manifest.exclusions();
    }
    let name = measured.manifest.only_file().map(|file| &file.path);
    registered_name(proven).is_none_or(|registered| name == Some(registered))
}

/// The name under which a single file was registered: under another name it is still the same file.
fn registered_name(proven: &Proven) -> Option<&FilePath> {
    proven.manifest.only_file().map(|file| &file.path)
}
