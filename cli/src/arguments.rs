//! The command line as types: every flag, its default and its help. What commands do is in `commands`.
//!
//! Settings that may also come from the environment or a file (`--url`, `--key`, …) stay optional here; `config` puts
//! the layers together.

mod asset;
mod attest;
mod cosign;
mod engines;
mod hash;
mod key;
mod licence;
mod party;
mod pay;
mod register;
mod report;
mod resident;
mod sealed;
mod search;
mod service;
mod tax;
mod verify;

use std::path::PathBuf;

use chopmark_core::tax::words::Language;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use asset::{AssetCommand, AssetCorrectArguments, AssetRegisterArguments, RightArguments};
pub(crate) use attest::{
    AttestArguments, EndorseArguments, PartyUnverifyArguments, PartyVerifyArguments, SayArguments,
};
pub(crate) use cosign::{CosignArguments, SignArguments, SubmitArguments};
pub(crate) use engines::EnginesArguments;
pub(crate) use hash::{EngineArguments, FormArguments, HashArguments, HashFormat};
pub(crate) use key::{
    KeyAddArguments, KeyCommand, KeyEventArguments, KeyNewArguments, KeyRevokeArguments, KeyRotateArguments,
};
pub(crate) use licence::{
    LicenceAcceptArguments, LicenceCheckArguments, LicenceCommand, LicenceEndArguments, LicenceFileArguments,
    LicenceGrantArguments, LicenceListArguments, LicenceNewArguments, LicenceOfferArguments, LicenceOffersArguments,
    LicencePublishArguments, LicenceReinstateArguments, LicenceShowArguments, LicensingListArguments, Sealing,
    StatusListArguments,
};
pub(crate) use party::{PartyCommand, PartyRegisterArguments};
pub(crate) use pay::{
    CorrectionArguments, ListEncoding, PayCommand, PayConfirmArguments, PayCorrectArguments, PayImportArguments,
    PayRecordArguments, PaymentArguments,
};
pub(crate) use register::{ConsentArguments, RegisterArguments};
pub(crate) use report::{
    IpExpenditureArguments, ReportCommand, ReportExplainArguments, ReportRecomputeArguments, ReportVerifyArguments,
};
pub(crate) use resident::ResidentArguments;
pub(crate) use sealed::{
    AccessCommand, AccessLogArguments, DiscloseArguments, EraseCommand, EraseRequestArguments, LoginArguments,
    ReasonArguments, TokenCommand, TokenListArguments, TokenNewArguments, TokenRevokeArguments, TokenRole,
    VaultArguments, VaultCommand, VaultKeyArguments, VaultRotateArguments,
};
pub(crate) use search::{LineageArguments, SearchArguments};
pub(crate) use service::{
    AuditArguments, DbCommand, LedgerCommand, LedgerInitArguments, LogFormat, ServeArguments, StoreArguments,
};
pub(crate) use tax::{
    JurisdictionArguments, TaxCommand, TaxComputeArguments, TaxExplainArguments, TaxProfileArguments, TaxRateArguments,
    TaxRelationArguments, TaxRulesArguments, TaxUseArguments,
};
pub(crate) use verify::VerifyArguments;

const AFTER_HELP: &str = "\
Exit codes:
  0 done, verified      1 internal          2 usage               3 bytes differ
  4 not authorised      5 not registered    6 proof invalid       7 licence not in force
  8 network             9 could not check  10 conflict          130 interrupted

Settings are taken from the first of: flag, environment (CHOPMARK_URL, CHOPMARK_KEY, CHOPMARK_PARTY, CHOPMARK_TRUST),
./chopmark.toml, the user's config.toml, built-in default. Both files may set url, key, party and trust.

Files of the user, each in a directory `chopmark`:
  $XDG_CONFIG_HOME (or ~/.config)      config.toml, key, trust.toml (registries met), parties.toml (parties registered)
  $XDG_STATE_HOME (or ~/.local/state)  pending/ (signed statements whose registration was not seen to succeed)";

/// Register software and model weights, prove it, and verify it offline.
#[derive(Debug, Parser)]
#[command(name = "chopmark", version, max_term_width = 120, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: GlobalArguments,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Arguments {
    /// The command line of this process. `--format json` means `--json`, on failure too.
    ///
    /// # Errors
    /// What clap has to say: help, version, or what is wrong.
    pub(crate) fn of_process() -> Result<Self, clap::Error> {
        let mut arguments = Self::try_parse()?;
        arguments.global.json |= matches!(&arguments.command, Command::Hash(hash) if hash.format == HashFormat::Json);
        Ok(arguments)
    }
}

