//! The session and its driver against a server that the test plays by hand, over
//! in-memory pipes. Time is virtual, so nothing here waits.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

use std::sync::Arc;
use std::time::Duration;

use stanchion_connect::memory::{MemoryConnect, MemoryRequest, MemoryServer};
use stanchion_connect::negotiation::Established;
use stanchion_connect::{ConnectError, Connection, Endpoint, Resumption, SmSession};
use stanchion_reliability::outcome::{InDoubt, NotDelivered, Outcome};
use stanchion_reliability::protection::Protection;
use stanchion_reliability::session::{
    Disconnect, Outgoing, Receiver, SendError, Session, SessionConfig, Status,
};
use stanchion_reliability::store::{
    Image, MemoryControl, MemoryStore, Opening, Seed, StoreId, WallTime,
};
use stanchion_sasl::binding::{Binding, BindingType};
use stanchion_sasl::policy::{ChannelSecurity, TlsVersion};
use stanchion_stanza::payload::receipts::{Received as Receipt, Request};
use stanchion_stanza::payload::sm::{Ack, AckRequest};
use stanchion_stanza::stream::{StreamCondition, StreamError, StreamHeader};
use stanchion_stanza::{Element, Limits, Message, Payload as _, Stanza, StreamEvent, Text};
use stanchion_transport::{TlsMode, XmppStream, memory};

const US: &str = "lamp@home.example/a";
const PEER: &str = "cloud@home.example";

struct World {
    session: Session,
    received: Receiver,
    server: MemoryServer,
    store: MemoryControl,
}

async fn world(image: Image, change: impl FnOnce(&mut SessionConfig)) -> World {
    let seed = Seed {
        store_id: StoreId([7; 16]),
        boot_token: 1,
    };
    let store = MemoryStore::open(image, &Opening::new(seed, WallTime::from_unix_ms(0))).unwrap();
    let control = store.control();
    let (connect, server) = MemoryConnect::new();
    let mut config = SessionConfig::default();
    config.presence = None;
    change(&mut config);
    let (session, received) = Session::start(Arc::new(connect), Box::new(store), config)
        .await
        .unwrap();
    World {
        session,
        received,
        server,
        store: control,
    }
}

/// Two ends of a stream on which both headers have been exchanged.
async fn streams() -> (XmppStream, XmppStream) {
    let (near, far) = memory::pair(64 * 1024);
    let mut near = XmppStream::new(near, Limits::default());
    let mut far = XmppStream::new(far, Limits::default());
    near.open(&StreamHeader::initial("home.example".parse().unwrap()));
    far.open(&StreamHeader::response(
        "home.example".parse().unwrap(),
        Text::from_static("s"),
    ));
    near.flush().await.unwrap();
    far.flush().await.unwrap();
    assert!(matches!(near.next().await, Ok(StreamEvent::Open(_))));
    assert!(matches!(far.next().await, Ok(StreamEvent::Open(_))));
    (near, far)
}

/// Answers a request with a managed, resumable session.
async fn accept(request: MemoryRequest, resumption: Resumption) -> XmppStream {
    accept_with(request, resumption, |_| {}).await
}

/// The same, with something more.
async fn accept_with(
    request: MemoryRequest,
    resumption: Resumption,
    change: impl FnOnce(&mut Established),
) -> XmppStream {
    accept_after(request, resumption, change, 1).await
}

/// The same, after so many logins.
async fn accept_after(
    request: MemoryRequest,
    resumption: Resumption,
    change: impl FnOnce(&mut Established),
    logins: u32,
) -> XmppStream {
    let (near, far) = streams().await;
    let mut established = Established::new(US.parse().unwrap()).in_verified_tls();
    established.stream_management = Some(SmSession::resumable(Text::from_static("token")));
    established.resumption = resumption;
    change(&mut established);
    let endpoint = Endpoint::at(([127, 0, 0, 1], 5222).into(), TlsMode::None);
    let mut connection = Connection::new(near, established, endpoint);
    connection.logins = logins;
    request.answer(Ok(connection));
    far
}

