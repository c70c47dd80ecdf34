//! What hashing engines this machine has, and what happens when one that is not there is asked for.

use std::fs;

use serde_json::Value;

use crate::harness::Home;

fn engine<'a>(document: &'a Value, name: &str) -> &'a Value {
    let engines = document["engines"].as_array().unwrap();
    engines.iter().find(|engine| engine["engine"] == name).unwrap_or_else(|| panic!("{name} is missing: {document}"))
}

#[test]
fn engines_are_listed_with_what_came_of_their_known_answers() {
    let home = Home::new();
    let (code, document) = home.json(&["engines"]);
    assert_eq!(code, 0, "{document}");
    for name in ["portable", "rayon"] {
        let engine = engine(&document, name);
        assert_eq!(engine["state"], "ready", "{document}");
        assert!(engine["bench"].is_null(), "{document}");
    }
    assert_eq!(document["auto"], "rayon");
    assert!(document["cores"].as_u64().unwrap() > 0);
    assert!(!document["cpu_features"].as_array().unwrap().is_empty(), "{document}");
    assert!(document["copy_bytes_per_second"].is_null(), "{document}");
    for (name, section) in [("wgpu", "adapters"), ("cuda", "cuda")] {
        let engine = engine(&document, name);
        assert_eq!(engine["state"], "not_built", "{document}");
        assert!(document[section].is_null(), "nothing was looked for: {document}");
    }
    let ran = home.run(&["engines"]);
    assert_eq!(ran.code, 0);
    for word in ["cores", "CPU features", "portable", "known answers right", "not_built", "auto: rayon"] {
        assert!(ran.stdout.contains(word), "{word} is missing: {}", ran.stdout);
    }
}

#[test]
fn what_is_measured_is_more_than_nothing() {
    let (code, document) = Home::new().json(&["engines", "--bench"]);
    assert_eq!(code, 0, "{document}");
    assert!(document["copy_bytes_per_second"].as_u64().unwrap() > 0, "{document}");
    for name in ["portable", "rayon"] {
        let bench = &engine(&document, name)["bench"];
        for member in ["blake3_bytes_per_second", "fsverity_bytes_per_second"] {
            assert!(bench[member].as_u64().unwrap() > 0, "{document}");
        }
        assert!(bench["upload_bytes_per_second"].is_null(), "there is no device: {document}");
    }
}

#[test]
fn an_engine_that_is_not_there_is_named_with_what_to_use_instead() {
    let home = Home::new();
    fs::write(home.file("weights.bin"), b"weights").unwrap();
    for (name, feature) in [("wgpu", "gpu"), ("cuda", "cuda")] {
        let (code, document) = home.json(&["hash", "weights.bin", "--engine", name]);
        assert_eq!((code, document["error"]["code"].as_str()), (2, Some("engine_unavailable")), "{document}");
        let message = document["error"]["message"].as_str().unwrap();
        for word in [name, "--engine rayon", &format!("--features {feature}")] {
            assert!(message.contains(word), "{message}");
        }
    }
    let ran = home.run(&["hash", "weights.bin", "--verbose"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.contains("engine: auto: rayon on"), "{}", ran.stderr);
}
