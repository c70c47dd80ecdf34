//! The server log, bounded: a thread copies PostgreSQL's standard error to a file, keeps one older file, and
//! remembers the last lines for error messages. A thread and not a task, because PostgreSQL blocks while nobody reads.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, BufRead, BufReader, PipeWriter, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use rustix::fs::{Mode, OFlags};

use super::error::{ClusterError, at};

/// Size at which the log becomes the older log, so that both together stay under twice this.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Longer lines are cut into pieces of this size; statements quoted in errors can be as long as the statement.
const LINE_BYTES_MAX: u64 = 64 * 1024;
/// Lines quoted in an error: enough for a FATAL with its DETAIL, HINT and the shutdown around it.
const TAIL_LINES_MAX: usize = 12;

/// A running copy of one server's standard error.
#[derive(Debug)]
pub(super) struct ServerLog {
    path: PathBuf,
    tail: Arc<Mutex<VecDeque<String>>>,
    thread: JoinHandle<()>,
}

impl ServerLog {
    /// Starts copying to the end of the file at `path` what a server writes into the returned pipe. The copy ends when
    /// everybody has closed that.
    pub(super) fn follow(path: &Path) -> Result<(Self, PipeWriter), ClusterError> {
        let mut file = LogFile::open(path, FILE_BYTES_MAX).map_err(at("open the log", path))?;
        let (source, sink) = io::pipe().map_err(at("make a pipe to the log", path))?;
        let tail = Arc::new(Mutex::new(VecDeque::new()));
        let shared = Arc::clone(&tail);
        let copy = move || {
            let mut source = BufReader::new(source);
            let mut line = Vec::new();
            while matches!((&mut source).take(LINE_BYTES_MAX).read_until(b'\n', &mut line), Ok(1..)) {
                // A full disk must not stop PostgreSQL: go on reading.
                let _ = file.append(&line);
                remember(&shared, &line);
                line.clear();
            }
        };
        let thread = std::thread::Builder::new()
            .name("postgres-log".to_owned())
            .spawn(copy)
            .map_err(at("start copying to the log", path))?;
        Ok((Self { path: path.to_path_buf(), tail, thread }, sink))
    }

    /// The log file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits a moment for the copy to reach the end of what a server wrote that has ended.
    pub(super) async fn drained(&self) {
        for _ in 0..50 {
            if self.thread.is_finished() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The last lines that this server wrote.
    pub(super) async fn tail(&self) -> String {
        self.drained().await;
        let lines = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
    }
}

fn remember(tail: &Mutex<VecDeque<String>>, line: &[u8]) {
    let mut lines = tail.lock().unwrap_or_else(PoisonError::into_inner);
    if lines.len() == TAIL_LINES_MAX {
        lines.pop_front();
    }
    lines.push_back(String::from_utf8_lossy(line).trim_end().to_owned());
}

struct LogFile {
    file: File,
    path: PathBuf,
    size_bytes: u64,
    size_bytes_max: u64,
}

impl LogFile {
    fn open(path: &Path, size_bytes_max: u64) -> io::Result<Self> {
        // The service may be root and the directory may be somebody else's, so a planted link is not followed.
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
        let size_bytes = file.metadata()?.len();
        Ok(Self { file, path: path.to_path_buf(), size_bytes, size_bytes_max })
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let line_bytes = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.size_bytes.saturating_add(line_bytes) > self.size_bytes_max {
            fs::rename(&self.path, self.path.with_extension("log.1"))?;
            *self = Self::open(&self.path, self.size_bytes_max)?;
        }
        self.file.write_all(line)?;
        self.size_bytes = self.size_bytes.saturating_add(line_bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_is_rotated_before_it_grows_over_its_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("postgres.log");
        let mut log = LogFile::open(&path, 10).unwrap();
        for line in ["12345\n", "1234\n", "abc\n"] {
            log.append(line.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "1234\nabc\n");
        assert_eq!(fs::read_to_string(directory.path().join("postgres.log.1")).unwrap(), "12345\n");
        let mut log = LogFile::open(&path, 10).unwrap();
        log.append(b"z\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "z\n", "size is counted from the start of the file");
    }

    #[test]
    fn planted_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (victim, path) = (directory.path().join("victim"), directory.path().join("postgres.log"));
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        assert!(LogFile::open(&path, 10).is_err());
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }

    #[tokio::test]
    async fn what_is_written_into_the_pipe_is_in_the_file_and_the_tail() {
        let directory = tempfile::tempdir().unwrap();
        let (log, mut sink) = ServerLog::follow(&directory.path().join("postgres.log")).unwrap();
        sink.write_all(b"FATAL:  no\n\xff\nlast, without an end").unwrap();
        drop(sink);
        assert_eq!(log.tail().await, "  FATAL:  no\n  \u{fffd}\n  last, without an end");
        assert_eq!(fs::read(log.path()).unwrap(), b"FATAL:  no\n\xff\nlast, without an end");
    }

    #[test]
    fn only_the_last_lines_are_remembered() {
        let tail = Mutex::new(VecDeque::new());
        for number in 0..TAIL_LINES_MAX + 3 {
            remember(&tail, format!("line {number}\n").as_bytes());
        }
        let lines = tail.into_inner().unwrap();
        assert_eq!(lines.len(), TAIL_LINES_MAX);
        assert_eq!(lines.front().unwrap(), "line 3");
    }
}
