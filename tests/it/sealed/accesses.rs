//! The access log proves itself: what it shows is in it, it only grows, and whoever changes it is found out.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;
use std::time::{Duration, Instant};

use chopmark_core::access::access_log_origin;
use chopmark_core::digest::Sha256Digest;
use chopmark_core::ledger::checkpoint::{Checkpoint, open_checkpoint};
use chopmark_core::ledger::edge::Edge;
use chopmark_core::ledger::note::VerifierKey;
use chopmark_core::ledger::tree::{leaf_hash, verify_consistency, verify_inclusion};
use serde_json::Value;

use super::{Desk, Payment, get_as, officer, token_made, token_of};
use crate::harness::{Home, Ran, Service};
use crate::shared;

/// Lets the statements that follow get past the guards of the schema, as a superuser can.
const UNGUARDED: &str = "SET session_replication_role = replica; ALTER TABLE vault.access DISABLE TRIGGER USER;
                         ALTER TABLE vault.access_leaf DISABLE TRIGGER USER;
                         ALTER TABLE vault.access_tile DISABLE TRIGGER USER;
                         ALTER TABLE vault.access_checkpoint DISABLE TRIGGER USER;";

const GUARDED: &str = "ALTER TABLE vault.access ENABLE ALWAYS TRIGGER append_only_rows;
                       ALTER TABLE vault.access ENABLE ALWAYS TRIGGER append_only_table;
                       ALTER TABLE vault.access_leaf ENABLE ALWAYS TRIGGER append_only_rows;
                       ALTER TABLE vault.access_leaf ENABLE ALWAYS TRIGGER append_only_table;
                       ALTER TABLE vault.access_tile ENABLE ALWAYS TRIGGER append_only_rows;
                       ALTER TABLE vault.access_tile ENABLE ALWAYS TRIGGER append_only_table;
                       ALTER TABLE vault.access_checkpoint ENABLE ALWAYS TRIGGER append_only_rows;
                       ALTER TABLE vault.access_checkpoint ENABLE ALWAYS TRIGGER append_only_table";

pub fn tamper(service: &Service, statements: &str) {
    service.sql(&format!("BEGIN; {UNGUARDED} {statements}; {GUARDED}; COMMIT")).unwrap();
}

fn key(service: &Service) -> VerifierKey {
    let key = shared::registry(service).1;
    VerifierKey::new(access_log_origin(key.name()), *key.public_key()).unwrap()
}

/// The checkpoint of the access log, once it covers so many records.
fn checkpoint(service: &Service, at_least: u64) -> Checkpoint {
    let (key, deadline) = (key(service), Instant::now() + Duration::from_mins(2));
    loop {
        let note = service.get("/v1/accesses/checkpoint");
        if note.status == 200 {
            let signed = open_checkpoint(note.text(), core::slice::from_ref(&key)).unwrap();
            if signed.size() >= at_least {
                return signed;
            }
        }
        assert!(Instant::now() < deadline, "{}", service.errors());
        thread::sleep(Duration::from_millis(50));
    }
}

