//! Kept reports: the same bytes whatever is entered later and whoever computes them, until something in them is erased.

use chopmark_core::access::ACCESS_SCHEMA;
use chopmark_core::erased::ErasedClaim;
use chopmark_core::expenditure::report::verify;
use chopmark_core::expenditure::{ExpenditureClaim, Nature};
use chopmark_core::kind::Claim;
use chopmark_core::statement::StatementId;
use serde_json::{Value, json};

use super::books::{Books, Company, figures};
use super::{amounts, ask, audit_and_rebuild, file, made, service, trust};
use crate::harness::{Client, Service, place};
use crate::replicas::Shared;
use crate::sealed::{Desk, get_as, officer, token_of};
use crate::shared;

#[test]
fn nothing_entered_later_changes_a_report() {
    // Audited and rebuilt, so it is nobody else's.
    let place = place();
    let service = Service::start(place.path());
    let (payer, payee) = (Company::new(&service, "constant payer"), Company::new(&service, "constant payee"));
    let mut books = Books::of(&service, &payer);
    books.profile();
    let right = books.asset("商標");
    let purchase = books.purchase(&payee, right, "K-1", &figures("5000.00", "USD"));
    books.rate("USD", "7.8", "2026-04-30");
    let royalty = books.royalty("Licensor", "JP", "K-2", &figures("700.00", "HKD"));
    let officer = officer(&service, "HK");
    let (size, query) = (shared::size(&service), json!({ "taxpayer": payer.author.party.to_hex() }));
    let first = made(&service, &officer, &query, Some(size));
    let bytes = file(&service, &officer, &first["id"]);

    // What becomes of everything in it: endorsed, corrected, reversed, another rate, another profile, another payment.
    Books::of(&service, &payee).endorse(purchase);
    books.used(right, "2026/27", "0.5");
    books.correct_royalty(royalty, "Licensor", "JP", "K-2", &figures("900.00", "HKD"));
    books.reverse(purchase);
    books.rate("USD", "7.9", "2026-05-31");
    books.profile();
    books.royalty("Licensor", "JP", "K-3", &figures("100.00", "HKD"));
    let again = made(&service, &officer, &query, Some(size));
    assert_eq!(again, first);
    assert_eq!(file(&service, &officer, &again["id"]), bytes);
    let now = made(&service, &officer, &query, None);
    assert!(now["id"] != first["id"] && now["totals"] != first["totals"], "{now}");
    verify(&file(&service, &officer, &now["id"]), &trust(&service)).unwrap();
    verify(&bytes, &trust(&service)).unwrap();

    // The read tables that all of this was looked up in are what the entries make.
    assert_eq!(audit_and_rebuild(&service), ("clean".into(), 0.into()));
    let damage = "TRUNCATE view.evidence_version; DELETE FROM view.evidence_party WHERE kind = 'expenditure'";
    service.sql(damage).unwrap();
    let (home, data) = (crate::harness::Home::new(), service.directory.to_str().unwrap());
    let (code, found) = home.json(&["audit", "--data-dir", data]);
    assert_eq!(code, 6, "{found}");
    assert!(found.to_string().contains("view.evidence_"), "{found}");
    let (code, rebuilt) = home.json(&["db", "rebuild", "--data-dir", data]);
    assert!(code == 0 && rebuilt["mended"].as_u64().unwrap() > 5, "{rebuilt}");
    assert_eq!(audit_and_rebuild(&service), ("clean".into(), 0.into()));
    assert_eq!(made(&service, &officer, &query, Some(size)), first);
    service.stop();
}

