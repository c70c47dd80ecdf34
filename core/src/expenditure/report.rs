//! The report on one taxpayer's expenditure: what an officer sees, as a pure function of (tree size, rule-set digest, query,
//! openings digest).
//!
//! [`compute`] makes it from evidence, [`document()`] puts it into the one form that is signed and carried away, with the entries
//! it rests on; [`verify()`] checks such a file with nothing but a trust policy and computes it again: the same bytes, or it is
//! refused. Filters choose which lines are shown; the engine always computes on all evidence.
//! The format is described in `docs/formats/expenditure.md` and in `docs/formats/ip-expenditure.schema.json`.

pub mod breakdown;
pub mod document;
pub mod export;
mod lines;
pub mod query;
mod rows;
pub mod summary;
pub mod verify;

pub use breakdown::{Level, Node, Totals};
pub use document::{REPORT_BYTES_MAX, REPORT_NOTE_HEADER, REPORT_SCHEMA, TreeHead, document};
pub use export::{DATASET_NOTE_HEADER, DatasetNote, ExportNote};
pub use query::Query;
pub use summary::{Cell, Summary};
pub use verify::{ReportError, Verified, open_note, verify};

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::correction::CorrectionReason;
use super::evidence::{Evidence, EvidenceError, Status};
use super::facts::{self, SetAside, UsedRate};
use super::payment::Nature;
use crate::artefact::IpType;
use crate::digest::Sha256Digest;
use crate::money::{Amount, Fraction};
use crate::statement::StatementId;
use crate::strict::StrictError;
use crate::tax::facts::{AttestedBy, Entity, Trade};
use crate::tax::lines::{Claimant, FlagCode, Kind, Reason, Slice};
use crate::tax::rules::{RuleSet, Status as RuleStatus};
use crate::tax::year::{Date, Year, YearEnd};
use crate::tax::{Jurisdiction, TaxError};
use crate::text::Names;

/// A report, computed.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was asked.
    pub query: Query,
    /// Entries of the log that were looked at.
    pub size: u64,
    /// The taxing jurisdiction, in capitals.
    pub jurisdiction: String,
    /// Digest of the rules that were applied.
    pub rules_digest: Sha256Digest,
    /// Digest of the openings that were read.
    pub openings_digest: Sha256Digest,
    /// Whose report it is.
    pub taxpayer: Taxpayer,
    /// The lines that the query asks for, in the engine's order.
    pub lines: Vec<Line>,
    /// Flags of those years, as the query asks for them.
    pub flags: Vec<Flag>,
    /// Sums of the lines by year, type, section, asset, entry and document.
    pub breakdown: Node,
    /// What a return shows of each of the eight types, by year.
    pub ip_types: Vec<TypeRow>,
    /// Payments that lines rest on, or that the query asks for, in the order of the log.
    pub payments: Vec<Payment>,
    /// Every correction among the evidence, in the order of the log.
    pub corrections: Vec<Correction>,
    /// Entries that were not taken in, ascending.
    pub set_aside: Vec<SetAside>,
    /// How many entries that others alone say of the taxpayer are not looked at, because there are too many; the registry says so.
    pub left_out: u64,
}

/// Whose report it is.
#[derive(Debug, Clone, Serialize)]
pub struct Taxpayer {
    /// The party.
    pub party: StatementId,
    /// Its names, self-declared.
    pub name: Names,
    /// Business registration number.
    pub brn: Option<String>,
    /// The Inland Revenue Department's file number.
    pub file_number: Option<String>,
    /// What it is.
    pub entity: Entity,
    /// When it closes its accounts, in the last year asked about.
    pub year_end: YearEnd,
    /// Where it trades, in that year.
    pub trade: Trade,
    /// Whether a profile says so; else it is what goes without saying.
    pub has_profile: bool,
}

/// The first and the last day of a year's accounts.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct BasisPeriod {
    /// The first.
    pub from: Date,
    /// The last.
    pub to: Date,
}

/// A right as a line shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Asset {
    /// The statement that entered it.
    pub id: StatementId,
    /// Its title, as registered.
    pub title: Names,
    /// What it is.
    pub ip_type: IpType,
    /// Where it is registered.
    pub jurisdiction: String,
    /// Its number there.
    pub registration_number: Option<String>,
    /// When it was registered.
    pub registered_on: Option<Date>,
    /// The last day of the longest protection possible.
    pub protection_ends: Option<Date>,
}

