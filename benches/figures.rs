//! Times and how they are said.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long some work takes.
pub(crate) fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(work());
    start.elapsed()
}

/// The middle one.
pub(crate) fn median<T: PartialOrd + Copy + Default>(mut values: Vec<T>) -> T {
    values.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap_or(core::cmp::Ordering::Equal));
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The value that this share of all values does not exceed; the values ascend.
pub(crate) fn quantile(ascending: &[Duration], share: f64) -> Duration {
    let place = (count(ascending.len()) * share).ceil().max(1.0);
    (1..).zip(ascending).find(|(number, _)| f64::from(*number) >= place).map_or(Duration::ZERO, |(_, value)| *value)
}

/// A number of things, for arithmetic.
pub(crate) fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::NAN, f64::from)
}

/// Things in a second.
pub(crate) fn per_second(number: usize, time: Duration) -> f64 {
    count(number) / time.as_secs_f64()
}

/// Says one figure.
pub(crate) fn figure(name: &str, value: f64, unit: &str) {
    println!("bench: {name} = {value:.3} {unit}");
}
