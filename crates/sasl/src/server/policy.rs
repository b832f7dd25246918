//! What a server offers and accepts on all its connections.
//!
//! Owns the settings and the secret that hides which users exist. What of it a
//! connection is offered is decided in [`crate::server`].

use secrecy::{ExposeSecret, SecretSlice};
use std::fmt;

use crate::mechanism::Mechanism;

/// What a server offers and accepts. The same for all its connections.
#[derive(Clone)]
pub struct ServerPolicy {
    /// What may be offered; the connection decides what of it is. Default: all
    /// SCRAM mechanisms, PLAIN and EXTERNAL, not ANONYMOUS.
    pub mechanisms: Vec<Mechanism>,
    /// **Dangerous.** Offers PLAIN also without TLS. Default `false`.
    pub allow_plain_without_tls: bool,
    /// Sends the hash over the offer (XEP-0474). Default `true`. Turn it off if
    /// the features list more mechanisms or bindings than [`ServerAuth`](super::ServerAuth)
    /// tells.
    pub send_offer_hash: bool,
    /// Iterations shown for unknown users: those of the real accounts. Default 10 000.
    pub iterations: u32,
    /// How many exchanges may fail on one connection before no more are checked.
    /// Default 5 (RFC 6120 §6.4.5 asks for 2 to 5).
    pub max_failures: u32,
    /// From which the salts of unknown users are made.
    secret: SecretSlice<u8>,
}

impl ServerPolicy {
    /// The defaults, with the server's secret.
    ///
    /// The secret hides which users exist: random bytes, the same over restarts,
    /// told to nobody.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        Self {
            mechanisms: Mechanism::STRONGEST_FIRST
                .into_iter()
                .filter(|m| *m != Mechanism::Anonymous)
                .collect(),
            allow_plain_without_tls: false,
            send_offer_hash: true,
            iterations: 10_000,
            max_failures: 5,
            secret: secret.to_vec().into(),
        }
    }

    pub(crate) fn secret(&self) -> &[u8] {
        self.secret.expose_secret()
    }
}

impl fmt::Debug for ServerPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerPolicy")
            .field("mechanisms", &self.mechanisms)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}
