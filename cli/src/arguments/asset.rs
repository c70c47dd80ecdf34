//! Arguments of `chopmark asset`.

use chopmark_core::artefact::IpType;
use chopmark_core::code::Jurisdiction;
use chopmark_core::tax::facts::LapseCause;
use chopmark_core::tax::year::{Date, YearEnd};
use clap::{Args, Subcommand};

use super::attest::SayArguments;
use super::one_of;
use super::party::NameArguments;
use super::pay::CorrectionArguments;
use super::register::IP_TYPES;

/// What to do with intellectual property rights.
#[derive(Debug, Subcommand)]
pub(crate) enum AssetCommand {
    /// Say that you have a right: a patent, a copyright, a trade mark and so on
    Register(Box<AssetRegisterArguments>),
    /// Put another version in its place: it lapsed, its title left, or something was wrong
    Correct(Box<AssetCorrectArguments>),
}

impl AssetCommand {
    /// The command as written.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Register(_) => "asset register",
            Self::Correct(_) => "asset correct",
        }
    }
}

/// What is said of a right, as far as it is said.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RightArguments {
    #[command(flatten)]
    pub(crate) title: NameArguments,
    /// What it is
    #[arg(long, value_name = "TYPE", value_parser = one_of::<IpType, 8>(IP_TYPES))]
    pub(crate) ip_type: Option<IpType>,
    /// Where it is registered, or subsists: ISO 3166-1 alpha-2 code in capitals
    #[arg(long, value_name = "CODE", value_parser = Jurisdiction::new)]
    pub(crate) jurisdiction: Option<Jurisdiction>,
    /// Whether it was registered or granted when it was acquired, where it has to be [default: whether there is a number]
    #[arg(long, value_name = "BOOLEAN")]
    pub(crate) registered: Option<bool>,
    /// Its number in the register
    #[arg(long = "number", value_name = "NUMBER")]
    pub(crate) registration_number: Option<String>,
    /// When it was registered
    #[arg(long, value_name = "DATE")]
    pub(crate) registered_on: Option<Date>,
    /// The last day of the longest protection possible
    #[arg(long, value_name = "DATE")]
    pub(crate) protection_ends: Option<Date>,
    /// Of a copyright: whether it is in software; it is where nothing is said
    #[arg(long, value_name = "BOOLEAN")]
    pub(crate) software: Option<bool>,
    /// An artefact it covers: its id; several times for several
    #[arg(long = "artefact", value_name = "ID")]
    pub(crate) artefacts: Vec<String>,
    /// The day on which it came to you by amalgamation
    #[arg(long, value_name = "DATE", requires = "predecessors")]
    pub(crate) succeeded_on: Option<Date>,
    #[command(flatten)]
    pub(crate) predecessor: PredecessorArguments,
}

/// From whom a right came.
#[derive(Debug, Clone, Default, Args)]
#[group(id = "predecessors", multiple = true)]
pub(crate) struct PredecessorArguments {
    /// Who had it before: a party's id
    #[arg(long, value_name = "PARTY", conflicts_with = "predecessor_name", requires = "succeeded_on")]
    pub(crate) predecessor: Option<String>,
    /// Who had it before, where that is no party here
    #[arg(long, value_name = "NAME", requires_all = ["predecessor_jurisdiction", "succeeded_on"])]
    pub(crate) predecessor_name: Option<String>,
    /// Where that one was resident
    #[arg(long, value_name = "CODE", value_parser = Jurisdiction::new, requires = "predecessor_name")]
    pub(crate) predecessor_jurisdiction: Option<Jurisdiction>,
    /// When that one closed its accounts, such as 12-31
    #[arg(long, value_name = "MM-DD", requires = "succeeded_on")]
    pub(crate) predecessor_year_end: Option<YearEnd>,
}

/// Arguments of `chopmark asset register`.
#[derive(Debug, Args)]
pub(crate) struct AssetRegisterArguments {
    #[command(flatten)]
    pub(crate) right: RightArguments,
    #[command(flatten)]
    pub(crate) say: SayArguments,
}

/// Arguments of `chopmark asset correct`.
#[derive(Debug, Args)]
pub(crate) struct AssetCorrectArguments {
    /// The asset: its id, whole or shown
    #[arg(value_name = "ASSET")]
    pub(crate) asset: String,
    #[command(flatten)]
    pub(crate) correction: CorrectionArguments,
    /// The day on which the registration ended
    #[arg(long, value_name = "DATE", requires = "cause")]
    pub(crate) lapsed_on: Option<Date>,
    /// Why it ended
    #[arg(
        long,
        requires = "lapsed_on",
        value_parser = one_of::<LapseCause, 5>(["expired", "refused", "revoked", "invalidated", "surrendered"])
    )]
    pub(crate) cause: Option<LapseCause>,
    /// The day on which the title left you; a sale is a payment beside
    #[arg(long, value_name = "DATE")]
    pub(crate) title_left_on: Option<Date>,
    /// To whom: a party's id
    #[arg(long, value_name = "PARTY", conflicts_with = "to_name", requires = "title_left_on")]
    pub(crate) to: Option<String>,
    /// To whom, where that is no party here
    #[arg(long, value_name = "NAME", requires_all = ["to_jurisdiction", "title_left_on"])]
    pub(crate) to_name: Option<String>,
    /// Where that one is resident
    #[arg(long, value_name = "CODE", value_parser = Jurisdiction::new, requires = "to_name")]
    pub(crate) to_jurisdiction: Option<Jurisdiction>,
    #[command(flatten)]
    pub(crate) right: RightArguments,
    #[command(flatten)]
    pub(crate) say: SayArguments,
}
