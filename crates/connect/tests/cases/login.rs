//! Logins that are refused, that cannot be trusted, or that hang.

use stanchion_connect::config::Plaintext;
use stanchion_connect::{Kind, Phase, Retry};

use crate::case::{Case, cases, refused};
use crate::script::{OPEN, Proof, SCRAM, Step, secured, server, then};

/// Steps behind the stream header over TLS.
fn offering(steps: &[Step], kind: Kind, retry: Retry) -> Case {
    let servers = [server(then(secured(), steps))];
    refused(servers, kind, retry, &[Phase::Authentication])
}

/// SCRAM is offered, and refused with this.
fn failing(failure: &'static str, kind: Kind, retry: Retry) -> Case {
    let steps = [SCRAM, Step::Element, Step::Say(failure), Step::Hang];
    offering(&steps, kind, retry)
}

cases! { "Login",
    a_wrong_password_is_refused:
        offering(&[Step::LogIn(Proof::Right)], Kind::Authentication, Retry::AfterUser)
            .with_password("wr0ng")
            .says(&["not-authorized", "check the user name and the password"]),
    a_disabled_account_is_told_as_such:
        failing(
            "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><account-disabled/>\
             <text>Call 555-0100</text></failure>",
            Kind::Authentication,
            Retry::AfterUser,
        )
            .says(&["account-disabled", "Call 555-0100", "operator"]),
    an_expired_password_is_told_as_such:
        failing(
            "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><credentials-expired/></failure>",
            Kind::Authentication,
            Retry::AfterUser,
        )
            .says(&["credentials-expired", "set a new password"]),
    a_temporary_failure_is_tried_later:
        failing(
            "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><temporary-auth-failure/></failure>",
            Kind::Authentication,
            Retry::Later,
        )
            .says(&["temporary-auth-failure", "try later"]),
    a_login_that_is_throttled_is_quoted:
        offering(
            &[
                SCRAM,
                Step::Element,
                Step::Say(
                    "<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
                     <text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>Too many logins, wait an \
                     hour</text></stream:error></stream:stream>",
                ),
            ],
            Kind::Network,
            Retry::Later,
        )
            .says(&["policy-violation", "Too many logins"]),
    a_server_without_mechanism_is_told_as_such:
        offering(&[Step::Say("<stream:features/>")], Kind::Security, Retry::AfterUser)
            .says(&["the server offers nothing"]),
    a_server_with_unknown_mechanisms_is_told_with_their_names:
        offering(
            &[Step::Say(
                "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
                 <mechanism>DIGEST-MD5</mechanism><mechanism>X-OAUTH2</mechanism></mechanisms>\
                 </stream:features>",
            )],
            Kind::Security,
            Retry::AfterUser,
        )
            .says(&["DIGEST-MD5, X-OAUTH2"]),
    a_bare_password_is_not_sent_in_the_clear:
        refused(
            [server([
                Step::Header,
                OPEN,
                Step::Say(
                    "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
                     <mechanism>PLAIN</mechanism></mechanisms></stream:features>",
                ),
            ]).without_tls()],
            Kind::Security,
            Retry::AfterUser,
            &[Phase::Authentication],
        )
            .tuned(|config| config.plaintext = Plaintext::Allow)
            .says(&["PLAIN", "use TLS"]),
    a_server_that_proves_itself_wrongly_is_suspected:
        offering(&[Step::LogIn(Proof::Wrong)], Kind::Security, Retry::AfterUser)
            .says(&["suspect an impostor"]),
    a_success_without_proof_is_no_success:
        offering(&[Step::LogIn(Proof::Missing)], Kind::Security, Retry::AfterUser)
            .says(&["without proving itself", "suspect an impostor"]),
    a_success_out_of_turn_is_no_success:
        offering(
            &[SCRAM, Step::Element, Step::Say("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")],
            Kind::Security,
            Retry::AfterUser,
        )
            .says(&["without proving itself"]),
    a_server_that_wants_endless_rounds_is_not_obeyed:
        offering(
            &[SCRAM, Step::Rounds(999_999_999), Step::Hang],
            Kind::Security,
            Retry::AfterUser,
        )
            .says(&["999999999 iterations", "maximum"]),
    a_server_that_wants_hardly_any_rounds_is_not_obeyed:
        offering(
            &[SCRAM, Step::Rounds(1), Step::Hang],
            Kind::Security,
            Retry::AfterUser,
        )
            .says(&["1 iterations", "minimum"]),
    a_login_that_hangs_is_told_at_the_deadline:
        offering(&[SCRAM, Step::Element, Step::Hang], Kind::Network, Retry::Later)
            .hanging(Phase::Authentication, 1)
            .says(&["authentication: no answer within 1 s"]),
    a_login_that_breaks_off_is_the_networks:
        offering(&[SCRAM, Step::Element], Kind::Network, Retry::Later)
            .says(&["authentication: the connection ended"]),
    a_challenge_that_is_no_base64_breaks_the_protocol:
        offering(
            &[
                SCRAM,
                Step::Element,
                Step::Say("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>~~~~</challenge>"),
                Step::Hang,
            ],
            Kind::Peer,
            Retry::Never,
        )
            .says(&["RFC 6120 §6.4.3"]),
}
