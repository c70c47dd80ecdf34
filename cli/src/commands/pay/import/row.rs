//! From a row of a list to what is said of a payment, cell by cell.

use core::str::FromStr;
use std::path::Path;

use chopmark_core::code::Jurisdiction;
use chopmark_core::money::Fraction;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::arguments::PaymentArguments;

/// Columns in the order in which they are documented: options of `pay record`, and the numbers of both sides.
pub(super) const COLUMNS: [&str; 38] = [
    "nature",
    "date",
    "document",
    "file",
    "amount",
    "currency",
    "withheld",
    "fx_rate",
    "fees",
    "met_by_others",
    "payer",
    "payer_brn",
    "payer_name",
    "payer_jurisdiction",
    "payee",
    "payee_brn",
    "payee_name",
    "payee_jurisdiction",
    "asset",
    "counter_asset",
    "ip_type",
    "licence",
    "artefact",
    "credits",
    "share",
    "funding",
    "licensed_back",
    "acquires",
    "fraction",
    "early_termination",
    "term_years",
    "used_in",
    "film",
    "ever_hk_owned",
    "treaty_cap",
    "place",
    "proportion",
    "performed_by",
];

/// Columns that come after those.
pub(super) const MORE_COLUMNS: [&str; 3] = ["vested", "for_another", "avoidance"];

/// Columns without which no row says what it has to.
pub(super) const NEEDED: [&str; 5] = ["nature", "date", "document", "amount", "currency"];

/// Columns of figures: a sign there is a matter of the figure.
const FIGURES: [&str; 5] = ["amount", "withheld", "fx_rate", "fees", "met_by_others"];

/// A row of a list.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// Its line in the file, from 1.
    pub(super) line: u64,
    /// What it says.
    pub(super) payment: PaymentArguments,
    /// The payer's business registration number.
    pub(super) payer_brn: Option<String>,
    /// The payee's.
    pub(super) payee_brn: Option<String>,
    /// The document on the same list that it takes something off.
    pub(super) credits_document: Option<String>,
}

/// A cell that is not as it has to be.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    /// Its line in the file, from 1.
    pub(super) line: u64,
    /// Its column; empty where it is about the row.
    pub(super) column: String,
    /// What is wrong.
    pub(super) reason: String,
}

/// Whether there is such a column.
pub(super) fn is_column(name: &str) -> bool {
    COLUMNS.contains(&name) || MORE_COLUMNS.contains(&name)
}

/// Whether a spreadsheet would compute a cell: what it shows is then not what it says.
fn is_formula(column: &str, cell: &str) -> bool {
    let first = cell.chars().next();
    let is_sign = matches!(first, Some('+' | '-'));
    matches!(first, Some('=' | '@' | '\t' | '\r')) || (is_sign && !FIGURES.contains(&column))
}

