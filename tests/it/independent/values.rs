//! Values of the right type that break a rule, or just keep it.

use chopmark_core::digest::Sha256Digest;
use chopmark_core::key::KeyId;
use serde_json::{Value, json};

/// What may stand in place of a value, by its type.
pub fn of_its_type(here: &Value) -> Vec<Value> {
    match here {
        Value::Number(_) => {
            [0_u64, 1, 2, 3, 65, 0xFFFF_FFFF, 0x1_0000_0000, 9_007_199_254_740_991].map(Value::from).into()
        }
        Value::String(text) if text.len() == 64 => {
            let mut others = vec![text.to_uppercase(), format!("{text}0"), text[1..].to_owned(), "0".repeat(64)];
            others.extend(["self".to_owned(), format!(" {text}"), text.replace(['a', 'b', 'c', 'd', 'e', 'f'], "g")]);
            others.into_iter().map(Value::from).collect()
        }
        Value::String(text) => [
            String::new(),
            format!("{text} "),
            format!(" {text}"),
            text.to_uppercase(),
            text.to_lowercase(),
            format!("{text}\n"),
            format!("{text}\u{200b}"),
            format!("{text}{text}"),
            "x".repeat(64),
            "x".repeat(65),
            "x".repeat(200),
            "x".repeat(201),
        ]
        .map(Value::from)
        .into(),
        Value::Array(items) if !items.is_empty() => {
            let doubled = [items.as_slice(), items.as_slice()].concat();
            let many = vec![items[0].clone(); 66];
            let backwards: Vec<_> = items.iter().rev().cloned().collect();
            vec![json!([]), json!(doubled), json!(many), json!(backwards)]
        }
        // An object as a list of its values: one of the orders is that of somebody's source.
        Value::Object(members) => {
            let values: Vec<_> = members.values().cloned().collect();
            if values.len() > 4 { vec![json!(values)] } else { orders(values) }
        }
        _ => Vec::new(),
    }
}

/// What may stand in place of a value, by the name of the member.
pub fn of_its_name(name: &str) -> Vec<Value> {
    match name {
        "issued_at" | "not_after" => vec![
            json!("2026-05-02T08:30:00Z"),
            json!("2026-05-02T08:30:00.000+00:00"),
            json!("2026-02-30T08:30:00.000Z"),
            json!("2026-05-02t08:30:00.000z"),
            json!("2026-06-30T23:59:60.000Z"),
            json!("2026-05-02T24:00:00.000Z"),
            json!("２０２６-05-02T08:30:00.000Z"),
            json!("2026-05-02 08:30:00.000Z"),
            json!("9999-12-31T23:59:59.999Z"),
            json!("2024-02-29T00:00:00.000Z"),
            json!("2025-02-29T00:00:00.000Z"),
            json!("10000-01-01T00:00:00.000Z"),
        ],
        "nonce" => [30, 31, 32, 64, 66].map(|length| json!("a".repeat(length))).into(),
        "jurisdiction" | "author_jurisdiction" => ["CN", "hk", "XX", "HKG", "ＨＫ"].map(Value::from).into(),
        "expression" => [
            "MIT OR Apache-2.0",
            "mit",
            "MIT or Apache-2.0",
            "MIT AND (Apache-2.0 OR BSD-3-Clause)",
            "(MIT)",
            "MIT OR",
            "MIT  OR Apache-2.0",
            "GPL-2.0-only WITH Classpath-exception-2.0",
            "LicenseRef-own",
            "No-Such-Licence",
            "( MIT )",
            "MIT OR (Apache-2.0",
            "MIT\u{a0}OR Apache-2.0",
            "MIT OR(Apache-2.0)",
            "(MIT)OR MIT",
        ]
        .map(Value::from)
        .into(),
        "license_list_version" => ["3", "3.27.0.1", "3.27-rc", "1.2.3.4.5.6.7.8.9"].map(Value::from).into(),
        "value" => {
            ["1234567", "１２３４５６７８", "HWUPKR0MPOU8FGXBT395", "9144030071526726XX"].map(Value::from).into()
        }
        "origin" => {
            ["", "/log", "log/", "https://log", "a b", "a+b", "登記.hk", "localhost:8080"].map(Value::from).into()
        }
        "predicateType" => ["artefact", "party", "key", "policy", "endorsement", "attestation", "grant"]
            .map(|kind| json!(format!("urn:chopmark:predicate:{kind}:v1")))
            .into(),
        "_type" => vec![json!("https://in-toto.io/Statement/v0.1"), json!("https://in-toto.io/Statement/v1/")],
        "keys" => vec![json!([]), json!([KeyId::from_digest(Sha256Digest::of(b"k")).to_string()])],
        _ => Vec::new(),
    }
}

/// All orders of a few values, each as a list.
fn orders(values: Vec<Value>) -> Vec<Value> {
    let mut found: Vec<Vec<Value>> = vec![Vec::new()];
    for value in values {
        let longer = |order: &Vec<Value>| {
            (0..=order.len())
                .map(|place| [&order[..place], core::slice::from_ref(&value), &order[place..]].concat())
                .collect::<Vec<_>>()
        };
        found = found.iter().flat_map(longer).collect();
    }
    found.into_iter().map(Value::from).collect()
}
