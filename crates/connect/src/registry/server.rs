//! One server of the registry: an account, where its servers are, and what is safe
//! enough there.

use stanchion_sasl::Policy;
use stanchion_transport::TlsPolicy;

use crate::config::{Account, ConnectConfig, Endpoints, Plaintext};

/// A server that a device may use.
#[derive(Debug, Clone)]
pub struct Server {
    /// Whose session it gives. Its bare address names the server in the registry.
    pub account: Account,
    /// Where it is. Default: in DNS.
    pub endpoints: Endpoints,
    /// Whom to trust there. Default: the certificate authorities of the Web.
    pub tls: TlsPolicy,
    /// Which mechanisms are good enough there. [`Policy::pinned`] is not taken from here
    /// but from what is remembered.
    pub sasl: Policy,
    /// Whether it may do without TLS. Default: never.
    pub plaintext: Plaintext,
    /// Lower comes first. Servers of one priority are taken by their health. Default 0.
    pub priority: u16,
}

impl Server {
    /// A server with the defaults.
    #[must_use]
    pub fn new(account: Account) -> Self {
        Self {
            account,
            endpoints: Endpoints::default(),
            tls: TlsPolicy::default(),
            sasl: Policy::default(),
            plaintext: Plaintext::default(),
            priority: 0,
        }
    }

    /// `common`, with what is particular to this server.
    #[must_use]
    pub fn config(&self, common: &ConnectConfig) -> ConnectConfig {
        ConnectConfig {
            endpoints: self.endpoints.clone(),
            tls: self.tls.clone(),
            sasl: self.sasl.clone(),
            plaintext: self.plaintext,
            ..common.clone()
        }
    }
}
