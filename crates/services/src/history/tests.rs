//! The laws of the history, on a database in memory.

use super::*;
use stanchion_reliability::outcome::{NotDelivered, Outcome};
use stanchion_stanza::{Limits, Scope, codec::parse_element};

const MINUTE: i64 = 60_000;

fn at(minute: i64) -> WallTime {
    WallTime::from_unix_ms(1_700_000_000_000 + minute * MINUTE)
}

fn message(from: &str, to: &str, id: &str, body: &str, more: &str) -> Message {
    let xml = format!(
        "<message from='{from}' to='{to}' type='chat' id='{id}'>\
         <body>{body}</body>{more}</message>"
    );
    let element = parse_element(xml.as_bytes(), &Scope::client(), &Limits::default());
    Message::from_element(element.unwrap()).unwrap()
}

fn inward(id: &str, body: &str, minute: i64, more: &str) -> MessageNote {
    let message = message("peer@far.example/x", "me@near.example/y", id, body, more);
    MessageNote::received(&message, at(minute)).unwrap()
}

fn outward(id: &str, body: &str, minute: i64, more: &str) -> MessageNote {
    let message = message("me@near.example/y", "peer@far.example", id, body, more);
    MessageNote::sent(&message, Some(&account()), at(minute), Progress::Writing).unwrap()
}

fn account() -> BareJid {
    "me@near.example".parse().unwrap()
}

fn peer() -> BareJid {
    "peer@far.example".parse().unwrap()
}

async fn open(config: HistoryConfig) -> History {
    History::open(Transactor::in_memory().unwrap(), config)
        .await
        .unwrap()
}

async fn bodies(history: &History, page: Page, most: usize) -> Vec<String> {
    let entries = history.page(&peer(), page, most).await.unwrap();
    entries.into_iter().map(|entry| entry.body).collect()
}

#[tokio::test]
async fn a_history_without_messages_makes_no_tables_and_answers_all_the_same() {
    let store = Transactor::in_memory().unwrap();
    let history = History::open(store.clone(), HistoryConfig::default())
        .await
        .unwrap();
    assert_eq!(
        bodies(&history, Page::Latest, 10).await,
        Vec::<String>::new()
    );
    assert_eq!(history.conversations(0, 10).await.unwrap(), vec![]);
    assert_eq!(history.search("lamp", None, 10).await.unwrap(), vec![]);
    let tables = store
        .transact(|tx| {
            tx.query_row("SELECT count(*) FROM sqlite_master", [], |row| {
                row.get::<_, i64>(0)
            })
        })
        .await;
    assert_eq!(tables.unwrap(), 0);
}

#[tokio::test]
async fn a_conversation_is_read_page_by_page_in_both_directions() {
    let history = open(HistoryConfig::default()).await;
    for n in 0..10 {
        history
            .begin(inward(&n.to_string(), &format!("b{n}"), n, ""))
            .await
            .unwrap();
    }
    // One that comes late, as from an archive, and stands where it belongs.
    let late = "<delay xmlns='urn:xmpp:delay' from='near.example' stamp='2023-11-14T22:15:50Z'/>";
    history.begin(inward("l", "late", 20, late)).await.unwrap();
    assert_eq!(bodies(&history, Page::Latest, 3).await, ["b7", "b8", "b9"]);
    let mut seen = Vec::new();
    let mut page = Page::Latest;
    loop {
        let entries = history.page(&peer(), page, 4).await.unwrap();
        let Some(first) = entries.first() else { break };
        page = Page::Before(first.place);
        seen.splice(0..0, entries.into_iter().map(|e| e.body));
    }
    let all = [
        "b0", "b1", "b2", "late", "b3", "b4", "b5", "b6", "b7", "b8", "b9",
    ];
    assert_eq!(seen, all);
    let first = history.page(&peer(), Page::Latest, 100).await.unwrap()[0].place;
    assert_eq!(
        bodies(&history, Page::After(first), 3).await,
        ["b1", "b2", "late"]
    );
}

