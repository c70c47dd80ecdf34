//! The access log: puts records of who has read what into their order, and signs checkpoints over them.
//!
//! Any process puts records in order; the one that holds the access log's mark signs. A mark outside the database is what
//! keeps a restored database from being signed over, here as for the log itself.

use std::sync::Arc;
use std::time::Duration;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::checkpoint::{Checkpoint, SIGNED_SIZE_MIN, sign_checkpoint};
use chopmark_store::{AccessHead, AccessLog, Store, StoredCheckpoint};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

use crate::mark::{Mark, MarkError};
use crate::publisher::Signing;

/// How often to look for what other replicas recorded.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Pause after a failure, and until a mark that somebody else holds is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Starts to keep the access log; to be aborted: what is not in order yet is taken in at the next start.
pub fn start(store: Store, signing: Option<Signing>, recorded: Arc<Notify>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut keeper = Keeper { log: AccessLog::new(store.clone()), store, signing, mark: None, signed: None };
        loop {
            if let Err(reason) = keeper.advance().await {
                tracing::warn!(error = %reason, "the access log has to wait");
                sleep(RETRY_PAUSE).await;
            }
            let _ = timeout(LOOK_AGAIN, recorded.notified()).await;
        }
    })
}

struct Keeper {
    log: AccessLog,
    store: Store,
    signing: Option<Signing>,
    mark: Option<Mark>,
    signed: Option<(u64, Sha256Digest)>,
}

impl Keeper {
    async fn advance(&mut self) -> Result<(), String> {
        loop {
            let before = self.signed;
            let head = self.log.advance().await.map_err(|error| error.to_string())?;
            self.sign(head).await?;
            if self.signed == before {
                return Ok(());
            }
        }
    }

    /// Signs what is new, once the mark holds it.
    async fn sign(&mut self, AccessHead { size, root }: AccessHead) -> Result<(), String> {
        let Some(Signing { key, mark: path }) = &self.signing else { return Ok(()) };
        if size < SIGNED_SIZE_MIN || self.signed == Some((size, root)) {
            return Ok(());
        }
        let origin = key.verifier_key().name().to_owned();
        let mut mark = if let Some(mark) = self.mark.take() {
            mark
        } else {
            let opened = if path.exists() { Mark::open(path, &origin) } else { self.first_mark(&origin).await? };
            match opened {
                Ok(mark) => mark,
                // Another process signs.
                Err(MarkError::Held { .. }) => return Ok(()),
                Err(error) => return Err(error.to_string()),
            }
        };
        let checkpoint = Checkpoint::new(origin, size, root).map_err(|error| error.to_string())?;
        let note = sign_checkpoint(&checkpoint, core::slice::from_ref(key)).map_err(|error| error.to_string())?;
        let written = spawn_blocking(move || {
            let signed = mark.signed();
            let advanced = match size.cmp(&signed.size) {
                core::cmp::Ordering::Less => Err(format!(
                    "{} records are there, {} were signed: the database was restored from before; nothing is signed",
                    size, signed.size
                )),
                core::cmp::Ordering::Equal if signed.root != root => {
                    Err("the records are others than were signed; nothing is signed".to_owned())
                }
                core::cmp::Ordering::Equal => Ok(()),
                core::cmp::Ordering::Greater => mark.advance(size, root).map_err(|error| error.to_string()),
            };
            (mark, advanced)
        });
        let (mark, advanced) = written.await.map_err(|error| error.to_string())?;
        self.mark = Some(mark);
        advanced?;
        let signed = StoredCheckpoint { size, root, note };
        self.store.insert_access_checkpoint(&signed).await.map_err(|error| error.to_string())?;
        self.signed = Some((size, root));
        Ok(())
    }

    /// The mark of an access log over which nothing was signed yet.
    async fn first_mark(&self, origin: &str) -> Result<Result<Mark, MarkError>, String> {
        let Some(Signing { mark: path, .. }) = &self.signing else { return Err("there is no key".to_owned()) };
        match self.store.access_checkpoint().await.map_err(|error| error.to_string())? {
            None => Ok(Mark::create(path, origin)),
            Some(_) => Ok(Err(MarkError::Missing { path: path.clone() })),
        }
    }
}
