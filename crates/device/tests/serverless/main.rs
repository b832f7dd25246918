//! Neighbours at work on loopback, each test on a network of its own (a port of its own for
//! multicast DNS).
#![cfg(feature = "serverless")]

mod house;
mod namespace;
mod streams;
