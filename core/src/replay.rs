//! Replaying a log: every entry judged again, in order, exactly as admission judged it when it was appended.
//!
//! The one place that decides whether a log's entries are what they should be; where they come from (rows, tiles) and
//! on how many threads they are read is the caller's. What it remembers grows with the log, a few hundred bytes an entry.

mod skim;

pub use skim::Skimmed;

use crate::admission::{Change, Entry, View};
use crate::digest::Sha256Digest;
use crate::key::{PreparedKeys, VerifyingKey};
use crate::kind::Claim;
use crate::ledger::tree::leaf_hash;
use crate::policy::{Descriptor, PolicyClaim};
use crate::statement::{Envelope, RegistryRef, Statement};

/// An entry read whole: well formed, and nothing more is known about it yet.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// Its leaf hash.
    pub leaf: Sha256Digest,
    /// The envelope, in stored form.
    pub envelope: Envelope,
    /// What its payload says.
    pub statement: Statement,
}

impl Decoded {
    /// Reads the bytes of an entry.
    ///
    /// # Errors
    /// A sentence saying what an entry of a log can't be.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let Some(envelope) = Envelope::from_stored(body) else {
            return Err(match Envelope::parse(body) {
                Ok(_) => "its envelope is not in the one form that is stored".to_owned(),
                Err(error) => format!("it is no envelope: {error}"),
            });
        };
        let statement = Statement::parse(envelope.payload()).map_err(|error| format!("it is no statement: {error}"))?;
        Ok(Self { leaf: leaf_hash(body), envelope, statement })
    }
}

/// The state of a registry, rebuilt from its entries.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    view: View,
    size: u64,
    prepared: PreparedKeys,
}

impl Replay {
    /// Before entry 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Continues after `size` entries with a state that the caller answers for.
    pub fn resume(view: View, size: u64) -> Self {
        Self { view, size, prepared: PreparedKeys::default() }
    }

    /// Entries replayed: the index of the next one.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The state that the next entry meets.
    pub fn view_mut(&mut self) -> &mut View {
        &mut self.view
    }

    /// Judges the next entry, but for its signatures, and takes it in: registry, nonce, signers' keys at this very index,
    /// thresholds, and what its kind demands. The changes are those it made to the read tables.
    ///
    /// # Errors
    /// Why admission would have refused it.
    pub fn admit(&mut self, entry: &Decoded) -> Result<Vec<Change>, String> {
        if self.size == 0 && descriptor(&entry.statement).is_none() {
            return Err("entry 0 does not found a registry".to_owned());
        }
        let changes = self.view.replay(self.size, &entry.statement, &entry.envelope);
        let changes = changes.map_err(|rejection| rejection.to_string())?;
        self.advance(entry);
        Ok(changes)
    }

    /// Takes the next entry in without judging it: for those that were found good before.
    pub fn absorb(&mut self, entry: &Decoded) -> Vec<Change> {
        let statement = &entry.statement;
        let changes = Entry { index: self.size, statement }.apply();
        for change in &changes {
            self.view.absorb(change);
        }
        self.view.load_nonce(statement.issuer(), statement.header.nonce.clone());
        self.view.load_statement(statement.id, statement.issuer());
        self.advance(entry);
        changes
    }

    fn advance(&mut self, entry: &Decoded) {
        if self.size == 0
            && let Some(descriptor) = descriptor(&entry.statement)
        {
            let registry = RegistryRef { origin: descriptor.origin.clone(), genesis: entry.leaf };
            self.view.found(registry, entry.statement.id);
        }
        self.size += 1;
    }

    /// Gets ready to verify these entries, which were admitted before: keys that have signed many are prepared. Makes
    /// [`Replay::verify`] faster and changes nothing else.
    pub fn prepare<'e>(&mut self, entries: impl Iterator<Item = &'e Decoded>) {
        for signature in entries.flat_map(|entry| entry.envelope.signatures()) {
            if let Some(record) = self.view.key(&signature.key_id) {
                self.prepared.count(&record.id, &record.public_key);
            }
        }
    }

    /// Checks the signatures of an entry that was admitted before: which of its keys could sign was decided then, and
    /// keys are never forgotten, so any number of entries may be checked at once and late.
    ///
    /// # Errors
    /// Which signature does not hold, or what is missing.
    pub fn verify(&self, entry: &Decoded) -> Result<(), String> {
        let own = entry.statement.claim.kind().own_keys();
        let find = |id: &_| {
            let introduced = || own.iter().find(|key| key.id() == *id);
            let known = || self.view.key(id).map(|record| &record.public_key);
            self.prepared.get(id).or_else(|| introduced().or_else(known).map(VerifyingKey::from))
        };
        entry.envelope.verify(&entry.statement.header, find).map_err(|rejection| rejection.to_string())
    }
}

