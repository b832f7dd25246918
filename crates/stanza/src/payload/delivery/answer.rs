//! What the recipient answers: what became of messages, or that they are not for its store.

use std::fmt;

use super::shape::{Part, Reader, Sink, append, element};
use super::value::Value;
use super::{
    Boot, Channel, Closed, Device, Epoch, IdPrefix, InvalidDelivery, Jids, MAX_SEQ, Place,
};
use crate::payload::parts::names;
use crate::payload::{Payload as _, PayloadError};

names! {
    /// What became of a message at its recipient.
    #[derive(PartialOrd, Ord)]
    VerdictState {
        /// The application committed it.
        Delivered = "d",
        /// It never took effect, and never will.
        Void = "v",
        /// It is in the application's hands: its verdict follows.
        Handed = "h",
        /// It was begun three times, and its consumer failed each time: it may have taken
        /// effect.
        Maybe = "m",
        /// Its place is taken by a message with another id. No outcome.
        Other = "o",
        /// It is below what the recipient keeps, which proves nothing. No outcome.
        Settled = "z",
        /// It came after its deadline, by the recipient's clock. No outcome.
        Late = "late",
    }
}

impl Value for VerdictState {
    fn read(written: &str) -> Result<Self, InvalidDelivery> {
        Self::from_name(written).ok_or(InvalidDelivery::Spelling {
            what: "verdict",
            form: "d, v, h, m, o, z or late",
        })
    }

    fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// What became of one message: `<v/>`. In an answer messages that follow each other, and of
/// which the same became, share one element: `n` is the first one's number, and `i` has an
/// id for each, with a space between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Verdict {
    /// The message's number (`n`), 1 to [`MAX_SEQ`](super::MAX_SEQ).
    pub seq: u64,
    /// The id of the message that is answered (`i`), and the verdict is about no other:
    /// with `Other` and `Settled` too, where the recipient has another message, or none,
    /// under that number.
    pub id: IdPrefix,
    /// What became of it (`s`).
    pub state: VerdictState,
}

element! {
    Verdict, "v"
}

impl Part for Verdict {
    fn read(element: Reader<'_>) -> Result<Self, PayloadError> {
        Ok(Self {
            seq: element.seq("n")?,
            id: element.attr("i")?,
            state: element.attr("s")?,
        })
    }

    fn write(&self, to: &mut impl Sink) {
        to.seq("n", self.seq);
        to.attr("i", &self.id);
        to.attr("s", &self.state);
    }
}

/// The verdicts of a list, at most `most`, and no more than that is looked at.
pub(super) fn verdicts(element: Reader<'_>, most: usize) -> Result<Vec<Verdict>, PayloadError> {
    let mut verdicts = Vec::new();
    for run in element.list(Run::NAME, most, Run::read)? {
        if verdicts.len() + run.ids.0.len() > most {
            return Err(element.invalid(Run::NAME));
        }
        verdicts.extend(run.verdicts());
    }
    Ok(verdicts)
}

/// The elements that say the verdicts.
pub(super) fn runs(verdicts: &[Verdict]) -> Vec<Run> {
    let same = |one: &Verdict, next: &Verdict| {
        one.state == next.state && one.seq.checked_add(1) == Some(next.seq)
    };
    let runs = verdicts.chunk_by(same);
    runs.filter_map(|run| {
        Some(Run {
            first: run.first()?.seq,
            ids: Ids(run.iter().map(|verdict| verdict.id).collect()),
            state: run.first()?.state,
        })
    })
    .collect()
}

/// Verdicts on messages that follow each other, all the same.
pub(super) struct Run {
    first: u64,
    ids: Ids,
    state: VerdictState,
}

impl Run {
    fn verdicts(self) -> impl Iterator<Item = Verdict> {
        let ids = self.ids.0.into_iter();
        (self.first..).zip(ids).map(move |(seq, id)| Verdict {
            seq,
            id,
            state: self.state,
        })
    }
}

element! {
    Run, "v"
}

impl Part for Run {
    fn read(element: Reader<'_>) -> Result<Self, PayloadError> {
        let first = element.seq("n")?;
        let ids: Ids = element.attr("i")?;
        // The last one has a number, too.
        if first > MAX_SEQ - (ids.0.len() as u64 - 1) {
            return Err(element.invalid("n"));
        }
        Ok(Self {
            first,
            ids,
            state: element.attr("s")?,
        })
    }

    fn write(&self, to: &mut impl Sink) {
        to.seq("n", self.first);
        to.attr("i", &self.ids);
        to.attr("s", &self.state);
    }
}

