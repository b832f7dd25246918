//! One message of the outbox that is in memory, and its bytes on the wire.

use std::time::Duration;

use bytes::Bytes;
use stanchion_stanza::payload::datetime;
use stanchion_stanza::payload::delivery::{Deliver, IdPrefix};
use stanchion_stanza::stanza::DefinedCondition;
use tracing::Span;

use super::LaneId;
use crate::protection::Protection;
use crate::store::WallTime;

const END: &[u8] = b"</message>";
/// What asks for a receipt, as the session writes it last.
const REQUEST: &[u8] = b"<request xmlns='urn:xmpp:receipts'/>";

/// Where a message of the outbox stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Stage {
    /// Not durable yet.
    Persisting,
    /// Waits for its turn, or for a stream.
    Kept,
    /// On a stream; the server has not acknowledged it.
    InFlight,
    /// The server has it; the verdict is awaited.
    ServerAccepted,
    /// It has a final state, which is not durable yet.
    Decided,
}

/// What its sender now wants of a message that was transmitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum Wish {
    /// That it takes effect.
    Effect,
    /// That it does not, if it has not yet: cancels are sent in its place.
    Cancel,
}

/// A message in memory.
#[derive(Debug)]
pub(in crate::engine) struct Flight {
    pub(in crate::engine) id: String,
    /// What names it on the wire.
    pub(in crate::engine) name: IdPrefix,
    pub(in crate::engine) lane: LaneId,
    /// Its place in the lane's channel; none for one outside of it.
    pub(in crate::engine) place: Option<u64>,
    pub(in crate::engine) stanza: Bytes,
    pub(in crate::engine) accepted_at: WallTime,
    /// When its outcome is due.
    pub(in crate::engine) due: Option<WallTime>,
    /// The same on the monotonic clock.
    pub(in crate::engine) deadline: Option<Duration>,
    /// When it is cancelled, if nothing is heard before; on the monotonic clock.
    pub(in crate::engine) cancel_at: Option<Duration>,
    /// What a stream must meet.
    pub(in crate::engine) protection: Protection,
    /// A stream was up that could not carry it while it waited, for its own sake or for
    /// that of an earlier one.
    pub(in crate::engine) held_back: bool,
    pub(in crate::engine) stage: Stage,
    pub(in crate::engine) wish: Wish,
    /// The application was told that it is in doubt.
    pub(in crate::engine) in_doubt: bool,
    /// The recipient's application has it.
    pub(in crate::engine) handed: bool,
    /// The application asked for the cancel, rather than its deadline or an error.
    pub(in crate::engine) taken_back: bool,
    /// An error that sending again cannot mend.
    pub(in crate::engine) refused: Option<DefinedCondition>,
    /// Transmissions in earlier process lives, as far as they were written.
    pub(in crate::engine) earlier: u32,
    /// Transmissions in this process life, cancels included.
    pub(in crate::engine) transmissions: u32,
    /// Transmissions since what is sent changed: the base of the back-off.
    pub(in crate::engine) tries: u32,
    /// Accepted by an earlier engine, which may have sent it, whatever its record says.
    pub(in crate::engine) inherited: bool,
    /// When the last transmission was.
    pub(in crate::engine) sent_at: Duration,
    /// When the first one in this process life was.
    pub(in crate::engine) first_sent_at: Duration,
    /// When it is sent again, if nothing happens before.
    pub(in crate::engine) retry_at: Option<Duration>,
    /// The back-off of its recipient when that timer was started, if it would say that no
    /// answer came in time.
    pub(in crate::engine) armed: Option<u32>,
    /// The last error that came back.
    pub(in crate::engine) last_error: Option<DefinedCondition>,
    /// The last copy came back.
    pub(in crate::engine) bounced: bool,
    /// The bundle that its last copy went in.
    pub(in crate::engine) bundle: Option<u32>,
    /// What it is a value of, if a newer one replaces it.
    pub(in crate::engine) key: Option<String>,
    /// Its life is logged in there.
    pub(in crate::engine) span: Span,
}

