//! The publisher: signs a checkpoint for what is committed, and only then is anything acknowledged.
//!
//! Before it signs it reads the committed bytes back, hashes them again and compares every tile and the root: public
//! logs have died of one flipped bit that was signed first. What it signed last it remembers outside PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::checkpoint::{Checkpoint, SIGNED_SIZE_MIN, open_checkpoint, sign_checkpoint};
use chopmark_core::ledger::edge::Edge;
use chopmark_core::ledger::note::NoteSigner;
use chopmark_core::ledger::tree::leaf_hash;
use chopmark_store::{Store, StoreError, StoredCheckpoint};
use tokio::sync::watch;

use crate::mark::{Mark, MarkError};

/// Entries read back at a time: at most 64 MiB of envelopes, usually well below one.
const READ_BACK_ENTRIES: u64 = 1_024;

/// Pause after a failure that may pass, such as a database that restarts.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// A published state of the log: everything readers are shown is of one such state.
#[derive(Debug, Clone)]
pub struct Published {
    /// Entries covered.
    pub size: u64,
    /// The signed checkpoint.
    pub note: String,
    /// Right edge of the tree at this size.
    pub edge: Edge,
}

/// What the publisher makes known: the latest published state, and why it signs nothing more, if so.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// `None` until the first checkpoint.
    pub published: Option<Arc<Published>>,
    /// Set once and for good: the service is read-only until somebody acts.
    pub halted: Option<Arc<str>>,
}

/// Why nothing could be signed.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    /// Signing would put the log's integrity at risk: stop for good.
    #[error("{0}")]
    Halt(String),
    /// May pass: try again.
    #[error(transparent)]
    Retry(StoreError),
}

impl From<StoreError> for PublishError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged { .. } => Self::Halt(error.to_string()),
            other => Self::Retry(other),
        }
    }
}

impl From<MarkError> for PublishError {
    fn from(error: MarkError) -> Self {
        Self::Halt(error.to_string())
    }
}

/// The one signer of a log.
pub struct Publisher {
    store: Store,
    signer: NoteSigner,
    mark: Option<Mark>,
    /// The tree as last signed.
    edge: Edge,
    status: watch::Sender<Status>,
}

impl Publisher {
    /// Compares the database with the mark and publishes what is committed. Comes up read-only, with the reason in
    /// [`Status::halted`], when signing would contradict what was signed before.
    ///
    /// # Errors
    /// When the database can't be read.
    pub async fn start(
        store: Store,
        signer: NoteSigner,
        mark: Mark,
    ) -> Result<(Self, watch::Receiver<Status>), StoreError> {
        let (status, receiver) = watch::channel(Status::default());
        let mut publisher = Self { store, signer, mark: Some(mark), edge: Edge::new(), status };
        match publisher.resume().await {
            Ok(()) => {}
            Err(PublishError::Retry(error)) => return Err(error),
            Err(PublishError::Halt(reason)) => {
                publisher.halt(&reason);
                publisher.publish_stored().await?;
            }
        }
        Ok((publisher, receiver))
    }

    /// Signs whenever more is committed, until the channel closes.
    pub async fn run(mut self, mut committed: watch::Receiver<u64>) {
        while committed.changed().await.is_ok() {
            loop {
                if self.status.borrow().halted.is_some() {
                    return;
                }
                match self.publish().await {
                    Ok(()) => break,
                    Err(PublishError::Halt(reason)) => self.halt(&reason),
                    Err(PublishError::Retry(error)) => {
                        tracing::warn!(error = %error, "a checkpoint has to wait");
                        tokio::time::sleep(RETRY_PAUSE).await;
                    }
                }
            }
        }
    }

    fn halt(&self, reason: &str) {
        tracing::error!(reason, "READ-ONLY: nothing more is signed");
        self.status.send_modify(|status| status.halted = Some(reason.into()));
    }

    fn mark(&mut self) -> Result<&mut Mark, PublishError> {
        self.mark.as_mut().ok_or_else(|| PublishError::Halt("the mark was lost in a failed write".to_owned()))
    }

    /// Rebuilds the tree at the mark and checks that the database still holds what was signed.
    async fn resume(&mut self) -> Result<(), PublishError> {
        let signed = self.mark()?.signed().clone();
        let (size, _) = self.store.log_state().await?;
        if size < signed.size {
            return Err(PublishError::Halt(format!(
                "the database holds {size} entries, but a checkpoint over {} was signed: it was restored from before that \
                 checkpoint. Restore a newer backup, or recover the missing {} entries from a replica; \
                 signing again would fork the log",
                signed.size,
                signed.size - size
            )));
        }
        self.edge = self.store.edge_at(signed.size).await?;
        if self.edge.root() != signed.root {
            return Err(PublishError::Halt(format!(
                "the first {} entries in the database have the root {}, but {} was signed: the log was rewritten. \
                 Run `chopmark audit` and restore the database from a backup",
                signed.size,
                self.edge.root(),
                signed.root
            )));
        }
        self.refuse_second_signer().await?;
        self.publish().await
    }

