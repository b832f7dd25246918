//! Rooms over the embedded hub: what its members see of each other, and that each message
//! is seen once and in order, whatever becomes of the server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail so"
)]

mod storm;
mod support;

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use stanchion_services::HostBuilder;
use stanchion_services::disco::Disco;
use stanchion_services::ping::Pings;
use stanchion_services::rooms::{
    self, Departure, JoinError, JoinOptions, Room, RoomError, RoomEvent, RoomMessages, Rooms,
    RoomsConfig,
};
use stanchion_stanza::payload::muc::{Affiliation, Destroy, History, Role, RoomConfig};
use stanchion_stanza::{BareJid, Text};
use storm::Talker;
use support::{Device, Server, soon};
use tokio::sync::broadcast;

/// A device and its rooms.
struct Member {
    device: Device,
    rooms: Rooms,
}

impl Member {
    async fn start(server: &Server, name: &str, folder: &Path) -> Self {
        let mut services = HostBuilder::new();
        services.add(Disco::default());
        services.add(Pings::default());
        let handle = rooms::add(&mut services, RoomsConfig::default());
        let device = Device::start(server, name, &folder.join(name), services).await;
        let rooms = Rooms::new(handle, device.host.requests(), device.session.sender());
        Self { device, rooms }
    }

    async fn join(&self, nick: &str) -> (Room, RoomMessages) {
        self.join_with(nick, JoinOptions::default()).await.unwrap()
    }

    async fn join_with(
        &self,
        nick: &str,
        options: JoinOptions,
    ) -> Result<(Room, RoomMessages), JoinError> {
        soon(self.rooms.join(hall(), nick, options)).await
    }
}

fn hall() -> BareJid {
    "hall@rooms.home.example".parse().unwrap()
}

fn account(name: &str) -> BareJid {
    format!("{name}@home.example").parse().unwrap()
}

fn text(s: &'static str) -> Text {
    Text::from_static(s)
}

async fn next(messages: &mut RoomMessages) -> (String, String) {
    let message = soon(messages.recv()).await.unwrap();
    let said = (message.nick().to_owned(), message.body().into_owned());
    message.commit().await.unwrap();
    said
}

fn said(nick: &str, body: &str) -> (String, String) {
    (nick.to_owned(), body.to_owned())
}

async fn event(
    events: &mut broadcast::Receiver<RoomEvent>,
    is: impl Fn(&RoomEvent) -> bool,
) -> RoomEvent {
    soon(async {
        loop {
            let event = events.recv().await.unwrap();
            if is(&event) {
                return event;
            }
        }
    })
    .await
}

/// Two members in one room, and the folder of their stores.
async fn two(server: &Server) -> (Member, Member, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let lamp = Member::start(server, "lamp", folder.path()).await;
    let phone = Member::start(server, "phone", folder.path()).await;
    (lamp, phone, folder)
}

#[tokio::test]
async fn what_one_says_all_see_once_and_the_sender_hears_of_it() {
    let server = Server::start(&["lamp", "phone"]).await;
    let (lamp, phone, _folder) = two(&server).await;
    let (here, mut ours) = lamp.join("lamp").await;
    let (there, mut theirs) = phone.join("phone").await;
    let sent = soon(here.say("on")).await.unwrap();
    let outcome = soon(sent.outcome()).await.unwrap();
    assert!(
        format!("{outcome:?}").starts_with("Acknowledged"),
        "{outcome:?}"
    );
    soon(there.say("thanks")).await.unwrap();
    for messages in [&mut ours, &mut theirs] {
        assert_eq!(next(messages).await, said("lamp", "on"));
        assert_eq!(next(messages).await, said("phone", "thanks"));
    }
    // Who comes later gets what it asks for.
    let some = History {
        maxstanzas: Some(1),
        ..History::default()
    };
    there.leave().await.unwrap();
    assert!(soon(theirs.recv()).await.is_none());
    let options = JoinOptions::default().history(some);
    let (there, mut theirs) = phone.join_with("phone", options).await.unwrap();
    soon(here.whisper("phone", "psst")).await.unwrap();
    let private = soon(theirs.recv()).await.unwrap();
    assert!(private.is_private());
    assert_eq!((private.nick(), &*private.body()), ("lamp", "psst"));
    private.commit().await.unwrap();
    // "thanks" is known already: it was seen, and is not seen again.
    soon(here.set_subject(text("light"))).await.unwrap();
    assert_eq!(here.subject().await.unwrap(), Some(text("light")));
    let events = &mut there.events();
    soon(here.set_subject(text("darkness"))).await.unwrap();
    event(
        events,
        |e| matches!(e, RoomEvent::Subject { subject, .. } if *subject == "darkness"),
    )
    .await;
    soon(here.say("last")).await.unwrap();
    assert_eq!(next(&mut theirs).await, said("lamp", "last"));
    lamp.device.stop().await;
    phone.device.stop().await;
    server.stop().await;
}

