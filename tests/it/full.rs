//! Disks that take no writes, and a mark that fails. Writers get 503, readers go on, it is said why, and it ends by itself.
//!
//! The disks are small file systems in memory, in a mount namespace of the service's own. Where that is not allowed, the
//! tests say that they were skipped; `CHOPMARK_TEST_NAMESPACES=required` makes that a failure.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use crate::admission::expect;
use crate::harness::{Ran, Service, binary, can_test, is_required, place};
use crate::power::comes;
use crate::replicas::{PATIENCE, Shared};
use crate::shared::{self, check_receipt, enter};

/// Clients that fill the database's disk.
const CLIENTS: usize = 4;

/// Room for some hundred statements.
const ROOM_BYTES: u64 = 1 << 20;

/// After so many statements of one client there is no end to the room.
const STATEMENTS_MAX: u32 = 5_000;

/// Whether a file system can be mounted where nobody else sees it.
fn can_mount() -> bool {
    let place = place();
    let mount = Command::new("unshare").args(["--mount", "mount", "-t", "tmpfs", "none"]).arg(place.path()).output();
    let is_there = mount.is_ok_and(|output| output.status.success());
    can_test("full disks, in a namespace of their own (root)", is_required("CHOPMARK_TEST_NAMESPACES"), is_there)
}

