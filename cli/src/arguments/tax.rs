//! Arguments of `chopmark tax`.

use std::path::PathBuf;

use chopmark_core::tax::words::Language;
use chopmark_core::tax::year::Date;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Subcommand};

/// The commands about tax.
#[derive(Debug, Subcommand)]
pub(crate) enum TaxCommand {
    /// Compute deductions, receipts and withholding from facts: every figure with its section, source and arithmetic
    Compute(TaxComputeArguments),
    /// Explain one line of what `tax compute` shows
    Explain(TaxExplainArguments),
    /// List the rules with their dates, sources and digest
    Rules(TaxRulesArguments),
}

/// What the tax commands share.
#[derive(Debug, Args)]
pub(crate) struct JurisdictionArguments {
    /// Whose rules
    #[arg(long = "rules", value_name = "CODE", default_value = "hk")]
    pub(crate) code: String,
    /// Language of what is said
    #[arg(
        long,
        default_value = Language::English.tag(),
        value_parser = PossibleValuesParser::new(Language::ALL.map(Language::tag))
            .try_map(|tag| tag.parse::<Language>())
    )]
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
