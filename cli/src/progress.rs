//! How far hashing has come, on stderr: a bar on a terminal, plain lines elsewhere, nothing when told to be quiet.

use std::io::{self, IsTerminal as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chopmark_gpu_verify::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::printer::{self, Printer};
use crate::units;

mod steps;

pub(crate) use steps::Steps;

/// Time between two plain lines; long enough for a log to stay readable.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Phase, bar, share, amount, rate, time left, file.
const TEMPLATE: &str = "{prefix} {bar:24} {percent:>3}%  {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left  {wide_msg}";

/// Shows one pass over the bytes of an artefact.
pub(crate) struct HashProgress<'a> {
    printer: &'a Printer,
    bar: Option<ProgressBar>,
    started: Instant,
    files: AtomicU64,
    total_size_bytes: AtomicU64,
    done_size_bytes: AtomicU64,
    /// When the last plain line was written.
    last_line: Mutex<Instant>,
}

impl<'a> HashProgress<'a> {
    /// Starts the clock.
    pub(crate) fn start(printer: &'a Printer) -> Self {
        let started = Instant::now();
        Self {
            printer,
            bar: bar(printer, TEMPLATE),
            started,
            files: AtomicU64::new(0),
            total_size_bytes: AtomicU64::new(0),
            done_size_bytes: AtomicU64::new(0),
            last_line: Mutex::new(started),
        }
    }

    /// Clears the bar and says what was done.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let (files, size_bytes) = (self.files.load(Ordering::Relaxed), self.total_size_bytes.load(Ordering::Relaxed));
        let elapsed_ms = self.started.elapsed().as_millis();
        self.printer.note(format!(
            "hashed {}, {} in {} ({})",
            units::count(files, "file"),
            units::bytes(size_bytes),
            units::duration(elapsed_ms),
            units::rate(size_bytes, elapsed_ms)
        ));
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
        let total = self.total_size_bytes.load(Ordering::Relaxed).max(1);
        let elapsed_ms = self.started.elapsed().as_millis();
        let left_ms = u128::from(total.saturating_sub(done)) * elapsed_ms / u128::from(done.max(1));
        self.printer.note(format!(
            "hashing {}%  {} of {}  {}  {} left",
            u128::from(done) * 100 / u128::from(total),
            units::bytes(done),
            units::bytes(total),
            units::rate(done, elapsed_ms),
            units::duration(left_ms)
        ));
    }
}

impl Progress for HashProgress<'_> {
    fn total(&self, files: u64, size_bytes: u64) {
        self.files.store(files, Ordering::Relaxed);
        self.total_size_bytes.store(size_bytes, Ordering::Relaxed);
        match &self.bar {
            Some(bar) => bar.set_length(size_bytes),
            None => self.printer.note(format!("hashing {}, {}", units::count(files, "file"), units::bytes(size_bytes))),
        }
    }

    fn file(&self, path: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(path.to_owned());
        }
    }

    fn bytes(&self, size_bytes: u64) {
        let done = self.done_size_bytes.fetch_add(size_bytes, Ordering::Relaxed).saturating_add(size_bytes);
        match &self.bar {
            Some(bar) => bar.set_position(done),
            None if !self.printer.is_quiet() => self.line(done),
            None => {}
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
