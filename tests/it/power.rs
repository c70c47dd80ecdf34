//! Power cuts: the service and its PostgreSQL are killed at random moments while statements come in. Whatever was
//! acknowledged is in the log afterwards, once, at its index and provable, and an audit finds nothing.
//!
//! The harness takes any binary and reports what it found, so that a build that acknowledges too early can show that the
//! harness finds that. `CHOPMARK_SOAK=1` kills five times as often, `CHOPMARK_SOAK=5` twenty-five times.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::note::VerifierKey;
use chopmark_core::ledger::proof::TlogProof;
use chopmark_core::ledger::tree::leaf_hash;
use chopmark_core::statement::{Envelope, StatementId};
use chopmark_core::submission::Submission;
use rustix::process::{Signal, kill_process};

use crate::harness::{Answer, Client, Home, Service, binary, place, soaked};
use crate::ledger::entries_of;
use crate::make::Random;
use crate::shared;

/// Clients that post all the time.
const CLIENTS: usize = 8;

/// Pause of a client after each statement: what is checked after a kill, one after the other, must not grow faster than
/// it is checked.
const PAUSE: Duration = Duration::from_millis(40);

/// Statements signed ahead, so that clients wait for the service and not for their own signatures.
const SIGNED_AHEAD: usize = 512;

/// Acknowledgements between one kill and the next: every kill comes in mid-load.
const BETWEEN_KILLS: usize = 20;

/// Longest time from a kill until the service takes statements again.
const READY_LIMIT: Duration = Duration::from_secs(5);

/// After this nothing is waited for any more.
const PATIENCE: Duration = Duration::from_mins(1);

/// Entries before the first client's: genesis, trust anchors, the party.
const FOUNDING: usize = 3;

/// What is killed.
#[derive(Debug, Clone, Copy)]
enum Kill {
    Service,
    Database,
}

/// So many kills of each, in an order that is the same in every run.
fn kills(service: usize, database: usize) -> Vec<Kill> {
    let mut all = [vec![Kill::Service; service], vec![Kill::Database; database]].concat();
    let mut random = Random::new(9);
    for position in (1..all.len()).rev() {
        all.swap(position, random.below(position + 1));
    }
    all
}

/// What is wrong with a binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    /// A statement was acknowledged and is not in the log, or not where it was said to be.
    Lost,
    /// A statement is in the log more than once, or without anybody having been told.
    Doubled,
    /// A receipt does not prove that the statement is in the log.
    Unproven,
    /// An answer that an honest statement must never get, or none at all.
    Refused,
    /// Not ready in time.
    Slow,
    /// The audit found something.
    Unclean,
}

type Finding = (Wrong, String);

/// What a run found when nothing is wrong.
struct Survived {
    acknowledged: usize,
    /// Longest time from a kill until the service was ready.
    slowest: Duration,
}

struct Signed {
    id: StatementId,
    leaf: Sha256Digest,
    request: Vec<u8>,
}

impl From<Submission> for Signed {
    fn from(submission: Submission) -> Self {
        let request = submission.to_request();
        Self { id: submission.statement.id, leaf: leaf_hash(&submission.entry), request }
    }
}

/// A statement that was acknowledged, and where it was said to be.
struct Acknowledged {
    id: StatementId,
    leaf: Sha256Digest,
    index: Option<u64>,
}

/// What clients, checks and kills share.
struct Load {
    /// Whom to talk to: a restarted service listens elsewhere.
    client: RwLock<Client>,
    log_key: VerifierKey,
    acknowledged: Mutex<Vec<Acknowledged>>,
    findings: Mutex<Vec<Finding>>,
    /// Clients finish the statement at hand and go.
    is_over: AtomicBool,
}

