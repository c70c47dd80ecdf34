//! A PostgreSQL that may lose what it has committed is refused before anything is written, with what to do about it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Home, Ran, Service, place, postgres_programs};
use crate::power::comes;
use crate::replicas::PATIENCE;

/// PostgreSQL's programs in a directory of their own, where `initdb` makes a cluster without checksums, and `postgres` leaves
/// to its configuration what durability rests on, as a server that somebody else runs.
fn careless_programs(place: &Path) -> PathBuf {
    let (real, careless) = (postgres_programs(), place.join("programs"));
    fs::create_dir(&careless).unwrap();
    for entry in fs::read_dir(&real).unwrap() {
        let name = entry.unwrap().file_name();
        if name != "postgres" && name != "initdb" {
            symlink(real.join(&name), careless.join(&name)).unwrap();
        }
    }
    let help = Command::new(real.join("initdb")).arg("--help").output().unwrap();
    // Until version 18 there was no need to say so.
    let is_default = String::from_utf8_lossy(&help.stdout).contains("--no-data-checksums");
    let without = if is_default { "--no-data-checksums" } else { "--no-sync" };
    for (program, from, to) in
        [("initdb", "--data-checksums", without), ("postgres", "fsync=on|full_page_writes=on", "bonjour=off")]
    {
        let script = format!(
            "#!/bin/sh\nfor argument do\nshift\ncase $argument in {from}) argument={to} ;; esac\n\
             set -- \"$@\" \"$argument\"\ndone\nexec '{}' \"$@\"\n",
            real.join(program).display()
        );
        fs::write(careless.join(program), script).unwrap();
        fs::set_permissions(careless.join(program), Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(&careless, Permissions::from_mode(0o755)).unwrap();
    careless
}

fn set(server: &Service, setting: &str, value: &str) {
    server.sql(&format!("ALTER SYSTEM SET {setting} = {value}")).unwrap();
    server.sql("SELECT pg_reload_conf()").unwrap();
    assert!(comes(PATIENCE, || server.sql(&format!("SHOW {setting}")).unwrap() == value), "{setting}");
}

#[track_caller]
fn assert_refused(ran: &Ran, setting: &str) {
    let said = [&format!("{setting} is off"), &format!("ALTER SYSTEM SET {setting} = on")];
    assert!(ran.code == 2 && said.iter().all(|words| ran.stderr.contains(*words)), "{ran:?}");
}

#[test]
fn a_database_that_may_lose_what_it_has_committed_is_refused() {
    const NO_CHECKSUMS: &str = "no data checksums";
    let place = place();
    let programs = careless_programs(place.path());
    let variables = [("CHOPMARK_PG_BIN", programs.to_str().unwrap())];
    let server = Service::try_start_with(place.path(), "host", &[], &variables).unwrap();
    assert!(server.errors().contains(NO_CHECKSUMS), "{}", server.errors());
    server.sql("CREATE DATABASE other").unwrap();
    let url = format!("{}/other", server.database_url().strip_suffix("/chopmark").unwrap());
    let sql = |statements: &str| crate::harness::sql(&url, statements).unwrap();
    let directory = place.path().join("other");
    let of_registry = ["--data-dir", directory.to_str().unwrap(), "--database-url", &url];
    let init = || Home::new().run(&[&["ledger", "init"], &of_registry[..]].concat());
    let serve = || Service::try_start(place.path(), "other", &["--database-url", &url]);

    for setting in ["fsync", "full_page_writes"] {
        set(&server, setting, "off");
        assert_refused(&init(), setting);
        set(&server, setting, "on");
    }
    assert_eq!(
        sql("SELECT count(*) FROM pg_namespace WHERE nspname IN ('log', 'view', 'vault')"),
        "0",
        "nothing is made"
    );
    assert!(!directory.join("keys").exists(), "nor any key");
    let founded = init();
    assert!(founded.code == 0 && founded.stderr.contains(NO_CHECKSUMS), "{founded:?}");
    let service = serve().unwrap();
    assert!(service.errors().contains(NO_CHECKSUMS), "{}", service.errors());
    service.stop();

    set(&server, "fsync", "off");
    assert_refused(&serve().err().unwrap(), "fsync");
    // What is there may be read wherever it lies.
    let audit = Home::new().run(&[&["audit"], &of_registry[..]].concat());
    assert_eq!(audit.code, 0, "{audit:?}");
    set(&server, "fsync", "on");

    sql("ALTER TABLE view.nonce SET UNLOGGED");
    let refused = serve().err().unwrap();
    assert!(refused.code == 2 && refused.stderr.contains("view.nonce"), "{refused:?}");
    sql("ALTER TABLE view.nonce SET LOGGED");
    serve().unwrap().stop();
    server.stop();
}

#[test]
fn with_checksums_nothing_is_said() {
    let service = crate::shared::service();
    assert!(!service.errors().contains("checksums"), "{}", service.errors());
}
