//! The way to a device: a serial line of this machine, or one behind a serial server.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use serial2_tokio::SerialPort;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::adapter::AdapterError;

/// How long a serial server has to accept, and a line to take a few bytes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    Serial { path: String, baud: u32 },
    Tcp { host: String, port: u16 },
}

impl Way {
    /// Reads `/dev/…` or `tcp://host:port`.
    pub(super) fn read(text: &str, baud: u32) -> Result<Self, String> {
        let Some(address) = text.strip_prefix("tcp://") else {
            if text.is_empty() || text.contains("://") {
                let what =
                    "`line` is to be a device file such as `/dev/ttyUSB0`, or `tcp://host:port`";
                return Err(what.to_owned());
            }
            let path = text.to_owned();
            return Ok(Self::Serial { path, baud });
        };
        let parts = address.trim_end_matches('/').rsplit_once(':');
        let parts = parts.and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let Some((host, port)) = parts.filter(|(host, port)| !host.is_empty() && *port != 0) else {
            return Err("a serial server is written `tcp://host:port`".to_owned());
        };
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        Ok(Self::Tcp { host, port })
    }

    /// For people.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Serial { path, .. } => format!("the line {path}"),
            Self::Tcp { host, port } => format!("the serial server {host}:{port}"),
        }
    }

    /// Opens it.
    pub(super) async fn open(&self) -> Result<Line, AdapterError> {
        let opened = match self {
            Self::Serial { path, baud } => open_serial(path, *baud),
            Self::Tcp { host, port } => {
                let connecting = TcpStream::connect((host.as_str(), *port));
                let stream = timeout(PATIENCE, connecting).await;
                let stream = stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                stream.and_then(|stream| {
                    // Requests are a few bytes, and each waits for its answer.
                    stream.set_nodelay(true)?;
                    Ok(Inner::Tcp(stream))
                })
            }
        };
        match opened {
            Ok(inner) => Ok(Line {
                name: self.name(),
                inner,
            }),
            Err(error) => {
                let what = format!("{} cannot be opened", self.name());
                Err(AdapterError::connection(what, error))
            }
        }
    }
}

fn open_serial(path: &str, baud: u32) -> io::Result<Inner> {
    let port = SerialPort::open(path, baud)?;
    // What came before we listened began in the middle.
    port.discard_input_buffer()?;
    Ok(Inner::Serial(port))
}

/// An open line.
#[derive(Debug)]
pub(super) struct Line {
    name: String,
    inner: Inner,
}

enum Inner {
    Serial(SerialPort),
    Tcp(TcpStream),
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Serial(_) => "Serial",
            Self::Tcp(_) => "Tcp",
        })
    }
}

impl Line {
    /// Some bytes that came. Cancel-safe.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, AdapterError> {
        match self.inner.read(buffer).await {
            Ok(0) => Err(self.lost(io::ErrorKind::UnexpectedEof.into())),
            Ok(read) => Ok(read),
            Err(error) => Err(self.lost(error)),
        }
    }

    /// Writes all of it, within a bounded time.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), AdapterError> {
        let writing = async {
            self.inner.write_all(bytes).await?;
            self.inner.flush().await
        };
        let written = timeout(PATIENCE, writing).await;
        let written = written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        written.map_err(|error| self.lost(error))
    }

    /// Nobody answered in time.
    pub(super) fn silent(&self) -> AdapterError {
        let what = format!(
            "{} is silent; is the device on, and the baud rate right?",
            self.name
        );
        AdapterError::connection(what, io::ErrorKind::TimedOut.into())
    }

    /// For people.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn lost(&self, error: io::Error) -> AdapterError {
        AdapterError::connection(format!("{} is lost", self.name), error)
    }
}

impl AsyncRead for Inner {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Serial(port) => Pin::new(port).poll_read(cx, buffer),
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Inner {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Serial(port) => Pin::new(port).poll_write(cx, bytes),
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Serial(port) => Pin::new(port).poll_flush(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Serial(port) => Pin::new(port).poll_shutdown(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_a_file_or_a_server() {
        let tcp = |host: &str, port| {
            let host = host.to_owned();
            Ok(Way::Tcp { host, port })
        };
        assert_eq!(
            Way::read("tcp://car.example:35000", 1),
            tcp("car.example", 35000)
        );
        assert_eq!(Way::read("tcp://[::1]:35000/", 1), tcp("::1", 35000));
        let path = "/dev/ttyUSB0".to_owned();
        assert_eq!(
            Way::read("/dev/ttyUSB0", 9600),
            Ok(Way::Serial { path, baud: 9600 })
        );
        for wrong in [
            "",
            "udp://a:1",
            "tcp://",
            "tcp://:1",
            "tcp://a:0",
            "tcp://a:70000",
        ] {
            assert!(Way::read(wrong, 1).is_err(), "{wrong}");
        }
    }
}
