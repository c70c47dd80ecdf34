//! Who may see what: every endpoint of the interface, asked by every role, about what is their own and what is not.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Payment, get_as, officer, service, token_made, token_of};
use crate::harness::{Answer, Service, is_soak};
use crate::make::Author;
use crate::shared;

/// Planted as an amount; it must turn up where it was asked for by whoever may, and nowhere else.
const CANARY: &str = "73190246.58";

/// Endpoints that show nothing without a token, with the statuses that every role gets about its own and about others'.
/// In the order of [`ROLES`]: nobody, payer, payee, stranger, officer of Hong Kong, officer of Singapore, auditor, operator.
const EXPECTED: [(&str, [u16; 8]); 9] = [
    ("/v1/statements/{id}/openings", [401, 200, 200, 404, 200, 404, 401, 401]),
    ("/v1/accesses", [401, 200, 200, 200, 404, 404, 200, 200]),
    ("/v1/reports/ip-expenditure", [401, 201, 404, 404, 201, 404, 401, 401]),
    ("/v1/reports/ip-expenditure/summary", [401, 401, 401, 401, 200, 404, 401, 401]),
    ("/v1/reports/{id}", REPORT),
    ("/v1/reports/{id}/lines", REPORT),
    ("/v1/reports/{id}/lines/{n}/evidence", REPORT),
    ("/v1/reports/{id}/export", REPORT),
    ("/v1/reports/{id}/export/signature", REPORT),
];

/// A report on the payer.
const REPORT: [u16; 8] = [401, 200, 404, 404, 200, 404, 401, 401];

/// Endpoints whose answers hold what was sealed.
const SHOWING: [&str; 5] = [
    "/v1/statements/{id}/openings",
    "/v1/reports/{id}",
    "/v1/reports/{id}/lines",
    "/v1/reports/{id}/lines/{n}/evidence",
    "/v1/reports/{id}/export",
];

const ROLES: [&str; 8] = ["nobody", "payer", "payee", "stranger", "officer HK", "officer SG", "auditor", "operator"];

struct Cast {
    payer: Author,
    payment: Payment,
    tokens: Vec<String>,
}

fn cast(label: &str) -> Cast {
    let service = service();
    let author = |name: &str| shared::author(service, &format!("{label} {name}"));
    let (payer, payee, stranger) = (author("payer"), author("payee"), author("stranger"));
    let payment = Payment::new(&payer, &payee, label, CANARY).entered(service);
    let tokens = vec![
        String::new(),
        token_of(service, &payer),
        token_of(service, &payee),
        token_of(service, &stranger),
        officer(service, "HK"),
        officer(service, "SG"),
        token_made(service, &["--role", "auditor"]).0,
        token_made(service, &["--role", "operator"]).0,
    ];
    Cast { payer, payment, tokens }
}

/// Asks for a report on everything of a party.
fn report(service: &Service, taxpayer: &Author, token: &str, reason: Option<(&str, &str)>) -> Answer {
    let mut request = json!({ "query": { "taxpayer": taxpayer.party.to_hex() } });
    if let Some((case_reference, purpose)) = reason {
        request["case_reference"] = case_reference.into();
        request["purpose"] = purpose.into();
    }
    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", authorization.as_str())];
    service.post_with("/v1/reports/ip-expenditure", request.to_string().as_bytes(), &headers)
}

/// Whatever the format, whoever may not gets nothing of it.
fn no_format_shows_more(service: &Service, report_id: &str, tokens: &[String]) {
    for format in ["json", "csv", "xlsx"] {
        let exported = |(role, token): (&&str, &String)| {
            let reason = if role.starts_with("officer") { "&case_reference=IRD%2F1&purpose=audit" } else { "" };
            let answer = get_as(service, &format!("/v1/reports/{report_id}/export?format={format}{reason}"), token);
            let is_there = answer.text_lossy().contains(CANARY);
            // What is in a workbook is compressed.
            assert!(is_there == (answer.status == 200) || format == "xlsx" && !is_there, "{role} {format}");
            answer.status
        };
        assert_eq!(ROLES.iter().zip(tokens).map(exported).collect::<Vec<_>>(), REPORT, "{format}");
    }
}

