//! Admission: what each kind says, and what it may not.

use super::fixtures::{Author, Sums, World, asset, outside, payment, profile, sums};
use super::*;
use crate::admission::{Code, EvidenceKind, Rejection};
use crate::artefact::IpType;
use crate::endorsement::EndorsementClaim;
use crate::kind::Claim;
use crate::statement::StatementId;
use crate::tax::facts::UsedBy;

fn refused(result: Result<StatementId, Rejection>, code: Code, pointer: &str) {
    let rejection = result.expect_err(&format!("{code:?} at {pointer}"));
    assert_eq!((rejection.code, rejection.pointer.as_str()), (code, pointer), "{rejection}");
}

struct Three {
    world: World,
    alpha: Author,
    beta: Author,
    gamma: Author,
}

fn three() -> Three {
    let mut world = World::new();
    let alpha = world.party("Alpha Limited", "HK", Some("12345678"));
    let beta = world.party("Beta Limited", "HK", None);
    let gamma = world.party("Gamma Inc", "US", None);
    Three { world, alpha, beta, gamma }
}

fn nobody() -> StatementId {
    StatementId::of(b"nobody")
}

#[test]
fn payments_name_what_is_there_and_are_said_once() {
    let Three { mut world, alpha, beta, gamma } = three();
    let hkd = sums("100.00", "HKD");
    let mark = Claim::Asset(asset("Mark", IpType::RegisteredTradeMark, Some("1")));
    let own = world.enter(&[&alpha], mark.clone()).unwrap();
    let others = world.enter(&[&beta], mark).unwrap();
    let royalty = |document: &str| payment(Nature::Royalty, alpha.side(), beta.side(), document, "2026-05-02");
    let first = world.pay(&[&alpha], royalty("INV-1"), &hkd).unwrap();
    // Under the same document nothing is paid twice, whoever says it.
    let again = world.pay(&[&beta], royalty("INV-1"), &hkd);
    assert_eq!(again.as_ref().unwrap_err().existing, Some(first));
    refused(again, Code::AlreadyRegistered, "/predicate/claim/document");
    world.pay(&[&alpha], payment(Nature::Royalty, beta.side(), alpha.side(), "INV-1", "2026-05-02"), &hkd).unwrap();

    refused(world.pay(&[&gamma], royalty("INV-2"), &hkd), Code::NotAuthorised, "/predicate/issuer");
    let unknown = payment(Nature::Royalty, alpha.side(), Side::Party(nobody()), "INV-2", "2026-05-02");
    refused(world.pay(&[&alpha], unknown, &hkd), Code::UnknownParty, "/predicate/claim/payee");
    let purchase = |asset| ExpenditureClaim {
        asset,
        ..payment(Nature::Purchase, alpha.side(), outside("Delta GmbH", "DE"), "INV-3", "2026-05-02")
    };
    refused(world.pay(&[&alpha], purchase(Some(nobody())), &hkd), Code::UnknownAsset, "/predicate/claim/asset");
    refused(world.pay(&[&alpha], purchase(Some(others)), &hkd), Code::NotAuthorised, "/predicate/claim/asset");
    refused(world.pay(&[&alpha], purchase(Some(first)), &hkd), Code::UnknownAsset, "/predicate/claim/asset");
    refused(world.pay(&[&alpha], purchase(None), &hkd), Code::InvalidStatement, "/predicate/claim/asset");
    world.pay(&[&alpha], purchase(Some(own)), &hkd).unwrap();
    let strange = ExpenditureClaim { licence: Some(nobody()), ..royalty("INV-4") };
    refused(world.pay(&[&alpha], strange, &hkd), Code::UnknownLicence, "/predicate/claim/licence");
    let strange = ExpenditureClaim { artefact: Some(nobody()), ..royalty("INV-4") };
    refused(world.pay(&[&alpha], strange, &hkd), Code::UnknownArtefact, "/predicate/claim/artefact");
    let credit = |credits| ExpenditureClaim {
        credits,
        ..payment(Nature::CreditNote, alpha.side(), beta.side(), "CN-1", "2026-06-02")
    };
    refused(world.pay(&[&alpha], credit(None), &hkd), Code::InvalidStatement, "/predicate/claim/credits");
    refused(world.pay(&[&alpha], credit(Some(own)), &hkd), Code::UnknownStatement, "/predicate/claim/credits");
    let elsewhere = payment(Nature::Royalty, alpha.side(), gamma.side(), "INV-9", "2026-05-02");
    let elsewhere = world.pay(&[&alpha], elsewhere, &hkd).unwrap();
    refused(world.pay(&[&alpha], credit(Some(elsewhere)), &hkd), Code::NotAuthorised, "/predicate/claim/credits");
    world.pay(&[&alpha], credit(Some(first)), &hkd).unwrap();
}

