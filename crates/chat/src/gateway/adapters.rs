//! Adapters by the names that a configuration has for them.

use stanchion_device::Adapter;
use stanchion_device::adapters::{coap, exec, llrp, modbus, mqtt, serial, simulated, sysfs};

use super::config;
use crate::exit::{Failure, one_line};

/// The names that there are.
pub(super) const KINDS: [&str; 8] = [
    "coap",
    "exec",
    "llrp",
    "modbus",
    "mqtt",
    "serial",
    "simulated",
    "sysfs",
];

/// The adapter that is described.
///
/// # Errors
/// Names the adapter, and what is wrong with it.
pub(super) fn make(described: &config::Adapter) -> Result<Box<dyn Adapter>, Failure> {
    let name = &described.name;
    let wrong = |why: &dyn std::fmt::Display| Failure::usage(format!("adapter `{name}`: {why}"));
    macro_rules! adapter {
        ($module:ident) => {{
            let config = described.rest.clone().try_into::<$module::Config>();
            let config = config.map_err(|e| wrong(&e.message().replace('\n', " ")))?;
            Box::new($module::Adapter::new(config).map_err(|e| wrong(&one_line(&e)))?)
        }};
    }
    Ok(match described.kind.as_str() {
        "coap" => adapter!(coap),
        "exec" => adapter!(exec),
        "llrp" => adapter!(llrp),
        "modbus" => adapter!(modbus),
        "mqtt" => adapter!(mqtt),
        "serial" => adapter!(serial),
        "simulated" => adapter!(simulated),
        "sysfs" => adapter!(sysfs),
        other => {
            let kinds = KINDS.join(", ");
            return Err(wrong(&format!(
                "there is no type `{other}`; there are {kinds}"
            )));
        }
    })
}
