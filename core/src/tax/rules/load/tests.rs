use super::*;
use crate::tax::Jurisdiction as _;
use crate::tax::hk::HongKong;
use crate::tax::rules::At;
use crate::tax::year::YearEnd;

const GOOD: &str = r#"
[[rule]]
id = "xx.slices"
topic = "equal_slices"
section = "1"
applies_to = ["copyright", "layout_design"]
from = "2011/12"
to = "2017/18"
status = "enacted"
citation = "Act, s.1"
parameters = { slices = 5 }

[[rule]]
id = "xx.slices_2018"
topic = "equal_slices"
section = "1"
applies_to = ["copyright"]
from = "2018/19"
status = "enacted"
citation = "Act, s.1"
parameters = { slices = 3 }

[[rule]]
id = "xx.research"
topic = "research_b"
section = "2"
from = "2018-04-01"
status = "enacted"
citation = "Act, s.2"
parameters = { first_amount = "2000000.00", first_rate = "3", further_rate = "2.50" }
"#;

fn refused(text: &str) -> (usize, String) {
    let error = RuleSet::load(&[("a.toml", text)]).unwrap_err();
    assert_eq!(error.file, "a.toml");
    assert!(error.to_string().starts_with(&format!("a.toml:{}: ", error.line)));
    (error.line, error.reason)
}

#[test]
fn rules_are_found_by_thing_and_time() {
    let rules = RuleSet::load(&[("a.toml", GOOD)]).unwrap();
    let at = |year: &str| At { year: year.parse().unwrap(), day: None };
    let slices = |thing, year| rules.law(Topic::EqualSlices, thing, at(year)).map(|rule| rule.count("slices").unwrap());
    assert_eq!(slices("copyright", "2010/11"), None);
    assert_eq!(slices("copyright", "2011/12"), Some(5));
    assert_eq!(slices("copyright", "2017/18"), Some(5));
    assert_eq!(slices("copyright", "2018/19"), Some(3));
    assert_eq!(slices("layout_design", "2018/19"), None);
    assert_eq!(slices("patent_right", "2018/19"), None);
    let day = |day: &str| At { year: YearEnd::MARCH.year_of(day.parse().unwrap()), day: Some(day.parse().unwrap()) };
    assert!(rules.law(Topic::ResearchB, "", day("2018-03-31")).is_none());
    let research = rules.law(Topic::ResearchB, "", day("2018-04-01")).unwrap();
    assert_eq!(research.rate("further_rate").unwrap().to_string(), "2.5");
    assert!(research.count("further_rate").is_err() && research.rate("slices").is_err());
}

#[test]
fn what_does_not_fit_together_is_refused_with_file_and_line() {
    let changed = |from: &str, to: &str| {
        assert!(GOOD.contains(from), "{from}");
        refused(&GOOD.replacen(from, to, 1))
    };
    for (from, to, line, reason) in [
        ("citation = \"Act, s.1\"\nparameters = { slices = 5 }", "parameters = { slices = 5 }", 3, "no citation"),
        ("citation = \"Act, s.2\"", "citation = \" \"", 24, "no citation"),
        ("{ slices = 5 }", "{ slices = 5, colour = \"red\" }", 11, "unknown parameter \"colour\""),
        ("{ slices = 5 }", "{ slices = \"5\" }", 11, "a number without quotes"),
        ("{ slices = 5 }", "{ slices = 0 }", 11, "1 to 1,000"),
        ("{ slices = 3 }", "{ }", 14, "\"slices\" is missing"),
        ("first_rate = \"3\"", "first_rate = 3.0", 30, "in quotes"),
        ("first_rate = \"3\"", "first_rate = \"3e0\"", 30, "not a decimal number"),
        ("\"2000000.00\"", "\"2000000.0\"", 30, "decimals"),
        ("to = \"2017/18\"", "to = \"2018/19\"", 14, "overlaps with xx.slices for copyright"),
        ("to = \"2017/18\"\n", "", 13, "overlaps with xx.slices for copyright"),
        ("from = \"2018/19\"", "from = \"2019/20\"", 14, "leaves a gap after xx.slices for copyright"),
        ("from = \"2018/19\"", "from = \"2018-04-01\"", 14, "counts days"),
        ("to = \"2017/18\"", "to = \"2010/11\"", 7, "ends before it begins"),
        ("from = \"2018/19\"", "from = \"2018/20\"", 18, "not a year of assessment"),
        ("from = \"2018-04-01\"", "from = \"2018-02-30\"", 27, "not a day"),
        ("\"xx.slices_2018\"", "\"xx.slices\"", 14, "there twice"),
        ("\"xx.research\"", "\"XX research\"", 24, "lower-case"),
        ("section = \"2\"", "section = \"\"", 24, "no section"),
        ("topic = \"research_b\"", "topic = \"alchemy\"", 25, "alchemy"),
        ("status = \"enacted\"", "status = \"rumoured\"", 9, "rumoured"),
        ("section = \"2\"", "section = \"2\"\ncolour = \"red\"", 27, "colour"),
        ("[[rule]]", "[[rule]", 2, ""),
    ] {
        let (found, said) = changed(from, to);
        assert!(said.contains(reason), "{to:?}: {said:?} instead of {reason:?}");
        assert_eq!(found, line, "{to:?}: {said}");
    }
}

