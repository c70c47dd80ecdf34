//! Hostile JSON at the one way in: every place of a request, an envelope and a signed payload, changed in every way that
//! parsers are known to disagree about. Each is refused with a code and a pointer to the place, and nothing is stored.
//!
//! Payloads are signed by a registered party with its real key, so that nothing but the content stands in their way.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use chopmark_core::statement::{Envelope, Issuer};
use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

use crate::harness::{Service, place};
use crate::json;
use crate::make::{Author, small_manifest};
use crate::shared::{self, registry};

/// A service that is only ever sent what must be refused, once these parties are registered; and what it then holds.
struct Quiet {
    service: Service,
    author: Author,
    stored: String,
}

fn quiet() -> &'static Quiet {
    static QUIET: OnceLock<Quiet> = OnceLock::new();
    QUIET.get_or_init(|| {
        // Removed by the service's watchdog once this executable has ended.
        let service = Service::start(&place().keep());
        let author = shared::author(&service, "hostile");
        let stored = stored(&service);
        Quiet { service, author, stored }
    })
}

/// What the database holds, table by table.
fn stored(service: &Service) -> String {
    let tables = "log.entry log.tile log.checkpoint log.document view.party view.key view.artefact \
                  view.artefact_digest view.nonce view.policy log.log_state";
    let counts: Vec<_> = tables.split_whitespace().map(|table| format!("(SELECT count(*) FROM {table})")).collect();
    service.sql(&format!("SELECT {}, (SELECT size FROM log.log_state)", counts.join(", "))).unwrap()
}

/// Sends requests, counts them, and demands the same of every refusal.
struct Sender<'a> {
    service: &'a Service,
    tried: BTreeMap<String, u32>,
    /// Refusals that point elsewhere than they should.
    astray: Vec<String>,
}

impl<'a> Sender<'a> {
    fn to(service: &'a Service) -> Self {
        Self { service, tried: BTreeMap::new(), astray: Vec::new() }
    }

