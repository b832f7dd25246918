//! Connections to a server that can be cut: a port in front of another.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::collector::now;
use crate::failure::{Doing as _, Failure};

/// A relay, running. Dropping it cuts all.
#[derive(Debug)]
pub(crate) struct Relay {
    port: u16,
    /// Raised by one for each cut.
    cuts: watch::Sender<u64>,
    /// Whether connections are let through.
    open: watch::Sender<bool>,
    /// When each connection that was let through began, by the clock of this machine.
    through: watch::Receiver<Vec<Duration>>,
    _tasks: JoinSet<()>,
}

impl Relay {
    /// In front of that port of this machine.
    pub(crate) async fn start(to: u16) -> Result<Self, Failure> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.doing("listen")?;
        let port = listener.local_addr().doing("listen")?.port();
        let (cuts, cut) = watch::channel(0);
        let (open, is_open) = watch::channel(true);
        let (passing, through) = watch::channel(Vec::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, to, cut, is_open, passing));
        Ok(Self {
            port,
            cuts,
            open,
            through,
            _tasks: tasks,
        })
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Cuts every connection that there is.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|n| *n += 1);
    }

    /// Cuts all, and lets nothing through until it is opened.
    pub(crate) fn close(&self) {
        self.open.send_replace(false);
        self.cut();
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    /// When each connection so far began, by the clock of this machine.
    pub(crate) fn connections(&self) -> Vec<Duration> {
        self.through.borrow().clone()
    }
}

async fn accept(
    listener: TcpListener,
    to: u16,
    cut: watch::Receiver<u64>,
    open: watch::Receiver<bool>,
    through: watch::Sender<Vec<Duration>>,
) {
    let to = SocketAddr::from(([127, 0, 0, 1], to));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { return };
                if !*open.borrow() {
                    // A reset, as from a host without a server.
                    let _ = client.set_zero_linger();
                    continue;
                }
                through.send_modify(|all| all.push(now()));
                connections.spawn(pass(client, to, cut.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn pass(mut client: TcpStream, to: SocketAddr, mut cut: watch::Receiver<u64>) {
    cut.mark_unchanged();
    let Ok(mut server) = TcpStream::connect(to).await else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = cut.changed() => {
            let _ = (client.set_zero_linger(), server.set_zero_linger());
        }
    }
}
