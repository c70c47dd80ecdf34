//! Three companies, two currencies: a mark, an associate's copyright, a patent bought and sold, a corrected fee, a reversed
//! royalty, and a royalty abroad without withholding. The figures are worked out by hand in the comments.

use super::*;
use crate::artefact::IpType;
use crate::endorsement::EndorsementClaim;
use crate::expenditure::fixtures::{asset, outside, payment, sums};
use crate::expenditure::{CorrectionReason, ExpenditureClaim, FxRateClaim, Replacement};
use crate::tax::lines::FlagCode;

/// The world, whose report it is, and the ids of its payments: mark, copyright, patent, sale, royalty, fee, reversed.
pub(super) struct Scenario {
    pub(super) world: World,
    pub(super) alpha: Author,
    pub(super) gamma: Author,
    pub(super) mark: StatementId,
    pub(super) payments: [StatementId; 7],
}

pub(super) fn scenario() -> Scenario {
    let mut world = World::new();
    let alpha = world.party("Alpha Limited", "HK", Some("12345678"));
    let beta = world.party("Beta Limited", "HK", None);
    let gamma = world.party("Gamma Inc", "US", None);
    profile(&mut world, &alpha);
    associates(&mut world, &beta, &alpha);
    let rate = FxRateClaim {
        from: "USD".parse().unwrap(),
        units: "1".to_owned(),
        to: "HKD".parse().unwrap(),
        rate: "7.8".to_owned(),
        source: "IRD, closing rate, March 2026".to_owned(),
        date: "2026-03-31".parse().unwrap(),
    };
    let operator = world.operator.clone();
    world.enter(&[&operator], Claim::FxRate(rate)).unwrap();

    let mark = Claim::Asset(asset("ALPHA", IpType::RegisteredTradeMark, Some("300000001")));
    let mark = world.enter(&[&alpha], mark).unwrap();
    let copyright = world.enter(&[&alpha], Claim::Asset(asset("Code", IpType::Copyright, None))).unwrap();
    let patent = world.enter(&[&alpha], Claim::Asset(asset("Valve", IpType::PatentRight, Some("HK1234567")))).unwrap();
    let bought = |asset, from: &Author, document: &str, on: &str| ExpenditureClaim {
        asset: Some(asset),
        ..payment(Nature::Purchase, alpha.side(), from.side(), document, on)
    };
    let first = world.pay(&[&alpha], bought(mark, &gamma, "G-1", "2026-05-02"), &sums("1000000.00", "HKD")).unwrap();
    world.enter(&[&gamma], Claim::Endorsement(EndorsementClaim { statement: first })).unwrap();
    world.used(&alpha, use_of(mark, "2026/27", UsedBy::Owner), "0.8").unwrap();
    let associate =
        world.pay(&[&alpha, &beta], bought(copyright, &beta, "B-1", "2026-06-01"), &sums("500000.00", "HKD")).unwrap();
    let foreign =
        world.pay(&[&alpha, &gamma], bought(patent, &gamma, "G-2", "2026-04-10"), &sums("100000.00", "USD")).unwrap();
    let sale = ExpenditureClaim {
        asset: Some(patent),
        ..payment(Nature::Disposal, outside("Delta GmbH", "DE"), alpha.side(), "A-1", "2027-06-01")
    };
    let sale = world.pay(&[&alpha], sale, &sums("300000.00", "HKD")).unwrap();
    let royalty = ExpenditureClaim {
        ip_type: Some(IpType::Copyright),
        ..payment(Nature::Royalty, alpha.side(), gamma.side(), "G-3", "2026-09-30")
    };
    let royalty = world.pay(&[&alpha, &gamma], royalty, &sums("50000.00", "USD")).unwrap();
    let fee = ExpenditureClaim {
        asset: Some(mark),
        ..payment(Nature::Registration, alpha.side(), outside("Trade Marks Registry", "HK"), "R-1", "2026-07-01")
    };
    let registered = world.pay(&[&alpha], fee.clone(), &sums("20000.00", "HKD")).unwrap();
    let right = Some((Replacement::Expenditure(Box::new(fee)), sums("2000.00", "HKD")));
    world.correct(&[&alpha], (registered, registered), CorrectionReason::Amount, right).unwrap();
    let twice = ExpenditureClaim {
        ip_type: Some(IpType::Copyright),
        ..payment(Nature::Royalty, alpha.side(), gamma.side(), "G-3 copy", "2026-09-30")
    };
    let twice = world.pay(&[&alpha], twice, &sums("50000.00", "USD")).unwrap();
    world.correct(&[&alpha], (twice, twice), CorrectionReason::Duplicate, None).unwrap();
    let payments = [first, associate, foreign, sale, royalty, registered, twice];
    Scenario { world, alpha, gamma, mark, payments }
}

