//! Public keys that signatures are checked with, in memory: those that sign much are prepared for it.
//!
//! Keys are never taken back from a party in place, so what is known is always right; whether a key may still sign is judged
//! by the sequencer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chopmark_core::admission::KeyRecord;
use chopmark_core::key::{KeyId, PreparedKeys, PublicKey, VerifyingKey};

/// Public keys kept; beyond that, all are looked up again.
const KEPT_MAX: usize = 100_000;

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
    pub fn use_once(&self, id: &KeyId) -> Option<VerifyingKey> {
        let Kept { keys, prepared } = &mut *self.kept();
        keys.get(id).map(|key| prepared.count(id, key))
    }

    /// Keeps what was looked up.
    pub fn keep(&self, record: &KeyRecord) -> VerifyingKey {
        let mut kept = self.kept();
        if kept.keys.len() >= KEPT_MAX {
            kept.keys.clear();
        }
        kept.keys.insert(record.id, record.public_key);
        VerifyingKey::from(&record.public_key)
    }
}
