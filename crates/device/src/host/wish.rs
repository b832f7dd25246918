//! Which values somebody asks for, in a read-out (XEP-0323) or a subscription: of which
//! things, which fields, and of what time; and which of that may be read. What is answered is
//! `state`'s, and who is told of changes `subscriptions`'.

use std::collections::VecDeque;

use stanchion_reliability::store::WallTime;
use stanchion_stanza::payload::datetime::unix_ms;
use stanchion_stanza::payload::sensordata::{Node, Profile, Request, RequestId};
use stanchion_stanza::{BareJid, Jid, Text};

use super::Access;
use super::table::Table;
use crate::model::{Categories, FieldSpec, ThingSpec};

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

    /// Whether only values of some time are wanted.
    pub(super) const fn is_of_a_time(&self) -> bool {
        self.from.is_some() || self.until.is_some()
    }

    /// Whether a value of that moment is wanted.
    pub(super) fn is_of_time(&self, at: WallTime) -> bool {
        let at = at.as_unix_ms();
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at <= until)
    }

    /// Whether that field is wanted.
    pub(super) fn wants(&self, field: &FieldSpec) -> bool {
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
