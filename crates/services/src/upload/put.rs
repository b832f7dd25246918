//! The transfer (XEP-0363 §7): one HTTP PUT with hyper, over this library's own TCP and
//! TLS. Nothing is followed, repeated or kept: a slot is good once.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use stanchion_stanza::payload::upload::Slot;
use stanchion_transport::tls::TlsConfigError;
use stanchion_transport::{BoxTransport, Dial, DialError, Endpoint, Host, TcpDial};
use stanchion_transport::{TlsConnector, TlsMode, TlsPolicy};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::timeout;

use super::url::Place;

/// What is read of a file at once, in bytes.
const PORTION: usize = 16 * 1024;

/// Why a file was not put.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// The URL is none, or is not safe.
    #[error("the slot's URL cannot be used: {0}")]
    Url(String),
    /// The machine that the URL names cannot be reached safely.
    #[error("the place for the file cannot be reached")]
    Dial(#[source] DialError),
    /// The transfer broke off, or what was answered is no HTTP.
    #[error("the transfer broke off; ask for another slot and try again")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server of the file does not take it.
    #[error("the file was refused with HTTP status {0}; ask for another slot and try again")]
    Refused(u16),
    /// It took too long.
    #[error("the transfer took longer than {0:?}")]
    TooLong(Duration),
}

/// What is put: as many bytes as the slot was asked for.
pub struct Content {
    size: u64,
    media_type: Option<String>,
    reader: Pin<Box<dyn AsyncRead + Send>>,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content")
            .field("size", &self.size)
            .field("media_type", &self.media_type)
            .finish_non_exhaustive()
    }
}

impl Content {
    /// What `reader` gives, which must be `size` bytes; what follows is not read.
    pub fn read(reader: impl AsyncRead + Send + 'static, size: u64) -> Self {
        Self {
            size,
            media_type: None,
            reader: Box::pin(reader),
        }
    }

    /// These bytes.
    #[must_use]
    pub fn bytes(bytes: Vec<u8>) -> Self {
        let size = bytes.len() as u64;
        Self::read(io::Cursor::new(bytes), size)
    }

    /// Of that media type; the one that the slot was asked for, if it was (§7).
    #[must_use]
    pub fn of_type(mut self, media_type: impl Into<String>) -> Self {
        self.media_type = Some(media_type.into());
        self
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.size == 0 {
            return Poll::Ready(None);
        }
        let most = usize::try_from(self.size).map_or(PORTION, |left| left.min(PORTION));
        let mut portion = vec![0; most];
        let mut buffer = ReadBuf::new(&mut portion);
        if let Err(error) = ready!(self.reader.as_mut().poll_read(cx, &mut buffer)) {
            return Poll::Ready(Some(Err(error)));
        }
        let read = buffer.filled().len();
        if read == 0 {
            let short = io::Error::new(io::ErrorKind::UnexpectedEof, "the file is too short");
            return Poll::Ready(Some(Err(short)));
        }
        portion.truncate(read);
        self.size -= read as u64;
        Poll::Ready(Some(Ok(Frame::data(portion.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.size == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.size)
    }
}

/// Puts files where slots say. Make one and keep it: it remembers TLS sessions.
pub struct HttpPut {
    dial: Arc<dyn Dial>,
    http_over_loopback: bool,
    within: Duration,
}

impl fmt::Debug for HttpPut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpPut")
            .field("http_over_loopback", &self.http_over_loopback)
            .field("within", &self.within)
            .finish_non_exhaustive()
    }
}

impl HttpPut {
    /// How long a transfer may take unless it is said otherwise.
    pub const WITHIN: Duration = Duration::from_secs(300);

    /// Trusts whom the policy says. The certificate must be that of the URL's host.
    /// Reads the trusted certificates, which may block on files.
    ///
    /// # Errors
    /// [`TlsConfigError`] if the policy cannot be followed.
    pub fn new(policy: &TlsPolicy) -> Result<Self, TlsConfigError> {
        let tls = TlsConnector::new(policy)?;
        Ok(Self {
            dial: Arc::new(TcpDial::new(tls)),
            http_over_loopback: false,
            within: Self::WITHIN,
        })
    }

    /// Whether URLs without TLS are taken if they lead to this machine itself. Default
    /// false.
    #[must_use]
    pub const fn http_over_loopback(mut self, allowed: bool) -> Self {
        self.http_over_loopback = allowed;
        self
    }

    /// How long a transfer may take. Default 5 minutes.
    #[must_use]
    pub const fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// Puts a file, with the headers of the slot. Dropping the future breaks the transfer
    /// off.
    ///
    /// # Errors
    /// [`PutError`]. A slot cannot be used again: ask for another one.
    pub async fn put(&self, slot: &Slot, content: Content) -> Result<(), PutError> {
        let put = self.transfer(slot, content);
        let status = timeout(self.within, put)
            .await
            .map_err(|_| PutError::TooLong(self.within))??;
        match status.is_success() {
            true => Ok(()),
            false => Err(PutError::Refused(status.as_u16())),
        }
    }

    async fn transfer(&self, slot: &Slot, content: Content) -> Result<StatusCode, PutError> {
        let place = Place::read(&slot.put)
            .filter(|place| place.secure || (self.http_over_loopback && place.is_local()))
            .ok_or_else(|| PutError::Url(slot.put.chars().take(200).collect()))?;
        let pipe = self.dial(&place).await?;
        let mut request = Request::put(place.path).header(header::HOST, place.authority);
        // No other names than those allowed can stand in a slot.
        for header in &slot.headers {
            request = request.header(header.name.as_str(), header.value.as_str());
        }
        if let Some(media_type) = &content.media_type {
            request = request.header(header::CONTENT_TYPE, media_type);
        }
        let request = request.header(header::CONNECTION, "close").body(content);
        let request = request.map_err(broken)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(pipe)).await.map_err(broken)?;
        let exchange = async move { sender.send_request(request).await };
        tokio::pin!(exchange, connection);
        let mut over = false;
        loop {
            tokio::select! {
                response = &mut exchange => return Ok(response.map_err(broken)?.status()),
                // The connection does the work; if it ends, the answer is there or never
                // comes, and the exchange knows which.
                _ = &mut connection, if !over => over = true,
            }
        }
    }

    async fn dial(&self, place: &Place<'_>) -> Result<BoxTransport, PutError> {
        let mode = if place.secure {
            TlsMode::Direct
        } else {
            TlsMode::None
        };
        let host = match place.host.parse() {
            Ok(ip) => Host::Ip(ip),
            Err(_) => Host::Name(place.host.to_owned()),
        };
        let endpoint = Endpoint::new(host, place.port, mode);
        let dialled = match place.secure {
            false => self.dial.dial(&endpoint, place.host).await,
            // HTTP's protocol name, where XMPP would have its own.
            true => match format!("wss://{}{}", place.authority, place.path).parse::<Endpoint>() {
                Ok(endpoint) => self.dial.dial(&endpoint, place.host).await,
                Err(error) => return Err(PutError::Url(error.to_string())),
            },
        };
        dialled.map_err(PutError::Dial)
    }
}

fn broken(error: impl std::error::Error + Send + Sync + 'static) -> PutError {
    PutError::Broken(Box::new(error))
}
