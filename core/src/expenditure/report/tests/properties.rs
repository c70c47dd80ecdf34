//! What holds of every report.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::scenario::{Scenario, scenario};
use super::*;
use crate::artefact::IpType;
use crate::expenditure::fixtures::{Sums, asset, outside, payment, sums};
use crate::expenditure::report::document::{body, file, note_text};
use crate::expenditure::{CorrectionReason, Details, ExpenditureClaim, Replacement};
use crate::strict;

/// Replaces the `report` member and signs it as the registry would.
fn signed(world: &World, bytes: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(bytes).unwrap();
    change(&mut value["report"]);
    let digest = |name: &str| value["report"][name].as_str().unwrap().parse::<Sha256Digest>().unwrap();
    let size = value["report"]["checkpoint"]["size"].as_u64().unwrap_or_default();
    let mut head = world.head(world.size());
    head.size = size;
    head.root = value["report"]["checkpoint"]["root"].as_str().unwrap().parse().unwrap();
    let (rules, openings) = (digest("rules_digest"), digest("openings_digest"));
    let body = strict::value_to_canonical(&value["report"]).unwrap();
    let note = Note::sign(note_text(&head, rules, openings, &body), [&world.signer()]).unwrap().to_string();
    file(&body, &note).unwrap()
}

#[test]
fn a_report_verifies_offline_and_is_computed_to_the_same_bytes() {
    let Scenario { world, alpha, .. } = scenario();
    let query = Query::all(alpha.id);
    let bytes = bytes_at(&world, &query, world.size());
    assert_eq!(bytes, bytes_at(&world, &query, world.size()));
    let verified = verify(&bytes, &world.trust()).unwrap();
    assert_eq!(verified.report.lines.len(), report_at(&world, &query, world.size()).lines.len());
    let paths = world.paths(&verified.items, world.size());
    let again = body(&verified.report, &verified.head, &verified.items, &paths).unwrap();
    let whole: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(again, strict::value_to_canonical(&whole["report"]).unwrap());

    let code = |bytes: &[u8], trust: &crate::trust::TrustPolicy| verify(bytes, trust).unwrap_err().code();
    assert_eq!(code(&bytes, &crate::trust::TrustPolicy::default()), "no_trust");
    let mut strict = world.trust();
    strict.registries[0].allow_registry_asserted = false;
    assert_eq!(code(&bytes, &strict), "refused_by_policy");
    let mut other = world.trust();
    other.registries[0].genesis = Sha256Digest::of(b"other");
    assert_eq!(code(&bytes, &other), "proof_invalid");
    let mut other = world.trust();
    let key = ed25519_dalek::SigningKey::from_bytes(&[77; 32]);
    let signer = crate::ledger::note::NoteSigner::new("a.example/log", key).unwrap();
    other.registries[0].log_key = signer.verifier_key().to_string();
    assert_eq!(code(&bytes, &other), "report_not_signed");
}

/// A code, and what brings it about.
type Wrong<'a> = (&'a str, &'a dyn Fn(&mut Value));

