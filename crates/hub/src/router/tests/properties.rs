//! Nothing is lost: whatever sessions do, every message is received or its sender is told,
//! but for those that a rule says to drop.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Online {
        account: usize,
        resource: usize,
        managed: bool,
        priority: i8,
    },
    Send {
        account: usize,
        resource: Option<usize>,
        kind: usize,
        no_store: bool,
    },
    Confirm(usize),
    Acknowledge(usize),
    Lose(usize),
    Close(usize),
    Resume(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..8usize;
    prop_oneof![
        2 => (0..2usize, 0..2usize, any::<bool>(), -1..3i8).prop_map(
            |(account, resource, managed, priority)| Step::Online {
                account, resource, managed, priority,
            }
        ),
        6 => (0..2usize, prop::option::of(0..3usize), 0..5usize, prop::bool::weighted(0.1))
            .prop_map(|(account, resource, kind, no_store)| Step::Send {
                account, resource, kind, no_store,
            }),
        5 => client.clone().prop_map(Step::Confirm),
        2 => client.clone().prop_map(Step::Acknowledge),
        2 => client.clone().prop_map(Step::Lose),
        1 => client.clone().prop_map(Step::Close),
        3 => client.prop_map(Step::Resume),
        1 => (1..400u64).prop_map(Step::Wait),
    ]
}

const KINDS: [&str; 5] = ["chat", "normal", "groupchat", "headline", "error"];

/// A client as it should be: it counts what it gets.
#[derive(Debug)]
struct Client {
    account: &'static str,
    connection: ConnectionId,
    resumption: Option<String>,
    handled: u32,
    /// Messages got, with the count that acknowledges each.
    got: Vec<(u32, String)>,
    acknowledged: u32,
    lost: bool,
}

