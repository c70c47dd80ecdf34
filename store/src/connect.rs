//! Connections: one pool for reads, one connection for appending, all established on the service's own runtime.
//!
//! actix workers are separate runtimes; a connection driven on one of them stalls while that worker is busy, so the
//! task that drives a connection is always spawned on the handle captured here.

use std::time::Duration;

use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};
use futures_util::FutureExt as _;
use tokio::runtime::Handle;
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{Client, Connection, NoTls, Socket};

use crate::error::StoreError;

/// The schema, compiled in.
const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations");

/// Oldest PostgreSQL that works: `MERGE`-free SQL of ours would run on older ones, but none is supported by its makers.
const SERVER_VERSION_MIN: i32 = 150_000;

/// How long a statement may take unless told otherwise: a batch, a part of an audit.
pub(crate) const STATEMENT_TIME_MAX: Duration = Duration::from_secs(30);

/// How long one statement of an audit or a rebuild may take: comparing a table of hundreds of millions of rows.
pub(crate) const AUDIT_STATEMENT_TIME_MAX: Duration = Duration::from_hours(6);

/// How long a request may wait for its turn to have a reading connection.
const CONNECTION_WAIT_MAX: Duration = Duration::from_secs(1);

/// How long a connection may take to be made.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// How long sent bytes may stay unacknowledged by the database's machine.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// How long a process may leave a writing transaction alone before PostgreSQL ends it. A replica that is frozen, or whose
/// machine is gone, holds the log's row lock for no longer; others wait for it twice as long (`lock_timeout`).
pub(crate) const APPEND_IDLE_MAX: Duration = Duration::from_secs(5);

/// The same for whoever brings the tables that searches read up to the log, and parses large manifests meanwhile.
pub(crate) const FOLLOW_IDLE_MAX: Duration = Duration::from_secs(30);

/// Key of the advisory lock under which the schema is brought up to date: replicas may start at the same moment.
const MIGRATION_LOCK: i64 = 0x0063_686f_706d_6172;

/// What every connection of the service starts with. The role owns nothing, so the grants are what it may do; the
/// durability settings hold even where the server's defaults were changed. Tables start empty and grow, but a plan made
/// while they were small is kept: so none may read a whole table where there is an index.
const SESSION: &str = "SET ROLE chopmark_app;
SET search_path = view;
SET synchronous_commit = on;
SET enable_seqscan = off;
SET lock_timeout = '10s';
SET idle_in_transaction_session_timeout = '60s';
SET client_min_messages = warning;
SET TimeZone = 'UTC'";

/// A pool of reading connections.
pub(crate) type ReadPool = Pool<AsyncPgConnection>;

/// A connection that nobody drives yet. A server that has vanished from the network is noticed, unless the URL says
/// something else.
pub(crate) async fn raw(url: &str) -> Result<(Client, Connection<Socket, NoTlsStream>), tokio_postgres::Error> {
    let mut config: tokio_postgres::Config = url.parse()?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIME_MAX);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(SILENCE_MAX);
    }
    config.connect(NoTls).await
}

/// Opens one connection and drives it on `runtime`.
async fn open(url: &str, runtime: &Handle) -> Result<AsyncPgConnection, diesel::ConnectionError> {
    let failed = |error: &dyn std::fmt::Display| diesel::ConnectionError::BadConnection(error.to_string());
    let (client, connection) = raw(url).await.map_err(|error| failed(&describe(&error)))?;
    runtime.spawn(drive(connection));
    AsyncPgConnection::try_from(client).await
}

/// Drives a connection to its end.
pub(crate) async fn drive(connection: Connection<Socket, NoTlsStream>) {
    if let Err(error) = connection.await {
        tracing::warn!(error = %describe(&error), "a database connection ended");
    }
}

/// What a connection of the service starts with, on one that somebody drives.
pub(crate) async fn start_session(
    connection: &mut AsyncPgConnection,
    statement_time_max: Duration,
) -> Result<(), diesel::ConnectionError> {
    let session = format!("{SESSION}; SET statement_timeout = '{}ms'", statement_time_max.as_millis());
    connection.batch_execute(&session).await.map_err(diesel::ConnectionError::CouldntSetupConfiguration)
}

