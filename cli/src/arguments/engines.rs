//! Arguments of `chopmark engines`.

use clap::Args;

/// Arguments of `chopmark engines`.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct EnginesArguments {
    /// Measure as well: copying in memory, copying to the device, and hashing
    #[arg(long)]
    pub(crate) bench: bool,
}
