//! Which entries are evidence, and what the latest of several says.

use super::scenario::{Scenario, scenario};
use super::*;
use crate::endorsement::EndorsementClaim;
use crate::expenditure::fixtures::{outside, payment, sums};
use crate::expenditure::{CorrectionReason, EvidenceError, FxRateClaim, Replacement, Side};

#[test]
fn entries_are_whole_ascending_and_of_the_kinds_that_count() {
    let Scenario { world, alpha, payments, .. } = scenario();
    let size = world.size();
    let items = world.items(alpha.id, size);
    let error = |items: &[_], size| Evidence::gather(alpha.id, size, items).unwrap_err();
    assert_eq!(error(&items[1..], size), EvidenceError::Order { position: 0, size });
    let mut swapped = items.clone();
    swapped.swap(4, 5);
    assert_eq!(error(&swapped, size), EvidenceError::Order { position: 5, size });
    let last = items.len() - 1;
    assert_eq!(error(&items, size - 1), EvidenceError::Order { position: last, size: size - 1 });
    let without = |id: StatementId| -> Vec<_> {
        items.iter().filter(|item| item.envelope.statement_id() != id).cloned().collect()
    };
    // An endorsement or a correction of something that is not there.
    for missing in [payments[0], payments[5]] {
        assert!(matches!(error(&without(missing), size), EvidenceError::Stray { .. }));
    }
    assert_eq!(error(&without(alpha.id), size), EvidenceError::NoTaxpayer(alpha.id));
    let mut anchors = items.clone();
    let envelope = world.entries[1].0.envelope.clone();
    anchors.insert(1, crate::expenditure::Item { index: 1, envelope, openings: Vec::new() });
    let EvidenceError::Stray { position: 1, reason } = error(&anchors, size) else { panic!("trust anchors") };
    assert!(reason.contains("policy"), "{reason}");
    // Openings come in any order, and are kept in that of the fields.
    let item = items.iter().find(|item| item.openings.len() == 6).unwrap();
    let turned: Vec<_> = item.openings.iter().rev().cloned().collect();
    let again = crate::expenditure::Item::new(item.index, item.envelope.clone(), turned).unwrap();
    assert_eq!(again.openings, item.openings);
}

