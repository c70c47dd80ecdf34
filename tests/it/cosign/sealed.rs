//! Statements with sealed fields in files: whoever signs sees what is sealed, and nobody has to believe it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use chopmark_core::key::PublicKey;
use chopmark_core::statement::Envelope;
use data_encoding::BASE64;
use serde_json::{Value, json};

use super::{Machine, edit, two_of_three};
use crate::harness::Home;
use crate::sealed::{Desk, Payment};
use crate::shared::{self, done};

/// An amount that stands nowhere else.
const AMOUNT: &str = "82465.75";

fn mode(home: &Home, file: &str) -> u32 {
    fs::metadata(home.file(file)).unwrap().permissions().mode() & 0o777
}

/// Terms whose fee is [`AMOUNT`].
fn terms(home: &Home) {
    done(home, &["licence", "new", "--preset", "commercial-per-seat", "--out", "terms.json"]);
    home.edit("terms.json", |terms| terms["consideration"][0]["figures"]["amount"] = json!(AMOUNT));
}

#[test]
fn two_of_three_publish_terms_with_a_sealed_fee() {
    let ([a, b, _], _) = two_of_three("Sealed Together Limited");
    terms(&a.home);
    let publish = ["licence", "publish", "terms.json", "--seal", "amount", "--out", "sealed.json"];
    let dry = a.done(&[&publish[..], &["--sign-only", "s.json", "--dry-run"]].concat());
    assert!(!dry.to_string().contains(AMOUNT) && !a.home.file("sealed.json").exists(), "{dry}");
    let made = a.done(&[&publish[..], &["--sign-only", "s.json"]].concat());
    assert_eq!((&made["signatures"], &made["missing"]), (&1.into(), &1.into()));
    assert_eq!(mode(&a.home, "s.json"), 0o600, "the file holds what is sealed");
    let sealed = fs::read_to_string(a.home.file("sealed.json")).unwrap();
    assert!(!sealed.contains(AMOUNT) && sealed.contains("\"sealed\""), "{sealed}");
    a.refuses(&publish, 2, "usage");

    // What is sealed is shown to whoever is asked to sign, after every commitment was computed again.
    a.hand("s.json", &b);
    let shown = b.home.run(&["sign", "s.json", "--dry-run"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    for words in [
        &format!("/consideration/0/amount is \"{AMOUNT}\"; only a commitment to it is public"),
        "/consideration/0/ceiling has no value",
    ] {
        assert!(shown.stdout.contains(words), "{words}: {}", shown.stdout);
    }
    let sign = |file: &'static str| ["sign", file, "--accept-public-record"];
    let fields = |file: &mut Value| file["openings"]["fields"].as_array_mut().unwrap().clone();
    edit(&b, "s.json", "value.json", |file| file["openings"]["fields"][0]["value"] = json!("1.00"));
    b.refuses(&sign("value.json"), 6, "commitment_mismatch");
    edit(&b, "s.json", "salt.json", |file| file["openings"]["fields"][0]["salt"] = json!(BASE64.encode(&[7; 32])));
    b.refuses(&sign("salt.json"), 6, "commitment_mismatch");
    edit(&b, "s.json", "swapped.json", |file| {
        let swapped = fields(file);
        file["openings"]["fields"][0]["field"] = swapped[1]["field"].clone();
        file["openings"]["fields"][1]["field"] = swapped[0]["field"].clone();
    });
    b.refuses(&sign("swapped.json"), 6, "commitment_mismatch");
    edit(&b, "s.json", "fewer.json", |file| {
        file["openings"]["fields"].as_array_mut().unwrap().pop();
    });
    b.refuses(&sign("fewer.json"), 2, "opening_missing");
    edit(&b, "s.json", "none.json", |file| {
        file.as_object_mut().unwrap().remove("openings");
    });
    b.refuses(&sign("none.json"), 2, "opening_missing");
    edit(&b, "s.json", "null.json", |file| file["openings"] = Value::Null);
    b.refuses(&sign("null.json"), 2, "statement_malformed");
    edit(&b, "s.json", "stray.json", |file| {
        file["opened"] = json!([{ "statement": made["statement_id"], "fields": fields(file) }]);
    });
    b.refuses(&sign("stray.json"), 2, "opening_unreferenced");

    assert_eq!(b.sign("s.json")["complete"], true);
    assert_eq!(mode(&b.home, "s.json"), 0o600);
    // Another copy without its openings is refused; the whole one is sent, and with it what is sealed.
    let entered = b.done(&["submit", "s.json"]);
    assert_eq!(entered["statement_id"], made["statement_id"]);
    let statement = made["statement_id"].as_str().unwrap();
    let public = shared::service().get(&format!("/v1/statements/{statement}"));
    assert!(public.status == 200 && !public.text().contains(AMOUNT));
    for machine in [&a, &b] {
        let out = ["disclose", statement, "--field", "/consideration/0/amount", "--out", "fee.chop"];
        let disclosed = machine.done(&[&out[..], &["--party", entered_party(&made)]].concat());
        assert_eq!(disclosed["value"], AMOUNT);
    }
}

/// The issuer of the statement in a file.
fn entered_party(made: &Value) -> &'static str {
    let statement = made["statement_id"].as_str().unwrap();
    let record = shared::service().get(&format!("/v1/statements/{statement}")).json();
    let payload = BASE64.decode(record["envelope"]["payload"].as_str().unwrap().as_bytes()).unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    payload["predicate"]["issuer"].as_str().unwrap().to_owned().leak()
}

#[test]
fn a_licensee_sees_the_sealed_fee_of_a_grant_before_it_signs() {
    let party = |name: &str| {
        let machine = Machine::new();
        let made = machine.done(&["party", "register", "--name-en", name, "--jurisdiction", "HK"]);
        (machine, made["party_id"].as_str().unwrap().to_owned())
    };
    let ((alice, _), (bob, bobs)) = (party("Granting Sealed Alice Limited"), party("Granted Sealed Bob Limited"));
    fs::write(alice.home.file("m.bin"), "weights under a sealed fee").unwrap();
    let model = alice.done(&["register", "m.bin", "--licence", "mit"])["id"].as_str().unwrap().to_owned();
    terms(&alice.home);
    alice.done(&["licence", "publish", "terms.json", "--seal", "amount", "--out", "sealed.json"]);
    let grant = ["licence", "grant", "--artefact", &model, "--terms", "sealed.json", "--to", &bobs];
    alice.done(&[&grant[..], &["--sign-only", "grant.json"]].concat());
    assert_eq!(mode(&alice.home, "grant.json"), 0o600);
    alice.hand("grant.json", &bob);
    let shown = bob.home.run(&["sign", "grant.json", "--dry-run"]);
    let words = format!("/consideration/0/amount of the terms is \"{AMOUNT}\"");
    assert!(shown.code == 0 && shown.stdout.contains(&words), "{shown:?}");
    edit(&bob, "grant.json", "cheaper.json", |file| file["opened"][0]["fields"][0]["value"] = json!("1.00"));
    bob.refuses(&["sign", "cheaper.json", "--accept-public-record"], 6, "commitment_mismatch");
    edit(&bob, "grant.json", "twice.json", |file| {
        let opened = file["opened"][0].clone();
        file["opened"].as_array_mut().unwrap().push(opened);
    });
    bob.refuses(&["sign", "twice.json", "--accept-public-record"], 2, "statement_malformed");
    bob.sign("grant.json");
    let entered = bob.done(&["submit", "grant.json"]);
    assert_eq!(entered["kind"], "grant");
}

#[test]
fn payer_and_payee_sign_one_payment_from_a_file() {
    let service = shared::service();
    let (payer, payee) = (shared::author(service, "pays together"), shared::author(service, "is paid together"));
    // Both are listed, and the payer has signed.
    let payment = Payment::new(&payer, &payee, "INV together", AMOUNT);
    let theirs = Payment::new(&payee, &payer, "INV beside", AMOUNT);
    let parse = |payment: &Payment| -> Value { serde_json::from_slice(payment.submission.envelope.payload()).unwrap() };
    let mut payload = parse(&payment);
    let beside = parse(&theirs)["predicate"]["signers"][0].clone();
    payload["predicate"]["signers"].as_array_mut().unwrap().push(beside);
    let canonical = chopmark_core::strict::to_canonical(&payload).unwrap();
    let envelope = Envelope::sign(canonical, &[&payer.keys[0]]).to_bytes();
    let file = json!({
        "schema": "chopmark.statement/v1",
        "envelope": serde_json::from_slice::<Value>(&envelope).unwrap(),
        "documents": [],
        "keys": [PublicKey::from(&payer.keys[0]), PublicKey::from(&payee.keys[0])],
        "statements": [],
        "openings": payment.submission.openings,
    });
    let desk = Desk::of(service, &payee);
    fs::write(desk.home.file("pay.json"), file.to_string()).unwrap();
    let sign = |more: &[&str]| desk.home.run(&[&["sign", "pay.json", "--key", "own.key"], more].concat());
    let shown = sign(&["--dry-run"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    for words in [&format!("/amount is \"{AMOUNT}\""), "/currency is \"HKD\"", "/withheld has no value"] {
        assert!(shown.stdout.contains(words), "{words}: {}", shown.stdout);
    }
    let signed = sign(&["--accept-public-record"]);
    assert!(signed.code == 0 && mode(&desk.home, "pay.json") == 0o600, "{signed:?}");
    let ran = desk.home.run(&["submit", "pay.json", "--url", service.url(), "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let statement = ran.document()["statement_id"].as_str().unwrap().to_owned();
    let (code, disclosed) = desk.json(&["disclose", &statement, "--field", "amount", "--out", "fee.chop"], None);
    assert_eq!((code, &disclosed["value"]), (0, &json!(AMOUNT)), "{disclosed}");
}
