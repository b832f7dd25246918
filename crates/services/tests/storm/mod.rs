//! Many members of one room who all talk while something happens to the server: each of
//! them sees each message once, and of each sender in order.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::time::{Duration, Instant};

use stanchion_reliability::session::Sent;
use stanchion_services::rooms::{Room, RoomMessages};
use tokio::sync::mpsc;

/// What a member saw: how often each message, and of each sender the numbers in order.
#[derive(Debug, Default)]
struct Seen {
    times: BTreeMap<(String, usize), usize>,
    disorder: Vec<String>,
    last: BTreeMap<String, usize>,
}

impl Seen {
    fn sees(&mut self, nick: &str, body: &str) {
        let number: usize = body.parse().unwrap();
        *self.times.entry((nick.to_owned(), number)).or_default() += 1;
        if let Some(last) = self.last.insert(nick.to_owned(), number)
            && last >= number
        {
            self.disorder.push(format!("{nick}: {number} after {last}"));
        }
    }
}

/// A member, by its nickname.
pub(crate) struct Talker {
    pub(crate) name: String,
    pub(crate) room: Room,
    pub(crate) messages: RoomMessages,
}

/// Each says so many things, `pace` of them before the first was heard, and all see all of
/// them; after a third and two thirds `kills`
/// is done. Tells how long that took.
pub(crate) async fn storm<K, F>(
    talkers: Vec<Talker>,
    each: usize,
    pace: usize,
    mut kills: K,
) -> Duration
where
    K: FnMut() -> F,
    F: Future<Output = ()>,
{
    let total = talkers.len() * each;
    let (progress, mut heard) = mpsc::channel::<()>(1024);
    let started = Instant::now();
    let (mut readers, mut writers) = (Vec::new(), Vec::new());
    for (nth, talker) in talkers.into_iter().enumerate() {
        let progress = (nth == 0).then(|| progress.clone());
        readers.push((
            talker.name,
            tokio::spawn(read(talker.messages, total, progress)),
        ));
        writers.push(tokio::spawn(talk(talker.room, each, pace)));
    }
    for count in 1..=total {
        heard.recv().await.expect("the first member reads");
        if count == total / 3 || count == total * 2 / 3 {
            kills().await;
        }
    }
    for writer in writers {
        writer.await.unwrap();
    }
    for (name, reader) in readers {
        let seen = reader.await.unwrap();
        assert_eq!(seen.times.len(), total, "{name}");
        let twice: Vec<_> = seen
            .times
            .iter()
            .filter(|(_, times)| **times != 1)
            .collect();
        assert!(twice.is_empty(), "{name} saw more than once: {twice:?}");
        assert!(seen.disorder.is_empty(), "{name}: {:?}", seen.disorder);
    }
    started.elapsed()
}

async fn read(
    mut messages: RoomMessages,
    total: usize,
    progress: Option<mpsc::Sender<()>>,
) -> Seen {
    let mut seen = Seen::default();
    while seen.times.len() < total {
        let message = messages.recv().await.expect("the room stays");
        seen.sees(message.nick(), &message.body());
        message.commit().await.unwrap();
        if let Some(progress) = &progress {
            // In the end nobody counts any more.
            let _ = progress.send(()).await;
        }
    }
    // What would come twice comes now.
    let late = tokio::time::timeout(Duration::from_secs(1), messages.recv()).await;
    if let Ok(Some(message)) = late {
        seen.sees(message.nick(), &message.body());
    }
    seen
}

/// All that is said is shown by the room in the end.
async fn talk(room: Room, each: usize, pace: usize) {
    let mut sent = VecDeque::new();
    for n in 0..each {
        if sent.len() >= pace {
            heard(sent.pop_front()).await;
        }
        sent.push_back(room.say(n.to_string()).await.unwrap());
    }
    while !sent.is_empty() {
        heard(sent.pop_front()).await;
    }
}

async fn heard(sent: Option<Sent>) {
    let outcome = sent.unwrap().outcome().await.unwrap();
    assert!(
        format!("{outcome:?}").starts_with("Acknowledged"),
        "{outcome:?}"
    );
}
