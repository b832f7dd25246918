//! Contacts, presence, capabilities, blocking and client state, with slixmpp at the other
//! end, and as another client of our own account.

use stanchion_reliability::session::SessionConfig;
use stanchion_services::blocking::{Blocking, BlockingEvent, Blocks};
use stanchion_services::client_state::{Attention, ClientState, ClientStates};
use stanchion_services::disco::{Disco, Discovery};
use stanchion_services::ping::{Pings, ping};
use stanchion_services::presence::{
    Availability, PresenceConfig, PresenceEvent, Presences, Present, Status,
};
use stanchion_services::roster::{Contacts, Policy, Roster, RosterEvent, Subscription};
use stanchion_services::{HostBuilder, RequestError};
use stanchion_stanza::{BareJid, Jid, Text, ns};
use tokio::sync::broadcast::Receiver;

use crate::foreign::Foreign;
use crate::server::{Device, Real};
use crate::soon;

struct Peer {
    device: Device,
    user: String,
    roster: Roster,
    presences: Presences,
    discovery: Discovery,
    blocking: Blocking,
    attention: Attention,
}

impl Peer {
    async fn start(server: &Real, name: &str) -> Self {
        let user = server.add(name);
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(folder, server, user).await
    }

    /// The process is killed, and started again.
    async fn restart(self, server: &Real) -> Self {
        Self::start_in(self.device.kill(), server, self.user).await
    }

    async fn start_in(folder: tempfile::TempDir, server: &Real, user: String) -> Self {
        let mut services = HostBuilder::new();
        let disco = services.add(Disco::default());
        services.add(Pings::default());
        let states = services.add(ClientStates::default());
        let blocks = services.add(Blocks::default());
        let contacts = services.add(Contacts::new(Policy::Ask));
        let present = services.add(Present::new(PresenceConfig::default()));
        let mut config = SessionConfig::default();
        config.presence = None;
        let device = Device::login_in(folder, server, &user, services, config).await;
        let requests = device.host.requests();
        Self {
            user,
            roster: Roster::new(contacts, requests.clone()),
            presences: Presences::new(present),
            discovery: Discovery::new(disco, requests.clone()),
            blocking: Blocking::new(blocks, requests),
            attention: Attention::new(states),
            device,
        }
    }

    fn account(&self) -> BareJid {
        self.device.jid().to_bare()
    }

    /// Either lets the other see it.
    async fn befriend(&self, other: &mut Foreign) {
        let who: BareJid = bare(other);
        let mut events = self.roster.events();
        soon(self.roster.subscribe(who.clone())).await.unwrap();
        other.says("asks ").await;
        until(
            &mut events,
            |e| matches!(e, RosterEvent::Requested { from, .. } if *from == who),
        )
        .await;
        soon(self.roster.approve(who.clone())).await.unwrap();
        loop {
            let contact = Jid::from(who.clone());
            let known = soon(self.roster.contact(&contact)).await.unwrap();
            if known.is_some_and(|c| c.subscription == Subscription::Both) {
                break;
            }
            soon(events.recv()).await.unwrap();
        }
    }
}

fn bare(other: &Foreign) -> BareJid {
    other.jid.parse::<Jid>().unwrap().to_bare()
}

/// The next event like that.
async fn until<E: Clone>(events: &mut Receiver<E>, wanted: impl Fn(&E) -> bool) -> E {
    loop {
        let event = soon(events.recv()).await.unwrap();
        if wanted(&event) {
            return event;
        }
    }
}

