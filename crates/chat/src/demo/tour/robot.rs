//! Somebody to talk to when nobody else is there: answers who writes, and says something in
//! the room now and then.

use std::time::Duration;

use stanchion::services::history::{Direction, Entry};
use stanchion::services::roster::Policy;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::cast::{self, DOMAIN, PERSONS, Place, ROBOT};
use crate::app::{Desk, DeskConfig, Event, Order};
use crate::exit::Failure;
use crate::settings::Settings;

/// Between two remarks of its own.
const REMARK: Duration = Duration::from_secs(20);
/// It speaks again after so many words of others in the room.
const ROOM: u32 = 3;

const REMARKS: [&str; 6] = [
    "The kettle is on.",
    "Somebody left the light on in the hall.",
    "Bed 3 is awake, all is well.",
    "Kill the server if you like: I will not notice much.",
    "The meter says that it is cold outside.",
    "Is anybody there?",
];

/// Plays until it is dropped.
///
/// # Errors
/// It cannot be started.
pub(super) async fn play(place: &Place, folder: &std::path::Path) -> Result<Robot, Failure> {
    let settings = Settings::load(&place.args(ROBOT, folder)?).await?;
    let domain = DOMAIN.parse().map_err(Failure::failed)?;
    let describe = |client: stanchion::ClientBuilder| {
        client
            .conversations()
            .subscriptions(Policy::AcceptFrom(vec![domain]))
    };
    let (client, incoming) = settings.start_as(None, describe).await?;
    let store = folder.join(format!("{ROBOT}.sqlite"));
    let config = DeskConfig::new(cast::account(ROBOT)?, store);
    let (desk, events) = Desk::start(client, incoming, config).await?;
    Ok(Robot { desk, events })
}

/// The robot.
#[derive(Debug)]
pub(super) struct Robot {
    desk: Desk,
    events: tokio::sync::mpsc::Receiver<Event>,
}

impl Robot {
    /// Works; to be dropped.
    pub(super) async fn work(&mut self) -> Result<(), Failure> {
        let orders = self.desk.orders();
        let room = cast::room()?;
        let mut first = vec![Order::Join {
            room: room.clone(),
            nick: None,
            password: None,
        }];
        for person in PERSONS {
            let who = cast::account(person)?;
            first.push(Order::Add { who, name: None });
        }
        for order in first {
            // Without a desk nothing is left to be done.
            let _ = orders.send(order).await;
        }
        let mut remarks = interval_at(Instant::now() + REMARK, REMARK);
        remarks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut remark, mut heard) = (0, 0);
        loop {
            let (to, text) = tokio::select! {
                event = self.events.recv() => match event {
                    None => return Ok(()),
                    Some(Event::Said(entry)) if is_news(&entry) => {
                        if entry.conversation == room {
                            heard += 1;
                            if heard % ROOM != 0 {
                                continue;
                            }
                        }
                        let text = format!("I got “{}”, once.", short(&entry.body));
                        (entry.conversation.clone(), text)
                    }
                    Some(_) => continue,
                },
                _ = remarks.tick() => {
                    remark += 1;
                    let text = REMARKS[remark % REMARKS.len()].to_owned();
                    (room.clone(), text)
                }
            };
            let _ = orders.send(Order::Say { to, text }).await;
        }
    }

    /// Ends it cleanly.
    pub(super) async fn end(self) {
        // It is a robot: nobody asks how it ended.
        let _ = self.desk.close().await;
    }
}

/// Whether somebody else has just said it.
fn is_news(entry: &Entry) -> bool {
    entry.direction == Direction::In && entry.unread && entry.edits == 0
}

fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}
