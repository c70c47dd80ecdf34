//! What stands beside a record in its row: by it rows are found, and shown or not. The record alone is hashed, and says all of it.

use chopmark_core::access::AccessRecord;
use chopmark_core::strict;
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use diesel::prelude::*;
use diesel::sql_types::{Binary, Nullable, Text, Timestamptz};

use crate::error::StoreError;

/// The columns of `vault.access` that follow from its body.
#[derive(QueryableByName)]
pub(super) struct Columns {
    #[diesel(sql_type = Binary)]
    id: Vec<u8>,
    #[diesel(sql_type = Binary)]
    statement: Vec<u8>,
    #[diesel(sql_type = Text)]
    role: String,
    #[diesel(sql_type = Text)]
    bound_to: String,
    #[diesel(sql_type = Text)]
    token: String,
    /// `None` for a moment that no record can name.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    shown_from: Option<DateTime<Utc>>,
}

impl Columns {
    /// Compares them with the record.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] that names the first column that is not as the record says, or that it is no record.
    pub(super) fn check(&self, body: &[u8]) -> Result<(), StoreError> {
        let id = HEXLOWER.encode(&self.id);
        let place = format!("vault.access {id}");
        let record: AccessRecord =
            strict::from_slice(body).map_err(|error| StoreError::damaged(&*place, format!("is no record: {error}")))?;
        let columns = [
            ("id", id == record.id),
            ("statement", self.statement == record.statement.as_bytes()),
            ("role", self.role == record.role),
            ("bound_to", self.bound_to == record.bound_to),
            ("token", self.token == record.token),
            ("shown_from", self.shown_from == Some(record.visible_from().to_utc())),
        ];
        match columns.iter().find(|(_, is_same)| !is_same) {
            None => Ok(()),
            Some((column, _)) => Err(StoreError::damaged(place, format!("{column} is not what the record says"))),
        }
    }
}
