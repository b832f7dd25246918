//! WebSockets that are none: what a web server says instead.

use stanchion_connect::config::Plaintext;
use stanchion_connect::{ConnectConfig, Kind, Phase, Retry};

use crate::case::{Case, cases, refused, session};
use crate::script::{Step, good, server};

const MISSING: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<p/>";
const REDIRECT: &[u8] = b"HTTP/1.1 302 Found\r\nLocation: https://login.portal.example/\r\n\
    Content-Length: 0\r\n\r\n";

/// Bytes in answer to the request for a WebSocket.
fn script(bytes: &'static [u8]) -> [Step; 2] {
    [Step::Hear, Step::Tell(bytes)]
}

fn answering(bytes: &'static [u8], retry: Retry) -> Case {
    let servers = [server(script(bytes)).web()];
    refused(servers, Kind::Network, retry, &[Phase::Stream]).tuned(in_the_clear)
}

fn in_the_clear(config: &mut ConnectConfig) {
    config.plaintext = Plaintext::Allow;
}

cases! { "WebSocket",
    a_path_without_a_websocket_is_told_as_such:
        answering(MISSING, Retry::AfterUser)
            .says(&["no WebSocket at ws://127.0.0.1:PORT1/xmpp", "HTTP 404", "check the URI"]),
    a_web_server_that_cannot_serve_now_is_tried_later:
        answering(BUSY, Retry::Later).says(&["HTTP 503", "try later"]),
    a_portals_page_instead_of_a_websocket_is_told_as_such:
        answering(PAGE, Retry::AfterUser).says(&["HTTP 200", "log in to this network by a browser"]),
    a_web_server_that_redirects_is_told_with_the_place:
        answering(REDIRECT, Retry::AfterUser)
            .says(&["HTTP 302", "https://login.portal.example/"]),
    a_web_server_that_closes_instead_is_tried_later:
        refused(
            [server([Step::Hear]).web()],
            Kind::Network,
            Retry::Later,
            &[Phase::Stream],
        )
            .tuned(in_the_clear)
            .says(&["closed the connection during the WebSocket handshake"]),
    a_path_without_a_websocket_leads_to_the_next_server:
        session(
            [server(script(MISSING)).web(), server(good())],
            &[Phase::Stream],
        )
            .tuned(in_the_clear),
}
