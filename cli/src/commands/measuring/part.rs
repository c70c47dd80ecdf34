//! One of many measurements that run at the same time, on a share of the engine and with one progress for all.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use chopmark_core::manifest::Manifest;
use chopmark_core::verify::FoundImage;
use chopmark_gpu_verify::{Looked, Measured, Progress, Seen, Share, find_image, look, measure};

use super::{Aim, Measuring, place};
use crate::arguments::FormArguments;
use crate::exit::Failure;

/// Reads what lies at a path to verify it: alone, or as one of many.
pub(crate) trait Measure {
    /// Reads everything at `path` once.
    ///
    /// # Errors
    /// Why there is no manifest, naming the file.
    fn measure(&self, path: &Path, aim: Aim<'_>) -> Result<Measured, Failure>;

    /// Compares what is at `path` with what was registered; what was read of it before is in `seen`.
    ///
    /// # Errors
    /// As [`look`].
    fn look(&self, path: &Path, aim: Aim<'_>, registered: &Manifest, seen: &mut Seen) -> Result<Looked, Failure>;

    /// Reads what is at hand of a registered container image.
    ///
    /// # Errors
    /// As [`find_image`].
    fn find_image(&self, path: &Path, form: &FormArguments, registered: &Manifest) -> Result<FoundImage, Failure>;
}

impl Measure for Measuring<'_> {
    fn measure(&self, path: &Path, aim: Aim<'_>) -> Result<Measured, Failure> {
        Measuring::measure(self, path, aim)
    }

    fn look(&self, path: &Path, aim: Aim<'_>, registered: &Manifest, seen: &mut Seen) -> Result<Looked, Failure> {
        Measuring::look(self, path, aim, registered, seen)
    }

    fn find_image(&self, path: &Path, form: &FormArguments, registered: &Manifest) -> Result<FoundImage, Failure> {
        Measuring::find_image(self, path, form, registered)
    }
}

/// One of many.
pub(crate) struct PartMeasuring<'a> {
    /// Its share of the engine.
    pub(crate) hasher: Share<'a>,
    /// Who hears of progress.
    pub(crate) progress: &'a dyn Progress,
    /// Whether the value of every MiB is wanted, to use a sidecar.
    pub(crate) keep_subtrees: bool,
    /// Whether to stop.
    pub(crate) interrupted: &'a AtomicBool,
}

impl Measure for PartMeasuring<'_> {
    fn measure(&self, path: &Path, aim: Aim<'_>) -> Result<Measured, Failure> {
        let options = aim.options(self.keep_subtrees, self.interrupted);
        measure(place(path, aim.form), &options, self.progress, &self.hasher).map_err(Failure::from)
    }

    fn look(&self, path: &Path, aim: Aim<'_>, registered: &Manifest, seen: &mut Seen) -> Result<Looked, Failure> {
        let options = aim.options(self.keep_subtrees, self.interrupted);
        look(place(path, aim.form), registered, &options, seen, self.progress, &self.hasher).map_err(Failure::from)
    }

    fn find_image(&self, path: &Path, form: &FormArguments, registered: &Manifest) -> Result<FoundImage, Failure> {
        find_image(place(path, form), registered, self.interrupted, self.progress, &self.hasher).map_err(Failure::from)
    }
}
