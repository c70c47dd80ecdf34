//! DSSE envelopes: the signed bytes and their signatures, in the one form the ledger stores.
//!
//! Any valid spelling is read (member order, white space, either base64 alphabet); one spelling is written, and that
//! is the log entry. Source: secure-systems-lab/dsse, protocol and envelope.

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD};
use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Header, SignerGroup, StatementId};
use crate::admission::{Code, Rejection};
use crate::base64;
use crate::key::{KeyId, PublicKey, VerifyingKey};
use crate::strict::{self, StrictError};

/// The only payload type read and written.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// Most signatures on one statement. A co-signed title with every owner's threshold keys stays well below.
pub const SIGNATURES_MAX: usize = 64;

/// Longest log entry in bytes: tlog-tiles entry bundles write the length as a 16-bit number.
pub const ENTRY_BYTES_MAX: usize = 65_535;

/// One signature and the key it claims to be by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// SHA-256 of the public key.
    pub key_id: KeyId,
    /// Ed25519 signature over the pre-authentication encoding.
    pub signature: [u8; 64],
}

/// A payload with its signatures, sorted by key id.
#[derive(Debug, Clone)]
pub struct Envelope {
    payload: Vec<u8>,
    signatures: Vec<Signature>,
    /// Where each signature stood in what was sent, so that a refusal points at the right one.
    places: Vec<usize>,
}

/// The order in which signatures were sent is no part of what an envelope says.
impl PartialEq for Envelope {
    fn eq(&self, other: &Self) -> bool {
        (&self.payload, &self.signatures) == (&other.payload, &other.signatures)
    }
}

impl Eq for Envelope {}

/// Members in the order they are stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WireEnvelope {
    #[serde(rename = "payloadType")]
    payload_type: String,
    payload: String,
    signatures: Vec<WireSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSignature {
    keyid: KeyId,
    sig: String,
}

impl Envelope {
    /// Signs a payload with every given key.
    pub fn sign(payload: Vec<u8>, keys: &[&SigningKey]) -> Self {
        let encoding = pre_authentication_encoding(&payload);
        let signatures = keys
            .iter()
            .map(|key| Signature { key_id: PublicKey::from(*key).id(), signature: key.sign(&encoding).to_bytes() })
            .collect();
        Self::assemble(payload, signatures)
    }

    fn assemble(payload: Vec<u8>, mut signatures: Vec<Signature>) -> Self {
        signatures.sort_by_key(|signature| signature.key_id);
        let places = (0..signatures.len()).collect();
        Self { payload, signatures, places }
    }

    /// Reads an envelope from JSON bytes.
    ///
    /// # Errors
    /// A [`StrictError`] naming the member.
    pub fn parse(bytes: &[u8]) -> Result<Self, StrictError> {
        strict::from_slice::<WireEnvelope>(bytes)?.try_into()
    }

