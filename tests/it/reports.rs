//! Reports on expenditure through the real service: the right lines for whoever may see them, the same bytes for ever, and what
//! is exported of them.

pub mod books;
mod dataset;
mod exports;
mod flood;
mod kept;
mod pdf;
mod sums;

use std::sync::OnceLock;

use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::report::verify;
use chopmark_core::trust::{TrustPolicy, TrustedRegistry};
use serde_json::{Value, json};

use crate::harness::{Answer, Client, Home, Service, place};
use crate::sealed::{get_as, officer, token_made, token_of};
use crate::shared;

use books::{Books, Company, figures};

/// A service that these tests have for themselves, whose vault lets go of things at once.
fn service() -> &'static Service {
    static SHARED: OnceLock<Service> = OnceLock::new();
    SHARED.get_or_init(|| {
        // Removed by the service's watchdog once this executable has ended.
        Service::try_start(&place().keep(), "data", &["--retention-days", "0"]).unwrap()
    })
}

/// What an officer says each time.
const REASON: &str = "case_reference=C-2026-17&purpose=audit";

/// Asks for a report.
fn ask(service: &Client, token: &str, request: &Value) -> Answer {
    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", authorization.as_str())];
    service.post_with("/v1/reports/ip-expenditure", request.to_string().as_bytes(), &headers)
}

/// Asks as an officer, and gets one.
#[track_caller]
fn made(service: &Client, officer: &str, query: &Value, size: Option<u64>) -> Value {
    let mut request = json!({ "query": query, "case_reference": "C-2026-17", "purpose": "audit" });
    if let Some(size) = size {
        request["size"] = size.into();
    }
    let answer = ask(service, officer, &request);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let view = answer.json();
    assert_eq!(answer.header("location").unwrap(), format!("/v1/reports/{}", view["id"].as_str().unwrap()));
    view
}

/// The file of a report.
#[track_caller]
fn file(service: &Client, officer: &str, id: &Value) -> Vec<u8> {
    let id = id.as_str().unwrap();
    let answer = get_as(service, &format!("/v1/reports/{id}?{REASON}"), officer);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(Sha256Digest::of(&answer.body).to_string(), id);
    answer.body
}

/// A file that has whoever checks something trust a service's registry.
fn policy(service: &Service) -> String {
    let (reference, key) = shared::registry(service);
    format!("[[registry]]\norigin = {:?}\nlog_key = \"{key}\"\ngenesis = \"{}\"\n", reference.origin, reference.genesis)
}

fn trust(service: &Service) -> TrustPolicy {
    let (reference, key) = shared::registry(service);
    let registry = TrustedRegistry {
        origin: reference.origin,
        log_key: key.to_string(),
        genesis: reference.genesis,
        allow_registry_asserted: true,
        max_status_age: None,
    };
    TrustPolicy { registries: vec![registry] }
}

/// The lines of a kind in a year: section and amount, ascending.
fn amounts(report: &Value, kind: &str, year: &str) -> Vec<(String, String)> {
    let lines = report["lines"].as_array().unwrap().iter();
    let of = lines.filter(|line| line["kind"] == kind && line["year"] == year);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut amounts: Vec<_> = of.map(|line| (text(&line["section"]), text(&line["amount"]))).collect();
    amounts.sort();
    amounts
}

fn pair(section: &str, amount: &str) -> (String, String) {
    (section.to_owned(), amount.to_owned())
}