/// What every command takes.
#[expect(clippy::doc_markdown, reason = "clap shows these comments as they are")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArguments {
    /// Print exactly one JSON document on stdout, on failure too
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No progress and no notes on stderr; errors are still shown
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Say more on stderr, such as why a hashing engine was chosen
    #[arg(long, short, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
    /// Address of the service [env: CHOPMARK_URL] [default: http://127.0.0.1:8420]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Send tokens, logins and sealed values to another machine over http:// too, on a network that nobody else reads
    #[arg(long, global = true)]
    pub(crate) plain_http: bool,
    /// Key file to sign with; several times to sign together [env: CHOPMARK_KEY, files separated by
    /// colons, or the `chopmark-key-v1 …` line of a key file itself]
    #[arg(long = "key", global = true, value_name = "FILE", id = "signing_keys")]
    pub(crate) keys: Vec<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make and show signing keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Register the organisation you sign for
    #[command(subcommand)]
    Party(PartyCommand),
    /// Hash a model, a file or a directory, and show what would be registered
    Hash(HashArguments),
    /// Show what this machine has for hashing, and whether each engine computes what it should
    Engines(EnginesArguments),
    /// Register a model, software or a dataset, and get an offline proof of it
    Register(Box<RegisterArguments>),
    /// Check that bytes are exactly those somebody registered
    Verify(VerifyArguments),
    /// Hash weights in the memory of an NVIDIA GPU, where they are, and compare them with those somebody registered
    Resident(ResidentArguments),
    /// Add your signature to a statement that others sign too
    Sign(SignArguments),
    /// Send a statement that everybody needed has signed
    Submit(SubmitArguments),
    /// Say that you hashed an artefact's bytes and they match
    Attest(Box<AttestArguments>),
    /// Sign a statement of another party too, after it was entered
    Endorse(EndorseArguments),
    /// Find artefacts, or parties
    Search(Box<SearchArguments>),
    /// Show what an artefact was made from, and what was made from it
    Lineage(LineageArguments),
    /// Write licence terms, check what may be licensed how, offer, accept, end and prove licences
    #[command(subcommand)]
    Licence(LicenceCommand),
    /// Say which intellectual property rights you have
    #[command(subcommand)]
    Asset(AssetCommand),
    /// Record, confirm, correct and import what was paid for intellectual property
    #[command(subcommand)]
    Pay(PayCommand),
    /// Report on expenditure on intellectual property, check such a report, and explain its lines
    #[command(subcommand)]
    Report(ReportCommand),
    /// Open one sealed value in a file that proves it offline, or check such a file
    Disclose(Box<DiscloseArguments>),
    /// Have sealed values destroyed
    #[command(subcommand)]
    Erase(EraseCommand),
    /// See who has read sealed values
    #[command(subcommand)]
    Access(AccessCommand),
    /// Log in; on the operator's machine, make and take back tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Run the service
    Serve(Box<ServeArguments>),
    /// Found a registry
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Look at the service's database
    #[command(subcommand)]
    Db(DbCommand),
    /// Look after the vault of sealed values
    #[command(subcommand)]
    Vault(VaultCommand),
    /// Recompute the whole ledger and compare: in the database, or with --url over HTTP
    Audit(AuditArguments),
    /// Tax on intellectual property: rules applied to what happened, with every step of the arithmetic; and the facts
    /// about you that they need
    #[command(subcommand)]
    Tax(TaxCommand),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
}

impl Command {
    /// The command as written, for the `command` member of JSON documents.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Key(KeyCommand::New(_)) => "key new",
            Self::Key(KeyCommand::Show) => "key show",
            Self::Key(KeyCommand::Add(_)) => "key add",
            Self::Key(KeyCommand::Rotate(_)) => "key rotate",
            Self::Key(KeyCommand::Revoke(_)) => "key revoke",
            Self::Party(PartyCommand::Register(_)) => "party register",
            Self::Party(PartyCommand::Verify(_)) => "party verify",
            Self::Party(PartyCommand::Unverify(_)) => "party unverify",
            Self::Hash(_) => "hash",
            Self::Engines(_) => "engines",
            Self::Register(_) => "register",
            Self::Verify(_) => "verify",
            Self::Resident(_) => "resident",
            Self::Sign(_) => "sign",
            Self::Submit(_) => "submit",
            Self::Attest(_) => "attest",
            Self::Endorse(_) => "endorse",
            Self::Search(_) => "search",
            Self::Lineage(_) => "lineage",
            Self::Disclose(_) => "disclose",
            Self::Erase(EraseCommand::Request(_)) => "erase request",
            Self::Access(AccessCommand::Log(_)) => "access log",
            Self::Token(TokenCommand::Login(_)) => "token login",
            Self::Token(TokenCommand::New(_)) => "token new",
            Self::Token(TokenCommand::List(_)) => "token list",
            Self::Token(TokenCommand::Revoke(_)) => "token revoke",
            Self::Licence(command) => command.name(),
            Self::Serve(_) => "serve",
            Self::Ledger(LedgerCommand::Init(_)) => "ledger init",
            Self::Db(DbCommand::Url(_)) => "db url",
            Self::Db(DbCommand::Rebuild(_)) => "db rebuild",
            Self::Vault(VaultCommand::Rotate(_)) => "vault rotate",
            Self::Audit(_) => "audit",
            Self::Tax(command) => command.name(),
            Self::Asset(command) => command.name(),
            Self::Pay(command) => command.name(),
            Self::Report(command) => command.name(),
            Self::Completions { .. } => "completions",
        }
    }
}