/// The other side of a payment.
#[derive(Debug, Clone, Serialize)]
pub struct Counterparty {
    /// The party; nothing for one that is not registered.
    pub party: Option<StatementId>,
    /// What it is called.
    pub name: String,
    /// Where it is resident.
    pub residence: Option<String>,
    /// Whether it was an associate on the day.
    pub associate: bool,
}

/// On which side of a payment the taxpayer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It paid.
    Payer,
    /// It was paid.
    Payee,
}

/// A payment as it stands at the size of the report.
#[derive(Debug, Clone, Serialize)]
pub struct Payment {
    /// Ledger index of its latest version.
    pub index: u64,
    /// The statement that entered it.
    pub entry: StatementId,
    /// Ledger index of that.
    pub entered_at: u64,
    /// What was paid for.
    pub nature: Nature,
    /// On which side the taxpayer stands.
    pub role: Role,
    /// When.
    pub date: Date,
    /// The year of assessment in which the taxpayer has it.
    pub year: Year,
    /// The other side.
    pub counterparty: Counterparty,
    /// The right it is for, as the taxpayer has it.
    pub asset: Option<StatementId>,
    /// What sort of right that is.
    pub ip_type: Option<IpType>,
    /// The licence under which it is due.
    pub licence: Option<StatementId>,
    /// The artefact it is about.
    pub artefact: Option<StatementId>,
    /// The payment it takes something off.
    pub credits: Option<StatementId>,
    /// Number of the document.
    pub document: String,
    /// SHA-256 of the document.
    pub file: Option<Sha256Digest>,
    /// What was paid, in its currency; nothing where it was not opened.
    pub gross: Option<String>,
    /// The currency.
    pub currency: Option<String>,
    /// What credit notes and refunds took off it.
    pub credited: Option<String>,
    /// The rate, for foreign money.
    pub rate: Option<UsedRate>,
    /// What is left of it in Hong Kong dollars, cut off at the cent.
    pub hkd: Option<Amount>,
    /// What was withheld, in its currency.
    pub withheld: Option<String>,
    /// Who attests it.
    pub attested_by: AttestedBy,
    /// What became of it.
    pub status: Status,
}

/// How a royalty's withholding was computed.
#[derive(Debug, Clone, Serialize)]
pub struct Withholding {
    /// The head of section 15(1).
    pub head: String,
    /// The part of the gross that is deemed to be profit.
    pub deemed_rate: String,
    /// The treaty's cap, where one applies.
    pub treaty_cap: Option<String>,
    /// What is due.
    pub due: Amount,
    /// What was withheld, in the payment's currency.
    pub withheld: Option<String>,
}

/// One line.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Its number in the engine's answer for all years: filters leave gaps.
    pub line: usize,
    /// The taxpayer.
    pub taxpayer: StatementId,
    /// Its business registration number.
    pub brn: Option<String>,
    /// The year of assessment.
    pub year: Year,
    /// The accounts of that year.
    pub basis_period: Option<BasisPeriod>,
    /// The right, where an asset is named.
    pub asset: Option<Asset>,
    /// What sort of right it is, where anything says so.
    pub ip_type: Option<IpType>,
    /// The payment it stands under in the breakdown: the sale of what a sale brings, else the last one that the line rests on.
    pub payment: Option<Payment>,
    /// What it is.
    pub kind: Kind,
    /// The section of the law.
    pub section: String,
    /// The rule.
    pub rule: String,
    /// Whether that is law.
    pub rule_status: RuleStatus,
    /// Where it is written.
    pub citation: String,
    /// Which slice of how many.
    pub slice: Option<Slice>,
    /// Which part of the use counts.
    pub use_fraction: Option<Fraction>,
    /// How much, in Hong Kong dollars.
    pub amount: Amount,
    /// Deductions for this purchase up to and with this year, where it is about a purchase.
    pub cumulative: Option<Amount>,
    /// What of its cost was not deducted by then.
    pub unallowed: Option<Amount>,
    /// Why it is nothing.
    pub reason: Option<Reason>,
    /// How withholding was computed, where it is that.
    pub withholding: Option<Withholding>,
    /// Ledger indices it rests on, ascending.
    pub entries: Vec<u64>,
    /// The arithmetic.
    pub steps: Vec<String>,
    /// Whose it is, after an amalgamation.
    pub claimant: Claimant,
    /// Whether facts are missing that could change it.
    pub needs_review: bool,
    /// What is flagged about it: of an entry it rests on, in its year, or of its asset as a whole.
    pub flags: BTreeSet<FlagCode>,
    /// Whether the payment it stands under was corrected.
    pub status: Status,
}

