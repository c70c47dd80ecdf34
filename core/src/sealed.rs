//! Sealed fields: in the log stands a commitment; whoever has the opening can show the value, and nothing but that value.
//!
//! A commitment is made for one field of one statement at one registry. Every field of a schema has one, in schema order,
//! whether it has a value or not, so that nothing shows by its absence. Openings travel beside the envelope and never
//! enter the log; a registry recomputes each commitment before it takes the statement in.

mod disclosure;
mod opening;

pub use self::disclosure::{DISCLOSURE_BYTES_MAX, DISCLOSURE_SCHEMA, Disclosed, Disclosure};
pub use self::opening::{OPENINGS_MAX, Opening, Openings, Salt, VALUE_BYTES_MAX};

use core::fmt;
use core::str::FromStr;

use data_encoding::HEXLOWER;

use crate::admission::{Code, Rejection};
use crate::digest::{Sha256Digest, digest_type};
use crate::statement::{Header, Issuer};
use crate::strict::StrictError;

/// Longest name of a field, in bytes: a pointer of a few tokens.
pub const FIELD_BYTES_MAX: usize = 200;

digest_type! {
    /// A commitment to a confidential value: what enters the public log in its place. Its opening – a salt of 32 random
    /// bytes and the value – is shown to those concerned, and proves that field and nothing else.
    Commitment
}

/// Domain of commitments.
const COMMITMENT_DOMAIN: &[u8] = b"chopmark/field/v1\0";

/// Which field a value belongs to: a JSON pointer (RFC 6901) into the document or claim that holds the commitment, with
/// the place of the open value: `/consideration/0/amount`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Field(String);

impl Field {
    /// The pointer.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether somebody who writes `text` means this field: the whole pointer, or its last token.
    pub fn is_called(&self, text: &str) -> bool {
        self.0 == text || self.0.rsplit('/').next() == Some(text)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'/');
        let is_pointer = text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(|token| !token.is_empty()));
        if is_pointer && text.len() <= FIELD_BYTES_MAX && text.bytes().all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a field is a JSON pointer such as /consideration/0/amount".to_owned())
        }
    }
}

impl serde::Serialize for Field {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Field {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A sealed field of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedField {
    /// Which one.
    pub field: Field,
    /// What stands in the log.
    pub commitment: Commitment,
}

/// What a commitment is bound to beside its field: one statement at one registry. One made for it is none anywhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The registry: its origin and the hex of its genesis leaf hash, with a space between.
    pub registry: String,
    /// Predicate type of the statement.
    pub predicate_type: String,
    /// The issuer, as written in the statement.
    pub issuer: String,
    /// The statement's nonce, as written in it.
    pub nonce: String,
}

/// A confidential value, or that there is none; both are committed to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sealed<'a> {
    /// The field is not there.
    Absent,
    /// The field's JSON value in canonical form (RFC 8785).
    Present(&'a [u8]),
}

impl Place {
    /// The place of a statement with this header.
    pub fn of(header: &Header, predicate_type: &str) -> Self {
        let registry = header.registry.as_ref().map(|registry| format!("{} {}", registry.origin, registry.genesis));
        Self {
            registry: registry.unwrap_or_default(),
            predicate_type: predicate_type.to_owned(),
            issuer: match header.issuer {
                Issuer::Own => "self".to_owned(),
                Issuer::Party(party) => party.to_hex(),
            },
            nonce: HEXLOWER.encode(header.nonce.as_bytes()),
        }
    }

