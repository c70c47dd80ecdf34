//! The real binary, started, talked to and stopped; every service with its own directory and its own PostgreSQL.
//!
//! Nothing outlives the test executable: a small shell waits at the other end of a pipe for each service and stops it
//! when the pipe closes, however the executable ends. Only processes that were started here are signalled.

use std::fs::{self, File, Permissions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for a service to be ready: initdb, start, migration, on a busy machine.
const READY_LIMIT: Duration = Duration::from_mins(1);

/// Longest wait for the service to lose patience: well above its own limits, so that only a missing one is noticed.
const PATIENCE: Duration = Duration::from_mins(2);

/// Longest wait for a service to stop: requests drain, PostgreSQL writes everything.
const STOP_LIMIT: Duration = Duration::from_mins(1);

/// What the shell at the other end of the pipe does: `$1` service, `$2` its data directory, `$3` what to remove.
const WATCHDOG: &str = r#"
read -r _
kill -TERM "$1" 2>/dev/null
n=0
while kill -0 "$1" 2>/dev/null && [ "$n" -lt 300 ]; do sleep 0.1; n=$((n + 1)); done
kill -KILL "$1" 2>/dev/null
postgres=$(head -n 1 "$2/postgres/data/postmaster.pid" 2>/dev/null)
if [ -n "$postgres" ] && grep -qs "$2" "/proc/$postgres/cmdline"; then kill -QUIT "$postgres"; sleep 1; fi
rm -rf "$3"
"#;

/// The binary beside this test executable.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test.ancestors().nth(2).unwrap().join("chopmark");
    assert!(
        binary.is_file(),
        "{} is missing: build it first with `cargo build -p chopmark`, or run everything with `make test`",
        binary.display()
    );
    binary
}

/// How long what runs long runs (`make soak`): `CHOPMARK_SOAK`, where it is a number above 0.
fn soak() -> Option<usize> {
    let told = std::env::var("CHOPMARK_SOAK").ok().filter(|told| !told.is_empty())?;
    let factor = told.parse().unwrap_or_else(|_| panic!("CHOPMARK_SOAK is {told:?}: a whole number is expected"));
    (factor > 0).then_some(factor)
}

/// Whether what runs long runs long.
pub fn is_soak() -> bool {
    soak().is_some()
}

/// So many kills or cases in every run; where what runs long runs long, so many, times `CHOPMARK_SOAK`.
pub fn soaked(always: usize, long: usize) -> usize {
    soak().map_or(always, |factor| long * factor)
}

/// Whether a variable that scripts/test.sh sets says that something has to be there.
pub fn is_required(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| value == "required")
}

/// Whether a test can go on that needs what not every machine has. Where that is missing although it has to be there, it
/// fails; elsewhere it says so in the form that `.ci/run` counts, past what the test runner keeps to itself.
#[track_caller]
pub fn can_test(what: &str, is_required: bool, is_there: bool) -> bool {
    assert!(is_there || !is_required, "{what}: what that needs is missing, and has to be there");
    if !is_there {
        let _ = std::io::stderr().write_all(format!("\nSKIPPED: {what}\n").as_bytes());
    }
    is_there
}

/// A directory that goes with the test. PostgreSQL runs as another user when this runs as root, and must get through.
pub fn place() -> TempDir {
    let place = tempfile::Builder::new().prefix("chopmark-it-").tempdir().unwrap();
    fs::set_permissions(place.path(), Permissions::from_mode(0o711)).unwrap();
    place
}

/// A user of the command line: a home of their own, and nothing of this machine's settings.
pub struct Home {
    directory: PathBuf,
    /// Removed with the home, unless the home lies in somebody else's place.
    _place: Option<TempDir>,
}

impl Home {
    pub fn new() -> Self {
        let place = place();
        let home = Self::inside(place.path());
        Self { _place: Some(place), ..home }
    }

