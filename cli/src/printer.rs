//! The only way out: one result on stdout, everything else on stderr, in words or as exactly one JSON document.
//!
//! A closed pipe is the reader's choice and never an error. Text that came from elsewhere (a service, a file) is shown
//! with control and direction-changing characters escaped, so it can't repaint the terminal.

use std::borrow::Cow;
use std::io::{self, BufRead as _, ErrorKind, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value};

use crate::arguments::{GlobalArguments, command_name};
use crate::exit::{Exit, Failure};

/// Version of every JSON document printed here; a member is never renamed or given another meaning within one version.
const SCHEMA_VERSION: u64 = 1;

/// Column at which the values of a [`Report`] start.
const LABEL_WIDTH: usize = 14;

/// Whether the result was printed: there is one, even when a signal arrives at the last moment.
static ANSWERED: AtomicBool = AtomicBool::new(false);

/// It is written, or could not be.
static WRITTEN: AtomicBool = AtomicBool::new(false);

/// How to print.
#[derive(Debug, Clone)]
pub(crate) struct Printer {
    json: bool,
    quiet: bool,
    verbose: bool,
}

/// Good or bad news; shown as colour where colour is wanted, and always in the words as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// It is as it should be.
    Good,
    /// It is not.
    Bad,
    /// Neither.
    Neutral,
}

/// A result for people: facts first, the one line that matters last, then the next command to try.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    lines: Vec<String>,
    headline: Option<(Tone, String)>,
    next: Option<String>,
}

impl Report {
    /// Adds a fact.
    pub(crate) fn row(mut self, label: &str, value: impl AsRef<str>) -> Self {
        self.lines.push(format!("{label:<LABEL_WIDTH$}{}", value.as_ref()));
        self
    }

    /// Adds a line.
    pub(crate) fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// Sets the line that matters.
    pub(crate) fn headline(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.headline = Some((tone, text.into()));
        self
    }

    /// Suggests what to do next.
    pub(crate) fn next(mut self, command: impl Into<String>) -> Self {
        self.next = Some(command.into());
        self
    }

    /// Puts an id that is known only now in its place in what was suggested.
    pub(crate) fn naming(mut self, place: &str, id: &str) -> Self {
        self.next = self.next.map(|next| next.replace(place, id));
        self
    }

    /// The whole text.
    pub(crate) fn render(&self, colour: bool) -> String {
        let mut lines: Vec<Cow<'_, str>> = self.lines.iter().map(|line| printable(line)).collect();
        if let Some((tone, headline)) = &self.headline {
            let start = match tone {
                Tone::Good => "\x1b[1;32m",
                Tone::Bad => "\x1b[1;31m",
                Tone::Neutral => "\x1b[1m",
            };
            let headline = printable(headline);
            lines.push(if colour { format!("{start}{headline}\x1b[0m").into() } else { headline });
        }
        lines.extend(self.next.iter().map(|next| Cow::Owned(format!("next: {}", printable(next)))));
        lines.iter().flat_map(|line| [line.as_ref(), "\n"]).collect()
    }
}

impl Printer {
    /// A printer as the global flags ask for.
    pub(crate) fn new(arguments: &GlobalArguments) -> Self {
        let GlobalArguments { json, quiet, verbose, .. } = *arguments;
        Self { json, quiet, verbose }
    }

    /// A printer for when the command line did not parse: `--json` still counts.
    pub(crate) fn before_arguments() -> Self {
        let json = std::env::args_os().skip(1).take_while(|word| word != "--").any(|word| word == "--json");
        Self { json, quiet: false, verbose: false }
    }

    /// The same, with nothing but errors on stderr: for work that goes on beside other work.
    pub(crate) fn quieted(&self) -> Self {
        Self { quiet: true, verbose: false, ..self.clone() }
    }

