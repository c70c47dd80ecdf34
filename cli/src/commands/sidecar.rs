//! Writing a sidecar: the value of every MiB of what was measured, for later verifications to name damage by place.

use std::path::Path;

use chopmark_core::sidecar::{FileValues, SIDECAR_ENDING, SUBTREE_SIZE_BYTES, Sidecar};
use chopmark_gpu_verify::Measured;

use crate::exit::{Exit, Failure};
use crate::files::{self, Access};
use crate::printer::Printer;
use crate::units;

/// Checks, before hours of hashing, that a file of this name stays out of whatever it lies in.
///
/// # Errors
/// A usage failure.
pub(super) fn check(path: Option<&Path>) -> Result<(), Failure> {
    let is_kept_out = |path: &Path| path.as_os_str().as_encoded_bytes().ends_with(SIDECAR_ENDING.as_bytes());
    match path {
        Some(path) if !is_kept_out(path) => Err(Failure::usage(format!(
            "--sidecar: {} does not end in {SIDECAR_ENDING}; a file of any other name would become part of the artefact \
             it lies in",
            path.display()
        ))),
        _ => Ok(()),
    }
}

/// Writes the sidecar of what was measured.
///
/// # Errors
/// When it would be too large, or can't be written.
pub(super) fn write(path: Option<&Path>, measured: &Measured, printer: &Printer) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    let mut covered = Vec::new();
    for file in measured.manifest.files().iter().filter(|file| file.size_bytes > SUBTREE_SIZE_BYTES) {
        if let (Some(blake3), Some(values)) = (file.blake3, measured.subtrees.get(&file.path)) {
            let (path, size_bytes, values) = (file.path.clone(), file.size_bytes, values.clone());
            covered.push(FileValues { path, size_bytes, blake3, values });
        }
    }
    let sidecar = Sidecar::new(covered).map_err(|fault| {
        Failure::new(Exit::CouldNotCheck, "sidecar", format!("no sidecar of this can be written: {fault}"))
    })?;
    let bytes = sidecar.to_bytes();
    files::replace(path, &bytes, Access::Shared).map_err(|error| Failure::file("write", path, &error))?;
    printer.note(format!(
        "wrote the sidecar {} ({}, of {} above 1 MiB)",
        path.display(),
        units::bytes(units::length(bytes.len())),
        units::count(units::length(sidecar.files()), "file")
    ));
    Ok(())
}
