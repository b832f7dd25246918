//! A relay on loopback between a client and its server: it counts, it remembers what it
//! saw, it can fall silent with its connections open, and it can hide what a server
//! offers. It closes nothing that falls silent, and its system goes on to acknowledge: no
//! socket tells either side that the other is gone.

use crate::failure::{Context, Outcome};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

/// What is remembered of each direction.
const REMEMBERED: usize = 1024 * 1024;
/// How long a thread looks at one thing before it looks whether all is over.
const LOOK: Duration = Duration::from_millis(20);
/// The longest that one write may take.
const WRITE: Duration = Duration::from_secs(5);

/// What a relay does to what the server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mischief {
    Nothing,
    /// The offer of TLS gets another name, which no client knows.
    HideTls,
}

/// Ends with the value, and its connections with it.
#[derive(Debug)]
pub(super) struct Relay {
    place: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    mischief: Mischief,
    over: AtomicBool,
    accepted: AtomicUsize,
    /// The first so many connections are silent.
    silent: AtomicUsize,
    seen: Mutex<Vec<u8>>,
}

impl Relay {
    pub(super) fn start(port: u16, mischief: Mischief) -> Outcome<Self> {
        let here = Path::new("127.0.0.1:0");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).doing("listen at", here)?;
        listener.set_nonblocking(true).doing("listen at", here)?;
        let place = listener.local_addr().doing("listen at", here)?;
        let shared = Arc::new(Shared {
            target: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            mischief,
            over: AtomicBool::new(false),
            accepted: AtomicUsize::new(0),
            silent: AtomicUsize::new(0),
            seen: Mutex::new(Vec::new()),
        });
        let accepting = Arc::clone(&shared);
        Ok(Self {
            place,
            shared,
            accepting: Some(std::thread::spawn(move || accept(&listener, &accepting))),
        })
    }

    pub(super) const fn port(&self) -> u16 {
        self.place.port()
    }

    /// Connections so far.
    pub(super) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// From now on nothing passes on the connections that are there; later ones work.
    pub(super) fn fall_silent(&self) {
        self.shared.silent.store(self.accepted(), Ordering::SeqCst);
    }

    /// Whether the text went by as it is, in either direction.
    pub(super) fn has_seen(&self, text: &str) -> bool {
        let seen = self.shared.seen.lock();
        let seen = seen.unwrap_or_else(PoisonError::into_inner);
        seen.windows(text.len()).any(|part| part == text.as_bytes())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    while !shared.over.load(Ordering::SeqCst) {
        match listener.accept() {
            Ok((client, _)) => threads.extend(connect(client, shared)),
            Err(_) => sleep(Duration::from_millis(1)),
        }
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// A connection: a thread for each direction. None if the server is not there; the client
/// then sees its connection closed.
fn connect(client: TcpStream, shared: &Arc<Shared>) -> Vec<JoinHandle<()>> {
    let pair = || -> std::io::Result<_> {
        client.set_nonblocking(false)?;
        let server = TcpStream::connect_timeout(&shared.target, WRITE)?;
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(LOOK))?;
            stream.set_write_timeout(Some(WRITE))?;
        }
        Ok([
            (client.try_clone()?, server.try_clone()?, true),
            (server, client.try_clone()?, false),
        ])
    };
    let number = shared.accepted.fetch_add(1, Ordering::SeqCst) + 1;
    let Ok(pair) = pair() else {
        return Vec::new();
    };
    let start = |(from, to, up)| {
        let shared = Arc::clone(shared);
        std::thread::spawn(move || pass(from, to, up, number, &shared))
    };
    pair.map(start).into()
}

fn pass(mut from: TcpStream, mut to: TcpStream, up: bool, number: usize, shared: &Shared) {
    let mut buffer = [0; 16 * 1024];
    let mut closed = false;
    let silent = || number <= shared.silent.load(Ordering::SeqCst);
    while !shared.over.load(Ordering::SeqCst) {
        if closed {
            // Nobody on the other side must hear of it.
            sleep(LOOK);
            continue;
        }
        let read = from.read(&mut buffer);
        // Silence may have fallen while this waited.
        match read {
            Ok(0) if silent() => closed = true,
            Ok(0) => break,
            Ok(_) if silent() => {}
            Ok(n) => {
                let part = &mut buffer[..n];
                if shared.mischief == Mischief::HideTls && !up {
                    hide_tls(part);
                }
                remember(shared, part);
                if to.write_all(part).is_err() {
                    break;
                }
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            // A connection that was broken off is as closed as any.
            Err(_) if silent() => closed = true,
            Err(_) => break,
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn remember(shared: &Shared, part: &[u8]) {
    let seen = shared.seen.lock();
    let mut seen = seen.unwrap_or_else(PoisonError::into_inner);
    let room = REMEMBERED.saturating_sub(seen.len());
    seen.extend_from_slice(&part[..part.len().min(room)]);
}

/// Gives the element another name of the same length.
fn hide_tls(part: &mut [u8]) {
    const NAME: &[u8] = b"starttls";
    for at in 0..part.len().saturating_sub(NAME.len() - 1) {
        if part[at..].starts_with(NAME) {
            part[at..at + NAME.len()].copy_from_slice(b"startxyz");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stream: &mut TcpStream, text: &str) {
        let mut buffer = vec![0; text.len()];
        stream.read_exact(&mut buffer).unwrap();
        assert_eq!(buffer, text.as_bytes());
    }

    #[test]
    fn silence_swallows_what_is_sent_closes_nothing_and_spares_later_connections() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        let relay = Relay::start(port, Mischief::Nothing).unwrap();
        let dial = || TcpStream::connect(relay.place).unwrap();

        let mut client = dial();
        let (mut served, _) = server.accept().unwrap();
        client.write_all(b"one").unwrap();
        read(&mut served, "one");
        served.write_all(b"two").unwrap();
        read(&mut client, "two");
        assert!(relay.has_seen("two") && !relay.has_seen("three"));

        relay.fall_silent();
        client.write_all(b"three").unwrap();
        let silent = |stream: &mut TcpStream| {
            stream.set_read_timeout(Some(LOOK * 4)).unwrap();
            let kind = stream.read(&mut [0]).unwrap_err().kind();
            assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut));
        };
        silent(&mut served);
        drop(served);
        silent(&mut client);

        let mut later = dial();
        let (mut served, _) = server.accept().unwrap();
        later.write_all(b"four").unwrap();
        read(&mut served, "four");
        assert_eq!(relay.accepted(), 2);
    }

    #[test]
    fn an_offer_of_tls_is_hidden_and_nothing_else() {
        let mut text = *b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
        hide_tls(&mut text);
        assert_eq!(
            &text,
            b"<startxyz xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
        );
    }
}
