//! When spending counts, what denies it, and what its sale brings, at the edges of the law and of a business.

use super::*;
use crate::tax::words::{Group, Language, say, sentence};

/// Facts about one asset.
fn about(ip_type: &str, events: &Value) -> Value {
    facts(&json!([{ "id": "a", "ip_type": ip_type, "jurisdiction": "HK" }]), events, &[])
}

fn spent(id: &str, nature: &str, date: &str, more: Value) -> Value {
    with(json!({ "id": id, "nature": nature, "date": date, "amount": "2000000.00" }), more)
}

fn with(mut event: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("{more}") };
    event.as_object_mut().unwrap().extend(more);
    event
}

fn licensed(year: &str, by: &str) -> Value {
    with(used(year, "1"), json!({ "by": by }))
}

/// Rule, status and whether it needs a review, line by line.
fn marks(facts: &Value) -> Vec<(String, Status, bool)> {
    let read = Facts::from_slice(facts.to_string().as_bytes()).unwrap();
    let rules = HongKong.rules().unwrap();
    let report = HongKong.compute(&read, &rules).unwrap();
    report.lines.iter().map(|line| (line.rule.to_owned(), line.status, line.needs_review)).collect()
}

/// DIPN 55 ¶53, ¶78: the first 2,000,000 are of type B, and type B begins on 1 April 2018. December accounts put days
/// before it into 2018/19.
#[test]
fn what_was_spent_before_type_b_leaves_its_band_alone() {
    let mut facts = facts(
        &json!([]),
        &json!([
            with(spent("former", "rnd_type_b", "2018-02-01", json!({})), json!({ "amount": "1500000.00" })),
            spent("first", "rnd_type_b", "2018-06-01", json!({})),
        ]),
        &[],
    );
    facts["taxpayer"]["year_end"] = json!("12-31");
    // 2,000,000 × 3, and once what came before.
    let expected = [deduction("2018/19", "16B", "6000000.00"), deduction("2018/19", "16B", "1500000.00")];
    assert_eq!(computed(&facts).0, expected);
}

/// DIPN 55 ¶109: the proceeds are divided between type A and B, and what came before type B is none.
#[test]
fn what_was_spent_before_type_b_is_no_type_b_when_it_is_sold() {
    let asset = json!({ "asset": "a" });
    let events = json!([
        spent("former", "rnd_type_b", "2018-02-01", asset.clone()),
        spent("first", "rnd_type_b", "2018-06-01", asset),
        sold("2020-05-01", "5000000.00"),
    ]);
    let (lines, _) = computed(&about("patent_right", &events));
    // Half of 5,000,000 is of type A, of which 2,000,000 were deducted; the other half is less than 6,000,000.
    assert_eq!(lines.last(), Some(&receipt("2020/21", "Sch 45 s.17", "4500000.00")));
}

/// Schedule 45 section 7(2), DIPN 55 ¶42, ¶47: in the first basis period, under the law and within the band of that day.
#[test]
fn research_before_the_business_counts_on_its_first_day() {
    let begun = |commenced: &str, events: Value| {
        let mut facts = facts(&json!([]), &events, &[]);
        facts["taxpayer"]["commenced"] = json!(commenced);
        computed(&facts).0
    };
    let both = ["2019-12-01", "2020-06-01"];
    let b = json!([spent("b1", "rnd_type_b", both[0], json!({})), spent("b2", "rnd_type_b", both[1], json!({}))]);
    let expected = [deduction("2020/21", "16B", "6000000.00"), deduction("2020/21", "16B", "4000000.00")];
    assert_eq!(begun("2020-05-01", b), expected);
    let a = json!([spent("a", "rnd_type_a", both[0], json!({}))]);
    assert_eq!(begun("2020-05-01", a), [deduction("2020/21", "16B", "2000000.00")]);
    let old = json!([spent("b", "rnd_type_b", "2018-02-01", json!({}))]);
    assert_eq!(begun("2018-06-01", old), [deduction("2018/19", "16B", "6000000.00")]);
    // The predecessor was in business already.
    let mut facts = about(
        "patent_right",
        &json!([
            spent("b", "rnd_type_b", "2019-12-01", json!({ "asset": "a" })),
            { "id": "succession", "nature": "succession", "asset": "a", "date": "2020-07-01" },
        ]),
    );
    facts["taxpayer"]["commenced"] = json!("2020-05-01");
    assert_eq!(computed(&facts).0, [deduction("2019/20", "16B", "6000000.00")]);
}

