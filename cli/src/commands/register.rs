//! `chopmark register`: from a directory to an entry in the log and an offline bundle that proves it; or from a list of
//! many, with one report.

mod answer;
mod bulk;
mod defaults;
mod session;

use std::path::{Path, PathBuf};

use chopmark_core::artefact::{ArtefactClaim, ArtefactKind, ManifestRef, Parent, ParentSource, Relation};
use chopmark_core::bundle::Proven;
use chopmark_core::compatibility::Outcome as Compatibility;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::kind::Claim;
use chopmark_core::licence::DeclaredLicence;
use chopmark_core::statement::StatementId;
use chopmark_core::terms::period::Date;
use chopmark_core::text::{Names, validate_name};
use chopmark_core::time::Timestamp;
use chopmark_gpu_verify::Measured;

use self::defaults::Defaults;
use self::session::{Entered, Order, Session};
use super::consent::Consent;
use super::measuring::{Aim, Measuring, require};
use super::recall::{Reading, Recall};
use super::submit::Registered;
use super::{Context, bundle, cosign, dry_run, licence, notes, sidecar, signers};
use crate::arguments::{FormArguments, RegisterArguments};
use crate::client::Client;
use crate::config::Overrides;
use crate::exit::{Exit, Failure};
use crate::interrupt;
use crate::printer::Printer;
use crate::remembered::Kind;
use crate::trust::Contact;
use crate::units;

/// The version of what states none.
const FIRST_VERSION: &str = "1";

/// What was registered, for the answer.
struct Outcome<'a> {
    path: &'a Path,
    form: &'a FormArguments,
    contact: &'a Contact,
    registered: &'a Registered,
    proven: &'a Proven,
    measured: &'a Measured,
    reading: &'a Reading,
    sidecar: Option<&'a Path>,
    bundle: &'a Path,
    bundle_size_bytes: u64,
}

/// Registers what is at a path, or what is on a list.
///
/// # Errors
/// Why it is not registered, or not proved to be; see `exit` for the codes.
pub(crate) fn run(context: &Context<'_>, mut arguments: RegisterArguments) -> Result<Exit, Failure> {
    let printer = context.printer;
    let overrides = Overrides { party: arguments.party.take(), trust: arguments.trust.take() };
    let settings = context.settings(overrides)?;
    interrupt::install(printer, context.command)?;
    if let Some(list) = arguments.from.take() {
        return bulk::run(context, settings, &arguments, &list);
    }

    // Everything that can be refused early is, before hours of hashing.
    cosign::check(&arguments.cosign)?;
    let consent = Consent::find(arguments.consent, &settings.url, printer)?;
    let mut order = order(&arguments, printer)?;
    sidecar::check(arguments.sidecar.as_deref())?;
    if consent != Consent::NotNeeded && arguments.cosign.sign_only.is_none() {
        bundle::check_replaceable(&order.out)?;
    }
    let session = Session::open(settings, &arguments.cosign)?;
    let Others { parents, supersedes, left } = others(&session, &mut order, &arguments, printer)?;

    let keep_subtrees = arguments.sidecar.is_some();
    let measuring = Measuring::start(arguments.engine, printer)?.keeping_subtrees(keep_subtrees);
    let (directories, is_wanted) = (&session.settings.directories, !arguments.no_cache);
    let recall = Recall { directories, kind: Kind::Cache, is_wanted };
    let (measured, reading) = recall.measure(&measuring, &order.path, Aim::register(&order.form), printer)?;
    // Before anything is signed, while another file can still be registered instead.
    notes::tell(printer, &measured.notes);
    let manifest = measured.manifest.to_canonical_bytes();
    let reference = ManifestRef::to(&measured.manifest);
    if !left.is_empty() {
        // Other bytes are another statement, which nobody has judged yet.
        order.accepts_conflict = match left.iter().find(|claim| claim.manifest == reference) {
            Some(claim) => claim.accepts_conflict,
            None => compatible(&session, &order.licence, &parents, arguments.accept_conflict, printer)?,
        };
    }
    let claim = Claim::Artefact(order.claim(&session.party, reference, parents, supersedes)?);
    let draft = session.draft(order.names.display(), &claim, &manifest);
    let signed = draft.signed(&session.settings.directories)?;
    if consent == Consent::NotNeeded {
        return dry_run::print(context, &signed, &session.contact.registry, &[]);
    }

    let public = answer::what_becomes_public(&signed.submission, session.party.name.display());
    consent.obtain(printer, &session.contact.registry.origin, &public)?;
    sidecar::write(arguments.sidecar.as_deref(), &measured, printer)?;
    if let Some(path) = &arguments.cosign.sign_only {
        let keys = signers::public_keys(&session.party, &session.signers);
        let at = (&session.client, &session.settings.directories);
        return cosign::write(context, &draft, path, at, keys, &[]);
    }
    session.contact.pin(&session.settings.directories, printer)?;
    printer.note(format!("sending the statement to {}", session.client.url()));
    let Entered { registered, proven, bundle_size_bytes } = session.enter(draft, signed, &order.out, printer)?;
    let end = answer::print(
        context,
        &Outcome {
            path: &order.path,
            form: &order.form,
            contact: &session.contact,
            registered: &registered,
            proven: &proven,
            measured: &measured,
            reading: &reading,
            sidecar: arguments.sidecar.as_deref(),
            bundle: &order.out,
            bundle_size_bytes,
        },
    );
    registered.forget();
    end
}

