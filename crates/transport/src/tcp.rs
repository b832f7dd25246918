//! TCP: dialling, and the socket options of both roles. Candidate order and racing
//! are in `connect`; here a name's addresses are tried one after the other.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};

use crate::dial::{Dial, DialError};
use crate::endpoint::{Endpoint, Host, TlsMode};
use crate::pipe::{BoxTransport, Plain};
use crate::tls::TlsConnector;

/// How long a silent peer is believed in, by the system. The application's own probes
/// (XEP-0198, XEP-0199) are sharper; these catch what nobody probes. Where the system
/// lacks an option it is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpOptions {
    /// Silence after which the system probes the peer, and the time between probes.
    /// None: never. Default 60 s. Where there is a `user_timeout`, an unanswered probe
    /// counts as sent bytes; elsewhere the system gives up after some probes, mostly 8 to
    /// 10.
    pub keepalive: Option<Duration>,
    /// How long sent bytes may stay unacknowledged before the connection fails
    /// (TCP_USER_TIMEOUT, Linux; RFC 5482). None: the system's choice, about 15 minutes.
    /// Default 60 s.
    pub user_timeout: Option<Duration>,
}

impl Default for TcpOptions {
    fn default() -> Self {
        let minute = Some(Duration::from_secs(60));
        Self {
            keepalive: minute,
            user_timeout: minute,
        }
    }
}

/// Dials TCP, with TLS by a [`TlsConnector`].
#[derive(Debug, Clone)]
pub struct TcpDial {
    tls: TlsConnector,
    options: TcpOptions,
}

impl TcpDial {
    /// A dialler with default [`TcpOptions`]. Keep one for the process: the connector
    /// inside it remembers TLS sessions.
    #[must_use]
    pub fn new(tls: TlsConnector) -> Self {
        Self {
            tls,
            options: TcpOptions::default(),
        }
    }

    /// The same, with other options.
    #[must_use]
    pub const fn with_options(mut self, options: TcpOptions) -> Self {
        self.options = options;
        self
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<TcpStream, DialError> {
        let addresses: Vec<SocketAddr> = match &endpoint.host {
            Host::Ip(ip) => vec![SocketAddr::new(*ip, endpoint.port)],
            Host::Name(name) => lookup_host((name.as_str(), endpoint.port))
                .await
                .map_err(|source| DialError::Resolve {
                    host: name.clone(),
                    source,
                })?
                .collect(),
        };
        let unreachable = |source| DialError::Unreachable {
            endpoint: endpoint.to_string(),
            source,
        };
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    configure(&stream, self.options).map_err(unreachable)?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(unreachable(last))
    }
}

#[async_trait]
impl Dial for TcpDial {
    async fn dial(&self, endpoint: &Endpoint, domain: &str) -> Result<BoxTransport, DialError> {
        let pipe = Plain::dialled(Prompt::new(self.connect(endpoint).await?));
        match endpoint.mode {
            TlsMode::Direct => self.tls.at_once(pipe, endpoint, domain).await,
            TlsMode::StartTls | TlsMode::None => Ok(pipe),
        }
    }

    async fn direct(
        &self,
        pipe: BoxTransport,
        endpoint: &Endpoint,
        domain: &str,
    ) -> Result<BoxTransport, DialError> {
        self.tls.at_once(pipe, endpoint, domain).await
    }

    async fn upgrade(&self, pipe: BoxTransport, domain: &str) -> Result<BoxTransport, DialError> {
        self.tls.upgrade(pipe, domain).await
    }
}

/// A socket that acknowledges what it reads at once (TCP_QUICKACK, Linux). A server that
/// leaves Nagle's algorithm on holds back what it writes until what it wrote before is
/// acknowledged, and a system that has nothing to send puts that off for 40 ms: without
/// this, each login would wait for it, and each message whose acknowledgement follows in a
/// write of its own. It costs a segment without content for each read.
#[derive(Debug)]
struct Prompt(TcpStream);

impl Prompt {
    fn new(stream: TcpStream) -> Self {
        let prompt = Self(stream);
        prompt.acknowledge();
        prompt
    }

    /// The system forgets the wish after a while, so it is told again after each read.
    fn acknowledge(&self) {
        // Where it does not work, it is only slower.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = SockRef::from(&self.0).set_tcp_quickack(true);
    }
}

impl AsyncRead for Prompt {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.0).poll_read(cx, buf))?;
        self.acknowledge();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prompt {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A connection that a listener accepted, with the options that a dialled one has.
///
/// # Errors
/// What the system says of the socket, as when the peer has gone already.
pub fn accepted(stream: TcpStream, options: TcpOptions) -> io::Result<BoxTransport> {
    configure(&stream, options)?;
    Ok(Plain::boxed(stream))
}

/// Nagle's algorithm is always off: it would hold a small stanza back until the one
/// before is acknowledged, for 40 ms and more.
fn configure(stream: &TcpStream, options: TcpOptions) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    if let Some(time) = options.keepalive {
        let keepalive = TcpKeepalive::new().with_time(time).with_interval(time);
        socket.set_tcp_keepalive(&keepalive)?;
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if options.user_timeout.is_some() {
        socket.set_tcp_user_timeout(options.user_timeout)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn small_stanzas_are_sent_at_once_and_dead_peers_are_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        assert!(!SockRef::from(&stream).keepalive().unwrap());
        configure(&stream, TcpOptions::default()).unwrap();
        assert!(stream.nodelay().unwrap());
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        #[cfg(any(target_os = "linux", target_os = "android"))]
        assert_eq!(
            socket.tcp_user_timeout().unwrap(),
            Some(Duration::from_secs(60))
        );
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[tokio::test]
    async fn a_server_that_waits_for_acknowledgements_is_not_made_to() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stream, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let mut near = Prompt::new(stream.unwrap());
        let mut far = accepted.unwrap().0;
        for _ in 0..200 {
            near.write_all(b"x").await.unwrap();
            far.write_all(b"x").await.unwrap();
            near.read_u8().await.unwrap();
            assert!(SockRef::from(&near.0).tcp_quickack().unwrap());
        }
        far.shutdown().await.unwrap();
        assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn nagles_algorithm_is_off_even_without_any_option() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let none = TcpOptions {
            keepalive: None,
            user_timeout: None,
        };
        configure(&stream, none).unwrap();
        assert!(stream.nodelay().unwrap());
        assert!(!SockRef::from(&stream).keepalive().unwrap());
    }
}
