//! `chopmark verify --all`: every model below a directory, each judged by itself, in one report.
//!
//! Models are read at the same time, together no more files than the engine reads at once. A model that is broken, in
//! whatever way, is a result of its own and stops no other; Ctrl-C leaves a report that says what was not tried.

mod find;
mod report;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use chopmark_core::verify::ResultState;
use chopmark_gpu_verify::{MeasureError, Seen, Share};

use self::find::{Kind, Model};
use self::report::{Answer, End, OtherBundle};
use super::places::{self, Places};
use super::verdict::{Question, Verdict};
use super::{by_bundle, by_service};
use crate::arguments::{FormArguments, VerifyArguments};
use crate::commands::measuring::{Measuring, PartMeasuring};
use crate::commands::{Context, bundle, output};
use crate::config::{Overrides, Settings};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::interrupt;
use crate::printer::Printer;
use crate::progress::BatchProgress;
use crate::trust::Trust;
use crate::units;

/// Verifies every model below `directory` and writes the report.
///
/// # Errors
/// Only what is no answer about any model: a wrong command line, no trust, a directory that can't be listed, a report
/// that can't be written.
pub(super) fn run(context: &Context<'_>, arguments: &VerifyArguments, directory: &Path) -> Result<Exit, Failure> {
    let printer = context.printer;
    let settings = context.settings(Overrides { party: None, trust: arguments.trust.clone() })?;
    interrupt::install(printer, context.command)?;
    if let Some(path) = &arguments.report {
        check_writable(path)?;
        output::check_document(path)?;
    }
    let trust = Trust::for_verifying(&settings, directory, printer)?;
    let measuring = Measuring::start(arguments.engine, printer)?;
    let mut written = None;
    // An interruption is one of the answers: what it left undone stands in the report.
    let polled = interrupt::polled(|interrupted| {
        let mut found = find::find(directory, interrupted)?;
        let report = arguments.report.as_deref().and_then(|report| report.canonicalize().ok());
        found.strays.retain(|stray| report.is_none() || stray.canonicalize().ok() != report);
        let models = units::count(units::length(found.models.len()), "model");
        printer.note(format!("{models} below {}", directory.display()));
        let (files, size_bytes) = found.models.iter().fold((0_u64, 0_u64), |(files, size_bytes), model| {
            (files.saturating_add(model.files), size_bytes.saturating_add(model.size_bytes))
        });
        let progress = BatchProgress::start(printer, files, size_bytes);
        let batch = Batch {
            arguments,
            settings: &settings,
            trust: &trust,
            measuring: &measuring,
            progress: &progress,
            quiet: &printer.quieted(),
            interrupted,
            models: &found.models,
            size_bytes,
            is_unreachable: AtomicBool::new(false),
        };
        let ends = batch.run();
        progress.finish();
        written = Some(report::write(context, arguments, directory, &found, &ends, measuring.engine_name())?);
        Ok(())
    });
    match (polled, written) {
        (_, Some(written)) => written.print(context),
        (Err(failure), None) => Err(failure),
        (Ok(()), None) => Err(Failure::internal("no report was made")),
    }
}

/// Checks, before slow work begins, that a report can be written.
fn check_writable(path: &Path) -> Result<(), Failure> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !parent.is_dir() || path.is_dir() || path.file_name().is_none() {
        let message = format!("the report {} can't be written: it is a directory, or in none", path.display());
        return Err(Failure::usage(message));
    }
    files::sweep(parent);
    Ok(())
}

/// Many models on their way.
struct Batch<'a> {
    arguments: &'a VerifyArguments,
    settings: &'a Settings,
    trust: &'a Trust,
    measuring: &'a Measuring<'a>,
    progress: &'a BatchProgress<'a>,
    /// For what would be said about a model by itself.
    quiet: &'a Printer,
    interrupted: &'a AtomicBool,
    models: &'a [Model],
    /// Size of all of them in bytes.
    size_bytes: u64,
    /// The service could not be reached for one model; it is not waited for again for each of the others.
    is_unreachable: AtomicBool,
}