/// A hub that is killed and started anew, and has lost all rooms by then.
async fn losing(server: Server, accounts: &[&str], state: &Path) -> Server {
    let address = server.address();
    server.crash().await;
    // Nobody has it any more once the next hub gets the folder; it is lost before.
    std::fs::remove_file(state.join("offline.xml")).unwrap();
    Server::start_at(accounts, Some(state.to_owned()), address).await
}

#[tokio::test]
async fn a_room_that_the_hub_lost_is_open_to_all_again_whoever_enters_first() {
    let accounts = ["lamp", "phone"];
    for (first, second) in [("lamp", "phone"), ("phone", "lamp")] {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("hub");
        let server = Server::start_in(&accounts, Some(&state)).await;
        // It is the lamp that makes it.
        let lamp = Member::start(&server, "lamp", folder.path()).await;
        drop(lamp.join("lamp").await);
        let phone = Member::start(&server, "phone", folder.path()).await;
        drop(phone.join("phone").await);
        let (stays, goes) = match first {
            "lamp" => (lamp, phone),
            _ => (phone, lamp),
        };
        goes.device.stop().await;
        let mut events = stays.rooms.events();
        let server = losing(server, &accounts, &state).await;
        let entered = event(&mut events, |e| matches!(e, RoomEvent::Entered { .. })).await;
        assert!(
            matches!(entered, RoomEvent::Entered { created: true, .. }),
            "{entered:?}"
        );
        let comes = Member::start(&server, second, folder.path()).await;
        let (here, mut ours) = stays.join(first).await;
        let (_there, mut theirs) = comes.join(second).await;
        soon(here.say("it is open")).await.unwrap();
        for messages in [&mut ours, &mut theirs] {
            assert_eq!(next(messages).await, said(first, "it is open"));
        }
        stays.device.stop().await;
        comes.device.stop().await;
        server.stop().await;
    }
}

