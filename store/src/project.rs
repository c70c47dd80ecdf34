//! The read tables: a pure fold of entries (`chopmark_core::admission::Change`); nothing here decides anything.
//!
//! What admission reads is written with the entries; what is only searched and shown follows behind.

mod admitted;
mod expenditure;
mod following;
mod licensing;

pub(crate) use admitted::{KeyRow, PartyRow, insert_nonces, load, write};
pub use expenditure::KnownPayment;
pub(crate) use expenditure::{head as correction_head, payments};
pub(crate) use following::{Content, Followed, follow};
pub(crate) use licensing::{
    GRANTED, LicenceRow, OfferRow, TermsRow, all_events, load_in_the_way, records, with_all_under,
};

use chopmark_core::statement::{Nonce, StatementId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::StoreError;

/// An entry as all read tables take it.
pub(crate) struct Fold {
    pub(crate) issuer: StatementId,
    pub(crate) nonce: Nonce,
    pub(crate) followed: Followed,
}

fn json<T: Serialize>(value: &T) -> Result<Value, StoreError> {
    serde_json::to_value(value).map_err(|error| StoreError::damaged("a row to be written", error))
}

pub(crate) fn from_json<T: DeserializeOwned>(value: Value, place: &str) -> Result<T, StoreError> {
    serde_json::from_value(value).map_err(|error| StoreError::damaged(place, error))
}

pub(crate) fn statement_id(bytes: &[u8], place: &str) -> Result<StatementId, StoreError> {
    StatementId::from_slice(bytes).ok_or_else(|| StoreError::damaged(place, "an id is not 32 bytes long"))
}
