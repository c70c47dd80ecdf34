//! The ledger's public formats: the RFC 6962 tree, C2SP tiles, signed checkpoints and offline proofs.
//!
//! Everything here is bytes in, bytes out. Storage answers a plan ([`tree::ProofPlan`]) with tiles, so no trait ties
//! these formats to a database, a runtime or the network.

use data_encoding::BASE64;

use crate::base64;
use crate::digest::Sha256Digest;

pub mod checkpoint;
pub mod edge;
pub mod note;
pub mod proof;
pub mod tile;
pub mod tree;

/// Reads an ASCII decimal that has no sign and no leading zeroes, as checkpoints and proofs write numbers.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    if canonical && text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Reads a hash written as 44 characters of padded standard base64.
pub(crate) fn parse_hash(text: &str) -> Option<Sha256Digest> {
    Sha256Digest::from_slice(&base64::decode(&BASE64, text).ok()?)
}

/// Writes a hash as [`parse_hash`] reads it.
pub(crate) fn format_hash(hash: &Sha256Digest) -> String {
    BASE64.encode(hash.as_bytes())
}

#[cfg(test)]
mod fixtures;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_spelling() {
        assert_eq!(parse_decimal("0"), Some(0));
        assert_eq!(parse_decimal("18446744073709551615"), Some(u64::MAX));
        for bad in ["", "00", "01", "+1", "-0", " 1", "1 ", "1_0", "0x1", "１", "18446744073709551616"] {
            assert_eq!(parse_decimal(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_hash_has_one_spelling() {
        let text = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert_eq!(parse_hash(text), Some(Sha256Digest::of(b"")));
        assert_eq!(format_hash(&Sha256Digest::of(b"")), text);
        // Not padded, URL alphabet, a stray trailing bit, a line break inside, too short, too long.
        for bad in [
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
            "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
            "47DEQpj8HBSa+/TImW+5\nJCeuQeRkm5NMpJWZG3hSuFU=",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuA==",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFUA",
        ] {
            assert_eq!(parse_hash(bad), None, "{bad:?}");
        }
    }
}
