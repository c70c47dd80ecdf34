//! Runs that stop at every window and go on with another engine, and files that are not to be remembered.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use chopmark_core::manifest::ExclusionProfile;

use super::*;
use crate::digests::DigestSelection;
use crate::error::MeasureError;
use crate::hasher::Hasher;
use crate::measure::{Hashed, MeasureOptions, Measured, Purpose, hash_files, measure};
use crate::portable::Portable;
use crate::progress::Progress;
use crate::rayon::Rayon;

const MIB: u64 = 1 << 20;

#[derive(Debug, Default)]
struct Kept(Mutex<BTreeMap<FilePath, (Identity, Known)>>);

impl Memory for Kept {
    fn is_empty(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }

    fn known(&self, path: &FilePath, identity: &Identity) -> Known {
        match self.0.lock().unwrap().get(path) {
            Some((of, known)) if of == identity => known.clone(),
            _ => Known::Nothing,
        }
    }

    fn used(&self, path: &FilePath) {
        assert!(self.0.lock().unwrap().contains_key(path));
    }

    fn finished(&self, identity: &Identity, file: &HashedFile) {
        self.0.lock().unwrap().insert(file.path.clone(), (*identity, Known::Whole(file.clone())));
    }

    fn stopped(&self, path: &FilePath, identity: &Identity, part: StoppedFile) {
        self.0.lock().unwrap().insert(path.clone(), (*identity, Known::Part(part)));
    }
}

/// Sets the flag once so many bytes were read.
struct StopAfter {
    size_bytes: u64,
    read: AtomicU64,
    recalled: AtomicU64,
    flag: AtomicBool,
}

impl StopAfter {
    fn new(size_bytes: u64) -> Self {
        Self { size_bytes, read: AtomicU64::new(0), recalled: AtomicU64::new(0), flag: AtomicBool::new(false) }
    }

    fn run(
        &self,
        path: &Path,
        memory: &Kept,
        keep_subtrees: bool,
        hasher: &dyn Hasher,
    ) -> Result<Measured, MeasureError> {
        let options = MeasureOptions {
            exclusions: ExclusionProfile::V1,
            purpose: Purpose::Register,
            file_name: None,
            revision: None,
            digests: DigestSelection::MANIFEST,
            keep_subtrees,
            memory: Some(memory),
            interrupted: &self.flag,
        };
        measure(path, &options, self, hasher)
    }

    /// The digests asked for and no others.
    fn digests(
        &self,
        path: &Path,
        memory: &Kept,
        digests: DigestSelection,
        hasher: &dyn Hasher,
    ) -> Result<Hashed, MeasureError> {
        let options = MeasureOptions {
            exclusions: ExclusionProfile::V1,
            purpose: Purpose::Verify,
            file_name: None,
            revision: None,
            digests,
            keep_subtrees: false,
            memory: Some(memory),
            interrupted: &self.flag,
        };
        hash_files(path, &options, self, hasher)
    }

    fn counts(&self) -> (u64, u64) {
        (self.read.load(Ordering::Relaxed), self.recalled.load(Ordering::Relaxed))
    }
}

impl Progress for StopAfter {
    fn bytes(&self, size_bytes: u64) {
        if self.read.fetch_add(size_bytes, Ordering::Relaxed) + size_bytes >= self.size_bytes {
            self.flag.store(true, Ordering::Relaxed);
        }
    }

    fn recalled(&self, size_bytes: u64) {
        self.recalled.fetch_add(size_bytes, Ordering::Relaxed);
    }
}

fn settle() {
    thread::sleep(Duration::from_millis(2_100));
}

/// Three tensors of 2 to 4 MiB that begin anywhere, and an empty one.
fn weights() -> Vec<u8> {
    let sizes = [2 * MIB + 3, 4 * MIB, 0, 3 * MIB - 7];
    let mut end = 0;
    let members = sizes.iter().enumerate().map(|(index, size)| {
        end += size;
        format!(r#""t{index}":{{"dtype":"U8","shape":[{size}],"data_offsets":[{},{end}]}}"#, end - size)
    });
    let header = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
    let mut bytes = u64::try_from(header.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend((0..end).map(|place| u8::try_from((place / 251 + place) % 256).unwrap()));
    bytes
}

#[test]
fn a_run_that_stops_anywhere_goes_on_with_any_engine() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("m.safetensors"), weights()).unwrap();
    fs::write(path.join("w.bin"), vec![5; usize::try_from(6 * MIB + 5).unwrap()]).unwrap();
    fs::write(path.join("small"), "small").unwrap();

    // Nothing of what was written a moment ago is remembered.
    let memory = Kept::default();
    let expected = StopAfter::new(u64::MAX).run(path, &memory, true, &Portable).unwrap();
    assert!(memory.0.lock().unwrap().is_empty());
    settle();

    let rayon = Rayon::new(2).unwrap();
    let total = expected.manifest.size_bytes();
    let again_max = 8 * MIB;
    for stop in (1..=total / MIB).map(|mib| mib * MIB) {
        let memory = Kept::default();
        let first = StopAfter::new(stop);
        let keep_subtrees = stop.is_multiple_of(2 * MIB);
        let stopped = first.run(path, &memory, keep_subtrees, &Portable).unwrap_err();
        assert!(matches!(stopped, MeasureError::Interrupted));
        let went_on = StopAfter::new(u64::MAX);
        let measured = went_on.run(path, &memory, false, &rayon).unwrap();
        assert_eq!(measured.manifest, expected.manifest, "{stop}");
        let (read, recalled) = went_on.counts();
        assert_eq!(read + recalled, total, "{stop}");
        assert!(recalled + again_max >= first.counts().0, "{stop}: {recalled} bytes recalled");
        // Both files were being read, and neither begins again.
        assert!(stop < 4 * MIB || recalled >= stop / 2 - MIB, "{stop}: {recalled} bytes recalled");

        // All is known now; without the subtrees, what has any is read again for them.
        let known = StopAfter::new(u64::MAX);
        assert_eq!(known.run(path, &memory, false, &Portable).unwrap().manifest, expected.manifest);
        assert_eq!(known.counts(), (0, total));
    }
}

