//! From a path to a manifest, with progress and Ctrl-C: what `hash`, `register` and `verify` share.

mod part;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::image::ImageReference;
use chopmark_core::manifest::{ExclusionProfile, FilePath, Manifest};
use chopmark_core::verify::FoundImage;
use chopmark_gpu_verify::{
    DigestSelection, Engine, EngineError, Hashed, Hasher, Looked, MeasureError, MeasureOptions, Measured, Memory,
    Purpose, Seen, find_image, hash_files, images_in_layout, is_image_layout, look, measure, measure_image,
};

pub(crate) use self::part::{Measure, PartMeasuring};
use crate::arguments::{EngineArguments, FormArguments};
use crate::exit::{Exit, Failure};
use crate::interrupt;
use crate::printer::Printer;
use crate::progress::HashProgress;
use crate::remembered::Remembered;

/// What stands before the reference of a container image that is given as a path.
const IMAGE_PREFIX: &str = "oci:";

/// A running engine, and who hears of its progress.
pub(crate) struct Measuring<'a> {
    engine: Engine,
    printer: &'a Printer,
    /// One of many: a line about each pass would bury the rest.
    is_brief: bool,
    /// Whether the value of every MiB is wanted, for a sidecar.
    keep_subtrees: bool,
}

/// What to measure a path as.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aim<'a> {
    /// The form in which the artefact lies there.
    pub(crate) form: &'a FormArguments,
    /// What for.
    pub(crate) purpose: Purpose,
    /// Which files of a directory do not count.
    pub(crate) exclusions: ExclusionProfile,
    /// The name that a single file is to have.
    pub(crate) file_name: Option<&'a FilePath>,
    /// Which digests to compute; for a manifest, those it holds in any case.
    pub(crate) digests: DigestSelection,
}

impl<'a> Aim<'a> {
    /// To register what is there.
    pub(crate) fn register(form: &'a FormArguments) -> Self {
        let digests = DigestSelection::MANIFEST;
        Self { form, purpose: Purpose::Register, exclusions: ExclusionProfile::V1, file_name: None, digests }
    }

    /// To verify what is there, before it is known as what it was registered.
    pub(crate) fn verify(form: &'a FormArguments) -> Self {
        Self { purpose: Purpose::Verify, ..Self::register(form) }
    }

    fn options(self, keep_subtrees: bool, interrupted: &'a AtomicBool) -> MeasureOptions<'a> {
        let Self { form, purpose, exclusions, file_name, digests } = self;
        let revision = form.revision.as_deref();
        MeasureOptions { exclusions, purpose, file_name, revision, digests, keep_subtrees, memory: None, interrupted }
    }

    /// To verify what is there, and sign that it was.
    pub(crate) fn attest(form: &'a FormArguments) -> Self {
        Self { purpose: Purpose::Attest, ..Self::register(form) }
    }
}

impl<'a> Measuring<'a> {
    /// Starts the engine asked for, or the CPU's where this machine has no device for it, and says so.
    ///
    /// # Errors
    /// When this build lacks the engine, or it can't start.
    pub(crate) fn start(arguments: EngineArguments, printer: &'a Printer) -> Result<Self, Failure> {
        let engine = match Engine::choose(arguments.engine) {
            Err(missing @ EngineError::NoDevice { .. }) => {
                let engine = Engine::auto();
                printer.note(format!("{missing}; `{}` hashes instead", engine.hasher().name()));
                engine
            }
            chosen => chosen?,
        };
        printer.detail(format!("engine: {}", engine.reason()));
        Ok(Self { engine, printer, is_brief: false, keep_subtrees: false })
    }

    /// For many artefacts, one after the other: without a line about each.
    pub(crate) fn brief(self) -> Self {
        Self { is_brief: true, ..self }
    }

    /// With the value of every MiB, to write or to use a sidecar.
    pub(crate) fn keeping_subtrees(self, keep_subtrees: bool) -> Self {
        Self { keep_subtrees, ..self }
    }

    /// The engine.
    pub(crate) fn hasher(&self) -> &dyn Hasher {
        self.engine.hasher()
    }

    /// Name of the engine.
    pub(crate) fn engine_name(&self) -> &'static str {
        self.engine.hasher().name()
    }

    /// Reads everything at `path` once; of a container image, what is at hand.
    ///
    /// # Errors
    /// Why there is no manifest, naming the file.
    pub(crate) fn measure(&self, path: &Path, aim: Aim<'_>) -> Result<Measured, Failure> {
        self.recalling(path, aim, None).map(|(measured, _)| measured)
    }

    /// As [`Measuring::measure`], but for what is remembered; also how many bytes were read.
    ///
    /// # Errors
    /// As [`Measuring::measure`].
    pub(crate) fn recalling(
        &self,
        path: &Path,
        aim: Aim<'_>,
        remembered: Option<&Remembered>,
    ) -> Result<(Measured, u64), Failure> {
        let Aim { form, purpose, .. } = aim;
        let image = image_reference(path)?;
        let (measured, read_size_bytes) = self.pass(|progress, interrupted| match &image {
            Some(reference) if purpose == Purpose::Register => {
                measure_image(place(path, form), reference, interrupted, progress, self.engine.hasher())
            }
            _ => {
                let memory = remembered.map(|remembered| -> &dyn Memory { remembered });
                let options = MeasureOptions { memory, ..self.options(aim, interrupted) };
                measure(place(path, form), &options, progress, self.engine.hasher())
            }
        })?;
        if let Some(commit) = &measured.revision {
            self.printer.note(format!("revision {commit}"));
        }
        Ok((measured, read_size_bytes))
    }