#[test]
fn the_digest_is_of_the_rules_and_not_of_their_spelling() {
    let digest = |files: &[(&str, &str)]| RuleSet::load(files).unwrap().digest();
    let (first, rest) = GOOD.split_at(GOOD.find("[[rule]]\nid = \"xx.research\"").unwrap());
    let whole = digest(&[("a.toml", GOOD)]);
    assert_eq!(digest(&[("b.toml", rest), ("a.toml", first)]), whole, "files and order make no difference");
    assert_eq!(digest(&[("a.toml", &format!("# said\n{GOOD}"))]), whole, "comments make none");
    assert_eq!(digest(&[("a.toml", &GOOD.replace("\"2.50\"", "\"2.5\""))]), whole, "zeros make none");
    for (from, to) in [("slices = 3", "slices = 4"), ("Act, s.2", "Act, s.3"), ("\"2018-04-01\"", "\"2018-04-02\"")] {
        assert_ne!(digest(&[("a.toml", &GOOD.replace(from, to))]), whole, "{from} → {to}");
    }
}

#[test]
fn the_rules_shipped_fit_together() {
    let rules = HongKong.rules().unwrap();
    assert!(rules.rules().len() > 90, "{}", rules.rules().len());
    for rule in rules.rules() {
        assert!(rule.id.starts_with("hk."), "{}", rule.id);
        assert_eq!(rule.status == Status::Proposed, rule.id.starts_with("hk.proposed."), "{}", rule.id);
        if rule.topic == Topic::Treaty {
            // Romania's speaks of income from a day on.
            assert_eq!(matches!(rule.period, Period::Years { .. }), rule.id != "hk.treaty.ro", "{}", rule.id);
        }
    }
    // The places with a treaty, as the design lists them: 50 of them, two from 2026/27 on.
    assert_eq!(rules.known(Topic::Treaty).count(), 50);
    let rate = |place: &str, year: &str| {
        let at = At { year: year.parse().unwrap(), day: None };
        rules.law(Topic::Treaty, place, at).map(|rule| rule.rate("rate").unwrap().to_string())
    };
    for (place, cap) in [("GB", "0.03"), ("MO", "0.03"), ("JE", "0.04"), ("JP", "0.05"), ("MY", "0.08"), ("FR", "0.1")]
    {
        assert_eq!(rate(place, "2025/26").as_deref(), Some(cap), "{place}");
    }
    for (place, highest) in
        [("CN", "0.07"), ("BY", "0.05"), ("LV", "0.03"), ("SA", "0.08"), ("TH", "0.15"), ("VN", "0.1")]
    {
        assert_eq!(rate(place, "2025/26").as_deref(), Some(highest), "{place}");
    }
    assert_eq!((rate("SG", "2025/26"), rate("US", "2025/26")), (None, None));
    assert_eq!((rate("AM", "2025/26"), rate("AM", "2026/27").as_deref()), (None, Some("0.05")));
    assert_eq!((rate("MU", "2023/24"), rate("MU", "2024/25").as_deref()), (None, Some("0.05")));
}
