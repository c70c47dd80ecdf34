//! Worked examples of the practice notes, and what they leave open. The whole set is under `tests/fixtures/tax`.

mod money;
mod royalty;
mod titles;

use serde_json::{Value, json};

use super::*;
use crate::money::{Amount, Exact};
use crate::tax::facts::SCHEMA;
use crate::tax::lines::Kind;
use crate::tax::steps::Step;

/// What a line says, for comparison.
type Said = (String, &'static str, String, String, Option<&'static str>);

pub(crate) fn facts(assets: &Value, events: &Value, years: &[&str]) -> Value {
    json!({
        "schema": SCHEMA,
        "taxpayer": { "name": "Company-HK", "brn": "12345678", "entity": "corporation", "year_end": "03-31" },
        "assets": assets, "events": events, "years": years, "proposed_rules": [],
    })
}

/// Computes, and checks what holds for every report.
fn computed(facts: &Value) -> (Vec<Said>, Vec<&'static str>) {
    let rules = HongKong.rules().unwrap();
    let read = Facts::from_slice(facts.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}: {facts}"));
    let report = HongKong.compute(&read, &rules).unwrap();
    for line in &report.lines {
        steps_lead_to_the_amount(line);
        assert_eq!(line.reason.is_some(), line.amount.is_zero(), "{line:?}");
        assert!(!line.citation.is_empty() && !line.events.is_empty(), "{line:?}");
        let rule = rules.named(line.rule).unwrap();
        assert_eq!((rule.citation.as_str(), rule.status), (line.citation, line.status));
    }
    for total in &report.totals {
        let sum = |kind| {
            let lines = report.lines.iter().filter(|line| line.kind == kind && line.year == total.year);
            lines.fold(Amount::ZERO, |sum, line| sum.plus(line.amount).unwrap())
        };
        assert_eq!(
            (total.deduction, total.receipt, total.withholding),
            (sum(Kind::Deduction), sum(Kind::Receipt), sum(Kind::Withholding))
        );
    }
    let said = report.lines.iter().map(|line| {
        let reason = line.reason.map(super::super::lines::Reason::as_str);
        (line.year.to_string(), line.kind.as_str(), line.section.to_owned(), line.amount.to_string(), reason)
    });
    let mut flags: Vec<&str> = report.flags.iter().map(|flag| flag.code.as_str()).collect();
    flags.dedup();
    (said.collect(), flags)
}

/// Reads a step as anybody would, from left to right, and checks its result.
fn steps_lead_to_the_amount(line: &Line<'_>) {
    for step in &line.steps {
        let text = step.to_string();
        let (left, right) = text.split_once(" = ").unwrap();
        let (result, is_cut) = right.strip_suffix(" (rounded down)").map_or((right, false), |result| (result, true));
        let number = |text: &str| {
            let digits = text.replace('.', "");
            let decimals = text.split_once('.').map_or(0, |(_, tail)| tail.len());
            Exact::new(digits.parse().unwrap(), 10_i128.pow(u32::try_from(decimals).unwrap())).unwrap()
        };
        let decimals = result.split_once('.').map_or(0, |(_, tail)| u32::try_from(tail.len()).unwrap());
        let value = if let Some(list) = left.strip_prefix("min(") {
            let numbers = list.trim_end_matches(')').split(", ").map(number);
            numbers.reduce(
                |least, next| if least.minus(next).unwrap().floor(0).unwrap().mantissa < 0 { least } else { next },
            )
        } else {
            let mut words = left.split(' ');
            let first = number(words.next().unwrap());
            let rest: Vec<&str> = words.collect();
            Some(rest.chunks(2).fold(first, |value, pair| match (pair[0], number(pair[1])) {
                ("×", next) => value.times(next).unwrap(),
                ("÷", next) => value.divided_by(next).unwrap(),
                ("+", next) => value.plus(next).unwrap(),
                ("−", next) => value.minus(next).unwrap(),
                (sign, _) => panic!("{sign} in {text}"),
            }))
        };
        let value = value.unwrap();
        assert_eq!(value.floor(decimals).unwrap().to_string(), result, "{text}");
        assert_ne!(value.is(value.floor(decimals).unwrap()), is_cut, "{text}");
    }
    if !line.amount.is_zero() {
        assert_eq!(line.steps.last().map(Step::result), Some(line.amount.decimal()), "{line:?}");
    }
}

