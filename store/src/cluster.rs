//! The private PostgreSQL behind `chopmark serve` when no `DATABASE_URL` is given: found, initialised, supervised and
//! stopped here. Relies on PostgreSQL's own programs (15 or newer), Unix sockets and a lock file; needs no root, and
//! drops root's privileges where it has them.
//!
//! One directory, owned by whoever runs the service, holds everything:
//!
//! ```text
//! lock            held (flock) while a Cluster lives
//! postgres.log    what the server says, with one older file beside it
//! data/           the PostgreSQL data directory, PostgreSQL's own
//! socket/         the Unix socket, PostgreSQL's own, 0700 (elsewhere where the path is too long)
//! initdb-*/       a cluster in the making; swept at the next start
//! ```

mod account;
mod binaries;
mod error;
mod initialise;
mod log;
mod orphan;
mod process;
mod recovery;
mod socket;

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags},
    io::Errno,
    process::{Pid, Signal, geteuid, kill_process},
};
use tokio::process::Child;
use tokio_postgres::{Client, NoTls};

pub use self::error::ClusterError;
use self::{
    account::Account,
    binaries::Binaries,
    error::at,
    log::ServerLog,
    orphan::{Found, PidFile},
};

/// The superuser's role inside the private PostgreSQL.
pub const SUPERUSER: &str = "chopmark";
/// The database that exists once the private PostgreSQL has started.
pub const DATABASE: &str = "chopmark";

/// Settings that durability and privacy rest on: given on the command line, where no file can weaken them.
const FIXED_SETTINGS: &[&str] = &[
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "fsync=on",
    "full_page_writes=on",
    "synchronous_commit=on",
    // Macs flush to the platter only when asked in their own way.
    #[cfg(target_os = "macos")]
    "wal_sync_method=fsync_writethrough",
    // Everything it says comes to `postgres.log`, which is bounded.
    "logging_collector=off",
    "log_destination=stderr",
];

/// How long an immediate shutdown may take: PostgreSQL kills its own workers after five seconds.
const IMMEDIATE_LIMIT: Duration = Duration::from_secs(10);
/// How long the lock may stay taken: a chopmark killed while it starts a program leaves it to that until its exec.
const LOCK_LIMIT: Duration = Duration::from_secs(1);
/// How long a server that was killed may take to have all its workers gone; until then a new one is refused.
const WORKERS_GONE_LIMIT: Duration = Duration::from_secs(15);

/// Where the private PostgreSQL lives and how it is run.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// The cluster's own directory, made where missing: `<data-dir>/postgres`.
    pub directory: PathBuf,
    /// A directory with `postgres` and `initdb` (`CHOPMARK_PG_BIN`). `None` takes, in this order, what
    /// `pg_config --bindir` says, the highest version under /usr/lib/postgresql, and PATH.
    pub bin_dir: Option<PathBuf>,
    /// The user to run PostgreSQL as when started as root (`CHOPMARK_PG_USER`); has no meaning otherwise. `None`
    /// takes the owner of existing data, or the first of `postgres`, `chopmark` and `nobody` in /etc/passwd.
    pub user: Option<String>,
    /// Longest wait for the server to take connections, recovery after a crash included.
    pub start_limit: Duration,
    /// Longest wait for a fast shutdown, after which the server is stopped at once and recovers at its next start.
    pub stop_limit: Duration,
}

impl ClusterConfig {
    /// The defaults for a cluster in `directory`: programs and user are looked for, two minutes to start (a crash
    /// recovery reads up to `max_wal_size` of log), 20 seconds to stop.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            bin_dir: None,
            user: None,
            start_limit: Duration::from_mins(2),
            stop_limit: Duration::from_secs(20),
        }
    }
}

/// The paths of one cluster, absolute and free of links.
#[derive(Debug)]
struct Layout {
    directory: PathBuf,
    data: PathBuf,
    socket: PathBuf,
    lock: PathBuf,
    log: PathBuf,
}

impl Layout {
    fn of(directory: &Path) -> Result<Self, ClusterError> {
        let directory = directory.canonicalize().map_err(at("find", directory))?;
        Ok(Self {
            data: directory.join("data"),
            socket: directory.join("socket"),
            lock: directory.join("lock"),
            log: directory.join("postgres.log"),
            directory,
        })
    }
}

