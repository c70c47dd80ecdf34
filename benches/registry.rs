//! A registry of its own for a benchmark: a private PostgreSQL with durability on, founded, served on loopback.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use actix_web::web;
use chopmark_api::mark::Mark;
use chopmark_api::{CONNECTIONS_PER_WORKER_MAX, QUEUE_STATEMENTS_MAX, RateLimits, Running, ServeConfig, Signing};
use chopmark_core::code::ResidencyZone;
use chopmark_core::ledger::note::{NoteSigner, VerifierKey};
use chopmark_core::policy::Founding;
use chopmark_core::text::Names;
use chopmark_core::time::Timestamp;
use chopmark_store::cluster::{Cluster, ClusterConfig, DATABASE};
use chopmark_store::{MasterKeys, Registry, Store, Vault, VaultConfig};
use ed25519_dalek::SigningKey;

use crate::Failure;

/// Reading connections, as `chopmark serve` has them.
const CONNECTIONS: usize = 16;

/// The settings that decide whether an acknowledged entry survives a power cut; printed beside every figure.
const DURABILITY: [&str; 6] =
    ["fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "data_checksums", "shared_buffers"];

/// A founded registry and the database it is in.
pub(crate) struct Bench {
    cluster: Cluster,
    directory: tempfile::TempDir,
    log: SigningKey,
    /// Whose log it is.
    pub(crate) registry: Registry,
    /// Its ledger.
    pub(crate) store: Store,
}

impl Bench {
    /// Starts PostgreSQL in a fresh directory and founds a registry.
    pub(crate) async fn found() -> Result<Self, Failure> {
        let directory = tempfile::Builder::new().prefix("chopmark-bench-").tempdir()?;
        // PostgreSQL runs as another user when this runs as root, and must get through.
        std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
        let mut config = ClusterConfig::new(directory.path().join("postgres"));
        config.bin_dir = std::env::var_os("CHOPMARK_PG_BIN").map(Into::into);
        let cluster = Cluster::start(config).await?;
        let store = Store::open(&cluster.connection_url(DATABASE), CONNECTIONS).await?;
        let (log, operator) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        let signer = NoteSigner::new("bench.local/log", log.clone())?;
        let now = Timestamp::from(chrono::Utc::now());
        let founding = Founding {
            log_key: signer.verifier_key(),
            operator: &operator,
            operator_name: Names { en: Some("Bench".to_owned()), ..Names::default() },
            now,
            nonces: [[1; 16], [2; 16]],
        };
        let registry = store.found(&founding.statements()?, now).await?;
        let bench = Self { cluster, directory, log, registry, store };
        bench.print_durability().await?;
        Ok(bench)
    }

    /// The same with a vault, in which sealed figures are kept.
    pub(crate) fn with_vault(mut self) -> Result<Self, Failure> {
        let keys = || MasterKeys::parse(&MasterKeys::line([3; 10], &[4; 32]));
        let vault = Vault::open(VaultConfig {
            keys: Box::new(keys),
            zones: vec![ResidencyZone::HongKong],
            retention: Duration::ZERO,
            officers_shown_after: Duration::ZERO,
        })?;
        self.store = self.store.with_vault(vault)?;
        Ok(self)
    }

    /// The log key, for what is signed beside checkpoints.
    pub(crate) fn note_signer(&self) -> Result<NoteSigner, Failure> {
        self.signer()
    }

    /// The database, as its owner reaches it.
    pub(crate) fn url(&self) -> String {
        self.cluster.connection_url(DATABASE)
    }

    fn signer(&self) -> Result<NoteSigner, Failure> {
        Ok(NoteSigner::new("bench.local/log", self.log.clone())?)
    }

    /// What its checkpoints are verified with.
    pub(crate) fn log_key(&self) -> Result<VerifierKey, Failure> {
        Ok(self.signer()?.verifier_key().clone())
    }

    fn mark(&self) -> std::path::PathBuf {
        Path::new(self.directory.path()).join("log.mark")
    }

    /// Serves the registry, with these routes beside its own.
    pub(crate) async fn serve(
        &self,
        further_routes: fn(&mut web::ServiceConfig),
    ) -> Result<(Running, SocketAddr), Failure> {
        let (path, origin) = (self.mark(), &self.registry.reference.origin);
        if !path.exists() {
            drop(Mark::create(&path, origin)?);
        }
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let running = chopmark_api::start(ServeConfig {
            store: self.store.clone(),
            signing: Some(Signing { key: self.signer()?, mark: path }),
            access_signing: None,
            listener,
            connections_per_worker_max: CONNECTIONS_PER_WORKER_MAX,
            queue_statements_max: QUEUE_STATEMENTS_MAX,
            statement_time_max: Duration::from_secs(30),
            rate_limits: RateLimits::default(),
            log_addresses: false,
            metrics_listener: None,
            fonts: chopmark_api::FONTS.into(),
            further_routes,
        })
        .await?;
        Ok((running, address))
    }

    /// Stops PostgreSQL and removes everything.
    pub(crate) async fn end(self) -> Result<(), Failure> {
        self.cluster.stop().await?;
        Ok(self.directory.close()?)
    }

    async fn print_durability(&self) -> Result<(), Failure> {
        let client = connect(&self.url()).await?;
        let version: String = client.query_one("SHOW server_version", &[]).await?.get(0);
        let mut line = format!("PostgreSQL {version}, one private cluster:");
        for setting in DURABILITY {
            let value: String = client.query_one(&format!("SHOW {setting}"), &[]).await?.get(0);
            line.extend([" ", setting, "=", &value]);
        }
        println!("{line}");
        Ok(())
    }
}

/// A connection of the database's owner.
pub(crate) async fn connect(url: &str) -> Result<tokio_postgres::Client, Failure> {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            eprintln!("a database connection ended: {error}");
        }
    });
    Ok(client)
}
