//! A connector whose other side is in the same process: tests answer each request with
//! a prepared connection or an error. No negotiation takes place.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use crate::connection::{Connect, Connection, SessionEnd};
use crate::error::{ConnectError, Misuse};
use crate::negotiation::ResumeToken;

/// Asks its [`MemoryServer`] for each connection.
///
/// ```
/// use stanchion_connect::memory::MemoryConnect;
/// use stanchion_connect::{Connect, Connection};
/// use stanchion_connect::negotiation::Established;
/// use stanchion_stanza::Limits;
/// use stanchion_transport::{Endpoint, TlsMode, XmppStream, memory};
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let (connect, mut server) = MemoryConnect::new();
/// let (connection, ()) = tokio::join!(connect.connect(None), async {
///     let request = server.next().await.unwrap();
///     assert!(request.resume.is_none());
///     let (near, _far) = memory::pair(4096);
///     let stream = XmppStream::new(near, Limits::default());
///     let established = Established::new("a@b.example/c".parse().unwrap());
///     let endpoint = Endpoint::at(([127, 0, 0, 1], 5222).into(), TlsMode::None);
///     request.answer(Ok(Connection::new(stream, established, endpoint)));
/// });
/// assert_eq!(connection?.established.jid.as_str(), "a@b.example/c");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MemoryConnect {
    requests: mpsc::Sender<MemoryRequest>,
    ends: Ends,
}

/// Held only to copy in or out.
type Ends = Arc<Mutex<Vec<SessionEnd>>>;

/// Ends that are kept until somebody asks, at most.
const MAX_ENDS: usize = 64;

/// The other side: hears each request.
#[derive(Debug)]
pub struct MemoryServer {
    requests: mpsc::Receiver<MemoryRequest>,
    ends: Ends,
}

/// Somebody wants to connect, and waits.
#[derive(Debug)]
pub struct MemoryRequest {
    /// The session to resume.
    pub resume: Option<ResumeToken>,
    answer: oneshot::Sender<Result<Connection, ConnectError>>,
}

impl MemoryConnect {
    /// Both sides.
    #[must_use]
    pub fn new() -> (Self, MemoryServer) {
        let (sender, receiver) = mpsc::channel(1);
        let ends = Ends::default();
        let server = MemoryServer {
            requests: receiver,
            ends: Arc::clone(&ends),
        };
        let connect = Self {
            requests: sender,
            ends,
        };
        (connect, server)
    }
}

impl MemoryServer {
    /// The next request; `None` when the connector is gone.
    pub async fn next(&mut self) -> Option<MemoryRequest> {
        self.requests.recv().await
    }

    /// How sessions ended, as the connector was told; the first 64 since the last call.
    pub fn ends(&mut self) -> Vec<SessionEnd> {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *ends)
    }
}

impl MemoryRequest {
    /// Ends the wait. If nobody waits any more, the connection is closed.
    pub fn answer(self, answer: Result<Connection, ConnectError>) {
        drop(self.answer.send(answer));
    }
}

#[async_trait]
impl Connect for MemoryConnect {
    async fn connect(&self, resume: Option<ResumeToken>) -> Result<Connection, ConnectError> {
        let (answer, receiver) = oneshot::channel();
        let request = MemoryRequest { resume, answer };
        let gone = || ConnectError::from(Misuse::NothingPrepared);
        self.requests.send(request).await.map_err(|_| gone())?;
        receiver.await.map_err(|_| gone())?
    }

    fn ended(&self, end: &SessionEnd) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if ends.len() < MAX_ENDS {
            ends.push(end.clone());
        }
    }
}
