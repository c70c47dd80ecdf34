//! Kind `party`: an organisation exists, under these names, with these root keys.
//!
//! A party's id is the id of the statement that created it. Every root key signs that statement, so nobody can register
//! a party with a key that is not theirs. Organisations only: no natural person's data enters the tree.

mod identifier;
mod key_event;

pub use identifier::{Identifier, Scheme};
pub use key_event::{KeyClaim, KeyEvent, KeyRole, RevocationReason};

use serde::{Deserialize, Serialize};

use crate::admission::{Change, Code, Entry, KeyRecord, PartyRecord, Reads, Rejection, View};
use crate::code::Jurisdiction;
use crate::key::PublicKey;
use crate::kind::Kind;
use crate::statement::Statement;
use crate::strict::StrictError;
use crate::text::{Names, skeleton, validate_name};

/// Most root keys of one party.
pub const ROOT_KEYS_MAX: usize = 16;

/// Public keys and how many of them must sign together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySet {
    /// Ed25519 public keys, ascending by key id.
    pub keys: Vec<PublicKey>,
    /// Signatures needed, between 1 and the number of keys.
    pub threshold: u32,
}

impl KeySet {
    /// A set in canonical order.
    pub fn new(mut keys: Vec<PublicKey>, threshold: u32) -> Self {
        keys.sort_by_key(PublicKey::id);
        Self { keys, threshold }
    }

    /// Checks size, order and threshold.
    ///
    /// # Errors
    /// A [`StrictError`] with a pointer relative to this object.
    pub fn validate(&self) -> Result<(), StrictError> {
        if self.keys.is_empty() || self.keys.len() > ROOT_KEYS_MAX {
            return Err(StrictError::new("/keys", format!("1 to {ROOT_KEYS_MAX} keys are needed")));
        }
        if !self.keys.is_sorted_by(|a, b| a.id() < b.id()) {
            return Err(StrictError::new("/keys", "keys stand in ascending order of their ids, none twice"));
        }
        let possible = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        if self.threshold == 0 || self.threshold > possible {
            return Err(StrictError::new("/threshold", format!("must be between 1 and {possible}")));
        }
        Ok(())
    }

    /// Checks that the statement's own group of signers is every one of these keys: proof of possession.
    fn proves_possession(&self, statement: &Statement) -> bool {
        let ids: Vec<_> = self.keys.iter().map(PublicKey::id).collect();
        matches!(statement.header.signers.as_slice(),
            [group] if group.keys == ids && usize::try_from(group.threshold) == Ok(ids.len()))
    }

    /// What founding or creating a party with these keys needs to look up.
    pub(crate) fn reads(&self, reads: &mut Reads) {
        reads.keys.extend(self.keys.iter().map(PublicKey::id));
    }

    /// Admission of a statement that creates a party with these keys, which stand at `pointer`.
    pub(crate) fn admit(&self, statement: &Statement, view: &View, pointer: &str) -> Result<(), Rejection> {
        if !self.proves_possession(statement) {
            let reason = "every root key must be listed and must sign, in one group of self";
            return Err(Rejection::in_payload(Code::ThresholdNotMet, StrictError::new("/predicate/signers/0", reason)));
        }
        for (position, key) in self.keys.iter().enumerate() {
            if view.key(&key.id()).is_some() {
                let reason =
                    format!("key {} already belongs to a party; make a new one with `chopmark key new`", key.id());
                let place = StrictError::new(format!("{pointer}/keys/{position}"), reason);
                return Err(Rejection::in_payload(Code::KeyInUse, place));
            }
        }
        Ok(())
    }

    /// The changes that creating a party with these keys makes.
    pub(crate) fn apply(&self, entry: &Entry<'_>, party: PartyRecord) -> Vec<Change> {
        let id = party.id;
        let keys = self.keys.iter().map(|key| Change::Key(KeyRecord::new(*key, id, KeyRole::Root, entry.index)));
        core::iter::once(Change::Party(party)).chain(keys).collect()
    }
}

/// What a `party` statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartyClaim {
    /// The organisation's names.
    pub name: Names,
    /// Numbers it is known by in public registers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identifiers: Vec<Identifier>,
    /// Where it is established.
    pub jurisdiction: Jurisdiction,
    /// The keys that speak for it, and how many must agree.
    pub root_keys: KeySet,
}

impl PartyClaim {
    /// Predicate type of this kind.
    pub const PREDICATE_TYPE: &'static str = "urn:chopmark:predicate:party:v1";
}

impl Kind for PartyClaim {
    fn validate(&self) -> Result<(), StrictError> {
        self.name.validate(validate_name).map_err(|error| error.under("/name"))?;
        for (position, identifier) in self.identifiers.iter().enumerate() {
            let place = format!("/identifiers/{position}");
            let earlier = self.identifiers.get(..position).unwrap_or_default();
            if earlier.iter().any(|other| other.scheme == identifier.scheme) {
                return Err(StrictError::new(place + "/scheme", "this scheme already stands above"));
            }
            identifier.validate().map_err(|reason| StrictError::new(place + "/value", reason))?;
        }
        self.root_keys.validate().map_err(|error| error.under("/root_keys"))
    }

    fn own_keys(&self) -> &[PublicKey] {
        &self.root_keys.keys
    }

    fn reads(&self, _: &Statement, reads: &mut Reads) {
        self.root_keys.reads(reads);
        reads.skeletons.extend(self.name.iter().map(|(_, name)| skeleton(name)));
    }

    fn admit(&self, statement: &Statement, view: &View) -> Result<(), Rejection> {
        if let Some(verified) = view.look_alike(&self.name, None) {
            let reason = format!(
                "the name can't be told from that of {verified}, whose identity the operator verified; choose another"
            );
            let place = StrictError::new("/predicate/claim/name", reason);
            return Err(Rejection::in_payload(Code::NameConfusable, place).with_existing(verified));
        }
        self.root_keys.admit(statement, view, "/predicate/claim/root_keys")
    }

    fn apply(&self, entry: &Entry<'_>) -> Vec<Change> {
        let party = PartyRecord {
            id: entry.statement.id,
            index: entry.index,
            name: self.name.clone(),
            identifiers: self.identifiers.clone(),
            jurisdiction: Some(self.jurisdiction.clone()),
            threshold: self.root_keys.threshold,
            key_head: entry.statement.id,
            key_seq: 0,
            root_keys: 0,
            verified_from: None,
        };
        self.root_keys.apply(entry, party)
    }
}
