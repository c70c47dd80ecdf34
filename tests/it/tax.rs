//! `chopmark tax` through the real binary: the fixtures of the practice notes, bad facts, three languages, one document.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use chopmark_core::tax::hk::HongKong;
use chopmark_core::tax::words::Language;
use chopmark_core::tax::{Facts, Jurisdiction as _};
use serde_json::{Value, json};

use crate::harness::Home;

/// Every fixture, with its path.
pub fn fixtures() -> Vec<(PathBuf, Value)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tax");
    let mut found = Vec::new();
    for directory in [directory.clone(), directory.join("variations")] {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let fixture: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            if fixture["schema"] == "chopmark.tax.fixture/v1" {
                found.push((path, fixture));
            }
        }
    }
    found.sort_by(|(left, _), (right, _)| left.cmp(right));
    assert!(found.len() > 150, "only {} fixtures found", found.len());
    found
}

/// Each expected line claims one line that has all the members it names; none may be left over.
pub(crate) fn differences(fixture: &Value, lines: &[Value], flags: &BTreeSet<String>) -> Vec<String> {
    let mut left: Vec<&Value> = lines.iter().collect();
    let mut faults = Vec::new();
    for expected in fixture["expected"]["lines"].as_array().unwrap() {
        let has_all = |line: &&Value| expected.as_object().unwrap().iter().all(|(name, value)| line[name] == *value);
        match left.iter().position(has_all) {
            Some(place) => {
                left.remove(place);
            }
            None => faults.push(format!("expected {expected}")),
        }
    }
    faults.extend(left.iter().map(|line| format!("not expected {line}")));
    let expected: BTreeSet<String> =
        fixture["expected"]["flags"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect();
    if *flags != expected {
        faults.push(format!("flags {flags:?}, expected {expected:?}"));
    }
    faults
}

#[test]
fn every_fixture_is_computed_to_the_cent() {
    let rules = HongKong.rules().unwrap();
    let mut faults = Vec::new();
    for (path, fixture) in fixtures() {
        let facts = Facts::from_slice(fixture["facts"].to_string().as_bytes())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let report = HongKong.compute(&facts, &rules).unwrap();
        let value = serde_json::to_value(&report).unwrap();
        let flags = report.flags.iter().map(|flag| flag.code.as_str().to_owned()).collect();
        let found = differences(&fixture, value["lines"].as_array().unwrap(), &flags);
        if !found.is_empty() {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            faults.push(format!("{name}: {}\n  {}\n  {}", fixture["about"], found.join("\n  "), fixture["facts"]));
        }
    }
    assert!(faults.is_empty(), "{} fixtures differ:\n{}", faults.len(), faults.join("\n"));
}

/// The example of the design: DIPN 49, Example 11.
fn facts() -> Value {
    json!({
        "schema": "chopmark.tax.facts/v1",
        "taxpayer": { "name": "Company-HK", "brn": "12345678", "entity": "corporation", "year_end": "03-31",
                      "two_tier": false, "trade": "wholly_hk" },
        "assets": [{ "id": "mark", "ip_type": "registered_trade_mark", "jurisdiction": "HK", "registered": true,
                     "protection_ends": null }],
        "events": [
            { "id": "e1", "nature": "purchase", "asset": "mark", "date": "2016-06-30", "amount": "2000000.00",
              "currency": "HKD", "counterparty": { "associate": false, "residence": "US" } },
            { "id": "e2", "nature": "use", "asset": "mark", "year": "2016/17", "fraction": "0.5", "by": "self" },
            { "id": "e3", "nature": "use", "asset": "mark", "year": "2017/18", "fraction": "0.6", "by": "self" },
            { "id": "e4", "nature": "disposal", "asset": "mark", "date": "2018-09-01", "amount": "3000000.00",
              "currency": "HKD" },
        ],
        "years": ["2016/17", "2017/18", "2018/19"], "proposed_rules": [],
    })
}

fn home_with(facts: &Value) -> Home {
    let home = Home::new();
    fs::write(home.file("facts.json"), facts.to_string()).unwrap();
    home
}

#[test]
fn a_schedule_shows_every_figure_with_its_arithmetic() {
    let home = home_with(&facts());
    let (code, document) = home.json(&["tax", "compute", "--rules", "hk", "--input", "facts.json"]);
    assert_eq!((code, &document["command"]), (0, &json!("tax compute")));
    let line = &document["lines"][0];
    assert_eq!(line["steps"], json!(["2000000.00 ÷ 5 = 400000.00", "400000.00 × 0.5 = 200000.00"]));
    assert_eq!(
        (&line["amount"], &line["section"], &line["events"]),
        (&json!("200000.00"), &json!("16EA(3)"), &json!(["e1", "e2"]))
    );
    let last = &document["lines"][3];
    assert_eq!(
        (&last["kind"], &last["section"], &last["amount"]),
        (&json!("receipt"), &json!("16EB(2)(b)"), &json!("440000.00"))
    );
    assert_eq!(document["totals"][2]["receipt"], "440000.00");
    assert_eq!(document["rules_digest"], HongKong.rules().unwrap().digest().to_hex());
    // The same question, the same bytes.
    let run = || home.run(&["tax", "compute", "--input", "facts.json", "--json"]).stdout;
    assert_eq!(run(), run());
    let shown = home.run(&["tax", "compute", "--input", "facts.json"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    for words in ["400000.00 × 0.6 = 240000.00", "16EB(2)(b)", "DIPN 49", "COMPUTED: 4 lines, 0 flags"] {
        assert!(shown.stdout.contains(words), "{words} is missing: {}", shown.stdout);
    }
}

#[test]
fn it_speaks_three_languages() {
    let home = home_with(&facts());
    for (language, words) in [("en", "Year of assessment"), ("zh-Hant", "課稅年度"), ("zh-Hans", "课税年度")] {
        let (code, document) = home.json(&["tax", "compute", "--input", "facts.json", "--lang", language]);
        assert_eq!(code, 0);
        assert!(document["lines"][0]["text"].as_str().unwrap().contains(words), "{document}");
        let shown = home.run(&["tax", "explain", "--input", "facts.json", "--line", "4", "--lang", language]);
        assert!(shown.code == 0 && shown.stdout.contains(words) && shown.stdout.contains("16EB(2)(b)"), "{shown:?}");
    }
    assert_eq!(Language::ALL.len(), 3);
    assert_eq!(home.json(&["tax", "compute", "--input", "facts.json", "--lang", "fr"]).0, 2);
}

#[test]
fn a_line_is_explained_with_its_rule_and_every_step() {
    let home = home_with(&facts());
    let (code, document) = home.json(&["tax", "explain", "--input", "facts.json", "--line", "4"]);
    assert_eq!(code, 0, "{document}");
    assert_eq!(document["rule"]["id"], "hk.16eb.excess");
    assert_eq!(document["line"]["steps"].as_array().unwrap().len(), 5, "{document}");
    let ran = home.run(&["tax", "explain", "--input", "facts.json", "--line", "4"]);
    for words in
        ["3000000.00 × 440000.00 ÷ 800000.00 = 1650000.00", "min(990000.00, 440000.00) = 440000.00", "IRO s.16EB"]
    {
        assert!(ran.stdout.contains(words), "{words} is missing: {}", ran.stdout);
    }
    for line in ["0", "5", "x"] {
        assert_eq!(home.json(&["tax", "explain", "--input", "facts.json", "--line", line]).0, 2, "{line}");
    }
}

#[test]
fn a_royalty_says_what_is_not_known_of_it() {
    let royalty = json!({ "id": "r", "nature": "royalty", "date": "2025-10-01", "amount": "1000000.00",
        "payee": { "name": "Licensor", "residence": "US" }, "withheld": "49500.00" });
    let mut facts = facts();
    (facts["events"], facts["years"]) = (json!([royalty]), json!([]));
    // Nobody has said whether tax of 2025/26 is reduced.
    let shown = home_with(&facts).run(&["tax", "compute", "--input", "facts.json"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    for words in ["49500.00  [needs_review]", "NEEDS_REVIEW"] {
        assert!(shown.stdout.contains(words), "{words} is missing: {}", shown.stdout);
    }
    // The word of a purchase for the other side would leave the tax out.
    facts["events"][0]["counterparty"] = facts["events"][0]["payee"].take();
    let (code, document) = home_with(&facts).json(&["tax", "compute", "--input", "facts.json"]);
    assert_eq!((code, &document["error"]["pointer"]), (2, &json!("/events/0/counterparty")), "{document}");
}

#[test]
fn rules_are_listed_as_of_a_day() {
    let home = Home::new();
    let ids = |arguments: &[&str]| -> BTreeSet<String> {
        let (code, document) = home.json(&[&["tax", "rules"], arguments].concat());
        assert_eq!(code, 0, "{document}");
        document["rules"].as_array().unwrap().iter().map(|rule| rule["id"].as_str().unwrap().to_owned()).collect()
    };
    let on_the_day = ids(&["--rules", "hk", "--as-of", "2018-06-29"]);
    let the_day_before = ids(&["--as-of", "2018-06-28"]);
    assert!(on_the_day.contains("hk.16ea.slices_2018") && !the_day_before.contains("hk.16ea.slices_2018"));
    assert!(on_the_day.contains("hk.100.reduction_2018") && !on_the_day.contains("hk.100.reduction_2024"));
    let proposed = ids(&["--proposed"]);
    assert!(proposed.contains("hk.proposed.upfront_fee") && !ids(&[]).contains("hk.proposed.upfront_fee"));
    assert_eq!(home.json(&["tax", "rules", "--as-of", "2018-06-31"]).0, 2);
    assert_eq!(home.json(&["tax", "rules", "--rules", "sg"]).0, 2);
    assert!(home.run(&["tax", "rules"]).stdout.contains("hk.treaty.gb  49  2011/12–"));
}

#[test]
fn bad_facts_end_with_2_and_a_pointer_and_nothing_else() {
    for (pointer, value) in [
        ("/events/0/nature", json!("gift")),
        ("/events/0/amount", json!("-1.00")),
        ("/events/0/amount", json!("NaN")),
        ("/events/0/amount", json!("1e400")),
        ("/events/0/amount", json!("1.001")),
        ("/events/1/year", json!("2016/18")),
        ("/events/3/date", json!("2016-06-29")),
        ("/events/1/fraction", json!("1.1")),
        ("/events/0/currency", json!("USD")),
        ("/proposed_rules", json!(["hk.16ea.slices"])),
    ] {
        let mut facts = facts();
        *facts.pointer_mut(pointer).unwrap() = value.clone();
        let home = home_with(&facts);
        let (code, document) = home.json(&["tax", "compute", "--input", "facts.json"]);
        assert_eq!((code, &document["error"]["code"]), (2, &json!("bad_facts")), "{pointer} {value}: {document}");
        assert!(document["error"]["pointer"].as_str().unwrap().starts_with(pointer), "{pointer} {value}: {document}");
        assert!(document["lines"].is_null());
        let ran = home.run(&["tax", "compute", "--input", "facts.json"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{ran:?}");
        assert!(ran.stderr.contains(pointer), "{ran:?}");
    }
    let home = home_with(&facts());
    let text = facts().to_string();
    for (from, to, pointer) in [
        ("\"2000000.00\"", "1e400", "/events/0/amount"),
        ("\"2000000.00\"", "NaN", "/events/0/amount"),
        ("\"id\":\"e2\"", "\"id\":\"e2\",\"id\":\"e9\"", "/events/1/id"),
    ] {
        fs::write(home.file("facts.json"), text.replacen(from, to, 1)).unwrap();
        let (code, document) = home.json(&["tax", "compute", "--input", "facts.json"]);
        assert_eq!((code, &document["error"]["pointer"]), (2, &json!(pointer)), "{to}: {document}");
    }
    let event = facts()["events"][1].to_string();
    let many = vec![event.as_str(); 10_000_000 / event.len() + 1].join(",");
    fs::write(home.file("facts.json"), text.replacen("\"events\":[", &format!("\"events\":[{many},"), 1)).unwrap();
    let (code, document) = home.json(&["tax", "compute", "--input", "facts.json"]);
    assert_eq!((code, &document["error"]["pointer"]), (2, &json!("/events")), "{document}");
    assert_eq!(home.json(&["tax", "compute", "--input", "missing.json"]).0, 2);
}
