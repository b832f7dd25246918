//! Read-outs (XEP-0323): the messages that bring the values, made one at a time so that a
//! large answer is never held whole. What subscribers are told is a read-out, too. Which
//! values are asked for is `wish`'s.

use std::collections::VecDeque;
use std::sync::Arc;

use stanchion_reliability::store::WallTime;
use stanchion_stanza::payload::datetime::utc;
use stanchion_stanza::payload::sensordata::{
    Field, Fields, Node, NodeFields, Profile, Profiled as _, Timestamp,
};
use stanchion_stanza::stanza::{Header, MessageType};
use stanchion_stanza::{BareJid, Element, Jid, Message, Text};

use super::super::table::{Latest, Table};
use super::super::wish::Wish;
use super::super::{Access, HostConfig};
use crate::model::{Categories, FieldSpec, Quality, Reading, ThingSpec, Value};

/// One value on its way out.
#[derive(Debug)]
struct Item {
    node: Node,
    at: WallTime,
    field: Field,
}

/// A read-out that is being answered.
#[derive(Debug)]
pub(super) struct Answering {
    pub(super) number: u64,
    pub(super) wish: Wish,
    /// Things whose current values are still to be told.
    things: VecDeque<Text>,
    items: VecDeque<Item>,
    /// The history is still to come.
    pub(super) waits: bool,
    /// A subscriber is told: of what is known, and of nothing else.
    is_event: bool,
    /// Values that were told so far.
    told: u64,
    ended: bool,
}

impl Answering {
    pub(super) const fn new(number: u64, wish: Wish, things: VecDeque<Text>, waits: bool) -> Self {
        Self {
            number,
            wish,
            things,
            items: VecDeque::new(),
            waits,
            is_event: false,
            told: 0,
            ended: false,
        }
    }

    /// What a subscriber is told of these things.
    pub(super) fn event(wish: Wish, things: VecDeque<Text>) -> Self {
        Self {
            is_event: true,
            ..Self::new(0, wish, things, false)
        }
    }

    /// Values that were told so far.
    pub(super) const fn told(&self) -> u64 {
        self.told
    }

    pub(super) const fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether there is a message to be made now.
    pub(super) fn is_ready(&self) -> bool {
        !self.ended && (!self.waits || !self.is_empty())
    }

    fn is_empty(&self) -> bool {
        self.things.is_empty() && self.items.is_empty()
    }

    /// Something remembered of a thing.
    pub(super) fn remember(&mut self, thing: &Arc<ThingSpec>, at: WallTime, reading: Reading) {
        let spec = thing.field(&reading.field);
        let mut field = Field::momentary(reading.field, reading.value);
        field.categories = match self.wish.profile.is_compact() {
            true => Categories::HISTORICAL,
            // The legacy profile has a word for each period, and this for none.
            false => Categories::HISTORICAL_OTHER,
        };
        field.quality = reading.quality;
        field.writable = spec.map(|s| s.writable);
        let node = thing.node.clone();
        self.items.push_back(Item { node, at, field });
    }

    /// The next message; none if there is nothing to tell yet.
    pub(super) fn next(
        &mut self,
        table: &Table,
        config: &HostConfig,
        own: Option<&BareJid>,
        now: WallTime,
    ) -> Option<Message> {
        let limit = config.message_bytes.clamp(1024, 192 * 1024);
        let mut bytes = 0;
        let mut fields = Fields {
            id: self.wish.id.clone(),
            ..Fields::default()
        };
        loop {
            if self.items.is_empty() {
                let Some(thing) = self.things.pop_front() else {
                    break;
                };
                self.current(&thing, table, &config.access, own, now);
                continue;
            }
            let Some(item) = self.items.front() else {
                break;
            };
            let weight = weight(item);
            if bytes > 0 && bytes + weight > limit {
                break;
            }
            bytes += weight;
            if let Some(mut item) = self.items.pop_front() {
                if weight > limit {
                    // No message could hold it.
                    item.field.value = Value::String(Text::default());
                    item.field.quality = Quality::MISSING;
                }
                if config.simple_types && self.wish.profile == Profile::Legacy {
                    simplify(&mut item.field);
                }
                self.told += 1;
                put(&mut fields, item);
            }
        }
        // Things that have nothing to tell are no reason for another message.
        while self.items.is_empty()
            && let Some(thing) = self.things.pop_front()
        {
            self.current(&thing, table, &config.access, own, now);
        }
        fields.done = self.is_empty() && !self.waits;
        self.ended = fields.done;
        let tells = (fields.done && !self.is_event) || !fields.nodes.is_empty();
        tells.then(|| message(&self.wish.to, fields.to_element_in(self.wish.profile)))
    }

