//! Things on XMPP: what they measure and what they obey, adapters that bring them in from
//! the protocols that they speak, and the things of others.
//!
//! - [`model`]: what a thing is, what it reports, and when a value is worth telling;
//! - [`adapter`]: the seam to a protocol, and the task that keeps an adapter going;
//! - [`adapters`]: those that there are, each behind a feature of its own;
//! - [`host`]: our things on XMPP, read and set by others;
//! - [`outflow`]: our readings on their way to others, in the words of [`mod@format`];
//! - [`sink`]: where readings of others are kept;
//! - [`remote`]: the things of others;
//! - `serverless`: all of it between neighbours, without a server (feature `serverless`).
//!
//! ```
//! use stanchion_device::model::{Sampler, Sampling, number};
//! use stanchion_device::{FieldSpec, ThingSpec};
//! # use std::time::Duration;
//! let (hall, celsius) = ("hall".parse()?, "Cel".parse::<stanchion_stanza::Text>()?);
//! let calm = Sampling::default().deadband(0.2);
//! let field = FieldSpec::numeric("temperature".parse()?, celsius.clone()).sampled(calm);
//! let thing = ThingSpec::new(hall).with_field(field);
//!
//! let mut sampler = Sampler::new(thing.fields[0].sampling);
//! let mut worth_telling = |at, value| {
//!     let value = number(value, 1, celsius.clone()).unwrap();
//!     sampler.take(Duration::from_secs(at), &value)
//! };
//! assert!(worth_telling(0, 21.0));
//! assert!(!worth_telling(1, 21.1));
//! assert!(worth_telling(2, 21.3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod adapter;
pub mod adapters;
pub mod devices;
pub mod format;
pub mod history;
pub mod host;
pub mod json;
pub mod model;
pub mod outflow;
pub mod remote;
#[cfg(feature = "serverless")]
pub mod serverless;
pub mod sink;

pub use adapter::{Adapter, AdapterError, Link, Order, OrderError, Report, Stop};
pub use devices::Devices;
pub use host::{HostConfig, ThingHost};
pub use model::{FieldSpec, ParameterSpec, Reading, Sample, ThingSpec};
