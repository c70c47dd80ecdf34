//! How far hashing has come, on stderr: a bar on a terminal, elsewhere plain lines or, with `--json`, one event a line;
//! nothing when told to be quiet.

use std::io::{self, IsTerminal as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chopmark_gpu_verify::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::printer::{self, Printer};
use crate::units;

mod batch;
mod steps;

pub(crate) use batch::BatchProgress;
pub(crate) use steps::Steps;

/// Time between two plain lines; long enough for a log to stay readable.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Phase, bar, share, amount, rate, time left, file.
const TEMPLATE: &str = "{prefix} {bar:24} {percent:>3}%  {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left  {wide_msg}";

/// Shows one pass over the bytes of an artefact.
pub(crate) struct HashProgress<'a> {
    printer: &'a Printer,
    bar: Option<ProgressBar>,
    /// Without a line when it begins and when it ends.
    is_brief: bool,
    started: Instant,
    files: AtomicU64,
    total_size_bytes: AtomicU64,
    /// Read, or remembered and so not to be read.
    done_size_bytes: AtomicU64,
    read_size_bytes: AtomicU64,
    /// When the last plain line was written.
    last_line: Mutex<Instant>,
}

impl<'a> HashProgress<'a> {
    /// Starts the clock; one of many is brief.
    pub(crate) fn start(printer: &'a Printer, is_brief: bool) -> Self {
        let started = Instant::now();
        Self {
            printer,
            bar: bar(printer, TEMPLATE),
            is_brief,
            started,
            files: AtomicU64::new(0),
            total_size_bytes: AtomicU64::new(0),
            done_size_bytes: AtomicU64::new(0),
            read_size_bytes: AtomicU64::new(0),
            last_line: Mutex::new(started),
        }
    }

    /// Clears the bar and says what was done.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let (files, size_bytes) = (self.files.load(Ordering::Relaxed), self.total_size_bytes.load(Ordering::Relaxed));
        if self.is_brief || files == 0 {
            return;
        }
        if self.tells_events() {
            return self.event("hashed");
        }
        let (elapsed_ms, read) = (self.started.elapsed().as_millis(), self.read_size_bytes());
        let amount = if read == size_bytes {
            units::bytes(size_bytes)
        } else {
            format!("{} of {} read", units::bytes(read), units::bytes(size_bytes))
        };
        self.printer.note(format!(
            "hashed {}, {amount} in {} ({})",
            units::count(files, "file"),
            units::duration(elapsed_ms),
            units::rate(read, elapsed_ms)
        ));
    }

    /// Bytes read so far.
    pub(crate) fn read_size_bytes(&self) -> u64 {
        self.read_size_bytes.load(Ordering::Relaxed)
    }

    /// Clears the bar after a failure, which speaks for itself.
    pub(crate) fn abandon(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, done: u64) {
        // Whoever finds the lock taken leaves the line to the other thread.
        let Ok(mut last) = self.last_line.try_lock() else { return };
        if last.elapsed() < LINE_INTERVAL {
            return;
        }
        *last = Instant::now();
        if self.tells_events() {
            return self.event("hashing");
        }
        let total = self.total_size_bytes.load(Ordering::Relaxed).max(1);
        let elapsed_ms = self.started.elapsed().as_millis();
        self.printer.note(format!(
            "hashing {}%  {} of {}  {}  {} left",
            u128::from(done) * 100 / u128::from(total),
            units::bytes(done),
            units::bytes(total),
            units::rate(self.read_size_bytes(), elapsed_ms),
            units::duration(self.left_ms(elapsed_ms))
        ));
    }

    /// Time left, by the rate so far, in milliseconds.
    fn left_ms(&self, elapsed_ms: u128) -> u128 {
        let done = self.done_size_bytes.load(Ordering::Relaxed);
        let left = self.total_size_bytes.load(Ordering::Relaxed).saturating_sub(done);
        u128::from(left) * elapsed_ms / u128::from(self.read_size_bytes().max(1))
    }

    /// Whether a program reads along rather than a person.
    fn tells_events(&self) -> bool {
        self.bar.is_none() && self.printer.is_json()
    }

    fn event(&self, phase: &str) {
        let (elapsed_ms, read) = (self.started.elapsed().as_millis(), self.read_size_bytes());
        let whole = |number: u128| u64::try_from(number).unwrap_or(u64::MAX);
        self.printer.event(&json!({
            "event": "progress",
            "phase": phase,
            "files": self.files.load(Ordering::Relaxed),
            "done_size_bytes": self.done_size_bytes.load(Ordering::Relaxed),
            "total_size_bytes": self.total_size_bytes.load(Ordering::Relaxed),
            "read_size_bytes": read,
            "elapsed_ms": whole(elapsed_ms),
            "bytes_per_second": whole(u128::from(read) * 1_000 / elapsed_ms.max(1)),
            // Before the first byte nothing is known.
            "left_ms": (read > 0).then(|| whole(self.left_ms(elapsed_ms))),
        }));
    }
}

impl Progress for HashProgress<'_> {
    fn total(&self, files: u64, size_bytes: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
        let total = self.total_size_bytes.fetch_add(size_bytes, Ordering::Relaxed).saturating_add(size_bytes);
        match &self.bar {
            Some(bar) => bar.set_length(total),
            None if self.is_brief => {}
            None if self.printer.is_json() => self.event("hashing"),
            None if files == 0 && size_bytes > 0 => {
                self.printer.note(format!("hashing {} to name what differs", units::bytes(size_bytes)));
            }
            None => self.printer.note(format!("hashing {}, {}", units::count(files, "file"), units::bytes(size_bytes))),
        }
    }

    fn file(&self, path: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(path.to_owned());
        }
    }

    fn bytes(&self, size_bytes: u64) {
        self.read_size_bytes.fetch_add(size_bytes, Ordering::Relaxed);
        let done = self.done_size_bytes.fetch_add(size_bytes, Ordering::Relaxed).saturating_add(size_bytes);
        match &self.bar {
            Some(bar) => bar.set_position(done),
            None if !self.printer.is_quiet() => self.line(done),
            None => {}
        }
    }

    fn recalled(&self, size_bytes: u64) {
        let done = self.done_size_bytes.fetch_add(size_bytes, Ordering::Relaxed).saturating_add(size_bytes);
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            // What took no time says nothing about the rest.
            bar.reset_eta();
        }
    }
}

fn bar(printer: &Printer, template: &str) -> Option<ProgressBar> {
    if printer.is_quiet() || !io::stderr().is_terminal() || printer::is_dumb() {
        return None;
    }
    let style = ProgressStyle::with_template(template).ok()?.progress_chars("=> ");
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style);
    Some(bar.with_prefix("hashing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_one_that_indicatif_reads() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
