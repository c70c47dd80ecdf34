//! Arguments of `chopmark pay`. The options about a payment are the columns of a list of payments, too.

use std::path::PathBuf;

use chopmark_core::artefact::IpType;
use chopmark_core::code::{Jurisdiction, ResidencyZone};
use chopmark_core::expenditure::{CorrectionReason, Nature};
use chopmark_core::money::{Currency, Fraction};
use chopmark_core::tax::facts::{Acquires, Funding, PerformedBy, ResearchPlace, UsedIn};
use chopmark_core::tax::year::Date;
use clap::{Args, Subcommand, ValueEnum};

use super::attest::SayArguments;
use super::one_of;
use super::register::{ConsentArguments, IP_TYPES};

/// What to do with payments.
#[derive(Debug, Subcommand)]
pub(crate) enum PayCommand {
    /// Say that something was paid for intellectual property; figures are sealed, documents stay here
    Record(Box<PayRecordArguments>),
    /// Confirm a payment that the other side has recorded, after seeing its figures
    Confirm(PayConfirmArguments),
    /// Put another version in the place of a payment, or reverse a payment, an asset or a use
    Correct(Box<PayCorrectArguments>),
    /// Record every payment of a list: a CSV file from an accounting system
    Import(PayImportArguments),
}

impl PayCommand {
    /// The command as written.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Record(_) => "pay record",
            Self::Confirm(_) => "pay confirm",
            Self::Correct(_) => "pay correct",
            Self::Import(_) => "pay import",
        }
    }
}

/// Natures of payments.
pub(super) const NATURES: [&str; 9] = [
    "purchase",
    "upfront_fee",
    "royalty",
    "registration",
    "rnd_type_a",
    "rnd_type_b",
    "disposal",
    "credit_note",
    "refund",
];

/// Reasons of corrections.
pub(super) const REASONS: [&str; 7] =
    ["amount", "date", "classification", "reference", "duplicate", "not_incurred", "later_event"];

