//! Arguments of the commands that run beside the database: `serve`, `ledger`, `db`, `audit`.

use std::net::SocketAddr;
use std::path::PathBuf;

use chopmark_api::{CONNECTIONS_PER_WORKER_MAX, FONTS, QUEUE_STATEMENTS_MAX, Rate};
use chopmark_core::ledger::note::VerifierKey;
use clap::{Args, Subcommand, ValueEnum};

use super::sealed::{VaultArguments, VaultKeyArguments};

/// Which store to work on.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreArguments {
    /// Directory of the registry's keys and of its private PostgreSQL
    #[arg(long, value_name = "DIR", env = "CHOPMARK_DATA_DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// An existing PostgreSQL (15 or later) to use instead of a private one
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: Option<String>,
}

/// Arguments of `chopmark serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    #[command(flatten)]
    pub(crate) vault: VaultArguments,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", env = "CHOPMARK_LISTEN", default_value = "127.0.0.1:8420")]
    pub(crate) listen: SocketAddr,
    /// Connections that each worker (one per core) keeps open at most; more wait
    #[arg(long, value_name = "N", default_value_t = CONNECTIONS_PER_WORKER_MAX)]
    pub(crate) connections_per_worker_max: usize,
    /// Statements that may wait to be entered; more are refused with 503
    #[arg(long, value_name = "N", default_value_t = QUEUE_STATEMENTS_MAX, value_parser = queue_size)]
    pub(crate) queue_statements_max: usize,
    /// Longest time a database statement of a reading request may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) statement_timeout: u64,
    /// Requests an address may make: N a second (or /m, /h), BURST at once (N unless given); more get 429
    #[arg(long, value_name = "N/s[:BURST]")]
    pub(crate) rate_per_address: Option<Rate>,
    /// New statements a key may sign: N a second (or /m, /h), BURST at once (N unless given); more get 429
    #[arg(long, value_name = "N/s[:BURST]")]
    pub(crate) rate_per_key: Option<Rate>,
    /// Proxies in front whose X-Forwarded-For is believed
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) trust_forwarded_for: usize,
    /// Address that shows metrics at /metrics, and nothing else; keep it private
    #[arg(long, value_name = "ADDRESS", env = "CHOPMARK_METRICS_LISTEN")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// Directory below which the fonts for PDF are (Noto Sans CJK), for builds that write it
    #[arg(long, value_name = "DIR", env = "CHOPMARK_FONTS", default_value = FONTS)]
    pub(crate) fonts: PathBuf,
    /// Form of the log on stderr [default: text on a terminal, json elsewhere]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    /// Name client addresses in the log
    #[arg(long)]
    pub(crate) log_addresses: bool,
    /// When told to stop, go on for so long after /readyz says so, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=3600))]
    pub(crate) drain_delay: u64,
    /// Origin of the log when this founds a registry in a fresh private data directory
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) origin: Option<String>,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line; LOGGING.md names the fields
    Json,
}

/// Most statements that a queue may hold: each is in memory with its documents.
const QUEUE_LIMIT: usize = 65_536;

fn queue_size(text: &str) -> Result<usize, String> {
    let size = text.parse().ok().filter(|size| (1..=QUEUE_LIMIT).contains(size));
    size.ok_or_else(|| format!("a number from 1 to {QUEUE_LIMIT}"))
}

/// What to do with a ledger.
#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Found a registry: make its keys and write the genesis entries
    Init(LedgerInitArguments),
}

/// Arguments of `chopmark ledger init`.
#[derive(Debug, Args)]
pub(crate) struct LedgerInitArguments {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// Origin of the log: host and path without scheme [default: chopmark.local/ and 8 digits of the log key]
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) origin: Option<String>,
}

/// What to do with the database.
#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Print how to connect with psql
    Url(StoreArguments),
    /// Make all read tables anew from the log; a service may run meanwhile
    Rebuild(StoreArguments),
}

/// Arguments of `chopmark audit`.
#[derive(Debug, Args)]
pub(crate) struct AuditArguments {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// The log key checkpoints must be signed with (a verifier key) [default: the one in the data directory]
    #[arg(long, value_name = "VKEY")]
    pub(crate) log_key: Option<VerifierKey>,
    /// A checkpoint kept from earlier, which the log must still contain
    #[arg(long, value_name = "FILE")]
    pub(crate) against: Option<PathBuf>,
    /// A checkpoint up to which an earlier audit was clean: entries below it are hashed, but not judged again
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    /// Where to keep the newest checkpoint that was checked, once everything is found to hold
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) vault_key: VaultKeyArguments,
    /// Expect no event triggers: the user that founded the registry in this database is no superuser
    #[arg(long)]
    pub(crate) without_event_triggers: bool,
    /// A user of the database that may act as the registry's roles, such as the service's where the audit connects as
    /// another (several times for several)
    #[arg(long = "database-user", value_name = "NAME")]
    pub(crate) database_users: Vec<String>,
    /// Whom to trust when auditing over HTTP (--url), as for verify: a policy file [default: registries met]
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
}
