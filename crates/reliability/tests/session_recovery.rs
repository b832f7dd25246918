//! Sessions that outlive their process, and their store's failures. The server is played
//! by hand, and time is virtual.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use stanchion_connect::error::Misuse;
use stanchion_connect::memory::{MemoryConnect, MemoryRequest, MemoryServer};
use stanchion_connect::negotiation::Established;
use stanchion_connect::{Connection, Endpoint, ResumeToken, Resumption, SmSession};
use stanchion_reliability::outcome::{NotDelivered, Outcome};
use stanchion_reliability::session::{
    Disconnect, Outgoing, Received, Receiver, SendError, Session, SessionConfig, SessionError,
    SessionEvent, Status, Warning,
};
use stanchion_reliability::store::{
    Fault, Image, MemoryControl, MemoryStore, Opening, Seed, StoreError, StoreId, WallTime,
};
use stanchion_stanza::payload::receipts::{Received as Receipt, Request};
use stanchion_stanza::payload::sm::{Ack, AckRequest};
use stanchion_stanza::stream::StreamHeader;
use stanchion_stanza::{
    Element, Limits, Message, Payload as _, Presence, Stanza, StreamEvent, Text,
};
use stanchion_transport::{TlsMode, XmppStream, memory};
use tokio::sync::broadcast;

const US: &str = "lamp@home.example/a";
const PEER: &str = "cloud@home.example";

struct World {
    session: Session,
    received: Receiver,
    server: MemoryServer,
    store: MemoryControl,
}

impl World {
    async fn new(image: Image) -> Self {
        Self::with(image, |_| {}).await
    }

    async fn with(image: Image, change: impl FnOnce(&mut SessionConfig)) -> Self {
        let seed = Seed {
            store_id: StoreId([7; 16]),
            boot_token: 1,
        };
        let opening = Opening::new(seed, WallTime::from_unix_ms(0));
        let store = MemoryStore::open(image, &opening).unwrap();
        let control = store.control();
        let (connect, server) = MemoryConnect::new();
        let mut config = SessionConfig::default();
        config.presence = None;
        change(&mut config);
        let (session, received) = Session::start(Arc::new(connect), Box::new(store), config)
            .await
            .unwrap();
        Self {
            session,
            received,
            server,
            store: control,
        }
    }

    /// The process is killed. Gives what is durable.
    fn kill(self) -> Image {
        self.store.crash()
    }

    async fn request(&mut self) -> MemoryRequest {
        self.server.next().await.unwrap()
    }

    /// The other end of a new session.
    async fn accept(&mut self) -> XmppStream {
        let request = self.request().await;
        assert_eq!(request.resume, None);
        accept(request, Resumption::NotTried).await
    }

    /// The other end of a resumed session, and what was asked for.
    async fn accept_again(&mut self) -> (XmppStream, ResumeToken) {
        let request = self.request().await;
        let token = request.resume.clone().unwrap();
        let stream = accept(request, Resumption::Resumed { h: 0 }).await;
        let up = |s: &Status| matches!(s, Status::Connected { resumed: true, .. });
        self.session.status().wait_for(up).await.unwrap();
        (stream, token)
    }

    async fn receive(&mut self) -> Received {
        let soon = tokio::time::timeout(Duration::from_secs(600), self.received.recv());
        soon.await.expect("nothing is received").unwrap()
    }

    /// A first message to and fro: the session is there, and on record with a count of 1.
    async fn greet(&mut self, stream: &mut XmppStream) {
        say(stream, &from_peer("0")).await;
        self.receive().await.commit().await.unwrap();
        assert_eq!(receipt(stream).await, "0");
    }

    /// The store will fail so often, the first time with a batch that is applied or not.
    fn store_fails(&self, applied: bool, reopens: usize) {
        let error = StoreError::Full(Arc::new(io::Error::other("no space left")));
        self.store.fail_reopens(reopens, &error);
        self.store.fail_commits(1, &Fault { error, applied });
    }
}

