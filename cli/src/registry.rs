//! The operator's side: the data directory, the database behind it, and the founding of a registry.
//!
//! One place decides where things are, so that `serve`, `ledger`, `db` and `audit` agree. A data directory holds the
//! keys and the signer's mark; the private PostgreSQL lives in it too, unless a database URL names another.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use chopmark_api::mark::{Mark, MarkError, Signed};
use chopmark_api::{ServeError, Signing};
use chopmark_core::access::access_log_origin;
use chopmark_core::ledger::note::NoteSigner;
use chopmark_core::policy::{Founding, validate_origin};
use chopmark_core::text::Names;
use chopmark_core::time::Timestamp;
use chopmark_store::cluster::{self, Cluster, ClusterConfig, ClusterError};
use chopmark_store::{Registry, Store, StoreError};

use crate::arguments::StoreArguments;
use crate::exit::{Exit, Failure};
use crate::files::{self, Access};
use crate::keys::Key;

/// Reading connections of a service: enough for two workers with several slow readers each.
const CONNECTIONS: usize = 16;

/// A registry's data directory.
#[derive(Debug, Clone)]
pub(crate) struct DataDirectory {
    path: PathBuf,
}

impl DataDirectory {
    /// The directory the arguments name, or the usual one.
    ///
    /// # Errors
    /// When there is neither a name nor a home directory.
    pub(crate) fn of(arguments: &StoreArguments) -> Result<Self, Failure> {
        let path = match &arguments.data_dir {
            Some(path) => path.clone(),
            None => usual_directory()?,
        };
        std::path::absolute(&path).map(|path| Self { path }).map_err(|error| Failure::file("find", &path, &error))
    }

    /// The directory of the private PostgreSQL.
    pub(crate) fn postgres(&self) -> PathBuf {
        self.path.join("postgres")
    }

    /// The signer's mark.
    pub(crate) fn mark(&self) -> PathBuf {
        self.path.join("log.mark")
    }

    fn log_key(&self) -> PathBuf {
        self.path.join("keys/log.key")
    }

    /// Master keys of the vault.
    pub(crate) fn vault_key(&self) -> PathBuf {
        self.path.join("keys/vault.key")
    }

    fn operator_key(&self) -> PathBuf {
        self.path.join("keys/operator.key")
    }

    /// Makes what is missing. PostgreSQL runs as another user when started as root, so the directory itself must let
    /// that user through; the keys have a directory of their own that does not.
    fn prepare(&self) -> Result<(), Failure> {
        let user = rustix::process::geteuid();
        let passable = user.is_root();
        for (path, mode) in [(self.path.clone(), if passable { 0o711 } else { 0o700 }), (self.path.join("keys"), 0o700)]
        {
            match fs::DirBuilder::new().recursive(true).mode(mode).create(&path) {
                Ok(()) => {}
                Err(error) => return Err(Failure::file("make the directory", &path, &error)),
            }
        }
        // Whoever may write here could put other keys in place. A directory that is everybody's (1777) is left alone, and so
        // is one that belongs to somebody else.
        let found = fs::metadata(&self.path).map_err(|error| Failure::file("look at", &self.path, &error))?;
        let mode = found.permissions().mode() & 0o7777;
        if mode & 0o022 != 0 && mode & 0o1000 == 0 && found.uid() == user.as_raw() {
            fs::set_permissions(&self.path, fs::Permissions::from_mode(mode & !0o022))
                .map_err(|error| Failure::file("close to others the directory", &self.path, &error))?;
        }
        let keys = self.path.join("keys");
        fs::set_permissions(&keys, fs::Permissions::from_mode(0o700))
            .map_err(|error| Failure::file("close to others the directory", &keys, &error))
    }

    /// The log key of the registry, named after its origin.
    pub(crate) fn signer(&self, origin: &str) -> Result<NoteSigner, Failure> {
        let key = Key::load(&self.log_key())?;
        NoteSigner::new(origin, key.secret().clone()).map_err(|error| Failure::internal(error.to_string()))
    }

    /// Whether the log key is here.
    pub(crate) fn has_log_key(&self) -> bool {
        self.log_key().exists()
    }

    /// What this registry's checkpoints are signed with.
    pub(crate) fn signing(&self, origin: &str) -> Result<Signing, Failure> {
        Ok(Signing { key: self.signer(origin)?, mark: self.mark() })
    }

