//! What a thing reported at one moment.

use stanchion_reliability::store::WallTime;
use stanchion_stanza::Text;

use super::{Quality, Value};

/// Readings of one thing at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Which thing: the id of its node.
    pub thing: Text,
    /// When it was so, by the clock of whoever measured.
    pub at: WallTime,
    /// What it was. A field that is missing was not measured.
    pub readings: Vec<Reading>,
}

/// The value of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The field's name.
    pub field: Text,
    /// Its value.
    pub value: Value,
    /// How far it can be relied upon.
    pub quality: Quality,
}

impl Sample {
    /// One reading, read by the device itself.
    #[must_use]
    pub fn one(thing: Text, at: WallTime, field: Text, value: Value) -> Self {
        let readings = vec![Reading::automatic(field, value)];
        Self {
            thing,
            at,
            readings,
        }
    }
}

impl Reading {
    /// Read by the device itself.
    #[must_use]
    pub const fn automatic(field: Text, value: Value) -> Self {
        Self {
            field,
            value,
            quality: Quality::AUTOMATIC_READOUT,
        }
    }
}
