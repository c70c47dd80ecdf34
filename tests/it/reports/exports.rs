//! Exports, opened again with openpyxl and Python's own reader of CSV: no formulas, numbers that are numbers, Chinese as it was,
//! and a signature over exactly those bytes.

use std::fs;
use std::process::Command;

use chopmark_core::code::Jurisdiction;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::expenditure::{ExpenditureClaim, FxRateClaim, Nature, Outside, Side};
use chopmark_core::kind::Claim;
use chopmark_core::ledger::note::Note;
use data_encoding::BASE64;
use serde_json::{Value, json};

use super::books::{Books, Company, figures};
use super::dataset::duckdb;
use super::{ask, service};
use crate::harness::{Service, is_soak, place};
use crate::sealed::{get_as, token_of};
use crate::shared;

/// Reads a workbook and prints every cell with its type.
const READ_WORKBOOK: &str = "
import json, sys, openpyxl
book = openpyxl.load_workbook(sys.argv[1])
sheets = []
for sheet in book.worksheets:
    rows = [[[cell.data_type, cell.value if not hasattr(cell.value, 'isoformat') else cell.value.isoformat()]
             for cell in row] for row in sheet.iter_rows()]
    sheets.append({'name': sheet.title, 'frozen': sheet.freeze_panes, 'filter': sheet.auto_filter.ref, 'rows': rows})
print(json.dumps(sheets))
";

/// Reads comma-separated values.
const READ_CSV: &str = "
import csv, json, sys
print(json.dumps(list(csv.reader(open(sys.argv[1], encoding='utf-8-sig', newline='')))))
";

