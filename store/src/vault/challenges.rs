//! Challenges to log in by. None is kept while it waits for an answer: it says until when it is good, and bears half a MAC.
//! Kept are those that were used, which are no more than tokens were made.

use chopmark_core::time::Timestamp;
use data_encoding::HEXLOWER;
use diesel::sql_types::{Bool, Text, Timestamptz};
use diesel_async::{AsyncConnection as _, RunQueryDsl as _};

use super::mac::{self, Half};
use super::{Acting, Vault, act};
use crate::Store;
use crate::error::StoreError;
use crate::fixed::fixed;

/// Bytes of a time in milliseconds: enough for 8,900 years.
const TIME_BYTES: usize = 6;

/// For how long after it has expired a used challenge is remembered, in hours: clocks of several processes differ.
const REMEMBERED_HOURS: i64 = 1;

/// Random bytes of a challenge: those of a few minutes don't meet.
const RANDOM_BYTES: usize = 10;

fn written(time: [u8; TIME_BYTES], random: [u8; RANDOM_BYTES]) -> Vec<u8> {
    mac::written("challenge", &[&time, &random])
}

impl Vault {
    /// A challenge that is good until then: 64 hexadecimal characters.
    ///
    /// # Errors
    /// When there is no master key, which never is.
    pub fn challenge(&self, random: [u8; RANDOM_BYTES], expires_at: Timestamp) -> Result<String, StoreError> {
        let [_, _, time @ ..] = expires_at.unix_ms().to_be_bytes();
        let half = mac::half(&self.keys(), &written(time, random))?;
        Ok(HEXLOWER.encode(&[time.as_slice(), &random, &half].concat()))
    }

    /// Until when a challenge is good; `None` when it is good no more, or none of this registry's processes has made it.
    pub fn challenge_expiry(&self, challenge: &str, now: Timestamp) -> Option<Timestamp> {
        let bytes = HEXLOWER.decode(challenge.as_bytes()).ok()?;
        let (time, rest) = bytes.split_first_chunk::<TIME_BYTES>()?;
        let (random, shown) = rest.split_first_chunk::<RANDOM_BYTES>()?;
        let (shown, written) = (Half::try_from(shown).ok()?, written(*time, *random));
        let is_ours = mac::is_half(&self.keys(), &written, &shown);
        let mut ms = [0; 8];
        ms.get_mut(2..)?.copy_from_slice(time);
        Timestamp::from_unix_ms(i64::from_be_bytes(ms)).filter(|expiry| is_ours && *expiry >= now)
    }
}

impl Store {
    /// Uses a challenge up, where the login that answers it is right, and forgets those that have expired; false when it was
    /// used before, or the login is wrong. Either way the database is asked the same.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn use_challenge(
        &self,
        challenge: &str,
        is_right: bool,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let forgotten = now.to_utc() - chrono::TimeDelta::hours(REMEMBERED_HOURS);
        let mut connection = self.inner.pool.get().await?;
        connection
            .transaction(async |connection| {
                act(connection, Acting::Service).await?;
                fixed("DELETE FROM vault.challenge WHERE expires_at < $1")
                    .bind::<Timestamptz, _>(forgotten)
                    .execute(connection)
                    .await?;
                let used = fixed(
                    "INSERT INTO vault.challenge (id, expires_at) SELECT $1, $2 WHERE $3 ON CONFLICT (id) DO NOTHING",
                )
                .bind::<Text, _>(challenge.to_owned())
                .bind::<Timestamptz, _>(expires_at.to_utc())
                .bind::<Bool, _>(is_right)
                .execute(connection)
                .await?;
                Ok::<_, StoreError>(used == 1)
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    use super::super::{MasterKeys, VaultConfig};
    use super::*;

    /// A vault, and how often its keys were read.
    fn vault(number: u8) -> (Vault, Arc<AtomicU64>) {
        let reads = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&reads);
        let config = VaultConfig {
            keys: Box::new(move || {
                counted.fetch_add(1, Ordering::Relaxed);
                MasterKeys::parse(&MasterKeys::line([number; 10], &[number; 32]))
            }),
            zones: Vec::new(),
            retention: Duration::ZERO,
            officers_shown_after: Duration::ZERO,
        };
        (Vault::open(config).unwrap(), reads)
    }

    #[test]
    fn a_challenge_says_itself_until_when_it_is_good_and_no_other_is_believed() {
        let ((own, _), (other, _)) = (vault(1), vault(2));
        let until = Timestamp::from_unix_ms(1_795_900_000_123).unwrap();
        let challenge = own.challenge([7; RANDOM_BYTES], until).unwrap();
        assert_eq!(challenge.len(), 64);
        let good = |vault: &Vault, challenge: &str| vault.challenge_expiry(challenge, until);
        assert_eq!((good(&own, &challenge), good(&other, &challenge)), (Some(until), None));
        let later = Timestamp::from_unix_ms(until.unix_ms() + 1).unwrap();
        assert_eq!(own.challenge_expiry(&challenge, later), None, "it has expired");
        let bytes = HEXLOWER.decode(challenge.as_bytes()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(good(&own, &HEXLOWER.encode(&changed)), None, "{at}");
        }
        for none in ["", "ab", &"ab".repeat(32), &challenge[2..], &challenge.to_uppercase(), &format!("{challenge}00")]
        {
            assert_eq!(good(&own, none), None, "{none}");
        }
    }

    #[test]
    fn made_up_challenges_have_no_keys_read() {
        let begun = Instant::now();
        let (vault, reads) = vault(1);
        let now = Timestamp::from_unix_ms(0).unwrap();
        for _ in 0..100 {
            assert_eq!(vault.challenge_expiry(&"ab".repeat(32), now), None);
        }
        // At the start, and once in each second that this took.
        assert!(AtomicU64::load(&reads, Ordering::Relaxed) <= 1 + begun.elapsed().as_secs(), "{reads:?}");
    }
}