impl Flight {
    /// Whether any transport may have had it: false only for a message that this engine
    /// accepted and never transmitted.
    pub(in crate::engine) const fn maybe_sent(&self) -> bool {
        self.inherited || self.transmissions > 0
    }

    /// It is transmitted now.
    pub(super) const fn transmitted(&mut self, now: Duration) {
        self.stage = Stage::InFlight;
        if self.transmissions == 0 {
            self.first_sent_at = now;
        }
        self.transmissions = self.transmissions.saturating_add(1);
        self.tries = self.tries.saturating_add(1);
        self.sent_at = now;
        self.retry_at = None;
        self.bounced = false;
        self.bundle = None;
    }

    /// Whether it is on its way to the recipient.
    pub(super) const fn is_on_its_way(&self) -> bool {
        matches!(self.stage, Stage::InFlight | Stage::ServerAccepted)
    }

    /// When it needs attention for the sake of its deadline.
    pub(super) fn due_at(&self) -> Option<Duration> {
        let deadline = self.deadline.filter(|_| !self.in_doubt);
        let cancel = self.cancel_at.filter(|_| self.wish == Wish::Effect);
        [deadline, cancel].into_iter().flatten().min()
    }
}

/// The stanza as it goes out: with what it says of itself, and, if it goes out again,
/// with the time at which the application gave it (XEP-0203). A recipient that answers by
/// verdicts is asked for no receipt (XEP-0184): it would settle nothing, and every element
/// is work for the servers on the way.
pub(in crate::engine) fn dress(
    stanza: &Bytes,
    says: Option<&Deliver>,
    given: Option<WallTime>,
) -> Bytes {
    let Some(inside) = stanza.strip_suffix(END) else {
        return stanza.clone();
    };
    if says.is_none() && given.is_none() {
        return stanza.clone();
    }
    let answers = says.is_some_and(|says| says.to.is_some());
    let inside = match inside.strip_suffix(REQUEST) {
        Some(without) if answers => without,
        _ => inside,
    };
    let mut out = Vec::with_capacity(stanza.len() + 320);
    out.extend_from_slice(inside);
    if let Some(says) = says {
        says.write_into(&mut out);
    }
    if let Some(at) = given {
        out.extend_from_slice(b"<delay xmlns='urn:xmpp:delay' stamp='");
        out.extend_from_slice(datetime::utc(at.as_unix_ms()).as_bytes());
        out.extend_from_slice(b"'/>");
    }
    out.extend_from_slice(END);
    out.into()
}

#[cfg(test)]
mod tests {
    use stanchion_stanza::payload::delivery::Boot;

    use super::*;

    #[test]
    fn who_answers_by_verdicts_is_asked_for_no_receipt() {
        let stanza = Bytes::from_static(
            b"<message><body>x</body><request xmlns='urn:xmpp:receipts'/></message>",
        );
        let says = |to: Option<&str>| Deliver {
            from: "D1".parse().unwrap(),
            to: to.map(|to| to.parse().unwrap()),
            epoch: "1.kQAAAA".parse().unwrap(),
            channel: "c".parse().unwrap(),
            seq: 1,
            low: 1,
            id: IdPrefix::from_bits(1),
            prev: None,
            boot: Boot(1),
            deadline: None,
            unordered: false,
            knows: 0,
            jids: None,
        };
        let asks = |to| {
            let sent = dress(&stanza, Some(&says(to)), None);
            String::from_utf8_lossy(&sent).contains("receipts")
        };
        assert!(asks(None));
        assert!(!asks(Some("R1.AAAAAAAAAAk")));
    }

    #[test]
    fn the_delay_stands_inside_the_message() {
        let stamped = dress(
            &Bytes::from_static(b"<message><body>x</body></message>"),
            None,
            Some(WallTime::from_unix_ms(0)),
        );
        assert_eq!(
            &stamped[..],
            b"<message><body>x</body><delay xmlns='urn:xmpp:delay' stamp='1970-01-01T00:00:00.000Z'/></message>"
        );
    }
}
