//! Every way of reading files gives the digests of their bytes, and notices a file that changes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use blake3::hazmat::HasherExt as _;
use chopmark_core::digest::{Blake3Digest, Sha256Digest};
use chopmark_core::manifest::ExclusionProfile;
use tempfile::TempDir;

use crate::digests::{DigestKind, DigestSelection};
use crate::error::MeasureError;
use crate::hasher::Hasher;
use crate::measure::{Hashed, MeasureOptions, Purpose, hash_files};
use crate::portable::Portable;
use crate::progress::{Progress, Silent};
use crate::rayon::Rayon;
use crate::verity::FsverityDigest;
use crate::{SUBTREE_SIZE_BYTES, size_bytes};

const BLAKE3: DigestSelection = DigestSelection { sha256: false, blake3: true, fsverity: false };
const SHA256: DigestSelection = DigestSelection { sha256: true, blake3: false, fsverity: false };
const ALL: DigestSelection = DigestSelection { sha256: true, blake3: true, fsverity: true };

static RUNNING: AtomicBool = AtomicBool::new(false);

fn options(digests: DigestSelection) -> MeasureOptions<'static> {
    MeasureOptions {
        exclusions: ExclusionProfile::None,
        purpose: Purpose::Verify,
        file_name: None,
        revision: None,
        digests,
        keep_subtrees: true,
        memory: None,
        interrupted: &RUNNING,
    }
}

fn hashed(
    path: &Path,
    digests: DigestSelection,
    progress: &dyn Progress,
    hasher: &dyn Hasher,
) -> Result<Hashed, MeasureError> {
    hash_files(path, &options(digests), progress, hasher)
}

