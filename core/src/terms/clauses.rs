//! The groups of a terms document that are small: what is granted, limits, derivatives, law, audit, tax, compliance.

use serde::{Deserialize, Serialize};

use super::field::FieldOfUse;
use super::figures::{Count, Rate};
use super::period::{Date, Duration};
use super::place::Territory;
use super::vocabulary::{
    Codes, EndEffect, ExclusivityKind, Form, Forum, GrantType, Ground, Language, MetricKind, OutputOwner, Overage,
    Permission, RenewalMode, Right, ShareAlike, TechnologyExportClass, UseRestriction,
};
use crate::code::{Jurisdiction, ResidencyZone};
use crate::strict::{as_text, present};
use crate::text::Texts;

/// What is granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// A licence, or something else.
    pub grant_type: GrantType,
    /// The acts permitted.
    pub rights: Codes<Right, 1>,
}

/// Whether others may be licensed as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exclusivity {
    /// Who else may be.
    pub kind: ExclusivityKind,
    /// For what part of the grant; all of it when absent. A non-exclusive grant has none.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub scope: Option<ExclusiveScope>,
}

/// The part of a grant that is exclusive. What is absent is as in the grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExclusiveScope {
    /// These rights only.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub rights: Option<Codes<Right, 1>>,
    /// There only.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub territory: Option<Territory>,
    /// For that only.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub field: Option<FieldOfUse>,
    /// From the beginning of the term, for so long only.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
}

/// How far rights may be passed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sublicensing {
    /// To whom sublicences may be granted.
    pub permission: Permission,
    /// Through how many hands; any number when absent.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub max_depth: Option<u8>,
    /// To whom the licence itself may be transferred.
    pub transferable: Permission,
}

/// For how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// First day; the day of the grant when absent.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub start: Option<Date>,
    /// Without end. Exactly one of this and `duration` says how long.
    pub perpetual: bool,
    /// For so long.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
    /// How it goes on after that.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub renewal: Option<Renewal>,
    /// Notice that ends it, where terms permit that.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub notice: Option<Duration>,
    /// Time to cure a breach before it ends for that.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub cure_period: Option<Duration>,
}

/// How a term goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renewal {
    /// By whose doing.
    pub mode: RenewalMode,
    /// For so long each time.
    pub period: Duration,
}

/// What use is counted in, and how much there may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// The unit.
    pub metric: MetricKind,
    /// The most of it; unlimited when absent.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub cap: Option<Count>,
    /// In each such period, for units that are used up (calls, tokens, hours).
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub period: Option<Duration>,
    /// What happens above the cap.
    pub overage: Overage,
}

/// What may be made of it, and under which terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Derivatives {
    /// Whether anything may.
    pub allowed: bool,
    /// Whether the licensor has to approve each one.
    pub approval_required: bool,
    /// How much of it comes under the same terms.
    pub share_alike: ShareAlike,
    /// Other terms it may come under all the same: licences in SPDX spelling, `LicenseRef-chopmark-<terms id>` for terms.
    #[serde(default, skip_serializing_if = "Codes::is_empty")]
    pub compatible_terms: Codes<String>,
    /// Whether what it was made from has to be told.
    pub lineage_disclosure: bool,
}

/// What a model puts out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outputs {
    /// Whose it is, as between the parties.
    pub owner: OutputOwner,
    /// Whether other models may be trained on it.
    pub may_train_on_outputs: bool,
}

/// Uses that are ruled out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UseRestrictions {
    /// Which.
    pub codes: Codes<UseRestriction>,
    /// Whether terms of everything made with it have to rule them out, too.
    pub propagates: bool,
}

/// Copies for others, and what has to stand on them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redistribution {
    /// In which forms; in none when empty.
    pub forms: Codes<Form>,
    /// Whether copies name the licensor and carry its notices.
    pub attribution_required: bool,
    /// The notice, word for word.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub notice_text: Option<Texts>,
}

/// Which law, and who decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Law {
    /// The law that governs.
    pub governing_law: Jurisdiction,
    /// Where a dispute goes.
    pub forum: Forum,
    /// For courts their place, for arbitration its seat.
    pub seat: Jurisdiction,
    /// The language whose text counts.
    pub prevailing_language: Language,
}

