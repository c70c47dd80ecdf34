//! The running service under an API fuzzer that knows only its OpenAPI document: no answer is a fault of the service, none
//! is one that the document does not describe, and what the document forbids is refused.
//!
//! `tests/schemathesis/hooks.py` gives the fuzzer names of things that are there, so that it gets past 404 as well.
//! `CHOPMARK_SOAK=1` sends 50,000 requests instead of 2,000.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use chopmark_core::endorsement::EndorsementClaim;
use chopmark_core::kind::Claim;
use chopmark_core::statement::{Issuer, Statement};
use chopmark_core::submission::Submission;
use serde_json::{Value, json};

use crate::harness::{Home, Service, place, soaked, wait_at_most};
use crate::licensing::licensed;
use crate::make::Author;
use crate::{sealed, shared};

/// The same requests in every run.
const SEED: u64 = 20_261_125;

/// What every answer is checked for.
///
/// Left out of what there is: `positive_data_acceptance`, because no schema says which statements are signed, which
/// cursor a list gave or which tile there is; and what is about logins, deletions and required headers, because there are
/// none.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance";

/// Longest run with so many cases for each operation, as a limit on hanging.
fn time_max(cases: u32) -> Duration {
    Duration::from_mins(20) + Duration::from_secs(3) * cases
}

/// Where scripts/install-schemathesis.sh put it.
fn program() -> PathBuf {
    let named = std::env::var_os("CHOPMARK_TEST_SCHEMATHESIS");
    let named = named.map(PathBuf::from).filter(|directory| directory.is_dir());
    named
        .expect("CHOPMARK_TEST_SCHEMATHESIS must name what scripts/install-schemathesis.sh prints; `make test` sets it")
}

