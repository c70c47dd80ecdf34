//! `chopmark register`: from a directory to an entry in the log and an offline bundle that proves it.
//!
//! Nothing the service says is believed: the receipt is proved against the pinned log key, the bundle is verified as an
//! offline verifier would, and only then written.

mod answer;

use std::path::{Path, PathBuf};

use chopmark_core::artefact::{ArtefactClaim, ManifestRef, Parent, ParentSource, Relation};
use chopmark_core::bundle::Proven;
use chopmark_core::code::Jurisdiction;
use chopmark_core::kind::Claim;
use chopmark_core::manifest::ExclusionProfile;
use chopmark_core::text::{Names, validate_name};
use chopmark_gpu_verify::{CachedRepository, Measured, Purpose};

use super::consent::Consent;
use super::measuring::{Aim, Measuring, require};
use super::submit::{Draft, Registered};
use super::{Context, bundle, cosign, dry_run, signers};
use crate::arguments::RegisterArguments;
use crate::client::{Client, PartyDescription};
use crate::config::Overrides;
use crate::exit::{Exit, Failure};
use crate::files::{self, Access};
use crate::interrupt;
use crate::keys;
use crate::trust::Contact;

/// What was registered, for the answer.
struct Outcome<'a> {
    path: &'a Path,
    contact: &'a Contact,
    registered: &'a Registered,
    proven: &'a Proven,
    measured: &'a Measured,
    bundle: &'a Path,
    bundle_size_bytes: u64,
}

/// Registers what is at a path.
///
/// # Errors
/// Why it is not registered, or not proved to be; see `exit` for the codes.
pub(crate) fn run(context: &Context<'_>, mut arguments: RegisterArguments) -> Result<Exit, Failure> {
    let printer = context.printer;
    let overrides = Overrides { party: arguments.party.take(), trust: arguments.trust.take() };
    let settings = context.settings(overrides)?;
    interrupt::install(printer, context.command)?;

    // Everything that can be refused early is, before hours of hashing.
    require(&arguments.path)?;
    cosign::check(&arguments.cosign)?;
    let consent = Consent::find(arguments.consent, &settings.url, printer)?;
    let own_name = own_name(&arguments.path);
    let names = names(&arguments, own_name.as_deref())?;
    validate_name(&arguments.artefact_version).map_err(|reason| Failure::usage(format!("--version: {reason}")))?;
    let out = arguments.out.clone().unwrap_or_else(|| default_bundle(own_name.as_deref()));
    if consent != Consent::NotNeeded && arguments.cosign.sign_only.is_none() {
        bundle::check_replaceable(&out)?;
    }
    let keys = keys::load_all(&settings.keys)?;
    let client = Client::new(&settings.url)?;
    let contact = Contact::meet(&settings, &client)?;
    let (party, signers) = signers::signing_party(&client, &settings, &contact.registry, &keys, &arguments.cosign)?;
    let jurisdiction = jurisdiction(arguments.jurisdiction.clone(), &party)?;
    let parents = parents(&client, &arguments)?;
    let supersedes = arguments.supersedes.as_deref().map(|id| client.artefact(id)).transpose()?;
    let supersedes = supersedes.map(|earlier| earlier.artefact_id);

    let measuring = Measuring::start(arguments.engine, &arguments.form, printer)?;
    let aim = Aim { purpose: Purpose::Register, exclusions: ExclusionProfile::V1, file_name: None };
    let measured = measuring.measure(&arguments.path, aim)?;
    let manifest = measured.manifest.to_canonical_bytes();
    let claim = Claim::Artefact(ArtefactClaim {
        name: names.clone(),
        version: arguments.artefact_version.clone(),
        kind: arguments.kind,
        ip_type: arguments.ip_type,
        manifest: ManifestRef::to(&measured.manifest),
        parents,
        supersedes,
        author_jurisdiction: jurisdiction,
        residency_zone: arguments.zone,
        licence: arguments.licence.clone(),
    });
    let draft = Draft {
        contact: &contact,
        signers: &signers,
        keys: &keys,
        subject_name: names.display(),
        claim: &claim,
        document: Some(&manifest),
    };
    let signed = draft.signed(&settings.directories)?;
    if consent == Consent::NotNeeded {
        return dry_run::print(context, &signed, &contact.registry);
    }

    let public = answer::what_becomes_public(&signed.submission, party.name.display());
    consent.obtain(printer, &contact.registry.origin, &public)?;
    if let Some(path) = &arguments.cosign.sign_only {
        let keys = signers::public_keys(&party, &signers);
        return cosign::write(context, &draft, path, (&client, &settings.directories), keys, &[]);
    }
    contact.pin(&settings.directories, printer)?;
    printer.note(format!("sending the statement to {}", client.url()));
    let registered = draft.send(signed, &client, &settings.directories, printer)?;

    let id = registered.statement().id;
    let (bytes, proven) = bundle::fetch(&client, &id, &contact.trust)?;
    if proven.index != registered.proved.index {
        return Err(Failure::proof("the bundle and the receipt name different entries"));
    }
    files::replace(&out, &bytes, Access::Shared).map_err(|error| Failure::file("write", &out, &error))?;
    let end = answer::print(
        context,
        &Outcome {
            path: &arguments.path,
            contact: &contact,
            registered: &registered,
            proven: &proven,
            measured: &measured,
            bundle: &out,
            bundle_size_bytes: crate::units::length(bytes.len()),
        },
    );
    registered.forget();
    end
}

