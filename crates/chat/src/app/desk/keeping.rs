//! What arrives, kept before it is acknowledged: texts in the history, readings in the ring
//! that plots are drawn from.

use stanchion::device::format::from_message;
use stanchion::device::model::{Reading, Sample};
use stanchion::session::Received;
use stanchion::stanza::{Jid, Text};

use super::super::event::Event;
use super::super::thing::{Point, ThingKey};
use super::Held;
use crate::kept::now;

/// Keeps a message, acknowledges it, and says what it was.
pub(super) async fn take(held: &Held, received: Received) {
    let from = received.message().header.from.clone();
    match (from_message(received.message()), from) {
        (Ok(samples), Some(from)) if !samples.is_empty() => {
            readings(held, &from, samples).await;
            if let Err(error) = received.commit_durably().await {
                held.failed("readings come again", &error).await;
            }
        }
        _ => match held.client.chat().commit_entry(received).await {
            Ok(Some(entry)) => held.tell(Event::Said(Box::new(entry))).await,
            Ok(None) => {}
            // It comes again.
            Err(error) => held.failed("a message was not kept", &error).await,
        },
    }
}

/// Keeps samples, and tells of them.
pub(super) async fn readings(held: &Held, from: &Jid, samples: Vec<Sample>) {
    let account = from.to_bare();
    let mut kept = Vec::with_capacity(samples.len());
    let mut events = Vec::new();
    for sample in samples {
        let of = ThingKey {
            account: account.clone(),
            thing: sample.thing,
        };
        if let Ok(name) = Text::new(of.to_string()) {
            kept.push(Sample {
                thing: name,
                at: sample.at,
                readings: sample.readings.clone(),
            });
        }
        let point = Point {
            at: sample.at.as_unix_ms(),
            readings: sample.readings,
        };
        match events.last_mut() {
            Some(Event::Values { of: last, points }) if *last == of => points.push(point),
            _ => events.push(Event::Values {
                of,
                points: vec![point],
            }),
        }
    }
    if let Err(error) = held.readings.remember(now(), kept).await {
        held.failed("readings are not remembered", &error).await;
    }
    held.tell_all(events).await;
}

/// One value as a sample of its own.
pub(super) fn sample(measured: stanchion::device::remote::Measured) -> Sample {
    Sample {
        thing: measured.thing.id.clone(),
        at: measured.at().unwrap_or_else(now),
        readings: vec![Reading {
            field: measured.field.name,
            value: measured.field.value,
            quality: measured.field.quality,
        }],
    }
}
