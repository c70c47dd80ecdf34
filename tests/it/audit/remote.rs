//! The audit over HTTP: of an honest service, of one whose database was changed, and of one that lies.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use chopmark_core::expenditure::{CorrectionClaim, CorrectionReason, ExpenditureClaim, Nature};
use chopmark_core::kind::Claim;
use serde_json::Value;

use super::{Audited, assert_found, audited, flip};
use crate::make::Author;
use crate::reports::books::{Books, Company, figures};
use crate::shared;

fn audit(audited: &Audited, url: &str, more: &[&str]) -> (i32, Value) {
    audited.home.json(&[&["audit", "--url", url, "--log-key", &audited.log_key], more].concat())
}

#[test]
fn an_honest_service_is_clean_and_a_stranger_is_not_believed() {
    let mut audited = audited();
    let url = audited.service.url().to_owned();
    let (code, document) = audit(&audited, &url, &[]);
    assert_eq!((code, document["state"].as_str()), (0, Some("clean")), "{document}");
    for (member, number) in [("entries", audited.size), ("judged", audited.size), ("tiles", 1), ("checkpoints", 1)] {
        assert_eq!(document[member], number, "{member}: {document}");
    }
    assert!(document["documents"].as_u64().unwrap() > 262, "{document}");
    // Without a key there must be trust, and there is none yet.
    let (code, document) = audited.home.json(&["audit", "--url", &url]);
    assert_eq!((code, document["error"]["code"].as_str()), (9, Some("no_trust")), "{document}");
    let (reference, log_key) = shared::registry(&audited.service);
    let policy = |genesis: &str| {
        let text = format!(
            "[[registry]]\norigin = {:?}\nlog_key = \"{log_key}\"\ngenesis = \"{genesis}\"\n",
            reference.origin
        );
        let path = audited.home.file("policy.toml");
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let trusted = audited.home.json(&["audit", "--url", &url, "--trust", &policy(&reference.genesis.to_hex())]);
    assert_eq!(trusted.0, 0, "{}", trusted.1);
    let (code, document) = audited.home.json(&["audit", "--url", &url, "--trust", &policy(&"ab".repeat(32))]);
    assert_eq!((code, document["error"]["code"].as_str()), (6, Some("registry_changed")), "{document}");

    // From a saved checkpoint on only what is new is asked for.
    let file = audited.home.file("remote.checkpoint");
    let path = file.to_str().unwrap();
    assert_eq!(audit(&audited, &url, &["--save", path]).0, 0);
    let from = audited.size;
    let (other, party) = Author::new(&reference, "came after the saved checkpoint", 1, 1);
    for submission in [audited.author.artefact("after the saved checkpoint"), party, other.artefact("by somebody new")]
    {
        shared::enter(&audited.service, &submission, &log_key);
        audited.size += 1;
    }
    audited.wait_until_applied();
    let (code, document) = audit(&audited, &url, &["--from", path, "--against", path, "--save", path]);
    assert_eq!(code, 0, "{document}");
    for (member, number) in [("entries", from + 3), ("judged", 3), ("documents", 2), ("outside_roots", 2)] {
        assert_eq!(document[member], number, "{member}: {document}");
    }
    assert_eq!(document["not_repeated"].as_array().unwrap().len(), 3, "{document}");
    let (code, document) = audit(&audited, &url, &["--from", path]);
    assert_eq!((code, &document["judged"]), (0, &0.into()), "{document}");
}

/// What new entries are about may lie below the checkpoint, corrected there, and is asked for with its corrections.
#[test]
fn payments_uses_and_corrections_go_on_across_a_saved_checkpoint() {
    let mut audited = audited();
    let url = audited.service.url().to_owned();
    let file = audited.home.file("books.checkpoint");
    let path = file.to_str().unwrap();
    let (company, other) =
        (Company::new(&audited.service, "books kept for years"), Company::new(&audited.service, "reads those books"));
    let mut books = Books::of(&audited.service, &company);
    let fee = figures("100.00", "HKD");
    let asset = books.asset("a mark");
    let paid = books.royalty("Maker Limited", "HK", "R-1", &fee);
    let corrected = books.royalty("Maker Limited", "HK", "R-2", &fee);
    let correction = books.correct_royalty(corrected, "Maker Limited", "HK", "R-2", &figures("90.00", "HKD"));
    assert_eq!(audit(&audited, &url, &["--save", path]).0, 0);
    let from = shared::size(&audited.service);

    // The endorsement alone would do without the correction; what comes after it would not.
    Books::of(&audited.service, &other).endorse(corrected);
    books.used(asset, "2025/26", "0.25");
    books.pay(
        ExpenditureClaim {
            asset: Some(asset),
            ..ExpenditureClaim::unsealed(
                Nature::Registration,
                company.side(),
                other.side(),
                "R-3".to_owned(),
                "2026-05-02".parse().unwrap(),
            )
        },
        &fee,
    );
    books.correct_royalty(paid, "Maker Limited", "HK", "R-1", &figures("80.00", "HKD"));
    books.say(Claim::Correction(CorrectionClaim {
        entry: corrected,
        prev: correction,
        reason: CorrectionReason::NotIncurred,
        replacement: None,
    }));
    audited.size = shared::size(&audited.service);
    audited.wait_until_applied();
    let (code, document) = audit(&audited, &url, &["--from", path]);
    assert_eq!((code, &document["judged"]), (0, &(audited.size - from).into()), "{document}");
    audited.assert_clean();
}

#[test]
fn a_service_over_a_changed_database_is_named() {
    let audited = audited();
    let url = audited.service.url().to_owned();
    let flip = |column: &str, index: u64| format!("UPDATE log.entry SET {} WHERE idx = {index}", flip(column, 77));
    for (what, change, object, index) in [
        ("a body in a full bundle", flip("body", 90), "entry 90 in /tile/entries/000", 90),
        ("a body in the last bundle", flip("body", 261), "entry 261 in /tile/entries/001", 261),
    ] {
        audited.change(&change);
        assert_found(&audit(&audited, &url, &[]), object, Some(index), what);
        audited.change(&change);
    }
    let gone = "CREATE TABLE public.kept AS SELECT d.* FROM log.document d JOIN view.artefact a ON a.manifest = d.sha256 \
         WHERE a.idx = 12; DELETE FROM log.document d USING public.kept k WHERE k.sha256 = d.sha256";
    audited.change(gone);
    assert_found(&audit(&audited, &url, &[]), "/v1/documents/", Some(12), "a document gone");
    audited.change("INSERT INTO log.document SELECT sha256, body || ' ' FROM public.kept");
    assert_found(&audit(&audited, &url, &[]), "/v1/documents/", Some(12), "another document");
    audited.change(
        "UPDATE log.document d SET body = k.body FROM public.kept k WHERE k.sha256 = d.sha256; DROP TABLE public.kept",
    );
    audited.assert_clean();
}

type Files = BTreeMap<String, Vec<u8>>;

/// Serves files that may be changed at any time; `busy` requests are refused first.
struct Liar {
    url: String,
    files: Arc<Mutex<Files>>,
    busy: Arc<Mutex<u32>>,
}

impl Liar {
    fn start(files: Files) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (files, busy) = (Arc::new(Mutex::new(files)), Arc::new(Mutex::new(0)));
        let (shown, refusing) = (Arc::clone(&files), Arc::clone(&busy));
        // Ends with the test executable.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shown, refusing) = (Arc::clone(&shown), Arc::clone(&refusing));
                thread::spawn(move || Self::answer(&stream, &shown, &refusing));
            }
        });
        Self { url, files, busy }
    }

    fn answer(stream: &TcpStream, files: &Mutex<Files>, busy: &Mutex<u32>) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        loop {
            let mut first = String::new();
            if reader.read_line(&mut first).unwrap_or(0) == 0 {
                return;
            }
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap_or(0) > 2 {
                line.clear();
            }
            let path = first.split(' ').nth(1).unwrap();
            let mut busy = busy.lock().unwrap();
            let is_busy = *busy > 0;
            *busy = busy.saturating_sub(1);
            let file = files.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
            let (status, more, body) = match file {
                _ if is_busy => ("503 Service Unavailable", "Retry-After: 1\r\n", Vec::new()),
                Some(body) => ("200 OK", "", body),
                None => ("404 Not Found", "", Vec::new()),
            };
            let head = format!("HTTP/1.1 {status}\r\n{more}Content-Length: {}\r\n\r\n", body.len());
            let mut stream = stream;
            if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).is_err() {
                return;
            }
        }
    }

    fn edit(&self, path: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        edit(self.files.lock().unwrap().get_mut(path).unwrap_or_else(|| panic!("no {path}")));
    }
}

