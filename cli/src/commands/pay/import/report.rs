//! The report about a list of payments: what became of each row, the totals, and the worst exit code.

use std::path::Path;

use serde_json::{Value, json};

use super::Item;
use super::work::End;
use crate::commands::Context;
use crate::commands::bundle::shell_word;
use crate::commands::unfinished;
use crate::exit::{Exit, Failure};
use crate::files::{self, Access};
use crate::printer::{self, Tone};
use crate::units;

impl End {
    const fn state(&self) -> &'static str {
        match self {
            Self::Recorded(..) => "recorded",
            Self::Already(_) => "already",
            Self::Failed(_) => "failed",
            Self::NotTried => "not_tried",
        }
    }

    /// How the run would end if this were all.
    const fn exit(&self) -> Exit {
        match self {
            Self::Recorded(..) | Self::Already(_) => Exit::Done,
            Self::Failed(failure) => failure.exit,
            Self::NotTried => Exit::Network,
        }
    }

    fn members(&self, item: &Item) -> Value {
        let mut members = json!({
            "row": item.line,
            "document": item.order.claim.document,
            "state": self.state(),
            "exit_code": self.exit().code(),
        });
        let more = match self {
            Self::Recorded(id, index) => json!({ "id": id.shown("exp"), "statement_id": id, "index": index }),
            Self::Already(id) => json!({ "id": id.shown("exp"), "statement_id": id }),
            Self::Failed(failure) => json!({ "error": failure.to_json() }),
            Self::NotTried => json!({}),
        };
        if let (Value::Object(members), Value::Object(more)) = (&mut members, more) {
            members.extend(more);
        }
        members
    }
}

/// Writes the report and prints the result; `ends` has one for each item.
///
/// # Errors
/// When either can't be written.
pub(super) fn finish(
    context: &Context<'_>,
    (list, encoding): (&Path, &str),
    path: &Path,
    items: &[Item],
    ends: &[End],
) -> Result<Exit, Failure> {
    let exit = ends.iter().map(End::exit).max_by_key(|exit| exit.severity()).unwrap_or(Exit::Done);
    let count = |state: &str| ends.iter().filter(|end| end.state() == state).count();
    let [recorded, already, failed, not_tried] = ["recorded", "already", "failed", "not_tried"].map(count);
    let totals = json!({
        "rows": items.len(),
        "recorded": recorded,
        "already": already,
        "failed": failed,
        "not_tried": not_tried,
    });
    let rows: Vec<Value> = items.iter().zip(ends).map(|(item, end)| end.members(item)).collect();
    let members = json!({
        "list": files::text(list),
        "encoding": encoding,
        "report": files::text(path),
        "totals": totals,
        "rows": rows,
    });
    let text = printer::document(Some(context.command), exit, members.clone());
    files::replace(path, text.as_bytes(), Access::Shared).map_err(|error| Failure::file("write", path, &error))?;
    let bad = items.iter().zip(ends).filter_map(|(item, end)| match end {
        End::Failed(failure) => Some((item.line, item.order.claim.document.clone(), failure)),
        _ => None,
    });
    let report = unfinished::rows(bad, not_tried);
    let (tone, word) = if exit == Exit::Done { (Tone::Good, "RECORDED") } else { (Tone::Bad, "NOT COMPLETE") };
    let mut report = report
        .row("encoding", encoding)
        .row("recorded", units::count(units::length(recorded), "payment"))
        .row("already", units::count(units::length(already), "payment"))
        .row("report", path.display().to_string())
        .headline(tone, format!("{word}: {} of {} rows of {}", recorded + already, items.len(), list.display()));
    if exit != Exit::Done {
        report = report.next(format!("chopmark pay import {} (goes on with what is left)", shell_word(list)));
    }
    context.printer.result(context.command, exit, members, &report)
}