#[test]
fn what_a_registry_would_sign_wrongly_is_found() {
    let Scenario { world, alpha, .. } = scenario();
    let bytes = bytes_at(&world, &Query::all(alpha.id), world.size());
    assert!(verify(&signed(&world, &bytes, |_| {}), &world.trust()).is_ok());
    let code = |change: &dyn Fn(&mut Value)| {
        verify(&signed(&world, &bytes, change), &world.trust()).map(|_| ()).map_err(|error| error.code())
    };
    let changes: [Wrong<'_>; 15] = [
        ("report_differs", &|report| report["lines"][0]["amount"] = json!("1.00")),
        ("report_differs", &|report| drop(report["lines"].as_array_mut().unwrap().pop())),
        ("report_differs", &|report| drop(report["flags"].as_array_mut().unwrap().pop())),
        ("report_differs", &|report| report["breakdown"]["totals"]["deduction"] = json!("0.00")),
        ("report_differs", &|report| report["corrections"] = json!([])),
        ("report_differs", &|report| report["added"] = json!(1)),
        ("report_differs", &|report| report["openings_digest"] = json!(Sha256Digest::of(b"x"))),
        ("report_differs", &|report| report["query"]["years"] = json!(["2026/27"])),
        ("rules_unknown", &|report| report["rules_digest"] = json!(Sha256Digest::of(b"x"))),
        ("proof_invalid", &|report| report["evidence"][3]["path"][0] = json!(Sha256Digest::of(b"x"))),
        ("proof_invalid", &|report| report["evidence"][3]["index"] = json!(0)),
        ("proof_invalid", &|report| drop(report["evidence"].as_array_mut().unwrap().remove(0))),
        ("proof_invalid", &|report| report["checkpoint"]["root"] = json!(Sha256Digest::of(b"x"))),
        ("malformed_report", &|report| report["checkpoint"]["size"] = json!("7")),
        ("malformed_report", &|report| report["query"]["years"] = json!(["2026/28"])),
    ];
    for (expected, change) in changes {
        let expected: Result<(), &str> = Err(expected);
        assert_eq!(code(change), expected);
    }
    // A value that was never committed to.
    let opened = code(&|report| {
        let items = report["evidence"].as_array_mut().unwrap();
        let item = items.iter_mut().find(|item| item.get("openings").is_some()).unwrap();
        item["openings"][0]["value"] = json!("9.99");
    });
    assert_eq!(opened, Err("commitment_mismatch"));
    // An opening that is left out is a figure set aside, and no longer this report.
    let left_out = code(&|report| {
        let items = report["evidence"].as_array_mut().unwrap();
        let item = items.iter_mut().find(|item| item.get("openings").is_some()).unwrap();
        drop(item.as_object_mut().unwrap().remove("openings"));
    });
    assert_eq!(left_out, Err("report_differs"));
}

#[test]
fn every_damaged_report_is_refused() {
    let Scenario { world, alpha, .. } = scenario();
    let bytes = bytes_at(&world, &Query::all(alpha.id), world.size());
    let trust = world.trust();
    let (mut tried, mut accepted) = (0, 0);
    let mut state = 42_u64;
    let mut random = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((state >> 33) % u64::try_from(bound).unwrap()).unwrap()
    };
    while tried < 1_200 {
        let mut other = bytes.clone();
        let position = random(other.len());
        match random(5) {
            0 => other[position] ^= 1 << random(8),
            1 => drop(other.remove(position)),
            2 => other.insert(position, b"0a \"}"[random(5)]),
            3 => other.truncate(position),
            _ => {
                let length = random(40).min(other.len() - position);
                let piece = other[position..position + length].to_vec();
                let at = random(other.len());
                other.splice(at..at, piece);
            }
        }
        if other == bytes {
            continue;
        }
        tried += 1;
        accepted += u32::from(verify(&other, &trust).is_ok());
    }
    assert_eq!((tried, accepted), (1_200, 0));
}

#[test]
fn entries_after_a_size_never_change_a_report_at_it() {
    let Scenario { mut world, alpha, gamma, mark, payments } = scenario();
    let query = Query::all(alpha.id);
    let before: Vec<Vec<u8>> = (3..=world.size()).map(|size| bytes_at(&world, &query, size)).collect();
    // Corrections, endorsements and uses of everything there is, and strangers.
    let fee = ExpenditureClaim {
        asset: Some(mark),
        ..payment(Nature::Registration, alpha.side(), outside("Trade Marks Registry", "HK"), "R-2", "2026-07-01")
    };
    world.pay(&[&alpha], fee, &sums("1.00", "HKD")).unwrap();
    world.used(&alpha, use_of(mark, "2027/28", UsedBy::Owner), "1").unwrap();
    world.correct(&[&alpha], (payments[0], payments[0]), CorrectionReason::NotIncurred, None).unwrap();
    associates(&mut world, &gamma, &alpha);
    for number in 0..20 {
        world.party(&format!("Stranger {number}"), "SG", None);
    }
    for (size, expected) in (3..).zip(before) {
        assert_eq!(bytes_at(&world, &query, size), expected, "at {size}");
    }
    assert_ne!(bytes_at(&world, &query, world.size()), bytes_at(&world, &query, world.size() - 21));
}

