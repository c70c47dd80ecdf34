//! Tokens: `chop_live_<id>_<secret>_<checksum>`, shown once and kept as a hash.
//!
//! The id finds the row, the secret of 256 bits is what nobody guesses, and the checksum (CRC-32) tells a mistyped token
//! from a wrong one without asking anybody: scanners of leaked secrets rely on it.

use core::fmt;
use core::str::FromStr;

use data_encoding::BASE32_NOPAD;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::digest::Sha256Digest;

/// Start of every token.
const PREFIX: &str = "chop_live_";

/// Characters of an id: 80 bits, so that ids don't meet and none is worth guessing.
const ID_CHARACTERS: usize = 16;

/// Characters of a secret: 256 bits.
const SECRET_CHARACTERS: usize = 52;

/// What a token is found by. No secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(String);

impl TokenId {
    /// The id of 10 random bytes.
    pub fn from_random(bytes: [u8; 10]) -> Self {
        Self(BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
    }

    /// The id as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TokenId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() == ID_CHARACTERS && is_base32(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("an id of a token has {ID_CHARACTERS} letters and digits, as `chopmark token list` shows them"))
        }
    }
}

/// A token. Its text is a secret: wiped from memory when dropped, never shown by `Debug`.
#[derive(Clone)]
pub struct Token {
    id: TokenId,
    text: Zeroizing<String>,
}

impl Token {
    /// A token of random bytes.
    pub fn from_random(id: [u8; 10], secret: &[u8; 32]) -> Self {
        let id = TokenId::from_random(id);
        let secret = Zeroizing::new(BASE32_NOPAD.encode(secret).to_ascii_lowercase());
        let signed = Zeroizing::new(format!("{PREFIX}{id}_{}", *secret));
        let text = Zeroizing::new(format!("{}_{:08x}", *signed, crc32(signed.as_bytes())));
        Self { id, text }
    }

    /// Reads a token; `None` when it is none, for whatever reason.
    pub fn parse(text: &str) -> Option<Self> {
        let (signed, checksum) = text.rsplit_once('_')?;
        let (id, secret) = signed.strip_prefix(PREFIX)?.split_once('_')?;
        let is_whole = secret.len() == SECRET_CHARACTERS && is_base32(secret);
        if !is_whole || checksum != format!("{:08x}", crc32(signed.as_bytes())) {
            return None;
        }
        Some(Self { id: id.parse().ok()?, text: Zeroizing::new(text.to_owned()) })
    }

    /// What it is found by.
    pub fn id(&self) -> &TokenId {
        &self.id
    }

    /// The whole token, to be shown once.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What is kept of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.text)
    }
}

/// SHA-256 of a whole token. Two are compared in constant time:
///
/// ```
/// # use chopmark_core::token::TokenHash;
/// assert!(TokenHash::of("one").is(&TokenHash::of("one")));
/// ```
///
/// And in no other way:
///
/// ```compile_fail,E0369
/// # use chopmark_core::token::TokenHash;
/// assert!(TokenHash::of("one") == TokenHash::of("one"));
/// ```
#[derive(Clone, Copy)]
pub struct TokenHash(Sha256Digest);

impl TokenHash {
    /// That of a text, which need not be a token.
    pub fn of(text: &str) -> Self {
        Self(Sha256Digest::of(text.as_bytes()))
    }

    /// One that was kept; `None` unless it has 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        Sha256Digest::from_slice(bytes).map(Self)
    }

    /// The bytes, to be kept.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Whether both are the same; takes as long wherever they differ.
    pub fn is(&self, other: &Self) -> bool {
        self.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, …)", self.id)
    }
}

fn is_base32(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
}

/// CRC-32 as in ISO 3309 and zlib.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    let fold = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc));
    !bytes.iter().fold(u32::MAX, fold)
}

/// What a party key signs to log in: bytes that are no statement, for this registry and party, and for one challenge.
///
/// DSSE (which signs statements) begins with `DSSEv1`, and a checkpoint with its origin: none of them can be mistaken for
/// this, nor this for them.
pub fn login_message(origin: &str, genesis: &Sha256Digest, party: &str, challenge: &str, expires_at: &str) -> Vec<u8> {
    format!("chopmark.login/v1\n{origin}\n{genesis}\n{party}\n{challenge}\n{expires_at}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_token_has_one_spelling_and_every_change_is_noticed() {
        let token = Token::from_random([1; 10], &[2; 32]);
        let text = token.expose();
        assert_eq!(text.len(), PREFIX.len() + ID_CHARACTERS + 1 + SECRET_CHARACTERS + 1 + 8);
        let read = Token::parse(text).unwrap();
        assert!(read.id() == token.id() && read.hash().is(&token.hash()));
        let other = TokenHash::of(&text[1..]);
        assert!(!token.hash().is(&other) && TokenHash::from_slice(other.as_bytes()).unwrap().is(&other));
        for at in 0..text.len() {
            assert!(Token::parse(&text[..at]).is_none(), "truncated at {at}");
            for change in [1, 2, 4, 8, 16, 32] {
                let mut other = text.as_bytes().to_vec();
                other[at] ^= change;
                assert!(str::from_utf8(&other).ok().is_none_or(|other| Token::parse(other).is_none()), "{at}");
            }
        }
        for bad in [format!("{text} "), text.to_uppercase(), format!(" {text}"), format!("{text}_")] {
            assert!(Token::parse(&bad).is_none(), "{bad}");
        }
        assert!(!format!("{token:?}").contains(&text[PREFIX.len() + ID_CHARACTERS + 1..]));
    }
}
