//! Facts: what happened, as the ledger's entries or a file say it; never how it is treated.
//!
//! [`Facts::from_slice`] is the only way in. It refuses whatever would have to be guessed – unknown natures and members,
//! amounts with the wrong decimals, sales before purchases, foreign money without a rate – and names the place by JSON
//! pointer. What comes out is complete: amounts in Hong Kong dollars, corrections and reversals carried out.
//! The format is described in `docs/formats/tax-facts.md`.

mod event;
mod history;
mod read;
mod taxpayer;
mod wire;
mod words;

use serde::{Deserialize, Serialize};

use super::fx::Conversion;
use super::steps::Step;
use super::year::{Date, Year};
use crate::money::{Amount, Decimal, Fraction};

pub use crate::artefact::IpType;
pub(crate) use event::read_treaty_cap;
pub use read::{ASSETS_MAX, EVENTS_MAX, FACTS_BYTES_MAX};
pub use taxpayer::{Assessed, Taxpayer};
pub(crate) use words::NOT_DESIGNATED;
pub use words::{Acquires, AttestedBy, Funding, LapseCause, PerformedBy, ResearchPlace, UsedBy, UsedIn};

/// The format of facts read here.
pub const SCHEMA: &str = "chopmark.tax.facts/v1";

/// What sort of person is taxed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Entity {
    /// A corporation.
    #[default]
    Corporation,
    /// Anybody else.
    Unincorporated,
}

impl Entity {
    /// The word in facts and rules.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Corporation => "corporation",
            Self::Unincorporated => "unincorporated",
        }
    }
}

/// Where the trade is carried on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Trade {
    /// Solely in Hong Kong.
    #[default]
    WhollyHk,
    /// Partly elsewhere.
    PartlyHk,
}

/// An intellectual property right, by registration: the same mark in two places is two assets.
#[derive(Debug, Clone)]
pub struct Asset {
    /// Its name in this file.
    pub id: String,
    /// What it is.
    pub ip_type: IpType,
    /// Where it is registered or subsists.
    pub jurisdiction: String,
    /// Whether it was registered or granted when it was bought.
    pub is_registered: bool,
    /// Its number there.
    pub registration_number: Option<String>,
    /// The last day for which protection may last at most.
    pub protection_ends: Option<Date>,
    /// Whether a copyright is in software.
    pub is_software: bool,
}

/// A sum of money in Hong Kong dollars, and how it came to be if it was another currency.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Money {
    /// The sum.
    pub amount: Amount,
    /// The conversion, for foreign money.
    pub conversion: Option<Box<Conversion>>,
}

impl Money {
    /// The step in which it was converted, for foreign money.
    pub fn step(&self) -> Option<Step> {
        self.conversion.as_ref().map(|conversion| conversion.step.clone())
    }
}

/// What happened.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its name in this file.
    pub id: String,
    /// Its place in the file's list.
    pub place: usize,
    /// The asset's place among [`Facts::assets`].
    pub asset: Option<usize>,
    /// The day, where it is an event of a day.
    pub day: Option<Date>,
    /// The year of assessment it falls in or is about.
    pub year: Year,
    /// Who attested it.
    pub attested_by: Option<AttestedBy>,
    /// Its part in the history.
    pub nature: Nature,
}

/// The other side of a purchase or sale.
#[derive(Debug, Clone, Default)]
pub struct Counterparty {
    /// Whether it is an associate.
    pub is_associate: bool,
    /// Where it is resident, when said.
    pub residence: Option<String>,
}

/// How the end user came by what it sold and licensed back (section 16EC(5)).
#[derive(Debug, Clone)]
pub struct EndUser {
    /// When it bought from the supplier.
    pub purchased: Date,
    /// What it paid.
    pub price: Amount,
    /// Whether it deducted anything.
    pub deducted: bool,
}

/// A purchase.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and any may come with any")]
#[derive(Debug, Clone)]
pub struct Purchase {
    /// The price of the whole asset.
    pub price: Money,
    /// The taxpayer's share in it.
    pub share: Fraction,
    /// Legal and valuation costs of its own.
    pub fees: Money,
    /// The seller.
    pub seller: Counterparty,
    /// Whether it was paid wholly or mainly with debt for which only the right itself answers.
    pub is_non_recourse: bool,
    /// Whether the seller became the licensee.
    pub is_licensed_back: bool,
    /// How the seller came by it.
    pub end_user: Option<EndUser>,
    /// Whether only a licence was acquired.
    pub is_licence: bool,
    /// The part for which it was bought to produce chargeable profits, for what is deducted at once.
    pub intended_use: Option<Fraction>,
    /// What it cost the associate who sold it, for the proposed rule.
    pub seller_cost: Option<Money>,
    /// Whether a licence was ended early for it, at an unreasonable price.
    pub is_early_termination: bool,
}

/// Use in a year of assessment.
#[derive(Debug, Clone, Copy)]
pub struct Use {
    /// How much of the right was used so.
    pub fraction: Fraction,
    /// Whether it was a licensee's.
    pub is_licensed: bool,
    /// Whether a licensee used it abroad.
    pub is_abroad: bool,
    /// Whether the income from a licensee abroad is taxed here, for the proposed rule.
    pub is_taxed_here: bool,
}

