//! Where the figures of a line come from: credits, rates, and who says them.

use super::*;
use crate::endorsement::EndorsementClaim;
use crate::expenditure::facts::{RateOf, SetAsideCode};
use crate::expenditure::fixtures::{Sums, payment, sums};
use crate::expenditure::{ExpenditureClaim, FxRateClaim};

fn rate(from: &str, number: &str, date: &str, source: &str) -> Claim {
    Claim::FxRate(FxRateClaim {
        from: from.parse().unwrap(),
        units: "1".to_owned(),
        to: "HKD".parse().unwrap(),
        rate: number.to_owned(),
        source: source.to_owned(),
        date: date.parse().unwrap(),
    })
}

fn flagged(report: &Report, code: FlagCode) -> Vec<u64> {
    let flags = report.flags.iter().filter(|flag| flag.code == code);
    flags.flat_map(|flag| flag.entries.clone()).collect()
}

#[test]
fn a_credit_by_one_side_is_flagged_and_under_the_line_that_it_changes() {
    let mut world = World::new();
    let alpha = world.party("Alpha Limited", "HK", None);
    let gamma = world.party("Gamma Limited", "HK", None);
    let claim = payment(Nature::Royalty, alpha.side(), gamma.side(), "G-3", "2026-05-02");
    let paid = world.pay(&[&alpha, &gamma], claim, &sums("1000.00", "HKD")).unwrap();
    // A year later, by the payee alone: nothing is left.
    let claim = ExpenditureClaim {
        credits: Some(paid),
        ..payment(Nature::CreditNote, alpha.side(), gamma.side(), "CN-1", "2027-05-02")
    };
    let credit = world.pay(&[&gamma], claim, &sums("1000.00", "HKD")).unwrap();
    let query = Query { years: vec!["2026/27".parse().unwrap()], ..Query::all(alpha.id) };
    let report = report_at(&world, &query, world.size());
    let [paid, note] = [paid, credit].map(|id| world.index_of(id));
    assert_eq!(report.lines[0].amount.to_string(), "0.00");
    assert_eq!(report.lines[0].entries, [paid, note]);
    assert_eq!(flagged(&report, FlagCode::Unconfirmed), [note]);
    let shown: Vec<u64> = report.payments.iter().map(|payment| payment.index).collect();
    assert_eq!(shown, [paid, note], "the credit, too, though it is of another year");
    let only = report_at(&world, &Query { flag: Some(FlagCode::Unconfirmed), ..query.clone() }, world.size());
    assert_eq!(only.lines.len(), 1);
    world.enter(&[&alpha], Claim::Endorsement(EndorsementClaim { statement: credit })).unwrap();
    let report = report_at(&world, &query, world.size());
    assert_eq!(flagged(&report, FlagCode::Unconfirmed), Vec::<u64>::new());
    assert_eq!(report.lines[0].entries, [paid, note]);
}

#[test]
fn a_credit_of_a_credit_is_set_aside() {
    let mut world = World::new();
    let alpha = world.party("Alpha Limited", "HK", None);
    let gamma = world.party("Gamma Limited", "HK", None);
    let claim = payment(Nature::Royalty, alpha.side(), gamma.side(), "G-3", "2026-05-02");
    let paid = world.pay(&[&alpha, &gamma], claim, &sums("1000.00", "HKD")).unwrap();
    let mut credit = |of, document, amount| {
        let claim = ExpenditureClaim {
            credits: Some(of),
            ..payment(Nature::CreditNote, alpha.side(), gamma.side(), document, "2026-06-02")
        };
        world.pay(&[&alpha, &gamma], claim, &sums(amount, "HKD")).unwrap()
    };
    let first = credit(paid, "CN-1", "300.00");
    let second = credit(first, "CN-2", "100.00");
    let report = report_at(&world, &Query::all(alpha.id), world.size());
    assert_eq!(report.lines[0].amount.to_string(), "700.00");
    let aside = &report.set_aside[0];
    assert_eq!((aside.index, aside.code), (world.index_of(second), SetAsideCode::CreditMismatch));
    assert!(aside.reason.contains("corrected and not credited"), "{}", aside.reason);
}

#[test]
fn what_a_line_is_converted_at_is_under_it_with_the_relation() {
    let mut world = World::new();
    let alpha = world.party("Alpha Limited", "HK", None);
    let gamma = world.party("Gamma Inc", "US", None);
    let operator = world.operator.clone();
    let rated = world.enter(&[&operator], rate("USD", "7.8", "2026-04-30", "IRD")).unwrap();
    associates(&mut world, &gamma, &alpha);
    let related = world.size() - 1;
    let claim = payment(Nature::Royalty, alpha.side(), gamma.side(), "G-3", "2026-05-02");
    let paid = world.pay(&[&alpha, &gamma], claim, &sums("100.00", "USD")).unwrap();
    let report = report_at(&world, &Query::all(alpha.id), world.size());
    for line in &report.lines {
        assert_eq!(line.entries, [world.index_of(rated), related, world.index_of(paid)]);
    }
}

#[test]
fn a_rate_of_ones_own_is_no_source_and_gives_way_to_the_operators() {
    let mut world = World::new();
    let alpha = world.party("Alpha Limited", "HK", None);
    let gamma = world.party("Gamma Limited", "HK", None);
    let operator = world.operator.clone();
    let pay = |world: &mut World, document: &str, on: &str, own: Option<&str>| {
        let claim = payment(Nature::Royalty, alpha.side(), gamma.side(), document, on);
        let figures = Sums { fx_rate: own.map(str::to_owned), ..sums("100000.00", "USD") };
        world.pay(&[&alpha, &gamma], claim, &figures).unwrap()
    };
    // The taxpayer's is newer, and says it is the Department's.
    world.enter(&[&operator], rate("USD", "7.80", "2026-04-30", "IRD")).unwrap();
    world.enter(&[&alpha], rate("USD", "9.99", "2026-05-01", "IRD average rate")).unwrap();
    let published = pay(&mut world, "P-1", "2026-05-02", None);
    let stated = pay(&mut world, "P-2", "2026-05-02", Some("9.99"));
    let same = pay(&mut world, "P-3", "2026-05-02", Some("7.8"));
    // Two years of assessment later the operator's is out of date: it still counts where nothing newer does, and says so.
    let late = pay(&mut world, "P-4", "2028-05-02", Some("7.8"));
    let alone = pay(&mut world, "P-5", "2028-05-02", None);
    let report = report_at(&world, &Query::all(alpha.id), world.size());
    let shown = |id| {
        let payment = report.payments.iter().find(|payment| payment.entry == id).unwrap();
        (payment.hkd.unwrap().to_string(), payment.rate.as_ref().unwrap().said_by)
    };
    assert_eq!(shown(published), ("780000.00".to_owned(), RateOf::Operator));
    assert_eq!(shown(stated), ("999000.00".to_owned(), RateOf::Taxpayer));
    assert_eq!(shown(same), ("780000.00".to_owned(), RateOf::Operator));
    assert_eq!(shown(late), ("780000.00".to_owned(), RateOf::Operator));
    assert_eq!(shown(alone), ("999000.00".to_owned(), RateOf::Taxpayer));
    let unsourced = flagged(&report, FlagCode::FxUnsourced);
    for (id, expected) in [(published, false), (stated, true), (same, false), (late, true), (alone, true)] {
        assert_eq!(unsourced.contains(&world.index_of(id)), expected);
    }
    let bytes = bytes_at(&world, &Query::all(alpha.id), world.size());
    assert!(verify(&bytes, &world.trust()).is_ok());
}
