//! Captive portals: networks that answer themselves until somebody logs in to them.

use stanchion_connect::{Kind, Phase, Retry};

use crate::case::{Case, NOT_XMPP, cases, refused};
use crate::script::{Certificate, Step, server};

const REDIRECT: &[u8] = b"HTTP/1.1 302 Found\r\nLocation: http://login.portal.example/\r\n\
    Content-Length: 0\r\nConnection: close\r\n\r\n";
const BAD_REQUEST: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\
    Connection: close\r\n\r\n<html><body><h1>400 Bad Request</h1></body></html>\r\n";
const PAGE: &[u8] = b"<!DOCTYPE html><html><head><title>Welcome</title></head></html>";

/// Bytes in answer to the stream header.
fn answering(bytes: &'static [u8]) -> Case {
    let servers = [server([Step::Hear, Step::Tell(bytes)])];
    refused(servers, NOT_XMPP.0, NOT_XMPP.1, &[Phase::Stream])
}

cases! { "Captive portal",
    http_on_the_port_of_starttls_is_told_as_such:
        answering(BAD_REQUEST).says(&["127.0.0.1:PORT1 answers with HTTP", "captive portal", "HTTP/1.1 400 Bad Request"]),
    a_redirect_of_http_is_told_as_such:
        answering(REDIRECT).says(&["127.0.0.1:PORT1 answers with HTTP", "HTTP/1.1 302 Found"]),
    a_bare_page_is_told_as_such:
        answering(PAGE).says(&["127.0.0.1:PORT1 answers with HTTP"]),
    http_on_the_port_of_direct_tls_is_told_as_such:
        refused(
            [server([Step::Hear, Step::Tell(BAD_REQUEST)]).direct()],
            Kind::Security,
            Retry::AfterUser,
            &[Phase::Tls],
        )
            .says(&["does not speak TLS"]),
    a_portals_self_signed_certificate_is_refused:
        refused(
            [server([Step::Tls(Certificate::SelfSigned(&["login.portal.example"]))]).direct()],
            Kind::Security,
            Retry::AfterUser,
            &[Phase::Tls],
        )
            .says(&["self-signed", "login.portal.example"]),
    a_portals_proper_certificate_is_refused:
        refused(
            [server([Step::Tls(Certificate::Names(&["login.portal.example"]))]).direct()],
            Kind::Security,
            Retry::AfterUser,
            &[Phase::Tls],
        )
            .says(&["not for example.org, but for login.portal.example"]),
}
