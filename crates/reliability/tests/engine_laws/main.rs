//! The engine's laws, one test each, as short scripts against `handle` and
//! `poll_output`. What becomes of them together, under any failure, is `simulation`'s.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod absence;
mod answers;
mod archived;
mod bundles;
mod decisions;
mod delivery;
mod delivery_bounds;
mod delivery_epochs;
mod delivery_peers;
mod inbox;
mod modes;
#[cfg(stanchion_mutants)]
mod mutants;
mod outbox;
mod outcomes;
mod pace;
mod pair;
mod protection;
mod reach;
mod reading_ahead;
mod resumption;
mod room_entry;
mod rooms;
mod script;
mod stream;
