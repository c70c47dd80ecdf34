//! Finds and stops a server that a killed chopmark left running on our data, and clears away what would make
//! PostgreSQL mistake somebody else's process for one. Called with the cluster's lock held. Relies on `postmaster.pid`,
//! on who listens at our socket, and on `process`; a process ID alone proves nothing, because they are used again.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process},
};
use tokio::net::UnixStream;

use super::{
    IMMEDIATE_LIMIT,
    error::{ClusterError, at},
    process::{self, Process},
    socket,
};

/// A `postmaster.pid` has under 300 bytes and two paths.
const PID_FILE_BYTES_MAX: u64 = 16 * 1024;
/// How far the start in `postmaster.pid` and the kernel's may lie apart: both are whole seconds of clocks that are
/// adjusted separately.
const START_DIFFERENCE_S_MAX: i64 = 3;

/// What a server wrote about itself when it started (PostgreSQL source: `src/include/utils/pidfile.h`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PidFile {
    pub(super) pid: i32,
    pub(super) started_unix_s: i64,
    pub(super) port: u16,
    /// `None` until the server has made its socket.
    pub(super) socket_directory: Option<PathBuf>,
}

/// What `postmaster.pid` can be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// Empty or cut short, as a crash of the machine leaves it.
    Unreadable,
    File(PidFile),
}