/// A running private PostgreSQL. [`Cluster::stop`] ends it properly; dropping it asks it to stop and doesn't wait.
#[derive(Debug)]
pub struct Cluster {
    layout: Layout,
    binaries: Binaries,
    account: Option<Account>,
    socket_directory: PathBuf,
    start_limit: Duration,
    stop_limit: Duration,
    server: Option<(Child, ServerLog)>,
    _lock: Lock,
}

impl Cluster {
    /// Starts the private PostgreSQL, making the cluster first where there is none, and waits until it takes
    /// connections and the database [`DATABASE`] exists. A server left running by a killed predecessor is stopped.
    ///
    /// Needs a Tokio runtime with I/O and time, which must live as long as the `Cluster`.
    ///
    /// # Errors
    ///
    /// Every variant of [`ClusterError`] but `Exited` and `NotRunning`; nothing is left running then.
    pub async fn start(config: ClusterConfig) -> Result<Self, ClusterError> {
        let mut cluster = Self::prepare(config).await?;
        match cluster.launch_patiently().await {
            Ok(()) => Ok(cluster),
            Err(error) => {
                // What went wrong first is what matters.
                let _ = cluster.stop().await;
                Err(error)
            }
        }
    }

    /// Starts the server again after it has [exited](Self::exited), with the programs and the lock that there are.
    ///
    /// # Errors
    ///
    /// As [`Cluster::start`]; no server runs then, and the same may be tried again.
    pub async fn restart(&mut self) -> Result<(), ClusterError> {
        self.server = None;
        orphan::settle(&self.layout.data, &self.socket_directory, self.stop_limit).await?;
        let launched = self.launch_patiently().await;
        if launched.is_err() {
            let _ = self.shut_down().await;
        }
        launched
    }

