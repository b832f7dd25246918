//! The router under test: a bench that plays all connections, and the laws in the files
//! below.

mod account;
mod archive;
mod component;
mod laws;
mod properties;
mod pubsub;
mod routing;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, UNIX_EPOCH};

use stanchion_stanza::stream::{StreamCondition, StreamError};
use stanchion_stanza::{Element, Limits, Scope, Stanza, codec::parse_element};

use super::*;

/// Elements of one write, as they stood in it.
pub(super) type Write = Vec<Element>;

/// A router and the other end of all its connections.
pub(super) struct Bench {
    pub(super) router: Router,
    pub(super) now: Now,
    /// What was written to each connection and not yet looked at, write by write.
    writes: BTreeMap<ConnectionId, Vec<Write>>,
    /// Connections whose last write is not yet confirmed.
    in_flight: BTreeMap<ConnectionId, Write>,
    pub(super) closed: BTreeMap<ConnectionId, Option<StreamError>>,
    pub(super) disk: BTreeMap<StoredId, StoredMessage>,
    /// What was done to it, in order.
    pub(super) log: Vec<Persist>,
    /// All that was ever archived, on disk.
    pub(super) archived: Vec<ArchivedMessage>,
    /// Ids of all messages that were ever on it.
    pub(super) ever_stored: BTreeSet<String>,
    next: u64,
    /// Whether writes are confirmed at once.
    pub(super) prompt: bool,
}

