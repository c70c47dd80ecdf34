//! What a client refuses to send and to believe, without a service or with one that says one thing.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use chopmark_core::key::PublicKey;
use ed25519_dalek::SigningKey;

use super::*;

/// A service that gives everybody the same answer.
fn answering(body: &'static str) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    client
}

#[test]
fn an_answer_that_is_too_large_is_not_an_absent_service() {
    let client = answering("twelve bytes");
    assert_eq!(client.file("/", 12).unwrap().unwrap(), b"twelve bytes");
    let failure = client.file("/", 11).unwrap_err();
    assert_eq!((failure.exit, &*failure.code), (Exit::Network, "answer_too_large"));
    assert!(failure.message.contains("more than 11 bytes"), "{failure}");
}

#[test]
fn nothing_confidential_goes_over_plain_http_unless_that_is_allowed() {
    for (url, is_plain_http_allowed, is_sent) in [
        ("http://127.0.0.1:8420", false, true),
        ("https://registry.example.hk", false, true),
        ("http://registry.example.hk", false, false),
        ("http://registry.example.hk", true, true),
    ] {
        let client = Client { is_plain_http_allowed, ..Client::new(url).unwrap() };
        let refusal = client.check_confidential("a token").err().map(|failure| (failure.exit, failure.code));
        let expected = (!is_sent).then_some((Exit::Usage, "plain_http".into()));
        assert_eq!(refusal, expected, "{url} {is_plain_http_allowed}");
    }
    // Before anything is sent: nothing answers there.
    let client = Client::new("http://192.0.2.1:9").unwrap();
    let login = Login {
        party: StatementId::of(b"p"),
        challenge: String::new(),
        key_id: PublicKey::from(&SigningKey::from_bytes(&[1; 32])).id(),
        signature: String::new(),
    };
    let digest = Sha256Digest::of(b"r");
    let request = ReportRequest { query: serde_json::Value::Null, size: None, case_reference: None, purpose: None };
    for refused in [
        client.challenge().err(),
        client.log_in(&login).err(),
        client.openings(&StatementId::of(b"s"), "", "t").err(),
        client.accesses("", "t").err(),
        client.ask_for_report(&request, "t").err(),
        client.report_bytes(&digest, "", "t").err(),
        client.export_signature(&digest, "", "t").err(),
    ] {
        assert_eq!(refused.unwrap().code, "plain_http");
    }
}

#[test]
fn an_answer_about_something_else_is_not_accepted() {
    let (id, other) = (StatementId::of(b"a"), StatementId::of(b"b"));
    let shown: IdReference = id.shown("art").to_string().parse().unwrap();
    for asked in [IdReference::Full(id), shown] {
        assert!(same(&asked, id).is_ok());
        assert_eq!(same(&asked, other).unwrap_err().exit, Exit::ProofInvalid);
    }
    assert_eq!(parse_id("../x").unwrap_err().exit, Exit::Usage);
}
