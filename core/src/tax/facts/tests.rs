use serde_json::{Value, json};

use super::*;

fn good() -> Value {
    json!({
        "schema": SCHEMA,
        "taxpayer": { "name": "Company-HK", "brn": "12345678", "entity": "corporation", "year_end": "03-31",
                      "two_tier": false, "trade": "wholly_hk" },
        "assets": [{ "id": "mark", "ip_type": "registered_trade_mark", "jurisdiction": "HK", "registered": true,
                     "protection_ends": null }],
        "events": [
            { "id": "e1", "nature": "purchase", "asset": "mark", "date": "2016-06-30", "amount": "2000000.00",
              "currency": "HKD", "counterparty": { "associate": false, "residence": "US" } },
            { "id": "e2", "nature": "use", "asset": "mark", "year": "2016/17", "fraction": "0.5", "by": "self" },
            { "id": "e3", "nature": "disposal", "asset": "mark", "date": "2018-09-01", "amount": "3000000.00",
              "currency": "HKD" },
            { "id": "e4", "nature": "royalty", "date": "2018-10-01", "amount": "100.00", "currency": "USD",
              "fx": { "from": "USD", "to": "HKD", "rate": "7.8", "source": "IRD" },
              "payee": { "associate": false, "residence": "US", "treaty_cap": "0.03" } },
        ],
        "years": ["2016/17", "2018/19"], "proposed_rules": [],
    })
}

fn read(facts: &Value) -> Result<Facts, StrictError> {
    Facts::from_slice(facts.to_string().as_bytes())
}

use crate::strict::StrictError;

/// Where the facts are refused after one value was changed.
fn refused(pointer: &str, value: Value) -> (String, String) {
    let mut facts = good();
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    match facts.pointer_mut(parent).unwrap() {
        Value::Object(members) => {
            members.insert(member.to_owned(), value);
        }
        Value::Array(items) => {
            let place: usize = member.parse().unwrap();
            if place == items.len() {
                items.push(value);
            } else {
                items[place] = value;
            }
        }
        other => panic!("{other}"),
    }
    let error = read(&facts).expect_err(pointer);
    (error.pointer, error.reason)
}

#[test]
fn good_facts_are_read() {
    let facts = read(&good()).unwrap();
    assert_eq!(facts.events.len(), 4);
    let royalty = facts.events.iter().find(|event| event.id == "e4").unwrap();
    assert_eq!(royalty.nature.money().unwrap().amount.to_string(), "780.00");
    assert_eq!(facts.years.len(), 2);
    assert_eq!(facts.asset_of(facts.events.first().unwrap()).unwrap().id, "mark");
}

#[test]
fn bad_facts_are_refused_at_their_place() {
    for (pointer, value) in [
        ("/schema", json!("chopmark.tax.facts/v2")),
        ("/taxpayer/brn", json!("1234567")),
        ("/taxpayer/year_end", json!("02-30")),
        ("/taxpayer/entity", json!("trust")),
        ("/taxpayer/colour", json!("red")),
        ("/assets/0/ip_type", json!("domain_name")),
        ("/assets/0/protection_ends", json!("2019-02-29")),
        ("/events/0/nature", json!("gift")),
        ("/events/0/amount", json!("-2000000.00")),
        ("/events/0/amount", json!("NaN")),
        ("/events/0/amount", json!("1e400")),
        ("/events/0/amount", json!("2000000.001")),
        ("/events/0/amount", json!("2000000.0")),
        ("/events/0/amount", json!("2,000,000.00")),
        ("/events/0/amount", json!(2_000_000)),
        ("/events/0/currency", json!("XYZ")),
        ("/events/0/currency", json!("EUR")),
        ("/events/0/date", json!("2016-06-31")),
        ("/events/0/date", json!("30.06.2016")),
        ("/events/0/share", json!("1.5")),
        ("/events/0/share", json!("0")),
        ("/events/0/colour", json!("red")),
        ("/events/0/asset", json!("brand")),
        ("/events/0/year", json!("2016/17")),
        ("/events/0/withheld", json!("1.00")),
        ("/events/0/counterparty/residence", json!("Hong Kong")),
        ("/events/1/year", json!("2016/18")),
        ("/events/1/fraction", json!("1.00000001")),
        ("/events/1/fraction", json!("-0.5")),
        ("/events/1/by", json!("nobody")),
        ("/events/1/amount", json!("1.00")),
        ("/events/1/id", json!("e1")),
        ("/events/1/id", json!("")),
        ("/events/2/date", json!("2016-06-29")),
        ("/events/2/share", json!("1.1")),
        ("/events/3/counterparty", json!({ "associate": true, "residence": "US" })),
        ("/events/3/fx/rate", json!("0")),
        ("/events/3/fx/since", json!("2018-04-01")),
        ("/events/3/fx/rate", json!("7,8")),
        ("/events/3/fx/to", json!("EUR")),
        ("/events/3/payee/treaty_cap", json!("101%")),
        ("/events/3/payee/colour", json!("red")),
        ("/years/0", json!("2016/18")),
        ("/years/1", json!("2016/17")),
    ] {
        let (found, reason) = refused(pointer, value.clone());
        assert_eq!(found, pointer, "{value}: {reason}");
        assert!(!reason.is_empty());
    }
}

