//! One image manifest or index, read strictly: one meaning, whoever reads it.
//!
//! A document that is both a manifest and an index at once has cost others dearly (CVE-2021-41190), so its form follows
//! from its members and has to agree with the media type that it states. Members nobody here needs are left alone.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{IMAGE_BLOBS_MAX, IMAGE_DOCUMENT_SIZE_BYTES_MAX};
use crate::digest::Sha256Digest;
use crate::strict::{self, INTEGER_MAX, StrictError, present};

/// Longest part of a platform, in bytes.
const PLATFORM_PART_BYTES_MAX: usize = 64;

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImageMediaType {
    /// OCI image manifest: one configuration and its layers.
    #[serde(rename = "application/vnd.oci.image.manifest.v1+json")]
    OciManifest,
    /// OCI image index: one manifest for each platform.
    #[serde(rename = "application/vnd.oci.image.index.v1+json")]
    OciIndex,
    /// Docker's manifest, schema 2.
    #[serde(rename = "application/vnd.docker.distribution.manifest.v2+json")]
    DockerManifest,
    /// Docker's manifest list, schema 2.
    #[serde(rename = "application/vnd.docker.distribution.manifest.list.v2+json")]
    DockerList,
}

impl ImageMediaType {
    const ALL: [Self; 4] = [Self::OciManifest, Self::OciIndex, Self::DockerManifest, Self::DockerList];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OciManifest => "application/vnd.oci.image.manifest.v1+json",
            Self::OciIndex => "application/vnd.oci.image.index.v1+json",
            Self::DockerManifest => "application/vnd.docker.distribution.manifest.v2+json",
            Self::DockerList => "application/vnd.docker.distribution.manifest.list.v2+json",
        }
    }

    /// Whether it lists manifests, rather than a configuration and layers.
    pub const fn is_index(self) -> bool {
        matches!(self, Self::OciIndex | Self::DockerList)
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|media_type| media_type.name() == name)
    }
}

/// A blob as a document names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedBlob {
    /// Its SHA-256.
    pub sha256: Sha256Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// It is a manifest or an index itself.
    pub is_document: bool,
}

/// A document that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageDocument {
    /// What it is.
    pub media_type: ImageMediaType,
    /// What it names, each blob once, in the order of the document.
    pub blobs: Vec<NamedBlob>,
    /// For an index, the platforms (`linux/arm64/v8`) it says its manifests are for; ascending, none twice.
    pub platforms: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireDocument {
    schema_version: u64,
    #[serde(default, deserialize_with = "present")]
    media_type: Option<String>,
    #[serde(default, deserialize_with = "present")]
    config: Option<WireDescriptor>,
    #[serde(default, deserialize_with = "present")]
    layers: Option<Vec<WireDescriptor>>,
    #[serde(default, deserialize_with = "present")]
    manifests: Option<Vec<WireDescriptor>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireDescriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default, deserialize_with = "present")]
    platform: Option<WirePlatform>,
}

#[derive(Deserialize)]
struct WirePlatform {
    architecture: String,
    os: String,
    #[serde(default, deserialize_with = "present")]
    variant: Option<String>,
}

