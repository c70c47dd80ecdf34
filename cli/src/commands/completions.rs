//! `chopmark completions`: a completion script for a shell.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Context;
use crate::arguments::Arguments;
use crate::exit::{Exit, Failure};

/// Prints the script.
///
/// # Errors
/// When stdout can't be written.
pub(crate) fn run(context: &Context<'_>, shell: Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "chopmark", &mut script);
    context.printer.text(Some(context.command), &String::from_utf8_lossy(&script))
}
