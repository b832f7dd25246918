//! Handles to messages: stages that can be awaited, sending without waiting, and what is
//! found of a message by its id. The server is played by hand, and time is virtual.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

use std::future::Future as _;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use stanchion_connect::memory::{MemoryConnect, MemoryServer};
use stanchion_connect::negotiation::Established;
use stanchion_connect::{Connection, Endpoint, SmSession};
use stanchion_reliability::outcome::{InDoubt, NotDelivered, Outcome};
use stanchion_reliability::session::{
    FindError, Outgoing, SendError, Session, SessionConfig, Stage, Status,
};
use stanchion_reliability::store::{
    Image, MemoryControl, MemoryStore, Opening, OutboundState, Seed, StoreId, WallTime,
};
use stanchion_stanza::payload::receipts::Received as Receipt;
use stanchion_stanza::payload::sm::Ack;
use stanchion_stanza::stream::StreamHeader;
use stanchion_stanza::{Element, Limits, Message, Payload as _, Stanza, StreamEvent, Text};
use stanchion_transport::{TlsMode, XmppStream, memory};

const US: &str = "lamp@home.example/a";
const PEER: &str = "cloud@home.example";

struct World {
    session: Session,
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
        let started = Session::start(Arc::new(connect), Box::new(store), config).await;
        World {
            session: started.unwrap().0,
            server,
            store: control,
        }
    }

    /// The other end of a new managed stream.
    async fn accept(&mut self) -> XmppStream {
        let request = self.server.next().await.unwrap();
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
        let endpoint = Endpoint::at(([127, 0, 0, 1], 5222).into(), TlsMode::None);
        request.answer(Ok(Connection::new(near, established, endpoint)));
        far
    }
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

#[track_caller]
fn assert_success(outcome: &Outcome) {
    let doubt = matches!(outcome, Outcome::NotDelivered(_) | Outcome::InDoubt(_));
    assert!(!doubt, "{outcome}");
}

#[tokio::test(start_paused = true)]
async fn the_word_of_the_server_is_a_stage_before_the_outcome() {
    let mut w = World::new(Image::default()).await;
    let sent = w.session.sender().send(to_peer("on")).await.unwrap();
    assert_eq!(sent.stage(), Stage::Accepted);
    let mut stream = w.accept().await;
    let got = message(&mut stream).await;
    assert_eq!(sent.stage(), Stage::Accepted);
    say(&mut stream, &Ack { h: 1 }.to_element()).await;
    assert_eq!(sent.server_accepted().await.unwrap(), Stage::ServerAccepted);
    assert_eq!(sent.stage(), Stage::ServerAccepted);
    say(&mut stream, &receipt_for(&got)).await;
    let (other, again) = (sent.clone(), sent.clone());
    let outcome = sent.outcome().await.unwrap();
    assert_success(&outcome);
    assert_eq!(
        other.server_accepted().await.unwrap(),
        Stage::Settled(outcome.clone())
    );
    assert_eq!(again.outcome().await.unwrap(), outcome);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_comes_first_ends_the_wait_for_the_server() {
    let mut w = World::new(Image::default()).await;
    let sent = w.session.sender().send(to_peer("on")).await.unwrap();
    let mut stream = w.accept().await;
    let got = message(&mut stream).await;
    say(&mut stream, &receipt_for(&got)).await;
    let Stage::Settled(outcome) = sent.server_accepted().await.unwrap() else {
        panic!("the server said nothing");
    };
    assert_success(&outcome);

    let late = to_peer("late").within(Duration::from_secs(5));
    drop(stream);
    drop(w.server);
    let mut status = w.session.status();
    let gone = status.wait_for(|s| !matches!(s, Status::Connected { .. }));
    gone.await.unwrap();
    let late = w.session.sender().send(late).await.unwrap();
    let expired = Outcome::NotDelivered(NotDelivered::Expired);
    assert_eq!(
        late.server_accepted().await.unwrap(),
        Stage::Settled(expired)
    );
}

#[tokio::test(start_paused = true)]
async fn an_end_of_the_session_ends_every_wait() {
    let w = World::new(Image::default()).await;
    let sender = w.session.sender();
    let sent = sender.send(to_peer("on")).await.unwrap();
    let (id, watched) = (sent.id().to_owned(), sent.clone());
    w.session.shutdown().await.unwrap();
    assert!(matches!(
        watched.server_accepted().await,
        Err(SendError::Closed)
    ));
    assert!(matches!(sent.outcome().await, Err(SendError::Closed)));
    assert!(matches!(sender.find(&id).await, Err(FindError::Closed)));
    assert!(matches!(
        sender.try_send(to_peer("x")).await,
        Err(SendError::Closed)
    ));
}

#[tokio::test(start_paused = true)]
async fn try_send_never_waits_for_room() {
    let w = World::with(Image::default(), |config| config.engine.outbox = 1).await;
    let sender = w.session.sender();
    let first = to_peer("1").within(Duration::from_secs(30));
    let first = sender.try_send(first).await.unwrap();
    let started = tokio::time::Instant::now();
    let full = sender.try_send(to_peer("2")).await;
    assert!(matches!(full, Err(SendError::QueueFull)), "{full:?}");

    // More than the queue holds.
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let sender = sender.clone();
        waiting.spawn(async move { sender.send(to_peer("3")).await });
    }
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    let full = sender.try_send(to_peer("4")).await;
    assert!(matches!(full, Err(SendError::QueueFull)), "{full:?}");
    assert_eq!(started.elapsed(), Duration::ZERO);

    first.outcome().await.unwrap();
    waiting.join_next().await.unwrap().unwrap().unwrap();
    let full = sender.try_send(to_peer("5")).await;
    assert!(matches!(full, Err(SendError::QueueFull)), "{full:?}");
    assert_eq!(w.session.counters().accepted, 2);
}

