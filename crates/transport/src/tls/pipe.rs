//! A finished TLS session as a transport, and what is told of it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::{ConnectionCommon, HandshakeKind, ProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use super::binding::bindings;
use super::certificate::PeerCertificate;
use crate::pipe::{BoxTransport, Transport};
use crate::security::{Fingerprint, Handshake, Security, TlsInfo, TlsVersion, Trust};
use crate::traffic::Traffic;

/// What only the side that did the handshake knows.
pub(super) struct Side<'a> {
    pub(super) trust: Trust,
    pub(super) client_certificate: bool,
    /// In DER.
    pub(super) server_certificate: Option<&'a [u8]>,
}

/// Describes a session whose handshake is finished.
pub(super) fn describe<D>(connection: &ConnectionCommon<D>, side: Side<'_>) -> Security {
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => TlsVersion::Tls13,
        _ => TlsVersion::Tls12,
    };
    let peer = connection.peer_certificates().and_then(<[_]>::first);
    Security {
        tls: Some(TlsInfo {
            version,
            cipher: connection
                .negotiated_cipher_suite()
                .and_then(|suite| suite.suite().as_str().map(str::to_owned))
                .unwrap_or_default(),
            trust: side.trust,
            peer_sha256: peer.map(|der| Fingerprint::of(der)),
            peer_certificate: peer.and_then(|der| PeerCertificate::read(der).map(Arc::new)),
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
            client_certificate: side.client_certificate,
            handshake: match connection.handshake_kind() {
                Some(HandshakeKind::Resumed) => Handshake::Resumed,
                Some(HandshakeKind::FullWithHelloRetryRequest) => Handshake::FullWithRetry,
                Some(HandshakeKind::Full) | None => Handshake::Full,
            },
        }),
        bindings: bindings(connection, side.server_certificate),
    }
}

pub(super) struct TlsPipe {
    pub(super) stream: TlsStream<BoxTransport>,
    pub(super) security: Security,
}

impl Transport for TlsPipe {
    fn security(&self) -> &Security {
        &self.security
    }

    fn traffic(&self) -> Traffic {
        self.stream.get_ref().0.traffic()
    }
}

impl AsyncRead for TlsPipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            // No close_notify. Many peers leave it out, and a cut stream is told by its
            // missing closing tag (RFC 6120 §4.4), so nothing is lost by reading on.
            Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            other => other,
        }
    }
}

impl AsyncWrite for TlsPipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
