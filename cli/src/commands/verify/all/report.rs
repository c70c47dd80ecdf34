//! The report of a batch: what became of each model, the totals, the worst exit code; as a table for people.

use std::path::{Path, PathBuf};

use chopmark_core::time::Timestamp;
use serde_json::{Map, Value, json};

use super::find::{Found, Model};
use crate::arguments::VerifyArguments;
use crate::commands::Context;
use crate::commands::recall::ENGINE_FAULT;
use crate::commands::verify::verdict::{DOES_NOT_PROVE, Verdict, state_words};
use crate::exit::{Exit, Failure};
use crate::files::{self, Access};
use crate::printer::{self, Report, Tone};
use crate::units;

/// Form of the report, which may be read long after it was written.
const SCHEMA: &str = "chopmark.batch-verification/v1";

/// Most files of no model, and most places not looked at, that are listed for people; the report lists all.
const LISTED_MAX: usize = 20;

/// States of models, as the totals count them.
const STATES: [&str; 9] = [
    "verified",
    "bytes_differ",
    "not_registered",
    "proof_invalid",
    "licence_not_in_force",
    "could_not_check",
    "unknown",
    "missing",
    "not_tried",
];

/// What became of a model.
#[derive(Debug)]
pub(super) enum End {
    /// There is a verdict about its bytes.
    Verdict(Box<Answer>),
    /// There is none, and why.
    Failed {
        /// Why.
        failure: Failure,
        /// Its other bundles, which prove it no better.
        others: Vec<OtherBundle>,
    },
    /// It has no bundle, and nobody was to be asked.
    Unknown,
    /// The run was interrupted before, or while it was read.
    NotTried,
}

/// A verdict, without what it was made from.
#[derive(Debug)]
pub(super) struct Answer {
    exit: Exit,
    message: String,
    members: Value,
    /// Other bundles of the same model.
    pub(super) others: Vec<OtherBundle>,
}

impl Answer {
    /// Keeps of a verdict what a report says.
    pub(super) fn of(verdict: &Verdict<'_>, others: Vec<OtherBundle>) -> Self {
        Self { exit: Exit::from(verdict.state()), message: verdict.message(), members: verdict.members(), others }
    }
}

/// A bundle of a model that another one proves, or that proves it no better than another.
#[derive(Debug)]
pub(super) struct OtherBundle(Value);

impl OtherBundle {
    /// What was found by it.
    pub(super) fn of(path: Option<&PathBuf>, answer: &Result<Answer, Failure>) -> Self {
        let (exit, message) = match answer {
            Ok(answer) => (answer.exit, &answer.message),
            Err(failure) => (failure.exit, &failure.message),
        };
        Self(json!({ "bundle": path.map(|path| files::text(path)), "state": exit.state(), "message": message }))
    }
}

impl End {
    /// Where the engine was found to compute something wrong, whatever it made look different may be the same. What it found
    /// to be as registered is: no wrong value is the one that somebody signed.
    pub(super) fn distrust(ends: &mut [Self]) {
        let fault = ends.iter().find_map(|end| match end {
            Self::Failed { failure, .. } if failure.code == ENGINE_FAULT => {
                Some((failure.exit, failure.message.clone()))
            }
            _ => None,
        });
        let Some((exit, message)) = fault else { return };
        for end in ends {
            if matches!(end.exit(), Exit::BytesDiffer | Exit::NotRegistered) {
                let failure = Failure::new(exit, ENGINE_FAULT, message.clone());
                *end = Self::Failed { failure, others: Vec::new() };
            }
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Verdict(answer) => answer.exit,
            Self::Failed { failure, .. } => failure.exit,
            Self::Unknown => Exit::CouldNotCheck,
            Self::NotTried => Exit::Interrupted,
        }
    }

    fn state(&self, model: &Model) -> Value {
        match self {
            Self::Unknown => "unknown".into(),
            Self::NotTried => "not_tried".into(),
            Self::Failed { .. } if model.kind == super::find::Kind::Missing => "missing".into(),
            Self::Verdict(_) | Self::Failed { .. } => json!(self.exit().state()),
        }
    }

