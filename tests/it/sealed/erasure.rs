//! Disclosing one field, and destroying all: through the command line, with the service running.

use std::fs;
use std::process::Command;

use chopmark_core::erased::ErasedClaim;
use chopmark_core::kind::Claim;
use chopmark_core::sealed::Disclosure;
use chopmark_core::statement::{Issuer, Statement};
use chopmark_core::trust::{TrustPolicy, TrustedRegistry};
use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};

use super::{Desk, Payment, get_as, officer, service, token_of};
use crate::harness::{Home, Service, is_soak, postgres_programs};
use crate::make::Random;
use crate::shared;

/// An amount that occurs nowhere else.
const AMOUNT: &str = "60417735.29";

/// Everything in the database, as a backup holds it.
fn dump(service: &Service) -> String {
    let program = postgres_programs().join("pg_dump");
    let output = Command::new(program).arg(service.database_url()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn holds(dump: &str, secret: &[u8]) -> bool {
    let forms = [HEXLOWER.encode(secret), BASE64.encode(secret), String::from_utf8_lossy(secret).into_owned()];
    forms.iter().any(|form| dump.contains(form.as_str()))
}

fn trust(service: &Service) -> TrustPolicy {
    let (reference, key) = shared::registry(service);
    let registry = TrustedRegistry {
        origin: reference.origin,
        log_key: key.to_string(),
        genesis: reference.genesis,
        allow_registry_asserted: true,
        max_status_age: None,
    };
    TrustPolicy { registries: vec![registry] }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, in the order it happens")]
fn one_field_is_disclosed_then_all_are_destroyed_and_the_log_is_as_good_as_before() {
    let service = service();
    let (payer, payee) = (shared::author(service, "discloses"), shared::author(service, "disclosed to"));
    let payment = Payment::new(&payer, &payee, "disclosed", AMOUNT).entered(service);
    let kept = Payment::new(&payer, &payee, "not disclosed", "8.25").entered(service);
    let (own, other) = (Desk::of(service, &payer), Desk::of(service, &payee));

    // One field, in a file, by the payee; an officer needs a case.
    let disclosed = other.run(&["disclose", &payment.id, "--field", "amount"], None);
    assert_eq!(disclosed.code, 0, "{disclosed:?}");
    fs::write(own.home.file("fee.chop"), &disclosed.stdout).unwrap();
    let ran = other.json(&["disclose", &payment.id, "--field", "amount", "--out", "fee.chop"], None);
    assert_eq!((ran.0, &ran.1["value"]), (0, &json!(AMOUNT)), "{}", ran.1);
    let officer = officer(service, "HK");
    let (code, refused) = own.json(&["disclose", &payment.id, "--field", "amount", "--out", "o.chop"], Some(&officer));
    assert_eq!((code, &refused["error"]["code"]), (2, &json!("reason_needed")), "{refused}");
    let asked =
        ["disclose", &payment.id, "--field", "amount", "--out", "o.chop", "--case", "IRD/9", "--purpose", "audit"];
    assert_eq!(own.json(&asked, Some(&officer)).0, 0);
    assert_eq!(own.json(&["disclose", &payment.id, "--field", "nothing", "--out", "n.chop"], None).0, 5);

    // Offline, by somebody who pinned the registry once.
    let (code, checked) = own.json(&["disclose", "--check", "fee.chop"], None);
    assert_eq!((code, &checked["value"], &checked["field"]), (0, &json!(AMOUNT), &json!("/amount")), "{checked}");
    let stranger = Home::new().json(&["disclose", "--check", own.home.file("fee.chop").to_str().unwrap()]);
    assert_eq!((stranger.0, &stranger.1["error"]["code"]), (9, &json!("no_trust")));

    // Nothing else is in it, and nothing else is believed.
    let bytes = disclosed.stdout.into_bytes();
    let text = str::from_utf8(&bytes).unwrap();
    let fields = &payment.submission.openings.as_ref().unwrap().fields;
    let salts: Vec<String> = fields.iter().map(|opening| BASE64.encode(opening.salt.as_bytes())).collect();
    assert!(text.contains(&salts[0]) && salts[1..].iter().all(|salt| !text.contains(salt.as_str())));
    assert!(!text.contains("\"HKD\""));
    let trust = trust(service);
    assert!(Disclosure::parse(&bytes).unwrap().verify(&trust).is_ok());
    let mut random = Random::new(0x6f70_656e);
    let (number, mut tried) = (if is_soak() { 20_000 } else { 1_500 }, 0);
    while tried < number {
        let (what, damaged) = random.damage(&bytes);
        if damaged == bytes {
            continue;
        }
        let accepted = Disclosure::parse(&damaged).is_ok_and(|disclosure| disclosure.verify(&trust).is_ok());
        assert!(!accepted, "{what}");
        tried += 1;
    }
    // And what is well formed, but of something else.
    let with = |change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_slice(&bytes).unwrap();
        change(&mut value);
        let mut bytes = chopmark_core::strict::to_canonical(&value).unwrap();
        bytes.push(b'\n');
        Disclosure::parse(&bytes).unwrap().verify(&trust).map(|_| ()).unwrap_err().to_string()
    };
    let opening = |at: usize| serde_json::to_value(&fields[at]).unwrap();
    assert!(with(&|value| value["opening"]["value"] = json!("1.00")).contains("opening"));
    assert!(with(&|value| value["opening"]["field"] = json!("/withheld")).contains("opening"));
    assert!(with(&|value| value["opening"]["field"] = json!("/fee")).contains("opening/field"));
    let swapped = with(&|value| {
        value["opening"] = opening(1);
        value["opening"]["field"] = json!("/amount");
    });
    assert!(swapped.contains("opening"), "{swapped}");
    println!("{tried} damaged disclosures, none believed");

    // The party sees who has read it.
    let (code, log) = own.json(&["access", "log", "--mine"], None);
    assert_eq!(code, 0, "{log}");

    // A new master key, while the service runs; the old one is gone.
    let data = service.directory.to_str().unwrap();
    let before = fs::read_to_string(service.directory.join("keys/vault.key")).unwrap();
    let (code, rotated) = Home::new().json(&["vault", "rotate", "--data-dir", data, "--destroy-old"]);
    assert_eq!(code, 0, "{rotated}");
    assert!(rotated["rewrapped"].as_u64().unwrap() >= 8, "{rotated}");
    let after = fs::read_to_string(service.directory.join("keys/vault.key")).unwrap();
    assert!(before != after && after.matches("chopmark-vault-key-v1").count() == 1);
    let path = format!("/v1/statements/{}/openings", payment.id);
    let token = token_of(service, &payer);
    assert_eq!(get_as(service, &path, &token).json()["fields"][0]["value"], AMOUNT);
    Payment::new(&payer, &payee, "after the rotation", "9.25").entered(service);

    // Not by the other side, not for a field that is none; then it is gone.
    let (code, refused) = other.json(&["erase", "request", &payment.id], None);
    assert_eq!((code, &refused["error"]["code"]), (4, &json!("not_authorised")), "{refused}");
    assert_eq!(own.json(&["erase", "request", &payment.id, "--field", "nothing"], None).0, 2);
    let (code, erased) = own.json(&["erase", "request", &payment.id], None);
    assert_eq!(code, 0, "{erased}");
    let shown = get_as(service, &path, &token).json();
    for field in shown["fields"].as_array().unwrap() {
        assert_eq!(field["erased_by"], erased["index"]);
        assert!(field.get("value").is_none() && field.get("salt").is_none(), "{field}");
    }
    let (code, gone) = own.json(&["disclose", &payment.id, "--field", "amount", "--out", "gone.chop"], None);
    assert_eq!((code, &gone["error"]["code"]), (9, &json!("erased")), "{gone}");
    let (code, again) = own.json(&["erase", "request", &payment.id], None);
    assert_eq!((code, &again["error"]["code"]), (2, &json!("opening_missing")), "{again}");
    // The same statement with its openings changes nothing.
    assert_eq!(service.post(&payment.submission.to_request()).status, 200);
    assert_eq!(get_as(service, &path, &token).json(), shown);
    assert_eq!(
        get_as(service, &format!("/v1/statements/{}/openings", kept.id), &token).json()["fields"][0]["value"],
        "8.25"
    );

    let dump = dump(service);
    assert!(holds(&dump, payment.submission.statement.id.as_bytes()), "the dump is one of this database");
    for opening in fields {
        assert!(!holds(&dump, opening.salt.as_bytes()));
    }
    assert!(!holds(&dump, AMOUNT.as_bytes()));
    for kept in &kept.submission.openings.as_ref().unwrap().fields {
        assert!(!holds(&dump, kept.salt.as_bytes()), "what is kept is encrypted");
    }
    let home = Home::new();
    let audit = home.run(&["audit", "--data-dir", data]);
    assert_eq!(audit.code, 0, "{audit:?}");
    let (code, rebuilt) = home.json(&["db", "rebuild", "--data-dir", data]);
    assert!(code == 0 && rebuilt["mended"].is_u64(), "{rebuilt}");
}

#[test]
fn a_process_without_a_master_key_erases_nothing() {
    let place = crate::harness::place();
    let service = Service::try_start(place.path(), "data", &["--retention-days", "0"]).unwrap();
    let (payer, payee) = (shared::author(&service, "asks another"), shared::author(&service, "asks another payee"));
    let payment = Payment::new(&payer, &payee, "asked of another", AMOUNT).entered(&service);
    let keyless = Service::try_start(place.path(), "keyless", &["--database-url", &service.database_url()]).unwrap();
    let openings = &payment.submission.openings.as_ref().unwrap().fields;
    let mut fields: Vec<_> = openings.iter().map(|opening| opening.field.clone()).collect();
    fields.sort_unstable();
    let claim = ErasedClaim { statement: payment.submission.statement.id, fields };
    let header = payer.header(Issuer::Party(payer.party), payer.threshold, "erases");
    let request = payer.sign(Statement::compose("erases", &header, &Claim::Erased(claim)).unwrap(), Vec::new());
    let answer = keyless.post(&request.to_request());
    assert_eq!((answer.status, &answer.problem()["code"]), (503, &"no_master_key".into()), "{}", answer.text());
    let path = format!("/v1/statements/{}/openings", payment.id);
    let token = token_of(&service, &payer);
    assert_eq!(get_as(&service, &path, &token).json()["fields"][0]["value"], AMOUNT);
    // The one that has a key knows how long they have to be kept: no longer.
    assert_eq!(service.post(&request.to_request()).status, 201);
    assert!(!get_as(&service, &path, &token).text().contains(AMOUNT));
    keyless.stop();
    service.stop();
}

#[test]
fn what_has_to_be_kept_is_not_erased_and_a_changed_record_is_found() {
    let place = crate::harness::place();
    let service = Service::start(place.path());
    let (payer, payee) = (shared::author(&service, "keeps"), shared::author(&service, "keeps payee"));
    let payment = Payment::new(&payer, &payee, "kept seven years", AMOUNT).entered(&service);
    let own = Desk::of(&service, &payer);
    let (code, refused) = own.json(&["erase", "request", &payment.id], None);
    assert_eq!((code, &refused["error"]["code"]), (10, &json!("retention_running")), "{refused}");
    let token = token_of(&service, &payer);
    let path = format!("/v1/statements/{}/openings", payment.id);
    for _ in 0..3 {
        assert_eq!(get_as(&service, &path, &token).json()["fields"][0]["value"], AMOUNT);
    }
    // The access log is audited as the log is.
    let data = service.directory.to_str().unwrap().to_owned();
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while service.get("/v1/accesses/checkpoint").status != 200 {
        assert!(std::time::Instant::now() < deadline, "no checkpoint");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(Home::new().run(&["audit", "--data-dir", &data]).code, 0);
    service
        .sql(
            "SET session_replication_role = replica; ALTER TABLE vault.access DISABLE TRIGGER append_only_rows;
             UPDATE vault.access SET body = body || ' ' WHERE id = (SELECT access FROM vault.access_leaf WHERE idx = 1);
             ALTER TABLE vault.access ENABLE ALWAYS TRIGGER append_only_rows",
        )
        .unwrap();
    let (code, found) = Home::new().json(&["audit", "--data-dir", &data]);
    assert_eq!(code, 6, "{found}");
    assert!(found.to_string().contains("vault.access_leaf 1"), "{found}");
}
