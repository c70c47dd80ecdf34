//! Who is paid a royalty, what is known of the right, and which year it is.

use super::*;
use crate::tax::year::YearEnd;

/// The flags of a royalty of a million dollars, and its withholding line where there is one: section, amount, review.
fn withheld(date: &str, more: &Value) -> (Option<(String, String, bool)>, Vec<&'static str>) {
    let mut event = json!({ "id": "r", "nature": "royalty", "date": date, "amount": "1000000.00" });
    for (name, value) in more.as_object().unwrap() {
        event[name] = value.clone();
    }
    let facts = facts(&json!([]), &json!([event]), &[]);
    let (_, flags) = computed(&facts);
    let read = Facts::from_slice(facts.to_string().as_bytes()).unwrap();
    let rules = HongKong.rules().unwrap();
    let report = HongKong.compute(&read, &rules).unwrap();
    let line = report.lines.iter().find(|line| line.kind == Kind::Withholding);
    (line.map(|line| (line.section.to_owned(), line.amount.to_string(), line.needs_review)), flags)
}

#[test]
fn a_royalty_to_nobody_needs_review() {
    assert_eq!(withheld("2024-10-01", &json!({})), (None, vec!["NEEDS_REVIEW"]));
    assert_eq!(withheld("2024-10-01", &json!({ "payee": { "residence": "HK" } })), (None, vec![]));
}

/// The proviso to section 21A(1)(a) asks for certainty (DIPN 22 ¶29, ¶31): without it an associate's royalty counts
/// whole, and no treaty helps (¶37).
#[test]
fn an_associate_is_taxed_on_the_whole_unless_nobody_here_ever_owned_it() {
    let case = |ever_hk_owned: Value, paid: &str| {
        let payee = json!({ "associate": true, "residence": "GB", "ever_hk_owned": ever_hk_owned });
        let (line, flags) = withheld("2024-10-01", &json!({ "payee": payee, "withheld": paid }));
        let (_, amount, needs_review) = line.unwrap();
        (amount, needs_review, flags)
    };
    let said = |amount: &str, needs_review, flags: &[&'static str]| (amount.to_owned(), needs_review, flags.to_vec());
    assert_eq!(case(json!(false), "30000.00"), said("30000.00", false, &[]));
    assert_eq!(case(json!(true), "30000.00"), said("163500.00", false, &["DEEMED_100"]));
    assert_eq!(case(Value::Null, "30000.00"), said("163500.00", true, &["DEEMED_100", "NEEDS_REVIEW"]));
    assert_eq!(case(Value::Null, "163500.00"), said("163500.00", true, &["NEEDS_REVIEW"]));
}

/// A year without a reduction in the rules is not a year without a reduction.
#[test]
fn a_year_whose_reduction_is_unknown_says_so() {
    let rules = HongKong.rules().unwrap();
    let payee = json!({ "payee": { "residence": "US" }, "withheld": "99999.00" });
    for year in 2008..2030 {
        let date = format!("{year}-10-01");
        let day = date.parse().unwrap();
        let at = At { year: YearEnd::MARCH.year_of(day), day: None };
        let is_known = rules.law(Topic::Reduction, "", at).is_some();
        assert_eq!(is_known, (2017..=2024).contains(&year), "{year}");
        let (line, flags) = withheld(&date, &payee);
        assert_eq!(line.unwrap().2, !is_known, "{year}");
        assert_eq!(flags.contains(&"NEEDS_REVIEW"), !is_known, "{year}");
    }
}

/// Section 15(1)(a) is about showing films in Hong Kong; elsewhere (ba) covers them (DIPN 22 ¶11, ¶15).
#[test]
fn films_are_covered_by_where_they_are_shown() {
    for (film, used_in, section) in [
        (true, "hk", "15(1)(a), 21A"),
        (true, "abroad", "15(1)(ba), 21A"),
        (false, "abroad", "15(1)(ba), 21A"),
        (false, "hk", "15(1)(b), 21A"),
    ] {
        let more = json!({ "payee": { "residence": "US" }, "film": film, "used_in": used_in });
        assert_eq!(withheld("2024-10-01", &more).0.unwrap().0, section);
    }
}