fn path(service: &Service, path: &str) -> Vec<Sha256Digest> {
    let answer = service.get(path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    let hashes = answer.json()["path"].clone();
    hashes.as_array().unwrap().iter().map(|hash| hash.as_str().unwrap().parse().unwrap()).collect()
}

/// Leaf hashes of all records, computed from what an auditor is shown.
fn leaves(service: &Service) -> Vec<Sha256Digest> {
    let auditor = token_made(service, &["--role", "auditor"]).0;
    let (mut leaves, mut next) = (Vec::new(), "/v1/accesses".to_owned());
    loop {
        let page = get_as(service, &next, &auditor).json();
        for access in page["accesses"].as_array().unwrap() {
            let leaf = leaf_hash(&chopmark_core::strict::to_canonical(&access["record"]).unwrap());
            assert_eq!((&access["leaf_hash"], &access["index"]), (&leaf.to_hex().into(), &leaves.len().into()));
            leaves.push(leaf);
        }
        let Some(cursor) = page["next"].as_str() else { return leaves };
        next = format!("/v1/accesses?cursor={cursor}");
    }
}

/// A statement of somebody whose sealed values were read so often.
fn read(service: &Service, label: &str, times: usize) -> (Desk, Payment, String) {
    let (payer, payee) = (shared::author(service, label), shared::author(service, &format!("{label}, the other side")));
    let payment = Payment::new(&payer, &payee, label, "4.00").entered(service);
    let token = token_of(service, &payer);
    for _ in 0..times {
        assert_eq!(get_as(service, &format!("/v1/statements/{}/openings", payment.id), &token).status, 200);
    }
    (Desk::of(service, &payer), payment, token)
}

#[test]
fn every_record_is_proved_and_the_log_only_grows() {
    let place = crate::harness::place();
    let service = Service::start(place.path());
    assert_eq!(service.get("/v1/accesses/inclusion/1/0").status, 404, "nothing was read yet");
    let (desk, ..) = read(&service, "proved", 270);
    let size = checkpoint(&service, 270).size();
    let leaves = leaves(&service);
    assert_eq!((size, leaves.len()), (270, 270));
    let mut edge = Edge::new();
    let roots: Vec<Sha256Digest> = leaves
        .iter()
        .map(|leaf| {
            edge.append(*leaf);
            edge.root()
        })
        .collect();
    let root = |size: u64| roots[usize::try_from(size).unwrap() - 1];
    assert_eq!(checkpoint(&service, 270).root(), root(270));
    assert_eq!(service.sql("SELECT count(*) FROM vault.access_tile").unwrap(), "1", "one full tile is kept");
    for size in [1, 2, 3, 7, 8, 255, 256, 257, 270] {
        for index in [0, 1, size / 2, size - 1].into_iter().filter(|index| *index < size) {
            let path = path(&service, &format!("/v1/accesses/inclusion/{size}/{index}"));
            let leaf = leaves[usize::try_from(index).unwrap()];
            verify_inclusion(leaf, index, size, &path, root(size)).unwrap();
        }
        for old in [1, 2, 5, 128, 255, 256, size].into_iter().filter(|old| *old <= size) {
            let path = path(&service, &format!("/v1/accesses/consistency/{old}/{size}"));
            verify_consistency(old, root(old), size, root(size), &path).unwrap();
        }
    }
    for (path, status) in [
        ("inclusion/270/270", 404),
        ("inclusion/271/0", 404),
        ("inclusion/0/0", 404),
        ("inclusion/9223372036854775807/0", 404),
        ("inclusion/9223372036854775808/0", 400),
        ("inclusion/01/0", 400),
        ("inclusion/+1/0", 400),
        ("inclusion/2/x", 400),
        ("consistency/0/2", 404),
        ("consistency/3/2", 404),
        ("consistency/2/271", 404),
        ("consistency/2/-3", 400),
    ] {
        let answer = service.get(&format!("/v1/accesses/{path}"));
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
    }
    let proof = service.get("/v1/accesses/inclusion/256/7");
    assert!(proof.header("cache-control").unwrap().contains("immutable"), "it never changes");

    // At the command line, twice: the second time from what the first has seen.
    let shown = desk.run(&["access", "log", "--mine", "--limit", "300"], None);
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.stdout.contains("270 readings; all of them PROVED"), "{}", shown.stdout);
    let (code, listed) = desk.json(&["access", "log", "--mine", "--limit", "300"], None);
    assert_eq!((code, &listed["checkpoint"]["size"], &listed["complete"]), (0, &270.into(), &true.into()));
    let accesses = listed["accesses"].as_array().unwrap();
    assert!(accesses.len() == 270 && accesses.iter().all(|access| access["proved"] == true));
    let (code, listed) = desk.json(&["access", "log", "--mine", "--limit", "10"], None);
    let newest: Vec<Value> = (260..270).map(Value::from).collect();
    let shown: Vec<Value> =
        listed["accesses"].as_array().unwrap().iter().map(|access| access["index"].clone()).collect();
    assert_eq!((code, shown, &listed["complete"]), (0, newest, &false.into()));
    let shown = desk.run(&["access", "log", "--mine", "--limit", "10"], None);
    assert!(shown.stdout.contains("260 older readings not shown"), "{}", shown.stdout);
    let (code, clean) = Home::new().json(&["audit", "--data-dir", service.directory.to_str().unwrap()]);
    assert_eq!((code, &clean["accesses"]), (0, &270.into()), "{clean}");
    service.stop();
}