fn deduction(year: &str, section: &str, amount: &str) -> Said {
    (year.into(), "deduction", section.into(), amount.into(), None)
}

fn receipt(year: &str, section: &str, amount: &str) -> Said {
    (year.into(), "receipt", section.into(), amount.into(), None)
}

fn withholding(year: &str, section: &str, amount: &str) -> Said {
    (year.into(), "withholding", section.into(), amount.into(), None)
}

fn nil(year: &str, section: &str, reason: &'static str) -> Said {
    (year.into(), "denied", section.into(), "0.00".into(), Some(reason))
}

fn mark(id: &str) -> Value {
    json!({ "id": id, "ip_type": "registered_trade_mark", "jurisdiction": "HK", "registered": true })
}

fn bought(date: &str, amount: &str) -> Value {
    json!({ "id": "buy", "nature": "purchase", "asset": "a", "date": date, "amount": amount, "currency": "HKD" })
}

fn sold(date: &str, amount: &str) -> Value {
    json!({ "id": "sell", "nature": "disposal", "asset": "a", "date": date, "amount": amount, "currency": "HKD" })
}

fn used(year: &str, fraction: &str) -> Value {
    json!({ "id": format!("use {year}"), "nature": "use", "asset": "a", "year": year, "fraction": fraction })
}

/// DIPN 49, Examples 11 and 12.
#[test]
fn a_mark_used_in_part_and_sold_with_a_gain_or_a_loss() {
    for (proceeds, last) in [
        ("3000000.00", receipt("2018/19", "16EB(2)(b)", "440000.00")),
        ("1000000.00", deduction("2018/19", "16EB(2)(a)", "110000.00")),
        ("1200000.00", nil("2018/19", "16EB(2)(b)", "no_excess")),
        ("1300000.00", receipt("2018/19", "16EB(2)(b)", "55000.00")),
    ] {
        let events = json!([
            bought("2016-06-30", "2000000.00"),
            used("2016/17", "0.5"),
            used("2017/18", "0.6"),
            sold("2018-09-01", proceeds)
        ]);
        let (lines, flags) = computed(&facts(&json!([mark("a")]), &events, &[]));
        let expected = [
            deduction("2016/17", "16EA(3)", "200000.00"),
            deduction("2017/18", "16EA(3)", "240000.00"),
            nil("2018/19", "16EA(5)", "sold"),
            last,
        ];
        assert_eq!(lines, expected, "{proceeds}");
        assert_eq!(flags, [""; 0]);
    }
}

/// What is lost stays lost, and counts against the extent.
#[test]
fn a_lost_slice_is_not_made_up_for() {
    let events = json!([
        bought("2016-06-30", "1000000.00"),
        used("2018/19", "1"),
        used("2019/20", "0"),
        used("2020/21", "1"),
        sold("2022-01-01", "900000.00")
    ]);
    let (lines, _) = computed(&facts(&json!([mark("a")]), &events, &[]));
    assert_eq!(
        lines,
        [
            nil("2016/17", "16EA(6)", "not_used"),
            nil("2017/18", "16EA(6)", "not_used"),
            deduction("2018/19", "16EA(3)", "200000.00"),
            nil("2019/20", "16EA(6)", "not_used"),
            deduction("2020/21", "16EA(3)", "200000.00"),
            // 900,000 × 400,000 ÷ 1,000,000
            receipt("2021/22", "16EB(2)(c)", "360000.00"),
        ]
    );
}

