//! Openings: the salt and the value behind a commitment. Wiped from memory when dropped, never shown by `Debug`.

use core::fmt;

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use zeroize::{Zeroize as _, Zeroizing};

use super::{Commitment, Field, Place, Sealed};
use crate::base64;
use crate::code::ResidencyZone;
use crate::strict::{self, StrictError, present};

/// Most openings of one statement: the four figures of each of 64 considerations, twice over.
pub const OPENINGS_MAX: usize = 512;

/// Longest sealed value in canonical JSON, in bytes: tiers have far fewer.
pub const VALUE_BYTES_MAX: usize = 16 << 10;

/// 32 random bytes, made by the client for one field of one statement.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt(Zeroizing<[u8; 32]>);

impl Salt {
    /// Wraps random bytes.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// One field, opened.
#[derive(Clone, PartialEq, Eq)]
pub struct Opening {
    /// Which field.
    pub field: Field,
    /// Its salt.
    pub salt: Salt,
    /// Its value in canonical JSON; `None` when the field is not there.
    value: Option<Zeroizing<Vec<u8>>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireOpening {
    field: Field,
    salt: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
}

impl Opening {
    /// The opening of a value, or of none.
    ///
    /// # Errors
    /// A [`StrictError`] when the value has more than [`VALUE_BYTES_MAX`] bytes in canonical JSON.
    pub fn new(field: Field, salt: Salt, value: Option<&Value>) -> Result<Self, StrictError> {
        let value = value.map(strict::to_canonical).transpose()?.map(Zeroizing::new);
        if value.as_ref().is_some_and(|value| value.len() > VALUE_BYTES_MAX) {
            return Err(StrictError::new("/value", format!("a sealed value has at most {VALUE_BYTES_MAX} bytes")));
        }
        Ok(Self { field, salt, value })
    }

    /// The value in canonical JSON (RFC 8785); `None` when the field is not there.
    pub fn value(&self) -> Option<&[u8]> {
        self.value.as_ref().map(|value| value.as_slice())
    }

    /// What this opens, in the statement with this place.
    pub fn commitment(&self, place: &Place) -> Commitment {
        place.commitment(&self.field, &self.salt, self.value().map_or(Sealed::Absent, Sealed::Present))
    }

    /// Salt, tag and value as one secret to be encrypted.
    pub fn to_secret(&self) -> Zeroizing<Vec<u8>> {
        let value = self.value().unwrap_or_default();
        let mut secret = Zeroizing::new(Vec::with_capacity(33 + value.len()));
        secret.extend_from_slice(self.salt.as_bytes());
        secret.push(u8::from(self.value.is_some()));
        secret.extend_from_slice(value);
        secret
    }

    /// What [`Opening::to_secret`] wrote for this field; `None` for anything else.
    pub fn from_secret(field: Field, secret: &[u8]) -> Option<Self> {
        let (salt, rest) = secret.split_first_chunk::<32>()?;
        let value = match rest.split_first()? {
            (0, []) => None,
            (1, value) => Some(Zeroizing::new(value.to_vec())),
            _ => return None,
        };
        Some(Self { field, salt: Salt::from_random(*salt), value })
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opening({}, …)", self.field)
    }
}

impl Serialize for Opening {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.value().map(serde_json::from_slice).transpose().map_err(serde::ser::Error::custom)?;
        WireOpening { field: self.field.clone(), salt: BASE64.encode(self.salt.as_bytes()), value }
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Opening {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let WireOpening { field, mut salt, value } = WireOpening::deserialize(deserializer)?;
        let mut bytes = base64::decode(&BASE64, &salt).unwrap_or_default();
        salt.zeroize();
        let parsed = <[u8; 32]>::try_from(bytes.as_slice());
        bytes.zeroize();
        let salt = parsed.map_err(|_| de::Error::custom("a salt is 32 bytes in padded base64 (44 characters)"))?;
        Self::new(field, Salt::from_random(salt), value.as_ref()).map_err(|error| de::Error::custom(error.reason))
    }
}

/// What travels beside an envelope with sealed fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Openings {
    /// Where they may be kept.
    pub zone: ResidencyZone,
    /// One for every sealed field; none when another zone's vault keeps them.
    pub fields: Vec<Opening>,
}
