//! Neighbours at work on loopback.
