//! Conversations with slixmpp, both ways: carbons, the archive, corrections, chat states and
//! markers; and what a device catches up with that was away.

use std::time::Duration;

use stanchion_services::HostBuilder;
use stanchion_services::archive::{Archive, ArchiveConfig, ArchiveEvent, Archives, Beginning};
use stanchion_services::chat::{Chat, ChatEvent, Chats, Draft, Follower};
use stanchion_services::disco::Disco;
use stanchion_services::history::{Direction, Entry, Page, Progress};
use stanchion_services::ping::ping;
use stanchion_stanza::payload::mam::{DefaultPolicy, Filter, Prefs};
use stanchion_stanza::payload::rsm::{PageRequest, Position};
use stanchion_stanza::{BareJid, Jid};
use tokio::sync::broadcast;

use crate::foreign::Foreign;
use crate::server::{Device, Real};
use crate::soon;

struct Talking {
    device: Device,
    chat: Chat,
    archives: Archives,
    happens: broadcast::Receiver<ArchiveEvent>,
    _follower: Follower,
}

fn services(carbons: bool) -> (HostBuilder, Parts) {
    let mut services = HostBuilder::new();
    services.add(Disco::default());
    let mut config = ArchiveConfig::default();
    config.carbons = carbons;
    config.catch_up = Some(Beginning::Now);
    let archive = services.add(Archive::new(config, 7));
    let chats = services.add(Chats::announced());
    let happens = archive.events();
    (services, (archive, chats, happens))
}

type Parts = (
    stanchion_services::Handle<Archive>,
    stanchion_services::Handle<Chats>,
    broadcast::Receiver<ArchiveEvent>,
);

impl Talking {
    async fn start(server: &Real, user: &str) -> Self {
        let (services, parts) = services(true);
        Self::of(Device::login(server, user, services).await, parts)
    }

    fn of(device: Device, (archive, chats, happens): Parts) -> Self {
        let sender = device.session.sender();
        let (chat, follower) = Chat::start(chats, sender, device.host.history());
        let archives = Archives::new(archive, device.host.requests());
        Self {
            device,
            chat,
            archives,
            happens,
            _follower: follower,
        }
    }

