//! Sidecars of real trees, damaged ones, and the places that they name.

use blake3::hazmat::HasherExt as _;
use proptest::prelude::*;

use super::DamageKind::{Differs, Extra, Missing};
use super::*;
use crate::digest::Sha256Digest;
use crate::manifest::{Dtype, ExclusionProfile, Manifest, TensorEntry, WeightFormat, WeightIndex};
use crate::verify::compare;

const MIB: usize = 1 << 20;

fn path(text: &str) -> FilePath {
    FilePath::parse(text).unwrap()
}

fn values(bytes: &[u8]) -> Vec<ChainingValue> {
    if bytes.len() <= MIB {
        return Vec::new();
    }
    let value = |(index, part): (usize, &[u8])| {
        let offset = u64::try_from(index * MIB).unwrap();
        blake3::Hasher::new().set_input_offset(offset).update(part).finalize_non_root()
    };
    bytes.chunks(MIB).enumerate().map(value).collect()
}

fn entry(name: &str, bytes: &[u8]) -> FileEntry {
    FileEntry {
        path: path(name),
        size_bytes: u64::try_from(bytes.len()).unwrap(),
        sha256: Sha256Digest::of(bytes),
        blake3: Some(Blake3Digest::of(bytes)),
        weights: None,
    }
}

fn covered(name: &str, bytes: &[u8]) -> FileValues {
    let FileEntry { path, size_bytes, blake3, .. } = entry(name, bytes);
    FileValues { path, size_bytes, blake3: blake3.unwrap(), values: values(bytes) }
}

fn pattern(size_bytes: usize) -> Vec<u8> {
    (0..=250).cycle().take(size_bytes).collect()
}

fn two() -> (Vec<u8>, Vec<u8>, Sidecar) {
    let (small, large) = (pattern(MIB + 1), pattern(5 * MIB));
    let sidecar = Sidecar::new(vec![covered("b", &large), covered("a/x", &small)]).unwrap();
    (small, large, sidecar)
}

