//! The server's side of TLS. Certificates per domain (SNI) are not here: one acceptor
//! has one identity.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor as Handshake;

use super::connector::versions;
use super::error::TlsConfigError;
use super::error::TlsError;
use super::identity::Identity;
use super::pipe::{Side, TlsPipe, describe};
use super::policy::{LoadedRoots, Roots};
use super::verify::PinnedClient;
use super::{ALPN_CLIENT, provider};
use crate::pipe::BoxTransport;
use crate::security::{Fingerprint, TlsVersion, Trust};

/// Does the server's handshakes, direct and after STARTTLS alike: it agrees to ALPN
/// `xmpp-client` if the client offers it. Speaks TLS 1.2 and later, and remembers
/// 256 sessions to resume. Clones share them.
#[derive(Clone)]
pub struct TlsAcceptor {
    config: Arc<ServerConfig>,
    identity: Identity,
    /// What a client that shows a certificate is believed by.
    shown: Trust,
}

/// Which clients are asked for a certificate.
enum Clients<'a> {
    /// None.
    Unasked,
    /// All, for one from there.
    From(&'a [Roots]),
    /// All, for that one.
    Pinned(Fingerprint),
}

impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAcceptor")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl TlsAcceptor {
    /// An acceptor that asks no client for a certificate.
    ///
    /// # Errors
    /// [`TlsConfigError::Refused`].
    pub fn new(identity: Identity) -> Result<Self, TlsConfigError> {
        Self::build(identity, Clients::Unasked)
    }

    /// An acceptor that asks clients for a certificate from one of `roots`, and takes
    /// those without one as well (XEP-0178 §2). A wrong one fails the handshake.
    ///
    /// # Errors
    /// [`TlsConfigError`], also of the roots.
    pub fn requesting_clients(identity: Identity, roots: &[Roots]) -> Result<Self, TlsConfigError> {
        Self::build(identity, Clients::From(roots))
    }

    /// An acceptor for one client alone: it has to show exactly the certificate `pin`,
    /// whoever issued it, whatever it names and whenever it expires, and to prove that it
    /// holds the key ([`Trust::Pin`]). Any other, and none, fails the handshake.
    ///
    /// # Errors
    /// [`TlsConfigError::Refused`].
    pub fn pinned_client(identity: Identity, pin: Fingerprint) -> Result<Self, TlsConfigError> {
        Self::build(identity, Clients::Pinned(pin))
    }

    fn build(identity: Identity, clients: Clients<'_>) -> Result<Self, TlsConfigError> {
        let provider = provider();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions(TlsVersion::Tls12))
            .map_err(TlsConfigError::Refused)?;
        let shown = match clients {
            Clients::Pinned(_) => Trust::Pin,
            Clients::Unasked | Clients::From(_) => Trust::Chain,
        };
        let builder = match clients {
            Clients::Unasked => builder.with_no_client_auth(),
            Clients::Pinned(pin) => {
                let algorithms = provider.signature_verification_algorithms;
                let verifier = Arc::new(PinnedClient { pin, algorithms });
                builder.with_client_cert_verifier(verifier)
            }
            Clients::From(roots) => {
                let roots = Arc::new(LoadedRoots::load(roots)?.store);
                // Fails without a root that may issue.
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                    .allow_unauthenticated()
                    .build()
                    .map_err(|_| TlsConfigError::NoRoots)?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_cert_resolver(identity.resolver());
        config.alpn_protocols = vec![ALPN_CLIENT.to_vec()];
        config.max_early_data_size = 0;
        Ok(Self {
            config: Arc::new(config),
            identity,
            shown,
        })
    }

    /// SHA-256 of the certificate that clients may pin.
    #[must_use]
    pub fn sha256(&self) -> Fingerprint {
        self.identity.sha256()
    }

    /// The server's handshake over a connected pipe: at once for direct TLS, or after
    /// `<proceed/>` was written (RFC 6120 §5.4.2.3). Deadlines are the caller's.
    ///
    /// # Errors
    /// [`TlsError`]; the pipe is dropped.
    pub async fn upgrade(&self, pipe: BoxTransport) -> Result<BoxTransport, TlsError> {
        let stream = Handshake::from(Arc::clone(&self.config))
            .accept(pipe)
            .await?;
        let connection = stream.get_ref().1;
        let shown = connection.peer_certificates().is_some();
        let side = Side {
            trust: if shown { self.shown } else { Trust::Anonymous },
            client_certificate: shown,
            server_certificate: Some(self.identity.end_entity()),
        };
        let security = describe(connection, side);
        Ok(Box::new(TlsPipe {
            stream: stream.into(),
            security,
        }))
    }
}
