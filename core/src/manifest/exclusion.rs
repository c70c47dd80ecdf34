//! Which files of a directory are not part of the artefact: a versioned rule, recorded in the manifest.
//!
//! A verifier takes the rule from the manifest and never repeats flags. A published version never changes; what an
//! excluded place holds is *not* vouched for, so the lists are short and whoever measures reports what was left out.

use serde::{Deserialize, Serialize};

/// An exclusion rule, named in the manifest by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExclusionProfile {
    /// `chopmark-exclude/v1`, for directories: version control, download and interpreter caches, desktop litter, and
    /// the sidecar files that signing tools write beside a model.
    #[serde(rename = "chopmark-exclude/v1")]
    V1,
    /// `none`: every file counts. Single files are always measured with it.
    #[serde(rename = "none")]
    None,
}

/// Segments that exclude themselves and everything below them, anywhere in a path.
const SEGMENTS: [&str; 3] = [".git", "__pycache__", ".DS_Store"];
/// `hf download --local-dir` keeps its bookkeeping here, at any depth.
const CACHE: [&str; 2] = [".cache", "huggingface"];
/// Names of sidecar files (the default of `OpenSSF`'s `model_signing` is `model.sig`).
const SIDECAR_NAMES: [&str; 1] = ["model.sig"];
/// Endings of sidecar files: offline bundles and block trees.
const SIDECAR_ENDINGS: [&str; 2] = [".chop", ".b3tree"];

impl ExclusionProfile {
    /// The id as written in a manifest.
    pub const fn id(self) -> &'static str {
        match self {
            Self::V1 => "chopmark-exclude/v1",
            Self::None => "none",
        }
    }

    /// Whether the file at `path` (relative, `/`-separated) is left out.
    pub fn excludes(self, path: &str) -> bool {
        if self == Self::None {
            return false;
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        self.excludes_directory(path)
            || SIDECAR_NAMES.contains(&name)
            || SIDECAR_ENDINGS.iter().any(|ending| name.ends_with(ending))
    }

    /// Whether the directory at `path` is left out with all it holds. Sidecar rules speak of files only, so a
    /// directory named `x.chop` hides nothing.
    pub fn excludes_directory(self, path: &str) -> bool {
        if self == Self::None {
            return false;
        }
        let segments = path.split('/');
        let cached = segments.clone().zip(segments.clone().skip(1)).any(|(first, second)| [first, second] == CACHE);
        cached || segments.into_iter().any(|segment| SEGMENTS.contains(&segment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_leaves_out_exactly_this() {
        for out in [
            ".git/HEAD",
            "sub/.git",
            "__pycache__/x.pyc",
            "a/.DS_Store",
            ".cache/huggingface/x",
            "a/.cache/huggingface/x",
            "model.chop",
            "a/b.b3tree",
            "model.sig",
        ] {
            assert!(ExclusionProfile::V1.excludes(out), "{out}");
            assert!(!ExclusionProfile::None.excludes(out), "{out}");
        }
        for kept in [
            "model.safetensors",
            ".gitattributes",
            ".cache/other/x",
            "huggingface/.cache",
            "a.chop/weights.bin",
            "x.git/y",
            "other.sig",
            "MODEL.CHOP",
        ] {
            assert!(!ExclusionProfile::V1.excludes(kept), "{kept}");
        }
    }

    #[test]
    fn directories_follow_the_segment_rules_only() {
        assert!(ExclusionProfile::V1.excludes_directory(".git"));
        assert!(ExclusionProfile::V1.excludes_directory(".cache/huggingface"));
        assert!(!ExclusionProfile::V1.excludes_directory(".cache"));
        assert!(!ExclusionProfile::V1.excludes_directory("x.chop"));
        assert!(!ExclusionProfile::None.excludes_directory(".git"));
    }

    #[test]
    fn the_id_is_what_is_serialised_and_an_unknown_one_is_refused() {
        for profile in [ExclusionProfile::V1, ExclusionProfile::None] {
            let text = serde_json::to_string(&profile).unwrap();
            assert_eq!(text, format!("\"{}\"", profile.id()));
            assert_eq!(serde_json::from_str::<ExclusionProfile>(&text).unwrap(), profile);
        }
        assert!(serde_json::from_str::<ExclusionProfile>("\"chopmark-exclude/v2\"").is_err());
    }
}
