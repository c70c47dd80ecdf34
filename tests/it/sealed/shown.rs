//! Who is shown a record, and from when on: the record itself says so, also where parties see an officer's readings later.

use chopmark_core::access::AccessRecord;
use chopmark_core::time::Timestamp;

use super::accesses::tamper;
use super::{Payment, get_as, officer, token_made, token_of};
use crate::harness::{Home, Service, place};
use crate::shared;

#[test]
fn a_record_says_who_is_shown_it_and_from_when_on() {
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
        assert_eq!(record.shown_from.map(Timestamp::unix_ms), later);
    }
    // What decides who sees it is as the record says, or the audit names it.
    let audit = || Home::new().json(&["audit", "--data-dir", service.directory.to_str().unwrap()]);
    let clean = audit();
    assert_eq!(clean.0, 0, "{}", clean.1);
    let id = service.sql("SELECT encode(access, 'hex') FROM vault.access_leaf WHERE idx = 1").unwrap();
    for (column, hidden) in [
        ("shown_from", "'infinity'"),
        ("shown_from", "'290000-01-01'"),
        ("shown_from", "shown_from + interval '1 hour'"),
        ("statement", "sha256('another')"),
        ("role", "'auditor'"),
        ("bound_to", "'SG'"),
        ("token", "'another'"),
    ] {
        service.sql(&format!("CREATE TABLE public.was AS SELECT * FROM vault.access WHERE id = '\\x{id}'")).unwrap();
        tamper(&service, &format!("UPDATE vault.access SET {column} = {hidden} WHERE id = '\\x{id}'"));
        let (code, found) = audit();
        assert_eq!((code, &found["finding"]["object"]), (6, &format!("vault.access {id}").into()), "{column}: {found}");
        let back = format!("UPDATE vault.access SET {column} = was.{column} FROM public.was WHERE access.id = was.id");
        tamper(&service, &back);
        service.sql("DROP TABLE public.was").unwrap();
    }
    assert_eq!(audit().0, 0, "as it was");
    // Once the time has come, as whoever sets the clock has it.
    tamper(&service, "UPDATE vault.access SET shown_from = now()");
    assert_eq!(roles(&own).len(), 2);
    service.stop();
}
