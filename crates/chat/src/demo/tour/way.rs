//! A way to the server that can be cut or closed: what comes in at one port goes on to
//! another.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Connections that one way carries at once.
const MOST: usize = 64;
/// Read at once.
const BUFFER: usize = 16 * 1024;

/// How a way is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    /// Bytes go through.
    Open,
    /// Connections stand and nothing comes through: as a cable that was pulled, of which
    /// neither end is told.
    Cut,
    /// Connections are closed, and new ones, too.
    Closed,
}

/// The way. Cheap to clone; with the last of them it is gone with all its connections.
#[derive(Debug, Clone)]
pub(super) struct Way {
    address: SocketAddr,
    passage: watch::Sender<Passage>,
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
        let (passage, seen) = watch::channel(Passage::Open);
        let task = tokio::spawn(carry_all(listener, server, seen));
        Ok(Self {
            address,
            passage,
            _task: Arc::new(Carrying(task)),
        })
    }

    /// Where it begins.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// It is so from now on.
    pub(super) fn is(&self, passage: Passage) {
        self.passage.send_replace(passage);
    }
}

async fn carry_all(listener: TcpListener, server: SocketAddr, passage: watch::Receiver<Passage>) {
    let mut carried = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = carried.join_next() => {}
            accepted = listener.accept(), if carried.len() < MOST => {
                // One that fails is the next one's chance.
                if let Ok((client, _)) = accepted {
                    carried.spawn(carry(client, server, passage.clone()));
                }
            }
        }
    }
}

/// Carries one connection until an end closes it, or the way is closed.
async fn carry(mut client: TcpStream, server: SocketAddr, mut passage: watch::Receiver<Passage>) {
    let through = async {
        // A cut way takes a connection, as a router with a full queue would.
        let mut open = passage.clone();
        open.wait_for(|p| *p == Passage::Open).await.ok()?;
        let mut server = TcpStream::connect(server).await.ok()?;
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        // Either side's end is the end: nobody here half-closes.
        tokio::select! {
            () = pass(&mut from_client, &mut to_server, passage.clone()) => {}
            () = pass(&mut from_server, &mut to_client, passage.clone()) => {}
        }
        Some(())
    };
    let mut closed = passage.clone();
    tokio::select! {
        _ = through => {}
        _ = closed.wait_for(|p| *p == Passage::Closed) => {}
    }
    // Whoever made it: it has seen the value that ended it.
    passage.mark_unchanged();
}

async fn pass(
    from: &mut (impl tokio::io::AsyncRead + Unpin),
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
    mut passage: watch::Receiver<Passage>,
) {
    let mut buffer = vec![0; BUFFER];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        // What was under way when it was cut waits.
        if passage.wait_for(|p| *p == Passage::Open).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
    async fn a_cut_way_holds_what_is_on_it_and_a_closed_one_ends_it() {
        let way = Way::to(echo().await).await.unwrap();
        let mut stream = TcpStream::connect(way.address()).await.unwrap();
        assert_eq!(answer(&mut stream, 1).await, Some(1));

        way.is(Passage::Cut);
        stream.write_all(&[2]).await.unwrap();
        let mut late = TcpStream::connect(way.address()).await.unwrap();
        late.write_all(&[3]).await.unwrap();
        let nothing = Duration::from_millis(50);
        tokio::time::timeout(nothing, stream.read_u8())
            .await
            .unwrap_err();
        way.is(Passage::Open);
        assert_eq!(stream.read_u8().await.unwrap(), 2);
        assert_eq!(late.read_u8().await.unwrap(), 3);

        way.is(Passage::Closed);
        assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
        let mut refused = TcpStream::connect(way.address()).await.unwrap();
        assert_eq!(answer(&mut refused, 4).await, None);
        way.is(Passage::Open);
        let mut again = TcpStream::connect(way.address()).await.unwrap();
        assert_eq!(answer(&mut again, 5).await, Some(5));
    }
}
