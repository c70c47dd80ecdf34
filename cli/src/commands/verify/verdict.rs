//! The answer of `chopmark verify`: a state, the facts behind it with who says so, and what it does not prove.

use std::collections::BTreeSet;
use std::path::Path;

use chopmark_core::bundle::Proven;
use chopmark_core::manifest::{FileEntry, FilePath};
use chopmark_core::statement::ShownId;
use chopmark_core::terms::period::Date;
use chopmark_core::verify::{Difference, FileChange, ResultState, TensorChange, TensorFacts};
use chopmark_gpu_verify::FileNote;
use serde_json::json;

use super::licence::Held;
use super::places::Damages;
use super::said::Said;
use crate::arguments::FormArguments;
use crate::commands::bundle::kind_word;
use crate::commands::{Context, notes};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::printer::{Report, Tone};
use crate::trust::Trust;
use crate::units;

/// Most files and most tensors of a file that are listed for people; JSON lists all.
pub(super) const LISTED_MAX: usize = 20;

/// What no registration proves.
pub(super) const DOES_NOT_PROVE: [&str; 3] = [
    "that the party is who it says it is: names and numbers are self-declared",
    "that it holds the rights: registration shows who said so, and when",
    "that the content is good, safe or lawful to use",
];

/// The state in words, for the line that matters.
pub(in crate::commands) const fn state_words(state: ResultState) -> &'static str {
    match state {
        ResultState::Verified => "VERIFIED",
        ResultState::BytesDiffer => "BYTES DIFFER",
        ResultState::NotRegistered => "NOT REGISTERED",
        ResultState::ProofInvalid => "PROOF INVALID",
        ResultState::LicenceNotInForce => "LICENCE NOT IN FORCE",
        ResultState::CouldNotCheck => "COULD NOT CHECK",
    }
}

/// How bytes compare with those registered.
#[derive(Default)]
pub(super) struct Compared {
    /// How they differ.
    pub(super) difference: Difference,
    /// Files that are as registered by BLAKE3; their SHA-256 and tensors were not computed.
    pub(super) by_blake3: BTreeSet<FilePath>,
    /// What the exclusion profile left out.
    pub(super) excluded: Vec<FilePath>,
    /// The commit that was checked, for a repository in the Hugging Face cache.
    pub(super) revision: Option<String>,
    /// Blobs of a container image that its manifest names, and that nobody read: only the manifest was at hand.
    pub(super) not_read: Vec<FilePath>,
    /// Where the damage is, if there was a sidecar to look it up in.
    pub(super) damages: Option<Damages>,
    /// What else there is to know about files.
    pub(super) notes: Vec<FileNote>,
}

/// What is to be verified, and how strictly.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    /// Where the bytes are.
    pub(super) path: &'a Path,
    /// In which form they lie there.
    pub(super) form: &'a FormArguments,
    /// The bundle that proves the registration, where the service is not asked.
    pub(super) bundle: Option<&'a Path>,
    /// Whether files that were not registered may be there.
    pub(super) allow_extra: bool,
    /// Whether nothing may be left out.
    pub(super) is_strict: bool,
    /// A status list of licences that is at hand.
    pub(super) status_list: Option<&'a Path>,
    /// The day for which a licence is judged; today when none is given.
    pub(super) on: Option<Date>,
}

/// A comparison with a proven registration.
pub(super) struct Verdict<'a> {
    /// What was asked.
    pub(super) question: Question<'a>,
    /// What is registered.
    pub(super) proven: Proven,
    /// How the bytes compare with that.
    pub(super) compared: Compared,
    /// The licence that the bundle proves, where it does.
    pub(super) held: Option<Held>,
    /// Whom that rests on.
    pub(super) trust: Trust,
    /// Other registrations of the same bytes, as the service says.
    pub(super) also_registered: Vec<ShownId>,
    /// What others say, as the service says, where it was asked.
    pub(super) said: Option<Said>,
}