#[test]
fn a_purchase_a_royalty_and_a_correction_give_the_right_lines_to_whoever_may_see_them() {
    let service = service();
    let (buyer, seller) = (Company::new(service, "story buyer"), Company::new(service, "story seller"));
    let stranger = Company::new(service, "story stranger");
    let mut books = Books::of(service, &buyer);
    books.profile();
    let right = books.asset("軟件版權");
    let purchase = books.purchase(&seller, right, "=INV-1", &figures("1000000.00", "HKD"));
    books.used(right, "2026/27", "1");
    Books::of(service, &seller).endorse(purchase);
    let royalty = books.royalty("@Licensor Inc", "US", "INV-2", &figures("500000.00", "HKD"));
    let before = shared::size(service);
    books.correct_royalty(royalty, "@Licensor Inc", "US", "INV-2", &figures("400000.00", "HKD"));

    let hong_kong = officer(service, "HK");
    let query = json!({ "taxpayer": buyer.author.party.to_hex(), "years": ["2026/27"] });
    let view = made(service, &hong_kong, &query, None);
    let bytes = file(service, &hong_kong, &view["id"]);
    let document: Value = serde_json::from_slice(&bytes).unwrap();
    let report = &document["report"];
    // A fifth of the copyright, and the royalty as corrected; 16.5% of 30% of it is to be withheld.
    assert_eq!(amounts(report, "deduction", "2026/27"), [pair("16(1)", "400000.00"), pair("16EA(3)", "200000.00")]);
    let withheld = amounts(report, "withholding", "2026/27");
    assert_eq!(withheld.iter().map(|(_, amount)| amount.as_str()).collect::<Vec<_>>(), ["19800.00"]);
    assert_eq!(
        view["totals"],
        json!({ "deduction": "600000.00", "receipt": "0.00", "withholding": "19800.00", "concession": "0.00" })
    );
    assert_eq!(view["lines"], report["lines"].as_array().unwrap().len());
    assert_eq!(
        (&view["taxpayer"], &view["jurisdiction"], &view["set_aside"]),
        (&query["taxpayer"], &"HK".into(), &0.into())
    );
    let payments = report["payments"].as_array().unwrap();
    let attested = |document: &str| {
        payments.iter().find(|payment| payment["document"] == document).unwrap()["attested_by"].clone()
    };
    assert_eq!((attested("=INV-1"), attested("INV-2")), ("both".into(), "payer".into()));
    let [correction] = report["corrections"].as_array().unwrap().as_slice() else { panic!("{report}") };
    assert_eq!((&correction["amount_before"], &correction["amount_after"]), (&"500000.00".into(), &"400000.00".into()));
    assert_eq!((&correction["currency_after"], &correction["changed"]), (&"HKD".into(), &json!(["amount"])));
    let flags = report["flags"].as_array().unwrap();
    assert!(flags.iter().any(|flag| flag["code"] == "NO_WITHHOLDING"), "{flags:?}");
    // Anybody with the file, the key and the genesis finds the same.
    let verified = verify(&bytes, &trust(service)).unwrap();
    assert_eq!(verified.report.size, view["size"].as_u64().unwrap());

    // Before the correction it was the other figure, and still is at that size.
    let earlier = made(service, &hong_kong, &query, Some(before));
    assert_eq!(earlier["totals"]["withholding"], "24750.00");

    // The taxpayer asks the same and gets the same; nobody else gets anything.
    let (own, other, third) =
        (token_of(service, &buyer.author), token_of(service, &seller.author), token_of(service, &stranger.author));
    let asked = json!({ "query": query, "size": view["size"] });
    let answer = ask(service, &own, &asked);
    assert_eq!((answer.status, &answer.json()["id"]), (201, &view["id"]), "{}", answer.text());
    let id = view["id"].as_str().unwrap();
    assert_eq!(get_as(service, &format!("/v1/reports/{id}"), &own).body, bytes);
    for token in [&other, &third] {
        assert_eq!(ask(service, token, &asked).status, 404);
        assert_eq!(get_as(service, &format!("/v1/reports/{id}"), token).status, 404);
    }
    let refused = ask(service, &hong_kong, &asked);
    assert_eq!((refused.status, &refused.problem()["code"]), (400, &"reason_needed".into()));
    let refused = get_as(service, &format!("/v1/reports/{id}"), &hong_kong);
    assert_eq!((refused.status, &refused.problem()["code"]), (400, &"reason_needed".into()));
    assert_eq!(get_as(service, &format!("/v1/reports/{id}?{REASON}"), &officer(service, "SG")).status, 404);
    assert_eq!(get_as(service, &format!("/v1/reports/{}?{REASON}", "0".repeat(64)), &hong_kong).status, 404);
    let auditor = token_made(service, &["--role", "auditor"]).0;
    assert_eq!(get_as(service, &format!("/v1/reports/{id}?{REASON}"), &auditor).status, 401);
}

#[test]
fn a_query_that_is_none_is_refused_with_its_place() {
    let service = service();
    let company = Company::new(service, "asks wrongly");
    let token = token_of(service, &company.author);
    let party = company.author.party.to_hex();
    let size = shared::size(service);
    for (request, status, code, pointer) in [
        (json!([]), 400, "malformed_request", ""),
        (json!({ "query": { "taxpayer": party }, "as_of": 3 }), 400, "malformed_request", "/as_of"),
        (json!({ "query": { "taxpayer": party }, "case_reference": "C" }), 400, "reason_needed", "/purpose"),
        (json!({ "query": {} }), 422, "invalid_query", "/query/taxpayer"),
        (json!({ "query": { "taxpayer": "Lam" } }), 422, "invalid_query", "/query/taxpayer"),
        (
            json!({ "query": { "taxpayer": party, "years": ["2026/27", "2025/26"] } }),
            422,
            "invalid_query",
            "/query/years",
        ),
        (json!({ "query": { "taxpayer": party, "years": ["2026/28"] } }), 422, "invalid_query", "/query/years/0"),
        (
            json!({ "query": { "taxpayer": party, "nature": "'; DROP TABLE vault.report" } }),
            422,
            "invalid_query",
            "/query/nature",
        ),
        (json!({ "query": { "taxpayer": party, "amount_min": "1e400" } }), 422, "invalid_query", "/query/amount_min"),
        (json!({ "query": { "taxpayer": party }, "size": size + 1_000_000 }), 422, "size_beyond_log", "/size"),
        (json!({ "query": { "taxpayer": party }, "size": 0 }), 422, "size_beyond_log", "/size"),
        (json!({ "query": { "taxpayer": "ab".repeat(32) } }), 404, "not_found", ""),
        (json!({ "query": { "taxpayer": "00000000" } }), 404, "not_found", ""),
    ] {
        let answer = ask(service, &token, &request);
        let problem = answer.problem();
        let found = (answer.status, problem["code"].as_str().unwrap(), problem["pointer"].as_str().unwrap());
        assert_eq!(found, (status, code, pointer), "{request}: {problem}");
    }
    assert_eq!(service.post_to("/v1/reports/ip-expenditure", b"{}").status, 401);
}

