//! What follows the login: a resource, stream management, the session before.

use stanchion_connect::{Kind, Phase, Retry};

use crate::case::{cases, refused, session};
use crate::script::{
    BOUND, ENABLED, SESSION, Server, Step, good, good_direct, logged_in, server, then,
};

fn after_login(steps: &[Step]) -> Server {
    server(then(logged_in(), steps))
}

const CONFLICT: Step = Step::Answer(
    "<iq type='error' id='ID'><error type='modify'>\
     <conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
);

cases! { "Session",
    a_good_server_gives_a_session:
        session([server(good())], &[]).says(&["a session at 127.0.0.1:PORT1"]),
    a_good_server_gives_a_session_over_direct_tls:
        session([server(good_direct()).direct()], &[]).says(&["a session at 127.0.0.1:PORT1"]),
    a_refused_resource_is_told_with_its_reason:
        refused(
            [after_login(&[
                SESSION,
                Step::Answer(
                    "<iq type='error' id='ID'><error type='cancel'>\
                     <not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
                ),
                Step::Hang,
            ])],
            Kind::Authentication,
            Retry::AfterUser,
            &[Phase::Binding],
        )
            .says(&["no resource", "not-allowed"]),
    a_server_full_of_sessions_is_tried_later:
        refused(
            [after_login(&[
                SESSION,
                Step::Answer(
                    "<iq type='error' id='ID'><error type='wait'>\
                     <resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
                ),
                Step::Hang,
            ])],
            Kind::Authentication,
            Retry::Later,
            &[Phase::Binding],
        )
            .says(&["resource-constraint"]),
    a_resource_in_use_is_replaced_by_one_of_the_servers_choice:
        session(
            [after_login(&[SESSION, CONFLICT, BOUND, Step::Element, ENABLED, Step::Hang])],
            &[],
        )
            .wishing("lamp")
            .says(&["a session at 127.0.0.1:PORT1"]),
    binding_that_hangs_is_told_at_the_deadline:
        refused(
            [after_login(&[SESSION, Step::Element, Step::Hang])],
            Kind::Network,
            Retry::Later,
            &[Phase::Binding],
        )
            .hanging(Phase::Binding, 1)
            .says(&["resource binding: no answer within 1 s"]),
    a_server_that_offers_no_binding_breaks_the_protocol:
        refused(
            [after_login(&[Step::Say("<stream:features/>"), Step::Hang])],
            Kind::Peer,
            Retry::Never,
            &[Phase::Stream],
        )
            .says(&["no resource binding"]),
    stanzas_instead_of_an_answer_are_not_kept_without_end:
        refused(
            [after_login(&[
                SESSION,
                Step::Element,
                Step::Flood("<message from='a@example.org'><body>x</body></message>", 2_000),
                Step::Hang,
            ])],
            Kind::Peer,
            Retry::Never,
            &[Phase::Binding],
        )
            .says(&["more than 1024 stanzas"]),
    a_conflict_after_the_login_is_not_fought_over:
        refused(
            [after_login(&[
                SESSION,
                Step::Element,
                Step::Say(
                    "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
                     </stream:error></stream:stream>",
                ),
            ])],
            Kind::Authentication,
            Retry::AfterUser,
            &[Phase::Binding],
        )
            .says(&["conflict", "its own resource"]),
    stream_management_that_is_promised_and_fails_is_done_without:
        session(
            [after_login(&[
                SESSION,
                BOUND,
                Step::Element,
                Step::Say(
                    "<failed xmlns='urn:xmpp:sm:3'><feature-not-implemented \
                     xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>",
                ),
                Step::Hang,
            ])],
            &[],
        )
            .says(&["without stream management"]),
    stream_management_that_hangs_is_told_at_the_deadline:
        refused(
            [after_login(&[SESSION, BOUND, Step::Element, Step::Hang])],
            Kind::Network,
            Retry::Later,
            &[Phase::StreamManagement],
        )
            .hanging(Phase::StreamManagement, 1)
            .says(&["enabling stream management: no answer within 1 s"]),
    a_session_is_resumed:
        session(
            [after_login(&[
                SESSION,
                Step::Element,
                Step::Say("<resumed xmlns='urn:xmpp:sm:3' previd='session' h='3'/>"),
                Step::Hang,
            ])],
            &[],
        )
            .resuming()
            .says(&["the one before"]),
    a_refused_resumption_ends_in_a_new_session:
        session(
            [after_login(&[
                SESSION,
                Step::Element,
                Step::Say(
                    "<failed xmlns='urn:xmpp:sm:3'><item-not-found \
                     xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>",
                ),
                BOUND,
                Step::Element,
                ENABLED,
                Step::Hang,
            ])],
            &[],
        )
            .resuming()
            .says(&["a new one", "ItemNotFound"]),
    a_resumption_that_is_answered_by_a_close_ends_in_a_new_session:
        session([after_login(&[SESSION, Step::Element]).later(good())], &[])
            .resuming()
            .visiting(&[2])
            .says(&["a session at 127.0.0.1:PORT1, a new one", "StreamClosed"]),
    another_session_than_the_one_asked_for_breaks_the_protocol:
        refused(
            [after_login(&[
                SESSION,
                Step::Element,
                Step::Say("<resumed xmlns='urn:xmpp:sm:3' previd='another' h='3'/>"),
                Step::Hang,
            ])],
            Kind::Peer,
            Retry::Never,
            &[Phase::Resumption],
        )
            .resuming()
            .says(&["another session"]),
    a_resumption_that_hangs_ends_in_a_new_session_after_the_deadline:
        session([after_login(&[SESSION, Step::Element, Step::Hang]).later(good())], &[])
            .hanging(Phase::Resumption, 1)
            .resuming()
            .visiting(&[2])
            .says(&["a session at 127.0.0.1:PORT1, a new one", "StreamClosed"]),
}
