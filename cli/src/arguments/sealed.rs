//! Arguments of `chopmark token`, `disclose`, `erase`, `access` and `vault`: confidential values and who may see them.

use std::path::PathBuf;

use chopmark_core::access::Scope;
use chopmark_core::code::{Jurisdiction, ResidencyZone};
use chopmark_core::token::TokenId;
use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use super::attest::SayArguments;
use super::one_of;
use super::service::StoreArguments;

/// Longest life of a token made by hand, in days.
const TOKEN_DAYS_MAX: i64 = 366;

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Sign a challenge with a party's key, and get a token for a quarter of an hour
    Login(LoginArguments),
    /// On the operator's machine: make a token for an officer, an auditor or the operator; it is shown once
    New(TokenNewArguments),
    /// On the operator's machine: list the tokens that were made
    List(TokenListArguments),
    /// On the operator's machine: take a token back
    Revoke(TokenRevokeArguments),
}

/// Arguments of `chopmark token login`.
#[expect(clippy::doc_markdown, reason = "clap shows these comments as they are")]
#[derive(Debug, Args)]
pub(crate) struct LoginArguments {
    /// The party to act for: an id, or a file made by `party register --party-file` [env: CHOPMARK_PARTY]
    /// [default: the party that your key registered]
    #[arg(long = "party", value_name = "PARTY", id = "logged_in")]
    pub(crate) party: Option<String>,
}

/// Roles of tokens that are made by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenRole {
    /// Reads sealed values of parties of one jurisdiction, for a case
    Officer,
    /// Sees who has read what, and no value
    Auditor,
    /// As an auditor
    Operator,
}

/// Arguments of `chopmark token new`.
#[derive(Debug, Args)]
pub(crate) struct TokenNewArguments {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    #[command(flatten)]
    pub(crate) key: VaultKeyArguments,
    /// Whose token it is
    #[arg(long)]
    pub(crate) role: TokenRole,
    /// Where the officer's authority is: ISO 3166-1 alpha-2 code in capitals
    #[arg(long, value_name = "CODE", value_parser = Jurisdiction::new, required_if_eq("role", "officer"))]
    pub(crate) jurisdiction: Option<Jurisdiction>,
    /// What the token is for, to know it again; a desk rather than a person
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    /// How long it is good, in days
    #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=TOKEN_DAYS_MAX))]
    pub(crate) days: u16,
    /// What it is good for, once for each [default: everything that its role may do]
    #[arg(long = "scope", value_name = "SCOPE", value_parser = one_of::<Scope, 3>(["openings", "accesses", "summaries"]))]
    pub(crate) scopes: Vec<Scope>,
}

/// Arguments of `chopmark token list`.
#[derive(Debug, Args)]
pub(crate) struct TokenListArguments {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    #[command(flatten)]
    pub(crate) key: VaultKeyArguments,
}

/// Arguments of `chopmark token revoke`.
#[derive(Debug, Args)]
pub(crate) struct TokenRevokeArguments {
    /// Its id, as `token list` shows it
    #[arg(value_name = "TOKEN_ID")]
    pub(crate) id: TokenId,
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    #[command(flatten)]
    pub(crate) key: VaultKeyArguments,
}

/// Why an officer reads.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReasonArguments {
    /// As an officer: the case in the authority's files
    #[arg(long = "case", value_name = "REFERENCE", requires = "purpose")]
    pub(crate) case_reference: Option<String>,
    /// As an officer: what for
    #[arg(long, value_name = "TEXT", requires = "case_reference")]
    pub(crate) purpose: Option<String>,
}