    /// Sends a body that must be refused in `document` at `pointer`, and returns the code.
    fn refuse(&mut self, body: &[u8], document: &str, pointer: &str, what: &str) -> String {
        let answer = self.service.post(body);
        assert!((400..500).contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
        let problem = answer.problem();
        if (&problem["document"], &problem["pointer"]) != (&json!(document), &json!(pointer)) {
            self.astray.push(format!("{what}: expected {document} {pointer}, got {problem}"));
        }
        let code = problem["code"].as_str().unwrap().to_owned();
        *self.tried.entry(code.clone()).or_default() += 1;
        code
    }

    /// Says how many were refused, checks that there were enough and that all pointed at their place.
    fn finish(self, things: &str, at_least: u32) {
        let total: u32 = self.tried.values().sum();
        println!("{total} {things} with one place changed: {:?}, nothing stored", self.tried);
        assert_eq!(self.astray, [""; 0]);
        assert!(total >= at_least, "{total}");
    }
}

/// A request around any payload bytes, really signed.
fn request(payload: &[u8], keys: &[&SigningKey], documents: &[Vec<u8>]) -> Vec<u8> {
    let envelope = Envelope::sign(payload.to_vec(), keys).to_bytes();
    let documents: Vec<_> = documents.iter().map(|bytes| Value::from(BASE64.encode(bytes))).collect();
    [b"{\"envelope\":".as_slice(), &envelope, b",\"documents\":", Value::from(documents).to_string().as_bytes(), b"}"]
        .concat()
}

/// The pointer to what a member or an element is in.
fn parent(pointer: &str) -> &str {
    pointer.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Every change to a document that must be refused wherever it is made, with the pointer the refusal must carry.
pub fn changes(document: &Value) -> Vec<(String, Vec<u8>, String)> {
    let mut all = Vec::new();
    let mut add = |what: String, text: Vec<u8>, pointer: &str| all.push((what, text, pointer.to_owned()));
    for pointer in json::pointers(document) {
        let here = document.pointer(&pointer).unwrap();
        for other in json::other_types(here) {
            add(format!("{pointer} as {other}"), json::with(document, &pointer, other).to_string().into(), &pointer);
        }
        if !pointer.is_empty() {
            let place = parent(&pointer);
            add(format!("{pointer} gone"), json::without(document, &pointer).to_string().into(), place);
        }
        if let Some(text) = json::twice(document, &pointer) {
            add(format!("{pointer} twice"), text.into(), &pointer);
        }
        if here.is_object() {
            let text = json::with_member(document, &pointer, "note", json!("x")).to_string();
            add(format!("{pointer} with a member more"), text.into(), &format!("{pointer}/note"));
        }
        if here.is_string() {
            for text in ["\"e\u{301}\"", "\"a\\u0000\"", "\"\\ud800\"", "\"\\udc00x\"", "\"\\x\"", "\"a\tb\"", "'x'"] {
                add(format!("{pointer} as {text:?}"), json::raw(document, &pointer, text.as_bytes()), &pointer);
            }
            add(format!("{pointer} not in UTF-8"), json::raw(document, &pointer, b"\"\xff\xfe\""), &pointer);
            add(format!("{pointer} overlong"), json::raw(document, &pointer, b"\"\xc0\xaf\""), &pointer);
        }
        if here.is_number() {
            for text in
                ["1.0", "1.5", "1e400", "1E2", "-0", "-1", "9007199254740992", "18446744073709551616", "01", "NaN"]
            {
                add(format!("{pointer} as {text}"), json::raw(document, &pointer, text.as_bytes()), &pointer);
            }
        }
    }
    all
}

#[test]
fn every_change_to_a_payload_is_refused_at_its_place() {
    let Quiet { service, author, stored: before } = quiet();
    let mut sender = Sender::to(service);

    let manifest = small_manifest("hostile");
    let documents = [manifest.to_canonical_bytes()];
    let payload: Value = serde_json::from_slice(&author.payload("hostile", "1", &manifest)).unwrap();
    let (_, party) = Author::new(&registry(service).0, "hostile party", 1, 1);
    let party_payload: Value = serde_json::from_slice(party.envelope.payload()).unwrap();
    let party_key = crate::make::key("hostile party/key/0");
    for (kind, payload, key, documents) in
        [("artefact", payload, &author.keys[0], documents.as_slice()), ("party", party_payload, &party_key, &[])]
    {
        for (what, text, pointer) in changes(&payload) {
            let pointer = settled(&what, &pointer);
            let code =
                sender.refuse(&request(&text, &[key], documents), "payload", &pointer, &format!("{kind}: {what}"));
            assert_eq!(code, "invalid_statement", "{kind}: {what}");
        }
    }
    sender.finish("payloads", 700);
    assert_eq!(stored(service), *before);
}

/// Where one refusal stands for another: rules over more than the changed place.
fn settled(what: &str, pointer: &str) -> String {
    let at = match what {
        // An empty list is a list: the rule on its length speaks, at the list.
        "/predicate/signers/0 gone" => "/predicate/signers",
        "/predicate/registry gone" => "/predicate/registry",
        // A name in another language would do, so it is the names that lack one.
        "/predicate/claim/name/en gone" => "/predicate/claim/name",
        // Documents may be absent where the statement names none, or none that is not known.
        "/documents gone" => "/documents",
        _ => pointer,
    };
    at.to_owned()
}

#[test]
fn every_change_to_a_request_is_refused_at_its_place() {
    let Quiet { service, author, stored: before } = quiet();
    let mut sender = Sender::to(service);
    let honest: Value = serde_json::from_slice(&author.artefact("hostile request").to_request()).unwrap();

    for (what, text, pointer) in changes(&honest) {
        sender.refuse(&text, "request", &settled(&what, &pointer), &what);
    }
    let deep = |depth: usize, open: &str, close: &str| format!("{}{}", open.repeat(depth), close.repeat(depth));
    let text = honest.to_string();
    for (what, body, pointer) in [
        ("nothing", String::new(), ""),
        ("white space", " \n".to_owned(), ""),
        ("null", "null".to_owned(), ""),
        ("a byte order mark", format!("\u{feff}{text}"), ""),
        ("cut short", text[..text.len() / 2].to_owned(), "/envelope/payload"),
        ("more behind it", format!("{text} x"), ""),
        ("twice", format!("{text}{text}"), ""),
        ("a comment", format!("/* */{text}"), ""),
        ("a trailing comma", text.replacen("\"]", "\",]", 1), "/documents/1"),
        ("an infinity", "{\"envelope\":Infinity}".to_owned(), "/envelope"),
        ("arrays without end", "[".repeat(100_000), &"/0".repeat(33)),
        ("arrays nested 1,000 deep", deep(1_000, "[", "]"), &"/0".repeat(33)),
        ("objects nested 1,000 deep", deep(1_000, "{\"a\":", "1}"), &"/a".repeat(33)),
        (
            "an envelope nested deep",
            format!("{{\"envelope\":{}}}", deep(40, "[", "]")),
            &format!("/envelope{}", "/0".repeat(32)),
        ),
    ]
    .map(|(what, body, pointer)| (what, body, pointer.to_owned()))
    {
        let code = sender.refuse(body.as_bytes(), "request", &pointer, what);
        assert_eq!(code, "malformed_request", "{what}");
    }
    for (what, pointer, value) in [
        ("another payload type", "/envelope/payloadType", json!("application/json")),
        ("the payload type with a space", "/envelope/payloadType", json!("application/vnd.in-toto+json ")),
        ("a payload that is not base64", "/envelope/payload", json!("!!!!")),
        ("a payload with a line end", "/envelope/payload", json!("AAAA\n")),
        ("a payload with trailing bits", "/envelope/payload", json!("AB==")),
        ("a payload in two alphabets", "/envelope/payload", json!("+A-A")),
        ("a payload padded in the middle", "/envelope/payload", json!("AA==AAAA")),
        ("a signature of 63 bytes", "/envelope/signatures/0/sig", json!(BASE64.encode(&[0; 63]))),
        ("a signature of 65 bytes", "/envelope/signatures/0/sig", json!(BASE64.encode(&[0; 65]))),
        ("no signature bytes", "/envelope/signatures/0/sig", json!("")),
        ("a key id in capitals", "/envelope/signatures/0/keyid", json!("A".repeat(64))),
        ("a short key id", "/envelope/signatures/0/keyid", json!("00")),
        ("no signatures", "/envelope/signatures", json!([])),
        ("65 signatures", "/envelope/signatures", json!(vec![honest["envelope"]["signatures"][0].clone(); 65])),
        ("a document in URL-safe base64", "/documents/0", json!("-_-_")),
        ("a document without padding", "/documents/0", json!("AA")),
    ] {
        sender.refuse(json::with(&honest, pointer, value).to_string().as_bytes(), "request", pointer, what);
    }
    let signature = honest["envelope"]["signatures"][0].clone();
    let doubled = json::with(&honest, "/envelope/signatures", json!([signature, signature]));
    sender.refuse(doubled.to_string().as_bytes(), "request", "/envelope/signatures/1/keyid", "the same key twice");
    let five = json::with(&honest, "/documents", json!(["", "", "", "", ""]));
    sender.refuse(five.to_string().as_bytes(), "request", "/documents", "five documents");

    sender.finish("requests", 140);
    assert_eq!(stored(service), *before);
}

/// The manifest is a document of its own, with its own pointers.
#[test]
fn every_change_to_a_manifest_is_refused() {
    let Quiet { service, author, stored: before } = quiet();
    let mut sender = Sender::to(service);
    let honest = small_manifest("hostile manifest");
    let document: Value = serde_json::from_slice(&honest.to_canonical_bytes()).unwrap();
    // The statement names the changed bytes, so that the manifest's own rules are what refuses them.
    let naming = |text: &[u8]| {
        let mut claim = Author::claim("hostile", "1", &honest, Vec::new());
        claim.manifest.sha256 = chopmark_core::digest::Sha256Digest::of(text);
        let header = author.header(Issuer::Party(author.party), 1, "hostile manifest");
        let claim = chopmark_core::kind::Claim::Artefact(claim);
        let payload = chopmark_core::statement::Statement::compose("hostile", &header, &claim).unwrap();
        request(&payload, &[&author.keys[0]], &[text.to_vec()])
    };
    for (what, text, _) in changes(&document) {
        let answer = service.post(&naming(&text));
        assert_eq!(answer.status, 422, "{what}: {}", answer.text());
        let problem = answer.problem();
        assert_eq!(problem["document"], "documents/0", "{what}: {problem}");
        assert_eq!(problem["code"], "document_invalid", "{what}");
        *sender.tried.entry("document_invalid".to_owned()).or_default() += 1;
    }
    let pretty = serde_json::to_vec_pretty(&document).unwrap();
    for (what, text, pointer) in [
        ("white space", pretty, ""),
        ("no file", json::with(&document, "/files", json!([])).to_string().into_bytes(), "/files"),
        (
            "a path upwards",
            json::with(&document, "/files/0/path", json!("../x")).to_string().into_bytes(),
            "/files/0/path",
        ),
        (
            "an absolute path",
            json::with(&document, "/files/0/path", json!("/x")).to_string().into_bytes(),
            "/files/0/path",
        ),
        (
            "a backslash",
            json::with(&document, "/files/0/path", json!("a\\b")).to_string().into_bytes(),
            "/files/0/path",
        ),
        (
            "U+202E",
            json::with(&document, "/files/0/path", json!("a\u{202e}b")).to_string().into_bytes(),
            "/files/0/path",
        ),
        ("another schema", json::with(&document, "/schema", json!("x")).to_string().into_bytes(), "/schema"),
        (
            "a digest in capitals",
            json::with(&document, "/files/0/sha256", json!("A".repeat(64))).to_string().into_bytes(),
            "/files/0/sha256",
        ),
    ] {
        sender.refuse(&naming(&text), "documents/0", pointer, what);
    }
    sender.finish("manifests", 100);
    assert_eq!(stored(service), *before);
}