fn of_year(taxpayer: StatementId, years: &[&str]) -> Query {
    Query { years: years.iter().map(|year| year.parse().unwrap()).collect(), ..Query::all(taxpayer) }
}

#[test]
fn the_lines_are_those_worked_out_by_hand() {
    let Scenario { world, alpha, .. } = scenario();
    let report = report_at(&world, &of_year(alpha.id, &["2026/27", "2027/28"]), world.size());
    assert!(report.set_aside.is_empty(), "{:?}", report.set_aside);
    let mut found = figures(&report);
    found.sort();
    let mut expected = [
        // 1,000,000 ÷ 5 = 200,000; used at 80%: 160,000 (16EA, and 16EA(7) for part use).
        ("2026/27", "deduction", "16EA(3)", "160000.00"),
        // From an associate (16EC(2)): nothing.
        ("2026/27", "denied", "16EC(2)", "0.00"),
        // US$100,000 × 7.8 = 780,000, at once (16E).
        ("2026/27", "deduction", "16E(1)", "780000.00"),
        // US$50,000 × 7.8 = 390,000, deductible as incurred.
        ("2026/27", "deduction", "16(1)", "390000.00"),
        // 390,000 × 30% = 117,000; × 16.5% = 19,305; no treaty with the US, no reduction known of 2026/27.
        ("2026/27", "withholding", "15(1)(b), 21A", "19305.00"),
        // 20,000 corrected to 2,000: registration of a trade mark (16(1)(g)).
        ("2026/27", "deduction", "16(1)(g)", "2000.00"),
        // Not used in 2027/28: the slice is lost (16EA(6)).
        ("2027/28", "denied", "16EA(6)", "0.00"),
        // min(300,000, 780,000): a receipt in the year of the sale (16E(3)).
        ("2027/28", "receipt", "16E(3)", "300000.00"),
    ]
    .map(|(year, kind, section, amount)| (year.to_owned(), kind, section, amount.to_owned()))
    .to_vec();
    expected.sort();
    assert_eq!(found, expected);
    let years: Vec<(Option<&str>, [String; 3])> = report.breakdown.below[0]
        .below
        .iter()
        .map(|year| {
            let totals = year.totals;
            (year.key.as_deref(), [totals.deduction, totals.receipt, totals.withholding].map(|sum| sum.to_string()))
        })
        .collect();
    // 160,000 + 780,000 + 390,000 + 2,000 = 1,332,000.
    let sums = |sums: [&str; 3]| sums.map(str::to_owned);
    assert_eq!(
        years,
        [
            (Some("2026/27"), sums(["1332000.00", "0.00", "19305.00"])),
            (Some("2027/28"), sums(["0.00", "300000.00", "0.00"])),
        ]
    );
    assert!(report.breakdown.ties());
    let types: Vec<(String, &str, &str)> = report
        .ip_types
        .iter()
        .filter(|row| !row.deduction.is_zero())
        .map(|row| (row.year.to_string(), row.ip_type.as_str(), row.value.as_str()))
        .collect();
    let year = "2026/27".to_owned();
    assert_eq!(types, [(year.clone(), "patent_right", "780000"), (year, "registered_trade_mark", "160000")]);
    assert_eq!(report.ip_types.len(), 16, "eight types in each of two years");
    let mark = report.ip_types.iter().find(|row| row.ip_type == IpType::RegisteredTradeMark).unwrap();
    assert_eq!(mark.element, "ird_tc:ExpenditureOnRegisteredTrademarksTaxAdjustment");
}

