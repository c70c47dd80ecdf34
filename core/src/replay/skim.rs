//! Reading no more of an entry than the state needs, for entries that an earlier audit found good.
//!
//! Their bytes are bound by the root they hash to, so nothing is validated again; what is not in the shape that the
//! registry writes is left to the strict reader.

use std::borrow::Cow;

use data_encoding::BASE64;
use serde::Deserialize;

use super::Replay;
use crate::admission::{ArtefactHead, VersionKey};
use crate::artefact::ArtefactClaim;
use crate::digest::Sha256Digest;
use crate::ledger::tree::leaf_hash;
use crate::statement::{Issuer, Nonce, PAYLOAD_TYPE, StatementId};

/// An artefact's registration, as far as later entries may depend on it.
#[derive(Debug, Clone)]
pub struct Skimmed {
    /// Leaf hash of the entry.
    pub leaf: Sha256Digest,
    /// Id of the statement.
    pub id: StatementId,
    /// The party that registers.
    pub issuer: StatementId,
    /// The document it names.
    pub manifest: Sha256Digest,
    nonce: Nonce,
    version: String,
}

#[derive(Deserialize)]
struct WireStatement<'a> {
    #[serde(rename = "predicateType", borrow)]
    predicate_type: Cow<'a, str>,
    predicate: WirePredicate,
}

#[derive(Deserialize)]
struct WirePredicate {
    issuer: Issuer,
    nonce: Nonce,
    claim: WireClaim,
}

#[derive(Deserialize)]
struct WireClaim {
    manifest: WireManifest,
    version: String,
}

#[derive(Deserialize)]
struct WireManifest {
    sha256: Sha256Digest,
}

impl Skimmed {
    /// Short name of the kind it always is.
    pub const KIND: &'static str = "artefact";

    /// Reads an artefact's registration; `None` when the entry is anything else, or has to be read whole.
    pub fn read(body: &[u8]) -> Option<Self> {
        let text = str::from_utf8(body).ok()?;
        let text =
            text.strip_prefix("{\"payloadType\":\"")?.strip_prefix(PAYLOAD_TYPE)?.strip_prefix("\",\"payload\":\"")?;
        let (payload, _) = text.split_once('"')?;
        let payload = BASE64.decode(payload.as_bytes()).ok()?;
        let wire: WireStatement<'_> = serde_json::from_slice(&payload).ok()?;
        let Issuer::Party(issuer) = wire.predicate.issuer else { return None };
        if wire.predicate_type != ArtefactClaim::PREDICATE_TYPE {
            return None;
        }
        let WirePredicate { nonce, claim, .. } = wire.predicate;
        Some(Self {
            leaf: leaf_hash(body),
            id: StatementId::of(&payload),
            issuer,
            nonce,
            manifest: claim.manifest.sha256,
            version: claim.version,
        })
    }
}

impl Replay {
    /// Takes the next entry in without judging it, as [`Replay::absorb`] does.
    pub fn absorb_skimmed(&mut self, entry: Skimmed) {
        let Skimmed { id, issuer: owner, nonce, manifest, version, .. } = entry;
        self.view.load_nonce(owner, nonce);
        self.view.load_artefact(id, ArtefactHead { owner, manifest });
        self.view.load_version(VersionKey { owner, manifest, version }, id);
        self.size += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::Decoded;
    use crate::statement::{Envelope, tests};

    fn registration() -> Vec<u8> {
        let (payload, key) = tests::registration();
        Envelope::sign(payload, &[&key]).to_bytes()
    }

    #[test]
    fn skimming_leaves_the_same_state_as_reading_whole() {
        let body = registration();
        let (whole, skimmed) = (Decoded::parse(&body).unwrap(), Skimmed::read(&body).unwrap());
        assert_eq!(
            (skimmed.leaf, skimmed.id, skimmed.issuer),
            (whole.leaf, whole.statement.id, whole.statement.issuer())
        );
        assert_eq!(Skimmed::KIND, whole.statement.claim.name());
        let (mut one, mut other) = (Replay::new(), Replay::new());
        one.size = 5;
        other.size = 5;
        one.absorb(&whole);
        other.absorb_skimmed(skimmed);
        assert_eq!((one.size, format!("{:?}", one.view)), (other.size, format!("{:?}", other.view)));
    }

    #[test]
    fn what_is_in_another_shape_is_read_whole() {
        for other in
            [&b""[..], b"{}", b"{\"payloadType\":\"application/vnd.in-toto+json\",\"payload\":\"e30=\"}", b"\xff"]
        {
            assert!(Skimmed::read(other).is_none());
        }
    }
}