/// Arguments of `chopmark disclose`.
#[expect(clippy::doc_markdown, reason = "clap shows these comments as they are")]
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["statement", "check"]))]
pub(crate) struct DiscloseArguments {
    /// The statement with the sealed field: its id, whole or shown
    #[arg(value_name = "STATEMENT", requires = "field")]
    pub(crate) statement: Option<String>,
    /// The field to open: a JSON pointer such as /consideration/0/amount, or its last part where that is enough
    #[arg(long, value_name = "FIELD")]
    pub(crate) field: Option<String>,
    /// Check a disclosure instead, offline, and show what it proves
    #[arg(long, value_name = "FILE")]
    pub(crate) check: Option<PathBuf>,
    /// Where to write the disclosure, instead of stdout
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    pub(crate) out: Option<PathBuf>,
    /// Trust policy to judge the registry by [env: CHOPMARK_TRUST]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) login: LoginArguments,
    #[command(flatten)]
    pub(crate) reason: ReasonArguments,
}

/// What to do about erasure.
#[derive(Debug, Subcommand)]
pub(crate) enum EraseCommand {
    /// Have sealed values of a statement of yours destroyed, for good; what is in the log stays, and proofs of it
    Request(EraseRequestArguments),
}

/// Arguments of `chopmark erase request`.
#[derive(Debug, Args)]
pub(crate) struct EraseRequestArguments {
    /// The statement: its id, whole or shown
    #[arg(value_name = "STATEMENT")]
    pub(crate) statement: String,
    /// A field to erase, as for `disclose`; several times for several [default: all]
    #[arg(long = "field", value_name = "FIELD")]
    pub(crate) fields: Vec<String>,
    #[command(flatten)]
    pub(crate) say: SayArguments,
}

/// What to do with the access log.
#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    /// Show who has read what
    Log(AccessLogArguments),
}

/// Arguments of `chopmark access log`.
#[expect(clippy::doc_markdown, reason = "clap shows these comments as they are")]
#[derive(Debug, Args)]
pub(crate) struct AccessLogArguments {
    /// What was read of your party's sealed values, with your key; otherwise what the token in CHOPMARK_TOKEN may see
    #[arg(long)]
    pub(crate) mine: bool,
    /// Most records: the newest of them
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) login: LoginArguments,
}

/// What to do with the vault.
#[derive(Debug, Subcommand)]
pub(crate) enum VaultCommand {
    /// Make a new master key and wrap every data key with it; a service may run meanwhile
    Rotate(VaultRotateArguments),
}

/// Where the master keys are.
#[expect(clippy::doc_markdown, reason = "clap shows these comments as they are")]
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct VaultKeyArguments {
    /// File of the vault's master keys [env: CHOPMARK_VAULT_KEY, the lines of such a file themselves]
    /// [default: keys/vault.key in the data directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) vault_key: Option<PathBuf>,
}

/// Arguments of `chopmark vault rotate`.
#[derive(Debug, Args)]
pub(crate) struct VaultRotateArguments {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    #[command(flatten)]
    pub(crate) key: VaultKeyArguments,
    /// Remove the old master keys from the file afterwards: what was erased can then not be opened from older backups
    /// either, nor can anything else in them
    #[arg(long)]
    pub(crate) destroy_old: bool,
}

/// Which openings are for a vault.
#[derive(Debug, Clone, Args)]
pub(crate) struct ZoneArguments {
    /// A zone whose openings are taken in and shown here, once for each
    #[arg(
        long = "zone",
        value_name = "ZONE",
        default_values = ["HK", "WORLD"],
        value_parser = one_of::<ResidencyZone, 4>(["HK", "CN-GBA", "CN", "WORLD"])
    )]
    pub(crate) zones: Vec<ResidencyZone>,
}

/// How a service keeps openings.
#[derive(Debug, Clone, Args)]
pub(crate) struct VaultArguments {
    #[command(flatten)]
    pub(crate) key: VaultKeyArguments,
    #[command(flatten)]
    pub(crate) zones: ZoneArguments,
    /// Days for which openings can't be erased: seven years, as long as records of a business have to be kept in Hong
    /// Kong (Inland Revenue Ordinance, section 51C), unless told otherwise
    #[arg(long, value_name = "N", default_value_t = 2_557, value_parser = clap::value_parser!(u16).range(..=36_500))]
    pub(crate) retention_days: u16,
    /// Days after which parties see that an officer has read something of theirs
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=3_660))]
    pub(crate) officers_shown_after_days: u16,
}
