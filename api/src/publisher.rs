//! Publishing: what readers are shown, and who signs it.
//!
//! Several replicas may run on one database. The one that holds the lock of the mark signs; every other one shows what
//! that one signed, and takes over where it has the same key and mark, once the lock is free.

mod reader;
mod signer;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use chopmark_core::ledger::edge::Edge;
use chopmark_core::ledger::note::{NoteSigner, VerifierKey};
use chopmark_core::ledger::tile::TileNodes;
use chopmark_store::{News, Store, StoreError};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::mark::{Mark, MarkError};
use reader::newest;
use signer::Signer;

/// How often to look for what nobody told of: entries, checkpoints, a lock that became free.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Pause after a failure that may pass, such as a database that restarts.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// How long entries may wait for a signature before it is said that they do: longer than a restart of the signer.
const STALLED_AFTER: Duration = Duration::from_secs(5);

/// How long signing may fail before it is said that it does.
const FAILING_AFTER: Duration = Duration::from_secs(1);

/// Attempts to sign what is committed when the service stops; the next one to start signs it otherwise.
const LAST_ATTEMPTS: u32 = 25;

/// A published state of the log: everything readers are shown is of one such state.
#[derive(Debug, Clone)]
pub struct Published {
    /// Entries covered.
    pub size: u64,
    /// The signed checkpoint.
    pub note: String,
    /// Right edge of the tree at this size.
    pub edge: Edge,
    /// The unfinished tiles of the edge, from level 0 up, once a proof has asked for them.
    partials: OnceLock<Vec<Arc<TileNodes>>>,
}

impl Published {
    fn new(size: u64, note: String, edge: Edge) -> Self {
        Self { size, note, edge, partials: OnceLock::new() }
    }

    /// The unfinished tile of this level.
    pub fn partial(&self, level: u8) -> Option<Arc<TileNodes>> {
        let nodes = |level| Arc::new(TileNodes::new(self.edge.partial(level).to_vec()));
        let partials = self.partials.get_or_init(|| Edge::levels(self.size).map(nodes).collect());
        partials.get(usize::from(level)).cloned()
    }
}

/// What the publisher makes known: the latest published state, and why nothing more is signed, if so.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// `None` until the first checkpoint.
    pub published: Option<Arc<Published>>,
    /// Set once and for good: the service is read-only until somebody acts.
    pub halted: Option<Arc<str>>,
    /// Why entries wait for their checkpoint, while they do for long; ends by itself.
    pub stalled: Option<Arc<str>>,
    /// Whether this process signs.
    pub signs: bool,
}

impl Status {
    fn published_size(&self) -> u64 {
        self.published.as_ref().map_or(0, |published| published.size)
    }
}

/// What it takes to sign.
pub struct Signing {
    /// The log key.
    pub key: NoteSigner,
    /// Where its mark is.
    pub mark: PathBuf,
}

/// Why nothing could be published.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    /// Going on would put the log's integrity at risk: stop for good.
    #[error("{0}")]
    Halt(String),
    /// May pass: try again.
    #[error(transparent)]
    Store(StoreError),
    /// The same, of the mark.
    #[error(transparent)]
    Mark(MarkError),
}

impl From<StoreError> for PublishError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged { .. } => Self::Halt(error.to_string()),
            other => Self::Store(other),
        }
    }
}

impl From<MarkError> for PublishError {
    fn from(error: MarkError) -> Self {
        match error {
            // A mark that could not be written is on the disk as it was, and is read again before the next attempt.
            MarkError::Io { .. } => Self::Mark(error),
            other => Self::Halt(other.to_string()),
        }
    }
}

impl PublishError {
    /// What clients may know of it: rows, causes and paths are the operator's business.
    fn in_public(&self) -> &'static str {
        match self {
            Self::Halt(_) => "nothing more is signed",
            Self::Store(_) => "checkpoints wait for the database",
            Self::Mark(_) => "checkpoints wait for a disk that does not take the signer's mark",
        }
    }
}

/// Why publishing could not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The mark can't be used.
    #[error(transparent)]
    Mark(#[from] MarkError),
}

/// Publishes for this process, as the signer or as one of the others.
pub struct Publisher {
    store: Store,
    log_key: VerifierKey,
    /// What it would sign with.
    signing: Option<Signing>,
    /// Set while this process signs.
    signer: Option<Signer>,
    status: watch::Sender<Status>,
    waiting: Waiting,
}

/// What waits, and since when.
#[derive(Default)]
struct Waiting {
    since: Option<Instant>,
    /// What was published when it began to wait.
    published: u64,
    /// What the log says of it, which says it once.
    said: String,
}

impl Publisher {
    /// Takes the lock where there is something to sign with and nobody else has it, compares the database with the mark
    /// and publishes what is committed; shows the newest stored checkpoint otherwise. Comes up read-only, with the reason
    /// in [`Status::halted`], when signing would contradict what was signed before.
    ///
    /// # Errors
    /// When the database or the mark can't be read.
    pub async fn start(
        store: Store,
        log_key: VerifierKey,
        signing: Option<Signing>,
    ) -> Result<(Self, watch::Receiver<Status>), StartError> {
        let (status, receiver) = watch::channel(Status::default());
        let mut publisher = Self { store, log_key, signing, signer: None, status, waiting: Waiting::default() };
        publisher.take_over().await?;
        let begun = publisher.publish().await;
        match begun {
            Ok(()) => {}
            Err(PublishError::Store(error)) => return Err(error.into()),
            Err(PublishError::Mark(error)) => return Err(error.into()),
            Err(PublishError::Halt(reason)) => {
                publisher.halt(&reason);
                publisher.show_stored().await?;
            }
        }
        Ok((publisher, receiver))
    }

