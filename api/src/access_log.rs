//! The access log: puts records of who has read what into their order, and signs checkpoints over them.
//!
//! Any process puts records in order; the one that holds the access log's mark signs. A mark outside the database is what
//! keeps a restored database from being signed over, here as for the log itself. While the records are not those that were
//! signed, nothing more is read: what would be recorded of it could not be proved.

use std::sync::Arc;
use std::time::Duration;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::checkpoint::{Checkpoint, SIGNED_SIZE_MIN, sign_checkpoint};
use chopmark_store::{AccessHead, AccessLog, Store, StoreError, StoredCheckpoint};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

use crate::mark::{Mark, MarkError};
use crate::publisher::Signing;

/// How often to look for what other replicas recorded.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Pause after a failure, and until a mark that somebody else holds is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// How the access log stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether it was compared with what was signed, since the start of this process.
    pub is_compared: bool,
    /// Whether records can't be put in order or signed just now, which is tried again.
    pub waits: bool,
    /// Why it is not what was signed, while it is not.
    pub contradiction: Option<Arc<str>>,
}

/// Why nothing was taken in or signed.
enum Failure {
    /// It may pass.
    Passing(String),
    /// The records are not those that were signed.
    Contradiction(String),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged { .. } => Self::Contradiction(error.to_string()),
            _ => Self::Passing(error.to_string()),
        }
    }
}

fn passing(error: &dyn core::fmt::Display) -> Failure {
    Failure::Passing(error.to_string())
}

/// What the service knows of the access log.
pub struct Accesses {
    /// To be told that something was recorded.
    pub recorded: Arc<Notify>,
    /// How it stands.
    pub standing: watch::Receiver<Standing>,
}

/// Starts to keep the access log; the task is to be aborted: what is not in order yet is taken in at the next start.
pub fn start(store: Store, signing: Option<Signing>) -> (Accesses, JoinHandle<()>) {
    let (recorded, (standing, receiver)) = (Arc::<Notify>::default(), watch::channel(Standing::default()));
    let accesses = Accesses { recorded: Arc::clone(&recorded), standing: receiver };
    let task = tokio::spawn(async move {
        let mut keeper = Keeper { log: AccessLog::new(store.clone()), store, signing, mark: None, signed: None };
        loop {
            let advanced = keeper.advance().await;
            let has_failed = advanced.is_err();
            standing.send_if_modified(|standing| say(standing, advanced));
            if has_failed {
                sleep(RETRY_PAUSE).await;
            }
            let _ = timeout(LOOK_AGAIN, recorded.notified()).await;
        }
    });
    (accesses, task)
}

/// Takes in how it went, and says so in the log, once for each cause; whether anything has changed.
fn say(standing: &mut Standing, advanced: Result<(), Failure>) -> bool {
    let next = match advanced {
        Ok(()) => Standing { is_compared: true, waits: false, contradiction: None },
        Err(Failure::Passing(reason)) => {
            tracing::warn!(error = %reason, "the access log has to wait");
            Standing { waits: true, ..standing.clone() }
        }
        Err(Failure::Contradiction(reason)) => {
            if standing.contradiction.as_deref() != Some(&*reason) {
                tracing::error!(reason = %reason, "the access log is not what was signed; no opening and no report is shown");
            }
            Standing { is_compared: true, waits: true, contradiction: Some(reason.into()) }
        }
    };
    if standing.contradiction.is_some() && next.contradiction.is_none() {
        tracing::info!("the access log is what was signed again");
    }
    let has_changed = *standing != next;
    *standing = next;
    has_changed
}

struct Keeper {
    log: AccessLog,
    store: Store,
    signing: Option<Signing>,
    mark: Option<Mark>,
    signed: Option<(u64, Sha256Digest)>,
}

impl Keeper {
    async fn advance(&mut self) -> Result<(), Failure> {
        loop {
            let before = self.signed;
            let head = self.log.advance().await?;
            self.sign(head).await?;
            if self.signed == before {
                return Ok(());
            }
        }
    }

    /// Signs what is new, once the mark holds it.
    async fn sign(&mut self, AccessHead { size, root }: AccessHead) -> Result<(), Failure> {
        let Some(Signing { key, mark: path }) = &self.signing else { return Ok(()) };
        if self.signed == Some((size, root)) {
            return Ok(());
        }
        let origin = key.verifier_key().name().to_owned();
        let mark = if let Some(mark) = self.mark.take() {
            Ok(mark)
        } else if path.exists() {
            Mark::open(path, &origin)
        } else if self.store.access_checkpoint().await?.is_some() {
            Err(MarkError::Missing { path: path.clone() })
        } else if size < SIGNED_SIZE_MIN {
            return Ok(());
        } else {
            // Nothing was signed over this access log yet.
            Mark::create(path, &origin)
        };
        let mark = match mark {
            Ok(mark) => mark,
            // Another process signs.
            Err(MarkError::Held { .. }) => return Ok(()),
            Err(error @ MarkError::Missing { .. }) => return Err(Failure::Contradiction(error.to_string())),
            Err(error) => return Err(passing(&error)),
        };
        let signed = AccessHead { size: mark.signed().size, root: mark.signed().root };
        self.mark = Some(mark);
        if size < signed.size {
            return Err(Failure::Contradiction(format!(
                "{size} records are there, {} were signed: the database was restored from before; nothing is signed",
                signed.size
            )));
        }
        // Also where more came since: what is signed next has to begin with what was signed last.
        if signed.size > 0 && !self.store.access_log_extends(AccessHead { size, root }, signed).await? {
            return Err(Failure::Contradiction(format!(
                "the first {} of {size} records are others than were signed; nothing is signed",
                signed.size
            )));
        }
        if size < SIGNED_SIZE_MIN {
            return Ok(());
        }
        let checkpoint = Checkpoint::new(origin, size, root).map_err(|error| passing(&error))?;
        let note = sign_checkpoint(&checkpoint, core::slice::from_ref(key)).map_err(|error| passing(&error))?;
        if size > signed.size
            && let Some(mut mark) = self.mark.take()
        {
            let written = spawn_blocking(move || {
                let advanced = mark.advance(size, root);
                (mark, advanced)
            });
            let (mark, advanced) = written.await.map_err(|error| passing(&error))?;
            self.mark = Some(mark);
            advanced.map_err(|error| passing(&error))?;
        }
        self.store.insert_access_checkpoint(&StoredCheckpoint { size, root, note }).await?;
        self.signed = Some((size, root));
        Ok(())
    }
}
