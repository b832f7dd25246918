//! What can go wrong among neighbours.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use stanchion_stanza::BareJid;
use stanchion_transport::tls::TlsConfigError;

use super::name::NameError;
use super::trust::No;

/// Why we are not on the local network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Our name cannot stand.
    #[error("the name on the local network cannot be used")]
    Name(#[from] NameError),
    /// A setting cannot be right.
    #[error("{0}")]
    Misuse(String),
    /// The file with our identity cannot be read or written.
    #[error("cannot use {}; check its folder and its permissions", path.display())]
    IdentityFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is something else in it.
    #[error(
        "there is no identity in {}; restore it, or remove it and pair with all neighbours anew",
        path.display()
    )]
    Identity {
        /// Which.
        path: PathBuf,
        /// Why.
        source: TlsConfigError,
    },
    /// No certificate could be made.
    #[error("no certificate could be made")]
    Certificate(#[source] rcgen::Error),
    /// The port cannot be listened on.
    #[error("cannot listen on port {port}; take another, or 0 for any")]
    Listen {
        /// Which.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// The network cannot be looked at.
    #[error("multicast DNS does not work here: is there an interface, and may it be used?")]
    Mdns(#[source] mdns_sd::Error),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Entropy(#[source] getrandom::Error),
    /// A task of ours was ended from outside.
    #[error("the start was interrupted")]
    Interrupted,
}

/// Why there is nothing to be said to a neighbour. It never heard what was to be said, but
/// for [`ContactError::Lost`].
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ContactError {
    /// Nobody of that name is seen.
    #[error("{who} is not seen on the local network")]
    NotSeen {
        /// Who.
        who: BareJid,
    },
    /// It is not to be spoken to.
    #[error("{who} is not spoken to: {why}")]
    Untrusted {
        /// Who.
        who: BareJid,
        /// Why.
        why: No,
    },
    /// Nobody answers where it is said to be.
    #[error("{who} cannot be reached at any of its addresses")]
    Unreachable {
        /// Who.
        who: BareJid,
        /// Of the last address.
        source: Arc<io::Error>,
    },
    /// It has another certificate, does not know ours, or the handshake failed otherwise.
    #[error("no secure stream with {who}: {why}")]
    Insecure {
        /// Who.
        who: BareJid,
        /// What happened, and what to do about it.
        why: String,
    },
    /// It closed the stream, and says why.
    #[error("{who} refuses the stream: {why}")]
    Refused {
        /// Who.
        who: BareJid,
        /// In its words.
        why: String,
    },
    /// It does not keep to the protocol.
    #[error("{who} does not keep to the protocol: {what}")]
    Misbehaves {
        /// Who.
        who: BareJid,
        /// What it did.
        what: String,
    },
    /// The stream was not there in time.
    #[error("there was no stream with {who} within {within:?}")]
    Timeout {
        /// Who.
        who: BareJid,
        /// For how long.
        within: Duration,
    },
    /// The stream was lost. What was handed over shortly before may have arrived.
    #[error("the stream with {who} was lost")]
    Lost {
        /// Who.
        who: BareJid,
    },
    /// Too much waits for it, or too many streams are open.
    #[error("too much waits for {who}: try again later")]
    Busy {
        /// Who.
        who: BareJid,
    },
    /// It cannot be written as a stanza.
    #[error("that is too large for a neighbour, or no stanza")]
    NoStanza,
    /// We are not on the network any more.
    #[error("we are not on the local network any more")]
    Ended,
}
