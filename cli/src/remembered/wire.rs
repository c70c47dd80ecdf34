//! Remembered files as they are written: one strict JSON document inside a sealed file.

use core::fmt::Write as _;
use std::collections::BTreeMap;

use chopmark_core::digest::{Blake3Digest, Sha256Digest};
use chopmark_core::manifest::{FILES_MAX, FilePath, WeightIndex};
use chopmark_core::strict;
use chopmark_gpu_verify::{FileDigests, HashedFile, SUBTREE_SIZE_BYTES, StoppedFile};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::{Content, Item};

/// The only schema there is; a document of another is as good as none.
const SCHEMA: &str = "chopmark.remembered/v2";

/// A document.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: String,
    /// Where the files are, for people who look.
    root: String,
    whole: Vec<Whole>,
    part: Vec<Part>,
}

/// A file that was read whole.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    identity: String,
    /// Whether a GPU computed it of whose values only some were computed again.
    sampled: bool,
    path: FilePath,
    size_bytes: u64,
    #[serde(default, deserialize_with = "strict::present", skip_serializing_if = "Option::is_none")]
    sha256: Option<Sha256Digest>,
    #[serde(default, deserialize_with = "strict::present", skip_serializing_if = "Option::is_none")]
    blake3: Option<Blake3Digest>,
    #[serde(default, deserialize_with = "strict::present", skip_serializing_if = "Option::is_none")]
    fsverity: Option<String>,
    #[serde(default, deserialize_with = "strict::present", skip_serializing_if = "Option::is_none")]
    subtrees: Option<String>,
    #[serde(default, deserialize_with = "strict::present", skip_serializing_if = "Option::is_none")]
    weights: Option<WeightIndex>,
}

/// A file that was read up to some point.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    identity: String,
    sampled: bool,
    path: FilePath,
    offset_bytes: u64,
    /// The chain's value, each word in hexadecimal.
    #[serde(default, deserialize_with = "strict::present", skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// The tree's values.
    #[serde(default, deserialize_with = "strict::present", skip_serializing_if = "Option::is_none")]
    blake3: Option<String>,
    /// The hashes of each level.
    #[serde(default, deserialize_with = "strict::present", skip_serializing_if = "Option::is_none")]
    fsverity: Option<Vec<String>>,
    #[serde(default, deserialize_with = "strict::present", skip_serializing_if = "Option::is_none")]
    subtrees: Option<String>,
    #[serde(default, deserialize_with = "strict::present", skip_serializing_if = "Option::is_none")]
    tensors: Option<Vec<Blake3Digest>>,
}

/// What is remembered, as a document.
pub(super) fn write(root: String, items: &BTreeMap<FilePath, Item>) -> Option<Vec<u8>> {
    let mut document = Document { schema: SCHEMA.to_owned(), root, whole: Vec::new(), part: Vec::new() };
    let text = |values: &[[u8; 32]]| BASE64.encode(values.as_flattened());
    for (path, Item { identity, is_sampled, content }) in items {
        let (identity, sampled, path) = (identity.to_string(), *is_sampled, path.clone());
        match content {
            Content::Whole(file) => {
                let FileDigests { sha256, blake3, fsverity } = file.digests;
                document.whole.push(Whole {
                    identity,
                    sampled,
                    path,
                    size_bytes: file.size_bytes,
                    sha256,
                    blake3,
                    fsverity: fsverity.map(|digest| digest.to_hex()),
                    subtrees: (!file.subtrees.is_empty()).then(|| text(&file.subtrees)),
                    weights: file.weights.clone(),
                });
            }
            Content::Part(part) => document.part.push(Part {
                identity,
                sampled,
                path,
                offset_bytes: part.offset_bytes,
                sha256: part.sha256.as_ref().map(words_to_text),
                blake3: part.blake3.as_deref().map(text),
                fsverity: part.fsverity.as_ref().map(|levels| levels.iter().map(|level| text(level)).collect()),
                subtrees: part.subtrees.as_deref().map(text),
                tensors: part.tensors.clone(),
            }),
        }
    }
    strict::to_canonical(&document).ok()
}

