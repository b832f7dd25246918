//! Rooms on real servers, slixmpp and we in one: what each does, the other sees.

use stanchion_services::HostBuilder;
use stanchion_services::disco::Disco;
use stanchion_services::ping::Pings;
use stanchion_services::rooms::{
    self, Departure, JoinError, JoinOptions, Room, RoomError, RoomEvent, RoomMessages, Rooms,
    RoomsConfig,
};
use stanchion_stanza::payload::muc::{Affiliation, Role};
use stanchion_stanza::{BareJid, Text};
use tokio::sync::broadcast;

use crate::foreign::Foreign;
use crate::server::{Device, Real};
use crate::soon;

/// One of our devices, and its rooms.
struct Member {
    device: Device,
    rooms: Rooms,
}

impl Member {
    async fn start(server: &Real, name: &str) -> Self {
        let mut services = HostBuilder::new();
        services.add(Disco::default());
        services.add(Pings::default());
        let handle = rooms::add(&mut services, RoomsConfig::default());
        let device = Device::start(server, name, services).await;
        let rooms = Rooms::new(handle, device.host.requests(), device.session.sender());
        Self { device, rooms }
    }

    async fn join(&self, room: &BareJid, nick: &str) -> (Room, RoomMessages) {
        let options = JoinOptions::default().without_history();
        soon(self.rooms.join(room.clone(), nick, options))
            .await
            .unwrap()
    }
}

