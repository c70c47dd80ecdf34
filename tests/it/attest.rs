//! What is said about others' statements: bytes that were hashed, identities that were verified, names that are protected,
//! signatures that came later, and keys that may no longer sign.

use std::fs;

use chopmark_core::attestation::AttestationClaim;
use chopmark_core::bundle::Bundle;
use chopmark_core::code::ResidencyZone;
use chopmark_core::key::PublicKey;
use chopmark_core::kind::Claim;
use chopmark_core::party::{KeyClaim, KeyEvent, KeyRole};
use chopmark_core::statement::{Envelope, Issuer, Statement};
use chopmark_core::submission::Submission;
use chopmark_core::trust::{TrustPolicy, TrustedRegistry};
use serde_json::Value;

use crate::admission::{expect, request};
use crate::find::say;
use crate::harness::Home;
use crate::make::{Author, key, small_manifest};
use crate::shared::{self, author, enter};

/// Somebody with a party of their own at the shared service.
struct Somebody {
    home: Home,
    party: String,
}

impl Somebody {
    fn new(name: &str) -> Self {
        let home = Home::new();
        assert_eq!(home.json(&["key", "new"]).0, 0);
        let somebody = Self { home, party: String::new() };
        let registered = somebody.done(&["party", "register", "--name-en", name, "--jurisdiction", "HK"]);
        Self { party: registered["party_id"].as_str().unwrap().to_owned(), ..somebody }
    }

    #[track_caller]
    fn done(&self, arguments: &[&str]) -> Value {
        shared::done(&self.home, arguments)
    }

    #[track_caller]
    fn refused(&self, arguments: &[&str], exit: i32, code: &str) -> Value {
        shared::refused(&self.home, arguments, exit, code)
    }
}

/// The operator's key lies in the service's data directory.
fn operator_key() -> String {
    shared::service().directory.join("keys/operator.key").to_str().unwrap().to_owned()
}

