//! What holds for every history: money is neither made nor lost, order means nothing, and the past stays as it was.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::hk::HongKong;
use super::lines::{Kind, Line};
use super::{Facts, Jurisdiction as _, RuleSet};

/// The rules, read once.
static RULES: std::sync::LazyLock<RuleSet> = std::sync::LazyLock::new(|| HongKong.rules().unwrap());

/// What a line says, without its number.
fn said(line: &Line<'_>) -> String {
    let Line { year, asset, kind, section, amount, reason, events, .. } = line;
    let steps: Vec<String> = line.steps.iter().map(ToString::to_string).collect();
    format!("{year} {asset:?} {kind:?} {section} {amount} {reason:?} {events:?} {steps:?}")
}

/// Cents by kind, and what every line says.
fn computed(facts: &Value) -> (Vec<(Kind, String, i128)>, Vec<String>) {
    let read = Facts::from_slice(facts.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}: {facts}"));
    let report = HongKong.compute(&read, &RULES).unwrap();
    let amounts = report.lines.iter().map(|line| (line.kind, line.year.to_string(), line.amount.cents()));
    (amounts.collect(), report.lines.iter().map(said).collect())
}

fn sum(amounts: &[(Kind, String, i128)], kind: Kind) -> i128 {
    amounts.iter().filter(|(found, _, _)| *found == kind).map(|(_, _, cents)| cents).sum()
}