fn room(server: &Real, name: &str) -> BareJid {
    let run = std::process::id();
    let domain = server.domain();
    format!("{name}-{run}@conference.{domain}").parse().unwrap()
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

async fn next(messages: &mut RoomMessages) -> (String, String) {
    let message = soon(messages.recv()).await.unwrap();
    let said = (message.nick().to_owned(), message.body().into_owned());
    message.commit().await.unwrap();
    said
}

fn said(nick: &str, body: &str) -> (String, String) {
    (nick.to_owned(), body.to_owned())
}

#[tokio::test]
async fn slixmpp_and_we_talk_in_a_room() {
    for server in Real::both("rooms-talk") {
        let at = room(&server, "talk");
        let lamp = Member::start(&server, "lamp").await;
        let (here, mut messages) = lamp.join(&at, "lamp").await;
        let mut events = here.events();
        let mut other = Foreign::start("rooms.py", &server, &server.add("other")).await;
        other.tell(&format!("join {at} other")).await;
        other.says("joined other").await;
        let arrived = |e: &RoomEvent| matches!(e, RoomEvent::Arrived { occupant, .. } if occupant.nick == "other");
        event(&mut events, arrived).await;

        // What we say.
        let sent = soon(here.say("good day")).await.unwrap();
        other.says("heard lamp good day").await;
        let outcome = soon(sent.outcome()).await.unwrap();
        assert!(
            format!("{outcome:?}").starts_with("Acknowledged"),
            "{outcome:?}"
        );
        assert_eq!(next(&mut messages).await, said("lamp", "good day"));
        // What it says.
        other.tell(&format!("say {at} hello")).await;
        assert_eq!(next(&mut messages).await, said("other", "hello"));

        // Subjects.
        soon(here.set_subject(Text::from_static("ours")))
            .await
            .unwrap();
        other.says("subject lamp ours").await;
        // In some rooms only moderators may.
        soon(here.set_role("other", Role::Moderator, None))
            .await
            .unwrap();
        let moderates = |e: &RoomEvent| matches!(e, RoomEvent::Changed { occupant, .. } if occupant.role == Role::Moderator);
        event(&mut events, moderates).await;
        other.tell(&format!("subject {at} theirs")).await;
        let theirs = |e: &RoomEvent| matches!(e, RoomEvent::Subject { by: Some(by), subject, .. } if by == "other" && *subject == "theirs");
        event(&mut events, theirs).await;
        assert_eq!(here.subject().await.unwrap().as_deref(), Some("theirs"));

        // In private.
        soon(here.whisper("other", "psst")).await.unwrap();
        other.says("told lamp psst").await;
        other.tell(&format!("whisper {at}/lamp hush")).await;
        let message = soon(messages.recv()).await.unwrap();
        assert!(message.is_private());
        assert_eq!((message.nick(), &*message.body()), ("other", "hush"));
        message.commit().await.unwrap();

        // Nicknames.
        soon(here.set_nick("light")).await.unwrap();
        assert_eq!(here.nick().await.unwrap().as_deref(), Some("light"));
        other.says("presence light available").await;
        let taken = soon(here.set_nick("other")).await.unwrap_err();
        assert!(matches!(taken, RoomError::Refused { .. }), "{taken}");
        other.tell(&format!("nick {at} another")).await;
        let renamed = |e: &RoomEvent| matches!(e, RoomEvent::Renamed { from, to, .. } if from == "other" && to == "another");
        event(&mut events, renamed).await;

        // Kicked, by us.
        soon(here.kick("another", Some(Text::from_static("enough"))))
            .await
            .unwrap();
        other.says("presence another unavailable 110,307").await;
        let gone = event(&mut events, |e| matches!(e, RoomEvent::Gone { .. })).await;
        let RoomEvent::Gone { why, .. } = gone else {
            unreachable!()
        };
        assert!(
            matches!(&why, Departure::Kicked { reason: Some(r), .. } if r == "enough"),
            "{why:?}"
        );
        here.leave().await.unwrap();
        other.end().await;
        lamp.device.stop().await;
    }
}

#[tokio::test]
async fn slixmpp_has_the_room_and_we_are_guests() {
    for server in Real::both("rooms-guest") {
        let at = room(&server, "guest");
        let mut other = Foreign::start("rooms.py", &server, &server.add("other")).await;
        other.tell(&format!("join {at} host")).await;
        other.says("joined host").await;
        let lamp = Member::start(&server, "lamp").await;
        // A nickname that is taken, and another one by itself.
        let taken = soon(lamp.rooms.join(at.clone(), "host", JoinOptions::default())).await;
        assert!(
            matches!(taken, Err(JoinError::NickConflict { .. })),
            "{taken:?}"
        );
        let options = JoinOptions::default().without_history().or_another_nick(3);
        let (here, mut messages) = soon(lamp.rooms.join(at.clone(), "host", options))
            .await
            .unwrap();
        assert_eq!(here.nick().await.unwrap().as_deref(), Some("host_"));
        let occupants = here.occupants().await.unwrap();
        let host = occupants.iter().find(|o| o.nick == "host").unwrap();
        assert_eq!(
            (host.role, host.affiliation),
            (Role::Moderator, Affiliation::Owner)
        );
        other.tell(&format!("say {at} welcome")).await;
        assert_eq!(next(&mut messages).await, said("host", "welcome"));
        // Two kinds of refusal of what guests may not do.
        let may_not = soon(here.kick("host", None)).await.unwrap_err();
        assert!(matches!(may_not, RoomError::Request(_)), "{may_not}");
        assert!(soon(here.configuration()).await.is_err());
        // The other takes our nickname's place in vain.
        other.tell(&format!("kick {at} host_")).await;
        let mut events = here.events();
        let left = event(&mut events, |e| matches!(e, RoomEvent::Left { .. })).await;
        assert!(
            matches!(
                left,
                RoomEvent::Left {
                    why: Departure::Kicked { .. },
                    ..
                }
            ),
            "{left:?}"
        );
        assert!(soon(messages.recv()).await.is_none(), "its end is seen");
        assert!(matches!(
            soon(here.set_nick("x")).await,
            Err(RoomError::Outside { .. })
        ));
        other.end().await;
        lamp.device.stop().await;
    }
}

#[tokio::test]
async fn invitations_go_and_come_through_the_room_and_straight() {
    for server in Real::both("rooms-invite") {
        let at = room(&server, "invite");
        let lamp = Member::start(&server, "lamp").await;
        let (here, _messages) = lamp.join(&at, "lamp").await;
        let mut invitations = lamp.rooms.invitations().await.unwrap();
        let mut other = Foreign::start("rooms.py", &server, &server.add("other")).await;
        let other_jid: stanchion_stanza::Jid = other.jid.parse().unwrap();
        let whom: stanchion_stanza::Jid = other_jid.to_bare().into();
        soon(here.invite(whom.clone(), Some(Text::from_static("come"))))
            .await
            .unwrap();
        other.says(&format!("invited {at}")).await;
        soon(here.invite_directly(whom, None)).await.unwrap();
        other.says(&format!("invited-directly {at}")).await;

        let theirs = room(&server, "invite-back");
        other.tell(&format!("join {theirs} host")).await;
        other.says("joined host").await;
        let us = lamp.device.jid().to_bare();
        other.tell(&format!("invite {theirs} {us}")).await;
        let mut invitation = soon(invitations.recv()).await.unwrap();
        assert_eq!((&invitation.room, invitation.by_room), (&theirs, true));
        assert_eq!(invitation.reason.as_deref(), Some("come"));
        invitation.commit().await.unwrap();
        // Some servers add the other kind by themselves; then it comes in one message.
        other.tell(&format!("invite-directly {theirs} {us}")).await;
        let mut direct = soon(invitations.recv()).await.unwrap();
        assert_eq!((&direct.room, direct.by_room), (&theirs, false));
        assert_eq!(direct.from.as_ref(), Some(&other_jid));
        direct.commit().await.unwrap();
        lamp.join(&direct.room, "lamp").await;
        other.says("presence lamp available").await;
        other.end().await;
        lamp.device.stop().await;
    }
}