/// What the command line asks for, with what the path says about itself where it is silent.
fn order(arguments: &RegisterArguments, printer: &Printer) -> Result<Order, Failure> {
    let (Some(path), Some(licence)) = (&arguments.path, &arguments.licence) else {
        return Err(Failure::usage("name what to register, and its licence with --licence"));
    };
    require(path, &arguments.form)?;
    let defaults = Defaults::of(path)?;
    let names = names(arguments.names.clone().into(), &defaults)
        .map_err(|reason| Failure::usage(format!("the name: {reason}; give another with --name-en")))?;
    let version = arguments.artefact_version.clone().or_else(|| defaults.version.clone());
    let version = version.unwrap_or_else(|| FIRST_VERSION.to_owned());
    validate_name(&version).map_err(|reason| Failure::usage(format!("--version: {reason}")))?;
    let kind = arguments.kind.or(defaults.kind).unwrap_or(ArtefactKind::Model);
    if let Some(source) = defaults.source {
        let (name, kind) = (names.display(), bundle::kind_word(kind));
        printer.note(format!("by {source} and the options given: {name}, version {version}, {kind}"));
    }
    Ok(Order {
        path: path.clone(),
        form: arguments.form.clone(),
        names,
        version,
        kind,
        ip_type: arguments.ip_type,
        jurisdiction: arguments.jurisdiction.clone(),
        zone: arguments.zone,
        licence: licence.clone(),
        accepts_conflict: false,
        out: arguments.out.clone().unwrap_or_else(|| default_bundle(defaults.own_name.as_deref())),
    })
}

/// Other artefacts that a registration has to do with.
struct Others {
    /// What it was made from.
    parents: Vec<Parent>,
    /// What it takes the place of.
    supersedes: Option<StatementId>,
    /// What an earlier run left that may be the same registration.
    left: Vec<ArtefactClaim>,
}

/// Finds what the command line names, and refuses what would not be accepted whatever the bytes are.
fn others(
    session: &Session,
    order: &mut Order,
    arguments: &RegisterArguments,
    printer: &Printer,
) -> Result<Others, Failure> {
    let parents = parents(&session.client, arguments)?;
    let supersedes = arguments.supersedes.as_deref().map(|id| session.client.artefact(id)).transpose()?;
    let supersedes = supersedes.map(|earlier| earlier.artefact_id);
    // A manifest that stands in for the one to come.
    let unmeasured = ManifestRef { sha256: Sha256Digest::of(b""), files: 1, content_size_bytes: 0 };
    let claim = order.claim(&session.party, unmeasured, parents.clone(), supersedes)?;
    session.draft(order.names.display(), &Claim::Artefact(claim), &[]).check()?;
    // What an earlier run signed was judged then, and may be in the log though its answer got lost: it is sent again before
    // anything is judged anew.
    let left = session.left(order, &parents, supersedes)?;
    if left.is_empty() {
        order.accepts_conflict = compatible(session, &order.licence, &parents, arguments.accept_conflict, printer)?;
    }
    Ok(Others { parents, supersedes, left })
}

/// The names given, or else the thing's own.
fn names(given: Names, defaults: &Defaults) -> Result<Names, String> {
    let mut names = given;
    if names == Names::default() {
        names.en.clone_from(&defaults.name);
    }
    names.validate(validate_name).map_err(|error| error.reason)?;
    Ok(names)
}

fn default_bundle(own_name: Option<&str>) -> PathBuf {
    PathBuf::from(format!("{}.chop", own_name.unwrap_or("artefact")))
}

fn parents(client: &Client, arguments: &RegisterArguments) -> Result<Vec<Parent>, Failure> {
    let RegisterArguments { parents, relations, .. } = arguments;
    if relations.len() > 1 && relations.len() != parents.len() {
        return Err(Failure::usage("give --relation once for all parents, or once for each of them in the same order"));
    }
    let find = |(id, relation): (&String, &Relation)| {
        let source = parent_source(client, id)
            .map_err(|failure| Failure { message: format!("parent {id}: {}", failure.message), ..failure })?;
        Ok(Parent { relation: *relation, source })
    };
    parents.iter().zip(relations.iter().cycle()).map(find).collect()
}