fn dollars(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn parts(parts: u32) -> String {
    format!("{}.{:08}", parts / 100_000_000, parts % 100_000_000)
}

/// One right: its type, price, when it was bought, use by year, and a sale some years later.
#[derive(Debug, Clone)]
struct Right {
    ip_type: &'static str,
    cents: i64,
    month: u32,
    uses: Vec<Option<u32>>,
    sale: Option<(u32, i64)>,
}

fn right() -> impl Strategy<Value = Right> {
    let ip_types =
        ["patent_right", "know_how", "copyright", "registered_design", "registered_trade_mark", "layout_design"];
    let used = prop_oneof![Just(None), Just(Some(100_000_000)), (0_u32..=100_000_000).prop_map(Some)];
    let sale = proptest::option::of((0_u32..8, 0_i64..1_000_000_000));
    (proptest::sample::select(ip_types.to_vec()), 0_i64..1_000_000_000, 1_u32..=12, vec(used, 8), sale)
        .prop_map(|(ip_type, cents, month, uses, sale)| Right { ip_type, cents, month, uses, sale })
}

impl Right {
    fn asset(&self, id: &str) -> Value {
        json!({ "id": id, "ip_type": self.ip_type, "jurisdiction": "HK" })
    }

    fn events(&self, id: &str) -> Vec<Value> {
        let mut events = vec![json!({ "id": format!("{id} buy"), "nature": "purchase", "asset": id,
            "date": format!("2019-{:02}-15", self.month), "amount": dollars(self.cents) })];
        for (place, used) in self.uses.iter().enumerate() {
            let year = 2018 + place;
            if let Some(used) = used {
                events.push(json!({ "id": format!("{id} use {year}"), "nature": "use", "asset": id,
                    "year": format!("{year}/{:02}", (year + 1) % 100), "fraction": parts(*used) }));
            }
        }
        if let Some((years, cents)) = self.sale {
            events.push(json!({ "id": format!("{id} sell"), "nature": "disposal", "asset": id,
                "date": format!("{}-{:02}-20", 2019 + years, self.month), "amount": dollars(cents) }));
        }
        events
    }
}

fn facts(assets: &[Value], events: &[Value], year_end: &str) -> Value {
    json!({ "schema": super::facts::SCHEMA, "taxpayer": { "name": "Company-HK", "year_end": year_end },
        "assets": assets, "events": events })
}

fn alone(right: &Right) -> Value {
    facts(&[right.asset("a")], &right.events("a"), "03-31")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn slices_sum_to_the_cost_when_fully_used(mut right in right()) {
        right.uses = vec![Some(100_000_000); 8];
        right.sale = None;
        let (amounts, _) = computed(&alone(&right));
        prop_assert_eq!(sum(&amounts, Kind::Deduction), i128::from(right.cents));
    }

    #[test]
    fn what_is_taken_back_was_deducted(rights in vec(right(), 1..4)) {
        for right in &rights {
            let (amounts, _) = computed(&alone(right));
            prop_assert!(sum(&amounts, Kind::Receipt) <= sum(&amounts, Kind::Deduction));
            prop_assert!(amounts.iter().all(|(_, _, cents)| *cents >= 0));
            // And nothing is deducted that was not paid.
            prop_assert!(sum(&amounts, Kind::Deduction) - sum(&amounts, Kind::Receipt) <= i128::from(right.cents));
        }
    }

    #[test]
    fn shares_of_co_owners_sum_back_to_the_whole(right in right(), share in 1_u32..100_000_000) {
        let whole = sum(&computed(&alone(&right)).0, Kind::Deduction);
        let mut sums = 0;
        for share in [share, 100_000_000 - share] {
            let mut events = right.events("a");
            events[0]["share"] = json!(parts(share));
            // Each sells its own share for its part of the price.
            if let Some((_, cents)) = right.sale {
                let part = i128::from(cents) * i128::from(share) / 100_000_000;
                let last = events.last_mut().unwrap();
                last["amount"] = json!(dollars(i64::try_from(part).unwrap()));
            }
            sums += sum(&computed(&facts(&[right.asset("a")], &events, "03-31")).0, Kind::Deduction);
        }
        // A cent for every line that is cut off: five slices and a sale, for each of two owners.
        prop_assert!((sums - whole).abs() <= 14, "{sums} and {whole}");
    }

    #[test]
    fn order_means_nothing(rights in vec(right(), 1..4), seed in any::<u64>()) {
        let (mut assets, mut events) = (Vec::new(), Vec::new());
        for (place, right) in rights.iter().enumerate() {
            assets.push(right.asset(&format!("{place}")));
            events.extend(right.events(&format!("{place}")));
        }
        let (_, before) = computed(&facts(&assets, &events, "12-31"));
        let mut state = seed | 1;
        for place in (1..events.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let other = usize::try_from(state >> 33).unwrap() % (place + 1);
            events.swap(place, other);
        }
        prop_assert_eq!(computed(&facts(&assets, &events, "12-31")).1, before);
    }

    /// Whatever happens later leaves the lines of earlier years as they are. The law has exceptions, and none of them is an
    /// event of a later year here: a refused assignment (DIPN 49 ¶44) undoes all, wherever it is dated.
    #[test]
    fn later_events_leave_earlier_years_alone(right in right(), kept in 1_usize..8) {
        let events = right.events("a");
        let (_, all) = computed(&facts(&[right.asset("a")], &events, "03-31"));
        let last = format!("{}/", 2018 + kept);
        let happens_by = |event: &Value| {
            let year = event["year"].as_str().map_or_else(|| {
                let date = event["date"].as_str().unwrap();
                let (year, month): (i32, u32) = (date[..4].parse().unwrap(), date[5..7].parse().unwrap());
                format!("{}/", if month >= 4 { year } else { year - 1 })
            }, str::to_owned);
            year[..5] <= last[..5]
        };
        let early: Vec<Value> = events.iter().filter(|event| happens_by(event)).cloned().collect();
        let until = |lines: &[String]| {
            lines.iter().filter(|line| line[..5] <= last[..5]).cloned().collect::<Vec<_>>()
        };
        let (_, before) = computed(&facts(&[right.asset("a")], &early, "03-31"));
        prop_assert_eq!(until(&before), until(&all));
    }

    /// Another year-end puts a deduction into another year, and loses nothing.
    #[test]
    fn another_year_end_moves_and_loses_nothing(mut right in right(), end in 0_usize..4) {
        right.uses = vec![Some(100_000_000); 8];
        right.sale = None;
        let ends = ["12-31", "06-30", "02-29", "04-01"];
        let mut events = right.events("a");
        // The first year can be one earlier than by accounts closed in March.
        events.push(json!({ "id": "first", "nature": "use", "asset": "a", "year": "2017/18" }));
        let here = computed(&facts(&[right.asset("a")], &events, "03-31")).0;
        let there = computed(&facts(&[right.asset("a")], &events, ends[end])).0;
        prop_assert_eq!(sum(&here, Kind::Deduction), sum(&there, Kind::Deduction));
    }
}
