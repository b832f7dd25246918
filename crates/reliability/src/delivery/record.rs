//! Channels as bytes, for the store. The first byte is the version of the form; numbers
//! are big-endian. Version 2 had ids of eight bytes, of which these are the first six.

use stanchion_stanza::payload::delivery::{Boot, Epoch, IdPrefix};

use super::receiver::BOOTS;
use super::receiver::{ClosedBy, EPOCHS, KnownEpoch, ReceivingChannel, SPAN, Slot, Standing};
use super::sender::{End, Fate, SendingChannel, TRIALS, Trial};

const VERSION: u8 = 3;
const LONG_IDS: u8 = 2;
/// A gap between two slots that takes a byte of its own; smaller ones lie in the first.
const WIDE: u64 = 8;

/// What the store has is no channel of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record of a channel is damaged, or of a later version: byte {0}")]
pub struct Damaged(usize);

impl ReceivingChannel {
    /// As the store keeps it: at most 1,014 bytes for an epoch, whatever a peer does, and
    /// [`EPOCHS`] of them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION, self.epochs.len() as u8];
        for known in &self.epochs {
            known.write(&mut out);
        }
        out
    }

    /// Back from the store.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut read = Reader::new(bytes)?;
        let epochs = (0..read.count(EPOCHS)?).map(|_| KnownEpoch::read(&mut read));
        let epochs = epochs.collect::<Result<_, _>>()?;
        read.end()?;
        Ok(Self { epochs })
    }
}

impl KnownEpoch {
    fn write(&self, out: &mut Vec<u8>) {
        write_epoch(out, self.epoch);
        out.extend_from_slice(&self.low.to_be_bytes());
        write_id(out, self.before);
        match self.closed {
            None => out.push(0),
            Some(ClosedBy::Higher) => out.push(1),
            Some(ClosedBy::Boot(boot)) => {
                out.push(2);
                out.extend_from_slice(&boot.0.to_be_bytes());
            }
        }
        out.push(self.boots.len() as u8 | u8::from(self.more_boots) << 7);
        for boot in &self.boots {
            out.extend_from_slice(&boot.0.to_be_bytes());
        }
        out.push(self.slots.len() as u8);
        let mut before: Option<&Slot> = None;
        for slot in &self.slots {
            // A predecessor that is recorded beside it need not be told again.
            let beside = beside((self.low, self.before), before, slot.seq);
            let prev = match slot.prev {
                None => 0,
                prev if prev == beside => 1,
                Some(_) => 2,
            };
            let standing = match slot.standing {
                Standing::Held => 0,
                Standing::Handed => 1,
                Standing::Delivered => 2,
                Standing::Void => 3,
                Standing::Maybe => 4,
            };
            let after = before.map_or(self.low.wrapping_sub(1), |b| b.seq);
            let gap = slot.seq.wrapping_sub(after);
            out.push((gap.min(WIDE) as u8 - 1) << 5 | prev << 3 | standing);
            if gap >= WIDE {
                out.push(gap as u8);
            }
            out.extend_from_slice(&slot.id.0);
            if let (2, Some(prev)) = (prev, slot.prev) {
                out.extend_from_slice(&prev.0);
            }
            before = Some(slot);
        }
    }

    fn read(read: &mut Reader<'_>) -> Result<Self, Damaged> {
        let epoch = read.epoch()?;
        let low = read.u64()?;
        let before = read.id_if_any()?;
        let closed = match read.u8()? {
            0 => None,
            1 => Some(ClosedBy::Higher),
            2 => Some(ClosedBy::Boot(Boot(read.u32()?))),
            _ => return Err(read.damaged()),
        };
        let boots = read.u8()?;
        let more_boots = boots & 0x80 != 0;
        if usize::from(boots & 0x7F) > BOOTS {
            return Err(read.damaged());
        }
        let boots = (0..boots & 0x7F).map(|_| read.u32().map(Boot));
        let boots = boots.collect::<Result<_, _>>()?;
        let mut slots: Vec<Slot> = Vec::new();
        for _ in 0..read.count(SPAN as usize)? {
            let kind = read.u8()?;
            let gap = match u64::from(kind >> 5) + 1 {
                WIDE => u64::from(read.u8()?),
                gap => gap,
            };
            let wide = kind >> 5 == WIDE as u8 - 1;
            if wide && gap < WIDE {
                return Err(read.damaged());
            }
            let id = read.id()?;
            let last = slots.last();
            let seq = match last {
                Some(last) => last.seq.checked_add(gap),
                None => low.checked_add(gap - 1),
            };
            let seq = seq.ok_or_else(|| read.damaged())?;
            if seq - low >= SPAN {
                return Err(read.damaged());
            }
            let prev = match kind >> 3 & 3 {
                0 => None,
                1 => {
                    let beside = beside((low, before), last, seq);
                    Some(beside.ok_or_else(|| read.damaged())?)
                }
                2 => Some(read.id()?),
                _ => return Err(read.damaged()),
            };
            let standing = match kind & 7 {
                0 => Standing::Held,
                1 => Standing::Handed,
                2 => Standing::Delivered,
                3 => Standing::Void,
                4 => Standing::Maybe,
                _ => return Err(read.damaged()),
            };
            slots.push(Slot {
                seq,
                id,
                prev,
                standing,
            });
        }
        Ok(Self {
            epoch,
            low,
            before,
            slots,
            closed,
            boots,
            more_boots,
        })
    }
}