#[test]
fn a_taxpayer_is_named_by_its_number_where_only_one_has_it() {
    let service = service();
    let (one, same, other) = (
        Company::numbered(service, "numbered one", "55500001"),
        Company::numbered(service, "numbered same", "55500001"),
        Company::numbered(service, "numbered other", "55500002"),
    );
    // A number that only a profile gives is one, too, and a second one of a party leaves the first.
    let profiled = Company::new(service, "numbered later");
    Books::of(service, &profiled).profile_with("55500003");
    Books::of(service, &other).profile_with("55500004");
    let officer = officer(service, "HK");
    for (number, company) in [("55500003", &profiled), ("55500004", &other)] {
        let party = company.author.party.to_hex();
        assert_eq!(made(service, &officer, &json!({ "taxpayer": number }), None)["taxpayer"], party);
        let listed = service.get(&format!("/v1/parties?brn={number}")).json();
        let shown = company.author.party.shown("pty").to_string();
        assert_eq!((listed["parties"].as_array().unwrap().len(), &listed["parties"][0]["id"]), (1, &shown.into()));
    }
    // What the schema step finds in a log that is older than it.
    let differing = "SELECT count(*) FROM view.evidence_party JOIN log.entry USING (idx) WHERE brn IS DISTINCT FROM (
        convert_from(decode(convert_from(body, 'UTF8')::jsonb ->> 'payload', 'base64'), 'UTF8')::jsonb
            #>> '{predicate,claim,brn}')";
    let said = "SELECT count(*) > 1 FROM view.evidence_party WHERE brn IS NOT NULL";
    assert_eq!((service.sql(differing).unwrap(), service.sql(said).unwrap()), ("0".into(), "t".into()));
    let view = made(service, &officer, &json!({ "taxpayer": "55500002" }), None);
    assert_eq!(view["taxpayer"], other.author.party.to_hex());
    let shown = other.author.party.shown("pty").to_string();
    assert_eq!(made(service, &officer, &json!({ "taxpayer": shown }), None)["taxpayer"], view["taxpayer"]);
    let request = json!({ "query": { "taxpayer": "55500001" }, "case_reference": "C", "purpose": "P" });
    let problem = ask(service, &officer, &request).problem();
    assert_eq!((&problem["status"], &problem["code"]), (&422.into(), &"taxpayer_ambiguous".into()), "{problem}");
    for company in [&one, &same] {
        assert!(
            problem["detail"].as_str().unwrap().contains(&company.author.party.shown("pty").to_string()),
            "{problem}"
        );
        // A company that asks by its number means itself.
        let own = ask(service, &token_of(service, &company.author), &json!({ "query": { "taxpayer": "55500001" } }));
        assert_eq!((own.status, &own.json()["taxpayer"]), (201, &company.author.party.to_hex().into()));
    }
}

