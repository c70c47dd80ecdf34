//! Arguments of `chopmark register`, and the consent that every public record needs.

use std::path::PathBuf;

use chopmark_core::artefact::{ArtefactKind, IpType, Relation};
use chopmark_core::code::{Jurisdiction, ResidencyZone};
use chopmark_core::licence::DeclaredLicence;
use clap::Args;

use super::cosign::CosignArguments;
use super::hash::{EngineArguments, FormArguments};
use super::one_of;
use super::party::NameArguments;

/// Arguments of `chopmark register`.
#[expect(clippy::doc_markdown, reason = "clap shows these comments as they are")]
#[derive(Debug, Args)]
pub(crate) struct RegisterArguments {
    /// The directory or file to register, or a container image by digest (see --manifest); its content stays here,
    /// names and digests are sent
    #[arg(value_name = "PATH", required_unless_present = "from")]
    pub(crate) path: Option<PathBuf>,
    /// Register everything on a list instead: one JSON object a line, with members named like these options. Run it
    /// again after an interruption and it goes on
    #[arg(long, value_name = "LIST", conflicts_with_all = OF_ONE_ARTEFACT)]
    pub(crate) from: Option<PathBuf>,
    /// Where to write the report about a list, as one JSON document, or line by line where the name ends in .jsonl
    /// [default: beside the list, with .report.json]
    #[arg(long, value_name = "FILE", requires = "from")]
    pub(crate) report: Option<PathBuf>,
    /// The licence you declare: an SPDX expression such as apache-2.0, or LicenseRef-… for your own terms
    #[arg(
        long,
        alias = "license",
        value_name = "EXPRESSION",
        value_parser = DeclaredLicence::parse,
        required_unless_present = "from"
    )]
    pub(crate) licence: Option<DeclaredLicence>,
    #[command(flatten)]
    pub(crate) names: NameArguments,
    /// Version, as you count [default: that in the name of a wheel, crate or source archive, or an image's tag; else 1]
    #[arg(long = "version", value_name = "VERSION")]
    pub(crate) artefact_version: Option<String>,
    /// What it is [default: software for wheels, crates, source archives and images, dataset for datasets--… in the
    /// Hugging Face cache; else model]
    #[arg(long, value_parser = one_of::<ArtefactKind, 3>(["model", "software", "dataset"]))]
    pub(crate) kind: Option<ArtefactKind>,
    /// Under which head of intellectual property it is accounted for
    #[arg(long, value_name = "TYPE", default_value = "copyright", value_parser = one_of::<IpType, 8>(IP_TYPES))]
    pub(crate) ip_type: IpType,
    /// Where its authors are: ISO 3166-1 alpha-2 code in capitals [default: your party's]
    #[arg(long, value_name = "CODE", value_parser = Jurisdiction::new)]
    pub(crate) jurisdiction: Option<Jurisdiction>,
    /// Where its bytes and sealed values may be kept
    #[arg(long, default_value = "WORLD", value_parser = one_of::<ResidencyZone, 4>(["HK", "CN-GBA", "CN", "WORLD"]))]
    pub(crate) zone: ResidencyZone,
    /// An artefact it was made from: its id, or sha256:… of its manifest or of one of its files where it is not
    /// registered; several times for several
    #[arg(long = "parent", value_name = "ID", requires = "relations")]
    pub(crate) parents: Vec<String>,
    /// How it comes from the parent: once for all parents, or once for each in the same order
    #[arg(
        long = "relation",
        requires = "parents",
        value_parser = one_of::<Relation, 5>(["finetune", "adapter", "merge", "quantized", "derived"])
    )]
    pub(crate) relations: Vec<Relation>,
    /// Register it although its licence conflicts with those of what it was made from; the record says so
    #[arg(long, requires = "parents")]
    pub(crate) accept_conflict: bool,
    /// The artefact of yours that this one takes the place of: its previous version, as a rule
    #[arg(long, value_name = "ID")]
    pub(crate) supersedes: Option<String>,
    /// The party to register it for: an id, or a file made by `party register --party-file` [env: CHOPMARK_PARTY]
    /// [default: the party that your key registered]
    #[arg(long, value_name = "PARTY")]
    pub(crate) party: Option<String>,
    /// Trust policy to judge the registry by, instead of pinning it on first contact [env: CHOPMARK_TRUST]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// Where to write the offline bundle [default: the name of PATH with .chop, in this directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Also write a sidecar, FILE.b3tree: the BLAKE3 value of every MiB, by which `verify` names damaged places. Beside
    /// the bundle and called like it, it is found by itself
    #[arg(long, value_name = "FILE")]
    pub(crate) sidecar: Option<PathBuf>,
    /// Read every file, also those that did not change since they were read to be registered
    #[arg(long)]
    pub(crate) no_cache: bool,
    #[command(flatten)]
    pub(crate) cosign: CosignArguments,
    #[command(flatten)]
    pub(crate) consent: ConsentArguments,
    #[command(flatten)]
    pub(crate) form: FormArguments,
    #[command(flatten)]
    pub(crate) engine: EngineArguments,
}

/// What a list says for each artefact by itself.
const OF_ONE_ARTEFACT: [&str; 20] = [
    "path",
    "licence",
    "en",
    "zh_hant",
    "zh_hans",
    "artefact_version",
    "kind",
    "ip_type",
    "jurisdiction",
    "zone",
    "parents",
    "relations",
    "accept_conflict",
    "supersedes",
    "out",
    "sidecar",
    "revision",
    "manifest",
    "sign_only",
    "cosigners",
];

/// Types of intellectual property.
pub(super) const IP_TYPES: [&str; 8] = [
    "copyright",
    "patent_right",
    "know_how",
    "performers_economic_right",
    "layout_design",
    "plant_variety_right",
    "registered_design",
    "registered_trade_mark",
];

/// Consent of its own, never part of another flag: what enters the record stays.
#[expect(clippy::doc_markdown, reason = "clap shows these comments as they are")]
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ConsentArguments {
    /// Agree that the statement becomes part of a public record for ever; asked for on a terminal when left out, and
    /// not needed for a registry on this machine
    /// [env: CHOPMARK_ACCEPT_PUBLIC_RECORD=1]
    #[arg(long)]
    pub(crate) accept_public_record: bool,
    /// Show exactly which bytes would become public, and send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offered_word_is_one_the_statement_knows() {
        for word in IP_TYPES {
            assert!(serde_json::from_value::<IpType>(word.into()).is_ok(), "{word}");
        }
        for word in ["HK", "CN-GBA", "CN", "WORLD"] {
            assert!(serde_json::from_value::<ResidencyZone>(word.into()).is_ok(), "{word}");
        }
        for word in ["finetune", "adapter", "merge", "quantized", "derived"] {
            assert!(serde_json::from_value::<Relation>(word.into()).is_ok(), "{word}");
        }
        for word in ["model", "software", "dataset"] {
            assert!(serde_json::from_value::<ArtefactKind>(word.into()).is_ok(), "{word}");
        }
    }
}
