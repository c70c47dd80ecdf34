//! `chopmark report`: a registry's report on expenditure, and what it is worth to somebody who only has the file.

mod explain;
mod recompute;
mod request;
mod signed;
mod verify;

use std::io::ErrorKind;
use std::path::Path;

use chopmark_core::expenditure::report::{REPORT_BYTES_MAX, ReportError};

use super::Context;
use crate::arguments::ReportCommand;
use crate::exit::{Exit, Failure};
use crate::files;

/// What a report proves, and what it does not, in words.
const PROVEN: &str = "signature, entries, signers, openings, and every figure computed again";
const ASSERTED: &str = "that nothing was left out; names and numbers are what parties say of themselves";

/// Runs a command about reports.
///
/// # Errors
/// The command's own.
pub(crate) fn run(context: &Context<'_>, command: ReportCommand) -> Result<Exit, Failure> {
    match command {
        ReportCommand::IpExpenditure(arguments) => request::run(context, &arguments),
        ReportCommand::Verify(arguments) => verify::run(context, arguments),
        ReportCommand::Explain(arguments) => explain::run(context, &arguments),
        ReportCommand::Recompute(arguments) => recompute::run(context, &arguments),
    }
}

/// Reads a report.
///
/// # Errors
/// A usage failure when it can't be read; a proof failure when it is longer than any.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    files::read(path, REPORT_BYTES_MAX).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => Failure::proof(format!("{} is {error}", path.display())),
        _ => Failure::usage(format!("cannot read the report {}: {error}", path.display())),
    })
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        let exit = match error {
            ReportError::NoTrust { .. } | ReportError::Policy(_) | ReportError::RulesUnknown { .. } => {
                Exit::CouldNotCheck
            }
            _ => Exit::ProofInvalid,
        };
        Self::new(exit, error.code(), error.to_string())
    }
}
