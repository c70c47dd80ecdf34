//! How often anybody may come: rates per address and per key, kept in bounded memory.
//!
//! The generic cell rate algorithm: one time per client says when its allowance will be whole again. Nothing ticks, and
//! who has not come for a while is forgotten.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::dev::ServiceRequest;
use chopmark_core::key::KeyId;

use crate::metrics::Metrics;
use crate::problem::ApiError;

/// Clients remembered per limit, about 8 MiB. Whoever owes nothing is forgotten first; where that frees too little, all
/// are, and everybody starts with a whole allowance again.
const CLIENTS_MAX: usize = 100_000;

/// Highest rate and burst that can be asked for.
const RATE_MAX: u32 = 1_000_000;

/// Bits of an IPv6 address that name a client: the rest is the client's to choose.
const IPV6_CLIENT_BITS: u32 = 64;

/// A rate: so many in a time on average, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Time in which one is earned.
    interval: Duration,
    burst: u32,
}

impl FromStr for Rate {
    type Err = String;

    /// Reads `N/s`, `N/m` or `N/h`, and `:BURST` behind it; the burst is N unless given.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (rate, burst) = text.split_once(':').map_or((text, None), |(rate, burst)| (rate, Some(burst)));
        let (count, unit) = rate.split_once('/').unwrap_or_default();
        let period = match unit {
            "s" => Duration::from_secs(1),
            "m" => Duration::from_mins(1),
            "h" => Duration::from_hours(1),
            _ => return Err("a rate is N/s, N/m or N/h, with :BURST or without, such as 20/s:100".to_owned()),
        };
        let number = |text: &str| {
            let number = text.parse().ok().filter(|number| (1..=RATE_MAX).contains(number));
            number.ok_or_else(|| format!("`{text}` is not a number from 1 to {RATE_MAX}"))
        };
        let count: u32 = number(count)?;
        Ok(Self { interval: period / count, burst: burst.map_or(Ok(count), number)? })
    }
}

/// One rate for many clients.
struct Limiter<K> {
    /// Time in which one request is earned.
    interval: Duration,
    /// How far ahead of time a client may be: all of a burst but the first.
    ahead_max: Duration,
    /// When each client's allowance is whole again.
    whole_at: Mutex<HashMap<K, Instant>>,
    clients_max: usize,
}

impl<K: Eq + Hash + Copy> Limiter<K> {
    fn new(rate: Rate, clients_max: usize) -> Self {
        let Rate { interval, burst } = rate;
        Self { interval, ahead_max: interval * (burst - 1), whole_at: Mutex::default(), clients_max }
    }

    /// Takes one from each client's allowance, or from nobody's. When each will be whole again.
    ///
    /// # Errors
    /// How long until it would do.
    fn take(&self, clients: &[K], now: Instant) -> Result<Vec<(K, Instant)>, Duration> {
        let mut whole_at = self.whole_at.lock().unwrap_or_else(PoisonError::into_inner);
        for client in clients {
            let ahead = whole_at.get(client).map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
            if let Some(wait) = ahead.checked_sub(self.ahead_max).filter(|wait| !wait.is_zero()) {
                return Err(wait);
            }
        }
        if whole_at.len() + clients.len() > self.clients_max {
            whole_at.retain(|_, at| *at > now);
            if whole_at.len() + clients.len() > self.clients_max / 2 {
                whole_at.clear();
            }
        }
        let taken = clients.iter().map(|client| {
            let at = whole_at.entry(*client).or_insert(now);
            *at = now.max(*at) + self.interval;
            (*client, *at)
        });
        Ok(taken.collect())
    }

    /// Gives back what was taken, but for what time has given back since.
    fn give_back(&self, taken: &[(K, Instant)], now: Instant) {
        let mut whole_at = self.whole_at.lock().unwrap_or_else(PoisonError::into_inner);
        for (client, whole) in taken {
            let owed = whole.saturating_duration_since(now).min(self.interval);
            if let Some(at) = whole_at.get_mut(client) {
                *at = at.checked_sub(owed).unwrap_or(now);
            }
        }
    }
}

/// What limits are set, all off by default.
#[derive(Debug, Clone, Default)]
pub struct RateLimits {
    /// Requests per client address; an IPv6 client is its /64.
    pub per_address: Option<Rate>,
    /// New statements per signing key.
    pub per_key: Option<Rate>,
    /// How many proxies in front are believed about who came: each has appended one address to `X-Forwarded-For`.
    pub trusted_proxies: usize,
}

/// The limits at work.
pub struct Limits {
    addresses: Option<Limiter<IpAddr>>,
    keys: Option<Arc<Limiter<KeyId>>>,
    trusted_proxies: usize,
    metrics: Arc<Metrics>,
}

