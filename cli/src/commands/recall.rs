//! Measuring with what is remembered from an earlier run: `register` of files that did not change, `hash` that goes on.
//!
//! Whoever could forge what is remembered could read the user's keys as well (`remembered`), so that a signature rests on
//! nothing weaker than before. Verifications read every byte.

use std::path::Path;

use chopmark_core::manifest::FilePath;
use chopmark_gpu_verify::{Hashed, Measured, Memory as _};
use serde_json::{Value, json};

use super::measuring::{Aim, Measuring, image_reference, place};
use crate::config::Directories;
use crate::exit::{Exit, Failure};
use crate::printer::{Printer, Report};
use crate::remembered::{Kind, Recalled, Remembered, Wants};
use crate::units;

/// The code of a failure that makes everything an engine found worthless.
pub(crate) const ENGINE_FAULT: &str = "engine_fault";

/// What is to be remembered and recalled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recall<'a> {
    /// Where.
    pub(crate) directories: &'a Directories,
    /// For what.
    pub(crate) kind: Kind,
    /// Whether the user wants what is remembered to be used.
    pub(crate) is_wanted: bool,
}

/// What was read, and what did not have to be.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    read_size_bytes: u64,
    recalled: Option<Recalled>,
    /// What a later run can go on with, until what was found is where it was asked for.
    checkpoint: Option<Remembered>,
}

impl Recall<'_> {
    /// Measures, and remembers what it found out, again and again while it does.
    ///
    /// # Errors
    /// As [`Measuring::measure`]; and when something is to be gone on with that can't be.
    pub(crate) fn measure(
        self,
        measuring: &Measuring<'_>,
        path: &Path,
        aim: Aim<'_>,
        printer: &Printer,
    ) -> Result<(Measured, Reading), Failure> {
        if image_reference(path)?.is_some() {
            if self.must_go_on() {
                return Err(Failure::usage(
                    "a container image is known by digest and read at once; leave out --resume",
                ));
            }
            let (measured, read_size_bytes) = measuring.recalling(path, aim, None)?;
            return Ok((measured, Reading { read_size_bytes, ..Reading::default() }));
        }
        let wants = Wants { recalled: self.is_wanted, sampled: measuring.is_sampled(aim) };
        self.remembering(place(path, aim.form), wants, printer, |remembered| {
            let (measured, read_size_bytes) = measuring.recalling(path, aim, remembered)?;
            let files = measured.manifest.files().len();
            Ok((measured, read_size_bytes, files))
        })
    }

    /// As [`Recall::measure`], for the digests of the aim and no others.
    ///
    /// # Errors
    /// As [`Recall::measure`].
    pub(crate) fn hash_files(
        self,
        measuring: &Measuring<'_>,
        path: &Path,
        aim: Aim<'_>,
        printer: &Printer,
    ) -> Result<(Hashed, Reading), Failure> {
        let wants = Wants { recalled: self.is_wanted, sampled: measuring.is_sampled(aim) };
        self.remembering(path, wants, printer, |remembered| {
            let (hashed, read_size_bytes) = measuring.hash_files(path, aim, remembered)?;
            let files = hashed.files.len();
            Ok((hashed, read_size_bytes, files))
        })
    }

    fn must_go_on(self) -> bool {
        self.is_wanted && self.kind == Kind::Checkpoint
    }

    /// Reads what is at a path, which gives how many bytes were read and how many files there are.
    fn remembering<T>(
        self,
        path: &Path,
        wants: Wants,
        printer: &Printer,
        read: impl FnOnce(Option<&Remembered>) -> Result<(T, u64, usize), Failure>,
    ) -> Result<(T, Reading), Failure> {
        let remembered = match Remembered::open(self.kind, self.directories, path, wants) {
            Ok(remembered) => remembered,
            Err(failure) if self.must_go_on() => return Err(failure),
            Err(failure) => {
                printer.detail(format!("nothing is remembered of this run: {failure}"));
                let (found, read_size_bytes, _) = read(None)?;
                return Ok((found, Reading { read_size_bytes, ..Reading::default() }));
            }
        };
        if self.must_go_on() && remembered.is_empty() {
            printer.note(format!("there is no checkpoint of {}: starting at the beginning", path.display()));
        }
        match read(Some(&remembered)) {
            Ok((found, read_size_bytes, files)) => {
                let recalled = Some(remembered.recalled());
                let checkpoint = match self.kind {
                    Kind::Cache => {
                        remembered.keep(true);
                        None
                    }
                    Kind::Checkpoint => Some(remembered),
                };
                let reading = Reading { read_size_bytes, recalled, checkpoint };
                reading.tell(self.kind, files, printer);
                Ok((found, reading))
            }
            Err(failure) if failure.exit == Exit::Interrupted => Err(self.interrupted(failure, remembered.keep(false))),
            Err(failure) => {
                // Nothing of what a faulty engine found is gone on with.
                if failure.code == ENGINE_FAULT {
                    remembered.forget();
                }
                Err(failure)
            }
        }
    }

    /// What to do after an interruption.
    fn interrupted(self, failure: Failure, (whole, parts): (u64, u64)) -> Failure {
        if whole + parts == 0 {
            return failure;
        }
        let kept = match (whole, parts) {
            (whole, 0) => units::count(whole, "file"),
            (0, parts) => format!("part of {}", units::count(parts, "file")),
            (whole, parts) => format!("{} and part of {parts} more", units::count(whole, "file")),
        };
        let how = match self.kind {
            Kind::Cache => "run it again to go on",
            Kind::Checkpoint => "run it again with --resume to go on",
        };
        Failure { message: format!("interrupted; what was found out about {kept} is kept, {how}"), ..failure }
    }
}

