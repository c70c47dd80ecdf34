//! Ed25519 public keys that have been admitted, and the one way signatures are checked.
//!
//! A [`PublicKey`] cannot exist unless its 32 bytes are the only spelling of a point in the prime-order group, so a
//! signature means the same thing to every verifier. Relies on `ed25519-dalek` and on its strict verification alone; what
//! checks very many signatures of few keys ([`PreparedKey`]) asks the same question of the same curve library.

mod prepared;

pub use prepared::{PreparedKey, PreparedKeys, VerifyingKey};

use core::fmt;
use core::str::FromStr;

use data_encoding::BASE64;
use ed25519_dalek::{Signature, SigningKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::base64;
use crate::digest::{ParseDigestError, Sha256Digest};

/// Why 32 bytes, or a text, are not a public key that Chopmark accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is not 32 bytes in padded standard base64.
    #[error("a public key is 32 bytes in padded standard base64 (44 characters)")]
    Encoding,
    /// The bytes do not decode to a point of the curve (RFC 8032, section 5.1.3).
    #[error("the public key is not a point of the Ed25519 curve: make a new key")]
    NotOnCurve,
    /// The point has another spelling, the canonical one: here y is not reduced, or x = 0 carries a sign bit.
    #[error("the public key is not in canonical encoding: make a new key")]
    NotCanonical,
    /// The point has order 1, 2, 4 or 8: one signature would fit almost any message.
    #[error("the public key has small order, anyone could sign with it: make a new key")]
    SmallOrder,
    /// The point has a small-order component: verifiers disagree about signatures under such keys.
    #[error("the public key lies outside the prime-order group: make a new key")]
    MixedOrder,
}

/// The signature is not one by this key over this message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify under this key")]
pub struct SignatureError;

/// An Ed25519 public key (RFC 8032) that passed admission.
///
/// The parsed point is kept, so checking many signatures decodes the key once. Text and JSON form: the 32 bytes in
/// padded standard base64, and no other spelling parses. Keys are equal, and ordered, as their bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

impl PublicKey {
    /// Admits a key: on the curve, canonically encoded, not of small order, free of torsion.
    ///
    /// # Errors
    ///
    /// The first rule the key breaks. A weak-key check alone would let mixed-order keys in (speccheck vector 3).
    pub fn admit(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotOnCurve)?;
        let point = key.to_edwards();
        if point.compress().as_bytes() != bytes {
            return Err(KeyError::NotCanonical);
        }
        if point.is_small_order() {
            return Err(KeyError::SmallOrder);
        }
        if !point.is_torsion_free() {
            return Err(KeyError::MixedOrder);
        }
        Ok(Self(key))
    }

    /// The 32 bytes as RFC 8032 encodes them.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The id under which statements name this key.
    pub fn id(&self) -> KeyId {
        KeyId(Sha256Digest::of(self.as_bytes()))
    }

    /// Checks `signature` (R ‖ S, 64 bytes) over `message`, strictly: S reduced, R canonical and not of small order.
    ///
    /// # Errors
    ///
    /// [`SignatureError`] when any of that fails.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), SignatureError> {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| SignatureError)
    }
}

/// A key made from a secret is a clamped multiple of the base point, which passes admission by construction.
impl From<&SigningKey> for PublicKey {
    fn from(secret: &SigningKey) -> Self {
        Self(secret.verifying_key())
    }
}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(self.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = base64::decode(&BASE64, text).map_err(|_| KeyError::Encoding)?;
        Self::admit(&bytes.try_into().map_err(|_| KeyError::Encoding)?)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The id of a signing key: SHA-256 of its 32 public bytes, written as 64 lowercase hexadecimal characters.
///
/// Not to be confused with the four-byte key ids of signed notes ([`crate::ledger::note`]), which also cover a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(Sha256Digest);

impl KeyId {
    /// Wraps a digest that was read from a statement or a table.
    pub const fn from_digest(digest: Sha256Digest) -> Self {
        Self(digest)
    }

    /// The digest itself.
    pub const fn digest(&self) -> Sha256Digest {
        self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests;