/// The id of the message right before a seq, as far as the record has it: `last` is the slot
/// before, and below `low` there is one id alone.
fn beside(
    (low, below): (u64, Option<IdPrefix>),
    last: Option<&Slot>,
    seq: u64,
) -> Option<IdPrefix> {
    if seq == low {
        return below;
    }
    last.filter(|last| last.seq + 1 == seq).map(|last| last.id)
}

impl SendingChannel {
    /// As the store keeps it. Its messages are in the outbox.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_bytes_from(self.low())
    }

    /// The same, for the transaction that makes all final states durable that there are.
    #[must_use]
    pub fn to_bytes_with_finals(&self) -> Vec<u8> {
        self.to_bytes_from(self.low_to_be())
    }

    fn to_bytes_from(&self, low: u64) -> Vec<u8> {
        let mut out = vec![VERSION];
        write_epoch(&mut out, self.epoch);
        for number in [self.base, low, self.next] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        write_id(&mut out, self.last);
        out.push(self.trials.len() as u8);
        for trial in &self.trials {
            trial.write(&mut out);
        }
        out
    }

    /// Back from the store: its messages from `low` on are to be loaded.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut read = Reader::new(bytes)?;
        let epoch = read.epoch()?;
        let (base, low, next) = (read.u64()?, read.u64()?, read.u64()?);
        let last = read.id_if_any()?;
        if base == 0 || low > next || base > next {
            return Err(read.damaged());
        }
        let trials = (0..read.count(TRIALS)?).map(|_| Trial::read(&mut read));
        let trials = trials.collect::<Result<_, _>>()?;
        read.end()?;
        Ok(Self::restored(epoch, base, low, next, last, trials))
    }
}

impl Trial {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.boot.0.to_be_bytes());
        out.extend_from_slice(&self.from.to_be_bytes());
        out.extend_from_slice(&self.below.to_be_bytes());
        match &self.end {
            End::Reset => out.push(0),
            End::Lost => out.push(8),
            End::Closed {
                low,
                by_this_boot,
                known,
                verdicts,
            } => {
                out.push(1 | u8::from(*by_this_boot) << 1 | u8::from(*known) << 2);
                out.extend_from_slice(&low.to_be_bytes());
                out.push(verdicts.len() as u8);
                for (place, id, fate) in verdicts {
                    out.extend_from_slice(&place.to_be_bytes());
                    out.extend_from_slice(&id.0);
                    out.push(match fate {
                        Fate::Delivered => 0,
                        Fate::Void => 1,
                        _ => 2,
                    });
                }
            }
        }
    }

    fn read(read: &mut Reader<'_>) -> Result<Self, Damaged> {
        let boot = Boot(read.u32()?);
        let (from, below) = (read.u64()?, read.u64()?);
        let kind = read.u8()?;
        let end = if kind == 0 {
            End::Reset
        } else if kind == 8 {
            End::Lost
        } else {
            let low = read.u64()?;
            let mut verdicts = Vec::new();
            for _ in 0..read.count(SPAN as usize)? {
                let (place, id) = (read.u64()?, read.id()?);
                let fate = match read.u8()? {
                    0 => Fate::Delivered,
                    1 => Fate::Void,
                    2 => Fate::Maybe,
                    _ => return Err(read.damaged()),
                };
                verdicts.push((place, id, fate));
            }
            End::Closed {
                low,
                by_this_boot: kind & 2 != 0,
                known: kind & 4 != 0,
                verdicts,
            }
        };
        Ok(Self {
            boot,
            from,
            below,
            end,
            live: false,
        })
    }
}

fn write_epoch(out: &mut Vec<u8>, epoch: Epoch) {
    out.extend_from_slice(&epoch.index.to_be_bytes());
    out.extend_from_slice(&epoch.random.to_be_bytes());
}

fn write_id(out: &mut Vec<u8>, id: Option<IdPrefix>) {
    out.push(u8::from(id.is_some()));
    if let Some(id) = id {
        out.extend_from_slice(&id.0);
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    version: u8,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, Damaged> {
        let (at, version) = (0, VERSION);
        let mut read = Self { bytes, at, version };
        read.version = read.u8()?;
        if matches!(read.version, LONG_IDS | VERSION) {
            Ok(read)
        } else {
            Err(read.damaged())
        }
    }

    const fn damaged(&self) -> Damaged {
        Damaged(self.at)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let rest = self.bytes.get(self.at..).and_then(|b| b.first_chunk());
        let taken = *rest.ok_or_else(|| self.damaged())?;
        self.at += N;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, Damaged> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, Damaged> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, Damaged> {
        self.take().map(u64::from_be_bytes)
    }

    fn epoch(&mut self) -> Result<Epoch, Damaged> {
        Ok(Epoch {
            index: self.u32()?,
            random: self.u32()?,
        })
    }

    fn id(&mut self) -> Result<IdPrefix, Damaged> {
        let id = self.take().map(IdPrefix)?;
        if self.version == LONG_IDS {
            self.take::<2>()?;
        }
        Ok(id)
    }

    fn id_if_any(&mut self) -> Result<Option<IdPrefix>, Damaged> {
        Ok(match self.u8()? {
            0 => None,
            1 => Some(self.id()?),
            _ => return Err(self.damaged()),
        })
    }

    fn count(&mut self, most: usize) -> Result<usize, Damaged> {
        let count = usize::from(self.u8()?);
        if count > most {
            return Err(self.damaged());
        }
        Ok(count)
    }

    fn end(&self) -> Result<(), Damaged> {
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err(self.damaged())
        }
    }
}