impl Verdict<'_> {
    /// What the bytes and then the licence come to.
    pub(super) fn state(&self) -> ResultState {
        match (self.state_of_bytes(), &self.held) {
            (ResultState::Verified, Some(held)) => held.state(),
            (state, _) => state,
        }
    }

    /// Extra files are a difference unless they were allowed: an extra file can be code that gets loaded.
    fn state_of_bytes(&self) -> ResultState {
        let Difference { changed, missing, extra } = &self.compared.difference;
        let are_extra_fine = extra.is_empty() || self.question.allow_extra;
        if changed.is_empty() && missing.is_empty() && are_extra_fine {
            ResultState::Verified
        } else {
            ResultState::BytesDiffer
        }
    }

    pub(super) fn message(&self) -> String {
        let bytes = self.message_of_bytes();
        let objection = self.held.as_ref().filter(|_| self.state_of_bytes() == ResultState::Verified);
        match objection.and_then(Held::objection) {
            Some(objection) => format!("{bytes}, but {objection}"),
            None => bytes,
        }
    }

    fn message_of_bytes(&self) -> String {
        let Difference { changed, missing, extra } = &self.compared.difference;
        let (path, id) = (self.question.path.display(), self.proven.statement.id.shown("art"));
        match self.state_of_bytes() {
            ResultState::Verified if !self.compared.not_read.is_empty() => format!(
                "{path} is exactly the image manifest that was registered as {id}; the {} that it names by digest \
                 were not read",
                units::count(units::length(self.compared.not_read.len()), "blob")
            ),
            ResultState::Verified if extra.is_empty() => format!("{path} is exactly what was registered as {id}"),
            ResultState::Verified => format!(
                "{path} holds exactly what was registered as {id}, and {} that nobody vouches for",
                units::count(units::length(extra.len()), "extra file")
            ),
            _ => {
                let hint = if self.question.path.is_file() && self.proven.manifest.files().len() > 1 {
                    "; it was registered as a directory: verify the whole of it"
                } else if changed.is_empty() && missing.is_empty() && !self.question.is_strict {
                    "; --allow-extra accepts extra files"
                } else {
                    ""
                };
                format!(
                    "{path} is not what was registered as {id}: {} changed, {} missing, {} extra; {} registered{hint}",
                    changed.len(),
                    missing.len(),
                    extra.len(),
                    units::count(units::length(self.proven.manifest.files().len()), "file"),
                )
            }
        }
    }

    /// Prints the answer.
    ///
    /// # Errors
    /// When stdout can't be written.
    pub(super) fn print(&self, context: &Context<'_>) -> Result<Exit, Failure> {
        let state = self.state();
        context.printer.result(context.command, Exit::from(state), self.members(), &self.report())
    }

    /// The answer for programs.
    pub(super) fn members(&self) -> serde_json::Value {
        let Proven { statement, artefact, owner, index, checkpoint, closure, .. } = &self.proven;
        let registry = statement.header.registry.as_ref();
        let (sidecar, damaged) = Damages::members(self.compared.damages.as_ref());
        json!({
            "state": self.state(),
            "message": self.message(),
            "path": files::text(self.question.path),
            "artefact": {
                "id": statement.id.shown("art"),
                "artefact_id": statement.id,
                "index": index,
                "issued_at": statement.header.issued_at,
                "owner": {
                    "id": owner.id.shown("pty"),
                    "party_id": owner.id,
                    "name": owner.name,
                    "identifiers": owner.identifiers,
                    "jurisdiction": owner.jurisdiction,
                    "said_by": "self_declared",
                },
                "claim": artefact,
                "licence": { "expression": artefact.licence.expression, "said_by": "declared_by_owner" },
            },
            "licence": self.held.as_ref().map(Held::members),
            "difference": self.compared.difference,
            "damaged": damaged,
            "sidecar": sidecar,
            "extra_allowed": self.question.allow_extra,
            "excluded": self.compared.excluded,
            "revision": self.compared.revision,
            "claims": self.claims(),
            "not_read": self.compared.not_read,
            "notes": notes::members(&self.compared.notes),
            "also_registered": self.also_registered,
            "said_by_others": self.said.as_ref().map(Said::members),
            "bundle": self.question.bundle.map(files::text),
            "registry": registry,
            "checkpoint": { "size": checkpoint.size(), "root": checkpoint.root() },
            "closure": { "kind": closure, "explanation": closure.explanation() },
            "trust": { "source": self.trust.source.kind(), "path": files::text(self.trust.source.path()) },
            "does_not_prove": DOES_NOT_PROVE,
        })
    }

    /// Which claims about the files found were checked, each on its own.
    fn claims(&self) -> serde_json::Value {
        let Compared { difference, by_blake3, not_read, .. } = &self.compared;
        let is_found = |file: &&FileEntry| !difference.missing.contains(&file.path) && !not_read.contains(&file.path);
        let found: Vec<&FileEntry> = self.proven.manifest.files().iter().filter(is_found).collect();
        let blake3 = found.iter().filter(|file| file.blake3.is_some()).count();
        let headers = found.iter().filter(|file| file.weights.is_some()).count();
        let whole: Vec<&&FileEntry> = found.iter().filter(|file| !by_blake3.contains(&file.path)).collect();
        let tensors: usize =
            whole.iter().filter_map(|file| file.weights.as_ref()).map(|index| index.tensors.len()).sum();
        json!({ "sha256": whole.len(), "blake3": blake3, "headers": headers, "tensors": tensors })
    }

    fn report(&self) -> Report {
        let Proven { statement, artefact, owner, index, checkpoint, closure, manifest, .. } = &self.proven;
        let (kind, version) = (kind_word(artefact.kind), &artefact.version);
        let mut report = Report::default()
            .row("artefact", format!("{} {version} ({kind}), {}", artefact.name.display(), statement.id.shown("art")))
            .row("registered by", format!("{} (self-declared), {}", owner.name.display(), owner.id.shown("pty")))
            .row("licence", format!("{} (declared by the owner)", artefact.licence.expression))
            .row(
                "position",
                format!("entry {index}, proved in a log of {} at {}", checkpoint.size(), checkpoint.origin()),
            )
            .row("trust", self.trust.source.to_string())
            .row("closure", closure.explanation());
        if let Some(held) = &self.held {
            report = report.row("granted", held.row()).row("status", held.status_row());
        }
        if let Some(image) = manifest.image() {
            let digest = format!("{}@sha256:{}, checked by SHA-256 and size alone", image.name, image.sha256);
            report = report.row("image", digest);
        }
        if let Some(commit) = &self.compared.revision {
            report = report.row("revision", commit);
        }
        if !self.also_registered.is_empty() {
            let others: Vec<String> = self.also_registered.iter().map(ToString::to_string).collect();
            report = report.row("also", format!("{}: registered later, as the service says", others.join(", ")));
        }
        if let Some(said) = &self.said {
            report = said.rows(report);
        }
        if self.state() == ResultState::Verified {
            report = DOES_NOT_PROVE.into_iter().fold(report, |report, line| report.row("not proved", line));
        }
        if !self.compared.excluded.is_empty() {
            let left_out =
                format!("{} by {}, not vouched for", self.compared.excluded.len(), manifest.exclusions().id());
            report = report.row("left out", left_out);
        }
        if !self.compared.by_blake3.is_empty() {
            let checked = "by BLAKE3, of weight files the header as well; SHA-256 and tensors only where that differs";
            report = report.row("checked", checked);
        }
        let report = notes::rows(report, &self.compared.notes);
        let report = self.list_difference(report);
        let tone = if self.state() == ResultState::Verified { Tone::Good } else { Tone::Bad };
        report.headline(tone, format!("{}: {}", state_words(self.state()), self.message()))
    }

    fn list_difference(&self, mut report: Report) -> Report {
        let Difference { changed, missing, extra } = &self.compared.difference;
        for change in changed.iter().take(LISTED_MAX) {
            report = list_change(report, change);
            if self.proven.manifest.image().is_none() {
                report = Damages::rows(self.compared.damages.as_ref(), report, change);
            }
        }
        report = more(report, changed.len(), "changed files");
        for (label, paths) in [("missing", missing), ("extra", extra)] {
            for path in paths.iter().take(LISTED_MAX) {
                report = report.row(label, path.as_str());
            }
            report = more(report, paths.len(), &format!("{label} files"));
        }
        report
    }
}

