//! The client's side of TLS.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, SupportedProtocolVersion};
use tokio_rustls::TlsConnector as Handshake;

use super::error::TlsConfigError;
use super::error::TlsError;
use super::pipe::{Side, TlsPipe, describe};
use super::policy::{LoadedRoots, TlsPolicy};
use super::verify::{Rule, Verifier};
use super::{ALPN_CLIENT, ALPN_HTTP, provider};
use crate::dial::DialError;
use crate::endpoint::Endpoint;
use crate::pipe::BoxTransport;
use crate::security::{TlsVersion, Trust};

/// Does the client's handshakes under one [`TlsPolicy`]. It holds the roots, and the
/// sessions to resume: make one for the process. Clones share both.
#[derive(Clone)]
pub struct TlsConnector {
    direct: Arc<ClientConfig>,
    starttls: Arc<ClientConfig>,
    websocket: Arc<ClientConfig>,
    trust: Trust,
    client_certificate: bool,
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConnector")
            .field("trust", &self.trust)
            .field("client_certificate", &self.client_certificate)
            .finish_non_exhaustive()
    }
}

impl TlsConnector {
    /// Reads the roots, which may block on files.
    ///
    /// # Errors
    /// [`TlsConfigError`] if the policy cannot be followed.
    pub fn new(policy: &TlsPolicy) -> Result<Self, TlsConfigError> {
        let provider = provider();
        let algorithms = provider.signature_verification_algorithms;
        let rule = match policy.pin {
            Some(pin) => Rule::Pin(pin),
            None => {
                let roots = LoadedRoots::load(&policy.roots)?;
                let store = (!roots.store.is_empty()).then(|| Arc::new(roots.store));
                let webpki = store
                    .map(|store| {
                        WebPkiServerVerifier::builder_with_provider(store, Arc::clone(&provider))
                            .build()
                            .map_err(|_| TlsConfigError::NoRoots)
                    })
                    .transpose()?;
                Rule::Chain {
                    webpki,
                    trusted: roots.given,
                }
            }
        };
        let verifier = Arc::new(Verifier { rule, algorithms });
        let config = |alpn| config(policy, &provider, &verifier, alpn);
        Ok(Self {
            direct: config(vec![ALPN_CLIENT.to_vec()])?,
            // The stream itself has said what it speaks.
            starttls: config(Vec::new())?,
            websocket: config(vec![ALPN_HTTP.to_vec()])?,
            trust: policy.pin.map_or(Trust::Chain, |_| Trust::Pin),
            client_certificate: policy.client_certificate.is_some(),
        })
    }

    /// TLS from the first byte on, with ALPN `xmpp-client` (XEP-0368). The certificate
    /// is checked against `domain`, which may be an internationalised name, or an IP
    /// address (IPv6 with or without brackets).
    ///
    /// # Errors
    /// [`DialError::Tls`]; the pipe is dropped.
    pub async fn direct(
        &self,
        pipe: BoxTransport,
        domain: &str,
    ) -> Result<BoxTransport, DialError> {
        self.handshake(&self.direct, pipe, domain).await
    }

    /// What an endpoint that begins with TLS wants: [`Self::direct`], or for a WebSocket
    /// the same with ALPN `http/1.1` (RFC 7301 §6). The certificate has to be the XMPP
    /// domain's in either case.
    pub(crate) async fn at_once(
        &self,
        pipe: BoxTransport,
        endpoint: &Endpoint,
        domain: &str,
    ) -> Result<BoxTransport, DialError> {
        let config = match endpoint.websocket() {
            Some(_) => &self.websocket,
            None => &self.direct,
        };
        self.handshake(config, pipe, domain).await
    }

    /// TLS after STARTTLS (RFC 6120 §5), without ALPN; else as [`Self::direct`].
    ///
    /// # Errors
    /// [`DialError::Tls`]; the pipe is dropped.
    pub async fn upgrade(
        &self,
        pipe: BoxTransport,
        domain: &str,
    ) -> Result<BoxTransport, DialError> {
        self.handshake(&self.starttls, pipe, domain).await
    }

    async fn handshake(
        &self,
        config: &Arc<ClientConfig>,
        pipe: BoxTransport,
        domain: &str,
    ) -> Result<BoxTransport, DialError> {
        let failed = |source| DialError::Tls {
            domain: domain.to_owned(),
            source,
        };
        let name = server_name(domain).map_err(failed)?;
        let stream = Handshake::from(Arc::clone(config))
            .connect(name, pipe)
            .await
            .map_err(|error| failed(error.into()))?;
        let connection = stream.get_ref().1;
        let side = Side {
            trust: self.trust,
            client_certificate: self.client_certificate,
            server_certificate: connection
                .peer_certificates()
                .and_then(|chain| chain.first())
                .map(|der| &**der),
        };
        let security = describe(connection, side);
        Ok(Box::new(TlsPipe {
            stream: stream.into(),
            security,
        }))
    }
}

fn config(
    policy: &TlsPolicy,
    provider: &Arc<CryptoProvider>,
    verifier: &Arc<Verifier>,
    alpn: Vec<Vec<u8>>,
) -> Result<Arc<ClientConfig>, TlsConfigError> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions(policy.min_version))
        .map_err(TlsConfigError::Refused)?
        // Not a weaker check: webpki's, with better words, or the pin.
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(verifier) as _);
    let mut config = match &policy.client_certificate {
        Some(identity) => builder.with_client_cert_resolver(identity.resolver()),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn;
    config.enable_early_data = false;
    Ok(Arc::new(config))
}

pub(super) fn versions(min: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    use rustls::version::{TLS12, TLS13};
    const NEW: &[&SupportedProtocolVersion] = &[&TLS13];
    const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
    match min {
        TlsVersion::Tls12 => BOTH,
        TlsVersion::Tls13 => NEW,
    }
}

/// The name that a certificate has to have for `domain`.
fn server_name(domain: &str) -> Result<ServerName<'static>, TlsError> {
    let refused = || TlsError::Domain(domain.to_owned());
    let bare = domain
        .strip_prefix('[')
        .and_then(|d| d.strip_suffix(']'))
        .unwrap_or(domain);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(ServerName::from(ip));
    }
    let ascii = if domain.is_ascii() {
        domain.to_owned()
    } else {
        idna::domain_to_ascii_strict(domain).map_err(|_| refused())?
    };
    ServerName::try_from(ascii).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_looked_for_as_a_certificate_writes_it() {
        let name = |domain: &str| server_name(domain).map(|n| n.to_str().into_owned());
        assert_eq!(name("a.example").unwrap(), "a.example");
        assert_eq!(name("bücher.example").unwrap(), "xn--bcher-kva.example");
        assert_eq!(name("192.0.2.7").unwrap(), "192.0.2.7");
        assert_eq!(name("[::1]").unwrap(), "::1");
        assert!(matches!(server_name("[::1]"), Ok(ServerName::IpAddress(_))));
        for wrong in ["", "a b", "[a]", "ü ü", "-"] {
            assert!(
                matches!(server_name(wrong), Err(TlsError::Domain(_))),
                "{wrong}"
            );
        }
    }
}
