//! Subscriptions to sensor data: a device tells by itself what was asked for once, when it
//! changed or some time has passed. The legacy profile is that of the XSF's inbox
//! (`urn:xmpp:iot:events`), the compact ones are what IoT gateways speak
//! (`urn:nf:iot:events:1.0`). The answer is an [`Accepted`](super::sensordata::Accepted),
//! and what is told are [`Fields`](super::sensordata::Fields), both with the subscription's
//! id.

use std::time::Duration;

use super::sensordata::{
    Categories, Dialect, Node, Profile, Profiled, RequestId, Tokens, profiled,
};
use super::xs::{Double, flag};
use super::{Payload, PayloadError, parsed, required};
use crate::xml::{Element, Text, View};

/// A field that is watched, and how much it must change to be told.
///
/// ```
/// use stanchion_stanza::Text;
/// use stanchion_stanza::payload::iot_events::Watched;
/// let light = Watched { by: Some(1.0.into()), ..Watched::new(Text::from_static("Light")) };
/// assert_eq!(light.up, None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// Its name.
    pub name: Text,
    /// Its value as the client has it; changes are measured against that. `None` for what
    /// the device sees now. For other types than numbers: 0 or 1, or nothing.
    pub value: Option<Text>,
    /// Told if it changed by more than that, either way; a positive number.
    pub by: Option<Double>,
    /// Told if it rose by more than that; a positive number.
    pub up: Option<Double>,
    /// Told if it fell by more than that; a positive number.
    pub down: Option<Double>,
}

impl Watched {
    /// That field, whatever changes.
    #[must_use]
    pub fn new(name: Text) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    fn read(element: View<'_>, words: &Dialect) -> Result<Self, PayloadError> {
        let names = Names::of(words);
        let number = |name| parsed::<Double>(element, words.field, name);
        Ok(Self {
            name: required(element, words.field, words.name)?,
            value: element.attr_text(names.value),
            by: number(names.by)?,
            up: number(names.up)?,
            down: number(names.down)?,
        })
    }

    fn write(&self, words: &Dialect) -> Element {
        let names = Names::of(words);
        Element::new(words.field, words.ns)
            .with_attr(words.name, self.name.clone())
            .with_attr_opt(names.value, self.value.clone())
            .with_attr_opt(names.by, self.by.clone())
            .with_attr_opt(names.up, self.up.clone())
            .with_attr_opt(names.down, self.down.clone())
    }
}

/// The names that only subscriptions have.
struct Names {
    value: &'static str,
    by: &'static str,
    up: &'static str,
    down: &'static str,
    min: &'static str,
    max: &'static str,
}

impl Names {
    const fn of(words: &Dialect) -> Self {
        if words.short {
            Self {
                value: "v",
                by: "by",
                up: "up",
                down: "dn",
                min: "minInt",
                max: "maxInt",
            }
        } else {
            Self {
                value: "currentValue",
                by: "changedBy",
                up: "changedUp",
                down: "changedDown",
                min: "minInterval",
                max: "maxInterval",
            }
        }
    }
}

/// Tell me from now on, please. One with the same id takes the place of an earlier one of
/// the same client. Sent in a set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscribe {
    /// Unique among the requests and subscriptions of this client.
    pub id: RequestId,
    /// Which kinds of values.
    pub categories: Categories,
    /// All kinds of values. Default `false`.
    pub all: bool,
    /// How old remembered values may be, as a duration of XML Schema.
    pub max_age: Option<Text>,
    /// Nothing is told sooner than that after what was told last: see [`interval`].
    pub min_interval: Option<Text>,
    /// Something is told after that time at the latest, changed or not.
    pub max_interval: Option<Text>,
    /// Which things; empty for the device itself.
    pub nodes: Vec<Node>,
    /// Which fields; empty for all.
    pub fields: Vec<Watched>,
    /// What lets the client in.
    pub tokens: Tokens,
    /// Whether it is to be told at once, too. Default `false`.
    pub now: bool,
}

