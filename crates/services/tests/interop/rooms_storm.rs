//! A room of a real server that is killed and started again while all talk.

use std::time::Duration;

use stanchion_services::HostBuilder;
use stanchion_services::disco::Disco;
use stanchion_services::ping::Pings;
use stanchion_services::rooms::{self, JoinOptions, Rooms, RoomsConfig};
use stanchion_stanza::BareJid;
use stanchion_stanza::payload::muc::RoomConfig;

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
        let mut services = HostBuilder::new();
        services.add(Disco::default());
        services.add(Pings::default());
        let handle = rooms::add(&mut services, RoomsConfig::default());
        let name = format!("m{nth:02}");
        let device = Device::start(&own.server, &name, services).await;
        let rooms = Rooms::new(handle, device.host.requests(), device.session.sender());
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
#[ignore = "takes minutes; the same in small runs always"]
async fn prosody_is_killed_twice_and_fifty_members_see_two_thousand_messages_once() {
    // Its archive is a file that is read from the beginning for each page: a flood would
    // drown it, as it would drown people.
    within(900, killed_twice("prosody", 50, 40, 1)).await;
}
