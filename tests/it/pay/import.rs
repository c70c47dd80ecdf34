//! Lists of payments: refused whole while a row is bad, and recorded once however often a run is cut short.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::party;
use crate::harness::{Home, is_soak, signal};
use crate::shared::{self, done, run};

const HEADER: &str = "nature,date,document,amount,currency,fx_rate,payee_name,payee_jurisdiction,payee_brn,ip_type\n";

/// A good row.
fn row(document: &str) -> String {
    format!("upfront_fee,2026-05-02,{document},1200.00,HKD,,Outside Licensor Inc,US,,copyright\n")
}

fn states(report: &Value) -> [u64; 4] {
    ["recorded", "already", "failed", "not_tried"].map(|state| report["totals"][state].as_u64().unwrap())
}

/// Turns text into another encoding with Python's own codecs, which this program shares no code with.
fn encode(home: &Home, name: &str, text: &str, codec: &str) {
    fs::write(home.file("text"), text).unwrap();
    let script = "import sys; open(sys.argv[2],'wb').write(open(sys.argv[1],encoding='utf-8',newline='').read().encode(sys.argv[3]))";
    let status =
        Command::new("python3").args(["-c", script]).args([home.file("text"), home.file(name)]).arg(codec).status();
    assert!(status.unwrap().success());
}

#[test]
fn every_bad_row_is_named_by_row_and_column_and_nothing_is_imported() {
    let (home, own) = party("Careful Importer Limited", &["--brn", "87654321"]);
    let bad = [
        ("upfront_fee,2026-05-02,A-1,1200.00,HKD,,,,1234567,copyright", "payee_brn"),
        ("upfront_fee,2026-05-02,A-2,1200.00,HKD,,,,99999999,copyright", "payee_brn"),
        ("upfront_fee,2026-02-30,A-3,1200.00,HKD,,Outside Inc,US,,copyright", "date"),
        ("upfront_fee,02/05/2026,A-4,1200.00,HKD,,Outside Inc,US,,copyright", "date"),
        ("upfront_fee,2026-05-02,A-5,NaN,HKD,,Outside Inc,US,,copyright", "amount"),
        ("upfront_fee,2026-05-02,A-6,1e400,HKD,,Outside Inc,US,,copyright", "amount"),
        ("upfront_fee,2026-05-02,A-7,-1200.00,HKD,,Outside Inc,US,,copyright", "amount"),
        ("upfront_fee,2026-05-02,A-8,1200.5,HKD,,Outside Inc,US,,copyright", "amount"),
        ("upfront_fee,2026-05-02,A-9,1200.00,JPY,0.05,Outside Inc,US,,copyright", "amount"),
        ("upfront_fee,2026-05-02,A-10,1200.00,USD,,Outside Inc,US,,copyright", "fx_rate"),
        ("upfront_fee,2026-05-02,A-11,1200.00,USD,0,Outside Inc,US,,copyright", "fx_rate"),
        ("upfront_fee,2026-05-02,A-12,=SUM(D2:D9),HKD,,Outside Inc,US,,copyright", "amount"),
        ("upfront_fee,2026-05-02,\"=HYPERLINK(\"\"x\"\")\",1.00,HKD,,Outside Inc,US,,copyright", "document"),
        ("upfront_fee,2026-05-02,A-14,1200.00,HKD,,@Outside Inc,US,,copyright", "payee_name"),
        ("upfront_fee,2026-05-02,A-15,1200.00,XYZ,,Outside Inc,US,,copyright", "currency"),
        ("gift,2026-05-02,A-16,1200.00,HKD,,Outside Inc,US,,copyright", "nature"),
        ("upfront_fee,2026-05-02,A-17,1200.00,HKD,,Outside Inc,USA,,copyright", "payee_jurisdiction"),
        ("upfront_fee,2026-05-02,A-18,1200.00,HKD,,Outside Inc,US,,", "ip_type"),
        ("purchase,2026-05-02,A-19,1200.00,HKD,,Outside Inc,US,,", "asset"),
        ("credit_note,2026-05-02,A-20,1200.00,HKD,,Outside Inc,US,,", "credits"),
        ("upfront_fee,2026-05-02,GOOD-1,1200.00,HKD,,Outside Licensor Inc,US,,copyright", "document"),
        ("upfront_fee,2026-05-02,A-22,1200.00", ""),
    ];
    let list =
        HEADER.to_owned() + &row("GOOD-1") + &bad.map(|(row, _)| row.to_owned() + "\n").concat() + &row("GOOD-2");
    for (name, codec) in [("plain.csv", "utf-8"), ("bom.csv", "utf-8-sig")] {
        encode(&home, name, &list, codec);
        for more in [&[][..], &["--dry-run"]] {
            let (code, refused) = run(&home, &[&["pay", "import", name], more].concat());
            assert_eq!((code, &refused["error"]["code"]), (2, &json!("list")), "{refused}");
            let named: Vec<(u64, &str)> = refused["faults"]
                .as_array()
                .unwrap()
                .iter()
                .map(|fault| (fault["row"].as_u64().unwrap(), fault["column"].as_str().unwrap()))
                .collect();
            let expected: Vec<(u64, &str)> = bad.iter().zip(3..).map(|((_, column), row)| (row, *column)).collect();
            assert_eq!(named, expected, "{refused}");
        }
    }
    let words = home.run(&["pay", "import", "plain.csv", "--url", shared::service().url()]);
    assert!(words.code == 2 && words.stderr.contains("row 7, amount: \"NaN\" is no amount"), "{words:?}");
    assert_eq!(recorded_by(&own), 0, "nothing was imported");
    assert!(!home.file("plain.report.json").exists() && home.pending() == 0);

    // A header without a needed column, or with one that nobody knows; a file that is no list.
    for (name, list, column) in [
        ("short.csv", "nature,date,document,amount\nroyalty,2026-05-02,A,1.00\n", "currency"),
        ("odd.csv", "nature,date,document,amount,currency,colour\nroyalty,2026-05-02,A,1.00,HKD,red\n", "colour"),
        ("empty.csv", HEADER, ""),
    ] {
        fs::write(home.file(name), list).unwrap();
        let (code, refused) = run(&home, &["pay", "import", name]);
        assert_eq!((code, &refused["faults"][0]["column"]), (2, &json!(column)), "{refused}");
    }
    assert_eq!(run(&home, &["pay", "import", "missing.csv"]).0, 2);
}

