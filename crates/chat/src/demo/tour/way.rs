//! A way to the server that can be cut or closed: what comes in at one port goes on to
//! another.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Connections that one way carries at once.
const MOST: usize = 64;
/// Tries to have the port again, and between two.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);
/// Read at once.
const BUFFER: usize = 16 * 1024;

/// How a way is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Passage {
    /// Whether it takes connections. If not, those that it carries end, and nothing listens.
    open: bool,
    /// How often it was cut.
    cuts: u64,
}

/// The way. Cheap to clone; with the last of them it is gone with all its connections.
#[derive(Debug, Clone)]
pub(super) struct Way {
    address: SocketAddr,
    passage: watch::Sender<Passage>,
    carried: Arc<AtomicUsize>,
    _task: Arc<Carrying>,
}

#[derive(Debug)]
struct Carrying(JoinHandle<()>);

impl Drop for Carrying {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Way {
    /// A way to that server, open.
    ///
    /// # Errors
    /// No port on loopback.
    pub(super) async fn to(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (passage, seen) = watch::channel(Passage {
            open: true,
            cuts: 0,
        });
        let carried = Arc::new(AtomicUsize::new(0));
        let carrying = carry_all(listener, server, seen, Arc::clone(&carried));
        let task = tokio::spawn(carrying);
        Ok(Self {
            address,
            passage,
            carried,
            _task: Arc::new(Carrying(task)),
        })
    }

    /// Where it begins.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections that it carries.
    pub(super) fn load(&self) -> usize {
        self.carried.load(Ordering::Relaxed)
    }

    /// What it carries now stands, and nothing comes through any more: as over a cable that
    /// was pulled, of which neither end is told. New connections are carried.
    pub(super) fn cut(&self) {
        self.passage.send_modify(|passage| passage.cuts += 1);
    }

    /// Closes it, or opens it again.
    pub(super) fn open(&self, open: bool) {
        self.passage.send_modify(|passage| passage.open = open);
    }
}

async fn carry_all(
    mut listener: TcpListener,
    server: SocketAddr,
    mut passage: watch::Receiver<Passage>,
    count: Arc<AtomicUsize>,
) {
    let Ok(address) = listener.local_addr() else {
        return;
    };
    let mut carried = JoinSet::new();
    loop {
        count.store(carried.len(), Ordering::Relaxed);
        tokio::select! {
            Some(_) = carried.join_next() => {}
            accepted = listener.accept(), if carried.len() < MOST => {
                // One that fails is the next one's chance.
                if let Ok((client, _)) = accepted {
                    carried.spawn(carry(client, server, passage.clone()));
                }
            }
            closed = closed(&mut passage) => {
                // Nothing listens, so that clients are refused.
                drop(listener);
                if !closed || passage.wait_for(|p| p.open).await.is_err() {
                    return;
                }
                listener = match again(address).await {
                    Some(listener) => listener,
                    None => return,
                };
            }
        }
    }
}

/// Resolves once the way is closed; whether somebody still can open it.
async fn closed(passage: &mut watch::Receiver<Passage>) -> bool {
    passage.wait_for(|p| !p.open).await.is_ok()
}

/// Listens there again.
async fn again(address: SocketAddr) -> Option<TcpListener> {
    for _ in 0..TRIES {
        if let Ok(listener) = TcpListener::bind(address).await {
            return Some(listener);
        }
        tokio::time::sleep(PAUSE).await;
    }
    tracing::error!(%address, "the port of a way is gone");
    None
}

/// Carries one connection until an end closes it, or the way is closed.
async fn carry(mut client: TcpStream, server: SocketAddr, passage: watch::Receiver<Passage>) {
    let cuts = passage.borrow().cuts;
    let through = async {
        let mut server = TcpStream::connect(server).await.ok()?;
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        // Either side's end is the end: nobody here half-closes.
        tokio::select! {
            () = pass(&mut from_client, &mut to_server, &passage, cuts) => {}
            () = pass(&mut from_server, &mut to_client, &passage, cuts) => {}
        }
        Some(())
    };
    let mut closing = passage.clone();
    tokio::select! {
        _ = through => {}
        _ = closed(&mut closing) => {}
    }
}

async fn pass(
    from: &mut (impl tokio::io::AsyncRead + Unpin),
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
    passage: &watch::Receiver<Passage>,
    cuts: u64,
) {
    let mut buffer = vec![0; BUFFER];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        // What comes over a cut way is gone.
        if passage.borrow().cuts == cuts && to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    tokio::io::copy(&mut read, &mut write).await
                });
            }
        });
        address
    }

    async fn answer(stream: &mut TcpStream, byte: u8) -> Option<u8> {
        stream.write_all(&[byte]).await.ok()?;
        let limit = Duration::from_secs(10);
        let answer = tokio::time::timeout(limit, stream.read_u8()).await;
        answer.expect("in time").ok()
    }

    #[tokio::test]
    async fn over_a_cut_way_nothing_comes_and_a_closed_one_refuses() {
        let way = Way::to(echo().await).await.unwrap();
        let mut stream = TcpStream::connect(way.address()).await.unwrap();
        assert_eq!(answer(&mut stream, 1).await, Some(1));

        way.cut();
        stream.write_all(&[2]).await.unwrap();
        let mut late = TcpStream::connect(way.address()).await.unwrap();
        assert_eq!(answer(&mut late, 3).await, Some(3));
        let nothing = Duration::from_millis(50);
        tokio::time::timeout(nothing, stream.read_u8())
            .await
            .unwrap_err();

        way.open(false);
        assert_eq!(late.read(&mut [0]).await.unwrap_or(0), 0);
        while TcpStream::connect(way.address()).await.is_ok() {
            tokio::task::yield_now().await;
        }
        way.open(true);
        let again = async {
            loop {
                if let Ok(mut again) = TcpStream::connect(way.address()).await {
                    return answer(&mut again, 5).await;
                }
                tokio::task::yield_now().await;
            }
        };
        let limit = Duration::from_secs(10);
        let answered = tokio::time::timeout(limit, again).await;
        assert_eq!(answered.unwrap(), Some(5));
    }
}