/// What a parent is known by, as people name it: an id, or a digest of what is registered nowhere perhaps.
fn parent_source(client: &Client, id: &str) -> Result<ParentSource, Failure> {
    if let Some(digest) = id.strip_prefix("sha256:") {
        return digest.parse().map(ParentSource::Digest).map_err(|error| Failure::usage(format!("{error}")));
    }
    client.artefact(id).map(|parent| ParentSource::Artefact(parent.artefact_id))
}

/// Most conflicts named in a refusal.
const CONFLICTS_NAMED_MAX: usize = 5;

/// Whether the licence goes with those of the parents; what conflicts is accepted only by saying so, and then the claim
/// says so as well.
fn compatible(
    session: &Session,
    declared: &DeclaredLicence,
    parents: &[Parent],
    accept_conflict: bool,
    printer: &Printer,
) -> Result<bool, Failure> {
    if parents.is_empty() {
        return Ok(false);
    }
    let client = &session.client;
    let mut steps = Vec::new();
    for parent in parents {
        let source = match &parent.source {
            ParentSource::Artefact(id) => licence::Source::Registered(*id),
            ParentSource::Digest(digest) => match client.artefacts_with(digest, 1)?.first() {
                Some(first) => licence::Source::Registered(first.artefact_id),
                None => licence::Source::Unknown(format!("sha256:{digest}")),
            },
            ParentSource::Foreign(foreign) => {
                licence::Source::Unknown(format!("{}/{}", foreign.origin, foreign.artefact))
            }
        };
        steps.push((parent.relation.into(), source));
    }
    let own = licence::declared(client, declared)?;
    let today = Date::in_hong_kong(Timestamp::from(chrono::Utc::now()));
    let who = (Some(session.party.party_id), today);
    let verdict = licence::ancestry(Some(client), "this artefact", own, &steps, who)?.judge();
    let named = licence::conflicts(&verdict, CONFLICTS_NAMED_MAX);
    match verdict.verdict {
        Compatibility::Compatible => Ok(false),
        Compatibility::NeedsReview => {
            let points = units::count(units::length(verdict.reviews.len()), "point");
            printer.note(format!("licences: {points} to be decided by a person; `chopmark licence check` names them"));
            Ok(false)
        }
        Compatibility::Conflict if accept_conflict => {
            printer.note(format!("registered although its licence conflicts: {}", named.join("; ")));
            Ok(true)
        }
        Compatibility::Conflict => {
            let message = format!(
                "{} conflicts with the licences of what it was made from: {}; license it otherwise, or say that you accept \
                 that with --accept-conflict, which the record then shows",
                declared.expression,
                named.join("; ")
            );
            Err(Failure::new(Exit::Conflict, "licence_conflict", message))
        }
    }
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
    fn what_is_said_wins_over_what_the_path_says() {
        let own = |name: Option<&str>| Defaults { name: name.map(str::to_owned), ..Defaults::default() };
        assert_eq!(names(Names::default(), &own(Some("Lam-7B"))).unwrap().display(), "Lam-7B");
        let said = Names { zh_hant: Some("林".to_owned()), ..Names::default() };
        let given = names(said, &own(Some("Lam-7B"))).unwrap();
        assert_eq!((given.en, given.zh_hant.as_deref()), (None, Some("林")));
        assert!(names(Names::default(), &own(Some("a\u{202E}b"))).is_err());
        assert!(names(Names::default(), &own(None)).is_err());
        assert_eq!(default_bundle(Some("Lam-7B")), Path::new("Lam-7B.chop"));
        assert_eq!(default_bundle(None), Path::new("artefact.chop"));

        let directory = tempfile::tempdir().unwrap();
        let wheel = directory.path().join("x-1.2.3-py3-none-any.whl");
        std::fs::write(&wheel, "PK").unwrap();
        let printer = Printer::before_arguments();
        let mut asked = arguments("");
        asked.path = Some(wheel);
        let found = order(&asked, &printer).unwrap();
        assert_eq!((found.version.as_str(), found.kind), ("1.2.3", ArtefactKind::Software));
        (asked.artefact_version, asked.kind) = (Some("9".to_owned()), Some(ArtefactKind::Dataset));
        let found = order(&asked, &printer).unwrap();
        assert_eq!((found.version.as_str(), found.kind), ("9", ArtefactKind::Dataset));
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
