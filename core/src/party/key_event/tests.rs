//! Key events judged over a view, as the registry and every verifier judge them.

use ed25519_dalek::SigningKey;

use super::*;
use crate::code::Jurisdiction;
use crate::kind::Claim;
use crate::ledger::note::NoteSigner;
use crate::party::{KeySet, PartyClaim};
use crate::policy::{Founding, PolicyClaim, TrustAnchors};
use crate::statement::{Envelope, Header, Issuer, Nonce, RegistryRef, SignerGroup};
use crate::submission::Submission;
use crate::text::Names;
use crate::time::Timestamp;

/// A registry with one party that has two root keys, both of which must sign.
struct World {
    view: View,
    registry: RegistryRef,
    party: StatementId,
    roots: [SigningKey; 2],
    nonce: u8,
}

fn secret(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32])
}

fn id(key: &SigningKey) -> KeyId {
    PublicKey::from(key).id()
}

fn now() -> Timestamp {
    "2026-06-01T12:00:00.000Z".parse().unwrap()
}

impl World {
    fn new() -> Self {
        let log = NoteSigner::new("test.local/log", secret(1)).unwrap();
        let [genesis, _] = Founding {
            log_key: log.verifier_key(),
            operator: &secret(2),
            operator_name: Names { en: Some("Operator".to_owned()), ..Names::default() },
            now: now(),
            nonces: [[1; 16], [2; 16]],
        }
        .statements()
        .unwrap();
        let registry = RegistryRef {
            origin: "test.local/log".to_owned(),
            genesis: crate::ledger::tree::leaf_hash(&genesis.entry),
        };
        let mut view = View::new(0, None, None);
        view.admit(&genesis.statement, &genesis.envelope, now()).unwrap();
        view.found(registry.clone(), genesis.statement.id);
        let roots = [secret(3), secret(4)];
        let mut world = Self { view, registry, party: StatementId::of(b""), roots, nonce: 2 };
        let claim = PartyClaim {
            name: Names { en: Some("Party".to_owned()), ..Names::default() },
            identifiers: Vec::new(),
            jurisdiction: Jurisdiction::new("HK").unwrap(),
            root_keys: KeySet::new(world.roots.iter().map(PublicKey::from).collect(), 2),
        };
        let keys: Vec<SigningKey> = world.roots.to_vec();
        let keys: Vec<&SigningKey> = keys.iter().collect();
        world.party = world.submit(Issuer::Own, &Claim::Party(claim), &keys).unwrap();
        world
    }

    /// A group that lists these keys.
    fn group(&self, party: Issuer, keys: &[&SigningKey], threshold: u32) -> SignerGroup {
        let key_head = match party {
            Issuer::Own => None,
            Issuer::Party(id) => self.view.party(&id).map(|party| party.key_head),
        };
        let mut keys: Vec<KeyId> = keys.iter().map(|key| id(key)).collect();
        keys.sort_unstable();
        SignerGroup { party, key_head, keys, threshold }
    }

    /// Signs with every given key, checks the signatures as the service does, and admits.
    fn submit(&mut self, issuer: Issuer, claim: &Claim, keys: &[&SigningKey]) -> Result<StatementId, Rejection> {
        let group = self.group(issuer, keys, u32::try_from(keys.len()).unwrap());
        self.submit_as(vec![group], claim, keys)
    }

    /// The same, whoever is listed.
    fn submit_as(
        &mut self,
        signers: Vec<SignerGroup>,
        claim: &Claim,
        keys: &[&SigningKey],
    ) -> Result<StatementId, Rejection> {
        self.nonce += 1;
        let header = Header {
            registry: Some(self.registry.clone()),
            issuer: signers[0].party,
            issued_at: now(),
            not_after: now().plus_days(1),
            nonce: Nonce::from_random([self.nonce; 16]),
            signers,
        };
        let payload = Statement::compose("test", &header, claim)?;
        let submission = Submission::assemble(Envelope::sign(payload, keys), Vec::new())?;
        submission.verify(|id| self.view.key(id).map(|record| &record.public_key))?;
        self.view.admit(&submission.statement, &submission.envelope, now())?;
        Ok(submission.statement.id)
    }

    fn event(&mut self, event: KeyEvent, keys: &[&SigningKey]) -> Result<StatementId, Rejection> {
        let party = self.view.party(&self.party).unwrap();
        let claim = KeyClaim { seq: party.key_seq + 1, prev: party.key_head, event };
        self.submit(Issuer::Party(self.party), &Claim::Key(claim), keys)
    }

