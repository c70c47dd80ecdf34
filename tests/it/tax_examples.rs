//! The worked examples of the tax practice notes: every one is accounted for, and a program that was written from the notes
//! alone agrees with all figures that the engine is tested against.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use chopmark_core::tax::hk::HongKong;
use chopmark_core::tax::{Facts, Jurisdiction as _};
use serde_json::Value;

use crate::tax::differences;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tax")
}

fn python(program: &str) -> Command {
    let mut python = Command::new("python3");
    python.arg("-B").arg(fixtures().join(program));
    python
}

fn output(command: &mut Command) -> Output {
    command
        .output()
        .expect("python3 is needed for the independent check; install it, or run everything with `make test`")
}

fn check(files: &[PathBuf]) -> Output {
    output(python("independent.py").arg("check").args(files))
}

#[test]
fn every_example_is_accounted_for_and_the_independent_program_agrees() {
    let output = check(&[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// A check that cannot fail shows nothing.
#[test]
fn a_wrong_figure_is_found() {
    let text = fs::read_to_string(fixtures().join("dipn49-example-11.json")).unwrap();
    assert_eq!(text.matches("\"440000.00\"").count(), 1);
    let directory = tempfile::tempdir().unwrap();
    let wrong = directory.path().join("wrong.json");
    fs::write(&wrong, text.replace("\"440000.00\"", "\"440000.01\"")).unwrap();
    let output = check(std::slice::from_ref(&wrong));
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("440000.01"));
}

/// Histories that nobody thought of; the seed makes them the same every time.
#[test]
fn random_histories_are_computed_alike() {
    let made = output(python("random_facts.py").args(["400", "2026"]));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let rules = HongKong.rules().unwrap();
    let mut count = 0;
    for line in String::from_utf8(made.stdout).unwrap().lines() {
        let fixture: Value = serde_json::from_str(line).unwrap();
        let facts = Facts::from_slice(fixture["facts"].to_string().as_bytes())
            .unwrap_or_else(|error| panic!("{error}: {}", fixture["facts"]));
        let report = HongKong.compute(&facts, &rules).unwrap();
        let said = serde_json::to_value(&report).unwrap();
        let flags = report.flags.iter().map(|flag| flag.code.as_str().to_owned()).collect();
        let found = differences(&fixture, said["lines"].as_array().unwrap(), &flags);
        assert!(found.is_empty(), "history {count}:\n{}\n{}", found.join("\n"), fixture["facts"]);
        count += 1;
    }
    assert_eq!(count, 400);
}
