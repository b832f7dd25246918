//! A TCP relay between a client and a server that misbehaves when told to: it cuts, stands
//! still, swallows one direction, or is slow. It knows nothing of XMPP, and all it carries
//! is under TLS. When it misbehaves is left to `run`.

use socket2::SockRef;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

/// Bytes that are read at once.
const CHUNK: usize = 16 * 1024;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// What happens to the bytes of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Flow {
    /// They are carried.
    #[default]
    Open,
    /// They are not taken: the writer's buffers fill up.
    Held,
    /// They are carried at so many bytes a second, at least 1.
    Slow(u32),
}

/// Of a whole relay.
#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    up: Flow,
    down: Flow,
    /// Connections that were made under a lower number are reset.
    resets: u64,
    /// Nothing listens: those who connect are refused.
    shut: bool,
}

impl Weather {
    const fn flow(&self, direction: Direction) -> Flow {
        match direction {
            Direction::Up => self.up,
            Direction::Down => self.down,
        }
    }
}

/// Bytes that may still pass, both ways together, before the connection that carries the
/// next one is reset.
#[derive(Debug, Default)]
struct Fuse(Mutex<Option<u64>>);

impl Fuse {
    fn arm(&self, bytes: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
    }

    /// How many of `n` bytes may pass; fewer only when it blows, which it does once.
    fn admit(&self, n: usize) -> usize {
        let mut fuse = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *fuse {
            Some(left) if left < n as u64 => {
                *fuse = None;
                // It is less than `n`, so it fits.
                usize::try_from(left).unwrap_or(n)
            }
            Some(left) => {
                *fuse = Some(left - n as u64);
                n
            }
            None => n,
        }
    }
}

