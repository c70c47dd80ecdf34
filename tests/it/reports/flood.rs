//! Anybody may name a taxpayer, and as often as they like: that keeps it from no report.

use std::thread;

use chopmark_core::expenditure::report::verify;
use serde_json::{Value, json};

use super::books::{Books, Company, figures};
use super::{REASON, amounts, file, made, pair, trust};
use crate::harness::{Service, place, soaked};
use crate::sealed::{get_as, officer};

/// The steps that this rests on, taken back and done again.
const STEPS: [&str; 4] = [
    include_str!("../../../migrations/20261128144000_mark_who_signs/down.sql"),
    include_str!("../../../migrations/20261128143000_name_assets_of_payments/down.sql"),
    include_str!("../../../migrations/20261128143000_name_assets_of_payments/up.sql"),
    include_str!("../../../migrations/20261128144000_mark_who_signs/up.sql"),
];

/// At once.
const LANES: usize = 16;

/// More than a report takes in of others where what runs long runs long: `WITH_OTHERS_MAX` of the store is 15,000.
#[test]
fn what_others_say_of_a_taxpayer_keeps_it_from_no_report() {
    let place = place();
    let service = Service::start(place.path());
    let (victim, mallory) = (Company::new(&service, "flood victim"), Company::new(&service, "flood mallory"));
    let desk = officer(&service, "HK");
    let (mut books, mut others) = (Books::of(&service, &victim), Books::of(&service, &mallory));
    books.profile();
    books.royalty("Licensor", "GB", "V-1", &figures("77.77", "HKD"));
    let confirmed = others.bill(&victim, "M-1", &figures("5.00", "HKD"));
    let right = others.asset("版權");
    books.royalty_for(&mallory, right, "V-2", &figures("1.00", "HKD"));
    others.bill(&victim, "M-2", &figures("3.00", "HKD"));
    books.endorse(confirmed);

    let each = soaked(4, 940);
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                let mut others = Books::of(&service, &mallory);
                for _ in 0..each {
                    others.relate(&victim);
                }
            });
        }
    });
    let are_too_many = LANES * each > 15_000;
    let view = made(&service, &desk, &json!({ "taxpayer": victim.author.party.to_hex() }), None);
    let bytes = file(&service, &desk, &view["id"]);
    let report: Value = serde_json::from_slice(&bytes).unwrap();
    // What it signs or endorses is in it however many there are; of the rest all or nothing, and how much.
    let mut expected = vec![pair("16(1)", "1.00"), pair("16(1)", "5.00"), pair("16(1)", "77.77")];
    if !are_too_many {
        expected.insert(1, pair("16(1)", "3.00"));
    }
    assert_eq!(amounts(&report["report"], "deduction", "2026/27"), expected);
    let left_out = if are_too_many { LANES * each + 1 } else { 0 };
    assert_eq!(report["report"]["left_out"], json!(left_out));
    verify(&bytes, &trust(&service)).unwrap();
    let path = format!("/v1/reports/ip-expenditure/summary?{REASON}");
    assert_eq!(get_as(&service, &path, &desk).json()["left_out"], json!([]));

    // What the steps of the schema fill in is what the log's entries are written as.
    let tables = "SELECT md5(string_agg(named::text, ' ' ORDER BY named.idx, named.party)) FROM view.evidence_party AS named
                  UNION ALL SELECT md5(string_agg(version::text, ' ' ORDER BY version.idx)) FROM view.evidence_version AS version";
    let written = service.sql(tables).unwrap();
    for step in STEPS {
        service.sql(step).unwrap();
    }
    assert_eq!(service.sql(tables).unwrap(), written);
    service.stop();
}