/// Works on a connection of the service that the same task drives: on another thread, every few rows would wake this one.
///
/// # Errors
/// When the connection can't be made or ends, and whatever the work ends with.
pub(crate) async fn with_driven<T, E: From<StoreError>>(
    url: &str,
    statement_time_max: Duration,
    work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, E>,
) -> Result<T, E> {
    let failed = |error: &dyn std::fmt::Display| StoreError::Connect(error.to_string());
    let (client, driven) = raw(url).await.map_err(|error| failed(&describe(&error)))?;
    let worked = async {
        let mut connection = AsyncPgConnection::try_from(client).await.map_err(|error| failed(&error))?;
        start_session(&mut connection, statement_time_max).await.map_err(|error| failed(&error))?;
        work(&mut connection).await
    };
    tokio::select! {
        biased;
        end = worked => end,
        () = drive(driven) => Err(failed(&"the connection ended before the work was done").into()),
    }
}

/// A connection error with its cause, which alone says what happened.
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// A connection of the service, with its role and settings.
pub(crate) async fn session(
    url: &str,
    statement_time_max: Duration,
    runtime: &Handle,
) -> Result<AsyncPgConnection, diesel::ConnectionError> {
    // Opened inside a task of that runtime, whatever runtime the caller is on.
    let (url, handle) = (url.to_owned(), runtime.clone());
    let task = runtime.spawn(async move {
        let mut connection = open(&url, &handle).await?;
        start_session(&mut connection, statement_time_max).await?;
        Ok(connection)
    });
    task.await.map_err(|error| diesel::ConnectionError::BadConnection(error.to_string()))?
}

/// A connection that writes what others wait for, and may leave a transaction alone for so long.
pub(crate) async fn writer(
    url: &str,
    idle_time_max: Duration,
    runtime: &Handle,
) -> Result<AsyncPgConnection, StoreError> {
    let failed = |error: &dyn std::fmt::Display| StoreError::Connect(error.to_string());
    let mut connection = session(url, STATEMENT_TIME_MAX, runtime).await.map_err(|error| failed(&error))?;
    // Everything it looks up it looks up by key.
    let settings = format!(
        "SET idle_in_transaction_session_timeout = '{}ms'; SET plan_cache_mode = force_generic_plan; \
         SET enable_hashjoin = off; SET enable_mergejoin = off",
        idle_time_max.as_millis()
    );
    connection.batch_execute(&settings).await.map_err(|error| failed(&error))?;
    Ok(connection)
}

/// A connection of the user that the URL names, with none of the service's settings.
pub(crate) async fn plain(url: &str, runtime: &Handle) -> Result<AsyncPgConnection, StoreError> {
    open(url, runtime).await.map_err(|error| StoreError::Connect(error.to_string()))
}

/// A pool of at most `connections` sessions.
pub(crate) fn pool(
    url: &str,
    connections: usize,
    statement_time_max: Duration,
    runtime: &Handle,
) -> Result<ReadPool, StoreError> {
    let mut config = ManagerConfig::default();
    // Checking a connection on every checkout costs a round trip; a broken one shows itself on first use.
    config.recycling_method = RecyclingMethod::Fast;
    let runtime = runtime.clone();
    config.custom_setup = Box::new(move |url| {
        let (url, runtime) = (url.to_owned(), runtime.clone());
        async move { session(&url, statement_time_max, &runtime).await }.boxed()
    });
    let manager = AsyncDieselConnectionManager::new_with_config(url, config);
    Pool::builder(manager)
        .max_size(connections)
        .wait_timeout(Some(CONNECTION_WAIT_MAX))
        .create_timeout(Some(CONNECT_TIME_MAX))
        .runtime(deadpool::Runtime::Tokio1)
        .build()
        .map_err(|error| StoreError::Connect(error.to_string()))
}

