//! Acknowledgement counters and queues of one managed stream (XEP-0198 §4, §5), both
//! directions. Which messages go out, and what is durable, is told by the engine; what is
//! kept of the counters for the next process is `resumption`'s.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::mutant;
use crate::protection::Protection;

/// A stanza that the server has not acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Unacked {
    /// The bytes as sent.
    pub(super) bytes: Bytes,
    /// The messages of the outbox that are in it.
    pub(super) carries: Carried,
    /// What a stream must meet that it goes out on again. Of the outbox's messages, the
    /// outbox knows.
    pub(super) asks: Protection,
}

/// Messages of the outbox that are in a stanza, by their places there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Carried {
    #[default]
    Nothing,
    One(u64),
    /// A bundle, in the order in which it was filled.
    Many(Box<[u64]>),
}

impl Carried {
    pub(super) fn seqs(&self) -> impl Iterator<Item = u64> + '_ {
        let seqs = match self {
            Self::Nothing => &[],
            Self::One(seq) => std::slice::from_ref(seq),
            Self::Many(seqs) => seqs,
        };
        seqs.iter().copied()
    }
}

/// What the server did that XEP-0198 forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server acknowledged {acked} stanzas, but only {sent} were sent (XEP-0198 §4)")]
pub struct HandledTooHigh {
    /// Its `h`.
    pub acked: u32,
    /// What it could be at most.
    pub sent: u32,
}

/// The counters of a managed stream, which outlive a connection when it is resumed.
#[derive(Debug, Default)]
pub(super) struct Management {
    /// Whether `<enabled/>` was received on this stream.
    enabled: bool,
    /// Stanzas sent and acknowledged by the server; wrap at 2³² (XEP-0198 §4).
    sent: u32,
    acked: u32,
    unacked: VecDeque<Unacked>,
    unacked_bytes: usize,
    /// A request that the server has not answered.
    requested: bool,
    /// The stream was resumed, and the server has answered no request since.
    unanswered: bool,
    /// Stanzas received whose handling is not complete, from the first that is not, and
    /// how many messages of those are not handled.
    arriving: VecDeque<Arriving>,
    unhandled: usize,
    /// Stanzas handled, counted without gaps; wraps.
    handled: u32,
    /// The count is kept in the store, and only what is kept is told.
    recording: bool,
    /// The count in the last batch that the store was given, and in the last one that is
    /// durable.
    submitted: u32,
    recorded: u32,
    /// The counters are an earlier process's: what it sent is not known.
    inherited: bool,
    /// The last `h` told to the server.
    told: u32,
    /// The server asked when not all was handled, and will not ask again: it is owed
    /// the rest.
    owing: bool,
    /// Tells late news of an earlier stream from this one's.
    generation: u64,
}

/// How far the handling of a received stanza is: a bit for each of its messages. It is
/// handled when none is left, and it counts only with all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Arriving {
    /// They must become durable, and the store has not got them.
    waiting: u32,
    /// The store has them, and has not answered.
    submitted: u32,
}

impl Arriving {
    const fn is_handled(self) -> bool {
        self.waiting | self.submitted == 0
    }
}

/// The place of an inbound stanza: its stream, and its number on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    generation: u64,
    number: u32,
    /// Which of the messages in it.
    part: u8,
}

impl Slot {
    /// Of a stanza that no stream counts.
    pub(super) const UNCOUNTED: Self = Self {
        generation: u64::MAX,
        number: 0,
        part: 0,
    };

    /// Of a message that an archive had: no stream counts it, and nobody is told that
    /// there is no room for it.
    pub(super) const ARCHIVED: Self = Self {
        generation: u64::MAX,
        number: 1,
        part: 0,
    };

    /// The same of another message in that stanza.
    pub(super) const fn part(self, part: u8) -> Self {
        if self.generation == u64::MAX {
            return self;
        }
        Self { part, ..self }
    }
}

impl Management {
    /// A new stream; `enabled` if it is managed. What was unacknowledged is forgotten:
    /// messages of the outbox are sent again from there.
    pub(super) fn start(&mut self, enabled: bool) {
        *self = Self {
            enabled,
            generation: self.generation + 1,
            ..Self::default()
        };
    }

    /// From now on the count is kept in the store, and told once it is durable there.
    pub(super) const fn record(&mut self) {
        if !self.recording {
            self.recording = true;
            // Nothing is on record. Until something is, the server hears what it heard.
            self.recorded = self.told;
            self.submitted = self.told;
        }
    }

    /// The count is not kept any more: the stream cannot be resumed.
    pub(super) const fn record_no_more(&mut self) {
        self.recording = false;
    }