/// What is said of a payment, as far as it is said. What a nature has and what it needs the core decides.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PaymentArguments {
    /// What was paid for
    #[arg(long, value_parser = one_of::<Nature, 9>(NATURES))]
    pub(crate) nature: Option<Nature>,
    /// When it was paid: a day in Hong Kong, such as 2026-05-02
    #[arg(long, value_name = "DATE")]
    pub(crate) date: Option<Date>,
    /// Number of the invoice or other document, as its maker counts; the same payer, payee and document is one payment
    #[arg(long, value_name = "NUMBER")]
    pub(crate) document: Option<String>,
    /// The document itself; it is hashed here and stays here
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// What was paid, tax withheld included, with as many digits behind the point as the currency has; sealed
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    pub(crate) amount: Option<String>,
    /// Currency of all figures here, ISO 4217; sealed
    #[arg(long, value_name = "CODE")]
    pub(crate) currency: Option<Currency>,
    /// Of a royalty: the tax that was withheld of it; sealed
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    pub(crate) withheld: Option<String>,
    /// The rate of exchange that was used, Hong Kong dollars for one unit; sealed
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    pub(crate) fx_rate: Option<String>,
    /// Of a purchase: the payer's own legal and valuation fees; sealed
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    pub(crate) fees: Option<String>,
    /// Of research: what others met of it; sealed
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    pub(crate) met_by_others: Option<String>,
    /// Who paid: a party's id [default: the licence's licensee; else you, where another was paid]
    #[arg(long, value_name = "PARTY", conflicts_with = "payer_name")]
    pub(crate) payer: Option<String>,
    /// Who paid, where that is no party here: an organisation, never a person
    #[arg(long, value_name = "NAME", requires = "payer_jurisdiction")]
    pub(crate) payer_name: Option<String>,
    /// Where that one is resident: ISO 3166-1 alpha-2 code in capitals
    #[arg(long, value_name = "CODE", value_parser = Jurisdiction::new, requires = "payer_name")]
    pub(crate) payer_jurisdiction: Option<Jurisdiction>,
    /// Who was paid: a party's id [default: the licence's licensor; else you, where another paid]
    #[arg(long, value_name = "PARTY", conflicts_with = "payee_name")]
    pub(crate) payee: Option<String>,
    /// Who was paid, where that is no party here: an organisation, never a person
    #[arg(long, value_name = "NAME", requires = "payee_jurisdiction")]
    pub(crate) payee_name: Option<String>,
    /// Where that one is resident: ISO 3166-1 alpha-2 code in capitals
    #[arg(long, value_name = "CODE", value_parser = Jurisdiction::new, requires = "payee_name")]
    pub(crate) payee_jurisdiction: Option<Jurisdiction>,
    /// The right it is for: the buyer's asset of a purchase, the seller's of a disposal
    #[arg(long, value_name = "ID")]
    pub(crate) asset: Option<String>,
    /// The same right as the other side of a purchase or disposal has it
    #[arg(long, value_name = "ID")]
    pub(crate) counter_asset: Option<String>,
    /// What sort of right it is for, where no asset is named [default: that of the artefacts licensed]
    #[arg(long, value_name = "TYPE", value_parser = one_of::<IpType, 8>(IP_TYPES))]
    pub(crate) ip_type: Option<IpType>,
    /// The licence under which it is due
    #[arg(long, value_name = "ID")]
    pub(crate) licence: Option<String>,
    /// The artefact it is about [default: the licence's, where there is one]
    #[arg(long, value_name = "ID")]
    pub(crate) artefact: Option<String>,
    /// The payment that a credit note or refund takes something off
    #[arg(long, value_name = "ID")]
    pub(crate) credits: Option<String>,
    /// Of a purchase or disposal: the share of the whole right, from 0 to 1
    #[arg(long, value_name = "FRACTION", value_parser = Fraction::parse)]
    pub(crate) share: Option<Fraction>,
    /// Of a purchase: how it was paid for
    #[arg(long, value_parser = one_of::<Funding, 3>(["own", "recourse", "non_recourse"]))]
    pub(crate) funding: Option<Funding>,
    /// Of a purchase: whether the seller became the licensee
    #[arg(long, value_name = "BOOLEAN")]
    pub(crate) licensed_back: Option<bool>,
    /// Of a purchase: what was acquired
    #[arg(long, value_parser = one_of::<Acquires, 2>(["ownership", "licence"]))]
    pub(crate) acquires: Option<Acquires>,
    /// Of the purchase of a patent or know-how: the part of the use intended for chargeable profits
    #[arg(long, value_name = "FRACTION", value_parser = Fraction::parse)]
    pub(crate) fraction: Option<Fraction>,
    /// Of a purchase: whether a licence was ended early for it
    #[arg(long, value_name = "BOOLEAN")]
    pub(crate) early_termination: Option<bool>,
    /// Of an upfront fee: term of the licence, in years
    #[arg(long, value_name = "YEARS")]
    pub(crate) term_years: Option<u32>,
    /// Of a royalty: where the right is used
    #[arg(long, value_parser = one_of::<UsedIn, 2>(["hk", "abroad"]))]
    pub(crate) used_in: Option<UsedIn>,
    /// Of a royalty: whether it is for the exhibition of films
    #[arg(long, value_name = "BOOLEAN")]
    pub(crate) film: Option<bool>,
    /// Of a royalty: whether somebody in business in Hong Kong ever owned the right; true of an associate unless said
    #[arg(long, value_name = "BOOLEAN")]
    pub(crate) ever_hk_owned: Option<bool>,
    /// Of a royalty: the treaty's cap that is relied on, such as 3%, or none
    #[arg(long, value_name = "CAP")]
    pub(crate) treaty_cap: Option<String>,
    /// Of research of type A: where it was done
    #[arg(long, value_parser = one_of::<ResearchPlace, 2>(["hk", "overseas"]))]
    pub(crate) place: Option<ResearchPlace>,
    /// Of research of type A: the deductible part of overseas research of a trade partly outside Hong Kong
    #[arg(long, value_name = "FRACTION", value_parser = Fraction::parse)]
    pub(crate) proportion: Option<Fraction>,
    /// Of research: whether all rights are vested in the payer
    #[arg(long, value_name = "BOOLEAN")]
    pub(crate) vested: Option<bool>,
    /// Of research: whether it was done for somebody else
    #[arg(long, value_name = "BOOLEAN")]
    pub(crate) for_another: Option<bool>,
    /// Of research: who did it
    #[arg(
        long,
        value_parser = one_of::<PerformedBy, 4>(["self", "rd_institution", "designated_institution", "other"])
    )]
    pub(crate) performed_by: Option<PerformedBy>,
    /// Of research: whether a main purpose was a deduction that would not be due
    #[arg(long, value_name = "BOOLEAN")]
    pub(crate) avoidance: Option<bool>,
}

