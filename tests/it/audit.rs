//! Audits: every way a superuser can change the ledger is found, named, and ends in exit code 6.
//!
//! Each change is made past all guards, audited, and undone; in between an audit finds nothing. The changes share one
//! registry with something in every table, one group at a time.

mod guards;
mod kept;
mod ledger;
mod rebuild;
mod remote;
mod sealed;
mod tables;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chopmark_core::artefact::{ArtefactClaim, Parent, ParentSource, Relation};
use chopmark_core::attestation::AttestationClaim;
use chopmark_core::code::ResidencyZone;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::endorsement::EndorsementClaim;
use chopmark_core::kind::Claim;
use chopmark_core::manifest::Manifest;
use chopmark_core::statement::{Issuer, Statement, StatementId};
use chopmark_core::submission::Submission;
use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Home, Service, place};
use crate::make::{Author, small_manifest};
use crate::repeat::at_once;
use crate::reports::books::{Books, Company};
use crate::sealed::Payment;
use crate::shared;
use crate::tamper::UNGUARDED;

/// Artefacts in a row: with genesis and the party they fill one tile and begin another.
const ARTEFACTS: usize = 262;

/// Full tiles of a log a little longer than that.
const TILES: u64 = 1;

/// What a superuser says to put the guards back as they were.
const GUARDED: &str = "DO $guard$ DECLARE t record; BEGIN \
    FOR t IN SELECT tgname, tgrelid::regclass AS relation FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid \
        WHERE c.relnamespace = 'log'::regnamespace AND NOT tgisinternal LOOP \
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', t.relation, t.tgname); END LOOP; END $guard$;";

struct Audited {
    service: Service,
    home: Home,
    /// Whoever registered nearly everything.
    author: Author,
    size: u64,
    /// A checkpoint of the whole log, kept outside.
    kept: PathBuf,
    log_key: String,
}

/// The registry that changes are tried on, for one test at a time.
fn audited() -> MutexGuard<'static, Audited> {
    static SHARED: LazyLock<Mutex<Audited>> = LazyLock::new(|| Mutex::new(Audited::new()));
    let mut audited = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    audited.start_again_if_halted();
    audited
}

/// Any claim by an author, signed.
fn say(author: &Author, label: &str, claim: &Claim, manifest: Option<&Manifest>) -> Submission {
    let header = author.header(Issuer::Party(author.party), author.threshold, label);
    let payload = Statement::compose(label, &header, claim).unwrap();
    author.sign(payload, manifest.map(Manifest::to_canonical_bytes).into_iter().collect())
}

/// A key of the registry itself.
pub fn registry_key(service: &Service, name: &str) -> SigningKey {
    let file = fs::read_to_string(service.directory.join("keys").join(name)).unwrap();
    let line = file.lines().find_map(|line| line.strip_prefix("chopmark-key-v1 ")).unwrap();
    SigningKey::from_bytes(&BASE64.decode(line.trim().as_bytes()).unwrap().try_into().unwrap())
}

impl Audited {
    fn new() -> Self {
        let place = place();
        let service = Service::start(place.path());
        let author = shared::author(&service, "audited");
        let artefacts: Vec<_> = (0..ARTEFACTS).map(|number| author.artefact(&format!("audited {number}"))).collect();
        let requests: Vec<_> = artefacts.iter().map(Submission::to_request).collect();
        let (early, late) = requests.split_at(ARTEFACTS - 5);
        at_once(&service, early, |_, answer| assert_eq!(answer.status, 201, "{}", answer.text()));
        for request in late {
            assert_eq!(service.post(request).status, 201);
        }
        something_of_everything(&service, &author, artefacts[0].statement.id);
        let size = shared::size(&service);
        // The watchdog of the service removes it.
        let kept = place.keep().join("kept.txt");
        fs::write(&kept, service.get("/checkpoint").body).unwrap();
        let log_key = shared::registry(&service).1.to_string();
        let audited = Self { service, home: Home::new(), author, size, kept, log_key };
        audited.wait_until_applied();
        audited.assert_clean();
        audited
    }

    /// A service that saw a change to what it signs is read-only for good, as it has to be. The change is undone by now.
    fn start_again_if_halted(&mut self) {
        if self.service.get("/readyz").status == 200 {
            return;
        }
        self.service.send(Signal::TERM);
        assert_eq!(self.service.ended(), Some(0), "{}", self.service.errors());
        self.service = Service::start(self.service.directory.parent().unwrap());
        assert_eq!(self.service.get("/readyz").status, 200, "{}", self.service.errors());
    }