/// Everything an audit over HTTP reads, as the honest service shows it.
fn copied(audited: &Audited) -> Files {
    let rest = audited.size - 256;
    let mut paths =
        vec!["/checkpoint".to_owned(), "/tile/0/000".into(), "/tile/entries/000".into(), "/tile/1/000.p/1".into()];
    paths.extend([format!("/tile/0/001.p/{rest}"), format!("/tile/entries/001.p/{rest}")]);
    let digests = audited.sql("SELECT DISTINCT encode(manifest, 'hex') FROM view.artefact");
    paths.extend(digests.lines().map(|digest| format!("/v1/documents/{digest}")));
    let read = |path: &String| {
        let answer = audited.service.get(path);
        assert_eq!(answer.status, 200, "{path}");
        (path.clone(), answer.body)
    };
    paths.iter().map(read).collect()
}

/// What is told about, where, how, what must be named, and from which entry on.
type Lie<'a> = (&'a str, &'a str, fn(&mut Vec<u8>), &'a str, Option<u64>);

#[test]
fn every_lie_over_http_is_named() {
    let audited = audited();
    let honest = copied(&audited);
    let liar = Liar::start(honest.clone());
    let audit = |more: &[&str]| audit(&audited, &liar.url, more);
    let (code, document) = audit(&[]);
    assert_eq!(code, 0, "files alone are enough: {document}");

    let rest = audited.size - 256;
    let (last_tile, last_bundle) = (format!("/tile/0/001.p/{rest}"), format!("/tile/entries/001.p/{rest}"));
    let document = honest.keys().find(|path| path.starts_with("/v1/documents/")).unwrap().as_str();
    let lies: [Lie<'_>; 9] = [
        ("a byte of an entry", "/tile/entries/000", |bytes| bytes[400] ^= 1, "entry 0 in /tile/entries/000", Some(0)),
        ("a bundle cut short", &last_bundle, |bytes| bytes.truncate(900), &last_bundle, Some(256)),
        ("a bundle with more", &last_bundle, |bytes| bytes.push(0), &last_bundle, Some(256)),
        (
            "a hash of a full tile",
            "/tile/0/000",
            |bytes| bytes[17 * 32] ^= 1,
            "entry 17 in /tile/entries/000",
            Some(17),
        ),
        (
            "a hash of a partial tile",
            &last_tile,
            |bytes| bytes[2 * 32] ^= 1,
            "entry 258 in /tile/entries/001",
            Some(258),
        ),
        ("a tile of another length", "/tile/0/000", |bytes| bytes.truncate(8_160), "/tile/0/000", Some(0)),
        ("a hash of the level above", "/tile/1/000.p/1", |bytes| bytes[9] ^= 1, "/tile/1/000.p/1", Some(0)),
        ("the checkpoint's root", "/checkpoint", |bytes| bytes[40] ^= 1, "/checkpoint", None),
        ("a document", document, |bytes| bytes.push(b'\n'), document, None),
    ];
    for (what, path, lie, object, index) in lies {
        liar.edit(path, lie);
        assert_found(&audit(&[]), object, index, what);
        liar.edit(path, |bytes| bytes.clone_from(&honest[path]));
    }
    // Something is not shown at all.
    for path in ["/tile/entries/000", "/tile/0/000", "/tile/1/000.p/1", &last_bundle, document] {
        liar.files.lock().unwrap().remove(path);
        assert_found(&audit(&[]), path, None, "not shown");
        liar.files.lock().unwrap().insert(path.to_owned(), honest[path].clone());
    }
    // An older checkpoint than the one kept: entries are withheld.
    let older = audited.sql("SELECT note FROM log.checkpoint WHERE size < 262 ORDER BY size DESC LIMIT 1");
    let kept = audited.kept.to_str().unwrap();
    liar.edit("/checkpoint", |bytes| *bytes = format!("{older}\n").into_bytes());
    for flag in ["--against", "--from"] {
        assert_found(&audit(&[flag, kept]), "kept.txt", None, "an older log");
    }
    liar.edit("/checkpoint", |bytes| bytes.clone_from(&honest["/checkpoint"]));
    // Whoever asks for patience is asked again.
    *liar.busy.lock().unwrap() = 2;
    let (code, document) = audit(&[]);
    assert_eq!(code, 0, "{document}");
}
