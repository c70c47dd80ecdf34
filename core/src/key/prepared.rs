//! A key that very many signatures are checked with.
//!
//! Strict verification asks whether R = S·B − k·A, and most of its time goes into the two multiplications. With multiples of
//! A kept as the library keeps those of B, they take half as long. The equation, what is compared with what, and therefore
//! the verdict on any bytes whatever, are those of `verify_strict`: R is compared in its encoding, which has to be the
//! canonical one then, and is refused where it has small order.

use std::collections::HashMap;
use std::sync::Arc;

use curve25519_dalek::Scalar;
use curve25519_dalek::constants::ED25519_BASEPOINT_TABLE;
use curve25519_dalek::edwards::EdwardsBasepointTable;
use curve25519_dalek::traits::BasepointTable as _;
use sha2::{Digest as _, Sha512};

use super::{KeyId, PublicKey, SignatureError};

/// Signatures of one key after which it is prepared: what that costs is saved by a third of as many.
const USES_MIN: u32 = 256;

/// Most keys that are prepared, 30 KiB each; others that come later are used as they are.
const PREPARED_MAX: usize = 256;

/// Most keys that are counted at a time; beyond that, counting begins anew.
const COUNTED_MAX: usize = 65_536;

/// A [`PublicKey`] with multiples of its point at hand: 30 KiB, made in the time of some twenty-five verifications.
#[derive(Debug, Clone)]
pub struct PreparedKey {
    key: PublicKey,
    /// Multiples of −A.
    negated: Box<EdwardsBasepointTable>,
}

impl PreparedKey {
    /// Prepares a key.
    pub fn new(key: &PublicKey) -> Self {
        Self { key: *key, negated: Box::new(EdwardsBasepointTable::create(&-key.0.to_edwards())) }
    }

    /// The same verdict as [`PublicKey::verify`], in about two thirds of the time.
    ///
    /// # Errors
    ///
    /// [`SignatureError`] under the same conditions.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), SignatureError> {
        let (r, s) = signature.split_first_chunk::<32>().ok_or(SignatureError)?;
        let s: [u8; 32] = s.try_into().map_err(|_| SignatureError)?;
        let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s)).ok_or(SignatureError)?;
        let hash = Sha512::new().chain_update(r).chain_update(self.key.as_bytes()).chain_update(message).finalize();
        let k = Scalar::from_bytes_mod_order_wide(&hash.into());
        let expected = ED25519_BASEPOINT_TABLE.mul_base(&s) + self.negated.mul_base(&k);
        // A key that was admitted is not of small order itself.
        if expected.is_small_order() || expected.compress().as_bytes() != r {
            return Err(SignatureError);
        }
        Ok(())
    }
}

/// Prepares keys that are used very often, in bounded memory.
#[derive(Debug, Clone, Default)]
pub struct PreparedKeys {
    prepared: HashMap<KeyId, Arc<PreparedKey>>,
    uses: HashMap<KeyId, u32>,
}

impl PreparedKeys {
    /// Counts one more use of a key, of which this is the id. What to check with: the key as it is, or prepared once that was
    /// worth it.
    pub fn count(&mut self, id: &KeyId, key: &PublicKey) -> VerifyingKey {
        if let Some(prepared) = self.get(id) {
            return prepared;
        }
        if self.prepared.len() >= PREPARED_MAX {
            return key.into();
        }
        if self.uses.len() >= COUNTED_MAX {
            self.uses.clear();
        }
        let uses = self.uses.entry(*id).or_default();
        *uses += 1;
        if *uses < USES_MIN {
            return key.into();
        }
        self.uses.remove(id);
        let prepared = Arc::new(PreparedKey::new(key));
        self.prepared.insert(*id, Arc::clone(&prepared));
        VerifyingKey::Prepared(prepared)
    }

    /// The key with this id, where it is prepared.
    pub fn get(&self, id: &KeyId) -> Option<VerifyingKey> {
        self.prepared.get(id).map(|prepared| VerifyingKey::Prepared(Arc::clone(prepared)))
    }
}

/// Either kind of key, for whoever checks a signature.
#[derive(Debug, Clone)]
pub enum VerifyingKey {
    /// As it is.
    Plain(PublicKey),
    /// With its multiples.
    Prepared(Arc<PreparedKey>),
}

impl VerifyingKey {
    /// As [`PublicKey::verify`].
    ///
    /// # Errors
    ///
    /// [`SignatureError`] under the same conditions.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), SignatureError> {
        match self {
            Self::Plain(key) => key.verify(message, signature),
            Self::Prepared(key) => key.verify(message, signature),
        }
    }
}

impl From<&PublicKey> for VerifyingKey {
    fn from(key: &PublicKey) -> Self {
        Self::Plain(*key)
    }
}
