//! Payments through the command line: recorded with sealed figures, confirmed by the other side, corrected, and imported by
//! the thousand without a double.

mod import;
mod report;

use std::fs;

use serde_json::{Value, json};

use crate::harness::Home;
use crate::shared::{self, done, refused, run};

/// Somebody with a party of their own.
pub fn party(name: &str, more: &[&str]) -> (Home, String) {
    let home = Home::new();
    assert_eq!(home.json(&["key", "new"]).0, 0);
    let register = ["party", "register", "--name-en", name, "--jurisdiction", "HK"];
    let registered = done(&home, &[&register[..], more].concat());
    (home, registered["party_id"].as_str().unwrap().to_owned())
}

fn id(document: &Value) -> String {
    document["id"].as_str().unwrap().to_owned()
}

/// A licence from one to the other in some model.
fn licence(licensor: &Home, licensee: &Home, licensee_id: &str) -> String {
    fs::create_dir(licensor.file("model")).unwrap();
    fs::write(licensor.file("model/weights.bin"), format!("weights for {licensee_id}")).unwrap();
    done(licensor, &["licence", "new", "--preset", "commercial-per-seat", "--out", "terms.json"]);
    let terms = done(licensor, &["licence", "show", "terms.json"]);
    let licence_ref = terms["licence_ref"].as_str().unwrap();
    let model = id(&done(licensor, &["register", "model", "--licence", licence_ref, "--out", "model.chop"]));
    let offer = ["licence", "offer", "--artefact", &model, "--terms", "terms.json", "--to", licensee_id];
    let offered = id(&done(licensor, &offer));
    id(&done(licensee, &["licence", "accept", &offered]))
}

/// Everything anybody can read of a statement.
fn public(statement: &str) -> String {
    shared::service().get(&format!("/v1/statements/{statement}")).text().to_owned()
}