    /// A home in a place that somebody else removes.
    pub fn inside(place: &Path) -> Self {
        let home = Self { directory: place.join("home"), _place: None };
        fs::create_dir_all(home.work()).unwrap();
        home
    }

    /// Where commands run.
    pub fn work(&self) -> PathBuf {
        self.directory.join("work")
    }

    /// A file in [`Home::work`].
    pub fn file(&self, name: &str) -> PathBuf {
        self.work().join(name)
    }

    /// Changes a JSON document in place.
    pub fn edit(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let path = self.file(name);
        let mut document: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut document);
        fs::write(path, document.to_string()).unwrap();
    }

    pub fn config(&self) -> PathBuf {
        self.directory.join("config/chopmark")
    }

    /// How many statements are signed and on their way. What a kill cut off while it was written is none: it was not sent.
    pub fn pending(&self) -> usize {
        let Ok(directory) = fs::read_dir(self.directory.join("state/chopmark/pending")) else { return 0 };
        directory.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "json")).count()
    }

    /// A command, ready to run in [`Home::work`].
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = isolated(&self.directory, &binary());
        command.args(arguments).current_dir(self.work());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// Runs a command with `--json`, checks that its answer is exactly one document of the known form, and returns it.
    pub fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let ran = self.run(&[arguments, &["--json"]].concat());
        let document = ran.document();
        (ran.code, document)
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The one JSON document on stdout.
    pub fn document(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "not exactly one line: {self:?}");
        let document: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert_eq!(document["schema_version"], 1, "{document}");
        assert_eq!(document["exit_code"], self.code, "{document}");
        document
    }
}

fn isolated(home: &Path, program: &Path) -> Command {
    const KEPT: [&str; 5] = ["PATH", "LD_LIBRARY_PATH", "TMPDIR", "CHOPMARK_PG_BIN", "CHOPMARK_PG_USER"];
    let mut command = Command::new(program);
    command.env_clear().stdin(Stdio::null());
    for name in KEPT {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("XDG_STATE_HOME", home.join("state"))
        .env("XDG_DATA_HOME", home.join("data"))
        .env("CHOPMARK_LOG", "warn,chopmark::commands::serve=info");
    command
}

/// Sends a signal to a child that was not waited for, so that its process id is still its own.
pub fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    // It may have ended by itself.
    let _ = kill_process(pid, signal);
}

/// Waits for a child, at most so long.
pub fn wait_at_most(child: &mut Child, limit: Duration) -> Option<std::process::ExitStatus> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(10));
    }
    None
}

/// Whoever talks to a service.
#[derive(Clone)]
pub struct Client {
    address: String,
    agent: ureq::Agent,
}

impl Client {
    fn new(address: String) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(Duration::from_mins(1)))
            .max_idle_connections_per_host(64);
        Self { address, agent: config.build().new_agent() }
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        &self.address
    }

    /// As [`Client::get`], with headers.
    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = self.agent.get(format!("{}{path}", self.address));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Answer::read(request.call().unwrap()).unwrap()
    }

    pub fn get(&self, path: &str) -> Answer {
        self.try_get(path).unwrap()
    }

    pub fn try_get(&self, path: &str) -> Result<Answer, ureq::Error> {
        Answer::read(self.agent.get(format!("{}{path}", self.address)).call()?)
    }

    /// Sends a request body as JSON.
    pub fn post(&self, body: &[u8]) -> Answer {
        self.try_post(body, "application/json").unwrap()
    }

    /// Sends a JSON body, or none, to a path.
    pub fn post_to(&self, path: &str, body: &[u8]) -> Answer {
        let request = self.agent.post(format!("{}{path}", self.address));
        let answer =
            if body.is_empty() { request.send_empty() } else { request.content_type("application/json").send(body) };
        Answer::read(answer.unwrap()).unwrap()
    }

    /// As [`Client::post_to`], with headers.
    pub fn post_with(&self, path: &str, body: &[u8], headers: &[(&str, &str)]) -> Answer {
        let request = self.agent.post(format!("{}{path}", self.address)).content_type("application/json");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Answer::read(request.send(body).unwrap()).unwrap()
    }

    pub fn try_post(&self, body: &[u8], content_type: &str) -> Result<Answer, ureq::Error> {
        let request = self.agent.post(format!("{}/v1/statements", self.address)).content_type(content_type);
        Answer::read(request.send(body)?)
    }
}