impl ImageDocument {
    /// Reads an image manifest or index.
    ///
    /// # Errors
    /// A [`StrictError`] with a JSON pointer: more than [`IMAGE_DOCUMENT_SIZE_BYTES_MAX`] bytes, anything that
    /// [`strict::value_from_slice`] refuses, a document of another sort or of two sorts at once, a digest that is not
    /// SHA-256, a blob with two sizes, or more than [`IMAGE_BLOBS_MAX`] blobs.
    pub fn parse(bytes: &[u8]) -> Result<Self, StrictError> {
        if bytes.len() > IMAGE_DOCUMENT_SIZE_BYTES_MAX {
            let reason = format!("an image manifest has at most {IMAGE_DOCUMENT_SIZE_BYTES_MAX} bytes");
            return Err(StrictError::new("", reason));
        }
        let wire: WireDocument = strict::from_slice(bytes)?;
        if wire.schema_version != 2 {
            let reason = "only version 2 is read; older images have no digest of their own: push the image again";
            return Err(StrictError::new("/schemaVersion", reason));
        }
        let (implied, listed) = match (wire.config, wire.layers, wire.manifests) {
            (Some(config), Some(layers), None) => {
                let config = ("/config".to_owned(), config);
                let layers = layers.into_iter().enumerate().map(|(at, layer)| (format!("/layers/{at}"), layer));
                (ImageMediaType::OciManifest, core::iter::once(config).chain(layers).collect::<Vec<_>>())
            }
            (None, None, Some(manifests)) => {
                let manifests = manifests.into_iter().enumerate();
                let manifests = manifests.map(|(at, manifest)| (format!("/manifests/{at}"), manifest));
                (ImageMediaType::OciIndex, manifests.collect())
            }
            _ => return Err(StrictError::new("", "an image has either config and layers, or manifests")),
        };
        let media_type = match wire.media_type {
            None => implied,
            Some(name) => ImageMediaType::of(&name)
                .filter(|stated| stated.is_index() == implied.is_index())
                .ok_or_else(|| StrictError::new("/mediaType", "is not that of an image of this form"))?,
        };
        let mut blobs = Vec::new();
        let mut sizes = BTreeMap::new();
        let mut platforms = BTreeSet::new();
        for (at, descriptor) in listed {
            let (blob, platform) = descriptor.read(&at)?;
            platforms.extend(platform.filter(|_| media_type.is_index()));
            match sizes.insert(blob.sha256, blob.size_bytes) {
                None => blobs.push(blob),
                Some(size_bytes) if size_bytes == blob.size_bytes => {}
                Some(_) => return Err(StrictError::new(at + "/size", "the same blob stands above with another size")),
            }
            if blobs.len() > IMAGE_BLOBS_MAX {
                return Err(StrictError::new(at, format!("more than {IMAGE_BLOBS_MAX} blobs")));
            }
        }
        Ok(Self { media_type, blobs, platforms: platforms.into_iter().collect() })
    }
}

impl WireDescriptor {
    fn read(self, at: &str) -> Result<(NamedBlob, Option<String>), StrictError> {
        let digest = self.digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
        let sha256 = digest.ok_or_else(|| {
            StrictError::new(format!("{at}/digest"), "must be sha256: and 64 lowercase hexadecimal characters")
        })?;
        if self.size > INTEGER_MAX {
            return Err(StrictError::new(format!("{at}/size"), "more than 2^53 − 1"));
        }
        let platform = self.platform.map(|platform| platform.read(&format!("{at}/platform"))).transpose()?;
        let is_document = ImageMediaType::of(&self.media_type).is_some();
        Ok((NamedBlob { sha256, size_bytes: self.size, is_document }, platform))
    }
}

impl WirePlatform {
    fn read(self, at: &str) -> Result<String, StrictError> {
        let text = match self.variant {
            None => format!("{}/{}", self.os, self.architecture),
            Some(variant) => format!("{}/{}/{variant}", self.os, self.architecture),
        };
        match check_platform(&text) {
            Ok(()) => Ok(text),
            Err(reason) => Err(StrictError::new(at, reason)),
        }
    }
}

/// Checks a platform as a manifest spells it: system, architecture and perhaps a variant, with `/` between.
pub(crate) fn check_platform(text: &str) -> Result<(), &'static str> {
    let is_part = |part: &str| {
        (1..=PLATFORM_PART_BYTES_MAX).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let parts: Vec<&str> = text.split('/').collect();
    if (2..=3).contains(&parts.len()) && parts.into_iter().all(is_part) {
        Ok(())
    } else {
        Err("a platform is a system and an architecture, such as linux/amd64, of letters, digits, `.`, `_`, `-`")
    }
}