/// A payment as random worlds have them.
#[derive(Debug, Clone)]
struct Random {
    nature: Nature,
    cents: Vec<u64>,
    day: u32,
    share: u32,
    used: Vec<u32>,
}

fn randoms() -> impl Strategy<Value = Vec<Random>> {
    let nature = prop::sample::select(vec![
        Nature::Purchase,
        Nature::Royalty,
        Nature::Registration,
        Nature::RndTypeA,
        Nature::UpfrontFee,
    ]);
    let one = (
        nature,
        prop::collection::vec(0_u64..1_000_000_000, 1..4),
        1_u32..28,
        1_u32..=100_000_000,
        prop::collection::vec(0_u32..=100_000_000, 0..3),
    );
    let one = one.prop_map(|(nature, cents, day, share, used)| Random { nature, cents, day, share, used });
    prop::collection::vec(one, 1..5)
}

fn cents(cents: u64) -> Sums {
    sums(&format!("{}.{:02}", cents / 100, cents % 100), "HKD")
}

/// The world in which each payment was corrected up to its last amount, or entered with it at once.
fn world_of(randoms: &[Random], is_corrected: bool) -> (World, Author) {
    let mut world = World::new();
    let alpha = world.party("Alpha Limited", "HK", None);
    let gamma = world.party("Gamma Inc", "US", None);
    for (number, random) in randoms.iter().enumerate() {
        let types = [IpType::RegisteredTradeMark, IpType::Copyright, IpType::PatentRight];
        let claim = asset("Right", types[number % 3], Some(&format!("{number}")));
        let right = world.enter(&[&alpha], Claim::Asset(claim)).unwrap();
        let has_asset = !matches!(random.nature, Nature::Royalty);
        let details = match random.nature {
            Nature::Purchase => {
                Details { share: crate::money::Fraction::from_parts(random.share), ..Details::default() }
            }
            _ => Details::default(),
        };
        let claim = ExpenditureClaim {
            asset: has_asset.then_some(right),
            details,
            ..payment(
                random.nature,
                alpha.side(),
                gamma.side(),
                &format!("D-{number}"),
                &format!("2026-05-{:02}", random.day),
            )
        };
        let (first, rest) = random.cents.split_first().unwrap();
        let last = rest.last().unwrap_or(first);
        if is_corrected {
            let entry = world.pay(&[&alpha], claim.clone(), &cents(*first)).unwrap();
            let mut prev = entry;
            for amount in rest {
                let new = Some((Replacement::Expenditure(Box::new(claim.clone())), cents(*amount)));
                prev = world.correct(&[&alpha], (entry, prev), CorrectionReason::Amount, new).unwrap();
            }
        } else {
            world.pay(&[&alpha], claim, &cents(*last)).unwrap();
        }
        for (year, fraction) in ["2026/27", "2027/28"].into_iter().zip(&random.used) {
            let fraction = crate::money::Fraction::from_parts(*fraction).unwrap().to_string();
            world.used(&alpha, use_of(right, year, UsedBy::Owner), &fraction).unwrap();
        }
    }
    (world, alpha)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn corrections_net_to_the_replaced_value_and_sums_tie(randoms in randoms()) {
        let reports = [true, false].map(|is_corrected| {
            let (world, alpha) = world_of(&randoms, is_corrected);
            let report = report_at(&world, &Query::all(alpha.id), world.size());
            (report, world, alpha)
        });
        // Assets have other ids in each world, so the order of lines is of no meaning.
        let [corrected, direct] = [&reports[0].0, &reports[1].0].map(|report| {
            let mut figures = figures(report);
            figures.sort();
            figures
        });
        prop_assert_eq!(corrected, direct);
        for (report, world, alpha) in &reports {
            prop_assert!(report.breakdown.ties());
            prop_assert_eq!(&report.set_aside, &Vec::new());
            let mut sum = Totals::default();
            for line in &report.lines {
                sum.add(line.kind, line.amount).unwrap();
            }
            prop_assert_eq!(sum, report.breakdown.totals);
            let mut summary = Summary::default();
            summary.add(report).unwrap();
            let cells = summary.cells().try_fold(Totals::default(), |sum, (_, totals)| sum.plus(*totals));
            prop_assert_eq!(cells, Ok(sum));
            let corrections = randoms.iter().map(|random| random.cents.len() - 1).sum::<usize>();
            let is_corrected = world.entries.iter().any(|(entry, _)| matches!(entry.statement.claim, Claim::Correction(CorrectionClaim { .. })));
            prop_assert_eq!(report.corrections.len(), if is_corrected { corrections } else { 0 });
            let bytes = bytes_at(world, &Query::all(alpha.id), world.size());
            prop_assert!(verify(&bytes, &world.trust()).is_ok());
        }
    }
}

