//! A relay that holds every byte back for a while, as a long line does, and notes when the
//! client got an answer. It sees no more than the network does, so it counts all clients
//! alike, and TCP and TLS with them.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Portions that one direction may hold back.
const HELD: usize = 1024;

/// When each answer of one connection reached the client.
#[derive(Debug, Default)]
pub struct Answers {
    at: Vec<Instant>,
    /// The client has sent something since the last answer.
    asked: bool,
}

impl Answers {
    /// Answers up to `until`; the opening of the connection is the first.
    #[must_use]
    pub fn until(&self, until: Instant) -> usize {
        1 + self.at.iter().filter(|at| **at <= until).count()
    }
}

type Shared = Arc<Mutex<Answers>>;

/// The relay. Ends with its value.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    connections: Arc<Mutex<Vec<Shared>>>,
    _task: JoinSet<()>,
}

impl Proxy {
    /// Relays to `server`, each way `delay` late.
    ///
    /// # Errors
    /// No port is to be had.
    pub async fn start(server: SocketAddr, delay: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let connections = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::clone(&connections);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut relays = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let answers = Shared::default();
                lock(&known).push(Arc::clone(&answers));
                relays.spawn(async move {
                    // A connection that breaks is the client's to report.
                    let _ = relay(client, server, delay, &answers).await;
                });
            }
        });
        Ok(Self {
            address,
            connections,
            _task: task,
        })
    }

    /// Answers that the last connection got up to `until`.
    #[must_use]
    pub fn answers_of_the_last(&self, until: Instant) -> Option<usize> {
        let connections = lock(&self.connections);
        Some(lock(connections.last()?).until(until))
    }
}

async fn relay(
    client: TcpStream,
    server: SocketAddr,
    delay: Duration,
    answers: &Shared,
) -> io::Result<()> {
    let server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    let asked = |_| lock(answers).asked = true;
    let answered = |now| {
        let mut answers = lock(answers);
        if std::mem::take(&mut answers.asked) {
            answers.at.push(now);
        }
    };
    tokio::try_join!(
        late(client_in, server_out, delay, asked, |_| {}),
        late(server_in, client_out, delay, |_| {}, answered),
    )?;
    Ok(())
}

/// Copies one direction.
async fn late(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    delay: Duration,
    arrived: impl Fn(Instant),
    left: impl Fn(Instant),
) -> io::Result<()> {
    let (sender, mut held) = mpsc::channel::<(Instant, Vec<u8>)>(HELD);
    let reading = async move {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let n = from.read(&mut buffer).await?;
            let now = Instant::now();
            arrived(now);
            if n == 0
                || sender
                    .send((now + delay, buffer[..n].to_vec()))
                    .await
                    .is_err()
            {
                return Ok::<_, io::Error>(());
            }
        }
    };
    let writing = async move {
        while let Some((due, bytes)) = held.recv().await {
            sleep_until(due).await;
            left(Instant::now());
            to.write_all(&bytes).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(reading, writing)?;
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
