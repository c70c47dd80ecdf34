//! Arguments of `chopmark licence`.

use std::path::PathBuf;

use chopmark_core::compatibility::Derivation;
use chopmark_core::terms::Preset;
use chopmark_core::terms::period::Date;
use chopmark_core::terms::vocabulary::Language;
use clap::{Args, Subcommand};

use super::register::one_of;

/// What to do with licence terms.
#[derive(Debug, Subcommand)]
pub(crate) enum LicenceCommand {
    /// Write a terms document to start from
    New(LicenceNewArguments),
    /// Show what a terms document says, in words
    Show(LicenceShowArguments),
    /// Check whether terms may be given to something made from other things; needs no service
    Check(LicenceCheckArguments),
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
const LANGUAGES: [&str; 3] = ["en", "zh-Hant", "zh-Hans"];

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
    /// The terms document
    #[arg(value_name = "FILE")]
    pub(crate) terms: PathBuf,
    /// Language of the summary
    #[arg(long, value_name = "LANGUAGE", default_value = "en", value_parser = one_of::<Language, 3>(LANGUAGES))]
    pub(crate) lang: Language,
}

/// Arguments of `chopmark licence check`.
#[derive(Debug, Args)]
pub(crate) struct LicenceCheckArguments {
    /// What it was made from: a terms document, an SPDX expression, or the name of a licence on a model card (llama3.1);
    /// several times for several parents
    #[arg(long = "parent", value_name = "LICENCE", required = true)]
    pub(crate) parents: Vec<String>,
    /// How it was made from it: once for all parents, or once for each in their order
    #[arg(long = "relation", value_name = "RELATION", required = true, value_parser = one_of::<Derivation, 8>(DERIVATIONS))]
    pub(crate) relations: Vec<Derivation>,
    /// The terms to be given to it: a document, an SPDX expression, or the name of a licence
    #[arg(long, value_name = "LICENCE")]
    pub(crate) terms: String,
    /// The day for which it is checked, such as 2027-01-31 [default: today]
    #[arg(long, value_name = "DATE")]
    pub(crate) on: Option<Date>,
    /// Language of the findings
    #[arg(long, value_name = "LANGUAGE", default_value = "en", value_parser = one_of::<Language, 3>(LANGUAGES))]
    pub(crate) lang: Language,
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
    }
}
