//! Names that lead nowhere, name servers that fail, and records in their order.

use stanchion_connect::{Kind, Phase, Retry};

use crate::case::{cases, refused, session};
use crate::name_server::{Health, Known, zone};
use crate::script::{Place, good, nowhere, server};

const fn starttls(priority: u16, port_of: usize, target: &'static str) -> Known {
    Known::Srv {
        direct: false,
        priority,
        port_of,
        target,
    }
}

const fn direct(priority: u16, port_of: usize, target: &'static str) -> Known {
    Known::Srv {
        direct: true,
        priority,
        port_of,
        target,
    }
}

const A: Known = Known::Host("a.example.net.", "127.0.0.1");

cases! { "DNS",
    a_domain_that_does_not_exist_is_named:
        refused([], Kind::Network, Retry::AfterUser, &[Phase::Resolve])
            .asking(zone(&[]))
            .says(&["no such host: example.org"]),
    a_domain_without_any_record_is_named:
        refused([], Kind::Network, Retry::AfterUser, &[Phase::Resolve])
            .asking(zone(&[Known::Empty]))
            .says(&["no such host: example.org"]),
    a_name_server_that_fails_is_not_a_name_that_is_missing:
        refused([], Kind::Network, Retry::Later, &[Phase::Resolve])
            .asking(zone(&[]).being(Health::Failing))
            .says(&["example.org", "check the network and its DNS"]),
    a_name_server_that_is_silent_is_told_at_the_deadline:
        refused([], Kind::Network, Retry::Later, &[Phase::Resolve])
            .asking(zone(&[]).being(Health::Silent))
            .hanging(Phase::Resolve, 1)
            .says(&["DNS look-up: no answer within 1 s"]),
    a_name_server_that_recovers_is_asked_again:
        refused([server(good())], Kind::Network, Retry::Later, &[Phase::Resolve])
            .asking(zone(&[starttls(0, 1, "a.example.net."), A]).being(Health::Failing))
            .healing()
            .says(&["check the network and its DNS"]),
    a_domain_that_refuses_the_service_is_told_so:
        refused([], Kind::Network, Retry::AfterUser, &[Phase::Resolve])
            .asking(zone(&[starttls(0, 0, "."), direct(0, 0, ".")]))
            .says(&["example.org says in DNS that it offers no XMPP service"]),
    a_record_of_a_host_without_address_is_told_with_the_host:
        refused([nowhere(Place::Closed)], Kind::Network, Retry::AfterUser, &[Phase::Resolve])
            .asking(zone(&[starttls(0, 1, "gone.example.net.")]))
            .says(&["no such host: gone.example.net"]),
    a_record_of_a_dead_host_is_told_with_the_address:
        refused([nowhere(Place::Closed)], Kind::Network, Retry::Later, &[Phase::Tcp])
            .asking(zone(&[starttls(0, 1, "a.example.net."), A]))
            .says(&["nothing listens at 127.0.0.1:PORT1"]),
    a_domain_without_records_is_reached_at_its_own_address:
        refused([], Kind::Network, Retry::Later, &[Phase::Tcp])
            .asking(zone(&[Known::Host("example.org.", "127.255.255.255")]))
            .says(&["cannot reach 127.255.255.255:5222"]),
    records_are_tried_in_the_order_of_their_priorities:
        session(
            [server(good()), nowhere(Place::Closed), nowhere(Place::Closed).direct()],
            &[Phase::Tcp, Phase::Tcp],
        )
            .asking(zone(&[
                starttls(30, 1, "a.example.net."),
                direct(20, 3, "a.example.net."),
                starttls(10, 2, "a.example.net."),
                A,
            ]))
            .says(&["a session at 127.0.0.1:PORT1; before, 127.0.0.1:PORT2:"]),
}
