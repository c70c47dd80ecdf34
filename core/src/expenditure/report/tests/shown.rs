//! What lines and corrections say of themselves: what is flagged about a line, and what a correction changed.

use super::*;
use crate::expenditure::asset::TitleLeft;
use crate::expenditure::fixtures::{asset, outside, payment, sums};
use crate::expenditure::{CorrectionReason, ExpenditureClaim, Replacement};

#[test]
fn what_is_flagged_about_an_asset_is_flagged_on_its_lines() {
    let mut world = World::new();
    let alpha = world.party("Alpha Limited", "HK", None);
    profile(&mut world, &alpha);
    let mut bought = |title: &str| {
        let right = world.enter(&[&alpha], Claim::Asset(asset(title, IpType::Copyright, None))).unwrap();
        let paid = payment(Nature::Purchase, alpha.side(), outside("Seller Inc", "US"), title, "2026-05-02");
        world.pay(&[&alpha], ExpenditureClaim { asset: Some(right), ..paid }, &sums("500000.00", "HKD")).unwrap();
        right
    };
    let (left, kept) = (bought("Left"), bought("Kept"));
    let mut claim = asset("Left", IpType::Copyright, None);
    claim.title_left = Some(TitleLeft { on: "2026-12-01".parse().unwrap(), to: outside("Buyer Inc", "US") });
    let claim = Some((Replacement::Asset(Box::new(claim)), sums("0.00", "HKD")));
    world.correct(&[&alpha], (left, left), CorrectionReason::LaterEvent, claim).unwrap();

    let all = report_at(&world, &Query::all(alpha.id), world.size());
    let code = FlagCode::DisposalWithoutClawback;
    for line in &all.lines {
        let right = line.asset.as_ref().unwrap().id;
        assert_eq!(line.flags.contains(&code), right == left, "{line:?}");
        assert!(line.flags.contains(&FlagCode::Unconfirmed) == (line.year.to_string() == "2026/27"), "{line:?}");
    }
    let flagged = report_at(&world, &Query { flag: Some(code), ..Query::all(alpha.id) }, world.size());
    let of = |report: &Report, right| {
        report.lines.iter().filter(|line| line.asset.as_ref().is_some_and(|asset| asset.id == right)).count()
    };
    assert!(of(&all, left) >= 5, "a slice in each of five years");
    assert_eq!((of(&flagged, left), of(&flagged, kept)), (of(&all, left), 0));
    assert_eq!(flagged.payments.len(), 1, "the purchase of what left");
}

#[test]
fn a_correction_says_what_it_changed() {
    let mut world = World::new();
    let alpha = world.party("Alpha Limited", "HK", None);
    let royalty = |on: &str| ExpenditureClaim {
        ip_type: Some(IpType::Copyright),
        ..payment(Nature::Royalty, alpha.side(), outside("Licensor Inc", "US"), "INV-7", on)
    };
    let paid = world.pay(&[&alpha], royalty("2026-05-02"), &sums("1000000.00", "HKD")).unwrap();
    let dollars = Some((Replacement::Expenditure(Box::new(royalty("2026-05-03"))), sums("1000000.00", "USD")));
    let second = world.correct(&[&alpha], (paid, paid), CorrectionReason::Classification, dollars).unwrap();
    world.correct(&[&alpha], (paid, second), CorrectionReason::NotIncurred, None).unwrap();
    let right = world.enter(&[&alpha], Claim::Asset(asset("Code", IpType::Copyright, None))).unwrap();
    let used = world.used(&alpha, use_of(right, "2026/27", UsedBy::Owner), "0.5").unwrap();
    let less = Some((Replacement::Use(use_of(right, "2026/27", UsedBy::Owner)), sums("0.25", "HKD")));
    world.correct(&[&alpha], (used, used), CorrectionReason::Amount, less).unwrap();

    let report = report_at(&world, &Query::all(alpha.id), world.size());
    let [currency, reversed, fraction] = report.corrections.as_slice() else { panic!("{:?}", report.corrections) };
    let changed = |correction: &Correction| correction.changed.iter().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(changed(currency), "currency on");
    assert_eq!(
        (currency.amount_before.as_deref(), currency.currency_before.as_deref()),
        (Some("1000000.00"), Some("HKD"))
    );
    assert_eq!(
        (currency.amount_after.as_deref(), currency.currency_after.as_deref()),
        (Some("1000000.00"), Some("USD"))
    );
    assert_eq!((changed(reversed).as_str(), reversed.amount_after.as_deref()), ("", None));
    assert_eq!((changed(fraction).as_str(), fraction.amount_before.as_deref()), ("fraction", None));
    assert_eq!((fraction.fraction_before.as_deref(), fraction.fraction_after.as_deref()), (Some("0.5"), Some("0.25")));
}