fn list_change(report: Report, change: &FileChange) -> Report {
    let FileChange { path, expected, actual, header_changed, tensors, found_unreadable } = change;
    let mut report = report.row("changed", path.as_str());
    if expected.size_bytes != actual.size_bytes {
        report = report.row("  size", format!("{} bytes, registered {}", actual.size_bytes, expected.size_bytes));
    }
    report =
        report.row("  sha256", format!("{} found", actual.sha256)).row("", format!("{} registered", expected.sha256));
    if *header_changed {
        report = report.row("  header", "differs: names, types, places or metadata of tensors");
    }
    if let Some(reason) = found_unreadable {
        report = report.row("  tensors", format!("cannot be read any more: {reason}"));
    }
    for tensor in tensors.iter().take(LISTED_MAX) {
        report = report.row("  tensor", tensor_line(tensor));
    }
    more(report, tensors.len(), "tensors")
}

fn tensor_line(TensorChange { name, expected, actual }: &TensorChange) -> String {
    let form = |facts: &TensorFacts| format!("{} {:?}", facts.dtype.name(), facts.shape);
    match (expected, actual) {
        (Some(expected), Some(actual)) if form(expected) == form(actual) => {
            format!("{name} ({}): content differs", form(expected))
        }
        (Some(expected), Some(actual)) => format!("{name}: {}, registered {}", form(actual), form(expected)),
        (Some(expected), None) => format!("{name} ({}): gone", form(expected)),
        (None, Some(actual)) => format!("{name} ({}): not registered", form(actual)),
        (None, None) => name.clone(),
    }
}

pub(super) fn more(report: Report, number: usize, things: &str) -> Report {
    match number.checked_sub(LISTED_MAX) {
        Some(left) if left > 0 => report.row("  …", format!("{left} more {things}; --json lists all")),
        _ => report,
    }
}
