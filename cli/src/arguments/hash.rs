//! Arguments of `chopmark hash`, and the choice of engine that other hashing commands share.

use std::path::PathBuf;

use chopmark_gpu_verify::EngineChoice;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};

/// Arguments of `chopmark hash`.
#[derive(Debug, Args)]
pub(crate) struct HashArguments {
    /// The directory or file
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) engine: EngineArguments,
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