    /// Reads everything at `path` once, but for what is remembered, for the digests of the aim and no others; also how many
    /// bytes were read.
    ///
    /// # Errors
    /// Why there are none, naming the file.
    pub(crate) fn hash_files(
        &self,
        path: &Path,
        aim: Aim<'_>,
        remembered: Option<&Remembered>,
    ) -> Result<(Hashed, u64), Failure> {
        self.pass(|progress, interrupted| {
            let memory = remembered.map(|remembered| -> &dyn Memory { remembered });
            let options = MeasureOptions { memory, ..self.options(aim, interrupted) };
            hash_files(path, &options, progress, self.engine.hasher())
        })
    }

    /// Whether only some of the values that come of this aim are computed again on the CPU.
    pub(crate) fn is_sampled(&self, aim: Aim<'_>) -> bool {
        aim.purpose == Purpose::Verify && self.hasher().fully_checked().is_some()
    }

    /// Compares what is at `path` with what was registered; what was read of it before is in `seen`.
    ///
    /// # Errors
    /// As [`look`].
    pub(crate) fn look(
        &self,
        path: &Path,
        aim: Aim<'_>,
        registered: &Manifest,
        seen: &mut Seen,
    ) -> Result<Looked, Failure> {
        let (looked, _) = self.pass(|progress, interrupted| {
            let options = self.options(aim, interrupted);
            look(place(path, aim.form), registered, &options, seen, progress, self.engine.hasher())
        })?;
        if let Some(commit) = &looked.revision {
            self.printer.note(format!("revision {commit}"));
        }
        Ok(looked)
    }

    /// Reads what is at hand of a registered container image.
    ///
    /// # Errors
    /// As [`find_image`].
    pub(crate) fn find_image(
        &self,
        path: &Path,
        form: &FormArguments,
        registered: &Manifest,
    ) -> Result<FoundImage, Failure> {
        self.pass(|progress, interrupted| {
            find_image(place(path, form), registered, interrupted, progress, self.engine.hasher())
        })
        .map(|(found, _)| found)
    }

    fn options<'b>(&self, aim: Aim<'b>, interrupted: &'b AtomicBool) -> MeasureOptions<'b> {
        aim.options(self.keep_subtrees, interrupted)
    }

    /// One pass, with the number of bytes that were read.
    fn pass<T>(
        &self,
        read: impl FnOnce(&HashProgress<'_>, &AtomicBool) -> Result<T, MeasureError>,
    ) -> Result<(T, u64), Failure> {
        let progress = HashProgress::start(self.printer, self.is_brief);
        let done = interrupt::polled(|interrupted| read(&progress, interrupted).map_err(Failure::from));
        if done.is_ok() {
            progress.finish();
        } else {
            progress.abandon();
        }
        done.map(|done| (done, progress.read_size_bytes()))
    }
}

/// The container image that a path names, if it names one.
///
/// # Errors
/// A usage failure when what follows `oci:` is no reference.
pub(crate) fn image_reference(path: &Path) -> Result<Option<ImageReference>, Failure> {
    let Some(text) = path.to_str().and_then(|text| text.strip_prefix(IMAGE_PREFIX)) else { return Ok(None) };
    text.parse().map(Some).map_err(Failure::usage)
}

/// Where the bytes are: for a container image, at `--manifest`.
pub(crate) fn place<'a>(path: &'a Path, form: &'a FormArguments) -> &'a Path {
    form.manifest.as_deref().unwrap_or(path)
}

/// Digests by which a container image at `path` would be known, where it may be one.
pub(crate) fn image_digests(path: &Path, form: &FormArguments) -> Result<Vec<Sha256Digest>, Failure> {
    if let Some(digest) = image_reference(path)?.and_then(|reference| reference.sha256) {
        return Ok(vec![digest]);
    }
    if is_image_layout(place(path, form)) {
        // A directory that only looks like a layout may still be registered as a directory.
        return Ok(images_in_layout(place(path, form)).unwrap_or_default());
    }
    Ok(Vec::new())
}

/// Checks that there is something at `path` before any slow work begins.
///
/// # Errors
/// A usage failure when there is nothing, or nothing that tells of the container image meant.
pub(crate) fn require(path: &Path, form: &FormArguments) -> Result<(), Failure> {
    match (image_reference(path)?, &form.manifest) {
        (Some(_), None) => {
            return Err(Failure::usage(
                "nothing is fetched: give the image's manifest as `skopeo inspect --raw` or `docker buildx imagetools \
                 inspect --raw` prints it, or an OCI image layout, with --manifest",
            ));
        }
        (None, Some(_)) => {
            return Err(Failure::usage("--manifest goes with a container image: oci:registry.example/name@sha256:…"));
        }
        _ => {}
    }
    let path = place(path, form);
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
