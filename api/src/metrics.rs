//! What is counted and measured, and the listener of its own that shows it in the `OpenMetrics` text format.
//!
//! Units are in the names and every label has few values: a route is its template, never a path. docs/operations.md
//! lists every metric.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use actix_web::dev::Server;
use actix_web::http::header;
use actix_web::{App, HttpResponse, HttpServer, web};
use chopmark_store::{Outcome, Store};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::access_log::Standing;
use crate::publisher::Status;
use crate::sequencer::{Depth, Trouble};

/// Connections the metrics listener keeps open at most: a scraper and somebody who looks.
const CONNECTIONS_MAX: usize = 16;

/// How long the metrics listener may take to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByLabel {
    by: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: &'static str,
    status: u16,
}

/// Every counter and histogram of the service.
pub struct Metrics {
    batch_statements: Histogram,
    commit_seconds: Histogram,
    statements: Family<OutcomeLabel, Counter>,
    rejections: Family<CodeLabel, Counter>,
    rate_limited: Family<ByLabel, Counter>,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<RouteLabel, Histogram, fn() -> Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            // 1, 2, 4 … 512, which is a full batch.
            batch_statements: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            commit_seconds: seconds(),
            statements: Family::default(),
            rejections: Family::default(),
            rate_limited: Family::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
        }
    }
}

/// 1 ms to 33 s, each bucket twice the one before.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 16))
}

impl Metrics {
    /// A batch was taken from the queue.
    #[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "a batch has hundreds of statements")]
    pub fn batch(&self, statements: usize) {
        self.batch_statements.observe(statements as f64);
    }

    /// A batch was committed.
    pub fn committed(&self, took: Duration) {
        self.commit_seconds.observe(took.as_secs_f64());
    }

    /// The sequencer has judged a statement.
    pub fn judged(&self, outcome: &Outcome) {
        let outcome = match outcome {
            Outcome::Appended { .. } => "appended",
            Outcome::Existing { .. } => "existing",
            Outcome::Rejected(_) => "rejected",
        };
        self.statements.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// A problem document is on its way out.
    pub fn rejected(&self, code: &str) {
        self.rejections.get_or_create(&CodeLabel { code: code.to_owned() }).inc();
    }

    /// Somebody came too often; `by` is `address` or `key`.
    pub fn rate_limited(&self, by: &'static str) {
        self.rate_limited.get_or_create(&ByLabel { by }).inc();
    }

    /// A request was answered.
    pub fn answered(&self, route: &str, method: &'static str, status: u16, took: Duration) {
        let route = route.to_owned();
        self.request_seconds.get_or_create(&RouteLabel { route: route.clone() }).observe(took.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { route, method, status }).inc();
    }
}

/// Where the values come from that are looked up when somebody asks.
pub struct Sources {
    /// Counters and histograms.
    pub metrics: Arc<Metrics>,
    /// Statements that wait.
    pub depth: Depth,
    /// Why the database takes no entries, if it does not.
    pub trouble: watch::Receiver<Option<Trouble>>,
    /// Entries committed, 0 until the first commit of this process.
    pub committed: watch::Receiver<u64>,
    /// What is published.
    pub status: watch::Receiver<Status>,
    /// How the access log stands.
    pub accesses: watch::Receiver<Standing>,
    /// The reading connections.
    pub store: Store,
}

/// The values that are looked up when somebody asks, and everything else by reference.
struct Page {
    sources: Sources,
    registry: Registry,
    queue_statements: Gauge,
    checkpoint_age_seconds: Gauge<f64, AtomicU64>,
    log_size_entries: Gauge<u64, AtomicU64>,
    published_size_entries: Gauge<u64, AtomicU64>,
    halted: Gauge,
    stalled: Gauge,
    signer: Gauge,
    access_log_halted: Gauge,
    access_log_stalled: Gauge,
    connections_in_use: Gauge,
    /// When the newest checkpoint was published.
    checkpoint: watch::Receiver<Instant>,
}

impl Page {
    fn new(sources: Sources) -> Self {
        let checkpoint = checkpoint_times(sources.status.clone());
        let metrics = Arc::clone(&sources.metrics);
        let mut page = Self {
            sources,
            registry: Registry::default(),
            queue_statements: Gauge::default(),
            checkpoint_age_seconds: Gauge::default(),
            log_size_entries: Gauge::default(),
            published_size_entries: Gauge::default(),
            halted: Gauge::default(),
            stalled: Gauge::default(),
            signer: Gauge::default(),
            access_log_halted: Gauge::default(),
            access_log_stalled: Gauge::default(),
            connections_in_use: Gauge::default(),
            checkpoint,
        };
        let registry = &mut page.registry;
        registry.register("chopmark_queue_statements", "Statements that wait", page.queue_statements.clone());
        registry.register(
            "chopmark_checkpoint_age_seconds",
            "Time since the newest checkpoint was published",
            page.checkpoint_age_seconds.clone(),
        );
        registry.register("chopmark_log_size_entries", "Entries committed", page.log_size_entries.clone());
        registry.register(
            "chopmark_published_size_entries",
            "Entries the newest checkpoint covers",
            page.published_size_entries.clone(),
        );
        registry.register("chopmark_halted", "1 while the service is read-only", page.halted.clone());
        registry.register(
            "chopmark_stalled",
            "1 while nothing is entered or signed, which ends by itself",
            page.stalled.clone(),
        );
        registry.register("chopmark_signer", "1 where this process signs", page.signer.clone());
        registry.register(
            "chopmark_access_log_halted",
            "1 while the access log is not what was signed: nothing sealed is shown",
            page.access_log_halted.clone(),
        );
        registry.register(
            "chopmark_access_log_stalled",
            "1 while records of readings can't be put in order or signed",
            page.access_log_stalled.clone(),
        );
        registry.register(
            "chopmark_database_connections_in_use",
            "Reading connections taken from the pool",
            page.connections_in_use.clone(),
        );
        registry.register(
            "chopmark_batch_statements",
            "Statements in a batch taken from the queue",
            metrics.batch_statements.clone(),
        );
        registry.register(
            "chopmark_commit_seconds",
            "Time to judge and commit a batch",
            metrics.commit_seconds.clone(),
        );
        // The encoder appends `_total` to the names of counters.
        registry.register("chopmark_statements", "Statements judged by the sequencer", metrics.statements.clone());
        registry.register("chopmark_rejections", "Problem documents sent", metrics.rejections.clone());
        registry.register("chopmark_rate_limited", "Requests of who came too often", metrics.rate_limited.clone());
        registry.register("chopmark_http_requests", "Requests answered", metrics.requests.clone());
        registry.register(
            "chopmark_http_request_seconds",
            "Time from the head of a request to the head of its answer",
            metrics.request_seconds.clone(),
        );
        page
    }

