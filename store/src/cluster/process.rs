//! What the operating system says about a process: since when it runs, and what it was started as.
//! Relies on /proc on Linux and on `ps` elsewhere. A zombie counts as ended: nobody may ever wait for it.

use rustix::{
    io::Errno,
    process::{Pid, test_kill_process},
};

/// A process that is running now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    /// When it started, in seconds since 1970 UTC; `None` where the system doesn't say.
    pub(super) started_unix_s: Option<i64>,
    /// Its command line, the arguments separated by NUL (Linux) or spaces; `None` where the system doesn't say.
    pub(super) command: Option<Vec<u8>>,
}

impl Process {
    /// Whether this looks like a PostgreSQL server or one of its workers, which rename themselves `postgres: …`.
    pub(super) fn is_postgres(&self) -> Option<bool> {
        let command = self.command.as_deref()?;
        let program = command.split(|byte| matches!(byte, 0 | b' ' | b':')).next()?;
        let name = program.rsplit(|&byte| byte == b'/').next()?;
        Some(name == b"postgres")
    }

    /// Whether the command line names this path.
    pub(super) fn mentions(&self, path: &std::path::Path) -> Option<bool> {
        let command = self.command.as_deref()?;
        let path = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
        let ends = |after: Option<&u8>| matches!(after, None | Some(0 | b' '));
        Some(
            command
                .windows(path.len())
                .enumerate()
                .any(|(index, window)| window == path && ends(command.get(index + path.len()))),
        )
    }
}

/// Whether the system still knows this process ID, be it only as a zombie.
pub(super) fn exists(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

/// The process with this ID, or `None` where none is running.
#[cfg(target_os = "linux")]
pub(super) fn look(pid: i32) -> Option<Process> {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        // Either there is none, or /proc is mounted so that only one's own processes show.
        return exists(pid).then_some(Process { started_unix_s: None, command: None });
    };
    let (ended, start_ticks) = parse_stat(&stat)?;
    if ended {
        return None;
    }
    let started_unix_s = start_ticks.zip(boot_unix_s()).map(|(ticks, boot)| boot + ticks / TICKS_PER_SECOND);
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|command| !command.is_empty());
    Some(Process { started_unix_s, command })
}

/// `USER_HZ`: the unit of times in /proc, the same 100 on every architecture Rust's Linux targets have.
#[cfg(target_os = "linux")]
const TICKS_PER_SECOND: i64 = 100;

/// Whether the process has ended, and its start in ticks since boot: fields 3 and 22 of proc(5). Field 2 is
/// the program's name and may hold anything, so counting starts behind its last parenthesis.
#[cfg(target_os = "linux")]
fn parse_stat(stat: &str) -> Option<(bool, Option<i64>)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let start_ticks = fields.nth(18).and_then(|ticks| ticks.parse().ok());
    Some((matches!(state, "Z" | "X" | "x"), start_ticks))
}

#[cfg(target_os = "linux")]
fn boot_unix_s() -> Option<i64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// The process with this ID, or `None` where none is running.
#[cfg(not(target_os = "linux"))]
pub(super) fn look(pid: i32) -> Option<Process> {
    let arguments = ["-ww", "-o", "stat=,etime=,command=", "-p", &pid.to_string()];
    let output = std::process::Command::new("ps").args(arguments).output().ok()?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
    parse_ps(&String::from_utf8_lossy(&output.stdout), i64::try_from(now).ok()?)
}

/// One line of `ps -o stat=,etime=,command=`; the elapsed time is `[[days-]hours:]minutes:seconds` (POSIX).
#[cfg(any(test, not(target_os = "linux")))]
fn parse_ps(line: &str, now_unix_s: i64) -> Option<Process> {
    let (state, rest) = line.trim().split_once(char::is_whitespace)?;
    if state.starts_with('Z') {
        return None;
    }
    let (elapsed, command) = rest.trim_start().split_once(char::is_whitespace)?;
    let (days, clock) = elapsed.split_once('-').unwrap_or(("0", elapsed));
    let seconds = clock.split(':').try_fold(0_i64, |sum, part| Some(sum * 60 + part.parse::<i64>().ok()?));
    let started_unix_s = seconds.zip(days.parse::<i64>().ok()).map(|(s, days)| now_unix_s - days * 86_400 - s);
    Some(Process { started_unix_s, command: Some(command.trim().as_bytes().to_vec()) })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn started_as(command: &[u8]) -> Process {
        Process { started_unix_s: None, command: Some(command.to_vec()) }
    }

    #[test]
    fn our_own_process_is_seen_with_its_start() {
        let process = look(i32::try_from(std::process::id()).unwrap()).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let age = i64::try_from(now).unwrap() - process.started_unix_s.unwrap();
        assert!((-2..=86_400).contains(&age), "{age}");
        assert_eq!(process.is_postgres(), Some(false));
    }

    #[test]
    fn ended_process_is_not_seen_even_while_it_is_a_zombie() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        while look(pid).is_some() {
            std::thread::yield_now();
        }
        assert!(exists(pid));
        child.wait().unwrap();
        assert_eq!((look(pid), exists(pid)), (None, false));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn stat_is_read_behind_a_hostile_program_name() {
        let tail = "1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 98648 7";
        assert_eq!(parse_stat(&format!("7 (a) Z (b)) S {tail}")), Some((false, Some(98648))));
        assert_eq!(parse_stat(&format!("7 (postgres) Z {tail}")), Some((true, Some(98648))));
        assert_eq!(parse_stat("7 (short) R 1"), Some((false, None)));
        assert_eq!(parse_stat("garbage"), None);
    }

    #[test]
    fn ps_lines_are_read() {
        let process = parse_ps("Ss   1-02:03:04 /opt/pg/bin/postgres -D /data/x\n", 200_000).unwrap();
        assert_eq!(process.started_unix_s, Some(200_000 - 86_400 - 2 * 3600 - 3 * 60 - 4));
        assert_eq!(process.is_postgres(), Some(true));
        assert_eq!(process.mentions(Path::new("/data/x")), Some(true));
        assert_eq!(parse_ps("S 01:05 sleep 9", 100).unwrap().started_unix_s, Some(35));
        assert_eq!(parse_ps("Z 01:05 <defunct>", 100), None);
        assert_eq!(parse_ps("", 100), None);
    }

    #[test]
    fn command_line_is_judged_by_whole_names() {
        let server = started_as(b"/usr/lib/postgresql/15/bin/postgres\0-D\0/srv/a/data\0-c\0port=5432\0");
        assert_eq!(server.is_postgres(), Some(true));
        assert_eq!(server.mentions(Path::new("/srv/a/data")), Some(true));
        assert_eq!(server.mentions(Path::new("/srv/a/dat")), Some(false));
        assert_eq!(started_as(b"postgres: checkpointer ").is_postgres(), Some(true));
        assert_eq!(started_as(b"/usr/bin/postgres_exporter\0").is_postgres(), Some(false));
        assert_eq!(Process { started_unix_s: None, command: None }.is_postgres(), None);
    }
}
