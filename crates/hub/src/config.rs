//! What a hub is started with. Bounds are in `limits`, accounts in `accounts`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::accounts::Accounts;
use crate::limits::HubLimits;

/// What a hub is started with. The default serves `localhost` on the loopback
/// interface, ports 5222 and 5223, without accounts and without state on disk.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// The domain that is served: the part of its accounts' JIDs behind `@`. A name, not
    /// necessarily one that resolves. Default `localhost`.
    pub domain: String,
    /// Where to listen for streams that begin with STARTTLS (RFC 6120 §5), port 0 for
    /// any free one. Default 127.0.0.1:5222. To serve a network, give an address of it.
    pub starttls: Option<SocketAddr>,
    /// Where to listen for streams inside TLS (XEP-0368). Default 127.0.0.1:5223.
    pub direct_tls: Option<SocketAddr>,
    /// A directory for the certificate, offline messages, archives, rosters, whom accounts
    /// block, rooms and publish/subscribe nodes, made if need be, for one hub at a time. `None`
    /// (the default) keeps all in memory: the certificate is another one after each start.
    pub state: Option<PathBuf>,
    /// Who may log in. Default: nobody.
    pub accounts: Accounts,
    /// Whether to offer PLAIN too, inside TLS, for clients that know no SCRAM. Default
    /// false: with PLAIN, the hub sees passwords.
    pub plain: bool,
    /// Whether to offer SCRAM bound to the TLS connection (`-PLUS`). Default true. Clients
    /// that know only the binding `tls-unique`, and use it where it does not exist
    /// (TLS 1.3; slixmpp 1.8 is one), cannot log in then, bound or not: RFC 5802 §6 has
    /// the hub refuse who claims that nothing was offered. For them, set it to false.
    pub channel_binding: bool,
    /// Whether anybody may make an account, inside TLS and before a login (XEP-0077 §3.1),
    /// up to [`HubLimits::registered`] of them. Default false. Such accounts are in memory
    /// only, and go with the hub. Their clients may change their passwords and end them
    /// (§3.3, §3.2); those of [`HubConfig::accounts`] are whose file they stand in.
    pub registration: bool,
    /// The component that may attach itself, if any. Default: none.
    pub component: Option<ComponentConfig>,
    /// The bounds.
    pub limits: HubLimits,
    /// For how long a session waits for its client to resume it (XEP-0198 §5), in whole
    /// seconds; 0: not at all. A client may ask for less. Default 300 s.
    pub resume_timeout: Duration,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            domain: String::from("localhost"),
            starttls: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 5222))),
            direct_tls: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 5223))),
            state: None,
            accounts: Accounts::new(),
            plain: false,
            channel_binding: true,
            registration: false,
            component: None,
            limits: HubLimits::default(),
            resume_timeout: Duration::from_secs(300),
        }
    }
}

/// A component: a program that is a whole domain beside the hub's, attached to it by a
/// secret that both know (XEP-0114).
///
/// It speaks as any address of its domain, and gets what is for any of them, unless it is
/// not there: who sends to it then hears `recipient-unavailable`, at once. It has neither
/// presence nor roster at the hub: presence goes to it and from it with a recipient only,
/// subscriptions are refused. It enters no rooms, and of an account the hub tells it
/// nothing.
#[derive(Debug, Clone)]
pub struct ComponentConfig {
    /// Where to listen for it, port 0 for any free one. An address of loopback: the stream
    /// is in the clear.
    pub listen: SocketAddr,
    /// Its domain: not the hub's, nor that of its rooms or of publish/subscribe.
    pub domain: String,
    /// What it has to know. Not empty. Somebody who hears a handshake can try out guesses,
    /// so let it be random, of 16 bytes or more.
    pub secret: SecretString,
}