    async fn caught_up(&mut self) -> u64 {
        loop {
            match soon(self.happens.recv()).await.unwrap() {
                ArchiveEvent::CaughtUp { received, .. } => return received,
                ArchiveEvent::SentElsewhere(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn next(&mut self) -> String {
        let received = soon(self.device.incoming.recv()).await.unwrap();
        let message = self.chat.commit(received).await.unwrap();
        message.body().unwrap().into_owned()
    }

    async fn page(&self, with: &BareJid) -> Vec<Entry> {
        let page = self.chat.history().page(with, Page::Latest, 500);
        page.await.unwrap()
    }

    async fn until(&self, with: &BareJid, holds: impl Fn(&Entry) -> bool) -> Entry {
        let look = async {
            loop {
                if let Some(entry) = self.page(with).await.pop().filter(&holds) {
                    return entry;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        soon(look).await
    }
}

fn bare(jid: &str) -> BareJid {
    jid.parse::<Jid>().unwrap().to_bare()
}

#[tokio::test]
async fn slixmpp_and_we_correct_mark_and_tell_states() {
    for server in Real::both("talk") {
        let mut me = Talking::start(&server, &server.add("me")).await;
        let mut other = Foreign::start("chat.py", &server, &server.add("other")).await;
        let (with, own) = (bare(&other.jid), me.device.jid().to_bare());
        me.caught_up().await;
        // Theirs.
        other.tell(&format!("say {own} helo markable state")).await;
        let id = other.says("said ").await["said ".len()..].to_owned();
        assert_eq!(me.next().await, "helo");
        other.tell(&format!("correct {own} {id} hello")).await;
        assert_eq!(me.next().await, "hello");
        let entry = me.page(&with).await.pop().unwrap();
        assert_eq!((entry.body.as_str(), entry.edits), ("hello", 1));
        let mut events = me.chat.events();
        other.tell(&format!("state {own} composing")).await;
        let told = soon(events.recv()).await.unwrap();
        assert!(matches!(told, ChatEvent::State { .. }), "{told:?}");
        me.chat.displayed(&entry).await.unwrap();
        assert_eq!(other.says("displayed ").await, format!("displayed {id}"));
        me.chat.writing(&with).await.unwrap();
        other.says(&format!("state composing {own}")).await;
        // Ours.
        let draft = Draft::new(with.clone().into(), "god morning").unwrap();
        let said = me.chat.say(draft.markable()).await.unwrap();
        let id = said.sent.id().to_owned();
        assert_eq!(
            other.says("message ").await,
            format!("message {id} god morning")
        );
        let mine = me
            .until(&with, |e| e.progress == Some(Progress::Acknowledged))
            .await;
        me.chat.correct(&mine, "good morning").await.unwrap();
        let corrects = other.says("corrects ").await;
        assert_eq!(corrects, format!("corrects {id} good morning"));
        other.tell(&format!("mark {own} {id}")).await;
        me.until(&with, |e| e.displayed).await;
        other.end().await;
        me.device.stop().await;
    }
}

#[tokio::test]
async fn slixmpp_and_we_get_copies_of_what_each_others_devices_do() {
    for server in Real::both("copies") {
        let user = server.add("me");
        let mut me = Talking::start(&server, &user).await;
        let mut mine = Foreign::start("chat.py", &server, &user).await;
        let mut other = Foreign::start("chat.py", &server, &server.add("other")).await;
        let with = bare(&other.jid);
        me.caught_up().await;
        mine.tell("carbons").await;
        mine.says("carbons").await;
        // What the other device sends and receives.
        mine.tell(&format!("say {with} out")).await;
        other.says("message ").await;
        me.until(&with, |e| e.body == "out" && e.direction == Direction::Out)
            .await;
        other
            .tell(&format!("say {} \"to the other\"", mine.jid))
            .await;
        assert_eq!(me.next().await, "to the other");
        mine.says("message ").await;
        // To both: it is seen once, whatever the server does.
        other
            .tell(&format!("say {} \"to both\"", bare(&mine.jid)))
            .await;
        assert_eq!(me.next().await, "to both");
        other.tell(&format!("say {} last", bare(&mine.jid))).await;
        assert_eq!(me.next().await, "last");
        // What we send and receive.
        me.chat.send(with.clone().into(), "by us").await.unwrap();
        mine.says("copy sent by us").await;
        other
            .tell(&format!("say {} \"to us\"", me.device.jid()))
            .await;
        assert_eq!(me.next().await, "to us");
        mine.says("copy received to us").await;
        mine.end().await;
        other.end().await;
        me.device.stop().await;
    }
}

#[tokio::test]
async fn slixmpp_and_we_find_each_others_messages_in_the_archive() {
    for server in Real::both("archive") {
        let mut me = Talking::start(&server, &server.add("me")).await;
        let mut other = Foreign::start("chat.py", &server, &server.add("other")).await;
        let (with, own) = (bare(&other.jid), me.device.jid().to_bare());
        me.caught_up().await;
        for n in 0..3 {
            other.tell(&format!("say {own} theirs{n}")).await;
            assert_eq!(me.next().await, format!("theirs{n}"));
            let ours = format!("ours{n}");
            let said = me.chat.send(with.clone().into(), ours).await.unwrap();
            soon(said.sent.outcome()).await.unwrap();
        }
        let all = "theirs0 ours0 theirs1 ours1 theirs2 ours2";
        other.tell(&format!("archive {own}")).await;
        assert_eq!(other.says("archive").await, format!("archive {all}"));
        let filter = Filter {
            with: Some(with.clone().into()),
            ..Filter::default()
        };
        let (mut seen, mut position) = (Vec::new(), Position::First);
        loop {
            let page = PageRequest::of(4, position);
            let page = soon(me.archives.page(&filter, page)).await.unwrap();
            let messages = page.messages.iter().filter_map(|m| m.message.as_ref());
            seen.extend(messages.filter_map(|m| m.body().map(|b| b.into_owned())));
            match page.page.range {
                Some(range) if !page.complete => position = Position::After(range.last),
                _ => break,
            }
        }
        assert_eq!(seen.join(" "), all);
        let wanted = Prefs {
            default: Some(DefaultPolicy::Never),
            always: vec![with.clone().into()],
            never: vec![],
        };
        let set = soon(me.archives.set_prefs(&wanted)).await.unwrap();
        assert_eq!((set.default, &set.always), (wanted.default, &wanted.always));
        assert_eq!(
            soon(me.archives.prefs()).await.unwrap().default,
            wanted.default
        );
        other.end().await;
        me.device.stop().await;
    }
}

#[tokio::test]
async fn what_another_device_took_while_we_were_away_comes_once_and_in_order() {
    for server in Real::both("away") {
        let user = server.add("me");
        let me = Talking::start(&server, &user).await;
        let mut me = me;
        me.caught_up().await;
        let own = me.device.jid().to_bare();
        let folder = me.device.end().await;
        let mut mine = Foreign::start("chat.py", &server, &user).await;
        let mut other = Foreign::start("chat.py", &server, &server.add("other")).await;
        let with = bare(&other.jid);
        other.tell(&format!("many {own} 300")).await;
        other.says("many").await;
        for n in 0..300 {
            let said = mine.says("message ").await;
            assert!(said.ends_with(&format!(" m{n}")), "{said}");
        }
        mine.tell(&format!("say {with} mine")).await;
        other.says("message ").await;
        mine.end().await;

        let expected: Vec<_> = (0..300).map(|n| format!("m{n}")).collect();
        let mut seen = Vec::new();
        // Twice it ends in the middle, as by a crash.
        let mut folder = folder;
        for most in [30, 130] {
            let (services, parts) = services(true);
            let device = Device::again(&server, &user, folder, services).await;
            let mut life = Talking::of(device, parts);
            for _ in 0..most {
                seen.push(life.next().await);
            }
            folder = life.device.crash().await;
        }
        let (services, parts) = services(true);
        let device = Device::again(&server, &user, folder, services).await;
        let mut last = Talking::of(device, parts);
        while seen.len() < 300 {
            seen.push(last.next().await);
        }
        last.caught_up().await;
        assert_eq!(seen, expected);
        let entries = last.page(&with).await;
        let bodies: Vec<_> = entries.iter().map(|e| e.body.clone()).collect();
        assert_eq!(bodies[..300], expected);
        assert_eq!(bodies[300..], ["mine"]);
        other.tell(&format!("say {own} after")).await;
        assert_eq!(last.next().await, "after", "nothing came a second time");
        soon(ping(&last.device.host.requests(), None))
            .await
            .unwrap();
        other.end().await;
        last.device.stop().await;
    }
}
