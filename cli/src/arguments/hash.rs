//! Arguments of `chopmark hash`, and the choice of engine that other hashing commands share.

use core::fmt;
use core::str::FromStr;
use std::path::PathBuf;

use chopmark_gpu_verify::{DigestKind, EngineChoice};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};

/// Arguments of `chopmark hash`.
#[derive(Debug, Args)]
pub(crate) struct HashArguments {
    /// The directory or file, or a container image by digest (see --manifest)
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,
    /// Go on from the checkpoint that an interrupted or killed run left; what changed since is read from the start
    #[arg(long)]
    pub(crate) resume: bool,
    /// Also write a sidecar, FILE.b3tree: the BLAKE3 value of every MiB, by which `verify` names damaged places
    #[arg(long, value_name = "FILE", conflicts_with = "digests")]
    pub(crate) sidecar: Option<PathBuf>,
    /// In which form to print: words, the document of --json, or a list that `b3sum --check` or `sha256sum -c` takes
    /// where this command ran
    #[arg(
        long,
        default_value = HashFormat::Text.name(),
        value_parser = PossibleValuesParser::new(HashFormat::ALL.map(HashFormat::name))
            .try_map(|name| name.parse::<HashFormat>())
    )]
    pub(crate) format: HashFormat,
    /// Write the document or list to a file, whole or not at all, instead of to stdout
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) form: FormArguments,
    #[command(flatten)]
    pub(crate) engine: EngineArguments,
    /// Compute these digests and no others, separated by commas; without both sha256 and blake3 there is no manifest
    /// [default: sha256,blake3]
    #[arg(
        long = "digest",
        value_name = "DIGEST",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(DigestKind::ALL.map(DigestKind::name))
            .try_map(|name| name.parse::<DigestKind>())
    )]
    pub(crate) digests: Vec<DigestKind>,
}

/// How `chopmark hash` shows what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum HashFormat {
    /// Words for people.
    #[default]
    Text,
    /// One JSON document, as with `--json`.
    Json,
    /// A list for `b3sum --check`.
    B3sum,
    /// A list for `sha256sum -c`.
    Sha256sum,
}

impl HashFormat {
    /// Every form, in the order of help texts.
    pub(crate) const ALL: [Self; 4] = [Self::Text, Self::Json, Self::B3sum, Self::Sha256sum];

    /// The name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::B3sum => "b3sum",
            Self::Sha256sum => "sha256sum",
        }
    }
}

impl fmt::Display for HashFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for HashFormat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| format!("there is no format {name}"))
    }
}

/// In which form the artefact lies at its path, where that can't be seen.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FormArguments {
    /// Which revision of a repository in the Hugging Face cache: a commit, or a name in its refs
    /// [default: main, or the only one there is]
    #[arg(long, value_name = "REVISION")]
    pub(crate) revision: Option<String>,
    /// For a container image, a PATH like oci:registry.example/name@sha256:… – its manifest or index, byte for byte as
    /// the registry serves it, or an OCI image layout that holds it; nothing is fetched
    #[arg(long, value_name = "FILE|LAYOUT")]
    pub(crate) manifest: Option<PathBuf>,
}

/// How to hash.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct EngineArguments {
    /// Hashing engine; all give the same digests, `--verbose` says why `auto` chose which
    #[arg(
        long,
        default_value = EngineChoice::Auto.name(),
        value_parser = PossibleValuesParser::new(EngineChoice::ALL.map(EngineChoice::name))
            .try_map(|name| name.parse::<EngineChoice>())
    )]
    pub(crate) engine: EngineChoice,
}