    /// What a thing is now.
    fn current(
        &mut self,
        id: &Text,
        table: &Table,
        access: &Access,
        own: Option<&BareJid>,
        now: WallTime,
    ) {
        let Some(thing) = table.thing(id) else { return };
        let who = self.wish.to.as_ref();
        for spec in &thing.fields {
            if !self.wish.wants(spec) || !access.may_read(who, own, id, &spec.name) {
                continue;
            }
            let (at, field) = match table.value(id, &spec.name) {
                Some(latest) if self.is_event && latest.stale => continue,
                None if self.is_event => continue,
                Some(latest) if !self.wish.is_of_time(latest.at) => continue,
                Some(latest) => (latest.at, known(spec, latest)),
                // Of what was never read, no moment can be told.
                None if self.wish.is_of_a_time() => continue,
                None => (now, never(spec)),
            };
            let node = thing.node.clone();
            self.items.push_back(Item { node, at, field });
        }
    }
}

/// A field as it is now, or was when its thing was last heard of: then it is an estimate
/// (§5.7), and a warning stands beside it.
pub(super) fn known(spec: &FieldSpec, latest: Latest) -> Field {
    let quality = match latest.stale {
        true => Quality::AUTOMATIC_ESTIMATE | Quality::WARNING,
        false => latest.reading.quality,
    };
    Field {
        categories: spec.categories,
        quality,
        writable: Some(spec.writable),
        ..Field::momentary(latest.reading.field, latest.reading.value)
    }
}

/// A field that was never read: a text without anything in it, as no number may stand for
/// none.
fn never(spec: &FieldSpec) -> Field {
    Field {
        categories: spec.categories,
        quality: Quality::MISSING,
        writable: Some(spec.writable),
        ..Field::momentary(spec.name.clone(), Value::String(Text::default()))
    }
}

/// In types that every reader knows.
fn simplify(field: &mut Field) {
    let digits = match &field.value {
        Value::Int(number) => number.to_string(),
        Value::Long(number) => number.to_string(),
        Value::Duration(text) => {
            field.value = Value::String(text.clone());
            return;
        }
        _ => return,
    };
    if let Ok(value) = digits.parse() {
        let unit = Text::default();
        field.value = Value::Numeric { value, unit };
    }
}

/// Beside those of the same thing and moment.
fn put(fields: &mut Fields, item: Item) {
    let at = utc(item.at.as_unix_ms());
    if fields.nodes.last().is_none_or(|n| n.node != item.node) {
        fields.nodes.push(NodeFields {
            node: item.node,
            timestamps: Vec::new(),
        });
    }
    let Some(node) = fields.nodes.last_mut() else {
        return;
    };
    match node.timestamps.iter_mut().find(|t| t.at == at) {
        Some(timestamp) => timestamp.fields.push(item.field),
        None => node.timestamps.push(Timestamp {
            at,
            fields: vec![item.field],
        }),
    }
}

/// Bytes that a value takes at most, with a node and a timestamp of its own.
fn weight(item: &Item) -> usize {
    let written = |text: &str| {
        let escaped =
            |b: &u8| matches!(b, b'<' | b'>' | b'&' | b'\'' | b'"' | b'\t' | b'\n' | b'\r');
        text.len() + 5 * text.as_bytes().iter().filter(|b| escaped(b)).count()
    };
    let maybe = |text: &Option<Text>| text.as_deref().map_or(0, |t| written(t) + 16);
    let value = match &item.field.value {
        Value::Boolean(_) | Value::Int(_) | Value::Long(_) => 20,
        Value::Date(text)
        | Value::DateTime(text)
        | Value::Duration(text)
        | Value::String(text)
        | Value::Time(text) => written(text),
        Value::Enum { value, data_type } => written(value) + written(data_type) + 12,
        Value::Numeric { value, unit } => written(value.as_str()) + written(unit) + 8,
    };
    let node = written(&item.node.id) + maybe(&item.node.source) + maybe(&item.node.partition);
    let flags = Categories::ALL
        .iter()
        .filter(|c| item.field.categories.contains(**c));
    let more = Quality::ALL
        .iter()
        .filter(|q| item.field.quality.contains(**q));
    let flags = 26 * (flags.count() + more.count());
    180 + node + written(&item.field.name) + value + flags
}

/// A message about a read-out.
pub(super) fn message(to: &Option<Jid>, payload: Element) -> Message {
    Message {
        header: Header {
            to: to.clone(),
            ..Header::default()
        },
        kind: MessageType::Normal,
        payloads: vec![payload],
    }
}