/// How a run ended, and how often each operation was answered with each status.
struct Fuzzed {
    is_clean: bool,
    report: String,
    counts: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Fuzzed {
    fn of(&self, wanted: impl Fn(u16) -> bool) -> u64 {
        let statuses = self.counts.values().flatten();
        statuses.filter(|(status, _)| wanted(status.parse().unwrap())).map(|(_, count)| count).sum()
    }
}

/// Fuzzes the service at `url` after `document`, with at most so many cases for each operation that has parameters.
fn fuzz(place: &Path, url: &str, document: &Value, material: &Value, cases: u32) -> Fuzzed {
    let (schema, material_file) = (place.join("openapi.json"), place.join("material.json"));
    fs::write(&schema, document.to_string()).unwrap();
    fs::write(&material_file, material.to_string()).unwrap();
    let report = place.join("report.txt");
    let hooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemathesis");
    let paths = std::env::join_paths([program(), hooks]).unwrap();
    let mut child = Command::new("python3")
        .args(["-B", "-m", "schemathesis.cli", "run"])
        .arg(&schema)
        .args(["--url", url, "--checks", CHECKS, "--phases", "coverage,fuzzing", "--workers", "1", "--no-color"])
        .args([
            "--generation-database",
            "none",
            "--request-timeout",
            "60",
            "--continue-on-failure",
            "--max-failures",
            "20",
        ])
        .args(["--seed", &SEED.to_string(), "--max-examples", &cases.to_string()])
        .current_dir(place)
        .env("PYTHONPATH", paths)
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("CHOPMARK_FUZZ_MATERIAL", &material_file)
        .env("NO_PROXY", "127.0.0.1")
        .stdin(Stdio::null())
        .stdout(fs::File::create(&report).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .expect("python3 is needed for the fuzzer; install it, or run everything with `make test`");
    let status = wait_at_most(&mut child, time_max(cases));
    let _ = child.kill();
    let report = fs::read_to_string(&report).unwrap();
    let counts =
        fs::read(material_file.with_extension("json.counts")).unwrap_or_else(|error| panic!("{error}: {report}"));
    let counts = serde_json::from_slice(&counts).unwrap();
    Fuzzed { is_clean: status.is_some_and(|status| status.success()), report, counts }
}

/// An endorsement of a statement, signed.
fn endorsement(author: &Author, of: &Submission) -> Submission {
    let header = author.header(Issuer::Party(author.party), 1, &format!("endorsement of {}", of.statement.id));
    let claim = Claim::Endorsement(EndorsementClaim { statement: of.statement.id });
    author.sign(Statement::compose("endorsement", &header, &claim).unwrap(), Vec::new())
}

/// Registers parties, artefacts and what is said of them, and names all of it; with statements that are still to come.
fn material(service: &Service) -> Value {
    let (owner, other) = (shared::author(service, "fuzzed owner"), shared::author(service, "fuzzed other"));
    let artefacts: Vec<_> = (0..3).map(|number| owner.artefact(&format!("fuzzed {number}"))).collect();
    let endorsement = endorsement(&other, &artefacts[0]);
    // Another party registers the same file: a conflict, which answers show.
    let same = other.artefact("fuzzed 0");
    for submission in artefacts.iter().chain([&endorsement, &same]) {
        assert_eq!(service.post(&submission.to_request()).status, 201);
    }
    let full = |submission: &Submission| submission.statement.id.to_hex();
    let artefact_ids: Vec<_> = artefacts
        .iter()
        .chain([&same])
        .flat_map(|artefact| [full(artefact), artefact.statement.id.shown("art").to_string()])
        .collect();
    let party_ids: Vec<_> = [&owner, &other]
        .iter()
        .flat_map(|author| [author.party.to_hex(), author.party.shown("pty").to_string()])
        .collect();
    let statement_ids: Vec<_> = artefact_ids.iter().chain(&party_ids).cloned().chain([full(&endorsement)]).collect();
    let manifests: Vec<_> = artefacts.iter().map(|artefact| artefact.statement.subject.to_hex()).collect();
    let bodies: Vec<Value> = (0..40)
        .map(|number| serde_json::from_slice(&owner.artefact(&format!("fuzzed later {number}")).to_request()).unwrap())
        .collect();
    let confidential = sealed::fuzz_material(service);
    let licensed = licensed(service, "fuzzed");
    let (licence, offer, terms) = (licensed.licence, licensed.offer, licensed.terms);
    json!({
        "tokens": confidential["tokens"],
        "logins": confidential["logins"],
        "reports": confidential["asked"],
        "names": {
            "GET /v1/statements/{id}/openings": confidential["openings"],
            "GET /v1/reports/{id}": confidential["reports"],
            "GET /v1/statements/{id}": statement_ids,
            "GET /v1/statements/{id}/receipt": statement_ids,
            "GET /v1/statements/{id}/receipt.tlog-proof": statement_ids,
            "GET /v1/statements/{id}/bundle": artefact_ids,
            "GET /v1/artefacts/{id}": artefact_ids,
            "GET /v1/parties/{id}": party_ids,
            "GET /v1/licences/{id}": [licence.to_hex(), licence.shown("lic").to_string()],
            "GET /v1/offers/{id}": [offer.to_hex(), offer.shown("off").to_string()],
            "GET /v1/terms/{id}": [terms.to_hex(), terms.shown().to_string()],
            "GET /v1/documents/{sha256}": manifests,
            "GET /v1/accesses/inclusion/{size}/{index}": [{ "size": 2, "index": 0 }, { "size": 2, "index": 1 }],
            "GET /v1/accesses/consistency/{old}/{new}": [{ "old": 1, "new": 2 }, { "old": 2, "new": 2 }],
            "GET /tile/{path}": ["0/000.p/2", "0/000.p/7", "entries/000.p/1", "entries/000.p/7", "0/001", "1/000", "0/x001/000"],
        },
        "queries": {
            "digest": manifests,
            "owner": [owner.party.to_hex(), other.party.to_hex()],
            "kind": ["model", "dataset"],
            "licence": ["Apache-2.0", "MIT"],
            "jurisdiction": ["HK", "SG"],
            "zone": ["WORLD", "HK"],
            "since": ["2026-01-01T00:00:00.000Z", "2100-01-01T00:00:00.000Z"],
            "cursor": ["5.0", "7.3", "1.1"],
        },
        "bodies": bodies,
    })
}

#[test]
fn every_answer_to_a_fuzzer_is_a_described_one() {
    let place = place();
    let service = Service::start(place.path());
    let material = material(&service);
    let document = service.get("/openapi.json").json();
    let (cases, at_least) = (soaked(130, 4_000), soaked(2_000, 50_000));
    let cases = u32::try_from(cases).unwrap();
    let fuzzed = fuzz(place.path(), service.url(), &document, &material, cases);
    assert!(fuzzed.is_clean, "{}", fuzzed.report);

    let total = fuzzed.of(|_| true);
    println!(
        "{total} requests with seed {SEED}, {} answered 2xx: {:?}",
        fuzzed.of(|status| status < 300),
        fuzzed.counts
    );
    assert!(total >= u64::try_from(at_least).unwrap(), "{total}");
    assert_eq!(fuzzed.of(|status| status >= 500), 0);
    // Every operation of the document was tried, and did what it is for at least once.
    let mut operations = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let label = format!("{} {path}", method.to_uppercase());
            let statuses =
                fuzzed.counts.get(&label).unwrap_or_else(|| panic!("{label} was not tried: {:?}", fuzzed.counts));
            assert!(statuses.keys().any(|status| status.starts_with('2')), "{label}: {statuses:?}");
            operations += 1;
        }
    }
    assert_eq!(operations, fuzzed.counts.len());
    // Both ways of entering a statement were seen: a new one, and one that is there.
    let entered = &fuzzed.counts["POST /v1/statements"];
    assert!(entered["201"] > 0 && entered["200"] > 0, "{entered:?}");
    let audit = Home::new().run(&["audit", "--data-dir", service.directory.to_str().unwrap()]);
    assert_eq!(audit.code, 0, "{audit:?}");