#[test]
fn a_payment_is_recorded_confirmed_and_corrected() {
    let ((maker, maker_id), (buyer, buyer_id)) = (party("Paid Maker Limited", &[]), party("Paying Buyer Limited", &[]));
    let (other, _) = party("Uninvolved Limited", &[]);
    let licence = licence(&maker, &buyer, &buyer_id);
    fs::write(buyer.file("inv.pdf"), "invoice 7").unwrap();
    let record = |amount: &str, document: &str, more: &[&str]| {
        let start = ["pay", "record", "--licence", &licence, "--nature", "upfront_fee", "--amount", amount];
        let rest = ["--currency", "HKD", "--date", "2026-05-02", "--document", document, "--file", "inv.pdf"];
        [&start[..], &rest, more].concat().iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()
    };
    let words = |owned: &[String]| owned.iter().map(String::as_str).collect::<Vec<_>>().join("\u{0}");
    let size = shared::size(shared::service());

    // A wrong value is refused before anything is signed, and the option is named.
    for (amount, more, option) in [
        ("1000000.1", &[][..], "--amount"),
        ("-1.00", &[], "--amount"),
        ("NaN", &[], "--amount"),
        ("1e400", &[], "--amount"),
        ("1.00", &["--withheld", "0.10"], "--withheld"),
        ("1.00", &["--fx-rate", "7.8"], "--fx-rate"),
        ("1.00", &["--film", "true"], "--film"),
        ("1.00", &["--payee", &buyer_id], "--payee"),
        ("1.00", &["--asset", &licence], "--asset"),
        ("1.00", &["--file", "missing.pdf"], "--file"),
    ] {
        let mut arguments = record(amount, "INV-0", &[]);
        if let Some(file) = more.iter().position(|word| *word == "--file") {
            let place = arguments.iter().position(|word| word == "--file").unwrap();
            arguments[place + 1] = more[file + 1].to_owned();
        } else {
            arguments.extend(more.iter().map(|word| (*word).to_owned()));
        }
        let joined = words(&arguments);
        let arguments: Vec<&str> = joined.split('\u{0}').collect();
        let error = match option {
            "--payee" => {
                let (code, document) = run(&buyer, &arguments);
                assert_eq!(code, 2, "{document}");
                document["error"].clone()
            }
            _ => refused(&buyer, &arguments, 2, "usage"),
        };
        assert!(error["message"].as_str().unwrap().contains(option), "{option}: {error}");
    }
    assert_eq!(buyer.pending(), 0);

    // What the issue shows: payer and payee are those of the licence, the type is that of the artefact.
    let arguments = words(&record("1000000.01", "INV-7", &[]));
    let arguments: Vec<&str> = arguments.split('\u{0}').collect();
    let dry = done(&buyer, &[&arguments[..], &["--dry-run"]].concat());
    assert!(!dry["entry"].as_str().unwrap().contains("1000000.01"), "{dry}");
    let recorded = done(&buyer, &arguments);
    let payment = id(&recorded);
    assert!(payment.starts_with("exp_") && shared::size(shared::service()) > size, "{recorded}");
    assert_eq!((&recorded["payer"]["party"], &recorded["payee"]["party"]), (&json!(buyer_id), &json!(maker_id)));
    let shown = public(&payment);
    assert!(!shown.contains("1000000") && shown.contains("INV-7") && shown.contains("copyright"), "{shown}");
    assert_eq!(buyer.pending(), 0, "nothing is left on its way");
    refused(&buyer, &arguments, 10, "already_registered");

    // The other side sees the figures, and only with the very document.
    refused(&buyer, &["pay", "confirm", &payment], 2, "usage");
    refused(&other, &["pay", "confirm", &payment], 4, "not_authorised");
    fs::write(maker.file("other.pdf"), "another invoice").unwrap();
    fs::write(maker.file("same.pdf"), "invoice 7").unwrap();
    refused(&maker, &["pay", "confirm", &payment, "--file", "other.pdf"], 3, "document_differs");
    let confirm = ["pay", "confirm", &payment, "--file", "same.pdf"];
    let words_shown = maker.run(&[&confirm[..], &["--dry-run", "--url", shared::service().url()]].concat());
    assert!(words_shown.code == 0 && words_shown.stderr.contains("1000000.01 HKD"), "{words_shown:?}");
    let confirmed = done(&maker, &confirm);
    assert_eq!((&confirmed["amount"], &confirmed["currency"]), (&json!("1000000.01"), &json!("HKD")), "{confirmed}");
    assert_eq!(confirmed["withheld"], Value::Null);

    // A correction keeps what is not said otherwise; whoever confirms has to look at the latest version.
    let correct = ["pay", "correct", &payment, "--reason", "amount"];
    refused(&maker, &[&correct[..], &["--amount", "9.00"]].concat(), 4, "not_authorised");
    let error = refused(&buyer, &[&correct[..], &["--amount", "9.0"]].concat(), 2, "usage");
    assert!(error["message"].as_str().unwrap().contains("--amount"), "{error}");
    let corrected = done(&buyer, &[&correct[..], &["--amount", "999999.00", "--term-years", "3"]].concat());
    assert_eq!((&corrected["entry"], &corrected["follows"]), (&recorded["statement_id"], &recorded["statement_id"]));
    let version = id(&corrected);
    let shown = public(&version);
    assert!(shown.contains("INV-7") && !shown.contains("999999"), "{shown}");
    assert!(public(&payment).contains(corrected["statement_id"].as_str().unwrap()), "the head is the correction");
    refused(&maker, &["pay", "confirm", &payment], 10, "already_corrected");
    let confirmed = done(&maker, &["pay", "confirm", &version]);
    assert_eq!((&confirmed["amount"], &confirmed["entry"]), (&json!("999999.00"), &recorded["statement_id"]));
    let stale = [&correct[..], &["--amount", "1.00", "--follows", &payment]].concat();
    refused(&buyer, &stale, 10, "already_corrected");
    let again = done(&buyer, &["pay", "correct", &payment, "--reason", "classification", "--without", "term-years"]);
    assert_eq!(again["follows"], corrected["statement_id"]);
    let reverse = ["pay", "correct", &payment, "--reason", "not_incurred", "--reverse"];
    let reversed = done(&buyer, &reverse);
    assert_eq!((&reversed["reversed"], &reversed["follows"]), (&json!(true), &again["statement_id"]));
    refused(&buyer, &reverse, 10, "already_corrected");
}