    /// Anything but a key event: refused for what it says, but only after its signers were accepted.
    fn speaks(&mut self, keys: &[&SigningKey]) -> Result<(), &'static str> {
        self.speaks_as(keys, u32::try_from(keys.len()).unwrap(), keys)
    }

    /// The same where not all who are listed sign.
    fn speaks_as(
        &mut self,
        listed: &[&SigningKey],
        threshold: u32,
        signing: &[&SigningKey],
    ) -> Result<(), &'static str> {
        let group = self.group(Issuer::Party(self.party), listed, threshold);
        let rejection = self.submit_as(vec![group], &anchors(), signing).unwrap_err();
        if rejection.pointer == "/predicate/issuer" { Ok(()) } else { Err(rejection.code.as_str()) }
    }

    /// The same beside the operator, who says it.
    fn agrees_as(
        &mut self,
        listed: &[&SigningKey],
        threshold: u32,
        signing: &[&SigningKey],
    ) -> Result<(), (&'static str, String)> {
        let (operator, own) = (secret(2), Issuer::Party(self.view.operator().unwrap()));
        let groups = vec![self.group(own, &[&operator], 1), self.group(Issuer::Party(self.party), listed, threshold)];
        let said = self.submit_as(groups, &anchors(), &[signing, &[&operator]].concat());
        said.map(|_| ()).map_err(|rejection| (rejection.code.as_str(), rejection.pointer))
    }
}

fn anchors() -> Claim {
    Claim::Policy(PolicyClaim::TrustAnchors(TrustAnchors { witnesses: Vec::new(), quorum: 0 }))
}

fn refusal(result: Result<StatementId, Rejection>) -> (&'static str, String) {
    let rejection = result.expect_err("admitted");
    (rejection.code.as_str(), rejection.pointer)
}

#[test]
fn a_signing_key_speaks_alone_and_only_after_it_was_added() {
    let mut world = World::new();
    let [first, second] = world.roots.clone();
    let machine = secret(10);
    assert_eq!(world.speaks(&[&machine]), Err("unknown_key"));
    let add = KeyEvent::Add { public_key: PublicKey::from(&machine), role: KeyRole::Signing };
    world.event(add, &[&first, &second, &machine]).unwrap();
    assert_eq!(world.speaks(&[&machine]), Ok(()));
    assert_eq!(world.speaks(&[&first]), Err("threshold_not_met"), "a root key alone stays below the threshold");
    assert_eq!(world.speaks(&[&first, &second]), Ok(()));
    let another = KeyEvent::Add { public_key: PublicKey::from(&secret(11)), role: KeyRole::Root };
    let refused = refusal(world.event(another, &[&machine, &secret(11)]));
    assert_eq!(refused, ("threshold_not_met", "/predicate/signers/0/keys".to_owned()), "a signing key makes no keys");
}

#[test]
fn a_signing_key_that_is_only_listed_lends_nobody_its_word() {
    let mut world = World::new();
    let [first, second] = &world.roots.clone();
    let machine = &secret(10);
    let add = KeyEvent::Add { public_key: PublicKey::from(machine), role: KeyRole::Signing };
    world.event(add, &[first, second, machine]).unwrap();
    for (listed, threshold, signing) in [
        (&[first, machine][..], 1, &[first][..]),
        (&[first, second, machine], 1, &[second]),
        (&[first, second], 1, &[first, second]),
    ] {
        assert_eq!(world.speaks_as(listed, threshold, signing), Err("threshold_not_met"), "{threshold} of {listed:?}");
        let refused = ("threshold_not_met", "/predicate/signers/1/threshold".to_owned());
        assert_eq!(world.agrees_as(listed, threshold, signing), Err(refused), "{threshold} of {listed:?}");
    }
    // What honest clients have always made: the signing key signs, or as many root keys as the party needs.
    for (listed, threshold, signing) in [
        (&[first, machine][..], 1, &[first, machine][..]),
        (&[first, machine], 1, &[machine]),
        (&[first, machine], 2, &[first, machine]),
        (&[first, second, machine], 1, &[first, second]),
        (&[first, second, machine], 2, &[first, machine]),
        (&[first, second, machine], 2, &[first, second]),
    ] {
        assert_eq!(world.speaks_as(listed, threshold, signing), Ok(()), "{threshold} of {listed:?}");
        assert_eq!(world.agrees_as(listed, threshold, signing), Ok(()), "{threshold} of {listed:?}");
    }
}

