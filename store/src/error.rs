//! What can go wrong between the service and its database.

use core::fmt;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection could be had.
    #[error("the database can't be reached: {0}")]
    Connect(String),
    /// The schema could not be brought up to date.
    #[error("the database schema can't be brought up to date: {0}")]
    Migrate(String),
    /// The server may lose what it has committed.
    #[error("the database may lose what it has acknowledged: {0}")]
    NotDurable(String),
    /// A statement failed.
    #[error("the database refused: {0}")]
    Query(#[from] diesel::result::Error),
    /// What is stored is not what was written: never repaired, always reported with its place.
    #[error(
        "the ledger in the database is damaged at {place}: {reason}; run `chopmark audit` and restore from a backup"
    )]
    Damaged {
        /// Table and row.
        place: String,
        /// What does not hold.
        reason: String,
    },
    /// Openings can't be sealed or opened: no master key, or not the one that is needed.
    #[error("the vault can't be used: {0}")]
    Vault(String),
    /// There is no registry in this database yet.
    #[error("the database holds no registry; create one with `chopmark ledger init`")]
    NotFounded,
    /// There is a registry already.
    #[error("the database already holds a registry with {size} entries; an existing one is never founded anew")]
    AlreadyFounded {
        /// Entries in it.
        size: u64,
    },
}

impl StoreError {
    /// Whether the database understood and refused, so that the same again is refused again. A lost connection, a
    /// time-out or a full disk may pass.
    pub fn is_refusal(&self) -> bool {
        use diesel::result::{DatabaseErrorKind, Error};
        if let Self::Vault(_) = self {
            return true;
        }
        matches!(
            self,
            Self::Query(Error::DatabaseError(
                DatabaseErrorKind::UniqueViolation
                    | DatabaseErrorKind::CheckViolation
                    | DatabaseErrorKind::NotNullViolation
                    | DatabaseErrorKind::ForeignKeyViolation,
                _
            ))
        )
    }

    /// Whether a disk of the database is full. PostgreSQL says so in words only, and in those of its own language.
    pub fn is_disk_full(&self) -> bool {
        matches!(
            self,
            Self::Query(diesel::result::Error::DatabaseError(_, information))
                if information.message().contains("No space left on device")
        )
    }

    /// A row that is not what was written.
    pub fn damaged(place: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::Damaged { place: place.into(), reason: format!("{reason}") }
    }
}

impl From<diesel_async::pooled_connection::deadpool::PoolError> for StoreError {
    fn from(error: diesel_async::pooled_connection::deadpool::PoolError) -> Self {
        Self::Connect(error.to_string())
    }
}

/// A count or index as PostgreSQL's `bigint`.
pub(crate) fn bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A `bigint` that counts something.
pub(crate) fn count(number: i64, place: &str) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::damaged(place, "a negative number"))
}
