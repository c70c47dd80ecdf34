//! `chopmark resident`: are the weights in a GPU's memory those that somebody registered?
//!
//! Another process exports the memory of its tensors and keeps running; they are hashed there, in place, and nothing but
//! digests comes back. Only tensors are looked at: no file, no configuration, no code.

mod handles;

use std::collections::BTreeMap;

use chopmark_core::digest::Blake3Digest;
use chopmark_core::manifest::{Manifest, TensorEntry};
use chopmark_core::verify::ResultState;
use chopmark_gpu_verify::checked::{CHECKED_ONE_IN, chances};
use serde::Serialize;
use serde_json::{Value, json};

use self::handles::Handles;
use super::verify::state_words;
use super::{Context, bundle};
use crate::arguments::ResidentArguments;
use crate::config::Overrides;
use crate::exit::{Exit, Failure};
use crate::printer::{Report, Tone};
use crate::trust::Trust;
use crate::units;

/// Most tensors of a kind that are listed for people; JSON lists all.
const LISTED_MAX: usize = 20;

/// A tensor as it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Found {
    name: String,
    size_bytes: u64,
    blake3: Blake3Digest,
    /// Under the algorithm's own name, so that nobody takes it for the SHA-256 of the bytes.
    #[serde(rename = "fsverity-sha256-4096", skip_serializing_if = "Option::is_none")]
    fsverity: Option<String>,
}

/// How the tensors differ from those registered, by name.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct TensorDifference {
    changed: Vec<String>,
    missing: Vec<String>,
    extra: Vec<String>,
}

/// Hashes tensors in a GPU's memory and, with a bundle, compares them with those registered.
///
/// # Errors
/// What is wrong with the handles, the GPU or the bundle.
pub(crate) fn run(context: &Context<'_>, arguments: &ResidentArguments) -> Result<Exit, Failure> {
    let handles = Handles::read(&arguments.handles)?;
    let proven = match &arguments.bundle {
        None => None,
        Some(path) => {
            let overrides = Overrides { party: None, trust: arguments.trust.clone() };
            let trust = Trust::for_verifying(&context.settings(overrides)?, &arguments.handles, context.printer)?;
            Some(bundle::open(path, &trust)?)
        }
    };
    let gpu = handles.gpu;
    let (name, tensors, sampled) = hash(handles, arguments.fsverity)?;
    let size_bytes = tensors.iter().map(|tensor| tensor.size_bytes).fold(0, u64::saturating_add);
    let count = units::length(tensors.len());
    let mut report = Report::default().row("gpu", format!("{name}, number {gpu}")).row(
        "tensors",
        format!("{}, {} in all, hashed where they are", units::count(count, "tensor"), units::bytes(size_bytes)),
    );
    let [results, checked] = sampled;
    let one_in = CHECKED_ONE_IN;
    report = report.row(
        "sample",
        format!("{checked} of {results} results of the GPU, 1 in {one_in}, computed again on the CPU: {}", chances()),
    );
    let mut members = json!({
        "gpu": { "number": gpu, "name": name },
        "size_bytes": size_bytes,
        "sample": { "results": results, "checked": checked, "one_in": one_in },
        "tensors": tensors,
    });
    let Some(proven) = proven else {
        for tensor in &tensors {
            report = report.line(format!("{}  {}", tensor.blake3, tensor.name));
            if let Some(fsverity) = &tensor.fsverity {
                report = report.line(format!("{fsverity}  {} (fs-verity)", tensor.name));
            }
        }
        let report = report.headline(Tone::Neutral, format!("BLAKE3 of {}", units::count(count, "tensor")));
        return context.done(members, &report);
    };
    let difference = compare(&proven.manifest, &tensors);
    let registered = tensors_of(&proven.manifest).count();
    if registered == 0 {
        let message = format!("{} was registered without tensors", proven.statement.id.shown("art"));
        return Err(Failure::new(Exit::CouldNotCheck, "no_tensors", message));
    }
    let state = difference.state(arguments);
    let id = proven.statement.id.shown("art");
    let message = difference.message(state, registered, &id.to_string());
    for (label, names) in
        [("changed", &difference.changed), ("missing", &difference.missing), ("extra", &difference.extra)]
    {
        for name in names.iter().take(LISTED_MAX) {
            report = report.row(label, name);
        }
        if let Some(more) = names.len().checked_sub(LISTED_MAX).filter(|more| *more > 0) {
            report = report.row("", format!("and {more} more; --json lists all"));
        }
    }
    let tone = if state == ResultState::Verified { Tone::Good } else { Tone::Bad };
    let report = report
        .row("not checked", "files, configuration and code: only tensors are in the GPU's memory")
        .headline(tone, format!("{}: {message}", state_words(state)));
    if let Value::Object(members) = &mut members {
        let comparison = json!({
            "state": state,
            "message": message,
            "artefact": { "id": id, "artefact_id": proven.statement.id, "index": proven.index },
            "registered_tensors": registered,
            "difference": difference,
            "missing_allowed": arguments.allow_missing,
            "extra_allowed": arguments.allow_extra,
        });
        members.extend(comparison.as_object().cloned().unwrap_or_default());
    }
    context.printer.result(context.command, Exit::from(state), members, &report)
}