#[test]
fn every_endpoint_shows_every_role_what_it_may_see_and_no_more() {
    let service = service();
    let Cast { payer, payment, tokens } = cast("matrix");
    let artefact = payer.artefact("matrix artefact");
    assert_eq!(service.post(&artefact.to_request()).status, 201);
    // So that there is a checkpoint of the access log throughout.
    while service.get("/v1/accesses/checkpoint").status != 200 {
        assert_eq!(get_as(service, &format!("/v1/statements/{}/openings", payment.id), &tokens[1]).status, 200);
        thread::sleep(Duration::from_millis(100));
    }
    let made = report(service, &payer, &tokens[1], None);
    assert_eq!(made.status, 201, "{}", made.text());
    let report_id = made.json()["id"].as_str().unwrap().to_owned();
    let document: Value = serde_json::from_str(&chopmark_api::openapi_json()).unwrap();
    let manifest = artefact.statement.subject.to_hex();
    let (mut untested, mut asked, mut asked_of) = (Vec::new(), 0, 0);
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let expected = EXPECTED.iter().find(|(known, _)| known == path);
            if operation.get("security").is_some() && expected.is_none() {
                untested.push(format!("{method} {path}\n"));
            }
            if let (true, Some((_, expected))) = (method == "post" && path.ends_with("ip-expenditure"), expected) {
                let asked = ROLES.iter().zip(&tokens).map(|(role, token)| {
                    let reason = role.starts_with("officer").then_some(("IRD/1", "audit"));
                    let answer = report(service, &payer, token, reason);
                    assert_eq!(answer.text().contains("totals"), answer.status == 201, "{role}");
                    answer.status
                });
                assert_eq!(asked.collect::<Vec<_>>(), expected, "{path}");
                asked_of += 1;
            }
            if method != "get" {
                continue;
            }
            let id = match path.as_str() {
                path if path.contains("reports") => report_id.clone(),
                path if path.contains("parties") => payer.party.to_hex(),
                path if path.contains("artefacts") || path.ends_with("bundle") => artefact.statement.id.to_hex(),
                _ => payment.id.clone(),
            };
            let filled = path.replace("{id}", &id).replace("{sha256}", &manifest).replace("{path:.*}", "0/000.p/2");
            let filled = filled.replace("{n}", "1");
            let filled = filled.replace("{path}", "0/000.p/2");
            let filled = filled.replace("{size}/{index}", "2/0").replace("{old}/{new}", "1/2");
            let mut statuses = Vec::new();
            for (role, token) in ROLES.iter().zip(&tokens) {
                let needs_reason = path.ends_with("openings") || path.contains("reports");
                let reason = if role.starts_with("officer") && needs_reason {
                    "?case_reference=IRD%2F1&purpose=audit"
                } else {
                    ""
                };
                let answer = get_as(service, &format!("{filled}{reason}"), token);
                // Sums of one payment are its amount; with others of the same jurisdiction they are not.
                let is_sum = path.ends_with("/summary") && answer.status == 200;
                let may_show = SHOWING.contains(&path.as_str()) && answer.status == 200;
                assert!(
                    is_sum || answer.text_lossy().contains(CANARY) == may_show,
                    "{role} {path}: {}",
                    answer.text_lossy()
                );
                statuses.push(answer.status);
                asked += 1;
            }
            match expected {
                Some((_, expected)) => assert_eq!(statuses, expected, "{path}"),
                None => assert!(statuses.iter().all(|status| *status == statuses[0]), "{path}: {statuses:?}"),
            }
        }
    }
    assert_eq!(asked_of, 1, "reports are made by one endpoint");
    no_format_shows_more(service, &report_id, &tokens);
    println!("{asked} requests of {} roles", ROLES.len());
    // Endpoints whose authorisation nothing tests: none, and none may be added.
    let snapshot = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/sealed/untested.txt");
    assert_eq!(untested.concat(), fs::read_to_string(snapshot).unwrap());

    // Searches, hostile parameters, metrics and the log with everything shown.
    let opened = |query: &str| get_as(service, &format!("/v1/statements/{}/openings?{query}", payment.id), &tokens[1]);
    assert_eq!(opened("field=amount").json()["fields"].as_array().unwrap().len(), 1);
    for (query, status) in [
        ("field=%27%20OR%201%3D1--", 404),
        ("field=%2F%25", 404),
        ("order=1%3B%20DROP%20TABLE%20vault.opening", 400),
        ("case_reference=x", 400),
        ("case_reference=x&purpose=%E2%80%AE", 400),
    ] {
        assert_eq!(opened(query).status, status, "{query}");
    }
    let officer_path = format!("/v1/statements/{}/openings", payment.id);
    let refused = get_as(service, &officer_path, &tokens[4]);
    assert_eq!((refused.status, refused.problem()["code"].as_str()), (400, Some("reason_needed")));
    let found = service.get(&format!("/v1/artefacts?q={CANARY}"));
    assert!(!found.text().contains(CANARY));
    let metrics = ureq::get(format!("{}/metrics", service.metrics_url())).call().unwrap();
    let metrics = metrics.into_body().read_to_string().unwrap();
    assert!(metrics.contains("chopmark_") && !metrics.contains(CANARY));
    let log = service.errors();
    assert!(log.contains("http.request") && !log.contains(CANARY));
    for token in &tokens[1..] {
        assert!(!log.contains(token.as_str()), "a token is in the log");
    }
    let schemas = service.sql("SELECT string_agg(entry::text, ' ') FROM log.entry AS entry").unwrap();
    assert!(!schemas.contains(CANARY) && !schemas.contains(&data_encoding::HEXLOWER.encode(CANARY.as_bytes())));
}

