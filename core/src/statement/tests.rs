//! Statements as others may write them.

use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

use super::*;
use crate::code::Jurisdiction;
use crate::key::PublicKey;
use crate::party::{KeySet, PartyClaim};
use crate::text::Names;

/// A party's registration, as our own tools write it.
fn payload() -> Value {
    let key = PublicKey::from(&SigningKey::from_bytes(&[7; 32]));
    let claim = Claim::Party(PartyClaim {
        name: Names { en: Some("Lam AI Limited".to_owned()), ..Names::default() },
        identifiers: Vec::new(),
        jurisdiction: Jurisdiction::new("HK").unwrap(),
        root_keys: KeySet::new(vec![key.clone()], 1),
    });
    let header = Header {
        registry: Some(RegistryRef { origin: "test".to_owned(), genesis: Sha256Digest::of(b"") }),
        issuer: Issuer::Own,
        issued_at: "2026-06-01T12:00:00.000Z".parse().unwrap(),
        not_after: "2026-06-02T12:00:00.000Z".parse().unwrap(),
        nonce: Nonce::from_random([1; 16]),
        signers: vec![SignerGroup { party: Issuer::Own, key_head: None, keys: vec![key.id()], threshold: 1 }],
    };
    serde_json::from_slice(&Statement::compose("Lam AI Limited", &header, &claim).unwrap()).unwrap()
}

fn parse(payload: &Value) -> Result<Statement, Rejection> {
    Statement::parse(&serde_json::to_vec(payload).unwrap())
}

fn pointer(payload: &Value) -> String {
    parse(payload).unwrap_err().pointer
}

#[test]
fn the_subject_is_the_claim_as_it_is_written() {
    let mut payload = payload();
    assert!(parse(&payload).is_ok());
    // The same claim in other words: an empty list spelled out.
    payload["predicate"]["claim"]["identifiers"] = json!([]);
    assert_eq!(pointer(&payload), "/subject/0/digest/sha256");
    let written = Sha256Digest::of(&strict::to_canonical(&payload["predicate"]["claim"]).unwrap());
    payload["subject"][0]["digest"]["sha256"] = written.to_hex().into();
    assert_eq!(parse(&payload).unwrap().subject, written);
}

#[test]
fn a_list_of_values_is_no_object() {
    let payload = payload();
    let mut listed = 0;
    for place in ["", "/subject/0", "/subject/0/digest", "/predicate/claim", "/predicate/claim/root_keys"] {
        let mut other = payload.clone();
        let object = other.pointer_mut(place).unwrap();
        *object = object.as_object().unwrap().values().cloned().collect();
        assert_eq!(pointer(&other), place, "{other}");
        listed += 1;
    }
    assert_eq!(listed, 5);
}