fn python(program: &str, bytes: &[u8]) -> Value {
    let place = place();
    let path = place.path().join("export");
    fs::write(&path, bytes).unwrap();
    let packages = std::env::var_os("CHOPMARK_TEST_OPENPYXL");
    let packages = packages
        .expect("CHOPMARK_TEST_OPENPYXL must name what scripts/install-openpyxl.sh prints; `make test` sets it");
    // openpyxl asks for the name to end so.
    let named = place.path().join("export.xlsx");
    fs::rename(&path, &named).unwrap();
    let output =
        Command::new("python3").env("PYTHONPATH", packages).args(["-c", program]).arg(&named).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The books of a new company of this name, with texts that a spreadsheet may take for formulas; its token, and its report.
fn reported(service: &Service, name: &str, title: &str, document: &str) -> (String, String) {
    let (company, seller) = (Company::new(service, name), Company::new(service, &format!("{name} seller")));
    let mut books = Books::of(service, &company);
    books.profile();
    let right = books.asset(title);
    books.purchase(&seller, right, document, &figures("1000000.01", "HKD"));
    books.used(right, "2026/27", "1");
    let royalty = books.royalty("@SUM(A1:A9)", "US", "+852 1234", &figures("12.34", "HKD"));
    books.correct_royalty(royalty, "@SUM(A1:A9)", "US", "+852 1234", &figures("56.78", "HKD"));
    let token = token_of(service, &company.author);
    let view = ask(service, &token, &json!({ "query": { "taxpayer": company.author.party.to_hex() } })).json();
    (token, view["id"].as_str().unwrap().to_owned())
}

/// The root of a report's tree, as signatures write it.
pub(super) fn root_of(report: &Value) -> String {
    let root: Sha256Digest = report["checkpoint"]["root"].as_str().unwrap().parse().unwrap();
    BASE64.encode(root.as_bytes())
}

/// Checks a report against its published schema.
fn follows_its_schema(report: &Value) {
    let schema = include_str!("../../../docs/formats/ip-expenditure.schema.json");
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    let errors: Vec<String> =
        schema.iter_errors(report).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

/// No program makes a date of a year, or a number of what only has digits; looked at where titles are English.
fn have_neither_dates_nor_numbers(rows: &[Value], lines: &[Value]) {
    let column = |title: &str| rows[0].as_array().unwrap().iter().position(|column| column == title);
    let Some(year) = column("year of assessment") else { return };
    let [number, slice, slices] =
        ["business registration number", "slice", "of how many slices"].map(|title| column(title).expect(title));
    for (row, line) in rows[1..].iter().zip(lines) {
        assert_eq!(row[year], format!("'{}", line["year"].as_str().unwrap()));
        assert_eq!(row[number], "'12345678");
        let slice = format!("{}/{}", row[slice].as_str().unwrap(), row[slices].as_str().unwrap());
        assert_eq!(slice, line["slice"].as_str().unwrap_or("/"));
    }
}

#[test]
fn workbooks_and_tables_open_without_formulas_and_with_their_numbers() {
    let service = service();
    let (token, id) = reported(service, "=exports", "=軟件版權，\"第一\"版", "-INV, \"1\"");
    let get = |path: &str| {
        let answer = get_as(service, &format!("/v1/reports/{id}/{path}"), &token);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text_lossy());
        answer
    };
    let report: Value = get_as(service, &format!("/v1/reports/{id}"), &token).json();
    let lines = report["report"]["lines"].as_array().unwrap();
    follows_its_schema(&report);

    for (lang, sheet, heading, kind) in [
        ("en", "Lines", "amount (HKD)", "deduction"),
        ("zh-Hant", "明細", "金額（港元）", "扣除"),
        ("zh-Hans", "明细", "金额（港元）", "扣除"),
    ] {
        let answer = get(&format!("export?format=xlsx&lang={lang}"));
        assert!(answer.header("content-disposition").unwrap().contains(".xlsx"));
        assert_eq!(get(&format!("export?format=xlsx&lang={lang}")).body, answer.body, "the same bytes");
        let sheets = python(READ_WORKBOOK, &answer.body);
        let sheets = sheets.as_array().unwrap();
        assert_eq!(sheets.len(), 8);
        for sheet in sheets {
            assert_eq!(sheet["frozen"], "A2");
            assert!(sheet["filter"].is_string());
            for cell in sheet["rows"].as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap()) {
                assert_ne!(cell[0], "f", "a formula: {cell}");
            }
        }
        let table = &sheets[0];
        assert_eq!(table["name"], sheet);
        let rows = table["rows"].as_array().unwrap();
        assert_eq!(rows.len(), lines.len() + 1);
        let column = |title: &str| rows[0].as_array().unwrap().iter().position(|cell| cell[1] == title).unwrap();
        let amount = column(heading);
        for (row, line) in rows[1..].iter().zip(lines) {
            let cell = &row[amount];
            let expected: f64 = line["amount"].as_str().unwrap().parse().unwrap();
            assert_eq!((&cell[0], cell[1].as_f64()), (&"n".into(), Some(expected)), "{cell}");
        }
        let cells: Vec<&Value> = rows.iter().flat_map(|row| row.as_array().unwrap()).collect();
        for text in ["=軟件版權，\"第一\"版", "-INV, \"1\"", "@SUM(A1:A9)", "+852 1234", kind] {
            assert!(cells.iter().any(|cell| cell[0] == "s" && cell[1] == text), "{text}");
        }
        assert!(cells.iter().any(|cell| cell[0] == "d" && cell[1] == "2026-05-02T00:00:00"), "a typed date");
        let provenance = sheets[7]["rows"].to_string();
        assert!(provenance.contains(&id) && provenance.contains(report["report"]["rules_digest"].as_str().unwrap()));
        let corrections = sheets[5]["rows"].as_array().unwrap();
        assert!(corrections.len() == 2 && corrections[1].to_string().contains("56.78"), "{corrections:?}");
    }

    for (query, lang) in [("", "en"), ("&bom=true", "zh-Hant")] {
        let answer = get(&format!("export?format=csv&lang={lang}{query}"));
        assert_eq!(answer.body.starts_with(b"\xef\xbb\xbf"), !query.is_empty());
        let rows = python(READ_CSV, &answer.body);
        let rows = rows.as_array().unwrap();
        assert_eq!(rows.len(), lines.len() + 1);
        let heading = if lang == "en" { "amount (HKD)" } else { "金額（港元）" };
        let amount = rows[0].as_array().unwrap().iter().position(|title| title == heading).unwrap();
        for (row, line) in rows[1..].iter().zip(lines) {
            assert_eq!(row[amount], line["amount"]);
        }
        for cell in rows.iter().flat_map(|row| row.as_array().unwrap()) {
            let text = cell.as_str().unwrap();
            let is_number = text.parse::<f64>().is_ok();
            assert!(is_number || !text.starts_with(['=', '+', '-', '@', '\t', '\r']), "{text}");
        }
        have_neither_dates_nor_numbers(rows, lines);
        let texts = Value::from(rows.clone()).to_string();
        assert!(texts.contains("'=軟件版權") && texts.contains("'@SUM(A1:A9)") && texts.contains("'+852 1234"));
    }
    assert_eq!(get("export?format=json").body, get_as(service, &format!("/v1/reports/{id}"), &token).body);

    // Each is signed as what it is.
    let (reference, key) = shared::registry(service);
    for (query, named) in [
        ("format=xlsx&lang=zh-Hans", "xlsx zh-Hans"),
        ("format=csv&lang=en", "csv en"),
        ("bom=true", "csv+bom en"),
        ("format=json", "json en"),
    ] {
        let bytes = get(&format!("export?{query}")).body;
        let note = Note::parse(get(&format!("export/signature?{query}")).text()).unwrap();
        assert_eq!(note.verify(core::slice::from_ref(&key)).unwrap().len(), 1);
        let digest = BASE64.encode(Sha256Digest::of(&bytes).as_bytes());
        let (origin, size, root) = (&reference.origin, &report["report"]["size"], root_of(&report["report"]));
        let text = format!("chopmark/report-export/v2\n{origin}\n{id}\n{size}\n{root}\n{named}\n{digest}\n");
        assert_eq!(note.text(), text);
    }
    for query in
        ["format=ods", "lang=fr", "format=xlsx&bom=true", "format=pdf&bom=true", "format=csv&format=csv", "sheet=1"]
    {
        assert_eq!(get_as(service, &format!("/v1/reports/{id}/export?{query}"), &token).status, 400, "{query}");
    }
}