    /// Publishes whenever there is something new, until the first channel, which is the sequencer's, closes.
    pub async fn run(mut self, mut committed: watch::Receiver<u64>, mut heard: watch::Receiver<News>) {
        let (mut is_open, mut attempts) = (true, 0);
        loop {
            match self.look().await {
                Ok(()) if !is_open => return,
                Ok(()) => is_open = self.woken(&mut committed, &mut heard).await,
                Err(PublishError::Halt(reason)) => {
                    self.halt(&reason);
                    // The lock is kept: what stops one signer must not be left to the next one to find out.
                    while committed.changed().await.is_ok() {}
                    return;
                }
                Err(error) => {
                    attempts = if is_open { 0 } else { attempts + 1 };
                    if attempts >= LAST_ATTEMPTS {
                        return;
                    }
                    self.failed(&error);
                    tokio::time::sleep(RETRY_PAUSE).await;
                    is_open = committed.has_changed().is_ok();
                }
            }
        }
    }

    /// Waits for something to look at; whether the sequencer still runs.
    async fn woken(&self, committed: &mut watch::Receiver<u64>, heard: &mut watch::Receiver<News>) -> bool {
        let published = self.status.borrow().published_size();
        let signs = self.signer.is_some();
        let mut later = core::pin::pin!(tokio::time::sleep(LOOK_AGAIN));
        loop {
            tokio::select! {
                changed = committed.changed() => {
                    if changed.is_err() {
                        return false;
                    }
                    if signs && *committed.borrow_and_update() > published {
                        return true;
                    }
                }
                Ok(()) = heard.changed() => {
                    let news = *heard.borrow_and_update();
                    if (if signs { news.committed } else { news.published }) > published {
                        return true;
                    }
                }
                () = &mut later => return true,
            }
        }
    }

    /// One look at everything.
    async fn look(&mut self) -> Result<(), PublishError> {
        if let Err(error) = self.take_over().await {
            self.say(&error.to_string(), "the signing can't be taken over");
        }
        self.publish().await?;
        match &self.signer {
            Some(_) => self.goes_on(),
            None => self.watch_signer().await?,
        }
        Ok(())
    }

    /// Takes the lock of the mark if it is free.
    async fn take_over(&mut self) -> Result<(), MarkError> {
        let Some(signing) = &self.signing else { return Ok(()) };
        let (mark, origin) = (signing.mark.clone(), self.log_key.name().to_owned());
        let opened = spawn_blocking(move || Mark::open(&mark, &origin)).await;
        let opened = opened
            .map_err(|error| MarkError::Io { path: signing.mark.clone(), error: std::io::Error::other(error) })?;
        match opened {
            Ok(mark) => {
                let Some(Signing { key, .. }) = self.signing.take() else { return Ok(()) };
                tracing::info!(size = mark.signed().size, "holds the mark; signs from here on");
                self.signer = Some(Signer::new(self.store.clone(), key, mark));
                self.status.send_modify(|status| status.signs = true);
                Ok(())
            }
            Err(MarkError::Held { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Signs what is committed, or takes in what somebody else signed.
    async fn publish(&mut self) -> Result<(), PublishError> {
        loop {
            let known = self.status.borrow().published.clone();
            let published = match &mut self.signer {
                Some(signer) => signer.publish(known.map(|known| known.size)).await?,
                None => newest(&self.store, &self.log_key, known.as_deref()).await?,
            };
            let Some(published) = published else { return Ok(()) };
            self.status.send_modify(|status| status.published = Some(Arc::new(published)));
        }
    }

    /// Read-only: shows the newest stored checkpoint that the entries still bear out.
    async fn show_stored(&self) -> Result<(), StoreError> {
        match newest(&self.store, &self.log_key, None).await {
            Ok(Some(published)) => {
                self.status.send_modify(|status| status.published = Some(Arc::new(published)));
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(PublishError::Store(error)) => Err(error),
            Err(error) => {
                tracing::error!(error = %error, "the stored checkpoint does not fit the stored entries; nothing is shown");
                Ok(())
            }
        }
    }

    /// Whether somebody signs what is committed.
    async fn watch_signer(&mut self) -> Result<(), PublishError> {
        let (size, _) = self.store.log_state().await?;
        let published = self.status.borrow().published_size();
        if size <= published {
            self.goes_on();
            return Ok(());
        }
        if self.waiting.since.is_none() || self.waiting.published != published {
            self.goes_on();
            self.waiting = Waiting { since: Some(Instant::now()), published, said: String::new() };
        } else if self.waiting.since.is_some_and(|since| since.elapsed() >= STALLED_AFTER) {
            let reason = "entries wait for the process that signs, which is not running or does not get on";
            self.say(reason, "a checkpoint has to wait");
            self.stall(reason);
        }
        Ok(())
    }

    fn goes_on(&mut self) {
        self.waiting = Waiting::default();
        self.status.send_if_modified(|status| status.stalled.take().is_some());
    }

    fn failed(&mut self, error: &PublishError) {
        self.say(&error.to_string(), "a checkpoint has to wait");
        let since = *self.waiting.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= FAILING_AFTER {
            self.stall(error.in_public());
        }
    }

    /// The same is said once.
    fn say(&mut self, error: &str, message: &'static str) {
        if self.waiting.said != error {
            tracing::warn!(error, "{message}");
            error.clone_into(&mut self.waiting.said);
        }
    }

    fn stall(&self, reason: &str) {
        self.status.send_if_modified(|status| {
            let is_new = status.stalled.as_deref() != Some(reason);
            if is_new {
                status.stalled = Some(reason.into());
            }
            is_new
        });
    }

    fn halt(&self, reason: &str) {
        tracing::error!(reason, "READ-ONLY: nothing more is signed");
        self.status.send_modify(|status| status.halted = Some(reason.into()));
    }
}
