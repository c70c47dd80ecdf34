//! Well-formed statements that must not be admitted: each with its own status, code, document and pointer, none stored.
//!
//! All of them against the shared service, signed with whatever keys the attack needs.

use chopmark_core::digest::Sha256Digest;
use chopmark_core::key::PublicKey;
use chopmark_core::statement::{Envelope, StatementId};
use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

use crate::harness::{Answer, Service};
use crate::json;
use crate::make::{Author, key, manifest, small_manifest};
use crate::shared;

/// Public key of vector 3 of ed25519-speccheck (Chalkias, Garillot, Nikolaenko, 2020).
const SPECCHECK_3: &str = "zbJnzkDFzUUwb6XS8pcxRZOH2/nrkzt71a7Zp2W4jU0=";

/// A request around any payload, signed with any keys.
pub fn request(payload: &Value, keys: &[&SigningKey], documents: &[Vec<u8>]) -> Vec<u8> {
    request_around(&Envelope::sign(payload.to_string().into_bytes(), keys), documents)
}

fn request_around(envelope: &Envelope, documents: &[Vec<u8>]) -> Vec<u8> {
    let documents: Vec<_> = documents.iter().map(|bytes| Value::from(BASE64.encode(bytes))).collect();
    let envelope = String::from_utf8(envelope.to_bytes()).unwrap();
    format!("{{\"envelope\":{envelope},\"documents\":{}}}", Value::from(documents)).into_bytes()
}

/// Checks status, code, document and pointer of a refusal: `422 invalid_statement payload /predicate`.
#[track_caller]
pub fn expect(answer: &Answer, expected: &str) -> Value {
    let problem = answer.problem();
    let member = |name: &str| problem[name].as_str().unwrap().to_owned();
    let found = format!("{} {} {} {}", answer.status, member("code"), member("document"), member("pointer"));
    assert_eq!(found, expected, "{problem}");
    problem
}

/// Sends a statement that must be refused, and checks that the registry then knows nothing of it.
#[track_caller]
fn refuse(service: &Service, payload: &Value, keys: &[&SigningKey], documents: &[Vec<u8>], expected: &str) {
    expect(&service.post(&request(payload, keys, documents)), expected);
    let id = StatementId::of(payload.to_string().as_bytes());
    assert_eq!(service.get(&format!("/v1/statements/{id}")).status, 404, "{expected}: it is stored");
}

/// An honest payload with its manifest, for changing.
fn honest(author: &Author, label: &str) -> (Value, Vec<Vec<u8>>) {
    let manifest = small_manifest(label);
    let payload = serde_json::from_slice(&author.payload(label, "1", &manifest)).unwrap();
    (payload, vec![manifest.to_canonical_bytes()])
}

#[test]
fn signatures_decide_who_may_write() {
    let service = shared::service();
    let single = shared::author(service, "signatures, one key");
    let pair = shared::author_with(service, "signatures, two keys", 2, 2);
    let own = &single.keys[0];
    let (payload, documents) = honest(&single, "signatures");
    let bytes = payload.to_string().into_bytes();

    let signed = Envelope::sign(bytes.clone(), &[own]);
    let of_another_payload = Envelope::sign(b"another payload".to_vec(), &[own]).signatures()[0].signature;
    for (what, forged) in
        [("one bit", flip(&signed.signatures()[0].signature)), ("of another payload", of_another_payload)]
    {
        let text = String::from_utf8(request_around(&signed, &documents)).unwrap();
        let text = text.replace(&BASE64.encode(&signed.signatures()[0].signature), &BASE64.encode(&forged));
        let answer = service.post(text.as_bytes());
        let problem = expect(&answer, "403 signature_invalid request /envelope/signatures/0/sig");
        assert!(problem["detail"].as_str().unwrap().contains("not a valid signature"), "{what}");
    }
    let stranger = key("a stranger");
    let answer = service.post(&request_around(&Envelope::sign(bytes.clone(), &[own, &stranger]), &documents));
    let position = usize::from(PublicKey::from(&stranger).id() > PublicKey::from(own).id());
    expect(&answer, &format!("403 signer_not_listed request /envelope/signatures/{position}/keyid"));
    let answer = service.post(&request_around(&Envelope::sign(bytes, &[&pair.keys[0]]), &documents));
    expect(&answer, "403 signer_not_listed request /envelope/signatures/0/keyid");

    let group = "/predicate/signers/0";
    let listing = |keys: &[&SigningKey]| {
        let mut ids: Vec<_> = keys.iter().map(|key| PublicKey::from(*key).id().to_string()).collect();
        ids.sort();
        json::with(&payload, &format!("{group}/keys"), json!(ids))
    };
    refuse(
        service,
        &listing(&[&stranger]),
        &[&stranger],
        &documents,
        "403 unknown_key request /envelope/signatures/0/keyid",
    );
    let theirs = &pair.keys[0];
    refuse(service, &listing(&[theirs]), &[theirs], &documents, &format!("403 not_authorised payload {group}/keys"));
    refuse(
        service,
        &listing(&[own, theirs]),
        &[own, theirs],
        &documents,
        &format!("403 not_authorised payload {group}/keys"),
    );

    let nobody = "00".repeat(32);
    let foreign = json::with(&payload, "/predicate/issuer", json!(nobody));
    let foreign = json::with(&foreign, &format!("{group}/party"), json!(nobody));
    refuse(service, &foreign, &[own], &documents, &format!("403 unknown_issuer payload {group}/party"));
    let stale = json::with(&payload, &format!("{group}/key_head"), json!(nobody));
    refuse(service, &stale, &[own], &documents, &format!("409 stale_key_head payload {group}/key_head"));

    let (payload, documents) = honest(&pair, "two must sign");
    let threshold = format!("403 threshold_not_met payload {group}/threshold");
    refuse(service, &payload, &[&pair.keys[1]], &documents, &threshold);
    let lowered = json::with(&payload, &format!("{group}/threshold"), json!(1));
    refuse(service, &lowered, &[&pair.keys[1]], &documents, &threshold);
}