/// Something an officer wants to look at.
#[derive(Debug, Clone, Serialize)]
pub struct Flag {
    /// What it is.
    pub code: FlagCode,
    /// The year, where it is about one.
    pub year: Option<Year>,
    /// The asset, where it is about one.
    pub asset: Option<StatementId>,
    /// Ledger indices that raise it, ascending.
    pub entries: Vec<u64>,
}

/// What a return shows of one of the eight types in one year.
#[derive(Debug, Clone, Serialize)]
pub struct TypeRow {
    /// The year of assessment.
    pub year: Year,
    /// The type.
    pub ip_type: IpType,
    /// The element of a Hong Kong tax computation in iXBRL, with its prefix.
    pub element: String,
    /// Deductions under sections 16E and 16EA among the lines shown.
    pub deduction: Amount,
    /// The same as a return shows it: whole dollars, down to the dollar.
    pub value: String,
}

/// A version and the one that took its place.
#[derive(Debug, Clone, Serialize)]
pub struct Correction {
    /// The asset, payment or use.
    pub entry: StatementId,
    /// Its kind: `asset`, `expenditure` or `use`.
    pub kind: &'static str,
    /// Ledger index of the version before.
    pub before: u64,
    /// Ledger index of the correction.
    pub after: u64,
    /// The correction.
    pub correction: StatementId,
    /// Why.
    pub reason: CorrectionReason,
    /// `reversed` where nothing stands in its place.
    pub status: Status,
    /// What says something else now, ascending: members of the claim and names of its sealed fields, where those were opened.
    /// Nothing where it was reversed.
    pub changed: BTreeSet<String>,
    /// What a payment amounted to before, where that was opened.
    pub amount_before: Option<String>,
    /// In which currency.
    pub currency_before: Option<String>,
    /// What it amounts to now.
    pub amount_after: Option<String>,
    /// In which currency.
    pub currency_after: Option<String>,
    /// Which fraction was used before, of a use, where that was opened.
    pub fraction_before: Option<String>,
    /// Which fraction is used now.
    pub fraction_after: Option<String>,
}

/// Why no report could be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ComputeError {
    /// The entries are no evidence.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The query is not what it has to be.
    #[error("query{}: {}", .0.pointer, .0.reason)]
    Query(StrictError),
    /// The facts are more than the engine takes in, or contradict each other too often.
    #[error("the facts at {}: {}", .0.pointer, .0.reason)]
    Facts(StrictError),
    /// The engine failed.
    #[error(transparent)]
    Tax(#[from] TaxError),
}

/// Computes a report on evidence under rules.
///
/// # Errors
/// A [`ComputeError`]; nothing is half computed.
pub fn compute(
    evidence: &Evidence,
    query: &Query,
    jurisdiction: &dyn Jurisdiction,
    rules: &RuleSet,
) -> Result<Report, ComputeError> {
    query.validate().map_err(ComputeError::Query)?;
    let mut mapped = facts::facts(evidence, &query.proposed_rules).map_err(ComputeError::Facts)?;
    // The engine names what it can't compute; that is set aside, too, and everything is computed again.
    for _ in 0..CONFLICTS_MAX {
        match jurisdiction.compute(&mapped.facts, rules) {
            Ok(answer) => return lines::report(evidence, query, jurisdiction.code(), rules, &mapped, &answer),
            Err(TaxError::Facts(error)) => mapped = facts::without(mapped, &error).map_err(ComputeError::Facts)?,
            Err(other) => return Err(other.into()),
        }
    }
    let reason = format!("the engine can't compute more than {CONFLICTS_MAX} entries; correct them first");
    Err(ComputeError::Facts(StrictError::new("/events", reason)))
}

/// Most entries that the engine may refuse one after the other: each makes it compute once more.
const CONFLICTS_MAX: usize = 50;

/// The document of facts that a report is computed from, as `chopmark tax compute` reads it.
///
/// # Errors
/// As [`compute`].
pub fn facts_document(evidence: &Evidence, query: &Query) -> Result<Value, ComputeError> {
    let mapped = facts::facts(evidence, &query.proposed_rules);
    mapped.map(|mapped| mapped.document).map_err(ComputeError::Facts)
}

#[cfg(test)]
mod tests;