#[test]
fn what_is_missing_or_contradicts_is_named() {
    let purchase = |id: &str, date: &str| json!({ "id": id, "nature": "purchase", "asset": "mark", "date": date, "amount": "1.00", "currency": "HKD" });
    let sale = |id: &str, date: &str, share: &str| {
        json!({ "id": id, "nature": "disposal", "asset": "mark", "date": date, "amount": "1.00", "currency": "HKD",
                "share": share })
    };
    for (events, pointer) in [
        (json!([{ "id": "a", "nature": "purchase", "asset": "mark", "amount": "1.00" }]), "/events/0/date"),
        (json!([{ "id": "a", "nature": "use", "asset": "mark" }]), "/events/0/year"),
        (
            json!([{ "id": "a", "nature": "royalty", "date": "2018-01-01", "amount": "1.00", "currency": "USD" }]),
            "/events/0/currency",
        ),
        (json!([sale("a", "2018-01-01", "1")]), "/events/0/date"),
        (json!([sale("a", "2018-01-01", "1"), purchase("b", "2018-01-02")]), "/events/0/date"),
        (
            json!([purchase("a", "2018-01-01"), sale("b", "2018-01-01", "0.6"), sale("c", "2018-01-03", "0.6")]),
            "/events/2/share",
        ),
        (
            json!([purchase("a", "2018-01-01"), sale("b", "2018-01-02", "1"), sale("c", "2018-01-03", "1")]),
            "/events/2/asset",
        ),
        (
            json!([{ "id": "a", "nature": "use", "asset": "mark", "year": "2018/19", "fraction": "0.6" },
                { "id": "b", "nature": "use", "asset": "mark", "year": "2018/19", "fraction": "0.6" }]),
            "/events/1/fraction",
        ),
        (json!([{ "id": "a", "nature": "reversal", "reverses": "z" }]), "/events/0/reverses"),
        (
            json!([purchase("a", "2018-01-01"), { "id": "b", "nature": "reversal", "reverses": "a" },
                { "id": "c", "nature": "reversal", "reverses": "a" }]),
            "/events/2/reverses",
        ),
        (
            json!([purchase("a", "2018-01-01"), { "id": "b", "nature": "use", "asset": "mark", "year": "2018/19",
                 "corrects": "a" }]),
            "/events/1/corrects",
        ),
        (
            json!([{ "id": "a", "nature": "rnd_type_b", "date": "2018-05-01", "amount": "1.00", "place": "overseas" }]),
            "/events/0/place",
        ),
        (
            json!([{ "id": "a", "nature": "rnd_type_b", "date": "2020-05-01", "amount": "1.00",
                     "performed_by": "rd_institution" }]),
            "/events/0/performed_by",
        ),
        (
            json!([{ "id": "a", "nature": "rnd_type_a", "date": "2018-05-01", "amount": "1.00", "met_by_others": "2.00" }]),
            "/events/0/met_by_others",
        ),
        (
            json!([{ "id": "a", "nature": "patent_box", "asset": "mark", "year": "2023/24", "profit": "1.00", "ee": "0",
                  "ne": "0" }]),
            "/events/0/ee",
        ),
    ] {
        let mut facts = good();
        facts["events"] = events;
        let error = read(&facts).expect_err(pointer);
        assert_eq!(error.pointer, pointer, "{}", error.reason);
    }
    let mut facts = good();
    facts["taxpayer"]["trade"] = json!("partly_hk");
    facts["events"] =
        json!([{ "id": "a", "nature": "rnd_type_a", "date": "2018-05-01", "amount": "1.00", "place": "overseas" }]);
    assert_eq!(read(&facts).unwrap_err().pointer, "/events/0/proportion");
}