impl Row {
    /// Takes in a cell that is not empty; `base` is where files lie.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn set(&mut self, column: &str, cell: &str, base: &Path) -> Result<(), String> {
        if is_formula(column, cell) {
            return Err("begins like a formula of a spreadsheet; export values, not formulas".to_owned());
        }
        let payment = &mut self.payment;
        match column {
            "nature" => payment.nature = Some(word(cell)?),
            "date" => payment.date = Some(cell.parse()?),
            "document" => payment.document = Some(cell.to_owned()),
            "file" => payment.file = Some(base.join(cell)),
            "amount" => payment.amount = Some(cell.to_owned()),
            "currency" => payment.currency = Some(cell.parse()?),
            "withheld" => payment.withheld = Some(cell.to_owned()),
            "fx_rate" => payment.fx_rate = Some(cell.to_owned()),
            "fees" => payment.fees = Some(cell.to_owned()),
            "met_by_others" => payment.met_by_others = Some(cell.to_owned()),
            "payer" => payment.payer = Some(cell.to_owned()),
            "payer_brn" => self.payer_brn = Some(cell.to_owned()),
            "payer_name" => payment.payer_name = Some(cell.to_owned()),
            "payer_jurisdiction" => payment.payer_jurisdiction = Some(Jurisdiction::new(cell)?),
            "payee" => payment.payee = Some(cell.to_owned()),
            "payee_brn" => self.payee_brn = Some(cell.to_owned()),
            "payee_name" => payment.payee_name = Some(cell.to_owned()),
            "payee_jurisdiction" => payment.payee_jurisdiction = Some(Jurisdiction::new(cell)?),
            "asset" => payment.asset = Some(cell.to_owned()),
            "counter_asset" => payment.counter_asset = Some(cell.to_owned()),
            "ip_type" => payment.ip_type = Some(word(cell)?),
            "licence" => payment.licence = Some(cell.to_owned()),
            "artefact" => payment.artefact = Some(cell.to_owned()),
            "credits" if chopmark_core::statement::IdReference::from_str(cell).is_ok() => {
                payment.credits = Some(cell.to_owned());
            }
            "credits" => self.credits_document = Some(cell.to_owned()),
            "share" => payment.share = Some(Fraction::parse(cell)?),
            "funding" => payment.funding = Some(word(cell)?),
            "licensed_back" => payment.licensed_back = Some(boolean(cell)?),
            "acquires" => payment.acquires = Some(word(cell)?),
            "fraction" => payment.fraction = Some(Fraction::parse(cell)?),
            "early_termination" => payment.early_termination = Some(boolean(cell)?),
            "term_years" => payment.term_years = Some(cell.parse().map_err(|_| "a number of years is expected")?),
            "used_in" => payment.used_in = Some(word(cell)?),
            "film" => payment.film = Some(boolean(cell)?),
            "ever_hk_owned" => payment.ever_hk_owned = Some(boolean(cell)?),
            "treaty_cap" => payment.treaty_cap = Some(cell.to_owned()),
            "place" => payment.place = Some(word(cell)?),
            "proportion" => payment.proportion = Some(Fraction::parse(cell)?),
            "vested" => payment.vested = Some(boolean(cell)?),
            "for_another" => payment.for_another = Some(boolean(cell)?),
            "performed_by" => payment.performed_by = Some(word(cell)?),
            "avoidance" => payment.avoidance = Some(boolean(cell)?),
            _ => return Err("is no column".to_owned()),
        }
        Ok(())
    }
}

/// A word that statements use.
fn word<T: DeserializeOwned>(cell: &str) -> Result<T, String> {
    serde_json::from_value(Value::String(cell.to_owned())).map_err(|error| error.to_string())
}

fn boolean(cell: &str) -> Result<bool, String> {
    match cell {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("{cell:?} is neither true nor false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_takes_a_cell() {
        for column in COLUMNS.iter().chain(&MORE_COLUMNS) {
            let cell = match *column {
                "nature" => "royalty",
                "date" => "2026-05-02",
                "currency" => "HKD",
                "payer_jurisdiction" | "payee_jurisdiction" => "HK",
                "ip_type" => "copyright",
                "share" | "fraction" | "proportion" => "0.5",
                "funding" => "own",
                "acquires" => "licence",
                "term_years" => "3",
                "used_in" | "place" => "hk",
                "performed_by" => "self",
                "licensed_back" | "early_termination" | "film" | "ever_hk_owned" | "vested" | "for_another"
                | "avoidance" => "true",
                _ => "1",
            };
            assert_eq!(Row::default().set(column, cell, Path::new("")), Ok(()), "{column}");
            assert!(Row::default().set(column, "=SUM(A1)", Path::new("")).unwrap_err().contains("formula"), "{column}");
        }
        assert!(Row::default().set("colour", "red", Path::new("")).is_err());
        for (column, cell) in [("nature", "gift"), ("date", "2026-02-30"), ("currency", "XXX"), ("film", "yes")] {
            assert!(Row::default().set(column, cell, Path::new("")).is_err(), "{column}");
        }
    }
}
