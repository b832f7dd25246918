//! Adapters for real protocols, each behind a feature of its name and on its own: none
//! knows another.

#[cfg(feature = "coap")]
pub mod coap;
#[cfg(feature = "exec")]
pub mod exec;
#[cfg(feature = "llrp")]
pub mod llrp;
#[cfg(feature = "modbus")]
pub mod modbus;
#[cfg(feature = "mqtt")]
pub mod mqtt;
#[cfg(feature = "serial")]
pub mod serial;
#[cfg(feature = "simulated")]
pub mod simulated;
#[cfg(feature = "sysfs")]
pub mod sysfs;