    /// `SHA-256("chopmark/field/v1" ‖ 0x00 ‖ lp(registry) ‖ lp(predicateType) ‖ lp(issuer) ‖ lp(nonce) ‖ lp(field) ‖
    /// lp(salt) ‖ lp(value))`, where `lp` writes the length in four bytes, most significant first, before the bytes.
    /// A value is tagged: one byte 0 when absent, one byte 1 before it when present.
    pub fn commitment(&self, field: &Field, salt: &Salt, value: Sealed<'_>) -> Commitment {
        let (tag, value): (&[u8], &[u8]) = match value {
            Sealed::Absent => (&[0], &[]),
            Sealed::Present(bytes) => (&[1], bytes),
        };
        // Nothing that is committed to comes near four gigabytes.
        let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
        let texts = [&self.registry, &self.predicate_type, &self.issuer, &self.nonce, &field.0];
        let lengths = [texts.map(|text| length(text.len())).as_slice(), &[length(salt.as_bytes().len())]].concat();
        let mut parts: Vec<&[u8]> = vec![COMMITMENT_DOMAIN];
        for (length, part) in
            lengths.iter().zip(texts.iter().map(|text| text.as_bytes()).chain([salt.as_bytes().as_slice()]))
        {
            parts.extend([length.as_slice(), part]);
        }
        let value_length = length(tag.len() + value.len());
        parts.extend([value_length.as_slice(), tag, value]);
        Commitment::from_bytes(*Sha256Digest::of_parts(&parts).as_bytes())
    }
}

/// Checks openings against the sealed fields of a statement: each field has exactly one, and each is the opening of the
/// commitment that stands there.
///
/// # Errors
/// A [`Rejection`] that names the opening in the request, and its field in words.
pub fn check(place: &Place, sealed: &[SealedField], openings: Option<&Openings>) -> Result<(), Rejection> {
    let refuse = |code, pointer: String, reason: String| Rejection::in_request(code, StrictError::new(pointer, reason));
    let Some(openings) = openings else {
        return match sealed.first() {
            None => Ok(()),
            Some(first) => {
                let reason = format!(
                    "{} is sealed: send the opening of every sealed field beside the envelope, or none and the zone \
                     whose vault keeps them",
                    first.field
                );
                Err(refuse(Code::OpeningMissing, "/openings".to_owned(), reason))
            }
        };
    };
    if openings.fields.is_empty() && !sealed.is_empty() {
        return Ok(());
    }
    check_fields(place, sealed, &openings.fields)
}

/// As [`check`], where every sealed field has to be opened.
///
/// # Errors
/// As [`check`].
pub fn check_fields(place: &Place, sealed: &[SealedField], openings: &[Opening]) -> Result<(), Rejection> {
    let refuse = |code, pointer: String, reason: String| Rejection::in_request(code, StrictError::new(pointer, reason));
    for (position, opening) in openings.iter().enumerate() {
        let at = |member: &str| format!("/openings/fields/{position}{member}");
        let earlier = openings.iter().take(position);
        let Some(there) = sealed.iter().find(|there| there.field == opening.field) else {
            let reason = format!("the statement has no sealed field {}", opening.field);
            return Err(refuse(Code::OpeningUnreferenced, at("/field"), reason));
        };
        for other in earlier {
            if other.field == opening.field {
                return Err(refuse(Code::OpeningUnreferenced, at("/field"), "this field is opened twice".to_owned()));
            }
            if other.salt == opening.salt {
                let reason = "another field has this salt; every field has 32 random bytes of its own".to_owned();
                return Err(refuse(Code::CommitmentMismatch, at("/salt"), reason));
            }
        }
        if opening.commitment(place) != there.commitment {
            let reason = format!(
                "this salt and value are not what {} commits to in this statement ({})",
                opening.field, there.commitment
            );
            return Err(refuse(Code::CommitmentMismatch, at(""), reason));
        }
    }
    match sealed.iter().find(|there| openings.iter().all(|opening| opening.field != there.field)) {
        None => Ok(()),
        Some(missing) => {
            let reason = format!("the opening of {} is missing; absent values have one, too", missing.field);
            Err(refuse(Code::OpeningMissing, "/openings/fields".to_owned(), reason))
        }
    }
}

#[cfg(test)]
mod tests;
