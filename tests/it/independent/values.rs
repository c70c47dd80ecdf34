//! Values of the right type that break a rule, or just keep it.

mod expenditure;

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
        "predicateType" => [
            "artefact",
            "party",
            "key",
            "policy",
            "endorsement",
            "attestation",
            "terms",
            "offer",
            "grant",
            "licence_status",
            "erased",
            "expenditure",
            "asset",
            "use",
            "relation",
            "tax_profile",
            "fx_rate",
            "correction",
            "nothing",
        ]
        .map(|kind| json!(format!("urn:chopmark:predicate:{kind}:v1")))
        .into(),
        "_type" => vec![json!("https://in-toto.io/Statement/v0.1"), json!("https://in-toto.io/Statement/v1/")],
        "keys" => vec![json!([]), json!([KeyId::from_digest(Sha256Digest::of(b"k")).to_string()])],
        _ => [of_terms(name), expenditure::of_its_name(name)].concat(),
    }
}

/// The same for members of terms and of statements about licences.
fn of_terms(name: &str) -> Vec<Value> {
    words(name).iter().map(|word| json!(word)).chain(lists_and_flags(name)).collect()
}

fn words(name: &str) -> &'static [&'static str] {
    match name {
        "start" | "starts_on" => &[
            "2027-02-28",
            "2027-02-29",
            "2028-02-29",
            "2027-1-1",
            "0000-01-01",
            "0001-01-01",
            "9999-12-31",
            "9995-01-01",
            "9996-02-01",
            "+2027-01-01",
            "2027-01-31T00:00:00Z",
            "２０２７-01-31",
        ],
        "duration" | "period" | "notice" | "every" | "within" | "cadence" | "statement_due" | "lookback" => &[
            "P1Y", "P6M", "P2W", "P90D", "P1Y2M3D", "P9999Y", "P7972Y", "P7973Y", "P10000Y", "P0D", "P01Y", "P1W1D",
            "P1M1Y", "PT1H", "P", "1Y", "P1.5Y", "p1y",
        ],
        "amount" | "ceiling" | "above_amount" => &[
            "0",
            "0.00",
            "0.1",
            "0.01",
            "1000.00",
            "999.99",
            "5000.00",
            "1.000",
            "01.00",
            "-1.00",
            "+1.00",
            "1e3",
            "99999999999999999999.99",
            "100000000000000000000.00",
            "1,000.00",
            ".50",
            "1.",
        ],
        "rate" | "withholding_rate_claimed" => {
            &["0", "1", "1.5", "0.96", "0.95", "0.00000001", "0.000000001", "0.50", "99", "100", "5%", "-0.1", "00.1"]
        }
        "cap" | "above_units" => {
            &["0", "1", "999", "100000", "999999999999999999", "1000000000000000000", "01", "1.5", "-1"]
        }
        "currency" => &["CNY", "JPY", "KWD", "XXX", "hkd"],
        "grant_type" => &["sublicence", "assignment", "option", "license"],
        "kind" => &[
            "exclusive",
            "sole",
            "non_exclusive",
            "upfront_lump_sum",
            "milestone",
            "recurring",
            "rev_share",
            "per_unit",
            "min_guarantee",
            "ip_purchase",
        ],
        "permission" | "transferable" => &["none", "affiliates", "free"],
        "mode" => &["automatic", "by_agreement"],
        "metric" | "unit" => &["seats", "devices", "api_call", "token", "compute_hour", "watts"],
        "overage" => &["forbidden", "by_agreement", "billed"],
        "share_alike" => &["none", "file", "work", "network"],
        "effect" => &["survive", "wind_down", "terminate"],
        "class" => &["free", "restricted", "prohibited"],
        "catalogue_number" => &["086501J", "086501x", "86501X", "086501"],
        "approval_number" => &["ABC", "ABCD", "ABCDE-1", "abcd-1", "A B C D"],
        "article" => {
            &["12", "12A(3)(b)", "012", "12(2", "12()", "12(2)(2)(2)(2)(2)(2)", "12(22)(33)(44)(55)(66)", "AA"]
        }
        "base" => &["gross", "net", "Net"],
        "status" => &["suspended", "reinstated", "terminated", "granted"],
        "reason" => &["breach", "licensee_convenience", "whim"],
        "prevailing_language" => &["zh-Hant", "zh-hant"],
        "forum" => &["courts", "HKIAC"],
        "governing_law" | "seat" | "payee_residence" | "with" => &["CN", "MO", "hk", "XX"],
        _ => &[],
    }
}

fn lists_and_flags(name: &str) -> Vec<Value> {
    match name {
        "include" | "exclude" => vec![
            json!(["HK"]),
            json!(["GBA"]),
            json!(["WORLD"]),
            json!(["CN", "MO"]),
            json!(["US", "US"]),
            json!(["EU"]),
            json!(["ALL"]),
            json!(["O", "84"]),
            json!(["62", "86"]),
            json!(["8620", "869"]),
            json!(["04"]),
            json!(["861", "8611"]),
            json!(["V"]),
            json!(["62015"]),
        ],
        "rights" => vec![json!(["use"]), json!(["use", "distribute"]), json!(["use", "modify"]), json!(["own"])],
        "forms" => vec![json!([]), json!(["source"]), json!(["weights", "source"])],
        "compatible_terms" => {
            vec![json!([]), json!(["mit"]), json!(["MIT OR Apache-2.0"]), json!(["LicenseRef-own"]), json!([""])]
        }
        "fields" => vec![json!(["/a"]), json!(["/b", "/a"]), json!(["a"]), json!(["/a//b"]), json!(["/a.b"])],
        "codes" => vec![json!([]), json!(["unlawful"]), json!(["evil"])],
        "perpetual"
        | "allowed"
        | "approval_required"
        | "lineage_disclosure"
        | "propagates"
        | "attribution_required"
        | "recoupable"
        | "associate" => vec![json!(true), json!(false)],
        "max_depth" => vec![json!(0), json!(255), json!(256)],
        "en" | "zh-Hant" => vec![
            json!("two\nlines"),
            json!("a tab\there"),
            json!("a return\r\nhere"),
            json!("x".repeat(1_000)),
            json!("x".repeat(1_001)),
            json!("x".repeat(4_000)),
            json!("x".repeat(4_001)),
            json!("\u{a0}x"),
            json!("\u{202e}x"),
        ],
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
