//! The log: one JSON object a line whatever is sent, nothing in it that must not be, and no field that LOGGING.md lacks.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Service, place};
use crate::shared;

/// What is sent in every place that a request has, and must not turn up.
const CANARY: &str = "canary-7f3a";

/// Sends bytes as they are, and reads until the service closes.
fn send(service: &Service, request: &[u8]) -> Vec<u8> {
    let mut stream = service.connect();
    stream.write_all(request).unwrap();
    let _ = stream.shutdown(Shutdown::Write);
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    said
}

/// Names of the members of an object, those inside others with dots.
fn fields(prefix: &str, value: &Value, found: &mut BTreeSet<String>) {
    for (name, value) in value.as_object().unwrap() {
        let name = format!("{prefix}{name}");
        if value.is_object() {
            fields(&format!("{name}."), value, found);
        } else {
            found.insert(name);
        }
    }
}

#[test]
fn whatever_is_sent_a_line_is_one_object_and_says_nothing_it_must_not() {
    let place = place();
    let options = ["--log-format", "json", "--log-addresses", "--rate-per-key", "1/h:3", "--trust-forwarded-for", "1"];
    // Everything that can be shown is shown.
    let service = Service::try_start_with(place.path(), "data", &options, &[("CHOPMARK_LOG", "trace")]).unwrap();
    let author = shared::author(&service, CANARY);
    let artefact = author.artefact(CANARY);
    assert_eq!(service.post(&artefact.to_request()).status, 201);
    assert_eq!(service.post(&author.artefact("rated").to_request()).status, 201);
    assert_eq!(service.post(&author.artefact("refused").to_request()).status, 429);

    // Line ends, escapes and separators in paths, queries, headers, methods and bodies.
    let hostile = ["%0d%0a", "%1b%5b2J", "%e2%80%a8", "%c2%85", "%00", "\u{2028}", "\u{85}", "\u{9b}2J", "\u{202e}"];
    for (number, odd) in hostile.iter().enumerate() {
        let path = format!("/v1/{CANARY}{odd}{{\"level\":\"ERROR\"}}?{CANARY}={odd}");
        for path in
            [path.as_str(), &format!("/v1/artefacts?digest={odd}{CANARY}"), &format!("/v1/parties/{odd}{CANARY}")]
        {
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: {CANARY}\r\nX-Request-Id: {CANARY}{odd}\r\nX-Forwarded-For: {CANARY}{odd}\r\n\
                 User-Agent: {CANARY}{odd}\r\nAuthorization: Bearer {CANARY}\r\nCookie: {CANARY}={odd}\r\n\
                 Connection: close\r\n\r\n"
            );
            let said = send(&service, request.as_bytes());
            let said = String::from_utf8_lossy(&said);
            let head = said.split("\r\n\r\n").next().unwrap();
            assert!(!head.contains(CANARY), "{number}: {head}");
        }
        let body = format!("{{\"{CANARY}\": \"{odd}\r\n\"}}");
        assert_eq!(service.post(body.as_bytes()).status, 400);
    }
    for request in [
        format!("{CANARY} /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        format!("GET /{CANARY}\u{1b}[2J HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: x\r\n{CANARY}\r\n{CANARY}: \r\n\r\n"),
        format!("{CANARY}\r\n\r\n"),
    ] {
        send(&service, request.as_bytes());
    }
    for path in ["/healthz", "/readyz", "/checkpoint", "/docs", "/tile/0/000.p/2"] {
        assert_eq!(service.get(path).status, 200);
    }
    let last = service.get("/nothing");
    let request_id = last.header("x-request-id").unwrap().to_owned();

    let log = service.errors();
    service.stop();
    assert!(!log.to_lowercase().contains(CANARY), "{log}");
    let (root, documents) = (author.keys[0].to_bytes(), artefact.to_request());
    for secret in [data_encoding::BASE64.encode(&root), data_encoding::HEXLOWER.encode(&root)] {
        assert!(!log.contains(&secret));
    }
    assert!(!log.contains(str::from_utf8(&documents).unwrap()));
    let is_odd = |character: char| {
        character != '\n' && (character.is_control() || "\u{2028}\u{2029}\u{202e}".contains(character))
    };
    assert!(!log.contains(is_odd), "{log:?}");

    let mut found = BTreeSet::new();
    let lines: Vec<Value> = log
        .split_inclusive('\n')
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("not one object: {error}: {line:?}")))
        .collect();
    for line in &lines {
        fields("", line, &mut found);
    }
    let requests: Vec<&Value> = lines.iter().filter(|line| line["target"] == "http.request").collect();
    assert!(requests.len() > 30, "{} requests", requests.len());
    for line in &requests {
        let route = line["http.route"].as_str().unwrap();
        assert!(route == "none" || route.starts_with('/'), "{line}");
        assert!(line["http.status"].is_u64() && line["duration_ms"].is_f64(), "{line}");
        assert_eq!(line["client.address"], "127.0.0.1");
    }
    let same: Vec<_> = requests.iter().filter(|line| line["request_id"] == request_id.as_str()).collect();
    assert_eq!(same.len(), 1);
    assert_eq!((&same[0]["http.status"], &same[0]["problem.code"]), (&404.into(), &"not_found".into()));

    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../LOGGING.md")).unwrap();
    let undocumented: Vec<_> = found.iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(undocumented.is_empty(), "LOGGING.md lacks {undocumented:?}");
    println!("{} lines, {} fields, all documented", lines.len(), found.len());
}

#[test]
fn addresses_are_left_out_unless_asked_for_and_text_is_for_people() {
    let place = place();
    let service =
        Service::try_start_with(place.path(), "data", &["--log-format", "json"], &[("CHOPMARK_LOG", "info")]).unwrap();
    assert_eq!(service.get("/healthz").status, 200);
    let log = service.errors();
    service.stop();
    let line: Value =
        serde_json::from_str(log.lines().find(|line| line.contains("\"http.request\"")).unwrap()).unwrap();
    assert!(line.get("client.address").is_none(), "{line}");

    let service =
        Service::try_start_with(place.path(), "data", &["--log-format", "text"], &[("CHOPMARK_LOG", "info")]).unwrap();
    assert_eq!(service.get("/v1/parties/x%1b%5b2J").status, 400);
    let log = service.errors();
    service.stop();
    assert!(log.contains("http.request: answered") && log.contains("/v1/parties/{id}"), "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");
}
