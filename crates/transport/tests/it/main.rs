//! What the transports promise, as seen from outside: streams over awkward pipes, TLS
//! against real handshakes, and dialling.

mod dial;
mod pipes;
mod stream;
mod tls;
