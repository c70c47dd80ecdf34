//! The same verdict from two programs that share no code: `chopmark-core`, and `tests/independent/` in Python, which follows
//! `docs/formats/` with its own JSON reader and its own Ed25519.
//!
//! Both are given the very same bytes. A difference means that a statement has two readings, and that is always a fault:
//! of the code or of the documentation.

pub mod bases;
mod expenditure;
mod hostile;
mod licensed;
mod payments;
mod signers;
mod values;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use chopmark_core::ledger::tree::leaf_hash;
use chopmark_core::submission::Submission;
use data_encoding::BASE64;
use serde_json::{Value, json};

use hostile::Case;
use signers::Registered;

/// What the product says of a body.
fn ours(body: &[u8], Registered { view, keys, .. }: &Registered) -> Value {
    let verdict = Submission::parse(body).and_then(|submission| {
        submission.check_documents()?;
        submission.check_openings()?;
        submission.verify(|id| keys.get(id))?;
        // Whether its signers may sign is judged where its issuer is registered; nearly all are by nobody who is.
        if view.party(&submission.statement.issuer()).is_some() {
            view.check_signers(&submission.statement, &submission.envelope)?;
        }
        Ok(submission)
    });
    match verdict {
        Ok(submission) => json!({
            "verdict": "accepted",
            "statement_id": submission.statement.id.to_hex(),
            "shown": submission.statement.id.shown("x").to_string().trim_start_matches("x_"),
            "leaf_hash": leaf_hash(&submission.entry).to_hex(),
        }),
        Err(rejection) => json!({
            "verdict": "refused",
            "code": rejection.code.as_str(),
            "document": rejection.document.name(),
            "pointer": rejection.pointer,
        }),
    }
}

/// What the independent program says of each, in one run.
fn theirs(cases: &[Case], Registered { parties, keys, .. }: &Registered) -> Vec<Value> {
    let mut child = Command::new("python3")
        .args(["-B", "-I", "-c", RUN])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("independent"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed for the independent check; install it, or run everything with `make test`");
    let keys: Vec<_> = keys.values().map(ToString::to_string).collect();
    let mut lines = json!({ "keys": keys, "parties": parties }).to_string();
    for case in cases {
        lines += "\n:";
        lines += &BASE64.encode(&case.body);
    }
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Isolated from whatever Python finds elsewhere, but for the directory of the program itself.
const RUN: &str = "import sys; sys.path.insert(0, sys.argv.pop(1)); import verdict; verdict.main()";

/// Where two lists of verdicts differ. What is wrong in one place only has one code and one pointer; of what is damaged
/// at random both only have to say that it is refused.
fn differences(cases: &[Case], ours: &[Value], theirs: &[Value]) -> Vec<String> {
    assert_eq!((ours.len(), theirs.len()), (cases.len(), cases.len()), "a verdict each");
    let mut found = Vec::new();
    for ((case, ours), theirs) in cases.iter().zip(ours).zip(theirs) {
        let agree = if case.exact || ours["verdict"] == "accepted" {
            ours == theirs
        } else {
            ours["verdict"] == theirs["verdict"]
        };
        if !agree {
            found.push(format!("{}: ours {ours}, theirs {theirs}", case.what));
        }
    }
    found
}

#[test]
fn two_programs_that_share_no_code_say_the_same() {
    let hostile::Cases { cases, registered } = hostile::cases();
    let ours: Vec<_> = cases.iter().map(|case| self::ours(&case.body, &registered)).collect();
    let theirs = theirs(&cases, &registered);
    let mut codes = BTreeMap::<&str, usize>::new();
    for verdict in &ours {
        *codes.entry(verdict["code"].as_str().unwrap_or("accepted")).or_default() += 1;
    }
    let differences = differences(&cases, &ours, &theirs);
    println!("{} inputs, {} verdicts differ: {codes:?}", cases.len(), differences.len());
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    assert!(cases.len() >= 10_000, "{}", cases.len());
    // Everything that can be said without a registry, and of signers with one, was said, and often enough to mean something.
    for (code, at_least) in [
        ("accepted", 200),
        ("document_invalid", 20),
        ("document_missing", 1),
        ("document_unreferenced", 1),
        ("commitment_mismatch", 100),
        ("entry_too_large", 1),
        ("invalid_statement", 4_000),
        ("malformed_envelope", 100),
        ("malformed_request", 100),
        ("not_authorised", 50),
        ("opening_missing", 20),
        ("opening_unreferenced", 10),
        ("signature_invalid", 50),
        ("signer_not_listed", 1),
        ("threshold_not_met", 150),
        ("unknown_issuer", 1),
        ("unknown_key", 1),
    ] {
        assert!(codes.get(code).copied().unwrap_or_default() >= at_least, "{code}: {codes:?}");
    }
    compare_again_with_every_sort_of_lie(&cases, &ours, &theirs);
}

/// The control: one verdict changed in one way, and the comparison must find exactly that one.
fn compare_again_with_every_sort_of_lie(cases: &[Case], ours: &[Value], theirs: &[Value]) {
    let position = |verdict: &str| {
        let is_it = |(case, ours): (&Case, &Value)| case.exact && ours["verdict"] == verdict;
        cases.iter().zip(ours).position(is_it).unwrap()
    };
    for (verdict, member) in [
        ("accepted", "verdict"),
        ("accepted", "leaf_hash"),
        ("accepted", "statement_id"),
        ("refused", "verdict"),
        ("refused", "code"),
        ("refused", "pointer"),
    ] {
        let mut lying = theirs.to_vec();
        let at = position(verdict);
        lying[at][member] = json!("something else");
        let found = differences(cases, ours, &lying);
        assert_eq!(found.len(), 1, "{member}: {found:?}");
        assert!(found[0].starts_with(&cases[at].what));
    }
}
