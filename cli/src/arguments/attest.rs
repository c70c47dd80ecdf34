//! Arguments of `chopmark attest`, `chopmark endorse` and `chopmark party verify|unverify`.

use std::path::PathBuf;

use chopmark_core::code::ResidencyZone;
use chopmark_core::party::Scheme;
use clap::{ArgGroup, Args};

use super::cosign::CosignArguments;
use super::hash::{EngineArguments, FormArguments};
use super::one_of;
use super::register::ConsentArguments;

/// What everything said about another's statement takes.
#[expect(clippy::doc_markdown, reason = "clap shows these comments as they are")]
#[derive(Debug, Args)]
pub(crate) struct SayArguments {
    /// The party that says it: an id, or a file made by `party register --party-file` [env: CHOPMARK_PARTY]
    /// [default: the party that your key registered]
    #[arg(long = "party", value_name = "PARTY", id = "said_by")]
    pub(crate) party: Option<String>,
    #[command(flatten)]
    pub(crate) cosign: CosignArguments,
    #[command(flatten)]
    pub(crate) consent: ConsentArguments,
}

/// Arguments of `chopmark attest`.
#[expect(clippy::doc_markdown, reason = "clap shows these comments as they are")]
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["artefact", "bundle"]))]
pub(crate) struct AttestArguments {
    /// The directory or file to hash; only the result is said
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,
    /// The artefact that it should be
    #[arg(long, value_name = "ID")]
    pub(crate) artefact: Option<String>,
    /// An offline bundle of the artefact that it should be
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,
    /// Where these bytes lie
    #[arg(long, value_parser = one_of::<ResidencyZone, 4>(["HK", "CN-GBA", "CN", "WORLD"]))]
    pub(crate) zone: ResidencyZone,
    /// Trust policy to judge the registry by, instead of pinning it on first contact [env: CHOPMARK_TRUST]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) say: SayArguments,
    #[command(flatten)]
    pub(crate) form: FormArguments,
    #[command(flatten)]
    pub(crate) engine: EngineArguments,
}

/// Arguments of `chopmark endorse`.
#[derive(Debug, Args)]
pub(crate) struct EndorseArguments {
    /// The statement that you sign too: its id, whole or shown
    #[arg(value_name = "STATEMENT")]
    pub(crate) statement: String,
    #[command(flatten)]
    pub(crate) say: SayArguments,
}

/// Arguments of `chopmark party verify`.
#[derive(Debug, Args)]
pub(crate) struct PartyVerifyArguments {
    /// The party whose identity you verified: its id, whole or shown
    #[arg(value_name = "PARTY")]
    pub(crate) verified: String,
    /// An identifier that you looked up in its register, once for each
    #[arg(long = "identifier", value_name = "SCHEME", value_parser = one_of::<Scheme, 3>(["hk_brn", "cn_uscc", "lei"]))]
    pub(crate) identifiers: Vec<Scheme>,
    #[command(flatten)]
    pub(crate) cosign: CosignArguments,
    #[command(flatten)]
    pub(crate) consent: ConsentArguments,
}

/// Arguments of `chopmark party unverify`.
#[derive(Debug, Args)]
pub(crate) struct PartyUnverifyArguments {
    /// The party: its id, whole or shown
    #[arg(value_name = "PARTY")]
    pub(crate) verified: String,
    #[command(flatten)]
    pub(crate) cosign: CosignArguments,
    #[command(flatten)]
    pub(crate) consent: ConsentArguments,
}
