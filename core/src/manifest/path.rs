//! Names that may stand in a manifest: paths of files inside a model, names of tensors inside a file.
//!
//! A path is a type, so a manifest can never hold one that leaves its directory or that a terminal would show
//! differently from what it is. Rules rest on Unicode NFC (UAX 15) and the bidirectional controls of UAX 9.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use unicode_normalization::is_nfc;

use crate::text::is_invisible;

/// Longest path in bytes; a quarter of Linux's `PATH_MAX`, so that it still fits below any sensible directory.
pub const PATH_SIZE_BYTES_MAX: usize = 1024;
/// Longest path segment in bytes; the limit of ext4, XFS, APFS and NTFS alike.
pub const SEGMENT_SIZE_BYTES_MAX: usize = 255;
/// Most segments in a path; real models have at most a handful, and walkers stay bounded.
pub const SEGMENTS_MAX: usize = 64;
/// Longest tensor name in bytes; the longest seen in published models are below 200.
pub const TENSOR_NAME_SIZE_BYTES_MAX: usize = 1024;

/// Why a text cannot name a file or a tensor in a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Nothing there.
    #[error("a name must not be empty")]
    Empty,
    /// Longer than the limit for paths, segments or tensor names.
    #[error("a name must not be longer than {limit_bytes} bytes; shorten it")]
    TooLong {
        /// The limit that was passed, in bytes.
        limit_bytes: usize,
    },
    /// More segments than [`SEGMENTS_MAX`].
    #[error("a path must not have more than {SEGMENTS_MAX} segments; flatten the directory")]
    TooDeep,
    /// An empty, `.` or `..` segment, which includes a leading or trailing slash.
    #[error("a path must be relative, with `/` between segments, none of them empty, `.` or `..`")]
    Segment,
    /// A backslash, which is a separator on Windows and a character elsewhere.
    #[error("a path must not contain a backslash; rename the file")]
    Backslash,
    /// A control, bidirectional or zero-width character: it would look like another name.
    #[error("a name must not contain control, bidirectional or zero-width characters (found U+{0:04X}); rename it")]
    Invisible(u32),
    /// Not in Unicode normalisation form C, so one visible name would have two spellings.
    #[error("a name must be in Unicode normalisation form C (NFC); rename it")]
    NotNormalised,
}

/// A file's place inside a model: relative, `/`-separated, NFC, no `.`/`..`, no invisible characters.
///
/// Ordered by its UTF-8 bytes, which is the order of files in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(String);

impl FilePath {
    /// Accepts a text that follows every rule of this module.
    ///
    /// # Errors
    /// The first [`NameFault`] found.
    pub fn parse(text: &str) -> Result<Self, NameFault> {
        check_text(text, PATH_SIZE_BYTES_MAX)?;
        if text.contains('\\') {
            return Err(NameFault::Backslash);
        }
        for (index, segment) in text.split('/').enumerate() {
            if segment.is_empty() || segment == "." || segment == ".." {
                return Err(NameFault::Segment);
            }
            if segment.len() > SEGMENT_SIZE_BYTES_MAX {
                return Err(NameFault::TooLong { limit_bytes: SEGMENT_SIZE_BYTES_MAX });
            }
            if index >= SEGMENTS_MAX {
                return Err(NameFault::TooDeep);
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// The path as text, `/`-separated.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last segment.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Every directory above the file, nearest first: `a/b` and `a` for `a/b/c`.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        self.0.rmatch_indices('/').filter_map(|(at, _)| self.0.get(..at))
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for FilePath {
    type Err = NameFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Serialize for FilePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for FilePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Checks the name of a tensor: any visible NFC text of 1 to [`TENSOR_NAME_SIZE_BYTES_MAX`] bytes.
///
/// # Errors
/// The first [`NameFault`] found.
pub fn check_tensor_name(name: &str) -> Result<(), NameFault> {
    check_text(name, TENSOR_NAME_SIZE_BYTES_MAX)
}

fn check_text(text: &str, limit_bytes: usize) -> Result<(), NameFault> {
    if text.is_empty() {
        return Err(NameFault::Empty);
    }
    if text.len() > limit_bytes {
        return Err(NameFault::TooLong { limit_bytes });
    }
    if let Some(found) = text.chars().find(|&character| is_invisible(character)) {
        return Err(NameFault::Invisible(u32::from(found)));
    }
    if is_nfc(text) { Ok(()) } else { Err(NameFault::NotNormalised) }
}

/// A text of unknown origin made safe to print: escaped, and cut after 120 characters.
pub(crate) fn printable(text: &str) -> String {
    const SHOWN_CHARACTERS_MAX: usize = 120;
    let mut shown = String::new();
    let mut characters = text.chars();
    for character in characters.by_ref().take(SHOWN_CHARACTERS_MAX) {
        if is_invisible(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_paths_are_accepted() {
        for good in ["model.safetensors", "1_Pooling/config.json", ".gitattributes", "模型/權重.bin", "a b", "é", "..."]
        {
            assert_eq!(FilePath::parse(good).map(|path| path.to_string()), Ok(good.to_owned()));
        }
    }

    #[test]
    fn every_rule_has_its_own_fault() {
        let long_segment = "s".repeat(SEGMENT_SIZE_BYTES_MAX + 1);
        let long_path = vec!["s".repeat(250); 5].join("/");
        let deep = vec!["d"; SEGMENTS_MAX + 1].join("/");
        let cases: [(&str, NameFault); 15] = [
            ("", NameFault::Empty),
            ("/etc/passwd", NameFault::Segment),
            ("a/", NameFault::Segment),
            ("a//b", NameFault::Segment),
            ("./a", NameFault::Segment),
            ("a/../b", NameFault::Segment),
            ("..", NameFault::Segment),
            ("a\\b", NameFault::Backslash),
            ("a\nb", NameFault::Invisible(0x0A)),
            ("a\u{202E}b", NameFault::Invisible(0x202E)),
            ("a\u{200B}b", NameFault::Invisible(0x200B)),
            ("e\u{301}", NameFault::NotNormalised),
            (&long_segment, NameFault::TooLong { limit_bytes: SEGMENT_SIZE_BYTES_MAX }),
            (&long_path, NameFault::TooLong { limit_bytes: PATH_SIZE_BYTES_MAX }),
            (&deep, NameFault::TooDeep),
        ];
        for (bad, fault) in cases {
            assert_eq!(FilePath::parse(bad), Err(fault), "{bad:?}");
        }
    }

    #[test]
    fn ancestors_and_file_name() {
        let path = FilePath::parse("a/b/c").unwrap();
        assert_eq!(path.ancestors().collect::<Vec<_>>(), ["a/b", "a"]);
        assert_eq!(path.file_name(), "c");
    }

    #[test]
    fn printable_text_is_escaped_and_cut() {
        assert_eq!(printable("a\u{1b}[31m"), "a\\u{1b}[31m");
        assert_eq!(printable(&"x".repeat(500)).chars().count(), 121);
    }

    proptest! {
        #[test]
        fn an_accepted_path_never_leaves_its_directory(text in "[a./\\\\\u{0}\u{202e}é]{0,12}") {
            if let Ok(path) = FilePath::parse(&text) {
                prop_assert!(!path.as_str().starts_with('/'));
                prop_assert!(path.as_str().split('/').all(|segment| !segment.is_empty() && segment != ".." && segment != "."));
                let hidden = path.as_str().contains(['\\', '\0', '\u{202e}']);
                prop_assert!(!hidden);
            }
        }
    }
}
