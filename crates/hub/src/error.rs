//! Why a hub cannot start or go on, by blame. What one client does wrong ends that
//! client's stream, never the hub.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use stanchion_stanza::jid::JidError;
use stanchion_transport::tls::TlsConfigError;

use crate::accounts::AccountsError;

/// Why a hub cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The machine: another program has the address. Maybe the hub runs already.
    #[error("{address} is in use; stop what uses it, or take another port (0 for any)")]
    AddressInUse {
        /// The address.
        address: SocketAddr,
    },
    /// The machine: it does not let us listen there.
    #[error("cannot listen on {address}; check the address and your rights")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The machine: the state directory cannot be read or written. Once it runs, the hub
    /// stops on this rather than acknowledge what it cannot keep.
    #[error("cannot use {}; check its permissions and the space on the disk", path.display())]
    State {
        /// The directory or file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The machine: no random bytes.
    #[error("the system gives no random bytes")]
    Entropy(#[source] getrandom::Error),

    /// The directory: another hub has it.
    #[error("another hub uses {}; stop it, or give this one another directory", path.display())]
    StateInUse {
        /// The directory.
        path: PathBuf,
    },
    /// The directory: a file is not what the hub wrote.
    #[error("{} is damaged at byte {offset}; restore it, or move it away to go without it",
        path.display())]
    StateDamaged {
        /// The file.
        path: PathBuf,
        /// Where the fault was seen, in bytes.
        offset: u64,
    },
    /// The directory: its certificate is for another domain.
    #[error("{} is for the domain {found:?}; give this domain another directory",
        path.display())]
    OtherDomain {
        /// The file.
        path: PathBuf,
        /// The domain that it is for.
        found: String,
    },

    /// The caller: no domain that JIDs can have.
    #[error("{domain:?} cannot be a domain of JIDs")]
    Domain {
        /// What was given.
        domain: String,
        /// What is wrong with it.
        source: JidError,
    },
    /// The caller: a domain with a localpart or a resource, or one that no certificate
    /// can name.
    #[error("{domain:?} is no plain domain name or IP address")]
    NotADomain {
        /// What was given.
        domain: String,
    },
    /// The caller: neither of the two addresses is given.
    #[error("there is nowhere to listen; give an address for STARTTLS or for direct TLS")]
    NoListener,
    /// The caller: the component's stream is in the clear, and would leave the machine.
    #[error("components are served on loopback only, not on {address}; give 127.0.0.1 or ::1")]
    ComponentAddress {
        /// What was given.
        address: SocketAddr,
    },
    /// The caller: the hub serves the component's domain itself.
    #[error("{domain:?} is the hub's own; give the component another domain")]
    ComponentDomain {
        /// What was given.
        domain: String,
    },
    /// The caller: anybody on the machine could attach itself.
    #[error("the secret of the component {domain:?} is empty; give one")]
    ComponentSecret {
        /// The component's domain.
        domain: String,
    },
    /// The caller: accounts that cannot be used.
    #[error("the accounts cannot be used")]
    Accounts(#[from] AccountsError),
    /// The certificate could not be made.
    #[error("no certificate could be made for the domain")]
    Certificate(#[source] rcgen::Error),
    /// The certificate or key cannot be used; they may have been replaced by others.
    #[error("the certificate cannot be used; remove it to have a new one made")]
    Tls(#[from] TlsConfigError),
    /// A part of the hub ended by a fault in its own program. Report this.
    #[error("a part of the hub failed; start it again, and report this")]
    Fault,
}
