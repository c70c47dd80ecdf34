//! Entity tags, caches and security headers: whoever has the bytes is not sent them again, and nothing that may change is
//! said to be for ever.

use chopmark_core::digest::Sha256Digest;

use crate::harness::{Answer, Service};
use crate::shared;

const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Asks with the tag, in every form a client may use.
fn revalidate(service: &Service, path: &str, first: &Answer) {
    let tag = first.header("etag").unwrap_or_else(|| panic!("{path} has no entity tag"));
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 32, "{path}: {tag} is not a strong tag");
    for known in [tag.to_owned(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        let again = service.get_with(path, &[("if-none-match", &known)]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{path} with {known}");
        assert_eq!(again.header("etag"), Some(tag), "{path}");
        assert_eq!(again.header("cache-control"), first.header("cache-control"), "{path}");
    }
    for other in ["\"other\"", "\"\"", "", &tag[1..tag.len() - 1]] {
        let again = service.get_with(path, &[("if-none-match", other)]);
        assert_eq!((again.status, &again.body), (200, &first.body), "{path} with {other}");
    }
}

#[test]
fn whoever_has_the_bytes_is_not_sent_them_again() {
    let service = shared::service();
    let author = shared::author(service, "caching");
    let artefact = author.artefact("caching");
    assert_eq!(service.post(&artefact.to_request()).status, 201);
    let (id, party, manifest) = (artefact.statement.id, author.party, artefact.statement.subject);
    let document = format!("/v1/documents/{manifest}");
    for (path, cache) in [
        (document.as_str(), FOR_EVER),
        ("/tile/0/000.p/2", FOR_EVER),
        ("/tile/entries/000.p/2", FOR_EVER),
        (&format!("/v1/statements/{id}"), "no-cache"),
        (&format!("/v1/artefacts/{id}"), "no-cache"),
        (&format!("/v1/artefacts?digest={manifest}"), "no-cache"),
        (&format!("/v1/parties/{party}"), "no-cache"),
        ("/openapi.json", "no-cache"),
        ("/docs", "no-cache"),
        ("/docs/style.css", "no-cache"),
    ] {
        let first = service.get(path);
        assert_eq!((first.status, first.header("cache-control")), (200, Some(cache)), "{path}");
        if path.contains('?') {
            // Says how large the log is, which other tests change meanwhile.
            assert!(first.header("etag").is_some());
        } else {
            revalidate(service, path, &first);
        }
    }
    assert_eq!(service.get(&document).header("etag"), Some(format!("\"{manifest}\"").as_str()));
    // The checkpoint changes with the log: its tag is of its bytes, and a new one has another.
    let checkpoint = service.get("/checkpoint");
    let tag = checkpoint.header("etag").unwrap();
    assert_eq!(tag[1..33], Sha256Digest::of(&checkpoint.body).to_hex()[..32]);
    assert_eq!(service.post(&author.artefact("caching, next").to_request()).status, 201);
    let next = service.get_with("/checkpoint", &[("if-none-match", tag)]);
    assert_eq!(next.status, 200, "another checkpoint is never taken for the old one");
    assert_ne!(next.header("etag"), Some(tag));
}

#[test]
fn nothing_missing_or_of_a_moment_is_for_ever() {
    let service = shared::service();
    let author = shared::author(service, "caching moments");
    for path in [
        format!("/v1/documents/{}", "00".repeat(32)),
        "/tile/0/x999/999".to_owned(),
        "/tile/entries/x999/999".to_owned(),
        "/tile/0/000.p/255.p".to_owned(),
        "/nothing".to_owned(),
        format!("/v1/statements/{}", "00".repeat(32)),
    ] {
        let answer = service.get_with(&path, &[("if-none-match", "*")]);
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
        assert_eq!((answer.header("cache-control"), answer.header("etag")), (Some("no-store"), None), "{path}");
    }
    for path in ["receipt", "receipt.tlog-proof"] {
        let answer = service.get(&format!("/v1/statements/{}/{path}", author.party));
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")), "{path}");
    }
}

#[test]
fn every_answer_has_the_headers_that_protect_whoever_reads_it() {
    let service = shared::service();
    let (strict, docs) =
        ("default-src 'none'; base-uri 'none'", "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'");
    for (path, policy) in [
        ("/healthz", strict),
        ("/checkpoint", strict),
        ("/openapi.json", strict),
        ("/nothing", strict),
        ("/v1/statements/x", strict),
        ("/tile/0/000.p/2", strict),
        ("/docs/style.css", strict),
        ("/docs", docs),
    ] {
        let answer = service.get(path);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert!(answer.header("content-security-policy").unwrap().starts_with(policy), "{path}");
        assert_eq!(answer.header("x-request-id").unwrap().len(), 32, "{path}");
    }
    assert_ne!(service.get("/healthz").header("x-request-id"), service.get("/healthz").header("x-request-id"));
}
