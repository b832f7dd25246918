//! What the sender says of a message: which one it is, and that it is not to take effect.

use super::shape::{Part, Reader, Sink, append, element};
use super::{Boot, Channel, Device, Epoch, IdPrefix, Jids, Place};
use crate::payload::PayloadError;

/// Makes the message that it is in one of a channel: `<d/>`.
///
/// ```
/// use stanchion_stanza::Payload;
/// use stanchion_stanza::payload::delivery::{Boot, Channel, Deliver, Device, Epoch, IdPrefix};
/// let deliver = Deliver {
///     from: Device::new("meter-1")?,
///     to: None,
///     epoch: Epoch { index: 3, random: 0x9100_0000 },
///     channel: Channel::new("alarm")?,
///     seq: 41,
///     low: 39,
///     id: IdPrefix::of("019a0000-0000-7000-8000-000000000000"),
///     prev: None,
///     boot: Boot(7),
///     deadline: Some(1_900_000_000_000),
///     unordered: false,
///     knows: 0,
///     jids: None,
/// };
/// let mut bytes = Vec::new();
/// deliver.write_into(&mut bytes);
/// assert!(bytes.starts_with(b"<d xmlns='urn:stanchion:delivery:0' d='meter-1' e='3.kQAAAA'"));
/// assert_eq!(Deliver::from_element(&deliver.to_element())?, deliver);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Deliver {
    /// Who sends it (`d`).
    pub from: Device,
    /// Whom it is for (`t`). None before that device has spoken: then it is for whoever
    /// gets it.
    pub to: Option<Place>,
    /// The epoch of the channel (`e`).
    pub epoch: Epoch,
    /// The channel (`c`).
    pub channel: Channel,
    /// The message's number in the epoch (`n`), 1 to [`MAX_SEQ`](super::MAX_SEQ), without
    /// gaps.
    pub seq: u64,
    /// The lowest number that has no final outcome at the sender (`l`), 1 to
    /// [`MAX_SEQ`](super::MAX_SEQ).
    pub low: u64,
    /// The message's id (`i`), see [`IdPrefix::of`].
    pub id: IdPrefix,
    /// The id of the message before it (`p`); none of the first, nor where order does not
    /// count.
    pub prev: Option<IdPrefix>,
    /// The sender's process (`b`).
    pub boot: Boot,
    /// When it is too late to take effect (`x`), in milliseconds of Unix time; none for
    /// never.
    pub deadline: Option<i64>,
    /// Whether it may overtake the others of its channel (`u`). Absent is false.
    pub unordered: bool,
    /// The version of the recipient's addresses that the sender knows (`j`); 0 is none.
    pub knows: u32,
    /// The sender's own addresses, if the recipient is to know them.
    pub jids: Option<Jids>,
}

impl Deliver {
    /// Appends the bytes of the element to `out`, without an [`Element`](crate::Element) in
    /// between: the same that the [`Encoder`](crate::Encoder) writes inside a stanza.
    pub fn write_into(&self, out: &mut Vec<u8>) {
        append(self, out);
    }
}

element! {
    Deliver, "d"
}

impl Part for Deliver {
    fn read(element: Reader<'_>) -> Result<Self, PayloadError> {
        Ok(Self {
            from: element.attr("d")?,
            to: element.maybe("t")?,
            epoch: element.attr("e")?,
            channel: element.attr("c")?,
            seq: element.seq("n")?,
            low: element.seq("l")?,
            id: element.attr("i")?,
            prev: element.maybe("p")?,
            boot: element.attr("b")?,
            deadline: element.maybe("x")?,
            unordered: element.maybe("u")?.unwrap_or(false),
            knows: element.maybe("j")?.unwrap_or(0),
            jids: element.child()?,
        })
    }

    fn write(&self, to: &mut impl Sink) {
        to.attr("d", &self.from);
        to.maybe("t", self.to.as_ref());
        to.attr("e", &self.epoch);
        to.attr("c", &self.channel);
        to.seq("n", self.seq);
        to.seq("l", self.low);
        to.attr("i", &self.id);
        to.maybe("p", self.prev.as_ref());
        to.attr("b", &self.boot);
        to.maybe("x", self.deadline.as_ref());
        to.flag("u", self.unordered);
        to.knows(self.knows);
        to.children(&self.jids);
    }
}

/// Asks that a message take no effect, unless it has: `<cancel/>`. It may come before the
/// message itself, and is answered with the message's [`Verdict`](super::Verdict).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cancel {
    /// Who sent the message (`d`).
    pub from: Device,
    /// Whom it was for (`t`).
    pub to: Option<Place>,
    /// The epoch of the channel (`e`).
    pub epoch: Epoch,
    /// The channel (`c`).
    pub channel: Channel,
    /// The message's number (`n`), 1 to [`MAX_SEQ`](super::MAX_SEQ).
    pub seq: u64,
    /// As in [`Deliver::low`] (`l`), 1 to [`MAX_SEQ`](super::MAX_SEQ).
    pub low: u64,
    /// The message's id (`i`).
    pub id: IdPrefix,
    /// The id of the message before it (`p`), as in [`Deliver::prev`].
    pub prev: Option<IdPrefix>,
    /// The process that sends this (`b`).
    pub boot: Boot,
    /// The version of the recipient's addresses that the sender knows (`j`); 0 is none.
    pub knows: u32,
    /// The sender's own addresses, if the recipient is to know them: this may be the first
    /// that it hears of the sender.
    pub jids: Option<Jids>,
}

element! {
    Cancel, "cancel"
}

impl Part for Cancel {
    fn read(element: Reader<'_>) -> Result<Self, PayloadError> {
        Ok(Self {
            from: element.attr("d")?,
            to: element.maybe("t")?,
            epoch: element.attr("e")?,
            channel: element.attr("c")?,
            seq: element.seq("n")?,
            low: element.seq("l")?,
            id: element.attr("i")?,
            prev: element.maybe("p")?,
            boot: element.attr("b")?,
            knows: element.maybe("j")?.unwrap_or(0),
            jids: element.child()?,
        })
    }

    fn write(&self, to: &mut impl Sink) {
        to.attr("d", &self.from);
        to.maybe("t", self.to.as_ref());
        to.attr("e", &self.epoch);
        to.attr("c", &self.channel);
        to.seq("n", self.seq);
        to.seq("l", self.low);
        to.attr("i", &self.id);
        to.maybe("p", self.prev.as_ref());
        to.attr("b", &self.boot);
        to.knows(self.knows);
        to.children(&self.jids);
    }
}
