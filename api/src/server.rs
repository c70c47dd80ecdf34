//! The HTTP server: routes, limits, start and stop.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use chopmark_core::ledger::note::VerifierKey;
use chopmark_core::time::Timestamp;
use chopmark_store::{Store, StoreError};
use tokio::sync::oneshot;
use utoipa::OpenApi as _;
use utoipa_actix_web::AppExt as _;

use crate::access_log;
use crate::bodies::Bodies;
use crate::clock::Clock;
use crate::exports::Press;
use crate::follow;
use crate::guard::{Guard, NOT_COUNTED};
use crate::limits::{Limits, RateLimits};
use crate::mark::MarkError;
use crate::metrics::{self, Metrics, Sources};
use crate::news;
use crate::pace::limit_stall;
use crate::problem::PROBLEM_CONTENT_TYPE;
use crate::publisher::{Publisher, Signing, StartError};
use crate::routes::docs::Reference;
use crate::routes::fallback::Paths;
use crate::routes::operations::OpenApiDocument;
use crate::routes::{
    about, accesses, ancestry, artefacts, bundles, docs, documents, fallback, licences, lineage, log, offers, openings,
    operations, parties, payments, reports, statements, status_list, terms, tokens,
};
use crate::sequencer;
use crate::service::{Followed, Service};

/// Connections one worker keeps open unless told otherwise; more wait in the kernel's queue.
pub const CONNECTIONS_PER_WORKER_MAX: usize = 4_096;

/// Where fonts are looked for unless told otherwise.
pub const FONTS: &str = "/usr/share/fonts";

/// How long a client may take to send the head of a request.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a client may take to end a connection that the service closes.
const DISCONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// How long an idle connection stays open.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How long requests in flight may take to finish once the service is told to stop.
const DRAIN_TIME_MAX_S: u64 = 20;

/// Why the service could not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The signer's mark.
    #[error(transparent)]
    Mark(#[from] MarkError),
    /// The network.
    #[error("the HTTP server failed: {0}")]
    Http(#[from] std::io::Error),
    /// The log key is not the one the registry was founded with.
    #[error(
        "the log key is {found}, the registry in the database has {expected}; use the data directory it was founded with"
    )]
    ForeignKey {
        /// Verifier key of the registry.
        expected: String,
        /// That of the key.
        found: String,
    },
}

impl From<StartError> for ServeError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Store(error) => Self::Store(error),
            StartError::Mark(error) => Self::Mark(error),
        }
    }
}

/// What the service is started with.
pub struct ServeConfig {
    /// A database that holds a registry.
    pub store: Store,
    /// The log key and its mark; a process without them enters statements and leaves the signing to another one.
    pub signing: Option<Signing>,
    /// The same for the access log, by the same process.
    pub access_signing: Option<Signing>,
    /// A bound socket.
    pub listener: TcpListener,
    /// Connections each worker (one per core) keeps open at most.
    pub connections_per_worker_max: usize,
    /// Statements that may wait for the sequencer.
    pub queue_statements_max: usize,
    /// How long a statement of a reading request may take in the database.
    pub statement_time_max: Duration,
    /// How often anybody may come.
    pub rate_limits: RateLimits,
    /// Whether the log names client addresses.
    pub log_addresses: bool,
    /// A bound socket that shows the metrics and nothing else.
    pub metrics_listener: Option<TcpListener>,
    /// Where the fonts are that PDFs are written with, by builds that write any.
    pub fonts: PathBuf,
    /// Routes beside the service's own, behind the same guard and with the same state: what a benchmark compares with.
    pub further_routes: fn(&mut web::ServiceConfig),
}

/// The base of the OpenAPI document; paths and schemas are collected from the routes.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Chopmark",
        description = "Registry of software and AI models: signed statements on an append-only ledger, provable offline. \
                       Errors are RFC 9457 problem documents.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    modifiers(&Bearer),
    tags(
        (name = "statements", description = "The one way in, and what is in"),
        (name = "artefacts", description = "Models, software, datasets"),
        (name = "licences", description = "Terms, offers, licences and whether they are in force"),
        (name = "parties", description = "Organisations and their keys"),
        (name = "documents", description = "What statements refer to by digest"),
        (name = "sealed", description = "Confidential values, and who has read them"),
        (name = "reports", description = "Expenditure on intellectual property, as tax law sees it"),
        (name = "log", description = "The ledger in C2SP tlog-tiles format"),
        (name = "operations", description = "For whoever runs the service"),
    )
)]
struct ApiDocument;

