//! The report about a list: what became of each row, the totals, and the worst exit code.

use std::path::Path;

use chopmark_core::statement::StatementId;
use serde_json::{Value, json};

use super::list::Row;
use crate::commands::Context;
use crate::commands::bundle::shell_word;
use crate::commands::unfinished;
use crate::exit::{Exit, Failure};
use crate::files::{self, Access};
use crate::printer::{self, Tone};
use crate::units;

/// What became of a row.
#[derive(Debug)]
pub(super) enum End {
    /// It is registered and proved, by this run or one that was cut short.
    Registered(Facts),
    /// It was registered and proved before, and its bundle is in place.
    Already(Facts),
    /// It is not registered, or not proved to be.
    Failed(Failure),
    /// Nobody tried: the service could not be reached any more.
    NotTried,
}

/// What is known of a registered row.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// Its id.
    pub(super) artefact_id: StatementId,
    /// Its position in the log.
    pub(super) index: u64,
    /// Its manifest's digest, number of files and size.
    pub(super) manifest: Value,
    /// What was left out and not vouched for, what else there is to know about files, how many bytes were read and what did
    /// not have to be; `null` where nobody looked again.
    pub(super) found: Value,
    /// An earlier run had signed it.
    pub(super) is_resumed: bool,
}

impl End {
    /// What other rows may refer to.
    pub(super) fn artefact(&self) -> Option<StatementId> {
        match self {
            Self::Registered(facts) | Self::Already(facts) => Some(facts.artefact_id),
            Self::Failed(_) | Self::NotTried => None,
        }
    }

    /// How many of its files were known from an earlier run and not read, where that was looked at.
    fn recalled_files(&self) -> Option<u64> {
        match self {
            Self::Registered(facts) | Self::Already(facts) => facts.found.pointer("/recalled/files")?.as_u64(),
            Self::Failed(_) | Self::NotTried => None,
        }
    }

    const fn state(&self) -> &'static str {
        match self {
            Self::Registered(_) => "registered",
            Self::Already(_) => "already",
            Self::Failed(_) => "failed",
            Self::NotTried => "not_tried",
        }
    }

    /// How the run would end if this were all.
    pub(super) const fn exit(&self) -> Exit {
        match self {
            Self::Registered(_) | Self::Already(_) => Exit::Done,
            Self::Failed(failure) => failure.exit,
            Self::NotTried => Exit::Network,
        }
    }

    fn members(&self, row: &Row) -> Value {
        let mut members = json!({
            "row": row.line,
            "as": row.label,
            "path": files::text(&row.order.path),
            "version": row.order.version,
            "state": self.state(),
            "exit_code": self.exit().code(),
        });
        let more = match self {
            Self::Registered(facts) | Self::Already(facts) => json!({
                "id": facts.artefact_id.shown("art"),
                "artefact_id": facts.artefact_id,
                "index": facts.index,
                "manifest": facts.manifest,
                "excluded": facts.found.get("excluded"),
                "notes": facts.found.get("notes"),
                "read_size_bytes": facts.found.get("read_size_bytes"),
                "recalled": facts.found.get("recalled"),
                "bundle": files::text(&row.order.out),
                "resumed": facts.is_resumed,
            }),
            Self::Failed(failure) => json!({ "error": failure.to_json() }),
            Self::NotTried => json!({}),
        };
        if let (Value::Object(members), Value::Object(more)) = (&mut members, more) {
            members.extend(more);
        }
        members
    }
}

/// Writes the report and prints the result; `ends` has one for each row.
///
/// # Errors
/// When either can't be written.
pub(super) fn finish(
    context: &Context<'_>,
    list: &Path,
    path: &Path,
    rows: &[Row],
    ends: &[End],
) -> Result<Exit, Failure> {
    let exit = ends.iter().map(End::exit).max_by_key(|exit| exit.severity()).unwrap_or(Exit::Done);
    let count = |state: &str| ends.iter().filter(|end| end.state() == state).count();
    let [registered, already, failed, not_tried] = ["registered", "already", "failed", "not_tried"].map(count);
    let totals = json!({
        "rows": rows.len(),
        "registered": registered,
        "already": already,
        "failed": failed,
        "not_tried": not_tried,
    });
    let lines: Vec<Value> = rows.iter().zip(ends).map(|(row, end)| end.members(row)).collect();
    let is_lines = path.extension().is_some_and(|extension| extension == "jsonl");
    let members = json!({ "list": files::text(list), "report": files::text(path), "totals": totals, "rows": lines });
    let text = if is_lines {
        let totals = json!({ "totals": totals, "exit_code": exit.code() });
        lines.iter().chain([&totals]).fold(String::new(), |text, line| text + &line.to_string() + "\n")
    } else {
        printer::document(Some(context.command), exit, members.clone())
    };
    files::replace(path, text.as_bytes(), Access::Shared).map_err(|error| Failure::file("write", path, &error))?;

    let bad = rows.iter().zip(ends).filter_map(|(row, end)| match end {
        End::Failed(failure) => Some((units::length(row.line), row.order.path.display().to_string(), failure)),
        _ => None,
    });
    let mut report = unfinished::rows(bad, not_tried);
    let (tone, word) = if exit == Exit::Done { (Tone::Good, "REGISTERED") } else { (Tone::Bad, "NOT COMPLETE") };
    let recalled = ends.iter().filter_map(End::recalled_files).fold(0, u64::saturating_add);
    if recalled > 0 {
        report = report.row("recalled", format!("{}, unchanged and not read again", units::count(recalled, "file")));
    }
    let mut report = report
        .row("registered", units::count(units::length(registered), "row"))
        .row("already", units::count(units::length(already), "row"))
        .row("report", path.display().to_string())
        .headline(tone, format!("{word}: {} of {} rows of {}", registered + already, rows.len(), list.display()));
    if exit != Exit::Done {
        report = report.next(format!("chopmark register --from {} (goes on with what is left)", shell_word(list)));
    }
    context.printer.result(context.command, exit, members, &report)
}