#[test]
fn proofs_over_two_levels_of_tiles_read_what_is_kept() {
    let place = crate::harness::place();
    let service = Service::start(place.path());
    // As many records as two levels of tiles need, without the readings.
    let (number, none) = (65_536 + 300, "00".repeat(32));
    let record = format!(
        r#"{{"at":"2026-11-27T02:14:09.120Z","bound_to":"","fields":[],"id":"NUMBER","role":"party","schema":"chopmark.access/v1","statement":"{none}","token":""}}"#
    );
    service
        .sql(&format!(
            "WITH made AS (INSERT INTO vault.access (id, statement, role, bound_to, token, body, shown_from)
                 SELECT decode(lpad(to_hex(n), 32, '0'), 'hex'), '\\x{none}', 'party', '', '',
                     convert_to(replace('{record}', 'NUMBER', lpad(to_hex(n), 32, '0')), 'UTF8'),
                     '2026-11-27T02:14:09.120Z' FROM generate_series(0, {number} - 1) AS n
                 RETURNING id)
             INSERT INTO vault.access_pending (access) SELECT id FROM made"
        ))
        .unwrap();
    checkpoint(&service, number);
    assert_eq!(service.sql("SELECT count(*) FROM vault.access_tile").unwrap(), "258");
    let mut edge = Edge::new();
    let (mut leaves, mut roots) = (Vec::new(), Vec::new());
    for n in 0..number {
        let leaf = leaf_hash(record.replace("NUMBER", &format!("{n:032x}")).as_bytes());
        edge.append(leaf);
        leaves.push(leaf);
        roots.push(edge.root());
    }
    let at = |position: u64| usize::try_from(position).unwrap();
    for size in [number, 65_536, 65_537, 65_535, 60_000, 513] {
        for index in [0, 255, 256, size - 1] {
            let path = path(&service, &format!("/v1/accesses/inclusion/{size}/{index}"));
            verify_inclusion(leaves[at(index)], index, size, &path, roots[at(size - 1)]).unwrap();
        }
        for old in [1, 500, 512, size] {
            let path = path(&service, &format!("/v1/accesses/consistency/{old}/{size}"));
            verify_consistency(old, roots[at(old - 1)], size, roots[at(size - 1)], &path).unwrap();
        }
    }
    let data = service.directory.to_str().unwrap().to_owned();
    let audit = |expected: &str| {
        let (code, found) = Home::new().json(&["audit", "--data-dir", &data]);
        if expected.is_empty() {
            assert_eq!(code, 0, "{found}");
        } else {
            assert_eq!(code, 6, "{found}");
            assert!(found["finding"]["object"].as_str().unwrap().starts_with(expected), "{found}");
        }
    };
    audit("");
    // A tile that was changed, one too many, and one that is gone.
    tamper(&service, "UPDATE vault.access_tile SET hashes = set_byte(hashes, 5, get_byte(hashes, 5) # 1) WHERE n = 7");
    audit("vault.access_tile level 0 number 7");
    tamper(&service, "UPDATE vault.access_tile SET hashes = set_byte(hashes, 5, get_byte(hashes, 5) # 1) WHERE n = 7");
    audit("");
    tamper(&service, "INSERT INTO vault.access_tile SELECT 5, 0, hashes FROM vault.access_tile WHERE n = 7");
    audit("vault.access_tile");
    tamper(&service, "DELETE FROM vault.access_tile WHERE level = 5 OR level = 1");
    audit("vault.access_tile level 1 number 0");
    service.stop();
}

