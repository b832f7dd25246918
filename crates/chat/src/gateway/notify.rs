//! Tells a service manager how the gateway is, as systemd's sd_notify(3) describes it: a
//! datagram to the socket that `NOTIFY_SOCKET` names. Without one, nothing.

#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The manager, if there is one.
#[derive(Debug)]
pub(super) struct Manager {
    to: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants to hear from us.
    watchdog: Option<Duration>,
}

impl Manager {
    /// The one that the environment names.
    pub(super) fn find() -> Self {
        let socket = std::env::var("NOTIFY_SOCKET").ok();
        let to = socket.and_then(|name| {
            let address = address(&name).ok()?;
            Some((UnixDatagram::unbound().ok()?, address))
        });
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|_| ours && to.is_some());
        Self {
            to,
            // Twice in the time that it waits.
            watchdog: watchdog
                .map(|us| Duration::from_micros(us / 2).max(Duration::from_millis(1))),
        }
    }

    /// How often to say that the gateway is alive.
    pub(super) const fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// All is started.
    pub(super) fn ready(&self) {
        self.tell("READY=1");
    }

    /// The configuration is read again; [`Manager::ready`] says when that is done.
    pub(super) fn reloading(&self) {
        let now = monotonic_us();
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    }

    /// The end has begun.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// The gateway is alive.
    pub(super) fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    /// One line for people.
    pub(super) fn status(&self, line: &str) {
        self.tell(&format!("STATUS={}", line.replace('\n', " ")));
    }

    fn tell(&self, what: &str) {
        if let Some((socket, to)) = &self.to
            && let Err(error) = socket.send_to_addr(what.as_bytes(), to)
        {
            tracing::debug!(%error, "the service manager does not listen");
        }
    }
}

fn address(name: &str) -> std::io::Result<SocketAddr> {
    match name.strip_prefix('@') {
        #[cfg(target_os = "linux")]
        Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name),
        _ => SocketAddr::from_pathname(name),
    }
}

/// Microseconds by the clock that the manager goes by.
fn monotonic_us() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}
