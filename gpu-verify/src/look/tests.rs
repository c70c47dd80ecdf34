//! A good model is read once and accepted; of a bad one, what differs is named, and nothing that changed meanwhile is judged.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chopmark_core::digest::Sha256Digest;
use chopmark_core::manifest::ExclusionProfile;
use tempfile::TempDir;

use super::*;
use crate::hasher::Window;
use crate::measure::{Purpose, measure};
use crate::portable::Portable;
use crate::progress::Silent;
use crate::rayon::Rayon;

const MIB: usize = 1 << 20;

static RUNNING: AtomicBool = AtomicBool::new(false);

fn options() -> MeasureOptions<'static> {
    MeasureOptions {
        exclusions: ExclusionProfile::V1,
        purpose: Purpose::Verify,
        file_name: None,
        revision: None,
        digests: DigestSelection { sha256: false, blake3: true, fsverity: false },
        keep_subtrees: true,
        memory: None,
        interrupted: &RUNNING,
    }
}

/// Two tensors of 2 MiB, bytes that are no weights, and a small file.
fn model() -> (TempDir, Manifest) {
    let directory = tempfile::tempdir().unwrap();
    let size = 2 * MIB;
    let json = format!(
        r#"{{"a":{{"dtype":"U8","shape":[{size}],"data_offsets":[0,{size}]}},"b":{{"dtype":"U8","shape":[{size}],"data_offsets":[{size},{}]}}}}"#,
        2 * size
    );
    let mut bytes = u64::try_from(json.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend_from_slice(json.as_bytes());
    bytes.extend((0..2 * size).map(|index| u8::try_from(index % 251).unwrap()));
    fs::write(directory.path().join("w.safetensors"), bytes).unwrap();
    fs::write(directory.path().join("w.bin"), vec![7; 3 * MIB]).unwrap();
    fs::write(directory.path().join("config.json"), "{}").unwrap();
    let options = MeasureOptions { purpose: Purpose::Register, ..options() };
    let manifest = measure(directory.path(), &options, &Silent, &Rayon::new(2).unwrap()).unwrap().manifest;
    (directory, manifest)
}

fn path(text: &str) -> FilePath {
    FilePath::parse(text).unwrap()
}

/// Counts what is read, and does something before the second look.
struct Watch<F> {
    read: AtomicU64,
    before_second: Mutex<Option<F>>,
}

impl<F: FnOnce() + Send> Watch<F> {
    fn new(before_second: F) -> Self {
        Self { read: AtomicU64::new(0), before_second: Mutex::new(Some(before_second)) }
    }
}

impl<F: FnOnce() + Send> Progress for Watch<F> {
    fn total(&self, files: u64, _size_bytes: u64) {
        if files == 0
            && let Some(meddle) = self.before_second.lock().unwrap().take()
        {
            meddle();
        }
    }

    fn bytes(&self, size_bytes: u64) {
        self.read.fetch_add(size_bytes, Ordering::Relaxed);
    }
}

/// Looks, and how many bytes that took.
fn looked(place: &Path, registered: &Manifest, seen: &mut Seen) -> (Looked, u64) {
    let watch = Watch::new(|| ());
    let looked = look(place, registered, &options(), seen, &watch, &Rayon::new(2).unwrap()).unwrap();
    (looked, watch.read.into_inner())
}

/// The manifest with the entry of the weights changed.
fn with(manifest: &Manifest, change: impl Fn(&mut FileEntry)) -> Manifest {
    let mut files = manifest.files().to_vec();
    files.iter_mut().filter(|file| file.weights.is_some()).for_each(change);
    Manifest::new(manifest.exclusions(), files).unwrap()
}

#[test]
fn a_good_model_is_read_once_and_by_blake3_alone() {
    let (directory, manifest) = model();
    let (found, read) = looked(directory.path(), &manifest, &mut Seen::default());
    assert!(found.difference.is_empty() && found.subtrees.is_empty(), "{found:?}");
    assert_eq!(found.by_blake3.len(), 3);
    assert_eq!(read, manifest.size_bytes());

    // Extra files are named and not read.
    fs::write(directory.path().join("extra.py"), "import os").unwrap();
    let (found, read) = looked(directory.path(), &manifest, &mut Seen::default());
    assert_eq!((found.difference.extra, read), (vec![path("extra.py")], manifest.size_bytes()));
}

#[test]
fn the_second_look_names_the_tensor_and_reads_nothing_but_the_file_that_differs() {
    let (directory, manifest) = model();
    let weights = directory.path().join("w.safetensors");
    let honest = fs::read(&weights).unwrap();
    for (at, tensor) in [(honest.len() - 1, "b"), (honest.len() - 2 * MIB - 1, "a"), (MIB, "a")] {
        let mut changed = honest.clone();
        changed[at] ^= 0x10;
        fs::write(&weights, &changed).unwrap();
        let mut seen = Seen::default();
        let (found, read) = looked(directory.path(), &manifest, &mut seen);
        let [change] = found.difference.changed.as_slice() else { panic!("{found:?}") };
        assert_eq!((change.path.as_str(), change.header_changed), ("w.safetensors", false));
        assert_eq!(change.actual.sha256, Sha256Digest::of(&changed));
        assert_eq!(change.tensors.iter().map(|tensor| &*tensor.name).collect::<Vec<_>>(), [tensor]);
        let differ = found.subtrees[&path("w.safetensors")].iter().zip(honest.chunks(MIB)).zip((0..).step_by(MIB));
        let differ: Vec<usize> = differ
            .filter(|((value, bytes), at)| {
                use blake3::hazmat::HasherExt as _;
                let mut state = blake3::Hasher::new();
                state.set_input_offset(u64::try_from(*at).unwrap()).update(bytes);
                state.finalize_non_root() != **value
            })
            .map(|(_, at)| at)
            .collect();
        assert_eq!(differ, [at / MIB * MIB], "the values that are kept say which MiB");
        assert_eq!((found.by_blake3.len(), read), (2, manifest.size_bytes() + crate::size_bytes(&changed)));
        // Another manifest costs no further reading.
        let measured = measure(directory.path(), &options(), &Silent, &Rayon::new(1).unwrap()).unwrap().manifest;
        let (again, read) = looked(directory.path(), &measured, &mut seen);
        assert!(again.difference.is_empty() && read == 0, "{again:?}");
    }

    // Other sizes are known to differ before anything is read; what is not there is missing.
    fs::write(&weights, &honest[..honest.len() - 1]).unwrap();
    fs::remove_file(directory.path().join("config.json")).unwrap();
    let (found, read) = looked(directory.path(), &manifest, &mut Seen::default());
    assert!(found.difference.changed[0].found_unreadable.is_some(), "{found:?}");
    assert_eq!((found.difference.missing, read), (vec![path("config.json")], manifest.size_bytes() - 3));
}

#[test]
fn what_was_registered_of_a_header_has_to_hold_as_well() {
    let (directory, manifest) = model();
    let lies: [fn(&mut FileEntry); 3] = [
        |file| file.weights.as_mut().unwrap().header_blake3 = Blake3Digest::of(b""),
        |file| file.weights.as_mut().unwrap().tensors[1].name = "c".to_owned(),
        |file| file.weights.as_mut().unwrap().tensors[1].shape = vec![2, u64::try_from(MIB).unwrap()],
    ];
    for lie in lies {
        let lying = with(&manifest, lie);
        let (found, _) = looked(directory.path(), &lying, &mut Seen::default());
        let [change] = found.difference.changed.as_slice() else { panic!("{found:?}") };
        assert_eq!((&change.actual, change.path.as_str()), (&change.expected, "w.safetensors"));
    }
}

/// Of equal bytes; only who computes everything finds out.
#[test]
fn a_strict_look_computes_everything_that_was_registered() {
    let (directory, manifest) = model();
    let strict = MeasureOptions { digests: DigestSelection::MANIFEST, ..options() };
    let engine = Rayon::new(2).unwrap();
    let strictly = |manifest: &Manifest| {
        look(directory.path(), manifest, &strict, &mut Seen::default(), &Silent, &engine).unwrap()
    };
    let true_one = strictly(&manifest);
    assert!(true_one.difference.changed.is_empty() && true_one.by_blake3.is_empty(), "{true_one:?}");
    let lies: [fn(&mut FileEntry); 2] = [
        |file| file.sha256 = Sha256Digest::of(b""),
        |file| file.weights.as_mut().unwrap().tensors[1].blake3 = Blake3Digest::of(b""),
    ];
    for lie in lies {
        let lying = with(&manifest, lie);
        let (accepted, _) = looked(directory.path(), &lying, &mut Seen::default());
        assert!(accepted.difference.changed.is_empty(), "{accepted:?}");
        let found = strictly(&lying);
        let [change] = found.difference.changed.as_slice() else { panic!("{found:?}") };
        assert_eq!(change.path.as_str(), "w.safetensors");
    }
}

/// Gives one wrong value, of which no sample tells.
struct WrongOnce(AtomicBool);

impl Hasher for WrongOnce {
    fn name(&self) -> &'static str {
        "wrong once"
    }
    fn window_size_bytes(&self) -> usize {
        Portable.window_size_bytes()
    }
    fn files_in_parallel(&self) -> usize {
        1
    }
    fn subtrees(&self, window: Window<'_>) -> Vec<ChainingValue> {
        let mut values = Portable.subtrees(window);
        if !self.0.swap(true, Ordering::Relaxed) {
            values[0][0] ^= 1;
        }
        values
    }
    fn roots(&self, files: &[&[u8]]) -> Vec<Blake3Digest> {
        Portable.roots(files)
    }
    fn verity_leaves(&self, bytes: &[u8]) -> Vec<Sha256Digest> {
        Portable.verity_leaves(bytes)
    }
    fn extend(&self, state: &mut blake3::Hasher, bytes: &[u8]) {
        Portable.extend(state, bytes);
    }
    fn both(&self, first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
        Portable.both(first, second);
    }
    fn fully_checked(&self) -> Option<&dyn Hasher> {
        Some(&Portable)
    }
}

