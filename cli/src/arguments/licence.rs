//! Arguments of `chopmark licence`.

use std::path::PathBuf;

use chopmark_core::code::ResidencyZone;
use chopmark_core::compatibility::Derivation;
use chopmark_core::terms::Preset;
use chopmark_core::terms::period::{Date, Duration};
use chopmark_core::terms::vocabulary::{Ground, Language};
use clap::{Args, Subcommand, ValueEnum};

use super::attest::SayArguments;
use super::one_of;

/// What to do with licence terms.
#[derive(Debug, Subcommand)]
pub(crate) enum LicenceCommand {
    /// Write a terms document to start from
    New(LicenceNewArguments),
    /// Show what a terms document says, in words
    Show(LicenceShowArguments),
    /// Check whether terms may be given to something made from other things
    Check(LicenceCheckArguments),
    /// Publish a terms document, so that offers and artefacts can refer to it
    Publish(LicencePublishArguments),
    /// Offer terms for artefacts of yours; publishes the terms where that is not done yet
    Offer(LicenceOfferArguments),
    /// List offers that may still be accepted
    Offers(LicenceOffersArguments),
    /// Accept an offer: from then on you hold the licence
    Accept(LicenceAcceptArguments),
    /// Grant a licence without an offer, by a statement that the licensee signs as well
    Grant(LicenceGrantArguments),
    /// List licences that are granted
    List(LicenceListArguments),
    /// Write an offline licence: one file that proves the licence and its artefact without a network
    File(LicenceFileArguments),
    /// Write the signed list of what suspended, reinstated or terminated licences, for verifiers without a network
    StatusList(StatusListArguments),
    /// Suspend a licence
    Suspend(LicenceEndArguments),
    /// Take up a suspended licence again
    Reinstate(LicenceReinstateArguments),
    /// Terminate a licence
    Revoke(LicenceEndArguments),
}

impl LicenceCommand {
    /// The command as written.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::New(_) => "licence new",
            Self::Show(_) => "licence show",
            Self::Check(_) => "licence check",
            Self::Publish(_) => "licence publish",
            Self::Offer(_) => "licence offer",
            Self::Offers(_) => "licence offers",
            Self::Accept(_) => "licence accept",
            Self::Grant(_) => "licence grant",
            Self::List(_) => "licence list",
            Self::File(_) => "licence file",
            Self::StatusList(_) => "licence status-list",
            Self::Suspend(_) => "licence suspend",
            Self::Reinstate(_) => "licence reinstate",
            Self::Revoke(_) => "licence revoke",
        }
    }
}

/// Presets, as typed.
const PRESETS: [&str; 7] = [
    "permissive",
    "copyleft",
    "openrail",
    "evaluation-only",
    "commercial-per-seat",
    "commercial-revenue-share",
    "exclusive-territorial",
];

/// Ways of making, as typed.
const DERIVATIONS: [&str; 8] =
    ["finetune", "adapter", "merge", "quantized", "derived", "distilled", "dataset", "dependency"];

/// Languages, as typed.
pub(super) const LANGUAGES: [&str; 3] = ["en", "zh-Hant", "zh-Hans"];

/// Arguments of `chopmark licence new`.
#[derive(Debug, Args)]
pub(crate) struct LicenceNewArguments {
    /// What to start from
    #[arg(long, value_name = "PRESET", value_parser = one_of::<Preset, 7>(PRESETS))]
    pub(crate) preset: Preset,
    /// Where to write it; never overwritten [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Language of the summary
    #[arg(long, value_name = "LANGUAGE", default_value = "en", value_parser = one_of::<Language, 3>(LANGUAGES))]
    pub(crate) lang: Language,
}

/// Arguments of `chopmark licence show`.
#[derive(Debug, Args)]
pub(crate) struct LicenceShowArguments {
    /// The terms document, or the id of terms that are published: whole or shown
    #[arg(value_name = "TERMS")]
    pub(crate) terms: PathBuf,
    /// Language of the summary
    #[arg(long, value_name = "LANGUAGE", default_value = "en", value_parser = one_of::<Language, 3>(LANGUAGES))]
    pub(crate) lang: Language,
}

