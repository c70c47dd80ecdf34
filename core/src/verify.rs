//! Verification: what the bytes found are, compared with what was registered, and the one answer given to the user.
//!
//! Pure: the caller measures (crate `chopmark-gpu-verify`) and brings both manifests.

mod image;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::image::{FoundImage, compare_image};
use crate::digest::{Blake3Digest, Sha256Digest};
use crate::manifest::{Dtype, FileEntry, FilePath, Manifest, TensorEntry, WeightIndex, by_digest};

/// The answer of every verification, on the command line, in the API and on the web.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultState {
    /// The bytes are those registered, and every proof holds.
    Verified,
    /// The bytes are not those registered; a [`Difference`] says which.
    BytesDiffer,
    /// The registry holds no such artefact, proven or asserted.
    NotRegistered,
    /// A signature, proof or key does not hold.
    ProofInvalid,
    /// Revoked, expired, superseded or out of scope.
    LicenceNotInForce,
    /// Neither yes nor no: no trust, no network, or a file that cannot be read.
    CouldNotCheck,
}

impl ResultState {
    /// Exit code of the command line.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Verified => 0,
            Self::BytesDiffer => 3,
            Self::NotRegistered => 5,
            Self::ProofInvalid => 6,
            Self::LicenceNotInForce => 7,
            Self::CouldNotCheck => 9,
        }
    }
}

/// A weight file that was found but whose header is malformed, so that its tensors could not be named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableWeights {
    /// The file.
    pub path: FilePath,
    /// `<code>: <message>` of the header's fault.
    pub reason: String,
}

/// What differs, file by file, in the order of paths. Empty when the bytes are those registered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Files at a registered path with other content.
    pub changed: Vec<FileChange>,
    /// Registered files that are not there.
    pub missing: Vec<FilePath>,
    /// Files that are there and not registered.
    pub extra: Vec<FilePath>,
}

/// One file with other content than registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileChange {
    /// The file.
    pub path: FilePath,
    /// As registered.
    pub expected: FileFacts,
    /// As found.
    pub actual: FileFacts,
    /// Both headers could be read and their bytes differ.
    pub header_changed: bool,
    /// Tensors that differ, by name; empty unless both files could be read tensor by tensor.
    pub tensors: Vec<TensorChange>,
    /// `<code>: <message>` where tensors were registered but the file found is no longer a well-formed weight file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found_unreadable: Option<String>,
}

/// Size and digests of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileFacts {
    /// Size in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the whole file.
    pub sha256: Sha256Digest,
    /// BLAKE3 of the whole file; absent where only SHA-256 is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blake3: Option<Blake3Digest>,
}

/// One tensor that differs: absent on one side, or of another type, shape or content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorChange {
    /// Name in the header.
    pub name: String,
    /// As registered; absent when the tensor is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<TensorFacts>,
    /// As found; absent when the tensor is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<TensorFacts>,
}

/// What a tensor is, wherever it lies in its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorFacts {
    /// Type of the elements.
    pub dtype: Dtype,
    /// Dimensions, outermost first.
    pub shape: Vec<u64>,
    /// BLAKE3 of the tensor's bytes.
    pub blake3: Blake3Digest,
}

impl Difference {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.missing.is_empty() && self.extra.is_empty()
    }

    /// [`ResultState::Verified`] as far as the bytes go, or [`ResultState::BytesDiffer`].
    pub fn state(&self) -> ResultState {
        if self.is_empty() { ResultState::Verified } else { ResultState::BytesDiffer }
    }
}

/// Compares what was found with what was registered.
///
/// A claim that was registered must hold: whole-file digests and, where registered, the header and every tensor. The
/// two may disagree only if the registered index never described the file; that is a change too.
pub fn compare(registered: &Manifest, found: &Manifest, unreadable: &[UnreadableWeights]) -> Difference {
    let reasons: BTreeMap<&FilePath, &str> =
        unreadable.iter().map(|weights| (&weights.path, weights.reason.as_str())).collect();
    let mut difference = Difference::default();
    for expected in registered.files() {
        match found.file(&expected.path) {
            None => difference.missing.push(expected.path.clone()),
            Some(actual) => {
                let reason = reasons.get(&actual.path).copied();
                difference.changed.extend(compare_file(expected, actual, reason));
            }
        }
    }
    let is_extra = |file: &&FileEntry| registered.file(&file.path).is_none();
    difference.extra = found.files().iter().filter(is_extra).map(|file| file.path.clone()).collect();
    difference
}

