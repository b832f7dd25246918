//! What the transports promise, as seen from outside: streams over awkward pipes, TLS
//! against real handshakes, and dialling.

// The configuration allows them in test functions, but not in what those share.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod dial;
mod pipes;
mod pki;
mod stream;
mod tls;
mod traffic;
mod websocket;
mod websocket_frames;