#[test]
fn bytes_that_are_no_strict_json_are_refused_at_their_place() {
    let text = good().to_string();
    for (from, to, pointer) in [
        ("\"2000000.00\"", "1e400", "/events/0/amount"),
        ("\"2000000.00\"", "NaN", "/events/0/amount"),
        ("\"2000000.00\"", "2000000.5", "/events/0/amount"),
        ("\"nature\":\"purchase\"", "\"nature\":\"purchase\",\"nature\":\"use\"", "/events/0/nature"),
        ("\"proposed_rules\":[]", "\"proposed_rules\":[],\"years\":[]", "/years"),
    ] {
        assert!(text.contains(from), "{from}: {text}");
        let error = Facts::from_slice(text.replacen(from, to, 1).as_bytes()).expect_err(to);
        assert_eq!(error.pointer, pointer, "{to}: {}", error.reason);
    }
    let error = Facts::from_slice(b"").unwrap_err();
    assert_eq!(error.pointer, "");
}

#[test]
fn ten_megabytes_of_events_are_refused() {
    let mut facts = good();
    let purchase = facts["events"][0].clone();
    let one = purchase.to_string().len() + 1;
    facts["events"] = Value::Array(vec![purchase; 10_000_000 / one + 1]);
    let error = read(&facts).unwrap_err();
    assert_eq!(error.pointer, "/events", "{}", error.reason);
    let mut many = good();
    many["events"] = (0..=EVENTS_MAX)
        .map(|n| json!({ "id": format!("{n}"), "nature": "use", "asset": "m", "year": "2018/19" }))
        .collect();
    assert_eq!(read(&many).unwrap_err().pointer, "/events");
}

#[test]
fn one_right_is_bought_and_sold_fifty_times_at_most() {
    let mut facts = good();
    let purchase = |n: usize| {
        json!({ "id": format!("{n}"), "nature": "purchase", "asset": "mark", "date": "2018-05-01", "amount": "1.00",
                "share": "0.01" })
    };
    facts["events"] = (0..50).map(purchase).collect();
    assert!(read(&facts).is_ok());
    facts["events"] = (0..51).map(purchase).collect();
    assert!(read(&facts).unwrap_err().pointer.ends_with("/asset"));
}

#[test]
fn corrections_replace_and_reversals_remove() {
    let mut facts = good();
    facts["events"] = json!([
        { "id": "a", "nature": "purchase", "asset": "mark", "date": "2018-05-01", "amount": "100.00" },
        { "id": "b", "nature": "purchase", "asset": "mark", "date": "2018-05-01", "amount": "200.00", "corrects": "a" },
        { "id": "c", "nature": "purchase", "asset": "mark", "date": "2018-05-01", "amount": "300.00", "corrects": "b" },
        { "id": "d", "nature": "use", "asset": "mark", "year": "2018/19" },
        { "id": "e", "nature": "reversal", "reverses": "d", "date": "2019-01-01" },
    ]);
    let read = read(&facts).unwrap();
    let ids: Vec<&str> = read.events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids, ["c"]);
}

