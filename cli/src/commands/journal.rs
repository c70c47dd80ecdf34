//! What of a list is done: one line for each finished row, on disk before the row counts as finished.
//!
//! A row is recognised by what it says, for whom, where, and by sizes and times of its files; then its bytes are not
//! read again. The journal saves work and nothing more: without it the registry itself says what it holds already.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use chopmark_core::digest::Sha256Digest;
use chopmark_core::manifest::FILES_MAX;
use chopmark_core::statement::StatementId;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exit::Failure;
use crate::files;

/// Largest journal, in bytes: many runs of the longest list.
const JOURNAL_BYTES_MAX: usize = 64 << 20;

/// A finished row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Finished {
    /// What the row says, for whom and where.
    pub(super) row: Sha256Digest,
    /// What its files look like: sizes and times, or their digest where they are small.
    pub(super) files: Sha256Digest,
    /// What it was entered as.
    #[serde(alias = "artefact_id")]
    pub(super) statement_id: StatementId,
}

/// The journal of one list.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    finished: BTreeMap<Sha256Digest, Finished>,
}

impl Journal {
    /// Opens the journal, or begins one.
    ///
    /// # Errors
    /// When it can't be read or written; a usage failure when something else is there.
    pub(super) fn open(path: PathBuf) -> Result<Self, Failure> {
        let known = bytes(&path)?;
        let finished = rows(&known, &path)?;
        let file = OpenOptions::new().append(true).create(true).open(&path);
        let mut file = file.map_err(|error| Failure::file("write", &path, &error))?;
        if !known.is_empty() && !known.ends_with(b"\n") {
            file.write_all(b"\n").map_err(|error| Failure::file("write", &path, &error))?;
        }
        Ok(Self { path, file, finished })
    }

    /// What the journal at a path knows, if there is one; nothing is begun.
    ///
    /// # Errors
    /// When it can't be read; a usage failure when something else is there.
    pub(super) fn known(path: &Path) -> Result<BTreeMap<Sha256Digest, Finished>, Failure> {
        rows(&bytes(path)?, path)
    }

    /// What is known of a row.
    pub(super) fn find(&self, row: &Sha256Digest) -> Option<&Finished> {
        self.finished.get(row)
    }

    /// Adds a finished row; it is on disk when this returns.
    ///
    /// # Errors
    /// When it can't be written.
    pub(super) fn add(&mut self, finished: Finished) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(&finished).map_err(|error| Failure::internal(error.to_string()))?;
        line.push(b'\n');
        let _guard = files::hold();
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        written.map_err(|error| Failure::file("write", &self.path, &error))?;
        self.finished.insert(finished.row, finished);
        Ok(())
    }
}

/// The bytes of a journal; none where there is none.
fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    match files::read(path, JOURNAL_BYTES_MAX) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Failure::file("read", path, &error)),
    }
}

/// Its rows.
fn rows(known: &[u8], path: &Path) -> Result<BTreeMap<Sha256Digest, Finished>, Failure> {
    let mut finished = BTreeMap::new();
    for line in known.split(|byte| *byte == b'\n') {
        match serde_json::from_slice::<Finished>(line) {
            Ok(row) => {
                finished.insert(row.row, row);
            }
            // It was cut short by a power cut: the row is done again, with the same result.
            Err(_) if is_torn(line) => {}
            Err(_) => {
                let message = format!(
                    "{} exists and is not the journal of a list; give the report another name with --report, which the \
                     journal's follows",
                    path.display()
                );
                return Err(Failure::usage(message));
            }
        }
    }
    Ok(finished)
}

/// Whether a line that does not read is the beginning of one that would.
fn is_torn(line: &[u8]) -> bool {
    const START: &[u8] = b"{\"row\":";
    let is_beginning = line.starts_with(START) || START.starts_with(line);
    is_beginning && serde_json::from_slice::<Value>(line).is_err()
}

/// A digest over the names, sizes and times of everything at a path. `None` when there is too much, or it can't be
/// looked at: then nothing is recognised.
pub(super) fn look(path: &Path) -> Option<Sha256Digest> {
    let mut seen = Vec::new();
    let mut open = vec![path.to_owned()];
    while let Some(at) = open.pop() {
        let metadata = fs::symlink_metadata(&at).ok()?;
        let metadata = if at == path { fs::metadata(&at).ok()? } else { metadata };
        let name = at.strip_prefix(path).unwrap_or(&at);
        let times = (metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec());
        if metadata.is_dir() {
            for entry in fs::read_dir(&at).ok()? {
                open.push(entry.ok()?.path());
            }
        } else {
            let target = if metadata.is_symlink() { fs::metadata(&at).ok() } else { None };
            let behind = target.map(|target| (target.ino(), target.size(), target.mtime(), target.mtime_nsec()));
            let name = HEXLOWER.encode(name.as_os_str().as_encoded_bytes());
            seen.push(format!("{name} {} {} {times:?} {behind:?}\n", metadata.ino(), metadata.size()));
        }
        if seen.len() > FILES_MAX || open.len() > FILES_MAX {
            return None;
        }
    }
    seen.sort();
    Some(Sha256Digest::of(seen.concat().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(name: &[u8]) -> Finished {
        Finished { row: Sha256Digest::of(name), files: Sha256Digest::of(b"f"), statement_id: StatementId::of(name) }
    }

    #[test]
    fn finished_rows_are_found_again_and_a_torn_line_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("j");
        let mut journal = Journal::open(path.clone()).unwrap();
        journal.add(finished(b"a")).unwrap();
        journal.add(finished(b"b")).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 9]).unwrap();
        let mut journal = Journal::open(path.clone()).unwrap();
        assert_eq!(journal.find(&Sha256Digest::of(b"a")), Some(&finished(b"a")));
        assert_eq!(journal.find(&Sha256Digest::of(b"b")), None);
        journal.add(finished(b"c")).unwrap();
        let journal = Journal::open(path).unwrap();
        assert_eq!(journal.find(&Sha256Digest::of(b"c")), Some(&finished(b"c")));
    }

    #[test]
    fn what_is_no_journal_is_not_written_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("l.rows.jsonl");
        let line = serde_json::to_string(&finished(b"a")).unwrap();
        let list = "{\"path\":\"a\",\"licence\":\"mit\"}\n";
        let row = "{\"row\":1,\"exit_code\":0}\n";
        for other in [list, row, "my thesis", &format!("{line}\n{list}")] {
            fs::write(&path, other).unwrap();
            let refused = Journal::open(path.clone()).map(drop).unwrap_err();
            assert_eq!(refused.exit, crate::exit::Exit::Usage, "{other}");
            assert_eq!(fs::read_to_string(&path).unwrap(), other);
        }
        for end in 0..line.len() {
            fs::write(&path, format!("{line}\n{}\n{line}\n", &line[..end])).unwrap();
            assert!(Journal::open(path.clone()).is_ok(), "torn at {end}");
        }
    }

    #[test]
    fn a_changed_file_does_not_look_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::create_dir(path.join("d")).unwrap();
        fs::write(path.join("d/f"), "one").unwrap();
        let before = look(path).unwrap();
        assert_eq!(look(path), Some(before));
        fs::write(path.join("d/f"), "two!").unwrap();
        assert_ne!(look(path), Some(before));
        assert_eq!(look(&path.join("missing")), None);
    }
}