/// Where figures are kept.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct VaultZoneArguments {
    /// The zone whose vault keeps the sealed figures
    #[arg(long, default_value = "HK", value_parser = one_of::<ResidencyZone, 4>(["HK", "CN-GBA", "CN", "WORLD"]))]
    pub(crate) vault_zone: ResidencyZone,
}

/// Arguments of `chopmark pay record`.
#[derive(Debug, Args)]
pub(crate) struct PayRecordArguments {
    #[command(flatten)]
    pub(crate) payment: PaymentArguments,
    #[command(flatten)]
    pub(crate) vault: VaultZoneArguments,
    #[command(flatten)]
    pub(crate) say: SayArguments,
}

/// Arguments of `chopmark pay confirm`.
#[derive(Debug, Args)]
pub(crate) struct PayConfirmArguments {
    /// The payment, or the correction of one: its id, whole or shown
    #[arg(value_name = "PAYMENT")]
    pub(crate) payment: String,
    /// The document as you have it; it has to be the one that the other side has hashed
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) say: SayArguments,
}

/// Why and of what a correction is.
#[derive(Debug, Clone, Args)]
pub(crate) struct CorrectionArguments {
    /// Why
    #[arg(long, value_parser = one_of::<CorrectionReason, 7>(REASONS))]
    pub(crate) reason: CorrectionReason,
    /// The latest correction, where there is one already: this one follows it [default: as the registry has it]
    #[arg(long, value_name = "ID")]
    pub(crate) follows: Option<String>,
}

/// Arguments of `chopmark pay correct`.
#[derive(Debug, Args)]
pub(crate) struct PayCorrectArguments {
    /// The payment, asset or use: its id, whole or shown
    #[arg(value_name = "ENTRY")]
    pub(crate) entry: String,
    #[command(flatten)]
    pub(crate) correction: CorrectionArguments,
    /// Nothing stands in its place. Otherwise what the options say is otherwise, and the rest as it was
    #[arg(long)]
    pub(crate) reverse: bool,
    /// An option that no longer holds, such as withheld; several times for several
    #[arg(long = "without", value_name = "OPTION", conflicts_with = "reverse")]
    pub(crate) without: Vec<String>,
    #[command(flatten)]
    pub(crate) payment: PaymentArguments,
    #[command(flatten)]
    pub(crate) vault: VaultZoneArguments,
    #[command(flatten)]
    pub(crate) say: SayArguments,
}

/// In what a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListEncoding {
    /// UTF-8, with or without a byte order mark
    #[value(name = "utf-8")]
    Utf8,
    /// GB18030, with GBK and GB2312 in it
    Gb18030,
    /// Big5 with the Hong Kong Supplementary Character Set
    Big5,
}

/// Arguments of `chopmark pay import`.
#[expect(clippy::doc_markdown, reason = "clap shows these comments as they are")]
#[derive(Debug, Args)]
pub(crate) struct PayImportArguments {
    /// The list: CSV with a header; its columns are called like the options of `pay record`, with _ for -, and
    /// payer_brn and payee_brn for business registration numbers. Run it again after an interruption and it goes on
    #[arg(value_name = "FILE")]
    pub(crate) list: PathBuf,
    /// What it is written in [default: found out, and said]
    #[arg(long, value_name = "ENCODING")]
    pub(crate) encoding: Option<ListEncoding>,
    /// Leave rates of exchange that the list does not have to those on record (`chopmark tax rate`)
    #[arg(long)]
    pub(crate) recorded_rates: bool,
    /// Where to write the report [default: beside the list, with .report.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// The party that says it: an id, or a file made by `party register --party-file` [env: CHOPMARK_PARTY]
    /// [default: the party that your key registered]
    #[arg(long = "party", value_name = "PARTY", id = "said_by")]
    pub(crate) party: Option<String>,
    #[command(flatten)]
    pub(crate) vault: VaultZoneArguments,
    #[command(flatten)]
    pub(crate) consent: ConsentArguments,
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_words_are_all_those_of_statements() {
        let words = |all: Vec<Value>| all.into_iter().map(|word| word.as_str().unwrap().to_owned()).collect::<Vec<_>>();
        let natures = Nature::ALL.iter().map(|nature| serde_json::to_value(nature).unwrap()).collect();
        assert_eq!(words(natures), NATURES);
        let reasons = CorrectionReason::ALL.iter().map(|reason| serde_json::to_value(reason).unwrap()).collect();
        assert_eq!(words(reasons), REASONS);
    }
}