    /// Reads the stored form ([`Envelope::to_bytes`]) and nothing else, in a fraction of the time; `None` for every other
    /// spelling, acceptable or not.
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok()?;
        let text =
            text.strip_prefix("{\"payloadType\":\"")?.strip_prefix(PAYLOAD_TYPE)?.strip_prefix("\",\"payload\":\"")?;
        let (payload, signatures) = text.split_once('"')?;
        let payload = BASE64.decode(payload.as_bytes()).ok()?;
        let mut found: Vec<Signature> = Vec::new();
        for signature in signatures.strip_prefix(",\"signatures\":[{")?.strip_suffix("}]}")?.split("},{") {
            let members = signature.strip_prefix("\"keyid\":\"")?.strip_suffix('"')?;
            let (key_id, signature) = members.split_once("\",\"sig\":\"")?;
            let signature = BASE64.decode(signature.as_bytes()).ok()?.try_into().ok()?;
            found.push(Signature { key_id: key_id.parse().ok()?, signature });
        }
        // Base64 and key ids have one spelling each here, so that what was read is written as it stood.
        let is_possible = found.len() <= SIGNATURES_MAX && found.is_sorted_by(|a, b| a.key_id < b.key_id);
        is_possible.then(|| Self::assemble(payload, found))
    }

    /// Reads an envelope from a strictly parsed JSON value.
    ///
    /// # Errors
    /// A [`StrictError`] naming the member.
    pub fn from_value(value: &Value) -> Result<Self, StrictError> {
        strict::decode::<WireEnvelope>(value)?.try_into()
    }

    /// The signatures of both on the same payload, one of each key; `None` when the payloads differ.
    ///
    /// Of two signatures by one key the first is kept: which of them are valid is another question.
    pub fn merge(self, other: Self) -> Option<Self> {
        if self.payload != other.payload {
            return None;
        }
        let Self { payload, mut signatures, .. } = self;
        for signature in other.signatures {
            if signatures.iter().all(|own| own.key_id != signature.key_id) {
                signatures.push(signature);
            }
        }
        Some(Self::assemble(payload, signatures))
    }

    /// The stored form: fixed member order, signatures ascending by key id, standard padded base64, no white space.
    /// These bytes are the log entry.
    pub fn to_bytes(&self) -> Vec<u8> {
        let signatures = self.signatures.iter().map(|Signature { key_id, signature }| {
            format!(r#"{{"keyid":"{key_id}","sig":"{}"}}"#, BASE64.encode(signature))
        });
        format!(
            r#"{{"payloadType":"{PAYLOAD_TYPE}","payload":"{}","signatures":[{}]}}"#,
            BASE64.encode(&self.payload),
            signatures.collect::<Vec<_>>().join(",")
        )
        .into_bytes()
    }

    /// The signed bytes.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// SHA-256 of the payload.
    pub fn statement_id(&self) -> StatementId {
        StatementId::of(&self.payload)
    }

    /// The signatures, ascending by key id.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Checks that every signature is by a listed key and valid, and that each group reaches its threshold.
    ///
    /// `find` gives the public key behind an id, when it is known.
    ///
    /// # Errors
    /// A [`Rejection`] naming the signature or the group.
    pub fn verify<K: Into<VerifyingKey>>(
        &self,
        header: &Header,
        find: impl Fn(&KeyId) -> Option<K>,
    ) -> Result<(), Rejection> {
        self.verify_signatures(header, find)?;
        for (position, group) in header.signers.iter().enumerate() {
            let signed = self.signatures_of(group);
            let needed = usize::try_from(group.threshold).unwrap_or(usize::MAX);
            if signed < needed {
                let reason = format!("{signed} of {needed} needed signatures are there");
                let place = StrictError::new(format!("/predicate/signers/{position}/threshold"), reason);
                return Err(Rejection::in_payload(Code::ThresholdNotMet, place));
            }
        }
        Ok(())
    }

    /// How many keys of a group have signed. Says nothing about whether their signatures are valid.
    pub fn signatures_of(&self, group: &SignerGroup) -> usize {
        group.keys.iter().filter(|key| self.is_signed_by(key)).count()
    }

    /// Whether a key has signed. Says nothing about whether its signature is valid.
    pub fn is_signed_by(&self, key: &KeyId) -> bool {
        self.signatures.iter().any(|signature| signature.key_id == *key)
    }

    /// Checks that every signature that is there is by a listed key and valid, however many are still missing.
    ///
    /// # Errors
    /// A [`Rejection`] naming the signature.
    pub fn verify_signatures<K: Into<VerifyingKey>>(
        &self,
        header: &Header,
        find: impl Fn(&KeyId) -> Option<K>,
    ) -> Result<(), Rejection> {
        let encoding = pre_authentication_encoding(&self.payload);
        for (signature, position) in self.signatures.iter().zip(&self.places) {
            let refuse = |code, member: &str, reason: String| {
                Rejection::in_request(
                    code,
                    StrictError::new(format!("/envelope/signatures/{position}/{member}"), reason),
                )
            };
            let id = signature.key_id;
            if !header.signers.iter().any(|group| group.keys.contains(&id)) {
                let reason = format!("key {id} is not among the signers the payload lists");
                return Err(refuse(Code::SignerNotListed, "keyid", reason));
            }
            let Some(key) = find(&id) else {
                let reason = format!("key {id} is not registered here; register its party first");
                return Err(refuse(Code::UnknownKey, "keyid", reason));
            };
            if key.into().verify(&encoding, &signature.signature).is_err() {
                let reason = format!("not a valid signature of this payload by key {id}");
                return Err(refuse(Code::SignatureInvalid, "sig", reason));
            }
        }
        Ok(())
    }
}

impl TryFrom<WireEnvelope> for Envelope {
    type Error = StrictError;