async fn element(stream: &mut XmppStream) -> Element {
    match stream.next().await {
        Ok(StreamEvent::Element(element)) => element,
        other => panic!("expected an element, got {other:?}"),
    }
}

/// The next element that is a message.
async fn message(stream: &mut XmppStream) -> Message {
    loop {
        if let Ok(Stanza::Message(message)) = Stanza::from_element(element(stream).await) {
            return message;
        }
    }
}

async fn say(stream: &mut XmppStream, element: &Element) {
    stream.send(element).unwrap();
    stream.flush().await.unwrap();
}

fn to_peer(body: &str) -> Outgoing {
    Outgoing::text(PEER.parse().unwrap(), body).unwrap()
}

fn receipt_for(message: &Message) -> Element {
    let receipt = Receipt {
        id: message.header.id.clone().unwrap(),
    };
    let mut reply = Message::chat(US.parse().unwrap()).with_payload(receipt.to_element());
    reply.header.from = Some(format!("{PEER}/x").parse().unwrap());
    reply.to_element()
}

fn from_peer(id: &'static str, body: &'static str) -> Element {
    let mut message = Message::chat(US.parse().unwrap())
        .with_id(Text::from_static(id))
        .with_body(Text::from_static(body))
        .with_payload(Request.to_element());
    message.header.from = Some(format!("{PEER}/x").parse().unwrap());
    message.to_element()
}

