//! MACs over rows that say who may read: whoever can write to the database, and has no master key, makes nobody a reader.
//!
//! What a MAC can't show is that a row is the newest of its kind: one that was changed may be put back as it was before.

use diesel::prelude::*;
use diesel::sql_types::{Binary, Nullable, Text};
use zeroize::Zeroizing;

use super::Vault;
use super::keys::{MasterKey, MasterKeys};
use crate::error::StoreError;

/// What the key of all MACs is derived from a master key with, so that it is no other key (BLAKE3, section 2.3).
const CONTEXT: &str = "chopmark 2026-11-28 MACs over rows of the vault and over challenges";

/// A MAC, and the master key that it is under.
pub(super) struct Mac {
    pub(super) key_id: String,
    pub(super) bytes: [u8; 32],
}

/// What a row says of its MAC.
#[derive(QueryableByName)]
pub(super) struct MacRow {
    #[diesel(sql_type = Nullable<Text>)]
    mac_key: Option<String>,
    #[diesel(sql_type = Nullable<Binary>)]
    mac: Option<Vec<u8>>,
}

/// Rows whose MAC was put under another master key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Renewed {
    /// All of them.
    pub(super) rows: u64,
    /// Those that had no right one, and have none now.
    pub(super) refused: u64,
}

impl Renewed {
    /// One row more.
    pub(super) fn count(&mut self, was_right: bool) {
        self.rows += 1;
        self.refused += u64::from(!was_right);
    }

    /// These, too.
    pub(super) fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.refused += other.refused;
    }
}

/// What a MAC is over: each part behind its length, so that no two rows are the same bytes.
pub(super) fn written(purpose: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in [purpose.as_bytes()].iter().chain(parts) {
        bytes.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

fn compute(master: &MasterKey, written: &[u8]) -> blake3::Hash {
    let key = Zeroizing::new(blake3::derive_key(CONTEXT, &*master.key));
    blake3::keyed_hash(&key, written)
}

/// The MAC under the master key in use.
pub(super) fn of(keys: &MasterKeys, written: &[u8]) -> Result<Mac, StoreError> {
    let master = keys.current().ok_or_else(|| StoreError::Vault("there is no master key".to_owned()))?;
    Ok(Mac { key_id: master.id.clone(), bytes: *compute(master, written).as_bytes() })
}

/// Half a MAC, for what has to be short.
pub(super) type Half = [u8; 16];

/// Half the MAC under the master key in use.
pub(super) fn half(keys: &MasterKeys, written: &[u8]) -> Result<Half, StoreError> {
    let Mac { bytes, .. } = of(keys, written)?;
    bytes.first_chunk().copied().ok_or_else(|| StoreError::Vault("a MAC is too short".to_owned()))
}

/// Whether this is half the MAC under any of the keys, retired or not: it is asked about challenges, which let nobody in by
/// themselves, and which wait while a rotation goes on.
pub(super) fn is_half(keys: &MasterKeys, written: &[u8], shown: &Half) -> bool {
    keys.all().any(|master| {
        let mac = compute(master, written);
        // As digests, which are compared in constant time.
        mac.as_bytes().first_chunk::<16>().is_some_and(|half| blake3::hash(half) == blake3::hash(shown))
    })
}

impl MacRow {
    /// Whether this is the MAC of what a row says, by one of the vault's keys.
    pub(super) fn is_of(&self, vault: &Vault, written: &[u8]) -> Result<bool, StoreError> {
        match &self.mac_key {
            Some(id) => Ok(self.is_under(&vault.keys_with(id)?, written)),
            None => Ok(false),
        }
    }

    /// The MAC under the master key in use, where this is the right one under another; `None` where it is not.
    ///
    /// # Errors
    /// [`StoreError::Vault`] when the other key is not at hand.
    pub(super) fn renewed(&self, keys: &MasterKeys, written: &[u8]) -> Result<Option<Mac>, StoreError> {
        let id = self.mac_key.as_deref().unwrap_or_default();
        if keys.find(id).is_none() {
            let reason = format!("the master key {id} is not at hand; it has to be in the key file");
            return Err(StoreError::Vault(reason));
        }
        if self.is_under(keys, written) { of(keys, written).map(Some) } else { Ok(None) }
    }

    /// Whether this is the MAC of what a row says, by the one of these keys that it names. A rotation has put every row under the
    /// newer key before it retires the older one, so a row that is under that was made by somebody else, or put back.
    pub(super) fn is_under(&self, keys: &MasterKeys, written: &[u8]) -> bool {
        let (Some(id), Some(mac)) = (&self.mac_key, &self.mac) else { return false };
        let master = keys.find(id).filter(|master| !master.is_retired);
        let (Some(master), Ok(mac)) = (master, <[u8; 32]>::try_from(mac.as_slice())) else { return false };
        // Compared in constant time.
        compute(master, written) == blake3::Hash::from_bytes(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_is_of_one_row_under_one_key() {
        let line = |number: u8| MasterKeys::line([number; 10], &[number; 32]);
        let (old, new) = (MasterKeys::parse(&line(1)).unwrap(), MasterKeys::parse(&line(2)).unwrap());
        let both = MasterKeys::parse(&format!("{}{}", *line(2), *line(1))).unwrap();
        let row = written("row", &[b"a", b"bc"]);
        let Mac { key_id, bytes } = of(&old, &row).unwrap();
        let stored = MacRow { mac_key: Some(key_id.clone()), mac: Some(bytes.to_vec()) };
        assert!(stored.is_under(&old, &row) && stored.is_under(&both, &row) && !stored.is_under(&new, &row));
        let retired = MasterKeys::parse(&format!("{}{} retired", *line(2), line(1).trim())).unwrap();
        assert!(!stored.is_under(&retired, &row), "a key that a rotation is done with");
        assert!(stored.renewed(&retired, &row).unwrap().is_none() && stored.renewed(&both, &row).unwrap().is_some());
        for other in [written("row", &[b"ab", b"c"]), written("rows", &[b"a", b"bc"]), written("row", &[b"abc"])] {
            assert!(!stored.is_under(&old, &other));
        }
        let half = half(&old, &row).unwrap();
        assert!(is_half(&both, &row, &half) && !is_half(&new, &row, &half) && !is_half(&old, b"", &half));
        for (mac_key, mac) in [
            (None, Some(bytes.to_vec())),
            (Some(key_id.clone()), None),
            (Some(key_id), Some(bytes[1..].to_vec())),
            (Some(new.current_id().to_owned()), Some(bytes.to_vec())),
        ] {
            assert!(!MacRow { mac_key, mac }.is_under(&both, &row));
        }
    }
}
