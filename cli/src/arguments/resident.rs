//! Arguments of `chopmark resident`.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `chopmark resident`.
#[expect(clippy::doc_markdown, reason = "clap shows these comments as they are")]
#[derive(Debug, Args)]
pub(crate) struct ResidentArguments {
    /// Which tensors, and where: JSON with CUDA IPC handles, as scripts/export-tensors.py writes it for a PyTorch model
    #[arg(value_name = "HANDLES")]
    pub(crate) handles: PathBuf,
    /// Compare with the tensors of a registration, which this offline bundle proves
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,
    /// Trust policy: which registries you rely on, by log key and genesis [env: CHOPMARK_TRUST]
    /// [default: the registries pinned when you registered something]
    #[arg(long, value_name = "FILE", requires = "bundle")]
    pub(crate) trust: Option<PathBuf>,
    /// Accept that only some of the registered tensors are there, as on one of several GPUs; they are listed
    #[arg(long, requires = "bundle")]
    pub(crate) allow_missing: bool,
    /// Accept tensors that are not registered, such as buffers; they are listed and not vouched for
    #[arg(long, requires = "bundle")]
    pub(crate) allow_extra: bool,
    /// Compute the fs-verity digest of each tensor, too
    #[arg(long)]
    pub(crate) fsverity: bool,
}
