//! Makes a new database cluster: in a temporary sibling first, renamed into place when it is complete and on disk, so
//! that a crash half-way leaves nothing that looks finished. Called with the cluster's lock held.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::ffi::OsStrExt,
    path::Path,
    process::Output,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::fs::{Mode, OFlags};

use super::{
    Layout, SUPERUSER,
    account::{self, Account},
    binaries::Binaries,
    error::{ClusterError, at},
};

/// How unfinished clusters are called. Every attempt has its own name: an initdb whose chopmark was killed may still
/// be writing into the old one.
const UNFINISHED_PREFIX: &str = "initdb-";
/// Half a second is usual; slow disks and network file systems are given their time.
const INITDB_LIMIT: Duration = Duration::from_mins(3);
/// C.UTF-8 sorts by code point, the same everywhere and for ever. macOS has only its synonym for this purpose.
const LOCALE: &str = if cfg!(target_os = "macos") { "C" } else { "C.UTF-8" };

/// Of the machine's memory, one part in so many is for PostgreSQL's own buffers, within bounds. PostgreSQL's manual suggests
/// a quarter where nothing else runs; here the service and the page cache share the machine.
const BUFFERS_SHARE: u64 = 8;
const BUFFERS_MIN_MIB: u64 = 128;
const BUFFERS_MAX_MIB: u64 = 4_096;

/// What limits the memory of a container, in bytes or `max`.
const CONTROL_GROUP_LIMIT: &str = "/sys/fs/cgroup/memory.max";

/// Starting values, free to be edited by whoever runs the service.
fn settings() -> String {
    format!(
        "
# Written by chopmark when this cluster was made; change what you like. What durability and privacy rest on (fsync,
# full_page_writes, synchronous_commit, the socket) is set on the command line at every start and wins over this file.
max_connections = 100
shared_buffers = {}MB
wal_compression = on
checkpoint_timeout = 5min
max_wal_size = 1GB
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
log_checkpoints = off
jit = off
",
        shared_buffers_mib(memory_bytes())
    )
}

/// Pages that PostgreSQL keeps itself; a machine that does not say how much memory it has gets the least.
fn shared_buffers_mib(memory_bytes: Option<u64>) -> u64 {
    let share = memory_bytes.map_or(0, |bytes| bytes / BUFFERS_SHARE / (1 << 20));
    share.clamp(BUFFERS_MIN_MIB, BUFFERS_MAX_MIB)
}

/// The machine's memory, or what its container may use of it.
fn memory_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok()?;
    // proc(5): "MemTotal:       24617596 kB", and kB are of 1,024 bytes.
    let total = machine.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let total: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let limit = fs::read_to_string(CONTROL_GROUP_LIMIT).ok().and_then(|limit| limit.trim().parse().ok());
    Some(limit.unwrap_or(u64::MAX).min(total.saturating_mul(1_024)))
}

/// Removes what attempts that were cut short have left in the cluster's directory.
pub(super) async fn sweep(layout: &Layout) -> Result<(), ClusterError> {
    for entry in fs::read_dir(&layout.directory).map_err(at("list", &layout.directory))? {
        let path = entry.map_err(at("list", &layout.directory))?.path();
        if path.file_name().is_some_and(|name| name.as_bytes().starts_with(UNFINISHED_PREFIX.as_bytes())) {
            tracing::warn!(path = %path.display(), "removing a database cluster that was never finished");
            remove_stubbornly(&path).await;
        }
    }
    Ok(())
}

/// An initdb whose chopmark was killed may go on writing for a moment while this removes; should it keep on, the
/// leftover harms nobody and the next start tries again.
async fn remove_stubbornly(path: &Path) {
    for _ in 0..30 {
        match fs::remove_dir_all(path) {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => tracing::debug!(path = %path.display(), %error, "not removed yet"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tracing::warn!(path = %path.display(), "could not be removed; remove it by hand");
}

/// Makes the cluster at `layout.data`, which must not exist.
pub(super) async fn create(
    layout: &Layout,
    binaries: &Binaries,
    account: Option<&Account>,
) -> Result<(), ClusterError> {
    let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let unfinished = layout.directory.join(format!("{UNFINISHED_PREFIX}{}-{nanoseconds}", std::process::id()));
    account::private_directory(&unfinished, account)?;
    let made = fill(&unfinished, layout, binaries, account).await;
    if made.is_err() {
        // The error matters more than whether this succeeds; the next start sweeps.
        let _ = fs::remove_dir_all(&unfinished);
    }
    made
}

async fn fill(
    unfinished: &Path,
    layout: &Layout,
    binaries: &Binaries,
    account: Option<&Account>,
) -> Result<(), ClusterError> {
    let mut command = account::command(&binaries.program("initdb"), account, &layout.directory);
    command
        .args(["--username", SUPERUSER, "--encoding", "UTF8", "--locale", LOCALE, "--data-checksums"])
        .args(["--auth-local", "trust", "--auth-host", "reject", "--no-instructions", "--pgdata"])
        .arg(unfinished)
        .kill_on_drop(true);
    let failed =
        |reason: String, output: String| ClusterError::Initdb { directory: layout.directory.clone(), reason, output };
    let output = match tokio::time::timeout(INITDB_LIMIT, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(at("run", binaries.program("initdb"))(error)),
        Err(_elapsed) => return Err(failed(format!("initdb took over {INITDB_LIMIT:?}"), String::new())),
    };
    if !output.status.success() {
        return Err(failed(format!("initdb ended with {}", output.status), both_streams(&output)));
    }
    let configuration = unfinished.join("postgresql.conf");
    append(&configuration, &settings()).map_err(at("write", &configuration))?;
    fs::rename(unfinished, &layout.data).map_err(at("rename the new cluster to", &layout.data))?;
    sync_directory(&layout.directory).map_err(at("sync", &layout.directory))
}

fn append(path: &Path, text: &str) -> io::Result<()> {
    // The service may be root and the directory PostgreSQL's, so a planted link is not followed.
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Makes a rename inside `directory` survive a power cut.
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn both_streams(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_an_eighth_of_the_memory_within_bounds() {
        assert_eq!(shared_buffers_mib(None), 128);
        assert_eq!(shared_buffers_mib(Some(512 << 20)), 128);
        assert_eq!(shared_buffers_mib(Some(16 << 30)), 2_048);
        assert_eq!(shared_buffers_mib(Some(1 << 40)), 4_096);
        assert!(settings().contains("\nshared_buffers = "), "{}", settings());
    }
}
