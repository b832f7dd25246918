//! The reliability floor of Stanchion: what is accepted is kept, and what is
//! kept has an outcome.
//!
//! This crate will hold the engine and its driver; today it holds the durable
//! [`store`] under them.

pub mod store;
