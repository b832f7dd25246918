//! Read-outs (XEP-0323): which values are asked for, and the messages that bring them, made
//! one at a time so that a large answer is never held whole.

use std::collections::VecDeque;
use std::sync::Arc;

use stanchion_reliability::store::WallTime;
use stanchion_stanza::payload::datetime::{unix_ms, utc};
use stanchion_stanza::payload::sensordata::{
    Field, Fields, Node, NodeFields, Profile, Profiled as _, Request, RequestId, Timestamp,
};
use stanchion_stanza::stanza::{Header, MessageType};
use stanchion_stanza::{BareJid, Element, Jid, Message, Text};

use super::super::table::{Latest, Table};
use super::super::{Access, HostConfig};
use crate::model::{Categories, FieldSpec, Quality, Reading, ThingSpec, Value};

/// What is asked for, as it was understood.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) to: Option<Jid>,
    pub(super) profile: Profile,
    pub(super) id: RequestId,
    /// Any of them; none in particular is all that is not historical.
    categories: Categories,
    fields: Vec<Text>,
    from: Option<i64>,
    until: Option<i64>,
    /// Of which things; empty is all.
    pub(super) nodes: Vec<Node>,
}

/// Why a read-out is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    Forbidden,
    NotFound,
    /// A time that is none.
    Time,
}

/// A time; one without a zone is taken for UTC (§6.1).
pub(super) fn moment(text: &str) -> Option<i64> {
    unix_ms(text).or_else(|| unix_ms(&format!("{text}Z")))
}

impl Wish {
    pub(super) fn of(
        to: Option<Jid>,
        profile: Profile,
        request: &Request,
    ) -> Result<Self, Unreadable> {
        let time = |text: &Option<Text>| match text {
            Some(text) => moment(text).map(Some).ok_or(Unreadable::Time),
            None => Ok(None),
        };
        let mut nodes = request.nodes.clone();
        nodes.dedup_by(|a, b| a == b);
        Ok(Self {
            to,
            profile,
            id: request.id.clone(),
            categories: match request.all {
                true => Categories::every(),
                false => request.categories,
            },
            fields: request.fields.clone(),
            from: time(&request.from)?,
            until: time(&request.to)?,
            nodes,
        })
    }

    /// The period that is wanted of the history, in Unix milliseconds; none for nothing.
    pub(super) fn period(&self) -> Option<(i64, i64)> {
        let period = (
            self.from.unwrap_or(i64::MIN),
            self.until.unwrap_or(i64::MAX),
        );
        self.categories.are_historical().then_some(period)
    }

    fn is_of_time(&self, at: WallTime) -> bool {
        let at = at.as_unix_ms();
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at <= until)
    }

    fn wants(&self, field: &FieldSpec) -> bool {
        (self.fields.is_empty() || self.fields.contains(&field.name))
            && (self.categories.is_empty() || self.categories.intersects(field.categories))
    }

    /// Whether something remembered of that field is wanted, whatever its kind.
    pub(super) fn wants_remembered(&self, field: &Text) -> bool {
        self.fields.is_empty() || self.fields.contains(field)
    }

    /// The things that are meant and of which something may be read.
    ///
    /// Who may read nothing hears no more than that, whatever there is.
    pub(super) fn things(
        &self,
        table: &Table,
        access: &Access,
        own: Option<&BareJid>,
    ) -> Result<VecDeque<Text>, Unreadable> {
        let who = self.to.as_ref();
        let readable = |thing: &ThingSpec| {
            let mut fields = thing.fields.iter();
            fields.any(|f| access.may_read(who, own, &thing.node.id, &f.name))
        };
        if self.nodes.is_empty() {
            let things = table.things().filter(|t| readable(t));
            let things: VecDeque<Text> = things.map(|t| t.node.id.clone()).collect();
            return match things.is_empty() && !access.may_read_something(who, own) {
                true => Err(Unreadable::Forbidden),
                false => Ok(things),
            };
        }
        let mut things = VecDeque::new();
        for node in &self.nodes {
            match table.thing(&node.id).filter(|t| is(t, node)) {
                Some(thing) if readable(thing) => things.push_back(thing.node.id.clone()),
                None if access.may_read_something(who, own) => return Err(Unreadable::NotFound),
                _ => return Err(Unreadable::Forbidden),
            }
        }
        Ok(things)
    }
}

/// Whether a node is that thing: source and partition count if they are named.
pub(super) fn is(thing: &ThingSpec, node: &Node) -> bool {
    let fits = |asked: &Option<Text>, is: &Option<Text>| asked.is_none() || asked == is;
    fits(&node.source, &thing.node.source) && fits(&node.partition, &thing.node.partition)
}

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
            ended: false,
        }
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
        let tells = fields.done || !fields.nodes.is_empty();
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
                Some(latest) if !self.wish.is_of_time(latest.at) => continue,
                Some(latest) => (latest.at, known(spec, latest)),
                // Of what was never read, no moment can be told.
                None if self.wish.from.is_some() || self.wish.until.is_some() => continue,
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
