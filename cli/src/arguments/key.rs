//! Arguments of `chopmark key`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What to do with keys.
#[expect(clippy::doc_markdown, reason = "clap shows these comments as they are")]
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a new Ed25519 signing key
    New(KeyNewArguments),
    /// Show the id and the public half of the keys in use (`--key`, CHOPMARK_KEY, config, or the default key)
    Show,
}

/// Arguments of `chopmark key new`.
#[derive(Debug, Args)]
pub(crate) struct KeyNewArguments {
    /// Where to write it, readable by you alone; never overwritten [default: chopmark/key in the config directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}
