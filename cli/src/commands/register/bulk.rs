//! `chopmark register --from LIST`: everything on a list, several statements on their way at a time, one report.
//!
//! The list is checked whole before anything is sent. One thread measures and signs, row after row; others send, prove
//! and write, so that the registry can take many into one batch. Each finished row is written to a journal, and a
//! statement is on disk before it is sent, so that a run that was cut short goes on where it was.

mod list;
mod named;
mod report;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::thread;

use chopmark_core::artefact::{ArtefactClaim, ManifestRef, Parent, ParentSource};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::kind::Claim;
use chopmark_core::statement::StatementId;
use chopmark_gpu_verify::Measured;
use serde_json::{Value, json};

use self::list::{Fault, List, ListError, Row, Source};
use self::named::Unresolved;
use self::report::{End, Facts};
use super::session::{Entered, Session};
use crate::arguments::RegisterArguments;
use crate::commands::consent::Consent;
use crate::commands::journal::{self, Finished, Journal};
use crate::commands::measuring::{Aim, Measuring};
use crate::commands::recall::{Reading, Recall};
use crate::commands::submit::Signed;
use crate::commands::{Context, bundle, dry_run, notes, output};
use crate::config::Settings;
use crate::exit::{Exit, Failure};
use crate::files::{self, Access};
use crate::printer::{Printer, Report};
use crate::remembered::Kind;

/// Most statements on their way at a time: enough to fill a batch, few enough to be one client among many.
const IN_FLIGHT_MAX: usize = 16;

/// How often a row is tried at a service that asks for patience, each time with all the client's own patience.
const ATTEMPTS_MAX: u32 = 5;

/// Most names shown before consent; the list itself has all.
const NAMES_SHOWN_MAX: usize = 10;

/// Registers what is on the list.
///
/// # Errors
/// Why nothing was tried: the list, the keys, the registry, or no consent. What became of rows is in the report.
pub(super) fn run(
    context: &Context<'_>,
    settings: Settings,
    arguments: &RegisterArguments,
    path: &Path,
) -> Result<Exit, Failure> {
    let printer = context.printer;
    let consent = Consent::find(arguments.consent, &settings.url, printer)?;
    let list = match List::read(path) {
        Ok(list) => list,
        Err(ListError::Unreadable(failure)) => return Err(failure),
        Err(ListError::Faults(faults)) => return refuse(context, path, &faults),
    };
    let report = arguments.report.clone().unwrap_or_else(|| path.with_extension("report.json"));
    if consent != Consent::NotNeeded {
        output::check_document(&report)?;
    }
    let session = Session::open(settings, &arguments.cosign)?;
    let known = match named::resolve(&session, &list.rows) {
        Ok(known) => known,
        Err(Unresolved::Fault(fault)) => return refuse(context, path, &[fault]),
        Err(Unresolved::Failure(failure)) => return Err(failure),
    };
    let measuring = Measuring::start(arguments.engine, printer)?.brief();
    let is_cache_wanted = !arguments.no_cache;
    let mut run =
        Run { context, session: &session, list: &list, known: &known, measuring: &measuring, is_cache_wanted };
    if consent == Consent::NotNeeded {
        return run.dry();
    }
    consent.obtain(printer, &session.contact.registry.origin, &what_becomes_public(&session, &list))?;
    session.contact.pin(&session.settings.directories, printer)?;
    let journal = Mutex::new(Journal::open(report.with_extension("rows.jsonl"))?);
    let ends = run.all(&journal)?;
    report::finish(context, path, &report, &list.rows, &ends)
}