#[test]
fn what_is_remembered_and_impossible_is_not_used() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("m.safetensors"), weights()).unwrap();
    settle();
    let memory = Kept::default();
    StopAfter::new(5 * MIB).run(path, &memory, false, &Portable).unwrap_err();
    let (identity, Known::Part(part)) = memory.0.lock().unwrap().values().next().unwrap().clone() else {
        panic!("nothing is remembered")
    };
    let tensors = part.tensors.clone().unwrap();
    assert_eq!((part.offset_bytes, tensors.len(), &part.subtrees), (5 * MIB, 1, &None));
    let expected = StopAfter::new(u64::MAX).run(path, &Kept::default(), true, &Portable).unwrap();

    let (mut short, mut long, mut beyond, mut odd) = (part.clone(), part.clone(), part.clone(), part.clone());
    short.blake3.as_mut().unwrap().pop();
    long.tensors = Some([tensors.as_slice(), &tensors].concat());
    beyond.offset_bytes = 1 << 40;
    odd.tensors = Some(vec![tensors[0]; 9]);
    let (no_chain, no_tree) =
        (StoppedFile { sha256: None, ..part.clone() }, StoppedFile { blake3: None, ..part.clone() });
    let no_tensors = StoppedFile { tensors: None, ..part.clone() };
    for impossible in [short, long, beyond, odd, no_chain, no_tree, no_tensors] {
        let memory = Kept::default();
        memory.stopped(&FilePath::parse("m.safetensors").unwrap(), &identity, impossible);
        let run = StopAfter::new(u64::MAX);
        assert_eq!(run.run(path, &memory, false, &Portable).unwrap().manifest, expected.manifest);
    }
    // Without subtrees, it is of no use where they are wanted.
    let (memory, run) = (Kept::default(), StopAfter::new(u64::MAX));
    memory.stopped(&FilePath::parse("m.safetensors").unwrap(), &identity, part);
    let measured = run.run(path, &memory, true, &Portable).unwrap();
    assert_eq!((measured.subtrees, run.counts().1), (expected.subtrees, 0));
}

#[test]
fn any_digests_go_on_and_none_is_taken_for_another() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("m.safetensors"), weights()).unwrap();
    fs::write(path.join("w.bin"), vec![5; usize::try_from(40 * MIB + 5).unwrap()]).unwrap();
    fs::write(path.join("small"), "small").unwrap();
    settle();
    let rayon = Rayon::new(2).unwrap();
    let select = |bits: u8| DigestSelection { sha256: bits & 1 > 0, blake3: bits & 2 > 0, fsverity: bits & 4 > 0 };
    for digests in (1..8).map(select) {
        let expected = StopAfter::new(u64::MAX).digests(path, &Kept::default(), digests, &Portable).unwrap();
        let engines: [(&dyn Hasher, &dyn Hasher); 2] = [(&rayon, &Portable), (&Portable, &rayon)];
        for (first, second) in engines {
            let memory = Kept::default();
            let stopped = StopAfter::new(21 * MIB).digests(path, &memory, digests, first);
            assert!(matches!(stopped, Err(MeasureError::Interrupted)), "{digests:?}");
            let went_on = StopAfter::new(u64::MAX);
            let found = went_on.digests(path, &memory, digests, second).unwrap();
            assert_eq!(found.files, expected.files, "{digests:?}");
            let (read, recalled) = went_on.counts();
            assert_eq!(read + recalled, found.files.iter().map(|file| file.size_bytes).sum::<u64>());
            // With several threads, the first part may be the last to be read.
            assert!(recalled >= MIB || first.name() != "portable", "{digests:?}: {recalled} bytes recalled");
            // All is known of these digests now, and what is known of others is not taken for them.
            for other in (1..8).map(select) {
                let run = StopAfter::new(u64::MAX);
                let found = run.digests(path, &memory_of(&memory), other, &Portable).unwrap();
                let fresh = StopAfter::new(u64::MAX).digests(path, &Kept::default(), other, &Portable).unwrap();
                assert_eq!(found.files, fresh.files, "{digests:?} {other:?}");
                let is_known = other.kinds().all(|kind| digests.has(kind));
                assert_eq!(run.counts().0 == 0, is_known, "{digests:?} {other:?}");
            }
        }
    }
    // Digests alone say nothing of tensors.
    let memory = Kept::default();
    StopAfter::new(u64::MAX).digests(path, &memory, DigestSelection::MANIFEST, &rayon).unwrap();
    let run = StopAfter::new(u64::MAX);
    let measured = run.run(path, &memory, false, &rayon).unwrap();
    assert!(measured.manifest.files()[0].weights.is_some());
    assert_eq!(run.counts().0, measured.manifest.files()[0].size_bytes);
}

/// What is remembered, apart: what a run adds to it is forgotten.
fn memory_of(memory: &Kept) -> Kept {
    Kept(Mutex::new(memory.0.lock().unwrap().clone()))
}