/// How tokens are shown.
struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// Every route, in the one place that both the server and the OpenAPI document are made from.
macro_rules! with_routes {
    ($app:expr) => {
        $app.into_utoipa_app()
            .openapi(ApiDocument::openapi())
            .service(statements::submit)
            .service(statements::show)
            .service(statements::show_receipt)
            .service(statements::show_tlog_proof)
            .service(openings::show)
            .service(accesses::list)
            .service(accesses::checkpoint)
            .service(accesses::inclusion)
            .service(accesses::consistency)
            .service(tokens::challenge)
            .service(tokens::log_in)
            .service(bundles::show)
            .service(terms::show)
            .service(offers::find)
            .service(offers::show)
            .service(licences::find)
            .service(licences::show)
            .service(bundles::show_licence)
            .service(licences::find_in_artefact)
            .service(status_list::show)
            .service(ancestry::show)
            .service(about::list_attestations)
            .service(about::list_endorsements)
            .service(artefacts::find)
            .service(artefacts::show)
            .service(lineage::show)
            .service(parties::find)
            .service(parties::show)
            .service(payments::find)
            .service(documents::show)
            .service(reports::create)
            .service(reports::summary::show)
            .service(reports::show)
            .service(reports::lines::list)
            .service(reports::evidence::show)
            .service(reports::export::show)
            .service(reports::export::show_signature)
            .service(log::registry)
            .service(log::checkpoint)
            .service(log::tile)
            .service(operations::healthz)
            .service(operations::readyz)
            .service(operations::openapi)
            .service(docs::show)
            .service(docs::show_style)
    };
}

/// The OpenAPI document of this version, as it is committed: pretty JSON with a line end.
pub fn openapi_json() -> String {
    let (_, mut document) = with_routes!(App::new()).split_for_parts();
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    describe_guard(&mut document);
    let mut json = document.to_pretty_json().unwrap_or_default();
    json.push('\n');
    json
}

/// Adds what the guard around every handler answers, so that no operation can be without it.
fn describe_guard(document: &mut utoipa::openapi::OpenApi) {
    use utoipa::openapi::{Content, Header, ObjectBuilder, Ref, RefOr, Response, Type};
    let number = || ObjectBuilder::new().schema_type(Type::Integer).build();
    for (path, item) in &mut document.paths.paths {
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            let responses = &mut operation.responses.responses;
            if !NOT_COUNTED.contains(&path.as_str()) {
                let mut response = Response::new("Too often from this address or with this key");
                let problem = Content::new(Some(Ref::from_schema_name("Problem")));
                response.content.insert(PROBLEM_CONTENT_TYPE.to_owned(), RefOr::T(problem));
                responses.insert("429".to_owned(), RefOr::T(response));
            }
            for (status, response) in responses {
                if let RefOr::T(response) = response
                    && matches!(status.as_str(), "429" | "503")
                {
                    let mut header = Header::new(number());
                    header.description = Some("Seconds after which to try again".to_owned());
                    response.headers.insert("Retry-After".to_owned(), RefOr::T(header));
                }
            }
        }
    }
}

/// A running service.
pub struct Running {
    handle: actix_web::dev::ServerHandle,
    stopping: Arc<AtomicBool>,
    metrics: Option<metrics::Running>,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
    sequencer: tokio::task::JoinHandle<()>,
    publisher: tokio::task::JoinHandle<()>,
    news: tokio::task::JoinHandle<()>,
    follower: tokio::task::JoinHandle<()>,
    access_log: tokio::task::JoinHandle<()>,
    /// Why it is read-only, if it came up so.
    pub halted: Option<Arc<str>>,
    /// Whether it came up as the one that signs.
    pub signs: bool,
    /// Fires when the server ended by itself.
    pub ended: oneshot::Receiver<()>,
}

impl Running {
    /// From now on `/readyz` says that it is stopping; everything else goes on.
    pub fn announce_stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Stops taking connections, lets requests in flight finish, then ends sequencer and publisher in that order, so
    /// that whatever was committed is also signed. When `hurry` is ready first, everything ends where it is: an answer
    /// that was not sent is had by sending the same statement again.
    ///
    /// # Errors
    /// When the server failed.
    pub async fn stop(mut self, hurry: impl Future<Output = ()>) -> Result<(), ServeError> {
        self.announce_stop();
        let drained = {
            let (handle, http, sequencer) = (&self.handle, &mut self.server, &mut self.sequencer);
            let (publisher, follower, news) = (&mut self.publisher, &mut self.follower, &mut self.news);
            let drain = async move {
                handle.stop(true).await;
                let end = http.await;
                let _ = sequencer.await;
                let _ = publisher.await;
                let _ = follower.await;
                let _ = news.await;
                end
            };
            tokio::select! {
                end = drain => Some(end),
                () = hurry => None,
            }
        };
        if let Some(metrics) = self.metrics {
            metrics.stop().await;
        }
        self.access_log.abort();
        let Some(end) = drained else {
            tracing::warn!("ended at once; requests in flight got no answer");
            self.server.abort();
            self.sequencer.abort();
            self.publisher.abort();
            self.follower.abort();
            self.news.abort();
            return Ok(());
        };
        end.map_err(std::io::Error::other)??;
        Ok(())
    }
}