impl Batch<'_> {
    /// Judges every model; the results are in the models' order.
    fn run(&self) -> Vec<End> {
        // Largest first, so that no large one is left alone at the end.
        let mut order: Vec<usize> = (0..self.models.len()).collect();
        order.sort_by_key(|index| core::cmp::Reverse(self.models.get(*index).map_or(0, |model| model.size_bytes)));
        let gate = Gate::new(self.measuring.hasher().files_in_parallel().max(1));
        let next = AtomicUsize::new(0);
        let work = || {
            let mut ends = Vec::new();
            while let Some(index) = order.get(next.fetch_add(1, Ordering::Relaxed))
                && let Some(model) = self.models.get(*index)
            {
                if self.is_interrupted() {
                    break;
                }
                let pass = gate.enter(self.share(model, gate.places));
                ends.push((*index, self.judge(model, pass.places)));
            }
            ends
        };
        let done = thread::scope(|scope| {
            let helpers = gate.places.min(self.models.len()).saturating_sub(1);
            // Fewer threads than wanted are no reason to fail: this one does all the work if it must.
            let helpers: Vec<_> = (0..helpers)
                .filter_map(|_| thread::Builder::new().name("model".to_owned()).spawn_scoped(scope, work).ok())
                .collect();
            let mut ends = work();
            for helper in helpers {
                match helper.join() {
                    Ok(more) => ends.extend(more),
                    Err(panicked) => std::panic::resume_unwind(panicked),
                }
            }
            ends
        });
        let mut ends: Vec<End> = self.models.iter().map(|_| End::NotTried).collect();
        for (index, end) in done {
            if let Some(place) = ends.get_mut(index) {
                *place = end;
            }
        }
        End::distrust(&mut ends);
        ends
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// How many files of a model to read at a time: by its part of all bytes, so that one large model among small
    /// ones is not read on its own.
    fn share(&self, model: &Model, places: usize) -> usize {
        let wanted =
            u128::from(model.size_bytes) * u128::from(units::length(places)) / u128::from(self.size_bytes.max(1));
        let files = usize::try_from(model.files).unwrap_or(usize::MAX);
        usize::try_from(wanted).unwrap_or(places).saturating_add(1).min(files).clamp(1, places)
    }

    fn judge(&self, model: &Model, files_in_parallel: usize) -> End {
        match self.answer(model, files_in_parallel) {
            Ok(end) => end,
            Err(failure) if failure.exit == Exit::Interrupted => End::NotTried,
            Err(failure) => End::Failed { failure: of_a_model(failure), others: Vec::new() },
        }
    }

    fn answer(&self, model: &Model, files_in_parallel: usize) -> Result<End, Failure> {
        let form = FormArguments::default();
        let question = Question {
            path: &model.path,
            form: &form,
            bundle: None,
            allow_extra: self.arguments.allow_extra,
            is_strict: self.arguments.strict,
            status_list: None,
            on: self.arguments.on,
        };
        let name = model.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let progress = self.progress.part(name, model.files, model.size_bytes);
        let hasher = Share::new(self.measuring.hasher(), files_in_parallel);
        let keep_subtrees = model.bundles.iter().any(|bundle| places::beside(bundle).is_file());
        let measuring = PartMeasuring { hasher, progress: &progress, keep_subtrees, interrupted: self.interrupted };
        if model.kind == Kind::Missing {
            return Err(MeasureError::NotFound { path: model.path.clone() }.into());
        }
        if !model.bundles.is_empty() {
            return self.by_bundles(model, question, &measuring);
        }
        if self.arguments.offline {
            return Ok(End::Unknown);
        }
        if self.is_unreachable.load(Ordering::Relaxed) {
            let message = "the service could not be reached for another model, and was not asked about this one";
            return Err(Failure::new(Exit::Network, "unreachable", message));
        }
        match by_service(question, self.settings, self.trust, None, &measuring) {
            Ok(verdict) => Ok(End::Verdict(Box::new(Answer::of(&verdict, Vec::new())))),
            Err(failure) => {
                if failure.code == "unreachable" {
                    self.is_unreachable.store(true, Ordering::Relaxed);
                }
                Err(failure)
            }
        }
    }

    /// Tries the bundles of a model in turn until one proves what is there; none does, and the first says why not.
    fn by_bundles(&self, model: &Model, question: Question<'_>, measuring: &PartMeasuring<'_>) -> Result<End, Failure> {
        let mut seen = Seen::default();
        let mut first: Option<Result<Answer, Failure>> = None;
        let mut others = Vec::new();
        for path in &model.bundles {
            let question = Question { bundle: Some(path), ..question };
            // A sidecar that can't be used costs the places of damage and nothing else.
            let places = Places::find(None, Some(path), self.quiet).unwrap_or(None);
            let verdict: Result<Verdict<'_>, Failure> = bundle::open(path, self.trust)
                .and_then(|proven| by_bundle(question, proven, self.trust, places, measuring, &mut seen));
            match verdict {
                Err(failure) if failure.exit == Exit::Interrupted => return Err(failure),
                Ok(verdict) if verdict.state() == ResultState::Verified => {
                    others.extend(first.take().map(|other| OtherBundle::of(model.bundles.first(), &other)));
                    return Ok(End::Verdict(Box::new(Answer::of(&verdict, others))));
                }
                verdict => {
                    let answer = verdict.map(|verdict| Answer::of(&verdict, Vec::new())).map_err(of_a_model);
                    if first.is_none() {
                        first = Some(answer);
                    } else {
                        others.push(OtherBundle::of(Some(path), &answer));
                    }
                }
            }
        }
        match first {
            Some(Ok(mut answer)) => {
                answer.others = others;
                Ok(End::Verdict(Box::new(answer)))
            }
            Some(Err(failure)) => Ok(End::Failed { failure, others }),
            None => Ok(End::Unknown),
        }
    }
}

