//! Lists through the real binary: checked whole, cut short in every way, and every row in the log exactly once.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use chopmark_core::digest::Sha256Digest;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::command_line::losing;
use crate::harness::{Client, Home, Service, place, signal};
use crate::resume::settle;
use crate::shared;

/// Rows of the long list.
const ROWS: usize = 40;

/// A home with a key and a party at this service.
fn home(url: &str) -> Home {
    let home = Home::new();
    assert_eq!(home.json(&["key", "new"]).0, 0);
    let (code, party) = home.json(&["party", "register", "--name-en", "Bulk", "--jurisdiction", "HK", "--url", url]);
    assert_eq!(code, 0, "{party}");
    home
}

/// What is in the file of a row; long enough that a run takes a while, without taking room on the disk.
fn write_file(home: &Home, list: &str, row: usize) -> Sha256Digest {
    const SIZE: usize = 4 << 20;
    let path = home.file(&format!("{list}/{row}.bin"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let start = format!("{list}, row {row}");
    fs::write(&path, &start).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(SIZE as u64).unwrap();
    let mut whole = start.into_bytes();
    whole.resize(SIZE, 0);
    Sha256Digest::of(&whole)
}

/// A list of rows, some of which come from one that stands further down.
fn write_list(home: &Home, list: &str) -> Vec<Sha256Digest> {
    let digests = (0..ROWS).map(|row| write_file(home, list, row)).collect();
    let rows: Vec<String> = (0..ROWS)
        .map(|row| {
            let mut value = json!({
                "path": format!("{list}/{row}.bin"),
                "licence": "mit",
                "name": { "en": format!("{list} {row}"), "zh-Hant": format!("清單 {row}") },
                "out": format!("{list}/{row}.chop"),
            });
            if row == ROWS - 1 {
                value["as"] = "base".into();
                value["kind"] = "dataset".into();
            } else if row % 10 == 0 {
                value["parents"] = json!([{ "row": "base", "relation": "finetune" }]);
            } else if row % 10 == 1 {
                value["as"] = format!("first {row}").into();
            } else if row % 10 == 2 {
                value["supersedes"] = json!({ "row": format!("first {}", row - 1) });
            }
            value.to_string() + "\n"
        })
        .collect();
    fs::write(home.file(&format!("{list}.jsonl")), rows.concat()).unwrap();
    digests
}

fn run(home: &Home, list: &str, url: &str) -> (i32, Value) {
    home.json(&["register", "--from", &format!("{list}.jsonl"), "--url", url])
}

fn states(report: &Value) -> [u64; 4] {
    ["registered", "already", "failed", "not_tried"].map(|state| report["totals"][state].as_u64().unwrap())
}

fn entries_with(client: &Client, digest: &Sha256Digest) -> Vec<Value> {
    client.get(&format!("/v1/artefacts?digest={digest}")).json()["artefacts"].as_array().unwrap().clone()
}

/// Every row is in the log once, as the report says, with a bundle that proves it; what refers to others refers to them.
fn check_all(home: &Home, list: &str, client: &Client, report: &Value, digests: &[Sha256Digest]) {
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), ROWS);
    for (row, (line, digest)) in rows.iter().zip(digests).enumerate() {
        let found = entries_with(client, digest);
        assert_eq!(found.len(), 1, "row {row} is in the log {} times", found.len());
        assert_eq!((&line["artefact_id"], &line["index"]), (&found[0]["artefact_id"], &found[0]["index"]), "{line}");
        let (file, bundle) = (format!("{list}/{row}.bin"), format!("{list}/{row}.chop"));
        let (code, verdict) = home.json(&["verify", &file, "--bundle", &bundle, "--offline"]);
        assert_eq!((code, &verdict["artefact"]["artefact_id"]), (0, &line["artefact_id"]), "{verdict}");
        let claim = &verdict["artefact"]["claim"];
        if row % 10 == 0 {
            assert_eq!(claim["parents"][0]["artefact"], rows[ROWS - 1]["artefact_id"], "{claim}");
        } else if row % 10 == 2 {
            assert_eq!(claim["supersedes"], rows[row - 1]["artefact_id"], "{claim}");
        }
    }
    assert_eq!(home.pending(), 0, "nothing is left on its way");
    let stored = fs::read_to_string(home.file(&format!("{list}.report.json"))).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&stored).unwrap(), *report, "the report is what was printed");
}