impl Reading {
    /// Ends what was read for: what was found is printed or written now, and need not be gone on with, or could not be.
    ///
    /// # Errors
    /// What kept it from being printed or written.
    pub(crate) fn settle<T>(&self, shown: Result<T, Failure>) -> Result<T, Failure> {
        match (&self.checkpoint, shown) {
            (Some(checkpoint), Ok(shown)) => {
                checkpoint.forget();
                Ok(shown)
            }
            (Some(checkpoint), Err(failure)) if checkpoint.keep(true) != (0, 0) => {
                let message = format!("{}; what was computed is kept: run it again with --resume", failure.message);
                Err(Failure { message, ..failure })
            }
            (_, shown) => shown,
        }
    }

    fn tell(&self, kind: Kind, files: usize, printer: &Printer) {
        let Some(Recalled { files: unchanged, parts, changed }) = &self.recalled else { return };
        if *unchanged > 0 {
            let of = units::count(units::length(files), "file");
            let more = if kind == Kind::Cache { "; --no-cache reads them" } else { "" };
            printer.note(format!("{unchanged} of {of} unchanged since they were read, not read again{more}"));
        }
        if !parts.is_empty() {
            printer.note(format!("went on within {}", units::count(units::length(parts.len()), "file")));
        }
        for path in changed {
            printer.note(format!("{path} changed since it was read: read from the start"));
        }
    }

    /// A line about files that were not read.
    pub(crate) fn row(&self, report: Report) -> Report {
        match &self.recalled {
            Some(Recalled { files, .. }) if *files > 0 => {
                report.row("recalled", format!("{}, unchanged and not read again", units::count(*files, "file")))
            }
            _ => report,
        }
    }

    /// For JSON: how many bytes were read, and what was not; `null` where nothing could be remembered.
    pub(crate) fn members(&self) -> (u64, Value) {
        let recalled = self.recalled.as_ref().map(|Recalled { files, parts, changed }| {
            json!({ "files": files, "parts": parts.len(), "changed": changed.iter().map(FilePath::as_str).collect::<Vec<_>>() })
        });
        (self.read_size_bytes, json!(recalled))
    }
}