/// What is wrong with one model of many is no fault of the command line.
fn of_a_model(failure: Failure) -> Failure {
    if failure.exit == Exit::Usage { Failure { exit: Exit::CouldNotCheck, ..failure } } else { failure }
}

/// Lets so many files be read at a time, whichever model they belong to.
struct Gate {
    places: usize,
    free: Mutex<usize>,
    left: Condvar,
}

/// Places taken at a gate, free again when this goes.
struct Pass<'a> {
    gate: &'a Gate,
    places: usize,
}

impl Gate {
    fn new(places: usize) -> Self {
        Self { places, free: Mutex::new(places), left: Condvar::new() }
    }

    /// Waits for `places`, which are at most as many as there are.
    fn enter(&self, places: usize) -> Pass<'_> {
        let places = places.min(self.places);
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.left.wait_while(free, |free| *free < places).unwrap_or_else(PoisonError::into_inner);
        *free = free.saturating_sub(places);
        Pass { gate: self, places }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut free = self.gate.free.lock().unwrap_or_else(PoisonError::into_inner);
        *free = free.saturating_add(self.places);
        self.gate.left.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_places_are_taken_than_there_are() {
        let gate = Gate::new(3);
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for wanted in [1, 2, 3, 9, 1, 2, 3, 1] {
                let (gate, inside, most) = (&gate, &inside, &most);
                scope.spawn(move || {
                    for _ in 0..50 {
                        let pass = gate.enter(wanted);
                        let now = inside.fetch_add(pass.places, Ordering::SeqCst) + pass.places;
                        most.fetch_max(now, Ordering::SeqCst);
                        thread::yield_now();
                        inside.fetch_sub(pass.places, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 3);
        assert_eq!(*gate.free.lock().unwrap(), 3);
    }
}
