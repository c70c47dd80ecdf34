//! The load generator: so many connections, each sending the next prepared request as soon as it has its answer.
//!
//! Plain HTTP/1.1 written by hand, on a thread of its own, so that it takes as little as possible of the cores that it
//! shares with what is measured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Failure;

/// Every so many answers one is kept whole, to be checked afterwards.
const KEPT_EVERY: usize = 64;

/// Longest wait for an answer: only something broken takes so long.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// What a run showed.
#[derive(Default)]
pub(crate) struct Run {
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// Of every request, ascending.
    pub(crate) latencies: Vec<Duration>,
    /// Some bodies, with the number of the request each answers.
    pub(crate) kept: Vec<(usize, Vec<u8>)>,
}

/// How a run is bounded.
#[derive(Clone, Copy)]
pub(crate) struct Bound {
    /// Connections at once.
    pub(crate) connections: usize,
    /// Nothing more is sent after this.
    pub(crate) time_max: Duration,
    /// The status every answer must have.
    pub(crate) status: u16,
}

/// Sends requests from number `first` on to `path`, until they or the time are used up.
pub(crate) fn run(
    address: SocketAddr,
    path: &'static str,
    requests: &Arc<Vec<Vec<u8>>>,
    first: usize,
    bound: Bound,
) -> Result<Run, Failure> {
    let requests = Arc::clone(requests);
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(connections(address, path, requests, first, bound))
    });
    thread.join().map_err(|_| "the load generator panicked")?
}

async fn connections(
    address: SocketAddr,
    path: &'static str,
    requests: Arc<Vec<Vec<u8>>>,
    first: usize,
    bound: Bound,
) -> Result<Run, Failure> {
    let next = Arc::new(AtomicUsize::new(first));
    let begun = Instant::now();
    let tasks: Vec<_> = (0..bound.connections)
        .map(|_| tokio::spawn(connection(address, path, Arc::clone(&requests), Arc::clone(&next), begun, bound)))
        .collect();
    let mut run = Run::default();
    for task in tasks {
        let (latencies, kept) = task.await??;
        run.latencies.extend(latencies);
        run.kept.extend(kept);
    }
    run.elapsed = begun.elapsed();
    run.latencies.sort_unstable();
    Ok(run)
}

type Answers = (Vec<Duration>, Vec<(usize, Vec<u8>)>);

async fn connection(
    address: SocketAddr,
    path: &'static str,
    requests: Arc<Vec<Vec<u8>>>,
    next: Arc<AtomicUsize>,
    begun: Instant,
    bound: Bound,
) -> Result<Answers, Failure> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut answers = Answers::default();
    let mut buffer = Vec::new();
    while begun.elapsed() < bound.time_max {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(body) = requests.get(number) else { break };
        let sent = Instant::now();
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        stream.write_all(&request).await?;
        let status = tokio::time::timeout(ANSWER_TIME_MAX, answer(&mut stream, &mut buffer)).await??;
        answers.0.push(sent.elapsed());
        if status != bound.status {
            return Err(format!("{path} answered {status}: {}", String::from_utf8_lossy(&buffer)).into());
        }
        if number.is_multiple_of(KEPT_EVERY) {
            answers.1.push((number, buffer.clone()));
        }
    }
    Ok(answers)
}

/// Reads one answer; its body is left in the buffer.
pub(crate) async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<u16, Failure> {
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err("the service closed the connection".into());
        }
        let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let (head, _) = buffer.split_at(end);
        let head = core::str::from_utf8(head)?;
        let status = head.get(9..12).ok_or("an answer has no status")?.parse()?;
        let length: usize = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:").map(|value| value.trim().parse())
            })
            .ok_or("an answer has no length")??;
        let whole = end + 4 + length;
        while buffer.len() < whole {
            if stream.read_buf(buffer).await? == 0 {
                return Err("the service closed the connection".into());
            }
        }
        buffer.drain(..end + 4);
        return Ok(status);
    }
}
