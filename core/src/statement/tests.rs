//! Statements as others may write them.

use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

use super::*;
use crate::artefact::{ArtefactKind, IpType, ManifestRef};
use crate::code::{Jurisdiction, ResidencyZone};
use crate::digest::Blake3Digest;
use crate::key::PublicKey;
use crate::licence::DeclaredLicence;
use crate::manifest::{ExclusionProfile, FileEntry, FilePath, Manifest};
use crate::party::{KeySet, PartyClaim};
use crate::text::Names;

/// A party's registration, as our own tools write it.
fn payload_of_a_party() -> Value {
    let key = PublicKey::from(&SigningKey::from_bytes(&[7; 32]));
    let claim = Claim::Party(PartyClaim {
        name: Names { en: Some("Lam AI Limited".to_owned()), ..Names::default() },
        identifiers: Vec::new(),
        jurisdiction: Jurisdiction::new("HK").unwrap(),
        root_keys: KeySet::new(vec![key], 1),
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

/// The registration of an artefact, and the key that is to sign it.
pub(crate) fn registration() -> (Vec<u8>, SigningKey) {
    let file = FileEntry {
        path: FilePath::parse("w").unwrap(),
        size_bytes: 1,
        sha256: Sha256Digest::of(b"w"),
        blake3: Some(Blake3Digest::of(b"w")),
        weights: None,
    };
    let claim = Claim::Artefact(ArtefactClaim {
        name: Names { en: Some("\"w\" \\ 模型".to_owned()), ..Names::default() },
        version: "1 \"b\"".to_owned(),
        kind: ArtefactKind::Model,
        ip_type: IpType::Copyright,
        manifest: ManifestRef::to(&Manifest::new(ExclusionProfile::V1, vec![file]).unwrap()),
        parents: Vec::new(),
        supersedes: None,
        author_jurisdiction: Jurisdiction::new("HK").unwrap(),
        residency_zone: ResidencyZone::World,
        licence: DeclaredLicence::parse("mit").unwrap(),
        accepts_conflict: false,
    });
    let key = SigningKey::from_bytes(&[3; 32]);
    let party = StatementId::of(b"party");
    let keys = vec![PublicKey::from(&key).id()];
    let header = Header {
        registry: Some(RegistryRef { origin: "a.example/log".to_owned(), genesis: Sha256Digest::of(b"genesis") }),
        issuer: Issuer::Party(party),
        issued_at: "2026-06-01T12:00:00.000Z".parse().unwrap(),
        not_after: "2026-06-02T12:00:00.000Z".parse().unwrap(),
        nonce: Nonce::from_random([7; 16]),
        signers: vec![SignerGroup { party: Issuer::Party(party), key_head: Some(party), keys, threshold: 1 }],
    };
    (Statement::compose("w", &header, &claim).unwrap(), key)
}

#[test]
fn a_registration_is_read_the_same_either_way() {
    let (payload, _) = registration();
    let quick = WireParts::of_registration(&payload).unwrap();
    assert_eq!(WireParts::of_any(&payload).unwrap().0, quick);
    let mut read = 0;
    for position in 0..payload.len() {
        for change in [1, 2, 16, 32] {
            let mut other = payload.clone();
            other[position] ^= change;
            if let Some(quick) = WireParts::of_registration(&other) {
                assert_eq!(WireParts::of_any(&other).unwrap().0, quick);
                read += 1;
            }
        }
        assert_eq!(WireParts::of_registration(&payload[..position]), None);
    }
    assert!(read > 100, "only {read} changes were read");
    // What lacks a member is read the same way or not at all, and no other member is known.
    let value: Value = serde_json::from_slice(&payload).unwrap();
    for place in ["", "/subject/0", "/predicate", "/predicate/claim", "/predicate/claim/manifest"] {
        for name in value.pointer(place).unwrap().as_object().unwrap().keys() {
            let mut other = value.clone();
            other.pointer_mut(place).unwrap().as_object_mut().unwrap().remove(name);
            let other = serde_json::to_vec(&other).unwrap();
            let quick = WireParts::of_registration(&other);
            assert!(
                quick.is_none() || WireParts::of_any(&other).is_ok_and(|(parts, _)| quick == Some(parts)),
                "{other:?}"
            );
        }
        let mut other = value.clone();
        other.pointer_mut(place).unwrap()["other"] = json!(1);
        let other = serde_json::to_vec(&other).unwrap();
        assert_eq!((WireParts::of_registration(&other), WireParts::of_any(&other).is_err()), (None, true));
    }
    assert_eq!(WireParts::of_registration(&serde_json::to_vec(&payload_of_a_party()).unwrap()), None);
}

fn parse(payload: &Value) -> Result<Statement, Rejection> {
    Statement::parse(&serde_json::to_vec(payload).unwrap())
}

fn pointer(payload: &Value) -> String {
    parse(payload).unwrap_err().pointer
}

#[test]
fn the_subject_is_the_claim_as_it_is_written() {
    let mut payload = payload_of_a_party();
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
    let payload = payload_of_a_party();
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
