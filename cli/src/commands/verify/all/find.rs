//! Which models lie below a directory, which bundles are theirs, and which files belong to none.
//!
//! A name decides, never content: `NAME.chop` beside NAME is the bundle of NAME. Links are not followed. The rules
//! are those of `docs/batch-verification.md`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use chopmark_core::sidecar::SIDECAR_ENDING;
use chopmark_gpu_verify::CachedRepository;

use crate::exit::{Exit, Failure};

/// Most entries below the directory that are looked at: ten models of the largest kind a manifest can hold.
const ENTRIES_MAX: u64 = 1_000_000;
/// Deepest directory that is looked into; files in a manifest may lie as deep.
const DEPTH_MAX: usize = 64;

/// Endings of the files that a directory or file is taken for a model by, where there is no bundle to say so.
const WEIGHT_ENDINGS: [&str; 14] = [
    ".safetensors",
    ".gguf",
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".pkl",
    ".onnx",
    ".h5",
    ".keras",
    ".tflite",
    ".npz",
    ".msgpack",
    ".mlmodel",
];
/// Files that only the top directory of a model has.
const CONFIGURATIONS: [&str; 2] = ["config.json", "model_index.json"];

/// What lies below a directory.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Models, by path.
    pub(super) models: Vec<Model>,
    /// Files that belong to no model, by path.
    pub(super) strays: Vec<PathBuf>,
    /// What was not looked at, and why.
    pub(super) unseen: Vec<Unseen>,
}

/// A model and the bundles that may prove it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Model {
    /// Where it lies.
    pub(super) path: PathBuf,
    /// How it lies there.
    pub(super) kind: Kind,
    /// Its bundles, the one beside it first.
    pub(super) bundles: Vec<PathBuf>,
    /// Its files.
    pub(super) files: u64,
    /// Their size in bytes, as far as it could be seen.
    pub(super) size_bytes: u64,
}

/// How a model lies on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A directory.
    Directory,
    /// A repository in a Hugging Face cache.
    Cached,
    /// A single file.
    File,
    /// Nothing but a bundle: what it proves is gone.
    Missing,
}

impl Kind {
    /// Its word in a report.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Cached => "cached_repository",
            Self::File => "file",
            Self::Missing => "missing",
        }
    }
}

/// A place that was not looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unseen {
    /// The place.
    pub(super) path: PathBuf,
    /// Why.
    pub(super) reason: String,
    /// Models may lie there that nobody verified.
    pub(super) is_fault: bool,
}

/// Finds the models below `directory`.
///
/// # Errors
/// A usage failure when it can't be listed at all or holds too much; an interruption.
pub(super) fn find(directory: &Path, interrupted: &AtomicBool) -> Result<Found, Failure> {
    let top = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    let mut walk = Walk { found: Found::default(), top, entries: 0, interrupted };
    let top = walk.list(directory)?.map_err(|error| {
        Failure::usage(format!("{} can't be listed: {error}; name a directory of models", directory.display()))
    })?;
    walk.collection(directory, &top, 0)?;
    let mut found = walk.found;
    found.models.sort_by(|a, b| a.path.cmp(&b.path));
    found.strays.sort();
    found.unseen.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// What an entry of a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Directory,
    File {
        size_bytes: u64,
    },
    /// A link to anything.
    Link,
    /// Pipes, sockets, devices.
    Other,
}

type Entries = BTreeMap<OsString, Entry>;

struct Walk<'a> {
    found: Found,
    /// Where the walk began, without links.
    top: PathBuf,
    entries: u64,
    interrupted: &'a AtomicBool,
}