struct World {
    bench: Bench,
    sender: ConnectionId,
    clients: Vec<Client>,
    sent: BTreeMap<String, (&'static str, bool)>,
    received: BTreeSet<String>,
    /// Received by a client that did not live to acknowledge it: may be sent again.
    uncertain: BTreeSet<String>,
    bounced: BTreeSet<String>,
    /// Sent before a connection of their sender was closed: their errors may be lost.
    unheard: BTreeSet<String>,
}

impl World {
    fn new(limits: HubLimits) -> Self {
        let mut bench = Bench::with(limits, Vec::new());
        let sender = bench.online("s", "x");
        bench.prompt = false;
        Self {
            bench,
            sender,
            clients: Vec::new(),
            sent: BTreeMap::new(),
            received: BTreeSet::new(),
            uncertain: BTreeSet::new(),
            bounced: BTreeSet::new(),
            unheard: BTreeSet::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Online {
                account,
                resource,
                managed,
                priority,
            } => {
                self.online(*account, *resource, *managed, *priority);
            }
            Step::Send {
                account,
                resource,
                kind,
                no_store,
            } => {
                self.send(*account, *resource, *kind, *no_store);
            }
            Step::Confirm(at) => {
                let connection = self.pick(*at).map(|c| c.connection);
                if let Some(connection) = connection {
                    self.bench.confirm(connection);
                }
            }
            Step::Acknowledge(at) => {
                let said = self.pick(*at).filter(|c| c.resumption.is_some()).map(|c| {
                    c.acknowledged = c.handled;
                    (c.connection, c.handled)
                });
                if let Some((connection, h)) = said {
                    self.bench
                        .say(connection, &format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>"));
                }
            }
            Step::Lose(at) => {
                if let Some(client) = self.pick(*at) {
                    client.lost = true;
                    let connection = client.connection;
                    self.bench.lose(connection);
                }
            }
            Step::Close(at) => {
                if let Some(client) = self.pick(*at) {
                    client.lost = true;
                    let connection = client.connection;
                    self.bench.close(connection);
                }
            }
            Step::Resume(at) => self.resume(*at),
            Step::Wait(seconds) => {
                self.bench.advance(*seconds);
                // The sender is always there.
                self.bench.say(self.sender, "<presence/>");
            }
        }
        self.listen();
    }

    /// A connected client.
    fn pick(&mut self, at: usize) -> Option<&mut Client> {
        let count = self.clients.len();
        self.clients.get_mut(at % count.max(1)).filter(|c| !c.lost)
    }

    fn online(&mut self, account: usize, resource: usize, managed: bool, priority: i8) {
        let account = ["a", "b"][account];
        let connection = self.bench.bind(account, ["one", "two"][resource]);
        let mut resumption = None;
        self.bench.confirm(connection);
        self.bench.hear(connection);
        if managed {
            self.bench
                .say(connection, "<enable xmlns='urn:xmpp:sm:3' resume='1'/>");
            self.bench.confirm(connection);
            let enabled = self.bench.hear(connection);
            resumption = enabled.first().and_then(|e| e.attr("id")).map(String::from);
            assert!(resumption.is_some(), "{enabled:?}");
        }
        let presence = format!("<presence><priority>{priority}</priority></presence>");
        self.bench.say(connection, &presence);
        self.clients.push(Client {
            account,
            connection,
            resumption,
            handled: 0,
            got: Vec::new(),
            acknowledged: 0,
            lost: false,
        });
    }

    fn send(&mut self, account: usize, resource: Option<usize>, kind: usize, no_store: bool) {
        let id = format!("m{}", self.sent.len());
        let kind = KINDS[kind];
        let mut to = format!("{}@hub.example", ["a", "b"][account]);
        if let Some(resource) = resource {
            to.push_str(["/one", "/two", "/absent"][resource]);
        }
        let hint = if no_store {
            "<no-store xmlns='urn:xmpp:hints'/>"
        } else {
            ""
        };
        let xml =
            format!("<message to='{to}' id='{id}' type='{kind}'><body>x</body>{hint}</message>");
        self.sent.insert(id, (kind, no_store));
        self.bench.say(self.sender, &xml);
    }

    /// Also an old connection may be replaced so; then nothing was lost before.
    fn resume(&mut self, at: usize) {
        let count = self.clients.len().max(1);
        let Some(client) = self.clients.get(at % count) else {
            return;
        };
        let Some(id) = client.resumption.clone() else {
            return;
        };
        let (account, h) = (client.account, client.handled);
        let connection = self.bench.log_in(account);
        let xml = format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='{h}'/>");
        self.bench.say(connection, &xml);
        self.bench.confirm(connection);
        let heard = self.bench.hear(connection);
        if heard.first().is_some_and(|e| e.name() == "resumed") {
            let client = &mut self.clients[at % count];
            client.connection = connection;
            client.acknowledged = h;
            client.lost = false;
            let rest = heard[1..].to_vec();
            self.receive(at % count, rest);
        } else {
            assert_eq!(heard[0].name(), "failed", "{heard:?}");
            self.bench.close(connection);
        }
    }

    /// What came to all connections.
    fn listen(&mut self) {
        for at in 0..self.clients.len() {
            let connection = self.clients[at].connection;
            let heard = self.bench.hear(connection);
            self.receive(at, heard);
            if self.bench.closed.contains_key(&connection) {
                self.clients[at].lost = true;
            }
        }
        while self.bench.confirm(self.sender) {}
        for element in self.bench.hear(self.sender) {
            if element.name() == "message" {
                let id = element.attr("id").unwrap().to_owned();
                error_of(&element);
                assert!(self.bounced.insert(id.clone()), "{id} bounced twice");
            }
        }
        // More errors came back at once than a connection takes: it is closed like any
        // other, and what they told is nobody's.
        if self.bench.closed.contains_key(&self.sender) {
            self.unheard.extend(self.sent.keys().cloned());
            self.bench.prompt = true;
            self.sender = self.bench.online("s", "x");
            self.bench.prompt = false;
        }
    }

    fn receive(&mut self, at: usize, heard: Vec<Element>) {
        let client = &mut self.clients[at];
        for element in heard {
            if !Stanza::is_stanza(&element) {
                continue;
            }
            client.handled += 1;
            if element.name() == "message" {
                let id = element.attr("id").unwrap().to_owned();
                let twice = client.got.iter().any(|(_, earlier)| *earlier == id);
                assert!(!twice, "a session got {id} twice");
                client.got.push((client.handled, id.clone()));
                self.received.insert(id);
            }
        }
    }

    /// Lets everything come to its end.
    fn finish(&mut self) {
        for _ in 0..100 {
            let connections: Vec<_> = self
                .clients
                .iter()
                .filter(|c| !c.lost)
                .map(|c| c.connection)
                .collect();
            let mut quiet = true;
            for connection in connections {
                quiet &= !self.bench.confirm(connection);
            }
            self.listen();
            for at in 0..self.clients.len() {
                self.take(&Step::Acknowledge(at));
            }
            if quiet {
                break;
            }
        }
        for client in &self.clients {
            if client.resumption.is_some() {
                let unsure = client.got.iter().filter(|(h, _)| *h > client.acknowledged);
                self.uncertain.extend(unsure.map(|(_, id)| id.clone()));
            }
        }
        // All hibernation ends.
        for _ in 0..20 {
            self.bench.advance(50);
            let speakers: Vec<_> = self
                .clients
                .iter()
                .filter(|c| !c.lost)
                .map(|c| c.connection)
                .collect();
            for connection in speakers.into_iter().chain([self.sender]) {
                self.bench
                    .say(connection, "<message type='error' to='s@hub.example'/>");
                while self.bench.confirm(connection) {}
            }
            self.listen();
            for at in 0..self.clients.len() {
                self.take(&Step::Acknowledge(at));
            }
        }
        // All leave, and somebody comes for what they left.
        for at in 0..self.clients.len() {
            self.take(&Step::Close(at));
        }
        for account in 0..2 {
            self.online(account, 0, false, 0);
            let connection = self.clients[self.clients.len() - 1].connection;
            while self.bench.confirm(connection) {}
            self.listen();
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        prop_assert!(
            self.bench.disk.is_empty(),
            "everybody came for what was stored"
        );
        for (id, (kind, no_store)) in &self.sent {
            let stored = self.bench.ever_stored.contains(id);
            let received = self.received.contains(id);
            let bounced = self.bounced.contains(id);
            let ended = received || bounced || self.unheard.contains(id);
            let context = format!(
                "{id} ({kind}, no-store {no_store}): received {received}, stored {stored}, \
                 bounced {bounced}"
            );
            if !self.uncertain.contains(id) {
                prop_assert!(!(received && bounced), "{}", context);
            }
            match *kind {
                "chat" | "normal" => {
                    prop_assert!(ended, "{}", context);
                    prop_assert!(!(stored && *no_store), "{}", context);
                }
                "groupchat" => prop_assert!(ended && !stored, "{}", context),
                "headline" => prop_assert!(!stored, "{}", context),
                _ => prop_assert!(!stored && !bounced, "{}", context),
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn every_message_has_an_end_that_the_rules_allow(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let mut world = World::new(HubLimits::default());
        for step in &steps {
            world.take(step);
        }
        world.finish();
        world.check()?;
    }

    /// The same where every bound is soon reached.
    #[test]
    fn bounds_lose_nothing(steps in prop::collection::vec(step(), 1..80)) {
        let limits = HubLimits {
            unacked_stanzas: 4,
            outbound_stanzas: 3,
            offline_messages: 3,
            sessions: 2,
            ..HubLimits::default()
        };
        let mut world = World::new(limits);
        for step in &steps {
            if let Step::Online { .. } = step
                && world.bench.router.sessions() >= 3
            {
                continue;
            }
            world.take(step);
        }
        world.finish();
        world.check()?;
    }
}