async fn accept(request: MemoryRequest, resumption: Resumption) -> XmppStream {
    let (near, far) = memory::pair(64 * 1024);
    let mut near = XmppStream::new(near, Limits::default());
    let mut far = XmppStream::new(far, Limits::default());
    let domain = || "home.example".parse().unwrap();
    near.open(&StreamHeader::initial(domain()));
    far.open(&StreamHeader::response(domain(), Text::from_static("s")));
    near.flush().await.unwrap();
    far.flush().await.unwrap();
    assert!(matches!(near.next().await, Ok(StreamEvent::Open(_))));
    assert!(matches!(far.next().await, Ok(StreamEvent::Open(_))));
    let mut established = Established::new(US.parse().unwrap()).in_verified_tls();
    established.stream_management = Some(SmSession::resumable(Text::from_static("token")));
    established.resumption = resumption;
    let endpoint = Endpoint::at(([127, 0, 0, 1], 5222).into(), TlsMode::None);
    request.answer(Ok(Connection::new(near, established, endpoint)));
    far
}

async fn message(stream: &mut XmppStream) -> Message {
    loop {
        let Ok(StreamEvent::Element(element)) = stream.next().await else {
            panic!("the stream ended");
        };
        if let Ok(Stanza::Message(message)) = Stanza::from_element(element) {
            return message;
        }
    }
}

async fn receipt(stream: &mut XmppStream) -> String {
    let message = message(stream).await;
    message
        .payload::<Receipt>()
        .unwrap()
        .unwrap()
        .id
        .to_string()
}

/// The counts that are told until the stream is dropped.
async fn counts_to_the_end(stream: &mut XmppStream) -> Vec<u32> {
    let mut counts = Vec::new();
    while let Ok(event) = stream.next().await {
        match event {
            StreamEvent::Element(e) if Ack::matches(&e) => {
                counts.push(Ack::from_element(&e).unwrap().h);
            }
            StreamEvent::Close => panic!("the stream was closed, and with it the session"),
            _ => {}
        }
    }
    counts
}

async fn say(stream: &mut XmppStream, element: &Element) {
    stream.send(element).unwrap();
    stream.flush().await.unwrap();
}

fn to_peer(body: &str) -> Outgoing {
    Outgoing::text(PEER.parse().unwrap(), body).unwrap()
}

fn from_peer(id: &'static str) -> Element {
    let mut message = Message::chat(US.parse().unwrap())
        .with_id(Text::from_static(id))
        .with_body(Text::from_static(id))
        .with_payload(Request.to_element());
    message.header.from = Some(format!("{PEER}/x").parse().unwrap());
    message.to_element()
}

fn receipt_for(message: &Message) -> Element {
    let receipt = Receipt {
        id: message.header.id.clone().unwrap(),
    };
    let mut reply = Message::chat(US.parse().unwrap()).with_payload(receipt.to_element());
    reply.header.from = Some(format!("{PEER}/x").parse().unwrap());
    reply.to_element()
}

async fn store_is_back(events: &mut broadcast::Receiver<SessionEvent>) {
    loop {
        if let SessionEvent::Warning(Warning::StoreBack) = events.recv().await.unwrap() {
            return;
        }
    }
}

