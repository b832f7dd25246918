//! Things on XMPP: what they measure and what they obey, adapters that bring them in from
//! the protocols that they speak, and the things of others.
//!
//! - [`model`]: what a thing is, what it reports, and when a value is worth telling;
//! - [`adapter`]: the seam to a protocol, and the task that keeps an adapter going;
//! - [`adapters`]: those that there are, each behind a feature of its own.

pub mod adapter;
pub mod adapters;
pub mod model;

pub use adapter::{Adapter, AdapterError, Link, Order, OrderError, Report, Stop};
pub use model::{FieldSpec, ParameterSpec, Reading, Sample, ThingSpec};
