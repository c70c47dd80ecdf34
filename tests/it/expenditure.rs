//! Evidence of expenditure through the service and a real PostgreSQL: what is looked up there decides as it does in memory, and
//! an audit folds the same tables.

use chopmark_core::artefact::IpType;
use chopmark_core::code::{Jurisdiction, ResidencyZone};
use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::{
    AssetClaim, CorrectionClaim, CorrectionReason, Details, ExpenditureClaim, Nature, Outside, Replacement,
    SealedPayment, SealedUse, Side, UseClaim,
};
use chopmark_core::kind::Claim;
use chopmark_core::sealed::{Commitment, Opening, Openings, Place, Salt};
use chopmark_core::statement::{Issuer, Statement, StatementId};
use chopmark_core::submission::Submission;
use chopmark_core::tax::facts::UsedBy;
use serde_json::json;

use crate::harness::{Home, Service, place};
use crate::make::{Author, english};
use crate::shared;

/// A signed statement; `make` gets a function that seals a value in it.
fn say(
    author: &Author,
    label: &str,
    predicate_type: &str,
    make: impl FnOnce(&mut dyn FnMut(&str, Option<&str>) -> Commitment) -> Claim,
) -> Submission {
    let header = author.header(Issuer::Party(author.party), author.threshold, label);
    let place = Place::of(&header, predicate_type);
    let mut fields = Vec::new();
    let claim = make(&mut |name, value| {
        let salt = Salt::from_random(*Sha256Digest::of(format!("{label}{name}").as_bytes()).as_bytes());
        let value = value.map(|text| json!(text));
        let opening = Opening::new(format!("/{name}").parse().unwrap(), salt, value.as_ref()).unwrap();
        let commitment = opening.commitment(&place);
        fields.push(opening);
        commitment
    });
    let payload = Statement::compose(label, &header, &claim).unwrap();
    let openings = (!fields.is_empty()).then_some(Openings { zone: ResidencyZone::HongKong, fields });
    author.sign(payload, Vec::new()).with_openings(openings).unwrap()
}

fn paid(
    author: &Author,
    asset: StatementId,
    seal: &mut dyn FnMut(&str, Option<&str>) -> Commitment,
) -> ExpenditureClaim {
    ExpenditureClaim {
        nature: Nature::Registration,
        payer: Side::Party(author.party),
        payee: Side::Outside(Outside {
            name: "商標註冊處".to_owned(), jurisdiction: Jurisdiction::new("HK").unwrap()
        }),
        document: "R-1".to_owned(),
        file: None,
        on: "2026-05-02".parse().unwrap(),
        asset: Some(asset),
        counter_asset: None,
        ip_type: None,
        licence: None,
        artefact: None,
        credits: None,
        details: Details::default(),
        sealed: Box::new(SealedPayment {
            amount: seal("amount", Some("2000.00")),
            currency: seal("currency", Some("HKD")),
            withheld: seal("withheld", None),
            fx_rate: seal("fx_rate", None),
            fees: seal("fees", None),
            met_by_others: seal("met_by_others", None),
        }),
    }
}

#[test]
fn evidence_is_entered_once_corrected_in_a_chain_and_audited() {
    let place = place();
    let service = Service::start(place.path());
    let (author, other) = (shared::author(&service, "spends"), shared::author(&service, "watches"));
    let post = |submission: &Submission| service.post(&submission.to_request());
    let enter = |submission: Submission| {
        let answer = post(&submission);
        assert_eq!(answer.status, 201, "{}", answer.text());
        submission.statement.id
    };
    let refused = |submission: Submission, status: u16, code: &str| {
        let answer = post(&submission);
        let problem = answer.json();
        assert_eq!((answer.status, problem["code"].as_str()), (status, Some(code)), "{problem}");
        problem
    };
    let mark = |label: &str| {
        say(&author, label, AssetClaim::PREDICATE_TYPE, |_| {
            Claim::Asset(AssetClaim {
                title: english("Mark"),
                ip_type: IpType::RegisteredTradeMark,
                jurisdiction: Jurisdiction::new("HK").unwrap(),
                registered: true,
                registration_number: Some("300000001".to_owned()),
                registered_on: None,
                protection_ends: None,
                software: None,
                artefacts: Vec::new(),
                lapse: None,
                title_left: None,
                succession: None,
            })
        })
    };
    let asset = enter(mark("asset"));
    let payment = |by: &Author, label: &str| {
        say(by, label, ExpenditureClaim::PREDICATE_TYPE, |seal| Claim::Expenditure(paid(by, asset, seal)))
    };
    let entry = enter(payment(&author, "payment"));
    let problem = refused(payment(&author, "payment again"), 409, "already_registered");
    assert_eq!(problem["existing"], entry.to_hex());
    refused(payment(&other, "payment for another's asset"), 403, "not_authorised");

    let used = |label: &str| {
        say(&author, label, UseClaim::PREDICATE_TYPE, |seal| {
            let (year, by, taxed_in_hk) = ("2026/27".parse().unwrap(), UsedBy::Owner, None);
            let sealed = SealedUse { fraction: seal("fraction", Some("0.5")) };
            Claim::Use(UseClaim { asset, year, by, taxed_in_hk, sealed })
        })
    };
    let use_id = enter(used("use"));
    let problem = refused(used("use again"), 409, "already_registered");
    assert_eq!(problem["existing"], use_id.to_hex());

    let correct = |by: &Author, label: &str, prev: StatementId, is_replaced: bool| {
        say(by, label, CorrectionClaim::PREDICATE_TYPE, |seal| {
            let replacement = is_replaced.then(|| Replacement::Expenditure(Box::new(paid(&author, asset, seal))));
            Claim::Correction(CorrectionClaim { entry, prev, reason: CorrectionReason::Amount, replacement })
        })
    };
    refused(correct(&other, "correction by another", entry, false), 403, "not_authorised");
    let first = enter(correct(&author, "correction", entry, true));
    let problem = refused(correct(&author, "correction beside", entry, true), 409, "already_corrected");
    assert_eq!(problem["existing"], first.to_hex());
    let reversal = enter(correct(&author, "reversal", first, false));
    refused(correct(&author, "reversal again", reversal, false), 409, "already_corrected");
    enter(correct(&author, "reversal taken back", reversal, true));
    let count = |filter: &str| service.sql(&format!("SELECT count(*) FROM view.evidence WHERE {filter}")).unwrap();
    assert_eq!(count("is_reversed").trim(), "0");
    assert_eq!(count("head <> id").trim(), "1");
    assert_eq!(count("true").trim(), "3");

    let data = service.directory.to_str().unwrap();
    let audit = Home::new().run(&["audit", "--data-dir", data]);
    assert_eq!(audit.code, 0, "{audit:?}");
    let (code, rebuilt) = Home::new().json(&["db", "rebuild", "--data-dir", data]);
    assert_eq!((code, &rebuilt["mended"]), (0, &json!(0)), "{rebuilt}");
}