    fn try_from(wire: WireEnvelope) -> Result<Self, StrictError> {
        if wire.payload_type != PAYLOAD_TYPE {
            return Err(StrictError::new("/payloadType", format!("must be {PAYLOAD_TYPE}")));
        }
        let payload = decode_base64(&wire.payload).map_err(|reason| StrictError::new("/payload", reason))?;
        if wire.signatures.is_empty() || wire.signatures.len() > SIGNATURES_MAX {
            return Err(StrictError::new("/signatures", format!("1 to {SIGNATURES_MAX} signatures are needed")));
        }
        let mut signatures: Vec<Signature> = Vec::with_capacity(wire.signatures.len());
        for (position, WireSignature { keyid, sig }) in wire.signatures.into_iter().enumerate() {
            let at = |member: &str, reason: &str| StrictError::new(format!("/signatures/{position}/{member}"), reason);
            let bytes = decode_base64(&sig).map_err(|reason| at("sig", &reason))?;
            let signature = bytes.try_into().map_err(|_| at("sig", "an Ed25519 signature has 64 bytes"))?;
            if signatures.iter().any(|other| other.key_id == keyid) {
                return Err(at("keyid", "this key has already signed"));
            }
            signatures.push(Signature { key_id: keyid, signature });
        }
        let mut by_key: Vec<_> = signatures.iter().map(|signature| signature.key_id).enumerate().collect();
        by_key.sort_by_key(|(_, id)| *id);
        let places = by_key.into_iter().map(|(place, _)| place).collect();
        Ok(Self { places, ..Self::assemble(payload, signatures) })
    }
}

/// DSSE PAE: `"DSSEv1" SP len(type) SP type SP len(body) SP body`, lengths in ASCII decimal.
fn pre_authentication_encoding(payload: &[u8]) -> Vec<u8> {
    let mut encoding = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len()).into_bytes();
    encoding.extend_from_slice(payload);
    encoding
}

/// Either alphabet, with or without padding (DSSE envelope, "both standard and URL-safe"); trailing bits must be zero.
fn decode_base64(text: &str) -> Result<Vec<u8>, String> {
    let url_safe = text.contains(['-', '_']);
    let encoding = match (url_safe, text.ends_with('=')) {
        (false, true) => BASE64,
        (true, true) => BASE64URL,
        // Without padding a multiple of four characters decodes the same either way.
        (false, false) => BASE64_NOPAD,
        (true, false) => BASE64URL_NOPAD,
    };
    base64::decode(&encoding, text).map_err(|error| format!("not base64: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(keys: &[u8]) -> Envelope {
        let keys: Vec<SigningKey> = keys.iter().map(|key| SigningKey::from_bytes(&[*key; 32])).collect();
        Envelope::sign(b"{\"a\":1}".to_vec(), &keys.iter().collect::<Vec<_>>())
    }

    #[test]
    fn the_stored_form_is_read_the_same_either_way() {
        for keys in [&[1][..], &[1, 2, 3]] {
            let envelope = signed(keys);
            let stored = envelope.to_bytes();
            assert_eq!(Envelope::from_stored(&stored), Some(envelope.clone()));
            assert_eq!(Envelope::parse(&stored), Ok(envelope));
        }
    }

    #[test]
    fn no_change_to_the_stored_form_is_read_otherwise_than_strictly() {
        let stored = signed(&[1, 2]).to_bytes();
        for position in 0..stored.len() {
            for change in [1, 2, 4, 8, 16, 32, 64, 128] {
                let mut other = stored.clone();
                other[position] ^= change;
                if let Some(envelope) = Envelope::from_stored(&other) {
                    assert_eq!((envelope.to_bytes(), Envelope::parse(&other)), (other, Ok(envelope)));
                }
            }
            assert_eq!(Envelope::from_stored(&stored[..position]), None);
        }
        // In another order, the same key twice, white space, none at all.
        let text = String::from_utf8(stored).unwrap();
        let (start, signatures) = text.split_once('[').unwrap();
        let (first, second) = signatures.trim_end_matches("]}").split_once("},{").unwrap();
        let (first, second) = (format!("{first}}}"), format!("{{{second}"));
        for signatures in
            [format!("{second},{first}"), format!("{first},{first}"), format!("{first}, {second}"), String::new()]
        {
            assert_eq!(Envelope::from_stored(format!("{start}[{signatures}]}}").as_bytes()), None, "{signatures}");
        }
    }
}
