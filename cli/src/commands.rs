//! What each command does: one module per command, named as it is typed.
//!
//! Here is only the way from parsed arguments to the module, and what the modules share.

mod access;
mod asset;
mod attest;
mod audit;
mod bundle;
mod completions;
mod consent;
mod cosign;
mod db;
mod disclose;
mod dry_run;
mod endorse;
mod engines;
mod erase;
mod explain;
mod hash;
mod journal;
mod key;
mod key_event;
mod ledger;
mod licence;
mod lineage;
mod measuring;
mod notes;
mod output;
mod party;
mod party_verified;
mod pay;
mod recall;
mod register;
mod report;
mod resident;
mod say;
mod sealing;
mod search;
mod serve;
mod sidecar;
mod sign;
mod signers;
mod submit;
mod submit_file;
mod tax;
mod token;
mod unfinished;
mod vault;
mod verify;

use crate::arguments::{
    AccessCommand, Arguments, Command, DbCommand, EraseCommand, GlobalArguments, KeyCommand, LedgerCommand,
    PartyCommand, TokenCommand, VaultCommand,
};
use crate::config::{Overrides, Settings};
use crate::exit::{Exit, Failure};
use crate::printer::{Printer, Report};

/// What every command runs with.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// The way out.
    pub(crate) printer: &'a Printer,
    /// The command as written.
    pub(crate) command: &'static str,
    /// The global flags.
    pub(crate) global: GlobalArguments,
}

impl Context<'_> {
    /// The settings of this run.
    ///
    /// # Errors
    /// A usage failure naming the settings file that can't be read.
    pub(crate) fn settings(&self, overrides: Overrides) -> Result<Settings, Failure> {
        Settings::load(&self.global, overrides)
    }

    /// Prints the result of a command that did what was asked.
    ///
    /// # Errors
    /// When stdout can't be written.
    pub(crate) fn done(&self, members: serde_json::Value, report: &Report) -> Result<Exit, Failure> {
        self.printer.result(self.command, Exit::Done, members, report)
    }
}

/// Runs a command to its end.
///
/// # Errors
/// Why it did not do what was asked; nothing was printed on stdout then.
pub(crate) fn run(arguments: Arguments, printer: &Printer) -> Result<Exit, Failure> {
    let Arguments { global, command } = arguments;
    let context = Context { printer, command: command.name(), global };
    match command {
        Command::Key(KeyCommand::New(arguments)) => key::new(&context, arguments),
        Command::Key(KeyCommand::Show) => key::show(&context),
        Command::Key(KeyCommand::Add(arguments)) => key_event::add(&context, arguments),
        Command::Key(KeyCommand::Rotate(arguments)) => key_event::rotate(&context, arguments),
        Command::Key(KeyCommand::Revoke(arguments)) => key_event::revoke(&context, arguments),
        Command::Party(PartyCommand::Register(arguments)) => party::register(&context, arguments),
        Command::Party(PartyCommand::Verify(arguments)) => party_verified::verify(&context, arguments),
        Command::Party(PartyCommand::Unverify(arguments)) => party_verified::unverify(&context, arguments),
        Command::Sign(arguments) => sign::run(&context, &arguments),
        Command::Submit(arguments) => submit_file::run(&context, &arguments),
        Command::Attest(arguments) => attest::run(&context, *arguments),
        Command::Endorse(arguments) => endorse::run(&context, arguments),
        Command::Search(arguments) => search::run(&context, &arguments),
        Command::Lineage(arguments) => lineage::run(&context, &arguments),
        Command::Licence(command) => licence::run(&context, command),
        Command::Hash(arguments) => hash::run(&context, &arguments),
        Command::Engines(arguments) => engines::run(&context, arguments),
        Command::Register(arguments) => register::run(&context, *arguments),
        Command::Verify(arguments) => verify::run(&context, &arguments),
        Command::Resident(arguments) => resident::run(&context, &arguments),
        Command::Disclose(arguments) => disclose::run(&context, *arguments),
        Command::Erase(EraseCommand::Request(arguments)) => erase::request(&context, arguments),
        Command::Access(AccessCommand::Log(arguments)) => access::log(&context, arguments),
        Command::Token(TokenCommand::Login(arguments)) => token::login(&context, arguments),
        Command::Token(TokenCommand::New(arguments)) => token::new(&context, &arguments),
        Command::Token(TokenCommand::List(arguments)) => token::list(&context, &arguments),
        Command::Token(TokenCommand::Revoke(arguments)) => token::revoke(&context, &arguments),
        Command::Vault(VaultCommand::Rotate(arguments)) => vault::rotate(&context, &arguments),
        Command::Serve(arguments) => serve::run(&context, &arguments),
        Command::Ledger(LedgerCommand::Init(arguments)) => ledger::init(&context, &arguments),
        Command::Db(DbCommand::Url(arguments)) => db::url(&context, &arguments),
        Command::Db(DbCommand::Rebuild(arguments)) => db::rebuild(&context, &arguments),
        Command::Audit(arguments) => audit::run(&context, &arguments),
        Command::Tax(command) => tax::run(&context, command),
        Command::Asset(command) => asset::run(&context, command),
        Command::Pay(command) => pay::run(&context, command),
        Command::Report(command) => report::run(&context, command),
        Command::Completions { shell } => completions::run(&context, shell),
    }
}

/// Runs the work of a command beside a database, on a runtime of its own.
///
/// # Errors
/// The work's own.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::internal(format!("no runtime: {error}")))?.block_on(work)
}
