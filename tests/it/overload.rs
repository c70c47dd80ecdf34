//! More of everything than the service takes: it says so at once and says when to come back, goes on serving, and never
//! fails with a 500.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::harness::{Answer, Service, place};
use crate::make::Author;
use crate::shared;

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
    }
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
    let answers = thread::scope(|scope| {
        let holder = scope.spawn(|| {
            service.sql("BEGIN; LOCK TABLE log.document IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600); COMMIT")
        });
        let held = "SELECT count(*) FROM pg_locks WHERE relation = 'log.document'::regclass AND granted \
                    AND mode = 'AccessExclusiveLock'";
        while service.sql(held).unwrap() != "1" {
            assert!(!holder.is_finished(), "the lock was not taken");
            thread::sleep(Duration::from_millis(50));
        }
        // More readers than connections: some wait for the table, the others for a connection.
        let readers: Vec<_> = (0..48).map(|_| scope.spawn(|| service.get(&path))).collect();
        let answers: Vec<Answer> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        assert!(!holder.is_finished(), "the lock was given back before everybody was answered");
        // What needs no connection, or one of another pool, is as ever.
        assert_eq!(service.get("/healthz").status, 200);
        assert_eq!(service.get("/checkpoint").status, 200);
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' \
                   AND pid <> pg_backend_pid()";
        service.sql(end).unwrap();
        holder.join().unwrap().unwrap_err();
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