/// The GPU's name, the digests, and how many results there were and how many of them the CPU computed again.
type Hashed = (String, Vec<Found>, [u64; 2]);

#[cfg(feature = "cuda")]
fn hash(handles: Handles, with_fsverity: bool) -> Result<Hashed, Failure> {
    use chopmark_gpu_verify::cuda::{CudaError, Gpu, Place, Resident, hash_resident_sampled};

    let failed = |error: CudaError| Failure::new(Exit::CouldNotCheck, error.code(), error.to_string());
    let gpu = Gpu::open(handles.gpu).map_err(failed)?;
    let tensors: Vec<_> = handles
        .tensors
        .into_iter()
        .map(|tensor| Resident {
            name: tensor.name,
            place: Place::Ipc { handle: tensor.handle, offset_bytes: tensor.offset_bytes },
            size_bytes: tensor.size_bytes,
        })
        .collect();
    let (found, sampled) = hash_resident_sampled(&gpu, &tensors, with_fsverity).map_err(failed)?;
    let found = found.into_iter().map(|found| Found {
        name: found.name,
        size_bytes: found.size_bytes,
        blake3: found.blake3,
        fsverity: found.fsverity.map(|digest| digest.to_hex()),
    });
    Ok((gpu.name().to_owned(), found.collect(), [sampled.results, sampled.checked]))
}

#[cfg(not(feature = "cuda"))]
fn hash(_handles: Handles, _with_fsverity: bool) -> Result<Hashed, Failure> {
    let message = "this program was built without CUDA; build it with `--features cuda`";
    Err(Failure::new(Exit::CouldNotCheck, "engine_unavailable", message))
}

fn tensors_of(manifest: &Manifest) -> impl Iterator<Item = &TensorEntry> {
    manifest.files().iter().filter_map(|file| file.weights.as_ref()).flat_map(|weights| &weights.tensors)
}

/// A name may stand in several files of one registration: each tensor of a GPU, of which a name is one, is one of these at
/// most, and the others are missing.
fn compare(manifest: &Manifest, found: &[Found]) -> TensorDifference {
    let mut registered: BTreeMap<&str, Vec<&TensorEntry>> = BTreeMap::new();
    for tensor in tensors_of(manifest) {
        registered.entry(&tensor.name).or_default().push(tensor);
    }
    let mut difference = TensorDifference::default();
    for tensor in found {
        let entries = registered.get_mut(tensor.name.as_str()).filter(|entries| !entries.is_empty());
        let Some(entries) = entries else {
            difference.extra.push(tensor.name.clone());
            continue;
        };
        let is_one = |entry: &&TensorEntry| {
            entry.blake3 == tensor.blake3 && entry.end.saturating_sub(entry.begin) == tensor.size_bytes
        };
        let position = entries.iter().position(is_one);
        if position.is_none() {
            difference.changed.push(tensor.name.clone());
        }
        entries.swap_remove(position.unwrap_or(0));
    }
    difference.missing.extend(registered.into_values().flatten().map(|entry| entry.name.clone()));
    difference
}

impl TensorDifference {
    fn state(&self, arguments: &ResidentArguments) -> ResultState {
        let is_whole = self.missing.is_empty() || arguments.allow_missing;
        let is_alone = self.extra.is_empty() || arguments.allow_extra;
        if self.changed.is_empty() && is_whole && is_alone { ResultState::Verified } else { ResultState::BytesDiffer }
    }

    fn message(&self, state: ResultState, registered: usize, id: &str) -> String {
        let Self { changed, missing, extra } = self;
        let (same, extra) = (registered.saturating_sub(missing.len()), extra.len());
        if state != ResultState::Verified {
            let hint = if changed.is_empty() { "; see --allow-missing and --allow-extra" } else { "" };
            let (changed, missing) = (changed.len(), missing.len());
            return format!("the GPU does not hold {id}: {changed} changed, {missing} missing, {extra} extra{hint}");
        }
        let all = if missing.is_empty() { "all" } else { "only" };
        let beside = match extra {
            0 => String::new(),
            _ => format!(", beside {} that nobody vouches for", units::count(units::length(extra), "tensor")),
        };
        format!("the GPU holds {all} {same} of {registered} tensors of {id}, byte for byte{beside}")
    }
}

