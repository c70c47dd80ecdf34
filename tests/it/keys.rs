//! Keys over time, through the real binary: what a key signed while it could stays provable, what it signs later is
//! refused, and a bundle whose key chain was tampered with proves nothing.

use std::fs;

use serde_json::Value;

use crate::harness::Home;
use crate::shared;

/// A party with one root key, and two more key files nobody knows yet.
struct Party {
    home: Home,
    url: &'static str,
}

impl Party {
    fn new() -> Self {
        let party = Self { home: Home::new(), url: shared::service().url() };
        party.done(&["key", "new"]);
        party.done(&["party", "register", "--jurisdiction", "HK", "--name-en", "Keeper Limited"]);
        for file in ["machine.key", "next.key"] {
            party.done(&["key", "new", "--out", file]);
        }
        fs::create_dir(party.home.file("model")).unwrap();
        fs::write(party.home.file("model/weights.bin"), party.key_id("machine.key")).unwrap();
        party
    }

    fn run(&self, arguments: &[&str]) -> (i32, Value) {
        self.home.json(&[arguments, &["--url", self.url]].concat())
    }

    fn done(&self, arguments: &[&str]) -> Value {
        let (code, document) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {document}");
        document
    }

    fn refused(&self, arguments: &[&str], exit: i32, code: &str) {
        let (found, document) = self.run(arguments);
        assert_eq!((found, document["error"]["code"].as_str()), (exit, Some(code)), "{arguments:?}: {document}");
    }

    fn key_id(&self, file: &str) -> String {
        self.done(&["key", "show", "--key", file])["keys"][0]["key_id"].as_str().unwrap().to_owned()
    }

    /// Registers the model under a version, signed by a key, into a bundle named after the version.
    fn register<'a>(&self, version: &'a str, key: &'a str, bundle: &'a str) -> (i32, Value) {
        self.run(&["register", "model", "--licence", "mit", "--version", version, "--key", key, "--out", bundle])
    }

    fn verify(&self, bundle: &str) -> i32 {
        self.run(&["verify", "model", "--bundle", bundle, "--offline"]).0
    }

    fn chain(&self, bundle: &str) -> (Value, usize) {
        let document: Value = serde_json::from_slice(&fs::read(self.home.file(bundle)).unwrap()).unwrap();
        let length = document["key_chains"][0]["entries"].as_array().unwrap().len();
        (document, length)
    }
}

#[test]
fn a_signing_key_registers_alone_and_hands_over() {
    let party = Party::new();
    let machine = party.key_id("machine.key");
    let (code, _) = party.register("1", "machine.key", "early.chop");
    assert_eq!(code, 4, "nobody has said yet that this key speaks for the party");

    let added = party.done(&["key", "add", "machine.key"]);
    assert_eq!(added["seq"], 1);
    assert_eq!(party.register("1", "machine.key", "one.chop").0, 0);
    assert_eq!((party.verify("one.chop"), party.chain("one.chop").1), (0, 2));
    party.refused(&["key", "add", "next.key", "--key", "machine.key"], 4, "threshold_not_met");

    assert_eq!(party.done(&["key", "rotate", &machine, "next.key"])["seq"], 2);
    assert_eq!(party.register("2", "machine.key", "late.chop").0, 4, "it was replaced");
    assert_eq!(party.register("2", "next.key", "two.chop").0, 0);
    assert_eq!(party.verify("one.chop"), 0, "what it signed before stays proved");
    assert_eq!((party.verify("two.chop"), party.chain("two.chop").1), (0, 3));

    let next = party.key_id("next.key");
    party.done(&["key", "revoke", &next, "--reason", "compromised", "--key", "next.key"]);
    assert_eq!(party.register("3", "next.key", "late.chop").0, 4, "it was revoked");
    assert_eq!(party.verify("two.chop"), 0, "the revocation came after");
    party.refused(&["key", "rotate", &next, "machine.key"], 2, "usage");
    party.refused(&["key", "add", "machine.key"], 10, "key_in_use");

    let party_id = added["party_id"].as_str().unwrap();
    let shown = shared::service().get(&format!("/v1/parties/{party_id}")).json();
    assert_eq!(shown["key_seq"], 3);
    let ended = shown["keys"].as_array().unwrap().iter().filter(|key| key["valid_until"].is_u64()).count();
    assert_eq!(ended, 2);
}

/// Root keys sign together or not at all: one that is at hand beside a signing key has no part in what that signs alone.
#[test]
fn a_signing_key_signs_alone_whatever_else_is_at_hand() {
    let party = Party::new();
    party.done(&["key", "add", "machine.key"]);
    let root = party.home.config().join("key");
    let keys = ["--key", root.to_str().unwrap(), "--key", "machine.key"];
    let answer = party.done(&[&["register", "model", "--licence", "mit"], &keys[..]].concat());
    let id = answer["artefact_id"].as_str().unwrap();
    let stored = shared::service().get(&format!("/v1/statements/{id}")).json();
    let signatures = stored["envelope"]["signatures"].as_array().unwrap();
    let signed: Vec<&str> = signatures.iter().map(|signature| signature["keyid"].as_str().unwrap()).collect();
    assert_eq!(signed, [party.key_id("machine.key")]);
    assert_eq!(party.verify("model.chop"), 0);
}

#[test]
fn the_last_root_key_stays() {
    let party = Party::new();
    let (_, shown) = party.run(&["key", "show"]);
    let root = shown["keys"][0]["key_id"].as_str().unwrap().to_owned();
    party.refused(&["key", "revoke", &root, "--reason", "lost"], 10, "would_lock_out");
    party.done(&["key", "add", "next.key", "--role", "root"]);
    party.done(&["key", "revoke", &root, "--reason", "retired"]);
    assert_eq!(party.register("1", "next.key", "one.chop").0, 0);
    assert_eq!(party.verify("one.chop"), 0);
}

#[test]
fn a_tampered_key_chain_proves_nothing() {
    let party = Party::new();
    let machine = party.key_id("machine.key");
    party.done(&["key", "add", "machine.key"]);
    party.done(&["key", "rotate", &machine, "next.key"]);
    assert_eq!(party.register("1", "next.key", "one.chop").0, 0);
    assert_eq!(party.verify("one.chop"), 0);
    let (document, length) = party.chain("one.chop");
    assert_eq!(length, 3);
    let tampered = |name: &str, edit: &dyn Fn(&mut Vec<Value>)| {
        let mut document = document.clone();
        edit(document["key_chains"][0]["entries"].as_array_mut().unwrap());
        fs::write(party.home.file(name), document.to_string()).unwrap();
        assert_eq!(party.verify(name), 6, "{name}");
    };
    for missing in 0..length {
        tampered(&format!("without-{missing}.chop"), &|entries| {
            entries.remove(missing);
        });
    }
    tampered("swapped.chop", &|entries| entries.swap(1, 2));
    tampered("doubled.chop", &|entries| entries.push(entries[2].clone()));
    tampered("borrowed.chop", &|entries| entries[2] = document["statement"].clone());
}