    /// Starts the server, as often as the workers of one that was killed are still there.
    async fn launch_patiently(&mut self) -> Result<(), ClusterError> {
        let deadline = Instant::now() + WORKERS_GONE_LIMIT;
        loop {
            match self.launch().await {
                // The last workers of a server that was killed still hold its shared memory; they are on their way.
                Err(ClusterError::NotReady { log_tail, .. })
                    if log_tail.contains("pre-existing shared memory block") && Instant::now() < deadline =>
                {
                    self.server = None;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                launched => return launched,
            }
        }
    }

    /// Everything up to the moment at which the server can be started.
    async fn prepare(config: ClusterConfig) -> Result<Self, ClusterError> {
        let account = account::choose(config.user.as_deref(), &config.directory.join("data"))?;
        make_directory(&config.directory, account.as_ref())?;
        let layout = Layout::of(&config.directory)?;
        if let Some(account) = &account
            && let Some(blocked) = account.first_blocked(&layout.directory).map_err(at("look at", &layout.directory))?
        {
            let (directory, user) = (layout.directory, account.name.clone());
            return Err(ClusterError::Untraversable { blocked, directory, user });
        }
        let lock = Lock::take(&layout).await?;
        let existing = existing_major(&layout.data)?;
        let binaries = binaries::find(config.bin_dir.as_deref(), &layout.data, existing, account.as_ref()).await?;
        initialise::sweep(&layout).await?;
        if existing.is_none() {
            initialise::create(&layout, &binaries, account.as_ref()).await?;
        }
        account::check_owner(&layout.data, account.as_ref())?;
        let socket_directory = socket::choose(&layout.socket, &layout.directory, account.as_ref())?;
        account::private_directory(&socket_directory, account.as_ref())?;
        orphan::settle(&layout.data, &socket_directory, config.stop_limit).await?;
        let ClusterConfig { start_limit, stop_limit, .. } = config;
        Ok(Self { layout, binaries, account, socket_directory, start_limit, stop_limit, server: None, _lock: lock })
    }

    async fn launch(&mut self) -> Result<(), ClusterError> {
        let program = self.binaries.program("postgres");
        let mut command = account::command(&program, self.account.as_ref(), &self.layout.directory);
        let mut socket_setting = OsString::from("unix_socket_directories=\"");
        socket_setting.push(&self.socket_directory);
        socket_setting.push("\"");
        command.arg("-D").arg(&self.layout.data).arg("-c").arg(socket_setting);
        command.arg("-c").arg(format!("port={}", socket::PORT));
        for setting in FIXED_SETTINGS {
            command.args(["-c", setting]);
        }
        command.args(recovery::settings());
        let (log, sink) = ServerLog::follow(&self.layout.log)?;
        let child = command.stdout(Stdio::null()).stderr(sink).spawn().map_err(at("run", &program))?;
        // It keeps our end of the pipe, and the log would never end.
        drop(command);
        self.server = Some((child, log));
        let client = self.connect_when_ready().await?;
        create_database(&client).await
    }

    /// A connection to the maintenance database, as soon as the server grants one.
    async fn connect_when_ready(&mut self) -> Result<Client, ClusterError> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.socket_directory).port(socket::PORT).user(SUPERUSER).dbname("postgres");
        let deadline = tokio::time::Instant::now() + self.start_limit;
        loop {
            let attempt = tokio::time::timeout_at(deadline, config.connect(NoTls)).await;
            if let Ok(Ok((client, connection))) = attempt {
                tokio::spawn(connection);
                return Ok(client);
            }
            let Some((child, log)) = &mut self.server else {
                return Err(ClusterError::NotRunning { directory: self.layout.directory.clone() });
            };
            let reason = if let Some(status) = child.try_wait().map_err(at("wait for", &self.layout.data))? {
                format!("it ended ({status})")
            } else if tokio::time::Instant::now() >= deadline {
                format!("no connection within {:?}", self.start_limit)
            } else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let (log, log_tail) = (log.path().to_path_buf(), log.tail().await);
            return Err(ClusterError::NotReady { reason, log, log_tail });
        }
    }

    /// A URL for connecting to `database` as [`SUPERUSER`] over the Unix socket, percent-encoded so that psql and
    /// tokio-postgres both take it.
    pub fn connection_url(&self, database: &str) -> String {
        socket::url(&self.socket_directory, socket::PORT, SUPERUSER, database)
    }

    /// The directory of the PostgreSQL programs in use, for naming the `psql` or `pg_dump` that fits.
    pub fn bin_dir(&self) -> &Path {
        &self.binaries.directory
    }

    /// The server log.
    pub fn log_file(&self) -> &Path {
        &self.layout.log
    }

    /// The server's process ID, or `None` once it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.server.as_ref().and_then(|(child, _)| child.id())
    }

    /// Waits until the server ends without having been asked to, and says how. Safe to cancel, so it can stand in a
    /// `select!` beside the service's work.
    pub async fn exited(&mut self) -> ClusterError {
        let Some((child, log)) = &mut self.server else {
            return ClusterError::NotRunning { directory: self.layout.directory.clone() };
        };
        match child.wait().await {
            Ok(status) => {
                let (log, log_tail) = (log.path().to_path_buf(), log.tail().await);
                ClusterError::Exited { status, log, log_tail }
            }
            Err(error) => at("wait for", &self.layout.data)(error),
        }
    }

    /// Stops the server: fast (open transactions are rolled back, everything is written), and where that takes longer
    /// than the limit, at once, which loses nothing committed but makes the next start recover.
    ///
    /// # Errors
    ///
    /// [`ClusterError::Io`] if the server can't be waited for.
    pub async fn stop(mut self) -> Result<(), ClusterError> {
        self.shut_down().await.map_err(at("wait for the server of", &self.layout.data))?;
        if self.socket_directory != self.layout.socket {
            // Under a temporary directory, where nothing should stay; whether it goes is no reason to fail.
            let _ = fs::remove_dir(&self.socket_directory);
        }
        Ok(())
    }

    async fn shut_down(&mut self) -> io::Result<()> {
        for (signal, limit) in [(Signal::INT, self.stop_limit), (Signal::QUIT, IMMEDIATE_LIMIT)] {
            self.signal(signal);
            let Some((child, log)) = &mut self.server else { return Ok(()) };
            if let Ok(status) = tokio::time::timeout(limit, child.wait()).await {
                log.drained().await;
                return status.map(drop);
            }
            tracing::warn!(postgres.signal = ?signal, waited_ms = limit.as_millis(), "PostgreSQL does not stop");
        }
        let Some((child, _)) = &mut self.server else { return Ok(()) };
        child.kill().await
    }

    /// Sends a signal to the server, if it is still there: the ID of a child not waited for can't be used again.
    fn signal(&self, signal: Signal) {
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid
            && let Err(error) = kill_process(pid, signal)
        {
            tracing::warn!(%error, postgres.signal = ?signal, "PostgreSQL could not be signalled");
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.signal(Signal::INT);
    }
}