#[cfg(test)]
mod tests {
    use chopmark_core::digest::Sha256Digest;
    use chopmark_core::manifest::{Dtype, ExclusionProfile, FileEntry, FilePath, WeightFormat, WeightIndex};

    use super::*;

    fn manifest() -> Manifest {
        let file = |path: &str, names: [&str; 2]| {
            let tensors = [(8, names[0]), (12, names[1])].map(|(begin, name)| TensorEntry {
                name: name.to_owned(),
                dtype: Dtype::from_safetensors_name("F32").unwrap(),
                shape: vec![1],
                begin,
                end: begin + 4,
                blake3: Blake3Digest::of(format!("{path} {name}").as_bytes()),
            });
            FileEntry {
                path: FilePath::parse(path).unwrap(),
                size_bytes: 16,
                sha256: Sha256Digest::of(path.as_bytes()),
                blake3: Some(Blake3Digest::of(path.as_bytes())),
                weights: Some(WeightIndex {
                    format: WeightFormat::Safetensors,
                    header_size_bytes: 8,
                    header_blake3: Blake3Digest::of(b""),
                    alignment_bytes: None,
                    tensors: tensors.to_vec(),
                }),
            }
        };
        let files = vec![file("1.safetensors", ["a", "b"]), file("2.safetensors", ["b", "c"])];
        Manifest::new(ExclusionProfile::V1, files).unwrap()
    }

    fn found(name: &str, file: &str) -> Found {
        let blake3 = Blake3Digest::of(format!("{file} {name}").as_bytes());
        Found { name: name.to_owned(), size_bytes: 4, blake3, fsverity: None }
    }

    fn arguments(allow_missing: bool, allow_extra: bool) -> ResidentArguments {
        let handles = "handles.json".into();
        ResidentArguments { handles, bundle: None, trust: None, allow_missing, allow_extra, fsverity: false }
    }

    #[test]
    fn tensors_are_compared_by_name_content_and_size() {
        let manifest = manifest();
        let all = [found("a", "1.safetensors"), found("b", "2.safetensors"), found("c", "2.safetensors")];
        // `b` stands in both files, and one of the two has not been seen.
        let same = compare(&manifest, &all);
        assert_eq!(same, TensorDifference { missing: vec!["b".to_owned()], ..TensorDifference::default() });
        assert_eq!(same.state(&arguments(false, false)), ResultState::BytesDiffer);
        assert_eq!(same.state(&arguments(true, false)), ResultState::Verified);
        assert!(same.message(ResultState::Verified, 4, "art_x").contains("only 3 of 4 tensors of art_x"));
        let both = compare(&manifest, &[&all[..], &[found("b", "1.safetensors")]].concat());
        assert_eq!(both, TensorDifference::default());
        assert!(both.message(ResultState::Verified, 4, "art_x").contains("all 4 of 4 tensors of art_x"));
        // The same one twice is not both, and a third has no counterpart.
        let twice =
            compare(&manifest, &[&all[..], &[found("b", "2.safetensors"), found("b", "1.safetensors")]].concat());
        assert_eq!((twice.changed, twice.extra), (vec!["b".to_owned()], vec!["b".to_owned()]));

        let short = Found { size_bytes: 3, ..found("c", "2.safetensors") };
        let others = [found("a", "2.safetensors"), short, found("d", "1.safetensors")];
        let difference = compare(&manifest, &others);
        assert_eq!(difference.changed, ["a", "c"]);
        assert_eq!(difference.missing, ["b", "b"]);
        assert_eq!(difference.extra, ["d"]);
        assert_eq!(difference.state(&arguments(true, true)), ResultState::BytesDiffer);
    }

    #[test]
    fn missing_and_extra_tensors_are_a_difference_unless_allowed() {
        let manifest = manifest();
        let some = compare(&manifest, &[found("a", "1.safetensors")]);
        assert_eq!(some.state(&arguments(false, true)), ResultState::BytesDiffer);
        assert_eq!(some.state(&arguments(true, false)), ResultState::Verified);
        assert!(some.message(ResultState::Verified, 4, "art_x").contains("only 1 of 4"));
        let all = ["a", "b", "x"].map(|name| found(name, "1.safetensors"));
        let more = compare(&manifest, &[&all[..], &["b", "c"].map(|name| found(name, "2.safetensors"))].concat());
        assert_eq!(more.state(&arguments(true, false)), ResultState::BytesDiffer);
        assert_eq!(more.state(&arguments(false, true)), ResultState::Verified);
    }
}
