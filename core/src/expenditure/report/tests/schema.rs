//! The published schema says what reports look like, and nothing else passes it.

use serde_json::{Value, json};

use super::scenario::{Scenario, scenario};
use super::*;

const SCHEMA: &str = include_str!("../../../../../docs/formats/ip-expenditure.schema.json");

fn schema() -> jsonschema::Validator {
    jsonschema::validator_for(&serde_json::from_str(SCHEMA).unwrap()).unwrap()
}

#[test]
fn reports_are_as_the_published_schema_says() {
    let Scenario { world, alpha, gamma, .. } = scenario();
    let schema = schema();
    for party in [&alpha, &gamma] {
        let bytes = bytes_at(&world, &Query::all(party.id), world.size());
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        let errors: Vec<String> =
            schema.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

#[test]
fn other_documents_are_not() {
    let Scenario { world, alpha, .. } = scenario();
    let schema = schema();
    let bytes = bytes_at(&world, &Query::all(alpha.id), world.size());
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    let mut refused = 0;
    for pointer in [
        "",
        "/report",
        "/report/lines/0",
        "/report/flags/0",
        "/report/breakdown",
        "/report/payments/0",
        "/report/corrections/0",
        "/report/taxpayer",
        "/report/ip_types/0",
        "/report/evidence/0",
        "/report/query",
    ] {
        let members: Vec<String> = value.pointer(pointer).unwrap().as_object().unwrap().keys().cloned().collect();
        for member in members {
            let mut other = value.clone();
            other.pointer_mut(pointer).unwrap()[&member] = json!({ "no": true });
            assert!(!schema.is_valid(&other), "{pointer}/{member}");
            refused += 1;
        }
        let mut other = value.clone();
        other.pointer_mut(pointer).unwrap()["unknown"] = json!(1);
        assert!(!schema.is_valid(&other), "{pointer}/unknown");
    }
    assert!(refused > 100, "{refused}");
}
