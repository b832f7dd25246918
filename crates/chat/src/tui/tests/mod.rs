//! The terminal by scripted sessions: events made by hand and keys, and what is shown then,
//! compared with the files in `tests/snapshots`. `STANCHION_UPDATE_SNAPSHOTS=1` writes them.

mod any_keys;
mod first_start;
mod script;
mod sessions;