impl Limits {
    /// Puts limits to work.
    pub fn new(limits: &RateLimits, metrics: Arc<Metrics>) -> Self {
        Self {
            addresses: limits.per_address.map(|rate| Limiter::new(rate, CLIENTS_MAX)),
            keys: limits.per_key.map(|rate| Arc::new(Limiter::new(rate, CLIENTS_MAX))),
            trusted_proxies: limits.trusted_proxies,
            metrics,
        }
    }

    /// Who came: the peer, or the address that the outermost believed proxy saw.
    pub fn address(&self, request: &ServiceRequest) -> Option<IpAddr> {
        let peer = request.peer_addr().map(|peer| peer.ip());
        let forwarded = request.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok());
        forwarded_address(forwarded, self.trusted_proxies).or(peer)
    }

    /// Counts a request against the client's address.
    ///
    /// # Errors
    /// 429 `rate_limited`.
    pub fn count_address(&self, address: Option<IpAddr>) -> Result<(), ApiError> {
        let (Some(limiter), Some(address)) = (&self.addresses, address) else { return Ok(()) };
        limiter.take(&[client_of(address)], Instant::now()).map(drop).map_err(|wait| {
            self.metrics.rate_limited("address");
            ApiError::rate_limited("too many requests from this address", wait)
        })
    }

    /// Whether keys have a limit at all.
    pub fn counts_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// Counts a new statement against every key that has signed it. Only after the signatures were verified, and not
    /// for a statement that is in the log already, or can't enter this one: anybody can send a public statement again, and
    /// must not be able to use up its signer's allowance.
    ///
    /// # Errors
    /// 429 `rate_limited`.
    pub fn count_keys(&self, keys: &[KeyId]) -> Result<Option<Allowance>, ApiError> {
        let Some(limiter) = &self.keys else { return Ok(None) };
        let taken = limiter.take(keys, Instant::now()).map_err(|wait| {
            self.metrics.rate_limited("key");
            ApiError::rate_limited("too many statements signed by this key", wait)
        })?;
        Ok(Some(Allowance { limiter: Arc::clone(limiter), taken }))
    }
}

/// What a statement has taken from the allowances of its keys. Given back when dropped: only what becomes an entry costs
/// its signers anything, not what was refused, whoever sent it, nor what the service had no time for.
pub struct Allowance {
    limiter: Arc<Limiter<KeyId>>,
    taken: Vec<(KeyId, Instant)>,
}

impl Allowance {
    /// It became an entry.
    pub fn spend(mut self) {
        self.taken.clear();
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        self.limiter.give_back(&self.taken, Instant::now());
    }
}