/// DIPN 49, Example 10, and a share sold on.
#[test]
fn a_patent_is_deducted_at_once_and_taken_back() {
    let patent = json!([{ "id": "a", "ip_type": "patent_right", "jurisdiction": "US" }]);
    let events = json!([bought("2017-06-30", "500000.00"), used("2017/18", "0.5"), sold("2018-09-01", "200000.00")]);
    let (lines, _) = computed(&facts(&patent, &events, &[]));
    assert_eq!(lines, [deduction("2017/18", "16E(1)", "250000.00"), receipt("2018/19", "16E(3)", "100000.00")]);
    let mut part = sold("2018-09-01", "400000.00");
    part["share"] = json!("0.5");
    let mut rest = sold("2019-09-01", "100000.00");
    rest["id"] = json!("rest");
    let events = json!([bought("2017-06-30", "500000.00"), part, rest]);
    let (lines, _) = computed(&facts(&patent, &events, &[]));
    assert_eq!(
        lines,
        [
            deduction("2017/18", "16E(1)", "500000.00"),
            receipt("2018/19", "16E(3)", "250000.00"),
            receipt("2019/20", "16E(3)", "100000.00")
        ]
    );
}

/// The law on five rights holds from 2011/12, on three from 2018/19; denials of purchases of patents from 16 December 2011.
#[test]
fn rights_and_denials_have_their_first_days() {
    let case = |ip_type: &str, date: &str, seller_is_associate: bool| {
        let assets = json!([{ "id": "a", "ip_type": ip_type, "jurisdiction": "HK" }]);
        let mut purchase = bought(date, "500000.00");
        purchase["counterparty"] = json!({ "associate": seller_is_associate });
        let year = crate::tax::year::YearEnd::MARCH.year_of(date.parse().unwrap()).to_string();
        let (lines, _) = computed(&facts(&assets, &json!([purchase, used(&year, "1")]), &[&year]));
        let [(_, _, section, amount, reason)] = lines.as_slice() else { panic!("{lines:?}") };
        (section.clone(), amount.clone(), reason.unwrap_or_default())
    };
    let said = |section: &str, amount: &str, reason: &'static str| (section.to_owned(), amount.to_owned(), reason);
    assert_eq!(case("copyright", "2011-03-31", false), said("16EA(2)", "0.00", "not_in_force"));
    assert_eq!(case("copyright", "2011-04-01", false), said("16EA(3)", "100000.00", ""));
    assert_eq!(case("layout_design", "2018-03-31", false), said("16EA(2)", "0.00", "not_in_force"));
    assert_eq!(case("layout_design", "2018-04-01", false), said("16EA(3)", "100000.00", ""));
    assert_eq!(case("know_how", "2011-12-15", true), said("16E(1)", "500000.00", ""));
    assert_eq!(case("know_how", "2011-12-16", true), said("16EC(2)", "0.00", "associate_seller"));
    assert_eq!(case("registered_trade_mark", "2024-01-01", true), said("16EC(2)", "0.00", "associate_seller"));
}

/// DIPN 55, Example 19.
#[test]
fn research_is_deducted_and_its_rights_are_sold() {
    let mut facts = facts(
        &json!([{ "id": "a", "ip_type": "patent_right", "jurisdiction": "HK" }]),
        &json!([
            { "id": "abroad", "nature": "rnd_type_a", "asset": "a", "date": "2018-06-01", "amount": "1000000.00",
              "place": "overseas", "proportion": "0.5" },
            { "id": "home", "nature": "rnd_type_b", "asset": "a", "date": "2018-07-01", "amount": "5000000.00" },
            sold("2020-07-01", "12000000.00"),
        ]),
        &[],
    );
    facts["taxpayer"]["trade"] = json!("partly_hk");
    let (lines, _) = computed(&facts);
    assert_eq!(
        lines,
        [
            deduction("2018/19", "16B", "500000.00"),
            deduction("2018/19", "16B", "12000000.00"),
            receipt("2020/21", "Sch 45 s.17", "10500000.00")
        ]
    );
    facts["taxpayer"]["trade"] = json!("wholly_hk");
    assert_eq!(computed(&facts).0.first(), Some(&deduction("2018/19", "16B", "1000000.00")));
}

fn royalty(id: &str, date: &str, amount: &str, payee: &Value) -> Value {
    json!({ "id": id, "nature": "royalty", "date": date, "amount": amount, "currency": "HKD", "payee": payee, "withheld": "1.00" })
}

