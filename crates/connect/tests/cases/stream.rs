//! Streams that do not begin as they should, and servers that end them.

use stanchion_connect::{Kind, Phase, Retry};

use crate::case::{Case, NOT_XMPP, cases, refused, session};
use crate::script::{OPEN, STARTTLS, Server, Step, good, secured, server, then};

const ANSWERED: [Step; 2] = [Step::Header, OPEN];

/// An answer to the stream header.
fn answering(text: &'static str, kind: Kind, retry: Retry) -> Case {
    let servers = [server([Step::Header, Step::Say(text)])];
    refused(servers, kind, retry, &[Phase::Stream])
}

fn saying(text: &'static str) -> Server {
    server([Step::Header, OPEN, Step::Say(text)])
}

/// A stream error in answer to the stream header.
fn ending(text: &'static str, kind: Kind, retry: Retry) -> Case {
    refused([saying(text)], kind, retry, &[Phase::Stream])
}

/// The same with the condition alone.
macro_rules! condition {
    ($condition:literal) => {
        condition!($condition, "")
    };
    ($condition:literal, $text:literal) => {
        concat!(
            "<stream:error><",
            $condition,
            " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>",
            $text,
            "</stream:error></stream:stream>"
        )
    };
}

fn redirecting(to: &'static str) -> Server {
    saying(to)
}

