//! A running server, as it describes itself.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// The server, as far as it matters here.
#[derive(Debug, Deserialize)]
pub struct Server {
    pub domain: String,
    pub ports: Ports,
    pub ca: PathBuf,
    pub users: std::collections::BTreeMap<String, String>,
    /// Its process, while it runs.
    pub pid: Option<u32>,
}

#[derive(Debug, Deserialize)]
pub struct Ports {
    pub direct_tls: u16,
}

impl Server {
    /// Processor time of the server's main thread so far, where the system tells it (Linux).
    /// Prosody has no other.
    pub fn processor(&self) -> Option<Duration> {
        let path = format!("/proc/{}/schedstat", self.pid?);
        let told = std::fs::read_to_string(path).ok()?;
        let nanos = told.split(' ').next()?.parse().ok()?;
        Some(Duration::from_nanos(nanos))
    }

    /// What of it was spent since, for each of so many messages, in microseconds.
    pub fn cost_since(&self, before: Option<Duration>, messages: usize) -> Option<f64> {
        let spent = self.processor()?.checked_sub(before?)?;
        Some(spent.as_secs_f64() * 1e6 / messages as f64)
    }

    /// A user's password.
    pub fn password(&self, user: &str) -> Result<&str, String> {
        let password = self.users.get(user).map(String::as_str);
        password.ok_or_else(|| format!("the server has no user {user}"))
    }
}
