//! Readings as they travel: samples as one element of sensor data (XEP-0323), and back.

use stanchion_stanza::payload::PayloadError;
use stanchion_stanza::payload::datetime;
use stanchion_stanza::payload::sensordata::{
    Field, Fields, Node, NodeFields, Profile, Profiled as _, Timestamp,
};
use stanchion_stanza::{Element, Message, Text};

use stanchion_reliability::store::WallTime;

use crate::model::{Categories, Reading, Sample};

/// Readings in one message at most, whoever sent it.
pub const MOST_READINGS: usize = 50_000;

/// Why readings could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadingsError {
    /// They are not as they should be.
    #[error("the readings cannot be read")]
    Payload(#[from] PayloadError),
    /// A time that is none.
    #[error("`{0}` is no moment such as 2026-02-03T04:05:06Z (XEP-0323 §6.1)")]
    Time(Text),
    /// There are too many.
    #[error("{0} readings in one message; at most {MOST_READINGS} are taken")]
    TooMany(usize),
}

/// Samples as one element: those of a thing together, each at its time. Their order within
/// a thing is kept. `categories` says what kind of value a field has.
#[must_use]
pub fn to_element(
    samples: &[Sample],
    profile: Profile,
    categories: impl Fn(&Text, &Text) -> Categories,
) -> Element {
    let mut nodes: Vec<NodeFields> = Vec::new();
    for sample in samples {
        let at = nodes.iter().position(|n| n.node.id == sample.thing);
        let at = at.unwrap_or_else(|| {
            nodes.push(NodeFields {
                node: Node::new(sample.thing.clone()),
                timestamps: Vec::new(),
            });
            nodes.len() - 1
        });
        let fields = sample.readings.iter().map(|reading| Field {
            quality: reading.quality,
            categories: categories(&sample.thing, &reading.field),
            ..Field::momentary(reading.field.clone(), reading.value.clone())
        });
        nodes[at].timestamps.push(Timestamp {
            at: datetime::utc(sample.at.as_unix_ms()),
            fields: fields.collect(),
        });
    }
    let fields = Fields {
        done: true,
        nodes,
        ..Fields::default()
    };
    fields.to_element_in(profile)
}

/// The samples in a message, in the order in which they stand there; none if it has none.
///
/// # Errors
/// [`ReadingsError`]; then none of them is to be believed.
pub fn from_message(message: &Message) -> Result<Vec<Sample>, ReadingsError> {
    let Some((_, fields)) = Fields::find_any(&message.payloads)? else {
        return Ok(Vec::new());
    };
    samples(fields)
}

/// The samples in sensor data, in the order in which they stand there.
///
/// # Errors
/// [`ReadingsError`].
pub fn samples(fields: Fields) -> Result<Vec<Sample>, ReadingsError> {
    let count = fields.iter().count();
    if count > MOST_READINGS {
        return Err(ReadingsError::TooMany(count));
    }
    let mut samples = Vec::new();
    for node in fields.nodes {
        for timestamp in node.timestamps {
            let ms = datetime::unix_ms(&timestamp.at);
            let ms = ms.ok_or(ReadingsError::Time(timestamp.at))?;
            let readings = timestamp.fields.into_iter().map(|field| Reading {
                field: field.name,
                value: field.value,
                quality: field.quality,
            });
            samples.push(Sample {
                thing: node.node.id.clone(),
                at: WallTime::from_unix_ms(ms),
                readings: readings.collect(),
            });
        }
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Value, number};

    fn sample(thing: &'static str, ms: i64, value: f64) -> Sample {
        let celsius = Text::from_static("Cel");
        let value = number(value, 2, celsius).unwrap();
        let at = WallTime::from_unix_ms(ms);
        let (thing, field) = (Text::from_static(thing), Text::from_static("temperature"));
        Sample::one(thing, at, field, value)
    }

    #[test]
    fn what_goes_out_comes_back_in_every_profile_with_each_things_order() {
        let all = [
            sample("a", 1_000, 1.0),
            sample("b", 1_500, 2.25),
            sample("a", 2_001, 3.5),
        ];
        for profile in Profile::ALL {
            let element = to_element(&all, profile, |_, _| Categories::MOMENTARY);
            let (_, fields) = Fields::find_any([&element]).unwrap().unwrap();
            let back = samples(fields).unwrap();
            let of = |thing: &str, all: &[Sample]| -> Vec<Sample> {
                let these = all.iter().filter(|s| &*s.thing == thing);
                these.cloned().collect()
            };
            for thing in ["a", "b"] {
                assert_eq!(of(thing, &back), of(thing, &all), "{profile:?}");
            }
        }
    }

    #[test]
    fn a_time_that_is_none_is_named() {
        let at = Text::from_static("yesterday");
        let node = Node::new(Text::from_static("a"));
        let field = Field::momentary(Text::from_static("on"), Value::Boolean(true));
        let fields = Fields::of(0, node, at, vec![field]);
        let error = samples(fields).unwrap_err();
        assert!(error.to_string().starts_with("`yesterday` is no moment"));
    }
}