/// The address that the outermost of `proxies` believed proxies saw. Anything further left was sent by the client.
fn forwarded_address<'v>(values: impl Iterator<Item = &'v str>, proxies: usize) -> Option<IpAddr> {
    let nth_from_the_right = proxies.checked_sub(1)?;
    let entries: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    let entry = entries.iter().rev().nth(nth_from_the_right)?;
    entry.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// The part of an address that names a client.
fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - IPV6_CLIENT_BITS))))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl<K: Eq + Hash + Copy> Limiter<K> {
        fn is_taken(&self, clients: &[K], now: Instant) -> Result<(), Duration> {
            self.take(clients, now).map(drop)
        }
    }

    #[test]
    fn rates_are_read_and_bounded() {
        let rate = |interval_ms, burst| Ok(Rate { interval: Duration::from_millis(interval_ms), burst });
        assert_eq!("20/s".parse::<Rate>(), rate(50, 20));
        assert_eq!("20/s:100".parse::<Rate>(), rate(50, 100));
        assert_eq!("30/m:1".parse::<Rate>(), rate(2_000, 1));
        assert_eq!("1/h".parse::<Rate>(), rate(3_600_000, 1));
        for wrong in
            ["", "20", "0/s", "-1/s", "20/s:", "20/s:0", "20/d", "20/", "/s", "1.5/s", "1000001/s", "20/s:5:5", " 20/s"]
        {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let limiter = Limiter::new("10/s:3".parse().unwrap(), 100);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        for _ in 0..3 {
            assert_eq!(limiter.is_taken(&["a"], at(0)), Ok(()));
        }
        assert_eq!(limiter.is_taken(&["a"], at(0)), Err(Duration::from_millis(100)));
        assert_eq!(limiter.is_taken(&["b"], at(0)), Ok(()), "somebody else");
        assert_eq!(limiter.is_taken(&["a"], at(99)), Err(Duration::from_millis(1)));
        assert_eq!(limiter.is_taken(&["a"], at(100)), Ok(()));
        assert_eq!(limiter.is_taken(&["a"], at(100)), Err(Duration::from_millis(100)));
        for _ in 0..3 {
            assert_eq!(limiter.is_taken(&["a"], at(10_000)), Ok(()), "whole again, and no more than whole");
        }
        assert!(limiter.is_taken(&["a"], at(10_000)).is_err());
    }

    #[test]
    fn who_is_refused_pays_nothing_and_neither_do_the_others() {
        let limiter = Limiter::new("1/s:2".parse().unwrap(), 100);
        let now = Instant::now();
        assert_eq!(limiter.is_taken(&["a", "b"], now), Ok(()));
        assert_eq!(limiter.is_taken(&["a"], now), Ok(()));
        assert!(limiter.is_taken(&["b", "a"], now).is_err());
        assert_eq!(limiter.is_taken(&["b"], now), Ok(()), "b was not charged for what a may not");
        assert!(limiter.is_taken(&["b"], now).is_err());
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_once() {
        let limiter = Limiter::new("1/s:3".parse().unwrap(), 100);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let taken: Vec<_> = (0..3).map(|_| limiter.take(&["a"], at(0)).unwrap()).collect();
        assert!(limiter.is_taken(&["a"], at(0)).is_err());
        limiter.give_back(&taken[1], at(100));
        assert_eq!(limiter.is_taken(&["a"], at(100)), Ok(()));
        assert_eq!(limiter.is_taken(&["a"], at(100)), Err(Duration::from_millis(900)));
        limiter.give_back(&[("never seen", at(5_000))], at(100));
        // The first of them was earned again by time, half of the second was: nobody gets more than was taken.
        let limiter = Limiter::new("1/s:2".parse().unwrap(), 100);
        let taken: Vec<_> = (0..2).map(|_| limiter.take(&["a"], at(0)).unwrap()).collect();
        limiter.give_back(&taken[0], at(1_500));
        limiter.give_back(&taken[1], at(1_500));
        assert_eq!(limiter.is_taken(&["a"], at(1_500)), Ok(()));
        assert_eq!(limiter.is_taken(&["a"], at(1_500)), Ok(()));
        assert!(limiter.is_taken(&["a"], at(1_500)).is_err());
        let first = limiter.take(&["b"], at(0)).unwrap();
        assert_eq!(limiter.is_taken(&["b"], at(9_000)), Ok(()));
        assert_eq!(limiter.is_taken(&["b"], at(9_000)), Ok(()));
        limiter.give_back(&first, at(9_000));
        assert!(limiter.is_taken(&["b"], at(9_000)).is_err(), "what was earned again long ago");
    }

    #[test]
    fn memory_is_bounded_and_who_owes_nothing_goes_first() {
        let limiter = Limiter::new("1/s".parse().unwrap(), 10);
        let start = Instant::now();
        for client in 0..10 {
            assert_eq!(limiter.is_taken(&[client], start), Ok(()));
        }
        let later = start + Duration::from_secs(2);
        assert_eq!(limiter.is_taken(&[0], later), Ok(()));
        assert_eq!(limiter.is_taken(&[10], later), Ok(()));
        assert!(limiter.is_taken(&[0], later).is_err(), "still remembered");
        for client in 100..100_000 {
            let _ = limiter.is_taken(&[client], later);
            assert!(limiter.whole_at.lock().unwrap().len() <= 10);
        }
    }

    #[test]
    fn only_what_believed_proxies_appended_counts() {
        let address = |values: &[&'static str], proxies| forwarded_address(values.iter().copied(), proxies);
        let ip = |text: &str| Some(text.parse().unwrap());
        assert_eq!(address(&["192.0.2.1"], 0), None);
        assert_eq!(address(&["192.0.2.1"], 1), ip("192.0.2.1"));
        assert_eq!(address(&["198.51.100.9, 192.0.2.1"], 1), ip("192.0.2.1"));
        assert_eq!(address(&["198.51.100.9, 192.0.2.1", "10.0.0.1"], 2), ip("192.0.2.1"));
        assert_eq!(address(&["192.0.2.1"], 2), None, "did not come through both");
        assert_eq!(address(&["[2001:db8::1]:4711"], 1), ip("2001:db8::1"));
        assert_eq!(address(&["192.0.2.1:80"], 1), ip("192.0.2.1"));
        assert_eq!(address(&["unknown"], 1), None);
        assert_eq!(address(&[], 1), None);
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let client = |text: &str| client_of(text.parse().unwrap());
        assert_eq!(client("2001:db8:0:1::1"), client("2001:db8:0:1:ffff::2"));
        assert_ne!(client("2001:db8:0:1::1"), client("2001:db8:0:2::1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
    }
}
