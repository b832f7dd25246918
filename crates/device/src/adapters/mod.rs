//! Adapters for real protocols, each behind a feature of its name and on its own: none
//! knows another.

#[cfg(feature = "exec")]
pub mod exec;
#[cfg(feature = "llrp")]
pub mod llrp;
#[cfg(feature = "sysfs")]
pub mod sysfs;
