//! The corpus: what a client of sensors and people receives in a while. Of 100 stanzas 30
//! are chat messages that ask for a receipt, 20 sensor readings by pubsub, 15
//! acknowledgements, 12 presences, 10 messages of a room, 13 iqs; five have texts beyond
//! ASCII; one message in 1,000 has a body of 50 kB. The same on every run.

use std::fmt::Write as _;

/// A kind of stanza.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A message with a body, an origin id and a request for a receipt.
    Chat,
    /// A reading of four values, published by a device.
    Sensor,
    /// Stream management: `<a/>` or `<r/>`.
    Ack,
    /// Availability with capabilities.
    Presence,
    /// A message of a room, archived there.
    Room,
    /// Ping, discovery, or an empty result.
    Iq,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Chat,
        Self::Sensor,
        Self::Ack,
        Self::Presence,
        Self::Room,
        Self::Iq,
    ];

    /// For tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Sensor => "sensor",
            Self::Ack => "ack",
            Self::Presence => "presence",
            Self::Room => "room",
            Self::Iq => "iq",
        }
    }
}

/// `count` stanzas, each as one string; the seed is fixed.
#[must_use]
pub fn stanzas(count: usize) -> Vec<(Kind, String)> {
    let mut dice = Dice(0x5DEE_CE66);
    (0..count)
        .map(|at| {
            let kind = match dice.below(100) {
                0..30 => Kind::Chat,
                30..50 => Kind::Sensor,
                50..65 => Kind::Ack,
                65..77 => Kind::Presence,
                77..87 => Kind::Room,
                _ => Kind::Iq,
            };
            if at % 1000 == 500 {
                (Kind::Chat, dice.chat(50_000))
            } else {
                (kind, dice.stanza(kind))
            }
        })
        .collect()
}

/// `count` stanzas of one kind, without the large ones.
#[must_use]
pub fn of(kind: Kind, count: usize) -> Vec<String> {
    let mut dice = Dice(0x1234_5678);
    (0..count).map(|_| dice.stanza(kind)).collect()
}

/// A generator of the xorshift family (Marsaglia 2003): not random, but mixed.
struct Dice(u64);

