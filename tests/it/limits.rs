//! Limits on time and connections: who is slow is cut off, and who holds every connection keeps nobody out for long.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::harness::{Service, place};
use crate::shared;

/// Everything the service says until it closes the connection.
pub fn until_closed(mut stream: TcpStream) -> String {
    let mut said = String::new();
    match stream.read_to_string(&mut said) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("still open: {error}"),
        _ => said,
    }
}

#[test]
fn a_client_that_never_finishes_is_cut_off() {
    let service = shared::service();
    let head = thread::spawn(move || {
        let mut stream = service.connect();
        stream.write_all(b"POST /v1/statements HTTP/1.1\r\nHost: x\r\n").unwrap();
        until_closed(stream)
    });
    let mut stream = service.connect();
    let request = "POST /v1/statements HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
                   Content-Length: 1000\r\n\r\n{";
    stream.write_all(request.as_bytes()).unwrap();
    let said = until_closed(stream);
    assert!(said.starts_with("HTTP/1.1 408"), "{said}");
    assert!(said.contains("application/problem+json") && said.contains("request_timeout"), "{said}");
    let said = head.join().unwrap();
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
    assert_eq!(service.get("/readyz").status, 200);
}

#[test]
fn connections_are_bounded_and_the_rest_wait_their_turn() {
    let place = place();
    let service = Service::try_start(place.path(), "data", &["--connections-per-worker-max", "2"]).unwrap();
    // More than all workers take together, each holding its place with a request that never ends.
    let workers = thread::available_parallelism().unwrap().get();
    let idle: Vec<TcpStream> = (0..4 * workers + 8)
        .map(|_| {
            let mut stream = service.connect();
            stream.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
            stream
        })
        .collect();
    let mut late = service.connect();
    late.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    late.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let early = late.read(&mut [0; 1]).expect_err("answered although every connection is taken");
    assert!(matches!(early.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{early}");
    drop(idle);
    late.set_read_timeout(Some(Duration::from_mins(2))).unwrap();
    assert!(until_closed(late).starts_with("HTTP/1.1 200"));
    service.stop();
}
