//! Digests as types: a value of one algorithm can never stand in for another.
//!
//! Everything Chopmark signs or stores names its digest algorithm; text form is 64 lowercase hexadecimal characters,
//! and nothing else parses (one digest has one spelling).

use core::fmt;
use core::marker::PhantomData;
use core::str::FromStr;

use serde::de;
use sha2::Digest as _;

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 64 lowercase hexadecimal characters")]
pub struct ParseDigestError;

/// Defines a 32-byte value with one text form; also used for ids that are digests of something in particular.
macro_rules! digest_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps 32 bytes that are already a digest.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// From a slice, when it is exactly 32 bytes long.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                <[u8; 32]>::try_from(bytes).ok().map(Self)
            }

            /// 64 lowercase hexadecimal characters.
            pub fn to_hex(&self) -> String {
                ::data_encoding::HEXLOWER.encode(&self.0)
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(&self.to_hex())
            }
        }

        impl ::core::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.to_hex())
            }
        }

        impl ::core::str::FromStr for $name {
            type Err = $crate::digest::ParseDigestError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let mut bytes = [0; 32];
                if text.len() != 2 * bytes.len() {
                    return Err($crate::digest::ParseDigestError);
                }
                match ::data_encoding::HEXLOWER.decode_mut(text.as_bytes(), &mut bytes) {
                    Ok(_) => Ok(Self::from_bytes(bytes)),
                    Err(_) => Err($crate::digest::ParseDigestError),
                }
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.to_hex())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str($crate::digest::FromText(::core::marker::PhantomData))
            }
        }
    };
}
pub(crate) use digest_type;

/// Reads what is written as a text, without keeping a copy of the text.
pub(crate) struct FromText<T>(pub(crate) PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> de::Visitor<'_> for FromText<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

digest_type! {
    /// A SHA-256 digest (FIPS 180-4).
    Sha256Digest
}
digest_type! {
    /// A BLAKE3 digest with the default 32-byte output: the root of the file's chunk tree.
    Blake3Digest
}

impl Sha256Digest {
    /// SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// SHA-256 of the concatenation of `parts`, without building it.
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut hasher = sha2::Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }
}

impl Blake3Digest {
    /// BLAKE3 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_spelling_parses() {
        let digest = Sha256Digest::of(b"");
        assert_eq!(digest.to_hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(digest.to_hex().parse(), Ok(digest));
        for bad in ["", "e3b0", &digest.to_hex().to_uppercase(), &format!("{digest} "), &format!("{digest}00")] {
            assert!(bad.parse::<Sha256Digest>().is_err(), "{bad:?} parsed");
        }
    }

    #[test]
    fn parts_hash_like_their_concatenation() {
        assert_eq!(Sha256Digest::of_parts(&[b"ab", b"", b"c"]), Sha256Digest::of(b"abc"));
    }
}
