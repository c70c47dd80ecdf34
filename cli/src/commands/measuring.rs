//! From a path to a manifest, with progress and Ctrl-C: what `hash`, `register` and `verify` share.

use std::path::Path;

use chopmark_core::manifest::{ExclusionProfile, FilePath};
use chopmark_gpu_verify::{Engine, MeasureError, MeasureOptions, Measured, Purpose, measure};

use crate::arguments::{EngineArguments, FormArguments};
use crate::exit::{Exit, Failure};
use crate::interrupt;
use crate::printer::Printer;
use crate::progress::HashProgress;

/// A running engine, the form that the artefact has, and who hears of its progress.
pub(crate) struct Measuring<'a> {
    engine: Engine,
    form: &'a FormArguments,
    printer: &'a Printer,
}

/// What to measure a path as.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aim<'a> {
    /// What for.
    pub(crate) purpose: Purpose,
    /// Which files of a directory do not count.
    pub(crate) exclusions: ExclusionProfile,
    /// The name that a single file is to have.
    pub(crate) file_name: Option<&'a FilePath>,
}

impl<'a> Measuring<'a> {
    /// Starts the engine asked for.
    ///
    /// # Errors
    /// An internal failure when it can't start.
    pub(crate) fn start(
        arguments: EngineArguments,
        form: &'a FormArguments,
        printer: &'a Printer,
    ) -> Result<Self, Failure> {
        let engine = Engine::choose(arguments.engine).map_err(|error| Failure::internal(error.to_string()))?;
        printer.detail(format!("engine: {}", engine.reason()));
        Ok(Self { engine, form, printer })
    }

    /// Name of the engine.
    pub(crate) fn engine_name(&self) -> &'static str {
        self.engine.hasher().name()
    }

    /// Reads everything at `path` once.
    ///
    /// # Errors
    /// Why there is no manifest, naming the file.
    pub(crate) fn measure(&self, path: &Path, aim: Aim<'_>) -> Result<Measured, Failure> {
        let progress = HashProgress::start(self.printer);
        let measured = interrupt::polled(|interrupted| {
            let Aim { purpose, exclusions, file_name } = aim;
            let revision = self.form.revision.as_deref();
            let options = MeasureOptions { exclusions, purpose, file_name, revision, interrupted };
            measure(path, &options, &progress, self.engine.hasher()).map_err(Failure::from)
        });
        match &measured {
            Ok(measured) => {
                progress.finish();
                if let Some(commit) = &measured.revision {
                    self.printer.note(format!("revision {commit}"));
                }
            }
            Err(_) => progress.abandon(),
        }
        measured
    }
}

/// Checks that there is something at `path` before any slow work begins.
///
/// # Errors
/// A usage failure when there is nothing.
pub(crate) fn require(path: &Path) -> Result<(), Failure> {
    match path.symlink_metadata() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(MeasureError::NotFound { path: path.to_owned() }.into())
        }
        Err(source) => Err(Failure::new(
            Exit::CouldNotCheck,
            "unreadable",
            MeasureError::Unreadable { path: path.to_owned(), source }.to_string(),
        )),
    }
}