/// Says what is wrong with the list; nothing was sent.
fn refuse(context: &Context<'_>, path: &Path, faults: &[Fault]) -> Result<Exit, Failure> {
    let told = faults.iter().take(NAMES_SHOWN_MAX).map(|Fault { line, pointer, reason }| {
        let place = if pointer.is_empty() { String::new() } else { format!(", {pointer}") };
        format!("row {line}{place}: {reason}")
    });
    let mut told: Vec<String> = told.collect();
    if let Some(left) = faults.len().checked_sub(NAMES_SHOWN_MAX).filter(|left| *left > 0) {
        told.push(format!("and {left} more"));
    }
    let message =
        format!("{} can't be registered as it stands; nothing was sent\n  {}", path.display(), told.join("\n  "));
    let failure = Failure::new(Exit::Usage, "list", message);
    if !context.printer.is_json() {
        return Err(failure);
    }
    let faults: Vec<Value> = faults
        .iter()
        .map(|Fault { line, pointer, reason }| json!({ "row": line, "pointer": pointer, "reason": reason }))
        .collect();
    let members = json!({ "error": failure.to_json(), "faults": faults });
    context.printer.result(context.command, Exit::Usage, members, &Report::default())
}

fn what_becomes_public(session: &Session, list: &List) -> Vec<String> {
    let mut lines = vec![format!("who       {}", session.party.name.display())];
    for row in list.rows.iter().take(NAMES_SHOWN_MAX) {
        let (names, version, licence) = (&row.order.names, &row.order.version, &row.order.licence.expression);
        lines.push(format!("what      {}, version {version}, {licence}", names.display()));
    }
    if let Some(left) = list.rows.len().checked_sub(NAMES_SHOWN_MAX).filter(|left| *left > 0) {
        lines.push(format!("          and {left} more, as the list says"));
    }
    lines.push("files     the names, sizes and digests of all files of these, and of their tensors".to_owned());
    lines.push("not sent  the content of any file".to_owned());
    lines
}

/// A row that is measured and signed.
struct Job {
    place: usize,
    claim: Claim,
    manifest: Vec<u8>,
    signed: Signed,
    facts: (Value, Value),
    finished: (Sha256Digest, Option<Sha256Digest>),
}

/// What the parts of one run share.
#[derive(Clone, Copy)]
struct Run<'a> {
    context: &'a Context<'a>,
    session: &'a Session,
    list: &'a List,
    known: &'a BTreeMap<String, ParentSource>,
    measuring: &'a Measuring<'a>,
    /// Whether unchanged files need not be read again.
    is_cache_wanted: bool,
}

