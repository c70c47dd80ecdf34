//! Arguments of `chopmark sign` and `chopmark submit`, and those that make other commands leave a statement to be signed.

use std::path::PathBuf;

use chopmark_core::key::KeyId;
use chopmark_core::terms::vocabulary::Language;
use clap::Args;

use super::licence::LANGUAGES;
use super::one_of;
use super::register::ConsentArguments;

/// For statements that not all signers can sign on one machine.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct CosignArguments {
    /// Sign with the keys at hand, write the statement to this file and send nothing: the others add their signatures
    /// with `chopmark sign`, the last one sends it with `chopmark submit`
    #[arg(long, value_name = "FILE")]
    pub(crate) sign_only: Option<PathBuf>,
    /// Id of a key elsewhere that is going to sign, once for each [default: any of the party's root keys; key events,
    /// which every listed key must sign, need this unless there is no choice]
    #[arg(long = "cosigner", value_name = "KEY_ID", requires = "sign_only")]
    pub(crate) cosigners: Vec<KeyId>,
}

/// Arguments of `chopmark sign`.
#[derive(Debug, Args)]
pub(crate) struct SignArguments {
    /// The statement, made with `--sign-only`; your signature is added to it
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Language in which terms are shown
    #[arg(long, value_name = "LANGUAGE", default_value = "en", value_parser = one_of::<Language, 3>(LANGUAGES))]
    pub(crate) lang: Language,
    #[command(flatten)]
    pub(crate) consent: ConsentArguments,
}

/// Arguments of `chopmark submit`.
#[derive(Debug, Args)]
pub(crate) struct SubmitArguments {
    /// The statement; several copies of it that were signed apart are put together
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// For an artefact: where to write the offline bundle [default: the name of FILE with .chop, beside it]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// For a party: also write its id and public facts to this file, for `--party` on another machine
    #[arg(long, value_name = "FILE")]
    pub(crate) party_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) consent: ConsentArguments,
}
