//! A GGUF file that another program wrote, with every type there is, against what that program's reader says of it.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use chopmark_core::digest::Blake3Digest;
use chopmark_core::manifest::{Dtype, ExclusionProfile, Manifest, WeightFormat};
use chopmark_core::verify::compare;
use serde::Deserialize;

use crate::digests::DigestSelection;
use crate::hasher::Hasher;
use crate::measure::{MeasureOptions, Measured, Purpose, measure};
use crate::portable::Portable;
use crate::progress::Silent;
use crate::rayon::Rayon;
use crate::scan::WeightScan;
use crate::{MeasureError, size_bytes};

const FILE: &[u8] = include_bytes!("../testdata/every_type.gguf");
const SAID: &str = include_str!("../testdata/every_type.json");

#[derive(Deserialize)]
struct Said {
    alignment_bytes: u64,
    data_offset: u64,
    tensors: Vec<SaidTensor>,
}

#[derive(Deserialize)]
struct SaidTensor {
    name: String,
    dtype: String,
    shape: Vec<u64>,
    begin: u64,
    end: u64,
}

fn said() -> Said {
    serde_json::from_str(SAID).unwrap()
}

fn slice(begin: u64, end: u64) -> &'static [u8] {
    &FILE[usize::try_from(begin).unwrap()..usize::try_from(end).unwrap()]
}

fn measured(path: &Path, purpose: Purpose, hasher: &dyn Hasher) -> Result<Measured, MeasureError> {
    let interrupted = AtomicBool::new(false);
    let exclusions = ExclusionProfile::V1;
    let options = MeasureOptions {
        exclusions,
        purpose,
        file_name: None,
        revision: None,
        digests: DigestSelection::MANIFEST,
        keep_subtrees: false,
        memory: None,
        interrupted: &interrupted,
    };
    measure(path, &options, &Silent, hasher)
}

#[test]
fn places_types_and_shapes_are_those_that_the_gguf_package_reads() {
    let said = said();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("every_type.gguf");
    std::fs::write(&path, FILE).unwrap();
    let engines: [&dyn Hasher; 2] = [&Portable, &Rayon::new(2).unwrap()];
    for engine in engines {
        let manifest = measured(&path, Purpose::Register, engine).unwrap().manifest;
        assert_eq!(Manifest::parse(&manifest.to_canonical_bytes()).unwrap(), manifest);
        let index = manifest.only_file().unwrap().weights.as_ref().unwrap();
        assert_eq!((index.format, index.alignment_bytes), (WeightFormat::Gguf, Some(said.alignment_bytes)));
        assert_eq!(index.header_size_bytes, said.data_offset);
        assert_eq!(index.header_blake3, Blake3Digest::of(slice(0, said.data_offset)));
        assert_eq!(index.tensors.len(), said.tensors.len());
        for (ours, theirs) in index.tensors.iter().zip(&said.tensors) {
            assert_eq!((&ours.name, ours.dtype.name(), &ours.shape), (&theirs.name, &*theirs.dtype, &theirs.shape));
            assert_eq!((ours.begin, ours.end), (theirs.begin, theirs.end), "{}", ours.name);
            assert_eq!(ours.blake3, Blake3Digest::of(slice(ours.begin, ours.end)), "{}", ours.name);
        }
    }
}

#[test]
fn the_file_has_every_type() {
    let said = said();
    for dtype in Dtype::ALL.iter().filter(|dtype| dtype.is_ggml()) {
        assert!(said.tensors.iter().any(|tensor| tensor.dtype == dtype.name()), "{dtype:?}");
    }
}

#[test]
fn any_changed_byte_is_named_by_where_it_lies() {
    let said = said();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("every_type.gguf");
    std::fs::write(&path, FILE).unwrap();
    let registered = measured(&path, Purpose::Register, &Portable).unwrap().manifest;
    let (mut in_tensors, mut in_padding, mut in_header) = (0, 0, 0);
    for at in (0..FILE.len()).step_by(37) {
        let mut changed = FILE.to_vec();
        changed[at] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        let found = measured(&path, Purpose::Verify, &Portable).unwrap();
        let difference = compare(&registered, &found.manifest, &found.unreadable);
        let [change] = difference.changed.as_slice() else { panic!("{difference:?}") };
        let at = u64::try_from(at).unwrap();
        let holds = |tensor: &&SaidTensor| (tensor.begin..tensor.end).contains(&at);
        let names: Vec<&str> = change.tensors.iter().map(|tensor| &*tensor.name).collect();
        if let Some(tensor) = said.tensors.iter().find(holds) {
            assert_eq!((names, change.header_changed), (vec![&*tensor.name], false), "{at}");
            in_tensors += 1;
        } else if at >= said.data_offset {
            let reason = change.found_unreadable.as_deref().unwrap();
            assert!(reason.starts_with(&format!("padding_not_zero: byte {at} ")), "{reason}");
            assert_eq!(measured(&path, Purpose::Register, &Portable).unwrap_err().code(), "padding_not_zero");
            in_padding += 1;
        } else {
            assert!(change.header_changed || change.found_unreadable.is_some(), "{at}");
            in_header += 1;
        }
    }
    assert!(in_tensors > 50 && in_padding > 10 && in_header > 50, "{in_tensors} {in_padding} {in_header}");
}

#[test]
fn a_file_cut_off_at_any_byte_is_refused_and_pieces_of_any_size_give_the_same() {
    let scanned = |bytes: &[u8], piece: usize| {
        let mut scan = WeightScan::new(WeightFormat::Gguf, size_bytes(bytes));
        bytes.chunks(piece).for_each(|piece| scan.feed(&Portable, piece));
        scan.finish()
    };
    let whole = scanned(FILE, FILE.len()).unwrap();
    for piece in [1, 7, 24, 1000, 2239, 2240, 2241, 4096] {
        assert_eq!(scanned(FILE, piece).unwrap(), whole, "{piece}");
    }
    // The last tensor's padding may be missing, as older writers leave it out; the index is the same.
    let last = usize::try_from(whole.tensors.last().unwrap().end).unwrap();
    assert!(last < FILE.len());
    for length in 0..FILE.len() {
        assert_eq!(scanned(&FILE[..length], 512).ok(), (length >= last).then(|| whole.clone()), "{length}");
    }
}
