//! Offline bundles by people who hold real keys: attackers with their own party, and a dishonest operator who enters
//! forged statements into the log, so that every proof holds and only signatures and key chains stand in the way.
//!
//! Also what a bundle may vary without anybody objecting, and what happens without trust.

use chopmark_core::artefact::{ArtefactClaim, ManifestRef};
use chopmark_core::bundle::{Bundle, KeyChain};
use chopmark_core::kind::Claim;
use chopmark_core::ledger::note::NoteSigner;
use chopmark_core::ledger::proof::TlogProof;
use chopmark_core::statement::{Envelope, Header, Issuer, Statement, StatementId};
use chopmark_core::submission::Submission;
use chopmark_core::trust::{TrustPolicy, TrustedRegistry};
use data_encoding::{BASE64, BASE64URL};
use ed25519_dalek::SigningKey;

use crate::bundle::{Case, ORIGIN, Verdict, judge, judge_bundle, with_proofs};
use crate::make::{Author, english, key, manifest, small_manifest};
use crate::memory::{MemoryRegistry, sign_with};

fn assert_invalid(bundle: &Bundle, trust: &TrustPolicy, place: &str, what: &str) {
    match judge_bundle(bundle, trust) {
        Verdict::ProofInvalid(found) => assert!(found.starts_with(place), "{what}: refused at {found}, not at {place}"),
        other => panic!("{what}: {other:?}"),
    }
}

/// A registration of a small manifest with any header, signed with any keys.
fn forge(label: &str, header: &Header, keys: &[&SigningKey]) -> Submission {
    let manifest = small_manifest(label);
    let claim = Claim::Artefact(Author::claim(label, "1", &manifest, Vec::new()));
    let payload = Statement::compose(label, header, &claim).unwrap();
    Submission::assemble(Envelope::sign(payload, keys), vec![manifest.to_canonical_bytes()]).unwrap()
}

/// The operator enters `submission` and makes the bundle that claims it for the owner.
fn entered(case: &mut Case, submission: &Submission) -> Bundle {
    let index = case.registry.append(submission);
    case.registry.bundle(submission, index, (case.owner.party, case.owner_index))
}

#[test]
fn a_dishonest_operator_can_enter_but_not_sign() {
    let mut case = Case::new();
    let trust = case.registry.trust();
    let owner = case.owner.clone();
    let honest = owner.header(Issuer::Party(owner.party), 2, "operator");
    let [first, second] = [&owner.keys[0], &owner.keys[1]];
    let attacker = key("attacker");

    let good = forge("honest", &honest, &[first, second]);
    assert_eq!(judge_bundle(&entered(&mut case, &good), &trust), Verdict::Accepted, "the control");

    let one = forge("one signature", &honest, &[first]);
    assert_invalid(&entered(&mut case, &one), &trust, "statement/envelope", "one of two signatures");

    let lowered = owner.header(Issuer::Party(owner.party), 1, "lowered");
    let lowered = forge("lowered threshold", &lowered, &[first]);
    assert_invalid(&entered(&mut case, &lowered), &trust, "statement/envelope", "a threshold below the party's");

    let mut stale = honest.clone();
    stale.signers[0].key_head = Some(StatementId::of(b"an older key event"));
    let stale = forge("stale", &stale, &[first, second]);
    assert_invalid(&entered(&mut case, &stale), &trust, "statement/envelope", "another key head");

    let mut foreign_key = honest.clone();
    let id = chopmark_core::key::PublicKey::from(&attacker).id();
    foreign_key.signers[0].keys = vec![id];
    foreign_key.signers[0].threshold = 1;
    let foreign_key = forge("attacker's key", &foreign_key, &[&attacker]);
    assert_invalid(&entered(&mut case, &foreign_key), &trust, "statement/envelope", "a key that is nobody's");

    // The attacker's signatures under the owner's key ids.
    let mut text = String::from_utf8(good.entry.clone()).unwrap();
    let forged = Envelope::sign(good.envelope.payload().to_vec(), &[&attacker]);
    for signature in good.envelope.signatures() {
        let theirs = BASE64.encode(&signature.signature);
        text = text.replace(&theirs, &BASE64.encode(&forged.signatures()[0].signature));
    }
    let forged =
        Submission::assemble(Envelope::parse(text.as_bytes()).unwrap(), good.documents.values().cloned().collect());
    assert_invalid(&entered(&mut case, &forged.unwrap()), &trust, "statement/envelope", "forged signatures");

    // The owner's two signatures, each under the other's id.
    let [one, two] = good.envelope.signatures() else { panic!("two signatures") };
    let (one, two) = (BASE64.encode(&one.signature), BASE64.encode(&two.signature));
    let text = String::from_utf8(good.entry.clone()).unwrap();
    let swapped = text.replace(&one, "?").replace(&two, &one).replace('?', &two);
    let swapped =
        Submission::assemble(Envelope::parse(swapped.as_bytes()).unwrap(), good.documents.values().cloned().collect());
    assert_invalid(&entered(&mut case, &swapped.unwrap()), &trust, "statement/envelope", "swapped signatures");

    // A signature too many, by somebody the payload does not name.
    let more = forge("one more", &honest, &[first, second, &attacker]);
    assert_invalid(&entered(&mut case, &more), &trust, "statement/envelope", "a signature by a stranger");
}

