//! Sums of lines, level by level: jurisdiction, taxpayer, year, type, section, asset, entry, document.
//!
//! Every line stands in exactly one leaf, so that each sum is the sum of those below it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Line;
use crate::money::{Amount, Overflow};
use crate::tax::lines::Kind;

/// What a node of the breakdown is one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A taxing jurisdiction.
    Jurisdiction,
    /// A taxpayer, by party.
    Taxpayer,
    /// A year of assessment.
    Year,
    /// A type of right.
    IpType,
    /// A section of the law.
    Section,
    /// An asset.
    Asset,
    /// A payment, by the ledger index of its latest version.
    Entry,
    /// A document: SHA-256 where that is known, else its number.
    Document,
}

impl Level {
    const ALL: [Self; 8] = [
        Self::Jurisdiction,
        Self::Taxpayer,
        Self::Year,
        Self::IpType,
        Self::Section,
        Self::Asset,
        Self::Entry,
        Self::Document,
    ];
}

/// Sums of lines of each kind, in Hong Kong dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Of all deductions.
    pub deduction: Amount,
    /// Of all receipts.
    pub receipt: Amount,
    /// Of all tax to be withheld.
    pub withholding: Amount,
    /// Of all profits taxed at a lower rate.
    pub concession: Amount,
}

impl Totals {
    /// Adds a line's amount.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn add(&mut self, kind: Kind, amount: Amount) -> Result<(), Overflow> {
        let sum = match kind {
            Kind::Deduction => &mut self.deduction,
            Kind::Receipt => &mut self.receipt,
            Kind::Withholding => &mut self.withholding,
            Kind::Concession => &mut self.concession,
            Kind::Denied => return Ok(()),
        };
        *sum = sum.plus(amount)?;
        Ok(())
    }

    /// The sums together.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn plus(self, other: Self) -> Result<Self, Overflow> {
        Ok(Self {
            deduction: self.deduction.plus(other.deduction)?,
            receipt: self.receipt.plus(other.receipt)?,
            withholding: self.withholding.plus(other.withholding)?,
            concession: self.concession.plus(other.concession)?,
        })
    }
}

/// One level's sum, and what it is made of.
#[derive(Debug, Clone, Serialize)]
pub struct Node {
    /// What it is one of.
    pub level: Level,
    /// Which one; nothing where lines are about none.
    pub key: Option<String>,
    /// The sums.
    pub totals: Totals,
    /// What it is made of, ascending by key; nothing below a document.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<Self>,
    /// The numbers of the lines, at a document.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<usize>,
}

/// Which node of each level a line belongs to.
fn path(jurisdiction: &str, line: &Line) -> [Option<String>; 8] {
    let payment = line.payment.as_ref();
    let file = payment.and_then(|payment| payment.file).map(|digest| digest.to_string());
    [
        Some(jurisdiction.to_owned()),
        Some(line.taxpayer.to_hex()),
        Some(line.year.to_string()),
        line.ip_type.map(|ip_type| ip_type.as_str().to_owned()),
        Some(line.section.clone()),
        line.asset.as_ref().map(|asset| asset.id.to_hex()),
        payment.map(|payment| payment.index.to_string()),
        file.or_else(|| payment.map(|payment| payment.document.clone())),
    ]
}

/// A line, and which nodes it belongs to from some level on.
type Placed<'a> = (&'a [Option<String>], &'a Line);

/// Adds lines up.
///
/// # Errors
/// [`Overflow`].
pub(super) fn breakdown(jurisdiction: &str, lines: &[Line]) -> Result<Node, Overflow> {
    let paths: Vec<[Option<String>; 8]> = lines.iter().map(|line| path(jurisdiction, line)).collect();
    let placed = paths.iter().zip(lines).map(|(path, line)| (path.get(1..).unwrap_or_default(), line));
    node(&Level::ALL, Some(jurisdiction.to_owned()), &placed.collect::<Vec<_>>())
}

fn node(levels: &[Level], key: Option<String>, lines: &[Placed<'_>]) -> Result<Node, Overflow> {
    let (level, rest) = levels.split_first().map_or((Level::Document, &[][..]), |(level, rest)| (*level, rest));
    let mut node = Node { level, key, totals: Totals::default(), below: Vec::new(), lines: Vec::new() };
    if rest.is_empty() {
        for (_, line) in lines {
            node.totals.add(line.kind, line.amount)?;
            node.lines.push(line.line);
        }
        return Ok(node);
    }
    let mut groups: BTreeMap<(usize, Option<&str>), Vec<Placed<'_>>> = BTreeMap::new();
    for (path, line) in lines {
        let Some((key, below)) = path.split_first() else { continue };
        // Indices are numbers and ascend as such: shorter ones first.
        let length = if rest.first() == Some(&Level::Entry) { key.as_ref().map_or(0, String::len) } else { 0 };
        groups.entry((length, key.as_deref())).or_default().push((below, line));
    }
    for ((_, key), lines) in groups {
        let below = self::node(rest, key.map(str::to_owned), &lines)?;
        node.totals = node.totals.plus(below.totals)?;
        node.below.push(below);
    }
    Ok(node)
}

impl Node {
    /// Whether every sum is that of the nodes below it.
    pub fn ties(&self) -> bool {
        let sum = self.below.iter().try_fold(Totals::default(), |sum, below| sum.plus(below.totals));
        self.below.is_empty() || (sum == Ok(self.totals) && self.below.iter().all(Self::ties))
    }
}
