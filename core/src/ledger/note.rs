//! C2SP signed notes: a text, a blank line, and signature lines of which a reader knows some keys.
//!
//! Ed25519 (type 0x01) is the one algorithm checked here; lines of other types and other keys pass through unread, as
//! the format demands, so witnesses and further algorithms can sign beside the log. Relies on [`crate::key`].

use core::fmt;
use core::str::FromStr;

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::base64;
use crate::digest::Sha256Digest;
use crate::key::{KeyError, PublicKey};

/// Largest note read, in bytes: sixteen post-quantum signature lines need 107 KiB.
pub const NOTE_BYTES_MAX: usize = 256 * 1024;
/// Most signature lines read. The format demands at least 16.
pub const NOTE_SIGNATURES_MAX: usize = 64;

/// Signature type of Ed25519 over the note text.
const ED25519: u8 = 0x01;
/// What every signature line begins with: U+2014 and a space.
const SIGNATURE_MARK: &str = "— ";

/// Why a text is not a verifier key, or a name and key cannot become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifierKeyError {
    /// Not the three parts, or one of them in another spelling.
    #[error("a verifier key reads <name>+<8 lowercase hexadecimal digits>+<base64>: copy it again, whole")]
    Format,
    /// Names stand in signature lines, so they cannot hold what separates the parts of one.
    #[error("the key name {name:?} is empty or holds a space, a plus sign or a control character: choose another")]
    Name {
        /// The name that was refused.
        name: String,
    },
    /// Only Ed25519 note keys are supported.
    #[error("the verifier key has signature type {found:#04x}, only Ed25519 (0x01) is supported")]
    Type {
        /// Type byte found.
        found: u8,
    },
    /// The id does not belong to this name and key: one of the three was altered.
    #[error("the verifier key's id is not that of its name and public key: copy it again from the operator")]
    Id,
    /// The public key was not admitted.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Why a note is malformed or not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Larger than [`NOTE_BYTES_MAX`].
    #[error("the note has {found} bytes, at most {NOTE_BYTES_MAX} are read")]
    TooLarge {
        /// Size of the note in bytes.
        found: usize,
    },
    /// A control character other than the newline.
    #[error("line {line} of the note holds a control character")]
    ControlCharacter {
        /// Line, from 1.
        line: usize,
    },
    /// The text must consist of lines that all end.
    #[error("the note's text must be at least one line and end with a newline")]
    Text,
    /// No blank line followed by signature lines that all end.
    #[error("the note must end with a blank line and one or more signature lines, each with its newline")]
    Unsigned,
    /// More than [`NOTE_SIGNATURES_MAX`] signature lines.
    #[error("the note has more than {NOTE_SIGNATURES_MAX} signature lines")]
    TooManySignatures,
    /// A line after the blank one is not a signature line.
    #[error("signature line {line} does not read: em dash, space, key name, space, base64 of key id and signature")]
    SignatureLine {
        /// Place among the signature lines, from 1.
        line: usize,
    },
    /// A known key's signature does not verify, so nothing in the note is believed.
    #[error("the signature by {name} ({id}) does not verify: the note was altered")]
    BadSignature {
        /// Name of the key.
        name: String,
        /// Id of the key.
        id: NoteKeyId,
    },
    /// No signature is by a key in the list.
    #[error("no key you trust signed this note: check the trusted verifier keys, and that this is the right log")]
    NoKnownKey,
}

/// The four-byte key id of signature lines: the start of SHA-256(name ‖ 0x0A ‖ type ‖ public key). A hint, not a
/// commitment: anyone can find a key with a given id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoteKeyId([u8; 4]);

impl NoteKeyId {
    fn of_ed25519(name: &str, key: &PublicKey) -> Self {
        let digest = Sha256Digest::of_parts(&[name.as_bytes(), b"\n", &[ED25519], key.as_bytes()]);
        let [a, b, c, d, ..] = *digest.as_bytes();
        Self([a, b, c, d])
    }

