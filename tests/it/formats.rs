//! Lists for other programs, checked by the programs themselves: names of every sort, and a changed byte.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;

use crate::harness::{Home, Ran, can_test, soaked};
use crate::make::Random;

/// A program that writes and checks lists.
struct Tool {
    format: &'static str,
    program: PathBuf,
}

impl Tool {
    fn output(&self, directory: &Path, arguments: &[&OsStr]) -> Output {
        Command::new(&self.program).args(arguments).current_dir(directory).output().unwrap()
    }

    fn accepts(&self, directory: &Path, list: &Path) -> bool {
        let option = if self.format == "b3sum" { "--check" } else { "-c" };
        self.output(directory, &[OsStr::new(option), list.as_os_str()]).status.success()
    }
}

/// `sha256sum`, which every Linux has, and `b3sum` where there is one: at least where `CHOPMARK_TEST_B3SUM` says.
fn tools() -> Vec<Tool> {
    let there_is =
        |program: &Path| Command::new(program).arg("--version").output().is_ok_and(|ran| ran.status.success());
    let named = std::env::var_os("CHOPMARK_TEST_B3SUM").filter(|name| !name.is_empty());
    let is_named = named.is_some();
    let b3sum = named.map_or_else(|| "b3sum".into(), PathBuf::from);
    let mut tools = Vec::new();
    for (format, program, is_required) in
        [("sha256sum", "sha256sum".into(), cfg!(target_os = "linux")), ("b3sum", b3sum, is_named)]
    {
        if can_test(&format!("lists beside {format}"), is_required, there_is(&program)) {
            tools.push(Tool { format, program });
        }
    }
    assert!(!tools.is_empty(), "neither sha256sum nor b3sum is here");
    tools
}

fn hash(home: &Home, path: &OsStr, more: &[&str]) -> Output {
    let mut command = home.command(&["hash", "--quiet"]);
    command.args(more).arg("--").arg(path).output().unwrap()
}

fn list(home: &Home, path: &OsStr, format: &str) -> Vec<u8> {
    let ran = hash(home, path, &["--format", format]);
    assert!(ran.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&ran.stderr));
    ran.stdout
}

/// A model with names that need care, in a directory of this name.
fn model(home: &Home, directory: &OsStr) -> PathBuf {
    let model = home.work().join(directory);
    fs::create_dir_all(model.join("sub dir")).unwrap();
    for name in ["config.json", " two  spaces ", "-c", "*star", "sub dir/模型.bin", "é", "a'b\"c$d", "#x", "..."] {
        fs::write(model.join(name), name.repeat(3)).unwrap();
    }
    fs::write(model.join("empty"), "").unwrap();
    fs::write(model.join("large.bin"), vec![7; (1 << 20) + 1]).unwrap();
    model
}

#[test]
fn the_programs_themselves_accept_our_lists_and_write_the_same() {
    for tool in tools() {
        let home = Home::new();
        for directory in ["model", "with space", "-", "new\nline", "back\\slash", "both\\\n", "模型"] {
            let directory = OsStr::new(directory);
            let model = model(&home, directory);
            let ours = list(&home, directory, tool.format);
            let place = home.file("LIST");
            fs::write(&place, &ours).unwrap();
            assert!(tool.accepts(&home.work(), &place), "{} {directory:?}", tool.format);

            // Line for line what the program writes about the same files, in the order of our manifest.
            let mut files: Vec<_> = walk(&model).into_iter().map(|file| Path::new(directory).join(file)).collect();
            files.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
            let mut arguments = vec![OsStr::new("--")];
            arguments.extend(files.iter().map(|file| file.as_os_str()));
            let theirs = tool.output(&home.work(), &arguments).stdout;
            assert_eq!(String::from_utf8_lossy(&ours), String::from_utf8_lossy(&theirs), "{directory:?}");
            assert_eq!(ours, theirs, "{directory:?}");

            // From inside, names stand as everybody writes them.
            let mut command = home.command(&["hash", ".", "--quiet", "--format", tool.format]);
            let inside = command.current_dir(&model).output().unwrap();
            assert!(inside.status.success());
            assert!(!String::from_utf8_lossy(&inside.stdout).contains("  ./"), "{inside:?}");
            fs::write(&place, &inside.stdout).unwrap();
            assert!(tool.accepts(&model, &place), "{} inside {directory:?}", tool.format);
        }
    }
}

