//! How a server that was killed makes sure, before it recovers, that the disk holds what the kernel held.
//!
//! PostgreSQL does that file by file, well over a thousand of them, and each costs a flush of the disk, changed or not:
//! seconds where an idle disk needs a tenth of one. One `syncfs` flushes the file system once, whatever else is written
//! to it by then, and is as good where the kernel reports its errors, which Linux does from 5.8 on.

/// The settings for the command line.
pub(super) fn settings() -> &'static [&'static str] {
    if syncfs_reports_errors() { &["-c", "recovery_init_sync_method=syncfs"] } else { &[] }
}

#[cfg(target_os = "linux")]
fn syncfs_reports_errors() -> bool {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").is_ok_and(|release| is_new_enough(&release))
}

#[cfg(not(target_os = "linux"))]
fn syncfs_reports_errors() -> bool {
    false
}

/// Whether a Linux release such as `6.1.0-28-amd64` is 5.8 or newer.
#[cfg(any(test, target_os = "linux"))]
fn is_new_enough(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse::<u32>().ok());
    let number = numbers.next().flatten().zip(numbers.next().flatten());
    number.is_some_and(|number| number >= (5, 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        for new in ["5.8.0", "5.10.0-30-amd64\n", "6.1.0-28-amd64", "10.0"] {
            assert!(is_new_enough(new), "{new}");
        }
        for old in ["5.7.19", "4.19.0-27-amd64", "", "unknown", "5"] {
            assert!(!is_new_enough(old), "{old}");
        }
    }
}
