//! Orders that take their time, each on its own: none waits for another.

use std::sync::Arc;

use stanchion::services::history::{History, Page, Place};
use stanchion::services::presence::Availability;
use stanchion::services::rooms::{JoinOptions, Room, RoomMessages};
use stanchion::stanza::Text;
use stanchion::stanza::payload::csi::ClientState;
use stanchion::{BareJid, Jid};

use super::super::event::Event;
use super::super::order::Answer;
use super::super::room::RoomChange;
use super::invitations::Waiting;
use super::{Held, telling};

/// Messages of one page.
pub(super) const PAGE: usize = 100;
/// What a search finds at most.
const FOUND: usize = 200;
/// Conversations of the list.
const TALKS: usize = 500;
/// The group of contacts that are things.
pub(super) const THINGS: &str = "Things";

fn history(held: &Held) -> &History {
    held.client.chat().history()
}

/// The conversations of the history.
pub(super) async fn talks(held: &Held) {
    match history(held).conversations(0, TALKS).await {
        Ok(talks) => held.tell(Event::Talks(talks)).await,
        Err(error) => held.failed("the history cannot be read", &error).await,
    }
}

/// A part of a conversation.
pub(super) async fn page(held: &Held, with: BareJid, page: Page) {
    match history(held).page(&with, page, PAGE).await {
        Ok(entries) => {
            let first = entries.len() < PAGE;
            held.tell(Event::Page {
                with,
                entries,
                first,
            })
            .await;
        }
        Err(error) => held.failed("the history cannot be read", &error).await,
    }
}

pub(super) async fn seen(held: &Held, with: BareJid, place: Place) {
    let entry = history(held).entry(place).await;
    let Ok(Some(entry)) = entry else { return };
    if entry.conversation != with {
        return;
    }
    match held.client.chat().displayed(&entry).await {
        Ok(()) => held.tell(Event::Read { with, up_to: place }).await,
        Err(error) => held.failed("not noted as read", &error).await,
    }
}

pub(super) async fn search(held: &Held, words: String, with: Option<BareJid>) {
    match history(held).search(&words, with.as_ref(), FOUND).await {
        Ok(found) => held.tell(Event::Found { words, found }).await,
        Err(error) => held.failed("the history cannot be searched", &error).await,
    }
}

pub(super) async fn cancel(held: &Held, id: String) {
    if let Err(error) = held.client.sender().cancel(id).await {
        held.failed("not cancelled", &error).await;
    }
}

pub(super) async fn status(held: &Held, availability: Availability, text: String) {
    let how = telling::status(availability, &text);
    match held.client.presences().set(how.clone()).await {
        Ok(()) => held.tell(telling::own(&how)).await,
        Err(error) => held.failed("the status is not set", &error).await,
    }
}

pub(super) async fn attention(held: &Held, looks: bool) {
    let state = match looks {
        true => ClientState::Active,
        false => ClientState::Inactive,
    };
    // Of a session that has ended nobody wants to know.
    let _ = held.client.attention().set(state).await;
}

pub(super) async fn add(held: &Held, who: BareJid, name: Option<Text>) {
    let roster = held.client.roster();
    let added = async {
        if name.is_some() {
            roster.set(who.clone(), name, []).await?;
        }
        roster.subscribe(who.clone()).await
    };
    match added.await {
        Ok(()) => {
            let text = format!("{who} is asked to show how they are");
            held.tell(telling::info(text)).await;
        }
        Err(error) => held.failed(&format!("{who} is not added"), &error).await,
    }
}

pub(super) async fn remove(held: &Held, who: BareJid) {
    if let Err(error) = held.client.roster().remove(who.clone()).await {
        held.failed(&format!("{who} is not removed"), &error).await;
    }
}

pub(super) async fn answer(held: &Held, to: BareJid, answer: Answer) {
    let roster = held.client.roster();
    let answered = async {
        match answer {
            Answer::Accept => {
                roster.approve(to.clone()).await?;
                let contact = roster.contact(&to.clone().into()).await;
                match contact {
                    Ok(Some(contact)) if contact.is_seen() => Ok(()),
                    _ => roster.subscribe(to.clone()).await,
                }
            }
            Answer::Deny => roster.deny(to.clone()).await,
        }
    };
    match answered.await {
        Ok(()) => held.tell(Event::NotAsked(to)).await,
        Err(error) => held.failed(&format!("{to} has no answer"), &error).await,
    }
}

