//! The one binary: a client of any registry, and the service itself.
//!
//! Reads the command line, runs one command, and turns its end into output and an exit code; everything else is in
//! modules. Argument structs (`arguments`) are apart from what commands do (`commands`).

mod arguments;
mod client;
mod commands;
mod config;
mod exit;
mod files;
mod interrupt;
mod keys;
mod log;
mod parties;
mod pending;
mod printer;
mod progress;
mod registry;
mod remembered;
mod statement_file;
mod trust;
mod units;
mod vault;

/// Shared with the integration tests, which can't call what is in a program.
#[cfg(test)]
#[path = "../../tests/it/damage.rs"]
mod damage;

use std::process::ExitCode;

use crate::arguments::Arguments;
use crate::printer::Printer;

fn main() -> ExitCode {
    let (printer, command, end) = match Arguments::of_process() {
        Ok(arguments) => {
            let printer = Printer::new(&arguments.global);
            let name = arguments.command.name();
            let end = commands::run(arguments, &printer);
            (printer, Some(name), end)
        }
        Err(error) => {
            let printer = Printer::before_arguments();
            let end = printer.clap(&error);
            (printer, None, end)
        }
    };
    let exit = end.unwrap_or_else(|failure| printer.failure(command, &failure));
    exit.into()
}