#[tokio::test(start_paused = true)]
async fn a_message_given_without_a_connection_is_sent_on_the_next_one() {
    let mut w = world(Image::default(), |_| {}).await;
    let sent = w.session.sender().send(to_peer("on")).await.unwrap();
    let mut stream = accept(w.server.next().await.unwrap(), Resumption::NotTried).await;
    let got = message(&mut stream).await;
    assert_eq!(got.header.id.as_deref(), Some(sent.id()));
    // The request for an acknowledgement is in the same flight.
    assert!(AckRequest::matches(&element(&mut stream).await));
    say(&mut stream, &receipt_for(&got)).await;
    let outcome = sent.outcome().await.unwrap();
    assert!(
        matches!(outcome, Outcome::Acknowledged { by } if by.as_str() == "cloud@home.example/x")
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_stream_is_resumed_with_the_count_of_what_is_handled() {
    let mut w = world(Image::default(), |_| {}).await;
    let mut stream = accept(w.server.next().await.unwrap(), Resumption::NotTried).await;
    say(&mut stream, &from_peer("1", "hello")).await;
    let received = w.received.recv().await.unwrap();
    assert_eq!(received.message().body().as_deref(), Some("hello"));
    let sent = w.session.sender().send(to_peer("answer")).await.unwrap();
    let first = message(&mut stream).await;
    drop(stream);

    let request = w.server.next().await.unwrap();
    let token = request.resume.clone().unwrap();
    assert_eq!((token.id.as_str(), token.h), ("token", 1));
    // The server had not handled the answer: it comes again, with the same id.
    let mut stream = accept(request, Resumption::Resumed { h: 0 }).await;
    let again = message(&mut stream).await;
    assert_eq!(again.header.id, first.header.id);
    assert_eq!(again.header.id.as_deref(), Some(sent.id()));
}

#[tokio::test(start_paused = true)]
async fn the_receipt_leaves_after_the_commit_and_not_before() {
    let mut w = world(Image::default(), |_| {}).await;
    let mut stream = accept(w.server.next().await.unwrap(), Resumption::NotTried).await;
    say(&mut stream, &from_peer("1", "hello")).await;
    let received = w.received.recv().await.unwrap();
    say(&mut stream, &AckRequest.to_element()).await;
    // It is kept, so the server's question is answered with 1; but there is no receipt.
    assert_eq!(Ack::from_element(&element(&mut stream).await).unwrap().h, 1);
    received.commit().await.unwrap();
    let receipt = message(&mut stream)
        .await
        .payload::<Receipt>()
        .unwrap()
        .unwrap();
    assert_eq!(receipt.id, "1");
}

#[tokio::test(start_paused = true)]
async fn stanzas_of_the_login_are_counted_from_stream_management_on_and_not_before() {
    let mut w = world(Image::default(), |_| {}).await;
    let request = w.server.next().await.unwrap();
    let mut stream = accept_with(request, Resumption::NotTried, |established| {
        established.early = vec![from_peer("1", "early")];
        established.counted = vec![from_peer("2", "counted")];
    })
    .await;
    for body in ["early", "counted"] {
        let got = w.received.recv().await.unwrap();
        assert_eq!(got.message().body().unwrap(), body);
    }
    say(&mut stream, &AckRequest.to_element()).await;
    loop {
        let answer = element(&mut stream).await;
        if Ack::matches(&answer) {
            assert_eq!(Ack::from_element(&answer).unwrap().h, 1);
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_answered_and_not_handed_over() {
    let mut w = world(Image::default(), |_| {}).await;
    let mut stream = accept(w.server.next().await.unwrap(), Resumption::NotTried).await;
    for _ in 0..2 {
        say(&mut stream, &from_peer("1", "hello")).await;
    }
    say(&mut stream, &from_peer("2", "world")).await;
    for expected in ["hello", "world"] {
        let received = w.received.recv().await.unwrap();
        assert_eq!(received.message().body().as_deref(), Some(expected));
        received.commit().await.unwrap();
    }
    for _ in 0..2 {
        message(&mut stream).await;
    }
    say(&mut stream, &from_peer("1", "hello")).await;
    let receipt = message(&mut stream)
        .await
        .payload::<Receipt>()
        .unwrap()
        .unwrap();
    assert_eq!(receipt.id, "1");
    assert_eq!(w.session.counters().duplicates, 2);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_outcome_is_sent_by_the_next_process_with_the_same_id() {
    let w = world(Image::default(), |_| {}).await;
    let id = w
        .session
        .sender()
        .send(to_peer("on"))
        .await
        .unwrap()
        .id()
        .to_owned();
    let image = w.store.snapshot();
    drop(w);
    let mut w = world(image, |_| {}).await;
    let mut stream = accept(w.server.next().await.unwrap(), Resumption::NotTried).await;
    assert_eq!(message(&mut stream).await.header.id.as_deref(), Some(&*id));
}

#[tokio::test(start_paused = true)]
async fn an_uncommitted_message_comes_again_and_says_so() {
    let mut w = world(Image::default(), |_| {}).await;
    let mut stream = accept(w.server.next().await.unwrap(), Resumption::NotTried).await;
    say(&mut stream, &from_peer("1", "hello")).await;
    let received = w.received.recv().await.unwrap();
    assert!(!received.maybe_redelivered());
    let image = w.store.crash();
    drop((received, w, stream));
    let mut w = world(image, |_| {}).await;
    let received = w.received.recv().await.unwrap();
    assert!(received.maybe_redelivered());
    assert_eq!(received.message().body().as_deref(), Some("hello"));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_gives_not_delivered_only_to_what_was_never_sent() {
    let mut w = world(Image::default(), |_| {}).await;
    let unsent = w
        .session
        .sender()
        .send(to_peer("a").within(Duration::from_secs(5)))
        .await
        .unwrap();
    assert_eq!(
        unsent.outcome().await.unwrap(),
        Outcome::NotDelivered(NotDelivered::Expired)
    );

    let mut stream = accept(w.server.next().await.unwrap(), Resumption::NotTried).await;
    let sent = w
        .session
        .sender()
        .send(to_peer("b").within(Duration::from_secs(5)))
        .await
        .unwrap();
    message(&mut stream).await;
    let in_doubt = Outcome::InDoubt(InDoubt::NoReceipt { last_error: None });
    assert_eq!(sent.outcome().await.unwrap(), in_doubt);
}

#[tokio::test(start_paused = true)]
async fn conflict_ends_the_attempts() {
    let mut w = world(Image::default(), |_| {}).await;
    let mut stream = accept(w.server.next().await.unwrap(), Resumption::NotTried).await;
    let mut status = w.session.status();
    say(
        &mut stream,
        &StreamError::new(StreamCondition::Conflict).to_element(),
    )
    .await;
    stream.close().await.unwrap();
    let refused = status
        .wait_for(|s| matches!(s, Status::Refused(_)))
        .await
        .unwrap()
        .clone();
    assert!(
        matches!(refused, Status::Refused(Disconnect::Stream(e)) if e.condition == StreamCondition::Conflict)
    );
}

/// What a session does that has lasted for `lasted` and is ended with `error`: its
/// status, and what is to be resumed if another connection is asked for.
async fn ended_with(error: StreamCondition, lasted: Duration) -> (Status, Option<bool>) {
    // The server that is played here answers no probe.
    let mut w = world(Image::default(), |c| c.engine.probe_after = 2 * lasted).await;
    let mut stream = accept(w.server.next().await.unwrap(), Resumption::NotTried).await;
    let mut status = w.session.status();
    status
        .wait_for(|s| matches!(s, Status::Connected { .. }))
        .await
        .unwrap();
    tokio::time::sleep(lasted).await;
    say(&mut stream, &StreamError::new(error).to_element()).await;
    stream.close().await.unwrap();
    let status = status
        .wait_for(|s| matches!(s, Status::Refused(_) | Status::Waiting { .. }))
        .await
        .unwrap()
        .clone();
    let next = match status {
        Status::Waiting { .. } => w.server.next().await.map(|r| r.resume.is_some()),
        _ => None,
    };
    (status, next)
}

#[tokio::test(start_paused = true)]
async fn what_a_server_says_at_the_end_decides_whether_and_with_what_to_come_back() {
    use StreamCondition as C;
    // Less than a server may be silent for.
    let long = Duration::from_secs(12);
    for condition in [
        C::SystemShutdown,
        C::ResourceConstraint,
        C::PolicyViolation,
        C::SeeOtherHost,
        C::Reset,
        C::ConnectionTimeout,
    ] {
        let (status, resumes) = ended_with(condition, long).await;
        assert_eq!(resumes, Some(true), "{condition:?}");
        let Status::Waiting { cause, .. } = status else {
            panic!("{status:?}");
        };
        assert!(matches!(cause, Disconnect::Stream(e) if e.condition == condition));
    }
    // The next login shows whether the account is refused.
    let (_, resumes) = ended_with(C::NotAuthorized, long).await;
    assert_eq!(resumes, Some(false));
    let (status, _) = ended_with(C::NotAuthorized, Duration::ZERO).await;
    assert!(matches!(status, Status::Refused(_)));
    let (status, _) = ended_with(C::Conflict, long).await;
    assert!(matches!(status, Status::Refused(_)));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_each_session_at_once_sees_at_most_three_connections_in_six_seconds() {
    // The second kind of server also leaves a request to resume without an answer, so that
    // each session after the first one takes two connections.
    for each in [1, 2] {
        let mut w = world(Image::default(), |_| {}).await;
        let mut begun = Vec::new();
        for round in 0..40 {
            let request = w.server.next().await.unwrap();
            let now = tokio::time::Instant::now();
            let logins = if round == 0 { 1 } else { each };
            begun.extend((0..logins).map(|_| now));
            drop(accept_after(request, Resumption::NotTried, |_| {}, logins).await);
        }
        for four in begun.windows(4) {
            assert!(four[3] - four[0] >= Duration::from_secs(6), "{four:?}");
        }
        // And it becomes quieter still.
        let took = *begun.last().unwrap() - begun[0];
        assert!(took > Duration::from_secs(5 * 60));
    }
}

#[tokio::test(start_paused = true)]
async fn the_connector_hears_how_a_session_ended() {
    let mut w = world(Image::default(), |_| {}).await;
    let mut stream = accept(w.server.next().await.unwrap(), Resumption::NotTried).await;
    let mut status = w.session.status();
    status
        .wait_for(|s| matches!(s, Status::Connected { .. }))
        .await
        .unwrap();
    let mut error = StreamError::new(StreamCondition::SeeOtherHost);
    error.value = Some(Text::from_static("other.example:5222"));
    say(&mut stream, &error.to_element()).await;
    stream.close().await.unwrap();
    w.server.next().await.unwrap();
    let ends = w.server.ends();
    let [end] = &ends[..] else {
        panic!("{ends:?}");
    };
    assert_eq!(end.jid.as_str(), US);
    assert_eq!(end.endpoint.port, 5222);
    assert_eq!(end.error.as_ref(), Some(&error));
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up() {
    let mut w = world(Image::default(), |_| {}).await;
    let mut stream = accept(w.server.next().await.unwrap(), Resumption::NotTried).await;
    // Nothing happens for a minute: a probe; nothing again: another connection.
    assert!(AckRequest::matches(&element(&mut stream).await));
    let request = w.server.next().await.unwrap();
    assert!(request.resume.is_some());
}

#[tokio::test(start_paused = true)]
async fn attempts_go_on_while_the_network_fails() {
    let mut w = world(Image::default(), |_| {}).await;
    for _ in 0..5 {
        let request = w.server.next().await.unwrap();
        let endpoint = Endpoint::at(([127, 0, 0, 1], 5222).into(), TlsMode::None);
        request.answer(Err(ConnectError::Refused { endpoint }));
    }
    let _stream = accept(w.server.next().await.unwrap(), Resumption::NotTried).await;
    let mut status = w.session.status();
    status
        .wait_for(|s| matches!(s, Status::Connected { .. }))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_full_outbox_makes_senders_wait_and_loses_nothing() {
    let mut w = world(Image::default(), |c| c.engine.outbox = 2).await;
    let sender = w.session.sender();
    let first = sender.send(to_peer("1")).await.unwrap();
    let _second = sender.send(to_peer("2")).await.unwrap();
    let third = tokio::spawn(async move { sender.send(to_peer("3")).await });
    let mut stream = accept(w.server.next().await.unwrap(), Resumption::NotTried).await;
    let got = message(&mut stream).await;
    message(&mut stream).await;
    assert!(!third.is_finished());
    say(&mut stream, &receipt_for(&got)).await;
    first.outcome().await.unwrap();
    let third = third.await.unwrap().unwrap();
    assert_eq!(
        message(&mut stream).await.header.id.as_deref(),
        Some(third.id())
    );
}

#[tokio::test(start_paused = true)]
async fn a_thousand_messages_wait_in_the_store_and_leave_in_order() {
    let mut w = world(Image::default(), |_| {}).await;
    for n in 0..1000 {
        w.session
            .sender()
            .send(to_peer(&n.to_string()))
            .await
            .unwrap();
    }
    let mut stream = accept(w.server.next().await.unwrap(), Resumption::NotTried).await;
    for n in 0..1000 {
        let got = message(&mut stream).await;
        assert_eq!(got.body().as_deref(), Some(&*n.to_string()));
        say(&mut stream, &Ack { h: n + 1 }.to_element()).await;
        say(&mut stream, &receipt_for(&got)).await;
    }
    assert_eq!(w.session.counters().retransmitted, 0);
}

#[tokio::test(start_paused = true)]
async fn shutdown_tells_the_last_count_and_closes_the_stream() {
    let mut w = world(Image::default(), |_| {}).await;
    let mut stream = accept(w.server.next().await.unwrap(), Resumption::NotTried).await;
    say(&mut stream, &from_peer("1", "hello")).await;
    w.received.recv().await.unwrap().commit().await.unwrap();
    let server = tokio::spawn(async move {
        let mut last = None;
        loop {
            match stream.next().await {
                Ok(StreamEvent::Element(e)) if Ack::matches(&e) => {
                    last = Some(Ack::from_element(&e).unwrap().h)
                }
                Ok(StreamEvent::Close) => break,
                Ok(_) => {}
                Err(fault) => panic!("{fault}"),
            }
        }
        stream.close().await.unwrap();
        last
    });
    let sender = w.session.sender();
    w.session.shutdown().await.unwrap();
    assert_eq!(server.await.unwrap(), Some(1));
    assert!(matches!(
        sender.send(to_peer("late")).await,
        Err(SendError::Closed)
    ));
    assert!(w.received.recv().await.is_none());
}

/// A server without TLS.
fn in_the_clear(established: &mut Established) {
    *established = Established::new(US.parse().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_stream_in_the_clear_carries_only_what_asks_for_nothing() {
    let mut w = world(Image::default(), |_| {}).await;
    let mut clear = accept_with(
        w.server.next().await.unwrap(),
        Resumption::NotTried,
        in_the_clear,
    )
    .await;
    let mut status = w.session.status();
    let offered = |wanted| move |s: &Status| matches!(s, Status::Connected { protection, .. } if *protection == wanted);
    status.wait_for(offered(Protection::Any)).await.unwrap();

    let strict = w.session.sender().send(to_peer("strict")).await.unwrap();
    let short = to_peer("short").within(Duration::from_secs(5));
    let short = w.session.sender().send(short).await.unwrap();
    let free = Outgoing::text("other@home.example".parse().unwrap(), "free")
        .unwrap()
        .protection(Protection::Any);
    w.session.sender().send(free).await.unwrap();
    assert_eq!(message(&mut clear).await.body().as_deref(), Some("free"));
    assert_eq!(
        short.outcome().await.unwrap(),
        Outcome::NotDelivered(NotDelivered::Unprotected)
    );
    clear.close().await.unwrap();

    let mut protected = accept(w.server.next().await.unwrap(), Resumption::NotTried).await;
    let strictest = Protection::EncryptedAndAuthenticated;
    status.wait_for(offered(strictest)).await.unwrap();
    let first = message(&mut protected).await;
    assert_eq!(first.header.id.as_deref(), Some(strict.id()));
    assert_eq!(first.body().as_deref(), Some("strict"));
}

#[tokio::test]
async fn what_a_stream_offers_is_told_by_tls_the_certificate_and_a_bound_login() {
    use Protection::{Any, Encrypted, EncryptedAndAuthenticated};
    let tls = |server_verified| ChannelSecurity::Tls {
        version: TlsVersion::Tls13,
        server_verified,
    };
    let bound = Binding::Bound(BindingType::TlsExporter);
    let unbound = Binding::Unavailable;
    for (security, server_proved, binding, offered) in [
        (ChannelSecurity::Plaintext, true, unbound, Any),
        // No login can be bound to no TLS, whatever a report says.
        (ChannelSecurity::Plaintext, true, bound, Any),
        (tls(false), false, unbound, Encrypted),
        // An attacker in the middle can pass the proof on.
        (tls(false), true, unbound, Encrypted),
        (tls(false), false, bound, Encrypted),
        (tls(false), true, bound, EncryptedAndAuthenticated),
        (tls(true), false, unbound, EncryptedAndAuthenticated),
        (tls(true), true, bound, EncryptedAndAuthenticated),
    ] {
        let (near, _far) = memory::pair(64);
        let mut established = Established::new(US.parse().unwrap());
        established.security = security;
        established.login.server_proved = server_proved;
        established.login.binding = binding;
        let endpoint = Endpoint::at(([127, 0, 0, 1], 5222).into(), TlsMode::None);
        let stream = XmppStream::new(near, Limits::default());
        let connection = Connection::new(stream, established, endpoint);
        assert_eq!(
            Protection::of(&connection),
            offered,
            "{security:?}, proved: {server_proved}, {binding:?}"
        );
    }
}