/// Arguments of `chopmark licence check`.
#[derive(Debug, Args)]
pub(crate) struct LicenceCheckArguments {
    /// What it was made from: a registered artefact (art_…), whose whole ancestry the service is asked for; or, with
    /// no service, a terms document, an SPDX expression, or the name of a licence on a model card (llama3.1); several
    /// times for several parents
    #[arg(long = "parent", value_name = "LICENCE", required = true)]
    pub(crate) parents: Vec<String>,
    /// How it was made from it: once for all parents, or once for each in their order
    #[arg(long = "relation", value_name = "RELATION", required = true, value_parser = one_of::<Derivation, 8>(DERIVATIONS))]
    pub(crate) relations: Vec<Derivation>,
    /// The terms to be given to it: a document, an SPDX expression, or the name of a licence
    #[arg(long, value_name = "LICENCE")]
    pub(crate) terms: String,
    /// The party that makes it: licences this party holds in registered parents count, and its own artefacts do not
    /// bind it
    #[arg(long, value_name = "PARTY")]
    pub(crate) holder: Option<String>,
    /// The day for which it is checked, such as 2027-01-31 [default: today]
    #[arg(long, value_name = "DATE")]
    pub(crate) on: Option<Date>,
    /// Language of the findings
    #[arg(long, value_name = "LANGUAGE", default_value = "en", value_parser = one_of::<Language, 3>(LANGUAGES))]
    pub(crate) lang: Language,
}

/// Grounds on which a licence may be ended, as typed.
const GROUNDS: [&str; 10] = [
    "breach",
    "use_restriction",
    "non_payment",
    "insolvency",
    "change_of_control",
    "challenge",
    "patent_litigation",
    "illegality",
    "licensee_convenience",
    "licensor_convenience",
];

/// Arguments of `chopmark licence publish`.
#[derive(Debug, Args)]
pub(crate) struct LicencePublishArguments {
    /// The terms document
    #[arg(value_name = "FILE")]
    pub(crate) terms: PathBuf,
    #[command(flatten)]
    pub(crate) seal: SealArguments,
    /// With --seal: where to write the terms as they are published, with commitments, for `licence grant`; never
    /// overwritten
    #[arg(long, value_name = "FILE", requires = "seal")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) say: SayArguments,
}

/// What of terms does not become public.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct SealArguments {
    /// Publish commitments in the place of the figures of what is paid: amounts, rates, tiers and ceilings together,
    /// because one that stays open would tell of the others. The parties and officers can open them
    #[arg(long, value_name = "WHAT")]
    pub(crate) seal: Option<Sealing>,
    /// With --seal: the zone whose vault keeps the figures
    #[arg(long, default_value = "HK", value_parser = one_of::<ResidencyZone, 4>(["HK", "CN-GBA", "CN", "WORLD"]))]
    pub(crate) vault_zone: ResidencyZone,
}

/// Arguments of `chopmark licence offer`.
#[derive(Debug, Args)]
pub(crate) struct LicenceOfferArguments {
    /// An artefact that is offered: its id, whole or shown; several times for several
    #[arg(long = "artefact", value_name = "ID", required = true)]
    pub(crate) artefacts: Vec<String>,
    /// The terms document
    #[arg(long, value_name = "FILE")]
    pub(crate) terms: PathBuf,
    /// The party it is offered to: its id, whole or shown [default: anybody]
    #[arg(long = "to", value_name = "PARTY")]
    pub(crate) licensee: Option<String>,
    /// For how long it may be accepted
    #[arg(long, value_name = "DURATION", default_value = "P30D")]
    pub(crate) open: Duration,
    /// A licence of yours on which licences granted under this offer rest; several times for several
    #[arg(long = "under", value_name = "LICENCE")]
    pub(crate) under: Vec<String>,
    #[command(flatten)]
    pub(crate) seal: SealArguments,
    #[command(flatten)]
    pub(crate) say: SayArguments,
}

/// What of terms may be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sealing {
    /// What is paid.
    Amount,
}

/// Arguments of `chopmark licence offers`.
#[derive(Debug, Args)]
pub(crate) struct LicenceOffersArguments {
    #[command(flatten)]
    pub(crate) list: LicensingListArguments,
    /// Those that are over as well
    #[arg(long)]
    pub(crate) all: bool,
}

/// Which licences or offers are listed, and which part of the list is shown.
#[derive(Debug, Args)]
pub(crate) struct LicensingListArguments {
    /// In this artefact
    #[arg(long, value_name = "ID")]
    pub(crate) artefact: Option<String>,
    /// By this party
    #[arg(long, value_name = "PARTY")]
    pub(crate) licensor: Option<String>,
    /// To this party; what is offered to anybody is left out
    #[arg(long, value_name = "PARTY")]
    pub(crate) licensee: Option<String>,
    /// Most of them shown
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) limit: u32,
    /// Where the next page begins, from the answer before
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<String>,
}

/// Arguments of `chopmark licence accept`.
#[derive(Debug, Args)]
pub(crate) struct LicenceAcceptArguments {
    /// The offer: its id, whole or shown
    #[arg(value_name = "OFFER")]
    pub(crate) offer: String,
    /// Language in which the terms are shown
    #[arg(long, value_name = "LANGUAGE", default_value = "en", value_parser = one_of::<Language, 3>(LANGUAGES))]
    pub(crate) lang: Language,
    #[command(flatten)]
    pub(crate) say: SayArguments,
}

