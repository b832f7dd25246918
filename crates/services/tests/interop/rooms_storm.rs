//! A room of a real server that is killed and started again: while all talk, and so that the
//! room is lost.

use std::time::Duration;

use stanchion_services::HostBuilder;
use stanchion_services::disco::Disco;
use stanchion_services::ping::Pings;
use stanchion_services::rooms::{self, JoinOptions, RoomEvent, Rooms, RoomsConfig};
use stanchion_stanza::BareJid;
use stanchion_stanza::payload::muc::RoomConfig;
use tokio::sync::broadcast;

use crate::server::{Device, Own};
use crate::soon;
use crate::storm::{Talker, storm};

#[allow(clippy::print_stdout, reason = "how long it took is worth telling")]
async fn killed_twice(kind: &str, members: usize, each: usize, pace: usize) {
    let own = Own::start(kind);
    let at = format!("hall@conference.{}", own.server.domain());
    let at: BareJid = at.parse().unwrap();
    let (mut talkers, mut devices) = (Vec::new(), Vec::new());
    for nth in 0..members {
        let name = format!("m{nth:02}");
        let (device, rooms) = member(&own, &name).await;
        let joins = rooms.join(at.clone(), &name, JoinOptions::default());
        let (room, messages) = soon(joins).await.unwrap();
        if nth == 0 {
            // With all who are in it gone at once, it would be gone, too.
            let lasting = RoomConfig {
                persistent: Some(true),
                ..RoomConfig::default()
            };
            soon(room.configure(&lasting)).await.unwrap();
        }
        talkers.push(Talker {
            name,
            room,
            messages,
        });
        devices.push(device);
    }
    let took = storm(talkers, each, pace, async || own.crash()).await;
    println!(
        "{kind}: {members} members, {} messages, 2 kills: {took:?}",
        members * each
    );
    for device in devices {
        device.stop().await;
    }
}

/// We are in a room, and it is open; whether it was made.
async fn created(events: &mut broadcast::Receiver<RoomEvent>) -> bool {
    loop {
        match soon(events.recv()).await.unwrap() {
            RoomEvent::Entered { created, .. } => return created,
            locked @ RoomEvent::Locked { .. } => panic!("{locked:?}"),
            _ => {}
        }
    }
}

/// A room that is not to last is lost with its server, and made anew by its maker, or by the
/// other, while the one that is left comes later.
async fn lost(kind: &str) {
    for makes in [true, false] {
        let own = Own::start(kind);
        let at = format!("hall@conference.{}", own.server.domain());
        let at: BareJid = at.parse().unwrap();
        let mut members = Vec::new();
        for name in ["lamp", "phone"] {
            let (device, rooms) = member(&own, name).await;
            let mut events = rooms.events();
            let joins = rooms.join(at.clone(), name, JoinOptions::default());
            let (room, messages) = soon(joins).await.unwrap();
            assert_eq!(created(&mut events).await, name == "lamp");
            members.push((device, room, messages, events));
        }
        if makes {
            members.reverse();
        }
        members.remove(0).0.stop().await;
        let (device, room, mut messages, mut events) = members.remove(0);
        own.crash();
        assert!(created(&mut events).await, "it was lost");
        let (guest, rooms) = member(&own, "guest").await;
        let joins = rooms.join(at, "guest", JoinOptions::default());
        let (_there, mut theirs) = soon(joins).await.unwrap();
        soon(room.say("it is open")).await.unwrap();
        for messages in [&mut messages, &mut theirs] {
            let message = soon(messages.recv()).await.unwrap();
            assert_eq!(&*message.body(), "it is open");
            message.commit().await.unwrap();
        }
        device.stop().await;
        guest.stop().await;
    }
}

async fn member(own: &Own, name: &str) -> (Device, Rooms) {
    let mut services = HostBuilder::new();
    services.add(Disco::default());
    services.add(Pings::default());
    let handle = rooms::add(&mut services, RoomsConfig::default());
    let device = Device::start(&own.server, name, services).await;
    let rooms = Rooms::new(handle, device.host.requests(), device.session.sender());
    (device, rooms)
}

/// Kills block a thread; the others go on.
async fn within(limit: u64, test: impl Future<Output = ()>) {
    let limit = Duration::from_secs(limit);
    tokio::time::timeout(limit, test).await.expect("in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn prosody_is_killed_twice_and_each_member_sees_each_message_once() {
    within(180, killed_twice("prosody", 8, 30, 30)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn ejabberd_is_killed_twice_and_each_member_sees_each_message_once() {
    within(180, killed_twice("ejabberd", 8, 30, 30)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_room_that_prosody_lost_is_open_to_all_again() {
    within(120, lost("prosody")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_room_that_ejabberd_lost_is_open_to_all_again() {
    within(120, lost("ejabberd")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
#[ignore = "takes minutes; the same in small runs always"]
async fn prosody_is_killed_twice_and_fifty_members_see_two_thousand_messages_once() {
    // Its archive is a file that is read from the beginning for each page: a flood would
    // drown it, as it would drown people.
    within(900, killed_twice("prosody", 50, 40, 1)).await;
}