#[test]
fn what_is_written_is_what_parses_and_finds_its_files() {
    let (small, large, sidecar) = two();
    let bytes = sidecar.to_bytes();
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap();
    assert!(line.starts_with(br#"{"files":[{"blake3":""#) && line.ends_with(br#""schema":"chopmark.b3tree/v1"}"#));
    assert_eq!(bytes.len(), line.len() + 1 + 32 * (2 + 5));
    let read = Sidecar::parse(&bytes).unwrap();
    assert_eq!(read, sidecar);
    assert_eq!((read.files(), read.to_bytes()), (2, bytes));
    assert_eq!(read.values_of(&entry("a/x", &small)).unwrap(), values(&small));
    assert_eq!(read.values_of(&entry("b", &large)).unwrap(), values(&large));
    // Another file's place, other bytes, another size.
    assert_eq!(read.values_of(&entry("c", &large)), None);
    assert_eq!(read.values_of(&entry("b", &small)), None);
    let longer = FileEntry { size_bytes: 5 * (1 << 20) + 1, ..entry("b", &large) };
    assert_eq!(read.values_of(&longer), None);
    let none = Sidecar::new(Vec::new()).unwrap();
    assert_eq!(Sidecar::parse(&none.to_bytes()), Ok(none));
}

#[test]
fn whatever_is_not_a_sidecar_is_refused_for_its_own_reason() {
    let (small, large, sidecar) = two();
    let bytes = sidecar.to_bytes();
    let line_end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    for at in (line_end + 1..bytes.len()).step_by(31) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(matches!(Sidecar::parse(&changed), Err(SidecarError::Root { .. })), "{at}");
    }
    for length in 0..bytes.len() {
        let cut = Sidecar::parse(&bytes[..length]).unwrap_err();
        let is_line = matches!(cut, SidecarError::Header(_));
        assert!(if length <= line_end { is_line } else { matches!(cut, SidecarError::Length { .. }) }, "{length}");
    }
    for more in [1, 32] {
        let longer = [bytes.as_slice(), &vec![0; more]].concat();
        assert!(matches!(Sidecar::parse(&longer), Err(SidecarError::Length { .. })));
    }
    // The same values in another order, or under the other name.
    let mut swapped = covered("b", &large);
    swapped.values.swap(0, 1);
    assert_eq!(Sidecar::new(vec![swapped]), Err(SidecarError::Root { path: path("b") }));
    let mut renamed = covered("b", &large);
    renamed.blake3 = Blake3Digest::of(&small);
    assert_eq!(Sidecar::new(vec![renamed]), Err(SidecarError::Root { path: path("b") }));
    let twice = Sidecar::new(vec![covered("b", &large), covered("b", &large)]);
    assert!(matches!(twice, Err(SidecarError::Header(error)) if error.pointer == "/files/1/path"));
    let tiny = Sidecar::new(vec![covered("b", &small[..MIB])]);
    assert!(matches!(tiny, Err(SidecarError::Header(error)) if error.pointer == "/files/0/size_bytes"));

    let text = String::from_utf8(bytes[..line_end].to_vec()).unwrap();
    let with_line = |line: &str| [line.as_bytes(), &bytes[line_end..]].concat();
    for line in [
        text.replace("b3tree/v1", "b3tree/v2"),
        text.replacen('{', "{ ", 1),
        text.replacen("\"path\":\"b\"", "\"path\":\"../b\"", 1),
        text.replacen("\"path\":\"b\"", "\"path\":\"a\"", 1),
        text.replacen("{\"files\"", "{\"extra\":1,\"files\"", 1),
    ] {
        assert_ne!(line, text);
        assert!(matches!(Sidecar::parse(&with_line(&line)), Err(SidecarError::Header(_))), "{line}");
    }
    // A size that promises more than the limit is refused before anything is held.
    let huge = text.replacen("5242880", "9007199254740991", 1);
    assert_eq!(Sidecar::parse(&with_line(&huge)), Err(SidecarError::TooLarge));
}

/// A weight file of two tensors, the header 1000 bytes long.
fn weights(bytes: &[u8]) -> FileEntry {
    let middle = 1000 + 2 * MIB;
    let tensor = |name: &str, begin: usize, end: usize| TensorEntry {
        name: name.to_owned(),
        dtype: Dtype::U8,
        shape: vec![u64::try_from(end - begin).unwrap()],
        begin: u64::try_from(begin).unwrap(),
        end: u64::try_from(end).unwrap(),
        blake3: Blake3Digest::of(&bytes[begin..end]),
    };
    let index = WeightIndex {
        format: WeightFormat::Safetensors,
        header_size_bytes: 1000,
        header_blake3: Blake3Digest::of(&bytes[..1000]),
        alignment_bytes: None,
        tensors: vec![tensor("first", 1000, middle), tensor("second", middle, bytes.len())],
    };
    FileEntry { weights: Some(index), ..entry("m.safetensors", bytes) }
}

fn found(registered: &FileEntry, actual: &FileEntry, expected: &[u8], bytes: &[u8]) -> Vec<Damage> {
    let manifest = |file: &FileEntry| Manifest::new(ExclusionProfile::V1, vec![file.clone()]).unwrap();
    let difference = compare(&manifest(registered), &manifest(actual), &[]);
    locate(registered, &difference.changed[0], &values(expected), &values(bytes))
}

#[test]
fn damage_is_named_by_mib_and_by_the_tensors_that_differ() {
    let good = pattern(5 * MIB + 10);
    let at = |places: &[usize]| {
        let mut bytes = good.clone();
        for place in places {
            bytes[*place] ^= 1;
        }
        found(&weights(&good), &weights(&bytes), &good, &bytes)
    };
    let kinds = |damages: &[Damage]| -> Vec<(u64, u64, bool, String)> {
        damages.iter().map(|damage| (damage.begin, damage.end, damage.header, damage.tensors.join(" "))).collect()
    };
    let mib = 1 << 20;
    assert_eq!(kinds(&at(&[3 * MIB + 7])), [(3 * mib, 4 * mib, false, "second".to_owned())]);
    assert_eq!(kinds(&at(&[5])), [(0, mib, true, String::new())]);
    assert_eq!(kinds(&at(&[2000])), [(0, mib, false, "first".to_owned())]);
    // The MiB in which one tensor ends and the next begins: only the one whose own digest differs.
    assert_eq!(kinds(&at(&[2 * MIB + 999])), [(2 * mib, 3 * mib, false, "first".to_owned())]);
    assert_eq!(kinds(&at(&[2 * MIB + 1000])), [(2 * mib, 3 * mib, false, "second".to_owned())]);
    // Neighbours are one range, the last is as short as the file.
    let several = kinds(&at(&[MIB, 2 * MIB + 999, 4 * MIB, 5 * MIB + 9]));
    let expected = [(mib, 3 * mib, "first second"), (4 * mib, 5 * mib + 10, "second")];
    assert_eq!(several, expected.map(|(begin, end, tensors)| (begin, end, false, tensors.to_owned())));
}

#[test]
fn shorter_and_longer_files_have_ranges_too() {
    let good = pattern(5 * MIB + 10);
    let places = |bytes: &[u8]| {
        let damages = found(&entry("f", &good), &entry("f", bytes), &good, bytes);
        damages.into_iter().map(|damage| (damage.kind, damage.begin, damage.end)).collect::<Vec<_>>()
    };
    let (mib, end) = (1_u64 << 20, (5 << 20) + 10);
    assert_eq!(places(&good[..3 * MIB]), [(Missing, 3 * mib, end)]);
    assert_eq!(places(&good[..=3 * MIB]), [(Differs, 3 * mib, 3 * mib + 1), (Missing, 3 * mib + 1, end)]);
    assert_eq!(places(&[]), [(Missing, 0, end)]);
    // One MiB and less has no values: nothing is known of it.
    assert_eq!(places(&good[..MIB]), [(Differs, 0, mib), (Missing, mib, end)]);
    let longer = [good.as_slice(), b"more"].concat();
    assert_eq!(places(&longer), [(Differs, 5 * mib, end), (Extra, end, end + 4)]);
    // A registered tail of whole MiB that goes on.
    let whole = &good[..2 * MIB];
    let damages = found(&entry("f", whole), &entry("f", &good), whole, &good);
    let places: Vec<_> = damages.iter().map(|damage| (damage.kind, damage.begin, damage.end)).collect();
    assert_eq!(places, [(Extra, 2 * mib, end)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn values_of_any_size_merge_to_the_crates_root(size_bytes in MIB + 1..9 * MIB) {
        let bytes = pattern(size_bytes);
        prop_assert_eq!(root(&values(&bytes)), Some(Blake3Digest::of(&bytes)));
    }

    #[test]
    fn arbitrary_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Sidecar::parse(&bytes).is_err());
    }
}