#[test]
fn who_does_not_wait_is_told_how_far_it_is() {
    let service = service();
    let company = Company::new(service, "does not wait");
    let mut books = Books::of(service, &company);
    for number in 0..20 {
        books.royalty("Licensor", "US", &format!("W-{number}"), &figures("10.00", "HKD"));
    }
    let request = json!({ "query": { "taxpayer": company.author.party.to_hex() } }).to_string();
    let authorization = format!("Bearer {}", token_of(service, &company.author));
    let headers = [("Authorization", authorization.as_str()), ("Prefer", "respond-async")];
    let again = || service.post_with("/v1/reports/ip-expenditure", request.as_bytes(), &headers);
    let first = again();
    assert_eq!((first.status, first.header("retry-after")), (202, Some("1")), "{}", first.text());
    let progress = first.json();
    assert!(["gathering", "computing", "proving", "keeping"].contains(&progress["stage"].as_str().unwrap()));
    assert!(progress["size"].as_u64().unwrap() > 20);
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    let made = loop {
        let answer = again();
        if answer.status != 202 {
            break answer;
        }
        assert!(std::time::Instant::now() < deadline, "{}", answer.text());
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    assert_eq!((made.status, &made.json()["size"]), (201, &progress["size"]), "{}", made.text());
    // One record, however often it was asked how far it was.
    let party = company.author.party.to_hex();
    let records = service.sql(&format!("SELECT count(*) FROM vault.access WHERE statement = '\\x{party}'")).unwrap();
    assert_eq!(records, "1");
}

#[test]
fn lines_are_filtered_and_paged_and_every_line_opens() {
    let service = service();
    let company = Company::new(service, "has many lines");
    let mut books = Books::of(service, &company);
    books.profile();
    let entries: Vec<_> = (1..=7)
        .map(|number| {
            books.royalty("Licensor", "US", &format!("L-{number}"), &figures(&format!("{number}000.00"), "HKD"))
        })
        .collect();
    let token = token_of(service, &company.author);
    let view = ask(service, &token, &json!({ "query": { "taxpayer": company.author.party.to_hex() } })).json();
    let id = view["id"].as_str().unwrap();
    let lines = |query: &str| get_as(service, &format!("/v1/reports/{id}/lines?{query}"), &token);
    let all = lines("").json();
    assert_eq!((&all["number"], &all["totals"]), (&view["lines"], &view["totals"]));
    assert!(all.get("next").is_none());
    // A page at a time, by cursor: all of them, each once.
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = lines(&format!("limit=3{cursor}")).json();
        assert_eq!(page["totals"], all["totals"]);
        paged.extend(page["lines"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(&paged, all["lines"].as_array().unwrap());
    for (query, number) in [
        ("kind=deduction", 7),
        ("kind=withholding", 7),
        ("kind=receipt", 0),
        ("kind=deduction&amount_min=5000.00", 3),
        ("kind=deduction&amount_min=2000.00&amount_max=3000.00", 2),
        ("year=2026%2F27&nature=royalty", 14),
        ("year=2025%2F26", 0),
        ("associate=true", 0),
        ("kind=deduction&status=active", 7),
        ("asset=", 400),
        ("kind=nonsense", 400),
        ("nature=x%27%20OR%201%3D1", 400),
        ("limit=0", 400),
        ("cursor=1.1.1", 400),
        ("order=amount", 400),
    ] {
        let answer = lines(query);
        if number == 400 {
            assert_eq!(answer.status, 400, "{query}: {}", answer.text());
        } else {
            assert_eq!(answer.json()["number"], number, "{query}: {}", answer.text());
        }
    }
    // Each line leads to an entry, its document and its opening.
    let report: Value = serde_json::from_slice(&get_as(service, &format!("/v1/reports/{id}"), &token).body).unwrap();
    for line in report["report"]["lines"].as_array().unwrap() {
        let number = line["line"].as_u64().unwrap();
        let evidence = get_as(service, &format!("/v1/reports/{id}/lines/{number}/evidence"), &token).json();
        assert_eq!(&evidence["line"], line);
        let [entry] = evidence["entries"].as_array().unwrap().as_slice() else { panic!("{evidence}") };
        assert!(entries.iter().any(|id| entry["statement_id"] == id.to_hex()), "{entry}");
        assert_eq!((&entry["kind"], &entry["document"]), (&"expenditure".into(), &line["payment"]["document"]));
        assert_eq!(
            (&entry["file"], &entry["openings"][0]["value"]),
            (&line["payment"]["file"], &line["payment"]["gross"])
        );
        assert_eq!(entry["signers"], json!([company.author.party.to_hex()]));
    }
    assert_eq!(get_as(service, &format!("/v1/reports/{id}/lines/99999/evidence"), &token).status, 404);
    assert_eq!(get_as(service, &format!("/v1/reports/{id}/lines/x/evidence"), &token).status, 400);
}

/// The audit's verdict, and what a rebuild mends.
fn audit_and_rebuild(service: &Service) -> (Value, Value) {
    let (home, data) = (Home::new(), service.directory.to_str().unwrap());
    let behind = "SELECT size - applied_size FROM log.log_state, view.following";
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while service.sql(behind).unwrap() != "0" {
        assert!(std::time::Instant::now() < deadline, "the tables that follow do not");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let (code, audit) = home.json(&["audit", "--data-dir", data]);
    assert_eq!(code, 0, "{audit}");
    let (code, rebuilt) = home.json(&["db", "rebuild", "--data-dir", data]);
    assert_eq!(code, 0, "{rebuilt}");
    (audit["state"].clone(), rebuilt["mended"].clone())
}