#[tokio::test]
async fn a_configured_room_that_the_hub_lost_stays_locked_until_it_is_configured() {
    let accounts = ["lamp", "phone"];
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("hub");
    let server = Server::start_in(&accounts, Some(&state)).await;
    let lamp = Member::start(&server, "lamp", folder.path()).await;
    let phone = Member::start(&server, "phone", folder.path()).await;
    // Made at once, and configured later.
    let (here, _ours) = lamp.join("lamp").await;
    let config = RoomConfig {
        password_protected: Some(true),
        password: Some(stanchion_stanza::payload::muc::Password(text("sesame"))),
        ..RoomConfig::default()
    };
    let mut events = here.events();
    soon(here.configure(&config)).await.unwrap();
    event(&mut events, |e| matches!(e, RoomEvent::Configured { .. })).await;
    let server = losing(server, &accounts, &state).await;
    event(&mut events, |e| matches!(e, RoomEvent::Locked { .. })).await;
    let refused = phone.join_with("phone", JoinOptions::default()).await;
    assert!(
        matches!(refused, Err(JoinError::Locked { .. })),
        "{refused:?}"
    );
    soon(here.configure(&config)).await.unwrap();
    let refused = phone.join_with("phone", JoinOptions::default()).await;
    assert!(
        matches!(refused, Err(JoinError::Password { .. })),
        "{refused:?}"
    );
    let knows = JoinOptions::default().password(text("sesame"));
    phone.join_with("phone", knows).await.unwrap();
    lamp.device.stop().await;
    phone.device.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_room_says_why_it_lets_nobody_in() {
    let server = Server::start(&["lamp", "phone"]).await;
    let (lamp, phone, _folder) = two(&server).await;
    // Not configured yet.
    let (here, _ours) = lamp
        .join_with("lamp", JoinOptions::default().reserved())
        .await
        .unwrap();
    let refused = phone.join_with("phone", JoinOptions::default()).await;
    assert!(
        matches!(refused, Err(JoinError::Locked { .. })),
        "{refused:?}"
    );
    let form = soon(here.configuration()).await.unwrap();
    let config = RoomConfig::from_form(&form).unwrap();
    assert_eq!(config.members_only, Some(false));
    let closed = RoomConfig {
        members_only: Some(true),
        ..RoomConfig::default()
    };
    soon(here.configure(&closed)).await.unwrap();
    let refused = phone.join_with("phone", JoinOptions::default()).await;
    assert!(
        matches!(refused, Err(JoinError::MembersOnly { .. })),
        "{refused:?}"
    );
    let locked = RoomConfig {
        members_only: Some(false),
        password_protected: Some(true),
        password: Some(stanchion_stanza::payload::muc::Password(text("sesame"))),
        ..RoomConfig::default()
    };
    soon(here.configure(&locked)).await.unwrap();
    let refused = phone.join_with("phone", JoinOptions::default()).await;
    assert!(
        matches!(refused, Err(JoinError::Password { .. })),
        "{refused:?}"
    );
    let options = || JoinOptions::default().password(text("sesame"));
    let refused = phone.join_with("lamp", options()).await;
    assert!(
        matches!(refused, Err(JoinError::NickConflict { .. })),
        "{refused:?}"
    );
    let (there, mut theirs) = phone
        .join_with("lamp", options().or_another_nick(2))
        .await
        .unwrap();
    assert_eq!(there.nick().await.unwrap().as_deref(), Some("lamp_"));
    // Thrown out, and banned.
    let events = &mut there.events();
    soon(here.ban(&account("phone"), Some(text("loud"))))
        .await
        .unwrap();
    let left = event(events, |e| matches!(e, RoomEvent::Left { .. })).await;
    let RoomEvent::Left { why, .. } = left else {
        unreachable!()
    };
    assert!(
        matches!(&why, Departure::Banned { reason: Some(r), .. } if r == "loud"),
        "{why:?}"
    );
    assert!(soon(theirs.recv()).await.is_none());
    let banned = soon(here.with_affiliation(Affiliation::Outcast))
        .await
        .unwrap();
    assert_eq!(
        banned[0].jid.as_ref().unwrap().as_str(),
        "phone@home.example"
    );
    let refused = phone.join_with("phone", options()).await;
    assert!(
        matches!(refused, Err(JoinError::Banned { .. })),
        "{refused:?}"
    );
    let nobody = "nowhere.example".parse().unwrap();
    let refused = soon(phone.rooms.join(nobody, "phone", JoinOptions::default())).await;
    assert!(
        matches!(
            refused,
            Err(JoinError::TimedOut { .. } | JoinError::Refused { .. })
        ),
        "{refused:?}"
    );
    lamp.device.stop().await;
    phone.device.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn who_may_speaks_and_who_may_not_is_told_so() {
    let server = Server::start(&["lamp", "phone"]).await;
    let (lamp, phone, _folder) = two(&server).await;
    let (here, _ours) = lamp.join("lamp").await;
    let (there, mut theirs) = phone.join("phone").await;
    let events = &mut there.events();
    soon(here.set_role("phone", Role::Visitor, None))
        .await
        .unwrap();
    event(
        events,
        |e| matches!(e, RoomEvent::Changed { occupant, .. } if occupant.role == Role::Visitor),
    )
    .await;
    let sent = soon(there.say("may I?")).await.unwrap();
    let outcome = soon(sent.outcome()).await.unwrap();
    assert!(
        format!("{outcome:?}").starts_with("NotDelivered"),
        "{outcome:?}"
    );
    let refused = soon(there.set_subject(text("mine"))).await.unwrap_err();
    assert!(matches!(refused, RoomError::Refused { .. }), "{refused}");
    let refused = soon(there.kick("lamp", None)).await.unwrap_err();
    assert!(matches!(refused, RoomError::Request(_)), "{refused}");
    soon(here.set_role("phone", Role::Participant, None))
        .await
        .unwrap();
    event(
        events,
        |e| matches!(e, RoomEvent::Changed { occupant, .. } if occupant.role == Role::Participant),
    )
    .await;
    soon(there.say("thank you")).await.unwrap();
    assert_eq!(next(&mut theirs).await, said("phone", "thank you"));
    let moderators = soon(here.with_role(Role::Moderator)).await.unwrap();
    assert_eq!(moderators.len(), 1);
    soon(there.set_nick("mobile")).await.unwrap();
    assert_eq!(there.nick().await.unwrap().as_deref(), Some("mobile"));
    let nicks: Vec<_> = there
        .occupants()
        .await
        .unwrap()
        .into_iter()
        .map(|o| o.nick)
        .collect();
    assert_eq!(nicks, ["lamp", "mobile"]);
    soon(here.kick("mobile", None)).await.unwrap();
    let left = event(events, |e| matches!(e, RoomEvent::Left { .. })).await;
    assert!(
        matches!(left, RoomEvent::Left { why: Departure::Kicked { by: Some(by), .. }, .. } if by == "lamp")
    );
    // Not banned: it may come back, until there is no room.
    let (there, _theirs) = phone.join("phone").await;
    let events = &mut there.events();
    soon(here.destroy(Destroy::default())).await.unwrap();
    let left = event(events, |e| matches!(e, RoomEvent::Left { .. })).await;
    assert!(matches!(
        left,
        RoomEvent::Left {
            why: Departure::Destroyed { .. },
            ..
        }
    ));
    lamp.device.stop().await;
    phone.device.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn invitations_come_by_the_room_and_straight_and_can_be_declined() {
    let server = Server::start(&["lamp", "phone"]).await;
    let (lamp, phone, _folder) = two(&server).await;
    let (here, _ours) = lamp.join("lamp").await;
    let mut invitations = soon(phone.rooms.invitations()).await.unwrap();
    soon(here.invite(account("phone").into(), Some(text("come"))))
        .await
        .unwrap();
    let mut invitation = soon(invitations.recv()).await.unwrap();
    assert!(invitation.by_room);
    assert_eq!(
        (&invitation.room, invitation.reason.as_deref()),
        (&hall(), Some("come"))
    );
    assert_eq!(
        invitation.from.as_ref().unwrap().as_str(),
        "lamp@home.example"
    );
    let events = &mut here.events();
    soon(phone.rooms.decline(&invitation, Some(text("busy"))))
        .await
        .unwrap();
    invitation.commit().await.unwrap();
    let declined = event(events, |e| matches!(e, RoomEvent::Declined { .. })).await;
    let RoomEvent::Declined { by, reason, .. } = declined else {
        unreachable!()
    };
    assert_eq!(
        (by.unwrap().as_str(), reason.as_deref()),
        ("phone@home.example", Some("busy"))
    );
    soon(here.invite_directly(account("phone").into(), None))
        .await
        .unwrap();
    let direct = soon(invitations.recv()).await.unwrap();
    assert_eq!((&direct.room, direct.by_room), (&hall(), false));
    lamp.device.stop().await;
    phone.device.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn the_next_process_is_in_the_room_by_itself_and_misses_nothing() {
    let server = Server::start(&["lamp", "phone"]).await;
    let (lamp, phone, folder) = two(&server).await;
    let (_, mut ours) = lamp.join("lamp").await;
    let (there, _theirs) = phone.join("phone").await;
    soon(there.say("before")).await.unwrap();
    assert_eq!(next(&mut ours).await, said("phone", "before"));
    lamp.device.stop().await;
    for n in 0..60 {
        soon(there.say(format!("missed {n}"))).await.unwrap();
    }
    let lamp = Member::start(&server, "lamp", folder.path()).await;
    let mut events = lamp.rooms.events();
    let all = soon(lamp.rooms.all()).await.unwrap();
    assert_eq!(all[0].jid(), &hall());
    let (here, mut ours) = lamp.join("lamp").await;
    for n in 0..60 {
        assert_eq!(next(&mut ours).await, said("phone", &format!("missed {n}")));
    }
    soon(here.say("back")).await.unwrap();
    assert_eq!(next(&mut ours).await, said("lamp", "back"));
    here.leave().await.unwrap();
    event(&mut events, |e| matches!(e, RoomEvent::Left { .. })).await;
    lamp.device.stop().await;
    let lamp = Member::start(&server, "lamp", folder.path()).await;
    assert!(
        soon(lamp.rooms.all()).await.unwrap().is_empty(),
        "left for good"
    );
    lamp.device.stop().await;
    phone.device.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_while_the_archive_is_read_comes_after_it() {
    let server = Server::start(&["lamp", "phone"]).await;
    let (lamp, phone, folder) = two(&server).await;
    lamp.join("lamp").await;
    let (there, _theirs) = phone.join("phone").await;
    lamp.device.stop().await;
    for n in 0..300 {
        soon(there.say(n.to_string())).await.unwrap();
    }
    let talking = tokio::spawn(async move {
        for n in 300..600 {
            there.say(n.to_string()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    let lamp = Member::start(&server, "lamp", folder.path()).await;
    let (_, mut ours) = lamp.join("lamp").await;
    for n in 0..600 {
        assert_eq!(next(&mut ours).await, said("phone", &n.to_string()));
    }
    talking.await.unwrap();
    lamp.device.stop().await;
    phone.device.stop().await;
    server.stop().await;
}

/// So many members say so many things each, while the server is killed twice.
#[allow(clippy::print_stdout, reason = "how long it took is worth telling")]
async fn storm(members: usize, each: usize) {
    let names: Vec<String> = (0..members).map(|n| format!("m{n:02}")).collect();
    let accounts: Vec<&str> = names.iter().map(String::as_str).collect();
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("hub");
    let any = ([127, 0, 0, 1], 0).into();
    let server = Server::start_at(&accounts, Some(state.clone()), any).await;
    let address = server.address();
    let (mut talkers, mut devices) = (Vec::new(), Vec::new());
    for name in &names {
        let member = Member::start(&server, name, folder.path()).await;
        let (room, messages) = member.join(name).await;
        talkers.push(Talker {
            name: name.clone(),
            room,
            messages,
        });
        devices.push(member.device);
    }
    let server = RefCell::new(Some(server));
    let took = storm::storm(talkers, each, each, async || {
        let before = server.take().unwrap();
        before.crash().await;
        let next = Server::start_at(&accounts, Some(state.clone()), address).await;
        server.replace(Some(next));
    })
    .await;
    println!(
        "{members} members, {} messages, 2 kills: {took:?}",
        members * each
    );
    for device in devices {
        device.stop().await;
    }
    server.take().unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_member_sees_each_message_once_though_the_server_is_killed_twice() {
    let limit = Duration::from_secs(120);
    tokio::time::timeout(limit, storm(8, 30))
        .await
        .expect("in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes; the same in small runs always"]
async fn fifty_members_see_two_thousand_messages_once_though_the_server_is_killed_twice() {
    let limit = Duration::from_secs(900);
    tokio::time::timeout(limit, storm(50, 40))
        .await
        .expect("in time");
}
