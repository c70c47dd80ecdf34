//! Remembered files as they are written: one strict JSON document inside a sealed file.

use core::fmt::Write as _;
use std::collections::BTreeMap;

use chopmark_core::digest::{Blake3Digest, Sha256Digest};
use chopmark_core::manifest::{FILES_MAX, FileEntry, FilePath};
use chopmark_core::strict;
use chopmark_gpu_verify::{FileDigests, HashedFile, SUBTREE_SIZE_BYTES, StoppedFile};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::{Content, Item};

/// The only schema there is; a document of another is as good as none.
const SCHEMA: &str = "chopmark.remembered/v1";

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
    file: FileEntry,
    #[serde(default, deserialize_with = "strict::present", skip_serializing_if = "Option::is_none")]
    subtrees: Option<String>,
}

/// A file that was read up to some point.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    identity: String,
    path: FilePath,
    offset_bytes: u64,
    /// The chain's value, each word in hexadecimal.
    sha256: String,
    tree: String,
    #[serde(default, deserialize_with = "strict::present", skip_serializing_if = "Option::is_none")]
    subtrees: Option<String>,
    tensors: Vec<Blake3Digest>,
}

/// What is remembered, as a document.
pub(super) fn write(root: String, items: &BTreeMap<FilePath, Item>) -> Option<Vec<u8>> {
    let mut document = Document { schema: SCHEMA.to_owned(), root, whole: Vec::new(), part: Vec::new() };
    for (path, Item { identity, content }) in items {
        let identity = identity.clone();
        match content {
            Content::Whole(file) => {
                let HashedFile { path, size_bytes, digests, subtrees, weights } = file.clone();
                let subtrees = (!subtrees.is_empty()).then(|| BASE64.encode(subtrees.as_flattened()));
                let FileDigests { sha256: Some(sha256), blake3, .. } = digests else { continue };
                let file = FileEntry { path, size_bytes, sha256, blake3, weights };
                document.whole.push(Whole { identity, file, subtrees });
            }
            Content::Part(part) => document.part.push(Part {
                identity,
                path: path.clone(),
                offset_bytes: part.offset_bytes,
                sha256: words_to_text(&part.sha256),
                tree: BASE64.encode(part.tree.as_flattened()),
                subtrees: part.subtrees.as_ref().map(|subtrees| BASE64.encode(subtrees.as_flattened())),
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
    for Whole { identity, file, subtrees } in whole {
        let FileEntry { path, size_bytes, sha256, blake3, weights } = file;
        let digests = FileDigests { sha256: Some(sha256), blake3, ..FileDigests::default() };
        let subtrees = subtrees.map_or(Some(Vec::new()), |text| values(&text))?;
        let content = Content::Whole(HashedFile { path: path.clone(), size_bytes, digests, subtrees, weights });
        items.insert(path, Item { identity, content });
    }
    for Part { identity, path, offset_bytes, sha256, tree, subtrees, tensors } in part {
        let subtrees = match subtrees {
            Some(text) => Some(values(&text)?),
            None => None,
        };
        let subtree_size_bytes = u64::try_from(SUBTREE_SIZE_BYTES).ok()?;
        if !offset_bytes.is_multiple_of(subtree_size_bytes) {
            return None;
        }
        let sha256 = words_from_text(&sha256)?;
        let part = StoppedFile { offset_bytes, sha256, tree: values(&tree)?, subtrees, tensors };
        items.insert(path, Item { identity, content: Content::Part(part) });
    }
    Some(items)
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
    use super::*;

    fn items() -> BTreeMap<FilePath, Item> {
        let path = |text| FilePath::parse(text).unwrap();
        let whole = HashedFile {
            path: path("a"),
            size_bytes: 3 << 20,
            digests: FileDigests {
                sha256: Some(Sha256Digest::of(b"a")),
                blake3: Some(Blake3Digest::of(b"a")),
                ..FileDigests::default()
            },
            subtrees: vec![[1; 32], [2; 32], [3; 32]],
            weights: None,
        };
        let part = StoppedFile {
            offset_bytes: 5 << 20,
            sha256: [1, 2, 3, 4, 5, 6, 7, u32::MAX],
            tree: vec![[4; 32], [5; 32]],
            subtrees: None,
            tensors: vec![Blake3Digest::of(b"t")],
        };
        let item = |content| Item { identity: "i".to_owned(), content };
        let kept = StoppedFile { subtrees: Some(vec![[6; 32]; 5]), ..part.clone() };
        let no_subtrees = HashedFile { path: path("d"), subtrees: Vec::new(), ..whole.clone() };
        [
            (path("a"), item(Content::Whole(whole))),
            (path("b"), item(Content::Part(part))),
            (path("c"), item(Content::Part(kept))),
            (path("d"), item(Content::Whole(no_subtrees))),
        ]
        .into()
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let bytes = write("/m".to_owned(), &items()).unwrap();
        assert_eq!(read(&bytes).unwrap(), items());
        let text = String::from_utf8(bytes).unwrap();
        for (from, to) in [("/v1", "/v2"), ("5242880", "5242881"), ("\"root\"", "\"other\""), ("ffffffff", "fffffff")] {
            assert!(text.contains(from));
            assert!(read(text.replacen(from, to, 1).as_bytes()).is_none(), "{from}");
        }
    }
}
