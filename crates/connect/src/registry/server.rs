//! One server of the registry: an account, where its servers are, and what is safe
//! enough there.

use secrecy::ExposeSecret as _;
use stanchion_sasl::{Credentials, Policy};
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

    /// Whether a login here could end otherwise than at `other`: the account, its
    /// credentials, the place or a policy is another. The priority does not matter.
    #[must_use]
    pub fn logs_in_like(&self, other: &Self) -> bool {
        let shown = |tls: &TlsPolicy| tls.client_certificate.as_ref().map(|c| c.sha256());
        self.account.jid == other.account.jid
            && self.account.resource == other.account.resource
            && same(&self.account.credentials, &other.account.credentials)
            && self.endpoints == other.endpoints
            && self.sasl == other.sasl
            && self.plaintext == other.plaintext
            && self.tls.roots == other.tls.roots
            && self.tls.pin == other.tls.pin
            && self.tls.min_version == other.tls.min_version
            && shown(&self.tls) == shown(&other.tls)
    }
}

fn same(one: &Credentials, other: &Credentials) -> bool {
    use Credentials::{Anonymous, Certificate, Password};
    match (one, other) {
        (
            Password {
                authcid,
                password,
                authzid,
            },
            Password {
                authcid: other_authcid,
                password: other_password,
                authzid: other_authzid,
            },
        ) => {
            // Both are this device's own: there is nobody to learn from the time it takes.
            authcid == other_authcid
                && password.expose_secret() == other_password.expose_secret()
                && authzid == other_authzid
        }
        (Certificate { authzid }, Certificate { authzid: other }) => authzid == other,
        (Anonymous, Anonymous) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_password_or_policy_makes_another_login_and_another_priority_does_not() {
        let account = |password| Account::with_password("a@b.example".parse().unwrap(), password);
        let server = Server::new(account("secret"));
        let mut changed = server.clone();
        changed.priority = 9;
        assert!(server.logs_in_like(&changed));
        assert!(!server.logs_in_like(&Server::new(account("other"))));
        changed.sasl.allow_plain_without_tls = true;
        assert!(!server.logs_in_like(&changed));
        let anonymous = Account {
            credentials: Credentials::Anonymous,
            ..account("secret")
        };
        assert!(!server.logs_in_like(&Server::new(anonymous)));
    }
}