#[test]
fn a_statement_for_another_registry_is_refused_even_when_entered() {
    let mut case = Case::new();
    let trust = case.registry.trust();
    for (origin, label) in [("registry.example.cn/log", "elsewhere"), (ORIGIN, "same name, other keys")] {
        let elsewhere = MemoryRegistry::new(origin, label);
        let mut owner = case.owner.clone();
        owner.registry = elsewhere.reference.clone();
        let replayed = owner.artefact("replayed");
        assert_invalid(&entered(&mut case, &replayed), &trust, "statement/envelope", label);
    }
}

#[test]
fn a_registry_of_the_same_name_is_another_registry() {
    let case = Case::new();
    let mut impostor = MemoryRegistry::new(ORIGIN, "impostor");
    let (owner, party) = Author::new(&impostor.reference, "Lam AI Limited", 2, 2);
    let party_index = impostor.append(&party);
    let submission = owner.artefact("Lam-7B");
    let index = impostor.append(&submission);
    let theirs = impostor.bundle(&submission, index, (owner.party, party_index));
    assert_eq!(judge_bundle(&theirs, &impostor.trust()), Verdict::Accepted, "the control");

    let trust = case.registry.trust();
    assert_invalid(&theirs, &trust, "registry/genesis", "the impostor's bundle");
    let mut dressed_up = theirs.clone();
    dressed_up.registry = case.registry.reference.clone();
    assert_invalid(&dressed_up, &trust, "statement/proof", "under the honest genesis");
    dressed_up.genesis = case.bundle.genesis.clone();
    assert_invalid(&dressed_up, &trust, "statement/proof", "with the honest genesis entry");
    // Trust in which only the key, or only the genesis, is the impostor's.
    let mix = |log_key: &MemoryRegistry, genesis: &MemoryRegistry| TrustPolicy {
        registries: vec![TrustedRegistry { log_key: log_key.log_key().to_string(), ..genesis.trusted() }],
    };
    assert_invalid(&theirs, &mix(&case.registry, &impostor), "statement/proof", "the honest log key");
    assert_invalid(&theirs, &mix(&impostor, &case.registry), "registry/genesis", "the honest genesis");
    // An operator's key that signs another log than the genesis names.
    let mut other_log = Case::new();
    let usurper = NoteSigner::new(ORIGIN, key("usurper")).unwrap();
    let note = sign_with(&usurper, other_log.registry.size(), root_of(&other_log.bundle));
    other_log.bundle = crate::bundle::with_note(&other_log.bundle, &note);
    let policy = TrustPolicy {
        registries: vec![TrustedRegistry {
            log_key: usurper.verifier_key().to_string(),
            ..other_log.registry.trusted()
        }],
    };
    assert_invalid(&other_log.bundle, &policy, "genesis", "a log key that entry 0 does not name");
}

