//! Public keys that signatures are checked with, in memory: those that sign much are prepared for it.
//!
//! Keys are never taken back from a party in place, so what is known is always right; whether a key may still sign is judged
//! by the sequencer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chopmark_core::admission::KeyRecord;
use chopmark_core::key::{KeyId, PreparedKey, PreparedKeys, PublicKey, VerifyingKey};

/// Public keys kept; beyond that, all are looked up again.
const KEPT_MAX: usize = 100_000;

/// A key to check a signature with.
pub struct KnownKey {
    key: PublicKey,
    prepared: Option<Arc<PreparedKey>>,
}

impl KnownKey {
    /// What checks.
    pub fn verifying(&self) -> VerifyingKey<'_> {
        self.prepared.as_deref().map_or(VerifyingKey::Plain(&self.key), VerifyingKey::Prepared)
    }
}

/// All that are kept.
#[derive(Default)]
pub struct KnownKeys(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    keys: HashMap<KeyId, PublicKey>,
    prepared: PreparedKeys,
}

impl KnownKeys {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key with this id, where it is kept, for one signature.
    pub fn use_once(&self, id: &KeyId) -> Option<KnownKey> {
        let Kept { keys, prepared } = &mut *self.kept();
        let key = *keys.get(id)?;
        Some(KnownKey { key, prepared: prepared.count(id, &key) })
    }

    /// Keeps what was looked up.
    pub fn keep(&self, record: &KeyRecord) -> KnownKey {
        let mut kept = self.kept();
        if kept.keys.len() >= KEPT_MAX {
            kept.keys.clear();
        }
        kept.keys.insert(record.id, record.public_key);
        KnownKey { key: record.public_key, prepared: None }
    }
}