/// A program that starts the service with a file system of `size_kib` at `directory`, with a copy of `content` in it.
fn on_small_disk(place: &Path, directory: &Path, size_kib: u32, content: Option<&Path>) -> PathBuf {
    let (program, directory) = (place.join("on-small-disk"), directory.display());
    let copy = content.map_or_else(|| ":".to_owned(), |from| format!("cp -a '{}/.' '{directory}'", from.display()));
    let script = format!(
        "#!/bin/sh\nexec unshare --mount sh -c \"mkdir -p '{directory}' && \
         mount -t tmpfs -o size={size_kib}k,mode=0711 none '{directory}' && {copy} && exec '{}' \\\"\\$@\\\"\" chopmark \"$@\"\n",
        binary().display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    program
}

/// A file on the service's disk that takes the room there is; gone with the value.
struct Filler(PathBuf);

impl Filler {
    /// Leaves so many bytes.
    fn leaving(service: &Service, room: u64) -> Self {
        // The namespace of the service, as the kernel shows it.
        let directory = service.directory.strip_prefix("/").unwrap();
        let path = Path::new("/proc").join(service.id().to_string()).join("root").join(directory).join("filler");
        let mut file = File::create(&path).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        let size = file.metadata().unwrap().len();
        file.set_len(size - room).unwrap();
        Self(path)
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_full_database_disk_makes_it_read_only_until_there_is_room() {
    if !can_mount() {
        return;
    }
    let place = place();
    let program = on_small_disk(place.path(), &place.path().join("data"), 160 << 10, None);
    let service = Service::try_start_program(&program, place.path(), "data", &[]).unwrap();
    let (_, log_key) = shared::registry(&service);
    let author = shared::author(&service, "full disk");
    let entered = vec![author.artefact("before it is full")];
    enter(&service, &entered[0], &log_key);

    // Several clients write until each was refused a few times.
    let filler = Filler::leaving(&service, ROOM_BYTES);
    let said = Mutex::new((entered, Vec::new()));
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (service, author, said, log_key) = (&service, &author, &said, &log_key);
            scope.spawn(move || {
                let mut refusals = 0;
                for number in 0.. {
                    let submission = author.artefact(&format!("full disk {client} {number}"));
                    let answer = service.post(&submission.to_request());
                    match answer.status {
                        201 => {
                            check_receipt(&answer, &submission.entry, log_key);
                            said.lock().unwrap().0.push(submission);
                        }
                        503 => {
                            refusals += usize::from(answer.problem()["code"] == "disk_full");
                            said.lock().unwrap().1.push(submission);
                        }
                        _ => panic!("{} {}", answer.status, answer.text()),
                    }
                    assert!(number < STATEMENTS_MAX, "never full");
                    if refusals == 8 {
                        break;
                    }
                }
            });
        }
    });
    let (entered, refused) = said.into_inner().unwrap();
    assert!(entered.len() > CLIENTS, "full before anybody wrote");
    expect(&service.post(&refused[0].to_request()), "503 disk_full request ");
    let problem = expect(&service.get("/readyz"), "503 disk_full request ");
    assert!(problem["detail"].as_str().unwrap().contains("disk of the database is full"), "{problem}");
    // Reading goes on, with everything that was acknowledged.
    assert_eq!(service.get("/checkpoint").status, 200);
    for submission in entered.iter().rev().take(50).chain(&entered[..1]) {
        let answer = service.get(&format!("/v1/statements/{}/receipt", submission.statement.id));
        assert_eq!(answer.status, 200, "{}", answer.text());
        check_receipt(&answer, &submission.entry, &log_key);
    }

    drop(filler);
    assert!(comes(PATIENCE, || service.get("/readyz").status == 200), "{}", service.errors());
    for submission in &refused {
        let answer = service.post(&submission.to_request());
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        check_receipt(&answer, &submission.entry, &log_key);
    }
    for submission in &entered {
        let answer = service.get(&format!("/v1/statements/{}/receipt", submission.statement.id));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    // The database is in the service's namespace, so the audit has to go there.
    let id = service.id().to_string();
    let mut audit = Command::new("nsenter");
    audit.args(["--mount", "--target", &id]).arg(binary()).args(["audit", "--json", "--data-dir"]);
    let audit = Ran::of(audit.arg(&service.directory).output().unwrap()).document();
    assert_eq!(audit["state"], "clean", "{audit}");
    println!("{} statements acknowledged before the disk was full, none lost; audit clean", entered.len());
    service.stop();
}

/// Has the mark of a service on a small disk fail to be read and written, or takes that back. Nothing is signed meanwhile,
/// so nobody looks for the mark between the two moves.
fn break_mark(service: &Service, broken: bool) {
    let change = if broken { "mv log.mark aside && mkdir log.mark" } else { "rmdir log.mark && mv aside log.mark" };
    let mut shell = Command::new("nsenter");
    shell.args(["--mount", "--target", &service.id().to_string(), "sh", "-c"]);
    let ran = Ran::of(shell.arg(format!("cd '{}' && {change}", service.directory.display())).output().unwrap());
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn a_full_disk_under_the_mark_stops_nothing_and_a_mark_that_fails_stops_signatures_until_it_does_not() {
    if !can_mount() {
        return;
    }
    let registry = Shared::found();
    let place = registry.place.path();
    let program = on_small_disk(place, &place.join("small"), 128, Some(&place.join("first")));
    let service = Service::try_start_program(&program, place, "small", &["--database-url", &registry.url]).unwrap();
    let (_, log_key) = shared::registry(&service);
    let author = shared::author(&service, "full mark");
    let signed = author.artefact("signed");
    let index = enter(&service, &signed, &log_key);
    // The mark is written over in place, and needs no room.
    let filler = Filler::leaving(&service, 0);
    assert_eq!(enter(&service, &author.artefact("no room needed"), &log_key), index + 1);
    drop(filler);
    let index = index + 1;
    let checkpoint = service.get("/checkpoint");
    assert!(comes(PATIENCE, || registry.sql("SELECT max(size) FROM log.checkpoint") == (index + 1).to_string()));

    break_mark(&service, true);
    let unsigned = author.artefact("not signed yet");
    for _ in 0..3 {
        expect(&service.post(&unsigned.to_request()), "503 checkpoint_pending request ");
    }
    let problem = expect(&service.get("/readyz"), "503 checkpoint_pending request ");
    assert!(problem["detail"].as_str().unwrap().contains("signer's mark"), "{problem}");
    assert_eq!(service.get("/checkpoint").body, checkpoint.body, "no signature left");
    assert_eq!(registry.sql("SELECT max(size) FROM log.checkpoint"), (index + 1).to_string());
    assert_eq!(service.get(&format!("/v1/statements/{}/receipt", signed.statement.id)).status, 200);

    break_mark(&service, false);
    assert!(comes(PATIENCE, || service.get("/readyz").status == 200), "{}", service.errors());
    let answer = service.post(&unsigned.to_request());
    assert_eq!((answer.status, check_receipt(&answer, &unsigned.entry, &log_key).0), (200, index + 1));
    assert_eq!(enter(&service, &author.artefact("and on"), &log_key), index + 2);
    service.stop();
    registry.stop();
}
