//! Adapters for real protocols, each behind a feature of its name and on its own: none
//! knows another.

#[cfg(feature = "llrp")]
pub mod llrp;
