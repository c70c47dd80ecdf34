//! Several replicas on one PostgreSQL: any of them enters statements, one signs; one of them is frozen, killed or has no
//! key. Whatever happens there is one log: one root per size, and every acknowledged statement at its index.
//!
//! `CHOPMARK_SOAK=1` freezes ten times as often.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::checkpoint::{Checkpoint, open_checkpoint};
use chopmark_core::ledger::edge::Edge;
use chopmark_core::ledger::note::VerifierKey;
use chopmark_core::ledger::tree::leaf_hash;
use chopmark_core::statement::StatementId;
use chopmark_core::submission::Submission;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::admission::expect;
use crate::harness::{Client, Home, Service, place, soaked, sql};
use crate::make::{Author, Random};
use crate::metrics::Scrape;
use crate::power::{comes, entries};
use crate::shared::{self, check_receipt, enter};

/// After this nothing is waited for any more.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// What a service that was frozen while a request arrived says of it: it took longer than a request may.
const TOO_LATE: u16 = 408;

/// Clients that post all the time, to one replica after the other.
const CLIENTS: usize = 6;

/// Acknowledgements between one freeze and the next.
const BETWEEN_FREEZES: usize = 20;

/// A registry in a database that outlives its replicas: the PostgreSQL is that of a service that has nothing to do with
/// them.
pub struct Shared {
    host: Service,
    pub url: String,
    pub place: TempDir,
}

impl Shared {
    /// Founds the registry; its keys are in `place/first`.
    pub fn found() -> Self {
        let place = place();
        let host = Service::try_start(place.path(), "host", &[]).unwrap();
        host.sql("CREATE DATABASE replicas").unwrap();
        let url = format!("{}/replicas", host.database_url().strip_suffix("/chopmark").unwrap());
        let directory = place.path().join("first");
        let init = ["ledger", "init", "--data-dir", directory.to_str().unwrap(), "--database-url", &url];
        let (code, founded) = Home::new().json(&init);
        assert_eq!(code, 0, "{founded}");
        Self { host, url, place }
    }

    /// Starts a replica in a directory of this name.
    pub fn replica(&self, name: &str) -> Service {
        Service::try_start(self.place.path(), name, &["--database-url", &self.url, "--metrics-listen", "127.0.0.1:0"])
            .unwrap_or_else(|ran| panic!("{name} did not start: {ran:?}"))
    }

    /// One more on the machine of the first: the same keys, the same mark.
    pub fn beside(&self, name: &str) -> Service {
        symlink(self.place.path().join("first"), self.place.path().join(name)).unwrap();
        self.replica(name)
    }

    pub fn sql(&self, statements: &str) -> String {
        sql(&self.url, statements).unwrap()
    }

    /// Everything recomputed from the rows, compared with the mark.
    pub fn audit(&self) {
        let directory = self.place.path().join("first");
        let audit = ["audit", "--data-dir", directory.to_str().unwrap(), "--database-url", &self.url];
        let (code, audit) = Home::new().json(&audit);
        assert_eq!((code, audit["state"].as_str()), (0, Some("clean")), "{audit}");
    }

    pub fn stop(self) {
        self.host.stop();
    }
}

fn signs(client: &Client) -> Option<bool> {
    let answer = client.get("/readyz");
    (answer.status == 200).then(|| answer.json()["signs"].as_bool().unwrap())
}

/// A statement that was acknowledged.
struct Acknowledged {
    id: StatementId,
    entry: Vec<u8>,
    index: u64,
}

/// What clients and checks share.
struct Load<'a> {
    replicas: [&'a Service; 2],
    log_key: VerifierKey,
    author: Author,
    next: AtomicUsize,
    acknowledged: Mutex<Vec<Acknowledged>>,
    /// Every checkpoint that anybody was ever shown: one root per size.
    seen: Mutex<BTreeMap<u64, Sha256Digest>>,
    is_over: AtomicBool,
}

