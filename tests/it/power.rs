//! Power cuts: the service and its PostgreSQL are killed while statements come in. Whatever was acknowledged is in the
//! log afterwards, at its index and provable, and an audit finds nothing.
//!
//! A few kills in every run; with `CHOPMARK_SOAK=1` as many as security.md asks for.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chopmark_core::submission::Submission;
use rustix::process::{Signal, kill_process};

use crate::harness::{Home, Service, place};
use crate::make::Author;
use crate::shared::{self, check_receipt};

/// How often something is killed: a few times, or for a long run many.
fn kills(many: usize) -> usize {
    if std::env::var_os("CHOPMARK_SOAK").is_some_and(|value| value == "1") { many } else { 3 }
}

/// Statements that were acknowledged, with their indices.
type Acknowledged = Mutex<Vec<(u64, Submission)>>;

/// Posts from several threads until told to stop; `interrupt` runs once enough was acknowledged.
fn under_load(service: &Service, author: &Author, label: &str, acknowledged: &Acknowledged, interrupt: impl FnOnce()) {
    const THREADS: usize = 6;
    let (_, log_key) = shared::registry(service);
    let (stop, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (log_key, stop, count) = (&log_key, &stop, &count);
            scope.spawn(move || {
                for number in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let submission = author.artefact(&format!("{label} {thread} {number}"));
                    // A connection that breaks is what this is about; anything answered must be 201 or 503.
                    let Ok(answer) = service.try_post(&submission.to_request(), "application/json") else { continue };
                    if answer.status == 201 {
                        let (index, _) = check_receipt(&answer, &submission.entry, log_key);
                        acknowledged.lock().unwrap().push((index, submission));
                        count.fetch_add(1, Ordering::SeqCst);
                    } else {
                        assert_eq!(answer.status, 503, "{}", answer.text());
                    }
                }
            });
        }
        wait_until(|| count.load(Ordering::SeqCst) >= 40);
        interrupt();
        stop.store(true, Ordering::SeqCst);
    });
}

fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !condition() {
        assert!(Instant::now() < deadline, "it does not happen within a minute");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Every statement acknowledged from the `first` on is at its index, provable at the newest checkpoint, and sent again
/// is the same entry. Returns how many were acknowledged so far.
fn check_from(first: usize, service: &Service, acknowledged: &Acknowledged) -> usize {
    let (_, log_key) = shared::registry(service);
    let acknowledged = acknowledged.lock().unwrap();
    for (index, submission) in &acknowledged[first..] {
        let receipt = service.get(&format!("/v1/statements/{}/receipt", submission.statement.id));
        assert_eq!(receipt.status, 200, "entry {index} was acknowledged and is gone: {}", receipt.text());
        assert_eq!(check_receipt(&receipt, &submission.entry, &log_key).0, *index);
    }
    if let Some((index, submission)) = acknowledged.last() {
        let again = service.post(&submission.to_request());
        assert_eq!((again.status, check_receipt(&again, &submission.entry, &log_key).0), (200, *index));
    }
    acknowledged.len()
}

fn assert_clean(place: &std::path::Path) {
    let (code, audit) = Home::new().json(&["audit", "--data-dir", place.join("data").to_str().unwrap()]);
    assert_eq!((code, audit["state"].as_str()), (0, Some("clean")), "{audit}");
    assert_eq!(audit["outside_roots"], 1, "the mark was compared: {audit}");
}

#[test]
fn a_killed_service_loses_nothing_it_acknowledged() {
    let place = place();
    let mut service = Service::start(place.path());
    let author = shared::author(&service, "killed service");
    let acknowledged = Acknowledged::default();
    let (kills, mut checked) = (kills(500), 0);
    for round in 0..kills {
        let label = format!("killed service {round}");
        under_load(&service, &author, &label, &acknowledged, || service.send(Signal::KILL));
        service.kill();
        // The PostgreSQL it left behind is found and taken over.
        service = Service::start(place.path());
        assert_eq!(service.get("/readyz").status, 200);
        checked = check_from(checked, &service, &acknowledged);
    }
    assert_eq!(check_from(0, &service, &acknowledged), checked);
    println!("{checked} acknowledged statements survived {kills} kills of the service");
    assert!(checked >= 40 * kills, "{checked}");
    service.stop();
    assert_clean(place.path());
}

#[test]
fn a_killed_database_loses_nothing_that_was_acknowledged() {
    let place = place();
    let service = Service::start(place.path());
    let author = shared::author(&service, "killed database");
    let acknowledged = Acknowledged::default();
    let (kills, mut checked) = (kills(200), 0);
    for round in 0..kills {
        let before = service.postgres();
        let label = format!("killed database {round}");
        under_load(&service, &author, &label, &acknowledged, || kill_process(before, Signal::KILL).unwrap());
        // The service starts it again by itself, and takes statements again.
        wait_until(|| service.get("/readyz").status == 200);
        let next = author.artefact(&format!("after kill {round}"));
        wait_until(|| matches!(service.post(&next.to_request()).status, 200 | 201));
        assert_ne!(service.postgres(), before);
        checked = check_from(checked, &service, &acknowledged);
    }
    assert_eq!(check_from(0, &service, &acknowledged), checked);
    println!("{checked} acknowledged statements survived {kills} kills of PostgreSQL");
    assert!(checked >= 40 * kills, "{checked}");
    service.stop();
    assert_clean(place.path());
}
