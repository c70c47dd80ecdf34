//! Whoever holds the log's key can enter what anybody signs; a report on it is refused by everybody else.

use super::scenario::{Scenario, scenario};
use super::*;
use crate::expenditure::fixtures::{payment, sums};
use crate::expenditure::{CorrectionReason, ExpenditureClaim, Replacement};

/// What verifying a report on Alpha says of a log with one entry more than admission would let in.
fn verdict(enter: impl FnOnce(&mut Scenario, &Author)) -> Result<(), String> {
    let mut scenario = scenario();
    let mallory = scenario.world.party("Mallory", "HK", None);
    scenario.world.judges = false;
    enter(&mut scenario, &mallory);
    let Scenario { world, alpha, .. } = scenario;
    let items = world.items(alpha.id, world.size());
    let Ok(evidence) = Evidence::gather(alpha.id, world.size(), &items) else { return Err("no evidence".to_owned()) };
    let report = compute(&evidence, &Query::all(alpha.id), &HongKong, &rules()).unwrap();
    let paths = world.paths(&items, world.size());
    let bytes = document(&report, &world.head(world.size()), &items, &paths, &world.signer()).unwrap();
    verify(&bytes, &world.trust()).map(|_| ()).map_err(|error| error.code().to_owned())
}

fn royalty(scenario: &Scenario, document: &str) -> ExpenditureClaim {
    let (payer, payee) = (scenario.alpha.side(), scenario.gamma.side());
    ExpenditureClaim {
        ip_type: Some(IpType::Copyright),
        ..payment(Nature::Royalty, payer, payee, document, "2026-09-30")
    }
}

fn instead(claim: ExpenditureClaim) -> (Replacement, fixtures::Sums) {
    (Replacement::Expenditure(Box::new(claim)), sums("5000000.00", "HKD"))
}

#[test]
fn what_a_stranger_says_of_others_proves_nothing() {
    let refused = Err("proof_invalid".to_owned());
    assert_eq!(verdict(|_, _| {}), Ok(()), "the same without it");
    let used = verdict(|scenario, mallory| {
        let claim = use_of(scenario.mark, "2027/28", UsedBy::Owner);
        scenario.world.used(mallory, claim, "1").unwrap();
    });
    assert_eq!(used, refused, "a use of somebody else's asset");
    let reversed = verdict(|scenario, mallory| {
        let first = scenario.payments[0];
        scenario.world.correct(&[mallory], (first, first), CorrectionReason::NotIncurred, None).unwrap();
    });
    assert_eq!(reversed, refused, "a reversal of somebody else's payment");
    // The royalty was signed by both: neither corrects it alone.
    let alone = verdict(|scenario, _| {
        let (royalty, alpha) = (scenario.payments[4], scenario.alpha.clone());
        scenario.world.correct(&[&alpha], (royalty, royalty), CorrectionReason::NotIncurred, None).unwrap();
    });
    assert_eq!(alone, refused, "a reversal by one of two");
    let differs = verdict(|scenario, _| {
        let (fee, alpha) = (scenario.payments[0], scenario.alpha.clone());
        let claim = royalty(scenario, "another document");
        scenario.world.correct(&[&alpha], (fee, fee), CorrectionReason::Reference, Some(instead(claim))).unwrap();
    });
    assert_eq!(differs, refused, "another payment in the place of one");
    let asset = verdict(|scenario, mallory| {
        let mark = scenario.mark;
        scenario.world.correct(&[mallory], (mark, mark), CorrectionReason::NotIncurred, None).unwrap();
    });
    assert_eq!(asset, refused, "a reversal of somebody else's asset");
}

/// These are not even computed: nobody could say by whom such a payment is attested.
#[test]
fn a_payment_that_neither_side_signs_is_no_evidence() {
    let refused = Err("no evidence".to_owned());
    let paid = verdict(|scenario, mallory| {
        let claim = royalty(scenario, "M-1");
        scenario.world.pay(&[mallory], claim, &sums("5000000.00", "HKD")).unwrap();
    });
    assert_eq!(paid, refused);
    let corrected = verdict(|scenario, mallory| {
        let (entry, claim) = (scenario.payments[4], royalty(scenario, "G-3"));
        scenario.world.correct(&[mallory], (entry, entry), CorrectionReason::Amount, Some(instead(claim))).unwrap();
    });
    assert_eq!(corrected, refused);
}

/// Who computes on another machine than the verifier is not bound by what its own program refuses.
#[test]
fn the_verifier_judges_before_it_computes() {
    let Scenario { mut world, alpha, gamma, .. } = scenario();
    let bytes = bytes_at(&world, &Query::all(alpha.id), world.size());
    let mallory = world.party("Mallory", "HK", None);
    world.judges = false;
    let claim = payment(Nature::Royalty, alpha.side(), gamma.side(), "M-1", "2026-09-30");
    world.pay(&[&mallory], claim, &sums("5000000.00", "HKD")).unwrap();
    let size = world.size();
    let items = world.items(alpha.id, size);
    let paths = world.paths(&items, size);
    let honest = verify(&bytes, &world.trust()).unwrap();
    let report = Report { size, ..honest.report };
    let bytes = document(&report, &world.head(size), &items, &paths, &world.signer()).unwrap();
    let error = verify(&bytes, &world.trust()).unwrap_err();
    assert_eq!(error.code(), "proof_invalid", "{error}");
    assert!(error.to_string().contains("payer or payee"), "{error}");
}
