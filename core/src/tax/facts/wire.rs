//! The document as it is written: every member as text, nothing decided yet.

use serde::Deserialize;

use super::{
    Acquires, AttestedBy, Entity, Funding, IpType, LapseCause, PerformedBy, ResearchPlace, Trade, UsedBy, UsedIn,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFacts {
    pub schema: String,
    pub taxpayer: RawTaxpayer,
    #[serde(default)]
    pub assets: Vec<RawAsset>,
    pub events: Vec<RawEvent>,
    #[serde(default)]
    pub years: Option<Vec<String>>,
    #[serde(default)]
    pub proposed_rules: Option<Vec<String>>,
    #[serde(default)]
    pub rates: Option<Vec<RawRate>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTaxpayer {
    pub name: String,
    pub brn: Option<String>,
    pub entity: Option<Entity>,
    pub year_end: Option<String>,
    // Says nothing about what is computed here: withholding follows the payee's.
    #[serde(rename = "two_tier")]
    pub _two_tier: Option<bool>,
    pub trade: Option<Trade>,
    pub hk_proportion: Option<String>,
    pub changes: Option<Vec<RawAssessed>>,
    pub commenced: Option<String>,
    pub ceased: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAssessed {
    pub from: String,
    pub year_end: Option<String>,
    pub trade: Option<Trade>,
    pub hk_proportion: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAsset {
    pub id: String,
    pub ip_type: IpType,
    pub jurisdiction: Option<String>,
    pub registered: Option<bool>,
    pub registration_number: Option<String>,
    pub protection_ends: Option<String>,
    pub software: Option<bool>,
    // For people.
    #[serde(rename = "title")]
    pub _title: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRate {
    pub from: String,
    pub units: Option<String>,
    pub to: String,
    pub rate: String,
    pub source: Option<String>,
    pub date: Option<String>,
    pub since: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCounterparty {
    // For people.
    #[serde(rename = "name")]
    pub _name: Option<String>,
    pub associate: Option<bool>,
    pub residence: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEndUser {
    pub purchased: String,
    pub price: String,
    pub deducted: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPayee {
    pub name: Option<String>,
    pub associate: Option<bool>,
    pub residence: Option<String>,
    pub entity: Option<Entity>,
    pub two_tier: Option<bool>,
    pub ever_hk_owned: Option<bool>,
    pub treaty_cap: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPredecessor {
    // For people.
    #[serde(rename = "name")]
    pub _name: Option<String>,
    pub year_end: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RawNature {
    Purchase,
    Use,
    Disposal,
    UpfrontFee,
    Royalty,
    Registration,
    RndTypeA,
    RndTypeB,
    Succession,
    PatentBox,
    Lapse,
    TitleLeft,
    Claim,
    Reversal,
}

/// An event with all members any nature has, and the names of those that are there.
macro_rules! raw_event {
    ($($name:ident: $type:ty,)*) => {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct RawEvent {
            pub id: String,
            pub nature: RawNature,
            $(#[serde(default)] pub $name: Option<$type>,)*
        }

        impl RawEvent {
            /// The members that are there, `id` and `nature` apart.
            pub(super) fn members(&self) -> impl Iterator<Item = &'static str> {
                [$(self.$name.is_some().then_some(stringify!($name)),)*].into_iter().flatten()
            }
        }
    };
}

raw_event! {
    asset: String,
    date: String,
    year: String,
    amount: String,
    currency: String,
    fx: RawRate,
    attested_by: AttestedBy,
    corrects: String,
    index: u64,
    counterparty: RawCounterparty,
    share: String,
    fees: String,
    funding: Funding,
    licensed_back: bool,
    end_user: RawEndUser,
    acquires: Acquires,
    fraction: String,
    seller_cost: String,
    early_termination: bool,
    by: UsedBy,
    taxed_in_hk: bool,
    term_years: u32,
    payee: Box<RawPayee>,
    withheld: String,
    used_in: UsedIn,
    film: bool,
    place: ResearchPlace,
    proportion: String,
    met_by_others: String,
    vested: bool,
    for_another: bool,
    performed_by: PerformedBy,
    avoidance: bool,
    predecessor: RawPredecessor,
    profit: String,
    ee: String,
    ne: String,
    elected: bool,
    cause: LapseCause,
    reverses: String,
}

impl RawNature {
    /// The members this nature must have, and those it may have besides.
    pub(super) const fn members(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Purchase => (
                &["asset", "date", "amount"],
                &[
                    "share",
                    "fees",
                    "counterparty",
                    "funding",
                    "licensed_back",
                    "end_user",
                    "acquires",
                    "fraction",
                    "seller_cost",
                    "early_termination",
                ],
            ),
            Self::Use => (&["asset", "year"], &["fraction", "by", "taxed_in_hk"]),
            Self::Disposal => (&["asset", "date", "amount"], &["share", "counterparty"]),
            Self::UpfrontFee => (&["asset", "date", "amount"], &["term_years", "counterparty"]),
            Self::Royalty => (&["date", "amount"], &["asset", "payee", "withheld", "used_in", "film"]),
            Self::Registration => (&["asset", "date", "amount"], &[]),
            Self::RndTypeA => (
                &["date", "amount"],
                &[
                    "asset",
                    "place",
                    "proportion",
                    "met_by_others",
                    "vested",
                    "for_another",
                    "performed_by",
                    "avoidance",
                    "counterparty",
                ],
            ),
            Self::RndTypeB => (
                &["date", "amount"],
                &[
                    "asset",
                    "place",
                    "met_by_others",
                    "vested",
                    "for_another",
                    "performed_by",
                    "avoidance",
                    "counterparty",
                ],
            ),
            Self::Succession => (&["asset", "date"], &["predecessor"]),
            Self::PatentBox => (&["asset", "year", "profit", "ee", "ne"], &["elected"]),
            Self::Lapse => (&["asset", "date"], &["cause"]),
            Self::TitleLeft => (&["asset", "date"], &["counterparty"]),
            Self::Claim => (&["asset", "year", "amount"], &[]),
            Self::Reversal => (&["reverses"], &["date"]),
        }
    }

    /// Whether a member is one that events of this nature have.
    pub(super) fn has(self, member: &str) -> bool {
        let (required, optional) = self.members();
        let is_money = required.contains(&"amount") || required.contains(&"profit");
        required.contains(&member)
            || optional.contains(&member)
            || ["attested_by", "corrects", "index"].contains(&member)
            || (is_money && ["currency", "fx"].contains(&member))
    }
}