/// The URL of [`DATABASE`] in the private PostgreSQL that is running in `directory`; starts nothing.
///
/// # Errors
///
/// [`ClusterError::NotRunning`] where none runs, [`ClusterError::Io`] where the directory can't be read: it belongs
/// to the user that the service runs as.
pub fn connection_url_of(directory: &Path) -> Result<String, ClusterError> {
    let not_running = || ClusterError::NotRunning { directory: directory.to_path_buf() };
    if !directory.exists() {
        return Err(not_running());
    }
    let layout = Layout::of(directory)?;
    let Found::File(file) = PidFile::read(&layout.data)? else { return Err(not_running()) };
    let socket_directory = file.socket_directory.ok_or_else(not_running)?;
    match std::os::unix::net::UnixStream::connect(socket::file(&socket_directory, file.port)) {
        Ok(_) => Ok(socket::url(&socket_directory, file.port, SUPERUSER, DATABASE)),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(at("enter", socket_directory)(error)),
        Err(_) => Err(not_running()),
    }
}

/// Makes the cluster's directory, closed to others; with another account in play, open for passing through only.
fn make_directory(directory: &Path, account: Option<&Account>) -> Result<(), ClusterError> {
    let mode = if account.is_some() { 0o711 } else { 0o700 };
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent).map_err(at("create directory", parent))?;
    }
    match DirBuilder::new().mode(mode).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(at("create directory", directory)(error));
        }
        Ok(()) | Err(_) => {}
    }
    let metadata = fs::metadata(directory).map_err(at("look at", directory))?;
    if metadata.uid() == geteuid().as_raw() && metadata.mode() & 0o777 != mode {
        fs::set_permissions(directory, Permissions::from_mode(mode)).map_err(at("chmod", directory))?;
    }
    Ok(())
}

/// The lock that says this cluster is in use; it goes with our process, even when we are killed.
#[derive(Debug)]
struct Lock(File);

impl Lock {
    async fn take(layout: &Layout) -> Result<Self, ClusterError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(&layout.lock, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| at("open", &layout.lock)(error.into()))?;
        let deadline = Instant::now() + LOCK_LIMIT;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self(File::from(file))),
                Err(Errno::WOULDBLOCK) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(Errno::WOULDBLOCK) => {
                    return Err(ClusterError::InUse { directory: layout.directory.clone() });
                }
                Err(error) => return Err(at("lock", &layout.lock)(error.into())),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone is not enough: a process that another thread is just starting has the file open until its
        // exec. Where this fails, closing is what is left.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

/// The major version of the cluster in `data`, or `None` where there is none yet.
fn existing_major(data: &Path) -> Result<Option<u32>, ClusterError> {
    match fs::symlink_metadata(data) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at("look at", data)(error)),
        Ok(_) => {}
    }
    let not_a_cluster = |reason: String| ClusterError::NotACluster { data: data.to_path_buf(), reason };
    let version = data.join("PG_VERSION");
    let text = match fs::read_to_string(&version) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(not_a_cluster("it has no PG_VERSION".to_owned()));
        }
        Err(error) => return Err(at("read", version)(error)),
    };
    let major = text.trim().parse().map_err(|_| not_a_cluster(format!("its PG_VERSION is {:?}", text.trim())))?;
    Ok(Some(major))
}

async fn create_database(client: &Client) -> Result<(), ClusterError> {
    let failed = |action| {
        move |error: tokio_postgres::Error| ClusterError::Sql {
            action,
            // Displayed alone, an answer of the server is only "db error".
            detail: error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string),
        }
    };
    let exists = client
        .query_opt("select 1 from pg_database where datname = $1", &[&DATABASE])
        .await
        .map_err(failed("look for the database"))?;
    if exists.is_none() {
        client.batch_execute(&format!("create database {DATABASE}")).await.map_err(failed("create the database"))?;
    }
    Ok(())
}