/// DIPN 22, Examples 3 to 5, and the rates beside them.
#[test]
fn royalties_to_non_residents_are_taxed() {
    let payee = |more: Value| {
        let mut payee = json!({ "associate": false, "residence": "US", "entity": "corporation", "two_tier": false });
        for (name, value) in more.as_object().unwrap() {
            payee[name] = value.clone();
        }
        payee
    };
    let cases = [
        ("2018-10-01", "1000000.00", json!({ "treaty_cap": "0.03" }), "29500.00"),
        ("2018-10-01", "2000000.00", json!({ "treaty_cap": "0.03" }), "60000.00"),
        (
            "2018-10-01",
            "1000000.00",
            json!({ "treaty_cap": "0.03", "associate": true, "ever_hk_owned": true }),
            "145000.00",
        ),
        ("2025-10-01", "1000000.00", json!({}), "49500.00"),
        ("2025-10-01", "1000000.00", json!({ "entity": "unincorporated" }), "45000.00"),
        ("2025-10-01", "1000000.00", json!({ "two_tier": true }), "24750.00"),
        ("2025-10-01", "10000000.00", json!({ "two_tier": true }), "330000.00"),
        ("2025-10-01", "1000000.00", json!({ "two_tier": true, "associate": true, "ever_hk_owned": true }), "82500.00"),
        ("2025-10-01", "1000000.00", json!({ "residence": "GB" }), "30000.00"),
        ("2025-10-01", "1000000.00", json!({ "residence": "GB", "treaty_cap": "none" }), "49500.00"),
        ("2024-10-01", "1000000.00", json!({}), "48000.00"),
        // 75% of the tax, up to $30,000.
        ("2017-10-01", "1000000.00", json!({ "two_tier": true }), "19500.00"),
        ("2017-10-01", "40000.00", json!({}), "495.00"),
        ("2017-10-01", "1000000.00", json!({ "residence": "GB" }), "19500.00"),
        ("2016-10-01", "1000000.00", json!({}), "49500.00"),
    ];
    for (date, amount, more, due) in cases {
        let events = json!([royalty("r", date, amount, &payee(more.clone()))]);
        let (lines, _) = computed(&facts(&json!([]), &events, &[]));
        let year = crate::tax::year::YearEnd::MARCH.year_of(date.parse().unwrap()).to_string();
        let expected = [withholding(&year, "15(1)(b), 21A", due), deduction(&year, "16(1)", amount)];
        assert_eq!(lines, expected, "{date} {more}");
    }
    // Two payments share the reduction and the treaty's limit.
    let treaty = payee(json!({ "treaty_cap": "0.03" }));
    let events =
        json!([royalty("r1", "2018-10-01", "1000000.00", &treaty), royalty("r2", "2018-11-01", "1000000.00", &treaty)]);
    let (lines, _) = computed(&facts(&json!([]), &events, &[]));
    let due: Vec<&str> = lines.iter().filter(|line| line.1 == "withholding").map(|line| line.3.as_str()).collect();
    assert_eq!(due, ["29500.00", "30500.00"]);
    // A resident is taxed by assessment.
    let events = json!([royalty("r", "2018-10-01", "1000000.00", &payee(json!({ "residence": "HK" })))]);
    assert_eq!(computed(&facts(&json!([]), &events, &[])).0, [deduction("2018/19", "16(1)", "1000000.00")]);
}

/// The formula, with the figures of the design: 81.25% of 1,000 at 5%, the rest at 16.5%.
#[test]
fn the_patent_box_takes_its_fraction() {
    let facts = facts(
        &json!([{ "id": "a", "ip_type": "patent_right", "jurisdiction": "HK" }]),
        &json!([{ "id": "box", "nature": "patent_box", "asset": "a", "year": "2023/24", "profit": "1000.00", "ee": "100.00", "ne": "60.00" }]),
        &[],
    );
    let rules = HongKong.rules().unwrap();
    let facts = Facts::from_slice(facts.to_string().as_bytes()).unwrap();
    let report = HongKong.compute(&facts, &rules).unwrap();
    let [line] = report.lines.as_slice() else { panic!("{:?}", report.lines) };
    assert_eq!((line.kind, line.amount.to_string().as_str()), (Kind::Concession, "812.50"));
    let concession = line.concession.as_ref().unwrap();
    assert_eq!(concession.fraction.to_string(), "0.8125");
    assert_eq!((concession.ordinary.to_string().as_str(), concession.tax.to_string().as_str()), ("187.50", "71.5625"));
}

