//! Kind `key`: a party adds, rotates or revokes a key, effective from this entry on.
//!
//! Events of one party form a chain (`seq`, `prev`), so a bundle that holds the chain up to a statement shows every key
//! that could have signed it. A new key signs the event that introduces it, which proves that somebody has it.

use serde::{Deserialize, Serialize};

use crate::admission::{Change, Code, Entry, KeyEventRecord, KeyRecord, PartyRecord, Reads, Rejection, View};
use crate::key::{KeyId, PublicKey};
use crate::kind::Kind;
use crate::statement::{Statement, StatementId};
use crate::strict::StrictError;

/// What a key may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyRole {
    /// Everything, together with as many other root keys as the party's threshold asks for; key events among it.
    Root,
    /// Everything but key events, alone: for the machine that registers artefacts every day.
    Signing,
}

impl KeyRole {
    /// The word statements use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Signing => "signing",
        }
    }
}

/// Why a key is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationReason {
    /// Somebody else has it, or may have it.
    Compromised,
    /// Nobody has it any more.
    Lost,
    /// It is no longer needed.
    Retired,
}

/// What happens to a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum KeyEvent {
    /// A new key may sign.
    Add {
        /// The new key.
        public_key: PublicKey,
        /// What it may sign.
        role: KeyRole,
    },
    /// A new key takes the place and role of another, which may no longer sign.
    Rotate {
        /// The key that goes.
        replaced: KeyId,
        /// The key that comes.
        public_key: PublicKey,
        /// The role of both.
        role: KeyRole,
    },
    /// A key may no longer sign.
    Revoke {
        /// The key that goes.
        key: KeyId,
        /// Why.
        reason: RevocationReason,
    },
}

/// What a `key` statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyClaim {
    /// Position in the party's chain of key events; the party's creation is 0.
    pub seq: u64,
    /// The event before this one: the statement that created the party, or its latest key event.
    pub prev: StatementId,
    /// What happens.
    pub event: KeyEvent,
}

impl KeyClaim {
    /// Predicate type of this kind.
    pub const PREDICATE_TYPE: &'static str = "urn:chopmark:predicate:key:v1";

    /// The key that comes, if one does.
    fn introduced(&self) -> Option<&PublicKey> {
        match &self.event {
            KeyEvent::Add { public_key, .. } | KeyEvent::Rotate { public_key, .. } => Some(public_key),
            KeyEvent::Revoke { .. } => None,
        }
    }

    /// The key that goes, if one does.
    fn ended(&self) -> Option<KeyId> {
        match &self.event {
            KeyEvent::Add { .. } => None,
            KeyEvent::Rotate { replaced: key, .. } | KeyEvent::Revoke { key, .. } => Some(*key),
        }
    }

    /// Whether whoever holds the key that goes is the one who says so: that needs nobody's consent.
    fn gives_itself_up(&self, statement: &Statement) -> bool {
        match (&self.event, statement.header.signers.as_slice()) {
            (KeyEvent::Revoke { key, .. }, [group]) => group.keys == [*key],
            _ => false,
        }
    }

    /// Whose signatures the event needs: every listed key signs; enough root keys are listed, or the key that goes
    /// gives itself up; the key that comes is among them.
    fn check_signers(&self, statement: &Statement, party: &PartyRecord, view: &View) -> Result<(), Rejection> {
        let refuse = |member: &str, reason: String| {
            let place = StrictError::new(format!("/predicate/signers/0{member}"), reason);
            Rejection::in_payload(Code::ThresholdNotMet, place)
        };
        let [group] = statement.header.signers.as_slice() else {
            return Err(refuse("", "a key event is signed by its own party alone".to_owned()));
        };
        if usize::try_from(group.threshold) != Ok(group.keys.len()) {
            return Err(refuse("/threshold", "every key listed for a key event must sign it".to_owned()));
        }
        if let Some(key) = self.introduced()
            && !group.keys.contains(&key.id())
        {
            return Err(refuse(
                "/keys",
                format!("the new key {} must sign too, to show that somebody has it", key.id()),
            ));
        }
        let roots = group.keys.iter().filter_map(|id| view.key(id)).filter(|key| key.role == KeyRole::Root).count();
        let needed = usize::try_from(party.threshold).unwrap_or(usize::MAX);
        if roots < needed && !self.gives_itself_up(statement) {
            return Err(refuse("/keys", format!("{needed} root keys must sign a key event, {roots} are listed")));
        }
        Ok(())
    }

