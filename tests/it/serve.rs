//! Starting and stopping, and a database restored from a backup: what the signer's mark is for.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::admission::expect;
use crate::harness::{Home, Ran, Service, place};
use crate::make::Author;
use crate::shared::{self, check_receipt, enter};

/// Copies a directory with owners and modes, as an operator's backup of a stopped database would.
pub fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(status.success());
}

fn refused(started: Result<Service, Ran>) -> Ran {
    match started {
        Ok(service) => panic!("it started: {}", service.errors()),
        Err(ran) => ran,
    }
}

#[test]
fn a_service_starts_answers_and_stops() {
    let place = place();
    let service = Service::start(place.path());
    assert_eq!(service.get("/healthz").text(), "ok\n");
    let ready = service.get("/readyz");
    assert_eq!((ready.status, ready.json()["ready"].as_bool()), (200, Some(true)));
    assert_eq!(shared::size(&service), 2, "the two entries of genesis");
    let (registry, log_key) = shared::registry(&service);
    assert!(registry.origin.starts_with("chopmark.local/"), "{}", registry.origin);
    assert!(service.errors().contains(&log_key.to_string()), "the log key is said on stderr");
    let postgres = service.postgres().unwrap();
    service.stop();
    assert!(rustix::process::test_kill_process(postgres).is_err(), "PostgreSQL is still running");

    // The same registry again, and everything in it.
    let service = Service::start(place.path());
    assert_eq!(shared::registry(&service), (registry, log_key));
    service.stop();
}

#[test]
fn keys_are_private_and_an_origin_can_be_chosen_once() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = place();
    let service = Service::try_start(place.path(), "data", &["--origin", "registry.example.hk/log"]).unwrap();
    assert_eq!(shared::registry(&service).0.origin, "registry.example.hk/log");
    let directory = service.directory.clone();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let private = |below: &Path, ending: &str| {
        let files = fs::read_dir(below).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == ending)).collect();
        for path in &files {
            assert_eq!(mode(path), 0o600, "{}", path.display());
        }
        files.sort();
        let names = files.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    let keys = directory.join("keys");
    assert_eq!(fs::read_dir(&keys).unwrap().count(), 3, "nothing but keys");
    assert_eq!(private(&keys, "key"), ["log.key", "operator.key", "vault.key"]);
    assert_eq!(private(&directory, "mark"), ["log.mark"], "nothing was read yet that is recorded");
    assert_eq!((mode(&keys), mode(&directory) & 0o066), (0o700, 0));
    service.stop();
    // What was opened to others is closed again.
    for path in [&directory, &keys] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    Service::start(place.path()).stop();
    assert_eq!((mode(&keys), mode(&directory)), (0o700, 0o755));
    let other = refused(Service::try_start(place.path(), "data", &["--origin", "registry.example.cn/log"]));
    assert_eq!((other.code, other.stdout.as_str()), (2, ""), "{other:?}");
    assert!(other.stderr.contains("registry.example.hk/log"), "{other:?}");
}

#[test]
fn a_second_service_on_the_same_directory_never_signs() {
    let place = place();
    let service = Service::start(place.path());
    let url = service.database_url();
    let second = refused(Service::try_start(place.path(), "data", &[]));
    assert!(second.code != 0 && second.stdout.is_empty(), "{second:?}");
    // With the database of the first it is a replica: the mark has one holder.
    std::os::unix::fs::symlink(&service.directory, place.path().join("beside")).unwrap();
    let second = Service::try_start(place.path(), "beside", &["--database-url", &url]).unwrap();
    assert_eq!(second.get("/readyz").json()["signs"], false);
    assert_eq!(service.get("/readyz").json()["signs"], true);
    let author = shared::author(&service, "beside a second");
    for replica in [&service, &second] {
        let label = format!("through {}", replica.url());
        assert_eq!(replica.post(&author.artefact(&label).to_request()).status, 201);
    }
    second.stop();
    service.stop();
}