impl Run<'_> {
    /// Works through the list; one end for each row, in the order of rows.
    fn all(&mut self, journal: &Mutex<Journal>) -> Result<Vec<End>, Failure> {
        let rows = &self.list.rows;
        let (jobs, queue) = mpsc::sync_channel::<Job>(0);
        let queue = Mutex::new(queue);
        let (outcomes, finished) = mpsc::channel();
        let run = *self;
        thread::scope(|scope| {
            // Fewer threads than wanted are no reason to fail, but one there has to be.
            let started = (0..IN_FLIGHT_MAX.min(rows.len()))
                .filter(|_| {
                    let (queue, outcomes) = (&queue, outcomes.clone());
                    let work = move || run.work(queue, &outcomes, journal);
                    thread::Builder::new().name("send".to_owned()).spawn_scoped(scope, work).is_ok()
                })
                .count();
            if started == 0 {
                return Err(Failure::internal("the operating system gives no threads"));
            }
            drop(outcomes);
            let progress = Progress { printer: run.context.printer, rows, done: 0 };
            let mut ends = Ends { all: rows.iter().map(|_| None).collect(), in_flight: 0, is_stopped: false, progress };
            let fed = run.feed(&jobs, &finished, &mut ends, journal);
            // Nothing more comes: the threads end when they are done with what they have.
            drop(jobs);
            fed?;
            Ok(ends.all.into_iter().map(|end| end.unwrap_or(End::NotTried)).collect())
        })
    }

    /// Measures and signs what can be, and takes in what others finish, until nothing is left.
    fn feed(
        &self,
        jobs: &SyncSender<Job>,
        finished: &Receiver<(usize, End)>,
        ends: &mut Ends<'_>,
        journal: &Mutex<Journal>,
    ) -> Result<(), Failure> {
        let mut left = self.list.order.clone();
        loop {
            while let Ok((place, end)) = finished.try_recv() {
                ends.arrived(place, end);
            }
            let next = if ends.is_stopped { None } else { left.iter().position(|place| self.is_ready(*place, ends)) };
            let Some(at) = next else {
                if ends.in_flight == 0 {
                    return Ok(());
                }
                // Whoever has a job answers for it.
                if let Ok((place, end)) = finished.recv() {
                    ends.arrived(place, end);
                }
                continue;
            };
            let place = left.remove(at);
            match self.prepare(place, ends, journal) {
                Ok(Prepared::Job(job)) => {
                    ends.in_flight += 1;
                    jobs.send(*job).map_err(|_| Failure::internal("the threads that send are gone"))?;
                }
                Ok(Prepared::End(end)) => ends.ended(place, end),
                Err(failure) if failure.exit == Exit::Interrupted => return Err(failure),
                Err(failure) => ends.ended(place, End::Failed(failure)),
            }
        }
    }

    /// Whether everything that a row needs has ended, well or badly.
    fn is_ready(&self, place: usize, ends: &Ends<'_>) -> bool {
        let is_ended = |place: usize| ends.all.get(place).is_some_and(Option::is_some);
        self.list.rows.get(place).is_some_and(|row| row.needs().all(is_ended))
    }

    fn row(&self, place: usize) -> Result<&Row, Failure> {
        self.list.rows.get(place).ok_or_else(|| Failure::internal("a row is missing"))
    }

    /// Recognises a finished row, or measures and signs it.
    fn prepare(&self, place: usize, ends: &Ends<'_>, journal: &Mutex<Journal>) -> Result<Prepared, Failure> {
        let row = self.row(place)?;
        let artefact = |needed: usize| ends.all.get(needed).and_then(Option::as_ref).and_then(End::artefact);
        if let Some(needed) = row.needs().find(|needed| artefact(*needed).is_none()) {
            let line = self.row(needed)?.line;
            let message = format!("row {line}, which it refers to, is not registered");
            let exit = ends.all.get(needed).and_then(Option::as_ref).map_or(Exit::CouldNotCheck, End::exit);
            return Ok(Prepared::End(End::Failed(Failure::new(exit, "row_not_registered", message))));
        }
        let (parents, supersedes) = self.references(row, &artefact)?;
        let files = journal::look(row.order.form.manifest.as_deref().unwrap_or(&row.order.path));
        let key = self.key(row, &parents, supersedes);
        let known = lock(journal).find(&key).filter(|known| Some(known.files) == files).cloned();
        if let Some(facts) = known.and_then(|known| self.recognised(row, &known)) {
            return Ok(Prepared::End(End::Already(facts)));
        }
        let (measured, reading, claim) = self.measure(row, parents, supersedes)?;
        let manifest = measured.manifest.to_canonical_bytes();
        let facts = (manifest_facts(&claim), found(&measured, &reading));
        let claim = Claim::Artefact(claim);
        let draft = self.session.draft(row.order.names.display(), &claim, &manifest);
        let signed = draft.signed(&self.session.settings.directories)?;
        Ok(Prepared::Job(Box::new(Job { place, claim, manifest, signed, facts, finished: (key, files) })))
    }

    fn measure(
        &self,
        row: &Row,
        parents: Vec<Parent>,
        supersedes: Option<StatementId>,
    ) -> Result<(Measured, Reading, ArtefactClaim), Failure> {
        let directories = &self.session.settings.directories;
        let recall = Recall { directories, kind: Kind::Cache, is_wanted: self.is_cache_wanted };
        let aim = Aim::register(&row.order.form);
        let (measured, reading) = recall.measure(self.measuring, &row.order.path, aim, self.context.printer)?;
        let claim = row.order.claim(&self.session.party, ManifestRef::to(&measured.manifest), parents, supersedes)?;
        Ok((measured, reading, claim))
    }

    /// Parents and predecessor of a row, by what `artefact` knows of the rows that it names.
    fn references(
        &self,
        row: &Row,
        artefact: &impl Fn(usize) -> Option<StatementId>,
    ) -> Result<(Vec<Parent>, Option<StatementId>), Failure> {
        let find = |source: &Source| match source {
            Source::Row(place) => artefact(*place).map(ParentSource::Artefact),
            Source::Id(id) => self.known.get(id).cloned(),
        };
        let missing = || Failure::internal("what a row refers to got lost");
        let mut parents = Vec::with_capacity(row.parents.len());
        for (relation, source) in &row.parents {
            parents.push(Parent { relation: *relation, source: find(source).ok_or_else(missing)? });
        }
        let supersedes = match &row.supersedes {
            None => None,
            Some(source) => match find(source).ok_or_else(missing)? {
                ParentSource::Artefact(id) => Some(id),
                ParentSource::Digest(_) | ParentSource::Foreign(_) => return Err(missing()),
            },
        };
        Ok((parents, supersedes))
    }

    /// What a row says, for whom and where: under this it is found in the journal.
    fn key(&self, row: &Row, parents: &[Parent], supersedes: Option<StatementId>) -> Sha256Digest {
        let registry = self.session.contact.registry.genesis;
        let rest = format!("{registry}\n{}\n{parents:?}\n{supersedes:?}\n", self.session.party.party_id);
        Sha256Digest::of_parts(&[rest.as_bytes(), &row.text])
    }

    /// What the bundle of a finished row proves, if it is still there.
    fn recognised(&self, row: &Row, known: &Finished) -> Option<Facts> {
        let proven = bundle::open(&row.order.out, &self.session.contact.trust).ok()?;
        (proven.statement.id == known.statement_id).then(|| Facts {
            artefact_id: known.statement_id,
            index: proven.index,
            manifest: manifest_facts(&proven.artefact),
            found: Value::Null,
            is_resumed: false,
        })
    }

    /// Sends what is signed until nothing more comes.
    fn work(&self, queue: &Mutex<Receiver<Job>>, outcomes: &Sender<(usize, End)>, journal: &Mutex<Journal>) {
        loop {
            let Ok(job) = lock(queue).recv() else { return };
            let place = job.place;
            let end = self.enter(job, journal).unwrap_or_else(End::Failed);
            // Nobody listens any more when the run was interrupted; the journal has it.
            let _ = outcomes.send((place, end));
        }
    }

    fn enter(&self, job: Job, journal: &Mutex<Journal>) -> Result<End, Failure> {
        let row = self.row(job.place)?;
        let Job { claim, manifest, mut signed, facts, finished, .. } = job;
        let draft = self.session.draft(row.order.names.display(), &claim, &manifest);
        let printer = self.context.printer.quieted();
        let is_resumed = signed.is_resumed;
        let mut attempt = 1;
        let end = loop {
            match self.session.enter(draft, signed, &row.order.out, &printer) {
                Ok(Entered { registered, proven, .. }) => {
                    let (artefact_id, index) = (proven.statement.id, proven.index);
                    let (manifest, found) = facts;
                    let facts = Facts { artefact_id, index, manifest, found, is_resumed };
                    // Before the journal: what that has is not looked for any more among statements on their way.
                    registered.forget();
                    break End::Registered(facts);
                }
                Err(failure) if failure.asks_for_patience() && attempt < ATTEMPTS_MAX => {
                    attempt += 1;
                    signed = draft.signed(&self.session.settings.directories)?;
                }
                Err(failure) => match failure.existing() {
                    Some(id) => break End::Already(self.fetched(row, &claim, id, failure, facts.1)?),
                    None => return Err(failure),
                },
            }
        };
        if let (Some(artefact_id), (key, Some(files))) = (end.artefact(), finished) {
            lock(journal).add(Finished { row: key, files, statement_id: artefact_id })?;
        }
        Ok(end)
    }

    /// Takes what the registry holds already for the row's own registration, if it says just the same.
    fn fetched(
        &self,
        row: &Row,
        claim: &Claim,
        id: StatementId,
        failure: Failure,
        found: Value,
    ) -> Result<Facts, Failure> {
        let (bytes, proven) = bundle::fetch(&self.session.client, &id, &self.session.contact.trust)?;
        if *claim != Claim::Artefact(proven.artefact.clone())
            || proven.statement.issuer() != self.session.party.party_id
        {
            return Err(failure);
        }
        let out = &row.order.out;
        files::replace(out, &bytes, Access::Shared).map_err(|error| Failure::file("write", out, &error))?;
        let manifest = manifest_facts(&proven.artefact);
        Ok(Facts { artefact_id: id, index: proven.index, manifest, found, is_resumed: false })
    }

    /// Shows every byte that would be sent, row after row; rows that name others get the ids of what was just signed.
    fn dry(&self) -> Result<Exit, Failure> {
        let registry = &self.session.contact.registry;
        let mut ids: BTreeMap<usize, StatementId> = BTreeMap::new();
        let (mut rows, mut report, mut public_size_bytes) = (Vec::new(), Report::default(), 0);
        for place in &self.list.order {
            let row = self.row(*place)?;
            let (parents, supersedes) = self.references(row, &|place| ids.get(&place).copied())?;
            let (measured, _, claim) = self.measure(row, parents, supersedes)?;
            let (claim, manifest) = (Claim::Artefact(claim), measured.manifest.to_canonical_bytes());
            let draft = self.session.draft(row.order.names.display(), &claim, &manifest);
            let signed = draft.signed(&self.session.settings.directories)?;
            ids.insert(*place, signed.submission.statement.id);
            let shown = report.line(format!("# Row {}: {}", row.line, row.order.path.display()));
            let (mut members, more, size_bytes) = dry_run::describe(&signed, registry, shown);
            (report, public_size_bytes) = (more, public_size_bytes + size_bytes);
            if let Value::Object(members) = &mut members {
                members.insert("row".to_owned(), row.line.into());
            }
            rows.push(members);
        }
        let members = json!({
            "dry_run": true,
            "registry": { "origin": registry.origin, "genesis": registry.genesis },
            "rows": rows,
            "public_size_bytes": public_size_bytes,
        });
        self.context.done(members, &dry_run::headline(report, public_size_bytes))
    }
}