    fn message(&self, model: &Model) -> String {
        let path = model.path.display();
        match self {
            Self::Verdict(answer) => answer.message.clone(),
            Self::Failed { .. } if model.kind == super::find::Kind::Missing => {
                format!("{path} is not there, only its bundle; get it again, or remove the bundle")
            }
            Self::Failed { failure, .. } => failure.message.clone(),
            Self::Unknown => format!(
                "{path} has no bundle; put one beside it as {path}.chop, or leave --offline out so that the service is asked"
            ),
            Self::NotTried => format!("{path} was not verified: the run was interrupted"),
        }
    }

    fn members(&self, model: &Model) -> Value {
        let mut members = Map::new();
        if let Self::Verdict(answer) = self
            && let Value::Object(verdict) = &answer.members
        {
            members.clone_from(verdict);
            // Said once for all.
            members.remove("does_not_prove");
            members.remove("trust");
        }
        let (others, error) = match self {
            Self::Verdict(answer) => (answer.others.as_slice(), Value::Null),
            Self::Failed { failure, others } => (others.as_slice(), failure.to_json()),
            Self::Unknown => (&[][..], json!({ "code": "no_bundle", "message": self.message(model) })),
            Self::NotTried => (&[][..], json!({ "code": "interrupted", "message": self.message(model) })),
        };
        if !error.is_null() {
            let bundle = model.bundles.first().map(|bundle| files::text(bundle));
            let unanswered = json!({ "bundle": bundle, "artefact": null, "difference": null, "error": error });
            if let Value::Object(unanswered) = unanswered {
                members.extend(unanswered);
            }
        }
        let more = json!({
            "path": files::text(&model.path),
            "kind": model.kind.word(),
            "files": model.files,
            "size_bytes": model.size_bytes,
            "state": self.state(model),
            "exit_code": self.exit().code(),
            "message": self.message(model),
            "other_bundles": others.iter().map(|other| &other.0).collect::<Vec<_>>(),
        });
        if let Value::Object(more) = more {
            members.extend(more);
        }
        Value::Object(members)
    }
}

/// A report that was written, and is to be printed.
pub(super) struct Written {
    exit: Exit,
    members: Value,
    report: Report,
}

impl Written {
    /// Prints the result.
    ///
    /// # Errors
    /// When stdout can't be written.
    pub(super) fn print(self, context: &Context<'_>) -> Result<Exit, Failure> {
        context.printer.result(context.command, self.exit, self.members, &self.report)
    }
}

/// Makes the report, and writes it where it was asked for; `ends` has one for each model.
///
/// # Errors
/// When it can't be written.
pub(super) fn write(
    context: &Context<'_>,
    arguments: &VerifyArguments,
    directory: &Path,
    found: &Found,
    ends: &[End],
    engine: &str,
) -> Result<Written, Failure> {
    // Nothing found, or something not looked at, is no verification either.
    let is_all_seen = !ends.is_empty() && !found.unseen.iter().any(|unseen| unseen.is_fault);
    let least = if is_all_seen { Exit::Done } else { Exit::CouldNotCheck };
    let exit = ends.iter().map(End::exit).fold(least, |a, b| if b.severity() > a.severity() { b } else { a });
    let is_complete = !ends.iter().any(|end| matches!(end, End::NotTried));
    let models: Vec<Value> = found.models.iter().zip(ends).map(|(model, end)| end.members(model)).collect();
    let count =
        |state: &str| models.iter().filter(|model| model.get("state").and_then(Value::as_str) == Some(state)).count();
    let mut totals = Map::new();
    totals.insert("models".to_owned(), models.len().into());
    totals.extend(STATES.map(|state| (state.to_owned(), count(state).into())));
    let shown = |path: &PathBuf| files::text(path).into_owned();
    let members = json!({
        "schema": SCHEMA,
        "complete": is_complete,
        "directory": files::text(directory),
        "report": arguments.report.as_ref().map(shown),
        "checked_at": Timestamp::from(chrono::Utc::now()),
        "engine": engine,
        "offline": arguments.offline,
        "strict": arguments.strict,
        "extra_allowed": arguments.allow_extra,
        "totals": totals,
        "models": models,
        "files_of_no_model": found.strays.iter().map(shown).collect::<Vec<_>>(),
        "not_looked_at": found.unseen.iter()
            .map(|unseen| json!({ "path": shown(&unseen.path), "reason": unseen.reason, "fault": unseen.is_fault }))
            .collect::<Vec<_>>(),
        "does_not_prove": DOES_NOT_PROVE,
    });
    if let Some(path) = &arguments.report {
        let document = printer::document(Some(context.command), exit, members.clone());
        files::replace(path, document.as_bytes(), Access::Shared)
            .map_err(|error| Failure::file("write", path, &error))?;
    }
    let report = table(arguments, directory, found, ends, exit);
    Ok(Written { exit, members, report })
}

