//! A lane: the messages of one channel to one recipient, those in memory and those that
//! wait in the store. And a recipient: how fast it answers, and which device it is.

use std::collections::BTreeSet;
use std::time::Duration;

use stanchion_stanza::payload::delivery::{Channel, Place};
use stanchion_stanza::{BareJid, Jid};

use super::super::rto::{Rto, RtoConfig};
use super::LaneId;
use crate::delivery::{Phase, SendingChannel};
use crate::lane::Lane as Urgency;

/// The lane of messages outside of any channel; the store has it without a name.
pub(in crate::engine) const LOOSE: &str = "_";
/// The lane of messages to a room.
pub(in crate::engine) const ROOM: &str = "_room";

/// A lane.
#[derive(Debug)]
pub(in crate::engine) struct Lane {
    /// The recipient, as the application named it.
    pub(in crate::engine) to: Jid,
    pub(in crate::engine) name: Channel,
    /// As the store has it.
    pub(in crate::engine) kept_as: String,
    /// Lower goes first.
    pub(in crate::engine) rank: u8,
    /// Its messages may overtake each other.
    pub(in crate::engine) unordered: bool,
    pub(in crate::engine) channel: SendingChannel,
    /// Its state differs from what the store was told.
    pub(in crate::engine) dirty: bool,
    /// Its messages in memory.
    pub(super) all: BTreeSet<u64>,
    /// Those of them that wait to be transmitted, or to be durable.
    pub(super) waiting: BTreeSet<u64>,
    /// Those that wait to be cancelled.
    pub(super) cancels: BTreeSet<u64>,
    /// Those on their way to the recipient.
    pub(super) on_their_way: BTreeSet<u64>,
    /// When one of them last went out again; zero if none did.
    pub(super) again_at: Duration,
    /// The last seq that was in memory, and whether the store has later ones.
    pub(in crate::engine) loaded: u64,
    /// The last seq that was put into the store.
    pub(in crate::engine) last: u64,
    pub(in crate::engine) more_in_store: bool,
    /// A read on its way: up to which seq it sees everything, and how much it asked for.
    pub(in crate::engine) loading: Option<(u64, usize)>,
    /// The recipient was given up while the store had messages in doubt.
    pub(in crate::engine) forgotten: bool,
    /// Its place among the lanes that may have something to send.
    pub(super) turn: Option<u64>,
}

impl Lane {
    pub(super) fn new(to: Jid, name: Channel, kept_as: String, channel: SendingChannel) -> Self {
        let rank = match Urgency::of(name.as_str()) {
            Urgency::Alarm => 0,
            Urgency::Control => 1,
            Urgency::Telemetry => 2,
        };
        Self {
            to,
            name,
            kept_as,
            rank,
            unordered: false,
            channel,
            dirty: false,
            all: BTreeSet::new(),
            waiting: BTreeSet::new(),
            cancels: BTreeSet::new(),
            on_their_way: BTreeSet::new(),
            again_at: Duration::ZERO,
            loaded: 0,
            last: 0,
            more_in_store: false,
            loading: None,
            forgotten: false,
            turn: None,
        }
    }

    /// Whether its messages have no place in a channel.
    pub(in crate::engine) fn is_loose(&self) -> bool {
        matches!(self.name.as_str(), LOOSE | ROOM)
    }

    /// Whether they go to a room.
    pub(in crate::engine) fn is_room(&self) -> bool {
        self.name.as_str() == ROOM
    }

    /// How many of its messages are in memory.
    pub(in crate::engine) fn in_memory(&self) -> usize {
        self.all.len()
    }

    /// Whether one of them waits to be transmitted.
    pub(in crate::engine) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether nothing is known of it but its channel.
    pub(super) fn is_idle(&self) -> bool {
        self.all.is_empty()
            && !self.more_in_store
            && self.loading.is_none()
            && self.channel.phase() == Phase::Open
            && !self.dirty
    }
}

/// A recipient.
#[derive(Debug)]
pub(in crate::engine) struct Recipient {
    pub(in crate::engine) rto: Rto,
    /// Messages on their way to it.
    pub(super) on_their_way: usize,
    /// Which device it is, once that has spoken.
    pub(in crate::engine) place: Option<Place>,
    /// How often that was written and is not durable yet.
    pub(in crate::engine) binding: u32,
    /// Other addresses of that device.
    pub(in crate::engine) others: Vec<BareJid>,
    /// The version of those that is known, and the version of ours that it knows.
    pub(in crate::engine) version: u32,
    pub(in crate::engine) knows: u32,
    /// Which of its addresses is used: 0 is the one that the application named.
    pub(in crate::engine) route: usize,
    /// Since when it is known to be away.
    pub(super) away: Option<Duration>,
    /// Those from which something came back on this stream, a bit each; an answer clears it.
    pub(super) back: u16,
    /// When it last answered, and how long something had waited for that.
    pub(in crate::engine) heard_at: Duration,
    pub(super) silent: Duration,
    /// Since when it is reached as it is now: what was sent before is no sample.
    pub(super) path_since: Duration,
    /// Messages that it takes in one stanza; and that such a stanza came back on this
    /// stream with an error that need not be about the messages.
    pub(in crate::engine) bundles: usize,
    pub(in crate::engine) alone: bool,
    /// How far its clock is ahead of ours, if that is more than can be overlooked.
    pub(in crate::engine) ahead: Duration,
    /// Its lanes.
    pub(super) lanes: Vec<LaneId>,
    /// One of them is for alarms.
    pub(super) alarmed: bool,
}

impl Recipient {
    pub(super) const fn new(config: RtoConfig) -> Self {
        Self {
            rto: Rto::new(config),
            on_their_way: 0,
            place: None,
            binding: 0,
            others: Vec::new(),
            version: 0,
            knows: 0,
            route: 0,
            away: None,
            back: 0,
            heard_at: Duration::ZERO,
            silent: Duration::ZERO,
            path_since: Duration::ZERO,
            bundles: 0,
            alone: false,
            ahead: Duration::ZERO,
            lanes: Vec::new(),
            alarmed: false,
        }
    }

    /// It is that device. Nothing goes to it until that is durable.
    pub(in crate::engine) fn is_bound_to(&mut self, place: Place) {
        self.place = Some(place);
        self.bundles = 0;
        self.binding += 1;
    }

    /// Whether it speaks the delivery protocol.
    pub(in crate::engine) const fn speaks(&self) -> bool {
        self.place.is_some()
    }

    /// How many messages of a lane of that rank may be on their way.
    pub(super) const fn window(&self, window: usize, rank: u8) -> usize {
        if self.alarmed && rank > 0 {
            window - window / 4
        } else {
            window
        }
    }
}