#[test]
fn a_record_that_was_altered_or_removed_is_refused() {
    let place = crate::harness::place();
    let service = Service::start(place.path());
    let (desk, payment, token) = read(&service, "tampered with", 4);
    let officer = officer(&service, "HK");
    let openings = format!("/v1/statements/{}/openings", payment.id);
    assert_eq!(get_as(&service, &format!("{openings}?case_reference=A&purpose=B"), &officer).status, 200);
    assert_eq!(get_as(&service, &openings, &token).status, 200);
    checkpoint(&service, 6);
    let mine = |desk: &Desk| desk.json(&["access", "log", "--mine"], None);
    let refused = |desk: &Desk, words: &str| {
        let (code, refused) = mine(desk);
        assert_eq!((code, &refused["error"]["code"]), (6, &"proof_invalid".into()), "{refused}");
        assert!(refused["error"]["message"].as_str().unwrap().contains(words), "{refused}");
    };
    let data = service.directory.to_str().unwrap().to_owned();
    let audited = |expected: &str| {
        let (code, found) = Home::new().json(&["audit", "--data-dir", &data]);
        assert_eq!((code, &found["finding"]["object"]), (6, &expected.into()), "{found}");
    };
    let fresh = |desk: &Desk| {
        let other = Desk { home: Home::new(), url: desk.url.clone(), party: desk.party.clone() };
        fs::copy(desk.home.file("own.key"), other.home.file("own.key")).unwrap();
        other
    };
    assert_eq!(mine(&desk).0, 0);

    // The officer was somebody else.
    let altered = "convert_from(body, 'UTF8')";
    let body = |from: &str, to: &str| {
        format!(
            "UPDATE vault.access SET body = convert_to(replace({altered}, '{from}', '{to}'), 'UTF8') WHERE id =
             (SELECT access FROM vault.access_leaf WHERE idx = 4)"
        )
    };
    let (there, back) = (
        body(r#""case_reference":"A""#, r#""case_reference":"Z""#),
        body(r#""case_reference":"Z""#, r#""case_reference":"A""#),
    );
    tamper(&service, &there);
    refused(&desk, "record 4 was altered");
    refused(&fresh(&desk), "record 4 was altered");
    audited("vault.access_leaf 4");
    // Its hash as well.
    let rehash = "UPDATE vault.access_leaf SET leaf_hash = sha256('\\x00' || body) FROM vault.access
                  WHERE access.id = access_leaf.access AND idx = 4";
    tamper(&service, rehash);
    refused(&desk, "record 4 is another than was shown before");
    refused(&fresh(&desk), "the access log is not the one that was signed over 6 records");
    audited("vault.access_state");
    tamper(&service, &format!("{back}; {rehash}"));
    assert_eq!((mine(&desk).0, mine(&fresh(&desk)).0), (0, 0), "as it was");

    // The record alone is removed: whoever saw it notices.
    let kept = service
        .sql("SELECT encode(id, 'hex') FROM vault.access JOIN vault.access_leaf ON access = id WHERE idx = 4")
        .unwrap();
    service.sql("CREATE TABLE public.kept AS SELECT * FROM vault.access").unwrap();
    tamper(&service, &format!("DELETE FROM vault.access WHERE id = '\\x{kept}'"));
    refused(&desk, "record 4 was shown before, and is gone");
    audited("vault.access_leaf 4");
    // With its leaf: nobody gets a proof over the gap.
    tamper(&service, "DELETE FROM vault.access_leaf WHERE idx = 4");
    refused(&desk, "record 4 was shown before, and is gone");
    let (code, answer) = mine(&fresh(&desk));
    assert!(code != 0, "{answer}");
    audited("vault.access_leaf 4");

    // The log was cut short, and all that is in the database agrees with that.
    tamper(
        &service,
        "DELETE FROM vault.access_leaf WHERE idx >= 2; DELETE FROM vault.access_checkpoint WHERE size > 2;
         DELETE FROM vault.access WHERE id NOT IN (SELECT access FROM vault.access_leaf);
         INSERT INTO vault.access_checkpoint SELECT 2, sha256('\\x01' || a.leaf_hash || b.leaf_hash), 'unsigned'
             FROM vault.access_leaf AS a, vault.access_leaf AS b WHERE a.idx = 0 AND b.idx = 1
             AND NOT EXISTS (SELECT FROM vault.access_checkpoint WHERE size = 2);
         UPDATE vault.access_state SET size = 2, root = sha256('\\x01' || a.leaf_hash || b.leaf_hash)
             FROM vault.access_leaf AS a, vault.access_leaf AS b WHERE a.idx = 0 AND b.idx = 1",
    );
    refused(&desk, "record 2 was shown before, and is gone");
    let (code, found) = Home::new().json(&["audit", "--data-dir", &data]);
    let finding = found["finding"].to_string();
    assert!(code == 6 && finding.contains("access"), "{found}");
    let mark = service.directory.join("access.mark");
    assert_eq!(fs::metadata(&mark).unwrap().permissions().mode() & 0o777, 0o600);
    // Even with a checkpoint of that time, what was signed since is known outside the database.
    tamper(&service, "DELETE FROM vault.access_checkpoint WHERE note = 'unsigned'");
    audited(&format!("the signer's mark {}", mark.display()));
    let shown: Value = mine(&fresh(&desk)).1;
    assert!(shown["accesses"].as_array().is_none_or(|accesses| accesses.len() == 2), "{shown}");
}

#[test]
fn parties_see_what_officers_read_once_the_delay_is_over() {
    let place = crate::harness::place();
    let service = Service::try_start(place.path(), "data", &["--officers-shown-after-days", "1"]).unwrap();
    let (_, payment, token) = read(&service, "delayed", 1);
    let officer = officer(&service, "HK");
    let openings = format!("/v1/statements/{}/openings?case_reference=A&purpose=B", payment.id);
    assert_eq!(get_as(&service, &openings, &officer).status, 200);
    let taxpayer = payment.submission.statement.issuer().to_hex();
    let report = serde_json::json!({ "query": { "taxpayer": taxpayer }, "case_reference": "A", "purpose": "B" });
    let authorization = format!("Bearer {officer}");
    let headers = [("Authorization", authorization.as_str())];
    let made = service.post_with("/v1/reports/ip-expenditure", report.to_string().as_bytes(), &headers);
    assert_eq!(made.status, 201, "{}", made.text());
    checkpoint(&service, 3);
    let roles = |token: &str| {
        let listed = get_as(&service, "/v1/accesses", token).json();
        let roles = listed["accesses"].as_array().unwrap().iter().map(|access| access["record"]["role"].clone());
        roles.collect::<Vec<_>>()
    };
    assert_eq!(roles(&token), ["party"], "not yet");
    assert_eq!(roles(&token_made(&service, &["--role", "auditor"]).0).len(), 3);
    service.stop();
    // Whatever is recorded from now on is shown at once; the delay of what was read before stays.
    let service = Service::start(place.path());
    assert_eq!(get_as(&service, &openings, &officer).status, 200);
    checkpoint(&service, 4);
    let listed = get_as(&service, "/v1/accesses", &token).json();
    let indices: Vec<&Value> = listed["accesses"].as_array().unwrap().iter().map(|access| &access["index"]).collect();
    assert_eq!(indices, [0, 3]);
    service.stop();
}

/// Cuts the access log short at two records, so that all that is in the database agrees with that.
const CUT_SHORT: &str = "
    DELETE FROM vault.access_leaf WHERE idx >= 2; DELETE FROM vault.access_checkpoint WHERE size > 2;
    DELETE FROM vault.access WHERE id NOT IN (SELECT access FROM vault.access_leaf);
    UPDATE vault.access_state SET size = 2, root = sha256('\\x01' || a.leaf_hash || b.leaf_hash)
        FROM vault.access_leaf AS a, vault.access_leaf AS b WHERE a.idx = 0 AND b.idx = 1";

/// Adds a record like the last one under another id: to the log at this index, or to those that wait for their place in it.
fn add(index: Option<u64>) -> String {
    let place = index.map_or("access_pending (access) SELECT id FROM made".to_owned(), |index| {
        format!("access_leaf (idx, access, leaf_hash) SELECT {index}, id, sha256('\\x00' || body) FROM made")
    });
    format!(
        "WITH new AS (SELECT substring(sha256(convert_to(clock_timestamp()::text, 'UTF8')) FOR 16) AS id), made AS (
             INSERT INTO vault.access (id, statement, role, bound_to, token, body, shown_from)
             SELECT new.id, statement, role, bound_to, token, convert_to(replace(convert_from(body, 'UTF8'),
                 encode(access.id, 'hex'), encode(new.id, 'hex')), 'UTF8'), shown_from
             FROM new, vault.access WHERE access.id = (SELECT access FROM vault.access_leaf ORDER BY idx DESC LIMIT 1)
             RETURNING id, body)
         INSERT INTO vault.{place}"
    )
}

/// Makes everything in the database agree with the records that are there now, as whoever can hash is able to.
fn agree(service: &Service) {
    let leaves = "SELECT string_agg(encode(leaf_hash, 'hex'), ' ' ORDER BY idx) FROM vault.access_leaf";
    let mut edge = Edge::new();
    for leaf in service.sql(leaves).unwrap().split(' ') {
        edge.append(leaf.parse().unwrap());
    }
    let (size, root) = (edge.size(), edge.root());
    let state = format!("UPDATE vault.access_state SET size = {size}, root = '\\x{root}'");
    tamper(service, &format!("{state}; DELETE FROM vault.access_checkpoint"));
}

/// Waits until nothing sealed is shown.
fn wait_until_halted(service: &Service) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !is_halted(service) {
        assert!(Instant::now() < deadline, "{}", service.errors());
        thread::sleep(Duration::from_millis(100));
    }
}