/// A clock that is not before the last entry.
async fn clock(store: &Store) -> Result<Clock, StoreError> {
    let (size, _) = store.log_state().await?;
    let last = store.entries(size.saturating_sub(1), 1).await?.into_iter().next();
    Ok(Clock::not_before(last.map_or_else(|| Timestamp::from(chrono::Utc::now()), |entry| entry.recorded_at)))
}

/// Starts sequencer, publisher and HTTP server on the current multi-threaded runtime.
///
/// # Errors
/// A [`ServeError`] that says what to do.
pub async fn start(config: ServeConfig) -> Result<Running, ServeError> {
    let ServeConfig { store, signing, listener, metrics_listener, further_routes, .. } = config;
    let registry = store.registry().await?;
    let log_key = registry.log_key.clone();
    let verifier: VerifierKey =
        log_key.parse().map_err(|error| StoreError::damaged("log.entry 0", format!("its log key: {error}")))?;
    if let Some(found) = signing.as_ref().map(|signing| signing.key.verifier_key())
        && *found != verifier
    {
        return Err(ServeError::ForeignKey { expected: log_key, found: found.to_string() });
    }
    let list_signer = signing.as_ref().map(|signing| signing.key.clone());
    let appender = store.appender(registry.clone());
    // Readers have connections of their own, and can't keep the publisher from its work.
    let readers = store.with_statement_limit(config.statement_time_max)?;
    let (publisher, status) = Publisher::start(store.clone(), verifier, signing).await?;
    let (halted, signs) = {
        let status = status.borrow();
        (status.halted.clone(), status.signs)
    };
    let metrics = Arc::new(Metrics::default());
    let (queue, committed, sequencer) =
        sequencer::start(appender, status.clone(), config.queue_statements_max, Arc::clone(&metrics));
    let (heard, news) = news::start(store.clone(), committed.clone(), status.clone());
    let publisher = tokio::spawn(publisher.run(committed.clone(), heard));
    let clock = clock(&store).await?;
    let (accesses, access_log) = access_log::start(store, config.access_signing);
    let (applied, follower) = follow::start(readers.follower(), committed.clone(), queue.depth());
    let sources = Sources {
        metrics: Arc::clone(&metrics),
        depth: queue.depth(),
        trouble: queue.troubles(),
        committed,
        status: status.clone(),
        accesses: accesses.standing.clone(),
        store: readers.clone(),
    };
    let metrics_page = metrics_listener.map(|listener| metrics::Running::start(listener, sources)).transpose()?;

    let stopping = Arc::new(AtomicBool::new(false));
    let guard = web::Data::new(Guard {
        limits: Limits::new(&config.rate_limits, Arc::clone(&metrics)),
        bodies: Bodies::default(),
        metrics,
        stopping: Arc::clone(&stopping),
        log_addresses: config.log_addresses,
    });
    let press = Press::new(config.fonts);
    let followed = Followed { status, applied, accesses };
    let service = Service::new(readers, (registry, log_key), press, list_signer, clock, queue, followed);
    let service = web::Data::new(service);
    let document = openapi_json();
    let parsed = serde_json::from_str(&document).map_err(std::io::Error::other)?;
    let paths = web::Data::new(Paths::of(&parsed));
    let reference = web::Data::new(Reference::of(&parsed).map_err(std::io::Error::other)?);
    let document = web::Data::new(OpenApiDocument(document.into()));
    let server = HttpServer::new(move || {
        let app = App::new().wrap(from_fn(crate::guard::guard));
        let (app, _) = with_routes!(app).split_for_parts();
        app.app_data(service.clone())
            .app_data(guard.clone())
            .app_data(document.clone())
            .app_data(reference.clone())
            .app_data(paths.clone())
            .configure(further_routes)
            .default_service(web::to(fallback::fallback))
    })
    .on_connect(limit_stall)
    .max_connections(config.connections_per_worker_max)
    // An answer goes out in pieces, and the last must not wait until the client has confirmed those before it.
    .tcp_nodelay(true)
    .client_request_timeout(HEAD_TIME_MAX)
    .client_disconnect_timeout(DISCONNECT_TIME_MAX)
    .keep_alive(KEEP_ALIVE)
    .shutdown_timeout(DRAIN_TIME_MAX_S)
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = server.handle();
    let (gone, ended) = oneshot::channel();
    let server = tokio::spawn(async move {
        let result = server.await;
        let _ = gone.send(());
        result
    });
    Ok(Running {
        handle,
        stopping,
        metrics: metrics_page,
        server,
        sequencer,
        publisher,
        news,
        follower,
        access_log,
        halted,
        signs,
        ended,
    })
}
