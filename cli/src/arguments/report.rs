//! Arguments of `chopmark report`.

use std::path::PathBuf;

use chopmark_core::artefact::IpType;
use chopmark_core::code::Jurisdiction;
use chopmark_core::expenditure::{Nature, Status};
use chopmark_core::tax::lines::FlagCode;
use chopmark_core::tax::words::Language;
use chopmark_core::tax::year::Year;
use clap::{Args, Subcommand};

use super::pay::NATURES;
use super::register::IP_TYPES;
use super::sealed::{LoginArguments, ReasonArguments, VaultKeyArguments, ZoneArguments};
use super::service::StoreArguments;
use super::{languages, one_of};

/// What to do with reports.
#[derive(Debug, Subcommand)]
pub(crate) enum ReportCommand {
    /// Have a registry report on a taxpayer's expenditure on intellectual property, signed and with all it rests on
    IpExpenditure(Box<IpExpenditureArguments>),
    /// Check a report without a network: signature, entries, openings, and every figure computed again; or an export or dataset
    /// by the signature beside it
    Verify(ReportVerifyArguments),
    /// Show what a line of a report rests on, down to the digest of the document and who signed
    Explain(ReportExplainArguments),
    /// On the operator's machine, for an officer: compute every report of a jurisdiction anew, compare the sums with those that
    /// are kept, and write the lines as a dataset
    Recompute(ReportRecomputeArguments),
}

impl ReportCommand {
    /// The command as written.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::IpExpenditure(_) => "report ip-expenditure",
            Self::Verify(_) => "report verify",
            Self::Explain(_) => "report explain",
            Self::Recompute(_) => "report recompute",
        }
    }
}

/// Flags, as reports write them.
const FLAGS: [&str; 13] = [
    "ASSOCIATE_SELLER",
    "DUPLICATE_CLAIM",
    "DISPOSAL_WITHOUT_CLAWBACK",
    "SLICE_WHEN_UNUSED",
    "FOREIGN_USE_BY_LICENSEE",
    "SALE_AND_LICENCE_BACK",
    "LICENCE_AS_PURCHASE",
    "RIGHT_LAPSED",
    "NO_WITHHOLDING",
    "DEEMED_100",
    "UNCONFIRMED",
    "FX_UNSOURCED",
    "NEEDS_REVIEW",
];

