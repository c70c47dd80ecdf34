//! Lists for other programs: byte for byte what `b3sum` and `sha256sum` write, so that they check them.
//!
//! Rules of names: GNU coreutils 9 (`src/cksum.c`, `print_filename`), and `b3sum` (`src/main.rs`,
//! `filepath_to_string` and `parse_check_line`). What one of them could not read back is refused here, with the
//! file's name.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use chopmark_core::manifest::FilePath;
use chopmark_gpu_verify::{CachedRepository, DigestKind, DigestSelection, Hashed, HashedFile, MeasureError};
use serde_json::{Value, json};

use super::{members_of, text, write};
use crate::arguments::{HashArguments, HashFormat};
use crate::commands::bundle::shell_word;
use crate::commands::measuring::{Aim, Measuring, image_reference};
use crate::commands::recall::{Reading, Recall};
use crate::commands::{Context, notes};
use crate::config::Directories;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::printer::{Report, Tone};
use crate::remembered::Kind;
use crate::units;

/// Hashes a path for the one digest that the program checks, and prints the list or writes it.
///
/// # Errors
/// Why a file can't be hashed, or which name a list can't hold; a usage failure for what no list is made of.
pub(super) fn run(context: &Context<'_>, arguments: &HashArguments, checker: Checker) -> Result<Exit, Failure> {
    if arguments.output.is_none() && context.printer.is_json() {
        let message = "--json and a list can't both be on stdout; write the list to a file with --output FILE";
        return Err(Failure::usage(message));
    }
    if image_reference(&arguments.path)?.is_some() {
        let message = "no list is made of a container image, whose blobs are known by the digests in its manifest";
        return Err(Failure::usage(message));
    }
    if arguments.sidecar.is_some() || !arguments.digests.is_empty() {
        let message = "--sidecar and --digest go with a manifest or a document, and not with a list";
        return Err(Failure::usage(message));
    }
    let stand_in = stand_in(&arguments.path);
    let measuring = Measuring::start(arguments.engine, context.printer)?;
    let digests = DigestSelection::from_iter([checker.kind()]);
    let aim = Aim { digests, file_name: stand_in.as_ref(), ..Aim::verify(&arguments.form) };
    let directories = Directories::of(&|name| std::env::var_os(name));
    let recall = Recall { directories: &directories, kind: Kind::Checkpoint, is_wanted: arguments.resume };
    let (hashed, reading) = recall.hash_files(&measuring, &arguments.path, aim, context.printer)?;
    if hashed.files.is_empty() {
        return Err(MeasureError::NoFiles { path: arguments.path.clone() }.into());
    }
    reading.settle(show(context, arguments, checker, measuring.engine_name(), (&hashed, &reading)))
}

fn show(
    context: &Context<'_>,
    arguments: &HashArguments,
    checker: Checker,
    engine: &str,
    (hashed, reading): (&Hashed, &Reading),
) -> Result<Exit, Failure> {
    let list = list(checker, &arguments.path, hashed)?;
    if !hashed.excluded.is_empty() {
        let excluded: Vec<&str> = hashed.excluded.iter().map(FilePath::as_str).collect();
        let rule = hashed.exclusions.id();
        context.printer.note(format!("not on the list: {} (left out by {rule})", excluded.join(", ")));
    }
    notes::tell(context.printer, &hashed.notes);
    let Some(path) = &arguments.output else { return context.printer.bytes(&list) };
    write(path, &list)?;
    let mut members = members_of(hashed, reading, engine);
    if let Value::Object(members) = &mut members {
        let list = json!({ "format": arguments.format.name(), "path": files::text(path) });
        members.insert("list".to_owned(), list);
    }
    let files = units::count(units::length(hashed.files.len()), "file");
    let report = Report::default()
        .headline(Tone::Neutral, format!("{files} listed in {}", path.display()))
        .next(format!("{} {}", checker.command(), shell_word(path)));
    context.done(members, &report)
}

/// A program that checks lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checker {
    /// `b3sum --check`.
    B3sum,
    /// `sha256sum -c`.
    Sha256sum,
}

impl Checker {
    /// Whom a format is for, if it is a list.
    pub(super) const fn of(format: HashFormat) -> Option<Self> {
        match format {
            HashFormat::Text | HashFormat::Json => None,
            HashFormat::B3sum => Some(Self::B3sum),
            HashFormat::Sha256sum => Some(Self::Sha256sum),
        }
    }