fn flip(signature: &[u8; 64]) -> [u8; 64] {
    let mut flipped = *signature;
    flipped[40] ^= 1;
    flipped
}

#[test]
fn a_statement_counts_at_one_registry_once_and_in_its_time() {
    let service = shared::service();
    let author = shared::author(service, "place and time");
    let own = &author.keys[0];
    let (payload, documents) = honest(&author, "place and time");

    for (pointer, value) in [
        ("/predicate/registry/genesis", json!("00".repeat(32))),
        ("/predicate/registry/origin", json!("registry.example.cn/log")),
    ] {
        let elsewhere = json::with(&payload, pointer, value);
        refuse(service, &elsewhere, &[own], &documents, "422 wrong_registry payload /predicate/registry");
    }
    let expired = json::with(&payload, "/predicate/issued_at", json!("2020-01-01T00:00:00.000Z"));
    let expired = json::with(&expired, "/predicate/not_after", json!("2020-01-02T00:00:00.000Z"));
    refuse(service, &expired, &[own], &documents, "422 expired payload /predicate/not_after");
    let before_it_began = json::with(&payload, "/predicate/not_after", payload["predicate"]["issued_at"].clone());
    refuse(service, &before_it_began, &[own], &documents, "422 invalid_statement payload /predicate/not_after");
    let local_time = json::with(&payload, "/predicate/issued_at", json!("2026-05-02T16:30:00.000+08:00"));
    refuse(service, &local_time, &[own], &documents, "422 invalid_statement payload /predicate/issued_at");

    // The client's date is a claim: it may say anything, the index is what counts (security.md, threat 6).
    let backdated = json::with(&payload, "/predicate/issued_at", json!("2020-01-01T00:00:00.000Z"));
    let answer = service.post(&request(&backdated, &[own], &documents));
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert!(answer.json()["recorded_at"].as_str().unwrap() > "2026", "{}", answer.text());

    let (mut other, other_documents) = honest(&author, "same nonce");
    other["predicate"]["nonce"] = payload["predicate"]["nonce"].clone();
    refuse(service, &other, &[own], &other_documents, "409 nonce_reused payload /predicate/nonce");
}

#[test]
fn the_same_registration_under_another_nonce_names_the_first() {
    let service = shared::service();
    let author = shared::author(service, "registers twice");
    let first = author.artefact("registered twice");
    let first_answer = service.post(&first.to_request());
    assert_eq!(first_answer.status, 201, "{}", first_answer.text());
    let (mut again, documents) = honest(&author, "registered twice");
    again["predicate"]["nonce"] = json!("11".repeat(16));
    again["predicate"]["claim"]["name"]["en"] = json!("Another name");
    let answer = service.post(&request(&again, &[&author.keys[0]], &documents));
    let problem = expect(&answer, "409 already_registered payload /predicate/claim/version");
    assert_eq!(problem["existing"], first.statement.id.to_hex());
    assert_eq!(answer.header("location"), first_answer.header("location"));
    // Another version is another registration, and so is another owner's.
    again["predicate"]["claim"]["version"] = json!("2");
    again["predicate"]["nonce"] = json!("12".repeat(16));
    assert_eq!(service.post(&request(&again, &[&author.keys[0]], &documents)).status, 201);
    let other = shared::author(service, "registers the same");
    assert_eq!(service.post(&other.artefact("registered twice").to_request()).status, 201);
}