#[tokio::test(start_paused = true)]
async fn room_goes_to_those_who_wait_before_those_who_only_try() {
    let w = World::with(Image::default(), |config| config.engine.outbox = 1).await;
    let sender = w.session.sender();
    let brief = || to_peer("brief").within(Duration::from_millis(100));
    sender.send(brief()).await.unwrap();
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let sender = sender.clone();
        waiting.spawn(async move { drop(sender.send(brief()).await.unwrap()) });
    }
    let all_accepted = async { while waiting.join_next().await.is_some() {} };
    let trying = async {
        loop {
            // At the very moment at which there is room, too.
            tokio::time::sleep(Duration::from_millis(1)).await;
            if let Ok(sent) = sender.try_send(brief()).await {
                return sent;
            }
        }
    };
    tokio::select! {
        biased;
        () = all_accepted => {}
        sent = trying => panic!("{} took the room of one that waited", sent.id()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_of_an_earlier_process_is_found_and_its_outcome_awaited() {
    let w = World::new(Image::default()).await;
    let id = {
        let sent = w.session.sender().send(to_peer("on")).await.unwrap();
        sent.id().to_owned()
    };
    let image = w.store.crash();
    drop(w);

    let mut w = World::new(image).await;
    let found = w.session.find(&id).await.unwrap().unwrap();
    assert_eq!((&found.record().id, &*found.record().to), (&id, PEER));
    assert_eq!(found.record().state, OutboundState::Accepted);
    let sent = found.into_sent().unwrap();
    let mut stream = w.accept().await;
    let got = message(&mut stream).await;
    assert_eq!(got.header.id.as_deref(), Some(&*id));
    say(&mut stream, &Ack { h: 1 }.to_element()).await;
    assert_eq!(sent.server_accepted().await.unwrap(), Stage::ServerAccepted);
    say(&mut stream, &receipt_for(&got)).await;
    assert_success(&sent.outcome().await.unwrap());

    let found = w.session.find(&id).await.unwrap().unwrap();
    assert!(found.record().state.is_final(), "{:?}", found.record());
    assert!(found.sent().is_none());
    assert!(w.session.find("no such id").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_found_in_doubt_waits_for_what_follows() {
    let mut w = World::new(Image::default()).await;
    let on = to_peer("on").within(Duration::from_secs(5));
    let sent = w.session.sender().send(on).await.unwrap();
    let mut stream = w.accept().await;
    let got = message(&mut stream).await;
    let id = sent.id().to_owned();
    let doubt = sent.outcome().await.unwrap();
    assert_eq!(
        doubt,
        Outcome::InDoubt(InDoubt::NoReceipt { last_error: None })
    );

    let found = w.session.find(&id).await.unwrap().unwrap();
    assert!(matches!(
        found.record().state,
        OutboundState::InDoubt { open: true, .. }
    ));
    say(&mut stream, &receipt_for(&got)).await;
    assert_success(&found.into_sent().unwrap().outcome().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn no_outcome_falls_between_a_record_and_its_handle() {
    let mut w = World::new(Image::default()).await;
    let mut stream = w.accept().await;
    let sender = w.session.sender();
    let mut finding = tokio::task::JoinSet::new();
    for n in 0..64_u64 {
        let sent = sender.send(to_peer("on")).await.unwrap();
        let got = message(&mut stream).await;
        let sender = sender.clone();
        finding.spawn(async move {
            // At each place of the way of the receipt.
            for _ in 0..n % 16 {
                tokio::task::yield_now().await;
            }
            let found = sender.find(sent.id()).await.unwrap().unwrap();
            match found.into_sent() {
                Some(sent) => assert_success(&sent.outcome().await.unwrap()),
                None => assert_success(&sent.outcome().await.unwrap()),
            }
        });
        say(&mut stream, &receipt_for(&got)).await;
    }
    let all = async {
        while let Some(found) = finding.join_next().await {
            found.unwrap()
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_while_a_message_becomes_durable_goes_into_one_batch() {
    let world = World::new(Image::default()).await;
    // What a session does at its start.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let before = world.store.commits();
    world.store.hold();
    let mut sends = tokio::task::JoinSet::new();
    for n in 0..10 {
        let sender = world.session.sender();
        sends.spawn(async move {
            let text = format!("m{n}");
            let outgoing = Outgoing::text(PEER.parse().unwrap(), text).unwrap();
            sender.send(outgoing).await.unwrap();
        });
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.store.resume();
    sends.join_all().await;
    assert_eq!(world.store.commits() - before, 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_nowhere_does_not_wait_for_what_becomes_durable() {
    let mut world = World::new(Image::default()).await;
    let mut stream = world.accept().await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    world.store.hold();
    let sender = world.session.sender();
    let kept = Outgoing::text(PEER.parse().unwrap(), "kept").unwrap();
    let kept = tokio::spawn(async move { sender.send(kept).await });
    tokio::time::sleep(Duration::from_millis(1)).await;
    let fleeting = Outgoing::text(PEER.parse().unwrap(), "now").unwrap();
    let sender = world.session.sender();
    let sent = sender.send(fleeting.at_most_once());
    let sent = tokio::time::timeout(Duration::from_secs(1), sent).await;
    assert_eq!(
        sent.unwrap().unwrap().outcome().await.unwrap(),
        Outcome::Transmitted
    );
    let first = message(&mut stream).await;
    assert_eq!(first.body().unwrap(), "now");
    world.store.resume();
    kept.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_taken_back_while_it_waits_for_the_disk_is_not_sent() {
    let world = World::new(Image::default()).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    world.store.hold();
    let (sender, other) = (world.session.sender(), world.session.sender());
    let first = Outgoing::text(PEER.parse().unwrap(), "first").unwrap();
    let first = tokio::spawn(async move { sender.send(first).await });
    tokio::time::sleep(Duration::from_millis(1)).await;
    let second = Outgoing::text(PEER.parse().unwrap(), "second").unwrap();
    let (second, id) = second.with_id();
    let given_up = tokio::time::timeout(Duration::from_millis(1), other.send(second)).await;
    assert!(given_up.is_err());
    other.cancel(&id).await.unwrap();
    world.store.resume();
    first.await.unwrap().unwrap();
    let tracked = world.session.find(&id).await.unwrap().unwrap();
    // Whether it is decided by now is the driver's choice among what is ready.
    let outcome = match Outcome::of(tracked.record()) {
        Some(decided) => decided,
        None => {
            let outcome = tracked.into_sent().unwrap().outcome();
            let outcome = tokio::time::timeout(Duration::from_secs(1), outcome).await;
            outcome.unwrap().unwrap()
        }
    };
    assert!(
        matches!(outcome, Outcome::NotDelivered(NotDelivered::Cancelled)),
        "{outcome:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_send_that_nobody_looks_after_holds_up_no_end() {
    let world = World::with(Image::default(), |config| config.engine.outbox = 1).await;
    let sender = world.session.sender();
    let first = to_peer("0").within(Duration::from_secs(1));
    let first = sender.send(first).await.unwrap();
    // The outbox is full, and then the queue before it.
    let waiting: Vec<_> = (0..256)
        .map(|n| {
            let sender = sender.clone();
            tokio::spawn(async move { sender.send(to_peer(&n.to_string())).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut last = Box::pin(sender.send(to_peer("last")));
    let mut context = Context::from_waker(Waker::noop());
    assert!(last.as_mut().poll(&mut context).is_pending());
    // That makes room in both, which `last` is given and does not take.
    let expired = Outcome::NotDelivered(NotDelivered::Expired);
    assert_eq!(first.outcome().await.unwrap(), expired);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ended = tokio::time::timeout(Duration::from_secs(60), world.session.shutdown());
    assert!(ended.await.is_ok_and(|ended| ended.is_ok()));
    let mut kept = 0;
    for send in waiting {
        match send.await.unwrap() {
            Ok(_) => kept += 1,
            Err(error) => assert!(matches!(error, SendError::Closed), "{error}"),
        }
    }
    assert_eq!(kept, 1);
    assert!(matches!(last.await, Err(SendError::Closed)));
}
