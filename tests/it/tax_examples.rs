//! The worked examples of the tax practice notes: every one is accounted for, and a program that was written from the notes
//! alone agrees with all figures that the engine is tested against.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tax")
}

fn check(files: &[PathBuf]) -> Output {
    Command::new("python3")
        .arg("-B")
        .arg(fixtures().join("independent.py"))
        .arg("check")
        .args(files)
        .output()
        .expect("python3 is needed for the independent check; install it, or run everything with `make test`")
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
