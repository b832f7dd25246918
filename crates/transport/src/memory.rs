//! Pipes inside one process, for tests, benchmarks and an embedded server: a bounded
//! pair, a listener, and the dialler that reaches it. No network, and no faults: those
//! are in `testkit`.

use std::collections::HashMap;
use std::fmt;
use std::io;

use async_trait::async_trait;
use tokio::sync::mpsc;

use crate::dial::{Dial, DialError};
use crate::endpoint::{Endpoint, Host, TlsMode};
use crate::pipe::{BoxTransport, Plain};
use crate::tls::TlsConnector;

/// Connections that may wait for a listener; further diallers wait themselves.
const BACKLOG: usize = 16;

/// The two ends of a plaintext pipe. Each direction holds at most `buffer` bytes; a
/// writer waits when it is full. Dropping an end closes both directions.
///
/// # Panics
/// If `buffer` is 0.
#[must_use]
pub fn pair(buffer: usize) -> (BoxTransport, BoxTransport) {
    assert!(buffer > 0, "a pipe without buffer carries nothing");
    let (a, b) = tokio::io::duplex(buffer);
    (Plain::boxed(a), Plain::boxed(b))
}

/// Dials listeners of this process, by host and port.
#[derive(Clone)]
pub struct MemoryDial {
    tls: TlsConnector,
    buffer: usize,
    listeners: HashMap<(Host, u16), mpsc::Sender<BoxTransport>>,
}

impl fmt::Debug for MemoryDial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDial")
            .field("buffer", &self.buffer)
            .field("listeners", &self.listeners.keys())
            .finish_non_exhaustive()
    }
}

impl MemoryDial {
    /// A dialler that reaches nothing yet, whose pipes hold `buffer` bytes (at least 1)
    /// in each direction.
    #[must_use]
    pub fn new(tls: TlsConnector, buffer: usize) -> Self {
        Self {
            tls,
            buffer: buffer.max(1),
            listeners: HashMap::new(),
        }
    }

    /// Listens at `host` and `port`, in place of whoever did before.
    pub fn listen(&mut self, host: Host, port: u16) -> MemoryListener {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        self.listeners.insert((host, port), sender);
        MemoryListener { receiver }
    }
}

#[async_trait]
impl Dial for MemoryDial {
    async fn dial(&self, endpoint: &Endpoint, domain: &str) -> Result<BoxTransport, DialError> {
        let refused = || DialError::Unreachable {
            endpoint: endpoint.to_string(),
            source: io::ErrorKind::ConnectionRefused.into(),
        };
        let place = (endpoint.host.clone(), endpoint.port);
        let listener = self.listeners.get(&place).ok_or_else(refused)?;
        let (near, far) = tokio::io::duplex(self.buffer);
        let (near, far) = (Plain::dialled(near), Plain::boxed(far));
        listener.send(far).await.map_err(|_| refused())?;
        match endpoint.mode {
            TlsMode::Direct => self.tls.at_once(near, endpoint, domain).await,
            TlsMode::StartTls | TlsMode::None => Ok(near),
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

/// The accepting end of a [`MemoryDial`]. Dropping it refuses further connections.
#[derive(Debug)]
pub struct MemoryListener {
    receiver: mpsc::Receiver<BoxTransport>,
}

impl MemoryListener {
    /// The next connection, as plaintext; a direct TLS one expects the handshake of
    /// [`TlsAcceptor`](crate::TlsAcceptor). `None` when no dialler is left. May be
    /// cancelled without loss.
    pub async fn accept(&mut self) -> Option<BoxTransport> {
        self.receiver.recv().await
    }
}
