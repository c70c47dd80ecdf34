//! The one service that most tests talk to, and what every test does with a service: register, and check receipts.

use std::path::PathBuf;
use std::sync::OnceLock;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::checkpoint::Checkpoint;
use chopmark_core::ledger::note::VerifierKey;
use chopmark_core::ledger::proof::TlogProof;
use chopmark_core::ledger::tree::leaf_hash;
use chopmark_core::statement::RegistryRef;
use chopmark_core::submission::Submission;
use serde_json::Value;

use crate::harness::{Answer, Home, Service, place};
use crate::make::Author;

/// The shared service. Other tests write to it at the same time, so nothing may depend on its size standing still.
pub fn service() -> &'static Service {
    static SHARED: OnceLock<Service> = OnceLock::new();
    SHARED.get_or_init(|| {
        // Removed by the service's watchdog once this executable has ended.
        Service::start(&place().keep())
    })
}

/// A directory beside the shared service's, removed with it.
pub fn beside() -> PathBuf {
    service().directory.parent().unwrap().to_owned()
}

/// Runs a command in a home, at this service: its exit code and what it prints.
pub fn run(home: &Home, arguments: &[&str]) -> (i32, Value) {
    home.json(&[arguments, &["--url", service().url()]].concat())
}

/// The same for a command that does what it is for.
#[track_caller]
pub fn done(home: &Home, arguments: &[&str]) -> Value {
    let (code, document) = run(home, arguments);
    assert_eq!(code, 0, "{arguments:?}: {document}");
    document
}

/// The same for one that fails in this way: its error.
#[track_caller]
pub fn refused(home: &Home, arguments: &[&str], exit: i32, code: &str) -> Value {
    let (found, document) = run(home, arguments);
    assert_eq!((found, document["error"]["code"].as_str()), (exit, Some(code)), "{arguments:?}: {document}");
    document["error"].clone()
}

/// Whose registry a service is.
pub fn registry(service: &Service) -> (RegistryRef, VerifierKey) {
    let answer = service.get("/v1/registry");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let view = answer.json();
    let text = |name: &str| view[name].as_str().unwrap();
    let reference =
        RegistryRef { origin: text("origin").to_owned(), genesis: text("genesis").parse::<Sha256Digest>().unwrap() };
    (reference, text("log_key").parse().unwrap())
}

/// Entries published.
pub fn size(service: &Service) -> u64 {
    service.get("/v1/registry").json()["size"].as_u64().unwrap()
}

/// Registers a party with one key.
pub fn author(service: &Service, label: &str) -> Author {
    author_with(service, label, 1, 1)
}

/// Registers a party with several keys.
pub fn author_with(service: &Service, label: &str, keys: usize, threshold: u32) -> Author {
    let (author, party) = Author::new(&registry(service).0, label, keys, threshold);
    let answer = service.post(&party.to_request());
    assert_eq!(answer.status, 201, "{}", answer.text());
    author
}

/// Checks a receipt as a client would: the proof leads from this very entry to a checkpoint of the log key.
pub fn check_receipt(answer: &Answer, entry: &[u8], log_key: &VerifierKey) -> (u64, Checkpoint) {
    let receipt = answer.json();
    check_receipt_value(&receipt, entry, log_key)
}

pub fn check_receipt_value(receipt: &Value, entry: &[u8], log_key: &VerifierKey) -> (u64, Checkpoint) {
    let proof: TlogProof = receipt["proof"].as_str().unwrap().parse().unwrap();
    let checkpoint = proof.verify(leaf_hash(entry), core::slice::from_ref(log_key)).unwrap();
    assert_eq!(receipt["index"], proof.index());
    assert_eq!(receipt["size"], checkpoint.size());
    assert_eq!(receipt["checkpoint"], proof.checkpoint_note());
    assert_eq!(receipt["leaf_hash"], leaf_hash(entry).to_hex());
    (proof.index(), checkpoint)
}

/// Enters a statement, checks the receipt, and returns the index.
pub fn enter(service: &Service, submission: &Submission, log_key: &VerifierKey) -> u64 {
    let answer = service.post(&submission.to_request());
    assert_eq!(answer.status, 201, "{}", answer.text());
    let id = submission.statement.id;
    assert_eq!(answer.header("location"), Some(format!("/v1/statements/{id}").as_str()));
    assert_eq!(answer.json()["statement_id"], id.to_hex());
    check_receipt(&answer, &submission.entry, log_key).0
}