    /// The four bytes as they stand before the signature.
    pub fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }
}

/// Eight lowercase hexadecimal digits.
impl fmt::Display for NoteKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

fn is_key_name(name: &str) -> bool {
    let refused = |character: char| character.is_whitespace() || character.is_control() || character == '+';
    !name.is_empty() && !name.contains(refused)
}

/// A named Ed25519 key that notes are checked with. Text and JSON form (*vkey*): `<name>+<key id>+<base64(0x01 ‖ key)>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VerifierKey {
    name: String,
    id: NoteKeyId,
    key: PublicKey,
}

impl VerifierKey {
    /// Names an admitted key.
    ///
    /// # Errors
    ///
    /// [`VerifierKeyError::Name`] when the name is empty or holds a Unicode space, a plus sign or a control character.
    pub fn new(name: impl Into<String>, key: PublicKey) -> Result<Self, VerifierKeyError> {
        let name = name.into();
        if !is_key_name(&name) {
            return Err(VerifierKeyError::Name { name });
        }
        Ok(Self { id: NoteKeyId::of_ed25519(&name, &key), name, key })
    }

    /// Name of the signer; for a log, its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id that its signature lines carry.
    pub fn id(&self) -> NoteKeyId {
        self.id
    }

    /// The public key.
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let material = [&[ED25519], self.key.as_bytes().as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, self.id, BASE64.encode(&material))
    }
}

impl FromStr for VerifierKey {
    type Err = VerifierKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Base64 may hold plus signs of its own; names and ids cannot.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(material)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VerifierKeyError::Format);
        };
        let id = HEXLOWER.decode(id.as_bytes()).map_err(|_| VerifierKeyError::Format)?;
        let material = base64::decode(&BASE64, material).map_err(|_| VerifierKeyError::Format)?;
        let (found, key) = material.split_first().ok_or(VerifierKeyError::Format)?;
        if *found != ED25519 {
            return Err(VerifierKeyError::Type { found: *found });
        }
        let key = PublicKey::admit(key.try_into().map_err(|_| VerifierKeyError::Format)?)?;
        let read = Self::new(name, key)?;
        if read.id.0.as_slice() == id { Ok(read) } else { Err(VerifierKeyError::Id) }
    }
}

impl Serialize for VerifierKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for VerifierKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A named Ed25519 secret key that signs notes. The secret is wiped when dropped and never shown.
#[derive(Clone)]
pub struct NoteSigner {
    secret: SigningKey,
    verifier: VerifierKey,
}

impl NoteSigner {
    /// Names a secret key.
    ///
    /// # Errors
    ///
    /// [`VerifierKeyError::Name`] as for [`VerifierKey::new`].
    pub fn new(name: impl Into<String>, secret: SigningKey) -> Result<Self, VerifierKeyError> {
        let verifier = VerifierKey::new(name, PublicKey::from(&secret))?;
        Ok(Self { secret, verifier })
    }

    /// The key that others check this signer's notes with.
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.verifier
    }

    fn sign(&self, text: &str) -> NoteSignature {
        let signature = self.secret.sign(text.as_bytes()).to_bytes().to_vec();
        NoteSignature { name: self.verifier.name.clone(), id: self.verifier.id, signature }
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoteSigner").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}

/// One signature line, of whatever type; nothing is known about it until [`Note::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    id: NoteKeyId,
    signature: Vec<u8>,
}

