//! Names of images, in one spelling each: `registry.example/lam/chat`, with a tag and a digest where they are given.
//!
//! The grammar is that of the OCI Distribution Specification 1.1 and of Docker's references. A name without a host is
//! refused: which registry completes it depends on whose machine reads it.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::digest::Sha256Digest;

/// Longest name in bytes, host included, as in Docker's references.
const NAME_BYTES_MAX: usize = 255;

/// Longest tag in bytes (OCI Distribution Specification 1.1).
const TAG_BYTES_MAX: usize = 128;

/// Where an image is published: a host and a repository on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName(String);

impl ImageName {
    /// Accepts a complete name.
    ///
    /// # Errors
    /// A sentence that says what a name looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refuse = || {
            Err(format!(
                "{text:?} is not the name of an image in full and in small letters, as registry.example/lam/chat"
            ))
        };
        let Some((host, repository)) = text.split_once('/') else { return refuse() };
        if text.len() <= NAME_BYTES_MAX && is_host(host) && repository.split('/').all(is_component) {
            Ok(Self(text.to_owned()))
        } else {
            refuse()
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its last component: what people call the image.
    pub fn last(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ImageName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ImageName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// A host with a dot or a port, or `localhost`; that is how Docker tells hosts from repositories.
fn is_host(text: &str) -> bool {
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let is_port = |port: &str| (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    host.split('.').all(is_label)
        && port.is_none_or(is_port)
        && (host.contains('.') || port.is_some() || host == "localhost")
}

/// Runs of small letters and digits with `.`, `_`, `__` or any number of `-` between them.
fn is_component(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_separator = |run: &str| matches!(run, "." | "_" | "__") || run.bytes().all(|byte| byte == b'-');
    let ends_well = |byte: Option<&u8>| byte.is_some_and(|byte| is_plain(*byte));
    ends_well(text.as_bytes().first())
        && ends_well(text.as_bytes().last())
        && text.split(|character: char| u8::try_from(character).is_ok_and(is_plain)).all(is_separator)
}

/// An image as it is pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReference {
    /// Where it is published.
    pub name: ImageName,
    /// What its publisher calls this one for now; a tag can move.
    pub tag: Option<String>,
    /// SHA-256 of its manifest or index.
    pub sha256: Option<Sha256Digest>,
}

impl FromStr for ImageReference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
        let sha256 = digest
            .map(|digest| digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok()).ok_or(digest))
            .transpose()
            .map_err(|digest| format!("{digest:?} is not sha256: and 64 lowercase hexadecimal characters"))?;
        // A colon before the last slash is that of a port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let is_tag = |tag: &str| {
            (1..=TAG_BYTES_MAX).contains(&tag.len())
                && tag.bytes().all(|byte| is_word(byte) || b".-".contains(&byte))
                && tag.bytes().next().is_some_and(is_word)
        };
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(format!("{tag:?} is not a tag"));
        }
        Ok(Self { name: ImageName::parse(name)?, tag: tag.map(str::to_owned), sha256 })
    }
}
