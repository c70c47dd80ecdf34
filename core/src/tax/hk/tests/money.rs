//! Foreign money in every member that has any.

use super::*;

fn steps_and_flags(facts: &Value) -> (Vec<Vec<String>>, Vec<&'static str>) {
    let (_, flags) = computed(facts);
    let read = Facts::from_slice(facts.to_string().as_bytes()).unwrap();
    let rules = HongKong.rules().unwrap();
    let report = HongKong.compute(&read, &rules).unwrap();
    (report.lines.iter().map(|line| line.steps.iter().map(Step::to_string).collect()).collect(), flags)
}

/// Nothing comes out of nowhere: whatever was converted is shown with its rate, and a rate without a source is noticed.
#[test]
fn every_conversion_is_a_step() {
    let patent = json!([{ "id": "a", "ip_type": "patent_right", "jurisdiction": "HK" }]);
    let fx = json!({ "from": "USD", "to": "HKD", "rate": "7.8" });
    let dollars = |nature: &str, more: Value| {
        let mut event = json!({ "id": "e", "nature": nature, "asset": "a", "currency": "USD", "fx": fx });
        for (name, value) in more.as_object().unwrap() {
            event[name] = value.clone();
        }
        event
    };
    let associate = json!({ "associate": true, "residence": "HK" });
    for (event, proposed, expected) in [
        (
            dollars("purchase", json!({ "date": "2020-05-01", "amount": "100.00", "share": "0.5", "fees": "10.00" })),
            json!([]),
            vec!["100.00 × 7.8 = 780.00", "780.00 × 0.5 = 390.00", "10.00 × 7.8 = 78.00", "390.00 + 78.00 = 468.00"],
        ),
        (
            dollars(
                "purchase",
                json!({ "date": "2020-05-01", "amount": "100.00", "seller_cost": "60.00", "counterparty": associate }),
            ),
            json!(["hk.proposed.associate_purchase"]),
            vec!["100.00 × 7.8 = 780.00", "60.00 × 7.8 = 468.00", "min(780.00, 468.00) = 468.00"],
        ),
        (
            dollars("rnd_type_a", json!({ "date": "2020-05-01", "amount": "100.00", "met_by_others": "10.00" })),
            json!([]),
            vec!["100.00 × 7.8 = 780.00", "10.00 × 7.8 = 78.00", "780.00 − 78.00 = 702.00", "702.00 × 1 = 702.00"],
        ),
        (
            dollars("patent_box", json!({ "year": "2023/24", "profit": "1000.00", "ee": "100.00", "ne": "60.00" })),
            json!([]),
            vec![
                "1000.00 × 7.8 = 7800.00",
                "100.00 × 7.8 = 780.00",
                "60.00 × 7.8 = 468.00",
                "780.00 + 468.00 = 1248.00",
                "780.00 × 1.3 = 1014.000",
                "7800.00 × 1014.000 ÷ 1248.00 = 6337.50",
            ],
        ),
    ] {
        let mut facts = facts(&patent, &json!([event]), &[]);
        facts["proposed_rules"] = proposed;
        let (steps, flags) = steps_and_flags(&facts);
        assert_eq!(steps, [expected], "{event}");
        assert!(flags.contains(&"FX_UNSOURCED"), "{event}: {flags:?}");
        facts["events"][0]["fx"]["source"] = json!("IRD");
        assert!(!steps_and_flags(&facts).1.contains(&"FX_UNSOURCED"), "{event}");
    }
}