#[test]
fn what_a_payment_says_fits_its_nature() {
    let Three { mut world, alpha, beta, .. } = three();
    let hkd = sums("100.00", "HKD");
    let royalty = payment(Nature::Royalty, alpha.side(), beta.side(), "INV-1", "2026-05-02");
    let fee = payment(Nature::UpfrontFee, alpha.side(), beta.side(), "INV-1", "2026-05-02");
    let credit = ExpenditureClaim { nature: Nature::CreditNote, credits: Some(nobody()), ..royalty.clone() };
    let mut with_share = royalty.clone();
    with_share.details.share = Some(crate::money::Fraction::ONE);
    let mut with_cap = royalty.clone();
    with_cap.details.treaty_cap = Some("much".to_owned());
    let mut no_term = ExpenditureClaim { ip_type: Some(IpType::Copyright), ..fee.clone() };
    no_term.details.term_years = Some(0);
    let mut undesignated = ExpenditureClaim { nature: Nature::RndTypeB, ..royalty.clone() };
    undesignated.details.performed_by = Some(crate::tax::facts::PerformedBy::RdInstitution);
    for (claim, pointer) in [
        (undesignated, "details/performed_by"),
        (ExpenditureClaim { payee: alpha.side(), ..royalty.clone() }, "payee"),
        (ExpenditureClaim { document: "a\u{202e}b".to_owned(), ..royalty.clone() }, "document"),
        (ExpenditureClaim { payee: outside(" ", "US"), ..royalty.clone() }, "payee/outside/name"),
        (ExpenditureClaim { credits: Some(nobody()), ..royalty.clone() }, "credits"),
        (ExpenditureClaim { counter_asset: Some(nobody()), ..royalty.clone() }, "counter_asset"),
        (fee, "ip_type"),
        (ExpenditureClaim { ip_type: Some(IpType::Copyright), ..credit.clone() }, "ip_type"),
        (ExpenditureClaim { asset: Some(nobody()), ..credit }, "asset"),
        (with_share, "details/share"),
        (with_cap, "details/treaty_cap"),
        (no_term, "details/term_years"),
    ] {
        refused(world.pay(&[&alpha], claim, &hkd), Code::InvalidStatement, &format!("/predicate/claim/{pointer}"));
    }
    let none = Sums::default();
    for sums in [
        sums("100", "HKD"),
        sums("-1.00", "HKD"),
        sums("1e400", "HKD"),
        sums("NaN", "HKD"),
        sums("100.00", "JPY"),
        sums("100.00", "XXX"),
        sums("1234567890123456789.00", "HKD"),
        Sums { amount: None, ..hkd.clone() },
        Sums { currency: None, ..hkd.clone() },
        Sums { withheld: Some("100.01".to_owned()), ..hkd.clone() },
        Sums { fees: Some("1.00".to_owned()), ..hkd.clone() },
        Sums { met_by_others: Some("1.00".to_owned()), ..hkd.clone() },
        Sums { fx_rate: Some("7.8".to_owned()), ..hkd.clone() },
        Sums { fx_rate: Some("0".to_owned()), ..super::fixtures::sums("1.00", "USD") },
        Sums { fx_rate: Some("7.800000001".to_owned()), ..super::fixtures::sums("1.00", "USD") },
        none,
    ] {
        let rejection = world.pay(&[&alpha], royalty.clone(), &sums).expect_err(&format!("{sums:?}"));
        assert_eq!((rejection.code, &*rejection.pointer), (Code::InvalidStatement, "/openings/fields"), "{sums:?}");
    }
    world.pay(&[&alpha], royalty, &Sums { withheld: Some("100.00".to_owned()), ..hkd }).unwrap();
}

#[test]
fn the_owner_says_how_a_right_was_used_and_once() {
    let Three { mut world, alpha, beta, .. } = three();
    let mark = world.enter(&[&alpha], Claim::Asset(asset("Mark", IpType::RegisteredTradeMark, None))).unwrap();
    let used = |asset, by| UseClaim {
        asset,
        year: "2026/27".parse().unwrap(),
        by,
        taxed_in_hk: None,
        sealed: SealedUse { fraction: Commitment::from_bytes([0; 32]) },
    };
    refused(world.used(&alpha, used(nobody(), UsedBy::Owner), "1"), Code::UnknownAsset, "/predicate/claim/asset");
    refused(world.used(&beta, used(mark, UsedBy::Owner), "1"), Code::NotAuthorised, "/predicate/issuer");
    for bad in ["1.1", "-0.5", "50%", ""] {
        refused(world.used(&alpha, used(mark, UsedBy::Owner), bad), Code::InvalidStatement, "/openings/fields");
    }
    let taxed = UseClaim { taxed_in_hk: Some(true), ..used(mark, UsedBy::Owner) };
    refused(world.used(&alpha, taxed, "1"), Code::InvalidStatement, "/predicate/claim/taxed_in_hk");
    let first = world.used(&alpha, used(mark, UsedBy::Owner), "0.5").unwrap();
    world.used(&alpha, used(mark, UsedBy::LicenseeAbroad), "0.5").unwrap();
    let again = world.used(&alpha, used(mark, UsedBy::Owner), "0.6");
    assert_eq!(again.as_ref().unwrap_err().existing, Some(first));
    refused(again, Code::AlreadyRegistered, "/predicate/claim/year");
}

