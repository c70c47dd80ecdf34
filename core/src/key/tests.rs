use core::ops::{Add, Mul};

use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer as _, Verifier as _, VerifyingKey};
use serde::Deserialize;
use sha2::{Digest as _, Sha512};

use super::*;

/// One case of the ed25519-speccheck suite (Chalkias, Garillot, Nikolaenko, 2020), copied unchanged from `cases.json` of
/// novifinancial/ed25519-speccheck, commit 65519336fda78a3d016e947df6d82848aca0c9da, under Apache-2.0.
#[derive(Deserialize)]
struct Case {
    message: String,
    pub_key: String,
    signature: String,
}

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
}

fn speccheck() -> Vec<Case> {
    serde_json::from_str(include_str!("ed25519_speccheck.json")).unwrap()
}

#[test]
fn strict_verification_accepts_only_speccheck_vector_3() {
    let cases = speccheck();
    assert_eq!(cases.len(), 12);
    let accepted: Vec<usize> = (0..cases.len())
        .filter(|&number| {
            let case = &cases[number];
            let Ok(key) = VerifyingKey::from_bytes(&bytes(&case.pub_key)) else { return false };
            let message = HEXLOWER.decode(case.message.as_bytes()).unwrap();
            key.verify_strict(&message, &Signature::from_bytes(&bytes(&case.signature))).is_ok()
        })
        .collect();
    assert_eq!(accepted, [3]);
}

#[test]
fn admission_says_what_is_wrong_with_each_speccheck_key() {
    let verdicts: Vec<_> = speccheck().iter().map(|case| PublicKey::admit(&bytes(&case.pub_key)).map(|_| ())).collect();
    assert_eq!(
        verdicts,
        [
            Err(KeyError::SmallOrder),
            Err(KeyError::SmallOrder),
            Err(KeyError::MixedOrder),
            Err(KeyError::MixedOrder),
            Err(KeyError::MixedOrder),
            Err(KeyError::MixedOrder),
            Ok(()),
            Ok(()),
            Err(KeyError::MixedOrder),
            Err(KeyError::MixedOrder),
            Err(KeyError::NotCanonical),
            Err(KeyError::NotCanonical),
        ]
    );
}