#[test]
fn parties_bring_their_own_keys_and_true_check_digits() {
    let service = shared::service();
    let taken = shared::author(service, "keys taken");
    let (_, party) = Author::new(&taken.registry, "keys taken again", 2, 1);
    let payload: Value = serde_json::from_slice(party.envelope.payload()).unwrap();
    let keys: Vec<_> = (0..2).map(|number| key(&format!("keys taken again/key/{number}"))).collect();
    let both: Vec<_> = keys.iter().collect();
    let claim = "/predicate/claim";

    // A claim's digest is the subject: a changed claim with the old subject is refused first for what it says.
    for (pointer, value, at) in [
        ("name/en", json!("Lam\u{202e}IA"), "name/en"),
        ("name/en", json!("Lam\u{200b}AI"), "name/en"),
        ("name/en", json!("\u{ff2c}am AI"), "name/en"),
        ("name/en", json!(" Lam AI"), "name/en"),
        ("name/en", json!(""), "name/en"),
        ("name/en", json!("x".repeat(201)), "name/en"),
        ("name", json!({}), "name"),
        ("name", json!({"zh-Hant": "林\u{200d}"}), "name/zh-Hant"),
        ("name", json!({"zh": "林"}), "name/zh"),
        ("identifiers", json!([{"scheme": "hk_brn", "value": "1234567"}]), "identifiers/0/value"),
        ("identifiers", json!([{"scheme": "hk_brn", "value": "１２３４５６７８"}]), "identifiers/0/value"),
        ("identifiers", json!([{"scheme": "cn_uscc", "value": "914403001922038217"}]), "identifiers/0/value"),
        ("identifiers", json!([{"scheme": "lei", "value": "HWUPKR0MPOU8FGXBT395"}]), "identifiers/0/value"),
        ("identifiers", json!([{"scheme": "duns", "value": "1"}]), "identifiers/0/scheme"),
        (
            "identifiers",
            json!([{"scheme": "hk_brn", "value": "12345678"}, {"scheme": "hk_brn", "value": "12345679"}]),
            "identifiers/1/scheme",
        ),
        ("jurisdiction", json!("hk"), "jurisdiction"),
        ("jurisdiction", json!("XX"), "jurisdiction"),
        ("root_keys/threshold", json!(0), "root_keys/threshold"),
        ("root_keys/threshold", json!(3), "root_keys/threshold"),
        ("root_keys/keys", json!([]), "root_keys/keys"),
        // Order 4, and y = −1 with the sign bit: not admitted as keys at all (speccheck).
        ("root_keys/keys", json!([BASE64.encode(&[0; 32])]), "root_keys/keys/0"),
        ("root_keys/keys", json!([BASE64.encode(&[0xff; 32])]), "root_keys/keys/0"),
        // The key of speccheck vector 3: of mixed order, which `verify_strict` alone would let pass.
        ("root_keys/keys", json!([SPECCHECK_3]), "root_keys/keys/0"),
    ] {
        let mut changed = payload.clone();
        match pointer {
            "identifiers" => changed["predicate"]["claim"]["identifiers"] = value,
            _ => changed = json::with(&payload, &format!("{claim}/{pointer}"), value),
        }
        refuse(service, &changed, &both, &[], &format!("422 invalid_statement payload {claim}/{at}"));
    }
    let renamed = json::with(&payload, &format!("{claim}/name/en"), json!("Other"));
    refuse(service, &renamed, &both, &[], "422 invalid_statement payload /subject/0/digest/sha256");

    // Every root key signs, or the party does not exist.
    let missing = Envelope::sign(party.envelope.payload().to_vec(), &both[..1]);
    expect(
        &service.post(&request_around(&missing, &[])),
        "403 threshold_not_met payload /predicate/signers/0/threshold",
    );
    let one_listed =
        json::with(&payload, "/predicate/signers/0/keys", json!([PublicKey::from(both[0]).id().to_string()]));
    let one_listed = json::with(&one_listed, "/predicate/signers/0/threshold", json!(1));
    refuse(service, &one_listed, &both[..1], &[], "403 threshold_not_met payload /predicate/signers/0");

    let (_, thief) = Author::new(&taken.registry, "keys taken", 1, 1);
    let mut payload: Value = serde_json::from_slice(thief.envelope.payload()).unwrap();
    payload["predicate"]["nonce"] = json!("13".repeat(16));
    let in_use = format!("409 key_in_use payload {claim}/root_keys/keys/0");
    refuse(service, &payload, &[&taken.keys[0]], &[], &in_use);
}

