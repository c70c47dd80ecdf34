//! Encryption: a data key for every opening, wrapped by a master key; XChaCha20-Poly1305 for both.
//!
//! What is encrypted is bound to its statement and field, so that no row can be put in the place of another.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use chopmark_core::sealed::{Field, Opening};
use chopmark_core::statement::StatementId;
use zeroize::Zeroizing;

use super::keys::{MasterKey, MasterKeys};
use crate::error::StoreError;

/// Bytes of a nonce, which stands before what is encrypted. Random ones of 192 bits don't meet.
pub(super) const NONCE_BYTES: usize = 24;

const NOT_SEALED: &str = "is not what was sealed";

/// An opening as it is stored.
pub(super) struct SealedOpening {
    pub(super) key_id: String,
    pub(super) wrapped_key: Vec<u8>,
    pub(super) sealed: Vec<u8>,
}

fn failed(reason: &str) -> StoreError {
    StoreError::Vault(reason.to_owned())
}

fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| failed(&format!("no randomness: {error}")))?;
    Ok(bytes)
}

/// What a ciphertext is bound to. The texts before the last have a fixed length or a terminator.
fn binding(purpose: &str, statement: &StatementId, field: &Field) -> Vec<u8> {
    [b"chopmark/vault/v1/", purpose.as_bytes(), &[0], statement.as_bytes().as_slice(), field.as_str().as_bytes()]
        .concat()
}

fn encrypt(key: &[u8; 32], secret: &[u8], bound_to: &[u8]) -> Result<Vec<u8>, StoreError> {
    let nonce: [u8; NONCE_BYTES] = random()?;
    let sealed = XChaCha20Poly1305::new(key.into())
        .encrypt(&XNonce::from(nonce), Payload { msg: secret, aad: bound_to })
        .map_err(|_| failed("encryption failed"))?;
    Ok([nonce.as_slice(), &sealed].concat())
}

fn decrypt(key: &[u8; 32], sealed: &[u8], bound_to: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let cipher = XChaCha20Poly1305::new(key.into());
    cipher.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: bound_to }).ok().map(Zeroizing::new)
}

fn wrap(
    master: &MasterKey,
    data_key: &[u8; 32],
    statement: &StatementId,
    field: &Field,
) -> Result<Vec<u8>, StoreError> {
    encrypt(&master.key, data_key, &binding(&format!("data-key/{}", master.id), statement, field))
}

/// Encrypts an opening under a new data key.
pub(super) fn seal(keys: &MasterKeys, statement: &StatementId, opening: &Opening) -> Result<SealedOpening, StoreError> {
    seal_secret(keys, statement, &opening.field, &opening.to_secret())
}

/// Encrypts anything under a new data key, bound to a statement and a name.
pub(super) fn seal_secret(
    keys: &MasterKeys,
    statement: &StatementId,
    field: &Field,
    secret: &[u8],
) -> Result<SealedOpening, StoreError> {
    let master = keys.current().ok_or_else(|| failed("there is no master key"))?;
    let data_key = Zeroizing::new(random::<32>()?);
    Ok(SealedOpening {
        key_id: master.id.clone(),
        wrapped_key: wrap(master, &data_key, statement, field)?,
        sealed: encrypt(&data_key, secret, &binding("opening", statement, field))?,
    })
}

fn unwrap(
    keys: &MasterKeys,
    stored: &SealedOpening,
    statement: &StatementId,
    field: &Field,
) -> Result<Zeroizing<[u8; 32]>, StoreError> {
    let unknown = || failed(&format!("the master key {} is not at hand; it has to be in the key file", stored.key_id));
    let master = keys.find(&stored.key_id).ok_or_else(unknown)?;
    let data_key =
        decrypt(&master.key, &stored.wrapped_key, &binding(&format!("data-key/{}", master.id), statement, field));
    let data_key = data_key.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok().map(Zeroizing::new));
    data_key.ok_or_else(|| damaged(statement, field, "its data key is not what was wrapped"))
}

fn damaged(statement: &StatementId, field: &Field, reason: &str) -> StoreError {
    StoreError::damaged(format!("vault.opening {statement} {field}"), reason)
}

/// Decrypts an opening.
pub(super) fn open(
    keys: &MasterKeys,
    stored: &SealedOpening,
    statement: &StatementId,
    field: &Field,
) -> Result<Opening, StoreError> {
    let secret = open_secret(keys, stored, statement, field)?;
    Opening::from_secret(field.clone(), &secret).ok_or_else(|| damaged(statement, field, NOT_SEALED))
}

/// Decrypts what [`seal_secret`] encrypted.
pub(super) fn open_secret(
    keys: &MasterKeys,
    stored: &SealedOpening,
    statement: &StatementId,
    field: &Field,
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let data_key = unwrap(keys, stored, statement, field)?;
    let secret = decrypt(&data_key, &stored.sealed, &binding("opening", statement, field));
    secret.ok_or_else(|| damaged(statement, field, NOT_SEALED))
}

/// The same opening with its data key under the master key in use.
pub(super) fn rewrap(
    keys: &MasterKeys,
    stored: &SealedOpening,
    statement: &StatementId,
    field: &Field,
) -> Result<Vec<u8>, StoreError> {
    let master = keys.current().ok_or_else(|| failed("there is no master key"))?;
    wrap(master, &*unwrap(keys, stored, statement, field)?, statement, field)
}

#[cfg(test)]
mod tests {
    use chopmark_core::sealed::Salt;

    use super::*;

    #[test]
    fn an_opening_comes_back_only_where_it_was_put() {
        let line = |number: u8| MasterKeys::line([number; 10], &[number; 32]);
        let old = MasterKeys::parse(&line(1)).unwrap();
        let both = MasterKeys::parse(&format!("{}{}", *line(2), *line(1))).unwrap();
        let new = MasterKeys::parse(&line(2)).unwrap();
        let (statement, other) = (StatementId::of(b"a"), StatementId::of(b"b"));
        let field: Field = "/consideration/0/amount".parse().unwrap();
        let opening = Opening::new(field.clone(), Salt::from_random([7; 32]), Some(&"1200.00".into())).unwrap();
        let mut stored = seal(&old, &statement, &opening).unwrap();
        assert!(!stored.sealed.windows(7).any(|window| window == b"1200.00"));
        assert_ne!(stored.sealed, seal(&old, &statement, &opening).unwrap().sealed);
        assert_eq!(open(&old, &stored, &statement, &field).unwrap(), opening);
        assert!(open(&old, &stored, &other, &field).is_err());
        assert!(open(&old, &stored, &statement, &"/consideration/1/amount".parse().unwrap()).is_err());
        assert!(matches!(open(&new, &stored, &statement, &field), Err(StoreError::Vault(_))));
        for at in 0..stored.sealed.len() {
            stored.sealed[at] ^= 1;
            assert!(open(&old, &stored, &statement, &field).is_err(), "{at}");
            stored.sealed[at] ^= 1;
        }
        // After a rotation the old master key opens nothing, whatever of it is left.
        let wrapped_key = rewrap(&both, &stored, &statement, &field).unwrap();
        let stored = SealedOpening { key_id: new.current_id().to_owned(), wrapped_key, ..stored };
        assert_eq!(open(&new, &stored, &statement, &field).unwrap(), opening);
        assert!(open(&old, &stored, &statement, &field).is_err());
    }
}