/// A line for each model, problems last and the worst at the very end.
fn table(arguments: &VerifyArguments, directory: &Path, found: &Found, ends: &[End], exit: Exit) -> Report {
    let mut lines: Vec<(&Model, &End)> = found.models.iter().zip(ends).collect();
    lines.sort_by_key(|(_, end)| end.exit().severity());
    let mut report = Report::default().line(format!("{:<16}  {:>9}  model", "state", "size"));
    for (model, end) in &lines {
        let state = match end {
            End::Unknown => "UNKNOWN".to_owned(),
            End::NotTried => "not tried".to_owned(),
            _ if end.exit() == Exit::Done => "verified".to_owned(),
            End::Failed { .. } if model.kind == super::find::Kind::Missing => "MISSING".to_owned(),
            _ => state_words(end.exit().state()).to_owned(),
        };
        let size = units::bytes(model.size_bytes);
        report = report.line(format!("{state:<16}  {size:>9}  {}", model.path.display()));
        if !matches!(end, End::NotTried) && end.exit() != Exit::Done {
            report = report.line(format!("{:<16}  {:>9}    {}", "", "", end.message(model)));
        }
    }
    let strays = found.strays.iter().map(|path| path.display().to_string());
    report = listed(report, "of no model", strays, found.strays.len());
    let unseen = found.unseen.iter().map(|unseen| format!("{}: {}", unseen.path.display(), unseen.reason));
    report = listed(report, "not looked at", unseen, found.unseen.len());
    if let Some(path) = &arguments.report {
        report = report.row("report", path.display().to_string());
    }
    let verified = lines.iter().filter(|(_, end)| end.exit() == Exit::Done).count();
    let of =
        format!("{verified} of {} below {}", units::count(units::length(lines.len()), "model"), directory.display());
    match exit {
        Exit::Done => report.headline(Tone::Good, format!("VERIFIED: {of}")),
        _ if lines.is_empty() => {
            report.headline(Tone::Bad, format!("NOTHING TO VERIFY: no model below {}", directory.display()))
        }
        Exit::Interrupted => report.headline(Tone::Bad, format!("INTERRUPTED: verified {of} so far")),
        _ => report.headline(Tone::Bad, format!("NOT ALL VERIFIED: {of}")),
    }
}

fn listed(report: Report, label: &str, lines: impl Iterator<Item = String>, number: usize) -> Report {
    let report = lines.take(LISTED_MAX).fold(report, |report, line| report.row(label, line));
    match number.checked_sub(LISTED_MAX).filter(|left| *left > 0) {
        Some(left) => report.row("  …", format!("{left} more; --json and the report list all")),
        None => report,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_faulty_engine_made_look_different_is_not_told_as_such() {
        let verdict = |exit| {
            End::Verdict(Box::new(Answer { exit, message: String::new(), members: Value::Null, others: Vec::new() }))
        };
        let failed = |exit, code| End::Failed { failure: Failure::new(exit, code, "why"), others: Vec::new() };
        let exits = |ends: &[End]| ends.iter().map(End::exit).collect::<Vec<_>>();

        let mut ends = [
            verdict(Exit::Done),
            verdict(Exit::BytesDiffer),
            verdict(Exit::NotRegistered),
            failed(Exit::BytesDiffer, "file_changed"),
            verdict(Exit::ProofInvalid),
            End::Unknown,
        ];
        let before = exits(&ends);
        End::distrust(&mut ends);
        assert_eq!(exits(&ends), before);
        let mut ends: Vec<End> = ends.into_iter().chain([failed(Exit::Internal, ENGINE_FAULT)]).collect();
        End::distrust(&mut ends);
        let internal = Exit::Internal;
        let expected =
            [Exit::Done, internal, internal, internal, Exit::ProofInvalid, Exit::CouldNotCheck, Exit::Internal];
        assert_eq!(exits(&ends), expected);
    }
}