#[test]
fn artefacts_name_true_facts_and_known_parents() {
    let service = shared::service();
    let author = shared::author(service, "artefact facts");
    let own = &author.keys[0];
    let (payload, documents) = honest(&author, "artefact facts");
    let claim = "/predicate/claim";
    let unknown = "ab".repeat(32);
    let parent = |id: &str| json!({"relation": "finetune", "artefact": id});
    for (member, value, expected) in [
        ("version", json!("1\u{200b}"), "422 invalid_statement payload /predicate/claim/version"),
        ("version", json!("x".repeat(65)), "422 invalid_statement payload /predicate/claim/version"),
        ("kind", json!("film"), "422 invalid_statement payload /predicate/claim/kind"),
        ("ip_type", json!("trade_secret"), "422 invalid_statement payload /predicate/claim/ip_type"),
        ("residency_zone", json!("US"), "422 invalid_statement payload /predicate/claim/residency_zone"),
        ("author_jurisdiction", json!("HKG"), "422 invalid_statement payload /predicate/claim/author_jurisdiction"),
        ("parents", json!([parent(&unknown)]), "422 unknown_parent payload /predicate/claim/parents/0/artefact"),
        (
            "parents",
            json!([parent(&author.party.to_hex())]),
            "422 unknown_parent payload /predicate/claim/parents/0/artefact",
        ),
        (
            "parents",
            json!([parent(&unknown), parent(&unknown)]),
            "422 invalid_statement payload /predicate/claim/parents/1/artefact",
        ),
        (
            "parents",
            json!([{"relation": "stolen", "artefact": unknown}]),
            "422 invalid_statement payload /predicate/claim/parents/0/relation",
        ),
        ("parents", json!(vec![parent(&unknown); 65]), "422 invalid_statement payload /predicate/claim/parents"),
    ] {
        let mut changed = payload.clone();
        changed["predicate"]["claim"][member] = value;
        refuse(service, &changed, &[own], &documents, expected);
    }
    for (pointer, value) in [
        ("licence/expression", json!("apache-2.0")),
        ("licence/expression", json!("Nonsense-1.0")),
        ("licence/expression", json!("MIT OR")),
        ("licence/license_list_version", json!("latest")),
        ("manifest/files", json!(0)),
    ] {
        let changed = json::with(&payload, &format!("{claim}/{pointer}"), value);
        let expected = format!("422 invalid_statement payload {claim}/{pointer}");
        refuse(service, &changed, &[own], &documents, &expected);
    }
    for pointer in ["manifest/files", "manifest/content_size_bytes"] {
        let changed = json::with(&payload, &format!("{claim}/{pointer}"), json!(9_999));
        refuse(service, &changed, &[own], &documents, &format!("422 document_invalid payload {claim}/manifest"));
    }
    let other = json::with(&payload, "/subject/0/digest/sha256", json!(unknown));
    refuse(service, &other, &[own], &documents, "422 invalid_statement payload /subject/0/digest/sha256");
    for (pointer, value) in [
        ("/_type", json!("https://in-toto.io/Statement/v0.1")),
        ("/predicateType", json!("urn:chopmark:predicate:title:v1")),
        ("/subject/0/name", json!("")),
        ("/predicate/nonce", json!("00".repeat(15))),
        ("/predicate/nonce", json!("AA".repeat(16))),
        ("/predicate/nonce", json!("00".repeat(33))),
        ("/predicate/signers/0/threshold", json!(0)),
        ("/predicate/signers/0/threshold", json!(2)),
    ] {
        refuse(
            service,
            &json::with(&payload, pointer, value),
            &[own],
            &documents,
            &format!("422 invalid_statement payload {pointer}"),
        );
    }
    let doubled = json::with(&payload, "/subject", json!([payload["subject"][0], payload["subject"][0]]));
    refuse(service, &doubled, &[own], &documents, "422 invalid_statement payload /subject");

    // Kinds that create a party are issued by themselves, and no other kind is (threat 3: one kind sent as another).
    let self_issued = json::with(&payload, "/predicate/issuer", json!("self"));
    refuse(service, &self_issued, &[own], &documents, "422 invalid_statement payload /predicate/issuer");
    let as_party = json::with(&payload, "/predicateType", json!("urn:chopmark:predicate:party:v1"));
    let answer = service.post(&request(&as_party, &[own], &documents));
    assert_eq!((answer.status, answer.problem()["code"].as_str()), (422, Some("invalid_statement")));
}