/// Computes the Hong Kong dollars of every row of a table anew from what else stands in it.
const COMPUTE_AGAIN: &str = "
import csv, json, re, sys
from fractions import Fraction
rows = list(csv.DictReader(open(sys.argv[1], encoding='utf-8-sig', newline='')))
computed = []
for row in rows:
    if not row['net amount (HKD)']:
        continue
    net = Fraction(row['gross amount']) - Fraction(row['credited'] or '0')
    if row['rate of exchange']:
        units, one, rate, other = re.fullmatch('([0-9.]+) ([A-Z]+) = ([0-9.]+) ([A-Z]+)', row['rate of exchange']).groups()
        assert row['currency'] in (one, other) and 'HKD' in (one, other)
        net *= Fraction(units) / Fraction(rate) if one == 'HKD' else Fraction(rate) / Fraction(units)
    cents = net * 100 // 1
    computed.append([f'{cents // 100}.{cents % 100:02}', row['net amount (HKD)']])
print(json.dumps({'computed': computed, 'rows': rows}))
";

#[test]
fn every_row_can_be_computed_again_and_nothing_is_left_out() {
    let service = service();
    let company = Company::new(service, "complete exports");
    let mut books = Books::of(service, &company);
    books.profile();
    // HK$100 = RMB 90.8419, as it is published.
    books.say(Claim::FxRate(FxRateClaim {
        from: "HKD".parse().unwrap(),
        units: "100".to_owned(),
        to: "CNY".parse().unwrap(),
        rate: "90.8419".to_owned(),
        source: "published average".to_owned(),
        date: "2026-04-30".parse().unwrap(),
    }));
    let yuan = books.royalty("Licensor", "CN", "C-1", &figures("908419.00", "CNY"));
    let licensor =
        Side::Outside(Outside { name: "Licensor".to_owned(), jurisdiction: Jurisdiction::new("CN").unwrap() });
    let on = "2026-05-03".parse().unwrap();
    let credit = ExpenditureClaim::unsealed(Nature::CreditNote, company.side(), licensor, "C-2".to_owned(), on);
    books.pay(ExpenditureClaim { credits: Some(yuan), ..credit }, &figures("100000.00", "CNY"));
    // Nobody says what a dinar is in Hong Kong dollars.
    let dinars = books.royalty("Licensor", "KW", "K-1", &figures("1.234", "KWD"));
    let index = format!("SELECT idx FROM log.entry WHERE statement_id = decode('{dinars}', 'hex')");
    let index = service.sql(&index).unwrap().trim().to_owned();
    let token = token_of(service, &company.author);
    let view = ask(service, &token, &json!({ "query": { "taxpayer": company.author.party.to_hex() } })).json();
    assert_eq!(view["set_aside"], 1, "{view}");
    let get = |query: &str| {
        let answer = get_as(service, &format!("/v1/reports/{}/export?{query}", view["id"].as_str().unwrap()), &token);
        assert_eq!(answer.status, 200, "{query}: {}", answer.text_lossy());
        answer.body
    };

    let found = python(COMPUTE_AGAIN, &get("format=csv"));
    let computed = found["computed"].as_array().unwrap();
    assert!(computed.len() >= 2 && computed.iter().all(|pair| pair[0] == pair[1]), "{computed:?}");
    let rows = found["rows"].as_array().unwrap();
    let is_of = |row: &&Value, document: &str| row["document"] == document;
    let withholding = rows.iter().find(|row| is_of(row, "C-1") && row["treatment"] == "withholding tax");
    let withholding = withholding.unwrap_or_else(|| panic!("{rows:?}"));
    assert_eq!(
        ["credited", "rate of exchange", "date of the rate", "head of section 15(1)", "part deemed to be profit"]
            .map(|title| withholding[title].as_str().unwrap()),
        ["100000.00", "100 HKD = 90.8419 CNY", "2026-04-30", "15(1)(b)", "0.3"]
    );
    assert!(withholding["flags"].as_str().unwrap().contains("UNCONFIRMED"), "{withholding}");
    let set_aside: Vec<&Value> = rows.iter().filter(|row| is_of(row, "K-1")).collect();
    assert_eq!(set_aside.len(), 1, "{rows:?}");
    assert_eq!(
        ["line", "amount (HKD)", "gross amount", "currency", "not taken in", "ledger entries"]
            .map(|title| set_aside[0][title].as_str().unwrap()),
        ["", "", "1.234", "KWD", "no rate of exchange", index.as_str()]
    );

    let sheets = python(READ_WORKBOOK, &get("format=xlsx"));
    let sheet =
        |name: &str| sheets.as_array().unwrap().iter().find(|sheet| sheet["name"] == name).unwrap()["rows"].clone();
    let (lines, flags, set_aside) = (sheet("Lines").to_string(), sheet("Flags").to_string(), sheet("Set aside"));
    assert!(
        lines.contains("[\"n\",1.234]") && lines.contains("UNCONFIRMED") && flags.contains("UNCONFIRMED"),
        "{lines}"
    );
    assert!(
        set_aside.to_string().contains("no rate of exchange") && set_aside.as_array().unwrap().len() == 2,
        "{set_aside}"
    );

    let place = place();
    let file = place.path().join("lines.parquet");
    fs::write(&file, get("format=parquet")).unwrap();
    let of = "SELECT document, set_aside, gross, amount FROM lines WHERE line IS NULL AND set_aside IS NOT NULL";
    assert_eq!(duckdb(&file, of), json!([["K-1", "rate_missing", "1.234", null]]));
    let of = "SELECT credited, rate_units, rate_from, rate, rate_to, deemed_rate, flags LIKE '%UNCONFIRMED%' FROM lines
              WHERE kind = 'withholding'";
    assert_eq!(duckdb(&file, of), json!([["100000.00", "100", "HKD", "90.8419", "CNY", "0.3", "True"]]));
}

