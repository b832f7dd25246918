//! STARTTLS that is not offered, refused, or tampered with.

use stanchion_connect::config::Plaintext;
use stanchion_connect::{Kind, Phase, Retry};

use crate::case::{cases, refused};
use crate::script::{OPEN, SCRAM, STARTTLS, Step, server};

cases! { "STARTTLS",
    a_server_without_tls_is_not_given_the_password:
        refused(
            [server([Step::Header, OPEN, SCRAM])],
            Kind::Security,
            Retry::AfterUser,
            &[Phase::Stream],
        )
            .says(&["offers no TLS", "ask its operator"]),
    a_server_that_cannot_start_tls_is_told_as_such:
        refused(
            [server([
                Step::Header,
                OPEN,
                STARTTLS,
                Step::Element,
                Step::Say("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>"),
            ])],
            Kind::Security,
            Retry::AfterUser,
            &[Phase::StartTls],
        )
            .says(&["offers TLS and cannot start it"]),
    bytes_before_the_handshake_are_not_believed:
        refused(
            [server([
                Step::Header,
                OPEN,
                STARTTLS,
                Step::Element,
                Step::Say(
                    "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>\
                     <stream:features xmlns:stream='http://etherx.jabber.org/streams'/>",
                ),
            ])],
            Kind::Peer,
            Retry::Never,
            &[Phase::Tls],
        )
            .says(&["came before the TLS handshake, maybe injected"]),
    another_answer_than_proceed_breaks_the_protocol:
        refused(
            [server([
                Step::Header,
                OPEN,
                STARTTLS,
                Step::Element,
                Step::Say("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"),
            ])],
            Kind::Peer,
            Retry::Never,
            &[Phase::StartTls],
        )
            .says(&["<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", "<proceed/>"]),
    a_server_that_demands_tls_gets_no_login_in_the_clear:
        refused(
            [server([Step::Header, OPEN, STARTTLS]).without_tls()],
            Kind::Security,
            Retry::AfterUser,
            &[Phase::Stream],
        )
            .tuned(|config| config.plaintext = Plaintext::Allow)
            .says(&["demands TLS"]),
}
