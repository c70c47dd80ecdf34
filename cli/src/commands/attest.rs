//! `chopmark attest`: "we hashed these bytes here, and they match what was registered". Said only when it is so.

use std::path::Path;

use chopmark_core::attestation::AttestationClaim;
use chopmark_core::bundle::Proven;
use chopmark_core::kind::Claim;
use chopmark_core::manifest::FilePath;
use chopmark_core::verify::{Difference, compare, compare_image};
use serde_json::json;

use super::measuring::{Aim, Measuring, require};
use super::say::{Saying, Speaker, say};
use super::{Context, bundle, notes};
use crate::arguments::AttestArguments;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::printer::Report;

/// Most differing files named in the refusal.
const LISTED_MAX: usize = 5;

/// Hashes what is at a path, compares it with a registration, and says that they match.
///
/// # Errors
/// `bytes_differ` when they do not, and nothing is said; otherwise as the registry or the person answers.
pub(crate) fn run(context: &Context<'_>, arguments: AttestArguments) -> Result<Exit, Failure> {
    let printer = context.printer;
    let AttestArguments { path, artefact, bundle: file, zone, trust, say: said, form, engine } = arguments;
    require(&path, &form)?;
    let speaker = Speaker::own(context, said, trust)?;
    let Speaker { client, contact, .. } = &speaker;
    let proven = match (&artefact, &file) {
        (_, Some(file)) => bundle::open(file, &contact.trust)?,
        (Some(id), None) => bundle::fetch(client, &client.artefact(id)?.artefact_id, &contact.trust)?.1,
        (None, None) => return Err(Failure::usage("name the artefact with --artefact or --bundle")),
    };
    if proven.statement.header.registry.as_ref() != Some(&contact.registry) {
        let message =
            format!("the bundle is not of the registry {}, which {} is", contact.registry.origin, client.url());
        return Err(Failure::usage(message));
    }

    let measuring = Measuring::start(engine, printer)?;
    let tool = format!("chopmark {} ({})", env!("CARGO_PKG_VERSION"), measuring.engine_name());
    let (difference, file_notes) = if proven.manifest.image().is_some() {
        let found = measuring.find_image(&path, &form, &proven.manifest)?;
        let (difference, not_read) = compare_image(&proven.manifest, &found);
        if !not_read.is_empty() {
            let message = "only the image's manifest is here, and nobody attests what was not read; give an OCI image \
                           layout with all of the image";
            return Err(Failure::new(Exit::CouldNotCheck, "not_read", message));
        }
        (difference, Vec::new())
    } else {
        let file_name = proven.manifest.only_file().map(|file| &file.path);
        let aim = Aim { exclusions: proven.manifest.exclusions(), file_name, ..Aim::attest(&form) };
        let measured = measuring.measure(&path, aim)?;
        (compare(&proven.manifest, &measured.manifest, &measured.unreadable), measured.notes)
    };
    check_equal(&path, &proven, &difference)?;
    // Before anything is signed.
    notes::tell(printer, &file_notes);

    let id = proven.statement.id;
    let manifest = proven.artefact.manifest.sha256;
    let name = format!("{} {}", proven.artefact.name.display(), proven.artefact.version);
    let saying = Saying {
        subject_name: &format!("bytes of {name}"),
        claim: Claim::Attestation(AttestationClaim::BytesMatch { artefact: id, manifest, zone, tool: tool.clone() }),
        said: format!(
            "the bytes of {name} ({}) hashed in {} match what was registered",
            id.shown("art"),
            zone_word(zone)
        ),
        named: &[id, proven.owner.id],
        report: notes::rows(Report::default(), &file_notes)
            .row("artefact", format!("{name}, {}", id.shown("art")))
            .row("registered by", format!("{} (self-declared)", proven.owner.name.display()))
            .row("manifest", manifest.to_string())
            .row("hashed with", &tool),
        members: json!({
            "path": files::text(&path),
            "artefact_id": id,
            "manifest_sha256": manifest,
            "zone": zone,
            "tool": tool,
            "notes": notes::members(&file_notes),
        }),
    };
    say(context, &speaker, saying)
}

fn zone_word(zone: chopmark_core::code::ResidencyZone) -> String {
    match serde_json::to_value(zone) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// Nothing less than exactly what was registered is attested, extra files included.
fn check_equal(path: &Path, proven: &Proven, difference: &Difference) -> Result<(), Failure> {
    let Difference { changed, missing, extra } = difference;
    if changed.is_empty() && missing.is_empty() && extra.is_empty() {
        return Ok(());
    }
    let changed = changed.iter().map(|change| ("changed", &change.path));
    let others = missing.iter().map(|path| ("missing", path)).chain(extra.iter().map(|path| ("extra", path)));
    let all: Vec<(&str, &FilePath)> = changed.chain(others).collect();
    let named: Vec<String> =
        all.iter().take(LISTED_MAX).map(|(what, path)| format!("{} {what}", path.as_str())).collect();
    let more = if all.len() > LISTED_MAX { ", …" } else { "" };
    let message = format!(
        "{} is not what was registered as {}: {}{more}; nothing was attested (`chopmark verify` says more)",
        path.display(),
        proven.statement.id.shown("art"),
        named.join(", ")
    );
    Err(Failure::new(Exit::BytesDiffer, "bytes_differ", message))
}