#[test]
fn a_database_from_before_the_last_checkpoint_is_never_signed_over() {
    let place = place();
    let service = Service::start(place.path());
    let (_, log_key) = shared::registry(&service);
    let author = shared::author(&service, "restore");
    let early: Vec<_> = (0..5).map(|number| author.artefact(&format!("early {number}"))).collect();
    for submission in &early {
        enter(&service, submission, &log_key);
    }
    let early_checkpoint = service.get("/checkpoint").text().to_owned();
    let (database, backup) = (service.directory.join("postgres/data"), place.path().join("backup"));
    let mark = service.directory.join("log.mark");
    service.stop();
    copy(&database, &backup);

    let service = Service::start(place.path());
    let late: Vec<_> = (0..7).map(|number| author.artefact(&format!("late {number}"))).collect();
    for submission in &late {
        enter(&service, submission, &log_key);
    }
    let size = shared::size(&service);
    service.stop();
    let signed = fs::read(&mark).unwrap();
    let newest = place.path().join("newest");
    fs::rename(&database, &newest).unwrap();
    copy(&backup, &database);

    // Twice, because starting again must not heal it.
    for _ in 0..2 {
        let service = Service::start(place.path());
        let problem = expect(&service.get("/readyz"), "503 read_only request ");
        let detail = problem["detail"].as_str().unwrap();
        for words in [
            "the database holds 8 entries",
            &format!("a checkpoint over {size} was signed"),
            "restored from before",
            "Restore a newer backup",
            "7 entries",
            "fork",
        ] {
            assert!(detail.contains(words), "{words:?} is missing: {detail}");
        }
        assert!(service.errors().contains("READ-ONLY"), "{}", service.errors());
        let refusal = service.post(&author.artefact("not now").to_request());
        expect(&refusal, "503 read_only request ");
        assert!(refusal.header("retry-after").is_some());
        // What was proved stays readable and provable, at the old checkpoint.
        assert_eq!(service.get("/checkpoint").text(), early_checkpoint);
        for submission in &early {
            let receipt = service.get(&format!("/v1/statements/{}/receipt", submission.statement.id));
            assert_eq!(check_receipt(&receipt, &submission.entry, &log_key).1.size(), 8);
        }
        assert_eq!(service.get(&format!("/v1/statements/{}", late[0].statement.id)).status, 404);
        assert_eq!(service.get("/healthz").status, 200);
        assert_eq!(service.sql("SELECT max(size) FROM log.checkpoint").unwrap(), "8");
        service.stop();
        assert_eq!(fs::read(&mark).unwrap(), signed, "the mark moved");
    }
    // An audit says the same, because it knows the mark.
    let (code, audit) = Home::new().json(&["audit", "--data-dir", mark.parent().unwrap().to_str().unwrap()]);
    assert_eq!((code, &audit["finding"]["index"]), (6, &Value::from(8)), "{audit}");

    // With the newest backup it goes on where it was.
    fs::remove_dir_all(&database).unwrap();
    fs::rename(&newest, &database).unwrap();
    let service = Service::start(place.path());
    assert_eq!(service.get("/readyz").status, 200);
    enter(&service, &author.artefact("now"), &log_key);
    for submission in &late {
        let receipt = service.get(&format!("/v1/statements/{}/receipt", submission.statement.id));
        check_receipt(&receipt, &submission.entry, &log_key);
    }
    service.stop();
}

#[test]
fn missing_state_is_never_made_up() {
    let place = place();
    let service = Service::start(place.path());
    let author = shared::author(&service, "missing state");
    let directory = service.directory.clone();
    service.stop();
    let start = || Service::try_start(place.path(), "data", &[]);
    let away = place.path().join("away");

    for (name, words) in [
        ("log.mark", ["log.mark is missing", "restore it from a backup"]),
        ("keys/log.key", ["keys/log.key", "does not exist"]),
    ] {
        fs::rename(directory.join(name), &away).unwrap();
        let ran = refused(start());
        assert!(ran.code != 0 && ran.stdout.is_empty(), "{ran:?}");
        for words in words {
            assert!(ran.stderr.contains(words), "{words:?} is missing: {ran:?}");
        }
        assert!(!directory.join(name).exists(), "{name} was made anew");
        fs::rename(&away, directory.join(name)).unwrap();
    }
    // A mark of another log, and one that is not a mark.
    let mark = fs::read_to_string(directory.join("log.mark")).unwrap();
    for other in [mark.replace("chopmark.local/", "chopmark.other/"), "{}".to_owned(), String::new()] {
        fs::write(directory.join("log.mark"), other).unwrap();
        let ran = refused(start());
        assert_eq!(ran.code, 9, "{ran:?}");
        assert!(ran.stderr.contains("is not the mark of"), "{ran:?}");
    }
    fs::write(directory.join("log.mark"), &mark).unwrap();

    // The database gone, the keys and the mark still there: founding anew would give one key two logs.
    fs::rename(directory.join("postgres/data"), &away).unwrap();
    let ran = refused(start());
    assert_eq!(ran.code, 9, "{ran:?}");
    assert!(ran.stderr.contains("restore that database from a backup"), "{ran:?}");
    fs::remove_dir_all(directory.join("postgres/data")).unwrap();
    fs::rename(&away, directory.join("postgres/data")).unwrap();

    let service = start().unwrap();
    assert_eq!(service.post(&author.artefact("whole again").to_request()).status, 201);
    service.stop();
}

#[test]
fn an_existing_database_is_founded_on_purpose_only() {
    let place = place();
    let service = Service::start(place.path());
    let url = service.database_url();
    service.sql("CREATE DATABASE elsewhere").unwrap();
    let url = format!("{}/elsewhere", url.strip_suffix("/chopmark").unwrap());
    let external = ["--database-url", url.as_str()];
    let ran = refused(Service::try_start(place.path(), "external", &external));
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("chopmark ledger init"), "{ran:?}");

    let home = Home::new();
    let directory = place.path().join("external");
    let init = [
        "ledger",
        "init",
        "--data-dir",
        directory.to_str().unwrap(),
        "--database-url",
        &url,
        "--origin",
        "a.example/log",
    ];
    let (code, founded) = home.json(&init);
    assert_eq!((code, founded["origin"].as_str()), (0, Some("a.example/log")), "{founded}");
    let (code, again) = home.json(&init);
    assert_eq!((code, again["error"]["code"].as_str()), (10, Some("already_founded")), "{again}");

    let external = Service::try_start(place.path(), "external", &external).unwrap();
    let (reference, log_key) = shared::registry(&external);
    assert_eq!(founded["genesis"], reference.genesis.to_hex());
    let (author, party) = Author::new(&reference, "in an existing database", 1, 1);
    assert_eq!(enter(&external, &party, &log_key), 2);
    assert_eq!(enter(&external, &author.artefact("in an existing database"), &log_key), 3);
    external.stop();
    service.stop();
}