impl PidFile {
    /// Reads the file in the data directory `data`.
    pub(super) fn read(data: &Path) -> Result<Found, ClusterError> {
        let path = path_in(data);
        let mut text = Vec::new();
        match File::open(&path).and_then(|file| file.take(PID_FILE_BYTES_MAX).read_to_end(&mut text)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
            Err(error) => Err(at("read", path)(error)),
            Ok(_) => Ok(Self::parse(&String::from_utf8_lossy(&text)).map_or(Found::Unreadable, Found::File)),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        // A single-user server writes its ID negated.
        let pid = lines.next()?.trim().parse::<i32>().ok()?.checked_abs().filter(|&pid| pid > 0)?;
        let started_unix_s = lines.nth(1)?.trim().parse().ok()?;
        let port = lines.next().and_then(|port| port.trim().parse().ok()).unwrap_or(socket::PORT);
        let socket_directory = lines.next().filter(|path| path.starts_with('/')).map(PathBuf::from);
        Some(Self { pid, started_unix_s, port, socket_directory })
    }
}

fn path_in(data: &Path) -> PathBuf {
    data.join("postmaster.pid")
}

/// What is known about the process that `postmaster.pid` names.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing runs under this ID.
    Gone,
    /// A server on our data.
    Ours,
    /// The ID has gone to somebody else.
    Foreign,
    /// Neither is certain, and a mistake would cost data.
    Unclear(&'static str),
}

fn judge(file: &PidFile, process: Option<&Process>, listener: Option<i32>, data: &Path) -> Verdict {
    let Some(process) = process else { return Verdict::Gone };
    if listener == Some(file.pid) {
        return Verdict::Ours;
    }
    let same_start = process
        .started_unix_s
        .map(|started| started.abs_diff(file.started_unix_s) <= START_DIFFERENCE_S_MAX.unsigned_abs());
    let on_our_data =
        process.is_postgres().zip(process.mentions(data)).map(|(postgres, mentions)| postgres && mentions);
    match (same_start, on_our_data) {
        (Some(true), Some(true)) => Verdict::Ours,
        (_, Some(true)) => Verdict::Unclear("it was started on this directory, but not at the time the file says"),
        (Some(false), _) => Verdict::Foreign,
        (_, Some(false)) if process.is_postgres() == Some(false) => Verdict::Foreign,
        (Some(true), _) => Verdict::Unclear("it started at the time the file says, but not visibly on this directory"),
        (None, _) => Verdict::Unclear("the system does not show when it started"),
    }
}

/// The process listening at a server's socket: the kernel remembers who called listen(2).
async fn listener(directory: &Path, port: u16) -> Option<i32> {
    let stream = UnixStream::connect(socket::file(directory, port)).await.ok()?;
    stream.peer_cred().ok()?.pid()
}

/// Leaves `data` and `socket_directory` so that a new server can start: a server of ours still running is stopped
/// within `stop_limit` (then once more, without ceremony), and traces that now point at a stranger are removed.
pub(super) async fn settle(data: &Path, socket_directory: &Path, stop_limit: Duration) -> Result<(), ClusterError> {
    let found = PidFile::read(data)?;
    let (directory, port) = match &found {
        Found::File(file) => (file.socket_directory.as_deref().unwrap_or(socket_directory), file.port),
        Found::Nothing | Found::Unreadable => (socket_directory, socket::PORT),
    };
    let listener = listener(directory, port).await;
    let verdict = match &found {
        Found::File(file) => judge(file, process::look(file.pid).as_ref(), listener, data),
        Found::Nothing | Found::Unreadable => Verdict::Gone,
    };
    match (&found, verdict) {
        (Found::File(file), Verdict::Ours) => stop(file.pid, data, stop_limit).await?,
        (Found::File(file), Verdict::Unclear(reason)) => {
            return Err(ClusterError::UnclearOrphan { pid: file.pid, data: data.to_path_buf(), reason });
        }
        _ => {
            if let Some(pid) = listener {
                let reason = "it listens at this cluster's socket";
                return Err(ClusterError::UnclearOrphan { pid, data: data.to_path_buf(), reason });
            }
        }
    }
    // PostgreSQL clears away the file of a process that is gone, and first makes sure that no worker of it is left. But
    // it believes in every process that exists, a stranger or a zombie, and in no unreadable file.
    if !matches!(&found, Found::File(file) if !process::exists(file.pid)) {
        remove_if_present(&path_in(data))?;
    }
    for entry in fs::read_dir(socket_directory).map_err(at("list", socket_directory))? {
        let entry = entry.map_err(at("list", socket_directory))?;
        if entry.file_name().as_encoded_bytes().starts_with(b".s.PGSQL.") {
            remove_if_present(&entry.path())?;
        }
    }
    Ok(())
}

fn remove_if_present(path: &Path) -> Result<(), ClusterError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

async fn stop(pid: i32, data: &Path, stop_limit: Duration) -> Result<(), ClusterError> {
    tracing::warn!(postgres.pid = pid, "stopping a PostgreSQL left running by a chopmark that was killed");
    let started = process::look(pid).and_then(|process| process.started_unix_s);
    for (signal, limit) in [(Signal::INT, stop_limit), (Signal::QUIT, IMMEDIATE_LIMIT)] {
        let target = Pid::from_raw(pid).ok_or(Errno::SRCH);
        match target.and_then(|target| kill_process(target, signal)) {
            Ok(()) => {}
            Err(Errno::SRCH) => return Ok(()),
            Err(error) => return Err(at("stop the PostgreSQL left running on", data)(error.into())),
        }
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if process::look(pid).is_none_or(|process| process.started_unix_s != started) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Err(ClusterError::StubbornOrphan { pid, data: data.to_path_buf(), waited: stop_limit + IMMEDIATE_LIMIT })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: &str = "/srv/chopmark/postgres/data";

    fn file() -> PidFile {
        PidFile { pid: 41, started_unix_s: 1_000_000, port: 5432, socket_directory: None }
    }

    fn running(started_unix_s: Option<i64>, command: Option<&str>) -> Process {
        Process { started_unix_s, command: command.map(|command| command.replace(' ', "\0").into_bytes()) }
    }

    #[test]
    fn pid_file_is_read_as_postgres_writes_it() {
        let text = "41\n/srv/chopmark/postgres/data\n1700000000\n5433\n/tmp/s\n\n  123  4\nready   \n";
        let parsed = PidFile::parse(text).unwrap();
        let socket_directory = Some(PathBuf::from("/tmp/s"));
        assert_eq!(parsed, PidFile { pid: 41, started_unix_s: 1_700_000_000, port: 5433, socket_directory });
        let early = PidFile::parse("-41\n/data\n1700000000\n").unwrap();
        assert_eq!((early.pid, early.port, early.socket_directory), (41, 5432, None));
        for text in ["", "\n", "41\n", "41\n/data\n", "0\n/data\n1\n", "x\n/data\n1\n", "-2147483648\n/data\n1\n"] {
            assert_eq!(PidFile::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn verdicts_need_more_than_a_process_id() {
        let ours = format!("/usr/lib/postgresql/15/bin/postgres -D {DATA}");
        let other = "/usr/lib/postgresql/15/bin/postgres -D /var/lib/postgresql/15/main";
        let judged =
            |started, command: Option<&str>| judge(&file(), Some(&running(started, command)), None, DATA.as_ref());
        let same = Some(1_000_002);
        let later = Some(1_000_900);

        assert_eq!(judge(&file(), None, None, DATA.as_ref()), Verdict::Gone);
        assert_eq!(judged(same, Some(&ours)), Verdict::Ours);
        assert_eq!(judged(later, Some("sleep 60")), Verdict::Foreign);
        assert_eq!(judged(later, Some(other)), Verdict::Foreign, "the ID was reused by another server");
        assert_eq!(judged(later, None), Verdict::Foreign);
        assert_eq!(judged(same, Some("sleep 60")), Verdict::Foreign, "a restart within the tolerance");
        assert_eq!(judged(None, Some("sleep 60")), Verdict::Foreign);
        for unclear in [judged(later, Some(&ours)), judged(same, Some(other)), judged(same, None), judged(None, None)] {
            assert!(matches!(unclear, Verdict::Unclear(_)), "{unclear:?}");
        }
    }

    #[test]
    fn listener_at_our_socket_is_ours_whatever_the_clocks_say() {
        let process = running(Some(5), None);
        assert_eq!(judge(&file(), Some(&process), Some(41), DATA.as_ref()), Verdict::Ours);
        assert_eq!(judge(&file(), Some(&process), Some(42), DATA.as_ref()), Verdict::Foreign);
    }

    #[tokio::test]
    async fn unreadable_and_stale_traces_are_cleared() {
        let (data, sockets) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let stranger = format!("{}\n/data\n1\n5432\n", std::process::id());
        for text in ["", &stranger] {
            fs::write(path_in(data.path()), text).unwrap();
            fs::write(sockets.path().join(".s.PGSQL.5432.lock"), "1\n").unwrap();
            fs::write(sockets.path().join("kept"), "").unwrap();
            settle(data.path(), sockets.path(), Duration::from_secs(1)).await.unwrap();
            assert_eq!(PidFile::read(data.path()).unwrap(), Found::Nothing);
            assert_eq!(fs::read_dir(sockets.path()).unwrap().count(), 1);
        }
    }

    #[tokio::test]
    async fn unknown_server_at_our_socket_is_left_alone() {
        let (data, sockets) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = socket::file(sockets.path(), socket::PORT);
        let _server = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let error = settle(data.path(), sockets.path(), Duration::from_secs(1)).await.unwrap_err();
        assert!(matches!(error, ClusterError::UnclearOrphan { .. }), "{error}");
        assert!(path.exists());
    }
}