#[test]
fn caps_of_treaties_are_fractions_or_percentages() {
    for (text, cap) in
        [("0.03", "0.03"), ("3", "0.03"), ("3%", "0.03"), ("4.95%", "0.0495"), ("1", "0.01"), ("0", "0"), ("10", "0.1")]
    {
        let mut facts = good();
        facts["events"][3]["payee"]["treaty_cap"] = json!(text);
        let facts = read(&facts).unwrap();
        let Nature::Royalty(royalty) = &facts.events.last().unwrap().nature else { panic!() };
        let TreatyCap::Of(found) = royalty.payee.as_ref().unwrap().treaty else { panic!("{text}") };
        assert_eq!(found.to_string(), cap, "{text}");
    }
}

#[test]
fn what_is_bought_before_the_business_counts_from_its_first_day() {
    let mut facts = good();
    facts["taxpayer"]["commenced"] = json!("2017-04-01");
    let read = read(&facts).unwrap();
    let year = |id: &str| read.events.iter().find(|event| event.id == id).unwrap().year.to_string();
    assert_eq!((year("e1"), year("e3")), ("2017/18".to_owned(), "2018/19".to_owned()));
}

/// A patent box of 2023/24 in US dollars.
fn dollars_of_a_year(rates: &Value) -> Value {
    let mut facts = good();
    facts["assets"][0]["ip_type"] = json!("patent_right");
    facts["events"] = json!([{ "id": "box", "nature": "patent_box", "asset": "mark", "year": "2023/24", "currency": "USD",
        "profit": "1000.00", "ee": "1.00", "ne": "0.00" }]);
    facts["rates"] = rates.clone();
    facts
}

#[test]
fn what_is_about_a_year_has_a_rate_of_that_year() {
    let of = |rate: &str, date: &str| json!({ "from": "USD", "to": "HKD", "rate": rate, "date": date });
    let (closing, later) = (of("7.8269", "2024-03-31"), of("7.75", "2030-03-31"));
    let profit = |facts: &Value| read(facts).unwrap().events[0].nature.money().unwrap().amount.to_string();
    assert_eq!(profit(&dollars_of_a_year(&json!([closing]))), "7826.90");
    assert_eq!(profit(&dollars_of_a_year(&json!([later, closing]))), "7826.90");
    let error = read(&dollars_of_a_year(&json!([later]))).unwrap_err();
    assert_eq!(error.pointer, "/events/0/currency");
    assert!(error.reason.contains("2024-03-31; those there are begin with 2030-03-31"), "{}", error.reason);
    // With December accounts the year ends before that rate.
    let mut december = dollars_of_a_year(&json!([closing]));
    december["taxpayer"]["year_end"] = json!("12-31");
    assert_eq!(read(&december).unwrap_err().pointer, "/events/0/currency");
}

#[test]
fn an_average_is_the_rate_of_its_period() {
    let mut facts = good();
    facts["events"] = json!([{ "id": "a", "nature": "purchase", "asset": "mark", "date": "2023-06-30", "amount": "1000.00",
        "currency": "USD" }]);
    facts["rates"] =
        json!([{ "from": "USD", "to": "HKD", "rate": "7.8269", "since": "2023-04-01", "date": "2024-03-31" }]);
    assert_eq!(read(&facts).unwrap().events[0].nature.money().unwrap().amount.to_string(), "7826.90");
    for outside in ["2023-03-31", "2024-04-01"] {
        let mut facts = facts.clone();
        facts["events"][0]["date"] = json!(outside);
        let error = read(&facts).unwrap_err();
        assert_eq!(error.pointer, "/events/0/currency", "{outside}");
    }
    for (member, value) in [("date", Value::Null), ("date", json!("2023-03-31")), ("since", json!("2024-04-01"))] {
        let mut facts = facts.clone();
        facts["rates"][0][member] = value;
        assert_eq!(read(&facts).unwrap_err().pointer, "/rates/0/since");
    }
}
