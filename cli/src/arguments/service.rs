//! Arguments of the commands that run beside the database: `serve`, `ledger`, `db`, `audit`.

use std::net::SocketAddr;
use std::path::PathBuf;

use chopmark_api::CONNECTIONS_PER_WORKER_MAX;
use chopmark_core::ledger::note::VerifierKey;
use clap::{Args, Subcommand};

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
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", env = "CHOPMARK_LISTEN", default_value = "127.0.0.1:8420")]
    pub(crate) listen: SocketAddr,
    /// Connections that each worker (one per core) keeps open at most; more wait
    #[arg(long, value_name = "N", default_value_t = CONNECTIONS_PER_WORKER_MAX)]
    pub(crate) connections_per_worker_max: usize,
    /// Origin of the log when this founds a registry in a fresh private data directory
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) origin: Option<String>,
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
}
