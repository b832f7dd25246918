//! A car over an ELM327: what it measures, its trouble codes, and the order to clear them.

pub(super) mod driver;
mod elm;
mod pid;
mod session;

use std::time::Duration;

use stanchion_stanza::Text;

use crate::model::{Categories, FieldSpec, Kind, ParameterKind, ParameterSpec, ThingSpec};
use pid::PIDS;

const VOLTAGE: &str = "battery-voltage";
const VIN: &str = "vin";
const TROUBLE_LIGHT: &str = "trouble-light";
const TROUBLE_COUNT: &str = "trouble-count";
const TROUBLE_CODES: &str = "trouble-codes";
/// The parameter that clears them.
const CLEAR: &str = "clear-trouble-codes";
/// The fields that are no parameters of service 01.
const OTHERS: [&str; 5] = [VOLTAGE, VIN, TROUBLE_LIGHT, TROUBLE_COUNT, TROUBLE_CODES];

/// What is asked of a car, and how often.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) id: Text,
    label: Text,
    /// By their names; all, if none are given.
    fields: Option<Vec<String>>,
    every: Duration,
    trouble_every: Duration,
    /// How long an answer may take.
    patience: Duration,
}

impl Wanted {
    /// Checks the names of the fields.
    pub(super) fn new(
        id: Text,
        label: Text,
        fields: Option<&[String]>,
        every: Duration,
        trouble_every: Duration,
        patience: Duration,
    ) -> Result<Self, String> {
        let names = || PIDS.iter().map(|pid| pid.field).chain(OTHERS);
        for field in fields.unwrap_or_default() {
            if !names().any(|name| name == field) {
                let names = names().collect::<Vec<_>>().join(", ");
                return Err(format!("a car has no field `{field}`; there are {names}"));
            }
        }
        if fields.is_some_and(<[String]>::is_empty) {
            return Err("`fields` is to name at least one, or to be left out".to_owned());
        }
        Ok(Self {
            id,
            label,
            fields: fields.map(<[String]>::to_vec),
            every,
            trouble_every,
            patience,
        })
    }

    /// What the car is described by, with the parameters that it has.
    pub(super) fn spec(&self, has: impl Fn(u8) -> bool) -> ThingSpec {
        let mut spec = ThingSpec::new(self.id.clone());
        spec.label = self.label.clone();
        let text = Text::from_static;
        let fields = PIDS.iter().filter(|pid| has(pid.id)).map(pid::Pid::spec);
        let others = [
            FieldSpec::numeric(text(VOLTAGE), text("V")),
            FieldSpec::new(text(VIN), Kind::String).of(Categories::IDENTITY),
            FieldSpec::new(text(TROUBLE_LIGHT), Kind::Boolean).of(Categories::STATUS),
            FieldSpec::new(text(TROUBLE_COUNT), Kind::Int).of(Categories::STATUS),
            FieldSpec::new(text(TROUBLE_CODES), Kind::String).of(Categories::STATUS),
        ];
        let wanted = |field: &FieldSpec| {
            let fields = self.fields.as_ref();
            fields.is_none_or(|fields| fields.iter().any(|f| field.name == f.as_str()))
        };
        spec.fields = fields.chain(others).filter(wanted).collect();
        let mut clear = ParameterSpec::new(text(CLEAR), ParameterKind::Boolean);
        clear.label = text("Clear the trouble codes");
        clear.description = Some(text(
            "Also forgets what the car learnt for its inspection. Only `true` does something.",
        ));
        // What is cleared twice may be another code the second time.
        clear.idempotent = false;
        spec.with_parameter(clear)
    }
}