#[test]
fn the_latest_relation_profile_and_rate_count() {
    let mut world = World::new();
    let alpha = world.party("Alpha Limited", "HK", Some("87654321"));
    let beta = world.party("Beta Limited", "HK", None);
    let day = |text: &str| text.parse().unwrap();
    let relation = |until: Option<&str>| {
        Claim::Relation(RelationClaim {
            other: alpha.side(),
            relation: RelationKind::Controls,
            from: day("2026-01-01"),
            until: until.map(day),
        })
    };
    let operator = world.operator.clone();
    let rate = |rate: &str, date: &str| {
        Claim::FxRate(FxRateClaim {
            from: "HKD".parse().unwrap(),
            units: "100".to_owned(),
            to: "CNY".parse().unwrap(),
            rate: rate.to_owned(),
            source: "IRD".to_owned(),
            date: day(date),
        })
    };
    world.enter(&[&beta], relation(None)).unwrap();
    let open = Evidence::gather(alpha.id, world.size(), &world.items(alpha.id, world.size())).unwrap();
    world.enter(&[&beta], relation(Some("2026-07-01"))).unwrap();
    world.enter(&[&operator], rate("90.8419", "2026-03-31")).unwrap();
    world.enter(&[&alpha], rate("80", "2026-03-31")).unwrap();
    world.enter(&[&beta], rate("70", "2026-04-30")).unwrap();
    world.enter(&[&operator], rate("60", "2026-06-30")).unwrap();
    let paid = payment(Nature::Royalty, alpha.side(), beta.side(), "INV-1", "2026-05-02");
    let paid = world.pay(&[&alpha], paid, &sums("908419.00", "CNY")).unwrap();
    let evidence = Evidence::gather(alpha.id, world.size(), &world.items(alpha.id, world.size())).unwrap();
    for (on, before, after) in [
        ("2025-12-31", false, false),
        ("2026-01-01", true, true),
        ("2026-06-30", true, true),
        ("2026-07-01", true, false),
    ] {
        for (left, right) in [(&alpha, &beta), (&beta, &alpha)] {
            assert_eq!(open.are_associates(&left.side(), &right.side(), day(on)), before, "{on}");
            assert_eq!(evidence.are_associates(&left.side(), &right.side(), day(on)), after, "{on}");
        }
    }
    assert!(!evidence.are_associates(&alpha.side(), &outside("Beta Limited", "HK"), day("2026-01-01")));
    // HK$100 = RMB 90.8419: 908,419 × 100 ÷ 90.8419 = 1,000,000; the operator's, not the taxpayer's own of the same day, not
    // another party's, and none that came later.
    let report = report_at(&world, &Query::all(alpha.id), world.size());
    let shown = report.payments.iter().find(|payment| payment.entry == paid).unwrap();
    assert_eq!(shown.hkd.unwrap().to_string(), "1000000.00");
    assert_eq!(shown.rate.as_ref().unwrap().index, world.index_of(paid) - 4);
    assert_eq!(report.taxpayer.brn.as_deref(), Some("87654321"), "that of the party, without a profile");

    profile(&mut world, &alpha);
    let claim = TaxProfileClaim {
        from: "2028/29".parse().unwrap(),
        brn: None,
        file_number: None,
        entity: Entity::Unincorporated,
        year_end: "12-31".parse().unwrap(),
        trade: Trade::PartlyHk,
        hk_proportion: None,
        two_tier: true,
        commenced: None,
        ceased: None,
    };
    world.enter(&[&alpha], Claim::TaxProfile(claim)).unwrap();
    let asked = |years: &[&str]| {
        let years = years.iter().map(|year| year.parse().unwrap()).collect();
        let report = report_at(&world, &Query { years, ..Query::all(alpha.id) }, world.size());
        (report.taxpayer.year_end.to_string(), report.taxpayer.brn)
    };
    assert_eq!(asked(&["2026/27"]), ("03-31".to_owned(), Some("12345678".to_owned())));
    assert_eq!(asked(&["2026/27", "2028/29"]).0, "12-31");
    assert_eq!(asked(&[]).0, "12-31");
}

#[test]
fn an_endorsement_says_nothing_of_the_next_version() {
    let mut world = World::new();
    let alpha = world.party("Alpha Limited", "HK", None);
    let beta = world.party("Beta Limited", "HK", None);
    let stranger = world.party("Stranger", "HK", None);
    let claim = payment(Nature::Royalty, alpha.side(), beta.side(), "INV-1", "2026-05-02");
    let entry = world.pay(&[&beta], claim.clone(), &sums("100.00", "HKD")).unwrap();
    let attested = |world: &World| {
        let report = report_at(world, &Query::all(alpha.id), world.size());
        (report.payments[0].attested_by, report.payments[0].status)
    };
    assert_eq!(attested(&world), (AttestedBy::Payee, Status::Active));
    let endorse = |statement| Claim::Endorsement(EndorsementClaim { statement });
    world.enter(&[&stranger], endorse(entry)).unwrap();
    assert_eq!(attested(&world), (AttestedBy::Payee, Status::Active));
    world.enter(&[&alpha], endorse(entry)).unwrap();
    assert_eq!(attested(&world), (AttestedBy::Both, Status::Active));
    let new = Some((Replacement::Expenditure(Box::new(claim)), sums("90.00", "HKD")));
    let next = world.correct(&[&beta], (entry, entry), CorrectionReason::Amount, new).unwrap();
    assert_eq!(attested(&world), (AttestedBy::Payee, Status::Corrected));
    world.enter(&[&alpha], endorse(next)).unwrap();
    assert_eq!(attested(&world), (AttestedBy::Both, Status::Corrected));
    let bytes = bytes_at(&world, &Query::all(alpha.id), world.size());
    let verified = verify(&bytes, &world.trust()).unwrap();
    assert!(verified.parties().any(|party| Side::Party(*party) == beta.side()));
}
