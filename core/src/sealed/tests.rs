use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::code::ResidencyZone;
use crate::strict;

fn place() -> Place {
    Place {
        registry: "chopmark.example/r 00".to_owned(),
        predicate_type: "urn:chopmark:predicate:terms:v1".to_owned(),
        issuer: "ab".to_owned(),
        nonce: "cd".to_owned(),
    }
}

fn field(name: &str) -> Field {
    format!("/consideration/0/{name}").parse().unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "called with values made on the spot")]
fn opening(name: &str, salt: u8, value: Option<Value>) -> Opening {
    Opening::new(field(name), Salt::from_random([salt; 32]), value.as_ref()).unwrap()
}

fn openings(fields: Vec<Opening>) -> Openings {
    Openings { zone: ResidencyZone::HongKong, fields }
}

fn sealed(place: &Place, openings: &[Opening]) -> Vec<SealedField> {
    let sealed =
        |opening: &Opening| SealedField { field: opening.field.clone(), commitment: opening.commitment(place) };
    openings.iter().map(sealed).collect()
}

/// Computed with Python's hashlib and struct from the formula in the documentation.
#[test]
fn commitments_are_those_of_the_formula() {
    let salt = Salt::from_random([7; 32]);
    let present = place().commitment(&field("amount"), &salt, Sealed::Present(b"\"1200.00\""));
    let absent = place().commitment(&field("amount"), &salt, Sealed::Absent);
    assert_eq!(present.to_hex(), "4496ea14cff21491e341c0a180f5aee783aebac467ed79102554362c3ba9de5e");
    assert_eq!(absent.to_hex(), "f3b3fc65521091675bd2a5c6462d83da3c740e3752315eb27be179e64f8ad2d4");
    assert_ne!(place().commitment(&field("rate"), &salt, Sealed::Absent), absent);
}

#[test]
fn every_field_is_opened_once_and_by_its_own_opening() {
    let good = vec![opening("amount", 1, Some(json!("1200.00"))), opening("rate", 2, None)];
    let there = sealed(&place(), &good);
    let code = |fields: Vec<Opening>| check(&place(), &there, Some(&openings(fields))).map_err(|error| error.code);
    assert_eq!(code(good.clone()), Ok(()));
    assert_eq!(code(good.iter().rev().cloned().collect()), Ok(()));
    assert_eq!(check(&place(), &[], None), Ok(()));
    assert_eq!(code(Vec::new()), Ok(()), "another zone's vault keeps them");

    let wrong_salt = opening("amount", 3, Some(json!("1200.00")));
    let wrong_value = opening("amount", 1, Some(json!("1200.01")));
    for wrong in [wrong_salt, wrong_value, opening("amount", 1, None)] {
        let refused = check(&place(), &there, Some(&openings(vec![wrong, good[1].clone()]))).unwrap_err();
        assert_eq!((refused.code, &*refused.pointer), (Code::CommitmentMismatch, "/openings/fields/0"));
        assert!(refused.detail.contains("/consideration/0/amount"), "{}", refused.detail);
    }
    let swapped = vec![opening("rate", 1, Some(json!("1200.00"))), opening("amount", 2, None)];
    assert_eq!(code(swapped), Err(Code::CommitmentMismatch));
    assert_eq!(code(vec![good[0].clone()]), Err(Code::OpeningMissing));
    assert_eq!(code(vec![good[0].clone(), good[0].clone()]), Err(Code::OpeningUnreferenced));
    assert_eq!(code(vec![opening("ceiling", 4, None)]), Err(Code::OpeningUnreferenced));
    let same_salt = vec![opening("amount", 1, Some(json!("1200.00"))), opening("rate", 1, None)];
    let there_same = sealed(&place(), &same_salt);
    let refused = check(&place(), &there_same, Some(&openings(same_salt))).unwrap_err();
    assert_eq!(refused.code, Code::CommitmentMismatch);
    assert_eq!(check(&place(), &there, None).unwrap_err().code, Code::OpeningMissing);
    assert!(check(&place(), &[], Some(&openings(good))).is_err());

    // A commitment of another statement, registry, kind or issuer is none here.
    for other in [
        Place { nonce: "ce".to_owned(), ..place() },
        Place { registry: "chopmark.example/r 01".to_owned(), ..place() },
        Place { predicate_type: "urn:chopmark:predicate:offer:v1".to_owned(), ..place() },
        Place { issuer: "self".to_owned(), ..place() },
        // The same bytes, divided otherwise.
        Place { issuer: "abc".to_owned(), nonce: "d".to_owned(), ..place() },
    ] {
        let elsewhere = vec![opening("amount", 1, Some(json!("1200.00"))), opening("rate", 2, None)];
        let refused = check(&other, &there, Some(&openings(elsewhere))).unwrap_err();
        assert_eq!(refused.code, Code::CommitmentMismatch, "{other:?}");
    }
}

