//! What a thing is: its fields, what can be set, and what it reports. Plain data, without
//! clock, socket or protocol; the types of values are those of sensor data (XEP-0323) and
//! control (XEP-0325).

mod sample;
pub(crate) mod sampling;
mod spec;
mod value;

pub use sample::{Reading, Sample};
pub use sampling::{Sampler, Sampling};
pub use spec::{FieldSpec, Kind, ParameterKind, ParameterSpec, SettingError, ThingSpec};
pub use stanchion_stanza::payload::control::{Parameter as Setting, Value as SettingValue};
pub use stanchion_stanza::payload::sensordata::{Categories, Node, Quality, Value};
pub use value::{NotANumber, as_f64, kind_of, number, of_setting, same};