    fn render(&self) -> Result<String, std::fmt::Error> {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let (published, halted, stalled, signs) = {
            let status = self.sources.status.borrow();
            let published = status.published.as_ref().map_or(0, |published| published.size);
            (published, status.halted.is_some(), status.stalled.is_some(), status.signs)
        };
        self.queue_statements.set(gauge(self.sources.depth.statements()));
        self.connections_in_use.set(gauge(self.sources.store.connections_in_use()));
        self.checkpoint_age_seconds.set(self.checkpoint.borrow().elapsed().as_secs_f64());
        self.published_size_entries.set(published);
        self.log_size_entries.set(published.max(*self.sources.committed.borrow()));
        self.halted.set(i64::from(halted));
        self.stalled.set(i64::from(stalled || self.sources.trouble.borrow().is_some()));
        self.signer.set(i64::from(signs));
        {
            let accesses = self.sources.accesses.borrow();
            self.access_log_halted.set(i64::from(accesses.contradiction.is_some()));
            self.access_log_stalled.set(i64::from(accesses.waits));
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Follows the publisher and notes when it publishes.
fn checkpoint_times(mut status: watch::Receiver<Status>) -> watch::Receiver<Instant> {
    let (times, receiver) = watch::channel(Instant::now());
    tokio::spawn(async move {
        let mut size = status.borrow().published.as_ref().map(|published| published.size);
        while status.changed().await.is_ok() {
            let now = status.borrow_and_update().published.as_ref().map(|published| published.size);
            if now != size {
                size = now;
                times.send_replace(Instant::now());
            }
        }
    });
    receiver
}

async fn show(page: web::Data<Page>) -> HttpResponse {
    match page.render() {
        Ok(text) => HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8"))
            .body(text),
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

/// A running metrics listener.
pub struct Running {
    handle: actix_web::dev::ServerHandle,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Running {
    /// Shows the metrics on a listener of their own.
    ///
    /// # Errors
    /// When the listener can't be used.
    pub fn start(listener: TcpListener, sources: Sources) -> std::io::Result<Self> {
        let page = web::Data::new(Page::new(sources));
        let server: Server =
            HttpServer::new(move || App::new().app_data(page.clone()).route("/metrics", web::get().to(show)))
                .workers(1)
                .max_connections(CONNECTIONS_MAX)
                .disable_signals()
                .listen(listener)?
                .run();
        Ok(Self { handle: server.handle(), server: tokio::spawn(server) })
    }

    /// Stops without waiting for anybody.
    pub async fn stop(self) {
        let _ = timeout(STOP_TIME_MAX, self.handle.stop(false)).await;
        self.server.abort();
    }
}