impl<'a> Load<'a> {
    fn new(replicas: [&'a Service; 2], label: &str) -> Self {
        Self {
            replicas,
            log_key: shared::registry(replicas[0]).1,
            author: shared::author(replicas[0], label),
            next: AtomicUsize::new(0),
            acknowledged: Mutex::default(),
            seen: Mutex::default(),
            is_over: AtomicBool::new(false),
        }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    fn saw(&self, checkpoint: &Checkpoint) {
        let before = self.seen.lock().unwrap().insert(checkpoint.size(), checkpoint.root());
        assert!(before.is_none_or(|root| root == checkpoint.root()), "two roots at size {}", checkpoint.size());
    }

    /// One statement after another, each to the replicas in turn until one has acknowledged it.
    fn post_until_over(&self, client: usize) {
        while !self.is_over.load(Ordering::SeqCst) {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            let submission = self.author.artefact(&format!("replicas {number}"));
            let (request, begun) = (submission.to_request(), Instant::now());
            let mut turn = client + number;
            while !self.is_acknowledged(&submission, &request, self.replicas[turn % 2]) {
                assert!(begun.elapsed() < PATIENCE, "{}: not acknowledged", submission.statement.id);
                turn += 1;
            }
        }
    }

    fn is_acknowledged(&self, submission: &Submission, request: &[u8], replica: &Service) -> bool {
        let Ok(answer) = replica.try_post(request, "application/json") else { return false };
        match answer.status {
            200 | 201 => {
                let (index, checkpoint) = check_receipt(&answer, &submission.entry, &self.log_key);
                self.saw(&checkpoint);
                let (id, entry) = (submission.statement.id, submission.entry.clone());
                self.acknowledged.lock().unwrap().push(Acknowledged { id, entry, index });
                true
            }
            503 => {
                answer.problem();
                thread::sleep(Duration::from_millis(5));
                false
            }
            TOO_LATE => false,
            _ => panic!("{}: {} {}", submission.statement.id, answer.status, answer.text()),
        }
    }

    /// Reads the checkpoints that strangers are shown; none may be older than the one before, at either replica.
    fn watch_until_over(&self) {
        let mut last = [0; 2];
        while !self.is_over.load(Ordering::SeqCst) {
            for (last, replica) in last.iter_mut().zip(self.replicas) {
                let Ok(answer) = replica.try_get("/checkpoint") else { continue };
                if answer.status == TOO_LATE {
                    continue;
                }
                assert_eq!(answer.status, 200, "{}", answer.text());
                let checkpoint = open_checkpoint(answer.text(), core::slice::from_ref(&self.log_key)).unwrap();
                assert!(checkpoint.size() >= *last, "back from {last} to {}", checkpoint.size());
                *last = checkpoint.size();
                self.saw(&checkpoint);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Every statement is at its index through both replicas, every checkpoint fits the log as it is in the end.
    fn check(&self, registry: &Shared) {
        let acknowledged = self.acknowledged.lock().unwrap();
        thread::scope(|scope| {
            for part in acknowledged.chunks(acknowledged.len().div_ceil(CLIENTS)) {
                scope.spawn(move || {
                    for Acknowledged { id, entry, index } in part {
                        for replica in self.replicas {
                            let answer = replica.get(&format!("/v1/statements/{id}/receipt"));
                            assert_eq!(answer.status, 200, "{id}: {}", answer.text());
                            let (found, checkpoint) = check_receipt(&answer, entry, &self.log_key);
                            assert_eq!(found, *index, "{id}");
                            self.saw(&checkpoint);
                        }
                    }
                });
            }
        });
        let stored = registry.sql("SELECT size || ' ' || encode(root, 'hex') FROM log.checkpoint");
        let mut seen = self.seen.lock().unwrap();
        for line in stored.lines() {
            let (size, root) = line.split_once(' ').unwrap();
            let (size, root): (u64, Sha256Digest) = (size.parse().unwrap(), root.parse().unwrap());
            assert!(seen.insert(size, root).is_none_or(|before| before == root), "two roots at size {size}");
        }
        let [first, second] = self.replicas.map(|replica| entries(replica));
        assert_eq!(first, second, "both show the same log");
        let mut edge = Edge::new();
        let mut compared = 0;
        for entry in &first {
            edge.append(leaf_hash(entry));
            if let Some(root) = seen.get(&edge.size()) {
                assert_eq!(edge.root(), *root, "the checkpoint over {} entries", edge.size());
                compared += 1;
            }
        }
        assert_eq!(compared, seen.len(), "every checkpoint was compared");
        let mut ids: Vec<_> = acknowledged.iter().map(|said| said.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), acknowledged.len(), "acknowledged twice");
        println!("{} statements acknowledged, {compared} checkpoints seen, one root each", acknowledged.len());
    }

    /// Runs clients and watcher around something; whatever fails, they end.
    fn around<T>(&self, what: impl FnOnce() -> T) -> T {
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        thread::scope(|scope| {
            let _over = Over(&self.is_over);
            scope.spawn(|| self.watch_until_over());
            for client in 0..CLIENTS {
                scope.spawn(move || self.post_until_over(client));
            }
            what()
        })
    }

    /// Waits for so many more acknowledgements.
    fn goes_on(&self, more: usize) {
        let before = self.count();
        assert!(comes(PATIENCE, || self.count() >= before + more), "nothing is acknowledged any more");
    }
}

/// Continues a process that was stopped, whatever happens in between.
struct Frozen<'a>(&'a Service);

impl<'a> Frozen<'a> {
    fn new(service: &'a Service) -> Self {
        service.send(Signal::STOP);
        Self(service)
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        self.0.send(Signal::CONT);
    }
}

#[test]
fn freezing_signer_and_follower_in_turn_never_forks_the_log() {
    let freezes = soaked(20, 200);
    let registry = Shared::found();
    let (first, second) = (registry.replica("first"), registry.beside("second"));
    assert_eq!((signs(&first), signs(&second)), (Some(true), Some(false)));
    let load = Load::new([&first, &second], "frozen replicas");
    let mut random = Random::new(11);
    load.around(|| {
        for number in 0..freezes {
            load.goes_on(BETWEEN_FREEZES);
            let frozen = Frozen::new(if number % 2 == 0 { &first } else { &second });
            // Now and then so long that PostgreSQL gives up on a transaction left alone.
            let milliseconds = if number % 10 >= 8 { 6_500 } else { 20 + random.next() % 400 };
            thread::sleep(Duration::from_millis(milliseconds));
            drop(frozen);
        }
        load.goes_on(BETWEEN_FREEZES);
    });
    assert_eq!((signs(&first), signs(&second)), (Some(true), Some(false)), "as before");
    load.check(&registry);
    println!("{freezes} freezes, 0 forks");
    drop(load);
    second.stop();
    first.stop();
    registry.audit();
    registry.stop();
}

#[test]
fn another_replica_signs_once_the_signer_is_gone() {
    let registry = Shared::found();
    let (first, second) = (registry.replica("first"), registry.beside("second"));
    let elsewhere = registry.replica("elsewhere");
    assert_eq!([&first, &second, &elsewhere].map(|replica| signs(replica)), [Some(true), Some(false), Some(false)]);
    let load = Load::new([&second, &elsewhere], "failover");
    load.around(|| {
        load.goes_on(BETWEEN_FREEZES);
        first.kill();
        load.goes_on(2 * BETWEEN_FREEZES);
    });
    assert_eq!([&second, &elsewhere].map(|replica| signs(replica)), [Some(true), Some(false)], "the one with the key");
    load.check(&registry);
    drop(load);
    // The first comes back beside it, and follows.
    let again = registry.beside("again");
    assert_eq!(signs(&again), Some(false));
    let (reference, log_key) = shared::registry(&again);
    let (_, party) = Author::new(&reference, "after the failover", 1, 1);
    enter(&again, &party, &log_key);
    // A signer that stops properly hands over as well.
    second.stop();
    assert!(comes(PATIENCE, || signs(&again) == Some(true)), "{}", again.errors());
    elsewhere.stop();
    again.stop();
    registry.audit();
    registry.stop();
}

#[test]
fn a_replica_without_the_key_enters_statements_and_says_when_nobody_signs() {
    let registry = Shared::found();
    let (first, elsewhere) = (registry.replica("first"), registry.replica("elsewhere"));
    assert!(!registry.place.path().join("elsewhere/keys").exists(), "no key was made");
    let (_, log_key) = shared::registry(&elsewhere);
    let author = shared::author(&elsewhere, "without a key");
    let artefact = author.artefact("through the replica");
    let index = enter(&elsewhere, &artefact, &log_key);
    let again = first.post(&artefact.to_request());
    assert_eq!((again.status, check_receipt(&again, &artefact.entry, &log_key).0), (200, index));
    for (replica, value) in [(&first, 1.0), (&elsewhere, 0.0)] {
        let found = Scrape::of(replica).get("chopmark_signer");
        assert!((found - value).abs() < f64::EPSILON, "{found}");
        // What follows behind is one table for both.
        let found = replica.get("/v1/artefacts?q=through+the+replica").json();
        assert_eq!(found["artefacts"].as_array().map(Vec::len), Some(1), "{found}");
        assert!(found["applied_size"].as_u64() > Some(index), "{found}");
    }

    first.stop();
    let unsigned = author.artefact("nobody signs");
    expect(&elsewhere.post(&unsigned.to_request()), "503 checkpoint_pending request ");
    assert!(comes(PATIENCE, || elsewhere.get("/readyz").status == 503), "ready without a signer");
    let problem = expect(&elsewhere.get("/readyz"), "503 checkpoint_pending request ");
    assert!(problem["detail"].as_str().unwrap().contains("the process that signs"), "{problem}");
    expect(&elsewhere.post(&unsigned.to_request()), "503 checkpoint_pending request ");
    assert_eq!(elsewhere.get(&format!("/v1/statements/{}/receipt", artefact.statement.id)).status, 200);

    let first = registry.replica("first");
    assert!(comes(PATIENCE, || signs(&elsewhere) == Some(false)), "{}", elsewhere.errors());
    let answer = elsewhere.post(&unsigned.to_request());
    assert_eq!((answer.status, check_receipt(&answer, &unsigned.entry, &log_key).0), (200, index + 1));
    elsewhere.stop();
    first.stop();
    registry.audit();
    registry.stop();
}

#[test]
fn a_list_goes_on_at_a_replica_that_is_behind() {
    let registry = Shared::found();
    let (first, second) = (registry.replica("first"), registry.beside("second"));
    let (_, log_key) = shared::registry(&second);
    let author = shared::author(&second, "lists at two replicas");
    let size = enter(&second, &author.artefact("shown at both"), &log_key) + 1;
    assert!(comes(PATIENCE, || shared::size(&second) == size), "{}", second.errors());
    let ahead = |list: &str, size: u64| second.get(&format!("/v1/{list}?cursor={size}.0"));
    // While the signer stands still, what is entered is in the log, and no replica shows it.
    let entered_while_frozen = |number: u64, then: &dyn Fn(u64, Frozen<'_>)| {
        let frozen = Frozen::new(&first);
        let artefact = author.artefact(&format!("behind {number}"));
        thread::scope(|scope| {
            scope.spawn(|| second.try_post(&artefact.to_request(), "application/json"));
            let committed = (size + number).to_string();
            assert!(
                comes(PATIENCE, || registry.sql("SELECT size FROM log.log_state").trim() == committed),
                "not entered"
            );
            then(size + number, frozen);
        });
    };
    entered_while_frozen(1, &|size, frozen| {
        thread::scope(|scope| {
            let asked = ["artefacts", "parties", "offers", "licences"]
                .map(|list| (list, scope.spawn(move || ahead(list, size))));
            thread::sleep(Duration::from_millis(500));
            drop(frozen);
            for (list, asked) in asked {
                let answer = asked.join().unwrap();
                assert_eq!(answer.status, 200, "{list}: {}", answer.text());
                assert_eq!(answer.json()["applied_size"], size, "{list}");
            }
        });
    });
    entered_while_frozen(2, &|size, frozen| {
        let pending = ahead("artefacts", size);
        expect(&pending, "503 checkpoint_pending request ");
        assert!(pending.header("retry-after").is_some());
        expect(&ahead("artefacts", size + 1), "400 bad_parameter query /cursor");
        drop(frozen);
    });
    second.stop();
    first.stop();
    registry.audit();
    registry.stop();
}

/// The transactions that were left alone while they held the log, and since when.
fn left_alone(registry: &Shared) -> String {
    registry.sql(
        "SELECT a.pid, a.state_change FROM pg_stat_activity a JOIN pg_locks l USING (pid) \
         WHERE a.state = 'idle in transaction' AND l.relation = 'log.log_state'::regclass AND l.mode = 'RowShareLock'",
    )
}

#[test]
fn a_replica_frozen_in_a_transaction_does_not_hold_the_log_for_ever() {
    let registry = Shared::found();
    let (first, second) = (registry.replica("first"), registry.beside("second"));
    let load = Load::new([&second, &second], "frozen in a transaction");
    let other = load.author.artefact("through the other one");
    load.around(|| {
        let deadline = Instant::now() + 5 * PATIENCE;
        let frozen = loop {
            assert!(Instant::now() < deadline, "never frozen in a transaction");
            load.goes_on(1);
            let frozen = Frozen::new(&second);
            let before = left_alone(&registry);
            thread::sleep(Duration::from_millis(200));
            if !before.is_empty() && left_alone(&registry) == before {
                break frozen;
            }
        };
        let begun = Instant::now();
        let answer = first.post(&other.to_request());
        println!("entered {:?} after another replica was frozen with the log locked", begun.elapsed());
        assert_eq!(answer.status, 201, "{}", answer.text());
        check_receipt(&answer, &other.entry, &load.log_key);
        assert_eq!(left_alone(&registry), "", "PostgreSQL ended the transaction");
        drop(frozen);
        // What it was about is entered after all, once.
        load.goes_on(BETWEEN_FREEZES);
    });
    load.check(&registry);
    drop(load);
    second.stop();
    first.stop();
    registry.audit();
    registry.stop();
}