/// The receiver of a royalty.
#[derive(Debug, Clone)]
pub struct Payee {
    /// Its name, if said; payments to one name are one person's.
    pub name: Option<String>,
    /// Whether it is an associate.
    pub is_associate: bool,
    /// Where it is resident, when said.
    pub residence: Option<String>,
    /// What it is.
    pub entity: Entity,
    /// Whether it is chargeable at two-tiered rates.
    pub is_two_tier: bool,
    /// Whether somebody in business in Hong Kong ever owned the right; unknown where nothing is said.
    pub ever_hk_owned: Option<bool>,
    /// The treaty's cap.
    pub treaty: TreatyCap,
}

/// Which cap of a treaty a royalty claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreatyCap {
    /// The one the rules have for the payee's residence.
    ByResidence,
    /// None.
    Unavailable,
    /// This one.
    Of(Decimal),
}

/// A royalty.
#[derive(Debug, Clone)]
pub struct Royalty {
    /// What was paid.
    pub gross: Money,
    /// Who received it.
    pub payee: Option<Payee>,
    /// What was withheld.
    pub withheld: Amount,
    /// For use outside Hong Kong: section 15(1)(ba).
    pub is_used_abroad: bool,
    /// For the exhibition of films: section 15(1)(a).
    pub is_film: bool,
}

/// Research and development expenditure.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and any may come with any")]
#[derive(Debug, Clone)]
pub struct Research {
    /// What was spent.
    pub spent: Money,
    /// What others met of it.
    pub met_by_others: Money,
    /// Whether it is type B.
    pub is_type_b: bool,
    /// The deductible part of what was spent overseas by a trade partly elsewhere.
    pub proportion: Fraction,
    /// Whether all rights are vested in the taxpayer.
    pub is_vested: bool,
    /// Whether it was done for somebody else.
    pub is_for_another: bool,
    /// Who did it.
    pub performed_by: PerformedBy,
    /// Whether a main purpose was a deduction that would not be due (Schedule 45, section 14(c)).
    pub is_avoidance: bool,
}

/// Profits from one right, for the patent box.
#[derive(Debug, Clone)]
pub struct PatentBox {
    /// The profits.
    pub profit: Money,
    /// Eligible expenditure.
    pub eligible: Money,
    /// Non-eligible expenditure.
    pub other: Money,
    /// Whether it is elected.
    pub is_elected: bool,
}

/// An event's part in the history.
#[derive(Debug, Clone)]
pub enum Nature {
    /// A purchase.
    Purchase(Box<Purchase>),
    /// Use in a year.
    Use(Use),
    /// A sale: the proceeds, and which share of the whole asset; everything held where none is said.
    Disposal(Money, Option<Fraction>),
    /// A capital fee for a licence, and the licence's term in years.
    UpfrontFee(Money, Option<u32>),
    /// A royalty.
    Royalty(Box<Royalty>),
    /// A cost of registration.
    Registration(Money),
    /// Research and development.
    Research(Box<Research>),
    /// The taxpayer succeeded to the asset by amalgamation.
    Succession,
    /// Profits for the patent box.
    PatentBox(Box<PatentBox>),
    /// A registration lapsed.
    Lapse(LapseCause),
    /// The title left the taxpayer, as the ledger says.
    TitleLeft,
    /// What was claimed in a return.
    Claim(Money),
}

impl Nature {
    /// The word in facts.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Purchase(_) => "purchase",
            Self::Use(_) => "use",
            Self::Disposal(..) => "disposal",
            Self::UpfrontFee(..) => "upfront_fee",
            Self::Royalty(_) => "royalty",
            Self::Registration(_) => "registration",
            Self::Research(research) if research.is_type_b => "rnd_type_b",
            Self::Research(_) => "rnd_type_a",
            Self::Succession => "succession",
            Self::PatentBox(_) => "patent_box",
            Self::Lapse(_) => "lapse",
            Self::TitleLeft => "title_left",
            Self::Claim(_) => "claim",
        }
    }

    /// The money in it, where there is any; all of an event's money is converted by one rate.
    pub fn money(&self) -> Option<&Money> {
        match self {
            Self::Purchase(purchase) => Some(&purchase.price),
            Self::Disposal(money, _) | Self::UpfrontFee(money, _) | Self::Registration(money) | Self::Claim(money) => {
                Some(money)
            }
            Self::Royalty(royalty) => Some(&royalty.gross),
            Self::Research(research) => Some(&research.spent),
            Self::PatentBox(profits) => Some(&profits.profit),
            Self::Use(_) | Self::Succession | Self::Lapse(_) | Self::TitleLeft => None,
        }
    }
}

/// A complete history, and what is asked about it.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Whose it is.
    pub taxpayer: Taxpayer,
    /// The rights it is about.
    pub assets: Vec<Asset>,
    /// What happened, ascending by day or year, then by id; corrected and reversed events are left out.
    pub events: Vec<Event>,
    /// The years asked for, ascending; none means every year in which something falls.
    pub years: Vec<Year>,
    /// Proposed rules to apply, by name.
    pub proposed_rules: Vec<String>,
}

impl Facts {
    /// The asset an event is about.
    pub fn asset_of(&self, event: &Event) -> Option<&Asset> {
        self.assets.get(event.asset?)
    }
}

#[cfg(test)]
mod tests;
