//! No connection, or one that is gone at once.

use stanchion_connect::{Kind, Phase, Retry};

use crate::case::{cases, refused, session};
use crate::name_server::{Known, zone};
use crate::script::{Place, good, nowhere, server};

const TARGET: Known = Known::Srv {
    direct: false,
    priority: 0,
    port_of: 1,
    target: "a.example.net.",
};

cases! { "TCP",
    a_closed_port_is_told_as_such:
        refused([nowhere(Place::Closed)], Kind::Network, Retry::Later, &[Phase::Tcp])
            .says(&["nothing listens at 127.0.0.1:PORT1"]),
    a_host_that_swallows_all_is_told_at_the_deadline:
        refused([nowhere(Place::BlackHole)], Kind::Network, Retry::Later, &[Phase::Tcp])
            .hanging(Phase::Tcp, 1)
            .says(&["TCP connection: no answer within 1 s"]),
    an_address_without_a_route_is_unreachable:
        refused([nowhere(Place::NoRoute)], Kind::Network, Retry::Later, &[Phase::Tcp])
            .says(&["cannot reach 127.255.255.255", "Network is unreachable"]),
    a_host_that_resets_the_connection_is_told_with_its_reason:
        refused([nowhere(Place::Resetting)], Kind::Network, Retry::Later, &[Phase::Stream])
            .says(&["Connection reset by peer"]),
    a_host_that_resets_the_handshake_is_told_with_its_reason:
        refused([nowhere(Place::Resetting).direct()], Kind::Network, Retry::Later, &[Phase::Tls])
            .says(&["Connection reset by peer"]),
    a_host_of_ipv6_alone_is_reached:
        session([server(good()).at(Place::V6)], &[])
            .asking(zone(&[TARGET, Known::Host("a.example.net.", "::1")]))
            .says(&["[::1]:PORT1"]),
    where_ipv6_is_broken_ipv4_is_taken:
        session([server(good())], &[Phase::Tcp])
            .asking(zone(&[
                TARGET,
                Known::Host("a.example.net.", "::1"),
                Known::Host("a.example.net.", "127.0.0.1"),
            ]))
            .says(&["a session at 127.0.0.1:PORT1", "nothing listens at [::1]:PORT1"]),
}
