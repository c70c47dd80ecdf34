//! Words that facts, and the statements they come from, have in common.

use serde::{Deserialize, Serialize};

/// Who says that a payment was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttestedBy {
    /// Only who pays.
    Payer,
    /// Only who is paid.
    Payee,
    /// Both.
    Both,
}

/// How a purchase was paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Funding {
    /// With the buyer's own money.
    Own,
    /// With a loan for which the buyer answers.
    Recourse,
    /// Wholly or mainly with debt for which only the right itself answers.
    NonRecourse,
}

/// What was acquired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Acquires {
    /// The right itself.
    Ownership,
    /// A licence, which is no purchase.
    Licence,
}

/// Who used a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsedBy {
    /// Its owner.
    #[serde(rename = "self")]
    Owner,
    /// A licensee in Hong Kong.
    LicenseeHk,
    /// A licensee abroad.
    LicenseeAbroad,
}

/// Where a royalty's right is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsedIn {
    /// In Hong Kong.
    Hk,
    /// Elsewhere.
    Abroad,
}

/// Where research was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResearchPlace {
    /// In Hong Kong.
    Hk,
    /// Elsewhere.
    Overseas,
}

/// Who did the research.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PerformedBy {
    /// The taxpayer.
    #[serde(rename = "self")]
    Taxpayer,
    /// A research institution that is not designated.
    RdInstitution,
    /// A designated local research institution.
    DesignatedInstitution,
    /// Somebody else.
    Other,
}

/// Why no type B expenditure is paid to an institution that is not designated.
pub(crate) const NOT_DESIGNATED: &str =
    "what is paid to a research institution that is not designated is type A (Schedule 45, section 10)";

/// Why a registration is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LapseCause {
    /// It ran out.
    Expired,
    /// The assignment was not registered: it was never the taxpayer's.
    Refused,
    /// It was revoked.
    Revoked,
    /// It was declared invalid.
    Invalidated,
    /// It was given up.
    Surrendered,
}