impl Load {
    fn client(&self) -> Client {
        self.client.read().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    fn has_lost(&self) -> bool {
        self.findings.lock().unwrap().iter().any(|(wrong, _)| *wrong == Wrong::Lost)
    }

    fn report(&self, wrong: Wrong, what: impl Into<String>) {
        self.findings.lock().unwrap().push((wrong, what.into()));
    }

    /// Posts one statement after another. Whoever gets no answer sends the same again, as clients should: so in the end
    /// every statement is acknowledged, and none may be in the log twice.
    fn post_until_over(&self, statements: &Mutex<Receiver<Signed>>) {
        while !self.is_over.load(Ordering::SeqCst) {
            let next = statements.lock().unwrap().recv();
            let Ok(signed) = next else { return };
            let begun = Instant::now();
            while !self.is_acknowledged(&signed) {
                if begun.elapsed() > PATIENCE {
                    self.report(Wrong::Refused, format!("{}: not acknowledged in {PATIENCE:?}", signed.id));
                    break;
                }
                thread::sleep(Duration::from_millis(5));
            }
            thread::sleep(PAUSE);
        }
    }

    fn is_acknowledged(&self, signed: &Signed) -> bool {
        // A connection that breaks is what this is about.
        let Ok(answer) = self.client().try_post(&signed.request, "application/json") else { return false };
        match answer.status {
            200 | 201 => {
                let proven = self.proven_index(&answer, signed.leaf);
                if let Err(reason) = &proven {
                    self.report(Wrong::Unproven, format!("{} as acknowledged: {reason}", signed.id));
                }
                let said = Acknowledged { id: signed.id, leaf: signed.leaf, index: proven.ok() };
                self.acknowledged.lock().unwrap().push(said);
                true
            }
            503 => false,
            _ => {
                self.report(Wrong::Refused, format!("{}: {} {}", signed.id, answer.status, answer.text()));
                true
            }
        }
    }

    /// The index in a receipt whose proof leads from this leaf to a checkpoint of the log key.
    fn proven_index(&self, answer: &Answer, leaf: Sha256Digest) -> Result<u64, String> {
        let receipt = answer.json();
        let proof = receipt["proof"].as_str().ok_or_else(|| format!("no proof in {receipt}"))?;
        let proof: TlogProof = proof.parse().map_err(|error| format!("{error}"))?;
        proof.verify(leaf, core::slice::from_ref(&self.log_key)).map_err(|error| error.to_string())?;
        if receipt["index"] != proof.index() {
            return Err(format!("the proof is for entry {}: {receipt}", proof.index()));
        }
        Ok(proof.index())
    }

    /// Every statement acknowledged from the `first` on is in the log, at its index, with a proof. Returns how many
    /// were acknowledged so far.
    fn check_receipts_from(&self, first: usize) -> usize {
        let client = self.client();
        let since: Vec<_> =
            self.acknowledged.lock().unwrap()[first..].iter().map(|said| (said.id, said.leaf, said.index)).collect();
        for (id, leaf, index) in &since {
            let answer = match client.try_get(&format!("/v1/statements/{id}/receipt")) {
                Ok(answer) => answer,
                Err(error) => {
                    self.report(Wrong::Refused, format!("{id}: no receipt: {error}"));
                    continue;
                }
            };
            match answer.status {
                200 => match self.proven_index(&answer, *leaf) {
                    Ok(found) if index.is_none_or(|index| index == found) => {}
                    Ok(found) => self.report(Wrong::Lost, format!("{id}: said to be at {index:?}, is at {found}")),
                    Err(reason) => self.report(Wrong::Unproven, format!("{id}: {reason}")),
                },
                404 => self.report(Wrong::Lost, format!("{id}: acknowledged at {index:?} and gone after a kill")),
                _ => self.report(Wrong::Refused, format!("{id}: {} {}", answer.status, answer.text())),
            }
        }
        first + since.len()
    }

    /// Reads the whole log: it holds what was acknowledged, each once and at its index, and nothing else.
    fn check_entries(&self, entries: &[Vec<u8>]) {
        let mut places = BTreeMap::<StatementId, u64>::new();
        for (index, entry) in (0..).zip(entries) {
            let id = Envelope::parse(entry).unwrap().statement_id();
            if let Some(before) = places.insert(id, index) {
                self.report(Wrong::Doubled, format!("{id} is entry {before} and entry {index}"));
            }
        }
        let acknowledged = self.acknowledged.lock().unwrap();
        for Acknowledged { id, index, .. } in acknowledged.iter() {
            let found = places.get(id);
            if found.is_none() || index.is_some_and(|index| found != Some(&index)) {
                self.report(Wrong::Lost, format!("{id}: acknowledged at {index:?}, in the end at {found:?}"));
            }
        }
        if entries.len() > FOUNDING + acknowledged.len() {
            let what = format!("{} entries for {} acknowledged statements", entries.len(), acknowledged.len());
            self.report(Wrong::Doubled, what);
        }
    }
}

/// Every entry there is, from the bundles that readers get.
pub fn entries(client: &Client) -> Vec<Vec<u8>> {
    const WIDTH: u64 = 256;
    let size = client.get("/v1/registry").json()["size"].as_u64().unwrap();
    let full = (0..size / WIDTH).map(|tile| format!("/tile/entries/{tile:03}"));
    let partial =
        (!size.is_multiple_of(WIDTH)).then(|| format!("/tile/entries/{:03}.p/{}", size / WIDTH, size % WIDTH));
    full.chain(partial).flat_map(|path| entries_of(&client.get(&path).body)).collect()
}

/// Waits for something; whether it came.
pub fn comes(within: Duration, condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + within;
    while Instant::now() < deadline {
        if condition() {
            return true;
        }
        thread::sleep(Duration::from_millis(2));
    }
    false
}

/// Kills once, gets the service going again where it can't do so itself, and waits until it is ready.
fn kill_and_wait(program: &Path, place: &Path, service: Service, load: &Load, kill: Kill) -> Result<Service, Finding> {
    let slow = |what: String| (Wrong::Slow, what);
    let (service, before) = match kill {
        Kill::Service => {
            service.kill();
            // The PostgreSQL it left behind is found and taken over.
            let next = Service::try_start_program(program, place, "data", &[]);
            let next = next.map_err(|ran| slow(format!("it does not start again: {ran:?}")))?;
            *load.client.write().unwrap() = next.client();
            (next, None)
        }
        Kill::Database => {
            let before = service.postgres();
            kill_process(before.ok_or_else(|| slow("there is no PostgreSQL".to_owned()))?, Signal::KILL).unwrap();
            (service, before)
        }
    };
    let is_ready = || {
        let is_new = before.is_none() || service.postgres().is_some_and(|now| Some(now) != before);
        is_new && service.try_get("/readyz").is_ok_and(|answer| answer.status == 200)
    };
    if comes(PATIENCE, is_ready) {
        return Ok(service);
    }
    Err(slow(format!("it does not get ready in {PATIENCE:?}: {}", service.errors())))
}

/// One kill after another, everything checked after each. Returns the service, if it still runs, and the longest time
/// until it was ready.
fn kill_all(
    program: &Path,
    place: &Path,
    service: Service,
    load: &Load,
    kills: &[Kill],
) -> (Option<Service>, Duration) {
    let (mut service, mut slowest, mut checked) = (service, Duration::ZERO, 0);
    let mut random = Random::new(10);
    for (number, kill) in kills.iter().enumerate() {
        let before = load.count();
        if !comes(PATIENCE, || load.count() >= before + BETWEEN_KILLS) {
            load.report(Wrong::Refused, format!("nothing is acknowledged any more before kill {number}"));
            break;
        }
        thread::sleep(Duration::from_millis(random.next() % 150));
        let begun = Instant::now();
        service = match kill_and_wait(program, place, service, load, *kill) {
            Ok(service) => service,
            Err((wrong, what)) => {
                load.report(wrong, what);
                return (None, slowest);
            }
        };
        let took = begun.elapsed();
        if took > READY_LIMIT {
            load.report(Wrong::Slow, format!("ready {took:?} after kill {number} ({kill:?})"));
        }
        slowest = slowest.max(took);
        checked = load.check_receipts_from(checked);
        // What is lost stays lost; more kills would say nothing more. Anything else may still lead to a loss.
        if load.has_lost() {
            break;
        }
    }
    (Some(service), slowest)
}

/// Says that it is over when it goes, so that no client goes on while a failure unwinds.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The harness: load from several clients, one kill after another, everything checked after each and at the end. Ends
/// after the first kill that loses something.
fn survive(program: &Path, kills: &[Kill]) -> Result<Survived, Vec<Finding>> {
    // Runs beside each other would measure each other's load.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = place();
    let service = Service::try_start_program(program, place.path(), "data", &[])
        .unwrap_or_else(|ran| panic!("the service did not start: {ran:?}"));
    let author = shared::author(&service, "power cuts");
    let load = Load {
        client: RwLock::new(service.client()),
        log_key: shared::registry(&service).1,
        acknowledged: Mutex::default(),
        findings: Mutex::default(),
        is_over: AtomicBool::new(false),
    };
    let (service, slowest) = thread::scope(|scope| {
        let _over = Over(&load.is_over);
        let (signed, statements) = sync_channel(SIGNED_AHEAD);
        scope.spawn(|| {
            let signed = signed;
            let mut all = (0..).map(|number| Signed::from(author.artefact(&format!("power cut {number}"))));
            // Ends when the last client is gone.
            all.try_for_each(|next| signed.send(next)).unwrap_err();
        });
        let statements = Arc::new(Mutex::new(statements));
        for _ in 0..CLIENTS {
            let (load, statements) = (&load, Arc::clone(&statements));
            scope.spawn(move || load.post_until_over(&statements));
        }
        kill_all(program, place.path(), service, &load, kills)
    });
    if let Some(service) = service {
        load.check_receipts_from(0);
        load.check_entries(&entries(&service.client()));
        service.stop();
        let (code, audit) = Home::new().json(&["audit", "--data-dir", place.path().join("data").to_str().unwrap()]);
        if (code, audit["state"].as_str(), audit["outside_roots"].as_u64()) != (0, Some("clean"), Some(1)) {
            load.report(Wrong::Unclean, audit.to_string());
        }
    }
    let findings = load.findings.into_inner().unwrap();
    if findings.is_empty() {
        Ok(Survived { acknowledged: load.acknowledged.into_inner().unwrap().len(), slowest })
    } else {
        Err(findings)
    }
}

#[test]
fn nothing_that_was_acknowledged_is_lost_when_service_and_database_are_killed() {
    let (service, database) = (soaked(20, 100), soaked(10, 50));
    let survived = survive(&binary(), &kills(service, database)).unwrap_or_else(|findings| panic!("{findings:#?}"));
    println!(
        "{} acknowledged statements survived {service} kills of the service and {database} of PostgreSQL, none missing, \
         none doubled, audit clean; ready again after {:?} at most",
        survived.acknowledged, survived.slowest
    );
    assert!(survived.acknowledged >= BETWEEN_KILLS * (service + database));
}

/// The same harness must find out a service that acknowledges before it commits; otherwise it proves nothing above.
#[test]
fn a_service_that_acknowledges_before_it_commits_is_found_out() {
    let control = binary().with_file_name("chopmark-control");
    assert!(control.is_file(), "{} is missing; `make test` builds it, so run that", control.display());
    // As many kills as above: it ends with the first that loses something, but no single kill is sure to hit one of the
    // moments between an answer and its commit.
    let Err(findings) = survive(&control, &kills(20, 10)) else { panic!("the control lost nothing") };
    let lost = findings.iter().filter(|(wrong, _)| *wrong == Wrong::Lost).count();
    println!("the control build is found out: {lost} of {} findings are lost statements", findings.len());
    assert!(lost > 0, "{findings:#?}");
}
