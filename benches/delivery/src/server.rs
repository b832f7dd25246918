//! A running server, as it describes itself.

use std::path::PathBuf;

use serde::Deserialize;

/// The server, as far as it matters here.
#[derive(Debug, Deserialize)]
pub struct Server {
    pub domain: String,
    pub ports: Ports,
    pub ca: PathBuf,
    pub users: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
pub struct Ports {
    pub direct_tls: u16,
}

impl Server {
    /// A user's password.
    pub fn password(&self, user: &str) -> Result<&str, String> {
        let password = self.users.get(user).map(String::as_str);
        password.ok_or_else(|| format!("the server has no user {user}"))
    }
}
