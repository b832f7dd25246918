//! The way to a unit: a socket or a serial line, and one request at a time over it. On a
//! serial line a request waits for silence first, and what comes unasked is thrown away
//! there: so the line is in step again after noise and after answers that came too late.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::config::{Config, Parity, Serial};
use super::wire::{Answer, Framing, Request, Wire};

/// Bytes that both kinds of way can carry.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// Nobody answered in time.
    #[error("it does not answer")]
    Silent,
    /// It does not keep to the protocol.
    #[error("{0}")]
    Garbled(String),
    /// The way is gone.
    #[error("the connection is lost")]
    Broken(#[source] io::Error),
}

/// An open way to one unit.
pub(super) struct Line {
    stream: Box<dyn Stream>,
    wire: Wire,
    /// How long nothing may have been heard before a request.
    silence: Option<Duration>,
    pause: Duration,
    timeout: Duration,
    /// When the last request was at its end.
    last: Option<Instant>,
}

impl Line {
    /// Opens it.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(super) async fn open(config: &Config) -> io::Result<Self> {
        if let Some(serial) = &config.serial {
            let port = open_serial(serial)?;
            return Ok(Self::over(port, config));
        }
        let tcp = config.tcp.as_deref().unwrap_or_default();
        let connected = timeout(config.connect_timeout, TcpStream::connect(tcp)).await;
        let stream = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream, config))
    }

    /// Over something that is open already.
    fn over(stream: impl Stream + 'static, config: &Config) -> Self {
        let silence = config.serial.as_ref().map(Serial::silence);
        let framing = match silence {
            Some(_) => Framing::Rtu,
            None => Framing::Tcp,
        };
        Self {
            stream: Box::new(stream),
            wire: Wire::new(framing, config.unit),
            silence,
            pause: config.pause,
            timeout: config.timeout,
            last: None,
        }
    }

    /// Waits until a request may be sent.
    ///
    /// # Errors
    /// [`Fault::Broken`], and [`Fault::Silent`] if the line is never quiet.
    pub(super) async fn ready(&mut self) -> Result<(), Fault> {
        if let Some(last) = self.last {
            sleep_until(last + self.pause).await;
        }
        let Some(silence) = self.silence else {
            return Ok(());
        };
        let by = Instant::now() + self.timeout.max(silence * 2);
        let mut noise = [0; 256];
        while Instant::now() < by {
            match timeout(silence, self.stream.read(&mut noise)).await {
                Err(_) => return Ok(()),
                Ok(read) => ended(read)?,
            };
        }
        Err(Fault::Silent)
    }

    /// Asks, and waits for the answer. Call [`Line::ready`] before.
    ///
    /// # Errors
    /// [`Fault`]. After any of them the bytes may have reached the unit.
    pub(super) async fn ask(&mut self, request: &Request) -> Result<Answer, Fault> {
        let outcome = timeout_at(Instant::now() + self.timeout, self.exchange(request)).await;
        self.last = Some(Instant::now());
        outcome.unwrap_or(Err(Fault::Silent))
    }

    async fn exchange(&mut self, request: &Request) -> Result<Answer, Fault> {
        let bytes = self.wire.ask(request);
        self.stream.write_all(&bytes).await.map_err(Fault::Broken)?;
        self.stream.flush().await.map_err(Fault::Broken)?;
        let mut room = [0; 512];
        loop {
            let read = ended(self.stream.read(&mut room).await)?;
            match self.wire.take(request, &room[..read]) {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => {}
                Err(garbled) => return Err(Fault::Garbled(garbled.0)),
            }
        }
    }
}

fn ended(read: io::Result<usize>) -> Result<usize, Fault> {
    match read {
        Ok(0) => Err(Fault::Broken(io::ErrorKind::UnexpectedEof.into())),
        Ok(read) => Ok(read),
        Err(error) => Err(Fault::Broken(error)),
    }
}

fn open_serial(serial: &Serial) -> io::Result<serial2_tokio::SerialPort> {
    use serial2_tokio::{CharSize, FlowControl, Parity as P, Settings, StopBits};
    let set = |mut settings: Settings| {
        settings.set_raw();
        settings.set_baud_rate(serial.baud)?;
        settings.set_char_size(CharSize::Bits8);
        settings.set_flow_control(FlowControl::None);
        settings.set_parity(match serial.parity {
            Parity::Even => P::Even,
            Parity::Odd => P::Odd,
            Parity::None => P::None,
        });
        settings.set_stop_bits(match serial.stop_bits() {
            2 => StopBits::Two,
            _ => StopBits::One,
        });
        Ok(settings)
    };
    serial2_tokio::SerialPort::open(&serial.device, set)
}

#[cfg(test)]
mod tests {
    use super::super::wire::Table;
    use super::*;

    fn config(text: &str) -> Config {
        let points = "[[points]]\nname = 'p'\nkind = 'holding'\naddress = 1\n";
        toml::from_str(&format!("{text}\n{points}")).unwrap()
    }

    const READ: Request = Request::Read {
        table: Table::Holding,
        address: 0,
        count: 1,
    };

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_too_late_is_thrown_away_on_a_serial_line() {
        let config = config("serial = { device = 'x' }");
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut line = Line::over(ours, &config);
        line.ready().await.unwrap();
        assert!(matches!(line.ask(&READ).await, Err(Fault::Silent)));
        // 7, with its checksum; it would be the answer to the next request, too.
        let late = [1, 3, 2, 0, 7, 0xF9, 0x86];
        theirs.write_all(&late).await.unwrap();
        line.ready().await.unwrap();
        assert!(matches!(line.ask(&READ).await, Err(Fault::Silent)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_is_never_quiet_is_not_written_to() {
        let config = config("serial = { device = 'x' }\ntimeout = '200ms'");
        let (ours, mut theirs) = tokio::io::duplex(8);
        let mut line = Line::over(ours, &config);
        let babble = async {
            loop {
                theirs.write_all(&[0xAA; 8]).await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            ready = line.ready() => assert!(matches!(ready, Err(Fault::Silent))),
            () = babble => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_kept_between_two_requests() {
        let config = config("tcp = 'm:502'\npause = '300ms'");
        let (ours, _theirs) = tokio::io::duplex(64);
        let mut line = Line::over(ours, &config);
        assert!(matches!(line.ask(&READ).await, Err(Fault::Silent)));
        let before = Instant::now();
        line.ready().await.unwrap();
        assert_eq!(before.elapsed(), Duration::from_millis(300));
    }
}
