//! The lanes that most applications need, by name. A lane is a channel to a recipient:
//! messages of one take effect in order, and those of different ones do not wait for each
//! other. How they share a stream is decided in `engine`.

use stanchion_stanza::payload::delivery::{Channel, InvalidDelivery};

/// What a message is about, and so how it shares the way to its recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Lane {
    /// Goes before all others; a quarter of what may be on its way to a recipient is kept
    /// free for it, once it was used.
    Alarm,
    /// The default: commands, and whatever has no better place. A channel of any other
    /// name shares the way likewise.
    #[default]
    Control,
    /// Goes after all others.
    Telemetry,
}

impl Lane {
    /// All of them, the most urgent one first.
    pub const ALL: [Self; 3] = [Self::Alarm, Self::Control, Self::Telemetry];

    /// The name of its channel on the wire and in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alarm => "a",
            Self::Control => "c",
            Self::Telemetry => "t",
        }
    }

    /// Its channel.
    ///
    /// # Errors
    /// None: the names are valid.
    pub fn channel(self) -> Result<Channel, InvalidDelivery> {
        Channel::new(self.name())
    }

    /// The lane of a channel of that name.
    #[must_use]
    pub fn of(channel: &str) -> Self {
        let named = |lane: &Self| lane.name() == channel;
        Self::ALL.into_iter().find(named).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_is_a_channel_of_its_own() {
        for lane in Lane::ALL {
            let channel = lane.channel().unwrap();
            assert_eq!(Lane::of(channel.as_str()), lane);
        }
        assert_eq!(Lane::of("anything"), Lane::Control);
    }
}
