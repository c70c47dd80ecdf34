//! Values for the members of statements about expenditure.

use chopmark_core::digest::Sha256Digest;
use serde_json::{Value, json};

/// Civil dates, and what looks like one; the first four are at the ends of the years that there are.
const DAYS: [&str; 14] = [
    "1999-12-31",
    "2000-01-01",
    "2099-12-31",
    "2100-01-01",
    "2024-02-29",
    "2026-02-29",
    "2026-04-31",
    "2026-13-01",
    "2026-00-10",
    "2026-5-2",
    "2026/05/02",
    "2026-05-02T00:00:00Z",
    "+2026-05-02",
    "２０２６-05-02",
];

/// Years of assessment, and what looks like one.
const YEARS: [&str; 10] =
    ["2000/01", "2099/00", "1999/00", "2100/01", "2026/26", "2026/28", "2099/100", "2026-27", "26/27", "２０２６/27"];

/// What may stand in place of a value, by the name of the member.
pub fn of_its_name(name: &str) -> Vec<Value> {
    let mut all: Vec<Value> = texts(name).into_iter().map(Value::from).collect();
    all.extend(match name {
        "payer" | "payee" | "other" | "to" | "predecessor" => vec![
            json!({"party": "0".repeat(64)}),
            json!({"party": "self"}),
            json!({"party": "0".repeat(64), "outside": {"name": "Delta", "jurisdiction": "DE"}}),
            json!({"outside": {"name": "Delta", "jurisdiction": "DE"}}),
            json!({"outside": {"name": " Delta", "jurisdiction": "DE"}}),
            json!({"outside": {"name": "Delta", "jurisdiction": "XX"}}),
            json!({"outside": {"name": "Delta"}}),
            json!({"outside": {"name": {"en": "Delta"}, "jurisdiction": "DE"}}),
            json!({"person": {"name": "Chan Tai Man"}}),
        ],
        "artefacts" => [63, 64, 65].map(ids).into(),
        "details" => vec![json!({})],
        "replacement" => vec![json!({}), json!({"relation": {}}), json!({"use": {}}), json!({"reversal": true})],
        "term_years" => vec![json!(1), json!(100), json!(101)],
        "licensed_back" | "early_termination" | "film" | "ever_hk_owned" | "vested" | "for_another" | "avoidance"
        | "taxed_in_hk" | "registered" | "software" | "two_tier" => vec![json!(true), json!(false)],
        _ => Vec::new(),
    });
    all
}

/// Texts, good ones and others.
fn texts(name: &str) -> Vec<&'static str> {
    let froms = [&DAYS[..4], &YEARS[..6], &["HKD", "EUR", "XXX", "usd"]].concat();
    let words: &[&'static str] = match name {
        "on" | "until" | "date" | "registered_on" | "protection_ends" | "commenced" | "ceased" => &DAYS,
        // Of a relation, a profile and a rate of exchange.
        "from" => &froms,
        "to" => &["USD", "XXX", "hkd"],
        "year" => &YEARS,
        "year_end" => &["02-29", "02-30", "12-31", "13-01", "00-10", "04-31", "3-31", "0３-31", "2026-03-31"],
        "brn" => &["1234567", "123456789", "１２３４５６７８", "1234567a"],
        "file_number" => &["22/1234567", "2/12345678", "22-12345678", "22/12345678/1", "２２/12345678", "22/"],
        "share" | "fraction" | "proportion" | "hk_proportion" => &[
            "0",
            "0.00000000",
            "0.00000001",
            "0.000000001",
            "1",
            "1.00000000",
            "1.00000001",
            "0.50",
            "00.5",
            ".5",
            "0.",
            "-0.5",
            "50%",
            "1e-1",
        ],
        "units" | "rate" => &[
            "100",
            "0.000000000000",
            "0.000000000001",
            "0.0000000000001",
            "123456789012345678",
            "1234567890123456789",
            "1e2",
            "1,000",
        ],
        "treaty_cap" => &[
            "none",
            "None",
            "0",
            "0.03",
            "3",
            "1",
            "1%",
            "100",
            "100%",
            "100.00000000%",
            "100.00000001",
            "101%",
            "0.123456789",
            "0.12345678%",
            "00.3",
            "%",
            "3 %",
            "3%%",
            "123456789012345678",
        ],
        "nature" => &[
            "purchase",
            "upfront_fee",
            "royalty",
            "registration",
            "rnd_type_a",
            "rnd_type_b",
            "disposal",
            "credit_note",
            "refund",
            "Royalty",
        ],
        "ip_type" => &[
            "copyright",
            "patent_right",
            "know_how",
            "performers_economic_right",
            "layout_design",
            "plant_variety_right",
            "registered_design",
            "registered_trade_mark",
            "trade_secret",
        ],
        "funding" => &["own", "recourse", "non_recourse", "loan"],
        "acquires" => &["ownership", "licence", "license"],
        "used_in" | "place" => &["hk", "abroad", "overseas", "HK"],
        "performed_by" => &["self", "rd_institution", "designated_institution", "other"],
        "cause" => &["expired", "refused", "revoked", "invalidated", "surrendered", "lost"],
        "by" => &["self", "licensee_hk", "licensee_abroad", "owner"],
        "relation" => &["controls", "controlled_by", "common_control", "partner", "trust", "friend"],
        "entity" => &["corporation", "unincorporated", "person"],
        "trade" => &["wholly_hk", "partly_hk", "abroad"],
        "reason" => &["amount", "date", "classification", "reference", "duplicate", "not_incurred", "later_event"],
        _ => &[],
    };
    words.to_vec()
}

/// So many ids, in their order.
fn ids(count: usize) -> Value {
    let mut all: Vec<_> = (0..count).map(|number| Sha256Digest::of(format!("{number}").as_bytes()).to_hex()).collect();
    all.sort();
    json!(all)
}