#[test]
fn two_digests_of_an_unchanged_file_are_the_engines_fault() {
    let (directory, manifest) = model();
    let engine = WrongOnce(AtomicBool::new(false));
    let fault = look(directory.path(), &manifest, &options(), &mut Seen::default(), &Silent, &engine).unwrap_err();
    assert_eq!(fault.code(), "engine_fault", "{fault}");
}

#[test]
fn a_file_that_changes_between_the_looks_is_not_judged() {
    type Meddle = fn(PathBuf);
    let meddlers: [(&str, Meddle); 4] = [
        ("repaired", |path| fs::write(path, vec![7; 3 * MIB]).unwrap()),
        ("changed again", |path| fs::write(path, vec![9; 3 * MIB]).unwrap()),
        ("longer", |path| fs::write(path, vec![8; 4 * MIB]).unwrap()),
        ("gone", |path| fs::remove_file(path).unwrap()),
    ];
    for (how, meddle) in meddlers {
        let (directory, manifest) = model();
        let changing = directory.path().join("w.bin");
        fs::write(&changing, vec![8; 3 * MIB]).unwrap();
        let watch = Watch::new(|| meddle(changing.clone()));
        let looked =
            look(directory.path(), &manifest, &options(), &mut Seen::default(), &watch, &Rayon::new(2).unwrap());
        let fault = looked.unwrap_err();
        assert!(fault.code() == "file_changed" && fault.to_string().contains("w.bin"), "{how}: {fault}");
    }

    // With the same time stamps all the same: the first look saw something else.
    let (directory, manifest) = model();
    fs::write(directory.path().join("w.bin"), vec![8; 3 * MIB]).unwrap();
    let mut seen = Seen::default();
    looked(directory.path(), &manifest, &mut seen);
    let file = seen.0.get_mut(&path("w.bin")).unwrap();
    (file.blake3, file.whole) = (Some(Blake3Digest::of(b"")), None);
    let fault = look(directory.path(), &manifest, &options(), &mut seen, &Silent, &Rayon::new(2).unwrap()).unwrap_err();
    assert_eq!(fault.code(), "file_changed");
}