impl Subscribe {
    fn read(element: View<'_>, words: &Dialect) -> Result<Self, PayloadError> {
        let names = Names::of(words);
        let fields = element.children().filter(|c| c.is(words.field, words.ns));
        Ok(Self {
            id: RequestId::read(element, "subscribe", words)?,
            categories: Categories::read(element, words),
            all: flag(element, "all"),
            max_age: element.attr_text("maxAge"),
            min_interval: element.attr_text(names.min),
            max_interval: element.attr_text(names.max),
            nodes: Node::read_all(element, words)?,
            fields: fields
                .map(|f| Watched::read(f, words))
                .collect::<Result<_, _>>()?,
            tokens: Tokens::read(element, words),
            now: flag(element, "req"),
        })
    }

    fn write(&self, words: &Dialect) -> Element {
        let names = Names::of(words);
        let mut this = Element::new("subscribe", words.ns).with_attr(words.id, self.id.clone());
        self.categories.write(&mut this, words);
        let this = this
            .with_attr_opt("all", self.all.then_some(true))
            .with_attr_opt("maxAge", self.max_age.clone())
            .with_attr_opt(names.min, self.min_interval.clone())
            .with_attr_opt(names.max, self.max_interval.clone())
            .with_attr_opt("req", self.now.then_some(true));
        self.tokens
            .write_to(this, words)
            .with_children(self.nodes.iter().map(|n| n.write(words)))
            .with_children(self.fields.iter().map(|f| f.write(words)))
    }
}

profiled!(Subscribe, "subscribe", "subscribe", events, events_words);

/// No more of it, please. Sent in a set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unsubscribe {
    /// The subscription's id.
    pub id: RequestId,
}

impl Unsubscribe {
    fn read(element: View<'_>, words: &Dialect) -> Result<Self, PayloadError> {
        let id = RequestId::read(element, "unsubscribe", words)?;
        Ok(Self { id })
    }

    fn write(&self, words: &Dialect) -> Element {
        Element::new("unsubscribe", words.ns).with_attr(words.id, self.id.clone())
    }
}

profiled!(
    Unsubscribe,
    "unsubscribe",
    "unsubscribe",
    events,
    events_words
);

/// The time that a duration of XML Schema says, if it is not negative and has neither years
/// nor months, whose length nobody knows.
///
/// ```
/// use std::time::Duration;
/// use stanchion_stanza::payload::iot_events::{interval, interval_text};
/// assert_eq!(interval("PT1M30S"), Some(Duration::from_secs(90)));
/// assert_eq!(interval("P1DT0.5S"), Some(Duration::from_millis(86_400_500)));
/// assert_eq!(interval("P1M"), None);
/// assert_eq!(interval_text(Duration::from_millis(1500)), "PT1.5S");
/// ```
#[must_use]
pub fn interval(text: &str) -> Option<Duration> {
    let rest = text.strip_prefix('P')?;
    let (days, times) = match rest.split_once('T') {
        Some((_, "")) => return None,
        Some((days, times)) => (days, times),
        None => (rest, ""),
    };
    if days.is_empty() && times.is_empty() {
        return None;
    }
    let mut seconds = 0_f64;
    let mut take = |mut rest: &str, units: &[(char, f64)]| {
        for (unit, length) in units {
            if let Some((number, after)) = rest.split_once(*unit) {
                let whole = *unit != 'S';
                let fits = |b: u8| b.is_ascii_digit() || (b == b'.' && !whole);
                if number.is_empty() || number.len() > 12 || !number.bytes().all(fits) {
                    return None;
                }
                seconds += number.parse::<f64>().ok()? * length;
                rest = after;
            }
        }
        rest.is_empty().then_some(())
    };
    take(days, &[('D', 86_400.0)])?;
    take(times, &[('H', 3_600.0), ('M', 60.0), ('S', 1.0)])?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The same written, to the millisecond.
#[must_use]
pub fn interval_text(time: Duration) -> Text {
    let (seconds, ms) = (time.as_secs(), time.subsec_millis());
    let text = match ms {
        0 => format!("PT{seconds}S"),
        ms => {
            let decimals = format!("{ms:03}");
            format!("PT{seconds}.{}S", decimals.trim_end_matches('0'))
        }
    };
    Text::checked(text)
}