/// A running `chopmark serve`, and a client of it.
pub struct Service {
    child: Child,
    watchdog: Child,
    client: Client,
    pub directory: PathBuf,
    errors: PathBuf,
    rest_of_stdout: Option<thread::JoinHandle<String>>,
}

impl Service {
    /// Starts a service in `place/data`, founding a registry if there is none.
    pub fn start(place: &Path) -> Self {
        Self::try_start(place, "data", &[]).unwrap_or_else(|ran| panic!("the service did not start: {ran:?}"))
    }

    /// Starts a service in `place/<name>`; what it said instead, when it does not get ready.
    pub fn try_start(place: &Path, name: &str, more: &[&str]) -> Result<Self, Ran> {
        Self::launch(&binary(), place, name, more, &[])
    }

    /// As [`Service::try_start`], with variables of the environment.
    pub fn try_start_with(place: &Path, name: &str, more: &[&str], variables: &[(&str, &str)]) -> Result<Self, Ran> {
        Self::launch(&binary(), place, name, more, variables)
    }

    /// As [`Service::try_start`], with another binary than the one under test.
    pub fn try_start_program(program: &Path, place: &Path, name: &str, more: &[&str]) -> Result<Self, Ran> {
        Self::launch(program, place, name, more, &[])
    }

    fn launch(
        program: &Path,
        place: &Path,
        name: &str,
        more: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Self, Ran> {
        let directory = place.join(name);
        let errors = place.join(format!("{name}.stderr"));
        let mut command = isolated(place, program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&directory).args(more);
        command.envs(variables.iter().copied());
        command.stdout(Stdio::piped()).stderr(File::create(&errors).unwrap());
        let mut child = command.spawn().unwrap();
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(child.id().to_string())
            .args([&directory, place])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (lines, received) = mpsc::channel();
        let rest_of_stdout = thread::spawn(move || {
            let mut first = String::new();
            let _ = stdout.read_line(&mut first);
            let _ = lines.send(first);
            let mut rest = String::new();
            let _ = stdout.read_to_string(&mut rest);
            rest
        });
        let first = received.recv_timeout(READY_LIMIT).unwrap_or_default();
        let address = first.strip_prefix("listening on ").map(|rest| rest.trim_end().to_owned());
        let mut service = Self {
            child,
            watchdog,
            client: Client::new(address.clone().unwrap_or_default()),
            directory,
            errors,
            rest_of_stdout: Some(rest_of_stdout),
        };
        let Some(address) = address else {
            let code = wait_at_most(&mut service.child, STOP_LIMIT).and_then(|status| status.code());
            return Err(Ran { code: code.unwrap_or(-1), stdout: first, stderr: service.errors() });
        };
        assert!(address.starts_with("http://127.0.0.1:") && first.ends_with('\n'), "{first:?}");
        Ok(service)
    }

    /// What the service said on stderr so far.
    pub fn errors(&self) -> String {
        fs::read_to_string(&self.errors).unwrap()
    }

    /// A connection of its own, for what no HTTP client would send.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The address of the metrics, where there are some.
    pub fn metrics_url(&self) -> String {
        let errors = self.errors();
        let mut started = errors.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let address = started.find_map(|line| Some(line["metrics.address"].as_str()?.to_owned()));
        format!("http://{}", address.unwrap_or_else(|| panic!("no metrics: {errors}")))
    }

    /// One more client.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Asks PostgreSQL as its superuser; unaligned rows, or what it objected to.
    pub fn sql(&self, statements: &str) -> Result<String, String> {
        sql(&self.database_url(), statements)
    }

    pub fn database_url(&self) -> String {
        let home = Home::new();
        let (code, document) = home.json(&["db", "url", "--data-dir", self.directory.to_str().unwrap()]);
        assert_eq!(code, 0, "{document}");
        document["url"].as_str().unwrap().to_owned()
    }

    /// Asks it to stop, and checks that it does so properly: exit code 0, and nothing more on stdout.
    pub fn stop(mut self) {
        signal(&self.child, Signal::TERM);
        let status = wait_at_most(&mut self.child, STOP_LIMIT).expect("the service does not stop");
        assert_eq!(status.code(), Some(0), "{}", self.errors());
        let rest = self.rest_of_stdout.take().map(|reader| reader.join().unwrap());
        assert_eq!(rest.as_deref(), Some(""), "exactly one line on stdout");
    }

    /// Waits for it to end by itself; its exit code.
    pub fn ended(&mut self) -> Option<i32> {
        wait_at_most(&mut self.child, STOP_LIMIT).expect("the service does not end").code()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends the service a signal.
    pub fn send(&self, number: Signal) {
        signal(&self.child, number);
    }

    /// Ends the service at once, as a power cut would; its PostgreSQL stays behind.
    pub fn kill(mut self) {
        signal(&self.child, Signal::KILL);
        self.child.wait().unwrap();
        self.end_watchdog();
        core::mem::forget(self);
    }

    /// The process id of its PostgreSQL, while there is one.
    pub fn postgres(&self) -> Option<Pid> {
        let file = fs::read_to_string(self.directory.join("postgres/data/postmaster.pid")).ok()?;
        Pid::from_raw(file.lines().next()?.parse().ok()?)
    }

    fn end_watchdog(&mut self) {
        let _ = self.watchdog.kill();
        let _ = self.watchdog.wait();
    }
}

impl Deref for Service {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            signal(&self.child, Signal::TERM);
            if wait_at_most(&mut self.child, STOP_LIMIT).is_none() {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
        self.end_watchdog();
    }
}

/// Directory of PostgreSQL's programs, found as the service finds it.
pub fn postgres_programs() -> PathBuf {
    if let Some(directory) = std::env::var_os("CHOPMARK_PG_BIN") {
        return directory.into();
    }
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output()
        && output.status.success()
    {
        return String::from_utf8(output.stdout).unwrap().trim().into();
    }
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = installed.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max();
    newest.map_or_else(PathBuf::new, |major| format!("/usr/lib/postgresql/{major}/bin").into())
}

/// Runs SQL in psql, every statement in one transaction of its own; rows without decoration.
pub fn sql(url: &str, statements: &str) -> Result<String, String> {
    let psql = postgres_programs().join("psql");
    let output = Command::new(&psql)
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", statements])
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", psql.display()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// An answer of the service.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<Self, ureq::Error> {
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(64 << 20).read_to_vec()?;
        Ok(Self { status, headers, body })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    /// The body of whatever sort, for looking into.
    pub fn text_lossy(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The problem document (RFC 9457) that every refusal is.
    pub fn problem(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        for member in ["type", "title", "detail", "code", "document", "pointer"] {
            assert!(problem[member].is_string(), "{member} is missing: {problem}");
        }
        let code = problem["code"].as_str().unwrap();
        assert_eq!(problem["type"], format!("urn:chopmark:problem:{code}"));
        let request = problem["instance"].as_str().unwrap().strip_prefix("urn:chopmark:request:");
        assert_eq!(request, self.header("x-request-id"), "{problem}");
        if matches!(self.status, 429 | 503) {
            let seconds: u64 = self.header("retry-after").expect("no Retry-After").parse().unwrap();
            assert!(seconds > 0, "{problem}");
        }
        assert!(!code.is_empty() && !problem["detail"].as_str().unwrap().is_empty(), "{problem}");
        problem
    }
}