/// The command meant by words that did not parse, as far as they name one.
pub(crate) fn command_name<'a>(words: impl Iterator<Item = &'a str>) -> Option<String> {
    let top = Arguments::command();
    let mut names: Vec<&str> = Vec::new();
    let mut at = &top;
    for word in words {
        if let Some(next) = at.find_subcommand(word) {
            names.push(next.get_name());
            at = next;
        }
    }
    (!names.is_empty()).then(|| names.join(" "))
}

/// A parser for one of the words that the signed statement uses, so that there is one list of what they mean.
fn one_of<T, const N: usize>(words: [&'static str; N]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| serde_json::from_value::<T>(Value::String(word)))
}

/// Reads the tag of a language in which things are said.
fn languages() -> impl TypedValueParser<Value = Language> {
    PossibleValuesParser::new(Language::ALL.map(Language::tag)).try_map(|tag| tag.parse::<Language>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_documented_command_parses_and_knows_its_name() {
        for (line, name) in [
            ("chopmark key new", "key new"),
            ("chopmark key new --out k --json", "key new"),
            ("chopmark key show --key a --key b", "key show"),
            ("chopmark key add k2 --role root", "key add"),
            ("chopmark key rotate abababababababababababababababababababababababababababababababab k2", "key rotate"),
            (
                "chopmark key revoke abababababababababababababababababababababababababababababababab --reason lost",
                "key revoke",
            ),
            ("chopmark party register --name-en A --jurisdiction HK --brn 12345678", "party register"),
            ("chopmark party verify pty_a --identifier hk_brn --identifier lei", "party verify"),
            ("chopmark party unverify pty_a", "party unverify"),
            ("chopmark sign s.json --key other.key", "sign"),
            ("chopmark submit s.json t.json --out m.chop", "submit"),
            ("chopmark attest ./model --artefact art_a --zone HK", "attest"),
            ("chopmark endorse art_a --party p.toml --sign-only s.json", "endorse"),
            ("chopmark search tiny model --kind model --since 2026-01-01 --limit 5", "search"),
            ("chopmark search --parties lam", "search"),
            ("chopmark lineage art_a --up --depth 2", "lineage"),
            ("chopmark licence new --preset commercial-per-seat --out t.json", "licence new"),
            ("chopmark licence show t.json --lang zh-Hant", "licence show"),
            ("chopmark licence check --parent llama3.1 --relation finetune --terms t.json", "licence check"),
            ("chopmark licence check --parent art_a --relation merge --terms MIT --holder pty_a", "licence check"),
            ("chopmark licence publish t.json", "licence publish"),
            (
                "chopmark licence offer --artefact art_a --terms t.json --to pty_b --open P2W --seal amount",
                "licence offer",
            ),
            ("chopmark licence accept off_a", "licence accept"),
            ("chopmark licence list --artefact art_a --in-force-on 2027-01-31", "licence list"),
            ("chopmark licence file lic_a --ttl P90D --out l.chop", "licence file"),
            ("chopmark licence status-list --out l.txt", "licence status-list"),
            ("chopmark licence suspend lic_a --reason non_payment", "licence suspend"),
            ("chopmark licence reinstate lic_a", "licence reinstate"),
            ("chopmark licence revoke lic_a --reason breach", "licence revoke"),
            ("chopmark asset register --name-en A --ip-type copyright --jurisdiction HK", "asset register"),
            (
                "chopmark asset correct ast_a --reason later_event --lapsed-on 2026-05-02 --cause expired",
                "asset correct",
            ),
            (
                "chopmark pay record --licence lic_a --nature upfront_fee --amount 1000000.01 --currency HKD --date \
                 2026-05-02 --document INV-7 --file inv.pdf",
                "pay record",
            ),
            ("chopmark pay confirm exp_a --file inv.pdf", "pay confirm"),
            ("chopmark pay correct exp_a --reason amount --amount 2.00", "pay correct"),
            ("chopmark pay correct exp_a --reason duplicate --reverse", "pay correct"),
            ("chopmark pay import ledger.csv --encoding big5 --dry-run", "pay import"),
            ("chopmark tax use --asset ast_a --year 2026/27 --fraction 0.5", "tax use"),
            ("chopmark tax profile --from 2026/27 --brn 12345678 --year-end 12-31", "tax profile"),
            ("chopmark tax relation --with pty_a --relation controls --from 2026-01-01", "tax relation"),
            ("chopmark tax rate --from USD --rate 7.8269 --source IRD --date 2026-03-31", "tax rate"),
            (
                "chopmark report ip-expenditure --taxpayer 12345678 --year 2026/27 --as-of 9 --case C-1 --purpose audit \
                 --format json,csv,xlsx,pdf --out d",
                "report ip-expenditure",
            ),
            ("chopmark report verify ip-2026-27.json --trust p.toml", "report verify"),
            ("chopmark report explain ip-2026-27.json --line 14", "report explain"),
            ("chopmark hash ./model --engine portable", "hash"),
            ("chopmark hash ./model --engine wgpu", "hash"),
            ("chopmark engines --bench", "engines"),
            ("chopmark hash ./model --format b3sum --output B3SUMS", "hash"),
            ("chopmark register ./model --licence apache-2.0", "register"),
            ("chopmark register models--lam--tiny --licence mit --revision main", "register"),
            ("chopmark register m --licence mit --parent art_a --relation finetune --dry-run", "register"),
            ("chopmark verify ./model --bundle m.chop --offline", "verify"),
            ("chopmark verify ./model --trust p.toml --allow-extra", "verify"),
            ("chopmark resident handles.json --bundle m.chop --allow-extra", "resident"),
            ("chopmark disclose trm_a --field amount --out fee.chop", "disclose"),
            ("chopmark disclose --check fee.chop --trust p.toml", "disclose"),
            ("chopmark erase request trm_a --field amount", "erase request"),
            ("chopmark access log --mine", "access log"),
            ("chopmark token login --key acme.key", "token login"),
            ("chopmark token new --role officer --jurisdiction HK --name desk --scope openings", "token new"),
            ("chopmark token list --data-dir d", "token list"),
            ("chopmark token revoke aaaaaaaaaaaaaaaa --data-dir d", "token revoke"),
            ("chopmark vault rotate --data-dir d --destroy-old", "vault rotate"),
            ("chopmark serve --zone HK --retention-days 0 --data-dir d", "serve"),
            ("chopmark serve --data-dir d --listen 127.0.0.1:0", "serve"),
            ("chopmark ledger init --database-url postgres:///x", "ledger init"),
            ("chopmark db url --data-dir d", "db url"),
            ("chopmark db rebuild --data-dir d", "db rebuild"),
            ("chopmark audit --data-dir d", "audit"),
            ("chopmark audit --url http://a --from f --save f", "audit"),
            ("chopmark tax compute --input facts.json", "tax compute"),
            ("chopmark tax explain --input facts.json --line 3", "tax explain"),
            ("chopmark tax rules", "tax rules"),
            ("chopmark completions bash", "completions"),
        ] {
            let parsed = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(parsed.command.name(), name);
            assert_eq!(command_name(line.split(' ').skip(1)).as_deref(), Some(name));
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for line in [
            "chopmark",
            "chopmark key",
            "chopmark party register --jurisdiction hk --name-en A",
            "chopmark register ./model",
            "chopmark register ./model --licence nonsense",
            "chopmark register ./model --licence mit --relation finetune",
            "chopmark register ./model --licence mit --kind film",
            "chopmark verify ./model --strict --allow-extra",
            "chopmark register ./model --licence mit --cosigner \
             abababababababababababababababababababababababababababababababab",
            "chopmark attest ./model --zone HK",
            "chopmark attest ./model --artefact art_a",
            "chopmark submit",
            "chopmark resident handles.json --allow-missing",
            "chopmark search --parties --kind model",
            "chopmark search --limit 0",
            "chopmark lineage art_a --up --down",
            "chopmark lineage art_a --depth 17",
            "chopmark licence new --preset gold",
            "chopmark licence show t.json --lang fr",
            "chopmark licence check --relation finetune --terms t.json",
            "chopmark licence check --parent MIT --relation stolen --terms t.json",
            "chopmark licence check --parent MIT --relation merge --terms t.json --on 2027-02-29",
            "chopmark licence revoke lic_a",
            "chopmark licence revoke lic_a --reason mood",
            "chopmark licence offer --artefact art_a",
            "chopmark hash . --quiet --verbose",
            "chopmark hash . --engine abacus",
            "chopmark hash . --format md5sum",
        ] {
            let error = parse(line).expect_err(line);
            assert!(!matches!(error.exit_code(), 0), "{line}");
        }
    }

    #[test]
    fn global_flags_stand_before_or_after_the_command() {
        for line in ["chopmark --json --url http://a hash .", "chopmark hash . --url http://a --json"] {
            let parsed = parse(line).unwrap();
            assert!(parsed.global.json);
            assert_eq!(parsed.global.url.as_deref(), Some("http://a"));
        }
    }
}
