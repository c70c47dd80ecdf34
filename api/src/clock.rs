//! The clock of what the service signs beside entries: whatever becomes of the machine's, it never goes back.

use std::sync::atomic::{AtomicI64, Ordering};

use chopmark_core::time::Timestamp;

/// A clock that stands still while the machine's is behind it.
pub struct Clock(AtomicI64);

impl Clock {
    /// A clock that is not before a moment, such as that of the last entry.
    pub fn not_before(moment: Timestamp) -> Self {
        Self(AtomicI64::new(moment.unix_ms()))
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.at(Timestamp::from(chrono::Utc::now()))
    }

    fn at(&self, measured: Timestamp) -> Timestamp {
        let before = self.0.fetch_max(measured.unix_ms(), Ordering::Relaxed);
        Timestamp::from_unix_ms(before).map_or(measured, |before| before.max(measured))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_still_while_the_machine_is_an_hour_behind() {
        let at = |ms| Timestamp::from_unix_ms(ms).unwrap();
        let (noon, hour) = (1_795_900_000_000, 3_600_000);
        let clock = Clock::not_before(at(noon));
        assert_eq!(clock.at(at(noon - hour)), at(noon), "not before the last entry");
        assert_eq!(clock.at(at(noon + 5)), at(noon + 5));
        assert_eq!(clock.at(at(noon + 5 - hour)), at(noon + 5));
        assert_eq!(clock.at(at(noon + 6)), at(noon + 6));
    }
}
