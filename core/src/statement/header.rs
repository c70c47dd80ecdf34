//! The part every predicate shares: where it counts, who says it, until when it may be admitted, who must sign.
//!
//! These members make a statement worthless anywhere but at the one registry, kind and moment it was signed for.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{SIGNATURES_MAX, StatementId};
use crate::digest::Sha256Digest;
use crate::key::KeyId;
use crate::kind::Claim;
use crate::strict::{StrictError, present};
use crate::time::Timestamp;

/// Names one registry for ever.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryRef {
    /// The log's origin, the first line of its checkpoints.
    pub origin: String,
    /// Leaf hash (RFC 6962) of entry 0.
    pub genesis: Sha256Digest,
}

/// Who makes a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issuer {
    /// The party this very statement creates; written `self`.
    Own,
    /// A registered party, by the id of the statement that created it.
    Party(StatementId),
}

impl Serialize for Issuer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Own => serializer.serialize_str("self"),
            Self::Party(id) => id.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Issuer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "self" {
            return Ok(Self::Own);
        }
        text.parse().map(Self::Party).map_err(|_| de::Error::custom("a party id (64 hexadecimal characters) or self"))
    }
}

/// 16 to 32 random bytes, unique per issuer, in lowercase hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(Vec<u8>);

impl Nonce {
    /// Wraps random bytes.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(bytes.to_vec())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for Nonce {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Nonce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match HEXLOWER.decode(text.as_bytes()) {
            Ok(bytes) if (16..=32).contains(&bytes.len()) => Ok(Self(bytes)),
            _ => Err(de::Error::custom("a nonce is 16 to 32 random bytes in lowercase hexadecimal")),
        }
    }
}

/// The keys of one party that are asked to sign, and how many of them must.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerGroup {
    /// Whose keys.
    pub party: Issuer,
    /// The party's latest key event when the statement was made: pins the key set the signers had in mind.
    /// `null`, and never absent, for a party that this statement creates.
    #[serde(deserialize_with = "Option::deserialize")]
    pub key_head: Option<StatementId>,
    /// Key ids, ascending.
    pub keys: Vec<KeyId>,
    /// How many of the keys must sign.
    pub threshold: u32,
}

/// What every predicate carries beside its claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The registry this statement is for; absent only in the statement that founds one.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistryRef>,
    /// Who says it.
    pub issuer: Issuer,
    /// When the issuer says it was made. A claim: order is the index.
    pub issued_at: Timestamp,
    /// After this moment the registry refuses it.
    pub not_after: Timestamp,
    /// Random, unique per issuer.
    pub nonce: Nonce,
    /// Who must sign, one group per party, the issuer's group first.
    pub signers: Vec<SignerGroup>,
}

impl Header {
    /// Checks what needs no knowledge of the registry.
    ///
    /// # Errors
    /// A [`StrictError`] with a pointer relative to the predicate.
    pub fn validate(&self, claim: &Claim) -> Result<(), StrictError> {
        if self.registry.is_none() != claim.founds_registry() {
            let reason = if self.registry.is_none() {
                "missing field `registry`"
            } else {
                "the statement that founds a registry can't name one"
            };
            return Err(StrictError::new("/registry", reason));
        }
        if (self.issuer == Issuer::Own) != claim.creates_party() {
            let reason = if self.issuer == Issuer::Own {
                "only a statement that creates a party is issued by self"
            } else {
                "a statement that creates a party is issued by self"
            };
            return Err(StrictError::new("/issuer", reason));
        }
        if self.not_after <= self.issued_at {
            return Err(StrictError::new("/not_after", "must be later than issued_at"));
        }
        match self.signers.first() {
            Some(first) if first.party == self.issuer => {}
            _ => return Err(StrictError::new("/signers", "the first group of signers is the issuer's")),
        }
        if self.signers.iter().map(|group| group.keys.len()).sum::<usize>() > SIGNATURES_MAX {
            return Err(StrictError::new("/signers", format!("at most {SIGNATURES_MAX} keys can be asked to sign")));
        }
        for (position, group) in self.signers.iter().enumerate() {
            self.validate_group(position, group).map_err(|error| error.under(&format!("/signers/{position}")))?;
        }
        Ok(())
    }

    fn validate_group(&self, position: usize, group: &SignerGroup) -> Result<(), StrictError> {
        let earlier = self.signers.get(..position).unwrap_or_default();
        if earlier.iter().any(|other| other.party == group.party) {
            return Err(StrictError::new("/party", "this party already has a group of signers"));
        }
        if position > 0 && group.party == Issuer::Own {
            return Err(StrictError::new("/party", "only the first group can be self"));
        }
        if group.key_head.is_none() != (group.party == Issuer::Own) {
            return Err(StrictError::new("/key_head", "null for self, otherwise the party's latest key event"));
        }
        if group.keys.is_empty() || !group.keys.is_sorted_by(|a, b| a < b) {
            return Err(StrictError::new("/keys", "at least one key id, in ascending order, none twice"));
        }
        if earlier.iter().any(|other| other.keys.iter().any(|key| group.keys.contains(key))) {
            return Err(StrictError::new("/keys", "a key can sign for one party only"));
        }
        let possible = u32::try_from(group.keys.len()).unwrap_or(u32::MAX);
        if group.threshold == 0 || group.threshold > possible {
            return Err(StrictError::new("/threshold", format!("must be between 1 and {possible}")));
        }
        Ok(())
    }
}
