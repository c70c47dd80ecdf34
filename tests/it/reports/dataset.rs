//! Reports of a whole jurisdiction computed anew, and their lines as Parquet, read with `DuckDB`: the same sums as those that are
//! kept, and a kept sum that is not of the lines is found out.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::note::Note;
use data_encoding::BASE64;
use serde_json::{Value, json};

use super::books::{Books, Company, figures};
use super::{REASON, ask, policy};
use crate::harness::{Home, Ran, Service, place};
use crate::sealed::{get_as, officer, token_made, token_of};
use crate::shared;

/// Runs a query over files that a pattern names; rows of texts, ascending.
pub fn duckdb(pattern: &Path, query: &str) -> Value {
    const PROGRAM: &str = "
import duckdb, json, sys
pattern, query = json.load(sys.stdin)
connection = duckdb.connect()
connection.execute(f\"CREATE VIEW lines AS SELECT * FROM read_parquet('{pattern}', hive_partitioning = true)\")
rows = connection.execute(query).fetchall()
print(json.dumps(sorted([None if cell is None else str(cell) for cell in row] for row in rows)))
";
    let python = std::env::var_os("CHOPMARK_TEST_DUCKDB");
    let python =
        python.expect("CHOPMARK_TEST_DUCKDB must name what scripts/install-duckdb.sh prints; `make test` sets it");
    let mut child =
        Command::new(python).args(["-c", PROGRAM]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let request = json!([pattern.to_str().unwrap(), query]).to_string();
    child.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
    let said = child.wait_with_output().unwrap();
    assert!(said.status.success());
    serde_json::from_slice(&said.stdout).unwrap()
}

fn recompute(service: &Service, token: Option<&str>, more: &[&str]) -> Ran {
    let (home, data) = (Home::new(), service.directory.to_str().unwrap());
    let command = ["report", "recompute", "--case", "C-2026-17", "--purpose", "audit", "--json", "--data-dir", data];
    let mut command = home.command(&[&command[..], more].concat());
    if let Some(token) = token {
        command.env("CHOPMARK_TOKEN", token);
    }
    Ran::of(command.output().unwrap())
}

/// A dataset is checked with its signature and a policy; with a file more, a file less or a byte otherwise it is refused.
fn is_verified_and_nothing_else(dataset: &Path, policy: &str) {
    let home = Home::new();
    fs::write(home.file("policy.toml"), policy).unwrap();
    let description = dataset.join("dataset.json");
    let verify = || home.json(&["report", "verify", description.to_str().unwrap(), "--trust", "policy.toml"]);
    let (code, verified) = verify();
    assert_eq!((code, &verified["place"]), (0, &json!("HK")), "{verified}");
    let described = fs::read(&description).unwrap();
    let value: Value = serde_json::from_slice(&described).unwrap();
    assert_eq!((&verified["size"], &verified["root"]), (&value["size"], &value["root"]));
    let listed = value["files"].as_array().unwrap();
    assert_eq!(verified["files"], listed.len());
    let stranger = dataset.join("jurisdiction=HK/lines.parquet");
    fs::write(&stranger, "more").unwrap();
    assert_eq!(verify().0, 6);
    fs::remove_file(&stranger).unwrap();
    for path in [description.clone(), dataset.join(listed[0]["path"].as_str().unwrap())] {
        let bytes = fs::read(&path).unwrap();
        let mut changed = bytes.clone();
        *changed.last_mut().unwrap() ^= 1;
        fs::write(&path, changed).unwrap();
        assert_eq!(verify().0, 6, "{}", path.display());
        fs::write(&path, bytes).unwrap();
    }
    assert_eq!(verify().0, 0);
}

#[test]
fn a_jurisdiction_is_computed_anew_and_its_dataset_adds_up() {
    let place = place();
    let service = Service::start(place.path());
    let (one, two) = (Company::new(&service, "dataset one"), Company::new(&service, "dataset two"));
    let mut books = Books::of(&service, &one);
    books.profile();
    let right = books.asset("軟件版權");
    books.purchase(&two, right, "D-1", &figures("3000.03", "HKD"));
    books.used(right, "2026/27", "1");
    books.royalty("=Licensor", "US", "D-2", &figures("100.00", "HKD"));
    Books::of(&service, &two).royalty("Licensor", "GB", "D-3", &figures("77.77", "HKD"));
    // As much as a statement takes, and more than eight bytes of cents hold.
    Books::of(&service, &two).royalty("Licensor", "GB", "D-0", &figures("999999999999999999.99", "HKD"));

    let desk = officer(&service, "HK");
    let dataset = place.path().join("figures/dataset");
    let to = dataset.to_str().unwrap();
    let done = recompute(&service, Some(&desk), &["--parquet", to]);
    assert_eq!(done.code, 0, "{done:?}");
    let document = done.document();
    assert_eq!(
        (&document["taxpayers"], &document["equal"], &document["left_out"]),
        (&json!(2), &json!(true), &json!([]))
    );
    // Each taxpayer's evidence was read with a record, which says under which case.
    let records = "SELECT count(*) FROM vault.access WHERE convert_from(body, 'UTF8') LIKE '%C-2026-17%'";
    assert_eq!(service.sql(records).unwrap(), "3");

    // The same sums as the summary says, read by a program that knows nothing of ours.
    let summary = get_as(&service, &format!("/v1/reports/ip-expenditure/summary?{REASON}"), &desk).json();
    let pattern = dataset.join("**/*.parquet");
    let kinds = ["deduction", "receipt", "withholding", "concession"];
    let mut expected: Vec<Vec<Value>> = Vec::new();
    for cell in summary["cells"].as_array().unwrap() {
        for kind in kinds.iter().filter(|kind| cell["totals"][kind] != "0.00") {
            let row = [&cell["year"], &cell["ip_type"], &cell["section"], &json!(kind), &cell["totals"][kind]];
            expected.push(row.map(Clone::clone).to_vec());
        }
    }
    expected.sort_by_key(|row| Value::from(row.clone()).to_string());
    assert!(expected.len() >= 3, "{expected:?}");
    let sums = "SELECT year, ip_type, section, kind, sum(amount) FROM lines
                WHERE jurisdiction = 'HK' AND year_of_assessment IN ('2024-25', '2025-26', '2026-27', '2027-28', '2028-29',
                    '2029-30', '2030-31') GROUP BY ALL HAVING sum(amount) <> 0";
    let mut found: Vec<Vec<Value>> = serde_json::from_value(duckdb(&pattern, sums)).unwrap();
    found.sort_by_key(|row| Value::from(row.clone()).to_string());
    assert_eq!(found, expected);
    let names =
        duckdb(&pattern, "SELECT DISTINCT counterparty_name, paid_on, typeof(paid_on), typeof(amount) FROM lines");
    assert!(names.to_string().contains("[\"=Licensor\",\"2026-05-02\",\"DATE\",\"DECIMAL(38,2)\"]"), "{names}");

    // What it is of, signed.
    let described = fs::read(dataset.join("dataset.json")).unwrap();
    let value: Value = serde_json::from_slice(&described).unwrap();
    let (reference, key) = shared::registry(&service);
    assert_eq!((&value["size"], &value["place"]), (&summary["size"], &json!("HK")));
    for file in value["files"].as_array().unwrap() {
        let bytes = fs::read(dataset.join(file["path"].as_str().unwrap())).unwrap();
        assert_eq!(file["sha256"], json!(Sha256Digest::of(&bytes)));
    }
    let note = Note::parse(&fs::read_to_string(dataset.join("dataset.json.sig")).unwrap()).unwrap();
    assert_eq!(note.verify(core::slice::from_ref(&key)).unwrap().len(), 1);
    let digest = BASE64.encode(Sha256Digest::of(&described).as_bytes());
    assert_eq!(note.text(), format!("chopmark/report-dataset/v1\n{}\n{digest}\n", reference.origin));
    is_verified_and_nothing_else(&dataset, &policy(&service));

    // One taxpayer's lines, exported.
    let own = token_of(&service, &one.author);
    let made = ask(&service, &own, &json!({ "query": { "taxpayer": one.author.party.to_hex() } })).json();
    let path = format!("/v1/reports/{}/export?format=parquet", made["id"].as_str().unwrap());
    let exported = get_as(&service, &path, &own);
    assert_eq!(exported.header("content-type"), Some("application/vnd.apache.parquet"));
    let file = place.path().join("lines.parquet");
    fs::write(&file, &exported.body).unwrap();
    let rows =
        duckdb(&file, "SELECT count(*), count(DISTINCT taxpayer), sum(amount) FILTER (kind = 'deduction') FROM lines");
    assert_eq!(rows, json!([[made["lines"].to_string(), "1", made["totals"]["deduction"]]]));

    // Sums of one taxpayer, for itself and for the officer; nobody else.
    let whose = one.author.party.to_hex();
    let path = format!("/v1/reports/ip-expenditure/summary?taxpayer={whose}");
    let sums = get_as(&service, &path, &own).json();
    assert_eq!(
        (&sums["totals"], &sums["taxpayer"], &sums["jurisdiction"]),
        (&made["totals"], &json!(whose), &Value::Null)
    );
    assert_eq!(get_as(&service, &format!("{path}&{REASON}"), &desk).json(), sums);
    assert_eq!(get_as(&service, &path, &desk).problem()["code"], "reason_needed");
    assert_eq!(get_as(&service, &path, &token_of(&service, &two.author)).status, 404);
    let both = get_as(&service, &format!("{path}&jurisdiction=HK"), &own);
    assert_eq!((both.status, &both.problem()["pointer"]), (400, &json!("/jurisdiction")));
    Books::of(&service, &one).royalty("Licensor", "GB", "D-4", &figures("0.01", "HKD"));
    let more = get_as(&service, &path, &own).json();
    assert_ne!(more["totals"], sums["totals"], "what is new is in the sums at once");

    // Only with an officer's token, and nothing is overwritten.
    let auditor = token_made(&service, &["--role", "auditor", "--scope", "summaries"]).0;
    for token in [None, Some(own.as_str()), Some(auditor.as_str()), Some("chop_live_none")] {
        let refused = recompute(&service, token, &[]);
        assert_eq!(refused.code, 4, "{token:?}: {refused:?}");
    }
    let again = recompute(&service, Some(&desk), &["--parquet", to]);
    assert_eq!(again.code, 2, "{again:?}");
    assert_eq!(fs::read_dir(place.path().join("figures")).unwrap().count(), 1, "nothing half-written is left");

    // A sum that was true once is put in the place of the one that is.
    let keep = "CREATE TABLE public.once AS SELECT * FROM vault.report_sum";
    service.sql(keep).unwrap();
    Books::of(&service, &one).royalty("Licensor", "GB", "D-5", &figures("9.99", "HKD"));
    assert_eq!(recompute(&service, Some(&desk), &[]).code, 0);
    let swap = "UPDATE vault.report_sum AS now SET wrapped_key = once.wrapped_key, sealed = once.sealed
                FROM public.once WHERE once.party = now.party; DROP TABLE public.once";
    service.sql(swap).unwrap();
    let differs = recompute(&service, Some(&desk), &[]);
    assert_eq!((differs.code, &differs.document()["error"]["code"]), (6, &json!("sums_differ")), "{differs:?}");
    service.stop();
}

/// Sales of what was never bought, more of them than can be set aside.
#[test]
fn a_dataset_names_the_taxpayers_that_are_not_in_it() {
    let place = place();
    let service = Service::start(place.path());
    let (one, lost) = (Company::new(&service, "dataset shown"), Company::new(&service, "dataset lost"));
    Books::of(&service, &one).royalty("Licensor", "GB", "L-1", &figures("77.77", "HKD"));
    let mut books = Books::of(&service, &lost);
    let right = books.asset("軟件版權");
    for number in 0..102 {
        books.sale(right, &format!("S-{number}"), &figures("1.00", "HKD"));
    }
    let dataset = place.path().join("dataset");
    let done = recompute(&service, Some(&officer(&service, "HK")), &["--parquet", dataset.to_str().unwrap()]);
    assert_eq!(done.code, 0, "{done:?}");
    let described: Value = serde_json::from_slice(&fs::read(dataset.join("dataset.json")).unwrap()).unwrap();
    assert_eq!(described["left_out"], done.document()["left_out"]);
    assert_eq!(described["left_out"][0]["party"], json!(lost.author.party.to_hex()));
    assert!(described["left_out"][0]["reason"].as_str().unwrap().contains("contradict"), "{described}");
    service.stop();
}
