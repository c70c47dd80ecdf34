//! Payments of every nature with every member that only some have, and sealed figures of every sort.

use chopmark_core::sealed::{Opening, Place};
use chopmark_core::statement::{Statement, StatementId};
use serde_json::{Value, json};

use super::bases::Base;
use super::hostile::Case;
use crate::json;

/// Each nature with the members that a payment of it can't be without.
const NATURES: [(&str, &[&str]); 9] = [
    ("purchase", &["asset"]),
    ("upfront_fee", &["ip_type"]),
    ("royalty", &[]),
    ("registration", &["asset"]),
    ("rnd_type_a", &[]),
    ("rnd_type_b", &[]),
    ("disposal", &["asset"]),
    ("credit_note", &["credits"]),
    ("refund", &["credits"]),
];

/// Members beside those that every payment has, each with a good value.
fn members() -> Vec<(&'static str, Value)> {
    let id = |label: &str| json!(StatementId::of(label.as_bytes()));
    vec![
        ("file", id("file")),
        ("asset", id("asset")),
        ("counter_asset", id("counter asset")),
        ("ip_type", json!("know_how")),
        ("licence", id("licence")),
        ("artefact", id("artefact")),
        ("credits", id("credits")),
    ]
}

/// Facts of payments, each with a good value.
fn details() -> Vec<(&'static str, Value)> {
    vec![
        ("share", json!("0.5")),
        ("funding", json!("non_recourse")),
        ("licensed_back", json!(false)),
        ("acquires", json!("licence")),
        ("fraction", json!("0.25")),
        ("early_termination", json!(true)),
        ("term_years", json!(5)),
        ("used_in", json!("hk")),
        ("film", json!(true)),
        ("ever_hk_owned", json!(false)),
        ("treaty_cap", json!("0.03")),
        ("place", json!("hk")),
        ("proportion", json!("0.5")),
        ("vested", json!(true)),
        ("for_another", json!(false)),
        ("performed_by", json!("self")),
        ("avoidance", json!(false)),
    ]
}

fn case(what: String, body: Vec<u8>, exact: bool) -> Case {
    Case { what, body, exact }
}

/// Payments of all natures, each with one member more or less, and with two; with figures that only some natures have.
/// The payment that is given is one of yen.
pub fn natures(base: &Base) -> Vec<Case> {
    let mut all = Vec::new();
    let with = |plain: &Value, member: &str, value: &Value| {
        let mut changed = plain.clone();
        let members = changed["predicate"]["claim"].as_object_mut().unwrap();
        if members.remove(member).is_none() {
            members.insert(member.to_owned(), value.clone());
        }
        changed
    };
    for (nature, needed) in NATURES {
        let mut plain = base.value();
        let claim = plain["predicate"]["claim"].as_object_mut().unwrap();
        claim.retain(|member, _| ["payer", "payee", "document", "on", "sealed"].contains(&member.as_str()));
        claim.insert("nature".to_owned(), json!(nature));
        for (member, value) in members() {
            if needed.contains(&member) {
                claim.insert(member.to_owned(), value);
            }
        }
        all.push(case(format!("a {nature}"), base.request_about(&plain), true));
        for (member, value) in members() {
            let changed = with(&plain, member, &value);
            all.push(case(format!("a {nature}, {member} there or not"), base.request_about(&changed), true));
            for (second, other) in members().into_iter().filter(|(second, _)| *second > member) {
                let both = base.request_about(&with(&changed, second, &other));
                all.push(case(format!("a {nature}, {member} and {second} there or not"), both, false));
            }
        }
        for (member, value) in details() {
            let changed = with(&plain, "details", &json!({ member: value }));
            all.push(case(format!("a {nature} with {member}"), base.request_about(&changed), true));
        }
        for who in ["rd_institution", "designated_institution", "other"] {
            let changed = with(&plain, "details", &json!({ "performed_by": who }));
            all.push(case(format!("a {nature} performed by {who}"), base.request_about(&changed), true));
        }
        for field in ["/withheld", "/fx_rate", "/fees", "/met_by_others"] {
            let body = opened(base, plain.clone(), field, Some(&json!("1")));
            all.push(case(format!("a {nature} with {field}"), body, true));
        }
    }
    let claim = |member: &str| base.value()["predicate"]["claim"][member].clone();
    let themselves = json::with(&base.value(), "/predicate/claim/payee", claim("payer"));
    all.push(case("a payment to oneself".to_owned(), base.request_about(&themselves), true));
    let themselves = json::with(&base.value(), "/predicate/claim/payer", claim("payee"));
    all.push(case("a payment among others".to_owned(), base.request_about(&themselves), true));
    all
}

/// A payload with the header of the base and another value of a sealed field, sealed as it has to be.
fn opened(base: &Base, mut payload: Value, field: &str, value: Option<&Value>) -> Vec<u8> {
    let statement = Statement::parse(&base.payload).unwrap();
    let place = Place::of(&statement.header, statement.claim.predicate_type());
    let mut openings = base.openings.clone().unwrap();
    let opening = openings.fields.iter_mut().find(|opening| opening.field.as_str() == field).unwrap();
    *opening = Opening::new(opening.field.clone(), opening.salt.clone(), value).unwrap();
    let at =
        json::pointers(&payload).into_iter().find(|pointer| pointer.ends_with(&format!("/sealed{field}"))).unwrap();
    *payload.pointer_mut(&at).unwrap() = json!(opening.commitment(&place));
    Base { openings: Some(openings), ..base.clone() }.request_about(&payload)
}

/// The same statement with other figures: what a sealed value may be is looked at once it is opened.
pub fn figures(base: &Base) -> Vec<Case> {
    let mut all = Vec::new();
    for opening in &base.openings.as_ref().unwrap().fields {
        let field = opening.field.as_str();
        for value in values(field) {
            let what = format!("{}: {field} as {value:?}", base.kind);
            all.push(case(what, opened(base, base.value(), field, value.as_ref()), true));
        }
    }
    all
}

fn values(field: &str) -> Vec<Option<Value>> {
    let texts: &[&str] = match field {
        "/currency" => &["HKD", "USD", "CNY", "JPY", "KWD", "XXX", "hkd", ""],
        "/fraction" => {
            &["0", "1", "1.00000000", "1.00000001", "0.50", "0.123456789", "00.5", ".5", "-0.5", "50%", "2", "", "１"]
        }
        "/fx_rate" => &[
            "1",
            "0",
            "0.00000000",
            "0.12345678",
            "0.123456789",
            "7.80",
            "-7.8",
            "",
            "123456789012345678",
            "1234567890123456789",
        ],
        _ => &[
            "0.00",
            "1200.00",
            "1200.01",
            "1200",
            "1201",
            "1200.0",
            "1200.000",
            "-1.00",
            "1e3",
            "",
            "123456789012345678",
            "1234567890123456789",
            "123456789012345678.00",
            "1234567890123456789.00",
            "01.00",
            "１.00",
        ],
    };
    let others = [None, Some(json!(1200)), Some(json!(["1200.00"])), Some(json!({"amount": "1"})), Some(json!(true))];
    texts.iter().map(|text| Some(json!(text))).chain(others).collect()
}

/// A correction that seals nothing, with openings.
pub fn openings_of_nothing(base: &Base, others: &Base) -> Vec<Case> {
    let all = others.openings.clone().unwrap();
    let mut none = all.clone();
    none.fields.clear();
    [("no openings", none), ("openings of another", all)]
        .map(|(what, openings)| {
            let body = Base { openings: Some(openings), ..base.clone() }.request(&base.payload);
            case(format!("{} with {what}", base.kind), body, true)
        })
        .into()
}