#[tokio::test]
async fn a_message_is_there_once_whatever_copies_come() {
    let history = open(HistoryConfig::default()).await;
    let origin = "<origin-id xmlns='urn:xmpp:sid:0' id='o'/>";
    let recorded = history.begin(inward("1", "b", 1, origin)).await.unwrap();
    assert!(matches!(recorded, Recorded::New(_)));
    let archived =
        format!("{origin}<stanza-id xmlns='urn:xmpp:sid:0' by='me@near.example' id='z'/>");
    let again = history.begin(inward("1", "b", 5, &archived)).await.unwrap();
    assert_eq!(again, Recorded::Known(recorded.place()));
    let entry = history.entry(recorded.place()).await.unwrap().unwrap();
    assert_eq!(entry.archive_id.as_deref(), Some("z"), "the copy knew more");
    assert_eq!(bodies(&history, Page::Latest, 10).await, ["b"]);
}

#[tokio::test]
async fn a_correction_takes_the_place_of_its_authors_own_message_and_of_no_other() {
    let history = open(HistoryConfig::default()).await;
    let replace = "<replace xmlns='urn:xmpp:message-correct:0' id='1'/>";
    history.begin(inward("1", "wrong", 1, "")).await.unwrap();
    history.begin(outward("1", "mine", 2, "")).await.unwrap();
    for _copy in 0..2 {
        let corrected = history
            .begin(inward("2", "right", 3, replace))
            .await
            .unwrap();
        assert_eq!(corrected.place().at, at(1));
    }
    let mallory = message(
        "mallory@far.example/x",
        "me@near.example/y",
        "3",
        "evil",
        replace,
    );
    let mallory = MessageNote::received(&mallory, at(4)).unwrap();
    assert!(matches!(
        history.begin(mallory).await.unwrap(),
        Recorded::New(_)
    ));
    let entries = history.page(&peer(), Page::Latest, 10).await.unwrap();
    let now: Vec<_> = entries.iter().map(|e| (e.body.as_str(), e.edits)).collect();
    assert_eq!(now, [("right", 1), ("mine", 0)]);
    assert_eq!(entries[0].edited_at, Some(at(3)));
    let versions = history.versions(entries[0].place).await.unwrap();
    assert_eq!(
        versions,
        [Version {
            body: "wrong".into(),
            until: at(3)
        }]
    );
    let found = history.search("wrong", None, 10).await.unwrap();
    assert_eq!(found, vec![], "the search knows the last version");
}

#[tokio::test]
async fn in_a_room_only_the_same_occupant_corrects() {
    let history = open(HistoryConfig::default()).await;
    let room = |who: &str, id: &str, body: &str, more: &str| {
        let from = format!("room@conf.example/{who}");
        let mut message = message(&from, "me@near.example/y", id, body, more);
        message.kind = stanchion_stanza::stanza::MessageType::Groupchat;
        MessageNote::received(&message, at(1)).unwrap()
    };
    let replace = "<replace xmlns='urn:xmpp:message-correct:0' id='1'/>";
    history.begin(room("ann", "1", "by ann", "")).await.unwrap();
    let other = history.begin(room("bob", "2", "by bob", replace)).await;
    assert!(matches!(other.unwrap(), Recorded::New(_)));
    let own = history.begin(room("ann", "3", "better", replace)).await;
    assert!(matches!(own.unwrap(), Recorded::Corrected(_)));
}

#[tokio::test]
async fn old_versions_are_bounded() {
    let history = open(HistoryConfig::default()).await;
    let replace = "<replace xmlns='urn:xmpp:message-correct:0' id='1'/>";
    let first = history.begin(inward("1", "v0", 0, "")).await.unwrap();
    for n in 1..=50 {
        let note = inward(&format!("c{n}"), &format!("v{n}"), n, replace);
        history.begin(note).await.unwrap();
    }
    let versions = history.versions(first.place()).await.unwrap();
    assert_eq!(versions.len(), 32);
    assert_eq!(
        (versions[0].body.as_str(), versions[31].body.as_str()),
        ("v18", "v49")
    );
    assert_eq!(bodies(&history, Page::Latest, 10).await, ["v50"]);
}