fn is_halted(service: &Service) -> bool {
    let metrics = ureq::get(format!("{}/metrics", service.metrics_url())).call().unwrap();
    let metrics = metrics.into_body().read_to_string().unwrap();
    let is_one = |name: &str| metrics.lines().any(|line| line == format!("{name} 1"));
    is_one("chopmark_access_log_halted") && is_one("chopmark_access_log_stalled")
}

#[test]
fn nothing_sealed_is_shown_while_the_access_log_is_not_what_was_signed() {
    let place = crate::harness::place();
    let start = || Service::try_start(place.path(), "data", &["--metrics-listen", "127.0.0.1:0"]).unwrap();
    let service = start();
    let (_, payment, token) = read(&service, "restored", 4);
    checkpoint(&service, 4);
    assert!(!is_halted(&service));
    tamper(&service, CUT_SHORT);
    service.stop();
    let service = start();
    let openings = format!("/v1/statements/{}/openings", payment.id);
    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", authorization.as_str())];
    for answer in
        [get_as(&service, &openings, &token), service.post_with("/v1/reports/ip-expenditure", b"{}", &headers)]
    {
        assert_eq!(
            (answer.status, &answer.problem()["code"]),
            (503, &"access_log_damaged".into()),
            "{}",
            answer.text()
        );
        assert!(!answer.text().contains("4.00"));
    }
    assert!(is_halted(&service));
    assert_eq!(get_as(&service, "/v1/accesses", &token).status, 200, "who has read what is shown");
    assert!(service.errors().contains("the access log is not what was signed"), "{}", service.errors());

    // Nor does the command that reads everything put records behind those that are missing.
    let (home, data) = (Home::new(), service.directory.to_str().unwrap());
    let command = ["report", "recompute", "--case", "C", "--purpose", "P", "--json", "--data-dir", data];
    let refused = home.command(&command).env("CHOPMARK_TOKEN", officer(&service, "HK")).output().unwrap();
    let refused = Ran::of(refused);
    assert_eq!((refused.code, &refused.document()["error"]["code"]), (6, &"access_log_damaged".into()), "{refused:?}");
    assert_eq!(service.sql("SELECT count(*) FROM vault.access").unwrap(), "2");

    // Others in their place, as many as were signed and one more, are not they.
    for _ in 0..3 {
        service.sql(&add(None)).unwrap();
    }
    let deadline = Instant::now() + Duration::from_mins(1);
    while service.sql("SELECT size FROM vault.access_state").unwrap() != "5" {
        assert!(Instant::now() < deadline, "{}", service.errors());
        thread::sleep(Duration::from_millis(100));
    }
    service.stop();
    let service = start();
    assert_eq!(get_as(&service, &openings, &token).status, 503);
    assert!(is_halted(&service));
    service.stop();
}

