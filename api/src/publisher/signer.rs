//! The signer: signs a checkpoint for what is committed, and only then is anything acknowledged.
//!
//! Before it signs it reads the committed bytes back, hashes them again and compares every tile and the root: public
//! logs have died of one flipped bit that was signed first. What it signed last it remembers outside PostgreSQL.
//!
//! A checkpoint is acknowledged once the mark holds it, and stored while the next one is made: at most one is ever signed
//! and not stored, and that one is the mark's, from which a restart signs it again, byte for byte.

use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::checkpoint::{Checkpoint, SIGNED_SIZE_MIN, sign_checkpoint};
use chopmark_core::ledger::edge::Edge;
use chopmark_core::ledger::note::NoteSigner;
use chopmark_core::ledger::tree::leaf_hash;
use chopmark_store::{Head, Store, StoredCheckpoint};
use tokio::task::spawn_blocking;

use super::{PublishError, Published};
use crate::mark::Mark;

/// Entries read back at a time: at most 64 MiB of envelopes, usually well below one.
const READ_BACK_ENTRIES: u64 = 1_024;

/// The one signer of a log.
pub(super) struct Signer {
    store: Store,
    key: NoteSigner,
    /// `None` only while it is being written.
    mark: Option<Mark>,
    /// The tree as last signed; `None` until database and mark were compared.
    edge: Option<Edge>,
    /// Signed and perhaps acknowledged, but not stored yet.
    unstored: Option<StoredCheckpoint>,
}

impl Signer {
    pub(super) fn new(store: Store, key: NoteSigner, mark: Mark) -> Self {
        Self { store, key, mark: Some(mark), edge: None, unstored: None }
    }

    fn mark(&self) -> Result<&Mark, PublishError> {
        self.mark.as_ref().ok_or_else(|| PublishError::Halt("the mark was lost in a failed write".to_owned()))
    }

    /// Signs everything committed so far, unless that is what is known already; then what is signed is stored, too.
    ///
    /// # Errors
    /// [`PublishError::Halt`] when a signature would contradict what was signed, or what is stored does not hold together.
    pub(super) async fn publish(&mut self, known: Option<u64>) -> Result<Option<Published>, PublishError> {
        let edge = match self.edge.take() {
            Some(edge) => edge,
            None => self.resume().await?,
        };
        self.edge = Some(edge.clone());
        let published = self.sign(edge, known).await?;
        if let Some(published) = &published {
            self.edge = Some(published.edge.clone());
        }
        Ok(published)
    }

    /// Rebuilds the tree at the mark and checks that the database still holds what was signed. Signs the mark's own
    /// checkpoint again where it was not stored.
    async fn resume(&mut self) -> Result<Edge, PublishError> {
        let signed = self.mark()?.signed().clone();
        let Head { size, newest, .. } = self.store.head().await?;
        if size < signed.size {
            return Err(PublishError::Halt(format!(
                "the database holds {size} entries, but a checkpoint over {} was signed: it was restored from before that \
                 checkpoint. Restore a newer backup, or recover the missing {} entries from a replica; \
                 signing again would fork the log",
                signed.size,
                signed.size - size
            )));
        }
        let edge = self.store.edge_at(signed.size).await?;
        if edge.root() != signed.root {
            return Err(PublishError::Halt(format!(
                "the first {} entries in the database have the root {}, but {} was signed: the log was rewritten. \
                 Run `chopmark audit` and restore the database from a backup",
                signed.size,
                edge.root(),
                signed.root
            )));
        }
        self.refuse_second_signer(newest)?;
        if newest < signed.size && signed.size >= SIGNED_SIZE_MIN {
            self.unstored = Some(self.checkpoint(signed.size, signed.root)?);
        }
        Ok(edge)
    }

    /// A stored checkpoint beyond the mark was signed by somebody else with this key.
    fn refuse_second_signer(&self, newest: u64) -> Result<(), PublishError> {
        let signed = self.mark()?.signed().size;
        if newest <= signed {
            return Ok(());
        }
        Err(PublishError::Halt(format!(
            "the database holds a checkpoint over {newest} entries, but this signer has only signed {signed}: another \
             signer uses the same log key, or the mark is old. Stop the other one, or restore the newest mark"
        )))
    }

    fn checkpoint(&self, size: u64, root: Sha256Digest) -> Result<StoredCheckpoint, PublishError> {
        let note = Checkpoint::new(self.key.verifier_key().name(), size, root)
            .and_then(|checkpoint| sign_checkpoint(&checkpoint, core::slice::from_ref(&self.key)))
            .map_err(|error| PublishError::Halt(error.to_string()))?;
        Ok(StoredCheckpoint { size, root, note })
    }

    async fn sign(&mut self, edge: Edge, known: Option<u64>) -> Result<Option<Published>, PublishError> {
        let Head { size, root, newest } = self.store.head().await?;
        if size < edge.size() {
            let reason = format!("the log shrank from {} to {size} entries while the service ran", edge.size());
            return Err(PublishError::Halt(reason));
        }
        self.refuse_second_signer(newest)?;
        let (store, earlier) = (self.store.clone(), self.unstored.clone());
        let stored = async {
            match &earlier {
                Some(checkpoint) => store.insert_checkpoint(checkpoint).await,
                None => Ok(()),
            }
        };
        if size < SIGNED_SIZE_MIN || known == Some(size) {
            stored.await?;
            self.unstored = None;
            return Ok(None);
        }
        let (stored, edge) = tokio::join!(stored, self.read_back(edge, size));
        // The mark moves on only from what is stored, so that no acknowledged checkpoint is ever without either.
        stored?;
        self.unstored = None;
        let edge = edge?;
        if edge.root() != root {
            let reason = format!(
                "the entries read back have the root {}, log.log_state says {root} at size {size}",
                edge.root()
            );
            return Err(PublishError::Halt(reason));
        }
        let checkpoint = self.checkpoint(size, root)?;
        // Nothing of this signature has left the process yet: the mark goes first.
        self.advance_mark(size, root).await?;
        let note = checkpoint.note.clone();
        self.unstored = Some(checkpoint);
        Ok(Some(Published::new(size, note, edge)))
    }

    /// The disk is waited for off the runtime. The mark comes back with its lock, whatever became of the write.
    async fn advance_mark(&mut self, size: u64, root: Sha256Digest) -> Result<(), PublishError> {
        let Some(mut mark) = self.mark.take() else { return self.mark().map(|_| ()) };
        let written = spawn_blocking(move || {
            let advanced = mark.advance(size, root);
            (mark, advanced)
        });
        let (mark, advanced) = written.await.map_err(|error| PublishError::Halt(error.to_string()))?;
        self.mark = Some(mark);
        Ok(advanced?)
    }

    /// Hashes the committed bytes from the last signed size on, and compares every hash and tile that is stored.
    async fn read_back(&self, mut edge: Edge, size: u64) -> Result<Edge, PublishError> {
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
}
