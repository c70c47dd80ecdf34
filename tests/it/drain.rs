//! Stopping without losing anybody: a balancer is told first, requests in flight are answered, and impatience is heard.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Service, place};
use crate::limits::until_closed;
use crate::shared::{self, check_receipt_value};

/// A request whose last byte is kept back, so that it is in flight for as long as the test likes.
fn begin(service: &Service, body: &[u8]) -> (TcpStream, u8) {
    let mut stream = service.connect();
    let head = format!(
        "POST /v1/statements HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let (last, rest) = body.split_last().unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(rest).unwrap();
    (stream, *last)
}

/// Waits until the page answers with this status.
fn wait_for(service: &Service, path: &str, status: u16) {
    for _ in 0..600 {
        if service.get(path).status == status {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{path} never answered {status}");
}

#[test]
fn requests_in_flight_are_answered_and_a_balancer_is_told_first() {
    let place = place();
    let mut service = Service::try_start(place.path(), "data", &["--drain-delay", "5"]).unwrap();
    let author = shared::author(&service, "drain");
    let (_, log_key) = shared::registry(&service);
    let submissions: Vec<_> = (0..20).map(|number| author.artefact(&format!("drain {number}"))).collect();
    // Served, so that every connection is known to a worker before anything stops.
    let flights: Vec<_> = submissions.iter().map(|submission| begin(&service, &submission.to_request())).collect();
    // A client that keeps its connection and asks nothing must not hold anything up.
    let mut idle = service.connect();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut first = [0; 15];
    idle.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");

    service.send(Signal::TERM);
    wait_for(&service, "/readyz", 503);
    assert_eq!(service.get("/readyz").problem()["code"], "stopping");
    // Whoever has not noticed yet is served all the same.
    assert_eq!(service.get("/healthz").status, 200);
    assert_eq!(service.post(&author.artefact("drain, late").to_request()).status, 201);
    // Now the listener closes, and the requests in flight go on.
    while TcpStream::connect(service.url().strip_prefix("http://").unwrap()).is_ok() {
        thread::sleep(Duration::from_millis(50));
    }
    for ((mut stream, last), submission) in flights.into_iter().zip(&submissions) {
        stream.write_all(&[last]).unwrap();
        let said = until_closed(stream);
        assert!(said.starts_with("HTTP/1.1 201"), "{said}");
        let body = said.split_once("\r\n\r\n").unwrap().1;
        check_receipt_value(&serde_json::from_str(body).unwrap(), &submission.entry, &log_key);
    }
    assert_eq!(service.ended(), Some(0));

    // Nothing that was acknowledged is missing.
    let service = Service::start(place.path());
    for submission in &submissions {
        assert_eq!(service.get(&format!("/v1/statements/{}", submission.statement.id)).status, 200);
    }
    service.stop();
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let place = place();
    let mut service = Service::try_start(place.path(), "data", &["--drain-delay", "600"]).unwrap();
    let author = shared::author(&service, "impatient");
    let (mut stream, last) = begin(&service, &author.artefact("impatient").to_request());
    service.send(Signal::TERM);
    wait_for(&service, "/readyz", 503);
    service.send(Signal::INT);
    assert_eq!(service.ended(), Some(0));
    // The request was cut; sent again later, it is entered once.
    let _ = stream.write_all(&[last]);
    assert!(!until_closed(stream).starts_with("HTTP/1.1 201"));
    let service = Service::start(place.path());
    assert_eq!(service.post(&author.artefact("impatient").to_request()).status, 201);
    service.stop();
}
