//! Each vault serves some zones, and the openings of others come to it neither with their statement nor later.

use chopmark_core::code::ResidencyZone;
use serde_json::{Value, json};

use super::{Payment, get_as, officer, token_of};
use crate::admission::expect;
use crate::harness::{Home, Service, place};
use crate::shared;

/// As it is sent to a registry whose vault does not keep the openings of their zone.
fn bare(payment: &Payment, zone: &str) -> Vec<u8> {
    payment.request(|request| request["openings"] = json!({ "zone": zone, "fields": [] }))
}

#[test]
fn openings_that_come_after_their_statement_are_kept_by_a_vault_of_their_zone() {
    let place = place();
    let start =
        |zone: &str| Service::try_start(place.path(), "data", &["--zone", zone, "--retention-days", "0"]).unwrap();
    let service = start("HK");
    let (payer, payee) = (shared::author(&service, "pays later"), shared::author(&service, "is paid later"));
    // What lies in the mainland is sent there; what lies here, whoever posted it first kept from everybody.
    let elsewhere = Payment::in_zone(&payer, &payee, "L-1", "5.00", ResidencyZone::Mainland);
    let withheld = Payment::new(&payer, &payee, "L-2", "7.00");
    for payment in [&elsewhere, &withheld] {
        assert_eq!(service.post(&bare(payment, "CN")).status, 201);
    }
    let path = |payment: &Payment| format!("/v1/statements/{}/openings", payment.id);
    let opened = |service: &Service, payment: &Payment| {
        for author in [&payer, &payee] {
            let answer = get_as(service, &path(payment), &token_of(service, author));
            assert_eq!(answer.status, 200, "{}", answer.text());
            let sent: Value = serde_json::from_slice(&payment.submission.to_request()).unwrap();
            assert_eq!(answer.json()["fields"], sent["openings"]["fields"]);
        }
    };
    let token = token_of(&service, &payee);
    assert_eq!(get_as(&service, &path(&withheld), &token).status, 404);
    // Sums that lack it are kept until it comes.
    let desk = officer(&service, "HK");
    let summary = "/v1/reports/ip-expenditure/summary?case_reference=C&purpose=P";
    assert_eq!(get_as(&service, summary, &desk).status, 200);
    let sums = || service.sql(&format!("SELECT count(*) FROM vault.report_sum WHERE party = '\\x{}'", payer.party));
    assert_eq!(sums().unwrap(), "1");

    let refused = service.post(&elsewhere.submission.to_request());
    expect(&refused, "422 zone_not_served request /openings/zone");
    let wrong = withheld.request(|request| request["openings"]["fields"][0]["value"] = json!("7.01"));
    expect(&service.post(&wrong), "422 commitment_mismatch request /openings/fields/0");
    assert_eq!(get_as(&service, &path(&withheld), &token).status, 404);
    for _ in 0..2 {
        let answer = service.post(&withheld.submission.to_request());
        assert_eq!(answer.status, 200, "{}", answer.text());
        opened(&service, &withheld);
    }
    assert_eq!(sums().unwrap(), "0");
    let here = get_as(&service, summary, &desk).json();
    service.stop();

    let service = start("CN");
    assert_eq!(service.post(&elsewhere.submission.to_request()).status, 200);
    opened(&service, &elsewhere);
    // What another zone's vault keeps is not shown here, nor reports and sums in which it is.
    let token = token_of(&service, &payer);
    assert_eq!(get_as(&service, &path(&withheld), &token).status, 404);
    let report = |service: &Service, token: &str| {
        let headers = [("Authorization", &*format!("Bearer {token}"))];
        let request = json!({ "query": { "taxpayer": payer.party.to_hex() } }).to_string();
        let answer = service.post_with("/v1/reports/ip-expenditure", request.as_bytes(), &headers);
        assert_eq!(answer.status, 201, "{}", answer.text());
        format!("/v1/reports/{}", answer.json()["id"].as_str().unwrap())
    };
    let of_the_mainland = report(&service, &token);
    assert_eq!(get_as(&service, &of_the_mainland, &token).status, 200);
    assert_ne!(get_as(&service, summary, &desk).json()["cells"], here["cells"]);
    service.stop();
    let service = start("HK");
    let token = token_of(&service, &payer);
    opened(&service, &withheld);
    assert_eq!(get_as(&service, &path(&elsewhere), &token).status, 404);
    assert_eq!(get_as(&service, &of_the_mainland, &token).status, 404);
    let own = report(&service, &token);
    assert!(own != of_the_mainland && get_as(&service, &own, &token).status == 200);
    assert_eq!(get_as(&service, summary, &desk).json()["cells"], here["cells"]);
    let (code, audited) = Home::new().json(&["audit", "--data-dir", service.directory.to_str().unwrap()]);
    assert_eq!((code, &audited["openings"]), (0, &json!(12)), "{audited}");
    service.stop();
}