#[test]
fn another_history_is_not_signed_once_it_is_longer() {
    let place = crate::harness::place();
    let start = || Service::try_start(place.path(), "data", &["--metrics-listen", "127.0.0.1:0"]).unwrap();
    let service = start();
    let (_, payment, token) = read(&service, "rewritten", 6);
    checkpoint(&service, 6);
    let mark = || fs::read(place.path().join("data/access.mark")).unwrap();
    let signed = mark();
    // Another record in the place of one that was signed, and a new one.
    tamper(
        &service,
        &format!(
            "UPDATE vault.access SET body = convert_to(replace(convert_from(body, 'UTF8'), '\"fields\":[]',
                 '\"fields\":[\"/fees\"]'), 'UTF8') WHERE id = (SELECT access FROM vault.access_leaf WHERE idx = 4);
             UPDATE vault.access_leaf SET leaf_hash = sha256('\\x00' || body) FROM vault.access
                 WHERE access.id = access_leaf.access AND idx = 4; {}",
            add(Some(6))
        ),
    );
    agree(&service);
    // The process that knows what was there before, and one that knows nothing but the mark.
    wait_until_halted(&service);
    service.stop();
    let service = start();
    let openings = format!("/v1/statements/{}/openings", payment.id);
    assert_eq!(get_as(&service, &openings, &token).status, 503);
    assert!(is_halted(&service));
    assert_eq!(mark(), signed);
    service.stop();
}

#[test]
fn a_checkpoint_of_another_root_is_not_passed_over() {
    let place = crate::harness::place();
    let service = Service::try_start(place.path(), "data", &["--metrics-listen", "127.0.0.1:0"]).unwrap();
    let (_, payment, token) = read(&service, "another root", 2);
    checkpoint(&service, 2);
    tamper(&service, "INSERT INTO vault.access_checkpoint (size, root, note) VALUES (3, sha256('x'), 'unsigned')");
    let openings = format!("/v1/statements/{}/openings", payment.id);
    assert_eq!(get_as(&service, &openings, &token).status, 200);
    wait_until_halted(&service);
    assert_eq!(get_as(&service, &openings, &token).status, 503);
    service.stop();
}