fn compare_file(expected: &FileEntry, actual: &FileEntry, unreadable: Option<&str>) -> Option<FileChange> {
    let facts = |file: &FileEntry| FileFacts { size_bytes: file.size_bytes, sha256: file.sha256, blake3: file.blake3 };
    let mut change = FileChange {
        path: expected.path.clone(),
        expected: facts(expected),
        actual: facts(actual),
        header_changed: false,
        tensors: Vec::new(),
        found_unreadable: None,
    };
    match (&expected.weights, &actual.weights) {
        (Some(expected), Some(actual)) => {
            change.header_changed = (expected.header_size_bytes, expected.header_blake3)
                != (actual.header_size_bytes, actual.header_blake3);
            change.tensors = compare_tensors(expected, actual);
        }
        (Some(_), None) => {
            let reason = unreadable.unwrap_or("weights_not_read: its tensors were not measured");
            change.found_unreadable = Some(reason.to_owned());
        }
        (None, _) => {}
    }
    // A claim that was not registered says nothing, and one that was is never taken from another.
    let is_same = expected.size_bytes == actual.size_bytes
        && expected.sha256 == actual.sha256
        && expected.blake3.is_none_or(|blake3| actual.blake3 == Some(blake3))
        && !change.header_changed
        && change.tensors.is_empty()
        && change.found_unreadable.is_none();
    (!is_same).then_some(change)
}

/// A blob that is not the one its place says it is.
fn changed_blob(sha256: Sha256Digest, size_bytes: u64, actual: &FileEntry) -> Option<FileChange> {
    by_digest(sha256, size_bytes).ok().and_then(|expected| compare_file(&expected, actual, None))
}