fn root_of(bundle: &Bundle) -> chopmark_core::digest::Sha256Digest {
    let note = bundle.statement.proof.parse::<TlogProof>().unwrap().checkpoint_note().to_owned();
    chopmark_core::digest::Sha256Digest::from_slice(&BASE64.decode(note.lines().nth(2).unwrap().as_bytes()).unwrap())
        .unwrap()
}

#[test]
fn a_party_of_the_same_name_is_another_party() {
    let mut case = Case::new();
    let trust = case.registry.trust();
    let names = english("Lam AI Limited");
    let (attacker, party) = Author::named(&case.registry.reference, "attacker", names, 2, 2);
    let attacker_index = case.registry.append(&party);
    let index = case.registry.append(&case.submission.clone());

    // The owner's statement with the attacker's key chain in place of the owner's.
    let theirs = case.registry.bundle(&case.submission, index, (attacker.party, attacker_index));
    assert_invalid(&theirs, &trust, "key_chains", "without the owner's chain");
    let renamed = case.registry.bundle(&case.submission, index, (case.owner.party, attacker_index));
    assert_invalid(&renamed, &trust, "key_chains/", "the attacker's chain under the owner's id");
    let mut none = theirs.clone();
    none.key_chains.clear();
    assert_invalid(&none, &trust, "key_chains", "no chain");

    // The attacker speaks in the owner's name, with the attacker's keys.
    let mut header = attacker.header(Issuer::Party(case.owner.party), 2, "in another's name");
    header.signers[0].key_head = Some(case.owner.party);
    let keys: Vec<_> = attacker.keys.iter().collect();
    let forged = forge("in another's name", &header, &keys);
    let index = case.registry.append(&forged);
    let mut both = case.registry.bundle(&forged, index, (case.owner.party, case.owner_index));
    let chain = KeyChain { party: attacker.party, entries: vec![case.registry.proven(attacker_index)] };
    assert_invalid(&both, &trust, "statement/envelope", "the owner's chain alone");
    both.key_chains.push(chain);
    assert_invalid(&both, &trust, "key_chains", "both chains");

    // In the attacker's own name it is a registration like any other, and says whose it is.
    let own = attacker.artefact("attacker's own");
    let index = case.registry.append(&own);
    let bundle = case.registry.bundle(&own, index, (attacker.party, attacker_index));
    let proven = bundle.verify(&trust).unwrap();
    assert_eq!(proven.owner.id, attacker.party);
    assert_ne!(proven.owner.id, case.owner.party);
}

#[test]
fn key_chains_stand_before_the_statement_and_once() {
    let mut case = Case::new();
    let trust = case.registry.trust();
    // A party that was created after it signed.
    let (late, late_party) = Author::new(&case.registry.reference, "late", 1, 1);
    let submission = late.artefact("too early");
    let index = case.registry.append(&submission);
    let party_index = case.registry.append(&late_party);
    let bundle = case.registry.bundle(&submission, index, (late.party, party_index));
    assert_invalid(&bundle, &trust, "key_chains/", "created after it signed");

    let honest = case.registry.bundle(&case.submission, case.index, (case.owner.party, case.owner_index));
    assert_eq!(judge_bundle(&honest, &trust), Verdict::Accepted, "the control");
    let mut twice = honest.clone();
    twice.key_chains.push(twice.key_chains[0].clone());
    assert_invalid(&twice, &trust, "key_chains", "the chain twice");
    let mut longer = honest.clone();
    let event = longer.key_chains[0].entries[0].clone();
    longer.key_chains[0].entries.push(event);
    assert_invalid(&longer, &trust, "key_chains/", "the same event twice");
    let mut operators = honest.clone();
    let genesis = KeyChain { party: case.registry.operator, entries: vec![case.registry.proven(0)] };
    operators.key_chains.push(genesis);
    assert_invalid(&operators, &trust, "key_chains", "the genesis as a key chain");
    let mut artefact_in_chain = honest.clone();
    artefact_in_chain.key_chains[0].entries.insert(0, case.registry.proven(2));
    assert_invalid(&artefact_in_chain, &trust, "key_chains/", "another party's event");
}