/// Files below a directory, relative to it.
fn walk(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.push(path.strip_prefix(directory).unwrap().to_owned());
            }
        }
    }
    files
}

#[test]
fn a_changed_byte_makes_the_programs_fail() {
    for tool in tools() {
        let home = Home::new();
        let model = model(&home, OsStr::new("new\nline"));
        fs::write(home.file("LIST"), list(&home, OsStr::new("new\nline"), tool.format)).unwrap();
        for name in walk(&model).into_iter().filter(|name| name != Path::new("empty")) {
            let path = model.join(name);
            let honest = fs::read(&path).unwrap();
            let mut changed = honest.clone();
            let last = changed.len() - 1;
            changed[last] ^= 1;
            fs::write(&path, changed).unwrap();
            assert!(!tool.accepts(&home.work(), &home.file("LIST")), "{} {path:?}", tool.format);
            fs::write(&path, honest).unwrap();
        }
        assert!(tool.accepts(&home.work(), &home.file("LIST")));
    }
}

#[test]
fn a_single_file_may_have_any_name_that_the_program_reads_back() {
    let mut random = Random::new(4);
    let mut names: Vec<Vec<u8>> = vec![
        b"plain.bin".to_vec(),
        b"-".to_vec(),
        b"a\nb".to_vec(),
        b"a\\b".to_vec(),
        b"a\\nb".to_vec(),
        b"\\".to_vec(),
        b"\n".to_vec(),
        b"a\rb".to_vec(),
        b"trailing\r".to_vec(),
        b" ".to_vec(),
        b"a\xff\xfe".to_vec(),
        "a\u{FFFD}".as_bytes().to_vec(),
        "e\u{301}\u{202e}".as_bytes().to_vec(),
        b"tab\tbell\x07".to_vec(),
        b"x  y".to_vec(),
        vec![b'n'; 255],
    ];
    for _ in 0..soaked(60, 2_000) {
        const BYTES: &[u8] = b"\\\n\r ab-*\xc3\xa9\xff\t:()=";
        names.push((0..=random.below(12)).map(|_| BYTES[random.below(BYTES.len())]).collect());
    }
    for tool in tools() {
        let home = Home::new();
        let mut refused = 0;
        for name in names.iter().filter(|name| !matches!(name.as_slice(), b"." | b"..")) {
            let path = OsString::from_vec(name.clone());
            if fs::write(home.work().join(&path), name).is_err() {
                println!("this file system holds no file {path:?}");
                continue;
            }
            let ran = hash(&home, &path, &["--format", tool.format]);
            if ran.status.success() {
                fs::write(home.file("LIST"), &ran.stdout).unwrap();
                assert!(tool.accepts(&home.work(), &home.file("LIST")), "{} {path:?}", tool.format);
                if path != "-" {
                    let theirs = tool.output(&home.work(), &[OsStr::new("--"), &path]).stdout;
                    assert_eq!(ran.stdout, theirs, "{path:?}");
                }
            } else {
                // Refused only where b3sum could not read the name back, and named.
                let text = String::from_utf8_lossy(name);
                assert!(tool.format == "b3sum" && text.contains(['\u{FFFD}', '\r']), "{path:?}: {ran:?}");
                assert_eq!(ran.status.code(), Some(9));
                let words = String::from_utf8_lossy(&ran.stderr).into_owned();
                assert!(words.contains(&text.escape_debug().to_string()), "{words}");
                refused += 1;
            }
        }
        assert_eq!(refused > 0, tool.format == "b3sum");
    }
}

