//! What lies between a service and its PostgreSQL, and may cut a connection where it hurts: before any message of a
//! transaction, before its commit, or after that was done and before anybody is told.

use std::collections::VecDeque;
use std::io::{BufReader, Read, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Where a connection that enters statements is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Before this message of a transaction, the first being 1; never, where it has fewer.
    AtMessage(usize),
    /// PostgreSQL never hears of the commit.
    BeforeCommit,
    /// It is done, and its answer never arrives.
    AfterCommit,
}

/// What happens at the moment of a cut.
type Beside = Box<dyn FnOnce() + Send>;

/// Cuts to come, one after the other.
type Cuts = Arc<Mutex<VecDeque<(Cut, Option<Beside>)>>>;

/// A way to a PostgreSQL, open as long as the test executable runs.
pub struct Proxy {
    address: String,
    cuts: Cuts,
}

impl Proxy {
    /// To the PostgreSQL that listens on this socket.
    pub fn to(socket: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (cuts, socket) = (Cuts::default(), socket.to_owned());
        let of_thread = Arc::clone(&cuts);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                pass(client, &socket, &of_thread);
            }
        });
        Self { address, cuts }
    }

    /// How to reach a database through it.
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgresql://{user}@{}/{database}", self.address)
    }

    /// Cuts a connection at the next such place after those that are to be cut already.
    pub fn cut(&self, cut: Cut) {
        self.cuts.lock().unwrap().push_back((cut, None));
    }

    /// The same, and something happens before anybody notices.
    pub fn cut_beside(&self, cut: Cut, beside: impl FnOnce() + Send + 'static) {
        self.cuts.lock().unwrap().push_back((cut, Some(Box::new(beside))));
    }

    /// Leaves connections alone; whether any cut was still to come.
    pub fn spare(&self) -> bool {
        self.cuts.lock().unwrap().drain(..).count() > 0
    }
}

/// One message of the protocol (PostgreSQL 53.2): its type, unless it is the first of a client, its length, and the rest.
fn message(stream: &mut impl Read, has_type: bool) -> std::io::Result<Vec<u8>> {
    let mut head = vec![0; if has_type { 5 } else { 4 }];
    stream.read_exact(&mut head)?;
    let length = u32::from_be_bytes(*head.last_chunk().unwrap());
    let mut rest = vec![0; usize::try_from(length).unwrap() - 4];
    stream.read_exact(&mut rest)?;
    Ok([head, rest].concat())
}

/// Both ends of a connection.
struct Ends {
    client: TcpStream,
    server: UnixStream,
}

impl Ends {
    fn cut(&self) {
        // Whoever has gone already needs no telling.
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

/// Passes everything on, both ways, until one end is closed or cut.
fn pass(client: TcpStream, socket: &Path, cuts: &Cuts) {
    let Ok(server) = UnixStream::connect(socket) else { return };
    client.set_nodelay(true).unwrap();
    // What to do with the answer to a commit, once there is one.
    let beside: Arc<Mutex<Option<Beside>>> = Arc::default();
    let is_cut = Arc::new(AtomicBool::new(false));
    let ends = Arc::new(Ends { client, server });
    {
        let (ends, beside, is_cut) = (Arc::clone(&ends), Arc::clone(&beside), Arc::clone(&is_cut));
        thread::spawn(move || {
            let mut answers = BufReader::new(&ends.server);
            while let Ok(answer) = message(&mut answers, true) {
                if !is_cut.load(Ordering::SeqCst) {
                    if (&ends.client).write_all(&answer).is_err() {
                        break;
                    }
                } else if answer[0] == b'Z' {
                    // Ready for the next: it is committed.
                    if let Some(beside) = beside.lock().unwrap().take() {
                        beside();
                    }
                    break;
                }
            }
            ends.cut();
        });
    }
    let cuts = Arc::clone(cuts);
    thread::spawn(move || {
        let mut requests = BufReader::new(&ends.client);
        let (mut is_first, mut enters, mut messages) = (true, false, 0);
        while let Ok(request) = message(&mut requests, !is_first) {
            is_first = false;
            enters |= request.windows(21).any(|words| words == b"INSERT INTO log.entry");
            let is_query = |words: &[u8]| request[0] == b'Q' && request[5..].starts_with(words);
            messages = if is_query(b"BEGIN") { 1 } else { messages + 1 };
            let is_here = |(cut, _): &mut (Cut, Option<Beside>)| match *cut {
                Cut::AtMessage(number) => enters && messages == number,
                Cut::BeforeCommit | Cut::AfterCommit => enters && is_query(b"COMMIT"),
            };
            let cut = cuts.lock().unwrap().pop_front_if(is_here);
            match cut {
                Some((Cut::AtMessage(_) | Cut::BeforeCommit, also)) => {
                    if let Some(also) = also {
                        also();
                    }
                    break;
                }
                Some((Cut::AfterCommit, also)) => {
                    *beside.lock().unwrap() = also;
                    is_cut.store(true, Ordering::SeqCst);
                }
                None => {}
            }
            if (&ends.server).write_all(&request).is_err() {
                break;
            }
        }
        ends.cut();
    });
}