/// Tensors that differ in type, shape or content. A tensor that only moved is the header's change, not its own.
fn compare_tensors(expected: &WeightIndex, actual: &WeightIndex) -> Vec<TensorChange> {
    let facts =
        |tensor: &TensorEntry| TensorFacts { dtype: tensor.dtype, shape: tensor.shape.clone(), blake3: tensor.blake3 };
    let mut pairs: BTreeMap<&str, (Option<&TensorEntry>, Option<&TensorEntry>)> = BTreeMap::new();
    for tensor in &expected.tensors {
        pairs.entry(&tensor.name).or_default().0 = Some(tensor);
    }
    for tensor in &actual.tensors {
        pairs.entry(&tensor.name).or_default().1 = Some(tensor);
    }
    pairs
        .into_iter()
        .map(|(name, (expected, actual))| TensorChange {
            name: name.to_owned(),
            expected: expected.map(facts),
            actual: actual.map(facts),
        })
        .filter(|change| change.expected != change.actual)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{ExclusionProfile, WeightFormat};

    fn file(path: &str, content: &[u8]) -> FileEntry {
        FileEntry {
            path: FilePath::parse(path).unwrap(),
            size_bytes: 4,
            sha256: Sha256Digest::of(content),
            blake3: Some(Blake3Digest::of(content)),
            weights: None,
        }
    }

    fn weights(header: &[u8], tensors: &[(&str, &[u8; 4])]) -> FileEntry {
        let header_size_bytes = 8 + u64::try_from(header.len()).unwrap();
        let mut end = header_size_bytes;
        let tensors = tensors
            .iter()
            .map(|(name, content)| {
                end += 4;
                TensorEntry {
                    name: (*name).to_owned(),
                    dtype: Dtype::U8,
                    shape: vec![4],
                    begin: end - 4,
                    end,
                    blake3: Blake3Digest::of(*content),
                }
            })
            .collect();
        let header_blake3 = Blake3Digest::of(header);
        let format = WeightFormat::Safetensors;
        let index = WeightIndex { format, header_size_bytes, header_blake3, alignment_bytes: None, tensors };
        let content = serde_json::to_vec(&index).unwrap();
        FileEntry { size_bytes: end, weights: Some(index), ..file("m.safetensors", &content) }
    }

    fn manifest(files: Vec<FileEntry>) -> Manifest {
        Manifest::new(ExclusionProfile::V1, files).unwrap()
    }

    #[test]
    fn equal_bytes_are_verified() {
        let registered = manifest(vec![file("a", b"a"), weights(b"h", &[("t", b"1234")])]);
        let difference = compare(&registered, &registered, &[]);
        assert!(difference.is_empty());
        assert_eq!(difference.state(), ResultState::Verified);
    }

    #[test]
    fn changed_missing_and_extra_files_are_told_apart() {
        let registered = manifest(vec![file("a", b"a"), file("b", b"b"), file("c", b"c")]);
        let found = manifest(vec![file("a", b"a"), file("b", b"B"), file("d", b"d")]);
        let difference = compare(&registered, &found, &[]);
        assert_eq!(difference.state(), ResultState::BytesDiffer);
        assert_eq!(difference.changed.len(), 1);
        assert_eq!(difference.changed[0].path.as_str(), "b");
        assert_eq!(difference.changed[0].actual.sha256, Sha256Digest::of(b"B"));
        assert_eq!(difference.missing, [FilePath::parse("c").unwrap()]);
        assert_eq!(difference.extra, [FilePath::parse("d").unwrap()]);
        assert_eq!(compare(&registered, &manifest(Vec::new()), &[]).missing.len(), 3);
    }

    #[test]
    fn exactly_the_changed_tensor_is_named() {
        let registered = manifest(vec![weights(b"h", &[("t", b"1234"), ("u", b"5678"), ("gone", b"0000")])]);
        let found = manifest(vec![weights(b"h", &[("t", b"1234"), ("u", b"5679"), ("new", b"0000")])]);
        let change = &compare(&registered, &found, &[]).changed[0];
        assert!(!change.header_changed);
        let names: Vec<_> = change
            .tensors
            .iter()
            .map(|tensor| (&*tensor.name, tensor.expected.is_some(), tensor.actual.is_some()))
            .collect();
        assert_eq!(names, [("gone", true, false), ("new", false, true), ("u", true, true)]);
    }

    #[test]
    fn a_header_change_that_only_moves_tensors_is_the_headers() {
        let registered = manifest(vec![weights(b"h", &[("t", b"1234")])]);
        let found = manifest(vec![weights(b"longer", &[("t", b"1234")])]);
        let change = &compare(&registered, &found, &[]).changed[0];
        assert!(change.header_changed);
        assert_eq!(change.tensors, []);
    }

    #[test]
    fn a_file_that_is_no_longer_readable_is_listed_and_says_so() {
        let registered = manifest(vec![weights(b"h", &[("t", b"1234")])]);
        let found = manifest(vec![file("m.safetensors", b"junk")]);
        let path = FilePath::parse("m.safetensors").unwrap();
        let note = UnreadableWeights { path, reason: "header_truncated: too short".to_owned() };
        let change = &compare(&registered, &found, &[note]).changed[0];
        assert_eq!(change.found_unreadable.as_deref(), Some("header_truncated: too short"));
    }

    #[test]
    fn a_registered_index_that_never_described_the_file_is_a_change() {
        let honest = weights(b"h", &[("t", b"1234")]);
        let mut lying = honest.clone();
        lying.weights.as_mut().unwrap().tensors[0].blake3 = Blake3Digest::of(b"other");
        let change = &compare(&manifest(vec![lying]), &manifest(vec![honest]), &[]).changed[0];
        assert_eq!(change.expected, change.actual);
        assert_eq!(change.tensors.len(), 1);
    }

    #[test]
    fn answers_have_stable_names_and_exit_codes() {
        let answers = [
            (ResultState::Verified, "verified", 0),
            (ResultState::BytesDiffer, "bytes_differ", 3),
            (ResultState::NotRegistered, "not_registered", 5),
            (ResultState::ProofInvalid, "proof_invalid", 6),
            (ResultState::LicenceNotInForce, "licence_not_in_force", 7),
            (ResultState::CouldNotCheck, "could_not_check", 9),
        ];
        for (state, name, exit_code) in answers {
            assert_eq!(serde_json::to_value(state).unwrap(), name);
            assert_eq!(state.exit_code(), exit_code);
        }
    }
}
