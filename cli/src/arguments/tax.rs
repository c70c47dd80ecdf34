//! Arguments of `chopmark tax`.

use std::path::PathBuf;

use chopmark_core::code::Jurisdiction;
use chopmark_core::expenditure::{CorrectionReason, RelationKind};
use chopmark_core::money::{Currency, Fraction};
use chopmark_core::tax::facts::{Entity, Trade, UsedBy};
use chopmark_core::tax::words::Language;
use chopmark_core::tax::year::{Date, Year, YearEnd};
use clap::{Args, Subcommand};

use super::attest::SayArguments;
use super::pay::{REASONS, VaultZoneArguments};
use super::{languages, one_of};

/// The commands about tax.
#[derive(Debug, Subcommand)]
pub(crate) enum TaxCommand {
    /// Compute deductions, receipts and withholding from facts: every figure with its section, source and arithmetic
    Compute(TaxComputeArguments),
    /// Explain one line of what `tax compute` shows
    Explain(TaxExplainArguments),
    /// List the rules with their dates, sources and digest
    Rules(TaxRulesArguments),
    /// Say how much of a right was used in a year, and by whom; the fraction is sealed
    Use(Box<TaxUseArguments>),
    /// Say how you are assessed: entity, year-end, where you trade
    Profile(Box<TaxProfileArguments>),
    /// Say who is, or was, your associate
    Relation(Box<TaxRelationArguments>),
    /// Put a published rate of exchange on record
    Rate(Box<TaxRateArguments>),
}

impl TaxCommand {
    /// The command as written.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Compute(_) => "tax compute",
            Self::Explain(_) => "tax explain",
            Self::Rules(_) => "tax rules",
            Self::Use(_) => "tax use",
            Self::Profile(_) => "tax profile",
            Self::Relation(_) => "tax relation",
            Self::Rate(_) => "tax rate",
        }
    }
}

/// What the tax commands share.
#[derive(Debug, Args)]
pub(crate) struct JurisdictionArguments {
    /// Whose rules
    #[arg(long = "rules", value_name = "CODE", default_value = "hk")]
    pub(crate) code: String,
    /// Language of what is said
    #[arg(long, default_value = Language::English.tag(), value_parser = languages())]
    pub(crate) lang: Language,
}

/// Arguments of `chopmark tax compute`.
#[derive(Debug, Args)]
pub(crate) struct TaxComputeArguments {
    #[command(flatten)]
    pub(crate) jurisdiction: JurisdictionArguments,
    /// The facts, as docs/formats/tax-facts.md describes them
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
}

/// Arguments of `chopmark tax explain`.
#[derive(Debug, Args)]
pub(crate) struct TaxExplainArguments {
    #[command(flatten)]
    pub(crate) jurisdiction: JurisdictionArguments,
    /// The facts, as docs/formats/tax-facts.md describes them
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// The line's number in what `tax compute` shows
    #[arg(long, value_name = "NUMBER")]
    pub(crate) line: usize,
}

/// Arguments of `chopmark tax rules`.
#[derive(Debug, Args)]
pub(crate) struct TaxRulesArguments {
    #[command(flatten)]
    pub(crate) jurisdiction: JurisdictionArguments,
    /// Only the rules in force on a day, such as 2018-06-29
    #[arg(long, value_name = "DATE")]
    pub(crate) as_of: Option<Date>,
    /// Proposed rules too, which are not law
    #[arg(long)]
    pub(crate) proposed: bool,
}

/// Arguments of `chopmark tax use`.
#[derive(Debug, Args)]
pub(crate) struct TaxUseArguments {
    /// The right: the asset's id, whole or shown
    #[arg(long, value_name = "ID")]
    pub(crate) asset: String,
    /// The year of assessment, such as 2026/27
    #[arg(long, value_name = "YEAR")]
    pub(crate) year: Year,
    /// Who used it
    #[arg(long, default_value = "self", value_parser = one_of::<UsedBy, 3>(["self", "licensee_hk", "licensee_abroad"]))]
    pub(crate) by: UsedBy,
    /// The part of it that was used to produce profits chargeable in Hong Kong, from 0 to 1; sealed
    #[arg(long, value_name = "FRACTION", value_parser = Fraction::parse)]
    pub(crate) fraction: Fraction,
    /// Of a licensee abroad: whether what it pays is taxed in Hong Kong
    #[arg(long, value_name = "BOOLEAN")]
    pub(crate) taxed_in_hk: Option<bool>,
    /// The use that this takes the place of: its id
    #[arg(long, value_name = "ID", requires = "reason")]
    pub(crate) corrects: Option<String>,
    /// Why it is corrected
    #[arg(long, requires = "corrects", value_parser = one_of::<CorrectionReason, 7>(REASONS))]
    pub(crate) reason: Option<CorrectionReason>,
    /// The latest correction, where there is one already [default: as the registry has it]
    #[arg(long, value_name = "ID", requires = "corrects")]
    pub(crate) follows: Option<String>,
    #[command(flatten)]
    pub(crate) vault: VaultZoneArguments,
    #[command(flatten)]
    pub(crate) say: SayArguments,
}