#[test]
fn two_replicas_make_the_same_bytes() {
    let shared = Shared::found();
    let (first, second) = (shared.replica("first"), shared.beside("second"));
    let company = Company::new(&first, "replicated");
    let mut books = Books::of(&second, &company);
    books.profile();
    books.royalty("Licensor", "US", "R-1", &figures("1234.56", "HKD"));
    let size = shared::size(&second);
    let deadline = std::time::Instant::now() + crate::replicas::PATIENCE;
    while shared::size(&first) < size {
        assert!(std::time::Instant::now() < deadline);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let token = token_of(&first, &company.author);
    let request = json!({ "query": { "taxpayer": company.author.party.to_hex() }, "size": size });
    let made = |service: &Client| {
        let answer = ask(service, &token, &request);
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()
    };
    let view = made(&first);
    assert_eq!(made(&second), view);
    let path = format!("/v1/reports/{}", view["id"].as_str().unwrap());
    assert_eq!(get_as(&first, &path, &token).body, get_as(&second, &path, &token).body);
    // Both wrote it; one row.
    assert_eq!(shared.sql("SELECT count(*) FROM vault.report"), "1");
    first.stop();
    second.stop();
    shared.audit();
    shared.stop();
}

#[test]
fn a_report_goes_with_what_is_erased_and_the_next_one_says_so() {
    let service = service();
    let company = Company::new(service, "erases");
    let mut books = Books::of(service, &company);
    books.profile();
    let gone = books.royalty("Licensor", "US", "E-1", &figures("61234567.89", "HKD"));
    books.royalty("Licensor", "US", "E-2", &figures("20.00", "HKD"));
    let token = token_of(service, &company.author);
    let request = json!({ "query": { "taxpayer": company.author.party.to_hex() } });
    let before = ask(service, &token, &request).json();
    let path = |view: &Value| format!("/v1/reports/{}", view["id"].as_str().unwrap());
    let shown = get_as(service, &path(&before), &token);
    assert!(shown.status == 200 && shown.text().contains("61234567.89"));
    // At rest it is not to be read.
    let rows = service.sql("SELECT string_agg(report::text, ' ') FROM vault.report AS report").unwrap();
    assert!(!rows.contains(&data_encoding::HEXLOWER.encode(b"61234567.89")) && rows.len() > 1_000);

    let fields = ["/amount", "/currency", "/fees", "/fx_rate", "/met_by_others", "/withheld"];
    let fields = fields.map(|name| name.parse().unwrap()).to_vec();
    let entered = books.say(Claim::Erased(ErasedClaim { statement: gone, fields }));
    let index = service.get(&format!("/v1/statements/{entered}")).json()["index"].clone();
    let erased = get_as(service, &path(&before), &token);
    let problem = erased.problem();
    assert_eq!((erased.status, &problem["code"]), (410, &"report_erased".into()), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains(&index.to_string()), "{problem}");
    let sealed = service.sql("SELECT count(*) FROM vault.report WHERE erased_by IS NOT NULL AND sealed IS NOT NULL");
    assert_eq!(sealed.unwrap(), "0");

    // The next one does without, and says so.
    let after = ask(service, &token, &request).json();
    assert_eq!((&after["set_aside"], &after["totals"]["deduction"]), (&1.into(), &"20.00".into()), "{after}");
    let report: Value = get_as(service, &path(&after), &token).json();
    assert_eq!(report["report"]["set_aside"].as_array().unwrap().len(), 1);
    assert!(!report.to_string().contains("61234567.89"));
}

/// Whoever did not wait for a report comes back for it; what was erased meanwhile is not shown from memory.
#[test]
fn a_report_that_nobody_has_fetched_goes_with_what_is_erased() {
    let service = service();
    let company = Company::new(service, "erases meanwhile");
    let mut books = Books::of(service, &company);
    books.profile();
    let gone = books.royalty("Licensor", "US", "M-1", &figures("71234567.89", "HKD"));
    let token = token_of(service, &company.author);
    let party = company.author.party.to_hex();
    let request = json!({ "query": { "taxpayer": party }, "size": shared::size(service) }).to_string();
    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", authorization.as_str()), ("Prefer", "respond-async")];
    let asked = || service.post_with("/v1/reports/ip-expenditure", request.as_bytes(), &headers);
    assert_eq!(asked().status, 202);
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while service.sql(&format!("SELECT count(*) FROM vault.report WHERE party = '\\x{party}'")).unwrap() != "1" {
        assert!(std::time::Instant::now() < deadline, "the report is not made");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let fields = ["/amount", "/currency", "/fees", "/fx_rate", "/met_by_others", "/withheld"];
    let fields = fields.map(|name| name.parse().unwrap()).to_vec();
    books.say(Claim::Erased(ErasedClaim { statement: gone, fields }));
    let erased = asked();
    assert_eq!((erased.status, &erased.problem()["code"]), (410, &"report_erased".into()), "{}", erased.text());
    assert!(!erased.text().contains("71234567.89"));
    // The same again is made anew.
    let made = loop {
        let answer = asked();
        if answer.status != 202 {
            break answer;
        }
        assert!(std::time::Instant::now() < deadline, "{}", answer.text());
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    assert_eq!((made.status, &made.json()["set_aside"]), (201, &1.into()), "{}", made.text());
    assert!(!made.text().contains("71234567.89"));
}

#[test]
fn every_reading_of_a_report_is_recorded_about_the_taxpayer() {
    let service = service();
    let company = Company::new(service, "is read about");
    Books::of(service, &company).royalty("Licensor", "US", "A-1", &figures("20.00", "HKD"));
    let officer = officer(service, "HK");
    let view = made(service, &officer, &json!({ "taxpayer": company.author.party.to_hex() }), None);
    file(service, &officer, &view["id"]);
    let id = view["id"].as_str().unwrap();
    let party = company.author.party.to_hex();
    let expected = [json!(["/report"]), json!([format!("/report/{id}")])];
    let token = token_of(service, &company.author);
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    let records = loop {
        let page = get_as(service, "/v1/accesses", &token).json();
        let records: Vec<Value> =
            page["accesses"].as_array().unwrap().iter().map(|access| access["record"].clone()).collect();
        if records.len() >= 2 || std::time::Instant::now() > deadline {
            break records;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    };
    assert_eq!(records.len(), 2, "{records:?}");
    for (record, fields) in records.iter().zip(expected) {
        assert_eq!((&record["schema"], &record["statement"]), (&ACCESS_SCHEMA.into(), &party.as_str().into()));
        assert_eq!(
            (&record["fields"], &record["role"], &record["bound_to"]),
            (&fields, &"officer".into(), &"HK".into())
        );
        assert_eq!(record["reason"], json!({ "case_reference": "C-2026-17", "purpose": "audit" }));
    }
}

#[test]
fn nothing_of_a_report_is_seen_without_its_record() {
    let service = service();
    let company = Company::new(service, "second wall of reports");
    let payment = Books::of(service, &company).royalty("Licensor", "US", "S-1", &figures("20.00", "HKD"));
    let token = token_of(service, &company.author);
    let party = company.author.party.to_hex();
    assert_eq!(ask(service, &token, &json!({ "query": { "taxpayer": party } })).status, 201);
    let attempt = |role: &str, bound_to: &str, extra: &str| {
        service.sql(&format!(
            "SET ROLE chopmark_app; BEGIN; SELECT set_config('chopmark.role', '{role}', true),
             set_config('chopmark.bound_to', '{bound_to}', true), set_config('chopmark.token', 'wall', true); {extra};
             SELECT 'seen ' || (SELECT count(*) FROM vault.report WHERE party = '\\x{party}') || ' '
                 || (SELECT count(*) FROM vault.opening WHERE statement = '\\x{payment}') || ' '
                 || (SELECT count(*) FROM vault.report_sum); ROLLBACK"
        ))
    };
    let record = |role: &str, bound_to: &str| {
        format!(
            "INSERT INTO vault.access (id, statement, role, bound_to, token, body, shown_from)
             VALUES ('\\x{}', '\\x{party}', '{role}', '{bound_to}', 'wall', '\\x7b7d', now())",
            "0".repeat(32)
        )
    };
    assert!(attempt("party", &party, "SELECT ''").unwrap().contains("seen 0 0 0"), "no record, no data");
    assert!(attempt("party", &party, &record("party", &party)).unwrap().contains("seen 1 6 0"));
    assert!(attempt("officer", "HK", &record("officer", "HK")).unwrap().contains("seen 1 6 0"));
    for (role, bound_to) in [("party", "ab".repeat(32)), ("officer", "SG".to_owned()), ("auditor", String::new())] {
        let refused = attempt(role, &bound_to, &record(role, &bound_to)).unwrap_err();
        assert!(refused.contains("row-level security"), "{refused}");
    }
}

#[test]
fn a_proposed_rule_counts_only_where_it_is_asked_for() {
    let service = service();
    let company = Company::new(service, "proposed rules");
    let mut books = Books::of(service, &company);
    books.profile();
    books.upfront_fee("Licensor", "P-1", 4, &figures("1000.00", "HKD"));
    let desk = officer(service, "HK");
    let report = |rules: &[&str]| {
        let query = json!({ "taxpayer": company.author.party.to_hex(), "proposed_rules": rules });
        let bytes = file(service, &desk, &made(service, &desk, &query, None)["id"]);
        // Whoever checks it offline applies the same rule, because the query in it says so.
        assert!(verify(&bytes, &trust(service)).is_ok());
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        document["report"].clone()
    };
    let rule = "hk.proposed.upfront_fee";
    let proposed = |report: &Value| {
        let lines = report["lines"].as_array().unwrap().iter();
        lines.filter(|line| line["rule"] == rule && line["rule_status"] == "proposed").count()
    };
    let (law, asked) = (report(&[]), report(&[rule]));
    assert_eq!((proposed(&law), proposed(&asked)), (0, 4), "{asked}");
    assert_eq!(amounts(&asked, "deduction", "2026/27")[0].1, "250.00", "a quarter of it each year");
    let unknown = json!({ "query": { "taxpayer": company.author.party.to_hex(), "proposed_rules": ["hk.16ea.slices"] },
        "case_reference": "C-2026-17", "purpose": "audit" });
    let refused = ask(service, &desk, &unknown);
    assert_eq!(
        (refused.status, &refused.problem()["code"]),
        (422, &"report_not_computed".into()),
        "{}",
        refused.text()
    );
}

#[test]
fn whoever_is_shown_a_report_is_recorded_also_where_another_had_it_made() {
    let service = service();
    let company = Company::new(service, "asks often");
    Books::of(service, &company).royalty("Licensor", "US", "O-1", &figures("20.00", "HKD"));
    let (token, party) = (token_of(service, &company.author), company.author.party.to_hex());
    let request = json!({ "query": { "taxpayer": party } });
    let number = 12;
    std::thread::scope(|scope| {
        for _ in 0..number {
            scope.spawn(|| {
                let answer = ask(service, &token, &request);
                assert_eq!(answer.status, 201, "{}", answer.text());
            });
        }
    });
    let records = service.sql(&format!("SELECT count(*) FROM vault.access WHERE statement = '\\x{party}'")).unwrap();
    assert_eq!(records, number.to_string());
}

#[test]
fn what_was_said_of_an_asset_is_kept_until_years_after_it_was_sold() {
    let place = place();
    let service = Service::start(place.path());
    let (company, seller) = (Company::new(&service, "holds"), Company::new(&service, "sells"));
    let mut books = Books::of(&service, &company);
    let deal = |nature: Nature, asset: StatementId, document: &str, on: &str| {
        let (own, other) = (company.side(), seller.side());
        let (payer, payee) = if nature == Nature::Purchase { (own, other) } else { (other, own) };
        let claim = ExpenditureClaim::unsealed(nature, payer, payee, document.to_owned(), on.parse().unwrap());
        ExpenditureClaim { asset: Some(asset), ..claim }
    };
    let sums = figures("5000.00", "HKD");
    let (held, sold, long_sold) = (books.asset("held"), books.asset("sold"), books.asset("long sold"));
    let mut bought =
        |asset: StatementId, document: &str| books.pay(deal(Nature::Purchase, asset, document, "2010-05-02"), &sums);
    let purchases = [bought(held, "H-1"), bought(sold, "H-2"), bought(long_sold, "H-3")];
    let royalty = books.royalty("Licensor", "JP", "H-4", &sums);
    // Seven years from the entry are over.
    let over = || service.sql("UPDATE vault.opening SET retained_until = now() - interval '1 day'").unwrap();
    let desk = Desk::of(&service, &company.author);
    let asked = |statement: StatementId| desk.json(&["erase", "request", &statement.to_hex()], None);
    let refused = |statement: StatementId, words: &str| {
        let (code, refused) = asked(statement);
        assert_eq!((code, &refused["error"]["code"]), (10, &json!("retention_running")), "{refused}");
        assert!(refused.to_string().contains(words), "{refused}");
    };
    over();
    for purchase in purchases {
        refused(purchase, "is held");
    }
    books.pay(deal(Nature::Disposal, sold, "H-5", "2020-06-01"), &sums);
    books.pay(deal(Nature::Disposal, long_sold, "H-6", "2016-06-01"), &sums);
    over();
    refused(purchases[0], "is held");
    refused(purchases[1], "2027-06-");
    for statement in [purchases[2], royalty] {
        let (code, erased) = asked(statement);
        assert_eq!(code, 0, "{erased}");
    }
    service.stop();
}
