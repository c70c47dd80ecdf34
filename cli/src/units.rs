//! Numbers for people: sizes, rates, times and counts, in whole-number arithmetic.

/// A size in bytes, in decimal units with three significant digits: `91.6 MB`.
pub(crate) fn bytes(size_bytes: u64) -> String {
    const UNITS: [(u64, &str); 6] = [
        (1_000_000_000_000_000_000, "EB"),
        (1_000_000_000_000_000, "PB"),
        (1_000_000_000_000, "TB"),
        (1_000_000_000, "GB"),
        (1_000_000, "MB"),
        (1_000, "kB"),
    ];
    let Some((unit, name)) = UNITS.into_iter().find(|(unit, _)| size_bytes >= *unit) else {
        return count(size_bytes, "byte");
    };
    let whole = size_bytes / unit;
    let hundredths = size_bytes % unit / (unit / 100);
    match whole {
        0..10 => format!("{whole}.{hundredths:02} {name}"),
        10..100 => format!("{whole}.{} {name}", hundredths / 10),
        _ => format!("{whole} {name}"),
    }
}

/// A number of things: `1 file`, `2 files`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// Bytes per second over a time in milliseconds: `1.10 GB/s`.
pub(crate) fn rate(size_bytes: u64, elapsed_ms: u128) -> String {
    let per_second = u128::from(size_bytes) * 1_000 / elapsed_ms.max(1);
    format!("{}/s", bytes(u64::try_from(per_second).unwrap_or(u64::MAX)))
}

/// A time in milliseconds: `87 ms`, `1.3 s`, `42 s`, `3 min 20 s`, `2 h 5 min`.
pub(crate) fn duration(milliseconds: u128) -> String {
    let seconds = milliseconds / 1_000;
    match seconds {
        0 => format!("{milliseconds} ms"),
        1..10 => format!("{seconds}.{} s", milliseconds % 1_000 / 100),
        10..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
    }
}

/// The length of a slice as the 64-bit number everything else is counted in.
pub(crate) fn length(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (size, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1_000, "1.00 kB"),
            (90_868_376, "90.8 MB"),
            (999_999, "999 kB"),
            (1_100_000_000, "1.10 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(size), text);
        }
        assert_eq!(rate(1_000_000, 500), "2.00 MB/s");
        assert_eq!(rate(5, 0), "5.00 kB/s");
        for (ms, text) in
            [(87, "87 ms"), (1_340, "1.3 s"), (42_000, "42 s"), (200_000, "3 min 20 s"), (7_500_000, "2 h 5 min")]
        {
            assert_eq!(duration(ms), text);
        }
        assert_eq!((count(1, "file"), count(0, "file")), ("1 file".to_owned(), "0 files".to_owned()));
    }
}