#[test]
fn assets_relations_profiles_and_rates_are_checked() {
    let Three { mut world, alpha, .. } = three();
    let good = asset("Mark", IpType::RegisteredTradeMark, Some("1"));
    let day = |text: &str| Some(text.parse().unwrap());
    let (registered_on, protection_ends) = (day("2026-01-02"), day("2026-01-01"));
    for (claim, code, pointer) in [
        (AssetClaim { title: crate::text::Names::default(), ..good.clone() }, Code::InvalidStatement, "title"),
        (AssetClaim { software: Some(true), ..good.clone() }, Code::InvalidStatement, "software"),
        (AssetClaim { registered_on, protection_ends, ..good.clone() }, Code::InvalidStatement, "protection_ends"),
        (AssetClaim { artefacts: vec![nobody()], ..good.clone() }, Code::UnknownArtefact, "artefacts/0"),
        (AssetClaim { artefacts: vec![nobody(); 2], ..good.clone() }, Code::InvalidStatement, "artefacts"),
        (
            AssetClaim {
                title_left: Some(TitleLeft { on: "2026-01-01".parse().unwrap(), to: Side::Party(nobody()) }),
                ..good.clone()
            },
            Code::UnknownParty,
            "title_left/to",
        ),
    ] {
        refused(world.enter(&[&alpha], Claim::Asset(claim)), code, &format!("/predicate/claim/{pointer}"));
    }
    let relation = |other, until| {
        let from = "2026-01-01".parse().unwrap();
        Claim::Relation(RelationClaim { other, relation: RelationKind::Controls, from, until })
    };
    for (claim, code, pointer) in [
        (relation(alpha.side(), None), Code::NotAuthorised, "other"),
        (relation(Side::Party(nobody()), None), Code::UnknownParty, "other"),
        (relation(outside("Delta", "DE"), day("2025-12-31")), Code::InvalidStatement, "until"),
    ] {
        refused(world.enter(&[&alpha], claim), code, &format!("/predicate/claim/{pointer}"));
    }
    world.enter(&[&alpha], relation(outside("Delta", "DE"), None)).unwrap();
    let profile = profile("2026/27");
    for (claim, pointer) in [
        (TaxProfileClaim { brn: Some("1234567".to_owned()), ..profile.clone() }, "brn"),
        (TaxProfileClaim { file_number: Some("2/12345678".to_owned()), ..profile.clone() }, "file_number"),
        (TaxProfileClaim { hk_proportion: Some(crate::money::Fraction::ONE), ..profile.clone() }, "hk_proportion"),
        (TaxProfileClaim { commenced: registered_on, ceased: protection_ends, ..profile.clone() }, "ceased"),
    ] {
        let pointer = format!("/predicate/claim/{pointer}");
        refused(world.enter(&[&alpha], Claim::TaxProfile(claim)), Code::InvalidStatement, &pointer);
    }
    world.enter(&[&alpha], Claim::TaxProfile(profile)).unwrap();
    let rate = FxRateClaim {
        from: "USD".parse().unwrap(),
        units: "1".to_owned(),
        to: "HKD".parse().unwrap(),
        rate: "7.8269".to_owned(),
        source: "IRD".to_owned(),
        date: "2026-03-31".parse().unwrap(),
    };
    for (claim, pointer) in [
        (FxRateClaim { to: "CNY".parse().unwrap(), ..rate.clone() }, "to"),
        (FxRateClaim { from: "HKD".parse().unwrap(), ..rate.clone() }, "to"),
        (FxRateClaim { rate: "0".to_owned(), ..rate.clone() }, "rate"),
        (FxRateClaim { units: "1e2".to_owned(), ..rate.clone() }, "units"),
        (FxRateClaim { source: String::new(), ..rate.clone() }, "source"),
    ] {
        let pointer = format!("/predicate/claim/{pointer}");
        refused(world.enter(&[&alpha], Claim::FxRate(claim)), Code::InvalidStatement, &pointer);
    }
    world.enter(&[&alpha], Claim::FxRate(rate)).unwrap();
}