/// Bytes that differ from file to file and within each.
fn content(seed: usize, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn directory(lengths: &[usize]) -> (TempDir, Vec<(PathBuf, Vec<u8>)>) {
    let directory = tempfile::tempdir().unwrap();
    let files = lengths.iter().enumerate().map(|(seed, length)| {
        let (path, bytes) = (directory.path().join(format!("{seed:05}.bin")), content(seed, *length));
        fs::write(&path, &bytes).unwrap();
        (path, bytes)
    });
    let files = files.collect();
    (directory, files)
}

/// The digest by the definition, from the whole file at once.
fn fsverity(bytes: &[u8]) -> FsverityDigest {
    let mut tree = crate::verity::VerityTree::default();
    for leaf in bytes.chunks(4096) {
        tree.push(crate::hasher::verity_leaf(leaf));
    }
    tree.finish(size_bytes(bytes))
}

#[test]
fn every_selection_of_every_engine_gives_the_digests_of_the_bytes() {
    const MIB: usize = SUBTREE_SIZE_BYTES;
    // Batches, pairs of unequal length, parts, and a file that is alone at the end.
    let lengths = [
        0,
        1,
        4095,
        4096,
        4097,
        MIB - 1,
        MIB,
        MIB + 1,
        2 * MIB,
        3 * MIB + 5,
        8 * MIB - 1,
        8 * MIB,
        8 * MIB + 1,
        19 * MIB + 77,
        0,
        70_000,
        524_288,
        524_289,
        2 * MIB + 1,
        2 * MIB + 64,
    ];
    let (root, files) = directory(&lengths);
    let one = Rayon::new(1).unwrap();
    let three = Rayon::new(3).unwrap();
    let many = Rayon::new(9).unwrap();
    let engines: [&dyn Hasher; 4] = [&Portable, &one, &three, &many];
    for selection in 1..8_u8 {
        let kinds = DigestKind::ALL.into_iter().enumerate().filter(|(bit, _)| selection >> bit & 1 == 1);
        let digests: DigestSelection = kinds.map(|(_, kind)| kind).collect();
        for engine in engines {
            let found = hashed(root.path(), digests, &Silent, engine).unwrap();
            assert_eq!(found.files.len(), files.len());
            for (file, (path, bytes)) in found.files.iter().zip(&files) {
                let place = format!("{} {digests:?} {}", engine.name(), bytes.len());
                assert!(path.ends_with(file.path.as_str()), "{place}");
                assert_eq!(file.size_bytes, size_bytes(bytes), "{place}");
                assert_eq!(file.digests.sha256, digests.sha256.then(|| Sha256Digest::of(bytes)), "{place}");
                assert_eq!(file.digests.blake3, digests.blake3.then(|| Blake3Digest::of(bytes)), "{place}");
                assert_eq!(file.digests.fsverity, digests.fsverity.then(|| fsverity(bytes)), "{place}");
                let expected = (digests.blake3 && bytes.len() > MIB).then(|| {
                    bytes.chunks(MIB).zip((0..).step_by(MIB)).map(|(subtree, offset_bytes): (_, u64)| {
                        blake3::Hasher::new().set_input_offset(offset_bytes).update(subtree).finalize_non_root()
                    })
                });
                assert_eq!(file.subtrees, expected.into_iter().flatten().collect::<Vec<_>>(), "{place}");
            }
        }
    }
}

#[test]
fn thousands_of_small_files_keep_their_own_digests() {
    let lengths: Vec<usize> = (0..3000).map(|index| index * 7919 % 3000).collect();
    let (root, files) = directory(&lengths);
    let engines: [&dyn Hasher; 2] = [&Portable, &Rayon::new(3).unwrap()];
    for engine in engines {
        let found = hashed(root.path(), ALL, &Silent, engine).unwrap();
        assert_eq!(found.files.len(), files.len());
        for (file, (path, bytes)) in found.files.iter().zip(&files) {
            assert!(path.ends_with(file.path.as_str()));
            assert_eq!(file.digests.sha256, Some(Sha256Digest::of(bytes)));
            assert_eq!(file.digests.blake3, Some(Blake3Digest::of(bytes)));
            assert_eq!(file.digests.fsverity, Some(fsverity(bytes)));
        }
    }
}

/// Does something when the first bytes were read.
struct Meddle<F>(Mutex<Option<F>>);

impl<F: FnOnce() + Send> Progress for Meddle<F> {
    fn bytes(&self, _size_bytes: u64) {
        if let Some(meddle) = self.0.lock().unwrap().take() {
            meddle();
        }
    }
}

#[test]
fn a_file_that_changes_is_noticed_in_parts_and_in_pairs() {
    type MeddleWith = fn(&File);
    let meddlers: [(&str, MeddleWith); 3] = [
        ("shorter", |file| file.set_len(10).unwrap()),
        ("longer", |file| file.set_len(100 << 20).unwrap()),
        ("size or time", |file| file.set_modified(SystemTime::now()).unwrap()),
    ];
    for (how, meddle) in meddlers {
        for (digests, count) in [(BLAKE3, 1), (SHA256, 1), (SHA256, 6), (ALL, 6)] {
            let (root, files) = directory(&vec![20 << 20; count]);
            for (path, _) in &files {
                File::open(path).unwrap().set_modified(SystemTime::now() - Duration::from_hours(1)).unwrap();
            }
            let open: Vec<File> =
                files.iter().map(|(path, _)| File::options().write(true).open(path).unwrap()).collect();
            let progress = Meddle(Mutex::new(Some(move || open.iter().for_each(meddle))));
            let fault = hashed(root.path(), digests, &progress, &Rayon::new(2).unwrap()).unwrap_err();
            assert_eq!(fault.code(), "file_changed", "{how} {digests:?} {count}");
            assert!(fault.to_string().contains(how), "{fault}");
        }
    }
}

#[test]
fn a_file_of_another_size_than_listed_has_the_digests_of_what_was_opened() {
    struct Resize(PathBuf, usize);
    impl Progress for Resize {
        fn file(&self, _path: &str) {
            if fs::metadata(&self.0).unwrap().len() != u64::try_from(self.1).unwrap() {
                fs::write(&self.0, content(1, self.1)).unwrap();
            }
        }
    }
    for digests in [BLAKE3, SHA256, ALL] {
        for (listed, opened) in
            [(100, 3 << 20), (100, 200), (3 << 20, 100), (3 << 20, 0), (0, 9 << 20), (2 << 20, 9 << 20)]
        {
            let engines: [&dyn Hasher; 2] = [&Portable, &Rayon::new(2).unwrap()];
            for engine in engines {
                let (root, files) = directory(&[listed]);
                let progress = Resize(files[0].0.clone(), opened);
                let found = hashed(root.path(), digests, &progress, engine).unwrap();
                let (file, bytes) = (&found.files[0], content(1, opened));
                let place = format!("{digests:?} {listed} {opened} {}", engine.name());
                assert_eq!(file.size_bytes, size_bytes(&bytes), "{place}");
                assert_eq!(file.digests.sha256, digests.sha256.then(|| Sha256Digest::of(&bytes)), "{place}");
                assert_eq!(file.digests.blake3, digests.blake3.then(|| Blake3Digest::of(&bytes)), "{place}");
                assert_eq!(file.digests.fsverity, digests.fsverity.then(|| fsverity(&bytes)), "{place}");
            }
        }
    }
}

#[test]
fn a_small_file_that_grows_beyond_its_place_in_the_batch_is_read_all_the_same() {
    struct Grow(PathBuf);
    impl Progress for Grow {
        fn file(&self, path: &str) {
            if path == "00003.bin" {
                fs::write(&self.0, content(3, 5 << 20)).unwrap();
            }
        }
    }
    let (root, files) = directory(&[1000; 8]);
    let found = hashed(root.path(), ALL, &Grow(files[3].0.clone()), &Rayon::new(2).unwrap()).unwrap();
    for (seed, file) in found.files.iter().enumerate() {
        let bytes = content(seed, if seed == 3 { 5 << 20 } else { 1000 });
        assert_eq!(file.digests.sha256, Some(Sha256Digest::of(&bytes)), "{seed}");
        assert_eq!(file.digests.blake3, Some(Blake3Digest::of(&bytes)), "{seed}");
    }
}

#[test]
fn an_interruption_stops_every_way_of_reading() {
    struct Stop<'a>(&'a AtomicBool, AtomicU64);
    impl Progress for Stop<'_> {
        fn bytes(&self, size_bytes: u64) {
            self.0.store(true, Ordering::Relaxed);
            self.1.fetch_add(size_bytes, Ordering::Relaxed);
        }
    }
    for (lengths, digests) in
        [(vec![64 << 20], BLAKE3), (vec![64 << 20], SHA256), (vec![8 << 20; 8], ALL), (vec![50_000; 1000], BLAKE3)]
    {
        let (root, _files) = directory(&lengths);
        let interrupted = AtomicBool::new(false);
        let options = MeasureOptions { interrupted: &interrupted, ..options(digests) };
        let progress = Stop(&interrupted, AtomicU64::new(0));
        let fault = hash_files(root.path(), &options, &progress, &Rayon::new(2).unwrap()).unwrap_err();
        assert_eq!(fault.code(), "interrupted");
        let read = progress.1.into_inner();
        assert!(read < 20 << 20, "{read} bytes were read after the interruption of {lengths:?}");
    }
}