#[test]
fn equal_values_have_different_commitments_and_no_opening_shows_in_debug() {
    let (one, other) = (opening("amount", 1, Some(json!("8.25"))), opening("amount", 2, Some(json!("8.25"))));
    assert_ne!(one.commitment(&place()), other.commitment(&place()));
    let shown = format!("{:?}", openings(vec![one]));
    assert!(!shown.contains("8.25") && !shown.contains("AQEB") && shown.contains("/consideration/0/amount"), "{shown}");
}

#[test]
fn openings_have_one_spelling() {
    let good = json!({"zone": "HK", "fields": [
        {"field": "/consideration/0/amount", "salt": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", "value": "1.00"},
        {"field": "/consideration/0/rate", "salt": "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="},
    ]});
    let read = |value: &Value| strict::from_slice::<Openings>(value.to_string().as_bytes());
    let parsed = read(&good).unwrap();
    assert_eq!(strict::to_value(&parsed).unwrap(), good);
    for (pointer, value) in [
        ("/zone", json!("US")),
        ("/fields/0/salt", json!("AQEB")),
        ("/fields/0/salt", json!("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE")),
        ("/fields/0/field", json!("amount")),
        ("/fields/0/field", json!("/a//b")),
        ("/fields/0/field", json!("/")),
        ("/fields/0/field", json!(format!("/{}", "x".repeat(FIELD_BYTES_MAX)))),
        ("/fields/0/value", json!("x".repeat(VALUE_BYTES_MAX))),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        assert!(read(&bad).is_err(), "{bad}");
    }
    for opening in parsed.fields {
        let secret = opening.to_secret();
        assert_eq!(Opening::from_secret(opening.field.clone(), &secret), Some(opening.clone()));
        assert_eq!(Opening::from_secret(opening.field, &secret[..32]), None);
    }
    assert!(field("amount").is_called("amount") && field("amount").is_called("/consideration/0/amount"));
    assert!(!field("amount").is_called("mount"));
}

proptest! {
    // Two thousand changes, none of which opens the commitment.
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_change_opens_a_commitment(salt: [u8; 32], amount in 0_u64..100_000, at in 0_usize..64, bit in 0_u32..8) {
        let value = json!(format!("{amount}.00"));
        let honest = Opening::new(field("amount"), Salt::from_random(salt), Some(&value)).unwrap();
        let commitment = honest.commitment(&place());
        let mut secret = honest.to_secret().to_vec();
        let at = at % secret.len();
        secret[at] ^= 1 << bit;
        if let Some(changed) = Opening::from_secret(field("amount"), &secret) {
            prop_assert_ne!(changed.commitment(&place()), commitment);
        }
        let moved = Opening::from_secret(field("ceiling"), &honest.to_secret()).unwrap();
        prop_assert_ne!(moved.commitment(&place()), commitment);
        prop_assert_eq!(honest.commitment(&place()), commitment);
    }
}
