//! What `chopmark register` says: before it sends, and when it is done.

use chopmark_core::artefact::ParentSource;
use chopmark_core::kind::Claim;
use chopmark_core::manifest::{FilePath, Manifest};
use chopmark_core::submission::Submission;
use serde_json::json;

use super::Outcome;
use crate::commands::bundle::{kind_word, shell_word};
use crate::commands::{Context, notes};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::printer::{Report, Tone};
use crate::units;

/// What a person should know before agreeing.
pub(super) fn what_becomes_public(submission: &Submission, owner: &str) -> Vec<String> {
    let mut lines = vec![format!("who       {owner}")];
    if let Claim::Artefact(claim) = &submission.statement.claim {
        let names: Vec<&str> = claim.name.iter().map(|(_, name)| name).collect();
        let (kind, version) = (kind_word(claim.kind), &claim.version);
        lines.push(format!("what      {}, version {version}, {kind}", names.join(" / ")));
        lines.push(format!("licence   {}", claim.licence.expression));
        for parent in &claim.parents {
            lines.push(match &parent.source {
                ParentSource::Artefact(id) => format!("parent    {}", id.shown("art")),
                ParentSource::Digest(digest) => format!("parent    sha256:{digest}"),
                ParentSource::Foreign(foreign) => format!("parent    {} of {}", foreign.artefact, foreign.origin),
            });
        }
        let (files, bytes) = (claim.manifest.files, units::bytes(claim.manifest.content_size_bytes));
        lines.push(format!("files     the names, sizes and digests of {} with {bytes}", units::count(files, "file")));
    }
    let tensors: usize = submission
        .manifests
        .values()
        .flat_map(Manifest::files)
        .filter_map(|file| file.weights.as_ref())
        .map(|weights| weights.tensors.len())
        .sum();
    if tensors > 0 {
        let tensors = units::count(units::length(tensors), "tensor");
        lines.push(format!("tensors   the names, shapes and digests of {tensors}"));
    }
    lines.push("not sent  the content of any file".to_owned());
    lines
}

/// The answer when everything is in hand.
pub(super) fn print(context: &Context<'_>, outcome: &Outcome<'_>) -> Result<Exit, Failure> {
    let Outcome { contact, registered, proven, measured, .. } = outcome;
    let artefact = &proven.artefact;
    let (id, proved) = (proven.statement.id, &registered.proved);
    let shown = id.shown("art");
    let origin = &contact.registry.origin;
    let (files, size) = (artefact.manifest.files, artefact.manifest.content_size_bytes);
    let mut report = Report::default()
        .row("artefact", format!("{} {} ({})", artefact.name.display(), artefact.version, kind_word(artefact.kind)))
        .row("registered by", format!("{} (self-declared)", proven.owner.name.display()))
        .row("licence", format!("{} (as you declare it)", artefact.licence.expression))
        .row("files", format!("{}, {}", units::count(files, "file"), units::bytes(size)));
    if !measured.excluded.is_empty() {
        let excluded: Vec<&str> = measured.excluded.iter().map(FilePath::as_str).collect();
        report = report.row("left out", format!("{} (not vouched for)", excluded.join(", ")));
    }
    if let Some(commit) = &measured.revision {
        report = report.row("revision", commit);
    }
    if let Some(image) = measured.manifest.image() {
        report = report.row("image", format!("{}@sha256:{}", image.name, image.sha256));
    }
    if !measured.not_read.is_empty() {
        let not_read = units::count(units::length(measured.not_read.len()), "blob");
        report = report.row("not read", format!("{not_read}, registered by the digests in the image's manifest"));
    }
    let report = notes::rows(report, &measured.notes);
    let report = outcome
        .reading
        .row(report)
        .row("id", id.to_string())
        .row("index", format!("{} in a log of {}", proved.index, proved.checkpoint.size()))
        .row(
            "proof",
            format!("a path of length {} to the signed checkpoint of {origin}, verified here", proved.path_hashes),
        )
        .row("bundle", format!("{} ({})", outcome.bundle.display(), units::bytes(outcome.bundle_size_bytes)))
        .headline(Tone::Good, format!("REGISTERED: {} is {shown} at {origin}", outcome.path.display()))
        .next(format!(
            "chopmark verify {} --bundle {} --offline",
            shell_word(outcome.form.manifest.as_deref().unwrap_or(outcome.path)),
            shell_word(outcome.bundle)
        ));
    let (read_size_bytes, recalled) = outcome.reading.members();
    let members = json!({
        "id": shown,
        "artefact_id": id,
        "index": proved.index,
        "size": proved.checkpoint.size(),
        "recorded_at": registered.recorded_at,
        "registry": { "origin": origin, "genesis": contact.registry.genesis, "log_key": contact.log_key },
        "owner": proven.statement.issuer(),
        "artefact": artefact,
        "manifest_sha256": artefact.manifest.sha256,
        "files": files,
        "content_size_bytes": size,
        "excluded": measured.excluded,
        "revision": measured.revision,
        "not_read": measured.not_read,
        "read_size_bytes": read_size_bytes,
        "recalled": recalled,
        "sidecar": outcome.sidecar.map(files::text),
        "notes": notes::members(&measured.notes),
        "proof": proved.proof,
        "closure": proven.closure,
        "bundle": files::text(outcome.bundle),
        "bundle_size_bytes": outcome.bundle_size_bytes,
        "resumed": registered.is_resumed,
    });
    context.done(members, &report)
}
