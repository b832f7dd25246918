//! A device that speaks the delivery protocol, and the server between: both played by
//! hand, over an in-memory pipe.

#![allow(dead_code, reason = "each test file uses a part")]

use stanchion_connect::memory::MemoryServer;
use stanchion_connect::negotiation::Established;
use stanchion_connect::{Connection, Endpoint, SmSession};
use stanchion_reliability::store::{Opening, Seed, StoreId, WallTime};
use stanchion_stanza::payload::delivery::{
    Answer, Boot, Channel, Deliver, Device, Epoch, IdPrefix, Verdict, VerdictState,
};
use stanchion_stanza::payload::sm::{Ack, AckRequest};
use stanchion_stanza::stream::StreamHeader;
use stanchion_stanza::{Element, Limits, Message, Payload as _, Stanza, StreamEvent, Text};
use stanchion_transport::{TlsMode, XmppStream, memory};

pub(crate) const US: &str = "lamp@home.example/a";
pub(crate) const PEER: &str = "cloud@home.example/x";

/// For a store whose device is `lamp`.
pub(crate) fn opening() -> Opening {
    let seed = Seed {
        store_id: StoreId([7; 16]),
        boot_token: 1,
    };
    Opening::new(seed, WallTime::from_unix_ms(0)).device("lamp")
}

pub(crate) struct Peer {
    stream: XmppStream,
    /// Everything below is settled here.
    pub(crate) low: u64,
    /// Stanzas that came.
    handled: u32,
    /// Verdicts that nobody has asked for so far.
    heard: Vec<Verdict>,
}

impl Peer {
    /// The other end of a new managed stream.
    pub(crate) async fn accept(server: &mut MemoryServer) -> Self {
        let request = server.next().await.unwrap();
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
        Self {
            stream: far,
            low: 1,
            handled: 0,
            heard: Vec::new(),
        }
    }

    /// Message `seq` of the channel `c`; its body is its id.
    pub(crate) async fn send(&mut self, id: &str, seq: u64) {
        let said = Deliver {
            from: Device::new("D1").unwrap(),
            to: None,
            epoch: Epoch {
                index: 1,
                random: 5,
            },
            channel: Channel::new("c").unwrap(),
            seq,
            low: self.low,
            id: IdPrefix::from_bits(seq),
            prev: None,
            boot: Boot(3),
            deadline: None,
            unordered: false,
            knows: 0,
            jids: None,
        };
        let message = text(id).with_payload(said.to_element());
        self.say(&message.to_element()).await;
    }

    /// A message outside of any channel.
    pub(crate) async fn say_plainly(&mut self, id: &str) {
        self.say(&text(id).to_element()).await;
    }

    async fn say(&mut self, element: &Element) {
        self.stream.send(element).unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next message that comes.
    pub(crate) async fn message(&mut self) -> Message {
        loop {
            let event = self.stream.next().await;
            let Ok(StreamEvent::Element(element)) = event else {
                panic!("the stream ended: {event:?}");
            };
            if AckRequest::matches(&element) {
                let h = self.handled;
                self.say(&Ack { h }.to_element()).await;
                continue;
            }
            self.handled += u32::from(Stanza::is_stanza(&element));
            if let Ok(Stanza::Message(message)) = Stanza::from_element(element) {
                return message;
            }
        }
    }

    /// The next verdict on that message. That it is in the application's hands, as the
    /// first message of a stranger is answered, is passed over.
    pub(crate) async fn verdict(&mut self, seq: u64) -> VerdictState {
        loop {
            if let Some(at) = self.heard.iter().position(|verdict| verdict.seq == seq) {
                return self.heard.remove(at).state;
            }
            let message = self.message().await;
            if let Ok(Some(answer)) = message.payload::<Answer>() {
                let news = answer.verdicts.into_iter();
                let news = news.filter(|verdict| verdict.state != VerdictState::Handed);
                self.heard.extend(news);
            }
        }
    }
}

fn text(id: &str) -> Message {
    let mut message = Message::chat(US.parse().unwrap())
        .with_id(Text::new(id).unwrap())
        .with_body(Text::new(id).unwrap());
    message.header.from = Some(PEER.parse().unwrap());
    message
}