    /// A stored checkpoint beyond the mark was signed by somebody else with this key.
    async fn refuse_second_signer(&mut self) -> Result<(), PublishError> {
        let signed = self.mark()?.signed().size;
        match self.store.latest_checkpoint().await? {
            Some(latest) if latest.size > signed => Err(PublishError::Halt(format!(
                "the database holds a checkpoint over {} entries, but this signer has only signed {signed}: another \
                 signer uses the same log key, or the mark is old. Stop the other one, or restore the newest mark",
                latest.size
            ))),
            _ => Ok(()),
        }
    }

    /// Signs and publishes everything committed so far.
    async fn publish(&mut self) -> Result<(), PublishError> {
        let (size, root) = self.store.log_state().await?;
        if size < self.edge.size() {
            let reason = format!("the log shrank from {} to {size} entries while the service ran", self.edge.size());
            return Err(PublishError::Halt(reason));
        }
        let published = self.status.borrow().published.as_ref().map(|published| published.size);
        if size < SIGNED_SIZE_MIN || published == Some(size) {
            return Ok(());
        }
        self.refuse_second_signer().await?;
        let edge = self.read_back(size).await?;
        if edge.root() != root {
            let reason = format!(
                "the entries read back have the root {}, log.log_state says {root} at size {size}",
                edge.root()
            );
            return Err(PublishError::Halt(reason));
        }
        let checkpoint = Checkpoint::new(self.signer.verifier_key().name(), size, root)
            .and_then(|checkpoint| sign_checkpoint(&checkpoint, core::slice::from_ref(&self.signer)));
        let note = checkpoint.map_err(|error| PublishError::Halt(error.to_string()))?;
        // Nothing of this signature has left the process yet: the mark goes first.
        self.advance_mark(size, root).await?;
        let signed = StoredCheckpoint { size, root, note };
        self.store.insert_checkpoint(&signed).await?;
        self.edge = edge.clone();
        let published = Published { size, note: signed.note, edge };
        self.status.send_modify(|status| status.published = Some(Arc::new(published)));
        Ok(())
    }

    /// The disk is waited for off the runtime; a failed write leaves no mark to sign with.
    async fn advance_mark(&mut self, size: u64, root: Sha256Digest) -> Result<(), PublishError> {
        let Some(mut mark) = self.mark.take() else { return self.mark().map(|_| ()) };
        let advanced = tokio::task::spawn_blocking(move || mark.advance(size, root).map(|()| mark)).await;
        let mark = advanced.map_err(|error| PublishError::Halt(error.to_string()))??;
        self.mark = Some(mark);
        Ok(())
    }

    /// Hashes the committed bytes from the last signed size on, and compares every hash and tile that is stored.
    async fn read_back(&self, size: u64) -> Result<Edge, PublishError> {
        let mut edge = self.edge.clone();
        while edge.size() < size {
            let entries = self.store.entries(edge.size(), READ_BACK_ENTRIES.min(size - edge.size())).await?;
            if entries.is_empty() {
                return Err(PublishError::Halt(format!(
                    "entry {} is missing although {size} are committed",
                    edge.size()
                )));
            }
            for entry in entries {
                let leaf = leaf_hash(&entry.body);
                if leaf != entry.leaf_hash {
                    let (index, stored) = (entry.index, entry.leaf_hash);
                    let reason = format!("entry {index} hashes to {leaf}, but the stored leaf hash is {stored}");
                    return Err(PublishError::Halt(reason));
                }
                for tile in edge.append(leaf) {
                    if self.store.full_tile(tile.coordinate).await? != tile.hashes {
                        let (level, n) = (tile.coordinate.level(), tile.coordinate.n());
                        let reason = format!("the stored tile {n} of level {level} differs from the entries it covers");
                        return Err(PublishError::Halt(reason));
                    }
                }
            }
        }
        Ok(edge)
    }

    /// Read-only: shows the newest stored checkpoint that the entries still bear out.
    async fn publish_stored(&mut self) -> Result<(), StoreError> {
        let Some(latest) = self.store.latest_checkpoint().await? else { return Ok(()) };
        let key = self.signer.verifier_key().clone();
        let signed = open_checkpoint(&latest.note, &[key])
            .is_ok_and(|checkpoint| checkpoint.size() == latest.size && checkpoint.root() == latest.root);
        match self.store.edge_at(latest.size).await {
            Ok(edge) if signed && edge.root() == latest.root => {
                let published = Published { size: latest.size, note: latest.note, edge };
                self.status.send_modify(|status| status.published = Some(Arc::new(published)));
                Ok(())
            }
            Ok(_) | Err(StoreError::Damaged { .. }) => {
                tracing::error!(
                    size = latest.size,
                    "the stored checkpoint does not fit the stored entries; nothing is shown"
                );
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
