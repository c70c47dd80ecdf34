//! More of everything than the service takes: it says so at once and says when to come back, goes on serving, and never
//! fails with a 500.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use chopmark_core::kind::Claim;
use chopmark_core::statement::{Issuer, Statement};
use chopmark_core::submission::Submission;
use chopmark_core::time::Timestamp;

use crate::harness::{Answer, Service, is_soak, place};
use crate::make::{Author, now, small_manifest};
use crate::metrics::Scrape;
use crate::shared;

/// Memory that a service may take beyond what it has while it idles, in these tests: far more than it does, and far less
/// than what piles up where nothing is bounded.
const GROWTH_BYTES_MAX: u64 = 256 << 20;

/// Memory of a service that is in use.
fn resident_bytes(service: &Service) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", service.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

/// Waits for something that must come.
#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..600 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{what}");
}

/// Does something while a superuser holds a lock on a table.
fn while_locked<T>(service: &Service, table: &str, mode: &str, work: impl FnOnce() -> T) -> T {
    let sleeping = "FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    let lock = format!("BEGIN; LOCK TABLE {table} IN {mode} MODE; SELECT pg_sleep(600); COMMIT");
    thread::scope(|scope| {
        let holder = scope.spawn(|| service.sql(&lock));
        until("the lock was not taken", || service.sql(&format!("SELECT count(*) {sleeping}")).unwrap() == "1");
        let done = catch_unwind(AssertUnwindSafe(work));
        assert!(!holder.is_finished(), "the lock was given back too early");
        service.sql(&format!("SELECT pg_terminate_backend(pid) {sleeping}")).unwrap();
        holder.join().unwrap().unwrap_err();
        done.unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Whether the sequencer waits for the lock that every batch takes.
fn is_stuck(service: &Service) -> bool {
    let waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'log.log_state'::regclass AND NOT granted";
    service.sql(waiting).unwrap() != "0"
}

/// How often each status was answered; every refusal is a problem with its headers.
fn count<'a>(answers: impl IntoIterator<Item = &'a Answer>) -> BTreeMap<u16, usize> {
    let mut counted = BTreeMap::new();
    for answer in answers {
        if answer.status >= 400 {
            answer.problem();
        }
        *counted.entry(answer.status).or_default() += 1;
    }
    counted
}

#[test]
fn a_full_queue_refuses_at_once_and_work_goes_on() {
    const CLIENTS: usize = 48;
    const EACH: usize = 5;
    let place = place();
    let service = Service::try_start(place.path(), "data", &["--queue-statements-max", "4"]).unwrap();
    let author = shared::author(&service, "overload");
    let bodies: Vec<Vec<u8>> =
        (0..CLIENTS * EACH).map(|number| author.artefact(&format!("overload {number}")).to_request()).collect();
    let idle = resident_bytes(&service);
    let answers = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for mine in bodies.chunks(EACH) {
            scope.spawn(|| {
                let got: Vec<Answer> = mine.iter().map(|body| service.post(body)).collect();
                answers.lock().unwrap().extend(got);
            });
        }
    });
    let answers = answers.into_inner().unwrap();
    let counted = count(&answers);
    println!("{CLIENTS} clients at a queue of 4: {counted:?}");
    assert!(counted.keys().all(|status| matches!(status, 201 | 503)), "{counted:?}");
    let (entered, refused) = (counted[&201], counted.get(&503).copied().unwrap_or_default());
    assert!(refused > 0, "never full, so nothing was tested: {counted:?}");
    assert!(entered >= EACH, "hardly anything was entered: {counted:?}");
    for answer in answers.iter().filter(|answer| answer.status == 503) {
        assert_eq!(answer.problem()["code"], "overloaded");
        assert!(answer.header("retry-after").is_some(), "{}", answer.text());
    }
    let grown = resident_bytes(&service).saturating_sub(idle);
    assert!(grown < GROWTH_BYTES_MAX, "{grown} bytes more than while idle");
    // Whoever comes again gets in, and nobody twice.
    for body in &bodies {
        assert!(matches!(service.post(body).status, 200 | 201));
    }
    assert_eq!(shared::size(&service), 3 + u64::try_from(bodies.len()).unwrap());
    service.stop();
}