#[test]
fn only_the_operator_states_policy_and_nobody_founds_again() {
    let service = shared::service();
    let author = shared::author(service, "no operator");
    let operator = service.get("/v1/registry").json()["operator"].as_str().unwrap().to_owned();
    let genesis = service.get(&format!("/v1/statements/{operator}")).json();
    let (mut payload, _) = honest(&author, "no operator");
    payload["predicateType"] = json!("urn:chopmark:predicate:policy:v1");
    payload["predicate"]["claim"] = json!({"trust_anchors": {"quorum": 0, "witnesses": []}});
    // Canonical JSON sorts members; this text is what the digest is over.
    payload["subject"][0]["digest"]["sha256"] =
        json!(Sha256Digest::of(br#"{"trust_anchors":{"quorum":0,"witnesses":[]}}"#).to_hex());
    refuse(service, &payload, &[&author.keys[0]], &[], "403 not_authorised payload /predicate/issuer");

    // The founding statement under a new nonce, signed by another key that it then names.
    let mut founding = genesis["statement"].clone();
    founding["predicate"]["nonce"] = json!("14".repeat(16));
    let descriptor = &mut founding["predicate"]["claim"]["descriptor"];
    let usurper = key("usurper of the registry");
    descriptor["operator_keys"]["keys"] = json!([PublicKey::from(&usurper).to_string()]);
    founding["predicate"]["signers"][0]["keys"] = json!([PublicKey::from(&usurper).id().to_string()]);
    let claim = chopmark_core::strict::to_canonical(&founding["predicate"]["claim"]).unwrap();
    founding["subject"][0]["digest"]["sha256"] = json!(Sha256Digest::of(&claim).to_hex());
    refuse(service, &founding, &[&usurper], &[], "422 wrong_registry payload /predicate/registry");
}

#[test]
fn documents_are_the_named_ones_and_whole() {
    let service = shared::service();
    let author = shared::author(service, "documents");
    let own = &author.keys[0];
    let (payload, documents) = honest(&author, "documents");
    let mut altered = documents[0].clone();
    *altered.last_mut().unwrap() = b' ';
    refuse(service, &payload, &[own], &[], "422 document_missing request /documents");
    refuse(service, &payload, &[own], &[altered], "422 document_unreferenced documents/0 ");
    let other = manifest(&[("other", b"other")]).to_canonical_bytes();
    refuse(service, &payload, &[own], &[documents[0].clone(), other.clone()], "422 document_unreferenced documents/1 ");
    let (_, party) = Author::new(&author.registry, "a party with a document", 1, 1);
    let answer = service.post(&request_around(&party.envelope, &[other]));
    expect(&answer, "422 document_unreferenced documents/0 ");
    let huge = vec![b' '; chopmark_core::submission::DOCUMENT_BYTES_MAX + 1];
    refuse(service, &payload, &[own], &[huge], "413 documents_too_large documents/0 ");

    // A manifest that the registry knows need not be sent again.
    assert_eq!(service.post(&request(&payload, &[own], &documents)).status, 201);
    let mut second = payload.clone();
    second["predicate"]["nonce"] = json!("15".repeat(16));
    second["predicate"]["claim"]["version"] = json!("2");
    assert_eq!(service.post(&request(&second, &[own], &[])).status, 201);
    let digest = Sha256Digest::of(&documents[0]);
    let document = service.get(&format!("/v1/documents/{digest}"));
    assert_eq!((document.status, &document.body), (200, &documents[0]));
}

#[test]
fn sizes_and_media_types_are_limited() {
    let service = shared::service();
    let author = shared::author(service, "sizes");
    let body = author.artefact("sizes").to_request();
    for content_type in ["text/plain", "application/octet-stream", "application/jsonx", "multipart/form-data"] {
        expect(&service.try_post(&body, content_type).unwrap(), "415 not_json request ");
    }
    let huge = vec![b' '; chopmark_core::submission::REQUEST_BYTES_MAX + 1];
    expect(&service.post(&huge), "413 request_too_large request ");
    let (mut payload, documents) = honest(&author, "sizes");
    payload["subject"][0]["name"] = json!("x".repeat(50_000));
    expect(&service.post(&request(&payload, &[&author.keys[0]], &documents)), "413 entry_too_large request /envelope");
    let answer = service.try_post(&body, "application/json; charset=utf-8").unwrap();
    assert_eq!(answer.status, 201, "{}", answer.text());
}