    /// There may be a stream to resume that an earlier process had, on which it handled
    /// `h` stanzas.
    pub(super) fn inherit(&mut self, h: u32) {
        *self = Self {
            handled: h,
            told: h,
            recording: true,
            submitted: h,
            recorded: h,
            inherited: true,
            generation: self.generation + 1,
            ..Self::default()
        };
    }

    /// The stream was resumed, the server having handled `h` (XEP-0198 §5). Gives what
    /// it acknowledged, and what must be sent again: of an earlier process's stanzas
    /// neither can be told, and the outbox sends again what has no outcome.
    pub(super) fn resume(
        &mut self,
        h: u32,
    ) -> Result<(Vec<Unacked>, VecDeque<Unacked>), HandledTooHigh> {
        if std::mem::take(&mut self.inherited) {
            self.enabled = true;
            self.sent = h;
            self.acked = h;
            self.unanswered = true;
            return Ok((Vec::new(), VecDeque::new()));
        }
        let acknowledged = self.acknowledge(h)?;
        let again = std::mem::take(&mut self.unacked);
        self.unacked_bytes = 0;
        self.sent = h;
        self.requested = false;
        self.unanswered = true;
        Ok((acknowledged, again))
    }

    pub(super) const fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// The first message that the server has not acknowledged.
    pub(super) fn first_message(&self) -> Option<u64> {
        self.unacked
            .iter()
            .find_map(|stanza| stanza.carries.seqs().next())
    }

    pub(super) fn unacked(&self) -> usize {
        self.unacked.len()
    }

    /// Bytes of those stanzas.
    pub(super) const fn unacked_bytes(&self) -> usize {
        self.unacked_bytes
    }

    /// Whether the first stanza that the server has not acknowledged, and that has a
    /// message, has several.
    pub(super) fn first_is_bundle(&self) -> bool {
        let mut carrying = self.unacked.iter().map(|stanza| &stanza.carries);
        let first = carrying.find(|carries| **carries != Carried::Nothing);
        matches!(first, Some(Carried::Many(_)))
    }

    /// Notes a stanza that is sent now.
    pub(super) fn sent(&mut self, stanza: Unacked) {
        if self.enabled {
            self.sent = self.sent.wrapping_add(1);
            self.unacked_bytes += stanza.bytes.len();
            self.unacked.push_back(stanza);
        }
    }

    /// Whether an acknowledgement should be asked for now; notes that it is.
    pub(super) fn request(&mut self) -> bool {
        let ask = self.enabled && !self.requested && !self.unacked.is_empty();
        self.requested |= ask;
        ask
    }

    /// Asks whether there is something unacknowledged or not: a probe of the link.
    pub(super) fn probe(&mut self) -> bool {
        let ask = self.enabled && !self.requested;
        self.requested |= ask;
        ask
    }

    /// Whether a request waits for its answer.
    pub(super) const fn awaits_answer(&self) -> bool {
        self.requested
    }

    /// Whether the server has answered no request since the stream was resumed.
    pub(super) const fn is_unanswered(&self) -> bool {
        self.unanswered
    }

    /// The server says that it handled `h` stanzas.
    pub(super) fn acknowledge(&mut self, h: u32) -> Result<Vec<Unacked>, HandledTooHigh> {
        let news = h.wrapping_sub(self.acked) as usize;
        if news > self.unacked.len() {
            return Err(HandledTooHigh {
                acked: h,
                sent: self.sent,
            });
        }
        self.acked = h;
        self.requested = false;
        self.unanswered = false;
        let acknowledged: Vec<Unacked> = self.unacked.drain(..news).collect();
        self.unacked_bytes -= acknowledged.iter().map(|u| u.bytes.len()).sum::<usize>();
        Ok(acknowledged)
    }

    /// A stanza was received, as one message.
    pub(super) fn received(&mut self) -> Slot {
        let number = self.handled.wrapping_add(self.arriving.len() as u32);
        self.unhandled += 1;
        self.arriving.push_back(Arriving {
            waiting: 1,
            submitted: 0,
        });
        Slot {
            generation: self.generation,
            number,
            part: 0,
        }
    }

    /// The stanza, which was just received, is so many messages, 1 to 32. Gives whether the
    /// stream counts it.
    pub(super) fn is_of_parts(&mut self, slot: Slot, parts: usize) -> bool {
        let parts = parts.clamp(1, 32);
        let Some(arriving) = self.arriving_at(slot) else {
            return false;
        };
        arriving.waiting = u32::MAX >> (32 - parts as u32);
        self.unhandled += parts - 1;
        true
    }