/// DIPN 49 ¶65(a), ¶66: a receipt moves to before the end of the business, a deduction does not; and no slice is lost in a
/// year without a basis period.
#[test]
fn after_the_business_only_receipts_move() {
    let case = |date: &str, proceeds: &str| {
        let events = json!([
            bought("2016-06-30", "2000000.00"),
            used("2016/17", "1"),
            used("2017/18", "1"),
            used("2018/19", "1"),
            sold(date, proceeds),
        ]);
        let mut facts = about("registered_trade_mark", &events);
        facts["taxpayer"]["ceased"] = json!("2018-03-31");
        let reviews: Vec<bool> = marks(&facts).into_iter().map(|(.., needs_review)| needs_review).collect();
        let (lines, _) = computed(&facts);
        assert_eq!(lines[..2], ["2016/17", "2017/18"].map(|year| deduction(year, "16EA(3)", "400000.00")));
        lines.into_iter().zip(reviews).skip(2).collect::<Vec<_>>()
    };
    assert_eq!(
        case("2018-09-01", "500000.00"),
        [(nil("2018/19", "16EA(5)", "sold"), false), (deduction("2018/19", "16EB(2)(a)", "700000.00"), true),]
    );
    // 1,500,000 less the 1,200,000 unallowed when the business ended, a year and a half before.
    assert_eq!(
        case("2019-09-01", "1500000.00"),
        [
            (receipt("2017/18", "16EB(2)(b)", "300000.00"), false),
            (nil("2018/19", "16EA(6)", "not_used"), false),
            (nil("2019/20", "16EA(5)", "sold"), false),
        ]
    );
}

/// DIPN 49 ¶86: both a licensee and non-recourse debt.
#[test]
fn non_recourse_debt_denies_what_is_licensed() {
    let case = |ip_type: &str, more: Value, uses: &[Value]| {
        let mut events = vec![with(bought("2018-07-01", "500000.00"), json!({ "funding": "non_recourse" }))];
        events[0] = with(events[0].clone(), more);
        events.extend_from_slice(uses);
        let (lines, flags) = computed(&about(ip_type, &json!(events)));
        (lines.into_iter().filter(|line| line.4 != Some("not_used")).collect::<Vec<_>>(), flags)
    };
    let slice = |year: &str| deduction(year, "16EA(3)", "100000.00");
    let denied = |year: &str| nil(year, "16EC(4)(c)", "leveraged");
    let own = [used("2018/19", "1"), used("2019/20", "1")];
    let mark = "registered_trade_mark";
    assert_eq!(case(mark, json!({}), &own), (vec![slice("2018/19"), slice("2019/20")], vec!["NEEDS_REVIEW"]));
    for by in ["licensee_hk", "licensee_abroad"] {
        let (lines, _) = case(mark, json!({}), &[licensed("2018/19", by)]);
        assert_eq!(lines, [denied("2018/19")], "{by}");
    }
    // A later licence leaves the slices of earlier years, as use abroad does.
    let later = [used("2018/19", "1"), licensed("2019/20", "licensee_hk"), used("2020/21", "1")];
    let (lines, _) = case(mark, json!({}), &later);
    let from_then = ["2019/20", "2020/21", "2021/22", "2022/23"].map(denied);
    assert_eq!((&lines[0], &lines[1..]), (&slice("2018/19"), &from_then[..]));
    let patent = case("patent_right", json!({}), &[used("2018/19", "1")]);
    assert_eq!(patent, (vec![deduction("2018/19", "16E(1)", "500000.00")], vec!["NEEDS_REVIEW"]));
    // The exception for financing is one to (4)(a) alone.
    let user = json!({ "purchased": "2018-06-30", "price": "500000.00", "deducted": false });
    let back = json!({ "licensed_back": true, "end_user": user });
    assert_eq!(case(mark, back, &own).0, [denied("2018/19")]);
}

