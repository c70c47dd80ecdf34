//! In what a list is written: told, or found out. GB18030 and Big5 share most of their bytes, so what is found out has to be
//! clear; where it is not, nobody guesses.

use encoding_rs::{BIG5, Encoding, GB18030};

use crate::arguments::ListEncoding;

/// Share of characters, in hundredths, that has to be in common use for an encoding to be the right one.
const COMMON_PERCENT_MIN: usize = 90;

/// How much more of them, in hundredths, than for the other one.
const COMMON_PERCENT_LEAD: usize = 15;

/// Text, and what it was written in.
#[derive(Debug)]
pub(super) struct Decoded {
    /// The text.
    pub(super) text: String,
    /// `utf-8`, `gb18030` or `big5`.
    pub(super) encoding: &'static str,
}

/// Why bytes are no text: at which line, where that is known.
#[derive(Debug)]
pub(super) struct Undecodable {
    /// The line, from 1.
    pub(super) line: Option<u64>,
    /// What is wrong, and what to do.
    pub(super) reason: String,
}

/// Decodes a list.
///
/// # Errors
/// [`Undecodable`].
pub(super) fn decode(bytes: &[u8], told: Option<ListEncoding>) -> Result<Decoded, Undecodable> {
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        let reason = "it is UTF-16; save it as CSV in UTF-8, GB18030 or Big5".to_owned();
        return Err(Undecodable { line: None, reason });
    }
    match told {
        Some(ListEncoding::Utf8) => utf8(bytes),
        Some(ListEncoding::Gb18030) => double_byte(bytes, GB18030, "gb18030"),
        Some(ListEncoding::Big5) => double_byte(bytes, BIG5, "big5"),
        None => utf8(bytes).or_else(|error| if has_bom(bytes) { Err(error) } else { found_out(bytes) }),
    }
}

fn has_bom(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xEF, 0xBB, 0xBF])
}

fn utf8(bytes: &[u8]) -> Result<Decoded, Undecodable> {
    let bytes = bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(bytes);
    match core::str::from_utf8(bytes) {
        Ok(text) => Ok(Decoded { text: text.to_owned(), encoding: "utf-8" }),
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = line_of(before);
            Err(Undecodable { line: Some(line), reason: "is not UTF-8; say what it is with --encoding".to_owned() })
        }
    }
}

fn line_of(before: &[u8]) -> u64 {
    crate::units::length(before.split(|byte| *byte == b'\n').count())
}

fn double_byte(bytes: &[u8], encoding: &'static Encoding, name: &'static str) -> Result<Decoded, Undecodable> {
    if let Some(text) = encoding.decode_without_bom_handling_and_without_replacement(bytes) {
        return Ok(Decoded { text: text.into_owned(), encoding: name });
    }
    // No second byte of a character is a line feed in either of them, so that lines can be looked at one by one.
    let is_wrong = |line: &&[u8]| encoding.decode_without_bom_handling_and_without_replacement(line).is_none();
    let line = bytes.split(|byte| *byte == b'\n').position(|line| is_wrong(&line));
    let line = line.map(|line| crate::units::length(line).saturating_add(1));
    Err(Undecodable { line, reason: format!("is not {name}; say what it is with --encoding") })
}

/// Characters of two bytes by how common they are, as shares of all in hundredths; nothing where there are none.
fn common_percent(bytes: &[u8], is_common: impl Fn(u8, u8) -> bool) -> Option<usize> {
    let (mut all, mut common) = (0_usize, 0_usize);
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (0x81.., [second, tail @ ..]) => {
                all += 1;
                common += usize::from(is_common(*first, *second));
                tail
            }
            _ => tail,
        };
    }
    (all > 0).then(|| common * 100 / all)
}

/// The plane of GB2312 with the 3,755 characters in common use, and its punctuation.
const fn is_common_gb(first: u8, second: u8) -> bool {
    second >= 0xA1 && second != 0xFF && matches!(first, 0xA1..=0xA3 | 0xB0..=0xD7)
}

/// The plane of Big5 with the 5,401 characters in common use, and its punctuation.
const fn is_common_big5(first: u8, second: u8) -> bool {
    matches!(second, 0x40..=0x7E | 0xA1..=0xFE) && matches!(first, 0xA1..=0xC6)
}

fn found_out(bytes: &[u8]) -> Result<Decoded, Undecodable> {
    let gb = double_byte(bytes, GB18030, "gb18030").ok().zip(common_percent(bytes, is_common_gb));
    let big5 = double_byte(bytes, BIG5, "big5").ok().zip(common_percent(bytes, is_common_big5));
    let is_clear =
        |own: usize, other: usize| own >= COMMON_PERCENT_MIN && own >= other.saturating_add(COMMON_PERCENT_LEAD);
    let unclear = |reason: &str| Err(Undecodable { line: None, reason: reason.to_owned() });
    match (gb, big5) {
        (Some((text, _)), None) | (None, Some((text, _))) => Ok(text),
        (Some((text, own)), Some((_, other))) if is_clear(own, other) => Ok(text),
        (Some((_, other)), Some((text, own))) if is_clear(own, other) => Ok(text),
        (Some(_), Some(_)) => unclear("it could be GB18030 or Big5; say which with --encoding"),
        (None, None) => unclear("it is neither UTF-8 nor GB18030 nor Big5"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRADITIONAL: &str = "document,payee_name\n發票一號,香港軟件發展有限公司\n發票二號,新界設計及專利顧問公司\n";
    const SIMPLIFIED: &str = "document,payee_name\n发票一号,深圳软件开发有限公司\n发票二号,广州设计与专利顾问公司\n";

    #[test]
    fn what_a_list_is_written_in_is_found_out() {
        for (text, encoding, name) in
            [(TRADITIONAL, BIG5, "big5"), (SIMPLIFIED, GB18030, "gb18030"), (TRADITIONAL, encoding_rs::UTF_8, "utf-8")]
        {
            let (bytes, _, is_lossy) = encoding.encode(text);
            assert!(!is_lossy);
            let decoded = decode(&bytes, None).unwrap();
            assert_eq!((decoded.text.as_str(), decoded.encoding), (text, name));
        }
        let bom = [b"\xEF\xBB\xBF", SIMPLIFIED.as_bytes()].concat();
        assert_eq!(decode(&bom, None).unwrap().text, SIMPLIFIED);
        assert_eq!(decode(&bom, Some(ListEncoding::Utf8)).unwrap().text, SIMPLIFIED);
    }

    #[test]
    fn traditional_characters_in_gb18030_are_not_guessed_at() {
        let (bytes, _, _) = GB18030.encode(TRADITIONAL);
        let found = decode(&bytes, None);
        // Either it is found out rightly, or nobody guesses.
        assert!(found.is_err() || found.unwrap().text == TRADITIONAL);
        assert_eq!(decode(&bytes, Some(ListEncoding::Gb18030)).unwrap().text, TRADITIONAL);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line() {
        let error = decode(b"a\nb\n\xFFc", Some(ListEncoding::Utf8)).unwrap_err();
        assert_eq!(error.line, Some(3));
        let error = decode(b"a\n\xFF\xFF\n", Some(ListEncoding::Big5)).unwrap_err();
        assert_eq!(error.line, Some(2));
        assert!(decode(b"\xFF\xFEa\0", None).unwrap_err().reason.contains("UTF-16"));
        assert!(decode(b"\xFF\xFF\xFF", None).is_err());
    }
}