    fn arriving_at(&mut self, slot: Slot) -> Option<&mut Arriving> {
        let index = slot.number.wrapping_sub(self.handled) as usize;
        if slot.generation == self.generation {
            self.arriving.get_mut(index)
        } else {
            None
        }
    }

    /// A received message is in the batch that the store is given next.
    pub(super) fn submitted(&mut self, slot: Slot) {
        let bit = 1 << slot.part;
        if let Some(arriving) = self.arriving_at(slot)
            && arriving.waiting & bit != 0
        {
            arriving.waiting &= !bit;
            arriving.submitted |= bit;
        }
    }

    /// A received message is handled: it is durable, or needs not be.
    pub(super) fn handled(&mut self, slot: Slot) {
        let bit = if mutant::is("part-stands-for-all") {
            u32::MAX
        } else {
            1 << slot.part
        };
        let Some(arriving) = self.arriving_at(slot) else {
            return;
        };
        let open = (arriving.waiting | arriving.submitted) & bit;
        arriving.waiting &= !bit;
        arriving.submitted &= !bit;
        self.unhandled -= open.count_ones() as usize;
        while self.arriving.front().is_some_and(|a| a.is_handled()) {
            self.arriving.pop_front();
            self.handled = self.handled.wrapping_add(1);
        }
    }

    /// Messages that are received but not handled.
    pub(super) const fn arriving(&self) -> usize {
        self.unhandled
    }

    /// The count for the batch that the store is given next, if another one is on record:
    /// what will be handled once that batch, and all before it, are durable. With the
    /// stream that it is of; noted as given.
    pub(super) fn submit_count(&mut self, anyway: bool) -> Option<(u64, u32)> {
        if !self.recording {
            return None;
        }
        let durable = |state: &&Arriving| state.waiting == 0;
        let ahead = self.arriving.iter().take_while(durable).count();
        let h = self.handled.wrapping_add(ahead as u32);
        if h == self.submitted && !anyway {
            return None;
        }
        self.submitted = h;
        Some((self.generation, h))
    }

    /// A count is durable.
    pub(super) const fn recorded(&mut self, generation: u64, h: u32) {
        if generation == self.generation {
            self.recorded = h;
        }
    }

    /// Whether a count should be made durable although no message has to: the server waits
    /// for it, or `most` are not told, or (`last`) this is the last occasion.
    pub(super) const fn wants_record(&self, most: u32, last: bool) -> bool {
        // What the store has been given brings its own count.
        let news = self.recording && self.handled.wrapping_sub(self.submitted) as i32 > 0;
        news && (last || self.owing || self.handled.wrapping_sub(self.told) >= most)
    }

    /// Whether something that was received cannot be told yet.
    pub(super) fn is_behind(&self) -> bool {
        !self.arriving.is_empty() || self.tellable() != self.handled
    }

    const fn tellable(&self) -> u32 {
        if self.recording {
            self.recorded
        } else {
            self.handled
        }
    }

    /// The server asks for the count, which may not be all yet.
    pub(super) fn asked(&mut self) {
        self.owing = self.is_behind();
    }

    /// Whether the rest of an answer can be given now.
    pub(super) fn owes(&self) -> bool {
        self.owing && !self.is_behind()
    }

    /// The count to tell the server now; notes that it is told.
    pub(super) fn answer(&mut self) -> u32 {
        self.owing &= self.is_behind();
        self.told = self.tellable();
        self.told
    }

    /// Stanzas handled that the server could be told of, and was not.
    pub(super) const fn untold(&self) -> u32 {
        self.tellable().wrapping_sub(self.told)
    }

    /// The count for `<resume/>`: everything that is handled.
    pub(super) const fn h(&self) -> u32 {
        self.handled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(seq: u64) -> Unacked {
        Unacked {
            bytes: Bytes::new(),
            carries: Carried::One(seq),
            asks: Protection::Any,
        }
    }

    fn seqs<'a>(list: impl IntoIterator<Item = &'a Unacked>) -> Vec<u64> {
        list.into_iter().flat_map(|u| u.carries.seqs()).collect()
    }

    #[test]
    fn h_covers_no_stanza_before_all_earlier_ones_are_handled() {
        let mut m = Management::default();
        m.start(true);
        let slots = [m.received(), m.received(), m.received()];
        m.handled(slots[2]);
        m.handled(slots[1]);
        assert_eq!(m.h(), 0);
        m.handled(slots[0]);
        assert_eq!(m.h(), 3);
    }

