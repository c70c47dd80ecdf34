//! Arguments of `chopmark party`.

use std::path::PathBuf;

use chopmark_core::code::Jurisdiction;
use chopmark_core::key::PublicKey;
use chopmark_core::text::Names;
use clap::{Args, Subcommand};

use super::attest::{PartyUnverifyArguments, PartyVerifyArguments};
use super::cosign::CosignArguments;
use super::register::ConsentArguments;

/// What to do with parties.
#[derive(Debug, Subcommand)]
pub(crate) enum PartyCommand {
    /// Register an organisation with the keys that speak for it; everything said about it becomes public
    Register(PartyRegisterArguments),
    /// As the operator: say that you verified who a party is, which protects its name
    Verify(PartyVerifyArguments),
    /// As the operator: take that back
    Unverify(PartyUnverifyArguments),
}

/// Arguments of `chopmark party register`.
#[derive(Debug, Args)]
pub(crate) struct PartyRegisterArguments {
    #[command(flatten)]
    pub(crate) names: NameArguments,
    /// Where the organisation is established: ISO 3166-1 alpha-2 code in capitals
    #[arg(long, value_name = "CODE", value_parser = Jurisdiction::new)]
    pub(crate) jurisdiction: Jurisdiction,
    /// Hong Kong Business Registration Number (8 digits)
    #[arg(long, value_name = "NUMBER")]
    pub(crate) brn: Option<String>,
    /// Unified social credit code of Mainland China (18 characters)
    #[arg(long, value_name = "CODE")]
    pub(crate) uscc: Option<String>,
    /// Legal Entity Identifier (20 characters)
    #[arg(long, value_name = "CODE")]
    pub(crate) lei: Option<String>,
    /// How many of the keys must sign together from now on [default: 1 for one key; must be given for several]
    #[arg(long, value_name = "N")]
    pub(crate) threshold: Option<u32>,
    /// Public half of a further root key, which lies elsewhere; several times for several. Every root key signs
    #[arg(long = "root-key", value_name = "PUBLIC_KEY", requires = "sign_only")]
    pub(crate) root_keys: Vec<PublicKey>,
    /// Also write the party's id and public facts to this file, for `--party` on another machine
    #[arg(long, value_name = "FILE")]
    pub(crate) party_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) cosign: CosignArguments,
    #[command(flatten)]
    pub(crate) consent: ConsentArguments,
}

/// A name in up to three languages.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct NameArguments {
    /// Name in English
    #[arg(long = "name-en", value_name = "NAME")]
    pub(crate) en: Option<String>,
    /// Name in traditional Chinese characters (繁體)
    #[arg(long = "name-zh-hant", value_name = "NAME")]
    pub(crate) zh_hant: Option<String>,
    /// Name in simplified Chinese characters (简体)
    #[arg(long = "name-zh-hans", value_name = "NAME")]
    pub(crate) zh_hans: Option<String>,
}

impl From<NameArguments> for Names {
    fn from(arguments: NameArguments) -> Self {
        Self { en: arguments.en, zh_hant: arguments.zh_hant, zh_hans: arguments.zh_hans }
    }
}