/// What a document says; `None` when it is not one.
pub(super) fn read(bytes: &[u8]) -> Option<BTreeMap<FilePath, Item>> {
    let Document { schema, whole, part, .. } = strict::from_slice(bytes).ok()?;
    if schema != SCHEMA || whole.len().saturating_add(part.len()) > FILES_MAX {
        return None;
    }
    let mut items = BTreeMap::new();
    for Whole { identity, sampled, path, size_bytes, sha256, blake3, fsverity, subtrees, weights } in whole {
        let digests = FileDigests { sha256, blake3, fsverity: optional(fsverity, |text| text.parse().ok()).ok()? };
        let subtrees = optional(subtrees, |text| values(&text)).ok()?.unwrap_or_default();
        let content = Content::Whole(HashedFile { path: path.clone(), size_bytes, digests, subtrees, weights });
        items.insert(path, Item { identity: identity.parse().ok()?, is_sampled: sampled, content });
    }
    for Part { identity, sampled, path, offset_bytes, sha256, blake3, fsverity, subtrees, tensors } in part {
        let subtree_size_bytes = u64::try_from(SUBTREE_SIZE_BYTES).ok()?;
        if !offset_bytes.is_multiple_of(subtree_size_bytes) {
            return None;
        }
        let part = StoppedFile {
            offset_bytes,
            sha256: optional(sha256, |text| words_from_text(&text)).ok()?,
            blake3: optional(blake3, |text| values(&text)).ok()?,
            fsverity: optional(fsverity, |levels| levels.iter().map(|level| values(level)).collect()).ok()?,
            subtrees: optional(subtrees, |text| values(&text)).ok()?,
            tensors,
        };
        let content = Content::Part(part);
        items.insert(path, Item { identity: identity.parse().ok()?, is_sampled: sampled, content });
    }
    Some(items)
}

/// What is there has to be readable.
fn optional<T, U>(there: Option<T>, read: impl FnOnce(T) -> Option<U>) -> Result<Option<U>, ()> {
    there.map(|there| read(there).ok_or(())).transpose()
}

fn values(text: &str) -> Option<Vec<[u8; 32]>> {
    let bytes = BASE64.decode(text.as_bytes()).ok()?;
    let (values, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| values.to_vec())
}

fn words_to_text(words: &[u32; 8]) -> String {
    words.iter().fold(String::new(), |mut text, word| {
        // Writing to a text has no way to fail.
        let _ = write!(text, "{word:08x}");
        text
    })
}

/// The words are read like a digest, which has the same form.
fn words_from_text(text: &str) -> Option<[u32; 8]> {
    let bytes: Sha256Digest = text.parse().ok()?;
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(bytes.as_bytes().as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use chopmark_gpu_verify::Identity;

    use super::*;

    fn items() -> BTreeMap<FilePath, Item> {
        let path = |text| FilePath::parse(text).unwrap();
        let digests = FileDigests {
            sha256: Some(Sha256Digest::of(b"a")),
            blake3: Some(Blake3Digest::of(b"a")),
            fsverity: Some(Sha256Digest::of(b"f").to_hex().parse().unwrap()),
        };
        let subtrees = vec![[1; 32], [2; 32], [3; 32]];
        let whole = HashedFile { path: path("a"), size_bytes: 3 << 20, digests, subtrees, weights: None };
        let part = StoppedFile {
            offset_bytes: 5 << 20,
            sha256: Some([1, 2, 3, 4, 5, 6, 7, u32::MAX]),
            blake3: Some(vec![[4; 32], [5; 32]]),
            fsverity: None,
            subtrees: None,
            tensors: Some(vec![Blake3Digest::of(b"t")]),
        };
        let identity = Identity { size_bytes: 9 << 20, device: 1, inode: 2, modified: (3, 4), changed: (5, 6) };
        let item = |content| Item { identity, is_sampled: false, content };
        let (sha256, blake3, tensors) = (None, None, None);
        let fsverity = Some(vec![vec![[7; 32]; 2], Vec::new()]);
        let tree = StoppedFile { sha256, blake3, fsverity, tensors, subtrees: Some(vec![[6; 32]; 5]), ..part.clone() };
        let digests = FileDigests { blake3: Some(Blake3Digest::of(b"d")), ..FileDigests::default() };
        let no_subtrees = HashedFile { path: path("d"), digests, subtrees: Vec::new(), ..whole.clone() };
        [
            (path("a"), item(Content::Whole(whole))),
            (path("b"), item(Content::Part(part))),
            (path("c"), Item { is_sampled: true, ..item(Content::Part(tree)) }),
            (path("d"), item(Content::Whole(no_subtrees))),
        ]
        .into()
    }

    #[test]
    fn damaged_documents_are_none_or_have_one_reading() {
        let seed = write("/m".to_owned(), &items()).unwrap();
        crate::damage::feed("remembered files", 5_000, &[seed], 100, |bytes| {
            read(bytes).is_some_and(|items| {
                assert_eq!(read(&write("/m".to_owned(), &items).unwrap()), Some(items));
                true
            })
        });
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let bytes = write("/m".to_owned(), &items()).unwrap();
        assert_eq!(read(&bytes).unwrap(), items());
        let text = String::from_utf8(bytes).unwrap();
        let faults = [
            ("/v2", "/v1"),
            ("5242880", "5242881"),
            ("\"root\"", "\"other\""),
            ("ffffffff", "fffffff"),
            ("9437184 bytes", "9437184 byte"),
        ];
        for (from, to) in faults {
            assert!(text.contains(from), "{from}");
            assert!(read(text.replacen(from, to, 1).as_bytes()).is_none(), "{from}");
        }
    }
}
