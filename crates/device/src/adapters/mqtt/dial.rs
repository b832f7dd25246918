//! The way to a broker: TLS of our own, or an address that is near enough to do without.

use std::io;
use std::net::IpAddr;

use stanchion_transport::dial::Dial as _;
use stanchion_transport::tls::Roots;
use stanchion_transport::{
    BoxTransport, Endpoint, Host, TcpDial, TlsConnector, TlsMode, TlsPolicy,
};

use super::config::{Broker, Tls};
use crate::adapter::AdapterError;

/// The way there. Without TLS it ends on this machine or in a private network, or nowhere.
pub(super) async fn dial(broker: &Broker, peer: &str) -> Result<BoxTransport, AdapterError> {
    let failed = |source: stanchion_transport::DialError| {
        let mut causes = source.to_string();
        let mut cause = std::error::Error::source(&source);
        while let Some(error) = cause {
            causes = format!("{causes}: {error}");
            cause = error.source();
        }
        let what = format!("cannot reach the broker {peer}");
        AdapterError::connection(what, io::Error::other(causes))
    };
    let roots = match (&broker.tls, &broker.ca_file) {
        (Tls::On, Some(file)) => vec![Roots::PemFile(file.clone())],
        _ => vec![Roots::WebPki],
    };
    let policy = TlsPolicy::with_roots(roots);
    let tls = TlsConnector::new(&policy)
        .map_err(|error| AdapterError::Misuse(format!("the trusted roots: {error}")))?;
    let dial = TcpDial::new(tls.clone());
    let port = broker.port();
    let host = &broker.host;
    match broker.tls {
        Tls::On => {
            let host_there = match host.parse::<IpAddr>() {
                Ok(ip) => Host::Ip(ip),
                Err(_) => Host::Name(host.clone()),
            };
            // MQTT has no name for itself in ALPN, so none is said.
            let endpoint = Endpoint::new(host_there, port, TlsMode::None);
            let pipe = dial.dial(&endpoint, host).await.map_err(failed)?;
            tls.upgrade(pipe, host).await.map_err(failed)
        }
        Tls::Off => {
            let found = tokio::net::lookup_host((host.as_str(), port)).await;
            let found = found.map_err(|error| {
                AdapterError::connection(format!("the broker {peer} is not found"), error)
            })?;
            let mut last = AdapterError::Misuse(format!(
                "the broker {peer} is not in a private network: without TLS anybody on the way \
                 may read and command; set `tls = \"on\"`"
            ));
            for address in found.filter(|address| is_private(address.ip())) {
                let endpoint = Endpoint::at(address, TlsMode::None);
                match dial.dial(&endpoint, host).await {
                    Ok(pipe) => return Ok(pipe),
                    Err(error) => last = failed(error),
                }
            }
            Err(last)
        }
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || ip.to_ipv4_mapped().is_some_and(|ip| is_private(ip.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_only_private_networks_are_reached() {
        for near in [
            "127.0.0.1",
            "192.168.3.4",
            "::1",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_private(near.parse().unwrap()), "{near}");
        }
        for far in ["8.8.8.8", "2001:db8::1", "::ffff:8.8.8.8", "172.32.0.1"] {
            assert!(!is_private(far.parse().unwrap()), "{far}");
        }
    }
}
