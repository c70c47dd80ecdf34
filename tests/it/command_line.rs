//! What scripts rely on: one JSON document per command, exit codes, completions, Ctrl-C, and answers that get lost.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::harness::{Home, Ran, signal, wait_at_most};
use crate::make::small_manifest;
use crate::register::{Registered, registered};
use crate::shared;
use crate::verify::closed_port;

#[test]
fn every_command_answers_with_one_document() {
    let Registered { home, url, .. } = registered();
    let service = shared::service();
    let data = service.directory.to_str().unwrap();
    let closed = closed_port();
    let nowhere = home.file("no registry");
    let nowhere = nowhere.to_str().unwrap();
    for (code, command, arguments) in [
        (0, "key new", ["key", "new", "--out", "fresh.key"].as_slice()),
        (2, "key new", &["key", "new", "--out", "fresh.key"]),
        (0, "key show", &["key", "show", "--key", "fresh.key"]),
        (4, "key show", &["key", "show", "--key", "missing.key"]),
        (0, "hash", &["hash", "model"]),
        (2, "hash", &["hash", "missing"]),
        (0, "register", &["register", "model", "--licence", "mit", "--version", "9", "--dry-run", "--url", url]),
        (2, "register", &["register", "model", "--licence", "nonsense"]),
        (2, "register", &["register", "missing", "--licence", "mit"]),
        (8, "register", &["register", "model", "--licence", "mit", "--url", &closed]),
        (8, "party register", &["party", "register", "--name-en", "A", "--jurisdiction", "HK", "--url", &closed]),
        (2, "party register", &["party", "register", "--name-en", "A\u{202e}", "--jurisdiction", "HK", "--url", url]),
        (
            2,
            "party register",
            &["party", "register", "--name-en", "A", "--jurisdiction", "HK", "--lei", "X", "--url", url],
        ),
        (0, "verify", &["verify", "model", "--bundle", "model.chop", "--offline"]),
        (2, "verify", &["verify", "model", "--offline"]),
        (2, "verify", &["verify", "model", "--bundle", "missing.chop", "--offline"]),
        (0, "audit", &["audit", "--data-dir", data]),
        (0, "db rebuild", &["db", "rebuild", "--data-dir", data]),
        (1, "db rebuild", &["db", "rebuild", "--data-dir", nowhere]),
        (0, "db url", &["db", "url", "--data-dir", data]),
        (1, "db url", &["db", "url", "--data-dir", nowhere]),
        (0, "licence new", &["licence", "new", "--preset", "openrail", "--out", "terms.json"]),
        (2, "licence new", &["licence", "new", "--preset", "openrail", "--out", "terms.json"]),
        (0, "licence show", &["licence", "show", "terms.json"]),
        (2, "licence show", &["licence", "show", "missing.json"]),
        (0, "licence check", &["licence", "check", "--parent", "MIT", "--relation", "merge", "--terms", "terms.json"]),
        (2, "licence check", &["licence", "check", "--parent", "nonsense", "--relation", "merge", "--terms", "MIT"]),
        (0, "completions", &["completions", "bash"]),
        (2, "completions", &["completions", "cobol"]),
        (2, "ledger init", &["ledger", "init", "--origin"]),
        (2, "serve", &["serve", "--listen", "nonsense"]),
        (2, "verify", &["verify"]),
    ] {
        let (found, document) = home.json(arguments);
        assert_eq!((found, document["command"].as_str()), (code, Some(command)), "{arguments:?}: {document}");
        if code == 0 {
            assert!(document["error"].is_null(), "{document}");
        } else {
            assert!(document["error"]["code"].is_string() && document["error"]["message"].is_string(), "{document}");
        }
    }
    for arguments in [["--help"].as_slice(), &["--version"], &["register", "--help"]] {
        assert_eq!(home.json(arguments).0, 0, "{arguments:?}");
    }
    for arguments in [[].as_slice(), &["frobnicate"], &["--frobnicate"]] {
        assert_eq!(home.json(arguments).0, 2, "{arguments:?}");
    }
    // In words, results are on stdout and what went wrong is on stderr.
    let ran = home.run(&["hash", "missing"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
    assert!(ran.stderr.starts_with("error: "), "{ran:?}");
    let ran = home.run(&["hash", "model", "--quiet"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
}

#[test]
fn hash_computes_the_digests_asked_for_and_no_others() {
    // As sha256sum, b3sum and `fsverity digest --compact` print them of the same three bytes.
    let of_abc = [
        ("sha256", "sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("blake3", "blake3", "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
        ("fsverity", "fsverity-sha256-4096", "700b6bd8510f0b4f9bac8b9cf0459151a1c4a99f467892bb4bd289a67df8e19c"),
    ];
    let home = Home::new();
    fs::create_dir(home.file("three")).unwrap();
    fs::write(home.file("three/abc"), "abc").unwrap();
    for (kind, member, digest) in of_abc {
        let (code, document) = home.json(&["hash", "three", "--digest", kind]);
        assert_eq!(code, 0, "{document}");
        let mut expected = json!({ "path": "abc", "size_bytes": 3 });
        expected[member] = json!(digest);
        assert_eq!(document["digests"], json!([expected]));
        assert!(document["manifest"].is_null() && document["manifest_sha256"].is_null(), "{document}");
        let ran = home.run(&["hash", "three", "--digest", kind, "--quiet"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        for (other, _, digest) in of_abc {
            assert_eq!(ran.stdout.contains(digest), other == kind, "{}", ran.stdout);
        }
    }
    let (_, plain) = home.json(&["hash", "three"]);
    let (code, document) = home.json(&["hash", "three", "--digest", "fsverity,blake3,sha256"]);
    assert_eq!((code, &document["manifest"]), (0, &plain["manifest"]));
    for (_, member, digest) in of_abc {
        assert_eq!(document["digests"][0][member], digest);
    }
    assert!(plain["digests"].is_null(), "{plain}");
    assert_eq!(home.json(&["hash", "three", "--digest", "md5"]).0, 2);
}

/// A directory whose name is no UTF-8 is one like any other, also in answers that name it.
#[test]
fn paths_that_are_no_text_are_told_apart_in_answers() {
    let Registered { url, .. } = registered();
    let home = registered().another_home();
    let place = |name: &str| Path::new(OsStr::from_bytes(b"odd \xff\xe6")).join(name);
    let shown = |name: &str| json!(format!("odd \u{FFFD}ff\u{FFFD}e6/{name}"));
    fs::create_dir_all(home.work().join(place("model"))).unwrap();
    fs::write(home.work().join(place("model/weights.bin")), "weights in an odd place").unwrap();
    let send = ["--url", url, "--accept-public-record"];
    for (arguments, paths, more, members) in [
        (["key", "new"].as_slice(), [("--out", "k")].as_slice(), [].as_slice(), [("/path", "k")].as_slice()),
        (&["key", "show"], &[("--key", "k")], &[], &[("/keys/0/path", "k")]),
        (&["licence", "new", "--preset", "permissive"], &[("--out", "t.json")], &[], &[("/path", "t.json")]),
        (
            &["register", "--licence", "mit", "--name-en", "odd"],
            &[("", "model"), ("--out", "m.chop"), ("--sidecar", "m.b3tree")],
            &send,
            &[("/bundle", "m.chop"), ("/sidecar", "m.b3tree")],
        ),
        (
            &["register", "--licence", "mit", "--name-en", "odd", "--version", "2"],
            &[("", "model"), ("--sign-only", "s.json")],
            &send,
            &[("/file", "s.json")],
        ),
        (&["hash"], &[("", "model"), ("--sidecar", "h.b3tree")], &[], &[("/sidecar", "h.b3tree")]),
        (
            &["verify", "--offline"],
            &[("", "model"), ("--bundle", "m.chop")],
            &[],
            &[("/path", "model"), ("/bundle", "m.chop"), ("/sidecar", "m.b3tree")],
        ),
        (&["attest", "--zone", "HK"], &[("", "model"), ("--bundle", "m.chop")], &send, &[("/path", "model")]),
    ] {
        let mut command = home.command(arguments);
        for (flag, path) in paths {
            command.args(Some(flag).filter(|flag| !flag.is_empty())).arg(place(path));
        }
        let ran = Ran::of(command.args(more).arg("--json").output().unwrap());
        let answer = ran.document();
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        for (pointer, path) in members {
            assert_eq!(answer.pointer(pointer), Some(&shown(path)), "{arguments:?}: {answer}");
        }
    }
}

#[test]
fn completions_are_for_the_shells_people_use() {
    let home = Home::new();
    for (shell, words) in [("bash", "complete -F"), ("zsh", "#compdef chopmark"), ("fish", "complete -c chopmark")] {
        let ran = home.run(&["completions", shell]);
        assert_eq!(ran.code, 0);
        for word in [words, "register", "verify", "party"] {
            assert!(ran.stdout.contains(word), "{shell}: {word} is missing");
        }
    }
    // What bash is given, bash understands.
    let script = home.run(&["completions", "bash"]).stdout;
    let mut bash = std::process::Command::new("bash").args(["-n"]).stdin(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success());
}

#[test]
fn settings_come_from_the_flag_then_the_environment_then_files() {
    let Registered { home, url, .. } = registered();
    let other = Home::inside(&home.file("settings"));
    let closed = closed_port();
    let run = |environment: Option<&str>, flag: Option<&str>| {
        let mut command = other.command(&["verify", home.file("model").to_str().unwrap(), "--json"]);
        if let Some(url) = environment {
            command.env("CHOPMARK_URL", url);
        }
        if let Some(url) = flag {
            command.args(["--url", url]);
        }
        command.env("CHOPMARK_TRUST", home.config().join("trust.toml"));
        Ran::of(command.output().unwrap()).code
    };
    fs::create_dir_all(other.config()).unwrap();
    fs::write(other.config().join("config.toml"), format!("url = \"{url}\"\n")).unwrap();
    assert_eq!(run(None, None), 0, "the user's file");
    fs::write(other.file("chopmark.toml"), format!("url = \"{closed}\"\n")).unwrap();
    assert_eq!(run(None, None), 8, "the project's file before the user's");
    assert_eq!(run(Some(url), None), 0, "the environment before files");
    assert_eq!(run(Some(url), Some(&closed)), 8, "the flag before the environment");
    fs::write(other.file("chopmark.toml"), "url = 3\n").unwrap();
    assert_eq!(run(Some(url), None), 2, "a settings file that can't be read is never passed over");
}

/// Starts a command on a file that takes minutes to hash, interrupts it, and returns how it ended.
fn interrupt(home: &Home, arguments: &[&str]) -> Ran {
    let mut command = home.command(arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    // The phase is announced once signals are taken over and hashing begins.
    while !said.contains("hashing") {
        assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "it ended before it began to hash: {said}");
    }
    thread::sleep(Duration::from_millis(100));
    signal(&child, Signal::INT);
    let status = wait_at_most(&mut child, Duration::from_secs(30)).expect("it does not stop");
    stderr.read_to_string(&mut said).unwrap();
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    Ran { code: status.code().unwrap_or(-1), stdout, stderr: said }
}

#[test]
fn ctrl_c_ends_cleanly_and_leaves_nothing_half_done() {
    let Registered { url, .. } = registered();
    let home = registered().another_home();
    fs::copy(registered().home.file("model.chop"), home.file("model.chop")).unwrap();
    fs::create_dir_all(home.file("endless")).unwrap();
    // A name that the model has as well: what nobody registered would not be read.
    let sparse = fs::File::create(home.file("endless/vocab.txt")).unwrap();
    sparse.set_len(256 << 30).unwrap();
    for arguments in [
        ["hash", "endless", "--json"].as_slice(),
        &["register", "endless", "--licence", "mit", "--url", url, "--json"],
        &["verify", "endless", "--bundle", "model.chop", "--offline", "--json"],
    ] {
        let ran = interrupt(&home, arguments);
        assert_eq!(ran.code, 130, "{arguments:?}: {ran:?}");
        assert_eq!(ran.document()["error"]["code"], "interrupted", "{ran:?}");
    }
    let ran = interrupt(&home, &["hash", "endless"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (130, ""), "{ran:?}");
    assert!(!home.file("endless.chop").exists());
    assert_eq!(home.pending(), 0);
    let leftovers = fs::read_dir(home.work())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with('.'));
    assert_eq!(leftovers.count(), 0, "temporary files are left");
}

/// Whoever reads the answer may have stopped; that is no reason to stay.
#[test]
fn a_signal_ends_what_waits_for_its_reader() {
    let home = Home::new();
    fs::create_dir(home.file("many")).unwrap();
    for number in 0..1_500 {
        fs::write(home.file(&format!("many/{number:0>100}")), "").unwrap();
    }
    let mut command = home.command(&["hash", "many", "--format", "b3sum"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // The first line is there, so all of it is being written, and it is more than a pipe holds.
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 64]).unwrap();
    assert!(wait_at_most(&mut child, Duration::from_millis(200)).is_none(), "nothing waits for its reader");
    signal(&child, Signal::TERM);
    let status = wait_at_most(&mut child, Duration::from_secs(30)).expect("it does not stop");
    assert_eq!(status.code(), Some(130));
}

/// A service whose answers to what is posted get lost: it arrives, and then the connection breaks.
fn losing_answers(to: &str) -> String {
    losing(to, |head| head.starts_with("POST "))
}

/// A service that gets every request, and some of whose answers get lost.
pub fn losing(to: &str, is_lost: fn(&str) -> bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let to = to.strip_prefix("http://").unwrap().to_owned();
    thread::spawn(move || {
        for client in listener.incoming() {
            relay(client.unwrap(), &to, is_lost).unwrap();
        }
    });
    address
}

/// Passes one request on, and the answer back unless it gets lost.
fn relay(mut client: TcpStream, to: &str, is_lost: fn(&str) -> bool) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let start = head.len();
        reader.read_line(&mut head)?;
        let line = head[start..].to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut service = TcpStream::connect(to)?;
    service.write_all(head.replacen("\r\n", "\r\nConnection: close\r\n", 1).as_bytes())?;
    service.write_all(&body)?;
    let mut answer = Vec::new();
    service.read_to_end(&mut answer)?;
    if is_lost(&head) { Ok(()) } else { client.write_all(&answer) }
}

#[test]
fn an_answer_that_got_lost_is_asked_for_again_with_the_same_statement() {
    let Registered { url, .. } = registered();
    let home = registered().another_home();
    fs::create_dir_all(home.file("lost")).unwrap();
    fs::write(home.file("lost/weights.bin"), "the answer to this gets lost").unwrap();
    let lossy = losing_answers(url);
    let register = |url: &str| home.json(&["register", "lost", "--licence", "mit", "--url", url]);
    let (code, failure) = register(&lossy);
    assert_eq!(code, 8, "{failure}");
    assert_eq!(home.pending(), 1, "the signed statement is kept");
    assert!(!home.file("lost.chop").exists());
    // It arrived, though nobody knows here.
    let digest = chopmark_core::digest::Sha256Digest::of(b"the answer to this gets lost");
    let found = |digest: &chopmark_core::digest::Sha256Digest| {
        shared::service().get(&format!("/v1/artefacts?digest={digest}")).json()["artefacts"].clone()
    };
    let there = found(&digest);
    assert_eq!(there.as_array().map(Vec::len), Some(1), "{there}");

    let (code, answer) = register(url);
    assert_eq!((code, &answer["resumed"]), (0, &json!(true)), "{answer}");
    assert_eq!(answer["artefact_id"], there[0]["artefact_id"]);
    assert_eq!(answer["index"], there[0]["index"]);
    assert_eq!(found(&digest), there, "one entry, not two");
    assert_eq!(home.pending(), 0);
    assert_eq!(home.json(&["verify", "lost", "--bundle", "lost.chop", "--offline"]).0, 0);
}

/// The licence was judged when the statement was signed. What became known since is no reason to say that it was refused,
/// because it may be in the log; but other bytes are another statement, which is judged anew.
#[test]
fn a_statement_whose_answer_got_lost_is_sent_again_before_anything_is_judged_anew() {
    let Registered { url, .. } = registered();
    let (service, home) = (shared::service(), registered().another_home());
    let (_, log_key) = shared::registry(service);
    let base = small_manifest("base of what got lost");
    let parent = format!("sha256:{}", base.digest());
    fs::write(home.file("tuned.bin"), "tuned").unwrap();
    let register = |url: &str, file: &str, more: &[&str]| {
        let common = ["--licence", "mit", "--parent", &parent, "--relation", "finetune", "--url", url];
        home.json(&[&["register", file], &common[..], more].concat())
    };
    let lossy = losing_answers(url);
    assert_eq!(register(&lossy, "tuned.bin", &[]).0, 8, "nobody knows the parent yet");
    assert_eq!(home.pending(), 1);

    let owner = shared::author(service, "owner of the base of what got lost");
    let base = crate::find::artefact(&owner, "The base", &base, |claim| {
        claim.licence = chopmark_core::licence::DeclaredLicence::parse("cc-by-nd-4.0").unwrap();
    });
    shared::enter(service, &base, &log_key);
    fs::write(home.file("other.bin"), "another").unwrap();
    let (code, refused) = register(url, "other.bin", &[]);
    assert_eq!((code, &refused["error"]["code"]), (10, &json!("licence_conflict")), "{refused}");
    fs::write(home.file("tuned.bin"), "tuned, and changed since").unwrap();
    let (code, refused) = register(url, "tuned.bin", &[]);
    assert_eq!((code, &refused["error"]["code"]), (10, &json!("licence_conflict")), "{refused}");
    assert_eq!(home.pending(), 1, "it may be in the log");

    fs::write(home.file("tuned.bin"), "tuned").unwrap();
    let (code, answer) = register(url, "tuned.bin", &["--accept-conflict"]);
    assert_eq!((code, &answer["resumed"]), (0, &json!(true)), "{answer}");
    assert!(answer["artefact"]["accepts_conflict"].is_null(), "it says what it said: {answer}");
    assert_eq!(home.pending(), 0);
}