#[test]
fn a_new_key_proves_that_somebody_has_it() {
    let mut world = World::new();
    let [first, second] = world.roots.clone();
    let add = |byte| KeyEvent::Add { public_key: PublicKey::from(&secret(byte)), role: KeyRole::Signing };
    assert_eq!(refusal(world.event(add(10), &[&first, &second])).0, "threshold_not_met");
    assert_eq!(refusal(world.event(add(10), &[&first, &secret(10)])).0, "threshold_not_met");
    assert_eq!(refusal(world.event(add(2), &[&first, &second, &secret(2)])).0, "key_in_use", "the operator's");
    world.event(add(10), &[&first, &second, &secret(10)]).unwrap();
    assert_eq!(refusal(world.event(add(10), &[&first, &second, &secret(10)])).0, "key_in_use");
}

#[test]
fn a_rotated_key_hands_over_and_a_revoked_one_never_signs_again() {
    let mut world = World::new();
    let [first, second] = world.roots.clone();
    let new = secret(20);
    let rotate = |role| KeyEvent::Rotate { replaced: id(&first), public_key: PublicKey::from(&new), role };
    let keys = [&first, &second, &new];
    let refused = refusal(world.event(rotate(KeyRole::Signing), &keys));
    assert_eq!(refused, ("not_authorised", "/predicate/claim/event/rotate/role".to_owned()));
    world.event(rotate(KeyRole::Root), &keys).unwrap();
    assert_eq!(world.speaks(&[&first, &second]), Err("not_authorised"));
    assert_eq!(world.speaks(&[&new, &second]), Ok(()));
    let back = KeyEvent::Add { public_key: PublicKey::from(&first), role: KeyRole::Signing };
    assert_eq!(refusal(world.event(back, &[&new, &second, &first])).0, "key_in_use", "a key that went stays gone");

    let machine = secret(21);
    let add = KeyEvent::Add { public_key: PublicKey::from(&machine), role: KeyRole::Signing };
    world.event(add, &[&new, &second, &machine]).unwrap();
    // Whoever holds a key may always give it up; nobody else below the threshold may.
    let revoke = KeyEvent::Revoke { key: id(&machine), reason: RevocationReason::Compromised };
    assert_eq!(refusal(world.event(revoke.clone(), &[&new])).0, "threshold_not_met");
    world.event(revoke.clone(), &[&machine]).unwrap();
    assert_eq!(world.speaks(&[&machine]), Err("not_authorised"));
    assert_eq!(refusal(world.event(revoke, &[&new, &second])).0, "not_authorised", "twice");
}

#[test]
fn a_party_never_locks_itself_out() {
    let mut world = World::new();
    let [first, second] = world.roots.clone();
    let revoke = |key: &SigningKey| KeyEvent::Revoke { key: id(key), reason: RevocationReason::Lost };
    let refused = refusal(world.event(revoke(&first), &[&first, &second]));
    assert_eq!(refused, ("would_lock_out", "/predicate/claim/event/revoke/key".to_owned()));
    let third = secret(30);
    let add = KeyEvent::Add { public_key: PublicKey::from(&third), role: KeyRole::Root };
    world.event(add, &[&first, &second, &third]).unwrap();
    world.event(revoke(&first), &[&second, &third]).unwrap();
    assert_eq!(refusal(world.event(revoke(&second), &[&second])).0, "would_lock_out");
}

#[test]
fn events_stand_in_one_chain() {
    let mut world = World::new();
    let [first, second] = world.roots.clone();
    let machine = secret(40);
    let keys = [&first, &second, &machine];
    let add = KeyEvent::Add { public_key: PublicKey::from(&machine), role: KeyRole::Signing };
    let party = world.party;
    for (seq, prev) in [(2, party), (1, StatementId::of(b"elsewhere"))] {
        let claim = Claim::Key(KeyClaim { seq, prev, event: add.clone() });
        let refused = refusal(world.submit(Issuer::Party(party), &claim, &keys));
        assert_eq!(refused, ("stale_key_head", "/predicate/claim/prev".to_owned()));
    }
    let claim = Claim::Key(KeyClaim { seq: 0, prev: party, event: add.clone() });
    assert_eq!(refusal(world.submit(Issuer::Party(party), &claim, &keys)).1, "/predicate/claim/seq");
    let first_event = world.event(add, &keys).unwrap();
    assert_eq!(world.view.party(&party).unwrap().key_head, first_event);
}
