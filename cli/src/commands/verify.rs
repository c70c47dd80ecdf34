//! `chopmark verify`: are these bytes exactly those that somebody registered, and what proves it?
//!
//! With a bundle no network is used. Without one the service is asked by digest, and its answer is verified just as a
//! bundle from anywhere would be. Whatever is not certain is not `verified`.

mod all;
mod licence;
mod lookup;
mod places;
mod said;
mod verdict;

use std::path::Path;

use chopmark_core::bundle::Proven;
use chopmark_core::manifest::FilePath;
use chopmark_core::verify::{Difference, compare, compare_image};
use chopmark_gpu_verify::{DigestKind, DigestSelection, Looked, Measured, Seen};
use serde_json::json;

use super::measuring::{Aim, Measure, Measuring, place, require};
use super::{Context, bundle};
use crate::arguments::VerifyArguments;
use crate::config::{Overrides, Settings};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::interrupt;
use crate::printer::{Report, Tone};
use crate::trust::Trust;
use licence::Held;
use places::Places;
pub(super) use verdict::state_words;
use verdict::{Compared, Question, Verdict};

/// Verifies what is at a path, and always ends in one of the result states; or every model below a directory.
///
/// # Errors
/// Only what is no answer about the bytes: a wrong command line, a fault of this machine, Ctrl-C.
pub(crate) fn run(context: &Context<'_>, arguments: &VerifyArguments) -> Result<Exit, Failure> {
    if let Some(directory) = &arguments.all {
        return all::run(context, arguments, directory);
    }
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
                "path": arguments.path.as_deref().map(files::text),
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
    let Some(path) = arguments.path.as_deref() else {
        return Err(Failure::usage("name what to verify, or a directory of models with --all"));
    };
    if arguments.report.is_some() {
        return Err(Failure::usage("--report is for many models: name their directory with --all"));
    }
    if arguments.offline && arguments.bundle.is_none() {
        return Err(Failure::usage("--offline needs the proof at hand: give the bundle with --bundle FILE"));
    }
    require(path, &arguments.form)?;
    let trust = Trust::for_verifying(&settings, place(path, &arguments.form), printer)?;
    let places = Places::find(arguments.sidecar.as_deref(), arguments.bundle.as_deref(), printer)?;
    let measuring = Measuring::start(arguments.engine, printer)?.keeping_subtrees(places.is_some());
    let question = Question {
        path,
        form: &arguments.form,
        bundle: arguments.bundle.as_deref(),
        allow_extra: arguments.allow_extra,
        is_strict: arguments.strict,
        status_list: arguments.status_list.as_deref(),
        on: arguments.on,
    };
    match question.bundle {
        Some(path) => {
            by_bundle(question, bundle::open(path, &trust)?, &trust, places, &measuring, &mut Seen::default())
        }
        None => by_service(question, &settings, &trust, places, &measuring),
    }
}

/// Compares with what a bundle proves. What was read is kept in `seen`, so that another bundle of the same model can be
/// tried.
fn by_bundle<'a>(
    question: Question<'a>,
    proven: Proven,
    trust: &Trust,
    places: Option<Places>,
    measuring: &dyn Measure,
    seen: &mut Seen,
) -> Result<Verdict<'a>, Failure> {
    let compared = compared(question, &proven, places, measuring, seen)?;
    let held = Held::of(&proven, trust, question.status_list, question.on)?;
    Ok(Verdict { question, proven, compared, held, trust: trust.clone(), also_registered: Vec::new(), said: None })
}

/// Asks the service what is registered with these digests, and compares with what it proves.
fn by_service<'a>(
    question: Question<'a>,
    settings: &Settings,
    trust: &Trust,
    places: Option<Places>,
    measuring: &dyn Measure,
) -> Result<Verdict<'a>, Failure> {
    let found = lookup::find(settings, trust, measuring, question.path, question.form)?;
    let lookup::Found { proven, measured, others } = found;
    let compared = if proven.manifest.image().is_none() && is_measured_as(&proven, &measured, question.path) {
        measured_as(question, &proven, places, measured)
    } else {
        compared(question, &proven, places, measuring, &mut Seen::default())?
    };
    let said = Some(said::Said::ask(settings, &proven)?);
    Ok(Verdict { question, proven, compared, held: None, trust: trust.clone(), also_registered: others, said })
}

/// Looks at what is at the path by the rules that the registered manifest records.
fn compared(
    question: Question<'_>,
    proven: &Proven,
    places: Option<Places>,
    measuring: &dyn Measure,
    seen: &mut Seen,
) -> Result<Compared, Failure> {
    let manifest = &proven.manifest;
    if manifest.image().is_some() {
        let found = measuring.find_image(question.path, question.form, manifest)?;
        let (difference, not_read) = compare_image(manifest, &found);
        return Ok(Compared { difference, not_read, ..Compared::default() });
    }
    let (exclusions, file_name) = (manifest.exclusions(), registered_name(proven));
    // Bytes that are equal by BLAKE3 are equal; a strict question is also whether all that was registered of them is true.
    let digests =
        if question.is_strict { DigestSelection::MANIFEST } else { DigestSelection::from_iter([DigestKind::Blake3]) };
    let aim = Aim { exclusions, file_name, digests, ..Aim::verify(question.form) };
    let Looked { mut difference, by_blake3, subtrees, excluded, revision, notes } =
        measuring.look(question.path, aim, manifest, seen)?;
    refuse_excluded(question, &mut difference, &excluded);
    let damages = places.map(|places| places.locate(manifest, &difference, &subtrees));
    Ok(Compared { difference, by_blake3, excluded, revision, not_read: Vec::new(), damages, notes })
}

/// Compares what was measured whole, to ask the service about it.
fn measured_as(question: Question<'_>, proven: &Proven, places: Option<Places>, measured: Measured) -> Compared {
    let Measured { manifest, unreadable, subtrees, excluded, revision, notes, .. } = measured;
    let mut difference = compare(&proven.manifest, &manifest, &unreadable);
    refuse_excluded(question, &mut difference, &excluded);
    let damages = places.map(|places| places.locate(&proven.manifest, &difference, &subtrees));
    Compared { difference, excluded, revision, damages, notes, ..Compared::default() }
}

/// To a strict question, what the exclusion profile leaves out is extra.
fn refuse_excluded(question: Question<'_>, difference: &mut Difference, excluded: &[FilePath]) {
    if question.is_strict {
        difference.extra.extend_from_slice(excluded);
        difference.extra.sort();
    }
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