#[test]
fn corrections_form_a_chain_of_the_original_signers() {
    let Three { mut world, alpha, beta, gamma } = three();
    let hkd = sums("100.00", "HKD");
    let claim = payment(Nature::Royalty, alpha.side(), beta.side(), "INV-1", "2026-05-02");
    let entry = world.pay(&[&alpha, &beta], claim.clone(), &hkd).unwrap();
    let both = [&alpha, &beta];
    let reason = CorrectionReason::Amount;
    let put = |claim: ExpenditureClaim| Some((Replacement::Expenditure(Box::new(claim)), sums("90.00", "HKD")));
    let reverse = |world: &mut World, authors: &[&Author], at| world.correct(authors, at, reason, None);
    refused(reverse(&mut world, &both, (nobody(), nobody())), Code::UnknownStatement, "/predicate/claim/entry");
    refused(reverse(&mut world, &[&gamma], (entry, entry)), Code::NotAuthorised, "/predicate/issuer");
    refused(reverse(&mut world, &[&alpha], (entry, entry)), Code::ThresholdNotMet, "/predicate/signers");
    for other in [
        ExpenditureClaim { document: "INV-2".to_owned(), ..claim.clone() },
        ExpenditureClaim { payee: gamma.side(), ..claim.clone() },
    ] {
        let result = world.correct(&both, (entry, entry), reason, put(other));
        refused(result, Code::CorrectionDiffers, "/predicate/claim/replacement/expenditure");
    }
    let mark = asset("Mark", IpType::RegisteredTradeMark, None);
    let result =
        world.correct(&both, (entry, entry), reason, Some((Replacement::Asset(Box::new(mark)), Sums::default())));
    refused(result, Code::CorrectionDiffers, "/predicate/claim/replacement/asset");
    let stray = ExpenditureClaim { credits: Some(entry), ..claim.clone() };
    let result = world.correct(&both, (entry, entry), reason, put(stray));
    refused(result, Code::InvalidStatement, "/predicate/claim/replacement/expenditure/credits");

    let first = world.correct(&both, (entry, entry), reason, put(claim.clone())).unwrap();
    // One successor each: the second is refused and names the first.
    let second = world.correct(&both, (entry, entry), reason, put(claim.clone()));
    assert_eq!(second.as_ref().unwrap_err().existing, Some(first));
    refused(second, Code::AlreadyCorrected, "/predicate/claim/prev");
    let second = world.correct(&both, (entry, first), reason, put(claim.clone())).unwrap();
    let reversed = reverse(&mut world, &both, (entry, second)).unwrap();
    assert!(world.view.evidence().standing(&entry, EvidenceKind::Expenditure).is_none());
    refused(reverse(&mut world, &both, (entry, reversed)), Code::AlreadyCorrected, "/predicate/claim/entry");
    // A reversal is taken back by another version, and the document stays taken all the while.
    refused(world.pay(&[&alpha], claim.clone(), &hkd), Code::AlreadyRegistered, "/predicate/claim/document");
    world.correct(&both, (entry, reversed), CorrectionReason::Classification, put(claim)).unwrap();
    assert!(world.view.evidence().standing(&entry, EvidenceKind::Expenditure).is_some());
}

#[test]
fn what_was_reversed_is_used_no_more() {
    let Three { mut world, alpha, beta, .. } = three();
    let hkd = sums("100.00", "HKD");
    let mark = world.enter(&[&alpha], Claim::Asset(asset("Mark", IpType::RegisteredTradeMark, None))).unwrap();
    world.correct(&[&alpha], (mark, mark), CorrectionReason::Duplicate, None).unwrap();
    let claim = ExpenditureClaim {
        asset: Some(mark),
        ..payment(Nature::Registration, alpha.side(), outside("Registry", "HK"), "R-1", "2026-05-02")
    };
    refused(world.pay(&[&alpha], claim, &hkd), Code::UnknownAsset, "/predicate/claim/asset");
    let royalty = payment(Nature::Royalty, alpha.side(), beta.side(), "INV-1", "2026-05-02");
    let paid = world.pay(&[&alpha], royalty, &hkd).unwrap();
    world.correct(&[&alpha], (paid, paid), CorrectionReason::NotIncurred, None).unwrap();
    let credit = ExpenditureClaim {
        credits: Some(paid),
        ..payment(Nature::Refund, alpha.side(), beta.side(), "RF-1", "2026-06-02")
    };
    refused(world.pay(&[&alpha], credit, &hkd), Code::UnknownStatement, "/predicate/claim/credits");
    // Endorsing says that one signs a statement too, whatever became of it.
    world.enter(&[&beta], Claim::Endorsement(EndorsementClaim { statement: paid })).unwrap();
}
