//! Where the service's log goes: stderr, one event a line, whatever is in it. LOGGING.md is the contract.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt};

use crate::arguments::LogFormat;

/// Installs the log. `CHOPMARK_LOG` sets what is shown, in the syntax of `EnvFilter`.
pub(crate) fn install(format: Option<LogFormat>) {
    let filter = EnvFilter::try_from_env("CHOPMARK_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let format = format.unwrap_or(if io::stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json });
    let lines = match format {
        LogFormat::Text => fmt::layer().with_writer(io::stderr).boxed(),
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(OneLine)
            .boxed(),
    };
    let layers = lines.with_filter(filter).with_filter(filter_fn(is_ours));
    // A second subscriber is refused, and the first one stays: nothing is lost.
    let _ = tracing_subscriber::registry().with(layers).try_init();
}

/// Libraries below a warning may write what they were given: requests, statements. Not at any setting.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    *metadata.level() <= Level::WARN || target.starts_with("chopmark") || target == "http.request"
}

/// Writes JSON to stderr, with characters escaped that some readers take for the end of a line or for a command to the
/// terminal. They can only stand inside JSON strings, where an escape means the same.
struct OneLine;

impl<'a> MakeWriter<'a> for OneLine {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl Write for OneLine {
    /// The formatter hands over one whole event at a time.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        io::stderr().lock().write_all(one_line(&String::from_utf8_lossy(event)).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The same JSON without separators and direction marks; the line end at its end stays.
fn one_line(event: &str) -> String {
    let mut line = String::with_capacity(event.len());
    for character in event.chars() {
        match character {
            '\u{7f}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                // Writing into memory does not fail.
                let _ = write!(line, "\\u{:04x}", u32::from(character));
            }
            other => line.push(other),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_line_for_anybody_is_escaped() {
        let json = serde_json::json!({"message": "a\u{2028}b\u{85}c\u{202e}d\r\n\u{1b}[2Je\u{9b}f國"}).to_string();
        let line = one_line(&format!("{json}\n"));
        assert_eq!(line.chars().filter(|character| character.is_control()).collect::<String>(), "\n");
        assert!(!line.contains(['\u{2028}', '\u{202e}', '\u{85}']) && line.contains('國'), "{line}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap().to_string(), json, "and means the same");
    }
}
