//! Arguments of `chopmark verify`.

use std::path::PathBuf;

use chopmark_core::terms::period::Date;
use clap::Args;

use super::hash::{EngineArguments, FormArguments};

/// Arguments of `chopmark verify`.
#[expect(clippy::doc_markdown, reason = "clap shows these comments as they are")]
#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// The directory or file to check, for a container image its OCI image layout or its manifest; nothing of its
    /// content is sent
    #[arg(value_name = "PATH", required_unless_present = "all")]
    pub(crate) path: Option<PathBuf>,
    /// Verify every model below a directory instead, with one report; each by the bundle beside it or in it
    /// (NAME.chop), or else by asking the service by digest
    #[arg(long, value_name = "DIR", conflicts_with_all = ["path", "bundle", "sidecar", "revision", "manifest"])]
    pub(crate) all: Option<PathBuf>,
    /// With --all, where to write the report: the same JSON document that --json prints
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// The offline bundle that proves the registration; without it the service is asked by digest
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,
    /// Use no network; needs --bundle, or --all, where a model without a bundle is then unknown
    #[arg(long)]
    pub(crate) offline: bool,
    /// Trust policy: which registries you rely on, by log key and genesis [env: CHOPMARK_TRUST]
    /// [default: the registries pinned when you registered something]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// Accept files that are not part of what was registered; they are listed and not vouched for
    #[arg(long)]
    pub(crate) allow_extra: bool,
    /// Compute all digests and tensors of every file, not BLAKE3 alone, and refuse files that the manifest's exclusion
    /// profile leaves out (.git, caches, sidecars): nothing unvouched
    #[arg(long, conflicts_with = "allow_extra")]
    pub(crate) strict: bool,
    /// The sidecar that `register --sidecar` or `hash --sidecar` wrote: with it, damage is named by byte ranges
    /// [default: the name of the bundle with .b3tree, if there is such a file]
    #[arg(long, value_name = "FILE")]
    pub(crate) sidecar: Option<PathBuf>,
    /// For an offline licence: a newer status list than the one in it, from `licence status-list`
    #[arg(long, value_name = "FILE", requires = "bundle")]
    pub(crate) status_list: Option<PathBuf>,
    /// For an offline licence: the day for which it is judged, such as 2027-01-31 [default: today]
    #[arg(long, value_name = "DATE")]
    pub(crate) on: Option<Date>,
    #[command(flatten)]
    pub(crate) form: FormArguments,
    #[command(flatten)]
    pub(crate) engine: EngineArguments,
}