/// How somebody comes to be next.
async fn shown(events: &mut Receiver<PresenceEvent>, who: &BareJid, how: Availability) -> Status {
    let event = until(events, |e| {
        matches!(e, PresenceEvent::Available { jid, status }
            if jid.to_bare() == *who && status.availability == how)
    })
    .await;
    match event {
        PresenceEvent::Available { status, .. } => status,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn slixmpp_and_we_become_contacts_and_see_each_other() {
    for server in Real::both("presence") {
        let lamp = Peer::start(&server, "lamp").await;
        let mut other = Foreign::start("presence.py", &server, &server.add("other")).await;
        let (us, who) = (lamp.account(), bare(&other));
        let mut seen = lamp.presences.events();
        let mut contacts = lamp.roster.events();
        lamp.befriend(&mut other).await;
        shown(&mut seen, &who, Availability::Available).await;
        other.says(&format!("sees {us}")).await;

        // Each sees how the other is.
        other.tell("show away 5 'out for lunch'").await;
        let status = shown(&mut seen, &who, Availability::Away).await;
        assert_eq!(status.priority, 5);
        assert_eq!(status.text.as_deref(), Some("out for lunch"));
        let best = soon(lamp.presences.best(&who)).await.unwrap().unwrap();
        assert_eq!(best.0.to_string(), other.jid);
        let busy = Status::busy()
            .with_text(Text::from_static("welding"))
            .with_priority(3);
        soon(lamp.presences.set(busy)).await.unwrap();
        other
            .says(&format!("sees {} dnd 3 welding", lamp.device.jid()))
            .await;
        soon(lamp.presences.set(Status::unavailable()))
            .await
            .unwrap();
        other.says(&format!("gone {us}")).await;
        soon(lamp.presences.set(Status::available())).await.unwrap();
        other.says(&format!("sees {us}")).await;

        // It does not want to see us any more, and then asks again.
        other.tell(&format!("unsubscribe {us}")).await;
        until(&mut contacts, |e| matches!(e, RosterEvent::Left { .. })).await;
        other.tell(&format!("subscribe {us}")).await;
        until(&mut contacts, |e| {
            matches!(e, RosterEvent::Requested { .. })
        })
        .await;
        soon(lamp.roster.deny(who.clone())).await.unwrap();
        other.says(&format!("denied {us}")).await;
        soon(lamp.roster.remove(who.clone())).await.unwrap();
        let removed = RosterEvent::Removed(who.into());
        until(&mut contacts, |e| *e == removed).await;
        other.end().await;
        lamp.device.stop().await;
    }
}

#[tokio::test]
async fn who_is_approved_in_advance_need_not_wait() {
    for server in Real::both("advance") {
        let lamp = Peer::start(&server, "lamp").await;
        let mut other = Foreign::start("presence.py", &server, &server.add("other")).await;
        let (us, who) = (lamp.account(), bare(&other));
        match soon(lamp.roster.approve_in_advance(who.clone())).await {
            Ok(()) => {
                other.tell(&format!("subscribe {us}")).await;
                other.says(&format!("approved {us}")).await;
                assert!(soon(lamp.roster.requests()).await.unwrap().is_empty());
            }
            // ejabberd does not have it.
            Err(error) => {
                assert!(server.is_ejabberd(), "{error}");
                assert!(matches!(error, RequestError::NotOffered { .. }), "{error}");
            }
        }
        other.end().await;
        lamp.device.stop().await;
    }
}

#[tokio::test]
async fn a_process_that_goes_on_with_a_session_knows_who_is_there_and_who_asks() {
    for server in Real::both("killed") {
        let lamp = Peer::start(&server, "lamp").await;
        let mut friend = Foreign::start("presence.py", &server, &server.add("friend")).await;
        let mut other = Foreign::start("presence.py", &server, &server.add("other")).await;
        lamp.befriend(&mut friend).await;
        let mut contacts = lamp.roster.events();
        other.tell(&format!("subscribe {}", lamp.account())).await;
        until(&mut contacts, |e| {
            matches!(e, RosterEvent::Requested { .. })
        })
        .await;
        let before = lamp.device.jid();

        let lamp = lamp.restart(&server).await;
        assert_eq!(lamp.device.jid(), before, "the session goes on");
        let (who, asks) = (bare(&friend), bare(&other));
        let mut seen = lamp.presences.events();
        while soon(lamp.presences.best(&who)).await.unwrap().is_none() {
            soon(seen.recv()).await.unwrap();
        }
        let mut contacts = lamp.roster.events();
        while !soon(lamp.roster.requests())
            .await
            .unwrap()
            .contains_key(&asks)
        {
            soon(contacts.recv()).await.unwrap();
        }
        soon(lamp.roster.loaded()).await.unwrap();
        let contact = soon(lamp.roster.contact(&Jid::from(who))).await.unwrap();
        assert_eq!(contact.unwrap().subscription, Subscription::Both);
        friend.end().await;
        other.end().await;
        lamp.device.stop().await;
    }
}

#[tokio::test]
async fn the_capabilities_of_either_are_verified_by_the_other() {
    for server in Real::both("caps") {
        let lamp = Peer::start(&server, "lamp").await;
        let mut other = Foreign::start("presence.py", &server, &server.add("other")).await;
        let mut seen = lamp.presences.events();
        let who = bare(&other);
        lamp.befriend(&mut other).await;
        shown(&mut seen, &who, Availability::Available).await;
        other.says("caps verified ").await;

        let jid: Jid = other.jid.parse().unwrap();
        let can = soon(lamp.discovery.features_of(jid.clone())).await.unwrap();
        assert!(can.has(ns::CAPS) && can.has(ns::PING), "{can:?}");
        let claim = soon(lamp.discovery.claimed_by(&jid)).await.unwrap();
        let (caps, verified) = claim.unwrap();
        assert!(verified && caps.verify(&can), "{caps:?} {can:?}");
        other.end().await;
        lamp.device.stop().await;
    }
}

#[tokio::test]
async fn changes_of_the_roster_reach_all_clients_of_the_account() {
    for server in Real::both("roster") {
        let lamp = Peer::start(&server, "lamp").await;
        let mut second = Foreign::start("presence.py", &server, &lamp.user).await;
        soon(lamp.roster.loaded()).await.unwrap();
        let mut contacts = lamp.roster.events();
        let door: BareJid = format!("door@{}", server.domain()).parse().unwrap();

        second.tell(&format!("group {door} Door Hall Doors")).await;
        let event = until(&mut contacts, |e| matches!(e, RosterEvent::Changed(_))).await;
        let RosterEvent::Changed(mut contact) = event else {
            panic!("{event:?}")
        };
        contact.groups.sort();
        assert_eq!(contact.name.as_deref(), Some("Door"));
        assert_eq!(contact.groups, ["Doors", "Hall"]);
        second.says(&format!("grouped {door}")).await;

        let name = Some(Text::from_static("Gate"));
        soon(lamp.roster.rename(door.clone(), name)).await.unwrap();
        second
            .says(&format!("roster {door} none Gate Doors Hall"))
            .await;
        soon(lamp.roster.remove(door.clone())).await.unwrap();
        second.says(&format!("roster {door} remove")).await;
        second.end().await;
        lamp.device.stop().await;
    }
}

#[tokio::test]
async fn who_is_blocked_is_not_heard_whichever_client_blocks() {
    for server in Real::both("blocking") {
        let lamp = Peer::start(&server, "lamp").await;
        let mut second = Foreign::start("presence.py", &server, &lamp.user).await;
        let mut other = Foreign::start("presence.py", &server, &server.add("other")).await;
        let who = Jid::from(bare(&other));
        let mut changes = lamp.blocking.events();
        assert!(soon(lamp.blocking.list()).await.unwrap().is_empty());
        other.tell(&format!("ping {}", lamp.device.jid())).await;
        other.says("ponged ").await;

        soon(lamp.blocking.block([who.clone()])).await.unwrap();
        let blocked = BlockingEvent::Blocked(vec![who.clone()]);
        until(&mut changes, |e| *e == blocked).await;
        assert!(
            soon(lamp.blocking.is_blocked(&other.jid.parse().unwrap()))
                .await
                .unwrap()
        );
        other.tell(&format!("ping {}", lamp.device.jid())).await;
        other.says("refused ping").await;
        // Nor do we speak to whom we block.
        let requests = lamp.device.host.requests();
        let unheard = soon(ping(&requests, Some(other.jid.parse().unwrap()))).await;
        assert!(
            matches!(unheard, Err(RequestError::Refused { .. })),
            "{unheard:?}"
        );

        second.tell(&format!("unblock {who}")).await;
        until(&mut changes, |e| matches!(e, BlockingEvent::Unblocked(_))).await;
        second.says("done unblock").await;
        other.tell(&format!("ping {}", lamp.device.jid())).await;
        other.says("ponged ").await;
        second.tell(&format!("block {who}")).await;
        until(&mut changes, |e| *e == blocked).await;
        assert_eq!(soon(lamp.blocking.list()).await.unwrap().len(), 1);
        soon(lamp.blocking.unblock_all()).await.unwrap();
        until(&mut changes, |e| *e == BlockingEvent::UnblockedAll).await;
        assert!(soon(lamp.blocking.list()).await.unwrap().is_empty());
        other.end().await;
        second.end().await;
        lamp.device.stop().await;
    }
}

#[tokio::test]
async fn an_inactive_client_hears_what_it_missed_when_it_is_active_again() {
    for server in Real::both("csi") {
        let lamp = Peer::start(&server, "lamp").await;
        let mut other = Foreign::start("presence.py", &server, &server.add("other")).await;
        let (us, who) = (lamp.account(), bare(&other));
        let mut seen = lamp.presences.events();
        lamp.befriend(&mut other).await;
        shown(&mut seen, &who, Availability::Available).await;
        assert!(soon(lamp.attention.is_offered()).await.unwrap());
        soon(lamp.attention.set(ClientState::Inactive))
            .await
            .unwrap();
        soon(ping(&lamp.device.host.requests(), None))
            .await
            .unwrap();
        other.tell("show xa 0 asleep").await;
        // By the time that it is answered, its server has its presence.
        other.tell(&format!("ping {}", server.domain())).await;
        other.says("ponged ").await;
        soon(lamp.attention.set(ClientState::Active)).await.unwrap();
        let status = shown(&mut seen, &who, Availability::ExtendedAway).await;
        assert_eq!(status.text.as_deref(), Some("asleep"));
        // The stream lives on.
        soon(lamp.presences.set(Status::away())).await.unwrap();
        other.says(&format!("sees {us}")).await;
        other.end().await;
        lamp.device.stop().await;
    }
}