/// Arguments of `chopmark report ip-expenditure`.
#[expect(clippy::doc_markdown, reason = "clap shows these comments as they are")]
#[derive(Debug, Args)]
pub(crate) struct IpExpenditureArguments {
    /// Whose expenditure: a party's id, or a Business Registration Number of 8 digits [default: the party to act for]
    #[arg(long, value_name = "TAXPAYER")]
    pub(crate) taxpayer: Option<String>,
    /// A year of assessment, such as 2026/27; several times for several [default: all]
    #[arg(long = "year", value_name = "YEAR")]
    pub(crate) years: Vec<Year>,
    /// As the registry stood with so many entries [default: now]
    #[arg(long, value_name = "SIZE")]
    pub(crate) as_of: Option<u64>,
    /// A proposed rule to apply, by name; several times for several
    #[arg(long = "proposed-rule", value_name = "RULE")]
    pub(crate) proposed_rules: Vec<String>,
    /// Only what this party paid
    #[arg(long, value_name = "PARTY")]
    pub(crate) payer: Option<String>,
    /// Only what this party was paid
    #[arg(long, value_name = "PARTY")]
    pub(crate) payee: Option<String>,
    /// Only rights of this type
    #[arg(long, value_name = "TYPE", value_parser = one_of::<IpType, 8>(IP_TYPES))]
    pub(crate) ip_type: Option<IpType>,
    /// Only payments of this nature
    #[arg(long, value_parser = one_of::<Nature, 9>(NATURES))]
    pub(crate) nature: Option<Nature>,
    /// Only rights registered there, or payments with somebody resident there
    #[arg(long, value_name = "CODE", value_parser = Jurisdiction::new)]
    pub(crate) place: Option<Jurisdiction>,
    /// Only payments with associates, or only others
    #[arg(long, value_name = "BOOLEAN")]
    pub(crate) associate: Option<bool>,
    /// Only payments of at least so many Hong Kong dollars
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) amount_min: Option<String>,
    /// Only payments of at most so many
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) amount_max: Option<String>,
    /// Only lines of which this is flagged
    #[arg(long, value_name = "FLAG", value_parser = one_of::<FlagCode, 13>(FLAGS))]
    pub(crate) flag: Option<FlagCode>,
    /// Only what stands so
    #[arg(long, value_parser = one_of::<Status, 3>(["active", "corrected", "reversed"]))]
    pub(crate) status: Option<Status>,
    /// In what to write it, commas between; json is the signed report itself, and always written
    #[arg(long, value_name = "FORMATS", value_delimiter = ',', default_value = "json")]
    pub(crate) format: Vec<String>,
    /// Language of the words in csv, xlsx and pdf; parquet has codes
    #[arg(long, default_value = Language::English.tag(), value_parser = languages())]
    pub(crate) lang: Language,
    /// Have CSV begin with a byte order mark, by which spreadsheet programs know UTF-8
    #[arg(long)]
    pub(crate) bom: bool,
    /// The directory to write to; files in it are called ip-2026-27.json and so on, and none is overwritten
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    pub(crate) out: PathBuf,
    /// Trust policy to judge the registry by, instead of pinning it on first contact [env: CHOPMARK_TRUST]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) login: LoginArguments,
    #[command(flatten)]
    pub(crate) reason: ReasonArguments,
}

/// Arguments of `chopmark report verify`.
#[expect(clippy::doc_markdown, reason = "clap shows these comments as they are")]
#[derive(Debug, Args)]
pub(crate) struct ReportVerifyArguments {
    /// The report, as JSON; or an export, or a dataset's dataset.json, with its .sig beside it
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Trust policy to judge the registry by [env: CHOPMARK_TRUST]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    /// Have the registry make it again, too, and compare byte by byte
    #[arg(long)]
    pub(crate) online: bool,
    #[command(flatten)]
    pub(crate) login: LoginArguments,
    #[command(flatten)]
    pub(crate) reason: ReasonArguments,
}

/// Arguments of `chopmark report explain`.
#[expect(clippy::doc_markdown, reason = "clap shows these comments as they are")]
#[derive(Debug, Args)]
pub(crate) struct ReportExplainArguments {
    /// The report, as JSON; it is checked first
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The line's number
    #[arg(long, value_name = "NUMBER")]
    pub(crate) line: usize,
    /// Language of what is said
    #[arg(long, default_value = Language::English.tag(), value_parser = languages())]
    pub(crate) lang: Language,
    /// Trust policy to judge the registry by [env: CHOPMARK_TRUST]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
}

/// Arguments of `chopmark report recompute`.
#[expect(clippy::doc_markdown, reason = "clap shows these comments as they are")]
#[derive(Debug, Args)]
pub(crate) struct ReportRecomputeArguments {
    /// Write the lines to this directory, which must not be there yet, as Parquet files by jurisdiction and year
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) parquet: Option<PathBuf>,
    /// The case in the authority's files; the officer's token is taken from CHOPMARK_TOKEN
    #[arg(long = "case", value_name = "REFERENCE")]
    pub(crate) case_reference: String,
    /// What for
    #[arg(long, value_name = "TEXT")]
    pub(crate) purpose: String,
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    #[command(flatten)]
    pub(crate) key: VaultKeyArguments,
    #[command(flatten)]
    pub(crate) zones: ZoneArguments,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_can_be_asked_for() {
        let codes: Vec<&str> = FlagCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes, FLAGS);
    }
}