// ---- the process ends -------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_process_that_was_killed_is_followed_by_one_that_resumes_its_stream() {
    let mut w = World::new(Image::default()).await;
    let mut stream = w.accept().await;
    say(&mut stream, &from_peer("1")).await;
    w.receive().await.commit().await.unwrap();
    assert_eq!(receipt(&mut stream).await, "1");
    let sent = w.session.sender().send(to_peer("answer")).await.unwrap();
    let id = sent.id().to_owned();
    assert_eq!(message(&mut stream).await.header.id.as_deref(), Some(&*id));

    let mut w = World::with(w.kill(), |c| c.presence = Some(Presence::available())).await;
    let request = w.request().await;
    let token = request.resume.clone().unwrap();
    assert_eq!((token.jid.as_str(), token.id.as_str()), (US, "token"));
    assert_eq!(token.h, 1);
    // It has handled more than the new process knows of.
    let mut stream = accept(request, Resumption::Resumed { h: 9 }).await;
    // Whether the old process had said that it is there is not known.
    let Ok(StreamEvent::Element(first)) = stream.next().await else {
        panic!("no presence");
    };
    assert_eq!(first.name(), "presence");
    // Nor what the nine were: it comes again, under its id.
    assert_eq!(message(&mut stream).await.header.id.as_deref(), Some(&*id));
    // What was queued for the old process comes to the new one.
    say(&mut stream, &from_peer("2")).await;
    let received = w.receive().await;
    assert_eq!(received.message().body().unwrap(), "2");
    assert!(!received.maybe_redelivered());
    say(&mut stream, &AckRequest.to_element()).await;
    loop {
        if let Ok(StreamEvent::Element(e)) = stream.next().await
            && Ack::matches(&e)
        {
            assert_eq!(Ack::from_element(&e).unwrap().h, 2);
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ended_its_stream_leaves_nothing_to_resume() {
    let mut w = World::new(Image::default()).await;
    let mut stream = w.accept().await;
    say(&mut stream, &from_peer("1")).await;
    w.receive().await.commit().await.unwrap();
    let control = w.store.clone();
    let server = tokio::spawn(async move {
        while !matches!(stream.next().await, Ok(StreamEvent::Close)) {}
        stream.close().await.unwrap();
    });
    w.session.shutdown().await.unwrap();
    server.await.unwrap();
    let mut w = World::new(control.snapshot()).await;
    assert_eq!(w.request().await.resume, None);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_ended_while_its_stream_was_lost_leaves_it_to_the_next() {
    let mut w = World::new(Image::default()).await;
    let mut stream = w.accept().await;
    say(&mut stream, &from_peer("1")).await;
    w.receive().await.commit().await.unwrap();
    assert_eq!(receipt(&mut stream).await, "1");
    drop(stream);
    // Nobody answers this one.
    let _request = w.request().await;
    let control = w.store.clone();
    w.session.shutdown().await.unwrap();
    let mut w = World::new(control.snapshot()).await;
    assert_eq!(w.request().await.resume.unwrap().h, 1);
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_process_left_of_another_account_is_dropped() {
    let mut w = World::new(Image::default()).await;
    let mut stream = w.accept().await;
    say(&mut stream, &from_peer("1")).await;
    w.receive().await.commit().await.unwrap();
    let mut w = World::new(w.kill()).await;
    let request = w.request().await;
    assert!(request.resume.is_some());
    request.answer(Err(Misuse::ForeignToken.into()));
    let request = w.request().await;
    assert_eq!(request.resume, None);
}

#[tokio::test(start_paused = true)]
async fn a_resumption_that_fails_after_a_restart_ends_in_a_new_session() {
    let mut w = World::new(Image::default()).await;
    let mut stream = w.accept().await;
    w.greet(&mut stream).await;
    let mut w = World::new(w.kill()).await;
    let sent = w.session.sender().send(to_peer("hello")).await.unwrap();
    let request = w.request().await;
    let failed = Resumption::Failed {
        h: Some(40),
        reason: stanchion_connect::negotiation::ResumeFailure::StreamClosed,
    };
    let mut stream = accept(request, failed).await;
    let got = message(&mut stream).await;
    assert_eq!(got.header.id.as_deref(), Some(sent.id()));
    // Its count begins anew.
    say(&mut stream, &from_peer("2")).await;
    w.receive().await.commit().await.unwrap();
    assert_eq!(receipt(&mut stream).await, "2");
    drop(stream);
    assert_eq!(w.request().await.resume.unwrap().h, 1);
}

// ---- the store fails --------------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_acknowledges_nothing_and_the_session_goes_on_when_it_is_back() {
    let mut w = World::new(Image::default()).await;
    let mut stream = w.accept().await;
    let mut events = w.session.events();
    say(&mut stream, &from_peer("1")).await;
    w.receive().await.commit().await.unwrap();
    assert_eq!(receipt(&mut stream).await, "1");

    w.store_fails(false, 3);
    say(&mut stream, &from_peer("2")).await;
    say(&mut stream, &AckRequest.to_element()).await;
    // It is dropped, and not closed: the server keeps what is not acknowledged.
    let counts = counts_to_the_end(&mut stream).await;
    assert!(counts.iter().all(|h| *h <= 1), "{counts:?}");

    let mut status = w.session.status();
    let broken = |s: &Status| {
        matches!(
            s,
            Status::Waiting {
                cause: Disconnect::Store(_),
                ..
            }
        )
    };
    status.wait_for(broken).await.unwrap();
    store_is_back(&mut events).await;
    let (mut stream, token) = w.accept_again().await;
    assert_eq!(token.h, 1);
    say(&mut stream, &from_peer("2")).await;
    let received = w.receive().await;
    assert_eq!(received.message().body().unwrap(), "2");
    assert!(!received.maybe_redelivered());
    received.commit().await.unwrap();
    assert_eq!(receipt(&mut stream).await, "2");
    assert_eq!(w.session.counters().received, 2);
    w.session.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_durable_after_all_is_counted_and_handed_over_once() {
    let mut w = World::new(Image::default()).await;
    let mut stream = w.accept().await;
    w.greet(&mut stream).await;
    w.store_fails(true, 0);
    say(&mut stream, &from_peer("1")).await;
    let received = w.receive().await;
    assert_eq!(received.message().body().unwrap(), "1");
    let (mut stream, token) = w.accept_again().await;
    assert_eq!(token.h, 2);
    received.commit().await.unwrap();
    assert_eq!(receipt(&mut stream).await, "1");
}

#[tokio::test(start_paused = true)]
async fn a_message_in_the_applications_hands_stays_there_and_can_be_committed() {
    let mut w = World::new(Image::default()).await;
    let mut stream = w.accept().await;
    let mut events = w.session.events();
    for id in ["1", "2", "3"] {
        say(&mut stream, &from_peer(id)).await;
    }
    let (first, second) = (w.receive().await, w.receive().await);
    w.store_fails(false, 2);
    say(&mut stream, &from_peer("4")).await;
    counts_to_the_end(&mut stream).await;
    // While the store is broken, and after it.
    first.commit().await.unwrap();
    store_is_back(&mut events).await;
    let (mut stream, token) = w.accept_again().await;
    assert_eq!(token.h, 3);
    second.commit().await.unwrap();
    assert_eq!(receipt(&mut stream).await, "2");
    // There was no stream to tell it on: its sender asks again.
    say(&mut stream, &from_peer("1")).await;
    assert_eq!(receipt(&mut stream).await, "1");
    say(&mut stream, &from_peer("4")).await;
    for id in ["3", "4"] {
        let received = w.receive().await;
        assert_eq!(received.message().body().unwrap(), id);
        assert!(!received.maybe_redelivered());
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_heard_while_the_store_fails_is_not_forgotten() {
    // Which of the two the session looks at first is up to chance.
    for _ in 0..16 {
        let mut w = World::new(Image::default()).await;
        let mut stream = w.accept().await;
        let mut events = w.session.events();
        for id in ["1", "2"] {
            say(&mut stream, &from_peer(id)).await;
        }
        let (first, second) = (w.receive().await, w.receive().await);
        w.store.hold();
        first.commit().await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        w.store_fails(false, 1);
        // The answer and the commit are there at once.
        w.store.resume();
        second.commit().await.unwrap();
        store_is_back(&mut events).await;
        let (mut stream, _) = w.accept_again().await;
        for id in ["1", "2"] {
            // Whoever sent it asks again, and hears that it took effect.
            say(&mut stream, &from_peer(id)).await;
            assert_eq!(receipt(&mut stream).await, id);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_begins_while_the_store_is_broken_is_given_all_the_same() {
    let mut w = World::new(Image::default()).await;
    let mut stream = w.accept().await;
    say(&mut stream, &from_peer("1")).await;
    drop(w.receive().await);
    let mut w = World::new(w.kill()).await;
    let request = w.request().await;
    let mut stream = accept(request, Resumption::Resumed { h: 0 }).await;
    // One that is given up halfway is the first of the next call, whichever it is.
    let early = tokio::time::timeout(Duration::ZERO, w.received.recv()).await;
    assert!(early.is_err());
    w.store_fails(false, 2);
    say(&mut stream, &from_peer("2")).await;
    let received = w.receive().await;
    assert_eq!(received.message().body().unwrap(), "1");
    assert!(received.maybe_redelivered());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_begin_any_more_says_so_as_often_as_it_is_asked() {
    let mut w = World::new(Image::default()).await;
    let mut stream = w.accept().await;
    say(&mut stream, &from_peer("1")).await;
    drop(w.receive().await);
    let mut w = World::new(w.kill()).await;
    let mut received = w.received.recv_for_later().await.unwrap();
    w.session.shutdown().await.unwrap();
    for _ in 0..2 {
        assert!(matches!(received.begin().await, Err(SendError::Closed)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_send_is_never_told_a_success_that_the_store_does_not_have() {
    for applied in [false, true] {
        let mut w = World::new(Image::default()).await;
        let mut events = w.session.events();
        let sender = w.session.sender();
        let kept = sender.send(to_peer("kept")).await.unwrap();
        // An attempt is under way; it is given up with the store.
        let _given_up = w.request().await;
        w.store_fails(applied, 1);
        let Err(SendError::PerhapsKept { id, source }) = sender.send(to_peer("perhaps")).await
        else {
            panic!("neither kept nor lost");
        };
        assert!(matches!(source, StoreError::Full(_)));
        // At once, with the reason.
        let refused = sender.send(to_peer("not")).await;
        assert!(matches!(
            refused,
            Err(SendError::StoreFailed(StoreError::Full(_)))
        ));
        let refused = sender.try_send(to_peer("not")).await;
        assert!(matches!(refused, Err(SendError::StoreFailed(_))));

        store_is_back(&mut events).await;
        let found = w.session.find(&id).await.unwrap();
        assert_eq!(found.is_some(), applied);
        let after = sender.send(to_peer("after")).await.unwrap();
        let mut stream = w.accept().await;
        let expected: &[&str] = if applied {
            &["kept", "perhaps", "after"]
        } else {
            &["kept", "after"]
        };
        for body in expected {
            let got = message(&mut stream).await;
            assert_eq!(got.body().as_deref(), Some(*body));
            say(&mut stream, &receipt_for(&got)).await;
        }
        // Handles from before the failure are as good as later ones.
        for sent in [kept, after] {
            let outcome = sent.outcome().await.unwrap();
            assert!(matches!(outcome, Outcome::Acknowledged { .. }));
        }
        if let Some(sent) = found.and_then(|found| found.into_sent()) {
            let outcome = sent.outcome().await.unwrap();
            assert!(matches!(outcome, Outcome::Acknowledged { .. }));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_outcome_is_told_whether_its_batch_was_lost_or_not() {
    for applied in [false, true] {
        let w = World::new(Image::default()).await;
        let short = to_peer("short").within(Duration::from_secs(5));
        let sent = w.session.sender().send(short).await.unwrap();
        w.store_fails(applied, 1);
        let outcome = sent.outcome().await.unwrap();
        // A new engine cannot know that an earlier one did not send it.
        if applied {
            assert_eq!(outcome, Outcome::NotDelivered(NotDelivered::Expired));
        } else {
            assert!(matches!(outcome, Outcome::InDoubt(_)), "{outcome}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_broken_is_tried_until_the_shutdown_which_waits_for_nothing() {
    let mut w = World::new(Image::default()).await;
    let mut stream = w.accept().await;
    w.store_fails(false, 1_000_000);
    say(&mut stream, &from_peer("1")).await;
    counts_to_the_end(&mut stream).await;
    let mut status = w.session.status();
    let mut waits = Vec::new();
    while waits.len() < 20 {
        status.changed().await.unwrap();
        let now = status.borrow_and_update().clone();
        let Status::Waiting {
            retry_in,
            cause: Disconnect::Store(StoreError::Full(_)),
        } = now
        else {
            panic!("{now:?}");
        };
        waits.push(retry_in);
        let refused = w.session.sender().send(to_peer("x")).await;
        assert!(matches!(refused, Err(SendError::StoreFailed(_))));
    }
    // Less and less often, and no less than that.
    assert!(waits.is_sorted() && waits[19] <= Duration::from_secs(30));
    assert!(waits[19] > waits[0]);
    let ended = w.session.shutdown().await;
    assert!(matches!(
        ended,
        Err(SessionError::Store(StoreError::Full(_)))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_again_and_again_loses_nothing_and_connects_no_oftener() {
    let mut w = World::new(Image::default()).await;
    let mut stream = w.accept().await;
    w.greet(&mut stream).await;
    let mut begun = Vec::new();
    let ids = ["1", "2", "3", "4", "5", "6", "7", "8"];
    for (n, id) in ids.into_iter().enumerate() {
        let applied = n % 2 == 0;
        w.store_fails(applied, 0);
        say(&mut stream, &from_peer(id)).await;
        let (next, token) = w.accept_again().await;
        begun.push(tokio::time::Instant::now());
        stream = next;
        assert_eq!(token.h as usize, 1 + n + usize::from(applied));
        if !applied {
            say(&mut stream, &from_peer(id)).await;
        }
        let received = w.receive().await;
        assert_eq!(received.message().body().unwrap(), id);
        received.commit().await.unwrap();
        assert_eq!(receipt(&mut stream).await, id);
    }
    for four in begun.windows(4) {
        assert!(four[3] - four[0] >= Duration::from_secs(6), "{four:?}");
    }
}
