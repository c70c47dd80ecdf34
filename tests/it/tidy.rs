//! Rules that no compiler checks: files stay small and say what they are for, nothing is left unfinished, and every
//! dependency is one we may have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

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

/// Packages that nothing may depend on, and why.
const BANNED: [(&str, &str); 7] = [
    ("openssl-sys", "TLS is rustls: no C library that the machine has to keep up to date for us"),
    ("native-tls", "TLS is rustls: no C library that the machine has to keep up to date for us"),
    ("lzma-sys", "it brings the sources of xz, which carried a back door (CVE-2024-3094)"),
    ("liblzma-sys", "it brings the sources of xz, which carried a back door (CVE-2024-3094)"),
    ("rust-crypto", "given up in 2016, with faults in it (RUSTSEC-2016-0005)"),
    ("atty", "given up (RUSTSEC-2024-0375); the standard library has IsTerminal"),
    ("dotenv", "given up (RUSTSEC-2021-0141); and no file in the working directory may change what the service is"),
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

/// Every package that the workspace may be built from: with every feature, for every platform.
fn metadata() -> Vec<u8> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Name and version of every package in Cargo.lock.
fn locked() -> BTreeSet<(String, String)> {
    let lock = fs::read_to_string(workspace().join("Cargo.lock")).unwrap();
    let value = |block: &str, name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""));
        line.unwrap().trim_end_matches('"').to_owned()
    };
    lock.split("[[package]]").skip(1).map(|block| (value(block, "name"), value(block, "version"))).collect()
}

/// Why a package may not be depended on.
fn faults(package: &Value) -> Vec<String> {
    let name = package["name"].as_str().unwrap();
    let mut faults = Vec::new();
    if let Some((_, reason)) = BANNED.iter().find(|(banned, _)| *banned == name) {
        faults.push(format!("{name} is banned: {reason}"));
    }
    let licence = package["license"].as_str().unwrap_or_default();
    if !is_allowed(licence) {
        faults.push(format!("{name} {}: {licence:?}", package["version"]));
    }
    let source = package["source"].as_str();
    if source.is_some_and(|source| source != "registry+https://github.com/rust-lang/crates.io-index") {
        faults.push(format!("{name} comes from {source:?}"));
    }
    faults
}

#[test]
fn every_dependency_is_one_we_may_have() {
    let metadata: Value = serde_json::from_slice(&metadata()).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let found: Vec<String> = packages.iter().flat_map(faults).collect();
    assert_eq!(found, [""; 0]);
    let named = |package: &Value| {
        let text = |member: &str| package[member].as_str().unwrap().to_owned();
        (text("name"), text("version"))
    };
    assert_eq!(packages.iter().map(named).collect::<BTreeSet<_>>(), locked(), "looked at, and locked");
    println!("{} packages, every licence allowed", packages.len());
}

/// The control: what must not be depended on is found.
#[test]
fn a_dependency_that_we_may_not_have_is_refused() {
    let crates_io = "registry+https://github.com/rust-lang/crates.io-index";
    let package = |name: &str, license: Value, source: &str| {
        faults(&json!({ "name": name, "version": "1.0.0", "license": license, "source": source }))
    };
    assert_eq!(package("good", json!("MIT OR Apache-2.0"), crates_io), [""; 0]);
    for (name, license, source, said) in [
        ("openssl-sys", json!("MIT"), crates_io, "banned"),
        ("copyleft", json!("GPL-3.0-only"), crates_io, "GPL-3.0-only"),
        ("silent", Value::Null, crates_io, "silent"),
        ("elsewhere", json!("MIT"), "git+https://git.example/elsewhere#0123", "git.example"),
        ("mirrored", json!("MIT"), "registry+https://crates.example/index", "crates.example"),
    ] {
        let found = package(name, license, source);
        assert!(found.len() == 1 && found[0].contains(said), "{name}: {found:?}");
    }
    for (name, _) in BANNED {
        assert_eq!(package(name, json!("MIT"), crates_io).len(), 1, "{name}");
    }
}

/// What `make sbom` writes.
fn bill_of_materials(metadata: &[u8]) -> Vec<u8> {
    let mut child = Command::new("python3")
        .args(["-B", "scripts/sbom.py", "Cargo.lock"])
        .current_dir(workspace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed to list what the product is made of");
    // It reads all before it writes anything.
    child.stdin.take().unwrap().write_all(metadata).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn the_bill_of_materials_names_every_locked_package() {
    let metadata = metadata();
    let written = bill_of_materials(&metadata);
    assert_eq!(bill_of_materials(&metadata), written, "the same every time");
    let bill: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&json!("CycloneDX"), &json!("1.6")));
    let product = &bill["metadata"]["component"];
    assert_eq!(product["name"], "chopmark");
    let components: Vec<&Value> = bill["components"].as_array().unwrap().iter().chain([product]).collect();
    let mut named = BTreeSet::new();
    for component in &components {
        let text = |pointer: &str| component.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (name, version) = (text("/name"), text("/version"));
        assert_eq!(text("/purl"), format!("pkg:cargo/{name}@{version}"));
        assert!(is_allowed(&text("/licenses/0/expression")), "{component}");
        // Ours are in the repository, and have no checksum in the lock.
        assert_eq!(text("/hashes/0/content").len(), if name.starts_with("chopmark") { 0 } else { 64 }, "{component}");
        named.insert((name, version));
    }
    assert_eq!(named, locked());
    assert_eq!(bill["dependencies"].as_array().unwrap().len(), components.len());
}

/// One form of saying that something could not be tested, because `.ci/run` counts it: that of two functions.
#[test]
fn tests_that_pass_something_over_say_so_in_one_form() {
    let words = ["SKIP", "PED"].concat();
    let said: Vec<PathBuf> =
        sources().into_iter().filter(|(_, text)| text.contains(&words)).map(|(path, _)| path).collect();
    assert_eq!(said, [Path::new("gpu-verify/src/optional.rs"), Path::new("tests/it/harness.rs")]);
}