#[test]
fn row_security_is_a_second_wall() {
    let service = service();
    let Cast { payer, payment, tokens } = cast("second wall");
    let (statement, party) = (&payment.id, payer.party.to_hex());
    let attempt = |role: &str, bound_to: &str, extra: &str| {
        service.sql(&format!(
            "SET ROLE chopmark_app; BEGIN; SELECT set_config('chopmark.role', '{role}', true),
             set_config('chopmark.bound_to', '{bound_to}', true), set_config('chopmark.token', 'wall', true); {extra};
             SELECT 'seen ' || count(*) FROM vault.opening WHERE statement = '\\x{statement}'; ROLLBACK"
        ))
    };
    let record = |role: &str, bound_to: &str| {
        format!(
            "INSERT INTO vault.access (id, statement, role, bound_to, token, body, shown_from)
             VALUES ('\\x{}', '\\x{statement}', '{role}', '{bound_to}', 'wall', '\\x7b7d', now())",
            "0".repeat(32)
        )
    };
    assert!(attempt("", "", "SELECT ''").unwrap().contains("seen 0"), "nobody said who acts");
    assert!(attempt("party", &party, "SELECT ''").unwrap().contains("seen 0"), "no record, no data");
    assert!(attempt("party", &party, &record("party", &party)).unwrap().contains("seen 6"));
    for (role, bound_to) in [("party", "ab".repeat(32)), ("officer", "SG".to_owned()), ("auditor", String::new())] {
        let refused = attempt(role, &bound_to, &record(role, &bound_to)).unwrap_err();
        assert!(refused.contains("row-level security"), "{refused}");
        assert!(attempt(role, &bound_to, "SELECT ''").unwrap().contains("seen 0"));
    }
    let as_another = attempt("party", &party, &record("officer", "HK")).unwrap_err();
    assert!(as_another.contains("row-level security"), "{as_another}");
    // Nor anything of the other tables, by whoever is not the service.
    let counted = |role: &str, bound_to: &str, table: &str| {
        let rows = service.sql(&format!(
            "SET ROLE chopmark_app; BEGIN; SELECT set_config('chopmark.role', '{role}', true),
             set_config('chopmark.bound_to', '{bound_to}', true), set_config('chopmark.token', 'wall', true);
             SELECT 'seen ' || count(*) FROM vault.{table}; ROLLBACK"
        ));
        let rows = rows.unwrap();
        let seen = rows.split("seen ").nth(1).unwrap();
        seen.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(get_as(service, &format!("/v1/statements/{statement}/openings"), &tokens[1]).status, 200);
    assert_eq!(report(service, &payer, &tokens[1], None).status, 201);
    for table in ["wrapping_key", "opening", "reader", "token", "report", "access"] {
        assert!(counted("service", "", table) > 0, "{table} is empty");
    }
    for (role, bound_to) in [("", String::new()), ("party", "ab".repeat(32)), ("officer", "AQ".to_owned())] {
        let tables = [
            "wrapping_key",
            "opening",
            "reader",
            "token",
            "challenge",
            "report",
            "report_sum",
            "access",
            "access_leaf",
        ];
        for table in tables {
            assert_eq!(counted(role, &bound_to, table), 0, "{role} {table}");
        }
    }
    let facts =
        "SELECT bool_and(relrowsecurity AND relforcerowsecurity AND pg_get_userbyid(relowner) <> 'chopmark_app')
                 FROM pg_class WHERE relnamespace = 'vault'::regnamespace AND relkind = 'r'";
    assert_eq!(service.sql(facts).unwrap(), "t");
    assert_eq!(
        service.sql("SELECT rolbypassrls OR rolsuper FROM pg_roles WHERE rolname = 'chopmark_app'").unwrap(),
        "f"
    );
}

#[test]
fn nothing_leaves_without_its_record() {
    let place = crate::harness::place();
    let service = crate::harness::Service::start(place.path());
    let (payer, payee) = (shared::author(&service, "unrecorded"), shared::author(&service, "unrecorded payee"));
    let payment = Payment::new(&payer, &payee, "unrecorded", CANARY).entered(&service);
    let officer = officer(&service, "HK");
    let path = format!("/v1/statements/{}/openings?case_reference=C&purpose=P", payment.id);
    let payers = token_of(&service, &payer);
    let made = report(&service, &payer, &payers, None);
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(service.sql("SELECT count(*) FROM vault.access").unwrap(), "1");
    let columns = "id, statement, role, bound_to, token, body, shown_from";
    service.sql(&format!("REVOKE INSERT ({columns}) ON vault.access FROM chopmark_vault")).unwrap();
    for token in [&officer, &token_of(&service, &payer)] {
        let answer = get_as(&service, &path, token);
        assert_eq!(answer.status, 503, "{}", answer.text());
        let salt =
            data_encoding::BASE64.encode(payment.submission.openings.as_ref().unwrap().fields[0].salt.as_bytes());
        assert!(!answer.text().contains(CANARY) && !answer.text().contains(&salt));
    }
    // Nor anything of reports, by any way that shows some of one.
    let reason = "case_reference=C&purpose=P";
    for (path, _) in EXPECTED.iter().filter(|(path, _)| path.starts_with("/v1/reports/")) {
        for token in [&officer, &payers] {
            let answer = if path.ends_with("ip-expenditure") {
                report(&service, &payer, token, (token == &officer).then_some(("C", "P")))
            } else {
                let path = path.replace("{id}", &id).replace("{n}", "1");
                get_as(&service, &format!("{path}?{reason}"), token)
            };
            let is_for_officers = path.ends_with("/summary") && token == &payers;
            assert_eq!(answer.status, if is_for_officers { 401 } else { 503 }, "{path}: {}", answer.text_lossy());
            let text = answer.text_lossy();
            assert!(!text.contains(CANARY) && !text.contains("totals"), "{path}: {text}");
        }
    }
    let one =
        get_as(&service, &format!("/v1/reports/ip-expenditure/summary?taxpayer={}&{reason}", payer.party), &officer);
    assert!(one.status == 503 && !one.text().contains(CANARY), "{}", one.text());
    service.sql(&format!("GRANT INSERT ({columns}) ON vault.access TO chopmark_vault")).unwrap();
    assert_eq!(service.sql("SELECT count(*) FROM vault.access").unwrap(), "1");
    let opened = get_as(&service, &path, &officer);
    assert!(opened.status == 200 && opened.text().contains(CANARY), "{}", opened.text());
    assert_eq!(service.sql("SELECT count(*) FROM vault.access").unwrap(), "2");
    service.stop();
}

#[test]
fn as_many_records_as_readings_however_many_read_at_once() {
    let service = service();
    let Cast { payer, payment, tokens, .. } = cast("many");
    let (readers, each) = if is_soak() { (50, 200) } else { (10, 20) };
    let path = format!("/v1/statements/{}/openings?case_reference=IRD%2F7&purpose=%E7%A8%85%E5%8B%99", payment.id);
    let took = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..readers {
            scope.spawn(|| {
                for _ in 0..each {
                    let begun = Instant::now();
                    let mut answer = get_as(service, &path, &tokens[4]);
                    while answer.status == 503 {
                        answer = get_as(service, &path, &tokens[4]);
                    }
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    took.lock().unwrap().push(begun.elapsed());
                }
            });
        }
    });
    let mut took = took.into_inner().unwrap();
    took.sort_unstable();
    let number = readers * each;
    let figure = |percent: usize| took[number * percent / 100 - 1].as_secs_f64() * 1_000.0;
    println!("{number} readings by {readers} at once, each by one officer, with a case and its record");
    println!("bench: access.officer_read_p50_ms = {:.1} ms", figure(50));
    println!("bench: access.officer_read_p99_ms = {:.1} ms", figure(99));
    let rows = service
        .sql(&format!("SELECT count(*) FROM vault.access WHERE statement = '\\x{}' AND role = 'officer'", payment.id))
        .unwrap();
    assert_eq!(rows, number.to_string());

    // All of them are in the access log, and the party sees them, under their case.
    let deadline = Instant::now() + Duration::from_mins(1);
    let seen = loop {
        let mut seen = BTreeMap::new();
        let mut path = "/v1/accesses".to_owned();
        let token = token_of(service, &payer);
        loop {
            let page = get_as(service, &path, &token).json();
            for access in page["accesses"].as_array().unwrap() {
                assert_eq!(access["record"]["statement"], payment.id, "only what is theirs");
                seen.insert(access["index"].as_u64().unwrap(), access["record"].clone());
            }
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/v1/accesses?cursor={next}");
        }
        if seen.len() >= number || Instant::now() > deadline {
            break seen;
        }
        thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(seen.len(), number);
    for record in seen.values() {
        assert_eq!((&record["role"], &record["bound_to"]), (&"officer".into(), &"HK".into()));
        assert_eq!(record["reason"], serde_json::json!({"case_reference": "IRD/7", "purpose": "稅務"}));
    }
    let key = shared::registry(service).1;
    let origin = chopmark_core::access::access_log_origin(key.name());
    let key = chopmark_core::ledger::note::VerifierKey::new(origin, *key.public_key()).unwrap();
    let last = *seen.keys().last().unwrap();
    let newest = loop {
        let note = service.get("/v1/accesses/checkpoint");
        let signed = (note.status == 200).then(|| {
            chopmark_core::ledger::checkpoint::open_checkpoint(note.text(), core::slice::from_ref(&key)).unwrap()
        });
        match signed.filter(|checkpoint| checkpoint.size() > last) {
            Some(checkpoint) => break checkpoint,
            None => assert!(Instant::now() < deadline, "the access log is not signed"),
        }
        thread::sleep(Duration::from_millis(100));
    };
    println!("access log of {} records, signed", newest.size());
    // Nobody else sees any of it, but auditor and operator see all.
    for (token, expected) in [(&tokens[3], 0), (&tokens[6], 100), (&tokens[7], 100)] {
        let page = get_as(service, "/v1/accesses", token).json();
        assert_eq!(page["accesses"].as_array().unwrap().len(), expected);
    }
}
