//! A receipt is believed only as far as it proves itself against the log key that this client trusts.

use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::checkpoint::Checkpoint;
use chopmark_core::ledger::note::VerifierKey;
use chopmark_core::ledger::proof::TlogProof;
use chopmark_core::ledger::tree::leaf_hash;
use chopmark_core::statement::{Envelope, StatementId};
use data_encoding::BASE64;

use super::{Client, Receipt};
use crate::exit::Failure;

/// A receipt that holds.
#[derive(Debug, Clone)]
pub(crate) struct Proved {
    /// Position in the log.
    pub(crate) index: u64,
    /// The signed tree it is proved against.
    pub(crate) checkpoint: Checkpoint,
    /// Hashes in the inclusion path.
    pub(crate) path_hashes: usize,
    /// The proof, as C2SP tlog-proof text.
    pub(crate) proof: String,
}

/// Checks everything a receipt says about the statement whose entry was sent.
///
/// # Errors
/// A proof failure naming the member that does not hold; a network failure when the stored entry has to be asked for.
pub(crate) fn check_receipt(
    client: &Client,
    receipt: &Receipt,
    sent: &Envelope,
    log_key: &VerifierKey,
) -> Result<Proved, Failure> {
    let id = sent.statement_id();
    let entry = if receipt.signatures_differ { stored_entry(client, id)? } else { sent.to_bytes() };
    verify(receipt, id, leaf_hash(&entry), log_key)
        .map_err(|reason| Failure::proof(format!("the service's receipt does not hold: {reason}")))
}

/// The entry that was there first, with other signatures on the same payload.
fn stored_entry(client: &Client, id: StatementId) -> Result<Vec<u8>, Failure> {
    let stored = Envelope::from_value(&client.stored_envelope(&id)?)
        .map_err(|error| Failure::proof(format!("the service's copy of {id} is no envelope: {error}")))?;
    if stored.statement_id() == id {
        Ok(stored.to_bytes())
    } else {
        Err(Failure::proof(format!("asked about {id}, the service answers about {}", stored.statement_id())))
    }
}

fn verify(receipt: &Receipt, id: StatementId, leaf: Sha256Digest, log_key: &VerifierKey) -> Result<Proved, String> {
    let proof: TlogProof = receipt.proof.parse().map_err(|error| format!("proof: {error}"))?;
    let checkpoint = proof.verify(leaf, core::slice::from_ref(log_key)).map_err(|error| format!("proof: {error}"))?;
    let path: Vec<String> = proof.path().iter().map(|hash| BASE64.encode(hash.as_bytes())).collect();
    for (member, holds) in [
        ("statement_id", receipt.statement_id == id),
        ("leaf_hash", receipt.leaf_hash == leaf),
        ("index", receipt.index == proof.index()),
        ("size", receipt.size == checkpoint.size()),
        ("path", receipt.path == path),
        ("checkpoint", receipt.checkpoint == proof.checkpoint_note()),
        ("origin", checkpoint.origin() == log_key.name()),
    ] {
        if !holds {
            return Err(format!("{member} is not what the proof says"));
        }
    }
    Ok(Proved { index: proof.index(), path_hashes: path.len(), proof: receipt.proof.clone(), checkpoint })
}

#[cfg(test)]
mod tests {
    use chopmark_core::ledger::checkpoint::sign_checkpoint;
    use chopmark_core::ledger::note::NoteSigner;
    use ed25519_dalek::SigningKey;

    use super::*;

    /// RFC 6962, section 2.1: SHA-256(0x01 ‖ left ‖ right).
    fn node(left: Sha256Digest, right: Sha256Digest) -> Sha256Digest {
        Sha256Digest::of_parts(&[&[1], left.as_bytes(), right.as_bytes()])
    }

    fn receipt() -> (Receipt, StatementId, Sha256Digest, VerifierKey) {
        let signer = NoteSigner::new("a.example/log", SigningKey::from_bytes(&[7; 32])).unwrap();
        let log_key = signer.verifier_key().clone();
        let (first, leaf) = (leaf_hash(b"first"), leaf_hash(b"second"));
        let checkpoint = Checkpoint::new("a.example/log", 2, node(first, leaf)).unwrap();
        let checkpoint = sign_checkpoint(&checkpoint, &[signer]).unwrap();
        let proof = TlogProof::new(1, vec![first], checkpoint.clone()).unwrap();
        let statement_id = StatementId::of(b"payload");
        let receipt = Receipt {
            statement_id,
            index: 1,
            recorded_at: "2026-05-02T08:30:00.000Z".into(),
            leaf_hash: leaf,
            size: 2,
            path: vec![BASE64.encode(first.as_bytes())],
            checkpoint,
            proof: proof.to_string(),
            signatures_differ: false,
        };
        (receipt, statement_id, leaf, log_key)
    }

    #[test]
    fn an_honest_receipt_holds() {
        let (receipt, id, leaf, log_key) = receipt();
        let proved = verify(&receipt, id, leaf, &log_key).unwrap();
        assert_eq!((proved.index, proved.checkpoint.size(), proved.path_hashes), (1, 2, 1));
    }

    #[test]
    fn every_member_must_hold() {
        type Lie = (&'static str, fn(&mut Receipt));
        let (honest, id, leaf, log_key) = receipt();
        let lies: [Lie; 7] = [
            ("statement_id", |receipt| receipt.statement_id = StatementId::of(b"other")),
            ("leaf_hash", |receipt| receipt.leaf_hash = Sha256Digest::of(b"other")),
            ("index", |receipt| receipt.index = 0),
            ("size", |receipt| receipt.size = 3),
            ("path", |receipt| receipt.path.clear()),
            ("checkpoint", |receipt| receipt.checkpoint.push('\n')),
            ("proof", |receipt| receipt.proof = receipt.proof.replace("index 1", "index 0")),
        ];
        for (member, lie) in lies {
            let mut receipt = honest.clone();
            lie(&mut receipt);
            let reason = verify(&receipt, id, leaf, &log_key).expect_err(member);
            assert!(reason.starts_with(member), "{member}: {reason}");
        }
        assert!(verify(&honest, id, leaf_hash(b"third"), &log_key).is_err());
        let other = NoteSigner::new("a.example/log", SigningKey::from_bytes(&[8; 32])).unwrap();
        assert!(verify(&honest, id, leaf, other.verifier_key()).is_err());
    }
}