/// Arguments of `chopmark tax profile`.
#[derive(Debug, Args)]
pub(crate) struct TaxProfileArguments {
    /// The year of assessment from which on it counts
    #[arg(long, value_name = "YEAR")]
    pub(crate) from: Year,
    /// Hong Kong Business Registration Number (8 digits)
    #[arg(long, value_name = "NUMBER")]
    pub(crate) brn: Option<String>,
    /// The Inland Revenue Department's file number, such as 22/12345678
    #[arg(long, value_name = "NUMBER")]
    pub(crate) file_number: Option<String>,
    /// What you are
    #[arg(
        long,
        default_value = "corporation",
        value_parser = one_of::<Entity, 2>(["corporation", "unincorporated"])
    )]
    pub(crate) entity: Entity,
    /// The day on which you close your accounts, such as 12-31
    #[arg(long, value_name = "MM-DD", default_value = "03-31")]
    pub(crate) year_end: YearEnd,
    /// Where you trade
    #[arg(long, default_value = "wholly_hk", value_parser = one_of::<Trade, 2>(["wholly_hk", "partly_hk"]))]
    pub(crate) trade: Trade,
    /// Of a trade partly elsewhere: the part of the profits that is of Hong Kong
    #[arg(long, value_name = "FRACTION", value_parser = Fraction::parse)]
    pub(crate) hk_proportion: Option<Fraction>,
    /// You are the one of your group that two-tiered rates are for
    #[arg(long)]
    pub(crate) two_tier: bool,
    /// The day on which your business began
    #[arg(long, value_name = "DATE")]
    pub(crate) commenced: Option<Date>,
    /// The day on which your business ended
    #[arg(long, value_name = "DATE")]
    pub(crate) ceased: Option<Date>,
    #[command(flatten)]
    pub(crate) say: SayArguments,
}

/// Arguments of `chopmark tax relation`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("other").required(true).args(["with", "with_name"]))]
pub(crate) struct TaxRelationArguments {
    /// Your associate: a party's id
    #[arg(long, value_name = "PARTY")]
    pub(crate) with: Option<String>,
    /// Your associate, where that is no party here: an organisation, never a person
    #[arg(long, value_name = "NAME", requires = "with_jurisdiction")]
    pub(crate) with_name: Option<String>,
    /// Where that one is resident
    #[arg(long, value_name = "CODE", value_parser = Jurisdiction::new, requires = "with_name")]
    pub(crate) with_jurisdiction: Option<Jurisdiction>,
    /// How you are related: you control it, it controls you, and so on
    #[arg(
        long,
        value_parser = one_of::<RelationKind, 5>(["controls", "controlled_by", "common_control", "partner", "trust"])
    )]
    pub(crate) relation: RelationKind,
    /// From which day on
    #[arg(long, value_name = "DATE")]
    pub(crate) from: Date,
    /// Until which day, that day not included [default: still]
    #[arg(long, value_name = "DATE")]
    pub(crate) until: Option<Date>,
    #[command(flatten)]
    pub(crate) say: SayArguments,
}

/// Arguments of `chopmark tax rate`.
#[derive(Debug, Args)]
pub(crate) struct TaxRateArguments {
    /// The currency that is counted in units
    #[arg(long, value_name = "CODE")]
    pub(crate) from: Currency,
    /// How many units
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub(crate) units: String,
    /// The currency they are expressed in; one of the two is HKD
    #[arg(long, value_name = "CODE", default_value = "HKD")]
    pub(crate) to: Currency,
    /// How much of it they are
    #[arg(long, value_name = "NUMBER")]
    pub(crate) rate: String,
    /// Who published it, and as what
    #[arg(long, value_name = "TEXT")]
    pub(crate) source: String,
    /// For which day, or up to which
    #[arg(long, value_name = "DATE")]
    pub(crate) date: Date,
    /// Say it as the operator, for everybody
    #[arg(long, conflicts_with = "said_by")]
    pub(crate) as_operator: bool,
    #[command(flatten)]
    pub(crate) say: SayArguments,
}
