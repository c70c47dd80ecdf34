//! Statement ids: whole inside signed bytes, shortened for people.
//!
//! An id is the SHA-256 of the payload. Shown ids are a prefix and 20 base32 characters (100 bits) of it.

use core::fmt;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};

use crate::digest::{Sha256Digest, digest_type};

digest_type! {
    /// SHA-256 of a statement's payload bytes: known before any signature is made, the same for every set of co-signers.
    StatementId
}

impl StatementId {
    /// The id of a payload.
    pub fn of(payload: &[u8]) -> Self {
        Self::from_bytes(*Sha256Digest::of(payload).as_bytes())
    }

    /// The form shown to people: `art_…`, `pty_…`, `stm_…`.
    pub fn shown(&self, prefix: &str) -> ShownId {
        ShownId::of(prefix, self.as_bytes())
    }
}

/// Base32 characters in a shown id; 20 × 5 = 100 bits, so collisions stay out of reach at registry scale.
const SHOWN_CHARACTERS: usize = 20;

/// An id as shown to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShownId(String);

impl ShownId {
    /// The shown form of 32 bytes that identify something.
    pub(crate) fn of(prefix: &str, id: &[u8; 32]) -> Self {
        let text = BASE32_NOPAD.encode(id).to_ascii_lowercase();
        Self(format!("{prefix}_{}", text.get(..SHOWN_CHARACTERS).unwrap_or_default()))
    }
}

impl fmt::Display for ShownId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a person or a URL may give to name a statement: the whole id, or a shown one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdReference {
    /// 64 hexadecimal characters.
    Full(StatementId),
    /// A shown id: every statement id between the two bounds, inclusive.
    Shown {
        /// Smallest id with these first 100 bits.
        low: StatementId,
        /// Largest id with these first 100 bits.
        high: StatementId,
    },
}

impl core::str::FromStr for IdReference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Full(id));
        }
        let error =
            || format!("{text:?} is not an id: expected 64 hexadecimal characters, or a shown id such as art_…");
        let (prefix, characters) = text.split_once('_').ok_or_else(error)?;
        let well_formed = (2..=4).contains(&prefix.len())
            && prefix.bytes().all(|byte| byte.is_ascii_lowercase())
            && characters.len() == SHOWN_CHARACTERS
            && characters.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if !well_formed {
            return Err(error());
        }
        // 32 bytes are 52 base32 characters with one bit to spare; 'a' is all zeros, '7' all ones, and the last
        // character may only use its highest bit.
        let bound = |fill: &str, last: &str| -> Result<StatementId, String> {
            let text = format!("{characters}{}{last}", fill.repeat(51 - SHOWN_CHARACTERS)).to_ascii_uppercase();
            let bytes = BASE32_NOPAD.decode(text.as_bytes()).map_err(|_| error())?;
            StatementId::from_slice(&bytes).ok_or_else(error)
        };
        Ok(Self::Shown { low: bound("a", "a")?, high: bound("7", "q")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_id_finds_its_statement_and_no_neighbour() {
        for payload in [&b""[..], b"a", b"chopmark"] {
            let id = StatementId::of(payload);
            let IdReference::Shown { low, high } = id.shown("art").to_string().parse().unwrap() else { panic!() };
            assert!(low <= id && id <= high);
            assert_eq!(low.as_bytes().get(..12), high.as_bytes().get(..12));
            assert_ne!(low.as_bytes().get(..13), high.as_bytes().get(..13));
        }
        let id = StatementId::of(b"x");
        assert_eq!(id.to_hex().parse(), Ok(IdReference::Full(id)));
    }

    #[test]
    fn other_texts_are_no_ids() {
        for bad in [
            "",
            "art_",
            "art_aaaa",
            "ART_aaaaaaaaaaaaaaaaaaaa",
            "art_aaaaaaaaaaaaaaaaaaa1",
            "art_aaaaaaaaaaaaaaaaaaaaa",
        ] {
            assert!(bad.parse::<IdReference>().is_err(), "{bad}");
        }
    }
}