#[test]
fn a_list_is_registered_with_one_report_and_again_without_a_second_entry() {
    let service = shared::service();
    let home = home(service.url());
    let digests = write_list(&home, "whole");
    settle(&home.file(&format!("whole/{}.bin", ROWS - 1)));
    let (code, report) = run(&home, "whole", service.url());
    assert_eq!((code, states(&report)), (0, [40, 0, 0, 0]), "{report}");
    check_all(&home, "whole", service, &report, &digests);
    let (code, again) = run(&home, "whole", service.url());
    assert_eq!((code, states(&again)), (0, [0, 40, 0, 0]), "{again}");
    check_all(&home, "whole", service, &again, &digests);
    // Without the journal the registry says what it has.
    fs::remove_file(home.file("whole.report.rows.jsonl")).unwrap();
    let (code, again) = run(&home, "whole", service.url());
    assert_eq!((code, states(&again)), (0, [0, 40, 0, 0]), "{again}");
    check_all(&home, "whole", service, &again, &digests);
    // It was looked for by its bytes, which had not changed and were not read again.
    for row in again["rows"].as_array().unwrap() {
        let recalled = json!({ "files": 1, "parts": 0, "changed": [] });
        assert_eq!((&row["read_size_bytes"], &row["recalled"]), (&json!(0), &recalled), "{row}");
    }

    // A file that changed is not taken for finished: other bytes are another artefact.
    fs::write(home.file("whole/7.bin"), "other bytes").unwrap();
    let (code, again) = run(&home, "whole", service.url());
    assert_eq!((code, states(&again)), (0, [1, 39, 0, 0]), "{again}");

    let lines = home.run(&["register", "--from", "whole.jsonl", "--report", "r.jsonl", "--url", service.url()]);
    assert_eq!(lines.code, 0, "{lines:?}");
    assert!(lines.stdout.lines().last().unwrap().starts_with("REGISTERED: 40 of 40 rows"), "{lines:?}");
    assert_eq!(fs::read_to_string(home.file("r.jsonl")).unwrap().lines().count(), ROWS + 1);
}