    /// Whether to print JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether to keep stderr free of progress and notes.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Says something worth knowing on stderr.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        if !self.quiet {
            to_stderr(text.as_ref());
        }
    }

    /// Says on stderr how far work has come, as one line of JSON.
    pub(crate) fn event(&self, members: &Value) {
        if !self.quiet {
            to_stderr(&members.to_string());
        }
    }

    /// Says something on stderr for those who asked for more.
    pub(crate) fn detail(&self, text: impl AsRef<str>) {
        if self.verbose {
            to_stderr(text.as_ref());
        }
    }

    /// Whether there is a person to ask: both ends of the conversation are terminals, and no script reads the answer.
    pub(crate) fn can_ask(&self) -> bool {
        !self.json && io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Explains and asks on the terminal, however quiet it is otherwise; only a plain yes is one, and where nobody can
    /// be asked the answer is no.
    pub(crate) fn ask(&self, explanation: &[String], question: &str) -> bool {
        if !self.can_ask() {
            return false;
        }
        to_stderr(&explanation.join("\n"));
        let _ = write!(io::stderr().lock(), "{} [y/N] ", printable(question));
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
    }

    /// Prints the result of a command.
    ///
    /// # Errors
    /// When stdout can't be written, other than because nobody reads it any more.
    pub(crate) fn result(&self, command: &str, exit: Exit, members: Value, report: &Report) -> Result<Exit, Failure> {
        let text =
            if self.json { document(Some(command), exit, members) } else { report.render(wants_colour(&io::stdout())) };
        answer(text.as_bytes())?;
        Ok(exit)
    }

    /// Prints the one line that says a service is ready. It is the same with `--json`: scripts wait for exactly this.
    ///
    /// # Errors
    /// As [`Printer::result`].
    #[expect(clippy::unused_self, reason = "everything that reaches stdout goes through the printer")]
    pub(crate) fn ready(&self, line: &str) -> Result<(), Failure> {
        answer(format!("{line}\n").as_bytes())
    }

    /// Prints text as it is, or in JSON as the member `text`.
    ///
    /// # Errors
    /// As [`Printer::result`].
    pub(crate) fn text(&self, command: Option<&str>, text: &str) -> Result<Exit, Failure> {
        if self.json {
            answer(document(command, Exit::Done, serde_json::json!({ "text": text })).as_bytes())?;
        } else {
            answer(text.as_bytes())?;
        }
        Ok(Exit::Done)
    }

    /// Prints bytes as they are: a list for other programs, whose names of files need not be text.
    ///
    /// # Errors
    /// As [`Printer::result`].
    #[expect(clippy::unused_self, reason = "everything that reaches stdout goes through the printer")]
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<Exit, Failure> {
        answer(bytes)?;
        Ok(Exit::Done)
    }

    /// Prints why a command failed, and gives the code to end with.
    pub(crate) fn failure(&self, command: Option<&str>, failure: &Failure) -> Exit {
        if self.json {
            let members = serde_json::json!({ "error": failure.to_json() });
            // Nothing more can be said when stdout is gone; the exit code still is.
            let _ = answer(document(command, failure.exit, members).as_bytes());
        } else {
            to_stderr(&format!("error: {failure}"));
        }
        failure.exit
    }

    /// Prints what clap has to say: help, version, or what is wrong with the command line.
    ///
    /// # Errors
    /// A usage failure in JSON mode.
    pub(crate) fn clap(&self, error: &clap::Error) -> Result<Exit, Failure> {
        let exit = if error.exit_code() == 0 { Exit::Done } else { Exit::Usage };
        if !self.json {
            let _ = error.print();
            return Ok(exit);
        }
        let words: Vec<String> = std::env::args().skip(1).collect();
        let command = command_name(words.iter().map(String::as_str));
        let text = error.render().to_string();
        if exit == Exit::Done {
            return self.text(command.as_deref(), &text);
        }
        let message = text.trim().trim_start_matches("error: ").to_owned();
        Ok(self.failure(command.as_deref(), &Failure::usage(message)))
    }
}

/// How far the one answer on stdout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// There is none yet.
    None,
    /// It is being written, perhaps to somebody who has stopped reading.
    Begun,
    /// It is written.
    Written,
}

/// How far the answer is.
pub(crate) fn answered() -> Answer {
    match (ANSWERED.load(Ordering::SeqCst), WRITTEN.load(Ordering::SeqCst)) {
        (_, true) => Answer::Written,
        (true, false) => Answer::Begun,
        (false, false) => Answer::None,
    }
}

/// One JSON document, on one line.
pub(crate) fn document(command: Option<&str>, exit: Exit, members: Value) -> String {
    let mut document = Map::new();
    document.insert("schema_version".to_owned(), SCHEMA_VERSION.into());
    document.insert("command".to_owned(), command.into());
    document.insert("exit_code".to_owned(), exit.code().into());
    if let Value::Object(members) = members {
        document.extend(members);
    }
    Value::Object(document).to_string() + "\n"
}

/// Writes the one answer to stdout; a second one is dropped.
fn answer(text: &[u8]) -> Result<(), Failure> {
    if ANSWERED.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text).and_then(|()| stdout.flush());
    WRITTEN.store(true, Ordering::SeqCst);
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::internal(format!("cannot write the result to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

fn to_stderr(text: &str) {
    // Stderr may be closed; there is nobody left to tell.
    let _ = writeln!(io::stderr().lock(), "{}", printable(text));
}

/// Colour is for terminals that have it and people who want it (no-color.org).
fn wants_colour(stream: &impl io::IsTerminal) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !is_set("NO_COLOR") && !is_dumb()
}

/// Whether the terminal can't move its cursor.
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term == "dumb")
}

/// Shows characters that would act on the terminal, or reorder the line, by their code.
fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if acts(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Whether a character acts on a terminal or reorders a line, which a line's end and a tab may.
fn acts(character: char) -> bool {
    match character {
        '\n' | '\t' => false,
        '\u{061C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}' => true,
        _ => character.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_matters_is_last_and_coloured_only_on_request() {
        let report = Report::default().row("id", "art_x").headline(Tone::Good, "VERIFIED").row("index", "2").next("do");
        assert_eq!(report.render(false), "id            art_x\nindex         2\nVERIFIED\nnext: do\n");
        assert!(report.render(true).contains("\x1b[1;32mVERIFIED\x1b[0m"));
    }

    #[test]
    fn text_from_elsewhere_cannot_act_on_the_terminal() {
        let report = Report::default().row("name", "a\x1b[2Jb\u{202E}c").headline(Tone::Bad, "d\re");
        assert_eq!(report.render(false), "name          a\\u{1b}[2Jb\\u{202e}c\nd\\u{d}e\n");
        assert_eq!(printable("林氏 (AI)\n\té"), "林氏 (AI)\n\té");
    }

    #[test]
    fn every_document_says_what_it_is() {
        let text = document(Some("hash"), Exit::CouldNotCheck, serde_json::json!({ "files": 2 }));
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, serde_json::json!({"schema_version": 1, "command": "hash", "exit_code": 9, "files": 2}));
        assert_eq!(text.lines().count(), 1);
    }
}
