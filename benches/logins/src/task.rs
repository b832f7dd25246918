//! What a client is told: which way to log in, where, as whom, how often.

use clap::{Args, ValueEnum};

/// A way to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// Ours: a new connector each time, which knows nothing of the server.
    OursNew,
    /// Ours: the connector is kept, as a device does.
    Ours,
    /// The same, and a token instead of the password where the server gives one (FAST).
    OursFast,
    /// tokio-xmpp.
    TokioXmpp,
}

/// What a client is told.
#[derive(Debug, Clone, Args)]
pub struct Task {
    /// Which
    #[arg(long)]
    pub way: Way,
    /// The port of the relay
    #[arg(long)]
    pub port: u16,
    /// TLS from the first byte
    #[arg(long)]
    pub direct: bool,
    /// The account
    #[arg(long)]
    pub jid: String,
    /// Its password: an account of a test server
    #[arg(long)]
    pub password: String,
    /// Whom to trust, in PEM
    #[arg(long)]
    pub ca: std::path::PathBuf,
    /// How many logins
    #[arg(long)]
    pub count: usize,
}