    /// A key is replaced by one of the same role.
    fn check_role(&self, ended: &KeyRecord) -> Result<(), Rejection> {
        match &self.event {
            KeyEvent::Rotate { role, .. } if *role != ended.role => {
                let reason = "the key that goes has another role; add and revoke instead".to_owned();
                let place = StrictError::new("/predicate/claim/event/rotate/role", reason);
                Err(Rejection::in_payload(Code::NotAuthorised, place))
            }
            _ => Ok(()),
        }
    }

    /// Whether the party can still speak afterwards.
    fn check_remaining(&self, party: &PartyRecord, ended: &KeyRecord) -> Result<(), Rejection> {
        let is_replaced = self.introduced().is_some();
        if ended.role == KeyRole::Root && !is_replaced && party.root_keys <= party.threshold {
            let reason = format!(
                "the party needs {} root keys and has {}: without this one it could never sign again; rotate it instead",
                party.threshold, party.root_keys
            );
            return Err(Rejection::in_payload(
                Code::WouldLockOut,
                StrictError::new("/predicate/claim/event/revoke/key", reason),
            ));
        }
        Ok(())
    }
}

impl Kind for KeyClaim {
    fn validate(&self) -> Result<(), StrictError> {
        if self.seq == 0 {
            return Err(StrictError::new("/seq", "0 is the party's creation; key events count from 1"));
        }
        match (self.introduced(), self.ended()) {
            (Some(new), Some(old)) if new.id() == old => {
                Err(StrictError::new("/event/rotate/public_key", "a key can't take its own place"))
            }
            _ => Ok(()),
        }
    }

    fn own_keys(&self) -> &[PublicKey] {
        self.introduced().map(core::slice::from_ref).unwrap_or_default()
    }

    fn root_signatures_needed(&self, statement: &Statement, issuer: &PartyRecord) -> u32 {
        if self.gives_itself_up(statement) { 1 } else { issuer.threshold }
    }

    fn reads(&self, _: &Statement, reads: &mut Reads) {
        reads.keys.extend(self.introduced().map(PublicKey::id));
        reads.keys.extend(self.ended());
    }

    fn admit(&self, statement: &Statement, view: &View) -> Result<(), Rejection> {
        let refuse = |code, member: &str, reason: String| {
            Rejection::in_payload(code, StrictError::new(format!("/predicate/claim{member}"), reason))
        };
        let Some(party) = view.party(&statement.issuer()) else {
            let reason = "only a registered party has keys".to_owned();
            return Err(refuse(Code::UnknownIssuer, "", reason));
        };
        if self.prev != party.key_head || self.seq != party.key_seq + 1 {
            let reason = format!("the party's latest key event is {} with seq {}", party.key_head, party.key_seq);
            return Err(refuse(Code::StaleKeyHead, "/prev", reason));
        }
        if let Some(new) = self.introduced()
            && view.key(&new.id()).is_some()
        {
            let reason = format!("key {} belongs to a party, or did; make a new one with `chopmark key new`", new.id());
            return Err(refuse(Code::KeyInUse, "/event", reason));
        }
        self.check_signers(statement, party, view)?;
        let Some(ended) = self.ended() else { return Ok(()) };
        match view.key(&ended) {
            Some(key) if key.party == party.id && key.valid_until.is_none() => {
                self.check_role(key)?;
                self.check_remaining(party, key)
            }
            _ => Err(refuse(Code::NotAuthorised, "/event", format!("key {ended} is not a valid key of this party"))),
        }
    }

    fn apply(&self, entry: &Entry<'_>) -> Vec<Change> {
        let party = entry.statement.issuer();
        let mut changes = Vec::new();
        if let Some(key) = self.ended() {
            changes.push(Change::KeyEnded { key, index: entry.index });
        }
        if let KeyEvent::Add { public_key, role } | KeyEvent::Rotate { public_key, role, .. } = &self.event {
            changes.push(Change::Key(KeyRecord::new(*public_key, party, *role, entry.index)));
        }
        changes.push(Change::KeyEvent(KeyEventRecord {
            party,
            seq: self.seq,
            event: entry.statement.id,
            index: entry.index,
        }));
        changes
    }
}

#[cfg(test)]
mod tests;