#[test]
fn summaries_are_the_sums_of_reports() {
    let Scenario { world, alpha, gamma, .. } = scenario();
    let reports = [&alpha, &gamma].map(|party| report_at(&world, &Query::all(party.id), world.size()));
    let mut whole = Summary::default();
    let mut parts = Summary::default();
    for report in &reports {
        whole.add(report).unwrap();
        let mut part = Summary::default();
        part.add(report).unwrap();
        parts.merge(&part).unwrap();
    }
    assert_eq!(whole, parts);
    let mut put = Summary::default();
    for (cell, totals) in whole.cells() {
        put.put(cell.clone(), *totals).unwrap();
    }
    assert_eq!(whole, put);
    let cell = whole.cells().find(|(cell, _)| cell.section == "16E(1)").unwrap();
    assert_eq!((cell.0.year.to_string(), cell.1.deduction.to_string()), ("2026/27".to_owned(), "780000.00".to_owned()));
}

#[test]
fn what_cannot_be_taken_in_is_set_aside_by_name() {
    let mut world = World::new();
    let alpha = world.party("Alpha Limited", "HK", None);
    let right = world.enter(&[&alpha], Claim::Asset(asset("Right", IpType::PatentRight, None))).unwrap();
    let abroad = outside("Delta GmbH", "DE");
    // Euros without a rate; a sale of what was never bought; a credit of too much; figures that were not opened.
    let royalty = |document: &str| payment(Nature::Royalty, alpha.side(), abroad.clone(), document, "2026-05-02");
    let euros = world.pay(&[&alpha], royalty("E-1"), &sums("100.00", "EUR")).unwrap();
    let sale = ExpenditureClaim {
        asset: Some(right),
        ..payment(Nature::Disposal, abroad.clone(), alpha.side(), "S-1", "2026-05-03")
    };
    let sale = world.pay(&[&alpha], sale, &sums("100.00", "HKD")).unwrap();
    let paid = world.pay(&[&alpha], royalty("H-1"), &sums("100.00", "HKD")).unwrap();
    let credit = |document: &str, amount: &str, world: &mut World| {
        let claim = ExpenditureClaim {
            credits: Some(paid),
            ..payment(Nature::CreditNote, alpha.side(), abroad.clone(), document, "2026-06-02")
        };
        world.pay(&[&alpha], claim, &sums(amount, "HKD")).unwrap()
    };
    credit("C-1", "30.00", &mut world);
    let too_much = credit("C-2", "70.01", &mut world);
    let closed = world.pay(&[&alpha], royalty("H-2"), &sums("100.00", "HKD")).unwrap();
    let at = usize::try_from(world.index_of(closed)).unwrap();
    world.entries[at].1.clear();
    let own = Sums { fx_rate: Some("8.5".to_owned()), ..sums("10.00", "EUR") };
    let stated = world.pay(&[&alpha], royalty("E-2"), &own).unwrap();

    let report = report_at(&world, &Query::all(alpha.id), world.size());
    let found: Vec<_> = report.set_aside.iter().map(|aside| (aside.index, format!("{:?}", aside.code))).collect();
    let mut expected = [
        (world.index_of(euros), "RateMissing".to_owned()),
        (world.index_of(sale), "Conflict".to_owned()),
        (world.index_of(too_much), "CreditMismatch".to_owned()),
        (world.index_of(closed), "NotOpened".to_owned()),
    ];
    expected.sort();
    assert_eq!(found, expected);
    let missing = &report.set_aside.iter().find(|aside| aside.index == world.index_of(euros)).unwrap().reason;
    assert!(missing.contains("EUR") && missing.contains("2026-05-02"), "{missing}");
    // What is left is computed: 100.00 less the credit of 30.00, and 10 euros at the payment's own rate, which has no source.
    let deducted: Vec<String> =
        report.lines.iter().filter(|line| line.kind == Kind::Deduction).map(|line| line.amount.to_string()).collect();
    assert_eq!(deducted, ["70.00", "85.00"]);
    let unsourced = report.flags.iter().find(|flag| flag.code == crate::tax::lines::FlagCode::FxUnsourced).unwrap();
    assert_eq!(unsourced.entries, [world.index_of(stated)]);
    let shown = report.payments.iter().find(|payment| payment.entry == paid).unwrap();
    assert_eq!((shown.credited.as_deref(), shown.hkd.unwrap().to_string()), (Some("30.00"), "70.00".to_owned()));
    let bytes = bytes_at(&world, &Query::all(alpha.id), world.size());
    assert!(verify(&bytes, &world.trust()).is_ok());
}

