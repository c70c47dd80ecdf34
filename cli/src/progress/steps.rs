//! How far long work on the ledger has come, phase by phase: a bar on a terminal, plain lines elsewhere.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::{LINE_INTERVAL, bar};
use crate::printer::Printer;
use crate::units;

/// Phase, bar, share, items, items a second, time left.
const TEMPLATE: &str = "{prefix} {bar:24} {percent:>3}%  {human_pos}/{human_len}  {per_sec}  {eta} left";

/// Shows work that is counted in items.
pub(crate) struct Steps<'a> {
    printer: &'a Printer,
    bar: Option<ProgressBar>,
    phase: &'static str,
    started: Instant,
    last_line: Instant,
}

impl<'a> Steps<'a> {
    /// Starts the clock.
    pub(crate) fn start(printer: &'a Printer) -> Self {
        let now = Instant::now();
        Self { printer, bar: bar(printer, TEMPLATE), phase: "", started: now, last_line: now }
    }

    /// So many of so many things are done in this phase.
    pub(crate) fn show(&mut self, phase: &'static str, things: &str, done: u64, of: u64) {
        if phase != self.phase {
            self.phase = phase;
            self.started = Instant::now();
            if let Some(bar) = &self.bar {
                bar.reset();
                bar.set_prefix(phase);
            }
        }
        if let Some(bar) = &self.bar {
            bar.set_length(of);
            bar.set_position(done);
        } else if self.last_line.elapsed() >= LINE_INTERVAL {
            self.last_line = Instant::now();
            self.printer.note(line(phase, things, done, of, self.started.elapsed()));
        }
    }

    /// Clears the bar.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn line(phase: &str, things: &str, done: u64, of: u64, elapsed: Duration) -> String {
    let elapsed_ms = elapsed.as_millis();
    let share = u128::from(done) * 100 / u128::from(of.max(1));
    let rate = u128::from(done) * 1_000 / elapsed_ms.max(1);
    let left_ms = u128::from(of.saturating_sub(done)) * elapsed_ms / u128::from(done.max(1));
    format!("{phase} {share}%  {done} of {of} {things}  {rate}/s  {} left", units::duration(left_ms))
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressStyle;

    use super::*;

    #[test]
    fn the_template_is_one_that_indicatif_reads() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long() {
        let line = line("auditing", "entries", 250, 1_000, Duration::from_secs(5));
        assert_eq!(line, "auditing 25%  250 of 1000 entries  50/s  15 s left");
    }
}
