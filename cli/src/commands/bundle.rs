//! Offline bundles on disk and from the service, and the words that results share.

use std::path::Path;

use chopmark_core::artefact::ArtefactKind;
use chopmark_core::bundle::{BUNDLE_BYTES_MAX, Bundle, Proven};
use chopmark_core::statement::StatementId;

use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::trust::Trust;

/// Reads a bundle file and checks everything in it.
///
/// # Errors
/// A usage failure when the file can't be read; otherwise what does not hold, or which trust is missing.
pub(crate) fn open(path: &Path, trust: &Trust) -> Result<Proven, Failure> {
    let bytes = files::read(path, BUNDLE_BYTES_MAX).map_err(|error| match error.kind() {
        std::io::ErrorKind::FileTooLarge => {
            Failure::new(Exit::ProofInvalid, "bundle_invalid", format!("{} is {error}", path.display()))
        }
        _ => Failure::usage(format!("cannot read the bundle {}: {error}", path.display())),
    })?;
    prove(&bytes, trust)
}

/// Fetches the bundle of a statement and checks everything in it, and that it is of that statement.
///
/// # Errors
/// A network failure, or what does not hold.
pub(crate) fn fetch(client: &Client, id: &StatementId, trust: &Trust) -> Result<(Vec<u8>, Proven), Failure> {
    let bytes = client.bundle(id)?;
    let proven = prove(&bytes, trust)?;
    if proven.statement.id == *id {
        Ok((bytes, proven))
    } else {
        Err(Failure::proof(format!("asked for the bundle of {id}, the service sent that of {}", proven.statement.id)))
    }
}

/// Checks the bytes of a bundle.
///
/// # Errors
/// What does not hold, or which trust is missing.
pub(crate) fn prove(bytes: &[u8], trust: &Trust) -> Result<Proven, Failure> {
    Ok(Bundle::parse(bytes)?.verify(&trust.policy)?)
}

/// Checks, before slow work begins, that a bundle may be written to `path`: an older bundle may be replaced, nothing else.
///
/// # Errors
/// A usage failure.
pub(crate) fn check_replaceable(path: &Path) -> Result<(), Failure> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !parent.is_dir() {
        return Err(Failure::usage(format!("there is no directory {} to write the bundle to", parent.display())));
    }
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    let is_bundle = files::read(path, BUNDLE_BYTES_MAX).is_ok_and(|bytes| Bundle::parse(&bytes).is_ok());
    if is_bundle {
        Ok(())
    } else {
        let message = format!("{} exists and is not a bundle; choose another file with --out", path.display());
        Err(Failure::usage(message))
    }
}

/// A path as it can be pasted into a shell.
pub(crate) fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |character: char| character.is_alphanumeric() || "-_./+,:@%=".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// The word for a kind of artefact.
pub(crate) const fn kind_word(kind: ArtefactKind) -> &'static str {
    match kind {
        ArtefactKind::Model => "model",
        ArtefactKind::Software => "software",
        ArtefactKind::Dataset => "dataset",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bundles_are_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("m.chop");
        assert!(check_replaceable(&path).is_ok());
        std::fs::write(&path, "my thesis").unwrap();
        assert_eq!(check_replaceable(&path).unwrap_err().exit, Exit::Usage);
        assert_eq!(check_replaceable(directory.path()).unwrap_err().exit, Exit::Usage);
        assert_eq!(check_replaceable(&directory.path().join("no/m.chop")).unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn suggestions_can_be_pasted() {
        for (path, word) in
            [("./model", "./model"), ("my model", "'my model'"), ("it's", r"'it'\''s'"), ("模型", "模型")]
        {
            assert_eq!(shell_word(Path::new(path)), word);
        }
    }
}