#[test]
fn a_purchase_that_both_attest_is_the_sellers_disposal() {
    for is_confirmed in [true, false] {
        let mut world = World::new();
        let alpha = world.party("Alpha Limited", "HK", None);
        let beta = world.party("Beta Limited", "HK", None);
        let right = |number| Claim::Asset(asset("Valve", IpType::PatentRight, Some(number)));
        let (sold, bought) = (world.enter(&[&alpha], right("1")).unwrap(), world.enter(&[&beta], right("1")).unwrap());
        let first = ExpenditureClaim {
            asset: Some(sold),
            ..payment(Nature::Purchase, alpha.side(), outside("Delta GmbH", "DE"), "D-1", "2026-05-02")
        };
        world.pay(&[&alpha], first, &sums("500.00", "HKD")).unwrap();
        let second = ExpenditureClaim {
            asset: Some(bought),
            counter_asset: Some(sold),
            ..payment(Nature::Purchase, beta.side(), alpha.side(), "A-1", "2027-05-02")
        };
        let authors: &[&Author] = if is_confirmed { &[&beta, &alpha] } else { &[&beta] };
        let second = world.pay(authors, second, &sums("200.00", "HKD")).unwrap();
        let report = report_at(&world, &Query::all(alpha.id), world.size());
        let receipts: Vec<String> =
            report.lines.iter().filter(|line| line.kind == Kind::Receipt).map(|line| line.amount.to_string()).collect();
        let silent = crate::tax::lines::FlagCode::DisposalWithoutClawback;
        let flagged: Vec<u64> =
            report.flags.iter().filter(|flag| flag.code == silent).flat_map(|flag| flag.entries.clone()).collect();
        if is_confirmed {
            assert_eq!((receipts, flagged), (vec!["200.00".to_owned()], vec![]));
        } else {
            assert_eq!((receipts, flagged), (vec![], vec![world.index_of(second)]));
        }
    }
}