/// Arguments of `chopmark licence grant`.
#[derive(Debug, Args)]
pub(crate) struct LicenceGrantArguments {
    /// An artefact that is licensed: its id, whole or shown; several times for several
    #[arg(long = "artefact", value_name = "ID", required = true)]
    pub(crate) artefacts: Vec<String>,
    /// The terms document, which is published
    #[arg(long, value_name = "FILE")]
    pub(crate) terms: PathBuf,
    /// The licensee, who signs with `chopmark sign`: its id, whole or shown
    #[arg(long = "to", value_name = "PARTY")]
    pub(crate) licensee: String,
    /// Its first day in Hong Kong, such as 2027-01-31 [default: that of the terms, or else today]
    #[arg(long, value_name = "DATE")]
    pub(crate) starts_on: Option<Date>,
    /// A licence of yours on which it rests; several times for several
    #[arg(long = "under", value_name = "LICENCE")]
    pub(crate) under: Vec<String>,
    #[command(flatten)]
    pub(crate) say: SayArguments,
}

/// Arguments of `chopmark licence list`.
#[derive(Debug, Args)]
pub(crate) struct LicenceListArguments {
    #[command(flatten)]
    pub(crate) list: LicensingListArguments,
    /// Whose latest event is this
    #[arg(long, value_name = "STATUS", value_parser = ["granted", "suspended", "reinstated", "terminated"])]
    pub(crate) status: Option<String>,
    /// In force on this day, such as 2027-01-31
    #[arg(long, value_name = "DATE")]
    pub(crate) in_force_on: Option<Date>,
}

/// Arguments of `chopmark licence file`.
#[expect(clippy::doc_markdown, reason = "clap shows these comments as they are")]
#[derive(Debug, Args)]
pub(crate) struct LicenceFileArguments {
    /// The licence: its id, whole or shown
    #[arg(value_name = "LICENCE")]
    pub(crate) licence: String,
    /// Which of the licensed artefacts the file is for, where there are several
    #[arg(long, value_name = "ID")]
    pub(crate) artefact: Option<String>,
    /// For how long the status in it may be relied on, up to a year
    #[arg(long, value_name = "DURATION", default_value = "P90D")]
    pub(crate) ttl: Duration,
    /// Where to write it; an older bundle may be replaced [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Trust policy to judge the registry by, instead of pinning it on first contact [env: CHOPMARK_TRUST]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
}

/// Arguments of `chopmark licence status-list`.
#[expect(clippy::doc_markdown, reason = "clap shows these comments as they are")]
#[derive(Debug, Args)]
pub(crate) struct StatusListArguments {
    /// For how long it may be relied on, up to a year
    #[arg(long, value_name = "DURATION", default_value = "P7D")]
    pub(crate) ttl: Duration,
    /// Where to write it; an older list may be replaced [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Trust policy to judge the registry by, instead of pinning it on first contact [env: CHOPMARK_TRUST]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
}

/// Arguments of `chopmark licence suspend` and `revoke`.
#[derive(Debug, Args)]
pub(crate) struct LicenceEndArguments {
    /// The licence: its id, whole or shown
    #[arg(value_name = "LICENCE")]
    pub(crate) licence: String,
    /// Why: a ground that the terms of the licence have
    #[arg(long, value_name = "GROUND", value_parser = one_of::<Ground, 10>(GROUNDS))]
    pub(crate) reason: Ground,
    #[command(flatten)]
    pub(crate) say: SayArguments,
}

/// Arguments of `chopmark licence reinstate`.
#[derive(Debug, Args)]
pub(crate) struct LicenceReinstateArguments {
    /// The licence: its id, whole or shown
    #[arg(value_name = "LICENCE")]
    pub(crate) licence: String,
    #[command(flatten)]
    pub(crate) say: SayArguments,
}

#[cfg(test)]
mod tests {
    use chopmark_core::terms::vocabulary::Vocabulary as _;

    use super::*;

    #[test]
    fn every_value_is_offered() {
        assert_eq!(Preset::ALL.iter().map(|preset| preset.as_str()).collect::<Vec<_>>(), PRESETS);
        assert_eq!(Derivation::ALL.iter().map(|way| way.as_str()).collect::<Vec<_>>(), DERIVATIONS);
        assert_eq!(Language::ALL.iter().map(|language| language.as_str()).collect::<Vec<_>>(), LANGUAGES);
        assert_eq!(Ground::ALL.iter().map(|ground| ground.as_str()).collect::<Vec<_>>(), GROUNDS);
    }
}
