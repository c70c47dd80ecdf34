//! The vault: openings of sealed fields, encrypted; tokens; and who has read what.
//!
//! Everything here happens in a transaction that says who is acting ([`act`]); PostgreSQL's row security shows nothing to
//! a transaction that did not. Values leave only after the record of their being read was committed.

mod access_audit;
mod access_columns;
mod access_tiles;
mod accesses;
mod challenges;
mod keys;
mod mac;
mod opening_audit;
mod openings;
mod readers;
mod readings;
mod reports;
mod rotation;
mod seal;
mod sums;
mod tokens;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use chopmark_core::access::Principal;
use chopmark_core::code::ResidencyZone;
use diesel::deserialize::QueryableByName;
use diesel::pg::Pg;
use diesel::sql_types::Text;
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};

pub(crate) use access_audit::check as check_accesses;
pub use accesses::{AccessHead, AccessLog, ListedAccess};
pub use keys::{MASTER_KEY_FORMAT, MASTER_KEY_RETIRED, MasterKeys};
pub(crate) use opening_audit::{Told, check_openings, compare as compare_openings, make as make_told};
pub(crate) use openings::{insert, kept};
pub use readings::{KeptOpening, Reading};
pub use reports::{NotGathered, StoredReport};
pub use rotation::Rotated;
pub use sums::{LeftOut, SummedUp};
pub use tokens::StoredToken;

use crate::Store;
use crate::error::StoreError;
use crate::fixed::{Fixed, fixed};

/// How old the master keys may be that are used: what a rotation elsewhere did is known after that.
const KEYS_GOOD_FOR: Duration = Duration::from_secs(1);

/// What a vault is opened with.
pub struct VaultConfig {
    /// Reads the master keys: at the start, again once they are a second old and asked for, and when the database knows a newer
    /// one.
    pub keys: Box<dyn Fn() -> Result<MasterKeys, String> + Send + Sync>,
    /// Zones whose openings are taken in and shown here.
    pub zones: Vec<ResidencyZone>,
    /// How long openings have to be kept before they may be erased.
    pub retention: Duration,
    /// After how long parties see that an officer has read something of theirs.
    pub officers_shown_after: Duration,
}

/// Master keys and rules.
pub struct Vault {
    config: VaultConfig,
    held: RwLock<Held>,
    sums: tokio::sync::Mutex<sums::Remembered>,
}

/// The master keys as they were read last.
struct Held {
    keys: MasterKeys,
    read_at: Instant,
    /// Whether they could not be read since.
    is_unreadable: bool,
}

impl Held {
    /// Reads them again. Those that are gone stay known for a moment, for whoever is reading just now.
    fn read(&mut self, config: &VaultConfig) -> Result<(), String> {
        let now = Instant::now();
        self.read_at = now;
        self.keys = (config.keys)()?.with_older(&self.keys, now);
        Ok(())
    }
}

impl Vault {
    /// Reads the keys.
    ///
    /// # Errors
    /// [`StoreError::Vault`] when they can't be read.
    pub fn open(config: VaultConfig) -> Result<Self, StoreError> {
        let keys = (config.keys)().map_err(StoreError::Vault)?;
        let held = RwLock::new(Held { keys, read_at: Instant::now(), is_unreadable: false });
        Ok(Self { config, held, sums: tokio::sync::Mutex::default() })
    }

    /// Whether openings of this zone are taken in and shown here.
    pub fn serves(&self, zone: ResidencyZone) -> bool {
        self.config.zones.contains(&zone)
    }

    /// The zones, as rows name them.
    fn zone_names(&self) -> Vec<&'static str> {
        self.config.zones.iter().map(|zone| zone.as_str()).collect()
    }

    /// How long openings have to be kept before they may be erased.
    pub const fn retention(&self) -> Duration {
        self.config.retention
    }

    /// The zones, for a sentence.
    pub fn zones(&self) -> String {
        self.zone_names().join(", ")
    }

    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_mut(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys as they were a second ago at most: a small file is read once a second, whoever asks how often. While it can't be
    /// read, the keys that are known are those that count.
    fn keys(&self) -> MasterKeys {
        let is_old = |held: &Held| held.read_at.elapsed() >= KEYS_GOOD_FOR;
        let held = self.held();
        if !is_old(&held) {
            return held.keys.clone();
        }
        drop(held);
        let mut held = self.held_mut();
        // Another may have read them while this waited.
        if is_old(&held) {
            let failed = held.read(&self.config).err();
            if let Some(reason) = failed.as_ref().filter(|_| !held.is_unreadable) {
                tracing::warn!(error = %reason, "the master keys can't be read again; a rotation is not noticed");
            }
            held.is_unreadable = failed.is_some();
        }
        held.keys.clone()
    }

    /// The keys, among them this one where it is anywhere: another process may have rotated since they were read.
    fn keys_with(&self, id: &str) -> Result<MasterKeys, StoreError> {
        let keys = self.keys();
        if keys.find(id).is_some() { Ok(keys) } else { self.reload() }
    }

    /// Reads the keys again, after a rotation elsewhere.
    fn reload(&self) -> Result<MasterKeys, StoreError> {
        let mut held = self.held_mut();
        held.read(&self.config).map_err(StoreError::Vault)?;
        Ok(held.keys.clone())
    }
}

/// Who acts in a transaction.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Acting<'a> {
    /// The service, at its own work.
    Service,
    /// Whoever has shown a token.
    Principal(&'a Principal),
}

impl Store {
    /// The rows that a query gives to whoever acts.
    async fn load_as<R>(&self, acting: Acting<'_>, query: Fixed<'_>) -> Result<Vec<R>, StoreError>
    where
        R: QueryableByName<Pg> + Send + 'static,
    {
        let mut connection = self.inner.pool.get().await?;
        connection
            .transaction(async |connection| {
                act(connection, acting).await?;
                Ok(query.load(connection).await?)
            })
            .await
    }

    /// How many rows a statement of whoever acts has changed.
    async fn execute_as(&self, acting: Acting<'_>, statement: Fixed<'_>) -> Result<usize, StoreError> {
        let mut connection = self.inner.pool.get().await?;
        connection
            .transaction(async |connection| {
                act(connection, acting).await?;
                Ok(statement.execute(connection).await?)
            })
            .await
    }
}

/// Says who acts until the end of the transaction that the connection is in.
pub(crate) async fn act(connection: &AsyncPgConnection, acting: Acting<'_>) -> Result<(), StoreError> {
    let (role, bound_to, token) = match acting {
        Acting::Service => ("service", String::new(), ""),
        Acting::Principal(principal) => (principal.who.role(), principal.who.bound_to(), principal.token.as_str()),
    };
    fixed(
        "SELECT set_config('chopmark.role', $1, true), set_config('chopmark.bound_to', $2, true),
                set_config('chopmark.token', $3, true)",
    )
    .bind::<Text, _>(role)
    .bind::<Text, _>(bound_to)
    .bind::<Text, _>(token)
    .execute(&mut &*connection)
    .await?;
    Ok(())
}
