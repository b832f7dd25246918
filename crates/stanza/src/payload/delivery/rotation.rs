//! How an epoch ends, and the next one may begin: asked for by the recipient, closed by the
//! sender, and confirmed by the recipient.

use super::answer::{Verdict, VerdictState, runs, verdicts};
use super::shape::{Part, Reader, Sink, element};
use super::{Boot, Channel, Device, Epoch, Place};
use crate::payload::PayloadError;

/// Says that the epoch cannot go on at the recipient: `<rotate/>`. No outcome of any
/// message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rotate {
    /// The device that is answered (`d`).
    pub to: Device,
    /// Who answers (`at`).
    pub at: Place,
    /// The epoch that cannot go on (`e`).
    pub epoch: Epoch,
    /// The channel (`c`).
    pub channel: Channel,
    /// The process that is answered (`b`).
    pub boot: Boot,
    /// The next epoch's index must be higher than this.
    pub above: u32,
}

element! {
    Rotate, "rotate"
}

impl Part for Rotate {
    fn read(element: Reader<'_>) -> Result<Self, PayloadError> {
        Ok(Self {
            to: element.attr("d")?,
            at: element.attr("at")?,
            epoch: element.attr("e")?,
            channel: element.attr("c")?,
            boot: element.attr("b")?,
            above: element.attr("above")?,
        })
    }

    fn write(&self, to: &mut impl Sink) {
        to.attr("d", &self.to);
        to.attr("at", &self.at);
        to.attr("e", &self.epoch);
        to.attr("c", &self.channel);
        to.attr("b", &self.boot);
        to.attr("above", &self.above);
    }
}

/// Says that the sender ends the epoch, and asks how it ended: `<close/>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Close {
    /// The sending device (`d`).
    pub from: Device,
    /// The recipient (`t`).
    pub to: Option<Place>,
    /// The epoch that ends (`e`).
    pub epoch: Epoch,
    /// The channel (`c`).
    pub channel: Channel,
    /// The sender's process (`b`).
    pub boot: Boot,
}

element! {
    Close, "close"
}

impl Part for Close {
    fn read(element: Reader<'_>) -> Result<Self, PayloadError> {
        Ok(Self {
            from: element.attr("d")?,
            to: element.maybe("t")?,
            epoch: element.attr("e")?,
            channel: element.attr("c")?,
            boot: element.attr("b")?,
        })
    }

    fn write(&self, to: &mut impl Sink) {
        to.attr("d", &self.from);
        to.maybe("t", self.to.as_ref());
        to.attr("e", &self.epoch);
        to.attr("c", &self.channel);
        to.attr("b", &self.boot);
    }
}

/// How the epoch ended at the recipient, which takes nothing more of it: `<closed/>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Closed {
    /// The device that is answered (`d`).
    pub to: Device,
    /// Who answers (`at`).
    pub at: Place,
    /// The epoch that ended (`e`).
    pub epoch: Epoch,
    /// The channel (`c`).
    pub channel: Channel,
    /// The process that is answered (`b`).
    pub boot: Boot,
    /// The process that closed it first (`by`), if that is known.
    pub by: Option<Boot>,
    /// Whether anything of the process that is answered was ever accepted in it (`known`).
    pub known: bool,
    /// The highest [`low`](super::Deliver::low) that the recipient saw (`l`), 1 to
    /// [`MAX_SEQ`](super::MAX_SEQ).
    pub low: u64,
    /// The highest index of an epoch of this channel that the recipient knows (`hi`).
    pub highest: u32,
    /// What is final, at most [`Closed::MAX_VERDICTS`]: delivered, void, or maybe.
    pub verdicts: Vec<Verdict>,
}

impl Closed {
    /// Verdicts in one answer, at most: as many as the recipient keeps of an epoch.
    pub const MAX_VERDICTS: usize = 136;

    const fn is_final(verdict: &Verdict) -> bool {
        use VerdictState::{Delivered, Handed, Late, Maybe, Other, Settled, Void};
        match verdict.state {
            Delivered | Void | Maybe => true,
            Handed | Other | Settled | Late => false,
        }
    }
}

element! {
    Closed, "closed"
}

impl Part for Closed {
    fn read(element: Reader<'_>) -> Result<Self, PayloadError> {
        let verdicts = verdicts(element, Self::MAX_VERDICTS)?;
        if !verdicts.iter().all(Self::is_final) {
            return Err(element.invalid("v"));
        }
        Ok(Self {
            to: element.attr("d")?,
            at: element.attr("at")?,
            epoch: element.attr("e")?,
            channel: element.attr("c")?,
            boot: element.attr("b")?,
            by: element.maybe("by")?,
            known: element.attr("known")?,
            low: element.seq("l")?,
            highest: element.attr("hi")?,
            verdicts,
        })
    }

    fn write(&self, to: &mut impl Sink) {
        to.attr("d", &self.to);
        to.attr("at", &self.at);
        to.attr("e", &self.epoch);
        to.attr("c", &self.channel);
        to.attr("b", &self.boot);
        to.maybe("by", self.by.as_ref());
        to.attr("known", &self.known);
        to.seq("l", self.low);
        to.attr("hi", &self.highest);
        to.children(&runs(&self.verdicts));
    }
}