/// Reports, and looking at the books.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// How often use and revenue are reported.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub cadence: Option<Duration>,
    /// How long after each period a report is due.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub statement_due: Option<Duration>,
    /// How far back the licensor may look.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub lookback: Option<Duration>,
}

/// Why it may be ended, and what becomes of what rests on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Termination {
    /// Why.
    pub grounds: Codes<Ground>,
    /// What becomes of sublicences when it ends, expiry included.
    pub sublicences: Ending,
    /// What becomes of derivatives and of licences in them.
    pub derivatives: Ending,
}

/// What becomes of something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ending {
    /// Whether it goes on.
    pub effect: EndEffect,
    /// For so long, when it is wound down.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub period: Option<Duration>,
}

/// What the parties say about withholding tax. It decides nothing: assessments are the tax engine's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tax {
    /// Where the payee is resident.
    pub payee_residence: Jurisdiction,
    /// Whether payer and payee are associates (Inland Revenue Ordinance, Cap. 112, sections 14 and 21A).
    pub associate: bool,
    /// Whether the payer makes good what is withheld.
    pub gross_up: bool,
    /// The rate that the payee claims.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub withholding_rate_claimed: Option<Rate>,
    /// The treaty provision it rests on.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub treaty: Option<Treaty>,
}

/// A provision of a double taxation agreement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Treaty {
    /// The other state; the first is where the payee is resident.
    pub with: Jurisdiction,
    /// The article, such as `12(2)`.
    pub article: Article,
}

/// An article of a treaty: a number, a letter perhaps, and paragraphs in brackets: `12`, `12(2)`, `12A(3)(b)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Article(String);

impl core::fmt::Display for Article {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::str::FromStr for Article {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, paragraphs) = text.split_at(text.find('(').unwrap_or(text.len()));
        let digits = number.trim_end_matches(|letter: char| letter.is_ascii_uppercase());
        let is_number = (1..=3).contains(&digits.len())
            && number.len() - digits.len() <= 1
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit());
        let mut rest = paragraphs;
        while let Some((inside, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            let is_one = (1..=3).contains(&inside.len())
                && inside.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
            if !is_one {
                break;
            }
            rest = after;
        }
        let is_article = is_number && rest.is_empty() && text.len() <= 20;
        if is_article { Ok(Self(text.to_owned())) } else { Err(format!("{text:?} is no article like 12(2)")) }
    }
}

/// What public law asks about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compliance {
    /// Where the licensee may keep it.
    pub data_residency: Codes<ResidencyZone, 1>,
    /// Whether personal data is in it.
    pub personal_data_present: bool,
    /// For technology that leaves the Mainland.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub technology_export: Option<TechnologyExport>,
}

/// How the Mainland's export catalogue classes a technology.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TechnologyExport {
    /// Its class.
    pub class: TechnologyExportClass,
    /// Its number in the catalogue: six digits and X (restricted) or J (prohibited).
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub catalogue_number: Option<CatalogueNumber>,
    /// Number of the export licence, or of the registration of the contract.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub approval_number: Option<ApprovalNumber>,
}

/// A number of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CatalogueNumber(String);

impl CatalogueNumber {
    /// The class that its last letter stands for.
    pub fn class(&self) -> TechnologyExportClass {
        if self.0.ends_with('J') { TechnologyExportClass::Prohibited } else { TechnologyExportClass::Restricted }
    }
}

impl core::fmt::Display for CatalogueNumber {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::str::FromStr for CatalogueNumber {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_suffix(['X', 'J']).unwrap_or_default();
        let is_number = digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { Ok(Self(text.to_owned())) } else { Err(format!("{text:?} is no catalogue number like 086501X")) }
    }
}

/// A number given by an authority: capitals, digits and hyphens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ApprovalNumber(String);

impl core::fmt::Display for ApprovalNumber {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::str::FromStr for ApprovalNumber {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_number = (4..=40).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-');
        let error = || format!("{text:?} is no approval number: 4 to 40 capitals, digits and hyphens");
        if is_number { Ok(Self(text.to_owned())) } else { Err(error()) }
    }
}

as_text!(Article, CatalogueNumber, ApprovalNumber);