/// Opened by `LibreOffice` and saved as comma-separated values, a file for each sheet: what a person would see.
#[test]
fn a_spreadsheet_program_shows_what_was_exported() {
    if !is_soak() {
        return;
    }
    let program = std::env::var_os("CHOPMARK_TEST_LIBREOFFICE");
    let program = program
        .expect("CHOPMARK_TEST_LIBREOFFICE must name what scripts/install-libreoffice.sh prints; `make soak` sets it");
    let service = service();
    let (token, id) = reported(service, "=office", "=1+1，軟件版權", "-INV");
    let lines = get_as(service, &format!("/v1/reports/{id}"), &token).json()["report"]["lines"].clone();
    for (format, lang) in [("xlsx", "zh-Hant"), ("csv", "en")] {
        let export = get_as(service, &format!("/v1/reports/{id}/export?format={format}&lang={lang}"), &token).body;
        let place = place();
        let file = place.path().join(format!("report.{format}"));
        fs::write(&file, export).unwrap();
        let out = place.path().join("out");
        let profile = format!("-env:UserInstallation=file://{}", place.path().join("profile").display());
        // Commas, quotes, UTF-8; cells as they are shown, every sheet. Comma-separated values are read as UTF-8, too, with
        // whatever looks like a number or a date taken for one.
        let filter = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false,false,false,-1";
        let mut command = Command::new(&program);
        command.args([
            &profile,
            "--headless",
            "--infilter=CSV:44,34,76,1,,2057,false,true",
            "--convert-to",
            filter,
            "--outdir",
        ]);
        if format == "xlsx" {
            command = Command::new(&program);
            command.args([&profile, "--headless", "--convert-to", filter, "--outdir"]);
        }
        let output = command.arg(&out).arg(&file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let first = if format == "xlsx" { "report-明細.csv" } else { "report-report.csv" };
        let rows = python(READ_CSV, &fs::read(out.join(first)).unwrap());
        let rows = rows.as_array().unwrap();
        assert_eq!(rows.len(), lines.as_array().unwrap().len() + 1);
        let shown = Value::from(rows.clone()).to_string();
        let quote = if format == "csv" { "'" } else { "" };
        for text in ["=1+1，軟件版權", "@SUM(A1:A9)", "+852 1234", "-INV"] {
            assert!(shown.contains(&format!("\"{quote}{text}\"")), "{format}: {text} in {shown}");
        }
        assert!(!shown.contains("#NAME?") && !shown.contains("Err:"), "{shown}");
        let heading = if format == "xlsx" { "金額（港元）" } else { "amount (HKD)" };
        let amount = rows[0].as_array().unwrap().iter().position(|title| title == heading).unwrap();
        for (row, line) in rows[1..].iter().zip(lines.as_array().unwrap()) {
            let cell = row[amount].as_str().unwrap().replace(',', "");
            let expected: f64 = line["amount"].as_str().unwrap().parse().unwrap();
            assert!((cell.parse::<f64>().unwrap() - expected).abs() < 0.001, "{format}: {row}");
        }
        let heading = if format == "xlsx" { "課稅年度" } else { "year of assessment" };
        let year = rows[0].as_array().unwrap().iter().position(|title| title == heading).unwrap();
        for (row, line) in rows[1..].iter().zip(lines.as_array().unwrap()) {
            assert_eq!(row[year], format!("{quote}{}", line["year"].as_str().unwrap()), "{format}: {row}");
        }
    }
}
