//! Programs of other people, started for one test and ended with it.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The Python that has the peers installed: see docs/testing.md.
pub(crate) fn python() -> PathBuf {
    let python = std::env::var_os("STANCHION_PEERS");
    python
        .expect("STANCHION_PEERS: run `cargo xtask test --only interop`")
        .into()
}

/// A program, as long as this lives.
#[derive(Debug)]
pub(crate) struct Peer(Child);

impl Peer {
    /// Starts it, without anything to read.
    pub(crate) fn start<A: AsRef<OsStr>>(program: impl AsRef<OsStr>, words: &[A]) -> Self {
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// Ends it as a power failure would.
    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that is free on loopback at the moment.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Resolves once somebody listens there.
pub(crate) async fn listening(port: u16) {
    let listens = async {
        while tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), listens)
        .await
        .expect("nobody listens there");
}