    /// The command that checks a list.
    const fn command(self) -> &'static str {
        match self {
            Self::B3sum => "b3sum --check",
            Self::Sha256sum => "sha256sum -c",
        }
    }

    /// The digest that it checks.
    const fn kind(self) -> DigestKind {
        match self {
            Self::B3sum => DigestKind::Blake3,
            Self::Sha256sum => DigestKind::Sha256,
        }
    }

    /// The name as it stands in a line, and whether anything in it is escaped.
    fn name(self, path: &Path) -> Result<(Vec<u8>, bool), Failure> {
        // A lone hyphen is standard input to both.
        let path = if path == Path::new("-") { Path::new("./-") } else { path };
        let bytes = path.as_os_str().as_bytes();
        if self == Self::B3sum {
            let reason = match path.to_str() {
                None => Some("is not UTF-8"),
                // b3sum takes it for a name that it could not write.
                Some(text) if text.contains('\u{FFFD}') => Some("has the replacement character U+FFFD"),
                // Version 1.2 writes it as it is, later ones escape it.
                Some(text) if text.contains('\r') => {
                    Some("has a carriage return, which versions of b3sum write differently")
                }
                Some(_) => None,
            };
            if let Some(reason) = reason {
                let shown = path.to_string_lossy();
                let message = format!(
                    "\"{}\" can't stand on a list for b3sum: its name {reason}; rename it, or use sha256sum",
                    shown.escape_debug()
                );
                return Err(Failure::new(Exit::CouldNotCheck, "file_name", message));
            }
        }
        let is_escaped = bytes.iter().any(|byte| matches!(byte, b'\\' | b'\n' | b'\r'));
        let mut name = Vec::with_capacity(bytes.len());
        for byte in bytes {
            match byte {
                b'\\' => name.extend(br"\\"),
                b'\n' => name.extend(br"\n"),
                b'\r' => name.extend(br"\r"),
                _ => name.push(*byte),
            }
        }
        Ok((name, is_escaped))
    }
}

/// The list of what was hashed at `path`, with names as they are found from where this command runs.
fn list(checker: Checker, path: &Path, hashed: &Hashed) -> Result<Vec<u8>, Failure> {
    let mut list = Vec::new();
    let directory = directory(path, hashed);
    for HashedFile { path: file, digests, .. } in &hashed.files {
        let digest = text(digests, checker.kind())
            .ok_or_else(|| Failure::internal(format!("{file} has no {} digest", checker.kind().name())))?;
        let found = directory.as_ref().map_or_else(|| path.to_owned(), |directory| directory.join(file.as_str()));
        let (name, is_escaped) = checker.name(&found)?;
        if is_escaped {
            list.push(b'\\');
        }
        list.extend(digest.as_bytes());
        list.extend(b"  ");
        list.extend(name);
        list.push(b'\n');
    }
    Ok(list)
}

/// Where the files lie; `None` where `path` is the one file itself.
fn directory(path: &Path, hashed: &Hashed) -> Option<PathBuf> {
    if !path.is_dir() {
        return None;
    }
    let is_snapshot = || CachedRepository::at(path).is_some_and(|repository| repository.snapshot.is_some());
    Some(match &hashed.revision {
        Some(commit) if !is_snapshot() => path.join("snapshots").join(commit),
        // As everybody writes it: without a dot in front.
        _ if path == Path::new(".") => PathBuf::new(),
        _ => path.to_owned(),
    })
}

/// A name under which a single file is measured whose own can't stand in a manifest: a list may have it all the same.
fn stand_in(path: &Path) -> Option<FilePath> {
    let name = path.file_name()?;
    if path.is_dir() || name.to_str().is_some_and(|name| FilePath::parse(name).is_ok()) {
        return None;
    }
    FilePath::parse("file").ok()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    fn name(checker: Checker, name: &[u8]) -> Result<(Vec<u8>, bool), &'static str> {
        let path = PathBuf::from(OsString::from_vec(name.to_vec()));
        checker.name(&path).map_err(|failure| {
            assert_eq!(failure.exit, Exit::CouldNotCheck);
            "refused"
        })
    }

    #[test]
    fn names_are_escaped_as_each_program_does() {
        let plain = |text: &[u8]| Ok((text.to_vec(), false));
        let escaped = |text: &[u8]| Ok((text.to_vec(), true));
        for (written, sha256sum, b3sum) in [
            (b"a b".as_slice(), plain(b"a b"), plain(b"a b")),
            (b" a ", plain(b" a "), plain(b" a ")),
            (b"*a", plain(b"*a"), plain(b"*a")),
            (b"-", plain(b"./-"), plain(b"./-")),
            (b"-c", plain(b"-c"), plain(b"-c")),
            (b"a\nb", escaped(b"a\\nb"), escaped(b"a\\nb")),
            (b"a\\b", escaped(b"a\\\\b"), escaped(b"a\\\\b")),
            (b"a\\\n", escaped(b"a\\\\\\n"), escaped(b"a\\\\\\n")),
            (b"a\rb", escaped(b"a\\rb"), Err("refused")),
            (b"a\xff", plain(b"a\xff"), Err("refused")),
            ("a\u{FFFD}".as_bytes(), plain("a\u{FFFD}".as_bytes()), Err("refused")),
            ("模型".as_bytes(), plain("模型".as_bytes()), plain("模型".as_bytes())),
        ] {
            assert_eq!(name(Checker::Sha256sum, written), sha256sum, "{written:?}");
            assert_eq!(name(Checker::B3sum, written), b3sum, "{written:?}");
        }
    }

    #[test]
    fn only_names_that_no_manifest_holds_are_stood_in_for() {
        let stand_in = |name: &[u8]| {
            let path = PathBuf::from(OsString::from_vec(name.to_vec()));
            super::stand_in(&path).map(|path| path.to_string())
        };
        assert_eq!(stand_in(b"/nowhere/model.bin"), None);
        assert_eq!(stand_in(b"/nowhere/a\nb").as_deref(), Some("file"));
        assert_eq!(stand_in(b"/nowhere/\xff.safetensors").as_deref(), Some("file"));
    }
}