/// DIPN 55 ¶49–53, ¶81: by the day, and by what Schedule 45 makes subject to its section 14 before it.
#[test]
fn denials_of_research_have_their_first_days() {
    let case = |nature: &str, date: &str, more: Value| {
        let facts = facts(&json!([]), &json!([spent("e", nature, date, more)]), &[]);
        let (lines, flags) = computed(&facts);
        let [(rule, _, needs_review)] = marks(&facts).try_into().unwrap();
        assert_eq!(needs_review, flags == ["NEEDS_REVIEW"]);
        (lines[0].3.clone(), rule, needs_review)
    };
    let denied = |rule: &str| ("0.00".to_owned(), rule.to_owned(), false);
    let unsure = |rule: &str| ("2000000.00".to_owned(), rule.to_owned(), true);
    let not_vested = json!({ "vested": false });
    let avoidance = json!({ "avoidance": true });
    assert_eq!(case("rnd_type_a", "2015-06-01", avoidance), unsure("hk.16b.former"));
    assert_eq!(case("rnd_type_b", "2018-03-31", not_vested.clone()), unsure("hk.16b.former"));
    assert_eq!(case("rnd_type_b", "2018-04-01", not_vested.clone()), denied("hk.16b.denied_interim"));
    assert_eq!(case("rnd_type_a", "2018-11-01", not_vested.clone()), unsure("hk.16b.type_a"));
    assert_eq!(case("rnd_type_a", "2018-11-02", not_vested), denied("hk.16b.denied"));
    let designated = json!({ "vested": false, "performed_by": "designated_institution" });
    assert_eq!(case("rnd_type_a", "2018-04-01", designated), denied("hk.16b.denied_interim"));
}

/// What a sale brings under a proposed rule is no law either, and its sentence says so.
#[test]
fn what_follows_from_a_proposed_rule_is_proposed() {
    let associate = with(
        bought("2024-07-01", "900000.00"),
        json!({ "counterparty": { "associate": true, "residence": "HK" }, "seller_cost": "500000.00" }),
    );
    let abroad = with(licensed("2024/25", "licensee_abroad"), json!({ "taxed_in_hk": true }));
    let cases = [
        ("hk.proposed.associate_purchase", associate, used("2024/25", "1")),
        ("hk.proposed.foreign_use", bought("2024-07-01", "500000.00"), abroad),
    ];
    for (proposal, purchase, usage) in cases {
        let mut facts = about("copyright", &json!([purchase, usage, sold("2025-07-01", "1000000.00")]));
        facts["proposed_rules"] = json!([proposal]);
        let (lines, _) = computed(&facts);
        assert_eq!(lines[0], deduction("2024/25", "16EA(3)", "100000.00"));
        assert_eq!(lines[2], receipt("2025/26", "16EB(2)(b)", "100000.00"));
        let read = Facts::from_slice(facts.to_string().as_bytes()).unwrap();
        let rules = HongKong.rules().unwrap();
        let report = HongKong.compute(&read, &rules).unwrap();
        for line in [&report.lines[0], &report.lines[2]] {
            assert_eq!((line.rule, line.status), (proposal, Status::Proposed), "{line:?}");
            for language in Language::ALL {
                let said = sentence(line, language);
                assert!(said.contains(&say(Group::Status, "proposed", language)), "{said}");
            }
        }
        facts["proposed_rules"] = json!([]);
        let (lines, _) = computed(&facts);
        assert_eq!(lines.last(), Some(&nil("2025/26", "16EB(2)", "no_deduction_allowed")), "{lines:?}");
    }
}

/// No sale passes in silence: where nothing was deducted, or nothing is known, a line says so.
#[test]
fn every_sale_has_a_line() {
    let denied = json!([
        spent("e", "rnd_type_b", "2019-05-01", json!({ "asset": "a", "vested": false })),
        sold("2021-05-01", "2000000.00"),
    ]);
    let (lines, flags) = computed(&about("patent_right", &denied));
    let expected = [nil("2019/20", "16B", "rights_not_vested"), nil("2021/22", "Sch 45 s.17", "no_deduction_allowed")];
    assert_eq!((lines.as_slice(), flags.len()), (&expected[..], 0));
    for (ip_type, section) in [("patent_right", "16E(3)"), ("copyright", "16EB(2)")] {
        let succession = json!({ "id": "came", "nature": "succession", "asset": "a", "date": "2021-07-01" });
        let facts = about(ip_type, &json!([succession, sold("2022-05-01", "500000.00")]));
        let (lines, flags) = computed(&facts);
        assert_eq!((lines, flags), (vec![nil("2022/23", section, "no_deduction_allowed")], vec!["NEEDS_REVIEW"]));
        assert!(marks(&facts)[0].2);
    }
}
