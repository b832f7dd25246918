//! The wish of a person or a supervisor that the command end.

use std::io;

use crate::exit::Failure;

/// Interrupt (Ctrl-C), and on Unix also SIGTERM and SIGHUP, from its making on: a signal
/// that comes while nobody waits is not lost.
#[derive(Debug)]
pub(crate) struct Interrupt {
    #[cfg(unix)]
    signals: [tokio::signal::unix::Signal; 3],
}

impl Interrupt {
    /// Watches from now on. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The system does not let this process handle signals.
    pub(crate) fn watch() -> Result<Self, Failure> {
        Self::new().map_err(|e| Failure::failed(format!("signals cannot be handled: {e}")))
    }

    #[cfg(unix)]
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            signals: [
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
            ],
        })
    }

    #[cfg(not(unix))]
    #[allow(clippy::unnecessary_wraps)] // As on Unix.
    fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Resolves once there was a signal. May be dropped and called again.
    #[cfg(unix)]
    pub(crate) async fn seen(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }

    /// Resolves once there was a signal.
    #[cfg(not(unix))]
    pub(crate) async fn seen(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