impl NoteSignature {
    /// Reads a line without its newline.
    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(SIGNATURE_MARK)?.split_once(' ')?;
        let bytes = base64::decode(&BASE64, encoded).ok()?;
        let (id, signature) = bytes.split_first_chunk()?;
        let complete = is_key_name(name) && !signature.is_empty();
        complete.then(|| Self { name: name.to_owned(), id: NoteKeyId(*id), signature: signature.to_vec() })
    }

    /// Name of the key said to have signed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Id of the key said to have signed.
    pub fn id(&self) -> NoteKeyId {
        self.id
    }

    /// The signature bytes after the key id; 64 for Ed25519.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    fn is_by(&self, key: &VerifierKey) -> bool {
        self.id == key.id && self.name == key.name
    }

    fn verifies(&self, key: &VerifierKey, text: &str) -> bool {
        let signature = <&[u8; 64]>::try_from(self.signature.as_slice());
        signature.is_ok_and(|signature| key.key.verify(text.as_bytes(), signature).is_ok())
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.id.0.as_slice(), &self.signature].concat();
        writeln!(f, "{SIGNATURE_MARK}{} {}", self.name, BASE64.encode(&bytes))
    }
}

/// A well-formed note; its text means nothing before [`Note::verify`] succeeds.
///
/// Displaying it gives back exactly the bytes that were parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// Signs a text with every signer, in order.
    ///
    /// # Errors
    ///
    /// [`NoteError`] when the text, or the number of signers, does not make a well-formed note.
    pub fn sign<'a>(text: String, signers: impl IntoIterator<Item = &'a NoteSigner>) -> Result<Self, NoteError> {
        check_characters(&text)?;
        if !text.ends_with('\n') {
            return Err(NoteError::Text);
        }
        let signatures: Vec<_> = signers.into_iter().map(|signer| signer.sign(&text)).collect();
        match signatures.len() {
            0 => Err(NoteError::Unsigned),
            1..=NOTE_SIGNATURES_MAX => Ok(Self { text, signatures }),
            _ => Err(NoteError::TooManySignatures),
        }
    }

    /// Reads a note. The last blank line separates text from signatures; every line after it must be a signature.
    ///
    /// # Errors
    ///
    /// [`NoteError`] naming the line that is not as the format demands.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        check_characters(note)?;
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(NoteError::Unsigned)?;
        let signatures = signatures.strip_suffix('\n').ok_or(NoteError::Unsigned)?;
        if signatures.split('\n').count() > NOTE_SIGNATURES_MAX {
            return Err(NoteError::TooManySignatures);
        }
        let signatures = signatures
            .split('\n')
            .enumerate()
            .map(|(at, line)| NoteSignature::parse(line).ok_or(NoteError::SignatureLine { line: at + 1 }))
            .collect::<Result<_, _>>()?;
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// The text, with its final newline, without the blank line. Unverified: see [`Note::verify`].
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signature lines, known or not.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Checks every signature that is by one of `keys` and returns the keys that signed, each once.
    ///
    /// Lines by other keys are ignored, also when name or id (not both) is that of a known key.
    ///
    /// # Errors
    ///
    /// [`NoteError::BadSignature`] when one signature by a known key fails, [`NoteError::NoKnownKey`] when there is none.
    pub fn verify<'a>(&self, keys: &'a [VerifierKey]) -> Result<Vec<&'a VerifierKey>, NoteError> {
        let mut signed = Vec::new();
        for key in keys {
            let mut by_key = self.signatures.iter().filter(|line| line.is_by(key)).peekable();
            if by_key.peek().is_none() || signed.contains(&key) {
                continue;
            }
            if !by_key.all(|line| line.verifies(key, &self.text)) {
                return Err(NoteError::BadSignature { name: key.name.clone(), id: key.id });
            }
            signed.push(key);
        }
        if signed.is_empty() { Err(NoteError::NoKnownKey) } else { Ok(signed) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| line.fmt(f))
    }
}

/// The format forbids characters below U+0020 except the newline; UTF-8 itself is settled by the type.
fn check_characters(note: &str) -> Result<(), NoteError> {
    if note.len() > NOTE_BYTES_MAX {
        return Err(NoteError::TooLarge { found: note.len() });
    }
    match note.split('\n').position(|line| line.bytes().any(|byte| byte < 0x20)) {
        Some(at) => Err(NoteError::ControlCharacter { line: at + 1 }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
