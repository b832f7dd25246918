//! MQTT brokers (MQTT 3.1.1), both ways, with the discovery of Home Assistant.
//!
//! - [`Adapter`] takes in: what devices announce by that discovery, and topics that a user
//!   names. A thing for each device, a field for each entity. Commands are published.
//! - [`Publisher`] gives out: our other things, announced by that discovery, with their
//!   values; and takes commands for them.
//!
//! ```
//! # use stanchion_device::adapters::mqtt::{Adapter, Config};
//! let config: Config = toml::from_str(r#"
//!     broker = { host = "127.0.0.1", tls = "off", client_id = "gateway-in" }
//!
//!     [[points]]
//!     thing = "boiler"
//!     field = "flow"
//!     topic = "cellar/boiler"
//!     pointer = "/temperatures/flow"
//!     unit = "Cel"
//!     sampling = { deadband = 0.2 }
//!
//!     [[points]]
//!     thing = "boiler"
//!     field = "pump"
//!     kind = "boolean"
//!     topic = "cellar/boiler/pump"
//!     command = { topic = "cellar/boiler/pump/set" }
//! "#)?;
//! let adapter = Adapter::new(config)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a value is worth
//! A value that the broker kept, retained or for our session, comes with the quality
//! `timeOffset`: it was so some time ago. One of before is no confirmation of a command
//! either. A command is done once the topic of its value says so after it was published; if
//! there is no such topic, once the broker has it, and that is the broker's word, not the
//! device's. Nothing is published again after a connection was lost.
//!
//! # What is left out
//! Entities with templates that are more than a path with `float`, `int`, `round` or
//! `is_defined`, and kinds of entities that are not sensor, binary_sensor, switch, light,
//! number, select, text, button, scene, fan or siren (on and off): each is named in the log
//! once. QoS 2 is not used, and neither is MQTT 5.
//!
//! The packets are read and written by `rumqttc`; the connection is ours, and so is its TLS.

mod abbreviation;
mod bridge;
mod config;
mod connection;
mod dial;
mod discovery;
mod entity;
mod framing;
mod orders;
mod publisher;
mod registry;
mod template;
mod topic;

pub use bridge::Adapter;
pub use config::{Broker, Command, Config, Point, PublisherConfig, Session, Tls};
pub use publisher::{Feed, Publisher, Wanted};