/// How many payments of an issuer the log holds.
fn recorded_by(own: &str) -> usize {
    let sql = format!("SELECT count(*) FROM view.evidence WHERE issuer = decode('{own}', 'hex')");
    shared::service().sql(&sql).unwrap().trim().parse().unwrap()
}

#[test]
fn chinese_lists_are_read_in_three_encodings() {
    let (home, own) = party("Chinese Lists Limited", &[]);
    let traditional = "香港軟件發展有限公司";
    let simplified = "深圳市软件开发有限公司";
    let list = |name: &str, document: &str| {
        HEADER.to_owned()
            + &format!("royalty,2026-05-02,發票-{document},1200.00,HKD,,{name},HK,,copyright\n")
                .replace("發票", if name == simplified { "发票" } else { "發票" })
    };
    for (file, name, codec, encoding) in [
        ("big5.csv", traditional, "big5hkscs", "big5"),
        ("gb18030.csv", simplified, "gb18030", "gb18030"),
        ("utf8.csv", traditional, "utf-8", "utf-8"),
        ("bom.csv", simplified, "utf-8-sig", "utf-8"),
    ] {
        encode(&home, file, &list(name, file), codec);
        let found = done(&home, &["pay", "import", file, "--dry-run"]);
        assert_eq!(found["encoding"], json!(encoding), "{found}");
        assert!(found["first"]["payload"].as_str().unwrap().contains(name), "{found}");
        let told = done(&home, &["pay", "import", file, "--encoding", encoding]);
        assert_eq!(states(&told), [1, 0, 0, 0], "{told}");
    }
    // What is written about a list takes no list's place.
    let before = fs::read(home.file("big5.csv")).unwrap();
    fs::copy(home.file("big5.csv"), home.file("x.rows.jsonl")).unwrap();
    for (list, report) in [("big5.csv", "big5.csv"), ("x.rows.jsonl", "x.json")] {
        shared::refused(&home, &["pay", "import", list, "--report", report], 2, "usage");
        assert_eq!(fs::read(home.file(list)).unwrap(), before, "{list}");
    }
    // Told wrongly, it is refused; nobody guesses.
    assert_eq!(run(&home, &["pay", "import", "gb18030.csv", "--encoding", "utf-8"]).0, 2);
    fs::write(home.file("utf16.csv"), [0xFF, 0xFE, b'n', 0]).unwrap();
    assert_eq!(run(&home, &["pay", "import", "utf16.csv"]).0, 2);
    assert_eq!(recorded_by(&own), 4);
}