/// Enters a room. Gives what it says from then on.
pub(super) async fn join(
    held: &Held,
    room: BareJid,
    nick: Option<String>,
    password: Option<Text>,
) -> Option<RoomMessages> {
    let change = RoomChange::Entering;
    let of = room.clone();
    held.tell(Event::Room { room: of, change }).await;
    let account = &held.config.account;
    let own = account.local().unwrap_or_else(|| account.domain());
    let nick = nick.unwrap_or_else(|| own.to_owned());
    let mut options = JoinOptions::default().or_another_nick(3);
    // What cannot be read is as if nobody had invited.
    let invited = held.invitations.to(&room).await.ok().flatten();
    let told = invited
        .as_ref()
        .and_then(|waiting| Some(waiting.password.clone()?.0));
    if let Some(password) = password.or(told) {
        options = options.password(password);
    }
    let joined = held.client.rooms().join(room.clone(), &nick, options);
    match Box::pin(joined).await {
        Ok((_, messages)) => Some(messages),
        Err(error) => {
            let why = Some(crate::exit::one_line(&error));
            let change = RoomChange::Out { why };
            held.tell(Event::Room { room, change }).await;
            // It has no answer yet.
            held.tell_all(invited.iter().map(Waiting::event)).await;
            None
        }
    }
}

/// Refuses an invitation. Who invited is told where the room does that; if that cannot be
/// told now, it waits on.
pub(super) async fn decline(held: &Held, room: BareJid) {
    let what = format!("the invitation to {room} is not declined");
    let waiting = match held.invitations.to(&room).await {
        Ok(waiting) => waiting,
        Err(error) => return held.failed(&what, &error).await,
    };
    if let Some(waiting) = waiting
        && waiting.by_room
    {
        let rooms = held.client.rooms();
        let declined = rooms.decline_of(room.clone(), waiting.by, None);
        if let Err(error) = declined.await {
            return held.failed(&what, &error).await;
        }
    }
    match held.invitations.forget(&room).await {
        Ok(()) => held.tell(Event::NotInvited(room)).await,
        Err(error) => held.failed(&what, &error).await,
    }
}

/// We are in a room: who is there, and what it is about.
pub(super) async fn entered(held: &Held, jid: BareJid, nick: String) {
    if let Err(error) = held.invitations.forget(&jid).await {
        let what = format!("the invitation to {jid} comes again");
        held.failed(&what, &error).await;
    }
    let Some(room) = room(held, &jid).await else {
        return;
    };
    let members = room.occupants().await.unwrap_or_default();
    let topic = room.subject().await.ok().flatten();
    let change = RoomChange::Entered {
        nick,
        members: members.into_iter().map(telling::member).collect(),
        topic: topic.map(|t| t.to_string()).unwrap_or_default(),
    };
    held.tell(Event::Room { room: jid, change }).await;
}

async fn room(held: &Held, jid: &BareJid) -> Option<Room> {
    let rooms = held.client.rooms().all().await.unwrap_or_default();
    rooms.into_iter().find(|room| room.jid() == jid)
}

pub(super) async fn leave(held: &Held, jid: BareJid) {
    if let Some(room) = room(held, &jid).await
        && let Err(error) = room.leave().await
    {
        return held.failed(&format!("{jid} is not left"), &error).await;
    }
    let change = RoomChange::Out { why: None };
    held.tell(Event::Room { room: jid, change }).await;
}

pub(super) async fn topic(held: &Held, jid: BareJid, topic: Text) {
    let Some(room) = room(held, &jid).await else {
        return;
    };
    if let Err(error) = room.set_subject(topic).await {
        held.failed("the topic is not set", &error).await;
    }
}

pub(super) async fn invite(held: &Held, jid: BareJid, whom: BareJid) {
    let Some(room) = room(held, &jid).await else {
        return;
    };
    if let Err(error) = room.invite(whom.clone().into(), None).await {
        held.failed(&format!("{whom} is not invited"), &error).await;
    }
}

/// Takes what a room says, until it is left.
pub(super) async fn listen(held: Arc<Held>, jid: BareJid, mut messages: RoomMessages) {
    while let Some(message) = messages.recv().await {
        let nick = match room(&held, &jid).await {
            Some(room) => room.nick().await.unwrap_or_default(),
            None => None,
        };
        let kept = held.client.chat().commit_in_room(message, nick.as_deref());
        match kept.await {
            Ok(Some(entry)) => held.tell(Event::Said(Box::new(entry))).await,
            Ok(None) => {}
            Err(error) => held.failed("a message was not kept", &error).await,
        }
    }
}

/// Remembers that somebody is a thing, so that it is watched after the next start, too.
pub(super) async fn note_thing(held: &Held, jid: &Jid, thing: bool) {
    let group = Text::from_static(THINGS);
    let roster = held.client.roster();
    let who = jid.to_bare();
    let noted = async {
        match thing {
            true => {
                roster.add_to_group(who.clone(), group).await?;
                match roster.contact(&who.clone().into()).await {
                    Ok(Some(contact)) if contact.is_seen() => Ok(()),
                    _ => roster.subscribe(who.clone()).await,
                }
            }
            false => roster.remove_from_group(who.clone(), &group).await,
        }
    };
    if let Err(error) = noted.await {
        let what = format!("{who} is not noted among the things");
        held.failed(&what, &error).await;
    }
}