fn shown(path: &str) -> Value {
    let answer = shared::service().get(path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

#[test]
fn bytes_are_attested_only_when_they_match() {
    let (owner, verifier) = (Somebody::new("Attested Owner"), Somebody::new("Attesting Verifier"));
    for (home, content) in [(&owner.home, "attested bytes"), (&verifier.home, "attested bytes")] {
        fs::create_dir(home.file("model")).unwrap();
        fs::write(home.file("model/weights.bin"), content).unwrap();
    }
    let registered = owner.done(&["register", "model", "--licence", "mit", "--out", "m.chop"]);
    let id = registered["artefact_id"].as_str().unwrap();
    fs::copy(owner.home.file("m.chop"), verifier.home.file("m.chop")).unwrap();
    let attest = ["attest", "model", "--artefact", id, "--zone", "CN-GBA"];

    let dry = verifier.done(&[&attest[..], &["--dry-run"]].concat());
    assert!(dry["payload"].as_str().unwrap().contains("bytes_match"), "{dry}");
    for (name, content) in [("weights.bin", "other bytes"), ("extra.bin", "extra")] {
        let path = verifier.home.file("model").join(name);
        let before = fs::read(&path).ok();
        fs::write(&path, content).unwrap();
        let error = verifier.refused(&attest, 3, "bytes_differ");
        assert!(error["message"].as_str().unwrap().contains(name), "{error}");
        match before {
            Some(before) => fs::write(&path, before).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
    }
    let path = format!("/v1/artefacts/{id}");
    assert_eq!(shown(&path)["about"]["attestations"], serde_json::json!([]), "nothing was attested so far");

    let said = verifier.done(&attest);
    assert_eq!(said["party_id"], verifier.party.as_str());
    let by_bundle = verifier.done(&["attest", "model", "--bundle", "m.chop", "--zone", "HK"]);
    let view = shown(&path);
    let attestations = view["about"]["attestations"].as_array().unwrap();
    assert_eq!(attestations.len(), 2, "{view}");
    for (attestation, (said, zone)) in attestations.iter().zip([(&said, "CN-GBA"), (&by_bundle, "HK")]) {
        assert_eq!((&attestation["statement_id"], &attestation["index"]), (&said["statement_id"], &said["index"]));
        assert_eq!(attestation["issuer"], verifier.party.as_str());
        let claim = &attestation["claim"]["bytes_match"];
        assert_eq!((&claim["zone"], &claim["artefact"]), (&zone.into(), &id.into()), "{attestation}");
        assert!(claim["tool"].as_str().unwrap().starts_with("chopmark "), "{claim}");
    }
    // Who verifies online is told, and told whose word it is.
    let online = verifier.done(&["verify", "model"]);
    assert_eq!(online["said_by_others"]["attestations"].as_array().unwrap().len(), 2, "{online}");
    assert_eq!(online["said_by_others"]["said_by"], "registry");
    let words = verifier.home.run(&["verify", "model", "--url", shared::service().url()]).stdout;
    assert!(words.contains("2 attestations and 0 endorsements, as the service says"), "{words}");
    assert!(verifier.done(&["verify", "model", "--bundle", "m.chop"])["said_by_others"].is_null());

    verifier.refused(&["attest", "model", "--artefact", &"00".repeat(32), "--zone", "HK"], 5, "not_found");
    verifier.refused(&["attest", "missing", "--artefact", id, "--zone", "HK"], 2, "not_found");
    verifier.refused(&["attest", "model", "--artefact", &owner.party, "--zone", "HK"], 5, "not_found");
}

#[test]
fn a_statement_is_endorsed_once_by_others() {
    let (owner, other) = (Somebody::new("Endorsed Owner"), Somebody::new("Endorsing Other"));
    fs::write(owner.home.file("m.bin"), "endorsed").unwrap();
    let registered = owner.done(&["register", "m.bin", "--licence", "mit"]);
    let id = registered["id"].as_str().unwrap();
    let said = other.done(&["endorse", id]);
    assert_eq!((&said["endorsed"], &said["endorsed_kind"]), (&registered["artefact_id"], &"artefact".into()));
    let view = shown(&format!("/v1/artefacts/{id}"));
    let endorsement = &view["about"]["endorsements"][0];
    assert_eq!(
        (&endorsement["issuer"], &endorsement["index"]),
        (&other.party.as_str().into(), &said["index"]),
        "{view}"
    );
    let list = shown(&format!("/v1/statements/{id}/endorsements"));
    assert_eq!(list["endorsements"], view["about"]["endorsements"]);
    assert!(list["applied_size"].as_u64().unwrap() > said["index"].as_u64().unwrap());

    let again = other.refused(&["endorse", id], 10, "already_registered");
    assert_eq!(again["existing"], said["statement_id"]);
    owner.refused(&["endorse", id], 4, "not_authorised");
    other.refused(&["endorse", &"00".repeat(32)], 5, "not_found");
    other.refused(&["endorse", "nonsense"], 2, "usage");
    // A party is a statement too.
    other.done(&["endorse", &owner.party]);
    assert_eq!(
        shown(&format!("/v1/parties/{}", owner.party))["about"]["endorsements"][0]["issuer"],
        other.party.as_str()
    );
}

#[test]
fn the_operator_says_who_a_party_is_and_takes_it_back() {
    let party = Somebody::new("Identity Verified Limited");
    let key = operator_key();
    party.refused(&["party", "verify", &party.party], 4, "not_authorised");
    let verify = ["party", "verify", party.party.as_str(), "--key", &key];
    party.refused(&[&verify[..], &["--identifier", "lei"]].concat(), 4, "not_authorised");
    let unverify = ["party", "unverify", party.party.as_str(), "--key", &key];
    party.refused(&unverify, 2, "unknown_party");
    let path = format!("/v1/parties/{}", party.party);
    assert!(shown(&path)["verified_from"].is_null());
    let said = party.done(&verify);
    let view = shown(&path);
    assert_eq!(view["verified_from"], said["index"]);
    assert!(view["about"]["attestations"][0]["claim"]["party_verified"].is_object(), "{view}");
    fs::write(party.home.file("m.bin"), "of a verified party").unwrap();
    party.done(&["register", "m.bin", "--licence", "mit"]);
    assert_eq!(party.done(&["verify", "m.bin"])["said_by_others"]["owner_verified_from"], said["index"]);
    party.done(&unverify);
    let view = shown(&path);
    assert!(view["verified_from"].is_null(), "{view}");
    assert_eq!(view["about"]["attestations"].as_array().unwrap().len(), 2, "both stay on record");
}

#[test]
fn the_name_of_a_verified_party_is_protected() {
    let key = operator_key();
    let register = |name: &[&str]| {
        let home = Home::new();
        assert_eq!(home.json(&["key", "new"]).0, 0);
        let url = shared::service().url();
        home.json(&[&["party", "register", "--jurisdiction", "HK", "--url", url], name].concat())
    };
    // The second is spelled with Cyrillic letters; traditional and simplified characters are one name.
    for (own, alike) in [
        (["--name-en", "Protected Name Incorporated"], ["--name-en", "Prоtected Namе Incorporated"]),
        (["--name-zh-hant", "受保護中國模型"], ["--name-zh-hans", "受保护中国模型"]),
    ] {
        let (code, first) = register(&own);
        assert_eq!(code, 0, "{first}");
        let (code, second) = register(&alike);
        assert_eq!(code, 0, "nobody's name is protected yet: {second}");
        let ids = [&first, &second].map(|party| party["party_id"].as_str().unwrap());
        for (party, other) in [(ids[0], ids[1]), (ids[1], ids[0])] {
            assert_eq!(shown(&format!("/v1/parties/{party}"))["look_alikes"], serde_json::json!([other]), "{alike:?}");
        }
        let somebody = Home::new();
        let operator = |verb: &str, party: &str| {
            somebody.json(&["party", verb, party, "--key", &key, "--url", shared::service().url()])
        };
        assert_eq!(operator("verify", ids[0]).0, 0);
        for names in [alike, own] {
            let (code, refused) = register(&names);
            assert_eq!((code, refused["error"]["code"].as_str()), (10, Some("name_confusable")), "{refused}");
            assert_eq!((&refused["error"]["status"], &refused["error"]["existing"]), (&409.into(), &ids[0].into()));
        }
        let (code, refused) = operator("verify", ids[1]);
        assert_eq!((code, refused["error"]["code"].as_str()), (10, Some("name_confusable")), "{refused}");
        assert_eq!(operator("unverify", ids[0]).0, 0);
        assert_eq!(operator("verify", ids[1]).0, 0, "the other one may be verified then");
        assert_eq!(register(&own).1["error"]["existing"], ids[1]);
    }
}

#[test]
fn names_that_deceive_the_eye_are_refused() {
    let service = shared::service();
    let (registry, _) = shared::registry(service);
    for (label, name) in [
        ("right to left", "Lam\u{202E}detimiL"),
        ("zero width", "Lam\u{200B} Limited"),
        ("zero width joiner", "Lam\u{200D}Limited"),
        ("full width", "Ｌａｍ Limited"),
        ("isolate", "\u{2066}Lam\u{2069}"),
        ("byte order mark", "\u{FEFF}Lam"),
    ] {
        let label = format!("deceiving {label}");
        let (author, party) = Author::new(&registry, &label, 1, 1);
        let payload: Value = serde_json::from_slice(party.envelope.payload()).unwrap();
        let payload = crate::json::with(&payload, "/predicate/claim/name/en", name.into());
        let answer = service.post(&request(&payload, &[&author.keys[0]], &[]));
        let problem = expect(&answer, "422 invalid_statement payload /predicate/claim/name/en");
        assert!(!problem["detail"].as_str().unwrap().is_empty(), "{label}");
    }
}

#[test]
fn all_attestations_are_listed_in_pages() {
    let service = shared::service();
    let (_, log_key) = shared::registry(service);
    let [owner, verifier] = ["much attested", "attests much"].map(|label| author(service, label));
    let registered = owner.artefact("much attested");
    enter(service, &registered, &log_key);
    let (id, manifest) = (registered.statement.id, small_manifest("much attested").digest());
    for number in 0..23 {
        let (zone, tool) = (ResidencyZone::HongKong, format!("tool {number}"));
        let claim = Claim::Attestation(AttestationClaim::BytesMatch { artefact: id, manifest, zone, tool });
        enter(service, &say(&verifier, &format!("attests much {number}"), &claim, None), &log_key);
    }
    let view = shown(&format!("/v1/artefacts/{id}"));
    let about = &view["about"];
    assert_eq!((about["attestations"].as_array().unwrap().len(), &about["more_attestations"]), (20, &true.into()));
    assert_eq!(about["more_endorsements"], false);
    let (mut tools, mut path) = (Vec::new(), format!("/v1/statements/{id}/attestations?limit=10"));
    loop {
        let answer = service.get(&path);
        let list = answer.json();
        let attestations = list["attestations"].as_array().unwrap().clone();
        tools.extend(attestations.into_iter().map(|row| row["claim"]["bytes_match"]["tool"].clone()));
        let Some(link) = answer.header("link") else { break };
        path = link.split(['<', '>']).nth(1).unwrap().to_owned();
    }
    assert_eq!(tools, (0..23).map(|number| Value::from(format!("tool {number}"))).collect::<Vec<_>>());
    let unknown = format!("/v1/statements/{}/attestations", "00".repeat(32));
    expect(&service.get(&unknown), "404 not_found path ");
    expect(&service.get(&format!("/v1/statements/{id}/endorsements?limit=0")), "400 bad_parameter query /limit");
    expect(&service.get(&format!("/v1/statements/{id}/endorsements?sort=1")), "400 bad_parameter query ");
    let etag = service.get(&format!("/v1/statements/{id}/endorsements"));
    let etag = etag.header("etag").unwrap();
    let again = service.get_with(&format!("/v1/statements/{id}/endorsements"), &[("if-none-match", etag)]);
    assert!(matches!(again.status, 200 | 304), "{}", again.text());
}

/// A key event by an author, the first after its creation where `seq` is 1.
pub fn key_event(
    author: &Author,
    seq: u64,
    event: KeyEvent,
    keys: &[&ed25519_dalek::SigningKey],
    label: &str,
) -> Submission {
    let mut header = author.header(Issuer::Party(author.party), 1, label);
    let mut ids: Vec<_> = keys.iter().map(|key| PublicKey::from(*key).id()).collect();
    ids.sort_unstable();
    header.signers[0].threshold = u32::try_from(ids.len()).unwrap();
    header.signers[0].keys = ids;
    let claim = Claim::Key(KeyClaim { seq, prev: author.party, event });
    let payload = Statement::compose(label, &header, &claim).unwrap();
    Submission::assemble(Envelope::sign(payload, keys), Vec::new()).unwrap()
}

#[test]
fn what_a_key_signs_after_it_went_is_not_entered() {
    let service = shared::service();
    let (registry, log_key) = shared::registry(service);
    let owner = author(service, "went away");
    let (old, new) = (owner.keys[0].clone(), key("went away, the next key"));
    let before = owner.artefact("signed in time");
    let index = enter(service, &before, &log_key);
    let rotation = KeyEvent::Rotate {
        replaced: PublicKey::from(&old).id(),
        public_key: PublicKey::from(&new),
        role: KeyRole::Root,
    };
    let rotated = key_event(&owner, 1, rotation, &[&old, &new], "went away, rotation");
    enter(service, &rotated, &log_key);

    let trust = TrustPolicy {
        registries: vec![TrustedRegistry {
            origin: registry.origin.clone(),
            log_key: log_key.to_string(),
            genesis: registry.genesis,
            allow_registry_asserted: true,
            max_status_age: None,
        }],
    };
    let bundle = |id| Bundle::parse(&service.get(&format!("/v1/statements/{id}/bundle")).body).unwrap();
    let good = bundle(before.statement.id);
    assert_eq!(good.verify(&trust).unwrap().index, index, "signed by a key that was rotated since");

    // The old key goes on signing: with the key chain as it is, and as it was. What bundles of such entries would prove is
    // tested in `signers`.
    let manifest = small_manifest("signed too late");
    let signed = |head, label: &str| {
        let mut header = owner.header(Issuer::Party(owner.party), 1, label);
        header.signers[0].key_head = Some(head);
        let claim = Claim::Artefact(Author::claim("signed too late", "1", &manifest, Vec::new()));
        let payload = Statement::compose("late", &header, &claim).unwrap();
        owner.sign(payload, vec![manifest.to_canonical_bytes()])
    };
    let late = signed(rotated.statement.id, "late, new head");
    expect(&service.post(&late.to_request()), "403 not_authorised payload /predicate/signers/0/keys");
    let pretending = signed(owner.party, "late, old head");
    expect(&service.post(&pretending.to_request()), "409 stale_key_head payload /predicate/signers/0/key_head");
}