/// The ids of a run: one at least, and no more than any list has.
struct Ids(Vec<IdPrefix>);

impl Value for Ids {
    fn read(written: &str) -> Result<Self, InvalidDelivery> {
        let mut ids = Vec::new();
        for id in written.split(' ') {
            if ids.len() == Closed::MAX_VERDICTS {
                return Err(InvalidDelivery::Spelling {
                    what: "list of ids",
                    form: "1 to 136 of them, with one space between",
                });
            }
            ids.push(IdPrefix::read(id)?);
        }
        Ok(Self(ids))
    }

    fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        for (at, id) in self.0.iter().enumerate() {
            if at > 0 {
                out.write_str(" ")?;
            }
            id.write(out)?;
        }
        Ok(())
    }
}

/// The recipient's verdicts on messages of one epoch: `<a/>`, in the namespace of this
/// extension and not of stream management.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Answer {
    /// The device that is answered, which sent the messages (`d`).
    pub to: Device,
    /// Who answers (`at`).
    pub at: Place,
    /// The epoch of the channel (`e`).
    pub epoch: Epoch,
    /// The channel (`c`).
    pub channel: Channel,
    /// The process that is answered (`b`), as it named itself.
    pub boot: Boot,
    /// The recipient's clock (`w`), in milliseconds of Unix time.
    pub clock: i64,
    /// The version of the sender's addresses that the recipient knows (`j`); 0 is none.
    pub knows: u32,
    /// Messages that the recipient takes in one stanza (`m`), see
    /// [`Bundle`](super::Bundle); 0 is none but alone.
    pub bundles: u32,
    /// One for each message, 1 to [`Answer::MAX_VERDICTS`].
    pub verdicts: Vec<Verdict>,
    /// The recipient's own addresses, if the sender is to know them.
    pub jids: Option<Jids>,
}

impl Answer {
    /// Verdicts in one answer, at most.
    pub const MAX_VERDICTS: usize = 32;

    /// Appends the bytes of the element to `out`, as
    /// [`Deliver::write_into`](super::Deliver::write_into) does.
    pub fn write_into(&self, out: &mut Vec<u8>) {
        append(self, out);
    }
}

element! {
    Answer, "a"
}

impl Part for Answer {
    fn read(element: Reader<'_>) -> Result<Self, PayloadError> {
        let verdicts = verdicts(element, Self::MAX_VERDICTS)?;
        if verdicts.is_empty() {
            return Err(element.lacks(Run::NAME));
        }
        Ok(Self {
            to: element.attr("d")?,
            at: element.attr("at")?,
            epoch: element.attr("e")?,
            channel: element.attr("c")?,
            boot: element.attr("b")?,
            clock: element.attr("w")?,
            knows: element.maybe("j")?.unwrap_or(0),
            bundles: element.maybe("m")?.unwrap_or(0),
            verdicts,
            jids: element.child()?,
        })
    }

    fn write(&self, to: &mut impl Sink) {
        to.attr("d", &self.to);
        to.attr("at", &self.at);
        to.attr("e", &self.epoch);
        to.attr("c", &self.channel);
        to.attr("b", &self.boot);
        to.attr("w", &self.clock);
        to.knows(self.knows);
        to.maybe("m", (self.bundles > 0).then_some(&self.bundles));
        to.children(&runs(&self.verdicts));
        to.children(&self.jids);
    }
}

/// Says that a message was for a store that is not here, and that nothing was done:
/// `<wrong-store/>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WrongStore {
    /// The device that is answered (`d`).
    pub to: Device,
    /// Who answers, with the store that is here (`at`).
    pub at: Place,
    /// The epoch of the channel (`e`).
    pub epoch: Epoch,
    /// The channel (`c`).
    pub channel: Channel,
    /// The process that is answered (`b`).
    pub boot: Boot,
}

element! {
    WrongStore, "wrong-store"
}

impl Part for WrongStore {
    fn read(element: Reader<'_>) -> Result<Self, PayloadError> {
        Ok(Self {
            to: element.attr("d")?,
            at: element.attr("at")?,
            epoch: element.attr("e")?,
            channel: element.attr("c")?,
            boot: element.attr("b")?,
        })
    }

    fn write(&self, to: &mut impl Sink) {
        to.attr("d", &self.to);
        to.attr("at", &self.at);
        to.attr("e", &self.epoch);
        to.attr("c", &self.channel);
        to.attr("b", &self.boot);
    }
}