    #[test]
    fn h_covers_a_stanza_when_all_messages_in_it_are_handled() {
        let mut m = Management::default();
        m.start(true);
        m.record();
        let (many, after) = (m.received(), m.received());
        assert!(m.is_of_parts(many, 3));
        assert_eq!(m.arriving(), 4);
        m.handled(after);
        m.handled(many.part(1));
        // Twice is not two.
        m.handled(many.part(1));
        m.submitted(many.part(2));
        assert_eq!((m.h(), m.arriving()), (0, 2));
        assert_eq!(m.submit_count(true).unwrap().1, 0);
        m.submitted(many.part(0));
        let (stream, h) = m.submit_count(false).unwrap();
        assert_eq!(h, 2);
        m.handled(many.part(0));
        assert_eq!(m.h(), 0);
        m.handled(many.part(2));
        m.recorded(stream, h);
        assert_eq!((m.h(), m.answer(), m.arriving()), (2, 2, 0));
    }

    #[test]
    fn news_of_an_earlier_stream_do_not_raise_h() {
        let mut m = Management::default();
        m.start(true);
        let old = m.received();
        m.start(true);
        m.received();
        m.handled(old);
        assert_eq!(m.h(), 0);
    }

    #[test]
    fn an_impossible_count_is_refused_and_changes_nothing() {
        let mut m = Management::default();
        m.start(true);
        m.sent(stanza(1));
        assert_eq!(
            m.acknowledge(2).unwrap_err(),
            HandledTooHigh { acked: 2, sent: 1 }
        );
        assert_eq!(seqs(&m.acknowledge(1).unwrap()), [1]);
        // Going back is as impossible as going too far.
        assert!(m.acknowledge(0).is_err());
    }

    #[test]
    fn resumption_continues_the_count() {
        let mut m = Management::default();
        m.start(true);
        for seq in 1..=3 {
            m.sent(stanza(seq));
        }
        let (acked, again) = m.resume(1).unwrap();
        assert_eq!((seqs(&acked), seqs(&again)), (vec![1], vec![2, 3]));
        for u in again {
            m.sent(u);
        }
        assert_eq!(seqs(&m.acknowledge(3).unwrap()), [2, 3]);
    }

    #[test]
    fn the_server_is_told_what_is_on_record_and_not_more() {
        let mut m = Management::default();
        m.start(true);
        m.record();
        let [first, second, third] = [m.received(), m.received(), m.received()];
        // The second one needs no store, and the third is in no batch so far.
        m.handled(second);
        m.submitted(first);
        let (stream, h) = m.submit_count(false).unwrap();
        assert_eq!(h, 2);
        assert_eq!(m.submit_count(false), None);
        m.handled(first);
        assert_eq!((m.h(), m.answer()), (2, 0));
        m.recorded(stream, h);
        assert_eq!(m.answer(), 2);
        m.handled(third);
        m.asked();
        assert!(m.is_behind() && m.wants_record(10, false));
        assert_eq!(m.answer(), 2);
        let (stream, h) = m.submit_count(false).unwrap();
        m.recorded(stream, h);
        assert!(m.owes());
        assert_eq!(m.answer(), 3);
    }

    #[test]
    fn a_record_of_an_earlier_stream_counts_for_nothing() {
        let mut m = Management::default();
        m.start(true);
        m.record();
        let slot = m.received();
        m.submitted(slot);
        let (stream, h) = m.submit_count(false).unwrap();
        m.start(true);
        m.record();
        m.recorded(stream, h);
        assert_eq!(m.answer(), 0);
    }

    #[test]
    fn of_an_earlier_process_the_server_acknowledges_nothing() {
        let mut m = Management::default();
        m.inherit(7);
        assert_eq!((m.h(), m.is_behind()), (7, false));
        let (acked, again) = m.resume(40).unwrap();
        assert!(acked.is_empty() && again.is_empty());
        m.sent(stanza(1));
        assert_eq!(seqs(&m.acknowledge(41).unwrap()), [1]);

        let mut m = Management::default();
        m.inherit(7);
        assert!(m.acknowledge(40).is_err());
    }

    #[test]
    fn counters_wrap() {
        let mut m = Management::default();
        m.start(true);
        (m.sent, m.acked, m.handled, m.told) = (u32::MAX, u32::MAX, u32::MAX, u32::MAX);
        m.sent(stanza(1));
        assert_eq!(seqs(&m.acknowledge(0).unwrap()), [1]);
        let slot = m.received();
        m.handled(slot);
        assert_eq!((m.h(), m.untold()), (0, 1));
    }
}
