//! Rules that no compiler checks: files stay small and say what they are for, nothing is left unfinished, and every
//! dependency has a licence we may use.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Longest source file, in lines, tests included.
const LINES_MAX: usize = 700;

/// Crates whose every file opens with what it is for.
const PRODUCT: [&str; 5] = ["core", "gpu-verify", "store", "api", "cli"];

/// Licences a dependency may have; one alternative of an `OR` is enough, every part of an `AND` is needed.
const LICENCES: [&str; 15] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every Rust file of the workspace, with its text.
fn sources() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let crates = PRODUCT.iter().chain(&["tests", "benches"]);
    let mut directories: Vec<PathBuf> = crates.map(|name| workspace().join(name)).collect();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().is_none_or(|name| name != "target") {
                    directories.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.insert(path.strip_prefix(workspace()).unwrap().to_owned(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    assert!(found.len() > 100, "only {} files found", found.len());
    found
}

#[test]
fn files_are_small_and_say_what_they_are_for() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            faults.push(format!("{} has {lines} lines, at most {LINES_MAX}", path.display()));
        }
        let is_test_module = path.ends_with("tests.rs") || path.ends_with("schema.rs");
        if PRODUCT.iter().any(|name| path.starts_with(name)) && !is_test_module && !text.starts_with("//!") {
            faults.push(format!("{} does not begin with what it is for (`//!`)", path.display()));
        }
        if text.lines().any(|line| line.contains('\t') || line.ends_with(' ')) {
            faults.push(format!("{} has tabs or spaces at line ends", path.display()));
        }
    }
    assert_eq!(faults, [""; 0]);
}

#[test]
fn nothing_is_left_unfinished() {
    // Put together here, so that this file does not find itself.
    let unfinished = [["todo", "!("], ["unimplemented", "!("], ["TO", "DO"], ["FIX", "ME"], ["XX", "X:"], ["HA", "CK"]];
    let mut faults = Vec::new();
    for (path, text) in sources() {
        for words in unfinished.map(|words| words.concat()) {
            if text.contains(&words) {
                faults.push(format!("{} says {words}", path.display()));
            }
        }
    }
    assert_eq!(faults, [""; 0]);
}

/// The pure crate stays pure: no clock, files, network, environment or threads.
#[test]
fn the_core_does_no_input_or_output() {
    let refused = [
        "std::fs",
        "std::net",
        "std::env",
        "std::io",
        "std::process",
        "std::thread",
        "SystemTime",
        "Instant::now",
        "Utc::now",
        "async fn",
    ];
    for (path, text) in sources().into_iter().filter(|(path, _)| path.starts_with("core/src")) {
        for words in refused {
            assert!(!text.contains(words), "{} uses {words}", path.display());
        }
    }
}

/// Whether an SPDX expression can be met with the allowed licences.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.trim();
    if let Some(inner) = expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'))
        && !inner.contains(['(', ')'])
    {
        return is_allowed(inner);
    }
    for (operator, all) in [(" AND ", true), (" OR ", false)] {
        if let Some(parts) = split_outside(expression, operator) {
            return if all {
                parts.iter().all(|part| is_allowed(part))
            } else {
                parts.iter().any(|part| is_allowed(part))
            };
        }
    }
    // The older spelling of OR.
    if expression.contains('/') {
        return expression.split('/').any(is_allowed);
    }
    LICENCES.contains(&expression)
}

/// Splits at an operator that stands outside all parentheses.
fn split_outside<'a>(expression: &'a str, operator: &str) -> Option<Vec<&'a str>> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, byte) in expression.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ if depth == 0 && expression[at..].starts_with(operator) => {
                parts.push(&expression[start..at]);
                start = at + operator.len();
            }
            _ => {}
        }
    }
    parts.push(&expression[start..]);
    (parts.len() > 1).then_some(parts)
}

#[test]
fn licence_expressions_are_judged_as_spdx_means_them() {
    for good in [
        "MIT",
        "MIT OR GPL-3.0",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "Unlicense/MIT",
        "Apache-2.0 WITH LLVM-exception OR MIT",
    ] {
        assert!(is_allowed(good), "{good}");
    }
    for bad in ["GPL-3.0", "AGPL-3.0-only", "MIT AND GPL-2.0", "(MIT OR Apache-2.0) AND LGPL-3.0", "SSPL-1.0", ""] {
        assert!(!is_allowed(bad), "{bad}");
    }
}

#[test]
fn every_dependency_has_a_licence_we_may_use() {
    // Packages for other platforms were never downloaded here.
    let version = Command::new("rustc").arg("-vV").current_dir(workspace()).output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform", host])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let mut faults = Vec::new();
    for package in packages {
        let licence = package["license"].as_str().unwrap_or_default();
        if !is_allowed(licence) {
            faults.push(format!("{} {}: {licence:?}", package["name"], package["version"]));
        }
        let source = package["source"].as_str();
        if source.is_some_and(|source| !source.starts_with("registry+https://github.com/rust-lang/crates.io-index")) {
            faults.push(format!("{} comes from {source:?}", package["name"]));
        }
    }
    println!("{} packages, every licence allowed", packages.len());
    assert_eq!(faults, [""; 0]);
}
