//! Certificates that are not to be believed, and handshakes that fail.

use stanchion_connect::{Kind, Phase, Retry};

use crate::case::{Case, NOT_XMPP, cases, refused};
use crate::script::{Certificate, OPEN, Step, proceeding, server, then};

/// A TLS record with a fatal alert (RFC 8446 §6).
const HANDSHAKE_FAILURE: &[u8] = &[21, 3, 3, 0, 2, 2, 40];
const PROTOCOL_VERSION: &[u8] = &[21, 3, 1, 0, 2, 2, 70];
const UNRECOGNIZED_NAME: &[u8] = &[21, 3, 3, 0, 2, 2, 112];

/// A ServerHello of TLS 1.0 (RFC 2246 §7.4.1.3), with a random of spaces, no session and
/// the cipher suite TLS_RSA_WITH_AES_128_CBC_SHA.
const OLD_HELLO: &[u8] = b"\x16\x03\x01\0\x2a\x02\0\0\x26\x03\x01\
    \x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\
    \x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\0\0\x2f\0";

fn showing(certificate: Certificate) -> Case {
    let servers = [server(then(proceeding(), &[Step::Tls(certificate)]))];
    refused(servers, Kind::Security, Retry::AfterUser, &[Phase::Tls])
}

/// Bytes instead of a handshake, at once or after STARTTLS.
fn answering(bytes: &'static [u8], kind: Kind, retry: Retry) -> Case {
    let steps = [Step::Hear, Step::Tell(bytes)];
    refused([server(steps).direct()], kind, retry, &[Phase::Tls])
}

cases! { "TLS",
    a_certificate_for_another_name_tells_both_names:
        showing(Certificate::Names(&["elsewhere.example", "b.example"]))
            .says(&["not for example.org, but for elsewhere.example, b.example"]),
    an_expired_certificate_tells_its_last_day:
        showing(Certificate::Expired).says(&["expired on 2020-01-01"]),
    a_certificate_of_the_future_tells_its_first_day:
        showing(Certificate::Future).says(&["valid only from 2100-01-01", "clock"]),
    a_self_signed_certificate_is_told_as_such:
        showing(Certificate::SelfSigned(&["example.org"])).says(&["self-signed", "FINGERPRINT"]),
    a_certificate_of_an_unknown_authority_is_told_as_such:
        showing(Certificate::Stranger(&["example.org"]))
            .says(&["unknown issuer", "FINGERPRINT"]),
    a_wrong_certificate_is_found_on_direct_tls_too:
        refused(
            [server([Step::Tls(Certificate::Names(&["elsewhere.example"]))]).direct()],
            Kind::Security,
            Retry::AfterUser,
            &[Phase::Tls],
        )
            .says(&["not for example.org, but for elsewhere.example"]),
    an_alert_is_named:
        answering(HANDSHAKE_FAILURE, Kind::Security, Retry::AfterUser)
            .says(&["HandshakeFailure"]),
    a_server_that_does_not_know_the_name_is_told_as_such:
        answering(UNRECOGNIZED_NAME, Kind::Security, Retry::AfterUser)
            .says(&["UnrecognisedName"]),
    a_server_that_refuses_new_versions_is_too_old:
        answering(PROTOCOL_VERSION, Kind::Security, Retry::AfterUser)
            .says(&["no allowed version of TLS"]),
    a_server_that_answers_in_an_old_version_is_too_old:
        answering(OLD_HELLO, Kind::Security, Retry::AfterUser)
            .says(&["no allowed version of TLS"]),
    a_stream_in_the_clear_on_the_port_of_direct_tls_is_told_as_such:
        refused(
            [server([Step::Hear, Step::Tell(
                b"<?xml version='1.0'?><stream:stream from='example.org' id='s' version='1.0' \
                  xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>\
                  <stream:error><not-well-formed xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
                  </stream:error></stream:stream>",
            )]).direct()],
            Kind::Security,
            Retry::AfterUser,
            &[Phase::Tls],
        )
            .says(&["does not speak TLS", "STARTTLS"]),
    tls_on_the_port_of_starttls_is_told_as_such:
        refused(
            [server([Step::Hear, Step::Tell(PROTOCOL_VERSION)])],
            NOT_XMPP.0,
            NOT_XMPP.1,
            &[Phase::Stream],
        )
            .says(&["127.0.0.1:PORT1 answers with TLS", "direct TLS"]),
    a_handshake_that_hangs_is_told_at_the_deadline:
        refused(
            [server(then(proceeding(), &[Step::Hang]))],
            Kind::Network,
            Retry::Later,
            &[Phase::Tls],
        )
            .hanging(Phase::Tls, 1)
            .says(&["TLS handshake: no answer within 1 s"]),
    a_handshake_of_direct_tls_that_hangs_is_told_at_the_deadline:
        refused([server([Step::Hang]).direct()], Kind::Network, Retry::Later, &[Phase::Tls])
            .hanging(Phase::Tls, 1)
            .says(&["TLS handshake: no answer within 1 s"]),
    a_handshake_that_breaks_off_is_the_networks:
        refused([server([Step::Hear]).direct()], Kind::Network, Retry::Later, &[Phase::Tls])
            .says(&["closed the connection during the TLS handshake"]),
    a_stream_that_hangs_behind_the_handshake_is_told_at_the_deadline:
        refused(
            [server([Step::Tls(Certificate::Good), Step::Header, OPEN, Step::Hang]).direct()],
            Kind::Network,
            Retry::Later,
            &[Phase::Stream],
        )
            .hanging(Phase::Stream, 1)
            .says(&["stream header and features: no answer within 1 s"]),
}