#[test]
fn a_bad_row_is_named_before_anything_is_sent() {
    let service = shared::service();
    let home = home(service.url());
    let digests = write_list(&home, "bad");
    let list = home.file("bad.jsonl");
    let good = fs::read_to_string(&list).unwrap();
    let bad = good.replacen("\"licence\":\"mit\"", "\"licence\":\"mit\",\"film\":true", 2);
    fs::write(&list, bad).unwrap();
    let (code, refused) = run(&home, "bad", service.url());
    assert_eq!((code, &refused["error"]["code"]), (2, &json!("list")), "{refused}");
    let faults = refused["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 2, "{refused}");
    assert_eq!((&faults[1]["row"], &faults[1]["pointer"]), (&json!(2), &json!("/film")), "{refused}");
    // What only the registry knows is asked for beforehand, too.
    let unknown = "0".repeat(64);
    let unknown = good
        + &json!({ "path": "bad/0.bin", "licence": "mit", "version": "2", "out": "x.chop",
        "parents": [{ "id": unknown, "relation": "merge" }] })
        .to_string();
    fs::write(&list, unknown).unwrap();
    let (code, refused) = run(&home, "bad", service.url());
    let fault = &refused["faults"][0];
    assert_eq!((code, &fault["row"], &fault["pointer"]), (2, &json!(41), &json!("/parents/0/id")), "{refused}");
    for digest in &digests {
        assert_eq!(entries_with(service, digest).len(), 0, "nothing was sent");
    }
    let ran = home.run(&["register", "--from", "bad.jsonl", "--licence", "mit", "--url", service.url()]);
    assert_eq!(ran.code, 2, "a list says for itself: {ran:?}");
}

#[test]
fn an_outage_while_parents_are_looked_up_is_no_fault_of_the_list() {
    let service = shared::service();
    let home = home(service.url());
    let parent = json!({ "id": "art_aaaaaaaaaaaaaaaaaaaa", "relation": "merge" });
    let row = json!({ "path": "tuned.bin", "licence": "mit", "parents": [parent] });
    fs::write(home.file("tuned.bin"), "tuned in an outage").unwrap();
    fs::write(home.file("outage.jsonl"), row.to_string()).unwrap();
    let away = losing(service.url(), |head| head.starts_with("GET /v1/artefacts/"));
    // It is another address of the same registry.
    let (code, failed) = run(&home, "outage", &away);
    assert_eq!((code, &failed["error"]["code"]), (8, &json!("unreachable")), "{failed}");
    assert!(failed["faults"].is_null(), "{failed}");
    let (code, refused) = run(&home, "outage", service.url());
    assert_eq!((code, &refused["error"]["code"]), (2, &json!("list")), "{refused}");
}

#[test]
fn a_list_is_never_replaced_by_what_is_written_about_it() {
    let service = shared::service();
    let home = home(service.url());
    fs::write(home.file("row.bin"), "a row that is kept").unwrap();
    let list = json!({ "path": "row.bin", "licence": "mit" }).to_string() + "\n";
    let thesis = "my thesis";
    fs::write(home.file("thesis.json"), thesis).unwrap();
    for (name, report) in [("own.jsonl", "own.jsonl"), ("x.rows.jsonl", "x.json"), ("other.jsonl", "thesis.json")] {
        fs::write(home.file(name), &list).unwrap();
        std::os::unix::fs::symlink(home.file(name), home.file(&format!("link.to.{name}"))).unwrap();
        for from in [name, &format!("link.to.{name}")] {
            let (code, refused) = shared::run(&home, &["register", "--from", from, "--report", report]);
            assert_eq!((code, &refused["error"]["code"]), (2, &json!("usage")), "{from} {report}: {refused}");
        }
        assert_eq!(fs::read_to_string(home.file(name)).unwrap(), list, "{name}");
    }
    assert_eq!(fs::read_to_string(home.file("thesis.json")).unwrap(), thesis);
    assert_eq!(entries_with(service, &Sha256Digest::of(b"a row that is kept")).len(), 0, "nothing was sent");
    // A report of its own is replaced, in either form.
    for report in ["r.json", "r.json", "r.jsonl", "r.jsonl"] {
        let (code, answer) = shared::run(&home, &["register", "--from", "own.jsonl", "--report", report]);
        assert_eq!(code, 0, "{report}: {answer}");
    }
}

#[test]
fn a_failing_row_does_not_stop_the_others_and_the_worst_code_wins() {
    let service = shared::service();
    let home = home(service.url());
    fs::create_dir(home.file("d")).unwrap();
    for name in ["good", "also"] {
        fs::write(home.file(&format!("d/{name}")), format!("{name} row")).unwrap();
    }
    std::os::unix::fs::symlink("good", home.file("d/link")).unwrap();
    fs::write(home.file("d/bad.safetensors"), "no weights").unwrap();
    let row = |value: Value| value.to_string() + "\n";
    let list = [
        row(json!({ "as": "bad", "path": "d/bad.safetensors", "licence": "mit" })),
        row(json!({ "as": "good", "path": "d/good", "licence": "mit" })),
        row(json!({ "path": "d/link", "licence": "mit", "out": "link.chop" })),
        row(json!({ "path": "d/also", "licence": "mit", "parents": [{ "row": "bad", "relation": "derived" }] })),
        // The same files under the same version, and another licence: that contradicts row 2.
        row(
            json!({ "path": "d/good", "licence": "apache-2.0", "out": "second.chop", "supersedes": { "row": "good" } }),
        ),
        row(json!({ "path": "d/good", "licence": "mit", "version": "2", "out": "third.chop" })),
    ];
    fs::write(home.file("mixed.jsonl"), list.concat()).unwrap();
    let (code, report) = run(&home, "mixed", service.url());
    assert_eq!((code, states(&report)), (10, [2, 0, 4, 0]), "{report}");
    let codes: Vec<_> = report["rows"].as_array().unwrap().iter().map(|row| row["exit_code"].clone()).collect();
    assert_eq!(codes, [9, 0, 9, 9, 10, 0], "{report}");
    assert_eq!(report["rows"][3]["error"]["code"], "row_not_registered");
    assert_eq!(report["rows"][4]["error"]["code"], "already_registered");

    let (code, dry) = home.json(&["register", "--from", "mixed.jsonl", "--url", service.url(), "--dry-run"]);
    assert_eq!(code, 9, "what can't be measured has no bytes to show: {dry}");
}

#[test]
fn a_dry_run_of_a_list_shows_every_row_and_sends_none() {
    let service = shared::service();
    let home = home(service.url());
    let digests = write_list(&home, "dry");
    let (code, dry) = home.json(&["register", "--from", "dry.jsonl", "--url", service.url(), "--dry-run"]);
    assert_eq!((code, dry["rows"].as_array().unwrap().len()), (0, ROWS), "{}", dry["error"]);
    let of = |line: u64| dry["rows"].as_array().unwrap().iter().find(|row| row["row"] == line).unwrap();
    let payload = |line: u64| of(line)["payload"].as_str().unwrap();
    let base = chopmark_core::statement::StatementId::of(payload(40).as_bytes());
    assert!(payload(1).contains(&base.to_hex()), "a row names the one it comes from");
    assert_eq!(entries_with(service, &digests[0]).len(), 0);
    assert_eq!(home.pending(), 0);
}

#[test]
fn a_run_that_is_killed_goes_on_where_it_was() {
    // Slow enough that no run is over before it is killed.
    let place = place();
    let service = Service::try_start(place.path(), "data", &["--rate-per-key", "20/s:5"]).unwrap();
    let home = home(service.url());
    let digests = write_list(&home, "killed");
    for (kill_after, number, code) in [(3, Signal::KILL, None), (9, Signal::INT, Some(130)), (17, Signal::KILL, None)] {
        let mut command = home.command(&["register", "--from", "killed.jsonl", "--url", service.url()]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let seen = lines.by_ref().filter(|line| line.contains(" of 40  row ")).take(kill_after).count();
        signal(&child, number);
        assert_eq!(seen, kill_after, "it ended before it was killed");
        // Whatever it still says is read, so that it does not wait for a reader.
        let rest = lines.count();
        assert_eq!(child.wait().unwrap().code(), code, "it ended before it was killed; {rest} more lines");
    }
    assert!(!home.file("killed.report.json").exists());
    let (code, report) = run(&home, "killed", service.url());
    let [registered, already, failed, not_tried] = states(&report);
    assert_eq!((code, registered + already, failed, not_tried), (0, 40, 0, 0), "{report}");
    assert!(already >= 17, "what was finished is recognised: {report}");
    check_all(&home, "killed", &service, &report, &digests);
    service.stop();
}

#[test]
fn a_service_that_asks_for_patience_gets_it() {
    let place = place();
    let service = Service::try_start(place.path(), "data", &["--rate-per-key", "20/s:5"]).unwrap();
    let home = home(service.url());
    let digests = write_list(&home, "patient");
    let (code, report) = run(&home, "patient", service.url());
    assert_eq!((code, states(&report)), (0, [40, 0, 0, 0]), "{report}");
    check_all(&home, "patient", &service, &report, &digests);
    service.stop();
}

#[test]
fn a_service_that_stops_and_comes_back_finds_the_rest() {
    let place = place();
    let service = Service::start(place.path());
    let home = home(service.url());
    let digests = write_list(&home, "away");
    let mut command = home.command(&["register", "--from", "away.jsonl", "--json", "--url", service.url()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let seen = lines.by_ref().filter(|line| line.contains(" of 40  row ")).take(5).count();
    assert_eq!(seen, 5);
    service.kill();
    let rest = std::thread::spawn(move || lines.count());
    let ran = crate::harness::Ran::of(child.wait_with_output().unwrap());
    rest.join().unwrap();
    let report = ran.document();
    let [registered, already, failed, not_tried] = states(&report);
    assert_eq!((ran.code, already), (8, 0), "{report}");
    assert!(registered >= 5 && failed >= 1 && not_tried >= 1, "{report}");
    assert_eq!(registered + failed + not_tried, 40);

    let service = Service::start(place.path());
    let (code, report) = run(&home, "away", service.url());
    let [registered, already, failed, not_tried] = states(&report);
    assert_eq!((code, registered + already, failed, not_tried), (0, 40, 0, 0), "{report}");
    check_all(&home, "away", &service, &report, &digests);
    service.stop();
}