/// The founding facts, when the statement founds a registry.
fn descriptor(statement: &Statement) -> Option<&Descriptor> {
    match &statement.claim {
        Claim::Policy(PolicyClaim::Descriptor(descriptor)) => Some(descriptor),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::ledger::note::NoteSigner;
    use crate::policy::Founding;
    use crate::text::Names;

    fn founding() -> Vec<Vec<u8>> {
        let log = NoteSigner::new("a.example/log", SigningKey::from_bytes(&[1; 32])).unwrap();
        let founding = Founding {
            log_key: log.verifier_key(),
            operator: &SigningKey::from_bytes(&[2; 32]),
            operator_name: Names { en: Some("Operator".to_owned()), ..Names::default() },
            now: "2026-06-01T12:00:00.000Z".parse().unwrap(),
            nonces: [[1; 16], [2; 16]],
        };
        founding.statements().unwrap().into_iter().map(|submission| submission.entry).collect()
    }

    #[test]
    fn an_honest_log_is_replayed_and_its_signatures_hold() {
        let mut replay = Replay::new();
        let entries: Vec<Decoded> = founding().iter().map(|body| Decoded::parse(body).unwrap()).collect();
        for entry in &entries {
            replay.admit(entry).unwrap();
        }
        assert_eq!(replay.size(), 2);
        assert!(entries.iter().all(|entry| replay.verify(entry).is_ok()));
        // The same state without judging.
        let mut absorbed = Replay::new();
        for entry in &entries {
            absorbed.absorb(entry);
        }
        assert!(entries.iter().all(|entry| absorbed.verify(entry).is_ok()));
        // Only registrations of artefacts are skimmed.
        assert!(founding().iter().all(|body| Skimmed::read(body).is_none()));
    }

    #[test]
    fn what_was_never_admitted_is_refused() {
        let entries: Vec<Decoded> = founding().iter().map(|body| Decoded::parse(body).unwrap()).collect();
        let [first, second] = entries.as_slice() else { panic!("two founding entries") };
        assert!(Replay::new().admit(second).unwrap_err().contains("does not found"));
        let mut replay = Replay::new();
        replay.admit(first).unwrap();
        assert!(replay.admit(first).is_err(), "the same entry again");
        replay.admit(second).unwrap();
        assert!(replay.admit(second).unwrap_err().contains("nonce"));
    }

    #[test]
    fn a_changed_signature_is_named() {
        let bodies = founding();
        let text = String::from_utf8(bodies[1].clone()).unwrap();
        let at = text.find("\"sig\":\"").unwrap() + 7;
        let changed = format!("{}{}{}", &text[..at], if &text[at..=at] == "A" { "B" } else { "A" }, &text[at + 1..]);
        let (first, second) = (Decoded::parse(&bodies[0]).unwrap(), Decoded::parse(changed.as_bytes()).unwrap());
        let mut replay = Replay::new();
        replay.admit(&first).unwrap();
        replay.admit(&second).unwrap();
        let honest = Decoded::parse(&bodies[1]).unwrap();
        for _ in 0..2 {
            assert!(replay.verify(&second).unwrap_err().contains("not a valid signature"));
            assert_eq!(replay.verify(&honest), Ok(()));
            // And the same once its key is one that has signed very many.
            replay.prepare(core::iter::repeat_n(&honest, 1_000));
        }
        let [signature] = honest.envelope.signatures() else { panic!("one signature") };
        assert!(replay.prepared.get(&signature.key_id).is_some());
    }

    #[test]
    fn another_spelling_of_an_envelope_is_no_entry() {
        let mut body = founding().remove(0);
        body.push(b'\n');
        assert!(Decoded::parse(&body).unwrap_err().contains("one form"));
        assert!(Decoded::parse(b"{}").unwrap_err().contains("no envelope"));
    }
}
