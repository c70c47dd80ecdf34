//! Sums over many taxpayers: what a jurisdiction's summary shows, as a pure fold of their reports.
//!
//! A store keeps cells beside its tables and adds them up; a full recomputation adds the same cells from the engine's lines,
//! and the two must be equal.

use std::collections::BTreeMap;

use serde::Serialize;

use super::breakdown::Totals;
use super::{Line, Report};
use crate::artefact::IpType;
use crate::money::Overflow;
use crate::tax::year::Year;

/// What a sum is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Cell {
    /// The taxing jurisdiction.
    pub jurisdiction: String,
    /// The year of assessment.
    pub year: Year,
    /// The type of right, where lines say one.
    pub ip_type: Option<IpType>,
    /// The section of the law.
    pub section: String,
}

/// Sums by cell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    cells: BTreeMap<Cell, Totals>,
}

impl Summary {
    /// The sums, ascending by cell.
    pub fn cells(&self) -> impl Iterator<Item = (&Cell, &Totals)> {
        self.cells.iter()
    }

    /// Adds the lines of a report. They should be all of them: a query without filters.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn add(&mut self, report: &Report) -> Result<(), Overflow> {
        report.lines.iter().try_for_each(|line| self.add_line(&report.jurisdiction, line))
    }

    fn add_line(&mut self, jurisdiction: &str, line: &Line) -> Result<(), Overflow> {
        let cell = Cell {
            jurisdiction: jurisdiction.to_owned(),
            year: line.year,
            ip_type: line.ip_type,
            section: line.section.clone(),
        };
        self.cells.entry(cell).or_default().add(line.kind, line.amount)
    }

    /// Adds what others added up.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn merge(&mut self, other: &Self) -> Result<(), Overflow> {
        for (cell, totals) in &other.cells {
            match self.cells.get_mut(cell) {
                Some(sum) => *sum = sum.plus(*totals)?,
                None => drop(self.cells.insert(cell.clone(), *totals)),
            }
        }
        Ok(())
    }

    /// Adds one sum, as a store keeps it.
    ///
    /// # Errors
    /// [`Overflow`].
    pub fn put(&mut self, cell: Cell, totals: Totals) -> Result<(), Overflow> {
        let sum = self.cells.entry(cell).or_default();
        *sum = sum.plus(totals)?;
        Ok(())
    }
}
