//! What is said, one after the other, so that it leaves in the order in which it was
//! written.

use std::sync::Arc;

use stanchion::BareJid;
use stanchion::services::chat::{ChatError, Draft, Said};
use stanchion::services::history::{Place, Progress};
use tokio::sync::mpsc;

use super::super::event::Event;
use super::super::talk::Stage;
use super::{Held, telling};

/// What is to be said.
#[derive(Debug)]
pub(super) enum Speech {
    /// To somebody, or to a room.
    Say {
        to: BareJid,
        room: bool,
        text: String,
    },
    /// In place of the last one.
    Correct { with: BareJid, text: String },
    /// A message that is there, as a new one.
    Again {
        with: BareJid,
        room: bool,
        place: Place,
    },
}

/// Says all of it, until nothing more can come.
pub(super) async fn speak(held: Arc<Held>, mut speeches: mpsc::Receiver<Speech>) {
    while let Some(speech) = speeches.recv().await {
        let (what, said) = match speech {
            Speech::Say { to, room, text } => {
                let what = format!("to {to}: not sent");
                (what, say(&held, to, room, text).await)
            }
            Speech::Correct { with, text } => {
                let what = format!("to {with}: not corrected");
                (what, correct(&held, &with, text).await)
            }
            Speech::Again { with, room, place } => {
                let what = format!("to {with}: not sent again");
                (what, again(&held, with, room, place).await)
            }
        };
        match said {
            Ok(Some(said)) => tell(&held, &said).await,
            Ok(None) => {}
            Err(error) => held.failed(&what, &error).await,
        }
    }
}

/// The message as it is in the history, which may not have noted yet that it is kept.
async fn tell(held: &Held, said: &Said) {
    if let Ok(Some(mut entry)) = held.client.chat().history().entry(said.place).await {
        if entry.progress == Some(Progress::Writing) {
            entry.progress = Some(Progress::Accepted);
        }
        held.tell(Event::Said(Box::new(entry))).await;
    }
}

async fn say(
    held: &Held,
    to: BareJid,
    room: bool,
    text: String,
) -> Result<Option<Said>, ChatError> {
    let draft = match room {
        true => Draft::room(to, text)?,
        false => Draft::new(to.into(), text)?.markable(),
    };
    let draft = match held.config.within {
        Some(within) => draft.within(within),
        None => draft,
    };
    held.client.chat().say(draft).await.map(Some)
}

async fn correct(held: &Held, with: &BareJid, text: String) -> Result<Option<Said>, ChatError> {
    let history = held.client.chat().history();
    let latest = history.page(with, Default::default(), 100).await?;
    let ours = |e: &&_| matches!(Stage::of(e), Some(stage) if stage != Stage::Failed);
    match latest.iter().rev().find(ours) {
        Some(entry) => held.client.chat().correct(entry, text).await.map(Some),
        None => Err(ChatError::NotTheLast(with.clone())),
    }
}

async fn again(
    held: &Held,
    with: BareJid,
    room: bool,
    place: Place,
) -> Result<Option<Said>, ChatError> {
    let entry = held.client.chat().history().entry(place).await?;
    let entry = entry.filter(|e| e.conversation == with);
    let stage = entry.as_ref().and_then(Stage::of);
    match entry {
        Some(entry) if stage.is_some_and(Stage::can_be_said_again) => {
            say(held, with, room, entry.body).await
        }
        _ => {
            let text = "only what failed, or is in doubt, can be said again".to_owned();
            held.tell(telling::failure(text)).await;
            Ok(None)
        }
    }
}
