//! Licence terms on the command line: made from presets, shown in three languages, checked against parents.

use std::fs;

use serde_json::{Value, json};

use crate::harness::Home;

const PRESETS: [&str; 7] = [
    "permissive",
    "copyleft",
    "openrail",
    "evaluation-only",
    "commercial-per-seat",
    "commercial-revenue-share",
    "exclusive-territorial",
];

#[test]
fn every_preset_is_written_shown_and_never_overwritten() {
    let home = Home::new();
    for preset in PRESETS {
        let name = format!("{preset}.json");
        let (code, made) = home.json(&["licence", "new", "--preset", preset, "--out", &name]);
        assert_eq!(code, 0, "{made}");
        let (code, shown) = home.json(&["licence", "show", &name]);
        assert_eq!((code, &shown["terms_id"]), (0, &made["terms_id"]), "{shown}");
        assert_eq!(shown["terms"], serde_json::from_slice::<Value>(&fs::read(home.file(&name)).unwrap()).unwrap());
        for language in ["en", "zh-Hant", "zh-Hans"] {
            let ran = home.run(&["licence", "show", &name, "--lang", language]);
            let summary = shown["summary"][language].as_str().unwrap();
            assert!(ran.code == 0 && ran.stdout.starts_with(summary), "{ran:?}");
        }
        // Spelled otherwise, they are the same terms.
        home.edit(&name, |_| {});
        assert_eq!(home.json(&["licence", "show", &name]).1["terms_id"], made["terms_id"]);
    }
    let ran = home.run(&["licence", "new", "--preset", "permissive", "--out", "copyleft.json"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    // Without a file, the document itself is the result.
    let ran = home.run(&["licence", "new", "--preset", "openrail"]);
    fs::write(home.file("piped.json"), &ran.stdout).unwrap();
    let (_, piped) = home.json(&["licence", "show", "piped.json"]);
    assert_eq!(piped["terms_id"], home.json(&["licence", "show", "openrail.json"]).1["terms_id"]);
}

#[test]
fn a_conflict_is_said_with_its_clause_and_ends_with_10() {
    let home = Home::new();
    for (preset, name) in [("permissive", "art_base"), ("commercial-revenue-share", "terms.json")] {
        assert_eq!(home.run(&["licence", "new", "--preset", preset, "--out", name]).code, 0);
    }
    home.edit("art_base", |terms| {
        terms.as_object_mut().unwrap().remove("licence");
        terms["field"]["exclude"] = json!(["86"]);
    });
    let check = ["licence", "check", "--parent", "art_base", "--relation", "finetune", "--terms", "terms.json"];
    let ran = home.run(&check);
    assert_eq!(ran.code, 10, "{ran:?}");
    let line = "  conflict  FIELD_OF_USE   parent art_base excludes healthcare (its terms, /field)";
    assert_eq!(ran.stdout.lines().next(), Some(line), "{}", ran.stdout);
    assert!(ran.stdout.lines().last().unwrap().starts_with("CONFLICT: 1 conflict"), "{}", ran.stdout);

    let (code, document) = home.json(&check);
    assert_eq!((code, &document["verdict"]), (10, &json!("conflict")), "{document}");
    let found = &document["conflicts"][0];
    assert_eq!(found["code"], "FIELD_OF_USE");
    assert_eq!(
        (&found["clause"], &found["parent"], &found["about"]),
        (&json!("/field"), &json!("art_base"), &json!(["86"]))
    );
    assert_eq!(document["engine"], "chopmark.compatibility/v1");

    // The document has everything that the verdict rests on, so it can be made again without the files.
    let inputs: chopmark_core::compatibility::Inputs = serde_json::from_value(document["inputs"].clone()).unwrap();
    let again = inputs.judge();
    assert_eq!(again.inputs_sha256.to_hex(), document["inputs_sha256"].as_str().unwrap());
    assert_eq!(again.conflicts.len(), document["conflicts"].as_array().unwrap().len());

    let ran = home.run(&[check.as_slice(), &["--lang", "zh-Hant"]].concat());
    assert!(ran.stdout.contains("上游 art_base 不包括醫療保健（其條款 /field）"), "{}", ran.stdout);
}

#[test]
fn verdicts_have_their_exit_codes() {
    let home = Home::new();
    for (code, verdict, parents, relation, terms) in [
        (0, "compatible", ["MIT"].as_slice(), ["finetune"].as_slice(), "apache-2.0"),
        (0, "compatible", &["MIT or GPL-3.0-only"], &["derived"], "apache-2.0"),
        (0, "compatible", &["llama3.1"], &["finetune"], "llama3.1"),
        (0, "compatible", &["MIT", "CC-BY-4.0"], &["finetune", "dataset"], "MIT"),
        (9, "needs_review", &["CC-BY-SA-4.0"], &["dataset"], "MIT"),
        (10, "conflict", &["MIT", "GPL-3.0-only"], &["merge"], "MIT"),
        (10, "conflict", &["gemma"], &["finetune"], "apache-2.0"),
        (10, "conflict", &["CC-BY-NC-4.0"], &["finetune"], "MIT"),
    ] {
        let mut arguments = vec!["licence", "check", "--terms", terms];
        for (flag, values) in [("--parent", parents), ("--relation", relation)] {
            for value in values {
                arguments.extend([flag, *value]);
            }
        }
        let (found, document) = home.json(&arguments);
        assert_eq!((found, document["verdict"].as_str()), (code, Some(verdict)), "{arguments:?}: {document}");
    }
}

#[test]
fn nothing_is_made_of_what_is_not_in_force() {
    let home = Home::new();
    assert_eq!(home.run(&["licence", "new", "--preset", "permissive", "--out", "base.json"]).code, 0);
    home.edit("base.json", |terms| {
        terms.as_object_mut().unwrap().remove("licence");
        terms["term"] = json!({ "perpetual": false, "start": "2026-01-01", "duration": "P1Y" });
    });
    // Derivatives survive its end, and data is no part of what is trained on it: nothing new is made of it all the same.
    for relation in ["finetune", "distilled", "dataset"] {
        let check = ["licence", "check", "--parent", "base.json", "--relation", relation, "--terms", "MIT", "--on"];
        for (on, words) in [
            ("2025-12-31", Some("NOT_BEGUN      parent base.json does not begin before 1 January 2026")),
            ("2026-12-31", None),
            ("2027-01-01", Some("EXPIRED        parent base.json ended on 31 December 2026")),
        ] {
            let ran = home.run(&[&check[..], &[on]].concat());
            assert_eq!(ran.code, if words.is_some() { 10 } else { 0 }, "{ran:?}");
            assert!(words.is_none_or(|words| ran.stdout.contains(words)), "{words:?}: {ran:?}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_document_is_said_with_its_place() {
    let home = Home::new();
    assert_eq!(home.run(&["licence", "new", "--preset", "commercial-revenue-share", "--out", "t.json"]).code, 0);
    home.edit("t.json", |terms| terms["consideration"][1]["figures"]["rate"] = json!("1.5"));
    let (code, document) = home.json(&["licence", "show", "t.json"]);
    assert_eq!((code, &document["error"]["code"]), (2, &json!("terms_malformed")), "{document}");
    assert!(document["error"]["message"].as_str().unwrap().contains("/consideration/1/figures/rate"), "{document}");
    let text = fs::read_to_string(home.file("t.json")).unwrap().replacen("\"grant\":", "\"grant\":1,\"grant\":", 1);
    fs::write(home.file("twice.json"), text).unwrap();
    assert_eq!(home.run(&["licence", "show", "twice.json"]).code, 2);
    for arguments in [
        ["--parent", "MIT", "--relation", "merge", "--relation", "derived", "--terms", "MIT"].as_slice(),
        &["--parent", "MIT", "--parent", "MIT", "--relation", "merge", "--terms", "MIT"],
        &["--parent", "nowhere.json", "--relation", "merge", "--terms", "MIT"],
    ] {
        assert_eq!(home.run(&[["licence", "check"].as_slice(), arguments].concat()).code, 2, "{arguments:?}");
    }
}
