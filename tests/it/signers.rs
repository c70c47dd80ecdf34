//! Bundles of a registry that enters whatever it is given: what nobody who may has signed proves nothing, however genuine
//! the proof that the log holds it.

use chopmark_core::bundle::{Bundle, BundleError};
use chopmark_core::key::PublicKey;
use chopmark_core::kind::Claim;
use chopmark_core::party::{KeyEvent, KeyRole, RevocationReason};
use chopmark_core::statement::{Envelope, Issuer, Statement, StatementId};
use chopmark_core::submission::Submission;
use ed25519_dalek::SigningKey;

use crate::attest::key_event;
use crate::make::{Author, key, small_manifest};
use crate::memory::MemoryRegistry;

/// A registration that lists these keys of its owner, with this threshold, and is signed by some of them.
pub fn registration(
    owner: &Author,
    (label, key_head): (&str, StatementId),
    (listed, threshold): (&[&SigningKey], u32),
    signing: &[&SigningKey],
) -> Submission {
    let manifest = small_manifest(label);
    let mut header = owner.header(Issuer::Party(owner.party), threshold, label);
    let group = &mut header.signers[0];
    group.key_head = Some(key_head);
    group.keys = listed.iter().map(|key| PublicKey::from(*key).id()).collect();
    group.keys.sort_unstable();
    let claim = Claim::Artefact(Author::claim(label, "1", &manifest, Vec::new()));
    let payload = Statement::compose(label, &header, &claim).unwrap();
    Submission::assemble(Envelope::sign(payload, signing), vec![manifest.to_canonical_bytes()]).unwrap()
}

/// A party with two root keys, and its key events.
struct Case {
    registry: MemoryRegistry,
    owner: Author,
    /// Where its key events stand, its creation first.
    events: Vec<u64>,
    key_head: StatementId,
}

impl Case {
    fn new(label: &str, threshold: u32) -> Self {
        let mut registry = MemoryRegistry::new("registry.example.hk/signers", "signers");
        let (owner, party) = Author::new(&registry.reference, label, 2, threshold);
        let events = vec![registry.append(&party)];
        let key_head = owner.party;
        Self { registry, owner, events, key_head }
    }

    /// Enters the party's first key event.
    fn enter(&mut self, event: KeyEvent, keys: &[&SigningKey]) {
        let event = key_event(&self.owner, 1, event, keys, "signers, key event");
        self.events.push(self.registry.append(&event));
        self.key_head = event.statement.id;
    }

    /// Enters a registration, and says whether the bundle with its own proof and the whole key chain is accepted.
    fn verdict(&mut self, submission: &Submission) -> Result<u64, (String, String)> {
        let index = self.registry.append(submission);
        self.bundle(submission, index).verify(&self.registry.trust()).map(|proven| proven.index).map_err(|error| {
            match error {
                BundleError::Invalid { place, reason } => (place, reason),
                other => panic!("{other}"),
            }
        })
    }

    /// The bundle of a registration, with the key events before it.
    fn bundle(&self, submission: &Submission, index: u64) -> Bundle {
        let mut bundle = self.registry.bundle(submission, index, (self.owner.party, self.events[0]));
        let before = self.events.iter().filter(|event| **event < index);
        bundle.key_chains[0].entries = before.map(|event| self.registry.proven(*event)).collect();
        bundle
    }

    #[track_caller]
    fn refuse(&mut self, submission: &Submission, code: &str) {
        let (place, reason) = self.verdict(submission).expect_err("accepted");
        assert_eq!(place, "statement/envelope", "{reason}");
        assert!(reason.starts_with(&format!("{code} (payload /predicate/signers/0/")), "{reason}");
    }
}

#[test]
fn what_a_key_signs_after_it_went_proves_nothing() {
    for is_rotated in [true, false] {
        let mut case = Case::new("a key that goes", 1);
        let owner = case.owner.clone();
        let [old, other] = owner.keys.as_slice() else { panic!("two keys") };
        let early = registration(&owner, ("in time", owner.party), (&[old], 1), &[old]);
        let early_index = case.registry.append(&early);
        let (replaced, new) = (PublicKey::from(old).id(), key("the key that comes"));
        if is_rotated {
            let event = KeyEvent::Rotate { replaced, public_key: PublicKey::from(&new), role: KeyRole::Root };
            case.enter(event, &[old, &new]);
        } else {
            case.enter(KeyEvent::Revoke { key: replaced, reason: RevocationReason::Compromised }, &[other]);
        }
        let head = case.key_head;
        case.refuse(&registration(&owner, ("late", head), (&[old], 1), &[old]), "not_authorised");
        case.refuse(
            &registration(&owner, ("late, beside another", head), (&[old, other], 1), &[other]),
            "not_authorised",
        );
        case.refuse(&registration(&owner, ("late, as before", owner.party), (&[old], 1), &[old]), "stale_key_head");
        // The control: whoever may sign goes on, and what was signed in time stays.
        case.verdict(&registration(&owner, ("by another", head), (&[other], 1), &[other])).unwrap();
        let proven = case.bundle(&early, early_index).verify(&case.registry.trust()).unwrap();
        assert_eq!(proven.index, early_index);
    }
}

#[test]
fn one_root_key_of_two_proves_nothing_beside_a_signing_key_that_did_not_sign() {
    let mut case = Case::new("two of two", 2);
    let owner = case.owner.clone();
    let [first, second] = owner.keys.as_slice() else { panic!("two keys") };
    let machine = &key("two of two, machine");
    let add = KeyEvent::Add { public_key: PublicKey::from(machine), role: KeyRole::Signing };
    case.enter(add, &[first, second, machine]);
    let head = case.key_head;
    for (label, root) in [("first alone", first), ("second alone", second)] {
        case.refuse(&registration(&owner, (label, head), (&[root, machine], 1), &[root]), "threshold_not_met");
    }
    for (label, listed, signing) in [
        ("the machine", &[machine][..], &[machine][..]),
        ("the machine beside a root", &[first, machine], &[machine]),
        ("both", &[first, machine], &[first, machine]),
        ("the roots", &[first, second, machine], &[first, second]),
    ] {
        let said = case.verdict(&registration(&owner, (label, head), (listed, 1), signing));
        assert!(said.is_ok(), "{label}: {said:?}");
    }
}
