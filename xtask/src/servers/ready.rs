//! Waiting until a server answers a stream header with features.

use super::daemon::Daemon;
use super::state::State;
use crate::failure::{Failure, Outcome};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Waits until `daemon`, which serves `state`, answers; at most `limit`.
///
/// # Errors
/// `Failure::Server` with the ends of `logs` when it ended or took too long.
pub(crate) fn wait(daemon: Daemon, state: &State, limit: Duration, logs: &[&Path]) -> Outcome {
    let begin = Instant::now();
    let ports = state.ports;
    loop {
        let others = [ports.direct_tls, ports.http, ports.https];
        if offers_features(ports.starttls, &state.domain) && others.into_iter().all(accepts) {
            return Ok(());
        }
        let why = if !daemon.alive() {
            "ended while it started".to_owned()
        } else if begin.elapsed() > limit {
            format!("did not answer within {} s", limit.as_secs())
        } else {
            sleep(Duration::from_millis(20));
            continue;
        };
        return Err(Failure::Server {
            server: state.kind.name(),
            why,
            logs: logs.iter().map(|path| tail(path)).collect(),
        });
    }
}

/// Whether something listens here. Binding the port to find out might take it
/// from the server at the very moment it wants it.
fn accepts(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Whether the server at this port answers with stream features within 1 s.
fn offers_features(port: u16, domain: &str) -> bool {
    let limit = Duration::from_secs(1);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(mut stream) = TcpStream::connect_timeout(&address, limit) else {
        return false;
    };
    let header = format!(
        "<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' \
         xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
    );
    if stream.set_read_timeout(Some(limit)).is_err() || stream.write_all(header.as_bytes()).is_err()
    {
        return false;
    }
    let mut answer = Vec::new();
    let mut buffer = [0; 2048];
    while answer.len() < 64 * 1024 {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return false,
            Ok(n) => answer.extend_from_slice(&buffer[..n]),
        }
        let text = String::from_utf8_lossy(&answer);
        if text.contains("features>") {
            return !text.contains("<stream:error");
        }
    }
    false
}

/// The last lines of a log, with its path above them.
fn tail(path: &Path) -> String {
    const LINES: usize = 25;
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
    format!("---- {}\n{last}\n", path.display())
}
