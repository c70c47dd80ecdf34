//! Base64 with one spelling for each text of bytes and alphabet: padding stands at the end and nowhere else.
//!
//! `data-encoding` checks alphabet, padding and trailing bits, but reads several padded pieces in a row as one text, which
//! few other readers do (RFC 4648 knows no such thing). What is signed must not have two spellings.

use data_encoding::{DecodeError, DecodeKind, Encoding};

/// Decodes a text that is one piece.
///
/// # Errors
/// A [`DecodeError`] with the position of what does not belong there.
pub fn decode(encoding: &Encoding, text: &str) -> Result<Vec<u8>, DecodeError> {
    let body = text.trim_end_matches('=');
    match body.find('=') {
        Some(position) => Err(DecodeError { position, kind: DecodeKind::Padding }),
        None => encoding.decode(text.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::{BASE64, BASE64_NOPAD};

    use super::*;

    #[test]
    fn a_text_is_one_piece() {
        assert_eq!(decode(&BASE64, "SGVsbG8="), Ok(b"Hello".to_vec()));
        assert_eq!(decode(&BASE64_NOPAD, "SGVsbG8"), Ok(b"Hello".to_vec()));
        assert_eq!(BASE64.decode(b"SGU=bGxv"), Ok(b"Hello".to_vec()), "this module is needed no more");
        for bad in ["SGU=bGxv", "SA==ZQ==bGxv", "SGVsbG8", "SGVsbG9=", "SGVsbG8==", "====", "SGVsbG8=\n", "A"] {
            assert!(decode(&BASE64, bad).is_err(), "{bad}");
        }
    }
}
