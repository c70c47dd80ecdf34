//! Two signers with one key on one database: whatever they do, there is never a second root at one size.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::admission::expect;
use crate::harness::{Home, Service, place};
use crate::serve::copy;
use crate::shared::{self, check_receipt, enter};

/// Copies keys and mark of a service into another data directory.
fn clone_signer(service: &Service, name: &str) {
    let to = service.directory.with_file_name(name);
    std::fs::create_dir(&to).unwrap();
    for part in ["keys", "log.mark"] {
        copy(&service.directory.join(part), &to.join(part));
    }
}

#[test]
fn a_signer_with_an_old_mark_is_refused() {
    let place = place();
    let service = Service::start(place.path());
    let (_, log_key) = shared::registry(&service);
    let author = shared::author(&service, "old mark");
    clone_signer(&service, "second");
    enter(&service, &author.artefact("signed since"), &log_key);
    let url = service.database_url();
    let second = Service::try_start(place.path(), "second", &["--database-url", &url]).unwrap();
    let problem = expect(&second.get("/readyz"), "503 read_only request ");
    let detail = problem["detail"].as_str().unwrap();
    for words in ["over 4 entries", "has only signed 3", "another signer", "Stop the other one", "newest mark"] {
        assert!(detail.contains(words), "{words:?} is missing: {detail}");
    }
    expect(&second.post(&author.artefact("to the second").to_request()), "503 read_only request ");
    enter(&service, &author.artefact("to the first"), &log_key);
    second.stop();
    service.stop();
}

/// Both start from the same mark, so both may sign at first; one of them is stopped and continued all the time.
#[test]
fn two_signers_at_once_never_fork() {
    let place = place();
    let first = Service::start(place.path());
    let (_, log_key) = shared::registry(&first);
    let author = shared::author(&first, "two signers");
    clone_signer(&first, "second");
    let url = first.database_url();
    let second = Service::try_start(place.path(), "second", &["--database-url", &url]).unwrap();
    assert_eq!((first.get("/readyz").status, second.get("/readyz").status), (200, 200));

    let seen = Mutex::new(BTreeMap::new());
    let note = |size: u64, root: String| {
        let before = seen.lock().unwrap().insert(size, root.clone());
        assert!(before.is_none_or(|before| before == root), "two roots at size {size}");
    };
    thread::scope(|scope| {
        for (name, service) in [("first", &first), ("second", &second)] {
            let (author, log_key, note) = (&author, &log_key, &note);
            scope.spawn(move || {
                for number in 0..100 {
                    let submission = author.artefact(&format!("{name} {number}"));
                    let answer = service.post(&submission.to_request());
                    if answer.status == 201 {
                        let checkpoint = check_receipt(&answer, &submission.entry, log_key).1;
                        note(checkpoint.size(), checkpoint.root().to_hex());
                    } else {
                        assert_eq!(answer.status, 503, "{}", answer.text());
                    }
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..200 {
                second.send(Signal::STOP);
                thread::sleep(Duration::from_millis(2));
                second.send(Signal::CONT);
                thread::sleep(Duration::from_millis(2));
            }
        });
    });
    let stored = first.sql("SELECT size || ' ' || encode(root, 'hex') FROM log.checkpoint ORDER BY size").unwrap();
    for line in stored.lines() {
        let (size, root) = line.split_once(' ').unwrap();
        note(size.parse().unwrap(), root.to_owned());
    }
    let refused = [&first, &second].into_iter().filter(|service| service.get("/readyz").status == 503).count();
    assert!(refused >= 1, "both go on signing");
    println!("{} checkpoints by two signers, one root each; {refused} of 2 stopped signing", stored.lines().count());
    second.stop();
    first.stop();
    let (code, audit) = Home::new().json(&["audit", "--data-dir", place.path().join("data").to_str().unwrap()]);
    assert!(code == 0 || audit["finding"]["object"].as_str().unwrap().contains("mark"), "{audit}");
}
