//! Several servers: which of them are asked, and what is told when none is left.

use stanchion_connect::{Kind, Phase, Retry};

use crate::case::{cases, refused, session};
use crate::script::{
    Certificate, OPEN, Place, Proof, SCRAM, Step, good, nowhere, proceeding, secured, server, then,
};

cases! { "Several servers",
    one_dead_of_three_costs_one_attempt:
        session([nowhere(Place::Closed), server(good()), server(good())], &[Phase::Tcp])
            .visiting(&[0, 1, 0])
            .says(&["a session at 127.0.0.1:PORT2; before, 127.0.0.1:PORT1: nothing listens"]),
    a_black_hole_costs_no_deadline:
        session([nowhere(Place::BlackHole), server(good())], &[])
            .says(&["a session at 127.0.0.1:PORT2"]),
    a_server_that_hangs_in_the_handshake_costs_no_deadline:
        session([server([Step::Hang]).direct(), server(good())], &[])
            .visiting(&[1, 1])
            .says(&["a session at 127.0.0.1:PORT2"]),
    black_holes_alone_are_each_told:
        refused(
            [nowhere(Place::BlackHole), nowhere(Place::BlackHole)],
            Kind::Network,
            Retry::Later,
            &[Phase::Tcp, Phase::Tcp],
        )
            .hanging(Phase::Tcp, 1)
            .says(&["127.0.0.1:PORT1", "127.0.0.1:PORT2", "no answer within 1 s"]),
    when_all_are_dead_each_is_told:
        refused(
            [
                nowhere(Place::Closed),
                nowhere(Place::Closed),
                nowhere(Place::Closed),
            ],
            Kind::Network,
            Retry::Later,
            &[Phase::Tcp, Phase::Tcp, Phase::Tcp],
        )
            .says(&["127.0.0.1:PORT1", "127.0.0.1:PORT2", "127.0.0.1:PORT3"]),
    when_each_fails_in_its_own_way_each_is_told:
        refused(
            [
                nowhere(Place::Closed),
                server(then(proceeding(), &[Step::Tls(Certificate::Expired)])),
                server([Step::Header, OPEN, SCRAM]),
            ],
            Kind::Security,
            Retry::Later,
            &[Phase::Tcp, Phase::Tls, Phase::Stream],
        )
            .says(&["nothing listens", "expired on", "offers no TLS"]),
    a_refused_password_is_shown_to_no_second_server:
        refused(
            [
                server(then(secured(), &[Step::LogIn(Proof::Right)])),
                server(good()),
            ],
            Kind::Authentication,
            Retry::AfterUser,
            &[Phase::Authentication],
        )
            .with_password("wr0ng")
            .visiting(&[1, 0])
            .says(&["not-authorized"]),
    a_temporary_failure_leads_to_the_next_server:
        session(
            [
                server(then(secured(), &[
                    SCRAM,
                    Step::Element,
                    Step::Say(
                        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
                         <temporary-auth-failure/></failure>",
                    ),
                    Step::Hang,
                ])),
                server(good()),
            ],
            &[Phase::Authentication],
        )
            .visiting(&[1, 1])
            .says(&["a session at 127.0.0.1:PORT2", "temporary-auth-failure"]),
    a_server_that_shuts_down_leads_to_the_next:
        session(
            [
                server([
                    Step::Header,
                    OPEN,
                    Step::Say(
                        "<stream:error><system-shutdown \
                         xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>\
                         </stream:stream>",
                    ),
                ]),
                server(good()),
            ],
            &[Phase::Stream],
        )
            .visiting(&[1, 1])
            .says(&["a session at 127.0.0.1:PORT2", "system-shutdown"]),
}