#[test]
fn the_statement_must_register_exactly_the_manifest_beside_it() {
    let mut case = Case::new();
    let trust = case.registry.trust();
    let other = BASE64.encode(&small_manifest("other").to_canonical_bytes());
    let honest = case.bundle.clone();
    let mut changed = honest.clone();
    changed.documents = vec![other.clone()];
    assert_invalid(&changed, &trust, "statement", "another manifest");
    changed.documents = vec![honest.documents[0].clone(), other];
    assert_invalid(&changed, &trust, "statement", "a manifest more");
    changed.documents = Vec::new();
    assert_invalid(&changed, &trust, "statement", "no manifest");
    changed.documents = vec![honest.documents[0].clone() + "\n"];
    assert_invalid(&changed, &trust, "documents/0", "base64 with a line end");

    // The operator enters a statement whose facts about the manifest are wrong.
    let files = manifest(&[("a", b"1"), ("b", b"2")]);
    let lie = ArtefactClaim {
        manifest: ManifestRef { files: 1, ..ManifestRef::to(&files) },
        ..Author::claim("lie", "1", &files, Vec::new())
    };
    let header = case.owner.header(Issuer::Party(case.owner.party), 2, "lie");
    let payload = Statement::compose("lie", &header, &Claim::Artefact(lie)).unwrap();
    let lie = case.owner.sign(payload, vec![files.to_canonical_bytes()]);
    assert_invalid(&entered(&mut case, &lie), &trust, "statement", "wrong number of files");

    // A genuine statement that registers nothing.
    let party = case.registry.proven(case.owner_index);
    let mut no_artefact = case.registry.bundle(&case.submission, case.index, (case.owner.party, case.owner_index));
    no_artefact.statement = party;
    no_artefact.documents.clear();
    no_artefact.key_chains.clear();
    assert_invalid(&no_artefact, &trust, "statement/envelope", "a party's statement");
}

#[test]
fn genesis_is_entry_zero() {
    let mut case = Case::new();
    let trust = case.registry.trust();
    let genesis: Vec<u8> = {
        let envelope = Envelope::from_value(&case.bundle.genesis.envelope).unwrap();
        envelope.to_bytes()
    };
    let again = case.registry.append_bytes(genesis);
    let mut bundle = case.registry.bundle(&case.submission, case.index, (case.owner.party, case.owner_index));
    assert_eq!(judge_bundle(&bundle, &trust), Verdict::Accepted, "the control");
    bundle.genesis = case.registry.proven(again);
    assert_invalid(&bundle, &trust, "genesis", "the genesis entry at another index");
    bundle.genesis = case.registry.proven(1);
    assert_invalid(&bundle, &trust, "genesis", "the trust anchors");
}

#[test]
fn an_envelope_has_one_form_in_a_bundle() {
    let case = Case::new();
    let trust = case.registry.trust();
    let mut bundle = case.bundle.clone();
    let payload = bundle.statement.envelope["payload"].as_str().unwrap().to_owned();
    let url_safe = BASE64URL.encode(&BASE64.decode(payload.as_bytes()).unwrap());
    for other in [url_safe, payload.trim_end_matches('=').to_owned()] {
        if other != payload {
            bundle.statement.envelope["payload"] = other.into();
            assert_invalid(&bundle, &trust, "statement/envelope", "another base64 of the payload");
        }
    }
    let mut bundle = case.bundle.clone();
    bundle.statement.envelope["signatures"].as_array_mut().unwrap().reverse();
    assert_invalid(&bundle, &trust, "statement/envelope", "signatures in another order");
}