impl Walk<'_> {
    /// The entries of a directory; the inner error is the system's.
    fn list(&mut self, directory: &Path) -> Result<io::Result<Entries>, Failure> {
        let mut entries = Entries::new();
        let listed = match fs::read_dir(directory) {
            Ok(listed) => listed,
            Err(error) => return Ok(Err(error)),
        };
        for entry in listed {
            if self.interrupted.load(Ordering::Relaxed) {
                return Err(Failure::interrupted());
            }
            self.entries = self.entries.saturating_add(1);
            if self.entries > ENTRIES_MAX {
                let message = format!("more than {ENTRIES_MAX} files lie below it; verify its parts one by one");
                return Err(Failure::new(Exit::CouldNotCheck, "too_many_files", message));
            }
            let found = entry.and_then(|entry| {
                let found = entry.metadata()?;
                let kind = match found.file_type() {
                    kind if kind.is_dir() => Entry::Directory,
                    kind if kind.is_file() => Entry::File { size_bytes: found.len() },
                    kind if kind.is_symlink() => Entry::Link,
                    _ => Entry::Other,
                };
                Ok((entry.file_name(), kind))
            });
            match found {
                Ok((name, kind)) => {
                    entries.insert(name, kind);
                }
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(entries))
    }

    /// Goes through a directory that is no model itself.
    fn collection(&mut self, directory: &Path, entries: &Entries, depth: usize) -> Result<(), Failure> {
        let mut beside = bundles(directory, entries);
        for (name, kind) in entries {
            let path = directory.join(name);
            let own = beside.remove(name).unwrap_or_default();
            match kind {
                Entry::Directory => self.directory(path, own, depth)?,
                Entry::File { .. } if own.is_empty() && (is_bundle(name) || is_sidecar(name, entries)) => {}
                Entry::File { size_bytes } if !own.is_empty() || is_weight(name) => {
                    let size_bytes = *size_bytes;
                    self.found.models.push(Model { path, kind: Kind::File, bundles: own, files: 1, size_bytes });
                }
                Entry::File { .. } => self.found.strays.push(path),
                Entry::Link if own.is_empty() => {
                    let leads_out = self.leads_out(&path);
                    self.unseen(path, "a link, which is not followed", leads_out);
                }
                Entry::Other if own.is_empty() => self.unseen(path, "a special file, which is not read", false),
                // Its own verification says what is wrong with it.
                Entry::Link | Entry::Other => {
                    self.found.models.push(Model { path, kind: Kind::File, bundles: own, files: 0, size_bytes: 0 });
                }
            }
        }
        for (name, bundles) in beside {
            let path = directory.join(name);
            self.found.models.push(Model { path, kind: Kind::Missing, bundles, files: 0, size_bytes: 0 });
        }
        Ok(())
    }

    /// Whether a link leads to what is not looked at anyway: to something, and out of the directory the walk began in.
    fn leads_out(&self, link: &Path) -> bool {
        match link.canonicalize() {
            Ok(target) => !target.starts_with(&self.top),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Looks at a directory in one that is no model.
    fn directory(&mut self, path: PathBuf, mut own: Vec<PathBuf>, depth: usize) -> Result<(), Failure> {
        if depth >= DEPTH_MAX {
            self.unseen(path, "deeper than any model may lie", true);
            return Ok(());
        }
        let entries = match self.list(&path)? {
            Ok(entries) => entries,
            Err(error) if own.is_empty() => {
                self.unseen(path, &error.to_string(), true);
                return Ok(());
            }
            Err(_) => {
                self.found.models.push(Model { path, kind: Kind::Directory, bundles: own, files: 0, size_bytes: 0 });
                return Ok(());
            }
        };
        let inside = bundles(&path, &entries);
        let is_collection = inside.keys().any(|name| entries.contains_key(name));
        let kind = if CachedRepository::at(&path).is_some() { Kind::Cached } else { Kind::Directory };
        let has_files = entries.iter().any(|(name, kind)| *kind != Entry::Directory && !is_bundle(name));
        let is_model = !own.is_empty()
            || kind == Kind::Cached
            || !is_collection && (is_model_directory(&entries) || !inside.is_empty() && has_files);
        if !is_model {
            return self.collection(&path, &entries, depth.saturating_add(1));
        }
        if !is_collection {
            own.extend(inside.into_values().flatten());
        }
        let (files, size_bytes) = self.size(&path, entries, kind)?;
        self.found.models.push(Model { path, kind, bundles: own, files, size_bytes });
        Ok(())
    }

    /// Number and size of the files below a model's directory, for the progress shown; what can't be listed counts
    /// nothing.
    fn size(&mut self, path: &Path, entries: Entries, kind: Kind) -> Result<(u64, u64), Failure> {
        let (mut files, mut size_bytes) = (0_u64, 0_u64);
        let mut open = vec![(path.to_owned(), entries)];
        while let Some((directory, entries)) = open.pop() {
            for (name, entry) in entries {
                match entry {
                    Entry::File { .. } if is_bundle(&name) => {}
                    Entry::File { size_bytes: more } => {
                        files = files.saturating_add(1);
                        size_bytes = size_bytes.saturating_add(more);
                    }
                    // Snapshots hold links to what lies in `blobs`.
                    Entry::Directory if kind == Kind::Cached && name == "snapshots" => {}
                    Entry::Directory => {
                        let below = directory.join(&name);
                        if let Ok(entries) = self.list(&below)? {
                            open.push((below, entries));
                        }
                    }
                    Entry::Link | Entry::Other => {}
                }
            }
        }
        Ok((files, size_bytes))
    }

    fn unseen(&mut self, path: PathBuf, reason: &str, is_fault: bool) {
        self.found.unseen.push(Unseen { path, reason: reason.to_owned(), is_fault });
    }
}

/// The bundles in a directory, by the name of what each is a bundle of.
fn bundles(directory: &Path, entries: &Entries) -> BTreeMap<OsString, Vec<PathBuf>> {
    let mut bundles: BTreeMap<OsString, Vec<PathBuf>> = BTreeMap::new();
    for (name, kind) in entries {
        if *kind == Entry::Directory || !is_bundle(name) {
            continue;
        }
        let Some(of) = Path::new(name).file_stem() else { continue };
        let of = if entries.contains_key(of) { of.to_owned() } else { cached(of, entries).unwrap_or(of.to_owned()) };
        bundles.entry(of).or_default().push(directory.join(name));
    }
    bundles
}

/// The repository in a cache that is called NAME: `models--org--NAME`, if just one is.
fn cached(name: &OsStr, entries: &Entries) -> Option<OsString> {
    let ending = format!("--{}", name.to_str()?);
    let is_of = |entry: &&OsString| {
        let text = entry.to_str().unwrap_or_default();
        (text.starts_with("models--") || text.starts_with("datasets--")) && text.ends_with(&ending)
    };
    let mut repositories = entries.keys().filter(is_of);
    let first = repositories.next()?;
    repositories.next().is_none().then(|| first.clone())
}

fn is_bundle(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    bytes.len() > ".chop".len() && bytes.ends_with(b".chop")
}

/// Whether it is the sidecar of something here: of what it is named after, or of that one's bundle.
fn is_sidecar(name: &OsStr, entries: &Entries) -> bool {
    let path = Path::new(name);
    let has_ending =
        path.extension().is_some_and(|ending| SIDECAR_ENDING.strip_prefix('.').is_some_and(|is| ending == is));
    has_ending
        && path
            .file_stem()
            .is_some_and(|of| entries.contains_key(of) || entries.contains_key(path.with_extension("chop").as_os_str()))
}

fn is_weight(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_lowercase();
    WEIGHT_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Whether a directory holds what models hold.
fn is_model_directory(entries: &Entries) -> bool {
    entries.iter().any(|(name, kind)| {
        *kind != Entry::Directory
            && (is_weight(name) || CONFIGURATIONS.iter().any(|configuration| name == configuration))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            let path = directory.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "12345").unwrap();
        }
        directory
    }

    /// Each model as `path (kind): bundles`.
    fn models(directory: &Path, found: &Found) -> Vec<String> {
        let below = |path: &Path| path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
        let describe = |model: &Model| {
            let bundles: Vec<_> = model.bundles.iter().map(|bundle| below(bundle)).collect();
            format!("{} ({}): {}", below(&model.path), model.kind.word(), bundles.join(" "))
        };
        found.models.iter().map(describe).collect()
    }

    #[test]
    fn bundles_belong_to_what_they_are_named_after() {
        let directory = tree(&[
            "a/model.safetensors",
            "a.chop",
            "org/b/config.json",
            "org/b/nested/w.bin",
            "org/b/b-1.chop",
            "org/b/b-2.chop",
            "tool-1.0.tar.gz",
            "tool-1.0.tar.gz.chop",
            "loose.gguf",
            "README.md",
            "a.b3tree",
            "other.b3tree",
            "gone.chop",
            "gguf/x.gguf",
            "gguf/x.gguf.chop",
            "gguf/y.gguf",
            "docs/notes.txt",
            "diffusion/model_index.json",
            "diffusion/unet/w.safetensors",
            "registered/deep/data.csv",
            "registered.chop",
            ".chop",
        ]);
        symlink("a", directory.path().join("link")).unwrap();
        symlink("nowhere", directory.path().join("loose-end")).unwrap();
        let outside = tree(&["w.gguf"]);
        symlink(outside.path(), directory.path().join("out")).unwrap();
        let found = find(directory.path(), &AtomicBool::new(false)).unwrap();
        assert_eq!(
            models(directory.path(), &found),
            [
                "a (directory): a.chop",
                "diffusion (directory): ",
                "gguf/x.gguf (file): gguf/x.gguf.chop",
                "gguf/y.gguf (file): ",
                "gone (missing): gone.chop",
                "loose.gguf (file): ",
                "org/b (directory): org/b/b-1.chop org/b/b-2.chop",
                "registered (directory): registered.chop",
                "tool-1.0.tar.gz (file): tool-1.0.tar.gz.chop",
            ]
        );
        let strays: Vec<_> = found.strays.iter().map(|path| path.strip_prefix(directory.path()).unwrap()).collect();
        assert_eq!(strays, [".chop", "README.md", "docs/notes.txt", "other.b3tree"].map(Path::new));
        let unseen: Vec<_> = found.unseen.iter().map(|unseen| (unseen.path.file_name(), unseen.is_fault)).collect();
        let faults = [("link", false), ("loose-end", false), ("out", true)];
        assert_eq!(unseen, faults.map(|(name, is_fault)| (Some(OsStr::new(name)), is_fault)));
        let sizes: Vec<_> = found.models.iter().map(|model| (model.files, model.size_bytes)).collect();
        assert_eq!(sizes[0], (1, 5));
        assert_eq!(sizes[6], (2, 10), "bundles do not count");
    }

    #[test]
    fn what_ends_like_a_bundle_or_a_sidecar_is_a_model_where_a_bundle_says_so() {
        let directory =
            tree(&["w.gguf", "w.gguf.chop", "w.gguf.b3tree", "w.gguf.b3tree.chop", "b.chop", "b.chop.chop"]);
        let found = find(directory.path(), &AtomicBool::new(false)).unwrap();
        assert_eq!(
            models(directory.path(), &found),
            [
                "b (missing): b.chop",
                "b.chop (file): b.chop.chop",
                "w.gguf (file): w.gguf.chop",
                "w.gguf.b3tree (file): w.gguf.b3tree.chop",
            ]
        );
    }

    #[test]
    fn cached_repositories_are_models() {
        let commit = "0123456789012345678901234567890123456789";
        let directory = tree(&["models--lam--tiny/blobs/abc", "tiny.chop"]);
        let snapshot = directory.path().join("models--lam--tiny/snapshots").join(commit);
        fs::create_dir_all(&snapshot).unwrap();
        symlink("../../blobs/abc", snapshot.join("model.safetensors")).unwrap();
        let found = find(directory.path(), &AtomicBool::new(false)).unwrap();
        assert_eq!(models(directory.path(), &found), ["models--lam--tiny (cached_repository): tiny.chop"]);
        assert_eq!(found.models[0].size_bytes, 5);
    }

    #[test]
    fn a_place_that_is_no_directory_is_refused_and_an_interruption_stops() {
        let directory = tree(&["file"]);
        let failure = find(&directory.path().join("file"), &AtomicBool::new(false)).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(find(directory.path(), &AtomicBool::new(true)).unwrap_err().exit, Exit::Interrupted);
    }
}