/// Brings the schema up to date, as the user the URL names (not as the service's role).
pub(crate) async fn migrate(url: &str, runtime: &Handle) -> Result<(), StoreError> {
    let mut connection = open(url, runtime).await.map_err(|error| StoreError::Connect(error.to_string()))?;
    check_version(&mut connection).await?;
    check_durability(&mut connection).await?;
    // Held until the connection ends.
    let prepare = format!("SET client_min_messages = warning; SELECT pg_advisory_lock({MIGRATION_LOCK})");
    connection.batch_execute(&prepare).await?;
    let mut harness = diesel_async::AsyncMigrationHarness::new(connection);
    let applied = harness.run_pending_migrations(MIGRATIONS).map_err(|error| StoreError::Migrate(error.to_string()))?;
    for migration in applied {
        tracing::info!(migration = %migration, "schema step applied");
    }
    Ok(())
}

/// Whether the database has the ledger's tables.
pub(crate) async fn has_ledger(url: &str, runtime: &Handle) -> Result<bool, StoreError> {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Bool)]
        there: bool,
    }
    let mut connection = open(url, runtime).await.map_err(|error| StoreError::Connect(error.to_string()))?;
    let query = diesel::sql_query("SELECT to_regclass('log.entry') IS NOT NULL AS there");
    let Row { there } = query.get_result(&mut connection).await?;
    Ok(there)
}

async fn check_version(connection: &mut AsyncPgConnection) -> Result<(), StoreError> {
    #[derive(diesel::QueryableByName)]
    struct Version {
        #[diesel(sql_type = diesel::sql_types::Integer)]
        version: i32,
    }
    use diesel_async::RunQueryDsl;
    let Version { version } = diesel::sql_query("SELECT current_setting('server_version_num')::int AS version")
        .get_result(connection)
        .await?;
    if version < SERVER_VERSION_MIN {
        return Err(StoreError::Connect(format!(
            "the database is PostgreSQL {}; 15 or newer is needed",
            version / 10_000
        )));
    }
    Ok(())
}

/// Refuses a server that may lose, after a power cut, what it has committed: no session can set these for itself. Nothing
/// has been written yet.
async fn check_durability(connection: &mut AsyncPgConnection) -> Result<(), StoreError> {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Bool)]
        fsync: bool,
        #[diesel(sql_type = diesel::sql_types::Bool)]
        full_page_writes: bool,
        #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
        unlogged: Option<String>,
    }
    let query = diesel::sql_query(
        "SELECT current_setting('fsync')::bool AS fsync, current_setting('full_page_writes')::bool AS full_page_writes,
                (SELECT string_agg(c.oid::regclass::text, ', ' ORDER BY c.oid) FROM pg_class AS c
                 WHERE c.relpersistence = 'u' AND c.relkind = 'r'
                   AND c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('log', 'view', 'vault')))
                AS unlogged",
    );
    let Row { fsync, full_page_writes, unlogged } = query.get_result(connection).await?;
    for (setting, is_on) in [("fsync", fsync), ("full_page_writes", full_page_writes)] {
        if !is_on {
            return Err(StoreError::NotDurable(format!(
                "{setting} is off there; switch it on (ALTER SYSTEM SET {setting} = on; SELECT pg_reload_conf();) and \
                 start again"
            )));
        }
    }
    if let Some(tables) = unlogged {
        return Err(StoreError::NotDurable(format!(
            "not in its write-ahead log, so emptied by a crash: {tables}; make it so (ALTER TABLE … SET LOGGED), and run \
             `chopmark audit`"
        )));
    }
    Ok(())
}

/// Whether the server would notice a page that its disk gives back changed.
pub(crate) async fn has_checksums(connection: &mut AsyncPgConnection) -> Result<bool, StoreError> {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Bool)]
        on_pages: bool,
    }
    let query = diesel::sql_query("SELECT current_setting('data_checksums') = 'on' AS on_pages");
    let Row { on_pages } = query.get_result(connection).await?;
    Ok(on_pages)
}
