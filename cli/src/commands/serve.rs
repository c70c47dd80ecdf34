//! `chopmark serve`: the service, with its private PostgreSQL unless told otherwise.
//!
//! Prints exactly one line on stdout, once ready; everything else goes to stderr. Stops cleanly on SIGTERM and Ctrl-C:
//! requests in flight finish, what was committed is signed, then the database stops.

use std::future;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use chopmark_api::{RateLimits, Running, ServeConfig};
use chopmark_store::{Store, StoreError};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Context, block_on};
use crate::arguments::ServeArguments;
use crate::exit::{Exit, Failure};
use crate::log;
use crate::printer::Printer;
use crate::registry::{self, DataDirectory, Database};
use crate::vault;

/// Pause before a private PostgreSQL that did not start is tried again; doubled after each failure.
const RESTART_PAUSE: Duration = Duration::from_millis(200);

/// Longest such pause: a full disk, say, takes a while, and every attempt writes to the log.
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(2);

/// Runs the service until it is told to stop.
///
/// # Errors
/// When it can't start, or ends by itself.
pub(crate) fn run(context: &Context<'_>, arguments: &ServeArguments) -> Result<Exit, Failure> {
    log::install(arguments.log_format);
    block_on(serve(arguments, context.printer))
}

async fn serve(arguments: &ServeArguments, printer: &Printer) -> Result<Exit, Failure> {
    let mut stop = Stop::install()?;
    let directory = DataDirectory::of(&arguments.store)?;
    let (store, mut database) = registry::open(&directory, &arguments.store).await?;
    let end = match start(arguments, printer, &directory, store).await {
        Ok(running) => {
            let delay = Duration::from_secs(arguments.drain_delay);
            supervise(running, &mut database, &mut stop, delay).await
        }
        Err(failure) => Err(failure),
    };
    let stopped = database.stop().await;
    end.and(stopped).and(Ok(Exit::Done))
}

/// Founds the registry when the private data directory is fresh, and starts answering.
async fn start(
    arguments: &ServeArguments,
    printer: &Printer,
    directory: &DataDirectory,
    store: Store,
) -> Result<Running, Failure> {
    let registry = match store.registry().await {
        Ok(registry) => registry,
        Err(StoreError::NotFounded) if arguments.store.database_url.is_none() => {
            let registry = directory.found(&store, arguments.origin.as_deref()).await?;
            tracing::info!(registry.origin = registry.reference.origin, "founded the registry");
            registry
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(origin) = &arguments.origin
        && *origin != registry.reference.origin
    {
        let message = format!("this registry has the origin {}; it can't be changed", registry.reference.origin);
        return Err(Failure::usage(message));
    }
    if !store.has_checksums().await? {
        tracing::warn!("{}", registry::NO_CHECKSUMS);
    }
    let is_private = arguments.store.database_url.is_none();
    let store = vault::attach(store, directory, &arguments.vault, is_private).await?;
    // Another machine's replica of a database that is there has no log key, and needs none.
    let signing = if arguments.store.database_url.is_none() || directory.has_log_key() {
        Some(directory.signing(&registry.reference.origin)?)
    } else {
        tracing::info!("there is no log key in the data directory: another process has to sign");
        None
    };
    let access_signing = match signing {
        Some(_) => Some(directory.access_signing(&registry.reference.origin)?),
        None => None,
    };
    let (listener, address) = listen(arguments.listen)?;
    let metrics = arguments.metrics_listen.map(listen).transpose()?;
    let metrics_address = metrics.as_ref().map(|(_, address)| *address);
    let running = chopmark_api::start(ServeConfig {
        store,
        signing,
        access_signing,
        listener,
        connections_per_worker_max: arguments.connections_per_worker_max,
        queue_statements_max: arguments.queue_statements_max,
        statement_time_max: Duration::from_secs(arguments.statement_timeout),
        rate_limits: RateLimits {
            per_address: arguments.rate_per_address,
            per_key: arguments.rate_per_key,
            trusted_proxies: arguments.trust_forwarded_for,
        },
        log_addresses: arguments.log_addresses,
        metrics_listener: metrics.map(|(listener, _)| listener),
        fonts: arguments.fonts.clone(),
        further_routes: |_| {},
    })
    .await?;
    tracing::info!(
        registry.origin = registry.reference.origin,
        registry.log_key = registry.log_key.as_str(),
        registry.genesis = registry.reference.genesis.to_hex(),
        listen.address = %address,
        metrics.address = metrics_address.map(|address| address.to_string()),
        signs = running.signs,
        "started"
    );
    printer.ready(&format!("listening on http://{address}"))?;
    Ok(running)
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Failure> {
    TcpListener::bind(address)
        .and_then(|listener| listener.local_addr().map(|address| (listener, address)))
        .map_err(|error| Failure::new(Exit::Network, "listen", format!("cannot listen on {address}: {error}")))
}

/// Waits for a reason to stop; starts the private PostgreSQL again when it dies. Told to stop, it goes on for a while, so
/// that whoever watches `/readyz` sends nobody here any more; told again, it ends at once.
async fn supervise(
    mut running: Running,
    database: &mut Database,
    stop: &mut Stop,
    drain_delay: Duration,
) -> Result<(), Failure> {
    loop {
        tokio::select! {
            () = stop.asked() => break,
            _ = &mut running.ended => {
                running.stop(future::pending()).await?;
                return Err(Failure::internal("the HTTP server ended by itself"));
            }
            reason = database_exited(database) => {
                tracing::error!(reason = %reason, "the private PostgreSQL ended; it is started again");
                tokio::select! {
                    () = stop.asked() => break,
                    () = restart(database) => {}
                }
            }
        }
    }
    running.announce_stop();
    tracing::info!(drain_delay_s = drain_delay.as_secs(), "stopping");
    let delayed = tokio::time::timeout(drain_delay, stop.asked()).await;
    let hurry = async {
        if delayed.is_err() {
            stop.asked().await;
        }
    };
    Ok(running.stop(hurry).await?)
}

async fn database_exited(database: &mut Database) -> String {
    match database {
        Database::Private(cluster) => cluster.exited().await.to_string(),
        Database::External => future::pending().await,
    }
}

/// Tries until it starts: the service answers 503 meanwhile, and whoever watches it decides when to give up.
async fn restart(database: &mut Database) {
    let Database::Private(cluster) = database else { return };
    let (begun, mut pause) = (Instant::now(), RESTART_PAUSE);
    while let Err(error) = cluster.restart().await {
        tracing::error!(error = %error, "the private PostgreSQL does not start");
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(RESTART_PAUSE_MAX);
    }
    tracing::info!(duration_ms = begun.elapsed().as_millis(), "the private PostgreSQL runs again");
}

/// The signals that ask for a clean stop.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn install() -> Result<Self, Failure> {
        let install = |kind| signal(kind).map_err(|error| Failure::internal(format!("no signals: {error}")));
        Ok(Self { terminate: install(SignalKind::terminate())?, interrupt: install(SignalKind::interrupt())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