#[test]
fn flags_point_at_the_entries_that_raise_them() {
    let Scenario { world, alpha, payments, .. } = scenario();
    let report = report_at(&world, &of_year(alpha.id, &["2026/27", "2027/28"]), world.size());
    let of = |code: FlagCode| {
        let flags = report.flags.iter().filter(|flag| flag.code == code);
        flags.flat_map(|flag| flag.entries.clone()).collect::<Vec<_>>()
    };
    let [_, associate, _, sale, royalty, registered, _] = payments.map(|id| world.index_of(id));
    assert_eq!(of(FlagCode::AssociateSeller), [associate]);
    assert_eq!(of(FlagCode::NoWithholding), [royalty]);
    // Nobody knows yet whether tax of that year is reduced.
    assert_eq!(of(FlagCode::NeedsReview), [royalty]);
    // Alone: the sale to somebody outside and the corrected fee, by the correction's own index.
    let mut unconfirmed = of(FlagCode::Unconfirmed);
    unconfirmed.sort_unstable();
    assert_eq!(unconfirmed, [sale, registered + 1]);
    assert_eq!(of(FlagCode::FxUnsourced), Vec::<u64>::new());
    let codes: Vec<&str> = report.flags.iter().map(|flag| flag.code.as_str()).collect();
    let expected = ["ASSOCIATE_SELLER", "NEEDS_REVIEW", "NO_WITHHOLDING", "UNCONFIRMED"];
    assert!(codes.iter().all(|code| expected.contains(code)), "{codes:?}");
}

#[test]
fn a_line_carries_what_an_officer_reads() {
    let Scenario { world, alpha, payments, mark, .. } = scenario();
    let report = report_at(&world, &of_year(alpha.id, &["2026/27"]), world.size());
    let slice = report.lines.iter().find(|line| line.section == "16EA(3)").unwrap();
    assert_eq!(slice.brn.as_deref(), Some("12345678"));
    let period = slice.basis_period.unwrap();
    assert_eq!((period.from.to_string(), period.to.to_string()), ("2026-04-01".to_owned(), "2027-03-31".to_owned()));
    let shown = slice.asset.as_ref().unwrap();
    assert_eq!(
        (shown.id, shown.title.display(), shown.registration_number.as_deref()),
        (mark, "ALPHA", Some("300000001"))
    );
    assert_eq!((slice.slice.unwrap().number, slice.slice.unwrap().of), (1, 5));
    assert_eq!(slice.use_fraction.unwrap().to_string(), "0.8");
    assert_eq!(slice.cumulative.unwrap().to_string(), "160000.00");
    assert_eq!(slice.unallowed.unwrap().to_string(), "840000.00");
    let paid = slice.payment.as_ref().unwrap();
    assert_eq!((paid.entry, paid.attested_by, paid.status), (payments[0], AttestedBy::Both, Status::Active));
    assert_eq!(paid.counterparty.residence.as_deref(), Some("US"));
    assert_eq!(paid.file, Some(Sha256Digest::of(b"G-1")));
    assert_eq!(slice.entries, [world.index_of(payments[0]), world.index_of(payments[0]) + 2]);

    let foreign = report.lines.iter().find(|line| line.section == "16E(1)").unwrap();
    let paid = foreign.payment.as_ref().unwrap();
    let rate = paid.rate.as_ref().unwrap();
    assert_eq!((paid.gross.as_deref(), paid.currency.as_deref()), (Some("100000.00"), Some("USD")));
    assert_eq!((paid.hkd.unwrap().to_string(), rate.rate.as_str()), ("780000.00".to_owned(), "7.8"));
    assert_eq!(rate.source.as_deref(), Some("IRD, closing rate, March 2026"));

    let withheld = report.lines.iter().find(|line| line.kind == Kind::Withholding).unwrap();
    let basis = withheld.withholding.as_ref().unwrap();
    assert_eq!((basis.head.as_str(), basis.deemed_rate.as_str()), ("15(1)(b)", "0.3"));
    assert_eq!((basis.treaty_cap.as_deref(), basis.withheld.as_deref()), (None, None));
    assert_eq!(basis.due.to_string(), "19305.00");

    let fee = report.lines.iter().find(|line| line.section == "16(1)(g)").unwrap();
    assert_eq!(fee.status, Status::Corrected);
    let pairs: Vec<_> = report
        .corrections
        .iter()
        .map(|pair| (pair.entry, pair.status, pair.amount_before.as_deref(), pair.amount_after.as_deref()))
        .collect();
    assert_eq!(
        pairs,
        [
            (payments[5], Status::Corrected, Some("20000.00"), Some("2000.00")),
            (payments[6], Status::Reversed, Some("50000.00"), None),
        ]
    );
    let reversed = report.payments.iter().find(|payment| payment.entry == payments[6]).unwrap();
    assert_eq!((reversed.status, reversed.hkd), (Status::Reversed, None));
}

