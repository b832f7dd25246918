//! A long line before a server, made of a relay on loopback: it holds every byte back for
//! a while each way, and counts how often the client got an answer. It sees no more than
//! the network does, so TCP and TLS are counted, too.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Longer than a server thinks, so that what leaves it together arrives together.
const LATE: Duration = Duration::from_millis(40);

#[derive(Debug, Default)]
struct Line {
    answers: AtomicUsize,
    /// The client has sent something since the last answer.
    asked: AtomicBool,
}

/// The relay. Ends with its value.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    lines: Arc<Mutex<Vec<Arc<Line>>>>,
    _listening: JoinSet<()>,
}

impl Relay {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::clone(&lines);
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let mut relays = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let line = Arc::new(Line::default());
                known.lock().unwrap().push(Arc::clone(&line));
                relays.spawn(relay(client, server, line));
            }
        });
        Self {
            address,
            lines,
            _listening: listening,
        }
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.lines.lock().unwrap().len()
    }

    /// Round trips of the last connection until now; the first opened it.
    pub(crate) fn round_trips(&self) -> usize {
        let lines = self.lines.lock().unwrap();
        1 + lines.last().unwrap().answers.load(Ordering::SeqCst)
    }
}

async fn relay(client: TcpStream, server: SocketAddr, line: Arc<Line>) {
    let server = TcpStream::connect(server).await.unwrap();
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    let asked = || line.asked.store(true, Ordering::SeqCst);
    let answered = || {
        if line.asked.swap(false, Ordering::SeqCst) {
            line.answers.fetch_add(1, Ordering::SeqCst);
        }
    };
    tokio::join!(
        late(client_in, server_out, asked, || {}),
        late(server_in, client_out, || {}, answered),
    );
}

/// Copies one direction, until either end closes it.
async fn late(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    arrived: impl Fn(),
    left: impl Fn(),
) {
    let (sender, mut held) = mpsc::channel::<(Instant, Vec<u8>)>(64);
    let reading = async move {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(n @ 1..) = from.read(&mut buffer).await {
            arrived();
            let due = Instant::now() + LATE;
            if sender.send((due, buffer[..n].to_vec())).await.is_err() {
                break;
            }
        }
    };
    let writing = async move {
        while let Some((due, bytes)) = held.recv().await {
            sleep_until(due).await;
            left();
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(reading, writing);
}
