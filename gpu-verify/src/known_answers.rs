//! The known-answer test that every GPU engine passes before it hashes anything else: a few of `vectors.json`, chosen so that
//! each kernel and the upper half of the chunk counter take part.

use chopmark_core::digest::{Blake3Digest, Sha256Digest};

use crate::hasher::{EngineFault, Hasher, Window};
use crate::tree::Tree;

/// Whole files: size in bytes of the pattern, and its BLAKE3 digest.
const ROOTS: [(usize, &str); 4] = [
    (1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"),
    (64, "4eed7141ea4a5cd4b788606bd23f46e212af9cacebacdc7d1f4c6dc7f2511b98"),
    (1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"),
    (16_385, "1dabe216be2578830263b049de1639f39f05a4da616b9b78c7a5e4e41662fd1f"),
];

/// Windows of one value: offset and size in bytes of the pattern, and the non-root chaining value.
const WINDOWS: [(u64, usize, &str); 3] = [
    (4096, 4095, "b02ae4462d8d79a544492fb8f8955db4d942fda8f1677a7ba93e916143a27e44"),
    (4_398_046_507_008, 4096, "63d9d9fe7586a4b7471cc5d2ac4623a22f38fb406fe543cb7f380834b329715d"),
    (4_398_046_511_104, 16_385, "2eef3710bd6aa88490ba25355e2db6cd66029a88a51561d86b46e009c15bb18a"),
];

/// A window of several values: size in bytes of the pattern, and its BLAKE3 digest.
const SEVERAL: (usize, &str) = (3_150_728, "f7fae2f336c67474fef536de6cb79bb35807f71f5f1c7273163b922727b34aa3");

/// The first 4097 bytes of the pattern as leaves of an fs-verity tree: SHA-256 of 4096 of them, and of one and 4095 zeros.
const LEAVES: [&str; 2] = [
    "d67c656e01756650d77717b0839985a056ec28ffe174601d690fc407a2ceffca",
    "8739b9d292016268de92e584032a92f95e176f01e69230bd5a056e769c8b9363",
];
const LEAVES_SIZE_BYTES: usize = 4097;

/// Has the engine compute what is known.
///
/// # Errors
/// An [`EngineFault`] that names the first wrong answer.
pub fn known_answers(hasher: &dyn Hasher) -> Result<(), EngineFault> {
    let input: Vec<u8> = (0..=250).cycle().take(SEVERAL.0).collect();
    let start = |size_bytes: usize| input.get(..size_bytes).unwrap_or_default();
    let wrong = |what: String| EngineFault {
        engine: hasher.name(),
        reason: format!("it fails the known-answer test ({what} is wrong)"),
    };

    let files = ROOTS.map(|(size_bytes, _)| start(size_bytes));
    let roots = hasher.roots(&files);
    for (index, (size_bytes, expected)) in ROOTS.into_iter().enumerate() {
        if roots.get(index).is_none_or(|root| root.to_hex() != expected) {
            return Err(wrong(format!("the BLAKE3 digest of {size_bytes} bytes")));
        }
    }
    for (offset_bytes, size_bytes, expected) in WINDOWS {
        let values = Window::new(offset_bytes, start(size_bytes)).map(|window| hasher.subtrees(window));
        let is_right = values.as_deref().is_some_and(|values| match values {
            [only] => Blake3Digest::from_bytes(*only).to_hex() == expected,
            _ => false,
        });
        if !is_right {
            return Err(wrong(format!("the chaining value of {size_bytes} bytes at {offset_bytes}")));
        }
    }
    let mut tree = Tree::default();
    let values = Window::new(0, &input).map(|window| hasher.subtrees(window));
    values.unwrap_or_default().into_iter().for_each(|value| tree.push(value));
    if tree.root().is_none_or(|root| root.to_hex() != SEVERAL.1) {
        return Err(wrong(format!("one of the chaining values of {} bytes", SEVERAL.0)));
    }
    let leaves = hasher.verity_leaves(start(LEAVES_SIZE_BYTES));
    if !leaves.iter().map(Sha256Digest::to_hex).eq(LEAVES) {
        return Err(wrong("an fs-verity leaf".to_owned()));
    }
    hasher.health()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::portable::Portable;
    use crate::rayon::Rayon;

    #[test]
    fn engines_on_the_cpu_pass() {
        assert_eq!(known_answers(&Portable), Ok(()));
        assert_eq!(known_answers(&Rayon::new(2).unwrap()), Ok(()));
    }

    #[test]
    fn the_answers_are_those_of_the_vector_file() {
        let vectors: Value = serde_json::from_str(include_str!("../vectors.json")).unwrap();
        for (size_bytes, expected) in ROOTS.into_iter().chain([SEVERAL]) {
            let files = vectors["files"].as_array().unwrap();
            assert!(files.iter().any(|file| file["size_bytes"] == size_bytes && file["blake3"] == expected));
        }
        for (offset_bytes, size_bytes, expected) in WINDOWS {
            let windows = vectors["windows"].as_array().unwrap();
            assert!(windows.iter().any(|window| {
                window["offset_bytes"] == offset_bytes
                    && window["size_bytes"] == size_bytes
                    && window["chaining_value"] == expected
            }));
        }
        let input: Vec<u8> = (0..=250).cycle().take(8192).collect();
        let mut padded = input[4096..LEAVES_SIZE_BYTES].to_vec();
        padded.resize(4096, 0);
        assert_eq!([&input[..4096], &padded].map(|leaf| Sha256Digest::of(leaf).to_hex()), LEAVES);
    }
}