/// Proposed rules apply only where they are named, and say so on every line.
#[test]
fn proposed_rules_apply_only_by_name() {
    let assets = json!([{ "id": "a", "ip_type": "copyright", "jurisdiction": "HK" }]);
    let mut purchase = bought("2026-06-30", "1000000.00");
    purchase["counterparty"] = json!({ "associate": true, "residence": "HK" });
    purchase["seller_cost"] = json!("600000.00");
    let mut facts = facts(&assets, &json!([purchase, used("2026/27", "1")]), &["2026/27"]);
    assert_eq!(computed(&facts).0, [nil("2026/27", "16EC(2)", "associate_seller")]);
    facts["proposed_rules"] = json!(["hk.proposed.associate_purchase"]);
    assert_eq!(computed(&facts).0, [deduction("2026/27", "16EA(3)", "120000.00")]);
    let read = Facts::from_slice(facts.to_string().as_bytes()).unwrap();
    let rules = HongKong.rules().unwrap();
    let report = HongKong.compute(&read, &rules).unwrap();
    assert!(report.lines.iter().all(|line| line.status == Status::Proposed));
    facts["proposed_rules"] = json!(["hk.16ec.associate"]);
    let read = Facts::from_slice(facts.to_string().as_bytes()).unwrap();
    let Err(TaxError::Facts(error)) = HongKong.compute(&read, &rules) else { panic!() };
    assert_eq!(error.pointer, "/proposed_rules/0");
}

/// Every flag fires on the facts it is about; together they are all the flags there are.
#[test]
fn every_flag_fires() {
    let assets = json!([
        { "id": "a", "ip_type": "copyright", "jurisdiction": "HK", "registration_number": "7" },
        { "id": "b", "ip_type": "copyright", "jurisdiction": "HK", "registration_number": "7" },
    ]);
    let buy = |id: &str, more: Value| {
        let mut purchase = json!({ "id": id, "nature": "purchase", "asset": "a", "date": "2020-05-01", "amount": "500.00", "share": "0.1" });
        for (name, value) in more.as_object().unwrap() {
            purchase[name] = value.clone();
        }
        purchase
    };
    let payee = json!({ "associate": true, "residence": "US", "ever_hk_owned": true });
    let mut unpaid = royalty("unpaid", "2024-05-01", "1000000.00", &json!({ "residence": "US" }));
    unpaid["withheld"] = json!("0.00");
    let mut split = royalty("split", "2024-05-01", "1000000.00", &json!({ "residence": "CN" }));
    split["attested_by"] = json!("payer");
    let events = json!([
        buy("associate", json!({ "counterparty": { "associate": true } })),
        buy("back", json!({ "licensed_back": true })),
        buy("licence", json!({ "acquires": "licence" })),
        buy("dollars", json!({ "currency": "USD", "fx": { "from": "USD", "to": "HKD", "rate": "7.8" } })),
        { "id": "other", "nature": "purchase", "asset": "b", "date": "2020-05-01", "amount": "500.00" },
        { "id": "abroad", "nature": "use", "asset": "a", "year": "2021/22", "by": "licensee_abroad" },
        { "id": "claim", "nature": "claim", "asset": "a", "year": "2020/21", "amount": "100.00" },
        { "id": "gone", "nature": "title_left", "asset": "a", "date": "2022-05-01" },
        { "id": "lapse", "nature": "lapse", "asset": "a", "date": "2023-05-01", "cause": "revoked" },
        royalty("deemed", "2024-05-01", "1000000.00", &payee), unpaid, split,
    ]);
    let (_, mut flags) = computed(&facts(&assets, &events, &[]));
    flags.sort_unstable();
    let mut all: Vec<&str> = FlagCode::ALL.iter().map(|code| code.as_str()).collect();
    all.sort_unstable();
    assert_eq!(flags, all);
}

mod spending;
