//! Arguments of `chopmark hash`, and the choice of engine that other hashing commands share.

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
    /// Go on from the checkpoint that an interrupted run left; what changed since is read from the start
    #[arg(long, conflicts_with = "digests")]
    pub(crate) resume: bool,
    /// Also write a sidecar, FILE.b3tree: the BLAKE3 value of every MiB, by which `verify` names damaged places
    #[arg(long, value_name = "FILE", conflicts_with = "digests")]
    pub(crate) sidecar: Option<PathBuf>,
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
