//! Accounts that close on another day from some year on: whatever is asked, every payment is in one year.

use proptest::prelude::*;

use super::*;
use crate::expenditure::fixtures::{asset, payment, sums};
use crate::expenditure::{Details, ExpenditureClaim};
use crate::tax::facts::{ResearchPlace, Trade};

const YEARS: std::ops::Range<u32> = 2018..2034;

fn year(number: u32) -> String {
    format!("{number}/{:02}", (number + 1) % 100)
}

fn closing(world: &mut World, of: &Author, from: &str, year_end: &str) {
    let claim = TaxProfileClaim { year_end: year_end.parse().unwrap(), ..fixtures::profile(from) };
    world.enter(&[of], Claim::TaxProfile(claim)).unwrap();
}

fn of_year(taxpayer: StatementId, number: u32) -> Query {
    Query { years: vec![year(number).parse().unwrap()], ..Query::all(taxpayer) }
}

/// What reports on one year each add up to, and the one on everything.
fn both(world: &World, of: &Author) -> (Summary, Summary) {
    let mut parts = Summary::default();
    for number in YEARS {
        parts.add(&report_at(world, &of_year(of.id, number), world.size())).unwrap();
    }
    let mut whole = Summary::default();
    whole.add(&report_at(world, &Query::all(of.id), world.size())).unwrap();
    (parts, whole)
}

#[test]
fn a_payment_about_the_change_is_in_one_year() {
    for (before, after, years) in [("03-31", "12-31", [2024, 2025]), ("12-31", "03-31", [2025, 2024])] {
        let mut world = World::new();
        let alpha = world.party("Alpha Limited", "HK", None);
        let gamma = world.party("Gamma Limited", "HK", None);
        closing(&mut world, &alpha, "2020/21", before);
        closing(&mut world, &alpha, "2025/26", after);
        let claim = payment(Nature::Royalty, alpha.side(), gamma.side(), "G-1", "2025-02-10");
        world.pay(&[&alpha, &gamma], claim, &sums("1000000.00", "HKD")).unwrap();
        let deducted = |number| {
            let report = report_at(&world, &of_year(alpha.id, number), world.size());
            report.breakdown.totals.deduction.to_string()
        };
        assert_eq!(years.map(deducted), ["1000000.00", "0.00"], "{before} to {after}");
        let report = report_at(&world, &of_year(alpha.id, years[0]), world.size());
        // The Commissioner may compute the year of the change and the one before otherwise (section 18E).
        assert!(report.lines[0].needs_review);
        assert_eq!(report.flags[0].code, FlagCode::NeedsReview);
        assert_eq!(report.taxpayer.year_end.to_string(), if years[0] == 2025 { after } else { before });
        let (parts, whole) = both(&world, &alpha);
        assert_eq!(parts, whole);
    }
}

#[test]
fn what_the_first_profile_says_counts_before_it_too() {
    let mut world = World::new();
    let alpha = world.party("Alpha Limited", "HK", None);
    let gamma = world.party("Gamma Limited", "HK", None);
    closing(&mut world, &alpha, "2026/27", "12-31");
    let claim = payment(Nature::Royalty, alpha.side(), gamma.side(), "G-1", "2025-02-10");
    world.pay(&[&alpha, &gamma], claim, &sums("1.00", "HKD")).unwrap();
    let report = report_at(&world, &of_year(alpha.id, 2025), world.size());
    assert_eq!(report.taxpayer.year_end.to_string(), "12-31");
    assert_eq!((report.lines.len(), report.flags.len()), (1, 0));
}

/// Half of the profits are of Hong Kong up to 2025/26, a quarter from then on.
#[test]
fn research_is_deducted_by_the_profile_of_its_own_year() {
    let mut world = World::new();
    let alpha = world.party("Alpha Limited", "HK", None);
    let gamma = world.party("Gamma Inc", "US", None);
    for (from, part) in [("2020/21", "0.5"), ("2026/27", "0.25")] {
        let hk_proportion = Some(crate::money::Fraction::parse(part).unwrap());
        let claim = TaxProfileClaim { trade: Trade::PartlyHk, hk_proportion, ..fixtures::profile(from) };
        world.enter(&[&alpha], Claim::TaxProfile(claim)).unwrap();
    }
    for (document, on) in [("R-1", "2025-06-01"), ("R-2", "2026-06-01")] {
        let details = Details { place: Some(ResearchPlace::Overseas), ..Details::default() };
        let claim = ExpenditureClaim { details, ..payment(Nature::RndTypeA, alpha.side(), gamma.side(), document, on) };
        world.pay(&[&alpha, &gamma], claim, &sums("100.00", "HKD")).unwrap();
    }
    let report = report_at(&world, &Query::all(alpha.id), world.size());
    let amounts: Vec<String> = report.lines.iter().map(|line| line.amount.to_string()).collect();
    assert_eq!(amounts, ["50.00", "25.00"]);
    let (parts, whole) = both(&world, &alpha);
    assert_eq!(parts, whole);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn reports_on_each_year_add_up_to_the_one_on_all(
        profiles in prop::collection::vec((2019_u32..2030, prop::sample::select(vec!["03-31", "12-31", "06-30", "02-29", "04-01"])), 0..4),
        payments in prop::collection::vec((2020_u32..2027, 1_u32..=12, 1_u32..=28, 1_u64..1_000_000, any::<bool>()), 1..6),
    ) {
        let mut world = World::new();
        let alpha = world.party("Alpha Limited", "HK", None);
        let gamma = world.party("Gamma Limited", "HK", None);
        for (from, year_end) in &profiles {
            closing(&mut world, &alpha, &year(*from), year_end);
        }
        let mut royalties = 0;
        for (number, (paid, month, day, cents, is_purchase)) in payments.iter().enumerate() {
            let on = format!("{paid}-{month:02}-{day:02}");
            let nature = if *is_purchase { Nature::Purchase } else { Nature::Royalty };
            let claim = payment(nature, alpha.side(), gamma.side(), &format!("G-{number}"), &on);
            let amount = sums(&format!("{}.{:02}", cents / 100, cents % 100), "HKD");
            if *is_purchase {
                let right = world.enter(&[&alpha], Claim::Asset(asset("Code", IpType::Copyright, None))).unwrap();
                for number in YEARS {
                    world.used(&alpha, use_of(right, &year(number), UsedBy::Owner), "1").unwrap();
                }
                world.pay(&[&alpha, &gamma], ExpenditureClaim { asset: Some(right), ..claim }, &amount).unwrap();
            } else {
                royalties += 1;
                world.pay(&[&alpha, &gamma], claim, &amount).unwrap();
            }
        }
        let (parts, whole) = both(&world, &alpha);
        prop_assert_eq!(&parts, &whole);
        // Five slices of each purchase, each of a year of its own, and every cent of it.
        let report = report_at(&world, &Query::all(alpha.id), world.size());
        let sum: u64 = payments.iter().map(|(.., cents, _)| cents).sum();
        prop_assert_eq!(report.breakdown.totals.deduction, Amount::from_cents(sum.into()));
        prop_assert_eq!(report.lines.len(), royalties + 5 * (payments.len() - royalties));
    }
}
