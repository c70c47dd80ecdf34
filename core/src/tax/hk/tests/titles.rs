//! Titles that leave the taxpayer without a sale.

use super::*;

/// A sale explains a title that leaves on its day or before, not one that leaves later with what was kept or bought since.
#[test]
fn a_title_that_leaves_unsold_is_flagged_whatever_was_sold_before() {
    let patent = json!([{ "id": "a", "ip_type": "patent_right", "jurisdiction": "HK" }]);
    let buy = |id: &str, date: &str| json!({ "id": id, "nature": "purchase", "asset": "a", "date": date, "amount": "500.00" });
    let sell = |date: &str, share: Option<&str>| json!({ "id": date, "nature": "disposal", "asset": "a", "date": date, "amount": "9.00", "share": share });
    let left = |date: &str| json!({ "id": date.replace('-', ""), "nature": "title_left", "asset": "a", "date": date });
    let spent = json!({ "id": "r", "nature": "rnd_type_a", "asset": "a", "date": "2018-06-01", "amount": "500.00" });
    for (events, expected) in [
        (json!([buy("b", "2017-05-01"), left("2022-05-01")]), vec!["20220501"]),
        (json!([buy("b", "2017-05-01"), sell("2019-05-01", Some("0.25")), left("2022-05-01")]), vec!["20220501"]),
        (
            json!([buy("b", "2017-05-01"), sell("2018-05-01", None), buy("c", "2019-05-01"), left("2022-05-01")]),
            vec!["20220501"],
        ),
        (json!([buy("b", "2017-05-01"), left("2021-05-01"), left("2022-05-01")]), vec!["20210501", "20220501"]),
        (json!([spent, sell("2019-05-01", Some("0.5")), left("2022-05-01")]), vec!["20220501"]),
        (json!([left("2022-05-01")]), vec!["20220501"]),
        (json!([buy("b", "2017-05-01"), sell("2022-05-01", None), left("2022-05-01")]), vec![]),
        (json!([buy("b", "2017-05-01"), sell("2022-06-01", None), left("2022-05-01")]), vec![]),
        (json!([buy("b", "2017-05-01"), sell("2022-04-01", None), left("2022-05-01")]), vec![]),
        (
            json!([
                buy("b", "2017-05-01"),
                sell("2018-04-01", Some("0.4")),
                sell("2019-04-01", Some("0.6")),
                left("2022-05-01")
            ]),
            vec![],
        ),
        (json!([spent, sell("2019-05-01", None), left("2022-05-01")]), vec![]),
        (json!([left("2016-05-01"), buy("b", "2017-05-01")]), vec![]),
    ] {
        let facts = facts(&patent, &events, &[]);
        let read = Facts::from_slice(facts.to_string().as_bytes()).unwrap();
        let rules = HongKong.rules().unwrap();
        let report = HongKong.compute(&read, &rules).unwrap();
        let flagged = report.flags.iter().filter(|flag| flag.code == FlagCode::DisposalWithoutClawback);
        let found: Vec<&str> = flagged.flat_map(|flag| flag.events.clone()).collect();
        assert_eq!(found, expected, "{events}");
    }
}