/// A listening relay; it ends, and resets what it carries, when it is dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    fuse: Arc<Fuse>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Listens on that port of the loopback interface, on tasks of `runtime`. It should
    /// not be one that the system gives to outgoing connections, as `shut` leaves it alone
    /// for a while. If nothing listens at `target`, those who connect are reset.
    pub(crate) fn start(runtime: &Handle, port: u16, target: SocketAddr) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let _context = runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        let (weather, seen) = watch::channel(Weather::default());
        let fuse = Arc::new(Fuse::default());
        let task = runtime.spawn(serve(listener, target, seen, Arc::clone(&fuse)));
        Ok(Self {
            address,
            weather,
            fuse,
            task,
        })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, both directions.
    pub(crate) fn set(&self, flow: Flow) {
        self.weather.send_modify(|weather| {
            weather.up = flow;
            weather.down = flow;
        });
    }

    /// From now on, one direction.
    pub(crate) fn set_one(&self, direction: Direction, flow: Flow) {
        self.weather.send_modify(|weather| match direction {
            Direction::Up => weather.up = flow,
            Direction::Down => weather.down = flow,
        });
    }

    /// Whether those who connect are refused, as by a machine without a server.
    pub(crate) fn shut(&self, shut: bool) {
        self.weather
            .send_if_modified(|weather| std::mem::replace(&mut weather.shut, shut) != shut);
    }

    /// Resets all connections that there are; what was held is lost.
    pub(crate) fn reset(&self) {
        self.weather.send_modify(|weather| weather.resets += 1);
    }

    /// Lets so many bytes more pass, and resets the connection that carries the next one.
    pub(crate) fn cut_after(&self, bytes: u64) {
        self.fuse.arm(bytes);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    listener: TcpListener,
    target: SocketAddr,
    weather: watch::Receiver<Weather>,
    fuse: Arc<Fuse>,
) {
    let Ok(address) = listener.local_addr() else {
        return;
    };
    let mut listener = Some(listener);
    let mut changes = weather.clone();
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        let shut = changes.borrow_and_update().shut;
        if shut {
            listener = None;
        } else if listener.is_none() {
            listener = TcpListener::bind(address).await.ok();
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() {
                return;
            },
            // Somebody has the port: perhaps not for long.
            () = sleep(Duration::from_millis(20)), if listener.is_none() && !shut => {}
            accepted = accept(listener.as_ref()) => match accepted {
                Ok((client, _)) => {
                    connections.spawn(carry(client, target, weather.clone(), Arc::clone(&fuse)));
                }
                // Of descriptors, as a rule: some will come back.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// One connection, until either side ends it or it is reset.
async fn carry(
    mut client: TcpStream,
    target: SocketAddr,
    weather: watch::Receiver<Weather>,
    fuse: Arc<Fuse>,
) {
    let Ok(mut server) = TcpStream::connect(target).await else {
        return reset(&client);
    };
    // Whatever holds bytes back here is told by `weather`.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let born = weather.borrow().resets;
    let mut watch = weather.clone();
    let orderly = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let [up, down] = [Direction::Up, Direction::Down].map(|direction| Way {
            direction,
            born,
            fuse: &fuse,
        });
        tokio::select! {
            end = up.carry(from_client, to_server, weather.clone()) => end.is_ok(),
            end = down.carry(from_server, to_client, weather) => end.is_ok(),
            // Also while a writer is stuck. An error means that the relay is gone.
            _ = watch.wait_for(|weather| weather.resets > born) => false,
        }
    };
    if !orderly {
        reset(&client);
        reset(&server);
    }
}

/// Has the socket be reset when it is dropped. A socket that is dead already needs none.
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// One direction of a connection.
struct Way<'a> {
    direction: Direction,
    /// Resets before the connection.
    born: u64,
    fuse: &'a Fuse,
}

impl Way<'_> {
    /// Carries it to its end.
    async fn carry(
        &self,
        mut from: impl AsyncReadExt + Unpin,
        mut to: impl AsyncWriteExt + Unpin,
        mut weather: watch::Receiver<Weather>,
    ) -> io::Result<()> {
        let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
        let mut buffer = vec![0; CHUNK];
        loop {
            let now = *weather.borrow_and_update();
            // Told at the same moment to reset and to go on, it must not go on.
            if now.resets > self.born {
                return Err(reset());
            }
            let flow = now.flow(self.direction);
            let room = match flow {
                Flow::Held => {
                    weather.changed().await.map_err(|_| reset())?;
                    continue;
                }
                Flow::Open => CHUNK,
                // A tenth of a second's worth.
                Flow::Slow(rate) => (rate as usize / 10).clamp(1, CHUNK),
            };
            let read = tokio::select! {
                read = from.read(&mut buffer[..room]) => read?,
                changed = weather.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return Err(reset()),
                },
            };
            if read == 0 {
                return Ok(());
            }
            let admitted = self.fuse.admit(read);
            to.write_all(&buffer[..admitted]).await?;
            if admitted < read {
                return Err(reset());
            }
            if let Flow::Slow(rate) = flow {
                sleep(Duration::from_secs_f64(
                    read as f64 / f64::from(rate.max(1)),
                ))
                .await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::ports;
    use std::time::Instant;
    use tokio::time::timeout;

    const LONG: Duration = Duration::from_secs(20);
    /// Long enough for bytes to come that should not.
    const QUIET: Duration = Duration::from_millis(50);

    /// A relay, and the two ends of a connection through it.
    async fn connected() -> (Relay, TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = relay_to(listener.local_addr().unwrap());
        let client = TcpStream::connect(relay.address()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        (relay, client, server)
    }

    fn relay_to(target: SocketAddr) -> Relay {
        let [port] = ports::take().unwrap();
        Relay::start(&Handle::current(), port, target).unwrap()
    }

    async fn read(stream: &mut TcpStream, n: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; n];
        timeout(LONG, stream.read_exact(&mut bytes))
            .await
            .unwrap()?;
        Ok(bytes)
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_and_the_end_with_them() {
        let (_relay, mut client, mut server) = connected().await;
        client.write_all(b"up").await.unwrap();
        server.write_all(b"down").await.unwrap();
        assert_eq!(read(&mut server, 2).await.unwrap(), b"up");
        assert_eq!(read(&mut client, 4).await.unwrap(), b"down");
        drop(server);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_cut_lets_exactly_so_many_bytes_pass() {
        let (relay, mut client, mut server) = connected().await;
        relay.cut_after(5);
        client.write_all(b"0123456789").await.unwrap();
        assert_eq!(read(&mut server, 5).await.unwrap(), b"01234");
        assert!(server.read(&mut [0]).await.is_err(), "reset");
        assert!(timeout(LONG, client.read(&mut [0])).await.unwrap().is_err());
        // The next connection is well.
        assert_eq!(relay.fuse.admit(1000), 1000);
    }

    #[tokio::test]
    async fn what_is_held_comes_later_and_the_other_way_is_open() {
        let (relay, mut client, mut server) = connected().await;
        relay.set_one(Direction::Up, Flow::Held);
        client.write_all(b"late").await.unwrap();
        server.write_all(b"now").await.unwrap();
        assert_eq!(read(&mut client, 3).await.unwrap(), b"now");
        let mut byte = [0];
        assert!(timeout(QUIET, server.read(&mut byte)).await.is_err());
        relay.set(Flow::Open);
        assert_eq!(read(&mut server, 4).await.unwrap(), b"late");
    }

    #[tokio::test]
    async fn a_reset_loses_what_was_held() {
        let (relay, mut client, mut server) = connected().await;
        relay.set(Flow::Held);
        client.write_all(b"lost").await.unwrap();
        assert!(timeout(QUIET, server.read(&mut [0])).await.is_err());
        relay.reset();
        relay.set(Flow::Open);
        assert!(timeout(LONG, server.read(&mut [0])).await.unwrap().is_err());
        assert!(timeout(LONG, client.read(&mut [0])).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_slow_line_takes_its_time() {
        let (relay, mut client, mut server) = connected().await;
        relay.set(Flow::Slow(10_000));
        let begin = Instant::now();
        client.write_all(&[7; 3000]).await.unwrap();
        read(&mut server, 3000).await.unwrap();
        // The pause after the last portion is not seen.
        assert!(begin.elapsed() >= Duration::from_millis(150));
    }

    #[tokio::test]
    async fn while_the_server_is_away_its_clients_are_reset() {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = gone.local_addr().unwrap();
        drop(gone);
        let relay = relay_to(target);
        let mut client = TcpStream::connect(relay.address()).await.unwrap();
        assert!(timeout(LONG, client.read(&mut [0])).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_relay_that_is_shut_refuses_and_opens_again() {
        let (relay, mut client, mut server) = connected().await;
        relay.shut(true);
        timeout(LONG, async {
            // One that is accepted on the way there is reset.
            while TcpStream::connect(relay.address()).await.is_ok() {
                tokio::task::yield_now().await;
            }
            relay.shut(false);
            while TcpStream::connect(relay.address()).await.is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        // What there was goes on.
        client.write_all(b"on").await.unwrap();
        assert_eq!(read(&mut server, 2).await.unwrap(), b"on");
    }
}