/// Four accounts, and none more.
pub(super) fn config(limits: HubLimits) -> RouterConfig {
    RouterConfig {
        domain: Jid::new("hub.example").unwrap(),
        accounts: ["a", "b", "c", "s"].map(String::from).to_vec(),
        registers: false,
        limits,
        resume_timeout: Duration::from_secs(300),
    }
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(HubLimits::default(), Vec::new())
    }

    pub(super) fn with(limits: HubLimits, stored: Vec<StoredMessage>) -> Self {
        Self::of(config(limits), stored)
    }

    pub(super) fn of(config: RouterConfig, stored: Vec<StoredMessage>) -> Self {
        let disk = stored.iter().map(|m| (m.id, m.clone())).collect();
        Self {
            router: Router::new(config, stored),
            now: Now {
                monotonic: Instant::now(),
                wall: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            },
            writes: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            closed: BTreeMap::new(),
            disk,
            log: Vec::new(),
            archived: Vec::new(),
            ever_stored: BTreeSet::new(),
            next: 0,
            prompt: true,
        }
    }

    pub(super) fn handle(&mut self, input: Input) {
        self.router.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            let output = self.router.poll_output();
            if let Output::Persist(change) = &output {
                self.log.push(change.clone());
            }
            match output {
                Output::Persist(Persist::Store(message)) => {
                    let ids = split(&message.stanza);
                    let ids = ids.iter().filter_map(|e| e.attr("id"));
                    self.ever_stored.extend(ids.map(String::from));
                    assert!(self.disk.insert(message.id, message).is_none());
                }
                Output::Persist(Persist::Remove(id)) => {
                    assert!(self.disk.remove(&id).is_some(), "{id:?} is not stored");
                }
                Output::Persist(Persist::Archive(message)) => self.archived.push(message),
                Output::Persist(Persist::Forget(account)) => {
                    self.archived.retain(|message| message.account != account);
                }
                Output::Send { connection, bytes } => {
                    let write = split(&bytes);
                    let before = self.in_flight.insert(connection, write);
                    assert!(before.is_none(), "one write at a time");
                    if self.prompt {
                        self.confirm(connection);
                    }
                }
                Output::Close { connection, error } => {
                    self.closed.insert(connection, error.map(|e| *e));
                    self.in_flight.remove(&connection);
                }
                Output::Wait(_) => break,
            }
        }
    }

    /// The write to that connection is done. False if there was none.
    pub(super) fn confirm(&mut self, connection: ConnectionId) -> bool {
        let Some(write) = self.in_flight.remove(&connection) else {
            return false;
        };
        self.writes.entry(connection).or_default().push(write);
        self.router.handle(self.now, Input::Written { connection });
        if !self.prompt {
            self.drain();
        }
        true
    }

    pub(super) fn advance(&mut self, seconds: u64) {
        self.now.monotonic += Duration::from_secs(seconds);
        self.now.wall += Duration::from_secs(seconds);
        self.handle(Input::Tick);
    }

    /// A client that has logged in.
    pub(super) fn log_in(&mut self, account: &str) -> ConnectionId {
        self.next += 1;
        let connection = ConnectionId(self.next);
        let mut entropy = [0; 24];
        entropy[..8].copy_from_slice(&self.next.to_be_bytes());
        entropy[16..].copy_from_slice(&self.next.to_be_bytes());
        self.handle(Input::Authenticated {
            connection,
            account: account.into(),
            entropy,
        });
        connection
    }

    /// A client that has bound a resource.
    pub(super) fn bind(&mut self, account: &str, resource: &str) -> ConnectionId {
        let connection = self.log_in(account);
        self.say(
            connection,
            &format!(
                "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
                 <resource>{resource}</resource></bind></iq>"
            ),
        );
        if self.prompt {
            self.hear(connection);
        }
        connection
    }

    /// A client that is available.
    pub(super) fn online(&mut self, account: &str, resource: &str) -> ConnectionId {
        let connection = self.bind(account, resource);
        self.say(connection, "<presence/>");
        self.hear(connection);
        connection
    }

    /// A client that has enabled stream management and is available; its id.
    pub(super) fn managed(&mut self, account: &str, resource: &str) -> (ConnectionId, String) {
        let connection = self.bind(account, resource);
        let id = self.enable(connection);
        self.say(connection, "<presence/>");
        self.hear(connection);
        (connection, id)
    }

    pub(super) fn enable(&mut self, connection: ConnectionId) -> String {
        self.say(connection, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
        let heard = self.hear(connection);
        heard[0].attr("id").unwrap().to_owned()
    }

    /// What a client sends.
    pub(super) fn say(&mut self, connection: ConnectionId, xml: &str) {
        let element = parse(xml);
        self.handle(Input::Element {
            connection,
            element,
        });
    }

    pub(super) fn chat(&mut self, connection: ConnectionId, to: &str, id: &str) {
        let xml = format!("<message to='{to}' id='{id}' type='chat'><body>{id}</body></message>");
        self.say(connection, &xml);
    }

    pub(super) fn lose(&mut self, connection: ConnectionId) {
        self.in_flight.remove(&connection);
        let ending = Ending::Lost;
        self.handle(Input::Ended { connection, ending });
    }

    pub(super) fn close(&mut self, connection: ConnectionId) {
        self.in_flight.remove(&connection);
        let ending = Ending::Closed;
        self.handle(Input::Ended { connection, ending });
    }

    /// What was written to a connection since the last look, write by write.
    pub(super) fn writes(&mut self, connection: ConnectionId) -> Vec<Write> {
        self.writes.remove(&connection).unwrap_or_default()
    }

    /// The same, all together.
    pub(super) fn hear(&mut self, connection: ConnectionId) -> Vec<Element> {
        self.writes(connection).into_iter().flatten().collect()
    }

    /// The ids of the stanzas among it.
    pub(super) fn ids(&mut self, connection: ConnectionId) -> Vec<String> {
        self.hear(connection)
            .iter()
            .filter(|e| Stanza::is_stanza(e))
            .map(|e| e.attr("id").unwrap_or("-").to_owned())
            .collect()
    }

    /// The one element that was written.
    pub(super) fn one(&mut self, connection: ConnectionId) -> Element {
        let mut heard = self.hear(connection);
        assert_eq!(heard.len(), 1, "{heard:#?}");
        heard.remove(0)
    }

    pub(super) fn condition(&self, connection: ConnectionId) -> Option<StreamCondition> {
        self.closed.get(&connection)?.as_ref().map(|e| e.condition)
    }

    /// What the disk has for an account, by message id.
    pub(super) fn stored(&self, account: &str) -> Vec<String> {
        self.disk
            .values()
            .filter(|m| m.account == account)
            .flat_map(|m| split(&m.stanza))
            .map(|e| e.attr("id").unwrap_or("-").to_owned())
            .collect()
    }
}

pub(super) fn parse(xml: &str) -> Element {
    parse_element(xml.as_bytes(), &Scope::client(), &Limits::default()).unwrap()
}

fn split(bytes: &[u8]) -> Vec<Element> {
    let mut decoder = stanchion_stanza::Decoder::without_root(Scope::client(), Limits::default());
    decoder.push(bytes);
    let mut elements = Vec::new();
    while let Some(event) = decoder.next_event().unwrap() {
        if let stanchion_stanza::StreamEvent::Element(element) = event {
            elements.push(element);
        }
    }
    assert_eq!(decoder.pending(), 0, "whole elements only");
    elements
}

/// The condition of a stanza error.
pub(super) fn error_of(element: &Element) -> &str {
    assert_eq!(element.attr("type"), Some("error"), "{element:?}");
    let error = element.children().find(|c| c.name() == "error").unwrap();
    error.children().next().unwrap().name()
}