#[test]
fn rights_and_facts_are_put_on_record_and_corrected() {
    let (owner, _) = party("Owner of Rights Limited", &["--brn", "12345678"]);
    let (parent, parent_id) = party("Owner of Owners Limited", &[]);
    let register = ["asset", "register", "--name-en", "HARBOUR", "--ip-type", "registered_trade_mark"];
    let error = refused(&owner, &register, 2, "usage");
    assert!(error["message"].as_str().unwrap().contains("--jurisdiction"), "{error}");
    let rest = ["--jurisdiction", "HK", "--number", "304000001", "--registered-on", "2020-01-01"];
    let error = refused(&owner, &[&register[..], &rest, &["--protection-ends", "2019-01-01"]].concat(), 2, "usage");
    assert!(error["message"].as_str().unwrap().contains("--protection-ends"), "{error}");
    let asset = id(&done(&owner, &[&register[..], &rest].concat()));
    assert!(asset.starts_with("ast_"));

    let use_it = |fraction: &'static str, more: &[&'static str]| {
        let start = vec!["tax", "use", "--year", "2026/27", "--fraction", fraction];
        [start, more.to_vec()].concat()
    };
    let used = done(&owner, &[&use_it("0.5", &[])[..], &["--asset", &asset]].concat());
    assert!(!public(&id(&used)).contains("0.5"));
    refused(&owner, &[&use_it("0.25", &[])[..], &["--asset", &asset]].concat(), 10, "already_registered");
    refused(&parent, &[&use_it("0.25", &[])[..], &["--asset", &asset]].concat(), 4, "not_authorised");
    let first = id(&used);
    let correct = ["--asset", &asset, "--corrects", &first, "--reason", "amount"];
    let corrected = done(&owner, &[&use_it("0.25", &[])[..], &correct].concat());
    assert_eq!(corrected["entry"], used["statement_id"]);

    let lapsed =
        ["asset", "correct", &asset, "--reason", "later_event", "--lapsed-on", "2027-01-31", "--cause", "expired"];
    done(&owner, &lapsed);
    let left =
        ["asset", "correct", &asset, "--reason", "later_event", "--title-left-on", "2027-02-01", "--to", &parent_id];
    let left = done(&owner, &left);
    let shown = public(&id(&left));
    assert!(shown.contains("expired") && shown.contains(&parent_id), "the lapse stays: {shown}");
    done(&owner, &["pay", "correct", &asset, "--reason", "duplicate", "--reverse"]);

    let error = refused(&owner, &["tax", "profile", "--from", "2026/27", "--brn", "1234567"], 2, "usage");
    assert!(error["message"].as_str().unwrap().contains("--brn"), "{error}");
    done(&owner, &["tax", "profile", "--from", "2026/27", "--brn", "12345678", "--year-end", "12-31", "--two-tier"]);
    done(&owner, &["tax", "relation", "--with", &parent_id, "--relation", "controlled_by", "--from", "2020-01-01"]);
    let error = refused(
        &owner,
        &["tax", "rate", "--from", "USD", "--rate", "0", "--source", "IRD", "--date", "2026-03-31"],
        2,
        "usage",
    );
    assert!(error["message"].as_str().unwrap().contains("--rate"), "{error}");
    let rate = ["tax", "rate", "--from", "HKD", "--units", "100", "--to", "CNY", "--rate", "90.8419"];
    done(&owner, &[&rate[..], &["--source", "Inland Revenue Department", "--date", "2026-03-31"]].concat());
}