#[test]
fn readers_that_find_no_connection_are_refused_and_not_failed() {
    let place = place();
    let service = Service::try_start(place.path(), "data", &["--statement-timeout", "1"]).unwrap();
    let path = format!("/v1/documents/{}", "00".repeat(32));
    assert_eq!(service.get(&path).status, 404);
    let answers = while_locked(&service, "log.document", "ACCESS EXCLUSIVE", || {
        // More readers than connections: some wait for the table, the others for a connection.
        let answers: Vec<Answer> = thread::scope(|scope| {
            let readers: Vec<_> = (0..48).map(|_| scope.spawn(|| service.get(&path))).collect();
            readers.into_iter().map(|reader| reader.join().unwrap()).collect()
        });
        // What needs no connection, or one of another pool, is as ever.
        assert_eq!(service.get("/healthz").status, 200);
        assert_eq!(service.get("/checkpoint").status, 200);
        answers
    });
    let counted = count(&answers);
    assert_eq!(counted, BTreeMap::from([(503, 48)]), "all of them, and none with a 500");
    assert_eq!(service.get(&path).status, 404, "and everything is as before");
    service.stop();
}

#[test]
fn large_bodies_share_bounded_memory() {
    const BODY_BYTES: usize = 21 << 20;
    let place = place();
    let service = Service::start(place.path());
    let head = format!(
        "POST /v1/statements HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        BODY_BYTES + 1
    );
    let body = vec![b' '; BODY_BYTES];
    let mut kept = Vec::new();
    // Each sends all of its body but the last byte, so that the service has to keep it.
    let said = loop {
        assert!(kept.len() < 16, "no end to what is kept");
        let mut stream = service.connect();
        stream.write_all(head.as_bytes()).unwrap();
        // Refused in the middle, the rest can't be sent.
        let sent = stream.write_all(&body);
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut said = [0; 4096];
        match stream.read(&mut said) {
            Ok(size) if size > 0 => break String::from_utf8_lossy(&said[..size]).into_owned(),
            Ok(_) => panic!("closed without a word"),
            Err(error) => assert!(sent.is_ok(), "{error}"),
        }
        kept.push(stream);
    };
    assert!(said.starts_with("HTTP/1.1 503") && said.contains("\"overloaded\""), "{said}");
    assert!(kept.len() > 8, "refused after {} bodies", kept.len());
    println!("{} bodies of 21 MiB were kept, the next was refused", kept.len());
    drop(kept);
    // The memory comes back with the connections.
    let (_, party) = Author::new(&shared::registry(&service).0, "after large bodies", 1, 1);
    for _ in 0..600 {
        if service.post(&party.to_request()).status == 201 {
            return service.stop();
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("the memory was not given back");
}

/// Sends a statement in a body of this size, and reads no answer. The connection is one that is reset when it is dropped:
/// there is an answer to another request that nobody has read.
fn send_padded(service: &Service, request: &[u8], size_bytes: usize) -> TcpStream {
    let mut stream = service.connect();
    let head = format!(
        "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nPOST /v1/statements HTTP/1.1\r\nHost: x\r\n\
         Content-Type: application/json\r\nContent-Length: {size_bytes}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut body = request.to_vec();
    body.resize(size_bytes, b' ');
    // Refused in the middle, the rest can't be sent.
    let _ = stream.write_all(&body);
    stream
}

/// Whether the service refuses a statement in a body of this size, and does not wait with it.
fn is_refused(service: &Service, request: &[u8], size_bytes: usize) -> bool {
    let mut stream = send_padded(service, request, size_bytes);
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let (mut said, mut part) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut part) {
            Ok(size) if size > 0 => said.extend_from_slice(&part[..size]),
            Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => return false,
            // It ends the connection, for it has not read all that was sent.
            Ok(_) | Err(_) => return true,
        }
        if String::from_utf8_lossy(&said).contains("HTTP/1.1 503") {
            return String::from_utf8_lossy(&said).contains("\"overloaded\"");
        }
    }
}

#[test]
fn bodies_of_clients_that_went_count_while_their_statements_wait() {
    // All but one MiB of what bodies may take together.
    const BODIES_BYTES: [usize; 6] = [43 << 20, 43 << 20, 43 << 20, 43 << 20, 43 << 20, 40 << 20];
    let place = place();
    let service = Service::try_start(place.path(), "data", &["--metrics-listen", "127.0.0.1:0"]).unwrap();
    let author = shared::author(&service, "went away");
    let (first, next) = (author.artefact("first"), author.artefact("next"));
    let large: Vec<_> = (0..BODIES_BYTES.len()).map(|number| author.artefact(&format!("large {number}"))).collect();
    let waiting = || Scrape::of(&service).get("chopmark_queue_statements");
    while_locked(&service, "log.log_state", "EXCLUSIVE", || {
        let _first = send_padded(&service, &first.to_request(), first.to_request().len());
        until("the first batch does not wait for the lock", || is_stuck(&service));
        let clients: Vec<TcpStream> = large
            .iter()
            .zip(BODIES_BYTES)
            .map(|(submission, size_bytes)| send_padded(&service, &submission.to_request(), size_bytes))
            .collect();
        until("not all wait", || waiting() > 5.5);
        drop(clients);
        for _ in 0..20 {
            assert!(is_refused(&service, &next.to_request(), 2 << 20), "there was room for one more");
            thread::sleep(Duration::from_millis(50));
        }
    });
    // Nobody waits for them any more, and they are entered all the same; then there is room again.
    for submission in &large {
        let path = format!("/v1/statements/{}", submission.statement.id);
        until("not entered", || service.get(&path).status == 200);
    }
    until("no room", || !is_refused(&service, &next.to_request(), 2 << 20));
    service.stop();
}

/// Requests from one address until one is refused; how many were not.
fn until_refused(service: &Service, headers: &[(&str, &str)]) -> usize {
    for number in 0..100 {
        let answer = service.get_with("/checkpoint", headers);
        if answer.status == 429 {
            assert_eq!(answer.problem()["code"], "rate_limited");
            return number;
        }
        assert_eq!(answer.status, 200);
    }
    panic!("never refused");
}

#[test]
fn an_address_has_its_rate_and_believes_no_stranger() {
    let place = place();
    let limit = ["--rate-per-address", "1/h:5", "--trust-forwarded-for", "1"];
    let service = Service::try_start(place.path(), "data", &limit).unwrap();
    assert_eq!(until_refused(&service, &[]), 5);
    let answer = service.get("/no/such/page");
    assert_eq!(answer.status, 429, "every page counts");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((3_500..=3_600).contains(&wait), "{wait}");
    for _ in 0..20 {
        assert_eq!(service.get("/healthz").status, 200, "but for what a balancer asks");
        assert_eq!(service.get("/readyz").status, 200);
    }
    // Behind the believed proxy everybody has an allowance of their own, whatever they claim further left.
    assert_eq!(until_refused(&service, &[("x-forwarded-for", "192.0.2.1")]), 5);
    assert_eq!(until_refused(&service, &[("x-forwarded-for", "198.51.100.1, 192.0.2.1")]), 0);
    assert_eq!(until_refused(&service, &[("x-forwarded-for", "192.0.2.2")]), 5);
    // An IPv6 client has a whole network to itself, and one allowance.
    assert_eq!(until_refused(&service, &[("x-forwarded-for", "2001:db8::1")]), 5);
    assert_eq!(until_refused(&service, &[("x-forwarded-for", "2001:db8::ffff:2")]), 0);
    service.stop();

    let service = Service::try_start(place.path(), "data", &limit[..2]).unwrap();
    assert_eq!(until_refused(&service, &[("x-forwarded-for", "192.0.2.1")]), 5);
    assert_eq!(until_refused(&service, &[("x-forwarded-for", "192.0.2.2")]), 0, "nobody is believed by default");
    service.stop();
}

#[test]
fn a_key_has_its_rate_and_nobody_else_can_use_it_up() {
    let place = place();
    let service = Service::try_start(place.path(), "data", &["--rate-per-key", "1/h:3"]).unwrap();
    let registry = shared::registry(&service).0;
    let (author, party) = Author::new(&registry, "rated", 1, 1);
    assert_eq!(service.post(&party.to_request()).status, 201);
    // A stranger sends the public statement again and again, and forges others under the same key id.
    for number in 0..8 {
        assert_eq!(service.post(&party.to_request()).status, 200);
        let honest = author.artefact(&format!("forged {number}"));
        let mut request: serde_json::Value = serde_json::from_slice(&honest.to_request()).unwrap();
        let signature = request["envelope"]["signatures"][0]["sig"].as_str().unwrap().to_owned();
        let (first, rest) = signature.split_at(1);
        let forged = format!("{}{rest}", if first == "A" { "B" } else { "A" });
        request["envelope"]["signatures"][0]["sig"] = forged.into();
        assert_eq!(service.post(request.to_string().as_bytes()).status, 403);
    }
    for label in ["second", "third"] {
        assert_eq!(service.post(&author.artefact(label).to_request()).status, 201, "{label}");
    }
    let refused = service.post(&author.artefact("fourth").to_request());
    assert_eq!((refused.status, refused.problem()["code"].as_str()), (429, Some("rate_limited")));
    let other = shared::author(&service, "somebody else");
    assert_eq!(service.post(&other.artefact("somebody else's").to_request()).status, 201);
    service.stop();
}

#[test]
fn only_what_becomes_an_entry_costs_a_key_anything() {
    let place = place();
    let limits = ["--rate-per-key", "1/h:4", "--queue-statements-max", "1", "--metrics-listen", "127.0.0.1:0"];
    let service = Service::try_start(place.path(), "data", &limits).unwrap();
    let author = shared::author(&service, "thrifty");
    // Whatever the same keys have signed for another registry, or long ago, is no more than words here.
    let mut elsewhere = author.clone();
    elsewhere.registry.origin = "elsewhere.example/log".to_owned();
    for number in 0..8 {
        let answer = service.post(&elsewhere.artefact(&format!("elsewhere {number}")).to_request());
        assert_eq!((answer.status, answer.problem()["code"].as_str()), (422, Some("wrong_registry")));
        let answer = service.post(&long_ago(&author, &format!("long ago {number}")).to_request());
        assert_eq!((answer.status, answer.problem()["code"].as_str()), (422, Some("expired")));
    }
    // Nor does it cost anything when the service has no room.
    let other = shared::author(&service, "crowd");
    let crowd = ["first", "second"].map(|label| other.artefact(label).to_request());
    while_locked(&service, "log.log_state", "EXCLUSIVE", || {
        let _first = send_padded(&service, &crowd[0], crowd[0].len());
        until("the first batch does not wait for the lock", || is_stuck(&service));
        let _second = send_padded(&service, &crowd[1], crowd[1].len());
        until("the queue does not fill up", || Scrape::of(&service).get("chopmark_queue_statements") > 0.5);
        for number in 0..8 {
            let answer = service.post(&author.artefact(&format!("no room {number}")).to_request());
            assert_eq!((answer.status, answer.problem()["code"].as_str()), (503, Some("overloaded")));
        }
    });
    for number in 0..3 {
        let body = author.artefact(&format!("thrifty {number}")).to_request();
        until("never entered", || matches!(service.post(&body).status, 200 | 201));
    }
    let refused = service.post(&author.artefact("one too many").to_request());
    assert_eq!((refused.status, refused.problem()["code"].as_str()), (429, Some("rate_limited")));
    service.stop();
}

/// An artefact that could be admitted until yesterday.
fn long_ago(author: &Author, label: &str) -> Submission {
    let manifest = small_manifest(label);
    let mut header = author.header(Issuer::Party(author.party), author.threshold, label);
    let days_ago = |days: i64| Timestamp::from_unix_ms(now().unix_ms() - days * 86_400_000).unwrap();
    (header.issued_at, header.not_after) = (days_ago(2), days_ago(1));
    let claim = Claim::Artefact(Author::claim(label, "1", &manifest, Vec::new()));
    let payload = Statement::compose(label, &header, &claim).unwrap();
    author.sign(payload, vec![manifest.to_canonical_bytes()])
}

/// What a number of clients enter in some seconds, each sending again what was refused; and how often that was.
fn goodput(service: &Service, clients: usize, bodies: &[Vec<u8>]) -> (f64, usize) {
    const MEASURED: Duration = Duration::from_secs(10);
    let is_over = AtomicBool::new(false);
    let counted = Mutex::new((0_u32, 0_usize));
    thread::scope(|scope| {
        let (is_over, counted) = (&is_over, &counted);
        for mine in bodies.chunks(bodies.len() / clients) {
            scope.spawn(move || {
                let client = service.client();
                for body in mine {
                    while !is_over.load(Ordering::Relaxed) {
                        let answer = client.post(body);
                        let mut counted = counted.lock().unwrap();
                        match answer.status {
                            201 => counted.0 += 1,
                            _ => assert_eq!(answer.problem()["code"], "overloaded"),
                        }
                        if answer.status == 201 {
                            break;
                        }
                        counted.1 += 1;
                        drop(counted);
                        thread::sleep(Duration::from_millis(50));
                    }
                }
                assert!(is_over.load(Ordering::Relaxed), "everything was entered before the time was over");
            });
        }
        thread::sleep(MEASURED);
        is_over.store(true, Ordering::Relaxed);
    });
    let (entered, refused) = counted.into_inner().unwrap();
    (f64::from(entered) / MEASURED.as_secs_f64(), refused)
}

/// Timed, so only in the long runs.
#[test]
fn five_times_more_clients_than_it_takes_leave_it_as_fast() {
    const CLIENTS: usize = 32;
    const EACH: usize = 2_000;
    if !is_soak() {
        return;
    }
    let place = place();
    let service = Service::try_start(place.path(), "data", &["--queue-statements-max", "64"]).unwrap();
    let author = shared::author(&service, "goodput");
    let made = Instant::now();
    let bodies: Vec<Vec<u8>> =
        (0..CLIENTS * EACH * 2).map(|number| author.artefact(&format!("goodput {number}")).to_request()).collect();
    let (at_peak, overloaded) = bodies.split_at(CLIENTS * EACH);
    println!("{} statements made in {:.1} s", bodies.len(), made.elapsed().as_secs_f64());
    let (peak, _) = goodput(&service, CLIENTS, at_peak);
    let before = resident_bytes(&service);
    let (under, refused) = goodput(&service, 5 * CLIENTS, overloaded);
    let grown = resident_bytes(&service).saturating_sub(before);
    println!(
        "{peak:.0} entries/s by {CLIENTS} clients; {under:.0} by five times as many, {refused} refusals, {grown} bytes more"
    );
    assert!(refused > 0, "never overloaded");
    assert!(under >= 0.8 * peak, "{under:.0} of {peak:.0} entries/s are left");
    assert!(grown < GROWTH_BYTES_MAX, "{grown} bytes more than before");
    service.stop();
}

#[test]
fn a_client_that_reads_nothing_is_cut_off() {
    let service = shared::service();
    let mut stream = service.connect();
    // Far more than the kernel keeps for a client that does not read.
    let requests = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1_000);
    stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let _ = stream.write_all(requests.as_bytes());
    // What is sent into a connection that the other side has given up is answered with a reset.
    for _ in 0..120 {
        match stream.write(b"\r\n") {
            Err(error) if !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                assert_eq!(service.get("/readyz").status, 200);
                return;
            }
            _ => thread::sleep(Duration::from_secs(1)),
        }
    }
    panic!("still connected");
}