    fn wait_until_applied(&self) {
        let begun = Instant::now();
        while self.sql("SELECT applied_size = (SELECT size FROM log.log_state) FROM view.following") != "t" {
            assert!(begun.elapsed() < Duration::from_mins(1), "searches never catch up");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn sql(&self, statements: &str) -> String {
        self.service.sql(statements).unwrap()
    }

    fn audit(&self, more: &[&str]) -> (i32, Value) {
        let directory = self.service.directory.to_str().unwrap();
        self.home.json(&[&["audit", "--data-dir", directory], more].concat())
    }

    /// As an outsider: no keys and no mark, only the database and what was kept.
    fn audit_from_outside(&self, more: &[&str]) -> (i32, Value) {
        let nowhere = self.home.file("nowhere");
        let url = self.service.database_url();
        let arguments = ["audit", "--data-dir", nowhere.to_str().unwrap(), "--database-url", &url];
        self.home.json(&[&arguments, more].concat())
    }

    /// Makes the read tables anew.
    fn rebuild(&self) -> Value {
        let directory = self.service.directory.to_str().unwrap();
        let (code, document) = self.home.json(&["db", "rebuild", "--data-dir", directory]);
        assert_eq!(code, 0, "{document}");
        document
    }

    /// Changes rows past the guards, which stand afterwards as before.
    fn change(&self, statements: &str) {
        self.sql(&format!("{UNGUARDED} {statements}; {GUARDED}"));
    }

    /// Changes the schema past the event triggers.
    fn alter(&self, statements: &str) {
        self.sql(&format!("SET chopmark.migrating = 'on'; {statements}"));
    }

    fn assert_clean(&self) {
        let (code, document) = self.audit(&[]);
        assert_eq!((code, document["state"].as_str()), (0, Some("clean")), "{document}");
        for (member, number) in [("entries", self.size), ("judged", self.size), ("tiles", TILES), ("outside_roots", 1)]
        {
            assert_eq!(document[member], number, "{member}: {document}");
        }
    }

    /// Every change is found and named, and nothing is once it is undone.
    fn try_all(&self, changes: &[Change]) {
        for Change { what, statements, undo, object, index } in changes {
            self.change(statements);
            assert_found(&self.audit(&[]), object, *index, what);
            self.change(if undo.is_empty() { statements } else { undo });
        }
        self.assert_clean();
        println!("{} changes by a superuser, each found and named", changes.len());
    }
}

/// Something in every read table: another party, a conflict, parents, attestations, an endorsement, a key event.
fn something_of_everything(service: &Service, author: &Author, first: StatementId) {
    let (reference, log_key) = shared::registry(service);
    let other = shared::author(service, "copies of what was audited");
    let manifest = small_manifest("audited 0");
    let mut claim: ArtefactClaim = Author::claim("copy", "1", &manifest, Vec::new());
    let parent = |source| Parent { relation: Relation::Finetune, source };
    claim.parents =
        vec![parent(ParentSource::Artefact(first)), parent(ParentSource::Digest(Sha256Digest::of(b"audited 1")))];
    let copy = say(&other, "copy", &Claim::Artefact(claim), Some(&manifest));
    shared::enter(service, &copy, &log_key);
    let matching = AttestationClaim::BytesMatch {
        artefact: first,
        manifest: manifest.digest(),
        zone: ResidencyZone::World,
        tool: "chopmark".to_owned(),
    };
    shared::enter(service, &say(&other, "attest", &Claim::Attestation(matching), None), &log_key);
    let endorse = Claim::Endorsement(EndorsementClaim { statement: copy.statement.id });
    shared::enter(service, &say(author, "endorse", &endorse, None), &log_key);
    // Two whose openings are here, and one whose are in another zone.
    for (payer, payee, label) in [(author, &other, "first payment"), (&other, author, "second payment")] {
        shared::enter(service, &Payment::new(payer, payee, label, "41.00").submission, &log_key);
    }
    let elsewhere = Payment::new(author, &other, "third payment", "43.00")
        .request(|request| request["openings"] = json!({ "zone": "CN", "fields": [] }));
    assert_eq!(service.post(&elsewhere).status, 201);
    let company = Company::new(service, "audited books");
    let mut books = Books::of(service, &company);
    let asset = books.asset("an asset that was used");
    books.used(asset, "2026/27", "0.5");
    let operator: StatementId = service.get("/v1/registry").json()["operator"].as_str().unwrap().parse().unwrap();
    let keys = vec![registry_key(service, "operator.key")];
    let operator = Author { registry: reference, keys, threshold: 1, party: operator };
    let verified = AttestationClaim::PartyVerified { party: author.party, identifiers: Vec::new() };
    shared::enter(service, &say(&operator, "verify", &Claim::Attestation(verified), None), &log_key);
    let home = Home::new();
    for arguments in [
        &["key", "new"][..],
        &["key", "new", "--out", "machine.key"],
        &["party", "register", "--jurisdiction", "HK", "--name-en", "Keeper of two keys"],
        &["key", "add", "machine.key", "--role", "signing"],
    ] {
        let (code, document) = home.json(&[arguments, &["--url", service.url()]].concat());
        assert_eq!(code, 0, "{arguments:?}: {document}");
    }
}

#[track_caller]
fn assert_found(found: &(i32, Value), object: &str, index: Option<u64>, what: &str) {
    let (code, document) = found;
    assert_eq!((*code, document["state"].as_str()), (6, Some("damaged")), "{what}: {document}");
    let finding = &document["finding"];
    assert!(finding["object"].as_str().unwrap().contains(object), "{what}: expected {object}: {finding}");
    if let Some(index) = index {
        assert_eq!(finding["index"], index, "{what}: {finding}");
    }
    assert!(!finding["reason"].as_str().unwrap().is_empty());
}

/// One change by a superuser.
struct Change {
    what: &'static str,
    statements: String,
    /// How it is undone; nothing where doing it again undoes it.
    undo: String,
    /// What must be named.
    object: String,
    /// The first index that must be named, where it can be known.
    index: Option<u64>,
}

fn change(
    what: &'static str,
    statements: impl Into<String>,
    undo: impl Into<String>,
    object: impl Into<String>,
    index: impl Into<Option<u64>>,
) -> Change {
    Change { what, statements: statements.into(), undo: undo.into(), object: object.into(), index: index.into() }
}

/// A change to some rows of a table, undone from a copy of the whole table.
fn replaced(
    what: &'static str,
    table: &str,
    statements: &str,
    object: impl Into<String>,
    index: impl Into<Option<u64>>,
) -> Change {
    change(
        what,
        format!("CREATE TABLE public.kept AS SELECT * FROM {table}; {statements}"),
        format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM public.kept; DROP TABLE public.kept"),
        object,
        index,
    )
}

fn flip(column: &str, byte: u64) -> String {
    format!("{column} = set_byte({column}, {byte}, get_byte({column}, {byte}) # 1)")
}

/// An alarm that rings while the registry does its work is soon switched off.
#[test]
fn an_audit_beside_a_busy_service_finds_nothing() {
    let place = place();
    let service = Service::start(place.path());
    let author = shared::author(&service, "busy");
    let requests: Vec<_> = (0..400).map(|number| author.artefact(&format!("busy {number}")).to_request()).collect();
    let directory = service.directory.to_str().unwrap();
    let audit = || Home::new().json(&["audit", "--data-dir", directory]);
    let is_done = AtomicBool::new(false);
    let audits = thread::scope(|scope| {
        let auditor = scope.spawn(|| {
            let mut audits = Vec::new();
            while !is_done.load(Ordering::SeqCst) {
                audits.push(audit());
            }
            audits
        });
        for some in requests.chunks(20) {
            at_once(&service, some, |_, answer| assert_eq!(answer.status, 201, "{}", answer.text()));
        }
        is_done.store(true, Ordering::SeqCst);
        auditor.join().unwrap()
    });
    for (code, document) in &audits {
        assert_eq!((*code, document["state"].as_str()), (0, Some("clean")), "{document}");
    }
    println!("{} audits while 400 statements came in", audits.len());
    assert!(!audits.is_empty());
    service.stop();
}

#[test]
fn a_stopped_registry_can_be_audited_and_a_missing_one_is_not_made() {
    let place = place();
    let service = Service::start(place.path());
    let directory = service.directory.clone();
    service.stop();
    let home = Home::new();
    let (code, document) = home.json(&["audit", "--data-dir", directory.to_str().unwrap()]);
    assert_eq!((code, &document["entries"]), (0, &Value::from(2)), "{document}");
    assert!(!directory.join("postgres/data/postmaster.pid").exists(), "PostgreSQL was left running");
    let nowhere = place.path().join("nowhere");
    let (code, document) = home.json(&["audit", "--data-dir", nowhere.to_str().unwrap()]);
    assert!(code != 0 && document["error"]["message"].is_string(), "{document}");
    assert!(!nowhere.exists());
}