#[test]
fn what_is_not_on_the_list_is_said_and_written_files_are_whole() {
    let home = Home::new();
    model(&home, OsStr::new("model"));
    fs::write(home.file("model/model.sig"), "x").unwrap();
    let ran = home.run(&["hash", "model", "--format", "sha256sum"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.contains("not on the list: model.sig") && !ran.stdout.contains("model.sig"), "{ran:?}");
    let (code, document) = home.json(&["hash", "model", "--format", "sha256sum", "--output", "SHA256SUMS"]);
    assert_eq!((code, &document["list"]), (0, &json!({"format": "sha256sum", "path": "SHA256SUMS"})), "{document}");
    assert_eq!(fs::read_to_string(home.file("SHA256SUMS")).unwrap(), ran.stdout);
    assert_eq!(document["excluded"], json!(["model.sig"]));

    // The document is that of --json, in a file as well.
    let (_, whole) = home.json(&["hash", "model"]);
    let ran = home.run(&["hash", "model", "--format", "json", "--output", "hash.json"]);
    assert_eq!(ran.document(), whole);
    assert_eq!(fs::read_to_string(home.file("hash.json")).unwrap(), ran.stdout);
    let ran = home.run(&["hash", "nothing", "--format", "json"]);
    assert_eq!((ran.code, &ran.document()["error"]["code"]), (2, &json!("not_found")));

    for refused in [
        ["hash", "model", "--format", "b3sum", "--json"].as_slice(),
        &["hash", "model", "--output", "x"],
        &["hash", "model", "--format", "b3sum", "--output", "no/x"],
        &["hash", "model", "--format", "b3sum", "--output", "model"],
    ] {
        let ran = home.run(refused);
        assert_eq!(ran.code, 2, "{refused:?}: {ran:?}");
    }
    assert!(!home.file("x").exists());
    // What is hashed is not replaced by its digests, nor is anything else that is no list or document.
    let inside = fs::read_dir(home.file("model")).unwrap().map(|entry| entry.unwrap().path());
    let file = inside.filter(|path| path.is_file()).max().unwrap();
    let content = fs::read(&file).unwrap();
    for format in ["sha256sum", "b3sum", "json"] {
        for hashed in [file.as_path(), Path::new("model")] {
            let mut command = home.command(&["hash", "--format", format]);
            let ran = Ran::of(command.arg(hashed).arg("--output").arg(&file).output().unwrap());
            let said = format!("{}{}", ran.stdout, ran.stderr);
            assert!(ran.code == 2 && said.contains("choose another file"), "{format}: {ran:?}");
        }
    }
    assert_eq!(fs::read(&file).unwrap(), content);
    for (format, output) in [("sha256sum", "SHA256SUMS"), ("json", "hash.json")] {
        let ran = home.run(&["hash", "model", "--format", format, "--output", output]);
        assert_eq!(ran.code, 0, "an older one is replaced: {ran:?}");
    }
    // A file that a manifest can't name is named, and nothing is written.
    fs::write(home.file("model/a\\b"), "x").unwrap();
    let ran = home.run(&["hash", "model", "--format", "sha256sum", "--output", "OTHER"]);
    assert!(ran.code == 9 && ran.stderr.contains("a\\\\b") && !home.file("OTHER").exists(), "{ran:?}");
}

#[test]
fn cached_repositories_are_listed_where_their_files_are() {
    for tool in tools() {
        let home = Home::new();
        let repository = home.file("models--lam--tiny");
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let snapshot = repository.join("snapshots").join(commit);
        fs::create_dir_all(&snapshot).unwrap();
        fs::create_dir_all(repository.join("blobs")).unwrap();
        fs::write(repository.join("blobs/abc"), "weights").unwrap();
        symlink("../../blobs/abc", snapshot.join("model.bin")).unwrap();
        for path in ["models--lam--tiny".to_owned(), format!("models--lam--tiny/snapshots/{commit}")] {
            fs::write(home.file("LIST"), list(&home, OsStr::new(&path), tool.format)).unwrap();
            assert!(tool.accepts(&home.work(), &home.file("LIST")), "{path}");
        }
    }
}