    /// What checkpoints of its access log are signed with: the same key, under another name and with a mark of its own.
    pub(crate) fn access_signing(&self, origin: &str) -> Result<Signing, Failure> {
        Ok(Signing { key: self.signer(&access_log_origin(origin))?, mark: self.access_mark() })
    }

    /// What was signed of the access log.
    pub(crate) fn access_mark(&self) -> PathBuf {
        self.path.join("access.mark")
    }

    /// What that mark says was signed of the access log of the registry with this origin, when anything was.
    pub(crate) fn peek_access_mark(&self, origin: &str) -> Result<Option<Signed>, Failure> {
        let is_of = |signed: &Signed| signed.size > 0 && signed.origin == access_log_origin(origin);
        Ok(Mark::peek(&self.access_mark())?.filter(is_of))
    }

    /// What the mark says, when there is one.
    pub(crate) fn peek_mark(&self) -> Result<Option<Signed>, Failure> {
        Ok(Mark::peek(&self.mark())?)
    }

    /// Founds a registry in an empty ledger: keys and mark are made first, then both genesis entries in one
    /// transaction. Interrupted in between, the next call goes on with the same keys.
    ///
    /// # Errors
    /// When the keys here have signed for a registry already, or something can't be written.
    pub(crate) async fn found(&self, store: &Store, origin: Option<&str>) -> Result<Registry, Failure> {
        self.prepare()?;
        let log_key = load_or_make(&self.log_key())?;
        let operator = load_or_make(&self.operator_key())?;
        let marked = self.peek_mark()?;
        let origin = match (&marked, origin) {
            (Some(signed), _) if signed.size > 0 => {
                let message = format!(
                    "the database holds no registry, but the log key in {} has signed {} entries of {}: \
                     restore that database from a backup, or use another data directory for a new registry",
                    self.path.display(),
                    signed.size,
                    signed.origin
                );
                return Err(Failure::new(Exit::CouldNotCheck, "database_behind_mark", message));
            }
            (Some(signed), None) => signed.origin.clone(),
            (Some(signed), Some(origin)) if signed.origin == origin => signed.origin.clone(),
            (Some(signed), Some(_)) => {
                let message = format!("{} belongs to the origin {}", self.mark().display(), signed.origin);
                return Err(Failure::usage(message));
            }
            (None, Some(origin)) => origin.to_owned(),
            (None, None) => {
                let id = log_key.id().to_string();
                format!("chopmark.local/{}", id.get(..8).unwrap_or(&id))
            }
        };
        validate_origin(&origin).map_err(Failure::usage)?;
        let signer = NoteSigner::new(origin.as_str(), log_key.secret().clone())
            .map_err(|error| Failure::internal(error.to_string()))?;
        let mark =
            if marked.is_some() { Mark::open(&self.mark(), &origin) } else { Mark::create(&self.mark(), &origin) }?;
        let now = Timestamp::from(chrono::Utc::now());
        let founding = Founding {
            log_key: signer.verifier_key(),
            operator: operator.secret(),
            operator_name: operator_name(&origin),
            now,
            nonces: [random()?, random()?],
        };
        let statements = founding.statements().map_err(|rejection| Failure::internal(rejection.to_string()))?;
        let registry = store.found(&statements, now).await?;
        drop(mark);
        Ok(registry)
    }
}

fn usual_directory() -> Result<PathBuf, Failure> {
    if rustix::process::geteuid().is_root() {
        // Below root's home nobody else, and so no PostgreSQL, can reach anything.
        return Ok(PathBuf::from("/var/lib/chopmark"));
    }
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(home)
        .map(|base| base.join("chopmark"))
        .ok_or_else(|| Failure::usage("there is no home directory: say where the registry lives with --data-dir"))
}

fn operator_name(origin: &str) -> Names {
    Names {
        en: Some(format!("Operator of {origin}")),
        zh_hant: Some(format!("{origin} 營運者")),
        zh_hans: Some(format!("{origin} 运营者")),
    }
}

fn random() -> Result<[u8; 16], Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Failure::internal(format!("no randomness: {error}")))?;
    Ok(bytes)
}