const WORDS: &[&str] = &[
    "the", "pump", "in", "hall", "two", "runs", "hot", "since", "noon", "please", "look", "at",
    "valve", "seven", "&amp;", "tell", "me", "when", "it", "is", "shut", "again", "I", "will",
    "be", "there", "by", "four", "with", "spare", "parts", "and", "coffee", "thanks",
];
const BEYOND: &[&str] = &[
    "Größe",
    "überprüft",
    "température",
    "вентиль",
    "закрыт",
    "温度",
    "正常",
    "°C",
    "🔧",
    "žádné",
];
const PEOPLE: &[&str] = &["alice", "bob", "carol", "dmitri", "eve", "farid"];
const PLACES: &[&str] = &["hall", "roof", "cellar", "yard", "lab"];

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len() as u64) as usize]
    }

    fn id(&mut self) -> String {
        let (a, b) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-7{:03x}-a{:03x}-{:012x}",
            a >> 32,
            a & 0xFFFF,
            (a >> 16) & 0xFFF,
            b & 0xFFF,
            b >> 16
        )
    }

    fn text(&mut self, length: usize) -> String {
        let beyond = self.below(20) == 0;
        let mut text = String::with_capacity(length + 16);
        while text.len() < length {
            if !text.is_empty() {
                text.push(' ');
            }
            let odd = beyond && self.below(3) == 0;
            text += self.of(if odd { BEYOND } else { WORDS });
        }
        text
    }

    fn stanza(&mut self, kind: Kind) -> String {
        match kind {
            Kind::Chat => {
                let length = 40 + self.below(120) as usize;
                self.chat(length)
            }
            Kind::Sensor => self.sensor(),
            Kind::Ack => match self.below(3) {
                0 => "<r xmlns='urn:xmpp:sm:3'/>".to_owned(),
                _ => format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.below(100_000)),
            },
            Kind::Presence => self.presence(),
            Kind::Room => self.room(),
            Kind::Iq => self.iq(),
        }
    }

    fn chat(&mut self, length: usize) -> String {
        let (from, place, to) = (self.of(PEOPLE), self.of(PLACES), self.of(PEOPLE));
        let (id, body) = (self.id(), self.text(length));
        format!(
            "<message from='{from}@example.org/{place}' to='{to}@example.org/desk' id='{id}' \
             type='chat'><body>{body}</body><origin-id xmlns='urn:xmpp:sid:0' id='{id}'/>\
             <request xmlns='urn:xmpp:receipts'/></message>"
        )
    }

    fn sensor(&mut self) -> String {
        let (place, to) = (self.of(PLACES), self.of(PEOPLE));
        let (id, item) = (self.id(), self.id());
        let mut fields = String::new();
        for name in ["temperature", "humidity", "pressure", "supply"] {
            let (whole, part) = (self.below(1000), self.below(100));
            let _ = write!(
                fields,
                "<numeric name='{name}' value='{whole}.{part:02}' unit='u'/>"
            );
        }
        format!(
            "<message from='pubsub.example.org' to='{to}@example.org/desk' id='{id}' \
             type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'>\
             <items node='sensors/{place}'><item id='{item}' publisher='{place}@example.org/s1'>\
             <fields xmlns='urn:example:sensordata'>\
             <timestamp value='2024-05-17T09:{:02}:{:02}Z'>{fields}</timestamp></fields>\
             </item></items></event></message>",
            self.below(60),
            self.below(60)
        )
    }

    fn presence(&mut self) -> String {
        let (from, place, to) = (self.of(PEOPLE), self.of(PLACES), self.of(PEOPLE));
        let (show, status) = (self.of(&["away", "chat", "dnd", "xa"]), self.text(30));
        let priority = self.below(20);
        format!(
            "<presence from='{from}@example.org/{place}' to='{to}@example.org/desk'>\
             <show>{show}</show><status>{status}</status><priority>{priority}</priority>\
             <c xmlns='http://jabber.org/protocol/caps' hash='sha-1' \
             node='https://example.org/client' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/></presence>"
        )
    }

    fn room(&mut self) -> String {
        let (from, place, to) = (self.of(PEOPLE), self.of(PLACES), self.of(PEOPLE));
        let (id, archived) = (self.id(), self.id());
        let length = 30 + self.below(100) as usize;
        let body = self.text(length);
        format!(
            "<message from='{place}@rooms.example.org/{from}' to='{to}@example.org/desk' \
             id='{id}' type='groupchat' xml:lang='en'><body>{body}</body>\
             <stanza-id xmlns='urn:xmpp:sid:0' id='{archived}' by='{place}@rooms.example.org'/>\
             <delay xmlns='urn:xmpp:delay' stamp='2024-05-17T09:{:02}:00Z'/></message>",
            self.below(60)
        )
    }

    fn iq(&mut self) -> String {
        let (from, to, id) = (self.of(PEOPLE), self.of(PEOPLE), self.id());
        let head = format!("<iq from='{from}@example.org/x' to='{to}@example.org/desk' id='{id}'");
        match self.below(4) {
            0 => format!("{head} type='get'><ping xmlns='urn:xmpp:ping'/></iq>"),
            1 => format!("{head} type='result'/>"),
            2 => format!(
                "{head} type='get'><query xmlns='http://jabber.org/protocol/disco#info' \
                 node='https://example.org/client#QgayPKawpkPSDYmwT/WM94uAlu0='/></iq>"
            ),
            _ => {
                let features: String = (0..8)
                    .map(|_| {
                        let part = self.of(&["caps", "disco#info", "muc", "pubsub", "ping"]);
                        let n = self.below(10_000);
                        format!("<feature var='http://jabber.org/protocol/{part}/{n}'/>")
                    })
                    .collect();
                format!(
                    "{head} type='result'><query xmlns='http://jabber.org/protocol/disco#info'>\
                     <identity category='client' type='pc' name='desk'/>{features}</query></iq>"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_is_what_it_is_said_to_be() {
        let all = stanzas(10_000);
        let share = |kind| all.iter().filter(|(k, _)| *k == kind).count();
        let wanted = [
            (Kind::Chat, 3000),
            (Kind::Sensor, 2000),
            (Kind::Ack, 1500),
            (Kind::Presence, 1200),
            (Kind::Room, 1000),
            (Kind::Iq, 1300),
        ];
        for (kind, wanted) in wanted {
            let got = share(kind);
            assert!(got.abs_diff(wanted) < wanted / 8, "{kind:?}: {got}");
        }
        let bytes: usize = all.iter().map(|(_, s)| s.len()).sum();
        assert!(
            (380..480).contains(&(bytes / all.len())),
            "{}",
            bytes / all.len()
        );
        assert_eq!(all.iter().filter(|(_, s)| s.len() > 50_000).count(), 10);
        assert_eq!(stanzas(100), stanzas(100));
    }
}