#[test]
fn a_long_list_is_cut_short_and_goes_on_without_a_double() {
    let rows = if is_soak() { 100_000 } else { 2_000 };
    let (home, own) = party("Patient Importer Limited", &[]);
    let mut list = HEADER.replace('\n', ",credits\n");
    for number in 0..rows {
        let row = row(&format!("INV-{number}"));
        let line = match number % 100 {
            // Less is owed than the row before was billed for; it comes after that, wherever it stands.
            1 => {
                format!("credit_note,2026-05-03,INV-{number},1.00,HKD,,Outside Licensor Inc,US,,,INV-{}\n", number - 1)
            }
            _ => row.replace('\n', ",\n"),
        };
        list.push_str(&line);
    }
    fs::write(home.file("ledger.csv"), list).unwrap();
    let dry = done(&home, &["pay", "import", "ledger.csv", "--dry-run"]);
    assert_eq!((&dry["rows"], &dry["natures"]["credit_note"]), (&json!(rows), &json!(rows / 100)), "{dry}");
    assert_eq!(recorded_by(&own), 0);

    // Stopped by Ctrl-C, and killed, while it is at work.
    for (number, code) in [(Signal::INT, Some(130)), (Signal::KILL, None)] {
        let before = recorded_by(&own);
        let mut command = home.command(&["pay", "import", "ledger.csv", "--url", shared::service().url()]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let reader = thread::spawn(move || lines.count());
        let deadline = Instant::now() + Duration::from_mins(2);
        while recorded_by(&own) < before + 100 {
            assert!(Instant::now() < deadline, "it does not get on");
            thread::sleep(Duration::from_millis(20));
        }
        signal(&child, number);
        assert_eq!(child.wait().unwrap().code(), code);
        reader.join().unwrap();
        assert!(recorded_by(&own) < rows, "it was over before it was stopped");
    }
    assert!(!home.file("ledger.report.json").exists());
    let (code, report) = run(&home, &["pay", "import", "ledger.csv"]);
    let [recorded, already, failed, not_tried] = states(&report);
    let all = u64::try_from(rows).unwrap();
    assert_eq!((code, recorded + already, failed, not_tried), (0, all, 0, 0), "{}", report["totals"]);
    assert!(already >= 150 && recorded > 0, "{}", report["totals"]);
    assert_eq!((recorded_by(&own), home.pending()), (rows, 0), "every row once, and nothing on its way");
    let stored: Value = serde_json::from_slice(&fs::read(home.file("ledger.report.json")).unwrap()).unwrap();
    assert_eq!(stored, report, "the report is what was printed");
    let mut ids: Vec<&str> =
        report["rows"].as_array().unwrap().iter().map(|row| row["statement_id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), rows);

    // Again: the journal knows all of it.
    let (code, again) = run(&home, &["pay", "import", "ledger.csv"]);
    assert_eq!((code, states(&again)), (0, [0, all, 0, 0]), "{}", again["totals"]);
    assert_eq!(recorded_by(&own), rows);
}

#[test]
fn without_a_journal_the_registry_says_what_it_has_to_the_cent() {
    let (home, own) = party("Forgetful Importer Limited", &[]);
    fs::write(home.file("ledger.csv"), HEADER.to_owned() + &row("F-1") + &row("F-2") + &row("F-3")).unwrap();
    assert_eq!(states(&done(&home, &["pay", "import", "ledger.csv"])), [3, 0, 0, 0]);
    fs::remove_file(home.file("ledger.report.rows.jsonl")).unwrap();
    assert_eq!(states(&done(&home, &["pay", "import", "ledger.csv"])), [0, 3, 0, 0]);
    // Another figure under the same document is another payment, and there is one already.
    let changed = HEADER.to_owned() + &row("F-1") + &row("F-2").replace("1200.00", "1200.01") + &row("F-4");
    fs::write(home.file("ledger.csv"), changed).unwrap();
    let (code, report) = run(&home, &["pay", "import", "ledger.csv"]);
    let faults = json!([{ "row": 3, "column": "document", "reason": report["faults"][0]["reason"] }]);
    assert_eq!((code, &report["faults"]), (2, &faults), "{report}");
    assert!(faults[0]["reason"].as_str().unwrap().contains("says something else"), "{report}");
    assert_eq!(recorded_by(&own), 3, "nothing of the list is imported");
    // What is recorded as it stands now counts, however it was entered first.
    let second = run(&home, &["pay", "import", "ledger.csv", "--dry-run"]).1["faults"][0]["reason"].clone();
    let second = second.as_str().unwrap().split(' ').next().unwrap().to_owned();
    done(&home, &["pay", "correct", &second, "--reason", "amount", "--amount", "1200.01"]);
    let dry = done(&home, &["pay", "import", "ledger.csv", "--dry-run"]);
    assert_eq!((&dry["rows"], &dry["already"]), (&json!(3), &json!(2)), "{dry}");
    let report = done(&home, &["pay", "import", "ledger.csv"]);
    assert_eq!(states(&report), [1, 2, 0, 0], "{report}");
}

#[test]
fn what_the_registry_would_refuse_is_named_and_nothing_is_imported() {
    let (home, own) = party("Thorough Importer Limited", &[]);
    let (other, _) = party("Owner of Something Limited", &[]);
    let id = |document: Value| document["id"].as_str().unwrap().to_owned();
    let asset = |home: &Home, name: &str| {
        let register = ["asset", "register", "--name-en", name, "--ip-type", "copyright", "--jurisdiction", "HK"];
        id(done(home, &[&register[..], &["--registered", "true"]].concat()))
    };
    let (good, foreign, reversed) = (asset(&home, "Good"), asset(&other, "Foreign"), asset(&home, "Reversed"));
    let record = |document: &str| {
        let record =
            ["pay", "record", "--nature", "royalty", "--amount", "9.00", "--currency", "HKD", "--date", "2026-05-02"];
        let rest = ["--payee-name", "Licensor", "--payee-jurisdiction", "US", "--ip-type", "copyright"];
        id(done(&home, &[&record[..], &rest, &["--document", document]].concat()))
    };
    let (gone, paid) = (record("R-1"), record("R-2"));
    for entry in [&reversed, &gone] {
        done(&home, &["pay", "correct", entry, "--reason", "not_incurred", "--reverse"]);
    }
    let before = recorded_by(&own);
    let row = |document: &str, asset: &str| format!("purchase,2026-05-02,{document},1.00,HKD,Seller,US,{asset},\n");
    let credit = |document: &str, payee: &str, of: &str| {
        format!("credit_note,2026-05-02,{document},1.00,HKD,{payee},US,,{of}\n")
    };
    let list = "nature,date,document,amount,currency,payee_name,payee_jurisdiction,asset,credits\n".to_owned()
        + &row("P-1", &good)
        + &row("P-2", &foreign)
        + &row("P-3", &reversed)
        + &credit("N-1", "Licensor", &gone)
        + &credit("N-2", "Somebody Else", &paid)
        + &format!("royalty,2026-05-02,R-1,9.00,HKD,Licensor,US,{good},\n")
        + &row("P-4", &good);
    fs::write(home.file("list.csv"), list).unwrap();
    for more in [&["--dry-run"][..], &[]] {
        let (code, refused) = run(&home, &[&["pay", "import", "list.csv"], more].concat());
        assert_eq!((code, &refused["error"]["code"]), (2, &json!("list")), "{refused}");
        let faults = refused["faults"].as_array().unwrap();
        let named: Vec<_> =
            faults.iter().map(|fault| (fault["row"].as_u64().unwrap(), fault["column"].as_str().unwrap())).collect();
        assert_eq!(named, [(3, "asset"), (4, "asset"), (5, "credits"), (6, "credits"), (7, "document")], "{refused}");
        assert!(faults[4]["reason"].as_str().unwrap().contains("was reversed"), "{refused}");
    }
    assert_eq!(recorded_by(&own), before, "nothing was imported");
}
