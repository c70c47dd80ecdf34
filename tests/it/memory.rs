//! A registry in memory: founding, entries, proofs and bundles without a server or a database.
//!
//! It admits nothing and checks nothing, so it also plays the dishonest operator.

use chopmark_core::bundle::{BUNDLE_SCHEMA, Bundle, Closure, KeyChain, ProvenEntry};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::checkpoint::{Checkpoint, sign_checkpoint};
use chopmark_core::ledger::edge::Edge;
use chopmark_core::ledger::note::{NoteSigner, VerifierKey};
use chopmark_core::ledger::proof::TlogProof;
use chopmark_core::ledger::tree::{Node, ProofPlan, leaf_hash, perfect_root};
use chopmark_core::policy::Founding;
use chopmark_core::statement::{RegistryRef, StatementId};
use chopmark_core::submission::Submission;
use chopmark_core::trust::{TrustPolicy, TrustedRegistry};
use data_encoding::BASE64;

use crate::make::{english, key, nonce, now};

pub struct MemoryRegistry {
    pub reference: RegistryRef,
    pub operator: StatementId,
    signer: NoteSigner,
    entries: Vec<Vec<u8>>,
    leaves: Vec<Sha256Digest>,
}

impl MemoryRegistry {
    /// Founds a registry whose keys come from `label`.
    pub fn new(origin: &str, label: &str) -> Self {
        let signer = NoteSigner::new(origin, key(&format!("{label}/log"))).unwrap();
        let [descriptor, anchors] = Founding {
            log_key: signer.verifier_key(),
            operator: &key(&format!("{label}/operator")),
            operator_name: english("Operator"),
            now: now(),
            nonces: [nonce(&format!("{label}/0")), nonce(&format!("{label}/1"))],
        }
        .statements()
        .unwrap();
        let genesis = leaf_hash(&descriptor.entry);
        let mut registry = Self {
            reference: RegistryRef { origin: origin.to_owned(), genesis },
            operator: descriptor.statement.id,
            signer,
            entries: Vec::new(),
            leaves: Vec::new(),
        };
        registry.append(&descriptor);
        registry.append(&anchors);
        registry
    }

    /// Enters a statement, whatever it says, and returns its index.
    pub fn append(&mut self, submission: &Submission) -> u64 {
        self.append_bytes(submission.entry.clone())
    }

    pub fn append_bytes(&mut self, entry: Vec<u8>) -> u64 {
        self.leaves.push(leaf_hash(&entry));
        self.entries.push(entry);
        self.size() - 1
    }

    pub fn size(&self) -> u64 {
        u64::try_from(self.entries.len()).unwrap()
    }

    pub fn leaf(&self, index: u64) -> Sha256Digest {
        self.leaves[usize::try_from(index).unwrap()]
    }

    pub fn log_key(&self) -> &VerifierKey {
        self.signer.verifier_key()
    }

    /// The checkpoint over the first `size` entries.
    pub fn checkpoint(&self, size: u64) -> String {
        let mut edge = Edge::new();
        for leaf in &self.leaves[..usize::try_from(size).unwrap()] {
            edge.append(*leaf);
        }
        sign_with(&self.signer, size, edge.root())
    }

    pub fn path(&self, index: u64, size: u64) -> Vec<Sha256Digest> {
        let node = |Node { level, index }: Node| {
            let (first, width) = (usize::try_from(index).unwrap() << level, 1_usize << level);
            Ok::<_, core::convert::Infallible>(perfect_root(&self.leaves[first..first + width]))
        };
        ProofPlan::inclusion(index, size).unwrap().resolve(node).unwrap()
    }

    pub fn proof(&self, index: u64, size: u64) -> TlogProof {
        TlogProof::new(index, self.path(index, size), self.checkpoint(size)).unwrap()
    }

    pub fn proven(&self, index: u64) -> ProvenEntry {
        let entry = &self.entries[usize::try_from(index).unwrap()];
        ProvenEntry {
            envelope: serde_json::from_slice(entry).unwrap(),
            proof: self.proof(index, self.size()).to_string(),
        }
    }

    /// The bundle of the statement at `index`, signed by the one party created at `party`.
    pub fn bundle(&self, submission: &Submission, index: u64, party: (StatementId, u64)) -> Bundle {
        Bundle {
            schema: BUNDLE_SCHEMA.to_owned(),
            registry: self.reference.clone(),
            closure: Closure::RegistryAsserted,
            statement: self.proven(index),
            documents: submission.documents.values().map(|bytes| BASE64.encode(bytes)).collect(),
            genesis: self.proven(0),
            key_chains: vec![KeyChain { party: party.0, entries: vec![self.proven(party.1)] }],
            licence: None,
        }
    }

    pub fn trusted(&self) -> TrustedRegistry {
        TrustedRegistry {
            origin: self.reference.origin.clone(),
            log_key: self.log_key().to_string(),
            genesis: self.reference.genesis,
            allow_registry_asserted: true,
            max_status_age: None,
        }
    }

    pub fn trust(&self) -> TrustPolicy {
        TrustPolicy { registries: vec![self.trusted()] }
    }
}

/// A checkpoint over any root, signed by anyone.
pub fn sign_with(signer: &NoteSigner, size: u64, root: Sha256Digest) -> String {
    let checkpoint = Checkpoint::new(signer.verifier_key().name(), size, root).unwrap();
    sign_checkpoint(&checkpoint, core::slice::from_ref(signer)).unwrap()
}
