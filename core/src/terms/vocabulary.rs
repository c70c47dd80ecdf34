//! The words terms are made of: every enumerated value, written in one way, with a message for people in each language.
//!
//! A value's JSON spelling is also the end of its Fluent key (`right-finetune`), so a test can see that none is missing.

use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

/// Most values in one list of codes. The largest vocabulary is that of countries, with 251 values.
pub const CODES_MAX: usize = 256;

/// A closed set of values.
pub trait Vocabulary: Copy + Eq + 'static {
    /// Start of the Fluent keys of its values.
    const WORDS: &'static str;
    /// Every value there is.
    const ALL: &'static [Self];

    /// The value as JSON spells it.
    fn as_str(self) -> &'static str;

    /// Fluent key of the value's words.
    fn key(self) -> String {
        format!("{}-{}", Self::WORDS, self.as_str())
    }
}

/// Defines an enumeration once: variants, JSON spelling, Fluent keys.
macro_rules! vocabulary {
    ($($(#[$doc:meta])* $name:ident($words:literal) { $($(#[$said:meta])* $variant:ident = $text:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::serde::Deserialize,
        )]
        pub enum $name {
            $($(#[$said])* #[serde(rename = $text)] $variant,)+
        }

        impl $crate::terms::vocabulary::Vocabulary for $name {
            const WORDS: &'static str = $words;
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    )+};
}
pub(crate) use vocabulary;

/// A list of codes in which none occurs twice, of at least `MIN`. The order is the author's and has no meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Codes<T, const MIN: usize = 0>(Vec<T>);

impl<T: PartialEq + fmt::Debug, const MIN: usize> Codes<T, MIN> {
    /// Accepts a list.
    ///
    /// # Errors
    /// A sentence: too short, too long, or which code occurs twice.
    pub fn new(codes: Vec<T>) -> Result<Self, String> {
        if codes.len() < MIN {
            return Err(format!("at least {MIN} of these codes is needed"));
        }
        if codes.len() > CODES_MAX {
            return Err(format!("at most {CODES_MAX} codes"));
        }
        let repeated = codes.iter().enumerate().find(|(at, code)| codes.iter().take(*at).any(|other| other == *code));
        match repeated {
            Some((_, code)) => Err(format!("{code:?} stands there twice")),
            None => Ok(Self(codes)),
        }
    }

    /// The codes.
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// The codes, in the author's order.
    pub fn iter(&self) -> core::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// Whether this is one of them.
    pub fn contains(&self, code: &T) -> bool {
        self.0.contains(code)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a, T, const MIN: usize> IntoIterator for &'a Codes<T, MIN> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T> Default for Codes<T, 0> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de> + PartialEq + fmt::Debug, const MIN: usize> Deserialize<'de> for Codes<T, MIN> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Vec::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

vocabulary! {
    /// What is granted.
    GrantType("grant") {
        /// A permission.
        Licence = "licence",
        /// A permission under a licence that the licensor holds itself.
        Sublicence = "sublicence",
        /// The right itself changes hands.
        Assignment = "assignment",
        /// The right to be granted a licence or an assignment later.
        Option = "option",
    }

    /// An act that terms permit.
    Right("right") {
        /// Running it.
        Use = "use",
        /// Copying it.
        Reproduce = "reproduce",
        /// Changing it.
        Modify = "modify",
        /// Giving copies to others.
        Distribute = "distribute",
        /// Making it available to the public (Copyright Ordinance, Cap. 528, section 26).
        MakeAvailable = "make_available",
        /// Letting others use it without having a copy.
        HostAsService = "host_as_service",
        /// Training another model on it.
        Train = "train",
        /// Training it further.
        Finetune = "finetune",
        /// Training another model to behave like it.
        Distill = "distill",
        /// Storing its weights in fewer bits.
        Quantize = "quantize",
        /// Combining its weights with others.
        Merge = "merge",
        /// Testing and measuring it.
        Evaluate = "evaluate",
        /// Building it into a product.
        Embed = "embed",
    }

    /// Who else may be licensed.
    ExclusivityKind("exclusivity") {
        /// Nobody, and the licensor does not use it either.
        Exclusive = "exclusive",
        /// Nobody, but the licensor may use it.
        Sole = "sole",
        /// Anybody.
        NonExclusive = "non_exclusive",
    }

    /// How far a licensee may pass rights on; each includes those before it.
    Permission("permission") {
        /// Not at all.
        None = "none",
        /// To companies of its group.
        Affiliates = "affiliates",
        /// With the licensor's consent.
        WithConsent = "with_consent",
        /// To anybody.
        Free = "free",
    }

    /// How a term goes on after its end.
    RenewalMode("renewal") {
        /// By itself, unless notice is given.
        Automatic = "automatic",
        /// When both sides agree.
        ByAgreement = "by_agreement",
        /// When the licensee asks for it.
        LicenseeOption = "licensee_option",
    }

    /// What use is counted in.
    MetricKind("metric") {
        /// Named people.
        Seats = "seats",
        /// Machines.
        Devices = "devices",
        /// Processor cores.
        Cores = "cores",
        /// Uses at the same time.
        Concurrent = "concurrent",
        /// Requests.
        ApiCall = "api_call",
        /// Tokens in and out.
        Token = "token",
        /// Hours of an accelerator.
        ComputeHour = "compute_hour",
        /// People who use it in a calendar month.
        MonthlyActiveUsers = "monthly_active_users",
    }

    /// What happens above a cap; each permits more than those before it.
    Overage("overage") {
        /// The licence does not cover it.
        Forbidden = "forbidden",
        /// The parties have to agree first.
        ByAgreement = "by_agreement",
        /// It is charged for.
        Billed = "billed",
    }

    /// How much of what is made with a work has to come under the same terms; each reaches further than those before it.
    ShareAlike("share-alike") {
        /// Nothing.
        None = "none",
        /// The files that were changed (as in MPL-2.0, section 3.1).
        File = "file",
        /// The work itself, but not what only uses it (as in LGPL-2.1, section 6).
        Library = "library",
        /// The whole of any work based on it (as in GPL-3.0, section 5(c)).
        Work = "work",
        /// That, and also when users only reach it over a network (as in AGPL-3.0, section 13).
        Network = "network",
    }

    /// Who owns what a model puts out, as between the parties.
    OutputOwner("outputs") {
        /// Whoever is licensed.
        Licensee = "licensee",
        /// Whoever licenses.
        Licensor = "licensor",
        /// Both together.
        Shared = "shared",
        /// The licensor claims nothing in it.
        Unclaimed = "unclaimed",
    }

    /// A use that terms rule out. From the use restrictions of `OpenRAIL-M` (its Attachment A) and of community
    /// model licences, and those that commercial terms have besides.
    UseRestriction("restriction") {
        /// Any commercial use.
        Commercial = "commercial",
        /// Any use but trying it out.
        Production = "production",
        /// Training a model that competes with it.
        CompetingModel = "competing_model",
        /// Publishing measurements of it.
        BenchmarkPublication = "benchmark_publication",
        /// Finding out how it was made.
        ReverseEngineering = "reverse_engineering",
        /// Breaking the law.
        Unlawful = "unlawful",
        /// Exploiting or harming minors.
        HarmMinors = "harm_minors",
        /// Spreading what is known to be false, to harm others.
        Disinformation = "disinformation",
        /// Misusing personal data.
        PersonalDataMisuse = "personal_data_misuse",
        /// Defaming, disparaging or harassing others.
        Harassment = "harassment",
        /// Putting out content without saying that a machine made it.
        UndisclosedGeneration = "undisclosed_generation",
        /// Passing as somebody else.
        Impersonation = "impersonation",
        /// Deciding by itself on people's rights and obligations.
        AutomatedDecisions = "automated_decisions",
        /// Discriminating.
        Discrimination = "discrimination",
        /// Exploiting people's vulnerabilities.
        ExploitVulnerable = "exploit_vulnerable",
        /// Giving medical advice or interpreting medical results.
        MedicalAdvice = "medical_advice",
        /// Administering justice, law enforcement, immigration or asylum.
        JusticeMigration = "justice_migration",
        /// Watching people.
        Surveillance = "surveillance",
        /// Telling who people are by their bodies.
        BiometricIdentification = "biometric_identification",
        /// Rating people by how they behave.
        SocialScoring = "social_scoring",
        /// Military use.
        Military = "military",
        /// Making or using weapons.
        Weapons = "weapons",
        /// Violence, terrorism and their support.
        Violence = "violence",
        /// Running critical infrastructure.
        CriticalInfrastructure = "critical_infrastructure",
        /// Making malicious software.
        Malware = "malware",
        /// Making sexual content.
        SexualContent = "sexual_content",
    }

    /// A form in which copies may go to others.
    Form("form") {
        /// Source code.
        Source = "source",
        /// Weights.
        Weights = "weights",
    }

    /// What is paid for.
    ConsiderationKind("consideration") {
        /// Once, at the beginning.
        UpfrontLumpSum = "upfront_lump_sum",
        /// When something agreed has been reached.
        Milestone = "milestone",
        /// Again and again.
        Recurring = "recurring",
        /// A share of revenue.
        RevShare = "rev_share",
        /// For each unit of the metric.
        PerUnit = "per_unit",
        /// The least that royalties of a period come to.
        MinGuarantee = "min_guarantee",
        /// The price of the right itself.
        IpPurchase = "ip_purchase",
    }

    /// The event that a milestone payment waits for.
    Milestone("milestone") {
        /// Signing.
        Signature = "signature",
        /// Delivery.
        Delivery = "delivery",
        /// Acceptance after tests.
        Acceptance = "acceptance",
        /// First commercial use.
        CommercialLaunch = "commercial_launch",
        /// Approval by an authority.
        RegulatoryApproval = "regulatory_approval",
    }

    /// What a share of revenue is taken of.
    RevenueBase("base") {
        /// Everything that is invoiced.
        Gross = "gross",
        /// What remains after taxes, returns and discounts.
        Net = "net",
    }

    /// Where a dispute goes.
    Forum("forum") {
        /// The courts of the place named.
        Courts = "courts",
        /// Hong Kong International Arbitration Centre.
        Hkiac = "hkiac",
        /// China International Economic and Trade Arbitration Commission, Hong Kong Arbitration Center.
        CietacHongKong = "cietac_hong_kong",
        /// China International Economic and Trade Arbitration Commission.
        Cietac = "cietac",
        /// Shenzhen Court of International Arbitration.
        Scia = "scia",
        /// Singapore International Arbitration Centre.
        Siac = "siac",
        /// International Court of Arbitration of the International Chamber of Commerce.
        Icc = "icc",
        /// London Court of International Arbitration.
        Lcia = "lcia",
        /// WIPO Arbitration and Mediation Center.
        Wipo = "wipo",
    }

    /// A language in which terms may prevail, and summaries are made.
    Language("language") {
        /// English.
        English = "en",
        /// Chinese in traditional characters.
        TraditionalChinese = "zh-Hant",
        /// Chinese in simplified characters.
        SimplifiedChinese = "zh-Hans",
    }

    /// Why a licence may be ended.
    Ground("ground") {
        /// A breach that is not cured in time.
        Breach = "breach",
        /// A breach of the use restrictions.
        UseRestriction = "use_restriction",
        /// Payment is overdue.
        NonPayment = "non_payment",
        /// The other side is insolvent.
        Insolvency = "insolvency",
        /// The licensee comes under other control.
        ChangeOfControl = "change_of_control",
        /// The licensee contests the right.
        Challenge = "challenge",
        /// The licensee sues over patents.
        PatentLitigation = "patent_litigation",
        /// Law forbids going on.
        Illegality = "illegality",
        /// The licensee wishes so.
        LicenseeConvenience = "licensee_convenience",
        /// The licensor wishes so.
        LicensorConvenience = "licensor_convenience",
    }

    /// What becomes of something when the licence it rests on ends; each goes further than those before it.
    EndEffect("end") {
        /// It goes on.
        Survive = "survive",
        /// It ends after a time.
        WindDown = "wind_down",
        /// It ends at once.
        Terminate = "terminate",
    }

    /// Class of a technology in the Mainland's Catalogue of Technologies Prohibited or Restricted from Export
    /// (Ministry of Commerce and Ministry of Science and Technology; Regulations on Administration of Import and Export
    /// of Technologies, articles 28 to 38).
    TechnologyExportClass("export") {
        /// Not in the catalogue: contracts are registered.
        Free = "free",
        /// Restricted: a licence is needed.
        Restricted = "restricted",
        /// Prohibited.
        Prohibited = "prohibited",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_spelled_as_they_are_named() {
        fn check<T: Vocabulary + Serialize + fmt::Debug>() {
            for value in T::ALL {
                assert_eq!(serde_json::to_value(value).unwrap(), value.as_str(), "{value:?}");
            }
        }
        check::<GrantType>();
        check::<Right>();
        check::<UseRestriction>();
        check::<Language>();
        assert_eq!(Right::HostAsService.key(), "right-host_as_service");
    }

    #[test]
    fn a_list_of_codes_has_none_twice_and_as_many_as_it_needs() {
        assert!(serde_json::from_str::<Codes<Right>>("[]").is_ok());
        assert!(serde_json::from_str::<Codes<Right, 1>>("[]").is_err());
        assert!(serde_json::from_str::<Codes<Right>>(r#"["use","use"]"#).is_err());
        assert!(serde_json::from_str::<Codes<Right>>(r#"["fly"]"#).is_err());
        let order = serde_json::from_str::<Codes<Right>>(r#"["use","embed"]"#).unwrap();
        assert_eq!(order.as_slice(), [Right::Use, Right::Embed], "the author's order is kept: it is signed");
    }
}
