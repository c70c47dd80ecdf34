//! Founding a registry: the two entries every log starts with.
//!
//! Pure: the caller brings keys, randomness and the clock. No checkpoint is ever signed below these two.

use ed25519_dalek::SigningKey;

use super::{Descriptor, PartyRegistration, PolicyClaim, TrustAnchors};
use crate::admission::Rejection;
use crate::key::PublicKey;
use crate::kind::Claim;
use crate::ledger::note::VerifierKey;
use crate::ledger::tree::leaf_hash;
use crate::party::KeySet;
use crate::statement::{Envelope, Header, Issuer, Nonce, RegistryRef, SignerGroup, Statement};
use crate::submission::Submission;
use crate::text::Names;
use crate::time::Timestamp;

/// What a registry is founded with.
pub struct Founding<'a> {
    /// The log's verifier key; its name is the registry's origin.
    pub log_key: &'a VerifierKey,
    /// The operator's first key.
    pub operator: &'a SigningKey,
    /// The operator's names.
    pub operator_name: Names,
    /// The moment of founding.
    pub now: Timestamp,
    /// Two random nonces.
    pub nonces: [[u8; 16]; 2],
}

impl Founding<'_> {
    /// The descriptor and the first trust anchors (no witnesses yet), signed.
    ///
    /// # Errors
    /// A [`Rejection`] when a name or the origin is not acceptable.
    pub fn statements(self) -> Result<[Submission; 2], Rejection> {
        let [first, second] = self.nonces;
        let key = PublicKey::from(self.operator);
        let signers = |party: Issuer| {
            let key_head = match party {
                Issuer::Own => None,
                Issuer::Party(id) => Some(id),
            };
            vec![SignerGroup { party, key_head, keys: vec![key.id()], threshold: 1 }]
        };
        let header = |registry, issuer, nonce| Header {
            registry,
            issuer,
            issued_at: self.now,
            not_after: self.now.plus_days(1),
            nonce: Nonce::from_random(nonce),
            signers: signers(issuer),
        };
        let sign = |name: &str, header: &Header, claim: Claim| {
            let payload = Statement::compose(name, header, &claim)?;
            Submission::assemble(Envelope::sign(payload, &[self.operator]), Vec::new())
        };

        let descriptor = PolicyClaim::Descriptor(Descriptor {
            origin: self.log_key.name().to_owned(),
            log_key: self.log_key.to_string(),
            operator_name: self.operator_name,
            operator_keys: KeySet::new(vec![key], 1),
            party_registration: PartyRegistration::Open,
        });
        let genesis = sign("registry descriptor", &header(None, Issuer::Own, first), Claim::Policy(descriptor))?;
        let registry = RegistryRef { origin: self.log_key.name().to_owned(), genesis: leaf_hash(&genesis.entry) };
        let anchors = PolicyClaim::TrustAnchors(TrustAnchors { witnesses: Vec::new(), quorum: 0 });
        let issuer = Issuer::Party(genesis.statement.id);
        let anchors = sign("trust anchors", &header(Some(registry), issuer, second), Claim::Policy(anchors))?;
        Ok([genesis, anchors])
    }
}