fn load_or_make(path: &Path) -> Result<Key, Failure> {
    if path.exists() {
        return Key::load(path);
    }
    let key = Key::generate(path.to_owned())?;
    match files::create(path, key.render().as_bytes(), Access::Private) {
        Ok(()) => Ok(key),
        // Somebody made it in between: theirs counts.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Key::load(path),
        Err(error) => Err(Failure::file("write", path, &error)),
    }
}

/// What is said of a database whose pages carry no checksums.
pub(crate) const NO_CHECKSUMS: &str =
    "the database has no data checksums: only an audit notices a page that its disk damages";

/// The database behind a registry.
pub(crate) enum Database {
    /// The private PostgreSQL, started and supervised by this process.
    Private(Box<Cluster>),
    /// Somebody else's.
    External,
}

impl Database {
    /// Stops what this process started.
    ///
    /// # Errors
    /// When it can't be waited for.
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        match self {
            Self::Private(cluster) => Ok(cluster.stop().await?),
            Self::External => Ok(()),
        }
    }
}

/// How the private PostgreSQL is started.
pub(crate) fn cluster_config(directory: &DataDirectory) -> ClusterConfig {
    let mut config = ClusterConfig::new(directory.postgres());
    config.bin_dir = env::var_os("CHOPMARK_PG_BIN").map(PathBuf::from);
    config.user = env::var("CHOPMARK_PG_USER").ok();
    config
}

/// Starts the private PostgreSQL, or takes the external one, and opens the store in it.
///
/// # Errors
/// When the database can't be started or reached; the private one is stopped again.
pub(crate) async fn open(directory: &DataDirectory, arguments: &StoreArguments) -> Result<(Store, Database), Failure> {
    if let Some(url) = &arguments.database_url {
        let store = Store::open_existing(url, CONNECTIONS).await?;
        return Ok((store, Database::External));
    }
    directory.prepare()?;
    let cluster = Cluster::start(cluster_config(directory)).await?;
    match Store::open(&cluster.connection_url(cluster::DATABASE), CONNECTIONS).await {
        Ok(store) => Ok((store, Database::Private(Box::new(cluster)))),
        Err(error) => {
            cluster.stop().await?;
            Err(error.into())
        }
    }
}

/// Opens the store for reading: the private PostgreSQL as it runs, or started for the occasion.
///
/// # Errors
/// When the database can't be started or reached, or holds no ledger.
pub(crate) async fn open_for_reading(
    directory: &DataDirectory,
    arguments: &StoreArguments,
) -> Result<(Store, Database), Failure> {
    let (url, database) = match &arguments.database_url {
        Some(url) => (url.clone(), Database::External),
        None => match cluster::connection_url_of(&directory.postgres()) {
            Ok(url) => (url, Database::External),
            Err(ClusterError::NotRunning { .. }) if directory.postgres().join("data").exists() => {
                let cluster = Cluster::start(cluster_config(directory)).await?;
                (cluster.connection_url(cluster::DATABASE), Database::Private(Box::new(cluster)))
            }
            Err(error) => return Err(error.into()),
        },
    };
    let store = Store::attach(&url, CONNECTIONS)?;
    Ok((store, database))
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Self {
        Self::new(Exit::Internal, "postgresql", error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let (exit, code) = match error {
            StoreError::Damaged { .. } => (Exit::ProofInvalid, "ledger_damaged"),
            StoreError::Vault(_) => (Exit::CouldNotCheck, "vault"),
            StoreError::NotFounded => (Exit::Usage, "not_founded"),
            StoreError::NotDurable(_) => (Exit::Usage, "not_durable"),
            StoreError::AlreadyFounded { .. } => (Exit::Conflict, "already_founded"),
            StoreError::Connect(_) | StoreError::Migrate(_) | StoreError::Query(_) => (Exit::Network, "database"),
        };
        Self::new(exit, code, error.to_string())
    }
}

impl From<MarkError> for Failure {
    fn from(error: MarkError) -> Self {
        Self::new(Exit::CouldNotCheck, "mark", error.to_string())
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Store(error) => error.into(),
            ServeError::Mark(error) => error.into(),
            ServeError::Http(_) | ServeError::ForeignKey { .. } => {
                Self::new(Exit::Internal, "serve", error.to_string())
            }
        }
    }
}