fn secret(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

#[test]
fn keys_made_from_secrets_pass_admission() {
    for seed in 0..=50 {
        let key = PublicKey::from(&secret(seed));
        assert_eq!(PublicKey::admit(key.as_bytes()), Ok(key));
    }
}

/// RFC 8032, section 7.1, test 2.
#[test]
fn the_published_signature_verifies_and_no_altered_one_does() {
    let key = PublicKey::admit(&bytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")).unwrap();
    let signature: [u8; 64] = bytes(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    );
    assert_eq!(key.verify(b"\x72", &signature), Ok(()));
    assert_eq!(key.verify(b"\x73", &signature), Err(SignatureError));
    assert_eq!(key.verify(b"", &signature), Err(SignatureError));
    assert_eq!(PublicKey::from(&secret(1)).verify(b"\x72", &signature), Err(SignatureError));
    for bit in 0..512 {
        let mut altered = signature;
        altered[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(key.verify(b"\x72", &altered), Err(SignatureError), "bit {bit}");
    }
}

/// S = k·a with R the identity satisfies the equation for any message; only strict verification looks at R's order.
#[test]
fn a_signature_with_a_small_order_r_does_not_verify() {
    let (secret, message) = (secret(1), b"message");
    let key = PublicKey::from(&secret);
    let identity: [u8; 32] = bytes("0100000000000000000000000000000000000000000000000000000000000000");
    let hash = Sha512::new().chain_update(identity).chain_update(key.as_bytes()).chain_update(message).finalize();
    let s = reduced(&hash, &secret.to_scalar()) * secret.to_scalar();
    let signature: [u8; 64] = [identity, s.to_bytes()].concat().try_into().unwrap();
    // Control: the signature is one that lenient verification accepts.
    assert!(secret.verifying_key().verify(message, &Signature::from_bytes(&signature)).is_ok());
    assert_eq!(key.verify(message, &signature), Err(SignatureError));
}

/// A little-endian number modulo the group order, in the type of `like`.
fn reduced<S: From<u64> + Mul<Output = S> + Add<Output = S>>(little_endian: &[u8], _like: &S) -> S {
    little_endian.iter().rev().fold(S::from(0), |sum, byte| sum * S::from(256) + S::from(u64::from(*byte)))
}

/// Points of order 8, 4 and 2.
const TORSION: [&str; 3] = [
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

#[test]
fn a_point_shifted_by_torsion_is_not_admitted() {
    // Adding any of them to an honest key leaves the prime-order group.
    for order in TORSION {
        let torsion = VerifyingKey::from_bytes(&bytes(order)).unwrap();
        assert_eq!(PublicKey::admit(&bytes(order)), Err(KeyError::SmallOrder));
        for seed in 1..=5 {
            let shifted = secret(seed).verifying_key().to_edwards() + torsion.to_edwards();
            assert_eq!(PublicKey::admit(shifted.compress().as_bytes()), Err(KeyError::MixedOrder));
        }
    }
}

#[test]
fn other_spellings_and_other_bytes_are_not_admitted() {
    let identity = "0100000000000000000000000000000000000000000000000000000000000000";
    let unreduced_identity = "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"; // y = p + 1
    let negative_zero = "0100000000000000000000000000000000000000000000000000000000000080";
    let no_point = "0200000000000000000000000000000000000000000000000000000000000000";
    assert_eq!(PublicKey::admit(&bytes(identity)), Err(KeyError::SmallOrder));
    assert_eq!(PublicKey::admit(&bytes(unreduced_identity)), Err(KeyError::NotCanonical));
    assert_eq!(PublicKey::admit(&bytes(negative_zero)), Err(KeyError::NotCanonical));
    assert_eq!(PublicKey::admit(&bytes(no_point)), Err(KeyError::NotOnCurve));
}

#[test]
fn a_key_has_one_text_form() {
    let key = PublicKey::from(&secret(1));
    let text = key.to_string();
    assert_eq!(text.len(), 44);
    assert_eq!(text.parse(), Ok(key));
    assert_eq!(serde_json::to_string(&key).unwrap(), format!("\"{text}\""));
    assert_eq!(serde_json::from_str::<PublicKey>(&format!("\"{text}\"")).unwrap(), key);
    let url_alphabet = text.replace('+', "-").replace('/', "_");
    for bad in ["", "AAAA", text.trim_end_matches('='), &format!("{text} "), &format!("{text}AAAA")] {
        assert_eq!(bad.parse::<PublicKey>(), Err(KeyError::Encoding), "{bad:?}");
    }
    assert!(url_alphabet == text || url_alphabet.parse::<PublicKey>().is_err());
    let small_order = BASE64.encode(&[0; 32]);
    assert_eq!(small_order.parse::<PublicKey>(), Err(KeyError::SmallOrder));
    let refused = serde_json::from_str::<PublicKey>(&format!("\"{small_order}\"")).unwrap_err().to_string();
    assert!(refused.starts_with(&KeyError::SmallOrder.to_string()), "{refused}");
}

#[test]
fn a_key_id_is_the_digest_of_the_key() {
    let key = PublicKey::from(&secret(1));
    let id = key.id();
    assert_eq!(id.digest(), Sha256Digest::of(key.as_bytes()));
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{id}\""));
    assert_eq!(serde_json::from_str::<KeyId>(&format!("\"{id}\"")).unwrap(), KeyId::from_digest(id.digest()));
    assert!(id.to_string().to_uppercase().parse::<KeyId>().is_err());
}

/// The verdict of both kinds of key, which has to be one.
fn verdict(key: &PublicKey, message: &[u8], signature: &[u8; 64]) -> bool {
    let verdict = key.verify(message, signature);
    assert_eq!(PreparedKey::new(key).verify(message, signature), verdict, "{key} {message:?} {signature:?}");
    verdict.is_ok()
}

#[test]
fn a_prepared_key_is_as_strict() {
    let mut accepted = 0;
    for case in speccheck() {
        let message = HEXLOWER.decode(case.message.as_bytes()).unwrap();
        if let Ok(key) = PublicKey::admit(&bytes(&case.pub_key)) {
            assert!(!verdict(&key, &message, &bytes(&case.signature)), "S is not reduced");
        }
        // The same signatures under other keys.
        for seed in 1..=3 {
            accepted += u32::from(verdict(&PublicKey::from(&secret(seed)), &message, &bytes(&case.signature)));
        }
    }
    assert_eq!(accepted, 0);

    let (secret, message) = (secret(9), b"a message".as_slice());
    let key = PublicKey::from(&secret);
    let honest = secret.sign(message).to_bytes();
    assert!(verdict(&key, message, &honest));
    assert!(!verdict(&key, b"another", &honest));
    for bit in 0..512 {
        let mut altered = honest;
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(!verdict(&key, message, &altered), "bit {bit}");
    }

    // Signatures that only whoever has the secret can make: S = r + k·a over an R of our choice, for r = 0 or r = 1.
    let base = VerifyingKey::from_bytes(&BASE_POINT).unwrap().to_edwards();
    let made = |r_bytes: [u8; 32], r: u64| -> [u8; 64] {
        let hash = Sha512::new().chain_update(r_bytes).chain_update(key.as_bytes()).chain_update(message).finalize();
        let a = secret.to_scalar();
        let s = reduced(&hash, &a) * a + reduced(&r.to_le_bytes(), &a);
        [r_bytes, s.to_bytes()].concat().try_into().unwrap()
    };
    assert!(verdict(&key, message, &made(BASE_POINT, 1)), "the control: R = B is an honest choice, if not a wise one");
    for order in TORSION {
        let torsion = VerifyingKey::from_bytes(&bytes(order)).unwrap().to_edwards();
        assert!(!verdict(&key, message, &made((base + torsion).compress().to_bytes(), 1)), "R with torsion");
        assert!(!verdict(&key, message, &made(bytes(order), 0)), "R of small order");
    }
    for identity in [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0100000000000000000000000000000000000000000000000000000000000080",
    ] {
        assert!(!verdict(&key, message, &made(bytes(identity), 0)), "{identity}");
    }
}

/// RFC 8032, section 5.1.
const BASE_POINT: [u8; 32] = {
    let mut bytes = [0x66; 32];
    bytes[0] = 0x58;
    bytes
};

proptest::proptest! {
    #[test]
    fn a_prepared_key_judges_any_bytes_alike(seed: u8, message: Vec<u8>, other in proptest::array::uniform32(0_u8..), flip in 0_usize..600) {
        let secret = secret(seed);
        let key = PublicKey::from(&secret);
        let mut signature = secret.sign(&message).to_bytes();
        if flip < 512 {
            signature[flip / 8] ^= 1 << (flip % 8);
        }
        proptest::prop_assert_eq!(verdict(&key, &message, &signature), flip >= 512);
        signature[..32].copy_from_slice(&other);
        proptest::prop_assert!(!verdict(&key, &message, &signature));
    }
}