cases! { "Stream",
    a_server_that_accepts_and_hangs_is_told_at_the_deadline:
        refused([server([Step::Hang])], Kind::Network, Retry::Later, &[Phase::Stream])
            .hanging(Phase::Stream, 1)
            .says(&["stream header and features: no answer within 1 s"]),
    a_server_that_hangs_after_its_header_is_told_at_the_deadline:
        refused(
            [server(then(ANSWERED.to_vec(), &[Step::Hang]))],
            Kind::Network,
            Retry::Later,
            &[Phase::Stream],
        )
            .hanging(Phase::Stream, 1)
            .says(&["no answer within 1 s"]),
    half_a_list_of_features_and_a_hang_is_told_at_the_deadline:
        refused(
            [server([
                Step::Header,
                OPEN,
                Step::Say("<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xm"),
                Step::Hang,
            ])],
            Kind::Network,
            Retry::Later,
            &[Phase::Stream],
        )
            .hanging(Phase::Stream, 1)
            .says(&["no answer within 1 s"]),
    half_a_list_of_features_and_an_end_is_told_as_such:
        refused(
            [saying("<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xm")],
            Kind::Network,
            Retry::Later,
            &[Phase::Stream],
        )
            .says(&["ended inside a stanza"]),
    a_server_that_closes_without_a_word_is_told_as_such:
        refused([server([Step::Hear])], Kind::Network, Retry::Later, &[Phase::Stream])
            .says(&["closed the connection"]),
    a_stream_that_is_closed_at_once_is_told_as_such:
        refused([saying("</stream:stream>")], Kind::Network, Retry::Later, &[Phase::Stream])
            .says(&["ended before there was a session"]),
    no_features_but_a_stanza_breaks_the_protocol:
        refused([saying("<message/>")], Kind::Peer, Retry::Never, &[Phase::Stream])
            .says(&["<message xmlns='jabber:client'/>", "stream features", "RFC 6120"]),
    what_is_no_xml_breaks_the_protocol:
        refused(
            [saying("<stream:features><a></b></stream:features>")],
            Kind::Peer,
            Retry::Never,
            &[Phase::Stream],
        )
            .says(&["not well-formed"]),
    another_root_element_is_told_as_such:
        refused(
            [server([Step::Header, Step::Say("<?xml version='1.0'?><feed xmlns='http://www.w3.org/2005/Atom'>")])],
            NOT_XMPP.0,
            NOT_XMPP.1,
            &[Phase::Stream],
        )
            .says(&["127.0.0.1:PORT1 answers with something", "the root element is not <stream:stream/>"]),
    a_stream_for_servers_is_told_as_such:
        answering(
            "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
             id='1' from='example.org' version='1.0'><stream:features/>",
            Kind::Peer,
            Retry::Never,
        )
            .says(&["the port may be for servers"]),
    a_stream_without_a_version_is_too_old:
        answering(
            "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
             id='1' from='example.org'>",
            Kind::Peer,
            Retry::Never,
        )
            .says(&["does not speak XMPP 1.0"]),
    a_server_that_answers_as_another_domain_is_told_with_both:
        answering(
            "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
             id='1' from='elsewhere.example' version='1.0'><stream:features/>",
            Kind::Peer,
            Retry::Never,
        )
            .says(&["asked for example.org", "elsewhere.example"]),
    a_domain_that_is_not_served_is_told_as_such:
        ending(condition!("host-unknown"), Kind::Network, Retry::AfterUser)
            .says(&["host-unknown", "check the address"]),
    a_server_that_shuts_down_is_tried_later:
        ending(condition!("system-shutdown"), Kind::Network, Retry::Later)
            .says(&["system-shutdown", "try later"]),
    a_server_without_resources_is_tried_later:
        ending(condition!("resource-constraint"), Kind::Network, Retry::Later)
            .says(&["resource-constraint", "try later"]),
    a_server_that_throttles_is_quoted:
        ending(
            condition!(
                "policy-violation",
                "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>Too many (20) failed \
                 authentications from this IP address</text>"
            ),
            Kind::Network,
            Retry::Later,
        )
            .says(&["policy-violation", "Too many (20) failed"]),
    a_servers_words_cannot_flood_or_steer_the_terminal:
        ending(
            condition!(
                "undefined-condition",
                "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>&#x9b;2J\n\
                 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
                 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
                 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
                 the end</text>"
            ),
            Kind::Network,
            Retry::Later,
        )
            .says(&["undefined-condition:  2J aaa", "…; try later"]),
    a_conflict_is_not_fought_over:
        ending(condition!("conflict"), Kind::Authentication, Retry::AfterUser)
            .says(&["conflict", "its own resource"]),
    a_redirection_is_followed:
        session(
            [
                redirecting(concat!(
                    "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>",
                    "127.0.0.1:PORT2</see-other-host></stream:error></stream:stream>"
                )),
                server(good()).unlisted(),
            ],
            &[],
        )
            .visiting(&[1, 1])
            .says(&["a session at 127.0.0.1:PORT2"]),
    a_circle_of_redirections_is_left:
        refused(
            [
                redirecting(concat!(
                    "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>",
                    "127.0.0.1:PORT2</see-other-host></stream:error></stream:stream>"
                )),
                redirecting(concat!(
                    "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>",
                    "127.0.0.1:PORT1</see-other-host></stream:error></stream:stream>"
                )).unlisted(),
            ],
            Kind::Network,
            Retry::AfterUser,
            &[Phase::Stream],
        )
            .visiting(&[2, 2])
            .says(&["redirects more than 3 times"]),
    a_redirection_to_no_place_is_told_with_the_place:
        ending(
            "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>\
             example.org:port</see-other-host></stream:error></stream:stream>",
            Kind::Network,
            Retry::AfterUser,
        )
            .says(&["see-other-host", "example.org:port"]),
    features_without_end_are_cut_off:
        refused(
            [server([
                Step::Header,
                OPEN,
                Step::Say("<stream:features>"),
                Step::Flood("<mechanism>NONE</mechanism>", 20_000),
                Step::Hang,
            ])],
            Kind::Peer,
            Retry::Never,
            &[Phase::Stream],
        )
            .says(&["more than 262144 bytes"]),
    a_stream_behind_tls_that_hangs_is_told_at_the_deadline:
        refused(
            [server(then(secured(), &[Step::Hang]))],
            Kind::Network,
            Retry::Later,
            &[Phase::Stream],
        )
            .hanging(Phase::Stream, 1)
            .says(&["stream header and features: no answer within 1 s"]),
    a_server_that_trickles_gains_no_time:
        refused(
            [server([
                Step::Header,
                OPEN,
                Step::Trickle,
            ])],
            Kind::Network,
            Retry::Later,
            &[Phase::Stream],
        )
            .hanging(Phase::Stream, 1)
            .says(&["no answer within 1 s"]),
    a_server_that_hangs_at_starttls_is_told_at_the_deadline:
        refused(
            [server([Step::Header, OPEN, STARTTLS, Step::Hang])],
            Kind::Network,
            Retry::Later,
            &[Phase::StartTls],
        )
            .hanging(Phase::StartTls, 1)
            .says(&["STARTTLS: no answer within 1 s"]),
}
