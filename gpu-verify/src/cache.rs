//! Repositories in the Hugging Face cache: which revision is meant, and which links of it may be followed.
//!
//! Layout (`huggingface_hub`, "Understand caching"): `models--org--name/` holds `blobs/<etag>`, `refs/<name>` with a commit,
//! and `snapshots/<commit>/…`, whose files are links to `../../blobs/<etag>`. No other link is followed anywhere.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Dir, readlinkat};

use crate::error::MeasureError;
use crate::open::Root;

/// Longest file in `refs`: a commit and a line end.
const REF_SIZE_BYTES_MAX: u64 = 128;
/// Most snapshots that are looked at when none was asked for.
const SNAPSHOTS_MAX: usize = 1000;

/// What a repository in the cache holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepositoryKind {
    /// `models--…`.
    Model,
    /// `datasets--…`.
    Dataset,
}

/// A repository in the cache, or one snapshot of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedRepository {
    /// What it holds.
    pub kind: RepositoryKind,
    /// The last part of its name: `name` for `models--org--name`.
    pub name: String,
    /// The commit, where the path is that of a snapshot.
    pub snapshot: Option<String>,
    /// The directory with `blobs` and `snapshots`.
    path: PathBuf,
}

impl CachedRepository {
    /// The repository whose directory, or snapshot, is at `path`; `None` for every other place.
    pub fn at(path: &Path) -> Option<Self> {
        let whole = path.canonicalize().ok()?;
        let name_of = |path: &Path| path.file_name().and_then(OsStr::to_str).map(str::to_owned);
        let (directory, snapshot) = match (whole.parent(), name_of(&whole)) {
            (Some(parent), Some(name)) if is_commit(&name) && parent.ends_with("snapshots") => {
                (parent.parent()?.to_owned(), Some(name))
            }
            _ => (whole, None),
        };
        let text = name_of(&directory)?;
        let (kind, id) = match text.split_once("--")? {
            ("models", id) => (RepositoryKind::Model, id),
            ("datasets", id) => (RepositoryKind::Dataset, id),
            _ => return None,
        };
        let name = id.rsplit("--").next().filter(|name| !name.is_empty())?.to_owned();
        let is_whole = directory.join("snapshots").is_dir() && directory.join("blobs").is_dir();
        is_whole.then_some(Self { kind, name, snapshot, path: directory })
    }

    /// Opens the repository and decides on a commit: the snapshot named by the path, or `asked` (a commit or a name in
    /// `refs`), or else `main`, or else the only one there is.
    pub(crate) fn open(&self, asked: Option<&str>) -> Result<(Root, String), MeasureError> {
        let root = Root::open(&self.path)?;
        let chosen = match (asked, &self.snapshot) {
            (None, Some(commit)) => commit.clone(),
            (Some(asked), _) => self.named(&root, asked)?.ok_or_else(|| self.unknown(asked))?,
            (None, None) => match self.named(&root, "main")? {
                Some(commit) => commit,
                None => self.only(&root)?,
            },
        };
        if self.snapshot.as_ref().is_some_and(|commit| *commit != chosen) {
            return Err(self.refuse("--revision names another snapshot than the path; leave one of them out"));
        }
        Ok((root, chosen))
    }

    /// The commit that a text names, if there is a snapshot of it.
    fn named(&self, root: &Root, text: &str) -> Result<Option<String>, MeasureError> {
        let is_there = |commit: &str| self.path.join("snapshots").join(commit).is_dir();
        if is_commit(text) {
            return Ok(is_there(text).then(|| text.to_owned()));
        }
        let below = Path::new("refs").join(text);
        if !below.components().all(|step| matches!(step, Component::Normal(_))) || !self.path.join(&below).is_file() {
            return Ok(None);
        }
        let mut commit = String::new();
        File::from(root.open_file(&below)?)
            .take(REF_SIZE_BYTES_MAX)
            .read_to_string(&mut commit)
            .map_err(|source| MeasureError::Unreadable { path: root.shown(&below), source })?;
        let commit = commit.trim_ascii();
        if !is_commit(commit) {
            return Err(self.refuse(format!("{} does not hold a commit", below.display())));
        }
        if !is_there(commit) {
            return Err(self.refuse(format!("{text} is {commit}, of which there is no snapshot; download it again")));
        }
        Ok(Some(commit.to_owned()))
    }

    fn only(&self, root: &Root) -> Result<String, MeasureError> {
        let path = Path::new("snapshots");
        let unreadable =
            |errno: rustix::io::Errno| MeasureError::Unreadable { path: root.shown(path), source: errno.into() };
        let mut commits = Vec::new();
        for entry in Dir::read_from(root.open_directory(path)?).map_err(unreadable)?.take(SNAPSHOTS_MAX) {
            let entry = entry.map_err(unreadable)?;
            commits.extend(entry.file_name().to_str().ok().filter(|name| is_commit(name)).map(str::to_owned));
        }
        match commits.as_slice() {
            [only] => Ok(only.clone()),
            [] => Err(self.refuse("it holds no snapshot; download it again")),
            _ => Err(self.refuse("it has no `main` and several snapshots; choose one with --revision")),
        }
    }

    fn unknown(&self, asked: &str) -> MeasureError {
        self.refuse(format!("it has neither a name nor a snapshot {asked:?}; look into its `refs` and `snapshots`"))
    }

    fn refuse(&self, reason: impl Into<String>) -> MeasureError {
        MeasureError::Revision { path: self.path.clone(), reason: reason.into() }
    }
}

/// A commit as the hub names it: 40 hexadecimal characters, or 64 where git uses SHA-256.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Where a link leads that lies `below` the repository, in the open `directory`: a blob beside its snapshot and nothing
/// else. Whether there is a file remains to be seen.
pub(crate) fn blob(root: &Root, directory: impl AsFd, below: &Path) -> Result<PathBuf, MeasureError> {
    let link = |reason| MeasureError::CacheLink { path: root.shown(below), reason };
    let name = below.file_name().unwrap_or_default();
    let target = readlinkat(directory, name, Vec::new())
        .map_err(|errno| MeasureError::Unreadable { path: root.shown(below), source: errno.into() })?;
    let target = Path::new(OsStr::from_bytes(target.as_bytes()));
    let up = below.components().count().saturating_sub(1);
    let mut steps = target.components();
    let goes_up = steps.by_ref().take(up).filter(|step| *step == Component::ParentDir).count() == up;
    match (goes_up, steps.next(), steps.next(), steps.next()) {
        (true, Some(Component::Normal(blobs)), Some(Component::Normal(etag)), None) if blobs == "blobs" => {
            Ok(Path::new("blobs").join(etag))
        }
        _ => Err(link("does not lead to a file directly in the `blobs` of its own repository")),
    }
}

#[cfg(test)]
mod tests;