/// The name of the thing at `path`, even when it is given as `.` or through a link, or lies in a cache.
fn own_name(path: &Path) -> Option<String> {
    if let Some(repository) = CachedRepository::at(path) {
        return Some(repository.name);
    }
    let whole = path.canonicalize().ok()?;
    whole.file_name()?.to_str().map(str::to_owned)
}

/// The names given, or else the thing's own.
fn names(arguments: &RegisterArguments, own_name: Option<&str>) -> Result<Names, Failure> {
    let mut names = Names::from(arguments.names.clone());
    if names == Names::default() {
        names.en = own_name.map(str::to_owned);
    }
    names
        .validate()
        .map_err(|error| Failure::usage(format!("the name: {}; give another with --name-en", error.reason)))?;
    Ok(names)
}

fn default_bundle(own_name: Option<&str>) -> PathBuf {
    PathBuf::from(format!("{}.chop", own_name.unwrap_or("artefact")))
}

fn jurisdiction(given: Option<Jurisdiction>, party: &PartyDescription) -> Result<Jurisdiction, Failure> {
    given.or_else(|| party.jurisdiction.clone()).ok_or_else(|| {
        Failure::usage("your party states no jurisdiction; say with --jurisdiction where the authors are")
    })
}

fn parents(client: &Client, arguments: &RegisterArguments) -> Result<Vec<Parent>, Failure> {
    let RegisterArguments { parents, relations, .. } = arguments;
    if relations.len() > 1 && relations.len() != parents.len() {
        return Err(Failure::usage("give --relation once for all parents, or once for each of them in the same order"));
    }
    let find = |(id, relation): (&String, &Relation)| {
        if let Some(digest) = id.strip_prefix("sha256:") {
            let digest = digest.parse().map_err(|error| Failure::usage(format!("--parent {id}: {error}")))?;
            return Ok(Parent { relation: *relation, source: ParentSource::Digest(digest) });
        }
        let parent = client
            .artefact(id)
            .map_err(|failure| Failure { message: format!("parent {id}: {}", failure.message), ..failure })?;
        Ok(Parent { relation: *relation, source: ParentSource::Artefact(parent.artefact_id) })
    };
    parents.iter().zip(relations.iter().cycle()).map(find).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::arguments::{Arguments, Command};

    fn arguments(more: &str) -> RegisterArguments {
        let line = format!("chopmark register . --licence mit {more}");
        match Arguments::parse_from(line.split_whitespace()).command {
            Command::Register(arguments) => *arguments,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_default_to_the_things_own() {
        let directory = tempfile::tempdir().unwrap();
        let model = directory.path().join("Lam-7B");
        std::fs::create_dir(&model).unwrap();
        assert_eq!(own_name(&model.join(".")).as_deref(), Some("Lam-7B"));
        assert_eq!(names(&arguments(""), Some("Lam-7B")).unwrap().display(), "Lam-7B");
        let given = names(&arguments("--name-zh-hant 林"), Some("Lam-7B")).unwrap();
        assert_eq!((given.en, given.zh_hant.as_deref()), (None, Some("林")));
        assert_eq!(names(&arguments(""), Some("a\u{202E}b")).unwrap_err().exit, Exit::Usage);
        assert_eq!(names(&arguments(""), None).unwrap_err().exit, Exit::Usage);
        assert_eq!(default_bundle(Some("Lam-7B")), Path::new("Lam-7B.chop"));
        assert_eq!(default_bundle(None), Path::new("artefact.chop"));
    }

    #[test]
    fn relations_pair_with_parents() {
        let client = Client::new("http://127.0.0.1:1").unwrap();
        assert_eq!(parents(&client, &arguments("")).unwrap(), []);
        let uneven = arguments("--parent a --parent b --parent c --relation merge --relation derived");
        assert_eq!(parents(&client, &uneven).unwrap_err().exit, Exit::Usage);
        let no_id = arguments("--parent a --relation merge");
        assert_eq!(parents(&client, &no_id).unwrap_err().exit, Exit::Usage);
    }
}