#[tokio::test]
async fn words_are_found_as_they_are_typed_and_are_no_syntax() {
    let history = open(HistoryConfig::default()).await;
    for (n, body) in [
        "the lamp is on",
        "La lámpara",
        "nothing",
        "a \"quoted\" OR word",
    ]
    .iter()
    .enumerate()
    {
        let n = n as i64;
        history
            .begin(inward(&n.to_string(), body, n, ""))
            .await
            .unwrap();
    }
    let found = async |text: &str| {
        let found = history.search(text, None, 10).await.unwrap();
        found.into_iter().map(|f| f.snippet).collect::<Vec<_>>()
    };
    assert_eq!(
        found("LAMP is").await,
        ["the \u{e000}lamp\u{e001} \u{e000}is\u{e001} on"]
    );
    assert_eq!(found("lampar").await, ["La \u{e000}lámpara\u{e001}"]);
    assert_eq!(found("lamp nothing").await, Vec::<String>::new());
    for odd in [
        "\"", "(", "*", "NEAR(", "body:", "a\"b", "AND", "- -", "", "word OR",
    ] {
        found(odd).await;
    }
    assert_eq!(found("\"quoted\"").await.len(), 1);
    let elsewhere = "other@far.example".parse().unwrap();
    let none = history.search("lamp", Some(&elsewhere), 10).await.unwrap();
    assert_eq!(none, vec![]);
    assert_eq!(
        history
            .search("lamp", Some(&peer()), 10)
            .await
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn conversations_come_with_the_latest_first_and_what_is_unread() {
    let history = open(HistoryConfig::default()).await;
    for n in 0..3 {
        history
            .begin(inward(&n.to_string(), "b", n, ""))
            .await
            .unwrap();
    }
    let other = message("other@far.example/x", "me@near.example/y", "9", "hello", "");
    history
        .begin(MessageNote::received(&other, at(9)).unwrap())
        .await
        .unwrap();
    let list = async || {
        let list = history.conversations(0, 10).await.unwrap();
        let list = list.into_iter().map(|c| (c.with.to_string(), c.unread));
        list.collect::<Vec<_>>()
    };
    let (a, b) = (
        "other@far.example".to_owned(),
        "peer@far.example".to_owned(),
    );
    assert_eq!(list().await, [(a.clone(), 1), (b.clone(), 3)]);
    let middle = history.page(&peer(), Page::Latest, 10).await.unwrap()[1].place;
    assert_eq!(history.read_up_to(&peer(), middle).await.unwrap(), 2);
    assert_eq!(history.read_up_to(&peer(), middle).await.unwrap(), 0);
    history.begin(outward("o", "mine", 20, "")).await.unwrap();
    assert_eq!(list().await, [(b, 1), (a, 1)]);
    assert_eq!(history.conversations(1, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn markers_reach_backwards_and_name_only_messages_that_are_there() {
    let history = open(HistoryConfig::default()).await;
    for n in 0..3 {
        history
            .begin(outward(&format!("o{n}"), "b", n, ""))
            .await
            .unwrap();
    }
    let displayed = async |id: &str| {
        let (conversation, id) = (peer(), id.to_owned());
        history
            .note(vec![Note::Displayed { conversation, id }])
            .await
            .unwrap();
        let entries = history.page(&peer(), Page::Latest, 10).await.unwrap();
        entries.into_iter().map(|e| e.displayed).collect::<Vec<_>>()
    };
    assert_eq!(displayed("unknown").await, [false, false, false]);
    assert_eq!(displayed("o1").await, [true, true, false]);
    assert_eq!(
        displayed("o0").await,
        [true, true, false],
        "it only moves forward"
    );
}

#[tokio::test]
async fn what_another_device_displayed_is_read_here_too() {
    let history = open(HistoryConfig::default()).await;
    for n in 0..2 {
        history
            .begin(inward(&format!("i{n}"), "b", n, ""))
            .await
            .unwrap();
    }
    let note = Note::ReadElsewhere {
        conversation: peer(),
        id: "i0".into(),
    };
    history.note(vec![note]).await.unwrap();
    assert_eq!(history.conversations(0, 1).await.unwrap()[0].unread, 1);
}

#[tokio::test]
async fn an_outcome_is_noted_and_a_definite_one_stays() {
    let history = open(HistoryConfig::default()).await;
    history.begin(outward("o", "b", 0, "")).await.unwrap();
    let outcome = async |outcome: Outcome| {
        let (progress, why) = Progress::of(&outcome);
        let id = "o".to_owned();
        history
            .note(vec![Note::Progress { id, progress, why }])
            .await
            .unwrap();
        let entry = history
            .page(&peer(), Page::Latest, 1)
            .await
            .unwrap()
            .remove(0);
        (entry.progress.unwrap(), entry.why)
    };
    assert_eq!(history.open_after(0).await.unwrap().len(), 1);
    let by = "peer@far.example/x".parse().unwrap();
    assert_eq!(
        outcome(Outcome::Delivered { by }).await,
        (Progress::Delivered, None)
    );
    let late = Outcome::NotDelivered(NotDelivered::Expired);
    assert_eq!(outcome(late).await, (Progress::Delivered, None));
    assert_eq!(history.open_after(0).await.unwrap(), vec![]);
}

#[tokio::test]
async fn a_message_that_was_not_sent_after_all_is_gone() {
    let history = open(HistoryConfig::default()).await;
    history.begin(outward("o", "b", 0, "")).await.unwrap();
    history.unwrite("o".into()).await.unwrap();
    assert_eq!(history.conversations(0, 10).await.unwrap(), vec![]);
}

#[tokio::test]
async fn what_is_too_old_or_too_much_goes() {
    let history = open(HistoryConfig {
        entries: 5,
        ..HistoryConfig::default()
    })
    .await;
    for n in 0..20 {
        history
            .begin(inward(&n.to_string(), &format!("b{n}"), n, ""))
            .await
            .unwrap();
    }
    assert_eq!(
        bodies(&history, Page::Latest, 100).await,
        ["b15", "b16", "b17", "b18", "b19"]
    );
    assert_eq!(history.search("b3", None, 10).await.unwrap(), vec![]);
    let age = Some(Duration::from_secs(180));
    let history = open(HistoryConfig {
        age,
        ..HistoryConfig::default()
    })
    .await;
    for n in 0..20 {
        history
            .begin(inward(&n.to_string(), &format!("b{n}"), n, ""))
            .await
            .unwrap();
    }
    assert_eq!(
        bodies(&history, Page::Latest, 100).await,
        ["b16", "b17", "b18", "b19"]
    );
    assert_eq!(history.forget_before(at(18)).await.unwrap(), 2);
    assert_eq!(history.forget_before(at(100)).await.unwrap(), 2);
    assert_eq!(history.conversations(0, 10).await.unwrap(), vec![]);
}

#[tokio::test]
async fn no_answer_is_longer_than_its_bound() {
    let history = open(HistoryConfig::default()).await;
    let notes = (0..600).map(|n| Note::Message(Box::new(inward(&n.to_string(), "same", n, ""))));
    history.note(notes.collect()).await.unwrap();
    let all = usize::MAX;
    let page = history.page(&peer(), Page::Latest, all).await.unwrap();
    assert_eq!(page.len(), History::MOST);
    let found = history.search("same", None, all).await.unwrap();
    assert_eq!(found.len(), History::MOST);
}

#[tokio::test]
async fn texts_take_no_more_bytes_than_they_may_whatever_a_peer_sends() {
    let history = open(HistoryConfig {
        bytes: 10_000,
        ..HistoryConfig::default()
    })
    .await;
    let long = |n: usize| format!("{n:01000}");
    for n in 0..50 {
        let note = inward(&n.to_string(), &long(n), n as i64, "");
        history.begin(note).await.unwrap();
    }
    assert_eq!(bodies(&history, Page::Latest, 100).await.len(), 10);
    // Corrections count, too: of a message of ten versions nothing else is left.
    let replace = "<replace xmlns='urn:xmpp:message-correct:0' id='49'/>";
    for n in 50..70 {
        let note = inward(&n.to_string(), &long(n), n as i64, replace);
        history.begin(note).await.unwrap();
    }
    let left = history.page(&peer(), Page::Latest, 100).await.unwrap();
    assert_eq!((left.len(), left[0].edits), (1, 20));
    let next = inward("next", "short", 70, "");
    history.begin(next).await.unwrap();
    assert_eq!(bodies(&history, Page::Latest, 100).await, ["short"]);
}

#[tokio::test]
async fn a_reader_beside_the_owner_sees_what_the_owner_sees_and_can_change_nothing() {
    use stanchion_reliability::store::{Opening, Seed, SqliteReader, SqliteStore};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("messages.sqlite");
    let opening = Opening::new(Seed::from_os().unwrap(), at(0));
    let owner = SqliteStore::open(&path, &opening).unwrap();
    let reader = SqliteReader::open(&path).unwrap();
    let look = HistoryReader::new(&reader);
    let end = Place {
        at: WallTime::MAX,
        row: 0,
    };
    let always = WallTime::from_unix_ms(i64::MIN);
    let bodies = |with: Option<&BareJid>, since, before, most| {
        let entries = look.latest(with, since, before, most).unwrap();
        entries.into_iter().map(|e| e.body).collect::<Vec<_>>()
    };
    assert_eq!(bodies(None, always, end, 10), Vec::<String>::new());
    assert_eq!(look.conversations(0, 10).unwrap(), vec![]);

    let history = History::open(owner.transactor().unwrap(), HistoryConfig::default());
    let history = history.await.unwrap();
    for n in 0..5 {
        let note = inward(&n.to_string(), &format!("lamp {n}"), n, "");
        history.begin(note).await.unwrap();
    }
    let other = message("other@far.example", "me@near.example", "o", "lamp o", "");
    let note = MessageNote::received(&other, at(9)).unwrap();
    history.begin(note).await.unwrap();

    let peer = peer();
    assert_eq!(bodies(Some(&peer), always, end, 2), ["lamp 3", "lamp 4"]);
    assert_eq!(bodies(Some(&peer), at(3), end, 9), ["lamp 3", "lamp 4"]);
    let until = Place {
        at: at(2),
        row: i64::MIN,
    };
    assert_eq!(bodies(None, always, until, 9), ["lamp 0", "lamp 1"]);
    assert_eq!(bodies(None, at(4), end, 9), ["lamp 4", "lamp o"]);
    assert_eq!(look.conversations(0, 10).unwrap().len(), 2);
    let found = |sent| look.search("lamp", Some(&peer), &sent, 9).unwrap().len();
    assert_eq!((found(at(0)..at(9)), found(at(1)..at(3))), (5, 2));
    let changed = reader.look(|tx| tx.execute("DELETE FROM app_stanchion_history", []));
    assert!(changed.is_err());
    let seen = reader.look(|tx| tx.query_row("SELECT count(*) FROM outbound", [], |_| Ok(())));
    assert!(
        seen.is_err(),
        "the store's own tables are not for applications"
    );
    assert_eq!(
        reader.counts().unwrap().finished,
        0,
        "and the store still reads them"
    );

    assert_eq!(history.forget_conversation(&peer, at(2)).await.unwrap(), 2);
    assert_eq!(bodies(None, always, end, 9).len(), 4);
    let gone = history.forget_conversation(&peer, WallTime::MAX).await;
    assert_eq!(gone.unwrap(), 3);
    assert_eq!(bodies(None, always, end, 9), ["lamp o"]);
    assert_eq!(look.conversations(0, 10).unwrap().len(), 1);
}