#[test]
fn filters_choose_lines_and_change_no_figure() {
    let Scenario { world, alpha, gamma, payments, .. } = scenario();
    let all = of_year(alpha.id, &["2026/27"]);
    let whole = report_at(&world, &all, world.size());
    let sections = |query: Query| {
        let report = report_at(&world, &query, world.size());
        assert!(report.breakdown.ties());
        for line in &report.lines {
            let same = whole.lines.iter().find(|other| other.line == line.line).unwrap();
            assert_eq!((same.amount, &same.steps), (line.amount, &line.steps));
        }
        let mut sections: Vec<String> = report.lines.into_iter().map(|line| line.section).collect();
        sections.sort();
        sections.join(" ")
    };
    let alpha_side = alpha.side();
    for (query, expected) in [
        (Query { ip_type: Some(IpType::PatentRight), ..all.clone() }, "16E(1)"),
        (Query { nature: Some(Nature::Royalty), ..all.clone() }, "15(1)(b), 21A 16(1)"),
        (Query { associate: Some(true), ..all.clone() }, "16EC(2)"),
        (Query { payee: Some(gamma.side()), ..all.clone() }, "15(1)(b), 21A 16(1) 16E(1) 16EA(3)"),
        (Query { payer: Some(gamma.side()), ..all.clone() }, ""),
        (Query { payer: Some(alpha_side), nature: Some(Nature::Registration), ..all.clone() }, "16(1)(g)"),
        (Query { amount_min: Some("780000.01".to_owned()), ..all.clone() }, "16EA(3)"),
        (Query { amount_max: Some("2000.00".to_owned()), ..all.clone() }, "16(1)(g)"),
        (Query { place: Some("US".to_owned()), ..all.clone() }, "15(1)(b), 21A 16(1) 16E(1) 16EA(3)"),
        (Query { place: Some("DE".to_owned()), ..all.clone() }, ""),
        (Query { flag: Some(FlagCode::AssociateSeller), ..all.clone() }, "16EC(2)"),
        (Query { flag: Some(FlagCode::NoWithholding), ..all.clone() }, "15(1)(b), 21A 16(1)"),
        (Query { status: Some(Status::Corrected), ..all.clone() }, "16(1)(g)"),
        (of_year(alpha.id, &["2027/28"]), "16E(3) 16EA(6)"),
    ] {
        if query.years == all.years {
            assert_eq!(sections(query), expected);
        } else {
            let report = report_at(&world, &query, world.size());
            let mut found: Vec<&str> = report.lines.iter().map(|line| line.section.as_str()).collect();
            found.sort_unstable();
            assert_eq!(found.join(" "), expected);
        }
    }
    let reversed = report_at(&world, &Query { status: Some(Status::Reversed), ..all.clone() }, world.size());
    assert_eq!(reversed.payments.iter().map(|payment| payment.entry).collect::<Vec<_>>(), [payments[6]]);
    for (bad, pointer) in [
        (Query { years: vec!["2027/28".parse().unwrap(), "2026/27".parse().unwrap()], ..all.clone() }, "/years"),
        (Query { amount_min: Some("1e400".to_owned()), ..all.clone() }, "/amount_min"),
        (Query { place: Some("XX".to_owned()), ..all }, "/place"),
    ] {
        let items = world.items(alpha.id, world.size());
        let evidence = Evidence::gather(alpha.id, world.size(), &items).unwrap();
        match compute(&evidence, &bad, &HongKong, &rules()) {
            Err(ComputeError::Query(error)) => assert_eq!(error.pointer, pointer),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_other_sides_report_is_made_of_the_same_entries() {
    let Scenario { world, gamma, payments, .. } = scenario();
    let report = report_at(&world, &Query::all(gamma.id), world.size());
    assert!(report.lines.is_empty(), "income gives no line, and no asset of Gamma is named");
    let roles: Vec<_> = report.payments.iter().map(|payment| (payment.entry, payment.role)).collect();
    let shown = [payments[0], payments[2], payments[4], payments[6]].map(|id| (id, Role::Payee));
    assert_eq!(roles, shown);
    assert!(!report.taxpayer.has_profile);
}

#[test]
fn the_facts_are_a_document_of_the_engine() {
    let Scenario { world, alpha, .. } = scenario();
    let items = world.items(alpha.id, world.size());
    let evidence = Evidence::gather(alpha.id, world.size(), &items).unwrap();
    let facts = facts_document(&evidence, &of_year(alpha.id, &["2026/27"])).unwrap();
    let read = crate::tax::Facts::from_slice(facts.to_string().as_bytes()).unwrap();
    assert_eq!(read.events.len(), 7, "six payments that stand, and a use");
    for event in facts["events"].as_array().unwrap() {
        assert_eq!(event["id"].as_str().unwrap(), format!("{:010}", event["index"].as_u64().unwrap()));
    }
}