/// The complete list of what may vary. Whatever is not here is refused by the tests in `bundle`.
#[test]
fn only_this_is_ignored_by_the_format() {
    let mut case = Case::new();
    let trust = case.registry.trust();
    let (unrelated, unrelated_party) = Author::new(&case.registry.reference, "unrelated", 1, 1);
    let early = case.registry.append(&unrelated_party);
    let again = case.owner.artefact("later");
    let index = case.registry.append(&again);
    let honest = case.registry.bundle(&again, index, (case.owner.party, case.owner_index));
    let same = |bytes: &[u8], what: &str| {
        let proven = Bundle::parse(bytes).and_then(|bundle| bundle.verify(&trust));
        let proven = proven.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!((proven.statement.id, proven.index), (again.statement.id, index), "{what}");
        assert_eq!(proven.owner.id, case.owner.party, "{what}");
    };

    let value = serde_json::to_value(&honest).unwrap();
    same(serde_json::to_string_pretty(&value).unwrap().as_bytes(), "white space");
    let members = value.as_object().unwrap();
    let reversed: Vec<_> = members.iter().rev().map(|(name, member)| format!("\"{name}\":{member}")).collect();
    same(format!("{{{}}}", reversed.join(",")).as_bytes(), "the order of members");
    same(value.to_string().replace("chopmark.bundle/v1", "chopmark.bundle\\u002fv1").as_bytes(), "escapes in strings");

    // C2SP signed-note: a line by a key the reader does not know is passed over. The same in every proof.
    let witness = NoteSigner::new("witness.example", key("witness")).unwrap();
    let line = sign_with(&witness, 2, root_of(&honest)).lines().next_back().unwrap().to_owned();
    let cosigned = with_proofs(&honest, |proof| format!("{proof}{line}\n"));
    same(&cosigned.to_bytes().unwrap(), "a signature line by an unknown key");
    let mut one_of_three = honest.clone();
    one_of_three.statement = cosigned.statement.clone();
    assert_invalid(&one_of_three, &trust, "genesis/proof", "the line in one proof only");

    let mut chains = honest.clone();
    chains.key_chains.push(KeyChain { party: unrelated.party, entries: vec![case.registry.proven(early)] });
    assert_invalid(&chains, &trust, "key_chains", "the genuine key chain of a party that did not sign");
    let mut documents = honest.clone();
    documents.documents.push(documents.documents[0].clone());
    assert_invalid(&documents, &trust, "documents", "the same manifest twice");

    // Not before its time: `not_after` binds admission, not what was admitted.
    let mut header = case.owner.header(Issuer::Party(case.owner.party), 2, "long ago");
    header.issued_at = "2020-01-01T00:00:00.000Z".parse().unwrap();
    header.not_after = "2020-01-02T00:00:00.000Z".parse().unwrap();
    let keys: Vec<_> = case.owner.keys.iter().collect();
    let old = forge("long ago", &header, &keys);
    let bundle = entered(&mut case, &old);
    assert_eq!(judge_bundle(&bundle, &trust), Verdict::Accepted);
}

#[test]
fn without_trust_nothing_is_checked() {
    let case = Case::new();
    let bytes = case.bundle.to_bytes().unwrap();
    assert_eq!(judge(&bytes, &TrustPolicy::default()), Verdict::CouldNotCheck);
    let elsewhere = MemoryRegistry::new("registry.example.cn/log", "elsewhere");
    assert_eq!(judge(&bytes, &elsewhere.trust()), Verdict::CouldNotCheck);
    let strict = TrustedRegistry { allow_registry_asserted: false, ..case.registry.trusted() };
    assert_eq!(judge(&bytes, &TrustPolicy { registries: vec![strict] }), Verdict::CouldNotCheck);
    let unreadable = TrustedRegistry { log_key: "no key".to_owned(), ..case.registry.trusted() };
    assert_eq!(judge(&bytes, &TrustPolicy { registries: vec![unreadable] }), Verdict::CouldNotCheck);
    assert_eq!(judge(&bytes, &case.registry.trust()), Verdict::Accepted);
}
