//! Arguments of `chopmark search` and `chopmark lineage`.

use std::path::PathBuf;

use chopmark_core::artefact::ArtefactKind;
use chopmark_core::code::{Jurisdiction, ResidencyZone};
use clap::Args;

use super::hash::{EngineArguments, FormArguments};
use super::one_of;

/// Most rows of one search.
const ROWS_MAX: i64 = 10_000;

/// Arguments of `chopmark search`. All that is given must fit.
#[derive(Debug, Args)]
pub(crate) struct SearchArguments {
    /// Words of names, of owners' names or of versions; Traditional and Simplified Chinese find each other
    #[arg(value_name = "WORDS")]
    pub(crate) words: Vec<String>,
    /// Search for parties instead
    #[arg(long, conflicts_with_all = ["digest", "file", "owner", "kind", "licence", "zone"])]
    pub(crate) parties: bool,
    /// SHA-256 of a manifest, or SHA-256 or BLAKE3 of any file
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: Option<String>,
    /// The artefacts that hold this file, or are this directory; it is hashed here, and only its digest is sent
    #[arg(long, value_name = "PATH", conflicts_with = "digest")]
    pub(crate) file: Option<PathBuf>,
    /// The party that registered them: its id, whole or shown
    #[arg(long, value_name = "PARTY")]
    pub(crate) owner: Option<String>,
    /// What they are
    #[arg(long, value_parser = one_of::<ArtefactKind, 3>(["model", "software", "dataset"]))]
    pub(crate) kind: Option<ArtefactKind>,
    /// An SPDX identifier in the declared licence, such as Apache-2.0
    #[arg(long, alias = "license", value_name = "ID")]
    pub(crate) licence: Option<String>,
    /// Where the authors are, or the party is established: ISO 3166-1 alpha-2 code in capitals
    #[arg(long, value_name = "CODE", value_parser = Jurisdiction::new)]
    pub(crate) jurisdiction: Option<Jurisdiction>,
    /// With --parties, a Hong Kong Business Registration Number that they say is theirs
    #[arg(long, value_name = "NUMBER", requires = "parties")]
    pub(crate) brn: Option<String>,
    /// Where the bytes may be kept
    #[arg(long, value_parser = one_of::<ResidencyZone, 4>(["HK", "CN-GBA", "CN", "WORLD"]))]
    pub(crate) zone: Option<ResidencyZone>,
    /// Registered on this day or later (2026-05-02), or at this moment (2026-05-02T08:30:00.000Z)
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    /// Most results
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=ROWS_MAX))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) form: FormArguments,
    #[command(flatten)]
    pub(crate) engine: EngineArguments,
}

/// Arguments of `chopmark lineage`.
#[derive(Debug, Args)]
pub(crate) struct LineageArguments {
    /// The artefact: its id, whole or shown
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Only what it was made from
    #[arg(long, conflicts_with = "down")]
    pub(crate) up: bool,
    /// Only what was made from it
    #[arg(long)]
    pub(crate) down: bool,
    /// Steps each way
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) depth: u32,
}
