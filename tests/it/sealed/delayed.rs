//! Where the operator says so, parties see an officer's readings later, and the record itself says when.

use chopmark_core::access::AccessRecord;

use super::{Payment, get_as, officer, token_made, token_of};
use crate::harness::{Home, Service, place};
use crate::shared;

#[test]
fn an_officers_reading_is_shown_later_and_its_record_says_when() {
    let place = place();
    let service = Service::try_start(place.path(), "data", &["--officers-shown-after-days", "30"]).unwrap();
    let (payer, payee) = (shared::author(&service, "waits"), shared::author(&service, "waits, too"));
    let payment = Payment::new(&payer, &payee, "delayed", "4.00").entered(&service);
    let (own, desk) = (token_of(&service, &payer), officer(&service, "HK"));
    let auditor = token_made(&service, &["--role", "auditor"]).0;
    let path = format!("/v1/statements/{}/openings", payment.id);
    assert_eq!(get_as(&service, &path, &own).status, 200);
    assert_eq!(get_as(&service, &format!("{path}?case_reference=A&purpose=B"), &desk).status, 200);
    let shown = |token: &str| -> Vec<AccessRecord> {
        let accesses = get_as(&service, "/v1/accesses", token).json()["accesses"].clone();
        let records = accesses.as_array().unwrap().iter().map(|access| access["record"].clone());
        records.map(|record| serde_json::from_value(record).unwrap()).collect()
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while shown(&auditor).len() < 2 {
        assert!(std::time::Instant::now() < deadline, "{}", service.errors());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let roles = |token: &str| shown(token).into_iter().map(|record| record.role).collect::<Vec<_>>();
    assert_eq!(
        (roles(&own), roles(&auditor)),
        (vec!["party".to_owned()], vec!["party".to_owned(), "officer".to_owned()])
    );
    for record in shown(&auditor) {
        let later = (record.role == "officer").then(|| record.at.unix_ms() + 30 * 86_400_000);
        assert_eq!(record.shown_from.map(|shown_from| shown_from.unix_ms()), later);
    }
    let (code, audited) = Home::new().json(&["audit", "--data-dir", service.directory.to_str().unwrap()]);
    assert_eq!(code, 0, "{audited}");
    // Once the time has come, as whoever sets the clock has it.
    let come = "UPDATE vault.access SET shown_from = now()";
    service
        .sql(&format!("SET session_replication_role = replica; ALTER TABLE vault.access DISABLE TRIGGER USER; {come}"))
        .unwrap();
    assert_eq!(roles(&own).len(), 2);
    service.stop();
}