    the_fuzzer_finds_a_false_description(place.path(), &service, &document, &material);
    the_fuzzer_finds_a_fault_of_the_service(place.path(), &material);
}

/// The document with one path only.
fn only(document: &Value, path: &str) -> Value {
    let mut other = document.clone();
    other["paths"] = json!({ path: document["paths"][path] });
    other
}

/// The control: a document that demands a member which no answer has, describes a header that none bears, or leaves out a
/// status.
fn the_fuzzer_finds_a_false_description(place: &Path, service: &Service, document: &Value, material: &Value) {
    let honest = only(document, "/v1/registry");
    let fuzzed = fuzz(place, service.url(), &honest, material, 2);
    assert!(fuzzed.is_clean, "{}", fuzzed.report);
    let mut demanding = honest.clone();
    let required = demanding.pointer_mut("/components/schemas/RegistryView/required").unwrap();
    required.as_array_mut().unwrap().push(json!("no_such_member"));
    let mut silent = honest.clone();
    silent["paths"]["/v1/registry"]["get"]["responses"].as_object_mut().unwrap().remove("200");
    for (other, said) in [(demanding, "no_such_member"), (silent, "200")] {
        let fuzzed = fuzz(place, service.url(), &other, material, 2);
        assert!(!fuzzed.is_clean && fuzzed.report.contains(said), "{}", fuzzed.report);
    }
    println!("a document that says what is not so is found out");
}

/// The control: something that answers 500, and says so in the described form.
fn the_fuzzer_finds_a_fault_of_the_service(place: &Path, material: &Value) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // Ends with the test executable; nobody else knows the port.
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4_096]);
            let _ = stream.write_all(
                b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/problem+json\r\n\
                  content-length: 2\r\nconnection: close\r\n\r\n{}",
            );
        }
    });
    let responses = json!({ "500": { "description": "described, and still a fault" } });
    let document = json!({
        "openapi": "3.1.0", "info": { "title": "x", "version": "1" }, "paths": { "/": { "get": { "responses": responses } } },
    });
    let fuzzed = fuzz(place, &url, &document, material, 2);
    assert!(!fuzzed.is_clean && fuzzed.of(|status| status == 500) > 0, "{}", fuzzed.report);
    println!("a service that answers 500 is found out");
}