/// What preparing a row comes to.
enum Prepared {
    Job(Box<Job>),
    End(End),
}

/// What became of the rows so far.
struct Ends<'a> {
    all: Vec<Option<End>>,
    in_flight: usize,
    /// The service is not there any more: nothing further is begun.
    is_stopped: bool,
    progress: Progress<'a>,
}

impl Ends<'_> {
    /// A row that was on its way is back.
    fn arrived(&mut self, place: usize, end: End) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.ended(place, end);
    }

    fn ended(&mut self, place: usize, end: End) {
        if let End::Failed(failure) = &end {
            self.is_stopped |= failure.exit == Exit::Network;
        }
        self.progress.row(place, &end);
        if let Some(slot) = self.all.get_mut(place) {
            *slot = Some(end);
        }
    }
}

/// One line for each row that ends.
struct Progress<'a> {
    printer: &'a Printer,
    rows: &'a [Row],
    done: usize,
}

impl Progress<'_> {
    fn row(&mut self, place: usize, end: &End) {
        self.done += 1;
        let Some(row) = self.rows.get(place) else { return };
        let what = match end {
            End::Registered(facts) => format!("registered as {}", facts.artefact_id.shown("art")),
            End::Already(facts) => format!("is {} already", facts.artefact_id.shown("art")),
            End::Failed(failure) => format!("failed: {failure}"),
            End::NotTried => return,
        };
        let (done, rows) = (self.done, self.rows.len());
        self.printer.note(format!("{done} of {rows}  row {}  {}  {what}", row.line, row.order.path.display()));
    }
}

fn manifest_facts(claim: &ArtefactClaim) -> Value {
    json!({
        "sha256": claim.manifest.sha256,
        "files": claim.manifest.files,
        "content_size_bytes": claim.manifest.content_size_bytes,
    })
}

fn found(measured: &Measured, reading: &Reading) -> Value {
    let (read_size_bytes, recalled) = reading.members();
    let (excluded, notes) = (&measured.excluded, notes::members(&measured.notes));
    json!({ "excluded": excluded, "notes": notes, "read_size_bytes": read_size_bytes, "recalled": recalled })
}

/// Locks what another thread may have left in a panic: what is behind is whole between two operations.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
